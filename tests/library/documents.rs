//! The tables of docs/language.md match the registries: names, arguments and
//! defaults.

use std::collections::BTreeSet;

use bilro_compiler::declaration::Init;
use bilro_compiler::{layers, ops};

const LANGUAGE: &str = include_str!("../../docs/language.md");

/// The code spans in the first column of every table with this heading.
fn named(heading: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut lines = LANGUAGE.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with(&format!("| {heading} |")) {
            continue;
        }
        for row in lines.by_ref().skip(1).take_while(|row| row.starts_with('|')) {
            let column = row.trim_start_matches('|').split(" | ").next().unwrap_or_default();
            for name in column.split('`').skip(1).step_by(2) {
                // Functions with several values are shown in a statement.
                let call =
                    name.strip_prefix("let (a, b) = ").and_then(|call| call.strip_suffix(';'));
                let name = call.unwrap_or(name);
                assert!(named.insert(name.to_string()), "`{name}` appears twice");
            }
        }
    }
    named
}

fn assert_same(kind: &str, documented: &BTreeSet<String>, known: &BTreeSet<String>) {
    let missing: Vec<_> = known.difference(documented).collect();
    let unknown: Vec<_> = documented.difference(known).collect();
    assert!(missing.is_empty(), "docs/language.md lacks these {kind}: {missing:#?}");
    assert!(unknown.is_empty(), "there are no such {kind}: {unknown:#?}");
}

#[test]
fn functions_are_those_of_the_registry() {
    let functions = ops::ALL.iter().filter_map(|e| Some((e.name, e.call?)));
    let functions = functions.filter(|(_, form)| !form.operator);
    let known = functions
        .flat_map(|(name, form)| [Some(name), form.alias].map(|n| n.map(|n| form.show(n))))
        .flatten()
        .collect();
    assert_same("functions", &named("function"), &known);
}

#[test]
fn layers_are_those_of_the_registry() {
    let known = layers::ALL.iter().map(layers::Entry::show).collect();
    assert_same("layers", &named("layer"), &known);
}

#[test]
fn initialisers_are_those_of_the_registry() {
    let known = Init::ALL
        .iter()
        .map(|(name, arguments)| match arguments {
            [] => name.to_string(),
            _ => format!("{name}({})", arguments.join(", ")),
        })
        .collect();
    assert_same("initialisers", &named("initialiser"), &known);
}

const README: &str = include_str!("../../README.md");

/// All texts between these two delimiters.
fn between<'t>(text: &'t str, start: &str, end: &str) -> Vec<&'t str> {
    text.split(start).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0)).collect()
}

#[test]
fn features_are_those_of_the_library() {
    let manifest = include_str!("../../runtime/Cargo.toml");
    let features = between(manifest, "[features]\n", "\n[dependencies]")[0];
    let known: BTreeSet<_> = features
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0.to_string()))
        // Internal features start with `__`.
        .filter(|name| name != "default" && !name.starts_with("__"))
        .collect();
    let table = between(README, "| feature of `bilro` |", "\n\n")[0];
    let named = table.lines().filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0));
    assert_eq!(named.map(String::from).collect::<BTreeSet<_>>(), known);

    // The features in lines for copying.
    let copied: BTreeSet<_> = [README, include_str!("../../runtime/src/lib.rs")]
        .into_iter()
        .flat_map(|text| between(text, "features = [", "]"))
        .flat_map(|list| list.split(", "))
        .map(|name| name.trim_matches('"').to_string())
        .collect();
    assert!(!copied.is_empty() && copied.is_subset(&known), "{copied:?} of {known:?}");
}

#[test]
fn the_example_project_has_the_right_dependencies() {
    let workspace = include_str!("../../Cargo.toml");
    let repository = between(workspace, "\nrepository = \"", "\"")[0];
    let edition = between(workspace, "\nedition = \"", "\"")[0];
    let bilro = between(workspace, "\nbilro = { path = \"", "\"")[0];
    for text in [README, include_str!("../../runtime/src/lib.rs")] {
        assert_eq!(between(text, "bilro = { git = \"", "\""), [repository]);
        assert_eq!(between(text, "# bilro = { path = \"../bilro/", "\""), [bilro]);
    }
    let manifest = between(README, "```toml\n", "```")[0];
    assert!(manifest.contains(&format!("edition = \"{edition}\"")), "{manifest}");
    assert!(manifest.contains("[package]") && manifest.contains("[dependencies]"), "{manifest}");
}

/// Every deliberate fault has a row in tests/README.md with the test that finds it.
#[test]
fn every_fault_has_a_test_that_finds_it() {
    use bilro_compiler::faults::Fault;
    let table = between(include_str!("../README.md"), "| fault | meaning |", "\n\n")[0];
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .map(|row| row.trim().trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let documented: Vec<_> = rows.iter().map(|row| (row[0].trim_matches('`'), row[1])).collect();
    let known: Vec<_> =
        Fault::ALL.iter().map(|fault| (fault.name(), fault.description())).collect();
    assert_eq!(documented, known);
    for row in rows {
        assert_eq!(row[2].matches('`').count(), 4, "a program and a test: {row:?}");
    }
}
