//! The modules of `bilro-macros` as an ordinary library: a crate of macros exports nothing else, and
//! its tests are built without coverage by cargo-fuzz.

extern crate proc_macro;

#[path = "../../macros/src/ast.rs"]
mod ast;
#[path = "../../macros/src/check/mod.rs"]
mod check;
#[path = "../../macros/src/driver.rs"]
mod driver;
#[path = "../../macros/src/error.rs"]
mod error;
#[path = "../../macros/src/expand/mod.rs"]
mod expand;
#[path = "../../macros/src/parse/mod.rs"]
mod parse;

pub use driver::expand;
