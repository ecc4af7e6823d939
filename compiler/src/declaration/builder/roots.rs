//! Roots of a declaration: outputs, the loss, metrics.

use super::terms::Summand;
use super::{Builder, LossReduction, Operand};
use crate::error::Mistake;
use crate::graph::{NodeId, Root};
use crate::ops::Leaf;

impl Builder {
    /// Declares an output: a value that `predict` returns under this name.
    pub fn output(&mut self, name: &str, value: NodeId) -> Result<(), Mistake> {
        self.check_owned(value)?;
        let root = Root::Output(name.into());
        if self.graph.root(&root).is_some() {
            return Err(Mistake::call(format!("output `{name}` is declared twice")));
        }
        if let Some(target) = self.target_of(value) {
            return Err(Mistake::operand(
                0,
                format!(
                    "output `{name}` depends on target `{target}`, which predictions do not have"
                ),
            ));
        }
        if !self.graph.ty(value).is_real() {
            return Err(Mistake::operand(0, format!("output `{name}` holds integers")));
        }
        self.graph.name(value, name);
        self.graph.add_root(root, value);
        Ok(())
    }

    fn target_of(&self, value: NodeId) -> Option<&str> {
        let mut is_needed = vec![false; self.graph.len()];
        is_needed[value.index()] = true;
        for id in self.graph.ids().rev().filter(|id| *id <= value) {
            if is_needed[id.index()] {
                if let Some(Leaf::Input(op)) = self.graph.op(id).leaf()
                    && self.inputs[op.index].is_target
                {
                    return Some(&self.inputs[op.index].name);
                }
                for x in self.graph.operands(id) {
                    is_needed[x.index()] = true;
                }
            }
        }
        None
    }

    /// Declares the loss: the mean or the sum of all elements of a value. The mean is weighted if an
    /// operation has weights of targets; results of such an operation may only be terms of the loss,
    /// each times a single number.
    pub fn loss<'a>(
        &mut self,
        value: impl Into<Operand<'a>> + Copy,
        reduction: LossReduction,
    ) -> Result<(), Mistake> {
        if self.graph.root(&Root::Loss).is_some() {
            return Err(Mistake::call("a network has one loss, but this is the second"));
        }
        let x = self.real(value.into(), "a loss")?;
        let summands = self.summands(x, reduction, "loss")?;
        let loss = self.total(&summands);
        self.loss = Some((x, summands));
        self.graph.name(loss, "loss");
        self.graph.add_root(Root::Loss, loss);
        Ok(())
    }

    /// Declares a metric: the mean of all elements of a value, weighted as in [`Builder::loss`].
    pub fn metric<'a>(
        &mut self,
        name: &str,
        value: impl Into<Operand<'a>> + Copy,
    ) -> Result<(), Mistake> {
        let root = Root::Metric(name.into());
        if self.graph.root(&root).is_some() {
            return Err(Mistake::call(format!("metric `{name}` is declared twice")));
        }
        let x = self.real(value.into(), "a metric")?;
        let summands = self.summands(x, LossReduction::Mean, "metric")?;
        self.add_metric(name, summands);
        Ok(())
    }

    pub(super) fn add_metric(&mut self, name: &str, summands: Vec<Summand>) {
        let mean = self.total(&summands);
        self.metrics.push(summands);
        self.graph.add_root(Root::Metric(name.into()), mean);
    }

    fn real(&self, x: Operand<'_>, quantity: &str) -> Result<NodeId, Mistake> {
        let (x, name) = self.text(x).map_err(|message| Mistake::operand(0, message))?;
        match self.graph.ty(x).is_real() {
            true => Ok(x),
            false => Err(Mistake::operand(
                0,
                format!("{quantity} takes reals, but `{name}` holds integers"),
            )),
        }
    }
}
