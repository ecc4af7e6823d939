//! Layers with mismatched inputs.
use bilro::network;

network! {
    pub struct Digits {
        input image: [784];
        target digit: class(10);
        layer fc1 = Linear(784, 128);
        layer fc2 = Linear(100, 64);
        layer fc3 = Linear(64, 10);
        let hidden = relu(fc2(fc1(image)));
        output logits = fc3(hidden);
        loss cross_entropy(logits, digit);
    }
}

network! {
    struct Chain {
        input image: [784];
        target digit: class(10);
        output logits = image -> Linear(128) -> ReLU -> Linear(64, 10);
        loss cross_entropy(logits, digit);
    }
}

network! {
    struct Shared {
        input a: [3];
        input b: [4];
        layer fc = Linear(2);
        output y = fc(a) + fc(b);
        loss y;
    }
}

network! {
    struct Words {
        input word: index(100);
        output y = word -> Linear(2);
        loss y;
    }
}

network! {
    struct Two {
        input a: [3];
        input b: [4];
        layer both = Bilinear(3, 3, 2);
        layer fc = Linear(2);
        let one = both(a);
        let third = both(a, a, a);
        let wrong = both(a, b);
        let named = both(a, x2 = a);
        let chained = a -> Bilinear(3, 3, 2);
        let (c, d) = fc(a);
        let (e) = fc(a);
        output y = c + d;
    }
}

fn main() {}
