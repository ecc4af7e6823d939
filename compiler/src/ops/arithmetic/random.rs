//! Counter-based random numbers, uniform in [0, 1): each depends only on a key, the number of the
//! batch, a stream and the index of the element, so that it is the same for any vector width and any
//! number of threads.
//!
//! Threefry-2x32 with 13 rounds (J. Salmon, M. Moraes, R. Dror, D. Shaw,
//! "Parallel random numbers: as easy as 1, 2, 3", 2011); the upper 24 bits of its first word are used.

use super::step_scalar::{RANDOM_BATCH, RANDOM_KEY, StepScalar};
use super::{Domain, Finiteness, Lowering, Operand, Operation, Reverse, Sample, iota};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// Random numbers, uniform in [0, 1); see the [module](self).
///
/// Operands: the indices of the elements, the number of the batch, and the two words of the key; all
/// integers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Random {
    /// The stream, different for each random value of a network.
    pub stream: u32,
}

/// The rotations of Threefry-2x32 by round, with a period of 8.
const ROTATIONS: [u8; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// The constant in the third word of the key.
const PARITY: u32 = 0x1BD1_1BDA;
const ROUNDS: usize = 13;

impl Random {
    /// A random number for each element of a shape.
    pub fn uniform(g: &mut Graph, stream: u32, shape: &Shape) -> NodeId {
        let indices = g.apply(iota::Iota { shape: shape.clone() }, &[]);
        let words = [RANDOM_BATCH, RANDOM_KEY[0], RANDOM_KEY[1]].map(|name| {
            let word = g.apply(StepScalar::integer(name), &[]);
            g.broadcast(word, shape)
        });
        g.apply(Random { stream }, &[indices, words[0], words[1], words[2]])
    }
}

impl Operation for Random {
    const NAME: &'static str = "random";
    const OPERANDS: Option<usize> = Some(4);
    const IS_POINTWISE: bool = true;

    fn shape(&self, x: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        match x.iter().any(|x| x.ty.is_real()) {
            true => Err(Mistake::call("`random` takes integers")),
            false => Ok(Type::real(x[0].ty.shape.clone())),
        }
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let [indices, batches, low, high] = [0, 1, 2, 3].map(|i| x[i].indices());
        let draw = |i: usize| {
            let key = [low[i] ^ self.stream, high[i]];
            let [word, _] = threefry::<ROUNDS>(key, [indices[i], batches[i]]);
            T::of((word >> 8) as f32 / (1 << 24) as f32)
        };
        Value::real(&at.sizes(), (0..indices.len()).map(draw).collect())
    }

    fn gradient(&self, _: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        vec![None; at.x.len()]
    }

    fn finiteness(&self) -> Finiteness {
        Finiteness::BOUNDED
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Elementwise(Box::new(|e, x| self.expression(e, x)))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let shapes = [Shape::batched([size]), Shape::unbatched([3, size])];
        let operands = |shape: Shape| {
            [(); 4].map(|()| {
                Operand::new(Type::index(u32::MAX as usize, shape.clone()), Domain::Indices)
            })
        };
        shapes.map(|shape| Sample::new(Random { stream: 5 }, operands(shape))).into()
    }
}

impl Random {
    fn expression(&self, e: &mut Expressions, x: &[Expr]) -> Expr {
        let (stream, parity) = (e.int(self.stream as i32), e.int(PARITY as i32));
        let first = e.xor(x[2], stream);
        let both = e.xor(first, x[3]);
        let key = [first, x[3], e.xor(both, parity)];
        let mut a = e.int_add(x[0], key[0]);
        let mut b = e.int_add(x[1], key[1]);
        for round in 0..ROUNDS {
            a = e.int_add(a, b);
            b = e.rotate_left(b, ROTATIONS[round % ROTATIONS.len()]);
            b = e.xor(a, b);
            if round % 4 == 3 {
                let injection = round / 4 + 1;
                a = e.int_add(a, key[injection % 3]);
                let number = e.int(injection as i32);
                b = e.int_add(b, key[(injection + 1) % 3]);
                b = e.int_add(b, number);
            }
        }
        let top = e.shift_bits_right(a, 8);
        let x = e.to_float(top);
        let scale = e.float(1.0 / (1 << 24) as f32);
        e.mul(x, scale)
    }
}

/// Threefry-2x32: two words from a key and a counter.
#[cfg(feature = "eval")]
fn threefry<const ROUNDS: usize>(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let key = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
    let [mut a, mut b] = [0, 1].map(|i| u32::wrapping_add(counter[i], key[i]));
    for round in 0..ROUNDS {
        a = a.wrapping_add(b);
        b = a ^ b.rotate_left(u32::from(ROTATIONS[round % 8]));
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            a = a.wrapping_add(key[injection % 3]);
            b = b.wrapping_add(key[(injection + 1) % 3]).wrapping_add(injection as u32);
        }
    }
    [a, b]
}

#[cfg(all(test, feature = "eval"))]
mod tests {
    use super::threefry;

    /// Known-answer tests of the authors' Random123.
    #[test]
    fn threefry_matches_random123() {
        assert_eq!(threefry::<13>([0, 0], [0, 0]), [0x9d1c_5ec6, 0x8bd5_0731]);
        assert_eq!(threefry::<13>([!0, !0], [!0, !0]), [0xfd36_d048, 0x2d17_272c]);
        assert_eq!(
            threefry::<13>([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]),
            [0xba3e_4725, 0xf27d_669e]
        );
        assert_eq!(threefry::<20>([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry::<20>([!0, !0], [!0, !0]), [0x1cb9_96fc, 0xbb00_2be7]);
    }
}
