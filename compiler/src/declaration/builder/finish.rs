//! From what a builder has been told to a network: what is missing, parameters and layers in
//! declared order, the metric that comes by itself.

use super::{Builder, LossReduction};
use crate::declaration::{Declaration, Declared, Layer, Parameter};
use crate::error::{Error, Mistake};
use crate::graph::Root;
use crate::ops::{self, Op};

impl Builder {
    /// The network. Where the loss compares scores with a class and there is
    /// no metric for it, accuracy is one. A network without a loss only predicts,
    /// and so has outputs, and nothing that only a loss needs.
    pub fn finish(mut self) -> Result<Declaration, Error> {
        let fail = |network: &str, message: &str| Error::Declaration {
            network: network.into(),
            mistake: Mistake::call(message),
        };
        if let Some(missing) = self.missing() {
            return Err(fail(&self.name, missing));
        }
        if let Some(fact) = self.facts.undecided.first() {
            return Err(fail(&self.name, &fact.mistake.message));
        }
        self.add_accuracy();
        let measures = self.add_sums();
        // Parameters of a layer are made at its first use, but belong where it
        // was declared; so does what is in a module.
        let mut order: Vec<usize> = (0..self.parameters.len()).collect();
        order.sort_by_key(|i| &self.parameters[*i].0);
        let mut place = vec![0; order.len()];
        for (to, from) in order.iter().enumerate() {
            place[*from] = to;
        }
        let mut graph = self.graph.rebuild(|g, op, operands| match op {
            Op::Parameter(p) => {
                let (index, shape) = (place[p.index], p.shape.clone());
                g.apply(ops::parameter::Parameter { index, shape }, &[])
            }
            _ => g.apply(op.clone(), operands),
        });
        graph.rename_roots(|root| match root {
            Root::Assign(i) => Root::Assign(place[i]),
            other => other,
        });
        let parameters: Vec<Parameter> =
            order.iter().map(|i| self.parameters[*i].1.clone()).collect();
        self.layers.sort_by(|a, b| a.order.cmp(&b.order));
        let layers = self.layers.into_iter().filter_map(|l| {
            let (input, output, multiply_adds) = l.used?;
            let prefix = format!("{}.", l.name);
            let own = parameters.iter().enumerate().filter(|(_, p)| p.name.starts_with(&prefix));
            Some(Layer {
                kind: l.layer.describe(&input),
                module: l.layer.module(&input),
                parameters: own.map(|(i, _)| i).collect(),
                name: l.name,
                input: input.shape,
                output,
                multiply_adds,
            })
        });
        Ok(Declaration(Declared {
            name: self.name,
            inputs: self.inputs,
            layers: layers.collect(),
            choices: self.choices,
            parameters,
            measures,
            graph,
        }))
    }

    /// What it has too little of to be a network.
    fn missing(&self) -> Option<&'static str> {
        let has = |wanted: fn(&Root) -> bool| self.graph.roots().iter().any(|(r, _)| wanted(r));
        if has(|root| matches!(root, Root::Loss)) {
            return None;
        }
        let needs_loss = has(|root| matches!(root, Root::Metric(_)))
            || self.inputs.iter().any(|input| input.is_target || input.has_gradient);
        match (needs_loss, has(|root| matches!(root, Root::Output(_)))) {
            (true, _) => Some("has no loss"),
            (false, true) => None,
            (false, false) => Some("has neither an output nor a loss"),
        }
    }

    fn add_accuracy(&mut self) {
        let metric = Root::Metric("accuracy".into());
        let elements = match &self.loss {
            Some((elements, _)) if self.graph.root(&metric).is_none() => *elements,
            _ => return,
        };
        let ignore_index = match self.graph.op(elements) {
            Op::CrossEntropy(op) => op.counting.ignore_index,
            Op::NllLoss(op) => op.counting.ignore_index,
            _ => return,
        };
        let operands = self.graph.operands(elements);
        if self.graph.ty(operands[1]).is_real() {
            // Probabilities name no class.
            return;
        }
        let hits = self.graph.apply(ops::accuracy::Accuracy { ignore_index }, &operands);
        let summands = self.summands(hits, LossReduction::Mean, "metric");
        self.add_metric("accuracy", summands.expect("what is one term has no other use"));
    }
}
