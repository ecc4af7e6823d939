//! Runs purposes by the interpreter.

use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::{Real, Value};
use bilro_compiler::graph::Root;
use bilro_compiler::ops::Leaf;
use ndarray::{ArrayD, ArrayViewD};

use super::counters::Source;
use super::{Call, Results};
use crate::error::Result;
use crate::memory;
use crate::run::Feed;
use crate::run::config::Precision;
use crate::run::interpreter::{interpret, peak};
use crate::run::parameters::Parameters;

/// A call's results, and the next values of the variables that it overwrites, by index; none if
/// the step is rejected.
pub(super) type Interpreted = (Results, Vec<(usize, ArrayD<f32>)>);

/// Runs a call.
pub(super) fn run(
    declaration: &Declaration,
    parameters: &Parameters,
    call: &Call<'_, '_>,
    precision: Precision,
    sums: &mut Vec<f64>,
) -> Result<Interpreted> {
    match precision {
        Precision::F32 => run_in::<f32>(declaration, parameters, call, sums),
        Precision::F64 => run_in::<f64>(declaration, parameters, call, sums),
    }
}

fn run_in<T: Real>(
    declaration: &Declaration,
    parameters: &Parameters,
    call: &Call<'_, '_>,
    sums: &mut Vec<f64>,
) -> Result<Interpreted> {
    let graph = call.graph(declaration)?;
    let what = || format!("the values of `{}` by the interpreter", declaration.name);
    memory::check::<T>(what, peak(&graph))?;
    let values = interpret::<T>(&graph, |leaf| leaf_value(parameters, call, leaf));
    let mut results = Results::new();
    let mut next = Vec::new();
    for ((root, _), value) in graph.roots().iter().zip(&values) {
        match root {
            Root::Loss => results.loss = value.reals()[0].wide() as f32,
            Root::Metric(_) => results.metrics.push(value.reals()[0].wide() as f32),
            Root::Sum(..) | Root::Weight(..) => sums.push(value.reals()[0].wide()),
            Root::Output(_) | Root::Gradient(_) | Root::InputGradient(_) => {
                results.arrays.push(narrow(value));
            }
            Root::Guard => results.kept = value.reals()[0] == T::zero(),
            Root::Assign(i) => next.push((*i, narrow(value))),
        }
    }
    if !results.kept {
        next.clear();
    }
    Ok((results, next))
}

/// The value of a leaf of a call's graph.
pub(super) fn leaf_value<T: Real>(
    parameters: &Parameters,
    call: &Call<'_, '_>,
    leaf: Leaf<'_>,
) -> Value<T> {
    match leaf {
        Leaf::Input(input) => match call.feeds.get(input.index) {
            Some(Feed::Real(array)) => real(array.view()),
            Some(Feed::Index(array)) => {
                Value::index(array.shape(), array.iter().copied().collect())
            }
            None => unreachable!("the feeds of a purpose have been checked"),
        },
        Leaf::Parameter(parameter) => real(parameters.view(parameter.index)),
        Leaf::StepScalar(op) => {
            let bits = call.counters.scalar(call.purpose, call.numbers, Source::of(op.name));
            match op.is_integer {
                true => Value::index(&[], vec![bits]),
                false => Value::real(&[], vec![T::of(f32::from_bits(bits))]),
            }
        }
    }
}

/// An array of machine code as a value of the interpreter.
pub(super) fn real<T: Real>(array: ArrayViewD<'_, f32>) -> Value<T> {
    Value::real(array.shape(), array.iter().map(|x| T::of(*x)).collect())
}

fn narrow<T: Real>(value: &Value<T>) -> ArrayD<f32> {
    value.array().mapv(|x| x.wide() as f32)
}
