//! Writes a program: opens and closes loops, and hoists loop-invariant formulas
//! to the outermost loop that has all that they depend on.

mod values;

use rustc_hash::FxHashMap;

use crate::expr::scalar::{LaneType, Reduction, Scalar};
use crate::expr::{Expr, Term};
use crate::faults::{self, Fault};
use crate::kernel::{Access, Kernel, Store};
use crate::program::*;
use crate::target::Target;

/// Where on the kernel's axes a vector of elements begins, beyond what loops
/// add, and how many of its lanes count.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Point {
    pub offsets: Vec<usize>,
    pub lanes: usize,
}

pub(super) struct Writer<'a> {
    pub kernel: &'a Kernel,
    pub target: &'a Target,
    /// The axis that vectors run along.
    vector_axis: usize,
    /// For each formula, the axes that it depends on, as bits.
    depends: Vec<u32>,
    /// For each formula, the leaves in it that are not there from the start:
    /// results of reductions, and loads of what the kernel overwrites.
    hoistable: Vec<Vec<Expr>>,
    buffers: Vec<usize>,
    registers: Vec<LaneType>,
    counters: u32,
    parallel: usize,
    scopes: Vec<LoopScope>,
    /// For each axis, the loops that go along it, the outermost first.
    loops: Vec<Vec<LoopAxis>>,
    /// Offsets on some axes, zero on the others, by number.
    offsets: FxHashMap<Vec<usize>, OffsetsId>,
    /// Room for one of them.
    masked: Vec<usize>,
    /// For each reduction, the axes that its result depends on, as bits.
    reduced_on: FxHashMap<usize, u32>,
    /// Results of reductions: for a place on the axes that they depend on, the
    /// register and the depth at which it is there.
    reduced: FxHashMap<(usize, OffsetsId), (Register, usize)>,
}

/// A loop along an axis.
#[derive(Clone, Copy)]
struct LoopAxis {
    /// None where there is nothing to repeat.
    counter: Option<Counter>,
    /// Elements of the axis for each iteration.
    elements: usize,
    /// The depth of its scope.
    depth: usize,
}

impl LoopAxis {
    /// How far an iteration moves what has so many elements for each of the
    /// axis.
    fn stride(&self, step: usize) -> Option<(Counter, usize)> {
        self.counter.map(|counter| (counter, self.elements * step))
    }
}

/// Names offsets, of which many formulas have the same.
type OffsetsId = u32;

/// A formula at a place, in so many lanes.
type Key = (Expr, OffsetsId, usize);

#[derive(Default)]
struct LoopScope {
    body: Vec<Statement>,
    known: FxHashMap<Key, Register>,
    /// The loop that ends with the scope; none where there is nothing to repeat.
    ends: Option<(Counter, Count)>,
    /// The axis that it goes along.
    axis: Option<usize>,
}

impl<'a> Writer<'a> {
    /// A writer for a kernel with so many axes; `reduced_on` gives the axes that
    /// a reduction depends on, by its number.
    pub fn new(
        kernel: &'a Kernel,
        target: &'a Target,
        axes: usize,
        vector_axis: usize,
        reduced_on: impl Fn(usize) -> u32,
    ) -> Writer<'a> {
        let mut depends: Vec<u32> = Vec::new();
        let mut awaits: Vec<Vec<Expr>> = Vec::new();
        let mut results = FxHashMap::default();
        for (e, term) in kernel.formulas.iter() {
            awaits.push(match term {
                Term::Reduced(_) => vec![e],
                Term::Load(i, _) if kernel.overwritten.contains(&kernel.loads[*i].buffer) => {
                    vec![e]
                }
                Term::Apply(_, x) => {
                    let mut all: Vec<Expr> =
                        x.iter().flat_map(|x| &awaits[x.0 as usize]).copied().collect();
                    all.sort_unstable();
                    all.dedup();
                    all
                }
                _ => Vec::new(),
            });
            if let Term::Reduced(number) = term {
                results.insert(*number, reduced_on(*number));
            }
            depends.push(match term {
                Term::Float(_) | Term::Int(_) => 0,
                Term::Load(i, _) => kernel.loads[*i].moves(),
                Term::Position => 1 << vector_axis,
                Term::Element(i) => moves(&kernel.elements[*i]),
                Term::Reduced(number) => reduced_on(*number),
                Term::Apply(_, x) => x.iter().fold(0, |all, x| all | depends[x.0 as usize]),
            });
        }
        Writer {
            kernel,
            target,
            vector_axis,
            depends,
            hoistable: awaits,
            buffers: Vec::new(),
            registers: Vec::new(),
            counters: 0,
            parallel: 0,
            scopes: vec![LoopScope::default()],
            loops: vec![Vec::new(); axes],
            offsets: FxHashMap::default(),
            masked: Vec::new(),
            reduced_on: results,
            reduced: FxHashMap::default(),
        }
    }

    /// The program, when all loops are closed.
    pub fn finish(mut self) -> Program {
        let outermost = self.scopes.pop().unwrap_or_default();
        debug_assert!(self.scopes.is_empty(), "a loop is still open");
        Program {
            name: self.kernel.name.clone(),
            lanes: self.target.lanes,
            buffers: self.buffers,
            registers: self.registers,
            parallel: self.parallel,
            body: outermost.body,
        }
    }

    /// Opens a loop; where it goes along an axis, an iteration is so many
    /// elements of it. What happens once needs no loop.
    pub fn open(&mut self, count: usize, along: Option<(usize, usize)>) {
        self.open_loop((count > 1).then_some(Count::Fixed(count)), along);
    }

    /// Opens a loop whose iterations may be split across threads.
    pub fn open_parallel(&mut self, count: usize, along: Option<(usize, usize)>) {
        debug_assert_eq!(self.scopes.len(), 1, "only outermost loops are split across threads");
        let first = self.parallel;
        self.parallel += count;
        self.open_loop(Some(Count::Parallel { first, count }), along);
    }

    /// Opens the first loop of several in parallel, others in order.
    pub fn open_outer(&mut self, sizes: &[usize]) {
        for (axis, size) in sizes.iter().enumerate() {
            match axis {
                0 => self.open_parallel(*size, Some((0, 1))),
                _ => self.open(*size, Some((axis, 1))),
            }
        }
    }

    fn open_loop(&mut self, count: Option<Count>, along: Option<(usize, usize)>) {
        let ends = count.map(|count| {
            self.counters += 1;
            (Counter(self.counters - 1), count)
        });
        let counter = ends.map(|(counter, _)| counter);
        if let Some((axis, elements)) = along {
            self.loops[axis].push(LoopAxis { counter, elements, depth: self.scopes.len() });
        }
        let axis = along.map(|(axis, _)| axis);
        self.scopes.push(LoopScope { ends, axis, ..LoopScope::default() });
    }

    /// Closes the innermost loop.
    pub fn close(&mut self) {
        let depth = self.scopes.len() - 1;
        let scope = self.scopes.pop().expect("as many closed as opened");
        if let Some(axis) = scope.axis {
            self.loops[axis].pop();
        }
        self.reduced.retain(|_, (_, at)| *at < depth);
        let outer = &mut self.innermost().body;
        match scope.ends {
            Some((counter, count)) => {
                outer.push(Statement::Loop(Loop { counter, count, body: scope.body }));
            }
            None => outer.extend(scope.body),
        }
    }

    /// Closes so many loops.
    pub fn close_outer(&mut self, loops: usize) {
        for _ in 0..loops {
            self.close();
        }
    }

    fn innermost(&mut self) -> &mut LoopScope {
        self.scopes.last_mut().expect("there is always one")
    }

    /// A new register.
    pub fn register(&mut self, kind: LaneType) -> Register {
        self.registers.push(kind);
        Register(self.registers.len() as u32 - 1)
    }

    /// Adds an instruction to the innermost loop.
    pub fn push(&mut self, instruction: Instruction) {
        self.innermost().body.push(Statement::Do(instruction));
    }

    /// A register that starts with a float, written here.
    pub fn start(&mut self, bits: u32) -> Register {
        let to = self.register(LaneType::Float);
        self.push(Instruction::Constant { to, bits });
        to
    }

    /// `to` combined with another register.
    pub fn combine(&mut self, reduction: Reduction, to: Register, with: Register) {
        match reduction {
            Reduction::Sum => {
                self.push(Instruction::Apply {
                    to,
                    scalar: Scalar::Add,
                    operands: [to, with].into(),
                });
            }
            Reduction::Max => {
                // NaN in either stays: where `to` is NaN it is kept, and the
                // maximum gives its second operand where one is NaN.
                let (number, largest) =
                    (self.register(LaneType::Mask), self.register(LaneType::Float));
                let equal = [to, to].into();
                self.push(Instruction::Apply {
                    to: number,
                    scalar: Scalar::Equal,
                    operands: equal,
                });
                let both = [to, with].into();
                self.push(Instruction::Apply { to: largest, scalar: Scalar::Max, operands: both });
                let choice = [number, largest, to].into();
                self.push(Instruction::Apply { to, scalar: Scalar::Select, operands: choice });
            }
        }
    }

    /// Says that a reduction's result is in a register from here on.
    pub fn set_reduced(&mut self, number: usize, point: &Point, register: Register) {
        let axes = self.reduced_on.get(&number).copied().unwrap_or(0);
        let on = self.offsets_id(axes, &point.offsets);
        let depth = self.scopes.len() - 1;
        self.reduced.insert((number, on), (register, depth));
    }

    /// The place that offsets are on some axes.
    fn offsets_id(&mut self, axes: u32, offsets: &[usize]) -> OffsetsId {
        let offsets = offsets.iter().enumerate();
        self.masked.clear();
        self.masked.extend(offsets.map(|(i, o)| if axes >> i & 1 == 1 { *o } else { 0 }));
        if let Some(known) = self.offsets.get(&self.masked) {
            return *known;
        }
        let next = self.offsets.len() as OffsetsId;
        self.offsets.insert(self.masked.clone(), next);
        next
    }

    /// A load of an access at a point.
    pub fn load(&mut self, to: Register, access: &Access, point: &Point) -> Instruction {
        let stride = access.strides.get(self.vector_axis).copied().unwrap_or(0);
        let lanes = if stride == 0 { self.target.lanes } else { self.touched(access, point.lanes) };
        Instruction::Load { to, from: self.address(access, point), lane_stride: stride, lanes }
    }

    /// A load of as many elements as there are lanes, along another axis than
    /// that of vectors.
    pub fn load_along(
        &mut self,
        to: Register,
        access: &Access,
        point: &Point,
        axis: usize,
    ) -> Instruction {
        let (stride, lanes) = (access.strides[axis], self.target.lanes);
        Instruction::Load { to, from: self.address(access, point), lane_stride: stride, lanes }
    }

    /// Says that a formula's value at a point is in a register, as long as the
    /// innermost loop is open.
    pub fn set_value(&mut self, e: Expr, point: &Point, register: Register) {
        let place = self.offsets_id(self.depends[e.0 as usize], &point.offsets);
        self.innermost().known.insert((e, place, point.lanes), register);
    }

    /// Stores a register at a point.
    pub fn put(&mut self, access: &Access, point: &Point, from: Register) {
        let to = self.address(access, point);
        let lanes = self.touched(access, point.lanes);
        self.push(Instruction::Store { to, from, lane_stride: 1, lanes });
    }

    /// The counter of the innermost loop, if something is repeated there.
    pub fn counter(&self) -> Option<Counter> {
        self.scopes.last().and_then(|scope| scope.ends).map(|(counter, _)| counter)
    }

    /// Says that what is at a point will be needed at once.
    pub fn prefetch(&mut self, access: &Access, point: &Point) {
        let at = self.address(access, point);
        self.push(Instruction::Prefetch { at, near: true });
    }

    /// Says that what is at a point will be needed later; some elements further
    /// on for every iteration of one more loop.
    pub fn prefetch_later(
        &mut self,
        access: &Access,
        point: &Point,
        more: Option<(Counter, usize)>,
    ) {
        let mut at = self.address(access, point);
        at.strides.extend(more);
        self.push(Instruction::Prefetch { at, near: false });
    }

    /// Stores a value at a point.
    pub fn store(&mut self, store: &Store, point: &Point) {
        let from = self.value(store.value, point);
        let to = self.address(&store.to, point);
        let stride = store.to.strides.get(self.vector_axis).copied().unwrap_or(0);
        let instruction = match stride {
            0 => Instruction::Store { to, from, lane_stride: 1, lanes: 1 },
            _ => Instruction::Store {
                to,
                from,
                lane_stride: stride,
                lanes: self.touched(&store.to, point.lanes),
            },
        };
        self.push(instruction);
    }

    /// Whole vectors are touched where padding allows it.
    fn touched(&self, access: &Access, lanes: usize) -> usize {
        let missing = self.target.lanes - lanes;
        if missing <= access.padding { self.target.lanes } else { lanes }
    }

    fn address(&mut self, access: &Access, point: &Point) -> Address {
        let known = self.buffers.iter().position(|t| *t == access.buffer);
        let buffer = known.unwrap_or_else(|| {
            self.buffers.push(access.buffer);
            self.buffers.len() - 1
        });
        let (offset, steps) = self.reach(&access.strides, point);
        let index = access.index.as_ref().map(|index| {
            let at = self.address(&index.at, point);
            Box::new(Indexed { at, stride: index.row_stride, below: index.below })
        });
        Address { buffer, offset, strides: steps, index }
    }

    /// Where a point is, by how far each axis moves: elements from the start,
    /// and more for every iteration of some loops.
    fn reach(&self, by: &[usize], point: &Point) -> (usize, Vec<(Counter, usize)>) {
        let axes = by.iter().enumerate().filter(|(_, step)| **step > 0);
        let steps = axes.clone().flat_map(|(axis, step)| {
            self.loops[axis].iter().filter_map(|along| along.stride(*step))
        });
        (axes.map(|(axis, step)| point.offsets[axis] * step).sum(), steps.collect())
    }

    /// Vectors that cover `n` elements of the vector axis from `first` on.
    pub fn points(&self, axes: usize, first: usize, n: usize) -> Vec<Point> {
        let lanes = self.target.lanes;
        let point = |i: usize| {
            let mut offsets = vec![0; axes];
            offsets[self.vector_axis] = first + i;
            let is_cut = faults::is(Fault::TailMask) && n - i < lanes && n - i > 1;
            Point { offsets, lanes: lanes.min(n - i) - usize::from(is_cut) }
        };
        (0..n).step_by(lanes).map(point).collect()
    }
}

/// The axes that move something, as bits.
fn moves(steps: &[usize]) -> u32 {
    steps.iter().enumerate().fold(0, |all, (i, step)| all | u32::from(*step > 0) << i)
}

impl Reduction {
    /// The bits of what changes nothing when combined.
    pub(super) fn identity(self) -> u32 {
        match self {
            Reduction::Sum => 0f32.to_bits(),
            Reduction::Max => f32::NEG_INFINITY.to_bits(),
        }
    }
}
