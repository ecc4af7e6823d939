//! Draws the outputs, the loss, the metrics, the batch size and the training.

use bilro_compiler::purpose::Purpose;
use bilro_compiler::shape::MOST_ELEMENTS;
use bilro_compiler::simplify;

use super::super::choices::Choices;
use super::super::language::{self, Call, Item, Operand};
use super::super::training::Plan;
use super::pieces::{mark_unused, prune};
use super::{BATCHES, Draft, Drawn, FUNCTIONS, Function, Known, LARGEST_BATCH, METRICS, Network};

/// Largest number of elements of a value of the decomposed graph in a batch, for the interpreter's memory.
const LARGEST_PAIRS: usize = 2_000_000;

impl Draft {
    /// Ends the network.
    pub(super) fn finish(mut self, choices: &mut Choices<'_>, seed: u64) -> (Network, Drawn) {
        let only_predicts = choices.chance(0.03);
        if !only_predicts {
            self.draw_loss(choices);
        }
        self.draw_outputs(choices, only_predicts);
        if only_predicts {
            // Gradients need a loss.
            for item in &mut self.items {
                if let Item::Input { grad, .. } = item {
                    *grad = false;
                }
            }
        }
        let (items, batch) = self.cleaned(choices);
        let is_extreme = choices.chance(0.15);
        let picked: Vec<usize> =
            self.alternatives.iter().map(|count| choices.index(*count)).collect();
        let network = Network {
            plan: Plan::draw(choices),
            choices: used_choices(&self.items, &items, &picked),
            items,
            batch,
            seed,
            is_extreme,
        };
        (network, self.drawn)
    }

    fn draw_outputs(&mut self, choices: &mut Choices<'_>, is_needed: bool) {
        let is_output = |x: &Known| x.ty.is_real() && !x.after_target;
        let count = match choices.weighted(&[8, 3, 1]) {
            0 if !is_needed && choices.chance(0.1) => 0,
            n => n + 1,
        };
        let mut given: Vec<String> = Vec::new();
        for i in 0..count {
            let x = match i {
                0 => self.values.iter().rev().find(|x| is_output(x)).cloned(),
                _ => self.pick_value(choices, is_output),
            };
            let Some(x) = x.filter(|x| !given.contains(&x.name)) else { continue };
            given.push(x.name.clone());
            let item = Item::Output { name: self.fresh("y"), value: x.name };
            self.try_item(item, "output");
        }
    }

    fn draw_loss(&mut self, choices: &mut Choices<'_>) {
        let is_loss = |f: &&Function| f.has_target() && !METRICS.contains(&f.name);
        let losses: Vec<&'static Function> = FUNCTIONS.iter().filter(is_loss).collect();
        let last = self.values.iter().rev().find(|x| x.ty.is_real() && !x.after_target).cloned();
        let mut loss = None;
        for _ in 0..6 {
            loss = match choices.weighted(&[8, 1, 1]) {
                0 => {
                    let function = *choices.pick(&losses);
                    self.call_function(choices, function, last.as_ref())
                }
                1 => self.draw_function(choices, |f| f.operands() == 1),
                _ => last.clone(),
            };
            if loss.is_some() {
                break;
            }
        }
        let Some(mut loss) = loss.or(last) else { return };
        if choices.chance(0.2) {
            // A weighted sum of two losses.
            let function = *choices.pick(&losses);
            if let Some(other) = self.call_function(choices, function, None) {
                let operands =
                    |x: &Known, y: Operand| vec![(Operand::Value(x.name.clone()), true), (y, true)];
                let half = operands(&other, Operand::Number(0.5));
                let both = self.let_value(choices, Call::of("mul"), half, 1).and_then(|half| {
                    let sum = operands(&loss, Operand::Value(half.name.clone()));
                    self.let_value(choices, Call::of("add"), sum, 1)
                });
                loss = both.unwrap_or(loss);
            }
        }
        let sum = choices.chance(0.3);
        let accepted = self.try_item(Item::Loss { value: loss.name, sum }, "loss");
        if !accepted {
            // A use of a weighted loss that has no mean; its sum has one.
            let names: Vec<String> = self.values.iter().rev().map(|x| x.name.clone()).collect();
            for value in names {
                if self.try_item(Item::Loss { value, sum: true }, "loss") {
                    break;
                }
            }
        }
        self.draw_metrics(choices);
    }

    fn draw_metrics(&mut self, choices: &mut Choices<'_>) {
        for _ in 0..choices.weighted(&[6, 3, 1]) {
            let value = match choices.chance(0.6) {
                true => self.draw_function(choices, |f| METRICS.contains(&f.name)),
                false => self.pick_value(choices, |x| x.ty.is_real()),
            };
            if let Some(x) = value {
                let item = Item::Metric { name: self.fresh("m"), value: x.name };
                self.try_item(item, "metric");
            }
        }
    }

    /// The items that something uses, and a batch size.
    pub(super) fn cleaned(&mut self, choices: &mut Choices<'_>) -> (Vec<Item>, usize) {
        let mut items = self.items.clone();
        prune(&mut items, &mut Vec::new());
        mark_unused(&mut items, None);
        let declaration = match language::declare(&items) {
            Ok(declaration) => declaration,
            Err(error) => panic!("{error}\n{}", language::text(&items)),
        };
        let largest = MOST_ELEMENTS / declaration.most_batch();
        let most = match choices.chance(0.02) {
            true => 10 * LARGEST_BATCH,
            false => LARGEST_BATCH,
        };
        // Also of the operations that others are made of: classes are compared in pairs.
        let purpose = match declaration.has_loss() {
            true => Purpose::Gradients,
            false => Purpose::Predict,
        };
        let g = simplify::decompose(&declaration.graph_for(&purpose, declaration.least_batch()));
        let count = |id| g.sizes(id).iter().product::<usize>() / g.batch();
        let within = g.ids().map(count).max().unwrap_or(1);
        let fits = |batch: &&usize| **batch * largest <= most && **batch * within <= LARGEST_PAIRS;
        let count = BATCHES.iter().filter(fits).count().max(1);
        let batch = BATCHES[choices.index(count)];
        let batch = match declaration.inputs.is_empty() {
            true => 1,
            false => batch.max(declaration.least_batch()),
        };
        (items, batch)
    }
}

/// The picked alternatives of the choices that are left.
pub fn used_choices(drawn: &[Item], left: &[Item], picked: &[usize]) -> Vec<usize> {
    let name = |item: &Item| match item {
        Item::Choice { name, .. } => Some(name.clone()),
        _ => None,
    };
    let left: Vec<String> = left.iter().filter_map(name).collect();
    let all = drawn.iter().filter_map(name).zip(picked);
    all.filter(|(name, _)| left.contains(name)).map(|(_, picked)| *picked).collect()
}
