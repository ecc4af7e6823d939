//! Machine code that is kept for later calls, as much as a limit allows: what has
//! not been used for longest goes first.

use bilro_compiler::network::Purpose;

use super::Call;
use super::jit::Compiled;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Cache {
    /// They are few most of the time: going through them takes less time than
    /// hashing, of which a small step would notice. They lie together, so that
    /// going through many takes little.
    keys: Vec<Key>,
    /// The code for each.
    kept: Vec<Kept>,
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
struct Kept {
    code: Compiled,
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
        }
    }
}

impl Cache {
    /// Nothing, and room for so many bytes.
    pub fn new(limit: usize) -> Cache {
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
    pub fn take(&mut self, place: usize) -> &mut Compiled {
        let kept = &mut self.kept[place];
        self.clock += 1;
        kept.used = self.clock;
        &mut kept.code
    }

    /// Keeps the code for a call. What was there goes, until all that is left is
    /// within the limit; the new code stays in any case. Returns its place.
    pub fn insert(&mut self, call: &Call<'_, '_, '_>, code: Compiled) -> usize {
        self.shrink(self.limit.saturating_sub(code.bytes()));
        self.clock += 1;
        self.bytes += code.bytes();
        self.kept.push(Kept { code, used: self.clock });
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
        self.bytes -= self.kept.swap_remove(place).code.bytes();
    }

    /// Floats of the arena that the code takes which takes most.
    pub fn arena(&self) -> usize {
        self.kept.iter().map(|kept| kept.code.arena()).max().unwrap_or(0)
    }

    /// Bytes of all that is kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
