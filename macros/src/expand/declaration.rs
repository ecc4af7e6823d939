//! The calls of the builder as Rust, and what Rust must make sure of.

use bilro_compiler::network::{Init, LossReduction};
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::shape::{DType, Dim, Product};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{format_ident, quote, quote_spanned};
use std::collections::HashSet;

use super::local;
use crate::ast::Network;
use crate::check::{Assertion, Checked, Condition, Step, Symbols, text};

/// The method that makes the network when the program runs, by the calls that were made here.
pub fn declaration(network: &Network, checked: &Checked) -> TokenStream {
    let name = text(&network.name);
    let body = match checked.declaration {
        None => quote!(::bilro::private::mistaken(#name)),
        Some(_) => {
            let forced = checked.assertions.iter().filter(|a| is_generic(network, checked, a));
            let forced = forced.map(|a| {
                let condition = assertion(&checked.symbols, a);
                quote!(const { #condition })
            });
            let builder = local("network");
            let read = checked.steps.iter().flat_map(read).collect();
            let emit = Emit { builder: &builder, symbols: &checked.symbols, read };
            let steps = checked.steps.iter().map(|step| emit.step(step));
            quote! {
                #(#forced)*
                let mut #builder = ::bilro::private::Declaring::new(#name);
                #(#steps)*
                #builder.finish()
            }
        }
    };
    quote! {
        fn declaration() -> ::core::result::Result<
            ::bilro::compiler::network::Network,
            ::bilro::compiler::error::Error,
        > {
            #body
        }
    }
}

/// Assertions about constants that do not depend on the network's generics. Those that do are in
/// [`declaration`], since only a use of the network decides them.
pub fn assertions(network: &Network, checked: &Checked) -> Vec<TokenStream> {
    if checked.declaration.is_none() {
        return Vec::new();
    }
    let free = checked.assertions.iter().filter(|a| !is_generic(network, checked, a));
    free.map(|a| {
        let condition = assertion(&checked.symbols, a);
        let span = a.place.start;
        quote_spanned!(span=> const _: () = { #condition };)
    })
    .collect()
}

fn symbols_of(condition: &Condition) -> Vec<&str> {
    let mut symbols: Vec<&str> = match condition {
        Condition::Same(a, b) => a.symbols.iter().chain(&b.symbols).map(|s| &**s).collect(),
        Condition::Positive(symbol) => vec![&**symbol],
    };
    symbols.dedup();
    symbols
}

fn is_generic(network: &Network, checked: &Checked, assertion: &Assertion) -> bool {
    let generics: Vec<String> =
        network.generics.const_params().map(|c| c.ident.to_string()).collect();
    symbols_of(&assertion.condition).into_iter().any(|symbol| {
        let tokens: Vec<TokenTree> =
            checked.symbols.get(symbol).cloned().unwrap_or_default().into_iter().collect();
        let words = crate::parse::mentioned(&tokens);
        words.iter().any(|word| generics.iter().any(|g| word == g))
    })
}

/// `if` the condition fails, a panic with the message and the values of the symbols.
fn assertion(symbols: &Symbols, assertion: &Assertion) -> TokenStream {
    let Assertion { condition, message, place } = assertion;
    let span = place.start;
    let fails = match condition {
        Condition::Same(a, b) => {
            let (a, b) = (product(symbols, a, span), product(symbols, b, span));
            quote_spanned!(span=> #a != #b)
        }
        Condition::Positive(symbol) => {
            let size = symbols.get(&**symbol);
            quote_spanned!(span=> (#size) == 0)
        }
    };
    let values = symbols_of(condition).into_iter().map(|name| {
        let size = symbols.get(name);
        quote_spanned!(span=> (#name, #size))
    });
    quote_spanned! {span=>
        if #fails {
            ::bilro::private::misfit(#message, &[#(#values),*])
        }
    }
}

fn product(symbols: &Symbols, product: &Product, span: Span) -> TokenStream {
    let number = product.number;
    let mut factors = product.symbols.iter().map(|s| {
        let size = symbols.get(&**s);
        quote_spanned!(span=> (#size))
    });
    let first = match number {
        1 => factors.next(),
        _ => None,
    };
    let first = first.unwrap_or_else(|| quote_spanned!(span=> #number));
    factors.fold(first, |product, factor| quote_spanned!(span=> #product * #factor))
}

/// The variables that a step reads.
fn read(step: &Step) -> Vec<usize> {
    match step {
        Step::Reserve { .. }
        | Step::Input { .. }
        | Step::Parameter { .. }
        | Step::Number { .. }
        | Step::Layer { .. } => Vec::new(),
        Step::Call { operands, .. } => operands.iter().map(|(x, _)| *x).collect(),
        Step::Apply { x, .. } | Step::Loss { x, .. } | Step::Metric { x, .. } => vec![x.0],
        Step::Bind { x, .. } | Step::Output { x, .. } => vec![*x],
    }
}

fn variable(index: usize) -> Ident {
    local(&format!("value{index}"))
}

struct Emit<'a> {
    builder: &'a Ident,
    symbols: &'a Symbols,
    read: HashSet<usize>,
}

impl Emit<'_> {
    fn step(&self, step: &Step) -> TokenStream {
        let builder = self.builder;
        match step {
            Step::Reserve { name } => quote!(#builder.reserve(#name);),
            Step::Input { variable, name, ty, is_target } => {
                let dims = self.sizes(&ty.shape.dims);
                let call = match &ty.dtype {
                    DType::Real => quote!(#builder.real(#name, #is_target, #dims)?),
                    DType::Index { below } => {
                        let below = self.size(below);
                        quote!(#builder.index(#name, #is_target, #below, #dims)?)
                    }
                };
                self.assign(*variable, call)
            }
            Step::Parameter { variable, name, dims, init } => {
                let (dims, init) = (self.sizes(dims), initialiser(init));
                self.assign(*variable, quote!(#builder.parameter(#name, #dims, #init)?))
            }
            Step::Number { variable, value } => {
                let number = float(*value);
                self.assign(*variable, quote!(#builder.number(#number)))
            }
            Step::Call { variable, function, operands, attributes } => {
                let operands = operands.iter().map(operand);
                let attributes = self.attributes(attributes);
                let call = quote!(#builder.call(#function, &[#(#operands),*], #attributes)?);
                self.assign(*variable, call)
            }
            Step::Layer { layer, name, kind, attributes } => {
                let layer = layer_variable(*layer);
                let attributes = self.attributes(attributes);
                let name = match name {
                    Some(name) => quote!(::core::option::Option::Some(#name)),
                    None => quote!(::core::option::Option::None),
                };
                quote!(let #layer = #builder.layer(#name, #kind, #attributes)?;)
            }
            Step::Apply { variable, layer, x } => {
                let (layer, x) = (layer_variable(*layer), operand(x));
                self.assign(*variable, quote!(#builder.apply(#layer, #x)?))
            }
            Step::Bind { name, x } => {
                let x = self::variable(*x);
                quote!(#builder.bind(#name, #x);)
            }
            Step::Output { name, x } => {
                let x = self::variable(*x);
                quote!(#builder.output(#name, #x)?;)
            }
            Step::Loss { x, reduction } => {
                let x = operand(x);
                let reduction = match reduction {
                    LossReduction::Mean => quote!(Mean),
                    LossReduction::Sum => quote!(Sum),
                };
                quote!(#builder.loss(#x, ::bilro::private::LossReduction::#reduction)?;)
            }
            Step::Metric { name, x } => {
                let x = operand(x);
                quote!(#builder.metric(#name, #x)?;)
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

    fn size(&self, dim: &Dim) -> TokenStream {
        match dim {
            Dim::Fixed(n) => quote!(#n),
            Dim::Symbol(s) => self.symbols.get(&**s).cloned().unwrap_or_default(),
        }
    }

    fn sizes(&self, dims: &[Dim]) -> TokenStream {
        let dims = dims.iter().map(|d| self.size(d));
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
                    let size = self.size(size);
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
            };
            quote!((#name, ::bilro::private::#value))
        });
        quote!(&[#(#attributes),*])
    }
}

fn layer_variable(index: usize) -> Ident {
    let name = format_ident!("layer{index}");
    local(&name.to_string())
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
        Init::Linear { fan_in } => {
            // Only layers start like this.
            let fan_in = fan_in.fixed().unwrap_or(1);
            quote!(Linear { fan_in: ::bilro::compiler::shape::Dim::Fixed(#fan_in) })
        }
    };
    quote!(::bilro::private::Init::#call)
}
