//! A backend of plotters that draws anti-aliased pixels by tiny-skia, for PNG.
//!
//! plotters' own bitmaps have integer coordinates and no joints between the segments of
//! a thick line. Here a picture is drawn on a finer grid, [`FINENESS`] to a pixel, as
//! SVG files are.

use std::convert::Infallible;

use plotters_backend::text_anchor::HPos;
use plotters_backend::{
    BackendColor, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};

use super::font::font;
use super::lettering::{baseline_offset, em_of};

/// Coordinates per pixel, along each axis.
pub(super) const FINENESS: u32 = 4;

type Result<T = (), E = DrawingErrorKind<Infallible>> = std::result::Result<T, E>;
type Coord = (i32, i32);

/// Pixels.
pub(super) struct Raster {
    pixels: Pixmap,
}

impl Raster {
    /// Transparent pixels; `None` if there is not enough memory, or one side is 0.
    pub fn new(width: u32, height: u32) -> Option<Raster> {
        Some(Raster { pixels: Pixmap::new(width, height)? })
    }

    /// The contents of a PNG file.
    pub fn png(&self) -> std::result::Result<Vec<u8>, String> {
        self.pixels.encode_png().map_err(|e| e.to_string())
    }

    fn fill(&mut self, path: Option<Path>, color: BackendColor) {
        if let Some(path) = path {
            let (paint, rule) = (paint(color), FillRule::Winding);
            self.pixels.fill_path(&path, &paint, rule, to_pixels(), None);
        }
    }

    fn stroke<S: BackendStyle>(&mut self, path: Option<Path>, style: &S) {
        let Some(path) = path else { return };
        let stroke = Stroke {
            width: style.stroke_width() as f32,
            line_join: LineJoin::Round,
            line_cap: LineCap::Butt,
            ..Stroke::default()
        };
        self.pixels.stroke_path(&path, &paint(style.color()), &stroke, to_pixels(), None);
    }
}

fn to_pixels() -> Transform {
    Transform::from_scale(1.0 / FINENESS as f32, 1.0 / FINENESS as f32)
}

fn paint(color: BackendColor) -> Paint<'static> {
    let (r, g, b) = color.rgb;
    let mut paint = Paint::default();
    let mut color8 = Color::from_rgba8(r, g, b, 255);
    color8.set_alpha(color.alpha as f32);
    paint.set_color(color8);
    paint
}

/// A line through these points.
fn path(points: impl IntoIterator<Item = Coord>, closed: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (i, (x, y)) in points.into_iter().enumerate() {
        match i {
            0 => builder.move_to(x as f32, y as f32),
            _ => builder.line_to(x as f32, y as f32),
        }
    }
    if closed {
        builder.close();
    }
    builder.finish()
}

impl DrawingBackend for Raster {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.pixels.width() * FINENESS, self.pixels.height() * FINENESS)
    }

    fn ensure_prepared(&mut self) -> Result {
        Ok(())
    }

    fn present(&mut self) -> Result {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): Coord, color: BackendColor) -> Result {
        let rect = Rect::from_xywh(x as f32, y as f32, 1.0, 1.0);
        self.fill(rect.map(PathBuilder::from_rect), color);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: Coord, to: Coord, style: &S) -> Result {
        self.stroke(path([from, to], false), style);
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = Coord>>(
        &mut self,
        points: I,
        style: &S,
    ) -> Result {
        self.stroke(path(points, false), style);
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, a: Coord, b: Coord, style: &S, fill: bool) -> Result {
        let rect = Rect::from_ltrb(
            a.0.min(b.0) as f32,
            a.1.min(b.1) as f32,
            a.0.max(b.0) as f32,
            a.1.max(b.1) as f32,
        );
        let path = rect.map(PathBuilder::from_rect);
        match fill {
            true => self.fill(path, style.color()),
            false => self.stroke(path, style),
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): Coord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Result {
        let path = PathBuilder::from_circle(x as f32, y as f32, radius as f32);
        match fill {
            true => self.fill(path, style.color()),
            false => self.stroke(path, style),
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = Coord>>(
        &mut self,
        points: I,
        style: &S,
    ) -> Result {
        self.fill(path(points, true), style.color());
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, pos: Coord) -> Result {
        let (width, outline) = outline(text, em_of(style));
        let left = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -width / 2.0,
            HPos::Right => -width,
        };
        let (x, y) = (pos.0 as f32 + left, pos.1 as f32 + baseline_offset(style));
        let translation = Transform::from_translate(x, y);
        self.fill(outline.and_then(|path| path.transform(translation)), style.color());
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(&self, text: &str, style: &S) -> Result<(u32, u32)> {
        let em = em_of(style);
        Ok((outline(text, em).0.ceil() as u32, em.ceil() as u32))
    }
}

/// The width of a text, and its outlines, with the baseline at 0, from 0 on.
fn outline(text: &str, em: f32) -> (f32, Option<Path>) {
    font().map_or((0.0, None), |font| font.outline(text, em))
}
