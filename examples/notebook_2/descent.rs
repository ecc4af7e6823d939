//! Parts 7 and 8: down the gradient, a step and a hundred epochs.

use bilro::ndarray::array;
use bilro::plot::Curves;
use bilro::prelude::*;
use bilro_examples::Report;

use crate::errors::{Neuron, neuron, neuron_of};
use crate::{Labelled, Result, SEED, labelled, one_record_at_a_time, plane, save};

pub fn one_step(report: &mut Report<'_>) -> Result<()> {
    report.section("7. A step of gradient descent")?;
    report.text(
        "A derivative is the rate at which a function changes. A partial derivative is\n\
         that for one variable while the others are constant. All of them together are\n\
         the gradient, the direction in which the function rises fastest. So the weights\n\
         move a little the other way: each minus the learning rate times its derivative.\n\
         If the gradient is large, the step is long; near the minimum both are small.\n\n\
         For the sigmoid and the cross entropy the derivatives are simple: (p - y) times\n\
         the input, and p - y for the bias. With all weights 0, p is 0.5. A point (1, 2)\n\
         of class 1 has p - y = -0.5:",
    )?;
    let mut trainer = neuron_of([0.0, 0.0], 0.0)?.into_trainer(Sgd::new(0.01)).build()?;
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

    report.text(
        "\n\
         This looks like the perceptron trick, but every point contributes, in proportion\n\
         to its error. Points on the wrong side move the line closer; points on the right\n\
         side move it away, the less the farther it is.\n\n\
         The weights 1 and 0 and the bias 0 draw the vertical axis. The point (ln 3, 0)\n\
         has the score ln 3 = 1.0986, which is also its distance from the line, and\n\
         p = 0.75. If it is of class 1, a learning rate of 0.1 gives\n\n  \
         weight 1 = 1 + 0.1 * 0.25 * 1.0986 = 1.0275, bias = 0.1 * 0.25 = 0.025\n\n\
         and the line, where the score is 0, moves 0.025 / 1.0275 to the left. If it is\n\
         of class 0,\n\n  \
         weight 1 = 1 - 0.1 * 0.75 * 1.0986 = 0.9176, bias = -0.1 * 0.75 = -0.075\n\n\
         and the line moves 0.075 / 0.9176 to the right. The distances are then:",
    )?;
    let x = array![[3f32.ln(), 0.0]];
    for (name, class, worked_out) in [
        ("right side: 1.0986 + 0.025 / 1.0275", 1.0, "1.1229"),
        ("wrong side: 1.0986 - 0.075 / 0.9176", 0.0, "1.0169"),
    ] {
        let mut trainer = neuron_of([1.0, 0.0], 0.0)?.into_trainer(Sgd::new(0.1)).build()?;
        let y = array![class];
        trainer.step(neuron::Batch { x: x.view(), y: y.view() })?;
        let params = trainer.model().params();
        let distance = (x.row(0).dot(&params.w) + params.b[()]) / params.w[0].hypot(params.w[1]);
        report.by_hand(name, distance.into(), worked_out)?;
    }
    Ok(())
}

/// Results of gradient descent.
pub struct Descent {
    /// The loss after each epoch.
    pub losses: Vec<f64>,
    pub accuracy: f64,
    /// Number of printed rises of the loss, with a small learning rate and with one that is too
    /// large.
    pub warnings: [usize; 2],
}

pub fn gradient_descent(report: &mut Report<'_>) -> Result<Descent> {
    report.section("8. Gradient descent")?;
    let points = data::blobs(100, &[[0.3, 0.7], [0.7, 0.3]], 0.15, 5)?;
    let labelled = labelled(&points)?;
    let mut trainer = Neuron::trainer(Sgd::new(0.01)).seed(SEED).build()?;
    report.text(
        "100 points of two classes that overlap a little. As in the notebook, a step is\n\
         made for one record at a time, and weights start at random, with a standard\n\
         deviation of 1 / √n for n inputs: so the size of scores does not depend on n.",
    )?;
    report.figure("learning rate", trainer.learning_rate().into(), "0.01")?;
    let mut picture = plane("gradient descent", &points);
    let (losses, warnings) = descend(report, &mut trainer, &labelled, |model| {
        let params = model.params();
        picture = picture.clone().line([params.w[0], params.w[1]], params.b[()]);
    })?;
    report.figure("epochs", losses.len() as f64, "100")?;
    let accuracy = trainer.model().evaluate(&labelled)?.accuracy();
    save(report, "notebook_2_gradient_descent", &picture)?;
    let curve = Curves::new("error while descending").y("cross entropy").series("train", &losses);
    report.text(format!("\n{}\n", curve.to_text(76, 16)?))?;
    save(report, "notebook_2_gradient_descent_error", &curve)?;

    report.text(
        "\n\
         With a learning rate far too large, steps cross the valley and end higher on\n\
         the other side. The warning shows it. The same with 12 instead of 0.01:",
    )?;
    let mut trainer = Neuron::trainer(Sgd::new(12.0)).seed(SEED).build()?;
    let (_, too_many) = descend(report, &mut trainer, &labelled, |_| ())?;
    Ok(Descent { losses, accuracy, warnings: [warnings, too_many] })
}

/// Trains for 100 epochs, one record at a time, and prints every tenth. Returns the loss after each
/// epoch, and the number of warnings.
fn descend(
    report: &mut Report<'_>,
    trainer: &mut Trainer<Neuron>,
    points: &Labelled,
    mut observe: impl FnMut(&Model<Neuron>),
) -> Result<(Vec<f64>, usize)> {
    const EPOCHS: usize = 100;
    // The steps of an epoch have losses of a changing model. The printed loss is that of all points
    // after the epoch.
    let fit = one_record_at_a_time(EPOCHS).evaluate_train(true);
    let history = trainer.fit_with(points, fit, |trainer, _| observe(trainer.model()))?;
    let after: Vec<_> = history.epochs.iter().filter_map(|epoch| epoch.train.as_ref()).collect();
    let losses = after.iter().map(|after| after.loss).collect();
    let mut warnings = 0;
    let mut last_loss = f64::INFINITY;
    for (epoch, after) in after.iter().enumerate().step_by(EPOCHS / 10) {
        let rises = after.loss > last_loss;
        let warning = if rises { "   warning: the loss rises" } else { "" };
        let accuracy = after.metric("accuracy").unwrap_or(f64::NAN);
        report.text(format!(
            "  epoch {epoch:>2}   Train loss {:.4}   accuracy {accuracy:.2}{warning}",
            after.loss
        ))?;
        warnings += usize::from(rises);
        last_loss = after.loss;
    }
    Ok((losses, warnings))
}
