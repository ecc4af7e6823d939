//! Memory for machine code: one heap for the process, in few large mappings.
//!
//! Systems limit how many mappings a process has (Linux: 65,530), and a mapping
//! of its own for each function would come to that limit long before memory is
//! full. So whole pages of large mappings are given out, and taken back when an
//! executable is dropped; a mapping without any code is returned to the system.
//!
//! No page can be written and executed at once. A block's pages can be written
//! while it is filled, and executed from then on, also when they are free: so
//! neighbours have the same protection, and the system joins them to one area.
//! No two blocks have a page in common, so that filling one never takes the
//! right to execute from code that is running.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;

use memmap2::{MmapMut, MmapRaw};
use region::Protection;

use crate::error::Error;

static HEAP: Mutex<Heap> = Mutex::new(Heap { chunks: Vec::new() });

/// The smallest and the largest mapping, in bytes; in between, the heap doubles.
const SMALLEST: usize = 256 << 10;
const LARGEST: usize = 64 << 20;

/// The code of one executable; its memory is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Block {
    /// The address of the first byte, which begins a page.
    start: usize,
    /// Bytes; whole pages.
    len: usize,
}

impl Block {
    /// Memory that `fill` writes code to, given its address, and that can be
    /// executed then.
    ///
    /// # Errors
    /// [`Error::Memory`] where the system gives none; what `fill` returns.
    pub fn new(
        bytes: usize,
        fill: impl FnOnce(&mut [u8], usize) -> Result<(), Error>,
    ) -> Result<Block, Error> {
        let none = || Error::Memory { what: "machine code".into(), bytes: bytes as u64 };
        let len = bytes.max(1).next_multiple_of(region::page::size());
        let mut heap = HEAP.lock().unwrap_or_else(|e| e.into_inner());
        let start = heap.take(len).map_err(|_| none())?;
        drop(heap);
        // From here on, a mistake gives the pages back like a drop.
        let block = Block { start, len };
        let pages = std::ptr::with_exposed_provenance_mut::<u8>(start);
        // SAFETY: the pages are this block's alone, and nobody executes them:
        // the block has not been handed out yet.
        unsafe { region::protect(pages, len, Protection::READ_WRITE) }.map_err(|_| none())?;
        // SAFETY: the pages are mapped, can be read and written, have been
        // written by the system at least, and are this block's alone until the
        // slice is gone.
        let filled = fill(unsafe { std::slice::from_raw_parts_mut(pages, len) }, start);
        synchronise(pages, len).map_err(|_| none())?;
        // Even where `fill` has failed: free pages are alike.
        // SAFETY: as for the protection before.
        unsafe { region::protect(pages, len, Protection::READ_EXECUTE) }.map_err(|_| none())?;
        filled.map(|()| block)
    }

    /// The address of a byte.
    pub fn address(&self, offset: usize) -> *const u8 {
        debug_assert!(offset < self.len);
        std::ptr::with_exposed_provenance(self.start + offset)
    }

    /// How much memory it is.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        HEAP.lock().unwrap_or_else(|e| e.into_inner()).give_back(self.start, self.len);
    }
}

/// Makes processors that keep instructions apart from data see new code.
#[cfg(target_arch = "aarch64")]
fn synchronise(pages: *mut u8, len: usize) -> io::Result<()> {
    use wasmtime_internal_jit_icache_coherence::{clear_cache, pipeline_flush_mt};
    let refused = || io::Error::other("the processor's cache of instructions was not cleared");
    // SAFETY: the pages are mapped.
    unsafe { clear_cache(pages.cast(), len) }.map_err(|_| refused())?;
    pipeline_flush_mt().map_err(|_| refused())
}

/// On other processors, stores are seen by whoever executes them.
#[cfg(not(target_arch = "aarch64"))]
fn synchronise(_: *mut u8, _: usize) -> io::Result<()> {
    Ok(())
}

struct Heap {
    chunks: Vec<Chunk>,
}

/// A mapping, and which of its bytes are free.
struct Chunk {
    memory: MmapRaw,
    free: Ranges,
}

impl Chunk {
    fn start(&self) -> usize {
        self.memory.as_mut_ptr().expose_provenance()
    }
}

impl Heap {
    /// So many bytes, whole pages.
    fn take(&mut self, len: usize) -> io::Result<usize> {
        for chunk in &mut self.chunks {
            if let Some(offset) = chunk.free.take(len) {
                return Ok(chunk.start() + offset);
            }
        }
        let all: usize = self.chunks.iter().map(|chunk| chunk.memory.len()).sum();
        // Where so much more is not to be had, what is needed may be.
        let size = len.max(all.clamp(SMALLEST, LARGEST)).next_multiple_of(region::page::size());
        let (size, memory) = match MmapMut::map_anon(size) {
            Ok(memory) => (size, memory),
            Err(_) => (len, MmapMut::map_anon(len)?),
        };
        let memory = MmapRaw::from(memory);
        // SAFETY: the mapping is new: nobody knows it.
        unsafe { region::protect(memory.as_mut_ptr(), size, Protection::READ_EXECUTE) }
            .map_err(io::Error::other)?;
        let mut chunk = Chunk { memory, free: Ranges::default() };
        chunk.free.give(len, size - len);
        let start = chunk.start();
        self.chunks.push(chunk);
        Ok(start)
    }

    fn give_back(&mut self, start: usize, len: usize) {
        let is_around = |chunk: &Chunk| {
            start.checked_sub(chunk.start()).is_some_and(|offset| offset < chunk.memory.len())
        };
        let Some(place) = self.chunks.iter().position(is_around) else { return };
        let chunk = &mut self.chunks[place];
        let offset = start - chunk.start();
        chunk.free.give(offset, len);
        if chunk.free.has(chunk.memory.len()) {
            self.chunks.swap_remove(place);
            return;
        }
        // The pages themselves go back to the system. Where it does not want
        // them they are kept for the next code.
        #[cfg(unix)]
        // SAFETY: the pages are free: nobody reads what they hold.
        let _ = unsafe {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            chunk.memory.unchecked_advise_range(advice, offset, len)
        };
    }
}

/// Ranges of integers that do not touch one another.
#[derive(Default, Debug)]
struct Ranges {
    /// Their lengths by their starts.
    by_start: BTreeMap<usize, usize>,
    /// Lengths and starts.
    by_len: BTreeSet<(usize, usize)>,
}

impl Ranges {
    /// The start of so many numbers, from the shortest range that has them.
    fn take(&mut self, len: usize) -> Option<usize> {
        let (found, start) = *self.by_len.range((len, 0)..).next()?;
        self.remove(start, found);
        self.insert(start + len, found - len);
        Some(start)
    }

    /// Adds numbers that are in no range, and joins neighbours.
    fn give(&mut self, mut start: usize, mut len: usize) {
        if let Some((before, size)) =
            self.by_start.range(..start).next_back().map(|(s, l)| (*s, *l))
            && before + size == start
        {
            self.remove(before, size);
            (start, len) = (before, size + len);
        }
        if let Some(size) = self.by_start.get(&(start + len)).copied() {
            self.remove(start + len, size);
            len += size;
        }
        self.insert(start, len);
    }

    /// Whether it is one range of all numbers below this one.
    fn has(&self, all: usize) -> bool {
        self.by_start.get(&0) == Some(&all)
    }

    fn insert(&mut self, start: usize, len: usize) {
        if len > 0 {
            self.by_start.insert(start, len);
            self.by_len.insert((len, start));
        }
    }

    fn remove(&mut self, start: usize, len: usize) {
        self.by_start.remove(&start);
        self.by_len.remove(&(len, start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::tests::Random;

    /// Against a list of what is taken.
    #[test]
    fn ranges_are_given_once_and_joined_when_they_come_back() {
        const ALL: usize = 1000;
        let mut random = Random(3);
        let mut free = Ranges::default();
        free.give(0, ALL);
        let mut taken: Vec<(usize, usize)> = Vec::new();
        let mut full = 0;
        for _ in 0..20_000 {
            if random.below(2) == 0 {
                let len = 1 + random.below(40);
                let Some(start) = free.take(len) else {
                    full += 1;
                    continue;
                };
                assert!(start + len <= ALL);
                let meets = |(s, l): &(usize, usize)| start < s + l && *s < start + len;
                assert!(!taken.iter().any(meets));
                taken.push((start, len));
            } else if !taken.is_empty() {
                let (start, len) = taken.swap_remove(random.below(taken.len()));
                free.give(start, len);
            }
            assert!(!free.has(ALL) || taken.is_empty());
            let sum: usize = free.by_start.values().sum();
            assert_eq!(sum + taken.iter().map(|(_, len)| len).sum::<usize>(), ALL);
            assert_eq!(free.by_len.len(), free.by_start.len());
        }
        assert!(full > 0, "it was never full");
        taken.into_iter().for_each(|(start, len)| free.give(start, len));
        assert!(free.has(ALL));
    }
}
