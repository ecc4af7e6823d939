//! First networks: a neuron by a sum and by a product of matrices, mismatched shapes and their
//! repair, two layers, and shared memory. Everything is computed twice: by hand with arrays, and by
//! a declared network.
//!
//! `cargo run --example notebook_1_first_networks`

use std::error::Error;
use std::process::ExitCode;

use bilro::ndarray::{Array2, ArrayViewMut2, Axis, array, concatenate};
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro_examples::{Report, show_without_options};

type Done = Result<(), Box<dyn Error>>;

network! {
    /// One neuron, with weights in a row like its features: the same number in three ways.
    struct Neuron {
        input features: [1, 5];
        param weights: [1, 5] = normal(0, 1);
        param bias: [1, 1] = normal(0, 1);
        output by_sum = sigmoid(sum(features * weights) + bias);
        output reshaped = sigmoid(features.matmul(weights.reshape([5, 1])) + bias);
        output transposed = sigmoid(features.matmul(weights.transpose()) + bias);
    }
}

network! {
    /// Three features, a hidden layer of any width, one number.
    struct TwoLayers<const HIDDEN: usize> {
        input features: [3];
        param w1: [3, HIDDEN] = normal(0, 1);
        param w2: [HIDDEN, 1] = normal(0, 1);
        param b1: [HIDDEN] = normal(0, 1);
        param b2: [1] = normal(0, 1);
        let hidden = sigmoid(features.matmul(w1) + b1);
        output y = sigmoid(hidden.matmul(w2) + b2);
    }
}

/// The compiler's message if the row of weights is neither reshaped nor transposed.
const COMPILER_ERROR: &str = "\
error: cannot multiply `features` of shape [1, 5] by `weights` of shape [1, 5]: each row of the first has 5 elements, each column of the second 1
  |
8 |         output y = sigmoid(features.matmul(weights));
  |                                     ^^^^^^";

/// ndarray's message when it panics.
const NDARRAY_PANIC: &str =
    "ndarray: inputs 1 × 5 and 1 × 5 are not compatible for matrix multiplication";

fn main() -> ExitCode {
    show_without_options("A neuron, matching shapes, and two layers, with explanations", notebook)
}

fn notebook(report: &mut Report<'_>) -> Done {
    let drawn = Drawn::new();
    neuron(report, &drawn)?;
    mismatch(report)?;
    shapes(report, &drawn)?;
    product(report, &drawn)?;
    declared(report, &drawn)?;
    layers(report)?;
    shared_arrays(report)?;
    shared_parameters(report, &drawn)
}

/// Features and parameters of the neuron, drawn from the normal distribution.
struct Drawn {
    features: Array2<f32>,
    weights: Array2<f32>,
    bias: Array2<f32>,
}

impl Drawn {
    fn new() -> Drawn {
        let mut generator = Generator::new(7);
        let features = generator.randn((1, 5));
        let weights = generator.randn(features.dim());
        let bias = generator.randn((1, 1));
        Drawn { features, weights, bias }
    }
}

/// From any number to one between 0 and 1.
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn neuron(report: &mut Report<'_>, drawn: &Drawn) -> Done {
    report.section("A neuron")?;
    report.text(
        "A neuron has inputs, called features, and a weight for each: how much it counts,\n\
         and in which direction. It multiplies each feature by its weight, adds\n\
         everything up, adds a bias, and sends the sum through an activation function:\n\n    \
         y = f(w1·x1 + w2·x2 + ... + b)\n\n\
         The function here is the sigmoid, 1 / (1 + exp(-x)): it takes large sums near 1,\n\
         small ones near 0, and 0 to one half.",
    )?;
    assert_eq!(sigmoid(0.0), 0.5);
    assert!(sigmoid(10.0) > 0.9999 && sigmoid(-10.0) < 0.0001);
    report.text(
        "Nothing has been learned yet, so the numbers are drawn: normal, with mean 0 and\n\
         standard deviation 1, after seed 7. First the features, then as many weights,\n\
         then the bias. The five features are",
    )?;
    let shown = ["-0.1468", "0.7861", "0.9468", "-1.1143", "1.6908"];
    for ((i, x), shown) in drawn.features.iter().enumerate().zip(shown) {
        report.figure(&format!("x{}", i + 1), (*x).into(), shown)?;
    }
    report.text(format!("the weights {:.4},\nand the bias {:.4}.", drawn.weights, drawn.bias))?;
    let sum = (&drawn.features * &drawn.weights).sum();
    let y = (sum + &drawn.bias).mapv(sigmoid);
    report.text(format!("The products add up to {sum:.4}; with the bias, through the sigmoid:"))?;
    report.figure("output, by a sum", y[[0, 0]].into(), "0.1595")?;
    Ok(())
}

fn mismatch(report: &mut Report<'_>) -> Done {
    report.section("Shapes that do not fit")?;
    report.text(
        "To multiply and add up is what a product of matrices does: for each row of the\n\
         first and each column of the second, their elements are multiplied and added up.\n\
         So the first must have as many columns as the second has rows. Both of ours have\n\
         shape [1, 5]: five columns meet one row. It is the most common mistake with\n\
         networks.\n\n\
         `network!` knows all shapes at compile time, and reports it:\n",
    )?;
    report.text(COMPILER_ERROR)?;
    report.text(format!(
        "\nndarray's `dot` knows the sizes of its arrays only at run time, and panics:\n\n\
         {NDARRAY_PANIC}\n\n\
         So check `.dim()` before multiplying arrays of unknown sizes.",
    ))?;
    Ok(())
}

fn shapes(report: &mut Report<'_>, drawn: &Drawn) -> Done {
    report.section("Other shapes for the same numbers")?;
    let weights = &drawn.weights;
    report.text(
        "The weights should be five rows of one column. There are several ways, which\n\
         differ in whether they copy the numbers:",
    )?;

    let reshaped = weights.to_shape((5, 1))?;
    assert!(reshaped.is_view());
    report.text(format!(
        "- `to_shape` returns {:?} and reads the same memory if it can: here it does.\n  \
         Otherwise it copies. It is PyTorch's `reshape`.",
        reshaped.dim()
    ))?;

    let view = weights.view().into_shape_with_order((5, 1))?;
    assert_eq!((view.dim(), view.as_ptr()), ((5, 1), weights.as_ptr()));
    report.text(
        "- `view().into_shape_with_order` never copies, and returns an error if it would\n  \
         have to. It is PyTorch's `view`.",
    )?;

    let transposed = weights.t();
    assert_eq!((transposed.dim(), transposed.as_ptr()), ((5, 1), weights.as_ptr()));
    report.text(
        "- `t` exchanges rows and columns, and never copies: it reads the same memory in\n  \
         another order. It needs no sizes.",
    )?;

    let array = weights.clone();
    let memory = array.as_ptr();
    let column = array.into_shape_with_order((5, 1))?;
    assert_eq!(column.as_ptr(), memory);
    let refused = column.into_shape_with_order((2, 2)).map(|x| x.dim());
    let Err(refused) = refused else { return Err("five numbers do not fill [2, 2]".into()) };
    report.text(format!(
        "- `into_shape_with_order` on the array itself changes its shape in place.\n  \
         PyTorch's `resize_` does so too, and may drop numbers or add uninitialised\n  \
         ones. Here the number of elements must be the same: five numbers as [2, 2] are\n  \
         an error, \"{refused}\"."
    ))?;

    let table = array![[1, 2, 3], [4, 5, 6]];
    assert!(table.to_shape(6)?.is_view());
    let by_columns = table.t().to_shape(6)?.to_owned();
    assert!(!table.t().to_shape(6)?.is_view());
    assert!(table.t().into_shape_with_order(6).is_err());
    assert_eq!(by_columns, array![1, 4, 2, 5, 3, 6]);
    report.text(format!(
        "When does it have to copy? The rows of\n{table}\none after the other are the order in \
         memory. Its columns one after the other,\n{by_columns}, are not: `to_shape` of its \
         transpose copies, and\n`into_shape_with_order` returns an error."
    ))?;
    Ok(())
}

fn product(report: &mut Report<'_>, drawn: &Drawn) -> Done {
    report.section("The neuron as a product of matrices")?;
    report.text("[1, 5] times [5, 1] is [1, 1]: one number.")?;
    let Drawn { features, weights, bias } = drawn;
    let y = (features.dot(&weights.to_shape((5, 1))?) + bias).mapv(sigmoid);
    assert_eq!(y.dim(), (1, 1));
    report.figure("output, by a product", y[[0, 0]].into(), "0.1595")?;
    let view = weights.view().into_shape_with_order((5, 1))?;
    assert_eq!((features.dot(&view) + bias).mapv(sigmoid), y);
    assert_eq!((features.dot(&weights.t()) + bias).mapv(sigmoid), y);
    report.text("The other two ways give the same, to the last bit.")?;
    Ok(())
}

fn declared(report: &mut Report<'_>, drawn: &Drawn) -> Done {
    report.section("The neuron as a network")?;
    report.text(
        "`network!` declares a computation; the model stores the parameters. They are\n\
         initialised from the model's seed, and set here to those drawn above. Features\n\
         are passed as examples along the first axis: one example of shape [1, 5]. A\n\
         network for training has a `loss` as well; this one only predicts.",
    )?;
    let model = model_of(drawn)?;
    let features = drawn.features.view().insert_axis(Axis(0));
    let result = model.predict(neuron::Input { features })?;
    for (name, y) in [
        ("by a sum", result.by_sum),
        ("by a product, weights reshaped", result.reshaped),
        ("by a product, weights transposed", result.transposed),
    ] {
        report.figure(name, y[[0, 0, 0]].into(), "0.1595")?;
    }
    report.text(
        "In a network, views and orders of axes are up to the compiler: it chooses how to\n\
         read the weights, and the three ways give the same number.",
    )?;
    Ok(())
}

fn model_of(drawn: &Drawn) -> bilro::Result<Model<Neuron>> {
    let mut model = Neuron::model().build()?;
    let mut parameters = model.params_mut();
    parameters.weights.assign(&drawn.weights);
    parameters.bias.assign(&drawn.bias);
    Ok(model)
}

fn layers(report: &mut Report<'_>) -> Done {
    report.section("Two layers")?;
    report.text(
        "Neurons side by side are a layer: each has weights of its own, as a column of a\n\
         matrix. The outputs of a layer are the features of the next. Ours has three\n\
         features, the input layer; two hidden neurons; and one output:\n\n    \
         y = f(f(x·W1 + b1)·W2 + b2)\n\n\
         Drawn after seed 7: three features, W1 [3, 2], W2 [2, 1], and the biases.",
    )?;
    let mut generator = Generator::new(7);
    let features = generator.randn((1, 3));
    let (inputs, hidden, outputs) = (features.ncols(), 2, 1);
    let w1 = generator.randn((inputs, hidden));
    let w2 = generator.randn((hidden, outputs));
    let b1 = generator.randn((1, hidden));
    let b2 = generator.randn((1, outputs));

    let between = (features.dot(&w1) + &b1).mapv(sigmoid);
    let y = (between.dot(&w2) + &b2).mapv(sigmoid);
    report.text(format!("The hidden layer gives {between:.4}, and the last one"))?;
    report.figure("output of two layers, by hand", y[[0, 0]].into(), "0.3171")?;

    let mut model = TwoLayers::<2>::model().build()?;
    let mut parameters = model.params_mut();
    parameters.w1.assign(&w1);
    parameters.w2.assign(&w2);
    parameters.b1.assign(&b1.row(0));
    parameters.b2.assign(&b2.row(0));
    let y = model.predict(two_layers::Input { features: features.view() })?.y;
    report.figure("output of two layers, as a network", y[[0, 0]].into(), "0.3171")?;

    let others = generator.randn((3, 3));
    let all = concatenate![Axis(0), features, others];
    let together = model.predict(two_layers::Input { features: all.view() })?.y;
    assert_eq!(together.dim(), (4, 1));
    for (row, together) in all.outer_iter().zip(&together) {
        let alone = ((row.dot(&w1) + b1.row(0)).mapv(sigmoid).dot(&w2) + b2.row(0)).mapv(sigmoid);
        assert!((alone[0] - together).abs() < 1e-6);
    }
    report.text(format!(
        "Rows below the first are further examples.\n\
         Four of them at once give four outputs,\n{:.4}.",
        together.column(0)
    ))?;
    let (two, ten) = (count::<2>()?, count::<10>()?);
    assert_eq!((two, ten), (3 * 2 + 2 + 2 + 1, 3 * 10 + 10 + 10 + 1));
    report.text(format!(
        "How many neurons are hidden is for us to choose: a hyperparameter, unlike\n\
         weights and biases, which are parameters and learned. More neurons can follow\n\
         more complicated data. With two there are {two} parameters, with ten {ten}."
    ))?;
    Ok(())
}

/// Number of parameters.
fn count<const HIDDEN: usize>() -> bilro::Result<usize> {
    let model = TwoLayers::<HIDDEN>::model().build()?;
    Ok(model.named_parameters().map(|(_, values)| values.len()).sum())
}

fn shared_arrays(report: &mut Report<'_>) -> Done {
    report.section("Two names for the same numbers")?;
    report.text(
        "A tensor that is made from a numpy array shares its memory: changes to one\n\
         change the other. Here a Vec holds the numbers, and a view gives them the shape\n\
         [4, 3].",
    )?;
    let mut numbers = vec![
        0.77972024, 0.92298773, 0.77081473, 0.63043875, 0.39674868, 0.07300527, 0.22249923,
        0.24156571, 0.79578098, 0.09626836, 0.45104908, 0.51498427,
    ];
    let mut view = ArrayViewMut2::<f64>::from_shape((4, 3), &mut numbers)?;
    report.text(format!("{view:.8}\nThe view is doubled in place. Then the Vec holds"))?;
    view *= 2.0;
    let shown = "\
        1.55944048 1.84597547 1.54162946 1.26087751 0.79349736 0.14601054 \
        0.44499845 0.48313142 1.59156196 0.19253673 0.90209817 1.02996854";
    for ((i, x), shown) in numbers.iter().enumerate().zip(shown.split(' ')) {
        report.figure(&format!("numbers[{i}]"), *x, shown)?;
    }
    report.text(
        "(The notebook doubles all digits, and shows eight; ours begin with the eight, so\n\
         that the last one may differ by one.) There are no surprises: as long as the\n\
         mutable view exists, Rust allows no other access to the Vec.",
    )?;
    Ok(())
}

fn shared_parameters(report: &mut Report<'_>, drawn: &Drawn) -> Done {
    report.section("Memory shared with a model")?;
    report.text(
        "`params` and `params_mut` return views of the memory from which the compiled\n\
         network reads its parameters. The next prediction uses written values, without\n\
         a copy.",
    )?;
    let Drawn { features, weights, bias } = drawn;
    let mut model = model_of(drawn)?;
    let input = || neuron::Input { features: features.view().insert_axis(Axis(0)) };
    let before = model.predict(input())?.transposed[[0, 0, 0]];
    let memory = model.params().weights.as_ptr();

    model.params_mut().weights *= 2.0;
    assert_eq!(model.params().weights, weights * 2.0, "seen from outside");
    assert_eq!(model.params().weights.as_ptr(), memory);
    let doubled = model.predict(input())?.transposed[[0, 0, 0]];
    let by_hand = (features.dot(&(weights * 2.0).t()) + bias).mapv(sigmoid)[[0, 0]];
    assert!((doubled - by_hand).abs() < 1e-6, "seen from the network");
    report.text(format!(
        "The weights, doubled in place: {:.4}\nThe output was {before:.4} and becomes \
         {doubled:.4}; by hand, {by_hand:.4}.",
        model.params().weights
    ))?;

    let copy = model.params().weights.to_owned();
    model.params_mut().weights /= 2.0;
    assert_eq!((copy, model.params().weights), (weights * 2.0, weights.view()));
    assert_eq!(model.predict(input())?.transposed[[0, 0, 0]], before);
    report.text(
        "Halved again, the output is the previous one. To keep earlier values, copy them\n\
         with `params().weights.to_owned()`: a copy does not change.",
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bilro_examples::{assert_fits_terminal, output_of};
    use std::panic::catch_unwind;

    #[test]
    fn figures_are_the_notebooks_and_every_run_is_the_same() {
        let text = output_of(notebook, 24);
        assert_eq!(text, output_of(notebook, 24));
        assert_fits_terminal(&text, &["error: cannot multiply", "  numbers["]);
    }

    #[test]
    fn quoted_errors_are_exact() {
        // The test `ui` compares this file with the compiler's output.
        let printed = include_str!("../tests/ui/neuron.stderr").lines();
        let printed: Vec<&str> = printed.filter(|line| !line.contains("-->")).collect();
        assert_eq!(COMPILER_ERROR.lines().collect::<Vec<_>>(), printed);

        let Drawn { features, weights, .. } = Drawn::new();
        let panic = catch_unwind(|| features.dot(&weights)).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(NDARRAY_PANIC));
    }
}
