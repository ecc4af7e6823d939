//! Pictures of networks and of how they learn, as SVG, as PNG, and as text for
//! a terminal.
//!
//! Each picture takes plain data, and one piece of code draws it everywhere:
//!
//! | picture | shows |
//! | --- | --- |
//! | [`Curves`] | losses and metrics over epochs or steps, and where training stopped |
//! | [`Prediction`] | an image beside the probabilities of its classes |
//! | [`Plane`] | points of several classes, decision lines as they move, regions |
//! | [`Race`] | optimizers on the contour lines of a function, and their losses |
//! | [`ConfusionMatrix`] | which classes are taken for which |
//! | [`Images`] | weights or digits, a small image each |
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
//! Every picture has these, beside what is its own:
//!
//! - `size(width, height)`, in pixels; 800 by 500 by default (640 by 560 for
//!   [`ConfusionMatrix`], 1000 by 460 for [`Race`]).
//! - `save(path)`, as `.svg` or `.png`, whichever the path ends in; the folder
//!   is made if it is missing. `svg()` and `png()` give the contents instead.
//! - `to_text(columns, rows)`: exactly so many characters, without colours:
//!   lines of braille dots, areas of blocks. `to_ansi` is the same in colour.
//! - `draw(area)`, onto any backend of [`plotters`].
//!
//! The same data give the same bytes. NaN and infinite numbers leave gaps; a
//! picture with nothing to draw is an [`Error::Plot`](crate::Error::Plot).
//! Where a picture is too small for its lettering, names go first, then
//! numbers; nothing is drawn over another thing. The colours are Okabe and
//! Ito's, which colour-blind people can tell apart.

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
/// The library that draws, for [`Curves::draw`] and its siblings.
pub use plotters;
pub use prediction::Prediction;
pub use race::Race;

/// Everything that draws itself: what [`Panels`] puts side by side.
///
/// The pictures of this module have it, and no others. Its methods are theirs,
/// for a function that takes any of them:
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

    /// The picture in characters, as [`Curves::to_text`] gives it.
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

            /// Writes a file, `.svg` or `.png`, and its folder where there is
            /// none.
            ///
            /// # Errors
            /// [`Error::File`](crate::Error::File) for another ending, or where
            /// the file cannot be written; what [`Self::svg`] returns.
            pub fn save(&self, path: impl AsRef<std::path::Path>) -> $crate::Result<()> {
                $crate::plot::output::save(self, path.as_ref())
            }

            /// The contents of an SVG file.
            ///
            /// # Errors
            /// [`Error::Plot`](crate::Error::Plot) where there is nothing to
            /// draw or the data do not fit together,
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

            /// The picture in characters, exactly so many in each of so many
            /// rows, each up to 4,096; rows are separated by ends of lines.
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
            /// [`plotters`](crate::plot::plotters), whose size counts, not
            /// this picture's.
            ///
            /// # Errors
            /// [`Error::Plot`](crate::Error::Plot), also for what the backend
            /// says.
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
