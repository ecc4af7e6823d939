//! Kernels as text, for `BILRO_DUMP=kernels`.

use std::fmt;

use super::{Access, Body, Kernel};
use crate::expr::{Expr, Expressions, Term};

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel {}", self.name)?;
        for (i, load) in self.loads.iter().enumerate() {
            writeln!(f, "  x{i} = {load}")?;
        }
        match &self.body {
            Body::Rows(rows) => {
                writeln!(f, "  rows {:?} of {}", rows.outer, rows.inner)?;
                let mut number = 0;
                for (stage, reductions) in rows.stages.iter().enumerate() {
                    for (reduction, e) in reductions {
                        let e = Formula(&self.formulas, *e, DEPTH);
                        writeln!(f, "  stage {stage}: s{number} = {reduction:?} {e}")?;
                        number += 1;
                    }
                }
            }
            Body::Columns(columns) => {
                writeln!(f, "  columns {:?} over {}", columns.outer, columns.reduced)?;
                for (number, (reduction, e)) in columns.reductions.iter().enumerate() {
                    writeln!(
                        f,
                        "  s{number} = {reduction:?} {}",
                        Formula(&self.formulas, *e, DEPTH)
                    )?;
                }
            }
            Body::Product(p) => {
                writeln!(
                    f,
                    "  product {:?} × {} × {} over {:?}",
                    p.outer, p.rows, p.columns, p.summed
                )?;
                writeln!(f, "  s0 = Σ {} · {}", p.a, p.b)?;
                if self.sums_columns() {
                    writeln!(f, "  s1 = Σ {}", p.b)?;
                }
            }
            Body::Scatter(s) => {
                writeln!(f, "  scatter {:?} to {} × {}", s.positions, s.rows, s.columns)?;
                writeln!(f, "  row = {}", s.index)?;
            }
            Body::AllFinite(all) => {
                let (buffers, elements) = (all.buffers.len(), all.element_count());
                writeln!(f, "  all finite: {elements} elements of {buffers} buffers")?;
                for checked in &all.buffers {
                    writeln!(f, "  all of {:?} of {}", checked.sizes, checked.from)?;
                }
            }
        }
        let sign = if matches!(self.body, Body::Scatter(_)) { "+=" } else { "=" };
        for store in self.stores() {
            writeln!(f, "  {} {sign} {}", store.to, Formula(&self.formulas, store.value, DEPTH))?;
        }
        Ok(())
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "buffer {}", self.buffer)?;
        if self.offset > 0 {
            write!(f, " + {}", self.offset)?;
        }
        write!(f, " by {:?}", self.strides)?;
        match &self.index {
            Some(index) => {
                write!(
                    f,
                    ", by {} for each below {} in {}",
                    index.row_stride, index.below, index.at
                )
            }
            None => Ok(()),
        }
    }
}

/// A formula in prefix notation, down to some depth: polynomials would fill the page.
struct Formula<'a>(&'a Expressions, Expr, usize);

/// How deep formulas are written out.
const DEPTH: usize = 6;

impl fmt::Display for Formula<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.term(self.1) {
            Term::Float(bits) => write!(f, "{:?}", f32::from_bits(*bits)),
            Term::Int(n) => n.fmt(f),
            Term::Load(i, _) => write!(f, "x{i}"),
            Term::Position => f.write_str("position"),
            Term::Iota(i) => write!(f, "iota{i}"),
            Term::Reduced(i) => write!(f, "s{i}"),
            Term::Apply(..) if self.2 == 0 => f.write_str("…"),
            Term::Apply(scalar, x) => {
                write!(f, "{scalar:?}(")?;
                for (i, x) in x.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    Formula(self.0, *x, self.2 - 1).fmt(f)?;
                }
                f.write_str(")")
            }
        }
    }
}
