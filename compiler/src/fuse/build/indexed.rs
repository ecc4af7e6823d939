//! Builds accesses by index: loads of gathered rows, and the kernel of a scatter.

use super::super::group::Level;
use super::super::views::{base, real_sizes, real_strides, strides};
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
        let buffer = self.buffers.of[&base(self.g, table)];
        let layout = &self.buffers.list[buffer].layout;
        let strides = strides(self.g, table, &layout.strides).expect("arranged for its strides");
        let sizes = self.g.sizes(table);
        let column = (sizes[1] > 1).then_some(strides[1]);
        // The index's axes, then that of columns.
        let (rows, mut at) = (self.buffers.of[&base(self.g, index)], self.index_strides(index));
        let mut strides_of_table = vec![0; at.len()];
        strides_of_table.extend(column);
        at.extend(column.map(|_| 0));
        let at = Access {
            buffer: rows,
            strides: self.on_kernel_axes(at, level),
            lane_type: LaneType::Int,
            padding: 0,
            index: None,
        };
        let index = Some(Box::new(Indexed { at, row_stride: strides[0], below: sizes[0] }));
        let strides_of_table = self.on_kernel_axes(strides_of_table, level);
        let mut access = Access {
            buffer,
            strides: strides_of_table,
            lane_type: LaneType::Float,
            padding: 0,
            index,
        };
        access.padding = self.padding(&access, layout);
        access
    }

    /// An index's strides along its axes of a size above one.
    fn index_strides(&self, index: NodeId) -> Vec<usize> {
        let layout = &self.buffers.list[self.buffers.of[&base(self.g, index)]].layout;
        real_strides(self.g, index, &layout.strides).expect("arranged so that strides reach it")
    }

    /// The group's scatter.
    pub(super) fn scatter(&mut self) -> Scatter {
        let node = (self.group.nodes.iter().copied())
            .find(|n| matches!(self.g.op(*n).lower(), Lowering::Scatter))
            .expect("the group of a scatter has one");
        let operands = self.g.operands(node);
        let [values, index] = [operands[0], operands[1]];
        let (sizes, table) = (self.g.sizes(node), self.buffers.of[&node]);
        let layout = &self.buffers.list[table].layout;
        let positions = real_sizes(self.g, index);
        // Axes: those of positions, the table's rows, columns.
        let mut strides = self.index_strides(index);
        strides.extend([0, 0]);
        let buffer = self.buffers.of[&base(self.g, index)];
        let index = Access { buffer, strides, lane_type: LaneType::Int, padding: 0, index: None };
        let mut strides = vec![0; positions.len()];
        strides.push(layout.strides[0]);
        strides.push(if sizes[1] > 1 { layout.strides[1] } else { 0 });
        let mut to =
            Access { buffer: table, strides, lane_type: LaneType::Float, padding: 0, index: None };
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
