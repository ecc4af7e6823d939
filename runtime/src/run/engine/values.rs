//! The parameters of an engine: read, overwritten, copied and restored.

use ndarray::ArrayViewD;

use super::Engine;
use crate::error::{Error, Result};
use crate::memory;

impl Engine {
    /// A view of a parameter, by its index in the declaration.
    ///
    /// # Panics
    /// If the index is out of range.
    pub fn parameter(&self, i: usize) -> ArrayViewD<'_, f32> {
        self.parameters.view(i)
    }

    /// Overwrites a parameter, by its index in the declaration.
    ///
    /// # Errors
    /// [`Error::ParameterShape`] for values of another shape,
    /// [`Error::UnknownParameter`] if the index is out of range.
    pub fn set_parameter(&mut self, i: usize, values: ArrayViewD<'_, f32>) -> Result<()> {
        let parameters = &self.declaration.parameters;
        let Some(parameter) = parameters.get(i) else {
            return Err(Error::UnknownParameter {
                name: i.to_string(),
                known: parameters.iter().map(|p| p.name.clone()).collect(),
            });
        };
        let expected = parameter.shape.sizes();
        if values.shape() != expected {
            let found = values.shape().to_vec();
            return Err(Error::ParameterShape { name: parameter.name.clone(), expected, found });
        }
        self.parameters.set(i, values);
        Ok(())
    }

    /// Copies all parameters of the declaration, without optimizer state, for
    /// [`Engine::restore_parameters`].
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for a copy.
    pub(crate) fn copy_parameters_into(&self, copy: &mut Vec<f32>) -> Result<()> {
        let parameters = self.parameters.first(self.declaration.parameters.len());
        copy.clear();
        if copy.capacity() < parameters.len() {
            let what = || format!("a copy of the parameters of `{}`", self.declaration.name);
            memory::check::<f32>(what, parameters.len())?;
        }
        copy.extend_from_slice(parameters);
        Ok(())
    }

    /// Restores the copied values of all parameters of the declaration.
    pub(crate) fn restore_parameters(&mut self, copy: &[f32]) {
        let memory = self.parameters.first_mut(self.declaration.parameters.len());
        // They differ in length only by padding.
        let len = memory.len().min(copy.len());
        memory[..len].copy_from_slice(&copy[..len]);
    }
}
