//! The engine: a network with its parameters, and whatever has been compiled
//! for it so far.
//!
//! Takes arrays, checks them, and runs one of the network's purposes on them,
//! by machine code or by the interpreter; both serve the same calls. What is
//! compiled depends on the purpose and the batch size only, and is kept, up to a
//! limit. A call that returns an error has changed nothing; a call whose code is
//! kept from before allocates nothing but its results.
//!
//! Purposes that overwrite nothing run by `&self`, on any number of threads at once: `code` has the
//! compiled code that they share, and `workspace` the memory that each call works in.
//!
//! Machine code has no bounds of its own. What it relies on is compared where it is
//! bound to memory: arrays with the declaration in every call, a graph with what
//! the network keeps before it is compiled, and the training whose state is kept
//! with that of every step.

mod anomaly;
mod check;
mod code;
mod counters;
mod interpreted;
mod jit;
mod provenance;
mod values;
mod verify;
mod workspace;

use std::sync::Arc;

use bilro_compiler::declaration::{Declaration, Parameter};
use bilro_compiler::graph::Graph;
use bilro_compiler::optim::{Training, WrongNumber};
use bilro_compiler::purpose::Purpose;
use ndarray::ArrayD;

use crate::error::{Error, Result, Verification};
use crate::rng::Generator;
use crate::run::parameters::Parameters;
use crate::run::settings::Backend;
use code::CodeTable;
use counters::StepCounters;
use jit::ParameterMemory;
use workspace::Workspaces;

pub use crate::run::Feed;
pub(crate) use counters::UpdateNumbers;
pub(crate) use verify::Extent;

/// A network with its parameters and whatever has been compiled for it so far, by the places of
/// its arrays. [`Model`](crate::Model) and [`Trainer`](crate::Trainer) are made of it, and so are
/// [`DynModel`](crate::DynModel) and [`DynTrainer`](crate::DynTrainer), which know arrays by name.
#[derive(Debug)]
pub struct Engine {
    pub(crate) declaration: Arc<Declaration>,
    pub(crate) parameters: Parameters,
    /// What drew the parameters, for whatever is drawn next.
    pub(crate) generator: Generator,
    /// Whether it does more than predict. This and the next two follow from the
    /// declaration, but are looked at with every call.
    has_loss: bool,
    /// The fewest examples to train on.
    least_batch: usize,
    /// Beyond it, a value would have too many elements.
    most_batch: usize,
    /// How far training has come.
    counters: StepCounters,
    /// The parameters, and behind them what training keeps.
    kept: Vec<Parameter>,
    /// The identity of the training that keeps it; 0 where none does.
    bound: u64,
    /// Whether it has made a step.
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
    /// For every input, its place among the feeds of a batch, and among those
    /// of a prediction.
    in_batch: Vec<Option<usize>>,
    in_input: Vec<Option<usize>>,
}

/// Arrays for a network's inputs.
#[derive(Clone, Copy)]
struct Feeds<'a, 'b> {
    feeds: &'a [Feed<'b>],
    places: &'a [Option<usize>],
}

impl<'a, 'b> Feeds<'a, 'b> {
    /// The array of an input, by its place in the declaration; there is one
    /// wherever the purpose needs it.
    fn get(&self, input: usize) -> Option<&'a Feed<'b>> {
        self.feeds.get(self.places[input]?)
    }
}

/// Bytes of machine code that an engine keeps, by default: that of some hundred
/// batch sizes of a network of a few layers.
pub const CODE_CACHE: usize = 64 << 20;

/// What a call gives.
#[derive(Debug)]
pub struct Results {
    /// How many examples there were.
    pub examples: usize,
    /// Whether what the call was to change has changed. A step whose loss or
    /// gradients are not finite changes nothing.
    pub kept: bool,
    /// The loss, where the purpose has one.
    pub loss: f32,
    /// Metrics, in declared order.
    pub metrics: Vec<f32>,
    /// Outputs in declared order, or gradients: in the order of parameters,
    /// those that are trained, then in the order of inputs, those that ask.
    pub arrays: Vec<ArrayD<f32>>,
}

impl Results {
    /// None yet.
    fn new() -> Results {
        Results { examples: 0, kept: true, loss: 0.0, metrics: Vec::new(), arrays: Vec::new() }
    }
}

impl Engine {
    /// A network with its parameters' first values, served by a backend on some
    /// threads.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is not enough for the parameters,
    /// [`Error::Compile`] where a size is not a number.
    pub fn new(
        declaration: Declaration,
        backend: Backend,
        seed: u64,
        threads: usize,
    ) -> Result<Engine> {
        declaration.check_sizes()?;
        let mut generator = Generator::new(seed);
        // Inputs come first, then targets.
        let place = |i: usize| {
            let targets = declaration.inputs.iter().map(|input| input.is_target);
            let before = targets.clone().take(i);
            match declaration.inputs[i].is_target {
                false => before.filter(|t| !t).count(),
                true => before.filter(|t| *t).count() + targets.filter(|t| !t).count(),
            }
        };
        let inputs = 0..declaration.inputs.len();
        let in_input = |i: usize| (!declaration.inputs[i].is_target).then(|| place(i));
        Ok(Engine {
            in_batch: inputs.clone().map(|i| Some(place(i))).collect(),
            in_input: inputs.map(in_input).collect(),
            parameters: Parameters::new(&declaration, &mut generator)?,
            generator,
            counters: StepCounters::new(seed),
            has_loss: declaration.has_loss(),
            least_batch: declaration.least_batch(),
            most_batch: declaration.most_batch(),
            kept: declaration.parameters.clone(),
            bound: 0,
            has_stepped: false,
            declaration: Arc::new(declaration),
            backend,
            threads,
            code: Arc::new(CodeTable::new(CODE_CACHE)),
            workspaces: Workspaces::new(),
            sums: Vec::new(),
            detects_anomalies: false,
        })
    }

    /// A copy with parameters of its own, which are those of now, that shares compiled code, and
    /// draws the same random numbers from here on. It has no optimizer state: its next step may be
    /// made with any training.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is not enough for the parameters.
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
            kept: self.declaration.parameters.clone(),
            bound: 0,
            has_stepped: false,
            backend: self.backend,
            threads: self.threads,
            code: self.code.clone(),
            workspaces: Workspaces::new(),
            sums: Vec::new(),
            detects_anomalies: self.detects_anomalies,
            in_batch: self.in_batch.clone(),
            in_input: self.in_input.clone(),
        })
    }

    /// Runs a purpose on arrays: inputs in declared order, and then targets
    /// unless it predicts; with the first alternative of every choice, and at the optimizer's
    /// learning rate. All steps are made with one training; see [`Engine::forget_steps`].
    ///
    /// # Errors
    /// [`Error::Shape`] and its neighbours for arrays that
    /// do not fit, [`Error::NoLoss`] where it should do more than predict without
    /// a loss, [`Error::OtherTraining`] for a step with another training than
    /// those before, [`Error::Setting`] for a number of a training that is not one
    /// to train with, [`Error::Compile`] where an optimizer's update does not fit
    /// the network, or is not what it was before; [`Error::Memory`] where there is
    /// not enough. Then nothing has changed.
    pub fn run(&mut self, purpose: &Purpose, feeds: &[Feed<'_>]) -> Result<Results> {
        self.run_with(purpose, feeds, &[])
    }

    /// The same with the places of what is chosen, for each choice of the
    /// network; the first alternatives where there are none.
    ///
    /// # Errors
    /// As [`Engine::run`]; [`Error::Setting`] for the place of an alternative
    /// that is not there.
    pub fn run_with(
        &mut self,
        purpose: &Purpose,
        feeds: &[Feed<'_>],
        choices: &[usize],
    ) -> Result<Results> {
        let rate = purpose.training().map(|training| training.optimizer().learning_rate());
        self.run_at(purpose, feeds, choices, rate.unwrap_or(f32::NAN))
    }

    /// The same at a learning rate, where the purpose makes a step.
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
    /// [`Purpose::Gradients`]; from any number of threads at the same time. What adds up over
    /// batches is put into `sums`: for each measure of the declaration that the purpose asks for,
    /// and each of its terms, the sum, and the weight where it has one.
    ///
    /// # Errors
    /// As [`Engine::run_with`]; [`Error::Setting`] for a purpose that overwrites parameters.
    #[inline]
    pub fn run_shared(
        &self,
        purpose: &Purpose,
        feeds: &[Feed<'_>],
        choices: &[usize],
        sums: &mut Vec<f64>,
    ) -> Result<Results> {
        if purpose.overwrites() {
            return Err(Error::Setting {
                name: "the purpose of a call that shares the engine".into(),
                expected: "one that overwrites nothing".into(),
                found: purpose.name().into(),
            });
        }
        let batch = self.checked(purpose, feeds, choices)?;
        sums.clear();
        let call = self.call_for(purpose, batch, choices, feeds, UpdateNumbers::NONE);
        let mut results = match self.backend.interpreted() {
            Some(precision) => {
                let Engine { declaration, parameters, .. } = self;
                interpreted::run(declaration, parameters, &call, precision, sums)?.0
            }
            None => self.workspaces.with(|workspace| {
                let Engine { declaration, parameters, code, .. } = self;
                let (place, evicted) = workspace.code(code, declaration, parameters, &call)?;
                if evicted {
                    self.workspaces.refresh(code);
                }
                let memory = ParameterMemory::Shared(&parameters.memory);
                workspace.run(place, memory, &call, self.threads, sums)
            })?,
        };
        if self.detects_anomalies && anomaly::is_anomalous(&results, sums, false) {
            return Err(anomaly::error(self, &call));
        }
        results.examples = batch;
        Ok(results)
    }

    /// The number of examples of arrays that fit the network and the purpose.
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
        Feeds { feeds, places: if is_predict { &self.in_input } else { &self.in_batch } }
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
        Call { purpose, batch, choices, counters, numbers, feeds, kept: &self.kept }
    }

    /// Makes the update of a training from the gradients that have been accumulated.
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
        let Engine { declaration, parameters, counters, kept, code, workspaces, sums, .. } = self;
        let is_predict = matches!(purpose, Purpose::Predict);
        let places = if is_predict { &self.in_input } else { &self.in_batch };
        let (given, counters) = (Feeds { feeds, places }, *counters);
        let call = &Call { purpose, batch, choices, counters, numbers, feeds: given, kept };
        sums.clear();
        let mut has_evicted = false;
        let results = match self.backend.interpreted() {
            Some(precision) => interpreted::run(declaration, parameters, call, precision, sums)
                .map(|(results, next)| {
                    next.into_iter().for_each(|(i, value)| parameters.set(i, value.view()));
                    results
                }),
            None => {
                let workspace = workspaces.own();
                let place = workspace.code(code, declaration, parameters, call);
                let results = place.and_then(|(place, evicted)| {
                    has_evicted = evicted;
                    let memory = ParameterMemory::Exclusive(&mut parameters.memory);
                    workspace.run(place, memory, call, self.threads, sums)
                });
                if has_evicted {
                    workspaces.refresh(code);
                }
                results
            }
        };
        if results.is_err() && !self.has_stepped {
            self.forget_steps();
        }
        let mut results = results?;
        if self.detects_anomalies && anomaly::is_anomalous(&results, sums, purpose.overwrites()) {
            return Err(self.anomaly(purpose, batch, choices, feeds, numbers));
        }
        self.has_stepped |= purpose.overwrites() && results.kept;
        // What is drawn at random for the next batch is then what was drawn for this one.
        if results.kept {
            self.counters.advance(purpose);
        }
        results.examples = batch;
        Ok(results)
    }

    /// Where the values of a call came from that are not finite; it has changed nothing.
    #[cold]
    fn anomaly(
        &mut self,
        purpose: &Purpose,
        batch: usize,
        choices: &[usize],
        feeds: &[Feed<'_>],
        numbers: UpdateNumbers,
    ) -> Error {
        let error = anomaly::error(self, &self.call_for(purpose, batch, choices, feeds, numbers));
        if !self.has_stepped {
            self.forget_steps();
        }
        error
    }

    /// Whether a call whose results are not finite is evaluated once more by the interpreter, and
    /// returns [`Error::Anomaly`] with the layer where that began; not unless set. A step's
    /// results are finite where it is kept.
    pub fn set_detect_anomaly(&mut self, detects: bool) {
        self.detects_anomalies = detects;
    }

    /// Verifies a purpose that makes a step, before it is made; changes nothing.
    ///
    /// # Errors
    /// As [`Engine::run_at`].
    pub(crate) fn verify_step(
        &mut self,
        purpose: &Purpose,
        feeds: &[Feed<'_>],
        choices: &[usize],
        learning_rate: f32,
        extent: Extent,
    ) -> Result<Verification> {
        self.checked(purpose, feeds, choices)?;
        let numbers = UpdateNumbers { learning_rate, batches: 1 };
        if let Some(training) = purpose.training() {
            self.bind(purpose, training, numbers)?;
        }
        let purposes = std::slice::from_ref(purpose);
        let report = self.verify(purposes, feeds, choices, numbers, extent);
        if !self.has_stepped && !report.as_ref().is_ok_and(Verification::is_ok) {
            self.forget_steps();
        }
        report
    }

    /// What the last call gave that adds up over batches: for each measure of the
    /// declaration that the purpose asks for, and each of its terms, the sum, and the
    /// weight where it has one. Nothing where the purpose gives none.
    pub(crate) fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// Whether the model has what a training keeps.
    pub(crate) fn is_of(&self, training: &Training) -> bool {
        self.bound == training.id()
    }

    /// Requires that steps are made with the training that keeps what is kept
    /// beside the parameters.
    #[inline]
    fn bind(
        &mut self,
        purpose: &Purpose,
        training: &Training,
        numbers: UpdateNumbers,
    ) -> Result<()> {
        if matches!(purpose, Purpose::Accumulate { .. }) && training.accumulate() < 2 {
            return Err(Error::Setting {
                name: "accumulate".into(),
                expected: "at least 2 for gradients of several batches to be added".into(),
                found: training.accumulate().to_string(),
            });
        }
        if matches!(purpose, Purpose::Update(_))
            && !(1..=training.accumulate()).contains(&numbers.batches)
        {
            return Err(Error::Setting {
                name: "the number of batches of an update".into(),
                expected: format!("from 1 to {}", training.accumulate()),
                found: numbers.batches.to_string(),
            });
        }
        if self.bound == training.id() { Ok(()) } else { self.begin(training) }
    }

    /// Makes room for what a training keeps.
    #[cold]
    fn begin(&mut self, training: &Training) -> Result<()> {
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
        self.kept.extend(state);
        self.bound = training.id();
        Ok(())
    }

    /// Requires that the network can be run on so many examples at once, or be
    /// trained on them.
    pub(crate) fn check_batch(&self, purpose: &Purpose, examples: usize) -> Result<()> {
        if purpose.trains() && examples < self.least_batch {
            return Err(Error::SmallBatch { expected: self.least_batch, found: examples });
        }
        if examples > self.most_batch {
            return Err(Error::Setting {
                name: "the number of examples in a batch".into(),
                expected: format!("at most {} for this network", self.most_batch),
                found: examples.to_string(),
            });
        }
        Ok(())
    }

    /// Requires inputs and targets to fit the network, however many examples
    /// they are.
    pub(crate) fn check(&self, feeds: &[Feed<'_>]) -> Result<()> {
        check::batch(&self.declaration, Feeds { feeds, places: &self.in_batch }).map(|_| ())
    }

    /// The network as it was declared.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// Forgets code for steps, and what an optimizer has kept: the next step may
    /// be made with another training, which begins with nothing kept.
    pub fn forget_steps(&mut self) {
        if self.bound != 0 {
            self.code.forget_training(self.bound);
            self.workspaces.refresh(&self.code);
        }
        let declared = self.declaration.parameters.len();
        self.parameters.truncate(declared);
        self.kept.truncate(declared);
        (self.bound, self.has_stepped) = (0, false);
        self.counters.forget_steps();
    }

    /// How much machine code is kept for later calls, in bytes, by this engine and its clones
    /// together; [`CODE_CACHE`] unless set. Beyond it, the least recently used code is evicted, and
    /// compiled again when it is needed: results are the same.
    pub fn set_code_cache(&mut self, bytes: usize) {
        self.code.set_limit(bytes);
        self.workspaces.refresh(&self.code);
    }

    /// Bytes of the machine code that is kept, in whole pages and with what
    /// belongs to it.
    pub fn code_bytes(&self) -> usize {
        self.code.bytes()
    }

    /// Drops all machine code, and the memory that it works in. Optimizer state stays. Clones of
    /// this engine keep the code that they shared with it.
    pub fn empty_cache(&mut self) {
        self.code = Arc::new(CodeTable::new(self.code.limit()));
        self.workspaces = Workspaces::new();
    }

    /// How many updates of the parameters have been made.
    pub fn updates(&self) -> u64 {
        self.counters.updates
    }

    /// The backend that serves this engine.
    pub fn backend(&self) -> Backend {
        self.backend
    }
}

/// What the arena of a call is for.
fn what_arena(declaration: &Declaration, call: &Call<'_, '_>) -> String {
    let (purpose, batch, name) = (call.purpose.name(), call.batch, &declaration.name);
    format!("the values of `{name}` for {purpose} on {batch} examples")
}

/// A number of a training that is not one to train with.
pub(crate) fn wrong_number(wrong: WrongNumber) -> Error {
    let WrongNumber { name, expected, found } = wrong;
    Error::Setting { name: name.into(), expected: expected.into(), found: found.to_string() }
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
    kept: &'a [Parameter],
}

impl Call<'_, '_> {
    /// The graph, which fits what is kept and what is given.
    fn graph(&self, declaration: &Declaration) -> Result<Graph> {
        let graph = declaration.graph_of(self.purpose, self.batch, self.choices);
        declaration.check_graph(&graph, self.purpose, self.kept)?;
        Ok(graph)
    }
}
