//! Activations at their kinks, at infinities and NaN, against the definitions of PyTorch's source;
//! and their layers in a network.

use std::f32::consts::{FRAC_2_SQRT_PI, LN_2};

use bilro::ndarray::{Array2, Array4};
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro_compiler::autodiff;
use bilro_compiler::declaration::Builder;
use bilro_compiler::error::Site;
use bilro_compiler::eval::Value;
use bilro_compiler::graph::{Graph, Root};
use bilro_compiler::ops::{self, AttributeValue, Attributes, input::Input};
use bilro_compiler::shape::{Dim, Shape, Type};
use bilro_compiler::target::host;
use bilro_tests::check::{self, Case};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

/// Requires `f(x)` to be `y` with slope `dy`, for each of `(x, y, dy)`, on every backend.
pub(crate) fn check(function: &str, attributes: &[(&str, f64)], expected: &[(f32, f32, f32)]) {
    check_within(function, attributes, expected, 1e-6);
}

fn check_with(function: &str, attributes: &Attributes, expected: &[(f32, f32, f32)]) {
    check_all(function, attributes, expected, 1e-6);
}

/// The same within a relative error, for less exact functions.
pub(crate) fn check_within(
    function: &str,
    attributes: &[(&str, f64)],
    expected: &[(f32, f32, f32)],
    bound: f32,
) {
    let mut given = Attributes::new();
    for (name, value) in attributes {
        given.set(name, AttributeValue::Number(*value));
    }
    check_all(function, &given, expected, bound);
}

fn check_all(function: &str, attributes: &Attributes, expected: &[(f32, f32, f32)], bound: f32) {
    let op = (ops::find(function).unwrap().from_call)(attributes).unwrap();
    let ty = Type::real(Shape::batched([expected.len()]));
    let mut g = Graph::new(1);
    let x = g.apply(Input { index: 0, ty }, &[]);
    let y = g.apply(op, &[x]);
    g.add_root(Root::Output("y".into()), y);
    let loss = g.sum_all(y);
    let dx = autodiff::gradients(&mut g, loss, &[x])[0];
    g.add_root(Root::Output("dx".into()), dx);
    let values = expected.iter().map(|(x, ..)| *x).collect();
    let case = Case { graph: g, inputs: vec![Value::real(&[1, expected.len()], values)] };

    let mut results = vec![("interpreter", check::interpreted::<f32>(&case))];
    for target in host::targets() {
        results.push((target.name, check::jitted(&case, &check::lowered(&case, &target))));
    }
    for (backend, roots) in results {
        for (i, (x, y, dy)) in expected.iter().enumerate() {
            for (what, found, expected) in [("value", roots[0][i], *y), ("slope", roots[1][i], *dy)]
            {
                let fits = found == expected
                    || (found.is_nan() && expected.is_nan())
                    || (found - expected).abs() <= bound * expected.abs();
                assert!(
                    fits,
                    "{function}{attributes:?} at {x}, {what} by {backend}: {found}, not {expected}"
                );
            }
        }
    }
}

/// A multiple of the smallest float, 2⁻¹⁴⁹.
fn denormal(times: u32) -> f32 {
    f32::from_bits(times)
}

/// As PyTorch's: eˣ below the smallest normal float is not 0.
#[test]
fn tails_of_exponentials_are_denormal() {
    // eˣ · 2¹⁴⁹, to the nearest.
    let tails: Vec<(f32, f32)> =
        [(-87.5, 7123644), (-95.0, 3940), (-100.0, 27), (-102.5, 2), (-103.5, 1), (-103.9, 1)]
            .map(|(x, y)| (x, denormal(y)))
            .to_vec();
    let same: Vec<(f32, f32, f32)> = tails.iter().map(|(x, y)| (*x, *y, *y)).collect();
    for function in ["exp", "sigmoid", "softplus"] {
        check(function, &[], &same);
    }
    let mirrored: Vec<_> = tails.iter().map(|(x, y)| (-x, -y, *y)).collect();
    check("logsigmoid", &[], &mirrored);
    check("silu", &[], &[(-100.0, -denormal(2700), -denormal(2673))]);
    check("exp", &[], &[(-104.0, 0.0, 0.0), (-INF, 0.0, 0.0), (INF, INF, INF), (NAN, NAN, NAN)]);
    check(
        "sigmoid",
        &[],
        &[(-104.0, 0.0, 0.0), (-INF, 0.0, 0.0), (INF, 1.0, 0.0), (NAN, NAN, NAN)],
    );
}

#[test]
fn linear_pieces_have_the_slopes_of_pytorch() {
    check(
        "clamp",
        &[("min", -0.5), ("max", 0.5)],
        &[
            (-0.5, -0.5, 0.0),
            (0.5, 0.5, 0.0),
            (0.25, 0.25, 1.0),
            (-0.75, -0.5, 0.0),
            (NAN, NAN, 0.0),
            (INF, 0.5, 0.0),
            (-INF, -0.5, 0.0),
        ],
    );
    check(
        "hardtanh",
        &[],
        &[
            (-1.0, -1.0, 0.0),
            (1.0, 1.0, 0.0),
            (0.25, 0.25, 1.0),
            (2.0, 1.0, 0.0),
            (NAN, NAN, 1.0),
            (INF, 1.0, 0.0),
            (-INF, -1.0, 0.0),
        ],
    );
    check(
        "hardsigmoid",
        &[],
        &[
            (-3.0, 0.0, 0.0),
            (3.0, 1.0, 0.0),
            (0.0, 0.5, 1.0 / 6.0),
            (2.999_999_8, 1.0, 1.0 / 6.0),
            (NAN, NAN, 0.0),
            (INF, 1.0, 0.0),
            (-INF, 0.0, 0.0),
        ],
    );
    check(
        "relu",
        &[],
        &[
            (0.0, 0.0, 0.0),
            (-0.0, 0.0, 0.0),
            (1e-40, 1e-40, 1.0),
            (-2.0, 0.0, 0.0),
            (NAN, NAN, 1.0),
            (INF, INF, 1.0),
            (-INF, 0.0, 0.0),
        ],
    );
    check(
        "leaky_relu",
        &[],
        &[
            (0.0, 0.0, 0.01),
            (-0.0, 0.0, 0.01),
            (2.0, 2.0, 1.0),
            (-2.0, -0.02, 0.01),
            (NAN, NAN, 0.01),
            (INF, INF, 1.0),
            (-INF, -INF, 0.01),
        ],
    );
    check("leaky_relu", &[("negative_slope", -1.0)], &[(-2.0, 2.0, -1.0), (2.0, 2.0, 1.0)]);
    // Without gradient at 0.
    check(
        "step",
        &[],
        &[
            (0.0, 1.0, 0.0),
            (-0.0, 1.0, 0.0),
            (0.5, 1.0, 0.0),
            (-1e-40, 0.0, 0.0),
            (NAN, NAN, 0.0),
            (INF, 1.0, 0.0),
            (-INF, 0.0, 0.0),
        ],
    );
}

#[test]
fn exponential_units_have_the_slopes_of_pytorch() {
    check(
        "elu",
        &[],
        &[
            (0.0, 0.0, 1.0),
            (-0.0, 0.0, 1.0),
            (1e-40, 1e-40, 1.0),
            (-1e-10, -1e-10, 1.0),
            (NAN, NAN, NAN),
            (INF, INF, 1.0),
            (-INF, -1.0, 0.0),
        ],
    );
    // Slopes far below 0, near the limit of the result.
    check("elu", &[], &[(-9.0, -0.999_876_6, 1.234_098e-4), (-30.0, -1.0, 9.357_623e-14)]);
    check("elu", &[("alpha", 2.0)], &[(0.0, 0.0, 2.0), (1.0, 1.0, 1.0), (-INF, -2.0, 0.0)]);
    check("elu", &[("alpha", -2.0)], &[(0.0, 0.0, -2.0), (1.0, 1.0, 1.0), (-INF, 2.0, 0.0)]);
    check(
        "selu",
        &[],
        &[
            (0.0, 0.0, 1.758_099_3),
            (1.0, 1.050_701, 1.050_701),
            (NAN, NAN, NAN),
            (INF, INF, 1.050_701),
            (-INF, -1.758_099_3, 0.0),
        ],
    );
}

#[test]
fn smooth_units_neither_overflow_nor_lose_nan() {
    let ends = [(1000.0, 1000.0, 1.0), (-1000.0, 0.0, 0.0), (NAN, NAN, NAN), (-INF, NAN, NAN)];
    for approximate in ["none", "tanh"] {
        let word = AttributeValue::Keyword(approximate.into());
        let attributes = Attributes::new().with("approximate", word);
        check_with("gelu", &attributes, &[(0.0, 0.0, 0.5)]);
        check_with("gelu", &attributes, &ends);
    }
    check("silu", &[], &[(0.0, 0.0, 0.5)]);
    check("silu", &[], &ends);
    check("mish", &[], &[(0.0, 0.0, 0.6), (1e30, 1e30, 1.0)]);
    check("mish", &[], &ends);
    check(
        "softplus",
        &[],
        &[
            (0.0, LN_2, 0.5),
            (20.5, 20.5, 1.0),
            (1000.0, 1000.0, 1.0),
            (-1000.0, 0.0, 0.0),
            (NAN, NAN, NAN),
            (INF, INF, 1.0),
            (-INF, 0.0, 0.0),
        ],
    );
    // Above the threshold it is a line, which the curve has not reached yet.
    check(
        "softplus",
        &[("beta", 2.0), ("threshold", 1.0)],
        &[(0.5, 0.656_630_9, 0.731_058_6), (0.625, 0.625, 1.0)],
    );
    check(
        "logsigmoid",
        &[],
        &[
            (0.0, -LN_2, 0.5),
            (1000.0, 0.0, 0.0),
            (-1000.0, -1000.0, 1.0),
            (NAN, NAN, NAN),
            (INF, 0.0, 0.0),
            (-INF, -INF, 1.0),
        ],
    );
    check("softsign", &[], &[(0.0, 0.0, 1.0), (-3.0, -0.75, 0.0625), (1e30, 1.0, 0.0)]);
    // The limit of the slope, which is NaN in PyTorch.
    check("softsign", &[], &[(NAN, NAN, NAN), (INF, NAN, 0.0)]);
}

#[test]
fn functions_at_the_ends_of_their_domains() {
    check("erf", &[], &[(0.0, 0.0, FRAC_2_SQRT_PI), (NAN, NAN, NAN), (INF, 1.0, 0.0)]);
    check(
        "erf",
        &[],
        &[(-INF, -1.0, 0.0), (-4.5, -1.0, 1.811_306e-9), (1e-30, 1.128_379_2e-30, FRAC_2_SQRT_PI)],
    );
    check("sin", &[], &[(0.0, 0.0, 1.0), (NAN, NAN, NAN), (INF, NAN, NAN)]);
    check("cos", &[], &[(0.0, 1.0, 0.0), (NAN, NAN, NAN), (-INF, NAN, NAN)]);
    check("sin", &[], &[(1_000_000.0, -0.349_993_5, 0.936_752_1)]);
    check("expm1", &[], &[(1e-10, 1e-10, 1.0), (-INF, -1.0, 0.0), (INF, INF, INF)]);
    check("reciprocal", &[], &[(0.0, INF, -INF), (-0.0, -INF, -INF), (INF, 0.0, 0.0)]);
    check("rsqrt", &[], &[(0.0, INF, -INF), (INF, 0.0, 0.0), (-1.0, NAN, NAN)]);
}

#[test]
fn powers_beyond_products_have_the_sign_of_products() {
    let even = [(-1.0, 1.0, -66.0), (-0.9, 9.550_032_6e-4, -0.070_033_58), (0.0, 0.0, 0.0)];
    check_within("pow", &[("exponent", 66.0)], &even, 1e-5);
    let odd = [(-1.0, -1.0, 65.0), (-1.1, -490.371_43, 28_976.492), (NAN, NAN, NAN)];
    check_within("pow", &[("exponent", 65.0)], &odd, 1e-5);
    let below = [(-1.0, -1.0, -65.0), (-0.9, -942.405, -68_062.6), (0.0, INF, -INF)];
    check_within("pow", &[("exponent", -65.0)], &below, 1e-5);
}

/// The builder's error for a function with one attribute.
fn rejected(function: &str, attributes: Attributes) -> (Site, String) {
    let mut b = Builder::new("Refused");
    let x = b.input("x", Type::real(Shape::batched([2]))).unwrap();
    let mistake = b.call(function, &[(x, "x")], &attributes).unwrap_err();
    (mistake.site, mistake.message)
}

#[test]
fn meaningless_attributes_are_rejected() {
    let word =
        |word: &str| Attributes::new().with("approximate", AttributeValue::Keyword(word.into()));
    let at = |name: &str| Site::Attribute(name.into());
    assert_eq!(
        rejected("gelu", word("tahn")),
        (
            at("approximate"),
            "`approximate` takes `none` or `tanh`, not `tahn`; did you mean `tanh`?".into()
        )
    );
    assert_eq!(
        rejected("gelu", word("exactly")),
        (at("approximate"), "`approximate` takes `none` or `tanh`, not `exactly`".into())
    );
    let number = Attributes::new().with("approximate", AttributeValue::Number(1.0));
    assert_eq!(
        rejected("gelu", number),
        (at("approximate"), "`approximate` takes `none` or `tanh`".into())
    );
    let limits = Attributes::new()
        .with("min", AttributeValue::Number(1.0))
        .with("max", AttributeValue::Number(-1.0));
    assert_eq!(
        rejected("clamp", limits),
        (at("min"), "`clamp` needs `min` to be at most `max`, but 1 > -1".into())
    );
    let beta = Attributes::new().with("beta", AttributeValue::Number(0.0));
    assert_eq!(
        rejected("softplus", beta),
        (at("beta"), "`softplus` divides by `beta`, which is 0".into())
    );
}

#[test]
fn mismatched_layers_are_reported() {
    let apply = |kind: &str, dims: Vec<Dim>, slopes: Option<usize>| {
        let mut b = Builder::new("Layers");
        let x = b.input("x", Type::real(Shape::batched(dims))).unwrap();
        let mut attributes = Attributes::new();
        if let Some(slopes) = slopes {
            attributes.set("num_parameters", AttributeValue::Size(Dim::Fixed(slopes)));
        }
        let layer = b.layer(None, kind, &attributes).unwrap();
        b.apply(layer, (x, "x")).map(|y| b.graph().shape(y).to_string()).map_err(|m| m.message)
    };
    let (two, three, n) = (Dim::Fixed(2), Dim::Fixed(3), Dim::symbol("N"));
    assert_eq!(
        apply("PReLU", vec![three.clone(), two.clone()], Some(2)).unwrap_err(),
        "`PReLU` has 2 slopes, one for each element of the first axis, but `x` of shape [3, 2] \
         has 3 there"
    );
    assert_eq!(
        apply("PReLU", vec![], Some(2)).unwrap_err(),
        "`PReLU` has 2 slopes, but `x` is a single number"
    );
    assert_eq!(apply("PReLU", vec![], None).unwrap(), "[]");
    assert_eq!(apply("PReLU", vec![n.clone(), two.clone()], None).unwrap(), "[N, 2]");
    assert_eq!(apply("PReLU", vec![three.clone(), two.clone()], Some(3)).unwrap(), "[3, 2]");
    assert_eq!(apply("Flatten", vec![three, two.clone()], None).unwrap(), "[6]");
    assert_eq!(apply("Flatten", vec![], None).unwrap(), "[1]");
    assert_eq!(apply("Flatten", vec![Dim::Fixed(1), n.clone()], None).unwrap(), "[N]");
    assert_eq!(
        apply("Flatten", vec![n, two], None).unwrap_err(),
        "`Flatten` multiplies sizes that are numbers, but `x` has shape [N, 2]: use \
         `reshape([N * 2])`"
    );
}

network! {
    /// Every activation with options, and every other one.
    struct Layers {
        input x: [3, 2, 2];
        target t: [6];
        layer slopes = PReLU(3, init = 0.1);
        let a = x -> slopes -> Identity -> Flatten -> Linear(6) -> GELU(approximate = tanh);
        let b = a -> Linear(6) -> PReLU -> Linear(6) -> ELU(0.5) -> LeakyReLU(negative_slope = 0.2);
        let c = b -> Linear(6) -> GELU -> SELU -> Linear(6) -> SiLU -> Mish -> Softplus(2.0, 10.0);
        let d = c -> Linear(6) -> Softsign -> Hardtanh(min_val = -0.5) -> Linear(6) -> PReLU(6);
        output y = d -> Linear(6) -> LogSigmoid -> Hardsigmoid;
        output fires = d -> Step;
        let e = d -> Linear(6) -> ReLU6 -> Hardswish -> CELU(0.5) -> Linear(6) -> Softshrink(0.01);
        output z = e -> Hardshrink(0.02) -> Tanhshrink -> Threshold(-0.1, 20);
        loss mse_loss(y + z, t);
    }
}

#[test]
fn layers_are_declared_as_in_pytorch() {
    let network = <Layers as bilro::Network>::declaration().unwrap();
    let kinds: Vec<&str> = network.layers.iter().map(|l| l.kind.as_str()).collect();
    assert_eq!(
        kinds.iter().filter(|kind| !kind.starts_with("Linear")).copied().collect::<Vec<_>>(),
        [
            "PReLU(num_parameters = 3, init = 0.1)",
            "Identity",
            "Flatten",
            "GELU(approximate = tanh)",
            "PReLU(num_parameters = 1, init = 0.25)",
            "ELU(alpha = 0.5)",
            "LeakyReLU(negative_slope = 0.2)",
            "GELU(approximate = none)",
            "SELU",
            "SiLU",
            "Mish",
            "Softplus(beta = 2.0, threshold = 10.0)",
            "Softsign",
            "Hardtanh(min_val = -0.5, max_val = 1.0)",
            "PReLU(num_parameters = 6, init = 0.25)",
            "LogSigmoid",
            "Hardsigmoid",
            "Step",
            "ReLU6",
            "Hardswish",
            "CELU(alpha = 0.5)",
            "Softshrink(lambd = 0.01)",
            "Hardshrink(lambd = 0.02)",
            "Tanhshrink",
            "Threshold(threshold = -0.1, value = 20.0)",
        ]
    );
    let modules: Vec<&str> = network.layers.iter().map(|l| l.module.as_str()).collect();
    assert_eq!(
        modules.iter().filter(|module| !module.starts_with("Linear")).copied().collect::<Vec<_>>(),
        [
            "PReLU(num_parameters=3)",
            "Identity()",
            "Flatten(start_dim=1, end_dim=-1)",
            "GELU(approximate='tanh')",
            "PReLU(num_parameters=1)",
            "ELU(alpha=0.5)",
            "LeakyReLU(negative_slope=0.2)",
            "GELU(approximate='none')",
            "SELU()",
            "SiLU()",
            "Mish()",
            "Softplus(beta=2.0, threshold=10.0)",
            "Softsign()",
            "Hardtanh(min_val=-0.5, max_val=1.0)",
            "PReLU(num_parameters=6)",
            "LogSigmoid()",
            "Hardsigmoid()",
            "Step()",
            "ReLU6()",
            "Hardswish()",
            "CELU(alpha=0.5)",
            "Softshrink(0.01)",
            "Hardshrink(0.02)",
            "Tanhshrink()",
            "Threshold(threshold=-0.1, value=20.0)",
        ]
    );
    let slopes: Vec<String> = network
        .parameters
        .iter()
        .filter(|p| !p.name.starts_with("linear"))
        .map(|p| format!("{} {} {:?}", p.name, p.shape, p.init))
        .collect();
    assert_eq!(
        slopes,
        [
            "slopes.weight [3] Full(0.1)",
            "prelu1.weight [1] Full(0.25)",
            "prelu2.weight [6] Full(0.25)"
        ]
    );
}

#[test]
fn layers_learn_the_same_on_every_backend() {
    const EXAMPLES: usize = 5;
    let mut generator = Generator::new(4);
    let (mut x, mut t) = (Array4::zeros((EXAMPLES, 3, 2, 2)), Array2::zeros((EXAMPLES, 6)));
    generator.fill_normal(x.as_slice_mut().unwrap(), 0.0, 1.0);
    generator.fill_uniform(t.as_slice_mut().unwrap(), 0.0, 1.0);
    let run = |backend, steps| {
        let builder = Layers::trainer(Sgd::new(1.0)).seed(11).backend(backend);
        let mut trainer = builder.build().unwrap();
        for _ in 0..steps {
            trainer.step(layers::Batch { x: x.view(), t: t.view() }).unwrap();
        }
        let model = trainer.into_model();
        let parameters = model.named_parameters();
        parameters.map(|(name, p)| (name.to_string(), p.to_owned())).collect::<Vec<_>>()
    };
    let start = run(Backend::Interpreter, 0);
    let expected = run(Backend::Interpreter, 4);
    for (((name, found), (_, expected)), (_, start)) in
        run(Backend::Jit, 4).iter().zip(&expected).zip(&start)
    {
        assert_ne!(found, start, "{name}");
        for (x, y) in found.iter().zip(expected) {
            assert!((x - y).abs() <= 1e-5, "{name}: {found} instead of {expected}");
        }
    }
}

/// Squares of such differences are infinite or 0, the root of their mean is
/// not: PyTorch accumulates them in f64. The values are 0, 1, 2, 3 and 4 times
/// a size, with a deviation of √2.5 times the size, and the slope (i - 2) /
/// (4·√2.5).
#[test]
fn deviations_of_any_size_are_exact() {
    let sizes = [1e-30f32, 1e-25, 1e-15, 1.0, 1e15, 1e17, 1e20, 1e37];
    let root = 2.5f32.sqrt();
    for batch in [1, sizes.len()] {
        let ty = Type::real(Shape::batched([5]));
        let mut g = Graph::new(batch);
        let x = g.apply(Input { index: 0, ty }, &[]);
        let op = (ops::find("std").unwrap().from_call)(&Attributes::new()).unwrap();
        let y = g.apply(op, &[x]);
        g.add_root(Root::Output("y".into()), y);
        let loss = g.sum_all(y);
        let dx = autodiff::gradients(&mut g, loss, &[x])[0];
        g.add_root(Root::Output("dx".into()), dx);
        let sizes = &sizes[sizes.len() - batch..];
        let rows = sizes.iter().flat_map(|size| (0..5).map(move |i| size * i as f32 / 2.0));
        let case = Case { graph: g, inputs: vec![Value::real(&[batch, 5], rows.collect())] };
        for target in host::targets() {
            let roots = check::jitted(&case, &check::lowered(&case, &target));
            for (i, size) in sizes.iter().enumerate() {
                let near = |found: f32, expected: f32, scale: f32| {
                    let fits = (found - expected).abs() <= 1e-6 * scale;
                    assert!(fits, "{} {size}: {found}, not {expected}", target.name);
                };
                near(roots[0][i], size / 2.0 * root, *size);
                for (j, slope) in roots[1][5 * i..5 * i + 5].iter().enumerate() {
                    near(*slope, (j as f32 - 2.0) / (4.0 * root), 1.0);
                }
            }
        }
    }
}

/// What is outside of a function's domain, and a range that has nothing in it, as `torch.clamp` has it.
#[test]
fn backends_agree_where_there_is_no_right_answer() {
    for (node, x, expected) in [
        ("clamp(%0, min = 2.0, max = 0.5)", [0.0, 1.0, 3.0], [0.5; 3]),
        ("binary_cross_entropy(%0, %0)", [-0.5, 1.5, NAN], [NAN; 3]),
    ] {
        let text = format!(
            "graph for batches of 1\n%0 = input(0) : f32 batch×[3]\n%1 = {node}\noutput y = %1\n"
        );
        let graph: Graph = text.parse().unwrap();
        let case = Case { graph, inputs: vec![Value::real(&[1, 3], x.to_vec())] };
        check::assert_same_bits(node, &check::interpreted::<f32>(&case)[0], &expected);
        for target in host::targets() {
            let found = check::jitted(&case, &check::lowered(&case, &target));
            check::assert_same_bits(node, &found[0], &expected);
        }
    }
}
