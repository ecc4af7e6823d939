//! What is chosen with every call: an enum for each choice, and a field for it beside the inputs.

use std::collections::HashSet;

use proc_macro2::{Delimiter, Group, Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::groups::{camel, free};
use super::types::docs;
use crate::check::{ChoiceField, text};

/// The enums' names, in order: `b_c` and `bC` are two choices, and so are their types.
pub fn names(choices: &[ChoiceField]) -> Vec<Ident> {
    let mut taken = HashSet::new();
    let names = choices.iter().map(|choice| free(camel(&text(&choice.name)), &mut taken));
    names.map(|name| format_ident!("{name}")).collect()
}

/// The enum, the first alternative its default.
pub fn definition(choice: &ChoiceField, name: &Ident) -> TokenStream {
    let own = text(&choice.name);
    let about = format!("What there is to choose from as `{own}`.");
    let docs = docs(&choice.docs, &about);
    let mut taken = HashSet::new();
    let variants = choice.alternatives.iter().enumerate().map(|(i, function)| {
        let about = format!("`{}`", text(function));
        let variant = format_ident!("{}", free(camel(&text(function)), &mut taken));
        let default = (i == 0).then(|| quote!(#[default]));
        quote!(#[doc = #about] #default #variant,)
    });
    // Where rustc shows it: on the choice's name.
    let at = choice.name.span();
    let mut body = Group::new(Delimiter::Brace, quote!(#(#variants)*));
    body.set_span(at);
    let item = quote_spanned!(at=> pub enum #name #body);
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

/// The field.
pub fn field(choice: &ChoiceField, ty: &Ident) -> TokenStream {
    let own = &choice.name;
    let about = format!("Which of the functions `{}` is.", text(own));
    quote!(#[doc = #about] pub #own: #ty,)
}
