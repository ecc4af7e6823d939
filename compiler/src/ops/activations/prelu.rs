//! The operation [`Prelu`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Parametric rectified linear unit with a learned slope: `x` for `x > 0`, else `weight·x`
/// (K. He, X. Zhang, S. Ren, J. Sun, 2015). The gradient at 0 is `weight`.
///
/// In the language: `prelu(x, weight)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input weight: [3];
///         output y = prelu(x, weight);
///     }
/// }
///
/// let x = array![[1.0, -2.0, 3.0]];
/// let weight = array![[0.5, 0.5, 0.5]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), weight: weight.view() })?.y;
/// assert_eq!(y, array![[1.0, -1.0, 3.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prelu;

impl Elementwise for Prelu {
    const NAME: &'static str = "prelu";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "weight"]));

    fn from_call(_: &Attributes) -> Result<Prelu, Mistake> {
        Ok(Prelu)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let [x, weight] = [x[0], x[1]];
        if x > T::zero() { x } else { weight * x }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let zero = g.constant(0.0);
        let positive = g.greater(at.x[0], zero);
        let dx = at.requested[0].then(|| {
            let below = g.mul(at.dy, at.x[1]);
            g.select(positive, at.dy, below)
        });
        let dweight = at.requested[1].then(|| {
            let below = g.mul(at.dy, at.x[0]);
            g.select(positive, zero, below)
        });
        vec![dx, dweight]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let zero = e.float(0.0);
        let below = e.mul(x[0], x[1]);
        let positive = e.greater(x[0], zero);
        e.select(positive, x[0], below)
    }

    fn variants() -> Vec<Prelu> {
        vec![Prelu]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Normal(1.0)]
    }
}
