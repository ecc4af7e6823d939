//! The header of a `.npy` file (NumPy's NEP 1, versions 1 to 3).
//!
//! Takes the first bytes of a file; returns the type, the shape and the order of its elements.
//! Guaranteed: a header has at most [`MAX_LENGTH`] bytes, is parsed in one pass, and is of the form
//! that NumPy writes: a dictionary of `descr`, a string, `fortran_order` and `shape`, each once.

use super::element::Elements;
use std::io::Read;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The maximum length of a header: NumPy itself reads at most 10,000 characters by default.
const MAX_LENGTH: usize = 1 << 16;

/// The maximum number of axes, as in NumPy.
const MAX_AXES: usize = 64;

/// The description of a file's array.
pub(super) struct Header {
    pub elements: Elements,
    pub shape: Vec<usize>,
    /// Whether the first index varies fastest: Fortran's order.
    pub is_column_major: bool,
    /// The number of bytes of the file before the elements.
    pub length: u64,
}

impl Header {
    pub fn read(file: &mut impl Read) -> Result<Header, String> {
        let start = fill(file, 0, 8, "is not a `.npy` file, or incomplete")?;
        let Some([major, _]) = start.strip_prefix(MAGIC) else {
            return Err(other_format(&start));
        };
        let ends = "the file ends within the header";
        let (size, length) = match major {
            1 => {
                let length = fill(file, 8, 2, ends)?;
                (2, usize::from(u16::from_le_bytes([length[0], length[1]])))
            }
            2 | 3 => {
                let length = fill(file, 8, 4, ends)?;
                let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
                (4, usize::try_from(length).unwrap_or(usize::MAX))
            }
            other => {
                return Err(format!(
                    "offset 6: is of version {other} of the format, not 1, 2 or 3"
                ));
            }
        };
        if length > MAX_LENGTH {
            return Err(format!(
                "offset 8: the header has {length} bytes, but at most {MAX_LENGTH} are read"
            ));
        }
        let start = 8 + size;
        let text = fill(file, start, length, ends)?;
        let text = String::from_utf8(text).map_err(|error| {
            let offset = start + error.utf8_error().valid_up_to();
            format!("offset {offset}: the header is not text")
        })?;
        let mut dictionary = Dictionary(&text);
        let (descr, is_column_major, shape) = dictionary.read().map_err(|message| {
            let offset = start + text.len() - dictionary.0.len();
            format!(
                "offset {offset}: the header does not have the form that NumPy writes: {message}"
            )
        })?;
        let elements =
            Elements::of(&descr).map_err(|message| format!("offset {start}: {message}"))?;
        Ok(Header { elements, shape, is_column_major, length: (start + length) as u64 })
    }

    /// The position in the array, one index per axis, of the element at an index of the file.
    pub fn position(&self, mut index: usize) -> Vec<usize> {
        let mut position = vec![0; self.shape.len()];
        let mut along = |axis: usize| {
            let size = self.shape[axis].max(1);
            position[axis] = index % size;
            index /= size;
        };
        match self.is_column_major {
            true => (0..self.shape.len()).for_each(&mut along),
            false => (0..self.shape.len()).rev().for_each(&mut along),
        }
        position
    }
}

/// The next `count` bytes, which begin at `offset`.
fn fill(file: &mut impl Read, offset: usize, count: usize, short: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let result = file.take(count as u64).read_to_end(&mut bytes);
    let end = offset + bytes.len();
    result.map_err(|error| format!("offset {end}: {error}"))?;
    if bytes.len() < count { Err(format!("offset {end}: {short}")) } else { Ok(bytes) }
}

/// The message for a file that does not begin as it should.
fn other_format(start: &[u8]) -> String {
    match start {
        [b'P', b'K', 3 | 5, ..] => {
            "offset 0: is an archive, `.npz`: `io::read_npz` reads its arrays".into()
        }
        _ => "offset 0: is not a `.npy` file: those begin with `\\x93NUMPY`".into(),
    }
}

/// A parser: the unread remainder of a header's text.
struct Dictionary<'a>(&'a str);

impl<'a> Dictionary<'a> {
    /// Parses type, order and shape.
    fn read(&mut self) -> Result<(String, bool, Vec<usize>), String> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.accept('}') {
            let key = self.text()?;
            self.expect(':')?;
            let is_new = match key {
                "descr" => descr.replace(self.descr()?).is_none(),
                "fortran_order" => order.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                other => return Err(format!("it has a key `{other}`")),
            };
            if !is_new {
                return Err(format!("`{key}` is duplicated"));
            }
            if !self.accept(',') {
                self.expect('}')?;
                break;
            }
        }
        if !self.0.trim_matches(['\0', ' ', '\t', '\r', '\n']).is_empty() {
            return Err("text follows its dictionary".into());
        }
        let missing = |key: &str| format!("it has no `{key}`");
        Ok((
            descr.ok_or_else(|| missing("descr"))?,
            order.ok_or_else(|| missing("fortran_order"))?,
            shape.ok_or_else(|| missing("shape"))?,
        ))
    }

    fn accept(&mut self, token: char) -> bool {
        self.0 = self.0.trim_ascii_start();
        match self.0.strip_prefix(token) {
            Some(remainder) => {
                self.0 = remainder;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        match self.accept(token) {
            true => Ok(()),
            false => Err(match self.0.chars().next() {
                Some(found) => format!("expected `{token}`, but found `{found}`"),
                None => format!("expected `{token}`, but found the end"),
            }),
        }
    }

    /// A string in single or double quotes. Those of NumPy have no escape sequences.
    fn text(&mut self) -> Result<&'a str, String> {
        let quote = match self.accept('"') {
            true => '"',
            false => {
                self.expect('\'')?;
                '\''
            }
        };
        let (text, remainder) =
            self.0.split_once(quote).ok_or_else(|| format!("a `{quote}` is not closed"))?;
        self.0 = remainder;
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

    fn boolean(&mut self) -> Result<bool, String> {
        self.0 = self.0.trim_ascii_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(remainder) = self.0.strip_prefix(word) {
                self.0 = remainder;
                return Ok(value);
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
            let (digits, remainder) = self.0.split_at(end);
            let size = digits.parse().map_err(|_| match digits.is_empty() {
                true => "`shape` has other items than integers".to_string(),
                false => format!("`shape` has {digits}, which is too large for an array"),
            })?;
            // The suffix of Python 2's long integers.
            self.0 = remainder.strip_prefix('L').unwrap_or(remainder);
            sizes.push(size);
            if sizes.len() > MAX_AXES {
                return Err(format!("`shape` has more than {MAX_AXES} axes"));
            }
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sizes)
    }
}
