//! Operands of the builder's calls: values with an optional text for messages.

use std::borrow::Cow;

use super::Builder;
use crate::error::Mistake;
use crate::graph::NodeId;

const FOREIGN: &str = "this value belongs to another network";

/// An operand of a call: a value with its text for messages, `(x, "x")`, or alone.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    value: NodeId,
    text: Option<&'a str>,
}

impl From<NodeId> for Operand<'_> {
    fn from(value: NodeId) -> Self {
        Operand { value, text: None }
    }
}

impl<'a> From<(NodeId, &'a str)> for Operand<'a> {
    fn from((value, text): (NodeId, &'a str)) -> Operand<'a> {
        Operand { value, text: Some(text) }
    }
}

impl<'a> From<(NodeId, &'a String)> for Operand<'a> {
    fn from((value, text): (NodeId, &'a String)) -> Operand<'a> {
        (value, text.as_str()).into()
    }
}

/// A value with its text.
pub(super) type Shown<'a> = (NodeId, Cow<'a, str>);

/// Values with borrowed texts.
pub(super) fn pairs<'a>(x: &'a [Shown<'_>]) -> Vec<(NodeId, &'a str)> {
    x.iter().map(|(x, text)| (*x, &**text)).collect()
}

/// A long label as its beginning: what a layer gives is named after the layer and after what it was
/// used on, which is named so too.
fn shortened(label: String) -> String {
    const LONGEST: usize = 80;
    if label.chars().count() <= LONGEST {
        return label;
    }
    match label.split_once('(') {
        Some((layer, _)) if layer.chars().count() <= LONGEST => format!("{layer}(…)"),
        _ => label.chars().take(LONGEST).chain(['…']).collect(),
    }
}

impl Builder {
    /// Requires a value of this network.
    pub(super) fn check_owned(&self, x: NodeId) -> Result<(), Mistake> {
        match x.index() < self.graph.len() {
            true => Ok(()),
            false => Err(Mistake::call(FOREIGN)),
        }
    }

    /// A value with its text, default its label in the graph.
    pub(super) fn text<'a>(&self, x: Operand<'a>) -> Result<Shown<'a>, &'static str> {
        match x.text {
            _ if x.value.index() >= self.graph.len() => Err(FOREIGN),
            Some(text) => Ok((x.value, text.into())),
            None => Ok((x.value, shortened(self.graph.label(x.value)).into())),
        }
    }

    /// [`Self::text`] for all operands of a call.
    pub(super) fn texts<'a>(
        &self,
        x: &[impl Into<Operand<'a>> + Copy],
    ) -> Result<Vec<Shown<'a>>, Mistake> {
        let shown = |(i, x): (usize, &_)| {
            let x: Operand<'a> = Into::into(*x);
            self.text(x).map_err(|message| Mistake::operand(i, message))
        };
        x.iter().enumerate().map(shown).collect()
    }
}
