//! Mismatched shapes.
use bilro::network;

network! {
    struct Broadcast {
        input x: [4];
        param w: [3] = zeros;
        output y = x * w;
        loss y;
    }
}

network! {
    struct Product {
        input x: [2, 3];
        param w: [4, 5] = xavier_uniform;
        output y = x.matmul(w);
        loss y;
    }
}

network! {
    struct Reshaped {
        input x: [28, 28];
        let rows = x.reshape([7, 16]);
        output y = sum(x, axis = 2);
        output z = x.transpose([0, 0]);
        loss y;
    }
}

network! {
    struct Vectors {
        input x: [3];
        param w: [3] = kaiming_normal;
        loss x * w;
    }
}

fn main() {}
