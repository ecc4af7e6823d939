//! [`Lowering`]: what an operation is to the passes between the graph and machine code.
//!
//! Passes match on this alone, and on the facts that [`Operation`](super::Operation) has beside it:
//! no pass has a list of operations. A new operation is one of these kinds, or it is composite.

use super::all_finite::AllFinite;
use super::broadcast::Broadcast;
use super::contract::Contract;
use super::input::Input;
use super::parameter::Parameter;
use super::reduce::Axis;
use super::reshape::Reshape;
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
    /// It is given from outside.
    Leaf(Leaf<'a>),
    /// A number.
    Constant(f32),
    /// Numbers that are known before anything runs, and lie in memory from then on.
    Numbers(&'a [Number]),
    /// A formula for each element, from the elements in the same place.
    Elementwise(Formula<'a>),
    /// The number of each element, counted row-major through the whole value,
    /// the batch first.
    Iota,
    /// The same elements, found elsewhere.
    View(View<'a>),
    /// One of the operands, chosen before anything is compiled.
    Choice(Selector),
    /// One axis reduced to size one.
    Reduction(Reduction, Axis),
    /// A sum of products.
    Contraction(&'a Contract),
    /// Rows of the first operand, where the second says.
    Gather,
    /// Rows of the first operand added up, where the second says.
    Scatter,
    /// Whether all elements of all operands are finite.
    AllFinite(&'a AllFinite),
    /// Other operations.
    Composite(Expansion<'a>),
}

/// What is given from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaf<'a> {
    /// With every batch.
    Input(&'a Input),
    /// What stays from call to call.
    Parameter(&'a Parameter),
    /// A single number, with every step.
    StepScalar(&'a StepScalar),
}

/// Where a view finds the elements of its operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View<'a> {
    /// The same for all positions of axes of size one, and of axes in front.
    Broadcast(&'a Broadcast),
    /// Row-major, in another shape.
    Reshape(&'a Reshape),
    /// The axes of the example in another order.
    Transpose(&'a Transpose),
}

/// A formula on the operands' elements. In it, [`Expressions::position`] is the
/// element's index on the last axis of the example, 0 where the example has no axes.
pub type Formula<'a> = Box<dyn Fn(&mut Expressions, &[Expr]) -> Expr + 'a>;

/// Other operations on the operands.
pub type Expansion<'a> = Box<dyn Fn(&mut Graph, &[NodeId]) -> NodeId + 'a>;

impl Lowering<'_> {
    /// Whether it has its elements before any kernel runs, and nothing computes them.
    pub fn is_source(&self) -> bool {
        matches!(
            self,
            Lowering::Leaf(_) | Lowering::Constant(_) | Lowering::Numbers(_) | Lowering::Iota
        )
    }

    /// Whether it has no memory of its own: who uses its elements computes them.
    pub fn is_immediate(&self) -> bool {
        matches!(self, Lowering::Constant(_) | Lowering::Iota)
    }

    /// The kind of iteration space that it has to itself: a kernel of that kind computes exactly
    /// one such operation. `None` for what is computed in rows and columns, next to others.
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
    /// The leaf that it is, where it is given from outside.
    pub fn leaf(&self) -> Option<Leaf<'_>> {
        match self.lower() {
            Lowering::Leaf(leaf) => Some(leaf),
            _ => None,
        }
    }
}
