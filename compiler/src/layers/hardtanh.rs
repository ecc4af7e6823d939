//! The layer [`Hardtanh`].

use super::Layer;
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, AttributeKind, Attributes, clamp, hardtanh};
use crate::shape::Type;

/// `x` clamped to `min_val` and `max_val`, element by element.
///
/// In the language: `Hardtanh(min_val = -1.0, max_val = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> Hardtanh;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-1.0, 0.5, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hardtanh {
    function: hardtanh::Hardtanh,
}

impl Layer for Hardtanh {
    const NAME: &'static str = "Hardtanh";
    const ATTRIBUTES: &'static [Attribute] = &[
        Attribute { name: "min_val", kind: AttributeKind::Number, default: Some("-1.0") },
        Attribute { name: "max_val", kind: AttributeKind::Number, default: Some("1.0") },
    ];
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["min_val", "max_val"]];

    fn from_call(attributes: &Attributes) -> Result<Hardtanh, Mistake> {
        let names = [("min_val", -1.0), ("max_val", 1.0)];
        let (min, max) = clamp::limits(attributes, Self::NAME, names)?;
        Ok(Hardtanh { function: hardtanh::Hardtanh { min, max } })
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [x]: [(NodeId, &str); 1],
    ) -> Result<[NodeId; 1], Mistake> {
        Ok([scope.call(self.function.clone(), &[x])?])
    }

    fn describe(&self, _: &[Type; 1]) -> String {
        let hardtanh::Hardtanh { min, max } = &self.function;
        format!("Hardtanh(min_val = {min:?}, max_val = {max:?})")
    }
}
