//! Verification of compiled code: machine code against the interpreter, gradients against
//! differences.
//!
//! Takes a purpose and a batch; returns a report. Nothing changes: machine code runs in separate
//! memory, with a copy of the parameters. The code is that of the [`CodeTable`](super::code), which
//! the user's calls run.
//!
//! - `rewrites` compares the compiled graph with the declared one, both in f64.
//! - `kernels` runs the code kernel by kernel and compares each result with the interpreter's, which
//!   starts from the machine code's values of earlier kernels: errors do not add up, and the first
//!   wrong kernel is found.
//! - `roots` compares the results of a call with the interpreter's results on the declared graph,
//!   before any pass.
//! - `derivatives` compares the gradients of the declared graph with differences of its loss, in f64.
//!
//! Bounds are those of a running error analysis, [`Bounded`].

mod derivatives;
mod kernels;
mod rewrites;
mod roots;

use std::collections::HashMap;

use bilro_compiler::artifact::Artifact;
use bilro_compiler::eval::Value;
use bilro_compiler::eval::bounded::{Bounded, Tracked};
use bilro_compiler::fuse::Fused;
use bilro_compiler::graph::{Graph, NodeId};
use bilro_compiler::ops::{Leaf, Lowering};
use bilro_compiler::pipeline::{Stage, lower_graph};
use bilro_compiler::purpose::Purpose;
use bilro_compiler::target::Target;
use ndarray::ArrayD;

use super::interpreted::{leaf_value, real};
use super::{Call, Engine, UpdateNumbers, provenance};
use crate::error::{Compared, Disagreement, Error, Result, Verification};
use crate::memory;
use crate::run::Feed;
use crate::run::config::target;
use crate::run::interpreter::interpret_with;

/// The extent of a verification.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Whether kernels are compared one by one.
    pub kernels: bool,
    /// Elements of each parameter and input whose gradient is compared with differences; 0 for
    /// none.
    pub samples: usize,
    /// The seed of the choice of elements.
    pub seed: u64,
    /// The largest accepted error, in units of its bound.
    pub tolerance: f64,
}

impl Extent {
    /// All checks, with a tolerance of one bound.
    pub const ALL: Extent = Extent { kernels: true, samples: 16, seed: 0, tolerance: 1.0 };
}

impl Engine {
    /// Verifies purposes on a batch, with the cached code, which is compiled if it is missing; changes
    /// nothing.
    ///
    /// # Errors
    /// As [`Engine::run_with`]: if a purpose cannot be run, or there is not enough memory to
    /// verify it.
    pub(crate) fn verify(
        &self,
        purposes: &[Purpose],
        feeds: &[Feed<'_>],
        choices: &[usize],
        numbers: UpdateNumbers,
        extent: Extent,
    ) -> Result<Verification> {
        let target = target()?;
        let mut report = Verification {
            network: self.declaration.name.clone(),
            target: target.name.into(),
            threads: self.threads,
            ..Verification::default()
        };
        for purpose in purposes {
            let batch = self.checked(purpose, feeds, choices)?;
            report.examples = batch;
            let call = self.call_for(purpose, batch, choices, feeds, numbers);
            let run = Run::new(self, call, target, extent)?;
            report.checks.push(rewrites::check(&run));
            if extent.kernels {
                report.checks.push(kernels::check(&run)?);
            }
            report.checks.push(roots::check(&run)?);
        }
        if extent.samples > 0 && self.has_loss {
            let batch = self.checked(&Purpose::Gradients, feeds, choices)?;
            let call = self.call_for(&Purpose::Gradients, batch, choices, feeds, numbers);
            report.checks.push(derivatives::check(self, &call, extent)?);
        }
        Ok(report)
    }

    /// Verifies a purpose that makes a step, before it is made; changes nothing.
    ///
    /// # Errors
    /// As [`Engine::run_at`].
    pub(crate) fn verify_step(
        &mut self,
        purpose: &Purpose,
        feeds: &[Feed<'_>],
        choices: &[usize],
        learning_rate: f32,
        extent: Extent,
    ) -> Result<Verification> {
        self.checked(purpose, feeds, choices)?;
        let numbers = UpdateNumbers { learning_rate, batches: 1 };
        if let Some(training) = purpose.training() {
            self.bind(purpose, training, numbers)?;
        }
        let purposes = std::slice::from_ref(purpose);
        let report = self.verify(purposes, feeds, choices, numbers, extent);
        if !self.has_stepped && !report.as_ref().is_ok_and(Verification::is_ok) {
            self.forget_steps();
        }
        report
    }
}

/// One purpose on one batch.
struct Run<'e, 'a, 'b> {
    engine: &'e Engine,
    call: Call<'a, 'b>,
    extent: Extent,
    /// The declared graph of the purpose; every node has a name.
    graph: Graph,
    /// The labels of nodes whose name differs from their label, by name.
    labels: HashMap<String, String>,
    /// The graphs after each pass up to fusion, in order.
    stages: Vec<(&'static str, Graph)>,
    fused: Fused,
    artifact: Artifact,
}

impl<'e, 'a, 'b> Run<'e, 'a, 'b> {
    fn new(
        engine: &'e Engine,
        call: Call<'a, 'b>,
        target: Target,
        extent: Extent,
    ) -> Result<Run<'e, 'a, 'b>> {
        let declaration = &engine.declaration;
        let (graph, labels) = provenance::named(declaration, &call.graph(declaration)?);
        let elements = elements(&graph).saturating_mul(4);
        memory::check::<Bounded>(|| format!("verifying `{}`", declaration.name), elements)?;
        let (mut stages, mut fused) = (Vec::new(), None);
        let mut observer = |pass: &'static str, stage: Stage<'_>| match stage {
            Stage::Graph(graph) if pass != "graph" => stages.push((pass, graph.clone())),
            Stage::Fused(found) => fused = Some(found.clone()),
            _ => {}
        };
        let layout = engine.parameters.layout();
        let artifact = lower_graph(&graph, layout, &target, true, &mut observer)?;
        let fused: Fused =
            fused.ok_or_else(|| Error::from("the observer has not seen the pass `fuse`"))?;
        stages.push(("fuse", fused.graph.clone()));
        Ok(Run { engine, call, extent, graph, labels, stages, fused, artifact })
    }

    /// The label of a node of this name.
    fn label(&self, name: &str) -> String {
        self.labels.get(name).map_or(name, String::as_str).to_string()
    }

    /// The name of a check of this purpose.
    fn named(&self, check: &str) -> String {
        format!("{} {check}", self.call.purpose.name())
    }
}

/// Elements of all values of a graph.
fn elements(g: &Graph) -> usize {
    g.ids().fold(0usize, |sum, id| sum.saturating_add(memory::elements(&g.sizes(id))))
}

/// The relative rounding error of f64 in a long computation: negligible beside that of f32.
const SLACK: f64 = 1.0 / (1u64 << 40) as f64;

/// A value of machine code, and its reference.
struct Comparison<'v> {
    check: String,
    layer: String,
    operation: String,
    kernel: String,
    sizes: Vec<usize>,
    /// Whether the first axis is the batch.
    is_batched: bool,
    found: Vec<f64>,
    expected: &'v [Bounded],
    tolerance: f64,
}

impl Comparison<'_> {
    /// The largest error in units of its bound, and the disagreement if elements are beyond it.
    fn compare(self) -> (Compared, Option<Disagreement>) {
        let mut compared = Compared { name: self.layer.clone(), ..Compared::default() };
        let (mut worst, mut wrong) = (0, 0);
        if self.found.len() != self.expected.len() {
            wrong = self.expected.len().max(1);
        }
        for (i, (found, expected)) in self.found.iter().zip(self.expected).enumerate() {
            let Some(ratio) = ratio(*found, *expected, self.tolerance) else {
                compared.undecided += 1;
                continue;
            };
            compared.elements += 1;
            if ratio > compared.worst {
                (compared.worst, worst) = (ratio, i);
            }
            wrong += usize::from(ratio > 1.0);
        }
        if wrong == 0 {
            return (compared, None);
        }
        let index = index(worst, &self.sizes);
        let expected = self.expected.get(worst).copied().unwrap_or(Bounded::exact(f64::NAN));
        let disagreement = Disagreement {
            check: self.check,
            layer: self.layer,
            operation: self.operation,
            kernel: self.kernel,
            row: index.first().copied().filter(|_| self.is_batched),
            index,
            found: self.found.get(worst).copied().unwrap_or(f64::NAN),
            expected: expected.value,
            bound: expected.bound(self.tolerance, SLACK),
            wrong,
            elements: self.expected.len(),
            note: String::new(),
        };
        (compared, Some(disagreement))
    }
}

/// An error in units of its bound; `None` if no bound is known.
fn ratio(found: f64, expected: Bounded, tolerance: f64) -> Option<f64> {
    expected.distance_of(found, tolerance, SLACK)
}

/// The index of element `i`, counted row-major.
fn index(mut i: usize, sizes: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = sizes
        .iter()
        .rev()
        .map(|size| {
            let position = i % size.max(&1);
            i /= size.max(&1);
            position
        })
        .collect();
    index.reverse();
    index
}

/// Evaluates a graph in f64 with the errors of a precision, and of constants: autodiff and passes round
/// constants to f32, as `1 - 0.1`.
fn tracked<const BITS: u32>(
    engine: &Engine,
    call: &Call<'_, '_>,
    graph: &Graph,
) -> Vec<Value<Tracked<BITS>>> {
    let leaf = |leaf: Leaf<'_>| leaf_value(&engine.parameters, call, leaf);
    interpret_with(graph, leaf, |id, value: &mut Value<Tracked<BITS>>| {
        if let (Lowering::Constant(_), Value::Real(array)) = (graph.op(id).lower(), value) {
            // Numbers of few binary digits, as 0.5, are exact.
            let is_short = |x: f64| (x as f32).to_bits().trailing_zeros() >= 12;
            array.mapv_inplace(|x| match is_short(x.value) {
                true => x,
                false => Tracked { error: f64::from(f32::EPSILON) * x.value.abs(), ..x },
            });
        }
    })
}

/// Values of some nodes as plain arrays, by node.
type Values = Vec<Option<ArrayD<f32>>>;

/// The node of each root.
fn root_nodes(g: &Graph) -> impl Iterator<Item = NodeId> {
    g.roots().iter().map(|(_, id)| *id)
}
