//! The macro `network!`, which declares networks.

/// Declares a network: its inputs and targets, its layers and parameters, its outputs, loss and
/// metrics.
///
/// ```
/// use bilro::network;
///
/// network! {
///     /// Handwritten digits.
///     pub struct Digits {
///         input image: [784];
///         target digit: class(10);
///         output logits = image -> Linear(128) -> ReLU -> Linear(10);
///         loss cross_entropy(logits, digit);
///     }
/// }
/// ```
///
/// makes the type `Digits` and the module `digits` with
///
/// - `Batch` and `Input`, the arrays for training and for predicting,
/// - `Output`, the arrays of the outputs,
/// - `Parameters`, `ParametersMut` and `Gradients`, with a field for each layer, use of a block and
///   parameter.
///
/// # Statements
///
/// | statement | meaning |
/// | --- | --- |
/// | `input NAME: TYPE;` | given for every use; `[28, 28]` reals, `index(100)` or `index(100)[16]` integers below 100 |
/// | `input NAME: [..] grad;` | the same, and `gradients` returns the gradient with respect to it |
/// | `target NAME: TYPE;` | given only for training and evaluating; `class(10)` or as an input |
/// | `param NAME: [..] = INIT;` | trained; starts as `zeros`, `ones`, `full(x)`, `uniform(low, high)`, `normal(mean, std)`, `xavier_uniform`, `xavier_normal`, `kaiming_uniform`, `kaiming_normal`, `trunc_normal(mean, std, low, high)` or `orthogonal` |
/// | `layer NAME = Layer(..);` | parameters under a name; using a layer twice shares them |
/// | `choice NAME = f \| g;` | a function picked per call; an enum, `Default` the first |
/// | `let NAME = EXPR;` | a value |
/// | `block NAME(x, ..) { .. }` | a repeated piece; each use has its own parameters, `layer first = NAME;` names one |
/// | `output NAME = EXPR;` | an array that `predict` returns |
/// | `loss EXPR;` | the value that training minimises: the mean of all elements, or with `loss sum: EXPR;` their sum |
/// | `metric accuracy(scores, target);` | a number that `evaluate` reports, averaged; `metric NAME = EXPR;` for any expression |
///
/// Expressions are `+ - * /`, numbers, calls as `f(x)` or `x.f()`, and chains
/// `x -> Layer(..) -> function`; `x -> (Layer(..) -> function) * 3` repeats. An operand of an
/// operator and the start of a chain need parentheses if they are ambiguous:
/// `x + (x -> Layer(..))`. `loss sum(x)` calls the function `sum`.
/// Shapes are those of one example: the batch is never mentioned. Sizes are numbers, constants,
/// constant generics of the struct, arithmetic of these, or any Rust in braces.
///
/// The generated code refers to this library even if the program renames it, or if another library
/// re-exports `network!`.
#[macro_export]
macro_rules! network {
    ($($tokens:tt)*) => { $crate::private::declare! { [$crate] $($tokens)* } };
}
