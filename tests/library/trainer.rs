//! A trainer's options besides its optimizer, against numbers computed from the
//! network's own gradients: clipping, accumulation, per-layer learning rates;
//! in machine code and in the interpreter.

use bilro::engine::Engine;
use bilro::ndarray::{Array1, Array2, ArrayD, Axis, array, concatenate};
use bilro::network::Feed;
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro::{Error, Optimizer, TrainerBuilder};
use bilro_compiler::purpose::Purpose;

mod guard;

network! {
    struct Mlp {
        input x: [6];
        target y: [3];
        layer fc1 = Linear(6, 8);
        layer fc2 = Linear(3);
        output out = fc2(tanh(fc1(x)));
        loss mse_loss(out, y);
    }
}

const BACKENDS: [Backend; 3] = [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32];

/// The rounding of a few operations on numbers of order one.
const ROUNDING: f32 = 1e-6;

type Values = Vec<ArrayD<f32>>;

/// The builder for continued training of a model.
type Again = TrainerBuilder<Mlp, Model<Mlp>>;

struct Examples {
    x: Array2<f32>,
    y: Array2<f32>,
}

impl Examples {
    fn new(count: usize, seed: u64) -> Examples {
        let mut generator = Generator::new(seed);
        let mut normal = |columns| {
            let mut x = vec![0.0; count * columns];
            generator.fill_normal(&mut x, 0.0, 1.0);
            Array2::from_shape_vec((count, columns), x).unwrap()
        };
        Examples { x: normal(6), y: normal(3) }
    }

    fn batch(&self) -> mlp::Batch<'_> {
        mlp::Batch { x: self.x.view(), y: self.y.view() }
    }
}

fn mlp(sgd: Sgd, backend: Backend) -> TrainerBuilder<Mlp> {
    Mlp::trainer(sgd).seed(5).threads(1).backend(backend)
}

fn parameters(trainer: &mut Trainer<Mlp>) -> Values {
    trainer.model().named_parameters().map(|(_, values)| values.to_owned()).collect()
}

/// In the order of parameters.
fn gradients(trainer: &mut Trainer<Mlp>, examples: &Examples) -> Values {
    let gradients = trainer.model().gradients(examples.batch()).unwrap().into_inner();
    vec![
        gradients.fc1.weight.into_dyn(),
        gradients.fc1.bias.into_dyn(),
        gradients.fc2.weight.into_dyn(),
        gradients.fc2.bias.into_dyn(),
    ]
}

fn assert_near(context: &str, found: &Values, expected: &Values) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (x, y) in found.iter().zip(expected) {
            assert!((x - y).abs() <= ROUNDING * y.abs().max(1.0), "{context}, {i}: {x} and {y}");
        }
    }
}

/// Requires a step with a learning rate of 1/2 to change every parameter by
/// half of `change` of its gradient.
fn assert_step(
    context: &str,
    trainer: &mut Trainer<Mlp>,
    examples: &Examples,
    change: impl Fn(&Values) -> Values,
) {
    let before = parameters(trainer);
    let changes = change(&gradients(trainer, examples));
    trainer.step(examples.batch()).unwrap();
    let expected = before.iter().zip(&changes).map(|(w, g)| w - &(g * 0.5)).collect();
    assert_near(context, &parameters(trainer), &expected);
}

#[test]
fn every_element_of_a_gradient_is_clipped_by_value() {
    let examples = Examples::new(7, 1);
    for backend in BACKENDS {
        let mut trainer = mlp(Sgd::new(0.5), backend).clip_value(0.05).build().unwrap();
        assert_step(&format!("{backend:?}"), &mut trainer, &examples, |gradients| {
            let is_clipped = |x: &f32| x.abs() > 0.05;
            assert!(gradients.iter().flatten().any(is_clipped), "the limit does nothing");
            assert!(!gradients.iter().flatten().all(is_clipped), "the limit does everything");
            gradients.iter().map(|g| g.mapv(|x| x.clamp(-0.05, 0.05))).collect()
        });
    }
}

#[test]
fn gradients_are_clipped_by_their_joint_norm() {
    let examples = Examples::new(7, 1);
    for backend in BACKENDS {
        for (limit, clips) in [(0.25, true), (1e3, false)] {
            let mut trainer = mlp(Sgd::new(0.5), backend).clip_norm(limit).build().unwrap();
            let context = format!("{backend:?} at {limit}");
            assert_step(&context, &mut trainer, &examples, |gradients| {
                let norm = gradients.iter().flatten().map(|x| x * x).sum::<f32>().sqrt();
                assert_eq!(norm > limit, clips, "{norm}");
                let factor = (limit / (norm + 1e-6)).min(1.0);
                gradients.iter().map(|g| g * factor).collect()
            });
        }
    }
}

/// Batches of equal size, so that the mean of their means is the mean of all.
#[test]
fn accumulated_batches_equal_one_step_on_all_of_them() {
    let messages = [2, 3, 4].map(|seed| Examples::new(5, seed));
    let views = |of: fn(&Examples) -> &Array2<f32>| {
        concatenate(
            Axis(0),
            &messages.iter().map(|message_part| of(message_part).view()).collect::<Vec<_>>(),
        )
        .unwrap()
    };
    let all = Examples {
        x: views(|message_part| &message_part.x),
        y: views(|message_part| &message_part.y),
    };
    for backend in BACKENDS {
        let sgd = || Sgd::new(0.1).momentum(0.9);
        // The norm of the mean, not of a batch's gradients.
        let mut one = mlp(sgd(), backend).clip_norm(0.3).build().unwrap();
        let mut several = mlp(sgd(), backend).clip_norm(0.3).accumulate(3).build().unwrap();
        for update in 0..4 {
            let before = parameters(&mut several);
            for message_part in &messages {
                assert_eq!(parameters(&mut several), before, "{backend:?}: an update too early");
                several.step(message_part.batch()).unwrap();
            }
            assert_ne!(parameters(&mut several), before, "{backend:?}: no update");
            one.step(all.batch()).unwrap();
            let context = format!("{backend:?}, update {update}");
            assert_near(&context, &parameters(&mut several), &parameters(&mut one));
        }
        assert_eq!((one.steps(), several.steps()), (4, 12));
    }
}

#[test]
fn layers_and_parameters_have_separate_learning_rates() {
    let examples = Examples::new(7, 1);
    for backend in BACKENDS {
        let builder = mlp(Sgd::new(0.5), backend);
        let builder = builder.scale_learning_rate("fc1", 0.25).scale_learning_rate("fc2.bias", 3.0);
        let mut trainer = builder.build().unwrap();
        assert_step(&format!("{backend:?}"), &mut trainer, &examples, |gradients| {
            gradients.iter().zip([0.25, 0.25, 1.0, 3.0]).map(|(g, rate)| g * rate).collect()
        });
        // The last call for a parameter counts.
        let builder =
            mlp(Sgd::new(0.5), backend).freeze("fc1").scale_learning_rate("fc1.bias", 2.0);
        let mut trainer = builder.freeze("fc2.weight").build().unwrap();
        assert_step(&format!("{backend:?}"), &mut trainer, &examples, |gradients| {
            gradients.iter().zip([0.0, 2.0, 0.0, 1.0]).map(|(g, rate)| g * rate).collect()
        });
    }
}

/// Without weight decay or momentum.
#[test]
fn frozen_parameters_do_not_change() {
    let examples = Examples::new(7, 1);
    for backend in BACKENDS {
        let builder = Mlp::trainer(AdamW::new(0.1).weight_decay(0.5)).seed(5).backend(backend);
        let mut trainer = builder.freeze("fc2").freeze("fc1.bias").build().unwrap();
        let before = parameters(&mut trainer);
        for _ in 0..5 {
            trainer.step(examples.batch()).unwrap();
        }
        let after = parameters(&mut trainer);
        assert_ne!(after[0], before[0], "{backend:?}");
        assert_eq!(after[1..], before[1..], "{backend:?}");
    }
}

/// Adam's step depends not on the size of gradients but on a layer's learning
/// rate: the first step equals it, up to eps.
#[test]
fn learning_rates_scale_steps_and_decoupled_decay_of_adam() {
    let examples = Examples::new(7, 1);
    for backend in BACKENDS {
        let adam = AdamW::new(0.01).weight_decay(0.5).eps(0.0);
        let builder = Mlp::trainer(adam).seed(5).backend(backend).scale_learning_rate("fc1", 0.5);
        let mut trainer = builder.build().unwrap();
        let before = parameters(&mut trainer);
        let gradients = gradients(&mut trainer, &examples);
        trainer.step(examples.batch()).unwrap();
        let expected = before.iter().zip(&gradients).zip([0.005, 0.005, 0.01, 0.01]);
        let expected =
            expected.map(|((w, g), rate)| w * (1.0 - rate * 0.5) - g.mapv(f32::signum) * rate);
        assert_near(&format!("{backend:?}"), &parameters(&mut trainer), &expected.collect());
    }
}

/// Each optimizer starts with new state.
#[test]
fn optimizers_of_several_kinds_fit_in_one_list() {
    let examples = Examples::new(5, 3);
    let kinds: [Box<dyn Optimizer>; 2] =
        [Box::new(Sgd::new(0.1).momentum(0.9)), Box::new(Adam::new(0.1))];
    let boxed = kinds.map(|optimizer| Mlp::trainer(optimizer).seed(5).build().unwrap());
    let plain = [Mlp::trainer(Sgd::new(0.1).momentum(0.9)), Mlp::trainer(Adam::new(0.1))]
        .map(|builder| builder.seed(5).build().unwrap());
    for (mut boxed, mut plain) in boxed.into_iter().zip(plain) {
        for rate in [0.1, 0.03] {
            boxed.set_learning_rate(rate).unwrap();
            plain.set_learning_rate(rate).unwrap();
            assert_eq!(
                boxed.step(examples.batch()).unwrap(),
                plain.step(examples.batch()).unwrap()
            );
        }
        assert_eq!(boxed.learning_rate(), 0.03);
        assert_eq!(parameters(&mut boxed), parameters(&mut plain));
    }
    let wrong: Box<dyn Optimizer> = Box::new(Sgd::new(-1.0));
    assert!(matches!(Mlp::trainer(wrong).build(), Err(Error::InvalidArgument { .. })));
}

#[test]
fn a_new_trainer_of_a_model_starts_with_new_state() {
    let examples = Examples::new(7, 1);
    let mut first = Mlp::trainer(Adam::new(0.01)).seed(5).build().unwrap();
    first.step(examples.batch()).unwrap();
    let before = parameters(&mut first);
    let mut second = first.into_model().into_trainer(Adam::new(0.01).eps(0.0)).build().unwrap();
    assert_eq!(parameters(&mut second), before);
    let gradients = gradients(&mut second, &examples);
    second.step(examples.batch()).unwrap();
    let expected = before.iter().zip(&gradients).map(|(w, g)| w - g.mapv(f32::signum) * 0.01);
    assert_near("the first step again", &parameters(&mut second), &expected.collect());
}

/// Like the trainer of a new model of the same seed.
#[test]
fn an_existing_model_trains_with_all_options_of_a_trainer() {
    let examples = Examples::new(7, 1);
    for backend in BACKENDS {
        let adam = || AdamW::new(0.05).weight_decay(0.1);
        let new = Mlp::trainer(adam()).seed(5).threads(1).backend(backend);
        let mut new = new
            .clip_norm(0.3)
            .freeze("fc2.bias")
            .scale_learning_rate("fc1", 0.5)
            .accumulate(2)
            .build()
            .unwrap();
        let model = Mlp::model().seed(5).threads(1).backend(backend).build().unwrap();
        let mut old = model
            .into_trainer(adam())
            .clip_norm(0.3)
            .freeze("fc2.bias")
            .scale_learning_rate("fc1", 0.5)
            .accumulate(2)
            .build()
            .unwrap();
        let start = parameters(&mut new);
        for _ in 0..4 {
            let losses = [&mut new, &mut old].map(|t| t.step(examples.batch()).unwrap());
            assert_eq!(losses[0].to_bits(), losses[1].to_bits());
        }
        assert_eq!(parameters(&mut old), parameters(&mut new), "{backend:?}");
        let moved: Vec<bool> =
            parameters(&mut old).iter().zip(&start).map(|(now, before)| now != before).collect();
        assert_eq!(moved, [true, true, true, false], "{backend:?}");
        // Clipping by value as well.
        let clipped = old.into_model().into_trainer(Sgd::new(0.5)).clip_value(0.05).build();
        assert_step("by value", &mut clipped.unwrap(), &examples, |gradients| {
            gradients.iter().map(|g| g.mapv(|x| x.clamp(-0.05, 0.05))).collect()
        });
    }
}

#[test]
fn a_failed_build_returns_the_model() {
    let examples = Examples::new(7, 1);
    let mut first = Mlp::trainer(Adam::new(0.01)).seed(5).build().unwrap();
    first.step(examples.batch()).unwrap();
    let expected = parameters(&mut first);
    let mut model = first.into_model();
    let builders: [fn(Model<Mlp>) -> Again; 5] = [
        |model| model.into_trainer(Sgd::new(-1.0)),
        |model| model.into_trainer(Sgd::new(0.1)).clip_norm(0.0),
        |model| model.into_trainer(Sgd::new(0.1)).accumulate(0),
        |model| model.into_trainer(Sgd::new(0.1)).freeze("fc3"),
        |model| model.into_trainer(Sgd::new(0.1)).scale_learning_rate("fc1", f32::NAN),
    ];
    for (i, builder) in builders.into_iter().enumerate() {
        let refused = builder(model).build().unwrap_err();
        assert_eq!(refused.to_string(), refused.error().to_string());
        let (same, error) = refused.into_parts();
        match error {
            Error::UnknownParameter { .. } => assert_eq!(i, 3),
            Error::InvalidArgument { .. } => assert_ne!(i, 3),
            other => panic!("{other}"),
        }
        model = same;
    }
    let mut second = model.into_trainer(Sgd::new(0.1)).build().unwrap();
    assert_eq!(parameters(&mut second), expected);
    // `?` drops it.
    let question_mark = || -> bilro::Result<Trainer<Mlp>> {
        Ok(Mlp::model().build()?.into_trainer(Sgd::new(-1.0)).build()?)
    };
    assert!(matches!(question_mark(), Err(Error::InvalidArgument { .. })));
}

/// With a cache for running code only, every other call compiles again.
/// Optimizer state is not part of the cache.
#[test]
fn evicted_code_is_compiled_again_with_the_same_results() {
    let sizes = [5, 3, 5, 7, 3, 1, 5, 3];
    let examples = sizes.map(|n| Examples::new(n, n as u64));
    let train = |cache: Option<usize>, empties: bool| {
        let mut builder = mlp(Sgd::new(0.1).momentum(0.9), Backend::Jit).accumulate(2);
        if let Some(bytes) = cache {
            builder = builder.code_cache(bytes);
        }
        let mut trainer = builder.build().unwrap();
        let mut seen = Vec::new();
        for examples in &examples {
            seen.push(trainer.step(examples.batch()).unwrap());
            if empties {
                trainer.model_mut().empty_cache();
            }
            let input = mlp::Input { x: examples.x.view() };
            seen.extend(trainer.model().predict(input).unwrap().out);
            seen.push(trainer.model().evaluate_batch(examples.batch()).unwrap().loss() as f32);
            seen.push(trainer.model().gradients(examples.batch()).unwrap().loss);
        }
        let bits: Vec<u32> = seen.iter().map(|x| x.to_bits()).collect();
        (bits, parameters(&mut trainer))
    };
    let expected = train(None, false);
    for (cache, empties) in [(Some(0), false), (Some(20_000), false), (None, true)] {
        assert_eq!(train(cache, empties), expected, "{cache:?}, {empties}");
    }
}

#[test]
fn the_code_cache_has_a_limit() {
    let mut engine = Engine::new(Mlp::declaration().unwrap(), Backend::Jit, 1, 1).unwrap();
    let run = |engine: &mut Engine, examples: usize| {
        let x = Examples::new(examples, 1).x.into_dyn();
        engine.run(&Purpose::Predict, &[Feed::Real(x.view())]).unwrap();
        engine.code_bytes()
    };
    let one = run(&mut engine, 1);
    assert!(one > 0);
    let limit = 4 * one + one / 2;
    engine.set_code_cache(limit);
    let most = (1..40).map(|examples| run(&mut engine, examples)).max();
    assert!(most <= Some(limit) && most > Some(limit / 2), "{most:?} of {limit}, {one} for one");
    engine.set_code_cache(0);
    assert_eq!(engine.code_bytes(), 0);
    assert!(run(&mut engine, 9) > 0, "the code that runs stays");
    engine.empty_cache();
    assert_eq!(engine.code_bytes(), 0);
}

fn message(builder: TrainerBuilder<Mlp>) -> String {
    match builder.build() {
        Err(error @ (Error::InvalidArgument { .. } | Error::UnknownParameter { .. })) => {
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn invalid_numbers_and_unknown_names_are_reported() {
    let sgd = || Mlp::trainer(Sgd::new(0.1));
    let cases = [
        (Mlp::trainer(Sgd::new(-1.0)), "learning rate must be"),
        (Mlp::trainer(Sgd::new(0.1).nesterov()), "momentum must be above 0"),
        (Mlp::trainer(Sgd::new(0.1).momentum(1.0)), "momentum must be at least 0 and below 1"),
        (Mlp::trainer(Adagrad::new(0.1).lr_decay(-1.0)), "lr_decay must be"),
        (Mlp::trainer(Adagrad::new(0.1).initial_accumulator_value(-1.0)), "but is -1"),
        (Mlp::trainer(Adadelta::new(0.1).rho(1.0)), "rho must be at least 0 and below 1"),
        (Mlp::trainer(RMSprop::new(0.1).alpha(f64::NAN)), "but is NaN"),
        (Mlp::trainer(RMSprop::new(0.1).momentum(-0.1)), "momentum must be"),
        (Mlp::trainer(Adam::new(f32::INFINITY)), "learning rate must be"),
        (Mlp::trainer(Adam::new(0.1).betas(1.0, 0.9)), "beta1 must be"),
        (Mlp::trainer(AdamW::new(0.1).betas(0.9, 1.5)), "beta2 must be"),
        (Mlp::trainer(AdamW::new(0.1).weight_decay(-0.1)), "weight decay must be"),
        (Mlp::trainer(NAdam::new(0.1).momentum_decay(-0.1)), "momentum decay must be"),
        (Mlp::trainer(RAdam::new(0.1).eps(-0.1)), "eps must be"),
        (Mlp::trainer(Lion::new(0.1).betas(0.9, -0.1)), "beta2 must be"),
        (sgd().clip_value(0.0), "the limit of gradients must be"),
        (sgd().clip_norm(f32::NAN), "the limit of gradients must be"),
        (sgd().accumulate(0), "accumulate must be at least 1, but is 0"),
        (sgd().scale_learning_rate("fc1", -1.0), "`fc1`"),
        (
            sgd().freeze("fc3"),
            "there is no parameter `fc3`; did you mean `fc1`? There are fc1.weight",
        ),
        (
            sgd().freeze("encoder"),
            "there is no parameter `encoder`; there are fc1.weight, fc1.bias",
        ),
        (sgd().freeze("fc"), "there is no parameter `fc`"),
        (sgd().scale_learning_rate("fc1.gain", 1.0), "there is no parameter `fc1.gain`"),
    ];
    for (builder, message_part) in cases {
        let message = message(builder);
        assert!(message.contains(message_part), "`{message_part}` is not in: {message}");
    }
}

#[test]
fn a_mismatched_batch_leaves_the_accumulated_gradients() {
    let examples = Examples::new(5, 1);
    let wrong = Array1::<f32>::zeros(12).into_shape_with_order((4, 3)).unwrap();
    for backend in BACKENDS {
        let build = || mlp(Sgd::new(0.1), backend).accumulate(2).build().unwrap();
        let (mut disturbed, mut plain) = (build(), build());
        for _ in 0..2 {
            let batch = mlp::Batch { x: examples.x.view(), y: wrong.view() };
            disturbed.step(batch).unwrap_err();
            disturbed.step(examples.batch()).unwrap();
            plain.step(examples.batch()).unwrap();
        }
        assert_eq!(parameters(&mut disturbed), parameters(&mut plain), "{backend:?}");
        assert_eq!(disturbed.steps(), 2);
    }
}

network! {
    /// A line through zero.
    struct Slope {
        input x: [1];
        target y: [1];
        param w: [1] = zeros;
        output p = x * w;
        loss mse_loss(p, y);
    }
}

/// Accumulated gradients belong to the model.
#[test]
fn an_exchanged_model_has_no_accumulated_gradients() {
    let (x, y) = (array![[1.0]], array![[2.0]]);
    let batch = || slope::Batch { x: x.view(), y: y.view() };
    for backend in [Backend::Jit, Backend::Interpreter] {
        let builder = || Slope::trainer(Sgd::new(0.1)).backend(backend).accumulate(4);
        let fresh = || Slope::model().backend(backend).build().unwrap();
        let mut trainer = builder().build().unwrap();
        trainer.step(batch()).unwrap();
        *trainer.model_mut() = fresh();
        assert_eq!(trainer.apply_accumulated().unwrap(), 0, "{backend:?}");
        trainer.step(batch()).unwrap();
        *trainer.model_mut() = fresh();
        for step in 1..=4 {
            trainer.step(batch()).unwrap();
            let expected = if step < 4 { 0.0 } else { 0.4 };
            assert_eq!(trainer.model().params().w[0], expected, "{backend:?}, step {step}");
        }
    }
}

/// With an optimizer that does not check its own numbers.
#[test]
fn a_non_finite_learning_rate_is_rejected_from_any_source() {
    #[derive(Debug)]
    struct Own(f32);
    impl Optimizer for Own {
        fn name(&self) -> &'static str {
            "own"
        }
        fn learning_rate(&self) -> f32 {
            self.0
        }
        fn scalar(&self, _: &str, _: u64, rate: f32) -> Option<f32> {
            Some(rate)
        }
        fn check(&self) -> Result<(), bilro_compiler::optim::WrongNumber> {
            Ok(())
        }
        fn update(
            &self,
            u: &mut bilro_compiler::optim::Update<'_>,
        ) -> bilro_compiler::graph::NodeId {
            let rate = u.learning_rate();
            let step = u.g.mul(u.gradient, rate);
            u.g.sub(u.parameter, step)
        }
    }
    for rate in [f32::NAN, f32::INFINITY, -1.0] {
        let error = Slope::trainer(Own(rate)).build().unwrap_err();
        assert!(matches!(error, bilro::Error::InvalidArgument { .. }), "{error}");
    }
    Slope::trainer(Own(0.1)).build().unwrap();
}
