//! Arbitrary text as a graph: it is parsed, or rejected with its line. The text of a parsed graph is
//! parsed as the same graph. If it obeys the rules of graphs, the passes for every target obey
//! those of their verifiers; a small one has the same bits in the evaluator of programs and by
//! every emitter.

use std::fmt::Write;
use std::path::Path;

use bilro::rng::Generator;
use bilro_compiler::declaration::{Init, Parameter};
use bilro_compiler::eval::Value;
use bilro_compiler::graph::Graph;
use bilro_compiler::ops::{Domain, Op, Operand};
use bilro_compiler::plan::ParameterLayout;
use bilro_compiler::shape::{Shape, Type};
use bilro_compiler::target::{Target as Processor, host};
use ndarray::{ArrayD, IxDyn};

use super::{Target, hash, kind_of};
use crate::check::{self, Lowered};

/// See the module.
pub const TARGET: Target = Target {
    name: "graphs",
    run,
    seeds,
    dictionary: WORDS,
    max_length: 3 << 10,
    memory: |_| 256 << 20,
};

/// Larger graphs, in elements of all values, are parsed only.
const MAX_ELEMENTS: usize = 1 << 20;

/// Larger graphs are lowered only.
const MAX_EVALUATED: usize = 1 << 11;

/// The maximum index of inputs and parameters.
const MAX_INDEX: usize = 32;

const WORDS: &[&str] = &[
    "graph for batches of 2\n",
    "%0",
    "%1",
    "%2",
    "%3",
    " = ",
    "input(0)",
    "input(1)",
    "parameter(0)",
    "parameter(1)",
    "constant(0.0)",
    "constant(1.0)",
    "constant(-inf)",
    "constant(nan)",
    "vector([1.0, 2.0])",
    "broadcast(",
    "add(",
    "mul(",
    "sub(",
    "div(",
    "relu(",
    "exp(",
    "log(",
    "tanh(",
    "maximum(",
    "select(",
    "less(",
    "sum(",
    "mean(",
    "amax(",
    "max(",
    "softmax(",
    "matmul(",
    "contract(",
    "transpose(",
    "reshape(",
    "permute(",
    "slice(",
    "concat(",
    "embedding(",
    "gather(",
    "scatter(",
    "one_hot(",
    "random(",
    "iota(",
    "step_scalar(",
    "axis = ",
    "axes = ",
    "over = everything",
    "over = batch",
    "over_batch = true",
    " : f32 batch×[4]",
    " : f32 [4, 3]",
    " : f32 batch×[]",
    " : u32 below 3 batch×[]",
    "batch×",
    "[2, 3]",
    "[1]",
    "[]",
    "[0]",
    "[68719476736]",
    "-1",
    "0",
    "1",
    "2",
    "17",
    "18446744073709551615",
    "  // name",
    "output y = %3\n",
    "loss = %3\n",
    "next parameter 0 = %3\n",
    "gradient of parameter 0 = %3\n",
    "metric m = %3\n",
    "guard = %3\n",
    "sum of term 0 of the loss = %3\n",
    "weight of term 0 of the loss = %3\n",
    "\n",
];

/// The graphs of the tests of passes, and those of some random networks.
fn seeds() -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compiler/tests/passes");
    collect(&folder, &mut texts);
    texts
}

fn collect(folder: &Path, texts: &mut Vec<Vec<u8>>) {
    let mut paths: Vec<_> = (std::fs::read_dir(folder).into_iter().flatten())
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, texts);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a file of text");
        // The graph, without the passes and their result.
        let text = text.split("\n----\n").next().unwrap_or_default();
        if let Some(start) = text.find("graph for batches of")
            && text.len() - start <= TARGET.max_length
        {
            texts.push(text.as_bytes()[start..].to_vec());
        }
    }
}

/// Runs a case.
///
/// # Panics
/// If a graph and its text differ, a pass violates a rule of its verifier, or emitters
/// disagree.
pub fn run(data: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(data);
    let graph = match text.parse::<Graph>() {
        Ok(graph) => graph,
        Err(error) => {
            let lines = text.lines().count().max(1);
            assert!((1..=lines + 1).contains(&error.line), "{error}, of {lines} lines:\n{text}");
            return kind_of(&error.message);
        }
    };
    let printed = graph.to_string();
    match printed.parse::<Graph>() {
        Ok(again) => assert!(again == graph, "{printed}\nis parsed as\n{again}"),
        Err(error) => panic!("{error} in the text of a graph\n{printed}"),
    }
    if let Err(violations) = graph.verify() {
        return kind_of(&violations.to_string());
    }
    let elements = graph.ids().map(|id| elements(&graph, id));
    let elements = elements.fold(0usize, usize::saturating_add);
    let (Some(types), true) = (Leaves::of(&graph), elements <= MAX_ELEMENTS) else {
        return hash("large");
    };
    let parameters: Vec<Parameter> = (types.parameters.iter().enumerate())
        .map(|(i, shape)| Parameter::new(format!("p{i}"), shape.clone(), Init::Full(0.0)))
        .collect();
    let layout = ParameterLayout::new(&parameters);
    let lower = |target: &Processor| match check::lower(&graph, &layout, target) {
        Ok(lowered) => lowered,
        Err(error) => panic!("for {}: {error}\n{printed}", target.name),
    };
    let targets = host::targets();
    if elements > MAX_EVALUATED {
        return hash(
            &Processor::ALL.iter().map(|target| shape(&lower(target))).collect::<Vec<_>>(),
        );
    }
    let mut generator = Generator::new(7);
    let inputs = types.inputs.iter().map(|ty| {
        let operand = Operand::new(ty.clone(), Domain::Normal(1.0));
        check::values(&operand, graph.batch(), &mut generator)
    });
    let inputs: Vec<Value<f32>> = inputs.collect();
    let values: Vec<ArrayD<f32>> = (parameters.iter())
        .map(|p| {
            let mut values = ArrayD::zeros(IxDyn(&p.shape.sizes()));
            values.mapv_inplace(|_: f32| generator.uniform(-1.0, 1.0));
            values
        })
        .collect();
    let scalar = |name: &str| (hash(name) % 1024) as f32 / 1024.0;
    let lowered = lower(&check::evaluated_target(1));
    let expected = check::evaluated_network(&lowered, &inputs, &values, scalar, 1);
    for target in &targets {
        let lowered = lower(target);
        let found = check::jitted_network(&lowered, &parameters, &inputs, &values, scalar);
        for ((root, _), (x, y)) in graph.roots().iter().zip(found.iter().zip(&expected)) {
            check::assert_same_bits(&format!("{printed}\n{}, {root}", target.name), x, y);
        }
    }
    shape(&lowered)
}

fn elements(graph: &Graph, id: bilro_compiler::graph::NodeId) -> usize {
    graph.sizes(id).iter().fold(1usize, |n, size| n.saturating_mul(*size))
}

/// The hash of the kinds of a graph's operations and kernels.
fn shape(lowered: &Lowered) -> u64 {
    let mut kinds = String::new();
    for id in lowered.graph.ids() {
        let _ = write!(kinds, "{} ", lowered.graph.op(id).name());
    }
    hash(&(kinds, lowered.artifact.programs.len(), lowered.artifact.interface.phases.len()))
}

/// The types of the inputs and the shapes of the parameters, by index; scalars where there are none.
struct Leaves {
    inputs: Vec<Type>,
    parameters: Vec<Shape>,
}

impl Leaves {
    /// None if an index is large, or two nodes of an index differ.
    fn of(graph: &Graph) -> Option<Leaves> {
        let (mut inputs, mut parameters) = (Vec::new(), Vec::new());
        for id in graph.ids() {
            match graph.op(id) {
                Op::Input(op) => put(&mut inputs, op.index, op.ty.clone())?,
                Op::Parameter(op) => put(&mut parameters, op.index, op.shape.clone())?,
                _ => {}
            }
        }
        let scalar = || Type::real(Shape::scalar());
        Some(Leaves {
            inputs: inputs.into_iter().map(|ty| ty.unwrap_or_else(scalar)).collect(),
            parameters: parameters.into_iter().map(|s| s.unwrap_or_else(Shape::scalar)).collect(),
        })
    }
}

fn put<T: PartialEq>(to: &mut Vec<Option<T>>, index: usize, value: T) -> Option<()> {
    if index > MAX_INDEX {
        return None;
    }
    to.resize_with(to.len().max(index + 1), || None);
    match &to[index] {
        Some(other) if *other != value => None,
        _ => {
            to[index] = Some(value);
            Some(())
        }
    }
}
