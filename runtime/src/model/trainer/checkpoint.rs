//! Checkpoints of a trainer: parameters, optimizer state, accumulated gradients, counters, learning
//! rate, generator.
//!
//! A file is compared completely with the trainer before anything is changed. Its contents:
//!
//! | name | contents |
//! | --- | --- |
//! | text `network`, `declaration` | the network's name, and a checksum of its graph |
//! | texts `optimizer`, `clip`, `accumulate`, `rates` | the training |
//! | texts `steps`, `pending`, `batches`, `updates`, `key` | counters |
//! | text `state` | whether there is optimizer state |
//! | `model.fc1.weight` | the parameters, as [`Model::save`] writes them |
//! | `optimizer.fc1.weight/momentum` | optimizer state and accumulated gradients, in the same layout |
//! | `learning_rate` | the learning rate, and the one that schedules start from |
//! | `generator` | words of [`Generator::to_words`] |

use std::path::{Path, PathBuf};

use bilro_compiler::declaration::{Declaration, Parameter};

use super::Trainer;
#[cfg(doc)]
use crate::Model;
use crate::error::{CheckpointMismatch, Difference, Error, Result};
use crate::io::checkpoint::{self, Checkpoint, Draft, Values};
use crate::model::weights::{PARAMETERS, in_file};
use crate::rng::{Generator, STATE_WORDS};
use crate::run::engine::EngineCounts;
use crate::run::parameters::Parameters;

/// Prefix of the names of optimizer state in a checkpoint.
const STATE: &str = "optimizer.";

/// The checkpoint that training resumed from.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Resumed {
    /// The file.
    pub path: PathBuf,
    /// The [steps](Trainer::steps) before it was written.
    pub steps: usize,
    /// Errors of newer, damaged checkpoints of its folder, newest first: these were skipped, and
    /// the steps after `path` are repeated.
    pub skipped: Vec<String>,
}

impl<N> Trainer<N> {
    /// Writes the complete state of the trainer to a file: parameters, running statistics, optimizer
    /// state, accumulated gradients, the number of steps, the learning rate, and the state
    /// of all random numbers. [`Trainer::resume`] restores it; the next steps compute the same bits as
    /// those of this trainer.
    ///
    /// ```
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Digits {
    ///         input image: [64];
    ///         target digit: class(10);
    ///         output logits = image -> Linear(32) -> ReLU -> Dropout(0.2) -> Linear(10);
    ///         loss cross_entropy(logits, digit);
    ///     }
    /// }
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("run.safetensors");
    /// # let path = path.to_str().unwrap();
    /// # /*
    /// let path = "run.safetensors";
    /// # */
    /// let data = data::digits()?.rows(..256)?;
    /// let train = |trainer: &mut Trainer<Digits>| -> bilro::Result<()> {
    ///     for batch in data.batches(32)? {
    ///         trainer.step(digits::Batch { image: batch.x(), digit: batch.y() })?;
    ///     }
    ///     Ok(())
    /// };
    /// let mut trainer = Digits::trainer(Adam::new(0.01)).seed(7).build()?;
    /// train(&mut trainer)?;
    /// trainer.save_checkpoint(path)?;
    /// train(&mut trainer)?;
    ///
    /// // Later, in another process.
    /// let mut resumed = Digits::trainer(Adam::new(0.01)).build()?;
    /// resumed.resume(path)?;
    /// assert_eq!(resumed.steps(), 8);
    /// train(&mut resumed)?;
    /// let weight = |trainer: &Trainer<Digits>| trainer.model().params().linear1.weight.to_owned();
    /// assert_eq!(weight(&resumed), weight(&trainer));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ///
    /// The file has the format [safetensors](https://huggingface.co/docs/safetensors). Names of
    /// parameters begin with `model.`; their values are as [`Model::save`](crate::Model::save)
    /// writes them, and [`Model::load`](crate::Model::load) reads them. Every section of the file has a
    /// checksum. An existing file is replaced atomically; on return, the file is on the disk.
    ///
    /// [`Fit::checkpoints`](crate::Fit::checkpoints) writes such files during `fit`.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written; an existing file is then unchanged.
    pub fn save_checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut draft = Draft::default();
        self.draft(&mut draft);
        draft.write(path.as_ref())
    }

    /// Restores the state from a file of [`Trainer::save_checkpoint`] or
    /// [`Fit::checkpoints`](crate::Fit::checkpoints); if the path is a folder, from its newest
    /// undamaged checkpoint. The trainer must be built like the one that wrote it: same network,
    /// optimizer and options. Seed, instruction set, number of threads, backend, `verify_every` and
    /// `detect_anomaly` may differ. The
    /// previous state of the trainer is lost.
    ///
    /// From a file of `fit`, this restores the trainer only;
    /// [`Fit::resume`](crate::Fit::resume) also restores the position in the epoch. A loop of your own keeps its
    /// own position.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read or has another version, or the folder has no
    /// checkpoint; [`Error::Damaged`] if it is not a checkpoint or is damaged;
    /// [`Error::Checkpoint`], with all differences, if it has another network, optimizer or options of the trainer;
    /// [`Error::Memory`]. Then nothing has changed.
    pub fn resume(&mut self, path: impl AsRef<Path>) -> Result<Resumed> {
        let path = path.as_ref();
        let (file, skipped) = match path.is_dir() {
            false => (Checkpoint::open(path)?, Vec::new()),
            true => checkpoint::newest(path)?.ok_or_else(|| Error::File {
                path: path.into(),
                message: "has no checkpoint to resume from".into(),
            })?,
        };
        no_differences(&file, self.differences(&file)?)?;
        let state = self.read(&file)?;
        let resumed = Resumed::new(&file, state.steps, &skipped);
        self.restore(state);
        Ok(resumed)
    }

    /// Adds the trainer's state to a draft.
    pub(crate) fn draft<'a>(&'a self, draft: &mut Draft<'a>) {
        let engine = &self.model.engine;
        let declaration = &engine.declaration;
        for (key, value) in self.identity() {
            draft.text(key, value);
        }
        // Required by loaders made for PyTorch.
        draft.text("format", "pt");
        let state = engine.training_state(&self.training);
        let EngineCounts { key: [low, high], batches, updates, generator } = engine.counts();
        draft.text("steps", self.steps);
        // Accumulated gradients are stored in the model: after it was replaced there are none.
        draft.text("pending", if state.is_some() { self.pending } else { 0 });
        draft.text("batches", batches);
        draft.text("updates", updates);
        draft.text("key", u64::from(high) << 32 | u64::from(low));
        draft.text("state", state.is_some());
        for (i, parameter) in declaration.parameters.iter().enumerate() {
            let values = in_file(parameter, engine.parameters.view(i));
            draft.tensor(format!("{PARAMETERS}{}", parameter.name), Values::F32(values));
        }
        for (parameter, view) in state.into_iter().flatten() {
            let values = in_file(file_layout(declaration, parameter), view);
            draft.tensor(format!("{STATE}{}", parameter.name), Values::F32(values));
        }
        draft.tensor("learning_rate", Values::F32Vec(vec![self.learning_rate, self.base_rate]));
        draft.tensor("generator", Values::U32(generator.to_words()));
    }

    /// The properties that must agree, as texts by key.
    fn identity(&self) -> [(&'static str, String); 6] {
        let declaration = &self.model.engine.declaration;
        let training = &self.training;
        let rates = declaration.parameters.iter().enumerate().filter(|(_, p)| p.is_trained);
        let rates = rates.filter_map(|(i, p)| match training.rate(i, p) {
            Some(1.0) => None,
            Some(rate) => Some(format!("{} {rate:?}", p.name)),
            None => Some(format!("{} frozen", p.name)),
        });
        [
            ("network", declaration.name.clone()),
            ("declaration", fingerprint(declaration)),
            ("optimizer", format!("{:?}", training.optimizer())),
            ("clip", training.clip().map_or("none".into(), |clip| format!("{clip:?}"))),
            ("accumulate", training.accumulate().to_string()),
            ("rates", rates.collect::<Vec<_>>().join(", ")),
        ]
    }

    /// Differences between a file and this trainer.
    pub(crate) fn differences(&self, file: &Checkpoint) -> Result<Vec<Difference>> {
        let mut found = Vec::new();
        let declaration = &self.model.engine.declaration;
        let parameters = declaration.parameters.iter().map(|p| (p.name.as_str(), p.file_sizes()));
        compare_tensors(&mut found, file, PARAMETERS, "the parameter", parameters);
        let names = [
            "the network",
            "the network's graph (a checksum)",
            "the optimizer",
            "the limit of gradients",
            "accumulate",
            "learning rates of layers and parameters",
        ];
        for (name, (key, here)) in names.into_iter().zip(self.identity()) {
            // Implied by other parameters.
            if key == "declaration" && !found.is_empty() {
                continue;
            }
            compare(&mut found, name, here, file.text(key)?);
        }
        // Implied by the properties above, in a file that bilro wrote.
        if found.is_empty() && file.text("state")? == "true" {
            let state = self.training.state(&declaration.parameters);
            let sizes = |p: &Parameter| {
                let sizes = p.shape.sizes();
                file_layout(declaration, p).file_axes.iter().map(|axis| sizes[*axis]).collect()
            };
            let state = state.iter().map(|p| (p.name.as_str(), sizes(p)));
            compare_tensors(&mut found, file, STATE, "the state", state);
        }
        Ok(found)
    }

    /// Reads the state from a file without differences.
    pub(crate) fn read(&self, file: &Checkpoint) -> Result<TrainerState> {
        let engine = &self.model.engine;
        let declaration = &engine.declaration;
        let has_state = file.flag("state")?;
        let state = match has_state {
            true => self.training.state(&declaration.parameters),
            false => Vec::new(),
        };
        let pending = file.count("pending")?;
        if pending >= self.training.accumulate() || (pending > 0 && !has_state) {
            let message = format!("`pending` is {pending}, too many batches for an update");
            return Err(file.damaged(None, message));
        }
        let mut parameters = engine.zero_parameters(&state)?;
        read_parameters(file, PARAMETERS, declaration, &mut parameters)?;
        for (i, parameter) in state.iter().enumerate() {
            let layout = file_layout(declaration, parameter);
            let name = format!("{STATE}{}", parameter.name);
            set(file, &name, layout, &mut parameters, declaration.parameters.len() + i)?;
        }
        let key: u64 = file.number("key")?;
        let counts = EngineCounts {
            key: [key as u32, (key >> 32) as u32],
            batches: file.count("batches")?,
            updates: file.count("updates")?,
            generator: generator(file, "generator")?,
        };
        let [learning_rate, base_rate] = file.floats("learning_rate")?[..] else {
            return Err(file.damaged(Some("learning_rate"), "`learning_rate` has two numbers"));
        };
        if [learning_rate, base_rate].iter().any(|rate| !(rate.is_finite() && *rate >= 0.0)) {
            let message = format!("a learning rate cannot be {learning_rate} or {base_rate}");
            return Err(file.damaged(Some("learning_rate"), message));
        }
        let steps = file.count("steps")?;
        let rates = [learning_rate, base_rate];
        Ok(TrainerState { parameters, has_state, counts, rates, steps, pending })
    }

    /// Replaces the state.
    pub(crate) fn restore(&mut self, state: TrainerState) {
        let TrainerState { parameters, has_state, counts, rates, steps, pending } = state;
        let training = has_state.then_some(&*self.training);
        self.model.engine.restore(parameters, training, counts);
        [self.learning_rate, self.base_rate] = rates;
        (self.steps, self.pending) = (steps, pending);
    }
}

/// A trainer's state, read from a file and checked.
pub(crate) struct TrainerState {
    parameters: Parameters,
    has_state: bool,
    counts: EngineCounts,
    /// The learning rate, and the one that schedules start from.
    rates: [f32; 2],
    pub steps: usize,
    pending: usize,
}

impl Resumed {
    pub(crate) fn new(file: &Checkpoint, steps: usize, skipped: &[Error]) -> Resumed {
        let skipped = skipped.iter().map(Error::to_string).collect();
        Resumed { path: file.path().into(), steps, skipped }
    }
}

/// Requires that there are no differences.
pub(crate) fn no_differences(file: &Checkpoint, differences: Vec<Difference>) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let mismatch = Box::new(CheckpointMismatch { differences });
    Err(Error::Checkpoint { path: file.path().into(), mismatch })
}

/// Adds a difference if two texts differ.
pub(crate) fn compare(
    found: &mut Vec<Difference>,
    name: &str,
    here: impl ToString,
    in_checkpoint: &str,
) {
    let here = here.to_string();
    if here != in_checkpoint {
        let or_none = |text: &str| if text.is_empty() { "none".into() } else { text.to_string() };
        let (here, in_checkpoint) = (or_none(&here), or_none(in_checkpoint));
        found.push(Difference { what: name.into(), here, in_checkpoint });
    }
}

/// Adds the differences between the tensors with a prefix and the expected ones.
fn compare_tensors<'p>(
    found: &mut Vec<Difference>,
    file: &Checkpoint,
    prefix: &str,
    kind: &str,
    here: impl Iterator<Item = (&'p str, Vec<usize>)>,
) {
    let mut found_sizes: std::collections::BTreeMap<&str, &[usize]> =
        file.tensors(prefix).collect();
    for (name, sizes) in here {
        let in_file =
            found_sizes.remove(name).map_or("missing".into(), |sizes| format!("{sizes:?}"));
        compare(found, &format!("{kind} `{name}`"), format!("{sizes:?}"), &in_file);
    }
    for (name, sizes) in found_sizes {
        compare(found, &format!("{kind} `{name}`"), "missing", &format!("{sizes:?}"));
    }
}

/// The generator with the state of this name.
pub(crate) fn generator(file: &Checkpoint, name: &str) -> Result<Generator> {
    let generator = Generator::from_words(&file.words(name, STATE_WORDS)?);
    generator.ok_or_else(|| file.damaged(Some(name), "it is not a state of a generator"))
}

/// Reads all parameters of a network; their names in the file have a prefix.
pub(crate) fn read_parameters(
    file: &Checkpoint,
    prefix: &str,
    declaration: &Declaration,
    parameters: &mut Parameters,
) -> Result<()> {
    let mut all = declaration.parameters.iter().enumerate();
    all.try_for_each(|(i, p)| set(file, &format!("{prefix}{}", p.name), p, parameters, i))
}

/// Reads the parameter of an index; `layout` has its axes in the file.
fn set(
    file: &Checkpoint,
    name: &str,
    layout: &Parameter,
    parameters: &mut Parameters,
    index: usize,
) -> Result<()> {
    let values = file.array(name, &layout.file_sizes())?;
    parameters.set(index, values.permuted_axes(layout.axes_from_file()).view());
    Ok(())
}

/// The parameter with the file layout of optimizer state: the one it belongs to, if the shapes are
/// equal.
fn file_layout<'p>(declaration: &'p Declaration, state: &'p Parameter) -> &'p Parameter {
    let is_owner = |p: &&Parameter| {
        let suffix = state.name.strip_prefix(p.name.as_str());
        suffix.is_some_and(|suffix| suffix.starts_with('/')) && p.shape == state.shape
    };
    declaration.parameters.iter().find(is_owner).unwrap_or(state)
}

/// A checksum of a network: inputs, and the forward graph with outputs, loss and metrics.
fn fingerprint(declaration: &Declaration) -> String {
    let text = format!("{:?}\n{}", declaration.inputs, declaration.graph());
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}
