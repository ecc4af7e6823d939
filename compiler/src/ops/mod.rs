//! Operations of the graph's nodes, and their registry.
//!
//! An operation is one file, in a fixed order: its call in the language, its **shape**, its **eval**
//! on arrays (for the interpreter, independent of the lowering, so that the two check each other),
//! its **gradient** as nodes, its **lowering**, and **samples** for the tests. A line in the registry
//! below makes it a variant of [`Op`], found by name and tested with [`ALL`]; an operation with a
//! missing method does not compile. Operations that are internal to the compiler have no call.
//!
//! Elementwise operations implement [`Elementwise`] instead, and share everything but the formula;
//! leaves implement `LeafOperation`.
//!
//! Passes query an operation's [`Lowering`] and the properties in [`Operation`]. Outside of this
//! module, only the rewrites of [`simplify`](crate::simplify) name specific operations.

mod facts;
mod lowering;
mod notation;
mod support {
    //! Code shared by operations.

    use super::*;

    pub(in crate::ops) mod axis;
    pub(in crate::ops) mod batch;
    pub(in crate::ops) mod class_weights;
    pub(in crate::ops) mod classes;
    pub(in crate::ops) mod elementwise;
    pub(in crate::ops) mod extremes;
    pub(in crate::ops) mod leaf;
    pub(in crate::ops) mod residual;
    pub(in crate::ops) mod rows;
    pub(in crate::ops) mod samples;
    pub(in crate::ops) mod signature;
    pub(in crate::ops) mod through;
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

use support::{
    axis, batch, class_weights, classes, elementwise, extremes, leaf, residual, rows, through,
};

pub use elementwise::Elementwise;
pub use facts::{Finiteness, Linearity, MemoryOrder, Propagation, Sign};
pub use lowering::{Expansion, Formula, Leaf, Lowering, View};
pub use support::axis::Reduced;
pub use support::samples::{Domain, Operand, Sample};
pub use support::signature::{
    Attribute, AttributeKind, AttributeValue, Attributes, Order, Signature,
};

/// The definition of an operation.
pub trait Operation: Clone + PartialEq + Eq + std::hash::Hash + std::fmt::Debug {
    /// Its name, in the language and in every printout.
    const NAME: &'static str;

    /// Its signature in the language; `None` if it is internal to the compiler.
    const CALL: Option<Signature> = None;

    /// The number of operands; default that of its call. `None` for any number, at least one.
    const OPERANDS: Option<usize> = operands(&Self::CALL);

    /// Whether operands are broadcast to one shape before it is applied.
    const BROADCASTS: bool = false;

    /// Whether each element of the result depends only on the operands' elements at the same index: an
    /// operand without a batch axis is then repeated for each example.
    const IS_POINTWISE: bool = false;

    /// Whether it is a mean over all elements that ignores their [weights](Self::weights).
    const IGNORES_WEIGHTS: bool = false;

    /// The operation of a call with these attributes, which are checked against [`Self::CALL`].
    /// Operations with a call implement it.
    fn from_call(_: &Attributes) -> Result<Self, Mistake> {
        Err(internal(Self::NAME))
    }

    /// The type of its result. Used by the macro, by the graph's builder and by the verifier.
    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake>;

    /// The operations of a call, one for each of its values: itself, unless the call has several.
    fn values(&self, _: &[Argument<'_>]) -> Result<Vec<Op>, Mistake>
    where
        Op: From<Self>,
    {
        Ok(vec![Op::from(self.clone())])
    }

    /// Its value for the interpreter, by the simplest formula.
    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T>;

    /// The gradient with respect to each operand, `None` if it is zero or the operand holds integers.
    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>>;

    /// Whether [`Self::gradient`] departs from the derivative at these operands, as PyTorch's does where
    /// it clamps: differences of the loss say nothing about it there.
    #[cfg(feature = "eval")]
    fn departs(&self, _: &[&Value<f64>]) -> bool {
        false
    }

    /// The operand that is the condition by which elements of `operand` are the result's, and whether
    /// they are where it is true, not 0, or where it is false: elsewhere its gradient is 0, and so are
    /// those of the element-wise functions that it is a result of, whatever their slopes.
    fn chosen_by(&self, _operand: usize) -> Option<(usize, bool)> {
        None
    }

    /// The weight of each of its results in the mean of a `loss` or `metric`, in the results' shape: the
    /// mean is the sum of the results over the sum of the weights. `None` for 1.
    fn weights(&self, _: &mut Graph, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    /// Why [`Self::weights`] are not 1, for messages: the predicate of a sentence about it.
    fn weights_reason(&self) -> &'static str {
        "weights its results"
    }

    /// The default metric of a network with this loss: an operation on the same operands, of these
    /// types.
    fn metric(&self, _: &[&Type]) -> Option<Op> {
        None
    }

    /// The smallest batch that it can be trained on, for operands of these types.
    fn least_batch(&self, _: &[&Type]) -> usize {
        1
    }

    /// The number of multiply-adds for one example, by the types of operands and result: 0 if it is not
    /// a product.
    fn multiply_adds(&self, _: &[&Type], _: &Type) -> usize {
        0
    }

    /// Whether its result depends on all examples of a batch, where no prediction should: outputs do not
    /// depend on it.
    fn meets(&self) -> bool {
        false
    }

    /// See [`Linearity`].
    fn linearity(&self) -> Linearity {
        Linearity::Unknown
    }

    /// See [`Finiteness`].
    fn finiteness(&self) -> Finiteness {
        Finiteness::UNKNOWN
    }

    /// The required order of its elements in a buffer; `None` if it needs no buffer or the compiler may
    /// choose.
    fn memory_order(&self) -> Option<MemoryOrder> {
        None
    }

    /// Its lowering; see [`Lowering`].
    fn lower(&self) -> Lowering<'_>;

    /// Test cases with sizes around `size`.
    fn samples(size: usize) -> Vec<Sample>;
}

/// The number of operands of a call; 0 for an internal operation.
const fn operands(call: &Option<Signature>) -> Option<usize> {
    Some(match call {
        Some(call) => call.operands.len(),
        None => 0,
    })
}

/// A node in reverse-mode differentiation: its gradient is known, those of its operands are
/// requested.
pub struct Reverse<'a> {
    /// The operands.
    pub x: &'a [NodeId],
    /// The result.
    pub y: NodeId,
    /// The gradient with respect to the result, of its shape.
    pub dy: NodeId,
    /// For each operand, whether its gradient is requested.
    pub requested: &'a [bool],
}

/// A float with equality and hash by its bits, for attributes of operations.
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
    /// See [`Operation::from_call`].
    pub from_call: fn(&Attributes) -> Result<Op, Mistake>,
    /// See [`Operation::samples`].
    pub samples: fn(usize) -> Vec<Sample>,
    /// Parses the operation's attributes.
    #[cfg(any(test, feature = "eval"))]
    pub(crate) read: fn(&mut Call<'_, '_>) -> Result<Op, ParseError>,
}

macro_rules! operations {
    ($($about:literal $room:ident {
        $(
            $(#[$when:meta])* $module:ident :: $Variant:ident
            $({ $($fields:tt)* })? $(($($tuple:tt)*))? $([$($value:tt)*])?
        ),* $(,)?
    })*) => {
        $(
            #[doc = $about]
            pub mod $room {
                // Makes `super` in the files of operations refer to the same names.
                use super::*;

                $($(#[$when])* pub mod $module;)*
            }

            $($(#[$when])* pub use $room::$module;)*
        )*

        $($($(#[$when])* notation!(
            $module::$Variant $({ $($fields)* })? $(($($tuple)*))? $([$($value)*])?
        );)*)*

        /// All operations.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Op {
            $($(
                #[doc = concat!("See [`", stringify!($module), "`](mod@", stringify!($module), ").")]
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

            /// Writes its attributes to a graph's text.
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

            /// See [`Operation::IGNORES_WEIGHTS`].
            pub fn ignores_weights(&self) -> bool {
                match self {
                    $($($(#[$when])* Op::$Variant(_) => <$module::$Variant as Operation>::IGNORES_WEIGHTS,)*)*
                }
            }

            /// See [`Operation::shape`].
            pub fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::shape(op, x, facts),)*)*
                }
            }

            /// See [`Operation::values`].
            pub fn values(&self, x: &[Argument<'_>]) -> Result<Vec<Op>, Mistake> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::values(op, x),)*)*
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

            /// See [`Operation::departs`].
            #[cfg(feature = "eval")]
            pub fn departs(&self, x: &[&Value<f64>]) -> bool {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::departs(op, x),)*)*
                }
            }

            /// See [`Operation::chosen_by`].
            pub fn chosen_by(&self, operand: usize) -> Option<(usize, bool)> {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::chosen_by(op, operand),)*)*
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

            /// See [`Operation::meets`].
            pub fn meets(&self) -> bool {
                match self {
                    $($($(#[$when])* Op::$Variant(op) => Operation::meets(op),)*)*
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

// Each with its attributes in a graph's text; see `notation`.
operations! {
    "Operations without operands: inputs and constants."
    leaves {
        input::Input { index: unnamed, ty: result },
        parameter::Parameter { index: unnamed, shape: result },
        step_scalar::StepScalar { name: unnamed, is_integer },
        constant::Constant(value),
        vector::Vector { elements: unnamed },
        iota::Iota { shape: result },
    }
    "Elementwise arithmetic, mathematical functions and random numbers."
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
        erfc::Erfc,
        sin::Sin,
        cos::Cos,
        expm1::Expm1,
        reciprocal::Reciprocal,
        rsqrt::Rsqrt,
        clamp::Clamp { min, max },
        sign::Sign,
        floor::Floor,
        ceil::Ceil,
        round::Round,
        trunc::Trunc,
        frac::Frac,
        exp2::Exp2,
        log2::Log2,
        log10::Log10,
        log1p::Log1p,
        tan::Tan,
        asin::Asin,
        acos::Acos,
        atan::Atan,
        atan2::Atan2,
        sinh::Sinh,
        cosh::Cosh,
        asinh::Asinh,
        acosh::Acosh,
        atanh::Atanh,
        sinc::Sinc,
        logit::Logit { eps },
        hypot::Hypot,
        logaddexp::LogAddExp,
        lerp::Lerp,
        addcmul::Addcmul { value },
        addcdiv::Addcdiv { value },
        remainder::Remainder,
        fmod::Fmod,
        floor_divide::FloorDivide,
        random::Random { stream },
        // For tests of passes.
        #[cfg(test)]
        ramp::Ramp,
    }
    "Elementwise activation functions."
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
        relu6::Relu6,
        hardswish::Hardswish,
        celu::Celu { alpha },
        softshrink::Softshrink { lambd },
        hardshrink::Hardshrink { lambd },
        tanhshrink::Tanhshrink,
        threshold::Threshold { threshold, value },
    }
    "Comparisons, as 1.0 and 0.0, and selections."
    conditions {
        greater::Greater,
        greater_equal::GreaterEqual,
        less::Less,
        less_equal::LessEqual,
        equal::Equal,
        not_equal::NotEqual,
        logical_and::LogicalAnd,
        logical_or::LogicalOr,
        logical_xor::LogicalXor,
        logical_not::LogicalNot,
        isnan::IsNan,
        isinf::IsInf,
        isfinite::IsFinite,
        conditional::Where,
        masked_fill::MaskedFill { value },
        switch::Switch { by },
        compare::Compare(comparison),
        compare_position::ComparePosition[comparison],
        is_class::IsClass { class },
        select::Select,
    }
    "Views: the same elements in another arrangement."
    views {
        broadcast::Broadcast { shape: result },
        reshape::Reshape { dims: result },
        transpose::Transpose { axes },
        slice::Slice { axis, start, stop, step = 1 },
        concat::Concat { axis },
        stack::Stack { axis },
        split::Split { sizes, axis, part },
        chunk::Chunk { chunks, axis, part },
        pad::Pad { axis, before, after, value, mode },
        flip::Flip { axis },
        roll::Roll { shift, axis },
        repeat::Repeat { times, axis },
        repeat_interleave::RepeatInterleave { times, axis },
        flatten::Flatten { from, to },
        squeeze::Squeeze { axes },
        unsqueeze::Unsqueeze { axis },
        materialize::Materialize { batch_last },
    }
    "Gathering and scattering of rows by index."
    indexing {
        embedding::Embedding,
        one_hot::OneHot { num_classes },
        take_along_axis::TakeAlongAxis { axis },
        index_select::IndexSelect { axis },
        gather::Gather,
        scatter_add::ScatterAdd,
    }
    "Reductions and normalisations over an axis."
    reductions {
        reduce::Reduce { reduction: unnamed, axis },
        sum::Sum { over },
        mean::Mean { over },
        amax::Amax { over },
        amin::Amin { over },
        argmax::ArgMax { axis },
        argmin::ArgMin { axis },
        var::Var { over, unbiased },
        std_dev::Std(var),
        logsumexp::LogSumExp { over },
        softmax::Softmax { axis },
        log_softmax::LogSoftmax { axis },
        standardize::Standardize { eps },
        layer_norm::LayerNorm { eps },
        prod::Prod { over },
        any::Any { over },
        all::All { over },
        norm::Norm { p, over },
        normalize::Normalize { p, over, eps },
        cosine_similarity::CosineSimilarity { axis, eps },
        cumsum::Cumsum { axis, reverse },
        cumprod::Cumprod { axis },
        feature_mean::FeatureMean { unbiased },
        batch_sum::BatchSum { predict },
        batch_mean::BatchMean { predict },
        batch_amax::BatchAmax { predict },
        batch_amin::BatchAmin { predict },
        all_finite::AllFinite { direct },
    }
    "Matrix products and contractions."
    products {
        matmul::MatMul,
        einsum::Einsum { equation: unnamed },
        contract::Contract { shared, contracted, over_batch },
    }
    "Losses and metrics, per element or per example."
    losses {
        cross_entropy::CrossEntropy { target_weights, label_smoothing = Number(0.0) },
        nll_loss::NllLoss { target_weights },
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

/// The operation of the language with this name or alias.
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|e| e.call.is_some_and(|c| e.name == name || c.alias == Some(name)))
}

/// The names of all operations of the language.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().filter(|e| e.call.is_some_and(|c| !c.operator)).map(|e| e.name)
}

/// The mistake of a call of an internal operation.
fn internal(name: &str) -> Mistake {
    Mistake::call(format!("`{name}` is not a function of the language"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CALL` and `from_call` both have defaults, so that the compiler does not detect a missing one.
    #[test]
    fn operations_with_a_call_implement_from_call() {
        for entry in ALL {
            let op = (entry.from_call)(&Attributes::new());
            let is_internal = op == Err(internal(entry.name));
            assert_eq!(is_internal, entry.call.is_none(), "{}", entry.name);
        }
    }

    /// Elementwise formulas need operands of the result's shape.
    #[test]
    fn elementwise_operations_are_pointwise() {
        let samples = ALL.iter().flat_map(|entry| (entry.samples)(5));
        for Sample { op, .. } in samples {
            let is_elementwise = matches!(op.lower(), Lowering::Elementwise(_));
            assert!(!is_elementwise || op.is_pointwise(), "{}", op.name());
        }
    }
}
