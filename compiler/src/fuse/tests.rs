//! Fusion of a test operation that no pass knows and that uses the positions of its elements, next
//! to nodes of every kind: the kernels' results against the operations' `eval`.

use super::fuse;
use crate::autodiff;
use crate::buffer::{Layout, Storage};
use crate::codegen::tests::Random;
use crate::eval::{Evaluation, Value};
use crate::graph::{Graph, NodeId, Root};
use crate::kernel::SpaceKind;
use crate::ops::Leaf;
use crate::ops::contract::Contract;
use crate::ops::input::Input;
use crate::ops::ramp::Ramp;
use crate::ops::reduce::{Axis, Reduction};
use crate::pipeline::lower_graph;
use crate::plan::ParameterLayout;
use crate::shape::{Shape, Type};
use crate::simplify::{decompose, simplify};
use crate::target::Target;

const BATCH: usize = 6;

/// A graph under construction, with values for its inputs.
struct Case {
    g: Graph,
    inputs: Vec<Value<f64>>,
    random: Random,
}

impl Case {
    fn new(seed: u64) -> Case {
        Case { g: Graph::new(BATCH), inputs: Vec::new(), random: Random(seed) }
    }

    fn real(&mut self, shape: Shape) -> NodeId {
        let sizes = shape.full_sizes(BATCH);
        // Sixteenths, so that small sums are exact.
        let element = |_| (self.random.below(65) as f64 - 32.0) / 16.0;
        let elements = (0..sizes.iter().product()).map(element).collect();
        self.input(Type::real(shape), Value::real(&sizes, elements))
    }

    fn index(&mut self, shape: Shape, below: usize) -> NodeId {
        let sizes = shape.full_sizes(BATCH);
        let elements = (0..sizes.iter().product()).map(|_| self.random.below(below) as u32);
        let value = Value::index(&sizes, elements.collect());
        self.input(Type::index(below, shape), value)
    }

    fn input(&mut self, ty: Type, value: Value<f64>) -> NodeId {
        self.inputs.push(value);
        self.g.apply(Input { index: self.inputs.len() - 1, ty }, &[])
    }

    fn ramp(&mut self, x: NodeId) -> NodeId {
        self.g.apply(Ramp, &[x])
    }

    fn outputs<const N: usize>(&mut self, x: [NodeId; N]) {
        for x in x {
            let root = Root::Output(self.g.roots().len().to_string());
            self.g.add_root(root, x);
        }
    }

    /// The values of the roots, by `eval` of every operation.
    fn interpreted(&self) -> Vec<Vec<f64>> {
        let g = &self.g;
        let mut values: Vec<Value<f64>> = Vec::new();
        for id in g.ids() {
            let operands = g.operands(id);
            let x: Vec<&Value<f64>> = operands.iter().map(|x| &values[x.index()]).collect();
            let at = Evaluation { ty: g.ty(id), operands: &g.operand_types(id), batch: BATCH };
            let value = match g.op(id).leaf() {
                Some(Leaf::Input(input)) => self.inputs[input.index].clone(),
                Some(other) => unreachable!("{other:?} is not an input"),
                None => g.op(id).eval(&x, &at),
            };
            values.push(value);
        }
        g.roots().iter().map(|(_, id)| values[id.index()].reals().to_vec()).collect()
    }

    /// The roots by the programs of the graph's kernels.
    fn compiled(&self, isa: &Target) -> Vec<Vec<f32>> {
        let none = ParameterLayout::new(&[]);
        let lowered = lower_graph(&self.g, &none, isa, true, &mut ())
            .unwrap_or_else(|error| panic!("{error}\n{}", self.g));
        let buffers = &lowered.buffers;
        let content = |storage: &Storage, elements: usize| match storage {
            Storage::Input(i) => match &self.inputs[*i] {
                Value::Real(x) => x.iter().map(|x| (*x as f32).to_bits()).collect(),
                Value::Index(x) => x.iter().copied().collect(),
            },
            _ => vec![f32::NAN.to_bits(); elements],
        };
        let mut memory: Vec<Vec<u32>> =
            buffers.iter().map(|t| content(&t.storage, t.layout.elements)).collect();
        for program in &lowered.programs {
            let mut contents: Vec<Vec<u32>> =
                program.buffers.iter().map(|t| std::mem::take(&mut memory[*t])).collect();
            program.evaluate(&mut contents, 0..program.parallel);
            program.buffers.iter().zip(contents).for_each(|(t, content)| memory[*t] = content);
        }
        let roots = lowered.interface.roots.iter();
        roots.map(|root| row_major(&memory[root.buffer], &root.layout)).collect()
    }

    /// Requires both to agree, for every target.
    fn check(&self, label: &str) {
        let expected = self.interpreted();
        for isa in Target::ALL {
            for (found, expected) in self.compiled(&isa).iter().zip(&expected) {
                // The tolerance is far below the effect of a wrong position.
                let largest = expected.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
                for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                    assert!(
                        (f64::from(*found) - expected).abs() <= 1e-5 * largest,
                        "{label}, {}, element {i}: {found} and {expected}\n{}",
                        isa.name,
                        self.g
                    );
                }
            }
        }
    }

    /// The kinds of the kernels that use positions for the operation; on an axis of one element the
    /// position is a constant.
    fn kinds(&self) -> Vec<SpaceKind> {
        let fused = fuse(&simplify(&decompose(&self.g)), true).expect("valid groups");
        let g = &fused.graph;
        let counts = |n: &NodeId| {
            g.op(*n).name() == "ramp" && g.shape(*n).sizes().last().is_some_and(|size| *size > 1)
        };
        let kernels = fused.kernels.iter().zip(&fused.nodes);
        let counting = kernels.filter(|(_, nodes)| nodes.iter().any(counts));
        counting.map(|(kernel, _)| kernel.body.kind()).collect()
    }
}

fn row_major(memory: &[u32], layout: &Layout) -> Vec<f32> {
    let offset = |mut i: usize| {
        let axes = layout.sizes.iter().zip(&layout.strides).rev();
        axes.fold(0, |at, (size, stride)| {
            let index = i % size;
            i /= size;
            at + index * stride
        })
    };
    (0..layout.sizes.iter().product()).map(|i| f32::from_bits(memory[offset(i)])).collect()
}

/// Shapes of examples: with and without a last axis of several elements, and with axes of one
/// element around it.
fn shapes() -> Vec<Vec<usize>> {
    let long = [[1, 19], [19, 1], [3, 19]].map(Vec::from);
    let short = [vec![], vec![1], vec![5], vec![3, 5], vec![2, 3, 5], vec![2, 5, 1], vec![2, 1, 5]];
    short.into_iter().chain(long).collect()
}

/// Axes that can be reduced: the batch's, and those of the example.
fn axes(rank: usize) -> impl Iterator<Item = Axis> {
    [Axis::Batch].into_iter().chain((0..rank).map(Axis::Example))
}

#[test]
fn positions_next_to_maps_and_reductions() {
    for dims in shapes() {
        let shape = Shape::batched(dims.clone());
        for axis in axes(dims.len()) {
            // Before a reduction, after it, and with the reduced values for every element.
            let mut case = Case::new(1);
            let x = case.real(shape.clone());
            let ramp = case.ramp(x);
            let sum = case.g.reduce(Reduction::Sum, axis, ramp);
            let of_sums = case.ramp(sum);
            let product = case.g.mul(ramp, of_sums);
            let again = case.ramp(product);
            let largest = case.g.reduce(Reduction::Max, axis, again);
            let below = case.g.sub(x, largest);
            let last = case.ramp(below);
            case.outputs([ramp, of_sums, again, largest, last]);
            // One element for each row, counted along an axis that is not that of the rows.
            let remaining = case.g.shape(sum).sizes().into_iter().filter(|size| *size > 1);
            let shape = Shape { batched: case.g.shape(sum).batched, ..Shape::unbatched(remaining) };
            let reshaped = case.g.reshape(sum, &shape);
            let reshaped = case.ramp(reshaped);
            case.outputs([reshaped]);
            case.check(&format!("{dims:?} over {axis:?}"));
        }
        // The elements in other shapes and orders.
        let mut case = Case::new(2);
        let x = case.real(shape.clone());
        let ramp = case.ramp(x);
        let count = dims.iter().product::<usize>();
        let order: Vec<usize> = (0..dims.len()).rev().collect();
        let permuted = case.g.permute(ramp, &order);
        let permuted = case.ramp(permuted);
        let flat = case.g.reshape(ramp, &Shape::batched([count]));
        let flat = case.ramp(flat);
        let column = case.g.reshape(flat, &Shape::batched([count, 1]));
        let column = case.ramp(column);
        case.outputs([permuted, flat, column]);
        case.check(&format!("views of {dims:?}"));
    }
}

#[test]
fn positions_next_to_products() {
    for (terms, columns) in [(1, 5), (7, 1), (7, 5), (7, 19), (40, 33)] {
        let mut case = Case::new(3);
        let x = case.real(Shape::batched([terms]));
        let w = case.real(Shape::unbatched([terms, columns]));
        let b = case.real(Shape::unbatched([columns]));
        let [factor, weight] = [x, w].map(|x| case.ramp(x));
        let forward = Contract { shared: vec![], contracted: vec![(0, 0)], over_batch: false };
        let y = case.g.apply(forward, &[factor, weight]);
        let y = case.g.add(y, b);
        let ramp = case.ramp(y);
        let squares = case.g.mul(ramp, y);
        let loss = case.g.sum_all(squares);
        // The gradients of weight and bias in one product, and an update behind them.
        for (x, dx) in [x, w, b].into_iter().zip(autodiff::gradients(&mut case.g, loss, &[x, w, b]))
        {
            let update = case.ramp(dx);
            let next = case.g.sub(x, update);
            case.outputs([next]);
        }
        case.outputs([ramp]);
        case.check(&format!("a product of {terms} × {columns}"));
        assert!(
            !case.kinds().contains(&SpaceKind::Product),
            "nodes that use positions are not fused with products"
        );
    }
}

#[test]
fn positions_next_to_rows_by_index() {
    for (rows, columns) in [(1, 5), (5, 1), (4, 5), (4, 19), (4, 40)] {
        for positions in [vec![], vec![1], vec![3]] {
            let mut case = Case::new(4);
            let table = case.real(Shape::unbatched([rows, columns]));
            let index = case.index(Shape::batched(positions.clone()), rows);
            let ramp = case.ramp(table);
            let gathered = case.g.gather(ramp, index);
            let gathered = case.ramp(gathered);
            let scattered = case.g.scatter_add(gathered, index);
            let next = case.ramp(scattered);
            let rows_of_table = case.g.gather(table, index);
            let rows_of_table = case.ramp(rows_of_table);
            let axis = case.g.shape(rows_of_table).rank() - 1;
            let sums = case.g.sum_axis(rows_of_table, axis);
            let sums = case.ramp(sums);
            let added = case.g.scatter_add(rows_of_table, index);
            case.outputs([next, sums, added]);
            case.check(&format!("rows {positions:?} of {rows} × {columns}"));
        }
    }
}

/// The results are right although the operation is fused with its neighbours.
#[test]
fn nodes_that_use_positions_are_fused_with_their_neighbours() {
    let kinds = |build: fn(&mut Case)| {
        let mut case = Case::new(5);
        build(&mut case);
        case.kinds()
    };
    let rows = |case: &mut Case| {
        let x = case.real(Shape::batched([3, 5]));
        let ramp = case.ramp(x);
        let sum = case.g.sum_axis(ramp, 1);
        let y = case.g.sub(ramp, sum);
        case.outputs([y]);
    };
    assert_eq!(kinds(rows), [SpaceKind::Rows]);
    let columns = |case: &mut Case| {
        let x = case.real(Shape::batched([3, 5]));
        let ramp = case.ramp(x);
        let sum = case.g.sum_axis(ramp, 0);
        case.outputs([sum]);
    };
    assert_eq!(kinds(columns), [SpaceKind::Columns]);
    let scatter = |case: &mut Case| {
        let x = case.real(Shape::batched([3, 5]));
        let index = case.index(Shape::batched([3]), 4);
        let ramp = case.ramp(x);
        let sum = case.g.scatter_add(ramp, index);
        case.outputs([sum]);
    };
    assert_eq!(kinds(scatter), [SpaceKind::Scatter]);
}
