//! The layer [`LeakyReLU`].

use super::{Layer, attributes_of};
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, Elementwise, leaky_relu};
use crate::shape::Type;

/// `x` above 0, else `negative_slope·x`, element by element.
///
/// In the language: `LeakyReLU(negative_slope = 0.01)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> LeakyReLU(0.1);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.1, 0.5, 2.0]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LeakyReLU {
    function: leaky_relu::LeakyRelu,
}

impl Layer for LeakyReLU {
    const NAME: &'static str = "LeakyReLU";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<leaky_relu::LeakyRelu>();
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["negative_slope"]];

    fn from_call(attributes: &Attributes) -> Result<LeakyReLU, Mistake> {
        Ok(Self { function: <leaky_relu::LeakyRelu as Elementwise>::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        format!("LeakyReLU(negative_slope = {:?})", self.function.negative_slope)
    }
}
