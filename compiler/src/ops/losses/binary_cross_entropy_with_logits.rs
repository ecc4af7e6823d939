//! The operation [`BinaryCrossEntropyWithLogits`].

use std::sync::Arc;

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Operand, Operation, Reverse,
    Sample, Signature, class_weights, elementwise,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// The binary cross entropy of `sigmoid(x)` and a target between 0 and 1, for each element, computed
/// without overflow as `max(x, 0) - x·t + ln(1 + e^-|x|)`.
///
/// `pos_weight`, `w`, is a factor of the term of the target, as in PyTorch:
/// `(1 - t)·x + (1 + (w - 1)·t) · ln(1 + e^-x)`. It is one number, or one per index on the last axis.
///
/// In the language: `binary_cross_entropy_with_logits(logits, target, pos_weight = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input target: [3];
///         output y = binary_cross_entropy_with_logits(x, target);
///     }
/// }
///
/// let x = array![[-1.0, 0.5, 2.0]];
/// let target = array![[0.0, 1.0, 1.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), target: target.view() })?.y;
/// assert!((y - array![[0.313262, 0.474077, 0.126928]]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BinaryCrossEntropyWithLogits {
    /// One number, or one per index on the last axis; `None` for 1.
    pub pos_weight: Option<Arc<[Number]>>,
}

impl BinaryCrossEntropyWithLogits {
    const PLAIN: BinaryCrossEntropyWithLogits = BinaryCrossEntropyWithLogits { pos_weight: None };

    /// `w - 1`: one number, or one per index on the last axis.
    fn excess_weight(g: &mut Graph, weight: &Arc<[Number]>) -> NodeId {
        let excess: Arc<[Number]> = weight.iter().map(|w| Number(w.0 - 1.0)).collect();
        match &excess[..] {
            [one] => g.constant(one.0),
            _ => g.vector(excess),
        }
    }

    /// The factor of the logarithm, `1 + (w - 1)·t`.
    fn factor(g: &mut Graph, weight: &Arc<[Number]>, target: NodeId) -> NodeId {
        let (one, excess) = (g.constant(1.0), Self::excess_weight(g, weight));
        let product = g.mul(excess, target);
        g.add(one, product)
    }

    /// `ln(1 + e^-x)`, the loss for target 1.
    fn softplus(g: &mut Graph, x: NodeId) -> NodeId {
        let shape = g.shape(x).clone();
        let one = g.filled(1.0, &shape);
        g.apply(Self::PLAIN, &[x, one])
    }

    fn expression(e: &mut Expressions, x: &[Expr]) -> Expr {
        let zero = e.float(0.0);
        let [x, t] = [x[0], x[1]];
        let positive = e.max(zero, x);
        let product = e.mul(x, t);
        let linear = e.sub(positive, product);
        let size = e.abs(x);
        let minus = e.neg(size);
        let exp = e.exp(minus);
        let log = e.log1p(exp);
        e.add(linear, log)
    }
}

impl Operation for BinaryCrossEntropyWithLogits {
    const NAME: &'static str = "binary_cross_entropy_with_logits";
    const IS_POINTWISE: bool = true;
    const CALL: Option<Signature> = Some(Signature::of(&["logits", "target"]).with(&[Attribute {
        name: "pos_weight",
        kind: AttributeKind::Numbers,
        default: Some("1.0"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<Self, Mistake> {
        let pos_weight = class_weights::numbers(attributes, "pos_weight");
        if pos_weight.as_ref().is_some_and(|weight| weight.is_empty()) {
            return Err(Mistake::attribute(
                "pos_weight",
                "`pos_weight` must have at least one number",
            ));
        }
        Ok(BinaryCrossEntropyWithLogits { pos_weight })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let ty = elementwise::shape(Self::NAME, x, facts)?;
        if let Some(weight) = self.pos_weight.as_ref().filter(|weight| weight.len() != 1) {
            if ty.shape.rank() == 0 {
                let message =
                    format!("`pos_weight` must be one number, since `{}` is one", x[0].name);
                return Err(Mistake::attribute("pos_weight", message));
            }
            class_weights::check_class_count("pos_weight", weight, x[0], facts)?;
        }
        Ok(ty)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let sizes = at.sizes();
        let pairs = x[0].reals().iter().zip(x[1].reals()).enumerate();
        let losses = pairs.map(|(i, (x, t))| {
            let (x, t) = (*x, *t);
            let positive = if x < T::zero() { T::zero() } else { x };
            let plain = positive - x * t + (-x.abs()).exp().ln_1p();
            let Some(weight) = &self.pos_weight else { return plain };
            let softplus = positive - x + (-x.abs()).exp().ln_1p();
            plain + (T::of(weight[i % weight.len()].0) - T::one()) * t * softplus
        });
        Value::real(&sizes, losses.collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [x, t] = [at.x[0], at.x[1]];
        let Some(weight) = &self.pos_weight else {
            let p = g.sigmoid(x);
            let slope = g.sub(p, t);
            let dx = g.mul(at.dy, slope);
            let dt = at.requested[1].then(|| {
                let slope = g.neg(x);
                g.mul(at.dy, slope)
            });
            return vec![Some(dx), dt];
        };
        // (1 - t) - factor · sigmoid(-x)
        let one = g.constant(1.0);
        let minus = g.neg(x);
        let q = g.sigmoid(minus);
        let factor = Self::factor(g, weight, t);
        let linear = g.sub(one, t);
        let product = g.mul(factor, q);
        let slope = g.sub(linear, product);
        let dx = g.mul(at.dy, slope);
        let dt = at.requested[1].then(|| {
            let excess = Self::excess_weight(g, weight);
            let softplus = Self::softplus(g, x);
            let product = g.mul(excess, softplus);
            let slope = g.sub(product, x);
            g.mul(at.dy, slope)
        });
        vec![Some(dx), dt]
    }

    fn lower(&self) -> Lowering<'_> {
        let Some(weight) = &self.pos_weight else {
            return Lowering::Elementwise(Box::new(Self::expression));
        };
        Lowering::Composite(Box::new(move |g, x| {
            let one = g.constant(1.0);
            let complement = g.sub(one, x[1]);
            let linear = g.mul(complement, x[0]);
            let factor = Self::factor(g, weight, x[1]);
            let softplus = Self::softplus(g, x[0]);
            let product = g.mul(factor, softplus);
            g.add(linear, product)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let each = (0..size).map(|i| Number((i % 4) as f32 * 0.75 + 0.5)).collect();
        let one: Arc<[Number]> = [Number(2.5)].into();
        [
            (Shape::batched([size]), None),
            (Shape::unbatched([3, size]), Some(one)),
            (Shape::batched([2, size]), Some(each)),
        ]
        .map(|(shape, pos_weight)| {
            let domains = [Domain::Normal(3.0), Domain::Probability];
            let operands = domains.map(|d| Operand::new(Type::real(shape.clone()), d));
            Sample::new(BinaryCrossEntropyWithLogits { pos_weight }, operands)
        })
        .to_vec()
    }
}
