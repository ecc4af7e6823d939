//! Repeated links.
use bilro::network;

const TIMES: usize = 3;

network! {
    struct Repeated {
        input x: [8];
        let a = x -> relu * TIMES;
        let b = x -> relu * 0;
        let c = x -> relu * 2.5;
        let d = x -> relu * { 2 };
        let e = x -> (relu -> tanh) * x;
        let f = x -> relu * 100000;
        let g = x -> relu * 2 + 1;
        let h = x -> ();
        let i = x -> (relu + 1) * 2;
        loss x;
    }
}

network! {
    struct Inside {
        input x: [8];
        let a = x -> (Linear(8, 4) -> ReLU) * 3;
        let b = x -> (Liner(8) -> ReLU) * 3;
        let c = x -> (sigmoid * 3 -> sofmax) * 2;
        let d = x -> (relu * 1000) * 1000;
        loss x;
    }
}

fn main() {}
