//! The expansion of `network!`: valid Rust for any tokens, without a panic; nesting and repetition are
//! bounded.
//!
//! Mutates correct networks at random: removes, duplicates and swaps tokens and replaces them by
//! other tokens of the language, at any depth. The fuzz target `declarations` mutates their text.

use bilro_tests::fuzz::declarations::{self, NETWORKS};
use proc_macro2::{Group, TokenStream, TokenTree};

/// Tokens of the language and of Rust, inserted at random.
const WORDS: &str = "input target param layer let block choice output loss metric sum mean struct either twice | pub class index zeros \
    normal image digit fc1 hidden half residual first logits HIDDEN Linear ReLU relu matmul x y 0 1 784 1.5 -1 1e999 \
    99999999999999999999 'a' \"text\" true axis = : ; , . -> - + * / :: .. # ! [] () {} [784] \
    (image) (10) { N } _ self match r#type < > 'a where impl const usize";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

fn tokens(source: &str) -> Vec<TokenTree> {
    declarations::tokens(source).expect("balanced").into_iter().collect()
}

/// Mutates one token, in a random group.
fn mutate(tokens: &mut Vec<TokenTree>, words: &[TokenTree], random: &mut Random) {
    let at = random.below(tokens.len());
    if let Some(TokenTree::Group(group)) = tokens.get(at)
        && random.below(8) > 0
    {
        let mut inner: Vec<TokenTree> = group.stream().into_iter().collect();
        mutate(&mut inner, words, random);
        let mut delimiter = group.delimiter();
        if random.below(20) == 0 {
            delimiter = proc_macro2::Delimiter::None;
        }
        tokens[at] = Group::new(delimiter, inner.into_iter().collect()).into();
        return;
    }
    let word = words[random.below(words.len())].clone();
    match random.below(5) {
        0 if at < tokens.len() => {
            tokens.remove(at);
        }
        1 if at < tokens.len() => tokens.insert(at, tokens[at].clone()),
        2 if at < tokens.len() => {
            let other = random.below(tokens.len());
            tokens.swap(at, other);
        }
        3 if at < tokens.len() => tokens[at] = word,
        _ => tokens.insert(at, word),
    }
}

/// The expansion, which must be Rust.
fn expansion(tokens: TokenStream) -> String {
    let shown = tokens.to_string();
    let expansion = bilro_macros_library::expand(&quote::quote!(::bilro), tokens);
    let file = syn::parse2::<syn::File>(expansion.clone());
    if let Err(error) = file {
        panic!("{error} in the expansion\n{expansion}\nof\n{shown}");
    }
    expansion.to_string()
}

#[test]
fn right_networks_have_no_mistakes() {
    for network in NETWORKS {
        let expansion = expansion(tokens(network).into_iter().collect());
        assert!(!expansion.contains("compile_error"), "{expansion}");
    }
}

#[test]
fn mutated_networks_expand_to_rust() {
    let words = tokens(WORDS);
    let mut wrong = 0;
    for seed in 0..6000 {
        let mut random = Random(seed);
        let mut network = tokens(NETWORKS[seed as usize % NETWORKS.len()]);
        for _ in 0..1 + random.below(6) {
            mutate(&mut network, &words, &mut random);
        }
        wrong += usize::from(expansion(network.into_iter().collect()).contains("compile_error"));
    }
    assert!(wrong > 3000, "most changes are mistakes, but only {wrong} were found");
}

#[test]
fn random_tokens_expand_to_rust() {
    let words = tokens(WORDS);
    for seed in 0..2000 {
        let mut random = Random(seed);
        let body: TokenStream =
            (0..random.below(40)).map(|_| words[random.below(words.len())].clone()).collect();
        let soup = match random.below(4) {
            0 => body,
            _ => quote::quote!(struct Soup { #body }),
        };
        expansion(soup);
    }
}

#[test]
fn depth_is_a_mistake_not_a_crash() {
    let nested = |open: &str, close: &str| {
        let (open, close) = (open.repeat(1000), close.repeat(1000));
        format!("struct Deep {{ input x: [2]; loss {open} x {close}; }}")
    };
    for source in [
        nested("(", ")"),
        nested("relu(", ")"),
        nested("-", ""),
        nested("x + ", ""),
        nested("x.add(", ")"),
        nested("", ".relu()"),
        nested("[", "]"),
        nested("x -> add(", ")"),
        nested("x -> (", ") * 2"),
        nested("x -> f -> (f -> ", ")"),
    ] {
        let expansion = expansion(source.parse().expect("balanced"));
        assert!(expansion.contains("nested too deeply"), "{expansion}");
    }
}

/// Blocks, each of which uses the one before it.
fn blocks(count: usize, body: impl Fn(&str) -> String) -> String {
    let mut source = "block f0(x) { relu(x) }".to_string();
    for i in 1..count {
        source += &format!("block f{i}(x) {{ {} }}", body(&format!("f{}", i - 1)));
    }
    format!("struct Blocks {{ input x: [2]; {source} loss f{}(x); }}", count - 1)
}

#[test]
fn blocks_in_blocks_are_bounded() {
    let deep = expansion(blocks(1000, |f| format!("{f}(x)")).parse().expect("balanced"));
    assert!(deep.contains("nested too deeply"), "{deep}");
    let wide = expansion(blocks(40, |f| format!("x -> {f} -> {f}")).parse().expect("balanced"));
    assert!(wide.contains("more than 4096 uses"), "{wide}");
    let body = "x -> (((relu * 1000) * 1000) * 1000) * 1000";
    let often = format!("struct Often {{ input x: [2]; loss {body}; }}");
    let often = expansion(often.parse().expect("balanced"));
    assert_eq!(often.matches("compile_error").count(), 1, "{often}");
    assert!(often.contains("more than 4096 uses"), "{often}");
}

#[test]
fn recursive_names_expand_to_rust() {
    // With or without mistakes.
    for body in [
        "choice tanh = tanh | relu; loss x -> tanh;",
        "choice gelu = gelu | silu; choice silu = gelu | silu; loss x -> silu;",
        "choice a = a | relu; loss x -> a;",
        "choice a = b | relu; choice b = a | relu; loss x -> b;",
        "choice Tanh = Tanh | ReLU; loss x -> Tanh;",
        "block relu(x) { relu(x) } loss x -> relu;",
        "block f(x) { f(x) } loss f(x);",
        "block f(x) { g(x) } block g(x) { f(x) } loss g(x);",
        "block f(x) { x -> (f -> relu) * 3 } loss f(x);",
        "block f(x) { layer g = f; g(x) } loss f(x);",
        "block f(x) { c(x) } choice c = f | relu; loss c(x);",
        "choice c = f | relu; block f(x) { c(x) } loss c(x);",
        "layer f = f; loss f(x);",
        "layer f = g; layer g = f; loss f(x);",
        "layer Linear = Linear(2); loss Linear(x);",
        "let relu = relu(x); loss relu(relu);",
        "let y = y; loss y;",
        "let y = z; let z = y; loss z;",
        "param w: [w] = w; loss w;",
        "output y = y(y); loss y;",
        "metric relu = relu(x); loss x;",
    ] {
        expansion(format!("struct Own {{ input x: [2]; {body} }}").parse().expect("balanced"));
    }
}

#[test]
fn choices_between_choices_are_bounded() {
    let mut deep = "choice c0 = relu | tanh;".to_string();
    for i in 1..1000 {
        deep += &format!("choice c{i} = c{} | relu;", i - 1);
    }
    let deep = format!("struct Deep {{ input x: [2]; {deep} loss x -> c999; }}");
    let deep = expansion(deep.parse().expect("balanced"));
    assert!(deep.contains("nested too deeply here: choices are between choices"), "{deep}");

    let mut wide = "choice a0 = relu | tanh; choice b0 = relu | tanh;".to_string();
    for i in 1..60 {
        let before = i - 1;
        wide +=
            &format!("choice a{i} = a{before} | b{before}; choice b{i} = a{before} | b{before};");
    }
    let wide = format!("struct Wide {{ input x: [2]; {wide} loss x -> a59 -> b59; }}");
    let wide = expansion(wide.parse().expect("balanced"));
    assert_eq!(wide.matches("compile_error").count(), 1, "{wide}");
    assert!(wide.contains("more than 4096 uses"), "{wide}");
}
