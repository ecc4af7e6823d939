//! The operation [`Embedding`].

use super::{Attributes, Lowering, Operand, Operation, Reverse, Sample, Signature, gather};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// The row of a table for each index: indices of shape `[16]` below 100 and a table of shape
/// `[100, 8]` yield `[16, 8]`.
///
/// The gradient of a row is the sum of the gradients at its indices, by scatter-add, without one-hot
/// matrices.
///
/// In the language: `embedding(index, table)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input word: index(5)[2];
///         param table: [5, 3] = normal(0.0, 1.0);
///         output y = embedding(word, table);
///     }
/// }
///
/// let word = array![[4, 0]];
/// let y = Example::model().build()?.predict(example::Input { word: word.view() })?.y;
/// assert_eq!(y.dim(), (1, 2, 3));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Embedding;

impl Operation for Embedding {
    const NAME: &'static str = "embedding";
    const CALL: Option<Signature> = Some(Signature::of(&["index", "table"]));

    fn from_call(_: &Attributes) -> Result<Embedding, Mistake> {
        Ok(Embedding)
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let below = gather::bound(Self::NAME, 0, x[0])?;
        super::elementwise::require_real(Self::NAME, 1, x[1])?;
        let shape = &x[1].ty.shape;
        let [rows, columns] = &shape.dims[..] else {
            return Err(Mistake::operand(
                1,
                format!(
                    "`embedding` takes a table of rows and columns, but `{}` has shape {shape}",
                    x[1].name
                ),
            ));
        };
        if shape.batched {
            return Err(Mistake::operand(
                1,
                format!(
                    "`embedding` takes one table for all examples, but `{}` has one per example",
                    x[1].name
                ),
            ));
        }
        facts.same(below, rows, || {
            Mistake::operand(
                1,
                format!(
                    "`{}` holds integers below {below}, but `{}` has {rows} rows",
                    x[0].name, x[1].name
                ),
            )
        })?;
        let Shape { batched, mut dims } = x[0].ty.shape.clone();
        dims.push(columns.clone());
        Ok(Type::real(Shape { batched, dims }))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        gather::rows(x[1], x[0], at)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let table = at.requested[1].then(|| g.scatter_add(at.dy, at.x[0]));
        vec![None, table]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| g.gather(x[1], x[0])))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let sample = |index: Operand, table: Operand, terms| {
            Sample::new(Embedding, [index, table]).summing(terms)
        };
        gather::operands(size).map(|(table, index, terms)| sample(index, table, terms)).collect()
    }
}
