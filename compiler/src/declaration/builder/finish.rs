//! Finishes a declaration: completeness, order of parameters and layers, default metrics.

use super::layers::FirstUse;
use super::{Builder, LossReduction};
use crate::declaration::{Declaration, Declared, Layer, Parameter};
use crate::error::{Error, Mistake};
use crate::graph::Root;
use crate::ops::{self, Leaf};

impl Builder {
    /// Finishes the network. Adds the default metric of the loss, as accuracy for scores and a class,
    /// unless a metric of that name is declared.
    ///
    /// # Errors
    /// For a network without outputs and loss, with targets, metrics or input gradients but without a
    /// loss, or with undecided sizes.
    pub fn finish(mut self) -> Result<Declaration, Error> {
        let fail = |network: &str, message: &str| Error::Declaration {
            network: network.into(),
            mistake: Mistake::call(message),
        };
        if let Some(missing) = self.missing() {
            return Err(fail(&self.name, missing));
        }
        let has_gradient =
            |name: &str| self.inputs.iter().any(|i| i.has_gradient && i.name == name);
        if let Some((_, both)) = self.parameters.iter().find(|(_, p)| has_gradient(&p.name)) {
            let message = format!(
                "`{}` is a parameter and an input whose gradient is asked for: gradients need names of \
                 their own",
                both.name
            );
            return Err(fail(&self.name, &message));
        }
        if let Some(fact) = self.facts.undecided.first() {
            return Err(fail(&self.name, &fact.mistake.message));
        }
        self.add_default_metric();
        let measures = self.add_sums();
        // Parameters of a layer are created at its first use, but ordered by the declaration of the layer
        // and of its modules.
        let mut order: Vec<usize> = (0..self.parameters.len()).collect();
        order.sort_by_key(|i| &self.parameters[*i].0);
        let mut new_index = vec![0; order.len()];
        for (to, from) in order.iter().enumerate() {
            new_index[*from] = to;
        }
        let mut graph = self.graph.rebuild(|g, op, operands| match op.leaf() {
            Some(Leaf::Parameter(p)) => {
                let (index, shape) = (new_index[p.index], p.shape.clone());
                g.apply(ops::parameter::Parameter { index, shape }, &[])
            }
            _ => g.apply(op.clone(), operands),
        });
        graph.rename_roots(|root| match root {
            Root::Assign(i) => Root::Assign(new_index[i]),
            other => other,
        });
        let parameters: Vec<Parameter> =
            order.iter().map(|i| self.parameters[*i].1.clone()).collect();
        self.layers.sort_by(|a, b| a.order.cmp(&b.order));
        let declared = &self.graph;
        let layers = self.layers.into_iter().filter_map(|l| {
            let FirstUse { inputs, outputs, multiply_adds } = l.first_use?;
            let index = |id| match declared.op(id).leaf() {
                Some(Leaf::Parameter(parameter)) => Some(new_index[parameter.index]),
                _ => None,
            };
            let mut of_layer: Vec<usize> =
                l.parameters.iter().filter_map(|(_, id)| index(*id)).collect();
            of_layer.sort_unstable();
            Some(Layer {
                kind: l.layer.describe(&inputs),
                module: l.layer.module(&inputs),
                parameters: of_layer,
                name: l.name,
                inputs: inputs.into_iter().map(|ty| ty.shape).collect(),
                outputs,
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

    /// The message for a missing output or loss.
    fn missing(&self) -> Option<&'static str> {
        let has = |is: fn(&Root) -> bool| self.graph.roots().iter().any(|(root, _)| is(root));
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

    /// Adds the default metric of the loss, if its operation has one.
    fn add_default_metric(&mut self) {
        let Some((loss, _)) = &self.loss else { return };
        let loss = *loss;
        let Some(op) = self.graph.op(loss).metric(&self.graph.operand_types(loss)) else { return };
        let name = op.name();
        if self.graph.root(&Root::Metric(name.into())).is_some() {
            return;
        }
        let operands = self.graph.operands(loss).to_vec();
        let metric = self.graph.apply(op, &operands);
        let summands = self.summands(metric, LossReduction::Mean, "metric");
        self.add_metric(name, summands.expect("a single term has no other use"));
    }
}
