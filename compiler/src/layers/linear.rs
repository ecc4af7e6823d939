//! The layer [`Linear`].

use super::{Axis, Layer, printed};
use crate::declaration::{Fans, Init, LayerScope, Parameter};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, AttributeKind, Attributes, add, matmul};
use crate::shape::{Dim, Shape, Type};

/// Linear layer `y = x·W + b` over the last axis: `x` is `[…, in]`, `W` is `[in, out]`, `b` is `[out]`,
/// `y` is `[…, out]`.
///
/// Both are initialised uniformly between `±1/√in`, as PyTorch's.
///
/// In the language: `Linear(in_features = inferred, out_features, bias = true)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = x -> Linear(2);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert_eq!(y.dim(), (1, 2));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    /// `None` to infer it from the first use.
    in_features: Option<Dim>,
    out_features: Dim,
    bias: bool,
}

impl Layer for Linear {
    const NAME: &'static str = "Linear";
    const ATTRIBUTES: &'static [Attribute] = &[
        Attribute { name: "in_features", kind: AttributeKind::Size, default: Some("inferred") },
        Attribute { name: "out_features", kind: AttributeKind::Size, default: None },
        Attribute { name: "bias", kind: AttributeKind::Flag, default: Some("true") },
    ];
    const POSITIONAL: &'static [&'static [&'static str]] =
        &[&[], &["out_features"], &["in_features", "out_features"]];

    fn from_call(attributes: &Attributes) -> Result<Linear, Mistake> {
        Ok(Linear {
            in_features: attributes.size("in_features"),
            out_features: attributes
                .size("out_features")
                .ok_or_else(|| Mistake::call("`Linear` needs `out_features`"))?,
            bias: attributes.flag("bias").unwrap_or(true),
        })
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [x]: [(NodeId, &str); 1],
    ) -> Result<[NodeId; 1], Mistake> {
        let inputs = super::features(scope, x, Axis::Last, self.in_features.as_ref(), "weight")?;
        let outputs = self.out_features.clone();
        let fans = Fans { inputs: inputs.clone(), outputs: outputs.clone(), receptive: 1 };
        let parameter = |name: &str, dims: Vec<Dim>| {
            Parameter::new(name, Shape::unbatched(dims), Init::Linear).with_fans(fans.clone())
        };
        // `[out, in]` in PyTorch.
        let weight = parameter("weight", vec![inputs, outputs.clone()]).in_file(&[1, 0]);
        let weight = scope.declare(weight)?;
        let y = scope.call(matmul::MatMul, &[x, (weight, "weight")])?;
        if !self.bias {
            return Ok([y]);
        }
        let bias = scope.declare(parameter("bias", vec![outputs]))?;
        Ok([scope.call(add::Add, &[(y, "x·W"), (bias, "bias")])?])
    }

    fn describe(&self, [input]: &[Type; 1]) -> String {
        let in_features = input.shape.dims.last().map_or(String::new(), |d| format!("{d}, "));
        let bias = if self.bias { "" } else { ", bias = false" };
        format!("Linear({in_features}{}{bias})", self.out_features)
    }

    fn module(&self, [input]: &[Type; 1]) -> String {
        let in_features = input.shape.dims.last().map_or(String::new(), |d| d.to_string());
        let (out_features, bias) = (&self.out_features, printed::flag(self.bias));
        format!("Linear(in_features={in_features}, out_features={out_features}, bias={bias})")
    }
}
