//! The layer [`BatchNorm1d`].

use super::{Axis, Layer, printed};
use crate::declaration::{Init, LayerScope};
use crate::error::Mistake;
use crate::graph::{Graph, NodeId};
use crate::ops::feature_mean::{FeatureMean, align};
use crate::ops::{Attribute, AttributeKind, Attributes, layer_norm};
use crate::shape::{Dim, Shape, Type};

/// Batch normalisation (S. Ioffe, C. Szegedy 2015) of features, `[features]` or `[features, length]`
/// per example: `(x - mean) / √(variance + eps) · weight + bias`, as PyTorch's.
///
/// In training, mean and variance are those of the batch, over examples and length, and each batch
/// updates running statistics: `running = (1 - momentum) · running + momentum · batch`, with the
/// unbiased variance. In inference, the running statistics are used. `weight` and `bias` are
/// `[features]`, initially 1 and 0; without `affine` there are none.
///
/// In the language: `BatchNorm1d(num_features = inferred, eps = 1e-5, momentum = 0.1, affine =
/// true)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> BatchNorm1d;
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.999995, 1.99999, 3.99998]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchNorm1d {
    /// `None` to infer it from the first use.
    features: Option<Dim>,
    eps: f64,
    momentum: f64,
    affine: bool,
}

impl Layer for BatchNorm1d {
    const NAME: &'static str = "BatchNorm1d";
    const ATTRIBUTES: &'static [Attribute] = &[
        Attribute { name: "num_features", kind: AttributeKind::Size, default: Some("inferred") },
        Attribute { name: "eps", kind: AttributeKind::Number, default: Some("1e-5") },
        Attribute { name: "momentum", kind: AttributeKind::Number, default: Some("0.1") },
        Attribute { name: "affine", kind: AttributeKind::Flag, default: Some("true") },
    ];
    const POSITIONAL: &'static [&'static [&'static str]] = &[&[], &["num_features"]];

    fn from_call(attributes: &Attributes) -> Result<BatchNorm1d, Mistake> {
        let momentum = attributes.number("momentum").unwrap_or(0.1);
        if !(0.0..=1.0).contains(&momentum) {
            let message = format!("`momentum` must be from 0 to 1, but is {momentum}");
            return Err(Mistake::attribute("momentum", message));
        }
        Ok(BatchNorm1d {
            features: attributes.size("num_features"),
            eps: layer_norm::eps(attributes, 1e-5)?,
            momentum,
            affine: attributes.flag("affine").unwrap_or(true),
        })
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [x]: [(NodeId, &str); 1],
    ) -> Result<[NodeId; 1], Mistake> {
        let features =
            super::features(scope, x, Axis::First, self.features.as_ref(), "running_mean")?;
        let shape = scope.ty(x.0).shape.clone();
        if !shape.batched || !(1..=2).contains(&shape.rank()) {
            let message = format!(
                "`{}` takes features, `[features]` or `[features, length]` per example, but `{}` is {}{shape}",
                scope.shown(),
                x.1,
                if shape.batched { "" } else { "one value for all examples: " },
            );
            return Err(Mistake::operand(0, message));
        }
        let features = vec![features];
        // In PyTorch's order: parameters, then buffers.
        let affine = match self.affine {
            true => Some((
                scope.parameter("weight", features.clone(), Init::Full(1.0))?,
                scope.parameter("bias", features.clone(), Init::Full(0.0))?,
            )),
            false => None,
        };
        let running_mean = scope.untrained("running_mean", features.clone(), Init::Full(0.0))?;
        let running_var = scope.untrained("running_var", features, Init::Full(1.0))?;

        let g = scope.graph();
        let mean = g.apply(FeatureMean { unbiased: false }, &[x.0]);
        let mean_of_batch = align(g, mean, &shape);
        let centered = g.sub(x.0, mean_of_batch);
        let square = g.square(centered);
        let variance = g.apply(FeatureMean { unbiased: false }, &[square]);
        let unbiased = g.apply(FeatureMean { unbiased: true }, &[square]);
        let training = self.normalize(g, centered, variance, &shape, affine);
        let next_mean = self.updated(g, running_mean, mean);
        let next_var = self.updated(g, running_var, unbiased);

        let running = align(g, running_mean, &shape);
        let centered = g.sub(x.0, running);
        let inference = self.normalize(g, centered, running_var, &shape, affine);
        scope.update(running_mean, next_mean);
        scope.update(running_var, next_var);
        Ok([scope.by_purpose((training, x.1), (inference, x.1))?])
    }

    fn describe(&self, [input]: &[Type; 1]) -> String {
        let features = input.shape.dims.first().map_or(String::new(), |d| d.to_string());
        let affine = if self.affine { "" } else { ", affine = false" };
        format!("BatchNorm1d({features}, eps = {}, momentum = {}{affine})", self.eps, self.momentum)
    }

    fn module(&self, [input]: &[Type; 1]) -> String {
        let features = input.shape.dims.first().map_or(String::new(), |d| d.to_string());
        let (eps, momentum) = (printed::number(self.eps), printed::number(self.momentum));
        let affine = printed::flag(self.affine);
        format!(
            "BatchNorm1d({features}, eps={eps}, momentum={momentum}, affine={affine}, \
             bias={affine}, track_running_stats=True)"
        )
    }
}

impl BatchNorm1d {
    fn normalize(
        &self,
        g: &mut Graph,
        centered: NodeId,
        variance: NodeId,
        shape: &Shape,
        affine: Option<(NodeId, NodeId)>,
    ) -> NodeId {
        let (eps, one) = (g.constant(self.eps as f32), g.constant(1.0));
        let variance = g.add(variance, eps);
        let deviation = g.sqrt(variance);
        let inverse = g.div(one, deviation);
        let inverse = align(g, inverse, shape);
        let y = g.mul(centered, inverse);
        let Some((weight, bias)) = affine else { return y };
        let (weight, bias) = (align(g, weight, shape), align(g, bias, shape));
        let y = g.mul(y, weight);
        g.add(y, bias)
    }

    /// The next value of a running statistic.
    fn updated(&self, g: &mut Graph, running: NodeId, of_batch: NodeId) -> NodeId {
        let decayed = g.scale(running, (1.0 - self.momentum) as f32);
        let share = g.scale(of_batch, self.momentum as f32);
        g.add(decayed, share)
    }
}
