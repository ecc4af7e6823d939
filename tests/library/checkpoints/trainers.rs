//! Checkpoints of trainers in custom training loops.

use bilro::compiler::declaration::{Declaration, LossReduction};
use bilro::compiler::shape::Type;
use bilro::{DynBatch, DynTrainer, Resumed};

use super::*;

fn step(trainer: &mut Trainer<Net>, seed: u64) -> u32 {
    let data = noisy(16, seed);
    trainer.step(net::Batch { x: data.x(), class: data.y() }).unwrap().to_bits()
}

#[test]
fn steps_resume_between_accumulated_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("trainer.safetensors");
    let make =
        |seed| Net::trainer(AdamW::new(0.1)).accumulate(4).seed(seed).threads(1).build().unwrap();
    for steps in 0..9 {
        let mut trainer = make(1);
        for seed in 0..steps {
            step(&mut trainer, seed);
        }
        trainer.follow(&StepLR::new(2), 3).unwrap();
        trainer.save_checkpoint(&path).unwrap();
        let mut resumed = make(2);
        // Its earlier steps have no effect after resuming.
        for seed in 0..3 {
            step(&mut resumed, seed);
        }
        let Resumed { path: from, steps: at, skipped, .. } = resumed.resume(&path).unwrap();
        assert_eq!((from, at, skipped), (path.clone(), steps as usize, Vec::new()));
        assert_eq!(resumed.learning_rate(), trainer.learning_rate());
        for seed in 10..16 {
            assert_eq!(step(&mut resumed, seed), step(&mut trainer, seed), "{steps} steps");
        }
        assert_eq!(resumed.apply_accumulated().unwrap(), trainer.apply_accumulated().unwrap());
        assert_eq!(bits(resumed.model()), bits(trainer.model()));
        trainer.follow(&StepLR::new(2), 1).unwrap();
        resumed.follow(&StepLR::new(2), 1).unwrap();
        assert_eq!(resumed.learning_rate(), trainer.learning_rate());
    }
}

#[test]
fn the_same_trainer_gives_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let mut trainer = Net::trainer(Adam::new(0.1)).seed(1).build().unwrap();
    step(&mut trainer, 1);
    trainer.save_checkpoint(&a).unwrap();
    let mut other = Net::trainer(Adam::new(0.1)).seed(2).build().unwrap();
    other.resume(&a).unwrap();
    other.save_checkpoint(&b).unwrap();
    assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
}

#[test]
fn safetensors_and_models_read_the_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trainer.safetensors");
    let mut trainer = Net::trainer(Adam::new(0.1)).seed(1).build().unwrap();
    step(&mut trainer, 1);
    trainer.save_checkpoint(&path).unwrap();
    let tensors = bilro::io::load_tensors(&path);
    // The file has integers too.
    assert!(tensors.unwrap_err().to_string().contains(" must hold "));
    let bytes = fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, values) in trainer.model().state_dict() {
        let tensor = file.tensor(&format!("model.{name}")).unwrap();
        assert_eq!(tensor.shape(), values.shape());
        let expected: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(tensor.data(), expected);
    }
    // Optimizer state has the layout of its parameter.
    let state = file.names().into_iter().find(|n| n.starts_with("optimizer.fc1.weight/"));
    assert_eq!(file.tensor(state.unwrap()).unwrap().shape(), [12, 6]);

    let mut model = Net::model().seed(2).build().unwrap();
    model.load(&path).unwrap();
    assert_eq!(bits(&model), bits(trainer.model()));
    assert_eq!(bits(&Net::model().weights(&path).build().unwrap()), bits(trainer.model()));
}

network! {
    /// The same parameters, and another formula.
    struct Near {
        input x: [6];
        target class: class(3);
        layer fc1 = Linear(12);
        layer norm = BatchNorm1d;
        layer fc2 = Linear(3);
        let hidden = x -> fc1 -> norm -> Tanh -> Dropout(0.3);
        output logits = fc2(hidden);
        loss cross_entropy(logits, class, weight = [1.0, 2.0, 0.5]);
    }
}

/// `Net` with another name or other numbers.
fn declared(name: &str, width: usize, weight: f64, dropout: f64) -> Declaration {
    Declaration::declare(name, |b| {
        let x = b.input("x", [6])?;
        let class = b.target("class", Type::class(3))?;
        let fc1 = b.layer("fc1", "Linear", [("out_features", width)])?;
        let norm = b.layer("norm", "BatchNorm1d", ())?;
        let fc2 = b.layer("fc2", "Linear", [("out_features", 3)])?;
        let hidden = b.apply(fc1, x)?;
        let hidden = b.apply(norm, hidden)?;
        let hidden = b.call("relu", &[hidden], ())?;
        let dropped = b.layer(None, "Dropout", [("p", dropout)])?;
        let hidden = b.apply(dropped, hidden)?;
        let logits = b.apply(fc2, hidden)?;
        b.output("logits", logits)?;
        let losses =
            b.call("cross_entropy", &[logits, class], [("weight", vec![1.0, weight, 0.5])])?;
        b.loss(losses, LossReduction::Mean)
    })
    .unwrap()
}

#[test]
fn dynamic_trainers_resume_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trainer.safetensors");
    let make = |seed| {
        let declaration = declared("Net", 12, 2.0, 0.3);
        DynTrainer::builder(declaration, Lion::new(0.01)).seed(seed).build().unwrap()
    };
    let data = noisy(40, 1);
    let step = |trainer: &mut DynTrainer| {
        let batch = DynBatch::new().with("x", data.x()).with("class", data.y());
        trainer.step(batch).unwrap().to_bits()
    };
    let mut trainer = make(1);
    step(&mut trainer);
    trainer.save_checkpoint(&path).unwrap();
    let mut resumed = make(2);
    resumed.resume(&path).unwrap();
    for _ in 0..3 {
        assert_eq!(step(&mut resumed), step(&mut trainer));
    }
    let other = DynTrainer::builder(declared("Net", 12, 2.5, 0.3), Lion::new(0.01));
    let error = other.build().unwrap().resume(&path).unwrap_err().to_string();
    assert!(error.contains("the network's graph"), "the weights of classes: {error}");
    let other = DynTrainer::builder(declared("Net", 12, 2.0, 0.2), Lion::new(0.01));
    assert!(other.build().unwrap().resume(&path).is_err(), "dropout");
    let other = DynTrainer::builder(declared("Other", 13, 2.0, 0.3), Lion::new(0.01));
    let error = other.build().unwrap().resume(&path).unwrap_err();
    let Error::Checkpoint { mismatch, .. } = &error else { panic!("{error}") };
    let what: Vec<&str> = mismatch.differences.iter().map(|d| d.what.as_str()).collect();
    assert!(
        what.contains(&"the network") && what.contains(&"the parameter `fc1.weight`"),
        "{error}"
    );
    let shape = mismatch.differences.iter().find(|d| d.what.ends_with("`fc1.weight`")).unwrap();
    assert_eq!((shape.here.as_str(), shape.in_checkpoint.as_str()), ("[13, 6]", "[12, 6]"));
}

#[test]
fn checkpoints_that_do_not_fit_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trainer.safetensors");
    let mut trainer = Net::trainer(Sgd::new(0.1).momentum(0.9)).seed(1).build().unwrap();
    step(&mut trainer, 1);
    trainer.save_checkpoint(&path).unwrap();

    let mut near = Near::trainer(Sgd::new(0.1).momentum(0.9)).build().unwrap();
    assert!(matches!(near.resume(&path), Err(Error::Checkpoint { .. })));
    type Builder = bilro::TrainerBuilder<Net>;
    let others: [(Builder, &str); 6] = [
        (Net::trainer(Adam::new(0.1)), "the optimizer"),
        (Net::trainer(Sgd::new(0.1)), "momentum: 0.9"),
        (Net::trainer(Sgd::new(0.2).momentum(0.9)), "learning_rate: 0.2"),
        (Net::trainer(Sgd::new(0.1).momentum(0.9)).accumulate(2), "accumulate"),
        (Net::trainer(Sgd::new(0.1).momentum(0.9)).clip_norm(1.0), "Norm(1.0)"),
        (Net::trainer(Sgd::new(0.1).momentum(0.9)).freeze("fc2"), "fc2.weight frozen"),
    ];
    for (other, expected) in others {
        let mut other = other.seed(3).build().unwrap();
        step(&mut other, 1);
        let before = bits(other.model());
        let error = other.resume(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!((bits(other.model()), other.steps()), (before, 1));
    }
    // Its next steps are those of a trainer that has not tried to resume.
    let mut twin = Net::trainer(Sgd::new(0.2).momentum(0.9)).seed(3).build().unwrap();
    let mut other = Net::trainer(Sgd::new(0.2).momentum(0.9)).seed(3).build().unwrap();
    for seed in 0..4 {
        assert!(other.resume(&path).is_err());
        assert_eq!(step(&mut other, seed), step(&mut twin, seed));
    }

    let error = other.fit(&noisy(40, 1), Fit::epochs(1).resume_from(&path)).unwrap_err();
    assert!(error.to_string().contains("`Trainer::resume` reads it"), "{error}");
    let error = other.resume(folder.path().join("missing")).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = other.resume(empty.path()).unwrap_err();
    assert!(error.to_string().contains("has no checkpoint to resume from"), "{error}");
    let weights = folder.path().join("weights.safetensors");
    trainer.model().save(&weights).unwrap();
    let error = other.resume(&weights).unwrap_err();
    assert!(error.to_string().contains("`Model::load` reads files of parameters"), "{error}");
}

/// Restores the trainer from a checkpoint of `fit`, to continue with other options of `fit`.
#[test]
fn trainers_resume_from_checkpoints_of_fit() {
    let (train, folder) = (noisy(64, 1), tempfile::tempdir().unwrap());
    let make = || Net::trainer(Sgd::new(0.1).momentum(0.9)).seed(1).build().unwrap();
    let mut trainer = make();
    trainer.fit(&train, Fit::epochs(3).checkpoints(folder.path())).unwrap();
    let mut resumed = make();
    assert_eq!(resumed.resume(folder.path()).unwrap().steps, 6);
    assert_eq!(bits(resumed.model()), bits(trainer.model()));
    let fit = || Fit::epochs(2).batch_size(8);
    let (a, b) = (trainer.fit(&train, fit()).unwrap(), resumed.fit(&train, fit()).unwrap());
    assert_eq!(a.losses, b.losses);
    assert_eq!(bits(resumed.model()), bits(trainer.model()));
}
