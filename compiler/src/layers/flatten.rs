//! The layer [`Flatten`].

use super::Layer;
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, reshape};
use crate::shape::{Dim, Type};

/// Flattens all axes of an example to one, in row-major order: `[a, b, c]` becomes `[a·b·c]`.
///
/// Sizes must be numbers, unless at most one is not 1; for products of symbolic sizes, use `reshape`.
///
/// In the language: `Flatten()`, or `Flatten`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2, 2];
///         output y = x -> Flatten;
///     }
/// }
///
/// let x = array![[[1.0, 2.0], [3.0, 4.0]]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[1.0, 2.0, 3.0, 4.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Flatten;

impl Layer for Flatten {
    const NAME: &'static str = "Flatten";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<Flatten, Mistake> {
        Ok(Flatten)
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [x]: [(NodeId, &str); 1],
    ) -> Result<[NodeId; 1], Mistake> {
        let shape = &scope.ty(x.0).shape;
        let mut factors = shape.dims.iter().filter(|d| **d != Dim::Fixed(1));
        let dim = match (factors.next(), factors.next()) {
            (None, _) => Dim::Fixed(1),
            (Some(only), None) => only.clone(),
            _ => {
                let count = shape.dims.iter().try_fold(1usize, |n, d| n.checked_mul(d.fixed()?));
                let sizes: Vec<_> = shape.dims.iter().map(Dim::to_string).collect();
                count.map(Dim::Fixed).ok_or_else(|| {
                    let message = format!(
                        "`{}` multiplies sizes that are numbers, but `{}` has shape {shape}: use \
                         `reshape([{}])`",
                        scope.shown(),
                        x.1,
                        sizes.join(" * ")
                    );
                    Mistake::operand(0, message)
                })?
            }
        };
        Ok([scope.call(reshape::Reshape { dims: vec![dim] }, &[x])?])
    }

    fn describe(&self, _: &[Type; 1]) -> String {
        Self::NAME.into()
    }

    fn module(&self, _: &[Type; 1]) -> String {
        // PyTorch's axis 0 is the batch.
        "Flatten(start_dim=1, end_dim=-1)".into()
    }
}
