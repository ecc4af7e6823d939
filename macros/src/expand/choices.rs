//! Expands choices: an enum for each choice, and a field of it beside the inputs.

use std::collections::HashSet;

use proc_macro2::{Delimiter, Group, Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::groups::{camel, unique};
use super::types::docs;
use crate::check::{ChoiceField, text};

/// The names of the enums, in order, made unique: `b_c` and `bC` are two choices.
pub fn names(choices: &[ChoiceField]) -> Vec<Ident> {
    let mut taken = HashSet::new();
    let names = choices.iter().map(|choice| unique(camel(&text(&choice.name)), &mut taken));
    names.map(|name| format_ident!("{name}")).collect()
}

/// The definition of the enum; its default is the first alternative.
pub fn definition(choice: &ChoiceField, name: &Ident) -> TokenStream {
    let about = format!("The alternatives of the choice `{}`.", text(&choice.name));
    let docs = docs(&choice.docs, &about);
    let mut taken = HashSet::new();
    let variants = choice.alternatives.iter().enumerate().map(|(i, function)| {
        let about = format!("`{}`", text(function));
        let variant = format_ident!("{}", unique(camel(&text(function)), &mut taken));
        let default = (i == 0).then(|| quote!(#[default]));
        quote!(#[doc = #about] #default #variant,)
    });
    // rustc reports it on the name of the choice.
    let span = choice.name.span();
    let mut body = Group::new(Delimiter::Brace, quote!(#(#variants)*));
    body.set_span(span);
    let item = quote_spanned!(span=> pub enum #name #body);
    quote! {
        #docs
        #[derive(
            __bilro::std::clone::Clone,
            __bilro::std::marker::Copy,
            __bilro::std::cmp::PartialEq,
            __bilro::std::cmp::Eq,
            __bilro::std::hash::Hash,
            __bilro::std::default::Default,
            __bilro::std::fmt::Debug,
        )]
        #item
    }
}

/// The field of the inputs.
pub fn field(choice: &ChoiceField, ty: &Ident) -> TokenStream {
    let name = &choice.name;
    let about = format!("The alternative of the choice `{}`.", text(name));
    quote!(#[doc = #about] pub #name: #ty,)
}
