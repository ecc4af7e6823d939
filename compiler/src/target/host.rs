//! Detects the targets of the machine that this code runs on.

use super::{Architecture, Target};

/// Whether the processor of this machine has a target's instructions.
pub fn has(target: &Target) -> bool {
    match (target.architecture, target.lanes) {
        // Code generation checks for AVX and FMA, and reports if they are missing.
        (Architecture::X86_64, 4) => cfg!(target_arch = "x86_64"),
        #[cfg(target_arch = "x86_64")]
        (Architecture::X86_64, 8) => {
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
        }
        #[cfg(target_arch = "x86_64")]
        (Architecture::X86_64, 16) => {
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
        }
        (Architecture::Aarch64, 4) => cfg!(target_arch = "aarch64"),
        _ => false,
    }
}

/// The targets of this machine, the widest last.
pub fn targets() -> Vec<Target> {
    let mut found: Vec<Target> = Target::ALL.into_iter().filter(has).collect();
    if found.is_empty() {
        found.push(baseline());
    }
    found
}

/// The target with 128-bit vectors that every machine of this architecture has.
pub const fn baseline() -> Target {
    // On other architectures Cranelift reports that it does not support them.
    if cfg!(target_arch = "aarch64") { Target::AARCH64 } else { Target::X86_64 }
}

/// The widest target of this machine.
pub fn best() -> Target {
    Target::ALL.into_iter().rfind(has).unwrap_or(baseline())
}
