//! The monitor of a sanitised call: shadow memory with the state of every element of the arena and
//! of the parameters, and the rules for accesses.

use std::ops::Range;

use super::{AccessFault, Extent, InvalidAccess, Run, Sanitized, Site, each_instruction};
use crate::plan::Region;
use crate::program::{Access, Instruction, Program};

/// The state of memory during one call, and its first invalid access.
#[derive(Debug)]
pub struct Monitor<'a> {
    sanitized: &'a Sanitized,
    arena: Vec<Cell>,
    parameters: Vec<Cell>,
    /// For each buffer, the number of kernels that access it and have not finished.
    users: Vec<usize>,
    kernel: usize,
    phase: u32,
    task: u32,
    found: Option<Box<InvalidAccess>>,
}

/// The state of an element.
#[derive(Clone, Copy, Debug)]
struct Cell {
    /// The buffer whose value it holds, or [`NOTHING`] or [`GIVEN`].
    owner: u32,
    /// The kernel of the last store.
    kernel: u32,
    /// The last store and the last load.
    stored: Stamp,
    loaded: Stamp,
}

/// No value.
const NOTHING: u32 = u32::MAX;
/// The value from before the call.
const GIVEN: u32 = u32::MAX - 1;

/// A point in the schedule of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    /// 0 for never.
    phase: u32,
    task: u32,
}

/// More than one task.
const SEVERAL: u32 = u32::MAX;

impl Stamp {
    const NEVER: Stamp = Stamp { phase: 0, task: 0 };

    /// Whether it is at the same time as a run that conflicts with it.
    fn conflicts(self, now: Stamp) -> bool {
        self.phase == now.phase && self.task != now.task
    }
}

impl<'a> Monitor<'a> {
    /// The state before a call: the parameters have their values, the arena has none.
    pub fn new(sanitized: &'a Sanitized) -> Monitor<'a> {
        let interface = &sanitized.artifact.interface;
        let cells = |owner: u32, count: usize| {
            let cell = Cell { owner, kernel: NOTHING, stored: Stamp::NEVER, loaded: Stamp::NEVER };
            vec![cell; count]
        };
        let mut users = vec![0; sanitized.extents.len()];
        for t in sanitized.accessed.iter().flatten() {
            users[*t] += 1;
        }
        Monitor {
            sanitized,
            arena: cells(NOTHING, interface.arena),
            parameters: cells(GIVEN, interface.parameters.elements),
            users,
            kernel: 0,
            phase: 0,
            task: 0,
            found: None,
        }
    }

    /// Begins a run.
    pub fn start(&mut self, run: &Run) {
        (self.kernel, self.phase, self.task) = (run.kernel, run.phase, run.task);
    }

    /// The buffer of a check of the current kernel, by its number in the plan.
    pub fn buffer_of(&self, number: u32) -> Option<usize> {
        let sites = self.sanitized.checks.get(self.kernel)?;
        sites.get(number as usize).map(|site| site.buffer)
    }

    /// Checks an access of the current run, by its number in the program. `element` is that
    /// at the address of the first lane, counted from its buffer's start; as an error, the address
    /// is within this element. `index` reads the integer there, once it is
    /// known to be in the buffer. Returns whether the program may continue.
    pub fn check(
        &mut self,
        number: u32,
        element: Result<i64, i64>,
        index: impl FnOnce() -> u32,
    ) -> bool {
        let checks = self.sanitized.checks.get(self.kernel);
        let Some(site) = checks.and_then(|sites| sites.get(number as usize)).copied() else {
            return false;
        };
        let found = self.allows(&site, element, index);
        if let Err((element, cause)) = found {
            self.report(site.buffer, element, cause, |program| instruction(program, number));
            return false;
        }
        true
    }

    fn allows(
        &mut self,
        site: &Site,
        element: Result<i64, i64>,
        index: impl FnOnce() -> u32,
    ) -> Result<(), (i64, AccessFault)> {
        let sanitized = self.sanitized;
        let extent = &sanitized.extents[site.buffer];
        let element = element.map_err(|element| (element, AccessFault::Misaligned))?;
        let count = if site.lane_stride == 0 { 1 } else { site.lanes };
        let range = 0..extent.elements as i64;
        let stride = site.lane_stride as i64;
        let lane = |i: usize| element.saturating_add((i as i64).saturating_mul(stride));
        if !range.contains(&element) || !range.contains(&lane(count - 1)) {
            let outside = (0..count).map(lane).find(|e| !range.contains(e));
            return Err((outside.unwrap_or(element), AccessFault::OutOfBounds));
        }
        for i in 0..count {
            let element = lane(i);
            let state = match site.access {
                Access::Store => self.store(site.buffer, extent, element as usize),
                Access::Load | Access::Index { .. } => {
                    self.load(site.buffer, extent, element as usize)
                }
            };
            state.map_err(|cause| (element, cause))?;
        }
        if let Access::Index { below } = site.access {
            let found = index();
            if found as usize >= below {
                return Err((element, AccessFault::Index { found, below }));
            }
        }
        Ok(())
    }

    fn cell(&mut self, extent: &Extent, element: usize) -> Option<&mut Cell> {
        let cells = match extent.allocation.region {
            Region::Arena => &mut self.arena,
            Region::Parameters => &mut self.parameters,
            _ => return None,
        };
        cells.get_mut(extent.allocation.offset + element)
    }

    fn now(&self) -> Stamp {
        Stamp { phase: self.phase, task: self.task }
    }

    fn load(&mut self, buffer: usize, extent: &Extent, element: usize) -> Result<(), AccessFault> {
        let now = self.now();
        let sanitized = self.sanitized;
        let Some(cell) = self.cell(extent, element) else { return Ok(()) };
        if extent.is_padding(element) {
            return Ok(());
        }
        if cell.stored.conflicts(now) {
            return Err(AccessFault::Race { kernel: cell.kernel as usize });
        }
        match cell.owner {
            owner if owner as usize == buffer => {}
            GIVEN if extent.is_given => {}
            GIVEN | NOTHING => return Err(AccessFault::Uninitialized),
            owner => {
                let value = sanitized.artifact.buffers[owner as usize].name.clone();
                return Err(AccessFault::Overwritten { value, kernel: cell.kernel as usize });
            }
        }
        cell.loaded = match cell.loaded.conflicts(now) {
            true => Stamp { phase: now.phase, task: SEVERAL },
            false => now,
        };
        Ok(())
    }

    fn store(&mut self, buffer: usize, extent: &Extent, element: usize) -> Result<(), AccessFault> {
        let (now, kernel) = (self.now(), self.kernel);
        let sanitized = self.sanitized;
        let name = |t: usize| sanitized.artifact.buffers[t].name.clone();
        if extent.is_given {
            return Err(AccessFault::ReadOnly);
        }
        let Some(cell) = self.cell(extent, element) else { return Err(AccessFault::ReadOnly) };
        let Cell { owner, kernel: writer, stored, loaded } = *cell;
        if stored.conflicts(now) || loaded.conflicts(now) {
            return Err(AccessFault::Race { kernel: writer as usize });
        }
        match owner {
            NOTHING => {}
            GIVEN => {
                let needed = extent.given.iter().find(|given| self.is_needed_later(**given));
                if let Some(given) = needed
                    && !sanitized.extents[*given].is_padding(
                        (extent.allocation.offset + element)
                            - sanitized.extents[*given].allocation.offset,
                    )
                {
                    return Err(AccessFault::Live { value: name(*given) });
                }
            }
            owner if owner as usize == buffer => {
                if writer as usize != kernel {
                    return Err(AccessFault::Rewritten { kernel: writer as usize });
                }
            }
            owner => {
                let other = owner as usize;
                // In the arena also where the current kernel is the last one that reads it: only
                // parameters are overwritten in place.
                let in_arena = extent.allocation.region == Region::Arena && self.users[other] > 0;
                if in_arena || self.is_needed_later(other) || sanitized.extents[other].is_root {
                    return Err(AccessFault::Live { value: name(other) });
                }
            }
        }
        if let Some(cell) = self.cell(extent, element) {
            *cell = Cell { owner: buffer as u32, kernel: kernel as u32, stored: now, loaded };
        }
        Ok(())
    }

    /// Whether a kernel after the current one accesses a buffer.
    fn is_needed_later(&self, buffer: usize) -> bool {
        let now = usize::from(self.sanitized.accessed[self.kernel].binary_search(&buffer).is_ok());
        self.users[buffer] > now
    }

    /// Ends a kernel. Returns the ranges of the arena without a value from here on.
    pub fn finish(&mut self, kernel: usize) -> Vec<Range<usize>> {
        let sanitized = self.sanitized;
        let mut dead = Vec::new();
        for t in &sanitized.accessed[kernel] {
            self.users[*t] -= 1;
            let Extent { allocation, elements, is_root, .. } = &sanitized.extents[*t];
            if self.users[*t] > 0 || *is_root || allocation.region != Region::Arena {
                continue;
            }
            let range = allocation.offset..allocation.offset + elements;
            let Some(cells) = self.arena.get_mut(range.clone()) else { continue };
            cells.iter_mut().for_each(|cell| cell.owner = NOTHING);
            dead.push(range);
        }
        dead
    }

    /// Reports the first element, of the arena or the parameters, that differs from its value
    /// before the current kernel though the kernel has not stored to it.
    pub fn find_unchecked(&mut self, region: Region, before: &[u32], after: &[u32]) {
        let cells = if region == Region::Arena { &self.arena } else { &self.parameters };
        let changed = before.iter().zip(after).zip(cells);
        let is_unchecked = |((before, after), cell): ((&u32, &u32), &Cell)| {
            before != after && cell.kernel as usize != self.kernel
        };
        let Some(offset) = changed.map(is_unchecked).position(|unchecked| unchecked) else {
            return;
        };
        let extents = &self.sanitized.extents;
        let has = |t: &usize| {
            let Extent { allocation, elements, .. } = &extents[*t];
            let range = allocation.offset..allocation.offset + elements;
            allocation.region == region && range.contains(&offset)
        };
        // The one whose value is there, or else the last in this memory.
        let owner = cells[offset].owner as usize;
        let buffer = (0..extents.len()).filter(has).max_by_key(|t| (*t == owner, *t));
        let Some(buffer) = buffer else { return };
        let element = (offset - extents[buffer].allocation.offset) as i64;
        self.report(buffer, element, AccessFault::Unchecked, |_| String::new());
    }

    /// Reports that memory outside of a region has changed: `element` is counted from its start.
    pub fn report_outside(&mut self, region: Region, element: i64) {
        let extents = self.sanitized.extents.iter().enumerate();
        let own = extents.filter(|(_, extent)| extent.allocation.region == region);
        // The nearest buffer.
        let nearest = if element < 0 {
            own.min_by_key(|(_, extent)| extent.allocation.offset)
        } else {
            own.max_by_key(|(_, extent)| extent.allocation.offset + extent.elements)
        };
        let Some((buffer, extent)) = nearest else { return };
        let element = element - extent.allocation.offset as i64;
        self.report(buffer, element, AccessFault::Unchecked, |_| String::new());
    }

    /// Ends the call: all results must have values.
    pub fn finish_call(&mut self) {
        let sanitized = self.sanitized;
        for root in &sanitized.artifact.interface.roots {
            let extent = &sanitized.extents[root.buffer];
            for element in (0..extent.elements).filter(|e| !extent.is_padding(*e)) {
                let Some(cell) = self.cell(extent, element) else { break };
                let is_given = extent.is_given && cell.owner == GIVEN;
                if cell.owner as usize != root.buffer && !is_given {
                    let cause = AccessFault::MissingResult;
                    return self.report(root.buffer, element as i64, cause, |_| String::new());
                }
            }
        }
    }

    /// The first invalid access.
    ///
    /// # Errors
    /// If there is one.
    pub fn result(&mut self) -> Result<(), Box<InvalidAccess>> {
        self.found.take().map_or(Ok(()), Err)
    }

    fn report(
        &mut self,
        buffer: usize,
        element: i64,
        cause: AccessFault,
        instruction: impl FnOnce(&Program) -> String,
    ) {
        let sanitized = self.sanitized;
        let program = &sanitized.artifact.programs[self.kernel];
        self.found.get_or_insert_with(|| {
            Box::new(InvalidAccess {
                kernel: self.kernel,
                name: program.name.clone(),
                instruction: instruction(program),
                buffer,
                value: sanitized.artifact.buffers[buffer].name.clone(),
                elements: sanitized.extents[buffer].elements,
                element,
                cause,
            })
        });
    }
}

/// The instruction that a check is for, as text.
fn instruction(program: &Program, number: u32) -> String {
    let (mut is_next, mut text) = (false, String::new());
    each_instruction(&program.body, &mut |instruction| match instruction {
        Instruction::Check(check) => is_next |= check.number == number,
        accessing if is_next => {
            text = accessing.to_string();
            is_next = false;
        }
        _ => {}
    });
    text
}
