//! The LRU cache of compiled code that the engines of a model and of its clones share, and each
//! workspace's list of the code that it has used.
//!
//! The table holds code up to a limit of bytes; beyond it, the least recently used code is
//! evicted. Its lock is held neither while compiling nor while computing. Of two threads that
//! request the same code, one compiles it and the other waits.
//!
//! A workspace has a list of the code that it has used, so that a call whose code is known takes
//! no lock and writes to no memory that other threads read: it reads the table's clock, which
//! advances only when code is compiled or evicted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bilro_compiler::faults::{self, Fault};
use bilro_compiler::purpose::Purpose;

use super::Call;
use crate::error::Result;
use crate::memory::CacheLine;
use crate::run::threads::Pace;

/// The key of compiled code: purpose, batch size and choices.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Key {
    /// With its training: no code runs on the optimizer state of another one.
    purpose: Purpose,
    batch: usize,
    choices: Vec<usize>,
}

impl Key {
    fn of(call: &Call<'_, '_>) -> Key {
        let Call { purpose, batch, choices, .. } = call;
        Key { purpose: (*purpose).clone(), batch: *batch, choices: choices.to_vec() }
    }

    #[inline]
    fn matches(&self, call: &Call<'_, '_>) -> bool {
        // Most networks have no choices, and comparing two empty lists is not free: the C
        // library's `memcmp` does a masked load from their dangling address.
        let same_choices =
            || call.choices.is_empty() && self.choices.is_empty() || self.choices == call.choices;
        let same_choices = || same_choices() || faults::is(Fault::StaleChoice);
        self.batch == call.batch && self.purpose == *call.purpose && same_choices()
    }
}

/// Code of the table.
#[derive(Debug)]
pub(super) struct Entry<C> {
    key: Key,
    pub code: C,
    bytes: usize,
    /// Floats that the code needs in the arena.
    pub arena: usize,
    /// The table's clock at its last use.
    used: AtomicU64,
    evicted: AtomicBool,
}

/// Code that has just been compiled, for the table.
pub(super) struct New<C> {
    pub code: C,
    pub bytes: usize,
    /// Floats that the code needs in the arena.
    pub arena: usize,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct CodeTable<C> {
    /// Advanced by insertions and evictions.
    clock: CacheLine<AtomicU64>,
    entries: CacheLine<Mutex<Entries<C>>>,
    /// Notified when a compilation has succeeded or failed.
    compiled: Condvar,
}

#[derive(Debug)]
struct Entries<C> {
    all: Vec<Arc<Entry<C>>>,
    /// Keys of the code that threads are compiling now.
    compiling: Vec<Key>,
    bytes: usize,
    limit: usize,
    /// The number of evictions so far.
    evictions: u64,
}

impl<C> CodeTable<C> {
    /// An empty table, with a limit in bytes.
    pub fn new(limit: usize) -> CodeTable<C> {
        let (all, compiling) = (Vec::new(), Vec::new());
        let entries = Entries { all, compiling, bytes: 0, limit, evictions: 0 };
        CodeTable {
            clock: CacheLine(AtomicU64::new(0)),
            entries: CacheLine(Mutex::new(entries)),
            compiled: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries<C>> {
        // No critical section panics, so that a poisoned lock is consistent.
        self.entries.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn clock(&self) -> u64 {
        self.clock.0.load(Ordering::Acquire)
    }

    fn tick(&self) {
        self.clock.0.fetch_add(1, Ordering::AcqRel);
    }

    /// The code for a call, compiled by `compile` if the table does not have it. Older code is
    /// evicted until the total is within the limit, even if the new code alone exceeds it. The
    /// flag is whether code was evicted.
    fn get_or_compile(
        &self,
        call: &Call<'_, '_>,
        compile: impl FnOnce() -> Result<New<C>>,
    ) -> Result<(Arc<Entry<C>>, bool)> {
        let mut entries = self.lock();
        loop {
            if let Some(entry) = entries.all.iter().find(|entry| entry.key.matches(call)) {
                entry.used.store(self.clock(), Ordering::Relaxed);
                return Ok((entry.clone(), false));
            }
            if !entries.compiling.iter().any(|key| key.matches(call)) {
                break;
            }
            entries = self.compiled.wait(entries).unwrap_or_else(PoisonError::into_inner);
        }
        let key = Key::of(call);
        entries.compiling.push(key.clone());
        drop(entries);
        let compiling = Compiling { table: self, key: &key };
        let New { code, bytes, arena } = compile()?;
        let mut entries = self.lock();
        let before = entries.evictions;
        let limit = entries.limit.saturating_sub(bytes);
        entries.shrink(limit);
        let has_evicted = entries.evictions != before;
        self.tick();
        let (used, evicted) = (AtomicU64::new(self.clock()), AtomicBool::new(false));
        let entry = Arc::new(Entry { key: key.clone(), code, bytes, arena, used, evicted });
        entries.bytes += bytes;
        entries.all.push(entry.clone());
        drop(entries);
        drop(compiling);
        Ok((entry, has_evicted))
    }

    /// Changes the limit.
    pub fn set_limit(&self, limit: usize) {
        let mut entries = self.lock();
        entries.limit = limit;
        entries.shrink(limit);
        self.tick();
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.lock().limit
    }

    /// Evicts all code whose purpose is of a training.
    pub fn forget_training(&self, id: u64) {
        let is_of = |purpose: &Purpose| purpose.training().is_some_and(|t| t.id() == id);
        let mut entries = self.lock();
        while let Some(index) = entries.all.iter().position(|entry| is_of(&entry.key.purpose)) {
            entries.evict(index);
        }
        self.tick();
    }

    /// Bytes of all code.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl<C> Entries<C> {
    /// Evicts the least recently used code until at most `limit` bytes are left.
    fn shrink(&mut self, limit: usize) {
        while self.bytes > limit {
            let used = |entry: &Arc<Entry<C>>| entry.used.load(Ordering::Relaxed);
            let oldest = self.all.iter().enumerate().min_by_key(|(_, entry)| used(entry));
            let Some((index, _)) = oldest else { break };
            self.evict(index);
        }
    }

    fn evict(&mut self, index: usize) {
        let entry = self.all.remove(index);
        entry.evicted.store(true, Ordering::Release);
        self.bytes -= entry.bytes;
        self.evictions += 1;
    }
}

/// Marks code as being compiled: other threads wait for it until this is dropped, also by an error
/// or a panic.
struct Compiling<'t, C> {
    table: &'t CodeTable<C>,
    key: &'t Key,
}

impl<C> Drop for Compiling<'_, C> {
    fn drop(&mut self) {
        self.table.lock().compiling.retain(|key| key != self.key);
        self.table.compiled.notify_all();
    }
}

/// The code that one workspace has used. Evicted code is dropped when the table's clock has
/// advanced.
#[derive(Debug)]
pub(super) struct Known<C> {
    clock: u64,
    /// Usually short: a linear search takes less time than hashing, which would be measurable in
    /// a small step. The keys are contiguous, so that a long list is fast to search too.
    codes: Vec<Code<C>>,
    /// For each code, whether it is faster on several threads.
    paces: Vec<Pace>,
}

#[derive(Debug)]
struct Code<C> {
    key: Key,
    /// The clock when the use was last written to the table.
    touched: u64,
    entry: Arc<Entry<C>>,
}

impl<C> Known<C> {
    /// An empty list.
    pub const fn new() -> Known<C> {
        Known { clock: 0, codes: Vec::new(), paces: Vec::new() }
    }

    /// The index of the code for a call, if it is known and has not been evicted.
    #[inline]
    pub fn find(&mut self, table: &CodeTable<C>, call: &Call<'_, '_>) -> Option<usize> {
        let clock = table.clock();
        if clock != self.clock {
            self.refresh(table);
        }
        let index = self.codes.iter().position(|code| code.key.matches(call))?;
        let code = &mut self.codes[index];
        if code.touched != clock {
            code.touched = clock;
            code.entry.used.store(clock, Ordering::Relaxed);
        }
        Some(index)
    }

    /// Drops evicted code.
    #[cold]
    pub fn refresh(&mut self, table: &CodeTable<C>) {
        self.clock = table.clock();
        for index in (0..self.codes.len()).rev() {
            if self.codes[index].entry.evicted.load(Ordering::Acquire) {
                self.codes.remove(index);
                self.paces.remove(index);
            }
        }
    }

    /// Adds the code for a call that is not known yet, compiled by `compile` if the table does not
    /// have it. Returns its index, and whether the table has evicted other code.
    #[cold]
    pub fn learn(
        &mut self,
        table: &CodeTable<C>,
        call: &Call<'_, '_>,
        compile: impl FnOnce() -> Result<New<C>>,
    ) -> Result<(usize, bool)> {
        let (entry, has_evicted) = table.get_or_compile(call, compile)?;
        self.refresh(table);
        self.codes.push(Code { key: entry.key.clone(), touched: self.clock, entry });
        self.paces.push(Pace::new());
        Ok((self.codes.len() - 1, has_evicted))
    }

    /// The code at an index, with its pace.
    #[inline]
    pub fn get(&mut self, index: usize) -> (&C, &mut Pace) {
        (&self.codes[index].entry.code, &mut self.paces[index])
    }

    /// Floats of the arena: the maximum over all codes.
    pub fn arena(&self) -> usize {
        self.codes.iter().map(|code| code.entry.arena).max().unwrap_or(0)
    }

    /// Removes the code at an index.
    pub fn forget(&mut self, index: usize) {
        self.codes.remove(index);
        self.paces.remove(index);
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use bilro_compiler::optim::Training;
    use bilro_compiler::optim::sgd::Sgd;

    use super::*;
    use crate::error::Error;
    use crate::run::engine::Feeds;
    use crate::run::engine::counters::{StepCounters, UpdateNumbers};

    fn call<'a>(purpose: &'a Purpose, batch: usize, choices: &'a [usize]) -> Call<'a, 'a> {
        let feeds = Feeds { feeds: &[], indices: &[] };
        let (counters, numbers) = (StepCounters::new(0), UpdateNumbers::NONE);
        let (variables, sanitizes) = (&[][..], false);
        Call { purpose, batch, choices, counters, numbers, feeds, variables, sanitizes }
    }

    fn new(code: usize, bytes: usize) -> Result<New<usize>> {
        Ok(New { code, bytes, arena: 10 * code })
    }

    /// The code for a call, inserted if it is missing.
    fn take(
        known: &mut Known<usize>,
        table: &CodeTable<usize>,
        call: &Call<'_, '_>,
        code: usize,
        bytes: usize,
    ) -> usize {
        let index = known.find(table, call);
        let index =
            index.unwrap_or_else(|| known.learn(table, call, || new(code, bytes)).unwrap().0);
        *known.get(index).0
    }

    /// The batch sizes for which the table and the list have code.
    fn cached(table: &CodeTable<usize>, known: &mut Known<usize>) -> Vec<usize> {
        let in_table = table.lock();
        let is_there = |call| in_table.all.iter().any(|entry| entry.key.matches(&call));
        let batches = |is_there: &dyn Fn(usize) -> bool| -> Vec<usize> {
            (0..20).filter(|batch| is_there(*batch)).collect()
        };
        let all = batches(&|batch| is_there(call(&Purpose::Predict, batch, &[])));
        drop(in_table);
        known.refresh(table);
        let is_known = |call| known.codes.iter().any(|code| code.key.matches(&call));
        assert_eq!(batches(&|batch| is_known(call(&Purpose::Predict, batch, &[]))), all);
        all
    }

    #[test]
    fn the_least_recently_used_code_is_evicted_first() {
        let (table, known) = (CodeTable::new(100), &mut Known::new());
        let use_or_insert = |known: &mut Known<usize>, batch: usize, bytes: usize| {
            let call = call(&Purpose::Predict, batch, &[]);
            assert_eq!(take(known, &table, &call, batch, bytes), batch);
        };
        for batch in [1, 2, 3, 1, 4] {
            use_or_insert(known, batch, 25);
        }
        assert_eq!((cached(&table, known), table.bytes()), (vec![1, 2, 3, 4], 100));
        assert_eq!(known.arena(), 40);
        use_or_insert(known, 5, 25);
        assert_eq!(cached(&table, known), [1, 3, 4, 5]);
        use_or_insert(known, 3, 25);
        use_or_insert(known, 6, 50);
        assert_eq!((cached(&table, known), table.bytes()), (vec![3, 5, 6], 100));
        // Code that exceeds the limit is alone in the table.
        use_or_insert(known, 7, 1000);
        assert_eq!((cached(&table, known), table.bytes(), known.arena()), (vec![7], 1000, 70));
        use_or_insert(known, 8, 60);
        use_or_insert(known, 9, 40);
        assert_eq!(cached(&table, known), [8, 9]);
        table.set_limit(50);
        assert_eq!((cached(&table, known), table.bytes()), (vec![9], 40));
        table.set_limit(0);
        assert_eq!((cached(&table, known), table.bytes(), known.arena()), (vec![], 0, 0));
    }

    #[test]
    fn the_key_is_purpose_batch_size_and_choices() {
        let [first, second] = [(); 2].map(|()| Arc::new(Training::from(Sgd::new(0.1))));
        let accumulate = |first| Purpose::Accumulate { training: second.clone(), first };
        let purposes = [
            Purpose::Predict,
            Purpose::Evaluate,
            Purpose::Gradients,
            Purpose::Step(first.clone()),
            Purpose::Step(second.clone()),
            accumulate(true),
            accumulate(false),
            Purpose::Update(second.clone()),
        ];
        let mut all = Vec::new();
        for purpose in &purposes {
            for batch in [1, 2] {
                for choices in [&[][..], &[0], &[1], &[0, 1]] {
                    all.push(call(purpose, batch, choices));
                }
            }
        }
        let (table, known) = (CodeTable::new(usize::MAX), &mut Known::new());
        for (i, call) in all.iter().enumerate() {
            assert_eq!(known.find(&table, call), None);
            assert_eq!(take(known, &table, call, i, 1), i);
        }
        for (i, call) in all.iter().enumerate() {
            let index = known.find(&table, call).unwrap();
            assert_eq!(*known.get(index).0, i);
            // Another workspace finds the same code in the table.
            assert_eq!(take(&mut Known::new(), &table, call, usize::MAX, 1), i);
        }
        table.forget_training(first.id());
        table.forget_training(second.id());
        let found: Vec<bool> = all.iter().map(|call| known.find(&table, call).is_some()).collect();
        assert_eq!(found, (0..all.len()).map(|i| i < 3 * 8).collect::<Vec<_>>());
        assert_eq!(table.bytes(), 3 * 8);
    }

    #[test]
    fn threads_that_request_the_same_code_compile_it_once() {
        let (table, compiled) = (CodeTable::new(usize::MAX), AtomicUsize::new(0));
        let purpose = Purpose::Predict;
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let learned = Known::new().learn(&table, &call(&purpose, 1, &[]), || {
                        // Long enough for the other threads to arrive.
                        thread::sleep(std::time::Duration::from_millis(20));
                        compiled.fetch_add(1, Ordering::Relaxed);
                        new(1, 1)
                    });
                    assert_eq!(learned.unwrap(), (0, false));
                });
            }
        });
        assert_eq!((compiled.into_inner(), table.bytes()), (1, 1));
    }

    #[test]
    fn after_an_error_or_a_panic_other_threads_can_compile() {
        let (table, purpose) = (CodeTable::new(usize::MAX), Purpose::Predict);
        let call = call(&purpose, 1, &[]);
        let failed = || Err(Error::Empty { what: "a test".into() });
        assert!(Known::new().learn(&table, &call, failed).is_err());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = Known::new().learn(&table, &call, || panic!("on purpose"));
        }));
        assert!(panicked.is_err());
        assert_eq!(take(&mut Known::new(), &table, &call, 5, 1), 5);
    }
}
