//! [`Lowering`]: the kind of an operation, for the passes between the graph and machine code.
//!
//! Passes match on it and on the properties of [`Operation`](super::Operation); no pass has a list of
//! operations. A new operation is of one of these kinds or composite.

use super::all_finite::AllFinite;
use super::broadcast::Broadcast;
use super::concat::Concat;
use super::contract::Contract;
use super::input::Input;
use super::parameter::Parameter;
use super::reduce::Axis;
use super::reshape::Reshape;
use super::slice::Slice;
use super::step_scalar::StepScalar;
use super::switch::Selector;
use super::transpose::Transpose;
use super::{Number, Op};
use crate::expr::scalar::Reduction;
use crate::expr::{Expr, Expressions};
use crate::graph::{Graph, NodeId};
use crate::kernel::SpaceKind;

/// How an operation is computed by machine code.
pub enum Lowering<'a> {
    /// An input of the graph.
    Leaf(Leaf<'a>),
    /// A constant scalar.
    Constant(f32),
    /// Constant numbers, stored in memory.
    Numbers(&'a [Number]),
    /// A formula for each element, from the operands' elements at the same index.
    Elementwise(Formula<'a>),
    /// The row-major index of each element, over all axes with the batch outermost.
    Iota,
    /// The operand's elements in another arrangement.
    View(View<'a>),
    /// The operands one after the other along an axis: kernels write each into its part of one buffer.
    Join(&'a Concat),
    /// One of the operands, selected before compilation.
    Switch(Selector),
    /// The reduction of one axis to size 1.
    Reduction(Reduction, Axis),
    /// A sum of products.
    Contraction(&'a Contract),
    /// Rows of the first operand, by the indices in the second.
    Gather,
    /// Sums of rows of the first operand, by the indices in the second.
    Scatter,
    /// Whether all elements of all operands are finite.
    AllFinite(&'a AllFinite),
    /// A composition of other operations.
    Composite(Expansion<'a>),
}

/// An input of the graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaf<'a> {
    /// An input or target, passed with every batch.
    Input(&'a Input),
    /// A parameter or optimizer state, persistent between calls.
    Parameter(&'a Parameter),
    /// A scalar, passed with every step.
    StepScalar(&'a StepScalar),
}

/// How a view arranges the elements of its operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View<'a> {
    /// Elements repeated along axes of size 1 and along new leading axes.
    Broadcast(&'a Broadcast),
    /// The same row-major order in another shape.
    Reshape(&'a Reshape),
    /// The axes of the example permuted.
    Transpose(&'a Transpose),
    /// Some elements of one axis.
    Slice(&'a Slice),
}

/// A formula on the operands' elements. In it, [`Expressions::position`] is the element's index on
/// the last axis of the example, 0 if the example has no axes.
pub type Formula<'a> = Box<dyn Fn(&mut Expressions, &[Expr]) -> Expr + 'a>;

/// The operations of a composite, applied to its operands.
pub type Expansion<'a> = Box<dyn Fn(&mut Graph, &[NodeId]) -> NodeId + 'a>;

impl Lowering<'_> {
    /// Whether its elements exist before any kernel runs.
    pub fn is_source(&self) -> bool {
        matches!(
            self,
            Lowering::Leaf(_) | Lowering::Constant(_) | Lowering::Numbers(_) | Lowering::Iota
        )
    }

    /// Whether it has no buffer: kernels that use its elements compute them.
    pub fn is_immediate(&self) -> bool {
        matches!(self, Lowering::Constant(_) | Lowering::Iota)
    }

    /// The kind of iteration space that is exclusive to it: a kernel of that kind computes exactly one
    /// such operation. `None` for operations that are fused in rows and columns.
    pub fn own_space(&self) -> Option<SpaceKind> {
        match self {
            Lowering::Contraction(_) => Some(SpaceKind::Product),
            Lowering::Scatter => Some(SpaceKind::Scatter),
            Lowering::AllFinite(_) => Some(SpaceKind::AllFinite),
            _ => None,
        }
    }
}

impl Op {
    /// The leaf, if it is an input of the graph.
    pub fn leaf(&self) -> Option<Leaf<'_>> {
        match self.lower() {
            Lowering::Leaf(leaf) => Some(leaf),
            _ => None,
        }
    }
}
