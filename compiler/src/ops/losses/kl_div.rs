//! The operation [`KlDiv`].

use super::{Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature, classes, rows};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// The Kullback-Leibler divergence of a target distribution `t` from log probabilities `x`, for each
/// row: `Σ t · (ln t - x)` over the last axis. Terms with `t = 0` are 0, with gradient 0.
///
/// The mean over examples is PyTorch's reduction `batchmean`.
///
/// In the language: `kl_div(log_probabilities, target)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input scores: [3];
///         input target: [3];
///         output y = kl_div(log_softmax(scores), target);
///     }
/// }
///
/// let scores = array![[1.0, 3.0, 0.5]];
/// let target = array![[0.5, 0.5, 0.0]];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { scores: scores.view(), target: target.view() })?.y;
/// assert!((y - array![0.503587]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KlDiv;

impl Operation for KlDiv {
    const NAME: &'static str = "kl_div";
    const CALL: Option<Signature> = Some(Signature::of(&["log_probabilities", "target"]));

    fn from_call(_: &Attributes) -> Result<KlDiv, Mistake> {
        Ok(KlDiv)
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        rows::shape(Self::NAME, x[0], x[1], facts)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let [x, targets] = [x[0].reals(), x[1].reals()];
        let sizes = at.sizes();
        let width = x.len() / sizes.iter().product::<usize>();
        let term = |(x, t): (&T, &T)| match *t == T::zero() {
            true => T::zero(),
            false => *t * (t.ln() - *x),
        };
        let rows = x.chunks(width).zip(targets.chunks(width));
        Value::real(&sizes, rows.map(|(x, t)| x.iter().zip(t).map(term).total()).collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [x, t] = [at.x[0], at.x[1]];
        let dy = classes::column(g, at.dy);
        let slope = g.mul(t, dy);
        let dx = g.neg(slope);
        let dt = at.requested[1].then(|| {
            let (zero, one) = (g.constant(0.0), g.constant(1.0));
            let log = g.log(t);
            let difference = g.sub(log, x);
            let slope = g.add(difference, one);
            let product = g.mul(slope, dy);
            let is_zero = g.equal(t, zero);
            g.select(is_zero, zero, product)
        });
        vec![Some(dx), dt]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let [x, t] = [x[0], x[1]];
            let zero = g.constant(0.0);
            let log = g.log(t);
            let difference = g.sub(log, x);
            let term = g.mul(t, difference);
            let is_zero = g.equal(t, zero);
            let term = g.select(is_zero, zero, term);
            rows::sum(g, term)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        rows::samples(size, [Domain::Normal(1.0), Domain::Probability], None, KlDiv)
    }
}
