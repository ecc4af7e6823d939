//! Examples times the transpose of a large weight: operands are swapped, so that
//! the weight is read in memory order and vectors run along the batch. Results
//! are those of plain loops, bit for bit.

mod long_sums;

use bilro::rng::Generator;
use bilro_compiler::eval::Value;
use bilro_compiler::graph::{Graph, NodeId, Root};
use bilro_compiler::lower::blocks::CHAIN;
use bilro_compiler::ops::contract::Contract;
use bilro_compiler::ops::input::Input;
use bilro_compiler::ops::materialize::Materialize;
use bilro_compiler::ops::relu::Relu;
use bilro_compiler::ops::{Domain, Op, Operand};
use bilro_compiler::shape::{Shape, Type};
use bilro_tests::check::{self, Case};

/// A graph of batches with inputs of random numbers.
struct Inputs {
    g: Graph,
    values: Vec<Value<f32>>,
    generator: Generator,
}

impl Inputs {
    fn new(batch: usize) -> Inputs {
        let generator = Generator::new(batch as u64);
        Inputs { g: Graph::new(batch), values: Vec::new(), generator }
    }

    fn input(&mut self, shape: Shape) -> NodeId {
        let operand = Operand::new(Type::real(shape), Domain::Normal(1.0));
        let values = check::values(&operand, self.g.batch(), &mut self.generator);
        self.values.push(values);
        self.g.apply(Input { index: self.values.len() - 1, ty: operand.ty }, &[])
    }

    fn reals(&self, input: usize) -> Vec<f32> {
        self.values[input].reals().to_vec()
    }

    fn finish(self) -> Case {
        Case { graph: self.g, inputs: self.values }
    }
}

/// `examples · weightᵀ`, where the weight is `[out, in]`.
fn times_transpose(g: &mut Graph, examples: NodeId, weight: NodeId) -> NodeId {
    let contracted = vec![(g.shape(examples).rank() - 1, 1)];
    g.apply(Contract { shared: Vec::new(), contracted, over_batch: false }, &[examples, weight])
}

/// The same by plain loops: each element is a chain of multiply-adds, or the sum
/// of several.
fn expected(examples: &[f32], weight: &[f32], terms: usize) -> Vec<f32> {
    let chain = |x: &[f32], w: &[f32]| x.iter().zip(w).fold(0f32, |sum, (x, w)| x.mul_add(*w, sum));
    let element = |x: &[f32], w: &[f32]| match terms <= CHAIN {
        true => chain(x, w),
        false => x.chunks(CHAIN).zip(w.chunks(CHAIN)).map(|(x, w)| chain(x, w)).sum(),
    };
    let rows = examples.chunks(terms);
    rows.flat_map(|x| weight.chunks(terms).map(move |w| element(x, w))).collect()
}

/// Numbers of copies with the batch innermost, and of other copies.
fn copies(lowered: &check::Lowered) -> (usize, usize) {
    let graph = &lowered.fused.graph;
    let ops = lowered.fused.nodes.iter().flatten().map(|node| graph.op(*node));
    let all = ops.filter_map(|op| if let Op::Materialize(copy) = op { Some(copy) } else { None });
    let (last, rows): (Vec<_>, Vec<_>) = all.partition(|copy| **copy == Materialize::BATCH_LAST);
    (last.len(), rows.len())
}

/// Sizes for which the cost model swaps operands at all of these batches; the last
/// has long sums.
const SIZES: [(usize, usize); 3] = [(256, 150), (300, 257), (1030, 90)];
const BATCHES: [usize; 6] = [1, 3, 8, 16, 17, 33];

/// The result itself, masked, and added up: several kernels read it.
#[test]
fn swapped_operands_have_the_same_bits() {
    let targets = check::targets();
    for ((terms, out), batch) in SIZES.into_iter().flat_map(|size| BATCHES.map(|b| (size, b))) {
        let mut inputs = Inputs::new(batch);
        let x = inputs.input(Shape::batched([terms]));
        let w = inputs.input(Shape::unbatched([out, terms]));
        let mask_input = inputs.input(Shape::batched([out]));
        let g = &mut inputs.g;
        let y = times_transpose(g, x, w);
        let zero = g.constant(0.0);
        let shape = g.shape(y).clone();
        let zero = g.broadcast(zero, &shape);
        let mask = g.greater(mask_input, zero);
        let masked = g.select(mask, y, zero);
        let sum = g.sum_axis(masked, 0);
        for (name, root) in [("y", y), ("masked", masked), ("sum", sum)] {
            g.add_root(Root::Output(name.into()), root);
        }
        let y = expected(&inputs.reals(0), &inputs.reals(1), terms);
        let mask_input = inputs.reals(2);
        let masked = y
            .iter()
            .zip(&mask_input)
            .map(|(y, mask_input)| if *mask_input > 0.0 { *y } else { 0.0 });
        let masked: Vec<f32> = masked.collect();
        let case = inputs.finish();
        let mut sums: Option<Vec<f32>> = None;
        for target in &targets {
            let context = format!("batch of {batch}, {terms} to {out}, {}", target.name);
            let lowered = check::lowered(&case, target);
            // One example has the same order either way.
            assert_eq!(copies(&lowered), (usize::from(batch > 1), 0), "{context}");
            let found = check::jitted(&case, &lowered);
            check::assert_same_bits(&context, &found[0], &y);
            check::assert_same_bits(&format!("{context}, masked"), &found[1], &masked);
            let sums = sums.get_or_insert_with(|| found[2].clone());
            check::assert_same_bits(&format!("{context}, sums"), &found[2], sums);
        }
    }
}

/// Examples of two axes: with the batch innermost, their layout has three.
#[test]
fn swapped_operands_of_two_axes_have_the_same_bits() {
    for batch in BATCHES {
        let mut inputs = Inputs::new(batch);
        let x = inputs.input(Shape::batched([7, 40]));
        let w = inputs.input(Shape::unbatched([150, 7, 40]));
        let contracted = vec![(0, 1), (1, 2)];
        let contract = Contract { shared: Vec::new(), contracted, over_batch: false };
        let y = inputs.g.apply(contract, &[x, w]);
        inputs.g.add_root(Root::Output("y".into()), y);
        let y = expected(&inputs.reals(0), &inputs.reals(1), 7 * 40);
        let case = inputs.finish();
        for target in check::targets() {
            let context = format!("batch of {batch}, {}", target.name);
            let lowered = check::lowered(&case, &target);
            assert_eq!(copies(&lowered), (usize::from(batch > 1), 0), "{context}");
            check::assert_same_bits(&context, &check::jitted(&case, &lowered)[0], &y);
        }
    }
}

/// Programs for any width, in the evaluator, with a weight just large enough.
#[test]
fn every_vector_width_has_the_same_bits() {
    for batch in [1, 8, 17] {
        let mut inputs = Inputs::new(batch);
        let x = inputs.input(Shape::batched([100]));
        let w = inputs.input(Shape::unbatched([40, 100]));
        let y = times_transpose(&mut inputs.g, x, w);
        let y = inputs.g.apply(Relu, &[y]);
        inputs.g.add_root(Root::Output("y".into()), y);
        let y = expected(&inputs.reals(0), &inputs.reals(1), 100);
        let y: Vec<f32> = y.into_iter().map(|y| y.max(0.0)).collect();
        let case = inputs.finish();
        for lanes in [1, 2, 8, 16] {
            let target = check::evaluated_target(lanes);
            let lowered = check::lowered(&case, &target);
            let found = check::evaluated(&case, &lowered);
            check::assert_same_bits(&format!("batch of {batch}, {lanes} lanes"), &found[0], &y);
        }
    }
}

/// The backward pass of two layers: the same gradient passes through a transposed
/// weight, an activation's mask, and into the weight's own gradient.
#[test]
fn gradients_through_transposed_weights_are_those_of_the_interpreter() {
    let targets = check::targets();
    for batch in BATCHES {
        let mut inputs = Inputs::new(batch);
        let x = inputs.input(Shape::batched([70]));
        let first = inputs.input(Shape::unbatched([70, 300]));
        let second = inputs.input(Shape::unbatched([300, 200]));
        let weights = inputs.input(Shape::batched([200]));
        let g = &mut inputs.g;
        let product = |g: &mut Graph, x, w| {
            let contract =
                Contract { shared: Vec::new(), contracted: vec![(0, 0)], over_batch: false };
            g.apply(contract, &[x, w])
        };
        let y = product(g, x, first);
        let y = g.apply(Relu, &[y]);
        let z = product(g, y, second);
        let z = g.mul(z, weights);
        let loss = g.sum_all(z);
        g.add_root(Root::Loss, loss);
        for (i, dx) in bilro_compiler::autodiff::gradients(g, loss, &[x, first, second])
            .into_iter()
            .enumerate()
        {
            g.add_root(Root::Output(format!("dx{i}")), dx);
        }
        let case = inputs.finish();
        let expected = check::interpreted::<f64>(&case);
        let mut same: Option<Vec<Vec<f32>>> = None;
        for target in &targets {
            let lowered = check::lowered(&case, target);
            let found = check::jitted(&case, &lowered);
            assert_eq!(copies(&lowered).0 > 0, batch > 1, "batch of {batch}");
            let same = same.get_or_insert_with(|| found.clone());
            for (i, (root, _)) in case.graph.roots().iter().enumerate() {
                let context = format!("batch of {batch}, {root}, {}", target.name);
                // The loss adds up a batch of 200 sums of 300 sums of 70 terms.
                let terms = if *root == Root::Loss { 200 * batch } else { 0 } + 70 + 300 + 200;
                check::assert_close(&context, &found[i], &expected[i], check::bound(terms));
                check::assert_same_bits(&context, &found[i], &same[i]);
            }
        }
    }
}
