//! Repetition in chains, and blocks; writing to parameters.

use super::{operations, parameters};
use bilro::compiler::declaration::Declaration;
use bilro::{Network as _, network};
use ndarray::{Array1, Array2, ArrayD};

/// Distinct parameters, and arrays for one step of a network with inputs `[8]`.
fn eights() -> (Array2<f32>, Array1<u32>) {
    let x = Array2::from_shape_fn((5, 8), |(i, j)| ((i * 8 + j) as f32 * 0.7).sin());
    (x, Array1::from(vec![0, 2, 1, 1, 0]))
}

#[test]
fn repeated_links_have_parameters_of_their_own() {
    network! {
        struct Repeated {
            input x: [8];
            target y: class(3);
            layer same = Linear(8, 8);
            output logits = (x * 2) -> (Linear(8) -> ReLU) * 3 -> same * 2 -> (Linear(3)) * 1;
            loss cross_entropy(logits, y);
        }
    }
    network! {
        struct Written {
            input x: [8];
            target y: class(3);
            layer same = Linear(8, 8);
            let one = (x * 2) -> Linear(8) -> ReLU -> Linear(8) -> ReLU -> Linear(8) -> ReLU;
            output logits = one -> same -> same -> Linear(3);
            loss cross_entropy(logits, y);
        }
    }
    let [repeated, written] = [Repeated::declaration().unwrap(), Written::declaration().unwrap()];
    assert_eq!(parameters(&repeated), parameters(&written));
    assert_eq!(operations(&repeated), operations(&written));
    let names: Vec<_> = repeated.layers.iter().map(|l| &*l.name).collect();
    let relus = ["relu1", "linear2", "relu2", "linear3", "relu3", "linear4"];
    assert_eq!(names, [&["same", "linear1"], &relus[..]].concat());
    let arrays = repeated.parameters.iter().map(|p| ArrayD::zeros(p.shape.sizes()));
    assert_eq!(Repeated::gradients(arrays.collect()).linear3.weight.dim(), (8, 8));
}

network! {
    /// Blocks of every kind.
    pub struct Blocks {
        input x: [8];
        target y: class(3);

        /// Half as wide, and back.
        block narrow(x) { x -> Linear(4) -> ReLU -> Linear(8) }
        /// Its input plus a correction.
        block residual(x, scale) {
            layer fc = Linear(8);
            param gain: [8] = ones;
            let inner = x -> narrow -> fc;
            x + inner * gain * scale
        }
        layer first = residual;
        /// Declared before the contents of `first`, though used later.
        layer head = Linear(8, 3);
        let start = x -> residual(0.5) -> first(2) -> first(2);
        output logits = residual(start, start) -> narrow * 2 -> head;
        loss cross_entropy(logits, y);
    }
}

#[test]
fn blocks_have_parameters_of_their_own_for_each_use() {
    network! {
        struct ByHand {
            input x: [8];
            target y: class(3);
            layer ffc = Linear(8);
            param fg: [8] = ones;
            layer fl1 = Linear(4);
            layer fl2 = Linear(8);
            layer head = Linear(8, 3);
            layer r1fc = Linear(8);
            param r1g: [8] = ones;
            layer r1l1 = Linear(4);
            layer r1l2 = Linear(8);
            let a = x + r1fc(x -> r1l1 -> ReLU -> r1l2) * r1g * 0.5;
            let b = a + ffc(a -> fl1 -> ReLU -> fl2) * fg * 2;
            let c = b + ffc(b -> fl1 -> ReLU -> fl2) * fg * 2;
            layer r2fc = Linear(8);
            param r2g: [8] = ones;
            let d = c + r2fc(c -> Linear(4) -> ReLU -> Linear(8)) * r2g * c;
            let e = d -> Linear(4) -> ReLU -> Linear(8) -> Linear(4) -> ReLU -> Linear(8);
            output logits = head(e);
            loss cross_entropy(logits, y);
        }
    }
    let (blocks, by_hand) = (Blocks::declaration().unwrap(), ByHand::declaration().unwrap());
    let of_residual = |of: &str| {
        let own = ["fc.weight [8, 8]", "fc.bias [8]", "gain [8]"];
        let narrow = [
            "narrow1.linear1.weight [8, 4]",
            "narrow1.linear1.bias [4]",
            "narrow1.linear2.weight [4, 8]",
            "narrow1.linear2.bias [8]",
        ];
        own.iter().chain(&narrow).map(|name| format!("{of}.{name}")).collect::<Vec<_>>()
    };
    let names = parameters(&blocks);
    assert_eq!(names[..7], of_residual("first"));
    assert_eq!(names[7..9], ["head.weight [8, 3]", "head.bias [3]"]);
    assert_eq!(names[9..16], of_residual("residual1"));
    assert_eq!(names[16..23], of_residual("residual2"));
    assert_eq!(names[23], "narrow1.linear1.weight [8, 4]");
    assert_eq!(names[30], "narrow2.linear2.bias [8]");
    assert_eq!(names.len(), 31);
    let sizes = |network: &Declaration| {
        network.parameters.iter().map(|p| p.shape.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&blocks), sizes(&by_hand));
    let layers: Vec<_> = blocks.layers.iter().take(4).map(|l| (&*l.name, &*l.kind)).collect();
    let first = [
        ("first.fc", "Linear(8, 8)"),
        ("first.narrow1.linear1", "Linear(8, 4)"),
        ("first.narrow1.relu1", "ReLU"),
        ("first.narrow1.linear2", "Linear(4, 8)"),
    ];
    assert_eq!(layers, first);

    // The same order of parameters, so the same numbers from one seed.
    let (x, y) = eights();
    let one = Blocks::model().seed(3).build().unwrap();
    let two = ByHand::model().seed(3).build().unwrap();
    let summary = one.summary();
    assert!(summary.contains("first.narrow1.linear2      Linear(4, 8)"), "{summary}");
    let input = blocks::Input { x: x.view() };
    let logits = one.predict(input).unwrap().logits;
    assert_eq!(logits, two.predict(by_hand::Input { x: x.view() }).unwrap().logits);
    let one = one.gradients(blocks::Batch { x: x.view(), y: y.view() }).unwrap();
    let two = two.gradients(by_hand::Batch { x: x.view(), y: y.view() }).unwrap();
    assert_eq!(one.first.fc.weight, two.ffc.weight);
    assert_eq!(one.first.narrow1.linear2.weight, two.fl2.weight);
    assert_eq!((&one.residual1.gain, &one.residual2.gain), (&two.r1g, &two.r2g));
    assert_eq!(one.residual2.narrow1.linear1.bias, two.linear1.bias);
    assert_eq!(one.narrow2.linear2.weight, two.linear6.weight);
    assert!(one.first.fc.weight.iter().any(|x| *x != 0.0));
}

#[test]
fn names_in_blocks_do_not_collide() {
    /// Wide.
    const WIDE: usize = 6;
    network! {
        struct Inside<const N: usize> {
            input x: [WIDE];
            target y: class(N);
            // A block with the name of a layer, one with the name of its own layer, and a used
            // number.
            block linear(layer) { layer -> Linear(WIDE) -> Linear(N) }
            block Fc(x) {
                layer fc = Linear(WIDE, bias = false);
                layer fc_ = Linear(WIDE);
                let linear1 = x -> fc -> fc_;
                linear1 -> Linear(WIDE)
            };
            block relu_twice(x) { relu(x) -> relu }
            layer fc1 = Linear(WIDE);
            layer fc = Fc();
            block shifted(x) { param by: [N] = zeros; x + by }
            let wide = x -> fc1 -> Fc -> relu_twice -> fc -> Fc;
            output logits = shifted(wide -> linear -> Linear(N));
            loss cross_entropy(logits, y);
        }
    }
    let network = Inside::<4>::declaration().unwrap();
    let expected = [
        "fc1.weight [6, 6]",
        "fc1.bias [6]",
        "fc.fc.weight [6, 6]",
        "fc.fc_.weight [6, 6]",
        "fc.fc_.bias [6]",
        "fc.linear2.weight [6, 6]",
        "fc.linear2.bias [6]",
        "fc2.fc.weight [6, 6]",
        "fc2.fc_.weight [6, 6]",
        "fc2.fc_.bias [6]",
        "fc2.linear2.weight [6, 6]",
        "fc2.linear2.bias [6]",
        "fc3.fc.weight [6, 6]",
        "fc3.fc_.weight [6, 6]",
        "fc3.fc_.bias [6]",
        "fc3.linear2.weight [6, 6]",
        "fc3.linear2.bias [6]",
        "linear1.linear1.weight [6, 6]",
        "linear1.linear1.bias [6]",
        "linear1.linear2.weight [6, 4]",
        "linear1.linear2.bias [4]",
        "linear2.weight [4, 4]",
        "linear2.bias [4]",
        "shifted1.by [4]",
    ];
    assert_eq!(parameters(&network), expected);
    let arrays = network.parameters.iter().map(|p| ArrayD::ones(p.shape.sizes()));
    let gradients = Inside::<4>::gradients(arrays.collect());
    assert_eq!(gradients.fc2.fc_.bias.len(), gradients.fc.linear2.bias.len());
    assert_eq!(gradients.linear1.linear2.weight.sum() + gradients.shifted1.by.sum(), 28.0);
}

#[test]
fn writes_through_views_are_visible() {
    let (x, _) = eights();
    let mut model = Blocks::model().seed(3).build().unwrap();
    let before: Vec<ArrayD<f32>> = model.named_parameters().map(|(_, p)| p.to_owned()).collect();
    let logits = model.predict(blocks::Input { x: x.view() }).unwrap().logits;
    let bias = model.params().head.bias.to_owned();

    let mut views = model.params_mut();
    views.head.weight *= 2.0;
    // Two at the same time.
    let (fc, gain) = (&mut views.residual1.fc, &mut views.first.gain);
    fc.bias[3] = 0.25;
    gain.fill(1.0);
    views.residual1.fc.bias[3] = before[10][3];

    let doubled = model.predict(blocks::Input { x: x.view() }).unwrap().logits;
    let expected = (&logits - &bias) * 2.0 + &bias;
    assert!(doubled.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{doubled}");
    for (i, (name, after)) in model.named_parameters().enumerate() {
        match name {
            "head.weight" => assert_eq!(after, &before[i] * 2.0),
            _ => assert_eq!(after, before[i], "{name}"),
        }
    }

    // Every view is of a different parameter.
    let mut views = model.params_mut();
    views.narrow2.linear2.bias.fill(7.0);
    views.first.fc.weight.fill(8.0);
    let views = model.params();
    assert!(views.narrow2.linear2.bias.iter().all(|x| *x == 7.0));
    assert!(views.first.fc.weight.iter().all(|x| *x == 8.0));
    assert_eq!(views.first.fc.bias.into_dyn(), before[1]);
    assert_eq!(views.narrow2.linear2.weight.into_dyn(), before[29]);
}
