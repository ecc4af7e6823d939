//! Checks of inputs: shapes, types, indices, batch size.

use bilro_compiler::declaration::{Declaration, Input};
use bilro_compiler::shape::DType;
use ndarray::Axis;

use super::Feeds;
use crate::error::{Error, Result};
use crate::run::Feed;

/// Checks arrays against the declaration and returns their number of examples: 1 for a call
/// without arrays.
pub(super) fn batch(declaration: &Declaration, feeds: Feeds<'_, '_>) -> Result<usize> {
    let mut first: Option<(&Input, usize)> = None;
    // One pass: it is in every call, and a small step takes little longer.
    for (input, index) in declaration.inputs.iter().zip(feeds.indices) {
        let Some(index) = *index else { continue };
        let Some(feed) = feeds.feeds.get(index) else {
            return Err(Error::MissingInput { name: input.name.clone() });
        };
        check_type(input, feed)?;
        let (dims, sizes) = (&input.ty.shape.dims, sizes(feed));
        let fits = sizes.len() == dims.len() + 1
            && dims.iter().zip(&sizes[1..]).all(|(dim, size)| dim.fixed() == Some(*size));
        if !fits {
            return Err(Error::Shape {
                name: input.name.clone(),
                expected: input.ty.shape.sizes(),
                found: sizes.get(1..).unwrap_or(&[]).to_vec(),
            });
        }
        match first {
            None => first = Some((input, sizes[0])),
            Some((other, expected)) if expected != sizes[0] => {
                return Err(Error::BatchSize {
                    name: input.name.clone(),
                    found: sizes[0],
                    other: other.name.clone(),
                    expected,
                });
            }
            Some(_) => {}
        }
        check_indices(input, feed)?;
    }
    match first {
        None => Ok(1),
        Some((_, examples)) if examples > 0 => Ok(examples),
        Some(_) => Err(Error::Empty { what: "the batch".into() }),
    }
}

/// Requires that every chosen alternative exists.
pub(super) fn choices(declaration: &Declaration, choices: &[usize]) -> Result<()> {
    for (choice, found) in declaration.choices.iter().zip(choices) {
        let alternatives = choice.alternatives.len();
        if *found >= alternatives {
            return Err(Error::InvalidArgument {
                name: format!("the index of `{}`'s alternative", choice.name),
                expected: format!("below {alternatives}"),
                found: found.to_string(),
            });
        }
    }
    Ok(())
}

fn sizes<'a>(feed: &'a Feed<'_>) -> &'a [usize] {
    match feed {
        Feed::Real(array) => array.shape(),
        Feed::Index(array) => array.shape(),
    }
}

fn check_type(input: &Input, feed: &Feed<'_>) -> Result<()> {
    let word = |is_real| if is_real { "reals" } else { "integers" };
    let (takes, given) = (input.ty.is_real(), matches!(feed, Feed::Real(_)));
    if takes == given {
        return Ok(());
    }
    Err(Error::Kind { name: input.name.clone(), expected: word(takes), found: word(given) })
}

fn check_indices(input: &Input, feed: &Feed<'_>) -> Result<()> {
    let (DType::Index { below }, Feed::Index(array)) = (&input.ty.dtype, feed) else {
        return Ok(());
    };
    let below = below.fixed().unwrap_or(usize::MAX);
    let wrong = |index: &u32| *index as usize >= below;
    // One pass over all indices: a pass by rows would take longer than a small step.
    let found = match array.as_slice() {
        Some(indices) => indices.iter().position(wrong),
        None => array.iter().position(wrong),
    };
    if let Some(position) = found {
        let row = position / (array.len() / array.len_of(Axis(0))).max(1);
        let index = array.iter().nth(position).copied().unwrap_or_default();
        return Err(Error::IndexOutOfRange { name: input.name.clone(), row, index, below });
    }
    Ok(())
}
