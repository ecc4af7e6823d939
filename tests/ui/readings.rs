//! Ambiguous forms are errors that show both readings.
use bilro::network;

network! {
    struct Method {
        input p: [2];
        target y: [2];
        loss sum (p - y).square();
    }
}

network! {
    struct Alone {
        input p: [2];
        target y: [2];
        loss sum (p - y);
    }
}

network! {
    struct Mean {
        input p: [2];
        target y: [2];
        loss mean (p - y).square() + 1;
    }
}

network! {
    struct Minus {
        input p: [2];
        loss sum -p;
    }
}

network! {
    struct Metrics {
        input p: [2];
        metric error (p - 1).abs();
        loss p;
    }
}

network! {
    struct Residual {
        input x: [8];
        let a = x + x -> Linear(8) -> ReLU;
        let b = -x -> relu;
        let c = relu(2 * x -> Linear(8));
        let d = x -> Linear(8) + x;
        let e = x -> Linear(8) -> Tanh * 2;
        let f = x -> Linear(8) * 2;
        let g = x -> relu * 3;
        loss x;
    }
}

network! {
    struct Unused {
        input x: [8];
        layer fc = Linear(8);
        let a = fc(x);
        let _b = fc(x);
        loss x;
    }
}

network! {
    struct UnusedInBlocks {
        input x: [8];
        block f(x, scale, _unit) { let y = relu(x); relu(x) }
        loss f(x, 2, 3) + f(x, 4, 5);
    }
}

network! {
    struct Numbers {
        input x: [8];
        let a = 0.5f64 * x;
        let b = 2px * x;
        let c = x.reshape([8usize]);
        let d = 1e-50 * x;
        loss x;
    }
}

fn main() {}
