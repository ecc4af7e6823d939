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
//! and share everything but the formula; leaves implement `LeafOperation`.
//!
//! What a pass must know of an operation is its [`Lowering`], or a fact of
//! [`Operation`] with a default: outside of here, only the rewrites of
//! [`simplify`](crate::simplify), which are about certain operations, name any.

mod facts;
mod lowering;
mod notation;
mod support {
    //! What operations share.

    use super::*;

    pub(in crate::ops) mod axis;
    pub(in crate::ops) mod class_weights;
    pub(in crate::ops) mod classes;
    pub(in crate::ops) mod elementwise;
    pub(in crate::ops) mod leaf;
    pub(in crate::ops) mod residual;
    pub(in crate::ops) mod rows;
    pub(in crate::ops) mod samples;
    pub(in crate::ops) mod signature;
}

use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Type};
#[cfg(any(test, feature = "eval"))]
use crate::text::ParseError;
use notation::notation;

#[cfg(any(test, feature = "eval"))]
pub(crate) use notation::Call;

use support::{axis, class_weights, classes, elementwise, leaf, residual, rows};

pub use elementwise::Elementwise;
pub use facts::{Finiteness, Linearity, MemoryOrder, Shows, Sign};
pub use lowering::{Expansion, Formula, Leaf, Lowering, View};
pub use support::samples::{Domain, Operand, Sample};
pub use support::signature::{Attribute, AttributeKind, AttributeValue, Attributes, Signature};

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

    /// Whether each element of the result follows from the operands' elements in the same place: then
    /// an operand that is the same for all examples is repeated for each.
    const IS_POINTWISE: bool = false;

    /// Whether it is a mean in which all elements count alike, whatever their
    /// [weights](Self::weights) are.
    const COUNTS_ALIKE: bool = false;

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
    /// the operand holds integers.
    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>>;

    /// What each of its results counts for where `loss` or `metric` takes their mean, in the
    /// results' shape: the mean is then the sum of the results over the sum of these. `None`
    /// where each counts for 1.
    fn weights(&self, _: &mut Graph, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    /// Why [`Self::weights`] are not 1, for messages: the end of a sentence that begins with its
    /// name.
    fn weights_reason(&self) -> &'static str {
        "weighs its results"
    }

    /// The metric that a network has without being asked, where this is its loss: an operation on the
    /// same operands, of these types.
    fn metric(&self, _: &[&Type]) -> Option<Op> {
        None
    }

    /// The fewest examples that it can be trained on at once, for operands of these types.
    fn least_batch(&self, _: &[&Type]) -> usize {
        1
    }

    /// Multiply-adds that it takes for one example, by the types of operands and result. What is not a
    /// product has none.
    fn multiply_adds(&self, _: &[&Type], _: &Type) -> usize {
        0
    }

    /// See [`Linearity`].
    fn linearity(&self) -> Linearity {
        Linearity::Unknown
    }

    /// See [`Finiteness`].
    fn finiteness(&self) -> Finiteness {
        Finiteness::UNKNOWN
    }

    /// In which order its elements must lie in memory of their own; `None` where they need none, or
    /// where the compiler may choose.
    fn memory_order(&self) -> Option<MemoryOrder> {
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
    #[cfg(any(test, feature = "eval"))]
    pub(crate) read: fn(&mut Call<'_, '_>) -> Result<Op, ParseError>,
}

macro_rules! operations {
    ($($about:literal $room:ident {
        $(
            $(#[$when:meta])* $module:ident :: $Variant:ident
            $({ $($fields:tt)* })? $(($($tuple:tt)*))? $([$($whole:tt)*])?
        ),* $(,)?
    })*) => {
        $(
            #[doc = $about]
            pub mod $room {
                // What operations name by `super` is the same in every room.
                use super::*;

                $($(#[$when])* pub mod $module;)*
            }

            $($(#[$when])* pub use $room::$module;)*
        )*

        $($($(#[$when])* notation!(
            $module::$Variant $({ $($fields)* })? $(($($tuple)*))? $([$($whole)*])?
        );)*)*

        /// Every operation there is.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Op {
            $($(
                #[doc = concat!("See [`", stringify!($module), "`].")]
                $(#[$when])*
                $Variant($module::$Variant),
            )*)*
        }

        $($($(#[$when])* impl From<$module::$Variant> for Op {
            fn from(op: $module::$Variant) -> Op {
                Op::$Variant(op)
            }
        })*)*

        /// The registry, in its order.
        pub const ALL: &[Entry] = &[$($($(#[$when])* Entry {
            name: <$module::$Variant as Operation>::NAME,
            call: const { &<$module::$Variant as Operation>::CALL }.as_ref(),
            broadcasts: <$module::$Variant as Operation>::BROADCASTS,
            from_call: |a| <$module::$Variant as Operation>::from_call(a).map(Op::from),
            samples: <$module::$Variant as Operation>::samples,
            #[cfg(any(test, feature = "eval"))]
            read: |call| <$module::$Variant as notation::Notation>::read_all(call).map(Op::from),
        },)*)*];

        impl Op {
            /// Its name.
            pub fn name(&self) -> &'static str {
                match self {
                    $($($(#[$when])* Op::$Variant(_) => <$module::$Variant as Operation>::NAME,)*)*
                }
            }

            /// Its attributes, as its text has them.
            fn write_attributes(&self, call: &mut notation::Writer) {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => notation::Notation::write_all(op, call),)*)*
                }
            }

            /// See [`Operation::OPERANDS`].
            pub fn takes(&self, operands: usize) -> bool {
                let takes = match self {
                    $($($(#[$when])* Op::$Variant(_) => <$module::$Variant as Operation>::OPERANDS,)*)*
                };
                takes.map_or(operands > 0, |takes| takes == operands)
            }

            /// See [`Operation::BROADCASTS`].
            pub fn broadcasts(&self) -> bool {
                match self {
                    $($($(#[$when])* Op::$Variant(_) => <$module::$Variant as Operation>::BROADCASTS,)*)*
                }
            }

            /// See [`Operation::IS_POINTWISE`].
            pub fn is_pointwise(&self) -> bool {
                match self {
                    $($($(#[$when])* Op::$Variant(_) => <$module::$Variant as Operation>::IS_POINTWISE,)*)*
                }
            }

            /// See [`Operation::COUNTS_ALIKE`].
            pub fn counts_alike(&self) -> bool {
                match self {
                    $($($(#[$when])* Op::$Variant(_) => <$module::$Variant as Operation>::COUNTS_ALIKE,)*)*
                }
            }

            /// See [`Operation::shape`].
            pub fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::shape(op, x, facts),)*)*
                }
            }

            /// See [`Operation::eval`].
            #[cfg(feature = "eval")]
            pub fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::eval(op, x, at),)*)*
                }
            }

            /// See [`Operation::gradient`].
            pub fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::gradient(op, g, at),)*)*
                }
            }

            /// See [`Operation::weights`].
            pub fn weights(&self, g: &mut Graph, x: &[NodeId]) -> Option<NodeId> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::weights(op, g, x),)*)*
                }
            }

            /// See [`Operation::weights_reason`].
            pub fn weights_reason(&self) -> &'static str {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::weights_reason(op),)*)*
                }
            }

            /// See [`Operation::metric`].
            pub fn metric(&self, x: &[&Type]) -> Option<Op> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::metric(op, x),)*)*
                }
            }

            /// See [`Operation::least_batch`].
            pub fn least_batch(&self, x: &[&Type]) -> usize {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::least_batch(op, x),)*)*
                }
            }

            /// See [`Operation::multiply_adds`].
            pub fn multiply_adds(&self, x: &[&Type], y: &Type) -> usize {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::multiply_adds(op, x, y),)*)*
                }
            }

            /// See [`Operation::linearity`].
            pub fn linearity(&self) -> Linearity {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::linearity(op),)*)*
                }
            }

            /// See [`Operation::finiteness`].
            pub fn finiteness(&self) -> Finiteness {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::finiteness(op),)*)*
                }
            }

            /// See [`Operation::memory_order`].
            pub fn memory_order(&self) -> Option<MemoryOrder> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::memory_order(op),)*)*
                }
            }

            /// See [`Operation::lower`].
            pub fn lower(&self) -> Lowering<'_> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::lower(op),)*)*
                }
            }
        }
    };
}

// With the attributes that their text has; see `notation`.
operations! {
    "Without operands: given from outside, or known before anything runs."
    leaves {
        input::Input { index: unnamed, ty: result },
        parameter::Parameter { index: unnamed, shape: result },
        step_scalar::StepScalar { name: unnamed, is_integer },
        constant::Constant(value),
        vector::Vector { elements: unnamed },
        iota::Iota { shape: result },
    }
    "Element by element: arithmetic, functions of one value, numbers drawn at random."
    arithmetic {
        add::Add,
        sub::Sub,
        mul::Mul,
        div::Div,
        neg::Neg,
        maximum::Maximum,
        minimum::Minimum,
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
        random::Random { stream },
        // For tests of passes.
        #[cfg(test)]
        ramp::Ramp,
    }
    "Element by element: what layers do to their features."
    activations {
        relu::Relu,
        sigmoid::Sigmoid,
        tanh::Tanh,
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
        heaviside::Heaviside,
    }
    "Comparisons, as 1.0 and 0.0, and what chooses between values."
    conditions {
        switch::Switch { by },
        compare::Compare(comparison),
        compare_position::ComparePosition[comparison],
        is_class::IsClass { class },
        select::Select,
    }
    "The same elements, arranged otherwise."
    views {
        broadcast::Broadcast { shape: result },
        reshape::Reshape { dims: result },
        transpose::Transpose { axes },
        materialize::Materialize { batch_last },
    }
    "Rows by index."
    indexing {
        embedding::Embedding,
        gather::Gather,
        scatter_add::ScatterAdd,
    }
    "Over an axis."
    reductions {
        reduce::Reduce { reduction: unnamed, axis },
        sum::Sum { axis },
        mean::Mean { over },
        amax::Amax { axis },
        amin::Amin { axis },
        var::Var { axis, unbiased },
        std_dev::Std(var),
        logsumexp::LogSumExp { axis },
        softmax::Softmax { axis },
        log_softmax::LogSoftmax { axis },
        standardize::Standardize { eps },
        layer_norm::LayerNorm { eps },
        batch_mean::BatchMean { unbiased },
        all_finite::AllFinite { direct },
    }
    "Sums of products."
    products {
        matmul::MatMul,
        contract::Contract { shared, contracted, over_batch },
    }
    "Losses and metrics, per element or per example."
    losses {
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

    /// Whose formula goes element by element takes operands of its result's shape.
    #[test]
    fn elementwise_operations_are_pointwise() {
        let samples = ALL.iter().flat_map(|entry| (entry.samples)(5));
        for Sample { op, .. } in samples {
            let is_elementwise = matches!(op.lower(), Lowering::Elementwise(_));
            assert!(!is_elementwise || op.is_pointwise(), "{}", op.name());
        }
    }
}
