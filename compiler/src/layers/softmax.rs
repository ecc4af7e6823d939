//! The layer [`Softmax`].

use super::{Layer, attributes_of, printed};
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, Operation, softmax};
use crate::shape::Type;

/// `eˣ / Σ eˣ` over an axis, the last unless told.
///
/// In the language: `Softmax(axis = -1)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> Softmax;
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.0420101, 0.114195, 0.843795]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Softmax {
    function: softmax::Softmax,
}

impl Layer for Softmax {
    const NAME: &'static str = "Softmax";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<softmax::Softmax>();
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["axis"]];

    fn from_call(attributes: &Attributes) -> Result<Softmax, Mistake> {
        Ok(Softmax { function: softmax::Softmax::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        format!("Softmax(axis = {})", self.function.axis)
    }

    fn module(&self, _: &Type) -> String {
        format!("Softmax(dim={})", printed::dim(self.function.axis))
    }
}
