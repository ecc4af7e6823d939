//! Mistakes in ranges, positions and functions of a list of values.

use bilro::network;

const WIDTH: usize = 6;

network! {
    pub struct Pieces {
        input x: [8];
        input m: [4, 8];
        input k: index(5)[3];
        input wide: [WIDTH];
        param w: [7] = zeros;
        let a = x[3..9];
        let b = x[5..5];
        let c = x[..-9];
        let d = m[.., 6..9];
        let e = x[0, 1];
        let f = x[];
        let g = x[0..=3];
        let h = x[0.5];
        let i = x[a..];
        let j = x[0..8 step 0];
        let l = x[9];
        let n = concat([m, m[.., ..7]], axis = 0);
        let o = concat([x, w], axis = 1);
        let p = concat(x, w);
        let q = concat([]);
        let r = concat([x, k]);
        let s = stack([x, w]);
        let t = x.concat([w]);
        let u = m.squeeze([0]);
        let v = m.unsqueeze(4);
        let y = x[0][0];
        let z = pad(x, axis = 0, before = -1);
        let aa = pad(x, axis = 0, before = 8, mode = reflect);
        let ab = pad(x, axis = 0, mode = mirror);
        let (ac, ad) = split(x, [3, 4]);
        let (ae, af) = split(x, 4);
        let ag = chunk(x, 2);
        let (ah, ai, aj) = m.chunk(2, axis = 1);
        let ak = sigmoid(chunk(x, 2));
        let al = m.flatten(1, 0);
        let am = x.repeat(0);
        let an = x.roll();
        let ao = x.flip(1);
        let ap = wide.flip(0);
        let rust = wide[1..];
        output last = x;
    }
}

fn main() {}
