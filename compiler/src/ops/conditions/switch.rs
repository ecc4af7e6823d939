//! The operation [`Switch`].

use super::{Lowering, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, DType, Facts, Type};

/// One of several values of one type, by a choice that is made before anything
/// is compiled: whether the network trains, or what the user has chosen for a
/// call. Graphs for a purpose have none of it: [`Declaration::graph_for`] puts the
/// chosen value in its place.
///
/// [`Declaration::graph_for`]: crate::declaration::Declaration::graph_for
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Switch {
    /// Who chooses.
    pub by: Selector,
}

/// Who chooses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Selector {
    /// The purpose: the first value to train, the second one otherwise.
    Training,
    /// The user, by the place among the network's choices.
    Declared(usize),
}

impl Operation for Switch {
    const NAME: &'static str = "switch";
    const OPERANDS: Option<usize> = None;

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let first = x[0];
        let mut ty = first.ty.clone();
        for (i, other) in x.iter().enumerate().skip(1) {
            let mistake = || {
                let message = format!(
                    "what is chosen from is of one shape, but `{}` has {} and `{}` has {}",
                    first.name, first.ty, other.name, other.ty
                );
                Mistake::operand(i, message)
            };
            let (a, b) = (&first.ty.shape.dims, &other.ty.shape.dims);
            if a.len() != b.len() || first.ty.is_real() != other.ty.is_real() {
                return Err(mistake());
            }
            for (a, b) in a.iter().zip(b) {
                facts.same(a, b, mistake)?;
            }
            // Whoever reaches rows by them relies on it.
            if let (DType::Index { below: a }, DType::Index { below: b }) =
                (&first.ty.dtype, &other.ty.dtype)
            {
                let mistake = || {
                    let message = format!(
                        "what is chosen from has one bound, but `{}` has numbers below {a} and \
                         `{}` below {b}",
                        first.name, other.name
                    );
                    Mistake::operand(i, message)
                };
                facts.same(a, b, mistake)?;
            }
            ty.shape.batched |= other.ty.shape.batched;
        }
        Ok(ty)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, _: &[&Value<T>], _: &Evaluation<'_>) -> Value<T> {
        unreachable!("what is chosen stands in its place")
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        unreachable!("what is chosen stands in its place")
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Choice(self.by)
    }

    fn samples(_: usize) -> Vec<Sample> {
        Vec::new()
    }
}
