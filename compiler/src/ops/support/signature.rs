//! How an operation or a layer is called in the language: its operands, its
//! attributes, and what the two may be.

use crate::error::{Mistake, nearest};
use crate::pytorch;
use crate::shape::Dim;

/// The form of a call.
#[derive(Debug)]
pub struct Signature {
    /// Its operands' names.
    pub operands: &'static [&'static str],
    /// Its attributes, in order; those with a default come last.
    pub attributes: &'static [Attribute],
    /// Another name for the same function.
    pub alias: Option<&'static str>,
    /// Whether it is written as an operator, as `+`.
    pub operator: bool,
}

impl Signature {
    /// A function of these operands without attributes.
    pub const fn of(operands: &'static [&'static str]) -> Signature {
        Signature { operands, attributes: &[], alias: None, operator: false }
    }

    /// With attributes.
    pub const fn with(self, attributes: &'static [Attribute]) -> Signature {
        Signature { attributes, ..self }
    }

    /// With another name.
    pub const fn or(self, alias: &'static str) -> Signature {
        Signature { alias: Some(alias), ..self }
    }

    /// Written as an operator.
    pub const fn operator(self) -> Signature {
        Signature { operator: true, ..self }
    }

    /// The call as it is shown to a user: `sum(x, axis = all)`.
    pub fn show(&self, name: &str) -> String {
        let operands = self.operands.iter().map(|o| o.to_string());
        let attributes = self.attributes.iter().map(|a| match a.default {
            Some(default) => format!("{} = {default}", a.name),
            None => a.name.to_string(),
        });
        format!("{name}({})", operands.chain(attributes).collect::<Vec<_>>().join(", "))
    }
}

/// An attribute: a number or a shape that is part of the call.
#[derive(Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: AttributeKind,
    /// What stands for it in a signature where it may be left out.
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

    /// The answer to a value of another kind.
    pub fn wrong_kind(&self) -> Mistake {
        let message = format!("`{}` takes {}", self.name, self.kind.describe());
        Mistake::attribute(self.name, message)
    }

    /// Checks that a value is of the attribute's kind, and a word one of those
    /// that there are.
    fn check(&self, value: &AttributeValue) -> Result<(), Mistake> {
        match (self.kind, value) {
            (AttributeKind::Choice(words), AttributeValue::Choice(word)) => {
                if words.contains(&word.as_str()) {
                    return Ok(());
                }
                let near = nearest(word, words.iter().copied());
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let message =
                    format!("`{}` takes {}, not `{word}`{near}", self.name, self.kind.describe());
                Err(Mistake::attribute(self.name, message))
            }
            (kind, value) if kind == value.kind() => Ok(()),
            _ => Err(self.wrong_kind()),
        }
    }
}

/// What an attribute may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttributeKind {
    /// A whole number that may be negative: `-1`.
    Axis,
    /// A number: `0.5`.
    Number,
    /// `true` or `false`.
    Flag,
    /// A size: a literal or a constant expression.
    Size,
    /// Sizes in brackets: `[7, 16]`.
    Sizes,
    /// Axes in brackets: `[1, 0]`.
    Axes,
    /// One of these words: `tanh`.
    Choice(&'static [&'static str]),
    /// A whole number that is not negative: `3`.
    Whole,
    /// Numbers in brackets: `[0.2, 0.8]`. A number alone is a list of one.
    Numbers,
}

impl AttributeKind {
    /// In words, for messages.
    pub fn describe(self) -> String {
        let words = match self {
            AttributeKind::Axis => "an axis, as `-1`",
            AttributeKind::Number => "a number",
            AttributeKind::Flag => "`true` or `false`",
            AttributeKind::Size => "a size, as `128`",
            AttributeKind::Sizes => "sizes, as `[7, 16]`",
            AttributeKind::Axes => "axes, as `[1, 0]`",
            AttributeKind::Whole => "a whole number, as `3`",
            AttributeKind::Numbers => "numbers, as `[0.2, 0.8]`",
            AttributeKind::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                return words.join(" or ");
            }
        };
        words.into()
    }
}

/// An attribute's value.
#[derive(Clone, PartialEq, Debug)]
pub enum AttributeValue {
    /// See [`AttributeKind::Axis`].
    Axis(i64),
    /// See [`AttributeKind::Number`].
    Number(f64),
    /// See [`AttributeKind::Flag`].
    Flag(bool),
    /// See [`AttributeKind::Size`].
    Size(Dim),
    /// See [`AttributeKind::Sizes`].
    Sizes(Vec<Dim>),
    /// See [`AttributeKind::Axes`].
    Axes(Vec<i64>),
    /// See [`AttributeKind::Choice`].
    Choice(String),
    /// See [`AttributeKind::Whole`].
    Whole(usize),
    /// See [`AttributeKind::Numbers`].
    Numbers(Vec<f64>),
}

impl AttributeValue {
    /// Its kind.
    pub fn kind(&self) -> AttributeKind {
        match self {
            AttributeValue::Axis(_) => AttributeKind::Axis,
            AttributeValue::Number(_) => AttributeKind::Number,
            AttributeValue::Flag(_) => AttributeKind::Flag,
            AttributeValue::Size(_) => AttributeKind::Size,
            AttributeValue::Sizes(_) => AttributeKind::Sizes,
            AttributeValue::Axes(_) => AttributeKind::Axes,
            // A word does not know among which it was chosen.
            AttributeValue::Choice(_) => AttributeKind::Choice(&[]),
            AttributeValue::Whole(_) => AttributeKind::Whole,
            AttributeValue::Numbers(_) => AttributeKind::Numbers,
        }
    }
}

/// The attributes of one call, by name.
#[derive(Clone, Default, Debug)]
pub struct Attributes(Vec<(String, AttributeValue)>);

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $Variant:ident, $T:ty) => {
        $(#[$doc])*
        pub fn $name(&self, name: &str) -> Option<$T> {
            match self.get(name)? {
                AttributeValue::$Variant(value) => Some(value.clone()),
                _ => None,
            }
        }
    };
}

impl Attributes {
    /// No attributes.
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// Adds one.
    pub fn set(&mut self, name: &str, value: AttributeValue) {
        self.0.push((name.into(), value));
    }

    /// With one more.
    pub fn with(mut self, name: &str, value: AttributeValue) -> Attributes {
        self.set(name, value);
        self
    }

    /// The value of one, if it was given.
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// In the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v))
    }

    getter!(
        /// An axis, if it was given.
        axis, Axis, i64);
    getter!(
        /// A number, if it was given.
        number, Number, f64);
    getter!(
        /// A flag, if it was given.
        flag, Flag, bool);
    getter!(
        /// A size, if it was given.
        size, Size, Dim);
    getter!(
        /// Sizes, if they were given.
        sizes, Sizes, Vec<Dim>);
    getter!(
        /// Axes, if they were given.
        axes, Axes, Vec<i64>);
    getter!(
        /// A word, if it was given.
        choice, Choice, String);
    getter!(
        /// A whole number, if it was given.
        whole, Whole, usize);
    getter!(
        /// Numbers, if they were given.
        numbers, Numbers, Vec<f64>);

    /// Checks names, kinds and completeness against the form of the call.
    pub fn check(
        &self,
        name: &str,
        form: &'static [Attribute],
        shown: &str,
    ) -> Result<(), Mistake> {
        for (given, value) in self.iter() {
            Attribute::find(name, given, form, shown)?.check(value)?;
        }
        for attribute in form {
            if attribute.default.is_none() && self.get(attribute.name).is_none() {
                return Err(Mistake::call(format!(
                    "`{name}` needs `{}`: it is called as `{shown}`",
                    attribute.name
                )));
            }
        }
        Ok(())
    }
}
