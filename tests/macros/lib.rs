//! The modules of `bilro-macros` as an ordinary library: a crate of macros exports nothing else, and
//! its tests are built without coverage by cargo-fuzz.

extern crate proc_macro;

#[path = "../../macros/src/ast.rs"]
mod ast;
#[path = "../../macros/src/check/mod.rs"]
mod check;
#[path = "../../macros/src/driver.rs"]
mod driver;
#[path = "../../macros/src/error.rs"]
mod error;
#[path = "../../macros/src/expand/mod.rs"]
mod expand;
#[path = "../../macros/src/parse/mod.rs"]
mod parse;

use bilro_compiler::declaration::Declaration;
use proc_macro2::TokenStream;

pub use driver::expand;

/// The declaration of the tokens of a `network!`.
///
/// # Errors
/// The messages of all mistakes.
pub fn declaration(tokens: TokenStream) -> Result<Declaration, Vec<String>> {
    let mut mistakes = Vec::new();
    let parsed = parse::parse(tokens, &mut mistakes);
    let checked = parsed.map(|parsed| check::check(&parsed, &mut mistakes));
    match checked.and_then(|checked| checked.declaration) {
        Some(declaration) if mistakes.is_empty() => Ok(declaration),
        _ => Err(mistakes.into_iter().map(|mistake| mistake.message).collect()),
    }
}
