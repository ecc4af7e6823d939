//! Losses with mismatched targets, and targets in outputs.
use bilro::network;

network! {
    struct Regression {
        input x: [4];
        target digit: class(10);
        output y = x -> Linear(10);
        loss mse_loss(y, digit);
    }
}

network! {
    struct Classes {
        input x: [4];
        target y: [10];
        output logits = x -> Linear(10);
        loss nll_loss(logits, y);
    }
}

network! {
    struct Scores {
        input x: [4];
        target y: class(3);
        output logits = x -> Linear(10);
        loss cross_entropy(logits, y);
    }
}

network! {
    struct Shapes {
        input x: [4];
        target y: [1];
        output p = x -> Linear(2);
        loss mse_loss(p, y);
    }
}

network! {
    struct Peeking {
        input x: [4];
        target y: [1];
        let p = x -> Linear(1);
        output error = p - y;
        loss error * error;
    }
}

network! {
    struct Whole {
        input word: index(100)[16];
        target next: class(100);
        output again = word;
        metric right = next;
        loss next;
    }
}

fn main() {}
