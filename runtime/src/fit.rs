//! Training over epochs: batches, shuffling, validation, progress, history.

use ndarray::{Array, ArrayView, Axis, Dimension, RemoveAxis};

use crate::data::{Dataset, ShuffledOrder};
use crate::error::{Error, Result};
use crate::network::{FromExamples, Network};
use crate::progress::Progress;
use crate::rng::Generator;
use crate::trainer::Trainer;

/// How [`Trainer::fit`] trains.
#[derive(Clone, Debug)]
pub struct Fit<'v, A, DX: Dimension, B, DY: Dimension> {
    epochs: usize,
    batch_size: usize,
    shuffle: bool,
    seed: Option<u64>,
    progress: bool,
    validation: Option<&'v Dataset<A, DX, B, DY>>,
}

impl<'v, A, DX: Dimension, B, DY: Dimension> Fit<'v, A, DX, B, DY> {
    /// So many times over the data, in shuffled batches of 32, without telling.
    pub fn epochs(epochs: usize) -> Self {
        Fit { epochs, batch_size: 32, shuffle: true, seed: None, progress: false, validation: None }
    }

    /// Examples in a batch; the last of an epoch may have fewer.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Whether every epoch goes through the examples in an order of its own,
    /// or always in theirs.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// The seed of the orders. Unless told, the generator that drew the
    /// parameters goes on, as in a PyTorch script with one `manual_seed`.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether to tell how it goes: a bar in a terminal, with the feature
    /// `progress`, and a line for every epoch.
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = progress;
        self
    }

    /// Evaluates these examples after every epoch.
    pub fn validate(mut self, data: &'v Dataset<A, DX, B, DY>) -> Self {
        self.validation = Some(data);
        self
    }
}

/// What happened while training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The loss of every step, before its update.
    pub losses: Vec<f32>,
    /// Every epoch.
    pub epochs: Vec<Epoch>,
}

/// What happened in one epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epoch {
    /// The mean of the steps' losses, weighted by their examples.
    pub loss: f64,
    /// Examples trained on in a second, validation left out.
    pub examples_per_second: f64,
    /// After the epoch, where examples to validate on were given.
    pub validation: Option<Validation>,
}

/// How the examples to validate on fare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// Their loss.
    pub loss: f64,
    /// Their metrics, in declared order.
    pub metrics: Vec<(String, f64)>,
}

impl<N: Network> Trainer<N> {
    /// Trains over the data for some epochs.
    ///
    /// # Errors
    /// [`Error::Setting`] for no epochs or a batch size of 0; whatever
    /// [`Trainer::step`] returns; [`Error::NonFiniteLoss`] at the first step
    /// whose loss is infinite or not a number: that step has been made.
    pub fn fit<A, DX, B, DY>(
        &mut self,
        data: &Dataset<A, DX, B, DY>,
        fit: Fit<'_, A, DX, B, DY>,
    ) -> Result<History>
    where
        A: Copy + Default,
        B: Copy + Default,
        DX: Dimension + RemoveAxis,
        DY: Dimension + RemoveAxis,
        for<'a> N::Batch<'a>: FromExamples<ArrayView<'a, A, DX>, ArrayView<'a, B, DY>>,
    {
        let at_least_one = |name: &str, found: usize| match found {
            0 => Err(Error::Setting {
                name: name.into(),
                expected: "at least 1".into(),
                found: "0".into(),
            }),
            _ => Ok(()),
        };
        at_least_one("epochs", fit.epochs)?;
        at_least_one("batch_size", fit.batch_size)?;

        let mut generator = fit.seed.map(Generator::new);
        let examples = data.len();
        let mut rows: Vec<u32> = (0..examples as u32).collect();
        let mut x = room(&data.x(), fit.batch_size.min(examples));
        let mut y = room(&data.y(), fit.batch_size.min(examples));
        let mut history = History::default();
        for epoch in 0..fit.epochs {
            if fit.shuffle {
                let generator = generator.as_mut().unwrap_or(&mut self.model().engine.generator);
                let mut order = ShuffledOrder::from_generator(generator.clone());
                order.next_epoch_into(examples as u32, &mut rows);
                *generator = order.into_generator();
            }
            let mut progress = Progress::epoch(fit.progress, epoch + 1, fit.epochs, examples);
            let mut sum = 0.0;
            for rows in rows.chunks(fit.batch_size) {
                let mut x = x.slice_axis_mut(Axis(0), (..rows.len()).into());
                let mut y = y.slice_axis_mut(Axis(0), (..rows.len()).into());
                data.gather_into(rows, &mut x, &mut y)?;
                let loss = self.step(N::Batch::from_examples(x.view(), y.view()))?;
                history.losses.push(loss);
                if !loss.is_finite() {
                    return Err(Error::NonFiniteLoss { step: self.steps(), loss });
                }
                sum += f64::from(loss) * rows.len() as f64;
                progress.step(rows.len(), loss);
            }
            let loss = sum / examples as f64;
            let examples_per_second = progress.examples_per_second();
            let validation = match fit.validation {
                Some(data) => {
                    let evaluation = self.model().evaluate(data)?;
                    let metrics = evaluation.metrics().to_vec();
                    Some(Validation { loss: evaluation.loss(), metrics })
                }
                None => None,
            };
            let epoch = Epoch { loss, examples_per_second, validation };
            progress.finish(&epoch);
            history.epochs.push(epoch);
        }
        Ok(history)
    }
}

/// An array for so many examples like these.
fn room<A: Copy + Default, D: Dimension>(
    like: &ArrayView<'_, A, D>,
    examples: usize,
) -> Array<A, D> {
    let mut shape = like.raw_dim();
    shape[0] = examples;
    Array::default(shape)
}
