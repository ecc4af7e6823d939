//! The operation [`Standardize`].

use super::{Domain, Lowering, Number, Operand, Operation, Reduced, Reverse, Sample, mean};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::faults::{self, Fault};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// Standardizes the last axis: `(x - mean) / √(variance + eps)` with the population variance, as
/// PyTorch's layer norm.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Standardize {
    /// Added to the variance.
    pub eps: Number,
}

/// The mean along the last axis, with size 1 for that axis.
fn mean_of_rows(g: &mut Graph, x: NodeId) -> NodeId {
    let shape = g.shape(x).clone();
    let keepdim = shape.with(shape.rank() - 1, 1);
    let mean = g.apply(mean::Mean { over: mean::Over::Example(Reduced::one(Some(-1))) }, &[x]);
    g.reshape(mean, &keepdim)
}

impl Standardize {
    /// `x - mean`, and `1 / √(variance + eps)` for each row. The mean is subtracted twice: in a row with
    /// a small variance, the rounding error of the first mean would be significant.
    fn centered_and_scale(&self, g: &mut Graph, x: NodeId) -> (NodeId, NodeId) {
        let mean = mean_of_rows(g, x);
        let centered = g.sub(x, mean);
        let residual_mean = mean_of_rows(g, centered);
        let centered = g.sub(centered, residual_mean);
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
        let (_, scale) = self.centered_and_scale(g, at.x[0]);
        let mean = mean_of_rows(g, at.dy);
        let product = g.mul(at.dy, at.y);
        let slope = mean_of_rows(g, product);
        let projection = g.mul(at.y, slope);
        let dy = g.sub(at.dy, mean);
        let dy = if faults::is(Fault::VarianceTerm) { dy } else { g.sub(dy, projection) };
        vec![Some(g.mul(dy, scale))]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let (centered, scale) = self.centered_and_scale(g, x[0]);
            g.mul(centered, scale)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        // Rows of one element have variance 0 and a gradient of 0.
        let shapes = [Shape::batched([size + 1]), Shape::unbatched([3, size + 1])];
        let sample = |shape| {
            let x = Operand::new(Type::real(shape), Domain::Normal(1.0));
            Sample::new(Standardize { eps: Number(0.1) }, [x]).summing(4 * size)
        };
        shapes.map(sample).into()
    }
}
