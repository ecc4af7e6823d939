//! Tests of passes as text: each file of `compiler/tests/passes` has the names of passes, a
//! graph, and the expected result.
//!
//! ```text
//! // The tested property.
//! passes: decompose, simplify
//!
//! graph for batches of 2
//! ...
//!
//! ----
//!
//! the result of the last pass
//! ```
//!
//! Graphs are verified before and after each pass, and so are groups, plans and phases.
//! `BILRO_BLESS=1 cargo test -p bilro-compiler --lib pass_tests` writes the results into the
//! files.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::autodiff;
use crate::buffer::Storage;
use crate::fuse::{self, Fused};
use crate::graph::{Graph, NodeId, Root};
use crate::lower::lower;
use crate::ops::Op;
use crate::partial_sums;
use crate::phases;
use crate::plan::{self, ParameterLayout, Plan, Region};
use crate::program::Program;
use crate::shape::Shape;
use crate::simplify::{decompose, simplify};
use crate::target::Target;

const BLESS: &str = "BILRO_BLESS=1 cargo test -p bilro-compiler --lib pass_tests";

/// The line between the graph and the expected result.
const LINE: &str = "\n----\n\n";

/// The target of phases, on any machine.
const ISA: Target = Target::AVX2;

#[test]
fn passes_return_the_expected_results() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/passes");
    let mut files = Vec::new();
    collect(&folder, &mut files);
    assert!(files.len() >= 40, "{} files in {}", files.len(), folder.display());
    let bless = std::env::var_os("BILRO_BLESS").is_some();
    let mut failures = String::new();
    for path in files {
        let name = path.strip_prefix(&folder).expect("it is in the folder").display().to_string();
        let text = std::fs::read_to_string(&path).expect("a file of text");
        let (given, expected) = text.split_once(LINE).unwrap_or((&text, ""));
        let found = match catch_unwind(AssertUnwindSafe(|| run(given))) {
            Ok(Ok(found)) => found,
            Ok(Err(message)) => {
                let _ = writeln!(failures, "\n{name}: {message}");
                continue;
            }
            Err(_) => {
                let _ = writeln!(failures, "\n{name}: a pass panics, see above");
                continue;
            }
        };
        if bless {
            let text = format!("{}\n{LINE}{found}", given.trim_end());
            std::fs::write(&path, text).expect("a file that can be written");
        } else if found != expected {
            let _ = writeln!(failures, "\n{name}:\n{}", difference(expected, &found));
        }
    }
    assert!(
        failures.is_empty(),
        "{failures}\n`-` is expected, `+` is found. If the change is right, accept it with\n\n    {BLESS}\n"
    );
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

/// The result of a file's passes on its graph.
fn run(given: &str) -> Result<String, String> {
    let mut lines = given.lines();
    let header = lines.by_ref().find(|line| !line.starts_with("//")).unwrap_or_default();
    let passes = header.strip_prefix("passes: ").ok_or("it needs a line `passes: …`")?;
    // Lines keep their numbers.
    let blank = "\n".repeat(given.lines().count() - lines.clone().count());
    let text = blank + &lines.collect::<Vec<_>>().join("\n");
    let mut graph: Graph = text.parse().map_err(|error| format!("{error}"))?;
    graph.verify().map_err(|found| format!("the graph that is given breaks rules\n{found}"))?;
    let mut passes = passes.split(", ").peekable();
    while let Some(pass) = passes.next() {
        let next = match pass {
            "autodiff" => differentiate(graph),
            "decompose" => decompose(&graph),
            "simplify" => simplify(&graph),
            "arrange" => fuse::stages::arranged(&graph),
            "guard" => fuse::stages::guarded(graph),
            text if passes.peek().is_none() => return lowered(text, &graph),
            other => return Err(format!("`{other}` is no pass, or has no pass after it")),
        };
        next.verify().map_err(|found| format!("after `{pass}`\n{found}\n{next}"))?;
        graph = next;
    }
    Ok(graph.to_string())
}

/// The result of a pass that does not return a graph, as text.
fn lowered(pass: &str, graph: &Graph) -> Result<String, String> {
    if pass == "group" {
        return fuse::stages::groups(graph).map_err(|found| format!("{found}"));
    }
    let mut fused = fuse::fuse(graph, true).map_err(|found| format!("{found}"))?;
    if pass == "fuse" {
        return Ok(kernels(&fused));
    }
    partial_sums::allocate(&mut fused, &ISA);
    let parameters = parameters(graph);
    parameters.check(&fused).map_err(|found| format!("{found}"))?;
    let plan = plan::plan(&fused, &parameters);
    plan::verify(&fused, &plan).map_err(|found| format!("{found}"))?;
    match pass {
        "plan" => Ok(memory(&fused, &plan)),
        "phases" => phases(&fused, &plan),
        other => Err(format!("there is no pass `{other}`")),
    }
}

/// The gradient of the loss with respect to all parameters and real inputs, as roots.
fn differentiate(mut g: Graph) -> Graph {
    let loss = g.root(&Root::Loss).expect("a loss");
    let leaf = |id: NodeId| match g.op(id) {
        Op::Parameter(parameter) => Some((Root::Gradient(parameter.index), id)),
        Op::Input(input) if g.ty(id).is_real() => Some((Root::InputGradient(input.index), id)),
        _ => None,
    };
    let (roots, leaves): (Vec<Root>, Vec<NodeId>) = g.ids().filter_map(leaf).unzip();
    let gradients = autodiff::gradients(&mut g, loss, &leaves);
    for (root, gradient) in roots.into_iter().zip(gradients) {
        g.add_root(root, gradient);
    }
    g
}

/// Kernels in the format of `BILRO_DUMP=kernels`, and their buffers.
fn kernels(fused: &Fused) -> String {
    let mut text = String::new();
    for kernel in &fused.kernels {
        let _ = writeln!(text, "{kernel}");
    }
    for (i, buffer) in fused.buffers.iter().enumerate() {
        let (sizes, strides) = (&buffer.layout.sizes, &buffer.layout.strides);
        let _ = write!(text, "buffer {i}: {}, {sizes:?} by {strides:?}", buffer.name);
        let _ = match buffer.storage {
            Storage::Arena => writeln!(text),
            storage => writeln!(text, " in {storage:?}"),
        };
    }
    text
}

/// The buffers that kernels touch, and their allocations in elements.
fn memory(fused: &Fused, plan: &Plan) -> String {
    let mut text = String::new();
    for (i, kernel) in fused.kernels.iter().enumerate() {
        let (mut reads, mut writes) = (kernel.reads(), kernel.writes());
        for buffers in [&mut reads, &mut writes] {
            buffers.sort_unstable();
            buffers.dedup();
        }
        let name = &kernel.name;
        let _ = writeln!(text, "kernel {i}: {name}, reads {reads:?}, writes {writes:?}");
    }
    text.push('\n');
    for (i, (buffer, allocation)) in fused.buffers.iter().zip(&plan.allocations).enumerate() {
        let (begin, end) = (allocation.offset, allocation.offset + buffer.layout.elements);
        let region = match allocation.region {
            Region::Arena => "arena".to_string(),
            region => format!("{region:?}"),
        };
        let is_root = if fused.roots.contains(&i) { ", a root" } else { "" };
        let _ = writeln!(text, "buffer {i}: {}, {region} {begin}..{end}{is_root}", buffer.name);
    }
    let _ = writeln!(text, "arena of {} elements", plan.arena);
    text
}

/// The phases of the kernels' programs.
fn phases(fused: &Fused, plan: &Plan) -> Result<String, String> {
    let programs: Vec<Program> = fused.kernels.iter().map(|kernel| lower(kernel, &ISA)).collect();
    let phases = phases::assign_phases(fused, &plan.allocations, &programs);
    phases::verify(fused, &plan.allocations, &programs, &phases)
        .map_err(|found| format!("{found}"))?;
    let mut text = String::new();
    for (i, (kernel, program)) in fused.kernels.iter().zip(&programs).enumerate() {
        let nanoseconds = kernel.estimated_ns(ISA.lanes);
        let name = &kernel.name;
        let parallel = program.parallel;
        let _ = writeln!(text, "kernel {i}: {name}, {nanoseconds} ns, {parallel} parallel");
    }
    text.push('\n');
    if phases.is_empty() {
        text.push_str("one thread is better\n");
    }
    for phase in phases {
        let guarded = if phase.guarded { ", after the guard" } else { "" };
        let _ = writeln!(text, "{phase}{guarded}");
    }
    Ok(text)
}

/// The layout of a graph's parameters; missing indices are scalars.
fn parameters(graph: &Graph) -> ParameterLayout {
    let mut shapes = Vec::new();
    for id in graph.ids() {
        if let Op::Parameter(parameter) = graph.op(id) {
            shapes.resize(shapes.len().max(parameter.index + 1), Shape::scalar());
            shapes[parameter.index] = parameter.shape.clone();
        }
    }
    ParameterLayout::new(&[]).followed_by_shapes(0, shapes.iter())
}

/// A line diff of two texts: `-` for lines of the first alone, `+` for lines of the second alone.
fn difference(expected: &str, found: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    // The longest common subsequence of the lines after each pair of lines.
    let mut common = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = match a[i] == b[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        let (sign, line) = if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
            (' ', a[i - 1])
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', a[i - 1])
        } else {
            j += 1;
            ('+', b[j - 1])
        };
        let _ = writeln!(text, "{sign} {line}");
    }
    text
}

#[test]
fn differences_have_the_lines_of_both() {
    assert_eq!(difference("a\nb\nc\n", "a\nx\nc\nd\n"), "  a\n- b\n+ x\n  c\n+ d\n");
    assert_eq!(difference("", "a\n"), "+ a\n");
}
