//! What people write who come from Python, or from Rust's own expressions: what to write instead.

use proc_macro2::{Delimiter, Ident, Spacing, TokenTree};

use super::cursor::{Cursor, is_reserved};
use crate::error::{Mistake, Place};

/// Names that PyTorch's functions and layers are called by.
const PREFIXES: [&str; 12] =
    ["self", "nn", "F", "torch", "functional", "np", "numpy", "tf", "keras", "jax", "jnp", "optim"];

/// Whether this is such a name.
pub fn is_prefix(name: &str) -> bool {
    PREFIXES.contains(&name)
}

/// What to write instead of what starts with this token, where it is not expected.
pub(super) fn instead(token: &TokenTree, next: Option<&TokenTree>) -> Option<String> {
    let mark = |token: Option<&TokenTree>| match token {
        Some(TokenTree::Punct(mark)) => Some(mark.as_char()),
        _ => None,
    };
    Some(match token {
        TokenTree::Punct(first) => {
            let second = mark(next).filter(|_| first.spacing() == Spacing::Joint);
            match (first.as_char(), second) {
                ('@', _) => "products of matrices are `a.matmul(b)`",
                ('^', _) => "powers are `x.pow(2)`",
                ('%', _) => "there is no remainder",
                ('<' | '>', _) | ('=' | '!', Some('=')) => {
                    "there are no comparisons: `step(x - y)` is 1 where `x` is at least `y`, else 0"
                }
                ('&' | '|' | '!' | '~', _) => {
                    "there is no logic: `step(x)` is 0 or 1, and products, `maximum` and \
                     `1 - x` of these are and, or, not"
                }
                ('?', _) => "nothing fails here",
                _ => return None,
            }
            .into()
        }
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
            "values are not indexed: parts that are used apart are several inputs, as \
             `input a: [2]; input b: [3];`, and `sum(x, axis = 0)` and the like go over an axis"
                .into()
        }
        TokenTree::Literal(literal) if literal.to_string().starts_with(['"', '\'']) => {
            let text = literal.to_string();
            let word = text.trim_matches(['"', '\'']);
            match syn::parse_str::<Ident>(word) {
                Ok(word) => format!("words are written without quotes, as `{word}`"),
                Err(_) => "there are no texts".into(),
            }
        }
        TokenTree::Ident(word) => match word.to_string().as_str() {
            "if" | "else" | "match" => {
                "there are no branches: products with `step(x)` choose element by element, a \
                 `choice` with every call"
            }
            "for" | "in" | "while" | "loop" => {
                "there are no loops: `x -> (Linear(8) -> ReLU) * 3` repeats"
            }
            "and" | "or" | "not" | "is" => {
                "there is no logic: `step(x)` is 0 or 1, and products, `maximum` and `1 - x` of \
                 these are and, or, not"
            }
            "where" => "`step(x)` is 1 from 0 on, else 0; products with it choose",
            "as" => "reals are f32, and nothing is converted",
            "lambda" => "`block f(x) { ... }` is a piece with a name",
            _ => return None,
        }
        .into(),
        _ => return None,
    })
}

/// What to write instead of a statement that starts with this word.
pub(super) fn instead_of_statement(word: &str) -> Option<&'static str> {
    Some(match word {
        "return" | "yield" => {
            "`output y = ...;` is what a network predicts, and what a block gives is its last \
             expression"
        }
        "def" | "fn" | "lambda" => "`block f(x) { ... }` is a piece with a name",
        "class" | "struct" | "enum" | "impl" | "trait" | "mod" => {
            "each network has a `network!` of its own"
        }
        "import" | "from" | "use" | "const" | "static" | "type" => {
            "what is Rust's stands outside of `network!`; sizes may name its constants"
        }
        "for" | "while" | "loop" => {
            "there are no loops: `x -> (Linear(8) -> ReLU) * 3` repeats, and a `block` is used \
             several times"
        }
        "if" | "else" | "match" | "elif" => {
            "there are no branches: products with `step(x)` choose element by element, a `choice` \
             with every call"
        }
        "var" | "val" | "auto" => "a value is declared by `let`",
        "print" | "println" | "assert" | "pass" | "with" => {
            "a network says what is computed, not what is done: leave it out"
        }
        _ => return None,
    })
}

/// What to write instead of `x.word` without arguments.
pub(super) fn instead_of_field(word: &str, shown: &str) -> Option<String> {
    Some(match word {
        "weight" | "bias" | "running_mean" | "running_var" => format!(
            "a layer keeps its parameters to itself: declare one that is used elsewhere as \
             `param {word}: [2, 1] = xavier_uniform;`, and write `{word}` for `{shown}.{word}`"
        ),
        "shape" | "ndim" | "size" => {
            "sizes are known when the network is declared: write the number, or a constant of Rust"
                .into()
        }
        "T" | "mT" | "H" | "mH" => {
            format!("`{shown}.transpose([1, 0])` puts the axes of an example into another order")
        }
        "grad" => "`model.gradients(batch)` gives gradients; for that of an input, declare it as \
                   `input x: [2] grad;`"
            .into(),
        "data" | "device" | "dtype" | "requires_grad" => {
            "leave it out: values are reals, and the graph has only what is computed".into()
        }
        _ => return None,
    })
}

impl Cursor<'_> {
    /// Whether a word is next that starts an expression elsewhere: `if`, or `not` before a name.
    pub(super) fn is_habit(&self) -> bool {
        let Some(token @ TokenTree::Ident(word)) = self.peek() else { return false };
        let before_name = word == "not" && matches!(self.peek_second(), Some(TokenTree::Ident(_)));
        before_name || is_reserved(&word.to_string()) && instead(token, None).is_some()
    }

    /// A name as `nn.Linear` or `self.fc1`, if that is next: what is written without the first
    /// parts. Where only several dots tell, `torch.nn` and the like, `deep` says so.
    pub(super) fn dotted(&self, deep: bool) -> Option<Mistake> {
        let mut cursor = self.clone();
        let first = cursor.word().filter(|word| is_prefix(&word.to_string()))?;
        let mut parts = vec![first.clone()];
        while cursor.is_punct('.') {
            cursor.skip(1);
            parts.push(cursor.word()?);
        }
        let last = parts.last().filter(|_| parts.len() > 1)?;
        if deep && parts.len() == 2 && first != "self" {
            return None;
        }
        let shown: Vec<String> = parts.iter().map(Ident::to_string).collect();
        let place = Place::from(first.span()).to(last.span().into());
        Some(without_prefix(place, &shown.join("."), &last.to_string()))
    }
}

/// The answer to `nn.Linear`: names stand alone.
pub fn without_prefix(place: Place, written: &str, name: &str) -> Mistake {
    let mut message = format!("names stand alone: write `{name}` for `{written}`");
    if name.starts_with(char::is_uppercase) {
        message += &format!(", as in `x -> {name}(...)` or `layer name = {name}(...);`");
    }
    Mistake::new(place, message)
}
