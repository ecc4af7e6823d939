//! Building kernels: groups of nodes become kernels over buffers.

mod all_finite;
mod collapse;
mod indexed;
mod product;

use rustc_hash::FxHashMap;

use super::formula;
use super::group::{Group, Level, Space};
use super::parts::Parts;
use super::views::{Reach, base, is_join, reach, real_reach};
use super::{Fused, Part};
use crate::buffer::{Buffer, Layout, Storage, dense_strides};
use crate::expr::scalar::{LaneType, Reduction};
use crate::expr::{Expr, Expressions, Term};
use crate::graph::{Graph, NodeId, Root};
use crate::kernel::{Access, Body, Columns, Iota, Kernel, Rows, SpaceKind, Store};
use crate::ops::{Leaf, Lowering, MemoryOrder};
use crate::simplify::constant_value;

pub(super) fn build(graph: Graph, groups: Vec<Group>) -> Fused {
    let buffers = Buffers::new(&graph, &groups);
    let kernels =
        groups.iter().map(|group| KernelBuilder::new(&graph, &buffers, group).kernel()).collect();
    let roots = graph.roots().iter().map(|(_, id)| buffers.of[id].buffer).collect();
    let Buffers { list, values, parts, step_scalars, numbers, .. } = buffers;
    let nodes = groups.into_iter().map(|group| group.nodes).collect();
    Fused { kernels, nodes, buffers: list, values, parts, roots, step_scalars, numbers, graph }
}

/// The memory of a node.
struct Memory {
    buffer: usize,
    /// The part of the buffer, if the node is one.
    part: Option<usize>,
    /// The first element, counted from the buffer's start.
    offset: usize,
    layout: Layout,
}

/// The buffers, and the nodes that have memory.
struct Buffers {
    list: Vec<Buffer>,
    /// The node of each.
    values: Vec<NodeId>,
    of: FxHashMap<NodeId, Memory>,
    parts: Vec<Part>,
    step_scalars: Vec<&'static str>,
    numbers: Vec<f32>,
}

impl Buffers {
    /// Buffers of the leaves that are read, and of the computed nodes that are read outside of
    /// their group or are roots.
    fn new(g: &Graph, groups: &[Group]) -> Buffers {
        let joins = Parts::new(g);
        let mut group_of = FxHashMap::default();
        for (i, group) in groups.iter().enumerate() {
            group_of.extend(group.nodes.iter().map(|n| (*n, i)));
        }
        let mut needed: Vec<NodeId> = g.roots().iter().map(|(_, id)| *id).collect();
        // Read in another shape that only dense strides reach.
        let mut dense: Vec<NodeId> = Vec::new();
        for (i, group) in groups.iter().enumerate() {
            for n in &group.nodes {
                for &operand in g.operands(*n) {
                    let value = base(g, operand);
                    let inside = group_of.get(&value) == Some(&i);
                    let factor = match g.op(*n).lower() {
                        Lowering::Contraction(_) | Lowering::Gather => true,
                        Lowering::Scatter => !g.ty(operand).is_real(),
                        _ => false,
                    };
                    let is_immediate =
                        constant_value(g, value).is_some() || g.op(value).lower().is_immediate();
                    if (!inside || factor) && !is_immediate {
                        needed.push(value);
                        let padded = Layout::padded(&g.sizes(value)).strides;
                        if reach(g, operand, &padded).is_none() {
                            dense.push(value);
                        }
                    }
                }
            }
        }
        // Parts have no buffers of their own.
        needed.retain(|id| !joins.of.contains_key(id));
        needed.extend(joins.layouts.keys());
        needed.sort_unstable();
        needed.dedup();
        let mut buffers = Buffers {
            list: Vec::new(),
            values: Vec::new(),
            of: FxHashMap::default(),
            parts: Vec::new(),
            step_scalars: Vec::new(),
            numbers: Vec::new(),
        };
        let assigned = g.roots().iter().filter_map(|(root, id)| match root {
            Root::Assign(parameter) => Some((*id, *parameter)),
            _ => None,
        });
        let assigned: FxHashMap<NodeId, usize> = assigned.collect();
        for node in needed {
            let op = g.op(node);
            let storage = match (op.lower(), assigned.get(&node)) {
                (_, Some(parameter)) => Storage::Parameter(*parameter),
                (Lowering::Leaf(Leaf::Parameter(p)), _) => Storage::Parameter(p.index),
                (Lowering::Leaf(Leaf::Input(input)), _) => Storage::Input(input.index),
                (Lowering::Leaf(Leaf::StepScalar(scalar)), _) => {
                    buffers.step_scalars.push(scalar.name);
                    Storage::StepScalar(buffers.step_scalars.len() - 1)
                }
                (Lowering::Numbers(numbers), _) => {
                    buffers.numbers.extend(numbers.iter().map(|x| x.0));
                    Storage::Numbers(buffers.numbers.len() - numbers.len())
                }
                _ => Storage::Arena,
            };
            let sizes = g.sizes(node);
            let layout = match storage {
                _ if is_join(g, node) => joins.layouts[&node].clone(),
                Storage::Input(_) | Storage::Numbers(_) => Layout::dense(&sizes),
                Storage::Arena if dense.contains(&node) => Layout::dense(&sizes),
                Storage::Arena if op.memory_order() == Some(MemoryOrder::BatchLast) => {
                    Layout::first_axis_last(&sizes)
                }
                _ => Layout::padded(&sizes),
            };
            let buffer = buffers.list.len();
            let memory = Memory { buffer, part: None, offset: 0, layout: layout.clone() };
            buffers.of.insert(node, memory);
            buffers.values.push(node);
            let is_given = op.lower().is_source();
            buffers.list.push(Buffer { name: g.label(node), is_given, layout, storage });
        }
        buffers.add_parts(g, joins);
        buffers
    }

    /// Adds the memory of values that are parts of joins. Those that contain others come first.
    fn add_parts(&mut self, g: &Graph, joins: Parts) {
        let mut all: Vec<_> = joins.of.into_iter().collect();
        all.sort_unstable_by_key(|(node, _)| std::cmp::Reverse(*node));
        for (node, part) in all {
            let buffer = self.of[&part.whole].buffer;
            let number = self.parts.len();
            let part = Part {
                value: node,
                buffer,
                parent: self.of[&part.parent].part,
                offset: part.offset,
                sizes: g.sizes(node),
                strides: part.strides,
            };
            let (offset, layout) = (part.offset, part.layout());
            self.parts.push(part);
            let memory = Memory { buffer, part: Some(number), offset, layout };
            self.of.insert(node, memory);
        }
    }
}

impl Memory {
    /// The access to elements of the node.
    fn access(&self, offset: usize, strides: Vec<isize>, lane_type: LaneType) -> Access {
        let access = Access::of(self.buffer, strides, lane_type);
        Access { part: self.part, offset: self.offset + offset, ..access }
    }
}

/// Builds the kernel of one group.
struct KernelBuilder<'a> {
    g: &'a Graph,
    buffers: &'a Buffers,
    group: &'a Group,
    formulas: Expressions,
    loads: Vec<Access>,
    iotas: Vec<Iota>,
    known: FxHashMap<NodeId, Expr>,
    /// Reductions in the order of their numbers, with their stage.
    reductions: Vec<(usize, Reduction, Expr)>,
    /// For each formula, the number of reduction stages that it depends on.
    stages: Vec<usize>,
    /// For a product, the axis of its space for each of the kernel's axes.
    axes: Vec<usize>,
}

impl<'a> KernelBuilder<'a> {
    fn new(g: &'a Graph, buffers: &'a Buffers, group: &'a Group) -> KernelBuilder<'a> {
        KernelBuilder {
            g,
            buffers,
            group,
            formulas: Expressions::default(),
            loads: Vec::new(),
            iotas: Vec::new(),
            known: FxHashMap::default(),
            reductions: Vec::new(),
            stages: Vec::new(),
            axes: Vec::new(),
        }
    }

    fn kernel(mut self) -> Kernel {
        let group = self.group;
        let body = match &group.space {
            Space::Rows(sizes) => Body::Rows(self.rows(sizes)),
            Space::Columns(sizes, axis) => Body::Columns(self.columns(sizes, *axis)),
            Space::Product(_) => Body::Product(self.product()),
            Space::Scatter(..) => Body::Scatter(self.scatter()),
            Space::AllFinite => Body::AllFinite(self.all_finite()),
        };
        debug_assert_eq!(body.kind(), group.space.kind());
        let mut kernel = Kernel {
            name: self.name(),
            overwritten: overwritten(&self.buffers.list, &self.loads, &body),
            loads: self.loads,
            iotas: self.iotas,
            formulas: self.formulas,
            body,
        };
        kernel.collapse();
        kernel
    }

    fn rows(&mut self, sizes: &[usize]) -> Rows {
        let mut stores = self.stores();
        let (inner, outer) = sizes.split_last().map_or((1, &[][..]), |(n, o)| (*n, o));
        let mut stages: Vec<Vec<(Reduction, Expr)>> = Vec::new();
        for (stage, reduction, e) in &self.reductions {
            stages.resize(stages.len().max(stage + 1), Vec::new());
            stages[*stage].push((*reduction, *e));
        }
        self.number_by_stage(&mut stores, &mut stages);
        Rows { outer: outer.to_vec(), inner, stages, stores }
    }

    fn columns(&mut self, sizes: &[usize], axis: usize) -> Columns {
        let stores = self.stores();
        let mut outer = sizes.to_vec();
        let reduced = outer.remove(axis);
        let reductions = self.reductions.iter().map(|(_, r, e)| (*r, *e)).collect();
        Columns { outer, reduced, reductions, stores }
    }

    /// Builds the formulas of all nodes; those with a buffer are stored.
    fn stores(&mut self) -> Vec<Store> {
        let group = self.group;
        let mut stores = Vec::new();
        for node in &group.nodes {
            let value = self.value(*node);
            if let Some(memory) = self.buffers.of.get(node) {
                let to = self.access(memory, *node, self.level(*node), LaneType::Float);
                stores.push(Store { to, value });
            }
        }
        stores
    }

    /// The kind of the kernel and the nodes that it stores.
    fn name(&self) -> String {
        let stored = self.group.nodes.iter().filter(|n| self.buffers.of.contains_key(n));
        let labels: Vec<String> = stored.map(|n| self.g.label(*n)).collect();
        let kind = match self.group.space.kind() {
            SpaceKind::Rows if self.reductions.is_empty() => "map",
            SpaceKind::Rows => "rows",
            SpaceKind::Columns => "columns",
            SpaceKind::Product => "product",
            SpaceKind::Scatter => "scatter",
            SpaceKind::AllFinite => "all finite",
        };
        format!("{kind}: {}", labels.join(", "))
    }

    /// Renumbers reductions by stage; they were added in the order of the nodes.
    fn number_by_stage(&mut self, stores: &mut [Store], stages: &mut [Vec<(Reduction, Expr)>]) {
        let mut order: Vec<usize> = (0..self.reductions.len()).collect();
        order.sort_by_key(|i| self.reductions[*i].0);
        if order.iter().enumerate().all(|(to, from)| to == *from) {
            return;
        }
        let mut number = vec![0; order.len()];
        for (to, from) in order.into_iter().enumerate() {
            number[from] = to;
        }
        let mut renumbered = Expressions::default();
        let mut map: Vec<Expr> = Vec::new();
        for (_, term) in self.formulas.iter() {
            let term = match term {
                Term::Reduced(i) => Term::Reduced(number[*i]),
                Term::Apply(scalar, x) => {
                    Term::Apply(*scalar, x.iter().map(|x| map[x.0 as usize]).collect())
                }
                other => other.clone(),
            };
            map.push(renumbered.push(term));
        }
        self.formulas = renumbered;
        for store in stores {
            store.value = map[store.value.0 as usize];
        }
        for (_, e) in stages.iter_mut().flatten() {
            *e = map[e.0 as usize];
        }
    }

    fn level(&self, node: NodeId) -> Level {
        self.group.level(node).expect("a node of the group has a level")
    }

    /// The formula of one of the group's nodes.
    fn value(&mut self, node: NodeId) -> Expr {
        if let Some(e) = self.known.get(&node) {
            return *e;
        }
        let op = self.g.op(node).clone();
        let operands = self.g.operands(node);
        let e = match op.lower() {
            Lowering::Elementwise(formula) => {
                let level = self.level(node);
                let x: Vec<Expr> = operands.iter().map(|x| self.operand(*x, level)).collect();
                formula::apply(self.g, node, &formula, &mut self.formulas, &x)
            }
            // The column sums that are fused with a product.
            Lowering::Reduction(..) if self.group.space.kind() == SpaceKind::Product => {
                self.formulas.push(Term::Reduced(1))
            }
            Lowering::Reduction(reduction, _) => {
                let e = self.operand(operands[0], Level::Full);
                let stage = self.stage(e);
                self.reductions.push((stage, reduction, e));
                self.formulas.push(Term::Reduced(self.reductions.len() - 1))
            }
            Lowering::Contraction(_) => self.formulas.push(Term::Reduced(0)),
            Lowering::Gather => {
                let access = self.gathered(node);
                self.load(access)
            }
            _ => unreachable!("groups hold computed nodes"),
        };
        self.known.insert(node, e);
        e
    }

    /// The number of reduction stages that a formula depends on.
    fn stage(&mut self, e: Expr) -> usize {
        // Operands come first.
        for next in self.stages.len()..=e.0 as usize {
            let stage = match self.formulas.term(Expr(next as u32)) {
                Term::Reduced(i) => self.reductions[*i].0 + 1,
                Term::Apply(_, x) => x.iter().map(|x| self.stages[x.0 as usize]).max().unwrap_or(0),
                _ => 0,
            };
            self.stages.push(stage);
        }
        self.stages[e.0 as usize]
    }

    fn operand(&mut self, operand: NodeId, level: Level) -> Expr {
        let value = base(self.g, operand);
        if let Some(constant) = constant_value(self.g, value) {
            return self.formulas.float(constant);
        }
        if self.group.level(value).is_some() {
            return self.value(value);
        }
        if matches!(self.g.op(value).lower(), Lowering::Iota) {
            return self.iota(operand, value, level);
        }
        let lane_type = if self.g.ty(operand).is_real() { LaneType::Float } else { LaneType::Int };
        let access = self.access(&self.buffers.of[&value], operand, level, lane_type);
        self.load(access)
    }

    fn load(&mut self, access: Access) -> Expr {
        let lane_type = access.lane_type;
        let known = self.loads.iter().position(|l| *l == access);
        let number = known.unwrap_or_else(|| {
            self.loads.push(access);
            self.loads.len() - 1
        });
        self.formulas.push(Term::Load(number, lane_type))
    }

    /// The iota of an operand: its elements' numbers in `value`.
    fn iota(&mut self, operand: NodeId, value: NodeId, level: Level) -> Expr {
        let Reach { offset, strides } =
            self.reach(operand, &dense_strides(&self.g.sizes(value)), level);
        let iota = Iota { offset, strides };
        let known = self.iotas.iter().position(|e| *e == iota);
        let number = known.unwrap_or_else(|| {
            self.iotas.push(iota);
            self.iotas.len() - 1
        });
        self.formulas.push(Term::Iota(number))
    }

    /// The access to a node's elements in the memory of its base.
    fn access(&self, memory: &Memory, node: NodeId, level: Level, lane_type: LaneType) -> Access {
        let Reach { offset, strides } = self.reach(node, &memory.layout.strides, level);
        let mut access = memory.access(offset, strides, lane_type);
        access.padding = self.padding(&access, &memory.layout);
        access
    }

    /// A node's elements along the kernel's axes, where its base has these strides.
    fn reach(&self, node: NodeId, strides: &[usize], level: Level) -> Reach {
        let Reach { offset, strides } = real_reach(self.g, node, strides)
            .expect("layouts are chosen so that strides reach their users");
        Reach { offset, strides: self.on_kernel_axes(strides, level) }
    }

    /// Maps strides along a node's axes of a size above one to the kernel's axes.
    fn on_kernel_axes(&self, mut strides: Vec<isize>, level: Level) -> Vec<isize> {
        match (&self.group.space, level) {
            (Space::Rows(sizes), Level::Full) if sizes.is_empty() => strides.push(0),
            (Space::Rows(_) | Space::Columns(..), Level::Outer) => strides.push(0),
            (Space::Rows(_), Level::Full) => {}
            (Space::Columns(_, axis), Level::Full) => {
                let stride = strides.remove(*axis);
                strides.push(stride);
            }
            (Space::Product(sizes), Level::Outer) => {
                let column = strides.first().copied().unwrap_or(0);
                let stride = |axis: &usize| if axis + 1 == sizes.len() { column } else { 0 };
                strides = self.axes.iter().map(stride).collect();
            }
            (Space::Product(_), Level::Full) => {
                strides =
                    self.axes.iter().map(|axis| strides.get(*axis).copied().unwrap_or(0)).collect();
            }
            // The table's rows are an axis before that of columns.
            (Space::Scatter(..), Level::Outer) | (Space::AllFinite, _) => {
                unreachable!("all values are full")
            }
            (Space::Scatter(_, 1), Level::Full) => strides.extend([0, 0]),
            (Space::Scatter(..), Level::Full) => strides.insert(strides.len() - 1, 0),
        }
        strides
    }

    /// Padding after the kernel's vector axis, if that is the buffer's contiguous axis.
    fn padding(&self, access: &Access, layout: &Layout) -> usize {
        let (size, stride) = match &self.group.space {
            Space::Rows(sizes) => (sizes.last(), access.strides.last()),
            Space::Columns(sizes, axis) => {
                let outer = sizes.iter().enumerate().rfind(|(i, _)| i != axis).map(|(_, n)| n);
                (outer, access.strides.len().checked_sub(2).and_then(|i| access.strides.get(i)))
            }
            Space::Product(sizes) => {
                let column = self.axes.last().and_then(|axis| sizes.get(*axis));
                (column, access.strides.last())
            }
            Space::Scatter(_, columns) => (Some(columns), access.strides.last()),
            Space::AllFinite => return 0,
        };
        if stride == Some(&1) && size.copied() == layout.contiguous() { layout.padding } else { 0 }
    }
}

/// Buffers that are read, and whose memory is overwritten through another buffer.
fn overwritten(buffers: &[Buffer], loads: &[Access], body: &Body) -> Vec<usize> {
    let stores = body.stores();
    let shares_memory = |buffer: usize| {
        let storage = buffers[buffer].storage;
        storage != Storage::Arena && stores.iter().any(|s| buffers[s.to.buffer].storage == storage)
    };
    loads.iter().map(|l| l.buffer).filter(|t| shares_memory(*t)).collect()
}
