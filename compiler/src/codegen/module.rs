//! Executables: the compiled functions of an artifact in executable memory.
//!
//! All of the crate's `unsafe` code is here, and in `heap`, which manages the memory.

mod heap;
mod link;

use std::mem;
use std::ops::Range;
use std::sync::OnceLock;

use cranelift_codegen::Context;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{AbiParam, InstBuilder, MemFlagsData, Signature, UserFuncName, Value};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use super::clif::{self, Pool};
#[cfg(target_arch = "x86_64")]
use super::x86;
use crate::artifact::{Artifact, Guard, Interface};
use crate::error::Error;
use crate::faults::{self, Fault};
use crate::phases::Phase;
use crate::plan::{Allocation, Region};
use crate::program::Program;
use crate::target::host;
use link::{FuncId, Linked, Linker};

/// Declares types of functions in the calling convention of generated code.
macro_rules! functions {
    ($($(#[$doc:meta])* $visibility:vis type $Name:ident = fn($($T:ty),*);)*) => {$(
        #[cfg(target_arch = "x86_64")]
        $(#[$doc])* $visibility type $Name = unsafe extern "sysv64" fn($($T),*);
        #[cfg(not(target_arch = "x86_64"))]
        $(#[$doc])* $visibility type $Name = unsafe extern "C" fn($($T),*);
    )*};
}

functions! {
    /// `(table, begin, end)`: see [`clif`].
    type Kernel = fn(*const *mut u8, i64, i64);
    /// `(table)`: runs all kernels.
    type StepFunction = fn(*const *mut u8);
}

/// Bytes of an element.
const BYTES: usize = 4;

/// Machine code of a list of programs, and of a step function that runs all of them
/// in order.
///
/// ```text
/// table ──> [ base of regions[0], base of regions[1], ... ]
/// run(table) = for each program: kernel(table, 0, parallel);
///              after the guard's program: return if the guard is not 0
/// ```
pub struct Executable {
    /// The functions' memory, freed when the executable is dropped. The pointers to
    /// the functions are private: no call is running at the drop, because calls borrow
    /// the executable, and none can follow.
    memory: Linked,
    step_function: StepFunction,
    kernels: Vec<Kernel>,
    parallel: Vec<usize>,
    regions: usize,
    /// The guard's float: its region, and its offset in bytes.
    guard: Option<(usize, usize)>,
    code: usize,
}

/// The texts to produce while compiling.
#[derive(Clone, Copy, Default, Debug)]
pub struct Dump {
    /// Each function in Cranelift IR.
    pub clif: bool,
    /// Each function's instructions.
    pub asm: bool,
}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Executable({} kernels, {} bytes)", self.kernels.len(), self.code)
    }
}

impl Executable {
    /// Compiles the verified programs of an artifact, which run in order; each with the
    /// emitter for its number of lanes.
    ///
    /// `verify` runs Cranelift's verifier and the checker of its register allocator;
    /// builds with debug assertions always run the first.
    ///
    /// # Errors
    ///
    /// [`Error::Codegen`] if the machine is not supported: on x86-64 the
    /// processor must have AVX and FMA, and the programs' target.
    pub fn new(artifact: &Artifact, verify: bool) -> Result<Executable, Error> {
        Executable::with_dump(artifact, verify, Dump::default()).map(|(executable, _)| executable)
    }

    /// [`Self::new`], with the requested texts, each with a name that is suitable for a
    /// file.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn with_dump(
        artifact: &Artifact,
        verify: bool,
        dump: Dump,
    ) -> Result<(Executable, Vec<(String, String)>), Error> {
        let Artifact { programs, allocations, interface, .. } = artifact;
        let Interface { regions, guard, .. } = interface;
        // With wide vectors, Cranelift compiles the step function only.
        let kernels = programs.iter().any(|p| p.lanes == clif::LANES);
        let isa = native(kernels, verify || cfg!(debug_assertions), verify)?;
        let stop = guard.map(|Guard { program, allocation }| {
            let region = regions.iter().position(|region| *region == allocation.region);
            (program, region.unwrap_or(usize::MAX), BYTES * allocation.offset)
        });
        if stop
            .is_some_and(|(program, region, _)| program >= programs.len() || region == usize::MAX)
        {
            return Err(Error::Codegen("the guard's program or region does not exist".into()));
        }
        let mut compiler = Compiler::new(isa, dump);
        let functions = compiler.all(programs, allocations, regions, stop)?;
        let Compiler { module, texts, code, .. } = compiler;
        let memory = module.link()?;
        let kernel = |id: FuncId| {
            // SAFETY: the function was compiled with `clif::signature`, which is
            // `Kernel`'s, and is valid as long as the memory, which the executable
            // owns.
            unsafe { mem::transmute::<*const u8, Kernel>(memory.function(id)) }
        };
        let kernels = functions.kernels.into_iter().map(kernel).collect();
        // SAFETY: as above, with the signature of `Step`.
        let step =
            unsafe { mem::transmute::<*const u8, StepFunction>(memory.function(functions.step)) };
        let executable = Executable {
            memory,
            step_function: step,
            kernels,
            parallel: programs.iter().map(|p| p.parallel).collect(),
            regions: regions.len(),
            guard: stop.map(|(_, region, offset)| (region, offset)),
            code,
        };
        Ok((executable, texts))
    }

    /// Runs all programs in order, on this thread.
    ///
    /// # Safety
    ///
    /// The programs follow the rules of `Program::verify`, and for each of the
    /// executable's regions, in order, `table` has a pointer to memory that
    ///
    /// - contains all elements that the programs access in the region, which
    ///   `Program::verify_bounds` checks, and is aligned for `f32`;
    /// - holds integers below the bound of the address wherever programs read an index;
    /// - is writable, unless no program stores to the region;
    /// - is not written by other code during the call, nor read where programs store;
    /// - does not overlap another region's.
    ///
    /// # Panics
    ///
    /// If the table does not have one pointer for each region.
    pub unsafe fn run(&self, table: &[*mut u8]) {
        assert_eq!(table.len(), self.regions, "one pointer for each region");
        // SAFETY: the caller's promise.
        unsafe { (self.step_function)(table.as_ptr()) }
    }

    /// The number of pointers of a table.
    pub fn regions(&self) -> usize {
        self.regions
    }

    /// Runs one of the `shares` shares of a phase. The phase is complete when all of its
    /// shares are; they may run on any threads, concurrently or not. A guarded phase does
    /// nothing if the guard has stopped the step.
    ///
    /// # Safety
    ///
    /// As [`Self::run`], for all threads that run shares, with the same table.
    /// The phase is one of this executable's, the phases before it are complete, each
    /// share is run once, and the writes of earlier phases are visible.
    ///
    /// # Panics
    ///
    /// If the table does not have one pointer for each region, or there is no such
    /// program.
    pub unsafe fn run_share(&self, phase: &Phase, share: usize, shares: usize, table: &[*mut u8]) {
        assert_eq!(table.len(), self.regions, "one pointer for each region");
        if phase.guarded
            && let Some((region, offset)) = self.guard
        {
            // SAFETY: the guard is in one of the buffers, which `table` has
            // memory for; its program was in an earlier phase, and no later program
            // writes there.
            if unsafe { *table[region].add(offset).cast::<f32>() } != 0.0 {
                return;
            }
        }
        if share == 0 {
            for kernel in &phase.serial {
                // SAFETY: the caller's promise; the range has all iterations of the
                // program.
                unsafe { self.kernels[*kernel](table.as_ptr(), 0, self.iterations(*kernel)) }
            }
        }
        for kernel in &phase.parallel {
            let all = self.parallel[*kernel];
            let (begin, end) = (share * all / shares, (share + 1) * all / shares);
            let end = if faults::is(Fault::ShareRemainder) { begin + all / shares } else { end };
            if begin < end {
                // SAFETY: the caller's promise; no iteration is in two ranges.
                unsafe { self.kernels[*kernel](table.as_ptr(), begin as i64, end as i64) }
            }
        }
    }

    /// Runs one program, for tests and profiles.
    ///
    /// # Safety
    ///
    /// As [`Self::run`], for this program's accesses.
    ///
    /// # Panics
    ///
    /// If the table does not have one pointer for each region, or there is no such
    /// program.
    pub unsafe fn run_kernel(&self, kernel: usize, table: &[*mut u8]) {
        assert_eq!(table.len(), self.regions, "one pointer for each region");
        // SAFETY: the caller's promise; the range has all iterations of the program.
        unsafe { self.kernels[kernel](table.as_ptr(), 0, self.iterations(kernel)) }
    }

    /// Runs a range of the iterations of one program; all of them, if it has no parallel loop.
    ///
    /// # Safety
    ///
    /// As [`Self::run`], for the accesses of these iterations.
    ///
    /// # Panics
    ///
    /// If the table does not have one pointer for each region, or there is no such
    /// program.
    pub(super) unsafe fn run_range(&self, kernel: usize, range: Range<usize>, table: &[*mut u8]) {
        assert_eq!(table.len(), self.regions, "one pointer for each region");
        let (begin, end) = (range.start as i64, range.end as i64);
        // SAFETY: the caller's promise.
        unsafe { self.kernels[kernel](table.as_ptr(), begin, end) }
    }

    /// The end of the range of all iterations of a program.
    fn iterations(&self, kernel: usize) -> i64 {
        self.parallel[kernel].max(1) as i64
    }

    /// The number of programs.
    pub fn kernels(&self) -> usize {
        self.kernels.len()
    }

    /// The size of the machine code, in bytes.
    pub fn code_bytes(&self) -> usize {
        self.code
    }

    /// Its memory in bytes: the machine code with its constants in whole
    /// pages, and the data of this type.
    pub fn memory_bytes(&self) -> usize {
        let Executable { memory, kernels, parallel, .. } = self;
        size_of::<Executable>()
            + memory.memory()
            + size_of_val(&kernels[..])
            + size_of_val(&parallel[..])
    }
}

/// The state that the functions of a module share while they are compiled.
struct Compiler {
    module: Linker,
    context: Context,
    builder: FunctionBuilderContext,
    pool: Pool,
    dump: Dump,
    texts: Vec<(String, String)>,
    code: usize,
}

impl Compiler {
    fn new(isa: OwnedTargetIsa, dump: Dump) -> Compiler {
        Compiler {
            context: Context::new(),
            module: Linker::new(isa),
            builder: FunctionBuilderContext::new(),
            pool: Pool::default(),
            dump,
            texts: Vec::new(),
            code: 0,
        }
    }

    /// Compiles the functions of all programs, and the step function.
    fn all(
        &mut self,
        programs: &[Program],
        allocations: &[Allocation],
        regions: &[Region],
        stop: Option<(usize, usize, usize)>,
    ) -> Result<Functions, Error> {
        let config = self.module.target_config();
        let mut kernels = Vec::new();
        for (i, program) in programs.iter().enumerate() {
            let name = format!("{i:02}_{}", program.name);
            if program.lanes != clif::LANES {
                kernels.push(self.wide(&name, program, allocations, regions)?);
                continue;
            }
            let id = self.begin(clif::signature());
            let address = self.module.declare_constants_in_func(&mut self.context.func);
            let builder = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
            clif::emit(program, allocations, regions, &mut self.pool, address, config, builder)?;
            self.end(id, &name)?;
            kernels.push(id);
        }
        let step = self.step(programs, &kernels, stop)?;

        self.module.define_constants(self.pool.bytes());
        Ok(Functions { kernels, step })
    }

    /// The function of a program of more lanes than Cranelift supports.
    #[cfg(target_arch = "x86_64")]
    fn wide(
        &mut self,
        name: &str,
        program: &Program,
        allocations: &[Allocation],
        regions: &[Region],
    ) -> Result<FuncId, Error> {
        if !host::targets().iter().any(|target| target.lanes == program.lanes) {
            return Err(unsupported(program));
        }
        let function = x86::emit(program, allocations, regions, self.dump.asm)?;
        let id = self.module.declare_function(&clif::signature());
        self.module.define_function_bytes(id, x86::ALIGNMENT, function.bytes);
        self.code += function.code;
        if let Some(text) = function.text {
            self.texts.push((format!("{name}.asm"), text));
        }
        Ok(id)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn wide(
        &mut self,
        _: &str,
        program: &Program,
        _: &[Allocation],
        _: &[Region],
    ) -> Result<FuncId, Error> {
        Err(unsupported(program))
    }

    /// The step function, which calls all kernels in order. `stop` is the guard: the number of
    /// the kernel after which it returns if a float is not 0, and the float's region and offset
    /// in bytes.
    fn step(
        &mut self,
        programs: &[Program],
        kernels: &[FuncId],
        stop: Option<(usize, usize, usize)>,
    ) -> Result<FuncId, Error> {
        let id = self.begin(signature(1));
        let config = self.module.target_config();
        let mut builder = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let [table] = parameters(&mut builder);
        for (i, (program, kernel)) in programs.iter().zip(kernels).enumerate() {
            let function = self.module.declare_func_in_func(*kernel, builder.func);
            let begin = builder.ins().iconst(I64, 0);
            let end = builder.ins().iconst(I64, program.parallel.max(1) as i64);
            builder.ins().call(function, &[table, begin, end]);
            let Some((_, region, offset)) = stop.filter(|(after, ..)| *after == i) else {
                continue;
            };
            let near =
                |bytes: usize| i32::try_from(bytes).map_err(|e| Error::Codegen(e.to_string()));
            let memory = MemFlagsData::new().with_notrap();
            let pointer = near(region * size_of::<*mut u8>())?;
            let base = builder.ins().load(I64, memory, table, pointer);
            let by = builder.ins().iconst(I64, offset as i64);
            let at = builder.ins().iadd(base, by);
            let bits = builder.ins().load(I32, memory, at, 0);
            // Shifts out the sign.
            let magnitude = builder.ins().iadd(bits, bits);
            let (stopped, next) = (builder.create_block(), builder.create_block());
            builder.ins().brif(magnitude, stopped, &[], next, &[]);
            builder.switch_to_block(stopped);
            builder.ins().return_(&[]);
            builder.switch_to_block(next);
        }
        builder.ins().return_(&[]);
        builder.seal_all_blocks();
        builder.finalize(config);
        self.end(id, "step")?;
        Ok(id)
    }

    fn begin(&mut self, signature: Signature) -> FuncId {
        self.context.clear();
        let id = self.module.declare_function(&signature);
        self.context.func.signature = signature;
        self.context.func.name = UserFuncName::user(0, id.as_u32());
        self.context.set_disasm(self.dump.asm);
        id
    }

    fn end(&mut self, id: FuncId, name: &str) -> Result<(), Error> {
        if self.dump.clif {
            self.texts.push((format!("{name}.clif"), self.context.func.display().to_string()));
        }
        self.module.define_function(id, &mut self.context)?;
        if let Some(code) = self.context.compiled_code() {
            self.code += code.code_buffer().len();
            if let Some(text) = &code.vcode {
                self.texts.push((format!("{name}.asm"), text.clone()));
            }
        }
        Ok(())
    }
}

/// The functions of a module.
struct Functions {
    kernels: Vec<FuncId>,
    step: FuncId,
}

/// The signature of a function of pointers or integers.
fn signature(parameters: usize) -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params = vec![AbiParam::new(I64); parameters];
    signature
}

/// Creates the entry block of a function, and returns its parameters.
fn parameters<const N: usize>(builder: &mut FunctionBuilder<'_>) -> [Value; N] {
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    std::array::from_fn(|i| builder.block_params(entry)[i])
}

/// This machine's instruction set, cached: detecting the processor's features takes
/// longer than compiling a small kernel.
fn native(kernels: bool, verify: bool, check_registers: bool) -> Result<OwnedTargetIsa, Error> {
    static KNOWN: [OnceLock<Result<OwnedTargetIsa, String>>; 8] = [const { OnceLock::new() }; 8];
    let bits = [kernels, verify, check_registers].map(usize::from);
    KNOWN[bits[0] + 2 * bits[1] + 4 * bits[2]]
        .get_or_init(|| detect(kernels, verify, check_registers))
        .clone()
        .map_err(Error::Codegen)
}

/// `kernels`: whether it compiles kernels, for which the slower register allocator pays, or only
/// the step function.
fn detect(kernels: bool, verify: bool, check_registers: bool) -> Result<OwnedTargetIsa, String> {
    let on = |yes: bool| if yes { "true" } else { "false" };
    let mut flags = settings::builder();
    for (name, value) in [
        // See `clif` for why not `speed`.
        ("opt_level", "none"),
        ("regalloc_algorithm", if kernels { "backtracking" } else { "single_pass" }),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("unwind_info", "false"),
        ("enable_probestack", "false"),
        ("enable_verifier", on(verify)),
        ("regalloc_checker", on(check_registers)),
    ] {
        flags.set(name, value).map_err(|e| e.to_string())?;
    }
    let isa = cranelift_native::builder()
        .map_err(str::to_owned)?
        .finish(settings::Flags::new(flags))
        .map_err(|e| e.to_string())?;
    if cfg!(target_arch = "x86_64") {
        let has_feature =
            |name| isa.isa_flags().iter().any(|f| f.name == name && f.as_bool() == Some(true));
        if !(has_feature("has_avx") && has_feature("has_fma")) {
            return Err("this processor has no AVX or no FMA instructions, without which a sum \
                        of products would take a function call for every element"
                .into());
        }
    }
    Ok(isa)
}

fn unsupported(program: &Program) -> Error {
    let Program { name, lanes, .. } = program;
    Error::Codegen(format!("`{name}` has {lanes} lanes, which this processor does not support"))
}
