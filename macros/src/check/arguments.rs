//! Arguments that are part of a call rather than values: numbers, flags, axes and sizes; and how
//! parameters start.

use std::sync::Arc;

use bilro_compiler::declaration::{Init, wrong_count};
use bilro_compiler::ops::{Attribute, AttributeKind, AttributeValue, Attributes};
use bilro_compiler::shape::Dim;
use proc_macro2::{Delimiter, Group, Punct, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Lit;

use super::recorder::{Blame, Condition};
use super::{Checker, text};
use crate::ast::{Argument, Expr, ExprKind, List, Operator};
use crate::error::{Mistake, Place};

/// The number that an expression is, if it is one: a literal that may have a sign.
pub fn number(x: &Expr) -> Option<f64> {
    match &x.inner().kind {
        ExprKind::Number { literal, .. } => {
            let number: f64 = match Lit::new(literal.clone()) {
                Lit::Int(int) => int.base10_digits().parse().ok()?,
                Lit::Float(float) => float.base10_digits().parse().ok()?,
                _ => return None,
            };
            // Too small for an f32 is not the same as 0.
            (number as f32 != 0.0 || number == 0.0).then_some(number)
        }
        ExprKind::Neg(_, x) => Some(-number(x)?),
        _ => None,
    }
}

fn axis(x: &Expr) -> Option<i64> {
    match &x.inner().kind {
        ExprKind::Number { literal, .. } => match Lit::new(literal.clone()) {
            Lit::Int(int) => int.base10_parse().ok(),
            _ => None,
        },
        ExprKind::Neg(_, x) => axis(x)?.checked_neg(),
        _ => None,
    }
}

/// Why an expression is no value of an attribute.
enum Wrong {
    /// It is something else.
    Kind,
    /// A mistake in it has been reported.
    Told,
}

/// A type of an attribute's values, as they are written.
trait Written: Sized {
    /// Whether a value alone is a list of one.
    const IS_LIST: bool = false;

    fn read(checker: &mut Checker<'_>, x: &Expr) -> Result<Self, Wrong>;
}

impl Written for i64 {
    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<i64, Wrong> {
        axis(x).ok_or(Wrong::Kind)
    }
}

impl Written for usize {
    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<usize, Wrong> {
        axis(x).and_then(|n| n.try_into().ok()).ok_or(Wrong::Kind)
    }
}

impl Written for f64 {
    const IS_LIST: bool = true;

    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<f64, Wrong> {
        number(x).filter(|x| (*x as f32).is_finite()).ok_or(Wrong::Kind)
    }
}

impl Written for bool {
    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<bool, Wrong> {
        match x.inner().kind {
            ExprKind::Flag(flag) => Ok(flag),
            _ => Err(Wrong::Kind),
        }
    }
}

impl Written for String {
    fn read(_: &mut Checker<'_>, x: &Expr) -> Result<String, Wrong> {
        match &x.inner().kind {
            ExprKind::Name(word) => Ok(text(word)),
            _ => Err(Wrong::Kind),
        }
    }
}

impl Written for Dim {
    fn read(checker: &mut Checker<'_>, x: &Expr) -> Result<Dim, Wrong> {
        match x.inner().kind {
            ExprKind::List(_) => Err(Wrong::Kind),
            // It says for itself what is wrong with it.
            _ => checker.size(x).ok_or(Wrong::Told),
        }
    }
}

impl<T: Written> Written for Vec<T> {
    fn read(checker: &mut Checker<'_>, x: &Expr) -> Result<Vec<T>, Wrong> {
        match &x.inner().kind {
            ExprKind::List(list) => {
                // All of it, so that each mistake is reported.
                let read = list.elements.iter().map(|x| T::read(checker, x));
                read.collect::<Vec<_>>().into_iter().collect()
            }
            _ if T::IS_LIST => Ok(vec![T::read(checker, x)?]),
            _ => Err(Wrong::Kind),
        }
    }
}

macro_rules! reader {
    ($(
        $(#[$doc:meta])*
        $Kind:ident $(($words:ty))?: $Value:ty, $getter:ident, $described:literal;
    )*) => {
        /// The value of this kind that an expression is.
        fn read(
            kind: AttributeKind,
            checker: &mut Checker<'_>,
            x: &Expr,
        ) -> Result<AttributeValue, Wrong> {
            match kind {
                $(AttributeKind::$Kind { .. } => {
                    <$Value as Written>::read(checker, x).map(AttributeValue::$Kind)
                })*
            }
        }
    };
}

bilro_compiler::attribute_kinds!(reader);

/// The attributes of a call, with their places.
pub type Placed = (Attributes, Vec<(String, Place)>);

impl Checker<'_> {
    /// The attributes of a call; those without a name come with the one that their place gives
    /// them. `None` if there is a mistake in them.
    pub(super) fn attributes(
        &mut self,
        function: &str,
        call: Place,
        form: &'static [Attribute],
        arguments: &[(&Argument, Option<&str>)],
        shown: &str,
    ) -> Option<Placed> {
        let mut attributes = Attributes::new();
        let mut places: Vec<(String, Place)> = Vec::new();
        let before = self.recorder.mistakes.len();
        for (argument, implied) in arguments {
            let written = argument.name.as_ref();
            let Some(name) = implied.map(String::from).or(written.map(text)) else { continue };
            let at = written.map_or(argument.value.place, |name| name.span().into());
            if places.iter().any(|(n, _)| *n == name) {
                self.mistake(Mistake::new(at, format!("`{name}` is given twice")));
                continue;
            }
            let attribute = match Attribute::find(function, &name, form, shown) {
                Ok(attribute) => attribute,
                Err(mistake) => {
                    self.mistake(Mistake::new(at, mistake.message));
                    continue;
                }
            };
            if let Some(value) = self.attribute(attribute, &argument.value) {
                attributes.set(&name, value);
            }
            places.push((name, argument.value.place));
        }
        if self.recorder.mistakes.len() > before {
            return None;
        }
        if let Err(mistake) = attributes.check(function, form, shown) {
            let blame = Blame { call, operands: &[], attributes: &places };
            self.recorder.blame(mistake, &blame);
            return None;
        }
        Some((attributes, places))
    }

    fn attribute(&mut self, attribute: &Attribute, x: &Expr) -> Option<AttributeValue> {
        let value = match read(attribute.kind, self, x) {
            Ok(value) => Some(value),
            Err(Wrong::Kind) => None,
            Err(Wrong::Told) => return None,
        };
        if value.is_none() {
            let mut message = attribute.wrong_kind().message;
            if let ExprKind::Name(word) = &x.inner().kind {
                message += match text(word).as_str() {
                    "True" => "; did you mean `true`?",
                    "False" => "; did you mean `false`?",
                    "None" => ": leave it out where there is none",
                    _ => "",
                };
            }
            self.mistake(Mistake::new(x.place, message));
        }
        value
    }

    /// How a parameter starts: an initialiser and its numbers.
    pub(super) fn initialiser(&mut self, x: &Expr) -> Option<(String, Vec<f64>)> {
        let (name, arguments): (_, &[Argument]) = match &x.inner().kind {
            ExprKind::Name(name) => (name, &[]),
            ExprKind::Call { receiver: None, function, arguments } => (function, arguments),
            _ => {
                let message = "a parameter starts as `zeros`, `full(0.5)`, `normal(0.0, 1.0)` \
                               or another initialiser";
                self.mistake(Mistake::new(x.place, message));
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
                    self.mistake(Mistake::new(argument.value.place, message));
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

    /// A size: a number where it can be told, else a symbol.
    pub(super) fn size(&mut self, x: &Expr) -> Option<Dim> {
        const AT_LEAST: &str = "a size must be at least 1";
        match fold(x) {
            Ok(Some(0)) => {
                self.mistake(Mistake::new(x.place, AT_LEAST));
                None
            }
            Ok(Some(n)) => Some(Dim::Fixed(n)),
            Ok(None) => {
                let symbol: Arc<str> = show(x).into();
                self.symbols.entry(symbol.to_string()).or_insert_with(|| whole(x.inner()));
                let condition = Condition::Positive(symbol.clone());
                self.recorder.require(condition, AT_LEAST.into(), x.place);
                Some(Dim::Symbol(symbol))
            }
            Err(mistake) => {
                self.mistake(mistake);
                None
            }
        }
    }
}

/// The number that a size is, or `None` if only Rust can tell.
fn fold(x: &Expr) -> Result<Option<usize>, Mistake> {
    const WHAT: &str = "a size is an integer or a constant: `128`, `HIDDEN`, `2 * N`";
    match &x.kind {
        ExprKind::Number { literal, text } => match Lit::new(literal.clone()) {
            Lit::Int(int) => match int.base10_parse::<usize>() {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(Mistake::new(x.place, format!("`{text}` is too large for a size"))),
            },
            _ => Err(Mistake::new(x.place, WHAT)),
        },
        ExprKind::Name(_) | ExprKind::Path(_) => Ok(None),
        ExprKind::Rust { tokens, .. } => match syn::parse2::<syn::Expr>(tokens.clone()) {
            Ok(_) => Ok(None),
            Err(error) => Err(error.into()),
        },
        ExprKind::Paren(x) => fold(x),
        ExprKind::Binary(operator, _, a, b) => {
            let (Some(a), Some(b)) = (fold(a)?, fold(b)?) else { return Ok(None) };
            let n = match operator {
                Operator::Add => a.checked_add(b),
                Operator::Sub => a.checked_sub(b),
                Operator::Mul => a.checked_mul(b),
                Operator::Div => a.checked_div(b),
            };
            match n {
                Some(n) => Ok(Some(n)),
                None => Err(Mistake::new(x.place, format!("`{x}` is not a size"))),
            }
        }
        ExprKind::Call { .. } => {
            let message = format!("{WHAT}; other Rust goes into braces: `{{ {x} }}`");
            Err(Mistake::new(x.place, message))
        }
        ExprKind::Flag(_) | ExprKind::List(_) | ExprKind::Neg(..) | ExprKind::Chain { .. } => {
            Err(Mistake::new(x.place, WHAT))
        }
    }
}

/// A symbolic size as messages show it: without what encloses it.
fn show(x: &Expr) -> String {
    match &x.inner().kind {
        ExprKind::Rust { inner, .. } if !inner.to_string().contains(';') => inner.to_string(),
        _ => x.inner().to_string(),
    }
}

/// A size as Rust, where nothing stands beside it.
fn whole(x: &Expr) -> TokenStream {
    match &x.kind {
        ExprKind::Rust { inner, .. } if syn::parse2::<syn::Expr>(inner.clone()).is_ok() => {
            inner.clone()
        }
        _ => rust(x),
    }
}

/// A size as Rust, as part of another.
fn rust(x: &Expr) -> TokenStream {
    match &x.kind {
        ExprKind::Number { literal, .. } => literal.to_token_stream(),
        ExprKind::Name(name) => name.to_token_stream(),
        ExprKind::Path(tokens) => tokens.clone(),
        ExprKind::Rust { tokens, .. } => tokens.clone(),
        ExprKind::Paren(x) => Group::new(Delimiter::Parenthesis, rust(x)).to_token_stream(),
        ExprKind::Binary(operator, place, a, b) => {
            let mut mark = Punct::new(operator.symbol(), Spacing::Alone);
            mark.set_span(place.start);
            let (a, b, mark) = (rust(a), rust(b), TokenTree::from(mark));
            quote!(#a #mark #b)
        }
        // Not sizes.
        _ => TokenStream::new(),
    }
}
