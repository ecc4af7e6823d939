//! Expands the fields of `Parameters` and `Gradients`: a tree by the dots in the parameters' names.
//!
//! Every layer and every use of a block has a struct, generic over the types of its fields, so that
//! the same struct holds views and arrays.

use std::collections::HashSet;

use bilro_compiler::declaration::Declaration;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::types::{Ownership, array, array_or_unknown, docs};
use crate::check::{ArrayType, Trained, text};
use crate::parse::is_reserved;

/// Names of structs that layers cannot have.
const RESERVED: [&str; 7] =
    ["Batch", "Input", "Output", "Parameters", "ParametersMut", "Gradients", "Unknown"];

/// A field of the tree.
pub struct Group {
    pub name: Ident,
    pub docs: TokenStream,
    pub kind: GroupKind,
    /// The documentation if the user has written none.
    pub about: String,
    /// The qualified name: `residual1.fc`.
    path: String,
}

pub enum GroupKind {
    /// A parameter.
    Parameter { rank: usize, is_trained: bool },
    /// A layer or a use of a block, as a struct of this name.
    Struct { name: Ident, fields: Vec<Group> },
    /// Hidden by a mistake.
    Unknown,
}

/// The fields of a correct network, in the order of the compiler's parameters, which are sorted by
/// layer. `taken` has the names of other types.
pub fn known(declaration: &Declaration, trained: &[Trained], taken: HashSet<String>) -> Vec<Group> {
    let mut tree = Tree { declaration, trained, taken };
    let mut groups = Vec::new();
    for parameter in &declaration.parameters {
        let about = format!("`{}`", parameter.shape);
        let kind = || GroupKind::Parameter {
            rank: parameter.shape.rank(),
            is_trained: parameter.is_trained,
        };
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
    /// Inserts a parameter below the groups in its name from `start` on.
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
            let about = layer
                .map_or(format!("Parameters of `{path}`."), |layer| format!("`{}`", layer.kind));
            let name = format_ident!("{}", unique(camel(path), &mut self.taken));
            let kind = GroupKind::Struct { name, fields: Vec::new() };
            groups.push(self.group(path, kind, about));
        }
        if let Some(Group { kind: GroupKind::Struct { fields, .. }, .. }) = groups.last_mut() {
            self.insert(fields, name, dot + 1, kind, about);
        }
    }

    fn group(&self, path: &str, kind: GroupKind, about: String) -> Group {
        let (path, local) = (path.to_string(), path.rsplit('.').next().unwrap_or(path));
        match self.trained.iter().find(|t| t.path == path) {
            Some(Trained { name, docs, .. }) => {
                Group { name: name.clone(), docs: docs.clone(), kind, about, path }
            }
            // A parameter of a layer.
            None => {
                let docs = TokenStream::new();
                Group { name: format_ident!("{local}"), docs, kind, about, path }
            }
        }
    }
}

/// The fields of a network with mistakes, as far as they are known.
pub fn unknown(trained: &[Trained]) -> Vec<Group> {
    let group = |t: &Trained| {
        let kind = match t.array {
            Some(array) => GroupKind::Parameter { rank: array.rank, is_trained: true },
            None => GroupKind::Unknown,
        };
        let (about, path) = (text(&t.name), t.path.clone());
        Group { name: t.name.clone(), docs: t.docs.clone(), kind, about, path }
    };
    trained.iter().filter(|t| !t.path.contains('.')).map(group).collect()
}

impl Group {
    /// The type of the field.
    pub fn ty(&self, ownership: Ownership) -> TokenStream {
        match &self.kind {
            // State that is not trained has no gradient.
            GroupKind::Parameter { is_trained: false, .. } if ownership == Ownership::Owned => {
                quote!(())
            }
            GroupKind::Parameter { rank, .. } => {
                array(ArrayType { real: true, rank: *rank }, ownership)
            }
            GroupKind::Struct { name, fields } => {
                let types = fields.iter().map(|field| field.ty(ownership));
                quote!(#name<#(#types),*>)
            }
            GroupKind::Unknown => array_or_unknown(None, ownership),
        }
    }

    /// The field's initializer, which takes `next` for each parameter.
    pub fn filled(&self, module: &Ident, ownership: Ownership, next: &TokenStream) -> TokenStream {
        let field = &self.name;
        match &self.kind {
            GroupKind::Struct { name, fields } => {
                let fields = fields.iter().map(|field| field.filled(module, ownership, next));
                quote!(#field: #module::#name { #(#fields),* })
            }
            GroupKind::Parameter { is_trained: false, .. } if ownership == Ownership::Owned => {
                quote!(#field: ())
            }
            _ => quote!(#field: #next),
        }
    }

    /// The field expressions of its gradients in `parent`, in the order of [`Group::filled`].
    pub fn gradients(&self, parent: &TokenStream) -> Vec<TokenStream> {
        let name = &self.name;
        let access = quote!(#parent.#name);
        match &self.kind {
            GroupKind::Struct { fields, .. } => {
                fields.iter().flat_map(|field| field.gradients(&access)).collect()
            }
            GroupKind::Parameter { is_trained: false, .. } | GroupKind::Unknown => Vec::new(),
            GroupKind::Parameter { is_trained: true, .. } => vec![access],
        }
    }

    /// The definitions of its struct and of nested ones.
    pub fn structs(&self) -> TokenStream {
        let GroupKind::Struct { name, fields } = &self.kind else { return TokenStream::new() };
        let about = format!("Values for the parameters of `{}`.", self.path);
        let mut taken = HashSet::from([name.to_string()]);
        let types = fields
            .iter()
            .map(|field| format_ident!("{}", unique(camel(&text(&field.name)), &mut taken)));
        let types: Vec<Ident> = types.collect();
        let definitions = fields.iter().zip(&types).map(|(field, ty)| {
            let about = format!("For its `{}`.", text(&field.name));
            let (docs, name) = (docs(&field.docs, &about), &field.name);
            quote!(#docs pub #name: #ty,)
        });
        let nested = fields.iter().map(Group::structs);
        quote! {
            #[doc = #about]
            #[derive(
                __bilro::std::clone::Clone,
                __bilro::std::marker::Copy,
                __bilro::std::fmt::Debug,
            )]
            pub struct #name<#(#types),*> { #(#definitions)* }
            #(#nested)*
        }
    }
}

/// Makes a name unique by appending `_`, and adds it to `taken`.
pub(super) fn unique(mut name: String, taken: &mut HashSet<String>) -> String {
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
    let is_free = !is_reserved(&camel) && !RESERVED.contains(&&*camel);
    match syn::parse_str::<Ident>(&camel) {
        Ok(_) if is_free => camel,
        // `Self`, `Batch`
        _ if syn::parse_str::<Ident>(&format!("{camel}Layer")).is_ok() => format!("{camel}Layer"),
        // `_1` becomes a digit, and `__` the empty name.
        _ => format!("Layer{camel}"),
    }
}
