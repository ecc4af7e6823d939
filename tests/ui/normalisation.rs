//! Misuse of layers that differ between training and evaluation.
use bilro::network;

const FEATURES: usize = 4;

network! {
    struct Misused {
        input x: [4];
        input image: [4, 5, 6];
        input word: index(9);
        input one: [];
        target y: class(3);
        param w: [4] = zeros;
        layer norm = BatchNorm1d(8);
        layer inferred = BatchNorm1d();
        layer rows = LayerNorm(8);
        let a = norm(x);
        let b = inferred(x) + inferred(x.reshape([2, 2]));
        let c = image -> BatchNorm1d;
        let d = inferred(w);
        let e = one -> LayerNorm;
        let f = rows(x);
        let g = word -> Dropout;
        let h = word -> BatchNorm1d;
        let i = x -> Dropout(2);
        let j = x -> Dropout(p = -0.5);
        let k = x -> Dropout(0.5, 1);
        let l = x -> BatchNorm1d(momentum = 1.5);
        let m = x -> LayerNorm(elementwise_affine = 1);
        let n = dropout(x, 0.5);
        output scores = x -> Linear(3);
        loss cross_entropy(scores, y);
    }
}

network! {
    struct Constants {
        input x: [FEATURES];
        output y = x -> BatchNorm1d(4) -> LayerNorm(5);
        loss y;
    }
}

fn main() {}
