//! Verification of rewrites: the roots of the declared graph against those of the compiled graph, both
//! evaluated in f64.
//!
//! The bounds are those of f64, and of constants that are rounded to f32: a wrong rewrite is found
//! however deep the network is, with the pass and the first layer whose value it has changed.

use std::collections::HashMap;

use bilro_compiler::eval::Value;
use bilro_compiler::eval::bounded::{Bounded, Fine};
use bilro_compiler::graph::{Graph, NodeId, Root};

use super::{Comparison, Run, leaf_value, provenance, ratio, tracked};
use crate::error::Check;
use crate::run::interpreter::interpret;

pub(super) fn check(run: &Run<'_, '_, '_>) -> Check {
    let (engine, call) = (run.engine, &run.call);
    let [declared, compiled] = [&run.graph, &run.fused.graph]
        .map(|graph| -> Vec<Value<Fine>> { tracked(engine, call, graph) });
    let mut check = Check::new(run.named("rewritten"));
    for (((root, id), declared), compiled) in run.graph.roots().iter().zip(&declared).zip(&compiled)
    {
        // The guard of the compiled graph checks other values than the declared one.
        if matches!(root, Root::Guard) {
            continue;
        }
        let pairs = declared.reals().iter().zip(compiled.reals());
        let expected: Vec<Bounded> =
            pairs.map(|(a, b)| Bounded { value: a.value, error: a.error + b.error }).collect();
        let label = provenance::root_label(&engine.declaration, root);
        let comparison = Comparison {
            check: check.name.clone(),
            layer: label.clone(),
            operation: String::new(),
            kernel: String::new(),
            sizes: run.graph.sizes(*id),
            is_batched: run.graph.shape(*id).batched,
            found: compiled.reals().iter().map(|x| x.value).collect(),
            expected: &expected,
            tolerance: run.extent.tolerance,
        };
        let (compared, mut disagreement) = comparison.compare();
        if let Some(disagreement) = &mut disagreement {
            let (pass, layer) = blame(run, root, &expected);
            disagreement.note = pass;
            if let Some(layer) = layer.filter(|layer| *layer != label) {
                disagreement.note += &format!("; the numbers are those of {label}");
                disagreement.layer = layer;
            }
        }
        check.add(compared, disagreement);
    }
    check
}

/// The first pass that has changed a root's value, and the first layer that it has changed.
fn blame(run: &Run<'_, '_, '_>, root: &Root, expected: &[Bounded]) -> (String, Option<String>) {
    let index = run.graph.roots().iter().position(|(other, _)| other == root);
    let Some(index) = index else { return Default::default() };
    for (pass, graph) in &run.stages {
        let mut graph = graph.clone();
        let Some(id) = graph.roots().get(index).map(|(_, id)| *id) else { continue };
        graph.retain_roots(|_| false);
        graph.add_root(root.clone(), id);
        let values =
            interpret::<f64>(&graph, |leaf| leaf_value(&run.engine.parameters, &run.call, leaf));
        let pairs = values[0].reals().iter().zip(expected);
        let is_wrong = |(found, expected): (&f64, &Bounded)| {
            ratio(*found, *expected, 1.0).is_some_and(|ratio| ratio > 1.0)
        };
        if !pairs.clone().any(is_wrong) {
            continue;
        }
        return (format!("the pass `{pass}` has changed it"), first_changed(run, &graph));
    }
    Default::default()
}

/// The first node with a name that the declared graph has too and whose value differs.
fn first_changed(run: &Run<'_, '_, '_>, graph: &Graph) -> Option<String> {
    let compiled = by_name(graph);
    let declared = by_name(&run.graph);
    // A name must appear equally often in both graphs; its nodes are paired in order.
    let mut pairs: Vec<(NodeId, NodeId)> = Vec::new();
    for (name, nodes) in &compiled {
        let Some(others) = declared.get(name).filter(|others| others.len() == nodes.len()) else {
            continue;
        };
        let same = |(a, b): &(NodeId, NodeId)| graph.ty(*a) == run.graph.ty(*b);
        pairs.extend(nodes.iter().copied().zip(others.iter().copied()).filter(same));
    }
    let needed = graph.needed();
    pairs.retain(|(id, _)| needed[id.index()] && graph.ty(*id).is_real());
    pairs.sort_unstable();
    let values = |graph: &Graph, nodes: Vec<NodeId>| -> Vec<Value<f64>> {
        let mut graph = graph.clone();
        graph.retain_roots(|_| false);
        for (i, id) in nodes.into_iter().enumerate() {
            graph.add_root(Root::Output(i.to_string()), id);
        }
        interpret::<f64>(&graph, |leaf| leaf_value(&run.engine.parameters, &run.call, leaf))
    };
    let found = values(graph, pairs.iter().map(|(id, _)| *id).collect());
    let expected = values(&run.graph, pairs.iter().map(|(_, id)| *id).collect());
    let differs = |(a, b): (&Value<f64>, &Value<f64>)| {
        let size = b.reals().iter().fold(0f64, |m, x| m.max(x.abs()));
        // Passes round constants to f32.
        let is_far = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-6 * size || a.is_nan() != b.is_nan();
        a.reals().iter().zip(b.reals()).any(is_far)
    };
    let first = found.iter().zip(&expected).position(differs)?;
    graph.node(pairs[first].0).name.as_ref().map(|name| run.label(name))
}

fn by_name(graph: &Graph) -> HashMap<String, Vec<NodeId>> {
    let mut nodes: HashMap<String, Vec<NodeId>> = HashMap::new();
    for id in graph.ids() {
        if let Some(name) = &graph.node(id).name {
            nodes.entry(name.to_string()).or_default().push(id);
        }
    }
    nodes
}
