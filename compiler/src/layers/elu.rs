//! The layer [`ELU`].

use super::{Layer, attributes_of};
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, Elementwise, elu};
use crate::shape::Type;

/// `x` above 0, else `alpha·(eˣ - 1)`, element by element.
///
/// In the language: `ELU(alpha = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> ELU;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-0.632121, 0.5, 2.0]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ELU {
    function: elu::Elu,
}

impl Layer for ELU {
    const NAME: &'static str = "ELU";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<elu::Elu>();
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["alpha"]];

    fn from_call(attributes: &Attributes) -> Result<ELU, Mistake> {
        Ok(Self { function: <elu::Elu as Elementwise>::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        format!("ELU(alpha = {:?})", self.function.alpha)
    }
}
