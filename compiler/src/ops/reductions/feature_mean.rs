//! The operation [`FeatureMean`].

use super::{Domain, Lowering, Operand, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Dim, Facts, Shape, Type};

/// The mean of each feature over the batch: over all examples and all axes of an example except the
/// first, the axis of features.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FeatureMean {
    /// Whether the divisor is the number of terms minus 1, as for the unbiased variance.
    pub unbiased: bool,
}

impl FeatureMean {
    fn divisor(&self, x: &Shape, batch: usize) -> f32 {
        let count = Self::terms(x) * batch;
        (count - usize::from(self.unbiased)) as f32
    }

    /// The number of terms per feature and example.
    fn terms(x: &Shape) -> usize {
        x.sizes()[1..].iter().product()
    }
}

/// Reshapes one value per feature to the rank of `like`, so that it broadcasts.
pub fn align(g: &mut Graph, x: NodeId, like: &Shape) -> NodeId {
    let mut dims = g.shape(x).dims.clone();
    dims.resize(like.rank(), Dim::Fixed(1));
    g.reshape(x, &Shape { batched: false, dims })
}

impl Operation for FeatureMean {
    const NAME: &'static str = "feature_mean";
    const OPERANDS: Option<usize> = Some(1);

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        super::elementwise::require_real(Self::NAME, 0, x[0])?;
        let shape = &x[0].ty.shape;
        match (shape.batched, shape.dims.first()) {
            (true, Some(features)) => Ok(Type::real(Shape::unbatched([features.clone()]))),
            _ => Err(Mistake::operand(
                0,
                format!("`{}` needs a batch axis and an axis of features", x[0].name),
            )),
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let divisor = T::of(self.divisor(&at.operands[0].shape, at.batch));
        let features = x[0].array().axis_iter(ndarray::Axis(1));
        let means = features.map(|f| f.iter().copied().total() / divisor);
        Value::real(&at.sizes(), means.collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let shape = g.shape(at.x[0]).clone();
        let divisor = g.constant(self.divisor(&shape, g.batch()));
        let share = g.div(at.dy, divisor);
        let share = align(g, share, &shape);
        vec![Some(g.broadcast(share, &shape))]
    }

    fn least_batch(&self, x: &[&Type]) -> usize {
        // The variance of one term is undefined.
        match self.unbiased && Self::terms(&x[0].shape) == 1 {
            true => 2,
            false => 1,
        }
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let shape = g.shape(x[0]).clone();
            let features = Shape::unbatched([shape.dims[0].clone()]);
            let mut keepdim = vec![Dim::Fixed(1); shape.rank()];
            keepdim[0] = shape.dims[0].clone();
            let sum = g.sum_to(x[0], &Shape::unbatched(keepdim));
            let sum = g.reshape(sum, &features);
            let divisor = g.constant(self.divisor(&shape, g.batch()));
            g.div(sum, divisor)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let shapes = [vec![size], vec![size, 5]];
        let sample = |dims| {
            let x = Operand::new(Type::real(Shape::batched(dims)), Domain::Normal(1.0));
            Sample::new(FeatureMean { unbiased: false }, [x]).summing(5 * 40)
        };
        shapes.map(sample).into()
    }
}
