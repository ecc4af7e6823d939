//! The operation [`Broadcast`].

use super::{Domain, Lowering, Operand, Operation, Reverse, Sample, View};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Dim, Facts, Shape, Type};

/// A value broadcast to a larger shape: axes are matched from the last, axes of size 1 are repeated,
/// and a value that is not batched is repeated for every example.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Broadcast {
    /// The shape of the result.
    pub shape: Shape,
}

impl Operation for Broadcast {
    const NAME: &'static str = "broadcast";
    const OPERANDS: Option<usize> = Some(1);

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let from = &x[0].ty.shape;
        let mistake =
            || Mistake::operand(0, format!("`{}` does not broadcast to {}", x[0].name, self.shape));
        if from.rank() > self.shape.rank() || (from.batched && !self.shape.batched) {
            return Err(mistake());
        }
        for (a, b) in from.dims.iter().rev().zip(self.shape.dims.iter().rev()) {
            if *a != Dim::Fixed(1) {
                facts.same(a, b, mistake)?;
            }
        }
        Ok(Type { dtype: x[0].ty.dtype.clone(), shape: self.shape.clone() })
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let from = &at.operands[0].shape;
        let to = at.sizes();
        // The operand's sizes, padded with ones to the rank of the result.
        let mut sizes = vec![1; to.len()];
        for (size, from) in sizes.iter_mut().rev().zip(from.sizes().into_iter().rev()) {
            *size = from;
        }
        if from.batched {
            sizes[0] = at.batch;
        }
        fn broadcast<A: Copy>(array: &ndarray::ArrayD<A>, sizes: &[usize], to: &[usize]) -> Vec<A> {
            let view = array.view().into_shape_with_order(sizes).expect("only ones are added");
            view.broadcast(to).expect("the shape function has checked it").iter().copied().collect()
        }
        match x[0] {
            Value::Real(a) => Value::real(&to, broadcast(a, &sizes, &to)),
            Value::Index(a) => Value::index(&to, broadcast(a, &sizes, &to)),
        }
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let shape = g.shape(at.x[0]).clone();
        vec![Some(g.sum_to(at.dy, &shape))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::View(View::Broadcast(self))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        [
            (Shape::unbatched([size]), Shape::batched([3, size])),
            (Shape::batched([size, 1]), Shape::batched([2, size, 5])),
            (Shape::scalar(), Shape::batched([size])),
        ]
        .map(|(from, to)| Sample::new(Broadcast { shape: to }, [real(from)]).summing(40 * size))
        .to_vec()
    }
}
