//! Compares a network's machine code: with the interpreter within bounds, and bit for bit on every
//! target and number of threads, with the evaluator of programs, and through an engine.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use bilro::engine::Engine;
use bilro::rng::Generator;
use bilro::{Backend, DynModel};
use bilro_compiler::declaration::{Declaration, Init};
use bilro_compiler::eval::Value;
use bilro_compiler::graph::{Graph, Root};
use bilro_compiler::ops::step_scalar::{RANDOM_BATCH, RANDOM_KEY};
use bilro_compiler::ops::{self, Domain};
use bilro_compiler::optim::{ACCUMULATED, LEARNING_RATE, Training};
use bilro_compiler::purpose::Purpose;
use bilro_compiler::target::Target;
use ndarray::ArrayD;

use super::coverage::Coverage;
use super::draw::Network;
use super::language::Item;
use super::machine::Machine;
use super::reference::{self, Compared, Leaves};
use crate::{check, inputs};

/// What differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize, serde::Serialize)]
pub enum Class {
    /// The compiler reports a violation of its own rules.
    Compile,
    /// A panic.
    Panic,
    /// An error beyond its bound.
    Bound,
    /// Different bits on two targets.
    Target,
    /// Different bits on two numbers of threads.
    Threads,
    /// Different bits in the evaluator of programs.
    Evaluator,
    /// A load or store outside of its buffer, or of a value that is not live.
    Sanitizer,
    /// Different bits, or an error, by an engine.
    Engine,
    /// A disagreement that `Model::verify` reports.
    Verify,
}

/// A failed comparison.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Failure {
    /// What differs.
    pub class: Class,
    /// Where, and by how much.
    pub message: String,
}

/// The extent of a trial.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Most elements that kernels compute in a purpose that the evaluator runs too.
    pub evaluated: usize,
    /// Whether the evaluator runs every such purpose for every target, instead of one for one.
    pub evaluates_all: bool,
    /// Whether `Model::verify` runs.
    pub verifies: bool,
    /// Whether Cranelift checks its results.
    pub checks_code: bool,
}

/// The results of a trial.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Comparisons with the interpreter.
    pub compared: Compared,
    /// Runs that had the same bits as another run.
    pub equal_runs: usize,
    /// Kernels that contain each operation.
    pub coverage: Coverage,
}

/// Numbers of threads that share every kernel, in turn.
const THREADS: [usize; 4] = [2, 4, 2, 3];

/// Steps of a training.
const STEPS: usize = 3;

/// Compares a network on some targets.
///
/// # Errors
/// The first difference.
pub fn run(network: &Network, targets: &[Target], extent: Extent) -> Result<Results, Failure> {
    let trial = || Trial::new(network, targets, extent).and_then(Trial::run);
    match quietly(trial) {
        Ok(results) => results,
        Err(message) => Err(Failure { class: Class::Panic, message }),
    }
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a function; the message of its panic, with its location. Nothing is printed if
/// [`record_panics`] has been called.
fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let recorded = LAST_PANIC.with_borrow_mut(Option::take);
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_string()));
        recorded.or(text).unwrap_or_else(|| "a panic".into())
    })
}

/// Records the messages of panics instead of printing them.
pub fn record_panics() {
    std::panic::set_hook(Box::new(|info| {
        LAST_PANIC.with_borrow_mut(|last| *last = Some(info.to_string()));
    }));
}

struct Trial<'a> {
    network: &'a Network,
    declaration: Declaration,
    targets: &'a [Target],
    extent: Extent,
    training: Arc<Training>,
    rates: Vec<f32>,
    /// In declared order.
    inputs: Vec<Value<f32>>,
    engine: Engine,
    variables: Vec<ArrayD<f32>>,
    /// Batches and updates so far.
    batches: u64,
    updates: u64,
    /// The purpose that the evaluator runs, by the number of the call.
    evaluated: usize,
    calls: usize,
    compiled: HashMap<Purpose, Rc<Compiled>>,
    results: Results,
}

/// The code of a purpose for every target.
struct Compiled {
    graph: Graph,
    /// The number of its variables.
    variables: usize,
    machines: Vec<Machine>,
}

fn failure(class: Class, message: impl ToString) -> Failure {
    Failure { class, message: message.to_string() }
}

impl<'a> Trial<'a> {
    fn new(
        network: &'a Network,
        targets: &'a [Target],
        extent: Extent,
    ) -> Result<Trial<'a>, Failure> {
        let declaration = network.declaration();
        let threads = [1, 2, 4][network.seed as usize % 3];
        let engine = Engine::new(declaration.clone(), Backend::Jit, network.seed, threads)
            .map_err(|error| failure(Class::Engine, error))?;
        let count = declaration.parameters.len();
        let mut trial = Trial {
            inputs: values(network, &declaration),
            training: network.plan.training(count),
            rates: network.plan.learning_rates(STEPS),
            variables: (0..count).map(|i| engine.parameter(i).to_owned()).collect(),
            evaluated: (network.seed / 3) as usize % 6,
            network,
            declaration,
            targets,
            extent,
            engine,
            batches: 0,
            updates: 0,
            calls: 0,
            compiled: HashMap::new(),
            results: Results::default(),
        };
        trial.add_extremes()?;
        Ok(trial)
    }

    /// Puts extreme values into a few parameters.
    fn add_extremes(&mut self) -> Result<(), Failure> {
        if !self.network.is_extreme {
            return Ok(());
        }
        let mut generator = Generator::new(self.network.seed + 2);
        for (i, x) in self.variables.iter_mut().enumerate() {
            // Mostly few of them, since one NaN may hide all else.
            if generator.random_u32().is_multiple_of(4) {
                x.iter_mut().for_each(|x| *x = extreme(*x, 16, &mut generator));
                let set = self.engine.set_parameter(i, x.view());
                set.map_err(|error| failure(Class::Engine, error))?;
            }
        }
        Ok(())
    }

    fn run(mut self) -> Result<Results, Failure> {
        if self.predicts() {
            self.call(&Purpose::Predict, 0.0)?;
        }
        if self.declaration.has_loss() {
            self.call(&Purpose::Evaluate, 0.0)?;
            self.call(&Purpose::Gradients, 0.0)?;
            self.steps()?;
        }
        if self.extent.verifies && self.predicts() {
            self.verify()?;
        }
        Ok(self.results)
    }

    /// Whether a prediction has examples: if only targets have them, it has none.
    fn predicts(&self) -> bool {
        let inputs = &self.declaration.inputs;
        inputs.is_empty() || inputs.iter().any(|input| !input.is_target)
    }

    fn steps(&mut self) -> Result<(), Failure> {
        let step = Purpose::Step(self.training.clone());
        for state in self.declaration.variables(&step).split_off(self.variables.len()) {
            let start = match state.init {
                Init::Full(value) => value as f32,
                _ => return Err(failure(Class::Compile, "optimizer state that is drawn")),
            };
            self.variables.push(ArrayD::from_elem(state.shape.sizes(), start));
        }
        let batches = self.training.accumulate();
        let accumulate = |first| Purpose::Accumulate { training: self.training.clone(), first };
        let (first, next) = (accumulate(true), accumulate(false));
        for (i, rate) in self.rates.clone().into_iter().enumerate() {
            if batches > 1 {
                self.call(&first, rate)?;
                for _ in 2..batches {
                    self.call(&next, rate)?;
                }
                if i == 1 {
                    self.call(&Purpose::Update(self.training.clone()), rate)?;
                    continue;
                }
            }
            self.call(&step, rate)?;
            if batches > 1 && i == 1 {
                break;
            }
        }
        Ok(())
    }

    fn call(&mut self, purpose: &Purpose, rate: f32) -> Result<(), Failure> {
        self.calls += 1;
        let compiled = match self.compiled.get(purpose) {
            Some(compiled) => compiled.clone(),
            None => {
                let compiled = Rc::new(self.compile(purpose)?);
                self.compiled.insert(purpose.clone(), compiled.clone());
                compiled
            }
        };
        let graph = &compiled.graph;
        let expected = self.on_all_targets(purpose, &compiled, rate)?;
        self.engine_agrees(purpose, graph, rate, &expected)?;
        if reference::is_accepted(graph, &expected) {
            for ((root, _), found) in graph.roots().iter().zip(&expected) {
                if let Root::Assign(i) = root {
                    let shape = self.variables[*i].raw_dim();
                    let next = ArrayD::from_shape_vec(shape, found.clone());
                    self.variables[*i] = next.map_err(|error| failure(Class::Compile, error))?;
                }
            }
            self.batches += u64::from(purpose.trains_on_batch());
            self.updates += u64::from(matches!(purpose, Purpose::Step(_) | Purpose::Update(_)));
        }
        if purpose.overwrites() {
            self.parameters_agree(purpose)?;
        }
        Ok(())
    }

    /// The code of a purpose for every target.
    fn compile(&mut self, purpose: &Purpose) -> Result<Compiled, Failure> {
        let is_update = matches!(purpose, Purpose::Update(_));
        let batch = if is_update { 1 } else { self.network.batch };
        let graph = self.declaration.graph_of(purpose, batch, &self.network.choices);
        let graph = super::coverage::named(&graph);
        let variables = self.declaration.variables(purpose);
        let machines = self.targets.iter().map(|target| {
            Machine::new(&graph, &variables, target, self.extent.checks_code).map_err(|error| {
                failure(Class::Compile, format!("{} for {}: {error}", purpose.name(), target.name))
            })
        });
        let machines: Vec<Machine> = machines.collect::<Result<_, _>>()?;
        if let Some(machine) = machines.first() {
            self.results.coverage.count(&machine.lowered.fused);
        }
        Ok(Compiled { variables: variables.len(), graph, machines })
    }

    /// The bits of a step scalar, as the engine computes them.
    fn scalar(&self, rate: f32, name: &str) -> u32 {
        let key = scrambled(self.network.seed);
        match name {
            RANDOM_BATCH => self.batches as u32,
            name if name == RANDOM_KEY[0] => key as u32,
            name if name == RANDOM_KEY[1] => (key >> 32) as u32,
            LEARNING_RATE => rate.to_bits(),
            ACCUMULATED => 1f32.to_bits(),
            name => {
                let optimizer = self.training.optimizer();
                optimizer.scalar(name, self.updates + 1, rate).unwrap_or(f32::NAN).to_bits()
            }
        }
    }

    /// The roots, which are the same on every target and number of threads.
    fn on_all_targets(
        &mut self,
        purpose: &Purpose,
        compiled: &Compiled,
        rate: f32,
    ) -> Result<Vec<Vec<f32>>, Failure> {
        let Compiled { graph, variables, machines } = compiled;
        let scalar = |name: &str| self.scalar(rate, name);
        let values = &self.variables[..*variables];
        let context = |machine: &Machine| format!("{}, {}", purpose.name(), machine.target);
        let Some(first) = machines.first() else {
            return Err(failure(Class::Compile, "no target"));
        };
        let expected = first.run(&self.inputs, values, scalar, 1);
        let mut equal_runs = 0;
        for machine in &machines[1..] {
            let found = machine.run(&self.inputs, values, scalar, 1);
            same(graph, &found, &expected).map_err(|difference| {
                let context = format!("{} and {}", context(machine), first.target);
                failure(Class::Target, format!("{context}: {difference}"))
            })?;
            equal_runs += 1;
        }
        // Another target and another number of threads with each call.
        let (machine, threads) =
            (&machines[self.calls % machines.len()], THREADS[self.calls % THREADS.len()]);
        let shared = machine.run(&self.inputs, values, scalar, threads);
        same(graph, &shared, &expected).map_err(|difference| {
            let context = context(machine);
            failure(Class::Threads, format!("{context}, {threads} threads: {difference}"))
        })?;
        equal_runs += 1;
        let points: usize = first.lowered.fused.kernels.iter().map(|k| k.points()).sum();
        // The evaluator has no guard.
        let is_evaluated = self.extent.evaluates_all || self.calls == 1 + self.evaluated;
        if is_evaluated
            && points <= self.extent.evaluated
            && reference::is_accepted(graph, &expected)
        {
            let bits = |name: &str| f32::from_bits(scalar(name));
            // Also for targets of other machines, and for a single lane.
            let mut targets = [Target::ALL.as_slice(), &[check::evaluated_target(1)]].concat();
            if !self.extent.evaluates_all {
                targets = vec![targets[self.network.seed as usize % targets.len()]];
            }
            for target in targets {
                let lowered = check::lower(graph, first.layout(), &target).map_err(|error| {
                    failure(Class::Compile, format!("{} for {target:?}: {error}", purpose.name()))
                })?;
                let evaluated =
                    check::evaluated_network(&lowered, &self.inputs, values, bits, threads);
                same(graph, &evaluated, &expected).map_err(|difference| {
                    let context = format!("{}, {} lanes", purpose.name(), target.lanes);
                    failure(Class::Evaluator, format!("{context}: {difference}"))
                })?;
                equal_runs += 1;
            }
            if self.extent.verifies {
                let accesses =
                    check::evaluated_sanitized(&machine.lowered, &self.inputs, values, bits);
                accesses.map_err(|access| {
                    failure(Class::Sanitizer, format!("{}: {access}", context(machine)))
                })?;
            }
        }
        let mut compared = Compared::default();
        if !self.network.is_extreme {
            let leaves = Leaves { inputs: &self.inputs, variables: values, scalar: &scalar };
            compared = reference::compare(graph, first, &leaves, &expected)
                .map_err(|error| failure(Class::Bound, format!("{}: {error}", purpose.name())))?;
        }
        self.results.equal_runs += equal_runs;
        self.results.compared.add(compared);
        Ok(expected)
    }

    /// Requires the bits of machine code from an engine's call.
    fn engine_agrees(
        &mut self,
        purpose: &Purpose,
        graph: &Graph,
        rate: f32,
        expected: &[Vec<f32>],
    ) -> Result<(), Failure> {
        let predicts = matches!(purpose, Purpose::Predict);
        let feeds = inputs::feeds(&self.declaration, &self.inputs, predicts);
        let results = self.engine.run_at(purpose, &feeds, &self.network.choices, rate);
        let results = results
            .map_err(|error| failure(Class::Engine, format!("{}: {error}", purpose.name())))?;
        let is_accepted = reference::is_accepted(graph, expected);
        if results.kept != is_accepted {
            return Err(failure(Class::Engine, format!("{}: another guard", purpose.name())));
        }
        let mut arrays = results.arrays.iter();
        let mut metrics = results.metrics.iter();
        for ((root, _), expected) in graph.roots().iter().zip(expected) {
            let found: Vec<f32> = match root {
                Root::Loss => vec![results.loss],
                Root::Metric(_) => metrics.next().copied().into_iter().collect(),
                Root::Output(_) | Root::Gradient(_) | Root::InputGradient(_) => {
                    arrays.next().map(|x| x.iter().copied().collect()).unwrap_or_default()
                }
                _ => continue,
            };
            if let Err(difference) = same_bits(&found, expected) {
                let message = format!("{}, {root}: {difference}", purpose.name());
                return Err(failure(Class::Engine, message));
            }
        }
        self.results.equal_runs += 1;
        Ok(())
    }

    /// Requires the same parameters and optimizer state in the engine.
    fn parameters_agree(&self, purpose: &Purpose) -> Result<(), Failure> {
        for (i, expected) in self.variables.iter().enumerate() {
            let found: Vec<f32> = self.engine.parameter(i).iter().copied().collect();
            let expected: Vec<f32> = expected.iter().copied().collect();
            same_bits(&found, &expected).map_err(|difference| {
                let message = format!("variable {i} after {}: {difference}", purpose.name());
                failure(Class::Engine, message)
            })?;
        }
        Ok(())
    }

    /// Requires that `Model::verify` finds no difference.
    fn verify(&self) -> Result<(), Failure> {
        if self.network.is_extreme {
            return Ok(());
        }
        let fail = |error: &dyn std::fmt::Display| failure(Class::Verify, error);
        let model = DynModel::builder(self.declaration.clone()).seed(self.network.seed).threads(1);
        let model = model.build().map_err(|error| fail(&error))?;
        let mut batch = inputs::batch(&self.declaration, &self.inputs);
        for (choice, picked) in self.declaration.choices.iter().zip(&self.network.choices) {
            batch = batch.choose(&choice.name, &choice.alternatives[*picked]);
        }
        let report = model.verify(batch).map_err(|error| fail(&error))?;
        match report.is_ok() {
            true => Ok(()),
            false => Err(fail(&report)),
        }
    }
}

/// Values for all inputs and targets, in declared order.
pub fn values(network: &Network, declaration: &Declaration) -> Vec<Value<f32>> {
    let mut generator = Generator::new(network.seed + 1);
    let domain = |name: &str| {
        let mut items = network.items.iter();
        items.find_map(|item| match item {
            Item::Input { name: other, domain, .. } if other == name => Some(*domain),
            _ => None,
        })
    };
    let values = declaration.inputs.iter().map(|input| {
        let domain = domain(&input.name).unwrap_or(Domain::Normal(1.0));
        let operand = ops::Operand::new(input.ty.clone(), domain);
        let mut value = check::values(&operand, network.batch, &mut generator);
        if let (Value::Real(x), true) = (&mut value, network.is_extreme) {
            x.iter_mut().for_each(|x| *x = extreme(*x, 12, &mut generator));
        }
        value
    });
    values.collect()
}

/// Replaces one of `one_of` numbers by an extreme one.
fn extreme(x: f32, one_of: u32, generator: &mut Generator) -> f32 {
    const EXTREMES: [f32; 14] = [
        0.0,
        -0.0,
        1e-40,
        -1e-45,
        f32::MIN_POSITIVE,
        1e-20,
        -1e-30,
        1e20,
        -1e30,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    if !generator.random_u32().is_multiple_of(one_of) {
        return x;
    }
    EXTREMES[generator.random_u32() as usize % EXTREMES.len()]
}

/// The key of the engine's random numbers, from its seed: the output function of SplitMix64.
fn scrambled(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Requires the same bits of all roots.
fn same(graph: &Graph, found: &[Vec<f32>], expected: &[Vec<f32>]) -> Result<(), String> {
    for ((root, _), (x, y)) in graph.roots().iter().zip(found.iter().zip(expected)) {
        same_bits(x, y).map_err(|difference| format!("{root}, {difference}"))?;
    }
    Ok(())
}

/// Requires the same bits; all NaN are equal.
fn same_bits(found: &[f32], expected: &[f32]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} elements instead of {}", found.len(), expected.len()));
    }
    let is_same = |x: f32, y: f32| x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
    match found.iter().zip(expected).position(|(x, y)| !is_same(*x, *y)) {
        None => Ok(()),
        Some(i) => {
            let (x, y) = (found[i], expected[i]);
            Err(format!("element {i}: {x:?} ({:#x}) and {y:?} ({:#x})", x.to_bits(), y.to_bits()))
        }
    }
}
