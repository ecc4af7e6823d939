//! Shared code of the notebooks: a report with text, pictures, and each of the
//! notebook's figures beside ours.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;

/// Runs a notebook without options by [`show`]: `--help` describes it, any
/// other argument is an error.
pub fn show_without_options(
    about: &'static str,
    notebook: impl FnOnce(&mut Report<'_>) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    command(about).get_matches();
    show(notebook)
}

/// A command line without options. Usage shows the name of the called program.
fn command(about: &'static str) -> Command {
    Command::new("notebook")
        .about(about)
        .after_help("It takes no options. Its pictures are in target/notebooks.")
}

/// Runs a notebook and writes its report to standard output. A closed pipe is
/// not an error.
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

/// A notebook's output, for a test, which requires that all of its `figures`
/// agree.
///
/// # Panics
/// If the notebook fails, or a figure differs or is missing.
pub fn output_of(
    notebook: impl FnOnce(&mut Report<'_>) -> Result<(), Box<dyn Error>>,
    figures: usize,
) -> String {
    let mut out = Vec::new();
    let mut report = Report::new(&mut out);
    notebook(&mut report).unwrap_or_else(|error| panic!("the notebook fails: {error}"));
    report.check(figures);
    String::from_utf8(out).expect("reports are UTF-8")
}

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// Requires the lines of a notebook's output to fit a terminal of 80 columns,
/// except lines with these starts: rows of tables, and quotations.
///
/// # Panics
/// If another line is longer, or an exception is not needed.
pub fn assert_fits_terminal(text: &str, exceptions: &[&str]) {
    let long = || text.lines().filter(|line| line.chars().count() > COLUMNS);
    let allowed = |line: &&str| exceptions.iter().any(|start| line.starts_with(start));
    let wrong: Vec<&str> = long().filter(|line| !allowed(line)).collect();
    assert!(wrong.is_empty(), "lines are longer than {COLUMNS} columns: {wrong:#?}");
    for start in exceptions {
        assert!(long().any(|line| line.starts_with(start)), "no long line starts with `{start}`");
    }
}

/// A notebook's output, to a terminal or to a test.
pub struct Report<'a> {
    out: &'a mut dyn Write,
    figures: Vec<Figure>,
    folder: PathBuf,
}

/// A number that the notebook prints, or that a reader can work out by hand.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// The figure's name.
    pub name: String,
    /// bilro's value.
    pub ours: f64,
    /// The notebook's value, or the one worked out by hand.
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

    /// The heading of a section.
    pub fn section(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "\n{title}\n{}", "-".repeat(title.chars().count()))
    }

    /// Explanations.
    pub fn text(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A figure of the notebook, as printed there, beside ours with the same
    /// number of digits.
    ///
    /// # Panics
    /// If `notebook` is not a number: a mistake in the example.
    pub fn figure(&mut self, name: &str, ours: f64, notebook: &str) -> io::Result<()> {
        self.compare(name, ours, "notebook", notebook)
    }

    /// The same beside a value that a reader can work out with paper and pencil.
    ///
    /// # Panics
    /// As [`Report::figure`].
    pub fn by_hand(&mut self, name: &str, ours: f64, worked_out: &str) -> io::Result<()> {
        self.compare(name, ours, "by hand", worked_out)
    }

    fn compare(&mut self, name: &str, ours: f64, source: &str, number: &str) -> io::Result<()> {
        let value: f64 = number.parse().expect("figures are numbers");
        let digits = number.split_once('.').map_or(0, |(_, digits)| digits.len());
        // Half a unit of the last digit, plus the rounding to f32; without digits
        // after the point it is an integer.
        let half = if digits == 0 { 0.0 } else { 0.5 * 10f64.powi(-(digits as i32)) };
        let tolerance = half + 2e-7 * value.abs();
        let figure = Figure { name: name.into(), ours, notebook: value, tolerance };
        let verdict = if figure.agrees() { "" } else { "   differs" };
        writeln!(self.out, "  {name:<44} {ours:>14.digits$}   {source} {number}{verdict}")?;
        self.figures.push(figure);
        Ok(())
    }

    /// The path for a picture.
    pub fn picture(&mut self, name: &str) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        writeln!(self.out, "  picture: target/notebooks/{name}")?;
        std::fs::create_dir_all(&self.folder)?;
        Ok(path)
    }

    /// Saves a picture as SVG and as PNG: `save` is called with each path.
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

    /// Requires `count` figures, and all of them to agree.
    ///
    /// # Panics
    /// If a figure differs or is missing.
    pub fn check(&self, count: usize) {
        let wrong: Vec<&Figure> = self.figures.iter().filter(|figure| !figure.agrees()).collect();
        assert!(wrong.is_empty(), "figures differ from the notebook's: {wrong:#?}");
        assert_eq!(self.figures.len(), count, "figures of the notebook");
    }
}

#[cfg(test)]
mod tests {
    use super::{assert_fits_terminal, command};
    use clap::error::ErrorKind;

    #[test]
    fn a_notebook_without_options_rejects_arguments_and_prints_help() {
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
    fn lines_longer_than_a_terminal_need_an_exception() {
        // 80 characters, which are more bytes.
        let fits = "²".repeat(80);
        let long = format!("{fits}.");
        let check = |text: &str, exceptions: &[&str]| {
            std::panic::catch_unwind(|| assert_fits_terminal(text, exceptions)).is_ok()
        };
        assert!(check(&format!("{fits}\n{fits}\n"), &[]));
        assert!(!check(&format!("{fits}\n{long}\n"), &[]));
        assert!(check(&format!("{fits}\n{long}\n"), &["²²"]));
        assert!(!check(&format!("{long}\na{long}\n"), &["²²"]), "another line");
        assert!(!check(&fits, &["²²"]), "no longer needed");
    }
}
