//! The abstract syntax tree of a `network!` item. Nodes carry their source spans; each node's
//! documentation is its rule of the grammar.

use std::fmt;

use proc_macro2::{Ident, TokenStream};
use syn::{Attribute, Generics, Token, Visibility};

use crate::error::SourceSpan;

/// `ATTRIBUTE* VISIBILITY? struct NAME CONST_GENERICS? { (STATEMENT ; | BLOCK)* }`
pub struct ItemNetwork {
    pub attributes: Vec<Attribute>,
    pub visibility: Visibility,
    /// The token `struct`, for its span.
    pub keyword: Token![struct],
    pub name: Ident,
    pub generics: Generics,
    pub statements: Vec<Statement>,
    /// A statement could not be parsed at all: it may have declared any name that is missing.
    pub incomplete: bool,
}

/// `DOC_COMMENT* KEYWORD ...`
pub struct Statement {
    pub docs: TokenStream,
    pub keyword: Ident,
    pub kind: StatementKind,
}

/// A statement by its keyword. Keywords are reserved at the start of a statement only.
pub enum StatementKind {
    /// `input NAME : TYPE grad?` or `target NAME : TYPE`; `grad` with its span
    Input { name: Ident, ty: Type, is_target: bool, grad: Option<SourceSpan> },
    /// `param NAME : LIST = INITIALISER`, the initialiser a name or a call
    Param { name: Ident, dims: List, init: Expr },
    /// `layer NAME = KIND ARGUMENTS?`, the kind a layer's or a block's name
    Layer { name: Ident, layer: Named },
    /// `choice NAME = NAMED (| NAMED)+`
    Choice { name: Ident, alternatives: Vec<Named> },
    /// `let NAME = EXPR`
    Let { name: Ident, value: Expr },
    /// `let ( NAME , NAME (, NAME)* ) = EXPR`, for a layer with several outputs
    Several { names: Vec<Ident>, value: Expr },
    /// `output NAME = EXPR`
    Output { name: Ident, value: Expr },
    /// `loss ((sum | mean) :?)? EXPR`, where `:` is left out only before a name or a number, so that
    /// `loss sum(x)` calls the function
    Loss { sum: bool, value: Expr },
    /// `metric NAME = EXPR` or `metric CALL`, which has the function's name
    Metric { name: Option<Ident>, value: Expr },
    /// A reusable subnetwork.
    Block(Block),
    /// A statement with a mistake. Its name counts as declared, so that uses of it cause no
    /// follow-on errors.
    Broken { name: Option<Ident>, mentioned: Vec<Ident> },
}

impl Statement {
    /// The declared names.
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
    /// The value of the block; `None` if a mistake hides it.
    pub value: Option<Expr>,
    /// All identifiers between its braces.
    pub mentioned: Vec<Ident>,
    /// See [`ItemNetwork::incomplete`].
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

/// An expression with its source span.
#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: SourceSpan,
    /// Depth of the tree below it, bounded so that recursive walks cannot overflow the stack.
    pub depth: usize,
}

/// Precedence, from the loosest to the tightest:
///
/// ```text
/// EXPR    = SUM | POSTFIX (-> LINK)+
/// LINK    = (NAME ARGUMENTS? | ( LINK (-> LINK)* )) (* INTEGER)?
/// SUM     = PRODUCT ((+ | -) PRODUCT)*
/// PRODUCT = UNARY ((* | /) UNARY)*
/// UNARY   = - UNARY | POSTFIX
/// POSTFIX = PRIMARY (. NAME ARGUMENTS | [ (RANGE ,)* ])*
/// RANGE   = EXPR? .. EXPR? (step EXPR)? | EXPR
/// PRIMARY = NUMBER | true | false | NAME ARGUMENTS? | PATH | LIST | { RUST } | ( EXPR )
/// ```
///
/// Sizes, numbers and lists are expressions as well; the checker accepts them by context.
///
/// After the first `->`, a `*` repeats the link before it. A chain is an operand only in
/// parentheses, and an operation starts a chain only in parentheses: both are ambiguous otherwise.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number without a sign, as written.
    Number {
        text: String,
        literal: proc_macro2::Literal,
    },
    /// `true` or `false`.
    Flag(bool),
    /// `"ij->i"`, an argument of a call.
    Text(String),
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
    Neg(SourceSpan, Box<Expr>),
    Not(SourceSpan, Box<Expr>),
    Binary(Operator, SourceSpan, Box<Expr>, Box<Expr>),
    /// `f(x, ...)`, or `x.f(...)` with a receiver.
    Call {
        receiver: Option<Box<Expr>>,
        function: Ident,
        arguments: Vec<Argument>,
    },
    /// `x[0, 1..3, ..]`
    Index {
        x: Box<Expr>,
        /// One for each of the first axes.
        ranges: Vec<Range>,
        /// The brackets.
        brackets: SourceSpan,
    },
    /// `x -> Layer -> function`.
    Chain {
        first: Box<Expr>,
        links: Vec<Link>,
    },
}

/// The elements of one axis.
#[derive(Clone, Debug)]
pub enum Range {
    /// Several elements.
    Of(Box<Positions>),
    /// `EXPR`: one element; the axis is dropped.
    At(Expr),
}

/// `EXPR? .. EXPR? (step EXPR)?`
#[derive(Clone, Debug)]
pub struct Positions {
    pub start: Option<Expr>,
    pub stop: Option<Expr>,
    pub step: Option<Expr>,
    pub span: SourceSpan,
}

macro_rules! operators {
    ($($Operator:ident $symbol:literal $function:literal,)*) => {
        /// An operator of two values.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Operator {
            $(#[doc = concat!("`", $symbol, "`")] $Operator,)*
        }

        impl Operator {
            /// Its symbol in the source.
            pub fn symbol(self) -> &'static str {
                match self {
                    $(Operator::$Operator => $symbol,)*
                }
            }

            /// Name of the operation.
            pub fn function(self) -> &'static str {
                match self {
                    $(Operator::$Operator => $function,)*
                }
            }
        }
    };
}

operators! {
    Add "+" "add",
    Sub "-" "sub",
    Mul "*" "mul",
    Div "/" "div",
    LessEqual "<=" "less_equal",
    GreaterEqual ">=" "greater_equal",
    Less "<" "less",
    Greater ">" "greater",
    Equal "==" "equal",
    NotEqual "!=" "not_equal",
    And "&" "logical_and",
    Or "|" "logical_or",
}

impl Operator {
    /// Those of comparisons. Of two that begin alike, the longer comes first.
    pub const COMPARISONS: &'static [Operator] = &[
        Operator::LessEqual,
        Operator::GreaterEqual,
        Operator::Less,
        Operator::Greater,
        Operator::Equal,
        Operator::NotEqual,
    ];

    /// The mark of an operator on sizes; `None` for comparisons and logic.
    pub fn arithmetic(self) -> Option<char> {
        use Operator::*;
        let mark = self.symbol().chars().next();
        mark.filter(|_| matches!(self, Add | Sub | Mul | Div))
    }
}

/// An element of a chain, and the number of its repetitions.
#[derive(Clone, Debug)]
pub struct Link {
    pub element: Element,
    pub times: Option<Times>,
}

/// The element of a link.
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

/// The number of repetitions of a link, at least 1.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub count: usize,
    pub span: SourceSpan,
}

/// `(NAME =)? (EXPR | STRING)`; `ARGUMENTS` is `( (ARGUMENT ,)* )`.
#[derive(Clone, Debug)]
pub struct Argument {
    pub name: Option<Ident>,
    pub value: Expr,
}

impl Expr {
    /// The expression without enclosing parentheses.
    pub fn inner(&self) -> &Expr {
        match &self.kind {
            ExprKind::Paren(x) => x.inner(),
            _ => self,
        }
    }
}

/// The source text with normalized spaces.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number { text, .. } => f.write_str(text),
            ExprKind::Flag(flag) => flag.fmt(f),
            ExprKind::Text(text) => write!(f, "{text:?}"),
            ExprKind::Name(name) => name.fmt(f),
            ExprKind::Path(tokens) => f.write_str(&tokens.to_string().replace(' ', "")),
            ExprKind::Rust { tokens, .. } => tokens.fmt(f),
            ExprKind::List(list) => list.fmt(f),
            ExprKind::Paren(x) => write!(f, "({x})"),
            ExprKind::Neg(_, x) => write!(f, "-{x}"),
            ExprKind::Not(_, x) => write!(f, "!{x}"),
            ExprKind::Binary(op, _, a, b) => write!(f, "{a} {} {b}", op.symbol()),
            ExprKind::Call { receiver: None, function, arguments } => {
                write!(f, "{function}({})", Commas(arguments))
            }
            ExprKind::Call { receiver: Some(x), function, arguments } => {
                write!(f, "{x}.{function}({})", Commas(arguments))
            }
            ExprKind::Index { x, ranges, .. } => write!(f, "{x}[{}]", Commas(ranges)),
            ExprKind::Chain { first, links } => {
                first.fmt(f)?;
                links.iter().try_for_each(|link| write!(f, " -> {link}"))
            }
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Positions { start, stop, step, .. } = match self {
            Range::Of(positions) => &**positions,
            Range::At(x) => return x.fmt(f),
        };
        let text = |x: &Option<Expr>| x.as_ref().map_or(String::new(), ToString::to_string);
        write!(f, "{}..{}", text(start), text(stop))?;
        match step {
            Some(step) => write!(f, " step {step}"),
            None => Ok(()),
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
