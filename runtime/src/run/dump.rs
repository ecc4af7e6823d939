//! Dumps of compilations: `BILRO_DUMP=graph,kernels,programs,clif,asm,dot` writes one file per
//! stage and compilation into `bilro-dump`, or the folder that `BILRO_DUMP_DIR` names.

use std::path::PathBuf;

use bilro_compiler::artifact::Artifact;
use bilro_compiler::codegen::module::{Dump as CodeDump, Executable};
use bilro_compiler::graph::dot;
use bilro_compiler::pipeline::{Observer, Stage};

use crate::error::{Error, Result, did_you_mean};
use crate::run::config::environment_variable;

const STAGES: [&str; 6] = ["graph", "kernels", "programs", "clif", "asm", "dot"];

/// The requested stages.
pub(crate) struct Dump {
    stages: Vec<&'static str>,
    folder: PathBuf,
}

/// The texts of one compilation: an observer of its passes.
pub(crate) struct Texts {
    dump: Dump,
    name: String,
    /// The text of each stage so far.
    texts: Vec<(&'static str, String)>,
}

/// The stages that `BILRO_DUMP` requests, if it is set.
pub(crate) fn requested() -> Result<Option<Dump>> {
    let Some(found) = environment_variable("BILRO_DUMP")? else { return Ok(None) };
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
    let folder =
        environment_variable("BILRO_DUMP_DIR")?.unwrap_or_else(|| "bilro-dump".into()).into();
    Ok(Some(Dump { stages, folder }))
}

impl Dump {
    /// The texts of a compilation, in files of this name; what may have a meaning in a path is `_`.
    pub fn of(self, name: String) -> Texts {
        let plain = |c: char| if c.is_alphanumeric() || c == '-' { c } else { '_' };
        let name = name.chars().map(plain).collect();
        Texts { dump: self, name, texts: Vec::new() }
    }
}

impl Observer for Texts {
    fn observe(&mut self, pass: &'static str, result: Stage<'_>) {
        match result {
            Stage::Graph(graph) if pass == "graph" => self.add("graph", &format!("{graph}\n\n")),
            Stage::Graph(_) => {}
            Stage::Fused(fused) => {
                self.add("graph", &format!("simplified and arranged\n{}", fused.graph));
                self.add("dot", &dot(&fused.graph));
                for kernel in &fused.kernels {
                    self.add("kernels", &format!("{kernel}\n"));
                }
                for (i, buffer) in fused.buffers.iter().enumerate() {
                    let text = format!("buffer {i}: {} {:?}\n", buffer.name, buffer.layout);
                    self.add("kernels", &text);
                }
            }
            Stage::Plan(plan) => self.add("kernels", &plan.to_string()),
            Stage::Programs(programs) => {
                programs.iter().for_each(|p| self.add("programs", &format!("{p}\n")));
            }
            Stage::Phases(phases) => {
                phases.iter().for_each(|p| self.add("programs", &format!("phase: {p}\n")));
            }
        }
    }
}

impl Texts {
    /// Appends to the text of a stage, if it is requested.
    fn add(&mut self, stage: &'static str, text: &str) {
        if !self.dump.stages.contains(&stage) {
            return;
        }
        match self.texts.iter_mut().find(|(s, _)| *s == stage) {
            Some((_, all)) => all.push_str(text),
            None => self.texts.push((stage, text.into())),
        }
    }

    /// Writes the files, with those of machine code.
    pub fn finish(mut self, artifact: &Artifact) -> Result<()> {
        for stage in ["clif", "asm"] {
            if self.dump.stages.contains(&stage) {
                let dump = CodeDump { clif: stage == "clif", asm: stage == "asm" };
                let (_, texts) = Executable::with_dump(artifact, false, dump)?;
                for (name, text) in texts {
                    self.add(stage, &format!("; {name}\n{text}\n"));
                }
            }
        }
        let Dump { folder, .. } = &self.dump;
        for (stage, text) in &self.texts {
            let path = folder.join(format!("{}.{stage}", self.name));
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|e| Error::File { path, message: format!("cannot be written: {e}") })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_in_their_folder() {
        let dump = Dump { stages: Vec::new(), folder: "folder".into() };
        assert_eq!(dump.of("../../Größe 1-predict-2".into()).name, "______Größe_1-predict-2");
    }
}
