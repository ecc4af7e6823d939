//! Lowering of products (GEMM): register tiles, epilogues, remainders.
//!
//! A tile of rows and vectors of columns stays in registers while
//! the sum runs; the epilogue stores it. The [`Tiling`] defines the tiles, their blocks and
//! their order.

mod k_blocks;
#[cfg(test)]
mod tests;

use k_blocks::{KBlock, for_each_k_block, k_blocks};

use super::blocks::{self, CHAIN, LEAF, Span};
use super::tiling::{Tiling, is_uncut, rows_of_tile, split};
use super::writer::{Point, Writer};
use crate::expr::scalar::{LaneType, Reduction, Scalar};
use crate::faults::{self, Fault};
use crate::kernel::{Access, Kernel, Product, Store};
use crate::program::{Counter, Instruction, Program, Register};
use crate::target::{CACHE_LINE, Target};

/// Adjacent tiles of equal size, of rows or of vectors of columns.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The first row or vector in their block.
    first: usize,
    /// The number of rows or vectors of each.
    size: usize,
    /// The number of tiles.
    count: usize,
    /// Of columns: lanes of the last vector.
    lanes: usize,
    /// Of rows: whether it computes the sums of columns as well.
    sums_columns: bool,
}

/// Adjacent blocks of equal size, and the tiles in each.
#[derive(Clone, Debug)]
struct Block {
    first: usize,
    size: usize,
    count: usize,
    tiles: Vec<Run>,
}

impl Block {
    /// Blocks of the sizes of a run, with these tiles.
    fn of(Run { first, size, count, .. }: Run, tiles: Vec<Run>) -> Block {
        Block { first, size, count, tiles }
    }
}

pub(super) fn lower(kernel: &Kernel, product: &Product, target: &Target) -> Program {
    lower_by(kernel, product, target, Tiling::new(kernel, product, target))
}

/// [`lower`] by a given tiling.
fn lower_by(kernel: &Kernel, product: &Product, target: &Target, tiling: Tiling) -> Program {
    let (rows_axis, columns_axis) = (product.rows_axis(), product.columns_axis());
    let reduced_on = move |number| match number {
        0 => 1 << rows_axis | 1 << columns_axis,
        _ => 1 << columns_axis,
    };
    let mut w = Writer::new(kernel, target, product.axes(), columns_axis, reduced_on);
    w.open_outer(&product.outer);

    let rows = row_blocks(kernel, product, target, &tiling);
    let columns = column_blocks(kernel, product, target, &tiling);
    let k_blocks = k_blocks(product, &tiling);
    let summed_axis = product.axes() - 1;
    let row_elements = (rows_axis, 1);
    let column_elements = (columns_axis, target.lanes);
    let (outside, inside, o, i) = match tiling.rows_outside {
        true => (&rows, &columns, row_elements, column_elements),
        false => (&columns, &rows, column_elements, row_elements),
    };
    for outer in outside {
        match product.outer.is_empty() {
            true => w.open_parallel(outer.count, Some((o.0, o.1 * outer.size))),
            false => w.open(outer.count, Some((o.0, o.1 * outer.size))),
        }
        for inner in inside {
            w.open(inner.count, Some((i.0, i.1 * inner.size)));
            for_each_k_block(&mut w, &k_blocks, summed_axis, &mut |w, k_block| {
                for outer_tile in &outer.tiles {
                    w.open(outer_tile.count, Some((o.0, o.1 * outer_tile.size)));
                    for (n, inner_tile) in inner.tiles.iter().enumerate() {
                        w.open(inner_tile.count, Some((i.0, i.1 * inner_tile.size)));
                        let ((r, row), (c, column)) = match tiling.rows_outside {
                            true => ((outer, outer_tile), (inner, inner_tile)),
                            false => ((inner, inner_tile), (outer, outer_tile)),
                        };
                        let tile = Tile {
                            product,
                            first: (r.first + row.first, c.first + column.first),
                            rows: *row,
                            columns: *column,
                            k_block,
                            rows_outside: tiling.rows_outside,
                            last_inside: n + 1 == inner.tiles.len(),
                        };
                        tile.write(w);
                        w.close();
                    }
                    w.close();
                }
            });
            w.close();
        }
        w.close();
    }
    w.close_outer(product.outer.len());
    w.finish()
}

/// `n` in runs of tiles of at most `size`, as equal as possible.
fn equal_runs(n: usize, size: usize) -> Vec<Run> {
    let [large, small] = split(n, size);
    let run = |first, (size, count)| Run { first, size, count, lanes: 0, sums_columns: false };
    let runs = [run(0, large), run(large.0 * large.1, small)];
    runs.into_iter().filter(|run| run.count > 0).collect()
}

/// An axis of `n` in `blocks` blocks of tiles of at most `tile`.
fn blocks(n: usize, tile: usize, blocks: usize) -> Vec<Block> {
    if is_uncut(n, tile, blocks) {
        return block_per_tile(equal_runs(n, tile));
    }
    let runs = equal_runs(n, n.div_ceil(blocks)).into_iter();
    runs.map(|run| Block::of(run, equal_runs(run.size, tile))).collect()
}

/// A block for each tile.
fn block_per_tile(tiles: Vec<Run>) -> Vec<Block> {
    let block = |run: Run| Block::of(run, vec![Run { first: 0, count: 1, ..run }]);
    tiles.into_iter().map(block).collect()
}

/// Blocks of rows. The first tile is smaller if it also computes the sums of
/// columns.
fn row_blocks(kernel: &Kernel, product: &Product, target: &Target, tiling: &Tiling) -> Vec<Block> {
    let (n, tile) = (product.rows, tiling.rows);
    if !kernel.sums_columns() {
        return blocks(n, tile, tiling.row_blocks);
    }
    let most = rows_of_tile(target, tiling.vectors, tiling.vectors).min(tile);
    let split_first = |n: usize| {
        let size = most.min(n);
        let first = Run { first: 0, size, count: 1, lanes: 0, sums_columns: true };
        let others = if n > size { equal_runs(n - size, tile) } else { Vec::new() };
        let others = others.into_iter().map(|run| Run { first: run.first + size, ..run });
        std::iter::once(first).chain(others).collect::<Vec<Run>>()
    };
    if is_uncut(n, tile, tiling.row_blocks) {
        return block_per_tile(split_first(n));
    }
    let mut all = blocks(n, tile, tiling.row_blocks);
    let first = Block { count: 1, tiles: split_first(all[0].size), ..all[0].clone() };
    all[0].first += first.size;
    all[0].count -= 1;
    all.insert(0, first);
    all.retain(|block| block.count > 0);
    all
}

/// Blocks of vectors of columns. Where the last vector is partial and not all accesses are
/// padded, its tile and its block are separate.
fn column_blocks(
    kernel: &Kernel,
    product: &Product,
    target: &Target,
    tiling: &Tiling,
) -> Vec<Block> {
    let axis = product.columns_axis();
    let vectors = product.columns.div_ceil(target.lanes);
    let missing = vectors * target.lanes - product.columns;
    let padded = |access: &Access| access.strides[axis] == 0 || access.padding >= missing;
    let is_full = missing == 0
        || (padded(&product.b)
            && product.partial_sums.iter().all(padded)
            && kernel.loads.iter().all(padded)
            && product.stores.iter().all(|s| padded(&s.to)));
    let mut all = blocks(vectors, tiling.vectors, tiling.column_blocks);
    for tile in all.iter_mut().flat_map(|block| &mut block.tiles) {
        tile.lanes = target.lanes;
    }
    if !is_full && let Some(mut last) = all.pop() {
        if last.count > 1 {
            let before = Block { count: last.count - 1, ..last.clone() };
            last.first += before.count * last.size;
            last.count = 1;
            all.push(before);
        }
        if let Some(mut tile) = last.tiles.pop() {
            if tile.count > 1 {
                let before = Run { count: tile.count - 1, ..tile };
                tile.first += before.count * tile.size;
                tile.count = 1;
                last.tiles.push(before);
            }
            last.tiles.push(Run { lanes: target.lanes - missing, ..tile });
        }
        all.push(last);
    }
    all
}

/// Terms of the sum that one iteration unrolls, in small tiles
/// and in others. With wide registers one, two and four measured the same, except
/// for single rows and long sums, where four were best.
const UNROLLED: (usize, usize) = (4, 2);
/// Sums of a small tile, at most.
const SMALL_TILE: usize = 12;

/// Elements from which on overwritten buffers are prefetched: small ones are in a cache anyway.
const PREFETCHED: usize = 16 << 10;
/// Elements of a factor from which on it is assumed to be outside of the second cache.
const FAR: usize = 256 << 10;
/// Distance of a prefetch ahead of its use, in terms.
const AHEAD: usize = 16;

/// Prefetching of the second factor.
struct Ahead {
    /// Distance of the prefetch, in vectors of columns and terms.
    vectors: usize,
    terms: usize,
    /// The number of terms during which a tile prefetches.
    share: usize,
    /// The loop over the tiles that divide the prefetching, and its stride in elements.
    tile: Option<(Counter, isize)>,
}

/// One tile, inside of the loops over tiles and blocks.
struct Tile<'a> {
    product: &'a Product,
    /// The first row, and the first vector of columns.
    first: (usize, usize),
    rows: Run,
    columns: Run,
    k_block: &'a KBlock,
    rows_outside: bool,
    /// Whether it is in a block's last run of inner tiles.
    last_inside: bool,
}

impl Tile<'_> {
    fn point(&self, w: &Writer<'_>, row: usize, vector: usize) -> Point {
        let all = w.target.lanes;
        let mut offsets = vec![0; self.product.axes()];
        offsets[self.product.rows_axis()] = self.first.0 + row;
        if faults::is(Fault::TileRow) && row > 0 && row + 1 == self.rows.size {
            offsets[self.product.rows_axis()] -= 1;
        }
        offsets[self.product.columns_axis()] = (self.first.1 + vector) * all;
        let lanes = if vector + 1 == self.columns.size { self.columns.lanes } else { all };
        Point { offsets, lanes }
    }

    fn write(&self, w: &mut Writer<'_>) {
        self.prefetch(w);
        // The sums of columns are one more row of registers.
        let rows = self.rows.size;
        let more = usize::from(self.rows.sums_columns);
        let sums = self.sums(w, rows + more);
        let Some(sums) = self.add_to_levels(w, sums) else { return };
        let vectors = 0..self.columns.size;
        for vector in vectors.clone().filter(|_| more > 0) {
            let at = self.point(w, 0, vector);
            w.set_reduced(1, &at, sums[rows][vector]);
        }
        for (row, sums) in sums[..rows].iter().enumerate() {
            for vector in vectors.clone() {
                let at = self.point(w, row, vector);
                w.set_reduced(0, &at, sums[vector]);
                self.stores(false).for_each(|store| w.store(store, &at));
            }
        }
        for vector in vectors.filter(|_| more > 0) {
            let at = self.point(w, 0, vector);
            self.stores(true).for_each(|store| w.store(store, &at));
        }
    }

    /// The stores that run once a column, or those for each row.
    fn stores(&self, once: bool) -> impl Iterator<Item = &Store> {
        let axis = self.product.rows_axis();
        let for_rows = move |s: &Store| s.to.strides[axis] > 0 || self.product.rows == 1;
        self.product.stores.iter().filter(move |s| for_rows(s) != once)
    }

    /// Adds the sums of a block of k to the sums that contain it. Returns the complete sums
    /// after the last block; else the partial sums are in memory.
    fn add_to_levels(
        &self,
        w: &mut Writer<'_>,
        mut sums: Vec<Vec<Register>>,
    ) -> Option<Vec<Vec<Register>>> {
        if self.k_block.pauses {
            self.each_sum(w, &mut sums, |tile, w, row, vector, sum| {
                tile.spill_sums(w, tile.spilled_sums(), row, vector, *sum);
            });
            return None;
        }
        for level in &self.k_block.levels {
            let plane = &self.product.partial_sums[level.plane];
            self.each_sum(w, &mut sums, |tile, w, row, vector, sum| {
                let all = tile.begin(w, plane, level.begins, row, vector);
                w.combine(Reduction::Sum, all, *sum);
                *sum = all;
                if !level.ends {
                    tile.spill_sums(w, plane, row, vector, all);
                }
            });
            if !level.ends {
                return None;
            }
        }
        Some(sums)
    }

    fn each_sum(
        &self,
        w: &mut Writer<'_>,
        sums: &mut [Vec<Register>],
        write: impl Fn(&Self, &mut Writer<'_>, usize, usize, &mut Register),
    ) {
        for (row, sums) in sums.iter_mut().enumerate() {
            for (vector, sum) in sums.iter_mut().enumerate() {
                write(self, w, row, vector, sum);
            }
        }
    }

    /// The register of a sum before the block of k: zero, or loaded from memory.
    fn begin(
        &self,
        w: &mut Writer<'_>,
        plane: &Access,
        at_zero: bool,
        row: usize,
        vector: usize,
    ) -> Register {
        if at_zero {
            return w.start(0f32.to_bits());
        }
        let at = self.spilled_point(w, row, vector);
        let to = w.register(LaneType::Float);
        let load = w.load(to, plane, &at);
        w.push(load);
        to
    }

    fn spill_sums(
        &self,
        w: &mut Writer<'_>,
        plane: &Access,
        row: usize,
        vector: usize,
        sum: Register,
    ) {
        let at = self.spilled_point(w, row, vector);
        w.store_register(plane, &at, sum);
    }

    /// The partial sums of chains that are cut themselves.
    fn spilled_sums(&self) -> &Access {
        self.product.partial_sums.last().expect("allocated for chains that are cut")
    }

    /// The point of a row's partial sums in memory: those of columns are after all rows.
    fn spilled_point(&self, w: &Writer<'_>, row: usize, vector: usize) -> Point {
        let mut at = self.point(w, row, vector);
        if row == self.rows.size {
            at.offsets[self.product.rows_axis()] = self.product.rows;
        }
        at
    }

    /// Prefetches the elements that the epilogue will overwrite.
    fn prefetch(&self, w: &mut Writer<'_>) {
        let (rows_axis, columns_axis) = (self.product.rows_axis(), self.product.columns_axis());
        let ends = !self.k_block.pauses && self.k_block.levels.iter().all(|level| level.ends);
        if !ends || self.product.rows * self.product.columns < PREFETCHED {
            return;
        }
        let kernel = w.kernel;
        let overwritten = |load: &&Access| {
            let is_matrix = load.strides[rows_axis] > 0 && load.strides[columns_axis] == 1;
            is_matrix && kernel.overwritten.contains(&load.buffer)
        };
        for access in kernel.loads.iter().filter(overwritten) {
            for row in 0..self.rows.size {
                for vector in (0..self.columns.size).step_by(CACHE_LINE / w.target.lanes) {
                    let at = self.point(w, row, vector);
                    w.prefetch(access, &at);
                }
            }
        }
    }

    /// Prefetching of the second factor, where it is outside of the second cache and its
    /// strides defeat the processor's prefetcher. While the rows of one
    /// panel are processed, each tile of a run prefetches its share of the next panel, chain by
    /// chain; where all rows are in one tile, terms are prefetched some iterations
    /// ahead. `tile` is the loop over the tiles of a run.
    fn ahead(&self, tile: Option<Counter>, terms: usize) -> Option<Ahead> {
        let product = self.product;
        let all = product.summed.last().copied().unwrap_or(1);
        let stride = product.b.strides[product.axes() - 1];
        let far = product.summed.len() == 1
            && stride > CACHE_LINE as isize
            && all * product.columns >= FAR;
        match product.rows > self.rows.size {
            _ if !far => None,
            true if self.rows_outside || !self.last_inside => None,
            true => {
                let share = terms.div_ceil(self.rows.count).next_multiple_of(2);
                let tile = tile.filter(|_| self.rows.count > 1);
                let tile = tile.map(|tile| (tile, share as isize * stride));
                Some(Ahead { vectors: self.columns.size, terms: 0, share, tile })
            }
            false => Some(Ahead { vectors: 0, terms: AHEAD, share: terms, tile: None }),
        }
    }

    /// The sums of the block of k, for `rows` rows of registers.
    fn sums(&self, w: &mut Writer<'_>, rows: usize) -> Vec<Vec<Register>> {
        let (tile, vectors) = (w.counter(), self.columns.size);
        let axis = self.product.columns_axis() + 1;
        let all = self.product.summed.iter().enumerate();
        let mut spans: Vec<Span> = all.map(|(i, n)| Span::all(axis + i, *n)).collect();
        if faults::is(Fault::SkippedTerm)
            && let Some(span) = spans.last_mut()
        {
            span.count -= usize::from(span.count > 1);
        }
        let mut chain = |w: &mut Writer<'_>, spans: &[Span], sums: &[Vec<Register>]| {
            self.chain(w, spans, sums, tile);
        };
        if self.product.partial_sums.is_empty() {
            let reductions = vec![Reduction::Sum; rows];
            return blocks::reduce(w, &spans, CHAIN, &reductions, vectors, &mut chain);
        }
        for span in &mut spans {
            (span.first, span.count) = (self.k_block.first, self.k_block.k);
        }
        let sums: Vec<Vec<Register>> = (0..rows)
            .map(|row| {
                let sum = |vector| match self.k_block.resumes {
                    true => self.begin(w, self.spilled_sums(), false, row, vector),
                    false => w.start(0f32.to_bits()),
                };
                (0..vectors).map(sum).collect()
            })
            .collect();
        chain(w, &spans, &sums);
        sums
    }

    /// Adds the terms of a chain, or of a piece of one, to all sums; to those of
    /// columns in the order of plain sums.
    fn chain(
        &self,
        w: &mut Writer<'_>,
        spans: &[Span],
        sums: &[Vec<Register>],
        tile: Option<Counter>,
    ) {
        let (products, columns) = sums.split_at(self.rows.size);
        let terms = spans.iter().map(|span| span.count).product();
        let chain = if self.product.partial_sums.is_empty() { terms } else { self.k_block.chain };
        let ([span], true) = (spans, !columns.is_empty() && chain > LEAF) else {
            return self.terms(w, spans, sums, tile);
        };
        let leaf = |w: &mut Writer<'_>, span: Span| {
            let column: Vec<Register> =
                columns[0].iter().map(|_| w.start(0f32.to_bits())).collect();
            let sums = [products, std::slice::from_ref(&column)].concat();
            self.terms(w, &[span], &sums, tile);
            for (to, column) in columns[0].iter().zip(column) {
                w.combine(Reduction::Sum, *to, column);
            }
        };
        let leaves = span.count / LEAF;
        if leaves > 0 {
            w.open(leaves, Some((span.axis, LEAF)));
            leaf(w, Span { count: LEAF, ..*span });
            w.close();
        }
        let done = leaves * LEAF;
        if done < span.count {
            leaf(w, Span { first: span.first + done, count: span.count - done, ..*span });
        }
    }

    /// Adds terms to all sums, in loops.
    fn terms(
        &self,
        w: &mut Writer<'_>,
        spans: &[Span],
        sums: &[Vec<Register>],
        tile: Option<Counter>,
    ) {
        // A product of single numbers has no axis to sum over.
        let none = Span::all(self.product.axes(), 1);
        let (last, around) = spans.split_last().unwrap_or((&none, &[]));
        for span in around {
            w.open(span.count, Some((span.axis, 1)));
        }
        let ahead = self.ahead(tile, last.count);
        let share = ahead.as_ref().map_or(0, |ahead| ahead.share.min(last.count));
        let first = Span { count: share, ..*last };
        let remainder = Span { first: last.first + share, count: last.count - share, ..*last };
        self.loop_over_terms(w, sums, around, first, ahead.as_ref());
        self.loop_over_terms(w, sums, around, remainder, None);
        w.close_outer(around.len());
    }

    /// Adds some terms of the innermost axis, in a loop.
    fn loop_over_terms(
        &self,
        w: &mut Writer<'_>,
        sums: &[Vec<Register>],
        around: &[Span],
        terms: Span,
        ahead: Option<&Ahead>,
    ) {
        let is_small = sums.len() * sums[0].len() <= SMALL_TILE;
        let unrolled = if is_small { UNROLLED.0 } else { UNROLLED.1 };
        let iterations = terms.count / unrolled;
        if iterations > 0 {
            w.open(iterations, Some((terms.axis, unrolled)));
            self.unrolled_terms(w, sums, around, Span { count: unrolled, ..terms }, ahead);
            w.close();
        }
        let done = iterations * unrolled;
        let tail = Span { first: terms.first + done, count: terms.count - done, ..terms };
        self.unrolled_terms(w, sums, around, tail, ahead);
    }

    /// Adds terms to all sums, each in ascending order. With four lanes every
    /// second term runs through the tile backwards: the multiply-add that
    /// Cranelift selects overwrites one of its factors, so that sums shift by a
    /// register each time, and this shifts them back without a move.
    fn unrolled_terms(
        &self,
        w: &mut Writer<'_>,
        sums: &[Vec<Register>],
        around: &[Span],
        terms: Span,
        ahead: Option<&Ahead>,
    ) {
        let axis = terms.axis;
        let set_term = |at: &mut Point, term: usize| {
            around.iter().for_each(|span| at.offsets[span.axis] = span.first);
            if let Some(offset) = at.offsets.get_mut(axis) {
                *offset = term;
            }
        };
        for term in terms.first..terms.first + terms.count {
            let load = |w: &mut Writer<'_>, access: &Access, mut at: Point| {
                set_term(&mut at, term);
                let to = w.register(LaneType::Float);
                let load = w.load(to, access, &at);
                w.push(load);
                to
            };
            let columns: Vec<Register> = (0..self.columns.size)
                .map(|vector| {
                    let at = self.point(w, 0, vector);
                    load(w, &self.product.b, at)
                })
                .collect();
            if let Some(ahead) = ahead {
                for vector in (0..self.columns.size).step_by(CACHE_LINE / w.target.lanes) {
                    let mut at = self.point(w, 0, ahead.vectors + vector);
                    set_term(&mut at, term + ahead.terms);
                    w.prefetch_later(&self.product.b, &at, ahead.tile);
                }
            }
            let backwards = w.target.sums_move && term % 2 == 1;
            for row in indices(self.rows.size, backwards) {
                let at = self.point(w, row, 0);
                let a = load(w, &self.product.a, at);
                for column in indices(columns.len(), backwards) {
                    let to = sums[row][column];
                    let operands = [a, columns[column], to].into();
                    w.push(Instruction::Apply { to, scalar: Scalar::MulAdd, operands });
                }
            }
            for (to, column) in sums.get(self.rows.size).into_iter().flatten().zip(columns) {
                let operands = [*to, column].into();
                w.push(Instruction::Apply { to: *to, scalar: Scalar::Add, operands });
            }
        }
    }
}

fn indices(n: usize, backwards: bool) -> impl Iterator<Item = usize> {
    (0..n).map(move |i| if backwards { n - 1 - i } else { i })
}
