//! Rewrites of slices and joins.

use crate::graph::{Graph, NodeId};
use crate::ops::Op;
use crate::ops::concat::Concat;
use crate::ops::slice::{Range, Slice};
use crate::shape::Shape;

use super::constants::value;

/// Of slices:
/// - all of an axis → `x`
/// - `slice (slice x)` along one axis → `slice x`
/// - `slice (concat …)` along its axis, of one operand → a slice of the operand
/// - `slice (broadcast x)` → `broadcast x`, or `broadcast (slice x)`
///
/// Of joins:
/// - `concat x` → `x`
/// - `concat (concat …)` along one axis → one `concat`
/// - adjacent slices of one value → one slice; adjacent operands of one number → one
/// - `concat … + concat …` along one axis → `concat`, if each element is 0 in one of them: gradients of
///   slices are the slices of one gradient
pub(super) fn rewrite(g: &mut Graph, op: &Op, x: &[NodeId]) -> Option<NodeId> {
    match op {
        Op::Slice(slice) => rewrite_slice(g, slice, x[0]),
        Op::Concat(concat) => rewrite_concat(g, concat, x),
        Op::Add(_) => added(g, x[0], x[1]),
        _ => None,
    }
}

fn rewrite_slice(g: &mut Graph, slice: &Slice, x: NodeId) -> Option<NodeId> {
    let Range { axis, first, count, step } = slice.range(g.ty(x));
    let shape = g.shape(x).clone();
    if count == shape.sizes()[axis] && step == 1 {
        return Some(x);
    }
    match g.op(x).clone() {
        Op::Slice(inner) => {
            let from = g.operands(x)[0];
            let inner = inner.range(g.ty(from));
            let first = (inner.first as isize + first as isize * inner.step) as usize;
            let step = inner.step * step;
            (inner.axis == axis).then(|| g.slice(from, Range { axis, first, count, step }))
        }
        Op::Concat(concat) if concat.axis_of(g.ty(x)) == axis => {
            // Of several operands: the join is in memory, where the slice is a view.
            let last = Range { axis, first, count, step }.last();
            let (least, most) = (first.min(last), first.max(last));
            let found = segments(g, x, axis);
            let (from, _, operand) =
                *found.iter().find(|(from, to, _)| *from <= least && most < *to)?;
            let range = Range { axis, first: first - from, count, step };
            (g.shape(operand).batched == shape.batched).then(|| g.slice(operand, range))
        }
        Op::Broadcast(broadcast) => {
            let from = g.operands(x)[0];
            let to = broadcast.shape.with(axis, count);
            // The axis of the operand, from the last.
            let inner = (axis + g.shape(from).rank()).checked_sub(shape.rank());
            match inner.filter(|inner| g.shape(from).sizes()[*inner] > 1) {
                None => Some(g.broadcast(from, &to)),
                Some(axis) => {
                    let sliced = g.slice(from, Range { axis, first, count, step });
                    Some(g.broadcast(sliced, &to))
                }
            }
        }
        _ => None,
    }
}

fn rewrite_concat(g: &mut Graph, concat: &Concat, x: &[NodeId]) -> Option<NodeId> {
    if let [x] = x {
        return Some(*x);
    }
    let axis = concat.axis_of(g.ty(x[0]));
    let batched = x.iter().any(|x| g.shape(*x).batched);
    let mut operands: Vec<NodeId> = Vec::new();
    for &x in x {
        match g.op(x) {
            Op::Concat(inner) if inner.axis_of(g.ty(x)) == axis => {
                operands.extend(g.operands(x).to_vec());
            }
            _ => operands.push(x),
        }
    }
    let mut joined: Vec<NodeId> = Vec::new();
    for x in operands.iter().copied() {
        match joined.last().and_then(|last| adjacent(g, *last, x, axis)) {
            Some(both) => *joined.last_mut().expect("it has a last one") = both,
            None => joined.push(x),
        }
    }
    if joined == x {
        return None;
    }
    let result = g.concat(&joined, axis);
    (g.shape(result).batched == batched).then_some(result)
}

/// Two adjacent operands of a join as one.
fn adjacent(g: &mut Graph, a: NodeId, b: NodeId, axis: usize) -> Option<NodeId> {
    let [of_a, of_b] = [a, b].map(|x| g.shape(x).clone());
    if of_a.batched != of_b.batched {
        return None;
    }
    if let (Some(x), Some(y)) = (value(g, a), value(g, b)) {
        let sum = of_a.sizes()[axis] + of_b.sizes()[axis];
        return (x.to_bits() == y.to_bits()).then(|| g.filled(x, &of_a.with(axis, sum)));
    }
    let (Op::Slice(first), Op::Slice(then)) = (g.op(a), g.op(b)) else { return None };
    let (from, other) = (g.operands(a)[0], g.operands(b)[0]);
    let (first, then) = (first.range(g.ty(from)), then.range(g.ty(other)));
    let follows = from == other
        && (first.axis, then.axis) == (axis, axis)
        && (first.step, then.step) == (1, 1)
        && then.first == first.first + first.count;
    follows.then(|| g.slice(from, Range { count: first.count + then.count, ..first }))
}

/// The operands of a join along an axis, or a value as the only one: where each begins and ends.
fn segments(g: &Graph, x: NodeId, axis: usize) -> Vec<(usize, usize, NodeId)> {
    let operands = match g.op(x) {
        Op::Concat(concat) if concat.axis_of(g.ty(x)) == axis => g.operands(x).to_vec(),
        _ => vec![x],
    };
    let mut end = 0;
    let segment = |x: NodeId| {
        let first = end;
        end += g.shape(x).sizes()[axis];
        (first, end, x)
    };
    operands.into_iter().map(segment).collect()
}

/// The sum of two joins of which each element is 0 in one.
fn added(g: &mut Graph, a: NodeId, b: NodeId) -> Option<NodeId> {
    let (Op::Concat(first), Op::Concat(then)) = (g.op(a), g.op(b)) else { return None };
    let axis = first.axis_of(g.ty(a));
    if axis != then.axis_of(g.ty(b)) {
        return None;
    }
    let shape: Shape = g.shape(a).clone();
    let joins = [segments(g, a, axis), segments(g, b, axis)];
    let mut cuts: Vec<usize> = joins.iter().flatten().map(|(_, end, _)| *end).collect();
    cuts.sort_unstable();
    cuts.dedup();
    // The operands between two cuts; one of them is 0.
    let mut pieces: Vec<(usize, usize, (usize, NodeId))> = Vec::new();
    let mut begin = 0;
    for end in cuts {
        let around = joins.each_ref().map(|join| {
            let found = join.iter().find(|(from, to, _)| *from <= begin && end <= *to);
            found.map(|(from, _, x)| (*from, *x))
        });
        let [Some(x), Some(y)] = around else { return None };
        let is_zero = |(_, x): (usize, NodeId)| value(g, x) == Some(0.0);
        let other = match (is_zero(x), is_zero(y)) {
            (true, _) => y,
            (_, true) => x,
            _ => return None,
        };
        pieces.push((begin, end, other));
        begin = end;
    }
    let pieces: Vec<NodeId> = pieces
        .into_iter()
        .map(|(begin, end, (from, x))| {
            g.slice(x, Range { axis, first: begin - from, count: end - begin, step: 1 })
        })
        .collect();
    let batched = pieces.iter().any(|piece| g.shape(*piece).batched);
    (batched == shape.batched).then(|| g.concat(&pieces, axis))
}
