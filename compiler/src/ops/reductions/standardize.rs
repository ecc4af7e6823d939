//! The operation [`Standardize`].

use super::{Domain, Lowering, Number, Operand, Operation, Reverse, Sample, mean};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// The last axis with mean 0 and variance 1: `(x - mean) / √(variance + eps)`,
/// the variance that of the population, as PyTorch's layer norm has it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Standardize {
    /// What is added to the variance.
    pub eps: Number,
}

/// The mean along the last axis, kept with size one.
fn mean_of_rows(g: &mut Graph, x: NodeId) -> NodeId {
    let shape = g.shape(x).clone();
    let kept = shape.with(shape.rank() - 1, 1);
    let mean = g.apply(mean::Mean { over: mean::Over::Example(Some(-1)) }, &[x]);
    g.reshape(mean, &kept)
}

impl Standardize {
    /// `x - mean`, and `1 / √(variance + eps)` for each row. Where a row varies
    /// by little, the rounding of its mean would be a good part of that: what
    /// is left of a mean is taken off as well.
    fn parts(&self, g: &mut Graph, x: NodeId) -> (NodeId, NodeId) {
        let mean = mean_of_rows(g, x);
        let centered = g.sub(x, mean);
        let rest = mean_of_rows(g, centered);
        let centered = g.sub(centered, rest);
        let square = g.square(centered);
        let variance = mean_of_rows(g, square);
        let (eps, one) = (g.constant(self.eps.0), g.constant(1.0));
        let variance = g.add(variance, eps);
        let deviation = g.sqrt(variance);
        (centered, g.div(one, deviation))
    }
}

impl Operation for Standardize {
    const NAME: &'static str = "standardize";
    const OPERANDS: Option<usize> = Some(1);

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        super::elementwise::require_real(Self::NAME, 0, x[0])?;
        match x[0].ty.shape.rank() {
            0 => Err(Mistake::operand(0, format!("`{}` is a single number", x[0].name))),
            _ => Ok(x[0].ty.clone()),
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let sizes = at.sizes();
        let last = sizes[sizes.len() - 1];
        let count = T::of(last as f32);
        let mut values = Vec::new();
        for row in x[0].reals().chunks(last) {
            let mean = row.iter().copied().total() / count;
            let squares = row.iter().map(|x| (*x - mean) * (*x - mean));
            let variance = squares.total() / count;
            let deviation = (variance + T::of(self.eps.0)).sqrt();
            values.extend(row.iter().map(|x| (*x - mean) / deviation));
        }
        Value::real(&sizes, values)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        // With y the result: (dy - mean dy - y · mean (dy · y)) / deviation
        let (_, inverse) = self.parts(g, at.x[0]);
        let level = mean_of_rows(g, at.dy);
        let product = g.mul(at.dy, at.y);
        let slope = mean_of_rows(g, product);
        let along = g.mul(at.y, slope);
        let rest = g.sub(at.dy, level);
        let rest = g.sub(rest, along);
        vec![Some(g.mul(rest, inverse))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let (centered, inverse) = self.parts(g, x[0]);
            g.mul(centered, inverse)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        // One element has no variance, and its row no slope to compare.
        let shapes = [Shape::batched([size + 1]), Shape::unbatched([3, size + 1])];
        let sample = |shape| {
            let x = Operand::new(Type::real(shape), Domain::Normal(1.0));
            Sample::new(Standardize { eps: Number(0.1) }, [x]).summing(4 * size)
        };
        shapes.map(sample).into()
    }
}
