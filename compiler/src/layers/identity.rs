//! The layer [`Identity`].

use super::Layer;
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes};
use crate::shape::Type;

/// The identity: returns its input.
///
/// In the language: `Identity()`, or `Identity`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> Identity;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-1.0, 0.5, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Identity;

impl Layer for Identity {
    const NAME: &'static str = "Identity";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Identity, Mistake> {
        Ok(Identity)
    }

    fn apply(
        &self,
        _: &mut LayerScope<'_>,
        [x]: [(NodeId, &str); 1],
    ) -> Result<[NodeId; 1], Mistake> {
        Ok([x.0])
    }

    fn describe(&self, _: &[Type; 1]) -> String {
        Self::NAME.into()
    }
}
