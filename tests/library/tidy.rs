//! Checks the sources for ARCHITECTURE.md's invariants: the order of modules, where other crates
//! and processors are named, which files have `unsafe`, where operations are listed.
//!
//! The lists are read from the document, so that document and check agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

/// The lines of a block of ARCHITECTURE.md: of ```` ```text order of compiler/src ````, for instance.
fn block(title: &str) -> Vec<&'static str> {
    let mut lines = ARCHITECTURE.lines();
    let heading = format!("```text {title}");
    assert!(lines.any(|line| line == heading), "ARCHITECTURE.md has no block `{title}`");
    lines.take_while(|line| *line != "```").filter(|line| !line.trim().is_empty()).collect()
}

/// A source file without comments and without test items.
struct Source {
    /// Path relative to the folder `src`, with slashes.
    path: String,
    /// The modules of its items: `["fuse", "group"]` for `fuse/group.rs`.
    module: Vec<String>,
    tokens: Vec<TokenTree>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All sources of a crate, by its folder: `compiler/src`.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let src = root().join(folder);
    read(&src, "lib.rs".into(), Vec::new(), &mut found);
    assert!(found.len() > 5, "{folder} has only {} sources", found.len());
    found
}

/// Reads a file, and the files of the modules that it declares.
fn read(src: &Path, path: String, module: Vec<String>, found: &mut Vec<Source>) {
    let text = std::fs::read_to_string(src.join(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let stream: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path}: {e}"));
    let tokens = without_tests(stream);
    let folder = module.join("/");
    let mut declared: Vec<String> = Vec::new();
    for window in tokens.windows(3) {
        if let [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Punct(end)] = window
            && keyword == "mod"
            && end.as_char() == ';'
        {
            declared.push(name.to_string());
        }
    }
    let folder_of = |name: &str| match folder.is_empty() {
        true => name.to_string(),
        false => format!("{folder}/{name}"),
    };
    found.push(Source { path, module: module.clone(), tokens });
    for name in declared {
        let inner: Vec<String> = module.iter().cloned().chain([name.clone()]).collect();
        let file = format!("{}.rs", folder_of(&name));
        let path =
            if src.join(&file).exists() { file } else { format!("{}/mod.rs", folder_of(&name)) };
        read(src, path, inner, found);
    }
    // Registries declare modules by their own macros: all files of their folders.
    let registry = src.join(&folder);
    if !folder.is_empty() && registry.is_dir() {
        for entry in std::fs::read_dir(registry).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = folder_of(&name);
            let is_known = found.iter().any(|source| source.path == path);
            let Some(stem) = name.strip_suffix(".rs") else { continue };
            let is_declared_by_macro = ["ops", "layers"].contains(&module[0].as_str());
            if stem != "mod" && !is_known && is_declared_by_macro {
                let inner = module.iter().cloned().chain([stem.to_string()]).collect();
                read(src, path, inner, found);
            }
        }
    }
}

/// The tokens without items for tests or documents only.
fn without_tests(stream: TokenStream) -> Vec<TokenTree> {
    let mut left = Vec::new();
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let attribute = match (&token, tokens.peek()) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(group))) if hash.as_char() == '#' => {
                Some(group.stream().to_string().replace(' ', ""))
            }
            _ => None,
        };
        match attribute.as_deref() {
            Some(cfg)
                if ["cfg(test)", "test", "cfg(doc)"].contains(&cfg)
                    || cfg.starts_with("cfg(all(test,") =>
            {
                // Its item ends with a semicolon or with braces.
                for token in tokens.by_ref() {
                    match token {
                        TokenTree::Punct(p) if p.as_char() == ';' => break,
                        TokenTree::Group(g) if g.delimiter() == Delimiter::Brace => break,
                        _ => {}
                    }
                }
            }
            Some(_) | None => match token {
                TokenTree::Group(group) => {
                    let mut inner = proc_macro2::Group::new(
                        group.delimiter(),
                        without_tests(group.stream()).into_iter().collect(),
                    );
                    inner.set_span(group.span());
                    left.push(TokenTree::Group(inner));
                }
                token => left.push(token),
            },
        }
    }
    left
}

/// Calls `f` with every identifier and the tokens after it.
fn each_identifier(tokens: &[TokenTree], f: &mut dyn FnMut(&Ident, &[TokenTree])) {
    for (i, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(ident) => f(ident, &tokens[i + 1..]),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                each_identifier(&inner, f);
            }
            _ => {}
        }
    }
}

/// The tokens after `::`.
fn after_colons(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [TokenTree::Punct(a), TokenTree::Punct(b), rest @ ..]
            if a.as_char() == ':' && b.as_char() == ':' =>
        {
            Some(rest)
        }
        _ => None,
    }
}

/// The first names of a path, or of all paths in braces.
fn first_names(tokens: &[TokenTree]) -> Vec<String> {
    match tokens.first() {
        Some(TokenTree::Ident(ident)) => vec![ident.to_string()],
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let paths = inner.split(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ','));
            paths.flat_map(first_names).collect()
        }
        _ => Vec::new(),
    }
}

/// The top modules that each top module of a crate uses, with a file that does.
fn dependencies(folder: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let sources = sources(folder);
    let tops: BTreeSet<String> =
        sources.iter().filter(|s| s.module.len() == 1).map(|s| s.module[0].clone()).collect();
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.module.is_empty()) {
        let local = &source.module[0];
        let uses = all.entry(local.clone()).or_default();
        each_identifier(&source.tokens, &mut |ident, rest| {
            let mut names = Vec::new();
            if ident == "crate" {
                names = after_colons(rest).map(first_names).unwrap_or_default();
            } else if ident == "super" {
                // More `super` than enclosing modules.
                let (mut depth, mut rest) = (1, rest);
                while let Some(next) = after_colons(rest) {
                    match next {
                        [TokenTree::Ident(ident), more @ ..] if ident == "super" => {
                            (depth, rest) = (depth + 1, more);
                        }
                        _ => {
                            if depth == source.module.len() {
                                names = first_names(next);
                            }
                            break;
                        }
                    }
                }
            }
            for name in names {
                if name != *local && tops.contains(&name) {
                    uses.insert(name, source.path.clone());
                }
            }
        });
    }
    all
}

/// Compares a crate with its block: the modules of a line depend on lines above only, and not on
/// each other unless joined by `+`.
fn check_order(folder: &str) {
    let mut rank: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (line, text) in block(&format!("order of {folder}")).into_iter().enumerate() {
        let text = text.split('#').next().unwrap_or_default();
        for (group, joined) in text.replace(" + ", "+").split_whitespace().enumerate() {
            for module in joined.split('+') {
                let module = Box::leak(module.to_string().into_boxed_str());
                assert!(rank.insert(module, (line, group)).is_none(), "{module} is there twice");
            }
        }
    }
    let found = dependencies(folder);
    let known: BTreeSet<&str> = rank.keys().copied().collect();
    let there: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(known, there, "the modules of {folder}, in ARCHITECTURE.md and in the sources");
    let mut wrong = Vec::new();
    for (module, uses) in &found {
        for (used, path) in uses {
            let (local, other) = (rank[module.as_str()], rank[used.as_str()]);
            if other.0 > local.0 || (other.0 == local.0 && other.1 != local.1) {
                wrong.push(format!("{path}: `{module}` uses `{used}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{folder} is out of order:\n{}", wrong.join("\n"));
}

#[test]
fn modules_of_the_compiler_keep_their_order() {
    check_order("compiler/src");
}

#[test]
fn modules_of_the_library_keep_their_order() {
    check_order("runtime/src");
}

/// Requires identifiers to occur only in some folders of the sources.
fn only_in(names: &[&str], folders: &[&str]) {
    let mut wrong = Vec::new();
    for folder in ["compiler/src", "runtime/src", "macros/src"] {
        for source in sources(folder) {
            let path = format!("{folder}/{}", source.path);
            if folders.iter().any(|allowed| path.starts_with(allowed)) {
                continue;
            }
            each_identifier(&source.tokens, &mut |ident, _| {
                let ident = ident.to_string();
                if names.iter().any(|name| ident.starts_with(name)) {
                    wrong.push(format!("{path}: {ident}"));
                }
            });
        }
    }
    assert!(wrong.is_empty(), "only {folders:?} may name these:\n{}", wrong.join("\n"));
}

#[test]
fn assemblers_are_named_only_in_codegen() {
    only_in(&["cranelift", "iced_x86", "wasmtime"], &["compiler/src/codegen/"]);
}

#[test]
fn processors_are_detected_only_in_target_and_codegen() {
    let names = ["is_x86_feature_detected", "is_aarch64_feature_detected", "target_arch"];
    only_in(&names, &["compiler/src/target/", "compiler/src/codegen/"]);
}

#[test]
fn unsafe_is_only_in_the_listed_files() {
    let allowed: BTreeSet<String> =
        block("unsafe").into_iter().map(|line| line.trim().to_string()).collect();
    let mut found = BTreeSet::new();
    for folder in ["compiler/src", "runtime/src", "macros/src"] {
        for source in sources(folder) {
            each_identifier(&source.tokens, &mut |ident, _| {
                // `mod` declarations name the lint, which contains the word.
                if ident == "unsafe" {
                    found.insert(format!("{folder}/{}", source.path));
                }
            });
        }
    }
    assert_eq!(found, allowed, "files with `unsafe`, in the sources and in ARCHITECTURE.md");
}

#[test]
fn operations_are_listed_only_in_their_registry() {
    let allowed: BTreeSet<String> =
        block("names operations").into_iter().map(|line| line.trim().to_string()).collect();
    let mut wrong = Vec::new();
    for source in sources("compiler/src") {
        let path = format!("compiler/src/{}", source.path);
        if path.starts_with("compiler/src/ops/") || allowed.iter().any(|a| path.starts_with(a)) {
            continue;
        }
        each_identifier(&source.tokens, &mut |ident, rest| {
            if ident == "Op"
                && let Some([TokenTree::Ident(variant), ..]) = after_colons(rest)
                && variant.to_string().starts_with(char::is_uppercase)
            {
                wrong.push(format!("{path}: Op::{variant}"));
            }
        });
    }
    assert!(wrong.is_empty(), "operations are named outside `ops`:\n{}", wrong.join("\n"));
}
