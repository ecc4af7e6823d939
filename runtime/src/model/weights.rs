//! The weights of a network in a file, under PyTorch's names and in its layout.
//!
//! Takes a declaration with its parameters, and a file of the format
//! safetensors. A file is compared with the declaration as a whole before
//! anything is changed: what does not fit is one error, [`WeightsMismatch`],
//! that lists everything.

use std::collections::BTreeMap;
use std::path::Path;

use bilro_compiler::declaration::{Declaration, Parameter};
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
    /// names and in its layout, as F32. A PyTorch module whose parts have the
    /// same names loads it with
    /// `model.load_state_dict(safetensors.torch.load_file(path))`.
    ///
    /// A file that is there is replaced, as a whole or not at all; folders that
    /// are missing are made. The same parameters give the same bytes.
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
        self.write(path.as_ref(), self.state_dict().collect())
    }

    /// As [`Model::save`], under other names: `rename` gives, for each name of
    /// this network, the one in the file. It is what PyTorch's `nn.Sequential`
    /// needs, which counts its modules, those without parameters as well:
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
    /// As [`Model::save`]; [`Error::File`] where two parameters get one name.
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
            // Loaders made for PyTorch ask for it.
            ("format", "pt"),
        ];
        tensors::write(path, tensors, &metadata)
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
    /// left out. Of a checkpoint, as [`Trainer::save_checkpoint`](crate::Trainer::save_checkpoint)
    /// and [`Fit::checkpoints`](crate::Fit::checkpoints) write it, it reads the parameters.
    ///
    /// # Errors
    /// [`Error::File`] where the file cannot be read or is of another format,
    /// [`Error::Weights`] with everything that is missing, that the network
    /// does not have, or that has another shape or type. After an error all
    /// parameters are what they were.
    pub fn load(&mut self, path: impl Source) -> Result<()> {
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
        path: impl Source,
        rename: impl FnMut(&str) -> String,
    ) -> Result<()> {
        self.load_renamed_except(path, rename, &[])
    }

    /// As [`Model::load`], but for some layers, which keep their values: for a
    /// network with another head than the one in the file. A name is that of a
    /// layer, `fc3`, or of a parameter, `fc3.bias`, in this network or in the
    /// file; what of it is in the file is not read.
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

    /// [`Model::load_renamed`] and [`Model::load_except`] in one; names of
    /// `except` are those that `rename` has given.
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

/// What the names of parameters begin with in a checkpoint.
pub(crate) const PARAMETERS: &str = "model.";

/// A parameter as a file and PyTorch have it.
pub(crate) fn in_file<'a>(parameter: &Parameter, view: ArrayViewD<'a, f32>) -> ArrayViewD<'a, f32> {
    view.permuted_axes(parameter.file_axes.as_slice())
}

/// A value for each parameter of a network but for some layers, with its place,
/// or everything that is in the way.
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
    // Of a checkpoint, the parameters alone.
    let prefix = if file.is_checkpoint()? { PARAMETERS } else { "" };
    for (name, tensor) in file.tensors()? {
        let Some(name) = name.strip_prefix(prefix) else { continue };
        let name = rename(name);
        if tensors.insert(name.clone(), tensor).is_some() && !mismatch.repeated.contains(&name) {
            mismatch.repeated.push(name);
        }
    }
    for name in except {
        let parameters = declaration.parameters.iter().map(|p| p.name.as_str());
        let mut all = parameters.chain(tensors.keys().map(String::as_str));
        if !all.any(|full| is_of(full, name)) {
            return Err(Error::UnknownParameter {
                name: (*name).into(),
                known: declaration.parameters.iter().map(|p| p.name.clone()).collect(),
            });
        }
    }
    let is_left_out = |full: &str| except.iter().any(|name| is_of(full, name));
    tensors.retain(|name, _| !is_left_out(name));
    mismatch.repeated.retain(|name| !is_left_out(name));
    let mut arrays = Vec::new();
    for (place, parameter) in declaration.parameters.iter().enumerate() {
        if is_left_out(&parameter.name) {
            continue;
        }
        let name = parameter.name.clone();
        let expected = parameter.file_sizes();
        let Some(tensor) = tensors.remove(&name) else {
            mismatch.missing.push((name, expected));
            continue;
        };
        let fits = tensor.shape() == expected;
        if !fits {
            mismatch.shapes.push((name.clone(), expected, tensor.shape().to_vec()));
        }
        match tensors::floats(&tensor) {
            Ok(_) if !fits => {}
            Ok(array) => arrays.push((place, array.permuted_axes(parameter.axes_from_file()))),
            Err(found) => mismatch.types.push((name, found)),
        }
    }
    let unexpected = tensors.iter().filter(|(name, _)| !counts_batches(name));
    mismatch.unexpected =
        unexpected.map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect();
    match mismatch.is_empty() {
        true => Ok(arrays),
        false => Err(Error::Weights { path: source.path().into(), mismatch: Box::new(mismatch) }),
    }
}

/// Whether a parameter is the one of this name, or of the layer of this name.
pub(crate) fn is_of(parameter: &str, name: &str) -> bool {
    parameter.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What PyTorch's batch normalisation keeps beside its weights, of which
/// nothing depends here.
fn counts_batches(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
}
