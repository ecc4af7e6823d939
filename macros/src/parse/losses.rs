//! What a loss becomes of its elements: `loss x;`, `loss sum: x;`; and metrics.

use proc_macro2::{Delimiter, Group, Ident, TokenTree};

use super::cursor::Cursor;
use super::expressions::Parsed;
use crate::ast::{ExprKind, StatementKind};
use crate::error::{Mistake, Place};

impl Cursor<'_> {
    /// What comes after `loss`.
    pub(super) fn loss(&mut self) -> Parsed<StatementKind> {
        if self.is_punct('=') || self.is_punct(':') {
            let mut mistake = self.expected("an expression");
            mistake.message += ": a loss has no name, as in `loss mse_loss(y, target);`";
            return Err(mistake);
        }
        let start = self.clone();
        let word = self.word().filter(|word| word == "sum" || word == "mean");
        let Some(word) = word else {
            *self = start;
            return Ok(StatementKind::Loss { sum: false, value: self.expr()? });
        };
        let is_path = self.is_pair(':', ':');
        let is_word = match self.peek() {
            Some(TokenTree::Ident(_) | TokenTree::Literal(_)) => true,
            // What `macro_rules!` puts around a fragment.
            Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::None,
            _ => !is_path && self.take_punct(':'),
        };
        if is_word {
            return Ok(StatementKind::Loss { sum: word == "sum", value: self.expr()? });
        }
        let after = self.clone();
        if self.is_punct('-') && !self.is_pair('-', '>') {
            let reduced = self.expr()?;
            let message = format!(
                "`loss {word} {reduced}` can be read in two ways: write `loss {word}: {reduced};` for \
                 the {word} of all elements of all examples, or `loss ({word} {reduced});` for a \
                 difference"
            );
            return Err(Mistake::new(word.span(), message));
        }
        *self = start;
        let value = self.expr()?;
        if let Some(group) = after.group(Delimiter::Parenthesis).filter(|g| are_apart(&word, g)) {
            let reduced = { after }.expr()?;
            let message = format!(
                "`loss {word} {reduced}` can be read in two ways: write `loss {word}: {reduced};` for \
                 the {word} of all elements of all examples, or `loss {value};`, without a space, \
                 for the function `{word}`"
            );
            return Err(Mistake::new(
                Place::from(word.span()).to(group.span_close().into()),
                message,
            ));
        }
        Ok(StatementKind::Loss { sum: false, value })
    }

    /// What comes after `metric`.
    pub(super) fn metric(&mut self) -> Parsed<StatementKind> {
        let name = self.name_before('=');
        let start = self.clone();
        let value = self.expr()?;
        // `metric error (p - y).abs();`, where `=` is forgotten.
        let mut after = start;
        if let (None, ExprKind::Call { receiver: Some(_), .. }) = (&name, &value.kind)
            && let Some(word) = after.word()
            && after.group(Delimiter::Parenthesis).is_some_and(|group| are_apart(&word, group))
        {
            let rest = after.expr()?;
            let message = format!(
                "`metric {word} {rest}` can be read in two ways: write `metric {word} = {rest};` for \
                 a metric of this name, or `metric {word} = {value};` for the function `{word}`"
            );
            return Err(Mistake::new(word.span(), message));
        }
        Ok(StatementKind::Metric { name, value })
    }
}

/// Whether there is space between a word and a parenthesis, as far as can be told.
fn are_apart(word: &Ident, group: &Group) -> bool {
    if !proc_macro::is_available() {
        return false;
    }
    let (word, group) = (word.span().unwrap().end(), group.span_open().unwrap().start());
    word.file() == group.file() && (word.line(), word.column()) < (group.line(), group.column())
}
