//! The data set of handwritten digits that is included in the library.
//!
//! The file is embedded in the program and takes 53 kB. Returns 1,797 images of 8×8 pixels with
//! their digits, in the order of the file.
//!
//! Source: the test split of "Optical Recognition of Handwritten Digits" by E. Alpaydin and
//! C. Kaynak, UCI Machine Learning Repository, 1998, <https://doi.org/10.24432/C50P49>, licensed
//! CC BY 4.0. It is the data set of scikit-learn's `load_digits`.

use super::{Classification, Dataset};
use crate::{Error, Result};
use csv::StringRecord;
use flate2::read::GzDecoder;
use ndarray::{Array1, Array2};
use std::fmt::Display;
use std::io::Read;

/// Gzipped CSV without a header; a row is 64 pixels, 0 to 16, and the digit.
const FILE: &[u8] = include_bytes!("../../data/digits.csv.gz");
/// The file's name within the sources, for messages.
const PATH: &str = "data/digits.csv.gz";
const PIXELS: usize = 64;
/// The value of a pixel that is full of ink.
const INK: u8 = 16;
const CLASSES: u8 = 10;

/// 1,797 handwritten digits of 8×8 pixels: E. Alpaydin and C. Kaynak, Optical Recognition of
/// Handwritten Digits (test split), UCI Machine Learning Repository, 1998, CC BY 4.0.
///
/// `x` has the images, `[1797, 64]`: 64 numbers from 0 (paper) to 1 (ink), row after row from the
/// top left; the original's 0 to 16 are divided by 16. `y` has the digits, `[1797]`, from 0 to 9.
///
/// # Errors
///
/// [`Error::File`] if the file within the library was damaged when it was built.
///
/// ```
/// let digits = bilro::data::digits()?;
/// assert_eq!(digits.x().shape(), [1797, 64]);
/// assert_eq!(digits.y()[0], 0);
/// # Ok::<(), bilro::Error>(())
/// ```
pub fn digits() -> Result<Classification> {
    parse(GzDecoder::new(FILE))
}

/// Reads rows of 64 pixels and a digit.
fn parse(rows: impl Read) -> Result<Classification> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(rows);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(damaged)? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != PIXELS + 1 {
            let found = record.len();
            return Err(damaged(format!("line {line}: {found} fields, not {}", PIXELS + 1)));
        }
        for (column, field) in record.iter().enumerate() {
            let below = if column < PIXELS { INK + 1 } else { CLASSES };
            match field.parse::<u8>() {
                Ok(pixel) if pixel < below && column < PIXELS => {
                    pixels.push(f32::from(pixel) / f32::from(INK));
                }
                Ok(label) if label < below => labels.push(u32::from(label)),
                _ => {
                    return Err(damaged(format!(
                        "line {line}, column {}: `{field}` is not an integer below {below}",
                        column + 1
                    )));
                }
            }
        }
    }
    let x = Array2::from_shape_vec((labels.len(), PIXELS), pixels).map_err(damaged)?;
    Dataset::new(x, Array1::from_vec(labels))
}

fn damaged(message: impl Display) -> Error {
    Error::File { path: PATH.into(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_those_of_the_source() {
        let digits = digits().unwrap();
        assert_eq!(digits.x().dim(), (1797, 64));
        assert!(digits.x().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        let mut count = [0; 10];
        digits.y().iter().for_each(|&digit| count[digit as usize] += 1);
        // The counts documented by the repository for this split.
        assert_eq!(count, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // The first image is a 0 with a first row of 0 0 5 13 9 1 0 0.
        let first: Vec<f32> = digits.x().row(0).iter().take(8).map(|pixel| pixel * 16.0).collect();
        assert_eq!(first, [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn damage_is_reported_with_line_and_column() {
        let good = format!("{}7\n", "16,".repeat(64));
        assert_eq!(parse(good.as_bytes()).unwrap().len(), 1);
        for (bad, location) in [
            (good.replacen("16", "17", 1), "line 1, column 1: `17`"),
            (good.replace(",7", ",10"), "line 1, column 65: `10`"),
            (format!("{good}{}", good.replacen("16", "x", 2)), "line 2, column 1: `x`"),
            ("1,2,3\n".into(), "line 1: 3 fields"),
            (format!("{good}1,2\n"), "line: 2"),
        ] {
            let message = parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(location), "{message}");
        }
        assert!(matches!(parse(GzDecoder::new(&FILE[..1000])), Err(Error::File { .. })));
        assert!(matches!(parse(&b""[..]), Err(Error::Empty { .. })));
    }
}
