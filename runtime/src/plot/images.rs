//! Small images, side by side: weights, digits.

use ndarray::{Array2, ArrayView2};

use super::canvas::{Align, Area, Canvas};
use super::colors::{self, AXIS, Color, GREY, INK};
use super::heading::headline;
use super::output::{Look, Paint};
use super::outputs;
use super::scale::{range, short};
use crate::error::Result;

/// A grid of small images of one channel, on one scale of colours.
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
    /// No images yet; paper where values are lowest, black where they are
    /// highest.
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
            // The sizes agree, as was just asked.
            if let Ok(image) = Array2::from_shape_vec(size, pixels) {
                images.images.push((String::new(), image));
            }
        }
        images
    }

    /// One more image, rows by columns, with a caption, which may be empty.
    pub fn image(mut self, caption: impl Into<String>, pixels: ArrayView2<'_, f32>) -> Images {
        self.images.push((caption.into(), pixels.mapv(f64::from)));
        self
    }

    /// Blue below 0, red above, paper at 0, as strong on both sides.
    pub fn diverging(mut self) -> Images {
        self.diverging = true;
        self
    }

    /// How many images stand in a row; as many as make them largest by
    /// default.
    pub fn columns(mut self, columns: usize) -> Images {
        self.columns = Some(columns.max(1));
        self
    }

    /// Columns and the side of a pixel that make the images largest.
    fn arrangement(&self, canvas: &Canvas<'_>, area: Area, caption: f64) -> (usize, f64) {
        let count = self.images.len();
        let (height, width) = self.largest();
        let apart = apart(canvas);
        let side = |columns: usize| {
            let rows = count.div_ceil(columns) as f64;
            let columns = columns as f64;
            let room = (area.width() - (columns - 1.0) * apart.0) / columns / width as f64;
            let high = (area.height() - (rows - 1.0) * apart.1) / rows - caption;
            snapped(canvas, room.min(high / height as f64))
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

/// Between images.
fn apart(canvas: &Canvas<'_>) -> (f64, f64) {
    if canvas.coarse { (2.0, canvas.em) } else { (canvas.space(0.5), canvas.gap(0.5)) }
}

/// A length for the sides of an image's pixels that gives all of them the same
/// number of the backend's.
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
        // Smaller than what there is: some are not seen.
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
            // A little too far, under the next: no paper shines through where
            // they meet.
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

/// Signs for strengths below 0, where there are no colours; above, shades.
const BELOW: [&str; 5] = [" ", "-", "=", "≡", "≡"];

/// Writes the signs of what is below 0 over an image in cells.
fn signs(canvas: &Canvas<'_>, pixels: &Array2<f64>, at: (f64, f64), side: f64, most: f64) {
    if !canvas.coarse || side < 4.0 {
        return;
    }
    for ((r, c), value) in pixels.indexed_iter().filter(|p| *p.1 < 0.0) {
        let strength = ((-value / most * 5.0) as usize).min(4);
        for y in 0..(side / 4.0) as usize {
            let place = (at.0 + c as f64 * side, at.1 + r as f64 * side + 4.0 * y as f64 + 2.0);
            let text = BELOW[strength].repeat((side / 2.0) as usize);
            canvas.text(&text, place, Align::Left, INK, 1.0);
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
        let most = low.abs().max(high.abs()).max(f64::MIN_POSITIVE);
        let color = |value: f64| match (value.is_finite(), self.diverging) {
            (false, _) => colors::PAPER,
            (true, true) => colors::diverging(value / most),
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
        let apart = apart(canvas);
        if explained {
            let ends = if self.diverging { (-most, most) } else { (low, high) };
            let rows = self.images.len().div_ceil(columns) as f64;
            let top = area.top + rows * (height + apart.1) - apart.1;
            let top = canvas.aligned((0.0, top)).1 + canvas.gap(0.3);
            self.bar(canvas, Area { top, ..area }, ends, color);
        }
        for (i, (name, pixels)) in self.images.iter().enumerate() {
            let left = area.left + (i % columns) as f64 * (width + apart.0);
            let top = area.top + (i / columns) as f64 * (height + apart.1);
            let (left, top) = canvas.aligned((left, top));
            image(canvas, pixels, (left, top), side, color);
            if self.diverging {
                signs(canvas, pixels, (left, top), side, most);
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
                let place = (frame.middle().0, top + height - caption / 2.0);
                canvas.text(&text, place, Align::Center, GREY, 1.0);
            }
        }
        Ok(())
    }
}

impl Images {
    /// What the colours mean, at the top of an area.
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
        let (steps, width) = (41, 10.0 * canvas.em);
        let room = (area.width() - (left - area.left) - canvas.width(&last, 1.0)) * 0.9;
        let pixel = canvas.pixel();
        let step = (width.min(room) / f64::from(steps) / pixel).round().max(1.0) * pixel;
        let left = canvas.aligned((left, middle)).0;
        let half = 0.4 * canvas.em;
        for i in 0..steps {
            let t = f64::from(i) / f64::from(steps - 1);
            let from = left + f64::from(i) * step;
            let overlap = if i + 1 < steps { pixel } else { 0.0 };
            let (top, bottom) = (middle - half, middle + half);
            let part = Area { left: from, top, right: from + step + overlap, bottom };
            canvas.fill(part, color(low + t * (high - low)));
        }
        let right = left + f64::from(steps) * step;
        let frame = Area { left, top: middle - half, right, bottom: middle + half };
        canvas.outline(frame, AXIS, 1.0);
        canvas.text(&last, (right + canvas.space(0.5), middle), Align::Left, GREY, 1.0);
    }
}
