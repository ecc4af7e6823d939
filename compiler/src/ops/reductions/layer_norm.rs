//! The operation [`LayerNorm`].

use super::standardize::Standardize;
use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Operand, Operation, Reverse,
    Sample, Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// Layer normalisation over the last axis (J. Ba, J. Kiros, G. Hinton 2016):
/// `(x - mean) / √(variance + eps) · weight + bias`, with the population variance.
///
/// In the language: `layer_norm(x, weight, bias, eps = 1e-5)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         param weight: [3] = ones;
///         param bias: [3] = zeros;
///         output y = layer_norm(x, weight, bias);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[-1.06904, -0.26726, 1.3363]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LayerNorm {
    /// Added to the variance; default 1e-5.
    pub eps: Number,
}

/// The default of `eps`, PyTorch's.
pub const EPS: f64 = 1e-5;

/// The attribute `eps`, which avoids division by a standard deviation of 0. It must not be negative:
/// the root of a small variance would be NaN.
pub(crate) fn eps(attributes: &Attributes, default: f64) -> Result<f64, Mistake> {
    let eps = attributes.number("eps").unwrap_or(default);
    match eps >= 0.0 {
        true => Ok(eps),
        false => Err(Mistake::attribute("eps", format!("`eps` must be at least 0, but is {eps}"))),
    }
}

impl LayerNorm {
    fn standardized(&self, g: &mut Graph, x: NodeId) -> NodeId {
        g.apply(Standardize { eps: self.eps }, &[x])
    }
}

impl Operation for LayerNorm {
    const NAME: &'static str = "layer_norm";
    const CALL: Option<Signature> =
        Some(Signature::of(&["x", "weight", "bias"]).with(&[Attribute {
            name: "eps",
            kind: AttributeKind::Number,
            default: Some("1e-5"),
        }]));

    fn from_call(attributes: &Attributes) -> Result<LayerNorm, Mistake> {
        Ok(LayerNorm { eps: Number(eps(attributes, EPS)? as f32) })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        for (i, a) in x.iter().enumerate() {
            super::elementwise::require_real(Self::NAME, i, *a)?;
        }
        let Some(features) = x[0].ty.shape.dims.last() else {
            let message = format!("`layer_norm` takes features, but `{}` is a number", x[0].name);
            return Err(Mistake::operand(0, message));
        };
        for (i, a) in x.iter().enumerate().skip(1) {
            let mistake = || {
                let message = format!(
                    "`{}` has {features} features, but `{}` is {}",
                    x[0].name, a.name, a.ty.shape
                );
                Mistake::operand(i, message)
            };
            let [size] = &a.ty.shape.dims[..] else { return Err(mistake()) };
            facts.same(features, size, mistake)?;
        }
        let mut ty = x[0].ty.clone();
        ty.shape.batched = x.iter().any(|x| x.ty.shape.batched);
        Ok(ty)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let sizes = at.sizes();
        let last = sizes[sizes.len() - 1];
        let rows = sizes.iter().product::<usize>() / last;
        // Row `r` of an operand, which may have one row for all examples.
        let row = |operand: usize, r: usize| {
            let all = x[operand].reals().chunks(last).collect::<Vec<_>>();
            match operand {
                0 => all[r % all.len()],
                _ => all[r * all.len() / rows],
            }
        };
        let mut values = Vec::new();
        for r in 0..rows {
            let x = row(0, r);
            let count = T::of(last as f32);
            let mean = x.iter().copied().total() / count;
            let variance = x.iter().map(|x| (*x - mean) * (*x - mean)).total() / count;
            let deviation = (variance + T::of(self.eps.0)).sqrt();
            let affine = x.iter().zip(row(1, r)).zip(row(2, r));
            values.extend(affine.map(|((x, w), b)| (*x - mean) / deviation * *w + *b));
        }
        Value::real(&sizes, values)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let y = self.standardized(g, at.x[0]);
        let shape = |g: &Graph, i: usize| g.shape(at.x[i]).clone();
        let (of_x, of_weight, of_bias) = (shape(g, 0), shape(g, 1), shape(g, 2));
        let dy = g.mul(at.dy, at.x[1]);
        let reverse = Reverse { x: &at.x[..1], y, dy, requested: &at.requested[..1] };
        let dx = match of_x.batched == g.shape(dy).batched {
            true => Standardize { eps: self.eps }.gradient(g, &reverse)[0],
            false => {
                // One x for all examples.
                let dy = g.sum_to(dy, &of_x);
                Standardize { eps: self.eps }.gradient(g, &Reverse { dy, ..reverse })[0]
            }
        };
        let by_weight = g.mul(at.dy, y);
        let dw = g.sum_to(by_weight, &of_weight);
        let db = g.sum_to(at.dy, &of_bias);
        vec![dx, Some(dw), Some(db)]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let y = self.standardized(g, x[0]);
            let y = g.mul(y, x[1]);
            g.add(y, x[2])
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let x = [Shape::batched([size + 1]), Shape::batched([2, size + 1])];
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let sample = |x| {
            let parameter = || real(Shape::unbatched([size + 1]));
            let op = LayerNorm { eps: Number(0.1) };
            Sample::new(op, [real(x), parameter(), parameter()]).summing(4 * size + 80)
        };
        x.map(sample).into()
    }
}
