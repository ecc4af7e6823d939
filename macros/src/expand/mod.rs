//! A checked network as Rust: the struct, the module of its types, and what makes the two a
//! network of the runtime.
//!
//! Nothing that the user has can be mistaken for what is meant here: paths start at the library's
//! own root, as `__bilro`, methods are called by path, and names that start like that one are
//! refused.
//!
//! Of a network with mistakes as much is made as is known, so that code that uses it has no errors
//! of its own. What is not known has the type `Unknown`: one with an error in it, about which
//! rustc says nothing more.

mod choices;
mod declaration;
mod groups;
mod types;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Attribute;

use crate::ast::Network;
use crate::check::{Checked, text};
use crate::error::Mistake;
use crate::parse::is_reserved;
use declaration::Sizes;

/// The code for a network, and its mistakes. `root` is the path of the library.
pub fn expand(
    root: &TokenStream,
    network: &Network,
    checked: &Checked,
    mistakes: &[Mistake],
) -> TokenStream {
    let module = module_name(&network.name);
    let types = types::Types::new(network, checked, &module);
    let errors: Vec<TokenStream> = mistakes.iter().map(Mistake::to_tokens).collect();
    let (unknown, errors) = match errors.split_first() {
        // The first error is told where the unknown type has it.
        Some((first, rest)) if types.has_unknown() => (Some(first), rest),
        _ => (None, &errors[..]),
    };
    let unknown = unknown.map(|error| {
        quote! {
            /// What a mistake hides.
            pub type Unknown<'a> = [&'a (); #error];
        }
    });

    let Network { attributes, visibility, keyword, name, generics, .. } = network;
    let (impl_generics, ..) = generics.split_for_impl();
    // In braces, or else a type or a module of this name would be meant.
    let arguments = generics.const_params().map(|c| &c.ident);
    let type_generics = quote!(<#({ #arguments }),*>);
    let conditions: Vec<_> = attributes.iter().filter(|a| a.path().is_ident("cfg")).collect();
    let own = derived(attributes);
    let derives = [("Clone", "clone"), ("Copy", "marker"), ("Debug", "fmt")];
    let derives = derives.into_iter().filter(|(name, _)| !own.iter().any(|o| o == name));
    let derives = derives.map(|(name, module)| {
        let (name, module) = (format_ident!("{name}"), format_ident!("{module}"));
        quote!(#root::private::std::#module::#name)
    });
    let doc = format!("What `{}` takes and gives.", text(name));
    // With the places of the user's tokens, since rustc shows a part of what they begin and end.
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
    // Of a size that is no constant, rustc points at both the size and this.
    let underscore = Ident::new("_", sizes.place().unwrap_or_else(Span::call_site));
    let network = implement(quote!(__bilro::bilro::Network), quote!(#methods #declaration));
    quote! {
        #(#attributes)*
        #[derive(#(#derives),*)]
        #visibility #keyword #name #generics #semicolon

        #(#conditions)*
        #[doc = #doc]
        #[allow(dead_code, reason = "who trains a network need not read all of it")]
        #visibility #types_module

        #(#conditions)*
        #[allow(
            clippy::approx_constant,
            clippy::excessive_precision,
            reason = "the network's numbers are what they are written as"
        )]
        const #underscore: () = {
            use #root::private as __bilro;
            #[allow(unused_imports, reason = "few networks have sizes that only Rust knows")]
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

/// A trait of a type, where rustc shows it: on the network's name.
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
        // What is wrong with it, rustc says.
        let _ = attribute.parse_nested_meta(|meta| {
            traits.extend(meta.path.segments.last().map(|s| s.ident.clone()));
            Ok(())
        });
    }
    traits
}

/// `DigitNet` as `digit_net`; with `_` at its end where that means something else already.
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

/// Names that a module of the same name would hide: crates, primitive types, and what one imports
/// from the library.
const KNOWN: &str = "alloc bilro bool char core data f128 f16 f32 f64 i128 i16 i32 i64 i8 isize network \
                     plot proc_macro std str test u128 u16 u32 u64 u8 usize";

/// A local variable. No constant of the user's can be mistaken for it: in a pattern, that would be
/// the constant.
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
