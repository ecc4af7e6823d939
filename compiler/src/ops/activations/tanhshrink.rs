//! The operation [`Tanhshrink`].

use super::{Attributes, Domain, Elementwise, Reverse, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `x - tanh(x)`. Near 0 the difference cancels: the error is that of `tanh(x)`, as in PyTorch.
///
/// In the language: `tanhshrink(x)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = tanhshrink(x);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.238406, 0.037883, 1.035972]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tanhshrink;

impl Elementwise for Tanhshrink {
    const NAME: &'static str = "tanhshrink";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]));

    fn from_call(_: &Attributes) -> Result<Tanhshrink, Mistake> {
        Ok(Tanhshrink)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] - x[0].tanh()
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let tanh = g.apply(super::tanh::Tanh, &[at.x[0]]);
        let slope = g.square(tanh);
        vec![Some(g.mul(at.dy, slope))]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let tanh = e.tanh(x[0]);
        e.sub(x[0], tanh)
    }

    fn variants() -> Vec<Tanhshrink> {
        vec![Tanhshrink]
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0)]
    }
}
