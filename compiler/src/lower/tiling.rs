//! Tiling of products (GEMM): a choice by estimated cycles.
//!
//! How a product is cut for an instruction set: a choice by estimated cycles,
//! made from its sizes alone.
//!
//! A *tile* is rows × vectors of columns whose sums are in registers together.
//! Tiles may be gathered in *blocks*, so that what one block reads again and
//! again stays in the second cache, and long sums may be made in *parts*, chains or
//! pieces of them, between which they lie in memory. One of the two axes is *outside*: its
//! blocks are shared among threads, and in a block its tiles go around those of
//! the other.
//!
//! No choice here changes a bit of a result: the order of a sum follows from how
//! many terms it has ([`super::blocks`]).

use super::blocks::{self, CHAIN};
use crate::kernel::{Kernel, Product};
use crate::target::{Memory, Rates, Target};

/// See the [module](self).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tiling {
    /// Rows of a tile, at most.
    pub rows: usize,
    /// Vectors of columns of a tile, at most.
    pub vectors: usize,
    /// How many blocks of rows there are; one for each tile is no blocks.
    pub row_blocks: usize,
    /// The same for columns.
    pub column_blocks: usize,
    /// Terms of a part of the sum: all, or at most those of a chain.
    pub k_block: usize,
    /// Whether rows are outside.
    pub rows_outside: bool,
}

/// Cycles that a term takes beyond its multiply-adds, and those for each load:
/// few loads and many sums were measured faster than the reverse, also where
/// multiply-adds alone should decide.
const TERM: f64 = 0.6;
const LOAD: f64 = 0.15;
/// Cycles that a tile takes beyond its terms, and those for each of its sums.
const TILE: f64 = 20.0;
const SUM: f64 = 1.0;
/// Cycles for each sum that a part adds to in memory.
const K_BLOCK: f64 = 4.0;
/// How much of the shorter of arithmetic and waiting for memory is not hidden
/// behind the other.
const OVERLAP: f64 = 0.15;
/// Multiply-adds from which on threads may share the work; how much worse it is
/// if they cannot, or if one of several blocks is left over at the end.
const SHARED: usize = 200_000;
const ALONE: f64 = 0.1;
const LEFT_OVER: f64 = 0.03;
/// What counts of the time in which two threads fetch what each of them needs:
/// little, since one thread does not, but where all else is equal, threads
/// should share out the larger factor.
const APART: f64 = 0.1;
/// Lengths of parts to choose from: chains, and what they can be cut into so that
/// plain sums beside them end with their pieces.
const K_BLOCKS: [usize; 3] = [256, 512, 1024];
/// Numbers of blocks to choose from.
const BLOCKS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// A product's sizes.
#[derive(Clone, Copy)]
struct Problem {
    rows: usize,
    vectors: usize,
    /// Terms of the innermost sum.
    k: usize,
    lanes: usize,
    memory: Memory,
    rates: Rates,
    /// Whether it reads and overwrites as many elements as it has sums.
    in_place: bool,
}

/// An axis of a product with the factor that goes along it.
struct Side {
    /// All of the factor.
    bytes: usize,
    /// What of it one tile reads in a part.
    tile: usize,
    tiles: usize,
    blocks: usize,
}

impl Tiling {
    pub fn new(kernel: &Kernel, product: &Product, target: &Target) -> Tiling {
        let problem = Problem {
            rows: product.rows,
            vectors: product.columns.div_ceil(target.lanes),
            k: product.summed.last().copied().unwrap_or(1),
            lanes: target.lanes,
            memory: target.memory,
            rates: target.rates,
            in_place: !kernel.overwritten.is_empty(),
        };
        let tiles = (1..=target.most_tile_vectors.min(problem.vectors)).flat_map(|vectors| {
            let rows = rows_of_tile(target, vectors, 0).min(problem.rows);
            [true, false].map(|rows_outside| problem.uncut(rows, vectors, rows_outside))
        });
        let plain = problem.cheapest(tiles).expect("one vector fits any instruction set");
        // Sums over several axes, and products with axes around, stay whole.
        if !product.outer.is_empty() || product.summed.len() > 1 {
            return plain;
        }
        problem.cheapest(problem.cuts(plain).into_iter()).unwrap_or(plain)
    }

    /// Whether sums are made in parts, between which they lie in memory.
    pub fn cuts_k(&self, product: &Product) -> bool {
        product.summed.last().is_some_and(|terms| self.k_block < *terms)
    }

    /// How many buffers the sums need that lie in memory between parts: one for each
    /// level above chains, and one for chains that are cut themselves.
    pub fn partial_sums(&self, product: &Product) -> usize {
        if !self.cuts_k(product) {
            return 0;
        }
        let all = product.summed[0];
        let levels = blocks::sizes(CHAIN).take_while(|size| *size < all).count();
        levels + usize::from(self.k_block < all.min(CHAIN))
    }
}

/// Rows of a tile that is so many vectors wide: as many as leave registers for
/// the vectors, a broadcast, `more` vectors, and for sums that move.
pub(super) fn rows_of_tile(target: &Target, vectors: usize, more: usize) -> usize {
    let rows = match (target.sums_move, vectors) {
        (true, 1) => (target.registers - 4 - more) / 2,
        // With five rows, ten sums, two vectors, a broadcast and what
        // multiply-adds move fit in 16 registers. Five by eight columns
        // measured best of the tiles that fit.
        (true, _) => (target.registers - 6 - more) / vectors,
        (false, _) => ((target.registers - 2 - more) / vectors).saturating_sub(1),
    };
    rows.max(1)
}

impl Problem {
    /// Cycles of all tiles, if all that they read is near.
    fn tile_cycles(&self, t: &Tiling) -> f64 {
        let parts = self.k.div_ceil(t.k_block);
        let rates = self.rates;
        let mut cycles = 0.0;
        for (r, down) in tiles(self.rows, t.rows, t.row_blocks) {
            for (v, across) in tiles(self.vectors, t.vectors, t.column_blocks) {
                let (r, v) = (r as f64, v as f64);
                let term = (r * v / f64::from(rates.multiply_adds))
                    .max(f64::from(rates.latency))
                    .max((r + v) / f64::from(rates.loads))
                    .max((r * v + r + v + 1.0) / f64::from(rates.instructions))
                    + TERM
                    + LOAD * (r + v);
                let ends = TILE + SUM * r * v + (parts - 1) as f64 * (TILE + K_BLOCK * r * v);
                cycles += (down * across) as f64 * (self.k as f64 * term + ends);
            }
        }
        cycles
    }

    /// The one of the least estimated cycles.
    fn cheapest(&self, all: impl Iterator<Item = Tiling>) -> Option<Tiling> {
        let cycles = all.map(|tiling| (self.cycles(&tiling), tiling));
        cycles.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, tiling)| tiling)
    }

    /// Without blocks and parts.
    fn uncut(&self, rows: usize, vectors: usize, rows_outside: bool) -> Tiling {
        let tiles = (self.rows.div_ceil(rows), self.vectors.div_ceil(vectors));
        let (row_blocks, column_blocks) = if rows_outside { (tiles.0, 1) } else { (1, tiles.1) };
        Tiling { rows, vectors, row_blocks, column_blocks, k_block: self.k, rows_outside }
    }

    /// What there is to choose from, with the tile of `plain`.
    fn cuts(&self, plain: Tiling) -> Vec<Tiling> {
        let mut cuts = Vec::new();
        let parts = K_BLOCKS.into_iter().filter(|terms| 2 * terms <= self.k);
        let blocks =
            |tiles: usize| BLOCKS.into_iter().filter(move |blocks| *blocks == 1 || *blocks < tiles);
        let tiles = (self.rows.div_ceil(plain.rows), self.vectors.div_ceil(plain.vectors));
        for terms in parts.chain([self.k]) {
            for rows_outside in [true, false] {
                let (outside, inside) = if rows_outside { tiles } else { (tiles.1, tiles.0) };
                for outer in blocks(outside).chain([outside]) {
                    for inner in blocks(inside) {
                        let (row_blocks, column_blocks) =
                            if rows_outside { (outer, inner) } else { (inner, outer) };
                        let cut = Tiling {
                            row_blocks,
                            column_blocks,
                            k_block: terms,
                            rows_outside,
                            ..plain
                        };
                        cuts.push(cut);
                    }
                }
            }
        }
        cuts
    }

    /// Estimated cycles of all of the product.
    fn cycles(&self, t: &Tiling) -> f64 {
        const FLOAT: usize = size_of::<f32>();
        let Memory { first_cache, second_cache, second_rate, far_rate } = self.memory;
        let (second_rate, far_rate) = (f64::from(second_rate), f64::from(far_rate));
        let columns = self.vectors * self.lanes;
        let parts = self.k.div_ceil(t.k_block);
        let compute = self.tile_cycles(t);
        let rows = Side {
            bytes: self.rows * self.k * FLOAT,
            tile: t.rows * t.k_block * FLOAT,
            tiles: self.rows.div_ceil(t.rows),
            blocks: t.row_blocks,
        };
        let columns_side = Side {
            bytes: columns * self.k * FLOAT,
            tile: t.vectors * self.lanes * t.k_block * FLOAT,
            tiles: self.vectors.div_ceil(t.vectors),
            blocks: t.column_blocks,
        };
        let (outside, inside) =
            if t.rows_outside { (rows, columns_side) } else { (columns_side, rows) };
        let (mut middle, mut far) = (0.0, 0.0);
        // So many bytes, which stayed where `reach` bytes came by since.
        let mut read = |bytes: usize, reach: usize| match reach {
            _ if reach <= first_cache => {}
            _ if reach <= second_cache => middle += bytes as f64,
            _ => far += bytes as f64,
        };
        // The outside factor: once for each block of the other, from as far as
        // all of it is; in a tile, again for every tile of the other.
        read(outside.bytes, outside.bytes.max(first_cache + 1));
        read(outside.bytes * (inside.blocks - 1), outside.bytes / outside.blocks);
        read(outside.bytes * (inside.tiles - 1), outside.tile);
        // The other: again for every tile of the outside one, from as far as
        // its block is; its blocks come once for each block of the outside one.
        read(inside.bytes, inside.bytes.max(first_cache + 1));
        read(inside.bytes * (outside.blocks - 1), inside.bytes);
        read(inside.bytes * (outside.tiles - 1), inside.bytes / inside.blocks / parts);
        if parts > 1 {
            let sums = self.rows * columns * FLOAT;
            read(2 * (parts - 1) * sums, sums / outside.blocks / inside.blocks);
        }
        if self.in_place {
            // Along rows, memory comes by in order.
            let sums = 2 * self.rows * columns * FLOAT;
            read(if t.rows_outside { sums } else { 2 * sums }, sums.max(first_cache + 1));
        }
        let (middle, far) = (middle / second_rate, far / far_rate);
        let memory = middle + far;
        let all = compute.max(memory) + OVERLAP * compute.min(memory);
        if self.rows * columns * self.k < SHARED {
            return all;
        }
        let apart = (outside.bytes / 2 + inside.bytes) as f64 / far_rate;
        let worse = match outside.blocks {
            1 => ALONE,
            blocks => LEFT_OVER / blocks as f64,
        };
        all * (1.0 + worse) + APART * apart
    }
}

/// Sizes of the tiles of an axis of `n` in so many blocks, with how many there
/// are of each. Blocks cut tiles too: a tile is in one block.
fn tiles(n: usize, tile: usize, blocks: usize) -> impl Iterator<Item = (usize, usize)> {
    let block = if is_uncut(n, tile, blocks) { n } else { n.div_ceil(blocks) };
    split(n, block).into_iter().filter(|(size, _)| *size > 0).flat_map(move |(size, blocks)| {
        split(size, tile).map(|(size, tiles)| (size, tiles * blocks))
    })
}

/// Whether each tile of an axis of `n` is a block of its own.
pub(super) fn is_uncut(n: usize, tile: usize, blocks: usize) -> bool {
    blocks >= n.div_ceil(tile)
}

/// Sizes of `n` cut in pieces of at most `most`, as equal as they can be, the
/// larger first, with how many there are of each: perhaps none.
pub(super) fn split(n: usize, most: usize) -> [(usize, usize); 2] {
    let count = n.div_ceil(most);
    let (small, larger) = (n / count, n % count);
    [(small + 1, larger), (small, count - larger)]
}
