//! Verification of a call's results: outputs, loss, metrics, gradients and next values by machine
//! code, against the interpreter in f64 on the declared graph.
//!
//! The bounds are those of a running error analysis of the compiled graph, which machine code
//! computes; the values are those of the declared graph. Errors add up over all layers, so that the
//! bounds are wide for deep networks. See [`expectations`] for results that overflow on the way.

use std::cell::OnceCell;

use bilro_compiler::eval::Value;
use bilro_compiler::eval::bounded::{Bounded, expectations};
use bilro_compiler::graph::Root;
use bilro_compiler::plan::Region;

use super::kernels::{is_of_another_artifact, stale};
use super::{Comparison, Run, SLACK, leaf_value, provenance, tracked};
use crate::error::{Check, Compared, Result};
use crate::run::engine::arena_description;
use crate::run::interpreter::interpret;
use crate::run::parameters::strided;

pub(super) fn check(run: &Run<'_, '_, '_>) -> Result<Check> {
    let (engine, call) = (run.engine, &run.call);
    let mut check = Check::new(run.named("as declared"));
    let Some(found) = found(run)? else {
        check.add(Compared::default(), Some(stale(run, &check.name)));
        return Ok(check);
    };
    let declared = interpret::<f64>(&run.graph, |leaf| leaf_value(&engine.parameters, call, leaf));
    let bounds: Vec<Value<Bounded>> = tracked(engine, call, &run.fused.graph);
    let is_accepted = accepted(run, &found);
    let roots = run.graph.roots().iter().zip(&declared).zip(bounds.iter().zip(&found));
    // Evaluated if a result differs.
    let in_f32: OnceCell<Vec<Value<Bounded>>> = OnceCell::new();
    for (i, (((root, id), declared), (bounded, found))) in roots.enumerate() {
        // A rejected step assigns nothing, and the guard itself is compared by kernel.
        if matches!(root, Root::Guard) || (matches!(root, Root::Assign(_)) && !is_accepted) {
            continue;
        }
        let found: Vec<f64> = found.iter().map(|x| f64::from(*x)).collect();
        let in_f32 =
            || in_f32.get_or_init(|| tracked(engine, call, &run.graph))[i].reals().to_vec();
        let limits = [run.extent.tolerance, SLACK];
        let expected = expectations(&found, declared.reals(), bounded.reals(), in_f32, limits);
        let comparison = Comparison {
            check: check.name.clone(),
            layer: provenance::root_label(&engine.declaration, root),
            operation: String::new(),
            kernel: String::new(),
            sizes: run.graph.sizes(*id),
            is_batched: run.graph.shape(*id).batched,
            found,
            expected: &expected,
            tolerance: run.extent.tolerance,
        };
        let (compared, disagreement) = comparison.compare();
        check.add(compared, disagreement);
    }
    Ok(check)
}

/// The roots by machine code, in their order, row-major; `None` if the code is of another artifact.
fn found(run: &Run<'_, '_, '_>) -> Result<Option<Vec<Vec<f32>>>> {
    let engine = run.engine;
    let (declaration, parameters) = (&engine.declaration, &engine.parameters);
    let (found, evicted) = engine.workspaces.with(|workspace| -> Result<_> {
        let (index, evicted) = workspace.code(&engine.code, declaration, parameters, &run.call)?;
        let code = workspace.compiled(index);
        if is_of_another_artifact(run, code) {
            return Ok((None, evicted));
        }
        let what = || arena_description(declaration, &run.call);
        let mut memory = code.own_memory(&what, &parameters.memory, &run.call, f32::NAN)?;
        code.run_in(&mut memory, &run.call, engine.threads)?;
        let value = |root: &bilro_compiler::artifact::RootValue| {
            let floats = match root.allocation.region {
                Region::Parameters => memory.parameters.as_slice(),
                _ => memory.arena.as_slice(),
            };
            let start = root.allocation.offset;
            let floats = &floats[start..start + root.layout.elements];
            strided(floats, &root.layout).iter().copied().collect::<Vec<f32>>()
        };
        let roots = run.artifact.interface.roots.iter().map(value).collect();
        Ok((Some(roots), evicted))
    })?;
    if evicted {
        engine.workspaces.refresh(&engine.code);
    }
    Ok(found)
}

/// Whether a step made its assignments.
fn accepted(run: &Run<'_, '_, '_>, found: &[Vec<f32>]) -> bool {
    let mut roots = run.graph.roots().iter().zip(found);
    roots.all(|((root, _), found)| *root != Root::Guard || found.first() == Some(&0.0))
}
