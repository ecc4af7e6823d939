//! Reduces a network that fails: fewer statements, attributes and options, smaller sizes and batches,
//! as long as it fails in the same way.

use std::time::{Duration, Instant};

use bilro_compiler::ops::AttributeValue;
use bilro_compiler::shape::Dim;

use super::draw::{Network, prune, used_choices};
use super::language::{self, Call, Item, Operand};
use super::training::Plan;

/// Reduces a network; `fails` tells whether a smaller one fails in the same way. Ends after a time.
pub fn reduce(
    network: &Network,
    limit: Duration,
    mut fails: impl FnMut(&Network) -> bool,
) -> Network {
    let (mut smallest, start) = (network.clone(), Instant::now());
    loop {
        let before = measure(&smallest);
        for candidates in [simpler_runs, fewer_items, simpler_calls, smaller_sizes] {
            let mut index = 0;
            // Candidates of the smallest network so far; an accepted one is followed by those after it.
            while let Some(candidate) = candidates(&smallest).into_iter().nth(index) {
                if start.elapsed() > limit {
                    return smallest;
                }
                let candidate = cleaned(&smallest, candidate);
                match candidate.filter(|c| measure(c) < measure(&smallest)) {
                    Some(candidate) if fails(&candidate) => smallest = candidate,
                    _ => index += 1,
                }
            }
        }
        if measure(&smallest) == before {
            return smallest;
        }
    }
}

/// The size of a network; each reduction makes it smaller.
fn measure(network: &Network) -> (usize, usize, usize, usize) {
    let Network { plan, batch, items, is_extreme, .. } = network;
    let options = plan.options.iter().filter(|option| **option).count()
        + usize::from(plan.clip.is_some())
        + plan.accumulate
        + plan.rates.len()
        + usize::from(plan.optimizer > 0)
        + usize::from(plan.schedule > 0)
        + usize::from(plan.then.is_some())
        + usize::from(*is_extreme);
    let text = network.text();
    let digits = text.split(|c: char| !c.is_ascii_digit());
    let total = digits.filter_map(|n| n.parse::<usize>().ok()).fold(0, usize::saturating_add);
    (count(items) + network.calls().len(), text.len(), batch + total, options)
}

/// The number of statements, with those of blocks.
fn count(items: &[Item]) -> usize {
    let inner = items.iter().map(|item| match item {
        Item::Block { items, .. } => count(items),
        _ => 0,
    });
    items.len() + inner.sum::<usize>()
}

/// A candidate without unused items; `None` if it is no network.
fn cleaned(before: &Network, mut candidate: Network) -> Option<Network> {
    prune(&mut candidate.items, &mut Vec::new());
    candidate.choices = used_choices(&before.items, &candidate.items, &before.choices);
    let declaration = language::declare(&candidate.items).ok()?;
    if declaration.inputs.is_empty() {
        candidate.batch = 1;
    }
    candidate.batch = candidate.batch.max(declaration.least_batch());
    Some(candidate)
}

/// Smaller batches, plainer trainings.
fn simpler_runs(network: &Network) -> Vec<Network> {
    let mut all = Vec::new();
    let batch = network.batch;
    for smaller in [1, 2, 3, batch / 2, batch.saturating_sub(1)] {
        if smaller < batch && smaller > 0 {
            all.push(Network { batch: smaller, ..network.clone() });
        }
    }
    let plan = &network.plan;
    let plans = [
        Plan::plain(),
        Plan { clip: None, ..plan.clone() },
        Plan { accumulate: 1, ..plan.clone() },
        Plan { rates: Vec::new(), ..plan.clone() },
        Plan { schedule: 0, then: None, ..plan.clone() },
        Plan { optimizer: 0, ..plan.clone() },
        Plan { options: [false; 4], ..plan.clone() },
    ];
    let plans = plans.into_iter().filter(|other| other != plan);
    all.extend(plans.map(|plan| Network { plan, ..network.clone() }));
    if network.is_extreme {
        all.push(Network { is_extreme: false, ..network.clone() });
    }
    all
}

/// One statement less: an output, a metric or a loss, or a value that one of its operands replaces.
fn fewer_items(network: &Network) -> Vec<Network> {
    let mut all = Vec::new();
    for (i, item) in network.items.iter().enumerate().rev() {
        let mut without = network.clone();
        without.items.remove(i);
        match item {
            Item::Output { .. } | Item::Metric { .. } | Item::Loss { .. } => all.push(without),
            Item::Let { names, operands, .. } => {
                let earlier = network.items[..i].iter().flat_map(Item::declares).last();
                let values = operands.iter().filter_map(|x| match x {
                    Operand::Value(name) => Some(name.as_str()),
                    Operand::Number(_) => None,
                });
                for value in values.chain(earlier) {
                    let mut candidate = without.clone();
                    for name in names {
                        candidate.items.iter_mut().for_each(|item| replace(item, name, value));
                    }
                    all.push(candidate);
                }
            }
            _ => {}
        }
        all.extend(inlined(network, i));
    }
    all
}

/// Replaces a use of a value.
fn replace(item: &mut Item, from: &str, to: &str) {
    match item {
        Item::Let { operands, .. } => {
            for operand in operands {
                if *operand == Operand::Value(from.into()) {
                    *operand = Operand::Value(to.into());
                }
            }
        }
        Item::Output { value, .. } | Item::Loss { value, .. } | Item::Metric { value, .. }
            if value == from =>
        {
            *value = to.into();
        }
        _ => {}
    }
}

/// The network with a use of a choice or of a block written out.
fn inlined(network: &Network, at: usize) -> Vec<Network> {
    let Item::Let { names, call, operands } = &network.items[at] else { return Vec::new() };
    let declared =
        |name: &str| network.items[..at].iter().find(|item| item.declares().contains(&name));
    let block = match declared(&call.name) {
        Some(Item::Layer { of, .. }) => declared(&of.name),
        other => other,
    };
    match block {
        Some(Item::Choice { alternatives, .. }) => {
            let with = |call: &Call| {
                let mut candidate = network.clone();
                let (names, operands) = (names.clone(), operands.clone());
                candidate.items[at] = Item::Let { names, call: call.clone(), operands };
                candidate
            };
            alternatives.iter().map(with).collect()
        }
        Some(Item::Block { parameters, items, value, .. }) => {
            let mut body = items.clone();
            let mut renamed: Vec<(String, Operand)> =
                parameters.iter().cloned().zip(operands.iter().cloned()).collect();
            for name in items.iter().flat_map(Item::declares) {
                let fresh = format!("{name}_{at}");
                renamed.push((name.into(), Operand::Value(fresh)));
            }
            let new = |name: &str| {
                let found = renamed.iter().find(|(from, _)| from == name);
                found.map(|(_, to)| to.clone()).unwrap_or_else(|| Operand::Value(name.into()))
            };
            let text = |name: &str| match new(name) {
                Operand::Value(name) => name,
                Operand::Number(_) => name.into(),
            };
            for item in &mut body {
                match item {
                    Item::Let { names, call, operands } => {
                        names.iter_mut().for_each(|name| *name = text(name));
                        call.name = text(&call.name);
                        for operand in operands {
                            if let Operand::Value(name) = operand {
                                *operand = new(name);
                            }
                        }
                    }
                    Item::Parameter { name, .. } | Item::Layer { name, .. } => *name = text(name),
                    _ => {}
                }
            }
            let mut candidate = network.clone();
            candidate.items.remove(at);
            for (i, item) in body.into_iter().enumerate() {
                candidate.items.insert(at + i, item);
            }
            let [name] = &names[..] else { return Vec::new() };
            candidate.items.iter_mut().for_each(|item| replace(item, name, &text(value)));
            vec![candidate]
        }
        _ => Vec::new(),
    }
}

/// Calls with an attribute less, inputs without gradients, losses that are means.
fn simpler_calls(network: &Network) -> Vec<Network> {
    let mut all = Vec::new();
    let mut with = |i: usize, item: Item| {
        let mut candidate = network.clone();
        candidate.items[i] = item;
        all.push(candidate);
    };
    for (i, item) in network.items.iter().enumerate() {
        match item {
            Item::Input { grad: true, .. } => {
                let mut other = item.clone();
                if let Item::Input { grad, .. } = &mut other {
                    *grad = false;
                }
                with(i, other);
            }
            Item::Loss { value, sum: true } => {
                with(i, Item::Loss { value: value.clone(), sum: false });
            }
            Item::Parameter { name, dims, init, .. } if *init != "ones" => {
                let (name, dims) = (name.clone(), dims.clone());
                with(i, Item::Parameter { name, dims, init: "ones", numbers: Vec::new() });
            }
            Item::Let { call, .. } | Item::Layer { of: call, .. } => {
                for attribute in 0..call.attributes.len() {
                    let mut other = item.clone();
                    if let Item::Let { call, .. } | Item::Layer { of: call, .. } = &mut other {
                        call.attributes.remove(attribute);
                    }
                    with(i, other);
                }
            }
            _ => {}
        }
    }
    all
}

/// The network with another size for all axes of one size.
fn smaller_sizes(network: &Network) -> Vec<Network> {
    let mut sizes: Vec<usize> = Vec::new();
    let mut probe = network.clone();
    probe.items.iter_mut().for_each(|item| each_size(item, &mut |n| sizes.push(*n)));
    sizes.sort_unstable();
    sizes.dedup();
    let mut all = Vec::new();
    for size in sizes.into_iter().rev() {
        for smaller in [1, 2, 3, 4, size / 2, size - 1] {
            if smaller == 0 || smaller >= size {
                continue;
            }
            let mut candidate = network.clone();
            let mut resize = |n: &mut usize| {
                if *n == size {
                    *n = smaller;
                }
            };
            candidate.items.iter_mut().for_each(|item| each_size(item, &mut resize));
            all.push(candidate);
        }
    }
    all
}

fn each_size(item: &mut Item, visit: &mut dyn FnMut(&mut usize)) {
    let in_call = |call: &mut Call, visit: &mut dyn FnMut(&mut usize)| {
        for (_, value) in &mut call.attributes {
            match value {
                AttributeValue::Size(Dim::Fixed(n)) => visit(n),
                AttributeValue::Sizes(dims) => {
                    for dim in dims {
                        if let Dim::Fixed(n) = dim {
                            visit(n);
                        }
                    }
                }
                AttributeValue::Numbers(numbers) if numbers.len() > 1 => {
                    let mut count = numbers.len();
                    visit(&mut count);
                    numbers.truncate(count);
                }
                _ => {}
            }
        }
    };
    match item {
        Item::Input { below, dims, .. } => {
            below.iter_mut().chain(dims).for_each(visit);
        }
        Item::Parameter { dims, .. } => dims.iter_mut().for_each(visit),
        Item::Let { call, .. } | Item::Layer { of: call, .. } => in_call(call, visit),
        Item::Choice { alternatives, .. } => {
            alternatives.iter_mut().for_each(|call| in_call(call, visit));
        }
        Item::Block { items, .. } => items.iter_mut().for_each(|item| each_size(item, visit)),
        _ => {}
    }
}
