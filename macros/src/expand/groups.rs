//! The fields of `Parameters` and `Gradients`: a tree, as the dots in the parameters' names say.
//!
//! Every layer and every use of a block has a struct, generic over the types of its fields, so that
//! the same one holds views and arrays.

use std::collections::HashSet;

use bilro_compiler::declaration::Declaration;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::types::{Ownership, array, array_or_unknown, docs};
use crate::check::{ArrayType, Trained, text};
use crate::parse::is_reserved;

/// Names of structs that layers must not take.
const TAKEN: [&str; 7] =
    ["Batch", "Input", "Output", "Parameters", "ParametersMut", "Gradients", "Unknown"];

/// A field.
pub struct Group {
    pub name: Ident,
    pub docs: TokenStream,
    pub kind: GroupKind,
    /// What is known where there is no documentation.
    pub about: String,
    /// The whole name: `residual1.fc`.
    path: String,
}

pub enum GroupKind {
    /// A parameter, with its number of axes, and whether it is trained.
    One { rank: usize, is_trained: bool },
    /// What a layer or a use of a block has, in a struct of this name.
    Struct { name: Ident, fields: Vec<Group> },
    /// Hidden by a mistake.
    Unknown,
}

/// In the order of the compiler's parameters, which come layer by layer. The names in `taken` are
/// those of other types.
pub fn known(declaration: &Declaration, trained: &[Trained], taken: HashSet<String>) -> Vec<Group> {
    let mut tree = Tree { declaration, trained, taken };
    let mut groups = Vec::new();
    for parameter in &declaration.parameters {
        let about = format!("`{}`", parameter.shape);
        let kind =
            || GroupKind::One { rank: parameter.shape.rank(), is_trained: parameter.is_trained };
        tree.insert(&mut groups, &parameter.name, 0, kind, about);
    }
    groups
}

struct Tree<'a> {
    declaration: &'a Declaration,
    trained: &'a [Trained],
    taken: HashSet<String>,
}

impl Tree<'_> {
    /// Puts a parameter below the groups that its name says from `start` on.
    fn insert(
        &mut self,
        groups: &mut Vec<Group>,
        name: &str,
        start: usize,
        kind: impl FnOnce() -> GroupKind,
        about: String,
    ) {
        let Some(dot) = name[start..].find('.').map(|dot| start + dot) else {
            groups.push(self.group(name, kind(), about));
            return;
        };
        let path = &name[..dot];
        if groups.last().is_none_or(|group| group.path != path) {
            let layer = self.declaration.layers.iter().find(|l| l.name == path);
            let about =
                layer.map_or(format!("What `{path}` has."), |layer| format!("`{}`", layer.kind));
            let name = format_ident!("{}", free(camel(path), &mut self.taken));
            let kind = GroupKind::Struct { name, fields: Vec::new() };
            groups.push(self.group(path, kind, about));
        }
        if let Some(Group { kind: GroupKind::Struct { fields, .. }, .. }) = groups.last_mut() {
            self.insert(fields, name, dot + 1, kind, about);
        }
    }

    fn group(&self, path: &str, kind: GroupKind, about: String) -> Group {
        let (path, own) = (path.to_string(), path.rsplit('.').next().unwrap_or(path));
        match self.trained.iter().find(|t| t.path == path) {
            Some(Trained { name, docs, .. }) => {
                Group { name: name.clone(), docs: docs.clone(), kind, about, path }
            }
            // A layer's parameter.
            None => {
                let docs = TokenStream::new();
                Group { name: format_ident!("{own}"), docs, kind, about, path }
            }
        }
    }
}

/// What is known of a network with mistakes.
pub fn unknown(trained: &[Trained]) -> Vec<Group> {
    let group = |t: &Trained| {
        let kind = match t.array {
            Some(array) => GroupKind::One { rank: array.rank, is_trained: true },
            None => GroupKind::Unknown,
        };
        let (about, path) = (text(&t.name), t.path.clone());
        Group { name: t.name.clone(), docs: t.docs.clone(), kind, about, path }
    };
    trained.iter().filter(|t| !t.path.contains('.')).map(group).collect()
}

impl Group {
    /// Its type.
    pub fn ty(&self, ownership: Ownership) -> TokenStream {
        match &self.kind {
            // What is not trained has no gradient.
            GroupKind::One { is_trained: false, .. } if ownership == Ownership::Owned => quote!(()),
            GroupKind::One { rank, .. } => array(ArrayType { real: true, rank: *rank }, ownership),
            GroupKind::Struct { name, fields } => {
                let types = fields.iter().map(|field| field.ty(ownership));
                quote!(#name<#(#types),*>)
            }
            GroupKind::Unknown => array_or_unknown(None, ownership),
        }
    }

    /// The field with what is next in each of its places.
    pub fn filled(&self, module: &Ident, ownership: Ownership, next: &TokenStream) -> TokenStream {
        let own = &self.name;
        match &self.kind {
            GroupKind::Struct { name, fields } => {
                let fields = fields.iter().map(|field| field.filled(module, ownership, next));
                quote!(#own: #module::#name { #(#fields),* })
            }
            GroupKind::One { is_trained: false, .. } if ownership == Ownership::Owned => {
                quote!(#own: ())
            }
            _ => quote!(#own: #next),
        }
    }

    /// The places of its gradients, in the order in which [`Group::filled`] takes them.
    pub fn gradients(&self, of: &TokenStream) -> Vec<TokenStream> {
        let own = &self.name;
        let place = quote!(#of.#own);
        match &self.kind {
            GroupKind::Struct { fields, .. } => {
                fields.iter().flat_map(|field| field.gradients(&place)).collect()
            }
            GroupKind::One { is_trained: false, .. } | GroupKind::Unknown => Vec::new(),
            GroupKind::One { is_trained: true, .. } => vec![place],
        }
    }

    /// The definitions of its struct and of those in it.
    pub fn structs(&self) -> TokenStream {
        let GroupKind::Struct { name, fields } = &self.kind else { return TokenStream::new() };
        let about = format!("What belongs to the parameters of `{}`.", self.path);
        let mut taken = HashSet::from([name.to_string()]);
        let types = fields
            .iter()
            .map(|field| format_ident!("{}", free(camel(&text(&field.name)), &mut taken)));
        let types: Vec<Ident> = types.collect();
        let own = fields.iter().zip(&types).map(|(field, ty)| {
            let about = format!("For its `{}`.", text(&field.name));
            let (docs, name) = (docs(&field.docs, &about), &field.name);
            quote!(#docs pub #name: #ty,)
        });
        let inner = fields.iter().map(Group::structs);
        quote! {
            #[doc = #about]
            #[derive(
                __bilro::std::clone::Clone,
                __bilro::std::marker::Copy,
                __bilro::std::fmt::Debug,
            )]
            pub struct #name<#(#types),*> { #(#own)* }
            #(#inner)*
        }
    }
}

/// A name that is not taken, with `_` at its end where it is; it is from then on.
pub(super) fn free(mut name: String, taken: &mut HashSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// `fc_1` as `Fc1`, `residual1.fc` as `Residual1Fc`.
pub(super) fn camel(name: &str) -> String {
    let mut camel = String::new();
    for word in name.split(['_', '.']) {
        let mut letters = word.chars();
        camel.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        camel.extend(letters);
    }
    let is_free = !is_reserved(&camel) && !TAKEN.contains(&&*camel);
    match syn::parse_str::<Ident>(&camel) {
        Ok(_) if is_free => camel,
        // `Self`, `Batch`
        _ if syn::parse_str::<Ident>(&format!("{camel}Layer")).is_ok() => format!("{camel}Layer"),
        // Of `_1` the digit is left, and of `__` nothing.
        _ => format!("Layer{camel}"),
    }
}
