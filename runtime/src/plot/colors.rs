//! Colours, distinguishable with colour blindness.

pub(super) use plotters::style::RGBColor as Color;

/// The background.
pub(super) const PAPER: Color = Color(255, 255, 255);
/// Titles, names, counts.
pub(super) const INK: Color = Color(0x22, 0x22, 0x22);
/// Numbers and names of axes.
pub(super) const GREY: Color = Color(0x59, 0x59, 0x59);
/// Axes.
pub(super) const AXIS: Color = Color(0x8c, 0x8c, 0x8c);
/// Lines behind the data.
pub(super) const GRID: Color = Color(0xe6, 0xe6, 0xe6);
/// Bars of classes other than the most likely one.
pub(super) const PALE: Color = Color(0xb4, 0xc3, 0xd0);

/// Okabe and Ito's colours (<https://jfly.uni-koeln.de/color/>), without the
/// yellow, which is hardly visible on white; blue and vermilion first.
const SERIES: [Color; 7] = [
    Color(0x00, 0x72, 0xb2),
    Color(0xd5, 0x5e, 0x00),
    Color(0x00, 0x9e, 0x73),
    Color(0xcc, 0x79, 0xa7),
    Color(0x55, 0x55, 0x55),
    Color(0xe6, 0x9f, 0x00),
    Color(0x56, 0xb4, 0xe9),
];

/// The colour of a series or class, counted from 0; colours repeat.
pub(super) fn series(index: usize) -> Color {
    SERIES[index % SERIES.len()]
}

/// The number of repetitions of the colours before this index: repeated ones have dashed
/// lines.
pub(super) fn round(index: usize) -> usize {
    index / SERIES.len()
}

/// Linear interpolation from `a` at 0 to `b` at 1.
pub(super) fn mix(a: Color, b: Color, t: f64) -> Color {
    let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) };
    let channel = |a: u8, b: u8| (f64::from(a) + t * (f64::from(b) - f64::from(a))).round() as u8;
    Color(channel(a.0, b.0), channel(a.1, b.1), channel(a.2, b.2))
}

/// Ink on paper: 0 is paper, 1 black.
pub(super) fn grey(t: f64) -> Color {
    mix(PAPER, Color(0, 0, 0), t)
}

/// Paper at 0, deep blue at 1.
pub(super) fn sequential(t: f64) -> Color {
    let middle = Color(0x6b, 0xae, 0xd6);
    match t {
        t if t < 0.5 => mix(PAPER, middle, 2.0 * t),
        t => mix(middle, Color(0x08, 0x45, 0x94), 2.0 * t - 1.0),
    }
}

/// Blue at -1, paper at 0, red at 1.
pub(super) fn diverging(t: f64) -> Color {
    let (color, middle) = match t < 0.0 {
        true => (Color(0x21, 0x66, 0xac), Color(0x92, 0xc5, 0xde)),
        false => (Color(0xb2, 0x18, 0x2b), Color(0xf4, 0xa5, 0x82)),
    };
    match t.abs() {
        t if t < 0.5 => mix(PAPER, middle, 2.0 * t),
        t => mix(middle, color, 2.0 * t - 1.0),
    }
}

/// Whether letters on this colour should be white.
pub(super) fn is_dark(color: Color) -> bool {
    let Color(r, g, b) = color;
    0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b) < 140.0
}
