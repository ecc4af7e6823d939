//! Unknown names.
use bilro::network;

const SCALE: usize = 2;

network! {
    struct Digits {
        input image: [784];
        target digit: klass(10);
        param w: [784, 2] = zero;
        layer fc1 = Linaer(128);
        layer fc2 = Linear(out_feature = 10);
        layer fc3 = Linear(10);
        let a = rleu(image);
        let b = relu(imge);
        let c = fc4(image);
        let d = image * SCALE;
        let e = image -> Relu -> sofmax -> Convolution(3);
        let f = sum(image, axes = -1);
        let g = matmul(image, w);
        let h = Linear(3);
        let i = relo + fc11;
        outptu logits = fc3(image);
        loss cross_entropi(logits, digit);
    }
}

fn main() {}
