//! The operation [`Ramp`], for tests only: it uses positions, and no pass has a special case for it.

use super::{Lowering, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};

/// `x · (1 + i)`, where `i` is the index on the last axis of the example.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ramp;

impl Operation for Ramp {
    const NAME: &'static str = "ramp";
    const OPERANDS: Option<usize> = Some(1);
    const IS_POINTWISE: bool = true;

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(x[0].ty.clone())
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let last = at.ty.shape.sizes().last().copied().unwrap_or(1);
        let elements = x[0].reals().iter().enumerate();
        let ramp = elements.map(|(i, x)| *x * T::of((1 + i % last) as f32));
        Value::real(&at.sizes(), ramp.collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![Some(g.apply(Ramp, &[at.dy]))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Elementwise(Box::new(|e, x| {
            let (position, one) = (e.position(), e.int(1));
            let count = e.int_add(position, one);
            let factor = e.to_float(count);
            e.mul(x[0], factor)
        }))
    }

    fn samples(_: usize) -> Vec<Sample> {
        Vec::new()
    }
}
