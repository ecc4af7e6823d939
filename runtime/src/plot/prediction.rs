//! Predictions: an image beside the probabilities of its classes.

use ndarray::{Array2, ArrayView2};

use super::canvas::{Align, Area, Canvas};
use super::colors::{self, AXIS, GREY, GRID, INK, PALE};
use super::heading::headline;
use super::images::{image, snapped};
use super::output::{Look, Paint};
use super::outputs;
use super::scale::{Scale, range};
use crate::error::Result;

/// An image beside the probabilities of its classes, with the most likely one
/// highlighted.
///
/// ```
/// use bilro::data;
/// use bilro::plot::Prediction;
///
/// let digits = data::digits()?;
/// let pixels = digits.x();
/// let image = pixels.row(0).into_shape_with_order((8, 8)).unwrap();
/// let probabilities = [0.90, 0.01, 0.01, 0.01, 0.01, 0.02, 0.01, 0.01, 0.01, 0.01];
/// let picture = Prediction::new("A digit", image, &probabilities).truth(0);
/// assert!(picture.to_text(64, 14)?.contains("0.90"));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prediction {
    look: Look,
    image: Array2<f64>,
    light: bool,
    probabilities: Vec<f64>,
    classes: Vec<String>,
    truth: Option<usize>,
}

outputs!(Prediction);

/// The end of the axis, which leaves space for the number of a probability of 1.
const END: f64 = 1.1;
/// The maximum end of the axis, if a number and its mark need more space.
const MAX_END: f64 = 1.3;

impl Prediction {
    /// An image, rows by columns, with high values drawn as ink, and the probability of each
    /// class, from 0 to 1.
    pub fn new<T: Copy + Into<f64>>(
        title: impl Into<String>,
        image: ArrayView2<'_, f32>,
        probabilities: &[T],
    ) -> Prediction {
        Prediction {
            look: Look::new(title),
            image: image.mapv(f64::from),
            light: false,
            probabilities: probabilities.iter().map(|p| (*p).into()).collect(),
            classes: vec![],
            truth: None,
        }
    }

    /// The names of the classes; default their numbers, from 0.
    pub fn classes<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Prediction {
        self.classes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Marks the true class of the image.
    pub fn truth(mut self, class: usize) -> Prediction {
        self.truth = Some(class);
        self
    }

    /// Draws high values as light, as in photographs, not as ink.
    pub fn light(mut self) -> Prediction {
        self.light = true;
        self
    }

    fn name(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    fn check(&self) -> Result<()> {
        let count = self.probabilities.len();
        if !self.probabilities.iter().any(|p| p.is_finite()) {
            let message = "there is nothing to draw: no class has a finite probability";
            return Err(self.look.error(message));
        }
        let probability = |p: &f64| !p.is_finite() || (-1e-3..=1.001).contains(p);
        if let Some(class) = self.probabilities.iter().position(|p| !probability(p)) {
            return Err(self.look.error(format!(
                "class {class} has {}, but probabilities are from 0 to 1; give `softmax` of scores",
                self.probabilities[class]
            )));
        }
        if !self.classes.is_empty() && self.classes.len() != count {
            let names = self.classes.len();
            let message = format!("{count} classes have probabilities, but {names} have names");
            return Err(self.look.error(message));
        }
        if let Some(class) = self.truth.filter(|class| *class >= count) {
            let message = format!("its truth is class {class}, but there are {count} classes");
            return Err(self.look.error(message));
        }
        Ok(())
    }

    /// The label beside the bar of a class: its probability, and a mark if it is the true
    /// class.
    fn label(&self, class: usize) -> String {
        let mark = if self.truth == Some(class) { " ✓" } else { "" };
        format!("{:.2}{mark}", self.probabilities[class].clamp(0.0, 1.0))
    }

    /// Draws the image at the left, and returns the remaining area.
    fn image(&self, canvas: &Canvas<'_>, area: Area) -> Area {
        let (rows, columns) = self.image.dim();
        let Some((low, high)) = range(self.image.iter().copied()) else { return area };
        let width = 0.42 * area.width();
        let side = (width / columns as f64).min(area.height() / rows as f64);
        let side = snapped(canvas, side);
        let (width, height) = (columns as f64 * side, rows as f64 * side);
        let top = area.top + if canvas.coarse { 0.0 } else { (area.height() - height) / 2.0 };
        let (left, top) = canvas.aligned((area.left, top));
        image(canvas, &self.image, (left, top), side, |value| {
            let t = if low < high { (value - low) / (high - low) } else { 0.5 };
            match value.is_finite() {
                false => colors::PAPER,
                true => colors::grey(if self.light { 1.0 - t } else { t }),
            }
        });
        let frame = Area { left, top, right: left + width, bottom: top + height };
        if !canvas.coarse {
            canvas.outline(frame, AXIS, 1.0);
        }
        Area { left: frame.right + canvas.space(1.5), ..area }
    }

    /// The classes to show: the most likely ones, if not all fit.
    fn shown(&self, max: usize) -> Vec<usize> {
        let mut classes: Vec<usize> = (0..self.probabilities.len()).collect();
        let rank = |class: &usize| match self.probabilities[*class] {
            p if p.is_finite() => p,
            _ => f64::NEG_INFINITY,
        };
        classes.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        classes.truncate(max);
        classes.sort_unstable();
        classes
    }
}

impl Paint for Prediction {
    fn look(&self) -> &Look {
        &self.look
    }

    fn paint(&self, canvas: &Canvas<'_>, area: Area) -> Result<()> {
        self.check()?;
        let em = canvas.em;
        let mut area = headline(canvas, area, &self.look.title);
        let line = canvas.line_height();
        let rows = if canvas.coarse { em } else { 1.15 * em };
        let numbers = area.height() > 4.0 * line && area.width() > 16.0 * em;
        let named = numbers && area.height() > 7.0 * line;
        let bottom = area.bottom;
        area.bottom -= match (numbers, named) {
            (true, true) => 2.0 * line + canvas.gap(0.3),
            (true, false) => line,
            _ => 0.0,
        };
        let max_classes = ((area.height() / rows) as usize).max(1);
        let classes = self.shown(max_classes);
        let height = area.height() / classes.len() as f64;
        let height =
            if canvas.coarse { (height / em).floor().max(1.0) * em } else { height.min(4.0 * em) };
        let below_bars = area.top + height * classes.len() as f64;
        if !canvas.coarse {
            area.bottom = below_bars;
        }
        // In text the bars have full rows; the image may use the remaining ones.
        let area = Area { bottom: below_bars, ..self.image(canvas, area) };

        let names: Vec<String> = classes.iter().map(|c| self.name(*c)).collect();
        let lettered = numbers || area.width() > 6.0 * em;
        let max_width = 0.35 * area.width();
        let names = names.iter().map(|n| canvas.shortened(n, max_width, 1.0));
        let names: Vec<String> = if lettered { names.collect() } else { vec![] };
        let widest = names.iter().map(|n| canvas.width(n, 1.0)).fold(0.0, f64::max);
        let left = area.left + widest + if canvas.coarse { 2.0 } else { 0.5 * em };
        let bars = Area { left, bottom: area.top + height * classes.len() as f64, ..area };
        let scale = Scale::new(0.0, END);
        let beside = if canvas.coarse { 2.0 } else { 0.4 * em };
        let ends = classes.iter().map(|class| {
            let label = beside + canvas.width(&self.label(*class), 1.0);
            self.probabilities[*class].clamp(0.0, 1.0) / (1.0 - label / bars.width())
        });
        // Slightly more than needed, so that rounding does not make a label too long.
        let end = ends.map(|end| 1.001 * end).fold(END, f64::max);
        let end = if end <= MAX_END { end } else { END };
        let x = |value: f64| left + value / end * bars.width();

        if numbers {
            for max_ticks in (2..=6).rev() {
                let ticks = scale.ticks(max_ticks);
                let widest = ticks.iter().map(|t| canvas.width(&t.1, 1.0)).fold(0.0, f64::max);
                let step = bars.width() / end * ticks.get(1).map_or(END, |t| t.0);
                if step < widest + canvas.space(0.8) && max_ticks > 2 {
                    continue;
                }
                for (value, text) in ticks {
                    let position =
                        (x(value), bars.bottom + if canvas.coarse { em / 2.0 } else { 0.7 * line });
                    canvas.text(&text, position, Align::Center, GREY, 1.0);
                    if !canvas.coarse {
                        let (x, _) = position;
                        canvas.line(&[(x, bars.top), (x, bars.bottom)], GRID, 1.0, &[]);
                    }
                }
                break;
            }
        }
        if named {
            let all = self.probabilities.len();
            let name = match classes.len() == all {
                true => "probability".into(),
                false => format!("probability, the {} most likely of {all}", classes.len()),
            };
            let below = bars.bottom + if canvas.coarse { 1.5 * em } else { 1.9 * line };
            let name = canvas.shortened(&name, bars.width(), 1.0);
            let position = (bars.middle().0, below.min(bottom - line / 2.0));
            canvas.text(&name, position, Align::Center, GREY, 1.0);
        }
        let most_likely = self.shown(1).first().copied();
        for (i, class) in classes.iter().enumerate() {
            let top = bars.top + i as f64 * height;
            let middle = if canvas.coarse { top + em / 2.0 } else { top + height / 2.0 };
            let best = most_likely == Some(*class);
            if let Some(name) = names.get(i) {
                let position = (left - if canvas.coarse { 2.0 } else { 0.4 * em }, middle);
                canvas.text(name, position, Align::Right, if best { INK } else { GREY }, 1.0);
            }
            let p = self.probabilities[*class];
            if !p.is_finite() {
                continue;
            }
            let p = p.clamp(0.0, 1.0);
            let inset = if canvas.coarse { 0.0 } else { 0.14 * height };
            let thick = if canvas.coarse { em } else { height };
            let (top, bottom) = (top + inset, top + thick - inset);
            let bar = Area { left, top, right: x(p), bottom };
            canvas.fill(bar, if best { colors::series(0) } else { PALE });
            let truth = self.truth == Some(*class);
            let text = self.label(*class);
            let label_left = bar.right.max(left) + beside;
            let fits = label_left + canvas.width(&text, 1.0) <= area.right + 0.01;
            if lettered && fits {
                canvas.text(
                    &text,
                    (label_left, middle),
                    Align::Left,
                    if best || truth { INK } else { GREY },
                    1.0,
                );
            } else if lettered && bar.width() > canvas.width(&text, 1.0) + em {
                let color = if best { colors::PAPER } else { INK };
                canvas.text(&text, (bar.right - 0.4 * em, middle), Align::Right, color, 1.0);
            }
        }
        if !canvas.coarse {
            canvas.line(&[(left, bars.top), (left, bars.bottom)], AXIS, 1.0, &[]);
        }
        Ok(())
    }
}
