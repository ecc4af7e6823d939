//! Checks of inputs: shapes, types, indices, batch size.

use bilro_compiler::declaration::{Declaration, Input};
use bilro_compiler::shape::DType;
use ndarray::Axis;

use super::Feeds;
use crate::error::{Error, Result};
use crate::run::Feed;

/// Checks arrays against the declaration and returns their number of examples: 1 for a network
/// without inputs.
pub(super) fn batch(declaration: &Declaration, feeds: Feeds<'_, '_>) -> Result<usize> {
    if declaration.inputs.is_empty() {
        return Ok(1);
    }
    let given = || {
        let inputs = declaration.inputs.iter().enumerate();
        inputs.filter_map(|(i, input)| Some((input, feeds.get(i)?)))
    };
    for (i, input) in declaration.inputs.iter().enumerate() {
        if feeds.indices[i].is_some() && feeds.get(i).is_none() {
            return Err(Error::MissingInput { name: input.name.clone() });
        }
    }
    let mut batch: Option<(&str, usize)> = None;
    for (input, feed) in given() {
        let sizes = sizes(feed);
        let inner = sizes.get(1..).unwrap_or(&[]);
        let expected = input.ty.shape.dims.iter().map(|d| d.fixed());
        check_type(input, feed)?;
        if sizes.is_empty() || !expected.eq(inner.iter().map(|n| Some(*n))) {
            return Err(Error::Shape {
                name: input.name.clone(),
                expected: input.ty.shape.sizes(),
                found: inner.to_vec(),
            });
        }
        match batch {
            None => batch = Some((&input.name, sizes[0])),
            Some((other, expected)) if expected != sizes[0] => {
                return Err(Error::BatchSize {
                    name: input.name.clone(),
                    found: sizes[0],
                    other: other.into(),
                    expected,
                });
            }
            Some(_) => {}
        }
    }
    let Some((_, examples)) = batch.filter(|(_, n)| *n > 0) else {
        return Err(Error::Empty { what: "the batch".into() });
    };
    for (input, feed) in given() {
        check_indices(input, feed)?;
    }
    Ok(examples)
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
