//! Terms of a loss or a metric: summands that are reduced by separate weighted means.
//!
//! The mean of a sum of values with different weights is defined as the sum of their weighted means, as
//! in PyTorch, where each loss of a sum is reduced before. So a value is decomposed into its terms, as
//! far as it depends on weighted values. A value without weights is one term, with a plain mean.

use std::collections::BTreeMap;

use super::{Builder, LossReduction};
use crate::declaration::{Measure, Term};
use crate::error::Mistake;
use crate::graph::{NodeId, Quantity, Root};
use crate::ops::{Linearity, Lowering, Sign, View};
use crate::shape::{Dim, Shape};

/// A term of the loss or of a metric.
#[derive(Clone, Debug)]
pub(super) struct Summand {
    /// The value whose elements are summed.
    value: NodeId,
    /// Its factor, a single number; `None` for 1.
    factor: Option<NodeId>,
    /// The weights of its elements, if any.
    weights: Option<NodeId>,
    reduction: LossReduction,
}

impl Builder {
    /// The terms of the loss or a metric (`quantity`). A mistake if a weighted value is used otherwise
    /// than as a term.
    pub(super) fn summands(
        &mut self,
        x: NodeId,
        reduction: LossReduction,
        quantity: &str,
    ) -> Result<Vec<Summand>, Mistake> {
        let weighted = self.weighted(x);
        if reduction == LossReduction::Sum {
            self.check_sum(x, &weighted)?;
            return Ok(vec![Summand { value: x, factor: None, weights: None, reduction }]);
        }
        let mut summands = Vec::new();
        // Factors of pending nodes, processed in reverse topological order: each node once.
        let mut pending = BTreeMap::from([(x, None)]);
        while let Some((x, factor)) = pending.pop_last() {
            let source = weighted[x.index()];
            if source.is_none_or(|source| source == x) {
                let weights = source.and_then(|_| self.weights(x));
                summands.push(Summand { value: x, factor, weights, reduction });
                continue;
            }
            let operands = self.graph.operands(x).to_vec();
            if matches!(
                self.graph.op(x).lower(),
                Lowering::View(View::Broadcast(_) | View::Reshape(_) | View::Transpose(_))
            ) {
                // All elements repeated equally often: the mean is the same.
                self.add_term(&mut pending, operands[0], factor);
                continue;
            }
            match self.graph.op(x).linearity() {
                Linearity::Sum(signs) => {
                    let minus = signs.contains(&Sign::Minus).then(|| self.negated(factor));
                    for (operand, sign) in operands.iter().zip(signs) {
                        let by = if *sign == Sign::Minus { minus } else { factor };
                        self.add_term(&mut pending, *operand, by);
                    }
                }
                Linearity::Product => {
                    let is_first = weighted[operands[0].index()].is_some();
                    let (term, by) = match is_first {
                        true => (operands[0], operands[1]),
                        false => (operands[1], operands[0]),
                    };
                    let by = self.number_of(by, &weighted);
                    let by = by.ok_or_else(|| self.misuse(x, &weighted, quantity))?;
                    let factor = factor.map_or(by, |factor| self.graph.mul(factor, by));
                    self.add_term(&mut pending, term, Some(factor));
                }
                Linearity::Quotient => {
                    let by = self.number_of(operands[1], &weighted);
                    let by = by.ok_or_else(|| self.misuse(x, &weighted, quantity))?;
                    let factor = factor.unwrap_or_else(|| self.graph.constant(1.0));
                    let factor = self.graph.div(factor, by);
                    self.add_term(&mut pending, operands[0], Some(factor));
                }
                Linearity::Unknown => return Err(self.misuse(x, &weighted, quantity)),
            }
        }
        // In topological order.
        summands.reverse();
        Ok(summands)
    }

    /// Adds a value times a factor to the pending nodes; factors of equal nodes are added.
    fn add_term(
        &mut self,
        pending: &mut BTreeMap<NodeId, Option<NodeId>>,
        x: NodeId,
        factor: Option<NodeId>,
    ) {
        let Some(before) = pending.insert(x, factor) else { return };
        let [a, b] = [before, factor].map(|f| f.unwrap_or_else(|| self.graph.constant(1.0)));
        pending.insert(x, Some(self.graph.add(a, b)));
    }

    /// For every node that `x` depends on, the first weighted node that it is or depends on. A weighted
    /// node that depends on another one is not a term.
    fn weighted(&mut self, x: NodeId) -> Vec<Option<NodeId>> {
        let ids = (0..x.index() + 1).map(NodeId::new);
        let mut needed = vec![false; ids.len()];
        needed[x.index()] = true;
        for id in ids.clone().rev() {
            if needed[id.index()] {
                self.graph.operands(id).iter().for_each(|x| needed[x.index()] = true);
            }
        }
        let mut weighted = vec![None; ids.len()];
        for id in ids.filter(|id| needed[id.index()]) {
            let source = self.graph.operands(id).iter().find_map(|x| weighted[x.index()]);
            weighted[id.index()] = source.or_else(|| self.weights(id).map(|_| id));
        }
        weighted
    }

    /// The weights of a node's elements.
    fn weights(&mut self, x: NodeId) -> Option<NodeId> {
        let (op, operands) = (self.graph.op(x).clone(), self.graph.operands(x).to_vec());
        op.weights(&mut self.graph, &operands)
    }

    fn negated(&mut self, factor: Option<NodeId>) -> NodeId {
        match factor {
            Some(factor) => self.graph.neg(factor),
            None => self.graph.constant(-1.0),
        }
    }

    /// A value that is one number for all examples, as a scalar.
    fn number_of(&mut self, x: NodeId, weighted: &[Option<NodeId>]) -> Option<NodeId> {
        if weighted[x.index()].is_some() {
            return None;
        }
        let mut x = x;
        while let Lowering::View(View::Broadcast(_)) = self.graph.op(x).lower() {
            x = self.graph.operands(x)[0];
        }
        let shape = self.graph.shape(x);
        let is_number = !shape.batched && shape.dims.iter().all(|d| *d == Dim::Fixed(1));
        is_number.then(|| self.graph.reshape(x, &Shape::scalar()))
    }

    /// Requires that no mean is taken inside of a sum: it would include elements of weight 0.
    fn check_sum(&self, x: NodeId, weighted: &[Option<NodeId>]) -> Result<(), Mistake> {
        let mut needed = vec![false; x.index() + 1];
        needed[x.index()] = true;
        for id in (0..=x.index()).rev().map(NodeId::new) {
            let Some(source) = weighted[id.index()].filter(|_| needed[id.index()]) else {
                continue;
            };
            let operands = self.graph.operands(id);
            if self.graph.op(id).ignores_weights() {
                let (name, reason) = self.named(source);
                let mean = self.graph.op(id).name();
                let message = format!(
                    "{name} {reason}, but `{mean}` ignores the weights: reduce by `sum`, or leave out \
                     `{mean}` and write `loss` without `sum`, which takes the weighted mean"
                );
                return Err(Mistake::value(id, message));
            }
            operands.iter().for_each(|x| needed[x.index()] = true);
        }
        Ok(())
    }

    /// The mistake of `user`, which uses a weighted value otherwise than as a term.
    fn misuse(&self, user: NodeId, weighted: &[Option<NodeId>], quantity: &str) -> Mistake {
        let source = weighted[user.index()].unwrap_or(user);
        let (name, reason) = self.named(source);
        let is_weighted = |i: usize| {
            self.graph.operands(user).get(i).is_some_and(|x| weighted[x.index()].is_some())
        };
        let op = self.graph.op(user);
        let found = match op.linearity() {
            _ if op.ignores_weights() => &format!("`{}` ignores the weights", op.name()),
            Linearity::Product if is_weighted(0) && is_weighted(1) => {
                "here it is multiplied by another such value"
            }
            Linearity::Product => "here it is multiplied by a value of many elements",
            Linearity::Quotient if is_weighted(1) => "here it is a divisor",
            Linearity::Quotient => "here it is divided by a value of many elements",
            _ => &format!("here it is an operand of `{}`", op.name()),
        };
        let hint = match quantity {
            _ if op.ignores_weights() => {
                format!(": leave it out, `{quantity}` takes the mean itself")
            }
            "loss" => "; `loss sum` adds up elements without weights".into(),
            _ => String::new(),
        };
        Mistake::value(
            user,
            format!(
                "{name} {reason}, so its mean is weighted: in a {quantity} it may be added to other \
                 values, subtracted, and multiplied or divided by a single number, but \
                 {found}{hint}"
            ),
        )
    }

    /// The name of a weighted value, and the reason for its weights.
    fn named(&self, x: NodeId) -> (String, &'static str) {
        let op = self.graph.op(x);
        (format!("`{}`", op.name()), op.weights_reason())
    }

    /// The sum of the reduced terms.
    pub(super) fn total(&mut self, summands: &[Summand]) -> NodeId {
        let numbers: Vec<NodeId> = summands.iter().map(|summand| self.reduced(summand)).collect();
        let mut numbers = numbers.into_iter();
        let first = numbers.next().expect("every value has at least one term");
        numbers.fold(first, |total, number| self.graph.add(total, number))
    }

    fn reduced(&mut self, summand: &Summand) -> NodeId {
        let g = &mut self.graph;
        let number = match summand.reduction {
            LossReduction::Sum => g.sum_all(summand.value),
            LossReduction::Mean => g.mean_to_learn(summand.value),
        };
        summand.factor.map_or(number, |factor| g.mul(number, factor))
    }

    /// Adds the roots that are additive over batches; their aggregation.
    pub(super) fn add_sums(&mut self) -> Vec<Measure> {
        let loss = self.loss.take().map(|(_, summands)| (Quantity::Loss, summands));
        let metrics = std::mem::take(&mut self.metrics).into_iter().enumerate();
        let metrics = metrics.map(|(i, summands)| (Quantity::Metric(i), summands));
        let measures = loss.into_iter().chain(metrics);
        measures
            .map(|(quantity, summands)| {
                let summands = summands.iter().enumerate();
                let terms = summands.map(|(i, term)| self.add_sum(quantity, i, term));
                Measure { quantity, terms: terms.collect() }
            })
            .collect()
    }

    fn add_sum(&mut self, quantity: Quantity, index: usize, summand: &Summand) -> Term {
        let g = &mut self.graph;
        let sum = g.sum_all(summand.value);
        let sum = summand.factor.map_or(sum, |factor| g.mul(sum, factor));
        g.add_root(Root::Sum(quantity, index), sum);
        let shape = g.shape(summand.value).clone();
        match (summand.reduction, summand.weights) {
            (LossReduction::Mean, Some(weights)) => {
                let weight = g.sum_all(weights);
                g.add_root(Root::Weight(quantity, index), weight);
                Term::Weighted
            }
            (LossReduction::Mean, None) => Term::Mean(shape),
            // A value without a batch axis is the same for every batch: not additive.
            (LossReduction::Sum, _) if !shape.batched => Term::Mean(Shape::scalar()),
            (LossReduction::Sum, _) => Term::Total,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::declaration::{Declaration, Init};
    use crate::error::Site;
    use crate::ops::{AttributeValue, Attributes};
    use crate::optim::Training;
    use crate::optim::sgd::Sgd;
    use crate::purpose::Purpose;
    use crate::shape::Type;

    /// Scores of three classes, with a weighted loss and an unweighted one.
    fn start() -> (Builder, NodeId, NodeId) {
        let mut b = Builder::new("N");
        let x = b.input("x", Type::real(Shape::batched([3usize]))).unwrap();
        let y = b.target("y", Type::index(3, Shape::batched([0usize; 0]))).unwrap();
        let w = b.parameter("w", [3], Init::Full(1.0)).unwrap();
        let none = Attributes::new();
        let scores = b.call("mul", &[(x, "x"), (w, "w")], &none).unwrap();
        let operands = [(scores, "scores"), (y, "y")];
        let ignoring = Attributes::new().with("ignore_index", AttributeValue::Integer(0));
        let weighted_loss = b.call("cross_entropy", &operands, &ignoring).unwrap();
        let plain = b.call("cross_entropy", &operands, &none).unwrap();
        (b, weighted_loss, plain)
    }

    fn call(b: &mut Builder, name: &str, x: &[NodeId]) -> NodeId {
        let operands: Vec<_> = x.iter().map(|x| (*x, "x")).collect();
        b.call(name, &operands, Attributes::new()).unwrap()
    }

    fn finished(mut b: Builder, loss: NodeId, reduction: LossReduction) -> Declaration {
        b.loss((loss, "loss"), reduction).unwrap();
        b.finish().unwrap()
    }

    fn roots(network: &Declaration, purpose: &Purpose) -> String {
        let graph = network.graph_for(purpose, 2);
        let shown = graph.roots().iter().map(|(root, _)| root.to_string());
        shown.filter(|root| root.contains(" of term ")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn only_weighted_losses_add_roots_to_a_step() {
        let sgd = Arc::new(Training::from(Sgd::new(0.1)));
        let (mut b, weighted_loss, plain) = start();
        let sum = call(&mut b, "add", &[weighted_loss, plain]);
        let network = finished(b, sum, LossReduction::Mean);
        let terms = &network.loss_measure().unwrap().terms;
        assert_eq!(terms, &[Term::Weighted, Term::Mean(Shape::batched([0usize; 0]))]);
        let loss =
            "sum of term 0 of the loss, weight of term 0 of the loss, sum of term 1 of the loss";
        assert_eq!(roots(&network, &Purpose::Step(sgd.clone())), loss);
        assert_eq!(roots(&network, &Purpose::Evaluate), loss);
        assert_eq!(roots(&network, &Purpose::Gradients), "");

        let (b, _, plain) = start();
        let network = finished(b, plain, LossReduction::Mean);
        assert_eq!(roots(&network, &Purpose::Step(sgd.clone())), "");
        let evaluated = "sum of term 0 of the loss, sum of term 0 of metric 0";
        assert_eq!(roots(&network, &Purpose::Evaluate), evaluated);
    }

    /// Each node is processed once: otherwise there would be 2¹⁰⁰ terms.
    #[test]
    fn a_value_added_to_itself_is_one_term() {
        let (mut b, mut x, _) = start();
        for _ in 0..100 {
            x = call(&mut b, "add", &[x, x]);
        }
        let network = finished(b, x, LossReduction::Mean);
        assert_eq!(network.loss_measure().unwrap().terms, [Term::Weighted]);
    }

    #[test]
    fn other_uses_are_mistakes_at_the_user() {
        let mistake = |f: &dyn Fn(&mut Builder, NodeId) -> NodeId, reduction| {
            let (mut b, weighted_loss, _) = start();
            let x = f(&mut b, weighted_loss);
            let result = b.loss((x, "loss"), reduction);
            result.map_err(|m| (m.site == Site::Value(x), m.message))
        };
        let exp = |b: &mut Builder, x| call(b, "exp", &[x]);
        let (is_at_user, message) = mistake(&exp, LossReduction::Mean).unwrap_err();
        assert!(is_at_user && message.contains("operand of `exp`"), "{message}");
        let square = |b: &mut Builder, x| call(b, "mul", &[x, x]);
        let (is_at_user, message) = mistake(&square, LossReduction::Mean).unwrap_err();
        assert!(is_at_user && message.contains("multiplied by another such value"), "{message}");
        // Sums have no weighted mean.
        assert!(mistake(&exp, LossReduction::Sum).is_ok());
        assert!(mistake(&square, LossReduction::Sum).is_ok());
        let negative = |b: &mut Builder, x| call(b, "neg", &[x]);
        assert!(mistake(&negative, LossReduction::Mean).is_ok());
    }

    #[test]
    fn a_sum_of_parameters_is_not_additive_over_batches() {
        let mut b = Builder::new("N");
        let w = b.parameter("w", [3], Init::Full(1.0)).unwrap();
        let network = finished(b, w, LossReduction::Sum);
        assert_eq!(network.loss_measure().unwrap().terms, [Term::Mean(Shape::scalar())]);
    }
}
