//! Mistakes around the statements, and statements without a readable name.
use bilro::network;

network! {
    #![allow(dead_code)]
    struct Inside { input x: [2]; loss x; }
}

network! { struct }

network! {
    struct type { input x: [2]; loss x; }
}

network! {
    struct Ended { input x: [2]; loss x; };
}

network! {
    struct Sizes<const N: usize, const N: usize> { input x: [N]; loss x; }
}

// One message for each, without follow-on errors.
network! {
    struct Names {
        input x: [2];
        input 2x: [2];
        let mut y = relu(x);
        output x;
        loss y;
        /// About nothing.
    }
}

network! {
    struct Metric {
        input x: [2];
        metric accuracy;
        loss x;
    }
}

fn main() {}
