//! Trainings: every optimizer with its options, clipping, accumulation, per-parameter rates, and
//! learning-rate schedules.

use std::fmt;
use std::sync::Arc;

use bilro::schedule::{
    CosineAnnealingLR, CosineAnnealingWarmRestarts, ExponentialLR, LinearLR, MultiStepLR,
    OneCycleLR, ReduceLROnPlateau, Schedule, StepLR,
};
use bilro::{Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop, Sgd};
use bilro_compiler::optim::{Clip, Training};

use super::choices::Choices;

/// Names of the optimizers.
pub const OPTIMIZERS: [&str; 9] =
    ["SGD", "Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW", "NAdam", "RAdam", "Lion"];

/// Names of the schedules.
pub const SCHEDULES: [&str; 9] = [
    "none",
    "StepLR",
    "MultiStepLR",
    "ExponentialLR",
    "LinearLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "OneCycleLR",
    "ReduceLROnPlateau",
];

/// How a network is trained.
#[derive(Clone, PartialEq)]
pub struct Plan {
    /// The optimizer, by its index in [`OPTIMIZERS`].
    pub optimizer: usize,
    /// Its options, as bits and factors.
    pub options: [bool; 4],
    /// The learning rate.
    pub rate: f32,
    /// Gradient clipping.
    pub clip: Option<Clip>,
    /// Batches per update.
    pub accumulate: usize,
    /// Factors of the learning rates of the first parameters.
    pub rates: Vec<Option<f32>>,
    /// The schedule, by its index in [`SCHEDULES`].
    pub schedule: usize,
    /// The schedule's option.
    pub then: Option<usize>,
}

impl Plan {
    /// Draws a plan.
    pub fn draw(choices: &mut Choices<'_>) -> Plan {
        let optimizer = choices.index(OPTIMIZERS.len());
        let options = [(); 4].map(|()| choices.chance(0.4));
        let rate = *choices.pick(&[0.01, 0.001, 0.1, 0.0]);
        let clip = match choices.index(4) {
            2 => Some(Clip::Norm(choices.number(0.01, 2.0) as f32 + 0.001)),
            3 => Some(Clip::Value(choices.number(0.001, 0.5) as f32 + 0.001)),
            _ => None,
        };
        let accumulate = if choices.chance(0.15) { 2 + choices.index(2) } else { 1 };
        let count = if choices.chance(0.2) { 1 + choices.index(4) } else { 0 };
        let rates = (0..count).map(|_| match choices.index(4) {
            0 => None,
            i => Some([0.5, 1.0, 2.0][i - 1]),
        });
        let rates = rates.collect();
        let schedule = choices.index(SCHEDULES.len());
        let then = choices.chance(0.1).then(|| choices.index(3));
        Plan { optimizer, options, rate, clip, accumulate, rates, schedule, then }
    }

    /// The simplest plan.
    pub fn plain() -> Plan {
        Plan {
            optimizer: 0,
            options: [false; 4],
            rate: 0.01,
            clip: None,
            accumulate: 1,
            rates: Vec::new(),
            schedule: 0,
            then: None,
        }
    }

    /// The training of a network with this number of parameters.
    pub fn training(&self, parameters: usize) -> Arc<Training> {
        let mut training = self.optimizer();
        if let Some(clip) = self.clip {
            training = training.with_clip(clip);
        }
        if !self.rates.is_empty() && parameters > 0 {
            training = training.with_rates(self.rates.iter().copied().take(parameters).collect());
        }
        if self.accumulate > 1 {
            training = training.with_accumulate(self.accumulate);
        }
        Arc::new(training)
    }

    fn optimizer(&self) -> Training {
        let rate = self.rate;
        let [a, b, c, d] = self.options;
        match OPTIMIZERS[self.optimizer] {
            "SGD" => {
                let mut sgd = Sgd::new(rate);
                if a {
                    sgd = sgd.momentum(0.9);
                    sgd = if b { sgd.nesterov() } else { sgd };
                    sgd = if c && !b { sgd.dampening(0.1) } else { sgd };
                }
                if d { sgd.weight_decay(0.01).into() } else { sgd.into() }
            }
            "Adagrad" => {
                let mut adagrad = Adagrad::new(rate);
                adagrad = if a { adagrad.lr_decay(0.1) } else { adagrad };
                adagrad = if b { adagrad.weight_decay(0.01) } else { adagrad };
                adagrad = if c { adagrad.initial_accumulator_value(0.1) } else { adagrad };
                if d { adagrad.eps(1e-6).into() } else { adagrad.into() }
            }
            "Adadelta" => {
                let mut adadelta = Adadelta::new(rate);
                adadelta = if a { adadelta.rho(0.95) } else { adadelta };
                adadelta = if b { adadelta.weight_decay(0.01) } else { adadelta };
                if d { adadelta.eps(1e-5).into() } else { adadelta.into() }
            }
            "RMSprop" => {
                let mut rmsprop = RMSprop::new(rate);
                rmsprop = if a { rmsprop.momentum(0.5) } else { rmsprop };
                rmsprop = if b { rmsprop.centered() } else { rmsprop };
                rmsprop = if c { rmsprop.weight_decay(0.01) } else { rmsprop };
                if d { rmsprop.alpha(0.9).eps(1e-6).into() } else { rmsprop.into() }
            }
            "Adam" => {
                let mut adam = Adam::new(rate);
                adam = if a { adam.amsgrad() } else { adam };
                adam = if b { adam.weight_decay(0.01) } else { adam };
                if c { adam.betas(0.8, 0.99).eps(1e-6).into() } else { adam.into() }
            }
            "AdamW" => {
                let mut adamw = AdamW::new(rate);
                adamw = if a { adamw.amsgrad() } else { adamw };
                adamw = if b { adamw.weight_decay(0.1) } else { adamw };
                if c { adamw.betas(0.8, 0.99).into() } else { adamw.into() }
            }
            "NAdam" => {
                let mut nadam = NAdam::new(rate);
                nadam = if a { nadam.weight_decay(0.01) } else { nadam };
                nadam = if a && b { nadam.decoupled_weight_decay() } else { nadam };
                if c { nadam.momentum_decay(0.01).into() } else { nadam.into() }
            }
            "RAdam" => {
                let mut radam = RAdam::new(rate);
                radam = if a { radam.weight_decay(0.01) } else { radam };
                radam = if a && b { radam.decoupled_weight_decay() } else { radam };
                if c { radam.betas(0.9, 0.99).into() } else { radam.into() }
            }
            _ => {
                let mut lion = Lion::new(rate);
                lion = if a { lion.weight_decay(0.1) } else { lion };
                if b { lion.betas(0.8, 0.9).into() } else { lion.into() }
            }
        }
    }

    /// The learning rates of some steps, by the schedule.
    pub fn learning_rates(&self, steps: usize) -> Vec<f32> {
        let mut schedule = self.schedule();
        (0..steps)
            .map(|time| {
                let rate = match &schedule {
                    Some(schedule) => schedule.learning_rate(self.rate, time),
                    None => self.rate,
                };
                if let Some(schedule) = &mut schedule {
                    // A loss that grows.
                    schedule.observe(time, time as f64);
                }
                rate
            })
            .collect()
    }

    fn schedule(&self) -> Option<Box<dyn Schedule>> {
        let then = self.then;
        fn boxed(schedule: impl Schedule + 'static, then: Option<usize>) -> Box<dyn Schedule> {
            match then {
                Some(time) => Box::new(schedule.then(time, LinearLR::new(3))),
                None => Box::new(schedule),
            }
        }
        Some(match SCHEDULES[self.schedule] {
            "StepLR" => boxed(StepLR::new(1).gamma(0.5), then),
            "MultiStepLR" => boxed(MultiStepLR::new(&[1, 2]).gamma(0.3), then),
            "ExponentialLR" => boxed(ExponentialLR::new(0.9), then),
            "LinearLR" => boxed(LinearLR::new(4).start_factor(0.25), then),
            "CosineAnnealingLR" => boxed(CosineAnnealingLR::new(4), then),
            "CosineAnnealingWarmRestarts" => {
                boxed(CosineAnnealingWarmRestarts::new(2).t_mult(2), then)
            }
            "OneCycleLR" => boxed(OneCycleLR::new(0.02, 8), then),
            "ReduceLROnPlateau" => boxed(ReduceLROnPlateau::new().patience(0), then),
            _ => return None,
        })
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.training(usize::MAX))?;
        let schedule = SCHEDULES[self.schedule];
        match self.then {
            Some(time) => write!(f, ", {schedule} until time {time}, then LinearLR"),
            None => write!(f, ", schedule {schedule}"),
        }
    }
}
