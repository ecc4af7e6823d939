//! Declared parameters: shape, initialiser, and axes in files of weights.

use crate::error::{Mistake, unknown};
use crate::shape::{Dim, Shape};

/// A declared parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, as `fc1.weight`.
    pub name: String,
    /// Its shape, weights of linear layers as `[in, out]`.
    pub shape: Shape,
    /// Its initialiser.
    pub init: Init,
    /// Whether an optimizer updates it. Untrained ones may still change with every step, as running
    /// statistics.
    pub is_trained: bool,
    /// Its axis for each axis in a file of weights, as in PyTorch: `[1, 0]` for the weight of a linear
    /// layer, which is `[out, in]` in files. Initial values are drawn in the order of the file.
    pub file_axes: Vec<usize>,
    /// Its fans, for initialisers.
    pub fans: Fans,
}

impl Parameter {
    /// A trained parameter with the same order of axes in files.
    pub fn new(name: impl Into<String>, shape: Shape, init: Init) -> Parameter {
        let file_axes = (0..shape.rank()).collect();
        let fans = Fans::of(&shape);
        Parameter { name: name.into(), shape, init, is_trained: true, file_axes, fans }
    }

    /// Untrained state, persistent between steps: running statistics, optimizer state.
    pub fn untrained(name: impl Into<String>, shape: Shape, init: Init) -> Parameter {
        Parameter { is_trained: false, ..Parameter::new(name, shape, init) }
    }

    /// Sets the permutation of its axes in files.
    pub fn in_file(self, axes: &[usize]) -> Parameter {
        debug_assert!({
            let mut sorted = axes.to_vec();
            sorted.sort_unstable();
            sorted.into_iter().eq(0..self.shape.rank())
        });
        Parameter { file_axes: axes.to_vec(), ..self }
    }

    /// Sets fans that do not follow from its shape.
    pub fn with_fans(self, fans: Fans) -> Parameter {
        Parameter { fans, ..self }
    }

    /// The axis in a file for each of its axes: the inverse of [`Parameter::file_axes`].
    pub fn axes_from_file(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.file_axes.len()];
        self.file_axes.iter().enumerate().for_each(|(i, axis)| inverse[*axis] = i);
        inverse
    }

    /// Its sizes in the order of a file.
    ///
    /// # Panics
    /// For a symbolic size, as [`Shape::sizes`].
    pub fn file_sizes(&self) -> Vec<usize> {
        let sizes = self.shape.sizes();
        self.file_axes.iter().map(|axis| sizes[*axis]).collect()
    }
}

/// Fan in and fan out of a layer, as in PyTorch: the number of inputs or outputs times the size of the
/// receptive field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fans {
    /// The number of input features.
    pub inputs: Dim,
    /// The number of output features.
    pub outputs: Dim,
    /// The size of the receptive field, as 9 for a convolution of 3 × 3; 1 for a linear layer.
    pub receptive: usize,
}

impl Fans {
    /// The fans of a matrix `[in, out]`; of a vector, its elements are inputs.
    fn of(shape: &Shape) -> Fans {
        let dim = |axis: usize| shape.dims.get(axis).cloned().unwrap_or(Dim::Fixed(1));
        Fans { inputs: dim(0), outputs: dim(1), receptive: 1 }
    }

    /// The number of inputs times the receptive field; a symbolic size counts as 1.
    pub fn fan_in(&self) -> usize {
        self.inputs.fixed().unwrap_or(1).saturating_mul(self.receptive)
    }

    /// The number of outputs times the receptive field; a symbolic size counts as 1.
    pub fn fan_out(&self) -> usize {
        self.outputs.fixed().unwrap_or(1).saturating_mul(self.receptive)
    }
}

/// Initialisers of parameters, as PyTorch's `torch.nn.init`; fans are those of [`Fans`].
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// A constant.
    Full(f64),
    /// Uniform between two numbers.
    Uniform(f64, f64),
    /// Normal with a mean and a standard deviation.
    Normal(f64, f64),
    /// Uniform between ±√(6 / (fan in + fan out)).
    XavierUniform,
    /// Normal with standard deviation √(2 / (fan in + fan out)).
    XavierNormal,
    /// Uniform between ±√(6 / fan in).
    KaimingUniform,
    /// Normal with standard deviation √(2 / fan in).
    KaimingNormal,
    /// Normal with a mean and a standard deviation, truncated to `low` to `high`.
    TruncNormal {
        /// The mean of the distribution before truncation.
        mean: f64,
        /// Its standard deviation; above 0.
        std: f64,
        /// The smallest value.
        low: f64,
        /// The largest value; at least `low`.
        high: f64,
    },
    /// Orthonormal columns, or rows if there are fewer rows; drawn in the order of the transposed
    /// matrix, as PyTorch does for a linear layer.
    Orthogonal,
    /// The default of linear layers: uniform between ±1 / √(fan in), for weight and bias.
    Linear,
}

impl Init {
    /// The initialisers of the language: names and arguments.
    pub const ALL: &[(&str, &[&str])] = &[
        ("zeros", &[]),
        ("ones", &[]),
        ("full", &["value"]),
        ("uniform", &["low", "high"]),
        ("normal", &["mean", "std"]),
        ("xavier_uniform", &[]),
        ("xavier_normal", &[]),
        ("kaiming_uniform", &[]),
        ("kaiming_normal", &[]),
        ("trunc_normal", &["mean", "std", "low", "high"]),
        ("orthogonal", &[]),
    ];

    /// The names of an initialiser's arguments.
    ///
    /// # Errors
    /// For an unknown name, with the nearest name or all names.
    pub fn arguments(name: &str) -> Result<&'static [&'static str], Mistake> {
        let found = Init::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, arguments)| *arguments).ok_or_else(|| {
            Mistake::call(unknown("initialiser", name, Init::ALL.iter().map(|(n, _)| *n)))
        })
    }

    /// Whether it is for matrices only.
    pub(super) fn needs_matrix(&self) -> bool {
        match self {
            Init::XavierUniform
            | Init::XavierNormal
            | Init::KaimingUniform
            | Init::KaimingNormal
            | Init::Orthogonal => true,
            Init::Full(_)
            | Init::Uniform(..)
            | Init::Normal(..)
            | Init::TruncNormal { .. }
            | Init::Linear => false,
        }
    }

    /// Checks its numbers.
    pub(super) fn check_numbers(&self) -> Result<(), Mistake> {
        // In the precision of drawn values, f32.
        let finite = |numbers: &[f64]| match numbers.iter().all(|x| (*x as f32).is_finite()) {
            true => Ok(()),
            false => Err("its numbers must be finite".to_owned()),
        };
        let ordered = |low: f64, high: f64| match low > high {
            true => Err(format!("`low` must not be above `high`, but they are {low} and {high}")),
            false => Ok(()),
        };
        let (name, checked) = match *self {
            Init::Uniform(low, high) => {
                ("uniform", finite(&[low, high]).and_then(|()| ordered(low, high)))
            }
            Init::Normal(mean, std) => {
                let checked = finite(&[mean, std]).and_then(|()| match std < 0.0 {
                    true => Err(format!("`std` must not be negative, but is {std}")),
                    false => Ok(()),
                });
                ("normal", checked)
            }
            Init::TruncNormal { mean, std, low, high } => {
                let checked =
                    finite(&[mean, std, low, high]).and_then(|()| match std as f32 <= 0.0 {
                        true => Err(format!("`std` must be above 0, but is {std}")),
                        false => ordered(low, high),
                    });
                ("trunc_normal", checked)
            }
            _ => return Ok(()),
        };
        checked.map_err(|wrong| {
            Mistake::attribute("init", format!("invalid initialiser `{name}`: {wrong}"))
        })
    }

    /// The initialiser of this name with these arguments; `None` if they are not as in [`Init::ALL`].
    pub fn from_call(name: &str, x: &[f64]) -> Option<Init> {
        Some(match (name, x) {
            ("zeros", []) => Init::Full(0.0),
            ("ones", []) => Init::Full(1.0),
            ("full", [value]) => Init::Full(*value),
            ("uniform", [low, high]) => Init::Uniform(*low, *high),
            ("normal", [mean, std]) => Init::Normal(*mean, *std),
            ("xavier_uniform", []) => Init::XavierUniform,
            ("xavier_normal", []) => Init::XavierNormal,
            ("kaiming_uniform", []) => Init::KaimingUniform,
            ("kaiming_normal", []) => Init::KaimingNormal,
            ("trunc_normal", [mean, std, low, high]) => {
                Init::TruncNormal { mean: *mean, std: *std, low: *low, high: *high }
            }
            ("orthogonal", []) => Init::Orthogonal,
            _ => return None,
        })
    }
}
