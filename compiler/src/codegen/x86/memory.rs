//! Loads, stores and gathers for x86-64.

use crate::faults::{self, Fault};
use iced_x86::{Code, Register as Reg};

use super::Emitter;
use super::assembler::{Memory, Operand};
use super::instructions::{Constant, first};
use super::opcodes::{Op, Width};
use super::registers::Load;

/// Lanes up to which strided elements are loaded or stored one by one.
const MOST_SCALARS: usize = 4;

impl Emitter<'_> {
    /// The lower four lanes of a register.
    fn xmm(&self, n: u8) -> Reg {
        Reg::XMM0 + u32::from(n)
    }

    /// Reads memory into a machine register.
    pub(super) fn load(&mut self, to: u8, load: &Load) {
        let (stride, lanes) = (load.lane_stride, load.lanes);
        let mask = (self.width == Width::Zmm && stride == 4 && lanes > 1)
            .then(|| first(lanes))
            .filter(|_| lanes < self.width.lanes())
            .map(|bits| {
                self.locked |= 1 << to;
                self.mask(bits)
            });
        if stride != 0 && stride != 4 && lanes > MOST_SCALARS {
            return self.gather(to, load);
        }
        let temporary =
            (stride == 4 && self.width == Width::Ymm && lanes < 8 && ![1, 4].contains(&lanes))
                .then(|| {
                    self.locked |= 1 << to;
                    self.temporary()
                });
        let element = self.memory(&load.from);
        let at = |lane: usize| {
            let displacement = element.displacement + lane as i64 * stride;
            Memory { displacement, ..element }
        };
        let from = Operand::Memory(element);
        let name = self.name(to);
        if stride == 0 {
            self.two(Op::Broadcast, to, from);
        } else if lanes == 1 {
            self.asm.ro(Op::LoadOne.code(self.width), self.xmm(to), from);
        } else if stride == 4 && lanes == self.width.lanes() {
            self.two(Op::Load, to, from);
        } else if let Some(mask) = mask {
            let instruction = self.asm.ro(Op::Load.code(self.width), name, from);
            instruction.set_op_mask(mask);
            instruction.set_zeroing_masking(true);
        } else if stride == 4 && lanes == 4 {
            self.asm.ro(Code::VEX_Vmovups_xmm_xmmm128, self.xmm(to), from);
        } else if let (4, Some(temporary)) = (stride, temporary) {
            let temporary = self.vector_mask(temporary, lanes);
            self.asm.rro(Code::VEX_Vmaskmovps_ymm_ymm_m256, name, temporary, from);
        } else {
            // A few lanes, one by one.
            let xmm = self.xmm(to);
            self.asm.ro(Op::LoadOne.code(self.width), xmm, from);
            for lane in 1..lanes {
                let from = Operand::Memory(at(lane));
                let code = Op::InsertOne.code(self.width);
                self.asm.rroi(code, xmm, xmm, from, (lane << 4) as i32);
            }
        }
    }

    /// Loads strided elements by a gather instruction.
    fn gather(&mut self, to: u8, load: &Load) {
        self.locked |= 1 << to;
        let offsets = self.temporary();
        let element = self.memory(&load.from);
        let from = self.strided(offsets, element, load.lane_stride);
        let name = self.name(to);
        match self.width {
            Width::Zmm => {
                // The instruction clears its mask.
                let mask = self.fresh_mask(first(load.lanes));
                let code = Code::EVEX_Vgatherdps_zmm_k1_vm32z;
                self.asm.ro(code, name, Operand::Memory(from)).set_op_mask(mask);
            }
            Width::Ymm => {
                let mask = self.temporary();
                let mask = self.vector_mask(mask, load.lanes);
                let code = Code::VEX_Vgatherdps_ymm_vm32y_ymm;
                self.asm.rmr(code, name, from, mask);
            }
        }
    }

    /// A memory operand for strided elements; `to` is set to the vector of their offsets.
    fn strided(&mut self, to: u8, first: Memory, stride: i64) -> Memory {
        let all = self.width.lanes() as u32;
        let bytes: Vec<u32> = (0..all).map(|lane| lane.wrapping_mul(stride as u32)).collect();
        let bytes = self.asm.constant(&bytes);
        self.two(Op::Load, to, Operand::Memory(bytes));
        Memory { lanes: Some(self.name(to)), ..first }
    }

    /// Sets a vector register to a mask of the first lanes.
    fn vector_mask(&mut self, to: u8, lanes: usize) -> Reg {
        let mask: [u32; 8] = std::array::from_fn(|i| if i < lanes { !0 } else { 0 });
        let mask = self.asm.constant(&mask);
        self.two(Op::Load, to, Operand::Memory(mask));
        self.name(to)
    }

    /// Writes a machine register to memory.
    pub(super) fn store(&mut self, to: Memory, from: u8, stride: i64, lanes: usize) {
        let name = self.name(from);
        let all = self.width.lanes();
        let at = |lane: usize| Memory::at(to.base, to.displacement + lane as i64 * stride);
        if lanes == 1 {
            self.asm.mr(Op::StoreOne.code(self.width), to, self.xmm(from));
        } else if stride == 4 && lanes == all {
            self.asm.mr(Op::Store.code(self.width), to, name);
        } else if stride == 4 && self.width == Width::Zmm {
            let mask = self.mask(first(lanes));
            self.asm.mr(Op::Store.code(self.width), to, name).set_op_mask(mask);
        } else if stride == 4 && lanes == 4 {
            self.asm.mr(Code::VEX_Vmovups_xmmm128_xmm, to, self.xmm(from));
        } else if stride == 4 {
            let spare = self.temporary();
            let mask = self.vector_mask(spare, lanes);
            self.asm.mrr(Code::VEX_Vmaskmovps_m256_ymm_ymm, to, mask, name);
        } else if self.width == Width::Zmm && lanes > MOST_SCALARS {
            let offsets = self.temporary();
            let to = self.strided(offsets, to, stride);
            let mask = self.fresh_mask(first(lanes));
            self.asm.mr(Code::EVEX_Vscatterdps_vm32z_k1_zmm, to, name).set_op_mask(mask);
        } else {
            let temporary = (lanes > 4).then(|| self.temporary());
            for first in (0..lanes).step_by(4) {
                let xmm = self.xmm(if first == 0 { from } else { temporary.unwrap_or(from) });
                if first > 0 {
                    let quarter = (first / 4) as i32;
                    self.asm.rri(Op::ExtractFour.code(self.width), xmm, name, quarter);
                }
                self.asm.mr(Op::StoreOne.code(self.width), at(first), xmm);
                for lane in first + 1..lanes.min(first + 4) {
                    let code = Op::ExtractOne.code(self.width);
                    self.asm.mri(code, at(lane), xmm, (lane - first) as i32);
                }
            }
        }
    }

    /// Emits an iota: a counter's value in all lanes plus a constant vector.
    pub(super) fn iota(&mut self, to: u8, pointer: usize, constant: Constant) {
        let base = self.base(pointer);
        // The lower half of the register.
        let low = Reg::EAX + (base as u32 - Reg::RAX as u32);
        let name = self.name(to);
        match self.width {
            Width::Zmm => {
                self.asm.rr(Code::EVEX_Vpbroadcastd_zmm_k1z_r32, name, low);
            }
            Width::Ymm => {
                let four = self.xmm(to);
                self.asm.rr(Code::VEX_Vmovd_xmm_rm32, four, low);
                self.asm.rr(Code::VEX_Vpbroadcastd_ymm_xmmm32, name, four);
            }
        }
        if constant != Constant::Bits(0) && !faults::is(Fault::IndexLanes) {
            let constant = self.constant_operand(constant);
            self.three(Op::IntAdd, to, to, Operand::Memory(constant));
        }
    }
}
