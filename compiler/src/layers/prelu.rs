//! The layer [`PReLU`].

use super::Layer;
use crate::declaration::{Init, LayerScope};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, AttributeKind, Attributes, prelu, reshape};
use crate::shape::{Dim, Type};

/// Parametric rectified linear unit: `x` for `x > 0`, else `weight·x`, with one learned slope or one per
/// channel.
///
/// `weight` is `[num_parameters]`, initially `init`. Channels are the first axis of an example, as in
/// PyTorch; for vectors, the features.
///
/// In the language: `PReLU(num_parameters = 1, init = 0.25)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> PReLU;
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y, array![[-0.25, 0.5, 2.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PReLU {
    num_parameters: Dim,
    init: f64,
}

impl Layer for PReLU {
    const NAME: &'static str = "PReLU";
    const ATTRIBUTES: &'static [Attribute] = &[
        Attribute { name: "num_parameters", kind: AttributeKind::Size, default: Some("1") },
        Attribute { name: "init", kind: AttributeKind::Number, default: Some("0.25") },
    ];
    const POSITIONAL: &'static [&'static [&'static str]] =
        &[&[], &["num_parameters"], &["num_parameters", "init"]];

    fn from_call(attributes: &Attributes) -> Result<PReLU, Mistake> {
        Ok(PReLU {
            num_parameters: attributes.size("num_parameters").unwrap_or(Dim::Fixed(1)),
            init: attributes.number("init").unwrap_or(0.25),
        })
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [x]: [(NodeId, &str); 1],
    ) -> Result<[NodeId; 1], Mistake> {
        let ty = super::real(scope, 0, x)?.clone();
        let slopes = &self.num_parameters;
        // The shape that broadcasts the slopes along the axes after the channels.
        let mut dims = Vec::new();
        if *slopes != Dim::Fixed(1) {
            let Some(channels) = ty.shape.dims.first() else {
                let message = format!(
                    "`{}` has {slopes} slopes, but `{}` is a single number",
                    scope.shown(),
                    x.1
                );
                return Err(Mistake::operand(0, message));
            };
            let mistake = Mistake::call(format!(
                "`{}` has {slopes} slopes, one for each element of the first axis, but `{}` of \
                 shape {} has {channels} there",
                scope.shown(),
                x.1,
                ty.shape
            ));
            scope.same(slopes, channels, mistake)?;
            dims = vec![Dim::Fixed(1); ty.shape.rank()];
            dims[0] = slopes.clone();
        }
        let weight = scope.parameter("weight", vec![slopes.clone()], Init::Full(self.init))?;
        let weight = scope.call(reshape::Reshape { dims }, &[(weight, "weight")])?;
        Ok([scope.call(prelu::Prelu, &[x, (weight, "weight")])?])
    }

    fn describe(&self, _: &[Type; 1]) -> String {
        format!("PReLU(num_parameters = {}, init = {:?})", self.num_parameters, self.init)
    }

    fn module(&self, _: &[Type; 1]) -> String {
        format!("PReLU(num_parameters={})", self.num_parameters)
    }
}
