//! Blocked summation: the order in which sums are added, fixed by their sizes
//! alone.
//!
//! A sum of many terms is a tree. At its leaves are *chains*: terms added one
//! after the other in ascending order. Above them, sums of [`CHAIN`] terms are
//! added in chains of [`FAN`], those again in chains of [`FAN`], and so on; each
//! chain starts from zero, and the last of a level may be shorter. So the
//! rounding error of a sum of `n` terms grows with `log n`: it is at most
//! `(leaf + FAN · levels) · ε / 2` times the sum of the terms' magnitudes
//! (N. J. Higham, *The accuracy of floating point summation*, 1993, §3).
//!
//! The leaves of products are chains of up to [`CHAIN`] fused multiply-adds; those
//! of plain sums are cut once more, in chains of up to [`LEAF`], which costs
//! nothing where there are no multiply-adds to wait for.
//!
//! Sums over several axes are cut between whole runs of the inner axes.

use super::writer::Writer;
use crate::expr::scalar::Reduction;
use crate::program::Register;

/// Terms of a chain of a plain sum.
pub const LEAF: usize = 64;
/// Terms of a chain of a product's fused multiply-adds, and of the first sum of
/// chains where chains are shorter. Long enough that adding up chains costs a
/// product less than 1 %.
pub const CHAIN: usize = 1024;
/// How many sums of one level make one of the next.
pub const FAN: usize = 64;

/// The sizes at which sums are cut: of each, that of the next level is a multiple.
pub(super) fn sizes(leaf: usize) -> impl Iterator<Item = usize> {
    let above = std::iter::successors(Some(CHAIN.max(leaf)), |size| size.checked_mul(FAN));
    (leaf < CHAIN).then_some(leaf).into_iter().chain(above)
}

/// The size of the pieces in which a sum of `n` terms is cut; `None` where it is
/// one chain.
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
    /// The first term, beyond what loops add.
    pub first: usize,
    /// How many terms.
    pub count: usize,
}

impl Span {
    /// All terms along an axis, an element each.
    pub fn all(axis: usize, count: usize) -> Span {
        Span { axis, unit: 1, first: 0, count }
    }
}

/// A sum over some axes, the outermost first, as its next level cuts it.
pub(super) struct Cut {
    /// Which of the axes is cut.
    axis: usize,
    /// Terms of the axis in a piece.
    piece_len: usize,
    /// How many whole pieces.
    pub full_pieces: usize,
    /// Terms of the axis in what is left.
    remainder_len: usize,
}

impl Cut {
    /// `None` where the sum is one chain.
    pub fn of(spans: &[Span], leaf: usize) -> Option<Cut> {
        let total = spans.iter().map(|span| span.count).product();
        let size = piece(total, leaf)?;
        let axis = spans.iter().position(|span| span.count > 1)?;
        let below: usize = spans[axis + 1..].iter().map(|span| span.count).product();
        // Where the inner axes alone are longer than a piece, these are cut below.
        let each = (size / below).max(1);
        Some(Cut {
            axis,
            piece_len: each,
            full_pieces: spans[axis].count / each,
            remainder_len: spans[axis].count % each,
        })
    }

    /// The whole pieces' axes, in a loop along the axis that is cut, and how it
    /// moves.
    pub fn piece(&self, spans: &[Span]) -> (Vec<Span>, (usize, usize)) {
        let mut spans = spans.to_vec();
        let cut = &mut spans[self.axis];
        cut.count = self.piece_len;
        let along = (cut.axis, self.piece_len * cut.unit);
        (spans, along)
    }

    /// The axes of what is left after whole pieces, if anything is.
    pub fn remainder(&self, spans: &[Span]) -> Option<Vec<Span>> {
        let mut spans = spans.to_vec();
        let cut = &mut spans[self.axis];
        cut.first += self.full_pieces * self.piece_len;
        cut.count = self.remainder_len;
        (self.remainder_len > 0).then_some(spans)
    }
}

/// Combines the terms along some axes with the registers that it is given, in
/// ascending order: by reduction and vector.
pub(super) type Chain<'c> = dyn FnMut(&mut Writer<'_>, &[Span], &[Vec<Register>]) + 'c;

/// Writes reductions over some axes, the outermost first, each of several vectors.
/// Returns the registers of the results, by reduction and vector.
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
    if let Some(rest) = cut.remainder(spans) {
        let sums = reduce(w, &rest, leaf, reductions, vectors, chain);
        add(w, sums);
    }
    results
}
