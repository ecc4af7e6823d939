//! The operation [`MaskedFill`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `value` where the mask is true, else `x`. The mask is a real, usually 0 or 1 by a comparison; it
/// is true unless it is 0.
///
/// The gradient of `x` is 0 where it is replaced, as in [`where`](super::conditional).
///
/// In the language: `masked_fill(x, mask, value)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input mask: [3];
///         output y = masked_fill(x, mask, -1);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 3.0]];
/// let mask = array![[1.0, 0.0, 1.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view(), mask: mask.view() })?.y;
/// assert_eq!(y, array![[-1.0, 2.0, -1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MaskedFill {
    /// The number.
    pub value: Number,
}

impl Elementwise for MaskedFill {
    const NAME: &'static str = "masked_fill";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "mask"]).with(&[Attribute {
        name: "value",
        kind: AttributeKind::Number,
        default: None,
    }]));

    fn from_call(attributes: &Attributes) -> Result<MaskedFill, Mistake> {
        Ok(MaskedFill { value: Number(attributes.number("value").unwrap_or(0.0) as f32) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        if x[1] != T::zero() { T::of(self.value.0) } else { x[0] }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let zero = g.constant(0.0);
        vec![Some(g.choose(at.x[1], zero, at.dy)), None]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let value = e.float(self.value.0);
        e.choose(x[1], value, x[0])
    }

    fn chosen_by(&self, operand: usize) -> Option<(usize, bool)> {
        [Some((1, false)), None][operand]
    }

    fn variants() -> Vec<MaskedFill> {
        [2.0, -0.5, f32::NEG_INFINITY].map(|value| MaskedFill { value: Number(value) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Tied]
    }
}
