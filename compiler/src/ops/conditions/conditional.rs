//! The operation [`Where`].

use super::{Attributes, Domain, Elementwise, Finiteness, Propagation, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// Chooses per element: `a` where the condition is true, else `b`. The condition is a real, usually
/// 0 or 1 by a comparison; it is true unless it is 0, so NaN is true.
///
/// The gradient is that of the chosen value, and 0 for the other and the condition. It is 0 also
/// through an element-wise function whose slope is infinite or NaN where it is not chosen:
/// `where(x > 0, sqrt(x), 0)` has the gradient 0 at 0, where PyTorch's is NaN.
///
/// In the language: `where(condition, a, b)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input condition: [3];
///         input a: [3];
///         input b: [3];
///         output y = where(condition, a, b);
///     }
/// }
///
/// let condition = array![[1.0, 0.0, 1.0]];
/// let a = array![[1.0, 2.0, 3.0]];
/// let b = array![[-1.0, -2.0, -3.0]];
/// let model = Example::model().build()?;
/// let y = model.predict(example::Input { condition: condition.view(), a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[1.0, -2.0, 3.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Where;

impl Elementwise for Where {
    const NAME: &'static str = "where";
    const CALL: Option<Signature> = Some(Signature::of(&["condition", "a", "b"]));

    fn from_call(_: &Attributes) -> Result<Where, Mistake> {
        Ok(Where)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[0] != T::zero() { x[1] } else { x[2] }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let zero = g.constant(0.0);
        let a = at.requested[1].then(|| g.choose(at.x[0], at.dy, zero));
        let b = at.requested[2].then(|| g.choose(at.x[0], zero, at.dy));
        vec![None, a, b]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.choose(x[0], x[1], x[2])
    }

    fn chosen_by(&self, operand: usize) -> Option<(usize, bool)> {
        [None, Some((0, true)), Some((0, false))][operand]
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness { propagation: Propagation::Sometimes, ..Finiteness::PRESERVED }
            .with_conditions(1)
    }

    fn variants() -> Vec<Where> {
        vec![Where]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Tied, Domain::Normal(1.0), Domain::Normal(1.0)]
    }
}
