//! Checks attributes, the constant arguments of calls: numbers, flags, axes and sizes; and
//! initialisers of parameters.

use std::sync::Arc;

use bilro_compiler::declaration::{Init, wrong_count};
use bilro_compiler::ops::{Attribute, AttributeKind, AttributeValue, Attributes, Order};
use bilro_compiler::shape::Dim;
use proc_macro2::{Delimiter, Group, Punct, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Lit;

use super::recorder::{CallSpans, Condition};
use super::{Checker, text};
use crate::ast::{Argument, Expr, ExprKind, List, Operator};
use crate::error::{Mistake, SourceSpan};

/// The value of a number: a literal that may have a sign.
pub fn number(x: &Expr) -> Option<f64> {
    match &x.inner().kind {
        ExprKind::Number { literal, .. } => {
            let number: f64 = match Lit::new(literal.clone()) {
                Lit::Int(int) => int.base10_digits().parse().ok()?,
                Lit::Float(float) => float.base10_digits().parse().ok()?,
                _ => return None,
            };
            // A number that underflows to 0 as an f32 is refused.
            (number as f32 != 0.0 || number == 0.0).then_some(number)
        }
        ExprKind::Neg(_, x) => Some(-number(x)?),
        _ => None,
    }
}

pub(super) fn axis(x: &Expr) -> Option<i64> {
    match &x.inner().kind {
        ExprKind::Number { literal, .. } => match Lit::new(literal.clone()) {
            Lit::Int(int) => int.base10_parse().ok(),
            _ => None,
        },
        ExprKind::Neg(_, x) => axis(x)?.checked_neg(),
        _ => None,
    }
}

/// Why an expression is not a value of an attribute.
enum Rejected {
    /// It is of another kind.
    WrongKind,
    /// It has a mistake that is reported already.
    Reported,
}

/// Types of attribute values that expressions are converted to.
trait FromExpr: Sized {
    /// Whether a single value is accepted as a list of one.
    const IS_LIST: bool = false;

    fn read(checker: &mut Checker<'_>, x: &Expr) -> Result<Self, Rejected>;
}

impl FromExpr for i64 {
    const IS_LIST: bool = true;

    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<i64, Rejected> {
        axis(x).ok_or(Rejected::WrongKind)
    }
}

impl FromExpr for usize {
    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<usize, Rejected> {
        axis(x).and_then(|n| n.try_into().ok()).ok_or(Rejected::WrongKind)
    }
}

impl FromExpr for f64 {
    const IS_LIST: bool = true;

    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<f64, Rejected> {
        number(x).filter(|x| (*x as f32).is_finite()).ok_or(Rejected::WrongKind)
    }
}

impl FromExpr for Order {
    fn read(checker: &mut Checker<'_>, x: &Expr) -> Result<Order, Rejected> {
        let is_infinity =
            |x: &Expr| matches!(&x.inner().kind, ExprKind::Name(word) if text(word) == "inf");
        match &x.inner().kind {
            ExprKind::Neg(_, x) if is_infinity(x) => Ok(Order(f64::NEG_INFINITY)),
            _ if is_infinity(x) => Ok(Order(f64::INFINITY)),
            _ => f64::read(checker, x).map(Order),
        }
    }
}

impl FromExpr for Arc<str> {
    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<Arc<str>, Rejected> {
        match &x.inner().kind {
            ExprKind::Text(text) => Ok(text.as_str().into()),
            _ => Err(Rejected::WrongKind),
        }
    }
}

impl FromExpr for bool {
    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<bool, Rejected> {
        match x.inner().kind {
            ExprKind::Flag(flag) => Ok(flag),
            _ => Err(Rejected::WrongKind),
        }
    }
}

impl FromExpr for String {
    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<String, Rejected> {
        match &x.inner().kind {
            ExprKind::Name(word) => Ok(text(word)),
            _ => Err(Rejected::WrongKind),
        }
    }
}

impl FromExpr for Dim {
    fn read(checker: &mut Checker<'_>, x: &Expr) -> Result<Dim, Rejected> {
        match x.inner().kind {
            ExprKind::List(_) => Err(Rejected::WrongKind),
            // `size` reports the mistake.
            _ => checker.size(x).ok_or(Rejected::Reported),
        }
    }
}

impl<T: FromExpr> FromExpr for Vec<T> {
    fn read(checker: &mut Checker<'_>, x: &Expr) -> Result<Vec<T>, Rejected> {
        match &x.inner().kind {
            ExprKind::List(list) => {
                // All elements before collecting, so that each mistake is reported.
                let read = list.elements.iter().map(|x| T::read(checker, x));
                read.collect::<Vec<_>>().into_iter().collect()
            }
            _ if T::IS_LIST => Ok(vec![T::read(checker, x)?]),
            _ => Err(Rejected::WrongKind),
        }
    }
}

macro_rules! reader {
    ($(
        $(#[$doc:meta])*
        $Kind:ident $(($words:ty))?: $Value:ty, $getter:ident, $described:literal;
    )*) => {
        /// Converts an expression to a value of this kind.
        fn read(
            kind: AttributeKind,
            checker: &mut Checker<'_>,
            x: &Expr,
        ) -> Result<AttributeValue, Rejected> {
            match kind {
                $(AttributeKind::$Kind { .. } => {
                    <$Value as FromExpr>::read(checker, x).map(AttributeValue::$Kind)
                })*
            }
        }
    };
}

bilro_compiler::attribute_kinds!(reader);

/// The attributes of a call, with the span of each.
pub type SpannedAttributes = (Attributes, Vec<(String, SourceSpan)>);

impl Checker<'_> {
    /// Checks the attributes of a call. `arguments` pairs each with the name that its position
    /// implies, if it is written without one. `None` after a mistake.
    pub(super) fn attributes(
        &mut self,
        function: &str,
        call: SourceSpan,
        form: &'static [Attribute],
        arguments: &[(&Argument, Option<&str>)],
        shown: &str,
    ) -> Option<SpannedAttributes> {
        let mut attributes = Attributes::new();
        let mut spans: Vec<(String, SourceSpan)> = Vec::new();
        let before = self.recorder.mistakes.len();
        for (argument, implied) in arguments {
            let written = argument.name.as_ref();
            let Some(name) = implied.map(String::from).or(written.map(text)) else { continue };
            let name_span = written.map_or(argument.value.span, |name| name.span().into());
            if spans.iter().any(|(n, _)| *n == name) {
                self.mistake(Mistake::new(name_span, format!("`{name}` is given twice")));
                continue;
            }
            let attribute = match Attribute::find(function, &name, form, shown) {
                Ok(attribute) => attribute,
                Err(mistake) => {
                    self.mistake(Mistake::new(name_span, mistake.message));
                    continue;
                }
            };
            if let Some(value) = self.attribute(attribute, &argument.value) {
                attributes.set(&name, value);
            }
            spans.push((name, argument.value.span));
        }
        if self.recorder.mistakes.len() > before {
            return None;
        }
        if let Err(mistake) = attributes.check(function, form, shown) {
            let spans = CallSpans { call, operands: &[], attributes: &spans };
            self.recorder.report(mistake, &spans);
            return None;
        }
        Some((attributes, spans))
    }

    fn attribute(&mut self, attribute: &Attribute, x: &Expr) -> Option<AttributeValue> {
        let value = match read(attribute.kind, self, x) {
            Ok(value) => Some(value),
            Err(Rejected::WrongKind) => None,
            Err(Rejected::Reported) => return None,
        };
        if value.is_none() {
            let mut message = attribute.wrong_kind().message;
            if let ExprKind::Text(word) = &x.inner().kind
                && syn::parse_str::<proc_macro2::Ident>(word).is_ok()
            {
                message += &format!(": words are written without quotes, as `{word}`");
            }
            if let ExprKind::Name(word) = &x.inner().kind {
                message += match text(word).as_str() {
                    "True" => "; did you mean `true`?",
                    "False" => "; did you mean `false`?",
                    "None" => ": leave it out where there is none",
                    _ => "",
                };
            }
            self.mistake(Mistake::new(x.span, message));
        }
        value
    }

    /// Checks the initialiser of a parameter: its name and its numbers.
    pub(super) fn initialiser(&mut self, x: &Expr) -> Option<(String, Vec<f64>)> {
        let (name, arguments): (_, &[Argument]) = match &x.inner().kind {
            ExprKind::Name(name) => (name, &[]),
            ExprKind::Call { receiver: None, function, arguments } => (function, arguments),
            _ => {
                let message = "expected an initialiser, as `zeros`, `full(0.5)` or \
                               `normal(0.0, 1.0)`";
                self.mistake(Mistake::new(x.span, message));
                return None;
            }
        };
        let key = text(name);
        let takes = match Init::arguments(&key) {
            Ok(takes) => takes,
            Err(mistake) => {
                self.mistake(Mistake::new(name.span(), mistake.message));
                return None;
            }
        };
        let shown =
            if takes.is_empty() { key.clone() } else { format!("{key}({})", takes.join(", ")) };
        if arguments.len() != takes.len() {
            let message = wrong_count(&key, takes.len(), arguments.len(), &shown);
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        let before = self.recorder.mistakes.len();
        let mut numbers = Vec::new();
        for (argument, takes) in arguments.iter().zip(takes) {
            if let Some(name) = argument.name.as_ref().filter(|name| name != takes) {
                let message = format!("expected `{takes}`: it is called as `{shown}`");
                self.mistake(Mistake::new(name.span(), message));
            }
            match number(&argument.value).filter(|x| (*x as f32).is_finite()) {
                Some(number) => numbers.push(number),
                None => {
                    let message = format!("`{takes}` takes a number");
                    self.mistake(Mistake::new(argument.value.span, message));
                }
            }
        }
        if self.recorder.mistakes.len() > before {
            return None;
        }
        Some((key, numbers))
    }

    pub(super) fn sizes(&mut self, list: &List) -> Option<Vec<Dim>> {
        let sizes: Vec<Option<Dim>> = list.elements.iter().map(|x| self.size(x)).collect();
        sizes.into_iter().collect()
    }

    /// Checks a size: a number if it is known here, else a symbol.
    pub(super) fn size(&mut self, x: &Expr) -> Option<Dim> {
        const AT_LEAST: &str = "a size must be at least 1";
        match fold(x) {
            Ok(Some(0)) => {
                self.mistake(Mistake::new(x.span, AT_LEAST));
                None
            }
            Ok(Some(n)) => Some(Dim::Fixed(n)),
            Ok(None) => {
                let symbol: Arc<str> = show(x).into();
                self.symbols.entry(symbol.to_string()).or_insert_with(|| standalone(x.inner()));
                let condition = Condition::Positive(symbol.clone());
                self.recorder.require(condition, AT_LEAST.into(), x.span);
                Some(Dim::Symbol(symbol))
            }
            Err(mistake) => {
                self.mistake(mistake);
                None
            }
        }
    }
}

/// The value of a size by constant folding; `None` if only rustc can evaluate it.
fn fold(x: &Expr) -> Result<Option<usize>, Mistake> {
    const WHAT: &str = "a size is an integer or a constant: `128`, `HIDDEN`, `2 * N`";
    match &x.kind {
        ExprKind::Number { literal, text } => match Lit::new(literal.clone()) {
            Lit::Int(int) => match int.base10_parse::<usize>() {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(Mistake::new(x.span, format!("`{text}` is too large for a size"))),
            },
            _ => Err(Mistake::new(x.span, WHAT)),
        },
        ExprKind::Name(_) | ExprKind::Path(_) => Ok(None),
        ExprKind::Rust { tokens, .. } => match syn::parse2::<syn::Expr>(tokens.clone()) {
            Ok(_) => Ok(None),
            Err(error) => Err(error.into()),
        },
        ExprKind::Paren(x) => fold(x),
        ExprKind::Binary(operator, ..) if operator.arithmetic().is_none() => {
            Err(Mistake::new(x.span, WHAT))
        }
        ExprKind::Binary(operator, _, a, b) => {
            let (Some(a), Some(b)) = (fold(a)?, fold(b)?) else { return Ok(None) };
            let n = match operator {
                Operator::Add => a.checked_add(b),
                Operator::Sub => a.checked_sub(b),
                Operator::Mul => a.checked_mul(b),
                _ => a.checked_div(b),
            };
            match n {
                Some(n) => Ok(Some(n)),
                None => Err(Mistake::new(x.span, format!("`{x}` is not a size"))),
            }
        }
        ExprKind::Call { .. } | ExprKind::Index { .. } => {
            let message = format!("{WHAT}; other Rust goes into braces: `{{ {x} }}`");
            Err(Mistake::new(x.span, message))
        }
        ExprKind::Flag(_)
        | ExprKind::Text(_)
        | ExprKind::List(_)
        | ExprKind::Neg(..)
        | ExprKind::Not(..)
        | ExprKind::Chain { .. } => Err(Mistake::new(x.span, WHAT)),
    }
}

/// A symbolic size in messages, without enclosing braces or parentheses.
fn show(x: &Expr) -> String {
    match &x.inner().kind {
        ExprKind::Rust { inner, .. } if !inner.to_string().contains(';') => inner.to_string(),
        _ => x.inner().to_string(),
    }
}

/// A size as a complete Rust expression.
fn standalone(x: &Expr) -> TokenStream {
    match &x.kind {
        ExprKind::Rust { inner, .. } if syn::parse2::<syn::Expr>(inner.clone()).is_ok() => {
            inner.clone()
        }
        _ => rust(x),
    }
}

/// A size as an operand of a Rust expression.
fn rust(x: &Expr) -> TokenStream {
    match &x.kind {
        ExprKind::Number { literal, .. } => literal.to_token_stream(),
        ExprKind::Name(name) => name.to_token_stream(),
        ExprKind::Path(tokens) => tokens.clone(),
        ExprKind::Rust { tokens, .. } => tokens.clone(),
        ExprKind::Paren(x) => Group::new(Delimiter::Parenthesis, rust(x)).to_token_stream(),
        ExprKind::Binary(operator, span, a, b) if let Some(mark) = operator.arithmetic() => {
            let mut mark = Punct::new(mark, Spacing::Alone);
            mark.set_span(span.start);
            let (a, b, mark) = (rust(a), rust(b), TokenTree::from(mark));
            quote!(#a #mark #b)
        }
        // Not sizes.
        _ => TokenStream::new(),
    }
}
