//! The layer [`Softplus`].

use super::{Layer, attributes_of};
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, Elementwise, softplus};
use crate::shape::Type;

/// `ln(1 + e^(beta·x)) / beta`, and `x` where `beta·x` is above `threshold`, element by element.
///
/// In the language: `Softplus(beta = 1.0, threshold = 20.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> Softplus;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.313262, 0.974077, 2.12693]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Softplus {
    function: softplus::Softplus,
}

impl Layer for Softplus {
    const NAME: &'static str = "Softplus";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<softplus::Softplus>();
    const POSITIONAL: &'static [&'static [&'static str]] =
        &[&[], &["beta"], &["beta", "threshold"]];

    fn from_call(attributes: &Attributes) -> Result<Softplus, Mistake> {
        Ok(Self { function: <softplus::Softplus as Elementwise>::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        let softplus::Softplus { beta, threshold } = &self.function;
        format!("Softplus(beta = {beta:?}, threshold = {threshold:?})")
    }
}
