//! Every optimizer, with and without its options, and with the options of a
//! [`Training`].

use std::sync::Arc;

use bilro::{Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop, Sgd};
use bilro_compiler::optim::{Clip, Training};

/// Number of [`training`]s.
pub const TRAININGS: u64 = 16;

/// A training by index, modulo [`TRAININGS`], with a learning rate.
pub fn training(index: u64, rate: f32) -> Arc<Training> {
    Arc::new(declared(index, rate))
}

fn declared(index: u64, rate: f32) -> Training {
    let clipped = |training: Training, clip| training.with_clip(clip);
    match index % TRAININGS {
        0 => Sgd::new(rate).into(),
        1 => Sgd::new(rate).momentum(0.9).dampening(0.1).weight_decay(0.01).into(),
        2 => Sgd::new(rate).momentum(0.9).nesterov().into(),
        3 => Adagrad::new(rate).lr_decay(0.1).initial_accumulator_value(0.1).into(),
        4 => Adadelta::new(rate).weight_decay(0.01).into(),
        5 => RMSprop::new(rate).into(),
        6 => RMSprop::new(rate).centered().momentum(0.5).into(),
        7 => Adam::new(rate).into(),
        8 => Adam::new(rate).amsgrad().weight_decay(0.01).into(),
        9 => AdamW::new(rate).into(),
        10 => NAdam::new(rate).into(),
        11 => RAdam::new(rate).betas(0.9, 0.99).into(),
        12 => Lion::new(rate).weight_decay(0.1).into(),
        13 => clipped(Sgd::new(rate).momentum(0.9).into(), Clip::Norm(0.1)),
        14 => clipped(Adam::new(rate).into(), Clip::Value(0.01)),
        _ => clipped(Adam::new(rate).into(), Clip::Norm(1.0)).with_accumulate(2),
    }
}
