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
    ];
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
