//! The operation [`OneHot`].

use super::compare_position::ComparePosition;
use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature, gather,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, DType, Dim, Facts, Shape, Type};

/// For each integer a vector of reals, 1 at the integer's index, else 0: a new last axis. Without
/// gradient.
///
/// Its size is the bound of the integers, or a larger number of classes.
///
/// In the language: `one_hot(index, num_classes = inferred)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input kind: class(3);
///         output y = one_hot(kind);
///     }
/// }
///
/// let kind = array![2, 0];
/// let y = Example::model().build()?.predict(example::Input { kind: kind.view() })?.y;
/// assert_eq!(y, array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OneHot {
    /// The number of classes; default the bound of the integers.
    pub num_classes: Option<usize>,
}

impl OneHot {
    fn classes(&self, name: &str, index: Argument<'_>, facts: &mut Facts) -> Result<Dim, Mistake> {
        let below = gather::bound(name, 0, index)?;
        let Some(classes) = self.num_classes else { return Ok(below.clone()) };
        let mistake = || {
            let message = format!(
                "`{}` holds integers below {below}, but there are {classes} classes",
                index.name
            );
            Mistake::attribute("num_classes", message)
        };
        match below.fixed() {
            Some(below) if below <= classes => Ok(classes.into()),
            Some(_) => Err(mistake()),
            None => {
                facts.same(below, &classes.into(), mistake)?;
                Ok(classes.into())
            }
        }
    }
}

impl Operation for OneHot {
    const NAME: &'static str = "one_hot";
    const CALL: Option<Signature> = Some(Signature::of(&["index"]).with(&[Attribute {
        name: "num_classes",
        kind: AttributeKind::Integer,
        default: Some("inferred"),
    }]));

    fn from_call(attributes: &Attributes) -> Result<OneHot, Mistake> {
        Ok(OneHot { num_classes: attributes.integer("num_classes") })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let classes = self.classes(Self::NAME, x[0], facts)?;
        let Shape { batched, mut dims } = x[0].ty.shape.clone();
        dims.push(classes);
        Ok(Type::real(Shape { batched, dims }))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let sizes = at.sizes();
        let classes = sizes[sizes.len() - 1];
        let mut elements = vec![T::zero(); sizes.iter().product()];
        for (i, index) in x[0].indices().iter().enumerate() {
            elements[i * classes + *index as usize] = T::one();
        }
        Value::real(&sizes, elements)
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| {
            let mut shape = g.shape(x[0]).clone();
            shape.dims.push(1.into());
            let column = g.reshape(x[0], &shape);
            let below = match &g.ty(x[0]).dtype {
                DType::Index { below } => below.clone(),
                DType::Real => 1.into(),
            };
            let classes = self.num_classes.map_or(below, Dim::from);
            let last = shape.rank() - 1;
            shape.dims[last] = classes;
            let indices = g.broadcast(column, &shape);
            g.apply(ComparePosition::Equal, &[indices])
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        [(vec![], None), (vec![3], Some(size + 2)), (vec![2, size], None)]
            .map(|(dims, num_classes): (Vec<usize>, _)| {
                let ty = Type::index(size, Shape::batched(dims));
                Sample::new(OneHot { num_classes }, [Operand::new(ty, Domain::Indices)])
            })
            .to_vec()
    }
}
