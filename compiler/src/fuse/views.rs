//! Views: nodes whose elements are those of another node, reached by strides.

use crate::buffer::dense_strides;
use crate::graph::{Graph, NodeId};
use crate::ops::reduce::Axis;
use crate::ops::{Lowering, View};

/// The elements of a node in the memory of its base.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reach {
    /// The first element, counted from that of the base.
    pub offset: usize,
    /// The stride of each axis of the node's full sizes.
    pub strides: Vec<isize>,
}

/// Whether a node has its operand's elements, without a computation.
pub(super) fn is_view(g: &Graph, id: NodeId) -> bool {
    match g.op(id).lower() {
        Lowering::View(_) => true,
        // Reducing the batch axis of one example adds nothing up.
        Lowering::Reduction(_, Axis::Batch) => g.batch() == 1,
        _ => false,
    }
}

/// The node whose memory has a view's elements.
pub(super) fn base(g: &Graph, mut id: NodeId) -> NodeId {
    while is_view(g, id) {
        id = g.operands(id)[0];
    }
    id
}

/// Whether a node has the elements of all its operands, which kernels write into its memory.
pub(super) fn is_join(g: &Graph, id: NodeId) -> bool {
    matches!(g.op(id).lower(), Lowering::Join(_))
}

/// The nodes whose kernels write the memory of a value: itself, or of a join the values that it has.
pub(super) fn writers(g: &Graph, value: NodeId) -> Vec<NodeId> {
    let (mut pending, mut found) = (vec![value], Vec::new());
    while let Some(x) = pending.pop() {
        match is_join(g, x) {
            true => pending.extend(g.operands(x).iter().rev().map(|x| base(g, *x))),
            false => found.push(x),
        }
    }
    found
}

/// The elements of a node in the memory of its base, which has strides along its full sizes; `None`
/// if no strides reach them.
pub(super) fn reach(g: &Graph, id: NodeId, base_strides: &[usize]) -> Option<Reach> {
    if !is_view(g, id) {
        return Some(Reach { offset: 0, strides: signed(base_strides) });
    }
    let x = g.operands(id)[0];
    let Reach { mut offset, strides: from } = reach(g, x, base_strides)?;
    let (sizes, to) = (g.sizes(x), g.sizes(id));
    let (x_batched, y_batched) = (g.shape(x).batched, g.shape(id).batched);
    let strides = match g.op(id).lower() {
        Lowering::View(View::Broadcast(_)) => {
            let mut strides = vec![0; to.len()];
            let rank = sizes.len() - usize::from(x_batched);
            for i in 1..=rank {
                if sizes[sizes.len() - i] > 1 {
                    strides[to.len() - i] = from[sizes.len() - i];
                }
            }
            if x_batched {
                strides[0] = from[0];
            }
            strides
        }
        Lowering::View(View::Transpose(op)) => {
            let first = usize::from(y_batched);
            let batch = from[..first].iter().copied();
            let axes = op.permutation_of(g.ty(x)).into_iter().map(|axis| from[axis + first]);
            batch.chain(axes).collect()
        }
        Lowering::View(View::Slice(op)) => {
            let range = op.range(g.ty(x));
            let axis = range.axis + usize::from(x_batched);
            offset = offset
                .checked_add_signed(range.first as isize * from[axis])
                .expect("ranges are within the axis");
            let mut strides = from;
            strides[axis] *= range.step;
            strides
        }
        Lowering::Reduction(..) => from[1..].to_vec(),
        Lowering::View(View::Reshape(_)) => reshaped(&sizes, &from, &to)?,
        _ => unreachable!("{} is no view", g.op(id).name()),
    };
    Some(Reach { offset, strides })
}

/// Strides of a layout as those of a [`Reach`].
pub(super) fn signed(strides: &[usize]) -> Vec<isize> {
    strides.iter().map(|stride| *stride as isize).collect()
}

/// Strides of the same elements in another shape, if there are any: runs of
/// axes that are dense in memory may be split differently.
pub(super) fn reshaped(sizes: &[usize], strides: &[isize], to: &[usize]) -> Option<Vec<isize>> {
    let (sizes, strides): (Vec<usize>, Vec<isize>) =
        sizes.iter().zip(strides).filter(|(size, _)| **size > 1).map(|(a, b)| (*a, *b)).unzip();
    let mut new = vec![0; to.len()];
    let mut left = to.len();
    let mut axis = sizes.len();
    while axis > 0 {
        // The longest dense run that ends here.
        let end = axis;
        let stride = strides[end - 1];
        let mut count = 1;
        loop {
            axis -= 1;
            count *= sizes[axis];
            if axis == 0 || strides[axis - 1] != stride * count as isize {
                break;
            }
        }
        let mut filled = 1;
        while left > 0 && (filled < count || to[left - 1] == 1) {
            left -= 1;
            new[left] = filled as isize * stride;
            filled *= to[left];
        }
        if filled != count {
            return None;
        }
    }
    to[..left].iter().all(|size| *size == 1).then_some(new)
}

/// Axes of a size above one.
pub(super) fn real_sizes(g: &Graph, id: NodeId) -> Vec<usize> {
    g.sizes(id).into_iter().filter(|size| *size > 1).collect()
}

/// [`reach`] with the strides of the axes of a size above one.
pub(super) fn real_reach(g: &Graph, id: NodeId, base_strides: &[usize]) -> Option<Reach> {
    let Reach { offset, strides } = reach(g, id, base_strides)?;
    let real = g.sizes(id).into_iter().zip(strides).filter(|(size, _)| *size > 1);
    Some(Reach { offset, strides: real.map(|(_, stride)| stride).collect() })
}

/// How the elements of a node relate to those of its base, by index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Relation {
    /// The same element at each index.
    Same,
    /// The base has one element for each row of the node's last axis.
    Row,
    /// Anything else.
    Other,
}

/// See [`Relation`].
pub(super) fn relation(g: &Graph, id: NodeId) -> Relation {
    let base = base(g, id);
    let sizes = real_sizes(g, base);
    let dense = dense_strides(&g.sizes(base));
    let Some(Reach { offset: 0, strides }) = real_reach(g, id, &dense) else {
        return Relation::Other;
    };
    let (real, expected) = (real_sizes(g, id), signed(&dense_strides(&sizes)));
    if real == sizes && strides == expected {
        return Relation::Same;
    }
    match (real.split_last(), strides.split_last()) {
        (Some((_, outer)), Some((0, outer_strides)))
            if outer == sizes && outer_strides == expected =>
        {
            Relation::Row
        }
        _ => Relation::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::reshaped;

    #[test]
    fn dense_runs_are_split_and_joined() {
        // Strides of axes of size one have no meaning.
        let reach = |sizes: &[usize], strides: &[isize], to: &[usize]| {
            let strides = reshaped(sizes, strides, to)?;
            let real = to.iter().zip(strides).filter(|(size, _)| **size > 1);
            Some(real.map(|(_, stride)| stride).collect::<Vec<_>>())
        };
        assert_eq!(reach(&[2, 6], &[6, 1], &[3, 4]), Some(vec![4, 1]));
        assert_eq!(reach(&[2, 6], &[8, 1], &[3, 4]), None);
        assert_eq!(reach(&[2, 6], &[8, 1], &[2, 2, 3]), Some(vec![8, 3, 1]));
        assert_eq!(reach(&[6, 2], &[1, 6], &[6, 2, 1]), Some(vec![1, 6]));
        assert_eq!(reach(&[1], &[1], &[1, 1]), Some(vec![]));
        assert_eq!(reach(&[2, 6], &[0, 1], &[1, 2, 6]), Some(vec![0, 1]));
    }
}
