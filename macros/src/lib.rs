//! The `network!` procedural macro: parses tokens to a syntax tree, checks the tree with the
//! compiler's own builder, and expands the checked network to Rust.

extern crate proc_macro;

mod ast;
mod check;
mod error;
mod expand;
mod parse;

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;

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

fn expand(root: &TokenStream, tokens: TokenStream) -> TokenStream {
    let mut mistakes = Vec::new();
    match parse::parse(tokens, &mut mistakes) {
        Some(network) => {
            let checked = check::check(&network, &mut mistakes);
            expand::expand(root, &network, &checked, &mistakes)
        }
        None => mistakes.iter().map(error::Mistake::to_tokens).collect(),
    }
}

#[cfg(test)]
mod drawn;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod names;
