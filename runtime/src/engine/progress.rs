//! How far training has come: what the numbers follow from that change from
//! step to step.

use bilro_compiler::declaration::Purpose;
use bilro_compiler::ops::setting::{RANDOM_BATCH, RANDOM_KEY};
use bilro_compiler::optim::{ACCUMULATED, LEARNING_RATE};

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// What everything that is drawn at random follows from.
    key: [u32; 2],
    /// Batches trained on. What is drawn at random for a batch follows from its
    /// number, so that it is the same on any number of threads.
    batches: u64,
    /// Updates made.
    pub updates: u64,
}

impl Progress {
    /// Nothing yet.
    pub fn new(seed: u64) -> Progress {
        let key = scrambled(seed);
        Progress { key: [key as u32, (key >> 32) as u32], batches: 0, updates: 0 }
    }

    /// A call has been made, and what it has changed was kept.
    pub fn advance(&mut self, purpose: &Purpose<'_>) {
        self.batches += u64::from(purpose.trains_on_batch());
        self.updates += u64::from(matches!(purpose, Purpose::Step(_) | Purpose::Update { .. }));
    }

    /// Another optimizer begins.
    pub fn forget_steps(&mut self) {
        self.updates = 0;
    }

    /// The bits of a setting for the next call.
    pub fn setting(&self, purpose: &Purpose<'_>, setting: Source) -> u32 {
        match setting {
            Source::Batch => self.batches as u32,
            Source::FirstKey => self.key[0],
            // Batches are more than one number can count.
            Source::SecondKey => self.key[1] ^ (self.batches >> 32) as u32,
            Source::LearningRate => {
                let rate = purpose.training().map(|t| t.optimizer().learning_rate());
                rate.unwrap_or(f32::NAN).to_bits()
            }
            Source::Accumulated => {
                let scale = match purpose {
                    Purpose::Update { training, batches } => {
                        (training.accumulate() as f64 / *batches as f64) as f32
                    }
                    _ => f32::NAN,
                };
                scale.to_bits()
            }
            Source::Optimizer(name) => {
                let value =
                    purpose.training().and_then(|t| t.optimizer().setting(name, self.updates + 1));
                value.unwrap_or(f32::NAN).to_bits()
            }
        }
    }
}

/// Where the value of a setting comes from.
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
    /// What makes the mean of sums of gradients.
    Accumulated,
    /// The optimizer, which knows it by this name.
    Optimizer(&'static str),
}

impl Source {
    /// Of the setting of this name.
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
