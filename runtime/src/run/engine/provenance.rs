//! Provenance: which layer, parameter or result a node of a graph belongs to.
//!
//! Takes the declared graph of a purpose; returns a label for every node that a user recognises: the
//! name of the layer's call, `relu(fc1(image))` for later operations, `gradient of fc1.weight` for
//! roots, and the nearest of these for nodes added by autodiff and the optimizer. Names of nodes
//! survive passes: a node added by a pass belongs to the next node with a name.

use std::collections::HashMap;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::graph::{Graph, NodeId, Root};
use bilro_compiler::ops::Leaf;

/// Longer labels are cut in their middle.
const LONGEST: usize = 60;

/// The label of a root.
pub(super) fn root_label(declaration: &Declaration, root: &Root) -> String {
    let parameter = |i: &usize| variable(declaration, *i);
    match root {
        Root::Output(name) => format!("output {name}"),
        Root::Loss => "the loss".into(),
        Root::Metric(name) => format!("metric {name}"),
        Root::Sum(..) => "a sum of the loss or a metric".into(),
        Root::Weight(..) => "a weight of the loss or a metric".into(),
        Root::Gradient(i) => format!("gradient of {}", parameter(i)),
        Root::InputGradient(i) => {
            let input = declaration.inputs.get(*i).map_or("an input", |input| &input.name);
            format!("gradient of {input}")
        }
        Root::Assign(i) => format!("next value of {}", parameter(i)),
        Root::Guard => "the guard of the step".into(),
    }
}

/// The name of a parameter, or of optimizer state, which follows the parameters.
fn variable(declaration: &Declaration, i: usize) -> String {
    match declaration.parameters.get(i) {
        Some(parameter) => parameter.name.clone(),
        None => format!("state {} of the optimizer", i - declaration.parameters.len()),
    }
}

/// The labels of all nodes of the declared graph of a purpose.
pub(super) fn labels(declaration: &Declaration, g: &Graph) -> Vec<String> {
    let mut labels: Vec<Option<String>> = vec![None; g.len()];
    let is_forward = forward(g);
    let roots: Vec<(NodeId, String)> =
        g.roots().iter().map(|(root, id)| (*id, root_label(declaration, root))).collect();
    for id in g.ids() {
        let leaf = match g.op(id).leaf() {
            Some(Leaf::Parameter(op)) => Some(variable(declaration, op.index)),
            Some(Leaf::Input(op)) => declaration.inputs.get(op.index).map(|i| i.name.clone()),
            Some(Leaf::StepScalar(op)) => Some(op.name.to_string()),
            None => None,
        };
        let name = g.node(id).name.as_ref().map(ToString::to_string);
        labels[id.index()] = name.or(leaf);
    }
    // Forward operations are named after their first computed operand.
    for id in g.ids().filter(|id| is_forward[id.index()]) {
        if labels[id.index()].is_some() {
            continue;
        }
        let x = g.operands(id);
        let first = x.iter().find(|x| g.op(**x).leaf().is_none() && !g.operands(**x).is_empty());
        let of = first.or(x.first()).and_then(|x| labels[x.index()].clone());
        let name = g.op(id).name();
        labels[id.index()] = Some(match of {
            // A view has no name that users know.
            Some(of) if is_view(g, id) => of,
            Some(of) => shortened(format!("{name}({of})")),
            None => name.to_string(),
        });
    }
    name_layers(declaration, g, &is_forward, &mut labels);
    for (id, label) in &roots {
        if !is_forward[id.index()] {
            labels[id.index()] = Some(label.clone());
        }
    }
    // Nodes added by autodiff belong to the parameter or forward value among their operands.
    for id in g.ids().filter(|id| !is_forward[id.index()]) {
        if labels[id.index()].is_some() {
            continue;
        }
        let is_parameter = |x: NodeId| matches!(g.op(x).leaf(), Some(Leaf::Parameter(_)));
        let x = g.operands(id);
        let near = x
            .iter()
            .find(|x| is_parameter(**x))
            .or_else(|| x.iter().find(|x| is_forward[x.index()] && !g.operands(**x).is_empty()));
        if let Some(of) = near.and_then(|x| labels[x.index()].clone()) {
            labels[id.index()] = Some(shortened(format!("backward of {of}")));
        }
    }
    // The others belong to their first user with a label.
    for id in g.ids().rev().filter(|id| !is_forward[id.index()]) {
        if labels[id.index()].is_none() {
            let user = g.users(id).into_iter().find_map(|user| labels[user.index()].clone());
            labels[id.index()] = Some(match user {
                Some(user) if user.starts_with("towards ") => user,
                Some(user) => shortened(format!("towards {user}")),
                None => g.label(id),
            });
        }
    }
    let named = labels.into_iter().enumerate();
    named.map(|(i, label)| label.unwrap_or_else(|| g.label(NodeId::new(i)))).collect()
}

/// Adds to the labels of forward values the call of the layer that they follow, unless they contain
/// it: `h` becomes `h, after fc1(image)`.
fn name_layers(
    declaration: &Declaration,
    g: &Graph,
    is_forward: &[bool],
    labels: &mut [Option<String>],
) {
    let is_call = |name: &str| {
        let mut layers = declaration.layers.iter();
        layers.any(|l| name.strip_prefix(l.name.as_str()).is_some_and(|end| end.starts_with('(')))
    };
    let mut calls: Vec<Option<String>> = vec![None; g.len()];
    for id in g.ids().filter(|id| is_forward[id.index()]) {
        let call = g.node(id).name.as_ref().filter(|name| is_call(name)).map(ToString::to_string);
        let before = || g.operands(id).iter().find_map(|x| calls[x.index()].clone());
        calls[id.index()] = call.or_else(before);
    }
    for id in g.ids() {
        let (Some(call), Some(label)) = (&calls[id.index()], &mut labels[id.index()]) else {
            continue;
        };
        if !label.contains(call.as_str()) {
            *label = shortened(format!("{label}, after {call}"));
        }
    }
}

/// The graph with a name for every node, its own or its label; and the labels of names that differ
/// from them.
pub(super) fn named(declaration: &Declaration, g: &Graph) -> (Graph, HashMap<String, String>) {
    let (mut named, mut shown) = (g.clone(), HashMap::new());
    for (id, label) in g.ids().zip(labels(declaration, g)) {
        match &g.node(id).name {
            Some(name) if **name != *label => drop(shown.insert(name.to_string(), label)),
            _ => named.name(id, &label),
        }
    }
    (named, shown)
}

/// For every node of a [`named`] graph after passes: its name, or that of the node that it belongs
/// to.
pub(super) fn owners(g: &Graph) -> Vec<String> {
    let mut next: Option<String> = None;
    let mut owners: Vec<String> = g
        .ids()
        .rev()
        .map(|id| {
            if let Some(name) = &g.node(id).name {
                next = Some(name.to_string());
            }
            next.clone().unwrap_or_default()
        })
        .collect();
    owners.reverse();
    // Copies after the last node with a name belong to their operand.
    for id in g.ids().filter(|id| owners[id.index()].is_empty()).collect::<Vec<_>>() {
        let of = g.operands(id).first().map(|x| owners[x.index()].clone());
        owners[id.index()] = of.unwrap_or_else(|| g.label(id));
    }
    owners
}

/// For every node, whether outputs, loss or metrics need it.
fn forward(g: &Graph) -> Vec<bool> {
    let is_result = |root: &Root| {
        use Root::{Loss, Metric, Output, Sum, Weight};
        matches!(root, Output(_) | Loss | Metric(_) | Sum(..) | Weight(..))
    };
    let mut forward = g.clone();
    forward.retain_roots(is_result);
    forward.needed()
}

/// Whether it only arranges the elements of its operand.
fn is_view(g: &Graph, id: NodeId) -> bool {
    matches!(g.op(id).lower(), bilro_compiler::ops::Lowering::View(_))
}

fn shortened(label: String) -> String {
    let count = label.chars().count();
    if count <= LONGEST {
        return label;
    }
    let half = LONGEST / 2 - 1;
    let start: String = label.chars().take(half).collect();
    let end: String = label.chars().skip(count - half).collect();
    format!("{start}…{end}")
}
