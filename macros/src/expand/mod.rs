//! Expands a checked network to Rust: the struct, the module of its types, and the implementation
//! of the runtime's traits.
//!
//! The expansion is hygienic: paths start at the library's root, as `__bilro`, methods are called by
//! path, and user names with that prefix are refused.
//!
//! A network with mistakes expands to as much as is known, so that code that uses it has no
//! follow-on errors. Unknown fields have the type `Unknown`, which contains the error: rustc reports
//! it once.

mod choices;
mod declaration;
mod groups;
mod types;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Attribute;

use crate::ast::ItemNetwork;
use crate::check::{Checked, text};
use crate::error::Mistake;
use crate::parse::is_reserved;
use declaration::Sizes;

/// Expands a network and its mistakes. `root` is the path of the library.
pub fn expand(
    root: &TokenStream,
    network: &ItemNetwork,
    checked: &Checked,
    mistakes: &[Mistake],
) -> TokenStream {
    let module = module_name(&network.name);
    let types = types::Types::new(network, checked, &module);
    let errors: Vec<TokenStream> = mistakes.iter().map(Mistake::to_tokens).collect();
    let (unknown, errors) = match errors.split_first() {
        // The first error is inside the unknown type, so that rustc reports it there.
        Some((first, rest)) if types.has_unknown() => (Some(first), rest),
        _ => (None, &errors[..]),
    };
    let unknown = unknown.map(|error| {
        quote! {
            /// A type that a mistake hides.
            pub type Unknown<'a> = [&'a (); #error];
        }
    });

    let ItemNetwork { attributes, visibility, keyword, name, generics, .. } = network;
    let (impl_generics, ..) = generics.split_for_impl();
    // In braces, since a bare name could resolve to a type or a module.
    let arguments = generics.const_params().map(|c| &c.ident);
    let type_generics = quote!(<#({ #arguments }),*>);
    let conditions: Vec<_> = attributes.iter().filter(|a| a.path().is_ident("cfg")).collect();
    let user_derives = derived(attributes);
    let derives = [("Clone", "clone"), ("Copy", "marker"), ("Debug", "fmt")];
    let derives =
        derives.into_iter().filter(|(name, _)| !user_derives.iter().any(|own| own == name));
    let derives = derives.map(|(name, module)| {
        let (name, module) = (format_ident!("{name}"), format_ident!("{module}"));
        quote!(#root::private::std::#module::#name)
    });
    let doc = format!("Types of the inputs, outputs and parameters of `{}`.", text(name));
    // With spans of the user's tokens: rustc shows code from the first span to the last.
    let semicolon = quote_spanned!(name.span()=> ;);
    let implement = |of: TokenStream, body| {
        implementation(name, &quote!(#impl_generics), &of, &quote!(#name #type_generics), body)
    };
    let structs = types.structs();
    let methods = types.methods();
    let bare = |of| implement(of, TokenStream::new());
    let trainable = types.is_trainable().then(|| bare(quote!(__bilro::bilro::Trainable)));
    let classifier = types.is_classifier().then(|| bare(quote!(__bilro::bilro::Classifier)));
    let examples = types.examples();
    let sizes = Sizes::new(network, &checked.symbols);
    let declaration = declaration::declaration(network, checked, &sizes);
    let (constants, assertions) = match checked.declaration {
        Some(_) => (sizes.constants(), declaration::assertions(checked, &sizes)),
        None => Default::default(),
    };
    let types_module = {
        let items = quote!(use #root::private as __bilro; #structs #unknown);
        let mut body = Group::new(Delimiter::Brace, items);
        body.set_span(name.span());
        quote_spanned!(name.span()=> mod #module #body)
    };
    // If a size is not a constant, rustc points at both the size and this.
    let underscore = Ident::new("_", sizes.first_span().unwrap_or_else(Span::call_site));
    let network = implement(quote!(__bilro::bilro::Network), quote!(#methods #declaration));
    quote! {
        #(#attributes)*
        #[derive(#(#derives),*)]
        #visibility #keyword #name #generics #semicolon

        #(#conditions)*
        #[doc = #doc]
        #[allow(dead_code, reason = "programs need not use every field")]
        #visibility #types_module

        #(#conditions)*
        #[allow(
            clippy::approx_constant,
            clippy::excessive_precision,
            reason = "literals are copied from the network"
        )]
        const #underscore: () = {
            use #root::private as __bilro;
            #[allow(unused_imports, reason = "used by networks with symbolic sizes only")]
            use __bilro::misfit as __bilro_misfit;

            #constants

            #network
            #trainable
            #classifier
            #examples
            #assertions
        };

        #(#errors)*
    }
}

/// An implementation of a trait; rustc reports it on the network's name.
fn implementation(
    name: &Ident,
    generics: &TokenStream,
    of: &TokenStream,
    ty: &TokenStream,
    body: TokenStream,
) -> TokenStream {
    let mut body = Group::new(Delimiter::Brace, body);
    body.set_span(name.span());
    quote_spanned!(name.span()=> impl #generics #of for #ty #body)
}

/// The traits that the user derives.
fn derived(attributes: &[Attribute]) -> Vec<Ident> {
    let mut traits = Vec::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("derive")) {
        // rustc reports mistakes in it.
        let _ = attribute.parse_nested_meta(|meta| {
            traits.extend(meta.path.segments.last().map(|s| s.ident.clone()));
            Ok(())
        });
    }
    traits
}

/// `DigitNet` as `digit_net`; with `_` appended if that name is taken.
fn module_name(name: &Ident) -> Ident {
    let written: Vec<char> = text(name).chars().collect();
    let mut snake = String::new();
    for (i, c) in written.iter().enumerate() {
        let after_lower = i > 0 && !written[i - 1].is_uppercase() && written[i - 1] != '_';
        let before_lower = i > 0
            && written[i - 1].is_uppercase()
            && written.get(i + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_lower || before_lower) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    let is_known = KNOWN.split_whitespace().any(|known| known == snake);
    let is_taken = snake == text(name) || is_reserved(&snake) || is_known;
    format_ident!("{snake}{}", if is_taken { "_" } else { "" }, span = name.span())
}

/// Names that a module of the same name would shadow: crates, primitive types, and common imports
/// from the library.
const KNOWN: &str = "alloc bilro bool char core data f128 f16 f32 f64 i128 i16 i32 i64 i8 isize network \
                     plot proc_macro std str test u128 u16 u32 u64 u8 usize";

/// A local variable, named so that no constant of the user's can shadow it in a pattern.
fn local(name: &str) -> Ident {
    Ident::new(&format!("__bilro_{name}"), Span::mixed_site())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_in_snake_case() {
        let module = |name| module_name(&format_ident!("{name}")).to_string();
        assert_eq!(module("Digits"), "digits");
        assert_eq!(module("DigitNet"), "digit_net");
        assert_eq!(module("ResNet50"), "res_net50");
        assert_eq!(module("HTTPServer"), "http_server");
        assert_eq!(module("MLP"), "mlp");
        assert_eq!(module("Two_Words"), "two_words");
        assert_eq!(module("Match"), "match_");
        assert_eq!(module("Gen"), "gen_");
        assert_eq!(module("F32"), "f32_");
        assert_eq!(module("Std"), "std_");
        assert_eq!(module("Ünïcode"), "ünïcode");
        assert_eq!(module("digits"), "digits_");
    }
}
