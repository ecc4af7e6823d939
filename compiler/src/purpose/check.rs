//! Checks that a graph fits the memory that its code will access.
//!
//! Optimizers of users add arbitrary nodes to the graph of a network, and may add different ones with
//! every call. Machine code has no bounds checks. So every leaf and every assignment is compared with
//! inputs and variables before a graph is compiled.

use super::Purpose;
use crate::declaration::{Declaration, Parameter};
use crate::error::{Error, Mistake};
use crate::graph::{Graph, Root};
use crate::ops::step_scalar::{RANDOM_BATCH, RANDOM_KEY};
use crate::ops::{Leaf, Lowering, Op};
use crate::optim::{ACCUMULATED, LEARNING_RATE};
use crate::shape::{DType, Dim};

impl Declaration {
    /// Requires that all sizes are numbers: during macro expansion they may be symbols.
    ///
    /// # Errors
    /// [`Error::Declaration`] with the first symbolic size.
    pub fn check_sizes(&self) -> Result<(), Error> {
        let symbol = |name: &str, dims: Vec<&Dim>| match dims
            .into_iter()
            .find(|dim| dim.fixed().is_none())
        {
            None => Ok(()),
            Some(dim) => Err(Error::Declaration {
                network: self.name.clone(),
                mistake: Mistake::call(format!(
                    "the size `{dim}` of `{name}` must be a number for the network to run"
                )),
            }),
        };
        for input in &self.inputs {
            let below = match &input.ty.dtype {
                DType::Index { below } => Some(below),
                DType::Real => None,
            };
            symbol(&input.name, input.ty.shape.dims.iter().chain(below).collect())?;
        }
        for parameter in &self.parameters {
            symbol(&parameter.name, parameter.shape.dims.iter().collect())?;
        }
        for id in self.graph().ids() {
            symbol(&self.graph().label(id), self.graph().shape(id).dims.iter().collect())?;
        }
        Ok(())
    }

    /// Requires the graph of a purpose to be well formed, and its inputs, variables and step scalars to
    /// exist with the same types.
    ///
    /// # Errors
    /// [`Error::Misfit`] otherwise.
    pub fn check_graph(
        &self,
        graph: &Graph,
        purpose: &Purpose,
        variables: &[Parameter],
    ) -> Result<(), Error> {
        let training = purpose.training();
        let leaves =
            graph.ids().try_for_each(|id| self.check_leaf(graph.op(id), purpose, variables));
        // Graphs without an optimizer are built by the compiler only.
        let verified = leaves.and_then(|()| match training {
            Some(_) => graph.verify().map_err(|found| found.to_string().replace('\n', "; ")),
            None => Ok(()),
        });
        let checked = verified.and_then(|()| {
            let shape = |(root, id): &(Root, _)| match root {
                Root::Assign(i) => Some((*i, graph.shape(*id).clone())),
                _ => None,
            };
            graph.roots().iter().filter_map(shape).try_for_each(|(i, shape)| {
                match variables.get(i) {
                    Some(parameter) if parameter.shape == shape => Ok(()),
                    Some(Parameter { name, shape: expected, .. }) => {
                        Err(format!("`{name}` is {expected}, but its next value is {shape}"))
                    }
                    None => Err(format!("there is no variable {i} to assign")),
                }
            })
        });
        checked.map_err(|message| Error::Misfit {
            optimizer: training.map(|t| t.optimizer().name().to_string()).unwrap_or_default(),
            message,
        })
    }

    fn check_leaf(
        &self,
        op: &Op,
        purpose: &Purpose,
        variables: &[Parameter],
    ) -> Result<(), String> {
        match op.lower() {
            Lowering::Leaf(Leaf::Input(op)) => match self.inputs.get(op.index) {
                Some(input) if input.ty != op.ty => {
                    Err(format!("`{}` is {}, not {}", input.name, input.ty, op.ty))
                }
                Some(input) if input.is_target && matches!(purpose, Purpose::Predict) => {
                    Err(format!("a prediction has no target `{}`", input.name))
                }
                Some(_) => Ok(()),
                None => Err(format!("there is no input {}", op.index)),
            },
            Lowering::Leaf(Leaf::Parameter(op)) => match variables.get(op.index) {
                Some(parameter) if parameter.shape != op.shape || op.shape.batched => {
                    Err(format!("`{}` is {}, not {}", parameter.name, parameter.shape, op.shape))
                }
                Some(_) => Ok(()),
                None => Err(format!("there is no variable {}", op.index)),
            },
            Lowering::Leaf(Leaf::StepScalar(op)) => {
                let is_random = op.name == RANDOM_BATCH || RANDOM_KEY.contains(&op.name);
                let is_update = matches!(purpose, Purpose::Update(_));
                let is_defined = op.name == LEARNING_RATE
                    || (op.name == ACCUMULATED && is_update)
                    || purpose.training().is_some_and(|t| {
                        t.optimizer().scalar(op.name, 1, t.optimizer().learning_rate()).is_some()
                    });
                match op.is_integer == is_random && (is_random || is_defined) {
                    true => Ok(()),
                    false => Err(format!("`Optimizer::scalar` returns no value for `{}`", op.name)),
                }
            }
            Lowering::Switch(_) => Err("an update has no switches".into()),
            _ => Ok(()),
        }
    }
}
