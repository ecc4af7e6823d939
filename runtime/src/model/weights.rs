//! Saving and loading weights: safetensors files with PyTorch's names and layout.
//!
//! Takes a declaration with its parameters, and a file. The entire file is
//! compared with the declaration before any parameter is changed: all mismatches
//! are listed in one error, [`WeightsMismatch`].

use std::collections::BTreeMap;
use std::path::Path;

use bilro_compiler::declaration::{Declaration, Parameter};
use bilro_compiler::faults::{self, Fault};
use ndarray::{ArrayD, ArrayViewD};

use super::Model;
use crate::error::{Error, Result, WeightsMismatch};
use crate::io::Source;
use crate::io::tensors::{self, File};

impl<N> Model<N> {
    /// Parameters by name, in declared order, as PyTorch's `state_dict` has
    /// them and as [`Model::save`] writes them: weights of linear layers are
    /// `[out, in]`. No copies: they are views.
    pub fn state_dict(&self) -> impl ExactSizeIterator<Item = (&str, ArrayViewD<'_, f32>)> {
        let parameters = self.engine.declaration.parameters.iter().enumerate();
        parameters.map(|(i, p)| (p.name.as_str(), in_file(p, self.engine.parameters.view(i))))
    }

    /// Writes the parameters to a file of the format
    /// [safetensors](https://huggingface.co/docs/safetensors), under PyTorch's
    /// names and in its layout, as F32. A PyTorch module whose submodules have the
    /// same names loads it with
    /// `model.load_state_dict(safetensors.torch.load_file(path))`.
    ///
    /// An existing file is replaced atomically; missing folders are created. The
    /// same parameters give the same bytes.
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
    /// // Into an existing model, or into a new one.
    /// model.load(path)?;
    /// let same = Digits::model().weights(path).build()?;
    /// assert_eq!(same.params().fc1.weight, model.params().fc1.weight);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written; then an existing one is
    /// unchanged.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write(path.as_ref(), self.state_dict().collect())
    }

    /// As [`Model::save`], with other names: `rename` maps each name of this
    /// network to the one in the file. Needed for PyTorch's `nn.Sequential`, which
    /// numbers all its modules, including those without parameters:
    ///
    /// ```
    /// use bilro::{io, prelude::*};
    ///
    /// # fn save<N: Network>(model: &Model<N>, path: &std::path::Path) -> bilro::Result<()> {
    /// // For `self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))`.
    /// let names = [("linear1", "body.0"), ("linear2", "body.2")];
    /// model.save_renamed(path, io::rename_layers(names))
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Model::save`]; [`Error::File`] if two parameters get the same name.
    pub fn save_renamed(
        &self,
        path: impl AsRef<Path>,
        mut rename: impl FnMut(&str) -> String,
    ) -> Result<()> {
        let renamed: Vec<_> = self.state_dict().map(|(name, view)| (rename(name), view)).collect();
        let tensors = renamed.iter().map(|(name, view)| (name.as_str(), view.view()));
        self.write(path.as_ref(), tensors.collect())
    }

    fn write(&self, path: &Path, tensors: Vec<(&str, ArrayViewD<'_, f32>)>) -> Result<()> {
        let network = self.engine.declaration.name.as_str();
        let metadata = [
            ("bilro", env!("CARGO_PKG_VERSION")),
            ("network", network),
            // Expected by PyTorch's loaders.
            ("format", "pt"),
        ];
        tensors::write(path, tensors, &metadata)
    }

    /// Reads the parameters from a file written by [`Model::save`] or by PyTorch:
    ///
    /// ```python
    /// safetensors.torch.save_file(model.state_dict(), "digits.safetensors")
    /// ```
    ///
    /// Names must agree: `fc1.weight` is the weight of `layer fc1`, and those
    /// of a chain are `linear1`, `linear2` and so on. [`Model::load_renamed`]
    /// is for other names. Weights of linear layers are `[out, in]` in the file; all
    /// other parameters have the same axes in both. F64, F16 and BF16 are converted to
    /// `f32`, rounded to nearest. PyTorch's counters `num_batches_tracked` are
    /// skipped. From a checkpoint, see
    /// [`Trainer::save_checkpoint`](crate::Trainer::save_checkpoint), only the parameters are read.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read or has another format,
    /// [`Error::Damaged`] for a damaged checkpoint, [`Error::Weights`] with all parameters that are missing, unexpected, or of
    /// another shape or type. After an error all parameters are unchanged.
    pub fn load(&mut self, path: impl Source) -> Result<()> {
        self.load_renamed(path, str::to_string)
    }

    /// As [`Model::load`], from a file with other names: `rename` maps each name of
    /// the file to the one of this network.
    ///
    /// PyTorch's `nn.Sequential` numbers all its modules, including those without
    /// parameters. For `Linear, ReLU, Linear`, whose weights are `0.weight` and
    /// `2.weight`:
    ///
    /// ```
    /// use bilro::{io, prelude::*};
    ///
    /// # fn load<N: Network>(model: &mut Model<N>) -> bilro::Result<()> {
    /// model.load_renamed("sequential.safetensors", io::rename_layers([("0", "fc1"), ("2", "fc2")]))
    /// # }
    /// ```
    ///
    /// [`io::rename_layers`](crate::io::rename_layers) renames layers with all their
    /// parameters; a closure may compute any names:
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
    /// As [`Model::load`]; names in [`Error::Weights`] are those returned by
    /// `rename`.
    pub fn load_renamed(
        &mut self,
        path: impl Source,
        rename: impl FnMut(&str) -> String,
    ) -> Result<()> {
        self.load_renamed_except(path, rename, &[])
    }

    /// As [`Model::load`], except for some layers, which keep their values: for a
    /// network with another head than the one in the file. A name is that of a
    /// layer, `fc3`, or of a parameter, `fc3.bias`, in this network or in the
    /// file; its tensors in the file are not read.
    ///
    /// ```
    /// use bilro::prelude::*;
    ///
    /// # fn load<N: Network>(model: &mut Model<N>) -> bilro::Result<()> {
    /// model.load_except("digits.safetensors", &["fc3"])
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Model::load`]; [`Error::UnknownParameter`] for a name that is
    /// neither in the network nor in the file.
    pub fn load_except(&mut self, path: impl Source, except: &[&str]) -> Result<()> {
        self.load_renamed_except(path, str::to_string, except)
    }

    /// [`Model::load_renamed`] and [`Model::load_except`] in one; names in
    /// `except` are those returned by `rename`.
    ///
    /// # Errors
    /// As [`Model::load_renamed`] and [`Model::load_except`].
    pub fn load_renamed_except(
        &mut self,
        path: impl Source,
        rename: impl FnMut(&str) -> String,
        except: &[&str],
    ) -> Result<()> {
        let arrays = read(&self.engine.declaration, &path, rename, except)?;
        for (i, array) in arrays {
            self.engine.parameters.set(i, array.view());
        }
        Ok(())
    }
}

/// Prefix of the names of parameters in a checkpoint.
pub(crate) const PARAMETERS: &str = "model.";

/// A parameter with the axes in the order of files and of PyTorch.
pub(crate) fn in_file<'a>(parameter: &Parameter, view: ArrayViewD<'a, f32>) -> ArrayViewD<'a, f32> {
    if faults::is(Fault::FileOrder) {
        return view;
    }
    view.permuted_axes(parameter.file_axes.as_slice())
}

/// The index and the value of each parameter of a network, except for some layers; or an error
/// with all mismatches.
fn read(
    declaration: &Declaration,
    source: &impl Source,
    mut rename: impl FnMut(&str) -> String,
    except: &[&str],
) -> Result<Vec<(usize, ArrayD<f32>)>> {
    let file = File::open(source)?;
    let mut mismatch =
        WeightsMismatch { network: declaration.name.clone(), ..WeightsMismatch::default() };
    let mut tensors = BTreeMap::new();
    // Only the parameters of a checkpoint.
    let prefix = if file.is_checkpoint()? { PARAMETERS } else { "" };
    for (name, tensor) in file.tensors() {
        let Some(name) = name.strip_prefix(prefix) else { continue };
        let name = rename(name);
        if tensors.insert(name.clone(), tensor).is_some() && !mismatch.repeated.contains(&name) {
            mismatch.repeated.push(name);
        }
    }
    for name in except {
        let parameters = declaration.parameters.iter().map(|p| p.name.as_str());
        let mut all = parameters.chain(tensors.keys().map(String::as_str));
        if !all.any(|full| is_in(full, name)) {
            return Err(Error::UnknownParameter {
                name: (*name).into(),
                known: declaration.parameters.iter().map(|p| p.name.clone()).collect(),
            });
        }
    }
    let is_excluded = |full: &str| except.iter().any(|name| is_in(full, name));
    tensors.retain(|name, _| !is_excluded(name));
    mismatch.repeated.retain(|name| !is_excluded(name));
    let mut arrays = Vec::new();
    for (index, parameter) in declaration.parameters.iter().enumerate() {
        if is_excluded(&parameter.name) {
            continue;
        }
        let name = parameter.name.clone();
        let expected = parameter.file_sizes();
        let Some(tensor) = tensors.remove(&name) else {
            mismatch.missing.push((name, expected));
            continue;
        };
        let fits = tensor.shape == expected;
        if !fits {
            mismatch.shapes.push((name.clone(), expected, tensor.shape.clone()));
        }
        match file.floats(tensor) {
            Ok(_) if !fits => {}
            Ok(array) => arrays.push((index, array.permuted_axes(parameter.axes_from_file()))),
            Err(found) => mismatch.types.push((name, found)),
        }
    }
    let unexpected = tensors.iter().filter(|(name, _)| !counts_batches(name));
    mismatch.unexpected =
        unexpected.map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
    match mismatch.is_empty() {
        true => Ok(arrays),
        false => Err(Error::Weights { path: source.path().into(), mismatch: Box::new(mismatch) }),
    }
}

/// Whether a parameter has this name, or is in the layer of this name.
pub(crate) fn is_in(parameter: &str, name: &str) -> bool {
    parameter.strip_prefix(name).is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('.'))
}

/// Whether a tensor is the batch counter of PyTorch's batch normalisation, which is not used
/// here.
fn counts_batches(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
}
