//! Addressing: pointers and counters in general registers, or spilled to the stack.

use iced_x86::{Code, Register as Reg};
use rustc_hash::FxHashMap;

use super::Emitter;
use super::assembler::{Memory, Operand};
use crate::codegen::pointers::{Base, Buffers, Pointer};
use crate::error::Error;
use crate::program::{Address, Count, Counter, Instruction, Loop, Statement};

/// The address of an element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// An index into the program's pointers.
    pub pointer: usize,
    /// Bytes from the pointer.
    pub displacement: i64,
    /// A further offset, by an integer in memory.
    pub index: Option<Indexed>,
}

/// A stride times an integer in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indexed {
    /// An index into the program's pointers.
    pub pointer: usize,
    /// Bytes from the pointer to the integer.
    pub displacement: i64,
    /// The stride in bytes.
    pub stride: i64,
}

impl Reach {
    /// The indices of its pointers.
    fn pointers(&self) -> impl Iterator<Item = usize> {
        [Some(self.pointer), self.index.map(|index| index.pointer)].into_iter().flatten()
    }
}

/// A value with a location: a pointer or a counter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(super) enum Item {
    /// An index into the program's pointers.
    Pointer(usize),
    /// The remaining iterations of a loop.
    Counter(Counter),
}

/// The location of an item: a register or a stack slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Location {
    Register(Reg),
    Stack(i64),
}

/// The registers for items; the last five are callee-saved.
const REGISTERS: [Reg; 11] = [
    Reg::RCX,
    Reg::RDX,
    Reg::RSI,
    Reg::R8,
    Reg::R9,
    Reg::R10,
    Reg::RBX,
    Reg::R12,
    Reg::R13,
    Reg::R14,
    Reg::R15,
];

/// An item that has a register while an inner loop runs.
pub(super) struct Borrowed {
    item: Item,
    location: Location,
    /// The item that the register was taken from, the register, and that item's stack slot.
    from: Option<(Item, Reg, i64)>,
}

impl Emitter<'_> {
    /// Assigns locations to all items of an outermost loop; those of inner loops get registers
    /// first.
    pub(super) fn settle(&mut self, l: &Loop) {
        let mut weights = FxHashMap::default();
        self.weigh(l, 1, &mut self.next.clone(), &mut weights);
        let mut items: Vec<(Item, u64)> = weights.into_iter().collect();
        items.sort_unstable_by_key(|(item, weight)| (u64::MAX - weight, *item));
        self.locations.clear();
        self.moving.clear();
        for (i, (item, _)) in items.into_iter().enumerate() {
            let location = match REGISTERS.get(i) {
                Some(r) => Location::Register(*r),
                None => Location::Stack(self.frame(8)),
            };
            if let Item::Pointer(pointer) = item {
                self.moving.push(pointer);
            }
            self.locations.insert(item, location);
        }
        for r in REGISTERS {
            if !self.used.contains(&r)
                && self.locations.values().any(|h| *h == Location::Register(r))
            {
                self.used.push(r);
            }
        }
    }

    /// Estimates the number of uses of the items of a loop; `at` is the number of its first
    /// instruction.
    fn weigh(&self, l: &Loop, times: u64, at: &mut usize, weights: &mut FxHashMap<Item, u64>) {
        let inside = times.saturating_mul(10);
        if l.count != Count::Fixed(1) {
            *weights.entry(Item::Counter(l.counter)).or_default() += 2 * inside;
        }
        for statement in &l.body {
            match statement {
                Statement::Loop(l) => self.weigh(l, inside, at, weights),
                Statement::Do(_) => {
                    for pointer in self.addresses[*at].iter().flat_map(Reach::pointers) {
                        *weights.entry(Item::Pointer(pointer)).or_default() += inside;
                    }
                    *at += 1;
                }
            }
        }
    }

    /// The pointers of some instructions, and the address of each instruction that has one.
    pub(super) fn addresses(
        buffers: &Buffers<'_>,
        instructions: &[&Instruction],
    ) -> Result<(Vec<Pointer>, Vec<Option<Reach>>), Error> {
        let mut known: FxHashMap<Pointer, usize> = FxHashMap::default();
        let mut pointers = Vec::new();
        let mut addresses = Vec::with_capacity(instructions.len());
        let mut number = |pointer: Pointer| {
            *known.entry(pointer).or_insert_with_key(|pointer| {
                pointers.push(pointer.clone());
                pointers.len() - 1
            })
        };
        // The last address in each buffer: most have the same pointer as the one before.
        let mut last: FxHashMap<usize, (&Address, Base, usize)> = FxHashMap::default();
        for instruction in instructions {
            let mut resolve = |address| -> Result<(usize, i64), Error> {
                let (base, displacement) = buffers.base(address)?;
                let found = last.get(&address.buffer);
                let number = match found.filter(|l| l.0.strides == address.strides && l.1 == base) {
                    Some((_, _, number)) => *number,
                    None => number(buffers.pointer(address)?.0),
                };
                last.insert(address.buffer, (address, base, number));
                Ok((number, displacement.into()))
            };
            addresses.push(match (instruction, instruction.address()) {
                (_, Some(address)) => {
                    let (pointer, displacement) = resolve(address)?;
                    let index = match &address.index {
                        Some(index) => {
                            let (pointer, displacement) = resolve(&index.at)?;
                            let stride = 4 * index.stride as i64;
                            Some(Indexed { pointer, displacement, stride })
                        }
                        None => None,
                    };
                    Some(Reach { pointer, displacement, index })
                }
                (Instruction::Iota { strides, .. }, None) if !strides.is_empty() => {
                    let pointer = number(Pointer::iota(strides));
                    Some(Reach { pointer, displacement: 0, index: None })
                }
                _ => None,
            });
        }
        Ok((pointers, addresses))
    }

    /// The address of the next instruction's element.
    pub(super) fn address(&self) -> Result<Reach, Error> {
        self.addresses[self.next].ok_or_else(|| Error::Codegen("no address".into()))
    }

    /// Sets the pointers to their values in the first iteration of an outermost loop;
    /// `start` is the stack slot with the number of that iteration, if not zero.
    pub(super) fn start_pointers(&mut self, counter: Counter, start: Option<i64>) {
        for pointer in self.moving.clone() {
            self.start_pointer(pointer);
            let stride = self.pointers[pointer].stride(counter);
            if let Some(start) = start.filter(|_| stride != 0) {
                let start = Memory::at(Reg::RSP, start);
                match i32::try_from(stride) {
                    Ok(stride) => {
                        self.asm.rmi(Code::Imul_r64_rm64_imm32, Reg::R11, start, stride);
                    }
                    Err(_) => {
                        self.asm.rl(Code::Mov_r64_imm64, Reg::R11, stride);
                        self.asm.ro(Code::Imul_r64_rm64, Reg::R11, Operand::Memory(start));
                    }
                }
                self.asm.ro(Code::Add_r64_rm64, Reg::RAX, Operand::Register(Reg::R11));
            }
            self.set(&Item::Pointer(pointer), Reg::RAX);
        }
    }

    /// Loads a pointer's value at zero counters into `rax`.
    fn start_pointer(&mut self, pointer: usize) {
        match self.pointers[pointer].base {
            Base::Zero => {
                self.asm.ri(Code::Mov_r32_imm32, Reg::EAX, 0);
            }
            Base::Region(region, bytes) => {
                let from = Memory::at(Reg::RDI, 8 * region as i64);
                self.asm.ro(Code::Mov_r64_rm64, Reg::RAX, Operand::Memory(from));
                if bytes != 0 {
                    self.asm.rl(Code::Mov_r64_imm64, Reg::R11, bytes);
                    self.asm.ro(Code::Add_r64_rm64, Reg::RAX, Operand::Register(Reg::R11));
                }
            }
        }
    }

    /// Sets an item to the value of a register.
    pub(super) fn set(&mut self, item: &Item, value: Reg) {
        match self.locations[item] {
            Location::Register(r) => {
                self.asm.ro(Code::Mov_r64_rm64, r, Operand::Register(value));
            }
            Location::Stack(at) => {
                self.asm.mr(Code::Mov_rm64_r64, Memory::at(Reg::RSP, at), value);
            }
        }
    }

    /// The register with a pointer: loaded into `rax` if it has none.
    pub(super) fn base(&mut self, pointer: usize) -> Reg {
        match self.locations.get(&Item::Pointer(pointer)) {
            Some(Location::Register(r)) => *r,
            Some(Location::Stack(at)) => {
                let from = Memory::at(Reg::RSP, *at);
                self.asm.ro(Code::Mov_r64_rm64, Reg::RAX, Operand::Memory(from));
                Reg::RAX
            }
            // Outside of all loops.
            None => {
                self.start_pointer(pointer);
                Reg::RAX
            }
        }
    }

    /// A memory operand for an element, valid until the next use of `rax`, which may be its
    /// base.
    pub(super) fn memory(&mut self, reach: &Reach) -> Memory {
        let Some(index) = reach.index else {
            return Memory::at(self.base(reach.pointer), reach.displacement);
        };
        let at = Memory::at(self.base(index.pointer), index.displacement);
        // A 32-bit load clears the upper half.
        self.asm.ro(Code::Mov_r32_rm32, Reg::R11D, Operand::Memory(at));
        match i32::try_from(index.stride) {
            Ok(stride) => {
                self.asm.rri(Code::Imul_r64_rm64_imm32, Reg::R11, Reg::R11, stride);
            }
            Err(_) => {
                self.asm.rl(Code::Mov_r64_imm64, Reg::RAX, index.stride);
                self.asm.ro(Code::Imul_r64_rm64, Reg::R11, Operand::Register(Reg::RAX));
            }
        }
        // Outside of all loops it has no register, and computing its start overwrites `r11`.
        let base = match self.locations.get(&Item::Pointer(reach.pointer)) {
            Some(Location::Register(r)) => Operand::Register(*r),
            Some(Location::Stack(at)) => Operand::Memory(Memory::at(Reg::RSP, *at)),
            None => {
                let index = self.frame(8);
                self.asm.mr(Code::Mov_rm64_r64, Memory::at(Reg::RSP, index), Reg::R11);
                self.start_pointer(reach.pointer);
                let index = Operand::Memory(Memory::at(Reg::RSP, index));
                self.asm.ro(Code::Add_r64_rm64, Reg::RAX, index);
                return Memory::at(Reg::RAX, reach.displacement);
            }
        };
        self.asm.ro(Code::Mov_r64_rm64, Reg::RAX, base);
        self.asm.ro(Code::Add_r64_rm64, Reg::RAX, Operand::Register(Reg::R11));
        Memory::at(Reg::RAX, reach.displacement)
    }

    /// Increments an item.
    pub(super) fn advance(&mut self, item: &Item, by: i64) {
        let location = self.locations[item];
        if let Ok(by) = i32::try_from(by) {
            match location {
                Location::Register(r) => self.asm.ri(Code::Add_rm64_imm32, r, by),
                Location::Stack(at) => {
                    self.asm.mi(Code::Add_rm64_imm32, Memory::at(Reg::RSP, at), by)
                }
            };
            return;
        }
        self.asm.rl(Code::Mov_r64_imm64, Reg::R11, by);
        match location {
            Location::Register(r) => {
                self.asm.ro(Code::Add_r64_rm64, r, Operand::Register(Reg::R11));
            }
            Location::Stack(at) => {
                self.asm.mr(Code::Add_rm64_r64, Memory::at(Reg::RSP, at), Reg::R11);
            }
        }
    }

    /// Advances the pointers of a loop by some of its iterations, except those in `excluded`.
    pub(super) fn advance_pointers(
        &mut self,
        counter: Counter,
        iterations: i64,
        excluded: &[Borrowed],
    ) {
        for pointer in self.moving.clone() {
            let stride = self.pointers[pointer].stride(counter);
            let item = Item::Pointer(pointer);
            if stride != 0 && excluded.iter().all(|b| b.item != item) {
                self.advance(&item, stride * iterations);
            }
        }
    }

    /// Before an innermost loop: moves its items to registers, as far as there are registers
    /// that it does not use.
    pub(super) fn borrow(&mut self, l: &Loop) -> Vec<Borrowed> {
        let mut weights = FxHashMap::default();
        self.weigh(l, 1, &mut self.next.clone(), &mut weights);
        let mut items: Vec<&Item> = weights.keys().collect();
        items.sort_unstable();
        let mut borrowed = Vec::new();
        for item in items {
            let location = self.locations[item];
            let Location::Stack(at) = location else { continue };
            let taken = |r: Reg| self.locations.values().any(|h| *h == Location::Register(r));
            let from = match REGISTERS.into_iter().find(|r| !taken(*r)) {
                Some(r) => (r, None),
                None => {
                    let mut others: Vec<(&Item, &Location)> = self
                        .locations
                        .iter()
                        .filter(|(item, _)| !weights.contains_key(*item))
                        .collect();
                    others.sort_unstable_by_key(|(item, _)| **item);
                    let other = others.into_iter().find_map(|(item, location)| match location {
                        Location::Register(r) => Some((*item, *r)),
                        Location::Stack(_) => None,
                    });
                    let Some((other, r)) = other else { break };
                    (r, Some(other))
                }
            };
            let (r, other) = from;
            let from = other.map(|other| {
                let at = self.frame(8);
                self.asm.mr(Code::Mov_rm64_r64, Memory::at(Reg::RSP, at), r);
                self.locations.insert(other, Location::Stack(at));
                (other, r, at)
            });
            if matches!(item, Item::Pointer(_)) {
                let stack = Operand::Memory(Memory::at(Reg::RSP, at));
                self.asm.ro(Code::Mov_r64_rm64, r, stack);
            }
            if !self.used.contains(&r) {
                self.used.push(r);
            }
            self.locations.insert(*item, Location::Register(r));
            borrowed.push(Borrowed { item: *item, location, from });
        }
        borrowed
    }

    /// After that loop: restores the locations. The stack slots of borrowed items still have
    /// their values from before the loop.
    pub(super) fn return_borrowed(&mut self, borrowed: Vec<Borrowed>) {
        for Borrowed { item, location, from } in borrowed {
            self.locations.insert(item, location);
            if let Some((other, r, at)) = from {
                let stack = Operand::Memory(Memory::at(Reg::RSP, at));
                self.asm.ro(Code::Mov_r64_rm64, r, stack);
                self.locations.insert(other, Location::Register(r));
            }
        }
    }

    /// Decrements a counter; sets the flags for the test of the loop's end.
    pub(super) fn count_down(&mut self, counter: Counter) {
        match self.locations[&Item::Counter(counter)] {
            Location::Register(r) => {
                self.asm.one(Code::Dec_rm64, r);
            }
            Location::Stack(at) => {
                self.asm.m(Code::Dec_rm64, Memory::at(Reg::RSP, at));
            }
        }
    }

    /// Sets a counter to the number of iterations.
    pub(super) fn start_counter(&mut self, counter: Counter, count: Count, parallel: i64) {
        let item = Item::Counter(counter);
        match count {
            Count::Fixed(n) => match (i32::try_from(n), self.locations[&item]) {
                (Ok(n), Location::Register(r)) => {
                    self.asm.ri(Code::Mov_rm64_imm32, r, n);
                }
                (Ok(n), Location::Stack(at)) => {
                    self.asm.mi(Code::Mov_rm64_imm32, Memory::at(Reg::RSP, at), n);
                }
                (Err(_), _) => {
                    self.asm.rl(Code::Mov_r64_imm64, Reg::RAX, n as i64);
                    self.set(&item, Reg::RAX);
                }
            },
            Count::Parallel { .. } => {
                let from = Operand::Memory(Memory::at(Reg::RSP, parallel));
                self.asm.ro(Code::Mov_r64_rm64, Reg::RAX, from);
                self.set(&item, Reg::RAX);
            }
        }
    }
}
