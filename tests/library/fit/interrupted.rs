//! Ctrl-C during training: see [`told`](super::told).

use std::process::Child;
use std::time::Duration;

use super::told::start;
use super::*;

/// More epochs than any test has time for.
const MANY: usize = 1_000_000_000;

/// Trains until it is interrupted, and prints when it starts.
fn train(name: &str) {
    let train = noisy(64, 1);
    // Four batches per epoch; three and one make an update.
    let sgd = Sgd::new(0.5).momentum(0.9);
    let mut trainer = Net::trainer(sgd).seed(1).threads(1).accumulate(3).build().unwrap();
    let mut best = Vec::new();
    let fit = Fit::epochs(MANY).batch_size(16).stop_on_ctrl_c(true).restore_best(true);
    let history = trainer
        .fit_with(&train, fit, |trainer, epoch| {
            if epoch.is_best {
                best = bits(trainer.model());
            }
            if epoch.number == 1 {
                println!("\n{name} begins");
            }
        })
        .unwrap();
    assert_eq!(history.losses.len(), trainer.steps());
    assert!((4 * history.epochs.len()..4 * history.epochs.len() + 5).contains(&trainer.steps()));
    assert_eq!(bits(trainer.model()), best);
    assert_eq!(trainer.apply_accumulated().unwrap(), 0, "a batch is left over");
    println!("\n{name} ends: {:?}", history.stop);
}

pub fn run_scenario(scenario: &str) {
    match scenario {
        "trains twice" => {
            train("first");
            train("second");
        }
        "trains two at once" => std::thread::scope(|scope| {
            scope.spawn(|| train("first"));
            scope.spawn(|| train("second"));
        }),
        "does not come to an end" => {
            let fit = Fit::epochs(2).stop_on_ctrl_c(true);
            trainer()
                .fit_with(&noisy(64, 1), fit, |_, _| {
                    println!("\nfirst begins");
                    std::thread::sleep(Duration::from_secs(600));
                })
                .unwrap();
        }
        "has a handler of its own" => {
            ctrlc::set_handler(|| ()).unwrap();
            let mut trainer = trainer();
            let fit = || Fit::epochs(1).batch_size(16);
            let error = trainer.fit(&noisy(64, 1), fit().stop_on_ctrl_c(true)).unwrap_err();
            assert!(matches!(error, Error::CtrlC { .. }));
            println!("\n{error}");
            assert_eq!(trainer.steps(), 0);
            trainer.fit(&noisy(64, 1), fit()).unwrap();
        }
        "has trained" => {
            trainer().fit(&noisy(64, 1), Fit::epochs(1).stop_on_ctrl_c(true)).unwrap();
            println!("\nfirst ends");
            std::thread::sleep(Duration::from_secs(600));
        }
        "panics in a callback" => {
            let fit = Fit::epochs(2).stop_on_ctrl_c(true);
            let mut trainer = trainer();
            let panicking = |_: &mut Trainer<Net>, epoch: &bilro::EpochReport<'_>| {
                assert_eq!(epoch.number, 0, "on purpose");
            };
            let run = || trainer.fit_with(&noisy(64, 1), fit, panicking);
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
            println!("\nfirst ends");
            std::thread::sleep(Duration::from_secs(600));
        }
        scenario => panic!("{scenario}"),
    }
}

fn press_ctrl_c(child: &Child) {
    send("INT", child);
}

fn send(signal: &str, child: &Child) {
    let kill = format!("kill -{signal} {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

fn wait_for(lines: &mut impl Iterator<Item = String>, line: &str) {
    assert!(lines.any(|found| found == line), "it ended without `{line}`");
}

#[test]
fn ctrl_c_ends_the_running_training() {
    let (mut child, mut lines) = start("trains twice");
    for name in ["first", "second"] {
        wait_for(&mut lines, &format!("{name} begins"));
        press_ctrl_c(&child);
        wait_for(&mut lines, &format!("{name} ends: Interrupted"));
    }
    assert!(lines.count() > 0);
    assert!(child.wait().unwrap().success());
}

#[test]
fn ctrl_c_ends_all_running_trainings() {
    let (mut child, mut lines) = start("trains two at once");
    let begun = lines.by_ref().filter(|line| line.ends_with(" begins")).take(2);
    assert_eq!(begun.count(), 2);
    press_ctrl_c(&child);
    let ended = lines.by_ref().filter(|line| line.ends_with(" ends: Interrupted")).take(2);
    assert_eq!(ended.count(), 2);
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_second_ctrl_c_ends_the_program() {
    let (mut child, mut lines) = start("does not come to an end");
    wait_for(&mut lines, "first begins");
    // Two in quick succession count as one.
    let status = loop {
        press_ctrl_c(&child);
        std::thread::sleep(Duration::from_millis(100));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(130));
}

#[test]
fn a_program_has_one_handler() {
    let (mut child, mut lines) = start("has a handler of its own");
    let said = lines.find(|line| line.starts_with("Ctrl-C cannot be made to end training: "));
    assert!(said.is_some());
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
}

#[test]
fn ctrl_c_ends_the_program_without_a_running_training() {
    for scenario in ["has trained", "panics in a callback"] {
        let (mut child, mut lines) = start(scenario);
        wait_for(&mut lines, "first ends");
        press_ctrl_c(&child);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{scenario}");
    }
}

#[test]
fn sigterm_ends_training_and_then_the_program() {
    let (mut child, mut lines) = start("trains twice");
    for (what, signal) in [("first", "TERM"), ("second", "INT")] {
        wait_for(&mut lines, &format!("{what} begins"));
        send(signal, &child);
        wait_for(&mut lines, &format!("{what} ends: Interrupted"));
    }
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());

    let (mut child, mut lines) = start("trains two at once");
    assert_eq!(lines.by_ref().filter(|line| line.ends_with(" begins")).take(2).count(), 2);
    send("TERM", &child);
    let ended = lines.by_ref().filter(|line| line.ends_with(" ends: Interrupted")).take(2);
    assert_eq!(ended.count(), 2);
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());

    // A second one ends training within a step that does not end; one is enough if nothing is trained.
    for (part, begins) in
        [("does not come to an end", "first begins"), ("has trained", "first ends")]
    {
        let (mut child, mut lines) = start(part);
        wait_for(&mut lines, begins);
        let status = loop {
            send("TERM", &child);
            std::thread::sleep(Duration::from_millis(50));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
        };
        const SIGTERM: i32 = 15;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(SIGTERM), "{part}");
    }
}
