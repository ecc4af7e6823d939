//! Random networks, see [`soak`](crate::soak): machine code against the interpreter, the same bits by
//! every emitter, on any number of threads, and by code that checks its accesses to memory.

use bilro::{DynTrainer, Sgd};
use bilro_compiler::declaration::Declaration;
use bilro_compiler::eval::Value;
use bilro_compiler::target::host;
use ndarray::ArrayD;

use super::{Target, hash};
use crate::check;
use crate::inputs;
use crate::soak::trial::{self, Extent};
use crate::soak::{Choices, Network, network};

/// See the module.
pub const TARGET: Target =
    Target { name: "networks", run, seeds, dictionary: &[], max_length: 256, memory: |_| 1 << 30 };

/// As random networks of the campaigns have it.
const EXTENT: Extent =
    Extent { evaluated: 3_000, evaluates_all: false, verifies: false, checks_code: true };

fn seeds() -> Vec<Vec<u8>> {
    let byte = |seed: u32, i: u32| (seed.wrapping_mul(2_654_435_761) ^ i.wrapping_mul(40_503)) >> 7;
    (0..12).map(|seed| (0..9 * seed).map(|i| byte(seed + 1, i + 1) as u8).collect()).collect()
}

/// Runs a case.
///
/// # Panics
/// If machine code disagrees with the interpreter, or two emitters, numbers of threads or kinds of
/// code with each other.
pub fn run(data: &[u8]) -> u64 {
    let network = network(&mut Choices::of_bytes(data));
    if let Err(failure) = trial::run(&network, &host::targets(), EXTENT) {
        let (batch, text) = (network.batch, network.text());
        panic!("{:?}: {}\nin batches of {batch}:\n{text}", failure.class, failure.message);
    }
    sanitized(&network);
    hash(&network.calls())
}

/// A step of code with checks has the bits of the same step without, and no check fails.
fn sanitized(network: &Network) {
    let declaration = network.declaration();
    if !declaration.has_loss() {
        return;
    }
    let values = trial::values(network, &declaration);
    let [plain, checked] = [false, true].map(|sanitizes| {
        let result = trained(network, &declaration, &values, sanitizes);
        result.map_err(|error| error.to_string())
    });
    match (plain, checked) {
        (Ok(plain), Ok(checked)) => {
            for ((name, x), (_, y)) in plain.iter().zip(&checked) {
                let (x, y) = (x.as_slice().expect("contiguous"), y.as_slice().expect("contiguous"));
                check::assert_same_bits(&format!("`{name}`\n{}", network.text()), x, y);
            }
        }
        // As a loss that is not finite.
        (plain, checked) => {
            let [plain, checked] = [plain.err(), checked.err()];
            assert_eq!(plain, checked, "without and with checks:\n{}", network.text());
        }
    }
}

/// The parameters after a step on two threads.
fn trained(
    network: &Network,
    declaration: &Declaration,
    values: &[Value<f32>],
    sanitizes: bool,
) -> bilro::Result<Vec<(String, ArrayD<f32>)>> {
    let trainer = DynTrainer::builder(declaration.clone(), Sgd::new(0.01).momentum(0.9));
    let trainer = trainer.seed(network.seed).threads(2).sanitize(sanitizes).build();
    let mut trainer = trainer?;
    trainer.step(inputs::batch(declaration, values))?;
    let parameters = trainer.model().state_dict();
    let owned = |(name, view): (&str, ndarray::ArrayViewD<'_, f32>)| {
        (name.to_string(), view.as_standard_layout().into_owned())
    };
    Ok(parameters.map(owned).collect())
}
