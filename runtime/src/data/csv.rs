//! Tables in CSV files.
//!
//! Takes a file, gzipped or not, and which of its columns are to be learnt; gives a data set of all
//! other columns as reals. Guaranteed: every field is a finite number or a class; one that is
//! missing, or something else, is an error with its line and column.

use super::file::{damaged, open};
use super::{Classification, Dataset, Regression};
use crate::{Error, Result};
use csv::{ReaderBuilder, StringRecord, Trim};
use ndarray::{Array1, Array2};
use std::path::{Path, PathBuf};

/// How a CSV file is read, and what of it is to be learnt; made by [`csv()`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Csv {
    path: PathBuf,
    header: bool,
    separator: u8,
    targets: Vec<Column>,
}

/// A column of a table, by its name in the header or by its number, the first being 0.
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

/// A CSV file as a data set: its columns are reals but for the [`target`](Csv::target).
///
/// Unless told otherwise, the first line is a header, and fields are separated by commas. Space
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
pub fn csv(path: impl AsRef<Path>) -> Csv {
    Csv { path: path.as_ref().into(), header: true, separator: b',', targets: Vec::new() }
}

impl Csv {
    /// Whether the first line has the names of the columns; it has by default.
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
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

    /// The table with the target as classes, and their names.
    ///
    /// If all fields of the target are whole numbers, they are the classes, and there are no
    /// names. Otherwise classes are numbered in the sorted order of their names: the class with
    /// number `i` is called `names[i]`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] with line and column if a field is missing, or is not a finite number where
    /// one is needed, or if the file cannot be read as a table of rows with equally many fields.
    /// [`Error::Setting`] if there is not exactly one target, no such column, or no column besides
    /// it. [`Error::Empty`] if the file has no rows.
    pub fn classes(self) -> Result<(Classification, Vec<String>)> {
        if self.targets.len() != 1 {
            return Err(self.wrong_targets("one column"));
        }
        let mut labels = Vec::new();
        let x = self.read(|field, _| {
            labels.push(field.to_owned());
            Ok(())
        })?;
        let numbers: Result<Array1<u32>, _> = labels.iter().map(|label| label.parse()).collect();
        if let Ok(y) = numbers {
            return Ok((Dataset::new(x, y)?, Vec::new()));
        }
        let mut names = labels.clone();
        names.sort_unstable();
        names.dedup();
        // A data set counts its examples in u32, and there are no more names than examples.
        let class = |label| names.partition_point(|name| name < label) as u32;
        let y: Array1<u32> = labels.iter().map(class).collect();
        Ok((Dataset::new(x, y)?, names))
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
        let x = self.read(|field, place| {
            targets.push(real(field, place)?);
            Ok(())
        })?;
        let shape = (x.nrows(), self.targets.len());
        let y = Array2::from_shape_vec(shape, targets).expect("a value for each row and target");
        Dataset::new(x, y)
    }

    /// Reads all rows. What is not a target becomes an element of the result, what is goes to
    /// `target`, row after row, in the order of `self.targets`.
    fn read(
        &self,
        mut target: impl FnMut(&str, &Place) -> Result<(), String>,
    ) -> Result<Array2<f32>> {
        let wrong = |message: String| damaged(&self.path, message);
        let mut reader = ReaderBuilder::new()
            .has_headers(self.header)
            .delimiter(self.separator)
            .trim(Trim::All)
            .from_reader(open(&self.path)?);
        let header = match self.header {
            true => Some(reader.headers().map_err(|error| damaged(&self.path, error))?.clone()),
            false => None,
        };
        let mut record = StringRecord::new();
        let mut targets: Option<Vec<usize>> = None;
        let (mut values, mut rows) = (Vec::new(), 0);
        while reader.read_record(&mut record).map_err(|error| damaged(&self.path, error))? {
            let targets = match &mut targets {
                Some(targets) => targets,
                none => none.insert(self.columns(header.as_ref(), record.len())?),
            };
            let line = record.position().map_or(0, csv::Position::line);
            let place =
                |column| Place { line, column, name: header.as_ref().and_then(|h| h.get(column)) };
            for (column, field) in record.iter().enumerate() {
                // A quote that is not closed would take the rest of the file with it.
                if field.contains(['\n', '\r']) {
                    let place = place(column);
                    let message =
                        "a quoted field does not end on its line; is a closing quote missing?";
                    return Err(wrong(format!("{place}: {message}")));
                }
                if !targets.contains(&column) {
                    values.push(real(field, &place(column)).map_err(wrong)?);
                } else if field.is_empty() {
                    return Err(wrong(format!("{}: the field is empty", place(column))));
                }
            }
            for &column in targets.iter() {
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

    /// The numbers of the targets in a table of so many columns.
    fn columns(&self, header: Option<&StringRecord>, count: usize) -> Result<Vec<usize>> {
        let mut columns = Vec::new();
        for target in &self.targets {
            let column = match target {
                Column::Number(column) => Some(*column).filter(|&column| column < count),
                Column::Name(name) => header.and_then(|names| names.iter().position(|n| n == name)),
            };
            match column {
                Some(column) if !columns.contains(&column) => columns.push(column),
                Some(_) => return Err(self.wrong_targets("each column once")),
                None => {
                    let names: Vec<String> = header
                        .iter()
                        .flat_map(|names| names.iter())
                        .map(|n| format!("`{n}`"))
                        .collect();
                    let numbers = format!("a number below {count}");
                    return Err(self.wrong_targets(&match names.is_empty() {
                        true => format!("{numbers}, as the columns have no names"),
                        false => format!("{numbers} or one of {}", names.join(", ")),
                    }));
                }
            }
        }
        if columns.len() == count {
            let expected = format!("fewer than the {count} columns of {}", self.path.display());
            return Err(self.wrong_targets(&expected));
        }
        Ok(columns)
    }

    fn wrong_targets(&self, expected: &str) -> Error {
        let targets = self.targets.iter().map(|target| match target {
            Column::Name(name) => format!("`{name}`"),
            Column::Number(number) => number.to_string(),
        });
        let found: Vec<String> = targets.collect();
        Error::Setting {
            name: "target".into(),
            expected: expected.into(),
            found: if found.is_empty() { "not given".into() } else { found.join(", ") },
        }
    }
}

/// Where a field stands.
struct Place<'a> {
    /// Its line in the file, counted from 1.
    line: u64,
    /// Its column, counted from 0.
    column: usize,
    /// The column's name.
    name: Option<&'a str>,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        self.name.map_or(Ok(()), |name| write!(f, " (`{name}`)"))
    }
}

/// The number in a field.
fn real(field: &str, place: &Place<'_>) -> Result<f32, String> {
    if field.is_empty() {
        return Err(format!("{place}: the field is empty"));
    }
    match field.parse::<f32>() {
        Ok(x) if x.is_finite() => Ok(x),
        _ => Err(format!("{place}: `{field}` is not a finite number")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::{Folder, gzip};
    use super::*;
    use ndarray::array;

    #[test]
    fn classes_are_names_in_sorted_order_or_whole_numbers() {
        let folder = Folder::new("csv-classes");
        let path = folder.write("names", "kind,a,b\ncat, 1 ,2\n\"ant, red\",3,4e-1\ncat,-5,+6\n");
        let (data, names) = csv(&path).target("kind").classes().unwrap();
        assert_eq!(data.x(), array![[1.0, 2.0], [3.0, 0.4], [-5.0, 6.0]]);
        assert_eq!(data.y(), array![1, 0, 1]);
        assert_eq!(names, ["ant, red", "cat"]);

        let path = folder.write("numbers", gzip(b"1;2;7\n3;4;0\n"));
        let (data, names) = csv(path).header(false).separator(b';').target(2).classes().unwrap();
        assert_eq!(
            (data.x(), data.y()),
            (array![[1.0, 2.0], [3.0, 4.0]].view(), array![7, 0].view())
        );
        assert!(names.is_empty());

        // One that is no whole number makes names of all: `10` sorts before `9`.
        let path = folder.write("mixed", "x,y\n1,10\n2,9\n3,-1\n");
        let (data, names) = csv(path).target(1).classes().unwrap();
        assert_eq!(
            (data.y(), names),
            (array![1, 2, 0].view(), vec!["-1".into(), "10".into(), "9".into()])
        );
    }

    #[test]
    fn reals_come_in_the_order_asked_for() {
        let folder = Folder::new("csv-reals");
        let path = folder.write("file", "a,b,c\n1,2,3\n4,5,6\n");
        let data = csv(&path).target("c").target(0).reals().unwrap();
        assert_eq!(
            (data.x(), data.y()),
            (array![[2.0], [5.0]].view(), array![[3.0, 1.0], [6.0, 4.0]].view())
        );
    }

    #[test]
    fn what_is_no_number_is_reported_with_its_place() {
        let folder = Folder::new("csv-places");
        for (rows, message) in [
            ("1,,0", "line 3, column 1 (`b`): the field is empty"),
            ("1,2, ", "line 3, column 2 (`y`): the field is empty"),
            ("one,2,0", "line 3, column 0 (`a`): `one` is not a finite number"),
            ("1,NaN,0", "line 3, column 1 (`b`): `NaN` is not a finite number"),
            ("1,-inf,0", "line 3, column 1 (`b`): `-inf` is not a finite number"),
            ("1,1e39,0", "line 3, column 1 (`b`): `1e39` is not a finite number"),
            (
                "1,2,\"0\n1,2,0",
                "line 3, column 2 (`y`): a quoted field does not end on its line; is a closing \
                 quote missing?",
            ),
            ("1,2,0\n1,?,0", "line 4, column 1 (`b`): `?` is not a finite number"),
        ] {
            let path = folder.write("file", format!("a,b,y\n0,0,0\n{rows}\n"));
            let expected = format!("{}: {message}", path.display());
            assert_eq!(csv(&path).target("y").classes().unwrap_err().to_string(), expected);
            assert_eq!(csv(&path).target("y").reals().unwrap_err().to_string(), expected);
        }
        let path = folder.write("file", "a,b,y\n0,0,0\n1,2\n");
        let error = csv(&path).target("y").classes().unwrap_err().to_string();
        assert!(error.contains("line: 3") && error.contains("2 fields"), "{error}");
        let path = folder.write("file", "a,y\n0,maybe\n");
        let error = csv(&path).target("y").reals().unwrap_err().to_string();
        assert!(
            error.ends_with("line 2, column 1 (`y`): `maybe` is not a finite number"),
            "{error}"
        );
        let path = folder.write("file", "1,2\n");
        let error = csv(&path).header(false).target(1).reals().map(|data| data.len());
        assert_eq!(error.unwrap(), 1);
    }

    #[test]
    fn targets_that_cannot_be_are_refused() {
        let folder = Folder::new("csv-targets");
        let path = folder.write("file", "a,b\n1,2\n");
        let message = |csv: Csv| csv.reals().unwrap_err().to_string();
        let of = |csv: Csv, message: &str| {
            format!(
                "target must be {message}, but is {}",
                match csv.targets.len() {
                    0 => "not given".into(),
                    _ => csv
                        .targets
                        .iter()
                        .map(|t| match t {
                            Column::Name(name) => format!("`{name}`"),
                            Column::Number(n) => n.to_string(),
                        })
                        .collect::<Vec<_>>()
                        .join(", "),
                }
            )
        };
        for (csv, expected) in [
            (csv(&path), "at least one column".to_owned()),
            (csv(&path).target("c"), "a number below 2 or one of `a`, `b`".into()),
            (csv(&path).target(2), "a number below 2 or one of `a`, `b`".into()),
            (
                csv(&path).header(false).target("a"),
                "a number below 2, as the columns have no names".into(),
            ),
            (csv(&path).target("a").target(0), "each column once".into()),
            (
                csv(&path).target(0).target(1),
                format!("fewer than the 2 columns of {}", path.display()),
            ),
        ] {
            assert_eq!(message(csv.clone()), of(csv, &expected));
        }
        let two = csv(&path).target("a").target("b").classes();
        assert!(two.unwrap_err().to_string().starts_with("target must be one column"));
    }

    #[test]
    fn a_table_without_rows_is_empty() {
        let folder = Folder::new("csv-empty");
        for contents in ["", "a,b\n"] {
            let path = folder.write("file", contents);
            assert!(matches!(csv(path).target(0).classes(), Err(Error::Empty { .. })));
        }
    }
}
