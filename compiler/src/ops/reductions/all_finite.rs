//! The guard of a training step: 0 if all elements of all operands are finite, NaN if one is infinite
//! or NaN. A step overwrites parameters only if it is 0.

use super::{Domain, Lowering, Operand, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AllFinite {
    /// The number of leading operands that are checked directly. The others are gradients of parameters,
    /// which machine code must not compute before the guard: it checks the terms that they are sums of.
    pub direct: usize,
}

impl Operation for AllFinite {
    const NAME: &'static str = "all_finite";
    const OPERANDS: Option<usize> = None;

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        match x.iter().all(|x| x.ty.is_real()) && self.direct <= x.len() {
            true => Ok(Type::real(Shape::scalar())),
            false => Err(Mistake::call("`all_finite` takes reals")),
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        // In the precision of parameters, f32.
        let is_finite = |x: &T| (x.wide() as f32).is_finite();
        let all = x.iter().all(|x| x.reals().iter().all(is_finite));
        Value::real(&at.sizes(), vec![if all { T::zero() } else { T::nan() }])
    }

    fn gradient(&self, _: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None; at.x.len()]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::AllFinite(self)
    }

    fn samples(size: usize) -> Vec<Sample> {
        let operand = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let (rows, flat) = (Shape::batched([3, size]), Shape::unbatched([size]));
        let (number, examples) = (Shape::scalar(), Shape { batched: true, ..Shape::scalar() });
        vec![
            Sample::new(AllFinite { direct: 1 }, [operand(rows.clone())]),
            Sample::new(AllFinite { direct: 4 }, [rows, flat, number, examples].map(operand)),
        ]
    }
}
