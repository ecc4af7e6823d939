//! What is wrong around the statements, and statements of which not even the name can be read.
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

// One message for each: not what follows from it.
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
