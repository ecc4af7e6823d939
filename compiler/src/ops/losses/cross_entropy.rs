//! The operation [`CrossEntropy`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Op, Operation, Reverse, Sample,
    Signature,
    class_weights::{self, Counting},
    classes, rows,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::{log_softmax::LogSoftmax, softmax::Softmax};
use crate::shape::{Argument, Facts, Type};

/// The cross entropy of logits and a target, for each example. For a class index it is
/// `ln Σ eˣ - x[target]`, with the largest taken off first so that nothing overflows; for
/// probabilities `t` of the scores' shape, `Σ t · (ln Σ eˣ - x)`.
///
/// Classes lie on the last axis. The attributes are PyTorch's:
/// - `weight` gives each class's term a factor;
/// - with `label_smoothing`, `ε`, the target's probabilities are mixed with even ones: of each
///   class `(1 - ε) · t + ε / classes`, where a class index has probability 1;
/// - examples of the class `ignore_index` are 0.
///
/// On class indices, the mean goes by the weights of the targets.
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
    /// What classes count for.
    pub counting: Counting,
    /// The share of the target that is spread over all classes, from 0 to 1.
    pub label_smoothing: Number,
}

impl CrossEntropy {
    fn smooths(&self) -> bool {
        self.label_smoothing.0 != 0.0
    }

    /// The share of the target that it keeps.
    fn kept(&self, g: &mut Graph) -> NodeId {
        g.constant(1.0 - self.label_smoothing.0)
    }

    /// The share of the target that each class gets.
    fn even(&self, g: &mut Graph, scores: NodeId) -> NodeId {
        let classes = g.shape(scores).sizes().pop().unwrap_or(1);
        g.constant(self.label_smoothing.0 / classes as f32)
    }

    /// What each class gets of smoothing, times its weight: a number, or one for each class.
    fn smoothing(&self, g: &mut Graph, scores: NodeId) -> NodeId {
        let even = self.even(g, scores);
        match self.counting.of_classes(g) {
            Some(weight) => g.mul(weight, even),
            None => even,
        }
    }

    /// The factors of the logarithms where the target is probabilities, in their shape.
    fn factors(&self, g: &mut Graph, target: NodeId) -> NodeId {
        let mut factors = target;
        if self.smooths() {
            let (kept, even) = (self.kept(g), self.even(g, target));
            let share = g.mul(target, kept);
            factors = g.add(share, even);
        }
        match self.counting.of_classes(g) {
            Some(weight) => g.mul(factors, weight),
            None => factors,
        }
    }

    /// The gradients where the target is a class index.
    fn gradient_of_class(&self, g: &mut Graph, at: &Reverse<'_>) -> NodeId {
        let [x, target] = [at.x[0], at.x[1]];
        let p = g.apply(Softmax { axis: -1 }, &[x]);
        let one_hot = classes::one_hot(g, target, x);
        let weight = self.counting.of_targets(g, x, target);
        if !self.smooths() {
            let difference = g.sub(p, one_hot);
            let dy = self.counting.masked(g, target, at.dy);
            let dy = classes::column(g, dy);
            let dy = weight.map_or(dy, |weight| g.mul(dy, weight));
            return g.mul(difference, dy);
        }
        // The factors of the logarithms, and what they are together.
        let (kept, smoothing) = (self.kept(g), self.smoothing(g, x));
        let own = weight.map_or(kept, |weight| g.mul(weight, kept));
        let factors = g.mul(one_hot, own);
        let factors = g.add(factors, smoothing);
        let together = match &self.counting.weight {
            Some(weight) => {
                let mean = weight.iter().map(|w| f64::from(w.0)).sum::<f64>() / weight.len() as f64;
                let spread = g.constant((f64::from(self.label_smoothing.0) * mean) as f32);
                let together = g.add(own, spread);
                g.mul(p, together)
            }
            None => p,
        };
        let difference = g.sub(together, factors);
        let dy = self.counting.masked(g, target, at.dy);
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
            let message = format!("`label_smoothing` is from 0 to 1, and not {smoothing}");
            return Err(Mistake::attribute("label_smoothing", message));
        }
        let label_smoothing = Number(smoothing as f32);
        Ok(CrossEntropy { counting: Counting::from_call(attributes)?, label_smoothing })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        // A target of one axis less is meant to be a class, and then must be one.
        let ty = match x[1].ty.is_real() && x[1].ty.shape.rank() == x[0].ty.shape.rank() {
            true => {
                if self.counting.ignore_index.is_some() {
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
        self.counting.check(x[0], facts)?;
        Ok(ty)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let smoothing = T::of(self.label_smoothing.0);
        // The negative logarithm of each class's probability, times its weight.
        let terms = |scores: &[T]| {
            let largest = scores.iter().copied().fold(T::neg_infinity(), T::max);
            let sum = scores.iter().map(|x| (*x - largest).exp()).total();
            let term = |(class, x): (usize, &T)| {
                self.counting.weight_of::<T>(class) * (sum.ln() + largest - *x)
            };
            scores.iter().enumerate().map(term).collect::<Vec<T>>()
        };
        let spread = |terms: &[T]| match self.smooths() {
            true => smoothing * terms.iter().copied().total() / T::of(terms.len() as f32),
            false => T::zero(),
        };
        let kept = T::one() - smoothing;
        if let Value::Index(_) = x[1] {
            return classes::evaluate(x, at, |scores, target| {
                let terms = terms(scores);
                self.counting.counted(target, kept * terms[target] + spread(&terms))
            });
        }
        let [scores, targets] = [x[0].reals(), x[1].reals()];
        let sizes = at.sizes();
        let classes = scores.len() / sizes.iter().product::<usize>();
        let losses = scores.chunks(classes).zip(targets.chunks(classes)).map(|(x, targets)| {
            let terms = terms(x);
            let own = terms.iter().zip(targets).map(|(term, t)| *term * *t).total();
            kept * own + spread(&terms)
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
        let together = g.sum_axis(factors, axis);
        let share = g.mul(p, together);
        let difference = g.sub(share, factors);
        let dx = g.mul(difference, dy);
        let dtarget = at.wanted[1].then(|| {
            let log_p = g.apply(LogSoftmax { axis: -1 }, &[x]);
            let mut slope = g.neg(log_p);
            if self.smooths() {
                let kept = self.kept(g);
                slope = g.mul(slope, kept);
            }
            if let Some(weight) = self.counting.of_classes(g) {
                slope = g.mul(slope, weight);
            }
            g.mul(slope, dy)
        });
        vec![Some(dx), dtarget]
    }

    fn weights(&self, g: &mut Graph, x: &[NodeId]) -> Option<NodeId> {
        match g.ty(x[1]).is_real() {
            true => None,
            false => self.counting.weights(g, x[0], x[1]),
        }
    }

    fn weights_reason(&self) -> &'static str {
        self.counting.reason()
    }

    fn metric(&self, x: &[&Type]) -> Option<Op> {
        self.counting.accuracy(x[1])
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
                let missing = g.sub(log, shifted);
                let terms = g.mul(missing, factors);
                return rows::sum(g, terms);
            }
            let picked = classes::pick(g, shifted, x[1]);
            let mut loss = g.sub(log, picked);
            if let Some(weight) = self.counting.of_targets(g, x[0], x[1]) {
                loss = g.mul(loss, weight);
            }
            if self.smooths() {
                let (kept, smoothing) = (self.kept(g), self.smoothing(g, x[0]));
                let missing = g.sub(log, shifted);
                let terms = g.mul(missing, smoothing);
                let spread = g.sum_axis(terms, axis);
                loss = g.mul(loss, kept);
                loss = g.add(loss, spread);
            }
            let shape = g.shape(x[1]).clone();
            let loss = g.reshape(loss, &shape);
            self.counting.masked(g, x[1], loss)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let mut samples = Vec::new();
        for counting in Counting::variants(size) {
            let is_one = counting.weight.is_some() != counting.ignore_index.is_some();
            for label_smoothing in [0.0, 0.1].map(Number) {
                let op = CrossEntropy { counting: counting.clone(), label_smoothing };
                // Each attribute alone, all together, and none.
                if is_one && op.smooths() {
                    continue;
                }
                samples.extend(classes::samples(size, Domain::Normal(2.0), op.clone()));
                if op.counting.ignore_index.is_none() {
                    let domains = [Domain::Normal(2.0), Domain::Probability];
                    samples.extend(rows::samples(size, domains, None, op));
                }
            }
        }
        let both = Counting { ignore_index: None, ..Counting::variants(size).remove(3) };
        let op = CrossEntropy { counting: both, label_smoothing: Number(0.1) };
        samples.extend(rows::samples(size, [Domain::Normal(2.0), Domain::Probability], None, op));
        samples
    }
}
