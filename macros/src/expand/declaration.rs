//! Expands the statements that declare a network, and the assertions about sizes.

use std::borrow::Cow;
use std::sync::Arc;

use bilro_compiler::declaration::statement::Statement as CompilerStatement;
use bilro_compiler::ops::{AttributeValue, Order};
use bilro_compiler::shape::{Dim, SizeProduct};
use proc_macro2::{Delimiter, Group, Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};

use crate::ast::ItemNetwork;
use crate::check::{Assertion, Checked, Condition, Symbols, text};
use crate::parse::mentioned;

/// The symbolic sizes as Rust: expressions if they depend on the network's generics, else
/// constants, so that rustc reports an invalid one once.
pub struct Sizes<'a> {
    all: Vec<Size<'a>>,
}

struct Size<'a> {
    symbol: &'a str,
    written: &'a TokenStream,
    /// The constant's name; `None` if it depends on the generics.
    constant: Option<Ident>,
}

impl<'a> Sizes<'a> {
    pub fn new(network: &ItemNetwork, symbols: &'a Symbols) -> Sizes<'a> {
        let generics: Vec<&Ident> = network.generics.const_params().map(|c| &c.ident).collect();
        let size = |(i, (symbol, written)): (usize, (&'a String, &'a TokenStream))| {
            let tokens: Vec<TokenTree> = written.clone().into_iter().collect();
            let is_generic = mentioned(&tokens).iter().any(|word| generics.contains(&word));
            let constant = (!is_generic).then(|| format_ident!("__BILRO_SIZE_{i}"));
            Size { symbol, written, constant }
        };
        Sizes { all: symbols.iter().enumerate().map(size).collect() }
    }

    /// The span of the first size.
    pub fn first_span(&self) -> Option<Span> {
        self.all.iter().find_map(|size| Some(size.written.clone().into_iter().next()?.span()))
    }

    /// The constants.
    pub fn constants(&self) -> TokenStream {
        let constants = self.all.iter().filter_map(|size| {
            let (name, written) = (size.constant.as_ref()?, size.written);
            Some(quote!(const #name: __bilro::usize = #written;))
        });
        constants.collect()
    }

    fn is_generic(&self, assertion: &Assertion) -> bool {
        let symbols = assertion.condition.symbols();
        let mut sizes = self.all.iter().filter(|s| symbols.contains(&s.symbol));
        sizes.any(|size| size.constant.is_none())
    }

    fn symbol(&self, symbol: &str) -> TokenStream {
        match self.all.iter().find(|s| s.symbol == symbol) {
            Some(Size { constant: Some(constant), .. }) => quote!(#constant),
            Some(Size { written, .. }) => quote!((#written)),
            None => TokenStream::new(),
        }
    }

    fn size(&self, dim: &Dim) -> TokenStream {
        match dim {
            Dim::Fixed(n) => quote!(#n),
            Dim::Symbol(s) => self.symbol(s),
        }
    }

    fn product(&self, product: &SizeProduct) -> TokenStream {
        let mut factors = product.symbols.iter().map(|s| self.symbol(s));
        let first = match product.number {
            1 => factors.next(),
            _ => None,
        };
        let first = first.unwrap_or_else(|| product.number.to_token_stream());
        factors.fold(first, |product, factor| quote!(#product * #factor))
    }

    /// An `if` that panics with the message and the values of the symbols if the condition fails,
    /// at the span of the mistake.
    fn assertion(&self, assertion: &Assertion) -> TokenStream {
        let Assertion { condition, message, span } = assertion;
        let fails = match condition {
            Condition::Same(a, b) => {
                let (a, b) = (self.product(a), self.product(b));
                quote!(#a != #b)
            }
            Condition::Positive(symbol) => {
                let size = self.symbol(symbol);
                quote!(#size == 0)
            }
        };
        let values = condition.symbols().into_iter().map(|symbol| {
            let size = self.symbol(symbol);
            quote!((#symbol, #size))
        });
        let call = quote_spanned!(span.start=> __bilro_misfit);
        let mut arguments = Group::new(Delimiter::Parenthesis, quote!(#message, &[#(#values),*]));
        arguments.set_span(span.end);
        quote!(if #fails { #call #arguments })
    }
}

/// The method that builds the declaration at run time by replaying the statements.
pub fn declaration(network: &ItemNetwork, checked: &Checked, sizes: &Sizes<'_>) -> TokenStream {
    let name = text(&network.name);
    let body = match checked.declaration {
        None => quote!(__bilro::mistaken(#name)),
        Some(_) => {
            let generic = checked.assertions.iter().filter(|a| sizes.is_generic(a));
            // Spans of the tokens in question: rustc shows nothing else of them.
            let generic = generic.map(|a| {
                let mut block = Group::new(Delimiter::Brace, sizes.assertion(a));
                block.set_span(a.span.end);
                quote_spanned!(a.span.start=> const #block)
            });
            let statements = checked.statements.iter().map(|statement| statement.code(sizes));
            quote! {
                #(#generic)*
                __bilro::replay(#name, &[#(#statements),*])
            }
        }
    };
    quote! {
        fn declaration() -> __bilro::std::result::Result<
            __bilro::bilro::compiler::declaration::Declaration,
            __bilro::bilro::compiler::error::Error,
        > {
            #body
        }
    }
}

/// Assertions about constants that do not depend on the network's generics. The others are in
/// [`declaration`], since they are evaluated for each instance of the network.
pub fn assertions(checked: &Checked, sizes: &Sizes<'_>) -> TokenStream {
    let constant = checked.assertions.iter().filter(|a| !sizes.is_generic(a));
    constant
        .map(|a| {
            let assertion = sizes.assertion(a);
            quote!(const _: () = #assertion;)
        })
        .collect()
}

/// Conversion of statements and their fields to Rust expressions.
trait Code {
    fn code(&self, sizes: &Sizes<'_>) -> TokenStream;
}

macro_rules! statements {
    ($($Variant:ident { $($field:ident),* })*) => {
        impl Code for CompilerStatement<'_> {
            fn code(&self, sizes: &Sizes<'_>) -> TokenStream {
                match self {
                    $(CompilerStatement::$Variant { $($field),* } => {
                        let _ = sizes;
                        $(let $field = $field.code(sizes);)*
                        quote!(__bilro::Statement::$Variant { $($field: #$field),* })
                    })*
                }
            }
        }
    };
}

statements! {
    Reserve { name }
    Module { name, kind }
    Enter { module }
    Leave {}
    Input { name, is_target, below, dims }
    Differentiate { x }
    Choice { name, alternatives }
    Choose { choice, x }
    Parameter { name, dims, init, numbers }
    Number { number }
    Call { function, x, attributes }
    Layer { name, kind, attributes }
    Apply { layer, x }
    Bind { name, x }
    Output { name, x }
    Loss { x, sum }
    Metric { name, x }
}

impl Code for usize {
    fn code(&self, _: &Sizes<'_>) -> TokenStream {
        self.to_token_stream()
    }
}

impl Code for bool {
    fn code(&self, _: &Sizes<'_>) -> TokenStream {
        self.to_token_stream()
    }
}

/// A finite number as a sign and a literal.
impl Code for f64 {
    fn code(&self, _: &Sizes<'_>) -> TokenStream {
        let size = self.abs();
        match self.is_sign_negative() {
            true => quote!(-#size),
            false => quote!(#size),
        }
    }
}

impl Code for Order {
    fn code(&self, sizes: &Sizes<'_>) -> TokenStream {
        let number = match (self.0.is_infinite(), self.0 > 0.0) {
            (true, true) => quote!(__bilro::std::primitive::f64::INFINITY),
            (true, false) => quote!(__bilro::std::primitive::f64::NEG_INFINITY),
            (false, _) => self.0.code(sizes),
        };
        quote!(__bilro::Order(#number))
    }
}

impl Code for i64 {
    fn code(&self, _: &Sizes<'_>) -> TokenStream {
        let size = Literal::u64_unsuffixed(self.unsigned_abs());
        match *self < 0 {
            true => quote!(-#size),
            false => quote!(#size),
        }
    }
}

impl Code for String {
    fn code(&self, _: &Sizes<'_>) -> TokenStream {
        quote!(__bilro::std::string::String::from(#self))
    }
}

impl Code for Arc<str> {
    fn code(&self, _: &Sizes<'_>) -> TokenStream {
        let text = &**self;
        quote!(__bilro::std::sync::Arc::from(#text))
    }
}

impl Code for Dim {
    fn code(&self, sizes: &Sizes<'_>) -> TokenStream {
        let size = sizes.size(self);
        quote!(__bilro::Dim::Fixed(#size))
    }
}

impl Code for Cow<'_, str> {
    fn code(&self, _: &Sizes<'_>) -> TokenStream {
        let text = &**self;
        quote!(__bilro::Cow::Borrowed(#text))
    }
}

impl<T: Code + Clone> Code for Cow<'_, [T]> {
    fn code(&self, sizes: &Sizes<'_>) -> TokenStream {
        let elements = self.iter().map(|x| x.code(sizes));
        quote!(__bilro::Cow::Borrowed(&[#(#elements),*]))
    }
}

impl<T: Code> Code for Vec<T> {
    fn code(&self, sizes: &Sizes<'_>) -> TokenStream {
        let elements = self.iter().map(|x| x.code(sizes));
        quote!(__bilro::std::vec::Vec::from([#(#elements),*]))
    }
}

impl<T: Code> Code for Option<T> {
    fn code(&self, sizes: &Sizes<'_>) -> TokenStream {
        match self.as_ref().map(|x| x.code(sizes)) {
            Some(x) => quote!(__bilro::std::option::Option::Some(#x)),
            None => quote!(__bilro::std::option::Option::None),
        }
    }
}

impl<A: Code, B: Code> Code for (A, B) {
    fn code(&self, sizes: &Sizes<'_>) -> TokenStream {
        let (a, b) = (self.0.code(sizes), self.1.code(sizes));
        quote!((#a, #b))
    }
}

macro_rules! attributes {
    ($(
        $(#[$doc:meta])*
        $Kind:ident $(($words:ty))?: $Value:ty, $getter:ident, $described:literal;
    )*) => {
        impl Code for AttributeValue {
            fn code(&self, sizes: &Sizes<'_>) -> TokenStream {
                match self {
                    $(AttributeValue::$Kind(value) => {
                        let value = value.code(sizes);
                        quote!(__bilro::AttributeValue::$Kind(#value))
                    })*
                }
            }
        }
    };
}

bilro_compiler::attribute_kinds!(attributes);
