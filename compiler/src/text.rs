//! Reading text: a cursor over a text, and errors with line and column. Used by the parsers of
//! [`Graph`](crate::graph::Graph) and of the attributes of operations
//! ([`notation`](crate::ops)).

use std::str::FromStr;

/// A syntax error.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// The character of the line, counted from 1.
    pub column: usize,
    /// What was expected, and what was found.
    pub message: String,
}

/// A cursor over a text. A successful read advances it; a failed one leaves it
/// unchanged.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'t> {
    text: &'t str,
    offset: usize,
}

impl<'t> Reader<'t> {
    /// At the beginning of a text.
    pub fn new(text: &'t str) -> Reader<'t> {
        Reader { text, offset: 0 }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.offset..]
    }

    /// The next character.
    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Reads the next character.
    pub fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.offset += next.len_utf8();
        Some(next)
    }

    /// Skips spaces and tabs, but not line ends.
    pub fn skip_spaces(&mut self) {
        self.take_while(|c| c == ' ' || c == '\t');
    }

    /// Reads characters up to the first for which `belongs` is false.
    pub fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.offset += end;
        &rest[..end]
    }

    /// Reads a token and spaces before it, if it is next.
    pub fn eat(&mut self, token: &str) -> bool {
        let mut ahead = *self;
        ahead.skip_spaces();
        let found = ahead.rest().starts_with(token);
        if found {
            ahead.offset += token.len();
            *self = ahead;
        }
        found
    }

    /// Reads a token, or fails.
    pub fn expect(&mut self, token: &str) -> Result<(), ParseError> {
        match self.eat(token) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{token}`"))),
        }
    }

    /// A word of letters, digits and underscores; empty where there is none.
    pub fn word(&mut self) -> &'t str {
        self.skip_spaces();
        self.take_while(|c| c.is_alphanumeric() || c == '_')
    }

    /// Reads a word, if it is next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let mut ahead = *self;
        let found = ahead.word() == word;
        if found {
            *self = ahead;
        }
        found
    }

    /// A number; `expected` describes it in the error.
    pub fn number<T: FromStr>(&mut self, expected: &str) -> Result<T, ParseError> {
        let mut ahead = *self;
        ahead.skip_spaces();
        let digits =
            ahead.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
        match digits.parse() {
            Ok(number) => {
                *self = ahead;
                Ok(number)
            }
            Err(_) => Err(self.expected(expected)),
        }
    }

    /// A string in quotes, with Rust's escapes.
    pub fn string(&mut self) -> Result<String, ParseError> {
        self.expect("\"")?;
        let mut string = String::new();
        loop {
            let at = *self;
            match self.next() {
                Some('"') => return Ok(string),
                Some('\\') => match self.escaped() {
                    Some(c) => string.push(c),
                    None => return Err(at.error("this is no escape of a string".into())),
                },
                Some('\n') | None => return Err(at.expected("the string's closing `\"`")),
                Some(c) => string.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        match self.next()? {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            '0' => Some('\0'),
            'u' => {
                self.expect("{").ok()?;
                let digits = self.take_while(|c| c.is_ascii_hexdigit());
                self.expect("}").ok()?;
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)
            }
            c @ ('\\' | '"' | '\'') => Some(c),
            _ => None,
        }
    }

    /// Reads the rest of the line, trimmed, and the line end.
    pub fn rest_of_line(&mut self) -> &'t str {
        let line = self.take_while(|c| c != '\n');
        self.next();
        line.trim()
    }

    /// An error here: `expected`, and the word or character that was found.
    pub fn expected(&self, expected: &str) -> ParseError {
        let mut ahead = *self;
        ahead.skip_spaces();
        let mut end = ahead;
        let mut found = end.word();
        if found.is_empty() {
            let rest = ahead.rest();
            found = rest.chars().next().map_or("", |c| &rest[..c.len_utf8()]);
        }
        let found = match found {
            "" => "the end of the text".into(),
            "\n" | "\r" => "the end of the line".into(),
            // Words may be arbitrarily long.
            found => format!("`{}`", found.chars().take(40).collect::<String>()),
        };
        ahead.error(format!("expected {expected}, found {found}"))
    }

    /// An error here, with a complete message.
    pub fn error(&self, message: String) -> ParseError {
        let before = &self.text[..self.offset];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.matches('\n').count() + 1;
        ParseError { line, column: before[line_start..].chars().count() + 1, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_line_and_column() {
        let mut reader = Reader::new("one\n  zwölf x");
        assert_eq!(reader.word(), "one");
        reader.rest_of_line();
        assert!(reader.eat_word("zwölf"));
        let error = reader.expect("=").unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 9: expected `=`, found `x`");
        reader.rest_of_line();
        let error = reader.number::<usize>("a size").unwrap_err();
        assert_eq!(error.message, "expected a size, found the end of the text");
    }

    #[test]
    fn strings_round_trip_through_their_debug_format() {
        for string in ["", "plain", "\"quoted\" \\ \n\t\r\0 'x'", "\u{7f}\u{200b}é×"] {
            assert_eq!(Reader::new(&format!("{string:?}")).string().as_deref(), Ok(string));
        }
        for wrong in ["plain", "\"open", "\"a\nb\"", "\"\\x\"", "\"\\u{110000}\"", "\"\\u{\""] {
            assert!(Reader::new(wrong).string().is_err(), "{wrong}");
        }
    }
}
