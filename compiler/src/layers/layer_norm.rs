//! The layer [`LayerNorm`].

use super::{Axis, Layer, printed};
use crate::declaration::{Init, LayerScope};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::standardize::Standardize;
use crate::ops::{Attribute, AttributeKind, Attributes, Number, layer_norm};
use crate::shape::{Dim, Type};

/// Layer normalisation over the last axis (J. Ba, J. Kiros, G. Hinton 2016):
/// `(x - mean) / √(variance + eps) · weight + bias`, with `weight` and `bias` of shape `[features]`,
/// initially 1 and 0.
///
/// In the language: `LayerNorm(normalized_shape = inferred, eps = 1e-5, elementwise_affine =
/// true)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> LayerNorm;
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-1.06904, -0.26726, 1.3363]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// `None` to infer it from the first use.
    features: Option<Dim>,
    eps: f64,
    affine: bool,
}

impl Layer for LayerNorm {
    const NAME: &'static str = "LayerNorm";
    const ATTRIBUTES: &'static [Attribute] = &[
        Attribute {
            name: "normalized_shape",
            kind: AttributeKind::Size,
            default: Some("inferred"),
        },
        Attribute { name: "eps", kind: AttributeKind::Number, default: Some("1e-5") },
        Attribute { name: "elementwise_affine", kind: AttributeKind::Flag, default: Some("true") },
    ];
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["normalized_shape"]];

    fn from_call(attributes: &Attributes) -> Result<LayerNorm, Mistake> {
        Ok(LayerNorm {
            features: attributes.size("normalized_shape"),
            eps: layer_norm::eps(attributes, layer_norm::EPS)?,
            affine: attributes.flag("elementwise_affine").unwrap_or(true),
        })
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [x]: [(NodeId, &str); 1],
    ) -> Result<[NodeId; 1], Mistake> {
        let features = super::features(scope, x, Axis::Last, self.features.as_ref(), "weight")?;
        let eps = Number(self.eps as f32);
        if !self.affine {
            return Ok([scope.call(Standardize { eps }, &[x])?]);
        }
        let weight = scope.parameter("weight", vec![features.clone()], Init::Full(1.0))?;
        let bias = scope.parameter("bias", vec![features], Init::Full(0.0))?;
        let op = layer_norm::LayerNorm { eps };
        Ok([scope.call(op, &[x, (weight, "weight"), (bias, "bias")])?])
    }

    fn describe(&self, [input]: &[Type; 1]) -> String {
        let features = input.shape.dims.last().map_or(String::new(), |d| d.to_string());
        let affine = if self.affine { "" } else { ", elementwise_affine = false" };
        format!("LayerNorm({features}, eps = {}{affine})", self.eps)
    }

    fn module(&self, [input]: &[Type; 1]) -> String {
        let features = input.shape.dims.last().map_or(String::new(), |d| d.to_string());
        let (eps, affine) = (printed::number(self.eps), printed::flag(self.affine));
        format!("LayerNorm(({features},), eps={eps}, elementwise_affine={affine}, bias={affine})")
    }
}
