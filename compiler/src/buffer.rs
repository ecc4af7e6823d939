//! Buffers: memory that holds values, with its layout and storage.

use crate::target::CACHE_LINE;

/// A value that has memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The user's name for the value, or the operation that computes it.
    pub name: String,
    /// Whether it has its value before any kernel runs.
    pub is_given: bool,
    /// Its sizes, strides and padding.
    pub layout: Layout,
    /// The owner of its memory.
    pub storage: Storage,
}

/// The owner of a buffer's memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Storage {
    /// The arena, during one call.
    Arena,
    /// A parameter, by its index.
    Parameter(usize),
    /// A step scalar, by its index among those of the graph.
    StepScalar(usize),
    /// An input, by its index.
    Input(usize),
    /// Numbers that the network declares, by their offset among all of them.
    Numbers(usize),
}

/// The layout of a buffer in memory: row-major, with optional padding of the first of several
/// axes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Sizes, the batch first where there is one.
    pub sizes: Vec<usize>,
    /// The stride of each axis, in elements.
    pub strides: Vec<usize>,
    /// Elements altogether, padding included.
    pub elements: usize,
    /// Elements of padding after each row of the contiguous axis; they may be read and
    /// overwritten.
    pub padding: usize,
}

impl Layout {
    /// Without padding: for inputs, and for values that are read in another shape.
    pub fn dense(sizes: &[usize]) -> Layout {
        let elements = sizes.iter().product();
        Layout { sizes: sizes.into(), strides: dense_strides(sizes), elements, padding: 0 }
    }

    /// With rows padded to whole cache lines, short ones to a power of two; and
    /// by another line where the stride would be a multiple of 2048 bytes, since
    /// such rows map to the same few sets of the cache.
    pub fn padded(sizes: &[usize]) -> Layout {
        let real: Vec<usize> = (0..sizes.len()).filter(|i| sizes[*i] > 1).collect();
        let mut layout = Layout::dense(sizes);
        match real[..] {
            [] => {}
            [_] => {
                let size = layout.elements;
                layout.elements = size.next_multiple_of(CACHE_LINE);
                layout.padding = layout.elements - size;
            }
            [first, .., last] => {
                let inner: usize = sizes[first + 1..].iter().product();
                let stride = padded_row(inner);
                for axis in 0..=first {
                    layout.strides[axis] = stride;
                }
                layout.elements = (sizes[first] * stride).next_multiple_of(CACHE_LINE);
                if real.len() == 2 {
                    layout.padding = stride - sizes[last];
                }
            }
        }
        layout
    }
}

impl Layout {
    /// Like [`Self::padded`], but with the first axis innermost.
    pub fn first_axis_last(sizes: &[usize]) -> Layout {
        let mut rotated = sizes.to_vec();
        if !rotated.is_empty() {
            rotated.rotate_left(1);
        }
        let mut layout = Layout::padded(&rotated);
        if !sizes.is_empty() {
            layout.strides.rotate_right(1);
        }
        layout.sizes = sizes.to_vec();
        layout
    }

    /// The size of the contiguous axis, if there is one of several elements.
    pub fn contiguous(&self) -> Option<usize> {
        let axes = self.sizes.iter().zip(&self.strides);
        axes.filter(|(size, stride)| **size > 1 && **stride == 1).map(|(size, _)| *size).next()
    }
}

fn padded_row(n: usize) -> usize {
    let stride =
        if n < CACHE_LINE { n.next_power_of_two() } else { n.next_multiple_of(CACHE_LINE) };
    if stride.is_multiple_of(512) { stride + CACHE_LINE } else { stride }
}

/// Strides of a row-major array without padding.
pub fn dense_strides(sizes: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; sizes.len()];
    for axis in (1..sizes.len()).rev() {
        strides[axis - 1] = strides[axis] * sizes[axis];
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_and_single_columns_are_not() {
        assert_eq!(Layout::padded(&[64, 10]).strides, [16, 1]);
        assert_eq!(Layout::padded(&[64, 10]).padding, 6);
        assert_eq!(Layout::padded(&[64, 1]).strides, [1, 1]);
        assert_eq!(Layout::padded(&[5, 3]).strides, [4, 1]);
        assert_eq!(Layout::padded(&[5, 1024]).strides, [1040, 1]);
        assert_eq!(Layout::padded(&[5, 6, 7]).strides, [48, 7, 1]);
        assert_eq!(Layout::padded(&[33]).elements, 48);
        let layout = Layout::first_axis_last(&[10, 64]);
        assert_eq!((&layout.sizes[..], &layout.strides[..]), (&[10, 64][..], &[1, 16][..]));
        assert_eq!((layout.padding, layout.contiguous()), (6, Some(10)));
        let layout = Layout::first_axis_last(&[5, 6, 7]);
        assert_eq!((&layout.strides[..], layout.elements), (&[1, 48, 5][..], 6 * 48));
        assert_eq!((layout.padding, layout.contiguous()), (0, Some(5)));
    }
}
