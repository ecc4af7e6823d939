//! Files of networks that differ in one layer or in names.

use std::fs;

use bilro::ndarray::Array1;
use bilro::prelude::*;
use bilro::{Error, io};
use safetensors::tensor::{Dtype, SafeTensors};

use super::{Digits, Raw, bits, fitting, folder, model, rejected, write, zeros};

network! {
    /// As `nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))`.
    struct Chain {
        input x: [4];
        target y: class(3);
        output logits = x -> Linear(8) -> ReLU -> Linear(3);
        loss cross_entropy(logits, y);
    }
}

/// A head with 7 classes; in another file it has a different name, too.
fn another_head(name: &'static str) -> Vec<Raw<'static>> {
    let mut tensors = fitting();
    tensors[2] = zeros(name, &[7, 4]);
    tensors
}

fn advice(tensors: &[Raw<'_>]) -> String {
    let (_folder, path) = folder();
    write(&path, tensors);
    let message = model(1).load(&path).unwrap_err().to_string();
    message.lines().filter(|line| line.starts_with('`')).collect::<Vec<_>>().join("\n")
}

#[test]
fn all_except_some_layers_are_loaded() {
    let (_folder, path) = folder();
    for (head, except) in [
        ("fc2.weight", &["fc2"][..]),
        ("fc2.weight", &["fc2.weight"]),
        ("head.weight", &["fc2", "head"]),
        ("head.weight", &["head", "scale", "fc2"]),
    ] {
        write(&path, &another_head(head));
        let mut loaded = model(1);
        loaded.load_except(&path, except).unwrap();
        let fresh = model(1);
        assert!(loaded.params().fc1.weight.iter().all(|x| *x == 0.0));
        assert_eq!(loaded.params().fc2.weight, fresh.params().fc2.weight, "{except:?}");
        let is_left = except.contains(&"scale");
        assert_eq!(loaded.params().scale == fresh.params().scale, is_left, "{except:?}");
    }
    // Excluded layers may be missing in the file, or of any type.
    write(&path, &fitting()[..3]);
    model(1).load_except(&path, &["scale"]).unwrap();
    let mut other = fitting();
    other[3] = ("scale", Dtype::I64, &[6], vec![0; 48]);
    write(&path, &other);
    model(1).load_except(&path, &["scale"]).unwrap();
}

#[test]
fn excluded_layers_must_exist_and_the_others_must_match() {
    let (_folder, path) = folder();
    write(&path, &another_head("head.weight"));
    let mut loaded = model(1);
    let before = bits(&loaded);
    // A prefix of a name is not a name.
    for name in ["fc3", "fc", "fc2.weigh", ""] {
        let error = loaded.load_except(&path, &["fc2", name]).unwrap_err();
        assert!(
            matches!(&error, Error::UnknownParameter { name: of, .. } if of == name),
            "{error}"
        );
    }
    let error = loaded.load_except(&path, &["fc2"]).unwrap_err();
    let Error::Weights { mismatch, .. } = error else { panic!("{error}") };
    assert_eq!(mismatch.unexpected, [("head.weight".into(), vec![7, 4])]);
    assert!(mismatch.missing.is_empty() && mismatch.shapes.is_empty());
    assert_eq!(bits(&loaded), before);
}

#[test]
fn the_message_names_the_layers_to_exclude() {
    let rest = "loads all the others, and leaves these layers of `Digits` as they are: \
                as for a network with another head";
    assert_eq!(
        advice(&another_head("fc2.weight")),
        format!("`load_except(path, &[\"fc2\"])` {rest}")
    );
    assert_eq!(
        advice(&another_head("head.weight")),
        format!("`load_except(path, &[\"fc2\", \"head\"])` {rest}")
    );
    // Only names differ: no layer needs to be excluded.
    let mut renamed = fitting();
    renamed[2].0 = "head.weight";
    let other_names = "`load_renamed` loads a file in which parameters have other names";
    assert_eq!(advice(&renamed), other_names);
    // Both.
    let mut both = another_head("fc2.weight");
    both[0].0 = "body.weight";
    let call = "`load_renamed_except(path, rename, &[\"fc2\"])`";
    assert_eq!(advice(&both), format!("{other_names}\n{call} {rest}"));

    let (_folder, path) = folder();
    write(&path, &both);
    let mut loaded = model(1);
    let rename = |name: &str| name.replace("body.", "fc1.");
    loaded.load_renamed_except(&path, rename, &["fc2"]).unwrap();
    assert!(loaded.params().fc1.weight.iter().all(|x| *x == 0.0));
    assert_eq!(loaded.params().fc2.weight, model(1).params().fc2.weight);
}

/// For a file with thousands of tensors the message lists the first.
#[test]
fn a_message_is_bounded() {
    let (_folder, path) = folder();
    let names: Vec<String> = (0..5000).map(|i| format!("layer{i:04}.weight")).collect();
    let tensors: Vec<_> = names.iter().map(|name| zeros(name, &[1])).collect();
    write(&path, &tensors);
    assert_eq!(rejected(&path).unexpected.len(), 5000);
    let message = model(1).load(&path).unwrap_err().to_string();
    assert!(message.contains("`layer0019.weight` [1]\n  and 4980 more of this kind"), "{message}");
    assert!(message.lines().count() < 40 && message.len() < 4000, "{message}");
}

#[test]
fn names_may_be_renamed_on_saving() {
    let (folder, path) = folder();
    let saved = Chain::model().seed(3).build().unwrap();
    let names = [("linear1", "body.0"), ("linear2", "body.2")];
    saved.save_renamed(&path, io::rename_layers(names)).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<_> =
        file.tensors().into_iter().map(|(n, t)| (n, t.shape().to_vec())).collect();
    found.sort();
    let expected = [
        ("body.0.bias", vec![8]),
        ("body.0.weight", vec![8, 4]),
        ("body.2.bias", vec![3]),
        ("body.2.weight", vec![3, 8]),
    ];
    assert_eq!(found, expected.map(|(name, shape)| (name.to_string(), shape)));

    // And back.
    let mut loaded = Chain::model().seed(4).build().unwrap();
    let back = names.map(|(here, there)| (there, here));
    loaded.load_renamed(&path, io::rename_layers(back)).unwrap();
    assert!(loaded.state_dict().eq(saved.state_dict()));

    let twice = saved.save_renamed(&path, |_| "x".into()).unwrap_err().to_string();
    assert!(twice.ends_with("two tensors are named `x`"), "{twice}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Without bytes, but with a shape that overflows.
#[test]
fn impossible_shapes_are_rejected() {
    let (_folder, path) = folder();
    for shape in
        ["[0,18446744073709551615]", "[9223372036854775808,0]", "[0,4294967296,4294967296]"]
    {
        let tensor = format!("{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,0]}}");
        let header = format!("{{\"linear1.bias\":{tensor}}}");
        let length = (header.len() as u64).to_le_bytes();
        fs::write(&path, [&length, header.as_bytes()].concat()).unwrap();
        let loaded = Chain::model().weights(&path).build().map(drop);
        for result in [io::load_tensors(&path).map(drop), loaded] {
            let message = result.unwrap_err().to_string();
            assert!(message.contains("`linear1.bias` has shape ["), "{message}");
            assert!(message.ends_with("which is too large for an array"), "{message}");
        }
    }
}

#[test]
fn saving_creates_missing_folders() {
    let (folder, _) = folder();
    let path = folder.path().join("runs").join("1").join("digits.safetensors");
    model(1).save(&path).unwrap();
    let loaded = Digits::model().weights(&path).build().unwrap();
    assert_eq!(bits(&loaded), bits(&model(1)));
    let best = folder.path().join("best").join("digits.safetensors");
    let data = data::Dataset::new(bilro::ndarray::Array2::zeros((4, 5)), Array1::zeros(4)).unwrap();
    let mut trainer = Digits::trainer(Sgd::new(0.1)).build().unwrap();
    trainer.fit(&data, Fit::epochs(1).save_best(&best)).unwrap();
    assert!(best.is_file());
}
