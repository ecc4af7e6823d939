//! Diagnostics: mistakes with their source spans, collected so that all are reported at once.

use proc_macro2::{Delimiter, Group, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::quote_spanned;

/// The source span of a sequence of tokens. Spans cannot be joined on stable Rust, but rustc joins
/// the spans of the first and the last token of a `compile_error!`.
#[derive(Clone, Copy, Debug)]
pub struct SourceSpan {
    /// Of the first token.
    pub start: Span,
    /// Of the last token.
    pub end: Span,
}

impl SourceSpan {
    /// From the start of this span to the end of another.
    pub fn to(self, other: SourceSpan) -> SourceSpan {
        SourceSpan { start: self.start, end: other.end }
    }
}

impl From<Span> for SourceSpan {
    fn from(span: Span) -> SourceSpan {
        SourceSpan { start: span, end: span }
    }
}

/// One mistake.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// Its location.
    pub span: SourceSpan,
    /// The expected and the found syntax, with a hint.
    pub message: String,
}

impl Mistake {
    /// A mistake at these tokens.
    pub fn new(span: impl Into<SourceSpan>, message: impl Into<String>) -> Mistake {
        Mistake { span: span.into(), message: message.into() }
    }

    /// A call of `compile_error!` at its span.
    pub fn to_tokens(&self) -> TokenStream {
        let SourceSpan { start, end } = self.span;
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
