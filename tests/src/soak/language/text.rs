//! The text of a network: what `network!` makes of it are the statements of the items.

use std::fmt::{self, Write};

use bilro_compiler::declaration::find_function;
use bilro_compiler::ops::{AttributeValue, Order};

use super::{Call, Item, NAME, Operand, is_kind};

/// The text of a network for `network!`.
pub fn text(items: &[Item]) -> String {
    let mut text = format!("struct {NAME} {{\n");
    write_items(&mut text, items, 1);
    text.push_str("}\n");
    text
}

fn write_items(text: &mut String, items: &[Item], depth: usize) {
    for item in items {
        let indent = "    ".repeat(depth);
        match item {
            Item::Block { name, parameters, items, value } => {
                let _ = writeln!(text, "{indent}block {name}({}) {{", parameters.join(", "));
                write_items(text, items, depth + 1);
                let _ = writeln!(text, "{indent}    {value}\n{indent}}}");
            }
            _ => {
                let _ = writeln!(text, "{indent}{item};");
            }
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Input { name, is_target, below, dims, grad, .. } => {
                let keyword = if *is_target { "target" } else { "input" };
                let grad = if *grad { " grad" } else { "" };
                match below {
                    None => write!(f, "{keyword} {name}: {}{grad}", sizes(dims)),
                    Some(below) if dims.is_empty() => write!(f, "{keyword} {name}: class({below})"),
                    Some(below) => write!(f, "{keyword} {name}: index({below}){}", sizes(dims)),
                }
            }
            Item::Parameter { name, dims, init, numbers } => {
                write!(f, "param {name}: {} = {init}", sizes(dims))?;
                let numbers: Vec<String> = numbers.iter().map(|x| number_text(*x)).collect();
                match numbers.is_empty() {
                    true => Ok(()),
                    false => write!(f, "({})", numbers.join(", ")),
                }
            }
            Item::Layer { name, of } => write!(f, "layer {name} = {of}"),
            Item::Choice { name, alternatives } => {
                let all: Vec<String> = alternatives.iter().map(Call::to_string).collect();
                write!(f, "choice {name} = {}", all.join(" | "))
            }
            Item::Block { name, parameters, .. } => {
                write!(f, "block {name}({}) {{ ... }}", parameters.join(", "))
            }
            Item::Let { names, call, operands } => {
                let operands: Vec<String> = operands.iter().map(Operand::to_string).collect();
                match &names[..] {
                    [name] => write!(f, "let {name} = ")?,
                    _ => write!(f, "let ({}) = ", names.join(", "))?,
                }
                let is_operator =
                    find_function(&call.name).is_ok_and(|op| op.call.is_some_and(|c| c.operator));
                let symbol = match call.name.as_str() {
                    "add" => Some("+"),
                    "sub" => Some("-"),
                    "mul" => Some("*"),
                    "div" => Some("/"),
                    "greater" => Some(">"),
                    "greater_equal" => Some(">="),
                    "less" => Some("<"),
                    "less_equal" => Some("<="),
                    "equal" => Some("=="),
                    "not_equal" => Some("!="),
                    "logical_and" => Some("&"),
                    "logical_or" => Some("|"),
                    _ => None,
                };
                let form = find_function(&call.name).ok().and_then(|op| op.call);
                let is_list = form.is_some_and(|form| form.is_list);
                let is_spread = form.is_some_and(|form| form.is_spread());
                match (symbol, &operands[..]) {
                    (Some(symbol), [a, b]) => write!(f, "{a} {symbol} {b}"),
                    (None, [x]) if is_operator && call.name == "neg" => write!(f, "-{x}"),
                    (None, [x]) if is_kind(&call.name) => write!(f, "{x} -> {call}"),
                    _ => {
                        let attributes = call.attributes.iter().map(show);
                        let all: Vec<String> = match (is_spread, is_list) {
                            (true, _) => attributes.chain(operands).collect(),
                            (_, true) => {
                                let list = format!("[{}]", operands.join(", "));
                                [list].into_iter().chain(attributes).collect()
                            }
                            _ => operands.into_iter().chain(attributes).collect(),
                        };
                        write!(f, "{}({})", call.name, all.join(", "))
                    }
                }
            }
            Item::Output { name, value } => write!(f, "output {name} = {value}"),
            Item::Loss { value, sum: true } => write!(f, "loss sum: {value}"),
            Item::Loss { value, sum: false } => write!(f, "loss {value}"),
            Item::Metric { name, value } => write!(f, "metric {name} = {value}"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let attributes: Vec<String> = self.attributes.iter().map(show).collect();
        match attributes.is_empty() {
            true => Ok(()),
            false => write!(f, "({})", attributes.join(", ")),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Value(name) => f.write_str(name),
            Operand::Number(number) => f.write_str(&number_text(*number)),
        }
    }
}

fn sizes(dims: &[usize]) -> String {
    format!("{dims:?}")
}

/// A number as a literal of the language.
pub(super) fn number_text(x: f64) -> String {
    format!("{x:?}")
}

fn show((name, value): &(String, AttributeValue)) -> String {
    let value = match value {
        AttributeValue::Axis(x) => x.to_string(),
        AttributeValue::Number(x) => number_text(*x),
        AttributeValue::Order(Order(x)) if x.is_infinite() => format!("{x}"),
        AttributeValue::Order(Order(x)) => number_text(*x),
        AttributeValue::Text(text) => format!("{text:?}"),
        AttributeValue::Flag(x) => x.to_string(),
        AttributeValue::Size(x) => x.to_string(),
        AttributeValue::Sizes(x) => {
            let sizes: Vec<String> = x.iter().map(ToString::to_string).collect();
            format!("[{}]", sizes.join(", "))
        }
        AttributeValue::Axes(x) => format!("{x:?}"),
        AttributeValue::Keyword(word) => word.clone(),
        AttributeValue::Integer(x) => x.to_string(),
        AttributeValue::Numbers(x) => {
            let numbers: Vec<String> = x.iter().map(|x| number_text(*x)).collect();
            format!("[{}]", numbers.join(", "))
        }
    };
    format!("{name} = {value}")
}
