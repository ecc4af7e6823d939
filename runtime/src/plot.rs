//! Plots of networks and of training, as SVG, as PNG, and as text for a terminal.
//!
//! Each picture takes plain data; the same code draws all formats:
//!
//! | picture | shows |
//! | --- | --- |
//! | [`Curves`] | losses and metrics over epochs or steps, and the end of training |
//! | [`Prediction`] | an image beside the probabilities of its classes |
//! | [`Plane`] | points of several classes, moving decision lines, decision regions |
//! | [`Race`] | paths of optimizers on the contour lines of a function, and their losses |
//! | [`ConfusionMatrix`] | counts of predicted classes for each true class |
//! | [`Images`] | weights or digits, as small images |
//! | [`Panels`] | pictures side by side |
//!
//! ```
//! use bilro::plot::Curves;
//!
//! # let path = std::env::temp_dir().join("bilro-plot-module.svg");
//! let train = [0.9, 0.5, 0.3, 0.2, 0.15, 0.12];
//! let test = [0.95, 0.6, 0.45, 0.42, 0.44, 0.5];
//! let picture = Curves::new("Overfitting from epoch 4 on")
//!     .y("cross entropy")
//!     .series("train", &train)
//!     .series("test", &test)
//!     .stop_at(4.0);
//! picture.save(&path)?;
//! println!("{}", picture.to_text(60, 16)?);
//! # std::fs::remove_file(path).ok();
//! # Ok::<(), bilro::Error>(())
//! ```
//!
//! Every picture has these methods:
//!
//! - `size(width, height)`, in pixels; default 800 by 500 (640 by 560 for
//!   [`ConfusionMatrix`], 1000 by 460 for [`Race`]).
//! - `save(path)`, as `.svg` or `.png`, by the extension of the path; a missing
//!   folder is created. `svg()` and `png()` return the contents instead.
//! - `to_text(columns, rows)`: rows of `columns` characters, without colours:
//!   lines of braille dots, areas of blocks. `to_ansi` is the same in colour.
//! - `draw(area)`, onto any backend of [`plotters`].
//!
//! The same data give the same bytes. NaN and infinite numbers leave gaps; a
//! picture with nothing to draw is an [`Error::Plot`](crate::Error::Plot).
//! If a picture is too small for its lettering, names are left out first, then
//! numbers; nothing overlaps. The colours are Okabe and Ito's, which are
//! distinguishable with colour blindness.

mod axes;
mod canvas;
mod cells;
mod colors;
mod confusion;
mod contours;
mod curves;
mod font;
mod heading;
mod history;
#[cfg(test)]
mod hostile;
mod images;
mod lettering;
mod output;
mod panels;
mod plane;
mod prediction;
mod race;
mod raster;
mod scale;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::error::Result;

pub use confusion::ConfusionMatrix;
pub use curves::Curves;
pub use images::Images;
pub use panels::Panels;
pub use plane::{Plane, grid};
/// The drawing library, for [`Curves::draw`] and that of other pictures.
pub use plotters;
pub use prediction::Prediction;
pub use race::Race;

/// Any picture: for [`Panels`], and for functions that take any of them.
///
/// Implemented by the pictures of this module only, with their methods:
///
/// ```
/// use bilro::plot::{Curves, Picture};
///
/// fn show(picture: &dyn Picture) -> bilro::Result<String> {
///     picture.to_text(40, 12)
/// }
///
/// let picture = Curves::new("loss").series("train", &[0.9, 0.5, 0.3]);
/// assert_eq!(show(&picture)?, picture.to_text(40, 12)?);
/// # Ok::<(), bilro::Error>(())
/// ```
pub trait Picture: output::Paint {
    /// Writes a file, as [`Curves::save`] does.
    ///
    /// # Errors
    /// As [`Curves::save`].
    fn save(&self, path: &Path) -> Result<()> {
        output::save(self, path)
    }

    /// The picture in characters, as [`Curves::to_text`].
    ///
    /// # Errors
    /// As [`Curves::to_text`].
    fn to_text(&self, columns: usize, rows: usize) -> Result<String> {
        output::text(self, columns, rows)
    }
}

/// The methods that every picture has.
macro_rules! outputs {
    ($picture:ident $(<$life:lifetime>)?) => {
        impl $(<$life>)? $crate::plot::Picture for $picture $(<$life>)? {}

        impl $(<$life>)? $picture $(<$life>)? {
            /// Width and height in pixels, each up to 16,384.
            pub fn size(mut self, width: u32, height: u32) -> Self {
                self.look.size = (width, height);
                self
            }

            /// Writes a file, `.svg` or `.png`, and creates its folder if it is
            /// missing.
            ///
            /// # Errors
            /// [`Error::File`](crate::Error::File) for another extension, or if the
            /// file cannot be written; those of [`Self::svg`].
            pub fn save(&self, path: impl AsRef<std::path::Path>) -> $crate::Result<()> {
                $crate::plot::output::save(self, path.as_ref())
            }

            /// The contents of an SVG file.
            ///
            /// # Errors
            /// [`Error::Plot`](crate::Error::Plot) if there is nothing to draw or the
            /// data are inconsistent,
            /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a size that no
            /// picture has.
            pub fn svg(&self) -> $crate::Result<String> {
                $crate::plot::output::svg(self)
            }

            /// The contents of a PNG file.
            ///
            /// # Errors
            /// As [`Self::svg`].
            pub fn png(&self) -> $crate::Result<Vec<u8>> {
                $crate::plot::output::png(self)
            }

            /// The picture as `rows` lines of `columns` characters, each up to 4,096;
            /// lines are separated by `\n`.
            ///
            /// # Errors
            /// As [`Self::svg`].
            pub fn to_text(&self, columns: usize, rows: usize) -> $crate::Result<String> {
                $crate::plot::output::text(self, columns, rows)
            }

            /// As [`Self::to_text`], with escape sequences for colours, which
            /// most terminals understand.
            ///
            /// # Errors
            /// As [`Self::svg`].
            pub fn to_ansi(&self, columns: usize, rows: usize) -> $crate::Result<String> {
                $crate::plot::output::ansi(self, columns, rows)
            }

            /// Draws onto an area of any backend of
            /// [`plotters`](crate::plot::plotters), in the size of the area, not that
            /// of the picture.
            ///
            /// # Errors
            /// [`Error::Plot`](crate::Error::Plot), also for errors of the backend.
            pub fn draw<DB: plotters::prelude::DrawingBackend>(
                &self,
                area: &plotters::prelude::DrawingArea<DB, plotters::coord::Shift>,
            ) -> $crate::Result<()> {
                $crate::plot::output::draw(self, area, 1)
            }
        }
    };
}
use outputs;
