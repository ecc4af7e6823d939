//! Classes from the fields of a column.
//!
//! Takes fields, row by row; returns the class of each row, and the names of the classes if they
//! have any. Guaranteed: a row takes four bytes, and each name is stored once.

use std::cmp::Ordering;
use std::collections::HashMap;

/// The bound below which all integers are exact in f64.
const EXACT: f64 = (1u64 << 53) as f64;

/// The classes of the rows so far.
pub(super) enum Classes {
    /// All fields were integers: they are the classes.
    Numbers(Vec<u32>),
    /// Rows have the indices of `names`, which are numbered in the order of their first use.
    Names { rows: Vec<u32>, names: HashMap<Name, u32> },
}

/// The name of a class, if not all fields are integers.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// A number in any notation, by its bits.
    Number(u64),
    Text(String),
}

impl Name {
    fn of(field: &str) -> Name {
        match number(field) {
            // -0 becomes 0.
            Some(number) => Name::Number((number + 0.0).to_bits()),
            None => Name::Text(field.into()),
        }
    }

    /// The numeric value of a name, even if it is not exact.
    fn value(&self) -> Option<f64> {
        match self {
            Name::Number(bits) => Some(f64::from_bits(*bits)),
            Name::Text(text) => text.parse().ok().filter(|x: &f64| x.is_finite()),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Number(bits) => f64::from_bits(*bits).fmt(f),
            Name::Text(text) => text.fmt(f),
        }
    }
}

/// Numbers by value, before all other names, which are in alphabetical order.
fn order(a: &Name, b: &Name) -> Ordering {
    match (a.value(), b.value()) {
        (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.to_string().cmp(&b.to_string())),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.to_string().cmp(&b.to_string()),
    }
}

/// The number in a field, if it is small enough to be distinct from its neighbours in f64.
fn number(field: &str) -> Option<f64> {
    field.parse().ok().filter(|x: &f64| x.is_finite() && x.abs() < EXACT)
}

/// The class of a field that is an integer: `3`, `3.0`.
fn integer(field: &str) -> Option<u32> {
    let number = number(field)?;
    (number >= 0.0 && number.fract() == 0.0 && number <= f64::from(u32::MAX))
        .then_some(number as u32)
}

impl Classes {
    /// No rows yet.
    pub fn new() -> Classes {
        Classes::Numbers(Vec::new())
    }

    /// Adds a row. An error, as a message, for more than `max_names` names, or without memory.
    pub fn push(&mut self, field: &str, max_names: usize) -> Result<(), String> {
        if let (Classes::Numbers(rows), Some(class)) = (&mut *self, integer(field)) {
            return super::rows::push(rows, class);
        }
        if let Classes::Numbers(rows) = self {
            // The first field that is not an integer: the classes so far become names.
            let numbers = std::mem::take(rows);
            *self = Classes::Names { rows: Vec::new(), names: HashMap::new() };
            for class in numbers {
                self.push_name(Name::Number(f64::from(class).to_bits()), max_names)?;
            }
        }
        self.push_name(Name::of(field), max_names)
    }

    fn push_name(&mut self, name: Name, max_names: usize) -> Result<(), String> {
        let Classes::Names { rows, names } = self else { return Ok(()) };
        // There are at most as many names as rows, and a data set has fewer than 2³².
        let next = names.len() as u32;
        let index = *names.entry(name).or_insert(next);
        if names.len() > max_names {
            return Err(format!(
                "it has more than {max_names} different values, which are too many to be classes: \
                 `reals()` reads numbers, `max_classes(n)` sets another limit"
            ));
        }
        super::rows::push(rows, index)
    }

    /// The class of each row, and the names of the classes, empty if all fields were integers.
    pub fn finish(self) -> (Vec<u32>, Vec<String>) {
        let (mut rows, names) = match self {
            Classes::Numbers(rows) => return (rows, Vec::new()),
            Classes::Names { rows, names } => (rows, names),
        };
        let mut sorted: Vec<(Name, u32)> = names.into_iter().collect();
        sorted.sort_by(|a, b| order(&a.0, &b.0));
        let mut classes = vec![0; sorted.len()];
        for (class, (_, index)) in sorted.iter().enumerate() {
            classes[*index as usize] = class as u32;
        }
        rows.iter_mut().for_each(|row| *row = classes[*row as usize]);
        (rows, sorted.into_iter().map(|(name, _)| name.to_string()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(fields: &[&str]) -> (Vec<u32>, Vec<String>) {
        let mut classes = Classes::new();
        fields.iter().for_each(|field| classes.push(field, 100).unwrap());
        classes.finish()
    }

    fn named(fields: &[&str], rows: &[u32], names: &[&str]) {
        let (found, found_names) = classes(fields);
        assert_eq!(
            (&found[..], found_names),
            (rows, names.iter().map(|n| n.to_string()).collect())
        );
    }

    #[test]
    fn integers_in_any_notation_are_classes() {
        let written: Vec<String> = (0..11).map(|i| format!("{i}.0")).collect();
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        named(&written, &(0..11).collect::<Vec<u32>>(), &[]);
        named(&["7", "0", "1e1", "+3", "-0"], &[7, 0, 10, 3, 0], &[]);
        named(&["4294967295.0"], &[u32::MAX], &[]);
    }

    #[test]
    fn other_numbers_are_names_by_value() {
        named(&["1", "10", "9", "-1", "1.0"], &[1, 3, 2, 0, 1], &["-1", "1", "9", "10"]);
        named(&["0.5", "10.25", "2", ".5"], &[0, 2, 1, 0], &["0.5", "2", "10.25"]);
        // Too large for a class, and too large for an exact f64.
        named(&["4294967296", "3"], &[1, 0], &["3", "4294967296"]);
        let large = ["9007199254740993", "9007199254740992", "5"];
        named(&large, &[2, 1, 0], &["5", "9007199254740992", "9007199254740993"]);
    }

    #[test]
    fn text_is_named_in_order_after_numbers() {
        named(&["dog", "cat", "dog"], &[1, 0, 1], &["cat", "dog"]);
        named(&["10", "9", "none", "nan", "9.0"], &[1, 0, 3, 2, 0], &["9", "10", "nan", "none"]);
    }

    #[test]
    fn too_many_names_are_refused_but_not_numbers() {
        let mut numbers = Classes::new();
        (0..1000).for_each(|i| numbers.push(&i.to_string(), 10).unwrap());
        assert!(numbers.push("name", 10).unwrap_err().contains("more than 10 different values"));
        let mut names = Classes::new();
        (0..10).for_each(|i| names.push(&format!("name {i}"), 10).unwrap());
        names.push("name 3", 10).unwrap();
        assert!(names.push("name 10", 10).unwrap_err().contains("max_classes"));
    }
}
