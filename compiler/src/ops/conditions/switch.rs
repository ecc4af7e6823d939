//! The operation [`Switch`].

use super::{Lowering, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, DType, Facts, Type};

/// One of several values of one type, selected before compilation: by training or inference, or by
/// the user's choice for a call. [`Declaration::graph_for`] replaces switches by the selected values,
/// so that graphs for a purpose contain none.
///
/// [`Declaration::graph_for`]: crate::declaration::Declaration::graph_for
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Switch {
    /// What selects.
    pub by: Selector,
}

/// What selects the value of a switch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Selector {
    /// The purpose: the first value for training, else the second.
    Training,
    /// A declared choice, by its index in the network.
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
                    "alternatives must have one shape, but `{}` has {} and `{}` has {}",
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
            // Gathers by these indices rely on the bound.
            if let (DType::Index { below: a }, DType::Index { below: b }) =
                (&first.ty.dtype, &other.ty.dtype)
            {
                let mistake = || {
                    let message = format!(
                        "alternatives must have one bound, but `{}` has integers below {a} and `{}` \
                         below {b}",
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
        unreachable!("graphs for a purpose have no switches")
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        unreachable!("graphs for a purpose have no switches")
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Switch(self.by)
    }

    fn samples(_: usize) -> Vec<Sample> {
        Vec::new()
    }
}
