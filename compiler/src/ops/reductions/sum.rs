//! The operation [`Sum`].

use super::{Attributes, Domain, Lowering, Operation, Reduced, Reverse, Sample, Signature, axis};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// The sum over axes of the example, all by default.
///
/// In the language: `sum(x, axis = all, keepdim = false)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = sum(x);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![7.0]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sum {
    /// The reduced axes.
    pub over: Reduced,
}

impl Operation for Sum {
    const NAME: &'static str = "sum";
    const CALL: Option<Signature> =
        Some(Signature::of(&["x"]).with(&[axis::REDUCED, axis::KEEPDIM]));

    fn from_call(attributes: &Attributes) -> Result<Sum, Mistake> {
        Ok(Sum { over: Reduced::of(attributes) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        self.over.shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.over.evaluate(x[0], at, |lane| lane.copied().total())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let kept = self.over.kept(g.ty(at.x[0]));
        let dy = g.reshape(at.dy, &kept);
        let shape = g.shape(at.x[0]).clone();
        vec![Some(g.broadcast(dy, &shape))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| self.over.decompose(Reduction::Sum, g, x[0])))
    }

    fn samples(size: usize) -> Vec<Sample> {
        axis::samples(size, Domain::Normal(1.0), |over| Sum { over })
    }
}
