//! Embeddings: declared, trained, predicted from, and the error for an index
//! without a row.

use bilro::ndarray::{Array, Array1, Array2, Array3, Axis, ShapeBuilder};
use bilro::prelude::*;
use bilro::rng::Generator;

network! {
    /// Sequences of words, a class for each sentence.
    struct Sentences {
        input words: index(40)[6];
        target kind: class(3);
        layer word = Embedding(40, 19);
        output scores = tanh(word(words)).mean(axis = 0) -> Linear(19, 3);
        loss cross_entropy(scores, kind);
    }
}

network! {
    /// One word and one number for each example, with a separate table.
    struct Both {
        input word: index(11);
        input x: [5];
        input pair: index(7)[2, 3];
        target y: [8];
        param table: [7, 4] = normal(0.0, 1.0);
        let seen = word -> Embedding(8);
        let drawn = embedding(pair, table).sum(axis = 0).sum(axis = 0) -> Linear(8);
        output out = seen + (x -> Linear(8)) + drawn;
        loss mse_loss(out, y);
    }
}

network! {
    /// Rows of one number each, and the same layer used twice.
    struct Narrow {
        input word: index(9);
        input others: index(9)[4];
        target y: [1];
        layer score = Embedding(1);
        output out = score(word) + score(others).sum(axis = 0);
        loss mse_loss(out, y);
    }
}

network! {
    /// Words read and predicted by one shared table.
    struct Tied {
        input word: index(30);
        target next: class(30);
        param table: [30, 12] = normal(0.0, 0.5);
        output scores = embedding(word, table).matmul(table.transpose());
        loss cross_entropy(scores, next);
    }
}

network! {
    /// A dictionary of many words.
    struct Dictionary {
        input words: index(50_000)[4];
        target y: [64];
        layer table = Embedding(50_000, 64);
        output mean = table(words).mean(axis = 0);
        loss sum mse_loss(mean, y);
    }
}

fn indices<S: ShapeBuilder>(shape: S, below: u32, seed: u64) -> Array<u32, S::Dim> {
    let mut generator = Generator::new(seed);
    Array::from_shape_simple_fn(shape, || generator.random_u32() % below)
}

fn reals<S: ShapeBuilder>(shape: S, seed: u64) -> Array<f32, S::Dim> {
    let mut generator = Generator::new(seed);
    Array::from_shape_simple_fn(shape, || generator.uniform(-1.0, 1.0))
}

/// Losses of a few steps on each backend, which must agree, and decrease.
fn agree(name: &str, train: impl Fn(Backend, usize) -> Vec<f64>) {
    let reference = train(Backend::Interpreter, 1);
    assert!(reference.last() < reference.first(), "{name} does not learn: {reference:?}");
    for (backend, threads) in [(Backend::Jit, 1), (Backend::Jit, 3), (Backend::InterpreterF32, 1)] {
        let losses = train(backend, threads);
        for (step, (loss, expected)) in losses.iter().zip(&reference).enumerate() {
            let close = (loss - expected).abs() <= 1e-5 * (1.0 + expected.abs());
            assert!(close, "{name} by {backend:?}, step {step}: {loss} instead of {expected}");
        }
    }
}

#[test]
fn machine_code_and_interpreter_learn_the_same() {
    for examples in [1, 7, 32] {
        let words = indices((examples, 6), 40, 1);
        let kind = indices(examples, 3, 2);
        agree("sentences", |backend, threads| {
            let trainer = Sentences::trainer(Sgd::new(0.3)).seed(5);
            let mut trainer = trainer.backend(backend).threads(threads).build().unwrap();
            let batch = || sentences::Batch { words: words.view(), kind: kind.view() };
            (0..20).map(|_| f64::from(trainer.step(batch()).unwrap())).collect()
        });

        let word = indices(examples, 11, 3);
        let x = reals((examples, 5), 4);
        let pair = indices((examples, 2, 3), 7, 5);
        let y = reals((examples, 8), 6);
        agree("both", |backend, threads| {
            let trainer = Both::trainer(Sgd::new(0.02)).seed(5);
            let mut trainer = trainer.backend(backend).threads(threads).build().unwrap();
            let batch =
                || both::Batch { word: word.view(), x: x.view(), pair: pair.view(), y: y.view() };
            (0..20).map(|_| f64::from(trainer.step(batch()).unwrap())).collect()
        });

        let word = indices(examples, 9, 7);
        let others = indices((examples, 4), 9, 8);
        let y = reals((examples, 1), 9);
        agree("narrow", |backend, threads| {
            let trainer = Narrow::trainer(Sgd::new(0.02)).seed(5);
            let mut trainer = trainer.backend(backend).threads(threads).build().unwrap();
            let batch = || narrow::Batch { word: word.view(), others: others.view(), y: y.view() };
            (0..20).map(|_| f64::from(trainer.step(batch()).unwrap())).collect()
        });

        let word = indices(examples, 30, 10);
        let next = indices(examples, 30, 11);
        agree("tied", |backend, threads| {
            let trainer = Tied::trainer(Sgd::new(0.2)).seed(5);
            let mut trainer = trainer.backend(backend).threads(threads).build().unwrap();
            let batch = || tied::Batch { word: word.view(), next: next.view() };
            (0..20).map(|_| f64::from(trainer.step(batch()).unwrap())).collect()
        });
    }
}

/// The test `rng` compares the initialiser with PyTorch's; this one checks that
/// the layer uses it.
#[test]
fn a_table_is_initialised_as_in_pytorch() {
    let model = Sentences::model().seed(3).build().unwrap();
    let weight = model.params().word.weight.to_owned();
    let mut expected = vec![0.0; 40 * 19];
    bilro::rng::init::embedding_weight(&mut Generator::new(3), &mut expected);
    assert_eq!(weight.dim(), (40, 19));
    assert!(weight.iter().eq(&expected));
    insta::assert_snapshot!(model.summary(), @r"
    Sentences
    layer    kind               input  output   parameters  multiply-adds
    -------  -----------------  -----  -------  ----------  -------------
    word     Embedding(40, 19)  [6]    [6, 19]         760              0
    linear1  Linear(19, 3)      [19]   [3]              60             57
    820 parameters, 57 multiply-adds for one example forward
    ");
}

/// Also if the number of rows is inferred.
#[test]
fn a_table_prints_as_in_pytorch() {
    let model = Narrow::model().build().unwrap();
    assert_eq!(model.to_string(), "Narrow(\n  (score): Embedding(9, 1)\n)");
    assert!(model.summary().contains("Embedding(9, 1)"), "{}", model.summary());
}

#[test]
fn rows_are_those_of_the_table() {
    let model = Both::model().seed(1).build().unwrap();
    let (word, pair) = (indices(9, 11, 1), indices((9, 2, 3), 7, 2));
    let x = Array2::<f32>::zeros((9, 5));
    let input = both::Input { word: word.view(), x: x.view(), pair: pair.view() };
    let out = model.predict(input).unwrap().out;
    let params = model.params();
    for (i, row) in out.outer_iter().enumerate() {
        let mut drawn = Array1::<f32>::zeros(4);
        pair.index_axis(Axis(0), i).iter().for_each(|j| drawn += &params.table.row(*j as usize));
        let expected = &params.embedding1.weight.row(word[i] as usize)
            + &params.linear2.bias
            + drawn.dot(&params.linear1.weight)
            + params.linear1.bias;
        let same = row.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(same, "{row} instead of {expected}");
    }
}

#[test]
fn an_index_without_a_row_is_named_and_changes_nothing() {
    for backend in [Backend::Jit, Backend::Interpreter] {
        let mut trainer = Sentences::trainer(Sgd::new(0.3)).backend(backend).build().unwrap();
        let before = trainer.model().params().word.weight.to_owned();
        let kind = Array1::zeros(5);
        for (index, row) in [([0, 0], 0), ([3, 5], 3), ([4, 1], 4)] {
            let mut words = Array2::zeros((5, 6));
            words[index] = 40;
            let batch = sentences::Batch { words: words.view(), kind: kind.view() };
            let message = format!(
                "`words` has index 40 at row {row}, but its indices are below 40, since they count \
                 from 0: where yours begin at 1, take 1 from all of them (labels of a data set: \
                 `data.map_y(|y| y - 1)?`)"
            );
            assert_eq!(trainer.step(batch).unwrap_err().to_string(), message);
            // Rows that are not contiguous.
            let strided = words.t().as_standard_layout().into_owned();
            let batch = sentences::Batch { words: strided.t(), kind: kind.view() };
            assert_eq!(trainer.step(batch).unwrap_err().to_string(), message);
            let input = sentences::Input { words: words.view() };
            assert_eq!(trainer.model().predict(input).unwrap_err().to_string(), message);
        }
        assert_eq!(trainer.model().params().word.weight, before);
    }
    let model = Both::model().build().unwrap();
    let (word, x) = (Array1::zeros(3), Array2::zeros((3, 5)));
    let mut pair = Array3::zeros((3, 2, 3));
    pair[[2, 0, 1]] = u32::MAX;
    let input = both::Input { word: word.view(), x: x.view(), pair: pair.view() };
    assert_eq!(
        model.predict(input).unwrap_err().to_string(),
        "`pair` has index 4294967295 at row 2, but its indices are below 7"
    );
}

/// A step changes only the rows of a large table that it reads.
#[test]
fn large_tables_are_read_and_updated_by_row() {
    let words = indices((16, 4), 50_000, 1);
    let y = reals((16, 64), 2);
    let mut trainer = Dictionary::trainer(Sgd::new(0.5)).seed(1).threads(2).build().unwrap();
    let before = trainer.model().params().table.weight.to_owned();
    let batch = || dictionary::Batch { words: words.view(), y: y.view() };
    let mean = trainer.model().predict(dictionary::Input { words: words.view() }).unwrap().mean;
    for _ in 0..3 {
        trainer.step(batch()).unwrap();
    }
    let read: std::collections::HashSet<u32> = words.iter().copied().collect();
    let model = trainer.model();
    let after = model.params().table.weight;
    for (i, (before, after)) in before.outer_iter().zip(after.outer_iter()).enumerate() {
        assert_eq!(before != after, read.contains(&(i as u32)), "row {i}");
    }
    let expected: f32 = words.row(3).iter().map(|word| before[[*word as usize, 5]]).sum();
    assert!((mean[[3, 5]] - expected / 4.0).abs() < 1e-5);
}
