//! The font of the pictures: widths and outlines of letters.
//!
//! It is included in the library as text, so that no font parser, system library or
//! installed font is needed. `data/letters.py` writes that text and describes its
//! format; `data/README.md` has its source and licence.

use std::collections::HashMap;
use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use tiny_skia::{Path, PathBuilder};

/// The font families in SVG files: a viewer may have only one of the later ones.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::new();
    let file = include_bytes!("../../data/DejaVuSans.letters.gz");
    // With a damaged file `font` returns `None`.
    let _ = GzDecoder::new(&file[..]).read_to_string(&mut text);
    text
});

static FONT: LazyLock<Option<Font>> = LazyLock::new(|| Font::read(&TEXT));

/// The font of the pictures; `None` if the file within the library is damaged.
pub(super) fn font() -> Option<&'static Font> {
    FONT.as_ref()
}

/// Letters, with lengths in the font's units.
pub(super) struct Font {
    units_per_em: f32,
    /// The height of a line, from the ascent to the descent.
    line: f32,
    letters: HashMap<char, Letter>,
    /// The replacement for missing letters.
    missing: Letter,
}

#[derive(Clone, Copy)]
struct Letter {
    advance: f32,
    /// An SVG path, y going up.
    outline: &'static str,
}

impl Font {
    fn read(text: &'static str) -> Option<Font> {
        let mut lines = text.lines();
        let mut head = lines.next()?.split(' ').map(|n| n.parse::<f32>().ok());
        let (units_per_em, ascent, descent) = (head.next()??, head.next()??, head.next()??);
        let letter = |line: &'static str| {
            let (code, letter) = line.split_once(' ')?;
            let (advance, outline) = letter.split_once(' ').unwrap_or((letter, ""));
            Some((code, Letter { advance: advance.parse().ok()?, outline }))
        };
        let (_, missing) = letter(lines.next()?)?;
        let letters = lines.map(|line| {
            let (code, letter) = letter(line)?;
            Some((char::from_u32(u32::from_str_radix(code, 16).ok()?)?, letter))
        });
        let letters = letters.collect::<Option<HashMap<_, _>>>()?;
        Some(Font { units_per_em, line: ascent - descent, letters, missing })
    }

    fn letter(&self, c: char) -> Letter {
        self.letters.get(&c).copied().unwrap_or(self.missing)
    }

    /// The width of a text with a height of the line of `line`.
    pub fn width_in_line(&self, text: &str, line: f32) -> f32 {
        let scale = line / self.line;
        text.chars().map(|c| scale * self.letter(c).advance).sum()
    }

    /// The width of a text, and its outlines, with the baseline at 0, from 0 on, y
    /// pointing down.
    pub fn outline(&self, text: &str, em: f32) -> (f32, Option<Path>) {
        let scale = em / self.units_per_em;
        let mut builder = PathBuilder::new();
        let mut x = 0.0;
        for c in text.chars() {
            let letter = self.letter(c);
            // A test checks that every outline can be parsed.
            let _ = add(&mut builder, letter.outline, |p| (x + scale * p.0, -scale * p.1));
            x += scale * letter.advance;
        }
        (x, builder.finish())
    }
}

/// Adds the contours of a letter; `None` if they cannot be parsed.
fn add(
    builder: &mut PathBuilder,
    outline: &str,
    transform: impl Fn((f32, f32)) -> (f32, f32),
) -> Option<()> {
    let mut last = (0.0, 0.0);
    let mut open = false;
    let mut remaining = outline;
    while let Some(command) = remaining.chars().next() {
        let (_, after) = remaining.split_at(command.len_utf8());
        let end = after.find(['m', 'l', 'q']).unwrap_or(after.len());
        let mut numbers = after[..end].split(' ').map(|n| n.parse::<f32>().ok());
        let mut point = || Some((last.0 + numbers.next()??, last.1 + numbers.next()??));
        match command {
            'm' => {
                last = point()?;
                if open {
                    builder.close();
                }
                open = true;
                let (x, y) = transform(last);
                builder.move_to(x, y);
            }
            'l' => {
                last = point()?;
                let (x, y) = transform(last);
                builder.line_to(x, y);
            }
            'q' => {
                let control = transform(point()?);
                last = point()?;
                let (x, y) = transform(last);
                builder.quad_to(control.0, control.1, x, y);
            }
            _ => return None,
        }
        remaining = &after[end..];
    }
    if open {
        builder.close();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_the_characters_of_pictures() {
        let font = font().unwrap();
        for c in "Aaéñßωж09.,:−-–…%±×·²→✓≡".chars() {
            assert!(font.letters.contains_key(&c), "{c}");
        }
    }

    #[test]
    fn every_outline_can_be_parsed_and_is_within_the_line() {
        let font = font().unwrap();
        let all = font.letters.values().chain([&font.missing]);
        for letter in all {
            let mut builder = PathBuilder::new();
            assert!(add(&mut builder, letter.outline, |p| p).is_some(), "{}", letter.outline);
            if let Some(path) = builder.finish() {
                let bounds = path.bounds();
                let (low, high) = (bounds.top(), bounds.bottom());
                assert!(-0.4 * 2048.0 <= low && high <= 1.1 * 2048.0, "{low} {high}");
            }
        }
        assert_eq!(font.letters.len(), 1040);
    }

    /// The advance and the bounds of letters, in the font's units, from its tables `hmtx` and
    /// `glyf`.
    #[test]
    fn letters_are_those_of_the_font() {
        for (c, advance, bounds) in [
            ('A', 1401.0, [16.0, 0.0, 1384.0, 1493.0]),
            ('é', 1260.0, [113.0, -29.0, 1151.0, 1638.0]),
            ('ж', 1845.0, [70.0, 0.0, 1775.0, 1120.0]),
            ('\u{4e00}', 1229.0, [102.0, -362.0, 1126.0, 1444.0]),
        ] {
            let (width, path) = font().unwrap().outline(&c.to_string(), 2048.0);
            let path = path.unwrap().compute_tight_bounds().unwrap();
            let found = [path.left(), -path.bottom(), path.right(), -path.top()];
            assert_eq!(width, advance, "{c}");
            for (found, expected) in found.into_iter().zip(bounds) {
                assert!((found - expected).abs() < 1.0, "{c}: {found} {expected}");
            }
        }
    }

    #[test]
    fn malformed_fonts_are_none() {
        for text in ["", "2048", "2048 1 0\n", "2048 1 0\n- x", "2048 1 0\n- 1\nzz 4", "a 1 0\n- 1"]
        {
            assert!(Font::read(text).is_none(), "{text}");
        }
        let mut builder = PathBuilder::new();
        for outline in ["x1 2", "m1", "m1 2q3 4", "l1 z", "é"] {
            assert!(add(&mut builder, outline, |p| p).is_none(), "{outline}");
        }
    }
}
