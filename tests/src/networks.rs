//! Random networks: a [`Recipe`] of small numbers, which proptest draws and
//! shrinks, becomes calls of the builder that are always valid.

mod drawing;

use std::fmt;

use bilro::network::Feed;
use bilro::rng::Generator;
use bilro_compiler::declaration::Declaration;
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use drawing::{Drawing, INPUT, KINDS};

pub use drawing::LOSSES;

/// Around the widths of vectors and tiles.
const SIZES: [usize; 8] = [1, 3, 4, 5, 15, 16, 17, 33];

/// Maximum number of elements of one example's value.
const LARGEST: usize = 600;

/// The recipe of a network.
#[derive(Clone)]
pub struct Recipe {
    /// Examples in a batch.
    pub batch: usize,
    /// Seed of parameters and data.
    pub seed: u64,
    /// One or two inputs, each with one or two axes: indices of `SIZES`.
    pub inputs: Vec<(usize, Option<usize>)>,
    /// The operations in order.
    pub ops: Vec<DrawnOp>,
    /// The loss of the last value.
    pub loss: u8,
    /// Whether the loss is a sum.
    pub sums: bool,
    /// Values that are outputs too, counted from the last.
    pub outputs: Vec<u8>,
}

/// A drawn operation; the meaning of its numbers depends on its kind.
#[derive(Clone, Copy, Debug)]
pub struct DrawnOp {
    kind: u8,
    /// Its operand, counted from the latest value.
    x: u8,
    /// Its second operand, or a choice.
    y: u8,
    /// A size, or another choice.
    n: u8,
}

/// Recipes with batches and sizes up to these numbers.
pub fn recipes(batch: usize, size: usize, ops: usize) -> impl Strategy<Value = Recipe> {
    let sizes = SIZES.iter().filter(|n| **n <= size).count();
    let batches = prop_oneof![Just(1), 1..=batch, Just(batch.min(16)), Just(batch.min(64))];
    let inputs = prop::collection::vec((0..sizes, prop::option::weighted(0.35, 0..sizes)), 1..=2);
    let operand = || prop_oneof![3 => Just(0u8), 2 => 0..8u8];
    let op = (0..KINDS, operand(), operand(), 0..sizes as u8 * 4)
        .prop_map(|(kind, x, y, n)| DrawnOp { kind, x, y, n });
    let ops = prop::collection::vec(op, 0..=ops);
    let ending = (0..LOSSES, any::<bool>(), prop::collection::vec(0..6u8, 0..=2));
    let fields = (batches, 0..1000u64, inputs, ops, ending);
    fields.prop_map(move |(batch, seed, inputs, mut ops, (loss, sums, outputs))| {
        for op in &mut ops {
            op.n %= sizes as u8;
        }
        Recipe { batch, seed, inputs, ops, loss, sums, outputs }
    })
}

/// Runs a test on `cases` recipes: other ones with `BILRO_SEED=n`, another
/// number of them with `PROPTEST_CASES=n`.
///
/// # Panics
/// If the test fails: with the seed, and a minimal recipe.
pub fn for_recipes<R: fmt::Debug>(
    cases: u32,
    recipes: impl Strategy<Value = R>,
    test: impl Fn(R) -> Result<(), TestCaseError>,
) {
    let seed = std::env::var("BILRO_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    match TestRunner::new_with_rng(config, rng).run(&recipes, test) {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("BILRO_SEED={seed}: {reason}"),
        Err(TestError::Fail(reason, recipe)) => panic!("BILRO_SEED={seed}: {reason}\n{recipe:?}"),
    }
}

/// A network from a recipe, and the builder calls.
pub struct Drawn {
    /// The network.
    pub network: Declaration,
    /// A line for each call.
    pub calls: Vec<String>,
}

impl Recipe {
    /// A `Linear` layer followed by a loss: from three features to
    /// `SIZES[classes]`.
    pub fn linear(classes: u8, batch: usize, loss: u8, sums: bool) -> Recipe {
        let linear = DrawnOp { kind: 0, x: 0, y: 0, n: classes };
        let (seed, outputs) = (u64::from(loss), Vec::new());
        Recipe { batch, seed, inputs: vec![(1, None)], ops: vec![linear], loss, sums, outputs }
    }

    /// A recipe from any bytes; missing ones are 0. Batches have up to 37 examples.
    pub fn of_bytes(data: &[u8]) -> Recipe {
        let mut bytes = data.iter().copied();
        let mut byte = || bytes.next().unwrap_or(0);
        let batch = 1 + usize::from(byte()) % 37;
        let (seed, loss, sums) = (u64::from(byte()), byte() % LOSSES, byte() % 2 == 1);
        let size = |byte: u8| usize::from(byte) % SIZES.len();
        let inputs = (0..1 + byte() % 2).map(|_| {
            let (first, second) = (byte(), byte());
            (size(first), (second >= 160).then(|| size(second)))
        });
        let inputs = inputs.collect();
        let outputs = (0..byte() % 3).map(|_| byte() % 6).collect();
        let count = byte() % 10;
        let ops = (0..count)
            .map(|_| {
                let (kind, operands, n) = (byte() % KINDS, byte(), byte() % SIZES.len() as u8);
                let x = operands & 15;
                DrawnOp { kind, x: if x < 8 { 0 } else { x - 8 }, y: operands >> 5, n }
            })
            .collect();
        Recipe { batch, seed, inputs, ops, loss, sums, outputs }
    }

    /// The network.
    ///
    /// # Panics
    /// If the builder rejects a call: a bug, as all calls are valid.
    pub fn build(&self) -> Drawn {
        let mut drawing = Drawing::new(self);
        for op in &self.ops {
            drawing.op(*op);
        }
        drawing.finish(self)
    }

    /// Arrays for the network's inputs and targets, in the engine's order.
    pub fn arrays(&self, network: &Declaration) -> Vec<Array> {
        arrays(network, self.batch, self.seed)
    }
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "batch of {}, seed {}", self.batch, self.seed)?;
        self.build().calls.iter().try_for_each(|call| writeln!(f, "    {call}"))
    }
}

/// Arrays for the network's inputs and targets, in the engine's order.
pub fn arrays(network: &Declaration, batch: usize, seed: u64) -> Vec<Array> {
    let mut generator = Generator::new(seed + 1);
    let order = [false, true]
        .into_iter()
        .flat_map(|target| network.inputs.iter().filter(move |input| input.is_target == target));
    order
        .map(|input| {
            let sizes = input.ty.shape.full_sizes(batch);
            let count: usize = sizes.iter().product();
            if let bilro_compiler::shape::DType::Index { below } = &input.ty.dtype {
                let below = below.fixed().expect("sizes are numbers") as u32;
                let classes = (0..count).map(|_| generator.random_u32() % below).collect();
                return Array::Index(array(&sizes, classes));
            }
            let mut x = vec![0.0; count];
            // Targets serve as probabilities too.
            let low = if input.is_target { 0.0 } else { -INPUT };
            generator.fill_uniform(&mut x, low, if input.is_target { 1.0 } else { INPUT });
            Array::Real(array(&sizes, x))
        })
        .collect()
}

/// An array of an input.
#[derive(Clone, Debug)]
pub enum Array {
    /// Reals.
    Real(ArrayD<f32>),
    /// Integers.
    Index(ArrayD<u32>),
}

impl Array {
    /// The array for an engine.
    pub fn feed(&self) -> Feed<'_> {
        match self {
            Array::Real(x) => Feed::Real(x.view()),
            Array::Index(x) => Feed::Index(x.view()),
        }
    }
}

fn array<A>(sizes: &[usize], elements: Vec<A>) -> ArrayD<A> {
    ArrayD::from_shape_vec(IxDyn(sizes), elements).expect("the length matches the sizes")
}
