//! Pictures of confusion matrices.

use ndarray::Array2;

use super::canvas::{Align, Area, Canvas};
use super::colors::{self, GREY, GRID, INK, PAPER};
use super::heading::headline;
use super::output::{Look, Paint};
use super::outputs;
use crate::error::Result;
use crate::metrics;

/// The counts of predicted classes (columns) for each true class (rows), shaded by the
/// fraction of the row's examples; examples without a prediction are in no column.
///
/// ```
/// use bilro::{metrics, plot};
/// use bilro::ndarray::array;
///
/// let (targets, predictions) = (array![0, 0, 1, 1, 2], array![0, 1, 1, 1, 2]);
/// let confusion = metrics::ConfusionMatrix::new(&targets, &predictions, 3)?;
/// let confusion = confusion.named(["cat", "dog", "owl"])?;
/// let picture = plot::ConfusionMatrix::new("test", &confusion);
/// assert!(picture.to_text(40, 10)?.contains("owl"));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConfusionMatrix {
    look: Look,
    counts: Array2<u64>,
    /// The number of examples of each true class, including those without a prediction.
    examples: Vec<u64>,
    classes: Vec<String>,
}

outputs!(ConfusionMatrix);

impl ConfusionMatrix {
    /// The counts of a confusion matrix, and the names of its classes.
    pub fn new(title: impl Into<String>, confusion: &metrics::ConfusionMatrix) -> ConfusionMatrix {
        ConfusionMatrix {
            look: Look::new(title).of_shape(640, 560),
            counts: confusion.counts().to_owned(),
            examples: (0..confusion.classes())
                .map(|c| confusion.counts().row(c).sum() + confusion.unpredicted()[c])
                .collect(),
            classes: confusion.names().to_vec(),
        }
    }

    fn check(&self) -> Result<()> {
        match self.counts.is_empty() {
            true => Err(self.look.error("there is nothing to draw: it has no classes")),
            false => Ok(()),
        }
    }
}

impl Paint for ConfusionMatrix {
    fn look(&self) -> &Look {
        &self.look
    }

    fn paint(&self, canvas: &Canvas<'_>, area: Area) -> Result<()> {
        self.check()?;
        let (em, line) = (canvas.em, canvas.line_height());
        let count = self.counts.nrows();
        let mut area = headline(canvas, area, &self.look.title);
        let lettered = area.height() > 4.0 * line && area.width() > 8.0 * em;
        let axes = lettered && area.height() > line * (3.0 + count as f64);

        let mut rows: Vec<String> = match self.classes.len() {
            0 => (0..count).map(|c| c.to_string()).collect(),
            _ => self.classes.clone(),
        };
        let mut columns = rows.clone();
        let widths =
            |names: &[String]| names.iter().map(|n| canvas.width(n, 1.0)).fold(0.0, f64::max);
        let space = canvas.space(0.5);
        let cell = |left: f64| (area.right - left) / count as f64;
        // If the names do not fit over the columns, these have numbers, and the rows have
        // numbers before their names.
        let guess = widths(&rows).min(0.4 * area.width());
        if !self.classes.is_empty() && widths(&columns) + space > cell(area.left + guess + space) {
            columns = (0..count).map(|c| c.to_string()).collect();
            let width = columns.last().map_or(1, String::len);
            rows = rows.iter().enumerate().map(|(i, n)| format!("{i:>width$} {n}")).collect();
        }
        let rows: Vec<String> =
            rows.iter().map(|n| canvas.shortened(n, 0.4 * area.width(), 1.0)).collect();

        let mut left = area.left;
        if lettered {
            let corner = if axes { canvas.width("true", 1.0) } else { 0.0 };
            left += widths(&rows).max(corner) + space;
            if axes {
                area.top += line;
            }
            area.top += line + canvas.gap(0.1);
        }
        let (mut width, mut height) = (cell(left), (area.bottom - area.top) / count as f64);
        // Not much wider than high; a multiple of cells or pixels.
        let (w, h) = if canvas.coarse { (2.0, em) } else { (canvas.pixel(), canvas.pixel()) };
        height = height.min(if canvas.coarse { 3.0 * em } else { width });
        width = width.min(if canvas.coarse { height * 2.0 + 12.0 } else { 1.9 * height });
        let widest =
            self.counts.iter().map(|n| canvas.width(&n.to_string(), 1.0)).fold(0.0, f64::max);
        if canvas.coarse {
            width = width.max(widest + 2.0).min(cell(left));
        }
        (width, height) = ((width / w).floor() * w, (height / h).floor() * h);
        let (left, top) = canvas.aligned((left, area.top));
        if width < 1.0 || height < 1.0 {
            return Ok(());
        }
        let middle = |from: f64, size: f64, i: usize| from + (i as f64 + 0.5) * size;
        if lettered {
            let names_at = top - line / 2.0 - canvas.gap(0.1);
            if axes {
                let position = (left + count as f64 * width / 2.0, names_at - line);
                canvas.text("predicted", position, Align::Center, GREY, 1.0);
                canvas.text("true", (left - space, names_at), Align::Right, GREY, 1.0);
            }
            // Every n-th name, if not all fit.
            let every = ((widths(&columns) + space / 2.0) / width).ceil().max(1.0) as usize;
            for (i, name) in columns.iter().enumerate().step_by(every) {
                canvas.text(name, (middle(left, width, i), names_at), Align::Center, INK, 1.0);
            }
            let every = (em / height).ceil().max(1.0) as usize;
            for (i, name) in rows.iter().enumerate().step_by(every) {
                let y = middle(top, height, i);
                canvas.text(name, (left - space, y), Align::Right, INK, 1.0);
            }
        }
        for (r, row) in self.counts.rows().into_iter().enumerate() {
            let sum = self.examples[r].max(1) as f64;
            for (c, n) in row.iter().enumerate() {
                let cell = Area {
                    left: left + c as f64 * width,
                    top: top + r as f64 * height,
                    right: left + (c + 1) as f64 * width,
                    bottom: top + (r + 1) as f64 * height,
                };
                let color = colors::sequential(0.95 * *n as f64 / sum);
                canvas.fill(cell, color);
                let text = if *n == 0 && canvas.coarse { "·".into() } else { n.to_string() };
                if canvas.width(&text, 1.0) <= width - 1.0 && height >= 0.95 * em {
                    let ink = match colors::is_dark(color) {
                        true => PAPER,
                        false if *n == 0 => colors::AXIS,
                        false => INK,
                    };
                    canvas.text(&text, cell.middle(), Align::Center, ink, 1.0);
                }
            }
        }
        if !canvas.coarse {
            let (right, bottom) = (left + count as f64 * width, top + count as f64 * height);
            for i in 0..=count {
                let (x, y) = (left + i as f64 * width, top + i as f64 * height);
                canvas.line(&[(x, top), (x, bottom)], GRID, 1.0, &[]);
                canvas.line(&[(left, y), (right, y)], GRID, 1.0, &[]);
            }
        }
        Ok(())
    }
}
