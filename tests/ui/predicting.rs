//! A network without a loss only predicts.
use bilro::prelude::*;

network! {
    /// A neuron.
    pub struct Neuron {
        input x: [1];
        output p = x -> Linear(1) -> Sigmoid;
    }
}

fn main() -> bilro::Result<()> {
    let x = bilro::ndarray::array![[1.0]];
    let model = Neuron::model().build()?;
    println!("{}", model.predict(neuron::Input { x: x.view() })?.p);
    model.gradients(neuron::Batch { x: x.view() })?;
    let mut trainer = Neuron::trainer(Sgd::new(0.1)).threads(1).build()?;
    trainer.step(neuron::Batch { x: x.view() })?;
    Ok(())
}
