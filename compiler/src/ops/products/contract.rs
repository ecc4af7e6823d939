//! The operation [`Contract`].

use super::{Domain, Lowering, Operand, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value, dot};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// A contraction: a sum of products over axes of two values, the primitive operation of matrix products
/// and their gradients.
///
/// The result has the batch axis first if it has one, then the shared axes, then the free axes of the
/// first operand, then those of the second. Two batched operands are contracted example by example,
/// unless the sum includes the batch, as for the gradient of a weight.
///
/// Each element is a blocked sum of chains of fused multiply-adds in ascending order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Contract {
    /// Pairs of axes that are matched and part of the result.
    pub shared: Vec<(usize, usize)>,
    /// Pairs of axes that are summed over, outermost first.
    pub contracted: Vec<(usize, usize)>,
    /// Whether the batch is summed over as well, outermost; then both operands are batched.
    pub over_batch: bool,
}

impl Contract {
    /// The free axes of the first operand: neither shared nor contracted.
    pub fn free_a(&self, rank: usize) -> Vec<usize> {
        let bound: Vec<_> = self.shared.iter().chain(&self.contracted).map(|p| p.0).collect();
        (0..rank).filter(|axis| !bound.contains(axis)).collect()
    }

    /// The free axes of the second operand: neither shared nor contracted.
    pub fn free_b(&self, rank: usize) -> Vec<usize> {
        let bound: Vec<_> = self.shared.iter().chain(&self.contracted).map(|p| p.1).collect();
        (0..rank).filter(|axis| !bound.contains(axis)).collect()
    }
}

impl Operation for Contract {
    const NAME: &'static str = "contract";
    const OPERANDS: Option<usize> = Some(2);

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        let [a, b] = [&x[0].ty.shape, &x[1].ty.shape];
        let pairs = self.shared.iter().chain(&self.contracted);
        let fits =
            pairs.clone().all(|(i, j)| a.dims.get(*i).is_some_and(|d| b.dims.get(*j) == Some(d)));
        if !fits || (self.over_batch && !(a.batched && b.batched)) {
            return Err(Mistake::call(format!("{self:?} does not fit {a} and {b}")));
        }
        let dims = (self.shared.iter().map(|p| a.dims[p.0].clone()))
            .chain(self.free_a(a.rank()).into_iter().map(|i| a.dims[i].clone()))
            .chain(self.free_b(b.rank()).into_iter().map(|i| b.dims[i].clone()))
            .collect();
        Ok(Type::real(Shape { batched: (a.batched || b.batched) && !self.over_batch, dims }))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let [s, t] = [&at.operands[0].shape, &at.operands[1].shape];
        let both_batched = s.batched && t.batched;
        // Each operand as a stack of matrices: its axes in the order shared, free, contracted (or
        // contracted, free), with the batch in one of these groups.
        let arrange =
            |x: &Value<T>, shape: &Shape, free: Vec<usize>, bound: [Vec<usize>; 2], first: bool| {
                let offset = usize::from(shape.batched);
                let lift =
                    |axes: Vec<usize>| axes.into_iter().map(|a| a + offset).collect::<Vec<_>>();
                let [mut shared, mut contracted] = bound.map(lift);
                let mut free = lift(free);
                if shape.batched {
                    let group = match (self.over_batch, both_batched) {
                        (true, _) => &mut contracted,
                        (false, true) => &mut shared,
                        (false, false) => &mut free,
                    };
                    group.insert(0, 0);
                }
                let sizes = shape.full_sizes(at.batch);
                let size = |axes: &[usize]| axes.iter().map(|a| sizes[*a]).product::<usize>();
                let (rows, columns) =
                    if first { (&free, &contracted) } else { (&contracted, &free) };
                let order: Vec<_> = shared.iter().chain(rows).chain(columns).copied().collect();
                let stack = (size(&shared), size(rows), size(columns));
                let elements = x.array().view().permuted_axes(order).iter().copied().collect();
                ndarray::Array3::from_shape_vec(stack, elements).expect("the same elements")
            };
        let shared = |f: fn(&(usize, usize)) -> usize| {
            [self.shared.iter().map(f).collect(), self.contracted.iter().map(f).collect()]
        };
        let a = arrange(x[0], s, self.free_a(s.rank()), shared(|p| p.0), true);
        let b = arrange(x[1], t, self.free_b(t.rank()), shared(|p| p.1), false);
        let mut y = Vec::with_capacity(a.dim().0 * a.dim().1 * b.dim().2);
        for (a, b) in a.outer_iter().zip(b.outer_iter()) {
            y.extend(dot(&a, &b));
        }
        // If only one operand is batched, its batch axis precedes its free axes: move it to the front.
        let sizes = at.sizes();
        let batch_axis = match (s.batched, t.batched) {
            (true, false) => self.shared.len(),
            (false, true) => self.shared.len() + self.free_a(s.rank()).len(),
            _ => 0,
        };
        if batch_axis == 0 {
            return Value::real(&sizes, y);
        }
        let mut unordered = sizes.clone();
        let batch = unordered.remove(0);
        unordered.insert(batch_axis, batch);
        let y = ndarray::ArrayD::from_shape_vec(unordered, y).expect("the same elements");
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.remove(batch_axis);
        order.insert(0, batch_axis);
        Value::real(&sizes, y.permuted_axes(order).iter().copied().collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        let [a, b] = [at.x[0], at.x[1]];
        let (rank_a, rank_b) = (g.shape(a).rank(), g.shape(b).rank());
        let (free_a, free_b) = (self.free_a(rank_a), self.free_b(rank_b));
        // The index of each group of axes in dy.
        let shared = self.shared.len();
        let dy_a = |i: usize| shared + i;
        let dy_b = |i: usize| shared + free_a.len() + i;
        let dy_batched = g.shape(at.dy).batched;

        let da = at.requested[0].then(|| {
            let product = Contract {
                shared: self.shared.iter().enumerate().map(|(i, p)| (i, p.1)).collect(),
                contracted: free_b.iter().enumerate().map(|(i, axis)| (dy_b(i), *axis)).collect(),
                over_batch: dy_batched && !g.shape(a).batched,
            };
            let da = g.apply(product, &[at.dy, b]);
            // Its axes: shared, free of a, then contracted in b's order.
            let mut contracted = self.contracted.clone();
            contracted.sort_by_key(|p| p.1);
            let order: Vec<usize> = (self.shared.iter().map(|p| p.0))
                .chain(free_a.iter().copied())
                .chain(contracted.into_iter().map(|p| p.0))
                .collect();
            g.permute(da, &inverse(&order))
        });
        let db = at.requested[1].then(|| {
            let product = Contract {
                shared: self.shared.iter().enumerate().map(|(i, p)| (p.0, i)).collect(),
                contracted: free_a.iter().enumerate().map(|(i, axis)| (*axis, dy_a(i))).collect(),
                over_batch: dy_batched && !g.shape(b).batched,
            };
            let db = g.apply(product, &[a, at.dy]);
            // Its axes: shared, contracted in a's order, then free of b.
            let mut contracted = self.contracted.clone();
            contracted.sort_by_key(|p| p.0);
            let order: Vec<usize> = (self.shared.iter().map(|p| p.1))
                .chain(contracted.into_iter().map(|p| p.1))
                .chain(free_b.iter().copied())
                .collect();
            g.permute(db, &inverse(&order))
        });
        vec![da, db]
    }

    fn multiply_adds(&self, x: &[&Type], y: &Type) -> usize {
        let contracted = self.contracted.iter().map(|(axis, _)| &x[0].shape.dims[*axis]);
        let sizes = y.shape.dims.iter().chain(contracted).map(|dim| dim.fixed().unwrap_or(0));
        sizes.fold(1, usize::saturating_mul)
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Contraction(self)
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let op = |shared: &[(usize, usize)], contracted: &[(usize, usize)], over_batch| Contract {
            shared: shared.to_vec(),
            contracted: contracted.to_vec(),
            over_batch,
        };
        let batched = |dims: &[usize]| real(Shape::batched(dims.iter().copied()));
        let unbatched = |dims: &[usize]| real(Shape::unbatched(dims.iter().copied()));
        vec![
            // The gradient of a weight, of an input, of two axes at once.
            Sample::new(op(&[], &[], true), [batched(&[size]), batched(&[6])]),
            Sample::new(op(&[], &[(0, 1)], false), [batched(&[6]), unbatched(&[size, 6])]),
            Sample::new(op(&[], &[(0, 0)], true), [batched(&[3, size]), batched(&[3, 13])]),
            Sample::new(
                op(&[(0, 0)], &[(1, 1)], false),
                [batched(&[2, size, 3]), batched(&[2, size, 4])],
            ),
            Sample::new(
                op(&[], &[(1, 0), (0, 1)], false),
                [unbatched(&[3, size]), unbatched(&[size, 3, 5])],
            ),
        ]
        .into_iter()
        .map(|sample| sample.summing(40 * size))
        .collect()
    }
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (i, axis) in order.iter().enumerate() {
        inverse[*axis] = i;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The declared operation, its contraction, and the gradient of the weight have the same number per
    /// example.
    #[test]
    fn every_product_counts_its_multiply_adds() {
        let mut g = Graph::new(7);
        let input = |g: &mut Graph, index, shape| {
            let ty = Type::real(shape);
            g.apply(crate::ops::input::Input { index, ty }, &[])
        };
        let x = input(&mut g, 0, Shape::batched([3, 4]));
        let w = input(&mut g, 1, Shape::unbatched([4, 5]));
        let dy = input(&mut g, 2, Shape::batched([3, 5]));
        let forward = Contract { shared: vec![], contracted: vec![(1, 0)], over_batch: false };
        let weight = Contract { shared: vec![], contracted: vec![(0, 0)], over_batch: true };
        let products = [
            g.apply(crate::ops::matmul::MatMul, &[x, w]),
            g.apply(forward, &[x, w]),
            g.apply(weight, &[x, dy]),
            g.exp(x),
        ];
        let counts = products.map(|id| g.op(id).multiply_adds(&g.operand_types(id), g.ty(id)));
        assert_eq!(counts, [60, 60, 60, 0]);
    }
}
