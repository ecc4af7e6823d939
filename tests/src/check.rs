//! Runs a graph on every backend, and compares the results.

use std::convert::Infallible;

use bilro::rng::Generator;
use bilro_compiler::artifact::{Artifact, Pointers, RootValue};
use bilro_compiler::buffer::{Buffer, Layout, Storage};
use bilro_compiler::codegen::module::Executable;
use bilro_compiler::codegen::sanitized::{CallMemory, Failure, SanitizedExecutable};
use bilro_compiler::declaration::{Declaration, Init, Parameter};
use bilro_compiler::error::Error as CompileError;
use bilro_compiler::eval::{Real, Value};
use bilro_compiler::fuse::Fused;
use bilro_compiler::graph::{Graph, NodeId, Root};
use bilro_compiler::ops::{Domain, Leaf, Operand, Sample, input::Input};
use bilro_compiler::phases::Phase;
use bilro_compiler::pipeline::{Stage, lower_graph};
use bilro_compiler::plan::{ParameterLayout, Region};
use bilro_compiler::purpose::Purpose;
use bilro_compiler::sanitize::{InvalidAccess, Sanitized};
use bilro_compiler::shape::DType;
use bilro_compiler::target::{Target, host};
use ndarray::ArrayD;

/// A graph without parameters, and a value for each of its inputs.
#[derive(Clone, Debug)]
pub struct Case {
    /// The graph; every root is compared.
    pub graph: Graph,
    /// By the inputs' indices.
    pub inputs: Vec<Value<f32>>,
}

/// Values of an operand's type from its domain.
pub fn values(operand: &Operand, batch: usize, generator: &mut Generator) -> Value<f32> {
    let sizes = operand.ty.shape.full_sizes(batch);
    let count = sizes.iter().product();
    if let DType::Index { below } = &operand.ty.dtype {
        let below = below.fixed().expect("samples have numbers for sizes") as u64;
        let index = |_| (u64::from(generator.random_u32()) % below) as u32;
        return Value::index(&sizes, (0..count).map(index).collect());
    }
    let mut x = vec![0.0; count];
    match operand.domain {
        Domain::Normal(std) => generator.fill_normal(&mut x, 0.0, f64::from(std)),
        Domain::Positive => generator.fill_uniform(&mut x, 0.25, 1.25),
        Domain::AboveOne => generator.fill_uniform(&mut x, 1.25, 2.25),
        Domain::Probability => generator.fill_uniform(&mut x, 0.05, 0.95),
        Domain::Separated => {
            // All different, none near zero, and none equal to another operand's.
            let shift = generator.uniform(1.0 / 64.0, 3.0 / 64.0);
            let order = generator.permutation(count as u32);
            for (x, rank) in x.iter_mut().zip(order) {
                *x = (rank as f32 - (count / 2) as f32) / 16.0 + shift;
            }
        }
        Domain::Tied => {
            let ties = [0.0, -0.0, 1.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY];
            x.fill_with(|| match generator.random_u32() as usize % (8 * ties.len()) {
                0 => f32::NAN,
                n => ties[n % ties.len()],
            });
        }
        Domain::Sign => {
            x.fill_with(|| if generator.random_u32().is_multiple_of(2) { 1.0 } else { -1.0 });
        }
        Domain::Indices => unreachable!("indices have an index type"),
    }
    Value::real(&sizes, x)
}

/// A sample as a graph whose output is the operation's result, and whose
/// further outputs are the gradients of `Σ y·w` with random `w`.
pub fn case(sample: &Sample, batch: usize, seed: u64) -> Case {
    let mut generator = Generator::new(seed);
    let mut g = Graph::new(batch);
    let mut inputs = Vec::new();
    let mut leaves = Vec::new();
    for operand in &sample.operands {
        leaves.push(g.apply(Input { index: inputs.len(), ty: operand.ty.clone() }, &[]));
        inputs.push(values(operand, batch, &mut generator));
    }
    let y = g.apply(sample.op.clone(), &leaves);
    g.add_root(Root::Output("y".into()), y);
    let weight = Operand::new(g.ty(y).clone(), Domain::Normal(1.0));
    let w = g.apply(Input { index: inputs.len(), ty: weight.ty.clone() }, &[]);
    inputs.push(values(&weight, batch, &mut generator));
    let product = g.mul(y, w);
    let loss = g.sum_all(product);
    g.add_root(Root::Loss, loss);
    let real: Vec<NodeId> = leaves.into_iter().filter(|x| g.ty(*x).is_real()).collect();
    let gradients = bilro_compiler::autodiff::gradients(&mut g, loss, &real);
    for (i, dx) in gradients.into_iter().enumerate() {
        g.add_root(Root::Output(format!("dx{i}")), dx);
    }
    Case { graph: g, inputs }
}

/// The roots by the interpreter.
pub fn interpreted<T: Real>(case: &Case) -> Vec<Vec<T>> {
    let values = bilro::interpreter::interpret::<T>(&case.graph, |leaf| match leaf {
        Leaf::Input(input) => match &case.inputs[input.index] {
            Value::Real(x) => Value::real(x.shape(), x.iter().map(|x| T::of(*x)).collect()),
            Value::Index(x) => Value::Index(x.clone()),
        },
        other => unreachable!("{other:?} is not an input"),
    });
    values.iter().map(|v| v.reals().to_vec()).collect()
}

/// All instruction sets of this machine. `BILRO_REQUIRE_ISA` names one that
/// must be among them, so that tests do not pass without it.
pub fn targets() -> Vec<Target> {
    let available = host::targets();
    if let Ok(required) = std::env::var("BILRO_REQUIRE_ISA") {
        assert!(available.iter().any(|target| target.name == required), "no {required} here");
    }
    println!("for {:?}", available.iter().map(|target| target.name).collect::<Vec<_>>());
    available
}

/// A target with this number of lanes for the evaluator of programs, which needs no processor.
pub fn evaluated_target(lanes: usize) -> Target {
    let like = if lanes > 4 { Target::AVX512 } else { Target::AARCH64 };
    let has_fast_transpose = ![1, 8].contains(&lanes);
    Target { name: "evaluated", lanes, has_fast_transpose, ..like }
}

/// A graph after all passes, with the result of fusion.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The requested graph.
    pub graph: Graph,
    /// The kernels.
    pub fused: Fused,
    /// The input of emitters.
    pub artifact: Artifact,
}

/// A graph through all passes, verified after each.
pub fn lower(
    graph: &Graph,
    parameters: &ParameterLayout,
    target: &Target,
) -> Result<Lowered, CompileError> {
    let mut fused = None;
    let mut observer = |_: &str, result: Stage<'_>| {
        if let Stage::Fused(found) = result {
            fused = Some(found.clone());
        }
    };
    let artifact = lower_graph(graph, parameters, target, true, &mut observer)?;
    Ok(Lowered { graph: graph.clone(), fused: fused.expect("fusion is a pass"), artifact })
}

/// A network through all passes, verified after each.
pub fn lower_network(
    declaration: &Declaration,
    purpose: &Purpose,
    batch: usize,
    target: &Target,
) -> Result<Lowered, CompileError> {
    let parameters = ParameterLayout::new(&declaration.variables(purpose));
    lower(&declaration.graph_for(purpose, batch), &parameters, target)
}

/// Phases of one kernel each: threads share every kernel that can be shared, small ones too.
pub fn shared_phases(lowered: &Lowered) -> Vec<Phase> {
    let guard = lowered.fused.guard().map(|guard| guard.kernel);
    let programs = lowered.artifact.programs.iter().enumerate();
    let phases = programs.map(|(kernel, program)| {
        let guarded = guard.is_some_and(|guard| kernel > guard);
        match program.parallel {
            0 => Phase { serial: vec![kernel], guarded, ..Phase::default() },
            _ => Phase { parallel: vec![kernel], guarded, ..Phase::default() },
        }
    });
    phases.collect()
}

/// The case through all passes.
pub fn lowered(case: &Case, target: &Target) -> Lowered {
    match lower(&case.graph, &ParameterLayout::new(&[]), target) {
        Ok(lowered) => lowered,
        Err(error) => panic!("{error}\n{}", case.graph),
    }
}

/// The roots by the slow evaluator of programs.
pub fn evaluated(case: &Case, lowered: &Lowered) -> Vec<Vec<f32>> {
    evaluate(lowered, 1, |buffer| match buffer.storage {
        Storage::Input(i) => Some(bits(&case.inputs[i])),
        _ => None,
    })
}

/// A network's roots for one purpose by the slow evaluator of programs. The
/// optimizer's scalars, the parameters and the optimizer state after them are
/// arguments; their new values are roots. Programs run in `shares` shares, like
/// those of threads, the last first.
pub fn evaluated_network(
    lowered: &Lowered,
    inputs: &[Value<f32>],
    parameters: &[ArrayD<f32>],
    scalar: impl Fn(&str) -> f32,
    shares: usize,
) -> Vec<Vec<f32>> {
    evaluate(lowered, shares, given(lowered, inputs, parameters, scalar))
}

/// The contents of given buffers.
fn given<'a>(
    lowered: &'a Lowered,
    inputs: &'a [Value<f32>],
    parameters: &'a [ArrayD<f32>],
    scalar: impl Fn(&str) -> f32 + 'a,
) -> impl Fn(&Buffer) -> Option<Vec<u32>> + 'a {
    move |buffer| match buffer.storage {
        Storage::Input(i) => Some(bits(&inputs[i])),
        Storage::StepScalar(i) => {
            Some(vec![scalar(lowered.artifact.interface.step_scalars[i]).to_bits()])
        }
        Storage::Parameter(i) => Some(padded(&parameters[i], &buffer.layout)),
        _ => None,
    }
}

fn evaluate(
    lowered: &Lowered,
    shares: usize,
    given: impl Fn(&Buffer) -> Option<Vec<u32>>,
) -> Vec<Vec<f32>> {
    let Artifact { programs, interface, .. } = &lowered.artifact;
    let mut memory = memory(lowered, given);
    if sanitizes() {
        if let Err(found) = Sanitized::new(lowered.artifact.clone()).evaluate(&mut memory) {
            panic!("{found}\n{}", programs[found.kernel]);
        }
    } else {
        for program in programs {
            let mut memories: Vec<Vec<u32>> =
                program.buffers.iter().map(|t| std::mem::take(&mut memory[*t])).collect();
            let cut = |share: usize| share * program.parallel / shares;
            for share in (0..shares).rev() {
                program.evaluate(&mut memories, cut(share)..cut(share + 1));
            }
            for (t, contents) in program.buffers.iter().zip(memories) {
                memory[*t] = contents;
            }
        }
    }
    interface.roots.iter().map(|root| unpadded(&memory[root.buffer], &root.layout)).collect()
}

/// The memory of the buffers before a call; canaries in those without a value.
fn memory(lowered: &Lowered, given: impl Fn(&Buffer) -> Option<Vec<u32>>) -> Vec<Vec<u32>> {
    let Artifact { buffers, interface, .. } = &lowered.artifact;
    let contents = |buffer: &Buffer| match buffer.storage {
        Storage::Numbers(first) => {
            let numbers = &interface.numbers[first..first + buffer.layout.elements];
            numbers.iter().map(|x| x.to_bits()).collect()
        }
        _ => given(buffer).unwrap_or_else(|| vec![CANARY; buffer.layout.elements]),
    };
    buffers.iter().map(contents).collect()
}

/// The first access of a network's programs that is not allowed, by the evaluator.
pub fn evaluated_sanitized(
    lowered: &Lowered,
    inputs: &[Value<f32>],
    parameters: &[ArrayD<f32>],
    scalar: impl Fn(&str) -> f32,
) -> Result<(), Box<InvalidAccess>> {
    let given = given(lowered, inputs, parameters, scalar);
    let mut memory = memory(lowered, given);
    Sanitized::new(lowered.artifact.clone()).evaluate(&mut memory)
}

/// The roots by machine code.
pub fn jitted(case: &Case, lowered: &Lowered) -> Vec<Vec<f32>> {
    run(lowered, &case.inputs, &ParameterLayout::new(&[]), &[], |_| f32::NAN)
}

/// A network's roots for one purpose by machine code; see
/// [`evaluated_network`].
pub fn jitted_network(
    lowered: &Lowered,
    variable: &[Parameter],
    inputs: &[Value<f32>],
    parameters: &[ArrayD<f32>],
    scalar: impl Fn(&str) -> f32,
) -> Vec<Vec<f32>> {
    run(lowered, inputs, &ParameterLayout::new(variable), parameters, scalar)
}

/// The initial optimizer state of a network.
pub fn initial_state(network: &Declaration, purpose: &Purpose) -> Vec<ArrayD<f32>> {
    let variable = network.variables(purpose).split_off(network.parameters.len());
    let first = |variable: &Parameter| match variable.init {
        Init::Full(value) => ArrayD::from_elem(variable.shape.sizes(), value as f32),
        _ => unreachable!("optimizer state is not drawn"),
    };
    variable.iter().map(first).collect()
}

fn run(
    lowered: &Lowered,
    inputs: &[Value<f32>],
    layout: &ParameterLayout,
    parameters: &[ArrayD<f32>],
    scalar: impl Fn(&str) -> f32,
) -> Vec<Vec<f32>> {
    let interface = &lowered.artifact.interface;
    if sanitizes() {
        return match sanitized(lowered, inputs, layout, parameters, scalar) {
            Ok(roots) => roots,
            Err(found) => panic!("{found}\n{}", lowered.artifact.programs[found.kernel]),
        };
    }
    let executable =
        Executable::new(&lowered.artifact, true).unwrap_or_else(|error| panic!("{error}"));
    // A margin of canaries after the writable memory, which must not change.
    let mut arena = vec![CANARY; interface.arena + MARGIN];
    let mut updated = vec![CANARY; layout.elements + MARGIN];
    for ((start, layout), values) in layout.parameters.iter().zip(parameters) {
        updated[*start..*start + layout.elements].copy_from_slice(&padded(values, layout));
    }
    let mut inputs: Vec<Vec<u32>> = inputs.iter().map(bits).collect();
    let scalars = interface.step_scalars.iter();
    let mut scalars: Vec<u32> = scalars.map(|name| scalar(name).to_bits()).collect();
    let pointers = Pointers {
        arena: arena.as_mut_ptr().cast(),
        parameters: updated.as_mut_ptr().cast(),
        step_scalars: scalars.as_mut_ptr().cast(),
    };
    let table = table(&lowered.artifact, &pointers, &mut inputs);
    // SAFETY: a pointer for each region, each with the number of elements of
    // the memory plan; nothing else uses the memory during the call.
    unsafe { executable.run(&table) };
    for (memory, end) in [(&arena, interface.arena), (&updated, layout.elements)] {
        assert!(memory[end..].iter().all(|x| *x == CANARY), "written behind the end");
    }
    roots(lowered, &arena, &updated)
}

/// The roots in memory after a call.
fn roots(lowered: &Lowered, arena: &[u32], parameters: &[u32]) -> Vec<Vec<f32>> {
    let root = |root: &RootValue| {
        let is_parameter = root.allocation.region == Region::Parameters;
        let memory = if is_parameter { parameters } else { arena };
        unpadded(&memory[root.allocation.offset..], &root.layout)
    };
    lowered.artifact.interface.roots.iter().map(root).collect()
}

/// Whether `BILRO_SANITIZE` is 1: then code is run with checks of its accesses.
pub fn sanitizes() -> bool {
    std::env::var_os("BILRO_SANITIZE").is_some_and(|value| value == "1")
}

/// The roots by sanitised machine code, or its first access that is not allowed. Parameters have
/// the layout `layout`.
pub fn sanitized(
    lowered: &Lowered,
    inputs: &[Value<f32>],
    layout: &ParameterLayout,
    parameters: &[ArrayD<f32>],
    scalar: impl Fn(&str) -> f32,
) -> Result<Vec<Vec<f32>>, Box<InvalidAccess>> {
    let sanitized = Sanitized::new(lowered.artifact.clone());
    let executable =
        SanitizedExecutable::new(sanitized, true).unwrap_or_else(|error| panic!("{error}"));
    let interface = &lowered.artifact.interface;
    let mut arena = vec![CANARY; interface.arena];
    let mut updated = vec![CANARY; layout.elements];
    for ((start, layout), values) in layout.parameters.iter().zip(parameters) {
        updated[*start..*start + layout.elements].copy_from_slice(&padded(values, layout));
    }
    let scalars = interface.step_scalars.iter();
    let scalars: Vec<u32> = scalars.map(|name| scalar(name).to_bits()).collect();
    let before = updated.clone();
    let result = executable.run(CallMemory {
        arena: &mut arena,
        parameters: &mut updated,
        step_scalars: &scalars,
        input: &mut |i| bits(&inputs[i]),
    });
    match result {
        Ok(()) => Ok(roots(lowered, &arena, &updated)),
        Err(Failure::Invalid(found)) => {
            assert!(arena.iter().all(|x| *x == CANARY) && updated == before, "memory has changed");
            Err(found)
        }
        Err(Failure::Memory(bytes)) => panic!("there are no {bytes} bytes"),
    }
}

/// The table of pointers of a call.
pub fn table(artifact: &Artifact, pointers: &Pointers, inputs: &mut [Vec<u32>]) -> Vec<*mut u8> {
    let mut table = vec![std::ptr::null_mut(); artifact.interface.regions.len()];
    let input = |i: usize| Ok::<_, Infallible>(inputs[i].as_mut_ptr().cast());
    let Ok(()) = artifact.interface.bind(&mut table, pointers, input);
    table
}

pub(crate) const CANARY: u32 = 0x7FC0_0BAD;
pub(crate) const MARGIN: usize = 64;

/// The elements in dense, row-major memory order.
pub fn bits(value: &Value<f32>) -> Vec<u32> {
    match value {
        Value::Real(_) => value.reals().iter().map(|x| x.to_bits()).collect(),
        Value::Index(_) => value.indices().to_vec(),
    }
}

/// The elements of an array in memory with a layout.
pub fn unpadded(memory: &[u32], layout: &Layout) -> Vec<f32> {
    let count: usize = layout.sizes.iter().product();
    (0..count).map(|i| f32::from_bits(memory[offset_of(i, layout)])).collect()
}

/// An array in memory with a layout, with canaries as padding.
pub fn padded(array: &ArrayD<f32>, layout: &Layout) -> Vec<u32> {
    let mut memory = vec![CANARY; layout.elements];
    for (i, x) in array.iter().enumerate() {
        memory[offset_of(i, layout)] = x.to_bits();
    }
    memory
}

/// Offset in memory of element `i`, counted row-major.
fn offset_of(i: usize, layout: &Layout) -> usize {
    let (mut index, mut offset) = (i, 0);
    for (size, stride) in layout.sizes.iter().zip(&layout.strides).rev() {
        offset += index % size * stride;
        index /= size;
    }
    offset
}

/// Requires two results to have the same bits; all NaN are equal.
pub fn assert_same_bits(context: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{context}");
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        let same = x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
        assert!(
            same,
            "{context}, element {i}: {x:?} ({:#x}) and {y:?} ({:#x})",
            x.to_bits(),
            y.to_bits()
        );
    }
}

/// The largest error of f32 results that a computation with sums of `terms`
/// terms of order one may have, relative to the largest result or to one: every
/// operation rounds by half an ulp, functions by up to 2.5, and a chain of `n`
/// additions adds up to `n` roundings.
pub fn bound(terms: usize) -> f64 {
    let roundings = 16.0 + terms as f64;
    roundings * f64::from(f32::EPSILON)
}

/// Requires results to be within a relative error of the reference, measured
/// against the largest reference value or one.
pub fn assert_close(context: &str, found: &[f32], expected: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len(), "{context}");
    let finite = expected.iter().filter(|x| x.is_finite());
    let scale = finite.fold(1f64, |m, x| m.max(x.abs()));
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        let x = f64::from(*x);
        let fits = match y {
            y if y.is_nan() => x.is_nan(),
            y if y.is_infinite() => x == *y,
            y => (x - y).abs() <= bound * scale,
        };
        assert!(fits, "{context}, element {i}: {x} instead of {y}, more than {bound:e} of {scale}");
    }
}
