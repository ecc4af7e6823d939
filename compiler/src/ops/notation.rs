//! Text format of operations in a graph, printer and parser: `clamp(%3, min = 0.0, max = 1.0)`.
//!
//! An operation's line in the registry lists its attributes, and generates both the printer and the
//! parser. An attribute is `name = value`, or the value alone if it is unambiguous, in the order of
//! the line. Omitted are `none`, `false` and empty lists, and attributes that follow from the type of
//! the result, as the shape of `broadcast`. Numbers are written with all their bits.
//!
//! Parsing needs the feature `eval`: `network!`, which is built without it, only prints.

use std::sync::Arc;

use super::axis::Reduced;
use super::class_weights::TargetWeights;
use super::mean::Over;
use super::reduce::Axis;
use super::switch::Selector;
use super::var::Var;
use super::{Number, Op};
use crate::graph::NodeId;
#[cfg(any(test, feature = "eval"))]
use crate::shape::{Dim, Shape, Type};
#[cfg(any(test, feature = "eval"))]
use crate::text::{ParseError, Reader};

/// Printing and parsing of an operation's attributes.
pub(super) trait Notation: Sized {
    /// Writes the attributes.
    fn write_all(&self, call: &mut Writer);
    #[cfg(any(test, feature = "eval"))]
    /// Parses the output of [`Self::write_all`].
    fn read_all(call: &mut Call<'_, '_>) -> Result<Self, ParseError>;
}

/// An attribute's value.
pub(super) trait Value: Sized + PartialEq {
    fn write(&self, text: &mut String);
    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<Self, ParseError>;
    /// The value that is omitted.
    fn omitted() -> Option<Self> {
        None
    }
}

/// A field for one or several attributes: a value, or a struct that operations share.
pub(super) trait Field: Sized {
    fn write_as(&self, name: Option<&str>, call: &mut Writer);
    #[cfg(any(test, feature = "eval"))]
    fn read_as(name: Option<&str>, call: &mut Call<'_, '_>) -> Result<Self, ParseError>;
}

#[cfg(any(test, feature = "eval"))]
/// An attribute that follows from the type of the result.
pub(super) trait OfResult {
    fn of_result(ty: &Type) -> Self;
}

/// Writes the arguments of a call.
#[derive(Default)]
pub(super) struct Writer(String);

impl Writer {
    fn argument(&mut self, name: Option<&str>, write: impl FnOnce(&mut String)) {
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        if let Some(name) = name {
            self.0.push_str(name);
            self.0.push_str(" = ");
        }
        write(&mut self.0);
    }
}

#[cfg(any(test, feature = "eval"))]
/// Parses the attributes of a call, after its operands.
pub(crate) struct Call<'r, 't> {
    pub text: &'r mut Reader<'t>,
    /// Whether an argument has been parsed.
    pub has_arguments: bool,
    /// The operation's name, for messages.
    pub name: &'static str,
    /// The type of the result, if it is in the text.
    pub result: Option<&'r Type>,
}

#[cfg(any(test, feature = "eval"))]
impl Call<'_, '_> {
    /// An attribute that follows from the type of the result.
    pub(super) fn of_result<T: OfResult>(&mut self) -> Result<T, ParseError> {
        match self.result {
            Some(ty) => Ok(T::of_result(ty)),
            None => {
                let message = format!("`{}` needs the type of its result after it", self.name);
                Err(self.text.error(message))
            }
        }
    }

    /// Parses a value, which defaults to `omitted`.
    pub(super) fn value<T: Value>(
        &mut self,
        name: Option<&str>,
        omitted: Option<T>,
    ) -> Result<T, ParseError> {
        let mut ahead = *self.text;
        let is_present = (!self.has_arguments || ahead.eat(","))
            && name.is_none_or(|name| ahead.eat_word(name) && ahead.eat("="));
        if is_present {
            ahead.skip_spaces();
            *self.text = ahead;
            self.has_arguments = true;
            return T::read(self.text);
        }
        omitted.ok_or_else(|| match name {
            Some(name) => self.text.expected(&format!("`{name} = …`")),
            None => self.text.expected("a value"),
        })
    }
}

impl<T: Value> Field for T {
    fn write_as(&self, name: Option<&str>, call: &mut Writer) {
        if T::omitted().as_ref() != Some(self) {
            call.argument(name, |text| self.write(text));
        }
    }

    #[cfg(any(test, feature = "eval"))]
    fn read_as(name: Option<&str>, call: &mut Call<'_, '_>) -> Result<T, ParseError> {
        call.value(name, T::omitted())
    }
}

/// `notation!(module::Operation attributes)`: its [`Notation`], from the attributes in
/// the registry:
///
/// - nothing, for an operation without any;
/// - `{ a, b }`, the fields of a struct; `a: unnamed` is written without its name,
///   `a: result` follows from the type of the result, `a = value` is omitted if it has that value;
/// - `(a)`, the fields of a tuple;
/// - `[a]`, the operation itself.
macro_rules! notation {
    ($module:ident :: $Op:ident) => {
        impl notation::Notation for $module::$Op {
            fn write_all(&self, _: &mut notation::Writer) {}
            #[cfg(any(test, feature = "eval"))]
            fn read_all(_: &mut notation::Call<'_, '_>) -> Result<Self, ParseError> {
                Ok($module::$Op)
            }
        }
    };
    ($module:ident :: $Op:ident {
        $($field:ident $(: $mode:ident)? $(= $default:expr)?),* $(,)?
    }) => {
        impl notation::Notation for $module::$Op {
            fn write_all(&self, call: &mut notation::Writer) {
                $(notation!(@write call, self.$field, $field $(: $mode)? $(= $default)?);)*
            }
            #[cfg(any(test, feature = "eval"))]
            fn read_all(call: &mut notation::Call<'_, '_>) -> Result<Self, ParseError> {
                Ok($module::$Op {
                    $($field: notation!(@read call, $field $(: $mode)? $(= $default)?),)*
                })
            }
        }
    };
    ($module:ident :: $Op:ident ($($field:ident),*)) => {
        impl notation::Notation for $module::$Op {
            fn write_all(&self, call: &mut notation::Writer) {
                let $module::$Op($($field),*) = self;
                $(notation::Field::write_as($field, None, call);)*
            }
            #[cfg(any(test, feature = "eval"))]
            fn read_all(call: &mut notation::Call<'_, '_>) -> Result<Self, ParseError> {
                $(let $field = notation::Field::read_as(None, call)?;)*
                Ok($module::$Op($($field),*))
            }
        }
    };
    ($module:ident :: $Op:ident [$value:ident]) => {
        impl notation::Notation for $module::$Op {
            fn write_all(&self, call: &mut notation::Writer) {
                notation::Field::write_as(self, None, call)
            }
            #[cfg(any(test, feature = "eval"))]
            fn read_all(call: &mut notation::Call<'_, '_>) -> Result<Self, ParseError> {
                notation::Field::read_as(None, call)
            }
        }
    };
    (@write $call:ident, $value:expr, $field:ident) => {
        notation::Field::write_as(&$value, Some(stringify!($field)), $call)
    };
    (@write $call:ident, $value:expr, $field:ident : unnamed) => {
        notation::Field::write_as(&$value, None, $call)
    };
    (@write $call:ident, $value:expr, $field:ident : result) => {
        let _ = &$call;
    };
    (@write $call:ident, $value:expr, $field:ident = $default:expr) => {
        if $value != $default {
            notation::Field::write_as(&$value, Some(stringify!($field)), $call)
        }
    };
    (@read $call:ident, $field:ident) => {
        notation::Field::read_as(Some(stringify!($field)), $call)?
    };
    (@read $call:ident, $field:ident : unnamed) => { notation::Field::read_as(None, $call)? };
    (@read $call:ident, $field:ident : result) => { $call.of_result()? };
    (@read $call:ident, $field:ident = $default:expr) => {
        $call.value(Some(stringify!($field)), Some($default))?
    };
}
pub(super) use notation;

/// `words!(Comparison: Greater = "greater", Equal = "equal")`: a [`Value`] that is one of
/// several words.
macro_rules! words {
    ($Type:ty: $($Variant:ident = $word:literal),* $(,)?) => {
        impl $crate::ops::notation::Value for $Type {
            fn write(&self, text: &mut String) {
                text.push_str(match self {
                    $(<$Type>::$Variant => $word,)*
                });
            }

            #[cfg(any(test, feature = "eval"))]
            fn read(text: &mut $crate::text::Reader<'_>) -> Result<Self, $crate::text::ParseError> {
                $(if text.eat_word($word) {
                    return Ok(<$Type>::$Variant);
                })*
                Err(text.expected([$(concat!("`", $word, "`")),*].join(" or ").as_str()))
            }
        }
    };
}
pub(super) use words;

macro_rules! integers {
    ($($Integer:ty),*) => {
        $(impl Value for $Integer {
            fn write(&self, text: &mut String) {
                text.push_str(&self.to_string());
            }

            #[cfg(any(test, feature = "eval"))]
            fn read(text: &mut Reader<'_>) -> Result<Self, ParseError> {
                text.number("an integer")
            }
        })*
    };
}

integers!(usize, u32, i64);

impl Value for bool {
    fn write(&self, text: &mut String) {
        text.push_str(if *self { "true" } else { "false" });
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<bool, ParseError> {
        match text.eat_word("true") {
            true => Ok(true),
            false if text.eat_word("false") => Ok(false),
            false => Err(text.expected("`true` or `false`")),
        }
    }

    fn omitted() -> Option<bool> {
        Some(false)
    }
}

/// The shortest decimal that parses to the float; of a NaN other than the canonical one, the bits:
/// `NaN(0x7fc00001)`.
impl Value for Number {
    fn write(&self, text: &mut String) {
        match self.0.is_nan() && self.0.to_bits() != f32::NAN.to_bits() {
            true => text.push_str(&format!("NaN({:#010x})", self.0.to_bits())),
            false => text.push_str(&format!("{:?}", self.0)),
        }
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<Number, ParseError> {
        if !text.eat_word("NaN") {
            return text.number("a number").map(Number);
        }
        if !text.eat("(") {
            return Ok(Number(f32::NAN));
        }
        let start = *text;
        let digits = text.word().strip_prefix("0x").and_then(|x| u32::from_str_radix(x, 16).ok());
        let nan = digits.map(f32::from_bits).filter(|x| x.is_nan());
        let nan = nan.ok_or_else(|| start.expected("the bits of a NaN"))?;
        text.expect(")")?;
        Ok(Number(nan))
    }
}

/// The name of a step scalar. A parsed one is leaked.
impl Value for &'static str {
    fn write(&self, text: &mut String) {
        text.push_str(&format!("{self:?}"));
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<&'static str, ParseError> {
        text.string().map(|name| &*name.leak())
    }
}

/// The equation of `einsum`.
impl Value for Arc<str> {
    fn write(&self, text: &mut String) {
        text.push_str(&format!("{self:?}"));
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<Arc<str>, ParseError> {
        text.string().map(Arc::from)
    }
}

impl<T: Value> Value for Option<T> {
    fn write(&self, text: &mut String) {
        if let Some(value) = self {
            value.write(text);
        }
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<Option<T>, ParseError> {
        T::read(text).map(Some)
    }

    fn omitted() -> Option<Option<T>> {
        Some(None)
    }
}

fn write_list<T: Value>(list: &[T], text: &mut String) {
    text.push('[');
    for (i, value) in list.iter().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        value.write(text);
    }
    text.push(']');
}

impl<T: Value> Value for Vec<T> {
    fn write(&self, text: &mut String) {
        write_list(self, text);
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<Vec<T>, ParseError> {
        text.expect("[")?;
        let mut list = Vec::new();
        while !text.eat("]") {
            if !list.is_empty() {
                text.expect(",")?;
            }
            text.skip_spaces();
            list.push(T::read(text)?);
        }
        Ok(list)
    }

    fn omitted() -> Option<Vec<T>> {
        Some(Vec::new())
    }
}

impl<T: Value> Value for Arc<[T]> {
    fn write(&self, text: &mut String) {
        write_list(self, text);
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<Arc<[T]>, ParseError> {
        <Vec<T> as Value>::read(text).map(Arc::from)
    }
}

impl<A: Value, B: Value> Value for (A, B) {
    fn write(&self, text: &mut String) {
        text.push('(');
        self.0.write(text);
        text.push_str(", ");
        self.1.write(text);
        text.push(')');
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<(A, B), ParseError> {
        text.expect("(")?;
        let first = A::read(text)?;
        text.expect(",")?;
        text.skip_spaces();
        let second = B::read(text)?;
        text.expect(")")?;
        Ok((first, second))
    }
}

/// An axis of the example by its number, or `batch`.
impl Value for Axis {
    fn write(&self, text: &mut String) {
        match self {
            Axis::Batch => text.push_str("batch"),
            Axis::Example(axis) => axis.write(text),
        }
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<Axis, ParseError> {
        match text.eat_word("batch") {
            true => Ok(Axis::Batch),
            false => text.number("an axis or `batch`").map(Axis::Example),
        }
    }
}

/// Axes: one by its number, several in brackets.
impl Value for Axes {
    fn write(&self, text: &mut String) {
        match &self.0[..] {
            [axis] => axis.write(text),
            axes => write_list(axes, text),
        }
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<Axes, ParseError> {
        let mut ahead = *text;
        match ahead.eat("[") {
            true => <Vec<i64> as Value>::read(text).map(Axes),
            false => text.number("an axis or axes").map(|axis| Axes(vec![axis])),
        }
    }
}

/// The reduced axes of [`Reduced`], of which there is at least one.
#[derive(PartialEq)]
struct Axes(Vec<i64>);

/// `axis = -1` or `axis = [0, 2]`, nothing for all; `keepdim = true`.
impl Field for Reduced {
    fn write_as(&self, _: Option<&str>, call: &mut Writer) {
        self.axes.clone().map(Axes).write_as(Some("axis"), call);
        self.keepdim.write_as(Some("keepdim"), call);
    }

    #[cfg(any(test, feature = "eval"))]
    fn read_as(_: Option<&str>, call: &mut Call<'_, '_>) -> Result<Reduced, ParseError> {
        let axes = <Option<Axes> as Field>::read_as(Some("axis"), call)?.map(|axes| axes.0);
        Ok(Reduced { axes, keepdim: Field::read_as(Some("keepdim"), call)? })
    }
}

/// Axes of the example, `example` for all, or `everything`; `keepdim = true`.
impl Field for Over {
    fn write_as(&self, name: Option<&str>, call: &mut Writer) {
        match self {
            Over::Example(Reduced { axes, keepdim }) => {
                match axes.clone().map(Axes) {
                    Some(axes) => axes.write_as(name, call),
                    None => call.argument(name, |text| text.push_str("example")),
                }
                keepdim.write_as(Some("keepdim"), call);
            }
            Over::Everything => call.argument(name, |text| text.push_str("everything")),
        }
    }

    #[cfg(any(test, feature = "eval"))]
    fn read_as(name: Option<&str>, call: &mut Call<'_, '_>) -> Result<Over, ParseError> {
        let axes = match call.value::<Averaged>(name, None)? {
            Averaged::Everything => return Ok(Over::Everything),
            Averaged::Example => None,
            Averaged::Axes(axes) => Some(axes.0),
        };
        Ok(Over::Example(Reduced { axes, keepdim: Field::read_as(Some("keepdim"), call)? }))
    }
}

/// The first attribute of [`Over`].
#[cfg(any(test, feature = "eval"))]
#[derive(PartialEq)]
enum Averaged {
    Axes(Axes),
    Example,
    Everything,
}

#[cfg(any(test, feature = "eval"))]
impl Value for Averaged {
    fn write(&self, text: &mut String) {
        match self {
            Averaged::Axes(axes) => axes.write(text),
            Averaged::Example => text.push_str("example"),
            Averaged::Everything => text.push_str("everything"),
        }
    }

    fn read(text: &mut Reader<'_>) -> Result<Averaged, ParseError> {
        match text.eat_word("everything") {
            true => Ok(Averaged::Everything),
            false if text.eat_word("example") => Ok(Averaged::Example),
            false => Axes::read(text).map(Averaged::Axes),
        }
    }
}

/// A declared choice by its number, or `training`.
impl Value for Selector {
    fn write(&self, text: &mut String) {
        match self {
            Selector::Training => text.push_str("training"),
            Selector::Declared(choice) => choice.write(text),
        }
    }

    #[cfg(any(test, feature = "eval"))]
    fn read(text: &mut Reader<'_>) -> Result<Selector, ParseError> {
        match text.eat_word("training") {
            true => Ok(Selector::Training),
            false => text.number("a choice's number or `training`").map(Selector::Declared),
        }
    }
}

impl Field for TargetWeights {
    fn write_as(&self, _: Option<&str>, call: &mut Writer) {
        self.weight.write_as(Some("weight"), call);
        self.ignore_index.write_as(Some("ignore_index"), call);
    }

    #[cfg(any(test, feature = "eval"))]
    fn read_as(_: Option<&str>, call: &mut Call<'_, '_>) -> Result<TargetWeights, ParseError> {
        let weight = Field::read_as(Some("weight"), call)?;
        Ok(TargetWeights { weight, ignore_index: Field::read_as(Some("ignore_index"), call)? })
    }
}

/// The attributes of `var` and `std`.
impl Field for Var {
    fn write_as(&self, _: Option<&str>, call: &mut Writer) {
        self.write_all(call);
    }

    #[cfg(any(test, feature = "eval"))]
    fn read_as(_: Option<&str>, call: &mut Call<'_, '_>) -> Result<Var, ParseError> {
        Var::read_all(call)
    }
}

#[cfg(any(test, feature = "eval"))]
impl OfResult for Type {
    fn of_result(ty: &Type) -> Type {
        ty.clone()
    }
}

#[cfg(any(test, feature = "eval"))]
impl OfResult for Shape {
    fn of_result(ty: &Type) -> Shape {
        ty.shape.clone()
    }
}

#[cfg(any(test, feature = "eval"))]
impl OfResult for Vec<Dim> {
    fn of_result(ty: &Type) -> Vec<Dim> {
        ty.shape.dims.clone()
    }
}

impl Op {
    /// Its call on operands in a graph's text: `clamp(%3, min = 0.0, max = 1.0)`.
    pub(crate) fn call_on(&self, operands: &[NodeId]) -> String {
        let mut call = Writer::default();
        for operand in operands {
            call.argument(None, |text| text.push_str(&format!("%{}", operand.index())));
        }
        self.write_attributes(&mut call);
        format!("{}({})", self.name(), call.0)
    }

    /// Its name and attributes, for printouts: `clamp(min = 0.0, max = 1.0)`.
    pub fn describe(&self) -> String {
        let mut call = Writer::default();
        self.write_attributes(&mut call);
        match call.0.is_empty() {
            true => self.name().into(),
            false => format!("{}({})", self.name(), call.0),
        }
    }
}
