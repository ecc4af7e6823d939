//! Machine code that is kept for later calls, as much as a limit allows: what has
//! not been used for longest goes first.

use bilro_compiler::declaration::Purpose;

use super::Call;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Cache<C> {
    /// They are few most of the time: going through them takes less time than
    /// hashing, of which a small step would notice. They lie together, so that
    /// going through many takes little.
    keys: Vec<Key>,
    /// The code for each.
    kept: Vec<Kept<C>>,
    /// Bytes of all.
    bytes: usize,
    limit: usize,
    /// Counts uses.
    clock: u64,
}

/// What machine code was made for.
#[derive(Debug)]
struct Key {
    kind: Kind,
    batch: usize,
    /// The identity of the training, 0 where there is none: no code runs with
    /// what another one keeps.
    training: u64,
    choices: Vec<usize>,
}

#[derive(Debug)]
struct Kept<C> {
    code: C,
    bytes: usize,
    /// Floats that it needs in the arena.
    arena: usize,
    /// When it was used last.
    used: u64,
}

/// A purpose without its training.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Predict,
    Evaluate,
    Gradients,
    Step,
    AccumulateFirst,
    Accumulate,
    Update,
}

impl From<&Purpose<'_>> for Kind {
    fn from(purpose: &Purpose<'_>) -> Kind {
        match purpose {
            Purpose::Predict => Kind::Predict,
            Purpose::Evaluate => Kind::Evaluate,
            Purpose::Gradients => Kind::Gradients,
            Purpose::Step(_) => Kind::Step,
            Purpose::Accumulate { first: true, .. } => Kind::AccumulateFirst,
            Purpose::Accumulate { first: false, .. } => Kind::Accumulate,
            Purpose::Update { .. } => Kind::Update,
        }
    }
}

impl<C> Cache<C> {
    /// Nothing, and room for so many bytes.
    pub fn new(limit: usize) -> Cache<C> {
        Cache { keys: Vec::new(), kept: Vec::new(), bytes: 0, limit, clock: 0 }
    }

    /// The place of the code for a call, if it is kept.
    #[inline]
    pub fn find(&self, call: &Call<'_, '_, '_>) -> Option<usize> {
        let kind = Kind::from(call.purpose);
        let training = call.purpose.training().map_or(0, |training| training.id());
        let (batch, choices) = (call.batch, call.choices);
        // Most networks leave nothing to choose, and comparing two empty lists is no little thing: the C
        // library's comparison reads, under a mask, from where nothing is.
        let chosen =
            |key: &Key| choices.is_empty() && key.choices.is_empty() || key.choices == choices;
        self.keys.iter().position(|key| {
            key.kind == kind && key.batch == batch && key.training == training && chosen(key)
        })
    }

    /// The code in a place, which is used now.
    pub fn take(&mut self, place: usize) -> &mut C {
        let kept = &mut self.kept[place];
        self.clock += 1;
        kept.used = self.clock;
        &mut kept.code
    }

    /// Keeps the code for a call. What was there goes, until all that is left is
    /// within the limit; the new code stays in any case. It takes so many bytes,
    /// and so many floats of the arena. Returns its place.
    pub fn insert(
        &mut self,
        call: &Call<'_, '_, '_>,
        code: C,
        bytes: usize,
        arena: usize,
    ) -> usize {
        self.shrink(self.limit.saturating_sub(bytes));
        self.clock += 1;
        self.bytes += bytes;
        self.kept.push(Kept { code, bytes, arena, used: self.clock });
        self.keys.push(Key {
            kind: Kind::from(call.purpose),
            batch: call.batch,
            training: call.purpose.training().map_or(0, |training| training.id()),
            choices: call.choices.to_vec(),
        });
        self.keys.len() - 1
    }

    /// Changes the limit.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.shrink(limit);
    }

    /// Lets go of what has not been used for longest, until so many bytes are left.
    fn shrink(&mut self, limit: usize) {
        while self.bytes > limit {
            let oldest = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.used);
            let Some((place, _)) = oldest else { break };
            self.remove(place);
        }
    }

    /// Lets go of all code for steps.
    pub fn forget_steps(&mut self) {
        for place in (0..self.keys.len()).rev() {
            if self.keys[place].training != 0 {
                self.remove(place);
            }
        }
    }

    /// Lets go of everything.
    pub fn clear(&mut self) {
        (self.keys, self.kept, self.bytes) = (Vec::new(), Vec::new(), 0);
    }

    fn remove(&mut self, place: usize) {
        self.keys.swap_remove(place);
        self.bytes -= self.kept.swap_remove(place).bytes;
    }

    /// Floats of the arena that the code takes which takes most.
    pub fn arena(&self) -> usize {
        self.kept.iter().map(|kept| kept.arena).max().unwrap_or(0)
    }

    /// Bytes of all that is kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use bilro_compiler::optim::Training;
    use bilro_compiler::optim::sgd::Sgd;

    use super::*;
    use crate::engine::Feeds;
    use crate::engine::progress::Progress;

    fn call<'a>(purpose: &'a Purpose<'a>, batch: usize, choices: &'a [usize]) -> Call<'a, 'a, 'a> {
        let feeds = Feeds { feeds: &[], places: &[] };
        Call { purpose, batch, choices, progress: Progress::new(0), feeds, kept: &[] }
    }

    /// The batch sizes for which there is code.
    fn kept(cache: &Cache<usize>) -> Vec<usize> {
        (0..20)
            .filter(|batch| cache.find(&call(&Purpose::Predict, *batch, &[])).is_some())
            .collect()
    }

    #[test]
    fn what_has_not_been_used_for_longest_goes_first() {
        let mut cache = Cache::new(100);
        let use_or_insert = |cache: &mut Cache<usize>, batch: usize, bytes: usize| {
            let call = call(&Purpose::Predict, batch, &[]);
            let place = cache.find(&call);
            let place = place.unwrap_or_else(|| cache.insert(&call, batch, bytes, 10 * batch));
            assert_eq!(*cache.take(place), batch);
        };
        for batch in [1, 2, 3, 1, 4] {
            use_or_insert(&mut cache, batch, 25);
        }
        assert_eq!((kept(&cache), cache.bytes(), cache.arena()), (vec![1, 2, 3, 4], 100, 40));
        use_or_insert(&mut cache, 5, 25);
        assert_eq!(kept(&cache), [1, 3, 4, 5]);
        use_or_insert(&mut cache, 3, 25);
        use_or_insert(&mut cache, 6, 50);
        assert_eq!((kept(&cache), cache.bytes()), (vec![3, 5, 6], 100));
        // What is larger than the limit is there alone.
        use_or_insert(&mut cache, 7, 1000);
        assert_eq!((kept(&cache), cache.bytes(), cache.arena()), (vec![7], 1000, 70));
        use_or_insert(&mut cache, 8, 60);
        use_or_insert(&mut cache, 9, 40);
        assert_eq!(kept(&cache), [8, 9]);
        cache.set_limit(50);
        assert_eq!((kept(&cache), cache.bytes()), (vec![9], 40));
        cache.clear();
        assert_eq!((kept(&cache), cache.bytes(), cache.arena()), (vec![], 0, 0));
    }

    #[test]
    fn code_is_found_by_all_that_it_was_made_for() {
        let [first, second] = [(); 2].map(|()| Training::from(Sgd::new(0.1)));
        let accumulate = |first| Purpose::Accumulate { training: &second, first };
        let purposes = [
            Purpose::Predict,
            Purpose::Evaluate,
            Purpose::Gradients,
            Purpose::Step(&first),
            Purpose::Step(&second),
            accumulate(true),
            accumulate(false),
        ];
        let mut all = Vec::new();
        for purpose in &purposes {
            for batch in [1, 2] {
                for choices in [&[][..], &[0], &[1], &[0, 1]] {
                    all.push(call(purpose, batch, choices));
                }
            }
        }
        let mut cache = Cache::new(usize::MAX);
        for (i, call) in all.iter().enumerate() {
            assert_eq!(cache.find(call), None);
            cache.insert(call, i, 1, 1);
        }
        for (i, call) in all.iter().enumerate() {
            let place = cache.find(call).unwrap();
            assert_eq!(*cache.take(place), i);
        }
        cache.forget_steps();
        let found: Vec<bool> = all.iter().map(|call| cache.find(call).is_some()).collect();
        assert_eq!(found, (0..all.len()).map(|i| i < 3 * 8).collect::<Vec<_>>());
        assert_eq!(cache.bytes(), 3 * 8);
    }
}
