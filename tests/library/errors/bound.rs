//! Misuse through public items: code runs only with the memory that it was compiled for. Optimizers
//! that change, exchanged trainings and models, networks whose arrays differ from their
//! declarations.

use std::sync::Arc;

use std::sync::atomic::{AtomicUsize, Ordering};

use bilro::ndarray::{Array2, ArrayView2, ArrayViewD, ArrayViewMutD};
use bilro::network::{FromExamples, Network, Trainable};
use bilro::prelude::*;
use bilro_compiler::error::Error as CompileError;
use bilro_compiler::graph::{NodeId, Root};
use bilro_compiler::ops;
use bilro_compiler::ops::step_scalar::{RANDOM_BATCH, StepScalar};
use bilro_compiler::optim::{Clip, Optimizer, Update, WrongNumber};

use super::*;

/// An optimizer whose update is defined by the test.
struct Odd<U>(U);

impl<U> std::fmt::Debug for Odd<U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Odd")
    }
}

impl<U: Fn(&mut Update<'_>) -> NodeId + Send + Sync> Optimizer for Odd<U> {
    fn name(&self) -> &'static str {
        "Odd"
    }

    fn check(&self) -> Result<(), WrongNumber> {
        Ok(())
    }

    fn scalar(&self, name: &str, _: u64, _: f32) -> Option<f32> {
        (name == "known").then_some(0.5)
    }

    fn learning_rate(&self) -> f32 {
        0.1
    }

    fn update(&self, u: &mut Update<'_>) -> NodeId {
        (self.0)(u)
    }
}

/// A training by such an optimizer.
fn odd(update: impl Fn(&mut Update<'_>) -> NodeId + Send + Sync + 'static) -> Arc<Training> {
    Arc::new(Training::from(Odd(update)))
}

/// The first examples of the arrays of a test.
fn first(arrays: &Arrays, examples: usize) -> Arrays {
    let cut = bilro::ndarray::Slice::from(..examples);
    let axis = bilro::ndarray::Axis(0);
    Arrays {
        x: arrays.x.slice_axis(axis, cut).to_owned(),
        z: arrays.z.slice_axis(axis, cut).to_owned(),
        t: arrays.t.slice_axis(axis, cut).to_owned(),
    }
}

/// Optimizer state is laid out for one training. Code of another one, compiled
/// for a later batch size, would write past its end.
#[test]
fn steps_of_two_trainings_are_not_mixed() {
    let good = Arrays::good();
    let small = first(&good, 2);
    let [sgd, adam] =
        [Arc::new(Training::from(Sgd::new(0.1))), Arc::new(Training::from(Adam::new(0.1)))];
    let twice = Arc::new(Training::from(Sgd::new(0.1)).with_accumulate(2));
    for backend in BACKENDS {
        let mut engine = Engine::new(network(), backend, 3, 1).unwrap();
        engine.run(&Purpose::Step(sgd.clone()), &good.feeds()).unwrap();
        let before = bits(&engine);
        for purpose in [
            Purpose::Step(adam.clone()),
            Purpose::Step(twice.clone()),
            Purpose::Accumulate { training: twice.clone(), first: true },
        ] {
            for arrays in [&good, &small] {
                let error = engine.run(&purpose, &arrays.feeds()).unwrap_err();
                assert!(matches!(error, Error::OtherTraining { .. }), "{backend:?}: {error}");
                assert_names(&error, &["`Two`", "forget_steps"]);
                assert_eq!(bits(&engine), before, "{backend:?}");
            }
        }
        // The first one continues, with other batches as well.
        engine.run(&Purpose::Step(sgd.clone()), &small.feeds()).unwrap();
        engine.forget_steps();
        engine.run(&Purpose::Step(adam.clone()), &small.feeds()).unwrap();
        engine.run(&Purpose::Step(adam.clone()), &good.feeds()).unwrap();
    }
}

/// A training that has not made a step does not prevent another's.
#[test]
fn a_first_step_that_fails_binds_nothing() {
    let good = Arrays::good();
    let wrong = odd(|u| {
        u.g.add_root(Root::Assign(1000), u.gradient);
        u.gradient
    });
    let sgd = Arc::new(Training::from(Sgd::new(0.1)));
    for backend in BACKENDS {
        let mut engine = Engine::new(network(), backend, 3, 1).unwrap();
        let before = bits(&engine);
        engine.run(&Purpose::Step(wrong.clone()), &good.feeds()).unwrap_err();
        assert_eq!(bits(&engine), before);
        engine.run(&Purpose::Step(sgd.clone()), &good.feeds()).unwrap();
    }
}

/// A later call of `update` declares more state, or different state at the same
/// indices.
#[test]
fn an_update_with_different_state_in_a_later_call_is_rejected() {
    let good = Arrays::good();
    let small = first(&good, 2);
    for backend in BACKENDS {
        // The network has 4 parameters, and each step calls `update` twice at
        // first: for its state, and for its code.
        for (calls, states) in [(4, 1), (8, 0), (8, 2), (8, 40)] {
            let count = AtomicUsize::new(0);
            let training = odd(move |u| {
                let call = count.fetch_add(1, Ordering::Relaxed);
                for i in 0..if call < calls { 1 } else { states } {
                    u.running_mean(&format!("mean {i}"), u.gradient, 0.9);
                }
                let step = u.g.scale(u.gradient, -0.1);
                u.g.add(u.parameter, step)
            });
            let mut engine = Engine::new(network(), backend, 3, 1).unwrap();
            let purpose = Purpose::Step(training.clone());
            engine.run(&purpose, &good.feeds()).unwrap();
            let before = bits(&engine);
            // Less state fits the existing memory.
            match (engine.run(&purpose, &small.feeds()), states) {
                (Ok(_), 0 | 1) => {}
                (Err(Error::Compile(CompileError::Misfit { optimizer, .. })), _) => {
                    assert_eq!(optimizer, "Odd");
                    assert_eq!(bits(&engine), before);
                }
                (other, _) => panic!("{backend:?}, {states} states: {other:?}"),
            }
            if let Backend::Jit = backend {
                // The compiled code stays usable.
                engine.run(&purpose, &good.feeds()).unwrap();
            }
        }
    }
}

#[test]
fn an_update_that_uses_foreign_nodes_is_rejected() {
    let good = Arrays::good();
    let real = |sizes: &[usize]| Type::real(Shape::batched(sizes.to_vec()));
    let input = move |u: &mut Update<'_>, index: usize, ty: Type| {
        let x = u.g.apply(ops::input::Input { index, ty }, &[]);
        let sum = u.g.sum_all(x);
        u.g.add(u.parameter, sum)
    };
    let parameter = |u: &mut Update<'_>, index: usize, sizes: &[usize]| {
        let shape = Shape::unbatched(sizes.to_vec());
        let x = u.g.apply(ops::parameter::Parameter { index, shape }, &[]);
        let sum = u.g.sum_all(x);
        u.g.add(u.parameter, sum)
    };
    // Rows of a table of 10, by a class declared below 10 that is below 4; and
    // by one of a table of 2.
    let gather = |u: &mut Update<'_>, rows: usize| {
        let ty = Type::index(rows, Shape::batched([0usize; 0]));
        let index = u.g.apply(ops::input::Input { index: 2, ty }, &[]);
        let table = u.g.filled(1.0, &Shape::unbatched([rows, 3]));
        let found = u.g.gather(table, index);
        let sum = u.g.sum_all(found);
        u.g.add(u.parameter, sum)
    };
    let setting = |u: &mut Update<'_>, name| {
        let x = u.scalar(name);
        u.g.mul(u.gradient, x)
    };
    let cases: Vec<(&str, Arc<Training>)> = vec![
        ("no input 9", odd(move |u| input(u, 9, real(&[5])))),
        ("`x` is", odd(move |u| input(u, 0, real(&[5000])))),
        ("`t` is", odd(move |u| input(u, 2, real(&[])))),
        ("`t` is", odd(move |u| gather(u, 2))),
        ("`t` is", odd(move |u| gather(u, 10))),
        ("no variable 77", odd(move |u| parameter(u, 77, &[3]))),
        ("is [5, 4], not [500, 400]", odd(move |u| parameter(u, 0, &[500, 400]))),
        (
            "no variable 100",
            odd(|u| {
                u.g.add_root(Root::Assign(1000 + u.parameter.index()), u.gradient);
                u.gradient
            }),
        ),
        ("shape of its leaf", odd(|u| u.g.filled(1.0, &Shape::unbatched([1000, 1000])))),
        (
            "is a duplicate",
            odd(|u| {
                u.g.add_root(Root::Assign(0), u.parameter);
                u.parameter
            }),
        ),
        ("for `unknown`", odd(move |u| setting(u, "unknown"))),
        ("for `random batch`", odd(move |u| setting(u, RANDOM_BATCH))),
        (
            "an update has no switches",
            odd(|u| {
                let by = ops::switch::Selector::Declared(0);
                u.g.apply(ops::switch::Switch { by }, &[u.gradient, u.parameter])
            }),
        ),
        (
            "for `known`",
            odd(|u| {
                let _integer = u.g.apply(StepScalar::integer("known"), &[]);
                u.gradient
            }),
        ),
    ];
    for (expected, training) in &cases {
        for backend in BACKENDS {
            let mut engine = Engine::new(network(), backend, 3, 1).unwrap();
            let before = bits(&engine);
            let error = engine.run(&Purpose::Step(training.clone()), &good.feeds()).unwrap_err();
            let is_it = matches!(error, Error::Compile(CompileError::Misfit { .. }));
            assert!(is_it, "{backend:?}, {expected}: {error:?}");
            assert_names(&error, &[expected, "`Odd`"]);
            assert_eq!(bits(&engine), before, "{expected}");
        }
    }
    let known = odd(move |u| setting(u, "known"));
    let mut engine = Engine::new(network(), Backend::Jit, 3, 1).unwrap();
    engine.run(&Purpose::Step(known.clone()), &good.feeds()).unwrap();
}

#[test]
fn numbers_of_a_training_are_checked_by_the_engine_too() {
    let good = Arrays::good();
    let sgd = || Training::from(Sgd::new(0.1));
    let wrong = [
        ("accumulate", Arc::new(sgd().with_accumulate(0))),
        ("limit", Arc::new(sgd().with_clip(Clip::Norm(f32::NAN)))),
        ("limit", Arc::new(sgd().with_clip(Clip::Value(0.0)))),
        ("learning rate", Arc::new(sgd().with_rates(vec![Some(-1.0)]))),
        ("learning rates", Arc::new(sgd().with_rates(vec![None; 5]))),
        ("learning rate", Arc::new(Training::from(Sgd::new(f32::INFINITY)))),
    ];
    for backend in BACKENDS {
        for (expected, training) in &wrong {
            let mut engine = Engine::new(network(), backend, 3, 1).unwrap();
            let error = engine.run(&Purpose::Step(training.clone()), &good.feeds()).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
            assert_names(&error, &[expected]);
        }
        // Accumulated gradients would overlap momentum.
        let momentum = Arc::new(Training::from(Sgd::new(0.1).momentum(0.9)));
        let mut engine = Engine::new(network(), backend, 3, 1).unwrap();
        let purpose = Purpose::Accumulate { training: momentum.clone(), first: true };
        let error = engine.run(&purpose, &good.feeds()).unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument { found, .. } if found == "1"), "{error}");
    }
}

/// The macro builds such networks, to check them: they have no memory layout.
#[test]
fn a_network_whose_sizes_are_not_numbers_is_rejected() {
    let symbol = || Dim::symbol("N");
    let networks: [fn(&mut Builder, Dim) -> NodeId; 3] = [
        |b, n| b.input("x", Type::real(Shape::batched([n]))).unwrap(),
        |b, n| {
            let x = b.input("x", Type::index(n, Shape::batched([2usize]))).unwrap();
            let none = Attributes::new();
            let one = none.with("embedding_dim", AttributeValue::Size(Dim::Fixed(1)));
            let layer = b.layer(None, "Embedding", &one).unwrap();
            b.apply(layer, (x, "x")).unwrap()
        },
        |b, n| b.parameter("w", vec![n], bilro_compiler::declaration::Init::Full(0.0)).unwrap(),
    ];
    for build in networks {
        let mut b = Builder::new("Open");
        let y = build(&mut b, symbol());
        b.output("y", y).unwrap();
        let error = Engine::new(b.finish().unwrap(), Backend::Jit, 0, 1).unwrap_err();
        assert_names(&error, &["`Open`", "`N`", "must be a number"]);
    }
}

/// A selected index below the first bound could exceed the rows of another
/// alternative's table.
#[test]
fn indices_with_different_bounds_are_not_alternatives() {
    let mut b = Builder::new("Chosen");
    let [few, many] = [("few", 3), ("many", 1000)].map(|(name, below)| {
        b.input(name, Type::index(below, Shape::batched([0usize; 0]))).unwrap()
    });
    let choice = b.choice("table", &["few", "many"]).unwrap();
    let mistake = b.choose(choice, &[(few, "few"), (many, "many")]).unwrap_err();
    assert!(mistake.message.contains("`few` has integers below 3 and `many` below 1000"));
    b.choose(choice, &[(few, "few"), (few, "few")]).unwrap();
}

network! {
    struct Line {
        input x: [2];
        target y: [1];
        output p = x -> Linear(1);
        loss mse_loss(p, y);
    }
}

/// `Trainer::model_mut` lends the model, which a program may exchange.
#[test]
fn models_exchanged_between_trainers_are_not_mixed() {
    let (x, y) = (Array2::<f32>::ones((3, 2)), Array2::<f32>::zeros((3, 1)));
    let rows = |n: usize| {
        let rows = bilro::ndarray::s![..n, ..];
        line::Batch { x: x.slice(rows), y: y.slice(rows) }
    };
    for backend in BACKENDS {
        let mut sgd = Line::trainer(Sgd::new(0.1)).backend(backend).build().unwrap();
        let mut adam =
            Line::trainer(Adam::new(0.1)).backend(backend).accumulate(2).build().unwrap();
        sgd.step(rows(3)).unwrap();
        adam.step(rows(3)).unwrap();
        std::mem::swap(sgd.model_mut(), adam.model_mut());
        for rows in [rows(2), rows(3)] {
            for trainer in [&mut sgd, &mut adam] {
                let error = trainer.step(rows).unwrap_err();
                assert!(matches!(error, Error::OtherTraining { .. }), "{backend:?}: {error}");
            }
        }
        // An untrained model starts anew.
        *adam.model_mut() = Line::model().backend(backend).build().unwrap();
        adam.step(rows(2)).unwrap();
    }
}

/// A hand-written network: it declares [`network`], and returns other arrays.
struct Liar;

#[derive(Clone, Copy)]
struct Given<'a>(&'a [ArrayView2<'a, f32>]);

impl Network for Liar {
    type Batch<'a> = Given<'a>;
    type Input<'a> = Given<'a>;
    type Output = Vec<ArrayD<f32>>;
    type Parameters<'a> = Vec<ArrayViewD<'a, f32>>;
    type ParametersMut<'a> = Vec<ArrayViewMutD<'a, f32>>;
    type Gradients = Vec<ArrayD<f32>>;
    type BatchFeeds<'a> = Vec<Feed<'a>>;
    type InputFeeds<'a> = Vec<Feed<'a>>;
    type Choices = Vec<usize>;

    fn declaration() -> Result<super::Declaration, CompileError> {
        // A different one with every call.
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let inputs = 2 + 50 * (CALLS.fetch_add(1, Ordering::Relaxed) % 2);
        let none = Attributes::new();
        let mut b = Builder::new("Liar");
        let x = b.input("x", Type::real(Shape::batched([inputs]))).unwrap();
        let y = b.target("y", Type::real(Shape::batched([1]))).unwrap();
        let one = none.clone().with("out_features", AttributeValue::Size(Dim::Fixed(1)));
        let linear = b.layer(None, "Linear", &one).unwrap();
        let p = b.apply(linear, (x, "x")).unwrap();
        b.output("p", p).unwrap();
        let loss = b.call("mse_loss", &[(p, "p"), (y, "y")], &none).unwrap();
        b.loss((loss, "loss"), LossReduction::Mean).unwrap();
        b.finish()
    }

    fn batch_feeds<'a>(batch: &'a Given<'_>) -> Vec<Feed<'a>> {
        batch.0.iter().map(|x| Feed::Real(x.view().into_dyn())).collect()
    }

    fn input_feeds<'a>(input: &'a Given<'_>) -> Vec<Feed<'a>> {
        Liar::batch_feeds(input)
    }

    fn batch_choices(_: &Given<'_>) -> Vec<usize> {
        vec![7, 8, 9]
    }

    fn input_choices(_: &Given<'_>) -> Vec<usize> {
        Vec::new()
    }

    fn output(arrays: Vec<ArrayD<f32>>) -> Vec<ArrayD<f32>> {
        arrays
    }

    fn parameters<'a>(views: Vec<ArrayViewD<'a, f32>>) -> Vec<ArrayViewD<'a, f32>> {
        views
    }

    fn parameters_mut<'a>(views: Vec<ArrayViewMutD<'a, f32>>) -> Vec<ArrayViewMutD<'a, f32>> {
        views
    }

    fn gradients(arrays: Vec<ArrayD<f32>>) -> Vec<ArrayD<f32>> {
        arrays
    }

    fn gradient_views(gradients: &Vec<ArrayD<f32>>) -> Vec<ArrayViewD<'_, f32>> {
        gradients.iter().map(|x| x.view()).collect()
    }
}

impl Trainable for Liar {}

impl<'a> FromExamples<ArrayView2<'a, f32>, ArrayView2<'a, f32>> for Given<'a> {
    fn from_examples(_: ArrayView2<'a, f32>, _: ArrayView2<'a, f32>) -> Given<'a> {
        Given(&[])
    }
}

#[test]
fn a_network_that_contradicts_its_declaration_is_rejected() {
    let [short, long, wide] = [(3, 2), (4, 1), (4, 52)].map(Array2::<f32>::zeros);
    let (short, long, wide) = (short.view(), long.view(), wide.view());
    let data =
        data::Dataset::new(Array2::<f32>::zeros((4, 2)), Array2::<f32>::zeros((4, 1))).unwrap();
    let mut fits = 0;
    for _ in 0..2 {
        let mut trainer = Liar::trainer(Adam::new(0.1)).threads(1).build().unwrap();
        for feeds in
            [&[][..], &[short], &[short, long], &[long, long], &[wide, long], &[wide, wide]]
        {
            let stepped = trainer.step(Given(feeds)).is_ok();
            fits += usize::from(stepped);
            assert!(!stepped || (feeds[0] == wide && feeds[1] == long));
            let predicted = trainer.model().predict(Given(feeds));
            assert!(predicted.is_ok() || !stepped, "predict accepts the arrays of a step");
        }
        assert!(trainer.fit(&data, Fit::epochs(1)).is_err());
        assert!(trainer.model().evaluate(&data).is_err());
    }
    assert_eq!(fits, 1, "one of the two networks takes 52 numbers");
}
