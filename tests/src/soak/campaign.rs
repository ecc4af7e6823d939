//! A run over many networks: each is drawn from the run's seed and its index, compared, and reduced
//! if it fails; counts of all.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bilro_compiler::target::Target;
use serde::{Deserialize, Serialize};

use super::choices::Choices;
use super::coverage::Coverage;
use super::draw::{self, Network};
use super::reduce::reduce;
use super::reference::Compared;
use super::training::{OPTIMIZERS, SCHEDULES};
use super::trial::{self, Extent, Failure};

/// How a run compares its networks.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The seed of all networks.
    pub seed: u64,
    /// `Model::verify` runs on one of this number of networks; never for 0.
    pub verify_every: u64,
    /// Most elements that kernels compute in a purpose that the evaluator of programs runs too.
    pub evaluated: usize,
    /// Most time for reducing a network that fails.
    pub reducing: Duration,
}

/// A number of an environment variable, for tests.
///
/// # Panics
/// If its text is no number.
pub fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().expect("a number"))
}

/// Cranelift checks its results for one of this number of networks.
const CHECKED: u64 = 10;

impl Campaign {
    /// A run with a seed, and the usual comparisons.
    pub fn new(seed: u64) -> Campaign {
        Campaign { seed, verify_every: 4, evaluated: 20_000, reducing: Duration::from_secs(120) }
    }

    /// The choices of a network by its index.
    pub fn choices(&self, index: u64) -> Choices<'static> {
        let seed = self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D);
        Choices::of_seed(seed.wrapping_add(index.wrapping_mul(0xD134_2543_DE82_EF95)))
    }

    /// A network by its index.
    pub fn network(&self, index: u64) -> Network {
        draw::network(&mut self.choices(index))
    }

    /// Compares a network; adds to the counts.
    pub fn run(&self, index: u64, targets: &[Target], counts: &mut Counts) -> Option<Report> {
        let (network, drawn) = draw::draw(&mut self.choices(index));
        let verifies = self.verify_every > 0 && index.is_multiple_of(self.verify_every);
        let checks_code = index.is_multiple_of(CHECKED);
        let extent =
            Extent { evaluated: self.evaluated, evaluates_all: false, verifies, checks_code };
        counts.networks += 1;
        counts.extreme += usize::from(network.is_extreme);
        counts.verified += usize::from(verifies && !network.is_extreme);
        counts.accepted += drawn.accepted;
        counts.refused += drawn.refused.values().map(|(count, _)| count).sum::<usize>();
        counts.largest_batch = counts.largest_batch.max(network.batch);
        for name in network.calls() {
            *counts.calls.entry(name).or_default() += 1;
        }
        for name in [OPTIMIZERS[network.plan.optimizer], SCHEDULES[network.plan.schedule]] {
            *counts.trainings.entry(name.into()).or_default() += 1;
        }
        match trial::run(&network, targets, extent) {
            Ok(results) => {
                counts.equal_runs += results.equal_runs;
                if results.compared.worst > counts.compared.worst {
                    counts.worst_network = index;
                }
                counts.compared.add(results.compared);
                counts.coverage.add(&results.coverage);
                None
            }
            Err(failure) => Some(self.reduced(index, network, failure, targets, extent)),
        }
    }

    fn reduced(
        &self,
        index: u64,
        network: Network,
        failure: Failure,
        targets: &[Target],
        extent: Extent,
    ) -> Report {
        // The evaluator runs another purpose if the seed differs: the seed stays.
        let mut last = failure.clone();
        let smallest = reduce(&network, self.reducing, |candidate| {
            match trial::run(candidate, targets, extent) {
                Err(found) if found.class == failure.class => {
                    last = found;
                    true
                }
                _ => false,
            }
        });
        let names = targets.iter().map(|target| target.name).collect::<Vec<_>>();
        Report {
            index,
            seed: self.seed,
            first: failure,
            failure: last,
            ..described(&smallest, &names)
        }
    }

    /// The report of a network that ended its process, or does not end.
    pub fn fatal(&self, index: u64, message: String) -> Report {
        let failure = Failure { class: trial::Class::Panic, message };
        let described = described(&self.network(index), &[]);
        Report { index, seed: self.seed, first: failure.clone(), failure, ..described }
    }
}

fn described(network: &Network, targets: &[&str]) -> Report {
    Report {
        index: 0,
        seed: 0,
        first: Failure { class: trial::Class::Panic, message: String::new() },
        failure: Failure { class: trial::Class::Panic, message: String::new() },
        text: network.text(),
        run: format!(
            "batch {}, seed of the data {}, choices {:?}, {}{:?}, targets {targets:?}",
            network.batch,
            network.seed,
            network.choices,
            if network.is_extreme { "extreme values, " } else { "" },
            network.plan,
        ),
    }
}

/// A network that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Its index.
    pub index: u64,
    /// The seed of the run.
    pub seed: u64,
    /// The failure of the drawn network.
    pub first: Failure,
    /// The failure of the reduced network.
    pub failure: Failure,
    /// The text of the reduced network.
    pub text: String,
    /// Its batch, data and training.
    pub run: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { index, seed, first, failure, text, run } = self;
        writeln!(f, "network {index} of seed {seed}: {:?}, {}", first.class, first.message)?;
        writeln!(f, "reduced: {}\n{run}\nnetwork! {{\n{text}}}", failure.message)?;
        write!(
            f,
            "cargo run --release -p bilro-tests --bin soak -- --seed {seed} --first {index} \
             --networks 1"
        )
    }
}

/// Counts of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Networks.
    pub networks: usize,
    /// Those with extreme values.
    pub extreme: usize,
    /// Those that `Model::verify` has verified.
    pub verified: usize,
    /// Statements that the builder accepted.
    pub accepted: usize,
    /// Statements that it refused.
    pub refused: usize,
    /// The largest batch.
    pub largest_batch: usize,
    /// Runs with the same bits as another one.
    pub equal_runs: usize,
    /// Comparisons with the interpreter.
    pub compared: Compared,
    /// The index of the network with the largest error.
    pub worst_network: u64,
    /// Calls of functions and layers.
    pub calls: BTreeMap<String, usize>,
    /// Optimizers and schedules.
    pub trainings: BTreeMap<String, usize>,
    /// Kernels.
    pub coverage: Coverage,
}

impl Counts {
    /// Adds other counts.
    pub fn add(&mut self, other: &Counts) {
        if other.compared.worst > self.compared.worst {
            self.worst_network = other.worst_network;
        }
        self.networks += other.networks;
        self.extreme += other.extreme;
        self.verified += other.verified;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.largest_batch = self.largest_batch.max(other.largest_batch);
        self.equal_runs += other.equal_runs;
        self.compared.add(other.compared);
        let maps = [(&mut self.calls, &other.calls), (&mut self.trainings, &other.trainings)];
        for (mine, others) in maps {
            others.iter().for_each(|(name, n)| *mine.entry(name.clone()).or_default() += n);
        }
        self.coverage.add(&other.coverage);
    }

    /// The results as Markdown: figures, and the table of coverage.
    pub fn markdown(&self, elapsed: Duration, failures: usize) -> String {
        let Compared { elements, undecided, worst } = self.compared;
        let seconds = elapsed.as_secs_f64();
        let rows: [(&str, String); 11] = [
            ("networks", self.networks.to_string()),
            ("failures", failures.to_string()),
            ("time", format!("{seconds:.0} s, {:.1} networks/s", self.networks as f64 / seconds)),
            ("elements compared with the interpreter", elements.to_string()),
            ("largest error, in units of its bound", format!("{worst:.4}")),
            (
                "elements without a bound",
                format!("{undecided}, {:.3} %", percent(undecided, elements + undecided)),
            ),
            ("runs with the bits of another", self.equal_runs.to_string()),
            ("networks with extreme values, by bits only", self.extreme.to_string()),
            ("networks verified by `Model::verify` too", self.verified.to_string()),
            ("largest batch", self.largest_batch.to_string()),
            (
                "statements refused by the builder",
                format!("{:.1} %", percent(self.refused, self.accepted + self.refused)),
            ),
        ];
        let mut text = String::from("| | |\n| --- | --- |\n");
        rows.iter().for_each(|(name, value)| text += &format!("| {name} | {value} |\n"));
        text += "\nLoad / root / epilogue, by kind of kernel:\n\n";
        text += &self.coverage.markdown();
        text
    }
}

fn percent(part: usize, all: usize) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}
