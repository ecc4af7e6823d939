//! The calls of the builder as Rust, and what Rust must make sure of.

use std::collections::HashSet;

use bilro_compiler::declaration::{Init, LossReduction};
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::shape::{DType, Dim, SizeProduct};
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};

use super::local;
use crate::ast::Network;
use crate::check::{Assertion, Checked, Condition, Step, Symbols, text};
use crate::parse::mentioned;

/// The symbolic sizes as Rust: those that depend on the network's generics as they are written,
/// the others as constants, so that Rust complains once of one that is wrong.
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
    pub fn new(network: &Network, symbols: &'a Symbols) -> Sizes<'a> {
        let generics: Vec<&Ident> = network.generics.const_params().map(|c| &c.ident).collect();
        let size = |(i, (symbol, written)): (usize, (&'a String, &'a TokenStream))| {
            let tokens: Vec<TokenTree> = written.clone().into_iter().collect();
            let is_generic = mentioned(&tokens).iter().any(|word| generics.contains(&word));
            let constant = (!is_generic).then(|| format_ident!("__BILRO_SIZE_{i}"));
            Size { symbol, written, constant }
        };
        Sizes { all: symbols.iter().enumerate().map(size).collect() }
    }

    /// Where the first of them is.
    pub fn place(&self) -> Option<Span> {
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
        let mut own = self.all.iter().filter(|s| symbols.contains(&s.symbol));
        own.any(|size| size.constant.is_none())
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

    /// `if` the condition fails, a panic with the message and the values of the symbols, at the
    /// place of the mistake.
    fn assertion(&self, assertion: &Assertion) -> TokenStream {
        let Assertion { condition, message, place } = assertion;
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
        let call = quote_spanned!(place.start=> __bilro_misfit);
        let mut arguments = Group::new(Delimiter::Parenthesis, quote!(#message, &[#(#values),*]));
        arguments.set_span(place.end);
        quote!(if #fails { #call #arguments })
    }
}

/// The method that makes the network when the program runs, by the calls that were made here.
pub fn declaration(network: &Network, checked: &Checked, sizes: &Sizes<'_>) -> TokenStream {
    let name = text(&network.name);
    let body = match checked.declaration {
        None => quote!(__bilro::mistaken(#name)),
        Some(_) => {
            let forced = checked.assertions.iter().filter(|a| sizes.is_generic(a));
            // On the tokens that they are about, as all that rustc shows of them.
            let forced = forced.map(|a| {
                let mut block = Group::new(Delimiter::Brace, sizes.assertion(a));
                block.set_span(a.place.end);
                quote_spanned!(a.place.start=> const #block)
            });
            let builder = local("network");
            let read = checked.steps.iter().flat_map(read).collect();
            let emit = Emit { builder: &builder, sizes, read };
            let steps = checked.steps.iter().map(|step| emit.step(step));
            quote! {
                #(#forced)*
                let mut #builder = __bilro::Declaring::new(#name);
                #(#steps)*
                __bilro::Declaring::finish(#builder)
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

/// Assertions about constants that do not depend on the network's generics. Those that do are in
/// [`declaration`], since only a use of the network decides them.
pub fn assertions(checked: &Checked, sizes: &Sizes<'_>) -> TokenStream {
    let free = checked.assertions.iter().filter(|a| !sizes.is_generic(a));
    free.map(|a| {
        let assertion = sizes.assertion(a);
        quote!(const _: () = #assertion;)
    })
    .collect()
}

/// The variables that a step reads.
fn read(step: &Step) -> Vec<usize> {
    match step {
        Step::Reserve { .. }
        | Step::Module { .. }
        | Step::Enter { .. }
        | Step::Leave
        | Step::Input { .. }
        | Step::Parameter { .. }
        | Step::Number { .. }
        | Step::Choice { .. }
        | Step::Layer { .. } => Vec::new(),
        Step::Call { operands, .. } | Step::Choose { operands, .. } => {
            operands.iter().map(|(x, _)| *x).collect()
        }
        Step::Apply { x, .. } | Step::Loss { x, .. } | Step::Metric { x, .. } => vec![x.0],
        Step::Bind { x, .. } | Step::Output { x, .. } | Step::Differentiate { x } => vec![*x],
    }
}

fn variable(index: usize) -> Ident {
    local(&format!("value{index}"))
}

struct Emit<'a> {
    builder: &'a Ident,
    sizes: &'a Sizes<'a>,
    read: HashSet<usize>,
}

impl Emit<'_> {
    fn step(&self, step: &Step) -> TokenStream {
        let builder = self.builder;
        // By path: a trait of the user's may have methods of the same names.
        let (on, to) = (quote!(__bilro::Declaring), quote!(&mut #builder));
        match step {
            Step::Reserve { name } => quote!(#on::reserve(#to, #name);),
            Step::Module { module, name, kind } => {
                let (module, name) = (module_variable(*module), optional(name.as_deref()));
                quote!(let #module = #on::module(#to, #name, #kind);)
            }
            Step::Enter { module } => {
                let module = module_variable(*module);
                quote!(#on::enter(#to, #module);)
            }
            Step::Leave => quote!(#on::leave(#to);),
            Step::Input { variable, name, ty, is_target } => {
                let dims = self.sizes(&ty.shape.dims);
                let call = match &ty.dtype {
                    DType::Real => quote!(#on::real(#to, #name, #is_target, #dims)?),
                    DType::Index { below } => {
                        let below = self.sizes.size(below);
                        quote!(#on::index(#to, #name, #is_target, #below, #dims)?)
                    }
                };
                self.assign(*variable, call)
            }
            Step::Differentiate { x } => {
                let x = self::variable(*x);
                quote!(#on::differentiate(#to, #x)?;)
            }
            Step::Choice { choice, name, alternatives } => {
                let choice = choice_variable(*choice);
                quote!(let #choice = #on::choice(#to, #name, &[#(#alternatives),*])?;)
            }
            Step::Choose { variable, choice, operands } => {
                let choice = choice_variable(*choice);
                let operands = operands.iter().map(operand);
                self.assign(*variable, quote!(#on::choose(#to, #choice, &[#(#operands),*])?))
            }
            Step::Parameter { variable, name, dims, init } => {
                let (dims, init) = (self.sizes(dims), initialiser(init));
                self.assign(*variable, quote!(#on::parameter(#to, #name, #dims, #init)?))
            }
            Step::Number { variable, value } => {
                let number = float(*value);
                self.assign(*variable, quote!(#on::number(#to, #number)))
            }
            Step::Call { variable, function, operands, attributes } => {
                let operands = operands.iter().map(operand);
                let attributes = self.attributes(attributes);
                let call = quote!(#on::call(#to, #function, &[#(#operands),*], #attributes)?);
                self.assign(*variable, call)
            }
            Step::Layer { layer, name, kind, attributes } => {
                let layer = layer_variable(*layer);
                let attributes = self.attributes(attributes);
                let name = optional(name.as_deref());
                quote!(let #layer = #on::layer(#to, #name, #kind, #attributes)?;)
            }
            Step::Apply { variable, layer, x } => {
                let (layer, x) = (layer_variable(*layer), operand(x));
                self.assign(*variable, quote!(#on::apply(#to, #layer, #x)?))
            }
            Step::Bind { name, x } => {
                let x = self::variable(*x);
                quote!(#on::bind(#to, #name, #x);)
            }
            Step::Output { name, x } => {
                let x = self::variable(*x);
                quote!(#on::output(#to, #name, #x)?;)
            }
            Step::Loss { x, reduction } => {
                let x = operand(x);
                let reduction = match reduction {
                    LossReduction::Mean => quote!(Mean),
                    LossReduction::Sum => quote!(Sum),
                };
                quote!(#on::loss(#to, #x, __bilro::LossReduction::#reduction)?;)
            }
            Step::Metric { name, x } => {
                let x = operand(x);
                quote!(#on::metric(#to, #name, #x)?;)
            }
        }
    }

    fn assign(&self, variable: usize, call: TokenStream) -> TokenStream {
        if !self.read.contains(&variable) {
            return quote!(#call;);
        }
        let variable = self::variable(variable);
        quote!(let #variable = #call;)
    }

    fn sizes(&self, dims: &[Dim]) -> TokenStream {
        let dims = dims.iter().map(|d| self.sizes.size(d));
        quote!(&[#(#dims),*])
    }

    fn attributes(&self, attributes: &Attributes) -> TokenStream {
        let attributes = attributes.iter().map(|(name, value)| {
            let value = match value {
                AttributeValue::Axis(axis) => {
                    let axis = signed(*axis);
                    quote!(axis(#axis))
                }
                AttributeValue::Number(x) => {
                    let x = float(*x);
                    quote!(number(#x))
                }
                AttributeValue::Flag(flag) => quote!(flag(#flag)),
                AttributeValue::Size(size) => {
                    let size = self.sizes.size(size);
                    quote!(size(#size))
                }
                AttributeValue::Sizes(sizes) => {
                    let sizes = self.sizes(sizes);
                    quote!(sizes(#sizes))
                }
                AttributeValue::Axes(axes) => {
                    let axes = axes.iter().map(|a| signed(*a));
                    quote!(axes(&[#(#axes),*]))
                }
                AttributeValue::Choice(word) => quote!(choice(#word)),
                AttributeValue::Whole(n) => quote!(whole(#n)),
                AttributeValue::Numbers(numbers) => {
                    let numbers = numbers.iter().map(|x| float(*x));
                    quote!(numbers(&[#(#numbers),*]))
                }
            };
            quote!((#name, __bilro::#value))
        });
        quote!(&[#(#attributes),*])
    }
}

fn choice_variable(index: usize) -> Ident {
    local(&format!("choice{index}"))
}

fn layer_variable(index: usize) -> Ident {
    let name = format_ident!("layer{index}");
    local(&name.to_string())
}

fn module_variable(index: usize) -> Ident {
    let name = format_ident!("module{index}");
    local(&name.to_string())
}

fn optional(name: Option<&str>) -> TokenStream {
    match name {
        Some(name) => quote!(__bilro::std::option::Option::Some(#name)),
        None => quote!(__bilro::std::option::Option::None),
    }
}

fn operand((x, text): &(usize, String)) -> TokenStream {
    let x = variable(*x);
    quote!((#x, #text))
}

/// A finite number, its sign apart, as Rust reads it.
fn float(x: f64) -> TokenStream {
    let size = x.abs();
    match x.is_sign_negative() {
        true => quote!(-#size),
        false => quote!(#size),
    }
}

fn signed(x: i64) -> TokenStream {
    let size = x.unsigned_abs();
    let size = proc_macro2::Literal::u64_unsuffixed(size);
    match x < 0 {
        true => quote!(-#size),
        false => quote!(#size),
    }
}

fn initialiser(init: &Init) -> TokenStream {
    let call = match init {
        Init::Full(x) => {
            let x = float(*x);
            quote!(Full(#x))
        }
        Init::Uniform(low, high) => {
            let (low, high) = (float(*low), float(*high));
            quote!(Uniform(#low, #high))
        }
        Init::Normal(mean, std) => {
            let (mean, std) = (float(*mean), float(*std));
            quote!(Normal(#mean, #std))
        }
        Init::XavierUniform => quote!(XavierUniform),
        Init::XavierNormal => quote!(XavierNormal),
        Init::KaimingUniform => quote!(KaimingUniform),
        Init::KaimingNormal => quote!(KaimingNormal),
        Init::TruncNormal { mean, std, low, high } => {
            let (mean, std, low, high) = (float(*mean), float(*std), float(*low), float(*high));
            quote!(TruncNormal { mean: #mean, std: #std, low: #low, high: #high })
        }
        Init::Orthogonal => quote!(Orthogonal),
        Init::Linear { fan_in } => {
            // Only layers start like this.
            let fan_in = fan_in.fixed().unwrap_or(1);
            quote!(Linear { fan_in: __bilro::bilro::compiler::shape::Dim::Fixed(#fan_in) })
        }
    };
    quote!(__bilro::Init::#call)
}
