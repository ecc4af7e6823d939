//! The layer [`GELU`].

use super::{Layer, attributes_of};
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::gelu::Gelu;
use crate::ops::{Attribute, Attributes, Elementwise};
use crate::shape::Type;

/// `x·Φ(x)` with the normal distribution's `Φ`, element by element.
///
/// In the language: `GELU(approximate = none)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> GELU;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.158655, 0.345731, 1.9545]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GELU {
    function: Gelu,
}

impl Layer for GELU {
    const NAME: &'static str = "GELU";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<Gelu>();
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["approximate"]];

    fn from_call(attributes: &Attributes) -> Result<GELU, Mistake> {
        Ok(Self { function: <Gelu as Elementwise>::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        format!("GELU(approximate = {})", self.function.approximate.word())
    }

    fn module(&self, _: &Type) -> String {
        format!("GELU(approximate='{}')", self.function.approximate.word())
    }
}
