//! Blocked summation: the order in which sums are added, fixed by their sizes
//! alone.
//!
//! A sum of many terms is a tree. Its leaves are *chains*: terms added
//! sequentially in ascending order. Above them, sums of [`CHAIN`] terms are
//! added in chains of [`FAN`], those again in chains of [`FAN`], and so on; each
//! chain starts from zero, and the last of a level may be shorter. So the
//! rounding error of a sum of `n` terms grows with `log n`: it is at most
//! `(leaf + FAN · levels) · ε / 2` times the sum of the terms' magnitudes
//! (N. J. Higham, *The accuracy of floating point summation*, 1993, §3).
//!
//! The leaves of products are chains of up to [`CHAIN`] fused multiply-adds; those
//! of plain sums are split once more, into chains of up to [`LEAF`], which costs
//! nothing where there are no multiply-adds to wait for.
//!
//! Sums over several axes are split between complete runs of the inner axes.

use super::writer::Writer;
use crate::expr::scalar::Reduction;
use crate::faults::{self, Fault};
use crate::program::Register;

/// Terms of a chain of a plain sum.
pub const LEAF: usize = 64;
/// Terms of a chain of a product's fused multiply-adds, and of the first sum of
/// chains where chains are shorter. Long enough that adding up chains costs a
/// product less than 1 %.
pub const CHAIN: usize = 1024;
/// The number of sums of one level that make one of the next.
pub const FAN: usize = 64;

/// The sizes of pieces, by level: each is a multiple of the one before.
pub(super) fn sizes(leaf: usize) -> impl Iterator<Item = usize> {
    let above = std::iter::successors(Some(CHAIN.max(leaf)), |size| size.checked_mul(FAN));
    (leaf < CHAIN).then_some(leaf).into_iter().chain(above)
}

/// The size of the pieces into which a sum of `n` terms is split; `None` for a single
/// chain.
pub(super) fn piece(n: usize, leaf: usize) -> Option<usize> {
    sizes(leaf).take_while(|size| *size < n).last()
}

/// Terms along an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The kernel's axis.
    pub axis: usize,
    /// Elements of the axis for each term.
    pub unit: usize,
    /// The first term, relative to the enclosing loops.
    pub first: usize,
    /// The number of terms.
    pub count: usize,
}

impl Span {
    /// All terms along an axis, one element each.
    pub fn all(axis: usize, count: usize) -> Span {
        Span { axis, unit: 1, first: 0, count }
    }
}

/// A split of a sum over some axes, the outermost first, into the pieces of its next level.
pub(super) struct Cut {
    /// The axis that is split, as an index into the spans.
    axis: usize,
    /// Terms of the axis in a piece.
    piece_len: usize,
    /// The number of full pieces.
    pub full_pieces: usize,
    /// Terms of the axis after the full pieces.
    remainder_len: usize,
}

impl Cut {
    /// `None` where the sum is one chain.
    pub fn of(spans: &[Span], leaf: usize) -> Option<Cut> {
        let total = spans.iter().map(|span| span.count).product();
        let size = piece(total, leaf)?;
        let axis = spans.iter().position(|span| span.count > 1)?;
        let below: usize = spans[axis + 1..].iter().map(|span| span.count).product();
        // Inner axes that are longer than a piece are split at the next level.
        let each = (size / below).max(1);
        Some(Cut {
            axis,
            piece_len: each,
            full_pieces: spans[axis].count / each,
            remainder_len: spans[axis].count % each,
        })
    }

    /// The spans of a full piece, and the axis of the loop over pieces with its increment.
    pub fn piece(&self, spans: &[Span]) -> (Vec<Span>, (usize, usize)) {
        let mut spans = spans.to_vec();
        let cut = &mut spans[self.axis];
        cut.count = self.piece_len;
        let along = (cut.axis, self.piece_len * cut.unit);
        (spans, along)
    }

    /// The spans after the full pieces, if there are any terms left.
    pub fn remainder(&self, spans: &[Span]) -> Option<Vec<Span>> {
        let mut spans = spans.to_vec();
        let cut = &mut spans[self.axis];
        cut.first += self.full_pieces * self.piece_len;
        cut.count = self.remainder_len;
        if faults::is(Fault::LastChain) && cut.count > 1 {
            cut.count -= 1;
        }
        (self.remainder_len > 0).then_some(spans)
    }
}

/// Combines the terms along some axes with the given registers, in
/// ascending order; registers are indexed by reduction and vector.
pub(super) type Chain<'c> = dyn FnMut(&mut Writer<'_>, &[Span], &[Vec<Register>]) + 'c;

/// Writes reductions over some axes, the outermost first, of several vectors each.
/// Returns the registers of the results, indexed by reduction and vector.
pub(super) fn reduce(
    w: &mut Writer<'_>,
    spans: &[Span],
    leaf: usize,
    reductions: &[Reduction],
    vectors: usize,
    chain: &mut Chain<'_>,
) -> Vec<Vec<Register>> {
    let mut begin = |reduction: &Reduction| -> Vec<Register> {
        (0..vectors).map(|_| w.start(reduction.identity())).collect()
    };
    let results: Vec<Vec<Register>> = reductions.iter().map(&mut begin).collect();
    let Some(cut) = Cut::of(spans, leaf) else {
        chain(w, spans, &results);
        return results;
    };
    let add = |w: &mut Writer<'_>, with: Vec<Vec<Register>>| {
        for ((reduction, to), with) in reductions.iter().zip(&results).zip(with) {
            to.iter().zip(with).for_each(|(to, with)| w.combine(*reduction, *to, with));
        }
    };
    let (piece, along) = cut.piece(spans);
    w.open(cut.full_pieces, Some(along));
    let sums = reduce(w, &piece, leaf, reductions, vectors, chain);
    add(w, sums);
    w.close();
    if let Some(remainder) = cut.remainder(spans) {
        let sums = reduce(w, &remainder, leaf, reductions, vectors, chain);
        add(w, sums);
    }
    results
}
