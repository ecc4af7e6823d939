//! Checks of available memory before large allocations.
//!
//! A program that requests too much is aborted by its allocator, or later by a system
//! that overcommits. So before a large allocation, its size is compared with the total
//! memory, and mapped for a moment: a request that could only fail is an error,
//! [`Error::Memory`], and nothing has changed.

mod aligned;
mod cache_line;

use std::sync::OnceLock;

use memmap2::MmapMut;
use ndarray::{Array, Dimension};

use crate::error::{Error, Result};

pub(crate) use aligned::AlignedMemory;
pub(crate) use cache_line::CacheLine;

/// The size in bytes from which a request is checked. Smaller ones are within the noise of a
/// program's memory, and not worth the cost of mapping.
const LARGE: usize = 1 << 20;

/// Requires that there is memory for a number of elements; `what` describes them in the error.
pub(crate) fn check<T>(what: impl FnOnce() -> String, elements: usize) -> Result<()> {
    let bytes = elements as u128 * size_of::<T>() as u128;
    if is_available(bytes) {
        return Ok(());
    }
    Err(Error::Memory { what: what(), bytes: u64::try_from(bytes).unwrap_or(u64::MAX) })
}

/// Whether `bytes` bytes of memory are available.
pub(crate) fn is_available(bytes: u128) -> bool {
    bytes < LARGE as u128 || can_map(bytes)
}

#[cold]
fn can_map(bytes: u128) -> bool {
    let within = total().is_none_or(|total| bytes <= u128::from(total));
    let mapped = || usize::try_from(bytes).is_ok_and(|bytes| MmapMut::map_anon(bytes).is_ok());
    within && mapped()
}

/// An array of a type's default value, after a check of the memory.
pub(crate) fn array<T: Clone + Default, D: Dimension>(
    what: impl FnOnce() -> String,
    shape: D,
) -> Result<Array<T, D>> {
    // If one size is 0, the product of the others must not overflow all the same.
    let sizes = shape.slice();
    let counted = sizes.iter().fold(1, |n: usize, size| n.saturating_mul((*size).max(1)));
    check::<T>(
        what,
        if sizes.contains(&0) && counted <= isize::MAX as usize { 0 } else { counted },
    )?;
    Ok(Array::default(shape))
}

/// The number of elements of an array, saturating.
pub(crate) fn elements(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |product, size| product.saturating_mul(*size))
}

/// The total memory available to the process in bytes: that of the machine with its swap, or
/// the limit of the process's control group.
fn total() -> Option<u64> {
    static TOTAL: OnceLock<Option<u64>> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        let read = |path| std::fs::read_to_string(path).ok();
        let machine = read("/proc/meminfo").and_then(|text| of_machine(&text));
        let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let groups = groups.into_iter().filter_map(|path| read(path)?.trim().parse::<u64>().ok());
        groups.chain(machine).min()
    })
}

/// The memory of the machine with its swap, from Linux's `/proc/meminfo`.
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
    fn memory_of_the_machine_includes_swap() {
        let text = "MemTotal:       2048 kB\nMemFree: 5 kB\nSwapTotal:      1024 kB\n";
        assert_eq!(of_machine(text), Some(3 << 20));
        assert_eq!(of_machine("MemTotal:  1 kB"), Some(1024));
        assert_eq!(of_machine(""), None);
    }
}
