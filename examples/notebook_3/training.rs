//! A hundred epochs over random examples, accuracies, and the effect of
//! gradients that are never cleared.

use std::collections::HashMap;

use bilro::data::{Dataset, Regression};
use bilro::ndarray::{Array2, ArrayD, Axis, concatenate};
use bilro::plot::Curves;
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro::{metrics, tensor};
use bilro_examples::Report;

use crate::{LEARNING_RATE, Net, Result, WEIGHTS, net, step_by_hand};

/// Images with ten numbers each.
pub(crate) type Examples = Regression;

pub(crate) fn examples(report: &mut Report<'_>, generator: &mut Generator) -> Result<Examples> {
    report.section("Training data")?;
    report.text(
        "Ten batches of ten random images, with ten random numbers each as targets. They\n\
         have no structure, and can only be memorised.\n",
    )?;
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        x.push(generator.randn((10, 64 * 64)));
        y.push(generator.randn((10, 10)));
    }
    let views = |arrays: &[Array2<f32>]| {
        concatenate(Axis(0), &arrays.iter().map(|a| a.view()).collect::<Vec<_>>())
    };
    let data = Dataset::new(views(&x)?, views(&y)?)?;
    for batch in data.batches(10)? {
        report.text(format!("  {:?} {:?}", batch.x().dim(), batch.y().dim()))?;
    }
    report.figure("batches", data.batches(10)?.len() as f64, "10")?;
    Ok(data)
}

/// Results of a training.
pub(crate) struct Training {
    /// Mean losses of the epochs.
    pub losses: Vec<f64>,
    /// The fraction of examples whose largest output has the index of the
    /// target's largest number.
    pub accuracy: f64,
    /// The same per batch, with the largest of its hundred numbers.
    pub batch_accuracy: f64,
}

pub(crate) fn training(
    report: &mut Report<'_>,
    data: &Examples,
    generator: &mut Generator,
) -> Result<(Training, Training)> {
    report.section("Training")?;
    report.text(
        "A hundred passes over the ten batches, with a step of SGD with learning rate\n\
         0.01 on each: a loop, of which `trainer.fit` is the short form.\n",
    )?;
    let mut trainer = Net::trainer(Sgd::new(LEARNING_RATE)).seed(WEIGHTS).build()?;
    let mut losses = Vec::new();
    for epoch in 1..=100 {
        let mut sum = 0.0;
        for batch in data.batches(10)? {
            sum += f64::from(trainer.step(net::Batch { image: batch.x(), expected: batch.y() })?);
        }
        losses.push(sum / 10.0);
        if epoch == 1 || epoch % 10 == 0 {
            report.text(format!("  epoch {epoch:>3}   loss {:.4}", sum / 10.0))?;
        }
    }
    let model = trainer.into_model();
    let trained = Training {
        losses,
        accuracy: accuracy(&model, data)?,
        batch_accuracy: batch_accuracy(&model, data)?,
    };

    report.section("Accuracy, without gradients")?;
    let fresh = Dataset::new(generator.randn((500, 64 * 64)), generator.randn((500, 10)))?;
    report.text(format!(
        "`predict` computes outputs and no gradients, so nothing has to be switched off.\n\
         For each example, the index of the largest output is compared with that of the\n\
         target's largest number:\n\n  \
         untrained network                {:>6.2}\n  \
         trained, on its own examples     {:>6.2}\n  \
         trained, on 500 new examples     {:>6.2}\n\n\
         With ten indices, chance is 0.10. The network has memorised its examples; about\n\
         new ones it has learned nothing, for there was nothing to learn.\n\n\
         The notebook finds 0.1, but counts differently: its argmax has no axis, and so\n\
         compares the largest of a batch's hundred outputs with the largest of its\n\
         hundred targets, ten comparisons in all. Counted so, this network has {:.1}.",
        accuracy(&Net::model().seed(WEIGHTS).build()?, data)?,
        trained.accuracy,
        accuracy(&model, &fresh)?,
        trained.batch_accuracy,
    ))?;

    report.section("Gradients that pile up")?;
    report.text(
        "The notebook's loop differs in one point: it never clears the gradients, so each\n\
         step uses the sum of all gradients so far. That is momentum that never fades.\n\
         With bilro it cannot happen by mistake; here it is done by hand, as the delta\n\
         rule was above:\n",
    )?;
    let (piled_up, ends) = with_gradients_piled_up(data)?;
    report.text(format!(
        "  gradients      loss at the end   accuracy\n  \
         of each step   {:>15.4}   {:>8.2}\n  \
         piled up       {:>15.4}   {:>8.2}\n",
        trained.losses[99], trained.accuracy, piled_up.losses[99], piled_up.accuracy
    ))?;
    report.text(format!(
        "The steps grow, and the loss falls faster: {:.0} % of the outputs are now less\n\
         than 0.001 from 0 or 1, where the sigmoid is flat and the gradients are almost\n\
         0, so they stay there. Many targets are below 0 or above 1, out of a sigmoid's\n\
         range: with outputs from 0 to 1 no loss is below {:.4}. But several outputs of\n\
         1 have no largest one, which is the case in {:.0} % of the examples, and lowers\n\
         the accuracy.\n",
        100.0 * ends.flat,
        least_loss(data),
        100.0 * ends.ties,
    ))?;
    let picture = Curves::new("A hundred epochs of SGD on random examples")
        .y("mean squared error")
        .series("gradients of each step", &trained.losses)
        .series("gradients that pile up", &piled_up.losses);
    picture.save(report.picture("notebook_3_training.svg")?)?;
    picture.save(report.picture("notebook_3_training.png")?)?;
    report.text(format!("\n{}", picture.to_text(80, 20)?))?;
    Ok((trained, piled_up))
}

/// Fractions of outputs at the ends of the sigmoid.
struct Ends {
    /// Outputs less than 0.001 from 0 or 1.
    flat: f64,
    /// Examples with several largest outputs.
    ties: f64,
}

impl Ends {
    fn of(found: &Array2<f32>) -> Ends {
        let flat = found.iter().filter(|x| x.min(1.0 - **x) < 0.001).count();
        let tied = found.outer_iter().filter(|row| {
            let largest = row.iter().copied().fold(0.0, f32::max);
            row.iter().filter(|x| **x == largest).count() > 1
        });
        Ends {
            flat: flat as f64 / found.len() as f64,
            ties: tied.count() as f64 / found.nrows() as f64,
        }
    }
}

/// The loss of outputs that are as near to the targets as 0 to 1 allows.
pub(crate) fn least_loss(data: &Examples) -> f64 {
    let squares = data.y().mapv(|expected| (expected - expected.clamp(0.0, 1.0)).powi(2));
    f64::from(tensor::mean(&squares))
}

/// The same training without clearing gradients.
fn with_gradients_piled_up(data: &Examples) -> Result<(Training, Ends)> {
    let mut model = Net::model().seed(WEIGHTS).build()?;
    let mut pile: HashMap<String, ArrayD<f32>> = HashMap::new();
    let mut losses = Vec::new();
    for _ in 1..=100 {
        let mut sum = 0.0;
        for batch in data.batches(10)? {
            let found = model.gradients(net::Batch { image: batch.x(), expected: batch.y() })?;
            sum += f64::from(found.loss);
            for (name, gradient) in found.named() {
                match pile.get_mut(name) {
                    Some(sum) => *sum += &gradient,
                    None => {
                        pile.insert(name.to_string(), gradient.to_owned());
                    }
                }
            }
            step_by_hand(&mut model, |name| pile.get(name).map(|sum| sum.view()));
        }
        losses.push(sum / 10.0);
    }
    let accuracy = accuracy(&model, data)?;
    let batch_accuracy = batch_accuracy(&model, data)?;
    let found = model.predict(net::Input { image: data.x() })?.found;
    Ok((Training { losses, accuracy, batch_accuracy }, Ends::of(&found)))
}

/// The fraction of examples whose largest output has the index of the target's
/// largest number.
fn accuracy(model: &Model<Net>, data: &Examples) -> Result<f64> {
    let found = model.predict(net::Input { image: data.x() })?.found;
    Ok(metrics::accuracy(&found, &tensor::argmax(&data.y(), -1)?)?)
}

/// The notebook's way: the largest of all numbers of a batch.
fn batch_accuracy(model: &Model<Net>, data: &Examples) -> Result<f64> {
    let mut same = 0;
    for batch in data.batches(10)? {
        let found = model.predict(net::Input { image: batch.x() })?.found.flatten().to_owned();
        let expected = batch.y().flatten().to_owned();
        same += usize::from(tensor::argmax(&found, 0)? == tensor::argmax(&expected, 0)?);
    }
    Ok(same as f64 / data.batches(10)?.len() as f64)
}
