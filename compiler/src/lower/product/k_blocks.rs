//! Blocks of k: long sums of products whose partial sums are in memory between blocks.
//!
//! Takes a product and its [`Tiling`]; returns the blocks in execution order. They form the
//! tree of chains that [`blocks::reduce`] writes in registers, so that no bit depends on
//! the choice.

use crate::faults::{self, Fault};
use crate::kernel::Product;
use crate::lower::blocks::{self, CHAIN};
use crate::lower::tiling::Tiling;
use crate::lower::writer::Writer;

/// Terms that are added without a pause: a chain of the sum, a piece of one, or all.
#[derive(Clone, Debug)]
pub(super) struct KBlock {
    /// The first term.
    pub first: usize,
    /// The number of terms.
    pub k: usize,
    /// The number of terms of the chain.
    pub chain: usize,
    /// Whether the chain continues from memory; else it begins at zero.
    pub resumes: bool,
    /// Whether the chain continues in a later block, from memory.
    pub pauses: bool,
    /// The sums that contain the chain, the innermost first; none if the chain is
    /// the entire sum.
    pub levels: Vec<Level>,
}

/// The position of a block in a sum of blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// The index of the buffer that holds the sum between blocks, in `partial_sums`.
    pub plane: usize,
    /// Whether the sum begins with it, from zero: with a block of no terms.
    pub begins: bool,
    /// Whether the sum ends with it, and is added to the next one.
    pub ends: bool,
}

/// Blocks in execution order.
pub(super) enum KBlocks {
    One(KBlock),
    /// A loop over blocks; each iteration advances by `terms` terms.
    Repeated {
        count: usize,
        terms: usize,
        body: Vec<KBlocks>,
    },
}

/// The blocks of the sum; one where k is not cut.
pub(super) fn k_blocks(product: &Product, tiling: &Tiling) -> Vec<KBlocks> {
    let all = product.summed.iter().product();
    match tiling.cuts_k(product) {
        true => k_blocks_of(0, all, tiling.k_block, &mut Vec::new()),
        false => {
            let (first, chain) = (0, all);
            let (resumes, pauses) = (false, false);
            vec![KBlocks::One(KBlock { first, k: all, chain, resumes, pauses, levels: Vec::new() })]
        }
    }
}

/// The blocks of some terms, at most `most` in each, which belong to the sums
/// `around`, the outermost first: the tree that [`blocks::reduce`] writes in
/// registers. A sum of chains begins with a block of no terms, which clears it: so all
/// chains but the last are one loop.
fn k_blocks_of(first: usize, terms: usize, most: usize, around: &mut Vec<Level>) -> Vec<KBlocks> {
    let mut blocks_of_k = Vec::new();
    let Some(size) = blocks::piece(terms, CHAIN) else {
        let levels: Vec<Level> = around.iter().rev().copied().collect();
        let last = terms.div_ceil(most) - 1;
        let block = |piece: usize| {
            let k = if piece == last { terms - piece * most } else { most };
            let (resumes, pauses, levels) = (piece > 0, piece < last, levels.clone());
            let resumes = resumes && !(faults::is(Fault::LostPartialSum) && piece == last);
            let first = first + piece * most;
            KBlocks::One(KBlock { first, k, chain: terms, resumes, pauses, levels })
        };
        blocks_of_k.push(block(0));
        match last {
            0 | 1 => {}
            _ => blocks_of_k.push(KBlocks::Repeated {
                count: last - 1,
                terms: most,
                body: vec![block(1)],
            }),
        }
        blocks_of_k.extend((last > 0).then(|| block(last)));
        return blocks_of_k;
    };
    let level = Level {
        plane: blocks::sizes(CHAIN).take_while(|s| *s < size).count(),
        begins: false,
        ends: false,
    };
    let (resumes, pauses, levels) = (false, false, vec![Level { begins: true, ..level }]);
    blocks_of_k.push(KBlocks::One(KBlock { first, k: 0, chain: 0, resumes, pauses, levels }));
    let last = terms.div_ceil(size) - 1;
    let mut piece = |first, terms, ends| {
        around.push(Level { ends, ..level });
        let body = k_blocks_of(first, terms, most, around);
        around.pop();
        body
    };
    blocks_of_k.push(KBlocks::Repeated {
        count: last,
        terms: size,
        body: piece(first, size, false),
    });
    let done = last * size;
    blocks_of_k.extend(piece(first + done, terms - done, true));
    blocks_of_k
}

/// Writes blocks, in loops along the axis that is summed over.
pub(super) fn for_each_k_block(
    w: &mut Writer<'_>,
    blocks: &[KBlocks],
    axis: usize,
    write: &mut dyn FnMut(&mut Writer<'_>, &KBlock),
) {
    for block in blocks {
        match block {
            KBlocks::One(block) => write(w, block),
            KBlocks::Repeated { count, terms, body } => {
                w.open(*count, Some((axis, *terms)));
                for_each_k_block(w, body, axis, write);
                w.close();
            }
        }
    }
}
