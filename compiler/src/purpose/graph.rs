//! The graph of a network for a purpose: forward, gradients, update, guard.

use super::Purpose;
use crate::autodiff;
use crate::declaration::{Declaration, Measure, Parameter, Term};
use crate::graph::{Graph, NodeId, Quantity, Root};
use crate::ops::Lowering;
use crate::ops::switch::Selector;

impl Declaration {
    /// The graph to compile or interpret for a purpose and a batch size:
    /// forward, and whatever gradients and updates the purpose asks for. Of
    /// every choice the first alternative; see [`Self::graph_of`].
    pub fn graph_for(&self, purpose: &Purpose, batch: usize) -> Graph {
        self.graph_of(purpose, batch, &[])
    }

    /// The same for some choices: the index of each one's alternative; the first
    /// where there is none.
    pub fn graph_of(&self, purpose: &Purpose, batch: usize, choices: &[usize]) -> Graph {
        let mut g = self.forward(purpose, batch, choices);
        if let Purpose::Update(training) = purpose {
            let trained = self.parameter_nodes(&mut g, &training.trained(&self.parameters));
            // Nothing is left over where every batch makes an update.
            if training.accumulate() == 1 {
                return g;
            }
            training.update(&mut g, &self.parameters, &trained);
            return g;
        }
        let Some(loss) = g.root(&Root::Loss) else {
            return g;
        };
        match purpose {
            Purpose::Predict | Purpose::Evaluate | Purpose::Update(_) => {}
            Purpose::Gradients => {
                let places: Vec<usize> =
                    (0..self.parameters.len()).filter(|i| self.parameters[*i].is_trained).collect();
                let inputs: Vec<usize> =
                    (0..self.inputs.len()).filter(|i| self.inputs[*i].has_gradient).collect();
                let mut leaves = self.parameter_nodes(&mut g, &places);
                for i in &inputs {
                    let ty = self.inputs[*i].ty.clone();
                    leaves.push(g.apply(crate::ops::input::Input { index: *i, ty }, &[]));
                }
                let roots = places.into_iter().map(Root::Gradient);
                let roots = roots.chain(inputs.into_iter().map(Root::InputGradient));
                let gradients = autodiff::gradients(&mut g, loss, &leaves);
                roots.zip(gradients).for_each(|(root, dx)| g.add_root(root, dx));
            }
            Purpose::Step(training) | Purpose::Accumulate { training, .. } => {
                let places = training.trained(&self.parameters);
                let trained = self.parameter_nodes(&mut g, &places);
                let gradients = autodiff::gradients(&mut g, loss, &trained);
                let clipped = match purpose {
                    Purpose::Accumulate { first, .. } => {
                        training.add_up(&mut g, &self.parameters, &gradients, *first);
                        None
                    }
                    _ => training.step(&mut g, &self.parameters, &trained, &gradients).1,
                };
                // Sums over all gradients tell of each.
                let mut direct = self.judged(&mut g, loss);
                let guard = match clipped {
                    Some(sums) => {
                        direct.extend(sums);
                        g.all_finite(&direct, &[])
                    }
                    None => g.all_finite(&direct, &gradients),
                };
                g.add_root(Root::Guard, guard);
            }
        }
        g
    }

    /// What must be finite for a batch's loss to be one to learn from: the loss, or the
    /// sums of its terms where it weighs targets. Then the loss is NaN where one of its
    /// terms has no target that counts, but there are others to learn from; where no term
    /// has one, there is nothing.
    fn judged(&self, g: &mut Graph, loss: NodeId) -> Vec<NodeId> {
        let Some(measure) = self.loss_measure().filter(|measure| measure.weighs()) else {
            return vec![loss];
        };
        let root = |g: &Graph, root| g.root(&root).expect("a loss that weighs has it");
        let terms = 0..measure.terms.len();
        let mut judged: Vec<NodeId> =
            terms.clone().map(|i| root(g, Root::Sum(Quantity::Loss, i))).collect();
        if measure.terms.iter().all(|term| *term == Term::Weighted) {
            let (zero, nan) = (g.constant(0.0), g.constant(f32::NAN));
            let weights = terms.map(|i| root(g, Root::Weight(Quantity::Loss, i)));
            let weight =
                weights.collect::<Vec<_>>().into_iter().reduce(|a, b| g.add(a, b)).unwrap_or(zero);
            let is_nothing = g.equal(weight, zero);
            judged.push(g.select(is_nothing, nan, zero));
        }
        judged
    }

    /// The forward graph with what a purpose needs of it, and with what is
    /// chosen in the place of every choice.
    fn forward(&self, purpose: &Purpose, batch: usize, choices: &[usize]) -> Graph {
        let mut g = self.graph().with_batch(batch);
        let weighs = self.loss_measure().is_some_and(Measure::weighs);
        g.retain_roots(|root| purpose.wants(root, weighs));
        g.rebuild(|g, op, x| match op.lower() {
            Lowering::Switch(Selector::Training) => x[usize::from(!purpose.trains())],
            Lowering::Switch(Selector::Declared(i)) => x[choices.get(i).copied().unwrap_or(0)],
            _ => g.apply(op.clone(), x),
        })
    }

    /// What a purpose keeps from call to call: the network's parameters, and
    /// behind them what training keeps.
    pub fn variables(&self, purpose: &Purpose) -> Vec<Parameter> {
        let mut kept = self.parameters.clone();
        if let Some(training) = purpose.training() {
            kept.extend(training.state(&self.parameters));
        }
        kept
    }

    fn parameter_nodes(&self, g: &mut Graph, places: &[usize]) -> Vec<NodeId> {
        let leaf = |index: &usize| {
            let shape = self.parameters[*index].shape.clone();
            g.apply(crate::ops::parameter::Parameter { index: *index, shape }, &[])
        };
        places.iter().map(leaf).collect()
    }
}
