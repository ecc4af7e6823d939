//! Random networks: machine code against the interpreter, and the same bits by every emitter and on
//! any number of threads.

use bilro::engine::Engine;
use bilro::{Backend, DynBatch, DynModel, DynTrainer, Error, Sgd};
use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::Value;
use bilro_compiler::purpose::Purpose;
use bilro_compiler::target::host;
use ndarray::ArrayD;

use super::{Target, hash};
use crate::check;
use crate::networks::{Array, Recipe};
use crate::trainings::training;

/// See the module.
pub const TARGET: Target =
    Target { name: "networks", run, seeds, dictionary: &[], max_length: 64, memory: |_| 256 << 20 };

fn seeds() -> Vec<Vec<u8>> {
    let byte = |seed: u32, i: u32| (seed.wrapping_mul(2_654_435_761) ^ i.wrapping_mul(40_503)) >> 7;
    (0..16).map(|seed| (0..12 + 2 * seed).map(|i| byte(seed + 1, i + 1) as u8).collect()).collect()
}

/// Runs a case.
///
/// # Panics
/// If machine code disagrees with the interpreter, or two emitters or numbers of threads with
/// each other.
pub fn run(data: &[u8]) -> u64 {
    let recipe = Recipe::of_bytes(data);
    let network = recipe.build().network;
    let arrays = recipe.arrays(&network);
    let model = DynModel::builder(network.clone()).seed(recipe.seed).threads(2).build();
    let model = model.unwrap_or_else(|error| panic!("{error}\n{recipe:?}"));
    match model.verify(batch(&network, &arrays)) {
        Ok(report) => assert!(report.is_ok(), "{report}\n{recipe:?}"),
        // Statistics of a batch need two examples.
        Err(Error::SmallBatch { .. }) => return hash("small"),
        Err(error) => panic!("{error}\n{recipe:?}"),
    }
    emitters(&recipe, &network, &arrays);
    let states = [1, 3].map(|threads| trained(&recipe, &network, &arrays, threads));
    for (name, x) in &states[0] {
        let y = &states[1].iter().find(|(other, _)| other == name).expect("the same names").1;
        let (x, y) = (x.as_slice().expect("contiguous"), y.as_slice().expect("contiguous"));
        check::assert_same_bits(&format!("`{name}` on 1 and 3 threads\n{recipe:?}"), x, y);
    }
    let graph = network.graph_for(&Purpose::Predict, recipe.batch);
    hash(&graph.ids().map(|id| graph.op(id).name()).collect::<Vec<_>>())
}

/// The batch, by names.
fn batch<'a>(network: &'a Declaration, arrays: &'a [Array]) -> DynBatch<'a> {
    let named = |target| network.inputs.iter().filter(move |input| input.is_target == target);
    let names = named(false).chain(named(true)).map(|input| input.name.as_str());
    names.zip(arrays).fold(DynBatch::new(), |batch, (name, array)| batch.with(name, array.feed()))
}

/// A step by every emitter, against the evaluator of programs.
fn emitters(recipe: &Recipe, network: &Declaration, arrays: &[Array]) {
    let training = training(recipe.seed, 0.01);
    let step = Purpose::Step(training.clone());
    let variables = network.variables(&step);
    let scalar = |name: &str| training.optimizer().scalar(name, 2, 0.01).expect("of the optimizer");
    let engine = Engine::new(network.clone(), Backend::Jit, recipe.seed, 1);
    let engine = engine.expect("a model was built before");
    let mut parameters: Vec<ArrayD<f32>> =
        (0..network.parameters.len()).map(|i| engine.parameter(i).to_owned()).collect();
    parameters.extend(check::initial_state(network, &step));
    // In declaration order; arrays have targets last.
    let inputs = network.inputs.iter().filter(|input| !input.is_target).count();
    let (mut input, mut target) = (0, inputs);
    let values: Vec<Value<f32>> = (network.inputs.iter())
        .map(|declared| {
            let next = if declared.is_target { &mut target } else { &mut input };
            *next += 1;
            match &arrays[*next - 1] {
                Array::Real(x) => Value::Real(x.clone()),
                Array::Index(x) => Value::Index(x.clone()),
            }
        })
        .collect();
    let lower = |target: &_| {
        let lowered = check::lower_network(network, &step, recipe.batch, target);
        lowered.unwrap_or_else(|error| panic!("{error}\n{recipe:?}"))
    };
    let evaluated = lower(&check::evaluated_target(1));
    let expected = check::evaluated_network(&evaluated, &values, &parameters, scalar, 2);
    for target in host::targets() {
        let found =
            check::jitted_network(&lower(&target), &variables, &values, &parameters, scalar);
        for (i, (x, y)) in found.iter().zip(&expected).enumerate() {
            check::assert_same_bits(&format!("{}, root {i}\n{recipe:?}", target.name), x, y);
        }
    }
}

/// The parameters after two steps.
fn trained(
    recipe: &Recipe,
    network: &Declaration,
    arrays: &[Array],
    threads: usize,
) -> Vec<(String, ArrayD<f32>)> {
    let trainer = DynTrainer::builder(network.clone(), Sgd::new(0.01).momentum(0.9));
    let mut trainer = trainer.seed(recipe.seed).threads(threads).build().expect("valid options");
    for _ in 0..2 {
        match trainer.step(batch(network, arrays)) {
            Ok(_) | Err(Error::NonFiniteLoss { .. } | Error::NonFiniteGradient { .. }) => {}
            Err(error) => panic!("{error}\n{recipe:?}"),
        }
    }
    let parameters = trainer.model().state_dict();
    parameters
        .map(|(name, view)| (name.to_string(), view.as_standard_layout().into_owned()))
        .collect()
}
