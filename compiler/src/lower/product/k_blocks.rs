//! Blocks of k: long sums of products whose partial sums lie in memory between blocks.
//!
//! Takes a product and its [`Tiling`]; gives the parts in the order in which they
//! are made. They are the tree of chains that [`blocks::reduce`] makes in registers,
//! so that no bit depends on which of the two is taken.

use crate::kernel::Product;
use crate::lower::blocks::{self, CHAIN};
use crate::lower::tiling::Tiling;
use crate::lower::writer::Writer;

/// Terms that are added in one go: a chain of the sum, or a piece of one, or all.
#[derive(Clone, Debug)]
pub(super) struct KBlock {
    /// The first term.
    pub first: usize,
    /// How many terms.
    pub k: usize,
    /// How many terms the chain has.
    pub chain: usize,
    /// Whether the chain continues from memory; else it begins at zero.
    pub resumes: bool,
    /// Whether the chain goes on in a later part, from memory.
    pub pauses: bool,
    /// The sums that the chain is part of, the innermost first; none where it is
    /// the whole sum.
    pub levels: Vec<Level>,
}

/// Where a part stands in a sum of parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// Which of the product's `partial` holds the sum between parts.
    pub plane: usize,
    /// Whether the sum begins with it, from zero: with a part of no terms.
    pub begins: bool,
    /// Whether the sum ends with it, and is added to the next one.
    pub ends: bool,
}

/// Parts in the order in which they are made.
pub(super) enum KBlocks {
    One(KBlock),
    /// The same again and again, so many terms further on each time.
    Repeated {
        count: usize,
        terms: usize,
        body: Vec<KBlocks>,
    },
}

/// The parts of the sum; one where it stays whole.
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

/// The parts of some terms, at most `most` in each, which belong to the sums
/// `around`, the outermost first: the tree that [`blocks::reduce`] makes in
/// registers. A sum of chains begins with a part of no terms, which clears it: so all
/// chains but the last are one loop.
fn k_blocks_of(first: usize, terms: usize, most: usize, around: &mut Vec<Level>) -> Vec<KBlocks> {
    let mut parts = Vec::new();
    let Some(size) = blocks::piece(terms, CHAIN) else {
        let levels: Vec<Level> = around.iter().rev().copied().collect();
        let last = terms.div_ceil(most) - 1;
        let part = |piece: usize| {
            let own = if piece == last { terms - piece * most } else { most };
            let (resumes, pauses, levels) = (piece > 0, piece < last, levels.clone());
            let first = first + piece * most;
            KBlocks::One(KBlock { first, k: own, chain: terms, resumes, pauses, levels })
        };
        parts.push(part(0));
        match last {
            0 | 1 => {}
            _ => {
                parts.push(KBlocks::Repeated { count: last - 1, terms: most, body: vec![part(1)] })
            }
        }
        parts.extend((last > 0).then(|| part(last)));
        return parts;
    };
    let level = Level {
        plane: blocks::sizes(CHAIN).take_while(|s| *s < size).count(),
        begins: false,
        ends: false,
    };
    let (resumes, pauses, levels) = (false, false, vec![Level { begins: true, ..level }]);
    parts.push(KBlocks::One(KBlock { first, k: 0, chain: 0, resumes, pauses, levels }));
    let last = terms.div_ceil(size) - 1;
    let mut piece = |first, terms, ends| {
        around.push(Level { ends, ..level });
        let body = k_blocks_of(first, terms, most, around);
        around.pop();
        body
    };
    parts.push(KBlocks::Repeated { count: last, terms: size, body: piece(first, size, false) });
    let done = last * size;
    parts.extend(piece(first + done, terms - done, true));
    parts
}

/// Writes parts in loops along the axis that is summed over.
pub(super) fn for_each_k_block(
    w: &mut Writer<'_>,
    parts: &[KBlocks],
    axis: usize,
    write: &mut dyn FnMut(&mut Writer<'_>, &KBlock),
) {
    for parts in parts {
        match parts {
            KBlocks::One(part) => write(w, part),
            KBlocks::Repeated { count, terms, body } => {
                w.open(*count, Some((axis, *terms)));
                for_each_k_block(w, body, axis, write);
                w.close();
            }
        }
    }
}
