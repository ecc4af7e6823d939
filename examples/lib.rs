//! What the notebooks have in common: a report that tells what is done, and
//! shows each of the notebook's figures beside ours.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;

/// Runs a notebook that has no options: `--help` says what it is about, and
/// anything else on the command line is an error. Then it is as [`show`].
pub fn show_without_options(
    about: &'static str,
    notebook: impl FnOnce(&mut Report<'_>) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    command(about).get_matches();
    show(notebook)
}

/// A command line without options. Usage names the program as it was called.
fn command(about: &'static str) -> Command {
    Command::new("notebook")
        .about(about)
        .after_help("It takes no options. What it draws goes into target/notebooks.")
}

/// Runs a notebook and writes its report to standard output. Who closes the
/// pipe has read enough.
pub fn show(notebook: impl FnOnce(&mut Report<'_>) -> Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = notebook(&mut Report::new(&mut io::stdout())) else {
        return ExitCode::SUCCESS;
    };
    match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        _ => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a notebook writes, for a test, after requiring its figures to agree and
/// so many of them to be there.
///
/// # Panics
/// Where the notebook fails, or a figure differs or is missing.
pub fn written(
    notebook: impl FnOnce(&mut Report<'_>) -> Result<(), Box<dyn Error>>,
    figures: usize,
) -> String {
    let mut out = Vec::new();
    let mut report = Report::new(&mut out);
    notebook(&mut report).unwrap_or_else(|error| panic!("the notebook fails: {error}"));
    report.check(figures);
    String::from_utf8(out).expect("reports are made of text")
}

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// Requires the lines that a notebook has written to fit a terminal of 80
/// columns, but for those that may be as long as they are: rows of tables, and
/// what is quoted.
///
/// # Panics
/// Where a line is longer, and where none is that may be.
pub fn fits_a_terminal(text: &str, may_be_long: &[&str]) {
    let long = || text.lines().filter(|line| line.chars().count() > COLUMNS);
    let allowed = |line: &&str| may_be_long.iter().any(|start| line.starts_with(start));
    let wrong: Vec<&str> = long().filter(|line| !allowed(line)).collect();
    assert!(wrong.is_empty(), "lines are longer than {COLUMNS} columns: {wrong:#?}");
    for start in may_be_long {
        assert!(long().any(|line| line.starts_with(start)), "no long line starts with `{start}`");
    }
}

/// A notebook's output: to a terminal, or kept for a test.
pub struct Report<'a> {
    out: &'a mut dyn Write,
    figures: Vec<Figure>,
    folder: PathBuf,
}

/// A number that the notebook prints, or that a reader can work out by hand.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// What bilro gives.
    pub ours: f64,
    /// What the notebook shows, or what is worked out.
    pub notebook: f64,
    /// Half a unit of the notebook's last digit.
    pub tolerance: f64,
}

impl Figure {
    /// Whether ours rounds to the notebook's.
    pub fn agrees(&self) -> bool {
        (self.ours - self.notebook).abs() <= self.tolerance
    }
}

impl<'a> Report<'a> {
    /// A report that is written to `out`; pictures go to `target/notebooks`.
    pub fn new(out: &'a mut dyn Write) -> Report<'a> {
        let folder = [env!("CARGO_MANIFEST_DIR"), "..", "target", "notebooks"].iter().collect();
        Report { out, figures: Vec::new(), folder }
    }

    /// The start of a part.
    pub fn part(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "\n{title}\n{}", "-".repeat(title.chars().count()))
    }

    /// Something to read.
    pub fn say(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A figure of the notebook's, as it is written there, beside ours with as
    /// many digits.
    ///
    /// # Panics
    /// Where `notebook` is no number: a mistake in the example.
    pub fn figure(&mut self, name: &str, ours: f64, notebook: &str) -> io::Result<()> {
        self.compare(name, ours, "notebook", notebook)
    }

    /// The same beside what a reader can work out with paper and pencil.
    ///
    /// # Panics
    /// As [`Report::figure`].
    pub fn by_hand(&mut self, name: &str, ours: f64, worked_out: &str) -> io::Result<()> {
        self.compare(name, ours, "by hand", worked_out)
    }

    fn compare(&mut self, name: &str, ours: f64, whose: &str, number: &str) -> io::Result<()> {
        let value: f64 = number.parse().expect("figures are numbers");
        let digits = number.split_once('.').map_or(0, |(_, digits)| digits.len());
        // Half a unit of the last digit, and what rounding to f32 takes away; what
        // has no digits after the point is an integer.
        let half = if digits == 0 { 0.0 } else { 0.5 * 10f64.powi(-(digits as i32)) };
        let tolerance = half + 2e-7 * value.abs();
        let figure = Figure { name: name.into(), ours, notebook: value, tolerance };
        let verdict = if figure.agrees() { "" } else { "   differs" };
        writeln!(self.out, "  {name:<44} {ours:>14.digits$}   {whose} {number}{verdict}")?;
        self.figures.push(figure);
        Ok(())
    }

    /// Where to put a picture.
    pub fn picture(&mut self, name: &str) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        writeln!(self.out, "  picture: target/notebooks/{name}")?;
        std::fs::create_dir_all(&self.folder)?;
        Ok(path)
    }

    /// Saves a picture under this name twice, as SVG and as PNG: `save` is called
    /// with the path of each.
    pub fn draw(
        &mut self,
        name: &str,
        save: impl Fn(&Path) -> bilro::Result<()>,
    ) -> Result<(), Box<dyn Error>> {
        writeln!(self.out, "\n  picture: target/notebooks/{name}.svg and .png")?;
        for ending in ["svg", "png"] {
            save(&self.folder.join(format!("{name}.{ending}")))?;
        }
        Ok(())
    }

    /// The figures so far.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// Requires every figure to agree, and so many of them to be there.
    ///
    /// # Panics
    /// Where one differs, or is missing.
    pub fn check(&self, count: usize) {
        let wrong: Vec<&Figure> = self.figures.iter().filter(|figure| !figure.agrees()).collect();
        assert!(wrong.is_empty(), "figures differ from the notebook's: {wrong:#?}");
        assert_eq!(self.figures.len(), count, "figures of the notebook");
    }
}

#[cfg(test)]
mod tests {
    use super::{command, fits_a_terminal};
    use clap::error::ErrorKind;

    #[test]
    fn a_notebook_without_options_refuses_them_and_explains_itself() {
        let parse = |arguments: &[&str]| command("About nothing").try_get_matches_from(arguments);
        assert!(parse(&["notebook_0_tensors"]).is_ok());
        for wrong in ["--bogus", "-x", "data"] {
            let error = parse(&["notebook_0_tensors", wrong]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{wrong}");
        }
        let help = parse(&["notebook_0_tensors", "--help"]).unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelp);
        let help = help.to_string();
        assert!(help.contains("About nothing") && help.contains("notebook_0_tensors"), "{help}");
    }

    #[test]
    fn lines_are_as_long_as_a_terminal_is_wide() {
        // 80 characters, which are more bytes.
        let fits = "²".repeat(80);
        let long = format!("{fits}.");
        let check = |text: &str, may_be_long: &[&str]| {
            std::panic::catch_unwind(|| fits_a_terminal(text, may_be_long)).is_ok()
        };
        assert!(check(&format!("{fits}\n{fits}\n"), &[]));
        assert!(!check(&format!("{fits}\n{long}\n"), &[]));
        assert!(check(&format!("{fits}\n{long}\n"), &["²²"]));
        assert!(!check(&format!("{long}\na{long}\n"), &["²²"]), "another line");
        assert!(!check(&fits, &["²²"]), "no longer needed");
    }
}
