//! PyTorch's results: from the folder that `BILRO_GOLDENS` names, or from
//! `tests/goldens` for files that it lacks.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

/// The folder.
pub fn folder() -> PathBuf {
    match std::env::var_os("BILRO_GOLDENS") {
        Some(folder) => folder.into(),
        None => default_folder(),
    }
}

fn default_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// The path of a file: the repository's own if the folder lacks it.
pub fn file(name: &str) -> PathBuf {
    let folder = folder();
    let path = folder.join(name);
    match folder.is_dir() && !path.exists() {
        true => default_folder().join(name),
        false => path,
    }
}

/// A file of cases.
pub fn read<T: DeserializeOwned>(name: &str) -> Vec<T> {
    #[derive(serde::Deserialize)]
    struct File<T> {
        cases: Vec<T>,
    }
    let path = file(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: File<T> =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    file.cases
}

/// A tensor of the goldens, with non-finite numbers as words.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Tensor {
    /// Sizes.
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<Number>,
}

/// A number, or `nan`, `inf`, `-inf`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// A number.
    Finite(f64),
    /// A non-finite number, which JSON lacks.
    Named(String),
}

impl Number {
    /// The number.
    pub fn value(&self) -> f64 {
        match self {
            Number::Finite(x) => *x,
            Number::Named(name) => match name.as_str() {
                "inf" => f64::INFINITY,
                "-inf" => f64::NEG_INFINITY,
                _ => f64::NAN,
            },
        }
    }
}

impl Tensor {
    /// Its numbers.
    pub fn values(&self) -> Vec<f64> {
        self.data.iter().map(Number::value).collect()
    }
}
