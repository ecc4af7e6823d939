//! The canvas of pictures: any backend of plotters, with sizes for lettering and
//! lines.
//!
//! There are two kinds: fine canvases, with any position of letters and any width of
//! lines, and the cells of a terminal, where a letter is a cell. Lengths are pixels of
//! the backend, from the left and from the top. Pictures are laid out in multiples of
//! [`Canvas::em`], the height of letters, and depend on [`Canvas::coarse`] only where
//! cells need signs instead of shapes or colours.

use std::cell::{Cell, RefCell};

use plotters::coord::Shift;
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::prelude::{DrawingArea, DrawingBackend};
use plotters::style::{Color as _, ShapeStyle};

use super::colors::{Color, INK};
use super::lettering::{Lettering, Measure, Style};

/// The horizontal alignment of a text to its position.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Align {
    Left,
    Center,
    Right,
}

/// A rectangle of the canvas.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    pub fn middle(&self) -> (f64, f64) {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    pub fn contains(&self, (x, y): (f64, f64)) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    /// The segment of a line within the area, by Liang and Barsky's algorithm.
    pub fn clip(&self, a: (f64, f64), b: (f64, f64)) -> Option<[(f64, f64); 2]> {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let (mut from, mut to) = (0.0f64, 1.0f64);
        for (delta, distance) in [
            (-dx, a.0 - self.left),
            (dx, self.right - a.0),
            (-dy, a.1 - self.top),
            (dy, self.bottom - a.1),
        ] {
            if delta == 0.0 && distance < 0.0 {
                return None;
            }
            if delta < 0.0 {
                from = from.max(distance / delta);
            } else if delta > 0.0 {
                to = to.min(distance / delta);
            }
        }
        let at = |t: f64| (a.0 + t * dx, a.1 + t * dy);
        (from <= to).then(|| [at(from), at(to)])
    }
}

/// The backend, without its type.
trait Paper {
    fn size(&self) -> (u32, u32);
    fn text_width(&self, text: &str, em: f64) -> Result<u32, String>;
    fn text(&self, text: &str, em: f64, at: (i32, i32), to: Align, c: Color) -> Result<(), String>;
    fn path(&self, points: Vec<(i32, i32)>, color: Color, width: u32) -> Result<(), String>;
    fn rectangle(&self, corners: [(i32, i32); 2], color: Color) -> Result<(), String>;
    fn polygon(&self, points: Vec<(i32, i32)>, color: Color) -> Result<(), String>;
    fn circle(&self, at: (i32, i32), radius: u32, style: ShapeStyle) -> Result<(), String>;
}

impl<DB: DrawingBackend> Paper for DrawingArea<DB, Shift> {
    fn size(&self) -> (u32, u32) {
        self.dim_in_pixel()
    }

    fn text_width(&self, text: &str, em: f64) -> Result<u32, String> {
        let style = Style { em, to: Align::Left, color: INK };
        let measure = Measure { text, style, width: Cell::new(0) };
        self.draw(&measure).map_err(|e| e.to_string())?;
        Ok(measure.width.get())
    }

    fn text(&self, text: &str, em: f64, at: (i32, i32), to: Align, c: Color) -> Result<(), String> {
        let corner = self.get_base_pixel();
        let at = (corner.0 + at.0, corner.1 + at.1);
        let style = Style { em, to, color: c };
        self.draw(&Lettering { text, style, at }).map_err(|e| e.to_string())
    }

    fn path(&self, points: Vec<(i32, i32)>, color: Color, width: u32) -> Result<(), String> {
        let style = color.stroke_width(width);
        self.draw(&PathElement::new(points, style)).map_err(|e| e.to_string())
    }

    fn rectangle(&self, corners: [(i32, i32); 2], color: Color) -> Result<(), String> {
        self.draw(&Rectangle::new(corners, color.filled())).map_err(|e| e.to_string())
    }

    fn polygon(&self, points: Vec<(i32, i32)>, color: Color) -> Result<(), String> {
        self.draw(&Polygon::new(points, color)).map_err(|e| e.to_string())
    }

    fn circle(&self, at: (i32, i32), radius: u32, style: ShapeStyle) -> Result<(), String> {
        self.draw(&Circle::new(at, radius, style)).map_err(|e| e.to_string())
    }
}

/// The canvas that pictures are drawn on.
pub struct Canvas<'a> {
    paper: &'a dyn Paper,
    /// Lengths of the backend per pixel of the picture.
    pixel: f64,
    /// The height of letters.
    pub(super) em: f64,
    /// Whether the backend has cells of a terminal.
    pub(super) coarse: bool,
    /// The first error of the backend.
    failed: RefCell<Option<String>>,
}

/// Signs for classes and series in cells, instead of shapes.
const SIGNS: [char; 7] = ['o', 'x', '+', '*', '#', '@', '%'];

impl<'a> Canvas<'a> {
    /// A fine canvas, with `pixel` lengths of the backend per pixel.
    pub(super) fn fine<DB: DrawingBackend>(
        area: &'a DrawingArea<DB, Shift>,
        pixel: f64,
    ) -> Canvas<'a> {
        let (width, height) = area.dim_in_pixel();
        // 14 pixels for a picture of 800 by 500.
        let em = (0.022 * (f64::from(width) * f64::from(height)).sqrt() / pixel).clamp(9.0, 48.0);
        Canvas { paper: area, pixel, em: em * pixel, coarse: false, failed: RefCell::default() }
    }

    /// A canvas of the cells of a terminal.
    pub(super) fn cells<DB: DrawingBackend>(area: &'a DrawingArea<DB, Shift>) -> Canvas<'a> {
        let em = f64::from(super::cells::CELL.1);
        Canvas { paper: area, pixel: 1.0, em, coarse: true, failed: RefCell::default() }
    }

    /// The first error of the backend, if any.
    pub(super) fn finish(self) -> Result<(), String> {
        self.failed.into_inner().map_or(Ok(()), Err)
    }

    /// The entire canvas except a margin.
    pub(super) fn area(&self) -> Area {
        let (width, height) = self.paper.size();
        let (width, height) = (f64::from(width), f64::from(height));
        let margin = self.gap(0.45).max(self.px(4.0).min(width / 20.0));
        let margin = if self.coarse { 0.0 } else { margin.min(width / 8.0).min(height / 8.0) };
        Area { left: margin, top: margin, right: width - margin, bottom: height - margin }
    }

    /// The length of a number of the picture's pixels, scaled with the letters: for widths of
    /// lines.
    pub(super) fn px(&self, pixels: f64) -> f64 {
        pixels
            * self.pixel
            * if self.coarse { 1.0 } else { (self.em / self.pixel / 14.0).max(0.75) }
    }

    /// Lengths of the backend per pixel.
    pub(super) fn pixel(&self) -> f64 {
        self.pixel
    }

    /// The upper left corner of the pixel or the cell at a position.
    pub(super) fn aligned(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (width, height) = if self.coarse { (2.0, self.em) } else { (self.pixel, self.pixel) };
        ((x / width).floor() * width, (y / height).floor() * height)
    }

    /// A vertical distance in heights of letters.
    pub(super) fn gap(&self, ems: f64) -> f64 {
        if self.coarse { ems.round() * self.em } else { ems * self.em }
    }

    /// A horizontal distance in heights of letters.
    pub(super) fn space(&self, ems: f64) -> f64 {
        if self.coarse { (2.0 * ems).round() * self.em / 2.0 } else { ems * self.em }
    }

    /// The height of a line of text.
    pub(super) fn line_height(&self) -> f64 {
        if self.coarse { self.em } else { 1.35 * self.em }
    }

    /// Records an error of the backend, if it is the first.
    fn record(&self, result: Result<(), String>) {
        if let Err(error) = result {
            self.failed.borrow_mut().get_or_insert(error);
        }
    }

    /// The width of a text with letters of relative size `size`.
    pub(super) fn width(&self, text: &str, size: f64) -> f64 {
        match self.paper.text_width(&printable(text), size * self.em) {
            Ok(width) => f64::from(width),
            Err(error) => {
                self.record(Err(error));
                0.0
            }
        }
    }

    /// A text, its middle line at `y`.
    pub(super) fn text(&self, text: &str, (x, y): (f64, f64), to: Align, color: Color, size: f64) {
        if text.is_empty() {
            return;
        }
        // Lower-case letters extend less below the middle than above it; cells are centered.
        let y = match self.coarse {
            true => (y / self.em).floor() * self.em + self.em / 2.0,
            false => y + 0.07 * size * self.em,
        };
        let at = rounded((x, y));
        self.record(self.paper.text(&printable(text), size * self.em, at, to, color));
    }

    /// A text cut off at a width, with an ellipsis; empty if not even one letter fits.
    pub(super) fn shortened(&self, text: &str, width: f64, size: f64) -> String {
        if self.width(text, size) <= width {
            return text.into();
        }
        let letters: Vec<char> = text.chars().collect();
        let cut = |n: &usize| {
            let start: String = letters[..*n].iter().collect();
            format!("{}…", start.trim_end())
        };
        let fits = |n: &usize| self.width(&cut(n), size) <= width;
        (1..letters.len()).rev().find(fits).map(|n| cut(&n)).unwrap_or_default()
    }

    /// A line through these points, with a width in pixels of the picture, and a dash pattern
    /// of pixels on and off.
    pub(super) fn line(&self, points: &[(f64, f64)], color: Color, width: f64, dashes: &[f64]) {
        let stroke = (self.px(width).round() as u32).max(1);
        let draw = |points: &[(f64, f64)]| {
            let mut points: Vec<_> = points.iter().map(|p| rounded(*p)).collect();
            points.dedup();
            if points.len() > 1 {
                self.record(self.paper.path(points, color, stroke));
            }
        };
        if dashes.is_empty() {
            draw(points);
            return;
        }
        let dashes: Vec<f64> = dashes.iter().map(|d| self.px(*d).max(1.0)).collect();
        let (mut on, mut dash, mut remaining) = (vec![], 0, dashes[0]);
        on.extend(points.first());
        for pair in points.windows(2) {
            let (mut a, b) = (pair[0], pair[1]);
            loop {
                let length = (b.0 - a.0).hypot(b.1 - a.1);
                let visible = dash % 2 == 0;
                if length <= remaining {
                    remaining -= length;
                    if visible {
                        on.push(b);
                    }
                    break;
                }
                let t = remaining / length;
                a = (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1));
                if visible {
                    on.push(a);
                    draw(&on);
                    on.clear();
                } else {
                    on = vec![a];
                }
                dash += 1;
                remaining = dashes[dash % dashes.len()];
            }
        }
        draw(&on);
    }

    /// A filled rectangle.
    pub(super) fn fill(&self, area: Area, color: Color) {
        let corners = [rounded((area.left, area.top)), rounded((area.right, area.bottom))];
        if corners[0].0 < corners[1].0 && corners[0].1 < corners[1].1 {
            self.record(self.paper.rectangle(corners, color));
        }
    }

    /// One dot of a cell.
    pub(super) fn fill_dot(&self, position: (f64, f64), color: Color) {
        let at = rounded(position);
        self.record(self.paper.path(vec![at, at], color, 1));
    }

    /// The outline of a rectangle.
    pub(super) fn outline(&self, area: Area, color: Color, width: f64) {
        let Area { left, top, right, bottom } = area;
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        self.line(&corners, color, width, &[]);
    }

    /// A mark for a point of a class: a shape, or a sign in cells.
    pub(super) fn mark(&self, class: usize, (x, y): (f64, f64), color: Color, radius: f64) {
        if self.coarse {
            let sign = SIGNS[class % SIGNS.len()].to_string();
            let (column, row) = ((x / 2.0).floor() * 2.0, (y / 4.0).floor() * 4.0);
            self.text(&sign, (column, row + 2.0), Align::Left, color, 1.0);
            return;
        }
        let r = self.px(radius);
        let around = |corners: &[(f64, f64)], scale: f64| {
            corners.iter().map(|(dx, dy)| rounded((x + scale * dx, y + scale * dy))).collect()
        };
        // White edges separate marks that touch.
        let edge = r + self.px(0.8);
        let corners: &[(f64, f64)] = match class % 4 {
            0 => {
                for (radius, color) in [(edge, super::colors::PAPER), (r, color)] {
                    let radius = (radius.round() as u32).max(1);
                    self.record(self.paper.circle(rounded((x, y)), radius, color.filled()));
                }
                return;
            }
            1 => &[(0.0, -1.2), (1.05, 0.75), (-1.05, 0.75)],
            2 => &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
            _ => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
        };
        self.record(self.paper.polygon(around(corners, edge), super::colors::PAPER));
        self.record(self.paper.polygon(around(corners, r), color));
    }
}

/// Rounded to the backend's integer coordinates.
fn rounded((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

/// A text with control characters, and those that XML forbids, replaced by spaces.
fn printable(text: &str) -> String {
    let bad = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if bad(c) { ' ' } else { c }).collect()
}
