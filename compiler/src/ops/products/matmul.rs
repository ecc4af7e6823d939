//! The operation [`MatMul`].

use super::contract::Contract;
use super::{
    Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample, Signature, through,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value, dot};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Dim, Facts, Shape, Type};

/// The product of matrices for each example: `[…, m, k] · […, k, n]` yields `[…, m, n]`. The axes before
/// the last two are those of stacks, and broadcast: matched from the last, of equal sizes or 1. A vector
/// `[k]` on the left is a row, on the right a column, and its axis is not in the result. A batch of
/// vectors times a parameter matrix is one matrix product.
///
/// In the language: `matmul(a, b)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [2, 2];
///         input b: [2];
///         output y = matmul(a, b);
///     }
/// }
///
/// let a = array![[[1.0, 2.0], [3.0, 4.0]]];
/// let b = array![[1.0, -1.0]];
/// let y = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?.y;
/// assert_eq!(y, array![[-1.0, -1.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MatMul;

/// How the product is a contraction of its operands.
struct Plan {
    /// For each operand, the axes of its stack with size 1 that the other has more of. They are dropped.
    dropped: [Vec<usize>; 2],
    /// The contraction of what remains.
    contraction: Contract,
    /// For each axis of the result, that of the contraction's result.
    order: Vec<usize>,
}

/// The number of axes of a stack, before the last two.
fn stacked(shape: &Shape) -> usize {
    shape.rank().saturating_sub(2)
}

impl Plan {
    fn new(s: &Shape, t: &Shape) -> Plan {
        let (outer_a, outer_b) = (stacked(s), stacked(t));
        let outer = outer_a.max(outer_b);
        let mut dropped = [Vec::new(), Vec::new()];
        // For each axis of the result's stack, that of an operand or of both.
        let mut from: Vec<(Option<usize>, Option<usize>)> = Vec::new();
        for i in 0..outer {
            let a = (i + outer_a).checked_sub(outer);
            let b = (i + outer_b).checked_sub(outer);
            from.push(match (a, b) {
                (Some(a), Some(b)) if s.dims[a] != t.dims[b] => match s.dims[a] == Dim::Fixed(1) {
                    true => {
                        dropped[0].push(a);
                        (None, Some(b))
                    }
                    false => {
                        dropped[1].push(b);
                        (Some(a), None)
                    }
                },
                both => both,
            });
        }
        // The number of an axis among those that remain.
        let number = |operand: usize, axis: usize| {
            axis - dropped[operand].iter().filter(|other| **other < axis).count()
        };
        let shared: Vec<(usize, usize)> =
            from.iter().filter_map(|(a, b)| Some((number(0, (*a)?), number(1, (*b)?)))).collect();
        let contracted = vec![(number(0, s.rank() - 1), number(1, t.rank().saturating_sub(2)))];
        let contraction = Contract { shared, contracted, over_batch: false };
        // The contraction's axes are the shared ones, then the free ones of each operand, its stack
        // first.
        let free_a = contraction.free_a(s.rank() - dropped[0].len()).len();
        let mut next_shared = 0;
        let mut next_a = contraction.shared.len();
        let mut next_b = next_a + free_a;
        let mut order: Vec<usize> = Vec::new();
        for axes in &from {
            let next = match axes {
                (Some(_), Some(_)) => &mut next_shared,
                (Some(_), None) => &mut next_a,
                _ => &mut next_b,
            };
            order.push(*next);
            *next += 1;
        }
        order.extend((s.rank() > 1).then_some(next_a));
        order.extend((t.rank() > 1).then_some(next_b));
        Plan { dropped, contraction, order }
    }

    /// Whether it is the contraction of the operands as they are.
    fn is_direct(&self) -> bool {
        self.dropped.iter().all(Vec::is_empty) && self.order.is_sorted()
    }

    fn build(&self, g: &mut Graph, x: &[NodeId]) -> NodeId {
        let operands = [0, 1].map(|i| {
            let mut shape = g.shape(x[i]).clone();
            self.dropped[i].iter().rev().for_each(|axis| drop(shape.dims.remove(*axis)));
            g.reshape(x[i], &shape)
        });
        let product = g.apply(self.contraction.clone(), &operands);
        g.permute(product, &self.order)
    }
}

impl Operation for MatMul {
    const NAME: &'static str = "matmul";
    const CALL: Option<Signature> = Some(Signature::of(&["a", "b"]));

    fn from_call(_: &Attributes) -> Result<MatMul, Mistake> {
        Ok(MatMul)
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        for (i, x) in x.iter().enumerate() {
            super::elementwise::require_real(Self::NAME, i, *x)?;
        }
        let [a, b] = [x[0], x[1]];
        let (s, t) = (&a.ty.shape, &b.ty.shape);
        if let Some(i) = x.iter().position(|x| x.ty.shape.rank() == 0) {
            let message = format!(
                "`matmul` multiplies vectors and matrices, but `{}` is a single number",
                x[i].name
            );
            return Err(Mistake::operand(i, message));
        }
        let columns = &s.dims[s.rank() - 1];
        let rows = &t.dims[t.rank().saturating_sub(2)];
        facts.same(columns, rows, || {
            Mistake::call(format!(
                "cannot multiply `{}` of shape {s} by `{}` of shape {t}: \
                 each row of the first has {columns} elements, each column of the second {rows}",
                a.name, b.name
            ))
        })?;
        let stack = |shape: &Shape| {
            let dims = shape.dims[..stacked(shape)].to_vec();
            Shape { batched: shape.batched, dims }
        };
        let (stack_a, stack_b) = (stack(s), stack(t));
        let mut shape = facts.broadcast(&stack_a, &stack_b, || {
            Mistake::call(match (&stack_a.dims[..], &stack_b.dims[..]) {
                ([m], [n]) => {
                    format!("`{}` has {m} matrices, but `{}` has {n}", a.name, b.name)
                }
                _ => format!(
                    "`{}` is a stack {stack_a} of matrices and `{}` a stack {stack_b}, which do not \
                     broadcast: axes are matched from the last, and sizes must be equal or 1",
                    a.name, b.name
                ),
            })
        })?;
        if s.rank() > 1 {
            shape.dims.push(s.dims[s.rank() - 2].clone());
        }
        if t.rank() > 1 {
            shape.dims.push(t.dims[t.rank() - 1].clone());
        }
        Ok(Type::real(shape))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let [s, t] = [&at.operands[0].shape, &at.operands[1].shape];
        let (da, db) = (s.sizes(), t.sizes());
        let k = da[da.len() - 1];
        let n = if db.len() > 1 { db[db.len() - 1] } else { 1 };
        let m = if da.len() > 1 { da[da.len() - 2] } else { 1 };
        let outer = stacked(s).max(stacked(t));
        let outer = &at.ty.shape.sizes()[..outer];
        let examples = if at.ty.shape.batched { at.batch } else { 1 };
        // The matrix of an operand that belongs to one of the result's; operands are repeated.
        let matrix = |operand: usize, example: usize, number: usize| {
            let shape = &at.operands[operand].shape;
            let sizes = &shape.sizes()[..stacked(shape)];
            let (mut rest, mut place, mut step) = (number, 0, 1);
            for (i, size) in outer.iter().rev().enumerate() {
                if let Some(own) = sizes.len().checked_sub(i + 1).map(|axis| sizes[axis]) {
                    place += if own == 1 { 0 } else { rest % size * step };
                    step *= own;
                }
                rest /= size;
            }
            if shape.batched { example * step + place } else { place }
        };
        let mut y = Vec::new();
        for example in 0..examples {
            for number in 0..outer.iter().product() {
                let a = &x[0].reals()[matrix(0, example, number) * m * k..][..m * k];
                let b = &x[1].reals()[matrix(1, example, number) * k * n..][..k * n];
                let a = ndarray::ArrayView2::from_shape((m, k), a).expect("m rows of k");
                let b = ndarray::ArrayView2::from_shape((k, n), b).expect("k rows of n");
                y.extend(dot(&a, &b));
            }
        }
        Value::real(&at.sizes(), y)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let plan = Plan::new(g.shape(at.x[0]), g.shape(at.x[1]));
        match plan.is_direct() {
            true => plan.contraction.gradient(g, at),
            false => through::gradient(g, at, |g, x| plan.build(g, x)),
        }
    }

    fn multiply_adds(&self, x: &[&Type], y: &Type) -> usize {
        let inner = x[0].shape.dims.last();
        let sizes = y.shape.dims.iter().chain(inner).map(|dim| dim.fixed().unwrap_or(0));
        sizes.fold(1, usize::saturating_mul)
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| Plan::new(g.shape(x[0]), g.shape(x[1])).build(g, x)))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let batched = |dims: &[usize]| real(Shape::batched(dims.iter().copied()));
        let unbatched = |dims: &[usize]| real(Shape::unbatched(dims.iter().copied()));
        [
            [batched(&[size]), unbatched(&[size, 5])],
            [batched(&[7]), unbatched(&[7, size])],
            [batched(&[3, size]), unbatched(&[size, 17])],
            [batched(&[3, 5]), batched(&[5, size])],
            [unbatched(&[size, 4]), batched(&[4])],
            [batched(&[size]), batched(&[size])],
            [unbatched(&[3, size]), unbatched(&[size, 16])],
            [batched(&[2, 3, size]), unbatched(&[2, size, 4])],
            [batched(&[2, 3, 4, size]), batched(&[2, 3, size, 5])],
            [batched(&[2, 1, 4, size]), unbatched(&[3, size, 5])],
            [batched(&[3, 1, 2, size]), batched(&[4, size, 3])],
            [unbatched(&[4, size]), batched(&[3, 2, size, 5])],
            [batched(&[size]), batched(&[3, size, 4])],
            [batched(&[2, 3, size]), batched(&[size])],
        ]
        .map(|operands| Sample::new(MatMul, operands).summing(40 * size))
        .to_vec()
    }
}
