//! Parses blocks: `block NAME(x, ...) { statements; expression }`.

use proc_macro2::{Delimiter, Group, TokenTree};

use super::cursor::{Cursor, mentioned};
use super::expressions::{Parsed, inside};
use super::{Body, Within, is_punct, read_body, skip_docs};
use crate::ast::{Block, Expr};
use crate::error::Mistake;

const FORM: &str = "a block is declared as `block residual(x) { ... }`";

/// The end of the block that these tokens start with: the index after its braces. Nothing else has
/// a parenthesis and braces after two identifiers.
pub(super) fn end(tokens: &[TokenTree]) -> Option<usize> {
    let start = skip_docs(tokens);
    let [TokenTree::Ident(keyword), TokenTree::Ident(_), more @ ..] = &tokens[start..] else {
        return None;
    };
    let delimiter = |token: &TokenTree| match token {
        TokenTree::Group(group) => Some(group.delimiter()),
        _ => None,
    };
    let braces = more.iter().position(|t| delimiter(t) == Some(Delimiter::Brace))?;
    let called = more.first().and_then(delimiter) == Some(Delimiter::Parenthesis);
    (keyword == "block" || (called && braces == 1)).then_some(start + 2 + braces + 1)
}

/// Parses a block after its keyword. Mistakes between the braces do not affect the rest.
pub(super) fn block(cursor: &mut Cursor<'_>, mistakes: &mut Vec<Mistake>) -> Parsed<Block> {
    let expected = |cursor: &Cursor<'_>, item: &str| {
        let mut mistake = cursor.expected(item);
        mistake.message += &format!(": {FORM}");
        mistake
    };
    let name = cursor.name("a name")?;
    let Some(group) = cursor.group(Delimiter::Parenthesis) else {
        return Err(expected(cursor, "`(`"));
    };
    let parameters = inside(group, |c| {
        let mut names = Vec::new();
        while !c.is_empty() {
            names.push(c.name("the name of a value")?);
            if !c.take_punct(',') && !c.is_empty() {
                let mut mistake = c.expected("`,` or `)`");
                if c.is_punct(':') {
                    mistake.message +=
                        ": parameters of a block have no types: shapes come from each use";
                }
                return Err(mistake);
            }
        }
        Ok(names)
    })?;
    cursor.skip(1);
    let Some(group) = cursor.group(Delimiter::Brace) else { return Err(expected(cursor, "`{`")) };
    let before = mistakes.len();
    let Body { statements, value, incomplete } = read_body(group, Within::Block, mistakes);
    if value.is_none() && mistakes.len() == before {
        let message =
            format!("`{name}` has no value: the value is its last expression, without `;`");
        mistakes.push(Mistake::new(group.span_close(), message));
    }
    cursor.skip(1);
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let mentioned = mentioned(&tokens);
    Ok(Block { name, parameters, statements, value, mentioned, incomplete })
}

/// Parses the expression at the end of a block.
pub(super) fn value(
    body: &Group,
    tokens: &[TokenTree],
    semicolon: Option<&TokenTree>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Expr> {
    let mut cursor = Cursor::inside(body, &tokens[skip_docs(tokens)..]);
    let value = cursor.expr().and_then(|value| match (cursor.peek(), semicolon) {
        (Some(_), _) => Err(cursor.expected_of_expression("an operator or `}`")),
        (None, Some(semicolon)) if is_punct(semicolon, ';') => Err(Mistake::new(
            semicolon.span(),
            "the value of a block is its last expression, without `;`",
        )),
        (None, _) => Ok(value),
    });
    value.map_err(|mistake| mistakes.push(mistake)).ok()
}
