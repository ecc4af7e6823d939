//! Purposes by the interpreter.

use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::{Real, Value};
use bilro_compiler::graph::Root;
use bilro_compiler::ops::Leaf;
use ndarray::{ArrayD, ArrayViewD};

use super::progress::Source;
use super::{Call, Results};
use crate::error::Result;
use crate::interpreter::{interpret, peak};
use crate::memory;
use crate::network::Feed;
use crate::parameters::Parameters;
use crate::settings::Precision;

/// Runs a call.
pub(super) fn run(
    declaration: &Declaration,
    parameters: &mut Parameters,
    call: Call<'_, '_, '_>,
    precision: Precision,
    sums: &mut Vec<f64>,
) -> Result<Results> {
    match precision {
        Precision::F32 => run_in::<f32>(declaration, parameters, call, sums),
        Precision::F64 => run_in::<f64>(declaration, parameters, call, sums),
    }
}

fn run_in<T: Real>(
    declaration: &Declaration,
    parameters: &mut Parameters,
    call: Call<'_, '_, '_>,
    sums: &mut Vec<f64>,
) -> Result<Results> {
    let graph = call.graph(declaration)?;
    let what = || format!("the values of `{}` by the interpreter", declaration.name);
    memory::check::<T>(what, peak(&graph))?;
    let values = interpret::<T>(&graph, |leaf| match leaf {
        Leaf::Input(input) => match call.feeds.get(input.index) {
            Some(Feed::Real(array)) => real(array.view()),
            Some(Feed::Index(array)) => {
                Value::index(array.shape(), array.iter().copied().collect())
            }
            None => unreachable!("whatever a purpose needs has been given"),
        },
        Leaf::Parameter(parameter) => real(parameters.view(parameter.index)),
        Leaf::Setting(op) => {
            let bits = call.progress.setting(call.purpose, Source::of(op.name));
            match op.is_whole {
                true => Value::index(&[], vec![bits]),
                false => Value::real(&[], vec![T::of(f32::from_bits(bits))]),
            }
        }
    });
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
            Root::Assign(i) => next.push((*i, value)),
        }
    }
    if results.kept {
        next.into_iter().for_each(|(i, value)| parameters.set(i, narrow(value).view()));
    }
    Ok(results)
}

fn real<T: Real>(array: ArrayViewD<'_, f32>) -> Value<T> {
    Value::real(array.shape(), array.iter().map(|x| T::of(*x)).collect())
}

fn narrow<T: Real>(value: &Value<T>) -> ArrayD<f32> {
    value.array().mapv(|x| x.wide() as f32)
}
