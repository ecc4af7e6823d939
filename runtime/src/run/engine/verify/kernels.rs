//! Verification kernel by kernel: each result of machine code against the interpreter's, which starts
//! from the machine code's values of earlier kernels.

use std::collections::HashMap;
use std::rc::Rc;

use bilro_compiler::buffer::Layout;
use bilro_compiler::eval::Value;
use bilro_compiler::eval::bounded::Bounded;
use bilro_compiler::fuse::Part;
use bilro_compiler::graph::{NodeId, Root};
use bilro_compiler::plan::{Allocation, Region};
use bilro_compiler::program::Program;
use ndarray::ArrayD;

use super::{Comparison, Run, Values, leaf_value, provenance, root_nodes};
use crate::error::{Check, Compared, Disagreement, Result};
use crate::run::engine::arena_description;
use crate::run::engine::jit::{Compiled, OwnMemory};
use crate::run::interpreter::evaluate_on;
use crate::run::parameters::strided;

/// The initial contents of the arena: a NaN that no operation computes.
const CANARY: u32 = 0x7FC0_0BAD;

pub(super) fn check(run: &Run<'_, '_, '_>) -> Result<Check> {
    let engine = run.engine;
    let (declaration, parameters) = (&engine.declaration, &engine.parameters);
    engine
        .workspaces
        .with(|workspace| {
            let (index, evicted) =
                workspace.code(&engine.code, declaration, parameters, &run.call)?;
            let code = workspace.compiled(index);
            let mut check = Check::new(run.named("by kernel"));
            if is_of_another_artifact(run, code) {
                check.add(Compared::default(), Some(stale(run, &check.name)));
                return Ok((check, evicted));
            }
            let what = || arena_description(declaration, &run.call);
            let canary = f32::from_bits(CANARY);
            let mut memory = code.own_memory(&what, &parameters.memory, &run.call, canary)?;
            let mut observer = Observer::new(run, check, &memory);
            code.run_by_kernel(&mut memory, &run.call, engine.threads, |kernel, memory| {
                observer.after(kernel, memory);
            })?;
            let Observer { mut check, values, .. } = observer;
            check_call(run, code, &values, &mut check)?;
            Ok((check, evicted))
        })
        .map(|(check, evicted)| {
            if evicted {
                engine.workspaces.refresh(&engine.code);
            }
            check
        })
}

/// Whether the code is not that of the programs which the purpose is lowered to, as after a change of
/// `BILRO_ISA`. Then the artifact does not describe the code's memory.
pub(super) fn is_of_another_artifact(run: &Run<'_, '_, '_>, code: &Compiled) -> bool {
    let (expected, found) = (&run.artifact.interface, code.interface());
    let roots = expected.roots.iter().filter(|value| !matches!(value.root, Root::Assign(_)));
    // The region that sanitised code has in addition.
    let regions = found.regions.iter().filter(|region| **region != Region::Monitor);
    code.kernels() != run.artifact.programs.len()
        || !expected.regions.iter().eq(regions)
        || expected.arena != found.arena
        || expected.step_scalars != found.step_scalars
        || !roots.eq(&found.roots)
}

/// The disagreement for code of another artifact.
pub(super) fn stale(run: &Run<'_, '_, '_>, check: &str) -> Disagreement {
    Disagreement {
        check: check.into(),
        layer: run.engine.declaration.name.clone(),
        wrong: 1,
        found: f64::NAN,
        expected: f64::NAN,
        note: "the cached code of this purpose is not the code that it is compiled to".into(),
        ..Disagreement::default()
    }
}

/// Compares a complete call, as users make it, with the values of its kernels one by one, bit for bit.
fn check_call(
    run: &Run<'_, '_, '_>,
    code: &Compiled,
    values: &Values,
    check: &mut Check,
) -> Result<()> {
    let engine = run.engine;
    let what = || arena_description(&engine.declaration, &run.call);
    let canary = f32::from_bits(CANARY);
    let mut memory = code.own_memory(&what, &engine.parameters.memory, &run.call, canary)?;
    code.run_in(&mut memory, &run.call, engine.threads)?;
    let roots = run.artifact.interface.roots.iter().zip(root_nodes(&run.fused.graph));
    for (root, id) in roots {
        let Some(expected) = &values[id.index()] else { continue };
        let found = read(&memory, root.allocation, &root.layout);
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        let layer = provenance::root_label(&engine.declaration, &root.root);
        let wrong = found.iter().zip(expected).filter(|pair| !same(*pair)).count();
        let mut compared =
            Compared { name: layer.clone(), elements: found.len(), ..Compared::default() };
        let disagreement = (wrong > 0).then(|| {
            compared.worst = f64::INFINITY;
            let first = found.iter().zip(expected).position(|pair| !same(pair)).unwrap_or(0);
            Disagreement {
                check: check.name.clone(),
                layer,
                index: super::index(first, &root.layout.sizes),
                found: found.iter().nth(first).map_or(f64::NAN, |x| f64::from(*x)),
                expected: expected.iter().nth(first).map_or(f64::NAN, |x| f64::from(*x)),
                wrong,
                elements: found.len(),
                note: "the complete call computes other bits than its kernels one by one".into(),
                ..Disagreement::default()
            }
        });
        check.add(compared, disagreement);
    }
    Ok(())
}

/// The values of a buffer.
fn read(memory: &OwnMemory, allocation: Allocation, layout: &Layout) -> ArrayD<f32> {
    let floats = match allocation.region {
        Region::Parameters => memory.parameters.as_slice(),
        _ => memory.arena.as_slice(),
    };
    let floats = &floats[allocation.offset..allocation.offset + layout.elements];
    strided(floats, layout).as_standard_layout().into_owned()
}

/// The memory of a value.
struct Stored {
    allocation: Allocation,
    layout: Layout,
}

/// Examines the memory after each kernel.
struct Observer<'r, 'e, 'a, 'b> {
    run: &'r Run<'e, 'a, 'b>,
    check: Check,
    owners: Vec<String>,
    /// The memory that kernels write, by the node whose value it holds.
    stored: HashMap<NodeId, Stored>,
    /// For each kernel, the joins of which it writes the last part.
    joined: HashMap<usize, Vec<NodeId>>,
    /// The values of machine code.
    values: Values,
    /// The last kernel that reads the value of each node.
    last: Vec<usize>,
    /// The memory before the kernel.
    before: [Vec<u32>; 2],
}

impl<'r, 'e, 'a, 'b> Observer<'r, 'e, 'a, 'b> {
    fn new(run: &'r Run<'e, 'a, 'b>, check: Check, memory: &OwnMemory) -> Self {
        let fused = &run.fused;
        let is_given = |buffer: &usize| fused.buffers[*buffer].is_given;
        let allocations = &run.artifact.allocations;
        let computed = fused.values.iter().enumerate().filter(|(buffer, _)| !is_given(buffer));
        let whole = |(buffer, id): (usize, &NodeId)| {
            let layout = fused.buffers[buffer].layout.clone();
            (*id, Stored { allocation: allocations[buffer], layout })
        };
        let part = |part: &Part| {
            let allocation = allocations[part.buffer];
            let offset = allocation.offset + part.offset;
            (
                part.value,
                Stored { allocation: Allocation { offset, ..allocation }, layout: part.layout() },
            )
        };
        let stored = computed.map(whole).chain(fused.parts.iter().map(part)).collect();
        // A buffer's value, and those of its parts.
        let values_in = |buffer: usize| {
            let parts = fused.parts.iter().filter(move |part| part.buffer == buffer);
            fused.values.get(buffer).copied().into_iter().chain(parts.map(|part| part.value))
        };
        let mut last = vec![0; fused.graph.len()];
        let mut writers: HashMap<usize, usize> = HashMap::new();
        for (k, kernel) in fused.kernels.iter().enumerate() {
            for id in kernel.reads().into_iter().flat_map(values_in) {
                last[id.index()] = k;
            }
            let parts = kernel.stored().into_iter().filter(|access| access.part.is_some());
            writers.extend(parts.map(|access| (access.buffer, k)));
        }
        for buffer in &fused.roots {
            values_in(*buffer).for_each(|id| last[id.index()] = usize::MAX);
        }
        let mut joined: HashMap<usize, Vec<NodeId>> = HashMap::new();
        for (buffer, k) in writers {
            joined.entry(k).or_default().extend(fused.values.get(buffer));
        }
        Observer {
            run,
            check,
            owners: provenance::owners(&fused.graph).iter().map(|name| run.label(name)).collect(),
            stored,
            joined,
            values: vec![None; fused.graph.len()],
            last,
            before: [&memory.arena, &memory.parameters].map(|m| bits(m.as_slice()).to_vec()),
        }
    }

    fn after(&mut self, k: usize, memory: &OwnMemory) {
        self.find_stray_writes(k, memory);
        let Observer { run, .. } = *self;
        let (g, fused) = (&run.fused.graph, &run.fused);
        let mut nodes = fused.nodes[k].clone();
        nodes.sort_unstable();
        let mut known: HashMap<NodeId, Rc<Value<Bounded>>> = HashMap::default();
        for id in nodes {
            let value = self.value(id, &mut known);
            let Some(Stored { allocation, layout }) = self.stored.get(&id) else { continue };
            let found = read(memory, *allocation, layout);
            let is_guard = g.root(&Root::Guard) == Some(id);
            let (Some(elements), Value::Real(_)) = (found.as_slice(), &*value) else { continue };
            // The guard is 0 or not: its other values have no meaning.
            let is_zero: Vec<f64> = match is_guard {
                true => elements.iter().map(|x| if *x == 0.0 { 0.0 } else { f64::NAN }).collect(),
                false => Vec::new(),
            };
            let comparison = Comparison {
                check: self.check.name.clone(),
                layer: self.owners[id.index()].clone(),
                operation: g.op(id).name().into(),
                kernel: self.kernel(k),
                sizes: g.sizes(id),
                is_batched: g.shape(id).batched,
                found: if is_guard { is_zero } else { wide(elements) },
                expected: value.reals(),
                tolerance: run.extent.tolerance,
            };
            let (compared, disagreement) = comparison.compare();
            self.check.add(compared, disagreement);
            // Later values are computed from that of machine code.
            known.insert(id, Rc::new(super::real(found.view())));
            self.values[id.index()] = Some(found);
        }
        for id in self.joined.get(&k).into_iter().flatten() {
            let Some(Stored { allocation, layout }) = self.stored.get(id) else { continue };
            self.values[id.index()] = Some(read(memory, *allocation, layout));
        }
        for (value, last) in self.values.iter_mut().zip(&self.last) {
            if *last <= k {
                *value = None;
            }
        }
    }

    fn kernel(&self, k: usize) -> String {
        let Program { name, .. } = &self.run.artifact.programs[k];
        format!("kernel {k} ({name})")
    }

    /// A node's value from the values of machine code: only nodes without one are evaluated, those
    /// inside the kernel, views and leaves.
    fn value(
        &self,
        id: NodeId,
        known: &mut HashMap<NodeId, Rc<Value<Bounded>>>,
    ) -> Rc<Value<Bounded>> {
        let g = &self.run.fused.graph;
        // Operands first; without recursion, because chains are as long as networks are deep.
        let mut open = vec![id];
        while let Some(&next) = open.last() {
            if known.contains_key(&next) {
                open.pop();
                continue;
            }
            let value = match (&self.values[next.index()], g.op(next).leaf()) {
                (Some(machine), _) => super::real(machine.view()),
                (None, Some(leaf)) => leaf_value(&self.run.engine.parameters, &self.run.call, leaf),
                (None, None) => {
                    let missing =
                        g.operands(next).iter().filter(|x| !known.contains_key(*x)).copied();
                    let missing: Vec<NodeId> = missing.collect();
                    if !missing.is_empty() {
                        open.extend(missing);
                        continue;
                    }
                    let x: Vec<&Value<Bounded>> =
                        g.operands(next).iter().map(|x| &*known[x]).collect();
                    evaluate_on(g, next, &x)
                }
            };
            known.insert(next, Rc::new(value));
            open.pop();
        }
        known[&id].clone()
    }

    /// Finds memory that a kernel has changed outside of its buffers.
    fn find_stray_writes(&mut self, k: usize, memory: &OwnMemory) {
        let Run { fused, artifact, .. } = self.run;
        let now = [&memory.arena, &memory.parameters].map(|m| bits(m.as_slice()));
        for (region, i) in [(Region::Arena, 0), (Region::Parameters, 1)] {
            let written = fused.kernels[k].writes().into_iter();
            let mut spans: Vec<(usize, usize)> = written
                .filter(|buffer| artifact.allocations[*buffer].region == region)
                .map(|buffer| {
                    let start = artifact.allocations[buffer].offset;
                    (start, start + artifact.buffers[buffer].layout.elements)
                })
                .collect();
            spans.sort_unstable();
            let (before, after) = (&mut self.before[i], now[i]);
            let mut from = 0;
            let mut stray = None;
            for (start, end) in spans.iter().copied().chain([(after.len(), after.len())]) {
                if start > from && before[from..start] != after[from..start] {
                    let differs = |i: &usize| before[*i] != after[*i];
                    let first = (from..start).find(differs);
                    stray = stray.or(first.map(|element| (element, before[element])));
                    before[from..start].copy_from_slice(&after[from..start]);
                }
                before[start..end].copy_from_slice(&after[start..end]);
                from = from.max(end);
            }
            let Some((element, old)) = stray else { continue };
            let layer = fused.nodes[k].first().map(|id| self.owners[id.index()].clone());
            let owner = (0..artifact.buffers.len()).find(|buffer| {
                let Allocation { region: other, offset } = artifact.allocations[*buffer];
                let end = offset + artifact.buffers[*buffer].layout.elements;
                other == region && (offset..end).contains(&element)
            });
            let owner = match owner {
                Some(buffer) => format!("the memory of {}", artifact.buffers[buffer].name),
                None => "memory of no buffer".into(),
            };
            let disagreement = Disagreement {
                check: self.check.name.clone(),
                layer: layer.unwrap_or_default(),
                kernel: self.kernel(k),
                index: vec![element],
                found: f64::from(f32::from_bits(after[element])),
                expected: f64::from(f32::from_bits(old)),
                wrong: 1,
                elements: 1,
                note: format!(
                    "the kernel writes outside its buffers: element {element} of {region:?}, {owner}"
                ),
                ..Disagreement::default()
            };
            let name = disagreement.layer.clone();
            let worst = f64::INFINITY;
            self.check.add(Compared { name, elements: 1, undecided: 0, worst }, Some(disagreement));
        }
    }
}

fn wide(floats: &[f32]) -> Vec<f64> {
    floats.iter().map(|x| f64::from(*x)).collect()
}

fn bits(floats: &[f32]) -> &[u32] {
    bytemuck::cast_slice(floats)
}
