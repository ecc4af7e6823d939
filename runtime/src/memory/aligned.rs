//! Aligned memory for generated code: floats that begin on a cache line and do not
//! move.
//!
//! Large buffers are mapped from the system, with a request for huge pages.
//! Generated code reads a weight by a few columns at a time, so that each row may be
//! on another page, and more pages are touched than the TLB holds: with pages of
//! 4 KiB, a step of 1024-4096-4096-10 on 256 examples took some 3 % longer (a Xeon
//! with AVX-512). Most Linux systems give huge pages only on request (`madvise`).

use memmap2::MmapMut;

use crate::error::{Error, Result};
use crate::memory;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;
/// The size in bytes from which a buffer is large.
const LARGE: usize = 4 << 20;
/// Bytes of a huge page of x86-64, and of aarch64 with base pages of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// Floats, the first of them on a cache line.
#[derive(Debug)]
pub(crate) struct AlignedMemory {
    memory: Memory,
    start: usize,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    Small(Vec<f32>),
    Large(MmapMut),
}

impl Memory {
    fn as_slice(&self) -> &[f32] {
        match self {
            Memory::Small(floats) => floats,
            Memory::Large(pages) => bytemuck::cast_slice(pages),
        }
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        match self {
            Memory::Small(floats) => floats,
            Memory::Large(pages) => bytemuck::cast_slice_mut(pages),
        }
    }
}

impl AlignedMemory {
    /// No floats.
    pub const fn empty() -> AlignedMemory {
        AlignedMemory { memory: Memory::Small(Vec::new()), start: 0, len: 0 }
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// [`Error::Memory`], with the description `what`, if there is not enough memory.
    pub fn new(what: impl FnOnce() -> String, len: usize) -> Result<AlignedMemory> {
        let bytes = len.saturating_mul(size_of::<f32>());
        let buffer = match bytes >= LARGE {
            true => {
                memory::check::<f32>(String::new, len).ok().and_then(|()| AlignedMemory::large(len))
            }
            false => AlignedMemory::small(len),
        };
        buffer.ok_or_else(|| Error::Memory { what: what(), bytes: bytes as u64 })
    }

    fn small(len: usize) -> Option<AlignedMemory> {
        let padded = len + LINE / size_of::<f32>();
        let mut floats = Vec::new();
        floats.try_reserve_exact(padded).ok()?;
        floats.resize(padded, 0.0);
        Some(AlignedMemory::aligned(Memory::Small(floats), LINE, len))
    }

    /// `None` if the system cannot map that much.
    fn large(len: usize) -> Option<AlignedMemory> {
        // Only aligned, complete pages can be huge: the first begins at the start of
        // the buffer, and the last is not cut off.
        let bytes = len.checked_mul(size_of::<f32>())?.checked_next_multiple_of(HUGE_PAGE)?;
        let bytes = bytes.checked_add(HUGE_PAGE)?;
        let pages = MmapMut::map_anon(bytes).ok()?;
        // If the system has no huge pages, small ones do.
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        Some(AlignedMemory::aligned(Memory::Large(pages), HUGE_PAGE, len))
    }

    /// A buffer at an aligned start within memory that has `alignment` bytes to spare.
    fn aligned(memory: Memory, alignment: usize, len: usize) -> AlignedMemory {
        let spare = alignment / size_of::<f32>();
        let start = memory.as_slice().as_ptr().align_offset(alignment).min(spare);
        AlignedMemory { memory, start, len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Shortens the buffer, without a new allocation.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub fn as_slice(&self) -> &[f32] {
        &self.memory.as_slice()[self.start..self.start + self.len]
    }

    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.memory.as_mut_slice()[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_zeroed_aligned_and_writable() {
        let large = LARGE / size_of::<f32>();
        for len in [0, 1, 15, 16, 1000, large - 1, large, large + 1, 3 * large + 12_345] {
            let mut buffer = AlignedMemory::new(String::new, len).unwrap();
            assert_eq!(matches!(buffer.memory, Memory::Large(_)), len >= large);
            assert_eq!((buffer.len(), buffer.as_slice().len()), (len, len));
            assert!(buffer.as_slice().as_ptr().addr().is_multiple_of(LINE), "{len}");
            assert!(buffer.as_slice().iter().all(|x| x.to_bits() == 0), "{len}");
            for (i, x) in buffer.as_mut_slice().iter_mut().enumerate() {
                *x = i as f32;
            }
            assert!(buffer.as_slice().iter().enumerate().all(|(i, x)| *x == i as f32), "{len}");
            buffer.truncate(len / 2);
            assert_eq!((buffer.len(), buffer.as_slice().len()), (len / 2, len / 2));
        }
    }

    #[test]
    fn more_than_the_machine_has_is_an_error() {
        for len in [1 << 48, usize::MAX / 4, usize::MAX] {
            let error = AlignedMemory::new(|| "all".into(), len).unwrap_err();
            assert!(error.to_string().starts_with("all would take "), "{error}");
        }
    }

    #[test]
    fn large_buffers_begin_on_a_huge_page() {
        let buffer = AlignedMemory::new(String::new, LARGE).unwrap();
        assert!(buffer.as_slice().as_ptr().addr().is_multiple_of(HUGE_PAGE));
    }
}
