//! Function layers: the table of layers without parameters that apply one operation.
//!
//! An entry has the layer's documentation, PyTorch's name, the operation, and the fields of the
//! attributes in its description. Its arguments are those of the operation, in their order. Its form in
//! PyTorch follows from the description, `ELU(alpha=1.0)`, unless the entry overrides it.

use super::{Entry, Layer, entry, printed};
use crate::declaration::LayerScope;
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::gelu::Approximate;
use crate::ops::{self, Attribute, Attributes, Number, Operation};
use crate::shape::Type;

/// The value of an attribute in a layer's description.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for Number {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl Shown for i64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Approximate {
    fn shown(&self) -> String {
        self.word().into()
    }
}

/// The attributes of an operation.
const fn attributes_of<F: Operation>() -> &'static [Attribute] {
    match F::CALL {
        Some(call) => call.attributes,
        None => &[],
    }
}

macro_rules! positional {
    () => {
        &[&[]]
    };
    ($a:ident) => {
        &[&[], &[stringify!($a)]]
    };
    ($a:ident $b:ident) => {
        &[&[], &[stringify!($a)], &[stringify!($a), stringify!($b)]]
    };
}

macro_rules! functions {
    ($(
        $(#[$doc:meta])*
        $Name:ident: $module:ident::$Op:ident $({ $($field:ident),* })?
            $(, printed $printed:expr)?;
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug)]
            pub struct $Name(ops::$module::$Op);

            impl Layer for $Name {
                const NAME: &'static str = stringify!($Name);
                const ATTRIBUTES: &'static [Attribute] = attributes_of::<ops::$module::$Op>();
                const POSITIONAL: &'static [&'static [&'static str]] =
                    positional!($($($field)*)?);

                fn from_call(attributes: &Attributes) -> Result<Self, Mistake> {
                    <ops::$module::$Op as Operation>::from_call(attributes).map(Self)
                }

                fn apply(
                    &self,
                    scope: &mut LayerScope<'_>,
                    x: [(NodeId, &str); 1],
                ) -> Result<[NodeId; 1], Mistake> {
                    Ok([scope.call(self.0.clone(), &x)?])
                }

                fn describe(&self, _: &[Type; 1]) -> String {
                    let attributes: &[String] = &[$($(
                        format!("{} = {}", stringify!($field), self.0.$field.shown()),
                    )*)?];
                    match attributes {
                        [] => Self::NAME.into(),
                        _ => format!("{}({})", Self::NAME, attributes.join(", ")),
                    }
                }

                $(
                    fn module(&self, _: &[Type; 1]) -> String {
                        let printed: fn(&ops::$module::$Op) -> String = $printed;
                        printed(&self.0)
                    }
                )?
            }
        )*

        /// All function layers.
        pub(super) const ALL: [Entry; [$(stringify!($Name)),*].len()] =
            [$(entry::<$Name, _, _>()),*];
    };
}

functions! {
    /// Rectified linear unit `max(0, x)`, element by element.
    ///
    /// In the language: `ReLU()`, or `ReLU`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> ReLU;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert_eq!(y, array![[0.0, 0.5, 2.0]]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ReLU: relu::Relu;

    /// Logistic function `1 / (1 + e⁻ˣ)`, element by element.
    ///
    /// In the language: `Sigmoid()`, or `Sigmoid`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Sigmoid;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[0.268941, 0.622459, 0.880797]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Sigmoid: sigmoid::Sigmoid;

    /// Hyperbolic tangent, element by element.
    ///
    /// In the language: `Tanh()`, or `Tanh`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Tanh;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.761594, 0.462117, 0.964028]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Tanh: tanh::Tanh;

    /// Softmax `eˣ / Σ eˣ` over an axis; default the last.
    ///
    /// In the language: `Softmax(axis = -1)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Softmax;
    ///     }
    /// }
    ///
    /// let x = array![[1.0, 2.0, 4.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[0.0420101, 0.114195, 0.843795]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Softmax: softmax::Softmax { axis }, printed |f| format!("Softmax(dim={})", printed::dim(f.axis));

    /// Logarithm of softmax, `x - ln Σ eˣ`, over an axis; default the last.
    ///
    /// In the language: `LogSoftmax(axis = -1)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> LogSoftmax;
    ///     }
    /// }
    ///
    /// let x = array![[1.0, 2.0, 4.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-3.16985, -2.16985, -0.169846]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    LogSoftmax: log_softmax::LogSoftmax { axis }, printed |f| format!("LogSoftmax(dim={})", printed::dim(f.axis));

    /// Exponential linear unit: `x` for `x > 0`, else `alpha·(eˣ - 1)`, element by element.
    ///
    /// In the language: `ELU(alpha = 1.0)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> ELU;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.632121, 0.5, 2.0]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ELU: elu::Elu { alpha };

    /// Scaled exponential linear unit: `scale·x` for `x > 0`, else `scale·alpha·(eˣ - 1)`, element by
    /// element.
    ///
    /// In the language: `SELU()`, or `SELU`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> SELU;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-1.11133, 0.52535, 2.1014]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    SELU: selu::Selu;

    /// Gaussian error linear unit `x·Φ(x)` with the cumulative normal distribution `Φ`, element by
    /// element.
    ///
    /// In the language: `GELU(approximate = none)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> GELU;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.158655, 0.345731, 1.9545]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    GELU: gelu::Gelu { approximate }, printed |f| format!("GELU(approximate='{}')", f.approximate.word());

    /// Sigmoid linear unit (swish) `x·sigmoid(x)`, element by element.
    ///
    /// In the language: `SiLU()`, or `SiLU`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> SiLU;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.268941, 0.31123, 1.76159]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    SiLU: silu::Silu;

    /// Mish `x·tanh(ln(1 + eˣ))`, element by element.
    ///
    /// In the language: `Mish()`, or `Mish`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Mish;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.303401, 0.375245, 1.94396]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Mish: mish::Mish;

    /// Softplus `ln(1 + e^(beta·x)) / beta`, or `x` where `beta·x > threshold`, element by element.
    ///
    /// In the language: `Softplus(beta = 1.0, threshold = 20.0)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Softplus;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[0.313262, 0.974077, 2.12693]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Softplus: softplus::Softplus { beta, threshold };

    /// Softsign `x / (1 + |x|)`, element by element.
    ///
    /// In the language: `Softsign()`, or `Softsign`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Softsign;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.5, 0.333333, 0.666667]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Softsign: softsign::Softsign;

    /// Leaky rectified linear unit: `x` for `x > 0`, else `negative_slope·x`, element by element.
    ///
    /// In the language: `LeakyReLU(negative_slope = 0.01)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> LeakyReLU(0.1);
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.1, 0.5, 2.0]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    LeakyReLU: leaky_relu::LeakyRelu { negative_slope };

    /// Hard sigmoid `min(max(x + 3, 0), 6) / 6`, element by element.
    ///
    /// In the language: `Hardsigmoid()`, or `Hardsigmoid`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Hardsigmoid;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[0.333333, 0.583333, 0.833333]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Hardsigmoid: hardsigmoid::Hardsigmoid;

    /// Logarithm of the logistic function, `ln(sigmoid(x))`, element by element.
    ///
    /// In the language: `LogSigmoid()`, or `LogSigmoid`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> LogSigmoid;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-1.31326, -0.474077, -0.126928]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    LogSigmoid: logsigmoid::LogSigmoid;

    /// Heaviside step of the perceptron: 1 for `x ≥ 0`, else 0, element by element; without gradient.
    ///
    /// In the language: `Step()`, or `Step`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Step;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert_eq!(y, array![[0.0, 1.0, 1.0]]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Step: heaviside::Heaviside;

    /// `min(max(x, 0), 6)`, element by element.
    ///
    /// In the language: `ReLU6()`, or `ReLU6`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> ReLU6;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert_eq!(y, array![[0.0, 0.5, 2.0]]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    ReLU6: relu6::Relu6;

    /// `x · min(max(x + 3, 0), 6) / 6`, element by element.
    ///
    /// In the language: `Hardswish()`, or `Hardswish`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Hardswish;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.333333, 0.291667, 1.666667]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Hardswish: hardswish::Hardswish;

    /// Continuously differentiable exponential linear unit: `x` for `x > 0`, else
    /// `alpha·(e^(x/alpha) - 1)`, element by element.
    ///
    /// In the language: `CELU(alpha = 1.0)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> CELU(2);
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.786939, 0.5, 2.0]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    CELU: celu::Celu { alpha };

    /// `x` moved towards 0 by `lambd`, and 0 within that distance, element by element.
    ///
    /// In the language: `Softshrink(lambd = 0.5)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Softshrink;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert_eq!(y, array![[-0.5, 0.0, 1.5]]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Softshrink: softshrink::Softshrink { lambd }, printed |f| format!("Softshrink({:?})", f.lambd);

    /// 0 from `-lambd` to `lambd`, else `x`, element by element.
    ///
    /// In the language: `Hardshrink(lambd = 0.5)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Hardshrink;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert_eq!(y, array![[-1.0, 0.0, 2.0]]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Hardshrink: hardshrink::Hardshrink { lambd }, printed |f| format!("Hardshrink({:?})", f.lambd);

    /// `x - tanh(x)`, element by element.
    ///
    /// In the language: `Tanhshrink()`, or `Tanhshrink`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Tanhshrink;
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert!((y - array![[-0.238406, 0.037883, 1.035972]]).iter().all(|error| error.abs() < 1e-5));
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Tanhshrink: tanhshrink::Tanhshrink;

    /// `x` above a threshold, else `value`, element by element.
    ///
    /// In the language: `Threshold(threshold, value)`.
    ///
    /// ```
    /// use bilro::ndarray::array;
    /// use bilro::prelude::*;
    ///
    /// network! {
    ///     struct Example {
    ///         input x: [3];
    ///         output y = x -> Threshold(0.5, -3);
    ///     }
    /// }
    ///
    /// let x = array![[-1.0, 0.5, 2.0]];
    /// let y = Example::model().build()?.predict(example::Input { x: x.view() })?.y;
    /// assert_eq!(y, array![[-3.0, -3.0, 2.0]]);
    /// # Ok::<(), bilro::Error>(())
    /// ```
    Threshold: threshold::Threshold { threshold, value };
}
