//! The layer [`Hardsigmoid`].

use super::Layer;
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, hardsigmoid};
use crate::shape::Type;

/// `min(max(x + 3, 0), 6) / 6`, element by element.
///
/// In the language: `Hardsigmoid()`, or `Hardsigmoid`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> Hardsigmoid;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.333333, 0.583333, 0.833333]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hardsigmoid;

impl Layer for Hardsigmoid {
    const NAME: &'static str = "Hardsigmoid";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Hardsigmoid, Mistake> {
        Ok(Hardsigmoid)
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(hardsigmoid::Hardsigmoid, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
