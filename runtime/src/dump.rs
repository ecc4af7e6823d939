//! `BILRO_DUMP=graph,kernels,programs,clif,asm,dot`: one file a stage for every
//! compilation, into `bilro-dump`, or the folder that `BILRO_DUMP_DIR` names.

use std::path::PathBuf;

use bilro_compiler::codegen::module::{Dump as CodeDump, Executable};
use bilro_compiler::graph::dot;
use bilro_compiler::pipeline::Lowered;

use crate::error::{Error, Result, did_you_mean};
use crate::settings::variable;

const STAGES: [&str; 6] = ["graph", "kernels", "programs", "clif", "asm", "dot"];

/// The stages that are asked for.
pub(crate) struct Dump {
    stages: Vec<&'static str>,
    folder: PathBuf,
}

/// What `BILRO_DUMP` asks for, if it is set.
pub(crate) fn requested() -> Result<Option<Dump>> {
    let Some(found) = variable("BILRO_DUMP")? else { return Ok(None) };
    let stage = |name: &str| {
        STAGES.into_iter().find(|s| *s == name.trim()).ok_or_else(|| Error::Environment {
            variable: "BILRO_DUMP",
            expected: format!(
                "stages out of {}, with commas between them{}",
                STAGES.join(", "),
                did_you_mean(name.trim(), STAGES)
            ),
            found: found.clone(),
        })
    };
    let stages = found.split(',').map(stage).collect::<Result<_>>()?;
    let folder = variable("BILRO_DUMP_DIR")?.unwrap_or_else(|| "bilro-dump".into()).into();
    Ok(Some(Dump { stages, folder }))
}

impl Dump {
    /// Writes the stages of one compilation.
    pub fn write(&self, name: &str, lowered: &Lowered) -> Result<()> {
        for stage in &self.stages {
            let lines =
                |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join("\n");
            let text = match *stage {
                "graph" => {
                    format!("{}\n\nsimplified and arranged\n{}", lowered.graph, lowered.fused.graph)
                }
                "kernels" => {
                    let kernels = lines(&mut lowered.fused.kernels.iter().map(|k| k.to_string()));
                    let tensors = lowered.fused.buffers.iter().enumerate();
                    let tensors = lines(
                        &mut tensors.map(|(i, t)| format!("tensor {i}: {} {:?}", t.name, t.layout)),
                    );
                    format!("{kernels}\n{tensors}\n{}", lowered.plan)
                }
                "programs" => {
                    let programs = lines(&mut lowered.programs.iter().map(|p| p.to_string()));
                    let phases = lowered.phases.iter().map(|p| format!("phase: {p}"));
                    format!("{programs}\n{}", lines(&mut phases.into_iter()))
                }
                "dot" => dot(&lowered.fused.graph),
                code => {
                    let dump = CodeDump { clif: code == "clif", asm: code == "asm" };
                    let plan = &lowered.plan;
                    let (_, text) = Executable::with_dump(
                        &lowered.programs,
                        &plan.allocations,
                        &plan.regions,
                        lowered.guard(),
                        false,
                        dump,
                    )?;
                    lines(&mut text.into_iter().map(|(name, text)| format!("; {name}\n{text}")))
                }
            };
            let path = self.folder.join(format!("{name}.{stage}"));
            std::fs::create_dir_all(&self.folder)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|e| Error::File { path, message: format!("cannot be written: {e}") })?;
        }
        Ok(())
    }
}
