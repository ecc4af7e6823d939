//! Races: paths of optimizers on the contours of a function.

use ndarray::Array2;

use super::axes::{Axes, Axis, Style};
use super::canvas::{Align, Area, Canvas};
use super::colors::{self, Color, INK};
use super::contours::contours;
use super::curves::{curve, entry, stroke};
use super::heading::heading;
use super::output::{Look, Paint};
use super::outputs;
use super::scale::Scale;
use crate::error::Result;

/// The paths of optimizers over the contour lines of a function of two
/// variables, and beside them its values along each path.
///
/// ```
/// use bilro::plot::Race;
///
/// let bowl = |x: f64, y: f64| x * x + 10.0 * y * y;
/// let mut path = vec![[-4.0, 1.5]];
/// for i in 0..30 {
///     let [x, y] = path[i];
///     path.push([x - 0.05 * 2.0 * x, y - 0.05 * 20.0 * y]);
/// }
/// let picture = Race::new("SGD in a bowl", (-5.0, 5.0), (-2.0, 2.0), bowl).path("SGD", &path);
/// assert!(picture.svg()?.contains("SGD in a bowl"));
/// # Ok::<(), bilro::Error>(())
/// ```
pub struct Race<'f> {
    look: Look,
    names: (String, String, String),
    x: (f64, f64),
    y: (f64, f64),
    function: Box<dyn Fn(f64, f64) -> f64 + 'f>,
    paths: Vec<(String, Vec<(f64, f64)>)>,
    minimum: Option<(f64, f64)>,
}

outputs!(Race<'f>);

/// Rows and columns of the grid on which the function is computed.
const GRID: usize = 241;

impl<'f> Race<'f> {
    /// A function over these ranges, without paths.
    pub fn new(
        title: impl Into<String>,
        x: (f64, f64),
        y: (f64, f64),
        function: impl Fn(f64, f64) -> f64 + 'f,
    ) -> Race<'f> {
        Race {
            look: Look::new(title).of_shape(1000, 460),
            names: ("x".into(), "y".into(), "f(x, y)".into()),
            x,
            y,
            function: Box::new(function),
            paths: vec![],
            minimum: None,
        }
    }

    /// The names of the variables and of the function's value; default `x`, `y` and
    /// `f(x, y)`.
    pub fn axes(
        mut self,
        x: impl Into<String>,
        y: impl Into<String>,
        value: impl Into<String>,
    ) -> Race<'f> {
        self.names = (x.into(), y.into(), value.into());
        self
    }

    /// Adds an optimizer: its starting point, and the point after each step.
    pub fn path<T: Copy + Into<f64>>(
        mut self,
        name: impl Into<String>,
        points: &[[T; 2]],
    ) -> Race<'f> {
        let points = points.iter().map(|[x, y]| ((*x).into(), (*y).into()));
        self.paths.push((name.into(), points.collect()));
        self
    }

    /// Marks the minimum of the function.
    pub fn minimum(mut self, x: f64, y: f64) -> Race<'f> {
        self.minimum = Some((x, y));
        self
    }

    fn map(&self, canvas: &Canvas<'_>, area: Area, values: &Array2<f64>) {
        let (x, y) = (Scale::new(self.x.0, self.x.1), Scale::new(self.y.0, self.y.1));
        let (x, y) =
            (Axis { name: &self.names.0, scale: x }, Axis { name: &self.names.1, scale: y });
        let axes = Axes::draw(canvas, area, &x, &y, Style::Frame, false);
        let levels = levels(values, if canvas.coarse { 3 } else { 14 });
        let along = |(low, high): (f64, f64), i: f64| low + (high - low) * i / (GRID - 1) as f64;
        for (i, level) in levels.iter().enumerate() {
            // Darker towards the minimum, where the paths lead.
            let t = i as f64 / levels.len() as f64;
            let color = colors::mix(Color(0xa0, 0xa8, 0xb0), Color(0xdc, 0xde, 0xe0), t);
            let color = if canvas.coarse { Color(0xb0, 0xb0, 0xb0) } else { color };
            for line in contours(values.view(), *level) {
                let line = line.into_iter().map(|(c, r)| (along(self.x, c), along(self.y, r)));
                axes.line(canvas, line, color, 1.0, &[]);
            }
        }
        for (i, (_, points)) in self.paths.iter().enumerate() {
            curve(canvas, &axes, i, points.iter().copied());
            let position = |p: &(f64, f64)| axes.at(*p).filter(|p| axes.shows(*p));
            if points.len() <= 60 && !canvas.coarse {
                for position in points.iter().filter_map(position) {
                    canvas.mark(0, position, stroke(i).0, 1.8);
                }
            }
        }
        for (i, (_, points)) in self.paths.iter().enumerate() {
            let position = |p: &(f64, f64)| axes.at(*p).filter(|p| axes.shows(*p));
            if let Some(start) = points.first().and_then(position) {
                match canvas.coarse {
                    true => canvas.text("●", start, Align::Left, INK, 1.0),
                    false => canvas.mark(0, start, INK, 4.0),
                }
            }
            if let (Some(end), false) = (points.last().and_then(position), canvas.coarse) {
                // Marks shrink from path to path, so that marks at the same point are all visible.
                let above = (self.paths.len() - 1 - i).min(6) as f64;
                canvas.mark(i, end, stroke(i).0, 4.2 + 1.2 * above);
            }
        }
        let Some(minimum) = self.minimum.and_then(|m| axes.at(m)).filter(|p| axes.shows(*p)) else {
            return;
        };
        if canvas.coarse {
            canvas.text("×", minimum, Align::Left, INK, 1.0);
            return;
        }
        let r = canvas.px(5.0);
        for (dx, dy) in [(r, r), (r, -r)] {
            let cross = [(minimum.0 - dx, minimum.1 - dy), (minimum.0 + dx, minimum.1 + dy)];
            canvas.line(&cross, INK, 1.8, &[]);
        }
    }
}

/// `count` levels for contour lines, denser where the function is low, to show deep
/// valleys.
fn levels(values: &Array2<f64>, count: usize) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return vec![] };
    let quantile = |i: usize| ((i + 1) as f64 / (count + 1) as f64).powf(1.6);
    let mut levels: Vec<f64> =
        (0..count).map(|i| sorted[(quantile(i) * last as f64) as usize]).collect();
    levels.dedup();
    levels
}

impl Paint for Race<'_> {
    fn look(&self) -> &Look {
        &self.look
    }

    fn paint(&self, canvas: &Canvas<'_>, area: Area) -> Result<()> {
        for (name, (low, high)) in [("x", self.x), ("y", self.y)] {
            if !(low < high && low.is_finite() && high.is_finite()) {
                let message =
                    format!("its range of {name} is from {low} to {high}, but must go up");
                return Err(self.look.error(message));
            }
        }
        let along =
            |(low, high): (f64, f64), i: usize| low + (high - low) * i as f64 / (GRID - 1) as f64;
        let values = Array2::from_shape_fn((GRID, GRID), |(r, c)| {
            (self.function)(along(self.x, c), along(self.y, r))
        });
        let losses: Vec<Vec<(f64, f64)>> = self
            .paths
            .iter()
            .map(|(_, points)| {
                let values = points.iter().map(|(x, y)| (self.function)(*x, *y));
                values.enumerate().map(|(i, v)| (i as f64, v)).collect()
            })
            .collect();
        let finite = |v: &f64| v.is_finite();
        let all = || losses.iter().flatten().map(|p| p.1).filter(finite);
        let Some((low, high)) = super::scale::range(all()) else {
            let message = "there is nothing to draw: the function is finite nowhere on a path";
            return Err(self.look.error(message));
        };
        let entries: Vec<_> =
            self.paths.iter().enumerate().map(|(i, path)| entry(i, &path.0)).collect();
        let area = heading(canvas, area, &self.look.title, &entries);
        let gap = canvas.space(1.5);
        let beside = area.width() > 1.1 * area.height();
        let (map, curves) = if beside {
            let width = canvas.aligned((0.56 * (area.width() - gap), 0.0)).0;
            let map = Area { right: area.left + width, ..area };
            (map, Area { left: map.right + gap, ..area })
        } else {
            let height = canvas.aligned((0.0, 0.56 * area.height())).1;
            let map = Area { bottom: area.top + height, ..area };
            (map, Area { top: map.bottom + canvas.gap(0.8), ..area })
        };
        self.map(canvas, map, &values);

        let steps = losses.iter().map(Vec::len).max().unwrap_or(1).max(2) - 1;
        // Logarithmic if the values cover more than two powers of ten.
        let log = low > 0.0 && high / low > 100.0;
        let y = if log { Scale::around_log(all()) } else { Scale::around(all()) };
        let y = y.unwrap_or(Scale::new(low, high)).with_margin(0.04);
        let x = Axis { name: "step", scale: Scale::new(0.0, steps as f64).integers() };
        let axes = Axes::draw(
            canvas,
            curves,
            &x,
            &Axis { name: &self.names.2, scale: y },
            Style::Grid,
            false,
        );
        for (i, losses) in losses.iter().enumerate() {
            curve(canvas, &axes, i, losses.iter().copied());
        }
        Ok(())
    }
}
