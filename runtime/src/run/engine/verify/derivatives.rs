//! Verification of gradients against central differences, both in f64 by the interpreter on the
//! declared graph.
//!
//! Some elements of each parameter, and of each input declared with `grad`, are moved by `h` and by
//! `h/2` to both sides. The slopes `D(h)` and `D(h/2)` yield `D = (4·D(h/2) - D(h)) / 3`, whose error
//! is O(h⁴) where the loss is smooth. The error is measured:
//!
//! - `|D(h/2) - D(h)|` is the error of the coarser slope from the third derivative;
//! - `|2·s(h/2) - s(h)|`, where `s` is the difference of the slopes to the two sides, vanishes where
//!   the loss is smooth: `s` is the second derivative times `h`. At a kink, as `relu` has at 0, `s`
//!   does not depend on `h`, and near one it jumps.
//!
//! With one kink between the five points, the sum of both, weighted as below, is at least the error
//! caused by the kink. If the sum is not small the step is made smaller; if it stays large, the
//! element is undecided. So is one whose gradient is not finite, as that of `sqrt(x)` at 0, which the
//! other checks compare with the interpreter's; and one that disagrees behind an operation whose
//! gradient [departs](bilro_compiler::ops::Operation::departs) from the derivative, as PyTorch's does where it clamps. Dropout has the same masks in all evaluations, since random numbers are a
//! function of counters.

use std::collections::BTreeSet;

use bilro_compiler::eval::Value;
use bilro_compiler::eval::bounded::Fine;
use bilro_compiler::graph::{Graph, NodeId, Root};
use bilro_compiler::ops::Leaf;

use super::{Extent, elements, index, leaf_value, provenance, tracked};
use crate::error::{Check, Compared, Disagreement, Result};
use crate::memory;
use crate::rng::Generator;
use crate::run::engine::{Call, Engine};
use crate::run::interpreter::{evaluate_on, interpret};

/// The first step, relative to an element, or to the root of the mean square of all.
const STEP: f64 = 1.0 / 1024.0;
/// The ratio of a step to the one before.
const SMALLER: f64 = 1.0 / 16.0;
/// The maximum number of steps.
const STEPS: usize = 5;
/// The largest accepted error of a difference, relative to the gradients of its tensor; and the
/// size of these, relative to the largest of all tensors, below which they count as zero.
const DECIDES: f64 = 1e-3;
/// The rounding error of the loss in f64: that of a few hundred operations.
const ROUNDING: f64 = 256.0 * f64::EPSILON;

pub(super) fn check(engine: &Engine, call: &Call<'_, '_>, extent: Extent) -> Result<Check> {
    let declaration = &engine.declaration;
    let graph = call.graph(declaration)?;
    let what = || format!("the differences of `{}`", declaration.name);
    memory::check::<f64>(what, elements(&graph).saturating_mul(2))?;
    let mut check = Check::new("derivatives");
    let mut disagreements = Vec::new();
    let values: Vec<Value<Fine>> = tracked(engine, call, &graph);
    let rms = |values: &[Fine]| {
        let squares: f64 = values.iter().map(|g| g.value * g.value).sum();
        (squares / values.len() as f64).sqrt()
    };
    let is_gradient = |root: &Root| matches!(root, Root::Gradient(_) | Root::InputGradient(_));
    let all = graph.roots().iter().zip(&values).filter(|((root, _), _)| is_gradient(root));
    let largest = all.map(|(_, value)| rms(value.reals())).fold(0.0, f64::max);
    let rounding = rounding(engine, call, &graph);
    let mut loss = Loss::new(engine, call, &graph, rounding);
    let mut generator = Generator::new(extent.seed);
    for ((root, _), gradient) in graph.roots().iter().zip(&values) {
        let Some(leaf) = graph.ids().find(|id| match (root, graph.op(*id).leaf()) {
            (Root::Gradient(i), Some(Leaf::Parameter(op))) => op.index == *i,
            (Root::InputGradient(i), Some(Leaf::Input(op))) => op.index == *i,
            _ => false,
        }) else {
            continue;
        };
        let gradient = gradient.reals();
        // A gradient that cancels, as of a bias before a batch norm, is zero relative to others.
        let size = rms(gradient).max(DECIDES * largest);
        let name = provenance::root_label(declaration, root);
        let mut compared = Compared { name: name.clone(), ..Compared::default() };
        let mut worst: Option<(usize, Slope)> = None;
        let mut wrong = 0;
        let samples = samples(gradient, extent.samples, &mut generator);
        let count = samples.len();
        for element in samples {
            let Some(slope) = loss.slope(leaf, element, gradient[element], size) else {
                compared.undecided += 1;
                continue;
            };
            let ratio = slope.ratio(gradient[element].value, extent.tolerance);
            compared.elements += 1;
            wrong += usize::from(ratio > 1.0);
            if ratio > compared.worst {
                (compared.worst, worst) = (ratio, Some((element, slope)));
            }
        }
        let disagreement = worst.filter(|_| wrong > 0).map(|(element, slope)| {
            let index = index(element, &graph.sizes(leaf));
            Disagreement {
                check: check.name.clone(),
                layer: name,
                row: index.first().copied().filter(|_| graph.shape(leaf).batched),
                index,
                found: gradient[element].value,
                expected: slope.value,
                bound: extent.tolerance * slope.error,
                wrong,
                elements: count,
                note:
                    "the gradient of the declared network in f64, against central differences of \
                       the loss: a derivative between this and the loss is wrong"
                        .into(),
                ..Disagreement::default()
            }
        });
        check.add(compared, None);
        disagreements.extend(disagreement);
    }
    // Nearest to the loss first, where the wrong derivative is.
    let nearest = disagreements.into_iter().rev().take(Check::MOST_DISAGREEMENTS);
    check.disagreements = nearest.collect();
    Ok(check)
}

/// The rounding error of the loss in f64 by an error analysis: far above that of its last operation if
/// it cancels, as `1 - cos` near 0. No bound counts as 0.
fn rounding(engine: &Engine, call: &Call<'_, '_>, graph: &Graph) -> f64 {
    let mut of_loss = graph.clone();
    of_loss.retain_roots(|root| *root == Root::Loss);
    let loss: Vec<Value<Fine>> =
        interpret(&of_loss, |leaf| leaf_value(&engine.parameters, call, leaf));
    let error = loss.first().map_or(0.0, |loss| loss.reals()[0].error);
    if error.is_finite() { error } else { 0.0 }
}

/// Up to `count` elements of a tensor: half of them anywhere, half with a gradient that is not zero.
fn samples(gradient: &[Fine], count: usize, generator: &mut Generator) -> Vec<usize> {
    if gradient.len() <= count {
        return (0..gradient.len()).collect();
    }
    let nonzero: Vec<usize> = (0..gradient.len()).filter(|i| gradient[*i].value != 0.0).collect();
    let mut chosen = BTreeSet::new();
    let mut draw = |below: usize| (generator.random_u64() % below as u64) as usize;
    for _ in 0..4 * count {
        let is_nonzero = chosen.len() < count.div_ceil(2) && !nonzero.is_empty();
        chosen.insert(if is_nonzero { nonzero[draw(nonzero.len())] } else { draw(gradient.len()) });
        if chosen.len() == count {
            break;
        }
    }
    chosen.into_iter().collect()
}

/// A derivative by differences.
#[derive(Clone, Copy, Debug)]
struct Slope {
    value: f64,
    error: f64,
}

impl Slope {
    /// The distance of a gradient from it, in units of its error.
    fn ratio(self, gradient: f64, tolerance: f64) -> f64 {
        let distance = (gradient - self.value).abs();
        match distance == 0.0 {
            true => 0.0,
            false if distance.is_nan() => f64::INFINITY,
            false => distance / (tolerance * self.error),
        }
    }
}

/// The loss as a function of leaves.
struct Loss<'g> {
    graph: &'g Graph,
    root: NodeId,
    needed: Vec<bool>,
    /// The values of all nodes that it needs.
    values: Vec<Option<Value<f64>>>,
    /// Whether each node depends on the leaf that is moved.
    depends: Vec<bool>,
    moved: Option<NodeId>,
    /// The largest magnitude of the loss so far, for its rounding error in f64.
    size: f64,
    /// The bound on its rounding error from an error analysis.
    rounding: f64,
}

impl<'g> Loss<'g> {
    fn new(engine: &Engine, call: &Call<'_, '_>, graph: &'g Graph, rounding: f64) -> Loss<'g> {
        let root = graph.root(&Root::Loss).expect("a graph of gradients has a loss");
        let mut of_loss = graph.clone();
        of_loss.retain_roots(|root| *root == Root::Loss);
        let needed = of_loss.needed();
        let mut values: Vec<Option<Value<f64>>> = vec![None; graph.len()];
        for id in graph.ids().filter(|id| needed[id.index()]) {
            let value = match graph.op(id).leaf() {
                Some(leaf) => leaf_value(&engine.parameters, call, leaf),
                None => {
                    let x: Vec<&Value<f64>> = graph
                        .operands(id)
                        .iter()
                        .filter_map(|x| values[x.index()].as_ref())
                        .collect();
                    evaluate_on(graph, id, &x)
                }
            };
            values[id.index()] = Some(value);
        }
        let (depends, moved) = (Vec::new(), None);
        let mut loss = Loss { graph, root, needed, values, depends, moved, size: 0.0, rounding };
        loss.size = loss.base().abs();
        loss
    }

    fn base(&self) -> f64 {
        self.values[self.root.index()].as_ref().map_or(f64::NAN, |value| value.reals()[0])
    }

    /// The loss with an element of a leaf moved.
    fn at(&mut self, leaf: NodeId, element: usize, by: f64) -> f64 {
        if self.moved != Some(leaf) {
            self.depends = vec![false; self.graph.len()];
            self.depends[leaf.index()] = true;
            for id in self.graph.ids() {
                let x = self.graph.operands(id);
                self.depends[id.index()] |= x.iter().any(|x| self.depends[x.index()]);
            }
            self.moved = Some(leaf);
        }
        let Some(Value::Real(array)) = &self.values[leaf.index()] else { return self.base() };
        let mut moved = array.clone();
        if let Some(x) = moved.iter_mut().nth(element) {
            *x += by;
        }
        let mut changed: Vec<Option<Value<f64>>> = vec![None; self.graph.len()];
        changed[leaf.index()] = Some(Value::Real(moved));
        let is_changed =
            |id: &NodeId| self.needed[id.index()] && self.depends[id.index()] && *id != leaf;
        for id in self.graph.ids().filter(is_changed) {
            let operands = self.graph.operands(id).iter();
            let x: Vec<&Value<f64>> = operands
                .filter_map(|x| changed[x.index()].as_ref().or(self.values[x.index()].as_ref()))
                .collect();
            changed[id.index()] = Some(evaluate_on(self.graph, id, &x));
        }
        let loss = changed[self.root.index()].as_ref().map_or(self.base(), |y| y.reals()[0]);
        self.size = self.size.max(loss.abs());
        loss
    }

    /// The derivative by an element; `None` if differences do not decide it. `gradient` is the one to
    /// check: if both agree within a small error, one step is enough.
    fn slope(&mut self, leaf: NodeId, element: usize, gradient: Fine, size: f64) -> Option<Slope> {
        let Some(Value::Real(array)) = &self.values[leaf.index()] else { return None };
        if !gradient.value.is_finite() {
            return None;
        }
        let x = array.iter().nth(element).copied()?;
        let squares: f64 = array.iter().map(|x| x * x).sum();
        let rms = (squares / array.len() as f64).sqrt();
        let mut h = STEP * x.abs().max(rms).max(1e-2);
        let mut decided: Option<Slope> = None;
        for _ in 0..STEPS {
            let mut found = self.differences(leaf, element, h);
            let scale = found.value.abs().max(gradient.value.abs()).max(size);
            h *= SMALLER;
            if !found.error.is_finite() || found.error > DECIDES * scale {
                continue;
            }
            found.error += gradient.error;
            if found.ratio(gradient.value, 1.0) <= 1.0 {
                return Some(found);
            }
            // A gradient is wrong only if two steps agree.
            match decided {
                Some(before) if (before.value - found.value).abs() <= DECIDES * scale => {
                    let found = if before.error < found.error { before } else { found };
                    return (!self.departs()).then_some(found);
                }
                _ => decided = Some(found),
            }
        }
        None
    }

    /// Whether the gradient of an operation behind the moved leaf departs from the derivative.
    fn departs(&self) -> bool {
        self.graph.ids().any(|id| {
            let operands = self.graph.operands(id).iter();
            let x: Option<Vec<&Value<f64>>> =
                operands.map(|x| self.values[x.index()].as_ref()).collect();
            let is_behind = self.needed[id.index()] && self.depends[id.index()];
            is_behind && x.is_some_and(|x| self.graph.op(id).departs(&x))
        })
    }

    fn differences(&mut self, leaf: NodeId, element: usize, h: f64) -> Slope {
        let base = self.base();
        let mut slopes = |h: f64| {
            let (up, down) = (self.at(leaf, element, h), self.at(leaf, element, -h));
            ((up - down) / (2.0 * h), (up - 2.0 * base + down) / h)
        };
        let ((coarse, change), (fine, half_change)) = (slopes(h), slopes(h / 2.0));
        let value = (4.0 * fine - coarse) / 3.0;
        let kink = (2.0 * half_change - change).abs();
        let rounding = (ROUNDING * self.size).max(2.0 * self.rounding) / h;
        let error = (fine - coarse).abs() * 4.0 + kink + rounding + f64::EPSILON * value.abs();
        Slope { value, error }
    }
}
