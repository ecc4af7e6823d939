//! The operation [`Gather`].

use super::{Domain, Lowering, Operand, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, DType, Dim, Facts, Shape, Type};

/// Rows of a table by index: the primitive operation of `embedding`. The result has the axes of the
/// index, then that of the row.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gather;

/// The exclusive upper bound of integers; a mistake for reals.
pub(in crate::ops) fn bound<'a>(name: &str, i: usize, x: Argument<'a>) -> Result<&'a Dim, Mistake> {
    match &x.ty.dtype {
        DType::Index { below } => Ok(below),
        DType::Real => Err(Mistake::operand(
            i,
            format!("`{name}` takes integers, but `{}` holds {}", x.name, x.ty),
        )),
    }
}

/// The rows of a table by index, for the interpreter.
#[cfg(feature = "eval")]
pub(in crate::ops) fn rows<T: Real>(
    table: &Value<T>,
    index: &Value<T>,
    at: &Evaluation<'_>,
) -> Value<T> {
    let columns = table.sizes()[1];
    let row = |i: &u32| &table.reals()[*i as usize * columns..][..columns];
    Value::real(&at.sizes(), index.indices().iter().flat_map(row).copied().collect())
}

/// Tables with sizes around `size`, indices into them, and a bound on the number of equal indices.
pub(in crate::ops) fn operands(size: usize) -> impl Iterator<Item = (Operand, Operand, usize)> {
    let operands = move |rows: usize, columns: usize, index: Shape| {
        let table = Type::real(Shape::unbatched([rows, columns]));
        let positions = 40 * index.sizes().iter().product::<usize>();
        let index = Operand::new(Type::index(rows, index), Domain::Indices);
        (Operand::new(table, Domain::Normal(1.0)), index, positions)
    };
    let none = [0usize; 0];
    [
        // Few rows, so that indices repeat.
        operands(3, size, Shape::batched(none)),
        operands(size, 5, Shape::batched([3])),
        operands(7, size, Shape::batched([2, 5])),
        operands(4, size, Shape::unbatched(none)),
        operands(size, 33, Shape::unbatched([6])),
        operands(2, 3 * size, Shape::unbatched([size, 3])),
        // Rows of one element, and one row.
        operands(size, 1, Shape::batched([4])),
        operands(1, size, Shape::batched([size])),
    ]
    .into_iter()
}

impl Operation for Gather {
    const NAME: &'static str = "gather";
    const OPERANDS: Option<usize> = Some(2);

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        let [table, index] = [x[0].ty, x[1].ty];
        let below = bound(Self::NAME, 1, x[1])?;
        match &table.shape.dims[..] {
            [rows, columns] if rows == below && !table.shape.batched && table.is_real() => {
                let Shape { batched, mut dims } = index.shape.clone();
                dims.push(columns.clone());
                Ok(Type::real(Shape { batched, dims }))
            }
            _ => Err(Mistake::call(format!("{table:?} has no rows for {index:?}"))),
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        rows(x[0], x[1], at)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![at.requested[0].then(|| g.scatter_add(at.dy, at.x[1])), None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Gather
    }

    fn samples(size: usize) -> Vec<Sample> {
        let sample = |(table, index, terms)| Sample::new(Gather, [table, index]).summing(terms);
        operands(size).map(sample).collect()
    }
}
