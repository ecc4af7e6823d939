//! Tests of products with arbitrary tilings against plain loops, bit for bit: as machine code
//! for every target, and for small products by the evaluator.
//!
//! The choices of the cost model depend on sizes, and only a small part of them
//! occurs in networks that are small enough for a test. So tilings are forced
//! here. `BILRO_SEED=n` sets the seed.

use std::ops::Range;

use super::super::{
    blocks::{CHAIN, FAN, LEAF},
    partial_sums_layout,
    tiling::{Tiling, rows_of_tile},
};
use super::lower_by;
use crate::buffer::Layout;
use crate::codegen::tests::{Random, run, targets};
use crate::expr::scalar::LaneType;
use crate::expr::{Expressions, Term};
use crate::kernel::{Access, Body, Kernel, Product, Store};
use crate::program::Program;
use crate::target::Target;

/// The epilogue: how the sums are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Epilogue {
    /// The sums.
    Plain,
    /// The larger of zero and a sum plus its column's bias.
    Activation,
    /// A parameter minus the sums, in place.
    Update,
    /// Zero where a mask is not above zero; mask and result have contiguous rows,
    /// as where factors were swapped.
    Swapped,
}

const EPILOGUES: [Epilogue; 4] =
    [Epilogue::Plain, Epilogue::Activation, Epilogue::Update, Epilogue::Swapped];

/// Two factors, and their products by plain loops.
struct Factors {
    rows: usize,
    columns: usize,
    terms: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    sums: Vec<f32>,
    column_sums: Vec<f32>,
}

impl Factors {
    fn new(rows: usize, columns: usize, terms: usize) -> Factors {
        let mut random = Random((rows * 7919 + columns * 104_729 + terms) as u64);
        let (a, b) = (numbers(&mut random, rows * terms), numbers(&mut random, terms * columns));
        let row = |k: usize| &b[k * columns..][..columns];
        let sums = blocked(0..terms, &[CHAIN, FAN * CHAIN], rows * columns, &|k, sums| {
            for (i, sums) in sums.chunks_mut(columns).enumerate() {
                let a = a[i * terms + k];
                sums.iter_mut().zip(row(k)).for_each(|(sum, b)| *sum = a.mul_add(*b, *sum));
            }
        });
        let column_sums = blocked(0..terms, &[LEAF, CHAIN, FAN * CHAIN], columns, &|k, sums| {
            sums.iter_mut().zip(row(k)).for_each(|(sum, b)| *sum += b);
        });
        Factors { rows, columns, terms, a, b, sums, column_sums }
    }
}

/// `sums` blocked sums over some terms, which `add` adds one by one: pieces of the
/// largest size below the number of terms start from zero, and are then added up.
fn blocked(
    terms: Range<usize>,
    sizes: &[usize],
    sums: usize,
    add: &dyn Fn(usize, &mut [f32]),
) -> Vec<f32> {
    let mut all = vec![0f32; sums];
    match sizes.iter().rev().find(|size| **size < terms.len()) {
        None => terms.for_each(|k| add(k, &mut all)),
        Some(size) => {
            for first in terms.clone().step_by(*size) {
                let piece = blocked(first..terms.end.min(first + size), sizes, sums, add);
                all.iter_mut().zip(piece).for_each(|(sum, piece)| *sum += piece);
            }
        }
    }
    all
}

/// Numbers between -1 and 1 with all mantissa bits: sums in different orders
/// differ.
fn numbers(random: &mut Random, n: usize) -> Vec<f32> {
    (0..n).map(|_| (random.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// A kernel around two factors.
struct Case<'a> {
    factors: &'a Factors,
    epilogue: Epilogue,
    sums_columns: bool,
    /// Whether the first factor is transposed, as in the
    /// gradient of a weight.
    a_transposed: bool,
    /// For each buffer, as bits, whether its padding may be used.
    padding: u64,
}

/// The buffers, by number.
const A: usize = 0;
const B: usize = 1;
const RESULT: usize = 2;
const COLUMN: usize = 3;
const MASK: usize = 4;
const RATE: usize = 5;

/// The content of memory that was not written: a NaN.
const CANARY: u32 = 0x7FC0_0BAD;

/// The contents of a buffer, before and after the kernel; `None` for elements that may be
/// anything.
struct Contents {
    before: Vec<u32>,
    after: Vec<Option<u32>>,
}

impl Contents {
    fn new(layout: &Layout, padding_is_free: bool) -> Contents {
        let elements = layout.elements;
        let after = if padding_is_free { None } else { Some(CANARY) };
        Contents { before: vec![CANARY; elements], after: vec![after; elements] }
    }

    fn is(&mut self, at: usize, x: f32) {
        self.before[at] = x.to_bits();
        self.after[at] = Some(x.to_bits());
    }

    fn becomes(&mut self, at: usize, x: f32) {
        self.after[at] = Some(x.to_bits());
    }
}

impl Case<'_> {
    fn new(factors: &Factors, epilogue: Epilogue, choice: u64) -> Case<'_> {
        Case {
            factors,
            epilogue,
            // For single rows or columns, these sums are separate kernels.
            sums_columns: choice & 1 == 1
                && factors.rows > 1
                && factors.columns > 1
                && epilogue != Epilogue::Swapped,
            a_transposed: choice & 2 == 2,
            padding: if choice & 4 == 4 { !0 } else { choice >> 3 },
        }
    }

    fn is_free(&self, buffer: usize) -> bool {
        self.padding >> buffer & 1 == 1
    }

    fn access(&self, buffer: usize, layout: &Layout, strides: Vec<usize>) -> Access {
        let along_columns = strides[1] == 1 && layout.contiguous() == Some(self.factors.columns);
        let padding = if along_columns && self.is_free(buffer) { layout.padding } else { 0 };
        let strides = strides.into_iter().map(|stride| stride as isize).collect();
        Access { padding, ..Access::of(buffer, strides, LaneType::Float) }
    }

    /// The kernel without partial sums, and the contents of its buffers.
    fn kernel(&self) -> (Kernel, Vec<Contents>) {
        let Factors { rows, columns, terms, a, b, sums, column_sums } = self.factors;
        let (rows, columns, terms) = (*rows, *columns, *terms);
        let mut random = Random(1);
        let mut formulas = Expressions::default();
        let (mut loads, mut stores, mut overwritten) = (Vec::new(), Vec::new(), Vec::new());

        let (mut a_layout, mut a_strides) = matrix((rows, terms));
        if self.a_transposed {
            (a_layout, a_strides) = matrix((terms, rows));
            a_strides.reverse();
        }
        let (b_layout, b_strides) = matrix((terms, columns));
        let (mut layout, mut strides) = matrix((rows, columns));
        if self.epilogue == Epilogue::Swapped {
            (layout, strides) = matrix((columns, rows));
            strides.reverse();
        }
        let line = Layout::padded(&[columns]);
        let column_stride = usize::from(columns > 1);
        let single = Layout::padded(&[]);
        let layouts = [&a_layout, &b_layout, &layout, &line, &layout, &single];
        let contents = layouts.into_iter().enumerate();
        let mut contents: Vec<Contents> =
            contents.map(|(buffer, layout)| Contents::new(layout, self.is_free(buffer))).collect();
        for i in 0..rows {
            for k in 0..terms {
                contents[A].is(i * a_strides[0] + k * a_strides[1], a[i * terms + k]);
            }
        }
        for k in 0..terms {
            for j in 0..columns {
                contents[B].is(k * b_strides[0] + j * b_strides[1], b[k * columns + j]);
            }
        }
        let (rate, lines, others) =
            (0.3f32, numbers(&mut random, columns), numbers(&mut random, rows * columns));
        contents[RATE].is(0, rate);

        let mut load = |formulas: &mut Expressions, access: Access| {
            loads.push(access);
            formulas.push(Term::Load(loads.len() - 1, LaneType::Float))
        };
        let sum = formulas.push(Term::Reduced(0));
        let matrix = self.access(RESULT, &layout, strides.to_vec());
        let on_columns = self.access(COLUMN, &line, vec![0, column_stride]);
        let on_rate = self.access(RATE, &single, vec![0, 0]);
        let value = match self.epilogue {
            Epilogue::Plain => sum,
            Epilogue::Activation => {
                let added = load(&mut formulas, on_columns.clone());
                let x = formulas.add(sum, added);
                let zero = formulas.float(0.0);
                formulas.max(zero, x)
            }
            Epilogue::Update => {
                overwritten.push(RESULT);
                let old = load(&mut formulas, matrix.clone());
                let rate = load(&mut formulas, on_rate.clone());
                let x = formulas.mul(sum, rate);
                formulas.sub(old, x)
            }
            Epilogue::Swapped => {
                let mask = load(&mut formulas, Access { buffer: MASK, ..matrix.clone() });
                let zero = formulas.float(0.0);
                let above = formulas.greater(mask, zero);
                formulas.select(above, sum, zero)
            }
        };
        stores.push(Store { to: matrix, value });
        for (index, sum) in sums.iter().enumerate() {
            let (i, j) = (index / columns, index % columns);
            let (at, other) = (i * strides[0] + j * strides[1], others[index]);
            let value = match self.epilogue {
                Epilogue::Plain => *sum,
                Epilogue::Activation => (sum + lines[j]).max(0.0),
                Epilogue::Update => other - sum * rate,
                Epilogue::Swapped => {
                    if other > 0.0 {
                        *sum
                    } else {
                        0.0
                    }
                }
            };
            contents[MASK].is(at, other);
            if self.epilogue == Epilogue::Update {
                contents[RESULT].is(at, other);
            }
            contents[RESULT].becomes(at, value);
        }

        for (j, x) in lines.iter().enumerate() {
            contents[COLUMN].is(j * column_stride, *x);
        }
        if self.sums_columns {
            let sum = formulas.push(Term::Reduced(1));
            // With an activation, all rows read the column.
            let (value, expected): (_, fn(f32, f32, f32) -> f32) = match self.epilogue {
                Epilogue::Update => {
                    overwritten.push(COLUMN);
                    let old = load(&mut formulas, on_columns.clone());
                    let rate = load(&mut formulas, on_rate);
                    let x = formulas.mul(sum, rate);
                    (formulas.sub(old, x), |old, sum, rate| old - sum * rate)
                }
                _ => (sum, |_, sum, _| sum),
            };
            let mut to = on_columns;
            if self.epilogue == Epilogue::Activation {
                to.buffer = contents.len();
                contents.push(Contents::new(&line, self.is_free(COLUMN)));
            }
            for (j, sum) in column_sums.iter().enumerate() {
                contents[to.buffer].becomes(j * column_stride, expected(lines[j], *sum, rate));
            }
            stores.push(Store { to, value });
        }

        let summed = if terms > 1 { vec![terms] } else { Vec::new() };
        let factor = |buffer, layout: &Layout, outer: [usize; 2], along: usize| {
            let strides = outer.into_iter().chain(summed.iter().map(|_| along)).collect();
            self.access(buffer, layout, strides)
        };
        let product = Product {
            outer: Vec::new(),
            rows,
            columns,
            a: Access { padding: 0, ..factor(A, &a_layout, [a_strides[0], 0], a_strides[1]) },
            b: factor(B, &b_layout, [0, b_strides[1]], b_strides[0]),
            summed: summed.clone(),
            stores,
            partial_sums: Vec::new(),
        };
        let kernel = Kernel {
            name: "product".into(),
            loads,
            iotas: Vec::new(),
            overwritten,
            formulas,
            body: Body::Product(product),
        };
        (kernel, contents)
    }

    /// Lowers it by a tiling, runs it, and compares all memory: as machine code
    /// if `shares` is `None`, else by the evaluator in this number of shares, the
    /// last first.
    fn check(
        &self,
        target: &Target,
        tiling: impl FnOnce(&Kernel, &Product) -> Tiling,
        shares: Option<usize>,
    ) {
        let (mut kernel, mut contents) = self.kernel();
        let Body::Product(mut product) = kernel.body.clone() else { unreachable!() };
        let tiling = tiling(&kernel, &product);
        for _ in 0..tiling.partial_sums(&product) {
            let (layout, access) = partial_sums_layout(&product, self.sums_columns);
            product.partial_sums.push(Access { buffer: contents.len(), ..access });
            contents.push(Contents {
                before: vec![CANARY; layout.elements],
                after: vec![None; layout.elements],
            });
        }
        kernel.body = Body::Product(product.clone());
        let mut program = lower_by(&kernel, &product, target, tiling);
        let buffers = std::mem::take(&mut program.buffers);
        program.buffers = (0..buffers.len()).collect();
        let before: Vec<Vec<u32>> = buffers.iter().map(|t| contents[*t].before.clone()).collect();
        let after = match shares {
            None => run(&program, &before),
            Some(shares) => evaluate(&program, before, shares),
        };
        for (buffer, after) in buffers.iter().zip(after) {
            for (i, (found, expected)) in after.iter().zip(&contents[*buffer].after).enumerate() {
                assert!(
                    expected.is_none_or(|expected| expected == *found),
                    "BILRO_SEED={}: {} {} lanes, {shares:?} shares, {tiling:?}, {} rows, {} columns, {} terms, \
                     {:?}, column sums {}, a transposed {}, padding {:#x}: \
                     buffer {buffer} at {i} is {found:#x}, not {:#x}",
                    seed(),
                    target.name,
                    target.lanes,
                    self.factors.rows,
                    self.factors.columns,
                    self.factors.terms,
                    self.epilogue,
                    self.sums_columns,
                    self.a_transposed,
                    self.padding & 0x3F,
                    expected.unwrap_or_default(),
                );
            }
        }
    }
}

/// The layout of a matrix, and the strides of both axes: 0 for an axis of one
/// element.
fn matrix((first, second): (usize, usize)) -> (Layout, [usize; 2]) {
    let layout = Layout::padded(&[first, second]);
    let stride = |axis: usize, size| if size > 1 { layout.strides[axis] } else { 0 };
    let strides = [stride(0, first), stride(1, second)];
    (layout, strides)
}

/// The buffers after the program, which the evaluator runs in shares, like threads.
fn evaluate(program: &Program, mut memory: Vec<Vec<u32>>, shares: usize) -> Vec<Vec<u32>> {
    let sizes: Vec<usize> = memory.iter().map(Vec::len).collect();
    program.verify().and_then(|()| program.verify_bounds(&sizes)).unwrap();
    let cut = |share: usize| share * program.parallel / shares;
    for share in (0..shares).rev() {
        program.evaluate(&mut memory, cut(share)..cut(share + 1));
    }
    memory
}

/// A random valid tiling; with blocks of k if `cuts_k` is set and the sum is long enough.
fn any_tiling(random: &mut Random, factors: &Factors, target: &Target, cuts_k: bool) -> Tiling {
    let mut up_to = |n: usize| 1 + random.below(n.max(1));
    let all = factors.columns.div_ceil(target.lanes);
    let vectors = up_to(all.min(8));
    let rows = up_to(rows_of_tile(target, vectors, 0).min(factors.rows));
    // Half of the cases have the largest number of rows, the most frequent one.
    let rows =
        if up_to(2) == 1 { rows_of_tile(target, vectors, 0).min(factors.rows) } else { rows };
    Tiling {
        rows,
        vectors,
        row_blocks: up_to(factors.rows.div_ceil(rows)),
        column_blocks: up_to(all.div_ceil(vectors)),
        k_block: if cuts_k { [LEAF, 256, CHAIN][up_to(3) - 1] } else { factors.terms }
            .min(factors.terms),
        rows_outside: up_to(2) == 1,
    }
}

fn seed() -> u64 {
    std::env::var("BILRO_SEED").map_or(1, |seed| seed.parse().expect("a number"))
}

/// Many small products, with any tiling and any width.
#[test]
fn any_tiling_gives_the_same_bits() {
    let (targets, mut random) = (targets(), Random(seed()));
    let edges = [1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 120, 130, 257];
    for _ in 0..120 {
        let mut size = |below: usize| edges[random.below(below)];
        let factors = Factors::new(size(15), size(20), size(13));
        for _ in 0..3 {
            let epilogue = EPILOGUES[random.below(4)];
            let case = Case::new(&factors, epilogue, random.next());
            for target in &targets {
                let cuts_k = random.below(2) == 1;
                let tiling = any_tiling(&mut random, &factors, target, cuts_k);
                case.check(target, |_, _| tiling, None);
            }
            if factors.rows * factors.columns * factors.terms < 20_000 {
                let lanes = [1, 2, 4, 8, 16][random.below(5)];
                let registers = [16, 32][random.below(2)];
                let like = if lanes > 4 { Target::AVX512 } else { Target::AARCH64 };
                let target = Target { name: "evaluated", lanes, registers, ..like };
                let cuts_k = random.below(2) == 1;
                let tiling = any_tiling(&mut random, &factors, &target, cuts_k);
                case.check(&target, |_, _| tiling, Some(1 + random.below(3)));
            }
        }
    }
}

/// Sums of more than one chain, in registers and in blocks of k: exactly two chains, and
/// last chains that are shorter.
#[test]
fn long_sums_give_the_same_bits() {
    let (targets, mut random) = (targets(), Random(seed()));
    for terms in [512, 513, 1024, 1025, 2048, 3087] {
        for rows in [1, 3, 17, 33] {
            for columns in [1, 3, 17, 33, 120] {
                let factors = Factors::new(rows, columns, terms);
                for target in &targets {
                    let epilogue = EPILOGUES[random.below(4)];
                    let case = Case::new(&factors, epilogue, random.next());
                    case.check(target, |k, p| Tiling::new(k, p, target), None);
                    let case = Case::new(&factors, Epilogue::Update, random.next() | 1);
                    let cuts_k = random.below(2) == 1;
                    let tiling = any_tiling(&mut random, &factors, target, cuts_k);
                    case.check(target, |_, _| tiling, None);
                }
            }
        }
    }
}

/// Sums of chains of chains, in registers and in blocks of k; and by the evaluator.
#[test]
fn the_longest_sums_give_the_same_bits() {
    let (mut targets, mut random) = (targets(), Random(seed()));
    targets.push(Target { name: "evaluated", lanes: 2, ..Target::X86_64 });
    for (rows, columns, terms) in [(3, 2, 65_536), (2, 3, 65_537), (2, 2, 200_003)] {
        let factors = Factors::new(rows, columns, terms);
        for target in &targets {
            let shares = (target.name == "evaluated").then_some(1);
            for cuts_k in [true, false] {
                let case = Case::new(&factors, Epilogue::Update, random.next() | 1);
                let tiling = any_tiling(&mut random, &factors, target, cuts_k);
                case.check(target, |_, _| tiling, shares);
            }
        }
    }
}

/// The choices of the cost model for products so large that it chooses blocks and prefetching.
#[test]
fn large_products_give_the_same_bits() {
    let (targets, mut random) = (targets(), Random(seed()));
    let (mut cuts_k, mut in_blocks) = (0, 0);
    for (rows, columns, terms) in [
        (1, 700, 2030),
        (5, 300, 4100),
        (40, 1030, 520),
        (130, 130, 40),
        (600, 70, 2100),
        (1030, 523, 33),
    ] {
        let factors = Factors::new(rows, columns, terms);
        for target in &targets {
            for epilogue in EPILOGUES {
                let case = Case::new(&factors, epilogue, random.next());
                case.check(
                    target,
                    |kernel, product| {
                        let tiling = Tiling::new(kernel, product, target);
                        cuts_k += usize::from(tiling.cuts_k(product));
                        let tiles = product.rows.div_ceil(tiling.rows);
                        in_blocks += usize::from((2..tiles).contains(&tiling.row_blocks));
                        tiling
                    },
                    None,
                );
                let tiling = any_tiling(&mut random, &factors, target, true);
                case.check(target, |_, _| tiling, None);
            }
        }
    }
    println!(
        "chosen by the cost model: {cuts_k} with blocks of k, {in_blocks} with blocks of rows"
    );
    assert!(cuts_k > 0, "no product with blocks of k");
}
