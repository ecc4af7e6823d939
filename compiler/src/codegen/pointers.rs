//! Induction pointers: addresses without multiplications (strength reduction).
//!
//! An element's address is a pointer plus a constant displacement. Elements
//! of one region whose addresses have the same strides share the pointer.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::faults::{self, Fault};
use crate::plan::{Allocation, Region};
use crate::program::{Address, Counter, Instruction, Statement};

/// Displacements stay below this, so that they fit an instruction's 32 bits.
const SPAN: i64 = 1 << 30;

/// The start of a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(super) enum Base {
    /// Zero: not a pointer but an iota, which counts elements.
    Zero,
    /// The region at an index of the table, and bytes from its start.
    Region(usize, i64),
}

/// A pointer: its start, and its strides for some loops
/// in bytes (of iotas: in elements).
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(super) struct Pointer {
    pub base: Base,
    pub strides: Vec<(Counter, i64)>,
}

impl Pointer {
    /// An iota.
    pub fn iota(strides: &[(Counter, isize)]) -> Pointer {
        Pointer { base: Base::Zero, strides: ordered(strides, 1) }
    }

    /// Its stride for a loop; 0 if the loop does not move it.
    pub fn stride(&self, counter: Counter) -> i64 {
        self.strides.iter().find(|(c, _)| *c == counter).map_or(0, |(_, stride)| *stride)
    }

    /// The pointer before a loop.
    pub fn outside(&self, counter: Counter) -> Pointer {
        let strides = self.strides.iter().filter(|(c, _)| *c != counter).copied().collect();
        Pointer { base: self.base, strides }
    }
}

/// The buffers of one program.
pub(super) struct Buffers<'a> {
    buffers: &'a [usize],
    allocations: &'a [Allocation],
    regions: &'a [Region],
}

impl<'a> Buffers<'a> {
    /// The buffers of a program; `allocations` is indexed by their numbers in the plan,
    /// `regions` is the order of the table.
    pub fn new(buffers: &'a [usize], allocations: &'a [Allocation], regions: &'a [Region]) -> Self {
        Buffers { buffers, allocations, regions }
    }

    /// The pointer of an address without its index, and the displacement in bytes.
    pub fn pointer(&self, address: &Address) -> Result<(Pointer, i32), Error> {
        let (base, displacement) = self.base(address)?;
        let mut strides = ordered(&address.strides, 4);
        if faults::is(Fault::PointerStride) {
            strides.iter_mut().for_each(|(_, bytes)| *bytes += 4);
        }
        Ok((Pointer { base, strides }, displacement))
    }

    /// The base of an address's pointer, and the displacement in bytes.
    pub fn base(&self, address: &Address) -> Result<(Base, i32), Error> {
        let buffer = self.buffers[address.buffer];
        let allocation = self
            .allocations
            .get(buffer)
            .ok_or_else(|| Error::Codegen(format!("buffer {buffer} has no allocation")))?;
        let region =
            self.regions.iter().position(|r| *r == allocation.region).ok_or_else(|| {
                Error::Codegen(format!("{:?} is not in the table", allocation.region))
            })?;
        let past = usize::from(faults::is(Fault::AddressPast));
        let bytes = 4 * (allocation.offset + address.offset + past) as i64;
        let displacement = bytes % SPAN;
        Ok((Base::Region(region, bytes - displacement), displacement as i32))
    }

    /// The pointers that are needed at the start of `body`, those of inner
    /// loops with their values before the loop.
    pub fn needed(&self, body: &[Statement]) -> Result<BTreeSet<Pointer>, Error> {
        let mut pointers = BTreeSet::new();
        for statement in body {
            match statement {
                Statement::Loop(l) => {
                    let inner = self.needed(&l.body)?;
                    pointers.extend(inner.iter().map(|p| p.outside(l.counter)));
                }
                // Cranelift has no prefetch instruction, so prefetches need no pointer.
                Statement::Do(Instruction::Prefetch { .. }) => {}
                Statement::Do(instruction) if let Some(address) = instruction.address() => {
                    pointers.insert(self.pointer(address)?.0);
                    if let Some(index) = &address.index {
                        pointers.insert(self.pointer(&index.at)?.0);
                    }
                }
                Statement::Do(Instruction::Iota { strides, .. }) if !strides.is_empty() => {
                    pointers.insert(Pointer::iota(strides));
                }
                Statement::Do(_) => {}
            }
        }
        Ok(pointers)
    }
}

fn ordered(strides: &[(Counter, isize)], unit: i64) -> Vec<(Counter, i64)> {
    let mut strides: Vec<_> =
        strides.iter().map(|(c, stride)| (*c, *stride as i64 * unit)).collect();
    strides.sort_unstable();
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displacements_stay_small_at_any_offset() {
        let allocations = [Allocation { region: Region::Arena, offset: 1 << 29 }];
        let buffers = Buffers::new(&[0], &allocations, &[Region::StepScalars, Region::Arena]);
        let strides = vec![(Counter(0), 5)];
        let address = Address { buffer: 0, offset: 3, strides, index: None };
        let (pointer, displacement) = buffers.pointer(&address).unwrap();
        assert_eq!(pointer.base, Base::Region(1, 1 << 31));
        assert_eq!((pointer.stride(Counter(0)), displacement), (20, 12));
        assert_eq!(pointer.outside(Counter(0)).strides, []);
    }
}
