//! The operation [`CrossEntropy`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Op, Operation, Reverse, Sample,
    Signature,
    class_weights::{self, TargetWeights},
    classes, rows,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId};
use crate::ops::{log_softmax::LogSoftmax, softmax::Softmax};
use crate::shape::{Argument, Facts, Type};

/// The cross entropy of logits and a target, for each example. For a class index it is
/// `ln Σ eˣ - x[target]`, where the maximum is subtracted first to avoid overflow; for probabilities
/// `t` of the logits' shape it is `Σ t · (ln Σ eˣ - x)`.
///
/// Classes are on the last axis. The attributes are PyTorch's:
/// - `weight`: a factor for the term of each class;
/// - `label_smoothing`, `ε`: mixes the target's probabilities with uniform ones,
///   `(1 - ε) · t + ε / classes`, where the probability of a class index is 1;
/// - `ignore_index`: examples of this class are 0 and excluded from the mean.
///
/// For class indices, the mean is weighted by the class weights of the targets.
///
/// In the language: `cross_entropy(logits, target, weight = none, label_smoothing = 0.0,
/// ignore_index = none)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input scores: [3];
///         input target: class(3);
///         output y = cross_entropy(scores, target);
///     }
/// }
///
/// let scores = array![[1.0, 3.0, 0.5]];
/// let target = array![1];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { scores: scores.view(), target: target.view() })?.y;
/// assert!((y - array![0.196734]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CrossEntropy {
    /// Class weights and the ignored class.
    pub target_weights: TargetWeights,
    /// The probability that is distributed evenly over all classes, from 0 to 1; default 0.
    pub label_smoothing: Number,
}

impl CrossEntropy {
    fn smooths(&self) -> bool {
        self.label_smoothing.0 != 0.0
    }

    /// The factor of the target, `1 - ε`.
    fn target_share(&self, g: &mut Graph) -> NodeId {
        g.constant(1.0 - self.label_smoothing.0)
    }

    /// The uniform probability of each class, `ε / classes`.
    fn uniform_share(&self, g: &mut Graph, scores: NodeId) -> NodeId {
        let classes = g.shape(scores).sizes().pop().unwrap_or(1);
        g.constant(self.label_smoothing.0 / classes as f32)
    }

    /// The uniform probability times the class weights: one number, or one per class.
    fn smoothing(&self, g: &mut Graph, scores: NodeId) -> NodeId {
        let uniform = self.uniform_share(g, scores);
        match self.target_weights.class_weights(g) {
            Some(weight) => g.mul(weight, uniform),
            None => uniform,
        }
    }

    /// The factors of the logarithms if the target is probabilities, in their shape.
    fn factors(&self, g: &mut Graph, target: NodeId) -> NodeId {
        let mut factors = target;
        if self.smooths() {
            let (target_share, uniform) = (self.target_share(g), self.uniform_share(g, target));
            let share = g.mul(target, target_share);
            factors = g.add(share, uniform);
        }
        match self.target_weights.class_weights(g) {
            Some(weight) => g.mul(factors, weight),
            None => factors,
        }
    }

    /// The gradient of the logits if the target is a class index.
    fn gradient_of_class(&self, g: &mut Graph, at: &Reverse<'_>) -> NodeId {
        let [x, target] = [at.x[0], at.x[1]];
        let p = g.apply(Softmax { axis: -1 }, &[x]);
        let one_hot = classes::one_hot(g, target, x);
        let weight = self.target_weights.weights_of_targets(g, x, target);
        if !self.smooths() {
            let difference = g.sub(p, one_hot);
            let dy = self.target_weights.masked(g, target, at.dy);
            let dy = classes::column(g, dy);
            let dy = weight.map_or(dy, |weight| g.mul(dy, weight));
            return g.mul(difference, dy);
        }
        // The factors of the logarithms, and their sum.
        let (target_share, smoothing) = (self.target_share(g), self.smoothing(g, x));
        let target_factor = weight.map_or(target_share, |weight| g.mul(weight, target_share));
        let factors = g.mul(one_hot, target_factor);
        let is_faulty = faults::is(Fault::SmoothingDerivative);
        let factors = if is_faulty { factors } else { g.add(factors, smoothing) };
        let total = match &self.target_weights.weight {
            Some(weight) => {
                let mean = weight.iter().map(|w| f64::from(w.0)).sum::<f64>() / weight.len() as f64;
                let smoothed = g.constant((f64::from(self.label_smoothing.0) * mean) as f32);
                let total = g.add(target_factor, smoothed);
                g.mul(p, total)
            }
            None => p,
        };
        let difference = g.sub(total, factors);
        let dy = self.target_weights.masked(g, target, at.dy);
        let dy = classes::column(g, dy);
        g.mul(difference, dy)
    }
}

impl Operation for CrossEntropy {
    const NAME: &'static str = "cross_entropy";
    const CALL: Option<Signature> = Some(Signature::of(&["logits", "target"]).with(&[
        class_weights::WEIGHT,
        Attribute { name: "label_smoothing", kind: AttributeKind::Number, default: Some("0.0") },
        class_weights::IGNORE_INDEX,
    ]));

    fn from_call(attributes: &Attributes) -> Result<CrossEntropy, Mistake> {
        let smoothing = attributes.number("label_smoothing").unwrap_or(0.0);
        if !(0.0..=1.0).contains(&smoothing) {
            let message = format!("`label_smoothing` must be from 0 to 1, but is {smoothing}");
            return Err(Mistake::attribute("label_smoothing", message));
        }
        let label_smoothing = Number(smoothing as f32);
        Ok(CrossEntropy { target_weights: TargetWeights::from_call(attributes)?, label_smoothing })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        // A target with one axis less than the logits must be class indices.
        let ty = match x[1].ty.is_real() && x[1].ty.shape.rank() == x[0].ty.shape.rank() {
            true => {
                if self.target_weights.ignore_index.is_some() {
                    let message = format!(
                        "`ignore_index` is for targets that are classes, but `{}` holds reals",
                        x[1].name
                    );
                    return Err(Mistake::attribute("ignore_index", message));
                }
                rows::shape(Self::NAME, x[0], x[1], facts)?
            }
            false => classes::shape(Self::NAME, x[0], x[1], facts)?,
        };
        self.target_weights.check(x[0], facts)?;
        Ok(ty)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let smoothing = T::of(self.label_smoothing.0);
        // The negative log probability of each class, times its weight.
        let terms = |scores: &[T]| {
            let largest = scores.iter().copied().fold(T::neg_infinity(), T::max);
            let sum = scores.iter().map(|x| (*x - largest).exp()).total();
            let term = |(class, x): (usize, &T)| {
                self.target_weights.weight_of::<T>(class) * (sum.ln() + largest - *x)
            };
            scores.iter().enumerate().map(term).collect::<Vec<T>>()
        };
        let smoothed = |terms: &[T]| match self.smooths() {
            true => smoothing * terms.iter().copied().total() / T::of(terms.len() as f32),
            false => T::zero(),
        };
        let target_share = T::one() - smoothing;
        if let Value::Index(_) = x[1] {
            return classes::evaluate(x, at, |scores, target| {
                let terms = terms(scores);
                self.target_weights
                    .masked_value(target, target_share * terms[target] + smoothed(&terms))
            });
        }
        let [scores, targets] = [x[0].reals(), x[1].reals()];
        let sizes = at.sizes();
        let classes = scores.len() / sizes.iter().product::<usize>();
        let losses = scores.chunks(classes).zip(targets.chunks(classes)).map(|(x, targets)| {
            let terms = terms(x);
            let sum = terms.iter().zip(targets).map(|(term, t)| *term * *t).total();
            target_share * sum + smoothed(&terms)
        });
        Value::real(&sizes, losses.collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [x, target] = [at.x[0], at.x[1]];
        if !g.ty(target).is_real() {
            return vec![Some(self.gradient_of_class(g, at)), None];
        }
        let axis = g.shape(x).rank() - 1;
        let dy = classes::column(g, at.dy);
        let p = g.apply(Softmax { axis: -1 }, &[x]);
        let factors = self.factors(g, target);
        let total = g.sum_axis(factors, axis);
        let share = g.mul(p, total);
        let difference = g.sub(share, factors);
        let dx = g.mul(difference, dy);
        let dtarget = at.requested[1].then(|| {
            let log_p = g.apply(LogSoftmax { axis: -1 }, &[x]);
            let mut slope = g.neg(log_p);
            if self.smooths() {
                let target_share = self.target_share(g);
                slope = g.mul(slope, target_share);
            }
            if let Some(weight) = self.target_weights.class_weights(g) {
                slope = g.mul(slope, weight);
            }
            g.mul(slope, dy)
        });
        vec![Some(dx), dtarget]
    }

    fn weights(&self, g: &mut Graph, x: &[NodeId]) -> Option<NodeId> {
        match g.ty(x[1]).is_real() {
            true => None,
            false => self.target_weights.weights(g, x[0], x[1]),
        }
    }

    fn weights_reason(&self) -> &'static str {
        self.target_weights.reason()
    }

    fn metric(&self, x: &[&Type]) -> Option<Op> {
        self.target_weights.accuracy(x[1])
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = g.shape(x[0]).rank() - 1;
            let largest = g.max_axis(x[0], axis);
            let shifted = g.sub(x[0], largest);
            let e = g.exp(shifted);
            let sum = g.sum_axis(e, axis);
            let log = g.log(sum);
            if g.ty(x[1]).is_real() {
                let factors = self.factors(g, x[1]);
                let negative_log_p = g.sub(log, shifted);
                let terms = g.mul(negative_log_p, factors);
                return rows::sum(g, terms);
            }
            let picked = classes::pick(g, shifted, x[1]);
            let mut loss = g.sub(log, picked);
            if let Some(weight) = self.target_weights.weights_of_targets(g, x[0], x[1]) {
                loss = g.mul(loss, weight);
            }
            if self.smooths() {
                let (target_share, smoothing) = (self.target_share(g), self.smoothing(g, x[0]));
                let negative_log_p = g.sub(log, shifted);
                let terms = g.mul(negative_log_p, smoothing);
                let smoothed = g.sum_axis(terms, axis);
                loss = g.mul(loss, target_share);
                loss = g.add(loss, smoothed);
            }
            let shape = g.shape(x[1]).clone();
            let loss = g.reshape(loss, &shape);
            self.target_weights.masked(g, x[1], loss)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let mut samples = Vec::new();
        for target_weights in TargetWeights::variants(size) {
            let is_one = target_weights.weight.is_some() != target_weights.ignore_index.is_some();
            for label_smoothing in [0.0, 0.1].map(Number) {
                let op = CrossEntropy { target_weights: target_weights.clone(), label_smoothing };
                // Each attribute alone, all combined, and none.
                if is_one && op.smooths() {
                    continue;
                }
                samples.extend(classes::samples(size, Domain::Normal(2.0), op.clone()));
                if op.target_weights.ignore_index.is_none() {
                    let domains = [Domain::Normal(2.0), Domain::Probability];
                    samples.extend(rows::samples(size, domains, None, op));
                }
            }
        }
        let both = TargetWeights { ignore_index: None, ..TargetWeights::variants(size).remove(3) };
        let op = CrossEntropy { target_weights: both, label_smoothing: Number(0.1) };
        samples.extend(rows::samples(size, [Domain::Normal(2.0), Domain::Probability], None, op));
        samples
    }
}
