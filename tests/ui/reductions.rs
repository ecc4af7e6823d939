//! Mistakes in reductions over axes, products of stacks and `einsum`.

use bilro::prelude::*;

network! {
    struct Reductions {
        input x: [2, 3, 4];
        input k: class(3);
        let a = sum(x, axis = [0, 3]);
        let b = mean(x, axis = [1, 1]);
        let c = amax(x, axis = [0, -3], keepdim = true);
        let d = std(x, axis = []);
        let e = logsumexp(x, axis = 0.5);
        let f = norm(x, p = big);
        let g = norm(x, axis = all);
        let h = prod(k);
        let i = cumsum(x);
        let j = cumprod(x, axis = [0, 1]);
        let l = cosine_similarity(x, x, axis = 3);
        let m = sum(x, axis = -1, keepdims = true);
        output y = x;
    }
}

network! {
    struct Products {
        input a: [2, 3, 4];
        input b: [5, 4, 6];
        input c: [2, 7, 4, 6];
        input one: [];
        let d = a.matmul(b);
        let e = c.matmul(c);
        let f = a.matmul(one);
        let g = a.matmul(c);
        output y = a;
    }
}

network! {
    struct Equations {
        input a: [3, 4];
        input b: [5, 6];
        input k: class(3);
        let c = einsum("bij,jk->bik", a, b);
        let d = einsum("ij,jk->ik", a, b);
        let e = einsum("ij->ik", a);
        let f = einsum("ij->ii", a);
        let g = einsum("ii", a);
        let h = einsum("...j->j", a);
        let i = einsum("ij;jk", a, b);
        let j = einsum("ij,jk", a);
        let l = einsum(a, b);
        let m = einsum("ij");
        let n = a.einsum("ij");
        let o = einsum("ij", a, axis = 1);
        let p = einsum("", k);
        let q = relu("ij");
        let r = einsum("ij->i->j", a);
        output y = a;
    }
}

network! {
    struct Batches {
        input x: [4];
        param w: [4] = ones;
        let a = x - batch_mean(x);
        output y = a;
        output z = batch_amax(w);
        output allowed = batch_sum(x, predict = true);
        loss batch_amin(x) * w;
    }
}

fn main() {}
