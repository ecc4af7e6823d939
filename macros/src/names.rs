//! Tests of names: a name in any position is either refused, or expands to valid Rust without
//! duplicate items.

use std::collections::HashSet;

use quote::{ToTokens, quote};
use syn::Item;

use crate::parse::is_reserved;

/// Networks with `@` for a name, in every position where the language has names.
const TEMPLATES: [&str; 13] = [
    "struct @ { input x: [2]; output y = x -> Linear(2); loss y; }",
    "struct Net<const @: usize> { input x: [@, 2 * @]; output y = x -> Linear(2); loss y; }",
    "struct Net { input @: [2] grad; output y = @ -> Linear(2); loss y; }",
    "struct Net { input x: [2]; target @: [2]; output y = x -> Linear(2); loss y - @; }",
    "struct Net { param @: [2] = ones; output y = @ * 2; loss y; }",
    "struct Net { input x: [2]; layer @ = Linear(2); output y = @(x) -> Linear(2) -> @; loss y; }",
    "struct Net { input x: [2]; choice @ = relu | tanh | Identity; output y = x -> @; loss y; }",
    "struct Net { input x: [2]; choice act = relu | @; block @(x) { x -> Linear(2) } \
     output y = x -> act -> @; loss y; }",
    "struct Net { input x: [2]; block f(@) { let z = @ -> Linear(2); z } layer g = f; \
     output y = x -> f -> g; loss y; }",
    "struct Net { input x: [2]; block f(x) { layer @ = Linear(2); param own: [2] = ones; @(x) + own } \
     output y = f(x) -> f * 2; loss y; }",
    "struct Net { input x: [2]; let @ = x -> Linear(2); output y = @; loss @; }",
    "struct Net { input x: [2]; output @ = x -> Linear(2); metric @ = @; loss @; }",
    "struct Net { input x: [@]; output y = x -> Linear({ @ + 1 }); loss y; }",
];

/// Names that may collide: words of the language, keywords of Rust in all editions, items of the
/// expansion.
const WORDS: &str = "abstract as async await auto become box break const continue crate do dyn else enum \
    extern false final fn for gen if impl in let loop macro macro_rules match mod move mut override \
    priv pub raw ref return safe self Self static struct super trait true try type typeof union unsafe \
    unsized use virtual where while yield default r#gen r#type r#try r#async r#dyn r#match r#macro \
    input target param layer choice block output loss metric sum mean class index grad axis all none \
    zeros normal relu tanh add neg maximum Linear ReLU Embedding linear1 linear2 relu1 f1 weight bias \
    Batch Input Output Parameters ParametersMut Gradients Unknown batch gradients parameters \
    BatchFeeds InputFeeds Choices Feed nothing Network Trainable Classifier FromExamples Declaring \
    from_examples declaration batch_feeds finish real call builder network value0 layer0 choice0 \
    module0 arrays views x X y Y a A __SIZE_0 __BILRO_SIZE_0 __bilro __bilro_misfit __bilro_value0 \
    f32 u32 usize u8 i64 bool char str String Vec Box Option Some None Result Ok Err Clone Copy Debug \
    Default PartialEq Eq Hash Iterator IntoIterator PhantomData std core alloc bilro ndarray private \
    data plot proc_macro test Std Core Bilro F32 Usize Data Test main drop clone copy debug view \
    into_dyn into_iter predict model trainer _a a_ __ ___ _1 a1 a_1 A1 aB a_b AB Ab größe Ünï 输入 \
    ŉ ǰ ß ﬁ İ ı ª _٣ _\u{345} _\u{5b0} é e\u{301} Ω Ω";

fn words() -> Vec<String> {
    let mut words: Vec<String> = WORDS.split_whitespace().map(String::from).collect();
    words.push("long_".repeat(500));
    let mut seen = HashSet::new();
    words.retain(|word| seen.insert(word.clone()));
    words
}

/// Finds duplicate items and names that are keywords of Rust.
#[derive(Default)]
struct Collisions {
    found: Vec<String>,
}

impl Collisions {
    fn check(&mut self, of: String, names: impl Iterator<Item = String>) {
        let mut seen = HashSet::new();
        for name in names {
            if is_reserved(&name) {
                self.found.push(format!("`{name}` of {of}"));
            }
            if !seen.insert(name.trim_start_matches("r#").to_string()) {
                self.found.push(format!("`{name}` of {of} twice"));
            }
        }
    }

    fn items(&mut self, of: String, items: &[Item]) {
        let names = items.iter().filter_map(|item| match item {
            Item::Struct(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Mod(item) => Some(&item.ident),
            _ => None,
        });
        self.check(of, names.map(ToString::to_string));
        for item in items {
            match item {
                Item::Mod(module) => {
                    let inner = module.content.iter().flat_map(|(_, items)| items);
                    let inner: Vec<Item> = inner.cloned().collect();
                    self.items(format!("`mod {}`", module.ident), &inner);
                }
                Item::Struct(item) => {
                    let of = format!("`struct {}`", item.ident);
                    let fields = item.fields.iter().filter_map(|field| field.ident.as_ref());
                    self.check(of.clone(), fields.map(ToString::to_string));
                    let types = item.generics.type_params().map(|ty| ty.ident.to_string());
                    self.check(of.clone(), types.chain([item.ident.to_string()]));
                    let constants = item.generics.const_params().map(|c| c.ident.to_string());
                    self.check(of, constants);
                }
                Item::Enum(item) => {
                    let variants = item.variants.iter().map(|v| v.ident.to_string());
                    self.check(format!("`enum {}`", item.ident), variants);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn names_are_refused_or_made_unique() {
    let (mut right, mut wrong) = (0, 0);
    let sources = words().into_iter().flat_map(|word| {
        // Capitalized, as the name of a network: `Gen` makes the module `gen`.
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        let capital: String = first.chain(letters).collect();
        TEMPLATES
            .map(|template| template.replace('@', &word))
            .into_iter()
            .chain([TEMPLATES[0].replace('@', &capital)])
    });
    for source in sources {
        // Not an identifier.
        let Ok(tokens) = source.parse() else { continue };
        let expansion = crate::expand(&quote!(::bilro), tokens);
        let file = match syn::parse2::<syn::File>(expansion.clone()) {
            Ok(file) => file,
            Err(error) => panic!("{error} in the expansion of\n{source}\n{expansion}"),
        };
        if expansion.to_string().contains("compile_error") {
            wrong += 1;
            continue;
        }
        right += 1;
        let mut collisions = Collisions::default();
        collisions.items("the expansion".into(), &file.items);
        assert!(collisions.found.is_empty(), "{}: {:?}", source, collisions.found);
    }
    assert!(right > 2000 && wrong > 500, "{right} right, {wrong} wrong");
}

/// The messages about some names, in every position.
#[test]
fn messages_about_reserved_names_say_by_which_they_are_reserved() {
    for (word, message) in [
        ("gen", "found `gen`, which is a keyword of Rust: another name is needed, or `r#gen`"),
        ("try", "found `try`, which is a keyword of Rust: another name is needed, or `r#try`"),
        (
            "__bilro_x",
            "`__bilro_x` is reserved for the macro, as all names that start with `__bilro`",
        ),
    ] {
        for template in TEMPLATES {
            let tokens = template.replace('@', word).parse().expect("balanced");
            let expansion = crate::expand(&quote!(::bilro), tokens).to_string();
            assert!(expansion.contains(message), "{template}\n{expansion}");
        }
    }
    let network = crate::expand(&quote!(::bilro), quote!(struct Network { input x: [2]; loss x; }));
    let expansion = network.to_token_stream().to_string();
    assert!(expansion.contains("`Network` is the trait of all networks"), "{expansion}");
}
