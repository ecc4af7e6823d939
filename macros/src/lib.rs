//! The `network!` macro: tokens are parsed to a syntax tree, the tree is checked by the compiler's
//! own builder, and what has been checked is expanded to Rust.

extern crate proc_macro;

mod ast;
mod check;
mod error;
mod expand;
mod parse;

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;

/// What `bilro::network!` hands its tokens to, with the library's own path before them in
/// brackets: `[$crate]`, which means the library whatever a program calls it.
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
mod fuzz;
#[cfg(test)]
mod names;
