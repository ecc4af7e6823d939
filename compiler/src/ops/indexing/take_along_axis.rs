//! The operation [`TakeAlongAxis`].

use super::compare_position::ComparePosition;
use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature, gather,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// Elements of an axis by integers: PyTorch's `gather`. The integers have the shape of `x` but for this
/// axis, whose size is their bound: for axis 1 of two, `y[i, k]` is `x[i, index[i, k]]`.
///
/// Each result is selected from all elements of the axis, so that time grows with its size; rows of a
/// parameter are read by [`embedding`](super::embedding). The gradient of an element is the sum of those
/// of all its uses.
///
/// In the language: `take_along_axis(x, index, axis)` or `gather(x, index, axis)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3];
///         input place: index(3)[2];
///         output y = gather(x, place, axis = -1);
///     }
/// }
///
/// let (x, place) = (array![[1.0, 2.0, 4.0]], array![[2, 0]]);
/// let model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), place: place.view() })?.y;
/// assert_eq!(y, array![[4.0, 1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TakeAlongAxis {
    /// The axis of the example, counted from the end if negative.
    pub axis: i64,
}

impl Operation for TakeAlongAxis {
    const NAME: &'static str = "take_along_axis";
    const CALL: Option<Signature> = Some(
        Signature::of(&["x", "index"])
            .with(&[Attribute { name: "axis", kind: AttributeKind::Axis, default: None }])
            .or("gather"),
    );

    fn from_call(attributes: &Attributes) -> Result<TakeAlongAxis, Mistake> {
        Ok(TakeAlongAxis { axis: attributes.axis("axis").unwrap_or(-1) })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        super::elementwise::require_real(Self::NAME, 0, x[0])?;
        let axis = bounded_axis(Self::NAME, self.axis, x, facts)?;
        let (of, index) = (&x[0].ty.shape, &x[1].ty.shape);
        let mistake = || {
            let message = format!(
                "`{}` of shape {of} takes integers of its shape but for axis {axis}, but `{}` has shape \
                 {index}",
                x[0].name, x[1].name
            );
            Mistake::operand(1, message)
        };
        if of.rank() != index.rank() {
            return Err(mistake());
        }
        for (i, (a, b)) in of.dims.iter().zip(&index.dims).enumerate() {
            if i != axis {
                facts.same(a, b, mistake)?;
            }
        }
        let batched = of.batched || index.batched;
        Ok(Type::real(Shape { batched, dims: index.dims.clone() }))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        taken(x[0], x[1], self.resolved(at.operands[0]), at)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let axis = self.resolved(g.ty(at.x[0]));
        let dx = at.requested[0].then(|| untake(g, at.dy, at.x[1], at.x[0], axis));
        vec![dx, None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let axis = self.resolved(g.ty(x[0]));
            take(g, x[0], x[1], axis)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let cases: [(i64, &[usize], usize); 4] = [
            (-1, &[size], 2),
            (0, &[size, 3], size),
            (1, &[2, size, 3], 4),
            (-1, &[3, size], size),
        ];
        let samples = cases.into_iter().zip([true, true, true, false]);
        samples
            .map(|((axis, dims, count), batched)| {
                let shape = Shape { batched, dims: dims.iter().map(|n| (*n).into()).collect() };
                let x = Type::real(shape);
                let resolved = TakeAlongAxis { axis }.resolved(&x);
                let index = Shape::batched(dims.iter().copied()).with(resolved, count);
                let index = Operand::new(Type::index(size, index), Domain::Indices);
                let x = Operand::new(x, Domain::Normal(1.0));
                Sample::new(TakeAlongAxis { axis }, [x, index]).summing(40 * size.max(count))
            })
            .collect()
    }
}

impl TakeAlongAxis {
    /// The axis of a checked operand.
    fn resolved(&self, ty: &Type) -> usize {
        resolve_axis(self.axis, Argument { name: "", ty })
            .expect("the shape function has checked it")
    }
}

/// An axis of the first operand, of the bound of the second, which holds integers.
pub(in crate::ops) fn bounded_axis(
    name: &str,
    axis: i64,
    x: &[Argument<'_>],
    facts: &mut Facts,
) -> Result<usize, Mistake> {
    let below = gather::bound(name, 1, x[1])?;
    let axis = resolve_axis(axis, x[0])?;
    let size = &x[0].ty.shape.dims[axis];
    facts.same(below, size, || {
        let message = format!(
            "`{}` holds integers below {below}, but axis {axis} of `{}` has size {size}",
            x[1].name, x[0].name
        );
        Mistake::operand(1, message)
    })?;
    Ok(axis)
}

/// Elements along an axis, for the interpreter: `index` has the result's shape, with or without the
/// batch.
#[cfg(feature = "eval")]
pub(in crate::ops) fn taken<T: Real>(
    x: &Value<T>,
    index: &Value<T>,
    axis: usize,
    at: &Evaluation<'_>,
) -> Value<T> {
    let is_batched = at.ty.shape.batched;
    let [of_x, of_index] = [0, 1].map(|i| usize::from(is_batched && !at.operands[i].shape.batched));
    let Value::Index(index) = index else { unreachable!("the shape function has checked it") };
    let elements = ndarray::indices(at.sizes()).into_iter().map(|place| {
        let place: Vec<usize> = ndarray::Dimension::slice(&place).to_vec();
        let mut source = place[of_x..].to_vec();
        let axis = axis + usize::from(at.operands[0].shape.batched);
        source[axis] = index[&place[of_index..]] as usize;
        x.array()[&source[..]]
    });
    Value::real(&at.sizes(), elements.collect())
}

/// The axes with one of them last, and their inverse.
fn to_last(axis: usize, rank: usize) -> [Vec<usize>; 2] {
    let order: Vec<usize> = (0..rank).filter(|i| *i != axis).chain([axis]).collect();
    let mut inverse = vec![0; rank];
    order.iter().enumerate().for_each(|(to, from)| inverse[*from] = to);
    [order, inverse]
}

/// `x` with an axis of size 1 inserted.
fn with_axis(g: &mut Graph, x: NodeId, axis: usize) -> NodeId {
    let mut shape = g.shape(x).clone();
    shape.dims.insert(axis, 1.into());
    g.reshape(x, &shape)
}

/// 1 where an element of `of`'s axis is the one that an integer names, else 0: integers along the last
/// axis but one, elements along the last, which the axis becomes.
fn is_named(g: &mut Graph, index: NodeId, of: NodeId, axis: usize) -> NodeId {
    let rank = g.shape(index).rank();
    let [order, _] = to_last(axis, rank);
    let elements = g.shape(of).dims[axis].clone();
    let index = g.permute(index, &order);
    let index = with_axis(g, index, rank);
    let mut shape = g.shape(index).clone();
    shape.dims[rank] = elements;
    let index = g.broadcast(index, &shape);
    g.apply(ComparePosition::Equal, &[index])
}

/// Elements of an axis by integers.
pub(in crate::ops) fn take(g: &mut Graph, x: NodeId, index: NodeId, axis: usize) -> NodeId {
    let rank = g.shape(x).rank();
    let [order, inverse] = to_last(axis, rank);
    let named = is_named(g, index, x, axis);
    let x = g.permute(x, &order);
    let x = with_axis(g, x, rank - 1);
    let zero = g.constant(0.0);
    // By selection, not by products, so that other elements may be infinite.
    let picked = g.select(named, x, zero);
    let sums = g.sum_axis(picked, rank);
    let mut shape = g.shape(sums).clone();
    shape.dims.pop();
    let y = g.reshape(sums, &shape);
    g.permute(y, &inverse)
}

/// The gradient of [`take`] with respect to `x`: for each element the sum of its uses.
pub(in crate::ops) fn untake(
    g: &mut Graph,
    dy: NodeId,
    index: NodeId,
    x: NodeId,
    axis: usize,
) -> NodeId {
    let shape = g.shape(x).clone();
    let rank = shape.rank();
    let [order, inverse] = to_last(axis, rank);
    let named = is_named(g, index, x, axis);
    let dy = g.permute(dy, &order);
    let dy = with_axis(g, dy, rank);
    let zero = g.constant(0.0);
    let spread = g.select(named, dy, zero);
    let sums = g.sum_axis(spread, rank - 1);
    let mut without = g.shape(sums).clone();
    without.dims.remove(rank - 1);
    let dx = g.reshape(sums, &without);
    let dx = g.permute(dx, &inverse);
    g.sum_to(dx, &shape)
}
