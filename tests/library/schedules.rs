//! Schedules against those of torch 2.15.0, from a learning rate of 0.1; a
//! trainer that follows one compiles nothing again.

use bilro::prelude::*;
use bilro::schedule::{
    CosineAnnealingLR, CosineAnnealingWarmRestarts, ExponentialLR, LinearLR, MultiStepLR,
    OneCycleLR, ReduceLROnPlateau, Schedule, StepLR,
};
use bilro::{Error, data};

fn assert_rates(context: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{context}");
    for (time, (x, y)) in found.iter().zip(expected).enumerate() {
        // Rounded to f32; the cosine's own rounding is visible near 0.
        let fits = (f64::from(*x) - y).abs() <= 1e-7 * y.abs() + 1e-9;
        assert!(fits, "{context} at {time}: {x} instead of {y}");
    }
}

#[test]
fn learning_rates_are_pytorchs() {
    let cases: Vec<(Box<dyn Schedule>, Vec<f64>)> = vec![
        (
            Box::new(StepLR::new(3).gamma(0.5)),
            vec![0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125],
        ),
        (
            Box::new(MultiStepLR::new(&[6, 2, 5])),
            vec![0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.0001, 0.0001, 0.0001],
        ),
        (Box::new(ExponentialLR::new(0.9)), vec![0.1, 0.09, 0.081, 0.0729, 0.06561, 0.059049]),
        (
            Box::new(CosineAnnealingLR::new(5).eta_min(0.01)),
            vec![
                0.1,
                0.0914057647,
                0.0689057647,
                0.0410942353,
                0.0185942353,
                0.01,
                0.0185942353,
                0.0410942353,
                0.0689057647,
                0.0914057647,
                0.1,
                0.0914057647,
                0.0689057647,
            ],
        ),
        (
            Box::new(CosineAnnealingWarmRestarts::new(4)),
            vec![
                0.1,
                0.0853553391,
                0.05,
                0.0146446609,
                0.1,
                0.0853553391,
                0.05,
                0.0146446609,
                0.1,
                0.0853553391,
            ],
        ),
        (
            Box::new(CosineAnnealingWarmRestarts::new(2).t_mult(2).eta_min(0.01)),
            vec![
                0.1,
                0.055,
                0.1,
                0.0868198052,
                0.055,
                0.0231801948,
                0.1,
                0.096574579,
                0.0868198052,
                0.0722207545,
                0.055,
                0.0377792455,
                0.0231801948,
                0.013425421,
                0.1,
                0.0991353376,
            ],
        ),
        (
            Box::new(LinearLR::new(5)),
            vec![0.0333333333, 0.0466666667, 0.06, 0.0733333333, 0.0866666667, 0.1, 0.1, 0.1],
        ),
        (
            Box::new(LinearLR::new(4).start_factor(0.1).end_factor(0.8)),
            vec![0.01, 0.0275, 0.045, 0.0625, 0.08, 0.08, 0.08],
        ),
        (
            Box::new(OneCycleLR::new(1.0, 10)),
            vec![
                0.04,
                0.52,
                1.0,
                0.950484632,
                0.811745654,
                0.611262022,
                0.388741978,
                0.188258346,
                0.049519368,
                4e-06,
            ],
        ),
        (
            Box::new(
                OneCycleLR::new(0.5, 12).pct_start(0.25).div_factor(10.0).final_div_factor(100.0),
            ),
            vec![
                0.05,
                0.275,
                0.5,
                0.484938232,
                0.4415696,
                0.375125,
                0.293618632,
                0.206881368,
                0.125375,
                0.0589304003,
                0.015561768,
                0.0005,
            ],
        ),
        (
            Box::new(LinearLR::new(3).start_factor(0.1).then(3, CosineAnnealingLR::new(6))),
            vec![0.01, 0.04, 0.07, 0.1, 0.0933012702, 0.075, 0.05, 0.025, 0.00669872981],
        ),
    ];
    for (schedule, expected) in cases {
        schedule.check().unwrap();
        let rates = (0..expected.len()).map(|time| schedule.learning_rate(0.1, time));
        assert_rates(&format!("{schedule:?}"), &rates.collect::<Vec<_>>(), &expected);
    }
}

#[test]
fn plateaus_are_pytorchs() {
    let losses =
        [1.0, 0.9, 0.9, 0.95, 0.89995, 0.9, 0.91, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6];
    let cases: Vec<(ReduceLROnPlateau, Vec<f64>)> = vec![
        (
            ReduceLROnPlateau::new().factor(0.5).patience(2),
            vec![
                0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025,
                0.0125, 0.0125,
            ],
        ),
        (
            ReduceLROnPlateau::new().patience(0).cooldown(2).min_lr(0.0005).absolute_threshold(0.2),
            vec![
                0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001, 0.001, 0.0005, 0.0005, 0.0005,
                0.0005, 0.0005, 0.0005, 0.0005,
            ],
        ),
        (
            ReduceLROnPlateau::new().larger_is_better().factor(0.5).patience(1),
            vec![
                0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625, 0.00625,
                0.003125, 0.003125, 0.0015625, 0.0015625, 0.00078125,
            ],
        ),
    ];
    for (mut schedule, expected) in cases {
        let context = format!("{schedule:?}");
        schedule.check().unwrap();
        let rates = losses.iter().enumerate().map(|(time, loss)| {
            let rate = schedule.learning_rate(0.1, time);
            schedule.observe(time, *loss);
            rate
        });
        assert_rates(&context, &rates.collect::<Vec<_>>(), &expected);
    }
}

#[test]
fn a_plateau_after_a_warm_up_observes_its_own_time_only() {
    let plateau = ReduceLROnPlateau::new().patience(1).factor(0.5);
    let mut schedule = LinearLR::new(4).then(4, plateau);
    for time in 0..6 {
        schedule.observe(time, 1.0);
    }
    // The first loss is the best, the second is within the threshold.
    assert_eq!(schedule.learning_rate(0.1, 6), 0.1);
    schedule.observe(6, 1.0);
    assert_eq!(schedule.learning_rate(0.1, 7), 0.05);
}

#[test]
fn nan_is_no_improvement() {
    let mut schedule = ReduceLROnPlateau::new().patience(0);
    schedule.observe(0, f64::NAN);
    assert_eq!(schedule.learning_rate(0.1, 1), 0.01);
    schedule.observe(1, 1.0);
    assert_eq!(schedule.learning_rate(0.1, 2), 0.01);
}

#[test]
fn distant_times_have_learning_rates() {
    let schedules: Vec<Box<dyn Schedule>> = vec![
        Box::new(StepLR::new(3)),
        Box::new(MultiStepLR::new(&[7, 3])),
        Box::new(ExponentialLR::new(0.9)),
        Box::new(CosineAnnealingLR::new(5)),
        Box::new(CosineAnnealingWarmRestarts::new(2).t_mult(3)),
        Box::new(LinearLR::new(5)),
        Box::new(OneCycleLR::new(0.1, 10)),
        Box::new(OneCycleLR::new(0.1, 10).pct_start(0.1)),
        Box::new(OneCycleLR::new(0.1, 10).pct_start(1.0)),
        Box::new(OneCycleLR::new(0.1, 1)),
        Box::new(OneCycleLR::new(0.1, 3).pct_start(0.0)),
    ];
    for schedule in schedules {
        for time in [0, 1, 1_000_000, usize::MAX] {
            let rate = schedule.learning_rate(0.1, time);
            assert!((0.0..=0.1).contains(&rate), "{schedule:?} at {time}: {rate}");
        }
    }
}

network! {
    struct Digits {
        input image: [64];
        target digit: class(10);
        output logits = image -> Linear(16) -> ReLU -> Linear(10);
        loss cross_entropy(logits, digit);
    }
}

#[test]
fn invalid_options_are_reported_and_change_nothing() {
    let cases: Vec<(Box<dyn Schedule>, &str)> = vec![
        (Box::new(StepLR::new(0)), "step_size must be at least 1, but is 0"),
        (Box::new(MultiStepLR::new(&[1]).gamma(f64::NAN)), "gamma must be"),
        (Box::new(ExponentialLR::new(-0.5)), "but is -0.5"),
        (Box::new(CosineAnnealingLR::new(0)), "t_max must be at least 1"),
        (Box::new(CosineAnnealingWarmRestarts::new(0)), "t_0 must be at least 1"),
        (Box::new(CosineAnnealingWarmRestarts::new(1).t_mult(0)), "t_mult must be at least 1"),
        (Box::new(LinearLR::new(0)), "total_iters must be at least 1"),
        (Box::new(LinearLR::new(1).start_factor(f64::INFINITY)), "start_factor must be"),
        (Box::new(OneCycleLR::new(0.1, 0)), "total_steps must be at least 1"),
        (Box::new(OneCycleLR::new(0.1, 9).pct_start(1.5)), "between 0 and 1, but is 1.5"),
        (Box::new(OneCycleLR::new(0.1, 9).div_factor(0.0)), "div_factor must be"),
        (Box::new(ReduceLROnPlateau::new().factor(1.0)), "below 1, but is 1"),
        (Box::new(LinearLR::new(2).then(2, StepLR::new(0))), "step_size"),
    ];
    let mut trainer = Digits::trainer(Sgd::new(0.1)).build().unwrap();
    for (schedule, expected_text) in cases {
        match trainer.follow(&*schedule, 3) {
            Err(error @ Error::InvalidArgument { .. }) => {
                assert!(
                    error.to_string().contains(expected_text),
                    "`{expected_text}` is not in: {error}"
                );
            }
            other => panic!("{schedule:?}: {other:?}"),
        }
        assert_eq!(trainer.learning_rate(), 0.1);
    }
}

/// Counts the files that `BILRO_DUMP` writes, one per compilation. The variable
/// is read at each compilation, so this runs in a process of its own.
#[test]
fn following_a_schedule_compiles_once() {
    const FOLDER: &str = "BILRO_DUMP_DIR";
    // Set for this process only.
    const INNER: &str = "BILRO_TEST_OF_SCHEDULES";
    if std::env::var_os(INNER).is_none() {
        let folder = std::env::temp_dir().join(format!("bilro-schedules-{}", std::process::id()));
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "schedules::following_a_schedule_compiles_once"])
            .env("BILRO_DUMP", "kernels")
            .env(FOLDER, &folder)
            .env(INNER, "1")
            .status();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(status.unwrap().success());
        return;
    }
    let folder = std::path::PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let count = || std::fs::read_dir(&folder).map_or(0, |files| files.count());
    let digits = data::digits().unwrap();
    let batch = || digits::Batch { image: digits.x(), digit: digits.y() };
    let weight = |t: &mut Trainer<Digits>| t.model().params().linear1.weight.to_owned();
    let mut trainer = Digits::trainer(AdamW::new(0.01)).backend(Backend::Jit).build().unwrap();
    trainer.step(batch()).unwrap();
    let compiled = count();
    assert!(compiled > 0, "nothing in {}", folder.display());
    let schedule = LinearLR::new(3).then(3, CosineAnnealingLR::new(5));
    for time in 0..9 {
        trainer.follow(&schedule, time).unwrap();
        assert_eq!(trainer.learning_rate(), schedule.learning_rate(0.01, time));
        let before = weight(&mut trainer);
        trainer.step(batch()).unwrap();
        // At the end of the cosine the learning rate is 0.
        assert_eq!(weight(&mut trainer) == before, time == 8, "at {time}");
    }
    // Files are named after the compiled purpose: after removal, a compilation
    // would write them again.
    let files = std::fs::read_dir(&folder).unwrap();
    files.for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
    trainer.follow(&schedule, 1).unwrap();
    trainer.step(batch()).unwrap();
    assert_eq!(count(), 0, "a step has been compiled again");
    // The number of compilations is one.
    trainer.model().evaluate(&digits).unwrap();
    assert!(count() > 0);
}

#[test]
fn the_longest_cosine_barely_changes() {
    let schedule = CosineAnnealingLR::new(usize::MAX);
    for time in [0, 1000] {
        assert_eq!(schedule.learning_rate(0.5, time), 0.5);
    }
    assert!(schedule.learning_rate(0.5, usize::MAX - 1) < 1e-6);
}

#[test]
fn schedules_continue_from_their_state() {
    let losses = [1.0, 0.9, 0.9, 0.95, 0.9, 0.9, 0.9, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, f64::NAN];
    let make = || {
        let plateau = || ReduceLROnPlateau::new().patience(1).cooldown(1).factor(0.5);
        plateau().then(5, plateau())
    };
    let mut uninterrupted = make();
    for (time, loss) in losses.into_iter().enumerate() {
        let mut resumed = make();
        // Earlier observations have no effect after restoring.
        (0..9).for_each(|time| resumed.observe(time, 0.1));
        resumed.restore(&uninterrupted.state()).unwrap();
        assert_eq!(resumed.state(), uninterrupted.state());
        let mut restored = make();
        restored.restore(&uninterrupted.state()).unwrap();
        for (time, loss) in (time..).zip(&losses[time..]) {
            resumed.observe(time, *loss);
            restored.observe(time, *loss);
            assert_eq!(resumed.learning_rate(1.0, time), restored.learning_rate(1.0, time));
        }
        uninterrupted.observe(time, loss);
    }
    let before = uninterrupted.state();
    for wrong in [
        &[][..],
        &[-1.0],
        &[0.5],
        &[1e300],
        &[f64::NAN],
        &[4.0, 0.0, 0.0, 0.0],
        &[3.0, 0.0, 0.0, 0.0],
        &[3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5],
        &[3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0],
    ] {
        assert!(uninterrupted.restore(wrong).is_err(), "{wrong:?}");
        assert_eq!(uninterrupted.state(), before);
    }
    assert!(StepLR::new(1).state().is_empty());
    assert!(StepLR::new(1).restore(&[1.0]).is_err());
}
