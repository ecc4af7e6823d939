//! Where and when: the order of kernels and the place of every tensor.

/// Memory that is given to a compiled network as one pointer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Region {
    /// What lives during one call: activations, gradients, outputs, losses.
    Arena,
    /// All parameters.
    Parameters,
    /// Numbers that may change between calls, one float each.
    Settings,
    /// An input, by its place among the network's inputs; row-major without
    /// padding, and only read.
    Input(usize),
}

/// Where a tensor lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// In which memory.
    pub region: Region,
    /// So many elements of 32 bits from its start.
    pub offset: usize,
}
