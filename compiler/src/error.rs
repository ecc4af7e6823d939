//! Errors: mistakes in a declaration with their site, violations that verifiers find.

use std::fmt;

use petgraph::graph::NodeIndex;

/// The part of a call that a mistake is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Site {
    /// The call itself: the function's or layer's name, the operator.
    Call,
    /// An operand, counted from 0.
    Operand(usize),
    /// An attribute, by name.
    Attribute(String),
    /// The call that made a value from which an operand is computed, by its index in the
    /// graph.
    Value(NodeIndex<u32>),
}

/// A mistake in a network: `network!` shows it on the token at `site`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Mistake {
    /// The part of the call.
    pub site: Site,
    /// What was expected and what was found.
    pub message: String,
}

impl Mistake {
    /// On the call itself.
    pub fn call(message: impl Into<String>) -> Mistake {
        Mistake { site: Site::Call, message: message.into() }
    }

    /// On one operand.
    pub fn operand(index: usize, message: impl Into<String>) -> Mistake {
        Mistake { site: Site::Operand(index), message: message.into() }
    }

    /// On the call that made a value.
    pub fn value(id: NodeIndex<u32>, message: impl Into<String>) -> Mistake {
        Mistake { site: Site::Value(id), message: message.into() }
    }

    /// On one attribute.
    pub fn attribute(name: &str, message: impl Into<String>) -> Mistake {
        Mistake { site: Site::Attribute(name.into()), message: message.into() }
    }
}

/// One broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The node, kernel, buffer or instruction that breaks it.
    pub at: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

/// The violations that a verifier has found, each with its location. As an
/// error, at least one.
#[derive(Clone, PartialEq, Eq, Default, Debug, thiserror::Error)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Adds a violation.
    pub fn push(&mut self, at: impl fmt::Display, message: impl Into<String>) {
        self.0.push(Violation { at: at.to_string(), message: message.into() });
    }

    /// Adds the violations of another verifier.
    pub fn append(&mut self, found: Result<(), Violations>) {
        if let Err(Violations(found)) = found {
            self.0.extend(found);
        }
    }

    /// An error if there are any.
    pub fn into_result(self) -> Result<(), Violations> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl std::ops::Deref for Violations {
    type Target = [Violation];

    fn deref(&self) -> &[Violation] {
        &self.0
    }
}

/// A line for each violation.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

/// An error of compiling a network.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network is declared wrongly.
    #[error("network `{network}`: {mistake}")]
    Declaration {
        /// The network's name.
        network: String,
        /// What is wrong with it.
        mistake: Mistake,
    },
    /// A pass of the compiler violated a rule of its verifier: a bug of bilro.
    #[error("internal error of the compiler after {after}; please report it\n{violations}")]
    Internal {
        /// The pass.
        after: &'static str,
        /// The violations, each with its location.
        violations: Violations,
    },
    /// The graph of an update does not fit the network's parameters and optimizer state: an
    /// optimizer's `update` must create the same state for a parameter in every call,
    /// and use nothing else.
    #[error(
        "the update of `{optimizer}` does not fit the network's memory: {message}; \
             `Optimizer::update` must create the same state in every call"
    )]
    Misfit {
        /// The optimizer's name.
        optimizer: String,
        /// What does not fit.
        message: String,
    },
    /// An allocation failed.
    #[error("{what} needs {bytes} bytes, and the system has not enough memory")]
    Memory {
        /// What the memory is for.
        what: String,
        /// The size of the allocation.
        bytes: u64,
    },
    /// The code generator does not support this machine or refused the program.
    #[error("code generation: {0}")]
    Codegen(String),
}

/// The same as `Display`, since `main`, `unwrap` and `expect` print errors by `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The nearest of some names by edit distance, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What is much longer than another name is not meant, and takes long to be compared.
    const LONGEST: usize = 1000;
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase();
    among
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()).div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// The message for an unknown name of this `kind`: suggests the nearest of `all` names if one may
/// be meant, otherwise lists all.
pub fn unknown<'a>(kind: &str, name: &str, all: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, all.clone()) {
        Some(near) => format!("there is no {kind} `{name}`; did you mean `{near}`?"),
        None => {
            let all: Vec<_> = all.map(|name| format!("`{name}`")).collect();
            format!("there is no {kind} `{name}` (the {kind}s are {})", all.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near_enough() {
        let names = ["relu", "sigmoid", "softmax", "log_softmax"];
        assert_eq!(nearest("rleu", names), Some("relu"));
        assert_eq!(nearest("Softmx", names), Some("softmax"));
        assert_eq!(nearest("convolution", names), None);
    }

    #[test]
    fn long_names_have_no_near_name() {
        let long = "relu".repeat(1 << 20);
        assert_eq!(nearest(&long, ["relu", &long]), None);
        assert_eq!(nearest("rleu", ["relu", &long]), Some("relu"));
    }

    #[test]
    fn all_names_are_listed_if_none_is_near() {
        let names = ["relu", "tanh"].into_iter();
        let near = unknown("function", "rleu", names.clone());
        assert_eq!(near, "there is no function `rleu`; did you mean `relu`?");
        let far = unknown("function", "convolution", names);
        assert_eq!(far, "there is no function `convolution` (the functions are `relu`, `tanh`)");
    }
}
