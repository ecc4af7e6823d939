//! Elementwise operations: each element of the result depends on the operands' elements at the same
//! index.

use super::{
    Attributes, Domain, Finiteness, Linearity, Lowering, Operand, Operation, Reverse, Sample,
    Signature,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// An elementwise operation, defined by its formula for one element; shape, loops and samples are
/// shared.
pub trait Elementwise: Clone + PartialEq + Eq + std::hash::Hash + std::fmt::Debug {
    /// See [`Operation::NAME`].
    const NAME: &'static str;
    /// See [`Operation::CALL`].
    const CALL: Option<Signature> = None;
    /// See [`Operation::OPERANDS`].
    const OPERANDS: Option<usize> = super::operands(&Self::CALL);
    /// Whether operands are broadcast. Losses refuse it, since broadcasting hides mistakes there.
    const BROADCASTS: bool = true;

    /// See [`Operation::from_call`].
    fn from_call(_: &Attributes) -> Result<Self, Mistake> {
        Err(super::internal(Self::NAME))
    }

    /// The formula of the interpreter.
    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[T]) -> T;

    /// See [`Operation::gradient`].
    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>>;

    /// See [`Operation::departs`], for one element.
    #[cfg(feature = "eval")]
    fn departs(&self, _: &[f64]) -> bool {
        false
    }

    /// See [`Operation::chosen_by`].
    fn chosen_by(&self, _: usize) -> Option<(usize, bool)> {
        None
    }

    /// The formula of machine code.
    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr;

    /// See [`Operation::linearity`].
    fn linearity(&self) -> Linearity {
        Linearity::Unknown
    }

    /// See [`Operation::finiteness`].
    fn finiteness(&self) -> Finiteness {
        Finiteness::UNKNOWN
    }

    /// Test cases of attributes.
    fn variants() -> Vec<Self>;

    /// The domain of each operand, for tests.
    fn domains(&self) -> Vec<Domain>;
}

impl<E: Elementwise> Operation for E
where
    super::Op: From<E>,
{
    const NAME: &'static str = E::NAME;
    const CALL: Option<Signature> = E::CALL;
    const OPERANDS: Option<usize> = E::OPERANDS;
    const BROADCASTS: bool = E::BROADCASTS;
    const IS_POINTWISE: bool = true;

    fn from_call(attributes: &Attributes) -> Result<Self, Mistake> {
        E::from_call(attributes)
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        shape(Self::NAME, x, facts)
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], _: &Evaluation<'_>) -> Value<T> {
        let mut elements = Vec::with_capacity(x[0].reals().len());
        for_each(x, |x| elements.push(T::all_branches(|| E::eval(self, x))));
        Value::real(x[0].sizes(), elements)
    }

    #[cfg(feature = "eval")]
    fn departs(&self, x: &[&Value<f64>]) -> bool {
        let mut departs = false;
        for_each(x, |x| departs |= E::departs(self, x));
        departs
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        E::gradient(self, g, at)
    }

    fn chosen_by(&self, operand: usize) -> Option<(usize, bool)> {
        E::chosen_by(self, operand)
    }

    fn linearity(&self) -> Linearity {
        E::linearity(self)
    }

    fn finiteness(&self) -> Finiteness {
        E::finiteness(self)
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Elementwise(Box::new(|e, x| self.expression(e, x)))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let shapes =
            [Shape::batched([size]), Shape::unbatched([3, size]), Shape::batched([2usize, size])];
        Self::variants()
            .into_iter()
            .zip(shapes.into_iter().cycle())
            .map(|(op, shape)| {
                let domains = op.domains();
                let ty = Type::real(shape);
                Sample::new(op, domains.into_iter().map(|d| Operand::new(ty.clone(), d)))
            })
            .collect()
    }
}

/// Calls a function with the operands' elements at each index.
#[cfg(feature = "eval")]
fn for_each<T: Real>(x: &[&Value<T>], mut f: impl FnMut(&[T])) {
    let columns: Vec<&[T]> = x.iter().map(|v| v.reals()).collect();
    let mut row = vec![T::zero(); x.len()];
    for i in 0..columns[0].len() {
        for (r, column) in row.iter_mut().zip(&columns) {
            *r = column[i];
        }
        f(&row);
    }
}

/// The type of an elementwise result from reals of one shape; batched if an operand is.
pub(in crate::ops) fn shape(
    name: &str,
    x: &[Argument<'_>],
    facts: &mut Facts,
) -> Result<Type, Mistake> {
    for (i, a) in x.iter().enumerate() {
        require_real(name, i, *a)?;
    }
    let first = x[0];
    let mut shape = first.ty.shape.clone();
    for (i, other) in x.iter().enumerate().skip(1) {
        same_shape(name, first, *other, i, facts)?;
        shape.batched |= other.ty.shape.batched;
    }
    Ok(Type::real(shape))
}

/// Requires an operand of reals.
pub(in crate::ops) fn require_real(name: &str, i: usize, x: Argument<'_>) -> Result<(), Mistake> {
    if x.ty.is_real() {
        return Ok(());
    }
    Err(Mistake::operand(i, format!("`{name}` takes reals, but `{}` holds {}", x.name, x.ty)))
}

/// Requires two operands of one shape. Operands that broadcast have been broadcast before.
fn same_shape(
    name: &str,
    a: Argument<'_>,
    b: Argument<'_>,
    i: usize,
    facts: &mut Facts,
) -> Result<(), Mistake> {
    let (s, t) = (&a.ty.shape, &b.ty.shape);
    let mistake = || {
        Mistake::operand(
            i,
            format!(
                "`{name}` compares values of one shape, but `{}` is {s} and `{}` is {t}",
                a.name, b.name
            ),
        )
    };
    if s.rank() != t.rank() {
        return Err(mistake());
    }
    for (x, y) in s.dims.iter().zip(&t.dims) {
        facts.same(x, y, mistake)?;
    }
    Ok(())
}
