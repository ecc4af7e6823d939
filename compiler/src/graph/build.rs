//! Functions that add nodes, a function for each operation: for gradients, optimizers and
//! rewrites.

use super::{Graph, NodeId};
use crate::ops::compare::{Compare, Comparison};
use crate::ops::reduce::{Axis, Reduce, Reduction};
use crate::ops::slice::Range;
use crate::ops::*;
use crate::shape::{Facts, Shape};

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $op:expr;)*) => {
        $($(#[$doc])* pub fn $name(&mut self, x: NodeId) -> NodeId { self.apply($op, &[x]) })*
    };
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident => $op:expr;)*) => {
        $($(#[$doc])*
        /// The operands are broadcast to a common shape.
        pub fn $name(&mut self, a: NodeId, b: NodeId) -> NodeId { self.pair($op, a, b) })*
    };
}

impl Graph {
    /// A number.
    pub fn constant(&mut self, value: f32) -> NodeId {
        self.apply(constant::Constant(Number(value)), &[])
    }

    /// Numbers on one axis.
    pub fn vector(&mut self, elements: impl Into<std::sync::Arc<[Number]>>) -> NodeId {
        self.apply(vector::Vector { elements: elements.into() }, &[])
    }

    /// A number in every element of a shape.
    pub fn filled(&mut self, value: f32, shape: &Shape) -> NodeId {
        let value = self.constant(value);
        self.broadcast(value, shape)
    }

    unary! {
        /// `-x`
        neg => neg::Neg;
        /// `e^x`
        exp => exp::Exp;
        /// The natural logarithm.
        log => log::Log;
        /// The logistic function.
        sigmoid => sigmoid::Sigmoid;
        /// `x²`
        square => square::Square;
        /// `√x`
        sqrt => sqrt::Sqrt;
        /// `|x|`
        abs => abs::Abs;
    }

    binary! {
        /// `a + b`.
        add => add::Add;
        /// `a - b`.
        sub => sub::Sub;
        /// `a · b`.
        mul => mul::Mul;
        /// `a / b`.
        div => div::Div;
        /// The larger of the two.
        maximum => maximum::Maximum;
        /// The smaller of the two.
        minimum => minimum::Minimum;
        /// 1 where `a > b`, else 0.
        greater => Compare(Comparison::Greater);
        /// 1 where `a >= b`, else 0.
        greater_equal => greater_equal::GreaterEqual;
        /// 1 where `a == b`, else 0.
        equal => Compare(Comparison::Equal);
    }

    /// `x · factor`
    pub fn scale(&mut self, x: NodeId, factor: f32) -> NodeId {
        let factor = self.constant(factor);
        self.mul(x, factor)
    }

    /// `a` where `condition` is greater than 0, else `b`; broadcast to a common shape.
    pub fn select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> NodeId {
        let shape = self.common(&[condition, a, b]);
        let operands = [condition, a, b].map(|x| self.broadcast(x, &shape));
        self.apply(select::Select, &operands)
    }

    /// `a` where `condition` is not 0, else `b`; broadcast to a common shape.
    pub fn choose(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> NodeId {
        let shape = self.common(&[condition, a, b]);
        let operands = [condition, a, b].map(|x| self.broadcast(x, &shape));
        self.apply(conditional::Where, &operands)
    }

    fn pair(&mut self, op: impl Into<Op>, a: NodeId, b: NodeId) -> NodeId {
        let shape = self.common(&[a, b]);
        let (a, b) = (self.broadcast(a, &shape), self.broadcast(b, &shape));
        self.apply(op, &[a, b])
    }

    fn common(&self, x: &[NodeId]) -> Shape {
        x.iter().fold(Shape::scalar(), |shape, x| {
            let wrong = || crate::error::Mistake::call("shapes do not broadcast");
            match Facts::default().broadcast(&shape, self.shape(*x), wrong) {
                Ok(shape) => shape,
                Err(mistake) => panic!("a pass of the compiler built a wrong node: {mistake}"),
            }
        })
    }

    /// `x` broadcast to a shape; `x` itself if it has that shape.
    pub fn broadcast(&mut self, x: NodeId, shape: &Shape) -> NodeId {
        if self.shape(x) == shape {
            return x;
        }
        self.apply(broadcast::Broadcast { shape: shape.clone() }, &[x])
    }

    /// The sum of `x` over all axes along which a broadcast from `shape` repeats elements:
    /// the gradient of [`Graph::broadcast`].
    pub fn sum_to(&mut self, x: NodeId, shape: &Shape) -> NodeId {
        let mut x = x;
        // The last axis first: rows are contiguous in memory.
        let extra = self.shape(x).rank() - shape.rank();
        for axis in (0..self.shape(x).rank()).rev() {
            let one = crate::shape::Dim::Fixed(1);
            let is_repeated = axis < extra || shape.dims[axis - extra] == one;
            if is_repeated && self.shape(x).dims[axis] != one {
                x = self.reduce(Reduction::Sum, Axis::Example(axis), x);
            }
        }
        if self.shape(x).batched && !shape.batched {
            x = self.reduce(Reduction::Sum, Axis::Batch, x);
        }
        self.reshape(x, shape)
    }

    /// One axis reduced to size one; the batch axis is removed.
    pub fn reduce(&mut self, reduction: Reduction, axis: Axis, x: NodeId) -> NodeId {
        self.apply(Reduce { reduction, axis }, &[x])
    }

    /// The sum over one axis of the example, which remains with size one.
    pub fn sum_axis(&mut self, x: NodeId, axis: usize) -> NodeId {
        self.reduce(Reduction::Sum, Axis::Example(axis), x)
    }

    /// The maximum over one axis of the example, which remains with size one.
    pub fn max_axis(&mut self, x: NodeId, axis: usize) -> NodeId {
        self.reduce(Reduction::Max, Axis::Example(axis), x)
    }

    /// The sum of everything, over the batch too: a single number.
    pub fn sum_all(&mut self, x: NodeId) -> NodeId {
        self.sum_to(x, &Shape::scalar())
    }

    /// The mean of everything, over the batch too: a single number.
    pub fn mean_all(&mut self, x: NodeId) -> NodeId {
        self.apply(mean::Mean { over: mean::Over::Everything }, &[x])
    }

    /// The weighted mean of all results of `x`'s operation, over the batch too: if the operation
    /// has weights, the sum of the results over the sum of the weights. A
    /// single number.
    pub fn mean_of_results(&mut self, x: NodeId) -> NodeId {
        let (op, operands) = (self.op(x).clone(), self.operands(x).to_vec());
        match op.weights(self, &operands) {
            Some(weights) => {
                let (sum, total) = (self.sum_all(x), self.sum_all(weights));
                self.div(sum, total)
            }
            None => self.mean_all(x),
        }
    }

    /// [`Graph::mean_of_results`] for a training loss: if all weights are 0, it is NaN, but
    /// its gradient is 0. There is nothing to learn from such a batch, and PyTorch's
    /// gradient, NaN where class weights are 0, would destroy the parameters.
    pub fn mean_to_learn(&mut self, x: NodeId) -> NodeId {
        let (op, operands) = (self.op(x).clone(), self.operands(x).to_vec());
        let Some(weights) = op.weights(self, &operands) else { return self.mean_all(x) };
        let (sum, total) = (self.sum_all(x), self.sum_all(weights));
        let (zero, one, nan) = (self.constant(0.0), self.constant(1.0), self.constant(f32::NAN));
        let has_no_weight = self.equal(total, zero);
        let sum = self.select(has_no_weight, nan, sum);
        let total = self.select(has_no_weight, one, total);
        self.div(sum, total)
    }

    /// 0 if all elements of some values and of the gradients of parameters are finite,
    /// else NaN.
    pub fn all_finite(&mut self, direct: &[NodeId], gradients: &[NodeId]) -> NodeId {
        let op = all_finite::AllFinite { direct: direct.len() };
        self.apply(op, &[direct, gradients].concat())
    }

    /// The same elements in another shape, row-major.
    pub fn reshape(&mut self, x: NodeId, shape: &Shape) -> NodeId {
        debug_assert_eq!(self.shape(x).batched, shape.batched);
        if self.shape(x).dims == shape.dims {
            return x;
        }
        self.apply(reshape::Reshape { dims: shape.dims.clone() }, &[x])
    }

    /// A range of an axis; `x` itself for all of it.
    pub fn slice(&mut self, x: NodeId, range: Range) -> NodeId {
        let is_all = self.shape(x).sizes()[range.axis] == range.count;
        match is_all && range.step == 1 {
            true => x,
            false => self.apply(slice::Slice::of(range), &[x]),
        }
    }

    /// Values one after the other along an axis.
    pub fn concat(&mut self, x: &[NodeId], axis: usize) -> NodeId {
        match x {
            [x] => *x,
            _ => self.apply(concat::Concat { axis: axis as i64 }, x),
        }
    }

    /// `x` along an axis between these numbers of elements, which all have a value.
    pub fn pad(&mut self, x: NodeId, axis: usize, around: [usize; 2], value: f32) -> NodeId {
        let shape = self.shape(x).clone();
        let [before, after] =
            around.map(|n| (n > 0).then(|| self.filled(value, &shape.with(axis, n))));
        let all: Vec<NodeId> = before.into_iter().chain([x]).chain(after).collect();
        self.concat(&all, axis)
    }

    /// Zeros of a shape, with the elements of `x` in a range: the gradient of [`Graph::slice`].
    pub fn unslice(&mut self, x: NodeId, range: Range, shape: &Shape) -> NodeId {
        if range.step < 0 {
            let all = Range { axis: range.axis, first: 0, count: range.count, step: 1 };
            let reversed = self.slice(x, all.reversed());
            return self.unslice(reversed, range.reversed(), shape);
        }
        let Range { axis, first, count, step } = range;
        let (size, step) = (shape.sizes()[axis], step as usize);
        if step == 1 || count == 1 {
            return self.pad(x, axis, [first, size - first - count], 0.0);
        }
        // All elements but the last, each followed by zeros up to the next one.
        let all = Range { axis, first: 0, count: count - 1, step: 1 };
        let last = self.slice(x, Range { first: count - 1, count: 1, ..all });
        let others = self.slice(x, all);
        let mut apart = self.shape(others).clone();
        apart.dims.insert(axis + 1, 1.into());
        let others = self.reshape(others, &apart);
        let others = self.pad(others, axis + 1, [0, step - 1], 0.0);
        let others = self.reshape(others, &shape.with(axis, (count - 1) * step));
        let spread = self.concat(&[others, last], axis);
        self.pad(spread, axis, [first, size - first - (count - 1) * step - 1], 0.0)
    }

    /// The rows of a table that an index names.
    pub fn gather(&mut self, table: NodeId, index: NodeId) -> NodeId {
        self.apply(gather::Gather, &[table, index])
    }

    /// A table of zeros, to whose rows values are added by index.
    pub fn scatter_add(&mut self, values: NodeId, index: NodeId) -> NodeId {
        self.apply(scatter_add::ScatterAdd, &[values, index])
    }

    /// The example's axes in another order.
    pub fn permute(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        if axes.iter().enumerate().all(|(i, a)| i == *a) {
            return x;
        }
        self.apply(
            transpose::Transpose { axes: Some(axes.iter().map(|a| *a as i64).collect()) },
            &[x],
        )
    }
}
