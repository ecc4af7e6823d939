//! Reports of the sanitizer: an access that is not allowed, with its kernel, instruction, buffer
//! and element.

use std::fmt;

/// An access that the sanitizer does not allow. The program has ended before it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct InvalidAccess {
    /// The number of the kernel, in the order of execution.
    pub kernel: usize,
    /// The kernel's name: the operations that it computes.
    pub name: String,
    /// The instruction of the kernel's program that makes the access; empty if none is known.
    pub instruction: String,
    /// The number of the buffer that it may access.
    pub buffer: usize,
    /// The name of that buffer's value.
    pub value: String,
    /// The number of the buffer's elements, padding included: the access must be below it.
    pub elements: usize,
    /// The element, counted from the buffer's start; negative before it.
    pub element: i64,
    /// The broken rule.
    pub cause: AccessFault,
}

/// The rule that an [`InvalidAccess`] breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AccessFault {
    /// The element is not in the buffer.
    OutOfBounds,
    /// The address is not that of an element.
    Misaligned,
    /// The integer of an indexed address is too large.
    Index {
        /// The integer.
        found: u32,
        /// Its bound.
        below: usize,
    },
    /// A store to an input, to a number of the network, or to the old value of a parameter.
    ReadOnly,
    /// A load of an element that no kernel has written.
    Uninitialized,
    /// A load of an element that another buffer has overwritten.
    Overwritten {
        /// The name of the value that is there now.
        value: String,
        /// The kernel that has written it.
        kernel: usize,
    },
    /// A store to an element of another buffer, which is still to be read.
    Live {
        /// The name of the value that is needed.
        value: String,
    },
    /// A store to an element that an earlier kernel has written in the same buffer.
    Rewritten {
        /// That kernel.
        kernel: usize,
    },
    /// Another thread may access the element at the same time, and one of both writes it: it is
    /// accessed by another iteration of a parallel loop, or by another kernel of the same phase.
    Race {
        /// The kernel of the last write.
        kernel: usize,
    },
    /// The kernel has changed the element without a store to it.
    Unchecked,
    /// A result of the call has no value here.
    MissingResult,
}

impl fmt::Display for InvalidAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InvalidAccess { kernel, name, instruction, value, elements, element, .. } = self;
        write!(f, "kernel {kernel} ({name})")?;
        if !instruction.is_empty() {
            write!(f, ", `{instruction}`")?;
        }
        write!(f, ": element {element} of `{value}` ")?;
        match &self.cause {
            AccessFault::OutOfBounds => write!(f, "is out of bounds: there are {elements}"),
            AccessFault::Misaligned => write!(f, "is accessed at an address within the element"),
            AccessFault::Index { found, below } => {
                write!(f, "is the index {found}, which is not below {below}")
            }
            AccessFault::ReadOnly => write!(f, "is written, but may only be read"),
            AccessFault::Uninitialized => write!(f, "is read, but holds no value"),
            AccessFault::Overwritten { value, kernel } => {
                write!(f, "is read, but `{value}` of kernel {kernel} has overwritten it")
            }
            AccessFault::Live { value } => {
                write!(f, "overwrites `{value}`, which a kernel has yet to read")
            }
            AccessFault::Rewritten { kernel } => {
                write!(f, "is written, but kernel {kernel} has written it already")
            }
            AccessFault::Race { kernel } => write!(
                f,
                "may be accessed by two threads at the same time, of which one writes: \
                 kernel {kernel} has written it last"
            ),
            AccessFault::Unchecked => {
                write!(f, "has changed, but no store of the kernel writes it")
            }
            AccessFault::MissingResult => write!(f, "is a result of the call, but has no value"),
        }
    }
}
