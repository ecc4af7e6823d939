//! The operation [`IsClass`].

use super::{Domain, Finiteness, Lowering, Operand, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// 1.0 where an integer equals a class, else 0.0. Without gradient.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IsClass {
    /// The class.
    pub class: u32,
}

impl Operation for IsClass {
    const NAME: &'static str = "is_class";
    const OPERANDS: Option<usize> = Some(1);
    const IS_POINTWISE: bool = true;

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        match x[0].ty.is_real() {
            true => Err(Mistake::operand(0, "expected class indices, found reals")),
            false => Ok(Type::real(x[0].ty.shape.clone())),
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let is = |index: &u32| if *index == self.class { T::one() } else { T::zero() };
        Value::real(&at.sizes(), x[0].indices().iter().map(is).collect())
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED.with_conditions(1)
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Elementwise(Box::new(|e, x| {
            // The comparison is bitwise, so the cast is exact.
            let class = e.int(self.class as i32);
            let mask = e.int_equal(x[0], class);
            e.indicator(mask)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        [vec![], vec![2, size]]
            .map(|dims: Vec<usize>| {
                let ty = Type::index(size, Shape::batched(dims));
                let class = (size / 2) as u32;
                Sample::new(IsClass { class }, [Operand::new(ty, Domain::Indices)])
            })
            .to_vec()
    }
}
