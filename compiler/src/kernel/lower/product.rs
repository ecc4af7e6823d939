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

    let panels = column_runs(kernel, product, isa);
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

/// Vectors of columns in a tile: with three rows of three vectors, nine sums,
/// three vectors and one broadcast fit in 16 registers. Three by twelve columns
/// measured best of the tiles that fit.
const VECTORS: usize = 3;

/// Rows of a tile that is so many vectors wide: as many as leave registers for
/// the vectors, a broadcast and a moved sum.
fn rows_of_tile(isa: &Isa, vectors: usize) -> usize {
    match vectors {
        1 => (isa.registers - 4) / 2,
        2 => (isa.registers - 5) / 2,
        _ => (isa.registers - vectors - 2) / vectors,
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
fn column_runs(kernel: &Kernel, product: &Product, isa: &Isa) -> Vec<Run> {
    let axis = product.outer.len() + 1;
    let vectors = product.columns.div_ceil(isa.lanes);
    let missing = vectors * isa.lanes - product.columns;
    let padded = |access: &Access| access.steps[axis] == 0 || access.slack >= missing;
    let whole = missing == 0
        || (padded(&product.b)
            && kernel.loads.iter().all(padded)
            && product.stores.iter().all(|s| padded(&s.to)));
    let mut runs = equal_runs(vectors, VECTORS);
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

    for (i, size) in product.summed.iter().enumerate() {
        w.open(*size, Some((rows_axis + 2 + i, 1)));
    }
    let columns: Vec<Register> = (0..panel.size)
        .map(|vector| {
            let to = w.register(Kind::Float);
            let load = w.load(to, &product.b, &point(0, vector));
            w.push(load);
            to
        })
        .collect();
    for (row, sums) in sums.iter().enumerate() {
        let a = w.register(Kind::Float);
        let load = w.load(a, &product.a, &point(row, 0));
        w.push(load);
        for (column, sum) in columns.iter().zip(sums) {
            let operands = vec![a, *column, *sum];
            w.push(Instruction::Apply { to: *sum, scalar: Scalar::MulAdd, operands });
        }
    }
    w.close_outer(product.summed.len());

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
