//! Memory for machine code: one heap for the process, in few large mappings.
//!
//! Systems limit the number of mappings of a process (Linux: 65,530), and with a mapping
//! for each function a process would reach that limit long before memory is
//! full. So blocks are whole pages of large mappings, freed when an
//! executable is dropped; a mapping without any code is returned to the system.
//!
//! No page is writable and executable at once. A block's pages are writable
//! while it is filled, and executable from then on, also when they are free: so
//! neighbours have the same protection, and the system merges them into one area.
//! No two blocks share a page, so that filling one never makes running
//! code non-executable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;

use memmap2::{MmapMut, MmapRaw};
use region::Protection;

use crate::error::Error;

static HEAP: Mutex<Heap> = Mutex::new(Heap { chunks: Vec::new() });

/// The smallest and the largest mapping, in bytes; in between, each new mapping doubles the heap.
const SMALLEST: usize = 256 << 10;
const LARGEST: usize = 64 << 20;

/// The code of one executable; its memory is freed when it is dropped.
#[derive(Debug)]
pub(super) struct Block {
    /// The address of the first byte, at the start of a page.
    start: usize,
    /// Bytes, a multiple of the page size.
    len: usize,
}

impl Block {
    /// Allocates memory, writes code to it by `fill`, which gets its address, and makes it
    /// executable.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system has no memory; the errors of `fill`.
    pub fn new(
        bytes: usize,
        fill: impl FnOnce(&mut [u8], usize) -> Result<(), Error>,
    ) -> Result<Block, Error> {
        let no_memory = || Error::Memory { what: "machine code".into(), bytes: bytes as u64 };
        let len = bytes.max(1).next_multiple_of(region::page::size());
        let mut heap = HEAP.lock().unwrap_or_else(|e| e.into_inner());
        let start = heap.allocate(len).map_err(|_| no_memory())?;
        drop(heap);
        // From here on, an error frees the pages by dropping the block.
        let block = Block { start, len };
        let pages = std::ptr::with_exposed_provenance_mut::<u8>(start);
        // SAFETY: the pages belong to this block alone, and no code in them is running:
        // the block has not been returned yet.
        unsafe { region::protect(pages, len, Protection::READ_WRITE) }.map_err(|_| no_memory())?;
        // SAFETY: the pages are mapped, readable and writable, initialised by
        // the system at least, and belong to this block alone while the
        // slice lives.
        let filled = fill(unsafe { std::slice::from_raw_parts_mut(pages, len) }, start);
        synchronise(pages, len).map_err(|_| no_memory())?;
        // Even if `fill` has failed: all free pages have the same protection.
        // SAFETY: as for the protection before.
        unsafe { region::protect(pages, len, Protection::READ_EXECUTE) }
            .map_err(|_| no_memory())?;
        filled.map(|()| block)
    }

    /// The address of a byte.
    pub fn address(&self, offset: usize) -> *const u8 {
        debug_assert!(offset < self.len);
        std::ptr::with_exposed_provenance(self.start + offset)
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        HEAP.lock().unwrap_or_else(|e| e.into_inner()).free(self.start, self.len);
    }
}

/// Synchronises the instruction cache with new code, on processors where it is not coherent.
#[cfg(target_arch = "aarch64")]
fn synchronise(pages: *mut u8, len: usize) -> io::Result<()> {
    use wasmtime_internal_jit_icache_coherence::{clear_cache, pipeline_flush_mt};
    let refused = || io::Error::other("the processor's cache of instructions was not cleared");
    // SAFETY: the pages are mapped.
    unsafe { clear_cache(pages.cast(), len) }.map_err(|_| refused())?;
    pipeline_flush_mt().map_err(|_| refused())
}

/// On other processors, the instruction cache is coherent.
#[cfg(not(target_arch = "aarch64"))]
fn synchronise(_: *mut u8, _: usize) -> io::Result<()> {
    Ok(())
}

struct Heap {
    chunks: Vec<Chunk>,
}

/// A mapping, and its free ranges.
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
    /// Allocates `len` bytes, a multiple of the page size.
    fn allocate(&mut self, len: usize) -> io::Result<usize> {
        for chunk in &mut self.chunks {
            if let Some(offset) = chunk.free.take(len) {
                return Ok(chunk.start() + offset);
            }
        }
        let all: usize = self.chunks.iter().map(|chunk| chunk.memory.len()).sum();
        // If the system has no memory for a large mapping, it may have enough for the block.
        let size = len.max(all.clamp(SMALLEST, LARGEST)).next_multiple_of(region::page::size());
        let (size, memory) = match MmapMut::map_anon(size) {
            Ok(memory) => (size, memory),
            Err(_) => (len, MmapMut::map_anon(len)?),
        };
        let memory = MmapRaw::from(memory);
        // SAFETY: the mapping is new, and not in use.
        unsafe { region::protect(memory.as_mut_ptr(), size, Protection::READ_EXECUTE) }
            .map_err(io::Error::other)?;
        let mut chunk = Chunk { memory, free: Ranges::default() };
        chunk.free.add(len, size - len);
        let start = chunk.start();
        self.chunks.push(chunk);
        Ok(start)
    }

    fn free(&mut self, start: usize, len: usize) {
        let is_around = |chunk: &Chunk| {
            start.checked_sub(chunk.start()).is_some_and(|offset| offset < chunk.memory.len())
        };
        let Some(index) = self.chunks.iter().position(is_around) else { return };
        let chunk = &mut self.chunks[index];
        let offset = start - chunk.start();
        chunk.free.add(offset, len);
        if chunk.free.covers(chunk.memory.len()) {
            self.chunks.swap_remove(index);
            return;
        }
        // Returns the pages' memory to the system. If that fails, they stay
        // allocated for the next code.
        #[cfg(unix)]
        // SAFETY: the pages are free: their contents are not used.
        let _ = unsafe {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            chunk.memory.unchecked_advise_range(advice, offset, len)
        };
    }
}

/// Disjoint ranges of integers that are not adjacent.
#[derive(Default, Debug)]
struct Ranges {
    /// Their lengths by their starts.
    by_start: BTreeMap<usize, usize>,
    /// Lengths and starts.
    by_len: BTreeSet<(usize, usize)>,
}

impl Ranges {
    /// Removes `len` integers from the shortest range that is long enough, and returns the
    /// first.
    fn take(&mut self, len: usize) -> Option<usize> {
        let (found, start) = *self.by_len.range((len, 0)..).next()?;
        self.remove(start, found);
        self.insert(start + len, found - len);
        Some(start)
    }

    /// Adds integers that are in no range, and merges neighbours.
    fn add(&mut self, mut start: usize, mut len: usize) {
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

    /// Whether it is the single range of all integers below `all`.
    fn covers(&self, all: usize) -> bool {
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

    /// Random calls against a list of the allocated ranges.
    #[test]
    fn ranges_are_disjoint_and_merge_when_freed() {
        const ALL: usize = 1000;
        let mut random = Random(3);
        let mut free = Ranges::default();
        free.add(0, ALL);
        let mut taken: Vec<(usize, usize)> = Vec::new();
        let mut failures = 0;
        for _ in 0..20_000 {
            if random.below(2) == 0 {
                let len = 1 + random.below(40);
                let Some(start) = free.take(len) else {
                    failures += 1;
                    continue;
                };
                assert!(start + len <= ALL);
                let overlaps = |(s, l): &(usize, usize)| start < s + l && *s < start + len;
                assert!(!taken.iter().any(overlaps));
                taken.push((start, len));
            } else if !taken.is_empty() {
                let (start, len) = taken.swap_remove(random.below(taken.len()));
                free.add(start, len);
            }
            assert!(!free.covers(ALL) || taken.is_empty());
            let sum: usize = free.by_start.values().sum();
            assert_eq!(sum + taken.iter().map(|(_, len)| len).sum::<usize>(), ALL);
            assert_eq!(free.by_len.len(), free.by_start.len());
        }
        assert!(failures > 0, "an allocation must have failed");
        taken.into_iter().for_each(|(start, len)| free.add(start, len));
        assert!(free.covers(ALL));
    }
}
