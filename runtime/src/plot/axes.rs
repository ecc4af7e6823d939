//! Axes with numbers and names, which never overlap and are not cut off: those that do
//! not fit are left out, names first.

use super::canvas::{Align, Area, Canvas};
use super::colors::{AXIS, Color, GREY, GRID};
use super::scale::Scale;

/// The name and the scale of an axis.
pub(super) struct Axis<'t> {
    /// The quantity, with its unit.
    pub name: &'t str,
    pub scale: Scale,
}

/// The style of the area between the axes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Style {
    /// Horizontal lines at the numbers, to read heights.
    Grid,
    /// A frame, for maps.
    Frame,
}

/// Drawn axes.
pub(super) struct Axes {
    /// The area between the axes.
    pub plot: Area,
    /// The middle of the line above, which has the name of the vertical axis, and the right
    /// end of the name.
    pub above: Option<(f64, f64)>,
    x: Scale,
    y: Scale,
    /// The area from end to end of the scales.
    ends: Area,
}

impl Axes {
    /// Draws axes into an area. `above` reserves the line above even if the vertical axis has
    /// no name.
    pub fn draw(
        canvas: &Canvas<'_>,
        area: Area,
        x: &Axis<'_>,
        y: &Axis<'_>,
        style: Style,
        above: bool,
    ) -> Axes {
        let em = canvas.em;
        let enough = |coarse: f64, fine: f64| {
            area.height() >= em * if canvas.coarse { coarse } else { fine }
        };
        let numbers = enough(5.0, 6.0) && area.width() >= 7.0 * em;
        let names = numbers && enough(9.0, 9.0);
        let x_line = canvas.coarse && numbers;
        let above = names && (above || !y.name.is_empty());

        let mut plot = area;
        let line = canvas.line_height();
        if above {
            plot.top += line + canvas.gap(if canvas.coarse { 0.0 } else { 0.6 });
        } else if numbers && !canvas.coarse {
            plot.top += em / 2.0;
        }
        if names && !x.name.is_empty() {
            plot.bottom -= line;
        }
        if numbers {
            plot.bottom -= line + canvas.gap(0.2);
        }
        if x_line {
            plot.bottom -= em;
        }
        let max_ticks = plot.height() / em / if canvas.coarse { 3.0 } else { 2.6 };
        let mut y_ticks =
            if numbers { y.scale.ticks((max_ticks as usize).clamp(2, 8)) } else { vec![] };
        let widest = y_ticks.iter().map(|t| canvas.width(&t.1, 1.0)).fold(0.0, f64::max);
        let tick = if canvas.coarse { 0.0 } else { 0.3 * em };
        if !y_ticks.is_empty() {
            let left = plot.left + widest + if canvas.coarse { 2.0 } else { 0.3 * em + tick };
            if area.right - left > 4.0 * em {
                plot.left = left;
            } else {
                y_ticks.clear();
            }
        }
        if !canvas.coarse && numbers {
            plot.right -= 0.6 * em;
        }
        let mut ends = plot;
        if canvas.coarse {
            // The last pixel, not the first one outside.
            (ends.right, ends.bottom) = (ends.right - 1.0, ends.bottom - 1.0);
        }
        let mut axes = Axes { plot, above: None, x: x.scale, y: y.scale, ends };
        let x_ticks = if numbers { axes.x_ticks(canvas, area) } else { vec![] };

        for (value, text) in &y_ticks {
            let Some(y) = axes.y(*value) else { continue };
            if canvas.coarse {
                canvas.text(text, (plot.left - 2.0, y), Align::Right, GREY, 1.0);
                continue;
            }
            canvas.text(text, (plot.left - tick - 0.2 * em, y), Align::Right, GREY, 1.0);
            match style {
                Style::Grid => canvas.line(&[(plot.left, y), (plot.right, y)], GRID, 1.0, &[]),
                Style::Frame => {
                    canvas.line(&[(plot.left - tick, y), (plot.left, y)], AXIS, 1.0, &[]);
                }
            }
        }
        let number_line =
            plot.bottom + if canvas.coarse { 1.5 * em } else { line / 2.0 + canvas.gap(0.2) };
        for (value, center, text) in &x_ticks {
            canvas.text(text, (*center, number_line), Align::Center, GREY, 1.0);
            if let (Some(x), false) = (axes.x(*value), canvas.coarse) {
                canvas.line(&[(x, plot.bottom), (x, plot.bottom + tick)], AXIS, 1.0, &[]);
            }
        }
        if canvas.coarse {
            axes.lines_of_cells(canvas, &x_ticks, &y_ticks, x_line);
        } else if style == Style::Frame {
            canvas.outline(plot, AXIS, 1.0);
        } else {
            canvas.line(&[(plot.left, plot.bottom), (plot.right, plot.bottom)], AXIS, 1.0, &[]);
        }
        if names {
            let name = canvas.shortened(x.name, plot.width(), 1.0);
            let bottom = (plot.middle().0, area.bottom - line / 2.0);
            canvas.text(&name, bottom, Align::Center, GREY, 1.0);
        }
        if above {
            let name = canvas.shortened(y.name, area.width(), 1.0);
            let middle = area.top + line / 2.0;
            canvas.text(&name, (area.left, middle), Align::Left, GREY, 1.0);
            axes.above = Some((middle, area.left + canvas.width(&name, 1.0)));
        }
        axes
    }

    /// Numbers for the horizontal axis with the centers of their texts, as many as fit side
    /// by side.
    fn x_ticks(&self, canvas: &Canvas<'_>, area: Area) -> Vec<(f64, f64, String)> {
        let gap = canvas.space(1.0);
        for max in (1..=10).rev() {
            let mut end = f64::NEG_INFINITY;
            let mut fits = true;
            let mut ticks = vec![];
            for (value, text) in self.x.ticks(max) {
                let Some(x) = self.x(value) else { continue };
                let half = canvas.width(&text, 1.0) / 2.0;
                let center = x.min(area.right - half).max(area.left + half);
                fits &= center - half >= end + gap;
                end = center + half;
                ticks.push((value, center, text));
            }
            if fits && end <= area.right + 0.01 {
                return ticks;
            }
        }
        vec![]
    }

    /// Draws the axes of a text, with box-drawing characters.
    fn lines_of_cells(
        &self,
        canvas: &Canvas<'_>,
        x_ticks: &[(f64, f64, String)],
        y_ticks: &[(f64, String)],
        x_line: bool,
    ) {
        let plot = self.plot;
        let row = |y: f64| (y / canvas.em).floor();
        let column = |x: f64| (x / 2.0).floor();
        let left = column(plot.left) - 1.0;
        let sign = |text: &str, (column, row): (f64, f64)| {
            let position = (2.0 * column, canvas.em * (row + 0.5));
            canvas.text(text, position, Align::Left, AXIS, 1.0);
        };
        if !y_ticks.is_empty() {
            for at in row(plot.top) as i64..row(plot.bottom) as i64 {
                sign("│", (left, at as f64));
            }
            for y in y_ticks.iter().filter_map(|t| self.y(t.0)) {
                sign("┤", (left, row(y)));
            }
        }
        if x_line {
            let bottom = row(plot.bottom);
            for at in column(plot.left) as i64..column(plot.right) as i64 {
                sign("─", (at as f64, bottom));
            }
            for x in x_ticks.iter().filter_map(|t| self.x(t.0)) {
                sign("┬", (column(x), bottom));
            }
            if !y_ticks.is_empty() {
                sign("└", (left, bottom));
            }
        }
    }

    /// The horizontal position of a number.
    pub fn x(&self, value: f64) -> Option<f64> {
        Some(self.ends.left + self.x.position(value)? * self.ends.width())
    }

    /// The vertical position of a number.
    pub fn y(&self, value: f64) -> Option<f64> {
        Some(self.ends.bottom - self.y.position(value)? * self.ends.height())
    }

    /// The position of a point, if its coordinates are on the scales.
    pub fn at(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.x(x)?, self.y(y)?))
    }

    /// Whether a position is between the axes.
    pub fn shows(&self, position: (f64, f64)) -> bool {
        self.ends.contains(position)
    }

    /// A line through points, clipped to the axes, with a gap at each point without a
    /// position. Isolated points are dots.
    pub fn line(
        &self,
        canvas: &Canvas<'_>,
        points: impl IntoIterator<Item = (f64, f64)>,
        color: Color,
        width: f64,
        dashes: &[f64],
    ) {
        let mut run: Vec<(f64, f64)> = vec![];
        let positions = points.into_iter().map(|p| self.at(p));
        for position in positions.chain([None]) {
            match position {
                Some(position) => run.push(position),
                None => {
                    self.run(canvas, &thinned(&run, canvas.px(0.5)), color, width, dashes);
                    run.clear();
                }
            }
        }
    }

    fn run(
        &self,
        canvas: &Canvas<'_>,
        run: &[(f64, f64)],
        color: Color,
        width: f64,
        dashes: &[f64],
    ) {
        if let [position] = run {
            if self.shows(*position) {
                match canvas.coarse {
                    true => canvas.fill_dot(*position, color),
                    false => canvas.mark(0, *position, color, width),
                }
            }
            return;
        }
        let mut shown: Vec<(f64, f64)> = vec![];
        for pair in run.windows(2) {
            match self.ends.clip(pair[0], pair[1]) {
                Some([from, to]) => {
                    if shown.last() != Some(&from) {
                        canvas.line(&shown, color, width, dashes);
                        shown = vec![from];
                    }
                    shown.push(to);
                }
                None => {
                    canvas.line(&shown, color, width, dashes);
                    shown.clear();
                }
            }
        }
        canvas.line(&shown, color, width, dashes);
    }
}

/// Reduces many points in one column of pixels to the first, the lowest, the highest and
/// the last: the line has the same appearance.
fn thinned(run: &[(f64, f64)], column: f64) -> Vec<(f64, f64)> {
    let mut thinned = vec![];
    let mut remaining = run;
    while let Some(first) = remaining.first() {
        let same = |p: &&(f64, f64)| (p.0 / column).floor() == (first.0 / column).floor();
        let count = remaining.iter().take_while(same).count();
        let (group, tail) = remaining.split_at(count);
        remaining = tail;
        if count <= 4 {
            thinned.extend(group);
            continue;
        }
        let by_height = |a: &usize, b: &usize| group[*a].1.total_cmp(&group[*b].1);
        let (low, high) = ((0..count).min_by(by_height), (0..count).max_by(by_height));
        let mut ends = vec![0, low.unwrap_or(0), high.unwrap_or(0), count - 1];
        ends.sort_unstable();
        ends.dedup();
        thinned.extend(ends.into_iter().map(|i| group[i]));
    }
    thinned
}
