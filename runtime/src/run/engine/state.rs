//! The state of an engine, for checkpoints: parameters with optimizer state, counters, generator.

use bilro_compiler::buffer::Layout;
use bilro_compiler::declaration::Parameter;
use bilro_compiler::faults::{self, Fault};
use bilro_compiler::optim::Training;
use ndarray::ArrayViewD;

use super::Engine;
use crate::error::Result;
use crate::rng::Generator;
use crate::run::parameters::{Parameters, strided};

/// The state beside parameters and optimizer state.
#[derive(Clone, Debug)]
pub(crate) struct EngineCounts {
    /// The key of all random numbers of steps.
    pub key: [u32; 2],
    /// Batches trained on.
    pub batches: u64,
    /// Updates made.
    pub updates: u64,
    /// The generator that drew the parameters.
    pub generator: Generator,
}

impl Engine {
    pub(crate) fn counts(&self) -> EngineCounts {
        let (key, batches, updates) = self.counters.get();
        let batches = batches.saturating_sub(u64::from(faults::is(Fault::CheckpointedBatch)));
        EngineCounts { key, batches, updates, generator: self.generator.clone() }
    }

    /// Accumulated gradients and optimizer state with their values, if they belong to this
    /// training.
    pub(crate) fn training_state(
        &self,
        training: &Training,
    ) -> Option<impl Iterator<Item = (&Parameter, ArrayViewD<'_, f32>)>> {
        let declared = self.declaration.parameters.len();
        let state = self.variables.iter().enumerate().skip(declared);
        self.has_state_of(training).then(|| state.map(|(i, p)| (p, self.parameters.view(i))))
    }

    /// New memory for the parameters, followed by `state`; all zero.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory).
    pub(crate) fn zero_parameters(&self, state: &[Parameter]) -> Result<Parameters> {
        let what = || format!("the parameters of a checkpoint of `{}`", self.declaration.name);
        Parameters::zeros(what, &self.declaration.parameters, state)
    }

    /// Replaces parameters, by memory from [`Engine::zero_parameters`], and counts. With a training, its state
    /// follows the parameters.
    pub(crate) fn restore(
        &mut self,
        parameters: Parameters,
        training: Option<&Training>,
        counts: EngineCounts,
    ) {
        // Compiled steps of the same training remain valid: the layout is the same.
        if training.is_none_or(|training| !self.has_state_of(training)) {
            self.forget_steps();
        }
        self.variables.truncate(self.declaration.parameters.len());
        if let Some(training) = training {
            self.variables.extend(training.state(&self.declaration.parameters));
            self.training_id = training.id();
        }
        self.has_stepped = training.is_some();
        self.parameters = parameters;
        self.counters.set(counts.key, counts.batches, counts.updates);
        self.generator = counts.generator;
    }

    /// Views of a copy that [`Engine::copy_parameters_into`] has made.
    pub(crate) fn copied<'c>(&self, copy: &'c [f32]) -> Vec<ArrayViewD<'c, f32>> {
        let declared = self.declaration.parameters.len();
        let layouts = &self.parameters.layout().parameters[..declared];
        let view = |(start, layout): &(usize, Layout)| {
            strided(&copy[*start..*start + layout.elements], layout)
        };
        layouts.iter().map(view).collect()
    }
}
