//! Output of pictures: SVG, PNG, text, files.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend};

use super::canvas::{Area, Canvas};
use super::cells::Cells;
use super::colors::PAPER;
use super::font;
use super::raster::{FINENESS, Raster};
use crate::error::{Error, Result};
use crate::io::replace::replace;

/// The title and the size of a picture.
#[derive(Clone, Debug)]
pub struct Look {
    pub(super) title: String,
    pub(super) size: (u32, u32),
}

impl Look {
    pub(super) fn new(title: impl Into<String>) -> Look {
        Look { title: title.into(), size: (800, 500) }
    }

    /// The same with another default size.
    pub(super) fn of_shape(self, width: u32, height: u32) -> Look {
        Look { size: (width, height), ..self }
    }

    /// An error in the data of a picture.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        let picture = if self.title.is_empty() { "without title" } else { &self.title };
        Error::Plot { picture: picture.into(), message: message.into() }
    }
}

/// Drawing of a picture onto a canvas.
pub trait Paint {
    /// Title and size.
    fn look(&self) -> &Look;

    /// Draws the picture, including its title.
    fn paint(&self, canvas: &Canvas<'_>, area: Area) -> Result<()>;
}

/// The maximum side of a picture, in pixels.
const MAX_PIXELS: u32 = 16_384;

/// The maximum number of columns and of rows of a text.
const MAX_CELLS: usize = 4_096;

/// Requires sides from 1 to `max`.
fn check_size(name: &str, sides: [usize; 2], max: usize) -> Result<()> {
    if sides.iter().all(|side| (1..=max).contains(side)) {
        return Ok(());
    }
    Err(Error::InvalidArgument {
        name: name.into(),
        expected: format!("from 1×1 to {max}×{max}"),
        found: format!("{}×{}", sides[0], sides[1]),
    })
}

pub(super) fn draw<P: Paint + ?Sized, DB: DrawingBackend>(
    picture: &P,
    area: &DrawingArea<DB, Shift>,
    fineness: u32,
) -> Result<()> {
    let failed = |message: String| picture.look().error(message);
    if font::font().is_none() {
        return Err(failed("the font within the library was damaged when it was built".into()));
    }
    area.fill(&PAPER).map_err(|e| failed(e.to_string()))?;
    let canvas = Canvas::fine(area, f64::from(fineness));
    picture.paint(&canvas, canvas.area())?;
    canvas.finish().map_err(failed)?;
    area.present().map_err(|e| failed(e.to_string()))
}

pub(super) fn svg<P: Paint + ?Sized>(picture: &P) -> Result<String> {
    let (width, height) = picture.look().size;
    check_size("size", [width as usize, height as usize], MAX_PIXELS as usize)?;
    let mut text = String::new();
    let (fine_width, fine_height) = (width * FINENESS, height * FINENESS);
    let backend = SVGBackend::with_string(&mut text, (fine_width, fine_height));
    draw(picture, &backend.into_drawing_area(), FINENESS)?;
    // plotters has integer coordinates: the picture is drawn on a finer grid (which
    // stays the view box) and shown at the requested size.
    let fine = format!("width=\"{fine_width}\" height=\"{fine_height}\"");
    let text = text.replacen(&fine, &format!("width=\"{width}\" height=\"{height}\""), 1);
    // plotters writes SVG's default attributes for every shape, a third of the size of an image of
    // small squares. In text they cannot occur, because quotes are escaped.
    Ok(text.replace(" opacity=\"1\"", "").replace(" stroke=\"none\"", ""))
}

pub(super) fn png<P: Paint + ?Sized>(picture: &P) -> Result<Vec<u8>> {
    let (width, height) = picture.look().size;
    check_size("size", [width as usize, height as usize], MAX_PIXELS as usize)?;
    let failed = |message: &str| picture.look().error(message);
    let pixels =
        Raster::new(width, height).ok_or_else(|| failed("there is no memory for its pixels"))?;
    let pixels = Rc::new(RefCell::new(pixels));
    draw(picture, &DrawingArea::from(&pixels), FINENESS)?;
    pixels.borrow().png().map_err(|e| failed(&e))
}

fn cells<P: Paint + ?Sized, T>(
    picture: &P,
    columns: usize,
    rows: usize,
    read: impl Fn(&Cells) -> T,
) -> Result<T> {
    check_size("columns and rows", [columns, rows], MAX_CELLS)?;
    let failed = |message: String| picture.look().error(message);
    let cells = Rc::new(RefCell::new(Cells::new(columns, rows)));
    let area = DrawingArea::from(&cells);
    let canvas = Canvas::cells(&area);
    picture.paint(&canvas, canvas.area())?;
    canvas.finish().map_err(failed)?;
    Ok(read(&cells.borrow()))
}

pub(super) fn text<P: Paint + ?Sized>(picture: &P, columns: usize, rows: usize) -> Result<String> {
    cells(picture, columns, rows, Cells::text)
}

pub(super) fn ansi<P: Paint + ?Sized>(picture: &P, columns: usize, rows: usize) -> Result<String> {
    cells(picture, columns, rows, Cells::ansi)
}

pub(super) fn save<P: Paint + ?Sized>(picture: &P, path: &Path) -> Result<()> {
    let failed = |message: String| Error::File { path: path.into(), message };
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let bytes = match extension.to_ascii_lowercase().as_str() {
        "svg" => svg(picture)?.into_bytes(),
        "png" => png(picture)?,
        "" => return Err(failed("a picture's file ends in `.svg` or `.png`".into())),
        other => {
            let message =
                format!("`.{other}` is not known; a picture's file ends in `.svg` or `.png`");
            return Err(failed(message));
        }
    };
    replace(path, |file| file.write_all(&bytes))
}
