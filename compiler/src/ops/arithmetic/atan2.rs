//! The operation [`Atan2`].

use super::{Attributes, Domain, Elementwise, Finiteness, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// The angle of the point `(x, y)`, in radians from -π to π; of signed zeros and infinities as in
/// C.
///
/// In the language: `atan2(y, x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input y: [3];
///         input x: [3];
///         output angle = atan2(y, x);
///     }
/// }
///
/// let y = array![[1.0, -1.0, 0.0]];
/// let x = array![[1.0, 0.0, -1.0]];
/// let model = Example::model().build()?;
/// let found = model.predict(example::Input { y: y.view(), x: x.view() })?.angle;
/// assert!((found - array![[0.785398, -1.570796, 3.141593]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Atan2;

impl Elementwise for Atan2 {
    const NAME: &'static str = "atan2";
    const CALL: Option<Signature> = Some(Signature::of(&["y", "x"]));

    fn from_call(_: &Attributes) -> Result<Atan2, Mistake> {
        Ok(Atan2)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0].atan2(x[1])
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [y, x] = [at.x[0], at.x[1]];
        let squares = [g.square(y), g.square(x)];
        let size = g.add(squares[0], squares[1]);
        let share = g.div(at.dy, size);
        let (dy, dx) = (g.mul(share, x), g.mul(share, y));
        vec![Some(dy), Some(g.neg(dx))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        e.atan2(x[0], x[1])
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED
    }

    fn variants() -> Vec<Atan2> {
        vec![Atan2]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Positive]
    }
}
