//! The memory that calls work in: a pool of workspaces, one for each call that runs at the same
//! time.
//!
//! A thread takes the workspace of its own number, so that threads do not meet; where another
//! thread has it, the next that is free; and where all are taken, one of a list that grows. All
//! of it goes with the engine.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;

use bilro_compiler::declaration::Declaration;

use super::Call;
use super::code::{CodeTable, Known};
use super::jit::{Compiled, ParameterMemory};
use super::{Results, what_arena};
use crate::error::Result;
use crate::memory::{AlignedMemory, CacheLine};
use crate::run::parameters::Parameters;

/// What one call at a time works with.
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

    /// The place of the code for a call, which is compiled where it is not there; and whether
    /// other code has been evicted for it.
    #[inline]
    pub fn code(
        &mut self,
        table: &CodeTable<Compiled>,
        declaration: &Declaration,
        parameters: &Parameters,
        call: &Call<'_, '_>,
    ) -> Result<(usize, bool)> {
        match self.known.find(table, call) {
            Some(place) => Ok((place, false)),
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
        let what = || what_arena(declaration, call);
        let (place, has_evicted) = known.learn(table, call, || {
            let new = Compiled::new(declaration, parameters.layout(), call)?;
            // Before the table has it: without an arena it would be of no use.
            fit(arena, floats.max(new.arena), &what)?;
            Ok(new)
        })?;
        if let Err(error) = fit(arena, known.arena(), &what) {
            known.forget(place);
            return Err(error);
        }
        let count = known.get(place).0.scalars();
        scalars.resize(scalars.len().max(count), 0);
        Ok((place, has_evicted))
    }

    /// Runs the code in a place.
    #[inline]
    pub fn run(
        &mut self,
        place: usize,
        parameters: ParameterMemory<'_>,
        call: &Call<'_, '_>,
        threads: usize,
        sums: &mut Vec<f64>,
    ) -> Result<Results> {
        let Workspace { known, arena, scalars } = self;
        let (code, pace) = known.get(place);
        code.run(arena, scalars, pace, parameters, call, threads, sums)
    }

    /// The code in a place.
    pub fn compiled(&mut self, place: usize) -> &Compiled {
        self.known.get(place).0
    }

    /// Drops code that has been evicted, and the arena where none is left.
    pub fn refresh(&mut self, table: &CodeTable<Compiled>) {
        self.known.refresh(table);
        if self.known.is_empty() {
            self.arena = AlignedMemory::empty();
        }
    }
}

/// Makes the arena as large as needed, and no longer larger than twice that.
fn fit(arena: &mut AlignedMemory, floats: usize, what: &dyn Fn() -> String) -> Result<()> {
    if (floats..=floats.saturating_mul(2)).contains(&arena.len()) {
        return Ok(());
    }
    match AlignedMemory::new(what, floats) {
        Ok(memory) => *arena = memory,
        Err(error) if arena.len() < floats => return Err(error),
        // It stays larger than needed.
        Err(_) => {}
    }
    Ok(())
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Workspaces {
    slots: Box<[CacheLine<Mutex<Workspace>>]>,
    /// For calls that find all slots taken.
    more: Mutex<Vec<Workspace>>,
}

impl Workspaces {
    /// Empty workspaces.
    pub fn new() -> Workspaces {
        let slot = || CacheLine(Mutex::new(Workspace::new()));
        Workspaces { slots: (0..slots()).map(|_| slot()).collect(), more: Mutex::new(Vec::new()) }
    }

    /// A workspace where no other call can have one: always the same, without asking which thread
    /// this is, of which a small step would notice.
    #[inline]
    pub fn own(&mut self) -> &mut Workspace {
        // A call that panicked has left nothing half done but an arena, which holds nothing
        // between calls.
        self.slots[0].0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a function with a workspace that no other call has.
    #[inline]
    pub fn with<R>(&self, call: impl FnOnce(&mut Workspace) -> R) -> R {
        let first = thread_number() & (self.slots.len() - 1);
        let order = (first..self.slots.len()).chain(0..first);
        for slot in order {
            if let Some(mut workspace) = try_lock(&self.slots[slot].0) {
                return call(&mut workspace);
            }
        }
        let lock = || self.more.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = lock().pop().unwrap_or_else(Workspace::new);
        let result = call(&mut workspace);
        lock().push(workspace);
        result
    }

    /// Drops evicted code in all workspaces that no call has; the others do when they are used
    /// next.
    #[cold]
    pub fn refresh(&self, table: &CodeTable<Compiled>) {
        for slot in &self.slots {
            if let Some(mut workspace) = try_lock(&slot.0) {
                workspace.refresh(table);
            }
        }
        let mut more = self.more.lock().unwrap_or_else(PoisonError::into_inner);
        more.retain_mut(|workspace| {
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

/// How many calls find a workspace without a list: twice the threads that run at once. A power
/// of two.
fn slots() -> usize {
    static SLOTS: OnceLock<usize> = OnceLock::new();
    *SLOTS.get_or_init(|| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        (2 * threads).clamp(8, 64).next_power_of_two()
    })
}

/// A number of this thread; the first ones are 0, 1, 2.
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
