//! The operation [`Sum`].

use super::{Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature, axis};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// The sum over one axis of the example, or over all its axes.
///
/// In the language: `sum(x, axis = all)`.
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
    /// The axis, counted from the end if negative; `None` for all axes of the example.
    pub axis: Option<i64>,
}

impl Operation for Sum {
    const NAME: &'static str = "sum";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[axis::REDUCED]));

    fn from_call(attributes: &Attributes) -> Result<Sum, Mistake> {
        Ok(Sum { axis: attributes.axis("axis") })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        axis::reduced(Self::NAME, self.axis, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        axis::evaluate(self.axis, x[0], at, |lane| lane.copied().total())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let keepdim = axis::keepdim(self.axis, g.ty(at.x[0]));
        let dy = g.reshape(at.dy, &keepdim);
        let shape = g.shape(at.x[0]).clone();
        vec![Some(g.broadcast(dy, &shape))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| axis::decompose(Reduction::Sum, self.axis, g, x[0])))
    }

    fn samples(size: usize) -> Vec<Sample> {
        axis::samples(size, Domain::Normal(1.0), |axis| Sum { axis })
    }
}
