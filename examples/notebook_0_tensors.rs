//! Arrays and gradients from the start: tensors, their operations, and how a gradient is computed.
//! With the exercises solved.
//!
//! `cargo run --example notebook_0_tensors`

use std::error::Error;
use std::process::ExitCode;

use bilro::ndarray::{Array1, Array2, ArrayView2, array};
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro::tensor;
use bilro_examples::{Report, show_without_options};

type Done = Result<(), Box<dyn Error>>;

network! {
    /// A variable of three ones, and their sum.
    struct Ones {
        param x: [3] = ones;
        loss sum(x);
    }
}

network! {
    /// f = Σ y with y = x², of two parameters.
    struct SumOfSquares {
        param x: [2] = ones;
        output y = x.pow(2);
        output f = sum(y);
        loss f;
    }
}

network! {
    /// The last exercise: f = 2 · mean(y) with y = ln x, of inputs.
    struct Logarithm {
        input x: [2] grad;
        output y = log(x);
        output f = 2 * mean(y);
        loss f;
    }
}

fn main() -> ExitCode {
    show_without_options("Arrays, their operations, and gradients, with explanations", notebook)
}

fn notebook(report: &mut Report<'_>) -> Done {
    arrays(report)?;
    ones_and_random_numbers(report)?;
    conversions(report)?;
    arithmetic(report)?;
    variables(report)?;
    gradients(report)?;
    accumulation(report)?;
    exercises(report)
}

fn arrays(report: &mut Report<'_>) -> Done {
    report.section("Arrays and their shapes")?;
    report.text(
        "A network turns numbers into numbers, and it takes many of them at a time: in\n\
         arrays, which this field calls tensors. An array has a shape. Two rows of three\n\
         numbers have the shape [2, 3]: rows come first, then columns.",
    )?;
    let x: Array2<f32> = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    report.text(format!("{x}\nis an Array2<f32> of shape {:?}", x.shape()))?;
    report.figure("rows", x.nrows() as f64, "2")?;
    report.figure("columns", x.ncols() as f64, "3")?;
    report.figure("first number", x[[0, 0]].into(), "1.")?;
    report.figure("last number", x[[1, 2]].into(), "6.")?;
    report.text(
        "The type states the type of the numbers, here floating point of 32 bits, as in\n\
         networks, and the number of axes. Both are known at compile time; the length of\n\
         an axis may depend on the program's data.",
    )?;
    Ok(())
}

fn ones_and_random_numbers(report: &mut Report<'_>) -> Done {
    report.section("New arrays: ones, and random numbers")?;
    let ones = Array2::<f32>::ones((2, 3));
    report.text(format!(
        "An array needs a shape and something to be filled with, as ones:\n{ones}"
    ))?;
    report.figure("every number", common_value(&ones), "1.")?;
    let mut generator = Generator::new(7);
    let random = generator.rand((2, 3));
    report.text(format!("or numbers drawn evenly from 0 to 1:\n{random:.4}"))?;
    assert!(random.iter().all(|x| (0.0..1.0).contains(x)));
    assert_eq!(random, Generator::new(7).rand((2, 3)), "the same seed, the same numbers");
    assert_ne!(random, generator.rand((2, 3)), "the generator advances");
    report.text(
        "They come from a generator, which starts from a seed. The same seed gives the\n\
         same numbers on every machine, and those of PyTorch after torch.manual_seed.\n\
         The notebook's own were drawn without a seed, and cannot be reproduced.",
    )?;
    Ok(())
}

fn conversions(report: &mut Report<'_>) -> Done {
    report.section("From ordinary data to arrays and back")?;
    report.text(
        "PyTorch's tensors have to be converted from and to numpy's arrays. Here there is\n\
         one type of array, ndarray's, on both sides of a network. Only Rust's own data\n\
         are converted: a Vec gives its memory to an array, and gets it back.",
    )?;
    let numbers = vec![0.31502705, 0.53426584, 0.87299971, 0.32804781];
    let memory = numbers.as_ptr();
    let wide = Array2::from_shape_vec((2, 2), numbers)?;
    assert_eq!(wide.as_ptr(), memory, "not a number was copied");
    report.text(format!("{wide:.8}\nare of 64 bits; for a network they become numbers of 32:"))?;
    let narrow = wide.mapv(|x| x as f32);
    let shown = ["0.3150", "0.5343", "0.8730", "0.3280"];
    for ((index, x), shown) in narrow.indexed_iter().zip(shown) {
        report.figure(&format!("{index:?}"), (*x).into(), shown)?;
    }
    assert!((&narrow.mapv(f64::from) - &wide).iter().all(|d| d.abs() < 1e-7));
    let (numbers, _) = wide.into_raw_vec_and_offset();
    assert_eq!(numbers.as_ptr(), memory);
    report.text(format!("and back in a Vec, in the same memory:\n{numbers:?}"))?;
    Ok(())
}

fn arithmetic(report: &mut Report<'_>) -> Done {
    report.section("Arithmetic")?;
    let a = Array2::<f32>::ones((3, 3));
    report.text(format!(
        "The same nine ones in three rows\n{a}\nor in one: another shape, the same memory."
    ))?;
    let row = a.view().into_shape_with_order(9)?;
    assert_eq!(row.as_ptr(), a.as_ptr());
    report.text(format!("{row}"))?;
    report.figure("length of the row", row.len() as f64, "9")?;
    report
        .text("The operators work element by element, on numbers at the same index. With b = a:")?;
    let b = a.clone();
    let results = [&a + &b, &a - &b, &a * &b, &a / &b].map(|x| common_value(&x));
    for ((operator, result), shown) in "+-*/".chars().zip(results).zip(["2.", "0.", "1.", "1."]) {
        report.figure(&format!("a {operator} b, everywhere"), result, shown)?;
    }
    assert_eq!(results, [2.0, 0.0, 1.0, 1.0]);
    report.text(
        "(`&` lends an array to the operator; `a + b` without it would consume both. The\n\
         product of matrices is different, a.dot(&b): see the first network.)",
    )?;

    let x: Array1<f32> = array![1.0, 2.0, 3.0, 4.0, 5.0];
    report.text(format!("\nMean and standard deviation of {x}:"))?;
    report.figure("mean", tensor::mean(&x).into(), "3.0")?;
    report.figure("standard deviation", tensor::std(&x).into(), "1.5811388492584229")?;
    let squares = x.mapv(|x| (x - 3.0).powi(2)).sum();
    assert_eq!((squares / 4.0).sqrt(), tensor::std(&x));
    report.text(format!(
        "The squared distances from the mean add up to {squares}. They are divided by 4, one\n\
         less than the count, because the mean was computed from the same numbers and is\n\
         nearer to them than the true one. Dividing by all 5 gives {:.4}, the deviation\n\
         of the five themselves.",
        (squares / 5.0).sqrt()
    ))?;
    Ok(())
}

fn variables(report: &mut Report<'_>) -> Done {
    report.section("Variables")?;
    report.text(
        "Training asks one question over and over: which way does the result go if this\n\
         number is made a little larger? The answer for each number is its derivative,\n\
         and all of them together are the gradient. PyTorch watches a computation while\n\
         it runs, for those tensors that were made variables. With bilro, the computation\n\
         is declared: `network!` reads it at compile time, and derives the gradient from\n\
         the formulas. The variables are `param x: [3]`, stored in the network, or\n\
         `input x: [3] grad`, passed to each call. The `loss` is differentiated with\n\
         respect to them.",
    )?;
    let model = Ones::model().build()?;
    report.text(format!("A parameter of three ones: {}", model.params().x))?;
    assert_eq!(model.params().x, array![1.0, 1.0, 1.0]);
    for x in &model.params().x {
        report.figure("x", (*x).into(), "1.")?;
    }
    let gradients = model.gradients(ones::Batch::default())?;
    assert_eq!((gradients.loss, &gradients.x), (3.0, &array![1.0, 1.0, 1.0]));
    report.text(format!(
        "Their sum is {}, and the gradient of the sum {}: if one of the three\n\
         grows, the sum grows by as much.",
        gradients.loss, gradients.x
    ))?;
    Ok(())
}

fn gradients(report: &mut Report<'_>) -> Done {
    report.section("A gradient, step by step")?;
    report.text("f = Σ y, where y = x², at x = (3, 5).")?;
    let mut model = SumOfSquares::model().build()?;
    model.params_mut().x.assign(&array![3.0, 5.0]);
    let result = model.predict(sum_of_squares::Input::default())?;
    report.text("Forward, from x to f. First each number is squared:")?;
    assert_eq!(result.y, array![9.0, 25.0]);
    report.figure("y of 3", result.y[0].into(), "9")?;
    report.figure("y of 5", result.y[1].into(), "25")?;
    report.text("then they are added up:")?;
    report.figure("f", result.f[()].into(), "34.0")?;

    report.text(
        "Backward, from f to x. f grows as fast as each y does, for it is their sum:\n\
         derivative 1. y = x² grows 2x times as fast as x. One after the other, that is\n\
         1 · 2x:",
    )?;
    let gradients = model.gradients(sum_of_squares::Batch::default())?;
    report.figure("gradient at 3", gradients.x[0].into(), "6.")?;
    report.figure("gradient at 5", gradients.x[1].into(), "10.")?;
    assert_eq!((gradients.loss, &gradients.x), (34.0, &array![6.0, 10.0]));

    let f = |a: f64, b: f64| a * a + b * b;
    let slope = (f(3.001, 5.0) - f(2.999, 5.0)) / 0.002;
    assert!((slope - f64::from(gradients.x[0])).abs() < 1e-6);
    report.text(format!(
        "It can be checked without any rule: from x = 2.999 to 3.001, f rises by {:.3},\n\
         which is {slope:.3} for each unit of x.",
        0.002 * slope
    ))?;
    Ok(())
}

fn accumulation(report: &mut Report<'_>) -> Done {
    report.section("Gradients that add up")?;
    report.text(
        "In PyTorch a variable stores its gradient, and the next one is added to it until\n\
         it is set to zero, which is easily forgotten. bilro's `gradients` returns new\n\
         arrays each time. Two calls return the same; for the sum, add them up.",
    )?;
    let mut model = SumOfSquares::model().build()?;
    model.params_mut().x.assign(&array![3.0, 5.0]);
    let mut sum = Array1::zeros(2);
    for _ in 0..2 {
        let gradients = model.gradients(sum_of_squares::Batch::default())?;
        assert_eq!(gradients.x, array![6.0, 10.0]);
        sum += &gradients.x;
    }
    assert_eq!(sum, array![12.0, 20.0]);
    report.text(format!("The sum of two: {sum}"))?;

    let mut trainer = SumOfSquares::trainer(Sgd::new(0.1)).accumulate(2).build()?;
    trainer.model_mut().params_mut().x.assign(&array![3.0, 5.0]);
    trainer.step(sum_of_squares::Batch::default())?;
    assert_eq!(trainer.model().params().x, array![3.0, 5.0]);
    trainer.step(sum_of_squares::Batch::default())?;
    let after = trainer.model().params().x.to_owned();
    assert!((&after - &array![2.4, 4.0]).iter().all(|d| d.abs() < 1e-6));
    report.text(format!(
        "It is useful if the examples do not all fit into one step. With `accumulate(2)`,\n\
         a trainer changes nothing in its first step, and in the second moves against\n\
         the mean of both gradients: with a learning rate of 0.1, x becomes {after:.1}."
    ))?;
    Ok(())
}

fn exercises(report: &mut Report<'_>) -> Done {
    report.section("Exercise 1: an array of given numbers")?;
    let given: Array2<f32> = array![[10.0, 100.0, 1000.0], [20.0, 200.0, 2000.0]];
    report.text(&given)?;
    assert_eq!(given.dim(), (2, 3));

    report.section("Exercise 2: ones of shape [5, 3]")?;
    let ones = Array2::<f32>::ones((5, 3));
    report.text(format!("{ones}\nof shape {:?}", ones.shape()))?;
    assert_eq!((ones.shape(), common_value(&ones)), ([5, 3].as_slice(), 1.0));

    report.section("Exercise 3: there and back")?;
    let integers = [[1, 1, 2, 3], [5, 8, 13, 21]];
    let reals = ArrayView2::<i32>::from(&integers).mapv(|x| x as f32);
    report.text(format!("as reals, for a network:\n{reals:.1}"))?;
    let back = reals.mapv(|x| x as i32);
    report.text(format!("and as integers again:\n{back}"))?;
    assert_eq!(back, array![[1, 1, 2, 3], [5, 8, 13, 21]]);

    report.section("Exercise 4: operations on two arrays")?;
    let a: Array2<f32> = array![[5.0, 8.0], [5.0, 4.0]];
    let b: Array2<f32> = array![[10.0, 16.0], [10.0, 8.0]];
    report.text(format!("a =\n{a}\nb =\n{b}"))?;
    report.text(format!("a + b =\n{}", &a + &b))?;
    report.text(format!("b - a =\n{}", &b - &a))?;
    report.text(format!("a * b =\n{}", &a * &b))?;
    report.text(format!("b / a =\n{}", &b / &a))?;
    report.text(format!("mean of a: {}", tensor::mean(&a)))?;
    report.text(format!("standard deviation of b: {:.4}", tensor::std(&b)))?;
    assert_eq!(&a + &b, array![[15.0, 24.0], [15.0, 12.0]]);
    assert_eq!(&b - &a, a, "b is twice a");
    assert_eq!(&a * &b, array![[50.0, 128.0], [50.0, 32.0]]);
    assert_eq!(common_value(&(&b / &a)), 2.0);
    assert_eq!((tensor::mean(&a), tensor::std(&b)), (5.5, 12f32.sqrt()));

    report.section("Exercise 5: the gradient of a logarithm")?;
    report.text(
        "y = ln x and f = 2 · mean(y), at x = (4, 5). This time x is an input, so the\n\
         point comes with the call. Inputs hold examples along their first axis; here\n\
         there is one example, a row of two numbers.",
    )?;
    let x = array![[4.0, 5.0]];
    let model = Logarithm::model().build()?;
    let result = model.predict(logarithm::Input { x: x.view() })?;
    report.text(format!("x = {x}, y = {:.4}", result.y))?;
    report.figure("f", result.f[0].into(), "2.9957")?;
    let gradients = model.gradients(logarithm::Batch { x: x.view() })?;
    report.figure("gradient at 4", gradients.x[[0, 0]].into(), "0.25")?;
    report.figure("gradient at 5", gradients.x[[0, 1]].into(), "0.20")?;
    report.text(
        "By hand: the mean of two gives each y one half, twice that is 1, and ln x grows\n\
         by 1/x: 1/4 and 1/5. f itself is ln 4 + ln 5 = ln 20.",
    )?;
    assert!((f64::from(result.f[0]) - 20f64.ln()).abs() < 1e-6);
    Ok(())
}

/// The value of all elements; NaN if they differ.
fn common_value(x: &Array2<f32>) -> f64 {
    let first = x[[0, 0]];
    if x.iter().all(|x| *x == first) { first.into() } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bilro_examples::{assert_fits_terminal, output_of};

    #[test]
    fn figures_are_the_notebooks_and_every_run_is_the_same() {
        let text = output_of(notebook, 27);
        assert_eq!(text, output_of(notebook, 27));
        assert_fits_terminal(&text, &["  standard deviation"]);
    }

    #[test]
    fn differing_numbers_have_no_common_value() {
        assert!(common_value(&array![[1.0, 1.0], [1.0, 2.0]]).is_nan());
    }
}
