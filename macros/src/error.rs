//! Mistakes with their place in the source, collected so that all are shown at once.

use proc_macro2::{Delimiter, Group, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::quote_spanned;

/// A run of tokens. Spans cannot be joined on stable Rust, but rustc joins those of the first and
/// the last token of what it is given.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Of the first token.
    pub start: Span,
    /// Of the last token.
    pub end: Span,
}

impl Place {
    /// From the start of one to the end of another.
    pub fn to(self, other: Place) -> Place {
        Place { start: self.start, end: other.end }
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Place {
        Place { start: span, end: span }
    }
}

/// One mistake.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// What was expected and what was found.
    pub message: String,
}

impl Mistake {
    /// At some tokens.
    pub fn new(place: impl Into<Place>, message: impl Into<String>) -> Mistake {
        Mistake { place: place.into(), message: message.into() }
    }

    /// A call of `compile_error!` at its place.
    pub fn to_tokens(&self) -> TokenStream {
        let Place { start, end } = self.place;
        let mut message = Literal::string(&self.message);
        message.set_span(end);
        let mut group = Group::new(Delimiter::Brace, TokenTree::from(message).into());
        group.set_span(end);
        let mut bang = Punct::new('!', Spacing::Alone);
        bang.set_span(start);
        let mut tokens = quote_spanned!(start=> ::core::compile_error);
        tokens.extend([TokenTree::from(bang), group.into()]);
        tokens
    }
}

impl From<syn::Error> for Mistake {
    fn from(error: syn::Error) -> Mistake {
        Mistake::new(error.span(), error.to_string())
    }
}
