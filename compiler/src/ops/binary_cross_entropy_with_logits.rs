//! The cross entropy of `sigmoid(x)` and a target between 0 and 1, for each element, in the form
//! that does not overflow: `max(x, 0) - x·t + ln(1 + e^-|x|)`.

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::graph::{Graph, NodeId};
use crate::kernel::expr::{Expr, Expressions};

/// See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BinaryCrossEntropyWithLogits;

impl Elementwise for BinaryCrossEntropyWithLogits {
    const NAME: &'static str = "binary_cross_entropy_with_logits";
    const CALL: Option<Signature> = Some(Signature::of(&["logits", "target"]));
    const ARITY: usize = 2;
    const BROADCASTS: bool = false;

    fn from_call(_: &Attributes) -> Result<BinaryCrossEntropyWithLogits, Mistake> {
        Ok(BinaryCrossEntropyWithLogits)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let [x, t] = [x[0], x[1]];
        let positive = if x < T::zero() { T::zero() } else { x };
        positive - x * t + (-x.abs()).exp().ln_1p()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let p = g.sigmoid(at.x[0]);
        let slope = g.sub(p, at.x[1]);
        let dx = g.mul(at.dy, slope);
        let dt = at.wanted[1].then(|| {
            let slope = g.neg(at.x[0]);
            g.mul(at.dy, slope)
        });
        vec![Some(dx), dt]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let zero = e.float(0.0);
        let [x, t] = [x[0], x[1]];
        let positive = e.max(zero, x);
        let product = e.mul(x, t);
        let linear = e.sub(positive, product);
        let size = e.abs(x);
        let minus = e.neg(size);
        let exp = e.exp(minus);
        let rest = e.log1p(exp);
        e.add(linear, rest)
    }

    fn variants() -> Vec<BinaryCrossEntropyWithLogits> {
        vec![BinaryCrossEntropyWithLogits]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(3.0), Domain::Probability]
    }
}
