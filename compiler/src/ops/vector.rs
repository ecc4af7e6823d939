//! The operation [`Vector`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Lowering, Number, Operation, Reverse, Sample};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Value};
use crate::graph::{Graph, NodeId};
use crate::shape::{Argument, Facts, Shape, Type};

/// A row of numbers that the declaration gives, as the weights of classes.
///
/// It lies nowhere before the network runs: each of its elements is told by its place, which is
/// right for as many numbers as somebody writes down.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Vector {
    /// The numbers, at least one.
    pub elements: Arc<[Number]>,
}

impl Vector {
    /// The number that is there most often.
    fn commonest(&self) -> f32 {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for x in self.elements.iter() {
            *counts.entry(x.0.to_bits()).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or(0.0, |(bits, _)| f32::from_bits(bits))
    }
}

impl Operation for Vector {
    const NAME: &'static str = "vector";

    fn shape(&self, _: &[Argument<'_>], _: &mut Facts) -> Result<Type, Mistake> {
        Ok(Type::real(Shape::unbatched([self.elements.len()])))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, _: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        Value::real(&at.sizes(), self.elements.iter().map(|x| T::of(x.0)).collect())
    }

    fn gradient(&self, _: &mut Graph, _: &Reverse<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Elementwise(Box::new(|e, _| {
            let common = Number(self.commonest());
            let mut y = e.float(common.0);
            for (place, x) in self.elements.iter().enumerate().filter(|(_, x)| **x != common) {
                let (position, place) = (e.position(), e.int(place as i32));
                let here = e.int_equal(position, place);
                let x = e.float(x.0);
                y = e.select(here, x, y);
            }
            y
        }))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let numbers =
            |f: fn(usize) -> f32| Vector { elements: (0..size).map(|i| Number(f(i))).collect() };
        [numbers(|i| i as f32 - 2.5), numbers(|i| (i % 3) as f32), numbers(|_| 0.25)]
            .map(|op| Sample::new(op, []))
            .to_vec()
    }
}
