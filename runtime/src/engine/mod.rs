//! The engine: a network with its parameters, and whatever has been compiled
//! for it so far.
//!
//! Takes arrays, checks them, and runs one of the network's purposes on them,
//! by machine code or by the interpreter; both serve the same calls. What is
//! compiled depends on the purpose and the batch size only, and is kept. A call
//! that returns an error has changed nothing; a call that has been made before
//! for its batch size allocates nothing but its results.

mod check;
mod interpreted;
mod jit;
mod progress;

use std::sync::Arc;

use bilro_compiler::network::{Network as Declaration, Purpose};
use ndarray::{ArrayD, ArrayViewD};

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::network::Feed;
use crate::parameters::Parameters;
use crate::rng::Generator;
use crate::settings::Backend;
use progress::Progress;

/// A network that is built at run time, with its parameters and whatever has been
/// compiled for it so far. `network!` makes types that wrap it: [`Model`](crate::Model)
/// and [`Trainer`](crate::Trainer).
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
    progress: Progress,
    backend: Backend,
    threads: usize,
    /// They are few: going through them takes less time than hashing, of which
    /// a small step would notice.
    compiled: Vec<(Key, jit::Compiled)>,
    arena: Buffer,
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

/// What machine code was made for.
#[derive(Debug)]
struct Key {
    kind: Kind,
    batch: usize,
    choices: Vec<usize>,
}

/// A purpose without its optimizer: an engine has at most one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Predict,
    Evaluate,
    Gradients,
    Step,
    AccumulateFirst,
    Accumulate,
}

impl From<&Purpose<'_>> for Kind {
    fn from(purpose: &Purpose<'_>) -> Kind {
        match purpose {
            Purpose::Predict => Kind::Predict,
            Purpose::Evaluate => Kind::Evaluate,
            Purpose::Gradients => Kind::Gradients,
            Purpose::Step(_) => Kind::Step,
            Purpose::Accumulate { first: true, .. } => Kind::AccumulateFirst,
            Purpose::Accumulate { first: false, .. } => Kind::Accumulate,
        }
    }
}

/// What a call gives.
#[derive(Debug, Default)]
pub struct Results {
    /// The loss, where the purpose has one.
    pub loss: f32,
    /// Metrics, in declared order.
    pub metrics: Vec<f32>,
    /// Outputs in declared order, or gradients: in the order of parameters,
    /// those that are trained, then in the order of inputs, those that ask.
    pub arrays: Vec<ArrayD<f32>>,
}

impl Engine {
    /// A network with its parameters' first values, served by a backend on some
    /// threads.
    pub fn new(declaration: Declaration, backend: Backend, seed: u64, threads: usize) -> Engine {
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
        Engine {
            in_batch: inputs.clone().map(|i| Some(place(i))).collect(),
            in_input: inputs.map(in_input).collect(),
            parameters: Parameters::new(&declaration, &mut generator),
            generator,
            progress: Progress::new(seed),
            has_loss: declaration.has_loss(),
            least_batch: declaration.least_batch(),
            most_batch: declaration.most_batch(),
            declaration: Arc::new(declaration),
            backend,
            threads,
            compiled: Vec::new(),
            arena: Buffer::new(0),
        }
    }

    /// Runs a purpose on arrays: inputs in declared order, and then targets
    /// unless it predicts. All steps are made with one optimizer; see
    /// [`Engine::forget_steps`].
    ///
    /// # Errors
    /// [`Error::Shape`] and its neighbours for arrays that
    /// do not fit, [`Error::NoLoss`] where it should do more than predict without
    /// a loss; then nothing has changed.
    pub fn run(&mut self, purpose: &Purpose<'_>, feeds: &[Feed<'_>]) -> Result<Results> {
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
        purpose: &Purpose<'_>,
        feeds: &[Feed<'_>],
        choices: &[usize],
    ) -> Result<Results> {
        let places = match purpose {
            Purpose::Predict => &self.in_input,
            _ => &self.in_batch,
        };
        if !matches!(purpose, Purpose::Predict) && !self.has_loss {
            return Err(Error::NoLoss { network: self.declaration.name.clone() });
        }
        let feeds = Feeds { feeds, places };
        check::choices(&self.declaration, choices)?;
        let batch = check::batch(&self.declaration, feeds)?;
        self.check_batch(purpose, batch)?;
        let Engine { declaration, parameters, progress, compiled, arena, .. } = self;
        if let Purpose::Step(training) | Purpose::Accumulate { training, .. } = purpose
            && !progress.keeps
        {
            // Room for what training keeps beside the parameters.
            let declared = &declaration.parameters;
            parameters.append(&training.kept(declared), declared.len());
            progress.keeps = true;
        }
        let call = Call { purpose, batch, choices, progress: *progress, feeds };
        let results = match self.backend.interpreted() {
            Some(precision) => interpreted::run(declaration, parameters, call, precision),
            None => {
                let code = code_for(compiled, arena, declaration, call)?;
                code.run(arena, &mut parameters.memory, call, self.threads)
            }
        };
        progress.advance(purpose);
        Ok(results)
    }

    /// Requires that the network can be run on so many examples at once, or be
    /// trained on them.
    pub(crate) fn check_batch(&self, purpose: &Purpose<'_>, examples: usize) -> Result<()> {
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

    /// A view of a parameter, by its place in the declaration.
    ///
    /// # Panics
    /// Where no parameter has that place.
    pub fn parameter(&self, i: usize) -> ArrayViewD<'_, f32> {
        self.parameters.view(i)
    }

    /// Overwrites a parameter, by its place in the declaration.
    ///
    /// # Errors
    /// [`Error::ParameterShape`] for values of another shape.
    ///
    /// # Panics
    /// Where no parameter has that place.
    pub fn set_parameter(&mut self, i: usize, values: ArrayViewD<'_, f32>) -> Result<()> {
        let parameter = &self.declaration.parameters[i];
        let expected = parameter.shape.sizes();
        if values.shape() != expected {
            let found = values.shape().to_vec();
            return Err(Error::ParameterShape { name: parameter.name.clone(), expected, found });
        }
        self.parameters.set(i, values);
        Ok(())
    }

    /// Copies all parameters of the declaration, without what an optimizer
    /// keeps, for [`Engine::restore_parameters`].
    pub(crate) fn copy_parameters_into(&self, copy: &mut Vec<f32>) {
        copy.clear();
        copy.extend_from_slice(self.parameters.first(self.declaration.parameters.len()));
    }

    /// Gives all parameters of the declaration the values that they had when
    /// they were copied.
    pub(crate) fn restore_parameters(&mut self, copy: &[f32]) {
        let memory = self.parameters.first_mut(self.declaration.parameters.len());
        // Where one is longer, it is by padding.
        let len = memory.len().min(copy.len());
        memory[..len].copy_from_slice(&copy[..len]);
    }

    /// The network as it was declared.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// Forgets code for steps, and what an optimizer has kept. Steps are
    /// compiled with the training of the first, so this comes before a step
    /// with another one.
    pub fn forget_steps(&mut self) {
        let is_step = |kind| matches!(kind, Kind::Step | Kind::AccumulateFirst | Kind::Accumulate);
        self.compiled.retain(|(key, _)| !is_step(key.kind));
        self.parameters.append(&[], self.declaration.parameters.len());
        self.progress.forget_steps();
    }

    /// How many updates of the parameters have been made.
    pub fn updates(&self) -> u64 {
        self.progress.updates
    }

    /// The backend that serves this engine.
    pub fn backend(&self) -> Backend {
        self.backend
    }
}

/// The machine code for a call, which is made at first use.
fn code_for<'c>(
    compiled: &'c mut Vec<(Key, jit::Compiled)>,
    arena: &mut Buffer,
    declaration: &Declaration,
    call: Call<'_, '_, '_>,
) -> Result<&'c mut jit::Compiled> {
    let kind = Kind::from(call.purpose);
    let (batch, choices) = (call.batch, call.choices);
    // Most networks leave nothing to choose, and comparing two empty lists is no little thing: the C
    // library's comparison reads, under a mask, from where nothing is.
    let chosen = |key: &Key| choices.is_empty() && key.choices.is_empty() || key.choices == choices;
    let is_it = |key: &Key| key.kind == kind && key.batch == batch && chosen(key);
    let place = match compiled.iter().position(|(key, _)| is_it(key)) {
        Some(place) => place,
        None => {
            let code = jit::Compiled::new(declaration, call)?;
            if code.arena() > arena.len() {
                *arena = Buffer::new(code.arena());
            }
            compiled.push((Key { kind, batch, choices: choices.to_vec() }, code));
            compiled.len() - 1
        }
    };
    Ok(&mut compiled[place].1)
}

/// One call of the engine, checked.
#[derive(Clone, Copy)]
struct Call<'a, 'b, 'p> {
    purpose: &'a Purpose<'p>,
    batch: usize,
    choices: &'a [usize],
    progress: Progress,
    feeds: Feeds<'a, 'b>,
}

impl Call<'_, '_, '_> {
    fn graph(&self, declaration: &Declaration) -> bilro_compiler::graph::Graph {
        declaration.graph_of(self.purpose, self.batch, self.choices)
    }
}
