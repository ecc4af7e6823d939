//! The header of safetensors files, parsed and checked.
//!
//! Takes the bytes of a file; returns the texts, and type, shape and bytes of each tensor. Guaranteed:
//! names are unique, shapes are possible for an array, the tensors' bytes follow each other from the
//! end of the header to the end of the file, and each has as many as its type and shape need.
//!
//! (The `safetensors` crate, which writes files, adds lengths of a header without a check for
//! overflow, and takes the last of several tensors of one name.)

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use safetensors::tensor::Dtype;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};

/// The size of the length of the header, in bytes.
pub(crate) const LENGTH: usize = 8;

/// The maximum length of a header, as in the `safetensors` crate.
const MAX_LENGTH: u64 = 100_000_000;

/// The key of the texts.
pub(crate) const METADATA: &str = "__metadata__";

/// The header of a file.
pub(crate) struct Header {
    /// The offset of the first tensor.
    pub start: usize,
    pub texts: BTreeMap<String, String>,
    /// In the order of their bytes.
    pub tensors: Vec<Info>,
    /// The index of each name in `tensors`.
    indices: BTreeMap<String, usize>,
}

/// A tensor of a file.
pub(crate) struct Info {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Its bytes in the file.
    pub range: Range<usize>,
}

/// A fault in a header.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Its offset in the file.
    pub offset: usize,
    pub message: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.offset, self.message)
    }
}

impl Header {
    /// The header of a file with these bytes.
    pub fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
        let all = match bytes.len() {
            1 => "1 byte".into(),
            n => format!("{n} bytes"),
        };
        let Some((length, body)) = bytes.split_first_chunk::<LENGTH>() else {
            let message = format!("it has {all}, fewer than the length of a header");
            return Err(Malformed { offset: bytes.len(), message });
        };
        let length = u64::from_le_bytes(*length);
        let text = usize::try_from(length).ok().filter(|_| length <= MAX_LENGTH);
        let Some(text) = text.and_then(|length| body.get(..length)) else {
            let message = format!("its header would have {length} bytes, and the file has {all}");
            return Err(Malformed { offset: 0, message });
        };
        let malformed = |offset: usize, message: String| {
            let message = format!("its header is malformed: {message}");
            Malformed { offset: LENGTH + offset, message }
        };
        let text = std::str::from_utf8(text)
            .map_err(|error| malformed(error.valid_up_to(), "it is not in UTF-8".into()))?;
        let Entries { texts, mut tensors } = serde_json::from_str(text).map_err(|error| {
            let line: usize =
                text.split_inclusive('\n').take(error.line().max(1) - 1).map(str::len).sum();
            let message = error.to_string();
            // The position in lines is that of the offset.
            let message =
                message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
            malformed(line + error.column().max(1) - 1, message.into())
        })?;
        tensors.sort_by_key(|info| (info.range.start, info.range.end));
        let start = LENGTH + text.len();
        let mut end = start;
        let mut indices = BTreeMap::new();
        for (index, info) in tensors.iter_mut().enumerate() {
            // Offsets in the header are relative to its end.
            let range = start.checked_add(info.range.start).zip(start.checked_add(info.range.end));
            let Some((from, to)) = range.filter(|(from, _)| *from == end) else {
                let message = format!("the bytes of `{}` are not after those before", info.name);
                return Err(malformed(0, message));
            };
            (info.range, end) = (from..to, to);
            indices.insert(info.name.clone(), index);
        }
        if end != bytes.len() {
            let message = format!(
                "it has {all}, which is not the size in its header, {end}: it is truncated or too long"
            );
            return Err(Malformed { offset: bytes.len().min(end), message });
        }
        Ok(Header { start, texts, tensors, indices })
    }

    /// The tensor of this name.
    pub fn info(&self, name: &str) -> Option<&Info> {
        self.indices.get(name).map(|index| &self.tensors[*index])
    }
}

/// The entries of a header, in its order.
struct Entries {
    texts: BTreeMap<String, String>,
    /// With ranges relative to the end of the header.
    tensors: Vec<Info>,
}

/// A tensor as a header describes it.
#[derive(Deserialize)]
struct Described {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        deserializer.deserialize_map(ReadEntries)
    }
}

struct ReadEntries;

impl<'de> Visitor<'de> for ReadEntries {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    /// Errors of entries are found here, where the parser has their position.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let (mut texts, mut tensors) = (None, Vec::new());
        let mut names = std::collections::BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                // `null` is no texts.
                let read: Option<BTreeMap<String, String>> = map.next_value()?;
                if texts.replace(read.unwrap_or_default()).is_some() {
                    return Err(A::Error::custom(format!("`{METADATA}` is duplicated")));
                }
                continue;
            }
            let Described { dtype, shape, data_offsets: (start, end) } = map.next_value()?;
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("two tensors have the name `{name}`")));
            }
            let bytes = size(dtype, &shape).map_err(|message| {
                A::Error::custom(format!("`{name}` has shape {}, which {message}", shown(&shape)))
            })?;
            if end.checked_sub(start) != Some(bytes) {
                return Err(A::Error::custom(format!(
                    "`{name}`, of type {dtype} and shape {}, takes {bytes} bytes, but is at {start} to {end}",
                    shown(&shape)
                )));
            }
            tensors.push(Info { name, dtype, shape, range: start..end });
        }
        Ok(Entries { texts: texts.unwrap_or_default(), tensors })
    }
}

/// The bytes of a tensor. As ndarray requires, the product of the sizes other than 0 must not
/// overflow `isize`.
fn size(dtype: Dtype, shape: &[usize]) -> Result<usize, &'static str> {
    let too_large = "is too large for an array";
    if !super::tensors::is_valid_shape(shape) {
        return Err(too_large);
    }
    let bits = shape.iter().product::<usize>().checked_mul(dtype.bitsize()).ok_or(too_large)?;
    match bits.is_multiple_of(8) {
        true => Ok(bits / 8),
        false => Err("is not a whole number of bytes"),
    }
}

/// A shape for a message.
fn shown(shape: &[usize]) -> String {
    match shape.len() {
        0..=8 => format!("{shape:?}"),
        n => format!("{:?} and {} more sizes", &shape[..8], n - 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this header and a number of bytes after it.
    fn file(header: &str, bytes: usize) -> Vec<u8> {
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &vec![0; bytes]].concat()
    }

    #[test]
    fn headers_are_read_in_any_order() {
        let header = r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[2,10]},"__metadata__":{"k":"v"},
                        "a":{"data_offsets":[0,2],"shape":[],"dtype":"F16"},
                        "e":{"dtype":"U8","shape":[0, 7],"data_offsets":[10,10],"other":[1]}}  "#;
        let bytes = file(header, 10);
        let found = Header::parse(&bytes).unwrap();
        let names: Vec<&str> = found.tensors.iter().map(|info| info.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "e"]);
        let b = found.info("b").unwrap();
        assert_eq!((b.dtype, &b.shape[..]), (Dtype::F32, &[2][..]));
        assert_eq!(b.range, found.start + 2..bytes.len());
        assert_eq!(found.texts["k"], "v");
        assert!(found.info("c").is_none());
        assert!(Header::parse(&file("{}", 0)).unwrap().tensors.is_empty());
        assert!(Header::parse(&file(r#"{"__metadata__":null}"#, 0)).is_ok());
    }

    #[test]
    fn faults_have_their_offset() {
        let of = |entries: &str, bytes: usize| {
            Header::parse(&file(&format!("{{{entries}}}"), bytes)).err().unwrap().to_string()
        };
        let tensor = |name: &str, shape: &str, start: u64, end: u64| {
            format!(r#""{name}":{{"dtype":"U8","shape":{shape},"data_offsets":[{start},{end}]}}"#)
        };
        let a = tensor("a", "[3]", 0, 3);
        for (entries, bytes, expected) in [
            (a.clone(), 4, "it has 65 bytes, which is not the size in its header, 64"),
            (format!("{a},{a}"), 3, "two tensors have the name `a`"),
            (format!("{a},{}", tensor("b", "[1]", 2, 3)), 3, "the bytes of `b` are not after"),
            (format!("{a},{}", tensor("b", "[1]", 4, 5)), 5, "the bytes of `b` are not after"),
            (tensor("a", "[3]", 0, 2), 2, "takes 3 bytes, but is at 0 to 2"),
            (tensor("a", "[3]", 3, 0), 3, "takes 3 bytes, but is at 3 to 0"),
            (tensor("a", "[4294967296,4294967296]", 0, 0), 0, "which is too large for an array"),
            (tensor("a", "[-1]", 0, 0), 0, "invalid value: integer `-1`"),
            (a.replace("U8", "F4"), 3, "is not a whole number of bytes"),
            (a.replace("U8", "X8"), 3, "unknown variant `X8`"),
            (
                "\"__metadata__\":{\"k\":1}".into(),
                0,
                "offset 29: its header is malformed: invalid type",
            ),
            ("\"a\":".into(), 0, "expected value"),
        ] {
            let found = of(&entries, bytes);
            assert!(
                found.starts_with("offset ") && found.contains(expected),
                "{expected}: {found}"
            );
        }
        // Sums of lengths that overflow.
        let eighth = (1u64 << 61) - 1;
        let huge = (0..8).map(|i| {
            tensor(&format!("t{i}"), &format!("[{eighth}]"), i * eighth, (i + 1) * eighth)
        });
        let found = of(&huge.collect::<Vec<_>>().join(","), 0);
        assert!(found.contains("the bytes of `t7` are not after those before"), "{found}");
        let found = Header::parse(&[0xff; 20]).err().unwrap().to_string();
        assert_eq!(
            found,
            "offset 0: its header would have 18446744073709551615 bytes, and the file has 20 bytes"
        );
        let found = Header::parse(&file("{\"\u{e9}\":", 0)[..10]).err().unwrap().to_string();
        assert!(found.starts_with("offset 0: "), "{found}");
        let mut bytes = file("{\"abc\": {}}", 0);
        bytes[11] = 0xff;
        let found = Header::parse(&bytes).err().unwrap().to_string();
        assert_eq!(found, "offset 11: its header is malformed: it is not in UTF-8");
    }
}
