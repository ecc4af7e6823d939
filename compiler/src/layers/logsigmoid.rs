//! The layer [`LogSigmoid`].

use super::Layer;
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, logsigmoid};
use crate::shape::Type;

/// `ln(sigmoid(x))`, element by element.
///
/// In the language: `LogSigmoid()`, or `LogSigmoid`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> LogSigmoid;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-1.31326, -0.474077, -0.126928]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogSigmoid;

impl Layer for LogSigmoid {
    const NAME: &'static str = "LogSigmoid";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<LogSigmoid, Mistake> {
        Ok(LogSigmoid)
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(logsigmoid::LogSigmoid, &[x])
    }

    fn describe(&self, _: &Type) -> String {
        Self::NAME.into()
    }
}
