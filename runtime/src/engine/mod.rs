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

use std::sync::Arc;

use bilro_compiler::network::{Network as Declaration, Purpose};
use ndarray::{ArrayD, ArrayViewD};

use crate::buffer::Buffer;
use crate::error::Result;
use crate::network::Feed;
use crate::parameters::Parameters;
use crate::rng::Generator;
use crate::settings::Backend;

/// See the [module](self).
#[derive(Debug)]
pub struct Engine {
    pub(crate) declaration: Arc<Declaration>,
    pub(crate) parameters: Parameters,
    /// What drew the parameters, for whatever is drawn next.
    pub(crate) generator: Generator,
    backend: Backend,
    threads: usize,
    /// What for, and for which batch size. They are few: going through them
    /// takes less time than hashing, of which a small step would notice.
    compiled: Vec<((Kind, usize), jit::Compiled)>,
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

/// A purpose without its optimizer: an engine has at most one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Predict,
    Evaluate,
    Gradients,
    Step,
}

impl From<&Purpose<'_>> for Kind {
    fn from(purpose: &Purpose<'_>) -> Kind {
        match purpose {
            Purpose::Predict => Kind::Predict,
            Purpose::Evaluate => Kind::Evaluate,
            Purpose::Gradients => Kind::Gradients,
            Purpose::Step(_) => Kind::Step,
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
    /// Outputs in declared order, or gradients in the order of parameters.
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
    /// [`Error::Shape`](crate::Error::Shape) and its neighbours for arrays that
    /// do not fit; then nothing has changed.
    pub fn run(&mut self, purpose: &Purpose<'_>, feeds: &[Feed<'_>]) -> Result<Results> {
        let places = match purpose {
            Purpose::Predict => &self.in_input,
            _ => &self.in_batch,
        };
        let feeds = Feeds { feeds, places };
        let batch = check::batch(&self.declaration, feeds)?;
        if let Some(precision) = self.backend.interpreted() {
            let (declaration, parameters) = (&self.declaration, &mut self.parameters);
            return Ok(interpreted::run(declaration, parameters, purpose, batch, feeds, precision));
        }
        let key = (Kind::from(purpose), batch);
        let place = match self.compiled.iter().position(|(known, _)| *known == key) {
            Some(place) => place,
            None => {
                let compiled = jit::Compiled::new(&self.declaration, purpose, batch)?;
                if compiled.arena() > self.arena.len() {
                    self.arena = Buffer::new(compiled.arena());
                }
                self.compiled.push((key, compiled));
                self.compiled.len() - 1
            }
        };
        let (_, compiled) = &mut self.compiled[place];
        Ok(compiled.run(&mut self.arena, &mut self.parameters.memory, feeds, purpose, self.threads))
    }

    /// A view of a parameter, by its place in the declaration.
    pub fn parameter(&self, i: usize) -> ArrayViewD<'_, f32> {
        self.parameters.view(i)
    }

    /// Overwrites a parameter, by its place in the declaration.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for values of another shape.
    pub fn set_parameter(&mut self, i: usize, values: ArrayViewD<'_, f32>) -> Result<()> {
        let parameter = &self.declaration.parameters[i];
        let expected = parameter.shape.sizes();
        if values.shape() != expected {
            let found = values.shape().to_vec();
            return Err(crate::Error::Shape { name: parameter.name.clone(), expected, found });
        }
        self.parameters.set(i, values);
        Ok(())
    }

    /// The network as it was declared.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// Forgets code for steps. Steps are compiled with the optimizer of the
    /// first, so this comes before a step with another one.
    pub fn forget_steps(&mut self) {
        self.compiled.retain(|((kind, _), _)| *kind != Kind::Step);
    }

    /// The backend that serves this engine.
    pub fn backend(&self) -> Backend {
        self.backend
    }
}

/// The value of an optimizer's setting.
fn setting(purpose: &Purpose<'_>, name: &str) -> f32 {
    match purpose {
        Purpose::Step(optimizer) => optimizer.setting(name).unwrap_or(f32::NAN),
        _ => f32::NAN,
    }
}
