//! The engine: runs a network, with its parameters and the code compiled for it so far.
//!
//! Takes arrays, checks them, and runs one of the network's purposes on them,
//! by machine code or by the interpreter; both serve the same calls. Compiled
//! code depends only on the purpose, the batch size and the choices, and is cached
//! up to a limit. A call that returns an error has changed nothing; a call whose
//! code is cached allocates only its results.
//!
//! Purposes that overwrite nothing run by `&self`, on any number of threads at once: `code` has the
//! compiled code that they share, and `workspace` the memory of each call.
//!
//! Machine code makes no bounds checks. Its assumptions are checked where it is
//! bound to memory: arrays against the declaration in every call, a graph against
//! the network's variables before it is compiled, and the training of every step
//! against the one whose state is stored.

mod anomaly;
mod check;
mod code;
mod counters;
mod interpreted;
mod jit;
mod provenance;
mod state;
mod values;
mod verify;
mod workspace;

use std::sync::Arc;

use bilro_compiler::declaration::{Declaration, Parameter};
use bilro_compiler::faults::{self, Fault};
use bilro_compiler::graph::Graph;
use bilro_compiler::optim::{Training, WrongNumber};
use bilro_compiler::purpose::Purpose;
use ndarray::ArrayD;

use crate::error::{Error, Result};
use crate::rng::Generator;
use crate::run::config::{Backend, sanitizes};
use crate::run::parameters::Parameters;
use code::CodeTable;
use counters::StepCounters;
use jit::ParameterMemory;
use workspace::Workspaces;

pub use crate::run::Feed;
pub(crate) use counters::UpdateNumbers;
pub(crate) use state::EngineCounts;
pub(crate) use verify::Extent;

/// A network with its parameters and the code compiled for it so far. Arrays are given by index.
/// [`Model`](crate::Model) and [`Trainer`](crate::Trainer) are built on it, and so are
/// [`DynModel`](crate::DynModel) and [`DynTrainer`](crate::DynTrainer), which take arrays by name.
#[derive(Debug)]
pub struct Engine {
    pub(crate) declaration: Arc<Declaration>,
    pub(crate) parameters: Parameters,
    /// The generator that drew the parameters; later draws continue its sequence.
    pub(crate) generator: Generator,
    /// Whether the network has a loss. This and the next two fields follow from the
    /// declaration, but are read in every call.
    has_loss: bool,
    /// The minimum number of examples to train on.
    least_batch: usize,
    /// The maximum number of examples: with more, a value would have too many elements.
    most_batch: usize,
    /// Batches and updates so far.
    counters: StepCounters,
    /// The parameters, and after them the optimizer state.
    variables: Vec<Parameter>,
    /// The id of the training that the state belongs to; 0 if there is no state.
    training_id: u64,
    /// Whether a step has been made with that training.
    has_stepped: bool,
    backend: Backend,
    threads: usize,
    /// Compiled code, which clones share.
    code: Arc<CodeTable<jit::Compiled>>,
    workspaces: Workspaces,
    /// See [`Engine::sums`].
    sums: Vec<f64>,
    /// See [`Engine::set_detect_anomaly`].
    detects_anomalies: bool,
    /// See [`Engine::set_sanitize`].
    sanitizes: bool,
    /// For every input, its index among the feeds of a batch.
    batch_indices: Vec<Option<usize>>,
    /// For every input, its index among the feeds of a prediction; none for targets.
    input_indices: Vec<Option<usize>>,
}

/// Arrays for a network's inputs.
#[derive(Clone, Copy)]
struct Feeds<'a, 'b> {
    feeds: &'a [Feed<'b>],
    /// For every input of the declaration, its index in `feeds`.
    indices: &'a [Option<usize>],
}

impl<'a, 'b> Feeds<'a, 'b> {
    /// The array of an input, by its index in the declaration; present wherever the
    /// purpose needs it.
    fn get(&self, input: usize) -> Option<&'a Feed<'b>> {
        self.feeds.get(self.indices[input]?)
    }
}

/// The default limit on an engine's cached machine code, in bytes: enough for about a hundred
/// batch sizes of a network with a few layers.
pub const CODE_CACHE: usize = 64 << 20;

/// The results of a call.
#[derive(Debug)]
pub struct Results {
    /// The number of examples.
    pub examples: usize,
    /// Whether the call's assignments were kept. A step whose loss or gradients are not
    /// finite changes nothing.
    pub kept: bool,
    /// The loss, where the purpose has one.
    pub loss: f32,
    /// Metrics, in declared order.
    pub metrics: Vec<f32>,
    /// Outputs in declared order, or gradients: first of the trained parameters, then of
    /// the inputs declared with `grad`, each in declared order.
    pub arrays: Vec<ArrayD<f32>>,
}

impl Results {
    /// Empty results, to be filled in.
    fn new() -> Results {
        Results { examples: 0, kept: true, loss: 0.0, metrics: Vec::new(), arrays: Vec::new() }
    }
}

impl Engine {
    /// A network with initialised parameters, for a backend and a number of threads.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for the parameters,
    /// [`Error::Compile`] if a size is not a number.
    pub fn new(
        declaration: Declaration,
        backend: Backend,
        seed: u64,
        threads: usize,
    ) -> Result<Engine> {
        declaration.check_sizes()?;
        let mut generator = Generator::new(seed);
        // Feeds have the inputs first, then the targets.
        let feed_index = |i: usize| {
            let targets = declaration.inputs.iter().map(|input| input.is_target);
            let before = targets.clone().take(i);
            match declaration.inputs[i].is_target {
                false => before.filter(|t| !t).count(),
                true => before.filter(|t| *t).count() + targets.filter(|t| !t).count(),
            }
        };
        let inputs = 0..declaration.inputs.len();
        let input_index = |i: usize| (!declaration.inputs[i].is_target).then(|| feed_index(i));
        Ok(Engine {
            batch_indices: inputs.clone().map(|i| Some(feed_index(i))).collect(),
            input_indices: inputs.map(input_index).collect(),
            parameters: Parameters::new(&declaration, &mut generator)?,
            generator,
            counters: StepCounters::new(seed),
            has_loss: declaration.has_loss(),
            least_batch: declaration.least_batch(),
            most_batch: declaration.most_batch(),
            variables: declaration.parameters.clone(),
            training_id: 0,
            has_stepped: false,
            declaration: Arc::new(declaration),
            backend,
            threads,
            code: Arc::new(CodeTable::new(CODE_CACHE)),
            workspaces: Workspaces::new(),
            sums: Vec::new(),
            detects_anomalies: false,
            sanitizes: sanitizes()?,
        })
    }

    /// A copy with its own parameters, initially equal, that shares compiled code and draws the
    /// same random numbers from here on. It has no optimizer state: its next step may be made with
    /// any training.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for the parameters.
    pub fn try_clone(&self) -> Result<Engine> {
        let declared = self.declaration.parameters.len();
        let what = || format!("a copy of the parameters of `{}`", self.declaration.name);
        let mut counters = self.counters;
        counters.forget_steps();
        Ok(Engine {
            declaration: self.declaration.clone(),
            parameters: self.parameters.try_clone(what, declared)?,
            generator: self.generator.clone(),
            has_loss: self.has_loss,
            least_batch: self.least_batch,
            most_batch: self.most_batch,
            counters,
            variables: self.declaration.parameters.clone(),
            training_id: 0,
            has_stepped: false,
            backend: self.backend,
            threads: self.threads,
            code: self.code.clone(),
            workspaces: Workspaces::new(),
            sums: Vec::new(),
            detects_anomalies: self.detects_anomalies,
            sanitizes: self.sanitizes,
            batch_indices: self.batch_indices.clone(),
            input_indices: self.input_indices.clone(),
        })
    }

    /// Runs a purpose on arrays: inputs in declared order, and then targets
    /// unless it predicts; with the first alternative of every choice, and at the optimizer's
    /// learning rate. All steps are made with one training; see [`Engine::forget_steps`].
    ///
    /// # Errors
    /// [`Error::Shape`] and the other errors of inputs for arrays that do not fit,
    /// [`Error::NoLoss`] for a purpose that needs a loss where the network has none,
    /// [`Error::OtherTraining`] for a step with another training than the steps
    /// before, [`Error::InvalidArgument`] for a rejected number of a training,
    /// [`Error::Compile`] if an optimizer's update does not fit the network or differs
    /// from its earlier one; [`Error::Memory`] if there is not enough. After an error
    /// nothing has changed.
    pub fn run(&mut self, purpose: &Purpose, feeds: &[Feed<'_>]) -> Result<Results> {
        self.run_with(purpose, feeds, &[])
    }

    /// The same with the index of an alternative for each choice of the network; the first
    /// alternatives if `choices` is empty.
    ///
    /// # Errors
    /// As [`Engine::run`]; [`Error::InvalidArgument`] for an index out of range.
    pub fn run_with(
        &mut self,
        purpose: &Purpose,
        feeds: &[Feed<'_>],
        choices: &[usize],
    ) -> Result<Results> {
        let rate = purpose.training().map(|training| training.optimizer().learning_rate());
        self.run_at(purpose, feeds, choices, rate.unwrap_or(f32::NAN))
    }

    /// The same with a learning rate, for purposes that make a step.
    ///
    /// # Errors
    /// As [`Engine::run_with`].
    #[inline]
    pub fn run_at(
        &mut self,
        purpose: &Purpose,
        feeds: &[Feed<'_>],
        choices: &[usize],
        learning_rate: f32,
    ) -> Result<Results> {
        let batch = self.checked(purpose, feeds, choices)?;
        let batches = match purpose {
            Purpose::Update(training) => training.accumulate(),
            _ => 1,
        };
        let numbers = UpdateNumbers { learning_rate, batches };
        self.call(purpose, batch, choices, feeds, numbers)
    }

    /// Runs a purpose that overwrites nothing: [`Purpose::Predict`], [`Purpose::Evaluate`] or
    /// [`Purpose::Gradients`]; from any number of threads at the same time. Replaces `sums` by the
    /// numbers that add up over batches: for each measure of the declaration that the purpose
    /// computes, and each of its terms, the sum, and the weight if it has one.
    ///
    /// # Errors
    /// As [`Engine::run_with`]; [`Error::InvalidArgument`] for a purpose that overwrites
    /// parameters.
    #[inline]
    pub fn run_shared(
        &self,
        purpose: &Purpose,
        feeds: &[Feed<'_>],
        choices: &[usize],
        sums: &mut Vec<f64>,
    ) -> Result<Results> {
        if purpose.overwrites() {
            return Err(Error::InvalidArgument {
                name: "the purpose of a call that shares the engine".into(),
                expected: "one that overwrites nothing".into(),
                found: purpose.name().into(),
            });
        }
        let batch = self.checked(purpose, feeds, choices)?;
        sums.clear();
        let call = self.call_for(purpose, batch, choices, feeds, UpdateNumbers::NONE);
        let mut results = Results::new();
        match self.backend.interpreted() {
            Some(precision) => {
                let Engine { declaration, parameters, .. } = self;
                results = interpreted::run(declaration, parameters, &call, precision, sums)?.0;
            }
            None => self.workspaces.with(|workspace| {
                let Engine { declaration, parameters, code, .. } = self;
                let (index, evicted) = workspace.code(code, declaration, parameters, &call)?;
                if evicted {
                    self.workspaces.refresh(code);
                }
                let memory = ParameterMemory::Shared(&parameters.memory);
                workspace.run(index, memory, &call, self.threads, sums, &mut results)
            })?,
        }
        if self.detects_anomalies && anomaly::is_anomalous(&results, sums, false) {
            return Err(anomaly::error(self, &call));
        }
        results.examples = batch;
        Ok(results)
    }

    /// Checks arrays against the network and the purpose; returns the number of examples.
    #[inline]
    fn checked(&self, purpose: &Purpose, feeds: &[Feed<'_>], choices: &[usize]) -> Result<usize> {
        if !matches!(purpose, Purpose::Predict) && !self.has_loss {
            return Err(Error::NoLoss { network: self.declaration.name.clone() });
        }
        check::choices(&self.declaration, choices)?;
        let batch = check::batch(&self.declaration, self.feeds(purpose, feeds))?;
        self.check_batch(purpose, batch)?;
        Ok(batch)
    }

    fn feeds<'a, 'b>(&'a self, purpose: &Purpose, feeds: &'a [Feed<'b>]) -> Feeds<'a, 'b> {
        let is_predict = matches!(purpose, Purpose::Predict);
        Feeds { feeds, indices: if is_predict { &self.input_indices } else { &self.batch_indices } }
    }

    fn call_for<'a, 'b>(
        &'a self,
        purpose: &'a Purpose,
        batch: usize,
        choices: &'a [usize],
        feeds: &'a [Feed<'b>],
        numbers: UpdateNumbers,
    ) -> Call<'a, 'b> {
        let (feeds, counters) = (self.feeds(purpose, feeds), self.counters);
        let (variables, sanitizes) = (&self.variables[..], self.sanitizes);
        Call { purpose, batch, choices, counters, numbers, feeds, variables, sanitizes }
    }

    /// Makes the update of a training from the accumulated gradients, which are finite: a batch whose
    /// gradients are not is rejected.
    pub(crate) fn update(&mut self, update: &Purpose, numbers: UpdateNumbers) -> Result<()> {
        self.call(update, 1, &[], &[], numbers).map(|_| ())
    }

    /// Runs a purpose on arrays that have been checked.
    #[inline]
    fn call(
        &mut self,
        purpose: &Purpose,
        batch: usize,
        choices: &[usize],
        feeds: &[Feed<'_>],
        numbers: UpdateNumbers,
    ) -> Result<Results> {
        if let Some(training) = purpose.training() {
            self.bind(purpose, training, numbers)?;
        }
        let Engine { declaration, parameters, counters, variables, code, workspaces, sums, .. } =
            self;
        let is_predict = matches!(purpose, Purpose::Predict);
        let indices = if is_predict { &self.input_indices } else { &self.batch_indices };
        let (given, counters) = (Feeds { feeds, indices }, *counters);
        let sanitizes = self.sanitizes;
        let call = &Call {
            purpose,
            batch,
            choices,
            counters,
            numbers,
            feeds: given,
            variables,
            sanitizes,
        };
        sums.clear();
        let mut has_evicted = false;
        let mut results = Results::new();
        let outcome = match self.backend.interpreted() {
            Some(precision) => interpreted::run(declaration, parameters, call, precision, sums)
                .map(|(interpreted, next)| {
                    next.into_iter().for_each(|(i, value)| parameters.set(i, value.view()));
                    results = interpreted;
                }),
            None => {
                let workspace = workspaces.exclusive();
                let index = workspace.code(code, declaration, parameters, call);
                let outcome = index.and_then(|(index, evicted)| {
                    has_evicted = evicted;
                    let memory = ParameterMemory::Exclusive(&mut parameters.memory);
                    workspace.run(index, memory, call, self.threads, sums, &mut results)
                });
                if has_evicted {
                    workspaces.refresh(code);
                }
                outcome
            }
        };
        if outcome.is_err() && !self.has_stepped {
            self.forget_steps();
        }
        outcome?;
        if self.detects_anomalies {
            self.require_finite(&results, purpose, batch, choices, feeds, numbers)?;
        }
        self.has_stepped |= purpose.overwrites() && results.kept;
        // A rejected batch is not counted: the next one gets its random numbers.
        if results.kept || faults::is(Fault::CountedRejection) {
            self.counters.advance(purpose);
        }
        results.examples = batch;
        Ok(results)
    }

    /// The numbers of the last call that add up over batches: for each measure of the
    /// declaration that the purpose computes, and each of its terms, the sum, and the
    /// weight if it has one. Empty if the purpose computes none.
    pub(crate) fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// Whether the stored optimizer state is that of a training.
    pub(crate) fn has_state_of(&self, training: &Training) -> bool {
        self.training_id == training.id()
    }

    /// Requires that the stored optimizer state is that of the training, and allocates it at the
    /// first step.
    #[inline]
    fn bind(
        &mut self,
        purpose: &Purpose,
        training: &Training,
        numbers: UpdateNumbers,
    ) -> Result<()> {
        if matches!(purpose, Purpose::Accumulate { .. }) && training.accumulate() < 2 {
            return Err(Error::InvalidArgument {
                name: "accumulate".into(),
                expected: "at least 2 for gradients of several batches to be added".into(),
                found: training.accumulate().to_string(),
            });
        }
        if matches!(purpose, Purpose::Update(_))
            && !(1..=training.accumulate()).contains(&numbers.batches)
        {
            return Err(Error::InvalidArgument {
                name: "the number of batches of an update".into(),
                expected: format!("from 1 to {}", training.accumulate()),
                found: numbers.batches.to_string(),
            });
        }
        if self.training_id == training.id() { Ok(()) } else { self.allocate_state(training) }
    }

    /// Allocates the optimizer state of a training.
    #[cold]
    fn allocate_state(&mut self, training: &Training) -> Result<()> {
        if self.has_stepped {
            return Err(Error::OtherTraining { network: self.declaration.name.clone() });
        }
        self.forget_steps();
        let declared = &self.declaration.parameters;
        training.check(declared.len()).map_err(wrong_number)?;
        let state = training.state(declared);
        let what = || {
            let optimizer = training.optimizer().name();
            format!("the parameters of `{}` with the state of `{optimizer}`", self.declaration.name)
        };
        self.parameters.append(what, &state, declared.len())?;
        self.variables.extend(state);
        self.training_id = training.id();
        Ok(())
    }

    /// Requires that a batch of this number of examples is within the network's limits.
    pub(crate) fn check_batch(&self, purpose: &Purpose, examples: usize) -> Result<()> {
        if purpose.trains() && examples < self.least_batch {
            return Err(Error::SmallBatch { expected: self.least_batch, found: examples });
        }
        if examples > self.most_batch {
            return Err(Error::InvalidArgument {
                name: "the number of examples in a batch".into(),
                expected: format!("at most {} for this network", self.most_batch),
                found: examples.to_string(),
            });
        }
        Ok(())
    }

    /// Requires inputs and targets to fit the network; the number of examples is not limited.
    pub(crate) fn check(&self, feeds: &[Feed<'_>]) -> Result<()> {
        check::batch(&self.declaration, Feeds { feeds, indices: &self.batch_indices }).map(|_| ())
    }

    /// The network as it was declared.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// Drops the code for steps and the optimizer state: the next step may be made with
    /// another training, which begins with new state.
    pub fn forget_steps(&mut self) {
        if self.training_id != 0 {
            self.code.forget_training(self.training_id);
            self.workspaces.refresh(&self.code);
        }
        let declared = self.declaration.parameters.len();
        self.parameters.truncate(declared);
        self.variables.truncate(declared);
        (self.training_id, self.has_stepped) = (0, false);
        self.counters.forget_steps();
    }

    /// The limit on cached machine code, in bytes, for this engine and its clones
    /// together; [`CODE_CACHE`] unless set. Beyond it, the least recently used code is evicted, and
    /// compiled again when it is needed: results are the same.
    pub fn set_code_cache(&mut self, bytes: usize) {
        self.code.set_limit(bytes);
        self.workspaces.refresh(&self.code);
    }

    /// Sets whether machine code checks every access to memory: see
    /// [`ModelBuilder::sanitize`](crate::ModelBuilder::sanitize). Unless set, `BILRO_SANITIZE`
    /// decides. A change drops all cached code; clones keep theirs.
    pub fn set_sanitize(&mut self, sanitizes: bool) {
        if self.sanitizes != sanitizes {
            self.sanitizes = sanitizes;
            self.empty_cache();
        }
    }

    /// Bytes of the cached machine code, in full pages, with its tables.
    pub fn code_bytes(&self) -> usize {
        self.code.bytes()
    }

    /// Drops all machine code and its working memory. Optimizer state stays. Clones of this engine
    /// keep the code that they shared with it.
    pub fn empty_cache(&mut self) {
        self.code = Arc::new(CodeTable::new(self.code.limit()));
        self.workspaces = Workspaces::new();
    }

    /// The number of updates of the parameters so far.
    pub fn updates(&self) -> u64 {
        self.counters.updates
    }

    /// The backend that serves this engine.
    pub fn backend(&self) -> Backend {
        self.backend
    }
}

/// The purpose of a call's arena, for errors.
fn arena_description(declaration: &Declaration, call: &Call<'_, '_>) -> String {
    let (purpose, batch, name) = (call.purpose.name(), call.batch, &declaration.name);
    format!("the values of `{name}` for {purpose} on {batch} examples")
}

/// The error for a rejected number of a training.
pub(crate) fn wrong_number(wrong: WrongNumber) -> Error {
    let WrongNumber { name, expected, found } = wrong;
    Error::InvalidArgument {
        name: name.into(),
        expected: expected.into(),
        found: found.to_string(),
    }
}

/// One call of the engine, checked.
#[derive(Clone, Copy)]
struct Call<'a, 'b> {
    purpose: &'a Purpose,
    batch: usize,
    choices: &'a [usize],
    counters: StepCounters,
    numbers: UpdateNumbers,
    feeds: Feeds<'a, 'b>,
    /// The parameters, and the optimizer state.
    variables: &'a [Parameter],
    /// Whether its code is sanitised.
    sanitizes: bool,
}

impl Call<'_, '_> {
    /// The graph, checked against the variables and the inputs.
    fn graph(&self, declaration: &Declaration) -> Result<Graph> {
        let graph = declaration.graph_of(self.purpose, self.batch, self.choices);
        declaration.check_graph(&graph, self.purpose, self.variables)?;
        Ok(graph)
    }
}
