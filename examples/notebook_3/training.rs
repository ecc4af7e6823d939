//! A hundred epochs over random examples, accuracies, and what becomes of
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
    report.part("Training data")?;
    report.say(
        "Ten batches of ten random images, with ten random numbers each as targets. There\n\
         is nothing to understand in them, they can only be learned by heart.\n",
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
        report.say(format!("  {:?} {:?}", batch.x().dim(), batch.y().dim()))?;
    }
    report.figure("batches", data.batches(10)?.len() as f64, "10")?;
    Ok(data)
}

/// What a training has come to.
pub(crate) struct Training {
    /// Mean losses of the epochs.
    pub losses: Vec<f64>,
    /// The share of examples whose largest output is where the target's largest
    /// number is.
    pub accuracy: f64,
    /// The same of batches, of whose hundred numbers the largest is looked for.
    pub of_batches: f64,
}

pub(crate) fn training(
    report: &mut Report<'_>,
    data: &Examples,
    generator: &mut Generator,
) -> Result<(Training, Training)> {
    report.part("Training")?;
    report.say(
        "A hundred times through the ten batches, a step of SGD with learning rate 0.01\n\
         on each: a loop, of which `trainer.fit` is the short form.\n",
    )?;
    let mut trainer = Net::trainer(Sgd::new(LEARNING_RATE)).seed(WEIGHTS).build()?;
    let mut losses = Vec::new();
    for epoch in 1..=100 {
        let mut sum = 0.0;
        for batch in data.batches(10)? {
            sum += f64::from(trainer.step(net::Batch { image: batch.x(), wanted: batch.y() })?);
        }
        losses.push(sum / 10.0);
        if epoch == 1 || epoch % 10 == 0 {
            report.say(format!("  epoch {epoch:>3}   loss {:.4}", sum / 10.0))?;
        }
    }
    let model = trainer.into_model();
    let trained = Training {
        losses,
        accuracy: accuracy(&model, data)?,
        of_batches: accuracy_of_batches(&model, data)?,
    };

    report.part("Accuracy, without gradients")?;
    let fresh = Dataset::new(generator.randn((500, 64 * 64)), generator.randn((500, 10)))?;
    report.say(format!(
        "`predict` computes outputs and no gradients, so nothing has to be switched off.\n\
         For each example, the place of the largest output is compared with that of the\n\
         target's largest number:\n\n  \
         untrained network                {:>6.2}\n  \
         trained, on what it was taught   {:>6.2}\n  \
         trained, on 500 new examples     {:>6.2}\n\n\
         With ten places, chance is 0.10. What was learned by heart is known; about new\n\
         examples the network has learned nothing, for there was nothing to learn.\n\n\
         The notebook finds 0.1, but counts otherwise: its argmax names no axis, and so\n\
         compares the one largest of a batch's hundred outputs with the one largest of\n\
         its hundred targets, ten comparisons in all. Counted so, this network has\n\
         {:.1}.",
        accuracy(&Net::model().seed(WEIGHTS).build()?, data)?,
        trained.accuracy,
        accuracy(&model, &fresh)?,
        trained.of_batches,
    ))?;

    report.part("Gradients that pile up")?;
    report.say(
        "The notebook's loop does one thing more, by leaving one out: it never clears the\n\
         gradients, so each step goes by the sum of all gradients so far. That is\n\
         momentum that never fades. With bilro it does not happen unseen; here it is done\n\
         by hand, as the delta rule was above:\n",
    )?;
    let (piled_up, ends) = with_gradients_piled_up(data)?;
    report.say(format!(
        "  gradients      loss at the end   accuracy\n  \
         of each step   {:>15.4}   {:>8.2}\n  \
         piled up       {:>15.4}   {:>8.2}\n",
        trained.losses[99], trained.accuracy, piled_up.losses[99], piled_up.accuracy
    ))?;
    report.say(format!(
        "The steps grow, and the loss falls faster: {:.0} % of the outputs are now less\n\
         than 0.001 from 0 or 1, where the sigmoid is flat, and so the gradients almost\n\
         0; there they stay. Many targets are below 0 or above 1, where no sigmoid comes:\n\
         with outputs of 0 to 1 no loss is below {:.4}. But among several outputs of 1\n\
         none is the largest, which is so in {:.0} % of the examples, and costs the\n\
         accuracy.\n",
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
    report.say(format!("\n{}", picture.to_text(80, 20)?))?;
    Ok((trained, piled_up))
}

/// How many outputs are at the ends of the sigmoid, as shares.
struct Ends {
    /// Outputs less than 0.001 from 0 or 1.
    flat: f64,
    /// Examples of which several outputs are the largest.
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
    let squares = data.y().mapv(|wanted| (wanted - wanted.clamp(0.0, 1.0)).powi(2));
    f64::from(tensor::mean(&squares))
}

/// The same training, in which no gradient is ever cleared.
fn with_gradients_piled_up(data: &Examples) -> Result<(Training, Ends)> {
    let mut model = Net::model().seed(WEIGHTS).build()?;
    let mut pile: HashMap<String, ArrayD<f32>> = HashMap::new();
    let mut losses = Vec::new();
    for _ in 1..=100 {
        let mut sum = 0.0;
        for batch in data.batches(10)? {
            let found = model.gradients(net::Batch { image: batch.x(), wanted: batch.y() })?;
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
    let of_batches = accuracy_of_batches(&model, data)?;
    let found = model.predict(net::Input { image: data.x() })?.found;
    Ok((Training { losses, accuracy, of_batches }, Ends::of(&found)))
}

/// The share of examples whose largest output is where the target's largest
/// number is.
fn accuracy(model: &Model<Net>, data: &Examples) -> Result<f64> {
    let found = model.predict(net::Input { image: data.x() })?.found;
    Ok(metrics::accuracy(&found, &tensor::argmax(&data.y(), -1)?)?)
}

/// The notebook's way: the largest of all numbers of a batch.
fn accuracy_of_batches(model: &Model<Net>, data: &Examples) -> Result<f64> {
    let mut same = 0;
    for batch in data.batches(10)? {
        let found = model.predict(net::Input { image: batch.x() })?.found.flatten().to_owned();
        let wanted = batch.y().flatten().to_owned();
        same += usize::from(tensor::argmax(&found, 0)? == tensor::argmax(&wanted, 0)?);
    }
    Ok(same as f64 / data.batches(10)?.len() as f64)
}
