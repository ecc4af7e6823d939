//! Mismatches between a file of weights and a network, with advice.

use std::collections::BTreeSet;
use std::fmt;

use super::nearest;

/// The types of floating point numbers that files hold.
pub(crate) const FLOATS: &str = "F32, F64, F16 or BF16";

/// Mismatches between a file of weights and a network. Shapes are those of the
/// file, in which weights of linear layers are `[out, in]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct WeightsMismatch {
    /// The network.
    pub network: String,
    /// Parameters that are not in the file: name and shape.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Tensors of the file that are not parameters: name and shape.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Tensors of another shape: name, the parameter's shape, the file's.
    pub shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Tensors that do not hold floating point numbers: name, and type, as
    /// `I64`.
    pub types: Vec<(String, String)>,
    /// Names that `rename` returned for several tensors.
    pub repeated: Vec<String>,
}

impl WeightsMismatch {
    pub(crate) fn is_empty(&self) -> bool {
        let WeightsMismatch { network: _, missing, unexpected, shapes, types, repeated } = self;
        missing.is_empty()
            && unexpected.is_empty()
            && shapes.is_empty()
            && types.is_empty()
            && repeated.is_empty()
    }
}

/// The maximum number of lines of one kind in a message; the fields have all.
const MAX_LINES: usize = 20;

impl fmt::Display for WeightsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "does not fit `{}`, so nothing was loaded", self.network)?;
        let mut lines = |count: usize, line: &dyn Fn(usize) -> String| {
            for i in 0..count.min(MAX_LINES) {
                write!(f, "\n  {}", line(i))?;
            }
            match count.checked_sub(MAX_LINES) {
                None | Some(0) => Ok(()),
                Some(more) => write!(f, "\n  and {more} more of this kind"),
            }
        };
        lines(self.missing.len(), &|i| {
            let (name, shape) = &self.missing[i];
            let of_this_shape = self.unexpected.iter().filter(|(_, found)| found == shape);
            let near = nearest(name, of_this_shape.map(|(found, _)| found.as_str()));
            let near = near.map_or(String::new(), |near| format!("; is it the file's `{near}`?"));
            format!("missing: `{name}` {shape:?}{near}")
        })?;
        lines(self.unexpected.len(), &|i| {
            let (name, shape) = &self.unexpected[i];
            format!("not in the network: `{name}` {shape:?}")
        })?;
        lines(self.shapes.len(), &|i| {
            let (name, expected, found) = &self.shapes[i];
            let transposed = match found.len() == 2 && found.iter().rev().eq(expected) {
                true => " (files have weights of linear layers as [out, in])",
                false => "",
            };
            format!("of another shape: `{name}` must be {expected:?}, but is {found:?}{transposed}")
        })?;
        lines(self.types.len(), &|i| {
            let ((name, found), floats) = (&self.types[i], FLOATS);
            format!("of another type: `{name}` must hold {floats}, but holds {found}")
        })?;
        lines(self.repeated.len(), &|i| {
            format!("several tensors were renamed to `{}`", self.repeated[i])
        })?;
        self.advice(f)
    }
}

impl WeightsMismatch {
    /// The advice: rename unexpected tensors that have the shape of a missing parameter,
    /// and exclude all other mismatches.
    fn advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut extra: Vec<_> = self.unexpected.iter().collect();
        let mut renamed = false;
        let mut excluded = BTreeSet::new();
        for (name, shape) in &self.missing {
            match extra.iter().position(|(_, found)| found == shape) {
                Some(index) => {
                    extra.swap_remove(index);
                    renamed = true;
                }
                None => drop(excluded.insert(layer(name))),
            }
        }
        if renamed {
            write!(f, "\n`load_renamed` loads a file in which parameters have other names")?;
        }
        excluded.extend(extra.into_iter().map(|(name, _)| layer(name)));
        excluded.extend(self.shapes.iter().map(|(name, ..)| layer(name)));
        excluded.extend(self.types.iter().map(|(name, _)| layer(name)));
        if excluded.is_empty() {
            return Ok(());
        }
        let (call, rename) =
            if renamed { ("load_renamed_except", "rename, ") } else { ("load_except", "") };
        let names: Vec<_> = excluded.iter().take(MAX_LINES).map(|n| format!("{n:?}")).collect();
        let more = if excluded.len() > MAX_LINES { ", ..." } else { "" };
        write!(
            f,
            "\n`{call}(path, {rename}&[{}{more}])` loads all the others, and leaves these layers of \
             `{}` as they are: as for a network with another head",
            names.join(", "),
            self.network
        )
    }
}

/// The layer of a parameter: its name up to the last dot.
fn layer(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(layer, _)| layer)
}
