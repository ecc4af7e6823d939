//! The header of a `.npy` file (NumPy's NEP 1, versions 1 to 3).
//!
//! Takes the first bytes of a file; gives the type, the shape and the order of its elements.
//! Guaranteed: a header has at most [`MOST`] bytes, is gone through once, and is one of those that
//! numpy writes: a dictionary of `descr`, `fortran_order` and `shape`, each once, the first a text.

use super::element::Elements;
use std::io::Read;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header: numpy itself reads none above 10,000 letters by default.
const MOST: usize = 1 << 16;

/// The most axes; numpy has 64.
const MOST_AXES: usize = 64;

/// What a file says of its array.
pub(super) struct Header {
    pub elements: Elements,
    pub shape: Vec<usize>,
    /// Whether the first index is the fastest: Fortran's order.
    pub is_column_major: bool,
    /// How many bytes of the file come before the elements.
    pub length: u64,
}

impl Header {
    pub fn read(file: &mut impl Read) -> Result<Header, String> {
        let mut start = [0; 8];
        fill(file, &mut start, "is no `.npy` file")?;
        let Some([major, _]) = start.strip_prefix(MAGIC) else {
            return Err(other_format(&start));
        };
        let (size, length) = match major {
            1 => {
                let mut length = [0; 2];
                fill(file, &mut length, "ends within its header")?;
                (2, usize::from(u16::from_le_bytes(length)))
            }
            2 | 3 => {
                let mut length = [0; 4];
                fill(file, &mut length, "ends within its header")?;
                (4, usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX))
            }
            other => return Err(format!("is of version {other} of the format, not 1, 2 or 3")),
        };
        if length > MOST {
            return Err(format!("its header has {length} bytes, but at most {MOST} are read"));
        }
        let mut text = vec![0; length];
        fill(file, &mut text, "ends within its header")?;
        let text = String::from_utf8(text).map_err(|_| "its header is no text".to_string())?;
        let length = 8 + size + length as u64;
        let (descr, is_column_major, shape) = Dictionary(&text)
            .read()
            .map_err(|message| format!("its header is not one that numpy writes: {message}"))?;
        Ok(Header { elements: Elements::of(&descr)?, shape, is_column_major, length })
    }

    /// The indices of an element, of which so many come before it in the file.
    pub fn place(&self, mut index: usize) -> Vec<usize> {
        let mut place = vec![0; self.shape.len()];
        let mut along = |axis: usize| {
            let size = self.shape[axis].max(1);
            place[axis] = index % size;
            index /= size;
        };
        match self.is_column_major {
            true => (0..self.shape.len()).for_each(&mut along),
            false => (0..self.shape.len()).rev().for_each(&mut along),
        }
        place
    }
}

fn fill(file: &mut impl Read, bytes: &mut [u8], short: &str) -> Result<(), String> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => short.into(),
        _ => error.to_string(),
    })
}

/// What a file is that does not begin as it should.
fn other_format(start: &[u8]) -> String {
    match start {
        [b'P', b'K', 3 | 5, ..] => "is an archive, `.npz`: `io::read_npz` reads its arrays".into(),
        _ => "is no `.npy` file: those begin with `\\x93NUMPY`".into(),
    }
}

/// What is left of a header's text.
struct Dictionary<'a>(&'a str);

impl<'a> Dictionary<'a> {
    /// Type, order and shape.
    fn read(mut self) -> Result<(String, bool, Vec<usize>), String> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.accept('}') {
            let key = self.text()?;
            self.expect(':')?;
            let is_new = match key {
                "descr" => descr.replace(self.descr()?).is_none(),
                "fortran_order" => order.replace(self.truth()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                other => return Err(format!("it has a key `{other}`")),
            };
            if !is_new {
                return Err(format!("it has `{key}` twice"));
            }
            if !self.accept(',') {
                self.expect('}')?;
                break;
            }
        }
        if !self.0.trim_matches(['\0', ' ', '\t', '\r', '\n']).is_empty() {
            return Err("something follows its dictionary".into());
        }
        let missing = |key: &str| format!("it has no `{key}`");
        Ok((
            descr.ok_or_else(|| missing("descr"))?,
            order.ok_or_else(|| missing("fortran_order"))?,
            shape.ok_or_else(|| missing("shape"))?,
        ))
    }

    fn accept(&mut self, sign: char) -> bool {
        self.0 = self.0.trim_ascii_start();
        match self.0.strip_prefix(sign) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        match self.accept(sign) {
            true => Ok(()),
            false => Err(match self.0.chars().next() {
                Some(found) => format!("`{sign}` is expected where `{found}` is"),
                None => format!("it ends where `{sign}` is expected"),
            }),
        }
    }

    /// A text in quotes of either kind. Those that numpy writes have no `\`.
    fn text(&mut self) -> Result<&'a str, String> {
        let quote = match self.accept('"') {
            true => '"',
            false => {
                self.expect('\'')?;
                '\''
            }
        };
        let (text, rest) =
            self.0.split_once(quote).ok_or_else(|| format!("a `{quote}` is not closed"))?;
        self.0 = rest;
        Ok(text)
    }

    fn descr(&mut self) -> Result<String, String> {
        self.0 = self.0.trim_ascii_start();
        if self.0.starts_with(['[', '(']) {
            return Err("its elements are structures; save one field of them at a time: \
                        `numpy.save(path, x[\"field\"])`"
                .into());
        }
        self.text().map(Into::into)
    }

    fn truth(&mut self) -> Result<bool, String> {
        self.0 = self.0.trim_ascii_start();
        for (word, truth) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest;
                return Ok(truth);
            }
        }
        Err("`fortran_order` is neither `True` nor `False`".into())
    }

    /// Sizes in parentheses: `()`, `(3,)`, `(3, 4)`.
    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut sizes = Vec::new();
        self.expect('(')?;
        while !self.accept(')') {
            self.0 = self.0.trim_ascii_start();
            let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
            let (digits, rest) = self.0.split_at(end);
            let size = digits.parse().map_err(|_| match digits.is_empty() {
                true => "`shape` has something else than integers".to_string(),
                false => format!("`shape` has {digits}, which is more than an array can have"),
            })?;
            // Python 2 wrote long ones so.
            self.0 = rest.strip_prefix('L').unwrap_or(rest);
            sizes.push(size);
            if sizes.len() > MOST_AXES {
                return Err(format!("`shape` has more than {MOST_AXES} axes"));
            }
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sizes)
    }
}
