//! The operation [`Setting`].

use super::{Lowering, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// The key of everything that is drawn at random, in two whole numbers.
pub const RANDOM_KEY: [&str; 2] = ["random key 0", "random key 1"];
/// The number of the batch that is trained on, for what is drawn at random.
pub const RANDOM_BATCH: &str = "random batch";

/// A number that is given with every step and may change between steps without
/// compiling again: the learning rate, the key of what is drawn at random.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StepScalar {
    /// What the user calls it.
    pub name: &'static str,
    /// Whether it is a whole number below 2³² rather than a real.
    pub is_whole: bool,
}

impl StepScalar {
    /// A real.
    pub fn real(name: &'static str) -> StepScalar {
        StepScalar { name, is_whole: false }
    }

    /// A whole number.
    pub fn whole(name: &'static str) -> StepScalar {
        StepScalar { name, is_whole: true }
    }
}

impl Operation for StepScalar {
    const NAME: &'static str = "setting";

    fn shape(&self, _: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(match self.is_whole {
            true => Type::index(1usize << 32, Shape::scalar()),
            false => Type::real(Shape::scalar()),
        })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, _: &[&Value<T>], _: &Evaluation<'_>) -> Value<T> {
        unreachable!("leaves are given, not evaluated")
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Leaf
    }

    fn samples(_: usize) -> Vec<Sample> {
        Vec::new()
    }
}
