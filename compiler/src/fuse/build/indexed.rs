//! Builds accesses by index: loads of gathered rows, and the kernel of a scatter.

use super::super::group::Level;
use super::super::views::{Reach, base, reach, real_reach, real_sizes};
use super::KernelBuilder;
use crate::expr::scalar::LaneType;
use crate::graph::NodeId;
use crate::kernel::{Access, Indexed, Scatter, Store};
use crate::ops::Lowering;

impl KernelBuilder<'_> {
    /// The access to the rows of a table that a node gathers.
    pub(super) fn gathered(&self, node: NodeId) -> Access {
        let operands = self.g.operands(node);
        let [table, index] = [operands[0], operands[1]];
        let level = self.level(node);
        let memory = &self.buffers.of[&base(self.g, table)];
        let layout = &memory.layout;
        let Reach { offset, strides } =
            reach(self.g, table, &layout.strides).expect("arranged for its strides");
        let sizes = self.g.sizes(table);
        let column = (sizes[1] > 1).then_some(strides[1]);
        // The index's axes, then that of columns.
        let mut at = self.index_access(index);
        let mut strides_of_table = vec![0; at.strides.len()];
        strides_of_table.extend(column);
        at.strides.extend(column.map(|_| 0));
        at.strides = self.on_kernel_axes(at.strides, level);
        let index = Some(Box::new(Indexed { at, row_stride: strides[0], below: sizes[0] }));
        let strides_of_table = self.on_kernel_axes(strides_of_table, level);
        let access = memory.access(offset, strides_of_table, LaneType::Float);
        let mut access = Access { index, ..access };
        access.padding = self.padding(&access, layout);
        access
    }

    /// The access to an index along its axes of a size above one.
    fn index_access(&self, index: NodeId) -> Access {
        let memory = &self.buffers.of[&base(self.g, index)];
        let Reach { offset, strides } = real_reach(self.g, index, &memory.layout.strides)
            .expect("arranged so that strides reach it");
        memory.access(offset, strides, LaneType::Int)
    }

    /// The group's scatter.
    pub(super) fn scatter(&mut self) -> Scatter {
        let node = (self.group.nodes.iter().copied())
            .find(|n| matches!(self.g.op(*n).lower(), Lowering::Scatter))
            .expect("the group of a scatter has one");
        let operands = self.g.operands(node);
        let [values, index] = [operands[0], operands[1]];
        let (sizes, memory) = (self.g.sizes(node), &self.buffers.of[&node]);
        let layout = &memory.layout;
        let positions = real_sizes(self.g, index);
        // Axes: those of positions, the table's rows, columns.
        let mut index = self.index_access(index);
        index.strides.extend([0, 0]);
        let mut strides = vec![0; positions.len()];
        strides.push(layout.strides[0] as isize);
        strides.push(if sizes[1] > 1 { layout.strides[1] as isize } else { 0 });
        let mut to = memory.access(0, strides, LaneType::Float);
        to.padding = self.padding(&to, layout);
        let value = self.operand(values, Level::Full);
        let store = Store { to, value };
        Scatter {
            positions,
            rows: sizes[0],
            columns: sizes[1],
            index,
            store,
            partial_sums: Vec::new(),
        }
    }
}
