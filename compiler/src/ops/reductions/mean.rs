//! The operation [`Mean`].

use super::{
    Attributes, Domain, Lowering, Operand, Operation, Reduced, Reverse, Sample, Signature, axis,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Shape, Type};

/// The mean over axes of the example, all by default; internally also over all axes and the
/// batch, as the reduction of losses.
///
/// In the language: `mean(x, axis = all, keepdim = false)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = mean(x);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![2.33333]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mean {
    /// The averaged axes.
    pub over: Over,
}

/// The averaged axes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Over {
    /// Axes of the example.
    Example(Reduced),
    /// All elements of all examples.
    Everything,
}

impl Mean {
    fn count(&self, x: &Type, batch: usize) -> f32 {
        let count = match &self.over {
            Over::Example(over) => over.count(x),
            Over::Everything => x.shape.count(batch),
        };
        count as f32
    }
}

impl Operation for Mean {
    const NAME: &'static str = "mean";
    const CALL: Option<Signature> =
        Some(Signature::of(&["x"]).with(&[axis::REDUCED, axis::KEEPDIM]));
    const IGNORES_WEIGHTS: bool = true;

    fn from_call(attributes: &Attributes) -> Result<Mean, Mistake> {
        Ok(Mean { over: Over::Example(Reduced::of(attributes)) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        match &self.over {
            Over::Example(over) => over.shape(Self::NAME, x[0]),
            Over::Everything => {
                super::elementwise::require_real(Self::NAME, 0, x[0])?;
                Ok(Type::real(Shape::scalar()))
            }
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let count = T::of(self.count(at.operands[0], at.batch));
        match &self.over {
            Over::Example(over) => over.evaluate(x[0], at, |lane| lane.copied().total() / count),
            Over::Everything => {
                Value::real(&[], vec![x[0].reals().iter().copied().total() / count])
            }
        }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let ty = g.ty(at.x[0]).clone();
        let count = g.constant(self.count(&ty, g.batch()));
        let share = if faults::is(Fault::MeanShare) { at.dy } else { g.div(at.dy, count) };
        let share = match &self.over {
            Over::Example(over) => g.reshape(share, &over.kept(&ty)),
            Over::Everything => share,
        };
        vec![Some(g.broadcast(share, &ty.shape))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let sum = match &self.over {
                Over::Example(over) => over.decompose(Reduction::Sum, g, x[0]),
                Over::Everything => g.sum_all(x[0]),
            };
            let count = self.count(g.ty(x[0]), g.batch());
            let count = g.constant(count);
            g.div(sum, count)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let everything = [Shape::batched([3, size]), Shape::unbatched([size])].map(|shape| {
            let x = Operand::new(Type::real(shape), Domain::Normal(1.0));
            Sample::new(Mean { over: Over::Everything }, [x]).summing(3 * size * size.max(40))
        });
        let mut samples =
            axis::samples(size, Domain::Normal(1.0), |over| Mean { over: Over::Example(over) });
        samples.extend(everything);
        samples
    }
}
