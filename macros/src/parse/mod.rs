//! The parser: tokens to the syntax tree. It recovers from errors by statement: after a mistake it
//! continues behind the next semicolon, or where the next statement must have begun.

mod blocks;
mod chains;
mod cursor;
mod expressions;
mod habits;
mod keywords;
mod losses;

use std::collections::HashSet;

use bilro_compiler::error::nearest;
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, GenericParam, Generics, Token, Visibility};

use crate::ast::{Expr, ItemNetwork, List, Named, Statement, StatementKind, Type};
use crate::error::{Mistake, SourceSpan};
use cursor::{Cursor, is_internal, keyword_hint};
pub use cursor::{is_reserved, mentioned};
pub use expressions::DEEPEST;
pub use habits::{is_prefix, without_prefix};

/// The words that start a statement.
const STATEMENTS: [&str; 10] =
    ["input", "target", "param", "layer", "choice", "let", "block", "output", "loss", "metric"];

/// The statements that are allowed in a block.
const BLOCK_STATEMENTS: [&str; 3] = ["param", "layer", "let"];

/// The form of a network, for messages about its header.
const FORM: &str = "a network is declared as `pub struct Name { input x: [2]; ... }`";

/// Parses a network and collects its mistakes; `None` if not even its name can be parsed.
pub fn parse(tokens: TokenStream, mistakes: &mut Vec<Mistake>) -> Option<ItemNetwork> {
    if tokens.is_empty() {
        mistakes.push(Mistake::new(Span::call_site(), FORM));
        return None;
    }
    let all: Vec<TokenTree> = tokens.clone().into_iter().collect();
    for word in mentioned(&all).iter().rev().filter(|word| is_internal(word)) {
        let message =
            format!("`{word}` is reserved for the macro, as all names that start with `__bilro`");
        mistakes.push(Mistake::new(word.span(), message));
    }
    let header = match header.parse2(tokens) {
        Ok(header) => header,
        Err(error) => {
            mistakes.push(located(error, &all));
            return None;
        }
    };
    let Header { attributes, visibility, keyword, name, generics, body, trailing } = header;
    let mut network = ItemNetwork {
        attributes,
        visibility,
        keyword,
        name,
        generics: Generics::default(),
        statements: Vec::new(),
        incomplete: false,
    };
    match generics.and_then(const_generics) {
        Ok(generics) => network.generics = generics,
        Err(error) => mistakes.push(located(error, &all)),
    }
    match body {
        Some(body) => {
            let body = read_body(&body, Within::Network, mistakes);
            network.statements = body.statements;
            network.incomplete = body.incomplete;
        }
        None => {
            let span =
                trailing.clone().into_iter().next().map_or(network.name.span(), |t| t.span());
            mistakes.push(Mistake::new(span, format!("expected `{{`: {FORM}")));
            network.incomplete = true;
            return Some(network);
        }
    }
    if let Some(more) = trailing.into_iter().next() {
        let message = match &more {
            TokenTree::Punct(mark) if mark.as_char() == ';' => {
                "a network ends with its braces, without `;`"
            }
            _ => "`network!` declares one network: write another `network!` for the next one",
        };
        mistakes.push(Mistake::new(more.span(), message));
    }
    if network.name == "Network" {
        let message = "`Network` is the trait of all networks, with the methods that they have: \
                       another name is needed";
        mistakes.push(Mistake::new(network.name.span(), message));
    }
    Some(network)
}

/// A mistake found by syn. At the end of the input it has no location: then that of the last token.
fn located(error: syn::Error, tokens: &[TokenTree]) -> Mistake {
    match tokens.last() {
        Some(last) if error.to_string().starts_with("unexpected end of input") => {
            Mistake::new(last.span(), error.to_string())
        }
        _ => error.into(),
    }
}

struct Header {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    keyword: Token![struct],
    name: Ident,
    generics: syn::Result<Generics>,
    body: Option<Group>,
    /// Tokens after the body, which must be empty.
    trailing: TokenStream,
}

fn header(input: ParseStream<'_>) -> syn::Result<Header> {
    if input.peek(Token![#]) && input.peek2(Token![!]) {
        let message = "attributes and doc comments of a network go before its `struct`, as \
                       `#[...]` and `///`";
        return Err(input.error(message));
    }
    let attributes = input.call(Attribute::parse_outer)?;
    let visibility = input.parse()?;
    if !input.peek(Token![struct]) {
        return Err(input.error(format!("expected `struct`: {FORM}")));
    }
    let keyword = input.parse::<Token![struct]>()?;
    if input.is_empty() {
        return Err(syn::Error::new(
            keyword.span,
            format!("expected a name after `struct`: {FORM}"),
        ));
    }
    let name = match input.peek(Ident::peek_any) {
        true => input.call(Ident::parse_any)?,
        false => input.parse()?,
    };
    is_a_name(&name)?;
    // After a mistake in the generics, skip to the body.
    let generics = input.parse();
    let mut body = None;
    if generics.is_err() {
        while !input.is_empty() && !input.peek(syn::token::Brace) {
            input.parse::<TokenTree>()?;
        }
    }
    if input.peek(syn::token::Brace) {
        body = Some(input.parse()?);
    }
    Ok(Header { attributes, visibility, keyword, name, generics, body, trailing: input.parse()? })
}

/// Refuses keywords of Rust.
fn is_a_name(word: &Ident) -> syn::Result<()> {
    if !is_reserved(&word.to_string()) {
        return Ok(());
    }
    let message = format!(
        "expected a name, found `{word}`, which is a keyword of Rust{}",
        keyword_hint(word)
    );
    Err(syn::Error::new(word.span(), message))
}

/// Requires generics to be constants of type `usize`.
fn const_generics(generics: Generics) -> syn::Result<Generics> {
    let message = "a network is generic over sizes: `<const N: usize>`";
    let mut seen = HashSet::new();
    for parameter in &generics.params {
        match parameter {
            GenericParam::Const(c) if c.ty.to_token_stream().to_string() == "usize" => {
                is_a_name(&c.ident)?;
                if !seen.insert(&c.ident) {
                    let message = format!("`{}` is declared twice", c.ident);
                    return Err(syn::Error::new(c.ident.span(), message));
                }
            }
            GenericParam::Const(c) => return Err(syn::Error::new(c.ty.span(), message)),
            other => return Err(syn::Error::new(other.span(), message)),
        }
    }
    Ok(generics)
}

/// The context of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Network,
    Block,
}

impl Within {
    /// The keywords of statements that are allowed here.
    fn keywords(self) -> &'static [&'static str] {
        match self {
            Within::Network => &STATEMENTS,
            Within::Block => &BLOCK_STATEMENTS,
        }
    }

    /// The keywords, listed for messages.
    fn show(self) -> String {
        let all: Vec<_> = self.keywords().iter().map(|s| format!("`{s}`")).collect();
        let suffix = if self == Within::Block { " of a block" } else { "" };
        format!("the statements{suffix} are {}", all.join(", "))
    }
}

/// The contents of the braces of a network or a block.
struct Body {
    statements: Vec<Statement>,
    /// The expression after the statements of a block.
    value: Option<Expr>,
    /// A statement could not be parsed at all.
    incomplete: bool,
}

fn read_body(group: &Group, within: Within, mistakes: &mut Vec<Mistake>) -> Body {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let mut body = Body { statements: Vec::new(), value: None, incomplete: false };
    let mut start = 0;
    while start < tokens.len() {
        let remaining = &tokens[start..];
        let semicolon = remaining.iter().position(|t| is_punct(t, ';')).unwrap_or(remaining.len());
        let next = next_statement(&remaining[..semicolon]);
        let end = next.unwrap_or(semicolon);
        let block = blocks::end(&remaining[..end]);
        let end = block.unwrap_or(end);
        let own = &remaining[..end];
        // The span for mistakes at the end of the statement: its semicolon, else its last token.
        let after = match (block.or(next), remaining.get(semicolon)) {
            (None, Some(semicolon)) => semicolon.span(),
            _ => own.last().map_or(group.span_close(), TokenTree::span),
        };
        let is_last = next.is_none() && block.is_none() && semicolon + 1 >= remaining.len();
        if within == Within::Block && is_last && !own.is_empty() && !starts_statement(own) {
            body.value = blocks::value(group, own, remaining.get(semicolon), mistakes);
            body.incomplete |= body.value.is_none();
        } else if !own.is_empty() {
            let before = mistakes.len();
            match statement(own, after, within, mistakes) {
                Some(statement) => {
                    body.incomplete |= statement.hides_a_name();
                    body.statements.push(statement);
                }
                None => body.incomplete = true,
            }
            let ended = block.is_some() || (next.is_none() && semicolon < remaining.len());
            if !ended && mistakes.len() == before {
                mistakes.push(Mistake::new(after, "expected `;` after this"));
            }
        }
        start += match (block, next) {
            (Some(next), _) | (None, Some(next)) => next,
            (None, None) => semicolon + 1,
        };
    }
    body
}

/// Whether these tokens are a statement rather than an expression: two identifiers in a row.
fn starts_statement(tokens: &[TokenTree]) -> bool {
    match &tokens[skip_docs(tokens)..] {
        [TokenTree::Ident(_), TokenTree::Ident(_), ..] => true,
        [TokenTree::Ident(a), ..] => a == "let",
        _ => false,
    }
}

/// The index of a second statement inside what should be one statement: a keyword before a name.
/// Two identifiers in a row are never part of an expression.
fn next_statement(tokens: &[TokenTree]) -> Option<usize> {
    let start = skip_docs(tokens);
    let keyword = (start + 1..tokens.len().saturating_sub(1)).find(|&i| {
        matches!((&tokens[i], &tokens[i + 1]), (TokenTree::Ident(a), TokenTree::Ident(_))
            if STATEMENTS.iter().any(|s| a == s))
    })?;
    let mut begin = keyword;
    while begin >= start + 3 && is_attribute(&tokens[begin - 2..begin]) {
        begin -= 2;
    }
    Some(begin)
}

fn skip_docs(tokens: &[TokenTree]) -> usize {
    let pairs = tokens.chunks_exact(2).take_while(|pair| is_attribute(pair));
    2 * pairs.count()
}

fn is_attribute(pair: &[TokenTree]) -> bool {
    is_punct(&pair[0], '#')
        && matches!(&pair[1], TokenTree::Group(g) if g.delimiter() == Delimiter::Bracket)
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == c)
}

/// Parses one statement; `None` if not even its keyword is known.
fn statement(
    tokens: &[TokenTree],
    end: Span,
    within: Within,
    mistakes: &mut Vec<Mistake>,
) -> Option<Statement> {
    let (docs, tokens) = tokens.split_at(skip_docs(tokens));
    if let (Some(last), true) = (docs.last(), tokens.is_empty()) {
        let message = "a doc comment (`///`) documents the statement after it, but there is none";
        mistakes
            .push(Mistake::new(SourceSpan::from(docs[0].span()).to(last.span().into()), message));
        return None;
    }
    let docs = doc_comments(docs, mistakes);
    let mut cursor = Cursor::new(tokens, end);
    let before = mistakes.len();
    let keyword = match keywords::keyword(&mut cursor, within, mistakes) {
        Ok(keyword) => keyword?,
        Err(mistake) => {
            mistakes.push(mistake);
            return None;
        }
    };
    let kind = match within.keywords().iter().any(|s| keyword == s) {
        true => statement_kind(&keyword, &mut cursor, mistakes),
        false => Err(Mistake::new(
            keyword.span(),
            format!("`{keyword}` cannot be in a block ({})", within.show()),
        )),
    };
    let kind = match kind {
        Ok(kind) => kind,
        Err(mistake) => {
            // At most one message per statement.
            if mistakes.len() == before {
                mistakes.push(mistake);
            }
            // In `y = relu(x)`, without its keyword, the name comes first.
            let at = usize::from(!tokens.get(1).is_some_and(|token| is_punct(token, '=')));
            let name = match tokens.get(at) {
                Some(TokenTree::Ident(name)) if !is_reserved(&name.to_string()) => {
                    Some(name.clone())
                }
                _ => None,
            };
            let name = name.filter(|_| keyword != "loss" && keyword != "metric");
            StatementKind::Broken { name, mentioned: mentioned(tokens) }
        }
    };
    Some(Statement { docs, keyword, kind })
}

fn doc_comments(tokens: &[TokenTree], mistakes: &mut Vec<Mistake>) -> TokenStream {
    let mut docs = TokenStream::new();
    for pair in tokens.chunks_exact(2) {
        let attribute = Attribute::parse_outer.parse2(pair.iter().cloned().collect());
        let is_doc = attribute.is_ok_and(|all| all.iter().all(|a| a.path().is_ident("doc")));
        if is_doc {
            docs.extend(pair.iter().cloned());
        } else {
            let span = SourceSpan::from(pair[0].span()).to(pair[1].span().into());
            let message = "only doc comments are allowed before a statement";
            mistakes.push(Mistake::new(span, message));
        }
    }
    docs
}

fn statement_kind(
    keyword: &Ident,
    cursor: &mut Cursor<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Result<StatementKind, Mistake> {
    let kind = match keyword.to_string().as_str() {
        word @ ("input" | "target") => {
            let name = cursor.name("a name")?;
            cursor.punct(':', "as in `input image: [784];`")?;
            let ty = ty(cursor)?;
            let grad = cursor.take_word("grad");
            if let (None, Some(TokenTree::Ident(word))) = (&grad, cursor.peek())
                && nearest(&word.to_string(), ["grad"]).is_some()
            {
                let message =
                    format!("expected `grad` or `;`, found `{word}`; did you mean `grad`?");
                return Err(Mistake::new(word.span(), message));
            }
            StatementKind::Input { name, ty, is_target: word == "target", grad }
        }
        "param" => {
            let name = cursor.name("a name")?;
            cursor.punct(':', "as in `param w: [2, 1] = zeros;`")?;
            let dims = list(cursor, "sizes, as `[2, 1]`")?;
            cursor
                .punct('=', "a parameter needs an initialiser, as in `param w: [2, 1] = zeros;`")?;
            StatementKind::Param { name, dims, init: cursor.expr()? }
        }
        "layer" => {
            let name = cursor.name("a name")?;
            cursor.punct('=', "as in `layer fc1 = Linear(128);`")?;
            if let Some(mistake) = cursor.dotted(false) {
                return Err(mistake);
            }
            let kind = cursor.name("a layer, as `Linear(128)`")?;
            StatementKind::Layer {
                name,
                layer: Named { name: kind, arguments: cursor.arguments()? },
            }
        }
        "choice" => {
            let name = cursor.name("a name")?;
            cursor.punct('=', "as in `choice activation = sigmoid | tanh;`")?;
            let mut alternatives = Vec::new();
            loop {
                if let Some(mistake) = cursor.dotted(false) {
                    return Err(mistake);
                }
                let name = cursor.name("a function or a layer")?;
                alternatives.push(Named { name, arguments: cursor.arguments()? });
                if !cursor.take_punct('|') {
                    break;
                }
            }
            StatementKind::Choice { name, alternatives }
        }
        "let" => {
            const FORM: &str = "as in `let y = relu(x);`";
            if let Some(names) = tuple_of_names(cursor)? {
                cursor.punct('=', FORM)?;
                StatementKind::Several { names, value: cursor.expr()? }
            } else {
                let name = cursor.name("a name")?;
                cursor.punct('=', FORM)?;
                StatementKind::Let { name, value: cursor.expr()? }
            }
        }
        "block" => StatementKind::Block(blocks::block(cursor, mistakes)?),
        "output" => {
            let name = cursor.name("a name")?;
            cursor.punct('=', "as in `output y = relu(x);`")?;
            StatementKind::Output { name, value: cursor.expr()? }
        }
        "loss" => cursor.loss()?,
        _ => cursor.metric()?,
    };
    match cursor.is_empty() {
        true => Ok(kind),
        false => Err(cursor.expected_of_expression("`;`")),
    }
}

/// `(NAME, NAME (, NAME)*)`, if a parenthesis is next.
fn tuple_of_names(cursor: &mut Cursor<'_>) -> Result<Option<Vec<Ident>>, Mistake> {
    let Some(group) = cursor.group(Delimiter::Parenthesis) else { return Ok(None) };
    let names = expressions::inside(group, |c| {
        let mut names = vec![c.name("a name")?];
        while !c.is_empty() {
            c.punct(',', "as in `let (a, b) = both(x);`")?;
            if !c.is_empty() {
                names.push(c.name("a name")?);
            }
        }
        Ok(names)
    })?;
    if names.len() < 2 {
        let message = "a single name has no parentheses: `let y = relu(x);`";
        return Err(Mistake::new(group.span_open(), message));
    }
    cursor.skip(1);
    Ok(Some(names))
}

fn ty(cursor: &mut Cursor<'_>) -> Result<Type, Mistake> {
    const FORMS: &str = "a type: `[784]`, `class(10)` or `index(100)[16]`";
    if cursor.is_list() {
        return Ok(Type::Real(list(cursor, FORMS)?));
    }
    let before = cursor.clone();
    let Some(word) = cursor.word() else { return Err(before.expected(FORMS)) };
    if word != "class" && word != "index" {
        let mut mistake = before.expected(FORMS);
        if let Some(near) = nearest(&word.to_string(), ["class", "index"]) {
            mistake.message += &format!("; did you mean `{near}`?");
        }
        return Err(mistake);
    }
    let below = match cursor.arguments()?.as_deref() {
        Some([below]) if below.name.is_none() => below.value.clone(),
        _ => {
            let count =
                if word == "class" { "the number of classes" } else { "the number of indices" };
            let message = format!("`{word}` takes {count}, as in `{word}(10)`");
            return Err(Mistake::new(word.span(), message));
        }
    };
    let dims = match cursor.is_list() {
        true => list(cursor, FORMS)?,
        false => List { elements: Vec::new() },
    };
    Ok(Type::Index { below, dims })
}

fn list(cursor: &mut Cursor<'_>, item: &str) -> Result<List, Mistake> {
    cursor.list()?.ok_or_else(|| cursor.expected(item))
}

#[cfg(test)]
mod tests;
