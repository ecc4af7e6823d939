//! The operation [`Minimum`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature, maximum};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The smaller of two values; NaN if one of them is NaN. If they are equal, each receives half of the
/// gradient; if one is NaN, each receives all of it, as in PyTorch.
///
/// In the language: `minimum(a, b)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [3];
///         output y = minimum(a, b);
///     }
/// }
///
/// let a = array![[1.0, -2.0, 3.0]];
/// let b = array![[0.5, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[0.5, -2.0, 3.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Minimum;

impl Elementwise for Minimum {
    const NAME: &'static str = "minimum";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]).or("min"));

    fn from_call(_: &Attributes) -> Result<Minimum, Mistake> {
        Ok(Minimum)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0].is_nan() || x[0] < x[1] { x[0] } else { x[1] }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [a, b] = [at.x[0], at.x[1]];
        let excluded = [g.greater(a, b), g.greater(b, a)];
        maximum::gradients(g, at, excluded)
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let min = e.min(x[0], x[1]);
        e.keep_nan(x[0], min)
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::PRESERVED
    }

    fn variants() -> Vec<Minimum> {
        vec![Minimum]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Separated, Domain::Separated]
    }
}
