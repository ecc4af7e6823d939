//! The operation [`Norm`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Operation, Order, Reduced,
    Reverse, Sample, Signature, axis,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::pow::Pow;
use crate::ops::reduce::Reduction;
use crate::ops::std_dev;
use crate::shape::{Argument, Facts, Type};

/// The norm `(Σ |x|ᵖ)^(1/p)` over axes of the example, all by default. `p = inf` is the largest
/// magnitude, `p = -inf` the smallest, `p = 0` the number of elements that are not 0. Where the norm is
/// 0, its gradient is 0, as in PyTorch; equal largest magnitudes share the gradient evenly.
///
/// In the language: `norm(x, p = 2, axis = all, keepdim = false)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2];
///         output y = norm(x);
///         output largest = norm(x, p = inf);
///     }
/// }
///
/// let x = array![[3.0, -4.0]];
/// let found = Example::model().build()?.predict(example::Input { x: x.view() })?;
/// assert_eq!((found.y, found.largest), (array![5.0], array![4.0]));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Norm {
    /// The exponent, which may be infinite; default 2.
    pub p: Number,
    /// The reduced axes.
    pub over: Reduced,
}

/// The exponent of a norm.
pub(in crate::ops) const P: Attribute =
    Attribute { name: "p", kind: AttributeKind::Order, default: Some("2") };

/// The value of [`P`].
pub(in crate::ops) fn p(attributes: &Attributes) -> Result<Number, Mistake> {
    let p = attributes.order("p").map_or(2.0, |Order(p)| p as f32);
    match p.is_nan() {
        true => Err(Mistake::attribute("p", "`p` is a number or `inf`, not NaN")),
        false => Ok(Number(p)),
    }
}

impl Norm {
    /// The norm of a lane of numbers, for the interpreter.
    #[cfg(feature = "eval")]
    pub(in crate::ops) fn of<T: Real>(p: Number, lane: &[T]) -> T {
        let sizes = lane.iter().map(|x| x.abs());
        match p.0 {
            f32::INFINITY => T::largest_of(sizes),
            f32::NEG_INFINITY => -T::largest_of(sizes.map(|x| -x)),
            0.0 => {
                let count = |x: &T| {
                    let x = *x;
                    T::all_branches(|| if x == T::zero() { T::zero() } else { T::one() })
                };
                lane.iter().map(count).total()
            }
            1.0 => sizes.total(),
            2.0 => lane.iter().map(|x| *x * *x).total().sqrt(),
            p => sizes.map(|x| x.powf(T::of(p))).total().powf(T::one() / T::of(p)),
        }
    }

    /// The gradient of the elements from their norm and its gradient, both with the reduced axes.
    pub(in crate::ops) fn backward(
        &self,
        g: &mut Graph,
        x: NodeId,
        norm: NodeId,
        dy: NodeId,
    ) -> Option<NodeId> {
        let p = self.p.0;
        if p == 0.0 {
            return None;
        }
        let zero = g.constant(0.0);
        let (is_positive, is_negative) = (g.greater(x, zero), g.greater(zero, x));
        let sign = g.sub(is_positive, is_negative);
        let size = g.abs(x);
        let is_zero = g.equal(norm, zero);
        let power = |g: &mut Graph, x, exponent: f32| match exponent {
            1.0 => x,
            exponent => g.apply(Pow { exponent: Number(exponent) }, &[x]),
        };
        Some(match p {
            1.0 => g.mul(sign, dy),
            _ if p.is_infinite() => {
                let is_extreme = g.equal(size, norm);
                let kept = g.shape(norm).clone();
                let count = g.sum_to(is_extreme, &kept);
                let share = g.div(dy, count);
                let share = g.mul(share, is_extreme);
                g.mul(share, sign)
            }
            2.0 => {
                let share = g.div(dy, norm);
                let share = g.select(is_zero, zero, share);
                g.mul(x, share)
            }
            // sign(x) · (|x| / norm)^(p - 1), which neither overflows nor underflows for p above 1.
            _ => {
                let one = g.constant(1.0);
                let divisor = g.select(is_zero, one, norm);
                let ratio = g.div(size, divisor);
                let power = power(g, ratio, p - 1.0);
                // Below 1, the power of 0 is infinite.
                let is_none = g.equal(x, zero);
                let power = g.select(is_none, zero, power);
                let signed = g.mul(sign, power);
                let slope = g.select(is_zero, zero, signed);
                g.mul(slope, dy)
            }
        })
    }
}

impl Operation for Norm {
    const NAME: &'static str = "norm";
    const CALL: Option<Signature> =
        Some(Signature::of(&["x"]).with(&[P, axis::REDUCED, axis::KEEPDIM]));

    fn from_call(attributes: &Attributes) -> Result<Norm, Mistake> {
        Ok(Norm { p: p(attributes)?, over: Reduced::of(attributes) })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        self.over.shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.over.evaluate(x[0], at, |lane| {
            let lane: Vec<T> = lane.copied().collect();
            Norm::of(self.p, &lane)
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let kept = self.over.kept(g.ty(at.x[0]));
        let (y, dy) = (g.reshape(at.y, &kept), g.reshape(at.dy, &kept));
        vec![self.backward(g, at.x[0], y, dy)]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let (x, over) = (x[0], &self.over);
            let size = g.abs(x);
            match self.p.0 {
                f32::INFINITY => over.decompose(Reduction::Max, g, size),
                f32::NEG_INFINITY => {
                    let minus = g.neg(size);
                    let largest = over.decompose(Reduction::Max, g, minus);
                    g.neg(largest)
                }
                0.0 => {
                    let (zero, one) = (g.constant(0.0), g.constant(1.0));
                    let is_zero = g.equal(x, zero);
                    let is_other = g.sub(one, is_zero);
                    over.decompose(Reduction::Sum, g, is_other)
                }
                1.0 => over.decompose(Reduction::Sum, g, size),
                2.0 => std_dev::root_of_squares(over, g, x, None),
                p => {
                    // Of ratios to the largest, whose powers do not overflow; but for a negative p,
                    // where the smallest counts.
                    let (zero, one) = (g.constant(0.0), g.constant(1.0));
                    let infinity = g.constant(f32::INFINITY);
                    let (ratio, largest) = match p > 0.0 {
                        true => {
                            let largest = over.decompose(Reduction::Max, g, size);
                            let is_above = g.greater(largest, zero);
                            let is_below = g.greater(infinity, largest);
                            let scales = g.mul(is_above, is_below);
                            let largest = g.select(scales, largest, one);
                            let kept = over.kept(g.ty(x));
                            let divisor = g.reshape(largest, &kept);
                            (g.div(size, divisor), Some(largest))
                        }
                        false => (size, None),
                    };
                    let powers = g.apply(Pow { exponent: Number(p) }, &[ratio]);
                    let sum = over.decompose(Reduction::Sum, g, powers);
                    let root = g.apply(Pow { exponent: Number(1.0 / p) }, &[sum]);
                    largest.map_or(root, |largest| g.mul(root, largest))
                }
            }
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let of =
            |p: f32, domain| axis::samples(size, domain, move |over| Norm { p: Number(p), over });
        let mut samples = of(2.0, Domain::Normal(1.0));
        for p in [0.0, 1.0, f32::INFINITY, f32::NEG_INFINITY, 3.0, 1.5] {
            let few = of(p, Domain::Separated).into_iter().step_by(3);
            samples.extend(few);
        }
        samples
    }
}
