//! Tiling of products (GEMM): chosen by estimated cycles, from the product's sizes and the
//! target alone.
//!
//! A *tile* is rows × vectors of columns whose sums are in registers together.
//! Tiles may be grouped in *blocks*, so that data that one block reads repeatedly
//! stays in the second cache, and long sums may be computed in *blocks of k* (chains or
//! pieces of chains), between which partial sums are in memory. One of the two axes is the
//! *outer* one: its blocks are shared among threads, and in a block its tiles enclose those of
//! the other.
//!
//! No choice here changes a bit of a result: the order of a sum follows from its number of
//! terms alone ([`super::blocks`]).

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
    /// The number of blocks of rows; with one for each tile, tiles are not blocked.
    pub row_blocks: usize,
    /// The same for columns.
    pub column_blocks: usize,
    /// Terms of a block of k: all, or at most those of a chain.
    pub k_block: usize,
    /// Whether rows are the outer axis.
    pub rows_outside: bool,
}

/// Cycles of a term beyond its multiply-adds, and cycles of each load:
/// few loads and many sums measured faster than the reverse, also where
/// multiply-adds alone should decide.
const TERM: f64 = 0.6;
const LOAD: f64 = 0.15;
/// Cycles of a tile beyond its terms, and cycles of each of its sums.
const TILE: f64 = 20.0;
const SUM: f64 = 1.0;
/// Cycles of each partial sum that a block of k updates in memory.
const K_BLOCK: f64 = 4.0;
/// The share of the shorter of arithmetic and memory time that is not hidden
/// behind the other.
const OVERLAP: f64 = 0.15;
/// Multiply-adds from which on threads may share the work; the penalty
/// if they cannot, and that for one of several blocks being left over at the end.
const SHARED: usize = 200_000;
const UNSHARED_PENALTY: f64 = 0.1;
const LEFT_OVER_PENALTY: f64 = 0.03;
/// The weight of the time in which two threads fetch their operands:
/// small, since a single thread does not, but with equal costs otherwise, threads
/// should divide the larger factor.
const TWO_THREADS_FETCH: f64 = 0.1;
/// Candidates for the length of a block of k: a chain, and divisions of it at which the leaves
/// of plain sums beside it end.
const K_BLOCKS: [usize; 3] = [256, 512, 1024];
/// Candidates for the number of blocks.
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
    /// Whether it reads and overwrites an element for each of its sums.
    in_place: bool,
}

/// An axis of a product with the factor that varies along it.
struct Side {
    /// Bytes of the factor.
    bytes: usize,
    /// Bytes that one tile reads in a block of k.
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
        // Sums over several axes, and products with outer axes, are not blocked.
        if !product.outer.is_empty() || product.summed.len() > 1 {
            return plain;
        }
        problem.cheapest(problem.cuts(plain).into_iter()).unwrap_or(plain)
    }

    /// Whether sums are computed in blocks of k, between which they are in memory.
    pub fn cuts_k(&self, product: &Product) -> bool {
        product.summed.last().is_some_and(|terms| self.k_block < *terms)
    }

    /// The number of buffers for partial sums between blocks of k: one for each
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

/// The rows of a tile that is `vectors` vectors wide: as many as leave registers for
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
    /// Cycles of all tiles, if all their operands are in the first cache.
    fn tile_cycles(&self, t: &Tiling) -> f64 {
        let k_blocks = self.k.div_ceil(t.k_block);
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
                let ends = TILE + SUM * r * v + (k_blocks - 1) as f64 * (TILE + K_BLOCK * r * v);
                cycles += (down * across) as f64 * (self.k as f64 * term + ends);
            }
        }
        cycles
    }

    /// The tiling of the least estimated cycles.
    fn cheapest(&self, all: impl Iterator<Item = Tiling>) -> Option<Tiling> {
        let cycles = all.map(|tiling| (self.cycles(&tiling), tiling));
        cycles.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, tiling)| tiling)
    }

    /// A tiling without blocks.
    fn uncut(&self, rows: usize, vectors: usize, rows_outside: bool) -> Tiling {
        let tiles = (self.rows.div_ceil(rows), self.vectors.div_ceil(vectors));
        let (row_blocks, column_blocks) = if rows_outside { (tiles.0, 1) } else { (1, tiles.1) };
        Tiling { rows, vectors, row_blocks, column_blocks, k_block: self.k, rows_outside }
    }

    /// All candidates, with the tile of `plain`.
    fn cuts(&self, plain: Tiling) -> Vec<Tiling> {
        let mut cuts = Vec::new();
        let k_blocks = K_BLOCKS.into_iter().filter(|terms| 2 * terms <= self.k);
        let blocks =
            |tiles: usize| BLOCKS.into_iter().filter(move |blocks| *blocks == 1 || *blocks < tiles);
        let tiles = (self.rows.div_ceil(plain.rows), self.vectors.div_ceil(plain.vectors));
        for terms in k_blocks.chain([self.k]) {
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

    /// Estimated cycles of the entire product.
    fn cycles(&self, t: &Tiling) -> f64 {
        const FLOAT: usize = size_of::<f32>();
        let Memory { first_cache, second_cache, second_rate, far_rate } = self.memory;
        let (second_rate, far_rate) = (f64::from(second_rate), f64::from(far_rate));
        let columns = self.vectors * self.lanes;
        let k_blocks = self.k.div_ceil(t.k_block);
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
        // Counts `bytes` at the level of the cache that holds `reach` bytes, the data that was
        // read since their last use.
        let mut read = |bytes: usize, reach: usize| match reach {
            _ if reach <= first_cache => {}
            _ if reach <= second_cache => middle += bytes as f64,
            _ => far += bytes as f64,
        };
        // The outer factor: once for each block of the other, with a reuse distance of its
        // block; in a tile, again for every tile of the other.
        read(outside.bytes, outside.bytes.max(first_cache + 1));
        read(outside.bytes * (inside.blocks - 1), outside.bytes / outside.blocks);
        read(outside.bytes * (inside.tiles - 1), outside.tile);
        // The inner factor: again for every tile of the outer one, with a reuse distance of its
        // block; its blocks once for each block of the outer one.
        read(inside.bytes, inside.bytes.max(first_cache + 1));
        read(inside.bytes * (outside.blocks - 1), inside.bytes);
        read(inside.bytes * (outside.tiles - 1), inside.bytes / inside.blocks / k_blocks);
        if k_blocks > 1 {
            let sums = self.rows * columns * FLOAT;
            read(2 * (k_blocks - 1) * sums, sums / outside.blocks / inside.blocks);
        }
        if self.in_place {
            // Along rows, memory is streamed in order.
            let sums = 2 * self.rows * columns * FLOAT;
            read(if t.rows_outside { sums } else { 2 * sums }, sums.max(first_cache + 1));
        }
        let (middle, far) = (middle / second_rate, far / far_rate);
        let memory = middle + far;
        let all = compute.max(memory) + OVERLAP * compute.min(memory);
        if self.rows * columns * self.k < SHARED {
            return all;
        }
        let fetch = (outside.bytes / 2 + inside.bytes) as f64 / far_rate;
        let penalty = match outside.blocks {
            1 => UNSHARED_PENALTY,
            blocks => LEFT_OVER_PENALTY / blocks as f64,
        };
        all * (1.0 + penalty) + TWO_THREADS_FETCH * fetch
    }
}

/// Sizes of the tiles of an axis of `n` in `blocks` blocks, with the count
/// of each. Tiles end at the ends of blocks.
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

/// Sizes of the pieces of `n`, of at most `most` and as equal as possible, the
/// larger first, with the count of each, which may be 0.
pub(super) fn split(n: usize, most: usize) -> [(usize, usize); 2] {
    let count = n.div_ceil(most);
    let (small, larger) = (n / count, n % count);
    [(small + 1, larger), (small, count - larger)]
}
