//! Mistakes in conditions, element-wise functions and selections by integers.
use bilro::network;

network! {
    struct Comparisons {
        input x: [4];
        input y: [3];
        input k: class(3);
        let a = x > y;
        let b = x == k;
        let c = !k;
        let d = where(x, y, 0);
        let e = where(x > 0, x);
        let f = where(x > 0) -> Linear(3);
        let g = x > 0 -> Linear(3);
        let h = x.masked_fill(x < 0);
        let i = gt(x, 0, 1);
        let j = masked_fil(x, x < 0, 1);
        let l = x[0 < 1];
        loss x < 0;
    }
}

network! {
    struct Functions {
        input x: [4];
        let a = celu(x, alpha = 0);
        let b = logit(x, eps = 0.5);
        let c = softshrink(x, lambd = -1);
        let d = softshrink(x, lambda = 1);
        let e = arctan(x);
        let f = x % 2;
        let g = erfinv(x);
        let h = x -> Threshold(1);
        let i = lerp(x, 0.5);
        loss x;
    }
}

network! {
    struct Integers<const N: usize> {
        input x: [4, 3];
        input n: [N];
        input k: class(3);
        input rows: index(4)[2];
        input places: index(3)[4, 2];
        let a = one_hot(x);
        let b = one_hot(k, num_classes = 2);
        let c = gather(x, places, axis = 0);
        let d = gather(x, rows, axis = 0);
        let e = gather(x, x, axis = 0);
        let f = index_select(x, places, axis = 1);
        let g = index_select(x, rows, axis = -1);
        let h = argmax(k);
        let i = argmax(x, axis = 2);
        let j = argmin(n);
        let l = gather(x, places);
        let m = topk(x, 3);
        loss x;
    }
}

fn main() {}
