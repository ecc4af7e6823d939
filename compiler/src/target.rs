//! What a kernel needs to know of the instruction set that it is lowered for.

/// An instruction set as programs see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    /// Its name, as `BILRO_ISA` takes it.
    pub name: &'static str,
    /// 32-bit lanes of a vector register: a power of two, at most 16.
    pub lanes: usize,
    /// How many vector registers there are.
    pub registers: usize,
}

impl Target {
    /// 128-bit vectors, which Cranelift has on every machine it supports.
    #[cfg(target_arch = "aarch64")]
    pub const CLIF: Target = Target { name: "clif", lanes: 4, registers: 32 };

    /// 128-bit vectors, which Cranelift has on every machine it supports.
    #[cfg(not(target_arch = "aarch64"))]
    pub const CLIF: Target = Target { name: "clif", lanes: 4, registers: 16 };

    /// 256-bit vectors: AVX2 and FMA.
    pub const AVX2: Target = Target { name: "avx2", lanes: 8, registers: 16 };

    /// 512-bit vectors and masks: AVX-512 F and DQ.
    pub const AVX512: Target = Target { name: "avx512", lanes: 16, registers: 32 };

    /// All of them, the widest last.
    pub const ALL: [Target; 3] = [Target::CLIF, Target::AVX2, Target::AVX512];

    /// Whether this processor has it.
    pub fn is_available(&self) -> bool {
        match self.lanes {
            4 => true,
            #[cfg(target_arch = "x86_64")]
            8 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            16 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq"),
            _ => false,
        }
    }

    /// Those that this processor has, the widest last.
    pub fn all_available() -> Vec<Target> {
        Target::ALL.into_iter().filter(Target::is_available).collect()
    }

    /// The widest that this processor has.
    pub fn best() -> Target {
        Target::ALL.into_iter().rfind(Target::is_available).unwrap_or(Target::CLIF)
    }
}
