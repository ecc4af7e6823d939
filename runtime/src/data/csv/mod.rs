//! Tables in CSV files.
//!
//! Takes a file, gzipped or not, and its target columns; returns a data set with all other columns
//! as real features. Guaranteed: every field is a finite number or a class; missing or other fields
//! are errors with line and column.

use super::file::{damaged, open};
use super::{Classification, Dataset, Regression};
use crate::error::{nearest, there_are};
use crate::io::{Source, with_limit};
use crate::{Error, Result};
use classes::Classes;
use csv::StringRecord;
use ndarray::{Array1, Array2};
use rows::{Rows, push};
use std::collections::HashMap;
use std::path::PathBuf;

mod classes;
mod rows;
#[cfg(test)]
mod tests;

/// Options for reading a CSV file, and its target columns; made by [`csv()`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Csv {
    path: PathBuf,
    limit: Option<u64>,
    /// Whether the first line is a header; `None`: yes, unless it has only numbers.
    header: Option<bool>,
    separator: u8,
    targets: Vec<Column>,
    dropped: Vec<Column>,
    max_classes: usize,
}

/// A column of a table, by its name in the header or by its number, counted from 0 as in arrays.
/// (Messages count lines and columns from 1, as editors do, and use a column's name if it has
/// one.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// The column under this name.
    Name(String),
    /// The column with this number, counted from 0.
    Number(usize),
}

impl From<&str> for Column {
    fn from(name: &str) -> Column {
        Column::Name(name.into())
    }
}

impl From<String> for Column {
    fn from(name: String) -> Column {
        Column::Name(name)
    }
}

impl From<usize> for Column {
    fn from(number: usize) -> Column {
        Column::Number(number)
    }
}

/// The default limit on class names: more are taken to be a mistake.
const MAX_CLASSES: usize = 1 << 16;

/// A CSV file as a data set: all columns are reals except the [`target`](Csv::target).
///
/// By default, the first line is a header, and fields are separated by commas. Space around a field
/// is ignored. Fields may be quoted, as in RFC 4180: then they may include separators, line ends, and
/// quotes, each written as two.
///
/// ```
/// use bilro::data;
///
/// let path = std::env::temp_dir().join("bilro-example.csv");
/// std::fs::write(&path, "length,width,kind\n5.1,3.5,setosa\n7.0,3.2,versicolor\n")?;
/// let (flowers, kinds) = data::csv(&path).target("kind").classes()?;
/// assert_eq!(flowers.x(), ndarray::array![[5.1, 3.5], [7.0, 3.2]]);
/// assert_eq!(flowers.y(), ndarray::array![0, 1]);
/// assert_eq!(kinds, ["setosa", "versicolor"]);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The contents, decompressed, are limited to 32 times the length of the file, or 256 MiB if that
/// is more, and a line to a sixteenth of that; [`io::with_limit`](crate::io::with_limit) sets
/// another limit.
pub fn csv(path: impl Source) -> Csv {
    Csv {
        path: path.path().into(),
        limit: path.limit(),
        header: None,
        separator: b',',
        targets: Vec::new(),
        dropped: Vec::new(),
        max_classes: MAX_CLASSES,
    }
}

impl Csv {
    /// Whether the first line has the names of the columns; default `true`, except that a first
    /// line with only numbers is refused unless this is set, so that no example is lost.
    pub fn header(mut self, header: bool) -> Self {
        self.header = Some(header);
        self
    }

    /// The separator of fields, as `b';'` or `b'\t'`; default a comma.
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = separator;
        self
    }

    /// The target column, by name or by number, counted from 0. Called again, it adds a target.
    pub fn target(mut self, column: impl Into<Column>) -> Self {
        self.targets.push(column.into());
        self
    }

    /// A column to ignore, by name or by number, counted from 0: names, dates, and others that
    /// are not numbers. Called again, it ignores one more.
    ///
    /// ```
    /// use bilro::data;
    ///
    /// let path = std::env::temp_dir().join("bilro-example-drop.csv");
    /// std::fs::write(&path, "name,age,sex\nBob,31,m\nEve,34,f\n")?;
    /// let (people, _) = data::csv(&path).drop("name").target("sex").classes()?;
    /// assert_eq!(people.x(), ndarray::array![[31.0], [34.0]]);
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drop(mut self, column: impl Into<Column>) -> Self {
        self.dropped.push(column.into());
        self
    }

    /// The maximum number of names that [`classes`](Self::classes) accepts in the target; default
    /// 65,536.
    pub fn max_classes(mut self, max_classes: usize) -> Self {
        self.max_classes = max_classes;
        self
    }

    /// The table with the target as classes, and their names.
    ///
    /// If all fields of the target are integers from 0 on, written as `3` or as `3.0`, they are the
    /// classes, and there are no names. Otherwise classes are numbered in the order of their names,
    /// numbers by value and before all others: `names[i]` is the name of class `i`. So `-1` and `1`
    /// are the names of the classes 0 and 1.
    ///
    /// # Errors
    ///
    /// [`Error::File`] with line and column if a field is missing, or is not a finite number where
    /// one is needed; if the file cannot be read as a table of rows with equal numbers of fields,
    /// has no such column, two of the same name, or more contents than its limit.
    /// [`Error::InvalidArgument`] if there is not exactly one target, or no column besides it, or for
    /// a quote or a line end as separator.
    /// [`Error::Empty`] if the file has no rows.
    pub fn classes(self) -> Result<(Classification, Vec<String>)> {
        if self.targets.len() != 1 {
            return Err(self.wrong_targets("one column"));
        }
        let mut classes = Classes::new();
        let x = self.read(|field, location| {
            classes
                .push(field, self.max_classes)
                .map_err(|message| format!("{location}: {message}"))
        })?;
        let (y, names) = classes.finish();
        Ok((Dataset::new(x, Array1::from_vec(y))?, names))
    }

    /// The table with the targets as reals, `[rows, targets]`, in the order of the calls of
    /// [`target`](Self::target).
    ///
    /// # Errors
    ///
    /// Those of [`classes`](Self::classes), except that any number of targets from 1 on is
    /// accepted.
    pub fn reals(self) -> Result<Regression> {
        if self.targets.is_empty() {
            return Err(self.wrong_targets("at least one column"));
        }
        let mut targets = Vec::new();
        let x = self.read(|field, location| push(&mut targets, real(field, location)?))?;
        let shape = (x.nrows(), self.targets.len());
        let y = Array2::from_shape_vec(shape, targets).expect("a value for each row and target");
        Dataset::new(x, y)
    }

    /// Reads all rows. Returns the features, and passes the target fields to `target`, row by row,
    /// in the order of `self.targets`.
    fn read(
        &self,
        mut target: impl FnMut(&str, &Location<'_>) -> Result<(), String>,
    ) -> Result<Array2<f32>> {
        if [b'"', b'\n', b'\r'].contains(&self.separator) {
            return Err(Error::InvalidArgument {
                name: "separator".into(),
                expected: "neither a quote nor the end of a line".into(),
                found: format!("{:?}", char::from(self.separator)),
            });
        }
        let wrong = |message: String| damaged(&self.path, message);
        let contents = match self.limit {
            Some(bytes) => open(&with_limit(&self.path, bytes)),
            None => open(&self.path),
        };
        let mut table = Rows::new(contents?, self.separator);
        let header = match self.header {
            Some(false) => None,
            setting => {
                let header = table.next().map_err(wrong)?.map(|(_, names)| names.clone());
                let is_number = |name: &str| name.parse::<f64>().is_ok();
                if let (None, Some(names)) = (setting, &header)
                    && names.iter().all(is_number)
                {
                    return Err(wrong(
                        "line 1: expected the names of the columns, but found only numbers; set \
                         `.header(false)` if it is the first example, `.header(true)` if these are \
                         names"
                            .into(),
                    ));
                }
                header
            }
        };
        let mut columns = None;
        let (mut values, mut rows) = (Vec::new(), 0);
        while let Some((line, record)) = table.next().map_err(wrong)? {
            let columns = match &mut columns {
                Some(columns) => columns,
                none => none.insert(Columns::of(self, header.as_ref(), record.len())?),
            };
            let location = |column| Location { line, column, header: header.as_ref() };
            for (column, field) in record.iter().enumerate() {
                match columns.roles[column] {
                    ColumnRole::Feature => {
                        let value = real(field, &location(column)).map_err(wrong)?;
                        push(&mut values, value).map_err(wrong)?;
                    }
                    ColumnRole::Target if field.is_empty() => {
                        return Err(wrong(empty(&location(column))));
                    }
                    ColumnRole::Target | ColumnRole::Dropped => {}
                }
            }
            for &column in &columns.targets {
                target(&record[column], &location(column)).map_err(wrong)?;
            }
            rows += 1;
        }
        if rows == 0 {
            return Err(Error::Empty { what: self.path.display().to_string() });
        }
        let columns = values.len() / rows;
        Ok(Array2::from_shape_vec((rows, columns), values).expect("the same number from each row"))
    }

    fn wrong_targets(&self, expected: &str) -> Error {
        let targets = self.targets.iter().map(|target| match target {
            Column::Name(name) => format!("`{name}`"),
            Column::Number(number) => number.to_string(),
        });
        let found: Vec<String> = targets.collect();
        Error::InvalidArgument {
            name: "target".into(),
            expected: expected.into(),
            found: if found.is_empty() { "not given".into() } else { found.join(", ") },
        }
    }
}

/// How a column is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ColumnRole {
    Feature,
    Target,
    Dropped,
}

/// The roles of a table's columns.
struct Columns {
    /// The role of each column.
    roles: Vec<ColumnRole>,
    /// The numbers of the target columns, in the order of `Csv::targets`.
    targets: Vec<usize>,
}

impl Columns {
    /// The roles in a table of `count` columns.
    fn of(csv: &Csv, header: Option<&StringRecord>, count: usize) -> Result<Columns> {
        let wrong = |message: String| damaged(&csv.path, message);
        let path = csv.path.display();
        let mut roles = vec![ColumnRole::Feature; count];
        for column in &csv.dropped {
            let index = number(column, header, &roles).map_err(wrong)?;
            roles[index] = ColumnRole::Dropped;
        }
        let mut targets = Vec::new();
        for column in &csv.targets {
            let index = number(column, header, &roles).map_err(wrong)?;
            match roles[index] {
                ColumnRole::Target => {
                    return Err(csv.wrong_targets(&format!("each column of {path} once")));
                }
                ColumnRole::Dropped => {
                    let expected = format!("a column of {path} that is not dropped");
                    return Err(csv.wrong_targets(&expected));
                }
                ColumnRole::Feature => roles[index] = ColumnRole::Target,
            }
            targets.push(index);
        }
        if !roles.contains(&ColumnRole::Feature) {
            let expected = format!(
                "fewer than the {count} columns of {path}{}",
                if csv.dropped.is_empty() { "" } else { ", not counting dropped ones" }
            );
            return Err(csv.wrong_targets(&expected));
        }
        match header.and_then(|names| duplicate(names, &roles)) {
            Some((name, first, second)) => Err(wrong(format!(
                "two columns are called `{name}`, by numbers {first} and {second} (the first column \
                 being 0), so that the target could be among the features; ignore one of them by \
                 `.drop({first})` or `.drop({second})`"
            ))),
            None => Ok(Columns { roles, targets }),
        }
    }
}

/// The number of a column; of columns with the same name, the first that is not dropped.
fn number(
    column: &Column,
    header: Option<&StringRecord>,
    roles: &[ColumnRole],
) -> Result<usize, String> {
    let name = match column {
        Column::Number(number) if *number < roles.len() => return Ok(*number),
        Column::Number(number) => {
            return Err(format!(
                "there is no column {number}: the table has {}, and the first is 0",
                roles.len()
            ));
        }
        Column::Name(name) => name,
    };
    let Some(names) = header else {
        return Err(format!(
            "there is no column `{name}`: with `.header(false)` columns have only numbers, and \
             the first is 0"
        ));
    };
    let mut indices = names.iter().enumerate().filter(|(_, n)| n == name).map(|(i, _)| i);
    let (retained, dropped): (Vec<_>, Vec<_>) =
        indices.by_ref().partition(|i| roles.get(*i) != Some(&ColumnRole::Dropped));
    match retained.first().or(dropped.first()) {
        // Duplicate names are reported later.
        Some(index) if *index < roles.len() => Ok(*index),
        _ => {
            let all: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
            Err(format!("there is no column `{name}`{}", there_are(nearest(name, names), &all)))
        }
    }
}

/// The name and the numbers of two columns with the same name, neither of which is dropped. Empty
/// names do not count.
fn duplicate<'a>(names: &'a StringRecord, roles: &[ColumnRole]) -> Option<(&'a str, usize, usize)> {
    let mut seen = HashMap::new();
    let named = names.iter().enumerate().filter(|(i, name)| {
        !name.is_empty() && roles.get(*i).is_some_and(|role| *role != ColumnRole::Dropped)
    });
    for (index, name) in named {
        if let Some(first) = seen.insert(name, index) {
            return Some((name, first, index));
        }
    }
    None
}

/// The location of a field.
struct Location<'a> {
    /// Its line in the file, counted from 1.
    line: u64,
    /// Its column, counted from 0.
    column: usize,
    /// The columns' names.
    header: Option<&'a StringRecord>,
}

impl Location<'_> {
    /// The column as an argument of `drop` and `target`, for messages.
    fn argument(&self) -> String {
        match self.name() {
            Some(name) => format!("{name:?}"),
            None => self.column.to_string(),
        }
    }

    fn name(&self) -> Option<&str> {
        self.header.and_then(|names| names.get(self.column)).filter(|name| !name.is_empty())
    }
}

impl std::fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "line {}, column `{name}`", self.line),
            None => write!(f, "line {}, column {}", self.line, self.column + 1),
        }
    }
}

/// The number in a field.
fn real(field: &str, location: &Location<'_>) -> Result<f32, String> {
    if field.is_empty() {
        return Err(empty(location));
    }
    match field.parse::<f32>() {
        Ok(x) if x.is_finite() => Ok(x),
        _ if field.contains(['\n', '\r']) => Err(format!(
            "{location}: a quoted field does not end on its line, and is not a number; is a closing \
             quote missing?"
        )),
        _ => {
            let (shown, column) = (shortened(field), location.argument());
            let header = match location.line == 1 && location.header.is_none() {
                true => "; if line 1 has the names of the columns, remove `.header(false)`",
                false => "",
            };
            Err(format!(
                "{location}: `{shown}` is not a finite number; `.drop({column})` ignores the column, \
                 `.target({column})` with `.classes()` makes it the target{header}"
            ))
        }
    }
}

fn empty(location: &Location<'_>) -> String {
    let column = location.argument();
    format!(
        "{location}: the field is empty; write a number there, remove the line, or ignore the column \
         by `.drop({column})`"
    )
}

/// A field for a message, cut off if it is long.
fn shortened(field: &str) -> String {
    const MAX_CHARS: usize = 60;
    match field.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &field[..end]),
        None => field.into(),
    }
}
