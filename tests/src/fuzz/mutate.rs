//! Mutations of cases: bits, numbers, pieces, text of a dictionary, and splices of two cases.

use bilro::rng::Generator;

/// Numbers at the limits of their types, for mutations of text.
const DECIMALS: &[&str] = &[
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "2305843009213693952",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999",
    "1e39",
    "nan",
];

/// A random number below `n`, or 0.
pub fn below(generator: &mut Generator, n: usize) -> usize {
    generator.random_u64() as usize % n.max(1)
}

/// Changes a case at one to eight positions. `other` is another case to splice with.
pub fn mutate(
    bytes: &mut Vec<u8>,
    other: &[u8],
    dictionary: &[&str],
    max_length: usize,
    generator: &mut Generator,
) {
    let count = 1 << below(generator, 4);
    for _ in 0..1 + below(generator, count) {
        once(bytes, other, dictionary, generator);
    }
    bytes.truncate(max_length);
}

fn once(bytes: &mut Vec<u8>, other: &[u8], dictionary: &[&str], random: &mut Generator) {
    let at = below(random, bytes.len());
    let longest = if below(random, 4) == 0 { bytes.len() / 2 + 1 } else { 16 };
    let end = (at + 1 + below(random, longest)).min(bytes.len());
    let insertion = below(random, bytes.len() + 1);
    match below(random, 12) {
        0 if at < bytes.len() => bytes[at] ^= 1 << below(random, 8),
        1 if at < bytes.len() => {
            bytes[at] = [0, 0xff, 0x7f, 0x80, 1, b'{', b'"', b','][below(random, 8)];
        }
        // Added to a number of up to eight bytes, in either order.
        2 if at < bytes.len() => add(bytes, at, random),
        3 if at < bytes.len() => limit(bytes, at, random),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(insertion..insertion, piece);
        }
        6 => bytes.truncate(at),
        7 => number(bytes, random),
        8 => {
            let from = below(random, other.len());
            let to = (from + 1 + below(random, longest)).min(other.len());
            let replaced = if below(random, 2) == 0 { insertion..insertion } else { at..end };
            bytes.splice(replaced, other[from..to].iter().copied());
        }
        9 => {
            let from = below(random, other.len());
            bytes.truncate(insertion);
            bytes.extend(&other[from..]);
        }
        10 if dictionary.is_empty() => {
            let random: Vec<u8> = (0..below(random, 9)).map(|_| below(random, 256) as u8).collect();
            bytes.splice(insertion..insertion, random);
        }
        _ if !dictionary.is_empty() => {
            let word = dictionary[below(random, dictionary.len())].bytes();
            let replaced = match below(random, 3) {
                0 => word_at(bytes, at),
                _ => insertion..insertion,
            };
            bytes.splice(replaced, word);
        }
        _ => {}
    }
}

/// The word or the number that includes a position.
fn word_at(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let start = bytes[..at].iter().rposition(|byte| !is_word(byte)).map_or(0, |i| i + 1);
    let length = bytes[at..].iter().position(|byte| !is_word(byte));
    start..length.map_or(bytes.len(), |length| at + length)
}

fn add(bytes: &mut [u8], at: usize, random: &mut Generator) {
    let size = [1, 2, 4, 8][below(random, 4)].min(bytes.len() - at);
    let field = &mut bytes[at..at + size];
    let is_big_endian = below(random, 2) == 0;
    let mut number = [0; 8];
    number[..size].copy_from_slice(field);
    if is_big_endian {
        number[..size].reverse();
    }
    let sum = u64::from_le_bytes(number).wrapping_add(below(random, 33) as u64).wrapping_sub(16);
    let mut number = sum.to_le_bytes();
    if is_big_endian {
        number[..size].reverse();
    }
    field.copy_from_slice(&number[..size]);
}

fn limit(bytes: &mut [u8], at: usize, random: &mut Generator) {
    let size = [2, 4, 8][below(random, 3)].min(bytes.len() - at);
    let field = &mut bytes[at..at + size];
    field.fill([0, 0xff][below(random, 2)]);
    if below(random, 3) == 0 {
        let end = if below(random, 2) == 0 { 0 } else { size - 1 };
        field[end] = [0x7f, 0x80, 1, 0x10][below(random, 4)];
    }
}

/// Replaces a decimal number.
fn number(bytes: &mut Vec<u8>, random: &mut Generator) {
    let digits: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i].is_ascii_digit()).collect();
    if digits.is_empty() {
        return;
    }
    let start = digits[below(random, digits.len())];
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let replaced = start..start + if below(random, 4) == 0 { 1 } else { length };
    bytes.splice(replaced, DECIMALS[below(random, DECIMALS.len())].bytes());
}
