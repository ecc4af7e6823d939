//! The operation [`IndexSelect`].

use super::take_along_axis::{bounded_axis, take, untake};
use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type, resolve_axis};

/// The elements of an axis that some integers name, the same for all indices of the other axes: an axis of
/// size 8 becomes one of size 3 by `index(8)[3]`.
///
/// First axes of values that all examples share are read row by row, as by
/// [`embedding`](super::embedding); else each result is selected from all elements of the axis.
///
/// In the language: `index_select(x, index, axis = 0)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input x: [3, 2];
///         input rows: index(3)[2];
///         output y = index_select(x, rows);
///     }
/// }
///
/// let (x, rows) = (array![[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]], array![[2, 0]]);
/// let model = Example::model().build()?;
/// let y = model.predict(example::Input { x: x.view(), rows: rows.view() })?.y;
/// assert_eq!(y, array![[[5.0, 6.0], [1.0, 2.0]]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IndexSelect {
    /// The axis of the example, counted from the end if negative; default the first.
    pub axis: i64,
}

impl Operation for IndexSelect {
    const NAME: &'static str = "index_select";
    const CALL: Option<Signature> = Some(Signature::of(&["x", "index"]).with(&[Attribute {
        name: "axis",
        kind: AttributeKind::Axis,
        default: Some("0"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<IndexSelect, Mistake> {
        Ok(IndexSelect { axis: attributes.axis("axis").unwrap_or(0) })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        super::elementwise::require_real(Self::NAME, 0, x[0])?;
        let axis = bounded_axis(Self::NAME, self.axis, x, facts)?;
        let [count] = &x[1].ty.shape.dims[..] else {
            let message = format!(
                "`index_select` takes integers on one axis, but `{}` has shape {}",
                x[1].name, x[1].ty.shape
            );
            return Err(Mistake::operand(1, message));
        };
        let mut shape = x[0].ty.shape.clone();
        shape.dims[axis] = count.clone();
        shape.batched |= x[1].ty.shape.batched;
        Ok(Type::real(shape))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let axis = self.resolved(at.operands[0]);
        let is_batched = at.ty.shape.batched;
        let of_x = usize::from(is_batched && !at.operands[0].shape.batched);
        let Value::Index(index) = x[1] else { unreachable!("the shape function has checked it") };
        let elements = ndarray::indices(at.sizes()).into_iter().map(|place| {
            let place: Vec<usize> = ndarray::Dimension::slice(&place).to_vec();
            let count = place[axis + usize::from(is_batched)];
            let named = match index.ndim() {
                1 => index[&[count][..]],
                _ => index[&[place[0], count][..]],
            };
            let mut source = place[of_x..].to_vec();
            source[axis + usize::from(at.operands[0].shape.batched)] = named as usize;
            x[0].array()[&source[..]]
        });
        Value::real(&at.sizes(), elements.collect())
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        if !at.requested[0] {
            return vec![None; 2];
        }
        let [x, index] = [at.x[0], at.x[1]];
        let axis = self.resolved(g.ty(x));
        let dx = match is_table(g, x, axis) {
            true => {
                let shape = g.shape(x).clone();
                let rows = rows(g, at.dy);
                let table = g.scatter_add(rows, index);
                g.reshape(table, &shape)
            }
            false => {
                let index = spread(g, index, x, axis);
                untake(g, at.dy, index, x, axis)
            }
        };
        vec![Some(dx), None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let [x, index] = [x[0], x[1]];
            let axis = self.resolved(g.ty(x));
            if !is_table(g, x, axis) {
                let index = spread(g, index, x, axis);
                return take(g, x, index, axis);
            }
            let mut shape = g.shape(x).clone();
            let table = rows(g, x);
            let y = g.gather(table, index);
            shape.dims[0] = g.shape(index).dims[0].clone();
            shape.batched = g.shape(index).batched;
            g.reshape(y, &shape)
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let cases: [(i64, &[usize], usize, bool); 6] = [
            (0, &[size], 2, true),
            (0, &[size, 3], size, true),
            (1, &[2, size, 3], 4, true),
            (-1, &[3, size], 5, false),
            (0, &[size, 2, 3], 3, false),
            (0, &[3], size, false),
        ];
        cases
            .into_iter()
            .map(|(axis, dims, count, batched)| {
                let shape = Shape { batched, dims: dims.iter().map(|n| (*n).into()).collect() };
                let x = Type::real(shape);
                let bound = dims[IndexSelect { axis }.resolved(&x)];
                let index = Type::index(bound, Shape::batched([count]));
                let operands =
                    [Operand::new(x, Domain::Normal(1.0)), Operand::new(index, Domain::Indices)];
                Sample::new(IndexSelect { axis }, operands).summing(40 * bound.max(count))
            })
            .collect()
    }
}

impl IndexSelect {
    /// The axis of a checked operand.
    fn resolved(&self, ty: &Type) -> usize {
        resolve_axis(self.axis, Argument { name: "", ty })
            .expect("the shape function has checked it")
    }
}

/// Whether rows are read from a table.
fn is_table(g: &Graph, x: NodeId, axis: usize) -> bool {
    axis == 0 && !g.shape(x).batched
}

/// The first axis, and all others as one.
fn rows(g: &mut Graph, x: NodeId) -> NodeId {
    let mut shape = g.shape(x).clone();
    let columns: usize = shape.sizes()[1..].iter().product();
    shape.dims.truncate(1);
    shape.dims.push(columns.into());
    g.reshape(x, &shape)
}

/// The integers repeated along the other axes of `x`.
fn spread(g: &mut Graph, index: NodeId, x: NodeId, axis: usize) -> NodeId {
    let count = g.shape(index).dims[0].clone();
    let mut shape = g.shape(x).clone();
    shape.batched = g.shape(index).batched;
    shape.dims.iter_mut().for_each(|size| *size = 1.into());
    shape.dims[axis] = count.clone();
    let index = g.reshape(index, &shape);
    shape.dims = g.shape(x).dims.clone();
    shape.dims[axis] = count;
    g.broadcast(index, &shape)
}
