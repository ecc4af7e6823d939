//! Networks that compile, and their declarations.
#![deny(missing_docs, unsafe_code, warnings, clippy::all)]

use bilro::compiler::declaration::{Builder, Declaration, Init, Input};
use bilro::compiler::shape::{DType, Dim, Type};
use bilro::network::Feed;
use bilro::rng::{Generator, init};
use bilro::{Classifier, FromExamples, Network as _, network};
use ndarray::{Array1, Array2, ArrayD, ArrayView1, ArrayView2};

#[path = "language/blocks.rs"]
mod of_blocks;
#[path = "language/forms.rs"]
mod of_forms;
#[path = "language/names.rs"]
mod of_names;

/// Name and shape of every parameter, in order.
fn parameters(network: &Declaration) -> Vec<String> {
    network.parameters.iter().map(|p| format!("{} {}", p.name, p.shape)).collect()
}

/// Inputs, outputs and metrics.
fn ends(network: &Declaration) -> String {
    let ty = |ty: &Type| match &ty.dtype {
        DType::Real => ty.shape.to_string(),
        DType::Index { below } if ty.shape.dims.is_empty() => format!("class({below})"),
        DType::Index { below } => format!("index({below}){}", ty.shape),
    };
    let input = |i: &Input| format!("{}: {}", i.name, ty(&i.ty));
    let inputs: Vec<_> = network.inputs.iter().map(input).collect();
    let outputs: Vec<_> =
        network.outputs().map(|(name, shape)| format!("{name}: {shape}")).collect();
    let metrics: Vec<_> = network.metrics().collect();
    format!("{} -> {} | {}", inputs.join(", "), outputs.join(", "), metrics.join(", "))
}

/// The forward graph, without the names of its nodes.
fn operations(network: &Declaration) -> Vec<String> {
    let graph = network.graph();
    let operation = |id| {
        let operands: Vec<_> = graph.operands(id).iter().map(|x| x.index()).collect();
        format!("{:?} {operands:?}", graph.op(id))
    };
    graph.ids().map(operation).collect()
}

fn is_classifier<N: Classifier>() {}

network! {
    /// Handwritten digits.
    #[derive(PartialEq, Debug)]
    pub struct Digits {
        /// Pixels, row by row.
        input image: [784];
        target digit: class(10);

        layer fc1 = Linear(784, 128);
        layer fc2 = Linear(128, 64);
        layer fc3 = Linear(64, 10);

        let hidden = relu(fc2(relu(fc1(image))));
        output logits = fc3(hidden);
        loss cross_entropy(logits, digit);
    }
}

#[test]
fn named_layers() {
    let network = Digits::declaration().unwrap();
    assert_eq!(network.name, "Digits");
    assert_eq!(ends(&network), "image: [784], digit: class(10) -> logits: [10] | accuracy");
    assert_eq!(
        parameters(&network),
        [
            "fc1.weight [784, 128]",
            "fc1.bias [128]",
            "fc2.weight [128, 64]",
            "fc2.bias [64]",
            "fc3.weight [64, 10]",
            "fc3.bias [10]"
        ]
    );
    let layers: Vec<_> = network.layers.iter().map(|l| (&*l.name, &*l.kind)).collect();
    let kinds =
        [("fc1", "Linear(784, 128)"), ("fc2", "Linear(128, 64)"), ("fc3", "Linear(64, 10)")];
    assert_eq!(layers, kinds);
    is_classifier::<Digits>();
    assert_eq!(Digits, Digits);
}

#[test]
fn arrays_in_and_out() {
    let image = Array2::zeros((3, 784));
    let digit = Array1::from(vec![1, 2, 3]);
    let batch = digits::Batch::from_examples(image.view(), digit.view());
    let [Feed::Real(x), Feed::Index(y)] = Digits::batch_feeds(&batch) else {
        panic!("reals, then integers")
    };
    assert_eq!((x.shape(), y.shape()), (&[3, 784][..], &[3][..]));
    let input = digits::Input { image: batch.image };
    let [Feed::Real(x)] = Digits::input_feeds(&input) else { panic!("reals") };
    assert_eq!(x.as_ptr(), image.as_ptr());

    let digits::Output { logits } = Digits::output(vec![ArrayD::zeros(vec![3, 10])]);
    assert_eq!(logits.dim(), (3, 10));

    let network = Digits::declaration().unwrap();
    let arrays: Vec<ArrayD<f32>> =
        network.parameters.iter().map(|p| ArrayD::ones(p.shape.sizes())).collect();
    let views = Digits::parameters(arrays.iter().map(|a| a.view()).collect());
    let weight: ArrayView2<f32> = views.fc2.weight;
    let bias: ArrayView1<f32> = views.fc3.bias;
    assert_eq!((weight.dim(), bias.dim()), ((128, 64), 10));
    assert_eq!(weight.as_ptr(), arrays[2].as_ptr());
    let gradients = Digits::gradients(arrays);
    let weight: Array2<f32> = gradients.fc1.weight.clone();
    assert_eq!(weight.dim(), (784, 128));
}

#[test]
fn a_chain_equals_calls() {
    network! {
        struct Chain {
            input image: [784];
            target digit: class(10);
            output logits = image -> Linear(128) -> ReLU -> Linear(64) -> relu -> Linear(10);
            loss cross_entropy(logits, digit);
        }
    }
    let network = Chain::declaration().unwrap();
    assert_eq!(parameters(&network)[2..4], ["linear2.weight [128, 64]", "linear2.bias [64]"]);
    assert_eq!(operations(&network), operations(&Digits::declaration().unwrap()));
    let views = network.parameters.iter().map(|p| ArrayD::zeros(p.shape.sizes()));
    assert_eq!(Chain::gradients(views.collect()).linear3.bias.len(), 10);
}

network! {
    /// From scratch.
    pub(crate) struct Perceptron {
        input point: [2];
        target label: [1];
        /// One weight per coordinate.
        param w: [2, 1] = normal(0.0, std = 0.7);
        param b: [1] = zeros;
        output p = sigmoid(point.matmul(w) + b);
        metric error = abs(p - label);
        loss -(label * log(p) + (1.0 - label) * log(1.0 - p));
    }
}

#[test]
fn parameters_without_layers() {
    let network = Perceptron::declaration().unwrap();
    assert_eq!(ends(&network), "point: [2], label: [1] -> p: [1] | error");
    assert_eq!(parameters(&network), ["w [2, 1]", "b [1]"]);
    assert_eq!(network.parameters[0].init, Init::Normal(0.0, 0.7));
    assert_eq!(network.parameters[1].init, Init::Full(0.0));
    let gradients = Perceptron::gradients(vec![ArrayD::zeros(vec![2, 1]), ArrayD::zeros(vec![1])]);
    assert_eq!((gradients.w.dim(), gradients.b.dim()), ((2, 1), 1));
}

network! {
    /// Initialisers with conditions.
    struct Started {
        input x: [3];
        param w: [3, 2] = orthogonal;
        param v: [2, 4] = trunc_normal(0.0, std = 0.5, low = -1.0, high = 1.0);
        loss x.matmul(w).matmul(v);
    }
}

#[test]
fn parameters_are_initialised_orthogonal_and_truncated() {
    let network = Started::declaration().unwrap();
    let within = Init::TruncNormal { mean: 0.0, std: 0.5, low: -1.0, high: 1.0 };
    assert_eq!(
        [&network.parameters[0].init, &network.parameters[1].init],
        [&Init::Orthogonal, &within]
    );
    let model = Started::model().seed(7).build().unwrap();
    let parameters = model.params();
    // PyTorch's of [2, 3], transposed, and then the next numbers of the stream.
    let mut generator = Generator::new(7);
    let (mut w, mut v) = ([0.0; 6], [0.0; 8]);
    init::orthogonal(&mut generator, &mut w, 2, 3).unwrap();
    init::trunc_normal(&mut generator, &mut v, 0.0, 0.5, -1.0, 1.0).unwrap();
    assert_eq!(parameters.w, ArrayView2::from_shape((2, 3), &w).unwrap().t());
    assert_eq!(parameters.v, ArrayView2::from_shape((2, 4), &v).unwrap());
}

#[test]
fn impossible_initialisers_are_mistakes() {
    for (init, shape, message) in [
        (Init::Orthogonal, vec![3], "for matrices"),
        (
            Init::TruncNormal { mean: 0.0, std: 0.0, low: -1.0, high: 1.0 },
            vec![3],
            "`std` must be above 0, but is 0",
        ),
        (
            Init::TruncNormal { mean: 0.0, std: 1.0, low: 1.0, high: -1.0 },
            vec![3],
            "`low` must not be above `high`, but they are 1 and -1",
        ),
        (Init::TruncNormal { mean: f64::NAN, std: 1.0, low: -1.0, high: 1.0 }, vec![3], "finite"),
    ] {
        let dims = shape.into_iter().map(Dim::Fixed);
        let mistake = Builder::new("Started").parameter("w", dims, init).unwrap_err();
        assert!(mistake.message.contains(message), "{}", mistake.message);
    }
}

/// Features of an image.
const FEATURES: usize = 4;

mod sizes {
    /// Classes.
    pub const CLASSES: usize = 3;
}

network! {
    /// Sizes of every kind.
    pub struct Sized<const HIDDEN: usize, const DEPTH: usize = 2> {
        input x: [FEATURES, 2 * FEATURES];
        target y: class(sizes::CLASSES);
        let flat = x.reshape([{ FEATURES * FEATURES } * 2]);
        let deep = flat -> Linear(HIDDEN * DEPTH) -> Tanh -> Linear({ HIDDEN + 1 }, bias = false);
        output logits = deep -> Linear((sizes::CLASSES));
        loss cross_entropy(logits, y);
    }
}

#[test]
fn sizes_of_every_kind() {
    let network = Sized::<5>::declaration().unwrap();
    assert_eq!(ends(&network), "x: [4, 8], y: class(3) -> logits: [3] | accuracy");
    assert_eq!(
        parameters(&network),
        [
            "linear1.weight [32, 10]",
            "linear1.bias [10]",
            "linear2.weight [10, 6]",
            "linear3.weight [6, 3]",
            "linear3.bias [3]"
        ]
    );
    assert_eq!(parameters(&Sized::<5, 7>::declaration().unwrap())[0], "linear1.weight [32, 35]");
    is_classifier::<Sized<5>>();
}

#[test]
fn functions_and_methods_are_the_same() {
    network! {
        struct Functions {
            input x: [2, 3];
            let a = sum(x, axis = -1) + mean(x, -1) * 2;
            let b = reshape(transpose(x, axes = [1, 0]), [6]);
            loss sum(pow(max(a, 0), 2)) - sum(b);
        }
    }
    network! {
        struct Methods {
            input x: [2, 3];
            let a = x.sum(axis = -1) + x.mean(-1) * 2.0;
            let b = x.transpose([1, 0]).reshape(shape = [6]);
            loss (a -> maximum(0) -> pow(exponent = 2.0) -> sum) - b.sum();
        }
    }
    let [f, m] = [Functions::declaration().unwrap(), Methods::declaration().unwrap()];
    assert_eq!(operations(&f), operations(&m));
    assert!(f.parameters.is_empty());
    let _ = Functions::parameters(Vec::new());
    let _ = Functions::gradients(Vec::new());
    let _ = Functions::output(Vec::new());
}

/// Forms that the compiler rewrites.
#[test]
fn signs_and_quotients_are_kept() {
    network! {
        struct Signs {
            input x: [5];
            input y: [5];
            output from_zero = 0.0 - x;
            output added = x + -y;
            output subtracted = x - -y;
            output times = x * -1.0;
            output twice = -(-x);
            output quarter = x / 4.0;
        }
    }
    let x = ndarray::array![[1.0f32, -2.0, 0.5, 7.0, -0.25]];
    let y = ndarray::array![[3.0f32, 5.0, -1.5, 0.25, 8.0]];
    let z = Signs::model().build().unwrap();
    let z = z.predict(signs::Input { x: x.view(), y: y.view() }).unwrap();
    assert_eq!(z.from_zero, x.mapv(|x| -x));
    assert_eq!(z.added, &x - &y);
    assert_eq!(z.subtracted, &x + &y);
    assert_eq!(z.times, x.mapv(|x| -x));
    assert_eq!(z.twice, x);
    assert_eq!(z.quarter, x.mapv(|x| x / 4.0));
}

/// Two transpositions of a cube, whose shape does not tell whether they cancel.
#[test]
fn transpositions_of_equal_sizes_are_composed() {
    network! {
        struct Cube {
            input x: [3, 3, 3];
            output twice = x.transpose([1, 2, 0]).transpose([1, 2, 0]);
            output back = x.transpose([1, 2, 0]).transpose([2, 0, 1]);
        }
    }
    let x = ndarray::Array::from_shape_fn((2, 3, 3, 3), |(n, i, j, k)| {
        (100 * n + 16 * i + 4 * j + k) as f32
    });
    let cube = Cube::model().build().unwrap();
    let y = cube.predict(cube::Input { x: x.view() }).unwrap();
    assert_eq!(y.twice, x.view().permuted_axes([0, 3, 1, 2]));
    assert_eq!(y.back, x);
}

#[test]
fn layers_are_shared_and_in_declaration_order() {
    network! {
        struct Twins {
            target same: [2];
            input left: [3];
            input right: [3];
            layer head = Linear(4, 2);
            param s: [] = full(-0.5);
            layer twin = Linear(4);
            let a = twin(left);
            let b = right -> twin -> ReLU;
            output p = head(a - b);
            output scale = exp(s);
            loss sum mse_loss(p, same) * scale;
        }
    }
    let network = Twins::declaration().unwrap();
    assert_eq!(ends(&network), "same: [2], left: [3], right: [3] -> p: [2], scale: [] | ");
    assert_eq!(
        parameters(&network),
        ["head.weight [4, 2]", "head.bias [2]", "s []", "twin.weight [3, 4]", "twin.bias [4]"]
    );
    let sizes: Vec<_> = network.parameters.iter().map(|p| p.shape.sizes()).collect();
    let arrays = sizes.iter().enumerate().map(|(i, s)| ArrayD::from_elem(s.clone(), i as f32));
    let gradients = Twins::gradients(arrays.collect());
    assert_eq!(
        (gradients.s.sum(), gradients.twin.bias[3], gradients.head.weight[(0, 1)]),
        (2., 4., 0.)
    );
    // An output that is the same for all examples has no batch axis.
    let output = Twins::output(vec![ArrayD::zeros(vec![5, 2]), ArrayD::zeros(vec![])]);
    assert_eq!((output.p.dim(), output.scale.dim()), ((5, 2), ()));
    // Inputs come before targets.
    let (x, y) = (Array2::zeros((1, 3)), Array2::zeros((1, 2)));
    let batch = twins::Batch { left: x.view(), right: x.view(), same: y.view() };
    let shapes = Twins::batch_feeds(&batch).map(|feed| match feed {
        Feed::Real(x) => x.shape().to_vec(),
        Feed::Index(_) => Vec::new(),
    });
    assert_eq!(shapes, [[1, 3], [1, 3], [1, 2]]);
}

#[test]
fn integers_and_many_axes() {
    network! {
        struct Words {
            input word: index(100)[16];
            input x: [1, 2, 3, 1, 2, 1];
            target next: class(10);
            param w: [16, 10] = xavier_uniform;
            output y = x.sum() * sum(w, axis = 0);
            loss -log_softmax(y);
        }
    }
    let network = Words::declaration().unwrap();
    let expected = "word: index(100)[16], x: [1, 2, 3, 1, 2, 1], next: class(10) -> y: [10] | ";
    assert_eq!(ends(&network), expected);
    let word = Array2::<u32>::zeros((4, 16));
    let x = ArrayD::<f32>::zeros(vec![4, 1, 2, 3, 1, 2, 1]);
    let input = words::Input { word: word.view(), x: x.view() };
    assert!(matches!(Words::input_feeds(&input), [Feed::Index(_), Feed::Real(_)]));
}

#[test]
fn integers_index_rows() {
    const WORDS: usize = 40;
    network! {
        struct Rows<const DIM: usize> {
            input word: index(WORDS)[16];
            input kind: index(5);
            target next: class(WORDS);
            param table: [5, DIM] = normal(0.0, 1.0);
            layer words = Embedding(WORDS, DIM);
            let seen = words(word.reshape([4, 4])) -> mean(axis = 0);
            let chained = kind -> Embedding(DIM) -> Tanh;
            let known = seen.mean(axis = 0) + chained + embedding(kind, table);
            output scores = known -> Linear(WORDS);
            loss cross_entropy(scores, next);
        }
    }
    let network = Rows::<6>::declaration().unwrap();
    assert_eq!(
        parameters(&network)[..3],
        ["table [5, 6]", "words.weight [40, 6]", "embedding1.weight [5, 6]"]
    );
    assert_eq!(network.parameters[1].init, Init::Normal(0.0, 1.0));
    assert_eq!(network.layers[0].kind, "Embedding(40, 6)");
}

#[test]
fn macros_may_declare_networks() {
    macro_rules! line {
        ($name:ident, $inputs:expr, $layer:ident) => {
            network! {
                struct $name {
                    input x: [$inputs];
                    target y: [1];
                    layer $layer = Linear($inputs * 1, 1);
                    output p = $layer(x);
                    loss mse_loss(p, y);
                }
            }
        };
    }
    const N: usize = 3;
    line!(Two, 1 + 1, fc);
    line!(Three, N, line);
    line!(Eight, 1 << N, fc);
    assert_eq!(parameters(&Two::declaration().unwrap()), ["fc.weight [2, 1]", "fc.bias [1]"]);
    assert_eq!(parameters(&Three::declaration().unwrap())[0], "line.weight [3, 1]");
    assert_eq!(parameters(&Eight::declaration().unwrap())[0], "fc.weight [8, 1]");
}

network! {
    /// Losses with attributes of every kind.
    struct Weighted<const CLASSES: usize> {
        input x: [4];
        target y: class(CLASSES);
        output logits = x -> Linear(CLASSES);
        loss cross_entropy(logits, y, weight = [1, 0.5, 2.0], label_smoothing = 0.1, ignore_index = 0);
        metric top_k_accuracy(logits, y, 2);
        metric spread = logits.std(axis = -1, unbiased = false) + amin(logits);
    }
}

#[test]
fn weighted_losses() {
    let network = Weighted::<3>::declaration().unwrap();
    assert_eq!(
        ends(&network),
        "x: [4], y: class(3) -> logits: [3] | top_k_accuracy, spread, accuracy"
    );
    let shown = network.graph().to_string();
    let has = |op: &str, attributes: &str| {
        let mut lines = shown.lines();
        let found = lines.any(|line| line.contains(op) && line.contains(attributes));
        assert!(found, "{op} {attributes}: {shown}");
    };
    has("= cross_entropy(", ", weight = [1.0, 0.5, 2.0], ignore_index = 0, label_smoothing = 0.1)");
    // The accuracy ignores the loss's ignored class, and both means are
    // weighted.
    has("= accuracy(", ", ignore_index = 0)");
    assert_eq!(shown.matches("= div(").count(), 2);
}

#[test]
fn losses_of_probabilities_have_no_accuracy() {
    network! {
        struct Soft {
            input x: [4];
            target y: [3];
            output logits = x -> Linear(3);
            loss cross_entropy(logits, y);
        }
    }
    assert_eq!(ends(&Soft::declaration().unwrap()), "x: [4], y: [3] -> logits: [3] | ");
}

#[test]
fn mistakes_in_numbers_are_errors_of_the_declaration() {
    network! {
        struct Padded<const CLASSES: usize> {
            input x: [4];
            target y: class(CLASSES);
            output logits = x -> Linear(CLASSES);
            loss nll_loss(logits.log_softmax(), y, ignore_index = 7);
            metric top_k_accuracy(logits, y, k = 3);
        }
    }
    assert!(Padded::<8>::declaration().is_ok());
    let message = |network: Result<Declaration, _>| match network {
        Err(error) => bilro::compiler::error::Error::to_string(&error),
        Ok(_) => String::new(),
    };
    assert_eq!(
        message(Padded::<5>::declaration()),
        "network `Padded`: `ignore_index` must be one of the 5 classes of `logits.log_softmax()`, \
         0 to 4, but is 7"
    );
}
