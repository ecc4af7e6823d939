//! The verifier of parts: buffers that several kernels write.

use std::collections::BTreeMap;

use super::{buffer_label, kernel_label};
use crate::error::Violations;
use crate::fuse::{Fused, Part};

/// Checks that parts are within their buffer, that those of one buffer or part have each of its elements
/// once, and that kernels store to parts that contain no others.
pub(super) fn verify(fused: &Fused) -> Result<(), Violations> {
    let mut found = Violations::default();
    let label =
        |part: usize| format!("part {part} of {}", buffer_label(fused, fused.parts[part].buffer));
    // The elements of a value with these sizes and strides.
    let elements = |offset: usize, sizes: &[usize], strides: &[usize]| {
        let mut all = vec![offset];
        for (size, stride) in sizes.iter().zip(strides) {
            all = all.iter().flat_map(|e| (0..*size).map(move |i| e + i * stride)).collect();
        }
        all.sort_unstable();
        all
    };
    let mut inside: BTreeMap<(usize, Option<usize>), Vec<usize>> = BTreeMap::new();
    for (i, part) in fused.parts.iter().enumerate() {
        if part.buffer >= fused.buffers.len() || part.parent.is_some_and(|parent| parent >= i) {
            found.push(format!("part {i}"), "is a part of nothing that comes before it");
            return found.into_result();
        }
        let own = elements(part.offset, &part.sizes, &part.strides);
        inside.entry((part.buffer, part.parent)).or_default().extend(own);
    }
    for ((buffer, parent), mut parts) in inside {
        let layout = &fused.buffers[buffer].layout;
        let whole = match parent {
            Some(part) => {
                let part = &fused.parts[part];
                elements(part.offset, &part.sizes, &part.strides)
            }
            None => elements(0, &layout.sizes, &layout.strides),
        };
        parts.sort_unstable();
        if parts != whole {
            let of = parent.map_or_else(|| buffer_label(fused, buffer), label);
            found.push(of, "is not covered by its parts once");
        }
    }
    for (k, kernel) in fused.kernels.iter().enumerate() {
        for access in kernel.stored().into_iter().chain(kernel.loaded()) {
            let fits = access.part.is_none_or(|part| {
                fused.parts.get(part).is_some_and(|part| part.buffer == access.buffer)
            });
            if !fits {
                found.push(kernel_label(fused, k), format!("there is no part {:?}", access.part));
            }
        }
        for access in kernel.stored() {
            let has_parts =
                |part: &Part| part.buffer == access.buffer && part.parent == access.part;
            if fused.parts.iter().any(has_parts) {
                let label = buffer_label(fused, access.buffer);
                found.push(kernel_label(fused, k), format!("stores to {label} around its parts"));
            }
        }
    }
    found.into_result()
}

#[cfg(test)]
mod tests {
    use crate::fuse::{Fused, fuse};
    use crate::graph::Graph;
    use crate::plan::{Allocation, ParameterLayout, Plan, plan, verify};

    /// Two values and a nested join in one buffer, read by a reduction.
    fn joined() -> (Fused, Plan) {
        let graph: Graph = "graph for batches of 4
%0 = input(0) : f32 batch×[3]
%1 = exp(%0)
%2 = relu(%0)
%3 = concat(%1, %2, axis = 0)
%4 = tanh(%0)
%5 = concat(%4, %3, axis = 0)
%6 = reduce(%5, sum, axis = batch)
output y = %6
"
        .parse()
        .unwrap();
        let fused = fuse(&graph, true).unwrap();
        let plan = plan(&fused, &ParameterLayout::new(&[]));
        assert_eq!(verify(&fused, &plan), Ok(()));
        assert_eq!((fused.kernels.len(), fused.parts.len()), (4, 4));
        (fused, plan)
    }

    fn violations(change: impl Fn(&mut Fused)) -> String {
        let (mut fused, plan) = joined();
        change(&mut fused);
        verify(&fused, &plan).unwrap_err().to_string()
    }

    #[test]
    fn parts_that_overlap_or_leave_elements_out_are_reported() {
        let found = violations(|fused| fused.parts[1].offset += 1);
        assert!(found.contains("is not covered by its parts once"), "{found}");
        let found = violations(|fused| fused.parts[0].sizes[1] -= 1);
        assert!(found.contains("is not covered by its parts once"), "{found}");
        let found = violations(|fused| fused.parts[0].parent = Some(0));
        assert!(found.contains("is a part of nothing that comes before it"), "{found}");
    }

    #[test]
    fn joins_that_are_read_before_their_last_part_are_reported() {
        let found = violations(|fused| fused.kernels.swap(2, 3));
        assert!(found.contains("before it is written"), "{found}");
    }

    #[test]
    fn stores_around_parts_are_reported() {
        let found = violations(|fused| {
            let crate::kernel::Body::Rows(rows) = &mut fused.kernels[0].body else { panic!() };
            rows.stores[0].to.part = None;
        });
        assert!(found.contains("around its parts"), "{found}");
    }

    /// Kernels that write different parts may run at the same time; one that reads the join, after them.
    #[test]
    fn parts_do_not_conflict() {
        let (fused, plan) = joined();
        let memory = |k: usize| fused.kernels[k].stored()[0].part;
        let parts: Vec<Option<usize>> = (0..3).map(memory).collect();
        for (i, a) in parts.iter().enumerate() {
            for b in &parts[..i] {
                assert!(fused.are_disjoint(*a, *b), "{a:?} and {b:?}");
            }
            assert!(!fused.are_disjoint(*a, None));
            let outer = fused.parts[a.unwrap()].parent;
            assert!(outer.is_none() || !fused.are_disjoint(*a, outer));
        }
        let Allocation { offset, .. } = plan.allocations[fused.parts[0].buffer];
        assert_eq!(offset, 0);
    }
}
