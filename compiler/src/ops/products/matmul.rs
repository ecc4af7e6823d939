//! The operation [`MatMul`].

use super::contract::Contract;
use super::{Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample, Signature};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value, dot};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Dim, Facts, Shape, Type};

/// The product of two matrices, of a vector and a matrix, or of two stacks of matrices, for each
/// example: `[…, m, k] · [k, n]` yields `[…, m, n]`. A batch of vectors times a parameter matrix is one
/// matrix product.
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

impl MatMul {
    /// The contraction that it lowers to, by the ranks of its operands.
    fn contraction(a: usize, b: usize) -> Contract {
        let shared = if b == 3 { vec![(0, 0)] } else { Vec::new() };
        let contracted = vec![(a - 1, b.saturating_sub(2))];
        Contract { shared, contracted, over_batch: false }
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
        let ranks = (s.rank(), t.rank());
        if !(matches!(ranks, (1.., 1..=2)) || ranks == (3, 3)) {
            return Err(Mistake::call(format!(
                "`matmul` multiplies vectors, matrices, or two stacks of matrices, \
                 but `{}` is {s} and `{}` is {t}",
                a.name, b.name
            )));
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
        if ranks == (3, 3) {
            facts.same(&s.dims[0], &t.dims[0], || {
                Mistake::call(format!(
                    "`{}` has {} matrices, but `{}` has {}",
                    a.name, s.dims[0], b.name, t.dims[0]
                ))
            })?;
        }
        let mut dims: Vec<Dim> = s.dims[..s.rank() - 1].to_vec();
        if t.rank() > 1 {
            dims.push(t.dims[t.rank() - 1].clone());
        }
        Ok(Type::real(Shape { batched: s.batched || t.batched, dims }))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        // Stacks of matrices, with a stride of 0 for an operand that all examples share.
        let [s, t] = [&at.operands[0].shape, &at.operands[1].shape];
        let (a, b) = (x[0].reals(), x[1].reals());
        let (da, db) = (s.sizes(), t.sizes());
        let k = da[da.len() - 1];
        let n = if db.len() > 1 { db[db.len() - 1] } else { 1 };
        let m = if da.len() > 1 { da[da.len() - 2] } else { 1 };
        let stacked = da[..da.len().saturating_sub(2)].iter().product::<usize>();
        let examples = if at.ty.shape.batched { at.batch } else { 1 };
        let stride = |x: &[T], batched: bool| if batched { x.len() / at.batch } else { 0 };
        let (stride_a, stride_b) = (stride(a, s.batched), stride(b, t.batched));
        let matrix_stride_b = if db.len() == 3 { k * n } else { 0 };
        let mut y = Vec::new();
        for example in 0..examples {
            for i in 0..stacked {
                let a = &a[example * stride_a + i * m * k..][..m * k];
                let b = &b[example * stride_b + i * matrix_stride_b..][..k * n];
                let a = ndarray::ArrayView2::from_shape((m, k), a).expect("m rows of k");
                let b = ndarray::ArrayView2::from_shape((k, n), b).expect("k rows of n");
                y.extend(dot(&a, &b));
            }
        }
        Value::real(&at.sizes(), y)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let ranks = [at.x[0], at.x[1]].map(|x| g.shape(x).rank());
        MatMul::contraction(ranks[0], ranks[1]).gradient(g, at)
    }

    fn multiply_adds(&self, x: &[&Type], y: &Type) -> usize {
        let ranks = [x[0], x[1]].map(|x| x.shape.rank());
        MatMul::contraction(ranks[0], ranks[1]).multiply_adds(x, y)
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let ranks = [x[0], x[1]].map(|x| g.shape(x).rank());
            g.apply(MatMul::contraction(ranks[0], ranks[1]), x)
        }))
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
        ]
        .map(|operands| Sample::new(MatMul, operands).summing(40 * size))
        .to_vec()
    }
}
