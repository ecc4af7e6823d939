//! The operation [`Addcmul`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Elementwise, Number, Reverse, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::Real;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};

/// `x + value·a·b`.
///
/// In the language: `addcmul(x, a, b, value = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input a: [3];
///         input b: [3];
///         output y = addcmul(x, a, b, value = 0.5);
///     }
/// }
///
/// let x = array![[1.0, 0.0, 3.0]];
/// let a = array![[1.0, 1.0, 3.0]];
/// let b = array![[2.0, 2.0, 8.0]];
/// let model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[2.0, 1.0, 15.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Addcmul {
    /// The factor; default 1.
    pub value: Number,
}

impl Elementwise for Addcmul {
    const NAME: &'static str = "addcmul";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "a", "b"]).with(&[Attribute {
        name: "value",
        kind: AttributeKind::Number,
        default: Some("1.0"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<Addcmul, Mistake> {
        Ok(Addcmul { value: Number(attributes.number("value").unwrap_or(1.0) as f32) })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T {
        x[0] + T::of(self.value.0) * (x[1] * x[2])
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let dy = g.scale(at.dy, self.value.0);
        let (da, db) = (g.mul(dy, at.x[2]), g.mul(dy, at.x[1]));
        vec![Some(at.dy), Some(da), Some(db)]
    }

    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let value = e.float(self.value.0);
        let product = e.mul(x[1], x[2]);
        e.mul_add(value, product, x[0])
    }

    fn variants() -> Vec<Addcmul> {
        [1.0, -0.5].map(|value| Addcmul { value: Number(value) }).to_vec()
    }

    fn domains(&self) -> Vec<Domain> {
        vec![Domain::Normal(1.0), Domain::Normal(1.0), Domain::Normal(1.0)]
    }
}
