//! Parses expressions, arguments and lists by recursive descent.

use proc_macro2::{Delimiter, Group, Ident, Literal, TokenStream, TokenTree};
use syn::Lit;

use super::cursor::Cursor;
use super::habits::instead_of_field;
use crate::ast::{Argument, Expr, ExprKind, Link, List, Operator, Positions, Range};
use crate::error::{Mistake, SourceSpan};

/// The largest depth of an expression. Deeper ones are split with `let`.
pub const DEEPEST: usize = 128;

pub(super) type Parsed<T> = Result<T, Mistake>;

impl Expr {
    fn new(kind: ExprKind, span: SourceSpan, below: usize) -> Parsed<Expr> {
        match below < DEEPEST {
            true => Ok(Expr { kind, span, depth: below + 1 }),
            false => Err(too_deep(span)),
        }
    }
}

pub(super) fn too_deep(span: SourceSpan) -> Mistake {
    Mistake::new(span, "this expression is nested too deeply: name subexpressions with `let`")
}

/// The mistake of a literal with a type suffix, as `0.5f64`.
fn suffix(literal: &Literal, suffix: &str) -> Mistake {
    let written = literal.to_string();
    let number = written.strip_suffix(suffix).unwrap_or(&written).trim_end_matches('_');
    let message = format!(
        "`{written}` has a type suffix: write `{number}`, which is an f32 as a value and a usize as \
         a size"
    );
    Mistake::new(literal.span(), message)
}

pub(super) fn deepest(arguments: &[Argument]) -> usize {
    arguments.iter().map(|a| a.value.depth).max().unwrap_or(0)
}

/// The message for an operator before `->`: `x + x -> Linear(8)` is ambiguous.
fn ambiguous_operator(first: &Expr, link: &Link) -> Option<String> {
    let (all, last) = match &first.kind {
        ExprKind::Binary(operator, _, a, b) => {
            (format!("({first}) -> {link}"), format!("{a} {} ({b} -> {link})", operator.symbol()))
        }
        ExprKind::Neg(_, x) => (format!("({first}) -> {link}"), format!("-({x} -> {link})")),
        ExprKind::Not(_, x) => (format!("({first}) -> {link}"), format!("!({x} -> {link})")),
        _ => return None,
    };
    Some(format!("`{first} -> {link}` can be read in two ways: write `{all}` or `{last}`"))
}

/// Parses the contents of a group.
pub(super) fn inside<T>(
    group: &Group,
    read: impl FnOnce(&mut Cursor<'_>) -> Parsed<T>,
) -> Parsed<T> {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    read(&mut Cursor::inside(group, &tokens))
}

impl Cursor<'_> {
    /// See [`ExprKind`] for the grammar.
    pub fn expr(&mut self) -> Parsed<Expr> {
        self.chain(0)
    }

    fn chain(&mut self, outer: usize) -> Parsed<Expr> {
        let first = self.comparison(outer)?;
        if !self.is_pair('-', '>') {
            return Ok(first);
        }
        let arrow = self.peek().map_or(first.span.end, TokenTree::span);
        let links = self.links(outer)?;
        if let Some(message) = ambiguous_operator(&first, &links.all[0]) {
            return Err(Mistake::new(arrow, message));
        }
        let span = first.span.to(links.span);
        let depth = first.depth.max(links.depth);
        if self.continues() {
            let mut mistake = self.expected("`->` or the end");
            mistake.message += ": put the chain in parentheses to use its value";
            return Err(mistake);
        }
        Expr::new(ExprKind::Chain { first: Box::new(first), links: links.all }, span, depth)
    }

    /// `EITHER (< EITHER)?`: comparisons bind loosest, as in Rust and in Python, and only one stands in
    /// an expression without parentheses.
    fn comparison(&mut self, outer: usize) -> Parsed<Expr> {
        let left = self.either(outer)?;
        let Some((operator, mark)) = self.operator(Operator::COMPARISONS) else { return Ok(left) };
        self.skip(operator.symbol().len());
        let right = self.either(outer)?;
        if self.operator(Operator::COMPARISONS).is_some() {
            let mut mistake = self.expected("the end of a comparison");
            mistake.message += ": put each in parentheses, as in `(a > 0) & (b > 0)`; `&` and `|` \
                                bind tighter";
            return Err(mistake);
        }
        let (span, depth) = (left.span.to(right.span), left.depth.max(right.depth));
        Expr::new(ExprKind::Binary(operator, mark, Box::new(left), Box::new(right)), span, depth)
    }

    fn either(&mut self, outer: usize) -> Parsed<Expr> {
        self.binary(&[Operator::Or], |c| c.both(outer))
    }

    fn both(&mut self, outer: usize) -> Parsed<Expr> {
        self.binary(&[Operator::And], |c| c.sum(outer))
    }

    fn sum(&mut self, outer: usize) -> Parsed<Expr> {
        self.binary(&[Operator::Add, Operator::Sub], |c| c.product(outer))
    }

    fn product(&mut self, outer: usize) -> Parsed<Expr> {
        self.binary(&[Operator::Mul, Operator::Div], |c| c.unary(outer))
    }

    /// The next operator, if it is one of these, and its span.
    fn operator(&self, operators: &[Operator]) -> Option<(Operator, SourceSpan)> {
        let is_next = |operator: &&Operator| match *operator.symbol().as_bytes() {
            [mark] => self.is_punct(char::from(mark)),
            [first, second] => self.is_pair(char::from(first), char::from(second)),
            _ => false,
        };
        let begins = SourceSpan::from(self.peek()?.span());
        // An arrow, and shifts of other languages.
        let others = [('-', '>'), ('<', '<'), ('>', '>')];
        let is_other = others.into_iter().any(|(first, second)| self.is_pair(first, second));
        let operator = *operators.iter().find(is_next).filter(|_| !is_other)?;
        let is_pair = operator.symbol().len() == 2;
        Some((operator, if is_pair { begins.to(self.second_span()) } else { begins }))
    }

    /// Whether a comparison or logic follows.
    pub(super) fn is_condition(&self) -> bool {
        self.operator(Operator::COMPARISONS).is_some()
            || self.operator(&[Operator::And, Operator::Or]).is_some()
    }

    fn binary(
        &mut self,
        operators: &[Operator],
        operand: impl Fn(&mut Self) -> Parsed<Expr>,
    ) -> Parsed<Expr> {
        let mut left = operand(self)?;
        while let Some((operator, mark)) = self.operator(operators) {
            for (first, instead) in [
                ('*', format!("powers are `x.pow(2)`, here of `{left}`")),
                ('&', "it is `a & b`, element by element".into()),
                ('|', "it is `a | b`, element by element".into()),
            ] {
                if self.is_pair(first, first) {
                    let message = format!("there is no operator `{first}{first}`: {instead}");
                    return Err(Mistake::new(mark.to(self.second_span()), message));
                }
            }
            self.skip(1);
            let right = operand(self)?;
            let (span, depth) = (left.span.to(right.span), left.depth.max(right.depth));
            let kind = ExprKind::Binary(operator, mark, Box::new(left), Box::new(right));
            left = Expr::new(kind, span, depth)?;
        }
        Ok(left)
    }

    fn unary(&mut self, outer: usize) -> Parsed<Expr> {
        let is_minus = self.is_punct('-') && !self.is_pair('-', '>');
        let is_not = self.is_punct('!') && !self.is_pair('!', '=');
        let Some(mark) = self.peek().filter(|_| is_minus || is_not) else {
            return self.postfix(outer);
        };
        let mark = SourceSpan::from(mark.span());
        if outer >= DEEPEST {
            return Err(too_deep(mark));
        }
        self.skip(1);
        let x = self.unary(outer + 1)?;
        let (span, depth) = (mark.to(x.span), x.depth);
        let kind = if is_not { ExprKind::Not } else { ExprKind::Neg };
        Expr::new(kind(mark, Box::new(x)), span, depth)
    }

    fn postfix(&mut self, outer: usize) -> Parsed<Expr> {
        let mut x = self.primary(outer)?;
        loop {
            if self.is_punct('.') && !self.is_pair('.', '.') {
                self.skip(1);
                if let Some(word) = self.take_word("where") {
                    let message = "`where` is called as `where(condition, a, b)`: the order of \
                                   `a.where(condition, b)` is another one";
                    return Err(Mistake::new(word, message));
                }
                let function = self.name("a function, as in `x.relu()`")?;
                let Some(group) = self.group(Delimiter::Parenthesis) else {
                    if let Some(instead) = instead_of_field(&function.to_string(), &x.to_string()) {
                        let message = format!("there is no `.{function}`: {instead}");
                        return Err(Mistake::new(function.span(), message));
                    }
                    let mut mistake = self.expected(&format!("`(` after `{function}`"));
                    mistake.message += &format!(": a function is called as `x.{function}()`");
                    return Err(mistake);
                };
                let span = x.span.to(group.span_close().into());
                let arguments = self.nested_arguments(outer + 1)?.unwrap_or_default();
                let depth = x.depth.max(deepest(&arguments));
                let receiver = Some(Box::new(x));
                x = Expr::new(ExprKind::Call { receiver, function, arguments }, span, depth)?;
            } else if matches!(x.kind, ExprKind::Call { .. })
                && self.group(Delimiter::Parenthesis).is_some()
            {
                let mut mistake = self.expected_of_expression("an operator or the end");
                mistake.message += ": only names are called: a layer is used as `x -> Linear(64)`, \
                                    or has a name, `layer fc = Linear(64);` and `fc(x)`";
                return Err(mistake);
            } else if let Some(group) = self.group(Delimiter::Bracket) {
                x = self.index(x, group, outer)?;
            } else {
                return Ok(x);
            }
        }
    }

    /// `[ RANGE, … ]` behind a value.
    fn index(&mut self, x: Expr, group: &Group, outer: usize) -> Parsed<Expr> {
        let brackets = SourceSpan { start: group.span_open(), end: group.span_close() };
        if outer >= DEEPEST {
            return Err(too_deep(brackets));
        }
        let ranges = inside(group, |c| c.separated("`,`, `..` or `]`", |c| c.range(outer + 1)))?;
        if ranges.is_empty() {
            let message =
                format!("expected a position or a range for each axis, as in `{x}[0, 1..3]`");
            return Err(Mistake::new(brackets, message));
        }
        self.skip(1);
        let parts = |range: &Range| match range {
            Range::Of(of) => [&of.start, &of.stop, &of.step]
                .into_iter()
                .flatten()
                .map(|x| x.depth)
                .max()
                .unwrap_or(0),
            Range::At(x) => x.depth,
        };
        let (span, depth) = (x.span.to(brackets), x.depth);
        let depth = ranges.iter().map(parts).fold(depth, usize::max);
        Expr::new(ExprKind::Index { x: Box::new(x), ranges, brackets }, span, depth)
    }

    /// `a..b`, `a..`, `..b`, `..`, each with `step n`; or a position.
    fn range(&mut self, outer: usize) -> Parsed<Range> {
        let first = self.peek().map_or(self.second_span(), |t| t.span().into());
        let start = match self.is_pair('.', '.') {
            true => None,
            false => Some(self.sum(outer)?),
        };
        if !self.is_pair('.', '.') {
            return match start {
                Some(x) => Ok(Range::At(x)),
                None => Err(self.expected("`..`")),
            };
        }
        let dots = self.second_span();
        self.skip(2);
        if self.is_punct('=') {
            let mistake = self.expected("the end of the range, which is not in it");
            return Err(mistake);
        }
        let is_step = |c: &Cursor<'_>| matches!(c.peek(), Some(TokenTree::Ident(w)) if w == "step");
        let stop = match self.is_empty() || self.is_punct(',') || is_step(self) {
            true => None,
            false => Some(self.sum(outer)?),
        };
        let step = match self.take_word("step") {
            Some(_) => Some(self.sum(outer)?),
            None => None,
        };
        let end = step.as_ref().or(stop.as_ref()).map_or(dots, |x| x.span);
        let begin = start.as_ref().map_or(first, |x| x.span);
        Ok(Range::Of(Box::new(Positions { start, stop, step, span: begin.to(end) })))
    }

    fn primary(&mut self, outer: usize) -> Parsed<Expr> {
        const WHAT: &str = "an expression";
        let Some(token) = self.peek() else { return Err(self.expected_of_expression(WHAT)) };
        if outer >= DEEPEST {
            return Err(too_deep(token.span().into()));
        }
        match token {
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                match Lit::new(literal.clone()) {
                    Lit::Int(int) if !int.suffix().is_empty() => Err(suffix(literal, int.suffix())),
                    Lit::Float(float) if !float.suffix().is_empty() => {
                        Err(suffix(literal, float.suffix()))
                    }
                    Lit::Int(_) | Lit::Float(_) => {
                        self.skip(1);
                        let kind = ExprKind::Number { text, literal: literal.clone() };
                        Expr::new(kind, literal.span().into(), 0)
                    }
                    _ => Err(self.expected_of_expression(WHAT)),
                }
            }
            TokenTree::Ident(_) => self.named(outer),
            TokenTree::Punct(_) if self.is_pair(':', ':') => self.path(),
            TokenTree::Punct(_) => Err(self.expected_of_expression(WHAT)),
            TokenTree::Group(group) => self.grouped(group, outer),
        }
    }

    /// A name, a path, a call or a flag.
    fn named(&mut self, outer: usize) -> Parsed<Expr> {
        let mut after = self.clone();
        after.skip(1);
        if after.is_pair(':', ':') {
            return self.path();
        }
        if let Some(TokenTree::Ident(word)) = self.peek()
            && (word == "true" || word == "false")
        {
            self.skip(1);
            return Expr::new(ExprKind::Flag(word == "true"), word.span().into(), 0);
        }
        if let Some(mistake) = self.dotted(true) {
            return Err(mistake);
        }
        let name = match self.function_where() {
            Some(name) => name,
            None if self.is_habit() => return Err(self.expected_of_expression("an expression")),
            None => self.name("an expression")?,
        };
        let span = SourceSpan::from(name.span());
        let Some(group) = self.group(Delimiter::Parenthesis) else {
            return Expr::new(ExprKind::Name(name), span, 0);
        };
        let span = span.to(group.span_close().into());
        let arguments = self.nested_arguments(outer + 1)?.unwrap_or_default();
        let depth = deepest(&arguments);
        Expr::new(ExprKind::Call { receiver: None, function: name, arguments }, span, depth)
    }

    /// The word `where`, a keyword of Rust, if it is called.
    fn function_where(&mut self) -> Option<Ident> {
        let mut cursor = self.clone();
        let word = cursor.word().filter(|word| word == "where")?;
        cursor.group(Delimiter::Parenthesis)?;
        *self = cursor;
        Some(word)
    }

    /// `::? WORD (:: WORD)*`
    fn path(&mut self) -> Parsed<Expr> {
        let Some(first) = self.peek() else { return Err(self.expected("a path")) };
        let mut span = SourceSpan::from(first.span());
        let mut tokens = TokenStream::new();
        if !self.is_pair(':', ':') {
            tokens.extend(self.peek().cloned());
            self.skip(1);
        }
        while self.is_pair(':', ':') {
            tokens.extend(self.peek().cloned().into_iter().chain(self.peek_second().cloned()));
            self.skip(2);
            let Some(word) = self.word() else {
                let mut mistake = self.expected("a name");
                mistake.message += ": other Rust for a size goes into braces";
                return Err(mistake);
            };
            span = span.to(word.span().into());
            tokens.extend([TokenTree::from(word)]);
        }
        Expr::new(ExprKind::Path(tokens), span, 0)
    }

    fn grouped(&mut self, group: &Group, outer: usize) -> Parsed<Expr> {
        let span = SourceSpan { start: group.span_open(), end: group.span_close() };
        let opaque = || ExprKind::Rust {
            inner: group.stream(),
            tokens: TokenTree::from(group.clone()).into(),
        };
        let read = |item| {
            inside(group, |c| {
                let x = c.chain(outer + 1)?;
                if c.is_empty() { Ok(x) } else { Err(c.expected_of_expression(item)) }
            })
        };
        let x = match group.delimiter() {
            Delimiter::Parenthesis => {
                let x = read("`)`")?;
                let depth = x.depth;
                Expr::new(ExprKind::Paren(Box::new(x)), span, depth)?
            }
            Delimiter::Bracket => {
                let list = self.list_in(group, outer + 1)?;
                let depth = list.elements.iter().map(|x| x.depth).max().unwrap_or(0);
                Expr::new(ExprKind::List(list), span, depth)?
            }
            Delimiter::Brace => Expr::new(opaque(), span, 0)?,
            // The invisible group that `macro_rules!` puts around a fragment; it may be Rust outside
            // of the language, as `1 << 4`.
            Delimiter::None => match read("the end") {
                Ok(x) if !matches!(x.kind, ExprKind::Binary(..) | ExprKind::Chain { .. }) => x,
                Ok(x) => {
                    let depth = x.depth;
                    Expr::new(ExprKind::Paren(Box::new(x)), span, depth)?
                }
                Err(_) => Expr::new(opaque(), span, 0)?,
            },
        };
        self.skip(1);
        Ok(x)
    }

    /// Parses arguments, if a parenthesis is next.
    pub fn arguments(&mut self) -> Parsed<Option<Vec<Argument>>> {
        self.nested_arguments(1)
    }

    pub(super) fn nested_arguments(&mut self, outer: usize) -> Parsed<Option<Vec<Argument>>> {
        let Some(group) = self.group(Delimiter::Parenthesis) else { return Ok(None) };
        let arguments = inside(group, |c| {
            c.separated("`,` or `)`", |c| {
                let name = c.name_before('=');
                if let Some(name) = name.as_ref().filter(|name| *name == "reduction") {
                    let message = "there is no `reduction`: functions return a value for each \
                                   element or example, of which `loss ...;` takes the mean and \
                                   `loss sum: ...;` the sum";
                    return Err(Mistake::new(name.span(), message));
                }
                let value = match c.quoted() {
                    Some(text) => text?,
                    None => c.chain(outer)?,
                };
                Ok(Argument { name, value })
            })
        })?;
        self.skip(1);
        Ok(Some(arguments))
    }

    /// Parses a text in quotes, if it is a whole argument.
    fn quoted(&mut self) -> Option<Parsed<Expr>> {
        let Some(TokenTree::Literal(literal)) = self.peek() else { return None };
        let is_all = match self.peek_second() {
            None => true,
            Some(TokenTree::Punct(mark)) => mark.as_char() == ',',
            _ => false,
        };
        let Lit::Str(text) = Lit::new(literal.clone()) else { return None };
        if !is_all || !text.suffix().is_empty() {
            return None;
        }
        let kind = ExprKind::Text(text.value());
        let span = literal.span().into();
        self.skip(1);
        Some(Expr::new(kind, span, 0))
    }

    /// Parses a list, if a bracket is next.
    pub fn list(&mut self) -> Parsed<Option<List>> {
        let Some(group) = self.group(Delimiter::Bracket) else { return Ok(None) };
        let list = self.list_in(group, 1)?;
        self.skip(1);
        Ok(Some(list))
    }

    fn list_in(&self, group: &Group, outer: usize) -> Parsed<List> {
        let elements = inside(group, |c| c.separated("`,` or `]`", |c| c.chain(outer)))?;
        Ok(List { elements })
    }

    fn separated<T>(
        &mut self,
        item: &str,
        mut read: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut elements = Vec::new();
        while !self.is_empty() {
            elements.push(read(self)?);
            if !self.take_punct(',') && !self.is_empty() {
                return Err(self.expected_of_expression(item));
            }
        }
        Ok(elements)
    }
}
