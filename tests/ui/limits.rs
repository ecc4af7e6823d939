//! Sizes and numbers beyond the limits.
use bilro::network;

network! {
    struct Sizes {
        input x: [4294967296, 4294967296];
        input y: [4];
        input word: index(4294967297);
        param w: [99999999, 99999999] = zeros;
        layer wide = Linear(9223372036854775807);
        layer norm = LayerNorm(eps = -1e-5);
        loss wide(y) + norm(y) + w + (y -> BatchNorm1d(eps = -1));
    }
}

network! {
    struct Starts {
        param u: [2] = uniform(1.0, 0.0);
        param n: [2] = normal(0.0, -1.0);
        loss u * n;
    }
}

fn main() {}
