//! Purposes by machine code: the one place of the runtime that calls it.

use bilro_compiler::codegen::module::Executable;
use bilro_compiler::graph::Root;
use bilro_compiler::network::Network as Declaration;
use bilro_compiler::pipeline::lower_graph;
use bilro_compiler::plan::{ParameterLayout, Place, Region};
use bilro_compiler::schedule::Phase;
use bilro_compiler::tensor::Layout;
use ndarray::CowArray;

use super::progress::Source;
use super::{Call, Results};
use crate::buffer::Buffer;
use crate::dump;
use crate::error::Result;
use crate::network::Feed;
use crate::parameters::strided;
use crate::settings::isa;
use crate::threads::{self, Pace};

/// Machine code for a purpose and a batch size.
#[derive(Debug)]
pub(super) struct Compiled {
    executable: Executable,
    phases: Vec<Phase>,
    pace: Pace,
    regions: Vec<Region>,
    arena: usize,
    settings: Vec<Source>,
    /// Their bits for a call, in the same order.
    values: Vec<u32>,
    /// For every root that is read afterwards, where it lies.
    roots: Vec<(Root, Place, Layout)>,
}

/// More regions than this take their table from the heap.
const FEW: usize = 16;

impl Compiled {
    pub fn new(declaration: &Declaration, call: Call<'_, '_, '_>) -> Result<Compiled> {
        let dump = dump::requested()?;
        let kept = ParameterLayout::new(&declaration.kept(call.purpose));
        let lowered = lower_graph(call.graph(declaration), &kept, &isa()?, false)?;
        let (plan, guard) = (&lowered.plan, lowered.guard());
        let executable =
            Executable::guarded(&lowered.programs, &plan.places, &plan.regions, guard, false)?;
        if let Some(dump) = dump {
            let chosen: String = call.choices.iter().map(|c| format!("-{c}")).collect();
            let (purpose, batch) = (call.purpose.name(), call.batch);
            let name = format!("{}-{purpose}-{batch}{chosen}", declaration.name);
            dump.write(&name, &lowered)?;
        }
        let roots = lowered.fused.graph.roots().iter().zip(&lowered.fused.roots);
        let read = roots.filter(|((root, _), _)| !matches!(root, Root::Assign(_)));
        let roots = read.map(|((root, _), tensor)| {
            let layout = lowered.fused.tensors[*tensor].layout.clone();
            (root.clone(), lowered.plan.places[*tensor], layout)
        });
        Ok(Compiled {
            executable,
            phases: lowered.phases,
            pace: Pace::new(),
            arena: lowered.plan.arena,
            values: vec![0; lowered.fused.settings.len()],
            settings: lowered.fused.settings.iter().map(|name| Source::of(name)).collect(),
            roots: roots.collect(),
            regions: lowered.plan.regions,
        })
    }

    /// Floats that it needs in the arena.
    pub fn arena(&self) -> usize {
        self.arena
    }

    /// Runs it on arrays that have been checked against the declaration.
    pub fn run(
        &mut self,
        arena: &mut Buffer,
        parameters: &mut Buffer,
        call: Call<'_, '_, '_>,
        threads: usize,
    ) -> Results {
        assert!(arena.len() >= self.arena, "the engine's arena is as large as its largest user");
        for (value, setting) in self.values.iter_mut().zip(&self.settings) {
            *value = call.progress.setting(call.purpose, *setting);
        }
        // Arrays that do not lie row-major are copied so; others are read where
        // they are.
        let mut held: Vec<Held<'_>> = Vec::new();
        let (mut few, mut many) = ([std::ptr::null_mut(); FEW], Vec::new());
        let table: &mut [*mut u8] = if self.regions.len() <= FEW {
            &mut few[..self.regions.len()]
        } else {
            many.resize(self.regions.len(), std::ptr::null_mut());
            &mut many
        };
        for (slot, region) in table.iter_mut().zip(&self.regions) {
            *slot = match region {
                Region::Arena => arena.as_mut_slice().as_mut_ptr().cast(),
                Region::Parameters => parameters.as_mut_slice().as_mut_ptr().cast(),
                Region::Settings => self.values.as_mut_ptr().cast(),
                Region::Input(i) => {
                    let feed = call.feeds.get(*i).expect("whatever a purpose needs is given");
                    row_major(feed, &mut held)
                }
            };
        }
        // SAFETY: the table has a pointer for every region in the order that
        // the executable was made with. The arena has at least the planned
        // elements; the parameters' memory follows the same ParameterLayout as
        // the plan; values has a number for each setting read; every input has
        // been checked to have the declared sizes for this batch size, lies
        // row-major, is only read, and outlives the call (borrowed by `call`
        // or owned by `held`). Whole numbers have been checked to be below
        // their input's bound, as code that reaches rows by them relies on.
        // Arena and parameters are borrowed exclusively.
        // Phases and executable are of the same programs.
        unsafe { threads::run(&self.executable, &self.phases, &mut self.pace, table, threads) };
        drop(held);

        let mut results = Results::new();
        for (root, place, layout) in &self.roots {
            let memory = match place.region {
                Region::Parameters => parameters.as_slice(),
                _ => arena.as_slice(),
            };
            let memory = &memory[place.offset..place.offset + layout.elements];
            match root {
                Root::Loss => results.loss = memory[0],
                Root::Metric(_) => results.metrics.push(memory[0]),
                Root::Output(_) | Root::Gradient(_) | Root::InputGradient(_) => {
                    results.arrays.push(strided(memory, layout).to_owned());
                }
                Root::Guard => results.kept = memory[0] == 0.0,
                Root::Assign(_) => {}
            }
        }
        results
    }
}

/// A row-major copy that lives as long as a call.
enum Held<'a> {
    Real(CowArray<'a, f32, ndarray::IxDyn>),
    Index(CowArray<'a, u32, ndarray::IxDyn>),
}

/// Where an array's elements lie row-major; generated code only reads there.
fn row_major<'a>(feed: &'a Feed<'_>, held: &mut Vec<Held<'a>>) -> *mut u8 {
    match feed {
        Feed::Real(array) if array.is_standard_layout() => array.as_ptr().cast_mut().cast(),
        Feed::Index(array) if array.is_standard_layout() => array.as_ptr().cast_mut().cast(),
        Feed::Real(array) => {
            held.push(Held::Real(array.as_standard_layout()));
            match held.last() {
                Some(Held::Real(copy)) => copy.as_ptr().cast_mut().cast(),
                _ => unreachable!("just pushed"),
            }
        }
        Feed::Index(array) => {
            held.push(Held::Index(array.as_standard_layout()));
            match held.last() {
                Some(Held::Index(copy)) => copy.as_ptr().cast_mut().cast(),
                _ => unreachable!("just pushed"),
            }
        }
    }
}
