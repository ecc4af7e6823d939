//! Parts 9 to 12: several layers, what bends their border, and when to stop training them.

use bilro::data::Classification;
use bilro::ndarray::array;
use bilro::plot::{Curves, Panels};
use bilro::prelude::*;
use bilro::{Epoch, Stop, Validation};
use bilro_examples::Report;

use crate::errors::{Neuron, neuron};
use crate::{Result, SEED, marked, plane, regions, save, window};

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

pub fn bent_border(report: &mut Report<'_>) -> Result<[f64; 2]> {
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
    let line = trainer.into_model();
    let mut trainer = Layers::<8>::trainer(Sgd::new(1.0)).seed(SEED).build()?;
    trainer.fit(&marked, fit())?;
    let network = trainer.into_model();

    let accuracies = [line.evaluate(&marked)?.accuracy(), network.evaluate(&marked)?.accuracy()];
    report.say(format!("  accuracy of the neuron  {:.3}", accuracies[0]))?;
    report.say(format!("  accuracy of the network {:.3}", accuracies[1]))?;
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
    report.part("11. What to train with, and what to test with")?;
    report.say(
        "What counts is how a network does on points that it has never seen. So some are\n\
         set aside, at random, for a test when training is done: usually 30 or 20 of\n\
         100.",
    )?;
    let points = data::moons(200, 0.15, 1)?;
    for (fraction, train_share, test_share) in [(0.7, "70", "30"), (0.8, "80", "20")] {
        let (train, test) = points.split(fraction, SEED)?;
        let percent = |part: &Classification| 100.0 * part.len() as f64 / points.len() as f64;
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
pub struct Training {
    pub train_errors: Vec<f64>,
    pub test_errors: Vec<f64>,
    /// The epoch, counted from 1, to which early stopping went back.
    pub best: usize,
    /// The epoch at which it gave up.
    pub given_up: usize,
    /// The test error of the network that it left.
    pub kept: f64,
    /// In how many of [`DRAWS`] draws of points it gave up before the lowest test error.
    pub too_soon: usize,
}

pub fn early_stopping(report: &mut Report<'_>) -> Result<Training> {
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
         up when it has not been beaten for a while, the patience. That is early\n\
         stopping.",
    )?;
    let points = data::moons(200, 0.4, 11)?;
    let (train_points, test_points) = points.split(0.7, SEED)?;
    let (train, test) = (marked(&train_points)?, marked(&test_points)?);
    let window = window()?;
    let answers = |model: &Model<Deep<32>>| {
        model.predict(deep::Input { x: window.view() }).map(|output| output.probability)
    };
    // Adam is gradient descent that finds a step of its own for each weight.
    let trainer = || Deep::<32>::trainer(Adam::new(0.01)).seed(SEED).build();
    // All points in one step, and both errors after it.
    let fit = || Fit::epochs(EPOCHS).batch_size(train.len()).evaluate_train(true).validate(&test);

    let mut stopped = trainer()?;
    let history = stopped.fit(&train, fit().early_stopping(PATIENCE))?;
    let Stop::Early { best_epoch: best } = history.stop else {
        return Err("the test error has not risen".into());
    };
    let given_up = history.epochs.len();
    let at_best = answers(stopped.model())?;
    let kept = stopped.model().evaluate(&test)?.loss();
    report.say(format!(
        "\n\
         With a patience of {PATIENCE}, training ends at epoch {given_up} and goes back to epoch\n\
         {best}. The same from the start once more, without stopping, shows what that has\n\
         spared us:\n\n                 \
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
        report.say(format!("  {name:<12} {epoch:>7} {train_error:>13.3} {test_error:>12.3}"))?;
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
    report.say(format!("\n{}\n", curves.to_text(76, 18)?))?;
    save(report, "notebook_2_early_stopping", &curves)?;
    let too_soon = too_soon(EPOCHS, PATIENCE)?;
    report.say(format!(
        "\n\
         These points were chosen because they show it clearly. With others the test\n\
         error goes up and down on its way, and patience can run out before the lowest\n\
         point. Of {DRAWS} draws of such points it did so in {too_soon}.\n\n\
         The test points have now had a word in when to stop. So an honest last test\n\
         needs others still: that is why one often splits in three."
    ))?;
    Ok(Training { train_errors, test_errors, best, given_up, kept, too_soon })
}

/// How often moons are drawn to see whether patience is enough.
pub const DRAWS: usize = 12;

/// In how many of these draws early stopping goes back to another epoch than the one whose test
/// error is the lowest of all.
fn too_soon(epochs: usize, patience: usize) -> Result<usize> {
    let mut too_soon = 0;
    for seed in 1..=DRAWS as u64 {
        let (train, test) = data::moons(200, 0.4, seed)?.split(0.7, SEED)?;
        let (train, test) = (marked(&train)?, marked(&test)?);
        let fit = || Fit::epochs(epochs).batch_size(train.len()).validate(&test);
        let best_of = |fit| -> Result<Option<usize>> {
            let mut trainer = Deep::<32>::trainer(Adam::new(0.01)).seed(SEED).build()?;
            Ok(trainer.fit(&train, fit)?.best_epoch)
        };
        too_soon += usize::from(best_of(fit().early_stopping(patience))? != best_of(fit())?);
    }
    Ok(too_soon)
}
