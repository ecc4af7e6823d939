//! Evaluation: loss and metrics over examples, independent of the batch size.

use std::marker::PhantomData;
use std::sync::Arc;

use bilro_compiler::declaration::Declaration;
use bilro_compiler::purpose::Purpose;

use super::measured::Measured;
use super::network::Classifier;
use crate::error::Result;
use crate::run::Feed;
use crate::run::engine::Engine;

/// Loss and metrics over some examples.
///
/// They do not depend on the batches that the examples were evaluated in: means
/// are sums over all examples, in f64, divided by the sum of all weights. A target
/// without weight, as one of the class `ignore_index`, does not count in any of them;
/// if none counts, the mean is NaN.
#[derive(Clone, Debug)]
pub struct Evaluation<N> {
    loss: f64,
    metrics: Vec<(String, f64)>,
    network: PhantomData<fn() -> N>,
}

/// Sums over batches of all measures.
pub(super) struct Sums {
    declaration: Arc<Declaration>,
    measured: Vec<Measured>,
    /// The sums of the last batch.
    batch: Vec<f64>,
}

impl Sums {
    pub fn new(engine: &Engine) -> Sums {
        let declaration = engine.declaration.clone();
        let measured = declaration.measures.iter().map(Measured::new).collect();
        Sums { declaration, measured, batch: Vec::new() }
    }

    /// Evaluates a batch, and adds its sums.
    pub fn evaluate(
        &mut self,
        engine: &Engine,
        feeds: &[Feed<'_>],
        choices: &[usize],
    ) -> Result<()> {
        let results = engine.run_shared(&Purpose::Evaluate, feeds, choices, &mut self.batch)?;
        let mut sums = self.batch.iter().copied();
        self.measured.iter_mut().for_each(|measured| measured.add(&mut sums, results.examples));
        Ok(())
    }

    pub fn finish<N>(self) -> Evaluation<N> {
        let mut values = self.measured.iter().map(Measured::value);
        // The loss comes first; a network without one cannot be evaluated.
        let loss = values.next().unwrap_or(f64::NAN);
        let names = self.declaration.metrics().map(String::from);
        Evaluation { loss, metrics: names.zip(values).collect(), network: PhantomData }
    }
}

impl<N> Evaluation<N> {
    /// The loss of all examples: the mean over them, for each term weighted by its
    /// targets if classes have weights or one is ignored. For a network with
    /// `loss sum`, the sum over all examples.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// The metric of this name, if the network has it.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// All metrics, in declared order.
    pub fn metrics(&self) -> &[(String, f64)] {
        &self.metrics
    }

    /// The fraction of counted targets whose class has the largest score, from 0 to 1.
    pub fn accuracy(&self) -> f64
    where
        N: Classifier,
    {
        self.metric("accuracy").unwrap_or(f64::NAN)
    }
}
