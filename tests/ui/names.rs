//! What names mean.
use bilro::network;

network! {
    struct Twice {
        input x: [3];
        target x: [3];
        layer fc = Linear(3);
        param fc: [3] = zeros;
        let y = fc(x);
        output y = relu(y);
        metric error = y;
        metric error = y;
        loss y;
    }
}

network! {
    struct Unused {
        input x: [3];
        layer fc1 = Linear(3);
        layer fc2 = Linear(3);
        param scale: [1] = ones;
        loss fc1(x);
    }
}

network! {
    struct Order {
        input x: [3];
        let a = b + fc(x);
        let b = x;
        layer fc = Linear(3);
        loss a;
    }
}

network! {
    struct Kinds {
        input x: [3];
        layer fc = Linear(3);
        let a = fc + 1.0;
        let b = x(3.0);
        let c = relu;
        let d = fc(x) + crate::SIZE;
        loss 1e999 * x;
    }
}

fn main() {}
