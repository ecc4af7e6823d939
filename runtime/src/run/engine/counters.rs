//! Step counters and step scalars.
//!
//! Counts steps, and gives the scalars of a call that follow from the counts: the learning rate
//! and whatever else changes from step to step without being compiled again.

use bilro_compiler::ops::step_scalar::{RANDOM_BATCH, RANDOM_KEY};
use bilro_compiler::optim::{ACCUMULATED, LEARNING_RATE};
use bilro_compiler::purpose::Purpose;

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub(super) struct StepCounters {
    /// What everything that is drawn at random follows from.
    key: [u32; 2],
    /// Batches trained on. What is drawn at random for a batch follows from its
    /// number, so that it is the same on any number of threads.
    batches: u64,
    /// Updates made.
    pub updates: u64,
}

/// The numbers of a call that makes an update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateNumbers {
    /// The current learning rate.
    pub learning_rate: f32,
    /// From how many batches the update is made; where it follows from sums of gradients only.
    pub batches: usize,
}

impl UpdateNumbers {
    /// For a purpose that makes no update.
    pub const NONE: UpdateNumbers = UpdateNumbers { learning_rate: f32::NAN, batches: 1 };
}

impl StepCounters {
    /// Nothing yet.
    pub fn new(seed: u64) -> StepCounters {
        let key = scrambled(seed);
        StepCounters { key: [key as u32, (key >> 32) as u32], batches: 0, updates: 0 }
    }

    /// The key, batches and updates.
    pub fn get(&self) -> ([u32; 2], u64, u64) {
        (self.key, self.batches, self.updates)
    }

    /// Goes on from others.
    pub fn set(&mut self, key: [u32; 2], batches: u64, updates: u64) {
        *self = StepCounters { key, batches, updates };
    }

    /// Counts a call whose changes have been kept.
    pub fn advance(&mut self, purpose: &Purpose) {
        self.batches += u64::from(purpose.trains_on_batch());
        self.updates += u64::from(matches!(purpose, Purpose::Step(_) | Purpose::Update(_)));
    }

    /// Another optimizer begins.
    pub fn forget_steps(&mut self) {
        self.updates = 0;
    }

    /// The bits of a scalar for the next call.
    pub fn scalar(&self, purpose: &Purpose, numbers: UpdateNumbers, source: Source) -> u32 {
        match source {
            Source::Batch => self.batches as u32,
            Source::FirstKey => self.key[0],
            // Batches are more than one number can count.
            Source::SecondKey => self.key[1] ^ (self.batches >> 32) as u32,
            Source::LearningRate => numbers.learning_rate.to_bits(),
            Source::Accumulated => {
                let scale = match purpose {
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

/// Where the value of a scalar comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// The number of the batch.
    Batch,
    /// The key's first word.
    FirstKey,
    /// The key's second word.
    SecondKey,
    /// The learning rate, which a small step should not have to find by name.
    LearningRate,
    /// The factor that turns sums of gradients into their mean.
    Accumulated,
    /// The optimizer, which knows it by this name.
    Optimizer(&'static str),
}

impl Source {
    /// Of the scalar of this name.
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
