//! Sections 9 to 12: several layers, curved borders, and when to stop training.

use bilro::data::Classification;
use bilro::ndarray::array;
use bilro::plot::{Curves, Panels};
use bilro::prelude::*;
use bilro::{Epoch, Stop, Validation};
use bilro_examples::Report;

use crate::errors::{Neuron, neuron};
use crate::{Result, SEED, labelled, plane, regions, save, window};

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

pub fn feed_forward(report: &mut Report<'_>) -> Result<()> {
    report.section("9. Several layers, and feed-forward")?;
    report.text(
        "A neuron draws one line. But the outputs of neurons can be the inputs of another\n\
         one; weighted and added up, lines become a curved border. The neurons between\n\
         inputs and output are a hidden layer; a network with many of these is deep.\n\n    \
         x1 --.--> h1 --.\n         \
         X          +--> p\n    \
         x2 --'--> h2 --'\n\n\
         Feed-forward is how its output is computed: layer by layer, from the inputs. In\n\
         this one,\n\n  \
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
    report.text(
        "\n\
         The gradient is computed the other way, from the error to the inputs: each layer\n\
         multiplies the derivative of the layers after it by its own. That is\n\
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

pub fn bent_border(report: &mut Report<'_>) -> Result<[f64; 2]> {
    report.section("10. A border that bends")?;
    report.text(
        "Two moons reach into each other, and no line separates them. A neuron and a\n\
         network with 8 hidden ones, trained in the same way:",
    )?;
    let points = data::moons(200, 0.15, 1)?;
    let labelled = labelled(&points)?;
    let fit = || Fit::epochs(300).batch_size(10);

    let mut trainer = Neuron::trainer(Sgd::new(1.0)).seed(SEED).build()?;
    trainer.fit(&labelled, fit())?;
    let line = trainer.into_model();
    let mut trainer = Layers::<8>::trainer(Sgd::new(1.0)).seed(SEED).build()?;
    trainer.fit(&labelled, fit())?;
    let network = trainer.into_model();

    let accuracies =
        [line.evaluate(&labelled)?.accuracy(), network.evaluate(&labelled)?.accuracy()];
    report.text(format!("  accuracy of the neuron  {:.3}", accuracies[0]))?;
    report.text(format!("  accuracy of the network {:.3}", accuracies[1]))?;
    let window = window()?;
    let straight = line.predict(neuron::Input { x: window.view() })?.probability;
    let bent = network.predict(layers::Input { x: window.view() })?.probability;
    let picture = Panels::new("two moons")
        .panel(regions(plane("a neuron", &points), straight)?)
        .panel(regions(plane("8 hidden neurons", &points), bent)?)
        .size(1000, 460);
    save(report, "notebook_2_moons", &picture)?;
    Ok(accuracies)
}

pub fn splits(report: &mut Report<'_>) -> Result<()> {
    report.section("11. What to train with, and what to test with")?;
    report.text(
        "What counts is the error on unseen points. So some are set aside, at random, for\n\
         a test after training: usually 30 or 20 of 100.",
    )?;
    let points = data::moons(200, 0.15, 1)?;
    for (fraction, train_share, test_share) in [(0.7, "70", "30"), (0.8, "80", "20")] {
        let (train, test) = points.split(fraction, SEED)?;
        let percent = |split: &Classification| 100.0 * split.len() as f64 / points.len() as f64;
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

/// Errors of training and test, epoch by epoch.
pub struct Training {
    pub train_errors: Vec<f64>,
    pub test_errors: Vec<f64>,
    /// The epoch, counted from 1, that early stopping restored.
    pub best: usize,
    /// The epoch at which it stopped.
    pub stopped: usize,
    /// The test error of the restored network.
    pub restored: f64,
    /// Number of [`DRAWS`] in which it stopped before the lowest test error.
    pub too_soon: usize,
}

pub fn early_stopping(report: &mut Report<'_>) -> Result<Training> {
    report.section("12. Underfitting, overfitting, and when to stop")?;
    const EPOCHS: usize = 400;
    const PATIENCE: usize = 50;
    const EARLY: usize = 5;
    report.text(
        "A network that has learnt too little makes many mistakes, on its training points\n\
         and on others: it underfits. One that has learnt for too long memorises its\n\
         training points, noise included. Its error on them is small, and on others it\n\
         grows again: it overfits. The best number of epochs is in between.\n\n\
         So one measures both errors after every epoch. The training error keeps\n\
         falling. The test error falls, and then rises again. Training should stop at\n\
         the minimum. It is known only afterwards, so one saves the best network, and\n\
         stops when it has not improved for a while, the patience. That is early\n\
         stopping.",
    )?;
    let points = data::moons(200, 0.4, 11)?;
    let (train_points, test_points) = points.split(0.7, SEED)?;
    let (train, test) = (labelled(&train_points)?, labelled(&test_points)?);
    let window = window()?;
    let answers = |model: &Model<Deep<32>>| {
        model.predict(deep::Input { x: window.view() }).map(|output| output.probability)
    };
    // Adam is gradient descent with a step size per weight.
    let trainer = || Deep::<32>::trainer(Adam::new(0.01)).seed(SEED).build();
    // All points in one step, and both errors after it.
    let fit = || Fit::epochs(EPOCHS).batch_size(train.len()).evaluate_train(true).validate(&test);

    let mut early = trainer()?;
    let history = early.fit(&train, fit().early_stopping(PATIENCE))?;
    let Stop::Early { best_epoch: best } = history.stop else {
        return Err("the test error has not risen".into());
    };
    let stopped = history.epochs.len();
    let at_best = answers(early.model())?;
    let restored = early.model().evaluate(&test)?.loss();
    report.text(format!(
        "\n\
         With a patience of {PATIENCE}, training stops at epoch {stopped} and restores epoch\n\
         {best}. The same from the start, without stopping, shows the difference:\n\n                 \
         epoch   train error   test error"
    ))?;

    let mut endless = trainer()?;
    let mut at_early = None;
    let history = endless.fit_with(&train, fit(), |trainer, epoch| {
        if epoch.number == EARLY {
            at_early = Some(answers(trainer.model())?);
        }
        Ok(())
    })?;
    let at_end = answers(endless.model())?;
    let losses = |of: fn(&Epoch) -> &Option<Validation>| -> Vec<f64> {
        history.epochs.iter().filter_map(|epoch| of(epoch).as_ref()).map(|v| v.loss).collect()
    };
    let train_errors = losses(|epoch| &epoch.train);
    let test_errors = losses(|epoch| &epoch.validation);

    let mut picture = Panels::new("one network, earlier and later").size(1300, 460);
    for (name, epoch, answers) in [
        ("underfitting", EARLY, at_early),
        ("best", best, Some(at_best)),
        ("overfitting", EPOCHS, Some(at_end)),
    ] {
        let [train_error, test_error] = [&train_errors, &test_errors].map(|e| e[epoch - 1]);
        report.text(format!("  {name:<12} {epoch:>7} {train_error:>13.3} {test_error:>12.3}"))?;
        if let Some(answers) = answers {
            let title = format!("{name}: epoch {epoch}");
            picture = picture.panel(regions(plane(&title, &train_points), answers)?);
        }
    }
    save(report, "notebook_2_fitting", &picture)?;
    let curves = Curves::new("training error and test error")
        .y("cross entropy")
        .series("train", &train_errors)
        .series("test", &test_errors)
        .stop_at(best as f64);
    report.text(format!("\n{}\n", curves.to_text(76, 18)?))?;
    save(report, "notebook_2_early_stopping", &curves)?;
    let too_soon = too_soon(EPOCHS, PATIENCE)?;
    report.text(format!(
        "\n\
         These points were chosen because they show it clearly. With others the test\n\
         error fluctuates, and patience can run out before the minimum. Of {DRAWS} draws\n\
         of such points it did so in {too_soon}.\n\n\
         The test points have now decided when to stop. So an unbiased test needs\n\
         further points: that is why one often splits in three."
    ))?;
    Ok(Training { train_errors, test_errors, best, stopped, restored, too_soon })
}

/// Number of draws of the moons that test the patience.
pub const DRAWS: usize = 12;

/// Number of draws in which early stopping does not restore the epoch with the lowest test error of
/// all.
fn too_soon(epochs: usize, patience: usize) -> Result<usize> {
    let mut too_soon = 0;
    for seed in 1..=DRAWS as u64 {
        let (train, test) = data::moons(200, 0.4, seed)?.split(0.7, SEED)?;
        let (train, test) = (labelled(&train)?, labelled(&test)?);
        let fit = || Fit::epochs(epochs).batch_size(train.len()).validate(&test);
        let best_of = |fit| -> Result<Option<usize>> {
            let mut trainer = Deep::<32>::trainer(Adam::new(0.01)).seed(SEED).build()?;
            Ok(trainer.fit(&train, fit)?.best_epoch)
        };
        too_soon += usize::from(best_of(fit().early_stopping(patience))? != best_of(fit())?);
    }
    Ok(too_soon)
}
