//! Tests of well-formed and of malformed tables.

use super::super::file::tests::{Folder, gzip};
use super::*;
use ndarray::array;
use std::path::Path;

#[test]
fn classes_are_integers_or_sorted_names() {
    let folder = Folder::new("csv-classes");
    let path = folder.write("names", "kind,a,b\ncat, 1 ,2\n\"ant, red\",3,4e-1\ncat,-5,+6\n");
    let (data, names) = csv(&path).target("kind").classes().unwrap();
    assert_eq!(data.x(), array![[1.0, 2.0], [3.0, 0.4], [-5.0, 6.0]]);
    assert_eq!(data.y(), array![1, 0, 1]);
    assert_eq!(names, ["ant, red", "cat"]);

    let path = folder.write("numbers", gzip(b"1;2;7\n3;4;0\n"));
    let (data, names) = csv(path).header(false).separator(b';').target(2).classes().unwrap();
    assert_eq!((data.x(), data.y()), (array![[1.0, 2.0], [3.0, 4.0]].view(), array![7, 0].view()));
    assert!(names.is_empty());

    // Written as reals they are the same classes: 10.0 is 10.
    let path = folder.write("reals", "x,y\n1,10.0\n2,9.0\n3,0.0\n");
    let (data, names) = csv(&path).target(1).classes().unwrap();
    assert_eq!((data.y(), names), (array![10, 9, 0].view(), vec![]));

    // One number that is not a class makes all of them names, in numeric order.
    let path = folder.write("mixed", "x,y\n1,10\n2,9\n3,-1\n");
    let (data, names) = csv(&path).target(1).classes().unwrap();
    assert_eq!(data.y(), array![2, 1, 0]);
    assert_eq!(names, ["-1", "9", "10"]);
}

#[test]
fn real_targets_have_the_requested_order() {
    let folder = Folder::new("csv-reals");
    let path = folder.write("file", "a,b,c\n1,2,3\n4,5,6\n");
    let data = csv(&path).target("c").target(0).reals().unwrap();
    assert_eq!(
        (data.x(), data.y()),
        (array![[2.0], [5.0]].view(), array![[3.0, 1.0], [6.0, 4.0]].view())
    );
}

#[test]
fn fields_that_are_not_numbers_are_reported_with_line_column_and_advice() {
    let folder = Folder::new("csv-places");
    let number = |column: &str, field: &str| {
        format!(
            "column `{column}`: `{field}` is not a finite number; `.drop({column:?})` ignores the \
             column, `.target({column:?})` with `.classes()` makes it the target"
        )
    };
    let empty = |column: &str| {
        format!(
            "column `{column}`: the field is empty; write a number there, remove the line, or \
             ignore the column by `.drop({column:?})`"
        )
    };
    let quoted = "a quoted field does not end on its line, and is not a number; is a closing quote \
                  missing?";
    for (rows, line, message) in [
        ("1,,0", 3, empty("b")),
        ("1,2, ", 3, empty("y")),
        ("Bob,2,0", 3, number("a", "Bob")),
        ("1,NaN,0", 3, number("b", "NaN")),
        ("1,-inf,0", 3, number("b", "-inf")),
        ("1,1e39,0", 3, number("b", "1e39")),
        ("1,\"2\n3\",0", 3, format!("column `b`: {quoted}")),
        ("1,2,\"0\n1,2,0", 3, "column 3: a quoted field has no closing quote".into()),
        ("1,2,0\n1,?,0", 4, number("b", "?")),
    ] {
        let path = folder.write("file", format!("a,b,y\n0,0,0\n{rows}\n"));
        let expected = format!("{}: line {line}, {message}", path.display());
        assert_eq!(csv(&path).target("y").classes().unwrap_err().to_string(), expected);
        assert_eq!(csv(&path).target("y").reals().unwrap_err().to_string(), expected);
    }
    let message = |contents: &[u8], csv: fn(&Path) -> Csv| {
        let path = folder.write("file", contents);
        let message = csv(&path).reals().unwrap_err().to_string();
        message.split_once(": ").unwrap().1.to_string()
    };
    let of_y = |path: &Path| csv(path).target("y");
    assert_eq!(message(b"a,y\n0,maybe\n", of_y), format!("line 2, {}", number("y", "maybe")));
    // Without names, columns are counted from 1, as lines are, and `drop` counts from 0.
    let found = message(b"a,b\n1,2\n", |path| csv(path).header(false).target(1));
    assert_eq!(
        found,
        "line 1, column 1: `a` is not a finite number; `.drop(0)` ignores the column, `.target(0)` \
         with `.classes()` makes it the target; if line 1 has the names of the columns, remove \
         `.header(false)`"
    );
    // Errors of the `csv` crate have line and column too.
    let found = message(b"a,b,y\n0,0,0\n1,2\n", of_y);
    assert_eq!(found, "line 3: it has 2 fields, but earlier lines have 3");
    let found = message(b"a,b,y\n0,0,0\n1,\xff,2\n", of_y);
    assert_eq!(found, "line 3, column 2: the field is not in UTF-8; convert the file to UTF-8");
    let long = format!("a,y\n{},0\n", "x".repeat(1000));
    let found = message(long.as_bytes(), of_y);
    assert!(found.contains(&format!("`{}…` is not", "x".repeat(60))), "{found}");

    let path = folder.write("file", "1,2\n");
    let data = csv(&path).header(false).target(1).reals().unwrap();
    assert_eq!((data.x()[[0, 0]], data.y()[[0, 0]]), (1.0, 2.0));
}

#[test]
fn quoted_fields_may_have_several_lines() {
    let folder = Folder::new("csv-lines");
    let path = folder.write(
        "file",
        "\"the\nnote\",a,kind\r\n\"one,\r\n\r\n\"\"two\"\"\" ,1,\"c\nat\"\r\n\"\",2,dog\r\n",
    );
    let read = |csv: Csv| csv.target("kind").classes();
    let (data, names) = read(csv(&path).drop("the\nnote")).unwrap();
    assert_eq!((data.x(), data.y()), (array![[1.0], [2.0]].view(), array![0, 1].view()));
    assert_eq!(names, ["c\nat", "dog"]);
    // Lines are counted with those in quotes.
    let path = folder.write("file", "note,a,kind\n\"1\n2\n3\",1,cat\nx,?,dog\n");
    let message = read(csv(&path).drop("note")).unwrap_err().to_string();
    assert!(message.contains("line 5, column `a`: `?` is not a finite number"), "{message}");
    // A missing quote is found however many quotes follow.
    let text = "text follows the closing quote of a quoted field";
    for (contents, expected) in [
        ("note,a,kind\nx,1,\"cat\ny,2,\"dog\"\n", format!("line 2, column 3: {text}")),
        ("note,a,kind\n\"x\"y,1,cat\n", format!("line 2, column 1: {text}")),
        ("note,a,kind\nx,1,cat\n\"y,1,cat", "line 3, column 1: a quoted field has no".into()),
        ("\u{feff}\"note,a,kind\nx,1,cat\n", "line 1, column 1: a quoted field has no".into()),
        // Lines before it are read first.
        ("note,a,kind\nx,?,cat\n\"y\"z,1,cat", "line 2, column `a`: `?` is not".into()),
    ] {
        let path = folder.write("file", contents);
        let message = read(csv(&path).drop(0)).unwrap_err().to_string();
        assert!(message.contains(&expected), "{expected}: {message}");
    }
    // A quote elsewhere in a field is a character.
    let path = folder.write("file", "note,a,kind\n5\" pipe,1,6\"\n \"x\",2,7\"\n");
    assert_eq!(read(csv(&path).drop(0)).unwrap().1, ["6\"", "7\""]);
    for separator in [b'"', b'\n', b'\r'] {
        let error = read(csv(&path).separator(separator)).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    }
}

#[test]
fn dropped_columns_may_have_any_contents() {
    let folder = Folder::new("csv-drop");
    let path = folder.write("file", "name,a,day,y\nBob,1,,0\n\"Eve, 2nd\",2,2026-11-27,1\n");
    let (data, names) = csv(&path).drop("name").drop(2).target("y").classes().unwrap();
    assert_eq!((data.x(), data.y()), (array![[1.0], [2.0]].view(), array![0, 1].view()));
    assert!(names.is_empty());
}

/// Otherwise the first example would be lost.
#[test]
fn a_first_line_of_numbers_is_a_header_only_if_set() {
    let folder = Folder::new("csv-header");
    let path = folder.write("file", "2019,2020.5\n1,2\n3,4\n");
    let message = csv(&path).target(1).reals().unwrap_err().to_string();
    assert!(message.contains("line 1") && message.contains(".header(false)"), "{message}");
    assert_eq!(csv(&path).header(true).target("2020.5").reals().unwrap().len(), 2);
    assert_eq!(csv(&path).header(false).target(1).reals().unwrap().len(), 3);
    // A byte order mark, as spreadsheets write it, is not part of the first name.
    let path = folder.write("file", "\u{feff}a,y\n1,2\n");
    assert_eq!(csv(&path).target("y").drop("a").reals().unwrap_err().to_string(), {
        let expected = format!("fewer than the 2 columns of {}", path.display());
        format!("target must be {expected}, not counting dropped ones, but is `y`")
    });
}

#[test]
fn two_columns_of_the_same_name_are_refused() {
    let folder = Folder::new("csv-duplicate");
    let path = folder.write("file", "y,a, y ,\"\",\n1,2,3,4,5\n");
    for csv in [csv(&path).target("y"), csv(&path).target(0), csv(&path).target("a")] {
        let message = csv.reals().unwrap_err().to_string();
        let expected = "two columns are called `y`, by numbers 0 and 2 (the first column being 0)";
        assert!(message.contains(expected), "{message}");
        assert!(message.ends_with("ignore one of them by `.drop(0)` or `.drop(2)`"), "{message}");
    }
    // Either may be dropped; columns without names are not duplicates.
    let data = csv(&path).drop(0).target("y").reals().unwrap();
    assert_eq!((data.x(), data.y()), (array![[2.0, 4.0, 5.0]].view(), array![[3.0]].view()));
    let data = csv(&path).drop(2).target("y").reals().unwrap();
    assert_eq!((data.x(), data.y()), (array![[2.0, 4.0, 5.0]].view(), array![[1.0]].view()));
}

#[test]
fn invalid_targets_are_refused() {
    let folder = Folder::new("csv-targets");
    let path = folder.write("file", "alpha,beta\n1,2\n");
    let file = |message: &str| format!("{}: {message}", path.display());
    let none = file("there is no column 2: the table has 2, and the first is 0");
    for (csv, expected) in [
        (csv(&path), "target must be at least one column, but is not given".to_owned()),
        (
            csv(&path).target("Beta"),
            file("there is no column `Beta`; did you mean `beta`? There are `alpha`, `beta`"),
        ),
        (csv(&path).target("y"), file("there is no column `y`; there are `alpha`, `beta`")),
        (csv(&path).target(2), none.clone()),
        (csv(&path).drop(2).target(1), none),
        (
            csv(&path).header(false).target("alpha"),
            file(
                "there is no column `alpha`: with `.header(false)` columns have only numbers, \
                 and the first is 0",
            ),
        ),
        (
            csv(&path).target("alpha").target(0),
            format!("target must be each column of {} once, but is `alpha`, 0", path.display()),
        ),
        (
            csv(&path).drop(1).target("beta"),
            format!(
                "target must be a column of {} that is not dropped, but is `beta`",
                path.display()
            ),
        ),
        (
            csv(&path).target(0).target(1),
            format!("target must be fewer than the 2 columns of {}, but is 0, 1", path.display()),
        ),
    ] {
        assert_eq!(csv.reals().unwrap_err().to_string(), expected);
    }
    let two = csv(&path).target("alpha").target("beta").classes();
    assert!(two.unwrap_err().to_string().starts_with("target must be one column"));
}

#[test]
fn more_than_the_limit_is_refused() {
    let folder = Folder::new("csv-limit");
    let table = format!("a,y\n{}", "1,2\n".repeat(100_000));
    let path = folder.write("packed", gzip(table.as_bytes()));
    assert_eq!(csv(&path).target("y").reals().unwrap().len(), 100_000);
    let message = csv(with_limit(&path, 1 << 18)).target("y").reals().unwrap_err().to_string();
    assert!(message.contains("its contents have more than 262144 bytes"), "{message}");
    // A line without end, and an unclosed quote.
    for wide in ["1,".repeat(100_000), format!("a,y\n\"{}\"", "1,\n".repeat(60_000))] {
        let path = folder.write("packed", gzip(wide.as_bytes()));
        let message = csv(with_limit(&path, 1 << 20)).target(1).reals().unwrap_err().to_string();
        assert!(message.contains("is longer than 65536 bytes"), "{message}");
    }
    let names: String = (0..70_000).map(|i| format!("1,n{i}\n")).collect();
    let path = folder.write("names", format!("x,name\n{names}"));
    let message = csv(&path).target("name").classes().unwrap_err().to_string();
    let expected = "line 65538, column `name`: it has more than 65536 different values";
    assert!(message.contains(expected), "{message}");
    let (data, names) = csv(&path).target("name").max_classes(70_000).classes().unwrap();
    assert_eq!((data.len(), names.len()), (70_000, 70_000));
}

#[test]
fn a_table_without_rows_is_empty() {
    let folder = Folder::new("csv-empty");
    for contents in ["", "a,b\n"] {
        let path = folder.write("file", contents);
        assert!(matches!(csv(path).target(0).classes(), Err(Error::Empty { .. })));
    }
}
