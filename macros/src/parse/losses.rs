//! Parses losses with their reduction, `loss x;` and `loss sum: x;`, and metrics.

use proc_macro2::{Delimiter, Group, Ident, TokenTree};

use super::cursor::Cursor;
use super::expressions::Parsed;
use crate::ast::{ExprKind, StatementKind};
use crate::error::{Mistake, SourceSpan};

impl Cursor<'_> {
    /// Parses a loss after its keyword.
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
            // The invisible group that `macro_rules!` puts around a fragment.
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
        if let Some(group) =
            after.group(Delimiter::Parenthesis).filter(|g| have_space_between(&word, g))
        {
            let reduced = { after }.expr()?;
            let message = format!(
                "`loss {word} {reduced}` can be read in two ways: write `loss {word}: {reduced};` for \
                 the {word} of all elements of all examples, or `loss {value};`, without a space, \
                 for the function `{word}`"
            );
            return Err(Mistake::new(
                SourceSpan::from(word.span()).to(group.span_close().into()),
                message,
            ));
        }
        Ok(StatementKind::Loss { sum: false, value })
    }

    /// Parses a metric after its keyword.
    pub(super) fn metric(&mut self) -> Parsed<StatementKind> {
        let name = self.name_before('=');
        let start = self.clone();
        let value = self.expr()?;
        // `metric error (p - y).abs();`, with `=` missing.
        let mut after = start;
        if let (None, ExprKind::Call { receiver: Some(_), .. }) = (&name, &value.kind)
            && let Some(word) = after.word()
            && after
                .group(Delimiter::Parenthesis)
                .is_some_and(|group| have_space_between(&word, group))
        {
            let value_after_name = after.expr()?;
            let message = format!(
                "`metric {word} {value_after_name}` can be read in two ways: write \
                 `metric {word} = {value_after_name};` for \
                 a metric of this name, or `metric {word} = {value};` for the function `{word}`"
            );
            return Err(Mistake::new(word.span(), message));
        }
        Ok(StatementKind::Metric { name, value })
    }
}

/// Whether there is space between a word and a parenthesis; `false` if spans have no positions.
fn have_space_between(word: &Ident, group: &Group) -> bool {
    if !proc_macro::is_available() {
        return false;
    }
    let (word, group) = (word.span().unwrap().end(), group.span_open().unwrap().start());
    word.file() == group.file() && (word.line(), word.column()) < (group.line(), group.column())
}
