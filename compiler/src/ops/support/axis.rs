//! Shared code of operations over an axis: `sum`, `mean`, `amax`, `softmax`.

use super::reduce::{Axis, Reduction};
use super::{Attribute, AttributeKind, Attributes, Domain, Op, Operand, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Shape, Type, resolve_axis};

/// The axes of a reduction; default all axes of the example.
pub(in crate::ops) const REDUCED: Attribute =
    Attribute { name: "axis", kind: AttributeKind::Axes, default: Some("all") };

/// The axes of a reduction; default the last.
pub(in crate::ops) const REDUCED_LAST: Attribute =
    Attribute { name: "axis", kind: AttributeKind::Axes, default: Some("-1") };

/// Whether reduced axes remain, with size 1.
pub(in crate::ops) const KEEPDIM: Attribute =
    Attribute { name: "keepdim", kind: AttributeKind::Flag, default: Some("false") };

/// The axis along which an operation maps lanes; default the last.
pub(in crate::ops) const LANES: Attribute =
    Attribute { name: "axis", kind: AttributeKind::Axis, default: Some("-1") };

/// The value of [`LANES`].
pub(in crate::ops) fn lanes(attributes: &Attributes) -> i64 {
    attributes.axis("axis").unwrap_or(-1)
}

/// The axes of a reduction, and whether they remain.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Reduced {
    /// The axes of the example, in any order, counted from the end if negative; `None` for all.
    pub axes: Option<Vec<i64>>,
    /// Whether they remain, with size 1; default false.
    pub keepdim: bool,
}

impl Reduced {
    /// One axis, or all; removed.
    pub fn one(axis: Option<i64>) -> Reduced {
        Reduced { axes: axis.map(|axis| vec![axis]), keepdim: false }
    }

    /// The values of [`REDUCED`] and [`KEEPDIM`].
    pub(in crate::ops) fn of(attributes: &Attributes) -> Reduced {
        Reduced {
            axes: attributes.axes("axis"),
            keepdim: attributes.flag("keepdim").unwrap_or(false),
        }
    }

    /// The values of [`REDUCED_LAST`] and [`KEEPDIM`].
    pub(in crate::ops) fn of_last(attributes: &Attributes) -> Reduced {
        let reduced = Reduced::of(attributes);
        Reduced { axes: reduced.axes.or(Some(vec![-1])), ..reduced }
    }

    /// The axes as indices, ascending.
    fn resolved(&self, name: &str, x: Argument<'_>) -> Result<Vec<usize>, Mistake> {
        let Some(axes) = &self.axes else { return Ok((0..x.ty.shape.rank()).collect()) };
        if axes.is_empty() {
            let message =
                format!("`{name}` needs at least one axis: leave `axis` out to name its default");
            return Err(Mistake::attribute("axis", message));
        }
        let mut resolved: Vec<usize> = Vec::new();
        for axis in axes {
            let index = resolve_axis(*axis, x)?;
            if let Some(before) = resolved.iter().position(|other| *other == index) {
                let same = match axes[before] == *axis {
                    true => format!("axis {axis} of `{}` is named twice", x.name),
                    false => format!(
                        "axes {} and {axis} of `{}` of shape {} are the same",
                        axes[before], x.name, x.ty.shape
                    ),
                };
                let message = format!("{same}: `{name}` takes each once");
                return Err(Mistake::attribute("axis", message));
            }
            resolved.push(index);
        }
        resolved.sort_unstable();
        Ok(resolved)
    }

    /// The type of the reduced value.
    pub(in crate::ops) fn shape(&self, name: &str, x: Argument<'_>) -> Result<Type, Mistake> {
        super::elementwise::require_real(name, 0, x)?;
        let mut shape = x.ty.shape.clone();
        for axis in self.resolved(name, x)?.into_iter().rev() {
            match self.keepdim {
                true => shape.dims[axis] = 1.into(),
                false => _ = shape.dims.remove(axis),
            }
        }
        Ok(Type::real(shape))
    }

    /// The axes of a checked operand as indices, ascending.
    pub(in crate::ops) fn axes(&self, ty: &Type) -> Vec<usize> {
        let axes = self.resolved("", Argument { name: "", ty });
        axes.expect("the shape function has checked it")
    }

    /// The operand's shape with size 1 for the reduced axes, whether they remain or not.
    pub(in crate::ops) fn kept(&self, ty: &Type) -> Shape {
        self.axes(ty).into_iter().fold(ty.shape.clone(), |shape, axis| shape.with(axis, 1))
    }

    /// The number of elements that are reduced to one result.
    pub(in crate::ops) fn count(&self, ty: &Type) -> usize {
        self.axes(ty).into_iter().map(|a| ty.shape.sizes()[a]).product()
    }

    /// The shape of the result for a checked operand.
    pub(in crate::ops) fn result(&self, ty: &Type) -> Shape {
        let ty = self.shape("", Argument { name: "", ty });
        ty.expect("the shape function has checked it").shape
    }

    /// The axes of an array, those that remain first.
    #[cfg(feature = "eval")]
    fn order(&self, rank: usize, at: &Evaluation<'_>) -> Vec<usize> {
        let axes = self.axes(at.operands[0]).into_iter().map(|axis| at.array_axis(0, axis));
        let axes: Vec<usize> = axes.collect();
        let kept = (0..rank).filter(|axis| !axes.contains(axis));
        kept.chain(axes.iter().copied()).collect()
    }

    /// The elements that are reduced to each result, for the interpreter.
    #[cfg(feature = "eval")]
    pub(in crate::ops) fn lanes<T: Real>(&self, x: &Value<T>, at: &Evaluation<'_>) -> Vec<Vec<T>> {
        let array = x.array();
        let order = self.order(array.ndim(), at);
        let elements: Vec<T> = array.view().permuted_axes(order).iter().copied().collect();
        elements.chunks_exact(self.count(at.operands[0])).map(<[T]>::to_vec).collect()
    }

    /// Reduces the elements of each result, for the interpreter.
    #[cfg(feature = "eval")]
    pub(in crate::ops) fn evaluate<T: Real>(
        &self,
        x: &Value<T>,
        at: &Evaluation<'_>,
        reduce: impl Fn(&mut dyn Iterator<Item = &T>) -> T,
    ) -> Value<T> {
        let lanes = self.lanes(x, at);
        Value::real(&at.sizes(), lanes.iter().map(|lane| reduce(&mut lane.iter())).collect())
    }

    /// Maps the elements along the axes, for the interpreter.
    #[cfg(feature = "eval")]
    pub(in crate::ops) fn map<T: Real>(
        &self,
        x: &Value<T>,
        at: &Evaluation<'_>,
        map: impl Fn(&[T]) -> Vec<T>,
    ) -> Value<T> {
        let mut array = x.array().clone();
        let order = self.order(array.ndim(), at);
        let mapped = self.lanes(x, at).into_iter().flat_map(|lane| map(&lane));
        let places = array.view_mut().permuted_axes(order);
        places.into_iter().zip(mapped).for_each(|(place, x)| *place = x);
        Value::Real(array)
    }

    /// A reduction as reductions of single axes, the last axis first.
    pub(in crate::ops) fn decompose(
        &self,
        reduction: Reduction,
        g: &mut Graph,
        x: NodeId,
    ) -> NodeId {
        let ty = g.ty(x).clone();
        let mut y = x;
        for axis in self.axes(&ty).into_iter().rev() {
            y = g.reduce(reduction, Axis::Example(axis), y);
        }
        g.reshape(y, &self.result(&ty))
    }

    /// The gradient of the maximum or minimum, divided evenly among equal extrema.
    pub(in crate::ops) fn extreme_gradient(
        &self,
        g: &mut Graph,
        at: &Reverse<'_>,
    ) -> Vec<Option<NodeId>> {
        let x = at.x[0];
        let kept = self.kept(g.ty(x));
        let (y, dy) = (g.reshape(at.y, &kept), g.reshape(at.dy, &kept));
        let is_extreme = g.equal(x, y);
        let count = g.sum_to(is_extreme, &kept);
        let share = g.div(dy, count);
        vec![Some(g.mul(is_extreme, share))]
    }
}

/// The type of a value whose lanes along an axis are mapped: unchanged, if the axis exists.
pub(in crate::ops) fn unchanged(name: &str, axis: i64, x: Argument<'_>) -> Result<Type, Mistake> {
    Reduced::one(Some(axis)).shape(name, x).map(|_| x.ty.clone())
}

/// The axis as an index, of a checked operand.
pub(in crate::ops) fn resolve(axis: i64, ty: &Type) -> usize {
    resolve_axis(axis, Argument { name: "", ty }).expect("the shape function has checked it")
}

/// Maps each lane along an axis, for the interpreter.
#[cfg(feature = "eval")]
pub(in crate::ops) fn map_lanes<T: Real>(
    axis: i64,
    x: &Value<T>,
    at: &Evaluation<'_>,
    map: impl Fn(&[T]) -> Vec<T>,
) -> Value<T> {
    let axis = at.array_axis(0, resolve(axis, at.operands[0]));
    let mut array = x.array().clone();
    for mut lane in array.lanes_mut(ndarray::Axis(axis)) {
        let mapped = map(&lane.to_vec());
        lane.assign(&ndarray::ArrayView1::from(&mapped));
    }
    Value::Real(array)
}

/// Samples over each axis of some shapes, over several, and over all; with and without them in the
/// result.
pub(in crate::ops) fn samples<O: Into<Op>>(
    size: usize,
    domain: Domain,
    op: impl Fn(Reduced) -> O,
) -> Vec<Sample> {
    /// Axes, sizes of the operand, `keepdim`.
    type Case = (Option<&'static [i64]>, Vec<usize>, bool);
    let cases: [Case; 10] = [
        (Some(&[-1]), vec![size], false),
        (Some(&[0]), vec![size, 3], false),
        (Some(&[1]), vec![2, size, 3], false),
        (None, vec![3, size], false),
        (None, vec![], false),
        (Some(&[-1]), vec![2, size], true),
        (Some(&[0, 2]), vec![2, size, 3], false),
        (Some(&[-1, 0]), vec![3, 2, size], true),
        (Some(&[1, 2]), vec![size, 3, 2], true),
        (None, vec![2, size], true),
    ];
    cases
        .into_iter()
        .map(|(axes, dims, keepdim)| {
            let ty = Type::real(Shape::batched(dims));
            let reduced = Reduced { axes: axes.map(<[i64]>::to_vec), keepdim };
            Sample::new(op(reduced), [Operand::new(ty, domain)]).summing(6 * size)
        })
        .collect()
}

/// Samples along each axis of some shapes, with numbers whose exponentials vary widely.
pub(in crate::ops) fn samples_along<O: Into<Op>>(
    size: usize,
    op: impl Fn(i64) -> O,
) -> Vec<Sample> {
    let cases: [(i64, &[usize]); 4] =
        [(-1, &[size]), (0, &[size, 3]), (1, &[2, size, 3]), (-1, &[3, size])];
    cases
        .into_iter()
        .map(|(axis, dims)| {
            let ty = Type::real(Shape::batched(dims.iter().copied()));
            let x = Operand::new(ty, Domain::Normal(3.0));
            Sample::new(op(axis), [x]).summing(3 * size)
        })
        .collect()
}
