//! Draws calls of functions and layers: operands of the domains that samples have, then attributes.

use bilro_compiler::layers;
use bilro_compiler::ops::{self, AttributeValue, Domain};
use bilro_compiler::shape::DType;

use super::super::choices::Choices;
use super::super::language::{Call, Item, Operand};
use super::{ABOVE_ONE, Draft, FUNCTIONS, Function, Known, POSITIVE};

/// Number of attempts at a call that the builder refuses.
const ATTEMPTS: usize = 6;

/// Layers of integers.
const OF_INTEGERS: &[&str] = &["Embedding"];

/// The function and the layer that are drawn more often than others: most kernels of a network are
/// products.
const PRODUCT: &str = "matmul";
const LINEAR: &str = "Linear";

/// An operand that is clamped to small positive numbers, with the gradient of the identity as in
/// PyTorch: that is not the derivative, so it is kept above them for all examples.
const CLAMPED: &str = "variance";

/// The name of the operands in a list.
const ELEMENT: &str = "element";

/// Layers that are not listed, for tests.
const UNLISTED: &str = "SumAndDifference";

/// The shape of an operand of a sample, relative to the first operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Relation {
    Same,
    WithoutLast,
    LastOnly,
    Number,
    /// A matrix whose first axis is the last axis of the first operand, or the bound of its integers.
    Matrix,
    /// A stack of matrices like the first operand's, whose rows have the length of its columns.
    Stack,
    /// Any value.
    Any,
}

impl Relation {
    const ALL: [Relation; 7] = [
        Relation::Same,
        Relation::WithoutLast,
        Relation::LastOnly,
        Relation::Number,
        Relation::Matrix,
        Relation::Stack,
        Relation::Any,
    ];

    /// The relation in a sample.
    fn of(first: &ops::Operand, other: &ops::Operand) -> Relation {
        let [a, b] = [first, other].map(|x| x.ty.shape.sizes());
        match (a.split_last(), &b[..]) {
            _ if a == b && first.ty.is_real() => Relation::Same,
            (Some((_, outer)), b) if outer == b => Relation::WithoutLast,
            (Some((last, _)), [n]) if last == n => Relation::LastOnly,
            (_, [_, _]) if !other.ty.shape.batched => Relation::Matrix,
            (Some((last, [outer @ .., _])), [others @ .., rows, _])
                if outer == others && last == rows =>
            {
                Relation::Stack
            }
            (_, []) => Relation::Number,
            _ => Relation::Any,
        }
    }
}

/// The number of values of a call.
fn values_of(call: &Call, x: &Known) -> usize {
    let attribute = |name: &str| call.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    match (attribute("sizes"), attribute("chunks")) {
        (Some(AttributeValue::Sizes(sizes)), _) => sizes.len(),
        (_, Some(AttributeValue::Integer(chunks))) => {
            let axis = match attribute("axis") {
                Some(AttributeValue::Axis(axis)) => *axis,
                _ => 0,
            };
            let dims = x.dims();
            let axis = if axis < 0 { axis + dims.len() as i64 } else { axis };
            let Some(size) = dims.get(axis as usize) else { return 1 };
            size.div_ceil(size.div_ceil((*chunks).max(1)))
        }
        _ => 1,
    }
}

impl Draft {
    /// Draws a call of one of some functions; its value.
    pub(super) fn draw_function(
        &mut self,
        choices: &mut Choices<'_>,
        fits: impl Fn(&Function) -> bool,
    ) -> Option<Known> {
        let functions: Vec<&'static Function> = FUNCTIONS.iter().filter(|f| fits(f)).collect();
        let function = match functions.iter().find(|f| f.name == PRODUCT) {
            Some(product) if choices.chance(0.15) => *product,
            _ => {
                let function = *choices.pick(&functions);
                let keeps = function.has_gradient || choices.chance(0.3);
                if keeps { function } else { *choices.pick(&functions) }
            }
        };
        self.call_function(choices, function, None)
    }

    /// A call of a function, on a first operand if one is given.
    pub(super) fn call_function(
        &mut self,
        choices: &mut Choices<'_>,
        function: &'static Function,
        on: Option<&Known>,
    ) -> Option<Known> {
        let form = function.entry.call?;
        for attempt in 0..ATTEMPTS {
            let sample = choices.pick(&function.samples);
            let mut operands: Vec<Known> = Vec::new();
            let mut passed: Vec<(Operand, bool)> = Vec::new();
            let count = if form.is_list { sample.operands.len() } else { function.operands() };
            for (i, described) in sample.operands.iter().enumerate().take(count) {
                let name = if form.is_list { ELEMENT } else { form.operands[i] };
                let x = match i {
                    0 => self.first_operand(choices, described, name, on),
                    _ => {
                        let relation = match attempt {
                            // Equations fit any values.
                            _ if form.is_spread() => *choices.pick(&Relation::ALL),
                            // Values of a list have equal sizes but on one axis.
                            0..=2 if form.is_list => Relation::Same,
                            0..=2 => Relation::of(&sample.operands[0], described),
                            _ => *choices.pick(&Relation::ALL),
                        };
                        let first = operands[0].clone();
                        self.other_operand(choices, described, name, &first, relation)
                    }
                };
                let (x, is_number) = x?;
                passed.push(match is_number {
                    Some(number) => (Operand::Number(number), false),
                    None => (Operand::Value(x.name.clone()), x.after_target),
                });
                operands.push(x);
            }
            if passed.iter().all(|(x, _)| matches!(x, Operand::Number(_))) {
                continue;
            }
            let attributes = self.attributes(choices, form.attributes, &operands);
            let call = Call { name: function.name.into(), attributes };
            let before = self.drawn.accepted;
            let outputs = values_of(&call, &operands[0]);
            let value = self.let_value(choices, call, passed, outputs);
            if value.is_some() || self.drawn.accepted > before {
                return value;
            }
        }
        None
    }

    /// The first operand of a call.
    fn first_operand(
        &mut self,
        choices: &mut Choices<'_>,
        described: &ops::Operand,
        name: &str,
        on: Option<&Known>,
    ) -> Option<(Known, Option<f64>)> {
        if let DType::Index { .. } = described.ty.dtype {
            return self.integers(choices).map(|x| (x, None));
        }
        let needs_axis = described.ty.shape.rank() > 0;
        let x = match on {
            Some(x) => x.clone(),
            None => self.pick_value(choices, |x| {
                x.ty.is_real() && (!needs_axis || x.ty.shape.rank() > 0)
            })?,
        };
        self.in_domain(choices, x, described.domain, name).map(|x| (x, None))
    }

    /// A further operand of a call. Numbers are passed as such.
    fn other_operand(
        &mut self,
        choices: &mut Choices<'_>,
        described: &ops::Operand,
        name: &str,
        first: &Known,
        relation: Relation,
    ) -> Option<(Known, Option<f64>)> {
        let dims = first.dims();
        let last = first.below().or(dims.last().copied()).unwrap_or(1);
        let shape = match relation {
            Relation::Same => dims.clone(),
            Relation::WithoutLast => dims[..dims.len().saturating_sub(1)].to_vec(),
            Relation::LastOnly => vec![last],
            Relation::Number => vec![],
            Relation::Matrix => vec![last, self.size(choices)],
            Relation::Stack => {
                let outer = &dims[..dims.len().saturating_sub(2)];
                [outer, &[last, self.size(choices)]].concat()
            }
            Relation::Any => {
                let x = self.pick_value(choices, |x| x.ty.is_real())?;
                return self.in_domain(choices, x, described.domain, name).map(|x| (x, None));
            }
        };
        let shape = self.broadcastable(choices, shape, described, first, name);
        let (is_target, is_index) = (name == "target", !described.ty.is_real());
        // Losses compare with targets, most often.
        if (is_target && !self.in_block && choices.chance(0.9)) || is_index {
            if self.in_block {
                return None;
            }
            let below = is_index.then_some(match is_target {
                true => dims.last().copied().unwrap_or(1),
                false => last,
            });
            let item = Item::Input {
                name: self.fresh("t"),
                is_target,
                below,
                dims: shape,
                grad: false,
                domain: described.domain,
            };
            return self.declared(item).map(|x| (x, None));
        }
        let numbers: &[f64] = match described.domain {
            Domain::Normal(_) | Domain::Separated => &[0.5, 2.0, 1.0, 0.75, 3.0, 0.0],
            Domain::Positive => &[0.5, 2.0, 1.0, 0.75, 3.0, 4.0],
            _ => &[],
        };
        if shape.is_empty() && !numbers.is_empty() && choices.chance(0.3) {
            return Some((first.clone(), Some(*choices.pick(numbers))));
        }
        let existing = match choices.chance(0.6) {
            true => self.pick_value(choices, |x| x.ty.is_real() && x.dims() == shape),
            false => None,
        };
        let x = match existing {
            Some(x) => x,
            None if shape.iter().product::<usize>() > 4 * self.most_elements() => return None,
            None => match self.in_block || choices.chance(0.7) || !described.ty.shape.batched {
                true => self.new_parameter(choices, shape)?,
                false => self.new_input(choices, shape, Domain::Normal(1.0))?,
            },
        };
        self.in_domain(choices, x, described.domain, name).map(|x| (x, None))
    }

    /// A shape that broadcasts to this one, for operations that broadcast.
    fn broadcastable(
        &self,
        choices: &mut Choices<'_>,
        mut shape: Vec<usize>,
        described: &ops::Operand,
        first: &Known,
        name: &str,
    ) -> Vec<usize> {
        let is_free =
            first.ty.is_real() && !["target", ELEMENT].contains(&name) && shape == first.dims();
        if !is_free || !described.ty.is_real() || choices.chance(0.5) {
            return shape;
        }
        match choices.index(4) {
            0 if !shape.is_empty() => {
                let axis = choices.index(shape.len());
                shape[axis] = 1;
            }
            1 if shape.len() > 1 => {
                shape.remove(0);
            }
            _ => shape.clear(),
        }
        shape
    }

    /// An input of integers, existing or new.
    fn integers(&mut self, choices: &mut Choices<'_>) -> Option<Known> {
        let existing = self.pick_value(choices, |x| !x.ty.is_real() && !x.after_target);
        if self.in_block || (existing.is_some() && choices.chance(0.6)) {
            return existing;
        }
        let dims = match choices.index(4) {
            0 => vec![],
            1 => vec![self.size(choices)],
            2 => vec![2, 3],
            _ => vec![4],
        };
        let (name, below) = (self.fresh("k"), Some(self.size(choices)));
        let domain = Domain::Indices;
        self.declared(Item::Input { name, is_target: false, below, dims, grad: false, domain })
    }

    /// A function of a value in a domain, if its own range is not.
    fn in_domain(
        &mut self,
        choices: &mut Choices<'_>,
        x: Known,
        domain: Domain,
        name: &str,
    ) -> Option<Known> {
        let operand = |x: &Known| vec![(Operand::Value(x.name.clone()), x.after_target)];
        if name == "log_probabilities" && x.ty.shape.rank() > 0 {
            return self.let_value(choices, Call::of("log_softmax"), operand(&x), 1);
        }
        match domain {
            // Not in domain: NaN for some operations.
            _ if name != CLAMPED && choices.chance(0.01) => Some(x),
            Domain::Positive if x.low < POSITIVE || name == CLAMPED => {
                let with = |x: &Known, number: f64| {
                    let mut operands = operand(x);
                    operands.push((Operand::Number(number), false));
                    operands
                };
                match choices.index(3) {
                    0 => {
                        let y = self.let_value(choices, Call::of("square"), operand(&x), 1)?;
                        self.let_value(choices, Call::of("add"), with(&y, 0.5), 1)
                    }
                    1 => {
                        let y = self.let_value(choices, Call::of("tanh"), operand(&x), 1)?;
                        self.let_value(choices, Call::of("exp"), operand(&y), 1)
                    }
                    _ => {
                        let y = self.let_value(choices, Call::of("abs"), operand(&x), 1)?;
                        self.let_value(choices, Call::of("add"), with(&y, 1.0), 1)
                    }
                }
            }
            Domain::AboveOne if x.low < ABOVE_ONE => {
                let y = self.let_value(choices, Call::of("square"), operand(&x), 1)?;
                let operands = [operand(&y), vec![(Operand::Number(ABOVE_ONE), false)]].concat();
                self.let_value(choices, Call::of("add"), operands, 1)
            }
            Domain::Probability if x.low < 0.02 || x.high > 0.98 => {
                self.let_value(choices, Call::of("sigmoid"), operand(&x), 1)
            }
            _ => Some(x),
        }
    }

    /// Draws a layer and a use of it, or a further use.
    pub(super) fn draw_layer(&mut self, choices: &mut Choices<'_>) -> Option<Known> {
        if !self.layers.is_empty() && choices.chance(0.15) {
            return self.reuse_layer(choices);
        }
        let all = layers::ALL.len();
        let entry = match choices.index(all + 1) {
            _ if choices.chance(0.25) => layers::find(LINEAR)?,
            i if i == all => layers::find(UNLISTED)?,
            i => &layers::ALL[i],
        };
        for _ in 0..ATTEMPTS {
            let mut operands: Vec<Known> = Vec::new();
            for i in 0..entry.inputs {
                let first = operands.first().cloned();
                let x = match OF_INTEGERS.contains(&entry.name) {
                    true => self.integers(choices)?,
                    false => self.pick_value(choices, |x| {
                        let same = || first.as_ref().is_some_and(|y| x.dims() == y.dims());
                        x.ty.is_real() && (i == 0 || same())
                    })?,
                };
                operands.push(x);
            }
            let attributes = self.attributes(choices, entry.attributes, &operands);
            let call = Call { name: entry.name.into(), attributes };
            let can_chain = entry.inputs == 1 && entry.outputs == 1;
            if let Some(value) = self.new_layer(choices, call, operands, entry.outputs, can_chain) {
                return Some(value);
            }
        }
        None
    }

    fn new_layer(
        &mut self,
        choices: &mut Choices<'_>,
        call: Call,
        operands: Vec<Known>,
        outputs: usize,
        can_chain: bool,
    ) -> Option<Known> {
        let passed: Vec<(Operand, bool)> =
            operands.iter().map(|x| (Operand::Value(x.name.clone()), x.after_target)).collect();
        if can_chain && choices.chance(0.5) {
            return self.let_value(choices, call, passed, 1);
        }
        let (name, kind) = (self.fresh("fc"), call.name.clone());
        if !self.try_item(Item::Layer { name: name.clone(), of: call }, &kind) {
            return None;
        }
        let before = self.drawn.accepted;
        let value = self.let_value(choices, Call::of(name.clone()), passed, outputs);
        if self.drawn.accepted > before {
            self.layers.push((name, operands.into_iter().map(|x| x.ty).collect()));
        }
        value
    }

    /// Applies a named layer or use of a block again.
    pub(super) fn reuse_layer(&mut self, choices: &mut Choices<'_>) -> Option<Known> {
        let (name, types) = choices.pick(&self.layers).clone();
        let mut passed = Vec::new();
        for ty in &types {
            let x = self.pick_value(choices, |x| {
                x.ty.shape.dims == ty.shape.dims && x.ty.dtype == ty.dtype
            })?;
            passed.push((Operand::Value(x.name), x.after_target));
        }
        let outputs = match self.items.iter().find(|item| item.declares().contains(&&*name)) {
            Some(Item::Layer { of, .. }) => layers::find(&of.name).map_or(1, |entry| entry.outputs),
            _ => 1,
        };
        self.let_value(choices, Call::of(name), passed, outputs)
    }
}
