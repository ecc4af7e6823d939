//! What the code that `network!` writes calls. Not for users: it changes whenever the macro does.

use bilro_compiler::declaration::Declaration;
use bilro_compiler::error::{Error, Mistake};
use ndarray::{Array, ArrayD, ArrayView, ArrayViewD, ArrayViewMut, ArrayViewMutD, Dimension};

use crate::run::Feed;

pub use std::borrow::Cow;

pub use bilro_compiler::declaration::statement::{Statement, replay};
pub use bilro_compiler::ops::AttributeValue;
pub use bilro_compiler::shape::Dim;
pub use bilro_macros::declare;
// Under names of its own, since a program may call something else so.
pub use crate as bilro;
pub use std;
pub use std::primitive::{f32, u32, usize};

/// The declaration of a network with mistakes in it, which does not compile.
pub fn mistaken(name: &str) -> Result<Declaration, Error> {
    Err(Error::Declaration { network: name.into(), mistake: Mistake::call("has mistakes") })
}

/// Reals for an input.
pub fn real<'a, D: Dimension>(x: &'a ArrayView<'_, f32, D>) -> Feed<'a> {
    Feed::Real(x.view().into_dyn())
}

/// Integers for an input.
pub fn index<'a, D: Dimension>(x: &'a ArrayView<'_, u32, D>) -> Feed<'a> {
    Feed::Index(x.view().into_dyn())
}

/// One of a network's gradients.
pub fn gradient_view<D: Dimension>(gradient: &Array<f32, D>) -> ArrayViewD<'_, f32> {
    gradient.view().into_dyn()
}

/// The next of the arrays that the engine made for a network.
///
/// # Panics
/// If it is not there or has another number of axes than declared: a bug of the engine.
pub fn next_array<D: Dimension>(arrays: &mut impl Iterator<Item = ArrayD<f32>>) -> Array<f32, D> {
    let array = arrays.next().expect("the engine makes every array of the network");
    array.into_dimensionality().expect("the engine makes arrays as declared")
}

/// The next of the views that the engine made for a network.
///
/// # Panics
/// If it is not there or has another number of axes than declared: a bug of the engine.
pub fn next_view<'a, D: Dimension>(
    views: &mut impl Iterator<Item = ArrayViewD<'a, f32>>,
) -> ArrayView<'a, f32, D> {
    let view = views.next().expect("the engine has a view of every parameter");
    view.into_dimensionality().expect("the engine's views are as declared")
}

/// The next of the views to write through that the engine made for a network.
///
/// # Panics
/// If it is not there or has another number of axes than declared: a bug of the engine.
pub fn next_view_mut<'a, D: Dimension>(
    views: &mut impl Iterator<Item = ArrayViewMutD<'a, f32>>,
) -> ArrayViewMut<'a, f32, D> {
    let view = views.next().expect("the engine has a view of every parameter");
    view.into_dimensionality().expect("the engine's views are as declared")
}

/// Stops the compiler of Rust where sizes that are constants do not fit.
///
/// # Panics
/// Always, with the message and the sizes.
#[track_caller]
pub const fn misfit(message: &str, sizes: &[(&str, usize)]) -> ! {
    let mut text = Text { bytes: [0; MESSAGE], length: 0 };
    text.push(message);
    let mut i = 0;
    while i < sizes.len() {
        text.push(if i == 0 { " (" } else { ", " });
        text.push(sizes[i].0);
        text.push(" is ");
        text.push_number(sizes[i].1);
        i += 1;
    }
    if !sizes.is_empty() {
        text.push(")");
    }
    let (text, _) = text.bytes.split_at(text.length);
    match std::str::from_utf8(text) {
        Ok(text) => panic!("{}", text),
        // Cut off inside a letter.
        Err(_) => panic!("{}", message),
    }
}

/// The longest message of [`misfit`]; what is longer is cut off.
const MESSAGE: usize = 1024;

/// Text that can be written while the compiler of Rust runs.
struct Text {
    bytes: [u8; MESSAGE],
    length: usize,
}

impl Text {
    const fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() && self.length < MESSAGE {
            self.bytes[self.length] = text[i];
            self.length += 1;
            i += 1;
        }
    }

    const fn push_number(&mut self, n: usize) {
        if n >= 10 {
            self.push_number(n / 10);
        }
        if self.length < MESSAGE {
            self.bytes[self.length] = b'0' + (n % 10) as u8;
            self.length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "`fc` takes N features (N is 120, `M + 1` is 7)")]
    fn a_misfit_shows_the_sizes() {
        super::misfit("`fc` takes N features", &[("N", 120), ("`M + 1`", 7)]);
    }
}
