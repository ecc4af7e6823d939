//! Notebook 2: from the perceptron to early stopping.
//!
//! A neuron that draws a line; why its answer becomes a probability; softmax, one-hot vectors,
//! likelihood and cross entropy; gradient descent; networks that bend the line; and when to stop
//! training them. `cargo run --example notebook_2_gradient_descent` prints it all; the pictures
//! are in `target/notebooks`, as SVG and PNG.

use std::error::Error;
use std::process::ExitCode;

use bilro::data::{Dataset, Points};
use bilro::ndarray::{Array1, Array2, Ix1, Ix2, array};
use bilro::plot::{Curves, Panels, Picture, Plane, grid};
use bilro::prelude::*;
use bilro::tensor;
use bilro_examples::{Report, show};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Points in the plane, `[points, 2]`, and the class of each as a real, 0 or 1, `[points]`: reals
/// are what an error is computed of.
type Marked = Dataset<f32, Ix2, f32, Ix1>;

fn main() -> ExitCode {
    show(|report| notebook(report).map(|_| ()))
}

/// All parts, in the notebook's order.
fn notebook(report: &mut Report<'_>) -> Result<Findings> {
    neuron(report)?;
    let mistakes = perceptron_trick(report)?;
    step_and_sigmoid(report)?;
    several_classes(report)?;
    let likelihoods = maximum_likelihood(report)?;
    one_step(report)?;
    let descent = gradient_descent(report)?;
    feed_forward(report)?;
    let accuracies = bent_border(report)?;
    splits(report)?;
    let training = early_stopping(report)?;
    let findings = Findings { mistakes, likelihoods, descent, accuracies, training };
    summary(report, &findings)?;
    Ok(findings)
}

/// What the text claims.
struct Findings {
    /// Points on the wrong side of the perceptron's line, at first and after each epoch.
    mistakes: Vec<usize>,
    /// Of the two models.
    likelihoods: [f64; 2],
    descent: Descent,
    /// On the moons, of a neuron and of a network.
    accuracies: [f64; 2],
    training: Training,
}

network! {
    /// A neuron that answers 0 or 1.
    pub struct Perceptron {
        input x: [2];
        target y: [];
        param w: [2] = normal(0.0, 0.70710678);
        param b: [] = zeros;

        let score = x.matmul(w) + b;
        output answer = step(score);
        // A step is flat, so for the gradient `answer - y` is but a number: 0 where the answer is
        // right, else 1 or -1. The gradient of the product is that number times `x`.
        loss (answer - y) * score;
        metric accuracy = 1 - abs(answer - y);
    }
}

/// A neuron with these weights.
fn perceptron(w: [f32; 2], b: f32) -> Result<Model<Perceptron>> {
    let mut model = Perceptron::model().build()?;
    let mut params = model.params_mut();
    params.w.assign(&array![w[0], w[1]]);
    params.b.fill(b);
    Ok(model)
}

fn neuron(report: &mut Report<'_>) -> Result<()> {
    report.part("1. A neuron")?;
    report.say(
        "A perceptron multiplies each of its inputs by a weight, adds the products and a\n\
         bias up, and asks whether this score reaches 0. Yes is 1, no is 0: a step.\n\n    \
         x1 --w1--.\n    \
         x2 --w2--+--> score --step--> 0 or 1\n    \
         1  --b---'\n\n\
         The bias is the weight of an input that is always 1. There are as many weights\n\
         as inputs, so a row of n inputs, 1 x n, times a column of n weights, n x 1, is\n\
         the sum; and with a row for each record, one product has the sums of all\n\
         records.\n\n\
         Take the weights 0.5 and -1 and the bias -0.2:\n\
         (3, 1) gives 3 * 0.5 - 1 * 1 - 0.2 =  0.3, which is a yes,\n\
         (1, 2) gives 1 * 0.5 - 2 * 1 - 0.2 = -1.7, which is a no.",
    )?;
    let x = array![[3.0, 1.0], [1.0, 2.0]];
    let weights = array![[0.5], [-1.0]];
    let scores = x.dot(&weights) - 0.2f32;
    let answers = perceptron([0.5, -1.0], -0.2)?.predict(perceptron::Input { x: x.view() })?.answer;
    report.by_hand("score of (3, 1)", scores[(0, 0)].into(), "0.3")?;
    report.by_hand("score of (1, 2)", scores[(1, 0)].into(), "-1.7")?;
    report.by_hand("answer for (3, 1)", answers[0].into(), "1")?;
    report.by_hand("answer for (1, 2)", answers[1].into(), "0")?;
    report.say(
        "\n\
         Neurons of a brain gave the idea: dendrites bring signals in, the cell adds\n\
         them up, and the axon fires or does not.\n\n\
         Where the score is 0 lies a line. A neuron with two inputs parts the plane by\n\
         it.",
    )?;
    Ok(())
}

fn perceptron_trick(report: &mut Report<'_>) -> Result<Vec<usize>> {
    report.part("2. The perceptron trick")?;
    report.say(
        "A line learns from the points on its wrong side. If a point should be 1 and the\n\
         answer is 0, its coordinates, times a small learning rate, are added to the\n\
         weights, and the learning rate itself to the bias. If it should be 0 and the\n\
         answer is 1, they are subtracted. Each time the line comes a little closer to\n\
         the point, until it has passed over it. Points on the right side change\n\
         nothing.\n\n\
         The neuron from above says yes to (3, 1). Were that wrong, a learning rate of\n\
         0.1 would make the weights 0.5 - 0.3 and -1 - 0.1, and the bias -0.2 - 0.1:",
    )?;
    let mut trainer = perceptron([0.5, -1.0], -0.2)?.into_trainer(Sgd::new(0.1))?;
    let (x, y) = (array![[3.0, 1.0]], array![0.0]);
    trainer.step(perceptron::Batch { x: x.view(), y: y.view() })?;
    let params = trainer.model().params();
    report.by_hand("weight 1 after the trick", params.w[0].into(), "0.2")?;
    report.by_hand("weight 2 after the trick", params.w[1].into(), "-1.1")?;
    report.by_hand("bias after the trick", params.b[()].into(), "-0.3")?;

    let points = data::blobs(100, &[[0.3, 0.7], [0.7, 0.3]], 0.08, 3)?;
    let marked = marked(&points)?;
    // A seed whose first line has the classes on the wrong sides.
    let mut trainer = Perceptron::trainer(Sgd::new(0.01)).seed(47).build()?;
    let mut picture = plane("the perceptron trick", &points);
    let mut mistakes = vec![];
    for _ in 0..100 {
        let model = trainer.model();
        let wrong = 1.0 - model.evaluate(&marked)?.accuracy();
        mistakes.push((wrong * marked.len() as f64).round() as usize);
        let params = model.params();
        picture = picture.line([params.w[0], params.w[1]], params.b[()]);
        if mistakes.last() == Some(&0) {
            break;
        }
        trainer.fit(&marked, one_record_at_a_time())?;
    }
    report.say(format!(
        "\n\
         Now 100 points of two classes, one after the other, with a learning rate of\n\
         0.01. The weights start at random, the bias at 0. Once over all points is an\n\
         epoch. Points on the wrong side, at first and after each epoch:\n  \
         {mistakes:?}\n\
         With none left nothing moves any more: any line that parts the classes will do."
    ))?;
    save(report, "2_perceptron_trick", &picture)?;
    Ok(mistakes)
}

network! {
    /// A neuron that counts its mistakes.
    pub struct Counting {
        input x: [2];
        target y: [];
        param w: [2] = zeros;
        param b: [] = zeros;
        loss abs(step(x.matmul(w) + b) - y);
    }
}

network! {
    /// Two ways from a score to an answer.
    pub struct Answers {
        input score: [];
        target y: [];
        output hard = step(score);
        output soft = sigmoid(score);
        loss binary_cross_entropy(soft, y);
    }
}

fn step_and_sigmoid(report: &mut Report<'_>) -> Result<()> {
    report.part("3. From a step to a probability")?;
    report.say(
        "Learning goes downhill: one asks how the error changes if a weight changes a\n\
         little. A number of mistakes gives no answer. Mostly it does not change at all,\n\
         and then it jumps; its slope is 0 wherever it has one. An error to go down on\n\
         must be continuous, with a slope everywhere. So the answer must be continuous,\n\
         too.\n\n\
         Weights (1, -1) leave a point (1, 2) of class 1 on the wrong side. The slopes\n\
         of the number of mistakes do not tell where to go:",
    )?;
    let mut counting = Counting::model().build()?;
    counting.params_mut().w.assign(&array![1.0, -1.0]);
    let (x, y) = (array![[1.0, 2.0]], array![1.0]);
    let slopes = counting.gradients(counting::Batch { x: x.view(), y: y.view() })?;
    report.by_hand("mistakes", slopes.loss.into(), "1")?;
    report.by_hand("slope along weight 1", slopes.w[0].into(), "0")?;
    report.by_hand("slope along weight 2", slopes.w[1].into(), "0")?;
    report.say(
        "\n\
         The sigmoid, 1 / (1 + e^-score), is a step made smooth. It goes from 0 to 1 and\n\
         is read as the probability of class 1: far on one side of the line it is nearly\n\
         1, far on the other nearly 0. On the line, where the score is 0, it is one half:\n\
         from there on the answer is 1. With e^-2 = 0.1353:",
    )?;
    let mut model = Answers::model().build()?;
    let score = array![-2.0, 0.0, 2.0];
    let soft = model.predict(answers::Input { score: score.view() })?.soft;
    report.by_hand("sigmoid(-2) = 0.1353 / 1.1353", soft[0].into(), "0.1192")?;
    report.figure("sigmoid(0), where the answer changes", soft[1].into(), "0.5")?;
    report.by_hand("sigmoid(2) = 1 / 1.1353", soft[2].into(), "0.8808")?;

    let score = Array1::from_iter((-800..=800).map(|i| i as f32 / 100.0));
    let curves = model.predict(answers::Input { score: score.view() })?;
    let over_scores = |values: &Array1<f32>| -> Vec<(f64, f64)> {
        score.iter().zip(values).map(|(&x, &y)| (x.into(), y.into())).collect()
    };
    let picture = Curves::new("two answers to a score")
        .x("score")
        .y("answer")
        .points("step", &over_scores(&curves.hard))
        .points("sigmoid", &over_scores(&curves.soft));
    save(report, "2_step_and_sigmoid", &picture)
}

network! {
    /// Scores of three classes as probabilities.
    pub struct Classes {
        input scores: [3];
        target class: class(3);
        output probability = softmax(scores);
        loss cross_entropy(scores, class);
    }
}

fn several_classes(report: &mut Report<'_>) -> Result<()> {
    report.part("4. Several classes")?;
    report.say(
        "For n classes there are n scores. They are to become n probabilities: positive,\n\
         adding up to 1, the larger the score the larger. Softmax takes e to the power\n\
         of each score, which is positive, and divides by the sum of all. Scores 2, 1\n\
         and 0 give 7.389, 2.718 and 1, whose sum is 11.107:",
    )?;
    let mut model = Classes::model().build()?;
    let scores = array![[2.0, 1.0, 0.0]];
    let p = model.predict(classes::Input { scores: scores.view() })?.probability;
    report.by_hand("7.389 / 11.107", p[(0, 0)].into(), "0.6652")?;
    report.by_hand("2.718 / 11.107", p[(0, 1)].into(), "0.2447")?;
    report.by_hand("    1 / 11.107", p[(0, 2)].into(), "0.0900")?;
    let two = tensor::softmax(&array![2.0f32, 0.0], 0)?;
    report.say("\nOf two classes with scores 2 and 0, the first has what sigmoid(2) was:")?;
    report.by_hand("softmax(2, 0)", two[0].into(), "0.8808")?;

    report.say(
        "\n\
         Classes have no order: a cat is not twice a dog. So class number c becomes a\n\
         vector with a place for each class, 1 in place c and 0 elsewhere. That is\n\
         one-hot encoding. Dog, cat, bird, dog, which are 0, 1, 2, 0:",
    )?;
    let animals = Dataset::new(Array2::<f32>::zeros((4, 1)), array![0, 1, 2, 0])?.one_hot(3)?;
    report.say(animals.y())?;
    Ok(())
}

network! {
    /// A neuron that answers with the probability of class 1.
    pub struct Neuron {
        input x: [2];
        target y: [];
        // As many inputs, so much smaller: 1/√2.
        param w: [2] = normal(0.0, 0.70710678);
        param b: [] = zeros;

        output probability = sigmoid(x.matmul(w) + b);
        // -y · ln(probability) - (1 - y) · ln(1 - probability)
        loss binary_cross_entropy(probability, y);
        metric accuracy = 1 - abs(step(probability - 0.5) - y);
    }
}

/// A neuron with these weights.
fn neuron_of(w: [f32; 2], b: f32) -> Result<Model<Neuron>> {
    let mut model = Neuron::model().build()?;
    let mut params = model.params_mut();
    params.w.assign(&array![w[0], w[1]]);
    params.b.fill(b);
    Ok(model)
}

fn maximum_likelihood(report: &mut Report<'_>) -> Result<[f64; 2]> {
    report.part("5. Which of two models is better? Maximum likelihood")?;
    report.say(
        "A model gives every point a probability of the class that it really has. All of\n\
         them multiplied are the likelihood: how probable the model finds the classes as\n\
         they are. The better model is the one with the larger likelihood.\n\n\
         There are four points: (2, 1) and (-1, 2) of class 1, (1, -1) and (-2, -1) of\n\
         class 0. The score of model A is ln 3 times the first coordinate, that of model\n\
         B ln 3 times the second. That makes sigmoids simple: as e^(n ln 3) is 3^n,\n\
         scores of ln 3 times -2, -1, 0, 1, 2 are probabilities of 0.1, 0.25, 0.5, 0.75,\n\
         0.9.",
    )?;
    let points = Dataset::new(
        array![[2.0, 1.0], [-1.0, 2.0], [1.0, -1.0], [-2.0, -1.0]],
        array![1, 1, 0, 0],
    )?;
    let marked = marked(&points)?;
    let ln3 = 3f32.ln();
    let mut models = [neuron_of([ln3, 0.0], 0.0)?, neuron_of([0.0, ln3], 0.0)?];
    let mut likelihoods = [0.0; 2];
    for (model, likelihood) in models.iter_mut().zip(&mut likelihoods) {
        let p = model.predict(neuron::Input { x: marked.x() })?.probability;
        let own = |(&p, &y): (&f32, &f32)| f64::from(if y == 1.0 { p } else { 1.0 - p });
        *likelihood = p.iter().zip(marked.y()).map(own).product();
    }
    report.by_hand("A: 0.9  * 0.25 * 0.25 * 0.9", likelihoods[0], "0.0506")?;
    report.by_hand("B: 0.75 * 0.9  * 0.75 * 0.75", likelihoods[1], "0.3797")?;
    let [a, b] = &models;
    let drawn = |name: &str, model: &Model<Neuron>| {
        let params = model.params();
        plane(name, &points).line([params.w[0], params.w[1]], params.b[()])
    };
    let picture = Panels::new("four points, two models")
        .panel(drawn("A: likelihood 0.05", a))
        .panel(drawn("B: likelihood 0.38", b))
        .size(1000, 460);
    save(report, "2_two_models", &picture)?;

    report.part("6. Cross entropy")?;
    report.say("Many small factors make a product too small to be held. A thousand times 0.9:")?;
    let factors = Array1::from_elem(1000, 0.9f32);
    report.by_hand("product of 1000 factors 0.9", factors.product().into(), "0")?;
    report.by_hand("sum of their -ln", f64::from(-factors.ln().sum()), "105.4")?;
    report.say(
        "\n\
         So one takes logarithms, which make a sum of the product. Logarithms of what is\n\
         below 1 are negative; minus signs make them errors, the smaller the better. The\n\
         sum is the cross entropy: large where something happens that the model finds\n\
         improbable. -ln 0.9 = 0.1054, -ln 0.75 = 0.2877 and -ln 0.25 = 1.3863, so:",
    )?;
    let [a, b] = &mut models;
    let count = marked.len() as f64;
    let entropies = [a.evaluate(&marked)?.loss() * count, b.evaluate(&marked)?.loss() * count];
    report.by_hand("A: 2 * 0.1054 + 2 * 1.3863", entropies[0], "2.9833")?;
    report.by_hand("B: 3 * 0.2877 + 0.1054", entropies[1], "0.9684")?;
    report.by_hand("A: e^-2.9833 is its likelihood", (-entropies[0]).exp(), "0.0506")?;
    report.say(
        "\n\
         One formula does for both classes, without an if. With y for the class, 1 or 0,\n\
         and p for the probability of class 1, the error of a point is\n\n    \
         -y ln p - (1 - y) ln(1 - p)\n\n\
         and the term that is not meant is 0. The error of all is the mean. For n\n\
         classes it is -ln of the probability of the class that it is, which the one-hot\n\
         vector picks out. With the scores 2, 1, 0 from above, the error is -ln 0.6652\n\
         if it is a dog, and -ln 0.0900 if it is a bird:",
    )?;
    let mut model = Classes::model().build()?;
    let scores = array![[2.0, 1.0, 0.0]];
    for (name, class, error) in [("a dog", 0, "0.4076"), ("a bird", 2, "2.4076")] {
        let class = array![class];
        let batch = classes::Batch { scores: scores.view(), class: class.view() };
        report.by_hand(name, model.evaluate_batch(batch)?.loss(), error)?;
    }
    Ok(likelihoods)
}

fn one_step(report: &mut Report<'_>) -> Result<()> {
    report.part("7. A step of gradient descent")?;
    report.say(
        "A derivative tells how fast a function changes. A partial derivative tells it\n\
         for one variable while the others rest. All of them together are the gradient,\n\
         which points to where the function rises fastest. So the weights go the other\n\
         way, a little: each minus the learning rate times its derivative. Where the\n\
         gradient is large, the step is long; near the lowest point both are small.\n\n\
         For the sigmoid and the cross entropy the derivatives come out simple: (p - y)\n\
         times the input, and p - y for the bias. With all weights 0, p is 0.5. A point\n\
         (1, 2) of class 1 has p - y = -0.5:",
    )?;
    let mut trainer = neuron_of([0.0, 0.0], 0.0)?.into_trainer(Sgd::new(0.01))?;
    let (x, y) = (array![[1.0, 2.0]], array![1.0]);
    let batch = || neuron::Batch { x: x.view(), y: y.view() };
    let gradients = trainer.model().gradients(batch())?;
    report.by_hand("derivative for weight 1: -0.5 * 1", gradients.w[0].into(), "-0.5")?;
    report.by_hand("derivative for weight 2: -0.5 * 2", gradients.w[1].into(), "-1.0")?;
    report.by_hand("derivative for the bias: -0.5", gradients.b[()].into(), "-0.5")?;
    trainer.step(batch())?;
    let params = trainer.model().params();
    report.by_hand("weight 1 after a step: 0 + 0.01 * 0.5", params.w[0].into(), "0.005")?;
    report.by_hand("weight 2 after a step: 0 + 0.01 * 1", params.w[1].into(), "0.010")?;
    report.by_hand("bias after a step: 0 + 0.01 * 0.5", params.b[()].into(), "0.005")?;

    report.say(
        "\n\
         This looks like the perceptron trick, but every point has a say, in proportion\n\
         to its error. Points on the wrong side ask the line to come closer; points on\n\
         the right side ask it to go away, the less the farther it is.\n\n\
         The weights 1 and 0 and the bias 0 draw the vertical axis. The point (ln 3, 0)\n\
         has the score ln 3 = 1.0986, which is also its distance from the line, and\n\
         p = 0.75. If it is of class 1, a learning rate of 0.1 gives\n\n  \
         weight 1 = 1 + 0.1 * 0.25 * 1.0986 = 1.0275, bias = 0.1 * 0.25 = 0.025\n\n\
         and the line, where the score is 0, goes 0.025 / 1.0275 to the left. If it is of\n\
         class 0,\n\n  \
         weight 1 = 1 - 0.1 * 0.75 * 1.0986 = 0.9176, bias = -0.1 * 0.75 = -0.075\n\n\
         and the line goes 0.075 / 0.9176 to the right. The distances are then:",
    )?;
    let x = array![[3f32.ln(), 0.0]];
    for (name, class, worked_out) in [
        ("right side: 1.0986 + 0.025 / 1.0275", 1.0, "1.1229"),
        ("wrong side: 1.0986 - 0.075 / 0.9176", 0.0, "1.0169"),
    ] {
        let mut trainer = neuron_of([1.0, 0.0], 0.0)?.into_trainer(Sgd::new(0.1))?;
        let y = array![class];
        trainer.step(neuron::Batch { x: x.view(), y: y.view() })?;
        let params = trainer.model().params();
        let distance = (x.row(0).dot(&params.w) + params.b[()]) / params.w[0].hypot(params.w[1]);
        report.by_hand(name, distance.into(), worked_out)?;
    }
    Ok(())
}

/// What gradient descent gave.
struct Descent {
    /// After each epoch.
    losses: Vec<f64>,
    accuracy: f64,
    /// How often the loss had risen where it was printed, with a small learning rate and with one
    /// that is too large.
    warnings: [usize; 2],
}

fn gradient_descent(report: &mut Report<'_>) -> Result<Descent> {
    report.part("8. Gradient descent")?;
    let points = data::blobs(100, &[[0.3, 0.7], [0.7, 0.3]], 0.15, 5)?;
    let marked = marked(&points)?;
    let mut trainer = Neuron::trainer(Sgd::new(0.01)).seed(SEED).build()?;
    report.say(
        "100 points of two classes that overlap a little. As in the notebook, a step is\n\
         made for one record at a time, and weights start at random, with a standard\n\
         deviation of 1 / √n for n inputs: so scores are of one size however many inputs\n\
         there are.",
    )?;
    report.figure("learning rate", trainer.learning_rate().into(), "0.01")?;
    let mut picture = plane("gradient descent", &points);
    let (losses, warnings) = descend(report, &mut trainer, &marked, |model| {
        let params = model.params();
        picture = picture.clone().line([params.w[0], params.w[1]], params.b[()]);
    })?;
    report.figure("epochs", losses.len() as f64, "100")?;
    let accuracy = trainer.model().evaluate(&marked)?.accuracy();
    save(report, "2_gradient_descent", &picture)?;
    let curve = Curves::new("error while descending").y("cross entropy").series("train", &losses);
    report.say(format!("\n{}\n", curve.to_text(76, 16)?))?;
    save(report, "2_gradient_descent_error", &curve)?;

    report.say(
        "\n\
         With a learning rate far too large, steps go over the valley and up the other\n\
         side. That is what the warning is for. The same with 12 instead of 0.01:",
    )?;
    let mut trainer = Neuron::trainer(Sgd::new(12.0)).seed(SEED).build()?;
    let (_, too_many) = descend(report, &mut trainer, &marked, |_| ())?;
    Ok(Descent { losses, accuracy, warnings: [warnings, too_many] })
}

/// Trains for 100 epochs, one record at a time, and tells how it goes at every tenth of them. The
/// loss after each epoch, and how many warnings there were.
fn descend(
    report: &mut Report<'_>,
    trainer: &mut Trainer<Neuron>,
    points: &Marked,
    mut look: impl FnMut(&Model<Neuron>),
) -> Result<(Vec<f64>, usize)> {
    const EPOCHS: usize = 100;
    let mut losses = vec![];
    let mut warnings = 0;
    let mut last_loss = f64::INFINITY;
    for epoch in 0..EPOCHS {
        trainer.fit(points, one_record_at_a_time())?;
        let evaluation = trainer.model().evaluate(points)?;
        let (loss, accuracy) = (evaluation.loss(), evaluation.accuracy());
        losses.push(loss);
        look(trainer.model());
        if epoch % (EPOCHS / 10) == 0 {
            let warning = if loss > last_loss { "   warning: the loss rises" } else { "" };
            warnings += usize::from(loss > last_loss);
            report.say(format!(
                "  epoch {epoch:>2}   Train loss {loss:.4}   accuracy {accuracy:.2}{warning}"
            ))?;
            last_loss = loss;
        }
    }
    Ok((losses, warnings))
}

network! {
    /// A network with a hidden layer.
    pub struct Layers<const HIDDEN: usize> {
        input x: [2];
        target y: [];

        layer fc1 = Linear(2, HIDDEN);
        layer fc2 = Linear(HIDDEN, 1);

        output hidden = sigmoid(fc1(x));
        output probability = sigmoid(fc2(hidden)).reshape([]);
        loss binary_cross_entropy(probability, y);
        metric accuracy = 1 - abs(step(probability - 0.5) - y);
    }
}

fn feed_forward(report: &mut Report<'_>) -> Result<()> {
    report.part("9. Several layers, and feed-forward")?;
    report.say(
        "A neuron draws one line. But what neurons answer can be what another neuron\n\
         takes; weighted and added up, lines become a border with bends. The neurons\n\
         between inputs and output are a hidden layer; a network with many of these is\n\
         deep.\n\n    \
         x1 --.--> h1 --.\n         \
         X          +--> p\n    \
         x2 --'--> h2 --'\n\n\
         Feed-forward is how it answers: layer by layer, from the inputs to the output.\n\
         In this one,\n\n  \
         h1 = sigmoid(x1 ln 3), h2 = sigmoid(x2 ln 3),\n  \
         p = sigmoid((4 h1 - 4 h2 - 1) ln 3).\n\n\
         The point (1, -1) has h1 = 0.75 and h2 = 0.25, so that the last score is\n\
         (3 - 1 - 1) ln 3:",
    )?;
    let ln3 = 3f32.ln();
    let mut model = Layers::<2>::model().build()?;
    let mut params = model.params_mut();
    params.fc1.weight.assign(&array![[ln3, 0.0], [0.0, ln3]]);
    params.fc1.bias.fill(0.0);
    params.fc2.weight.assign(&array![[4.0 * ln3], [-4.0 * ln3]]);
    params.fc2.bias.fill(-ln3);
    let (x, y) = (array![[1.0, -1.0]], array![1.0]);
    let output = model.predict(layers::Input { x: x.view() })?;
    report.by_hand("h1", output.hidden[(0, 0)].into(), "0.75")?;
    report.by_hand("h2", output.hidden[(0, 1)].into(), "0.25")?;
    report.by_hand("p", output.probability[0].into(), "0.75")?;
    report.say(
        "\n\
         The gradient goes the other way, from the error to the inputs: each layer\n\
         passes on what the layers after it gave, times its own derivative. That is\n\
         backpropagation. If the point is of class 1, the derivative for the last score\n\
         is p - y = -0.25. The weight of h1 gets that times h1. Through the weight\n\
         4 ln 3 = 4.3944, and through the sigmoid, whose derivative is\n\
         h1 (1 - h1) = 0.1875, it reaches the weight of x1, and is multiplied by x1 = 1:",
    )?;
    let gradients = model.gradients(layers::Batch { x: x.view(), y: y.view() })?;
    let [second, first] = [gradients.fc2.weight[(0, 0)], gradients.fc1.weight[(0, 0)]];
    report.by_hand("weight of h1: -0.25 * 0.75", second.into(), "-0.1875")?;
    report.by_hand("weight of x1: -0.25 * 4.3944 * 0.1875", first.into(), "-0.2060")?;
    Ok(())
}

fn bent_border(report: &mut Report<'_>) -> Result<[f64; 2]> {
    report.part("10. A border that bends")?;
    report.say(
        "Two moons reach into each other, and no line parts them. A neuron and a network\n\
         with 8 hidden ones, trained in the same way:",
    )?;
    let points = data::moons(200, 0.15, 1)?;
    let marked = marked(&points)?;
    let fit = || Fit::epochs(300).batch_size(10);

    let mut trainer = Neuron::trainer(Sgd::new(1.0)).seed(SEED).build()?;
    trainer.fit(&marked, fit())?;
    let mut line = trainer.into_model();
    let mut trainer = Layers::<8>::trainer(Sgd::new(1.0)).seed(SEED).build()?;
    trainer.fit(&marked, fit())?;
    let mut network = trainer.into_model();

    let accuracies = [line.evaluate(&marked)?.accuracy(), network.evaluate(&marked)?.accuracy()];
    report.say(format!("  accuracy of the neuron  {:.3}", accuracies[0]))?;
    report.say(format!("  accuracy of the network {:.3}", accuracies[1]))?;
    let window = window();
    let straight = line.predict(neuron::Input { x: window.view() })?.probability;
    let bent = network.predict(layers::Input { x: window.view() })?.probability;
    let picture = Panels::new("two moons")
        .panel(regions(plane("a neuron", &points), straight)?)
        .panel(regions(plane("8 hidden neurons", &points), bent)?)
        .size(1000, 460);
    save(report, "2_moons", &picture)?;
    Ok(accuracies)
}

fn splits(report: &mut Report<'_>) -> Result<()> {
    report.part("11. What to train with, and what to test with")?;
    report.say(
        "What counts is how a network does on points that it has never seen. So some are\n\
         set aside, at random, for a test when training is done: usually 30 or 20 of\n\
         100.",
    )?;
    let points = data::moons(200, 0.15, 1)?;
    for (fraction, train_share, test_share) in [(0.7, "70", "30"), (0.8, "80", "20")] {
        let (train, test) = points.split(fraction, SEED)?;
        let percent = |part: &Points| 100.0 * part.len() as f64 / points.len() as f64;
        report.figure("to train with, of 100", percent(&train), train_share)?;
        report.figure("to test with, of 100", percent(&test), test_share)?;
    }
    Ok(())
}

network! {
    /// A network with two hidden layers: more than enough for few points.
    pub struct Deep<const HIDDEN: usize> {
        input x: [2];
        target y: [];
        output probability =
            (x -> (Linear(HIDDEN) -> Tanh) * 2 -> Linear(1) -> Sigmoid).reshape([]);
        loss binary_cross_entropy(probability, y);
        metric accuracy = 1 - abs(step(probability - 0.5) - y);
    }
}

/// How training and test went, epoch by epoch.
struct Training {
    train_errors: Vec<f64>,
    test_errors: Vec<f64>,
    /// The epoch, counted from 1, after which the test error was the smallest.
    best: usize,
    /// The epoch at which early stopping would have given up.
    given_up: usize,
}

fn early_stopping(report: &mut Report<'_>) -> Result<Training> {
    report.part("12. Underfitting, overfitting, and when to stop")?;
    const EPOCHS: usize = 400;
    const PATIENCE: usize = 50;
    const EARLY: usize = 5;
    report.say(
        "A network that has learnt too little makes many mistakes, on the points that it\n\
         was trained with and on others: it underfits. One that has learnt for too long\n\
         knows its own points by heart, noise and all. Its error on them is small, and\n\
         on others it grows again: it overfits. In between lies the best number of\n\
         epochs.\n\n\
         So after every epoch one looks at both errors. The training error goes on\n\
         falling. The test error falls, and then rises again. The lowest point is where\n\
         to stop. It is known only afterwards, so one keeps the best network, and gives\n\
         up when it has not been beaten for a while. That is early stopping. Here we go\n\
         on, to see what comes.",
    )?;
    let points = data::moons(200, 0.4, 1)?;
    let (train, test) = points.split(0.7, SEED)?;
    let (train_marked, test_marked) = (marked(&train)?, marked(&test)?);
    // Adam is gradient descent that finds a step of its own for each weight.
    let mut trainer = Deep::<32>::trainer(Adam::new(0.01)).seed(SEED).build()?;
    let all_at_once = train.len();
    let window = window();

    let mut training = Training { train_errors: vec![], test_errors: vec![], best: 0, given_up: 0 };
    let mut lowest = f64::INFINITY;
    let (mut early, mut best, mut last) = (None, None, None);
    for epoch in 1..=EPOCHS {
        trainer.fit(&train_marked, Fit::epochs(1).batch_size(all_at_once))?;
        let model = trainer.model();
        training.train_errors.push(model.evaluate(&train_marked)?.loss());
        let test_error = model.evaluate(&test_marked)?.loss();
        training.test_errors.push(test_error);
        // Instead of the network itself, what it answers all over the plane.
        let answers = model.predict(deep::Input { x: window.view() })?.probability;
        if test_error < lowest {
            lowest = test_error;
            training.best = epoch;
            best = Some(answers.clone());
        }
        if training.given_up == 0 && epoch - training.best == PATIENCE {
            training.given_up = epoch;
        }
        match epoch {
            EARLY => early = Some(answers),
            EPOCHS => last = Some(answers),
            _ => {}
        }
    }
    let best_epoch = training.best;
    let stages =
        [("underfitting", EARLY, early), ("best", best_epoch, best), ("overfitting", EPOCHS, last)];
    report.say("\n                 epoch   train error   test error")?;
    let mut picture = Panels::new("one network, earlier and later").size(1300, 460);
    for (name, epoch, answers) in stages {
        let [train_error, test_error] =
            [&training.train_errors, &training.test_errors].map(|errors| errors[epoch - 1]);
        report.say(format!("  {name:<12} {epoch:>7} {train_error:>13.3} {test_error:>12.3}"))?;
        if let Some(answers) = answers {
            let title = format!("{name}: epoch {epoch}");
            picture = picture.panel(regions(plane(&title, &train), answers)?);
        }
    }
    save(report, "2_fitting", &picture)?;
    let curves = Curves::new("training error and test error")
        .y("cross entropy")
        .series("train", &training.train_errors)
        .series("test", &training.test_errors)
        .stop_at(best_epoch as f64);
    report.say(format!("\n{}\n", curves.to_text(76, 18)?))?;
    save(report, "2_early_stopping", &curves)?;
    report.say(format!(
        "\n\
         The test error was lowest after epoch {best_epoch}. With a patience of\n\
         {PATIENCE} epochs training would have ended at epoch {}, and gone back to the\n\
         network of epoch {best_epoch}. As the test points have now had a word in this,\n\
         an honest last test needs others still.",
        training.given_up,
    ))?;
    Ok(training)
}

fn summary(report: &mut Report<'_>, findings: &Findings) -> Result<()> {
    report.part("In short")?;
    let Findings { mistakes, likelihoods, descent, accuracies, training } = findings;
    let [first, last] = [descent.losses.first(), descent.losses.last()].map(|x| x.copied());
    let overfit = training.test_errors.last();
    report.say(format!(
        "  perceptron trick     {} mistakes at first, {} after {} epochs\n  \
         likelihood           {:.4} and {:.4}: the second model is better\n  \
         gradient descent     error from {:.3} to {:.3}, accuracy {:.2}\n  \
         its warnings         {} with learning rate 0.01, {} with 12\n  \
         two moons            accuracy {:.3} with a line, {:.3} with a bent border\n  \
         early stopping       test error {:.3} after epoch {}, {:.3} after {}",
        mistakes[0],
        mistakes[mistakes.len() - 1],
        mistakes.len() - 1,
        likelihoods[0],
        likelihoods[1],
        first.unwrap_or(f64::NAN),
        last.unwrap_or(f64::NAN),
        descent.accuracy,
        descent.warnings[0],
        descent.warnings[1],
        accuracies[0],
        accuracies[1],
        training.test_errors[training.best - 1],
        training.best,
        overfit.unwrap_or(&f64::NAN),
        training.test_errors.len(),
    ))?;
    Ok(())
}

/// The seed of weights and splits: the notebook's, though its generator is another one.
const SEED: u64 = 44;

/// The ends of both axes where answers for the moons are drawn.
const WINDOW: [(f64, f64); 2] = [(-2.2, 3.2), (-1.7, 2.2)];

/// The rows and columns of points in the window.
const CELLS: (usize, usize) = (90, 120);

/// Points all over the window.
fn window() -> Array2<f32> {
    grid(WINDOW[0], WINDOW[1], CELLS.0, CELLS.1)
}

/// A picture with a network's answers for the points of the window.
fn regions(picture: Plane, answers: Array1<f32>) -> Result<Plane> {
    Ok(picture.regions(answers.into_shape_with_order(CELLS)?.view(), WINDOW[0], WINDOW[1]))
}

/// A picture of points.
fn plane(title: &str, points: &Points) -> Plane {
    Plane::new(title).examples(points.x(), points.y(), &["class 0", "class 1"])
}

/// The same points with their classes as reals.
fn marked(points: &Points) -> Result<Marked> {
    Ok(points.clone().map_y(|y| y.mapv(|class| class as f32))?)
}

/// An epoch with a step for each record, in their order.
fn one_record_at_a_time<'v>() -> Fit<'v, f32, Ix2, f32, Ix1> {
    Fit::epochs(1).batch_size(1).shuffle(false)
}

/// Puts a picture into the folder, in both formats.
fn save(report: &mut Report<'_>, name: &str, picture: &impl Picture) -> Result<()> {
    for ending in ["svg", "png"] {
        let path = report.picture(&format!("{name}.{ending}"))?;
        picture.save(&path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_notebook_keeps_its_word() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        let findings = notebook(&mut report).unwrap();
        report.check(46);
        let Findings { mistakes, likelihoods, descent, accuracies, training } = findings;

        // The trick ends with a line that parts the classes, after one that did not.
        assert!(mistakes[0] > 50 && mistakes.ends_with(&[0]), "{mistakes:?}");
        assert!(likelihoods[1] > likelihoods[0]);

        assert_eq!(descent.losses.len(), 100);
        assert!(descent.losses.is_sorted_by(|a, b| a > b), "{:?}", descent.losses);
        assert!(descent.losses[99] < 0.5 * descent.losses[0]);
        assert!(descent.accuracy > 0.95, "{}", descent.accuracy);
        assert!(descent.warnings[0] == 0 && descent.warnings[1] > 0, "{:?}", descent.warnings);

        let [line, network] = accuracies;
        assert!(line < 0.9 && network > 0.98, "{accuracies:?}");

        let Training { train_errors, test_errors, best, given_up } = training;
        let lowest = test_errors.iter().copied().fold(f64::INFINITY, f64::min);
        let last = test_errors.len();
        assert_eq!((train_errors.len(), test_errors[best - 1]), (last, lowest));
        assert!(best < given_up && given_up < last, "{best}, {given_up}, {last}");
        assert!(train_errors[last - 1] < 0.5 * train_errors[best - 1]);
        assert!(test_errors[last - 1] > 1.5 * lowest, "overfitting");
        assert!(train_errors[0] > train_errors[best - 1], "underfitting");

        let mut again = Vec::new();
        notebook(&mut Report::new(&mut again)).unwrap();
        assert!(out == again, "it says the same each time");

        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("warning: the loss rises").count(), descent.warnings[1]);
        assert_eq!(text.matches("Train loss").count(), 2 * 10);
        let wide = text.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "lines fit a terminal");
        let pictures: Vec<&str> =
            text.lines().filter_map(|line| line.trim().strip_prefix("picture: ")).collect();
        assert_eq!(pictures.len(), 2 * 8);
        for picture in pictures {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(picture);
            let bytes = std::fs::read(&path).unwrap();
            let start: &[u8] = if picture.ends_with("png") { b"\x89PNG" } else { b"<svg" };
            assert!(bytes.starts_with(start) && bytes.len() > 4000, "{picture}");
        }
    }
}
