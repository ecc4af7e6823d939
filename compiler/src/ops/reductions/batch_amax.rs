//! The operation [`BatchAmax`].

use super::batch::{self, PREDICT};
use super::{Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::{Axis, Reduction};
use crate::shape::{Argument, Facts, Type};

/// The maximum over all examples of the batch, for each element of an example, NaN if one is NaN. Equal
/// largest elements share the gradient evenly: the
/// same value for all examples.
///
/// An output may depend on it with `predict = true` only: predictions then depend on the other examples
/// of their batch.
///
/// In the language: `batch_amax(x, predict = false)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2];
///         output y = batch_amax(x, predict = true);
///     }
/// }
///
/// let x = array![[1.0, 2.0], [3.0, -4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![3.0, 2.0]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BatchAmax {
    /// Whether outputs may depend on it; default false.
    pub predict: bool,
}

impl Operation for BatchAmax {
    const NAME: &'static str = "batch_amax";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[PREDICT]));

    fn from_call(attributes: &Attributes) -> Result<BatchAmax, Mistake> {
        Ok(BatchAmax { predict: attributes.flag("predict").unwrap_or(false) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        batch::shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        batch::evaluate(x[0], at, |lane| T::largest_of(lane))
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        batch::extreme_gradient(g, at)
    }

    fn meets(&self) -> bool {
        !self.predict
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| g.reduce(Reduction::Max, Axis::Batch, x[0])))
    }

    fn samples(size: usize) -> Vec<Sample> {
        batch::samples(size, Domain::Separated, BatchAmax { predict: false })
    }
}
