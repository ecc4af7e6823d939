//! Anomaly detection: finds the origin of NaN and infinity. A call is evaluated again by the
//! interpreter, in f32, and its graph is searched from the result that is not finite.
//!
//! Takes a call whose result was not finite and that has changed nothing; returns an [`Anomaly`]. The
//! search covers only values that make the result not finite: the score -∞ of a masked class, whose
//! softmax is 0, is no anomaly.

use bilro_compiler::eval::Value;
use bilro_compiler::graph::{Graph, NodeId, Root};
use bilro_compiler::ops::Leaf;
use bilro_compiler::purpose::Purpose;

use super::interpreted::leaf_value;
use super::{Call, Engine, Results, UpdateNumbers, provenance};
use crate::error::{Anomaly, Error, OperandRange, Origin, Result};
use crate::memory;
use crate::run::Feed;
use crate::run::interpreter::{interpret, interpret_with, peak};

/// Whether a result of a call is infinite or NaN; of a step, whether it was rejected. A mean over
/// targets of total weight 0 is NaN and no anomaly: then the `sums` of the call are finite.
pub(super) fn is_anomalous(results: &Results, sums: &[f64], overwrites: bool) -> bool {
    let is_weighted_mean = !sums.is_empty() && sums.iter().all(|sum| sum.is_finite());
    if overwrites {
        return !results.kept && (results.loss.is_finite() || !is_weighted_mean);
    }
    if !sums.is_empty() {
        return !is_weighted_mean;
    }
    let is_wrong = |x: &f32| !x.is_finite();
    let numbers = std::iter::once(&results.loss).chain(&results.metrics);
    numbers.into_iter().any(is_wrong) || results.arrays.iter().any(|a| a.iter().any(is_wrong))
}

impl Engine {
    /// Sets whether a call whose results are not finite is evaluated again by the interpreter, and
    /// returns [`Error::Anomaly`] with the layer of the origin; default `false`. A step's results
    /// count as finite unless it is rejected.
    pub fn set_detect_anomaly(&mut self, detects: bool) {
        self.detects_anomalies = detects;
    }

    /// Requires finite results of a call; one without has changed nothing.
    ///
    /// # Errors
    /// [`Error::Anomaly`] with the origin.
    #[cold]
    #[inline(never)]
    pub(super) fn require_finite(
        &mut self,
        results: &Results,
        purpose: &Purpose,
        batch: usize,
        choices: &[usize],
        feeds: &[Feed<'_>],
        numbers: UpdateNumbers,
    ) -> Result<()> {
        if !is_anomalous(results, &self.sums, purpose.overwrites()) {
            return Ok(());
        }
        let error = error(self, &self.call_for(purpose, batch, choices, feeds, numbers));
        if !self.has_stepped {
            self.forget_steps();
        }
        Err(error)
    }
}

/// The anomaly of a call, as an error; another error if the call cannot be evaluated.
#[cold]
pub(super) fn error(engine: &Engine, call: &Call<'_, '_>) -> Error {
    match search(engine, call) {
        Ok(report) => Error::Anomaly { report: Box::new(report) },
        Err(error) => error,
    }
}

/// Properties of a node's value.
#[derive(Clone, Copy, Default)]
struct Known {
    is_finite: bool,
    has_nan: bool,
    largest: f32,
}

impl Known {
    fn of(value: &Value<f32>) -> Known {
        let Value::Real(array) = value else {
            return Known { is_finite: true, ..Known::default() };
        };
        let largest = array.iter().fold(0f32, |m, x| m.max(x.abs()));
        let has_nan = array.iter().any(|x| x.is_nan());
        Known { is_finite: largest.is_finite() && !has_nan, has_nan, largest }
    }
}

fn search(engine: &Engine, call: &Call<'_, '_>) -> Result<Anomaly> {
    let declaration = &engine.declaration;
    let graph = call.graph(declaration)?;
    let what = || format!("the values of `{}` by the interpreter", declaration.name);
    memory::check::<f32>(what, peak(&graph))?;
    let labels = provenance::labels(declaration, &graph);
    // The next values of parameters are not examined: the step was rejected.
    let mut read = graph.clone();
    read.retain_roots(|root| !matches!(root, Root::Assign(_)));
    let mut known = vec![Known::default(); graph.len()];
    interpret_with(
        &read,
        |leaf| leaf_value(&engine.parameters, call, leaf),
        |id, value| known[id.index()] = Known::of(value),
    );

    let mut report = Anomaly {
        network: declaration.name.clone(),
        purpose: call.purpose.name().into(),
        result: "a result".into(),
        ..Anomaly::default()
    };
    let needed = read.needed();
    let is_wrong = |id: NodeId| needed[id.index()] && !known[id.index()].is_finite;
    // The guard only shows that a value is not finite: the values are its operands.
    let mut results: Vec<(String, NodeId)> = Vec::new();
    for (root, id) in read.roots() {
        match root {
            Root::Guard => {
                let gradients = read.operands(*id).iter().map(|x| (labels[x.index()].clone(), *x));
                results.extend(gradients);
            }
            _ => results.push((provenance::root_label(declaration, root), *id)),
        }
    }
    let Some((result, _)) = results.iter().find(|(_, id)| is_wrong(*id)) else {
        let largest = graph.ids().filter(|id| needed[id.index()]);
        let largest =
            largest.max_by(|a, b| known[a.index()].largest.total_cmp(&known[b.index()].largest));
        report.largest = largest.map(|id| (labels[id.index()].clone(), known[id.index()].largest));
        return Ok(report);
    };
    report.result = result.clone();
    // Ancestors of such results, over values that are not finite.
    let mut is_ancestor = vec![false; graph.len()];
    for (_, id) in results.iter().filter(|(_, id)| is_wrong(*id)) {
        is_ancestor[id.index()] = true;
        mark(&graph, *id, &is_wrong, &mut is_ancestor);
    }
    let is_first =
        |id: &NodeId| is_ancestor[id.index()] && !graph.operands(*id).iter().any(|x| is_wrong(*x));
    let Some(first) = graph.ids().find(is_first) else { return Ok(report) };
    let mut nan = graph.ids().filter(|id| is_ancestor[id.index()] && known[id.index()].has_nan);
    let becomes_nan = nan.next().filter(|id| *id != first).map(|id| labels[id.index()].clone());
    report.origin = Some(Origin { becomes_nan, ..origin(engine, call, &graph, first, &labels) });
    Ok(report)
}

/// Marks the ancestors of a node that are reached over values that are not finite.
fn mark(graph: &Graph, id: NodeId, is_wrong: &impl Fn(NodeId) -> bool, is_ancestor: &mut [bool]) {
    let mut open = vec![id];
    while let Some(next) = open.pop() {
        for x in graph.operands(next) {
            if is_wrong(*x) && !is_ancestor[x.index()] {
                is_ancestor[x.index()] = true;
                open.push(*x);
            }
        }
    }
}

fn origin(
    engine: &Engine,
    call: &Call<'_, '_>,
    graph: &Graph,
    first: NodeId,
    labels: &[String],
) -> Origin {
    let mut operands: Vec<NodeId> = graph.operands(first).to_vec();
    operands.dedup();
    let mut only = graph.clone();
    only.retain_roots(|_| false);
    only.add_root(Root::Loss, first);
    operands.iter().for_each(|id| only.add_root(Root::Loss, *id));
    let values = interpret::<f32>(&only, |leaf| leaf_value(&engine.parameters, call, leaf));
    let leaf = graph.op(first).leaf();
    let is_given = matches!(leaf, Some(Leaf::Input(_) | Leaf::Parameter(_)));
    let array = values[0].array();
    let wrong: Vec<usize> =
        array.iter().enumerate().filter(|(_, x)| !x.is_finite()).map(|(i, _)| i).collect();
    let wrong_value = array
        .iter()
        .copied()
        .filter(|x| !x.is_finite())
        .reduce(|a, b| if b.is_nan() { b } else { a });
    let mut rows: Vec<usize> = match graph.shape(first).batched {
        true => wrong.iter().map(|i| i / (array.len() / graph.batch()).max(1)).collect(),
        false => Vec::new(),
    };
    rows.dedup();
    let ranges =
        operands.iter().zip(&values[1..]).filter(|(_, value)| matches!(value, Value::Real(_)));
    let ranges = ranges.map(|(id, value)| {
        let (mut least, mut largest) = (f32::INFINITY, f32::NEG_INFINITY);
        for x in value.reals() {
            (least, largest) = (least.min(*x), largest.max(*x));
        }
        OperandRange { name: labels[id.index()].clone(), least, largest }
    });
    Origin {
        layer: labels[first.index()].clone(),
        operation: if is_given { String::new() } else { graph.op(first).name().into() },
        value: wrong_value.unwrap_or(f32::NAN),
        wrong: wrong.len(),
        elements: array.len(),
        wrong_rows: rows.len(),
        rows: rows.into_iter().take(Origin::MOST_ROWS).collect(),
        operands: ranges.collect(),
        becomes_nan: None,
    }
}
