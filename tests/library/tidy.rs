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
    /// The modules that it declares for tests, in files of their own.
    for_tests: Vec<String>,
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
    // Registries declare modules by macros of their own, and in braces: all files that are left.
    let mut files = BTreeSet::new();
    list(&src, "", &mut files);
    for path in files {
        if !found.iter().any(|source| source.path == path) && !is_for_tests(&path, &found) {
            let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
            let module = module.split('/').map(String::from).collect();
            read(&src, path, module, &mut found);
        }
    }
    for source in &found {
        each_identifier(&source.tokens, &mut |ident, rest| {
            let is_elsewhere = match rest {
                // All of an attribute.
                [TokenTree::Punct(equals), TokenTree::Literal(_)] => {
                    ident == "path" && equals.as_char() == '='
                }
                [TokenTree::Punct(bang), ..] => ident == "include" && bang.as_char() == '!',
                _ => false,
            };
            assert!(!is_elsewhere, "{folder}/{}: a source in another folder", source.path);
        });
    }
    found
}

/// All files of Rust in a folder and those in it.
fn list(src: &Path, folder: &str, files: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(src.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if entry.file_type().unwrap().is_dir() {
            list(src, &path, files);
        } else if path.ends_with(".rs") {
            files.insert(path);
        }
    }
}

/// Whether a file is of a module that is declared for tests only.
fn is_for_tests(path: &str, found: &[Source]) -> bool {
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    found.iter().any(|source| {
        source.for_tests.iter().any(|name| {
            let inner: Vec<&str> = source.module.iter().chain([name]).map(String::as_str).collect();
            let inner = inner.join("/");
            module.strip_prefix(&inner).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    })
}

/// Reads a file, and the files of the modules that it declares.
fn read(src: &Path, path: String, module: Vec<String>, found: &mut Vec<Source>) {
    let text = std::fs::read_to_string(src.join(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let stream: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path}: {e}"));
    let tokens = without_tests(stream.clone());
    let folder = module.join("/");
    let declared = declared_modules(&tokens);
    let mut for_tests = declared_modules(&stream.into_iter().collect::<Vec<_>>());
    for_tests.retain(|name| !declared.contains(name));
    let folder_of = |name: &str| match folder.is_empty() {
        true => name.to_string(),
        false => format!("{folder}/{name}"),
    };
    found.push(Source { path, module: module.clone(), tokens, for_tests });
    for name in declared {
        let inner: Vec<String> = module.iter().cloned().chain([name.clone()]).collect();
        let file = format!("{}.rs", folder_of(&name));
        let path =
            if src.join(&file).exists() { file } else { format!("{}/mod.rs", folder_of(&name)) };
        read(src, path, inner, found);
    }
}

/// The modules that are declared in files of their own.
fn declared_modules(tokens: &[TokenTree]) -> Vec<String> {
    let declared = tokens.windows(3).filter_map(|window| match window {
        [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Punct(end)]
            if keyword == "mod" && end.as_char() == ';' =>
        {
            Some(name.to_string())
        }
        _ => None,
    });
    declared.collect()
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
    each_identifier_in(tokens, 0, &mut |ident, rest, _| f(ident, rest));
}

/// The same with the number of modules in braces around it.
fn each_identifier_in(
    tokens: &[TokenTree],
    depth: usize,
    f: &mut dyn FnMut(&Ident, &[TokenTree], usize),
) {
    for (i, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(ident) => f(ident, &tokens[i + 1..], depth),
            TokenTree::Group(group) => {
                // With a name, or a macro's `$name`.
                let is_module = match &tokens[..i] {
                    [.., TokenTree::Ident(keyword), TokenTree::Ident(_)] => keyword == "mod",
                    [.., TokenTree::Ident(keyword), TokenTree::Punct(_), TokenTree::Ident(_)] => {
                        keyword == "mod"
                    }
                    _ => false,
                };
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                each_identifier_in(&inner, depth + usize::from(is_module), f);
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

/// All of a crate: what brings the names of its root into a module hides what that uses.
const ALL: &str = "*";

/// The names in the root of the crate with which a path goes on, or all paths in braces, where the
/// root is this number of modules up.
fn root_names(tokens: &[TokenTree], up: usize) -> Vec<String> {
    match tokens {
        [TokenTree::Ident(ident), rest @ ..] if ident == "super" || ident == "self" => {
            let up = if ident == "super" { up.checked_sub(1) } else { Some(up) };
            match (up, after_colons(rest)) {
                (Some(up), Some(rest)) => root_names(rest, up),
                (Some(0), None) => vec![ALL.into()],
                _ => Vec::new(),
            }
        }
        [TokenTree::Ident(ident), ..] if up == 0 => vec![ident.to_string()],
        [TokenTree::Punct(star), ..] if up == 0 && star.as_char() == '*' => vec![ALL.into()],
        [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let paths = inner.split(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ','));
            paths.flat_map(|path| root_names(path, up)).collect()
        }
        _ => Vec::new(),
    }
}

/// The names that a path, or all paths in braces, bring in.
fn imported_names(tokens: &[TokenTree]) -> Vec<String> {
    let paths = tokens.split(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ','));
    let names = paths.flat_map(|path| match path.last() {
        Some(TokenTree::Ident(name)) => vec![name.to_string()],
        Some(TokenTree::Group(group)) => {
            imported_names(&group.stream().into_iter().collect::<Vec<_>>())
        }
        _ => Vec::new(),
    });
    names.collect()
}

/// The names that the root of a crate has from its modules, with the module of each, and those by
/// which the crate calls itself.
fn root_of(lib: &Source) -> (BTreeMap<String, String>, Vec<String>) {
    let mut exported = BTreeMap::new();
    let mut own = vec!["crate".to_string()];
    for (i, token) in lib.tokens.iter().enumerate() {
        let rest = &lib.tokens[i + 1..];
        let end = |t: &TokenTree| matches!(t, TokenTree::Punct(p) if p.as_char() == ';');
        let rest = &rest[..rest.iter().position(end).unwrap_or(rest.len())];
        match token {
            TokenTree::Ident(keyword) if keyword == "use" => {
                if let Some(TokenTree::Ident(module)) = rest.first() {
                    for name in imported_names(rest) {
                        exported.insert(name, module.to_string());
                    }
                }
            }
            TokenTree::Ident(keyword) if keyword == "extern" => {
                if let [TokenTree::Ident(_), TokenTree::Ident(of), .., TokenTree::Ident(name)] =
                    rest
                    && of == "self"
                {
                    own.push(name.to_string());
                }
            }
            _ => {}
        }
    }
    (exported, own)
}

/// The top modules that each top module of a crate uses, with a file that does.
fn dependencies(folder: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let sources = sources(folder);
    let tops: BTreeSet<String> =
        sources.iter().filter(|s| s.module.len() == 1).map(|s| s.module[0].clone()).collect();
    let (exported, own_names) = root_of(&sources[0]);
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.module.is_empty()) {
        let own = &source.module[0];
        let uses = all.entry(own.clone()).or_default();
        each_identifier_in(&source.tokens, 0, &mut |ident, rest, depth| {
            let up = match ident {
                ident if own_names.iter().any(|name| ident == name) => 0,
                ident if ident == "super" => source.module.len() + depth - 1,
                _ => return,
            };
            let names = match (after_colons(rest), rest.first()) {
                (Some(rest), _) => root_names(rest, up),
                (None, Some(TokenTree::Ident(next))) if next == "as" && up == 0 => vec![ALL.into()],
                _ => Vec::new(),
            };
            for name in names {
                let name = exported.get(&name).cloned().unwrap_or(name);
                if name != *own && (tops.contains(&name) || name == ALL) {
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
                assert!(rank.insert(module, (line, group)).is_none(), "{module} appears twice");
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
            if used == ALL {
                // `private` hands the crate on to code that the macro writes.
                if module != "private" {
                    wrong.push(format!("{path}: `{module}` uses the root of the crate as a whole"));
                }
                continue;
            }
            let (own, other) = (rank[module.as_str()], rank[used.as_str()]);
            if other.0 > own.0 || (other.0 == own.0 && other.1 != own.1) {
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
    let names = [
        "is_x86_feature_detected",
        "is_aarch64_feature_detected",
        "target_arch",
        "target_feature",
        "global_asm",
        "naked",
    ];
    only_in(&names, &["compiler/src/target/", "compiler/src/codegen/"]);
}

/// Requires paths of one of these beginnings to be in some folders of a crate only.
fn paths_only_in(folder: &str, paths: &[&[&str]], folders: &[&str]) {
    let mut wrong = Vec::new();
    for source in sources(folder) {
        let path = format!("{folder}/{}", source.path);
        if folders.iter().any(|allowed| path.starts_with(allowed)) {
            continue;
        }
        each_identifier(&source.tokens, &mut |ident, rest| {
            for [first, second] in paths.iter().filter_map(|path| path.first_chunk()) {
                let names = after_colons(rest).map(|rest| root_names(rest, 0)).unwrap_or_default();
                if ident == first && names.iter().any(|name| name == second || name == ALL) {
                    wrong.push(format!("{path}: {first}::{second}"));
                }
            }
        });
    }
    assert!(wrong.is_empty(), "only {folders:?} may name these:\n{}", wrong.join("\n"));
}

#[test]
fn intrinsics_are_in_target_and_codegen_only() {
    let folders = ["compiler/src/target/", "compiler/src/codegen/"];
    for folder in ["compiler/src", "runtime/src", "macros/src"] {
        paths_only_in(folder, &[&["std", "arch"], &["core", "arch"]], &folders);
    }
}

#[test]
fn the_compiler_knows_no_file_and_no_environment() {
    // Faults are injected by an environment variable, with a feature that only tests enable.
    let paths: &[&[&str]] = &[&["std", "fs"], &["std", "env"], &["std", "net"]];
    paths_only_in("compiler/src", paths, &["compiler/src/faults.rs"]);
}

#[test]
fn the_interpreter_shares_nothing_with_the_compiler() {
    let passes = ["simplify", "fuse", "kernel", "plan", "lower", "phases", "artifact", "codegen"];
    for (folder, file) in [("runtime/src", "run/interpreter.rs"), ("compiler/src", "eval.rs")] {
        let sources = sources(folder);
        let source = sources.iter().find(|source| source.path == file).expect("it is a source");
        each_identifier(&source.tokens, &mut |ident, rest| {
            let names = match ident {
                ident if ident == "bilro_compiler" || ident == "crate" => after_colons(rest),
                _ => None,
            };
            for name in names.map(|names| root_names(names, 0)).unwrap_or_default() {
                assert!(!passes.contains(&name.as_str()), "{file} uses `{name}`");
            }
        });
    }
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
            let named = match (after_colons(rest), rest) {
                _ if ident != "Op" => None,
                (Some([TokenTree::Ident(variant), ..]), _) => Some(variant.to_string())
                    .filter(|variant| variant.starts_with(char::is_uppercase)),
                // Several, or all; or by another name, of which nothing is seen.
                (Some([other, ..]), _) => Some(other.to_string()),
                (None, [TokenTree::Ident(renamed), TokenTree::Ident(_), end @ ..])
                    if renamed == "as"
                        && !matches!(end, [TokenTree::Punct(p), ..] if p.as_char() == '>') =>
                {
                    Some("as".into())
                }
                _ => None,
            };
            wrong.extend(named.map(|variant| format!("{path}: Op::{variant}")));
        });
    }
    assert!(wrong.is_empty(), "operations are named outside `ops`:\n{}", wrong.join("\n"));
}

/// The tokens of a text.
fn tokens(text: &str) -> Vec<TokenTree> {
    text.parse::<TokenStream>().unwrap().into_iter().collect()
}

#[test]
fn the_root_is_found_however_a_path_leads_to_it() {
    for (path, up, expected) in [
        ("plan::Plan", 0, &["plan"][..]),
        ("{plan::Plan, fuse::{Fused, build}, graph}", 0, &["plan", "fuse", "graph"]),
        ("super::plan", 1, &["plan"]),
        ("super::{self, super::{plan, fuse::Fused}}", 2, &["plan", "fuse"]),
        ("self::super::plan", 1, &["plan"]),
        ("group::Group", 1, &[]),
        ("super::group", 2, &[]),
        ("*", 0, &[ALL]),
        ("{self as root, plan}", 0, &[ALL, "plan"]),
        ("super::*", 1, &[ALL]),
        ("super", 1, &[ALL]),
    ] {
        assert_eq!(root_names(&tokens(path), up), expected, "{path}");
    }
}

#[test]
fn names_of_the_root_are_those_of_their_modules() {
    let text = "extern crate self as own;\npub use model::{Model, typed::Gradients as Slopes};\n\
                pub use run::Backend;";
    let lib = Source {
        path: "lib.rs".into(),
        module: Vec::new(),
        tokens: tokens(text),
        for_tests: Vec::new(),
    };
    let (exported, own) = root_of(&lib);
    let exported: Vec<_> = exported.iter().map(|(name, module)| (&**name, &**module)).collect();
    assert_eq!(exported, [("Backend", "run"), ("Model", "model"), ("Slopes", "model")]);
    assert_eq!(own, ["crate", "own"]);
}

#[test]
fn modules_in_braces_are_modules() {
    let mut found = Vec::new();
    let text = "mod a { mod b { use super::super::x; } } fn f() { super::y() }";
    each_identifier_in(&tokens(text), 0, &mut |ident, _, depth| {
        if ident == "super" {
            found.push(depth);
        }
    });
    assert_eq!(found, [2, 2, 0]);
}
