//! Sizes that are Rust constants.
use bilro::network;

const HIDDEN: usize = 100;
const NONE: usize = 0;

mod sizes {
    pub const CLASSES: usize = 12;
}

network! {
    pub struct Digits {
        input image: [784];
        target digit: class(10);
        layer fc1 = Linear(784, 128);
        layer fc2 = Linear(HIDDEN, 64);
        layer fc3 = Linear(sizes::CLASSES);
        let hidden = relu(fc2(fc1(image)));
        output logits = fc3(hidden);
        loss cross_entropy(logits, digit);
    }
}

network! {
    struct Arithmetic {
        input x: [HIDDEN / 3 + 1];
        param w: [2 * HIDDEN] = zeros;
        param v: [{ HIDDEN + 1 }] = zeros;
        output y = x.reshape([5, 5]);
        loss w * v;
    }
}

network! {
    struct Empty {
        input x: [NONE];
        loss x;
    }
}

network! {
    struct Missing {
        input x: [HIDEN];
        loss x -> Linear(HIDEN, 3);
    }
}

network! {
    struct Signed {
        input x: [LENGTH];
        loss x;
    }
}

const LENGTH: u32 = 3;

fn main() {
    let width = 3;
    network! {
        struct Local {
            input x: [width];
            loss x -> Linear(width + 1);
        }
    }
}
