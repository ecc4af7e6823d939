//! The operation [`Accuracy`].

use super::{
    Attributes, Domain, Lowering, Operation, Reverse, Sample, Signature,
    class_weights::{self, Counting},
    classes,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// Whether the largest score is the target's, for each example: 1 or 0. Where several are the
/// largest, the first counts; an example with a score that is NaN is wrong. Without gradient.
///
/// Classes lie on the last axis. Targets of the class `ignore_index` are 0 and do not count in
/// the mean.
///
/// In the language: `accuracy(scores, target, ignore_index = none)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input scores: [3];
///         input target: class(3);
///         output y = accuracy(scores, target);
///     }
/// }
///
/// let scores = array![[1.0, 3.0, 0.5]];
/// let target = array![1];
/// let mut model = Example::model().build()?;
/// let y = model.predict(example::Input { scores: scores.view(), target: target.view() })?.y;
/// assert_eq!(y, array![1.0]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Accuracy {
    /// The class that does not count.
    pub ignore_index: Option<u32>,
}

impl Accuracy {
    fn counting(&self) -> Counting {
        Counting { weight: None, ignore_index: self.ignore_index }
    }
}

impl Operation for Accuracy {
    const NAME: &'static str = "accuracy";
    const CALL: Option<Signature> =
        Some(Signature::of(&["scores", "target"]).with(&[class_weights::IGNORE_INDEX]));

    fn from_call(attributes: &Attributes) -> Result<Accuracy, Mistake> {
        Ok(Accuracy { ignore_index: class_weights::class(attributes, "ignore_index")? })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let ty = classes::shape(Self::NAME, x[0], x[1], facts)?;
        self.counting().check(x[0], facts)?;
        Ok(ty)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        classes::evaluate(x, at, |scores, target| {
            let is_right = classes::is_within(scores, target, 1);
            self.counting().counted(target, if is_right { T::one() } else { T::zero() })
        })
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }

    fn weights(&self, g: &mut Graph, x: &[NodeId]) -> Option<NodeId> {
        self.counting().weights(g, x[0], x[1])
    }

    fn weights_reason(&self) -> &'static str {
        self.counting().reason()
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let is_right = classes::within(g, x[0], x[1], 1);
            self.counting().masked(g, x[1], is_right)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        [None, Some((size / 2) as u32)]
            .into_iter()
            .flat_map(|ignore_index| {
                let domains = [Domain::Apart, Domain::Tied];
                domains.map(|domain| classes::samples(size, domain, Accuracy { ignore_index }))
            })
            .flatten()
            .collect()
    }
}
