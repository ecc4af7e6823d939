//! Draws choices and blocks.

use bilro_compiler::layers;
use bilro_compiler::ops::Domain;

use super::super::choices::Choices;
use super::super::language::{Call, Item, Operand, is_kind};
use super::{Draft, FUNCTIONS, Function, Known};

/// Most choices of a network: each combination is compiled separately.
const MOST_CHOICES: usize = 2;
/// Most blocks of a network.
const MOST_BLOCKS: usize = 3;

impl Draft {
    /// Draws a choice of functions and layers, and one or two uses of it.
    pub(super) fn draw_choice(&mut self, choices: &mut Choices<'_>) -> Option<Known> {
        if self.alternatives.len() == MOST_CHOICES {
            return None;
        }
        let x = self.pick_value(choices, |x| x.ty.is_real() && x.ty.shape.rank() > 0)?;
        let mut alternatives: Vec<Call> = Vec::new();
        let count = 2 + choices.index(2);
        for _ in 0..8 {
            if alternatives.len() == count {
                break;
            }
            let Some(call) = self.alternative(choices, &x) else { continue };
            let variant = |call: &Call| call.name.replace('_', "").to_lowercase();
            if alternatives.iter().all(|other| variant(other) != variant(&call)) {
                alternatives.push(call);
            }
        }
        if alternatives.len() < 2 {
            return None;
        }
        let name = self.fresh("c");
        let item = Item::Choice { name: name.clone(), alternatives };
        let count = match &item {
            Item::Choice { alternatives, .. } => alternatives.len(),
            _ => 0,
        };
        if !self.try_item(item, "choice") {
            return None;
        }
        self.alternatives.push(count);
        let operand = vec![(Operand::Value(x.name.clone()), x.after_target)];
        let y = self.let_value(choices, Call::of(name.clone()), operand, 1)?;
        if y.dims() == x.dims() && choices.chance(0.3) {
            let operand = vec![(Operand::Value(y.name), y.after_target)];
            return self.let_value(choices, Call::of(name), operand, 1);
        }
        Some(y)
    }

    /// A function or layer of one value that keeps the shape.
    fn alternative(&self, choices: &mut Choices<'_>, x: &Known) -> Option<Call> {
        let one = std::slice::from_ref(x);
        if choices.chance(0.5) {
            let entry = choices.pick(layers::ALL);
            if entry.inputs != 1 || entry.name == "Embedding" || entry.name == "Flatten" {
                return None;
            }
            let mut attributes = self.attributes(choices, entry.attributes, one);
            for (name, value) in &mut attributes {
                if name == "out_features" {
                    *value = (*x.dims().last()?).into();
                }
            }
            return Some(Call { name: entry.name.into(), attributes });
        }
        let is_unary = |function: &&Function| {
            let domains = function.samples.iter().map(|sample| sample.operands[0].domain);
            let mut domains =
                domains.filter(|d| !matches!(d, Domain::Normal(_) | Domain::Separated));
            function.operands() == 1
                && domains.next().is_none()
                && function.entry.call.is_some_and(|call| !call.operator && !call.is_list)
                && !["reshape", "split", "chunk"].contains(&function.name)
        };
        let functions: Vec<&Function> = FUNCTIONS.iter().filter(is_unary).collect();
        let function = choices.pick(&functions);
        let form = function.entry.call?;
        let attributes = self.attributes(choices, form.attributes, one);
        Some(Call { name: function.name.into(), attributes })
    }

    /// Draws a block, and uses of it: unnamed ones with parameters of their own, or a named one that
    /// shares them.
    pub(super) fn draw_block(&mut self, choices: &mut Choices<'_>) -> Option<Known> {
        let is_block = |item: &&Item| matches!(item, Item::Block { .. });
        if self.items.iter().filter(is_block).count() == MOST_BLOCKS {
            return None;
        }
        let mut operands: Vec<Known> = Vec::new();
        for _ in 0..1 + choices.index(2) {
            let x = self.pick_value(choices, |x| {
                x.ty.is_real() && operands.iter().all(|y: &Known| x.name != y.name)
            });
            operands.extend(x);
        }
        let (items, value) = self.body(choices, &operands)?;
        let mut body = Item::Block {
            name: self.fresh("piece"),
            parameters: operands.iter().map(|_| self.fresh("a")).collect(),
            items,
            value,
        };
        let Item::Block { name, parameters, items, value } = &mut body else { return None };
        // A parameter that the body does not use would be a mistake.
        let mut used = Vec::new();
        let mut index = 0;
        let names = operands.iter().map(|x| x.name.clone()).collect::<Vec<_>>();
        parameters.retain(|parameter| {
            let outer = &names[index];
            index += 1;
            let is_used =
                value == outer || items.iter().any(|item| item.uses().contains(&&**outer));
            if is_used {
                items.iter_mut().for_each(|item| rename(item, outer, parameter));
                if value == outer {
                    value.clone_from(parameter);
                }
                used.push(operands[index - 1].clone());
            }
            is_used
        });
        if used.is_empty() {
            return None;
        }
        let name = name.clone();
        if !self.try_item(body, "block") {
            return None;
        }
        self.use_block(choices, &name, &used)
    }

    fn use_block(
        &mut self,
        choices: &mut Choices<'_>,
        block: &str,
        operands: &[Known],
    ) -> Option<Known> {
        let mut name = block.to_string();
        let types = operands.iter().map(|x| x.ty.clone()).collect();
        if choices.chance(0.4) {
            name = self.fresh("fc");
            if !self.try_item(Item::Layer { name: name.clone(), of: Call::of(block) }, "block") {
                return None;
            }
        }
        let passed: Vec<(Operand, bool)> =
            operands.iter().map(|x| (Operand::Value(x.name.clone()), x.after_target)).collect();
        let y = self.let_value(choices, Call::of(name.clone()), passed, 1)?;
        self.layers.push((name, types));
        if choices.chance(0.5) {
            return self.reuse_layer(choices).or(Some(y));
        }
        Some(y)
    }

    /// Items of a body, which use some values only, and the body's value.
    fn body(
        &mut self,
        choices: &mut Choices<'_>,
        operands: &[Known],
    ) -> Option<(Vec<Item>, String)> {
        let before = self.items.len();
        let values = std::mem::replace(&mut self.values, operands.to_vec());
        let layers = std::mem::take(&mut self.layers);
        self.in_block = true;
        for _ in 0..1 + choices.index(4) {
            self.draw_item(choices);
        }
        self.in_block = false;
        let inner = std::mem::replace(&mut self.values, values);
        self.layers = layers;
        let mut items = self.items.split_off(before);
        let value = inner.iter().rev().find(|x| x.ty.is_real() && !x.after_target)?.name.clone();
        prune(&mut items, &mut vec![value.clone()]);
        match items.is_empty() {
            true => None,
            false => Some((items, value)),
        }
    }
}

/// Removes items whose names nothing uses; `used` has the names used after them.
pub fn prune(items: &mut Vec<Item>, used: &mut Vec<String>) {
    for i in (0..items.len()).rev() {
        let is_root =
            matches!(items[i], Item::Output { .. } | Item::Loss { .. } | Item::Metric { .. });
        if !is_root && !items[i].declares().iter().any(|name| used.iter().any(|u| u == name)) {
            items.remove(i);
            continue;
        }
        used.extend(items[i].uses().into_iter().map(String::from));
    }
}

fn rename(item: &mut Item, from: &str, to: &str) {
    let Item::Let { operands, .. } = item else { return };
    for operand in operands {
        if *operand == Operand::Value(from.into()) {
            *operand = Operand::Value(to.into());
        }
    }
}

/// Names of values in a `let` of several that nothing uses begin with `_`, for `network!`.
pub(super) fn mark_unused(items: &mut [Item], value: Option<&str>) {
    let mut uses: Vec<String> =
        items.iter().flat_map(|item| item.uses().into_iter().map(String::from)).collect();
    uses.extend(value.map(String::from));
    for item in items {
        match item {
            Item::Let { names, call, .. } if names.len() > 1 && !is_kind(&call.name) => {
                for name in names.iter_mut().filter(|name| !uses.contains(name)) {
                    if !name.starts_with('_') {
                        *name = format!("_{name}");
                    }
                }
            }
            Item::Block { items, value, .. } => mark_unused(items, Some(value)),
            _ => {}
        }
    }
}
