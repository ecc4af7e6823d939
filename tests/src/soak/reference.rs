//! The reference of machine code: the interpreter in f64 on the declared graph, with bounds of a
//! running error analysis of the compiled graph.

use std::cell::OnceCell;

use bilro_compiler::eval::bounded::{Bounded, expectations};
use bilro_compiler::eval::{Real, Value};
use bilro_compiler::graph::{Graph, Root};
use bilro_compiler::ops::input::Input;
use bilro_compiler::ops::{Leaf, Lowering};
use bilro_compiler::shape::{Shape, Type};
use ndarray::ArrayD;

use super::machine::Machine;

/// Values of the leaves of a graph.
pub struct Leaves<'a> {
    /// Inputs, in declared order.
    pub inputs: &'a [Value<f32>],
    /// Parameters, then optimizer state.
    pub variables: &'a [ArrayD<f32>],
    /// The bits of a step scalar.
    pub scalar: &'a dyn Fn(&str) -> u32,
}

impl Leaves<'_> {
    fn value<T: Real>(&self, leaf: Leaf<'_>) -> Value<T> {
        let real = |x: &ArrayD<f32>| Value::real(x.shape(), x.iter().map(|x| T::of(*x)).collect());
        match leaf {
            Leaf::Input(input) => match &self.inputs[input.index] {
                Value::Real(x) => real(x),
                Value::Index(x) => Value::Index(x.clone()),
            },
            Leaf::Parameter(parameter) => real(&self.variables[parameter.index]),
            Leaf::StepScalar(op) => {
                let bits = (self.scalar)(op.name);
                match op.is_integer {
                    true => Value::index(&[], vec![bits]),
                    false => Value::real(&[], vec![T::of(f32::from_bits(bits))]),
                }
            }
        }
    }
}

/// Results of comparisons with the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Compared {
    /// Elements within their bounds.
    pub elements: usize,
    /// Elements without a bound: a kink that rounding decides, overflow, a divisor that may be 0.
    pub undecided: usize,
    /// The largest error, in units of its bound.
    pub worst: f64,
}

impl Compared {
    /// Adds results.
    pub fn add(&mut self, other: Compared) {
        self.elements += other.elements;
        self.undecided += other.undecided;
        self.worst = self.worst.max(other.worst);
    }
}

/// The relative rounding error of f64 in a long computation: negligible beside that of f32.
const SLACK: f64 = 1.0 / (1u64 << 40) as f64;

/// Compares the roots that machine code has computed.
///
/// # Errors
/// The first root beyond its bound.
pub fn compare(
    graph: &Graph,
    machine: &Machine,
    leaves: &Leaves<'_>,
    found: &[Vec<f32>],
) -> Result<Compared, String> {
    let declared = bilro::interpreter::interpret::<f64>(graph, |leaf| leaves.value(leaf));
    let bounds = tracked(&machine.lowered.fused.graph, leaves);
    let is_accepted = is_accepted(graph, found);
    // Evaluated if a result differs.
    let in_f32: OnceCell<Vec<Value<Bounded>>> = OnceCell::new();
    let mut all = Compared::default();
    let roots = graph.roots().iter().zip(&declared).zip(bounds.iter().zip(found));
    for (at, (((root, _), declared), (bounds, found))) in roots.enumerate() {
        // A rejected step assigns nothing.
        if *root == Root::Guard || (matches!(root, Root::Assign(_)) && !is_accepted) {
            continue;
        }
        let declared = declared.reals();
        if found.len() != declared.len() {
            return Err(format!("{root} has {} elements, not {}", found.len(), declared.len()));
        }
        let found: Vec<f64> = found.iter().map(|x| f64::from(*x)).collect();
        let in_f32 = || in_f32.get_or_init(|| tracked(graph, leaves))[at].reals().to_vec();
        let expected = expectations(&found, declared, bounds.reals(), in_f32, [1.0, SLACK]);
        let mut compared = Compared::default();
        let mut worst: Option<(f64, usize)> = None;
        for (i, (x, expected)) in found.iter().zip(&expected).enumerate() {
            let Some(ratio) = expected.distance_of(*x, 1.0, SLACK) else {
                compared.undecided += 1;
                continue;
            };
            compared.elements += 1;
            if worst.is_none_or(|(before, _)| ratio > before) {
                worst = Some((ratio, i));
            }
        }
        if let Some((ratio, i)) = worst {
            compared.worst = ratio;
            if ratio > 1.0 {
                return Err(format!(
                    "{root}, element {i}: {} instead of {}, with a bound of {:e}",
                    found[i], expected[i].value, expected[i].error
                ));
            }
        }
        all.add(compared);
    }
    Ok(all)
}

/// Whether a step may make its assignments.
pub fn is_accepted(graph: &Graph, found: &[Vec<f32>]) -> bool {
    let mut roots = graph.roots().iter().zip(found);
    roots.all(|((root, _), found)| *root != Root::Guard || found.first() == Some(&0.0))
}

/// The roots of a graph with the errors of f32. Constants have an error too: autodiff and passes round
/// them, as `1 - 0.1`.
fn tracked(graph: &Graph, leaves: &Leaves<'_>) -> Vec<Value<Bounded>> {
    let first = leaves.inputs.len();
    let mut constants: Vec<f32> = Vec::new();
    let graph = graph.rebuild(|g, op, x| match op.lower() {
        // Numbers of few binary digits, as 0.5, are exact.
        Lowering::Constant(value) if value.to_bits().trailing_zeros() < 12 => {
            let index = first + constants.len();
            constants.push(value);
            let ty = Type::real(Shape::scalar());
            g.apply(Input { index, ty }, &[])
        }
        _ => g.apply(op.clone(), x),
    });
    bilro::interpreter::interpret::<Bounded>(&graph, |leaf| match leaf {
        Leaf::Input(input) if input.index >= first => {
            let value = f64::from(constants[input.index - first]);
            let error = f64::from(f32::EPSILON) * value.abs();
            Value::real(&[], vec![Bounded { value, error }])
        }
        leaf => leaves.value(leaf),
    })
}
