//! The layer [`Bilinear`].

use super::{Axis, Layer, printed};
use crate::declaration::{Init, LayerScope};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, AttributeKind, Attributes, add, matmul};
use crate::shape::{Dim, Shape, Type};

/// Bilinear layer `yₖ = Σᵢⱼ x1ᵢ · Wₖᵢⱼ · x2ⱼ + bₖ` of two vectors `[in1]` and `[in2]` per example; `W` is
/// `[out, in1, in2]`, `b` and `y` are `[out]`.
///
/// Both are initialised uniformly between `±1/√in1`, as PyTorch's.
///
/// In the language: `Bilinear(in1_features, in2_features, out_features, bias = true)`; it takes two
/// values, so it is declared with a name.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [3];
///         input b: [2];
///         layer both = Bilinear(3, 2, 4);
///         output y = both(a, b);
///     }
/// }
///
/// let (a, b) = (array![[1.0, 2.0, 4.0]], array![[0.5, -1.0]]);
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y.dim(), (1, 4));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bilinear {
    in1_features: Dim,
    in2_features: Dim,
    out_features: Dim,
    bias: bool,
}

impl Layer<2> for Bilinear {
    const NAME: &'static str = "Bilinear";
    const ATTRIBUTES: &'static [Attribute] = &[
        Attribute { name: "in1_features", kind: AttributeKind::Size, default: None },
        Attribute { name: "in2_features", kind: AttributeKind::Size, default: None },
        Attribute { name: "out_features", kind: AttributeKind::Size, default: None },
        Attribute { name: "bias", kind: AttributeKind::Flag, default: Some("true") },
    ];
    const POSITIONAL: &'static [&'static [&'static str]] =
        &[&[], &["in1_features", "in2_features", "out_features"]];

    fn from_call(attributes: &Attributes) -> Result<Bilinear, Mistake> {
        let size = |name: &str| {
            let missing = || Mistake::call(format!("`Bilinear` needs `{name}`"));
            attributes.size(name).ok_or_else(missing)
        };
        Ok(Bilinear {
            in1_features: size("in1_features")?,
            in2_features: size("in2_features")?,
            out_features: size("out_features")?,
            bias: attributes.flag("bias").unwrap_or(true),
        })
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [a, b]: [(NodeId, &str); 2],
    ) -> Result<[NodeId; 1], Mistake> {
        let a_shape = self.vector(scope, 0, a, &self.in1_features)?;
        let b_shape = self.vector(scope, 1, b, &self.in2_features)?;
        let bound = 1.0 / (self.in1_features.fixed().unwrap_or(1) as f64).sqrt();
        let init = || Init::Uniform(-bound, bound);
        let [in1, in2, out] = [&self.in1_features, &self.in2_features, &self.out_features];
        let dims = vec![out.clone(), in1.clone(), in2.clone()];
        let weight = scope.parameter("weight", dims, init())?;

        // For each output a matrix product, `[batch, in1]·[in1, in2]`; then a dot product.
        let g = scope.graph();
        let dims = vec![out.clone(), Dim::Fixed(1), a_shape.dims[0].clone()];
        let a_stack = g.broadcast(a.0, &Shape { dims, ..a_shape });
        let product = scope.call(matmul::MatMul, &[(a_stack, a.1), (weight, "weight")])?;
        let g = scope.graph();
        let dims = vec![out.clone(), b_shape.dims[0].clone()];
        let batched = g.shape(product).batched;
        let product = g.reshape(product, &Shape { batched, dims });
        let y = scope.call(matmul::MatMul, &[(product, "x1·W"), b])?;
        if !self.bias {
            return Ok([y]);
        }
        let bias = scope.parameter("bias", vec![out.clone()], init())?;
        Ok([scope.call(add::Add, &[(y, "x1·W·x2"), (bias, "bias")])?])
    }

    fn describe(&self, _: &[Type; 2]) -> String {
        let Bilinear { in1_features, in2_features, out_features, bias } = self;
        let bias = if *bias { "" } else { ", bias = false" };
        format!("Bilinear({in1_features}, {in2_features}, {out_features}{bias})")
    }

    fn module(&self, _: &[Type; 2]) -> String {
        let Bilinear { in1_features, in2_features, out_features, bias } = self;
        format!(
            "Bilinear(in1_features={in1_features}, in2_features={in2_features}, \
             out_features={out_features}, bias={})",
            printed::flag(*bias)
        )
    }
}

impl Bilinear {
    /// The shape of an operand, which must be a vector with this number of features.
    fn vector(
        &self,
        scope: &mut LayerScope<'_>,
        index: usize,
        x: (NodeId, &str),
        expected: &Dim,
    ) -> Result<Shape, Mistake> {
        let size = super::size_along(scope, index, x, Axis::Last)?;
        super::matches_features(scope, x.1, expected, &size)?;
        let shape = scope.ty(x.0).shape.clone();
        match shape.rank() {
            1 => Ok(shape),
            _ => {
                let shown = scope.shown();
                let message = format!("`{shown}` takes vectors, but `{}` has shape {shape}", x.1);
                Err(Mistake::operand(index, message))
            }
        }
    }
}
