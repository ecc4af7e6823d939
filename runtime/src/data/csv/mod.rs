//! Tables in CSV files.
//!
//! Takes a file, gzipped or not, and which of its columns are to be learnt; gives a data set of all
//! other columns as reals. Guaranteed: every field is a finite number or a class; one that is
//! missing, or something else, is an error with its line and column.

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

/// How a CSV file is read, and what of it is to be learnt; made by [`csv()`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Csv {
    path: PathBuf,
    limit: Option<u64>,
    /// By default, the first line is one.
    header: Option<bool>,
    separator: u8,
    targets: Vec<Column>,
    dropped: Vec<Column>,
    max_classes: usize,
}

/// A column of a table, by its name in the header or by its number, the first being 0, as for
/// an array's. (Messages count lines and columns from 1, as editors do, and name a column that has
/// a name.)
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

/// More names of classes than these are a mistake, by default.
const MAX_CLASSES: usize = 1 << 16;

/// A CSV file as a data set: its columns are reals but for the [`target`](Csv::target).
///
/// By default otherwise, the first line is a header, and fields are separated by commas. Space
/// around a field does not count; fields may be quoted, as in RFC 4180.
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
/// A file that is compressed may have 32 times as many bytes once it is not, or 256 MiB where that
/// is more, a line a sixteenth of them; [`io::with_limit`](crate::io::with_limit) is for others.
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
    /// Whether the first line has the names of the columns; it has by default. A first line of
    /// numbers alone is refused by default, so that no example is lost.
    pub fn header(mut self, header: bool) -> Self {
        self.header = Some(header);
        self
    }

    /// What stands between two fields, as `b';'` or `b'\t'`; a comma by default.
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = separator;
        self
    }

    /// The column that is to be learnt, by name or by number, counted from 0. Called again, it
    /// adds a column.
    pub fn target(mut self, column: impl Into<Column>) -> Self {
        self.targets.push(column.into());
        self
    }

    /// A column that is left out, by name or by number, counted from 0: names, dates, and whatever
    /// else is no number. Called again, it leaves out one more.
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

    /// How many names [`classes`](Self::classes) may find in the target; 65,536 by default.
    pub fn max_classes(mut self, most: usize) -> Self {
        self.max_classes = most;
        self
    }

    /// The table with the target as classes, and their names.
    ///
    /// If all fields of the target are integers from 0 on, written as `3` or as `3.0`, they
    /// are the classes, and there are no names. Otherwise classes are numbered in the order of
    /// their names, numbers by value and before all others: the class with number `i` is called
    /// `names[i]`. So `-1` and `1` are the classes 0 and 1, called so.
    ///
    /// # Errors
    ///
    /// [`Error::File`] with line and column if a field is missing, or is not a finite number where
    /// one is needed; if the file cannot be read as a table of rows with equally many fields, has
    /// no such column, two of one name, or more contents than its limit.
    /// [`Error::InvalidArgument`] if there is not exactly one target, or no column besides it.
    /// [`Error::Empty`] if the file has no rows.
    pub fn classes(self) -> Result<(Classification, Vec<String>)> {
        if self.targets.len() != 1 {
            return Err(self.wrong_targets("one column"));
        }
        let mut classes = Classes::new();
        let x = self.read(|field, place| {
            classes.push(field, self.max_classes).map_err(|message| format!("{place}: {message}"))
        })?;
        let (y, names) = classes.finish();
        Ok((Dataset::new(x, Array1::from_vec(y))?, names))
    }

    /// The table with the targets as reals, `[rows, targets]`, in the order in which they were
    /// asked for.
    ///
    /// # Errors
    ///
    /// Those of [`classes`](Self::classes), but for the number of targets: it may be any but none.
    pub fn reals(self) -> Result<Regression> {
        if self.targets.is_empty() {
            return Err(self.wrong_targets("at least one column"));
        }
        let mut targets = Vec::new();
        let x = self.read(|field, place| push(&mut targets, real(field, place)?))?;
        let shape = (x.nrows(), self.targets.len());
        let y = Array2::from_shape_vec(shape, targets).expect("a value for each row and target");
        Dataset::new(x, y)
    }

    /// Reads all rows. What is not a target becomes an element of the result, what is goes to
    /// `target`, row after row, in the order of `self.targets`.
    fn read(
        &self,
        mut target: impl FnMut(&str, &Place<'_>) -> Result<(), String>,
    ) -> Result<Array2<f32>> {
        let wrong = |message: String| damaged(&self.path, message);
        let contents = match self.limit {
            Some(bytes) => open(&with_limit(&self.path, bytes)),
            None => open(&self.path),
        };
        let mut table = Rows::new(contents?, self.separator);
        let header = match self.header {
            Some(false) => None,
            told => {
                let header = table.next().map_err(wrong)?.map(|(_, names)| names.clone());
                let is_number = |name: &str| name.parse::<f64>().is_ok();
                if let (None, Some(names)) = (told, &header)
                    && names.iter().all(is_number)
                {
                    return Err(wrong(
                        "line 1: it has numbers alone, where the names of the columns are \
                         expected; `.header(false)` says that it is the first example, \
                         `.header(true)` that these are names"
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
            let place = |column| Place { line, column, header: header.as_ref() };
            for (column, field) in record.iter().enumerate() {
                // A quote that is not closed would take the rest of the file with it.
                if field.contains(['\n', '\r']) {
                    let place = place(column);
                    let message =
                        "a quoted field does not end on its line; is a closing quote missing?";
                    return Err(wrong(format!("{place}: {message}")));
                }
                match columns.roles[column] {
                    ColumnRole::Feature => {
                        let value = real(field, &place(column)).map_err(wrong)?;
                        push(&mut values, value).map_err(wrong)?;
                    }
                    ColumnRole::Target if field.is_empty() => {
                        return Err(wrong(empty(&place(column))));
                    }
                    ColumnRole::Target | ColumnRole::Dropped => {}
                }
            }
            for &column in &columns.targets {
                target(&record[column], &place(column)).map_err(wrong)?;
            }
            rows += 1;
        }
        if rows == 0 {
            return Err(Error::Empty { what: self.path.display().to_string() });
        }
        let columns = values.len() / rows;
        Ok(Array2::from_shape_vec((rows, columns), values).expect("equally many from each row"))
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
    /// Of each column.
    roles: Vec<ColumnRole>,
    /// The numbers of the targets, in the order in which they were asked for.
    targets: Vec<usize>,
}

impl Columns {
    /// Those of a table of so many columns.
    fn of(csv: &Csv, header: Option<&StringRecord>, count: usize) -> Result<Columns> {
        let wrong = |message: String| damaged(&csv.path, message);
        let mut roles = vec![ColumnRole::Feature; count];
        for column in &csv.dropped {
            let place = number(column, header, &roles).map_err(wrong)?;
            roles[place] = ColumnRole::Dropped;
        }
        let mut targets = Vec::new();
        for column in &csv.targets {
            let place = number(column, header, &roles).map_err(wrong)?;
            match roles[place] {
                ColumnRole::Target => return Err(csv.wrong_targets("each column once")),
                ColumnRole::Dropped => {
                    return Err(csv.wrong_targets("a column that is not dropped"));
                }
                ColumnRole::Feature => roles[place] = ColumnRole::Target,
            }
            targets.push(place);
        }
        if !roles.contains(&ColumnRole::Feature) {
            let expected = format!(
                "fewer than the {count} columns of {}{}",
                csv.path.display(),
                if csv.dropped.is_empty() { "" } else { ", those that are dropped left out" }
            );
            return Err(csv.wrong_targets(&expected));
        }
        match header.and_then(|names| twice(names, &roles)) {
            Some((name, first, second)) => Err(wrong(format!(
                "two columns are called `{name}`, by numbers {first} and {second} (the first column \
                 being 0), so that what is to be learnt could stand among what it is learnt from; \
                 `.drop({first})` or `.drop({second})` leaves one out"
            ))),
            None => Ok(Columns { roles, targets }),
        }
    }
}

/// The number of a column in a table of which some columns are dropped already.
fn number(
    column: &Column,
    header: Option<&StringRecord>,
    roles: &[ColumnRole],
) -> Result<usize, String> {
    let name = match column {
        Column::Number(number) if *number < roles.len() => return Ok(*number),
        Column::Number(number) => {
            return Err(format!(
                "there is no column {number}: it has {}, and the first is 0",
                roles.len()
            ));
        }
        Column::Name(name) => name,
    };
    let Some(names) = header else {
        return Err(format!(
            "there is no column `{name}`: with `.header(false)` columns have numbers alone, and \
             the first is 0"
        ));
    };
    let mut places = names.iter().enumerate().filter(|(_, n)| n == name).map(|(i, _)| i);
    let (kept, dropped): (Vec<_>, Vec<_>) =
        places.by_ref().partition(|i| roles.get(*i) != Some(&ColumnRole::Dropped));
    match kept.first().or(dropped.first()) {
        // Of two of one name, what is said of both is said later.
        Some(place) if *place < roles.len() => Ok(*place),
        _ => {
            let all: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
            Err(format!("there is no column `{name}`{}", there_are(nearest(name, names), &all)))
        }
    }
}

/// Two columns of one name, of which neither is dropped. Without a name, no other is meant.
fn twice<'a>(names: &'a StringRecord, roles: &[ColumnRole]) -> Option<(&'a str, usize, usize)> {
    let mut seen = HashMap::new();
    let named = names.iter().enumerate().filter(|(i, name)| {
        !name.is_empty() && roles.get(*i).is_some_and(|role| *role != ColumnRole::Dropped)
    });
    for (place, name) in named {
        if let Some(first) = seen.insert(name, place) {
            return Some((name, first, place));
        }
    }
    None
}

/// Where a field stands.
struct Place<'a> {
    /// Its line in the file, counted from 1.
    line: u64,
    /// Its column, counted from 0.
    column: usize,
    /// The columns' names.
    header: Option<&'a StringRecord>,
}

impl Place<'_> {
    /// The column as `drop` and `target` take it.
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

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "line {}, column `{name}`", self.line),
            None => write!(f, "line {}, column {}", self.line, self.column + 1),
        }
    }
}

/// The number in a field.
fn real(field: &str, place: &Place<'_>) -> Result<f32, String> {
    if field.is_empty() {
        return Err(empty(place));
    }
    match field.parse::<f32>() {
        Ok(x) if x.is_finite() => Ok(x),
        _ => {
            let (shown, column) = (shortened(field), place.argument());
            let header = match place.line == 1 && place.header.is_none() {
                true => "; where line 1 has the names of the columns, say no `.header(false)`",
                false => "",
            };
            Err(format!(
                "{place}: `{shown}` is not a finite number; `.drop({column})` leaves the column \
                 out, `.target({column})` with `.classes()` makes it what is to be learnt{header}"
            ))
        }
    }
}

fn empty(place: &Place<'_>) -> String {
    let column = place.argument();
    format!(
        "{place}: the field is empty; write a number there, leave out the line, or the column, by \
         `.drop({column})`"
    )
}

/// A field for a message.
fn shortened(field: &str) -> String {
    const MOST: usize = 60;
    match field.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &field[..end]),
        None => field.into(),
    }
}
