//! The graph of a network for a purpose: forward, gradients, update, guard.

use super::Purpose;
use crate::autodiff;
use crate::declaration::{Declaration, Measure, Parameter, Term};
use crate::graph::{Graph, NodeId, Quantity, Root};
use crate::ops::Lowering;
use crate::ops::switch::Selector;

impl Declaration {
    /// The graph to compile or interpret for a purpose and a batch size: the forward graph, with the
    /// gradients and updates of the purpose, and the first alternative of every choice; see
    /// [`Self::graph_of`].
    pub fn graph_for(&self, purpose: &Purpose, batch: usize) -> Graph {
        self.graph_of(purpose, batch, &[])
    }

    /// [`Self::graph_for`] with the index of the alternative of each choice; default 0.
    pub fn graph_of(&self, purpose: &Purpose, batch: usize, choices: &[usize]) -> Graph {
        let mut g = self.forward(purpose, batch, choices);
        if let Purpose::Update(training) = purpose {
            let trained = self.parameter_nodes(&mut g, &training.trained(&self.parameters));
            // Without accumulation, every batch updates: nothing is pending.
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
                let trained: Vec<usize> =
                    (0..self.parameters.len()).filter(|i| self.parameters[*i].is_trained).collect();
                let inputs: Vec<usize> =
                    (0..self.inputs.len()).filter(|i| self.inputs[*i].has_gradient).collect();
                let mut leaves = self.parameter_nodes(&mut g, &trained);
                for i in &inputs {
                    let ty = self.inputs[*i].ty.clone();
                    leaves.push(g.apply(crate::ops::input::Input { index: *i, ty }, &[]));
                }
                let roots = trained.into_iter().map(Root::Gradient);
                let roots = roots.chain(inputs.into_iter().map(Root::InputGradient));
                let gradients = autodiff::gradients(&mut g, loss, &leaves);
                roots.zip(gradients).for_each(|(root, dx)| g.add_root(root, dx));
            }
            Purpose::Step(training) | Purpose::Accumulate { training, .. } => {
                let indices = training.trained(&self.parameters);
                let trained = self.parameter_nodes(&mut g, &indices);
                let gradients = autodiff::gradients(&mut g, loss, &trained);
                let clipped = match purpose {
                    Purpose::Accumulate { first, .. } => {
                        training.accumulate_gradients(&mut g, &self.parameters, &gradients, *first);
                        None
                    }
                    _ => training.step(&mut g, &self.parameters, &trained, &gradients).1,
                };
                // Sums of squares over all gradients are finite only if all gradients are.
                let mut direct = self.guarded(&mut g, loss);
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

    /// The values that the guard checks besides gradients: the loss, or for a weighted loss the sums of
    /// its terms. A weighted loss is NaN if a term has total weight 0, although other terms can be
    /// learned from; only if all terms have total weight 0, the step is refused.
    fn guarded(&self, g: &mut Graph, loss: NodeId) -> Vec<NodeId> {
        let Some(measure) = self.loss_measure().filter(|measure| measure.weighs()) else {
            return vec![loss];
        };
        let root = |g: &Graph, root| g.root(&root).expect("a weighted loss has it");
        let terms = 0..measure.terms.len();
        let mut guarded: Vec<NodeId> =
            terms.clone().map(|i| root(g, Root::Sum(Quantity::Loss, i))).collect();
        if measure.terms.iter().all(|term| *term == Term::Weighted) {
            let (zero, nan) = (g.constant(0.0), g.constant(f32::NAN));
            let weights = terms.map(|i| root(g, Root::Weight(Quantity::Loss, i)));
            let weight =
                weights.collect::<Vec<_>>().into_iter().reduce(|a, b| g.add(a, b)).unwrap_or(zero);
            let is_zero = g.equal(weight, zero);
            guarded.push(g.select(is_zero, nan, zero));
        }
        guarded
    }

    /// The forward graph with the roots of a purpose, and with switches resolved.
    fn forward(&self, purpose: &Purpose, batch: usize, choices: &[usize]) -> Graph {
        let mut g = self.graph().with_batch(batch);
        let is_weighted = self.loss_measure().is_some_and(Measure::weighs);
        g.retain_roots(|root| purpose.needs(root, is_weighted));
        g.rebuild(|g, op, x| match op.lower() {
            Lowering::Switch(Selector::Training) => x[usize::from(!purpose.trains())],
            Lowering::Switch(Selector::Declared(i)) => x[choices.get(i).copied().unwrap_or(0)],
            _ => g.apply(op.clone(), x),
        })
    }

    /// The variables of a purpose, persistent between calls: the network's parameters, then optimizer
    /// state.
    pub fn variables(&self, purpose: &Purpose) -> Vec<Parameter> {
        let mut variables = self.parameters.clone();
        if let Some(training) = purpose.training() {
            variables.extend(training.state(&self.parameters));
        }
        variables
    }

    fn parameter_nodes(&self, g: &mut Graph, indices: &[usize]) -> Vec<NodeId> {
        let leaf = |index: &usize| {
            let shape = self.parameters[*index].shape.clone();
            g.apply(crate::ops::parameter::Parameter { index: *index, shape }, &[])
        };
        indices.iter().map(leaf).collect()
    }
}
