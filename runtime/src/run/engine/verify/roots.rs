//! Results of whole calls: outputs, loss, metrics, gradients and next values by machine code,
//! against the interpreter in f64 on the graph as it is declared.
//!
//! The bounds are those of a running error analysis of the graph that the passes made, which is
//! what machine code computes; values are the declared graph's. So a wrong rewrite is found however
//! good the kernels are, and named: the pass, and the first layer whose value it has changed.

use std::collections::HashMap;

use bilro_compiler::eval::Value;
use bilro_compiler::eval::bounded::Bounded;
use bilro_compiler::graph::{Graph, NodeId, Root};

use super::{Comparison, Run, leaf_value, provenance, ratio};
use crate::error::{Check, Result};
use crate::run::engine::arena_description;
use crate::run::interpreter::interpret;
use crate::run::parameters::strided;
use bilro_compiler::plan::Region;

pub(super) fn check(run: &Run<'_, '_, '_>) -> Result<Check> {
    let (engine, call) = (run.engine, &run.call);
    let found = found(run)?;
    let declared = interpret::<f64>(&run.graph, |leaf| leaf_value(&engine.parameters, call, leaf));
    let bounds =
        interpret::<Bounded>(&run.fused.graph, |leaf| leaf_value(&engine.parameters, call, leaf));
    let is_kept = kept(run, &found);
    let mut check = Check::new(run.named("as declared"));
    let roots = run.graph.roots().iter().zip(&declared).zip(bounds.iter().zip(&found));
    for (((root, id), declared), (bounded, found)) in roots {
        // What a step does not keep is nothing to compare, and the guard itself is in the kernels.
        if matches!(root, Root::Guard) || (matches!(root, Root::Assign(_)) && !is_kept) {
            continue;
        }
        let pairs = declared.reals().iter().zip(bounded.reals());
        let expected: Vec<Bounded> =
            pairs.map(|(value, bounded)| Bounded { value: *value, error: bounded.error }).collect();
        let comparison = Comparison {
            check: check.name.clone(),
            layer: provenance::root_label(&engine.declaration, root),
            operation: String::new(),
            kernel: String::new(),
            sizes: run.graph.sizes(*id),
            is_batched: run.graph.shape(*id).batched,
            found,
            expected: &expected,
            tolerance: run.extent.tolerance,
        };
        let (compared, mut disagreement) = comparison.compare();
        if let Some(disagreement) = &mut disagreement {
            disagreement.note = blame(run, root, &expected);
        }
        check.add(compared, disagreement);
    }
    Ok(check)
}

/// The roots by machine code, in their order, row-major.
fn found(run: &Run<'_, '_, '_>) -> Result<Vec<Vec<f32>>> {
    let engine = run.engine;
    let (declaration, parameters) = (&engine.declaration, &engine.parameters);
    let (found, evicted) = engine.workspaces.with(|workspace| -> Result<_> {
        let (place, evicted) = workspace.code(&engine.code, declaration, parameters, &run.call)?;
        let code = workspace.compiled(place);
        let what = || arena_description(declaration, &run.call);
        let mut memory = code.own_memory(&what, &parameters.memory, &run.call, f32::NAN)?;
        code.run_whole(&mut memory, &run.call, engine.threads)?;
        let value = |root: &bilro_compiler::artifact::RootValue| {
            let floats = match root.allocation.region {
                Region::Parameters => memory.parameters.as_slice(),
                _ => memory.arena.as_slice(),
            };
            let start = root.allocation.offset;
            let floats = &floats[start..start + root.layout.elements];
            strided(floats, &root.layout).iter().copied().collect::<Vec<f32>>()
        };
        let roots = run.artifact.interface.roots.iter().map(value).collect();
        Ok((roots, evicted))
    })?;
    if evicted {
        engine.workspaces.refresh(&engine.code);
    }
    Ok(found)
}

/// Whether a step overwrote what it was to.
fn kept(run: &Run<'_, '_, '_>, found: &[Vec<f32>]) -> bool {
    let mut roots = run.graph.roots().iter().zip(found);
    roots.all(|((root, _), found)| *root != Root::Guard || found.first() == Some(&0.0))
}

/// Which pass has changed a root's value, and the first layer that it has changed.
fn blame(run: &Run<'_, '_, '_>, root: &Root, expected: &[Bounded]) -> String {
    let place = run.graph.roots().iter().position(|(other, _)| other == root);
    let Some(place) = place else { return String::new() };
    for (pass, graph) in &run.stages {
        let mut graph = graph.clone();
        let Some(id) = graph.roots().get(place).map(|(_, id)| *id) else { continue };
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
        return match first_changed(run, &graph) {
            Some(layer) => format!("the pass `{pass}` has changed it, first at {layer}"),
            None => format!("the pass `{pass}` has changed it"),
        };
    }
    "no pass has changed it: the kernels give something else than the graph that they compute"
        .into()
}

/// The first node with a name, of those that the declared graph has too, whose value differs.
fn first_changed(run: &Run<'_, '_, '_>, graph: &Graph) -> Option<String> {
    let own = by_name(graph);
    let declared = by_name(&run.graph);
    // The same name, as often in both, in the order of the nodes.
    let mut pairs: Vec<(NodeId, NodeId)> = Vec::new();
    for (name, nodes) in &own {
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
        let apart = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-6 * size || a.is_nan() != b.is_nan();
        a.reals().iter().zip(b.reals()).any(apart)
    };
    let place = found.iter().zip(&expected).position(differs)?;
    graph.node(pairs[place].0).name.as_ref().map(|name| run.label(name))
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
