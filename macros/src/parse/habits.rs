//! Hints for syntax from Python or from Rust's own expressions: what to write instead.

use proc_macro2::{Ident, Spacing, TokenTree};

use super::cursor::{Cursor, is_reserved};
use crate::error::{Mistake, SourceSpan};

/// Prefixes of functions and layers in Python programs.
const PREFIXES: [&str; 12] =
    ["self", "nn", "F", "torch", "functional", "np", "numpy", "tf", "keras", "jax", "jnp", "optim"];

/// Whether this name is such a prefix.
pub fn is_prefix(name: &str) -> bool {
    PREFIXES.contains(&name)
}

/// The hint for an unexpected token in an expression: what to write instead.
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
                ('%', _) => "remainders are `remainder(a, b)`",
                ('<', Some('<')) | ('>', Some('>')) => "there are no shifts of bits",
                ('~', _) => "`!x` is 1 where `x` is 0, else 0",
                ('?', _) => "operations cannot fail",
                _ => return None,
            }
            .into()
        }
        TokenTree::Literal(literal) if literal.to_string().starts_with(['"', '\'']) => {
            let text = literal.to_string();
            let word = text.trim_matches(['"', '\'']);
            match syn::parse_str::<Ident>(word) {
                Ok(word) => format!("words are written without quotes, as `{word}`"),
                Err(_) => "there are no strings".into(),
            }
        }
        TokenTree::Ident(word) => match word.to_string().as_str() {
            "if" | "else" | "match" => {
                "there are no branches: `where(condition, a, b)` selects per element, a `choice` \
                 selects per call"
            }
            "for" | "in" | "while" | "loop" => {
                "there are no loops: `x -> (Linear(8) -> ReLU) * 3` repeats"
            }
            "and" | "or" | "not" | "is" => {
                "logic is `a & b`, `a | b` and `!a`, with comparisons in parentheses: \
                 `(a > 0) & (b > 0)`"
            }
            "where" => "`where(condition, a, b)` selects per element",
            "as" => "reals are f32, and nothing is converted",
            "lambda" => "write a function as `block f(x) { ... }`",
            _ => return None,
        }
        .into(),
        _ => return None,
    })
}

/// The hint for a statement that starts with this word.
pub(super) fn instead_of_statement(word: &str) -> Option<&'static str> {
    Some(match word {
        "return" | "yield" => {
            "a network predicts its outputs, `output y = ...;`, and the value of a block is its \
             last expression"
        }
        "def" | "fn" | "lambda" => "write a function as `block f(x) { ... }`",
        "class" | "struct" | "enum" | "impl" | "trait" | "mod" => {
            "write each network in a `network!` of its own"
        }
        "import" | "from" | "use" | "const" | "static" | "type" => {
            "Rust items go outside of `network!`; sizes may name constants"
        }
        "for" | "while" | "loop" => {
            "there are no loops: `x -> (Linear(8) -> ReLU) * 3` repeats, and a `block` is used \
             several times"
        }
        "if" | "else" | "match" | "elif" => {
            "there are no branches: `where(condition, a, b)` selects per element, a `choice` selects \
             per call"
        }
        "var" | "val" | "auto" => "a value is declared by `let`",
        "print" | "println" | "assert" | "pass" | "with" => {
            "a network declares values and runs no statements: leave it out"
        }
        _ => return None,
    })
}

/// The hint for `x.word` without arguments.
pub(super) fn instead_of_field(word: &str, shown: &str) -> Option<String> {
    Some(match word {
        "weight" | "bias" | "running_mean" | "running_var" => format!(
            "parameters of a layer are private: declare one that is used elsewhere as \
             `param {word}: [2, 1] = xavier_uniform;`, and write `{word}` for `{shown}.{word}`"
        ),
        "shape" | "ndim" | "size" => {
            "sizes are known when the network is declared: write the number, or a constant of Rust"
                .into()
        }
        "T" | "mT" | "H" | "mH" => {
            format!("`{shown}.transpose([1, 0])` permutes the axes of an example")
        }
        "grad" => {
            "`model.gradients(batch)` returns gradients; for that of an input, declare it as \
                   `input x: [2] grad;`"
                .into()
        }
        "data" | "device" | "dtype" | "requires_grad" => {
            "leave it out: values are reals, and the graph has only what is computed".into()
        }
        _ => return None,
    })
}

impl Cursor<'_> {
    /// Whether the next word starts an expression in other languages: `if`, or `not` before a name.
    pub(super) fn is_habit(&self) -> bool {
        let Some(token @ TokenTree::Ident(word)) = self.peek() else { return false };
        let before_name = word == "not" && matches!(self.peek_second(), Some(TokenTree::Ident(_)));
        before_name || is_reserved(&word.to_string()) && instead(token, None).is_some()
    }

    /// The mistake of a prefixed name, `nn.Linear` or `self.fc1`, if one is next. With `deep`, a
    /// prefix needs at least two dots, as in `torch.nn.Linear`: `F.relu` may be a method call.
    pub(super) fn dotted(&self, deep: bool) -> Option<Mistake> {
        let mut cursor = self.clone();
        let first = cursor.word().filter(|word| is_prefix(&word.to_string()))?;
        let mut segments = vec![first.clone()];
        while cursor.is_punct('.') {
            cursor.skip(1);
            segments.push(cursor.word()?);
        }
        let last = segments.last().filter(|_| segments.len() > 1)?;
        if deep && segments.len() == 2 && first != "self" {
            return None;
        }
        let shown: Vec<String> = segments.iter().map(Ident::to_string).collect();
        let span = SourceSpan::from(first.span()).to(last.span().into());
        Some(without_prefix(span, &shown.join("."), &last.to_string()))
    }
}

/// The mistake of `nn.Linear`: names have no prefix.
pub fn without_prefix(span: SourceSpan, written: &str, name: &str) -> Mistake {
    let mut message = format!("names have no prefix: write `{name}` for `{written}`");
    if name.starts_with(char::is_uppercase) {
        message += &format!(", as in `x -> {name}(...)` or `layer name = {name}(...);`");
    }
    Mistake::new(span, message)
}
