//! Operations: what a node of the graph computes.
//!
//! An operation is one file, in a fixed order: its call in the language, its
//! **shape**, its **eval** on plain arrays (the interpreter's, never the
//! lowering, or the second opinion would repeat the first one's mistakes), its
//! **gradient** as nodes, its **lowering**, and **samples** for the tests. A
//! line in the registry below makes it a variant of [`Op`], findable by name
//! and tested with [`ALL`]; a missing part does not compile. Operations that
//! only the compiler makes leave out the call.
//!
//! Operations that work element by element implement [`Elementwise`] instead,
//! and share everything but the formula.

mod axis;
mod class_weights;
mod classes;
mod elementwise;
mod notation;
mod residual;
mod rows;
mod samples;
mod signature;

use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};
use crate::text::ParseError;
use notation::notation;

pub(crate) use notation::Call;

pub use elementwise::Elementwise;
pub use samples::{Domain, Operand, Sample};
pub use signature::{Attribute, AttributeKind, AttributeValue, Attributes, Signature};

/// What an operation is made of.
pub trait Operation: Clone + PartialEq + Eq + std::hash::Hash + std::fmt::Debug {
    /// Its name, in the language and in every printout.
    const NAME: &'static str;

    /// How it is called in the language; `None` if only the compiler makes it.
    const CALL: Option<Signature> = None;

    /// How many operands it has: as many as its call, unless set. `None` for any number, at least
    /// one.
    const OPERANDS: Option<usize> = operands(&Self::CALL);

    /// Whether operands are broadcast to one shape before it sees them.
    const BROADCASTS: bool = false;

    /// The operation that a call with these attributes means. Attributes have
    /// been checked against [`Self::CALL`]; who has that has this.
    fn from_call(_: &Attributes) -> Result<Self, Mistake> {
        Err(internal(Self::NAME))
    }

    /// The type of its result. Pure: used by the macro, by the graph's builder
    /// and by the verifier.
    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake>;

    /// Its value, by the plainest formula.
    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T>;

    /// The gradient with respect to each operand, `None` where it is zero or
    /// the operand holds whole numbers.
    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>>;

    /// What each of its results counts for where `loss` or `metric` takes their mean, in the
    /// results' shape: the mean is then the sum of the results over the sum of these. `None`
    /// where each counts for 1.
    fn weights(&self, _: &mut Graph, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    /// What it becomes on the way to machine code.
    fn lower(&self) -> Lowering<'_>;

    /// Operands to try it on, with sizes around `size`.
    fn samples(size: usize) -> Vec<Sample>;
}

/// How many operands a call has; an operation that only the compiler makes has none, unless it
/// says so.
const fn operands(call: &Option<Signature>) -> Option<usize> {
    Some(match call {
        Some(call) => call.operands.len(),
        None => 0,
    })
}

/// A node whose gradient is known and is to be handed on to its operands.
pub struct Reverse<'a> {
    /// The operands.
    pub x: &'a [NodeId],
    /// The result.
    pub y: NodeId,
    /// The gradient with respect to the result, of its shape.
    pub dy: NodeId,
    /// For each operand, whether its gradient is asked for.
    pub wanted: &'a [bool],
}

/// How an operation is computed by machine code.
pub enum Lowering<'a> {
    /// It is given from outside: an input, a parameter, a setting.
    Leaf,
    /// A number.
    Constant(f32),
    /// Numbers that are known before anything runs, and lie in memory from then on.
    Numbers(&'a [Number]),
    /// A formula for each element, from the elements in the same place.
    Elementwise(Formula<'a>),
    /// The number of each element, counted row-major through the whole value,
    /// the batch first.
    Positions,
    /// The same elements, found elsewhere.
    View,
    /// One axis reduced to size one.
    Reduction(reduce::Reduction, reduce::Axis),
    /// A sum of products.
    Contraction(&'a contract::Contract),
    /// Rows of the first operand, where the second says.
    Gather,
    /// Rows of the first operand added up, where the second says.
    Scatter,
    /// Whether all elements of all operands are finite.
    AllFinite,
    /// Other operations.
    Composite(Expansion<'a>),
}

/// A formula on the operands' elements.
pub type Formula<'a> = Box<dyn Fn(&mut Expressions, &[Expr]) -> Expr + 'a>;

/// Other operations on the operands.
pub type Expansion<'a> = Box<dyn Fn(&mut Graph, &[NodeId]) -> NodeId + 'a>;

/// A float that compares and hashes by its bits, for operations' attributes.
#[derive(Clone, Copy)]
pub struct Number(pub f32);

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl std::fmt::Debug for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// An operation's line in the registry, as data.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its call in the language.
    pub call: Option<&'static Signature>,
    /// Whether its operands are broadcast to one shape.
    pub broadcasts: bool,
    /// The operation that a call with attributes means.
    pub from_call: fn(&Attributes) -> Result<Op, Mistake>,
    /// See [`Operation::samples`].
    pub samples: fn(usize) -> Vec<Sample>,
    /// The operation from the attributes of its text.
    pub(crate) read: fn(&mut Call<'_, '_>) -> Result<Op, ParseError>,
}

macro_rules! operations {
    ($(
        $module:ident :: $Variant:ident
        $({ $($fields:tt)* })? $(($($tuple:tt)*))? $([$($whole:tt)*])?
    ),* $(,)?) => {
        $(pub mod $module;)*

        $(notation!(
            $module::$Variant $({ $($fields)* })? $(($($tuple)*))? $([$($whole)*])?
        );)*

        /// Every operation there is.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Op {
            $(#[doc = concat!("See [`", stringify!($module), "`].")] $Variant($module::$Variant),)*
        }

        $(impl From<$module::$Variant> for Op {
            fn from(op: $module::$Variant) -> Op {
                Op::$Variant(op)
            }
        })*

        /// The registry, in its order.
        pub const ALL: &[Entry] = &[$(Entry {
            name: <$module::$Variant as Operation>::NAME,
            call: const { &<$module::$Variant as Operation>::CALL }.as_ref(),
            broadcasts: <$module::$Variant as Operation>::BROADCASTS,
            from_call: |a| <$module::$Variant as Operation>::from_call(a).map(Op::from),
            samples: <$module::$Variant as Operation>::samples,
            read: |call| <$module::$Variant as notation::Notation>::read_all(call).map(Op::from),
        }),*];

        impl Op {
            /// Its name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Op::$Variant(_) => <$module::$Variant as Operation>::NAME,)*
                }
            }

            /// Its attributes, as its text has them.
            fn write_attributes(&self, call: &mut notation::Writer) {
                match self {
                    $(Op::$Variant(op) => notation::Notation::write_all(op, call),)*
                }
            }

            /// See [`Operation::OPERANDS`].
            pub fn takes(&self, operands: usize) -> bool {
                let takes = match self {
                    $(Op::$Variant(_) => <$module::$Variant as Operation>::OPERANDS,)*
                };
                takes.map_or(operands > 0, |takes| takes == operands)
            }

            /// See [`Operation::BROADCASTS`].
            pub fn broadcasts(&self) -> bool {
                match self {
                    $(Op::$Variant(_) => <$module::$Variant as Operation>::BROADCASTS,)*
                }
            }

            /// See [`Operation::shape`].
            pub fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
                match self {
                    $(Op::$Variant(op) => Operation::shape(op, x, facts),)*
                }
            }

            /// See [`Operation::eval`].
            #[cfg(feature = "eval")]
            pub fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
                match self {
                    $(Op::$Variant(op) => Operation::eval(op, x, at),)*
                }
            }

            /// See [`Operation::gradient`].
            pub fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
                match self {
                    $(Op::$Variant(op) => Operation::gradient(op, g, at),)*
                }
            }

            /// See [`Operation::weights`].
            pub fn weights(&self, g: &mut Graph, x: &[NodeId]) -> Option<NodeId> {
                match self {
                    $(Op::$Variant(op) => Operation::weights(op, g, x),)*
                }
            }

            /// See [`Operation::lower`].
            pub fn lower(&self) -> Lowering<'_> {
                match self {
                    $(Op::$Variant(op) => Operation::lower(op),)*
                }
            }
        }
    };
}

// With the attributes that their text has; see `notation`.
operations! {
    // Leaves.
    input::Input { index: unnamed, ty: result },
    parameter::Parameter { index: unnamed, shape: result },
    setting::StepScalar { name: unnamed, is_whole },
    constant::Constant(value),
    vector::Vector { elements: unnamed },
    positions::Positions { shape: result },
    // One of several, before anything is compiled.
    choose::Switch { by },
    // Arithmetic.
    add::Add,
    sub::Sub,
    mul::Mul,
    div::Div,
    neg::Neg,
    maximum::Maximum,
    minimum::Minimum,
    // Functions of one value.
    relu::Relu,
    sigmoid::Sigmoid,
    tanh::Tanh,
    exp::Exp,
    log::Log,
    sqrt::Sqrt,
    square::Square,
    abs::Abs,
    pow::Pow { exponent },
    erf::Erf,
    sin::Sin,
    cos::Cos,
    expm1::Expm1,
    reciprocal::Reciprocal,
    rsqrt::Rsqrt,
    clamp::Clamp { min, max },
    // Activations.
    elu::Elu { alpha },
    selu::Selu,
    gelu::Gelu { approximate },
    silu::Silu,
    mish::Mish,
    softplus::Softplus { beta, threshold },
    softsign::Softsign,
    leaky_relu::LeakyRelu { negative_slope },
    prelu::Prelu,
    hardtanh::Hardtanh { min, max },
    hardsigmoid::Hardsigmoid,
    logsigmoid::LogSigmoid,
    step::Heaviside,
    // Drawn.
    random::Random { stream },
    // Comparisons, as 1.0 and 0.0.
    compare::Compare(comparison),
    compare_position::ComparePosition[comparison],
    is_class::IsClass { class },
    select::Select,
    // The same elements, arranged otherwise.
    broadcast::Broadcast { shape: result },
    reshape::Reshape { dims: result },
    transpose::Transpose { axes },
    materialize::Materialize { batch_last },
    // Rows by index.
    embedding::Embedding,
    gather::Gather,
    scatter_add::ScatterAdd,
    // Over an axis.
    reduce::Reduce { reduction: unnamed, axis },
    sum::Sum { axis },
    mean::Mean { over },
    amax::Amax { axis },
    amin::Amin { axis },
    var::Var { axis, unbiased },
    std_dev::Std(var),
    softmax::Softmax { axis },
    log_softmax::LogSoftmax { axis },
    logsumexp::LogSumExp { axis },
    standardize::Standardize { eps },
    layer_norm::LayerNorm { eps },
    batch_mean::BatchMean { unbiased },
    // Whether a step may be kept.
    all_finite::AllFinite { direct },
    // Products.
    matmul::MatMul,
    contract::Contract { shared, contracted, over_batch },
    // Losses and metrics, per element or per example.
    cross_entropy::CrossEntropy { counting, label_smoothing = Number(0.0) },
    nll_loss::NllLoss { counting },
    mse_loss::MseLoss,
    l1_loss::L1Loss,
    smooth_l1_loss::SmoothL1Loss { beta },
    huber_loss::HuberLoss { delta },
    kl_div::KlDiv,
    hinge_loss::HingeLoss,
    hinge_embedding_loss::HingeEmbeddingLoss { margin },
    multi_margin_loss::MultiMarginLoss { is_squared, margin },
    cosine_embedding_loss::CosineEmbeddingLoss { margin },
    poisson_nll_loss::PoissonNllLoss { log_input, full, eps },
    gaussian_nll_loss::GaussianNllLoss { full, eps },
    binary_cross_entropy::BinaryCrossEntropy,
    binary_cross_entropy_with_logits::BinaryCrossEntropyWithLogits { pos_weight },
    accuracy::Accuracy { ignore_index },
    top_k_accuracy::TopKAccuracy { k, ignore_index },
}

/// The operation of the language with this name, or with this other name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|e| e.call.is_some_and(|c| e.name == name || c.alias == Some(name)))
}

/// The names of all operations of the language.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().filter(|e| e.call.is_some_and(|c| !c.operator)).map(|e| e.name)
}

/// The answer to a call of an operation that only the compiler makes.
fn internal(name: &str) -> Mistake {
    Mistake::call(format!("`{name}` is not a function of the language"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both have defaults, so that nothing else sees that one is missing.
    #[test]
    fn who_can_be_called_says_what_a_call_means() {
        for entry in ALL {
            let answer = (entry.from_call)(&Attributes::new());
            let is_internal = answer == Err(internal(entry.name));
            assert_eq!(is_internal, entry.call.is_none(), "{}", entry.name);
        }
    }
}
