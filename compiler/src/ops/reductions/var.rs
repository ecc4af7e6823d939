//! The operation [`Var`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Op, Operation, Reduced, Reverse,
    Sample, Signature, axis,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::mean::{Mean, Over};
use crate::ops::reduce::Reduction;
use crate::shape::{Argument, Facts, Type};

/// The variance over axes of the example, all by default: the sum of the squared differences
/// from the mean, divided by the number of elements, minus 1 if `unbiased` (Bessel's correction, as in
/// PyTorch). The unbiased variance of one element is NaN.
///
/// In the language: `var(x, axis = all, unbiased = true, keepdim = false)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         output y = var(x);
///     }
/// }
///
/// let x = array![[1.0, 2.0, 4.0]];
/// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
/// assert!((y - array![2.33333]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Var {
    /// The reduced axes.
    pub over: Reduced,
    /// Whether the divisor is the number of elements minus 1; default true.
    pub unbiased: bool,
}

/// The attributes of `var` and `std`.
pub(in crate::ops) const ATTRIBUTES: &[Attribute] = &[
    axis::REDUCED,
    Attribute { name: "unbiased", kind: AttributeKind::Flag, default: Some("true") },
    axis::KEEPDIM,
];

impl Var {
    /// The divisor of the sum of squares.
    pub(in crate::ops) fn divisor(&self, x: &Type) -> f32 {
        (self.over.count(x) - usize::from(self.unbiased)) as f32
    }

    /// Differences from the mean.
    pub(in crate::ops) fn centred(&self, g: &mut Graph, x: NodeId) -> NodeId {
        let kept = self.over.kept(g.ty(x));
        let mean = g.apply(Mean { over: Over::Example(self.over.clone()) }, &[x]);
        let mean = g.reshape(mean, &kept);
        g.sub(x, mean)
    }

    /// The gradient of the elements from the gradient of their variance.
    pub(in crate::ops) fn backward(&self, g: &mut Graph, x: NodeId, dy: NodeId) -> NodeId {
        let ty = g.ty(x).clone();
        let dy = g.reshape(dy, &self.over.kept(&ty));
        let centred = self.centred(g, x);
        let share = g.constant(2.0 / self.divisor(&ty));
        let share = g.mul(dy, share);
        g.mul(centred, share)
    }

    /// The variance of numbers, for the interpreter.
    #[cfg(feature = "eval")]
    pub(in crate::ops) fn of<T: Real>(&self, x: &mut dyn Iterator<Item = &T>) -> T {
        let x: Vec<T> = x.copied().collect();
        let mean = x.iter().copied().total() / T::of(x.len() as f32);
        let squares = x.iter().map(|x| (*x - mean) * (*x - mean)).total();
        squares / T::of((x.len() - usize::from(self.unbiased)) as f32)
    }
}

impl Operation for Var {
    const NAME: &'static str = "var";
    const CALL: Option<Signature> = Some(Signature::of(&["x"]).with(ATTRIBUTES));

    fn from_call(attributes: &Attributes) -> Result<Var, Mistake> {
        let unbiased = attributes.flag("unbiased").unwrap_or(true);
        Ok(Var { over: Reduced::of(attributes), unbiased })
    }

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        self.over.shape(Self::NAME, x[0])
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        self.over.evaluate(x[0], at, |lane| self.of(lane))
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(self.backward(g, at.x[0], at.dy))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let centred = self.centred(g, x[0]);
            let squares = g.square(centred);
            let sum = self.over.decompose(Reduction::Sum, g, squares);
            let count = g.constant(self.divisor(g.ty(x[0])));
            g.div(sum, count)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        samples(size, |over, unbiased| Var { over, unbiased })
    }
}

/// Samples, with more than one element for the unbiased variance.
pub(in crate::ops) fn samples<O: Into<Op>>(
    size: usize,
    op: impl Fn(Reduced, bool) -> O,
) -> Vec<Sample> {
    let mut samples = axis::samples(size, Domain::Normal(1.0), |over| op(over, false));
    let unbiased = axis::samples(size, Domain::Normal(1.0), |over| op(over, true));
    samples.extend(unbiased.into_iter().filter(|sample| match &sample.op {
        Op::Var(Var { over, .. }) | Op::Std(super::std_dev::Std(Var { over, .. })) => {
            over.count(&sample.operands[0].ty) > 1
        }
        _ => true,
    }));
    samples
}
