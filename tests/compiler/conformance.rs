//! Every operation on its samples: machine code against the interpreter and the
//! evaluator, gradients against finite differences. `goldens` compares with
//! PyTorch.

use bilro_compiler::eval::Value;
use bilro_compiler::graph::Root;
use bilro_compiler::ops::{self, Domain, Leaf, Sample};
use bilro_compiler::target::host;
use bilro_tests::check::{self, Case};

mod neighbours;

const SIZES: [usize; 7] = [1, 3, 4, 5, 16, 17, 33];
const BATCHES: [usize; 3] = [1, 3, 37];

fn for_all(mut f: impl FnMut(&str, &Case, &Sample)) {
    for entry in ops::ALL {
        for size in SIZES {
            for (i, sample) in (entry.samples)(size).into_iter().enumerate() {
                for batch in BATCHES {
                    let seed = (size * 1000 + i * 10 + batch) as u64;
                    let context =
                        format!("{:?} size {size} sample {i} batch {batch} seed {seed}", sample.op);
                    f(&context, &check::case(&sample, batch, seed), &sample);
                }
            }
        }
    }
}

#[test]
fn every_operation_has_samples() {
    for entry in ops::ALL {
        let given = ["input", "parameter", "step_scalar", "constant", "iota", "switch"];
        let given = given.contains(&entry.name);
        assert_eq!((entry.samples)(3).is_empty(), given, "{}", entry.name);
    }
}

/// On one instruction set: the others have the same bits.
#[test]
fn machine_code_agrees_with_the_interpreter() {
    for_all(|context, case, sample| {
        let expected = check::interpreted::<f64>(case);
        let found = check::jitted(case, &check::lowered(case, &host::baseline()));
        for ((root, _), (found, expected)) in
            case.graph.roots().iter().zip(found.iter().zip(&expected))
        {
            // The loss adds up all elements of the result.
            let more = if *root == Root::Loss { expected_count(case) } else { 0 };
            let terms = sample.terms + more;
            check::assert_close(
                &format!("{context}, {root}"),
                found,
                expected,
                check::bound(terms),
            );
        }
    });
}

#[test]
fn machine_code_has_the_evaluators_bits_on_every_instruction_set() {
    let targets = check::targets();
    for_all(|context, case, _| {
        let mut first = None;
        for target in &targets {
            let lowered = check::lowered(case, target);
            let found = check::jitted(case, &lowered);
            let evaluated = check::evaluated(case, &lowered);
            let first = first.get_or_insert_with(|| found.clone());
            for (i, found) in found.iter().enumerate() {
                let context = format!("{context}, root {i}, {}", target.name);
                check::assert_same_bits(&context, found, &evaluated[i]);
                check::assert_same_bits(
                    &format!("{context} and {}", targets[0].name),
                    found,
                    &first[i],
                );
            }
        }
    });
}

/// The order of reductions does not depend on the vector width: programs for
/// other widths have the same bits in the evaluator.
#[test]
fn every_vector_width_has_the_same_bits() {
    let wide = |lanes| check::evaluated_target(lanes);
    for_all(|context, case, _| {
        let reference = check::evaluated(case, &check::lowered(case, &host::baseline()));
        for lanes in [1, 2, 8, 16] {
            let found = check::evaluated(case, &check::lowered(case, &wide(lanes)));
            for (i, (a, b)) in found.iter().zip(&reference).enumerate() {
                check::assert_same_bits(&format!("{context}, root {i}, {lanes} lanes"), a, b);
            }
        }
    });
}

fn expected_count(case: &Case) -> usize {
    case.inputs.last().map_or(0, |weights| weights.reals().len())
}

/// The interpreter's gradients in f64 against central differences.
#[test]
fn gradients_are_those_of_finite_differences() {
    const STEP: f64 = 1e-5;
    for_all(|context, case, sample| {
        // Functions of the order of operands are discontinuous at equal ones.
        if sample.operands.iter().any(|operand| operand.domain == Domain::Tied) {
            return;
        }
        let loss = case.graph.roots().iter().position(|(r, _)| *r == Root::Loss);
        let loss = loss.expect("samples have a loss");
        let roots = check::interpreted::<f64>(case);
        let real = case.inputs.iter().enumerate().filter(|(_, x)| matches!(x, Value::Real(_)));
        // The last input is the weight of the result.
        for (gradient, (input, value)) in
            real.take_while(|(i, _)| i + 1 < case.inputs.len()).enumerate()
        {
            let dx = &roots[2 + gradient];
            let count = value.reals().len();
            for element in (0..count).step_by(count.div_ceil(7)) {
                let at = |delta: f64| {
                    let values =
                        bilro::interpreter::interpret::<f64>(&case.graph, |leaf| match leaf {
                            Leaf::Input(op) => match &case.inputs[op.index] {
                                Value::Real(x) => {
                                    let mut x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
                                    if op.index == input {
                                        x[element] += delta;
                                    }
                                    Value::real(case.inputs[op.index].sizes(), x)
                                }
                                Value::Index(x) => Value::Index(x.clone()),
                            },
                            other => unreachable!("{other:?}"),
                        });
                    values[loss].reals()[0]
                };
                let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                let error = (slope - dx[element]).abs();
                assert!(
                    error <= 1e-5 * (1.0 + slope.abs()),
                    "{context}, operand {input}, element {element}: {} instead of {slope}",
                    dx[element]
                );
            }
        }
    });
}
