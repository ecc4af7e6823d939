//! Checkpoints of `fit`: when they are written, their contents beside the trainer's state, and how
//! training resumes from one.
//!
//! A checkpoint is written between two steps or after an epoch. It has the number of batches done in the
//! epoch, and the generator before the epoch was shuffled, from which the order is drawn again. A file
//! is compared completely with the trainer and the options of `fit` before anything is changed. Its
//! contents beside those of a trainer's file (`model/trainer/checkpoint.rs`):
//!
//! | name | contents |
//! | --- | --- |
//! | texts `fit.examples`, `fit.batch_size` … | options and checksums of the examples, which must agree |
//! | texts `fit.epoch`, `fit.batches` | the current epoch, and how many of its batches are done |
//! | text `fit.callback_stopped` | whether the callback has stopped training |
//! | texts `fit.best_epoch`, `fit.without_improvement` | early stopping |
//! | `fit.best`, `best.fc1.weight` | losses of early stopping; the parameters of the best epoch |
//! | `fit.generator`, `fit.measured`, `fit.schedule` | order of examples, sums of the epoch's loss, state of the schedule |
//! | `history.losses`, `history.epochs` | the history; see [`Row`] |

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bilro_compiler::declaration::Declaration;
use ndarray::{Dimension, RemoveAxis};

use super::best::Best;
use super::history::{Epoch, History, Validation};
use super::options::{Every, Fit, Per, Resume};
use crate::data::Dataset;
use crate::error::{Difference, Error, Result};
use crate::io::checkpoint::{self, Checkpoint, Draft, Values};
use crate::model::measured::Measured;
use crate::model::network::FitsData;
use crate::model::trainer_checkpoint::{self as trainer_state, TrainerState, compare};
use crate::model::weights::in_file;
use crate::model::{Resumed, Trainer};
use crate::rng::Generator;
use crate::run::Feed;

/// Prefix of the names of the best epoch's parameters.
const BEST: &str = "best.";

/// The position of a training, and its state beside the trainer.
pub(super) struct Position<'r> {
    /// The current epoch, counted from 1.
    pub epoch: usize,
    /// How many of its batches are done.
    pub batches: usize,
    /// The generator before the epoch was shuffled.
    pub generator: &'r Generator,
    /// The loss of the epoch so far.
    pub measured: &'r Measured,
    pub history: &'r History,
    pub best: &'r Best,
    /// Whether the callback has stopped training.
    pub callback_stopped: bool,
}

/// Writes the checkpoints of a call of `fit`.
pub(super) struct Checkpoints {
    folder: PathBuf,
    every: Every,
    keep: usize,
    /// See [`options`].
    options: Vec<(&'static str, String)>,
    /// Damaged checkpoints of the folder: they do not count towards `keep`.
    damaged: Vec<PathBuf>,
    /// When the last one was written, or training started.
    written: Instant,
}

impl Checkpoints {
    /// None unless [`Fit::checkpoints`] is set.
    pub fn new<A, DX: Dimension, B, DY: Dimension>(
        fit: &Fit<'_, A, DX, B, DY>,
        options: Vec<(&'static str, String)>,
        damaged: Vec<PathBuf>,
    ) -> Option<Checkpoints> {
        let folder = fit.checkpoints.clone()?;
        let (every, keep) = (fit.checkpoint_every, fit.keep_checkpoints);
        Some(Checkpoints { folder, every, keep, options, damaged, written: Instant::now() })
    }

    /// Whether a checkpoint is due after this many steps of `fit`.
    pub fn is_due_after_step(&self, steps: usize) -> bool {
        match self.every {
            Every::Steps(n) => steps.is_multiple_of(n),
            Every::Minutes(minutes) => {
                let elapsed = self.written.elapsed();
                elapsed >= Duration::try_from_secs_f64(60.0 * minutes).unwrap_or(Duration::MAX)
            }
            Every::Epochs(_) => false,
        }
    }

    /// Whether a checkpoint is due after an epoch.
    pub fn is_due_after_epoch(&self, epoch: usize, steps: usize) -> bool {
        match self.every {
            Every::Epochs(n) => epoch.is_multiple_of(n),
            _ => self.is_due_after_step(steps),
        }
    }

    /// Writes a checkpoint, and removes old ones after it is on the disk.
    pub fn write<N, A, DX: Dimension, B, DY: Dimension>(
        &mut self,
        trainer: &Trainer<N>,
        fit: &Fit<'_, A, DX, B, DY>,
        position: &Position<'_>,
    ) -> Result<()> {
        let mut draft = Draft::default();
        trainer.draft(&mut draft);
        for (key, value) in &self.options {
            draft.text(key, value);
        }
        let Position { epoch, batches, generator, measured, history, best, .. } = position;
        let engine = &trainer.model().engine;
        draft.text("fit.epoch", epoch);
        draft.text("fit.batches", batches);
        draft.text("fit.callback_stopped", position.callback_stopped);
        draft.tensor("fit.generator", Values::U32(generator.to_words()));
        let terms = measured.terms();
        draft.tensor("fit.measured", Values::F64([terms.len(), 2], terms.concat()));
        let schedule = fit.schedule.as_ref().map_or(Vec::new(), |(_, schedule)| schedule.state());
        draft.tensor("fit.schedule", Values::F64([schedule.len(), 1], schedule));
        draft.text("fit.best_epoch", best.epoch().unwrap_or(0));
        draft.text("fit.without_improvement", best.without_improvement);
        let best_loss = best.best.map_or(f64::NAN, |(_, loss)| loss);
        draft.tensor("fit.best", Values::F64([1, 2], vec![best_loss, best.reference]));
        if let Some(copy) = &best.parameters {
            for (p, view) in engine.declaration.parameters.iter().zip(engine.copied(copy)) {
                draft.tensor(format!("{BEST}{}", p.name), Values::F32(in_file(p, view)));
            }
        }
        draft.tensor("history.losses", Values::F32Vec(history.losses.clone()));
        let row = Row::of(&engine.declaration);
        let rows = history.epochs.iter().flat_map(|epoch| row.write(epoch)).collect();
        draft.tensor("history.epochs", Values::F64([history.epochs.len(), row.length()], rows));

        let number = history.losses.len() as u64;
        let path = self.folder.join(checkpoint::file_name(number));
        draft.write(&path)?;
        self.written = Instant::now();
        self.damaged.retain(|damaged| *damaged != path);
        checkpoint::prune(&self.folder, number, self.keep, &self.damaged);
        Ok(())
    }
}

/// The contents of a checkpoint, checked.
pub(super) struct Saved {
    pub resumed: Resumed,
    /// Newer, damaged checkpoints of the folder.
    pub damaged: Vec<PathBuf>,
    trainer: TrainerState,
    pub epoch: usize,
    pub batches: usize,
    pub generator: Generator,
    pub measured: Vec<[f64; 2]>,
    pub callback_stopped: bool,
    pub history: History,
    best: (Option<(usize, f64)>, f64, usize),
    best_parameters: Option<Vec<f32>>,
}

impl Saved {
    /// Restores the trainer and the best epoch.
    pub fn restore<N>(self, trainer: &mut Trainer<N>, best: &mut Best) {
        (best.best, best.reference, best.without_improvement) = self.best;
        best.parameters = self.best_parameters;
        trainer.restore(self.trainer);
    }
}

/// The options that must agree, and checksums of the examples, as texts by key; empty unless
/// checkpoints are written or read.
pub(super) fn options<N, A: Copy, DX: RemoveAxis, B: Copy, DY: RemoveAxis>(
    declaration: &Declaration,
    data: &Dataset<A, DX, B, DY>,
    fit: &Fit<'_, A, DX, B, DY>,
) -> Result<Vec<(&'static str, String)>>
where
    N: FitsData<A, DX, B, DY>,
{
    if fit.checkpoints.is_none() && matches!(fit.resume, Resume::No) {
        return Ok(Vec::new());
    }
    let sum = |data: &Dataset<A, DX, B, DY>| {
        N::with_feeds(declaration, data.x(), data.y(), |feeds, _| Ok(checksum(feeds)))
    };
    let none = || "none".to_string();
    let schedule = fit.schedule.as_ref().map_or_else(none, |(per, schedule)| match per {
        Per::Step => format!("by step {schedule:?}"),
        Per::Epoch => format!("by epoch {schedule:?}"),
    });
    Ok(vec![
        ("fit.examples", data.len().to_string()),
        ("fit.data", sum(data)?),
        ("fit.batch_size", fit.batch_size.to_string()),
        ("fit.drop_last", fit.drop_last.to_string()),
        ("fit.shuffle", fit.shuffle.to_string()),
        ("fit.seed", fit.seed.map_or_else(none, |seed| seed.to_string())),
        ("fit.schedule", schedule),
        ("fit.validation", fit.validation.map_or_else(|| Ok(none()), sum)?),
    ])
}

/// The name of an option in messages.
fn described(key: &str) -> &str {
    match key {
        "fit.examples" => "the number of examples",
        "fit.data" => "the examples (a checksum)",
        "fit.schedule" => "the schedule",
        "fit.validation" => "the validation data (a checksum)",
        key => key.trim_start_matches("fit."),
    }
}

/// A checksum of the values of arrays.
fn checksum(feeds: &[Feed<'_>]) -> String {
    let mut hasher = crc32fast::Hasher::new();
    for feed in feeds {
        let contiguous = match feed {
            Feed::Real(x) => x.as_slice().map(bytemuck::cast_slice),
            Feed::Index(x) => x.as_slice().map(bytemuck::cast_slice),
        };
        if let (Some(bytes), true) = (contiguous, cfg!(target_endian = "little")) {
            hasher.update(bytes);
            continue;
        }
        match feed {
            Feed::Real(x) => x.iter().for_each(|x| hasher.update(&x.to_le_bytes())),
            Feed::Index(x) => x.iter().for_each(|x| hasher.update(&x.to_le_bytes())),
        }
    }
    format!("{:08x}", hasher.finalize())
}

/// Reads the checkpoint to resume from, if there is one.
///
/// # Errors
/// Those of [`Trainer::resume`]; [`Error::Checkpoint`] for other options;
/// [`Error::InvalidArgument`] for a folder that has newer checkpoints.
pub(super) fn find<N, A, DX: Dimension, B, DY: Dimension>(
    trainer: &Trainer<N>,
    fit: &mut Fit<'_, A, DX, B, DY>,
    options: &[(&'static str, String)],
) -> Result<Option<Saved>> {
    let found = match (&fit.resume, &fit.checkpoints) {
        (Resume::From(path), _) => Some((Checkpoint::open(path)?, Vec::new())),
        (Resume::Newest, Some(folder)) => checkpoint::newest(folder)?,
        _ => None,
    };
    let saved = match found {
        None => None,
        Some((file, skipped)) => Some(read(trainer, fit, options, &file, &skipped)?),
    };
    if let Some(folder) = &fit.checkpoints {
        let skipped = saved.as_ref().map_or(0, |saved| saved.resumed.skipped.len());
        let steps = saved.as_ref().map(|saved| saved.history.losses.len() as u64);
        check_folder(folder, steps, skipped)?;
    }
    Ok(saved)
}

/// Requires that a folder has no checkpoints after this many steps, or none at all without steps,
/// except for a number of damaged ones.
fn check_folder(folder: &Path, steps: Option<u64>, damaged: usize) -> Result<()> {
    let newer = checkpoint::list(folder)?;
    let newer: Vec<_> =
        newer.iter().filter(|(n, _)| steps.is_none_or(|steps| *n > steps)).collect();
    let Some((_, newest)) = newer.last().filter(|_| newer.len() > damaged) else { return Ok(()) };
    let (expected, hint) = match steps {
        None => ("without checkpoints, unless training resumes from one", "`resume(true)` resumes"),
        Some(_) => {
            let expected = "without checkpoints newer than the one to resume from";
            (expected, "`resume(true)` resumes from the newest")
        }
    };
    Err(Error::InvalidArgument {
        name: "the folder of checkpoints".into(),
        expected: expected.into(),
        found: format!("one with `{}`: {hint}; another run needs another folder", newest.display()),
    })
}

/// Reads a file and checks that it fits.
fn read<N, A, DX: Dimension, B, DY: Dimension>(
    trainer: &Trainer<N>,
    fit: &mut Fit<'_, A, DX, B, DY>,
    options: &[(&'static str, String)],
    file: &Checkpoint,
    skipped: &[Error],
) -> Result<Saved> {
    if !file.has("fit.epoch") {
        return Err(Error::File {
            path: file.path().into(),
            message: "was written by `Trainer::save_checkpoint` and has no state of `fit`: \
                      `Trainer::resume` reads it"
                .into(),
        });
    }
    let engine = &trainer.model().engine;
    let declaration = &engine.declaration;
    let mut differences = trainer.differences(file)?;
    for (key, here) in options {
        compare(&mut differences, described(key), here, file.text(key)?);
    }
    let epoch: usize = file.count("fit.epoch")?;
    let batches: usize = file.count("fit.batches")?;
    // With 0 batches done, the epoch has not begun.
    let begun = if batches == 0 { epoch.saturating_sub(1) } else { epoch };
    if begun > fit.epochs {
        let (here, in_checkpoint) = (fit.epochs.to_string(), format!("at least {begun}"));
        differences.push(Difference { what: "epochs".into(), here, in_checkpoint });
    }
    let best_epoch: usize = file.count("fit.best_epoch")?;
    let has_parameters = file.tensors(BEST).next().is_some();
    let may_restore = fit.restore_best.unwrap_or(fit.patience.is_some());
    if best_epoch > 0 && may_restore && !has_parameters {
        let what = "the parameters of the best epoch, for `restore_best`".into();
        let (here, in_checkpoint) = ("needed".into(), "missing".into());
        differences.push(Difference { what, here, in_checkpoint });
    }
    trainer_state::no_differences(file, differences)?;

    let state = trainer.read(file)?;
    let examples: usize = file.count("fit.examples")?;
    let in_epoch = match fit.drop_last {
        true => examples / fit.batch_size,
        false => examples.div_ceil(fit.batch_size),
    };
    let losses = file.floats("history.losses")?;
    let row = Row::of(declaration);
    let rows = file.rows("history.epochs", row.length())?;
    let rows: Vec<_> = rows.chunks_exact(row.length()).collect();
    let done = epoch.checked_sub(1).filter(|done| *done == rows.len() && batches <= in_epoch);
    let steps = done.and_then(|done| done.checked_mul(in_epoch)?.checked_add(batches));
    if steps != Some(losses.len()) || best_epoch > rows.len() {
        let message = format!(
            "batch {batches} of epoch {epoch} does not fit {} losses and {} epochs before it",
            losses.len(),
            rows.len()
        );
        return Err(file.damaged(None, message));
    }
    let epochs = (1..).zip(rows).map(|(number, numbers)| row.read(number, numbers));
    let epochs = epochs.collect::<Option<Vec<_>>>();
    let epochs = epochs
        .ok_or_else(|| file.damaged(Some("history.epochs"), "an epoch does not have its number"))?;
    let terms = file.rows("fit.measured", 2)?;
    let measured: Vec<[f64; 2]> = terms.as_chunks().0.to_vec();
    if Some(measured.len()) != declaration.loss_measure().map(|measure| measure.terms.len()) {
        return Err(file.damaged(Some("fit.measured"), "the loss has another number of terms"));
    }
    let [loss, reference] = file.rows("fit.best", 2)?[..] else {
        return Err(file.damaged(Some("fit.best"), "`fit.best` has two numbers"));
    };
    let best_parameters = match best_epoch > 0 && may_restore {
        false => None,
        true => {
            let mut parameters = engine.zero_parameters(&[])?;
            trainer_state::read_parameters(file, BEST, declaration, &mut parameters)?;
            Some(parameters.first(declaration.parameters.len()).to_vec())
        }
    };
    let schedule = file.rows("fit.schedule", 1)?;
    let resumed = Resumed::new(file, state.steps, skipped);
    let path = |error: &Error| match error {
        Error::Damaged { path, .. } => Some(path.clone()),
        _ => None,
    };
    let saved = Saved {
        resumed: resumed.clone(),
        damaged: skipped.iter().filter_map(path).collect(),
        trainer: state,
        epoch,
        batches,
        generator: trainer_state::generator(file, "fit.generator")?,
        measured,
        callback_stopped: file.flag("fit.callback_stopped")?,
        history: History {
            losses,
            epochs,
            best_epoch: Some(best_epoch).filter(|epoch| *epoch > 0),
            resumed: Some(resumed),
            ..History::default()
        },
        best: (
            (best_epoch > 0).then_some((best_epoch, loss)),
            reference,
            file.count("fit.without_improvement")?,
        ),
        best_parameters,
    };
    // The last step that may fail: the schedule belongs to this call of `fit`.
    if let Some((_, restored)) = &mut fit.schedule {
        restored.restore(&schedule)?;
    }
    Ok(saved)
}

/// The layout of an epoch as numbers: number, loss, whether it rose, learning rate, examples per second;
/// for training and for validation examples: whether they were evaluated, loss, metrics.
struct Row {
    metrics: Vec<String>,
}

impl Row {
    fn of(declaration: &Declaration) -> Row {
        Row { metrics: declaration.metrics().map(String::from).collect() }
    }

    fn length(&self) -> usize {
        5 + 2 * (2 + self.metrics.len())
    }

    fn write(&self, epoch: &Epoch) -> Vec<f64> {
        let mut row = vec![
            epoch.number as f64,
            epoch.loss,
            f64::from(u8::from(epoch.loss_rose)),
            f64::from(epoch.learning_rate),
            epoch.examples_per_second,
        ];
        for evaluated in [&epoch.train, &epoch.validation] {
            let metric = |index: usize| {
                let all = evaluated.as_ref().map(|evaluated| &evaluated.metrics);
                all.and_then(|all| all.get(index)).map_or(f64::NAN, |(_, value)| *value)
            };
            row.push(f64::from(u8::from(evaluated.is_some())));
            row.push(evaluated.as_ref().map_or(f64::NAN, |evaluated| evaluated.loss));
            row.extend((0..self.metrics.len()).map(metric));
        }
        row
    }

    /// The epoch, if it has this number.
    fn read(&self, number: usize, row: &[f64]) -> Option<Epoch> {
        let (head, evaluated) = row.split_at(5);
        let (train, validation) = evaluated.split_at(2 + self.metrics.len());
        let evaluated = |row: &[f64]| {
            let named = self.metrics.iter().cloned().zip(row[2..].iter().copied());
            (row[0] != 0.0).then(|| Validation { loss: row[1], metrics: named.collect() })
        };
        (head[0] == number as f64).then(|| Epoch {
            number,
            loss: head[1],
            loss_rose: head[2] != 0.0,
            learning_rate: head[3] as f32,
            examples_per_second: head[4],
            train: evaluated(train),
            validation: evaluated(validation),
        })
    }
}
