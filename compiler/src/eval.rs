//! Values of the interpreter: plain arrays of f32 or f64, and the context in which operations
//! evaluate them.

pub mod bounded;

use ndarray::{ArrayD, ArrayView2, IxDyn};

use crate::shape::Type;

/// The real type that the interpreter computes with: f32, f64, or values with a bound on their
/// error, [`Bounded`](bounded::Bounded).
pub trait Real: num_traits::Float + ndarray::LinalgScalar + std::fmt::Debug + Send + Sync {
    /// From the compiler's precision.
    fn of(x: f32) -> Self;
    /// From a number of the language.
    fn of_f64(x: f64) -> Self;
    /// To the widest precision.
    fn wide(self) -> f64;
    /// The error function.
    fn erf(self) -> Self;
    /// The complementary error function.
    fn erfc(self) -> Self;
    /// The nearest integer; of two, the even one.
    fn round_even(self) -> Self;

    /// The sum of some terms, added in f64 and rounded at the end. Machine code adds them in chains
    /// of `leaf` terms, or of 1,024 if that is more.
    fn sum_of(terms: impl Iterator<Item = Self>, _leaf: usize) -> Self {
        Self::of_f64(terms.map(Real::wide).sum())
    }

    /// The largest of some numbers; NaN if one of them is.
    fn largest_of(terms: impl Iterator<Item = Self>) -> Self {
        terms.fold(Self::neg_infinity(), |m, x| match m.is_nan() || m >= x {
            true => m,
            false => x,
        })
    }

    /// A product of matrices, its sums in f64; row-major.
    fn product_of(a: &ArrayView2<'_, Self>, b: &ArrayView2<'_, Self>) -> Vec<Self> {
        let [a, b] = [a, b].map(|x| x.mapv(Real::wide));
        a.dot(&b).into_iter().map(Self::of_f64).collect()
    }

    /// The result of a formula, for all outcomes of comparisons that errors leave open.
    fn all_branches(formula: impl Fn() -> Self) -> Self {
        formula()
    }
}

/// Sums in f64, rounded at the end, so that a long
/// sum in f32 is as exact as a short one.
pub trait Total<T: Real>: Iterator<Item = T> + Sized {
    /// The sum of all.
    fn total(self) -> T {
        T::sum_of(self, 0)
    }
}

impl<T: Real, I: Iterator<Item = T>> Total<T> for I {}

/// A product of matrices, its sums in f64.
pub fn dot<T: Real>(a: &ArrayView2<'_, T>, b: &ArrayView2<'_, T>) -> Vec<T> {
    T::product_of(a, b)
}

impl Real for f32 {
    fn of(x: f32) -> f32 {
        x
    }
    fn of_f64(x: f64) -> f32 {
        x as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn erf(self) -> f32 {
        libm::erff(self)
    }
    fn erfc(self) -> f32 {
        libm::erfcf(self)
    }
    fn round_even(self) -> f32 {
        self.round_ties_even()
    }
}

impl Real for f64 {
    fn of(x: f32) -> f64 {
        f64::from(x)
    }
    fn of_f64(x: f64) -> f64 {
        x
    }
    fn wide(self) -> f64 {
        self
    }
    fn erf(self) -> f64 {
        libm::erf(self)
    }
    fn erfc(self) -> f64 {
        libm::erfc(self)
    }
    fn round_even(self) -> f64 {
        self.round_ties_even()
    }
}

/// An array in row-major order; batched values have the batch as first axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<T> {
    /// Reals.
    Real(ArrayD<T>),
    /// Integers.
    Index(ArrayD<u32>),
}

impl<T: Real> Value<T> {
    /// Reals of these sizes.
    pub fn real(sizes: &[usize], elements: Vec<T>) -> Value<T> {
        Value::Real(array(sizes, elements))
    }

    /// Integers of these sizes.
    pub fn index(sizes: &[usize], elements: Vec<u32>) -> Value<T> {
        Value::Index(array(sizes, elements))
    }

    /// Its sizes.
    pub fn sizes(&self) -> &[usize] {
        match self {
            Value::Real(a) => a.shape(),
            Value::Index(a) => a.shape(),
        }
    }

    /// Its array of reals.
    ///
    /// # Panics
    /// If it holds integers; types have been checked before.
    pub fn array(&self) -> &ArrayD<T> {
        match self {
            Value::Real(a) => a,
            Value::Index(_) => unreachable!("types are checked when the graph is built"),
        }
    }

    /// Its reals, row-major.
    pub fn reals(&self) -> &[T] {
        self.array().as_slice().expect("values are row-major")
    }

    /// Its integers, row-major.
    ///
    /// # Panics
    /// If it holds reals; types have been checked before.
    pub fn indices(&self) -> &[u32] {
        match self {
            Value::Index(a) => a.as_slice().expect("values are row-major"),
            Value::Real(_) => unreachable!("types are checked when the graph is built"),
        }
    }
}

fn array<A>(sizes: &[usize], elements: Vec<A>) -> ArrayD<A> {
    ArrayD::from_shape_vec(IxDyn(sizes), elements).expect("as many elements as the sizes say")
}

/// The context of an operation's evaluation.
pub struct Evaluation<'a> {
    /// The type of the result.
    pub ty: &'a Type,
    /// The operands' types.
    pub operands: &'a [&'a Type],
    /// The number of examples of a batched value.
    pub batch: usize,
}

impl Evaluation<'_> {
    /// The sizes of the result.
    pub fn sizes(&self) -> Vec<usize> {
        self.ty.shape.full_sizes(self.batch)
    }

    /// The array axis of axis `axis` of one example.
    pub fn array_axis(&self, operand: usize, axis: usize) -> usize {
        axis + usize::from(self.operands[operand].shape.batched)
    }
}
