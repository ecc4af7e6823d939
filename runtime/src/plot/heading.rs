//! Headings of pictures: title and legend.

use super::canvas::{Align, Area, Canvas};
use super::colors::{Color, GREY, INK};

/// The sample of a series or a class in the legend.
#[derive(Clone, Copy)]
pub(super) enum Sample {
    /// A line; `sign` is its mark in text without colours.
    Line { color: Color, dashes: &'static [f64], sign: Option<usize> },
    /// A mark of this class.
    Mark { class: usize, color: Color },
}

/// An entry of the legend.
pub(super) struct Entry<'t> {
    pub name: &'t str,
    pub sample: Sample,
}

/// The size of titles, relative to other text.
const TITLE: f64 = 1.2;

/// Draws title and legend at the top of an area, and returns the remaining area.
pub(super) fn heading(canvas: &Canvas<'_>, area: Area, title: &str, entries: &[Entry<'_>]) -> Area {
    legend(canvas, headline(canvas, area, title), entries)
}

/// Draws a title, on several lines if it is long.
pub(super) fn headline(canvas: &Canvas<'_>, mut area: Area, title: &str) -> Area {
    let line = if canvas.coarse { canvas.em } else { 1.35 * TITLE * canvas.em };
    let max_lines = ((area.height() / line / 5.0) as usize).min(3);
    if title.is_empty() || max_lines == 0 {
        return area;
    }
    for text in wrapped(canvas, title, area.width(), max_lines) {
        canvas.text(&text, (area.left, area.top + line / 2.0), Align::Left, INK, TITLE);
        area.top += line;
    }
    area.top += canvas.gap(0.25);
    area
}

/// A text wrapped into at most `max_lines` lines.
fn wrapped(canvas: &Canvas<'_>, text: &str, width: f64, max_lines: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.len() == max_lines;
        let Some(line) = lines.last_mut() else { break };
        let longer = if line.is_empty() { word.into() } else { format!("{line} {word}") };
        if line.is_empty() || full || canvas.width(&longer, TITLE) <= width {
            *line = longer;
        } else {
            lines.push(word.into());
        }
    }
    lines.iter().map(|line| canvas.shortened(line, width, TITLE)).collect()
}

/// Draws a legend, with entries side by side, in at most a quarter of the height. Entries
/// that do not fit are counted (`… 3 more`).
fn legend(canvas: &Canvas<'_>, mut area: Area, entries: &[Entry<'_>]) -> Area {
    let line = canvas.line_height();
    let rows = (area.height() / line / 4.0) as usize;
    if entries.is_empty() || rows == 0 {
        return area;
    }
    let gap = canvas.space(1.5);
    let (mut x, mut row) = (area.left, 0);
    for (i, entry) in entries.iter().enumerate() {
        let indent = sample_width(canvas, entry.sample);
        let name = canvas.shortened(entry.name, area.width() - indent, 1.0);
        let width = indent + canvas.width(&name, 1.0);
        let more = format!("… {} more", entries.len() - i);
        let last = i + 1 == entries.len();
        let reserved = match row + 1 == rows && !last {
            true => gap + canvas.width(&more, 1.0),
            false => 0.0,
        };
        if x > area.left && x + width + reserved > area.right {
            let fits_without = last && x + width <= area.right;
            if row + 1 == rows && !fits_without {
                let middle = area.top + (row as f64 + 0.5) * line;
                canvas.text(&more, (x, middle), Align::Left, GREY, 1.0);
                break;
            }
            if !fits_without {
                (x, row) = (area.left, row + 1);
            }
        }
        let middle = area.top + (row as f64 + 0.5) * line;
        sample(canvas, entry.sample, (x, middle));
        canvas.text(&name, (x + indent, middle), Align::Left, INK, 1.0);
        x += width + gap;
    }
    area.top += (row + 1) as f64 * line + canvas.gap(0.35);
    area
}

fn sample_width(canvas: &Canvas<'_>, sample: Sample) -> f64 {
    match (sample, canvas.coarse) {
        (Sample::Line { .. }, true) => 8.0,
        (Sample::Line { .. }, false) => 2.2 * canvas.em,
        (Sample::Mark { .. }, true) => 4.0,
        (Sample::Mark { .. }, false) => 1.1 * canvas.em,
    }
}

fn sample(canvas: &Canvas<'_>, sample: Sample, (x, y): (f64, f64)) {
    match sample {
        Sample::Line { color, sign, .. } if canvas.coarse => {
            canvas.text("⠤⠤⠤", (x, y), Align::Left, color, 1.0);
            if let Some(sign) = sign {
                canvas.mark(sign, (x + 2.0, y), color, 0.0);
            }
        }
        Sample::Line { color, dashes, .. } => {
            canvas.line(&[(x, y), (x + 1.7 * canvas.em, y)], color, 2.2, dashes);
        }
        Sample::Mark { class, color } if canvas.coarse => canvas.mark(class, (x, y), color, 0.0),
        Sample::Mark { class, color } => {
            canvas.mark(class, (x + 0.4 * canvas.em, y), color, 4.0);
        }
    }
}
