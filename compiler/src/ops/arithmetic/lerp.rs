//! The operation [`Lerp`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Linear interpolation `a + weight·(b - a)`; from `b` for weights of 1/2 and above, so that it is
/// `b` for 1.
///
/// In the language: `lerp(a, b, weight)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         input weight: [3];
///         output y = lerp(a, b, weight);
///     }
/// }
///
/// let a = array![[1.0, 2.0, 3.0]];
/// let b = array![[2.0, 4.0, 1.0]];
/// let weight = array![[0.0, 0.5, 1.0]];
/// let model = Example::model().build()?;
/// let y = model.predict(example::Input { a: a.view(), b: b.view(), weight: weight.view() })?.y;
/// assert_eq!(y, array![[1.0, 3.0, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lerp;

impl Elementwise for Lerp {
    const NAME: &'static str = "lerp";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b", "weight"]));

    fn from_call(_: &Attributes) -> Result<Lerp, Mistake> {
        Ok(Lerp)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let [a, b, weight] = [x[0], x[1], x[2]];
        match weight < T::of(0.5) {
            true => a + weight * (b - a),
            false => b - (b - a) * (T::one() - weight),
        }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [a, b, weight] = [at.x[0], at.x[1], at.x[2]];
        let one = g.constant(1.0);
        let rest = g.sub(one, weight);
        let difference = g.sub(b, a);
        let dx = [rest, weight, difference].map(|slope| Some(g.mul(at.dy, slope)));
        dx.to_vec()
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let [a, b, weight] = [x[0], x[1], x[2]];
        let (half, one) = (e.float(0.5), e.float(1.0));
        let difference = e.sub(b, a);
        let from_a = e.mul_add(weight, difference, a);
        let rest = e.sub(weight, one);
        let from_b = e.mul_add(rest, difference, b);
        let is_low = e.greater(half, weight);
        e.select(is_low, from_a, from_b)
    }

    fn variants() -> Vec<Lerp> {
        vec![Lerp]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Normal(1.0), Domain::Separated]
    }
}
