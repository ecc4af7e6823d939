//! Sizes, shapes and types of values.
//!
//! A shape is that of *one example*; a flag states whether a value has one for every
//! example of the batch. So axes are counted from the example's
//! first, the batch axis has no number, and a parameter is simply a value
//! that is not batched.
//!
//! The same functions run inside `network!`, where a size may be a constant
//! whose value the macro cannot evaluate ([`Dim::Symbol`]), and in the graph, where
//! every size is a number. Undecided comparisons become a [`Fact`],
//! which the macro turns into a constant assertion.

use std::fmt;
use std::sync::Arc;

use crate::error::Mistake;

/// The largest number of elements of a value, all examples of a batch included: 256 GiB of
/// reals. A larger value is a mistake, and up to this size no count of
/// elements, bytes or multiply-adds overflows.
pub const MOST_ELEMENTS: usize = 1 << 36;

/// The size of one axis.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dim {
    /// A number.
    Fixed(usize),
    /// A Rust expression of type `usize` whose value is unknown to the macro.
    Symbol(Arc<str>),
}

impl Dim {
    /// A symbol for a Rust expression.
    pub fn symbol(expression: &str) -> Dim {
        Dim::Symbol(expression.into())
    }

    /// The number, if it is one.
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Dim::Fixed(n) => Some(*n),
            Dim::Symbol(_) => None,
        }
    }

    fn is_one(&self) -> bool {
        *self == Dim::Fixed(1)
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Dim {
        Dim::Fixed(n)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => n.fmt(f),
            Dim::Symbol(s) => s.fmt(f),
        }
    }
}

/// The shape of a value: one example's dimensions, and whether every example of the batch has
/// its own.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    /// Whether there is one for every example of the batch.
    pub batched: bool,
    /// The example's dimensions; none for a single number.
    pub dims: Vec<Dim>,
}

impl Shape {
    /// A value with one element of this shape for every example.
    pub fn batched(dims: impl IntoIterator<Item = impl Into<Dim>>) -> Shape {
        Shape { batched: true, dims: dims.into_iter().map(Into::into).collect() }
    }

    /// A value that does not depend on the example.
    pub fn unbatched(dims: impl IntoIterator<Item = impl Into<Dim>>) -> Shape {
        Shape { batched: false, dims: dims.into_iter().map(Into::into).collect() }
    }

    /// A single number, the same for all examples.
    pub fn scalar() -> Shape {
        Shape::default()
    }

    /// Number of example axes.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The example's sizes as numbers.
    ///
    /// # Panics
    /// On a symbol: graphs are built from numbers alone, which
    /// [`Graph::verify`](crate::graph::Graph::verify) checks.
    pub fn sizes(&self) -> Vec<usize> {
        self.dims
            .iter()
            .map(|d| d.fixed().expect("a graph that is compiled has no symbolic sizes"))
            .collect()
    }

    /// All sizes, the batch first if it is batched.
    pub fn full_sizes(&self, batch: usize) -> Vec<usize> {
        let mut sizes = self.sizes();
        if self.batched {
            sizes.insert(0, batch);
        }
        sizes
    }

    /// Requires that an example has no more elements than
    /// [`MOST_ELEMENTS`], where sizes are numbers.
    pub fn check_count(&self) -> Result<(), Mistake> {
        let mut numbers = self.dims.iter().filter_map(Dim::fixed);
        match numbers.try_fold(1usize, usize::checked_mul).is_some_and(|n| n <= MOST_ELEMENTS) {
            true => Ok(()),
            false => Err(Mistake::call(format!(
                "a value of shape {self} has too many elements: at most 2³⁶ are possible"
            ))),
        }
    }

    /// The number of reals in it.
    pub fn count(&self, batch: usize) -> usize {
        self.full_sizes(batch).iter().product()
    }

    /// The same example shape with axis `axis` of size `size`.
    pub fn with(&self, axis: usize, size: impl Into<Dim>) -> Shape {
        let mut shape = self.clone();
        shape.dims[axis] = size.into();
        shape
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.dims.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            d.fmt(f)?;
        }
        f.write_str("]")
    }
}

/// The type of a value's elements.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DType {
    /// 32-bit floating point.
    Real,
    /// Unsigned 32-bit integers below a bound: class indices.
    Index {
        /// The bound.
        below: Dim,
    },
}

/// Element type and shape of a value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Type {
    /// The type of its elements.
    pub dtype: DType,
    /// Its shape.
    pub shape: Shape,
}

impl Type {
    /// Reals of this shape.
    pub fn real(shape: Shape) -> Type {
        Type { dtype: DType::Real, shape }
    }

    /// Integers below `below` of this shape.
    pub fn index(below: impl Into<Dim>, shape: Shape) -> Type {
        Type { dtype: DType::Index { below: below.into() }, shape }
    }

    /// A class index for each example: an integer below `count`.
    pub fn class(count: impl Into<Dim>) -> Type {
        Type::index(count, Shape { batched: true, dims: Vec::new() })
    }

    /// Whether its elements are reals.
    pub fn is_real(&self) -> bool {
        self.dtype == DType::Real
    }
}

/// Reals of this shape for each example.
impl<D: Into<Dim>, const N: usize> From<[D; N]> for Type {
    fn from(sizes: [D; N]) -> Type {
        Type::real(Shape::batched(sizes))
    }
}

/// Reals of this shape for each example.
impl From<&[usize]> for Type {
    fn from(sizes: &[usize]) -> Type {
        Type::real(Shape::batched(sizes.iter().copied()))
    }
}

/// Reals of this shape for each example.
impl From<Vec<usize>> for Type {
    fn from(sizes: Vec<usize>) -> Type {
        Type::real(Shape::batched(sizes))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.dtype {
            DType::Real => write!(f, "reals of shape {}", self.shape),
            DType::Index { below } if self.shape.rank() == 0 => {
                write!(f, "integers below {below}")
            }
            DType::Index { below } => {
                write!(f, "integers below {below} of shape {}", self.shape)
            }
        }
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.dtype {
            DType::Real => write!(f, "f32 {:?}", self.shape),
            DType::Index { below } => write!(f, "u32 below {below} {:?}", self.shape),
        }
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{self}", if self.batched { "batch×" } else { "" })
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An operand of a shape function.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a> {
    /// Its source text, for messages.
    pub name: &'a str,
    /// Its type.
    pub ty: &'a Type,
}

/// Two counts that must be equal, at least one of which has a symbol.
#[derive(Clone, Debug)]
pub struct Fact {
    /// One count.
    pub left: SizeProduct,
    /// The other.
    pub right: SizeProduct,
    /// The mistake if they differ.
    pub mistake: Mistake,
}

/// Collects the comparisons that shape functions cannot decide.
#[derive(Debug, Default)]
pub struct Facts {
    /// In the order of the checks.
    pub undecided: Vec<Fact>,
}

impl Facts {
    /// Requires two sizes to be equal; otherwise returns `mistake`.
    pub fn same(
        &mut self,
        a: &Dim,
        b: &Dim,
        mistake: impl FnOnce() -> Mistake,
    ) -> Result<(), Mistake> {
        self.same_count(std::slice::from_ref(a), std::slice::from_ref(b), mistake)
    }

    /// Requires two products of sizes to be equal.
    pub fn same_count(
        &mut self,
        a: &[Dim],
        b: &[Dim],
        mistake: impl FnOnce() -> Mistake,
    ) -> Result<(), Mistake> {
        let (mut left, mut right) = (SizeProduct::of(a), SizeProduct::of(b));
        left.cancel(&mut right);
        if left == right {
            Ok(())
        } else if left.symbols.is_empty() && right.symbols.is_empty() {
            Err(mistake())
        } else {
            self.undecided.push(Fact { left, right, mistake: mistake() });
            Ok(())
        }
    }

    /// The shape that two shapes broadcast to, or `None` where they do not:
    /// axes are matched from the last, and a size of one broadcasts. A symbol
    /// is assumed not to be one.
    pub fn broadcast(
        &mut self,
        a: &Shape,
        b: &Shape,
        mistake: impl Fn() -> Mistake,
    ) -> Result<Shape, Mistake> {
        let rank = a.rank().max(b.rank());
        let at = |s: &Shape, i: usize| (i + s.rank()).checked_sub(rank).map(|j| s.dims[j].clone());
        let mut dims = Vec::with_capacity(rank);
        for i in 0..rank {
            dims.push(match (at(a, i), at(b, i)) {
                (Some(x), Some(y)) if x.is_one() => y,
                (Some(x), Some(y)) => {
                    if !y.is_one() {
                        self.same(&x, &y, &mistake)?;
                    }
                    x
                }
                (Some(d), None) | (None, Some(d)) => d,
                (None, None) => unreachable!("the rank is one of theirs"),
            });
        }
        Ok(Shape { batched: a.batched || b.batched, dims })
    }
}

/// A product of sizes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SizeProduct {
    /// The product of the sizes that are numbers.
    pub number: usize,
    /// The others, sorted.
    pub symbols: Vec<Arc<str>>,
}

impl SizeProduct {
    fn of(dims: &[Dim]) -> SizeProduct {
        let mut number = 1usize;
        let mut symbols = Vec::new();
        for d in dims {
            match d {
                Dim::Fixed(n) => number = number.saturating_mul(*n),
                Dim::Symbol(s) => symbols.push(s.clone()),
            }
        }
        symbols.sort();
        SizeProduct { number, symbols }
    }

    /// Removes common symbols from both.
    fn cancel(&mut self, other: &mut SizeProduct) {
        self.symbols.retain(|s| {
            let found = other.symbols.iter().position(|o| o == s);
            if let Some(i) = found {
                other.symbols.remove(i);
            }
            found.is_none()
        });
    }
}

impl fmt::Display for SizeProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.symbols.is_empty() {
            return write!(f, "{}", self.number);
        }
        if self.number != 1 {
            write!(f, "{} * ", self.number)?;
        }
        for (i, s) in self.symbols.iter().enumerate() {
            if i > 0 {
                f.write_str(" * ")?;
            }
            if s.chars().all(|c| c.is_alphanumeric() || c == '_') {
                f.write_str(s)?;
            } else {
                write!(f, "({s})")?;
            }
        }
        Ok(())
    }
}

/// Resolves an axis that may count from the end, as in `axis = -1`.
pub fn resolve_axis(axis: i64, x: Argument<'_>) -> Result<usize, Mistake> {
    let rank = x.ty.shape.rank() as i64;
    let resolved = if axis < 0 { axis + rank } else { axis };
    if (0..rank).contains(&resolved) {
        return Ok(resolved as usize);
    }
    Err(Mistake::attribute(
        "axis",
        match rank {
            0 => format!("`{}` is a single number and has no axis {axis}", x.name),
            1 => format!("`{}` has one axis, 0, and no axis {axis}", x.name),
            _ => format!(
                "`{}` of shape {} has axes 0 to {}, and no axis {axis}",
                x.name,
                x.ty.shape,
                rank - 1
            ),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broadcast(a: Shape, b: Shape) -> Option<String> {
        let mut facts = Facts::default();
        let shape = facts.broadcast(&a, &b, || Mistake::call("no")).ok()?;
        let facts: Vec<_> =
            facts.undecided.iter().map(|f| format!("{} == {}", f.left, f.right)).collect();
        Some(format!("{}{shape} {}", if shape.batched { "batch " } else { "" }, facts.join(", ")))
    }

    #[test]
    fn shapes_broadcast_from_the_last_axis() {
        let n = || Dim::symbol("N");
        assert_eq!(
            broadcast(Shape::batched([4]), Shape::unbatched([3, 1])).unwrap(),
            "batch [3, 4] "
        );
        assert_eq!(broadcast(Shape::batched([4]), Shape::unbatched([3])), None);
        assert_eq!(
            broadcast(Shape::unbatched([n()]), Shape::unbatched([3])).unwrap(),
            "[N] N == 3"
        );
        assert_eq!(broadcast(Shape::unbatched([n()]), Shape::unbatched([n()])).unwrap(), "[N] ");
    }

    #[test]
    fn counts_are_compared_with_common_symbols_cancelled() {
        let mut facts = Facts::default();
        let (n, m) = (Dim::symbol("N"), Dim::symbol("A + 1"));
        let wrong = || Mistake::call("no");
        assert!(facts.same_count(&[n.clone(), 2.into()], &[2.into(), n.clone()], wrong).is_ok());
        assert!(facts.same_count(&[n.clone(), 2.into()], &[3.into(), n.clone()], wrong).is_err());
        assert!(facts.undecided.is_empty());
        assert!(facts.same_count(&[n, 2.into()], &[m, 3.into()], wrong).is_ok());
        assert_eq!(facts.undecided[0].left.to_string(), "2 * N");
        assert_eq!(facts.undecided[0].right.to_string(), "3 * (A + 1)");
    }
}
