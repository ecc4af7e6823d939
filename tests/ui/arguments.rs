//! Calls with too many, too few and wrong arguments.
use bilro::network;

network! {
    struct Calls {
        input x: [2, 3];
        target y: [2, 3];
        param w: [3, 3] = normal(0.0);
        param v: [3] = uniform(0, high = "one");
        layer fc = Linear(1, 2, 3);
        layer act = ReLU(0.1);
        layer soft = Softmax(axis = last);
        let a = relu(x, x);
        let b = x.matmul();
        let c = mse_loss(x);
        let d = sum(x, 0, 1);
        let e = pow(x);
        let f = x.pow(2, exponent = 3);
        let g = mse_loss(x, target = y);
        let h = fc(x, x) + act(x = x) + soft(x) + v;
        let i = x.reshape(6);
        let j = x.transpose([0, 1.5]);
        let k = relu([1, 2]);
        let m = gelu(x, approximate = tahn) + gelu(x, exactly) + gelu(x, approximate = 1);
        let n = x.clamp(1, -1) -> Hardtanh(max_val = -2);
        loss matmul(x, w);
    }
}

network! {
    struct Sizes {
        input a: [0];
        input b: [-1];
        input c: [2.5];
        input d: [2 - 3];
        input e: [size_of::<u32>()];
        input f: [99999999999999999999];
        input g: class(0);
        layer fc = Linear(true);
        loss 1.0;
    }
}

fn main() {}
