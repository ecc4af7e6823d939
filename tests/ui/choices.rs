//! Invalid alternatives of choices.
use bilro::network;

network! {
    struct Declared {
        input x: [4];
        target y: class(3);
        choice one = relu;
        choice twice = relu | tanh | relu;
        choice alike = sigmoid | Sigmoid;
        choice two_slopes = leaky_relu(0.1) | leaky_relu(0.2);
        choice unknown = rleu | tanh;
        choice layers = ReLU | Convolution(3);
        choice values = relu | x;
        choice later = relu | hidden;
        choice unused = relu | tanh;
        layer hidden = Linear(4);
        let a = one(x) + twice(x) + alike(x) + two_slopes(x) + unknown(x) + unknown(x);
        let b = x -> layers -> values -> later -> hidden;
        output scores = b -> Linear(3);
        loss cross_entropy(scores, y);
    }
}

network! {
    struct Used {
        input x: [4];
        target y: class(3);
        choice activation = sigmoid | tanh;
        let a = activation;
        let b = x + activation * 2;
        let c = activation(x, x);
        let d = activation();
        let e = activation(x = x);
        let f = x -> activation(0.1);
        let g = activaton(x);
        output scores = x -> Linear(3);
        loss cross_entropy(scores, y);
    }
}

network! {
    struct Alternatives {
        input x: [4];
        target y: class(3);
        layer narrow = Linear(3);
        choice power = relu | pow;
        choice pair = maximum | relu;
        choice shape = relu | sum;
        choice sizes = Identity | narrow;
        choice wide = Identity | Linear(8, 4);
        let g = power(x) + power(x);
        let h = pair(x) + pair(x);
        let i = shape(x) + shape(x);
        let j = x -> sizes;
        let k = x -> wide;
        output scores = x -> Linear(3);
        loss cross_entropy(scores, y);
    }
}

network! {
    struct Written {
        input x: [4];
        target y: class(3);
        choice a relu | tanh;
        choice b = relu | ;
        choice c = | relu;
        choice d = relu || tanh;
        choice e = relu, tanh;
        block f(x) { choice g = relu | tanh; g(x) }
        output scores = x -> f -> Linear(3);
        loss cross_entropy(scores, y);
    }
}

network! {
    struct Line {
        input x: [4];
        choice activation = sigmoid | tanh;
        output y = activation(x);
        loss y;
    }
}

network! {
    struct Own {
        input x: [4];
        choice tanh = tanh | relu;
        choice a = a | relu;
        choice b = c | relu;
        choice c = b | relu;
        choice d = f | relu;
        block f(x) { d(x) }
        block g(x) { h(x) }
        block h(x) { g(x) }
        loss x -> a -> b -> c -> d -> f -> h;
    }
}

fn main() {
    let x = bilro::ndarray::Array2::zeros((1, 4));
    let _ = line::Input { x: x.view() };
    let _ = line::Input { x: x.view(), activation: line::Activation::Relu };
}
