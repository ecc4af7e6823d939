//! The operation [`Normalize`].

use super::norm::{self, Norm};
use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Operation, Reduced, Reverse,
    Sample, Signature, axis,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// Vectors divided by their [norm], or by `eps` if that is larger: `x / max(‖x‖, eps)`. The
/// elements of a vector are those along the axes, by default the last; so a vector of zeros remains.
///
/// In the language: `normalize(x, p = 2, axis = -1, eps = 1e-12)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [2];
///         output y = normalize(x);
///     }
/// }
///
/// let x = array![[3.0, -4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![[0.6, -0.8]]).iter().all(|error| error.abs() < 1e-6));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Normalize {
    /// The exponent of the norm, which may be infinite; default 2.
    pub p: Number,
    /// The smallest divisor; default 1e-12.
    pub eps: Number,
    /// The axes of a vector; default the last. Its `keepdim` is true.
    pub over: Reduced,
}

impl Normalize {
    /// The norm, and the divisor.
    fn divisor(&self, g: &mut Graph, x: NodeId) -> (NodeId, NodeId) {
        let norm = g.apply(Norm { p: self.p, over: self.over.clone() }, &[x]);
        let eps = g.constant(self.eps.0);
        (norm, g.maximum(norm, eps))
    }
}

impl Operation for Normalize {
    const NAME: &'static str = "normalize";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(&[
        norm::P,
        axis::REDUCED_LAST,
        Attribute { name: "eps", kind: AttributeKind::Number, default: Some("1e-12") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<Normalize, Mistake> {
        Ok(Normalize {
            p: norm::p(attributes)?,
            eps: Number(attributes.number("eps").unwrap_or(1e-12) as f32),
            over: Reduced { keepdim: true, ..Reduced::of_last(attributes) },
        })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        self.over.shape(Self::NAME, x[0])?;
        Ok(x[0].ty.clone())
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.over.map(x[0], at, |lane| {
            let norm = Norm::of(self.p, lane);
            let divisor = T::largest_of([norm, T::of(self.eps.0)].into_iter());
            lane.iter().map(|x| *x / divisor).collect()
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let x = at.x[0];
        let (norm, divisor) = self.divisor(g, x);
        let direct = g.div(at.dy, divisor);
        // Of the divisor: -Σ dy · y / divisor, and none where it is `eps`.
        let product = g.mul(direct, at.y);
        let sum = self.over.decompose(Reduction::Sum, g, product);
        let minus = g.neg(sum);
        let (zero, eps) = (g.constant(0.0), g.constant(self.eps.0));
        let is_small = g.greater(eps, norm);
        let dnorm = g.select(is_small, zero, minus);
        let norm_of = Norm { p: self.p, over: self.over.clone() };
        vec![Some(match norm_of.backward(g, x, norm, dnorm) {
            Some(through) => g.add(direct, through),
            None => direct,
        })]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let (_, divisor) = self.divisor(g, x[0]);
            g.div(x[0], divisor)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        // Not near 0, where the gradients of a direction are large.
        let of = |p: f32, eps: f32| {
            axis::samples(size, Domain::Positive, move |over| Normalize {
                p: Number(p),
                eps: Number(eps),
                over: Reduced { keepdim: true, ..over },
            })
        };
        let mut samples = of(2.0, 1e-12);
        samples.extend(of(2.0, 100.0).into_iter().step_by(4));
        for p in [1.0, f32::INFINITY, 3.0] {
            samples.extend(of(p, 1e-12).into_iter().step_by(3));
        }
        samples
    }
}
