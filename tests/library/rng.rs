//! Random numbers against PyTorch's.
//!
//! Reads `rng.json`, made by `goldens/make_goldens.py`, from `goldens` or from the folder of the
//! environment variable `BILRO_GOLDENS`, and replays every call in it. Calls are parsed from their
//! text, so a file with other seeds and sizes works as well.

use bilro::data::ShuffledOrder;
use bilro::rng::{Generator, init};
use bilro_tests::goldens::{self, Tensor};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Bound of the difference between a real number and PyTorch's.
const TOLERANCE: f64 = 1e-6;

/// Each of these must have a case.
const KINDS: [&str; 11] = [
    "rand",
    "randn",
    "randint",
    "randperm",
    "Linear",
    "Embedding",
    "nn.init.xavier_uniform_",
    "nn.init.xavier_normal_",
    "nn.init.kaiming_uniform_",
    "nn.init.kaiming_normal_",
    "DataLoader",
];

#[derive(Deserialize)]
struct Case {
    /// `randn(1,3); randn(2)` or `Linear(5,3): weight, bias`: calls, and the listed results.
    call: String,
    seed: u64,
    values: Vec<Tensor>,
}

/// The contents of one of our tensors.
#[derive(Debug)]
enum Values {
    Whole(Vec<i64>),
    Real(Vec<f32>),
}

#[test]
fn every_call_has_pytorchs_values() {
    let mut found = BTreeSet::new();
    let mut failures = Vec::new();
    for case in &goldens::read::<Case>("rng.json") {
        let calls = case.call.split(": ").next().unwrap_or_default();
        let kind_of = |call: &str| KINDS.into_iter().find(|&kind| kind == name(call));
        let Some(kinds) = calls.split("; ").map(kind_of).collect::<Option<Vec<_>>>() else {
            println!("not compared: {}", case.call);
            continue;
        };
        let mut generator = Generator::new(case.seed);
        let mut ours = Vec::new();
        for (kind, call) in kinds.into_iter().zip(calls.split("; ")) {
            ours.extend(replay(kind, &numbers(call), &mut generator));
            found.insert(kind);
        }
        if let Err(difference) = compare(&ours, &case.values) {
            failures.push(format!("{} with seed {}: {difference}", case.call, case.seed));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    for kind in KINDS {
        assert!(found.contains(kind), "no case of {kind} in {}", goldens::folder().display());
    }
}

/// The name of a call's function.
fn name(call: &str) -> &str {
    call.split('(').next().unwrap_or_default()
}

/// The integers among the arguments of a call, in order.
fn numbers(call: &str) -> Vec<i64> {
    call[name(call).len()..]
        .split(|c: char| !c.is_ascii_digit() && c != '-')
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// The tensors of one call, computed by bilro.
fn replay(kind: &str, args: &[i64], generator: &mut Generator) -> Vec<Values> {
    let sizes: Vec<usize> = args.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    let real = |len: usize, fill: &mut dyn FnMut(&mut [f32])| {
        let mut values = vec![0.0; len];
        fill(&mut values);
        Values::Real(values)
    };
    let all = sizes.iter().product();
    match (kind, args) {
        ("rand", _) => vec![real(all, &mut |v| generator.fill_uniform(v, 0.0, 1.0))],
        ("randn", _) => vec![real(all, &mut |v| generator.fill_normal(v, 0.0, 1.0))],
        ("randint", &[low, high, ..]) => {
            let len: usize = sizes[2..].iter().product();
            let draw = |_| generator.randint(low, high).unwrap();
            vec![Values::Whole((0..len).map(draw).collect())]
        }
        ("randperm", &[n]) => vec![integers(generator.permutation(n.try_into().unwrap()))],
        ("Linear", &[_, _]) => {
            let (fan_in, out) = (sizes[0], sizes[1]);
            vec![
                real(out * fan_in, &mut |v| init::linear_weight(generator, v, fan_in)),
                real(out, &mut |v| init::linear_bias(generator, v, fan_in)),
            ]
        }
        ("Embedding", _) => vec![real(all, &mut |v| init::embedding_weight(generator, v))],
        // `empty(out, in)`, the layout of a linear layer.
        (_, &[_, _]) if kind.starts_with("nn.init.") => {
            let (fan_out, fan_in) = (sizes[0], sizes[1]);
            vec![real(all, &mut |v| match kind {
                "nn.init.xavier_uniform_" => init::xavier_uniform(generator, v, fan_in, fan_out),
                "nn.init.xavier_normal_" => init::xavier_normal(generator, v, fan_in, fan_out),
                "nn.init.kaiming_uniform_" => init::kaiming_uniform(generator, v, fan_in),
                _ => init::kaiming_normal(generator, v, fan_in),
            })]
        }
        // `DataLoader(range n, batch_size b, shuffle)`: the order of two epochs.
        ("DataLoader", &[n, _]) => {
            let mut order = ShuffledOrder::from_generator(generator.clone());
            let n = n.try_into().unwrap();
            let epochs = vec![integers(order.next_epoch(n)), integers(order.next_epoch(n))];
            *generator = order.into_generator();
            epochs
        }
        _ => panic!("{kind} with unexpected arguments {args:?}"),
    }
}

fn integers(rows: Vec<u32>) -> Values {
    Values::Whole(rows.into_iter().map(i64::from).collect())
}

/// The first difference: integers must be equal, reals within `TOLERANCE`.
fn compare(ours: &[Values], theirs: &[Tensor]) -> Result<(), String> {
    if ours.len() != theirs.len() {
        return Err(format!("{} tensors, PyTorch has {}", ours.len(), theirs.len()));
    }
    for (tensor, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let (ours, tolerance): (Vec<f64>, f64) = match ours {
            Values::Whole(values) => (values.iter().map(|&v| v as f64).collect(), 0.0),
            Values::Real(values) => (values.iter().map(|&v| f64::from(v)).collect(), TOLERANCE),
        };
        let len: usize = theirs.shape.iter().product();
        if ours.len() != len || theirs.data.len() != len {
            return Err(format!("tensor {tensor}: {} values, PyTorch has {len}", ours.len()));
        }
        for (i, (a, b)) in ours.iter().zip(&theirs.values()).enumerate() {
            // Written so that NaN differs from everything.
            let close = (a - b).abs() <= tolerance;
            if !close {
                return Err(format!("tensor {tensor}, value {i}: {a}, PyTorch has {b}"));
            }
        }
    }
    Ok(())
}
