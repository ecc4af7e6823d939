//! A network has one loss, or none and only outputs.
use bilro::network;

network! {
    pub struct Digits {
        input image: [784];
        target digit: class(10);
        output logits = image -> Linear(10);
    }
}

network! {
    struct Lines {
        input x: [1];
        target height: [1];
        output y = x -> Linear(1);
        metric y - height;
    }
}

network! {
    struct Two {
        input x: [1];
        output y = x -> Linear(1);
        loss y;
        loss y * y;
    }
}

network! {
    struct Sensitive {
        input x: [1] grad;
        output y = x * x;
    }
}

network! {
    struct Idle {
        input x: [1];
        let y = x * x;
    }
}

network! {
    struct Nothing {}
}

fn main() {}
