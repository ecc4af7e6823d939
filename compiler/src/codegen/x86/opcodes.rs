//! Opcodes for 256-bit and for 512-bit registers.

use iced_x86::{Code, Register as Reg};

/// The width of vectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Width {
    /// Eight lanes; a mask is a vector, of ones where it is true.
    Ymm,
    /// Sixteen lanes; masks have registers of their own.
    Zmm,
}

impl Width {
    /// The width with this number of lanes, if there is one.
    pub fn of(lanes: usize) -> Option<Width> {
        match lanes {
            8 => Some(Width::Ymm),
            16 => Some(Width::Zmm),
            _ => None,
        }
    }

    pub fn lanes(self) -> usize {
        match self {
            Width::Ymm => 8,
            Width::Zmm => 16,
        }
    }

    /// The number of vector registers.
    pub fn registers(self) -> u8 {
        match self {
            Width::Ymm => 16,
            Width::Zmm => 32,
        }
    }

    /// A vector register.
    pub fn vector(self, number: u8) -> Reg {
        let first = match self {
            Width::Ymm => Reg::YMM0,
            Width::Zmm => Reg::ZMM0,
        };
        first + u32::from(number)
    }
}

macro_rules! operations {
    ($($Op:ident: $ymm:ident, $zmm:ident;)*) => {
        /// Operations that both widths have.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Op { $($Op),* }

        impl Op {
            pub fn code(self, width: Width) -> Code {
                match (self, width) {
                    $((Op::$Op, Width::Ymm) => Code::$ymm,
                    (Op::$Op, Width::Zmm) => Code::$zmm,)*
                }
            }
        }
    };
}

operations! {
    Add: VEX_Vaddps_ymm_ymm_ymmm256, EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er;
    Sub: VEX_Vsubps_ymm_ymm_ymmm256, EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er;
    Mul: VEX_Vmulps_ymm_ymm_ymmm256, EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er;
    Div: VEX_Vdivps_ymm_ymm_ymmm256, EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er;
    Max: VEX_Vmaxps_ymm_ymm_ymmm256, EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae;
    Min: VEX_Vminps_ymm_ymm_ymmm256, EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae;
    Sqrt: VEX_Vsqrtps_ymm_ymmm256, EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er;
    MulAdd132: VEX_Vfmadd132ps_ymm_ymm_ymmm256, EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er;
    MulAdd213: VEX_Vfmadd213ps_ymm_ymm_ymmm256, EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er;
    MulAdd231: VEX_Vfmadd231ps_ymm_ymm_ymmm256, EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er;
    Compare: VEX_Vcmpps_ymm_ymm_ymmm256_imm8, EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae;
    IntAdd: VEX_Vpaddd_ymm_ymm_ymmm256, EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32;
    IntSub: VEX_Vpsubd_ymm_ymm_ymmm256, EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32;
    IntEqual: VEX_Vpcmpeqd_ymm_ymm_ymmm256, EVEX_Vpcmpeqd_kr_k1_zmm_zmmm512b32;
    IntGreater: VEX_Vpcmpgtd_ymm_ymm_ymmm256, EVEX_Vpcmpgtd_kr_k1_zmm_zmmm512b32;
    And: VEX_Vpand_ymm_ymm_ymmm256, EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32;
    Or: VEX_Vpor_ymm_ymm_ymmm256, EVEX_Vpord_zmm_k1z_zmm_zmmm512b32;
    Xor: VEX_Vpxor_ymm_ymm_ymmm256, EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32;
    ShiftLeft: VEX_Vpslld_ymm_ymm_imm8, EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8;
    ShiftRight: VEX_Vpsrad_ymm_ymm_imm8, EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8;
    ShiftBitsRight: VEX_Vpsrld_ymm_ymm_imm8, EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8;
    ToFloat: VEX_Vcvtdq2ps_ymm_ymmm256, EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er;
    Load: VEX_Vmovups_ymm_ymmm256, EVEX_Vmovups_zmm_k1z_zmmm512;
    Store: VEX_Vmovups_ymmm256_ymm, EVEX_Vmovups_zmmm512_k1z_zmm;
    Move: VEX_Vmovaps_ymm_ymmm256, EVEX_Vmovaps_zmm_k1z_zmmm512;
    Broadcast: VEX_Vbroadcastss_ymm_m32, EVEX_Vbroadcastss_zmm_k1z_xmmm32;
    LoadOne: VEX_Vmovss_xmm_m32, EVEX_Vmovss_xmm_k1z_m32;
    StoreOne: VEX_Vmovss_m32_xmm, EVEX_Vmovss_m32_k1_xmm;
    InsertOne: VEX_Vinsertps_xmm_xmm_xmmm32_imm8, EVEX_Vinsertps_xmm_xmm_xmmm32_imm8;
    ExtractOne: VEX_Vextractps_rm32_xmm_imm8, EVEX_Vextractps_rm32_xmm_imm8;
    ExtractFour: VEX_Vextractf128_xmmm128_ymm_imm8, EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8;
}
