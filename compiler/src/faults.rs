//! Deliberate faults of the compiler, for tests that must find them.
//!
//! Only with the feature `faults`, which no user of the library has: then a [`Guard`] makes one
//! fault on this thread, in everything that is compiled, and nothing else. Without the feature
//! `is` is `false` at compile time. Where a fault belongs, the code asks `is` for it: one line
//! beside what is right.

/// A fault.
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
    /// The sums of a product miss their last term.
    SkippedTerm,
}

impl Fault {
    /// All of them.
    pub const ALL: &[Fault] = &[
        Fault::TanhSign,
        Fault::DivisionByPower,
        Fault::ExpCoefficient,
        Fault::TailMask,
        Fault::TileRow,
        Fault::SkippedTerm,
    ];
}

/// Whether a fault is to be made.
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

    /// Whether a fault is to be made.
    #[inline]
    pub(crate) fn is(fault: Fault) -> bool {
        CURRENT.get() == Some(fault)
    }

    /// Makes a fault on this thread until it is dropped. It stays on its thread.
    #[derive(Debug)]
    #[must_use = "the fault ends with it"]
    pub struct Guard {
        before: Option<Fault>,
        thread: PhantomData<*const ()>,
    }

    impl Guard {
        /// Begins to make a fault.
        pub fn new(fault: Fault) -> Guard {
            Guard { before: CURRENT.replace(Some(fault)), thread: PhantomData }
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            CURRENT.set(self.before);
        }
    }
}

#[cfg(feature = "faults")]
pub use switch::Guard;
#[cfg(feature = "faults")]
pub(crate) use switch::is;
