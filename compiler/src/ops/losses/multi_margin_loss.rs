//! The operation [`MultiMarginLoss`].

use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Number, Operation, Reverse, Sample,
    Signature, classes,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// The multi-class hinge loss, for each example: `Σ max(0, margin - x[target] + x[c])^p` over the
/// other classes `c`, divided by the number of classes.
///
/// Classes are on the last axis.
///
/// In the language: `multi_margin_loss(scores, target, p = 1, margin = 1.0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input scores: [3];
///         input target: class(3);
///         output y = multi_margin_loss(scores, target, margin = 3.0);
///     }
/// }
///
/// let scores = array![[1.0, 3.0, 0.5]];
/// let target = array![1];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { scores: scores.view(), target: target.view() })?.y;
/// assert!((y - array![0.5]).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MultiMarginLoss {
    /// Whether `p` is 2, not 1; default 1.
    pub is_squared: bool,
    /// The margin by which the target's score should be larger; default 1.
    pub margin: Number,
}

impl MultiMarginLoss {
    /// The margin violation of each other class, 0 for the target; of the scores' shape.
    fn excess(&self, g: &mut Graph, scores: NodeId, target: NodeId) -> NodeId {
        let (zero, margin) = (g.constant(0.0), g.constant(self.margin.0));
        let target_score = classes::pick(g, scores, target);
        let excess = g.sub(margin, target_score);
        let excess = g.add(excess, scores);
        let excess = g.maximum(excess, zero);
        let one_hot = classes::one_hot(g, target, scores);
        g.select(one_hot, zero, excess)
    }

    fn classes(g: &mut Graph, scores: NodeId) -> NodeId {
        let classes = g.shape(scores).sizes().pop().unwrap_or(1);
        g.constant(classes as f32)
    }
}

impl Operation for MultiMarginLoss {
    const NAME: &'static str = "multi_margin_loss";
    const CALL: Option<Signature> = Some(Signature::of(&["scores", "target"]).with(&[
        Attribute { name: "p", kind: AttributeKind::Integer, default: Some("1") },
        Attribute { name: "margin", kind: AttributeKind::Number, default: Some("1.0") },
    ]));

    fn from_call(attributes: &Attributes) -> Result<MultiMarginLoss, Mistake> {
        let is_squared = match attributes.integer("p").unwrap_or(1) {
            1 => false,
            2 => true,
            p => return Err(Mistake::attribute("p", format!("`p` must be 1 or 2, but is {p}"))),
        };
        let margin = attributes.number("margin").unwrap_or(1.0);
        Ok(MultiMarginLoss { is_squared, margin: Number(margin as f32) })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        classes::shape(Self::NAME, x[0], x[1], facts)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        classes::evaluate(x, at, |scores, target| {
            let others = scores.iter().enumerate().filter(|(c, _)| *c != target);
            let excess = others.map(|(_, x)| {
                let excess = T::of(self.margin.0) - scores[target] + *x;
                let excess = if excess < T::zero() { T::zero() } else { excess };
                if self.is_squared { excess * excess } else { excess }
            });
            excess.total() / T::of(scores.len() as f32)
        })
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [scores, target] = [at.x[0], at.x[1]];
        let axis = g.shape(scores).rank() - 1;
        let excess = self.excess(g, scores, target);
        let slope = match self.is_squared {
            true => g.scale(excess, 2.0),
            false => {
                let zero = g.constant(0.0);
                g.greater(excess, zero)
            }
        };
        let dy = classes::column(g, at.dy);
        let classes = Self::classes(g, scores);
        let share = g.div(dy, classes);
        // The gradient of the target's score is minus the sum of the others.
        let all = g.sum_axis(slope, axis);
        let one_hot = classes::one_hot(g, target, scores);
        let target_slope = g.mul(one_hot, all);
        let slope = g.sub(slope, target_slope);
        vec![Some(g.mul(slope, share)), None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = g.shape(x[0]).rank() - 1;
            let excess = self.excess(g, x[0], x[1]);
            let term = if self.is_squared { g.square(excess) } else { excess };
            let sum = g.sum_axis(term, axis);
            let classes = Self::classes(g, x[0]);
            let loss = g.div(sum, classes);
            let shape = g.shape(x[1]).clone();
            g.reshape(loss, &shape)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        [(false, 1.0), (true, 1.0), (false, 0.3)]
            .into_iter()
            .flat_map(|(is_squared, margin)| {
                let op = MultiMarginLoss { is_squared, margin: Number(margin) };
                classes::samples(size, Domain::Normal(1.0), op)
            })
            .collect()
    }
}
