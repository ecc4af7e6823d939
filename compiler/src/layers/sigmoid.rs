//! The layer [`Sigmoid`].

use super::Layer;
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, sigmoid};
use crate::shape::Type;

/// `1 / (1 + e⁻ˣ)`, element by element.
///
/// In the language: `Sigmoid()`, or `Sigmoid`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> Sigmoid;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.268941, 0.622459, 0.880797]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sigmoid;

impl Layer for Sigmoid {
    const NAME: &'static str = "Sigmoid";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Sigmoid, Mistake> {
        Ok(Sigmoid)
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(sigmoid::Sigmoid, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
