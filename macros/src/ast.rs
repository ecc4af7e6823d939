//! The syntax tree of a network. Each part carries its place; the grammar stands on the part that
//! it is read into.

use std::fmt;

use proc_macro2::{Ident, TokenStream};
use syn::{Attribute, Generics, Token, Visibility};

use crate::error::Place;

/// `ATTRIBUTE* VISIBILITY? struct NAME CONST_GENERICS? { (STATEMENT ; | BLOCK)* }`
pub struct Network {
    pub attributes: Vec<Attribute>,
    pub visibility: Visibility,
    /// `struct`, as it is written.
    pub keyword: Token![struct],
    pub name: Ident,
    pub generics: Generics,
    pub statements: Vec<Statement>,
    /// A statement could not be read at all: a name that is missing may have been its.
    pub incomplete: bool,
}

/// `DOC_COMMENT* KEYWORD ...`
pub struct Statement {
    pub docs: TokenStream,
    pub keyword: Ident,
    pub kind: StatementKind,
}

/// What a statement says. Keywords are words of the language only where a statement starts.
pub enum StatementKind {
    /// `input NAME : TYPE grad?` or `target NAME : TYPE`; `grad` with its place
    Input { name: Ident, ty: Type, is_target: bool, grad: Option<Place> },
    /// `param NAME : LIST = INITIALISER`, the initialiser a name or a call
    Param { name: Ident, dims: List, init: Expr },
    /// `layer NAME = KIND ARGUMENTS?`, the kind a layer's or a block's name
    Layer { name: Ident, layer: Named },
    /// `choice NAME = NAMED (| NAMED)+`
    Choice { name: Ident, alternatives: Vec<Named> },
    /// `let NAME = EXPR`
    Let { name: Ident, value: Expr },
    /// `let ( NAME , NAME (, NAME)* ) = EXPR`, for a layer of several results
    Several { names: Vec<Ident>, value: Expr },
    /// `output NAME = EXPR`
    Output { name: Ident, value: Expr },
    /// `loss ((sum | mean) :?)? EXPR`, where `:` is left out only before a name or a number, so that
    /// `loss sum(x)` calls the function
    Loss { sum: bool, value: Expr },
    /// `metric NAME = EXPR` or `metric CALL`, which has the function's name
    Metric { name: Option<Ident>, value: Expr },
    /// A piece of network that is used several times.
    Block(Block),
    /// Has a mistake in it; what it declares exists all the same, so that one message comes of it.
    Broken { name: Option<Ident>, mentioned: Vec<Ident> },
}

impl Statement {
    /// The names that it declares.
    pub fn declares(&self) -> &[Ident] {
        let one = match &self.kind {
            StatementKind::Several { names, .. } => return names,
            StatementKind::Input { name, .. }
            | StatementKind::Param { name, .. }
            | StatementKind::Layer { name, .. }
            | StatementKind::Choice { name, .. }
            | StatementKind::Let { name, .. }
            | StatementKind::Output { name, .. } => Some(name),
            StatementKind::Block(block) => Some(&block.name),
            StatementKind::Broken { name, .. } => name.as_ref(),
            StatementKind::Loss { .. } | StatementKind::Metric { .. } => None,
        };
        one.map_or(&[], std::slice::from_ref)
    }

    /// Whether it declares something whose name could not be read, as `let mut y` does.
    pub fn hides_a_name(&self) -> bool {
        let is_unknown = matches!(self.kind, StatementKind::Broken { name: None, .. });
        is_unknown && self.keyword != "loss" && self.keyword != "metric"
    }
}

/// `block NAME ( (NAME ,)* ) { (STATEMENT ;)* EXPR }`, without a semicolon. Its statements are
/// `layer`, `param` and `let`.
pub struct Block {
    pub name: Ident,
    pub parameters: Vec<Ident>,
    pub statements: Vec<Statement>,
    /// What it gives; `None` if a mistake hides it.
    pub value: Option<Expr>,
    /// All words between its braces.
    pub mentioned: Vec<Ident>,
    /// As of a [`Network`].
    pub incomplete: bool,
}

/// `LIST`, `class(SIZE) LIST?` or `index(SIZE) LIST?`
pub enum Type {
    Real(List),
    Index { below: Expr, dims: List },
}

/// `[ (EXPR ,)* ]`
#[derive(Clone, Debug)]
pub struct List {
    pub elements: Vec<Expr>,
}

/// An expression with its place.
#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub place: Place,
    /// How deep the tree below it is: what walks the tree must not run out of stack.
    pub depth: usize,
}

/// From the loosest to the tightest:
///
/// ```text
/// EXPR    = SUM | POSTFIX (-> LINK)+
/// LINK    = (NAME ARGUMENTS? | ( LINK (-> LINK)* )) (* WHOLE_NUMBER)?
/// SUM     = PRODUCT ((+ | -) PRODUCT)*
/// PRODUCT = UNARY ((* | /) UNARY)*
/// UNARY   = - UNARY | POSTFIX
/// POSTFIX = PRIMARY (. NAME ARGUMENTS)*
/// PRIMARY = NUMBER | true | false | NAME ARGUMENTS? | PATH | LIST | { RUST } | ( EXPR )
/// ```
///
/// Sizes, numbers and lists are expressions as well: what they may be depends on where they stand.
///
/// After the first `->`, a `*` repeats the link that it follows. A chain is no operand but in
/// parentheses, and so is no operation its start: either could be read in two ways.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number without a sign, as it was written.
    Number {
        text: String,
        literal: proc_macro2::Literal,
    },
    /// `true` or `false`.
    Flag(bool),
    Name(Ident),
    /// `crate::sizes::HIDDEN`: a constant, where a size is expected.
    Path(TokenStream),
    /// `{ ... }`: Rust, where a size is expected.
    Rust {
        inner: TokenStream,
        tokens: TokenStream,
    },
    List(List),
    Paren(Box<Expr>),
    Neg(Place, Box<Expr>),
    Binary(Operator, Place, Box<Expr>, Box<Expr>),
    /// `f(x, ...)`, or `x.f(...)` with a receiver.
    Call {
        receiver: Option<Box<Expr>>,
        function: Ident,
        arguments: Vec<Argument>,
    },
    /// `x -> Layer -> function`.
    Chain {
        first: Box<Expr>,
        links: Vec<Link>,
    },
}

/// `+`, `-`, `*` or `/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
}

impl Operator {
    /// As it is written.
    pub fn symbol(self) -> char {
        match self {
            Operator::Add => '+',
            Operator::Sub => '-',
            Operator::Mul => '*',
            Operator::Div => '/',
        }
    }

    /// The operation that it stands for.
    pub fn function(self) -> &'static str {
        match self {
            Operator::Add => "add",
            Operator::Sub => "sub",
            Operator::Mul => "mul",
            Operator::Div => "div",
        }
    }
}

/// An element of a chain, and how often it is there.
#[derive(Clone, Debug)]
pub struct Link {
    pub element: Element,
    pub times: Option<Times>,
}

/// What a link is made of.
#[derive(Clone, Debug)]
pub enum Element {
    One(Named),
    /// Links in parentheses.
    Group(Vec<Link>),
}

/// `NAME ARGUMENTS?`: a kind of layer, a declared layer, a block or a function.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: Ident,
    pub arguments: Option<Vec<Argument>>,
}

/// How often a link is repeated: at least once.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub count: usize,
    pub place: Place,
}

/// `(NAME =)? EXPR`; `ARGUMENTS` is `( (ARGUMENT ,)* )`.
#[derive(Clone, Debug)]
pub struct Argument {
    pub name: Option<Ident>,
    pub value: Expr,
}

impl Expr {
    /// Without the parentheses around it.
    pub fn inner(&self) -> &Expr {
        match &self.kind {
            ExprKind::Paren(x) => x.inner(),
            _ => self,
        }
    }
}

/// As the user wrote it, with even spaces.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number { text, .. } => f.write_str(text),
            ExprKind::Flag(flag) => flag.fmt(f),
            ExprKind::Name(name) => name.fmt(f),
            ExprKind::Path(tokens) => f.write_str(&tokens.to_string().replace(' ', "")),
            ExprKind::Rust { tokens, .. } => tokens.fmt(f),
            ExprKind::List(list) => list.fmt(f),
            ExprKind::Paren(x) => write!(f, "({x})"),
            ExprKind::Neg(_, x) => write!(f, "-{x}"),
            ExprKind::Binary(op, _, a, b) => write!(f, "{a} {} {b}", op.symbol()),
            ExprKind::Call { receiver: None, function, arguments } => {
                write!(f, "{function}({})", Commas(arguments))
            }
            ExprKind::Call { receiver: Some(x), function, arguments } => {
                write!(f, "{x}.{function}({})", Commas(arguments))
            }
            ExprKind::Chain { first, links } => {
                first.fmt(f)?;
                links.iter().try_for_each(|link| write!(f, " -> {link}"))
            }
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", Commas(&self.elements))
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.element {
            Element::One(named) => named.fmt(f)?,
            Element::Group(links) => {
                for (i, link) in links.iter().enumerate() {
                    write!(f, "{}{link}", if i == 0 { "(" } else { " -> " })?;
                }
                f.write_str(")")?;
            }
        }
        match &self.times {
            Some(times) => write!(f, " * {}", times.count),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        match &self.arguments {
            Some(arguments) => write!(f, "({})", Commas(arguments)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name} = ")?;
        }
        self.value.fmt(f)
    }
}

struct Commas<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Commas<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, x) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            x.fmt(f)?;
        }
        Ok(())
    }
}
