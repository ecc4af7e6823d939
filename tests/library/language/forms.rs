//! Forms with one reading each: their values.

use super::{operations, parameters};
use bilro::{Network as _, network};
use ndarray::{Array2, array};

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
fn a_loss_is_the_mean_or_the_sum_of_all_elements_or_of_what_a_function_gives() {
    let (p, y) = (array![[1.0, 0.0], [0.0, 2.0]], array![[0.0, 1.0], [2.0, 0.0]]);
    macro_rules! loss {
        ($Network:ident, $module:ident) => {{
            let mut model = $Network::model().build().unwrap();
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

/// What `macro_rules!` was given as an expression is one, whatever it starts with.
#[test]
fn a_fragment_is_summed_as_a_whole() {
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
#[allow(non_snake_case, reason = "that is what is tested")]
fn a_choice_may_be_called_as_one_of_its_alternatives() {
    network! {
        struct Named {
            input x: [2];
            choice tanh = tanh | relu;
            choice Sigmoid = Sigmoid | Identity;
            // Declared later, so not what the first is between.
            layer relu = Linear(2);
            output y = tanh(x) - 1.0;
            output z = x -> Sigmoid;
            output w = relu(x);
            loss y;
        }
    }
    let mut model = Named::model().seed(1).build().unwrap();
    let x: Array2<f32> = array![[-1.0, 0.5]];
    let mut predict =
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
