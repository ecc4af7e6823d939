//! Targets: the properties of a processor that lowering, tiling and emission use, as data.
//!
//! A [`Target`] is an instruction set with its registers, caches and rates. It is independent of
//! the compiling machine: a network can be lowered and verified for any target on any machine.
//! [`host`] detects the targets of this machine.

pub mod host;

/// Elements of 32 bits in a cache line: rows of parameters are padded to whole lines, and buffers
/// of the arena begin on one. The same on every target, so that parameters have one layout.
pub const CACHE_LINE: usize = 16;

/// Lanes of the widest vector of any target.
pub const MOST_LANES: usize = 16;

/// An instruction set, with the parameters of the cost models for processors that have it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    /// Its name, for `BILRO_ISA`.
    pub name: &'static str,
    /// The family of processors that have it.
    pub architecture: Architecture,
    /// 32-bit lanes of a vector register: a power of two, at most [`MOST_LANES`].
    pub lanes: usize,
    /// Number of vector registers.
    pub registers: usize,
    /// Most vectors of columns in a tile of a product.
    pub most_tile_vectors: usize,
    /// Whether a multiply-add leaves its sum in the register of a factor: then sums move between
    /// registers, and a tile reserves some for that.
    pub sums_move: bool,
    /// Whether transposing a square of as many rows as there are lanes in registers is faster
    /// than gathering its elements.
    pub has_fast_transpose: bool,
    /// Caches and memory.
    pub memory: Memory,
    /// Throughputs and latencies of instructions.
    pub rates: Rates,
}

/// A family of processors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Architecture {
    /// x86-64 with AVX and FMA at least.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

/// The memory hierarchy of a core, for the cost model of products.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Memory {
    /// Bytes that stay in the first cache while other data streams through it.
    pub first_cache: usize,
    /// Bytes that stay in the second cache while other data streams through it.
    pub second_cache: usize,
    /// Bytes a cycle from the second cache.
    pub second_rate: u32,
    /// Bytes a cycle from beyond the second cache.
    pub far_rate: u32,
}

/// Instructions in a cycle, and latencies in cycles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rates {
    /// Vector multiply-adds in a cycle.
    pub multiply_adds: u32,
    /// Vector loads in a cycle.
    pub loads: u32,
    /// Instructions of any kind in a cycle.
    pub instructions: u32,
    /// Cycles from a multiply-add to the next one of the same sum.
    pub latency: u32,
}

/// Measured on a core of 2024; see `benches/README.md`.
const MEMORY: Memory =
    Memory { first_cache: 32 << 10, second_cache: 1 << 20, second_rate: 64, far_rate: 8 };

const RATES: Rates = Rates { multiply_adds: 2, loads: 2, instructions: 6, latency: 4 };

impl Target {
    /// x86-64 with 128-bit vectors.
    pub const X86_64: Target = Target {
        name: "clif",
        architecture: Architecture::X86_64,
        lanes: 4,
        registers: 16,
        most_tile_vectors: 2,
        sums_move: true,
        has_fast_transpose: true,
        memory: MEMORY,
        rates: RATES,
    };

    /// x86-64 with 256-bit vectors: AVX2 and FMA. Transposing in registers takes more exchanges
    /// between halves than it saves: gathers measured faster.
    pub const AVX2: Target = Target {
        name: "avx2",
        lanes: 8,
        most_tile_vectors: 8,
        sums_move: false,
        has_fast_transpose: false,
        ..Target::X86_64
    };

    /// x86-64 with 512-bit vectors and masks: AVX-512 F and DQ.
    pub const AVX512: Target = Target {
        name: "avx512",
        lanes: 16,
        registers: 32,
        has_fast_transpose: true,
        ..Target::AVX2
    };

    /// 64-bit Arm with 128-bit vectors.
    pub const AARCH64: Target =
        Target { architecture: Architecture::Aarch64, registers: 32, ..Target::X86_64 };

    /// All targets, those of an architecture together, the widest last.
    pub const ALL: [Target; 4] = [Target::AARCH64, Target::X86_64, Target::AVX2, Target::AVX512];
}
