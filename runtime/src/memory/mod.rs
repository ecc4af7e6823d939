//! Checks of available memory, before any of what is large is taken.
//!
//! A program that asks for too much is ended by its allocator, and systems that
//! promise more than they have end it later. So before much is asked for, so many
//! bytes are compared with all memory that there is, mapped for a moment and given
//! back: a request that could only fail is an error, [`Error::Memory`], and nothing
//! has changed.

mod aligned;

use std::sync::OnceLock;

use memmap2::MmapMut;
use ndarray::{Array, Dimension};

use crate::error::{Error, Result};

pub(crate) use aligned::AlignedMemory;

/// Something with cache lines of its own. Processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct CacheLine<T>(pub T);

/// Bytes from which on a request is large. What is smaller is less than what a
/// program has by the way, and than what mapping it would cost.
const LARGE: usize = 1 << 20;

/// Requires that there is memory for so many elements.
pub(crate) fn check<T>(what: impl FnOnce() -> String, elements: usize) -> Result<()> {
    let bytes = elements as u128 * size_of::<T>() as u128;
    if is_enough_for(bytes) {
        return Ok(());
    }
    Err(Error::Memory { what: what(), bytes: u64::try_from(bytes).unwrap_or(u64::MAX) })
}

/// Whether there is memory for so many bytes.
pub(crate) fn is_enough_for(bytes: u128) -> bool {
    bytes < LARGE as u128 || is_there(bytes)
}

#[cold]
fn is_there(bytes: u128) -> bool {
    let within = all().is_none_or(|all| bytes <= u128::from(all));
    let mapped = || usize::try_from(bytes).is_ok_and(|bytes| MmapMut::map_anon(bytes).is_ok());
    within && mapped()
}

/// An array of zeros, or what else is a type's default.
pub(crate) fn array<T: Clone + Default, D: Dimension>(
    what: impl FnOnce() -> String,
    shape: D,
) -> Result<Array<T, D>> {
    // Where one size is 0, the others must be countable all the same.
    let sizes = shape.slice();
    let counted = sizes.iter().fold(1, |n: usize, size| n.saturating_mul((*size).max(1)));
    check::<T>(
        what,
        if sizes.contains(&0) && counted <= isize::MAX as usize { 0 } else { counted },
    )?;
    Ok(Array::default(shape))
}

/// How many elements an array has; as many as can be counted, if there are more.
pub(crate) fn elements(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |product, size| product.saturating_mul(*size))
}

/// Bytes of memory that the process may have at most: those of the machine with
/// what it swaps to, or of the group of processes that it is in.
fn all() -> Option<u64> {
    static ALL: OnceLock<Option<u64>> = OnceLock::new();
    *ALL.get_or_init(|| {
        let read = |path| std::fs::read_to_string(path).ok();
        let machine = read("/proc/meminfo").and_then(|text| of_machine(&text));
        let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let groups = groups.into_iter().filter_map(|path| read(path)?.trim().parse::<u64>().ok());
        groups.chain(machine).min()
    })
}

/// What Linux says in `/proc/meminfo`.
fn of_machine(text: &str) -> Option<u64> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    Some((field("MemTotal:")? + field("SwapTotal:").unwrap_or(0)).saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_machine_has_is_an_error_with_its_bytes() {
        let what = || "a test".to_string();
        check::<f32>(what, 1 << 20).unwrap();
        for (elements, expected) in [(1usize << 50, 1u64 << 52), (usize::MAX, u64::MAX)] {
            let error = check::<f32>(what, elements).unwrap_err();
            assert!(matches!(error, Error::Memory { bytes, .. } if bytes == expected), "{error}");
        }
        let array = array::<u32, _>(what, ndarray::Ix2(2, 3)).unwrap();
        assert_eq!(array, ndarray::Array2::<u32>::zeros((2, 3)));
        assert!(super::array::<u32, _>(what, ndarray::Ix2(1 << 40, 1 << 40)).is_err());
        assert!(super::array::<u32, _>(what, ndarray::Ix2(0, usize::MAX)).is_err());
        assert_eq!(super::array::<u32, _>(what, ndarray::Ix2(0, 1 << 60)).unwrap().len(), 0);
    }

    #[test]
    fn memory_of_the_machine_is_with_what_it_swaps_to() {
        let text = "MemTotal:       2048 kB\nMemFree: 5 kB\nSwapTotal:      1024 kB\n";
        assert_eq!(of_machine(text), Some(3 << 20));
        assert_eq!(of_machine("MemTotal:  1 kB"), Some(1024));
        assert_eq!(of_machine(""), None);
    }
}
