//! Checks ranges, `x[0..3, -1]`, and functions of a list of values, `concat([a, b])`.

use bilro_compiler::declaration::wrong_count;
use bilro_compiler::ops::{Attributes, Signature};
use proc_macro2::Ident;

use super::recorder::{CallSpans, Operand, Value};
use super::values::show;
use super::{Checker, text};
use crate::ast::{Argument, Expr, ExprKind, Positions, Range};
use crate::error::{Mistake, SourceSpan};

impl Checker<'_> {
    /// Ranges of the first axes of a value; axes of single positions are dropped.
    pub(super) fn index(
        &mut self,
        x: &Expr,
        ranges: &[Range],
        brackets: SourceSpan,
    ) -> Option<Value> {
        let mut operand = self.operand(x);
        let Some(value) = operand.value else {
            // Mistakes in the positions too.
            ranges.iter().enumerate().for_each(|(axis, range)| drop(self.slice(axis, range)));
            return None;
        };
        let shape = self.recorder.ty(value)?.shape.clone();
        if ranges.len() > shape.rank() {
            let message = match shape.rank() {
                0 => format!("`{}` is a single number and has no elements to select", show(x)),
                rank => format!(
                    "`{}` of shape {shape} has {rank} {}, but {} are indexed",
                    show(x),
                    if rank == 1 { "axis" } else { "axes" },
                    ranges.len()
                ),
            };
            self.mistake(Mistake::new(brackets, message));
            return None;
        }
        let slices: Vec<Option<Option<Attributes>>> =
            ranges.iter().enumerate().map(|(axis, range)| self.slice(axis, range)).collect();
        let slices: Vec<Option<Attributes>> = slices.into_iter().collect::<Option<_>>()?;
        for (attributes, range) in slices.iter().zip(ranges) {
            let Some(attributes) = attributes else { continue };
            let span = match range {
                Range::Of(positions) => positions.span,
                Range::At(x) => x.span,
            };
            let spans = CallSpans { call: span, operands: &[], attributes: &[] };
            operand.value =
                self.record_call("slice", std::slice::from_ref(&operand), attributes, &spans);
            operand.value?;
        }
        let dropped = ranges.iter().enumerate().filter(|(_, range)| matches!(range, Range::At(_)));
        let axes: Vec<i64> = dropped.map(|(axis, _)| axis as i64).collect();
        if axes.is_empty() {
            return operand.value;
        }
        let attributes = Attributes::from([("axes", axes)]);
        let spans = CallSpans { call: brackets, operands: &[], attributes: &[] };
        self.record_call("squeeze", &[operand], &attributes, &spans)
    }

    /// The attributes of a range's slice, `Some(None)` for a whole axis; `None` after a mistake.
    fn slice(&mut self, axis: usize, range: &Range) -> Option<Option<Attributes>> {
        let mut attributes = Attributes::new().with("axis", axis as i64);
        match range {
            Range::Of(positions) => {
                let Positions { start, stop, step, .. } = &**positions;
                if start.is_none() && stop.is_none() && step.is_none() {
                    return Some(None);
                }
                for (name, x) in [("start", start), ("stop", stop), ("step", step)] {
                    if let Some(x) = x {
                        attributes.set(name, self.position(x)?);
                    }
                }
            }
            Range::At(x) => {
                let at = self.position(x)?;
                attributes.set("start", at);
                if at != -1 {
                    attributes.set("stop", at.saturating_add(1));
                }
            }
        }
        Some(Some(attributes))
    }

    fn position(&mut self, x: &Expr) -> Option<i64> {
        let found = super::arguments::axis(x);
        if found.is_none() {
            let message = format!("a position is an integer, as `3` or `-1`, not `{}`", show(x));
            self.mistake(Mistake::new(x.span, message));
        }
        found
    }

    /// Calls a function of a list of values: `concat([a, b], axis = 0)`.
    pub(super) fn function_of_list(
        &mut self,
        receiver: Option<Operand>,
        name: &Ident,
        form: &'static Signature,
        unnamed: &[&Argument],
        named: &[&Argument],
    ) -> Option<Value> {
        let key = text(name);
        let shown = form.show(&key);
        let list = unnamed.first().map(|list| &list.value.inner().kind);
        let (None, Some(ExprKind::List(list))) = (&receiver, list) else {
            let message = format!("`{key}` takes a list of values: it is called as `{shown}`");
            self.mistake(Mistake::new(name.span(), message));
            return None;
        };
        let operands: Vec<Operand> = list.elements.iter().map(|x| self.operand(x)).collect();
        let positional = &unnamed[1..];
        if operands.is_empty() || positional.len() > form.attributes.len() {
            let message = match operands.is_empty() {
                true => format!("`{key}` needs at least one value: `{shown}`"),
                false => wrong_count(&key, 1 + form.attributes.len(), unnamed.len(), &shown),
            };
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        self.call_function(name, form, &operands, positional, named)
    }

    /// Calls a function of values after a text: `einsum("ij,jk->ik", a, b)`.
    pub(super) fn function_of_spread(
        &mut self,
        receiver: Option<Operand>,
        name: &Ident,
        form: &'static Signature,
        unnamed: &[&Argument],
        named: &[&Argument],
    ) -> Option<Value> {
        let key = text(name);
        let shown = form.show(&key);
        let is_text = |x: &&&Argument| matches!(x.value.inner().kind, ExprKind::Text(_));
        // The text comes first, also with its name.
        let has_name = named.iter().any(|a| a.name.as_ref().is_some_and(|n| n == "equation"));
        let (texts, values) = match unnamed.split_first() {
            Some((first, rest)) if !has_name && is_text(&first) => (vec![*first], rest),
            _ => (vec![], unnamed),
        };
        if receiver.is_some() || (texts.is_empty() && !has_name) {
            let message = format!("`{key}` takes a text and values: it is called as `{shown}`");
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        // Also a list of values, as in PyTorch.
        let operands: Vec<Operand> = match values {
            [list] if let ExprKind::List(list) = &list.value.inner().kind => {
                list.elements.iter().map(|x| self.operand(x)).collect()
            }
            values => values.iter().map(|a| self.operand(&a.value)).collect(),
        };
        if operands.is_empty() {
            let message = format!("`{key}` needs at least one value: `{shown}`");
            self.mistake(Mistake::new(name.span(), message));
            return None;
        }
        self.call_function(name, form, &operands, &texts, named)
    }
}
