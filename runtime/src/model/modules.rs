//! `Display` of models: the layers as PyTorch prints a module.

use std::fmt;

use bilro_compiler::declaration::Declaration;

use super::Model;

/// The layers in declared order, in the form in which PyTorch prints a module:
///
/// ```
/// use bilro::prelude::*;
///
/// network! {
///     /// Handwritten digits.
///     struct Net {
///         input image: [4096];
///         target digit: class(10);
///         layer fc1 = Linear(120);
///         layer fc2 = Linear(10);
///         output logits = fc2(relu(fc1(image)));
///         loss cross_entropy(logits, digit);
///     }
/// }
///
/// # fn main() -> bilro::Result<()> {
/// assert_eq!(
///     Net::model().build()?.to_string(),
///     "\
/// Net(
///   (fc1): Linear(in_features=4096, out_features=120, bias=True)
///   (fc2): Linear(in_features=120, out_features=10, bias=True)
/// )"
/// );
/// # Ok(())
/// # }
/// ```
///
/// As there, functions and parameters outside of layers are not shown.
/// [`Model::summary`] has shapes and numbers.
impl<N> fmt::Display for Model<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&modules(&self.engine.declaration))
    }
}

/// See [`Model`]'s `Display`.
fn modules(network: &Declaration) -> String {
    let mut top = Vec::new();
    for layer in &network.layers {
        insert(&mut top, &layer.name, &layer.module);
    }
    group(&network.name, &top, 0)
}

/// A layer, or layers that share the first component of their names.
enum Module<'a> {
    Layer { name: &'a str, module: &'a str },
    Group { name: &'a str, members: Vec<Module<'a>> },
}

fn insert<'a>(members: &mut Vec<Module<'a>>, name: &'a str, module: &'a str) {
    let Some((first, suffix)) = name.split_once('.') else {
        return members.push(Module::Layer { name, module });
    };
    for member in members.iter_mut() {
        match member {
            Module::Group { name, members } if *name == first => {
                return insert(members, suffix, module);
            }
            _ => {}
        }
    }
    let mut inner = Vec::new();
    insert(&mut inner, suffix, module);
    members.push(Module::Group { name: first, members: inner });
}

/// A module with members, as `torch.nn.Module.__repr__` prints it.
fn group(kind: &str, members: &[Module<'_>], depth: usize) -> String {
    if members.is_empty() {
        return format!("{kind}()");
    }
    let margin = "  ".repeat(depth);
    let mut text = format!("{kind}(\n");
    for member in members {
        let (name, shown) = match member {
            Module::Layer { name, module } => (name, module.to_string()),
            Module::Group { name, members } => (name, group("Block", members, depth + 1)),
        };
        text += &format!("{margin}  ({name}): {shown}\n");
    }
    text + &margin + ")"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_are_nested_modules() {
        let mut top = Vec::new();
        for name in ["first", "residual1.fc1", "residual1.inner.fc", "residual1.fc2", "last"] {
            insert(&mut top, name, "ReLU()");
        }
        let expected = "\
Net(
  (first): ReLU()
  (residual1): Block(
    (fc1): ReLU()
    (inner): Block(
      (fc): ReLU()
    )
    (fc2): ReLU()
  )
  (last): ReLU()
)";
        assert_eq!(group("Net", &top, 0), expected);
        assert_eq!(group("Empty", &[], 0), "Empty()");
    }
}
