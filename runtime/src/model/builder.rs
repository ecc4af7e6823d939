//! The builder of models: seed, backend, threads, weights.

use std::marker::PhantomData;
use std::path::PathBuf;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::error::Error as CompileError;

use super::Model;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::run::engine::{CODE_CACHE, Engine};
use crate::run::{Backend, settings};

/// Says how a [`Model`] is made.
#[derive(Debug)]
pub struct ModelBuilder<N> {
    declaration: Result<Declaration, CompileError>,
    seed: u64,
    backend: Option<Backend>,
    threads: Option<usize>,
    weights: Option<PathBuf>,
    code_cache: usize,
    detects_anomalies: bool,
    network: PhantomData<fn() -> N>,
}

impl<N> ModelBuilder<N> {
    pub(crate) fn new(declaration: Result<Declaration, CompileError>) -> ModelBuilder<N> {
        ModelBuilder {
            declaration,
            seed: 0,
            backend: None,
            threads: None,
            weights: None,
            code_cache: CODE_CACHE,
            detects_anomalies: false,
            network: PhantomData,
        }
    }

    /// The seed of the parameters' first values, 0 by default. The same seed
    /// gives PyTorch's values.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What computes the network; by default, what `BILRO_BACKEND` says, or
    /// machine code.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// How many threads compute; by default, what `BILRO_THREADS` says, or
    /// as many as the machine has. Results do not depend on it.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How much machine code is kept for later calls, in bytes; 64 MiB by
    /// default. There is code for each purpose and batch size. Beyond so many bytes,
    /// what has not been used for longest goes, and is compiled again when it is
    /// needed; results are the same. The code that runs stays in any case.
    pub fn code_cache(mut self, bytes: usize) -> Self {
        self.code_cache = bytes;
        self
    }

    /// Whether to say where values come from that are not finite: a prediction, evaluation or
    /// gradients with a NaN or an infinity in the results, and a step that such a loss or gradient
    /// keeps from being made, are evaluated once more by the interpreter, and return
    /// [`Error::Anomaly`], which names the first layer, its operands' ranges and the rows of the
    /// batch. Off unless set, and then it costs nothing; on, a call's results are looked at.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Root {
    ///         input x: [2];
    ///         output y = sqrt(x - 1.0) * 2.0;
    ///     }
    /// }
    ///
    /// let model = Root::model().detect_anomaly(true).build()?;
    /// let x = array![[1.0, 5.0], [2.0, 0.0]];
    /// let error = model.predict(root::Input { x: x.view() }).unwrap_err().to_string();
    /// assert!(error.contains("the first value that is not is `sqrt(") && error.contains("1 row of the batch: 1"));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn detect_anomaly(mut self, detects: bool) -> Self {
        self.detects_anomalies = detects;
        self
    }

    /// A file from which the parameters are read, instead of the seed's values:
    /// see [`Model::load`].
    pub fn weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.weights = Some(path.into());
        self
    }

    /// The model.
    ///
    /// # Errors
    /// [`Error::Compile`] where sizes that were constants do not fit,
    /// [`Error::Setting`] for no threads, [`Error::Environment`] for a variable
    /// with a value that is not understood, [`Error::Memory`] for more parameters
    /// than there is memory for; and those of [`Model::load`], where weights are
    /// from a file.
    pub fn build(self) -> Result<Model<N>> {
        let backend = match self.backend {
            Some(backend) => backend,
            None => Backend::from_environment()?.unwrap_or_default(),
        };
        let threads = settings::threads(self.threads)?;
        let mut engine = Engine::new(self.declaration?, backend, self.seed, threads)?;
        engine.set_code_cache(self.code_cache);
        engine.set_detect_anomaly(self.detects_anomalies);
        let mut model = Model { engine, network: PhantomData };
        if let Some(path) = self.weights {
            model.load(path)?;
        }
        Ok(model)
    }
}
