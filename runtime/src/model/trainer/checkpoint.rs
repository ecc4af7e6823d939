//! A trainer in a file, to go on from exactly: parameters, what the optimizer keeps, accumulated
//! gradients, counters, learning rate, generator.
//!
//! A file is compared with the trainer as a whole before anything is changed. What it has:
//!
//! | name | what |
//! | --- | --- |
//! | text `network`, `declaration` | the network's name, and a checksum of what it computes |
//! | texts `optimizer`, `clip`, `accumulate`, `rates` | what makes an update |
//! | texts `steps`, `pending`, `batches`, `updates`, `key` | counters |
//! | text `state` | whether there is state of the optimizer |
//! | `model.fc1.weight` | the parameters, as [`Model::save`] writes them |
//! | `optimizer.fc1.weight/momentum` | optimizer state, and accumulated gradients, in the same layout |
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

/// What the names of optimizer state begin with in a checkpoint.
const STATE: &str = "optimizer.";

/// From which checkpoint training goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Resumed {
    /// The file.
    pub path: PathBuf,
    /// The [steps](Trainer::steps) that had been made when it was written.
    pub steps: usize,
    /// Newer checkpoints of its folder that are damaged, newest first: what is wrong with each. They
    /// have been left out, and what was learned after `path` is learned again.
    pub skipped: Vec<String>,
}

impl<N> Trainer<N> {
    /// Writes all that training goes on from to a file: parameters, running statistics, what the
    /// optimizer keeps, accumulated gradients, the number of steps, the learning rate, and the state
    /// of all random numbers. [`Trainer::resume`] reads it, and training ends with the same bits as
    /// if it had gone on.
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
    /// // Another day, in another process.
    /// let mut resumed = Digits::trainer(Adam::new(0.01)).build()?;
    /// resumed.resume(path)?;
    /// assert_eq!(resumed.steps(), 8);
    /// train(&mut resumed)?;
    /// let weight = |trainer: &Trainer<Digits>| trainer.model().params().linear1.weight.to_owned();
    /// assert_eq!(weight(&resumed), weight(&trainer));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ///
    /// The file is of the format [safetensors](https://huggingface.co/docs/safetensors): parameters
    /// are under their names after `model.`, as [`Model::save`](crate::Model::save) writes them, and
    /// [`Model::load`](crate::Model::load) reads them from it. Every part of it has a checksum. A file that is there is
    /// replaced, as a whole or not at all, and is on the disk when the call returns.
    ///
    /// [`Fit::checkpoints`](crate::Fit::checkpoints) has `fit` write such files, with how far it
    /// is.
    ///
    /// # Errors
    /// [`Error::File`] where the file cannot be written; then one that was there is there still.
    pub fn save_checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut draft = Draft::default();
        self.draft(&mut draft);
        draft.write(path.as_ref())
    }

    /// Goes on from a file of [`Trainer::save_checkpoint`] or [`Fit::checkpoints`](crate::Fit::checkpoints);
    /// where the path is a folder, from the newest checkpoint in it that is whole. The trainer is
    /// built as the one that wrote it; seed, instruction set, number of threads and backend may be others. Of a file that
    /// `fit` has written, this takes the trainer alone: [`Fit::resume`](crate::Fit::resume) goes on in the epoch.
    ///
    /// What the trainer had learned is let go. What a program keeps itself, such as batches
    /// done and orders of examples in a loop of its own, is its own to keep.
    ///
    /// # Errors
    /// [`Error::File`] where the file cannot be read, is of another version, or a folder has no
    /// checkpoint; [`Error::Damaged`] where it is not as it was written; [`Error::Checkpoint`], with
    /// all differences, where it is of another network or optimizer; [`Error::Memory`] where there is
    /// not enough. Then nothing has changed.
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

    /// Adds all of it to a file.
    pub(crate) fn draft<'a>(&'a self, draft: &mut Draft<'a>) {
        let engine = &self.model.engine;
        let declaration = &engine.declaration;
        for (key, value) in self.identity() {
            draft.text(key, value);
        }
        // Loaders made for PyTorch ask for it.
        draft.text("format", "pt");
        let state = engine.training_state(&self.training);
        let EngineCounts { key: [low, high], batches, updates, generator } = engine.counts();
        draft.text("steps", self.steps);
        // What has been accumulated lies with the model: another one has nothing of it.
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
            let values = in_file(laid_out(declaration, parameter), view);
            draft.tensor(format!("{STATE}{}", parameter.name), Values::F32(values));
        }
        draft.tensor("learning_rate", Values::F32Vec(vec![self.learning_rate, self.base_rate]));
        draft.tensor("generator", Values::U32(generator.to_words()));
    }

    /// What must be the same where training goes on, as texts by key.
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

    /// In what a file differs from this trainer.
    pub(crate) fn differences(&self, file: &Checkpoint) -> Result<Vec<Difference>> {
        let mut found = Vec::new();
        let declaration = &self.model.engine.declaration;
        let parameters = declaration.parameters.iter().map(|p| (p.name.as_str(), p.file_sizes()));
        compare_tensors(&mut found, file, PARAMETERS, "the parameter", parameters);
        let names = [
            "the network",
            "what the network computes (a checksum of its declaration)",
            "the optimizer",
            "the limit of gradients",
            "accumulate",
            "learning rates of layers and parameters",
        ];
        for (what, (key, here)) in names.into_iter().zip(self.identity()) {
            // Other parameters say already that it computes something else.
            if key == "declaration" && !found.is_empty() {
                continue;
            }
            compare(&mut found, what, here, file.text(key)?);
        }
        // As long as that is the same, so is what is kept, or it was not bilro that wrote it.
        if found.is_empty() && file.text("state")? == "true" {
            let state = self.training.state(&declaration.parameters);
            let sizes = |p: &Parameter| {
                let sizes = p.shape.sizes();
                laid_out(declaration, p).file_axes.iter().map(|axis| sizes[*axis]).collect()
            };
            let state = state.iter().map(|p| (p.name.as_str(), sizes(p)));
            compare_tensors(&mut found, file, STATE, "the state", state);
        }
        Ok(found)
    }

    /// What a file without differences has.
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
            let message = format!("`pending` is {pending}, more than an update is made from");
            return Err(file.damaged(None, message));
        }
        let mut parameters = engine.room(&state)?;
        read_parameters(file, PARAMETERS, declaration, &mut parameters)?;
        for (i, parameter) in state.iter().enumerate() {
            let layout = laid_out(declaration, parameter);
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

    /// Takes it over.
    pub(crate) fn restore(&mut self, state: TrainerState) {
        let TrainerState { parameters, has_state, counts, rates, steps, pending } = state;
        let training = has_state.then_some(&*self.training);
        self.model.engine.restore(parameters, training, counts);
        [self.learning_rate, self.base_rate] = rates;
        (self.steps, self.pending) = (steps, pending);
    }
}

/// A trainer's state from a file, which fits it.
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

/// Where there are differences, the error that lists them.
pub(crate) fn no_differences(file: &Checkpoint, differences: Vec<Difference>) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let mismatch = Box::new(CheckpointMismatch { differences });
    Err(Error::Checkpoint { path: file.path().into(), mismatch })
}

/// Notes where two texts differ.
pub(crate) fn compare(
    found: &mut Vec<Difference>,
    what: &str,
    here: impl ToString,
    in_checkpoint: &str,
) {
    let here = here.to_string();
    if here != in_checkpoint {
        let plain = |text: &str| if text.is_empty() { "none".into() } else { text.to_string() };
        let (here, in_checkpoint) = (plain(&here), plain(in_checkpoint));
        found.push(Difference { what: what.into(), here, in_checkpoint });
    }
}

/// Notes where the tensors under a prefix are not these.
fn compare_tensors<'p>(
    found: &mut Vec<Difference>,
    file: &Checkpoint,
    prefix: &str,
    kind: &str,
    here: impl Iterator<Item = (&'p str, Vec<usize>)>,
) {
    let mut there: std::collections::BTreeMap<&str, &[usize]> = file.tensors(prefix).collect();
    for (name, sizes) in here {
        let in_file = there.remove(name).map_or("missing".into(), |sizes| format!("{sizes:?}"));
        compare(found, &format!("{kind} `{name}`"), format!("{sizes:?}"), &in_file);
    }
    for (name, sizes) in there {
        compare(found, &format!("{kind} `{name}`"), "missing", &format!("{sizes:?}"));
    }
}

/// A generator's state.
pub(crate) fn generator(file: &Checkpoint, name: &str) -> Result<Generator> {
    let generator = Generator::from_words(&file.words(name, STATE_WORDS)?);
    generator.ok_or_else(|| file.damaged(Some(name), "it is no state of a generator"))
}

/// Reads all parameters of a network, under their names after a prefix.
pub(crate) fn read_parameters(
    file: &Checkpoint,
    prefix: &str,
    declaration: &Declaration,
    parameters: &mut Parameters,
) -> Result<()> {
    let mut all = declaration.parameters.iter().enumerate();
    all.try_for_each(|(i, p)| set(file, &format!("{prefix}{}", p.name), p, parameters, i))
}

/// Reads a parameter to its place. A file has it as `layout` says.
fn set(
    file: &Checkpoint,
    name: &str,
    layout: &Parameter,
    parameters: &mut Parameters,
    place: usize,
) -> Result<()> {
    let values = file.array(name, &layout.file_sizes())?;
    parameters.set(place, values.permuted_axes(layout.axes_from_file()).view());
    Ok(())
}

/// The parameter that says how a file has optimizer state: the one that it belongs to, where it has
/// its shape.
fn laid_out<'p>(declaration: &'p Declaration, state: &'p Parameter) -> &'p Parameter {
    let is_its = |p: &&Parameter| {
        let rest = state.name.strip_prefix(p.name.as_str());
        rest.is_some_and(|rest| rest.starts_with('/')) && p.shape == state.shape
    };
    declaration.parameters.iter().find(is_its).unwrap_or(state)
}

/// A checksum of what a network computes: its inputs, and its forward graph with outputs, loss and
/// metrics.
fn fingerprint(declaration: &Declaration) -> String {
    let text = format!("{:?}\n{}", declaration.inputs, declaration.graph());
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}
