//! Networks of a given structure, with drawn sizes and options.

use bilro_compiler::ops::{AttributeValue, Domain};
use bilro_compiler::shape::Dim;

use super::super::choices::Choices;
use super::super::language::{Call, Item, Operand};
use super::super::training::Plan;
use super::{Draft, FUNCTIONS, Known, METRICS, Network};

/// Widths of the layers of [`chain`]: around those of vectors and tiles, and the length of a block of
/// k.
const WIDTHS: [usize; 10] = [1, 10, 33, 64, 120, 257, 300, 512, 513, 600];
/// Batches with long sums in the gradients of weights, for layers up to [`NARROW`].
const LONG_BATCHES: [usize; 3] = [513, 600, 1030];
const NARROW: usize = 64;

/// The names of the losses of the language.
pub fn losses() -> Vec<&'static str> {
    let losses = FUNCTIONS.iter().filter(|f| f.has_target() && !METRICS.contains(&f.name));
    losses.map(|function| function.name).collect()
}

/// A `Linear` layer of three features, followed by a loss with drawn options; `None` if it does not
/// fit scores of this number of classes.
pub fn loss_of_product(
    choices: &mut Choices<'_>,
    loss: &str,
    classes: usize,
    batch: usize,
) -> Option<Network> {
    let mut draft = Draft::new(choices.seed(), false);
    let x = draft.new_input(choices, vec![3], Domain::Normal(1.0))?;
    let y = draft.linear(choices, &x, classes)?;
    let function = FUNCTIONS.iter().find(|function| function.name == loss)?;
    let loss = draft.call_function(choices, function, Some(&y))?;
    draft.ended(choices, &loss, &y, batch)
}

/// Two to four wide `Linear` layers with activations between: products large enough for tiles and
/// blocks of k, and for swapped operands.
pub fn chain(choices: &mut Choices<'_>) -> Option<Network> {
    let mut draft = Draft::new(choices.seed(), true);
    let (batch, most) = match choices.weighted(&[3, 1, 1, 1]) {
        0 => (1 + choices.index(40), usize::MAX),
        1 => (8, usize::MAX),
        2 => (16, usize::MAX),
        _ => (*choices.pick(&LONG_BATCHES), NARROW),
    };
    let width = |choices: &mut Choices<'_>| (*choices.pick(&WIDTHS)).min(most);
    let input = width(choices);
    let mut x = draft.new_input(choices, vec![input], Domain::Normal(1.0))?;
    for _ in 0..2 + choices.index(3) {
        let width = width(choices);
        x = draft.linear(choices, &x, width)?;
        let activation = *choices.pick(&["relu", "tanh", "sigmoid", "neg"]);
        let operand = vec![(Operand::Value(x.name), false)];
        x = draft.let_value(choices, Call::of(activation), operand, 1)?;
    }
    let loss = *choices.pick(&["cross_entropy", "mse_loss"]);
    let function = FUNCTIONS.iter().find(|function| function.name == loss)?;
    let loss = draft.call_function(choices, function, Some(&x))?;
    draft.ended(choices, &loss, &x, batch)
}

impl Draft {
    fn linear(&mut self, choices: &mut Choices<'_>, x: &Known, out: usize) -> Option<Known> {
        let attributes = vec![
            ("out_features".into(), AttributeValue::Size(Dim::Fixed(out))),
            ("bias".into(), AttributeValue::Flag(choices.chance(0.5))),
        ];
        let call = Call { name: "Linear".into(), attributes };
        self.let_value(choices, call, vec![(Operand::Value(x.name.clone()), false)], 1)
    }

    /// The network with this loss and output; the sum of a loss that has no mean.
    fn ended(
        mut self,
        choices: &mut Choices<'_>,
        loss: &Known,
        output: &Known,
        batch: usize,
    ) -> Option<Network> {
        self.try_item(Item::Output { name: "y".into(), value: output.name.clone() }, "output");
        let sum = choices.chance(0.3);
        let item = |sum| Item::Loss { value: loss.name.clone(), sum };
        if !self.try_item(item(sum), "loss") && !self.try_item(item(true), "loss") {
            return None;
        }
        let (items, _) = self.cleaned(choices);
        let seed = choices.seed() % 1_000_000;
        let plan = Plan::draw(choices);
        Some(Network { items, batch, seed, choices: Vec::new(), plan, is_extreme: false })
    }
}
