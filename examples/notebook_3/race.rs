//! Optimizers in a race down functions of two parameters.

use bilro::Optimizer;
use bilro::plot::Race;
use bilro::prelude::*;
use bilro_examples::Report;

use crate::Result;

network! {
    /// E. Beale's function: a bent valley between steep walls, lowest at (3, 0.5).
    struct Beale {
        param x: [] = full(1.0);
        param y: [] = full(1.5);
        loss (1.5 - x + x * y).square()
            + (2.25 - x + x * y.square()).square()
            + (2.625 - x + x * y.pow(3)).square();
    }
}

network! {
    /// A saddle at (0, 0), with a valley on either side: lowest at (0, ±√2).
    struct Saddle {
        param x: [] = full(1.5);
        param y: [] = full(0.01);
        loss x.square() - y.square() + 0.25 * y.pow(4);
    }
}

/// The optimizers of the race, each with a learning rate tuned for it.
fn family(rates: [f32; 7]) -> [(&'static str, Box<dyn Optimizer>); 7] {
    let [sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam] = rates;
    [
        ("SGD", Box::new(Sgd::new(sgd))),
        ("momentum", Box::new(Sgd::new(momentum).momentum(0.9))),
        ("Nesterov", Box::new(Sgd::new(nesterov).momentum(0.9).nesterov())),
        ("Adagrad", Box::new(Adagrad::new(adagrad))),
        ("Adadelta", Box::new(Adadelta::new(adadelta))),
        ("RMSprop", Box::new(RMSprop::new(rmsprop))),
        ("Adam", Box::new(Adam::new(adam))),
    ]
}

/// The path of the parameters, including the start, and the loss at its end.
fn descend<N>(optimizer: Box<dyn Optimizer>, steps: usize) -> Result<(Vec<[f32; 2]>, f32)>
where
    N: Trainable,
    for<'a> N::Batch<'a>: Default,
{
    let mut trainer = N::trainer(optimizer).build()?;
    let mut path = Vec::with_capacity(steps + 1);
    for step in 0..=steps {
        let point: Vec<f32> =
            trainer.model().named_parameters().flat_map(|(_, p)| p.into_iter().copied()).collect();
        path.push([point[0], point[1]]);
        if step < steps {
            trainer.step(N::Batch::default())?;
        }
    }
    let loss = trainer.model().evaluate_batch(N::Batch::default())?.loss();
    Ok((path, loss as f32))
}

/// Runs all optimizers on a function, and prints the final point of each.
fn race<'f, N>(
    report: &mut Report<'_>,
    mut picture: Race<'f>,
    rates: [f32; 7],
    steps: usize,
) -> Result<(Race<'f>, Vec<f32>)>
where
    N: Trainable,
    for<'a> N::Batch<'a>: Default,
{
    report.text(format!("{:<10}{:>8}{:>9}{:>9}{:>12}", "optimizer", "lr", "x", "y", "loss"))?;
    let mut losses = Vec::new();
    for (name, optimizer) in family(rates) {
        let rate = optimizer.learning_rate();
        let (path, loss) = descend::<N>(optimizer, steps)?;
        // No sign if it rounds to 0.
        let [x, y] = path[steps].map(|at| if at.abs() < 5e-4 { 0.0 } else { at });
        report.text(format!("{name:<10}{rate:>8}{x:>9.3}{y:>9.3}{loss:>12.6}"))?;
        picture = picture.path(name, &path);
        losses.push(loss);
    }
    Ok((picture, losses))
}

/// The race on both functions; the losses at the end.
pub(crate) fn optimizers(report: &mut Report<'_>) -> Result<[Vec<f32>; 2]> {
    report.section("Optimizers in a race")?;
    report.text(
        "The delta rule uses only the current gradient. Others have state: momentum keeps\n\
         its direction, Nesterov's uses the gradient ahead, and Adagrad, Adadelta,\n\
         RMSprop and Adam give each parameter a step size of its own, smaller after large\n\
         gradients. A network of two parameters and no inputs is a function in a plane,\n\
         on which they can be watched.\n\n\
         Beale's function, from (1, 1.5); it is 0 at (3, 0.5). 200 steps:\n",
    )?;
    let height = |x: f64, y: f64| {
        (1.5 - x + x * y).powi(2)
            + (2.25 - x + x * y * y).powi(2)
            + (2.625 - x + x * y.powi(3)).powi(2)
    };
    let picture = Race::new("Down Beale's valley", (0.2, 3.6), (-1.5, 1.8), height);
    let picture = picture.minimum(3.0, 0.5).axes("x", "y", "loss");
    let rates = [0.005, 0.002, 0.002, 0.3, 8.0, 0.05, 0.1];
    let (picture, beale) = race::<Beale>(report, picture, rates, 200)?;
    picture.save(report.picture("notebook_3_beale.svg")?)?;
    picture.save(report.picture("notebook_3_beale.png")?)?;
    report.text(format!("\n{}", picture.to_text(80, 26)?))?;

    report.text(
        "\nA saddle, from (1.5, 0.01): along x it falls to the saddle's middle, where the\n\
         gradient is almost 0; along y, at first slowly, to the valleys. SGD and momentum\n\
         move to the middle first. Those with a step size per parameter follow both\n\
         directions at once, since small gradients make their steps large. 150 steps:\n",
    )?;
    let height = |x: f64, y: f64| x * x - y * y + 0.25 * y.powi(4);
    let picture = Race::new("Off a saddle", (-1.7, 1.7), (-0.9, 2.1), height);
    let picture = picture.minimum(0.0, 2.0f64.sqrt()).axes("x", "y", "loss");
    let rates = [0.05, 0.02, 0.02, 0.2, 5.0, 0.03, 0.05];
    let (picture, saddle) = race::<Saddle>(report, picture, rates, 150)?;
    picture.save(report.picture("notebook_3_saddle.svg")?)?;
    picture.save(report.picture("notebook_3_saddle.png")?)?;
    report.text(
        "\nThe best optimizer depends on the function and on the learning rates, which are\n\
         chosen here so that all arrive: no race is proof.",
    )?;
    Ok([beale, saddle])
}
