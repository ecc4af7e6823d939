//! The macro `network!` on arbitrary text: the expansion is Rust, and each mistake is at tokens of
//! the text.

use std::fmt::Write;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::quote;

use super::{Target, hash, kind_of};

/// See the module.
pub const TARGET: Target = Target {
    name: "declarations",
    run,
    seeds,
    dictionary: WORDS,
    max_length: 4 << 10,
    // The limit on uses of blocks allows 4096 copies of a statement.
    memory: |_| 1 << 30,
};

/// A group with this name before it has no delimiter, as the expansion of a `macro_rules!` variable.
const NO_DELIMITER: &str = "__none";

const WORDS: &[&str] = &[
    "input",
    "target",
    "param",
    "layer",
    "let",
    "block",
    "choice",
    "output",
    "loss",
    "metric",
    "sum",
    "mean",
    "struct",
    "pub",
    "class",
    "index",
    "zeros",
    "ones",
    "normal",
    "uniform",
    "Linear",
    "ReLU",
    "Dropout",
    "BatchNorm1d",
    "Embedding",
    "LayerNorm",
    "Softmax",
    "relu",
    "matmul",
    "reshape",
    "transpose",
    "concat",
    "cross_entropy",
    "mse_loss",
    "x",
    "y",
    "0",
    "1",
    "784",
    "1.5",
    "-1",
    "1e999",
    "99999999999999999999",
    "18446744073709551615",
    "'a'",
    "\"text\"",
    "true",
    "axis",
    "=",
    ":",
    ";",
    ",",
    ".",
    "->",
    "-",
    "+",
    "*",
    "/",
    "::",
    "..",
    "#",
    "!",
    "[]",
    "()",
    "{}",
    "[784]",
    "(10)",
    "{ N }",
    "_",
    "self",
    "r#type",
    "<",
    ">",
    "'a",
    "where",
    "const",
    "usize",
    "|",
    "grad",
    "(2)[3]",
    "__none(x)",
    " * 2",
    " * 4097",
    "(x)",
    "f(f(",
    "é",
    "\u{feff}",
    "// c\n",
];

/// Correct networks that use every feature of the language.
pub const NETWORKS: &[&str] = &[
    "/// Digits.
pub struct Digits {
    input image: [784];
    target digit: class(10);
    layer fc1 = Linear(784, 128);
    layer fc2 = Linear(in_features = 128, out_features = 64, bias = false);
    let hidden = relu(fc2(relu(fc1(image))));
    output logits = hidden -> Linear(10);
    loss cross_entropy(logits, digit, label_smoothing = 0.1);
    metric accuracy(logits, digit);
}",
    "struct Perceptron {
    input point: [2];
    target label: [1];
    param w: [2, 1] = normal(0.0, 0.7);
    param b: [1] = zeros;
    output p = sigmoid(point.matmul(w) + b);
    metric error = abs(p - label);
    loss -(label * log(p) + (1.0 - label) * log(1.0 - p));
}",
    "pub(crate) struct Mlp<const HIDDEN: usize, const OUT: usize = 3> {
    input x: [28, 7 * 4];
    target y: [OUT];
    input word: index(100)[16];
    let flat = x.reshape([28 * 28]);
    output out = flat -> Linear({ HIDDEN }) -> GELU(approximate = tanh) -> Softmax(axis = -1) -> Linear(OUT);
    let _t = x.transpose([1, 0]).sum(axis = 0).pow(2.0) / 3;
    loss sum mse_loss(out, y);
}",
    "struct Residual {
    input x: [8];
    target y: class(3);
    block half(x) { x -> Linear(4) -> ReLU -> Linear(8) }
    block residual(x, scale) {
        layer fc = Linear(8);
        param gain: [8] = ones;
        let inner = x -> half -> fc * 2 -> (ReLU -> Linear(8)) * 2;
        x + inner * gain * scale
    }
    layer first = residual;
    let start = first(first(x, 0.5), 2);
    output logits = residual(start, start) -> (residual(1) -> Tanh) * 3 -> Linear(3);
    loss cross_entropy(logits, y);
}",
    "struct Chosen {
    input x: [8] grad;
    block half(x) { x * 0.5 }
    choice relu = relu | tanh | leaky_relu(0.2);
    choice either = relu | half | Sigmoid;
    block twice(x) { x -> half -> half }
    let y = (x + 1) -> (Linear(8) -> relu) * 2 -> either -> Dropout(0.2) -> BatchNorm1d -> twice;
    metric size = y.abs();
    loss sum: (y - x).square();
}",
    "struct Words {
    input words: index(13)[5];
    target kind: class(4);
    let seen = words -> Embedding(70) -> Tanh -> LayerNorm;
    output scores = __none(seen.mean(axis = 0)) -> Linear(4);
    loss cross_entropy(scores, kind, weight = [1.0, 2.0, 0.5, 1.0], ignore_index = 2) + 0.1 * scores.square().mean(axis = 0);
    metric top_k_accuracy(scores, kind, 2);
}",
];

fn seeds() -> Vec<Vec<u8>> {
    NETWORKS.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Replaces `__none(…)` by a group without delimiters.
fn without_delimiters(stream: TokenStream, depth: usize) -> TokenStream {
    let mut found = Vec::new();
    for token in stream {
        let TokenTree::Group(group) = token else {
            found.push(token);
            continue;
        };
        let is_marked = matches!(found.last(), Some(TokenTree::Ident(i)) if i == NO_DELIMITER);
        let delimiter = match is_marked {
            true => {
                found.pop();
                Delimiter::None
            }
            false => group.delimiter(),
        };
        let inner = match depth {
            0 => group.stream(),
            _ => without_delimiters(group.stream(), depth - 1),
        };
        let mut changed = Group::new(delimiter, inner);
        changed.set_span(group.span());
        found.push(changed.into());
    }
    found.into_iter().collect()
}

/// The tokens of a text; none if its delimiters are not balanced.
pub fn tokens(text: &str) -> Option<TokenStream> {
    Some(without_delimiters(text.parse().ok()?, 64))
}

/// Runs a case.
///
/// # Panics
/// If the expansion is not Rust, or a mistake is not at tokens of the text.
pub fn run(data: &[u8]) -> u64 {
    // Of cases before: their texts are kept for these.
    proc_macro2::extra::invalidate_current_thread_spans();
    let text = String::from_utf8_lossy(data);
    let Some(tokens) = tokens(&text) else { return 0 };
    // With cargo-fuzz, `proc_macro2` records no locations.
    let first = tokens.clone().into_iter().next();
    let has_locations = first.is_some_and(|token| !token.span().byte_range().is_empty());
    let expansion = bilro_macros_library::expand(&quote!(::bilro), tokens);
    let mut mistakes = Mistakes::default();
    mistakes.collect(expansion.clone(), text.len());
    let parsed = syn::parse2::<syn::File>(expansion.clone());
    if let Err(error) = parsed {
        panic!("the expansion is not Rust: {error}\n{expansion}\nof\n{text}");
    }
    assert!(
        !has_locations || mistakes.elsewhere.is_empty(),
        "mistakes without a location in the text: {:?}\nof\n{text}",
        mistakes.elsewhere
    );
    match mistakes.messages.is_empty() {
        // The kinds of items of the expansion.
        true => hash(&expansion.into_iter().count()),
        false => {
            let mut kinds = String::new();
            for message in &mistakes.messages {
                let _ = write!(kinds, "{:x} ", kind_of(message));
            }
            hash(&kinds)
        }
    }
}

/// The calls of `compile_error!` in an expansion.
#[derive(Default)]
struct Mistakes {
    messages: Vec<String>,
    /// Those whose span is not in the text.
    elsewhere: Vec<String>,
}

impl Mistakes {
    fn collect(&mut self, expansion: TokenStream, length: usize) {
        let tokens: Vec<TokenTree> = expansion.into_iter().collect();
        for (i, token) in tokens.iter().enumerate() {
            let TokenTree::Group(group) = token else { continue };
            let is_mistake = match &tokens[..i] {
                [.., TokenTree::Ident(name), TokenTree::Punct(bang)] => {
                    name == "compile_error" && bang.as_char() == '!'
                }
                _ => false,
            };
            if !is_mistake {
                self.collect(group.stream(), length);
                continue;
            }
            let message = group.stream().to_string();
            let span = tokens[i - 2].span().byte_range();
            // Without a location: `Span::call_site()`.
            if span.is_empty() || span.end > length {
                self.elsewhere.push(message.clone());
            }
            self.messages.push(message);
        }
    }
}
