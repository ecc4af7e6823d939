//! The layer [`LogSoftmax`].

use super::{Layer, attributes_of, printed};
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, Operation, log_softmax};
use crate::shape::Type;

/// `x - ln Σ eˣ` over an axis, the last unless told.
///
/// In the language: `LogSoftmax(axis = -1)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> LogSoftmax;
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-3.16985, -2.16985, -0.169846]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogSoftmax {
    function: log_softmax::LogSoftmax,
}

impl Layer for LogSoftmax {
    const NAME: &'static str = "LogSoftmax";
    const ATTRIBUTES: &'static [Attribute] = attributes_of::<log_softmax::LogSoftmax>();
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["axis"]];

    fn from_call(attributes: &Attributes) -> Result<LogSoftmax, Mistake> {
        Ok(LogSoftmax { function: log_softmax::LogSoftmax::from_call(attributes)? })
    }

    fn apply(&self, scope: &mut LayerScope<'_>, x: (NodeId, &str)) -> Result<NodeId, Mistake> {
        scope.call(self.function.clone(), &[x])
    }

    fn describe(&self, _: &Type) -> String {
        format!("LogSoftmax(axis = {})", self.function.axis)
    }

    fn module(&self, _: &Type) -> String {
        format!("LogSoftmax(dim={})", printed::dim(self.function.axis))
    }
}
