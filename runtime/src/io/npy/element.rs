//! The elements of a `.npy` file, and their conversion.
//!
//! Takes NumPy's name of a type and the bytes of numbers; returns numbers of the requested type.
//! Guaranteed: a number that this type cannot represent is an error, except that reals are rounded
//! to nearest.

use std::io::{ErrorKind, Read};

/// The type of the elements in a file, apart from their size.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NpyType {
    Bool,
    Signed,
    Unsigned,
    Float,
}

/// The encoding of the elements in a file.
#[derive(Clone)]
pub(super) struct Elements {
    ty: NpyType,
    is_big_endian: bool,
    /// Bytes of one element.
    pub size: usize,
    /// NumPy's name: `<f4`.
    descr: String,
}

mod sealed {
    pub trait Sealed {}
}

/// An element type for [`read_npy`](super::read_npy): `f32`, `f64`, `u8` to `u64`, `i8` to `i64`,
/// `usize`, `isize` and `bool`.
pub trait NpyElement: Copy + sealed::Sealed {
    /// Whether reals, and integers, can be converted to it; the latter to all but `bool`.
    #[doc(hidden)]
    const TAKES: (bool, bool);
    /// Its names in Rust and in NumPy.
    #[doc(hidden)]
    const NAMES: (&'static str, &'static str);
    /// The same number, if it can be represented.
    #[doc(hidden)]
    fn of_integer(x: i128) -> Option<Self>;
    /// The nearest number.
    #[doc(hidden)]
    fn of_f32(x: f32) -> Option<Self>;
    /// The nearest number.
    #[doc(hidden)]
    fn of_f64(x: f64) -> Option<Self>;
}

macro_rules! integer {
    ($($ty:ident $numpy:literal),*) => { $(
        impl sealed::Sealed for $ty {}
        impl NpyElement for $ty {
            const TAKES: (bool, bool) = (false, true);
            const NAMES: (&'static str, &'static str) = (stringify!($ty), $numpy);
            fn of_integer(x: i128) -> Option<$ty> {
                x.try_into().ok()
            }
            fn of_f32(_: f32) -> Option<$ty> {
                None
            }
            fn of_f64(_: f64) -> Option<$ty> {
                None
            }
        }
    )* };
}

integer!(
    u8 "uint8", u16 "uint16", u32 "uint32", u64 "uint64", usize "uint64",
    i8 "int8", i16 "int16", i32 "int32", i64 "int64", isize "int64"
);

macro_rules! real {
    ($($ty:ident $numpy:literal),*) => { $(
        impl sealed::Sealed for $ty {}
        impl NpyElement for $ty {
            const TAKES: (bool, bool) = (true, true);
            const NAMES: (&'static str, &'static str) = (stringify!($ty), $numpy);
            fn of_integer(x: i128) -> Option<$ty> {
                let y = x as $ty;
                (y as i128 == x).then_some(y)
            }
            fn of_f32(x: f32) -> Option<$ty> {
                Some(x as $ty)
            }
            fn of_f64(x: f64) -> Option<$ty> {
                Some(x as $ty)
            }
        }
    )* };
}

real!(f32 "float32", f64 "float64");

impl sealed::Sealed for bool {}
impl NpyElement for bool {
    const TAKES: (bool, bool) = (false, false);
    const NAMES: (&'static str, &'static str) = ("bool", "bool");
    fn of_integer(x: i128) -> Option<bool> {
        match x {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    fn of_f32(_: f32) -> Option<bool> {
        None
    }
    fn of_f64(_: f64) -> Option<bool> {
        None
    }
}

impl Elements {
    /// The encoding of a type by NumPy's name.
    pub fn of(descr: &str) -> Result<Elements, String> {
        let unknown = || {
            let numpy = "numpy.save(path, x.astype(\"float32\"))";
            format!(
                "its elements are of NumPy's type '{}', which is not supported; `{numpy}` writes reals, \
                 and `numpy.unique(x, return_inverse=True)` converts strings to numbers",
                descr.chars().take(40).collect::<String>()
            )
        };
        let (order, ty) = match descr.split_at_checked(1) {
            Some((order @ ("<" | ">" | "|" | "="), ty)) => (order, ty),
            _ => return Err(unknown()),
        };
        let (ty, size) = match ty {
            "b1" => (NpyType::Bool, 1),
            "i1" => (NpyType::Signed, 1),
            "i2" => (NpyType::Signed, 2),
            "i4" => (NpyType::Signed, 4),
            "i8" => (NpyType::Signed, 8),
            "u1" => (NpyType::Unsigned, 1),
            "u2" => (NpyType::Unsigned, 2),
            "u4" => (NpyType::Unsigned, 4),
            "u8" => (NpyType::Unsigned, 8),
            "f2" => (NpyType::Float, 2),
            "f4" => (NpyType::Float, 4),
            "f8" => (NpyType::Float, 8),
            _ => return Err(unknown()),
        };
        let is_big_endian = order == ">" || order == "=" && cfg!(target_endian = "big");
        Ok(Elements { ty, is_big_endian, size, descr: descr.into() })
    }

    /// Requires that the type of the elements can be converted to `A`.
    pub fn check<A: NpyElement>(&self) -> Result<(), String> {
        let (reals, integers) = A::TAKES;
        let takes = match self.ty {
            NpyType::Bool => true,
            NpyType::Signed | NpyType::Unsigned => integers,
            NpyType::Float => reals,
        };
        if takes {
            return Ok(());
        }
        let ((rust, numpy), descr) = (A::NAMES, &self.descr);
        let other = match self.ty {
            NpyType::Float => "f32",
            _ => "i64",
        };
        Err(format!(
            "expected elements of type {rust}, but found '{descr}'; \
             `numpy.save(path, x.astype(\"{numpy}\"))` converts them there, or read {other} and \
             convert them by `mapv` here"
        ))
    }

    /// Reads `count` elements, the first at the offset `start`. `is_complete` is whether the file is known to have them: then memory
    /// for all is reserved at once. `position` is for messages.
    pub fn read<A: NpyElement>(
        &self,
        file: &mut impl Read,
        start: u64,
        count: usize,
        is_complete: bool,
        position: impl Fn(usize) -> Vec<usize>,
    ) -> Result<Vec<A>, String> {
        let no_memory = |_| format!("there is no memory for {count} elements");
        let mut elements: Vec<A> = Vec::new();
        if is_complete {
            elements.try_reserve_exact(count).map_err(no_memory)?;
        }
        let mut buffer = [0; 1 << 14];
        while elements.len() < count {
            let next = (count - elements.len()).min(buffer.len() / self.size);
            elements.try_reserve(next).map_err(no_memory)?;
            let bytes = &mut buffer[..next * self.size];
            file.read_exact(bytes).map_err(|error| {
                let offset = start + (elements.len() * self.size) as u64;
                match error.kind() {
                    ErrorKind::UnexpectedEof => {
                        format!("offset {offset}: the file ends within the elements after it")
                    }
                    _ => format!("offset {offset}: {error}"),
                }
            })?;
            self.convert(bytes, &mut elements).map_err(|found| {
                let position = position(elements.len());
                match self.ty {
                    NpyType::Bool => {
                        format!("element {position:?} is {found}, neither True nor False")
                    }
                    _ => format!(
                        "element {position:?} is {found}, which {} cannot represent",
                        A::NAMES.0
                    ),
                }
            })?;
        }
        Ok(elements)
    }

    /// Appends the numbers of some bytes; returns the first that `A` cannot represent as an error.
    fn convert<A: NpyElement>(&self, bytes: &[u8], to: &mut Vec<A>) -> Result<(), i128> {
        fn each<const N: usize, A>(
            bytes: &[u8],
            is_big_endian: bool,
            to: &mut Vec<A>,
            number: impl Fn([u8; N]) -> Result<A, i128>,
        ) -> Result<(), i128> {
            for bytes in bytes.as_chunks::<N>().0 {
                let mut bytes = *bytes;
                if is_big_endian {
                    bytes.reverse();
                }
                to.push(number(bytes)?);
            }
            Ok(())
        }
        fn integer<A: NpyElement>(x: impl Into<i128>) -> Result<A, i128> {
            let x = x.into();
            A::of_integer(x).ok_or(x)
        }
        // `check` has made sure that `A` takes reals.
        let f32 = |x: f32| A::of_f32(x).ok_or(x as i128);
        let f64 = |x: f64| A::of_f64(x).ok_or(x as i128);
        let big = self.is_big_endian;
        match (self.ty, self.size) {
            (NpyType::Bool, _) => each(bytes, big, to, |[x]: [u8; 1]| match x {
                0 | 1 => integer(x),
                // Other bytes are not booleans.
                x => Err(i128::from(x)),
            }),
            (NpyType::Signed, 1) => each(bytes, big, to, |x| integer(i8::from_le_bytes(x))),
            (NpyType::Signed, 2) => each(bytes, big, to, |x| integer(i16::from_le_bytes(x))),
            (NpyType::Signed, 4) => each(bytes, big, to, |x| integer(i32::from_le_bytes(x))),
            (NpyType::Signed, _) => each(bytes, big, to, |x| integer(i64::from_le_bytes(x))),
            (NpyType::Unsigned, 1) => each(bytes, big, to, |x| integer(u8::from_le_bytes(x))),
            (NpyType::Unsigned, 2) => each(bytes, big, to, |x| integer(u16::from_le_bytes(x))),
            (NpyType::Unsigned, 4) => each(bytes, big, to, |x| integer(u32::from_le_bytes(x))),
            (NpyType::Unsigned, _) => each(bytes, big, to, |x| integer(u64::from_le_bytes(x))),
            (NpyType::Float, 2) => {
                each(bytes, big, to, |x| f32(half::f16::from_le_bytes(x).to_f32()))
            }
            (NpyType::Float, 4) => each(bytes, big, to, |x| f32(f32::from_le_bytes(x))),
            (NpyType::Float, _) => each(bytes, big, to, |x| f64(f64::from_le_bytes(x))),
        }
    }
}
