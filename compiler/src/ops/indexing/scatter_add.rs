//! The operation [`ScatterAdd`].

use super::{Domain, Lowering, Operand, Operation, Reverse, Sample, gather};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// Sums of rows by index, the gradient of `gather`: a table with as many rows as the bound of the
/// index, where each row is the blocked sum of the operand's rows with that index.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ScatterAdd;

impl Operation for ScatterAdd {
    const NAME: &'static str = "scatter_add";
    const OPERANDS: Option<usize> = Some(2);

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        let [values, index] = [x[0].ty, x[1].ty];
        let below = gather::bound(Self::NAME, 1, x[1])?;
        match values.shape.dims.split_last() {
            Some((columns, outer))
                if values.is_real()
                    && outer == index.shape.dims
                    && values.shape.batched == index.shape.batched =>
            {
                Ok(Type::real(Shape::unbatched([below.clone(), columns.clone()])))
            }
            _ => Err(Mistake::call(format!("{values:?} has no row for each of {index:?}"))),
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let sizes = at.sizes();
        let columns = sizes[1];
        let values: Vec<&[T]> = x[0].reals().chunks(columns).collect();
        let mut sources: Vec<Vec<usize>> = vec![Vec::new(); sizes[0]];
        for (source, index) in x[1].indices().iter().enumerate() {
            sources[*index as usize].push(source);
        }
        // The longest chain of additions of machine code.
        let leaf = 4 * sizes[0];
        let sum = |sources: &[usize], column: usize| {
            T::sum_of(sources.iter().map(|source| values[*source][column]), leaf)
        };
        let rows = sources.iter().flat_map(|sources| (0..columns).map(move |c| sum(sources, c)));
        Value::real(&sizes, rows.collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![at.requested[0].then(|| g.gather(at.dy, at.x[1])), None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Scatter
    }

    fn samples(size: usize) -> Vec<Sample> {
        let sample = |(table, index, terms): (Operand, Operand, usize)| {
            let mut shape = index.ty.shape.clone();
            shape.dims.push(table.ty.shape.dims[1].clone());
            let values = Operand::new(Type::real(shape), Domain::Normal(1.0));
            Sample::new(ScatterAdd, [values, index]).summing(terms)
        };
        gather::operands(size).map(sample).collect()
    }
}
