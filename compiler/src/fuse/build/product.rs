//! Builds the kernel of a product (GEMM): axes and factors.

use super::KernelBuilder;
use super::Memory;
use crate::expr::scalar::LaneType;
use crate::fuse::views::{Reach, base, reach};
use crate::graph::{Graph, NodeId};
use crate::kernel::Product;
use crate::ops::Lowering;
use crate::ops::contract::Contract;

impl KernelBuilder<'_> {
    /// The group's product.
    pub(super) fn product(&mut self) -> Product {
        let g = self.g;
        let contraction = |node: &NodeId| match g.op(*node).lower() {
            Lowering::Contraction(contract) => Some((*node, contract)),
            _ => None,
        };
        let (node, contract) = (self.group.nodes.iter().find_map(contraction))
            .expect("the group of a product has one");
        let operands = self.g.operands(node);
        let [a, b] = [Factor::new(self, operands[0]), Factor::new(self, operands[1])];
        let (axes, summed) = product_axes(self.g, node, contract, &a, &b);

        let columns = axes.iter().rposition(|axis| axis.a.is_none());
        let rows = axes.iter().rposition(|axis| axis.b.is_none());
        let outer: Vec<usize> =
            (0..axes.len()).filter(|i| Some(*i) != columns && Some(*i) != rows).collect();
        let missing = usize::MAX;
        self.axes = outer.clone();
        self.axes.extend([rows.unwrap_or(missing), columns.unwrap_or(missing)]);

        let size = |axis: Option<usize>| axis.map_or(1, |i| axes[i].size);
        let access =
            |factor: &Factor<'_>, stride: fn(&Axis) -> Option<isize>, s: fn(&Summed) -> isize| {
                let strides = self.axes.iter().map(|i| axes.get(*i).and_then(stride).unwrap_or(0));
                let strides = strides.chain(summed.iter().map(s)).collect();
                factor.memory.access(factor.offset, strides, LaneType::Float)
            };
        let first = access(&a, |axis| axis.a, |s| s.a);
        let mut second = access(&b, |axis| axis.b, |s| s.b);
        let layout = &b.memory.layout;
        let stride = second.strides[self.axes.len() - 1];
        if stride == 1 && layout.contiguous() == Some(size(columns)) {
            second.padding = layout.padding;
        }
        Product {
            outer: outer.iter().map(|i| axes[*i].size).collect(),
            rows: size(rows),
            columns: size(columns),
            summed: summed.iter().map(|s| s.size).collect(),
            a: first,
            b: second,
            stores: self.stores(),
            partial_sums: Vec::new(),
        }
    }
}

/// A factor of a product: its memory, and its elements there.
struct Factor<'a> {
    memory: &'a Memory,
    offset: usize,
    batched: bool,
    strides: Vec<isize>,
    rank: usize,
}

impl<'a> Factor<'a> {
    fn new(builder: &KernelBuilder<'a>, operand: NodeId) -> Factor<'a> {
        let g = builder.g;
        let memory = &builder.buffers.of[&base(g, operand)];
        let Reach { offset, strides } =
            reach(g, operand, &memory.layout.strides).expect("arranged so that strides reach it");
        let shape = g.shape(operand);
        Factor { memory, offset, batched: shape.batched, strides, rank: shape.rank() }
    }

    fn stride(&self, axis: usize) -> isize {
        self.strides[axis + usize::from(self.batched)]
    }
}

/// An axis of a product's result, and the factors' strides along it.
struct Axis {
    size: usize,
    a: Option<isize>,
    b: Option<isize>,
}

/// An axis that is summed over.
struct Summed {
    size: usize,
    a: isize,
    b: isize,
}

/// Axes of a size above one, in the result's order, and those summed over.
fn product_axes(
    g: &Graph,
    node: NodeId,
    contract: &Contract,
    a: &Factor<'_>,
    b: &Factor<'_>,
) -> (Vec<Axis>, Vec<Summed>) {
    let batch = |f: &Factor<'_>| f.batched.then(|| f.strides[0]);
    let mut axes = Vec::new();
    if g.shape(node).batched {
        axes.push((batch(a), batch(b)));
    }
    axes.extend(contract.shared.iter().map(|(i, j)| (Some(a.stride(*i)), Some(b.stride(*j)))));
    axes.extend(contract.free_a(a.rank).into_iter().map(|i| (Some(a.stride(i)), None)));
    axes.extend(contract.free_b(b.rank).into_iter().map(|j| (None, Some(b.stride(j)))));
    let axes = g.sizes(node).into_iter().zip(axes).filter(|(size, _)| *size > 1);
    let axes = axes.map(|(size, (a, b))| Axis { size, a, b }).collect();

    let operands = g.operands(node);
    let sizes = g.shape(operands[0]).sizes();
    let mut summed = Vec::new();
    if contract.over_batch {
        summed.push(Summed { size: g.batch(), a: a.strides[0], b: b.strides[0] });
    }
    for (i, j) in &contract.contracted {
        summed.push(Summed { size: sizes[*i], a: a.stride(*i), b: b.stride(*j) });
    }
    summed.retain(|s| s.size > 1);
    (axes, summed)
}
