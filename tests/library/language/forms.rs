//! Values of forms with a single meaning.

use super::{operations, parameters};
use bilro::rng::{Generator, init};
use bilro::{Backend, Network as _, network};
use ndarray::{Array2, Array3, array};

network! {
    struct Total {
        input p: [2];
        target y: [2];
        loss sum: (p - y).square();
    }
}

network! {
    struct PerExample {
        input p: [2];
        target y: [2];
        loss sum((p - y).square());
    }
}

network! {
    struct OfSums {
        input p: [2];
        target y: [2];
        loss sum(p - y).square();
    }
}

network! {
    struct Mean {
        input p: [2];
        target y: [2];
        loss mean: (p - y).square();
    }
}

network! {
    struct Negative {
        input p: [2];
        target y: [2];
        loss sum: -(p - y).square() + p;
    }
}

/// Differences of 1, -1 and -2, 2: their squares are 1, 1, 4, 4.
#[test]
fn a_loss_is_the_mean_or_the_sum_of_all_elements_or_of_a_functions_values() {
    let (p, y) = (array![[1.0, 0.0], [0.0, 2.0]], array![[0.0, 1.0], [2.0, 0.0]]);
    macro_rules! loss {
        ($Network:ident, $module:ident) => {{
            let model = $Network::model().build().unwrap();
            model.gradients($module::Batch { p: p.view(), y: y.view() }).unwrap().loss
        }};
    }
    assert_eq!(loss!(Total, total), 10.0);
    assert_eq!(loss!(PerExample, per_example), 5.0);
    assert_eq!(loss!(OfSums, of_sums), 0.0);
    assert_eq!(loss!(Mean, mean), 2.5);
    assert_eq!(loss!(Negative, negative), -7.0);
}

macro_rules! summed {
    ($name:ident, $loss:expr) => {
        network! {
            struct $name {
                input p: [2];
                target y: [2];
                loss sum $loss;
            }
        }
    };
}
summed!(Handed, (p - y).square());

/// An expression fragment of `macro_rules!` is one expression, whatever its
/// first token.
#[test]
fn a_fragment_is_summed_as_one_expression() {
    let [handed, total] = [Handed::declaration().unwrap(), Total::declaration().unwrap()];
    assert_eq!(operations(&handed), operations(&total));
}

#[test]
fn an_operand_of_a_chain_is_in_parentheses() {
    network! {
        struct Outside {
            input x: [4];
            output y = x + (x -> Linear(4) -> Tanh);
            loss (x -> Linear(4)) * 2;
        }
    }
    network! {
        struct Inside {
            input x: [4];
            output y = (x + x) -> Linear(4) -> Tanh;
            loss x -> (Linear(4)) * 2;
        }
    }
    let [outside, inside] = [Outside::declaration().unwrap(), Inside::declaration().unwrap()];
    assert_eq!((parameters(&outside).len(), parameters(&inside).len()), (4, 6));
    assert_ne!(operations(&outside), operations(&inside));
}

/// The first alternative is the function, which has the choice's own name.
#[test]
#[allow(non_snake_case, reason = "that is the subject of the test")]
fn a_choice_may_have_the_name_of_an_alternative() {
    network! {
        struct Named {
            input x: [2];
            choice tanh = tanh | relu;
            choice Sigmoid = Sigmoid | Identity;
            // Declared later, so not an alternative of the first choice.
            layer relu = Linear(2);
            output y = tanh(x) - 1.0;
            output z = x -> Sigmoid;
            output w = relu(x);
            loss y;
        }
    }
    let model = Named::model().seed(1).build().unwrap();
    let x: Array2<f32> = array![[-1.0, 0.5]];
    let predict =
        |tanh, kind| model.predict(named::Input { x: x.view(), tanh, Sigmoid: kind }).unwrap();
    let first = predict(named::Tanh::Tanh, named::Sigmoid::Sigmoid);
    let second = predict(named::Tanh::Relu, named::Sigmoid::Identity);
    for (got, right) in first.y.iter().zip(x.iter().map(|x| x.tanh() - 1.0)) {
        assert!((got - right).abs() < 1e-6, "{got} {right}");
    }
    assert_eq!(second.y, array![[-1.0, -0.5]]);
    assert!((first.z[[0, 1]] - 1.0 / (1.0 + (-0.5f32).exp())).abs() < 1e-6);
    assert_eq!(second.z, x);
}

/// `yₖ = Σᵢⱼ aᵢ · Wₖᵢⱼ · bⱼ + biasₖ`.
#[test]
fn a_layer_of_two_values_is_called_with_both() {
    network! {
        struct Pairs {
            input a: [3];
            input b: [2];
            target t: [4];
            layer both = Bilinear(3, 2, 4);
            let y = both(a, b);
            let same = a -> both(b);
            output y1 = y;
            output y2 = same;
            output y3 = a.both(b);
            loss mse_loss(y, t);
        }
    }
    let declared = Pairs::declaration().unwrap();
    assert_eq!(parameters(&declared), ["both.weight [4, 3, 2]", "both.bias [4]"]);
    assert_eq!(declared.layers[0].inputs.len(), 2);
    let a: Array2<f32> = array![[1.0, -2.0, 0.5], [0.25, 1.0, 3.0]];
    let b: Array2<f32> = array![[2.0, -1.0], [0.5, 4.0]];
    let model = Pairs::model().seed(3).build().unwrap();
    let shown = "(both): Bilinear(in1_features=3, in2_features=2, out_features=4, bias=True)";
    assert!(model.to_string().contains(shown), "{model}");
    assert!(model.summary().contains("Bilinear(3, 2, 4)  [3], [2]  [4]"), "{}", model.summary());

    // Initialised as in PyTorch: the weight, then the bias, both within 1/√in1.
    let mut generator = Generator::new(3);
    let bound = 1.0 / 3f64.sqrt();
    let mut drawn = [vec![0.0; 24], vec![0.0; 4]];
    drawn.iter_mut().for_each(|values| init::uniform(&mut generator, values, -bound, bound));
    let (w, bias) = (model.params().both.weight, model.params().both.bias);
    assert_eq!(w.iter().copied().collect::<Vec<f32>>(), drawn[0]);
    assert_eq!(bias.to_vec(), drawn[1]);

    let expected = Array2::from_shape_fn((2, 4), |(n, k)| {
        let terms = (0..6).map(|ij| a[[n, ij / 2]] * w[[k, ij / 2, ij % 2]] * b[[n, ij % 2]]);
        terms.sum::<f32>() + bias[k]
    });
    for backend in [Backend::Jit, Backend::Interpreter] {
        let model = Pairs::model().seed(3).backend(backend).build().unwrap();
        let y = model.predict(pairs::Input { a: a.view(), b: b.view() }).unwrap();
        assert_eq!((&y.y1, &y.y1), (&y.y2, &y.y3));
        assert!((&y.y1 - &expected).iter().all(|error| error.abs() < 1e-5), "{backend:?}");
    }

    // Gradients of both backends, and a training step.
    let t = Array2::zeros((2, 4));
    let batch = || pairs::Batch { a: a.view(), b: b.view(), t: t.view() };
    let gradients = [Backend::Jit, Backend::Interpreter].map(|backend| {
        let model = Pairs::model().seed(3).backend(backend).build().unwrap();
        model.gradients(batch()).unwrap()
    });
    let of_weight = Array3::from_shape_fn((4, 3, 2), |(k, i, j)| {
        let terms = (0..2).map(|n| expected[[n, k]] / 4.0 * a[[n, i]] * b[[n, j]]);
        terms.sum::<f32>()
    });
    for gradients in &gradients {
        let error = &gradients.both.weight - &of_weight;
        assert!(error.iter().all(|error| error.abs() < 1e-5), "{error}");
    }
}

/// `SumAndDifference` exists with the internal feature `__test-layers` only.
#[test]
fn a_layer_with_several_outputs_names_each() {
    network! {
        struct Several<const N: usize> {
            input a: [N];
            input b: [3];
            block halves(x, z) {
                layer inner = SumAndDifference;
                let (s, d) = x -> inner(z);
                s * d
            }
            layer both = SumAndDifference();
            let (sum, _difference) = both(a, b);
            let (again, other) = both(sum, b);
            output y = again;
            output z = other;
            output squares = halves(a, b);
        }
    }
    let declared = Several::<3>::declaration().unwrap();
    assert_eq!(parameters(&declared), ["both.weight [3]", "halves1.inner.weight [3]"]);
    let (a, b) = (array![[1.0, 2.0, 3.0]], array![[0.5, 0.5, 0.5]]);
    let model = Several::<3>::model().build().unwrap();
    assert!(
        model.summary().contains("SumAndDifference  [3], [3]  [3], [3]"),
        "{}",
        model.summary()
    );
    let y = model.predict(several::Input { a: a.view(), b: b.view() }).unwrap();
    // The weight is initialised to 2.
    assert_eq!(y.y, array![[7.0, 11.0, 15.0]]);
    assert_eq!(y.z, array![[2.5, 4.5, 6.5]]);
    assert_eq!(y.squares, array![[1.5, 7.5, 17.5]]);
}
