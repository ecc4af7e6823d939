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
use crate::run::{Backend, config};

/// A builder for a [`Model`].
#[derive(Debug)]
pub struct ModelBuilder<N> {
    declaration: Result<Declaration, CompileError>,
    seed: u64,
    backend: Option<Backend>,
    threads: Option<usize>,
    weights: Option<PathBuf>,
    code_cache: usize,
    detects_anomalies: bool,
    sanitizes: Option<bool>,
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
            sanitizes: None,
            network: PhantomData,
        }
    }

    /// The seed of the parameters' initial values; default 0. The same seed
    /// gives PyTorch's values.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The backend that computes the network; default `BILRO_BACKEND`, or machine
    /// code.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// The number of threads that compute; default `BILRO_THREADS`, or the number
    /// of processors. Results do not depend on it.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The limit on cached machine code, in bytes; default 64 MiB. There is code for
    /// each purpose and batch size. Beyond the limit, the least recently used code
    /// is evicted, and compiled again when it is needed; results are the same. The
    /// code in use is never evicted.
    pub fn code_cache(mut self, bytes: usize) -> Self {
        self.code_cache = bytes;
        self
    }

    /// Whether to report the origin of values that are not finite; default `false`, which costs
    /// nothing. A prediction, evaluation or gradients with a NaN or an infinity in the results, and
    /// a step that is rejected for such a loss or gradient, are evaluated again by the interpreter,
    /// and return [`Error::Anomaly`], which names the first layer, its operands' ranges and the rows
    /// of the batch. Otherwise the cost is that of reading a call's results.
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
    /// assert!(error.contains("the first value that is not finite is `sqrt(") && error.contains("1 row of the batch: 1"));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn detect_anomaly(mut self, detects: bool) -> Self {
        self.detects_anomalies = detects;
        self
    }

    /// Whether machine code checks every access to memory before it makes it; default
    /// `BILRO_SANITIZE`, 1 or 0, or `false`, which costs nothing. A fault of the compiler then is
    /// [`Error::Sanitizer`], which names the kernel, its instruction, the buffer and the element, and
    /// the call has changed nothing. Results are the same bits. Calls take 10 to 1000 times as
    /// long, and run on one thread. [docs/verification.md](https://github.com/bilro/bilro/blob/main/docs/verification.md#sanitised-code)
    /// lists the checks.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Sum {
    ///         input x: [2];
    ///         output y = sum(x * x, axis = -1);
    ///     }
    /// }
    ///
    /// let model = Sum::model().sanitize(true).build()?;
    /// let x = array![[3.0, 4.0]];
    /// assert_eq!(model.predict(sum::Input { x: x.view() })?.y, array![25.0]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    pub fn sanitize(mut self, sanitizes: bool) -> Self {
        self.sanitizes = Some(sanitizes);
        self
    }

    /// A file to read the parameters from, instead of drawing them: see
    /// [`Model::load`].
    pub fn weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.weights = Some(path.into());
        self
    }

    /// The model.
    ///
    /// # Errors
    /// [`Error::Compile`] if constant sizes do not fit,
    /// [`Error::InvalidArgument`] for no threads, [`Error::Environment`] for a variable
    /// with a value that is not understood, [`Error::Memory`] for more parameters
    /// than there is memory for; and those of [`Model::load`], if weights are
    /// read from a file.
    pub fn build(self) -> Result<Model<N>> {
        let backend = match self.backend {
            Some(backend) => backend,
            None => Backend::from_environment()?.unwrap_or_default(),
        };
        let threads = config::threads(self.threads)?;
        let mut engine = Engine::new(self.declaration?, backend, self.seed, threads)?;
        engine.set_code_cache(self.code_cache);
        engine.set_detect_anomaly(self.detects_anomalies);
        if let Some(sanitizes) = self.sanitizes {
            engine.set_sanitize(sanitizes);
        }
        let mut model = Model { engine, network: PhantomData };
        if let Some(path) = self.weights {
            model.load(path)?;
        }
        Ok(model)
    }
}
