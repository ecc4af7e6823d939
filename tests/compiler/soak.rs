//! A short soak of random networks, and tests of its generator and its reducer. The program `soak`
//! runs more of them. `BILRO_SEED=n` tries other networks, `BILRO_NETWORKS=n` another number of them.

use std::collections::BTreeSet;
use std::time::Duration;

use bilro_compiler::declaration::Init;
use bilro_compiler::faults::{Fault, Guard};
use bilro_compiler::graph::Graph;
use bilro_compiler::purpose::Purpose;
use bilro_compiler::target::host;
use bilro_compiler::{layers, ops};
use bilro_tests::check;
use bilro_tests::soak::campaign::{Campaign, Counts, Report, from_environment};
use bilro_tests::soak::draw::given;
use bilro_tests::soak::language::{Item, statements};
use bilro_tests::soak::reference::Compared;
use bilro_tests::soak::training::{OPTIMIZERS, SCHEDULES};
use bilro_tests::soak::trial::{self, Class, Extent};
use bilro_tests::soak::{Choices, Network, draw, network};

#[test]
fn random_networks_agree_on_every_emitter_and_thread_count() {
    let seed = from_environment("BILRO_SEED", 1);
    let (campaign, targets) = (Campaign::new(seed), check::targets());
    let mut counts = Counts::default();
    for index in 0..from_environment("BILRO_NETWORKS", 60) {
        if let Some(report) = campaign.run(index, &targets, &mut counts) {
            panic!("{report}");
        }
    }
    println!("{}", counts.markdown(Duration::from_secs(1), 0));
    let compared = counts.compared;
    assert!(compared.worst > 0.01, "bounds far above the errors would be useless: {compared:?}");
    // Most elements have a bound.
    assert!(compared.undecided * 4 < compared.elements, "{compared:?}");
}

/// The extent of trials whose every purpose the evaluator runs, for targets of other machines too.
const EVERYWHERE: Extent =
    Extent { evaluated: 20_000, evaluates_all: true, verifies: false, checks_code: true };

/// The order of sums depends neither on the number of lanes nor on that of shares.
#[test]
fn machine_code_has_the_evaluators_bits_on_every_width() {
    let campaign = Campaign::new(from_environment("BILRO_SEED", 2));
    agree((0..from_environment("BILRO_NETWORKS", 30)).map(|i| campaign.network(i)), EVERYWHERE);
}

/// Products of several tiles and blocks of k.
#[test]
fn wide_networks_agree_everywhere() {
    let campaign = Campaign::new(from_environment("BILRO_SEED", 1));
    let most = from_environment("BILRO_NETWORKS", 20) as usize;
    let chains = (0..).filter_map(|index| given::chain(&mut campaign.choices(index)));
    agree(chains.take(most), Extent { evaluated: 0, ..EVERYWHERE });
}

/// Every loss after a `Linear`, with which it may be fused: one class and several, one example and
/// several, with drawn options.
#[test]
fn every_loss_after_a_product_agrees_everywhere() {
    let campaign = Campaign::new(from_environment("BILRO_SEED", 1));
    let extent = Extent { evaluates_all: false, verifies: true, ..EVERYWHERE };
    let mut index = 0;
    for loss in given::losses() {
        let sizes = [(1, 1), (1, 33), (3, 1), (1, 3), (16, 2)];
        let networks: Vec<Network> = sizes
            .into_iter()
            .filter_map(|(classes, batch)| {
                index += 1;
                given::loss_of_product(&mut campaign.choices(index), loss, classes, batch)
            })
            .collect();
        assert!(networks.len() > 2, "{loss}: only {} networks", networks.len());
        agree(networks, extent);
    }
}

/// Requires that networks agree on all targets and numbers of threads.
fn agree(networks: impl IntoIterator<Item = Network>, extent: Extent) {
    let (targets, mut count, mut all) = (check::targets(), 0, Compared::default());
    for network in networks {
        let results = trial::run(&network, &targets, extent).unwrap_or_else(|failure| {
            let Network { batch, seed, plan, .. } = &network;
            let text = network.text();
            panic!("{failure:?}\nbatch {batch}, seed of the data {seed}, {plan:?}\n{text}")
        });
        count += 1;
        all.add(results.compared);
    }
    println!("{count} networks, {all:?}");
    assert!(all.worst > 0.01 && all.undecided * 4 < all.elements, "{all:?}");
}

/// The text of every purpose's graph is parsed as the same graph, before and after fusion.
#[test]
fn graphs_round_trip_through_text() {
    let campaign = Campaign::new(from_environment("BILRO_SEED", 1));
    for index in 0..from_environment("BILRO_NETWORKS", 100) {
        let network = campaign.network(index);
        let declaration = network.declaration();
        let training = network.plan.training(declaration.parameters.len());
        let mut purposes = vec![Purpose::Predict];
        if declaration.has_loss() {
            purposes.extend([Purpose::Step(training), Purpose::Gradients]);
        }
        for purpose in purposes {
            let target = host::baseline();
            let lowered = check::lower_network(&declaration, &purpose, network.batch, &target);
            let lowered = lowered.unwrap_or_else(|error| panic!("{error}\n{}", network.text()));
            for graph in [lowered.graph, lowered.fused.graph] {
                let text = graph.to_string();
                let read = text.parse::<Graph>();
                let read = read.unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert!(read == graph, "{text}\nis parsed as\n{read}");
            }
        }
    }
}

/// An operation or a layer that is added is drawn without a line elsewhere.
#[test]
fn every_operation_layer_and_training_is_drawn() {
    let campaign = Campaign::new(3);
    let (mut drawn, mut accepted, mut refused) = (BTreeSet::new(), 0, 0);
    let (mut blocks, mut choices, mut statements) = (0, 0, 0);
    for index in 0..2000 {
        let (network, counts) = draw::draw(&mut campaign.choices(index));
        accepted += counts.accepted;
        refused += counts.refused.values().map(|(count, _)| count).sum::<usize>();
        drawn.extend(network.calls());
        drawn.insert(OPTIMIZERS[network.plan.optimizer].into());
        drawn.insert(SCHEDULES[network.plan.schedule].into());
        statements += network.items.len();
        for item in &network.items {
            match item {
                Item::Parameter { init, .. } => drop(drawn.insert((*init).into())),
                Item::Block { .. } => blocks += 1,
                Item::Choice { .. } => choices += 1,
                _ => {}
            }
        }
    }
    let functions = ops::ALL.iter().filter(|entry| entry.call.is_some()).map(|entry| entry.name);
    let all = functions.chain(layers::names()).chain(OPTIMIZERS).chain(SCHEDULES);
    let all = all.chain(Init::ALL.iter().map(|(name, _)| *name));
    let missing: Vec<&str> = all.filter(|name| !drawn.contains(*name)).collect();
    assert!(missing.is_empty(), "never drawn: {missing:?}");
    assert!(blocks > 50 && choices > 50, "{blocks} blocks, {choices} choices");
    assert!(refused * 4 < accepted, "{refused} refused, {accepted} accepted");
    assert!(statements > 2000 * 6, "{statements}");
}

/// The bytes of a fuzzer always yield a network.
#[test]
fn bytes_yield_networks() {
    let mut bytes = Vec::new();
    for n in 0..300u64 {
        let drawn = network(&mut Choices::of_bytes(&bytes));
        assert!(statements(&drawn.items).is_ok(), "{}", drawn.text());
        bytes.push((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8);
    }
    let again = |bytes: &[u8]| network(&mut Choices::of_bytes(bytes)).text();
    assert_eq!(again(&bytes), again(&bytes));
    assert_ne!(again(&bytes), again(&[]));
}

/// The first report of a network that fails with a fault.
fn found(fault: Fault, reducing: Duration) -> Report {
    let _guard = Guard::new(fault);
    // A wrong derivative is wrong in the interpreter too: only differences find it.
    let verify_every = if fault == Fault::TanhSign { 1 } else { 0 };
    let campaign = Campaign { verify_every, reducing, ..Campaign::new(5) };
    let targets = host::targets();
    let mut reports =
        (0..200).filter_map(|index| campaign.run(index, &targets, &mut Counts::default()));
    reports.next().unwrap_or_else(|| panic!("{fault:?} has not been found"))
}

/// A derivative, a rewrite, a function, a mask, a tile, a sum.
#[test]
fn deliberate_faults_are_found() {
    for fault in [
        Fault::TanhSign,
        Fault::DivisionByPower,
        Fault::ExpCoefficient,
        Fault::TailMask,
        Fault::TileRow,
        Fault::SkippedTerm,
    ] {
        let report = found(fault, Duration::ZERO);
        println!("{fault:?}: {report}");
        assert_eq!(report.first, report.failure);
    }
}

/// A fault is reduced to the statements that show it.
#[test]
fn a_fault_is_reduced_to_its_statements() {
    let report = found(Fault::TanhSign, Duration::from_secs(60));
    println!("{report}");
    assert_eq!(report.failure.class, Class::Verify, "{report}");
    assert!(report.text.lines().count() <= 7, "{report}");
    assert!(report.text.to_lowercase().contains("tanh"), "{report}");
}

/// The text of a network expands without a mistake, and declares the graph that it was printed from.
#[test]
fn the_text_of_a_drawn_network_declares_its_graph() {
    let campaign = Campaign::new(1);
    for index in 0..400 {
        let network = campaign.network(index);
        let text = network.text();
        let tokens = text.parse().expect("balanced");
        let declared = bilro_macros_library::declaration(tokens);
        let declared =
            declared.unwrap_or_else(|mistakes| panic!("network {index}: {mistakes:#?}\n{text}"));
        let expected = network.declaration();
        assert_eq!(
            declared.graph().to_string(),
            expected.graph().to_string(),
            "network {index}\n{text}"
        );
        let names = |all: &[bilro_compiler::declaration::Parameter]| -> Vec<String> {
            all.iter().map(|p| p.name.clone()).collect()
        };
        assert_eq!(
            names(&declared.parameters),
            names(&expected.parameters),
            "network {index}\n{text}"
        );
    }
}
