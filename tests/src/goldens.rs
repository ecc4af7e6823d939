//! PyTorch's results: from the folder that `BILRO_GOLDENS` names, or from
//! `tests/goldens` for files that it lacks.

use std::path::PathBuf;

use bilro_compiler::error::Mistake;
use bilro_compiler::graph::NodeId;
use bilro_compiler::ops::{AttributeValue, Attributes, Order};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

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

/// What builds calls: a graph, or the builder of a declared network.
pub trait Calls {
    /// All values of a function of the language, or of an operator by its name.
    fn call(
        &mut self,
        function: &str,
        x: &[NodeId],
        a: &Attributes,
    ) -> Result<Vec<NodeId>, Mistake>;

    /// A literal.
    fn number(&mut self, x: f64) -> NodeId;

    /// A call of the goldens on operands: the number of an operand, or `[function, operand, …,
    /// {attribute: value}]`, whose operands are calls, or `["value", number, call]`.
    ///
    /// # Panics
    /// For JSON of another form.
    fn tree(&mut self, tree: &Json, operands: &[NodeId]) -> Result<NodeId, Mistake> {
        let values = self.values(tree, operands)?;
        assert_eq!(values.len(), 1, "one value of {tree}");
        Ok(values[0])
    }

    /// All values of such a call.
    ///
    /// # Panics
    /// For JSON of another form.
    fn values(&mut self, tree: &Json, operands: &[NodeId]) -> Result<Vec<NodeId>, Mistake> {
        let index = |x: &Json| x.as_u64().expect("a number") as usize;
        let list = match tree {
            Json::Array(list) => list,
            operand => return Ok(vec![operands[index(operand)]]),
        };
        let (function, rest) = list.split_first().expect("a call has a function");
        let function = function.as_str().expect("the name of a function");
        if function == "number" {
            return Ok(vec![self.number(rest[0].as_f64().expect("a number"))]);
        }
        if function == "value" {
            return Ok(vec![self.values(&rest[1], operands)?[index(&rest[0])]]);
        }
        let (attributes, x) = match rest.split_last() {
            Some((Json::Object(given), x)) => {
                (given.iter().map(|(name, value)| (name.as_str(), attribute(value))).collect(), x)
            }
            _ => (Attributes::new(), rest),
        };
        let x: Vec<NodeId> =
            x.iter().map(|x| self.tree(x, operands)).collect::<Result<_, Mistake>>()?;
        self.call(function, &x, &attributes)
    }
}

/// An attribute's value as the language writes it.
fn attribute(value: &Json) -> AttributeValue {
    match value {
        Json::Bool(flag) => (*flag).into(),
        Json::String(word) if word == "inf" => Order(f64::INFINITY).into(),
        Json::String(word) if word == "-inf" => Order(f64::NEG_INFINITY).into(),
        Json::String(word) => word.as_str().into(),
        Json::Number(x) => match x.as_i64() {
            Some(n) => n.into(),
            None => x.as_f64().expect("a number").into(),
        },
        Json::Array(list) => match list.iter().map(Json::as_i64).collect::<Option<Vec<i64>>>() {
            Some(axes) => axes.into(),
            None => {
                let numbers = list.iter().map(|x| x.as_f64().expect("a number"));
                numbers.collect::<Vec<f64>>().into()
            }
        },
        other => panic!("{other} is no attribute"),
    }
}
