//! What a kernel needs to know of the instruction set that it is lowered for.

/// An instruction set as programs see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Isa {
    /// Its name, for printouts.
    pub name: &'static str,
    /// 32-bit lanes of a vector register: a power of two, at most 16.
    pub lanes: usize,
    /// How many vector registers there are.
    pub registers: usize,
}

impl Isa {
    /// 128-bit vectors, which Cranelift has on every machine it supports.
    #[cfg(target_arch = "aarch64")]
    pub const CLIF: Isa = Isa { name: "clif", lanes: 4, registers: 32 };

    /// 128-bit vectors, which Cranelift has on every machine it supports.
    #[cfg(not(target_arch = "aarch64"))]
    pub const CLIF: Isa = Isa { name: "clif", lanes: 4, registers: 16 };
}
