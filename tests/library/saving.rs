//! Weights in files: saving, loading, errors for mismatched files, and no
//! partial changes. `interop.rs` does the same with PyTorch.

mod other_heads;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use bilro::ndarray::{Array2, Array3, ArrayD, IxDyn, arr0, array, s};
use bilro::prelude::*;
use bilro::{Error, WeightsMismatch, io};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

network! {
    struct Digits {
        input image: [5];
        target digit: class(3);
        layer fc1 = Linear(5, 4);
        layer fc2 = Linear(3, bias = false);
        param scale: [3, 2] = uniform(0.0, 1.0);
        output logits = fc2(relu(fc1(image)));
        output scaled = logits.matmul(scale);
        loss cross_entropy(logits, digit) + sum(scaled);
    }
}

/// A folder, and the path of a new file in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.safetensors");
    (folder, path)
}

fn model(seed: u64) -> Model<Digits> {
    Digits::model().seed(seed).build().unwrap()
}

fn bits(model: &Model<Digits>) -> Vec<u32> {
    let parameters = model.named_parameters();
    parameters.flat_map(|(_, p)| p.iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
}

/// A tensor for a file: name, type, shape, bytes.
type Raw<'a> = (&'a str, Dtype, &'a [usize], Vec<u8>);

fn zeros<'a>(name: &'a str, shape: &'a [usize]) -> Raw<'a> {
    (name, Dtype::F32, shape, vec![0; 4 * shape.iter().product::<usize>()])
}

/// Tensors that match [`Digits`].
fn fitting() -> Vec<Raw<'static>> {
    vec![
        zeros("fc1.weight", &[4, 5]),
        zeros("fc1.bias", &[4]),
        zeros("fc2.weight", &[3, 4]),
        zeros("scale", &[3, 2]),
    ]
}

/// Writes a file by the safetensors crate only.
fn write(path: &Path, tensors: &[Raw<'_>]) {
    let view = |(name, dtype, shape, bytes)| (name, TensorView::new(dtype, shape, bytes).unwrap());
    let views =
        tensors.iter().map(|(n, dtype, shape, bytes)| (*n, *dtype, shape.to_vec(), &bytes[..]));
    fs::write(path, safetensors::serialize(views.map(view), None).unwrap()).unwrap();
}

/// Loads a mismatched file, and checks that nothing has changed.
fn rejected(path: &Path) -> WeightsMismatch {
    let mut model = model(1);
    let before = bits(&model);
    let error = model.load(path).unwrap_err();
    assert_eq!(bits(&model), before);
    match error {
        Error::Weights { path: of, mismatch } => {
            assert_eq!((of.as_path(), mismatch.network.as_str()), (path, "Digits"));
            *mismatch
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_saved_model_is_loaded_bit_for_bit() {
    let (_folder, path) = folder();
    let mut saved = model(1);
    // Numbers that a conversion to text or f64 could change.
    let odd = array![f32::NAN, -0.0, f32::NEG_INFINITY, f32::MIN_POSITIVE / 2.0];
    saved.set_parameter("fc1.bias", odd.into_dyn().view()).unwrap();
    saved.save(&path).unwrap();

    let mut loaded = model(2);
    assert_ne!(bits(&loaded), bits(&saved));
    loaded.load(&path).unwrap();
    assert_eq!(bits(&loaded), bits(&saved));
    let built = Digits::model().weights(&path).build().unwrap();
    assert_eq!(bits(&built), bits(&saved));
    let trainer = Digits::trainer(Sgd::new(0.1)).weights(&path).build().unwrap();
    assert_eq!(bits(&trainer.into_model()), bits(&saved));
}

#[test]
fn compiled_code_uses_loaded_weights() {
    let (_folder, path) = folder();
    let images = Array2::from_shape_fn((7, 5), |(i, j)| (i * 3 + j) as f32 / 10.0);
    let input = || digits::Input { image: images.view() };
    let (saved, mut loaded) = (model(1), model(2));
    saved.save(&path).unwrap();
    let expected = saved.predict(input()).unwrap().scaled;
    assert_ne!(loaded.predict(input()).unwrap().scaled, expected);
    loaded.load(&path).unwrap();
    assert_eq!(loaded.predict(input()).unwrap().scaled, expected);
}

#[test]
fn files_have_pytorchs_names_and_layout() {
    let (_folder, path) = folder();
    let model = model(1);
    model.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort();
    assert_eq!(names, ["fc1.bias", "fc1.weight", "fc2.weight", "scale"]);
    let found = |name: &str| {
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::F32);
        let values =
            tensor.data().chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()));
        (tensor.shape().to_vec(), values.collect::<Vec<_>>())
    };
    let (shape, values) = found("fc1.weight");
    assert_eq!(shape, [4, 5]);
    let weight = model.params().fc1.weight;
    assert_eq!(weight.dim(), (5, 4));
    for (index, value) in values.into_iter().enumerate() {
        assert_eq!(value, weight[[index % 5, index / 5]]);
    }
    let (shape, values) = found("scale");
    assert_eq!((shape, values), (vec![3, 2], model.params().scale.iter().copied().collect()));
    assert_eq!(found("fc1.bias").1, model.params().fc1.bias.to_vec());

    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let expected = [("bilro", "0.1.0"), ("format", "pt"), ("network", "Digits")];
    let expected = HashMap::from(expected.map(|(key, text)| (key.into(), text.into())));
    assert_eq!(header.metadata().as_ref(), Some(&expected));
    // The data are aligned.
    assert!(u64::from_le_bytes(bytes[..8].try_into().unwrap()).is_multiple_of(8));

    // The same model writes the same file.
    for _ in 0..5 {
        model.save(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn all_mismatches_are_reported_at_once() {
    let (folder, path) = folder();
    let bytes = |n: usize| vec![0; n];
    write(
        &path,
        &[
            // The transpose.
            zeros("fc1.weight", &[5, 4]),
            ("fc1.bias", Dtype::I64, &[4], bytes(32)),
            zeros("scale", &[3, 2]),
            zeros("fc3.weight", &[3, 4]),
            zeros("fc3.bias", &[3]),
        ],
    );
    let mismatch = rejected(&path);
    assert_eq!(mismatch.shapes, [("fc1.weight".into(), vec![4, 5], vec![5, 4])]);
    let message = model(1).load(&path).unwrap_err().to_string();
    let message = message.replace(folder.path().to_str().unwrap(), "").replace('\\', "/");
    insta::assert_snapshot!(message, @r#"
    /digits.safetensors does not fit `Digits`, so nothing was loaded
      missing: `fc2.weight` [3, 4]; is it the file's `fc3.weight`?
      not in the network: `fc3.bias` [3]
      not in the network: `fc3.weight` [3, 4]
      of another shape: `fc1.weight` must be [4, 5], but is [5, 4] (files have weights of linear layers as [out, in])
      of another type: `fc1.bias` must hold F32, F64, F16 or BF16, but holds I64
    `load_renamed` loads a file in which parameters have other names
    `load_renamed_except(path, rename, &["fc1", "fc3"])` loads all the others, and leaves these layers of `Digits` as they are: as for a network with another head
    "#);
}

#[test]
fn one_mismatch_is_an_error() {
    let (_folder, path) = folder();
    write(&path, &fitting());
    model(1).load(&path).unwrap();

    write(&path, &fitting()[..3]);
    assert_eq!(rejected(&path).missing, [("scale".into(), vec![3, 2])]);

    let mut more = fitting();
    more.push(zeros("scale.momentum", &[2]));
    write(&path, &more);
    assert_eq!(rejected(&path).unexpected, [("scale.momentum".into(), vec![2])]);

    for shape in [&[2, 3][..], &[6], &[3, 2, 1], &[]] {
        let mut other = fitting();
        other[3] = zeros("scale", shape);
        write(&path, &other);
        assert_eq!(rejected(&path).shapes, [("scale".into(), vec![3, 2], shape.to_vec())]);
    }

    for (dtype, size) in [(Dtype::I32, 4), (Dtype::U8, 1), (Dtype::BOOL, 1), (Dtype::F8_E4M3, 1)] {
        let mut other = fitting();
        other[3] = ("scale", dtype, &[3, 2], vec![0; 6 * size]);
        write(&path, &other);
        assert_eq!(rejected(&path).types, [("scale".into(), dtype.to_string())]);
    }
    assert!(Digits::model().weights(&path).build().is_err());
}

#[test]
fn counters_of_batches_are_ignored() {
    let (_folder, path) = folder();
    let mut more = fitting();
    more.push(("num_batches_tracked", Dtype::I64, &[], vec![0; 8]));
    more.push(("bn1.num_batches_tracked", Dtype::I64, &[], vec![0; 8]));
    write(&path, &more);
    let mut loaded = model(1);
    loaded.load(&path).unwrap();
    assert!(bits(&loaded).iter().all(|x| *x == 0));

    more.push(("bn1.num_batches_tracked_too", Dtype::I64, &[], vec![0; 8]));
    write(&path, &more);
    assert_eq!(rejected(&path).unexpected, [("bn1.num_batches_tracked_too".into(), vec![])]);
}

#[test]
fn other_floating_point_numbers_become_f32() {
    let (_folder, path) = folder();
    let f64s = [1.0 / 3.0, -1e-300, 1e300, f64::NAN].map(f64::to_le_bytes).concat();
    // 1.5, the smallest above 0, the largest, -infinity.
    let f16s = [0x3e00u16, 0x0001, 0x7bff, 0xfc00].map(u16::to_le_bytes).concat();
    let bf16s = [0x3fc0u16, 0x0001, 0x7f7f, 0xff80].map(u16::to_le_bytes).concat();
    write(
        &path,
        &[
            ("f64", Dtype::F64, &[4], f64s),
            ("f16", Dtype::F16, &[4], f16s),
            ("bf16", Dtype::BF16, &[4], bf16s),
        ],
    );
    let found = io::load_tensors(&path).unwrap();
    let bits = |name: &str| found[name].iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let expected = |x: [f32; 4]| x.map(f32::to_bits);
    assert_eq!(bits("f64")[..3], expected([1.0 / 3.0, -0.0, f32::INFINITY, 0.0])[..3]);
    assert!(found["f64"][[3]].is_nan());
    let smallest = 2.0f32.powi(-24);
    assert_eq!(bits("f16"), expected([1.5, smallest, 65504.0, f32::NEG_INFINITY]));
    let (smallest, largest) = (f32::from_bits(1 << 16), f32::from_bits(0x7f7f << 16));
    assert_eq!(bits("bf16"), expected([1.5, smallest, largest, f32::NEG_INFINITY]));
}

#[test]
fn other_file_formats_are_named() {
    let (folder, path) = folder();
    model(1).save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut spoilt: Vec<Vec<u8>> = vec![vec![], b"{}".to_vec(), vec![0xff; 64], vec![0; 64]];
    spoilt.extend([1, 7, 8, 100, whole.len() - 1].map(|n| whole[..n].to_vec()));
    spoilt.push([&whole[..], &[0]].concat());
    let mut model = model(2);
    let before = bits(&model);
    let mut message = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = model.load(&path).unwrap_err();
        assert_eq!(bits(&model), before);
        assert!(matches!(&error, Error::File { path: of, .. } if *of == path), "{error}");
        assert!(io::load_tensors(&path).is_err());
        error.to_string()
    };
    for bytes in spoilt {
        let message = message(&bytes);
        assert!(message.contains("is not a safetensors file, or incomplete"), "{message}");
    }
    for start in [&b"PK\x03\x04"[..], b"\x80\x02\x8a\x0a"] {
        let message = message(&[start, &[1; 100]].concat());
        assert!(message.contains("safetensors.torch.save_file"), "{message}");
    }

    let nowhere = folder.path().join("nowhere.safetensors");
    let message = model.load(&nowhere).unwrap_err().to_string();
    assert!(message.contains("nowhere.safetensors: cannot be read: "), "{message}");
}

#[test]
fn names_may_be_renamed_on_loading() {
    let (_folder, path) = folder();
    let mut counted = fitting();
    counted[0].0 = "0.weight";
    counted[1].0 = "0.bias";
    counted[2].0 = "2.weight";
    write(&path, &counted);
    let names = || io::rename_layers([("0", "fc1"), ("2", "fc2")]);
    let mut loaded = model(1);
    loaded.load_renamed(&path, names()).unwrap();
    assert!(bits(&loaded).iter().all(|x| *x == 0));

    // A tensor that is not renamed is missing.
    let mismatch = rejected(&path);
    assert_eq!((mismatch.missing.len(), mismatch.unexpected.len()), (3, 3));

    // Two tensors of one name are an error.
    counted.push(zeros("fc2.weight", &[3, 4]));
    write(&path, &counted);
    let before = bits(&loaded);
    match loaded.load_renamed(&path, names()) {
        Err(Error::Weights { mismatch, .. }) => assert_eq!(mismatch.repeated, ["fc2.weight"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(bits(&loaded), before);
}

#[test]
fn a_failed_save_leaves_the_previous_file() {
    let (folder, path) = folder();
    let model = model(1);
    let rejected = |path: &Path, why: &str| {
        let error = model.save(path).unwrap_err();
        assert!(matches!(&error, Error::File { path: of, .. } if of == path), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    rejected(folder.path(), "is not a file");
    assert!(folder.path().is_dir());

    fs::write(&path, "mine").unwrap();
    rejected(&path.join("x.safetensors"), "cannot be made: ");
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    rejected(&path, "is read-only");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    // No temporary file remains.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn any_arrays_are_saved_and_loaded() {
    let (_folder, path) = folder();
    let wide = Array3::from_shape_fn((4, 3, 5), |(i, j, k)| (i * 100 + j * 10 + k) as f32);
    let views: Vec<(&str, ArrayD<f32>)> = vec![
        ("every other", wide.slice(s![..;2, .., ..;-1]).to_owned().into_dyn()),
        ("number", arr0(2.5).into_dyn()),
        ("none", ArrayD::zeros(IxDyn(&[0, 3]))),
        ("größe \"1\"\n", array![1.0].into_dyn()),
    ];
    io::save_tensors(&path, views.iter().map(|(name, x)| (*name, x.view()))).unwrap();
    let loaded = io::load_tensors(&path).unwrap();
    assert_eq!(loaded.len(), views.len());
    for (name, x) in &views {
        assert_eq!(loaded[*name], x, "{name}");
    }

    // Strided views of different ranks.
    let view = wide.slice(s![.., 1, ..;2]);
    io::save_tensors(&path, [("view", view.t()), ("again", view.t())]).unwrap();
    let loaded = io::load_tensors(&path).unwrap();
    assert_eq!(loaded["view"], view.t().into_dyn());
    assert_eq!(loaded["again"], loaded["view"]);

    // In a folder that does not exist yet.
    let made = path.with_file_name("new").join("folder").join("x.safetensors");
    io::save_tensors(&made, [("view", view.t())]).unwrap();
    assert_eq!(io::load_tensors(&made).unwrap()["view"], view.t().into_dyn());

    // No arrays at all.
    io::save_tensors(&path, Vec::<(String, Array2<f32>)>::new()).unwrap();
    assert!(io::load_tensors(&path).unwrap().is_empty());

    let x = array![1.0f32];
    let before = fs::read(&path).unwrap();
    let error = io::save_tensors(&path, [("x", x.view()), ("x", x.view())]).unwrap_err();
    assert!(error.to_string().ends_with("two tensors are named `x`"), "{error}");
    assert!(io::save_tensors(&path, [("__metadata__", x.view())]).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);

    write(&path, &[("x", Dtype::U32, &[1], vec![0; 4])]);
    let error = io::load_tensors(&path).unwrap_err().to_string();
    assert!(error.ends_with("`x` must hold F32, F64, F16 or BF16, but holds U32"), "{error}");
}
