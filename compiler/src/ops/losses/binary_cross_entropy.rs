//! The operation [`BinaryCrossEntropy`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The binary cross entropy of a probability and a target between 0 and 1, for each element:
/// `-(t·ln p + (1 - t)·ln(1 - p))`, with logarithms clamped to at least -100, as in PyTorch.
///
/// As in PyTorch, the gradient of the probability is `(p - t) / max(p·(1 - p), 1e-12)`, which departs
/// from the derivative where `p·(1 - p)` is less than 1e-12: verification against differences leaves
/// it undecided there.
///
/// In the language: `binary_cross_entropy(probability, target)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input p: [3];
///         input target: [3];
///         output y = binary_cross_entropy(p, target);
///     }
/// }
///
/// let p = array![[0.25, 0.5, 0.75]];
/// let target = array![[0.0, 1.0, 1.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { p: p.view(), target: target.view() })?.y;
/// assert!((y - array![[0.287682, 0.693147, 0.287682]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BinaryCrossEntropy;

impl Elementwise for BinaryCrossEntropy {
    const NAME: &'static str = "binary_cross_entropy";
    const CALL: Option<Signature> = Some(Signature::of(&["probability", "target"]));
    const BROADCASTS: bool = false;

    fn from_call(_: &Attributes) -> Result<BinaryCrossEntropy, Mistake> {
        Ok(BinaryCrossEntropy)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        let one = T::one();
        let cut = T::of(-100.0);
        // `Float::max` would drop the NaN of what is no probability.
        let log = |x: T| if x.ln() < cut { cut } else { x.ln() };
        -(x[1] * log(x[0]) + (one - x[1]) * log(one - x[0]))
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let one = g.constant(1.0);
        let [p, t] = [at.x[0], at.x[1]];
        let q = g.sub(one, p);
        let variance = g.mul(p, q);
        let least = g.constant(1e-12);
        let variance = g.maximum(variance, least);
        let difference = g.sub(p, t);
        let slope = g.div(difference, variance);
        let dp = g.mul(at.dy, slope);
        let dt = at.requested[1].then(|| {
            let cut = g.constant(-100.0);
            let [log_p, log_q] = [p, q].map(|x| {
                let log = g.log(x);
                g.maximum(log, cut)
            });
            let slope = g.sub(log_q, log_p);
            g.mul(at.dy, slope)
        });
        vec![Some(dp), dt]
    }

    #[cfg(feature = "eval")]
    fn departs(&self, x: &[f64]) -> bool {
        // With a margin, since differences move the probability.
        x[0] * (1.0 - x[0]) < 1e-11
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (one, cut) = (e.float(1.0), e.float(-100.0));
        let [p, t] = [x[0], x[1]];
        let q = e.sub(one, p);
        let [log_p, log_q] = [p, q].map(|x| {
            let log = e.log(x);
            // The constant is the first operand, so that NaN propagates.
            e.max(cut, log)
        });
        let complement = e.sub(one, t);
        let a = e.mul(t, log_p);
        let b = e.mul(complement, log_q);
        let sum = e.add(a, b);
        e.neg(sum)
    }

    fn variants() -> Vec<BinaryCrossEntropy> {
        vec![BinaryCrossEntropy]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Probability, Domain::Probability]
    }
}
