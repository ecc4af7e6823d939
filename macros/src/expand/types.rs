//! Expands the structs of a network's module, and the conversions between them and the arrays of
//! the engine.

use bilro_compiler::shape::{DType, Shape};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::choices;
use super::groups::{self, Group, GroupKind};
use super::{implementation, local};
use crate::ast::ItemNetwork;
use crate::check::{ArrayType, Checked, ChoiceField, Field, InputField, text};

/// The largest number of axes that has a type of its own in ndarray.
const MOST_AXES: usize = 6;

/// See the [module](self).
pub struct Types<'a> {
    network: &'a ItemNetwork,
    checked: &'a Checked,
    module: &'a Ident,
    groups: Vec<Group>,
    /// The enums of the choices, in order.
    choices: Vec<Ident>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    View,
    ViewMut,
    Owned,
}

/// The type of an array.
pub(super) fn array(ty: ArrayType, ownership: Ownership) -> TokenStream {
    let element = if ty.real { quote!(__bilro::f32) } else { quote!(__bilro::u32) };
    let rank = match ty.rank {
        rank if rank <= MOST_AXES => Literal::usize_unsuffixed(rank).to_string(),
        _ => "D".into(),
    };
    match ownership {
        Ownership::View => {
            let name = format_ident!("ArrayView{rank}");
            quote!(__bilro::bilro::ndarray::#name<'a, #element>)
        }
        Ownership::ViewMut => {
            let name = format_ident!("ArrayViewMut{rank}");
            quote!(__bilro::bilro::ndarray::#name<'a, #element>)
        }
        Ownership::Owned => {
            let name = format_ident!("Array{rank}");
            quote!(__bilro::bilro::ndarray::#name<#element>)
        }
    }
}

pub(super) fn array_or_unknown(ty: Option<ArrayType>, ownership: Ownership) -> TokenStream {
    match (ty, ownership) {
        (Some(ty), _) => array(ty, ownership),
        (None, Ownership::View | Ownership::ViewMut) => quote!(Unknown<'a>),
        (None, Ownership::Owned) => quote!(Unknown<'static>),
    }
}

/// The user's documentation, or a default.
pub(super) fn docs(written: &TokenStream, default: &str) -> TokenStream {
    match written.is_empty() {
        true => quote!(#[doc = #default]),
        false => written.clone(),
    }
}

fn shape_of_examples(shape: &Shape) -> String {
    match shape.dims.is_empty() {
        true => "one number per example".into(),
        false => format!("`{shape}` per example"),
    }
}

impl<'a> Types<'a> {
    pub fn new(network: &'a ItemNetwork, checked: &'a Checked, module: &'a Ident) -> Types<'a> {
        let choices = choices::names(&checked.choices);
        let taken = choices.iter().map(Ident::to_string).collect();
        let groups = match &checked.declaration {
            Some(declaration) => groups::known(declaration, &checked.trained, taken),
            None => groups::unknown(&checked.trained),
        };
        Types { network, checked, module, groups, choices }
    }

    fn inputs(&self) -> impl Iterator<Item = &'a InputField> + Clone {
        self.checked.inputs.iter().filter(|i| !i.is_target)
    }

    /// Inputs, then targets.
    fn batch(&self) -> impl Iterator<Item = &'a InputField> + Clone {
        self.inputs().chain(self.checked.inputs.iter().filter(|i| i.is_target))
    }

    fn is_stub(&self) -> bool {
        self.checked.declaration.is_none()
    }

    /// Whether something has the type `Unknown`.
    pub fn has_unknown(&self) -> bool {
        let is_unknown = |field: &Field| field.array.is_none();
        self.is_stub()
            && (self.checked.inputs.iter().any(|i| is_unknown(&i.field))
                || self.checked.outputs.iter().any(is_unknown)
                || self.groups.iter().any(|g| matches!(g.kind, GroupKind::Unknown)))
    }

    /// The definitions.
    pub fn structs(&self) -> TokenStream {
        let name = text(&self.network.name);
        let batch = self.feed(
            "Batch",
            format!("Inputs and targets of `{name}` for some examples, along the first axis."),
            self.batch(),
        );
        let input = self.feed(
            "Input",
            format!("Inputs of `{name}` for some examples, along the first axis."),
            self.inputs(),
        );
        let output = self.output();
        let choices = self.choices().map(|(choice, ty)| choices::definition(choice, ty));
        let layers = self.groups.iter().map(Group::structs);
        let about = format!("The parameters of `{name}`.");
        let parameters = self.group_struct("Parameters", &about, Ownership::View);
        let about = format!("The parameters of `{name}`, to write to.");
        let parameters_mut = self.group_struct("ParametersMut", &about, Ownership::ViewMut);
        let about = format!(
            "Gradients of the loss of `{name}` with respect to its parameters, and to the inputs \
             with `grad`."
        );
        let gradients = self.group_struct("Gradients", &about, Ownership::Owned);
        quote! {
            #batch
            #input
            #output
            #(#choices)*
            #(#layers)*
            #parameters
            #parameters_mut
            #gradients
        }
    }

    fn feed(
        &self,
        name: &str,
        about: String,
        inputs: impl Iterator<Item = &'a InputField> + Clone,
    ) -> TokenStream {
        let name = format_ident!("{name}");
        // Views with more axes store their shape on the heap.
        let is_copy = inputs.clone().all(|i| i.field.array.is_some_and(|a| a.rank <= MOST_AXES));
        let copy = is_copy.then(|| quote!(__bilro::std::marker::Copy,));
        let fields = inputs.clone().map(|input| {
            let Field { name, docs: written, array } = &input.field;
            let ty = array_or_unknown(*array, Ownership::View);
            let known = match &input.ty {
                None => text(name),
                Some(ty) => match &ty.dtype {
                    DType::Real => format!("Reals: {}.", shape_of_examples(&ty.shape)),
                    DType::Index { below } => {
                        let shape = shape_of_examples(&ty.shape);
                        format!("Integers below {below}: {shape}.")
                    }
                },
            };
            let docs = docs(written, &known);
            quote!(#docs pub #name: #ty,)
        });
        let choices = self.choices().map(|(choice, ty)| choices::field(choice, ty));
        let count = inputs.clone().count() + self.checked.choices.len();
        let empty = self.without_fields(inputs.clone().count());
        // A struct without inputs and choices has a default.
        let default = (count == 0).then(|| quote!(__bilro::std::default::Default,));
        quote! {
            #[doc = #about]
            #[derive(__bilro::std::clone::Clone, #copy #default __bilro::std::fmt::Debug)]
            pub struct #name<'a> { #(#fields)* #(#choices)* #empty }
        }
    }

    /// A field that uses the lifetime, for a struct without other fields.
    fn without_fields(&self, fields: usize) -> Option<TokenStream> {
        (fields == 0).then(|| {
            quote! {
                /// Uses the lifetime: there are no other fields.
                pub nothing: __bilro::std::marker::PhantomData<&'a ()>,
            }
        })
    }

    fn output(&self) -> TokenStream {
        let shapes: Vec<&Shape> = match &self.checked.declaration {
            Some(declaration) => declaration.outputs().map(|(_, shape)| shape).collect(),
            None => Vec::new(),
        };
        let fields = self.checked.outputs.iter().enumerate().map(|(i, field)| {
            let Field { name, docs: written, array } = field;
            let ty = array_or_unknown(*array, Ownership::Owned);
            let known = match shapes.get(i) {
                Some(shape) if shape.batched => format!("{}.", capital(&shape_of_examples(shape))),
                Some(shape) => format!("`{shape}`, the same for all examples."),
                None => text(name),
            };
            let docs = docs(written, &known);
            quote!(#docs pub #name: #ty,)
        });
        let about = format!(
            "The outputs of `{}`, with the examples along the first axis.",
            text(&self.network.name)
        );
        quote! {
            #[doc = #about]
            #[derive(__bilro::std::clone::Clone, __bilro::std::fmt::Debug)]
            pub struct Output { #(#fields)* }
        }
    }

    fn group_struct(&self, name: &str, about: &str, ownership: Ownership) -> TokenStream {
        let name = format_ident!("{name}");
        let fields = self.groups.iter().map(|group| {
            let (field, ty) = (&group.name, group.ty(ownership));
            let docs = docs(&group.docs, &group.about);
            quote!(#docs pub #field: #ty,)
        });
        let of_inputs = self.differentiated().map(|input| {
            let Field { name, array, .. } = &input.field;
            let (ty, about) =
                (array_or_unknown(*array, ownership), format!("Of `{}`.", text(name)));
            quote!(#[doc = #about] pub #name: #ty,)
        });
        let of_inputs = of_inputs.filter(|_| ownership == Ownership::Owned);
        let (lifetime, empty) = match ownership {
            Ownership::View | Ownership::ViewMut => {
                (Some(quote!(<'a>)), self.without_fields(self.groups.len()))
            }
            Ownership::Owned => (None, None),
        };
        // Mutable views cannot be cloned.
        let clone =
            (!matches!(ownership, Ownership::ViewMut)).then(|| quote!(__bilro::std::clone::Clone,));
        quote! {
            #[doc = #about]
            #[derive(#clone __bilro::std::fmt::Debug)]
            pub struct #name #lifetime { #(#fields)* #(#of_inputs)* #empty }
        }
    }

    /// The associated types and the methods of the trait `Network`, except `declaration`.
    pub fn methods(&self) -> TokenStream {
        let module = self.module;
        let (inputs, batch) = (self.inputs().count(), self.batch().count());
        let choices = self.checked.choices.len();
        let types = quote! {
            type Batch<'a> = #module::Batch<'a>;
            type Input<'a> = #module::Input<'a>;
            type Output = #module::Output;
            type Parameters<'a> = #module::Parameters<'a>;
            type ParametersMut<'a> = #module::ParametersMut<'a>;
            type Gradients = #module::Gradients;
            type BatchFeeds<'a> = [__bilro::bilro::network::Feed<'a>; #batch];
            type InputFeeds<'a> = [__bilro::bilro::network::Feed<'a>; #inputs];
            type Choices = [__bilro::usize; #choices];
        };
        let (batch, input) = (local("batch"), local("input"));
        let (arrays, views, of) = (local("arrays"), local("views"), local("gradients"));
        let (batch_feeds, input_feeds, output, parameters, parameters_mut, gradients);
        let (batch_choices, input_choices, gradient_views);
        if self.is_stub() {
            let never =
                quote!(__bilro::std::unreachable!("a network with mistakes does not compile"));
            (batch_feeds, input_feeds) =
                (quote!(let _ = #batch; #never), quote!(let _ = #input; #never));
            (output, gradients) =
                (quote!(let _ = #arrays; #never), quote!(let _ = #arrays; #never));
            gradient_views = quote!(let _ = #of; #never);
            parameters = quote!(let _ = #views; #never);
            parameters_mut = parameters.clone();
            (batch_choices, input_choices) = (batch_feeds.clone(), input_feeds.clone());
        } else {
            let feed = |from: &Ident, input: &InputField| {
                let name = &input.field.name;
                let real = input.field.array.is_none_or(|a| a.real);
                let function = format_ident!("{}", if real { "real" } else { "index" });
                quote!(__bilro::#function(&#from.#name))
            };
            let feeds = self.batch().map(|i| feed(&batch, i));
            batch_feeds = quote!([#(#feeds),*]);
            let feeds = self.inputs().map(|i| feed(&input, i));
            input_feeds = quote!([#(#feeds),*]);
            let chosen = |from: &Ident| {
                let indices = self.checked.choices.iter().map(|choice| {
                    let name = &choice.name;
                    quote!(#from.#name as __bilro::usize)
                });
                // Without choices the argument is unused.
                let unread = (choices == 0).then(|| quote!(let _ = #from;));
                quote!(#unread [#(#indices),*])
            };
            (batch_choices, input_choices) = (chosen(&batch), chosen(&input));
            let next = quote!(__bilro::next_array(&mut #arrays));
            let fields = self.checked.outputs.iter().map(|o| &o.name);
            let fields = fields.map(|name| quote!(#name: #next)).collect();
            output = taken(&arrays, quote!(#module::Output), fields);
            let mut fields = self.group_fields(Ownership::Owned, &next);
            fields.extend(self.differentiated().map(|input| {
                let name = &input.field.name;
                quote!(#name: #next)
            }));
            gradients = taken(&arrays, quote!(#module::Gradients), fields);
            let gradient = quote!(#of);
            let mut leaves: Vec<TokenStream> =
                self.groups.iter().flat_map(|group| group.gradients(&gradient)).collect();
            leaves.extend(self.differentiated().map(|input| {
                let name = &input.field.name;
                quote!(#of.#name)
            }));
            let unread = leaves.is_empty().then(|| quote!(let _ = #of;));
            gradient_views =
                quote!(#unread __bilro::std::vec![#(__bilro::gradient_view(&#leaves)),*]);
            parameters = self.viewed(&views, "Parameters", "next_view");
            parameters_mut = self.viewed(&views, "ParametersMut", "next_view_mut");
        }
        quote! {
            #types

            fn batch_feeds<'a>(#batch: &'a Self::Batch<'_>) -> Self::BatchFeeds<'a> {
                #batch_feeds
            }

            fn input_feeds<'a>(#input: &'a Self::Input<'_>) -> Self::InputFeeds<'a> {
                #input_feeds
            }

            fn batch_choices(#batch: &Self::Batch<'_>) -> Self::Choices {
                #batch_choices
            }

            fn input_choices(#input: &Self::Input<'_>) -> Self::Choices {
                #input_choices
            }

            fn output(
                #arrays: __bilro::std::vec::Vec<__bilro::bilro::ndarray::ArrayD<__bilro::f32>>,
            ) -> Self::Output {
                #output
            }

            fn parameters<'a>(
                #views: __bilro::std::vec::Vec<__bilro::bilro::ndarray::ArrayViewD<'a, __bilro::f32>>,
            ) -> Self::Parameters<'a> {
                #parameters
            }

            fn parameters_mut<'a>(
                #views: __bilro::std::vec::Vec<__bilro::bilro::ndarray::ArrayViewMutD<'a, __bilro::f32>>,
            ) -> Self::ParametersMut<'a> {
                #parameters_mut
            }

            fn gradients(
                #arrays: __bilro::std::vec::Vec<__bilro::bilro::ndarray::ArrayD<__bilro::f32>>,
            ) -> Self::Gradients {
                #gradients
            }

            fn gradient_views(
                #of: &Self::Gradients,
            ) -> __bilro::std::vec::Vec<__bilro::bilro::ndarray::ArrayViewD<'_, __bilro::f32>> {
                #gradient_views
            }
        }
    }

    /// A struct whose fields take the views one by one.
    fn viewed(&self, views: &Ident, name: &str, next: &str) -> TokenStream {
        let (module, name, next) = (self.module, format_ident!("{name}"), format_ident!("{next}"));
        let next = quote!(__bilro::#next(&mut #views));
        let fields = self.group_fields(Ownership::View, &next);
        match fields.is_empty() {
            true => quote! {
                let _ = #views;
                #module::#name { nothing: __bilro::std::marker::PhantomData }
            },
            false => taken(views, quote!(#module::#name), fields),
        }
    }

    fn group_fields(&self, ownership: Ownership, next: &TokenStream) -> Vec<TokenStream> {
        self.groups.iter().map(|group| group.filled(self.module, ownership, next)).collect()
    }

    /// The choices with the names of their types.
    fn choices(&self) -> impl Iterator<Item = (&'a ChoiceField, &Ident)> {
        self.checked.choices.iter().zip(&self.choices)
    }

    /// The inputs with `grad`.
    fn differentiated(&self) -> impl Iterator<Item = &'a InputField> {
        self.inputs().filter(|input| input.grad)
    }

    /// Whether it has a loss; `true` for a network with mistakes, to avoid follow-on errors.
    pub fn is_trainable(&self) -> bool {
        self.checked.declaration.as_ref().is_none_or(|declaration| declaration.has_loss())
    }

    /// Whether it has the metric `accuracy`; `true` for a network with mistakes, to avoid follow-on
    /// errors.
    pub fn is_classifier(&self) -> bool {
        match &self.checked.declaration {
            Some(declaration) => declaration.metrics().any(|name| name == "accuracy"),
            None => true,
        }
    }

    /// `FromExamples` for a network with one input and one target; for a network with mistakes,
    /// from any types.
    pub fn examples(&self) -> Option<TokenStream> {
        let module = self.module;
        if self.is_stub() {
            return Some(quote! {
                impl<X, Y> __bilro::bilro::FromExamples<X, Y> for #module::Batch<'_> {
                    fn from_examples(_: X, _: Y) -> Self {
                        __bilro::std::unreachable!("a network with mistakes does not compile")
                    }
                }
            });
        }
        let fields: Vec<&InputField> = self.batch().collect();
        let [input, target] = fields[..] else { return None };
        if input.is_target || !target.is_target {
            return None;
        }
        let [x, y] = [input, target].map(|i| array_or_unknown(i.field.array, Ownership::View));
        let [input, target] = [input, target].map(|i| &i.field.name);
        let (a, b) = (local("x"), local("y"));
        let chosen = self.checked.choices.iter().map(|choice| {
            let name = &choice.name;
            quote!(, #name: __bilro::std::default::Default::default())
        });
        let body = quote! {
            fn from_examples(#a: #x, #b: #y) -> Self {
                #module::Batch { #input: #a, #target: #b #(#chosen)* }
            }
        };
        let of = quote!(__bilro::bilro::FromExamples<#x, #y>);
        let (generics, ty) = (quote!(<'a>), quote!(#module::Batch<'a>));
        Some(implementation(&self.network.name, &generics, &of, &ty, body))
    }
}

/// A struct whose fields take the arrays one by one.
fn taken(arrays: &Ident, path: TokenStream, fields: Vec<TokenStream>) -> TokenStream {
    match fields.is_empty() {
        true => quote! { let _ = #arrays; #path {} },
        false => quote! {
            let mut #arrays = __bilro::std::iter::IntoIterator::into_iter(#arrays);
            #path { #(#fields),* }
        },
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}
