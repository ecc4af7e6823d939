//! Shared code of operations on scores and class indices. Classes are on the last axis of the
//! scores; there is one index per element of the other axes.

#[cfg(feature = "eval")]
use std::cmp::Ordering;

use super::compare_position::ComparePosition;
use super::{Domain, Op, Operand, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, DType, Facts, Shape, Type};

/// The type of one value per class index.
pub(in crate::ops) fn shape(
    name: &str,
    x: Argument<'_>,
    target: Argument<'_>,
    facts: &mut Facts,
) -> Result<Type, Mistake> {
    super::elementwise::require_real(name, 0, x)?;
    let DType::Index { below } = &target.ty.dtype else {
        return Err(Mistake::operand(
            1,
            format!(
                "`{name}` takes a class index as target, but `{}` holds reals of shape {}",
                target.name, target.ty.shape
            ),
        ));
    };
    let Some((classes, outer)) = x.ty.shape.dims.split_last() else {
        return Err(Mistake::operand(
            0,
            format!("`{name}` takes a score for each class, but `{}` is a single number", x.name),
        ));
    };
    facts.same(classes, below, || {
        Mistake::operand(
            0,
            format!("`{}` has {classes} scores, but `{}` has {below} classes", x.name, target.name),
        )
    })?;
    let mistake = || {
        Mistake::operand(
            1,
            format!(
                "`{}` of shape {} takes class indices of shape {}, but `{}` is {}",
                x.name,
                x.ty.shape,
                Shape { batched: x.ty.shape.batched, dims: outer.to_vec() },
                target.name,
                target.ty.shape
            ),
        )
    };
    if target.ty.shape.rank() != outer.len() || target.ty.shape.batched != x.ty.shape.batched {
        return Err(mistake());
    }
    for (a, b) in outer.iter().zip(&target.ty.shape.dims) {
        facts.same(a, b, mistake)?;
    }
    Ok(Type::real(target.ty.shape.clone()))
}

/// Maps each row of scores and its class index to a value, for the interpreter.
#[cfg(feature = "eval")]
pub(in crate::ops) fn evaluate<T: Real>(
    x: &[&Value<T>],
    at: &Evaluation<'_>,
    f: impl Fn(&[T], usize) -> T,
) -> Value<T> {
    let targets = x[1].indices();
    let classes = x[0].reals().len() / targets.len();
    let rows = x[0].reals().chunks(classes);
    Value::real(
        &at.sizes(),
        rows.zip(targets).map(|(row, t)| T::all_branches(|| f(row, *t as usize))).collect(),
    )
}

fn compare(g: &mut Graph, op: ComparePosition, target: NodeId, scores: NodeId) -> NodeId {
    let shape = g.shape(scores).clone();
    let column = column(g, target);
    let indices = g.broadcast(column, &shape);
    g.apply(op, &[indices])
}

/// One-hot vectors of the shape of `scores`.
pub(in crate::ops) fn one_hot(g: &mut Graph, target: NodeId, scores: NodeId) -> NodeId {
    compare(g, ComparePosition::Equal, target, scores)
}

/// 1 for each class before the target, else 0, of the shape of `scores`.
fn before(g: &mut Graph, target: NodeId, scores: NodeId) -> NodeId {
    compare(g, ComparePosition::Before, target, scores)
}

/// 1 for each example whose target is among the `k` classes with the largest scores, else 0: the
/// definition of a correct prediction, for accuracies here and in the runtime's `metrics`. Of equal
/// scores the one with the lower class index ranks first; an example with a NaN score is incorrect.
pub(in crate::ops) fn in_top_k(g: &mut Graph, scores: NodeId, target: NodeId, k: usize) -> NodeId {
    let axis = g.shape(scores).rank() - 1;
    let target_score = pick(g, scores, target);
    let larger = g.greater(scores, target_score);
    let equal = g.equal(scores, target_score);
    let before = before(g, target, scores);
    let equal_before = g.mul(equal, before);
    let earlier = g.add(larger, equal_before);
    // A NaN score counts as infinitely many earlier ones.
    let is_number = g.equal(scores, scores);
    let infinity = g.constant(f32::INFINITY);
    let earlier = g.select(is_number, earlier, infinity);
    let count = g.sum_axis(earlier, axis);
    let limit = g.constant(k as f32);
    let is_in_top_k = g.greater(limit, count);
    let shape = g.shape(target).clone();
    g.reshape(is_in_top_k, &shape)
}

/// [`in_top_k`] of one example, for the interpreter.
#[cfg(feature = "eval")]
pub(in crate::ops) fn is_in_top_k<T: Real>(scores: &[T], target: usize, k: usize) -> bool {
    let own = scores[target];
    let ranks_before = |(class, score): (usize, &T)| match class.cmp(&target) {
        Ordering::Less => *score >= own,
        Ordering::Equal => false,
        Ordering::Greater => *score > own,
    };
    let has_nan = scores.iter().any(|score| score.is_nan());
    !has_nan && scores.iter().enumerate().filter(|at| ranks_before(*at)).count() < k
}

/// The target's score, with a last axis of size 1. By selection, not by a product with a one-hot
/// vector, so that other scores may be infinite.
pub(in crate::ops) fn pick(g: &mut Graph, scores: NodeId, target: NodeId) -> NodeId {
    let axis = g.shape(scores).rank() - 1;
    let one_hot = one_hot(g, target, scores);
    let zero = g.constant(0.0);
    let picked = g.select(one_hot, scores, zero);
    g.sum_axis(picked, axis)
}

/// Adds a last axis of size 1.
pub(in crate::ops) fn column(g: &mut Graph, x: NodeId) -> NodeId {
    let mut shape = g.shape(x).clone();
    shape.dims.push(1.into());
    g.reshape(x, &shape)
}

/// Scores and class indices.
pub(in crate::ops) fn samples<O: Into<Op> + Clone>(
    size: usize,
    domain: Domain,
    op: O,
) -> Vec<Sample> {
    [vec![], vec![3]]
        .into_iter()
        .map(|outer: Vec<usize>| {
            let scores = Shape::batched(outer.iter().copied().chain([size]));
            let target = Type::index(size, Shape::batched(outer));
            let operands =
                [Operand::new(Type::real(scores), domain), Operand::new(target, Domain::Indices)];
            Sample::new(op.clone(), operands).summing(size)
        })
        .collect()
}
