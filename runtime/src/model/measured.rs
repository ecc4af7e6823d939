//! Aggregation of loss and metrics over batches.
//!
//! Takes the sums and weights of each batch, see [`Measure`]; adds them up in
//! f64; returns the loss or the metric of all examples. Guaranteed: up to
//! rounding, it depends neither on the sizes of the batches nor on the order of
//! the examples. A mean with total weight 0 is NaN.

use bilro_compiler::declaration::{Measure, Term};

/// The sums of a loss or a metric over batches.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    measure: Measure,
    /// For each term its sum and its weight, the divisor.
    terms: Vec<[f64; 2]>,
}

impl Measured {
    /// Sums of 0.
    pub fn new(measure: &Measure) -> Measured {
        Measured { measure: measure.clone(), terms: vec![[0.0; 2]; measure.terms.len()] }
    }

    /// Adds a batch: takes the numbers of this measure from `sums`.
    pub fn add(&mut self, sums: &mut impl Iterator<Item = f64>, examples: usize) {
        for (term, [sum, weight]) in self.measure.terms.iter().zip(&mut self.terms) {
            let mut next = || sums.next().expect("a purpose that evaluates gives every sum");
            match term {
                Term::Weighted => {
                    *sum += next();
                    *weight += next();
                }
                Term::Mean(shape) => {
                    // An unbatched value appears once in a batch, and counts for each example.
                    let repeats = if shape.batched { 1 } else { examples };
                    *sum += next() * repeats as f64;
                    *weight += (shape.count(examples) * repeats) as f64;
                }
                Term::Total => *sum += next(),
            }
        }
    }

    /// Adds a training batch: by its sums if the loss is weighted, otherwise by its loss.
    pub fn add_step(&mut self, loss: f32, sums: &[f64], examples: usize) {
        if self.measure.weighs() {
            return self.add(&mut sums.iter().copied(), examples);
        }
        // An unweighted loss is the mean or the sum of one term.
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
    fn an_unbatched_term_counts_once_per_example() {
        let once = Term::Mean(Shape::unbatched([2usize]));
        assert_eq!(of(vec![once], &[(&[6.0], 3), (&[2.0], 1)]), 2.5);
    }

    #[test]
    fn a_batch_of_weight_0_does_not_count() {
        assert_eq!(of(vec![Term::Weighted], &[(&[0.0, 0.0], 9), (&[6.0, 3.0], 1)]), 2.0);
        assert!(of(vec![Term::Weighted], &[(&[0.0, 0.0], 9)]).is_nan());
    }
}
