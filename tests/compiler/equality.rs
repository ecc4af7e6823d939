//! Training yields the same parameters and optimizer state, bit for bit, on every
//! instruction set and any number of threads, with every optimizer.
//!
//! Real threads share every kernel here, including small ones: results must not
//! depend on which kernels are worth sharing.
//!
//! `BILRO_SEED=n` tries other random networks and `BILRO_NETWORKS=n` another
//! number of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use bilro::Backend;
use bilro::engine::Engine;
use bilro::prelude::*;
use bilro_compiler::artifact::Pointers;
use bilro_compiler::codegen::module::Executable;
use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::Value;
use bilro_compiler::plan::ParameterLayout;
use bilro_compiler::purpose::Purpose;
use bilro_compiler::target::Target;
use bilro_tests::soak::campaign::{Campaign, from_environment};
use bilro_tests::soak::trial;
use bilro_tests::trainings::{TRAININGS, training};
use bilro_tests::{check, inputs};

/// Numbers of threads that share a step.
const THREADS: [usize; 4] = [1, 2, 3, 7];

/// Enough for a difference in the last bit to spread everywhere.
const STEPS: usize = 100;

/// The README's networks, those of the examples and of the benchmarks.
pub(super) mod networks {
    use bilro::prelude::*;
    pub use bilro_benches::networks::{Digits, Mnist, Neuron, Wide};

    network! {
        pub struct Tanh {
            input image: [64];
            target digit: class(10);
            layer fc1 = Linear(64, 32);
            layer fc2 = Linear(32, 10);
            output scores = fc2(tanh(fc1(image)));
            loss cross_entropy(scores, digit);
        }
    }

    network! {
        pub struct Perceptron {
            input point: [2];
            target label: [1];
            param w: [2, 1] = normal(0.0, 0.7);
            param b: [1] = zeros;
            output p = sigmoid(point.matmul(w) + b);
            loss -(label * log(p) + (1.0 - label) * log(1.0 - p));
        }
    }

    network! {
        pub struct Long {
            input x: [1100];
            target class: class(2050);
            output scores =
                x -> LayerNorm -> Linear(37) -> BatchNorm1d -> ReLU -> Linear(2050);
            loss cross_entropy(scores, class);
        }
    }

    network! {
        pub struct Words {
            input words: index(13)[5];
            input writer: index(3);
            target kind: class(4);
            let seen = words -> Embedding(70) -> Tanh;
            let by = writer -> Embedding(9);
            output scores = (seen.mean(axis = 0) -> Linear(4)) + (by -> Linear(4));
            loss cross_entropy(scores, kind);
        }
    }
}

/// A network with its data and training.
struct Case {
    network: Declaration,
    /// Index of a [`training`].
    training: u64,
    /// Layout of the parameters and the optimizer state.
    layout: ParameterLayout,
    batch: usize,
    /// Their initial memory.
    start: Vec<u32>,
    /// In declaration order.
    inputs: Vec<Vec<u32>>,
}

impl Case {
    fn new(network: Declaration, batch: usize, seed: u64, index: u64) -> Case {
        let values = inputs::values(&network, batch, seed + 1);
        Case::of(network, batch, seed, index, &values)
    }

    fn of(
        network: Declaration,
        batch: usize,
        seed: u64,
        index: u64,
        inputs: &[Value<f32>],
    ) -> Case {
        let any_rate = training(index, 0.1);
        let purpose = Purpose::Step(any_rate.clone());
        let layout = ParameterLayout::new(&network.variables(&purpose));
        let engine = Engine::new(network.clone(), Backend::Jit, seed, 1).unwrap();
        let parameters = (0..network.parameters.len()).map(|i| engine.parameter(i).to_owned());
        let values = parameters.chain(check::initial_state(&network, &purpose));
        let mut start = vec![0; layout.elements];
        for ((first, layout), values) in layout.parameters.iter().zip(values) {
            let values = check::padded(&values, layout);
            start[*first..*first + layout.elements].copy_from_slice(&values);
        }
        let inputs = inputs.iter().map(check::bits);
        Case { inputs: inputs.collect(), network, training: index, layout, batch, start }
    }

    fn compile(&self, target: &Target) -> Compiled {
        let any_rate = training(self.training, 0.1);
        let purpose = Purpose::Step(any_rate.clone());
        let lowered = check::lower_network(&self.network, &purpose, self.batch, target).unwrap();
        let executable = Executable::new(&lowered.artifact, false);
        Compiled { executable: executable.unwrap(), lowered }
    }

    /// The parameters and the optimizer state after `steps` steps.
    fn train(&self, compiled: &Compiled, rate: f32, steps: usize, threads: usize) -> Vec<f32> {
        let Compiled { lowered, executable } = compiled;
        let mut arena = vec![0u32; lowered.artifact.interface.arena];
        let mut parameters = self.start.clone();
        let mut inputs = self.inputs.clone();
        let training = training(self.training, rate);
        // Scalars vary from step to step: a table for each.
        let mut scalars: Vec<Vec<u32>> = (1..=steps as u64)
            .map(|step| {
                let scalar = |name: &&str| match training.optimizer().scalar(name, step, rate) {
                    Some(x) => x.to_bits(),
                    // A key or a counter of random numbers.
                    None => step as u32,
                };
                lowered.artifact.interface.step_scalars.iter().map(scalar).collect()
            })
            .collect();
        let mut table = |scalars: &mut Vec<u32>| -> Table {
            let pointers = Pointers {
                arena: arena.as_mut_ptr().cast(),
                parameters: parameters.as_mut_ptr().cast(),
                step_scalars: scalars.as_mut_ptr().cast(),
            };
            Table(check::table(&lowered.artifact, &pointers, &mut inputs))
        };
        let tables: Vec<Table> = scalars.iter_mut().map(&mut table).collect();
        match threads {
            1 => tables.iter().for_each(|table| {
                // SAFETY: a pointer for each region, each with the number of
                // elements of the memory plan; nothing else uses the memory.
                unsafe { executable.run(&table.0) }
            }),
            _ => share(compiled, &tables, threads),
        }
        let layouts = self.layout.parameters.iter();
        layouts.flat_map(|(first, layout)| check::unpadded(&parameters[*first..], layout)).collect()
    }

    /// A learning rate with which all parameters stay below 1,000, if there is
    /// one.
    fn rate(&self, compiled: &Compiled, steps: usize) -> Option<f32> {
        let tame = |rate: &f32| {
            let parameters = self.train(compiled, *rate, steps, 1);
            parameters.iter().all(|x| x.abs() < 1e3)
        };
        [0.1, 0.01, 1e-3, 1e-5, 1e-7].into_iter().find(tame)
    }

    /// Requires the same parameters everywhere; returns the number of compared
    /// runs.
    fn compare(&self, targets: &[Target], steps: usize) -> Result<usize, String> {
        let mut expected: Option<(f32, Vec<f32>)> = None;
        let mut compared = 0;
        for target in targets {
            let compiled = self.compile(target);
            let (rate, expected) = match &expected {
                Some(known) => known,
                None => {
                    let Some(rate) = self.rate(&compiled, steps) else { return Ok(0) };
                    expected.insert((rate, self.train(&compiled, rate, steps, 1)))
                }
            };
            for threads in THREADS {
                let found = self.train(&compiled, *rate, steps, threads);
                assert_eq!(found.len(), expected.len());
                let mut pairs = found.iter().zip(expected).enumerate();
                if let Some((i, (x, y))) = pairs.find(|(_, (x, y))| x.to_bits() != y.to_bits()) {
                    return Err(format!(
                        "{} in batches of {} by {:?}, {} on {threads} threads: \
                         variable {i} is {x:?} ({:#x}) after {steps} steps, \
                         and {y:?} ({:#x}) for {} on one thread",
                        self.network.name,
                        self.batch,
                        training(self.training, *rate),
                        target.name,
                        x.to_bits(),
                        y.to_bits(),
                        targets[0].name,
                    ));
                }
                compared += 1;
            }
        }
        Ok(compared)
    }
}

/// A step whose kernels are all shared.
struct Compiled {
    executable: Executable,
    lowered: check::Lowered,
}

/// Pointers that several threads use.
struct Table(Vec<*mut u8>);

// SAFETY: only `share` uses them, as `Executable::run_share` allows.
unsafe impl Sync for Table {}

/// Runs a step by each table on `threads` threads, which share every kernel, with
/// a barrier after each.
fn share(compiled: &Compiled, tables: &[Table], threads: usize) {
    let phases = check::shared_phases(&compiled.lowered);
    let barrier =
        YieldingBarrier { threads, arrived: AtomicUsize::new(0), opened: AtomicUsize::new(0) };
    let run = |thread: usize| {
        for (table, phase) in tables.iter().flat_map(|t| phases.iter().map(move |p| (t, p))) {
            // SAFETY: as in `train`; all threads have the same table, and
            // separate shares; a barrier followed the previous phase.
            unsafe { compiled.executable.run_share(phase, thread, threads, &table.0) };
            barrier.wait();
        }
    };
    std::thread::scope(|scope| {
        for thread in 1..threads {
            scope.spawn(move || run(thread));
        }
        run(0);
    });
}

/// A barrier for more threads than cores: a waiting thread yields at once, which
/// is faster than `std::sync::Barrier`.
struct YieldingBarrier {
    threads: usize,
    arrived: AtomicUsize,
    opened: AtomicUsize,
}

impl YieldingBarrier {
    fn wait(&self) {
        let before = self.opened.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.opened.store(before + 1, Ordering::Release);
        }
        while self.opened.load(Ordering::Acquire) == before {
            std::thread::yield_now();
        }
    }
}

/// Networks of the README, the examples and the benchmarks, with a batch size.
fn examples() -> Vec<(Declaration, usize)> {
    use networks::*;
    let declared = [
        (Mnist::declaration(), 64),
        (Digits::declaration(), 64),
        (Digits::declaration(), 32),
        (Tanh::declaration(), 32),
        (Wide::declaration(), 10),
        (Neuron::declaration(), 1),
        (Perceptron::declaration(), 4),
        // Few words, so that many indices share a row.
        (Words::declaration(), 37),
    ];
    declared.into_iter().map(|(declaration, batch)| (declaration.unwrap(), batch)).collect()
}

/// Networks with batch sizes whose sums have several levels.
fn long_sums() -> Vec<(Declaration, usize)> {
    use networks::*;
    let declared = [
        (Long::declaration(), 1500),
        (Long::declaration(), 1025),
        (Words::declaration(), 1500),
        (Digits::declaration(), 4099),
        (Neuron::declaration(), 70_001),
    ];
    declared.into_iter().map(|(declaration, batch)| (declaration.unwrap(), batch)).collect()
}

#[test]
fn networks_of_examples_learn_the_same_everywhere() {
    let targets = check::targets();
    for (declaration, batch) in examples() {
        learns_the_same(&targets, declaration, batch, 0);
    }
}

/// Trains a network from one seed by one of the trainings, and compares.
fn learns_the_same(targets: &[Target], network: Declaration, batch: usize, training: u64) {
    let case = Case::new(network, batch, 7, training);
    let compared = case.compare(targets, STEPS).unwrap_or_else(|message| panic!("{message}"));
    assert_eq!(compared, targets.len() * THREADS.len(), "{} does not learn", case.network.name);
}

/// Digests of all bits of the trained networks of this file, on every machine and from version to
/// version. `cargo insta accept` accepts an intended change.
#[test]
fn trained_parameters_have_the_bits_on_record() {
    use networks::*;
    let target = *check::targets().last().expect("every machine has one");
    let digest = |declaration: Declaration, batch: usize, training: u64, steps: usize| {
        let case = Case::new(declaration, batch, 7, training);
        let compiled = case.compile(&target);
        let rate = case.rate(&compiled, steps).expect("it learns");
        let found = case.train(&compiled, rate, steps, 1);
        let (name, count) = (&case.network.name, found.len());
        format!(
            "{name} b{batch} training {training} x{steps}: {count} floats, {:016x}",
            fnv(&found)
        )
    };
    let mut lines: Vec<String> =
        examples().into_iter().map(|(d, batch)| digest(d, batch, 0, STEPS)).collect();
    lines.extend(long_sums().into_iter().map(|(d, batch)| digest(d, batch, 0, 3)));
    for training in 1..TRAININGS {
        lines.push(digest(Digits::declaration().unwrap(), 32, training, STEPS));
        lines.push(digest(Perceptron::declaration().unwrap(), 4, training, STEPS));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

/// The 64-bit digest of Fowler, Noll and Vo (FNV-1a) of all bits.
fn fnv(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Sums of several levels: along rows, over the batch, in products, by index.
#[test]
fn long_sums_are_the_same_everywhere() {
    let targets = check::targets();
    for (declaration, batch) in long_sums() {
        let case = Case::new(declaration, batch, 7, 0);
        let compared = case.compare(&targets, 3).unwrap_or_else(|message| panic!("{message}"));
        assert_eq!(compared, targets.len() * THREADS.len(), "{} does not learn", case.network.name);
    }
}

/// Including the optimizer state.
#[test]
fn every_optimizer_learns_the_same_everywhere() {
    use networks::*;
    let targets = check::targets();
    for training in 1..TRAININGS {
        learns_the_same(&targets, Digits::declaration().unwrap(), 32, training);
        learns_the_same(&targets, Perceptron::declaration().unwrap(), 4, training);
    }
}

#[test]
fn random_networks_learn_the_same_everywhere() {
    let targets = check::targets();
    let (seed, most) = (from_environment("BILRO_SEED", 1), from_environment("BILRO_NETWORKS", 100));
    let (campaign, mut tried, mut wild) = (Campaign::new(seed), 0, 0);
    for index in 0.. {
        let network = campaign.network(index);
        let declaration = network.declaration();
        if network.is_extreme || declaration.parameters.is_empty() || !declaration.has_loss() {
            continue;
        }
        let values = trial::values(&network, &declaration);
        let case = Case::of(declaration, network.batch, network.seed, network.seed, &values);
        let compared = case.compare(&targets, STEPS);
        let compared = compared
            .unwrap_or_else(|e| panic!("seed {seed}, network {index}: {e}\n{}", network.text()));
        (tried, wild) = (tried + 1, wild + u64::from(compared == 0));
        if tried == most {
            break;
        }
    }
    println!("{tried} networks for {THREADS:?} threads; {wild} diverge at any rate");
    assert!(wild * 20 <= tried, "{wild} of {tried}");
}
