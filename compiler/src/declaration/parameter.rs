//! A parameter as it is declared: its shape, how it starts, and how a file of weights has it.

use crate::error::{Mistake, unknown};
use crate::shape::{Dim, Shape};

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, as `fc1.weight`.
    pub name: String,
    /// Its shape, weights of linear layers as `[in, out]`.
    pub shape: Shape,
    /// How it starts.
    pub init: Init,
    /// Whether an optimizer changes it. What is not trained may still change
    /// with every step: running statistics do.
    pub is_trained: bool,
    /// Which of its axes each axis in a file of weights is, and in PyTorch: `[1, 0]` for the weight
    /// of a linear layer, which is `[out, in]` there. First values are drawn in this order.
    pub file_axes: Vec<usize>,
    /// What initialisers count.
    pub fans: Fans,
}

impl Parameter {
    /// A parameter that is trained, and that a file has as it is.
    pub fn new(name: impl Into<String>, shape: Shape, init: Init) -> Parameter {
        let file_axes = (0..shape.rank()).collect();
        let fans = Fans::of(&shape);
        Parameter { name: name.into(), shape, init, is_trained: true, file_axes, fans }
    }

    /// What is kept from step to step without an optimizer changing it: running statistics, an
    /// optimizer's state.
    pub fn untrained(name: impl Into<String>, shape: Shape, init: Init) -> Parameter {
        Parameter { is_trained: false, ..Parameter::new(name, shape, init) }
    }

    /// With its axes in another order in a file: a permutation of them.
    pub fn in_file(self, axes: &[usize]) -> Parameter {
        debug_assert!({
            let mut sorted = axes.to_vec();
            sorted.sort_unstable();
            sorted.into_iter().eq(0..self.shape.rank())
        });
        Parameter { file_axes: axes.to_vec(), ..self }
    }

    /// With fans that do not follow from its shape.
    pub fn with_fans(self, fans: Fans) -> Parameter {
        Parameter { fans, ..self }
    }

    /// The place in a file of each of its axes: the inverse of [`Parameter::file_axes`].
    pub fn axes_from_file(&self) -> Vec<usize> {
        let mut places = vec![0; self.file_axes.len()];
        self.file_axes.iter().enumerate().for_each(|(place, axis)| places[*axis] = place);
        places
    }

    /// Its sizes in a file.
    ///
    /// # Panics
    /// On a symbolic size, as [`Shape::sizes`].
    pub fn file_sizes(&self) -> Vec<usize> {
        let sizes = self.shape.sizes();
        self.file_axes.iter().map(|axis| sizes[*axis]).collect()
    }
}

/// How many values meet in an element of a layer's results, and to how many one goes: PyTorch's
/// fan in and fan out, each of which is a number of features times the receptive field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fans {
    /// The features that come in.
    pub inputs: Dim,
    /// The features that go out.
    pub outputs: Dim,
    /// The elements of a kernel, of a convolution's for instance 9 for one of 3 × 3; otherwise 1.
    pub receptive: usize,
}

impl Fans {
    /// Those of a matrix `[in, out]`; of a vector, its elements come in.
    fn of(shape: &Shape) -> Fans {
        let dim = |axis: usize| shape.dims.get(axis).cloned().unwrap_or(Dim::Fixed(1));
        Fans { inputs: dim(0), outputs: dim(1), receptive: 1 }
    }

    /// The number of inputs times the receptive field; a size that is a symbol counts as 1.
    pub fn fan_in(&self) -> usize {
        self.inputs.fixed().unwrap_or(1).saturating_mul(self.receptive)
    }

    /// The number of outputs times the receptive field; a size that is a symbol counts as 1.
    pub fn fan_out(&self) -> usize {
        self.outputs.fixed().unwrap_or(1).saturating_mul(self.receptive)
    }
}

/// How a parameter starts, by its [`Fans`] where there are fans in a formula; formulas are PyTorch's
/// `torch.nn.init`.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// One number everywhere.
    Full(f64),
    /// Uniform between two numbers.
    Uniform(f64, f64),
    /// Normal with a mean and a standard deviation.
    Normal(f64, f64),
    /// Uniform within √(6 / (fan in + fan out)).
    XavierUniform,
    /// Normal with standard deviation √(2 / (fan in + fan out)).
    XavierNormal,
    /// Uniform within √(6 / fan in).
    KaimingUniform,
    /// Normal with standard deviation √(2 / fan in).
    KaimingNormal,
    /// Normal with a mean and a standard deviation, but only values of `low` to `high`.
    TruncNormal {
        /// The mean of the whole normal distribution.
        mean: f64,
        /// Its standard deviation; above 0.
        std: f64,
        /// The smallest value.
        low: f64,
        /// The largest value; at least `low`.
        high: f64,
    },
    /// Orthonormal columns, or rows if these are fewer; drawn in the order of
    /// the transposed matrix, as PyTorch does for a linear layer.
    Orthogonal,
    /// A linear layer's own: uniform within 1 / √(fan in), for its weight and its bias.
    Linear,
}

impl Init {
    /// The initialisers of the language: name, arguments, and what they mean.
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

    /// The names of the arguments of the initialiser of this name; otherwise
    /// what is wrong, with the nearest name or all there are.
    pub fn arguments(name: &str) -> Result<&'static [&'static str], Mistake> {
        let found = Init::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, arguments)| *arguments).ok_or_else(|| {
            Mistake::call(unknown("initialiser", name, Init::ALL.iter().map(|(n, _)| *n)))
        })
    }

    /// Whether it is made for matrices alone.
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

    /// Whether values can be drawn with these numbers.
    pub(super) fn check_numbers(&self) -> Result<(), Mistake> {
        // As f32, since that is what values are drawn as.
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
            Mistake::attribute("init", format!("`{name}` cannot start a parameter: {wrong}"))
        })
    }

    /// The initialiser of this name with these arguments, as many as
    /// [`Init::ALL`] says.
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
