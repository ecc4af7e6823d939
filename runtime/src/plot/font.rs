//! The font of the pictures: it comes with the library, so that no system
//! library and no installed font is asked for one.
//!
//! `data/README.md` has its source and licence.

use std::io::Read;
use std::sync::LazyLock;

use ab_glyph::FontRef;
use flate2::read::GzDecoder;
use plotters::style::{FontStyle, register_font};

/// What SVG files name as font family, and plotters knows the font by: whoever
/// looks at an SVG may have only one of the others.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// plotters divides the size of a text by this to get the size of its em.
pub(super) const PLOTTERS_SIZE_OF_EM: f64 = 1.24;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    let file = include_bytes!("../../data/DejaVuSans-subset.ttf.gz");
    // A damaged file gives no font, which is what `font` returns then.
    let _ = GzDecoder::new(&file[..]).read_to_end(&mut bytes);
    bytes
});

static FONT: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(BYTES.as_slice()).ok());

static KNOWN_TO_PLOTTERS: LazyLock<bool> =
    LazyLock::new(|| register_font(FAMILY, FontStyle::Normal, BYTES.as_slice()).is_ok());

/// The font, known to plotters under [`FAMILY`].
pub(super) fn font() -> Option<&'static FontRef<'static>> {
    if !*KNOWN_TO_PLOTTERS {
        return None;
    }
    FONT.as_ref()
}

#[cfg(test)]
mod tests {
    use ab_glyph::Font;

    #[test]
    fn has_the_characters_that_pictures_write() {
        let font = super::font().unwrap();
        for c in "Aaéñßωж09.,:−-–…%±×·²→✓≡".chars() {
            assert_ne!(font.glyph_id(c).0, 0, "{c}");
        }
    }
}
