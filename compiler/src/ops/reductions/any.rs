//! The operation [`Any`].

use super::{Attributes, Domain, Lowering, Operation, Reduced, Reverse, Sample, Signature, axis};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// 1 where an element is not 0, else 0, over axes of the example, all by default. NaN is not 0. The gradient is 0.
///
/// In the language: `any(x, axis = all, keepdim = false)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = any(x);
///     }
/// }
///
/// let x = array![[0.0, 2.0, 0.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![1.0]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Any {
    /// The reduced axes.
    pub over: Reduced,
}

impl Operation for Any {
    const NAME: &'static str = "any";
    const CALL: Option<Signature> =
        Some(Signature::of(&["x"]).with(&[axis::REDUCED, axis::KEEPDIM]));

    fn from_call(attributes: &Attributes) -> Result<Any, Mistake> {
        Ok(Any { over: Reduced::of(attributes) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        self.over.shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.over.evaluate(x[0], at, |lane| {
            let lane: Vec<T> = lane.copied().collect();
            T::all_branches(|| match lane.iter().any(|x| *x != T::zero()) {
                true => T::one(),
                false => T::zero(),
            })
        })
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let zero = g.constant(0.0);
            let is_zero = g.equal(x[0], zero);
            let one = g.constant(1.0);
            let is_other = g.sub(one, is_zero);
            self.over.decompose(Reduction::Max, g, is_other)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        axis::samples(size, Domain::Tied, |over| Any { over })
    }
}
