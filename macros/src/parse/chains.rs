//! Parses the links of a chain: layers, groups of links, and repetitions.

use proc_macro2::{Delimiter, Group, TokenTree};
use syn::Lit;

use super::cursor::Cursor;
use super::expressions::{DEEPEST, Parsed, deepest, inside, too_deep};
use crate::ast::{Element, Link, Named, Times};
use crate::error::{Mistake, SourceSpan};

/// The largest number of repetitions of a link; more is taken for a typo.
const MOST_REPETITIONS: usize = 1000;

/// Links in a row.
pub(super) struct Links {
    pub all: Vec<Link>,
    /// The span of the last link.
    pub span: SourceSpan,
    pub depth: usize,
}

impl Cursor<'_> {
    /// Whether an operator or a method follows.
    pub(super) fn continues(&self) -> bool {
        ['+', '-', '*', '/', '.'].iter().any(|op| self.is_punct(*op)) || self.is_condition()
    }

    /// `(-> LINK)+`
    pub(super) fn links(&mut self, outer: usize) -> Parsed<Links> {
        let mut links: Option<Links> = None;
        while self.is_pair('-', '>') {
            self.skip(2);
            let next = self.link(outer)?;
            links = Some(match links.take() {
                None => next,
                Some(mut links) => {
                    links.all.extend(next.all);
                    Links { depth: links.depth.max(next.depth), span: next.span, ..links }
                }
            });
        }
        links.ok_or_else(|| self.expected("`->`"))
    }

    fn link(&mut self, outer: usize) -> Parsed<Links> {
        let (element, mut span, depth) = match self.group(Delimiter::Parenthesis) {
            Some(group) => {
                let links = self.group_of_links(group, outer + 1)?;
                let span = SourceSpan { start: group.span_open(), end: group.span_close() };
                (Element::Group(links.all), span, links.depth + 1)
            }
            None => {
                if let Some(mistake) = self.dotted(false) {
                    return Err(mistake);
                }
                let name = self.name("a layer or a function")?;
                let mut span = SourceSpan::from(name.span());
                if let Some(group) = self.group(Delimiter::Parenthesis) {
                    span = span.to(group.span_close().into());
                }
                let arguments = self.nested_arguments(outer + 1)?;
                let depth = deepest(arguments.as_deref().unwrap_or_default());
                (Element::One(Named { name, arguments }), span, depth)
            }
        };
        if depth >= DEEPEST {
            return Err(too_deep(span));
        }
        let mut times = None;
        if self.take_punct('*') {
            let repetitions = self.times()?;
            span = span.to(repetitions.span);
            times = Some(repetitions);
        }
        Ok(Links { all: vec![Link { element, times }], span, depth })
    }

    fn group_of_links(&mut self, group: &Group, outer: usize) -> Parsed<Links> {
        if outer >= DEEPEST {
            return Err(too_deep(group.span_open().into()));
        }
        let links = inside(group, |c| {
            let mut links = c.link(outer)?;
            if c.is_pair('-', '>') {
                let more = c.links(outer)?;
                links.all.extend(more.all);
                links.depth = links.depth.max(more.depth);
            }
            if c.is_empty() { Ok(links) } else { Err(c.expected("`->` or `)`")) }
        })?;
        self.skip(1);
        Ok(links)
    }

    /// The number after a link's `*`.
    fn times(&mut self) -> Parsed<Times> {
        let Some(token) = self.peek() else {
            return Err(self.expected("a number of repetitions, as `* 3`"));
        };
        let Some(literal) = integer(token) else {
            let mut mistake = self.expected("a number of repetitions, an integer");
            mistake.message += ": after a link `*` repeats it, as in `x -> (Linear(8) -> ReLU) \
                                * 3`, and Rust's constants are not known here; to multiply \
                                the value of a chain, put the chain in parentheses";
            return Err(mistake);
        };
        let span = SourceSpan::from(literal.span());
        let count = match literal.base10_parse::<usize>() {
            Ok(0) => {
                return Err(Mistake::new(span, "a link is repeated at least once, not 0 times"));
            }
            Ok(count) if count <= MOST_REPETITIONS => count,
            _ => {
                let message = format!(
                    "a link is repeated at most {MOST_REPETITIONS} times, not {literal} times"
                );
                return Err(Mistake::new(span, message));
            }
        };
        self.skip(1);
        Ok(Times { count, span })
    }
}

/// An integer literal; `macro_rules!` may have put a group around it.
fn integer(token: &TokenTree) -> Option<syn::LitInt> {
    match token {
        TokenTree::Literal(literal) => match Lit::new(literal.clone()) {
            Lit::Int(int) => Some(int),
            _ => None,
        },
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            let mut tokens = group.stream().into_iter();
            let (first, more) = (tokens.next()?, tokens.next());
            match (first, more) {
                (TokenTree::Literal(literal), None) => integer(&literal.into()),
                _ => None,
            }
        }
        _ => None,
    }
}
