//! Text on any backend of plotters, with the letters of [`font`].
//!
//! plotters' own text styles get the size and the dots of letters from a font
//! library. This style computes both itself: the backends of this module and SVG
//! use its size, and on a backend without text of its own the letters are drawn dot by
//! dot.

use std::cell::Cell;
use std::convert::Infallible;
use std::iter::Empty;

use plotters::element::{Drawable, PointCollection};
use plotters::style::Color as _;
use plotters_backend::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{
    BackendColor, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontFamily,
};
use tiny_skia::{FillRule, Mask, Transform};

use super::canvas::Align;
use super::colors::Color;
use super::font::{FAMILY, font};

/// The ratio of plotters' size of a text to its em.
const PLOTTERS_SIZE_OF_EM: f64 = 1.24;

/// The distance from the middle of a text down to its baseline, in ems; about SVG's half
/// of an `ex`.
const MIDDLE_TO_BASE: f32 = 0.27;

/// The style of a text that is vertically centered.
pub(super) struct Style {
    pub em: f64,
    pub to: Align,
    pub color: Color,
}

/// The size of the em of any style's text.
pub(super) fn em_of<S: BackendTextStyle>(style: &S) -> f32 {
    (style.size() / PLOTTERS_SIZE_OF_EM) as f32
}

/// The distance from the position of a text down to its baseline.
pub(super) fn baseline_offset<S: BackendTextStyle>(style: &S) -> f32 {
    let ems = match style.anchor().v_pos {
        VPos::Top => 0.76,
        VPos::Center => MIDDLE_TO_BASE,
        VPos::Bottom => -MIDDLE_TO_BASE,
    };
    ems * em_of(style)
}

impl BackendTextStyle for Style {
    type FontError = Infallible;

    fn color(&self) -> BackendColor {
        self.color.to_backend_color()
    }

    fn size(&self) -> f64 {
        self.em * PLOTTERS_SIZE_OF_EM
    }

    fn anchor(&self) -> Pos {
        let horizontal = match self.to {
            Align::Left => HPos::Left,
            Align::Center => HPos::Center,
            Align::Right => HPos::Right,
        };
        Pos::new(horizontal, VPos::Center)
    }

    fn family(&self) -> FontFamily<'_> {
        FontFamily::Name(FAMILY)
    }

    /// Slightly wider than the text, by 1.24 to 1.164: the viewer of an SVG may use another
    /// font, with wider letters.
    fn layout_box(&self, text: &str) -> Result<((i32, i32), (i32, i32)), Infallible> {
        let width = font().map_or(0.0, |font| font.width_in_line(text, self.size() as f32));
        Ok(((0, 0), (width as i32, self.em as i32)))
    }

    /// The dots of the letters, with `at` the upper left corner of the layout box, for
    /// backends without text of their own.
    fn draw<E, F: FnMut(i32, i32, BackendColor) -> Result<(), E>>(
        &self,
        text: &str,
        at: (i32, i32),
        mut draw: F,
    ) -> Result<Result<(), E>, Infallible> {
        let em = em_of(self);
        let Some((width, Some(path))) = font().map(|font| font.outline(text, em)) else {
            return Ok(Ok(()));
        };
        let ((left, top), (right, bottom)) = self.layout_box(text)?;
        let spare = (right - left) as f32 - width;
        let aside = match self.to {
            Align::Left => 0.0,
            Align::Center => spare / 2.0,
            Align::Right => spare,
        };
        let down = (bottom - top) as f32 / 2.0 + MIDDLE_TO_BASE * em;
        let Some(path) = path.transform(Transform::from_translate(aside, down)) else {
            return Ok(Ok(()));
        };
        let bounds = path.bounds();
        let (x, y) = (bounds.left().floor() as i32, bounds.top().floor() as i32);
        let side = |from: i32, to: f32| (to.ceil() as i32 - from).max(1) as u32;
        let Some(mut dots) = Mask::new(side(x, bounds.right()), side(y, bounds.bottom())) else {
            return Ok(Ok(()));
        };
        let to_dots = Transform::from_translate(-x as f32, -y as f32);
        dots.fill_path(&path, FillRule::Winding, true, to_dots);
        let color = self.color();
        let rows = dots.data().chunks(dots.width() as usize);
        for (row, line) in (at.1 + y..).zip(rows) {
            for (column, cover) in (at.0 + x..).zip(line).filter(|(_, cover)| **cover > 0) {
                let alpha = color.alpha * f64::from(*cover) / 255.0;
                if let Err(error) = draw(column, row, BackendColor { alpha, ..color }) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }
}

/// A text to draw.
pub(super) struct Lettering<'a> {
    pub text: &'a str,
    pub style: Style,
    /// Its position on the backend.
    pub at: (i32, i32),
}

impl<'a> PointCollection<'a, (i32, i32)> for &'a Lettering<'a> {
    type Point = (i32, i32);
    type IntoIter = Empty<(i32, i32)>;

    /// Empty: plotters would move the points into its area, and the text with them.
    fn point_iter(self) -> Self::IntoIter {
        std::iter::empty()
    }
}

impl<DB: DrawingBackend> Drawable<DB> for Lettering<'_> {
    fn draw<I: Iterator<Item = (i32, i32)>>(
        &self,
        _: I,
        backend: &mut DB,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<DB::ErrorType>> {
        backend.draw_text(self.text, &self.style, self.at)
    }
}

/// A text to measure, which draws nothing.
pub(super) struct Measure<'a> {
    pub text: &'a str,
    pub style: Style,
    /// The width that the backend computes.
    pub width: Cell<u32>,
}

impl<'a> PointCollection<'a, (i32, i32)> for &'a Measure<'a> {
    type Point = (i32, i32);
    type IntoIter = Empty<(i32, i32)>;

    fn point_iter(self) -> Self::IntoIter {
        std::iter::empty()
    }
}

impl<DB: DrawingBackend> Drawable<DB> for Measure<'_> {
    fn draw<I: Iterator<Item = (i32, i32)>>(
        &self,
        _: I,
        backend: &mut DB,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<DB::ErrorType>> {
        self.width.set(backend.estimate_text_size(self.text, &self.style)?.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use plotters::drawing::DrawingArea;

    use super::super::canvas::Canvas;
    use super::super::colors::INK;
    use super::super::curves::Curves;
    use super::super::raster::{FINENESS, Raster};
    use super::*;

    /// A backend with only dots: the darkness of each.
    struct Dots {
        width: u32,
        height: u32,
        dark: Vec<f64>,
    }

    impl Dots {
        fn new(width: u32, height: u32) -> Dots {
            Dots { width, height, dark: vec![0.0; (width * height) as usize] }
        }
    }

    impl DrawingBackend for Dots {
        type ErrorType = Infallible;

        fn get_size(&self) -> (u32, u32) {
            (self.width, self.height)
        }

        fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
            Ok(())
        }

        fn present(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
            Ok(())
        }

        fn draw_pixel(
            &mut self,
            (x, y): (i32, i32),
            color: BackendColor,
        ) -> Result<(), DrawingErrorKind<Infallible>> {
            if (0..self.width as i32).contains(&x) && (0..self.height as i32).contains(&y) {
                let dark = &mut self.dark[y as usize * self.width as usize + x as usize];
                let ink = 1.0 - f64::from(color.rgb.1) / 255.0;
                *dark = color.alpha * ink + (1.0 - color.alpha) * *dark;
            }
            Ok(())
        }
    }

    /// The bounds of dark dots, and the sum of darkness.
    fn extent(width: u32, dark: &[f64]) -> ([f64; 4], f64) {
        let mut area = [f64::MAX, f64::MAX, 0.0, 0.0];
        for (i, _) in dark.iter().enumerate().filter(|(_, dark)| **dark > 0.3) {
            let (x, y) = (f64::from(i as u32 % width), f64::from(i as u32 / width));
            area = [area[0].min(x), area[1].min(y), area[2].max(x), area[3].max(y)];
        }
        (area, dark.iter().sum())
    }

    #[test]
    fn backends_without_text_draw_the_same_letters() {
        let (width, height, em) = (300, 60, 20.0);
        for to in [Align::Left, Align::Center, Align::Right] {
            let dots = Rc::new(RefCell::new(Dots::new(width, height)));
            let area = DrawingArea::from(&dots);
            let style = Style { em, to, color: INK };
            area.draw(&Lettering { text: "Wägen − 3", style, at: (150, 30) }).unwrap();
            let raster = Rc::new(RefCell::new(Raster::new(width, height).unwrap()));
            let fine = DrawingArea::from(&raster);
            let style = Style { em: em * f64::from(FINENESS), to, color: INK };
            let at = (150 * FINENESS as i32, 30 * FINENESS as i32);
            fine.draw(&Lettering { text: "Wägen − 3", style, at }).unwrap();
            let png = raster.borrow().png().unwrap();
            let pixels = tiny_skia::Pixmap::decode_png(&png).unwrap();
            let ink = 1.0 - f64::from(INK.1) / 255.0;
            let dark = pixels.pixels().iter().map(|p| ink * f64::from(p.alpha()) / 255.0);
            let (expected, amount) = extent(width, &dark.collect::<Vec<_>>());
            let (found, drawn) = extent(width, &dots.borrow().dark);
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found - expected).abs() <= 1.0, "{found} {expected}");
            }
            assert!((drawn / amount - 1.0).abs() < 0.02, "{drawn} {amount}");
        }
    }

    #[test]
    fn pictures_draw_onto_any_backend() {
        let dots = Rc::new(RefCell::new(Dots::new(400, 250)));
        Curves::new("A title")
            .series("train", &[2.0, 1.0])
            .draw(&DrawingArea::from(&dots))
            .unwrap();
        let title = dots.borrow().dark[..400 * 25].iter().sum::<f64>();
        assert!(title > 50.0, "{title}");
    }

    #[test]
    fn texts_are_drawn_in_their_area_of_the_backend() {
        let dots = Rc::new(RefCell::new(Dots::new(200, 100)));
        let (_, right) = DrawingArea::from(&dots).split_horizontally(120);
        let canvas = Canvas::fine(&right, 1.0);
        canvas.text("mmm", (0.0, 50.0), Align::Left, INK, 1.0);
        let ([left, ..], _) = extent(200, &dots.borrow().dark);
        assert!((119.0..124.0).contains(&left), "{left}");
    }
}
