//! What is chosen with every call: an enum for each choice, and a field for it beside the inputs.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::groups::camel;
use super::types::docs;
use crate::check::{ChoiceField, text};

fn name(choice: &ChoiceField) -> Ident {
    format_ident!("{}", camel(&text(&choice.name)))
}

/// The enum, the first alternative its default.
pub fn definition(choice: &ChoiceField) -> TokenStream {
    let own = text(&choice.name);
    let about = format!("What there is to choose from as `{own}`.");
    let (docs, name) = (docs(&choice.docs, &about), name(choice));
    let variants = choice.alternatives.iter().enumerate().map(|(i, function)| {
        let about = format!("`{}`", text(function));
        let variant = format_ident!("{}", camel(&text(function)));
        let default = (i == 0).then(|| quote!(#[default]));
        quote!(#[doc = #about] #default #variant,)
    });
    quote! {
        #docs
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
        pub enum #name { #(#variants)* }
    }
}

/// The field.
pub fn field(choice: &ChoiceField) -> TokenStream {
    let (own, ty) = (&choice.name, name(choice));
    let about = format!("Which of the functions `{}` is.", text(own));
    quote!(#[doc = #about] pub #own: #ty,)
}
