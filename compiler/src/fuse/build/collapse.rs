//! Collapses axes that are contiguous in all of a kernel's accesses into one.

use crate::expr::Term;
use crate::kernel::{Access, Body, Kernel};

impl Kernel {
    /// Merges two axes into one wherever all accesses allow it: fewer and longer
    /// loops.
    pub(super) fn collapse(&mut self) {
        let mut all = all_strides(&mut self.loads);
        all.extend(self.iotas.iter_mut().map(|iota| &mut iota.strides));
        match &mut self.body {
            Body::Rows(rows) => {
                all.extend(rows.stores.iter_mut().map(|s| &mut s.to.strides));
                let uses_position = self.formulas.iter().any(|(_, t)| *t == Term::Position);
                if rows.stages.is_empty() && !uses_position {
                    while let Some(size) = rows.outer.last().copied() {
                        let axis = rows.outer.len() - 1;
                        if !are_contiguous(&all, axis, rows.inner) {
                            break;
                        }
                        remove_axis(&mut all, axis);
                        rows.outer.pop();
                        rows.inner *= size;
                    }
                }
                collapse_outer(&mut all, &mut rows.outer);
            }
            Body::Columns(_) | Body::AllFinite(_) => {}
            Body::Scatter(s) => {
                all.extend([&mut s.index.strides, &mut s.store.to.strides]);
                collapse_outer(&mut all, &mut s.positions);
            }
            Body::Product(p) => {
                all.extend(p.stores.iter_mut().map(|s| &mut s.to.strides));
                all.extend([&mut p.a.strides, &mut p.b.strides]);
                while let Some(size) = p.outer.last().copied() {
                    let axis = p.outer.len() - 1;
                    if !are_contiguous(&all, axis, p.rows) {
                        break;
                    }
                    remove_axis(&mut all, axis);
                    p.outer.pop();
                    p.rows *= size;
                }
                collapse_outer(&mut all, &mut p.outer);
                let first = p.outer.len() + 2;
                let mut factors = [&mut p.a, &mut p.b];
                let mut i = 0;
                while i + 1 < p.summed.len() {
                    let adjacent = |f: &&mut Access| {
                        f.strides[first + i] == f.strides[first + i + 1] * p.summed[i + 1] as isize
                    };
                    if factors.iter().all(adjacent) {
                        for f in &mut factors {
                            f.strides.remove(first + i);
                        }
                        let size = p.summed.remove(i);
                        p.summed[i] *= size;
                    } else {
                        i += 1;
                    }
                }
            }
        }
    }
}

/// The strides of accesses and of their indices.
fn all_strides(accesses: &mut [Access]) -> Vec<&mut Vec<isize>> {
    let strides = accesses.iter_mut().flat_map(|access| {
        let index = access.index.as_mut().map(|index| &mut index.at.strides);
        [Some(&mut access.strides), index]
    });
    strides.flatten().collect()
}

/// Whether `axis` is contiguous with the next axis, of size `size`, in all accesses.
fn are_contiguous(all: &[&mut Vec<isize>], axis: usize, size: usize) -> bool {
    all.iter().all(|strides| strides[axis] == strides[axis + 1] * size as isize)
}

fn remove_axis(all: &mut [&mut Vec<isize>], axis: usize) {
    for strides in all {
        strides.remove(axis);
    }
}

fn collapse_outer(all: &mut [&mut Vec<isize>], outer: &mut Vec<usize>) {
    for axis in (0..outer.len().saturating_sub(1)).rev() {
        if are_contiguous(all, axis, outer[axis + 1]) {
            remove_axis(all, axis);
            let size = outer.remove(axis);
            outer[axis] *= size;
        }
    }
}
