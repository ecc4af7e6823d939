//! The layer [`Step`].

use super::Layer;
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, step};
use crate::shape::Type;

/// 1 where `x ≥ 0`, else 0, element by element and without gradient: the perceptron's.
///
/// In the language: `Step()`, or `Step`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> Step;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[0.0, 1.0, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Step;

impl Layer for Step {
    const NAME: &'static str = "Step";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Step, Mistake> {
        Ok(Step)
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(step::Heaviside, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
