//! Tests of networks, losses and layers of one's own: gradients against central differences.
//!
//! A loss, a block or a layer that `network!` has is an expression, and its gradient is derived
//! from it; [`gradcheck`] tests both, as `torch.autograd.gradcheck` does:
//!
//! ```
//! use bilro::ndarray::array;
//! use bilro::prelude::*;
//! use bilro::testing::{Gradcheck, gradcheck};
//!
//! network! {
//!     /// A regression with a loss of its own: the log-cosh of the error.
//!     struct Robust {
//!         input x: [3];
//!         target y: [2];
//!         output p = x -> Linear(4) -> tanh -> Linear(2);
//!         let error = p - y;
//!         loss softplus(error * 2.0) - error;
//!     }
//! }
//!
//! let model = Robust::model().seed(1).build()?;
//! let x = array![[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]];
//! let y = array![[1.0, 0.0], [-1.0, 0.5]];
//! let batch = robust::Batch { x: x.view(), y: y.view() };
//! let report = gradcheck(&model, batch, Gradcheck::new().samples(32))?;
//! assert!(report.is_ok(), "{report}");
//! # Ok::<(), bilro::Error>(())
//! ```
//!
//! [`Model::verify`] tests the compiler as well, kernel by kernel.

use bilro_compiler::purpose::Purpose;

use crate::error::{Error, Result, Verification};
use crate::model::Model;
use crate::model::dynamic::{DynBatch, DynModel};
use crate::model::network::Trainable;
use crate::run::engine::Extent;

/// Options of [`gradcheck`].
#[derive(Clone, Copy, PartialEq, Debug)]
#[must_use]
pub struct Gradcheck {
    samples: usize,
    seed: u64,
    tolerance: f64,
}

impl Default for Gradcheck {
    fn default() -> Gradcheck {
        Gradcheck::new()
    }
}

impl Gradcheck {
    /// 16 elements of each parameter and input, chosen with seed 0, by the bounds as they are.
    pub fn new() -> Gradcheck {
        Gradcheck { samples: 16, seed: 0, tolerance: 1.0 }
    }

    /// How many elements of each parameter and input are compared with differences, 16 by default;
    /// at least 1. Of tensors with no more, all are. Half of them are drawn from those whose
    /// gradient is not zero.
    pub fn samples(mut self, samples: usize) -> Gradcheck {
        self.samples = samples;
        self
    }

    /// Which elements, 0 by default.
    pub fn seed(mut self, seed: u64) -> Gradcheck {
        self.seed = seed;
        self
    }

    /// How many times its bound an error may be, 1 by default.
    pub fn tolerance(mut self, bounds: f64) -> Gradcheck {
        self.tolerance = bounds;
        self
    }

    fn extent(self) -> Result<Extent> {
        let Gradcheck { samples, seed, tolerance } = self;
        let wrong = |name: &str, expected: &str, found: String| Error::InvalidArgument {
            name: name.into(),
            expected: expected.into(),
            found,
        };
        if samples == 0 {
            return Err(wrong("samples", "at least 1", "0".into()));
        }
        if !(tolerance.is_finite() && tolerance > 0.0) {
            return Err(wrong("tolerance", "finite and above 0", tolerance.to_string()));
        }
        Ok(Extent { kernels: false, samples, seed, tolerance })
    }
}

/// Compares a network's gradients on a batch: those of the machine code with the interpreter's in
/// f64, and these with central differences of the loss, by two step sizes.
///
/// The report has a line with the worst error for each of the two, and in
/// [`checks`](Verification::checks) each parameter and each input whose gradient the network
/// asks for (`input x: [3] grad`). Bounds are measured: see `docs/verification.md`.
/// Elements at a kink, as of `relu` at 0, are undecided, not wrong. Values of dropout are those of
/// one step: its masks are the same in all evaluations.
///
/// # Errors
/// As [`Model::gradients`]; [`Error::InvalidArgument`] for no samples, or a tolerance that is not a number
/// above 0.
pub fn gradcheck<N: Trainable>(
    model: &Model<N>,
    batch: N::Batch<'_>,
    options: Gradcheck,
) -> Result<Verification> {
    let (feeds, choices) = (N::batch_feeds(&batch), N::batch_choices(&batch));
    let extent = options.extent()?;
    model.verify_on(&[Purpose::Gradients], feeds.as_ref(), choices.as_ref(), extent)
}

/// [`gradcheck`] of a network that is declared at run time.
///
/// # Errors
/// As [`DynModel::gradients`], and as [`gradcheck`].
pub fn gradcheck_dynamic<'a>(
    model: &DynModel,
    batch: impl Into<DynBatch<'a>>,
    options: Gradcheck,
) -> Result<Verification> {
    let (feeds, choices) = batch.into().resolve(model.declaration(), false)?;
    model.verify_on(&[Purpose::Gradients], &feeds, &choices, options.extent()?)
}
