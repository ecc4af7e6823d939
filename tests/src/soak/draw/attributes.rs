//! Attributes of calls, by their kinds in the signature.

use bilro_compiler::ops::{Attribute, AttributeKind, AttributeValue, Order};
use bilro_compiler::shape::Dim;

use super::super::choices::Choices;
use super::{Draft, Known};

/// What a size states, where the builder accepts one size only.
enum Stated {
    /// The last axis of an operand.
    Last(usize),
    /// The first axis of an operand.
    First(usize),
    /// The bound of an operand's integers.
    Bound(usize),
}

/// Sizes of layers that must be those of an operand; others are drawn.
const STATED: &[(&str, Stated)] = &[
    ("in_features", Stated::Last(0)),
    ("in1_features", Stated::Last(0)),
    ("in2_features", Stated::Last(1)),
    ("normalized_shape", Stated::Last(0)),
    ("num_features", Stated::First(0)),
    ("num_parameters", Stated::First(0)),
    ("num_embeddings", Stated::Bound(0)),
];

impl Draft {
    /// Attributes for operands; those with a default are often left out.
    pub(super) fn attributes(
        &self,
        choices: &mut Choices<'_>,
        form: &[Attribute],
        operands: &[Known],
    ) -> Vec<(String, AttributeValue)> {
        let mut all = Vec::new();
        for attribute in form {
            // Outputs may depend on every value.
            if attribute.name == "predict" {
                all.push((attribute.name.to_string(), AttributeValue::Flag(true)));
                continue;
            }
            if attribute.default.is_some() && choices.chance(0.5) {
                continue;
            }
            if let Some(value) = self.attribute(choices, attribute, operands) {
                all.push((attribute.name.to_string(), value));
            }
        }
        // Limits in order.
        let limits = all.iter_mut().filter_map(|(name, value)| match value {
            AttributeValue::Number(x) if name.starts_with("min") || name.starts_with("max") => {
                Some(x)
            }
            _ => None,
        });
        if let [low, high] = &mut limits.collect::<Vec<_>>()[..]
            && low > high
        {
            std::mem::swap(*low, *high);
        }
        all
    }

    fn attribute(
        &self,
        choices: &mut Choices<'_>,
        attribute: &Attribute,
        operands: &[Known],
    ) -> Option<AttributeValue> {
        let first = operands.first()?;
        let dims = first.dims();
        Some(match attribute.kind {
            // A position of a range.
            AttributeKind::Axis if attribute.name == "start" => {
                let least = dims.iter().min().copied()?;
                AttributeValue::Axis(choices.index(2 * least) as i64 - least as i64)
            }
            AttributeKind::Axis if attribute.name == "stop" => {
                let most = dims.iter().max().copied()?;
                AttributeValue::Axis(1 + choices.index(most) as i64)
            }
            AttributeKind::Axis => {
                let rank = dims.len() as i64;
                if rank == 0 {
                    return None;
                }
                AttributeValue::Axis(choices.index(2 * dims.len()) as i64 - rank)
            }
            AttributeKind::Number => {
                let default = attribute.default.and_then(|text| text.parse::<f64>().ok());
                AttributeValue::Number(match default {
                    // A small number, as an `eps`, stays small.
                    Some(x) if x != 0.0 && x.abs() < 0.01 => {
                        x * [1.0, 10.0, 100.0][choices.index(3)]
                    }
                    Some(x) if choices.chance(0.6) => {
                        let factor = [0.5, 0.25, 2.0, 1.5][choices.index(4)];
                        if x == 0.0 { [0.1, 0.3][choices.index(2)] } else { x * factor }
                    }
                    _ => *choices.pick(&[2.0, 0.5, 1.0, 3.0, -1.0, -0.5, 1.3, 0.0, -2.0]),
                })
            }
            // Exponents of a norm, with a kink at 0 or none.
            AttributeKind::Order => {
                let all = [2.0, 1.0, 3.0, f64::INFINITY, 0.0, 1.5, f64::NEG_INFINITY];
                AttributeValue::Order(Order(*choices.pick(&all)))
            }
            AttributeKind::Text => AttributeValue::Text(equation(choices, operands).into()),
            AttributeKind::Flag => AttributeValue::Flag(choices.chance(0.5)),
            AttributeKind::Size => AttributeValue::Size(Dim::Fixed(
                stated(attribute.name, operands).unwrap_or_else(|| self.size(choices)),
            )),
            // Parts of an axis.
            AttributeKind::Sizes if attribute.name == "sizes" => {
                let size = *dims.get(choices.index(dims.len()))?;
                let first = 1 + choices.index(size);
                let parts = [first, size - first].into_iter().filter(|part| *part > 0);
                AttributeValue::Sizes(parts.map(Dim::Fixed).collect())
            }
            AttributeKind::Sizes => {
                let shape = reshaped(choices, dims.iter().product());
                AttributeValue::Sizes(shape.into_iter().map(Dim::Fixed).collect())
            }
            // Axes to reduce.
            AttributeKind::Axes if attribute.name == "axis" => {
                let rank = dims.len();
                if rank == 0 {
                    return None;
                }
                let mut axes: Vec<usize> = (0..rank).collect();
                (0..choices.index(rank)).for_each(|_| {
                    axes.remove(choices.index(axes.len()));
                });
                if choices.chance(0.3) {
                    axes.reverse();
                }
                let signed = |axis: usize| match choices.chance(0.5) {
                    true => axis as i64,
                    false => axis as i64 - rank as i64,
                };
                AttributeValue::Axes(axes.into_iter().map(signed).collect())
            }
            // Axes to remove.
            AttributeKind::Axes if attribute.default.is_none() => {
                let ones = dims.iter().enumerate().filter(|(_, size)| **size == 1);
                let ones: Vec<i64> = ones.map(|(axis, _)| axis as i64).collect();
                AttributeValue::Axes(vec![*ones.get(choices.index(ones.len()))?])
            }
            AttributeKind::Axes => {
                let mut axes: Vec<i64> = (0..dims.len() as i64).collect();
                for i in (1..axes.len()).rev() {
                    axes.swap(i, choices.index(i + 1));
                }
                AttributeValue::Axes(axes)
            }
            AttributeKind::Keyword(words) => {
                AttributeValue::Keyword((*choices.pick(words)).to_string())
            }
            AttributeKind::Integer => AttributeValue::Integer(match attribute.name {
                // A class, or a number of classes: below the last axis.
                "ignore_index" => choices.index(dims.last().copied().unwrap_or(1)),
                _ => 1 + choices.index(dims.last().copied().unwrap_or(1).min(3)),
            }),
            AttributeKind::Numbers => {
                let count = match choices.chance(0.7) {
                    true => dims.last().copied().unwrap_or(1),
                    false => 1,
                };
                let numbers = (0..count).map(|i| match i {
                    // A weight of 0 excludes a class.
                    1 if choices.chance(0.1) => 0.0,
                    _ => 0.25 + choices.index(8) as f64 * 0.25,
                });
                AttributeValue::Numbers(numbers.collect())
            }
        })
    }
}

fn stated(name: &str, operands: &[Known]) -> Option<usize> {
    let (_, stated) = STATED.iter().find(|(stated, _)| *stated == name)?;
    match *stated {
        Stated::Last(i) => operands.get(i)?.dims().last().copied(),
        Stated::First(i) => operands.get(i)?.dims().first().copied(),
        Stated::Bound(i) => operands.get(i)?.below(),
    }
}

/// An equation of `einsum` for operands: axes of one size often have one letter, and the output has some
/// letters.
fn equation(choices: &mut Choices<'_>, operands: &[Known]) -> String {
    let mut known: Vec<(char, usize)> = Vec::new();
    let mut terms: Vec<String> = Vec::new();
    for operand in operands {
        let mut term = String::new();
        for size in operand.dims() {
            let same: Vec<char> = known
                .iter()
                .filter(|(letter, of)| *of == size && !term.contains(*letter))
                .map(|(letter, _)| *letter)
                .collect();
            let letter = match term.chars().last() {
                // A diagonal.
                Some(last) if known.contains(&(last, size)) && choices.chance(0.1) => last,
                _ if !same.is_empty() && choices.chance(0.8) => *choices.pick(&same),
                _ => {
                    let next = (b'a'..=b'z').map(char::from).nth(known.len()).unwrap_or('Z');
                    known.push((next, size));
                    next
                }
            };
            term.push(letter);
        }
        terms.push(term);
    }
    let all = terms.join(",");
    if choices.chance(0.2) {
        return all;
    }
    let mut output = String::new();
    for (letter, _) in known {
        if choices.chance(0.6) {
            output.insert(choices.index(output.len() + 1), letter);
        }
    }
    format!("{all}->{output}")
}

/// A shape with this number of elements.
fn reshaped(choices: &mut Choices<'_>, count: usize) -> Vec<usize> {
    let divisors: Vec<usize> = (2..=33).filter(|n| count.is_multiple_of(*n)).collect();
    match (choices.index(6), divisors.is_empty()) {
        (0, _) | (2..=4, true) => vec![count],
        (1, _) => vec![1, count],
        (5, _) => vec![count, 1],
        (kind, _) => {
            let n = *choices.pick(&divisors);
            match kind {
                2 => vec![n, count / n],
                3 => vec![count / n, n],
                _ => vec![count / n, 1, n],
            }
        }
    }
}
