//! Kernels: what is computed in one go. A kernel has one iteration space; all
//! that it does at a point of it are formulas over what it loads.
//!
//! [`fuse`](crate::fuse) makes kernels from the graph, [`lower`](mod@crate::lower) makes a
//! [`Program`](crate::program::Program) from a kernel. A kernel knows buffers by
//! number and how far each axis moves in them; it knows no vector width.

mod print;

use crate::expr::scalar::{LaneType, Reduction};
use crate::expr::{self, Expr, Expressions};

/// What is computed in one go: formulas at every point of one iteration space.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What it computes, for people.
    pub name: String,
    /// What it loads, by the number in [`Term::Load`](crate::expr::Term::Load).
    pub loads: Vec<Access>,
    /// How it counts elements, by the number in [`Term::Element`]: for each axis,
    /// from one step to the next.
    ///
    /// [`Term::Element`]: crate::expr::Term::Element
    pub iotas: Vec<Vec<usize>>,
    /// Buffers among those it reads whose memory it overwrites: parameters that
    /// it updates.
    pub overwritten: Vec<usize>,
    /// All formulas.
    pub formulas: Expressions,
    /// What is done with them.
    pub body: Body,
}

/// How a kernel reaches a buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// The buffer's number.
    pub buffer: usize,
    /// For each axis of the kernel, the elements from one step to the next.
    pub strides: Vec<usize>,
    /// What it holds.
    pub lane_type: LaneType,
    /// How many elements may be touched beyond the end of the last axis,
    /// wherever the other axes stand: padding.
    pub padding: usize,
    /// Which row of the buffer, where another buffer says that.
    pub index: Option<Box<Indexed>>,
}

/// Which row of a buffer an [`Access`] reaches: an integer read from
/// another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Indexed {
    /// The integer; not indexed itself, and the same for all elements of a
    /// vector.
    pub at: Access,
    /// Elements of the buffer from one row to the next.
    pub row_stride: usize,
    /// How many rows there are: all integers are below.
    pub below: usize,
}

impl Access {
    /// The axes along which it moves, its index included, as bits.
    pub fn moves(&self) -> u32 {
        let own = self.strides.iter().enumerate();
        let own = own.fold(0, |all, (i, step)| all | u32::from(*step > 0) << i);
        self.index.as_ref().map_or(own, |index| own | index.at.moves())
    }

    /// The buffers that it reads or writes: its own, and that of its index.
    pub fn buffers(&self) -> impl Iterator<Item = usize> {
        [Some(self.buffer), self.index.as_ref().map(|index| index.at.buffer)].into_iter().flatten()
    }
}

/// What is written where.
#[derive(Clone, Debug)]
pub struct Store {
    /// Where.
    pub to: Access,
    /// What.
    pub value: Expr,
}

/// The kinds of iteration space: fusion forms a group of nodes for one of them, and the group's
/// kernel has it in its [`Body`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SpaceKind {
    /// Elements in rows along the last axis, which reductions go along.
    Rows,
    /// Elements that are reduced over an axis that is not the last.
    Columns,
    /// Elements that are sums of products.
    Product,
    /// Rows that are added up where an index says.
    Scatter,
    /// Whole buffers, reduced to one number.
    AllFinite,
}

/// What a kernel does: all that lowering needs to know of its [kind](SpaceKind) of space.
#[derive(Clone, Debug)]
pub enum Body {
    /// Row by row.
    Rows(Rows),
    /// Reductions over an axis that is not the last.
    Columns(Columns),
    /// A sum of products.
    Product(Product),
    /// Rows added up where an index says.
    Scatter(Scatter),
    /// Whether buffers hold finite numbers alone.
    AllFinite(AllFinite),
}

/// For every row: reductions along the last axis, stage by stage, then stores.
/// Without reductions it is a plain map. Axes: `outer`, then `inner`.
///
/// A reduction adds 16 partial results, of the elements whose place is the same
/// modulo 16, by a fixed tree; each is a blocked sum.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Sizes of the axes before the last.
    pub outer: Vec<usize>,
    /// Size of the last axis.
    pub inner: usize,
    /// Reductions, grouped so that each needs only those of earlier groups:
    /// their number in [`Term::Reduced`](crate::expr::Term::Reduced) counts through.
    pub stages: Vec<Vec<(Reduction, Expr)>>,
    /// What is written; with a step of 0 on the last axis, once a row.
    pub stores: Vec<Store>,
}

/// Reductions over one axis for each point of the others, blocked sums, then
/// stores. Axes: `outer`, then the reduced one.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Sizes of the axes that stay; vectors run along the last.
    pub outer: Vec<usize>,
    /// Size of the axis that goes.
    pub reduced: usize,
    /// Reductions, by their number in [`Term::Reduced`](crate::expr::Term::Reduced).
    pub reductions: Vec<(Reduction, Expr)>,
    /// What is written for each point that stays.
    pub stores: Vec<Store>,
}

/// For every row and column, the sum of products of two loads, reduction 0: a
/// blocked sum of chains of fused multiply-adds; then stores. Axes: `outer`, rows,
/// columns, then `summed`.
///
/// Where a formula asks for reduction 1, that is the sum of the second factor
/// alone, for every column, added as in [`Columns`]: the gradient of a bias beside
/// that of its weight.
#[derive(Clone, Debug)]
pub struct Product {
    /// Sizes of the axes around.
    pub outer: Vec<usize>,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns; vectors run along them.
    pub columns: usize,
    /// Sizes of the axes that are summed over, the outermost first.
    pub summed: Vec<usize>,
    /// The first factor, the same for all columns.
    pub a: Access,
    /// The second factor, the same for all rows, next to each other along columns.
    pub b: Access,
    /// What is written for each row and column; with a step of 0 along rows,
    /// once a column.
    pub stores: Vec<Store>,
    /// Where sums lie between their parts, if lowering makes them in parts: a
    /// buffer for each level of the sum above its chains, the innermost first.
    pub partial_sums: Vec<Access>,
}

/// Clears a table, then adds to its rows: for each position a value for each
/// column to the row that the position's index names; a blocked sum over
/// positions.
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
    /// The table, and what is added for each position and column.
    pub store: Store,
    /// Tables like it for the sums of pieces, where there are more positions than
    /// one piece has: a buffer for each level below the table's own.
    pub partial_sums: Vec<Access>,
}

/// The sum of all elements of some buffers, each times 0: 0 where all are finite,
/// else NaN, in whatever order.
#[derive(Clone, Debug)]
pub struct AllFinite {
    /// What is looked at.
    pub buffers: Vec<CheckedBuffer>,
    /// The one number.
    pub store: Store,
}

/// A buffer all of whose elements are looked at.
#[derive(Clone, Debug)]
pub struct CheckedBuffer {
    /// The sizes of its axes, of which the last has the smallest step. They are
    /// not those of other buffers.
    pub sizes: Vec<usize>,
    /// Where it lies.
    pub from: Access,
}

impl AllFinite {
    /// How many elements are looked at.
    pub fn element_count(&self) -> usize {
        self.buffers.iter().map(|looked| looked.sizes.iter().product::<usize>()).sum()
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

    /// How many axes there are.
    pub fn axes(&self) -> usize {
        self.outer.len() + 2 + self.summed.len()
    }
}

impl Kernel {
    /// How many points its iteration space has, but for what a product sums.
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

    /// Roughly how long one thread takes with vectors of so many lanes, where
    /// memory is no limit.
    pub fn estimated_ns(&self, lanes: usize) -> usize {
        let points = self.points();
        match &self.body {
            // In a nanosecond two instructions: each needs the one before.
            Body::Rows(_) => points * self.formulas.len().max(1) / (2 * lanes),
            // Formulas are mostly for what is stored, once.
            Body::Columns(columns) => points * columns.reductions.len() / (2 * lanes),
            // Six: multiply-adds need not wait.
            Body::Product(p) => points * p.summed.iter().product::<usize>() / (6 * lanes),
            // Sums are in memory, at addresses that are computed each time.
            Body::Scatter(s) => {
                (s.rows * s.columns + points * (self.formulas.len() + 4)) / (2 * lanes)
            }
            Body::AllFinite(_) => points / (2 * lanes),
        }
    }

    /// Whether it reads rows of a buffer, by index, and nothing else of it.
    pub fn gathers(&self, buffer: usize) -> bool {
        let by_index = |load: &&Access| load.buffer == buffer && load.index.is_some();
        let rows = self.loads.iter().filter(by_index).count();
        let all = self.reads().into_iter().filter(|t| *t == buffer).count();
        rows > 0 && rows == all && !self.writes().contains(&buffer)
    }

    /// Whether a product is asked for the sums of its second factor alone.
    pub fn sums_columns(&self) -> bool {
        matches!(self.body, Body::Product(_))
            && self.formulas.iter().any(|(_, term)| *term == expr::Term::Reduced(1))
    }

    /// All buffers that it reads.
    pub fn reads(&self) -> Vec<usize> {
        let factors = match &self.body {
            Body::Product(p) => vec![&p.a, &p.b],
            Body::Scatter(s) => vec![&s.index],
            Body::AllFinite(all) => all.buffers.iter().map(|looked| &looked.from).collect(),
            Body::Rows(_) | Body::Columns(_) => Vec::new(),
        };
        self.loads.iter().chain(factors).flat_map(Access::buffers).collect()
    }

    /// All buffers that it writes, for itself or for others.
    pub fn writes(&self) -> Vec<usize> {
        let partial: &[Access] = match &self.body {
            Body::Product(p) => &p.partial_sums,
            Body::Scatter(s) => &s.partial_sums,
            Body::Rows(_) | Body::Columns(_) | Body::AllFinite(_) => &[],
        };
        let partial = partial.iter().map(|partial| partial.buffer);
        self.stores().iter().map(|s| s.to.buffer).chain(partial).collect()
    }

    /// What it writes.
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

    /// What it writes.
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
