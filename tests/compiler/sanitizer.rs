//! Sanitised code: the bits of plain code where there is no fault; injected faults are reported with
//! their kernel, instruction, buffer and element, on every emitter and by the evaluator.

use std::sync::Arc;

use bilro::Network;
use bilro::prelude::*;
use bilro_compiler::artifact::Artifact;
use bilro_compiler::codegen::module::{Dump, Executable};
use bilro_compiler::eval::Value;
use bilro_compiler::faults::{Fault, Guard};
use bilro_compiler::graph::Graph;
use bilro_compiler::ops;
use bilro_compiler::optim::Training;
use bilro_compiler::plan::ParameterLayout;
use bilro_compiler::program::{Address, Count, Instruction, Loop, Program, Statement};
use bilro_compiler::purpose::Purpose;
use bilro_compiler::sanitize::{AccessFault, InvalidAccess, Sanitized};
use bilro_compiler::target::Target;
use bilro_tests::check::{self, Lowered};
use bilro_tests::inputs;
use ndarray::ArrayD;

network! {
    /// With kernels of every kind, a table, and sizes that leave tails.
    pub struct Small {
        input x: [13];
        input words: index(9)[3];
        target kind: class(5);
        layer word = Embedding(9, 6);
        let h = x -> Linear(21) -> LayerNorm -> gelu -> Linear(6);
        let s = tanh(h + word(words).mean(axis = 0));
        output logits = s -> Linear(7) -> ReLU -> Linear(5);
        loss cross_entropy(logits, kind);
    }
}

network! {
    /// So large that its step has phases of several threads.
    pub struct Large {
        input x: [192];
        target kind: class(10);
        output logits = x -> Linear(256) -> ReLU -> Linear(128) -> ReLU -> Linear(10);
        loss cross_entropy(logits, kind);
    }
}

network! {
    /// The parameter of [`OVERWRITTEN`].
    pub struct Square {
        input x: [16];
        param w: [16, 16] = ones;
        output y = x.matmul(w);
    }
}

const OVERWRITTEN: &str = "graph for batches of 4
%0 = input(0) : f32 batch×[16]
%1 = parameter(0) : f32 [16, 16]
%2 = contract(%0, %0, over_batch = true)
%3 = sub(%1, %2)
%4 = contract(%0, %1, contracted = [(0, 0)])
output y = %4
next parameter 0 = %3
";

/// A step of a network: what a call takes.
struct Step {
    lowered: Lowered,
    inputs: Vec<Value<f32>>,
    layout: ParameterLayout,
    variables: Vec<bilro_compiler::declaration::Parameter>,
    parameters: Vec<ArrayD<f32>>,
    training: Arc<Training>,
}

impl Step {
    fn new<N: Network>(batch: usize, target: &Target) -> Step {
        let network = N::declaration().unwrap();
        let training = Arc::new(Training::from(Sgd::new(0.1).momentum(0.9)));
        let purpose = Purpose::Step(training.clone());
        let lowered = check::lower_network(&network, &purpose, batch, target).unwrap();
        // In declared order, as inputs are numbered: the targets come last.
        let inputs = inputs::values(&network, batch, 3);
        let variables = network.variables(&purpose);
        let value = |i: usize| ((i * 7919) % 101) as f32 / 200.0 - 0.25;
        let parameters = variables.iter().map(|variable| {
            let sizes = variable.shape.sizes();
            let count = sizes.iter().product();
            ArrayD::from_shape_vec(sizes, (0..count).map(value).collect()).unwrap()
        });
        Step {
            inputs,
            layout: ParameterLayout::new(&variables),
            parameters: parameters.collect(),
            variables,
            lowered,
            training,
        }
    }

    /// A graph that overwrites a parameter which another product reads. In a network's step the
    /// guard would be between them.
    fn of_overwritten(target: &Target) -> Step {
        let graph: Graph = OVERWRITTEN.parse().unwrap();
        let network = Square::declaration().unwrap();
        let variables = network.variables(&Purpose::Predict);
        let layout = ParameterLayout::new(&variables);
        let number = |i: usize| ((i * 31) % 17) as f32 / 8.0 - 1.0;
        let array = |rows: usize| {
            ArrayD::from_shape_vec(vec![rows, 16], (0..16 * rows).map(number).collect()).unwrap()
        };
        Step {
            lowered: check::lower(&graph, &layout, target).unwrap(),
            inputs: vec![Value::Real(array(4))],
            layout,
            parameters: vec![array(16)],
            variables,
            training: Arc::new(Training::from(Sgd::new(0.1))),
        }
    }

    fn scalar(&self, name: &str) -> f32 {
        self.training.optimizer().scalar(name, 1, 0.1).unwrap()
    }

    fn sanitized(&self) -> Result<Vec<Vec<f32>>, Box<InvalidAccess>> {
        let Step { lowered, inputs, layout, parameters, .. } = self;
        check::sanitized(lowered, inputs, layout, parameters, |name| self.scalar(name))
    }

    fn evaluated(&self) -> Result<(), Box<InvalidAccess>> {
        let Step { lowered, inputs, parameters, .. } = self;
        check::evaluated_sanitized(lowered, inputs, parameters, |name| self.scalar(name))
    }

    fn plain(&self) -> Vec<Vec<f32>> {
        let Step { lowered, inputs, variables, parameters, .. } = self;
        check::jitted_network(lowered, variables, inputs, parameters, |name| self.scalar(name))
    }
}

#[test]
fn sanitised_code_has_the_same_bits() {
    for target in check::targets() {
        let small = [1, 5, 16].map(|batch| Step::new::<Small>(batch, &target));
        for step in small.into_iter().chain([Step::of_overwritten(&target)]) {
            let found = step.sanitized().unwrap_or_else(|found| panic!("{found}"));
            for (i, (found, expected)) in found.iter().zip(&step.plain()).enumerate() {
                check::assert_same_bits(&format!("{}, root {i}", target.name), found, expected);
            }
        }
    }
}

/// Whether a fault is one of programs and their memory, and not of an emitter.
fn is_of_programs(fault: Fault) -> bool {
    !matches!(fault, Fault::AddressPast | Fault::PointerStride | Fault::StoreMask)
}

fn is_expected(fault: Fault, found: &AccessFault) -> bool {
    match fault {
        Fault::AddressPast | Fault::RowStride => matches!(found, AccessFault::OutOfBounds),
        // Whatever is there.
        Fault::PointerStride => matches!(
            found,
            AccessFault::OutOfBounds | AccessFault::Uninitialized | AccessFault::Race { .. }
        ),
        Fault::StoreMask => matches!(found, AccessFault::Unchecked),
        Fault::StoreBuffer => matches!(found, AccessFault::ReadOnly),
        Fault::ShortLife | Fault::AntiDependency => matches!(found, AccessFault::Live { .. }),
        // Whether the reader or the writer comes first.
        Fault::PhaseConflict => {
            matches!(found, AccessFault::Race { .. } | AccessFault::Uninitialized)
        }
        _ => false,
    }
}

/// What is wrong with the reports of a fault on a target; nothing if all is as expected.
fn mistakes(fault: Fault, target: &Target) -> Vec<String> {
    let guard = Guard::new(fault);
    let step = match fault {
        Fault::PhaseConflict => Step::new::<Large>(256, target),
        Fault::AntiDependency => Step::of_overwritten(target),
        _ => Step::new::<Small>(5, target),
    };
    let found = step.sanitized();
    drop(guard);
    let Err(found) = found else { return vec![format!("{fault:?} is not found")] };
    println!("{}, {fault:?}: {found}", target.name);
    let program = &step.lowered.artifact.programs[found.kernel];
    let mut mistakes = Vec::new();
    let names_it = found.name == program.name && program.to_string().contains(&found.instruction);
    if !is_expected(fault, &found.cause) || !names_it {
        mistakes.push(format!("{fault:?}: {found}\n{program}"));
    }
    if is_of_programs(fault) && fault != Fault::PhaseConflict {
        let evaluated = step.evaluated();
        if evaluated.as_ref() != Err(&found) {
            mistakes.push(format!("{fault:?}: {found}, but by the evaluator {evaluated:?}"));
        }
    }
    mistakes
}

#[test]
fn every_fault_of_an_access_is_reported() {
    let targets = check::targets();
    let all = targets.iter().flat_map(|target| {
        Fault::ACCESSES.iter().flat_map(move |fault| {
            let mistakes = mistakes(*fault, target).into_iter();
            mistakes.map(move |mistake| format!("{}: {mistake}", target.name))
        })
    });
    let all: Vec<String> = all.collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// The loads and stores of a program, in order.
fn accesses(body: &mut [Statement]) -> Vec<&mut Instruction> {
    let mut found = Vec::new();
    for statement in body {
        match statement {
            Statement::Loop(l) => found.extend(accesses(&mut l.body)),
            Statement::Do(access @ (Instruction::Load { .. } | Instruction::Store { .. })) => {
                found.push(access);
            }
            Statement::Do(_) => {}
        }
    }
    found
}

/// Programs that are changed after all verifiers have seen them.
#[test]
fn reports_have_the_kernel_the_instruction_and_the_element() {
    for target in check::targets() {
        let sound = Step::new::<Small>(5, &target);
        let (mut loads, mut stores) = (0, 0);
        for kernel in 0..sound.lowered.artifact.programs.len() {
            let mut step = Step::new::<Small>(5, &target);
            let Artifact { programs, buffers, .. } = &mut step.lowered.artifact;
            let Program { body, buffers: own, .. } = &mut programs[kernel];
            let size = |buffer: usize| buffers[own[buffer]].layout.elements;
            // The first load: it begins behind its buffer.
            let all = accesses(body);
            let plain = |address: &Address| address.index.is_none();
            let first = all.into_iter().find_map(|access| match access {
                Instruction::Load { from, .. } if plain(from) => {
                    let (buffer, end) = (own[from.buffer], size(from.buffer));
                    from.offset += end;
                    Some(((buffer, end as i64), access.to_string()))
                }
                _ => None,
            });
            if let Some(((buffer, end), text)) = first {
                let found = step.sanitized().unwrap_err();
                assert_eq!((found.kernel, found.buffer), (kernel, buffer), "{found}");
                // Of a parallel loop, the last iteration runs first.
                assert!(found.element >= end && found.instruction == text, "{found}");
                assert_eq!(found.cause, AccessFault::OutOfBounds, "{found}");
                assert_eq!(step.evaluated().unwrap_err(), found);
                loads += 1;
            }
            // A store to another buffer that the kernel may not write: one that it reads.
            let mut step = Step::new::<Small>(5, &target);
            let Artifact { programs, buffers, .. } = &mut step.lowered.artifact;
            let Program { body, buffers: own, .. } = &mut programs[kernel];
            let given = own.iter().position(|t| buffers[*t].is_given);
            let Some(given) = given else { continue };
            let store = accesses(body).into_iter().find_map(|access| match access {
                Instruction::Store { to, .. } if plain(to) && to.offset == 0 => {
                    to.buffer = given;
                    Some(access.to_string())
                }
                _ => None,
            });
            let (Some(text), buffer) = (store, own[given]) else { continue };
            let found = step.sanitized().unwrap_err();
            assert_eq!((found.kernel, found.buffer), (kernel, buffer), "{found}");
            // The other buffer may be smaller.
            let is_expected =
                matches!(found.cause, AccessFault::ReadOnly | AccessFault::OutOfBounds);
            assert!(is_expected && found.instruction == text, "{found}");
            assert_eq!(step.evaluated().unwrap_err(), found);
            stores += 1;
        }
        assert!(loads > 5 && stores > 5, "{loads} loads, {stores} stores");
    }
}

/// A store that is the same in every iteration of a parallel loop.
#[test]
fn iterations_that_write_the_same_element_are_reported() {
    for target in check::targets() {
        let mut races = 0;
        for kernel in 0..Step::new::<Small>(16, &target).lowered.artifact.programs.len() {
            let mut step = Step::new::<Small>(16, &target);
            let body = &mut step.lowered.artifact.programs[kernel].body;
            let changed = body.iter_mut().find_map(|statement| match statement {
                Statement::Loop(Loop { counter, count: Count::Parallel { count, .. }, body })
                    if *count > 1 =>
                {
                    accesses(body).into_iter().find_map(|access| match access {
                        Instruction::Store { to, .. }
                            if to.strides.iter().any(|(moved, _)| moved == counter) =>
                        {
                            to.strides.retain(|(moved, _)| moved != counter);
                            Some(())
                        }
                        _ => None,
                    })
                }
                _ => None,
            });
            if changed.is_none() {
                continue;
            }
            let found = step.sanitized().unwrap_err();
            // At the store, or at a load of the value that it overwrites in place.
            let program = step.lowered.artifact.programs[kernel].to_string();
            assert!(found.kernel == kernel && program.contains(&found.instruction), "{found}");
            assert_eq!(found.cause, AccessFault::Race { kernel }, "{found}");
            assert_eq!(step.evaluated().unwrap_err(), found);
            races += 1;
        }
        assert!(races > 2, "{races} kernels with parallel loops");
    }
}

/// On one instruction set each, in turn.
#[test]
fn every_operation_accesses_its_own_memory_only() {
    let targets = check::targets();
    let mut count = 0;
    for entry in ops::ALL {
        for (i, sample) in (entry.samples)(5).iter().enumerate() {
            let case = check::case(sample, 3, 7);
            let lowered = check::lowered(&case, &targets[count % targets.len()]);
            let expected = check::jitted(&case, &lowered);
            let layout = ParameterLayout::new(&[]);
            let found = check::sanitized(&lowered, &case.inputs, &layout, &[], |_| f32::NAN);
            let found = found.unwrap_or_else(|found| panic!("{:?}: {found}", sample.op));
            for (found, expected) in found.iter().zip(&expected) {
                check::assert_same_bits(&format!("{:?}, sample {i}", sample.op), found, expected);
            }
            count += 1;
        }
    }
    assert!(count > ops::ALL.len(), "{count} samples");
}

#[test]
fn an_index_beyond_its_bound_is_reported_before_it_is_used() {
    for target in check::targets() {
        for index in [9, 10, 1 << 20, u32::MAX] {
            let mut step = Step::new::<Small>(5, &target);
            let Value::Index(words) = &mut step.inputs[1] else { panic!("words are indices") };
            words[[2, 1]] = index;
            let found = step.sanitized().unwrap_err();
            assert_eq!(found.cause, AccessFault::Index { found: index, below: 9 }, "{found}");
            assert_eq!((&found.value[..], found.element), ("words", 7), "{found}");
            assert!(found.instruction.contains("below 9"), "{found}");
            assert_eq!(step.evaluated().unwrap_err(), found);
        }
    }
}

/// Without the sanitizer, code has no trace of it: its own checks are the only difference of the
/// programs.
#[test]
fn programs_without_checks_are_the_plain_ones() {
    fn without_checks(body: &mut Vec<Statement>) {
        body.retain_mut(|statement| match statement {
            Statement::Loop(l) => {
                without_checks(&mut l.body);
                true
            }
            Statement::Do(instruction) => !matches!(instruction, Instruction::Check(_)),
        });
    }
    for target in check::targets() {
        let artifact = Step::new::<Small>(5, &target).lowered.artifact;
        let code = |artifact: &Artifact| {
            let dump = Dump { clif: true, asm: true };
            let (executable, texts) = Executable::with_dump(artifact, false, dump).unwrap();
            (executable.code_bytes(), texts)
        };
        let before = code(&artifact);
        let sanitized = Sanitized::new(artifact.clone());
        let mut programs = sanitized.artifact().programs.clone();
        assert!(programs.iter().zip(&artifact.programs).all(|(checked, plain)| checked != plain));
        programs.iter_mut().for_each(|program| without_checks(&mut program.body));
        assert_eq!(programs, artifact.programs);
        let checked = code(sanitized.artifact());
        assert!(checked.0 > before.0, "{} and {} bytes", checked.0, before.0);
        assert_eq!(code(&artifact), before);
    }
}
