//! Random values for the inputs of a declared network, and batches of them.

use bilro::DynBatch;
use bilro::network::Feed;
use bilro::rng::Generator;
use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::Value;
use bilro_compiler::ops::{Domain, Operand};

use crate::check;

/// Values for all inputs and targets, in declared order: normal ones, and targets that may serve as
/// probabilities.
pub fn values(declaration: &Declaration, batch: usize, seed: u64) -> Vec<Value<f32>> {
    let mut generator = Generator::new(seed);
    let values = declaration.inputs.iter().map(|input| {
        let domain = if input.is_target { Domain::Probability } else { Domain::Normal(1.0) };
        let operand = Operand::new(input.ty.clone(), domain);
        check::values(&operand, batch, &mut generator)
    });
    values.collect()
}

/// Views of values in the order of an engine: inputs, then targets unless it predicts.
pub fn feeds<'a>(
    declaration: &Declaration,
    values: &'a [Value<f32>],
    predicts: bool,
) -> Vec<Feed<'a>> {
    let all = || declaration.inputs.iter().zip(values);
    let inputs = all().filter(|(input, _)| !input.is_target);
    let targets = all().filter(|(input, _)| input.is_target && !predicts);
    inputs.chain(targets).map(|(_, value)| feed(value)).collect()
}

/// A batch of values by name: of inputs, and of targets if the network has a loss.
pub fn batch<'a>(declaration: &'a Declaration, values: &'a [Value<f32>]) -> DynBatch<'a> {
    let all = declaration.inputs.iter().zip(values);
    let given = all.filter(|(input, _)| declaration.has_loss() || !input.is_target);
    given.fold(DynBatch::new(), |batch, (input, value)| batch.with(&input.name, feed(value)))
}

fn feed(value: &Value<f32>) -> Feed<'_> {
    match value {
        Value::Real(x) => Feed::Real(x.view()),
        Value::Index(x) => Feed::Index(x.view()),
    }
}
