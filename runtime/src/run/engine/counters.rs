//! Step counters and step scalars.
//!
//! Counts steps, and computes the scalars of a call from the counts: the learning rate and all
//! other numbers that change from step to step without a new compilation.

use bilro_compiler::faults::{self, Fault};
use bilro_compiler::ops::step_scalar::{RANDOM_BATCH, RANDOM_KEY};
use bilro_compiler::optim::{ACCUMULATED, LEARNING_RATE};
use bilro_compiler::purpose::Purpose;

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub(super) struct StepCounters {
    /// The key of all random numbers of steps.
    key: [u32; 2],
    /// Batches trained on. The random numbers of a batch depend only on its number and
    /// the key, so that they are the same on any number of threads.
    batches: u64,
    /// Updates made.
    pub updates: u64,
}

/// The numbers of a call that makes an update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateNumbers {
    /// The current learning rate.
    pub learning_rate: f32,
    /// The number of accumulated batches; only read by [`Purpose::Update`].
    pub batches: usize,
}

impl UpdateNumbers {
    /// For a purpose that makes no update.
    pub const NONE: UpdateNumbers = UpdateNumbers { learning_rate: f32::NAN, batches: 1 };
}

impl StepCounters {
    /// Counters at 0.
    pub fn new(seed: u64) -> StepCounters {
        let key = scrambled(seed);
        StepCounters { key: [key as u32, (key >> 32) as u32], batches: 0, updates: 0 }
    }

    /// The key, batches and updates.
    pub fn get(&self) -> ([u32; 2], u64, u64) {
        (self.key, self.batches, self.updates)
    }

    /// Replaces them, as from a checkpoint.
    pub fn set(&mut self, key: [u32; 2], batches: u64, updates: u64) {
        *self = StepCounters { key, batches, updates };
    }

    /// Counts a call whose assignments were kept.
    pub fn advance(&mut self, purpose: &Purpose) {
        self.batches += u64::from(purpose.trains_on_batch());
        self.updates += u64::from(matches!(purpose, Purpose::Step(_) | Purpose::Update(_)));
    }

    /// Counts updates from 0 again, for another optimizer.
    pub fn forget_steps(&mut self) {
        self.updates = 0;
    }

    /// The bits of a scalar for the next call.
    pub fn scalar(&self, purpose: &Purpose, numbers: UpdateNumbers, source: Source) -> u32 {
        match source {
            Source::Batch if faults::is(Fault::SameMask) => 0,
            Source::Batch => self.batches as u32,
            Source::FirstKey => self.key[0],
            // The batch counter has 64 bits, a scalar 32: its high half changes the key.
            Source::SecondKey => self.key[1] ^ (self.batches >> 32) as u32,
            Source::LearningRate => numbers.learning_rate.to_bits(),
            Source::Accumulated => {
                let scale = match purpose {
                    Purpose::Update(_) if faults::is(Fault::AccumulatedSum) => 1.0,
                    Purpose::Update(training) => {
                        (training.accumulate() as f64 / numbers.batches as f64) as f32
                    }
                    _ => f32::NAN,
                };
                scale.to_bits()
            }
            Source::Optimizer(name) => {
                let (step, rate) = (self.updates + 1, numbers.learning_rate);
                let value = purpose.training().and_then(|t| t.optimizer().scalar(name, step, rate));
                value.unwrap_or(f32::NAN).to_bits()
            }
        }
    }
}

/// The source of a scalar's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// The number of the batch.
    Batch,
    /// The key's first word.
    FirstKey,
    /// The key's second word.
    SecondKey,
    /// The learning rate; a case of its own to save small steps the lookup by name.
    LearningRate,
    /// The factor that converts a sum of gradients into their mean.
    Accumulated,
    /// A scalar of the optimizer, by its name.
    Optimizer(&'static str),
}

impl Source {
    /// The source of the scalar of this name.
    pub fn of(name: &'static str) -> Source {
        match name {
            RANDOM_BATCH => Source::Batch,
            LEARNING_RATE => Source::LearningRate,
            ACCUMULATED => Source::Accumulated,
            name if name == RANDOM_KEY[0] => Source::FirstKey,
            name if name == RANDOM_KEY[1] => Source::SecondKey,
            name => Source::Optimizer(name),
        }
    }
}

/// Seeds that differ in one bit give keys that differ in half of them: the
/// output function of SplitMix64 (G. Steele, D. Lea, C. Flood 2014).
fn scrambled(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
