//! Induction pointers: addresses without multiplications.
//!
//! Addresses without multiplications: which pointers a loop keeps, and how far
//! they move.
//!
//! An element's address is a pointer plus a number that is known now. Elements
//! of one region whose addresses move alike share the pointer.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::plan::{Allocation, Region};
use crate::program::{Address, Counter, Instruction, Statement};

/// Displacements stay below this, so that they fit an instruction's 32 bits.
const SPAN: i64 = 1 << 30;

/// What a pointer starts from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(super) enum Base {
    /// Zero: not a pointer but a position, which counts elements.
    Zero,
    /// So many bytes from the start of the region at this place in the table.
    Region(usize, i64),
}

/// A pointer: from where, and how far every iteration of some loops moves it,
/// in bytes (positions: in elements).
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(super) struct Pointer {
    pub base: Base,
    pub strides: Vec<(Counter, i64)>,
}

impl Pointer {
    /// A position.
    pub fn iota(steps: &[(Counter, usize)]) -> Pointer {
        Pointer { base: Base::Zero, strides: ordered(steps, 1) }
    }

    /// How far an iteration of one loop moves it; 0 where not at all.
    pub fn stride(&self, counter: Counter) -> i64 {
        self.strides.iter().find(|(c, _)| *c == counter).map_or(0, |(_, step)| *step)
    }

    /// The same at the start of one loop.
    pub fn outside(&self, counter: Counter) -> Pointer {
        let steps = self.strides.iter().filter(|(c, _)| *c != counter).copied().collect();
        Pointer { base: self.base, strides: steps }
    }
}

/// The buffers of one program.
pub(super) struct Buffers<'a> {
    buffers: &'a [usize],
    allocations: &'a [Allocation],
    regions: &'a [Region],
}

impl<'a> Buffers<'a> {
    /// Of a program's `buffers`; `allocations` by number of the buffer in the plan,
    /// `regions` in the order of the table that is passed to the code.
    pub fn new(buffers: &'a [usize], allocations: &'a [Allocation], regions: &'a [Region]) -> Self {
        Buffers { buffers, allocations, regions }
    }

    /// The pointer of an address without its index, and the bytes from there.
    pub fn pointer(&self, address: &Address) -> Result<(Pointer, i32), Error> {
        let (base, rest) = self.base(address)?;
        Ok((Pointer { base, strides: ordered(&address.strides, 4) }, rest))
    }

    /// What an address's pointer starts from, and the bytes from the pointer.
    pub fn base(&self, address: &Address) -> Result<(Base, i32), Error> {
        let buffer = self.buffers[address.buffer];
        let place = self
            .allocations
            .get(buffer)
            .ok_or_else(|| Error::Codegen(format!("buffer {buffer} has no place")))?;
        let region = self
            .regions
            .iter()
            .position(|r| *r == place.region)
            .ok_or_else(|| Error::Codegen(format!("{:?} is not in the table", place.region)))?;
        let bytes = 4 * (place.offset + address.offset) as i64;
        let rest = bytes % SPAN;
        Ok((Base::Region(region, bytes - rest), rest as i32))
    }

    /// The pointers that are needed at the start of `body`, those of inner
    /// loops as they are before them.
    pub fn needed(&self, body: &[Statement]) -> Result<BTreeSet<Pointer>, Error> {
        let mut pointers = BTreeSet::new();
        for statement in body {
            match statement {
                Statement::Loop(l) => {
                    let inner = self.needed(&l.body)?;
                    pointers.extend(inner.iter().map(|p| p.outside(l.counter)));
                }
                Statement::Do(Instruction::Load { from: address, .. })
                | Statement::Do(Instruction::Store { to: address, .. }) => {
                    // Cranelift has no prefetch: those need no pointer.
                    pointers.insert(self.pointer(address)?.0);
                    if let Some(index) = &address.index {
                        pointers.insert(self.pointer(&index.at)?.0);
                    }
                }
                Statement::Do(Instruction::Iota { strides: steps, .. }) if !steps.is_empty() => {
                    pointers.insert(Pointer::iota(steps));
                }
                Statement::Do(_) => {}
            }
        }
        Ok(pointers)
    }
}

fn ordered(steps: &[(Counter, usize)], unit: i64) -> Vec<(Counter, i64)> {
    let mut steps: Vec<_> = steps.iter().map(|(c, step)| (*c, *step as i64 * unit)).collect();
    steps.sort_unstable();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displacements_stay_small_however_far_a_tensor_lies() {
        let allocations = [Allocation { region: Region::Arena, offset: 1 << 29 }];
        let buffers = Buffers::new(&[0], &allocations, &[Region::StepScalars, Region::Arena]);
        let steps = vec![(Counter(0), 5)];
        let address = Address { buffer: 0, offset: 3, strides: steps, index: None };
        let (pointer, displacement) = buffers.pointer(&address).unwrap();
        assert_eq!(pointer.base, Base::Region(1, 1 << 31));
        assert_eq!((pointer.stride(Counter(0)), displacement), (20, 12));
        assert_eq!(pointer.outside(Counter(0)).strides, []);
    }
}
