//! Aggregation of loss and metrics over batches.
//!
//! Takes of each batch the numbers that add up over batches, see
//! [`Measure`]; adds them up in f64; gives the loss or the metric of all
//! examples. Guaranteed: to rounding, that depends neither on the sizes of the
//! batches nor on the order of the examples. A mean over nothing that counts is
//! NaN.

use bilro_compiler::declaration::{Measure, Term};

/// What has been added up for a loss or a metric.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    measure: Measure,
    /// For each term its sum, and what it is divided by.
    terms: Vec<[f64; 2]>,
}

impl Measured {
    /// Nothing yet.
    pub fn new(measure: &Measure) -> Measured {
        Measured { measure: measure.clone(), terms: vec![[0.0; 2]; measure.terms.len()] }
    }

    /// For each term its sum, and what it is divided by.
    pub fn terms(&self) -> &[[f64; 2]] {
        &self.terms
    }

    /// Goes on from other sums, as many as there are terms.
    pub fn set_terms(&mut self, terms: &[[f64; 2]]) {
        self.terms.copy_from_slice(terms);
    }

    /// Adds a batch of so many examples, by its own numbers for this measure, the next of `sums`.
    pub fn add(&mut self, sums: &mut impl Iterator<Item = f64>, examples: usize) {
        for (term, [sum, weight]) in self.measure.terms.iter().zip(&mut self.terms) {
            let mut next = || sums.next().expect("a purpose that evaluates gives every sum");
            match term {
                Term::Weighted => {
                    *sum += next();
                    *weight += next();
                }
                Term::Mean(shape) => {
                    // What is the same for each example is there once in a batch.
                    let times = if shape.batched { 1 } else { examples };
                    *sum += next() * times as f64;
                    *weight += (shape.count(examples) * times) as f64;
                }
                Term::Total => *sum += next(),
            }
        }
    }

    /// Adds a batch that was trained on, by its loss, and by its numbers where the loss gives any.
    pub fn add_step(&mut self, loss: f32, sums: &[f64], examples: usize) {
        if self.measure.weighs() {
            return self.add(&mut sums.iter().copied(), examples);
        }
        // Otherwise there is one term, and the loss is its mean or its sum.
        for (term, [sum, weight]) in self.measure.terms.iter().zip(&mut self.terms) {
            match term {
                Term::Weighted | Term::Mean(_) => {
                    *sum += f64::from(loss) * examples as f64;
                    *weight += examples as f64;
                }
                Term::Total => *sum += f64::from(loss),
            }
        }
    }

    /// The loss or the metric of all examples so far.
    pub fn value(&self) -> f64 {
        let terms = self.measure.terms.iter().zip(&self.terms);
        terms
            .map(|(term, [sum, weight])| match term {
                Term::Weighted | Term::Mean(_) => sum / weight,
                Term::Total => *sum,
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bilro_compiler::graph::Quantity;
    use bilro_compiler::shape::Shape;

    fn of(terms: Vec<Term>, batches: &[(&[f64], usize)]) -> f64 {
        let mut measured = Measured::new(&Measure { quantity: Quantity::Loss, terms });
        for (sums, examples) in batches {
            measured.add(&mut sums.iter().copied(), *examples);
        }
        measured.value()
    }

    #[test]
    fn terms_have_their_own_denominators() {
        let pairs = Term::Mean(Shape::batched([2usize]));
        assert_eq!(of(vec![pairs.clone()], &[(&[6.0], 2), (&[4.0], 3)]), 1.0);
        assert_eq!(of(vec![Term::Weighted], &[(&[1.0, 2.0], 9), (&[5.0, 1.0], 1)]), 2.0);
        assert_eq!(of(vec![Term::Total], &[(&[1.0], 9), (&[5.0], 1)]), 6.0);
        let terms = vec![pairs, Term::Weighted, Term::Total];
        assert_eq!(of(terms, &[(&[6.0, 1.0, 2.0, 1.0], 2), (&[4.0, 5.0, 1.0, 5.0], 3)]), 9.0);
    }

    /// A penalty on parameters is one number for a batch, whatever its size.
    #[test]
    fn what_does_not_depend_on_examples_is_a_mean_over_them() {
        let once = Term::Mean(Shape::unbatched([2usize]));
        assert_eq!(of(vec![once], &[(&[6.0], 3), (&[2.0], 1)]), 2.5);
    }

    #[test]
    fn a_batch_that_weighs_nothing_counts_for_nothing() {
        assert_eq!(of(vec![Term::Weighted], &[(&[0.0, 0.0], 9), (&[6.0, 3.0], 1)]), 2.0);
        assert!(of(vec![Term::Weighted], &[(&[0.0, 0.0], 9)]).is_nan());
    }
}
