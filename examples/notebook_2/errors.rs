//! Sections 4 to 6: probabilities of several classes, likelihood and cross entropy.

use bilro::data::Dataset;
use bilro::ndarray::{Array1, Array2, array};
use bilro::plot::Panels;
use bilro::prelude::*;
use bilro::tensor;
use bilro_examples::Report;

use crate::{Result, labelled, plane, save};

network! {
    /// Scores of three classes as probabilities.
    pub struct Classes {
        input scores: [3];
        target class: class(3);
        output probability = softmax(scores);
        loss cross_entropy(scores, class);
    }
}

pub fn several_classes(report: &mut Report<'_>) -> Result<()> {
    report.section("4. Several classes")?;
    report.text(
        "For n classes there are n scores. They are to become n probabilities: positive,\n\
         adding up to 1, the larger the score the larger. Softmax takes e to the power\n\
         of each score, which is positive, and divides by the sum of all. Scores 2, 1\n\
         and 0 give 7.389, 2.718 and 1, whose sum is 11.107:",
    )?;
    let model = Classes::model().build()?;
    let scores = array![[2.0, 1.0, 0.0]];
    let p = model.predict(classes::Input { scores: scores.view() })?.probability;
    report.by_hand("7.389 / 11.107", p[(0, 0)].into(), "0.6652")?;
    report.by_hand("2.718 / 11.107", p[(0, 1)].into(), "0.2447")?;
    report.by_hand("    1 / 11.107", p[(0, 2)].into(), "0.0900")?;
    let two = tensor::softmax(&array![2.0f32, 0.0], 0)?;
    report.text("\nOf two classes with scores 2 and 0, the first has what sigmoid(2) was:")?;
    report.by_hand("softmax(2, 0)", two[0].into(), "0.8808")?;

    report.text(
        "\n\
         Classes have no order: a cat is not twice a dog. So class number c becomes a\n\
         vector with an element for each class, 1 at index c and 0 elsewhere. That is\n\
         one-hot encoding. Dog, cat, bird, dog, which are 0, 1, 2, 0:",
    )?;
    let animals = Dataset::new(Array2::<f32>::zeros((4, 1)), array![0, 1, 2, 0])?.one_hot(3)?;
    report.text(animals.y())?;
    Ok(())
}

network! {
    /// A neuron whose output is the probability of class 1.
    pub struct Neuron {
        input x: [2];
        target y: [];
        // 1/√n for n = 2 inputs.
        param w: [2] = normal(0.0, 0.70710678);
        param b: [] = zeros;

        output probability = sigmoid(x.matmul(w) + b);
        // -y · ln(probability) - (1 - y) · ln(1 - probability)
        loss binary_cross_entropy(probability, y);
        metric accuracy = 1 - abs(step(probability - 0.5) - y);
    }
}

/// A neuron with these weights.
pub fn neuron_of(w: [f32; 2], b: f32) -> Result<Model<Neuron>> {
    let mut model = Neuron::model().build()?;
    let mut params = model.params_mut();
    params.w.assign(&array![w[0], w[1]]);
    params.b.fill(b);
    Ok(model)
}

pub fn maximum_likelihood(report: &mut Report<'_>) -> Result<[f64; 2]> {
    report.section("5. Which of two models is better? Maximum likelihood")?;
    report.text(
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
    let labelled = labelled(&points)?;
    let ln3 = 3f32.ln();
    let mut models = [neuron_of([ln3, 0.0], 0.0)?, neuron_of([0.0, ln3], 0.0)?];
    let mut likelihoods = [0.0; 2];
    for (model, likelihood) in models.iter_mut().zip(&mut likelihoods) {
        let p = model.predict(neuron::Input { x: labelled.x() })?.probability;
        let of_class = |(&p, &y): (&f32, &f32)| f64::from(if y == 1.0 { p } else { 1.0 - p });
        *likelihood = p.iter().zip(labelled.y()).map(of_class).product();
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
    save(report, "notebook_2_two_models", &picture)?;

    report.section("6. Cross entropy")?;
    report.text("A product of many small factors underflows. A thousand times 0.9:")?;
    let factors = Array1::from_elem(1000, 0.9f32);
    report.by_hand("product of 1000 factors 0.9", factors.product().into(), "0")?;
    report.by_hand("sum of their -ln", f64::from(-factors.ln().sum()), "105.4")?;
    report.text(
        "\n\
         So one takes logarithms, which turn the product into a sum. Logarithms of\n\
         numbers below 1 are negative; minus signs make them errors, the smaller the\n\
         better. The sum is the cross entropy: large if something happens that the model\n\
         finds improbable. -ln 0.9 = 0.1054, -ln 0.75 = 0.2877 and -ln 0.25 = 1.3863, so:",
    )?;
    let [a, b] = &mut models;
    let count = labelled.len() as f64;
    let entropies = [a.evaluate(&labelled)?.loss() * count, b.evaluate(&labelled)?.loss() * count];
    report.by_hand("A: 2 * 0.1054 + 2 * 1.3863", entropies[0], "2.9833")?;
    report.by_hand("B: 3 * 0.2877 + 0.1054", entropies[1], "0.9684")?;
    report.by_hand("A: e^-2.9833 is its likelihood", (-entropies[0]).exp(), "0.0506")?;
    report.text(
        "\n\
         One formula covers both classes, without an if. With y for the class, 1 or 0,\n\
         and p for the probability of class 1, the error of a point is\n\n    \
         -y ln p - (1 - y) ln(1 - p)\n\n\
         and the term of the other class is 0. The error of all points is the mean. For\n\
         n classes it is -ln of the probability of the true class, which the one-hot\n\
         vector selects. With the scores 2, 1, 0 from above, the error is -ln 0.6652 for\n\
         a dog, and -ln 0.0900 for a bird:",
    )?;
    let model = Classes::model().build()?;
    let scores = array![[2.0, 1.0, 0.0]];
    for (name, class, error) in [("a dog", 0, "0.4076"), ("a bird", 2, "2.4076")] {
        let class = array![class];
        let batch = classes::Batch { scores: scores.view(), class: class.view() };
        report.by_hand(name, model.evaluate_batch(batch)?.loss(), error)?;
    }
    Ok(likelihoods)
}
