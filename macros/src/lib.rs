//! The `network!` procedural macro: parses tokens to a syntax tree, checks the tree with the
//! compiler's own builder, and expands the checked network to Rust.
//!
//! `tests/macros` builds the same modules as an ordinary library, for tests.

extern crate proc_macro;

mod ast;
mod check;
mod driver;
mod error;
mod expand;
mod parse;

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;

use driver::expand;

/// The implementation of `bilro::network!`, which passes its tokens after the library's path in
/// brackets: `[$crate]` resolves to the library even if a program renames the dependency.
#[proc_macro]
pub fn declare(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let mut tokens = TokenStream::from(tokens).into_iter();
    match tokens.next() {
        Some(TokenTree::Group(root)) => expand(&root.stream(), tokens.collect()).into(),
        _ => quote!(::core::compile_error!("networks are declared by `bilro::network!`")).into(),
    }
}

#[cfg(test)]
mod names;
