//! Writes a program: opens and closes loops, and puts every formula where it
//! is computed least often: as far out as what it depends on allows.

use std::collections::HashMap;

use crate::codegen::isa::Isa;
use crate::kernel::expr::{Expr, Term};
use crate::kernel::program::*;
use crate::kernel::scalar::{Kind, Scalar};
use crate::kernel::{Access, Kernel, Store};
use crate::ops::reduce::Reduction;

/// Where on the kernel's axes a vector of elements begins, beyond what loops
/// add, and how many of its lanes count.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Point {
    pub offsets: Vec<usize>,
    pub lanes: usize,
}

pub(super) struct Writer<'a> {
    pub kernel: &'a Kernel,
    pub isa: &'a Isa,
    /// The axis that vectors run along.
    vector_axis: usize,
    /// For each formula, the axes that it depends on, as bits.
    depends: Vec<u32>,
    /// For each formula, the leaves in it that are not there from the start:
    /// results of reductions, and loads of what the kernel overwrites.
    awaits: Vec<Vec<Expr>>,
    tensors: Vec<usize>,
    registers: Vec<Kind>,
    counters: u32,
    parallel: usize,
    scopes: Vec<Scope>,
    /// For each axis, its loop's counter, elements an iteration, and depth.
    loops: Vec<Option<(Counter, usize, usize)>>,
    /// Results of reductions: for a place on the axes that they depend on, the
    /// register and the depth at which it is there.
    reduced: HashMap<(usize, Vec<usize>), (Register, usize)>,
}

#[derive(Default)]
struct Scope {
    body: Vec<Statement>,
    known: HashMap<(Expr, Vec<usize>, usize), Register>,
    /// The loop that ends with the scope, and its axis.
    ends: Option<(Counter, Count, Option<usize>)>,
}

impl<'a> Writer<'a> {
    /// A writer for a kernel with so many axes; reductions depend on the axes
    /// in `reduced_on`.
    pub fn new(
        kernel: &'a Kernel,
        isa: &'a Isa,
        axes: usize,
        vector_axis: usize,
        reduced_on: u32,
    ) -> Writer<'a> {
        let mut depends: Vec<u32> = Vec::new();
        let mut awaits: Vec<Vec<Expr>> = Vec::new();
        for (e, term) in kernel.formulas.iter() {
            awaits.push(match term {
                Term::Reduced(_) => vec![e],
                Term::Load(i, _) if kernel.overwritten.contains(&kernel.loads[*i].tensor) => {
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
            depends.push(match term {
                Term::Float(_) | Term::Int(_) => 0,
                Term::Load(i, _) => moves(&kernel.loads[*i]),
                Term::Position => 1 << vector_axis,
                Term::Reduced(_) => reduced_on,
                Term::Apply(_, x) => x.iter().fold(0, |all, x| all | depends[x.0 as usize]),
            });
        }
        Writer {
            kernel,
            isa,
            vector_axis,
            depends,
            awaits,
            tensors: Vec::new(),
            registers: Vec::new(),
            counters: 0,
            parallel: 0,
            scopes: vec![Scope::default()],
            loops: vec![None; axes],
            reduced: HashMap::new(),
        }
    }

    /// The program, when all loops are closed.
    pub fn finish(mut self) -> Program {
        let outermost = self.scopes.pop().unwrap_or_default();
        debug_assert!(self.scopes.is_empty(), "a loop is still open");
        Program {
            name: self.kernel.name.clone(),
            lanes: self.isa.lanes,
            tensors: self.tensors,
            registers: self.registers,
            parallel: self.parallel,
            body: outermost.body,
        }
    }

    /// Opens a loop; where it goes along an axis, an iteration is so many
    /// elements of it.
    pub fn open(&mut self, count: usize, along: Option<(usize, usize)>) {
        self.open_loop(Count::Fixed(count), along);
    }

    /// Opens a loop whose iterations may be split across threads.
    pub fn open_parallel(&mut self, count: usize, along: Option<(usize, usize)>) {
        debug_assert_eq!(self.scopes.len(), 1, "only outermost loops are split across threads");
        let first = self.parallel;
        self.parallel += count;
        self.open_loop(Count::Parallel { first, count }, along);
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

    fn open_loop(&mut self, count: Count, along: Option<(usize, usize)>) {
        let counter = Counter(self.counters);
        self.counters += 1;
        let depth = self.scopes.len();
        if let Some((axis, elements)) = along {
            self.loops[axis] = Some((counter, elements, depth));
        }
        let ends = Some((counter, count, along.map(|(axis, _)| axis)));
        self.scopes.push(Scope { ends, ..Scope::default() });
    }

    /// Closes the innermost loop.
    pub fn close(&mut self) {
        let depth = self.scopes.len() - 1;
        let scope = self.scopes.pop().expect("as many closed as opened");
        let (counter, count, axis) = scope.ends.expect("the outermost scope is no loop");
        if let Some(axis) = axis {
            self.loops[axis] = None;
        }
        self.reduced.retain(|_, (_, at)| *at < depth);
        let done = Statement::Loop(Loop { counter, count, body: scope.body });
        self.innermost().body.push(done);
    }

    /// Closes so many loops.
    pub fn close_outer(&mut self, loops: usize) {
        for _ in 0..loops {
            self.close();
        }
    }

    fn innermost(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("there is always one")
    }

    /// A new register.
    pub fn register(&mut self, kind: Kind) -> Register {
        self.registers.push(kind);
        Register(self.registers.len() as u32 - 1)
    }

    /// Adds an instruction to the innermost loop.
    pub fn push(&mut self, instruction: Instruction) {
        self.innermost().body.push(Statement::Do(instruction));
    }

    /// A register that starts with a float, written here.
    pub fn start(&mut self, bits: u32) -> Register {
        let to = self.register(Kind::Float);
        self.push(Instruction::Constant { to, bits });
        to
    }

    /// `to` combined with another register.
    pub fn combine(&mut self, reduction: Reduction, to: Register, with: Register) {
        match reduction {
            Reduction::Sum => {
                self.push(Instruction::Apply { to, scalar: Scalar::Add, operands: vec![to, with] });
            }
            Reduction::Max => {
                // NaN in either stays: where `to` is NaN it is kept, and the
                // maximum gives its second operand where one is NaN.
                let (number, largest) = (self.register(Kind::Mask), self.register(Kind::Float));
                let equal = vec![to, to];
                self.push(Instruction::Apply {
                    to: number,
                    scalar: Scalar::Equal,
                    operands: equal,
                });
                let both = vec![to, with];
                self.push(Instruction::Apply { to: largest, scalar: Scalar::Max, operands: both });
                let choice = vec![number, largest, to];
                self.push(Instruction::Apply { to, scalar: Scalar::Select, operands: choice });
            }
        }
    }

    /// Says that a reduction's result is in a register from here on.
    pub fn set_reduced(&mut self, number: usize, point: &Point, register: Register) {
        let on = self.masked(self.reduced_on(number), &point.offsets);
        let depth = self.scopes.len() - 1;
        self.reduced.insert((number, on), (register, depth));
    }

    fn reduced_on(&self, number: usize) -> u32 {
        let found = self.kernel.formulas.iter().find(|(_, t)| **t == Term::Reduced(number));
        found.map_or(0, |(e, _)| self.depends[e.0 as usize])
    }

    fn masked(&self, axes: u32, offsets: &[usize]) -> Vec<usize> {
        offsets.iter().enumerate().map(|(i, o)| if axes >> i & 1 == 1 { *o } else { 0 }).collect()
    }

    /// Whether a formula depends on the axis that vectors run along.
    pub fn varies(&self, e: Expr) -> bool {
        self.depends[e.0 as usize] >> self.vector_axis & 1 == 1
    }

    /// The register of a formula's value at a point.
    pub fn value(&mut self, e: Expr, point: &Point) -> Register {
        let axes = self.depends[e.0 as usize];
        let offsets = self.masked(axes, &point.offsets);
        let term = self.kernel.formulas.term(e).clone();
        if let Term::Reduced(number) = term {
            return self.reduced[&(number, offsets)].0;
        }
        let lanes = if self.varies(e) { point.lanes } else { self.isa.lanes };
        let key = (e, offsets, lanes);
        if let Some(known) = self.scopes.iter().rev().find_map(|s| s.known.get(&key)) {
            return *known;
        }
        let operands: Vec<Register> = match &term {
            Term::Apply(_, x) => x.iter().map(|x| self.value(*x, point)).collect(),
            _ => Vec::new(),
        };
        let to = self.register(self.kernel.formulas.kind(e));
        let instruction = match term {
            Term::Float(bits) => Instruction::Constant { to, bits },
            Term::Int(n) => Instruction::Constant { to, bits: n as u32 },
            Term::Load(i, _) => {
                let access = &self.kernel.loads[i];
                self.load(to, access, point)
            }
            Term::Position => {
                let axis = self.vector_axis;
                let along = self.loops[axis].map(|(counter, elements, _)| (counter, elements));
                let offset = point.offsets[axis];
                Instruction::Position { to, offset, steps: along.into_iter().collect(), stride: 1 }
            }
            Term::Apply(scalar, _) => Instruction::Apply { to, scalar, operands },
            Term::Reduced(_) => unreachable!("answered above"),
        };
        let depth = self.depth(e, point);
        self.scopes[depth].body.push(Statement::Do(instruction));
        self.scopes[depth].known.insert(key, to);
        to
    }

    /// The depth of the outermost scope in which a formula can be computed.
    fn depth(&self, e: Expr, point: &Point) -> usize {
        let axes = self.depends[e.0 as usize];
        let loops = self.loops.iter().enumerate().filter(|(axis, _)| axes >> axis & 1 == 1);
        let loops = loops.filter_map(|(_, l)| l.map(|(_, _, depth)| depth)).max().unwrap_or(0);
        loops.max(self.ready_depth(e, point))
    }

    /// The depth at which all is there that a formula needs.
    fn ready_depth(&self, e: Expr, point: &Point) -> usize {
        let ready = |leaf: &Expr| match self.kernel.formulas.term(*leaf) {
            Term::Reduced(number) => {
                let on = self.masked(self.depends[leaf.0 as usize], &point.offsets);
                self.reduced[&(*number, on)].1
            }
            // What the kernel overwrites is read by the thread that does so,
            // inside of its share of the loop.
            _ => 1.min(self.scopes.len() - 1),
        };
        self.awaits[e.0 as usize].iter().map(ready).max().unwrap_or(0)
    }

    /// A load of an access at a point.
    pub fn load(&mut self, to: Register, access: &Access, point: &Point) -> Instruction {
        let stride = access.steps.get(self.vector_axis).copied().unwrap_or(0);
        let lanes = if stride == 0 { self.isa.lanes } else { self.touched(access, point.lanes) };
        Instruction::Load { to, from: self.address(access, point), stride, lanes }
    }

    /// Stores a value at a point.
    pub fn store(&mut self, store: &Store, point: &Point) {
        let from = self.value(store.value, point);
        let to = self.address(&store.to, point);
        let stride = store.to.steps.get(self.vector_axis).copied().unwrap_or(0);
        let instruction = match stride {
            0 => Instruction::Store { to, from, stride: 1, lanes: 1 },
            _ => {
                Instruction::Store { to, from, stride, lanes: self.touched(&store.to, point.lanes) }
            }
        };
        self.push(instruction);
    }

    /// Whole vectors are touched where padding allows it.
    fn touched(&self, access: &Access, lanes: usize) -> usize {
        let missing = self.isa.lanes - lanes;
        if missing <= access.slack { self.isa.lanes } else { lanes }
    }

    fn address(&mut self, access: &Access, point: &Point) -> Address {
        let known = self.tensors.iter().position(|t| *t == access.tensor);
        let tensor = known.unwrap_or_else(|| {
            self.tensors.push(access.tensor);
            self.tensors.len() - 1
        });
        let axes = access.steps.iter().enumerate().filter(|(_, step)| **step > 0);
        let steps = axes.clone().filter_map(|(axis, step)| {
            self.loops[axis].map(|(counter, elements, _)| (counter, elements * step))
        });
        let steps = steps.collect();
        let offset = axes.map(|(axis, step)| point.offsets[axis] * step).sum();
        Address { tensor, offset, steps }
    }

    /// Vectors that cover `n` elements of the vector axis from `first` on.
    pub fn points(&self, axes: usize, first: usize, n: usize) -> Vec<Point> {
        let lanes = self.isa.lanes;
        let point = |i: usize| {
            let mut offsets = vec![0; axes];
            offsets[self.vector_axis] = first + i;
            Point { offsets, lanes: lanes.min(n - i) }
        };
        (0..n).step_by(lanes).map(point).collect()
    }
}

/// The axes along which an access moves, as bits.
fn moves(access: &Access) -> u32 {
    access.steps.iter().enumerate().fold(0, |all, (i, step)| all | u32::from(*step > 0) << i)
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
