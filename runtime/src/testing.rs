//! Tests of your own networks, losses and layers: gradients against central differences.
//!
//! The gradients of a loss, a block or a layer of `network!` are derived from its expression;
//! [`gradcheck`] tests them, as `torch.autograd.gradcheck` does:
//!
//! ```
//! use bilro::ndarray::array;
//! use bilro::prelude::*;
//! use bilro::testing::{Gradcheck, gradcheck};
//!
//! network! {
//!     /// A regression with a custom loss: the log-cosh of the error.
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
//! [`Model::verify`] also tests the compiler, kernel by kernel.

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
    /// 16 elements of each parameter and input, chosen with seed 0, with a tolerance of one bound.
    pub fn new() -> Gradcheck {
        Gradcheck { samples: 16, seed: 0, tolerance: 1.0 }
    }

    /// The number of elements of each parameter and input that are compared with differences; at
    /// least 1, default 16. Of smaller tensors, all elements are. Half of them are drawn from those
    /// whose gradient is not zero.
    pub fn samples(mut self, samples: usize) -> Gradcheck {
        self.samples = samples;
        self
    }

    /// The seed of the choice of elements; default 0.
    pub fn seed(mut self, seed: u64) -> Gradcheck {
        self.seed = seed;
        self
    }

    /// The largest accepted error, in units of its bound; finite and above 0, default 1.
    pub fn tolerance(mut self, bounds: f64) -> Gradcheck {
        self.tolerance = bounds;
        self
    }

    fn extent(self) -> Result<Extent> {
        let Gradcheck { samples, seed, tolerance } = self;
        let invalid = |name: &str, expected: &str, found: String| Error::InvalidArgument {
            name: name.into(),
            expected: expected.into(),
            found,
        };
        if samples == 0 {
            return Err(invalid("samples", "at least 1", "0".into()));
        }
        if !(tolerance.is_finite() && tolerance > 0.0) {
            return Err(invalid("tolerance", "finite and above 0", tolerance.to_string()));
        }
        Ok(Extent { kernels: false, samples, seed, tolerance })
    }
}

/// Compares a network's gradients on a batch: those of the machine code with the interpreter's in
/// f64, and these with central differences of the loss, with two step sizes.
///
/// The [`checks`](Verification::checks) of the report have each parameter, and each input declared
/// with `grad` (`input x: [3] grad`). The bounds of derivatives are measured: see
/// `docs/verification.md`. Elements at a kink, as of `relu` at 0, are undecided, not wrong. Dropout
/// has the same masks in all evaluations.
///
/// # Errors
/// As [`Model::gradients`]; [`Error::InvalidArgument`] for 0 samples, or a tolerance that is not
/// finite and above 0.
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
