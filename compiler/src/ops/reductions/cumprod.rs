//! The operation [`Cumprod`].

use super::cumsum::{self, scan};
use super::{Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature, axis, through};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// Products of the elements up to each one along an axis. Their gradient is right where elements are 0.
///
/// In the language: `cumprod(x, axis)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = cumprod(x, axis = 0);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, 2.0, 8.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cumprod {
    /// The axis, counted from the end if negative.
    pub axis: i64,
}

impl Cumprod {
    fn products(&self, g: &mut Graph, x: NodeId) -> NodeId {
        scan(g, x, self.axis, false, 1.0, |g, a, b| g.mul(a, b))
    }
}

impl Operation for Cumprod {
    const NAME: &'static str = "cumprod";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(cumsum::ALONG));

    fn from_call(attributes: &Attributes) -> Result<Cumprod, Mistake> {
        Ok(Cumprod { axis: attributes.axis("axis").unwrap_or(-1) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        axis::unchanged(Self::NAME, self.axis, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        axis::map_lanes(self.axis, x[0], at, |lane| {
            let product = |product: &mut T, x: &T| {
                *product = *product * *x;
                Some(*product)
            };
            lane.iter().scan(T::one(), product).collect()
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        through::gradient(g, at, |g, x| self.products(g, x[0]))
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| self.products(g, x[0])))
    }

    fn samples(size: usize) -> Vec<Sample> {
        cumsum::samples(size, Domain::Positive, |axis| Cumprod { axis })
    }
}
