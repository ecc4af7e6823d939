//! The weights of a network in a file, under PyTorch's names and in its layout.
//!
//! Takes a declaration with its parameters, and a file of the format
//! safetensors. A file is compared with the declaration as a whole before
//! anything is changed: what does not fit is one error, [`WeightsMismatch`],
//! that lists everything.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use bilro_compiler::network::{Network as Declaration, Parameter};
use ndarray::{ArrayD, ArrayViewD};

use crate::error::{Error, Result};
use crate::io::tensors::{self, File};
use crate::model::Model;

/// What of a file of weights does not fit a network. Shapes are those of the
/// file, in which weights of linear layers are `[out, in]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct WeightsMismatch {
    /// The network.
    pub network: String,
    /// Parameters that are not in the file: name and shape.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Tensors of the file that are no parameters: name and shape.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Tensors of another shape: name, the parameter's shape, the file's.
    pub shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Tensors that do not hold floating point numbers: name, and what they
    /// hold, as `I64`.
    pub types: Vec<(String, String)>,
    /// Names that renaming has given to several tensors.
    pub repeated: Vec<String>,
}

impl WeightsMismatch {
    fn is_empty(&self) -> bool {
        let WeightsMismatch { network: _, missing, unexpected, shapes, types, repeated } = self;
        missing.is_empty()
            && unexpected.is_empty()
            && shapes.is_empty()
            && types.is_empty()
            && repeated.is_empty()
    }
}

impl fmt::Display for WeightsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "does not fit `{}`, so nothing was loaded", self.network)?;
        for (name, shape) in &self.missing {
            write!(f, "\n  missing: `{name}` {shape:?}")?;
        }
        for (name, shape) in &self.unexpected {
            write!(f, "\n  not in the network: `{name}` {shape:?}")?;
        }
        for (name, expected, found) in &self.shapes {
            write!(f, "\n  of another shape: `{name}` must be {expected:?}, but is {found:?}")?;
            if found.len() == 2 && found.iter().rev().eq(expected) {
                write!(f, " (files have weights of linear layers as [out, in])")?;
            }
        }
        for (name, found) in &self.types {
            let floats = tensors::FLOATS;
            write!(f, "\n  of another type: `{name}` must hold {floats}, but holds {found}")?;
        }
        for name in &self.repeated {
            write!(f, "\n  several tensors were renamed to `{name}`")?;
        }
        if !self.missing.is_empty() && !self.unexpected.is_empty() {
            write!(f, "\n`load_renamed` loads a file in which parameters have other names")?;
        }
        Ok(())
    }
}

impl<N> Model<N> {
    /// Parameters by name, in declared order, as PyTorch's `state_dict` has
    /// them and as [`Model::save`] writes them: weights of linear layers are
    /// `[out, in]`. No copies: they are views.
    pub fn state_dict(&self) -> impl ExactSizeIterator<Item = (&str, ArrayViewD<'_, f32>)> {
        let parameters = self.engine.declaration.parameters.iter().enumerate();
        parameters.map(|(i, p)| (p.name.as_str(), turned(p, self.engine.parameters.view(i))))
    }

    /// Writes the parameters to a file of the format
    /// [safetensors](https://huggingface.co/docs/safetensors), under PyTorch's
    /// names and in its layout, as F32. A PyTorch module whose parts have the
    /// same names loads it with
    /// `model.load_state_dict(safetensors.torch.load_file(path))`.
    ///
    /// A file that is there is replaced, as a whole or not at all. The same
    /// parameters give the same bytes.
    ///
    /// ```
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     /// Handwritten digits.
    ///     struct Digits {
    ///         input image: [64];
    ///         target digit: class(10);
    ///         layer fc1 = Linear(64, 32);
    ///         layer fc2 = Linear(10);
    ///         output logits = fc2(relu(fc1(image)));
    ///         loss cross_entropy(logits, digit);
    ///     }
    /// }
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("digits.safetensors");
    /// # let path = path.to_str().unwrap();
    /// # /*
    /// let path = "digits.safetensors";
    /// # */
    /// let mut model = Digits::model().seed(7).build()?;
    /// model.save(path)?;
    ///
    /// // Into a model that is there, or into a new one.
    /// model.load(path)?;
    /// let same = Digits::model().weights(path).build()?;
    /// assert_eq!(same.params().fc1.weight, model.params().fc1.weight);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`] where the file cannot be written; then one that was
    /// there is there still.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let network = self.engine.declaration.name.as_str();
        let metadata = [
            ("bilro", env!("CARGO_PKG_VERSION")),
            ("network", network),
            // Loaders made for PyTorch ask for it.
            ("format", "pt"),
        ];
        tensors::write(path.as_ref(), self.state_dict().collect(), &metadata)
    }

    /// Reads the parameters from a file that [`Model::save`] has written, or
    /// PyTorch:
    ///
    /// ```python
    /// safetensors.torch.save_file(model.state_dict(), "digits.safetensors")
    /// ```
    ///
    /// Names must agree: `fc1.weight` is the weight of `layer fc1`, and those
    /// of a chain are `linear1`, `linear2` and so on. [`Model::load_renamed`]
    /// is for others. Weights of linear layers are `[out, in]` in the file; all
    /// other parameters are what they are here. F64, F16 and BF16 become `f32`,
    /// rounded to the nearest. PyTorch's counters `num_batches_tracked` are
    /// left out.
    ///
    /// # Errors
    /// [`Error::File`] where the file cannot be read or is of another format,
    /// [`Error::Weights`] with everything that is missing, that the network
    /// does not have, or that has another shape or type. After an error all
    /// parameters are what they were.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.load_renamed(path, str::to_string)
    }

    /// As [`Model::load`], from a file with other names: `rename` gives, for
    /// each name of the file, the one of this network.
    ///
    /// PyTorch's `nn.Sequential` counts its modules, those without parameters
    /// as well. For `Linear, ReLU, Linear`, of which the weights are `0.weight`
    /// and `2.weight`:
    ///
    /// ```
    /// use bilro::{io, prelude::*};
    ///
    /// # fn load<N: Network>(model: &mut Model<N>) -> bilro::Result<()> {
    /// model.load_renamed("sequential.safetensors", io::rename_layers([("0", "fc1"), ("2", "fc2")]))
    /// # }
    /// ```
    ///
    /// [`io::rename_layers`](crate::io::rename_layers) renames whole layers; a
    /// closure may do anything:
    ///
    /// ```
    /// use bilro::prelude::*;
    ///
    /// # fn load<N: Network>(model: &mut Model<N>) -> bilro::Result<()> {
    /// model.load_renamed("wrapped.safetensors", |name| name.replace("module.", ""))
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Model::load`]; names in [`Error::Weights`] are those that `rename`
    /// has given.
    pub fn load_renamed(
        &mut self,
        path: impl AsRef<Path>,
        rename: impl FnMut(&str) -> String,
    ) -> Result<()> {
        let arrays = read(&self.engine.declaration, path.as_ref(), rename)?;
        for (i, array) in arrays.into_iter().enumerate() {
            self.engine.parameters.set(i, array.view());
        }
        Ok(())
    }
}

/// A parameter as PyTorch has it, or back.
fn turned<'a>(parameter: &Parameter, view: ArrayViewD<'a, f32>) -> ArrayViewD<'a, f32> {
    if parameter.is_transposed() { view.reversed_axes() } else { view }
}

/// A value for each parameter of a network, or everything that is in the way.
fn read(
    declaration: &Declaration,
    path: &Path,
    mut rename: impl FnMut(&str) -> String,
) -> Result<Vec<ArrayD<f32>>> {
    let file = File::open(path)?;
    let mut mismatch =
        WeightsMismatch { network: declaration.name.clone(), ..WeightsMismatch::default() };
    let mut tensors = BTreeMap::new();
    for (name, tensor) in file.tensors()? {
        let name = rename(&name);
        if tensors.insert(name.clone(), tensor).is_some() && !mismatch.repeated.contains(&name) {
            mismatch.repeated.push(name);
        }
    }
    let mut arrays = Vec::new();
    for parameter in &declaration.parameters {
        let name = parameter.name.clone();
        let mut expected = parameter.shape.sizes();
        if parameter.is_transposed() {
            expected.reverse();
        }
        let Some(tensor) = tensors.remove(&name) else {
            mismatch.missing.push((name, expected));
            continue;
        };
        if tensor.shape() != expected {
            mismatch.shapes.push((name.clone(), expected, tensor.shape().to_vec()));
        }
        match tensors::floats(&tensor) {
            Ok(array) if parameter.is_transposed() => arrays.push(array.reversed_axes()),
            Ok(array) => arrays.push(array),
            Err(found) => mismatch.types.push((name, found)),
        }
    }
    let unexpected = tensors.iter().filter(|(name, _)| !counts_batches(name));
    mismatch.unexpected =
        unexpected.map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect();
    match mismatch.is_empty() {
        true => Ok(arrays),
        false => Err(Error::Weights { path: path.into(), mismatch: Box::new(mismatch) }),
    }
}

/// What PyTorch's batch normalisation keeps beside its weights, of which
/// nothing depends here.
fn counts_batches(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
}
