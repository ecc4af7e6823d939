//! Checks of sanitised programs for Cranelift: each calls [`sanitized::check_function`].

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, Block, InstBuilder, SigRef, Signature, Value};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;

use super::Emitter;
use crate::codegen::sanitized;
use crate::error::Error;
use crate::program::Check;

/// The values of a sanitised function.
#[derive(Clone, Copy)]
pub(super) struct Checks {
    /// The pointer to the monitor.
    monitor: Value,
    signature: SigRef,
    /// The block that returns after a failed check.
    failed: Block,
}

impl Checks {
    /// For a function whose monitor is this pointer.
    pub fn new(builder: &mut FunctionBuilder<'_>, monitor: Value) -> Checks {
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params = vec![AbiParam::new(I64); 3];
        signature.returns = vec![AbiParam::new(I64)];
        let signature = builder.import_signature(signature);
        Checks { monitor, signature, failed: builder.create_block() }
    }

    /// Ends the function.
    pub fn finish(self, builder: &mut FunctionBuilder<'_>) {
        builder.switch_to_block(self.failed);
        builder.ins().return_(&[]);
    }
}

impl Emitter<'_, '_> {
    /// Emits a check: the function returns if it fails.
    pub(super) fn check(&mut self, check: &Check) -> Result<(), Error> {
        let Checks { monitor, signature, failed } =
            self.checks.ok_or_else(sanitized::no_monitor)?;
        let (pointer, displacement) = self.address(&check.at)?;
        let displacement = self.builder.ins().iconst(I64, i64::from(displacement));
        let at = self.builder.ins().iadd(pointer, displacement);
        let number = self.builder.ins().iconst(I64, i64::from(check.number));
        let function = self.builder.ins().iconst(I64, sanitized::check_function());
        let call = self.builder.ins().call_indirect(signature, function, &[monitor, number, at]);
        let result = self.builder.inst_results(call)[0];
        let next = self.builder.create_block();
        self.builder.ins().brif(result, failed, &[], next, &[]);
        self.builder.switch_to_block(next);
        Ok(())
    }
}
