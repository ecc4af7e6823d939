//! Terms of a loss or a metric: summands with weighted means of their own.
//!
//! Targets that have weights make a mean of their own, and the mean of a sum of values with different
//! weights is none of any elements: it is the sum of the values' means, as in PyTorch, where each loss
//! of a sum has been reduced already. So a value is taken apart into its terms, as far as there are
//! weights in it. What has none is one term, with the plain mean that it has anyway.

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
    /// The value of which all elements are added up.
    value: NodeId,
    /// By what it is multiplied, a single number; `None` for 1.
    factor: Option<NodeId>,
    /// What the elements weigh, where they do.
    weights: Option<NodeId>,
    reduction: LossReduction,
}

impl Builder {
    /// The terms of a value that is the loss or a metric, as `what` says. A mistake where a value with
    /// weights is used otherwise than as a term.
    pub(super) fn summands(
        &mut self,
        x: NodeId,
        reduction: LossReduction,
        what: &str,
    ) -> Result<Vec<Summand>, Mistake> {
        let weighing = self.weighing(x);
        if reduction == LossReduction::Sum {
            self.check_sum(x, &weighing)?;
            return Ok(vec![Summand { value: x, factor: None, weights: None, reduction }]);
        }
        let mut summands = Vec::new();
        // By what each is multiplied, users before what they are made from: so each is met once.
        let mut left = BTreeMap::from([(x, None)]);
        while let Some((x, factor)) = left.pop_last() {
            let inside = weighing[x.index()];
            if inside.is_none_or(|inside| inside == x) {
                let weights = inside.and_then(|_| self.weights(x));
                summands.push(Summand { value: x, factor, weights, reduction });
                continue;
            }
            let operands = self.graph.operands(x).to_vec();
            if matches!(
                self.graph.op(x).lower(),
                Lowering::View(View::Broadcast(_) | View::Reshape(_) | View::Transpose(_))
            ) {
                // The same elements, each as often as the others.
                self.add_term(&mut left, operands[0], factor);
                continue;
            }
            match self.graph.op(x).linearity() {
                Linearity::Sum(signs) => {
                    let minus = signs.contains(&Sign::Minus).then(|| self.negated(factor));
                    for (operand, sign) in operands.iter().zip(signs) {
                        let by = if *sign == Sign::Minus { minus } else { factor };
                        self.add_term(&mut left, *operand, by);
                    }
                }
                Linearity::Product => {
                    let is_first = weighing[operands[0].index()].is_some();
                    let (term, by) = match is_first {
                        true => (operands[0], operands[1]),
                        false => (operands[1], operands[0]),
                    };
                    let by = self.number_of(by, &weighing);
                    let by = by.ok_or_else(|| self.misused(x, &weighing, what))?;
                    let factor = factor.map_or(by, |factor| self.graph.mul(factor, by));
                    self.add_term(&mut left, term, Some(factor));
                }
                Linearity::Quotient => {
                    let by = self.number_of(operands[1], &weighing);
                    let by = by.ok_or_else(|| self.misused(x, &weighing, what))?;
                    let factor = factor.unwrap_or_else(|| self.graph.constant(1.0));
                    let factor = self.graph.div(factor, by);
                    self.add_term(&mut left, operands[0], Some(factor));
                }
                Linearity::Unknown => return Err(self.misused(x, &weighing, what)),
            }
        }
        // In the order in which they were made.
        summands.reverse();
        Ok(summands)
    }

    /// Adds a value times a factor to the terms that are left, among which it may be already.
    fn add_term(
        &mut self,
        left: &mut BTreeMap<NodeId, Option<NodeId>>,
        x: NodeId,
        factor: Option<NodeId>,
    ) {
        let Some(before) = left.insert(x, factor) else { return };
        let [a, b] = [before, factor].map(|f| f.unwrap_or_else(|| self.graph.constant(1.0)));
        left.insert(x, Some(self.graph.add(a, b)));
    }

    /// For every node that `x` is made from, a node with weights that it is or is made from: the
    /// first. A node that has weights, and is made from another one, is not a term.
    fn weighing(&mut self, x: NodeId) -> Vec<Option<NodeId>> {
        let ids = (0..x.index() + 1).map(NodeId::new);
        let mut needed = vec![false; ids.len()];
        needed[x.index()] = true;
        for id in ids.clone().rev() {
            if needed[id.index()] {
                self.graph.operands(id).iter().for_each(|x| needed[x.index()] = true);
            }
        }
        let mut weighing = vec![None; ids.len()];
        for id in ids.filter(|id| needed[id.index()]) {
            let inside = self.graph.operands(id).iter().find_map(|x| weighing[x.index()]);
            weighing[id.index()] = inside.or_else(|| self.weights(id).map(|_| id));
        }
        weighing
    }

    /// What the elements of a node weigh.
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

    /// A value that is one number for all examples, as that.
    fn number_of(&mut self, x: NodeId, weighing: &[Option<NodeId>]) -> Option<NodeId> {
        if weighing[x.index()].is_some() {
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

    /// Requires that no mean is taken inside of what is added up: it would count what weighs nothing.
    fn check_sum(&self, x: NodeId, weighing: &[Option<NodeId>]) -> Result<(), Mistake> {
        let mut needed = vec![false; x.index() + 1];
        needed[x.index()] = true;
        for id in (0..=x.index()).rev().map(NodeId::new) {
            let Some(inside) = weighing[id.index()].filter(|_| needed[id.index()]) else {
                continue;
            };
            let operands = self.graph.operands(id);
            if self.graph.op(id).ignores_weights() {
                let (name, why) = self.named(inside);
                let mean = self.graph.op(id).name();
                let message = format!(
                    "{name} {why}, but `{mean}` counts all of them alike: add up by `sum`, or leave out \
                     `{mean}` and say `loss` without `sum`, which takes the mean by weights"
                );
                return Err(Mistake::value(id, message));
            }
            operands.iter().for_each(|x| needed[x.index()] = true);
        }
        Ok(())
    }

    /// What is wrong with `user`, which makes something else than a term of what has weights.
    fn misused(&self, user: NodeId, weighing: &[Option<NodeId>], what: &str) -> Mistake {
        let inside = weighing[user.index()].unwrap_or(user);
        let (name, why) = self.named(inside);
        let weighs = |place: usize| {
            self.graph.operands(user).get(place).is_some_and(|x| weighing[x.index()].is_some())
        };
        let op = self.graph.op(user);
        let found = match op.linearity() {
            _ if op.ignores_weights() => &format!("`{}` counts all of them alike", op.name()),
            Linearity::Product if weighs(0) && weighs(1) => {
                "here it is multiplied by another such value"
            }
            Linearity::Product => "here it is multiplied by a value of many elements",
            Linearity::Quotient if weighs(1) => "here something is divided by it",
            Linearity::Quotient => "here it is divided by a value of many elements",
            _ => &format!("here it is inside of `{}`", op.name()),
        };
        let instead = match what {
            _ if op.ignores_weights() => format!(": leave it out, `{what}` takes the mean itself"),
            "loss" => "; `loss sum` adds up elements as they are".into(),
            _ => String::new(),
        };
        Mistake::value(
            user,
            format!(
                "{name} {why}, so its mean goes by weights: in a {what} it may be added to other \
                 values, subtracted, and multiplied or divided by a single number, but \
                 {found}{instead}"
            ),
        )
    }

    /// A value with weights, and why it has them.
    fn named(&self, x: NodeId) -> (String, &'static str) {
        let op = self.graph.op(x);
        (format!("`{}`", op.name()), op.weights_reason())
    }

    /// The single number that terms are together.
    pub(super) fn total(&mut self, summands: &[Summand]) -> NodeId {
        let numbers: Vec<NodeId> = summands.iter().map(|summand| self.reduced(summand)).collect();
        let mut numbers = numbers.into_iter();
        let first = numbers.next().expect("every value is one term at least");
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

    /// Adds the roots that add up over batches, and says how.
    pub(super) fn add_sums(&mut self) -> Vec<Measure> {
        let loss = self.loss.take().map(|(_, summands)| (Quantity::Loss, summands));
        let metrics = std::mem::take(&mut self.metrics).into_iter().enumerate();
        let metrics = metrics.map(|(place, summands)| (Quantity::Metric(place), summands));
        let measures = loss.into_iter().chain(metrics);
        measures
            .map(|(quantity, summands)| {
                let summands = summands.iter().enumerate();
                let terms = summands.map(|(place, term)| self.add_sum(quantity, place, term));
                Measure { quantity, terms: terms.collect() }
            })
            .collect()
    }

    fn add_sum(&mut self, quantity: Quantity, place: usize, summand: &Summand) -> Term {
        let g = &mut self.graph;
        let sum = g.sum_all(summand.value);
        let sum = summand.factor.map_or(sum, |factor| g.mul(sum, factor));
        g.add_root(Root::Sum(quantity, place), sum);
        let shape = g.shape(summand.value).clone();
        match (summand.reduction, summand.weights) {
            (LossReduction::Mean, Some(weights)) => {
                let weight = g.sum_all(weights);
                g.add_root(Root::Weight(quantity, place), weight);
                Term::Weighted
            }
            (LossReduction::Mean, None) => Term::Mean(shape),
            // The same number for every batch does not become more by batches.
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

    /// Scores of three classes, with a loss that weighs targets and one that does not.
    fn start() -> (Builder, NodeId, NodeId) {
        let mut b = Builder::new("N");
        let x = b.input("x", Type::real(Shape::batched([3usize]))).unwrap();
        let y = b.target("y", Type::index(3, Shape::batched([0usize; 0]))).unwrap();
        let w = b.parameter("w", [3], Init::Full(1.0)).unwrap();
        let none = Attributes::new();
        let scores = b.call("mul", &[(x, "x"), (w, "w")], &none).unwrap();
        let operands = [(scores, "scores"), (y, "y")];
        let ignoring = Attributes::new().with("ignore_index", AttributeValue::Integer(0));
        let weighs = b.call("cross_entropy", &operands, &ignoring).unwrap();
        let plain = b.call("cross_entropy", &operands, &none).unwrap();
        (b, weighs, plain)
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
    fn only_losses_that_weigh_add_to_a_step() {
        let sgd = Arc::new(Training::from(Sgd::new(0.1)));
        let (mut b, weighs, plain) = start();
        let sum = call(&mut b, "add", &[weighs, plain]);
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

    /// Each value once, or there would be 2¹⁰⁰ terms.
    #[test]
    fn what_is_added_to_itself_is_one_term() {
        let (mut b, mut x, _) = start();
        for _ in 0..100 {
            x = call(&mut b, "add", &[x, x]);
        }
        let network = finished(b, x, LossReduction::Mean);
        assert_eq!(network.loss_measure().unwrap().terms, [Term::Weighted]);
    }

    #[test]
    fn other_uses_are_mistakes_where_they_are() {
        let mistake = |f: &dyn Fn(&mut Builder, NodeId) -> NodeId, reduction| {
            let (mut b, weighs, _) = start();
            let x = f(&mut b, weighs);
            let result = b.loss((x, "loss"), reduction);
            result.map_err(|m| (m.site == Site::Value(x), m.message))
        };
        let exp = |b: &mut Builder, x| call(b, "exp", &[x]);
        let (is_there, message) = mistake(&exp, LossReduction::Mean).unwrap_err();
        assert!(is_there && message.contains("inside of `exp`"), "{message}");
        let square = |b: &mut Builder, x| call(b, "mul", &[x, x]);
        let (is_there, message) = mistake(&square, LossReduction::Mean).unwrap_err();
        assert!(is_there && message.contains("multiplied by another such value"), "{message}");
        // What is added up has no mean that could be wrong.
        assert!(mistake(&exp, LossReduction::Sum).is_ok());
        assert!(mistake(&square, LossReduction::Sum).is_ok());
        let negative = |b: &mut Builder, x| call(b, "neg", &[x]);
        assert!(mistake(&negative, LossReduction::Mean).is_ok());
    }

    #[test]
    fn a_sum_of_parameters_does_not_become_more_by_batches() {
        let mut b = Builder::new("N");
        let w = b.parameter("w", [3], Init::Full(1.0)).unwrap();
        let network = finished(b, w, LossReduction::Sum);
        assert_eq!(network.loss_measure().unwrap().terms, [Term::Mean(Shape::scalar())]);
    }
}
