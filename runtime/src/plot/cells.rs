//! A backend of plotters for the cells of a terminal, with braille dots and blocks.
//!
//! A cell is two pixels wide and four high, the dots of a braille character,
//! and has three layers: letters, lines as dots, and filled areas. Text shows the
//! first layer that a cell has. Light lines (grids, old decision lines) are a dot in
//! the middle of the cell, or invisible; filled areas are blocks if they have straight
//! edges within the cell, and shades otherwise.

use std::convert::Infallible;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Pixels of a cell.
pub(super) const CELL: (u32, u32) = (2, 4);

type Result<T = (), E = DrawingErrorKind<Infallible>> = std::result::Result<T, E>;
type Coord = (i32, i32);
type Rgb = [u8; 3];

const PAPER: Rgb = [255; 3];

/// The second column of a letter of width two.
const CONTINUED: char = '\0';

#[derive(Clone, Copy, Default)]
struct Cell {
    letter: Option<(char, Rgb)>,
    /// A bit for each pixel, row after row.
    dots: u8,
    dots_color: Rgb,
    /// The colour of a light line through the cell.
    faint: Option<Rgb>,
}

/// The cells of a terminal.
pub(super) struct Cells {
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
    /// The colours of filled areas, by pixel.
    fill: Vec<Rgb>,
}

/// The visibility of a line.
enum Strength {
    Strong,
    Faint,
    Nothing,
}

fn rgb(color: BackendColor) -> Rgb {
    let (r, g, b) = color.rgb;
    [r, g, b].map(|c| (255.0 + color.alpha * (f64::from(c) - 255.0)).round() as u8)
}

/// From 0, paper, to 1, black.
fn darkness([r, g, b]: Rgb) -> f64 {
    1.0 - (0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)) / 255.0
}

fn strength(color: Rgb) -> Strength {
    let (low, high) = (color.iter().min().unwrap_or(&0), color.iter().max().unwrap_or(&0));
    match darkness(color) {
        d if d < 0.13 => Strength::Nothing,
        d if d < 0.5 && high - low < 60 => Strength::Faint,
        _ => Strength::Strong,
    }
}

/// The colours of a letter and of its background; `None`: those of the terminal.
type Colors = (Option<Rgb>, Option<Rgb>);

impl Cells {
    /// Empty cells.
    pub fn new(columns: usize, rows: usize) -> Cells {
        let pixels = columns * rows * (CELL.0 * CELL.1) as usize;
        Cells {
            columns,
            rows,
            cells: vec![Cell::default(); columns * rows],
            fill: vec![PAPER; pixels],
        }
    }

    /// The index of the cell with this pixel, and the pixel's bit.
    fn at(&self, (x, y): Coord) -> Option<(usize, u8)> {
        let (column, row) = (x.div_euclid(2), y.div_euclid(4));
        let inside =
            (0..self.columns as i32).contains(&column) && (0..self.rows as i32).contains(&row);
        let bit = 1 << (2 * y.rem_euclid(4) + x.rem_euclid(2));
        inside.then(|| (row as usize * self.columns + column as usize, bit))
    }

    fn dot(&mut self, point: Coord, color: Rgb, strength: &Strength) {
        let Some((cell, bit)) = self.at(point) else { return };
        let cell = &mut self.cells[cell];
        match strength {
            Strength::Strong => {
                cell.dots |= bit;
                cell.dots_color = color;
            }
            Strength::Faint => cell.faint = Some(color),
            Strength::Nothing => {}
        }
    }

    fn stroke(&mut self, from: Coord, to: Coord, color: Rgb) {
        let strength = strength(color);
        // Far outside, integers do not reach; pictures clip their lines.
        let limit = |v: i32| f64::from(v.clamp(-1 << 16, 1 << 16));
        let (x, y) = (limit(from.0), limit(from.1));
        let (dx, dy) = (limit(to.0) - x, limit(to.1) - y);
        let steps = dx.abs().max(dy.abs()).max(1.0);
        for i in 0..=steps as i32 {
            let t = f64::from(i) / steps;
            let point = ((x + t * dx).round() as i32, (y + t * dy).round() as i32);
            self.dot(point, color, &strength);
        }
    }

    /// Fills one pixel, and hides earlier lines there.
    fn paint(&mut self, (x, y): Coord, color: Rgb) {
        let Some((cell, bit)) = self.at((x, y)) else { return };
        self.fill[y as usize * self.columns * CELL.0 as usize + x as usize] = color;
        let cell = &mut self.cells[cell];
        cell.dots &= !bit;
        cell.faint = None;
    }

    /// The pixels of a cell's fill, row after row.
    fn filled(&self, column: usize, row: usize) -> [Rgb; 8] {
        std::array::from_fn(|i| {
            let (x, y) = (2 * column + i % 2, 4 * row + i / 2);
            self.fill[y * self.columns * CELL.0 as usize + x]
        })
    }

    /// The rows, separated by `\n`.
    pub fn text(&self) -> String {
        let mut rows = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            let columns = 0..self.columns;
            rows.push(columns.filter_map(|c| self.plain(c, row)).collect::<String>());
        }
        rows.join("\n")
    }

    /// The same with colours, by escape sequences for 24-bit colours.
    pub fn ansi(&self) -> String {
        let mut text = String::new();
        for row in 0..self.rows {
            let mut before = (None, None);
            for column in 0..self.columns {
                let Some((letter, colors)) = self.colored(column, row) else { continue };
                if colors != before {
                    text += "\x1b[0m";
                    for (code, color) in [(38, colors.0), (48, colors.1)] {
                        if let Some([r, g, b]) = color {
                            text += &format!("\x1b[{code};2;{r};{g};{b}m");
                        }
                    }
                    before = colors;
                }
                text.push(letter);
            }
            if before != (None, None) {
                text += "\x1b[0m";
            }
            if row + 1 < self.rows {
                text.push('\n');
            }
        }
        text
    }

    fn plain(&self, column: usize, row: usize) -> Option<char> {
        let cell = &self.cells[row * self.columns + column];
        match cell.letter {
            Some((CONTINUED, _)) => return None,
            Some((letter, _)) => return Some(letter),
            None => {}
        }
        if cell.dots != 0 {
            return Some(braille(cell.dots));
        }
        let shade = blocks(self.filled(column, row));
        Some(match cell.faint {
            Some(_) if shade == ' ' => '·',
            _ => shade,
        })
    }

    /// A letter with its colours.
    fn colored(&self, column: usize, row: usize) -> Option<(char, Colors)> {
        let cell = &self.cells[row * self.columns + column];
        let fill = self.filled(column, row);
        let (upper, lower) = (mean(&fill[..4]), mean(&fill[4..]));
        let ground = Some(mean(&fill)).filter(|c| *c != PAPER);
        // Ink has the terminal's default colour, unless it is on a filled area.
        let ink = |color: Rgb| Some(color).filter(|c| ground.is_some() || darkness(*c) < 0.7);
        Some(match cell.letter {
            Some((CONTINUED, _)) => return None,
            Some((letter, color)) => (letter, (ink(color), ground)),
            None if cell.dots != 0 => (braille(cell.dots), (ink(cell.dots_color), ground)),
            None => match (cell.faint, upper == PAPER, lower == PAPER) {
                (Some(color), true, true) => ('·', (Some(color), None)),
                (Some(color), ..) => ('·', (Some(color), ground)),
                (None, true, true) => (' ', (None, None)),
                (None, false, true) => ('▀', (Some(upper), None)),
                (None, true, false) => ('▄', (Some(lower), None)),
                (None, false, false) if upper == lower => (' ', (None, Some(upper))),
                (None, false, false) => ('▀', (Some(upper), Some(lower))),
            },
        })
    }
}

fn mean(pixels: &[Rgb]) -> Rgb {
    let channel = |c: usize| pixels.iter().map(|p| usize::from(p[c])).sum::<usize>() / pixels.len();
    [channel(0) as u8, channel(1) as u8, channel(2) as u8]
}

/// The braille character with these dots.
fn braille(dots: u8) -> char {
    // Unicode numbers the upper three dots of the left column first.
    const NUMBERS: [u8; 8] = [0, 3, 1, 4, 2, 5, 6, 7];
    let bits = (0..8).filter(|i| dots & (1 << i) != 0).map(|i| 1u32 << NUMBERS[i]).sum::<u32>();
    char::from_u32(0x2800 + bits).unwrap_or(' ')
}

/// The block or shade that is most similar to these pixels.
fn blocks(pixels: [Rgb; 8]) -> char {
    const QUADRANTS: [char; 16] =
        [' ', '▘', '▝', '▀', '▖', '▌', '▞', '▛', '▗', '▚', '▐', '▜', '▄', '▙', '▟', '█'];
    const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
    let dark = pixels.map(darkness);
    let quadrants = [[0, 2], [1, 3], [4, 6], [5, 7]].map(|q| q.map(|i| dark[i]));
    let all = |range: std::ops::Range<f64>| dark.iter().filter(|d| range.contains(d)).count();
    // All pixels are full or empty, and there are both: an edge.
    let (full, empty) = (all(0.45..2.0), all(-1.0..0.13));
    if full + empty == 8 && full > 0 && empty > 0 {
        let filled = |q: [f64; 2]| q[0] + q[1] >= 0.45;
        let bits = (0..4).filter(|i| filled(quadrants[*i])).map(|i| 1 << i).sum::<usize>();
        return QUADRANTS[bits];
    }
    let mean = dark.iter().sum::<f64>() / 8.0;
    SHADES[((mean * 5.0) as usize).min(4)]
}

impl DrawingBackend for Cells {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.columns as u32 * CELL.0, self.rows as u32 * CELL.1)
    }

    fn ensure_prepared(&mut self) -> Result {
        Ok(())
    }

    fn present(&mut self) -> Result {
        Ok(())
    }

    fn draw_pixel(&mut self, point: Coord, color: BackendColor) -> Result {
        let color = rgb(color);
        self.dot(point, color, &strength(color));
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: Coord, to: Coord, style: &S) -> Result {
        self.stroke(from, to, rgb(style.color()));
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = Coord>>(
        &mut self,
        points: I,
        style: &S,
    ) -> Result {
        let (color, mut before) = (rgb(style.color()), None);
        for point in points {
            self.stroke(before.unwrap_or(point), point, color);
            before = Some(point);
        }
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, a: Coord, b: Coord, style: &S, fill: bool) -> Result {
        let (left, right) = (a.0.min(b.0), a.0.max(b.0));
        let (top, bottom) = (a.1.min(b.1), a.1.max(b.1));
        if !fill {
            let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
            return self.draw_path(corners, style);
        }
        let (width, height) = self.get_size();
        for y in top.max(0)..bottom.min(height as i32) {
            for x in left.max(0)..right.min(width as i32) {
                self.paint((x, y), rgb(style.color()));
            }
        }
        // Letters are removed if their entire cell is filled.
        for row in (top + 3).div_euclid(4).max(0)..bottom.div_euclid(4).min(self.rows as i32) {
            let columns = (left + 1).div_euclid(2).max(0)..right.div_euclid(2);
            for column in columns.start..columns.end.min(self.columns as i32) {
                self.cells[row as usize * self.columns + column as usize].letter = None;
            }
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, pos: Coord) -> Result {
        let row = match style.anchor().v_pos {
            VPos::Top => pos.1.div_euclid(4),
            VPos::Center => pos.1.div_euclid(4),
            VPos::Bottom => (pos.1 - 1).div_euclid(4),
        };
        let width = text.width() as i32;
        let mut column = match style.anchor().h_pos {
            HPos::Left => pos.0.div_euclid(2),
            HPos::Center => (pos.0 - width).div_euclid(2),
            HPos::Right => (pos.0 + 1).div_euclid(2) - width,
        };
        for letter in text.chars() {
            let wide = letter.width().unwrap_or(0) as i32;
            let fits = column >= 0 && column + wide <= self.columns as i32;
            if wide > 0 && fits && (0..self.rows as i32).contains(&row) {
                let at = row as usize * self.columns + column as usize;
                // A wide letter that is half overwritten is removed.
                if self.cells[at].letter.is_some_and(|(c, _)| c == CONTINUED) {
                    self.cells[at - 1].letter = Some((' ', PAPER));
                }
                let end = at + wide as usize;
                let next = self.cells.get_mut(end).filter(|_| column + wide < self.columns as i32);
                if let Some(next) = next.filter(|n| n.letter.is_some_and(|(c, _)| c == CONTINUED)) {
                    next.letter = Some((' ', PAPER));
                }
                self.cells[at].letter = Some((letter, rgb(style.color())));
                for continued in &mut self.cells[at + 1..end] {
                    continued.letter = Some((CONTINUED, PAPER));
                }
            }
            column += wide;
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(&self, text: &str, _: &S) -> Result<(u32, u32)> {
        Ok((CELL.0 * text.width() as u32, CELL.1))
    }
}
