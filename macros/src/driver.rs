//! From tokens to tokens: parse, check, expand.

use proc_macro2::TokenStream;

use crate::check::check;
use crate::error::Mistake;
use crate::parse::parse;

/// The expansion of a declaration, for the library at the path `root`. With mistakes, it includes a
/// `compile_error!` for each, at its tokens.
pub fn expand(root: &TokenStream, tokens: TokenStream) -> TokenStream {
    let mut mistakes = Vec::new();
    match parse(tokens, &mut mistakes) {
        Some(network) => {
            let checked = check(&network, &mut mistakes);
            crate::expand::expand(root, &network, &checked, &mistakes)
        }
        None => mistakes.iter().map(Mistake::to_tokens).collect(),
    }
}
