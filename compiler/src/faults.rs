//! Fault injection: deliberate faults of the compiler, for tests of verification.
//!
//! Only with the feature `faults`, for tests of the project: a [`Guard`] injects one fault into all
//! code compiled on its thread. Without the feature, `is` is `false` at compile time. The code that
//! may be faulty calls `is`, in one line beside the correct code.

/// A fault that can be injected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The derivative of `tanh` has the wrong sign.
    TanhSign,
    /// `x / c` becomes `x · c` for powers of two.
    DivisionByPower,
    /// A coefficient of the polynomial of `eˣ` is wrong in its fourth digit.
    ExpCoefficient,
    /// The last vector of a row has one lane too few.
    TailMask,
    /// The last row of a product's tile is written one row above.
    TileRow,
    /// The sums of a matrix product lack their last term.
    SkippedTerm,

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
    /// All faults.
    pub const ALL: &[Fault] = &[
        Fault::TanhSign,
        Fault::DivisionByPower,
        Fault::ExpCoefficient,
        Fault::TailMask,
        Fault::TileRow,
        Fault::SkippedTerm,
        Fault::AddressPast,
        Fault::PointerStride,
        Fault::StoreMask,
        Fault::StoreBuffer,
        Fault::RowStride,
        Fault::ShortLife,
        Fault::AntiDependency,
        Fault::PhaseConflict,
    ];

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
pub(crate) fn skips_verifiers() -> bool {
    Fault::ACCESSES.iter().any(|fault| is(*fault))
}

/// Whether a fault is injected on this thread.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(crate) const fn is(_: Fault) -> bool {
    false
}

#[cfg(feature = "faults")]
mod switch {
    use std::cell::Cell;
    use std::marker::PhantomData;

    use super::Fault;

    thread_local! {
        static CURRENT: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Whether a fault is injected on this thread.
    #[inline]
    pub(crate) fn is(fault: Fault) -> bool {
        CURRENT.get() == Some(fault)
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
pub use switch::Guard;
#[cfg(feature = "faults")]
pub(crate) use switch::is;
