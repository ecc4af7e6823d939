//! A network on machine code and on the interpreter, with bounds of the rounding
//! differences between the two.

use bilro::Backend;
use bilro::engine::Engine;
use bilro::network::Feed;
use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::Value;
use bilro_compiler::graph::{Graph, NodeId, Root};
use bilro_compiler::ops::reduce::Reduction;
use bilro_compiler::ops::{Leaf, Lowering, Op};
use bilro_compiler::purpose::Purpose;
use bilro_tests::networks::{Array, arrays};
use ndarray::ArrayD;
use proptest::prelude::*;

/// Arguments nearer than this to a kink of `relu`, `abs`, `max` or `min` may
/// fall on its other side in f32, and so change gradients.
const KINK: f64 = 1e-5;

/// A network on every backend, with arrays for it.
pub struct Trial {
    pub network: Declaration,
    pub batch: usize,
    arrays: Vec<Array>,
    pub jit: Engine,
    pub reference: Engine,
    /// The parameters of the reference before each run.
    history: Vec<Vec<ArrayD<f32>>>,
}

impl Trial {
    pub fn new(network: Declaration, batch: usize, seed: u64) -> Trial {
        let engine = |backend| Engine::new(network.clone(), backend, seed, 1).unwrap();
        Trial {
            batch,
            arrays: arrays(&network, batch, seed),
            jit: engine(Backend::Jit),
            reference: engine(Backend::Interpreter),
            network,
            history: Vec::new(),
        }
    }

    /// Number of inputs among the arrays; targets follow.
    fn inputs_only(&self) -> usize {
        self.network.inputs.iter().filter(|input| !input.is_target).count()
    }

    /// The arrays in declaration order.
    pub fn inputs(&self) -> Vec<Value<f32>> {
        let (mut inputs, mut targets) = (0, self.inputs_only());
        let value_of = |input: &bilro_compiler::declaration::Input| {
            let next = if input.is_target { &mut targets } else { &mut inputs };
            *next += 1;
            match &self.arrays[*next - 1] {
                Array::Real(x) => Value::Real(x.clone()),
                Array::Index(x) => Value::Index(x.clone()),
            }
        };
        self.network.inputs.iter().map(value_of).collect()
    }

    /// Loss, metrics and arrays by both backends.
    pub fn run(&mut self, purpose: &Purpose) -> Result<[Roots; 2], TestCaseError> {
        self.history.push(Trial::parameters(&self.reference));
        let count = match purpose {
            Purpose::Predict => self.inputs_only(),
            _ => self.arrays.len(),
        };
        let feeds: Vec<Feed<'_>> = self.arrays[..count].iter().map(Array::feed).collect();
        let run = |engine: &mut Engine| -> Result<Roots, TestCaseError> {
            let results = engine.run(purpose, &feeds);
            let results = results.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let numbers = std::iter::once(results.loss).chain(results.metrics).collect();
            Ok(Roots { numbers, arrays: results.arrays })
        };
        Ok([run(&mut self.jit)?, run(&mut self.reference)?])
    }

    pub fn parameters(engine: &Engine) -> Vec<ArrayD<f32>> {
        let parameters = 0..engine.declaration().parameters.len();
        parameters.map(|i| engine.parameter(i).to_owned()).collect()
    }

    /// The rounding error of values of order one.
    pub fn rounding(&self, purpose: &Purpose) -> f64 {
        f64::from(f32::EPSILON) * roundings(&self.network.graph_for(purpose, self.batch))
    }

    /// The number of elements of the largest value.
    pub fn widest(&self) -> usize {
        let g = self.network.graph().with_batch(self.batch);
        g.ids().map(|id| g.sizes(id).iter().product()).max().unwrap_or(1)
    }

    /// Whether an argument of a function with a kink is so near to it that
    /// rounding decides its side; with `ranks`, the order of the largest scores
    /// is a kink of the accuracy.
    pub fn is_near_a_kink(&self, ranks: bool) -> bool {
        let mut g = self.network.graph().with_batch(self.batch);
        let mut pairs = Vec::new();
        g.retain_roots(|_| false);
        for id in g.ids().collect::<Vec<NodeId>>() {
            let x = g.operands(id).to_vec();
            let pair = match g.op(id) {
                Op::Relu(_) | Op::Abs(_) => {
                    let zero = g.constant(0.0);
                    (x[0], g.broadcast(zero, &g.shape(x[0]).clone()))
                }
                Op::Maximum(_) | Op::Minimum(_) => (x[0], x[1]),
                // The gap between the largest and the others; zero only for
                // the largest itself.
                Op::Amax(op) => {
                    let shape = match op.axis {
                        Some(axis) => {
                            let axis = axis.rem_euclid(g.shape(x[0]).rank() as i64) as usize;
                            g.shape(x[0]).with(axis, 1)
                        }
                        None => {
                            let rank = g.shape(x[0]).rank();
                            (0..rank).fold(g.shape(x[0]).clone(), |s, axis| s.with(axis, 1))
                        }
                    };
                    let y = g.reshape(id, &shape);
                    let shape = g.shape(x[0]).clone();
                    (x[0], g.broadcast(y, &shape))
                }
                Op::Accuracy(_) if ranks => {
                    let last = g.shape(x[0]).rank() - 1;
                    let y = g.max_axis(x[0], last);
                    let shape = g.shape(x[0]).clone();
                    (x[0], g.broadcast(y, &shape))
                }
                _ => continue,
            };
            pairs.push(pair);
        }
        for (i, (a, b)) in pairs.iter().enumerate() {
            g.add_root(Root::Output(format!("a{i}")), *a);
            g.add_root(Root::Output(format!("b{i}")), *b);
        }
        let inputs = self.inputs();
        let wide = |x: &ArrayD<f32>| Value::Real(x.mapv(f64::from));
        self.history.iter().any(|parameters| {
            let values = bilro::interpreter::interpret::<f64>(&g, |leaf| match leaf {
                Leaf::Input(op) => match &inputs[op.index] {
                    Value::Real(x) => wide(x),
                    Value::Index(x) => Value::Index(x.clone()),
                },
                Leaf::Parameter(op) => wide(&parameters[op.index]),
                other => unreachable!("{other:?} is no leaf of a forward graph"),
            });
            values.chunks(2).any(|pair| {
                let near = |(a, b): (&f64, &f64)| a != b && (a - b).abs() < KINK;
                pair[0].reals().iter().zip(pair[1].reals()).any(near)
            })
        })
    }
}

/// The results of a purpose.
pub struct Roots {
    /// The loss and metrics.
    pub numbers: Vec<f32>,
    /// Outputs or gradients.
    pub arrays: Vec<ArrayD<f32>>,
}

/// Roundings along the longest path of a graph: one for each operation of
/// numbers, two and a half for a function, one for each term of a sum.
fn roundings(graph: &Graph) -> f64 {
    let g = bilro_compiler::simplify::decompose(graph);
    let mut longest = vec![0f64; g.len()];
    for id in g.ids() {
        let x = g.operands(id);
        let count = |id: NodeId| g.sizes(id).iter().product::<usize>() as f64;
        let roundings = match (g.op(id), g.op(id).lower()) {
            (
                _,
                Lowering::Leaf(_)
                | Lowering::Numbers(_)
                | Lowering::Constant(_)
                | Lowering::View(_),
            ) => 0.0,
            (Op::Reduce(op), _) if op.reduction == Reduction::Max => 0.0,
            (Op::Reduce(_), _) => count(x[0]) / count(id),
            // The number of terms of each element's sum.
            (Op::Contract(_), _) => (count(x[0]) * count(x[1]) / count(id)).sqrt(),
            _ => 2.5,
        };
        let before = x.iter().map(|x| longest[x.index()]).fold(0.0, f64::max);
        longest[id.index()] = before + roundings;
    }
    g.roots().iter().map(|(_, id)| longest[id.index()]).fold(1.0, f64::max)
}
