//! Arrays in files of others' formats.
//!
//! Takes paths and arrays of any type and shape. Guaranteed: an error names the file, and for an
//! archive the array in it.

mod npy;

pub use ndarray_npy::{ReadableElement, WritableElement};
pub use npy::{npz_names, read_npy, read_npz, write_npy, write_npz};
