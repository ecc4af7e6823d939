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
        if let Some(op) = self.needed(value).find(|id| self.graph.op(*id).meets()) {
            let function = self.graph.op(op).name();
            return Err(Mistake::operand(
                0,
                format!(
                    "output `{name}` depends on the other examples of its batch by `{function}`: write \
                     `{function}(…, predict = true)` if predictions should"
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
        self.needed(value).find_map(|id| match self.graph.op(id).leaf() {
            Some(Leaf::Input(op)) if self.inputs[op.index].is_target => {
                Some(&*self.inputs[op.index].name)
            }
            _ => None,
        })
    }

    /// The nodes that a value depends on, itself first.
    fn needed(&self, value: NodeId) -> impl Iterator<Item = NodeId> {
        let mut is_needed = vec![false; self.graph.len()];
        is_needed[value.index()] = true;
        let all = self.graph.ids().rev().filter(move |id| *id <= value);
        all.filter(move |id| {
            if is_needed[id.index()] {
                self.graph.operands(*id).iter().for_each(|x| is_needed[x.index()] = true);
            }
            is_needed[id.index()]
        })
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
