//! Signatures: how an operation or a layer is called in the language, with the names of operands and
//! the kinds of attributes. [`attribute_kinds`](crate::attribute_kinds) is the single list of the
//! kinds.

use crate::error::{Mistake, nearest};
use crate::pytorch;
use crate::shape::Dim;

/// The form of a call.
#[derive(Debug)]
pub struct Signature {
    /// Names of its operands.
    pub operands: &'static [&'static str],
    /// Its attributes, in order; those with a default come last.
    pub attributes: &'static [Attribute],
    /// Another name for the same function.
    pub alias: Option<&'static str>,
    /// Whether it has an operator, as `+`.
    pub operator: bool,
    /// Whether its operands are a list of any length: `concat([a, b, c])`.
    pub is_list: bool,
}

impl Signature {
    /// A function with these operands and without attributes.
    pub const fn of(operands: &'static [&'static str]) -> Signature {
        Signature { operands, attributes: &[], alias: None, operator: false, is_list: false }
    }

    /// A function of a list of values.
    pub const fn list() -> Signature {
        Signature { is_list: true, ..Signature::of(&["[x, …]"]) }
    }

    /// A function of any number of values after its first attribute, a text: `einsum("ij->i", x)`.
    pub const fn spread() -> Signature {
        Signature { is_list: true, ..Signature::of(&["x, …"]) }
    }

    /// Whether its values follow its first attribute, and are no list: see [`Signature::spread`].
    pub fn is_spread(&self) -> bool {
        self.is_list && self.attributes.first().is_some_and(|a| a.kind == AttributeKind::Text)
    }

    /// Whether it takes this number of operands.
    pub fn takes(&self, operands: usize) -> bool {
        if self.is_list { operands > 0 } else { operands == self.operands.len() }
    }

    /// Adds attributes.
    pub const fn with(self, attributes: &'static [Attribute]) -> Signature {
        Signature { attributes, ..self }
    }

    /// Adds another name.
    pub const fn or(self, alias: &'static str) -> Signature {
        Signature { alias: Some(alias), ..self }
    }

    /// Marks it as an operator.
    pub const fn operator(self) -> Signature {
        Signature { operator: true, ..self }
    }

    /// The call in messages: `sum(x, axis = all)`.
    pub fn show(&self, name: &str) -> String {
        let operands = self.operands.iter().map(|o| o.to_string());
        let attributes = self.attributes.iter().map(|a| match a.default {
            Some(default) => format!("{} = {default}", a.name),
            None => a.name.to_string(),
        });
        let all: Vec<String> = match self.is_spread() {
            true => attributes.chain(operands).collect(),
            false => operands.chain(attributes).collect(),
        };
        format!("{name}({})", all.join(", "))
    }
}

/// An attribute of a call: a constant argument, as a number or a shape.
#[derive(Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: AttributeKind,
    /// Its default, as shown in signatures; `None` if it is required.
    pub default: Option<&'static str>,
}

impl Attribute {
    /// The attribute of this name of a function or layer.
    pub fn find(
        function: &str,
        given: &str,
        form: &'static [Attribute],
        shown: &str,
    ) -> Result<&'static Attribute, Mistake> {
        form.iter().find(|a| a.name == given).ok_or_else(|| {
            let has = if form.is_empty() { "takes" } else { "has" };
            let near = nearest(given, form.iter().map(|a| a.name));
            let message = match (pytorch::attribute(given), near) {
                (Some(instead), _) => format!("`{function}` {has} no `{given}`: {instead}"),
                (None, Some(near)) => format!(
                    "`{function}` {has} no `{given}`; did you mean `{near}`? It is called as `{shown}`"
                ),
                _ => format!("`{function}` {has} no `{given}`: it is called as `{shown}`"),
            };
            Mistake::attribute(given, message)
        })
    }

    /// The mistake of a value of another kind.
    pub fn wrong_kind(&self) -> Mistake {
        let message = format!("`{}` takes {}", self.name, self.kind.describe());
        Mistake::attribute(self.name, message)
    }

    /// Converts a value to the attribute's kind, and checks keywords.
    fn convert(&self, value: &AttributeValue) -> Result<AttributeValue, Mistake> {
        match (self.kind, value) {
            (AttributeKind::Keyword(keywords), AttributeValue::Keyword(word)) => {
                if keywords.contains(&word.as_str()) {
                    return Ok(value.clone());
                }
                let near = nearest(word, keywords.iter().copied());
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let message =
                    format!("`{}` takes {}, not `{word}`{near}", self.name, self.kind.describe());
                Err(Mistake::attribute(self.name, message))
            }
            (kind, value) => value.clone().into_kind(kind).ok_or_else(|| self.wrong_kind()),
        }
    }
}

/// A number that may be infinite, such as the exponent of a norm.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Order(pub f64);

/// Passes the list of the kinds of attributes to the macro `$then`: the name of each, the type of its
/// values, its getter, and its description in messages. All code over the kinds, here and in
/// `network!`, is generated from it.
#[doc(hidden)]
#[macro_export]
macro_rules! attribute_kinds {
    ($then:ident) => {
        $then! {
            /// An integer that may be negative: `-1`.
            Axis: i64, axis, "an axis, as `-1`";
            /// A number: `0.5`.
            Number: f64, number, "a number";
            /// `true` or `false`.
            Flag: bool, flag, "`true` or `false`";
            /// A size: a literal or a constant expression.
            Size: $crate::shape::Dim, size, "a size, as `128`";
            /// Sizes in brackets: `[7, 16]`.
            Sizes: ::std::vec::Vec<$crate::shape::Dim>, sizes, "sizes, as `[7, 16]`";
            /// Axes in brackets: `[1, 0]`. An axis alone is a list of one.
            Axes: ::std::vec::Vec<i64>, axes, "an axis or several, as `-1` or `[1, 0]`";
            /// One of these keywords: `tanh`.
            Keyword(&'static [&'static str]): ::std::string::String, keyword, "a keyword";
            /// An integer that is not negative: `3`.
            Integer: usize, integer, "an integer, as `3`";
            /// A text in quotes: `"ij,jk->ik"`.
            Text: ::std::sync::Arc<str>, text, "a text in quotes, as `\"ij,jk->ik\"`";
            /// A number, or infinity: `2`, `inf`.
            Order: $crate::ops::Order, order, "a number or `inf`";
            /// Numbers in brackets: `[0.2, 0.8]`. A number alone is a list of one.
            Numbers: ::std::vec::Vec<f64>, numbers, "numbers, as `[0.2, 0.8]`";
        }
    };
}

macro_rules! define {
    ($(
        $(#[$doc:meta])*
        $Kind:ident $(($keywords:ty))?: $Value:ty, $getter:ident, $description:literal;
    )*) => {
        /// The kind of an attribute's values.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum AttributeKind {
            $($(#[$doc])* $Kind $(($keywords))?,)*
        }

        impl AttributeKind {
            /// The description in messages.
            pub fn describe(self) -> String {
                if let AttributeKind::Keyword(keywords) = self {
                    let quoted: Vec<_> = keywords.iter().map(|word| format!("`{word}`")).collect();
                    return quoted.join(" or ");
                }
                match self {
                    $(AttributeKind::$Kind { .. } => $description.into(),)*
                }
            }
        }

        /// An attribute's value.
        #[derive(Clone, PartialEq, Debug)]
        pub enum AttributeValue {
            $(#[doc = concat!("See [`AttributeKind::", stringify!($Kind), "`].")] $Kind($Value),)*
        }

        impl AttributeValue {
            /// Its kind; of a keyword, without the list of alternatives.
            pub fn kind(&self) -> AttributeKind {
                match self {
                    $(AttributeValue::$Kind(_) => {
                        AttributeKind::$Kind $((<$keywords>::default()))?
                    })*
                }
            }
        }

        $(
            impl From<$Value> for AttributeValue {
                fn from(value: $Value) -> AttributeValue {
                    AttributeValue::$Kind(value)
                }
            }
        )*

        impl Attributes {
            $(
                #[doc = concat!("The value of an attribute of [`AttributeKind::", stringify!($Kind), "`], if given.")]
                pub fn $getter(&self, name: &str) -> Option<$Value> {
                    match self.get(name)? {
                        AttributeValue::$Kind(value) => Some(value.clone()),
                        _ => None,
                    }
                }
            )*
        }
    };
}

attribute_kinds!(define);

impl AttributeValue {
    /// Converts to another kind without loss: in Rust, `3` may be a size, an axis or a number.
    fn into_kind(self, kind: AttributeKind) -> Option<AttributeValue> {
        use AttributeKind as Kind;
        let integers = |integers: &[i64]| integers.iter().map(|n| *n as f64).collect::<Vec<_>>();
        let size = |n: &i64| usize::try_from(*n).ok().map(Dim::Fixed);
        let axis = |size: &Dim| size.fixed().and_then(|n| i64::try_from(n).ok());
        Some(match (kind, self) {
            (kind, value) if kind == value.kind() => value,
            (Kind::Axis, AttributeValue::Integer(n)) => i64::try_from(n).ok()?.into(),
            (Kind::Integer, AttributeValue::Axis(n)) => usize::try_from(n).ok()?.into(),
            (Kind::Size, AttributeValue::Integer(n)) => Dim::Fixed(n).into(),
            (Kind::Size, AttributeValue::Axis(n)) => size(&n)?.into(),
            (Kind::Number, AttributeValue::Integer(n)) => (n as f64).into(),
            (Kind::Number, AttributeValue::Axis(n)) => (n as f64).into(),
            (Kind::Axes, AttributeValue::Axis(n)) => vec![n].into(),
            (Kind::Axes, AttributeValue::Integer(n)) => vec![i64::try_from(n).ok()?].into(),
            (Kind::Text, AttributeValue::Keyword(word)) => AttributeValue::Text(word.into()),
            (Kind::Order, AttributeValue::Integer(n)) => Order(n as f64).into(),
            (Kind::Order, AttributeValue::Axis(n)) => Order(n as f64).into(),
            (Kind::Order, AttributeValue::Number(x)) => Order(x).into(),
            (Kind::Numbers, AttributeValue::Axes(list)) => integers(&list).into(),
            (Kind::Numbers, AttributeValue::Axis(n)) => integers(&[n]).into(),
            (Kind::Numbers, AttributeValue::Number(x)) => vec![x].into(),
            (Kind::Sizes, AttributeValue::Axes(list)) => {
                list.iter().map(size).collect::<Option<Vec<_>>>()?.into()
            }
            (Kind::Axes, AttributeValue::Sizes(list)) => {
                list.iter().map(axis).collect::<Option<Vec<_>>>()?.into()
            }
            _ => return None,
        })
    }
}

impl From<i32> for AttributeValue {
    fn from(n: i32) -> AttributeValue {
        i64::from(n).into()
    }
}

impl From<f32> for AttributeValue {
    fn from(x: f32) -> AttributeValue {
        f64::from(x).into()
    }
}

impl From<&str> for AttributeValue {
    fn from(word: &str) -> AttributeValue {
        word.to_owned().into()
    }
}

impl From<Vec<usize>> for AttributeValue {
    fn from(sizes: Vec<usize>) -> AttributeValue {
        sizes.into_iter().map(Dim::Fixed).collect::<Vec<_>>().into()
    }
}

impl From<Vec<i32>> for AttributeValue {
    fn from(axes: Vec<i32>) -> AttributeValue {
        axes.into_iter().map(i64::from).collect::<Vec<_>>().into()
    }
}

impl<T, const N: usize> From<[T; N]> for AttributeValue
where
    Vec<T>: Into<AttributeValue>,
{
    fn from(list: [T; N]) -> AttributeValue {
        Vec::from(list).into()
    }
}

/// The attributes of one call, by name.
///
/// ```
/// use bilro_compiler::ops::Attributes;
///
/// let given = Attributes::new().with("out_features", 10).with("bias", false);
/// // Attributes of one type, as an array.
/// let sizes = Attributes::from([("in_features", 4), ("out_features", 10)]);
/// assert_eq!(given.flag("bias"), Some(false));
/// assert_eq!(sizes.iter().count(), 2);
/// ```
#[derive(Clone, Default, Debug)]
pub struct Attributes(Vec<(String, AttributeValue)>);

impl Attributes {
    /// No attributes.
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// Adds an attribute. An integer is converted to a size, an axis or a number as the call requires,
    /// a string to a keyword.
    pub fn set(&mut self, name: &str, value: impl Into<AttributeValue>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds an attribute as [`Attributes::set`] does, and returns them.
    pub fn with(mut self, name: &str, value: impl Into<AttributeValue>) -> Attributes {
        self.set(name, value);
        self
    }

    /// The value of an attribute, if given.
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The attributes in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v))
    }

    /// Converts them to the kinds of the call's signature.
    ///
    /// # Errors
    /// For an unknown or duplicate name, a value of another kind, or a missing attribute.
    pub fn check(
        &self,
        name: &str,
        form: &'static [Attribute],
        shown: &str,
    ) -> Result<Attributes, Mistake> {
        let mut checked = Attributes::new();
        for (given, value) in self.iter() {
            let value = Attribute::find(name, given, form, shown)?.convert(value)?;
            if checked.get(given).is_some() {
                return Err(Mistake::attribute(given, format!("`{given}` is given twice")));
            }
            checked.set(given, value);
        }
        for attribute in form {
            if attribute.default.is_none() && checked.get(attribute.name).is_none() {
                return Err(Mistake::call(format!(
                    "`{name}` needs `{}`: it is called as `{shown}`",
                    attribute.name
                )));
            }
        }
        Ok(checked)
    }
}

impl From<()> for Attributes {
    fn from((): ()) -> Attributes {
        Attributes::new()
    }
}

impl From<&Attributes> for Attributes {
    fn from(attributes: &Attributes) -> Attributes {
        attributes.clone()
    }
}

impl<V: Into<AttributeValue>, const N: usize> From<[(&str, V); N]> for Attributes {
    fn from(given: [(&str, V); N]) -> Attributes {
        given.into_iter().collect()
    }
}

impl<'a, V: Into<AttributeValue>> FromIterator<(&'a str, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (&'a str, V)>>(given: I) -> Attributes {
        let mut attributes = Attributes::new();
        given.into_iter().for_each(|(name, value)| attributes.set(name, value));
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_converted_between_kinds_without_loss() {
        let convert = |value: AttributeValue, kind| value.into_kind(kind);
        let sizes = |sizes: &[usize]| sizes.iter().copied().map(Dim::Fixed).collect::<Vec<_>>();
        assert_eq!(convert(3.into(), AttributeKind::Size), Some(Dim::Fixed(3).into()));
        assert_eq!(convert(3usize.into(), AttributeKind::Axis), Some(3i64.into()));
        assert_eq!(convert(3.into(), AttributeKind::Number), Some(3.0.into()));
        assert_eq!(convert([1, 0].into(), AttributeKind::Sizes), Some(sizes(&[1, 0]).into()));
        assert_eq!(convert([1usize, 0].into(), AttributeKind::Axes), Some(vec![1i64, 0].into()));
        assert_eq!(convert(0.5.into(), AttributeKind::Numbers), Some(vec![0.5].into()));
        assert_eq!(convert([1, 2].into(), AttributeKind::Numbers), Some(vec![1.0, 2.0].into()));
        for (value, kind) in [
            (AttributeValue::from(-1), AttributeKind::Size),
            ((-1).into(), AttributeKind::Integer),
            (0.5.into(), AttributeKind::Integer),
            (true.into(), AttributeKind::Number),
            ("tanh".into(), AttributeKind::Flag),
            ([1.5].into(), AttributeKind::Sizes),
        ] {
            assert_eq!(convert(value.clone(), kind), None, "{value:?} is not {kind:?}");
        }
    }
}
