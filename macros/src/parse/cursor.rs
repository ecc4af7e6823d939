//! A cursor over tokens. Its mistakes name the expected and the found token, at the found one.

use proc_macro2::{Delimiter, Group, Ident, Spacing, Span, TokenTree};
use syn::ext::IdentExt;

use super::habits;
use crate::error::{Mistake, SourceSpan};

/// A position in a sequence of tokens.
#[derive(Clone)]
pub struct Cursor<'a> {
    tokens: &'a [TokenTree],
    /// The span for mistakes at the end of the tokens.
    end: Span,
    /// The name of the end in messages.
    end_name: &'static str,
}

/// Whether a word is a keyword of Rust in any edition, which cannot be a name.
pub fn is_reserved(word: &str) -> bool {
    !word.starts_with("r#") && (word == "gen" || syn::parse_str::<Ident>(word).is_err())
}

/// The hint for a keyword where a name is expected.
pub fn keyword_hint(word: &Ident) -> String {
    let text = word.to_string();
    match text.as_str() {
        "self" | "Self" | "super" | "crate" => String::new(),
        "mut" => ": leave it out, since values do not change".into(),
        _ => format!(": another name is needed, or `r#{text}`"),
    }
}

/// Whether a name has the prefix that is reserved for names of the expansion.
pub fn is_internal(word: &Ident) -> bool {
    let text = word.unraw().to_string();
    text.starts_with("__bilro") || text.starts_with("__BILRO")
}

impl<'a> Cursor<'a> {
    /// A cursor over a statement that ends at `end`.
    pub fn new(tokens: &'a [TokenTree], end: Span) -> Cursor<'a> {
        Cursor { tokens, end, end_name: "`;`" }
    }

    /// A cursor over the contents of a group.
    pub fn inside(group: &Group, tokens: &'a [TokenTree]) -> Cursor<'a> {
        let end_name = match group.delimiter() {
            Delimiter::Parenthesis => "`)`",
            Delimiter::Bracket => "`]`",
            Delimiter::Brace => "`}`",
            Delimiter::None => "the end",
        };
        Cursor { tokens, end: group.span_close(), end_name }
    }

    /// Whether it is at the end.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The next token.
    pub fn peek(&self) -> Option<&'a TokenTree> {
        self.tokens.first()
    }

    /// The token after the next one.
    pub fn peek_second(&self) -> Option<&'a TokenTree> {
        self.tokens.get(1)
    }

    /// The span of the token after the next one.
    pub fn second_span(&self) -> SourceSpan {
        self.peek_second().map_or(self.end, TokenTree::span).into()
    }

    /// Skips `count` tokens.
    pub fn skip(&mut self, count: usize) {
        self.tokens = &self.tokens[count.min(self.tokens.len())..];
    }

    /// A mistake at the next token: something else was expected.
    pub fn expected(&self, item: &str) -> Mistake {
        match self.peek() {
            Some(token) => {
                let (span, found) = show(token);
                Mistake::new(span, format!("expected {item}, found {found}"))
            }
            None => Mistake::new(self.end, format!("expected {item}, found {}", self.end_name)),
        }
    }

    /// [`Cursor::expected`] in an expression or at its end, with a hint for syntax of other
    /// languages.
    pub fn expected_of_expression(&self, item: &str) -> Mistake {
        let mut mistake = self.expected(item);
        let instead = self.peek().and_then(|token| habits::instead(token, self.peek_second()));
        if let Some(instead) = instead {
            mistake.message += &format!(": {instead}");
        }
        mistake
    }

    /// The next token if it is a word.
    pub fn word(&mut self) -> Option<Ident> {
        match self.peek()? {
            TokenTree::Ident(word) => {
                self.skip(1);
                Some(word.clone())
            }
            _ => None,
        }
    }

    /// Takes this word if it is next, and returns its span.
    pub fn take_word(&mut self, word: &str) -> Option<SourceSpan> {
        match self.peek()? {
            TokenTree::Ident(found) if found == word => {
                self.skip(1);
                Some(found.span().into())
            }
            _ => None,
        }
    }

    /// A name: an identifier that is no keyword of Rust.
    pub fn name(&mut self, item: &str) -> Result<Ident, Mistake> {
        let here = self.clone();
        match self.word() {
            Some(word) if word == "_" => Err(here.expected(item)),
            Some(word) if is_reserved(&word.to_string()) => Err(Mistake::new(
                word.span(),
                format!(
                    "expected {item}, found `{word}`, which is a keyword of Rust{}",
                    keyword_hint(&word)
                ),
            )),
            Some(word) => Ok(word),
            None => Err(here.expected(item)),
        }
    }

    /// Takes a name and this mark, if both are next.
    pub fn name_before(&mut self, mark: char) -> Option<Ident> {
        let before = self.clone();
        let name = self.name("");
        match name {
            Ok(name) if !self.is_pair(mark, mark) && self.take_punct(mark) => Some(name),
            _ => {
                *self = before;
                None
            }
        }
    }

    /// Whether the next token is this mark.
    pub fn is_punct(&self, mark: char) -> bool {
        matches!(self.peek(), Some(TokenTree::Punct(p)) if p.as_char() == mark)
    }

    /// Whether these two marks are next, without a space between them.
    pub fn is_pair(&self, first: char, second: char) -> bool {
        matches!((self.peek(), self.peek_second()), (Some(TokenTree::Punct(a)), Some(TokenTree::Punct(b)))
            if a.as_char() == first && a.spacing() == Spacing::Joint && b.as_char() == second)
    }

    /// The operator of `+=` and the like, if that is next.
    pub fn assigning(&self) -> Option<char> {
        ['+', '-', '*', '/'].into_iter().find(|operator| self.is_pair(*operator, '='))
    }

    /// Takes a mark if it is next.
    pub fn take_punct(&mut self, mark: char) -> bool {
        let found = self.is_punct(mark);
        if found {
            self.skip(1);
        }
        found
    }

    /// Requires a mark.
    pub fn punct(&mut self, mark: char, why: &str) -> Result<(), Mistake> {
        match self.take_punct(mark) {
            true => Ok(()),
            false => {
                let mut mistake = self.expected(&format!("`{mark}`"));
                mistake.message = format!("{}: {why}", mistake.message);
                Err(mistake)
            }
        }
    }

    /// The next token if it is a group in these delimiters.
    pub fn group(&self, delimiter: Delimiter) -> Option<&'a Group> {
        match self.peek()? {
            TokenTree::Group(group) if group.delimiter() == delimiter => Some(group),
            _ => None,
        }
    }

    /// Whether a list is next.
    pub fn is_list(&self) -> bool {
        self.group(Delimiter::Bracket).is_some()
    }
}

/// The span and the name of a token in messages: of a group, its opening delimiter.
fn show(token: &TokenTree) -> (Span, String) {
    match token {
        TokenTree::Group(group) => match group.delimiter() {
            Delimiter::Parenthesis => (group.span_open(), "`(`".into()),
            Delimiter::Bracket => (group.span_open(), "`[`".into()),
            Delimiter::Brace => (group.span_open(), "`{`".into()),
            Delimiter::None => match group.stream().into_iter().next() {
                Some(first) => show(&first),
                None => (group.span(), "nothing".into()),
            },
        },
        other => (other.span(), format!("`{other}`")),
    }
}

/// All identifiers in some tokens, in groups as well.
pub fn mentioned(tokens: &[TokenTree]) -> Vec<Ident> {
    let mut words = Vec::new();
    let mut stack: Vec<TokenTree> = tokens.to_vec();
    while let Some(token) = stack.pop() {
        match token {
            TokenTree::Ident(word) => words.push(word),
            TokenTree::Group(group) => stack.extend(group.stream()),
            _ => {}
        }
    }
    words
}
