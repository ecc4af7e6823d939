//! Linking: places functions in one block of code, and resolves relocations.
//!
//! An executable is contiguous: all functions, followed by
//! the constants. Functions refer to each other by absolute addresses, which
//! are written when the block's address is known.

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::immediates::Imm64;
use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, FuncRef, Function, GlobalValue, GlobalValueData, Signature,
    UserExternalName,
};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetFrontendConfig};
use cranelift_codegen::{Context, FinalizedRelocTarget};

use super::heap::Block;
use crate::error::Error;

/// A function, by its index among the declared ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FuncId(u32);

impl FuncId {
    pub fn as_u32(self) -> u32 {
        self.0
    }
}

/// The namespaces of names: functions by their indices, and the constants.
const FUNCTIONS: u32 = 0;
const CONSTANTS: u32 = 1;

/// The least alignment of functions, in bytes.
const LEAST_ALIGNMENT: u64 = 16;
/// The alignment of constants: a cache line.
const CONSTANTS_ALIGNMENT: u64 = 64;

/// Functions that are being compiled, and their constants.
pub(super) struct Linker {
    isa: OwnedTargetIsa,
    declared: Vec<Declared>,
    constants: Vec<u8>,
}

struct Declared {
    signature: Signature,
    defined: Option<Defined>,
}

struct Defined {
    bytes: Vec<u8>,
    alignment: u64,
    addresses: Vec<Address>,
}

/// A relocation: an absolute address in a function's code.
struct Address {
    /// The offset in the function's bytes.
    at: usize,
    /// The target.
    name: UserExternalName,
    addend: i64,
}

/// Linked code.
#[derive(Debug)]
pub(super) struct Linked {
    block: Block,
    starts: Vec<usize>,
}

impl Linked {
    /// The address of a function.
    pub fn function(&self, id: FuncId) -> *const u8 {
        self.block.address(self.starts[id.0 as usize])
    }

    /// Its memory in bytes.
    pub fn memory(&self) -> usize {
        self.block.len() + size_of_val(&self.starts[..])
    }
}

impl Linker {
    /// A linker without functions.
    pub fn new(isa: OwnedTargetIsa) -> Linker {
        Linker { isa, declared: Vec::new(), constants: Vec::new() }
    }

    pub fn target_config(&self) -> TargetFrontendConfig {
        self.isa.frontend_config()
    }

    /// Declares a function, to be defined later.
    pub fn declare_function(&mut self, signature: &Signature) -> FuncId {
        self.declared.push(Declared { signature: signature.clone(), defined: None });
        FuncId(self.declared.len() as u32 - 1)
    }

    /// Imports a function into another one.
    pub fn declare_func_in_func(&self, id: FuncId, func: &mut Function) -> FuncRef {
        let signature = func.import_signature(self.declared[id.0 as usize].signature.clone());
        let name = UserExternalName { namespace: FUNCTIONS, index: id.0 };
        let name = ExternalName::user(func.declare_imported_user_function(name));
        func.import_function(ExtFuncData { name, signature, colocated: false, patchable: false })
    }

    /// Imports the address of the constants into a function.
    pub fn declare_constants_in_func(&self, func: &mut Function) -> GlobalValue {
        let name = UserExternalName { namespace: CONSTANTS, index: 0 };
        let name = ExternalName::user(func.declare_imported_user_function(name));
        let offset = Imm64::new(0);
        func.create_global_value(GlobalValueData::Symbol {
            name,
            offset,
            colocated: false,
            tls: false,
        })
    }

    /// Compiles a function. `context` keeps the function and the compiled code.
    pub fn define_function(&mut self, id: FuncId, context: &mut Context) -> Result<(), Error> {
        context
            .compile(&*self.isa, &mut ControlPlane::default())
            .map_err(|e| Error::Codegen(format!("{:?}", e.inner)))?;
        let compiled = context.compiled_code().expect("it has been compiled");
        let alignment = u64::from(compiled.buffer.alignment);
        let bytes = compiled.code_buffer().to_vec();
        let names = context.func.params.user_named_funcs();
        let mut addresses = Vec::new();
        for reloc in compiled.buffer.relocs() {
            let name = match &reloc.target {
                FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => &names[*name],
                other => return Err(Error::Codegen(format!("a reference to {other:?}"))),
            };
            if reloc.kind != Reloc::Abs8 {
                return Err(Error::Codegen(format!("an address as {:?}", reloc.kind)));
            }
            let (at, addend) = (reloc.offset as usize, reloc.addend);
            addresses.push(Address { at, name: name.clone(), addend });
        }
        self.declared[id.0 as usize].defined = Some(Defined { bytes, alignment, addresses });
        Ok(())
    }

    /// Defines a function by its machine code, which has no relocations.
    pub fn define_function_bytes(&mut self, id: FuncId, alignment: u64, bytes: Vec<u8>) {
        let defined = Defined { bytes, alignment, addresses: Vec::new() };
        self.declared[id.0 as usize].defined = Some(defined);
    }

    /// Defines the constants.
    pub fn define_constants(&mut self, bytes: Vec<u8>) {
        self.constants = bytes;
    }

    /// Links all functions into executable memory.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system has no memory.
    pub fn link(self) -> Result<Linked, Error> {
        let mut end = 0;
        let mut allocate = |bytes: &[u8], alignment: u64| {
            let start = usize::next_multiple_of(end, alignment.max(LEAST_ALIGNMENT) as usize);
            end = start + bytes.len();
            start
        };
        let mut functions = Vec::new();
        let mut starts = Vec::new();
        for declared in self.declared {
            let undefined = || Error::Codegen("a function was declared, but not defined".into());
            let defined = declared.defined.ok_or_else(undefined)?;
            starts.push(allocate(&defined.bytes, defined.alignment));
            functions.push(defined);
        }
        let constants = allocate(&self.constants, CONSTANTS_ALIGNMENT);
        let block = Block::new(end, |memory, base| {
            for (function, start) in functions.iter().zip(&starts) {
                let code = &mut memory[*start..*start + function.bytes.len()];
                code.copy_from_slice(&function.bytes);
                for Address { at, name, addend } in &function.addresses {
                    let target = match name.namespace {
                        CONSTANTS => constants,
                        _ => starts[name.index as usize],
                    };
                    let address = ((base + target) as i64).wrapping_add(*addend);
                    code[*at..*at + 8].copy_from_slice(&address.to_ne_bytes());
                }
            }
            memory[constants..constants + self.constants.len()].copy_from_slice(&self.constants);
            Ok(())
        })?;
        Ok(Linked { block, starts })
    }
}
