//! The stored cases of the fuzz targets: `fuzz/corpus`, and `fuzz/regressions`, cases that once
//! failed. `cargo run -p bilro-tests --bin fuzz` looks for others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bilro_tests::fuzz::{self, target};

/// Runs the stored cases and the seeds of a target.
fn replay(name: &str, at_least: usize) {
    let target = target(name).unwrap();
    let seeds = (target.seeds)().into_iter().enumerate();
    let seeds = seeds.map(|(i, case)| (format!("seed {i}").into(), case));
    let stored = ["corpus", "regressions"].into_iter().flat_map(|kind| fuzz::stored(kind, name));
    let mut count = 0;
    for (path, case) in seeds.chain(stored) {
        let result = catch_unwind(AssertUnwindSafe(|| (target.run)(&case)));
        assert!(result.is_ok(), "{name}: {} fails, see above", path.display());
        count += 1;
    }
    assert!(count >= at_least, "{name}: only {count} cases");
}

#[test]
fn stored_files_are_read_or_rejected() {
    replay("files", 30);
}

#[test]
fn stored_declarations_expand_to_rust() {
    replay("declarations", 5);
}

#[test]
fn stored_graphs_pass_all_verifiers() {
    replay("graphs", 30);
}

#[test]
fn stored_networks_agree_on_all_emitters() {
    replay("networks", 10);
}
