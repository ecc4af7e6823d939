//! Samples of PyTorch's operator database, `operators.json`, as networks declared at run time: results
//! and gradients, by machine code and by the interpreter.
//!
//! Each sample is two networks: one whose operands are parameters, and one whose operands are inputs,
//! with the same values for each of several examples. With integers only one of them is possible: rows
//! of a table are those of a parameter, scores of classes are those of the examples.

use std::collections::BTreeMap;

use bilro::{Backend, DynBatch, DynModel};
use bilro_compiler::declaration::{Builder, Declaration, Init, LossReduction};
use bilro_compiler::error::Mistake;
use bilro_compiler::graph::NodeId;
use bilro_compiler::ops::Attributes;
use bilro_compiler::shape::{Shape, Type};
use bilro_tests::goldens::{self, Calls, Tensor};
use ndarray::{ArrayD, IxDyn};

use super::Golden;

/// The operands of a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operands {
    Parameters,
    Inputs,
}

const EXAMPLES: usize = 3;
const BACKENDS: [Backend; 2] = [Backend::Jit, Backend::Interpreter];

#[test]
fn samples_of_the_operator_database_agree_with_pytorch() {
    let samples: Vec<Golden> = goldens::read("operators.json");
    let mut agree: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for sample in &samples {
        let mut agrees = true;
        for operands in [Operands::Parameters, Operands::Inputs] {
            let has_table = sample.calls("embedding");
            let is_possible = match operands {
                Operands::Parameters => has_table || sample.below.iter().all(Option::is_none),
                Operands::Inputs => !has_table,
            };
            if !is_possible {
                continue;
            }
            if let Err(difference) = sample.compare_networks(operands) {
                failures.push(format!("{} {operands:?}: {difference}", sample.describe()));
                agrees = false;
            }
        }
        *agree.entry(&sample.op).or_default() += usize::from(agrees);
    }
    let (agreeing, operators) = (agree.values().sum::<usize>(), agree.len());
    println!("{agreeing} of {} samples of {operators} operators agree: {agree:?}", samples.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(operators > 100, "{operators} operators");
}

impl Golden {
    /// Whether its call contains this function.
    fn calls(&self, function: &str) -> bool {
        self.call.as_ref().is_some_and(|call| call.to_string().contains(&format!("\"{function}\"")))
    }

    fn compare_networks(&self, operands: Operands) -> Result<(), String> {
        let declaration = self.declared(operands).map_err(|error| error.to_string())?;
        for backend in BACKENDS {
            let model = DynModel::builder(declaration.clone()).backend(backend).build();
            let mut model = model.map_err(|error| error.to_string())?;
            self.compare_network(&mut model, operands)
                .map_err(|difference| format!("{backend:?}, {difference}"))?;
        }
        Ok(())
    }

    fn declared(&self, operands: Operands) -> Result<Declaration, bilro_compiler::error::Error> {
        Declaration::declare("Sample", |b| {
            let mut x = Vec::new();
            for (i, tensor) in self.inputs.iter().enumerate() {
                let below = self.below.get(i).copied().flatten();
                let has_gradient = self.grads.get(i).is_some_and(Option::is_some);
                x.push(operand(b, &name(i), tensor, operands, below, has_gradient)?);
            }
            let call = self.call.as_ref().expect("a sample has a call");
            let y = OnBuilder(b).tree(call, &x)?;
            b.output("y", y)?;
            if let Some(upstream) = &self.upstream {
                let upstream = operand(b, UPSTREAM, upstream, operands, None, false)?;
                let product = b.call("mul", &[y, upstream], ())?;
                b.loss(product, LossReduction::Sum)?;
            }
            Ok(())
        })
    }

    fn compare_network(&self, model: &mut DynModel, operands: Operands) -> Result<(), String> {
        let given = self.inputs.iter().enumerate().map(|(i, tensor)| (name(i), tensor));
        let upstream = self.upstream.iter().map(|tensor| (UPSTREAM.to_owned(), tensor));
        let given: Vec<(String, &Tensor)> = given.chain(upstream).collect();
        let examples = match operands {
            Operands::Parameters => {
                let is_real = |i: usize| self.below.get(i).copied().flatten().is_none();
                for (_, (name, tensor)) in given.iter().enumerate().filter(|(i, _)| is_real(*i)) {
                    let values = reals(tensor, 1).into_shape_with_order(tensor.shape.clone());
                    let values = values.expect("one example has the tensor's shape");
                    model.set_parameter(name, values.view()).map_err(|e| e.to_string())?;
                }
                1
            }
            Operands::Inputs => EXAMPLES,
        };
        let reals: Vec<ArrayD<f32>> =
            given.iter().map(|(_, tensor)| reals(tensor, examples)).collect();
        let indices: Vec<ArrayD<u32>> = reals.iter().map(|x| x.mapv(|x| x as u32)).collect();
        let batch = |predicts: bool| {
            let mut batch = DynBatch::new();
            for (i, (name, _)) in given.iter().enumerate() {
                let is_given = operands == Operands::Inputs && !(predicts && name == UPSTREAM);
                batch = match self.below.get(i).copied().flatten() {
                    Some(_) => batch.with(name, indices[i].view()),
                    None if is_given => batch.with(name, reals[i].view()),
                    None => batch,
                };
            }
            batch
        };
        let y = model.predict(batch(true)).map_err(|error| error.to_string())?;
        self.compare_examples(&y["y"], &self.output, 1.0, examples)
            .map_err(|difference| format!("y: {difference}"))?;
        let Some(upstream) = &self.upstream else {
            return Ok(());
        };
        let unit = self.gain() * super::largest(&upstream.values());
        let gradients = model.gradients(batch(false)).map_err(|error| error.to_string())?;
        for (i, expected) in self.grads.iter().enumerate() {
            if let Some(expected) = expected {
                let found = gradients.get(&name(i)).map_err(|error| error.to_string())?;
                self.compare_examples(&found.to_owned(), expected, unit, examples)
                    .map_err(|difference| format!("gradient {i}: {difference}"))?;
            }
        }
        Ok(())
    }

    /// Every example has the expected values.
    fn compare_examples(
        &self,
        found: &ArrayD<f32>,
        expected: &Tensor,
        unit: f64,
        examples: usize,
    ) -> Result<(), String> {
        let found: Vec<f64> = found.iter().map(|x| f64::from(*x)).collect();
        if found.len() != examples * expected.data.len() {
            let count = expected.data.len();
            return Err(format!("{} elements instead of {examples} times {count}", found.len()));
        }
        found.chunks(expected.data.len()).try_for_each(|x| self.compare_elements(x, expected, unit))
    }
}

const UPSTREAM: &str = "upstream";

fn name(operand: usize) -> String {
    format!("x{operand}")
}

fn operand(
    b: &mut Builder,
    name: &str,
    tensor: &Tensor,
    operands: Operands,
    below: Option<usize>,
    has_gradient: bool,
) -> Result<NodeId, Mistake> {
    let dims = tensor.shape.iter().copied();
    match (operands, below) {
        (_, Some(below)) => b.input(name, Type::index(below, Shape::batched(dims))),
        (Operands::Parameters, None) => b.parameter(name, dims, Init::Full(0.0)),
        // The gradients' factors are no operand.
        (Operands::Inputs, None) if name == UPSTREAM => {
            b.target(name, Type::real(Shape::batched(dims)))
        }
        (Operands::Inputs, None) => {
            let x = b.input(name, Type::real(Shape::batched(dims)))?;
            if has_gradient {
                b.differentiate(x)?;
            }
            Ok(x)
        }
    }
}

/// The values of a tensor for each example.
fn reals(tensor: &Tensor, examples: usize) -> ArrayD<f32> {
    let one = tensor.values().into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let sizes: Vec<usize> = [examples].iter().chain(&tensor.shape).copied().collect();
    let all = one.iter().copied().cycle().take(examples * one.len()).collect();
    ArrayD::from_shape_vec(IxDyn(&sizes), all).expect("the tensor has its elements")
}

/// Calls in a declared network.
struct OnBuilder<'b>(&'b mut Builder);

impl Calls for OnBuilder<'_> {
    fn call(
        &mut self,
        function: &str,
        x: &[NodeId],
        a: &Attributes,
    ) -> Result<Vec<NodeId>, Mistake> {
        self.0.call_all(function, x, a)
    }

    fn number(&mut self, x: f64) -> NodeId {
        self.0.number(x)
    }
}
