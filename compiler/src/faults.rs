//! Fault injection: deliberate faults of the compiler and the runtime, for tests that must find
//! them.
//!
//! Only with the feature `faults`, for tests of the project. A [`Guard`] injects one fault into
//! everything that its thread compiles and runs, the environment variable `BILRO_FAULT` one into
//! the process. Without the feature, [`is`] is `false` at compile time. The code that may be faulty
//! calls [`is`], in one line beside the correct code. `tests/README.md` lists which test finds
//! which fault.

/// Declares [`Fault`]: each fault with its description, in the order of the stages.
macro_rules! faults {
    ($($(#[doc = $description:literal])+ $name:ident,)+) => {
        /// A fault that can be injected.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[doc = $description])+ $name,)+
        }

        impl Fault {
            /// All faults.
            pub const ALL: &[Fault] = &[$(Fault::$name,)+];

            /// The name, as in `BILRO_FAULT`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$name => stringify!($name),)+
                }
            }

            /// One sentence.
            pub fn description(self) -> &'static str {
                match self {
                    $(Fault::$name => concat!($($description,)+).trim_ascii(),)+
                }
            }

            /// The fault of this name.
            pub fn of_name(name: &str) -> Option<Fault> {
                Fault::ALL.iter().copied().find(|fault| fault.name() == name)
            }
        }
    };
}

faults! {
    // Derivatives.
    /// The derivative of `tanh` has the wrong sign.
    TanhSign,
    /// The derivative of `softmax` lacks its sum.
    SoftmaxSum,
    /// The derivative of `mean` is not divided by the number of elements.
    MeanShare,
    /// The derivative of `relu` at 0 is 1.
    ReluKink,
    /// The derivative of `cross_entropy` ignores `label_smoothing`.
    SmoothingDerivative,
    /// The derivative of a normalisation lacks the term of its variance.
    VarianceTerm,

    // Operations, layers, optimizers.
    /// The interpreter's `softplus` ignores its threshold.
    SoftplusThreshold,
    /// Dropout does not scale up the elements that remain.
    DropoutScale,
    /// Adam corrects its bias as if one more step had been made.
    BiasCorrection,
    /// Clipping by norm leaves the last parameter's gradient as it is.
    UnclippedGradient,
    /// An update from fewer accumulated batches than usual divides by the usual number.
    AccumulatedSum,

    // Rewrite rules.
    /// `x / c` becomes `x · c` for powers of two.
    DivisionByPower,
    /// `0 - x` becomes `x`.
    ZeroMinus,
    /// `a + -b` becomes `a + b`.
    AddedNegation,
    /// Two transpositions cancel whatever their orders.
    CancelledTranspositions,

    // Formulas.
    /// A coefficient of the polynomial of `eˣ` is wrong in its fourth digit.
    ExpCoefficient,
    /// `log` does not scale up denormal numbers.
    LogDenormal,

    // Fusion and planning.
    /// The guard of a step tests the loss alone.
    UnguardedGradient,
    /// A kernel may overwrite a parameter that it reads at other elements.
    OverwrittenInPlace,
    /// The memory of results is used again before they are read.
    ReusedResult,

    // Lowering.
    /// The last vector of a row has one lane too few.
    TailMask,
    /// The last row of a product's tile is written one row above.
    TileRow,
    /// The sums of a matrix product lack their last term.
    SkippedTerm,
    /// The last block of a long product begins its chain anew.
    LostPartialSum,
    /// A sum of several chains lacks the last term of its last chain.
    LastChain,
    /// The maximum of a row is at least 0.
    MaximumIdentity,
    /// A reduction ignores half of the lanes of its partial results.
    HalfTree,
    /// The lanes after the end of a row take part in its reduction.
    UnblendedTail,
    /// A scatter overwrites rows instead of adding to them.
    ScatterOverwrites,
    /// A square of a transposition has two columns exchanged.
    TransposedSquare,
    /// The guard does not test the last element of a small buffer.
    GuardElement,

    // Code generation.
    /// AVX: spilled values are never stored.
    StaleSpill,
    /// AVX: loads may move behind stores.
    LoadBehindStore,
    /// AVX: the operands of a maximum may be exchanged.
    MaximumOperands,
    /// AVX: the lanes of an index vector all have the first index.
    IndexLanes,
    /// Cranelift: a selection takes the other side.
    SelectedSide,
    /// Cranelift: loads may move behind stores.
    ClifLoadBehindStore,

    // Running.
    /// The last share of a parallel kernel lacks the iterations that do not divide evenly.
    ShareRemainder,
    /// Cached code is used for other choices: a stale entry of the cache.
    StaleChoice,
    /// A rejected step is counted.
    CountedRejection,
    /// All batches have the same random numbers.
    SameMask,

    // Training and files.
    /// All epochs after the first are in one order.
    SameOrder,
    /// Files have weights in the order of memory.
    FileOrder,
    /// Checkpoints have the number of the batch before.
    CheckpointedBatch,
    /// Checkpoints with wrong checksums are read.
    UncheckedChecksum,

    // Faults of accesses to memory, which the sanitizer must find.
    /// Emitters: every address is one element too high.
    AddressPast,
    /// Emitters: loops move pointers by one element too many.
    PointerStride,
    /// Emitters: a store of a few lanes writes all lanes.
    StoreMask,
    /// Lowering: stores of rows go to the program's first buffer, which it reads.
    StoreBuffer,
    /// Lowering: rows of a table are addressed by a stride that is a cache line too long.
    RowStride,
    /// Memory plan: a buffer's memory is free one kernel before its last use.
    ShortLife,
    /// Fusion: a parameter may be overwritten before the guard, and before a kernel reads its old
    /// value.
    AntiDependency,
    /// Phases: kernels that conflict run between the same barriers.
    PhaseConflict,
}

impl Fault {
    /// The faults of accesses to memory, which the sanitizer must find.
    pub const ACCESSES: &[Fault] = &[
        Fault::AddressPast,
        Fault::PointerStride,
        Fault::StoreMask,
        Fault::StoreBuffer,
        Fault::RowStride,
        Fault::ShortLife,
        Fault::AntiDependency,
        Fault::PhaseConflict,
    ];
}

/// Whether the passes are not verified: as in a release build, for the faults of accesses, most of
/// which a verifier would report first.
#[cfg(feature = "codegen")]
pub(crate) fn skips_verifiers() -> bool {
    Fault::ACCESSES.iter().any(|fault| is(*fault))
}

/// Whether a fault is injected on this thread.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub const fn is(_: Fault) -> bool {
    false
}

#[cfg(feature = "faults")]
mod switch {
    use std::cell::Cell;
    use std::marker::PhantomData;
    use std::sync::OnceLock;

    use super::Fault;

    thread_local! {
        static CURRENT: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Whether a fault is injected on this thread.
    ///
    /// # Panics
    /// If `BILRO_FAULT` is set to something else than the name of a fault.
    #[inline]
    pub fn is(fault: Fault) -> bool {
        CURRENT.get() == Some(fault) || of_process() == Some(fault)
    }

    fn of_process() -> Option<Fault> {
        static OF_PROCESS: OnceLock<Option<Fault>> = OnceLock::new();
        *OF_PROCESS.get_or_init(|| {
            let name = std::env::var("BILRO_FAULT").ok().filter(|name| !name.is_empty())?;
            let fault = Fault::of_name(&name);
            Some(fault.unwrap_or_else(|| panic!("BILRO_FAULT: there is no fault `{name}`")))
        })
    }

    /// Injects a fault on this thread until it is dropped. It cannot be sent to another thread.
    #[derive(Debug)]
    #[must_use = "the fault ends when the guard is dropped"]
    pub struct Guard {
        previous: Option<Fault>,
        thread: PhantomData<*const ()>,
    }

    impl Guard {
        /// Injects a fault.
        pub fn new(fault: Fault) -> Guard {
            Guard { previous: CURRENT.replace(Some(fault)), thread: PhantomData }
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            CURRENT.set(self.previous);
        }
    }
}

#[cfg(feature = "faults")]
pub use switch::{Guard, is};
