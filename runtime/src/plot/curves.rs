//! Curves: losses and metrics over epochs or steps.

use super::axes::{Axes, Axis, Style};
use super::canvas::{Align, Area, Canvas};
use super::colors::{self, Color, GREY};
use super::heading::{Entry, Sample, heading};
use super::output::{Look, Paint};
use super::outputs;
use super::scale::{Scale, short};
use crate::error::Result;

/// Losses or metrics over epochs or steps.
///
/// ```
/// use bilro::plot::Curves;
///
/// let picture = Curves::new("accuracy").y("accuracy").range(0.0, 1.0);
/// let text = picture.series("test", &[0.31f32, 0.66, 0.81, 0.85]).to_text(40, 12)?;
/// assert!(text.contains("epoch"));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Curves {
    look: Look,
    x: String,
    y: String,
    log: bool,
    range: Option<(f64, f64)>,
    series: Vec<Series>,
    stop: Option<f64>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

outputs!(Curves);

impl Curves {
    /// A picture without curves, over epochs.
    pub fn new(title: impl Into<String>) -> Curves {
        Curves {
            look: Look::new(title),
            x: "epoch".into(),
            y: String::new(),
            log: false,
            range: None,
            series: vec![],
            stop: None,
        }
    }

    /// The name of the horizontal axis; default `epoch`.
    pub fn x(mut self, name: impl Into<String>) -> Curves {
        self.x = name.into();
        self
    }

    /// The name of the vertical axis, with its unit; default empty.
    pub fn y(mut self, name: impl Into<String>) -> Curves {
        self.y = name.into();
        self
    }

    /// A logarithmic vertical axis; numbers that are not positive are gaps.
    pub fn log(mut self) -> Curves {
        self.log = true;
        self
    }

    /// The ends of the vertical axis; by default around all numbers.
    pub fn range(mut self, low: f64, high: f64) -> Curves {
        self.range = Some((low, high));
        self
    }

    /// Adds a curve: a number for each epoch or step, counted from 1.
    pub fn series<T: Copy + Into<f64>>(self, name: impl Into<String>, values: &[T]) -> Curves {
        let points = values.iter().enumerate().map(|(i, v)| ((i + 1) as f64, (*v).into()));
        self.with(name.into(), points.collect())
    }

    /// Adds a curve through these points, in this order.
    pub fn points(self, name: impl Into<String>, points: &[(f64, f64)]) -> Curves {
        self.with(name.into(), points.to_vec())
    }

    fn with(mut self, name: String, points: Vec<(f64, f64)>) -> Curves {
        self.series.push(Series { name, points });
        self
    }

    /// Marks an epoch or step: the end of training, or the best time for it.
    pub fn stop_at(mut self, x: f64) -> Curves {
        self.stop = Some(x).filter(|x| x.is_finite());
        self
    }

    fn scales(&self) -> Result<(Scale, Scale)> {
        let visible =
            |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite() && (!self.log || p.1 > 0.0);
        let points = || self.series.iter().flat_map(|s| &s.points).filter(visible);
        let y = match self.log {
            true => Scale::around_log(points().map(|p| p.1)),
            false => Scale::around(points().map(|p| p.1)),
        };
        let x = Scale::around(points().map(|p| p.0).chain(self.stop));
        let (Some(x), Some(y)) = (x, y) else {
            let kind = if self.log { "positive finite" } else { "finite" };
            let message =
                format!("there is nothing to draw: no curve has a {kind} number; give `series`");
            return Err(self.look.error(message));
        };
        let integers = points().map(|p| p.0).chain(self.stop).all(|x| x.fract() == 0.0);
        let x = if integers { x.integers() } else { x };
        let y = match self.range {
            None => y.with_margin(0.05),
            Some((low, high)) => {
                let positive = !self.log || low > 0.0;
                if !(low < high && low.is_finite() && high.is_finite() && positive) {
                    let kind = if self.log { "positive" } else { "finite" };
                    return Err(self.look.error(format!(
                        "its range is from {low} to {high}, but must go up, from and to {kind} numbers"
                    )));
                }
                Scale { low, high, ..y }
            }
        };
        Ok((x, y))
    }
}

/// Dash patterns of lines with a repeated colour, in pixels.
const DASHES: [&[f64]; 3] = [&[], &[7.0, 4.0], &[2.0, 3.0]];

/// Colour and pattern of a curve.
pub(super) fn stroke(index: usize) -> (Color, &'static [f64]) {
    (colors::series(index), DASHES[colors::round(index) % DASHES.len()])
}

/// The entry of a curve in the legend.
pub(super) fn entry(index: usize, name: &str) -> Entry<'_> {
    let (color, dashes) = stroke(index);
    // The first curve is distinguished by having no sign.
    Entry { name, sample: Sample::Line { color, dashes, sign: index.checked_sub(1) } }
}

/// Draws a curve, with its signs in text without colours.
pub(super) fn curve(
    canvas: &Canvas<'_>,
    axes: &Axes,
    index: usize,
    points: impl IntoIterator<Item = (f64, f64)> + Clone,
) {
    let (color, dashes) = stroke(index);
    axes.line(canvas, points.clone(), color, 2.0, dashes);
    let (true, Some(sign)) = (canvas.coarse, index.checked_sub(1)) else { return };
    // Every twelve columns, at different columns for each curve.
    let mut next = axes.plot.left + 2.0 * ((4 * index) % 12) as f64;
    for position in points.into_iter().filter_map(|p| axes.at(p)).filter(|p| axes.shows(*p)) {
        if position.0 >= next {
            canvas.mark(sign, position, color, 0.0);
            next = position.0 + 24.0;
        }
    }
}

impl Paint for Curves {
    fn look(&self) -> &Look {
        &self.look
    }

    fn paint(&self, canvas: &Canvas<'_>, area: Area) -> Result<()> {
        let (x, y) = self.scales()?;
        let entries: Vec<_> =
            self.series.iter().enumerate().map(|(i, s)| entry(i, &s.name)).collect();
        let area = heading(canvas, area, &self.look.title, &entries);
        let (x, y) = (Axis { name: &self.x, scale: x }, Axis { name: &self.y, scale: y });
        let axes = Axes::draw(canvas, area, &x, &y, Style::Grid, self.stop.is_some());
        if let Some(stop) = self.stop.and_then(|stop| axes.x(stop)) {
            let line = [(stop, axes.plot.top), (stop, axes.plot.bottom)];
            canvas.line(&line, colors::AXIS, 1.2, if canvas.coarse { &[] } else { &[4.0, 3.0] });
        }
        for (i, series) in self.series.iter().enumerate() {
            curve(canvas, &axes, i, series.points.iter().copied());
        }
        let (Some(at), Some(stop)) = (self.stop, self.stop.and_then(|stop| axes.x(stop))) else {
            return Ok(());
        };
        for (i, series) in self.series.iter().enumerate() {
            let at_stop = series.points.iter().filter(|p| p.0 == at).filter_map(|p| axes.at(*p));
            for position in at_stop.filter(|p| axes.shows(*p)) {
                match canvas.coarse {
                    true => canvas.text("●", position, Align::Left, stroke(i).0, 1.0),
                    false => canvas.mark(0, position, stroke(i).0, 4.5),
                }
            }
        }
        // In the line above, beside the name of the axis.
        if let Some((middle, from)) = axes.above {
            let text = format!(
                "stop at {}",
                if at.fract() == 0.0 && at.abs() < 1e15 { format!("{at}") } else { short(at) }
            );
            let half = canvas.width(&text, 1.0) / 2.0;
            let left = if from > area.left { from + canvas.space(1.0) } else { from };
            let center = stop.max(left + half).min(area.right - half);
            if center - half >= left {
                canvas.text(&text, (center, middle), Align::Center, GREY, 1.0);
            }
        }
        Ok(())
    }
}
