//! Points in the plane, with decision lines and regions.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::axes::{Axes, Axis, Style};
use super::canvas::{Area, Canvas};
use super::colors::{self, Color, INK, PAPER};
use super::contours::contours;
use super::heading::{Entry, Sample, heading};
use super::output::{Look, Paint};
use super::outputs;
use super::scale::{Scale, range};
use crate::error::{Error, Result};

/// Points of several classes, with decision regions and decision lines: the last line is
/// strong, earlier ones are fainter the older they are.
///
/// ```
/// use bilro::plot::Plane;
///
/// let mut picture = Plane::new("a perceptron")
///     .points("blue", &[[0.2, 0.3], [0.3, 0.1]])
///     .points("red", &[[0.8, 0.9], [0.7, 0.6]]);
/// for bias in [-0.4, -0.7, -1.0] {
///     picture = picture.line([1.0, 1.0], bias);
/// }
/// assert!(picture.svg()?.contains("red"));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plane {
    look: Look,
    names: (String, String),
    ranges: (Range, Range),
    classes: Vec<(String, Vec<(f64, f64)>)>,
    lines: Vec<([f64; 2], f64)>,
    regions: Option<Regions>,
    mistake: Option<String>,
}

/// The ends of an axis, if they are set.
type Range = Option<(f64, f64)>;

#[derive(Clone, Debug)]
struct Regions {
    /// The first row is at the low end of `y`.
    values: Array2<f64>,
    /// Whether values are classes, not probabilities of class 1.
    classes: bool,
    x: (f64, f64),
    y: (f64, f64),
}

outputs!(Plane);

/// The maximum number of points of a [`grid`]: more than there are pixels.
const MAX_POINTS: usize = 1 << 24;

/// Points at which to evaluate a network for regions: `[rows · columns, 2]`, row by row,
/// the lowest first, from end to end of both ranges.
///
/// The results for them, reshaped to `[rows, columns]`, are the arguments of
/// [`Plane::regions`] and [`Plane::class_regions`].
///
/// # Errors
/// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for no rows or no columns, for more
/// than 2²⁴ points, and for ranges whose ends are not finite in `f32`.
pub fn grid(x: (f64, f64), y: (f64, f64), rows: usize, columns: usize) -> Result<Array2<f32>> {
    let invalid = |name: &str, expected: String, found: String| Error::InvalidArgument {
        name: name.into(),
        expected,
        found,
    };
    let points = rows.checked_mul(columns).filter(|n| (1..=MAX_POINTS).contains(n));
    let Some(points) = points else {
        let expected = format!("at least 1×1, and at most {MAX_POINTS} points together");
        return Err(invalid("rows and columns", expected, format!("{rows}×{columns}")));
    };
    for (name, (low, high)) in [("range of x", x), ("range of y", y)] {
        if !((low as f32).is_finite() && (high as f32).is_finite()) {
            let found = format!("from {low} to {high}");
            return Err(invalid(name, "from and to finite numbers".into(), found));
        }
    }
    let coordinate = |(low, high): (f64, f64), i: usize, count: usize| match count {
        0 | 1 => ((low + high) / 2.0) as f32,
        _ => (low + (high - low) * (i as f64 / (count - 1) as f64)) as f32,
    };
    Ok(Array2::from_shape_fn((points, 2), |(i, axis)| match axis {
        0 => coordinate(x, i % columns, columns),
        _ => coordinate(y, i / columns, rows),
    }))
}

impl Plane {
    /// A picture without points.
    pub fn new(title: impl Into<String>) -> Plane {
        Plane {
            look: Look::new(title),
            names: ("x₁".into(), "x₂".into()),
            ranges: (None, None),
            classes: vec![],
            lines: vec![],
            regions: None,
            mistake: None,
        }
    }

    /// The names of the axes; default `x₁` and `x₂`.
    pub fn axes(mut self, x: impl Into<String>, y: impl Into<String>) -> Plane {
        self.names = (x.into(), y.into());
        self
    }

    /// The ends of the horizontal axis; by default around all points.
    pub fn x_range(mut self, low: f64, high: f64) -> Plane {
        self.ranges.0 = Some((low, high));
        self
    }

    /// The ends of the vertical axis; by default around all points.
    pub fn y_range(mut self, low: f64, high: f64) -> Plane {
        self.ranges.1 = Some((low, high));
        self
    }

    /// Adds a class with its points.
    pub fn points<T: Copy + Into<f64>>(
        mut self,
        class: impl Into<String>,
        points: &[[T; 2]],
    ) -> Plane {
        let points = points.iter().map(|[x, y]| ((*x).into(), (*y).into()));
        self.classes.push((class.into(), points.collect()));
        self
    }

    /// Adds examples, `[count, 2]`, with the class of each, an index of `classes`, which has
    /// the names.
    pub fn examples(
        mut self,
        points: ArrayView2<'_, f32>,
        of: ArrayView1<'_, u32>,
        classes: &[&str],
    ) -> Plane {
        if points.ncols() != 2 || points.nrows() != of.len() {
            let (found, labels) = (points.dim(), of.len());
            self.mistake = Some(format!(
                "its points have shape [{}, {}] and {labels} classes, but need [{labels}, 2]",
                found.0, found.1
            ));
            return self;
        }
        if let Some(class) = of.iter().find(|c| **c as usize >= classes.len()) {
            self.mistake =
                Some(format!("a point has class {class}, but {} have names", classes.len()));
            return self;
        }
        for (class, name) in classes.iter().enumerate() {
            let members = points.rows().into_iter().zip(of).filter(|p| *p.1 as usize == class);
            let members: Vec<[f32; 2]> = members.map(|(p, _)| [p[0], p[1]]).collect();
            self = self.points(*name, &members);
        }
        self
    }

    /// Adds a decision line, where w₁ · x + w₂ · y + bias = 0; oldest lines first.
    pub fn line<T: Copy + Into<f64>>(mut self, weight: [T; 2], bias: T) -> Plane {
        self.lines.push((weight.map(Into::into), bias.into()));
        self
    }

    /// The probability of the second class over these ranges, `[rows,
    /// columns]`, the lowest row first, with a line at one half.
    pub fn regions(
        mut self,
        probabilities: ArrayView2<'_, f32>,
        x: (f64, f64),
        y: (f64, f64),
    ) -> Plane {
        let values = probabilities.mapv(f64::from);
        self.regions = Some(Regions { values, classes: false, x, y });
        self
    }

    /// The class over these ranges, `[rows, columns]`, the lowest row first.
    pub fn class_regions(
        mut self,
        classes: ArrayView2<'_, u32>,
        x: (f64, f64),
        y: (f64, f64),
    ) -> Plane {
        let values = classes.mapv(f64::from);
        self.regions = Some(Regions { values, classes: true, x, y });
        self
    }

    fn scale(&self, axis: usize) -> Result<Scale> {
        let name = ["x", "y"][axis];
        let given = [self.ranges.0, self.ranges.1][axis];
        let regions = self.regions.as_ref().map(|r| [r.x, r.y][axis]);
        for (low, high) in given.into_iter().chain(regions) {
            if !(low < high && low.is_finite() && high.is_finite()) {
                let message =
                    format!("its range of {name} is from {low} to {high}, but must go up");
                return Err(self.look.error(message));
            }
        }
        let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
        let points = self.classes.iter().flat_map(|c| &c.1).filter(finite);
        let points = range(points.map(|p| [p.0, p.1][axis]));
        match (given.or(regions), points) {
            (Some((low, high)), _) => Ok(Scale::new(low, high)),
            (None, Some((low, high))) => {
                let scale = Scale::new(low, high);
                let margin = 0.07 * (scale.high - scale.low);
                Ok(Scale::new(scale.low - margin, scale.high + margin))
            }
            (None, None) if self.lines.is_empty() => Err(self
                .look
                .error("there is nothing to draw: no point is finite; give `points` or `regions`")),
            (None, None) => Ok(Scale::new(-1.0, 1.0)),
        }
    }
}

/// The colour of a region: light, so that points stand out.
fn tint(class: usize) -> Color {
    colors::mix(PAPER, colors::series(class), 0.24)
}

impl Regions {
    fn paint(&self, canvas: &Canvas<'_>, axes: &Axes) {
        let (rows, columns) = self.values.dim();
        if rows < 2 || columns < 2 {
            return;
        }
        // The coordinates of values; cells extend half-way to their neighbours, and end at
        // the border.
        let x = |c: f64| self.x.0 + (self.x.1 - self.x.0) * c / (columns - 1) as f64;
        let y = |r: f64| self.y.0 + (self.y.1 - self.y.0) * r / (rows - 1) as f64;
        let color = |value: f64| match (value.is_finite(), self.classes) {
            (false, _) => PAPER,
            (true, true) => tint(value as usize),
            // Quantized to 16 levels: small files, without visible borders.
            (true, false) => {
                colors::mix(tint(0), tint(1), (value.clamp(0.0, 1.0) * 16.0).round() / 16.0)
            }
        };
        let plot = axes.plot;
        let position = |r: f64, c: f64| {
            let r = r.clamp(0.0, (rows - 1) as f64);
            let c = c.clamp(0.0, (columns - 1) as f64);
            let (px, py) = axes.at((x(c), y(r)))?;
            // Rounded to pixels, so that edges are sharp.
            let unit = if canvas.coarse { 1.0 } else { canvas.pixel() };
            let (px, py) = ((px / unit).round() * unit, (py / unit).round() * unit);
            Some((px.clamp(plot.left, plot.right), py.clamp(plot.top, plot.bottom)))
        };
        for r in 0..rows {
            let mut from = 0;
            for c in 0..columns {
                let here = color(self.values[(r, c)]);
                if c + 1 < columns && color(self.values[(r, c + 1)]) == here {
                    continue;
                }
                let (low, high) = (r as f64 - 0.5, r as f64 + 0.5);
                let (left, right) = (from as f64 - 0.5, c as f64 + 0.5);
                from = c + 1;
                let (Some(a), Some(b)) = (position(high, left), position(low, right)) else {
                    continue;
                };
                // Slightly overlapping, so that no background shows between neighbours.
                let overlap = if canvas.coarse { 0.0 } else { canvas.pixel() };
                let right = (b.0 + overlap).min(plot.right);
                let top = (a.1 - overlap).max(plot.top);
                canvas.fill(Area { left: a.0, top, right, bottom: b.1 }, here);
            }
        }
        let border = |values: ArrayView2<'_, f64>| {
            for line in contours(values, 0.5) {
                let line = line.into_iter().map(|(c, r)| (x(c), y(r)));
                axes.line(canvas, line, INK, 1.2, &[]);
            }
        };
        if !self.classes {
            border(self.values.view());
            return;
        }
        let last = self.values.iter().copied().fold(0.0, f64::max) as usize;
        for class in 0..last.min(64) {
            // The border between classes up to this one and later ones: each border once.
            border(self.values.mapv(|v| f64::from(u8::from(v > class as f64))).view());
        }
    }
}

/// The ends of a decision line within these ranges.
fn ends(([a, b], bias): ([f64; 2], f64), x: Scale, y: Scale) -> Option<[(f64, f64); 2]> {
    // Solved along the axis on which the line is flatter.
    let steep = a.abs() * (x.high - x.low) > b.abs() * (y.high - y.low);
    let line = match steep {
        true => [y.low, y.high].map(|y| (-(b * y + bias) / a, y)),
        false => [x.low, x.high].map(|x| (x, -(a * x + bias) / b)),
    };
    line.iter().all(|p| p.0.is_finite() && p.1.is_finite()).then_some(line)
}

impl Paint for Plane {
    fn look(&self) -> &Look {
        &self.look
    }

    fn paint(&self, canvas: &Canvas<'_>, area: Area) -> Result<()> {
        if let Some(mistake) = &self.mistake {
            return Err(self.look.error(mistake));
        }
        let (x, y) = (self.scale(0)?, self.scale(1)?);
        let mark = |class: usize| Sample::Mark { class, color: colors::series(class) };
        let mut entries: Vec<_> = self
            .classes
            .iter()
            .enumerate()
            .map(|(i, class)| Entry { name: &class.0, sample: mark(i) })
            .collect();
        let lines: Vec<_> = self.lines.iter().filter_map(|l| ends(*l, x, y)).collect();
        let name = format!("decision line, last of {}", lines.len());
        if !lines.is_empty() {
            let name = if lines.len() > 1 { &name } else { "decision line" };
            let sample = Sample::Line { color: INK, dashes: &[], sign: None };
            entries.push(Entry { name, sample });
        }
        let area = heading(canvas, area, &self.look.title, &entries);
        let (x, y) =
            (Axis { name: &self.names.0, scale: x }, Axis { name: &self.names.1, scale: y });
        let axes = Axes::draw(canvas, area, &x, &y, Style::Frame, false);
        if let Some(regions) = &self.regions {
            regions.paint(canvas, &axes);
        }
        // In text, only four lines: all older ones would have the same grey.
        let every = if canvas.coarse { lines.len().div_ceil(4).max(1) } else { 1 };
        for (i, line) in lines.iter().enumerate() {
            if (lines.len() - 1 - i) % every != 0 {
                continue;
            }
            let age = (lines.len() - 1 - i) as f64 / lines.len().max(2) as f64;
            let (color, width) = match age {
                0.0 => (INK, 2.4),
                age => (colors::mix(colors::AXIS, Color(0xe0, 0xe0, 0xe0), age), 1.3),
            };
            axes.line(canvas, *line, color, width, &[]);
        }
        for (i, (_, points)) in self.classes.iter().enumerate() {
            for position in points.iter().filter_map(|p| axes.at(*p)).filter(|p| axes.shows(*p)) {
                canvas.mark(i, position, colors::series(i), 4.2);
            }
        }
        Ok(())
    }
}
