//! Every operation after and before every kind of kernel, on every emitter: a
//! loss after a product is a different program than a loss of inputs.

use std::collections::BTreeMap;

use bilro_compiler::graph::Root;
use bilro_compiler::ops;
use bilro_compiler::target::{Target, host};
use bilro_tests::check;
use bilro_tests::neighbours::{
    Consumer, Coverage, InContext, KernelKind, Producer, in_context, is_elementwise, takes_reals,
};

/// One column or row, one example, and neither; the last is longer than unrolled
/// rows.
const EXTREMES: [(usize, usize); 5] = [(1, 1), (5, 1), (1, 3), (5, 3), (19, 2)];

/// Operations with more samples than this try a subset of producers per sample.
const MANY_SAMPLES: usize = 6;

/// Terms of the producers' and consumers' sums.
const TERMS: usize = 64;

fn try_all(chunk: usize, chunks: usize) -> (Coverage, usize) {
    let targets = check::targets();
    let mut coverage = Coverage::default();
    let (mut tried, mut compared) = (0, 0);
    for entry in ops::ALL {
        for (e, (size, batch)) in EXTREMES.into_iter().enumerate() {
            let samples = (entry.samples)(size);
            let many = samples.len() > MANY_SAMPLES;
            for (s, sample) in samples.into_iter().enumerate() {
                // For element-wise operations and many samples a subset suffices:
                // together they have all pairs of producer and consumer.
                let stride = match is_elementwise(&sample.op) || e == EXTREMES.len() - 1 {
                    true => 3,
                    false => 1 + usize::from(many),
                };
                for (b, producer) in Producer::ALL.into_iter().enumerate() {
                    let variant = b + s + e;
                    if variant % stride > 0 {
                        continue;
                    }
                    tried += 1;
                    if tried % chunks != chunk {
                        continue;
                    }
                    compared += 1;
                    let consumer = Consumer::ALL[(variant + s + e * 2) % Consumer::ALL.len()];
                    let seed = (size * 1000 + s * 10 + b) as u64;
                    let context = format!(
                        "{:?} after {producer:?}, before {consumer:?}, size {size}, sample {s}, \
                         batch {batch}, seed {seed}",
                        sample.op
                    );
                    let in_context = in_context(&sample, producer, consumer, batch, seed);
                    let terms = sample.terms + TERMS;
                    compare(&context, &in_context, terms, &targets);
                    let lowered = check::lowered(&in_context.evaluated, &host::baseline());
                    coverage.count(entry.name, &in_context, &lowered.fused);
                }
            }
        }
    }
    (coverage, compared)
}

fn compare(context: &str, in_context: &InContext, terms: usize, targets: &[Target]) {
    for case in [&in_context.evaluated, &in_context.differentiated] {
        let expected = check::interpreted::<f64>(case);
        let mut first: Option<Vec<Vec<f32>>> = None;
        for target in targets {
            let lowered = check::lowered(case, target);
            let found = check::jitted(case, &lowered);
            let first = match &first {
                Some(first) => first,
                None => {
                    let evaluated = check::evaluated(case, &lowered);
                    for (i, (root, _)) in case.graph.roots().iter().enumerate() {
                        let context = format!("{context}, {root}, {}", target.name);
                        check::assert_same_bits(&context, &found[i], &evaluated[i]);
                    }
                    first.insert(found.clone())
                }
            };
            for (i, (root, _)) in case.graph.roots().iter().enumerate() {
                let context = format!("{context}, {root}, {}", target.name);
                check::assert_same_bits(&context, &found[i], &first[i]);
                let all = if *root == Root::Loss { terms * 4 } else { terms };
                check::assert_close(&context, &found[i], &expected[i], check::bound(all));
            }
        }
    }
}

/// Two threads share the cases.
#[test]
fn every_operation_computes_the_same_beside_every_kind_of_kernel() {
    const THREADS: usize = 2;
    let chunks: Vec<(Coverage, usize)> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|chunk| scope.spawn(move || try_all(chunk, THREADS))).collect();
        threads.into_iter().map(|thread| thread.join().expect("its cases agree")).collect()
    });
    let mut all = Coverage::default();
    let mut tried = 0;
    for (coverage, cases) in chunks {
        all.add(&coverage);
        tried += cases;
    }
    println!("{tried} cases\n{all}");
    assert_all_kinds_covered(&all);
}

/// Views, joins and constants, which have no kernel of their own.
const NOWHERE: [&str; 17] = [
    "broadcast",
    "reshape",
    "transpose",
    "vector",
    "slice",
    "concat",
    "stack",
    "split",
    "chunk",
    "pad",
    "flip",
    "roll",
    "repeat",
    "repeat_interleave",
    "flatten",
    "squeeze",
    "unsqueeze",
];

/// Requires that every operation was before every kind of kernel, or in one with
/// it, and after it if it takes reals; element-wise operations also in the two
/// most frequent kinds.
fn assert_all_kinds_covered(coverage: &Coverage) {
    let rows = [KernelKind::Map, KernelKind::Rows];
    let expected: [&[KernelKind]; 5] = [
        &rows,
        &[KernelKind::Columns],
        &[KernelKind::Product],
        &[KernelKind::Scatter],
        &[KernelKind::Gather],
    ];
    let mut missing = Vec::new();
    for entry in ops::ALL.iter().filter(|entry| !NOWHERE.contains(&entry.name)) {
        let samples = (entry.samples)(5);
        let Some(sample) = samples.first() else { continue };
        let Some(counts) = coverage.operations().get(entry.name) else {
            missing.push(format!("{} has not been tried", entry.name));
            continue;
        };
        let found = |counts: &BTreeMap<KernelKind, usize>, kinds: &[KernelKind]| {
            kinds.iter().any(|kind| counts.contains_key(kind))
        };
        for kinds in expected {
            if takes_reals(sample) && !found(&counts.producers, kinds) {
                missing.push(format!("{} after {kinds:?}", entry.name));
            }
            // A scalar has no axis to reduce.
            let is_number = entry.name == "all_finite" && *kinds == [KernelKind::Columns];
            if !is_number && !found(&counts.consumers, kinds) {
                missing.push(format!("{} before {kinds:?}", entry.name));
            }
        }
        let formulas: [&[KernelKind]; 2] = [&rows, &[KernelKind::Product]];
        for kinds in formulas.into_iter().filter(|_| is_elementwise(&sample.op)) {
            if takes_reals(sample) && !found(&counts.inside, kinds) {
                missing.push(format!("{} in {kinds:?}", entry.name));
            }
        }
    }
    assert!(missing.is_empty(), "never reached: {}", missing.join("; "));
}
