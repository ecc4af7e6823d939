//! Runs purposes by machine code: the only module of the runtime that calls it.

use bilro_compiler::artifact::{Interface, Pointers, RootValue};
use bilro_compiler::codegen::module::Executable;
use bilro_compiler::codegen::sanitized::{CallMemory, Failure, SanitizedExecutable};
use bilro_compiler::declaration::Declaration;
use bilro_compiler::error::Error as CompileError;
use bilro_compiler::graph::Root;
use bilro_compiler::phases::Phase;
use bilro_compiler::pipeline::{Observer, Stage, lower_graph};
use bilro_compiler::plan::{ParameterLayout, Region};
use bilro_compiler::sanitize::Sanitized;
use ndarray::CowArray;

use super::code::New;
use super::counters::Source;
use super::{Call, Results};
use crate::error::{Error, Result};
use crate::memory::{self, AlignedMemory};
use crate::run::config::target;
use crate::run::parameters::strided;
use crate::run::threads::{self, Pace};
use crate::run::{Feed, dump};

/// Machine code for a purpose and a batch size. It is immutable: whatever a call changes is
/// passed to [`Compiled::run`].
#[derive(Debug)]
pub(super) struct Compiled {
    code: Code,
    /// How the code is called, with only those roots that are read after a call.
    interface: Interface,
    /// Whether the code assigns to the memory of parameters.
    overwrites: bool,
    /// Floats of the parameters' memory, with the optimizer state behind them.
    parameters: usize,
    /// Floats of all arrays of a call's results.
    results: usize,
    scalars: Vec<Source>,
}

/// Machine code, with or without checks.
#[derive(Debug)]
enum Code {
    Plain(Executable),
    Sanitized(Box<SanitizedExecutable>),
}

impl Code {
    fn executable(&self) -> &Executable {
        match self {
            Code::Plain(executable) => executable,
            Code::Sanitized(sanitized) => sanitized.executable(),
        }
    }
}

/// The least memory that compiling takes, in bytes: with less available, it is not begun.
const COMPILE_BYTES: usize = 8 << 20;

/// The largest pointer table on the stack; a table of more regions is on the heap.
const STACK_REGIONS: usize = 16;

impl Compiled {
    /// Compiles the code of a call, for parameters in this layout.
    pub fn new(
        declaration: &Declaration,
        layout: &ParameterLayout,
        call: &Call<'_, '_>,
    ) -> Result<New<Compiled>> {
        let dump = dump::requested()?;
        memory::check::<u8>(|| format!("compiling `{}`", declaration.name), COMPILE_BYTES)?;
        let chosen: String = call.choices.iter().map(|c| format!("-{c}")).collect();
        let (purpose, batch) = (call.purpose.name(), call.batch);
        let name = || format!("{}-{purpose}-{batch}{chosen}", declaration.name);
        let mut dump = dump.map(|dump| dump.of(name()));
        let graph = call.graph(declaration)?;
        let mut observer = |pass: &'static str, result: Stage<'_>| {
            if let Some(dump) = &mut dump {
                dump.observe(pass, result);
            }
        };
        // Sanitized code is verified in every build.
        let verify = call.sanitizes;
        let artifact = lower_graph(&graph, layout, &target()?, verify, &mut observer)?;
        let out_of_memory = |error| match error {
            CompileError::Memory { what, bytes } => Error::Memory { what, bytes },
            error => error.into(),
        };
        let (code, mut interface) = if call.sanitizes {
            let sanitized = Sanitized::new(artifact);
            observer("sanitize", Stage::Programs(&sanitized.artifact().programs));
            if let Some(dump) = dump {
                dump.finish(sanitized.artifact())?;
            }
            let interface = sanitized.artifact().interface.clone();
            let code = SanitizedExecutable::new(sanitized, false).map_err(out_of_memory)?;
            (Code::Sanitized(Box::new(code)), interface)
        } else {
            let code = Executable::new(&artifact, false).map_err(out_of_memory)?;
            if let Some(dump) = dump {
                dump.finish(&artifact)?;
            }
            (Code::Plain(code), artifact.interface)
        };
        let roots = interface.roots.len();
        interface.roots.retain(|value| !matches!(value.root, Root::Assign(_)));
        let arrays = interface.roots.iter().filter(|value| is_array(&value.root));
        let code = Compiled {
            overwrites: interface.roots.len() < roots,
            results: arrays.map(|value| memory::elements(&value.layout.sizes)).sum(),
            parameters: match call.purpose.overwrites() {
                true => layout.elements,
                false => layout.start(declaration.parameters.len()),
            },
            code,
            scalars: interface.step_scalars.iter().map(|name| Source::of(name)).collect(),
            interface,
        };
        let (bytes, arena) = (code.bytes(), code.interface.arena);
        Ok(New { code, bytes, arena })
    }

    /// The number of step scalars of a call.
    pub fn scalars(&self) -> usize {
        self.scalars.len()
    }

    /// The memory of the code and its tables.
    fn bytes(&self) -> usize {
        size_of::<Compiled>()
            + self.code.executable().memory_bytes()
            + self.interface.heap_bytes()
            + size_of_val(&self.scalars[..])
    }

    /// Runs the code on arrays that have been checked against the declaration. Arena, scalars,
    /// pace and sums are the call's own; numbers that add up over batches are appended to `sums`.
    /// `results` are empty before: a value that is returned would be copied at every level.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for results, or for a copy of an array
    /// that is not row-major; then nothing has been done.
    #[expect(clippy::too_many_arguments, reason = "everything that one call reads and writes")]
    pub fn run(
        &self,
        arena: &mut AlignedMemory,
        scalars: &mut [u32],
        pace: &mut Pace,
        mut parameters: ParameterMemory<'_>,
        call: &Call<'_, '_>,
        threads: usize,
        sums: &mut Vec<f64>,
        results: &mut Results,
    ) -> Result<()> {
        assert!(
            arena.len() >= self.interface.arena,
            "the engine's arena is as large as its largest user"
        );
        let length = parameters.as_slice().len();
        assert!(
            length >= self.parameters,
            "the engine has the variables that the code was compiled for"
        );
        let is_exclusive = matches!(parameters, ParameterMemory::Exclusive(_));
        assert!(is_exclusive || !self.overwrites, "shared parameters are only read");
        assert!(scalars.len() >= self.scalars.len(), "a workspace has room for all scalars");
        memory::check::<f32>(|| "the results".into(), self.results)?;
        for (value, source) in scalars.iter_mut().zip(&self.scalars) {
            *value = call.counters.scalar(call.purpose, call.numbers, *source);
        }
        let executable = match &self.code {
            Code::Plain(executable) => executable,
            Code::Sanitized(code) => {
                self.run_sanitized(code, arena, scalars, &mut parameters, call)?;
                self.read_results(arena.as_slice(), parameters.as_slice(), sums, results);
                return Ok(());
            }
        };
        // Arrays that are not row-major are copied; others are read in place.
        let mut copies: Vec<RowMajorCopy<'_>> = Vec::new();
        let (mut on_stack, mut on_heap) = ([std::ptr::null_mut(); STACK_REGIONS], Vec::new());
        let regions = self.interface.regions.len();
        let table: &mut [*mut u8] = if regions <= STACK_REGIONS {
            &mut on_stack[..regions]
        } else {
            on_heap.resize(regions, std::ptr::null_mut());
            &mut on_heap
        };
        let pointers = Pointers {
            arena: arena.as_mut_slice().as_mut_ptr().cast(),
            parameters: parameters.pointer().cast(),
            step_scalars: scalars.as_mut_ptr().cast(),
        };
        self.interface.bind(table, &pointers, |i| {
            let feed = call.feeds.get(i).expect("the feeds of a purpose have been checked");
            row_major(feed, &mut copies)
        })?;
        // SAFETY: the table has a pointer for every region in the order that
        // the executable was made with. The arena has at least the planned
        // elements; the parameters' memory follows the ParameterLayout of the
        // plan: the parameters of the declaration never move, and code for steps is
        // found by the id of its training, for which the engine has laid out the
        // state behind them. `lower_graph` has compared every parameter of the graph
        // with that layout, and `check_graph` every input with the declaration,
        // which cannot be changed. `scalars` has a number for each one read;
        // the region of constants covers the plan's offsets, and is only read; every
        // input has been checked to have the declared sizes for this batch size, is
        // row-major, is only read, and outlives the call (borrowed by `call`
        // or owned by `copies`). Indices have been checked to be below
        // their input's bound: code addresses rows by them without a check.
        // Arena and scalars are borrowed exclusively, and so are parameters where the
        // code assigns to them; otherwise it only reads them.
        // Phases and executable are of the same programs.
        unsafe { threads::run(executable, &self.interface.phases, pace, table, threads) };
        drop(copies);
        self.read_results(arena.as_slice(), parameters.as_slice(), sums, results);
        Ok(())
    }

    /// Reads the results of a call from its memory; appends numbers to `sums`.
    #[inline(always)]
    fn read_results(
        &self,
        arena: &[f32],
        parameters: &[f32],
        sums: &mut Vec<f64>,
        results: &mut Results,
    ) {
        for RootValue { root, allocation, layout, .. } in &self.interface.roots {
            let memory = match allocation.region {
                Region::Parameters => parameters,
                _ => arena,
            };
            let memory = &memory[allocation.offset..allocation.offset + layout.elements];
            match root {
                Root::Loss => results.loss = memory[0],
                Root::Metric(_) => results.metrics.push(memory[0]),
                Root::Sum(..) | Root::Weight(..) => sums.push(f64::from(memory[0])),
                Root::Output(_) | Root::Gradient(_) | Root::InputGradient(_) => {
                    results.arrays.push(strided(memory, layout).to_owned());
                }
                Root::Guard => results.kept = memory[0] == 0.0,
                Root::Assign(_) => {}
            }
        }
    }

    /// Runs sanitised code, in copies of the memory, which replace it only if all accesses are
    /// allowed.
    #[cold]
    #[inline(never)]
    fn run_sanitized(
        &self,
        code: &SanitizedExecutable,
        arena: &mut AlignedMemory,
        scalars: &[u32],
        parameters: &mut ParameterMemory<'_>,
        call: &Call<'_, '_>,
    ) -> Result<()> {
        let what = || "a sanitised call".to_string();
        memory::check::<[u8; 64]>(what, self.interface.arena + self.parameters)?;
        let bits = |feed: &Feed<'_>| match feed {
            Feed::Real(array) => array.iter().map(|x| x.to_bits()).collect(),
            Feed::Index(array) => array.iter().copied().collect(),
        };
        // Code that shares the parameters does not write to them.
        let mut copy;
        let parameters: &mut [f32] = match parameters {
            ParameterMemory::Shared(memory) => {
                copy = memory.as_slice().to_vec();
                &mut copy
            }
            ParameterMemory::Exclusive(memory) => memory.as_mut_slice(),
        };
        let memory = CallMemory {
            arena: bytemuck::cast_slice_mut(arena.as_mut_slice()),
            parameters: bytemuck::cast_slice_mut(&mut parameters[..self.parameters]),
            step_scalars: &scalars[..self.scalars.len()],
            input: &mut |i| {
                bits(call.feeds.get(i).expect("the feeds of a purpose have been checked"))
            },
        };
        code.run(memory).map_err(|failure| match failure {
            Failure::Memory(bytes) => Error::Memory { what: what(), bytes: bytes as u64 },
            Failure::Invalid(access) => {
                let (purpose, examples) = (call.purpose.name(), call.batch);
                Error::Sanitizer { purpose, examples, access }
            }
        })
    }
}

/// Separate memory of a call for verification, parameters included.
pub(super) struct OwnMemory {
    pub arena: AlignedMemory,
    pub parameters: AlignedMemory,
    pub scalars: Vec<u32>,
}

impl Compiled {
    /// Memory for a call, with an arena full of `canary` and a copy of the parameters.
    ///
    /// # Errors
    /// [`Error::Memory`], with the description `what`.
    pub fn own_memory(
        &self,
        what: &dyn Fn() -> String,
        parameters: &AlignedMemory,
        call: &Call<'_, '_>,
        canary: f32,
    ) -> Result<OwnMemory> {
        assert!(
            parameters.len() >= self.parameters,
            "the engine has the variables that the code was compiled for"
        );
        let mut arena = AlignedMemory::new(what, self.interface.arena)?;
        arena.as_mut_slice().fill(canary);
        let mut copy = AlignedMemory::new(what, parameters.len())?;
        copy.as_mut_slice().copy_from_slice(parameters.as_slice());
        let scalar = |source: &Source| call.counters.scalar(call.purpose, call.numbers, *source);
        let scalars = self.scalars.iter().map(scalar).collect();
        Ok(OwnMemory { arena, parameters: copy, scalars })
    }

    /// The interface of the code, without roots that are assigned.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The number of kernels.
    pub fn kernels(&self) -> usize {
        self.code.executable().kernels()
    }

    /// Runs the code as a user's call does, in separate memory.
    ///
    /// # Errors
    /// As [`Compiled::run`].
    pub fn run_in(
        &self,
        memory: &mut OwnMemory,
        call: &Call<'_, '_>,
        threads: usize,
    ) -> Result<Results> {
        let OwnMemory { arena, parameters, scalars } = memory;
        let parameters = ParameterMemory::Exclusive(parameters);
        let mut pace = Pace::new();
        let (mut sums, mut results) = (Vec::new(), Results::new());
        self.run(arena, scalars, &mut pace, parameters, call, threads, &mut sums, &mut results)?;
        Ok(results)
    }

    /// Runs the code kernel by kernel in separate memory, each parallel kernel in as many shares as
    /// threads, the last one first. `after` is called after each kernel.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for the copy of an array that is not row-major.
    pub fn run_by_kernel(
        &self,
        memory: &mut OwnMemory,
        call: &Call<'_, '_>,
        threads: usize,
        mut after: impl FnMut(usize, &OwnMemory),
    ) -> Result<()> {
        let fits = memory.arena.len() >= self.interface.arena
            && memory.parameters.len() >= self.parameters
            && memory.scalars.len() >= self.scalars.len();
        assert!(fits, "the memory is that of `own_memory`");
        let (mut copies, mut inputs) = (Vec::new(), Vec::new());
        let mut table = vec![std::ptr::null_mut(); self.interface.regions.len()];
        let parallel: Vec<usize> =
            self.interface.phases.iter().flat_map(|phase| phase.parallel.clone()).collect();
        for kernel in 0..self.code.executable().kernels() {
            // `after` has borrowed the memory, which invalidates earlier pointers.
            let pointers = Pointers {
                arena: memory.arena.as_mut_slice().as_mut_ptr().cast(),
                parameters: memory.parameters.as_mut_slice().as_mut_ptr().cast(),
                step_scalars: memory.scalars.as_mut_ptr().cast(),
            };
            self.interface.bind(&mut table, &pointers, |i| {
                let known = inputs.iter().find(|(input, _)| *input == i);
                if let Some((_, pointer)) = known {
                    return Ok::<_, Error>(*pointer);
                }
                let feed = call.feeds.get(i).expect("the feeds of a purpose have been checked");
                let pointer = row_major(feed, &mut copies)?;
                inputs.push((i, pointer));
                Ok(pointer)
            })?;
            let shares = if threads > 1 && parallel.contains(&kernel) { threads } else { 1 };
            let alone = Phase { parallel: vec![kernel], ..Phase::default() };
            for share in (0..shares).rev() {
                // SAFETY: as in `run`, in the memory of this call only: all of it is borrowed
                // exclusively or was copied, and nothing else runs in it. Kernels run in their
                // order, each after all shares of those before it; shares are of one kernel, and
                // each is run once. A kernel without a parallel loop is run by `run_kernel`.
                unsafe {
                    match shares {
                        1 => self.code.executable().run_kernel(kernel, &table),
                        _ => self.code.executable().run_share(&alone, share, shares, &table),
                    }
                }
            }
            after(kernel, memory);
            let guard = self.interface.guard.filter(|guard| guard.program == kernel);
            if guard.is_some_and(|g| memory.arena.as_slice()[g.allocation.offset] != 0.0) {
                break;
            }
        }
        Ok(())
    }
}

/// A call's access to the memory of parameters, with the optimizer state behind them.
pub(super) enum ParameterMemory<'p> {
    /// Other calls may read it at the same time.
    Shared(&'p AlignedMemory),
    /// It may be overwritten.
    Exclusive(&'p mut AlignedMemory),
}

impl ParameterMemory<'_> {
    fn as_slice(&self) -> &[f32] {
        match self {
            ParameterMemory::Shared(memory) => memory.as_slice(),
            ParameterMemory::Exclusive(memory) => memory.as_slice(),
        }
    }

    /// The start of the memory. Writing through it is allowed only if the memory is exclusive.
    fn pointer(&mut self) -> *mut f32 {
        match self {
            ParameterMemory::Shared(memory) => memory.as_slice().as_ptr().cast_mut(),
            ParameterMemory::Exclusive(memory) => memory.as_mut_slice().as_mut_ptr(),
        }
    }
}

/// Whether the value of a root is returned as an array.
fn is_array(root: &Root) -> bool {
    matches!(root, Root::Output(_) | Root::Gradient(_) | Root::InputGradient(_))
}

/// A row-major copy of an array, for the time of a call.
enum RowMajorCopy<'a> {
    Real(CowArray<'a, f32, ndarray::IxDyn>),
    Index(CowArray<'a, u32, ndarray::IxDyn>),
}

/// A pointer to an array's elements in row-major order, for reading; of a copy if the array has
/// another order.
fn row_major<'a>(feed: &'a Feed<'_>, copies: &mut Vec<RowMajorCopy<'a>>) -> Result<*mut u8> {
    let what = || "a row-major copy of an array".to_string();
    Ok(match feed {
        Feed::Real(array) if is_row_major(array.shape(), array.strides()) => {
            array.as_ptr().cast_mut().cast()
        }
        Feed::Index(array) if is_row_major(array.shape(), array.strides()) => {
            array.as_ptr().cast_mut().cast()
        }
        Feed::Real(array) => {
            memory::check::<f32>(what, array.len())?;
            copies.push(RowMajorCopy::Real(array.as_standard_layout()));
            match copies.last() {
                Some(RowMajorCopy::Real(copy)) => copy.as_ptr().cast_mut().cast(),
                _ => unreachable!("just pushed"),
            }
        }
        Feed::Index(array) => {
            memory::check::<u32>(what, array.len())?;
            copies.push(RowMajorCopy::Index(array.as_standard_layout()));
            match copies.last() {
                Some(RowMajorCopy::Index(copy)) => copy.as_ptr().cast_mut().cast(),
                _ => unreachable!("just pushed"),
            }
        }
    })
}

/// Whether strides are those of row-major order; `is_standard_layout` takes three times as long,
/// which a small step shows.
fn is_row_major(sizes: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1;
    for (size, stride) in sizes.iter().zip(strides).rev() {
        if *size != 1 && *stride != expected {
            return false;
        }
        expected *= *size as isize;
    }
    true
}
