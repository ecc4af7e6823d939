//! Parses the keyword of a statement, its first word.

use bilro_compiler::error::nearest;
use bilro_compiler::layers;
use proc_macro2::Ident;

use super::cursor::Cursor;
use super::{STATEMENTS, Within, habits, is_punct};
use crate::error::Mistake;

/// Parses the keyword. A misspelt one is reported and replaced by the nearest.
pub(super) fn keyword(
    cursor: &mut Cursor<'_>,
    within: Within,
    mistakes: &mut Vec<Mistake>,
) -> Result<Option<Ident>, Mistake> {
    let all = within.show();
    let before = cursor.clone();
    let Some(word) = cursor.word() else {
        return Err(cursor.expected(&format!("a statement ({all})")));
    };
    if STATEMENTS.iter().any(|s| word == s) {
        return Ok(Some(word));
    }
    let written = word.to_string();
    if let Some(instead) = habits::instead_of_statement(&written) {
        let message = format!("there is no statement `{written}`: {instead}");
        return Err(Mistake::new(word.span(), message));
    }
    // A name and `=`: parse the statement as if it had the missing keyword.
    if cursor.is_punct('=') && !cursor.is_pair('=', '=') && within.keywords().contains(&"let") {
        let is_layer = assigns_a_layer(cursor);
        let keyword = if is_layer { "layer" } else { "let" };
        let message = match is_layer {
            true => format!("a layer is declared: `layer {written} = ...;`"),
            false => format!("a value is declared: `let {written} = ...;`"),
        };
        mistakes.push(Mistake::new(word.span(), message));
        *cursor = before;
        return Ok(Some(Ident::new(keyword, word.span())));
    }
    if let Some(operator) = cursor.assigning() {
        let message = format!(
            "nothing is assigned to: a value is declared once, as `let next = {written} {operator} ...;`"
        );
        return Err(Mistake::new(word.span(), message));
    }
    if written == "self" && cursor.is_punct('.') {
        let message = "there is no `self`: a layer is declared as `layer fc1 = Linear(64);`, and a \
                       value as `let y = fc1(x);`";
        return Err(Mistake::new(word.span(), message));
    }
    let near = nearest(&written, within.keywords().iter().copied());
    let hint = near.map_or_else(|| format!(" ({all})"), |near| format!("; did you mean `{near}`?"));
    mistakes.push(Mistake::new(word.span(), format!("there is no statement `{written}`{hint}")));
    Ok(near.map(|near| Ident::new(near, word.span())))
}

/// Whether a kind of layer follows `=`.
fn assigns_a_layer(cursor: &Cursor<'_>) -> bool {
    let mut cursor = cursor.clone();
    cursor.skip(1);
    while matches!(cursor.peek_second(), Some(dot) if is_punct(dot, '.')) {
        cursor.skip(2);
    }
    cursor.word().is_some_and(|word| layers::find(&word.to_string()).is_some())
}
