//! The operation [`Prod`].

use super::{
    Attributes, Domain, Lowering, Operand, Operation, Reduced, Reverse, Sample, Signature, axis,
    through,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::slice::Range;
use crate::shape::{Argument, Facts, Shape, Type};

/// The product over axes of the example, all by default. Its gradient is right where elements are 0.
///
/// In the language: `prod(x, axis = all, keepdim = false)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = prod(x);
///     }
/// }
///
/// let x = array![[1.5, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![12.0]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prod {
    /// The axes of the product.
    pub over: Reduced,
}

impl Prod {
    fn product(&self, g: &mut Graph, x: NodeId) -> NodeId {
        let ty = g.ty(x).clone();
        let axes = self.over.axes(&ty);
        let y = axes.into_iter().rev().fold(x, |y, axis| halves(g, y, axis));
        g.reshape(y, &self.over.result(&ty))
    }
}

/// The product over one axis, which remains: of its halves, elementwise, until one element is left.
fn halves(g: &mut Graph, x: NodeId, axis: usize) -> NodeId {
    let (mut y, mut single) = (x, None);
    let mut size = g.shape(x).sizes()[axis];
    while size > 1 {
        let half = size / 2;
        let range = |first, count| Range { axis, first, count, step: 1 };
        let [a, b] = [0, half].map(|first| g.slice(y, range(first, half)));
        if !size.is_multiple_of(2) {
            let last = g.slice(y, range(size - 1, 1));
            single = Some(single.map_or(last, |single| g.mul(single, last)));
        }
        (y, size) = (g.mul(a, b), half);
    }
    single.map_or(y, |single| g.mul(y, single))
}

impl Operation for Prod {
    const NAME: &'static str = "prod";
    const CALL: Option<Signature> =
        Some(Signature::of(&["x"]).with(&[axis::REDUCED, axis::KEEPDIM]));

    fn from_call(attributes: &Attributes) -> Result<Prod, Mistake> {
        Ok(Prod { over: Reduced::of(attributes) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        self.over.shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.over.evaluate(x[0], at, |lane| lane.fold(T::one(), |product, x| product * *x))
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        through::gradient(g, at, |g, x| self.product(g, x[0]))
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| self.product(g, x[0])))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let mut samples = axis::samples(size, Domain::Positive, |over| Prod { over });
        // The same for all examples.
        let x = Operand::new(Type::real(Shape::unbatched([3, size])), Domain::Normal(1.0));
        samples.push(Sample::new(Prod { over: Reduced::one(Some(0)) }, [x]));
        samples
    }
}
