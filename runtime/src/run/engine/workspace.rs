//! The working memory of calls: a pool of workspaces, one for each concurrent call.
//!
//! A thread takes the workspace with its own number, so that threads do not contend; if that one
//! is taken, the next free one; and if all are taken, one of a list that grows. The pool is
//! dropped with the engine.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;

use bilro_compiler::declaration::Declaration;

use super::Call;
use super::code::{CodeTable, Known};
use super::jit::{Compiled, ParameterMemory};
use super::{Results, arena_description};
use crate::error::Result;
use crate::memory::{AlignedMemory, CacheLine};
use crate::run::parameters::Parameters;

/// Code, arena and scalars of one call at a time.
#[derive(Debug)]
pub(super) struct Workspace {
    known: Known<Compiled>,
    /// As large as the known code needs.
    arena: AlignedMemory,
    /// The bits of a call's scalars.
    scalars: Vec<u32>,
}

impl Workspace {
    const fn new() -> Workspace {
        Workspace { known: Known::new(), arena: AlignedMemory::empty(), scalars: Vec::new() }
    }

    /// The index of the code for a call, which is compiled if the table does not have it; and
    /// whether other code has been evicted for it.
    #[inline]
    pub fn code(
        &mut self,
        table: &CodeTable<Compiled>,
        declaration: &Declaration,
        parameters: &Parameters,
        call: &Call<'_, '_>,
    ) -> Result<(usize, bool)> {
        match self.known.find(table, call) {
            Some(index) => Ok((index, false)),
            None => self.learn(table, declaration, parameters, call),
        }
    }

    #[cold]
    fn learn(
        &mut self,
        table: &CodeTable<Compiled>,
        declaration: &Declaration,
        parameters: &Parameters,
        call: &Call<'_, '_>,
    ) -> Result<(usize, bool)> {
        let Workspace { known, arena, scalars } = self;
        let floats = known.arena();
        let what = || arena_description(declaration, call);
        let (index, has_evicted) = known.learn(table, call, || {
            let new = Compiled::new(declaration, parameters.layout(), call)?;
            // Before the table has it: without an arena the code could not run.
            resize(arena, floats.max(new.arena), &what)?;
            Ok(new)
        })?;
        if let Err(error) = resize(arena, known.arena(), &what) {
            known.forget(index);
            return Err(error);
        }
        let count = known.get(index).0.scalars();
        scalars.resize(scalars.len().max(count), 0);
        Ok((index, has_evicted))
    }

    /// Runs the code at an index. `results` are empty before.
    #[inline]
    pub fn run(
        &mut self,
        index: usize,
        parameters: ParameterMemory<'_>,
        call: &Call<'_, '_>,
        threads: usize,
        sums: &mut Vec<f64>,
        results: &mut Results,
    ) -> Result<()> {
        let Workspace { known, arena, scalars } = self;
        let (code, pace) = known.get(index);
        code.run(arena, scalars, pace, parameters, call, threads, sums, results)
    }

    /// The code at an index.
    pub fn compiled(&mut self, index: usize) -> &Compiled {
        self.known.get(index).0
    }

    /// Drops evicted code, and the arena if no code is left.
    pub fn refresh(&mut self, table: &CodeTable<Compiled>) {
        self.known.refresh(table);
        if self.known.is_empty() {
            self.arena = AlignedMemory::empty();
        }
    }
}

/// Makes the arena large enough, and at most twice as large as needed.
fn resize(arena: &mut AlignedMemory, floats: usize, what: &dyn Fn() -> String) -> Result<()> {
    if (floats..=floats.saturating_mul(2)).contains(&arena.len()) {
        return Ok(());
    }
    match AlignedMemory::new(what, floats) {
        Ok(memory) => *arena = memory,
        Err(error) if arena.len() < floats => return Err(error),
        // The arena stays larger than needed.
        Err(_) => {}
    }
    Ok(())
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Workspaces {
    slots: Box<[CacheLine<Mutex<Workspace>>]>,
    /// For calls that find all slots taken.
    overflow: Mutex<Vec<Workspace>>,
}

impl Workspaces {
    /// Empty workspaces.
    pub fn new() -> Workspaces {
        let slot = || CacheLine(Mutex::new(Workspace::new()));
        Workspaces {
            slots: (0..slots()).map(|_| slot()).collect(),
            overflow: Mutex::new(Vec::new()),
        }
    }

    /// The workspace of a call that has the pool to itself: always the first slot, without the
    /// thread-local lookup, which would be measurable in a small step.
    #[inline]
    pub fn exclusive(&mut self) -> &mut Workspace {
        // A call that panicked has left only the arena unfinished, which holds nothing between
        // calls.
        self.slots[0].0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a function with a workspace that no other call uses.
    #[inline]
    pub fn with<R>(&self, call: impl FnOnce(&mut Workspace) -> R) -> R {
        let first = thread_number() & (self.slots.len() - 1);
        let order = (first..self.slots.len()).chain(0..first);
        for slot in order {
            if let Some(mut workspace) = try_lock(&self.slots[slot].0) {
                return call(&mut workspace);
            }
        }
        let lock = || self.overflow.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = lock().pop().unwrap_or_else(Workspace::new);
        let result = call(&mut workspace);
        lock().push(workspace);
        result
    }

    /// Drops evicted code in all workspaces that no call is using; the others do so at their next
    /// use.
    #[cold]
    pub fn refresh(&self, table: &CodeTable<Compiled>) {
        for slot in &self.slots {
            if let Some(mut workspace) = try_lock(&slot.0) {
                workspace.refresh(table);
            }
        }
        let mut overflow = self.overflow.lock().unwrap_or_else(PoisonError::into_inner);
        overflow.retain_mut(|workspace| {
            workspace.refresh(table);
            !workspace.known.is_empty()
        });
    }
}

#[inline]
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The number of slots: twice the number of threads that run at once, rounded up to a power of
/// two.
fn slots() -> usize {
    static SLOTS: OnceLock<usize> = OnceLock::new();
    *SLOTS.get_or_init(|| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        (2 * threads).clamp(8, 64).next_power_of_two()
    })
}

/// This thread's number; threads are counted from 0 in the order of their first call.
#[inline]
fn thread_number() -> usize {
    const UNKNOWN: usize = usize::MAX;
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
    }
    NUMBER.with(|number| {
        if number.get() == UNKNOWN {
            number.set(THREADS.fetch_add(1, Ordering::Relaxed) % UNKNOWN);
        }
        number.get()
    })
}
