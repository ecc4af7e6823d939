//! Sanitised calls: machine code that checks its accesses, in guarded memory.
//!
//! The code of a [`Sanitized`] artifact calls `check_function` before every access, and returns
//! if the access is not allowed. A call runs kernel by kernel in copies of its memory, each
//! between two pages without access: code that evades the checks ends the process, instead of
//! changing other memory. The arena starts full of [`POISON`], and values that are no longer needed
//! are overwritten with it. After each kernel, memory that no store has written must be
//! unchanged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use region::Protection;

use super::module::Executable;
use crate::error::Error;
use crate::plan::{Allocation, Region};
use crate::sanitize::{InvalidAccess, Monitor, POISON, Sanitized};

/// Bytes of an element.
const BYTES: usize = 4;

/// Machine code of a sanitised artifact.
#[derive(Debug)]
pub struct SanitizedExecutable {
    sanitized: Sanitized,
    executable: Executable,
    /// The number of calls so far.
    calls: AtomicUsize,
}

/// The memory of a call, as bits.
pub struct CallMemory<'a> {
    /// The arena; its contents before the call do not matter.
    pub arena: &'a mut [u32],
    /// The parameters, with the optimizer state behind them.
    pub parameters: &'a mut [u32],
    /// The step scalars.
    pub step_scalars: &'a [u32],
    /// The elements of an input in row-major order, by its number; called once for each input that
    /// the code reads.
    pub input: &'a mut dyn FnMut(usize) -> Vec<u32>,
}

/// The failure of a sanitised call. Nothing has changed.
#[derive(Debug)]
pub enum Failure {
    /// There is not enough memory, of this number of bytes.
    Memory(usize),
    /// An access that is not allowed.
    Invalid(Box<InvalidAccess>),
}

impl From<Box<InvalidAccess>> for Failure {
    fn from(found: Box<InvalidAccess>) -> Failure {
        Failure::Invalid(found)
    }
}

impl SanitizedExecutable {
    /// Compiles a sanitised artifact, as [`Executable::new`] does.
    ///
    /// # Errors
    /// As [`Executable::new`].
    pub fn new(sanitized: Sanitized, verify: bool) -> Result<SanitizedExecutable, Error> {
        let executable = Executable::new(sanitized.artifact(), verify)?;
        Ok(SanitizedExecutable { sanitized, executable, calls: AtomicUsize::new(0) })
    }

    /// The machine code.
    pub fn executable(&self) -> &Executable {
        &self.executable
    }

    /// Runs the programs in copies of the memory; without an error, the contents of the copies are
    /// the new contents of arena and parameters.
    ///
    /// # Errors
    /// The first access that is not allowed, or [`Failure::Memory`]; then nothing has changed.
    ///
    /// # Panics
    /// If the memory is smaller than the artifact's buffers.
    pub fn run(&self, memory: CallMemory<'_>) -> Result<(), Failure> {
        let CallMemory { arena, parameters, step_scalars, input } = memory;
        // The last element before a page without access, or the first one behind it.
        let at_end = self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let interface = &self.sanitized.artifact().interface;
        let guarded = |contents: &[u32]| {
            Guarded::new(contents, at_end).ok_or(Failure::Memory(BYTES * contents.len()))
        };
        let mut areas = Vec::new();
        for region in &interface.regions {
            let area = match region {
                Region::Arena => guarded(&vec![POISON; interface.arena])?,
                Region::Parameters => guarded(parameters)?,
                Region::StepScalars => guarded(step_scalars)?,
                Region::Numbers => {
                    let numbers = interface.numbers.iter().map(|x| x.to_bits());
                    guarded(&numbers.collect::<Vec<_>>())?
                }
                Region::Input(i) => guarded(&input(*i))?,
                Region::Monitor => guarded(&[])?,
            };
            areas.push(area);
        }
        let slot = |region: Region| interface.regions.iter().position(|found| *found == region);
        let starts = self.starts(&areas, slot);
        let mut table: Vec<*mut u8> = areas.iter_mut().map(Guarded::start).collect();
        let mut context = Context { monitor: Monitor::new(&self.sanitized), starts };
        let writable = [Region::Arena, Region::Parameters].map(|region| (region, slot(region)));
        let writable = writable
            .map(|(region, slot)| (region, slot.expect("every artifact has arena and parameters")));
        let mut before = writable.map(|(_, slot)| areas[slot].contents().to_vec());
        let monitor_slot = slot(Region::Monitor).expect("the artifact is sanitised");
        let mut is_stopped = false;
        for run in self.sanitized.runs() {
            context.monitor.start(run);
            table[monitor_slot] = (&raw mut context).cast();
            // SAFETY: the table has a pointer for each region, in order, and each area is as large
            // as the buffers in it, which `starts` has checked. The code checks every access
            // before it happens: against its buffer, and indices against their bounds. All memory
            // belongs to this call, nothing else uses it, and the regions are disjoint. The
            // context outlives the run, and only the checks use it meanwhile.
            unsafe { self.executable.run_range(run.kernel, run.begin..run.end, &table) };
            context.monitor.result()?;
            if !run.is_last {
                continue;
            }
            for ((region, slot), before) in writable.iter().zip(&before) {
                context.monitor.find_unchecked(*region, before, areas[*slot].contents());
            }
            for (region, area) in interface.regions.iter().zip(&areas) {
                if let Some(element) = area.changed_margin() {
                    context.monitor.report_outside(*region, element);
                }
            }
            context.monitor.result()?;
            let [(_, arena), _] = writable;
            let guard = interface.guard.filter(|guard| guard.program == run.kernel);
            is_stopped = guard.is_some_and(|guard| {
                f32::from_bits(areas[arena].contents()[guard.allocation.offset]) != 0.0
            });
            if is_stopped {
                break;
            }
            for dead in context.monitor.finish(run.kernel) {
                areas[arena].contents_mut()[dead].fill(POISON);
            }
            for ((_, slot), before) in writable.iter().zip(&mut before) {
                before.copy_from_slice(areas[*slot].contents());
            }
        }
        if !is_stopped {
            context.monitor.finish_call();
            context.monitor.result()?;
        }
        let [(_, from_arena), (_, from_parameters)] = writable;
        arena[..interface.arena].copy_from_slice(areas[from_arena].contents());
        parameters.copy_from_slice(areas[from_parameters].contents());
        Ok(())
    }

    /// The address of each buffer's first element.
    fn starts(
        &self,
        areas: &[Guarded],
        slot: impl Fn(Region) -> Option<usize>,
    ) -> Vec<Option<usize>> {
        let artifact = self.sanitized.artifact();
        let used: BTreeSet<usize> =
            artifact.programs.iter().flat_map(|program| program.buffers.iter().copied()).collect();
        let start = |(t, allocation): (usize, &Allocation)| {
            // Programs do not use all buffers, nor does the caller have memory for all.
            let area = slot(allocation.region).filter(|_| used.contains(&t))?;
            let end = allocation.offset + artifact.buffers[t].layout.elements;
            let fits = end <= areas[area].len;
            assert!(fits, "{:?} has {} elements, not {end}", allocation.region, areas[area].len);
            Some(areas[area].address() + BYTES * allocation.offset)
        };
        artifact.allocations.iter().enumerate().map(start).collect()
    }
}

/// The state of a call that its checks use.
struct Context<'a> {
    monitor: Monitor<'a>,
    /// The address of each buffer.
    starts: Vec<Option<usize>>,
}

/// The address of the function that checks an access: `(monitor, number, address)`, the pointer to
/// the call's state, the number of the check in its program, and the address of the first lane. It
/// returns 0 if the program may continue.
pub(super) fn check_function() -> i64 {
    (check as *const ()).expose_provenance() as i64
}

/// The error for a program with checks in an artifact that has not been sanitised.
pub(super) fn no_monitor() -> Error {
    Error::Codegen("a program with checks needs the region of the monitor".into())
}

macro_rules! with_convention_of_generated_code {
    ($(#[$doc:meta])* fn $name:ident($($x:ident: $T:ty),*) -> $R:ty $body:block) => {
        #[cfg(target_arch = "x86_64")]
        $(#[$doc])* unsafe extern "sysv64" fn $name($($x: $T),*) -> $R $body
        #[cfg(not(target_arch = "x86_64"))]
        $(#[$doc])* unsafe extern "C" fn $name($($x: $T),*) -> $R $body
    };
}

with_convention_of_generated_code! {
    /// # Safety
    /// `context` is null, or points to a [`Context`] that nothing else uses during the call, and
    /// whose buffers are in memory.
    fn check(context: *mut u8, number: u64, address: u64) -> u64 {
        if context.is_null() {
            return 0;
        }
        // SAFETY: guaranteed by the caller.
        let Context { monitor, starts } = unsafe { &mut *context.cast::<Context<'_>>() };
        let number = number as u32;
        let start = monitor.buffer_of(number).and_then(|t| *starts.get(t)?).unwrap_or(0);
        let bytes = (address as i64).wrapping_sub(start as i64);
        let element = bytes.div_euclid(BYTES as i64);
        let element = if bytes % BYTES as i64 == 0 { Ok(element) } else { Err(element) };
        let index = || {
            // SAFETY: the monitor calls this once it has found the address to be that of an
            // element of the buffer, which is in memory and initialised.
            unsafe { std::ptr::with_exposed_provenance::<u32>(address as usize).read() }
        };
        u64::from(!monitor.check(number, element, index))
    }
}

/// Memory between two pages without access.
struct Guarded {
    pages: region::Allocation,
    /// Bytes from the start of the pages.
    offset: usize,
    /// Elements.
    len: usize,
}

impl Guarded {
    /// Memory with these contents, which ends before a page without access, or else begins behind
    /// one. None if the system has not enough.
    fn new(contents: &[u32], at_end: bool) -> Option<Guarded> {
        let page = region::page::size();
        let bytes = BYTES * contents.len();
        let inner = bytes.max(1).checked_next_multiple_of(page)?;
        let mut pages = region::alloc(inner.checked_add(2 * page)?, Protection::NONE).ok()?;
        let start = pages.as_mut_ptr::<u8>().wrapping_add(page);
        // SAFETY: the pages belong to this allocation alone, and have not been used yet.
        unsafe { region::protect(start, inner, Protection::READ_WRITE) }.ok()?;
        let offset = page + if at_end { inner - bytes } else { 0 };
        let mut guarded = Guarded { pages, offset: page, len: inner / BYTES };
        guarded.contents_mut().fill(POISON);
        (guarded.offset, guarded.len) = (offset, contents.len());
        guarded.start().expose_provenance();
        guarded.contents_mut().copy_from_slice(contents);
        Some(guarded)
    }

    /// The first element of the pages that is not of the contents and has changed, counted from
    /// the start of the contents.
    fn changed_margin(&self) -> Option<i64> {
        let page = region::page::size();
        let before = (self.offset - page) / BYTES;
        let pages = self.pages.as_ptr::<u8>().wrapping_add(page);
        // SAFETY: as in `contents`: `new` has made all inner pages readable.
        let inner: &[u32] = unsafe {
            std::slice::from_raw_parts(pages.cast(), (self.pages.len() - 2 * page) / BYTES)
        };
        let (head, tail) = (&inner[..before], &inner[before + self.len..]);
        let is_changed = |x: &u32| *x != POISON;
        let in_head = head.iter().position(is_changed).map(|i| i as i64 - before as i64);
        let in_tail = || tail.iter().position(is_changed).map(|i| (self.len + i) as i64);
        in_head.or_else(in_tail)
    }

    fn start(&mut self) -> *mut u8 {
        self.pages.as_mut_ptr::<u8>().wrapping_add(self.offset)
    }

    fn address(&self) -> usize {
        self.pages.as_ptr::<u8>().addr() + self.offset
    }

    fn contents(&self) -> &[u32] {
        let start = self.pages.as_ptr::<u8>().wrapping_add(self.offset);
        // SAFETY: `new` has made the pages with these elements readable and the system has
        // initialised them; no code writes to them while the slice is borrowed.
        unsafe { std::slice::from_raw_parts(start.cast(), self.len) }
    }

    fn contents_mut(&mut self) -> &mut [u32] {
        let (start, len) = (self.start(), self.len);
        // SAFETY: as in `contents`; writable too, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), len) }
    }
}
