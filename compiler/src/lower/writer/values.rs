//! Values of formulas: the loop in which each is computed (hoisting), and the register that
//! holds it.

use super::{Key, Point, Writer};
use crate::expr::{Expr, Term};
use crate::program::*;

impl<'a> Writer<'a> {
    /// Whether a formula depends on the vector axis.
    pub fn varies(&self, e: Expr) -> bool {
        self.depends[e.0 as usize] >> self.vector_axis & 1 == 1
    }

    /// The register of a formula's value at a point.
    ///
    /// Uses an explicit stack instead of recursion: formulas can be as deep as a
    /// network is long.
    pub fn value(&mut self, e: Expr, point: &Point) -> Register {
        let mut begun: Vec<(Expr, Key, Operands)> = Vec::new();
        let mut next = e;
        loop {
            let mut found = match self.known(next, point) {
                Ok(register) => register,
                Err(key) => match self.operands(next).first() {
                    Some(operand) => {
                        begun.push((next, key, Operands::default()));
                        next = *operand;
                        continue;
                    }
                    None => self.compute(next, key, Operands::default(), point),
                },
            };
            // Then its user may be complete.
            loop {
                let Some((user, key, mut operands)) = begun.pop() else { return found };
                operands.push(found);
                match self.operands(user).get(operands.len()) {
                    Some(operand) => {
                        begun.push((user, key, operands));
                        next = *operand;
                        break;
                    }
                    None => found = self.compute(user, key, operands, point),
                }
            }
        }
    }

    /// The register of a value that has been computed, or the key under which to record it.
    fn known(&mut self, e: Expr, point: &Point) -> Result<Register, Key> {
        let axes = self.depends[e.0 as usize];
        let offsets = self.offsets_id(axes, &point.offsets);
        if let Term::Reduced(number) = self.kernel.formulas.term(e) {
            return Ok(self.reduced[&(*number, offsets)].0);
        }
        let lanes = if self.varies(e) { point.lanes } else { self.target.lanes };
        let key = (e, offsets, lanes);
        self.scopes.iter().rev().find_map(|s| s.known.get(&key)).copied().ok_or(key)
    }

    /// A formula's operands.
    fn operands(&self, e: Expr) -> &'a [Expr] {
        match self.kernel.formulas.term(e) {
            Term::Apply(_, x) => x,
            _ => &[],
        }
    }

    /// Computes a formula whose operands are in registers.
    fn compute(&mut self, e: Expr, key: Key, operands: Operands, point: &Point) -> Register {
        let kernel = self.kernel;
        let to = self.register(kernel.formulas.lane_type(e));
        let instruction = match kernel.formulas.term(e) {
            Term::Float(bits) => Instruction::Constant { to, bits: *bits },
            Term::Int(n) => Instruction::Constant { to, bits: *n as u32 },
            Term::Load(i, _) => self.load(to, &kernel.loads[*i], point),
            Term::Position => {
                let axis = self.vector_axis;
                let strides = self.loops[axis].iter().filter_map(|along| along.stride(1)).collect();
                Instruction::Iota { to, offset: point.offsets[axis], strides, lane_stride: 1 }
            }
            Term::Iota(i) => {
                let iota = &kernel.iotas[*i];
                let (offset, strides) = self.reach(&iota.strides, point);
                let lane_stride = iota.strides.get(self.vector_axis).copied().unwrap_or(0);
                let offset = iota.offset.wrapping_add_signed(offset);
                Instruction::Iota { to, offset, strides, lane_stride }
            }
            Term::Apply(scalar, _) => Instruction::Apply { to, scalar: *scalar, operands },
            Term::Reduced(_) => unreachable!("a reduction's result is recorded before it is used"),
        };
        let depth = self.depth(e, point);
        self.scopes[depth].body.push(Statement::Do(instruction));
        self.scopes[depth].known.insert(key, to);
        to
    }

    /// The depth of the outermost scope in which a formula can be computed.
    fn depth(&mut self, e: Expr, point: &Point) -> usize {
        let axes = self.depends[e.0 as usize];
        let loops = self.loops.iter().enumerate().filter(|(axis, _)| axes >> axis & 1 == 1);
        let loops = loops.flat_map(|(_, l)| l.iter().map(|l| l.depth)).max().unwrap_or(0);
        loops.max(self.ready_depth(e, point))
    }

    /// The depth from which on all late leaves of a formula are available.
    fn ready_depth(&mut self, e: Expr, point: &Point) -> usize {
        let mut depth = 0;
        for i in 0..self.late_leaves[e.0 as usize].len() {
            let leaf = self.late_leaves[e.0 as usize][i];
            depth = depth.max(match self.kernel.formulas.term(leaf) {
                Term::Reduced(number) => {
                    let on = self.offsets_id(self.depends[leaf.0 as usize], &point.offsets);
                    self.reduced[&(*number, on)].1
                }
                // Overwritten elements are read by the thread that overwrites
                // them, inside of its share of the parallel loop.
                _ => 1.min(self.scopes.len() - 1),
            });
        }
        depth
    }
}
