//! Kernels: formulas over loads at every point of one iteration space, reductions, stores.
//!
//! [`fuse`](crate::fuse) makes kernels from the graph, [`lower`](mod@crate::lower) makes a
//! [`Program`](crate::program::Program) from a kernel. A kernel names buffers by
//! number and has the strides of each axis in them; it does not depend on a vector width.

mod print;

use crate::expr::scalar::{LaneType, Reduction};
use crate::expr::{self, Expr, Expressions};

/// The computation of one group of nodes: formulas at every point of one iteration space.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The nodes that it stores, for printouts and profiles.
    pub name: String,
    /// Its loads, by the number in [`Term::Load`](crate::expr::Term::Load).
    pub loads: Vec<Access>,
    /// Its element counts, by the number in [`Term::Iota`].
    ///
    /// [`Term::Iota`]: crate::expr::Term::Iota
    pub iotas: Vec<Iota>,
    /// The buffers that it reads and whose memory it overwrites: parameters that
    /// it updates.
    pub overwritten: Vec<usize>,
    /// All formulas.
    pub formulas: Expressions,
    /// The iteration space, reductions and stores.
    pub body: Body,
}

/// An access to a buffer: strides for each axis of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// The buffer's number.
    pub buffer: usize,
    /// The part of the buffer that it is within, by number; `None` for the buffer as a whole.
    pub part: Option<usize>,
    /// The first element, counted from the buffer's start.
    pub offset: usize,
    /// The stride of each axis of the kernel, in elements. Those of loads may be negative.
    pub strides: Vec<isize>,
    /// The type of its elements.
    pub lane_type: LaneType,
    /// Padding: the elements beyond the end of the last axis that may be read and
    /// overwritten, at every index of the other axes.
    pub padding: usize,
    /// The row of the buffer, where another buffer has its index.
    pub index: Option<Box<Indexed>>,
}

/// Counted elements: integers from `offset` on, with a stride for each axis of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Iota {
    /// The first element's number.
    pub offset: usize,
    /// The increment for each axis.
    pub strides: Vec<isize>,
}

/// The row of a buffer that an [`Access`] reaches: an integer read from
/// another buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Indexed {
    /// The access to the integer: not indexed itself, and the same for all elements of a
    /// vector.
    pub at: Access,
    /// Elements of the buffer from one row to the next.
    pub row_stride: isize,
    /// The number of rows: all integers are below it.
    pub below: usize,
}

impl Access {
    /// The access to a whole buffer, without padding or index.
    pub fn of(buffer: usize, strides: Vec<isize>, lane_type: LaneType) -> Access {
        Access { buffer, part: None, offset: 0, strides, lane_type, padding: 0, index: None }
    }

    /// The axes along which it moves, its index included, as bits.
    pub fn moves(&self) -> u32 {
        let axes = self.strides.iter().enumerate();
        let axes = axes.fold(0, |all, (i, stride)| all | u32::from(*stride != 0) << i);
        self.index.as_ref().map_or(axes, |index| axes | index.at.moves())
    }

    /// Itself, and the access to its index.
    pub fn and_index(&self) -> impl Iterator<Item = &Access> {
        std::iter::once(self).chain(self.index.as_ref().map(|index| &index.at))
    }
}

/// A formula's value that is written to a buffer.
#[derive(Clone, Debug)]
pub struct Store {
    /// The destination.
    pub to: Access,
    /// The formula.
    pub value: Expr,
}

/// The kinds of iteration space: fusion forms a group of nodes for one of them, and the group's
/// kernel has it in its [`Body`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SpaceKind {
    /// Elements in rows along the last axis, which reductions run along.
    Rows,
    /// Elements that are reduced over an axis that is not the last.
    Columns,
    /// Elements that are sums of products.
    Product,
    /// Rows that are added to the rows of a table that an index names.
    Scatter,
    /// Entire buffers, reduced to one number.
    AllFinite,
}

/// The reductions and stores of a kernel, by the [kind](SpaceKind) of its iteration space.
#[derive(Clone, Debug)]
pub enum Body {
    /// Row by row.
    Rows(Rows),
    /// Reductions over an axis that is not the last.
    Columns(Columns),
    /// A sum of products.
    Product(Product),
    /// Rows added to the rows of a table that an index names.
    Scatter(Scatter),
    /// Whether all elements of buffers are finite.
    AllFinite(AllFinite),
}

/// For every row: reductions along the last axis, stage by stage, then stores.
/// Without reductions it is a plain map. Axes: `outer`, then `inner`.
///
/// A reduction combines 16 partial results by a fixed tree. Each is a blocked sum of the
/// elements whose indices are equal modulo 16.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Sizes of the axes before the last.
    pub outer: Vec<usize>,
    /// Size of the last axis.
    pub inner: usize,
    /// Reductions, grouped so that each needs only those of earlier groups:
    /// their number in [`Term::Reduced`](crate::expr::Term::Reduced) counts through.
    pub stages: Vec<Vec<(Reduction, Expr)>>,
    /// The stores; with a stride of 0 on the last axis, once a row.
    pub stores: Vec<Store>,
}

/// Reductions over one axis for each point of the others, blocked sums, then
/// stores. Axes: `outer`, then the reduced one.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Sizes of the axes that remain; vectors run along the last.
    pub outer: Vec<usize>,
    /// Size of the reduced axis.
    pub reduced: usize,
    /// Reductions, by their number in [`Term::Reduced`](crate::expr::Term::Reduced).
    pub reductions: Vec<(Reduction, Expr)>,
    /// The stores for each point of the remaining axes.
    pub stores: Vec<Store>,
}

/// For every row and column, the sum of products of two loads, reduction 0: a
/// blocked sum of chains of fused multiply-adds; then stores. Axes: `outer`, rows,
/// columns, then `summed`.
///
/// Reduction 1, where a formula uses it, is the sum of the second factor
/// alone, for every column, added as in [`Columns`]: the gradient of a bias beside
/// that of its weight.
#[derive(Clone, Debug)]
pub struct Product {
    /// Sizes of the outer axes.
    pub outer: Vec<usize>,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns; vectors run along them.
    pub columns: usize,
    /// Sizes of the axes that are summed over, the outermost first.
    pub summed: Vec<usize>,
    /// The first factor, the same for all columns.
    pub a: Access,
    /// The second factor, the same for all rows, contiguous along columns.
    pub b: Access,
    /// The stores for each row and column; with a stride of 0 along rows,
    /// once a column.
    pub stores: Vec<Store>,
    /// The partial sums between blocks of k, if lowering cuts k: a buffer for
    /// each level of the sum above its chains, the innermost first.
    pub partial_sums: Vec<Access>,
}

/// Clears a table, then adds to its rows: each position has a value for each
/// column, and an index that names the row. The sum over positions is blocked.
/// Axes: `positions`, rows, columns.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// Sizes of the axes of positions.
    pub positions: Vec<usize>,
    /// Number of rows of the table.
    pub rows: usize,
    /// Number of columns; vectors run along them.
    pub columns: usize,
    /// The row of each position.
    pub index: Access,
    /// The table, and the value for each position and column.
    pub store: Store,
    /// Tables of the same layout for partial sums, where the sum over positions has more
    /// than one piece: a buffer for each level below the table's own.
    pub partial_sums: Vec<Access>,
}

/// The sum of all elements of some buffers, each times 0: 0 where all are finite,
/// else NaN. The order of the sum is not specified.
#[derive(Clone, Debug)]
pub struct AllFinite {
    /// The buffers.
    pub buffers: Vec<CheckedBuffer>,
    /// The store of the sum.
    pub store: Store,
}

/// A buffer whose elements are all checked.
#[derive(Clone, Debug)]
pub struct CheckedBuffer {
    /// The sizes of its own axes, of which the last has the smallest stride.
    pub sizes: Vec<usize>,
    /// The access along these axes.
    pub from: Access,
}

impl AllFinite {
    /// The number of elements of all buffers.
    pub fn element_count(&self) -> usize {
        self.buffers.iter().map(|checked| checked.sizes.iter().product::<usize>()).sum()
    }
}

impl Scatter {
    /// The axis of the table's rows.
    pub fn rows_axis(&self) -> usize {
        self.positions.len()
    }

    /// The axis of columns.
    pub fn columns_axis(&self) -> usize {
        self.positions.len() + 1
    }
}

impl Product {
    /// The axis of rows.
    pub fn rows_axis(&self) -> usize {
        self.outer.len()
    }

    /// The axis of columns.
    pub fn columns_axis(&self) -> usize {
        self.outer.len() + 1
    }

    /// The number of axes.
    pub fn axes(&self) -> usize {
        self.outer.len() + 2 + self.summed.len()
    }
}

impl Kernel {
    /// The number of points of its iteration space, without the axes that a product sums over.
    pub fn points(&self) -> usize {
        let count = |sizes: &[usize]| sizes.iter().product::<usize>();
        match &self.body {
            Body::Rows(rows) => count(&rows.outer) * rows.inner,
            Body::Columns(columns) => count(&columns.outer) * columns.reduced,
            Body::Product(p) => count(&p.outer) * p.rows * p.columns,
            Body::Scatter(s) => count(&s.positions) * s.columns,
            Body::AllFinite(all) => all.element_count(),
        }
    }

    /// Estimated time of one thread with vectors of `lanes` lanes, if memory is no limit.
    pub fn estimated_ns(&self, lanes: usize) -> usize {
        let points = self.points();
        match &self.body {
            // Two instructions in a nanosecond: each depends on the one before.
            Body::Rows(_) => points * self.formulas.len().max(1) / (2 * lanes),
            // Most formulas belong to the stores, which run once.
            Body::Columns(columns) => points * columns.reductions.len() / (2 * lanes),
            // Six: multiply-adds of different sums do not wait for each other.
            Body::Product(p) => points * p.summed.iter().product::<usize>() / (6 * lanes),
            // Sums are in memory, at addresses that are computed for each position.
            Body::Scatter(s) => {
                (s.rows * s.columns + points * (self.formulas.len() + 4)) / (2 * lanes)
            }
            Body::AllFinite(_) => points / (2 * lanes),
        }
    }

    /// Whether all its reads of a buffer are rows by index, and it does not write it.
    pub fn gathers(&self, buffer: usize) -> bool {
        let by_index = |load: &&Access| load.buffer == buffer && load.index.is_some();
        let rows = self.loads.iter().filter(by_index).count();
        let all = self.reads().into_iter().filter(|t| *t == buffer).count();
        rows > 0 && rows == all && !self.writes().contains(&buffer)
    }

    /// Whether it is a product that also sums its second factor alone (reduction 1).
    pub fn sums_columns(&self) -> bool {
        matches!(self.body, Body::Product(_))
            && self.formulas.iter().any(|(_, term)| *term == expr::Term::Reduced(1))
    }

    /// All buffers that it reads.
    pub fn reads(&self) -> Vec<usize> {
        self.loaded().iter().map(|access| access.buffer).collect()
    }

    /// All accesses that it reads, those of indices included.
    pub fn loaded(&self) -> Vec<&Access> {
        let factors = match &self.body {
            Body::Product(p) => vec![&p.a, &p.b],
            Body::Scatter(s) => vec![&s.index],
            Body::AllFinite(all) => all.buffers.iter().map(|checked| &checked.from).collect(),
            Body::Rows(_) | Body::Columns(_) => Vec::new(),
        };
        self.loads.iter().chain(factors).flat_map(Access::and_index).collect()
    }

    /// All buffers that it writes, those of its partial sums included.
    pub fn writes(&self) -> Vec<usize> {
        self.stored().iter().map(|access| access.buffer).collect()
    }

    /// All accesses that it writes, those of its partial sums included.
    pub fn stored(&self) -> Vec<&Access> {
        let partial: &[Access] = match &self.body {
            Body::Product(p) => &p.partial_sums,
            Body::Scatter(s) => &s.partial_sums,
            Body::Rows(_) | Body::Columns(_) | Body::AllFinite(_) => &[],
        };
        self.stores().iter().map(|store| &store.to).chain(partial).collect()
    }

    /// Its stores.
    pub fn stores(&self) -> &[Store] {
        self.body.stores()
    }
}

impl Body {
    /// The kind of its iteration space.
    pub fn kind(&self) -> SpaceKind {
        match self {
            Body::Rows(_) => SpaceKind::Rows,
            Body::Columns(_) => SpaceKind::Columns,
            Body::Product(_) => SpaceKind::Product,
            Body::Scatter(_) => SpaceKind::Scatter,
            Body::AllFinite(_) => SpaceKind::AllFinite,
        }
    }

    /// Its stores.
    pub fn stores(&self) -> &[Store] {
        match self {
            Body::Rows(rows) => &rows.stores,
            Body::Columns(columns) => &columns.stores,
            Body::Product(product) => &product.stores,
            Body::Scatter(scatter) => std::slice::from_ref(&scatter.store),
            Body::AllFinite(all) => std::slice::from_ref(&all.store),
        }
    }
}
