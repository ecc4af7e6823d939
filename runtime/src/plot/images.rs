//! Grids of small images: weights, digits.

use ndarray::{Array2, ArrayView2};

use super::canvas::{Align, Area, Canvas};
use super::colors::{self, AXIS, Color, GREY, INK};
use super::heading::headline;
use super::output::{Look, Paint};
use super::outputs;
use super::scale::{range, short};
use crate::error::Result;

/// A grid of small images of one channel, with a common colour scale.
///
/// ```
/// use bilro::ndarray::Array2;
/// use bilro::plot::Images;
///
/// // The weight of a layer from 64 pixels to 12 units.
/// let weight = Array2::from_shape_fn((64, 12), |(i, j)| ((i * (j + 1)) as f32 * 0.1).sin());
/// let picture = Images::weights("first layer", weight.view(), (8, 8));
/// assert!(picture.svg()?.contains("first layer"));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Images {
    look: Look,
    images: Vec<(String, Array2<f64>)>,
    diverging: bool,
    columns: Option<usize>,
    mistake: Option<String>,
}

outputs!(Images);

impl Images {
    /// A grid without images; the lowest values are drawn as paper, the highest as black.
    pub fn new(title: impl Into<String>) -> Images {
        Images {
            look: Look::new(title),
            images: vec![],
            diverging: false,
            columns: None,
            mistake: None,
        }
    }

    /// The weights of a layer, `[in, out]`: an image of `size`, rows by
    /// columns, for each output; blue below 0, red above.
    pub fn weights(
        title: impl Into<String>,
        weight: ArrayView2<'_, f32>,
        size: (usize, usize),
    ) -> Images {
        let mut images = Images::new(title).diverging();
        if size.0.checked_mul(size.1) != Some(weight.nrows()) {
            images.mistake = Some(format!(
                "the weight has {} inputs, but images of {}×{} have another number of pixels",
                weight.nrows(),
                size.0,
                size.1
            ));
            return images;
        }
        for column in weight.columns() {
            let pixels = column.iter().map(|v| f64::from(*v)).collect();
            // Never an error: the size has been checked.
            if let Ok(image) = Array2::from_shape_vec(size, pixels) {
                images.images.push((String::new(), image));
            }
        }
        images
    }

    /// Adds an image, rows by columns, with a caption, which may be empty.
    pub fn image(mut self, caption: impl Into<String>, pixels: ArrayView2<'_, f32>) -> Images {
        self.images.push((caption.into(), pixels.mapv(f64::from)));
        self
    }

    /// Diverging colours: blue below 0, red above, paper at 0, with the same scale on both
    /// sides.
    pub fn diverging(mut self) -> Images {
        self.diverging = true;
        self
    }

    /// The number of images in a row; by default, the number that makes the images
    /// largest.
    pub fn columns(mut self, columns: usize) -> Images {
        self.columns = Some(columns.max(1));
        self
    }

    /// The number of columns, and the side of a pixel, that make the images largest.
    fn arrangement(&self, canvas: &Canvas<'_>, area: Area, caption: f64) -> (usize, f64) {
        let count = self.images.len();
        let (height, width) = self.largest();
        let gap = gap(canvas);
        let side = |columns: usize| {
            let rows = count.div_ceil(columns) as f64;
            let columns = columns as f64;
            let by_width = (area.width() - (columns - 1.0) * gap.0) / columns / width as f64;
            let image_height = (area.height() - (rows - 1.0) * gap.1) / rows - caption;
            snapped(canvas, by_width.min(image_height / height as f64))
        };
        let choices = match self.columns {
            Some(columns) => columns.min(count)..=columns.min(count),
            None => 1..=count,
        };
        let mut best = (*choices.start(), side(*choices.start()));
        for columns in choices {
            let side = side(columns);
            if side > best.1 {
                best = (columns, side);
            }
        }
        best
    }

    fn largest(&self) -> (usize, usize) {
        let sizes = || self.images.iter().map(|i| i.1.dim());
        let (height, width) = (sizes().map(|s| s.0).max(), sizes().map(|s| s.1).max());
        (height.unwrap_or(1).max(1), width.unwrap_or(1).max(1))
    }
}

/// Horizontal and vertical distance between images.
fn gap(canvas: &Canvas<'_>) -> (f64, f64) {
    if canvas.coarse { (2.0, canvas.em) } else { (canvas.space(0.5), canvas.gap(0.5)) }
}

/// The side of an image's pixels, rounded down so that all have the same size on the
/// backend.
pub(super) fn snapped(canvas: &Canvas<'_>, side: f64) -> f64 {
    let unit = match canvas.coarse {
        true if side >= 4.0 => 4.0,
        true if side >= 2.0 => 2.0,
        true => 1.0,
        false if side >= canvas.px(3.0) => canvas.pixel(),
        false => 1.0,
    };
    match side >= unit {
        true => (side / unit).floor() * unit,
        // Smaller than the backend's pixels: some are not visible.
        false => side.max(0.0),
    }
}

/// Draws an image from its upper left corner on.
pub(super) fn image(
    canvas: &Canvas<'_>,
    pixels: &Array2<f64>,
    (left, top): (f64, f64),
    side: f64,
    color: impl Fn(f64) -> Color,
) {
    let (rows, columns) = pixels.dim();
    for (r, row) in pixels.rows().into_iter().enumerate() {
        let mut from = 0;
        for c in 0..columns {
            let here = color(row[c]);
            if c + 1 < columns && color(row[c + 1]) == here {
                continue;
            }
            // Slightly overlapping, so that no background shows between neighbours.
            let overlap =
                |last: bool| if last || canvas.coarse { 0.0 } else { side.min(canvas.pixel()) };
            let area = Area {
                left: left + from as f64 * side,
                top: top + r as f64 * side,
                right: left + (c + 1) as f64 * side + overlap(c + 1 == columns),
                bottom: top + (r + 1) as f64 * side + overlap(r + 1 == rows),
            };
            canvas.fill(area, here);
            from = c + 1;
        }
    }
}

/// Signs for values below 0, by strength, in text; values above 0 are shades.
const NEGATIVE: [&str; 5] = [" ", "-", "=", "≡", "≡"];

/// Writes the signs of values below 0 over an image in cells.
fn signs(canvas: &Canvas<'_>, pixels: &Array2<f64>, at: (f64, f64), side: f64, max: f64) {
    if !canvas.coarse || side < 4.0 {
        return;
    }
    for ((r, c), value) in pixels.indexed_iter().filter(|p| *p.1 < 0.0) {
        let strength = ((-value / max * 5.0) as usize).min(4);
        for y in 0..(side / 4.0) as usize {
            let position = (at.0 + c as f64 * side, at.1 + r as f64 * side + 4.0 * y as f64 + 2.0);
            let text = NEGATIVE[strength].repeat((side / 2.0) as usize);
            canvas.text(&text, position, Align::Left, INK, 1.0);
        }
    }
}

impl Paint for Images {
    fn look(&self) -> &Look {
        &self.look
    }

    fn paint(&self, canvas: &Canvas<'_>, area: Area) -> Result<()> {
        if let Some(mistake) = &self.mistake {
            return Err(self.look.error(mistake));
        }
        let Some((low, high)) = range(self.images.iter().flat_map(|i| i.1.iter().copied())) else {
            let message = "there is nothing to draw: no image has a finite value; give `image`";
            return Err(self.look.error(message));
        };
        let max = low.abs().max(high.abs()).max(f64::MIN_POSITIVE);
        let color = |value: f64| match (value.is_finite(), self.diverging) {
            (false, _) => colors::PAPER,
            (true, true) => colors::diverging(value / max),
            (true, false) if low == high => colors::grey(0.5),
            (true, false) => colors::grey((value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)),
        };
        let mut area = headline(canvas, area, &self.look.title);
        let em = canvas.em;
        let bar = if canvas.coarse { em } else { 1.6 * em };
        let explained = area.height() > 5.0 * bar && area.width() > 12.0 * em;
        if explained {
            area.bottom -= bar;
            area.bottom -= if canvas.coarse { 0.0 } else { 0.4 * em };
        }
        let captions = self.images.iter().any(|i| !i.0.is_empty())
            && area.height() > 4.0 * canvas.line_height();
        let caption = if captions { canvas.line_height() } else { 0.0 };
        let (columns, side) = self.arrangement(canvas, area, caption);
        let (height, width) = self.largest();
        let (width, height) = (width as f64 * side, height as f64 * side + caption);
        let gap = gap(canvas);
        if explained {
            let ends = if self.diverging { (-max, max) } else { (low, high) };
            let rows = self.images.len().div_ceil(columns) as f64;
            let top = area.top + rows * (height + gap.1) - gap.1;
            let top = canvas.aligned((0.0, top)).1 + canvas.gap(0.3);
            self.bar(canvas, Area { top, ..area }, ends, color);
        }
        for (i, (name, pixels)) in self.images.iter().enumerate() {
            let left = area.left + (i % columns) as f64 * (width + gap.0);
            let top = area.top + (i / columns) as f64 * (height + gap.1);
            let (left, top) = canvas.aligned((left, top));
            image(canvas, pixels, (left, top), side, color);
            if self.diverging {
                signs(canvas, pixels, (left, top), side, max);
            }
            let frame = Area {
                left,
                top,
                right: left + pixels.ncols() as f64 * side,
                bottom: top + pixels.nrows() as f64 * side,
            };
            if !canvas.coarse {
                canvas.outline(frame, colors::GRID, 1.0);
            }
            if captions {
                let text = canvas.shortened(name, width, 1.0);
                let position = (frame.middle().0, top + height - caption / 2.0);
                canvas.text(&text, position, Align::Center, GREY, 1.0);
            }
        }
        Ok(())
    }
}

impl Images {
    /// Draws the colour scale at the top of an area.
    fn bar(
        &self,
        canvas: &Canvas<'_>,
        area: Area,
        (low, high): (f64, f64),
        color: impl Fn(f64) -> Color,
    ) {
        let bar = if canvas.coarse { canvas.em } else { 1.6 * canvas.em };
        let middle = area.top + bar / 2.0;
        let (first, last) = (short(low), short(high));
        canvas.text(&first, (area.left, middle), Align::Left, GREY, 1.0);
        let left = area.left + canvas.width(&first, 1.0) + canvas.space(0.5);
        if canvas.coarse {
            let signs = if self.diverging { "≡=- ░▒▓█" } else { " ░▒▓█" };
            canvas.text(signs, (left, middle), Align::Left, INK, 1.0);
            let right = left + canvas.width(signs, 1.0) + canvas.space(0.5);
            canvas.text(&last, (right, middle), Align::Left, GREY, 1.0);
            return;
        }
        let (colors, width) = (41, 10.0 * canvas.em);
        let available = (area.width() - (left - area.left) - canvas.width(&last, 1.0)) * 0.9;
        let pixel = canvas.pixel();
        let step = (width.min(available) / f64::from(colors) / pixel).round().max(1.0) * pixel;
        let left = canvas.aligned((left, middle)).0;
        let half = 0.4 * canvas.em;
        for i in 0..colors {
            let t = f64::from(i) / f64::from(colors - 1);
            let from = left + f64::from(i) * step;
            let overlap = if i + 1 < colors { pixel } else { 0.0 };
            let (top, bottom) = (middle - half, middle + half);
            let cell = Area { left: from, top, right: from + step + overlap, bottom };
            canvas.fill(cell, color(low + t * (high - low)));
        }
        let right = left + f64::from(colors) * step;
        let frame = Area { left, top: middle - half, right, bottom: middle + half };
        canvas.outline(frame, AXIS, 1.0);
        canvas.text(&last, (right + canvas.space(0.5), middle), Align::Left, GREY, 1.0);
    }
}
