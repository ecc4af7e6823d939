//! Values on cache lines of their own.

/// A value on cache lines of its own, against false sharing. Processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct CacheLine<T>(pub T);
