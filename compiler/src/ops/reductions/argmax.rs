//! The operation [`ArgMax`].

use super::{Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature, axis, extremes};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
#[cfg(feature = "eval")]
use crate::ops::Reduced;
use crate::shape::{Argument, Facts, Type};

/// The index of the largest element along an axis, as a real, or among all elements of the example in
/// their order; of equal elements, of the first. NaN counts as largest, as in PyTorch. Without gradient.
///
/// In the language: `argmax(x, axis = all)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = argmax(x);
///     }
/// }
///
/// let x = array![[2.0, 1.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![2.0]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ArgMax {
    /// The axis, counted from the end if negative; `None` for all axes of the example.
    pub axis: Option<i64>,
}

impl Operation for ArgMax {
    const NAME: &'static str = "argmax";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[extremes::ALONG]));

    fn from_call(attributes: &Attributes) -> Result<ArgMax, Mistake> {
        Ok(ArgMax { axis: attributes.axis("axis") })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        extremes::shape(Self::NAME, self.axis, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        Reduced::one(self.axis).evaluate(x[0], at, |lane| {
            let lane: Vec<T> = lane.copied().collect();
            T::all_branches(|| extremes::first_largest(&lane))
        })
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let x = x[0];
            extremes::position(g, x, self.axis)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let of = |domain| {
            axis::samples(size, domain, |over| {
                // Of one axis, or of all.
                let axes = over.axes.unwrap_or_default();
                let axis = (axes.len() == 1).then(|| axes[0]);
                ArgMax { axis }
            })
        };
        [of(Domain::Separated), of(Domain::Tied)].concat()
    }
}
