//! Panels: several pictures side by side.

use super::canvas::{Area, Canvas};
use super::heading::headline;
use super::output::{Look, Paint};
use super::{Picture, outputs};
use crate::error::Result;

/// Several pictures in one, row after row, each with its own title.
///
/// ```
/// use bilro::plot::{Curves, Panels};
///
/// let under = Curves::new("underfitting").series("train", &[0.9, 0.85, 0.83, 0.82]);
/// let over = Curves::new("overfitting").series("train", &[0.5, 0.2, 0.05, 0.01]);
/// let picture = Panels::new("").panel(under).panel(over).size(1200, 400);
/// assert!(picture.svg()?.contains("overfitting"));
/// # Ok::<(), bilro::Error>(())
/// ```
pub struct Panels<'p> {
    look: Look,
    columns: Option<usize>,
    panels: Vec<Box<dyn Picture + 'p>>,
}

outputs!(Panels<'p>);

impl<'p> Panels<'p> {
    /// Panels without pictures, with a title over all of them, which may be empty.
    pub fn new(title: impl Into<String>) -> Panels<'p> {
        Panels { look: Look::new(title), columns: None, panels: vec![] }
    }

    /// Adds a picture. Its size is ignored: all panels have the same size.
    pub fn panel(mut self, picture: impl Picture + 'p) -> Panels<'p> {
        self.panels.push(Box::new(picture));
        self
    }

    /// The number of pictures in a row; default all of up to three, else as close to a
    /// square as possible.
    pub fn columns(mut self, columns: usize) -> Panels<'p> {
        self.columns = Some(columns.max(1));
        self
    }
}

impl Paint for Panels<'_> {
    fn look(&self) -> &Look {
        &self.look
    }

    fn paint(&self, canvas: &Canvas<'_>, area: Area) -> Result<()> {
        if self.panels.is_empty() {
            return Err(self.look.error("there is nothing to draw: give it a `panel`"));
        }
        let area = headline(canvas, area, &self.look.title);
        let count = self.panels.len();
        let columns = self.columns.unwrap_or(match count {
            0..=3 => count,
            _ => (count as f64).sqrt().ceil() as usize,
        });
        let columns = columns.min(count);
        let rows = count.div_ceil(columns);
        let gap = (canvas.space(1.5), if canvas.coarse { 0.0 } else { canvas.gap(0.8) });
        let (column, row) = if canvas.coarse { (2.0, canvas.em) } else { (1.0, 1.0) };
        let side = |total: f64, gap: f64, count: usize, unit: f64| {
            ((total - gap * (count - 1) as f64) / count as f64 / unit).floor() * unit
        };
        let width = side(area.width(), gap.0, columns, column);
        let height = side(area.height(), gap.1, rows, row);
        if width < canvas.em || height < canvas.em {
            return Ok(());
        }
        for (i, panel) in self.panels.iter().enumerate() {
            let left = area.left + (i % columns) as f64 * (width + gap.0);
            let top = area.top + (i / columns) as f64 * (height + gap.1);
            let area = Area { left, top, right: left + width, bottom: top + height };
            panel.paint(canvas, area)?;
        }
        Ok(())
    }
}
