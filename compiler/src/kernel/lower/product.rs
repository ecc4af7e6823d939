//! Products: a tile of rows and vectors of columns stays in registers while
//! the sum runs; the epilogue stores it.

use super::writer::{Point, Writer};
use crate::codegen::isa::Isa;
use crate::kernel::program::{Instruction, Program, Register};
use crate::kernel::scalar::{Kind, Scalar};
use crate::kernel::{Access, Kernel, Product};

/// Tiles of equal size next to each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where they begin: a row, or a vector of columns.
    first: usize,
    /// How many rows or vectors each has.
    size: usize,
    /// How many tiles.
    count: usize,
    /// Lanes of the last vector of the last tile.
    lanes: usize,
}

pub(super) fn lower(kernel: &Kernel, product: &Product, isa: &Isa) -> Program {
    let rows_axis = product.outer.len();
    let columns_axis = rows_axis + 1;
    let axes = columns_axis + 1 + product.summed.len();
    let on = 1 << rows_axis | 1 << columns_axis;
    let mut w = Writer::new(kernel, isa, axes, columns_axis, on);
    w.open_outer(&product.outer);
    let inside = !product.outer.is_empty();

    let panels = column_runs(kernel, product, isa, vectors_of_tile(isa, product.rows));
    let total = panels.iter().map(|run| run.count).sum::<usize>();
    // The panel's columns of the second factor stay in the nearest cache while
    // rows go by; only where there are few, threads share out rows.
    let columns_first = inside || total >= FEW_PANELS;
    for panel in &panels {
        let tile_rows = rows_of_tile(isa, panel.size);
        let tiles = equal_runs(product.rows, tile_rows);
        let open =
            |w: &mut Writer<'_>, run: &Run, along, outermost: bool| match outermost && !inside {
                true => w.open_parallel(run.count, Some(along)),
                false => w.open(run.count, Some(along)),
            };
        let along_columns = (columns_axis, panel.size * isa.lanes);
        if columns_first {
            open(&mut w, panel, along_columns, true);
            for tile in &tiles {
                open(&mut w, tile, (rows_axis, tile.size), false);
                write_tile(&mut w, product, axes, tile, panel);
                w.close();
            }
            w.close();
        } else {
            for tile in &tiles {
                open(&mut w, tile, (rows_axis, tile.size), true);
                open(&mut w, panel, along_columns, false);
                write_tile(&mut w, product, axes, tile, panel);
                w.close();
                w.close();
            }
        }
    }
    w.close_outer(product.outer.len());
    w.finish()
}

/// Below this, panels of columns are too few to share out.
const FEW_PANELS: usize = 4;

/// Terms of the sum that are written out in one iteration. With wide registers
/// one, two and four measured the same but for single rows and long sums, where
/// four were best.
const UNROLLED: usize = 4;

/// Vectors of columns in a tile. Wide registers: two, and more where there are
/// too few rows to keep the multipliers busy.
fn vectors_of_tile(isa: &Isa, rows: usize) -> usize {
    match isa.lanes {
        // With five rows, ten sums, two vectors, a broadcast and what
        // multiply-adds move fit in 16 registers. Five by eight columns
        // measured best of the tiles that fit.
        ..=4 => 2,
        _ => ((isa.registers - 2) / (rows + 1)).clamp(2, 8),
    }
}

/// Rows of a tile that is so many vectors wide: as many as leave registers for
/// the vectors and a broadcast, and with four lanes for moved sums.
fn rows_of_tile(isa: &Isa, vectors: usize) -> usize {
    match (isa.lanes, vectors) {
        (..=4, 1) => (isa.registers - 4) / 2,
        (..=4, _) => (isa.registers - 6) / vectors,
        _ => (isa.registers - 2) / vectors - 1,
    }
}

/// `n` in tiles of at most `size`, as equal as they can be.
fn equal_runs(n: usize, size: usize) -> Vec<Run> {
    let count = n.div_ceil(size);
    let (small, large) = (n / count, n % count);
    let runs = [
        Run { first: 0, size: small + 1, count: large, lanes: 0 },
        Run { first: large * (small + 1), size: small, count: count - large, lanes: 0 },
    ];
    runs.into_iter().filter(|run| run.count > 0).collect()
}

/// Panels of columns. Where the last vector is not whole and padding does not
/// make up for it, its panel stands alone.
fn column_runs(kernel: &Kernel, product: &Product, isa: &Isa, most: usize) -> Vec<Run> {
    let axis = product.outer.len() + 1;
    let vectors = product.columns.div_ceil(isa.lanes);
    let missing = vectors * isa.lanes - product.columns;
    let padded = |access: &Access| access.steps[axis] == 0 || access.slack >= missing;
    let whole = missing == 0
        || (padded(&product.b)
            && kernel.loads.iter().all(padded)
            && product.stores.iter().all(|s| padded(&s.to)));
    let mut runs = equal_runs(vectors, most);
    for run in &mut runs {
        run.lanes = isa.lanes;
    }
    if !whole && let Some(last) = runs.last_mut() {
        let lanes = isa.lanes - missing;
        if last.count == 1 {
            last.lanes = lanes;
        } else {
            last.count -= 1;
            let first = last.first + last.count * last.size;
            let run = Run { first, size: last.size, count: 1, lanes };
            runs.push(run);
        }
    }
    runs
}

fn write_tile(w: &mut Writer<'_>, product: &Product, axes: usize, tile: &Run, panel: &Run) {
    let rows_axis = product.outer.len();
    let lanes = w.isa.lanes;
    let point = |row: usize, vector: usize| {
        let mut offsets = vec![0; axes];
        offsets[rows_axis] = tile.first + row;
        offsets[rows_axis + 1] = (panel.first + vector) * lanes;
        let lanes = if vector + 1 == panel.size { panel.lanes } else { lanes };
        Point { offsets, lanes }
    };
    let sums: Vec<Vec<Register>> = (0..tile.size)
        .map(|_| (0..panel.size).map(|_| w.start(0f32.to_bits())).collect())
        .collect();

    let (last, around) = product.summed.split_last().map_or((1, &[][..]), |(n, o)| (*n, o));
    let axis = rows_axis + 2;
    for (i, size) in around.iter().enumerate() {
        w.open(*size, Some((axis + i, 1)));
    }
    let axis = axis + around.len();
    let whole = last / UNROLLED;
    if whole > 0 {
        w.open(whole, Some((axis, UNROLLED)));
        write_terms(w, product, &sums, &point, axis, 0..UNROLLED);
        w.close();
    }
    write_terms(w, product, &sums, &point, axis, whole * UNROLLED..last);
    w.close_outer(around.len());

    for (row, sums) in sums.iter().enumerate() {
        for (vector, sum) in sums.iter().enumerate() {
            let at = point(row, vector);
            w.set_reduced(0, &at, *sum);
            for store in &product.stores {
                w.store(store, &at);
            }
        }
    }
}

/// Adds terms to all sums of a tile, each in ascending order. With four lanes
/// every second term goes through the tile backwards: the multiply-add that
/// Cranelift takes overwrites one of its factors, so that sums shift by a
/// register each time, and this shifts them back without a move.
fn write_terms(
    w: &mut Writer<'_>,
    product: &Product,
    sums: &[Vec<Register>],
    point: &impl Fn(usize, usize) -> Point,
    axis: usize,
    terms: std::ops::Range<usize>,
) {
    for term in terms {
        let load = |w: &mut Writer<'_>, access: &Access, mut at: Point| {
            // A product of single numbers has no axis to sum over.
            if let Some(offset) = at.offsets.get_mut(axis) {
                *offset = term;
            }
            let to = w.register(Kind::Float);
            let load = w.load(to, access, &at);
            w.push(load);
            to
        };
        let columns: Vec<Register> =
            (0..sums[0].len()).map(|vector| load(w, &product.b, point(0, vector))).collect();
        let backwards = w.isa.lanes <= 4 && term % 2 == 1;
        for row in in_order(sums.len(), backwards) {
            let a = load(w, &product.a, point(row, 0));
            for column in in_order(columns.len(), backwards) {
                let to = sums[row][column];
                let operands = [a, columns[column], to].into();
                w.push(Instruction::Apply { to, scalar: Scalar::MulAdd, operands });
            }
        }
    }
}

fn in_order(n: usize, backwards: bool) -> impl Iterator<Item = usize> {
    (0..n).map(move |i| if backwards { n - 1 - i } else { i })
}
