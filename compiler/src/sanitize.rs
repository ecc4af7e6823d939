//! Sanitizer: inserts a check before every load and store of an artifact's programs, and tracks
//! the state of memory while they run.
//!
//! Takes an [`Artifact`], returns it with [`Check`]s, which the evaluator of programs and both
//! emitters execute; [`codegen::sanitized`](crate::codegen::sanitized) runs the machine code. A check
//! compares the address that the code has computed, before it is accessed, with
//!
//! - the buffer: every lane must be within it, and an index in memory below its bound;
//! - the state of the element ([`Monitor`]): loads must find a value of this buffer, which no other
//!   buffer has overwritten; stores must not overwrite a value that is still needed, nor one that is
//!   given;
//! - the phase: no two iterations of a parallel loop, and no two kernels between two barriers, may
//!   touch the same element if one of them writes it. Shares run one after the other, so that
//!   conflicts are found without running threads.
//!
//! Programs without checks are not affected: the sanitizer is a separate pass over the final
//! artifact.

mod monitor;
mod report;

use crate::artifact::{Artifact, Guard};
use crate::buffer::Layout;
use crate::phases::Phase;
use crate::plan::{Allocation, Region};
use crate::program::{Access, Check, Instruction, Program, Statement};

pub use monitor::Monitor;
pub use report::{AccessFault, InvalidAccess};

/// The content of memory without a value, in sanitised calls: a NaN that no arithmetic produces.
pub const POISON: u32 = crate::program::evaluate::UNREAD;

/// The largest number of shares of a parallel kernel: with more iterations, a share has several.
const MOST_SHARES: usize = 64;

/// A sanitised artifact, with the tables that its checks need.
#[derive(Debug)]
pub struct Sanitized {
    artifact: Artifact,
    /// For each program, its checks by number.
    checks: Vec<Vec<Site>>,
    /// For each program, the buffers that it accesses.
    accessed: Vec<Vec<usize>>,
    /// By buffer.
    extents: Vec<Extent>,
    runs: Vec<Run>,
}

/// A checked access.
#[derive(Clone, Copy, Debug)]
struct Site {
    access: Access,
    /// The number of the buffer in the plan.
    buffer: usize,
    lane_stride: isize,
    lanes: usize,
}

/// A buffer's memory.
#[derive(Debug)]
struct Extent {
    allocation: Allocation,
    elements: usize,
    is_given: bool,
    /// Whether it is read after the call.
    is_root: bool,
    /// Strides and sizes of its axes, in descending order of strides.
    axes: Vec<(usize, usize)>,
    /// The given buffers in the same memory: values of a parameter before it is overwritten.
    given: Vec<usize>,
}

impl Extent {
    fn is_padding(&self, mut element: usize) -> bool {
        for (stride, size) in &self.axes {
            let index = element / stride;
            if index >= *size {
                return true;
            }
            element -= index * stride;
        }
        element != 0
    }

    fn overlaps(&self, other: &Extent) -> bool {
        let (a, b) = (self.allocation, other.allocation);
        a.region == b.region
            && a.offset < b.offset + other.elements
            && b.offset < a.offset + self.elements
    }
}

/// A range of iterations of a kernel. Runs of the same phase and different tasks may run at the
/// same time on several threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The kernel.
    pub kernel: usize,
    /// Its phase, counted from 1.
    pub phase: u32,
    /// The task within its phase.
    pub task: u32,
    /// The first iteration.
    pub begin: usize,
    /// The end of the iterations.
    pub end: usize,
    /// Whether it is the last run of the kernel.
    pub is_last: bool,
}

impl Sanitized {
    /// Inserts a check before every access of the programs.
    pub fn new(mut artifact: Artifact) -> Sanitized {
        for program in &mut artifact.programs {
            let body = std::mem::take(&mut program.body);
            program.body = with_checks(body, &mut 0);
        }
        artifact.interface.regions.push(Region::Monitor);
        let checks: Vec<Vec<Site>> = artifact.programs.iter().map(sites).collect();
        let accessed = checks.iter().map(|sites| {
            let mut buffers: Vec<usize> = sites.iter().map(|site| site.buffer).collect();
            buffers.sort_unstable();
            buffers.dedup();
            buffers
        });
        let runs = runs(&artifact.programs, &artifact.interface.phases);
        Sanitized {
            accessed: accessed.collect(),
            extents: extents(&artifact),
            checks,
            runs,
            artifact,
        }
    }

    /// The artifact with checks. Its regions end with [`Region::Monitor`].
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// The runs of a call, in the order in which a sanitised call makes them: kernels in the order
    /// of their phases, and the shares of a parallel kernel in descending order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Runs the programs by the evaluator. `memory` has the buffers of the artifact, as bits.
    ///
    /// # Errors
    /// The first access that is not allowed; the programs have ended there.
    pub fn evaluate(&self, memory: &mut [Vec<u32>]) -> Result<(), Box<InvalidAccess>> {
        let mut monitor = Monitor::new(self);
        for run in &self.runs {
            let program = &self.artifact.programs[run.kernel];
            monitor.start(run);
            let buffers = program.buffers.iter();
            let mut own: Vec<_> =
                buffers.clone().map(|t| std::mem::take(&mut memory[*t])).collect();
            program.evaluate_checked(&mut own, run.begin..run.end, &mut |check, element, found| {
                monitor.check(check.number, Ok(element as i64), || found.unwrap_or(POISON))
            });
            for (t, contents) in buffers.zip(own) {
                memory[*t] = contents;
            }
            monitor.result()?;
            if run.is_last {
                monitor.finish(run.kernel);
                let guard = self.artifact.interface.guard.filter(|g| g.program == run.kernel);
                if guard.is_some_and(|guard| self.stops(&guard, memory)) {
                    return Ok(());
                }
            }
        }
        monitor.finish_call();
        monitor.result()
    }

    /// Whether the guard, which has just run, has found a value that is not finite.
    fn stops(&self, guard: &Guard, memory: &[Vec<u32>]) -> bool {
        // Other buffers may have had the same memory before.
        let mut own = self.accessed[guard.program].iter();
        let found = own.find(|t| self.extents[**t].allocation == guard.allocation);
        found.is_some_and(|t| f32::from_bits(memory[*t][0]) != 0.0)
    }
}

/// The statements, with a check before each access.
fn with_checks(body: Vec<Statement>, next: &mut u32) -> Vec<Statement> {
    let mut checked = Vec::with_capacity(2 * body.len());
    for statement in body {
        match statement {
            Statement::Loop(mut l) => {
                l.body = with_checks(l.body, next);
                checked.push(Statement::Loop(l));
            }
            Statement::Do(instruction) => {
                for mut check in checks_of(&instruction) {
                    check.number = *next;
                    *next += 1;
                    checked.push(Statement::Do(Instruction::Check(Box::new(check))));
                }
                checked.push(Statement::Do(instruction));
            }
        }
    }
    checked
}

/// The checks before an instruction: of the index in its address first.
fn checks_of(instruction: &Instruction) -> Vec<Check> {
    let (access, at, lane_stride, lanes) = match instruction {
        Instruction::Load { from, lane_stride, lanes, .. } => {
            (Access::Load, from, *lane_stride, *lanes)
        }
        Instruction::Store { to, lane_stride, lanes, .. } => {
            (Access::Store, to, *lane_stride, *lanes)
        }
        _ => return Vec::new(),
    };
    let index = at.index.as_ref().map(|index| Check {
        number: 0,
        access: Access::Index { below: index.below },
        at: index.at.clone(),
        lane_stride: 1,
        lanes: 1,
    });
    let access = Check { number: 0, access, at: at.clone(), lane_stride, lanes };
    index.into_iter().chain([access]).collect()
}

/// The checks of a program, by number.
fn sites(program: &Program) -> Vec<Site> {
    let mut sites = Vec::new();
    each_instruction(&program.body, &mut |instruction| {
        if let Instruction::Check(check) = instruction {
            let Check { access, at, lane_stride, lanes, .. } = &**check;
            sites.push(Site {
                access: *access,
                buffer: program.buffers[at.buffer],
                lane_stride: *lane_stride,
                lanes: *lanes,
            });
        }
    });
    sites
}

fn each_instruction(body: &[Statement], visit: &mut impl FnMut(&Instruction)) {
    for statement in body {
        match statement {
            Statement::Loop(l) => each_instruction(&l.body, visit),
            Statement::Do(instruction) => visit(instruction),
        }
    }
}

fn extents(artifact: &Artifact) -> Vec<Extent> {
    let buffers = artifact.buffers.iter().zip(&artifact.allocations);
    let mut extents: Vec<Extent> = buffers
        .map(|(buffer, allocation)| Extent {
            allocation: *allocation,
            elements: buffer.layout.elements,
            is_given: buffer.is_given,
            is_root: false,
            axes: axes(&buffer.layout),
            given: Vec::new(),
        })
        .collect();
    for root in &artifact.interface.roots {
        extents[root.buffer].is_root = true;
    }
    let is_parameter = |t: &usize| extents[*t].allocation.region == Region::Parameters;
    let parameters: Vec<usize> = (0..extents.len()).filter(is_parameter).collect();
    for t in &parameters {
        let given = parameters.iter().copied();
        let given = given.filter(|g| extents[*g].is_given && extents[*g].overlaps(&extents[*t]));
        let given: Vec<usize> = given.collect();
        extents[*t].given = given;
    }
    extents
}

fn axes(layout: &Layout) -> Vec<(usize, usize)> {
    let axes = layout.strides.iter().copied().zip(layout.sizes.iter().copied());
    let mut axes: Vec<(usize, usize)> = axes.filter(|(_, size)| *size > 1).collect();
    axes.sort_unstable_by(|a, b| b.cmp(a));
    axes
}

/// The runs of a call: in the order of phases, or each kernel in a phase of its own where threads
/// would not be faster.
fn runs(programs: &[Program], phases: &[Phase]) -> Vec<Run> {
    let alone = |i: usize| match programs[i].parallel > 1 {
        true => Phase { parallel: vec![i], ..Phase::default() },
        false => Phase { serial: vec![i], ..Phase::default() },
    };
    let each: Vec<Phase> = match phases.is_empty() {
        true => (0..programs.len()).map(alone).collect(),
        false => phases.to_vec(),
    };
    let mut runs = Vec::new();
    for (phase, Phase { serial, parallel, .. }) in (1..).zip(&each) {
        for kernel in serial {
            let end = programs[*kernel].parallel.max(1);
            runs.push(Run { kernel: *kernel, phase, task: 0, begin: 0, end, is_last: true });
        }
        let mut task = 0;
        for kernel in parallel {
            let all = programs[*kernel].parallel;
            let shares = all.clamp(1, MOST_SHARES);
            for share in (0..shares).rev() {
                task += 1;
                let (begin, end) = (share * all / shares, (share + 1) * all / shares);
                let is_last = share == 0;
                runs.push(Run { kernel: *kernel, phase, task, begin, end, is_last });
            }
        }
    }
    runs
}
