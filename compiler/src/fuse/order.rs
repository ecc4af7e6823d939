//! The partial order of groups: dependencies while groups grow and merge.
//!
//! Stores direct dependencies only, and for each group a level above the levels of all its
//! predecessors. A search for a path from one group to
//! another ends at levels that are too low or too high, and runs from both ends,
//! so that in a network of many layers it visits only a few of them.

use std::collections::{BTreeSet, BinaryHeap};

use rustc_hash::FxHashSet;

/// See the [module](self). Groups are numbered as they are added.
#[derive(Default)]
pub(super) struct Order {
    groups: Vec<Links>,
}

#[derive(Default)]
struct Links {
    level: usize,
    before: BTreeSet<usize>,
    after: BTreeSet<usize>,
}

impl Order {
    /// Adds a group that nothing must run before or after.
    pub fn add(&mut self) {
        self.groups.push(Links::default());
    }

    /// Adds a dependency: `first` runs before `then`.
    ///
    /// # Panics
    /// Where `then` must run before `first`.
    pub fn require(&mut self, first: usize, then: usize) {
        self.groups[first].after.insert(then);
        self.groups[then].before.insert(first);
        self.raise(then, self.groups[first].level + 1);
    }

    /// Raises a group to at least this level, and its successors above it.
    fn raise(&mut self, group: usize, level: usize) {
        let mut left = vec![(group, level)];
        while let Some((group, level)) = left.pop() {
            assert!(level < self.groups.len(), "groups are merged only where that makes no cycle");
            let links = &mut self.groups[group];
            if links.level < level {
                links.level = level;
                left.extend(links.after.iter().map(|after| (*after, level + 1)));
            }
        }
    }

    /// Whether `first` must run before `then`, directly or because of others.
    pub fn is_before(&self, first: usize, then: usize) -> bool {
        self.reaches(vec![first], vec![then])
    }

    /// Whether a third group must run after `first` and before `then`.
    pub fn has_between(&self, first: usize, then: usize) -> bool {
        let (after, before) = (&self.groups[first].after, &self.groups[then].before);
        let after: Vec<usize> = after.iter().copied().filter(|k| *k != then).collect();
        let before: Vec<usize> = before.iter().copied().filter(|k| *k != first).collect();
        after.iter().any(|k| before.contains(k)) || self.reaches(after, before)
    }

    /// Whether one of the first must run before one of the second. The search alternates
    /// between both ends, and stops when one is exhausted: in a
    /// network of many layers, one of them usually has few groups.
    fn reaches(&self, mut first: Vec<usize>, mut then: Vec<usize>) -> bool {
        let level = |group: &usize| self.groups[*group].level;
        let (Some(low), Some(high)) = (first.iter().map(level).min(), then.iter().map(level).max())
        else {
            return false;
        };
        if low >= high {
            return false;
        }
        let mut seen_first: FxHashSet<usize> = first.iter().copied().collect();
        let mut seen_then: FxHashSet<usize> = then.iter().copied().collect();
        loop {
            let Some(group) = first.pop() else { return false };
            for next in &self.groups[group].after {
                if seen_then.contains(next) {
                    return true;
                }
                if level(next) < high && seen_first.insert(*next) {
                    first.push(*next);
                }
            }
            let Some(group) = then.pop() else { return false };
            for next in &self.groups[group].before {
                if seen_first.contains(next) {
                    return true;
                }
                if level(next) > low && seen_then.insert(*next) {
                    then.push(*next);
                }
            }
        }
    }

    /// Merges `from` into `into`: groups that had to run before or after either
    /// have to run before or after both. Nothing may have to run between them.
    pub fn merge(&mut self, from: usize, into: usize) {
        let Links { level, before, after } = std::mem::take(&mut self.groups[from]);
        for group in before {
            self.groups[group].after.remove(&from);
            if group != into {
                self.require(group, into);
            }
        }
        for group in &after {
            self.groups[*group].before.remove(&from);
        }
        self.raise(into, level);
        for group in after.into_iter().filter(|group| *group != into) {
            self.require(into, group);
        }
    }

    /// All groups, merged ones too, in an order in which they can run; of those
    /// that can run next, the first that was added.
    pub fn sorted(&self) -> Vec<usize> {
        use std::cmp::Reverse;
        let mut missing: Vec<usize> = self.groups.iter().map(|links| links.before.len()).collect();
        let ready = missing.iter().enumerate().filter(|(_, missing)| **missing == 0);
        let mut ready: BinaryHeap<Reverse<usize>> =
            ready.map(|(group, _)| Reverse(group)).collect();
        let mut order = Vec::new();
        while let Some(Reverse(group)) = ready.pop() {
            order.push(group);
            for after in &self.groups[group].after {
                missing[*after] -= 1;
                if missing[*after] == 0 {
                    ready.push(Reverse(*after));
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random orders and merges against a table of all dependencies.
    #[test]
    fn orders_agree_with_a_full_table() {
        let mut state = 1u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        const GROUPS: usize = 24;
        for _ in 0..200 {
            let mut order = Order::default();
            (0..GROUPS).for_each(|_| order.add());
            let mut table = [[false; GROUPS]; GROUPS];
            let mut merged = [false; GROUPS];
            for _ in 0..60 {
                let (a, b) = (random(GROUPS), random(GROUPS));
                if a == b || merged[a] || merged[b] {
                    continue;
                }
                let between = |x: usize, y: usize| (0..GROUPS).any(|k| table[x][k] && table[k][y]);
                assert_eq!(order.is_before(a, b), table[a][b]);
                assert_eq!(order.has_between(a, b), between(a, b));
                if random(4) == 0 {
                    if between(a, b) || between(b, a) {
                        continue;
                    }
                    order.merge(a, b);
                    merged[a] = true;
                    for k in (0..GROUPS).filter(|k| *k != b) {
                        table[k][b] |= table[k][a];
                        table[b][k] |= table[a][k];
                    }
                    (0..GROUPS).for_each(|k| (table[a][k], table[k][a]) = (false, false));
                    table[b][b] = false;
                } else if !table[b][a] {
                    order.require(a, b);
                    table[a][b] = true;
                }
                for k in 0..GROUPS {
                    for (x, y) in (0..GROUPS * GROUPS).map(|i| (i / GROUPS, i % GROUPS)) {
                        table[x][y] |= table[x][k] && table[k][y];
                    }
                }
            }
            let sorted = order.sorted();
            assert_eq!(sorted.len(), GROUPS);
            for (i, then) in sorted.iter().enumerate() {
                assert!(sorted[i + 1..].iter().all(|later| !table[*later][*then]));
            }
        }
    }
}
