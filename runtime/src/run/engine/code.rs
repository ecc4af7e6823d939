//! The table of compiled code that the engines of a model and of its clones share, and what a
//! workspace remembers of it.
//!
//! The table keeps code up to a limit of bytes; beyond it, the least recently used code is
//! evicted. Its lock is held neither while compiling nor while computing. Of two threads that
//! ask for the same code, one compiles it and the other waits.
//!
//! A workspace keeps the code that it has used in a list of its own, so that a call whose code
//! is known takes no lock and writes to no memory that other threads read: it reads the table's
//! clock, which stands still while nothing is compiled or evicted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bilro_compiler::purpose::Purpose;

use super::Call;
use crate::error::Result;
use crate::memory::CacheLine;
use crate::run::threads::Pace;

/// What code was made for.
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
    fn is_of(&self, call: &Call<'_, '_>) -> bool {
        // Most networks leave nothing to choose, and comparing two empty lists is no little thing: the C
        // library's comparison reads, under a mask, from where nothing is.
        let is_chosen =
            || call.choices.is_empty() && self.choices.is_empty() || self.choices == call.choices;
        self.batch == call.batch && self.purpose == *call.purpose && is_chosen()
    }
}

/// Code of the table.
#[derive(Debug)]
pub(super) struct Entry<C> {
    key: Key,
    pub code: C,
    bytes: usize,
    /// Floats that it needs in the arena.
    pub arena: usize,
    /// The table's clock at its last use.
    used: AtomicU64,
    evicted: AtomicBool,
}

/// What the table has to be told of new code.
pub(super) struct New<C> {
    pub code: C,
    pub bytes: usize,
    /// Floats that it needs in the arena.
    pub arena: usize,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct CodeTable<C> {
    /// Counts what is inserted and evicted.
    clock: CacheLine<AtomicU64>,
    entries: CacheLine<Mutex<Entries<C>>>,
    /// Notified when code has been compiled, or could not be.
    compiled: Condvar,
}

#[derive(Debug)]
struct Entries<C> {
    all: Vec<Arc<Entry<C>>>,
    /// What threads are compiling now.
    compiling: Vec<Key>,
    bytes: usize,
    limit: usize,
    /// Counts what has been evicted.
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
        // Nothing in here panics half-way.
        self.entries.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn clock(&self) -> u64 {
        self.clock.0.load(Ordering::Acquire)
    }

    fn tick(&self) {
        self.clock.0.fetch_add(1, Ordering::AcqRel);
    }

    /// The code for a call, which `compile` makes where it is not there. Older code is evicted
    /// until all is within the limit, which the flag tells; the new code stays in any case.
    fn get_or_compile(
        &self,
        call: &Call<'_, '_>,
        compile: impl FnOnce() -> Result<New<C>>,
    ) -> Result<(Arc<Entry<C>>, bool)> {
        let mut entries = self.lock();
        loop {
            if let Some(entry) = entries.all.iter().find(|entry| entry.key.is_of(call)) {
                entry.used.store(self.clock(), Ordering::Relaxed);
                return Ok((entry.clone(), false));
            }
            if !entries.compiling.iter().any(|key| key.is_of(call)) {
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
        while let Some(place) = entries.all.iter().position(|entry| is_of(&entry.key.purpose)) {
            entries.evict(place);
        }
        self.tick();
    }

    /// Bytes of all code.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl<C> Entries<C> {
    /// Evicts the least recently used code until so many bytes are left.
    fn shrink(&mut self, limit: usize) {
        while self.bytes > limit {
            let used = |entry: &Arc<Entry<C>>| entry.used.load(Ordering::Relaxed);
            let oldest = self.all.iter().enumerate().min_by_key(|(_, entry)| used(entry));
            let Some((place, _)) = oldest else { break };
            self.evict(place);
        }
    }

    fn evict(&mut self, place: usize) {
        let entry = self.all.remove(place);
        entry.evicted.store(true, Ordering::Release);
        self.bytes -= entry.bytes;
        self.evictions += 1;
    }
}

/// Code that is being compiled; others wait for it until this is dropped, by an error or a panic
/// too.
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

/// The code that one workspace has used. Evicted code is dropped as soon as the clock tells that
/// there may be some.
#[derive(Debug)]
pub(super) struct Known<C> {
    clock: u64,
    /// They are few most of the time: going through them takes less time than hashing, of which
    /// a small step would notice. They lie together, so that going through many takes little.
    codes: Vec<Code<C>>,
    /// For each, whether it is faster on several threads.
    paces: Vec<Pace>,
}

#[derive(Debug)]
struct Code<C> {
    key: Key,
    /// The clock when its use was last written to the table.
    touched: u64,
    entry: Arc<Entry<C>>,
}

impl<C> Known<C> {
    /// None.
    pub const fn new() -> Known<C> {
        Known { clock: 0, codes: Vec::new(), paces: Vec::new() }
    }

    /// The place of the code for a call, where it is known and has not been evicted.
    #[inline]
    pub fn find(&mut self, table: &CodeTable<C>, call: &Call<'_, '_>) -> Option<usize> {
        let clock = table.clock();
        if clock != self.clock {
            self.refresh(table);
        }
        let place = self.codes.iter().position(|code| code.key.is_of(call))?;
        let code = &mut self.codes[place];
        if code.touched != clock {
            code.touched = clock;
            code.entry.used.store(clock, Ordering::Relaxed);
        }
        Some(place)
    }

    /// Drops what has been evicted.
    #[cold]
    pub fn refresh(&mut self, table: &CodeTable<C>) {
        self.clock = table.clock();
        for place in (0..self.codes.len()).rev() {
            if self.codes[place].entry.evicted.load(Ordering::Acquire) {
                self.codes.remove(place);
                self.paces.remove(place);
            }
        }
    }

    /// The code for a call that is not known yet; `compile` makes it where the table has not. With
    /// it a flag: whether the table has evicted other code.
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

    /// The code in a place, with its pace.
    #[inline]
    pub fn get(&mut self, place: usize) -> (&C, &mut Pace) {
        (&self.codes[place].entry.code, &mut self.paces[place])
    }

    /// Floats of the arena that the code needs which needs most.
    pub fn arena(&self) -> usize {
        self.codes.iter().map(|code| code.entry.arena).max().unwrap_or(0)
    }

    /// Forgets the code in a place.
    pub fn forget(&mut self, place: usize) {
        self.codes.remove(place);
        self.paces.remove(place);
    }

    /// Whether there is none.
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
        let feeds = Feeds { feeds: &[], places: &[] };
        let (counters, numbers) = (StepCounters::new(0), UpdateNumbers::NONE);
        Call { purpose, batch, choices, counters, numbers, feeds, kept: &[] }
    }

    fn new(code: usize, bytes: usize) -> Result<New<usize>> {
        Ok(New { code, bytes, arena: 10 * code })
    }

    /// The code for a call, made where it is not there.
    fn take(
        known: &mut Known<usize>,
        table: &CodeTable<usize>,
        call: &Call<'_, '_>,
        code: usize,
        bytes: usize,
    ) -> usize {
        let place = known.find(table, call);
        let place =
            place.unwrap_or_else(|| known.learn(table, call, || new(code, bytes)).unwrap().0);
        *known.get(place).0
    }

    /// The batch sizes for which there is code.
    fn kept(table: &CodeTable<usize>, known: &mut Known<usize>) -> Vec<usize> {
        let in_table = table.lock();
        let is_there = |call| in_table.all.iter().any(|entry| entry.key.is_of(&call));
        let batches = |is_there: &dyn Fn(usize) -> bool| -> Vec<usize> {
            (0..20).filter(|batch| is_there(*batch)).collect()
        };
        let all = batches(&|batch| is_there(call(&Purpose::Predict, batch, &[])));
        drop(in_table);
        known.refresh(table);
        let is_known = |call| known.codes.iter().any(|code| code.key.is_of(&call));
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
        assert_eq!((kept(&table, known), table.bytes()), (vec![1, 2, 3, 4], 100));
        assert_eq!(known.arena(), 40);
        use_or_insert(known, 5, 25);
        assert_eq!(kept(&table, known), [1, 3, 4, 5]);
        use_or_insert(known, 3, 25);
        use_or_insert(known, 6, 50);
        assert_eq!((kept(&table, known), table.bytes()), (vec![3, 5, 6], 100));
        // What is larger than the limit is there alone.
        use_or_insert(known, 7, 1000);
        assert_eq!((kept(&table, known), table.bytes(), known.arena()), (vec![7], 1000, 70));
        use_or_insert(known, 8, 60);
        use_or_insert(known, 9, 40);
        assert_eq!(kept(&table, known), [8, 9]);
        table.set_limit(50);
        assert_eq!((kept(&table, known), table.bytes()), (vec![9], 40));
        table.set_limit(0);
        assert_eq!((kept(&table, known), table.bytes(), known.arena()), (vec![], 0, 0));
    }

    #[test]
    fn code_is_found_by_all_that_it_was_made_for() {
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
            let place = known.find(&table, call).unwrap();
            assert_eq!(*known.get(place).0, i);
            // Another workspace finds all of it in the table.
            assert_eq!(take(&mut Known::new(), &table, call, usize::MAX, 1), i);
        }
        table.forget_training(first.id());
        table.forget_training(second.id());
        let found: Vec<bool> = all.iter().map(|call| known.find(&table, call).is_some()).collect();
        assert_eq!(found, (0..all.len()).map(|i| i < 3 * 8).collect::<Vec<_>>());
        assert_eq!(table.bytes(), 3 * 8);
    }

    #[test]
    fn threads_that_ask_for_the_same_code_compile_it_once() {
        let (table, compiled) = (CodeTable::new(usize::MAX), AtomicUsize::new(0));
        let purpose = Purpose::Predict;
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let place = Known::new().learn(&table, &call(&purpose, 1, &[]), || {
                        // Long enough for the others to come.
                        thread::sleep(std::time::Duration::from_millis(20));
                        compiled.fetch_add(1, Ordering::Relaxed);
                        new(1, 1)
                    });
                    assert_eq!(place.unwrap(), (0, false));
                });
            }
        });
        assert_eq!((compiled.into_inner(), table.bytes()), (1, 1));
    }

    #[test]
    fn an_error_or_a_panic_while_compiling_leaves_others_to_try() {
        let (table, purpose) = (CodeTable::new(usize::MAX), Purpose::Predict);
        let call = call(&purpose, 1, &[]);
        let failed = || Err(Error::Empty { what: "a test".into() });
        assert!(Known::new().learn(&table, &call, failed).is_err());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = Known::new().learn(&table, &call, || panic!("as told"));
        }));
        assert!(panicked.is_err());
        assert_eq!(take(&mut Known::new(), &table, &call, 5, 1), 5);
    }
}
