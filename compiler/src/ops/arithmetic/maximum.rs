//! The operation [`Maximum`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The larger of two values; NaN if one of them is NaN. If they are equal, each receives half of the
/// gradient; if one is NaN, each receives all of it, as in PyTorch.
///
/// In the language: `maximum(a, b)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = maximum(a, b);
///     }
/// }
///
/// let a = array![[1.0, -2.0, 3.0]];
/// let b = array![[0.5, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[1.0, 2.0, 4.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Maximum;

impl Elementwise for Maximum {
    const NAME: &'static str = "maximum";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]).or("max"));

    fn from_call(_: &Attributes) -> Result<Maximum, Mistake> {
        Ok(Maximum)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0].is_nan() || x[0] > x[1] { x[0] } else { x[1] }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [a, b] = [at.x[0], at.x[1]];
        let excluded = [g.greater(b, a), g.greater(a, b)];
        gradients(g, at, excluded)
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let max = e.max(x[0], x[1]);
        e.keep_nan(x[0], max)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::PRESERVED
    }

    fn variants() -> Vec<Maximum> {
        vec![Maximum]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Separated]
    }
}

/// The gradients of the maximum or minimum of two values, from indicators that an operand is not the
/// result. Indicators that it is the result would be 0 for NaN, for which PyTorch propagates the
/// gradient.
pub(in crate::ops) fn gradients(
    g: &mut Graph,
    at: &Reverse<'_>,
    excluded: [NodeId; 2],
) -> Vec<Option<NodeId>> {
    let ties = g.equal(at.x[0], at.x[1]);
    let half = g.scale(ties, 0.5);
    let one = g.constant(1.0);
    let share_of_ties = g.sub(one, half);
    let gradient = |excluded| {
        let share = g.sub(share_of_ties, excluded);
        Some(g.mul(at.dy, share))
    };
    excluded.map(gradient).to_vec()
}
