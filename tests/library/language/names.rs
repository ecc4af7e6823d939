//! Names of values in the graph, and names that could collide.

use super::{Digits, ends, is_classifier, parameters};
use bilro::{Network as _, network};
use ndarray::{Array2, ArrayD};

#[test]
fn names_do_not_collide() {
    network! {
        struct Named {
            input r#type: [2];
            input axis: [2];
            target class: [2];
            layer output = Linear(2);
            layer fc_1 = Linear(2);
            layer fc1 = Linear(2);
            param linear1: [2] = ones;
            let sum = sum(axis);
            let loss = r#type -> output -> fc_1 -> fc1 -> Linear(2);
            output metric = loss * linear1 + sum;
            metric accuracy = metric;
            loss sum(mse_loss(metric, class));
        }
    }
    let network = Named::declaration().unwrap();
    assert_eq!(ends(&network), "type: [2], axis: [2], class: [2] -> metric: [2] | accuracy");
    assert_eq!(
        parameters(&network)[6..],
        ["linear1 [2]", "linear2.weight [2, 2]", "linear2.bias [2]"]
    );
    is_classifier::<Named>();
    let arrays = network.parameters.iter().map(|p| ArrayD::zeros(p.shape.sizes()));
    let gradients = Named::gradients(arrays.collect());
    assert_eq!((gradients.output.bias.len(), gradients.linear2.bias.len()), (2, 2));
}

#[test]
fn names_of_values_are_in_the_graph() {
    let network = Digits::declaration().unwrap();
    let graph = network.graph();
    let named = |name: &str| graph.ids().any(|id| graph.node(id).name.as_deref() == Some(name));
    assert!(
        ["image", "digit", "fc1.weight", "fc1(image)", "hidden", "loss"]
            .map(named)
            .iter()
            .all(|x| *x)
    );
}

/// Names that are equal, or empty, in the form of type names.
#[test]
#[allow(non_snake_case, reason = "that is the subject of the test")]
fn types_have_distinct_names() {
    network! {
        struct Alike {
            input __x: [4];
            block _1(x) { x }
            choice a = relu | tanh;
            choice A = tanh | _1;
            choice b_c = relu | tanh;
            choice bC = tanh | relu;
            layer a_ = Linear(4);
            layer _2 = Linear(4);
            layer __ = Linear(4);
            output y = a(__x) + A(__x) + b_c(__x) + bC(__x) + a_(__x) + _2(__x) + __(__x);
            loss y;
        }
    }
    let x = Array2::zeros((1, 4));
    let model = Alike::model().build().unwrap();
    let input = alike::Input {
        __x: x.view(),
        a: alike::A::Tanh,
        A: alike::A_::Layer1,
        b_c: alike::BC::Relu,
        bC: alike::BC_::Relu,
    };
    assert_eq!(model.predict(input).unwrap().y.dim(), (1, 4));
    assert_eq!(model.params()._2.weight.dim(), (4, 4));
}
