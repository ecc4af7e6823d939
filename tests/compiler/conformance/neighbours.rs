//! Every operation behind and in front of every kind of kernel, by every emitter:
//! what a loss is beside a product is another program than what it is on inputs.

use std::collections::BTreeMap;

use bilro_compiler::graph::Root;
use bilro_compiler::ops;
use bilro_compiler::target::{Target, host};
use bilro_tests::check;
use bilro_tests::neighbours::{
    After, Before, Between, Coverage, Kind, between, is_elementwise, is_made,
};

/// One column or row, one example, and neither; the last is longer than rows that
/// are written out.
const EXTREMES: [(usize, usize); 5] = [(1, 1), (5, 1), (1, 3), (5, 3), (19, 2)];

/// More samples than this share the neighbours.
const MANY: usize = 6;

/// Sums that the neighbours make, beyond the operation's own.
const TERMS: usize = 64;

fn try_all(part: usize, parts: usize) -> (Coverage, usize) {
    let targets = check::targets();
    let mut coverage = Coverage::default();
    let (mut tried, mut own) = (0, 0);
    for entry in ops::ALL {
        for (e, (size, batch)) in EXTREMES.into_iter().enumerate() {
            let samples = (entry.samples)(size);
            let many = samples.len() > MANY;
            for (s, sample) in samples.into_iter().enumerate() {
                // Where operations differ in a formula alone, or there are many samples,
                // a part does: all together they have all pairs of neighbours.
                let one_of = match is_elementwise(&sample.op) || e == EXTREMES.len() - 1 {
                    true => 3,
                    false => 1 + usize::from(many),
                };
                for (b, before) in Before::ALL.into_iter().enumerate() {
                    let turn = b + s + e;
                    if turn % one_of > 0 {
                        continue;
                    }
                    tried += 1;
                    if tried % parts != part {
                        continue;
                    }
                    own += 1;
                    let after = After::ALL[(turn + s + e * 2) % After::ALL.len()];
                    let seed = (size * 1000 + s * 10 + b) as u64;
                    let what = format!(
                        "{:?} behind {before:?}, in front of {after:?}, size {size}, sample {s}, \
                         batch {batch}, seed {seed}",
                        sample.op
                    );
                    let between = between(&sample, before, after, batch, seed);
                    let terms = sample.terms + TERMS;
                    compare(&what, &between, terms, &targets);
                    let lowered = check::lowered(&between.evaluated, &host::baseline());
                    coverage.count(entry.name, &between, &lowered.fused);
                }
            }
        }
    }
    (coverage, own)
}

fn compare(what: &str, between: &Between, terms: usize, targets: &[Target]) {
    for case in [&between.evaluated, &between.differentiated] {
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
                        let what = format!("{what}, {root}, {}", target.name);
                        check::assert_same_bits(&what, &found[i], &evaluated[i]);
                    }
                    first.insert(found.clone())
                }
            };
            for (i, (root, _)) in case.graph.roots().iter().enumerate() {
                let what = format!("{what}, {root}, {}", target.name);
                check::assert_same_bits(&what, &found[i], &first[i]);
                let all = if *root == Root::Loss { terms * 4 } else { terms };
                check::assert_close(&what, &found[i], &expected[i], check::bound(all));
            }
        }
    }
}

/// Two threads share them.
#[test]
fn every_operation_computes_the_same_beside_every_kind_of_kernel() {
    const THREADS: usize = 2;
    let parts: Vec<(Coverage, usize)> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|part| scope.spawn(move || try_all(part, THREADS))).collect();
        threads.into_iter().map(|thread| thread.join().expect("its cases agree")).collect()
    });
    let mut all = Coverage::default();
    let mut tried = 0;
    for (coverage, cases) in parts {
        all.add(&coverage);
        tried += cases;
    }
    println!("{tried} cases\n{all}");
    every_neighbour_is_there(&all);
}

/// Views and numbers are found in memory: no kernel has them for itself.
const NOWHERE: [&str; 4] = ["broadcast", "reshape", "transpose", "vector"];

/// Every operation has been in front of every kind of kernel, or in one with it,
/// and behind it where it takes reals; formulas have been in the two kinds of
/// which nearly all kernels are.
fn every_neighbour_is_there(coverage: &Coverage) {
    let rows = [Kind::Map, Kind::Rows];
    let wanted: [&[Kind]; 5] =
        [&rows, &[Kind::Columns], &[Kind::Product], &[Kind::Scatter], &[Kind::Gather]];
    let mut missing = Vec::new();
    for entry in ops::ALL.iter().filter(|entry| !NOWHERE.contains(&entry.name)) {
        let samples = (entry.samples)(5);
        let Some(sample) = samples.first() else { continue };
        let Some(places) = coverage.operations().get(entry.name) else {
            missing.push(format!("{} has not been tried", entry.name));
            continue;
        };
        let found = |counts: &BTreeMap<Kind, usize>, kinds: &[Kind]| {
            kinds.iter().any(|kind| counts.contains_key(kind))
        };
        for kinds in wanted {
            if is_made(sample) && !found(&places.behind, kinds) {
                missing.push(format!("{} behind {kinds:?}", entry.name));
            }
            // A number alone has no axis to reduce.
            let is_number = entry.name == "all_finite" && *kinds == [Kind::Columns];
            if !is_number && !found(&places.before, kinds) {
                missing.push(format!("{} in front of {kinds:?}", entry.name));
            }
        }
        let formulas: [&[Kind]; 2] = [&rows, &[Kind::Product]];
        for kinds in formulas.into_iter().filter(|_| is_elementwise(&sample.op)) {
            if is_made(sample) && !found(&places.inside, kinds) {
                missing.push(format!("{} in {kinds:?}", entry.name));
            }
        }
    }
    assert!(missing.is_empty(), "never reached: {}", missing.join("; "));
}
