//! Sums, products and statistics of up to ten million terms: their rounding error
//! grows no faster than the logarithm of the number of terms, and their bits are
//! the same on every instruction set.

use bilro::prelude::*;
use bilro::rng::Generator;
use bilro_compiler::eval::Value;
use bilro_compiler::graph::{Graph, NodeId, Root};
use bilro_compiler::lower::blocks::{CHAIN, FAN, LEAF};
use bilro_compiler::ops::contract::Contract;
use bilro_compiler::ops::input::Input;
use bilro_compiler::ops::reduce::{Axis, Reduction};
use bilro_compiler::shape::{Shape, Type};
use bilro_tests::check::{self, Case};
use ndarray::Array2;

/// Half a unit in the last place of one.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

/// Bound of the relative error of a sum of `n` positive terms: a chain of `leaf`
/// additions, and one of `FAN` for each level above it, plus a few roundings
/// around the sum.
fn bound(n: usize, leaf: usize) -> f64 {
    let chains = n.div_ceil(leaf) as f64;
    let levels = chains.log(FAN as f64).ceil().max(0.0) + 1.0;
    (leaf.min(n) as f64 + levels * FAN as f64 + 16.0) * ROUNDING
}

/// The terms: one number, whose roundings all have the same direction, or random
/// ones.
#[derive(Clone, Copy, Debug)]
enum Terms {
    Tenths,
    Uniform,
}

impl Terms {
    fn draw(self, n: usize) -> Vec<f32> {
        match self {
            Terms::Tenths => vec![0.1; n],
            Terms::Uniform => {
                let mut x = vec![0.0; n];
                Generator::new(n as u64).fill_uniform(&mut x, 0.0, 1.0);
                x
            }
        }
    }
}

/// A graph of batches, the values of its inputs, and the expected roots in f64.
struct Sums {
    context: &'static str,
    g: Graph,
    inputs: Vec<Value<f32>>,
    expected: Vec<Vec<f64>>,
    leaf: usize,
}

impl Sums {
    fn new(context: &'static str, batch: usize, leaf: usize) -> Sums {
        Sums { context, g: Graph::new(batch), inputs: Vec::new(), expected: Vec::new(), leaf }
    }

    fn input(&mut self, shape: Shape, terms: Terms) -> (NodeId, Vec<f64>) {
        let sizes = shape.full_sizes(self.g.batch());
        let x = terms.draw(sizes.iter().product());
        let wide = x.iter().map(|x| f64::from(*x)).collect();
        self.inputs.push(Value::real(&sizes, x));
        let ty = Type::real(shape);
        (self.g.apply(Input { index: self.inputs.len() - 1, ty }, &[]), wide)
    }

    fn root(&mut self, node: NodeId, expected: Vec<f64>) {
        let name = format!("y{}", self.expected.len());
        self.g.add_root(Root::Output(name), node);
        self.expected.push(expected);
    }

    fn check(self, n: usize, terms: Terms) {
        let Sums { context, g, inputs, expected, leaf } = self;
        let case = Case { graph: g, inputs };
        let mut first: Option<Vec<Vec<f32>>> = None;
        for target in check::targets() {
            let found = check::jitted(&case, &check::lowered(&case, &target));
            for (root, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let context = format!("{context} of {n} {terms:?}, root {root}, {}", target.name);
                assert_eq!(found.len(), expected.len(), "{context}");
                for (found, expected) in found.iter().zip(expected) {
                    let error = (f64::from(*found) / expected - 1.0).abs();
                    let bound = bound(n, leaf);
                    assert!(error <= bound, "{context}: off by {error:e}, more than {bound:e}");
                }
            }
            let first = first.get_or_insert_with(|| found.clone());
            for (found, first) in found.iter().zip(first) {
                check::assert_same_bits(context, found, first);
            }
        }
        let interpreted = check::interpreted::<f32>(&case);
        for (found, expected) in interpreted.iter().flatten().zip(expected.iter().flatten()) {
            let error = (f64::from(*found) / expected - 1.0).abs();
            assert!(
                error <= 4.0 * ROUNDING,
                "{context} of {n} by the interpreter in f32: {error:e}"
            );
        }
    }
}

/// The sums of the columns of a matrix, its rows in order.
fn column_sums(x: &[f64], columns: usize) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    for row in x.chunks(columns) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    sums
}

fn sizes(most: usize) -> impl Iterator<Item = usize> {
    // Also slightly more and less than full blocks, of one term or of sixteen.
    [
        1000, 1024, 1025, 2033, 2047, 4097, 10_000, 16_383, 65_525, 65_535, 65_537, 100_000,
        1_000_000, 1_048_575, 10_000_000,
    ]
    .into_iter()
    .filter(move |n| *n <= most)
}

const BOTH: [Terms; 2] = [Terms::Tenths, Terms::Uniform];

#[test]
fn sums_along_rows() {
    for (n, terms) in sizes(10_000_000).flat_map(|n| BOTH.map(|terms| (n, terms))) {
        let mut sums = Sums::new("the sum", n, LEAF);
        let (x, values) = sums.input(Shape::batched([0usize; 0]), terms);
        let y = sums.g.sum_all(x);
        sums.root(y, vec![values.iter().sum()]);
        sums.check(n, terms);

        if n > 1_000_000 {
            continue;
        }
        let mut sums = Sums::new("sums along rows", 3, LEAF);
        let (x, values) = sums.input(Shape::batched([n]), terms);
        let y = sums.g.sum_axis(x, 0);
        sums.root(y, values.chunks(n).map(|row| row.iter().sum()).collect());
        sums.check(n, terms);
    }
}

#[test]
fn sums_over_the_batch() {
    for (n, terms) in sizes(1_000_000).flat_map(|n| BOTH.map(|terms| (n, terms))) {
        let mut sums = Sums::new("sums over the batch", n, LEAF);
        let (x, values) = sums.input(Shape::batched([5]), terms);
        let y = sums.g.reduce(Reduction::Sum, Axis::Batch, x);
        sums.root(y, column_sums(&values, 5));
        sums.check(n, terms);
    }
}

/// The gradients of a weight and its bias: the second is the sum of the columns of
/// the first's second operand, in the same kernel.
#[test]
fn products_over_the_batch_and_sums_beside_them() {
    for (n, terms) in sizes(1_000_000).flat_map(|n| BOTH.map(|terms| (n, terms))) {
        let mut sums = Sums::new("products over the batch", n, CHAIN);
        let (a, a_values) = sums.input(Shape::batched([3]), terms);
        let (b, b_values) = sums.input(Shape::batched([2]), terms);
        let contract = Contract { shared: vec![], contracted: vec![], over_batch: true };
        let y = sums.g.apply(contract, &[a, b]);
        let rows = a_values.chunks(3).zip(b_values.chunks(2));
        let products: Vec<f64> = rows
            .flat_map(|(a, b)| a.iter().flat_map(move |a| b.iter().map(move |b| a * b)))
            .collect();
        sums.root(y, column_sums(&products, 6));
        let y = sums.g.reduce(Reduction::Sum, Axis::Batch, b);
        sums.root(y, column_sums(&b_values, 2));
        sums.check(n, terms);
    }
}

/// A product of examples, whose sum runs along the example.
#[test]
fn products_along_rows() {
    for (n, terms) in sizes(100_000).flat_map(|n| BOTH.map(|terms| (n, terms))) {
        let mut sums = Sums::new("products along rows", 3, CHAIN);
        let (a, a_values) = sums.input(Shape::batched([n]), terms);
        let (b, b_values) = sums.input(Shape::unbatched([n, 18]), terms);
        let contract = Contract { shared: vec![], contracted: vec![(0, 0)], over_batch: false };
        let y = sums.g.apply(contract, &[a, b]);
        let mut products = Vec::new();
        for row in a_values.chunks(n) {
            let terms: Vec<f64> = row
                .iter()
                .zip(b_values.chunks(18))
                .flat_map(|(a, b)| b.iter().map(move |b| a * b))
                .collect();
            products.extend(column_sums(&terms, 18));
        }
        sums.root(y, products);
        sums.check(n, terms);
    }
}

/// Products whose sum runs over two separate axes, and products example by
/// example.
#[test]
fn products_over_several_axes() {
    for (n, terms) in sizes(100_000).flat_map(|n| BOTH.map(|terms| (n, terms))) {
        let mut sums = Sums::new("products over the batch and words", n, CHAIN);
        let (a, a_values) = sums.input(Shape::batched([7, 2]), terms);
        let (b, b_values) = sums.input(Shape::batched([3, 7]), terms);
        let contract = Contract { shared: vec![], contracted: vec![(0, 1)], over_batch: true };
        let y = sums.g.apply(contract, &[a, b]);
        let mut expected = vec![0.0; 6];
        for (a, b) in a_values.chunks(14).zip(b_values.chunks(21)) {
            for (at, sum) in expected.iter_mut().enumerate() {
                *sum += (0..7).map(|k| a[2 * k + at / 3] * b[7 * (at % 3) + k]).sum::<f64>();
            }
        }
        sums.root(y, expected);
        sums.check(7 * n, terms);

        let mut sums = Sums::new("products example by example", 2, CHAIN);
        let (a, a_values) = sums.input(Shape::batched([n, 2]), terms);
        let (b, b_values) = sums.input(Shape::batched([n, 3]), terms);
        let contract = Contract { shared: vec![], contracted: vec![(0, 0)], over_batch: false };
        let y = sums.g.apply(contract, &[a, b]);
        let mut expected = Vec::new();
        for (a, b) in a_values.chunks(2 * n).zip(b_values.chunks(3 * n)) {
            let mut sums = vec![0.0; 6];
            for (a, b) in a.chunks(2).zip(b.chunks(3)) {
                sums.iter_mut().enumerate().for_each(|(at, sum)| *sum += a[at / 3] * b[at % 3]);
            }
            expected.extend(sums);
        }
        sums.root(y, expected);
        sums.check(n, terms);
    }
}

/// Rows that are added up by index, most of them to one row of a small table.
#[test]
fn rows_added_by_index() {
    for (n, terms) in sizes(1_000_000).flat_map(|n| BOTH.map(|terms| (n, terms))) {
        for words in [1, 6] {
            let batch = n.div_ceil(words);
            let mut sums = Sums::new("rows added by index", batch, CHAIN);
            let (x, values) = sums.input(Shape::batched([words, 2]), terms);
            let count = batch * words;
            let indices: Vec<u32> = (0..count).map(|i| if i % 100 == 7 { 2 } else { 1 }).collect();
            let mut expected = [0.0; 6];
            for (row, index) in values.chunks(2).zip(&indices) {
                let sums = &mut expected[2 * *index as usize..][..2];
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            sums.inputs.push(Value::index(&[batch, words], indices));
            let ty = Type::index(3, Shape::batched([words]));
            let index = sums.g.apply(Input { index: 1, ty }, &[]);
            let table = sums.g.scatter_add(x, index);
            // The first row is 0: add 1 for a relative error.
            let one = sums.g.constant(1.0);
            let table = sums.g.add(table, one);
            sums.root(table, expected.iter().map(|sum| sum + 1.0).collect());
            sums.check(count, terms);
        }
    }
}

network! {
    /// Only a bias, whose mean gradient is exactly one.
    struct Bias {
        input x: [3];
        param b: [3] = zeros;
        output y = x + b;
        loss y.sum();
    }
}

network! {
    /// A bias beside a weight.
    struct Line {
        input x: [4];
        output y = x -> Linear(2);
        loss y.sum();
    }
}

network! {
    /// Statistics of the batch.
    struct Normed {
        input x: [2];
        layer norm = BatchNorm1d(2);
        output y = norm(x);
        loss y.square().mean();
    }
}

network! {
    /// Words whose vectors' mean gradient is their frequency.
    struct Words {
        input word: index(3)[4];
        layer table = Embedding(3, 2);
        output y = table(word);
        loss y.sum();
    }
}

#[test]
fn the_mean_gradient_of_a_bias_is_one() {
    for n in [1000, 10_000, 100_000, 1_000_000] {
        let x = Array2::zeros((n, 3));
        let model = Bias::model().seed(1).build().unwrap();
        let gradients = model.gradients(bias::Batch { x: x.view() }).unwrap();
        for g in &gradients.b {
            assert!((f64::from(*g) - 1.0).abs() <= bound(n, LEAF), "of {n} examples: {g}");
        }
        let x = Array2::from_elem((n, 4), 0.1);
        let model = Line::model().seed(1).build().unwrap();
        let gradients = model.gradients(line::Batch { x: x.view() }).unwrap();
        for g in &gradients.linear1.bias {
            assert!((f64::from(*g) - 1.0).abs() <= bound(n, LEAF), "of {n} examples: {g}");
        }
        for g in &gradients.linear1.weight {
            let error = (f64::from(*g) / f64::from(0.1f32) - 1.0).abs();
            assert!(error <= bound(n, CHAIN), "of {n} examples: {g}");
        }
    }
}

/// Uniform numbers from 999.5 to 1000.5: the error of the mean is squared in the
/// variance.
#[test]
fn statistics_of_half_a_million_examples() {
    for n in [1000, 31_623, 500_000] {
        let x = Array2::from_shape_fn((n, 2), |(i, _)| {
            1000.0 + ((i as f64 + 0.5) / n as f64 - 0.5) as f32
        });
        let variance = {
            let wide = x.column(0).mapv(f64::from);
            let mean = wide.sum() / n as f64;
            wide.mapv(|x| (x - mean).powi(2)).sum() / (n - 1) as f64
        };
        let mut trainer = Normed::trainer(Sgd::new(0.0)).seed(1).build().unwrap();
        trainer.step(normed::Batch { x: x.view() }).unwrap();
        let parameters = trainer.model().params();
        for found in parameters.norm.running_var {
            // A tenth of the batch's, nine tenths of the initial one.
            let found = (f64::from(*found) - 0.9) / 0.1;
            assert!((found - variance).abs() <= 1e-4, "{n}: {found} instead of {variance}");
        }
        for found in parameters.norm.running_mean {
            let error = (f64::from(*found) / 100.0 - 1.0).abs();
            assert!(error <= bound(n, LEAF), "{n}: {found}");
        }
    }
}

#[test]
fn the_gradient_of_a_word_is_its_frequency() {
    for n in [300, 30_000, 250_000] {
        let words = Array2::from_shape_fn((n, 4), |(i, j)| u32::from((i + j) % 50 == 0));
        let ones = words.iter().filter(|word| **word == 1).count();
        let model = Words::model().seed(1).build().unwrap();
        let gradients = model.gradients(words::Batch { word: words.view() }).unwrap();
        let table = &gradients.table.weight;
        for (row, count) in [(0, 4 * n - ones), (1, ones), (2, 0)] {
            let expected = count as f64 / n as f64;
            for found in table.row(row) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error <= bound(4 * n, CHAIN) * expected, "{n}: {found}, not {expected}");
            }
        }
    }
}

/// The mean loss of five million examples.
#[test]
fn the_loss_of_millions_of_examples() {
    let n = 5_000_000;
    let x = Array2::from_elem((n, 1), 0.3f32);
    let y: Array2<f32> = Array2::zeros((n, 1));
    let model = Squares::model().seed(1).build().unwrap();
    let gradients = model.gradients(squares::Batch { x: x.view(), y: y.view() }).unwrap();
    let expected = f64::from(0.3f32 * 0.3f32);
    let error = (f64::from(gradients.loss) / expected - 1.0).abs();
    assert!(error <= bound(n, LEAF), "{} instead of {expected}", gradients.loss);
}

network! {
    struct Squares {
        input x: [1];
        target y: [1];
        param b: [1] = zeros;
        output p = x + b;
        loss mse_loss(p, y);
    }
}
