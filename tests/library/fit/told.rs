//! Progress lines on standard output: these tests run themselves as a program,
//! in the scenario named by a variable.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

const SCENARIO: &str = "BILRO_TEST_SCENARIO";

/// Runs one scenario.
#[test]
fn run_scenario() {
    let Ok(scenario) = std::env::var(SCENARIO) else { return };
    let train = noisy(64, 1);
    let mut trainer = trainer();
    let fit = Fit::epochs(10).batch_size(16).progress(true);
    // A step uphill, once.
    let wander = |trainer: &mut Trainer<Net>, epoch: &bilro::EpochReport<'_>| {
        trainer.set_learning_rate(if epoch.number == 4 { 50.0 } else { 0.05 })
    };
    match scenario.as_str() {
        "wanders" => drop(trainer.fit_with(&train, fit.report_every(3), wander).unwrap()),
        "wanders unwarned" => {
            let fit = fit.report_every(3).warn_when_loss_rises(false);
            trainer.fit_with(&train, fit, wander).unwrap();
        }
        "stops early" => {
            let fit = fit.early_stopping(2).min_improvement(1e9).report_every(100);
            let history = trainer.fit(&train, fit).unwrap();
            println!("{:?}", history.stop);
        }
        "has no best" => {
            let broken = Dataset::new(train.x().mapv(|_| f32::NAN), train.y().to_owned()).unwrap();
            let fit = fit.report_every(10).validate(&broken).early_stopping(2);
            trainer.fit(&train, fit).unwrap();
        }
        "is stopped" => {
            let stop = |_: &mut Trainer<Net>, epoch: &bilro::EpochReport<'_>| {
                if epoch.number == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            trainer.fit_with(&train, fit.report_every(3), stop).unwrap();
        }
        #[cfg(unix)]
        scenario => interrupted::run_scenario(scenario),
        #[cfg(not(unix))]
        scenario => panic!("{scenario}"),
    }
}

pub fn start(scenario: &str) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fit::told::run_scenario", "--nocapture"])
        .env(SCENARIO, scenario)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines.lines().map(Result::unwrap))
}

/// The lines of epochs and notes, without speeds.
fn lines(scenario: &str) -> Vec<String> {
    let (mut child, lines) = start(scenario);
    let all: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success(), "{all:?}");
    // The test harness starts a line of its own.
    let lines = all
        .iter()
        .map(|line| line.strip_prefix("test fit::told::run_scenario ... ").unwrap_or(line));
    let is_ours = |line: &&str| {
        ["epoch", "stopped", "the param", "Early", "no epoch"].iter().any(|s| line.starts_with(s))
    };
    let without_speed = |line: &str| match line.split_once(" examples/s") {
        Some((before, after)) => {
            let (loss, _) = before.rsplit_once("  loss ").unwrap();
            format!("{loss}{after}")
        }
        None => line.to_string(),
    };
    lines.filter(is_ours).map(without_speed).collect()
}

#[test]
fn every_nth_epoch_has_a_line_and_rises_are_marked() {
    let plain = ["epoch  3/10", "epoch  6/10", "epoch  9/10", "epoch 10/10"];
    let warned = lines("wanders");
    for (line, plain) in warned.iter().zip(plain) {
        assert!(line.starts_with(plain), "{line}");
    }
    assert_eq!(warned[0], plain[0]);
    assert_eq!(warned[1], "epoch  6/10  (loss above that of epoch 3)");
    assert_eq!(lines("wanders unwarned"), plain);
}

#[test]
fn an_early_end_is_printed() {
    let expected = [
        "epoch  3/10",
        "stopped early: no better loss for 2 epochs; the parameters are those of epoch 3",
        "Early { best_epoch: 3 }",
    ];
    assert_eq!(lines("stops early"), expected);
    assert_eq!(lines("is stopped"), ["epoch  3/10", "epoch  4/10"]);
}

/// NaN scores are wrong, and a NaN loss is never the best.
#[test]
fn a_validation_loss_of_nan_is_printed() {
    let expected = [
        "epoch 10/10  validation loss NaN  accuracy 0.0000",
        "no epoch is the best: the validation loss is NaN in all of them",
    ];
    assert_eq!(lines("has no best"), expected);
}
