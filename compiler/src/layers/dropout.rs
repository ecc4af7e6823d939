//! The layer [`Dropout`].

use super::{Layer, printed};
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::faults::{self, Fault};
use crate::graph::NodeId;
use crate::ops::{Attribute, AttributeKind, Attributes};
use crate::shape::Type;

/// Dropout (N. Srivastava et al. 2014): in training, each element is set to 0 with probability `p`, else
/// divided by `1 - p`; in inference, the identity.
///
/// Which elements are dropped depends only on the seed, the number of the batch and the index of the
/// element.
///
/// In the language: `Dropout(p = 0.5)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> Dropout(0.5);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, x); // only while training is anything dropped
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dropout {
    p: f64,
}

impl Layer for Dropout {
    const NAME: &'static str = "Dropout";
    const ATTRIBUTES: &'static [Attribute] =
        &[Attribute { name: "p", kind: AttributeKind::Number, default: Some("0.5") }];
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["p"]];

    fn from_call(attributes: &Attributes) -> Result<Dropout, Mistake> {
        let p = attributes.number("p").unwrap_or(0.5);
        match (0.0..=1.0).contains(&p) {
            true => Ok(Dropout { p }),
            false => {
                let message = format!("`p` must be a probability from 0 to 1, but is {p}");
                Err(Mistake::attribute("p", message))
            }
        }
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [x]: [(NodeId, &str); 1],
    ) -> Result<[NodeId; 1], Mistake> {
        super::real(scope, 0, x)?;
        let stream = scope.stream();
        let g = scope.graph();
        let shape = g.shape(x.0).clone();
        let random = crate::ops::random::Random::uniform(g, stream, &shape);
        let (p, zero) = (g.constant(self.p as f32), g.constant(0.0));
        let scale = g.constant(if self.p < 1.0 { (1.0 / (1.0 - self.p)) as f32 } else { 0.0 });
        let scale = if faults::is(Fault::DropoutScale) { g.constant(1.0) } else { scale };
        let is_dropped = g.greater(p, random);
        let factor = g.select(is_dropped, zero, scale);
        let y = g.mul(x.0, factor);
        Ok([scope.by_purpose((y, x.1), x)?])
    }

    fn describe(&self, _: &[Type; 1]) -> String {
        format!("Dropout(p = {})", self.p)
    }

    fn module(&self, _: &[Type; 1]) -> String {
        format!("Dropout(p={}, inplace=False)", printed::number(self.p))
    }
}
