//! Weighted and ignored targets: loss and metrics over many batches equal those of one batch with
//! all examples, for any batch size and order of rows. Expected values are PyTorch's definitions,
//! computed here in f64.

use bilro::ndarray::{ArrayView1, ArrayView2, Axis, array};
use bilro::{metrics, tensor};

use super::*;

const BACKENDS: [Backend; 3] = [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32];

/// Three times the sum of 300 independent roundings of half an ulp, `√300 · 2⁻²⁴`.
const ROUNDING: f64 = 3e-6;

network! {
    /// Three classes, of which the first is padding.
    struct Padded {
        input x: [3];
        target y: class(3);
        param b: [3] = zeros;
        output s = x + b;
        loss cross_entropy(s, y, ignore_index = 0);
        metric top_k_accuracy(s, y, 2, ignore_index = 0);
        metric wrong = 1 - accuracy(s, y, ignore_index = 0);
    }
}

network! {
    /// Two classes, of which the second counts ten times.
    struct Weighted {
        input x: [2];
        target y: class(2);
        param b: [2] = zeros;
        output s = x + b;
        loss cross_entropy(s, y, weight = [1, 10]);
        metric nll_loss(s.log_softmax(), y, weight = [1, 10]);
        metric smooth = cross_entropy(s, y, weight = [1, 10], label_smoothing = 0.2);
    }
}

network! {
    /// A sum over all examples.
    struct Summed {
        input x: [3];
        target y: class(3);
        param b: [3] = ones;
        output s = x + b;
        loss sum cross_entropy(s, y);
        metric mean = cross_entropy(s, y);
    }
}

network! {
    /// A class for each of four words, some of which are padding.
    struct Places {
        input x: [4, 3];
        target y: class(3)[4];
        param b: [3] = zeros;
        output s = x + b;
        loss cross_entropy(s, y, ignore_index = 0);
    }
}

network! {
    /// Two losses, one weighted and one ignoring padding, a penalty, and a trained factor.
    struct Several {
        input x: [3];
        target y: class(3);
        param b: [3] = zeros;
        param c: [3] = ones;
        param t: [1] = full(0.5);
        output s = x + b;
        let weighted = cross_entropy(s, y, weight = [1, 2, 4]);
        let padded = nll_loss((2 * x * c).log_softmax(), y, ignore_index = 0);
        loss weighted * exp(-t) + t - 0.25 * (0 - padded) / 2 + 0.1 * c.square().sum();
    }
}

type Rows = data::Classification;

/// Scores of order one, and classes.
fn drawn(examples: usize, classes: usize, seed: u64) -> Rows {
    let mut generator = bilro::rng::Generator::new(seed);
    let mut x = vec![0.0; examples * classes];
    generator.fill_normal(&mut x, 0.0, 2.0);
    let y = (0..examples).map(|_| generator.random_u32() % classes as u32).collect();
    Dataset::new(Array2::from_shape_vec((examples, classes), x).unwrap(), y).unwrap()
}

/// The log-probabilities of classes.
fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let scores: Vec<f64> = scores.iter().map(|x| f64::from(*x)).collect();
    let log = scores.iter().map(|x| x.exp()).sum::<f64>().ln();
    scores.iter().map(|x| x - log).collect()
}

/// PyTorch's weighted mean: `Σ w[y] · f(log p, y) / Σ w[y]`.
fn weighted_mean(
    x: ArrayView2<'_, f32>,
    y: &[u32],
    weight: &[f64],
    f: impl Fn(&[f64], usize) -> f64,
) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for (row, y) in x.outer_iter().zip(y) {
        let y = *y as usize;
        let log_p = log_softmax(row.as_slice().unwrap());
        sum += if weight[y] == 0.0 { 0.0 } else { f(&log_p, y) };
        total += weight[y];
    }
    sum / total
}

fn nll(weight: &[f64]) -> impl Fn(&[f64], usize) -> f64 + use<'_> {
    |log_p, y| -weight[y] * log_p[y]
}

fn assert_near(context: &str, found: f64, expected: f64) {
    let allowed = ROUNDING * expected.abs().max(1.0);
    assert!((found - expected).abs() <= allowed, "{context}: {found} instead of {expected}");
}

/// The examples in orders that batch them differently.
fn orders(data: &Rows) -> [Rows; 3] {
    let n = data.len();
    let sorted = {
        let mut rows: Vec<usize> = (0..n).collect();
        rows.sort_by_key(|row| data.y()[*row]);
        rows
    };
    [(0..n).collect(), (0..n).rev().collect(), sorted].map(|rows: Vec<usize>| {
        Dataset::new(data.x().select(Axis(0), &rows), data.y().select(Axis(0), &rows)).unwrap()
    })
}

/// The loss over the data: of an evaluation, and of epochs with learning rate 0 in batches of
/// several sizes.
fn assert_loss<N>(context: &str, data: &Rows, expected: f64)
where
    N: bilro::Trainable,
    for<'a> N::Batch<'a>: bilro::FromExamples<ArrayView2<'a, f32>, ArrayView1<'a, u32>>,
{
    for (order, data) in orders(data).iter().enumerate() {
        for backend in BACKENDS {
            let context = format!("{context}, order {order}, {backend:?}");
            let mut trainer = N::trainer(Sgd::new(0.0)).backend(backend).build().unwrap();
            assert_near(&context, trainer.model().evaluate(data).unwrap().loss(), expected);
            for batch_size in [1, 7, 100, data.len()] {
                let fit = Fit::epochs(1).batch_size(batch_size).validate(data);
                let epoch = &trainer.fit(data, fit.evaluate_train(true)).unwrap().epochs[0];
                let context = format!("{context}, batches of {batch_size}");
                assert_near(&context, epoch.loss, expected);
                assert_near(&context, epoch.train.as_ref().unwrap().loss, expected);
                assert_near(&context, epoch.validation.as_ref().unwrap().loss, expected);
            }
        }
    }
}

/// 512 rows in two batches of an evaluation: in the first, one target counts, and is predicted
/// wrongly.
fn one_of_257() -> Rows {
    let y = Array1::from_shape_fn(512, |i| match i {
        0 => 1,
        1..256 => 0,
        _ => 1 + (i % 2) as u32,
    });
    let x = Array2::from_shape_fn((512, 3), |(i, class)| match i {
        0 => [0.0, 0.0, 3.0][class],
        _ if class == y[i] as usize => 2.0,
        _ => 0.25,
    });
    Dataset::new(x, y).unwrap()
}

#[test]
fn ignored_targets_count_in_no_batch() {
    let data = one_of_257();
    let weight = [0.0, 1.0, 1.0];
    let y = data.y().to_vec();
    let expected = weighted_mean(data.x(), &y, &weight, nll(&weight));
    assert_loss::<Padded>("padding", &data, expected);
    for data in orders(&data) {
        for backend in BACKENDS {
            let model = Padded::model().backend(backend).build().unwrap();
            let evaluation = model.evaluate(&data).unwrap();
            assert_eq!(evaluation.accuracy(), 256.0 / 257.0, "{backend:?}");
            // The wrong one's target has the third score: of equal scores the first counts as
            // larger.
            assert_eq!(evaluation.metric("top_k_accuracy"), Some(256.0 / 257.0), "{backend:?}");
            assert_eq!(evaluation.metric("wrong"), Some(1.0 - 256.0 / 257.0), "{backend:?}");
        }
    }
}

#[test]
fn class_weights_are_accumulated_over_all_batches() {
    let data = drawn(300, 2, 5);
    let (x, y) = (data.x(), data.y().to_vec());
    let weight = [1.0, 10.0];
    let expected = weighted_mean(x, &y, &weight, nll(&weight));
    assert_loss::<Weighted>("weights", &data, expected);
    // PyTorch divides the smoothing by the weights of the targets too.
    let smooth = weighted_mean(x, &y, &weight, |log_p, y| {
        let all: f64 = log_p.iter().zip(weight).map(|(log_p, w)| -w * log_p).sum();
        0.8 * -weight[y] * log_p[y] + 0.2 / 2.0 * all
    });
    for data in orders(&data) {
        for backend in BACKENDS {
            let model = Weighted::model().backend(backend).build().unwrap();
            let evaluation = model.evaluate(&data).unwrap();
            assert_near("nll_loss", evaluation.metric("nll_loss").unwrap(), expected);
            assert_near("smoothing", evaluation.metric("smooth").unwrap(), smooth);
            // A count divided by a count: exact, also in print.
            let largest = |row: &[f32]| u32::from(row[1] > row[0]);
            let rows = data.x();
            let hits = rows.outer_iter().zip(data.y());
            let hits = hits.filter(|(row, y)| largest(row.as_slice().unwrap()) == **y).count();
            assert_eq!(evaluation.accuracy(), hits as f64 / 300.0);
        }
    }
}

#[test]
fn a_share_of_300_prints_as_it_is() {
    let y = Array1::from_shape_fn(300, |i| u32::from(i % 3 == 0));
    // Two batches; 24 are wrong, most of them in the last.
    let wrong = |i: usize| (270..290).contains(&i) || i < 4;
    let x = Array2::from_shape_fn((300, 2), |(i, class)| {
        f32::from(u8::from((class as u32 == y[i]) != wrong(i)))
    });
    let data = Dataset::new(x, y).unwrap();
    let model = Weighted::model().build().unwrap();
    assert_eq!(model.evaluate(&data).unwrap().accuracy().to_string(), "0.92");
}

#[test]
fn a_loss_sum_is_over_all_examples() {
    let data = drawn(300, 3, 6);
    let (x, y) = (data.x(), data.y().to_vec());
    let mean = weighted_mean(x, &y, &[1.0; 3], nll(&[1.0; 3]));
    assert_loss::<Summed>("sum", &data, 300.0 * mean);
    let model = Summed::model().build().unwrap();
    assert_near("mean", model.evaluate(&data).unwrap().metric("mean").unwrap(), mean);
    // Also in training, without the dropped batches.
    let mut trainer = Summed::trainer(Sgd::new(0.0)).build().unwrap();
    let fit = Fit::epochs(1).batch_size(128).drop_last(true).shuffle(false);
    let history = trainer.fit(&data, fit).unwrap();
    let steps: f64 = history.losses.iter().map(|loss| f64::from(*loss)).sum();
    assert_eq!((history.losses.len(), history.epochs[0].loss), (2, steps));
}

#[test]
fn every_word_counts_by_its_own_class() {
    let flat = drawn(4 * 90, 3, 7);
    let y = Array2::from_shape_fn((90, 4), |(i, index)| flat.y()[4 * i + index]);
    let x = flat.x().to_owned().into_shape_with_order((90, 4, 3)).unwrap();
    let weight = [0.0, 1.0, 1.0];
    let expected = weighted_mean(flat.x(), &flat.y().to_vec(), &weight, nll(&weight));
    let data = Dataset::new(x, y).unwrap();
    for backend in BACKENDS {
        let mut trainer = Places::trainer(Sgd::new(0.0)).backend(backend).build().unwrap();
        assert_near("words", trainer.model().evaluate(&data).unwrap().loss(), expected);
        for batch_size in [1, 7, 90] {
            let fit = Fit::epochs(1).batch_size(batch_size);
            let loss = trainer.fit(&data, fit).unwrap().epochs[0].loss;
            assert_near(&format!("words in batches of {batch_size}"), loss, expected);
        }
    }
}

/// As in PyTorch: each loss is reduced before they are added.
#[test]
fn every_term_has_its_own_mean() {
    let data = drawn(300, 3, 8);
    let (x, y) = (data.x(), data.y().to_vec());
    let doubled = x.mapv(|x| 2.0 * x);
    let (weights, padding) = ([1.0, 2.0, 4.0], [0.0, 1.0, 1.0]);
    let weighted = weighted_mean(x, &y, &weights, nll(&weights));
    let padded = weighted_mean(doubled.view(), &y, &padding, nll(&padding));
    let factor = (-0.5f64).exp();
    let expected = weighted * factor + 0.5 + 0.125 * padded + 0.3;
    assert_loss::<Several>("several", &data, expected);

    for backend in BACKENDS {
        let model = Several::model().backend(backend).build().unwrap();
        let y_view = data.y();
        let gradients = model.gradients(several::Batch { x, y: y_view }).unwrap();
        assert_near("loss", f64::from(gradients.loss), expected);
        // Σ w (p - one-hot) / Σ w, times the factor.
        let total: f64 = y.iter().map(|y| weights[*y as usize]).sum();
        for class in 0..3 {
            let slope: f64 = x
                .outer_iter()
                .zip(&y)
                .map(|(row, y)| {
                    let p = log_softmax(row.as_slice().unwrap())[class].exp();
                    weights[*y as usize] * (p - f64::from(u8::from(*y as usize == class)))
                })
                .sum();
            let found = f64::from(gradients.b[class]);
            assert_near(&format!("b[{class}]"), found, factor * slope / total);
            let counted = y.iter().filter(|y| **y != 0).count() as f64;
            let slope: f64 = x
                .outer_iter()
                .zip(&y)
                .filter(|(_, y)| **y != 0)
                .map(|(row, y)| {
                    let doubled: Vec<f32> = row.iter().map(|x| 2.0 * x).collect();
                    let p = log_softmax(&doubled)[class].exp();
                    let one_hot = f64::from(u8::from(*y as usize == class));
                    2.0 * f64::from(row[class]) * (p - one_hot)
                })
                .sum();
            let found = f64::from(gradients.c[class]);
            assert_near(&format!("c[{class}]"), found, 0.125 * slope / counted + 0.2);
        }
        assert_near("t", f64::from(gradients.t[0]), 1.0 - factor * weighted);
    }
}

#[test]
fn a_batch_without_targets_that_count_is_skipped() {
    let x = drawn(96, 3, 9).x().to_owned();
    let y = Array1::from_shape_fn(96, |i| if i < 32 { 0 } else { 1 + i as u32 % 2 });
    let data = Dataset::new(x, y).unwrap();
    let rest = data.rows(32..).unwrap();
    for backend in BACKENDS {
        let new = || Padded::trainer(Sgd::new(0.1)).backend(backend).build().unwrap();
        let fit = || Fit::epochs(2).batch_size(32).shuffle(false);
        let (mut with, mut without) = (new(), new());
        let history = with.fit(&data, fit().schedule_by_step(ReduceLROnPlateau::new())).unwrap();
        let expected = without.fit(&rest, fit()).unwrap();
        assert!(history.losses[0].is_nan() && history.losses[3].is_nan());
        assert_eq!(history.epochs[0].loss, expected.epochs[0].loss, "{backend:?}");
        assert_eq!(history.epochs[1].loss, expected.epochs[1].loss, "{backend:?}");
        assert_eq!(history.best_epoch, Some(2));
        assert_eq!(with.model().params().b, without.model().params().b, "{backend:?}");
        assert_ne!(with.model().params().b, array![0.0, 0.0, 0.0]);
        // NaN elsewhere is an error even without targets that count.
        let mut x = data.x().to_owned();
        x[[40, 1]] = f32::NAN;
        let broken = Dataset::new(x, data.y().to_owned()).unwrap();
        let error = new().fit(&broken, fit()).unwrap_err();
        // The first batch, without targets that count, made no step.
        assert!(matches!(error, Error::NonFiniteLoss { step: 1, .. }), "{error}");
    }
}

network! {
    /// Two losses of one target, of which one may have no target that counts.
    struct Half {
        input x: [2];
        target y: class(2);
        param b: [2] = zeros;
        param c: [2] = zeros;
        output s = x + b;
        loss cross_entropy(s, y, weight = [0, 1]) + cross_entropy(x + c, y);
    }
}

/// With weights of 0, PyTorch's gradient would be NaN.
#[test]
fn zero_weights_leave_the_other_terms() {
    let data = drawn(40, 2, 10);
    let data = Dataset::new(data.x().to_owned(), Array1::zeros(40)).unwrap();
    let ones = [1.0; 2];
    let other = weighted_mean(data.x(), &[0; 40], &ones, nll(&ones));
    for backend in BACKENDS {
        let mut trainer = Half::trainer(Sgd::new(0.1)).backend(backend).build().unwrap();
        let gradients = trainer.model().gradients(half::Batch { x: data.x(), y: data.y() });
        let gradients = gradients.unwrap();
        assert!(gradients.loss.is_nan());
        assert_eq!(gradients.b, array![0.0, 0.0]);
        assert!(gradients.c[0] < -0.1 && gradients.c[1] > 0.1, "{}", gradients.c);
        trainer.fit(&data, Fit::epochs(1).batch_size(40)).unwrap();
        assert_eq!(trainer.model().params().b, array![0.0, 0.0]);
        assert_near(
            "b",
            f64::from(trainer.model().params().c[0]),
            -0.1 * f64::from(gradients.c[0]),
        );
        // With a target that counts, the mean exists again.
        let mut y = data.y().to_owned();
        y[39] = 1;
        let one = Dataset::new(data.x().to_owned(), y).unwrap();
        let loss = Half::model().backend(backend).build().unwrap().evaluate(&one).unwrap().loss();
        let last = log_softmax(data.x().row(39).as_slice().unwrap());
        assert_near("one", loss, -last[1] + other + (last[0] - last[1]) / 40.0);
    }
}

#[test]
fn a_validation_without_targets_that_count_has_no_best_epoch() {
    let train = drawn(60, 3, 11);
    let nothing = Dataset::new(train.x().to_owned(), Array1::zeros(60)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let mut trainer = Padded::trainer(Sgd::new(0.1)).build().unwrap();
    let fit = Fit::epochs(5).batch_size(20).validate(&nothing).early_stopping(2);
    let fit = fit.restore_best(true).save_best(&path);
    let mut last = None;
    let history = trainer
        .fit_with(&train, fit, |trainer, epoch| {
            assert!(!epoch.is_best);
            last = Some(trainer.model().params().b.to_owned());
        })
        .unwrap();
    assert_eq!((history.epochs.len(), history.stop), (5, Stop::Finished));
    assert_eq!((history.best_epoch, history.best()), (None, None));
    let validation = history.epochs[4].validation.as_ref().unwrap();
    assert!(validation.loss.is_nan() && validation.metric("accuracy").unwrap().is_nan());
    assert_eq!(trainer.model().params().b, last.unwrap());
    assert!(!path.exists());
}

/// `Sgd` with momentum on the mean gradient of each group of batches.
#[test]
fn the_remaining_batches_of_an_epoch_make_an_update_too() {
    let data = drawn(47, 3, 12);
    let batches = [0..10, 10..20, 20..30, 30..40, 40..47];
    for backend in BACKENDS {
        for accumulate in [2, 3, 4, 9] {
            let new = || {
                let sgd = Sgd::new(0.02).momentum(0.9);
                Summed::trainer(sgd).backend(backend).accumulate(accumulate).build().unwrap()
            };
            let (mut trainer, mut by_hand) = (new(), new());
            let fit = Fit::epochs(3).batch_size(10).shuffle(false);
            trainer.fit(&data, fit).unwrap();
            assert_eq!(trainer.apply_accumulated().unwrap(), 0, "nothing is left over");
            let mut model = Summed::model().backend(backend).build().unwrap();
            let mut momentum = Array1::<f32>::zeros(3);
            for _ in 0..3 {
                for group in batches.chunks(accumulate) {
                    let mut mean = Array1::<f32>::zeros(3);
                    for rows in group {
                        let batch = data.rows(rows.clone()).unwrap();
                        let batch = summed::Batch { x: batch.x(), y: batch.y() };
                        mean += &(&model.gradients(batch).unwrap().b / group.len() as f32);
                        by_hand.step(batch).unwrap();
                    }
                    let left = if group.len() < accumulate { group.len() } else { 0 };
                    assert_eq!(by_hand.apply_accumulated().unwrap(), left);
                    momentum = 0.9 * momentum + mean;
                    model.params_mut().b.scaled_add(-0.02, &momentum);
                }
            }
            let found = trainer.model().params().b.to_owned();
            assert_eq!(by_hand.model().params().b, found);
            for (found, expected) in found.iter().zip(model.params().b) {
                let context = format!("{backend:?}, from {accumulate}");
                assert_near(&context, f64::from(*found), f64::from(*expected));
            }
            assert_eq!((trainer.steps(), by_hand.steps()), (15, 15));
        }
    }
}

/// A non-finite sum of gradients would reach the next update.
#[test]
fn gradients_accumulated_before_an_error_are_dropped() {
    let good = drawn(40, 3, 13);
    let mut x = good.x().to_owned();
    x[[15, 1]] = f32::NAN;
    let broken = Dataset::new(x, good.y().to_owned()).unwrap();
    let mut trainer = Summed::trainer(Sgd::new(0.01)).accumulate(4).build().unwrap();
    let fit = || Fit::epochs(1).batch_size(10).shuffle(false);
    let error = trainer.fit(&broken, fit()).unwrap_err();
    assert!(matches!(error, Error::NonFiniteLoss { step: 2, .. }), "{error}");
    assert_eq!(trainer.model().params().b, array![1.0, 1.0, 1.0]);
    let mut fresh = Summed::trainer(Sgd::new(0.01)).accumulate(4).build().unwrap();
    trainer.fit(&good, fit()).unwrap();
    fresh.fit(&good, fit()).unwrap();
    assert_eq!(trainer.model().params().b, fresh.model().params().b);
}

network! {
    /// Every accuracy, of the scores themselves.
    struct Ranks {
        input s: [3];
        target y: class(3);
        param b: [3] = zeros;
        loss cross_entropy(s + b, y);
        metric accuracy(s, y);
        metric one = top_k_accuracy(s, y, 1);
        metric two = top_k_accuracy(s, y, 2);
        metric three = top_k_accuracy(s, y, 3);
    }
}

#[test]
fn ties_and_nan_have_one_rule() {
    let (nan, infinite) = (f32::NAN, f32::INFINITY);
    let values = [0.0, -0.0, 1.0, -1.0, infinite, -infinite, nan];
    let count = values.len();
    // Every row of three of these, with each target.
    let rows = 3 * count.pow(3);
    let index = |i: usize, column: usize| i / 3 / count.pow(column as u32) % count;
    let s = Array2::from_shape_fn((rows, 3), |(i, column)| values[index(i, column)]);
    let y = Array1::from_shape_fn(rows, |i| i as u32 % 3);
    // Of all rows without NaN each target is the first in a third, regardless of ties.
    let without_nan = (count - 1).pow(3) as f64 / count.pow(3) as f64;
    for (name, k) in [("accuracy", 1), ("one", 1), ("two", 2), ("three", 3)] {
        let expected = without_nan * f64::from(k) / 3.0;
        for backend in BACKENDS {
            let model = Ranks::model().backend(backend).build().unwrap();
            let data = Dataset::new(s.clone(), y.clone()).unwrap();
            let found = model.evaluate(&data).unwrap().metric(name).unwrap();
            assert_eq!(found, expected, "{name}, {backend:?}");
            // Row by row, against the runtime's count.
            for i in (0..rows).step_by(7) {
                let data = data.rows(i..i + 1).unwrap();
                let found = model.evaluate(&data).unwrap().metric(name).unwrap();
                let own = metrics::top_k_accuracy(&data.x(), &data.y(), k as usize).unwrap();
                assert_eq!(found, own, "{name}, {backend:?}, {} for {}", data.x(), data.y());
            }
        }
        assert_eq!(metrics::top_k_accuracy(&s, &y, k as usize).unwrap(), expected);
    }
    let confusion = metrics::ConfusionMatrix::of_scores(&s, &y).unwrap();
    assert_eq!(confusion.accuracy(), metrics::accuracy(&s, &y).unwrap());
    let classes = metrics::predicted_classes(&s).unwrap();
    assert_eq!(classes, tensor::argmax(&s, -1).unwrap());
    // If all are numbers, the predicted class is the correct one.
    for ((row, y), class) in s.outer_iter().zip(&y).zip(&classes) {
        let row = row.insert_axis(Axis(0));
        let is_right = metrics::accuracy(&row, &Array1::from_elem(1, *y)).unwrap() == 1.0;
        let is_number = row.iter().all(|x| !x.is_nan());
        assert_eq!(is_right, is_number && class == y, "{row} for {y}");
    }
    // All scores equal, or all NaN, predict one class.
    let equal = Array2::from_elem((3, 3), 7.0);
    assert_eq!(metrics::accuracy(&equal, &array![0, 1, 2]).unwrap(), 1.0 / 3.0);
}
