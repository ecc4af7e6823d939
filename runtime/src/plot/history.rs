//! Pictures of a training's history.

use std::path::Path;

use super::{Curves, Panels};
use crate::error::Result;
use crate::train::History;

impl History {
    /// Writes a picture of the losses and of every metric over the epochs.
    ///
    /// # Errors
    /// As [`Curves::save`]; [`Error::Plot`](crate::Error::Plot) if there is no epoch.
    pub fn plot(&self, path: impl AsRef<Path>) -> Result<()> {
        let panels = Panels::from(self);
        let width = 800 * self.metrics().len().clamp(0, 2) as u32 / 2 + 800;
        panels.size(width, 500).save(path)
    }

    /// The names of the metrics, in the order of their first epochs.
    fn metrics(&self) -> Vec<&str> {
        let mut names: Vec<&str> = vec![];
        for (name, _) in
            self.epochs.iter().filter_map(|e| e.validation.as_ref()).flat_map(|v| &v.metrics)
        {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

/// A panel for the losses, and one for each metric.
impl From<&History> for Panels<'static> {
    fn from(history: &History) -> Self {
        let over_epochs = |value: &dyn Fn(&crate::train::Epoch) -> Option<f64>| -> Vec<f64> {
            history.epochs.iter().map(|e| value(e).unwrap_or(f64::NAN)).collect()
        };
        let mut losses = Curves::new("loss").series("training", &over_epochs(&|e| Some(e.loss)));
        if history.epochs.iter().any(|e| e.validation.is_some()) {
            let validation = over_epochs(&|e| Some(e.validation.as_ref()?.loss));
            losses = losses.series("validation", &validation);
        }
        let mut panels = Panels::new("").panel(losses);
        for name in history.metrics() {
            let values = over_epochs(&|e| {
                let metrics = &e.validation.as_ref()?.metrics;
                Some(metrics.iter().find(|m| m.0 == name)?.1)
            });
            panels = panels.panel(Curves::new(name).series("validation", &values));
        }
        panels
    }
}
