//! Writes a program: opens and closes loops, and hoists loop-invariant formulas
//! to the outermost loop in which all their dependencies are available.

mod values;

use rustc_hash::FxHashMap;

use crate::expr::scalar::{LaneType, Reduction, Scalar};
use crate::expr::{Expr, Term};
use crate::faults::{self, Fault};
use crate::kernel::{Access, Kernel, Store};
use crate::program::*;
use crate::target::{CACHE_LINE, Target};

/// A vector of elements: its offsets on the kernel's axes, relative to the enclosing loops,
/// and the number of its valid lanes.
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
    /// For each formula, its leaves that limit hoisting:
    /// results of reductions, and loads of buffers that the kernel overwrites.
    late_leaves: Vec<Vec<Expr>>,
    buffers: Vec<usize>,
    registers: Vec<LaneType>,
    counters: u32,
    parallel: usize,
    scopes: Vec<LoopScope>,
    /// For each axis, the loops along it, the outermost first.
    loops: Vec<Vec<LoopAxis>>,
    /// Interned offsets: those on some axes, zero on the others.
    offsets: FxHashMap<Vec<usize>, OffsetsId>,
    /// A buffer for the offsets of a lookup.
    masked: Vec<usize>,
    /// For each reduction, the axes that its result depends on, as bits.
    reduced_on: FxHashMap<usize, u32>,
    /// Results of reductions: by the offsets on the axes that they depend on, the
    /// register and the depth of the scope in which it is available.
    reduced: FxHashMap<(usize, OffsetsId), (Register, usize)>,
}

/// A loop along an axis.
#[derive(Clone, Copy)]
struct LoopAxis {
    /// None for a single iteration.
    counter: Option<Counter>,
    /// Elements of the axis for each iteration.
    elements: usize,
    /// The depth of its scope.
    depth: usize,
}

impl LoopAxis {
    /// The loop's stride in a buffer or iota, where the axis has this one.
    fn stride(&self, axis_stride: isize) -> Option<(Counter, isize)> {
        self.counter.map(|counter| (counter, self.elements as isize * axis_stride))
    }
}

/// The number of interned offsets.
type OffsetsId = u32;

/// A formula's value: the formula, its offsets and its number of lanes.
type Key = (Expr, OffsetsId, usize);

#[derive(Default)]
struct LoopScope {
    body: Vec<Statement>,
    known: FxHashMap<Key, Register>,
    /// The loop of the scope; none for a single iteration.
    repeats: Option<(Counter, Count)>,
    /// The axis that it runs along.
    axis: Option<usize>,
}

impl<'a> Writer<'a> {
    /// A writer for a kernel of `axes` axes; `reduced_on` returns the axes that
    /// a reduction depends on, by its number.
    pub fn new(
        kernel: &'a Kernel,
        target: &'a Target,
        axes: usize,
        vector_axis: usize,
        reduced_on: impl Fn(usize) -> u32,
    ) -> Writer<'a> {
        let mut depends: Vec<u32> = Vec::new();
        let mut late_leaves: Vec<Vec<Expr>> = Vec::new();
        let mut results = FxHashMap::default();
        for (e, term) in kernel.formulas.iter() {
            late_leaves.push(match term {
                Term::Reduced(_) => vec![e],
                Term::Load(i, _) if kernel.overwritten.contains(&kernel.loads[*i].buffer) => {
                    vec![e]
                }
                Term::Apply(_, x) => {
                    let mut all: Vec<Expr> =
                        x.iter().flat_map(|x| &late_leaves[x.0 as usize]).copied().collect();
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
                Term::Iota(i) => moves(&kernel.iotas[*i].strides),
                Term::Reduced(number) => reduced_on(*number),
                Term::Apply(_, x) => x.iter().fold(0, |all, x| all | depends[x.0 as usize]),
            });
        }
        Writer {
            kernel,
            target,
            vector_axis,
            depends,
            late_leaves,
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

    /// Opens a loop, along an axis by a number of elements if `along` is set. A single
    /// iteration needs no loop.
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

    /// Opens a loop for each of the outer axes, the first one parallel.
    pub fn open_outer(&mut self, sizes: &[usize]) {
        for (axis, size) in sizes.iter().enumerate() {
            match axis {
                0 => self.open_parallel(*size, Some((0, 1))),
                _ => self.open(*size, Some((axis, 1))),
            }
        }
    }

    fn open_loop(&mut self, count: Option<Count>, along: Option<(usize, usize)>) {
        let repeats = count.map(|count| {
            self.counters += 1;
            (Counter(self.counters - 1), count)
        });
        let counter = repeats.map(|(counter, _)| counter);
        if let Some((axis, elements)) = along {
            self.loops[axis].push(LoopAxis { counter, elements, depth: self.scopes.len() });
        }
        let axis = along.map(|(axis, _)| axis);
        self.scopes.push(LoopScope { repeats, axis, ..LoopScope::default() });
    }

    /// Closes the innermost loop.
    pub fn close(&mut self) {
        let depth = self.scopes.len() - 1;
        let scope = self.scopes.pop().expect("a loop is open");
        if let Some(axis) = scope.axis {
            self.loops[axis].pop();
        }
        self.reduced.retain(|_, (_, at)| *at < depth);
        let outer = &mut self.innermost().body;
        match scope.repeats {
            Some((counter, count)) => {
                outer.push(Statement::Loop(Loop { counter, count, body: scope.body }));
            }
            None => outer.extend(scope.body),
        }
    }

    /// Closes some loops.
    pub fn close_outer(&mut self, count: usize) {
        for _ in 0..count {
            self.close();
        }
    }

    fn innermost(&mut self) -> &mut LoopScope {
        self.scopes.last_mut().expect("there is an outermost scope")
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

    /// A new register, set to a float.
    pub fn start(&mut self, bits: u32) -> Register {
        let to = self.register(LaneType::Float);
        self.push(Instruction::Constant { to, bits });
        to
    }

    /// Combines `to` with another register, in place.
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
                // NaN in either operand is preserved: `to` is selected where it is NaN, and the
                // maximum is its second operand where one is NaN.
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

    /// Records the register of a reduction's result, available in the innermost loop.
    pub fn set_reduced(&mut self, number: usize, point: &Point, register: Register) {
        let axes = self.reduced_on.get(&number).copied().unwrap_or(0);
        let on = self.offsets_id(axes, &point.offsets);
        let depth = self.scopes.len() - 1;
        self.reduced.insert((number, on), (register, depth));
    }

    /// The number of the offsets on some axes.
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
    /// the vector axis.
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

    /// Records the register of a formula's value at a point, available until the
    /// innermost loop is closed.
    pub fn set_value(&mut self, e: Expr, point: &Point, register: Register) {
        let offsets = self.offsets_id(self.depends[e.0 as usize], &point.offsets);
        self.innermost().known.insert((e, offsets, point.lanes), register);
    }

    /// Stores a register at a point.
    pub fn store_register(&mut self, access: &Access, point: &Point, from: Register) {
        let to = self.address(access, point);
        let lanes = self.touched(access, point.lanes);
        self.push(Instruction::Store { to, from, lane_stride: 1, lanes });
    }

    /// The counter of the innermost loop, if it has several iterations.
    pub fn counter(&self) -> Option<Counter> {
        self.scopes.last().and_then(|scope| scope.repeats).map(|(counter, _)| counter)
    }

    /// Prefetches the elements at a point into the first cache.
    pub fn prefetch(&mut self, access: &Access, point: &Point) {
        let at = self.address(access, point);
        self.push(Instruction::Prefetch { at, near: true });
    }

    /// Prefetches the elements at a point into the second cache, with a stride for one more
    /// loop.
    pub fn prefetch_later(
        &mut self,
        access: &Access,
        point: &Point,
        more: Option<(Counter, isize)>,
    ) {
        let mut at = self.address(access, point);
        at.strides.extend(more);
        self.push(Instruction::Prefetch { at, near: false });
    }

    /// Stores a value at a point.
    pub fn store(&mut self, store: &Store, point: &Point) {
        let from = self.value(store.value, point);
        let mut to = self.address(&store.to, point);
        if faults::is(Fault::StoreBuffer) {
            to.buffer = 0;
        }
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

    /// The lanes that are loaded or stored: all where padding allows it.
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
        let (offset, strides) = self.reach(&access.strides, point);
        let offset = access.offset.checked_add_signed(offset).expect("a point of the buffer");
        let index = access.index.as_ref().map(|index| {
            let at = self.address(&index.at, point);
            let more = if faults::is(Fault::RowStride) { CACHE_LINE as isize } else { 0 };
            let stride = index.row_stride + more;
            Box::new(Indexed { at, stride, below: index.below })
        });
        Address { buffer, offset, strides, index }
    }

    /// The offset of a point, and the stride of each loop, from the strides of the axes.
    fn reach(&self, strides: &[isize], point: &Point) -> (isize, Vec<(Counter, isize)>) {
        let axes = strides.iter().enumerate().filter(|(_, stride)| **stride != 0);
        let loops = axes.clone().flat_map(|(axis, stride)| {
            self.loops[axis].iter().filter_map(|along| along.stride(*stride))
        });
        (axes.map(|(axis, stride)| point.offsets[axis] as isize * stride).sum(), loops.collect())
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

/// The axes whose strides are not 0, as bits.
fn moves(strides: &[isize]) -> u32 {
    strides.iter().enumerate().fold(0, |all, (i, stride)| all | u32::from(*stride != 0) << i)
}

impl Reduction {
    /// The bits of the identity element.
    pub(super) fn identity(self) -> u32 {
        match self {
            Reduction::Sum => 0f32.to_bits(),
            Reduction::Max if faults::is(Fault::MaximumIdentity) => 0f32.to_bits(),
            Reduction::Max => f32::NEG_INFINITY.to_bits(),
        }
    }
}
