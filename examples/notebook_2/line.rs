//! Sections 1 to 3: a neuron, how it learns from its mistakes, and why it needs a smooth error.

use bilro::ndarray::{Array1, array};
use bilro::plot::Curves;
use bilro::prelude::*;
use bilro_examples::Report;

use crate::{Result, labelled, one_record_at_a_time, plane, save};

network! {
    /// A neuron whose output is 0 or 1.
    pub struct Perceptron {
        input x: [2];
        target y: [];
        param w: [2] = normal(0.0, 0.70710678);
        param b: [] = zeros;

        let score = x.matmul(w) + b;
        output answer = step(score);
        // The step has gradient 0, so `answer - y` is a constant for the gradient: 0 if the answer
        // is right, else 1 or -1. The gradient of the product is this constant times `x`.
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

pub fn neuron(report: &mut Report<'_>) -> Result<()> {
    report.section("1. A neuron")?;
    report.text(
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
    report.text(
        "\n\
         Neurons of a brain gave the idea: dendrites bring signals in, the cell adds\n\
         them up, and the axon fires or does not.\n\n\
         The points of score 0 are a line. A neuron with two inputs divides the plane by\n\
         it.",
    )?;
    Ok(())
}

pub fn perceptron_trick(report: &mut Report<'_>) -> Result<Vec<usize>> {
    report.section("2. The perceptron trick")?;
    report.text(
        "A line learns from the points on its wrong side. If a point should be 1 and the\n\
         answer is 0, its coordinates, times a small learning rate, are added to the\n\
         weights, and the learning rate itself to the bias. If it should be 0 and the\n\
         answer is 1, they are subtracted. Each time the line comes a little closer to\n\
         the point, until it has passed over it. Points on the right side change\n\
         nothing.\n\n\
         The neuron from above says yes to (3, 1). Were that wrong, a learning rate of\n\
         0.1 would make the weights 0.5 - 0.3 and -1 - 0.1, and the bias -0.2 - 0.1:",
    )?;
    let mut trainer = perceptron([0.5, -1.0], -0.2)?.into_trainer(Sgd::new(0.1)).build()?;
    let (x, y) = (array![[3.0, 1.0]], array![0.0]);
    trainer.step(perceptron::Batch { x: x.view(), y: y.view() })?;
    let params = trainer.model().params();
    report.by_hand("weight 1 after the trick", params.w[0].into(), "0.2")?;
    report.by_hand("weight 2 after the trick", params.w[1].into(), "-1.1")?;
    report.by_hand("bias after the trick", params.b[()].into(), "-0.3")?;

    let points = data::blobs(100, &[[0.3, 0.7], [0.7, 0.3]], 0.08, 24)?;
    let labelled = labelled(&points)?;
    // A seed whose first line has the classes on the wrong sides.
    let mut trainer = Perceptron::trainer(Sgd::new(0.01)).seed(47).build()?;
    let mut picture = plane("the perceptron trick", &points);
    let mut mistakes = vec![];
    for _ in 0..100 {
        let model = trainer.model();
        let wrong = 1.0 - model.evaluate(&labelled)?.accuracy();
        mistakes.push((wrong * labelled.len() as f64).round() as usize);
        let params = model.params();
        picture = picture.line([params.w[0], params.w[1]], params.b[()]);
        if mistakes.last() == Some(&0) {
            break;
        }
        trainer.fit(&labelled, one_record_at_a_time(1))?;
    }
    report.text(format!(
        "\n\
         Now 100 points of two classes, one after the other, with a learning rate of\n\
         0.01. The weights start at random, the bias at 0. A pass over all points is an\n\
         epoch. Points on the wrong side, at first and after each epoch:\n  \
         {mistakes:?}\n\
         With none left nothing moves any more: any line that separates the classes will\n\
         do."
    ))?;
    save(report, "notebook_2_perceptron_trick", &picture)?;
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

pub fn step_and_sigmoid(report: &mut Report<'_>) -> Result<()> {
    report.section("3. From a step to a probability")?;
    report.text(
        "Learning goes downhill: it needs the change of the error for a small change of a\n\
         weight. The number of mistakes does not have it. Mostly it does not change at\n\
         all, and then it jumps; its slope is 0 wherever it has one. The error must be\n\
         continuous, with a slope everywhere. So the answer must be continuous, too.\n\n\
         Weights (1, -1) leave a point (1, 2) of class 1 on the wrong side. The slopes\n\
         of the number of mistakes have no direction:",
    )?;
    let mut counting = Counting::model().build()?;
    counting.params_mut().w.assign(&array![1.0, -1.0]);
    let (x, y) = (array![[1.0, 2.0]], array![1.0]);
    let slopes = counting.gradients(counting::Batch { x: x.view(), y: y.view() })?;
    report.by_hand("mistakes", slopes.loss.into(), "1")?;
    report.by_hand("slope along weight 1", slopes.w[0].into(), "0")?;
    report.by_hand("slope along weight 2", slopes.w[1].into(), "0")?;
    report.text(
        "\n\
         The sigmoid, 1 / (1 + e^-score), is a step made smooth. It goes from 0 to 1 and\n\
         is read as the probability of class 1: far on one side of the line it is nearly\n\
         1, far on the other nearly 0. On the line, where the score is 0, it is one half:\n\
         from there on the answer is 1. With e^-2 = 0.1353:",
    )?;
    let model = Answers::model().build()?;
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
    save(report, "notebook_2_step_and_sigmoid", &picture)
}
