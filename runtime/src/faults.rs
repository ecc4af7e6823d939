//! Fault injection: deliberate faults of the library, for tests that must find them.
//!
//! As in the compiler's `faults`: only with the feature `faults`, and on the thread of a [`Guard`].
//! Those of the thread pool are for the model in `tests/pool`, all of whose threads are one thread
//! of the system.

/// A fault that can be injected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The first finished share of a phase opens the next phase.
    MissingBarrier,
    /// Two threads can claim the same share.
    DoubleClaim,
    /// A thread sleeps without reading again whether a phase has been opened.
    LostWakeUp,
    /// A thread is notified between its last look at the open phase and its sleep.
    UnlockedWake,
    /// No fence orders the store of the open phase before the load of the sleeping threads.
    MissingFence,
    /// The open phase is stored without `Release`: threads may not see its step.
    UnpublishedPhase,
    /// Finished shares are counted without `AcqRel`: the next phase may not see their writes.
    UnpublishedShare,
    /// A caller returns when it finds no share to run, while others still run.
    UnawaitedShares,
}

impl Fault {
    /// All faults.
    pub const ALL: &[Fault] = &[
        Fault::MissingBarrier,
        Fault::DoubleClaim,
        Fault::LostWakeUp,
        Fault::UnlockedWake,
        Fault::MissingFence,
        Fault::UnpublishedPhase,
        Fault::UnpublishedShare,
        Fault::UnawaitedShares,
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
