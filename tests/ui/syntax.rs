//! A syntax error affects only its own statement.
use bilro::network;

network! {
    pub struct Digits {
        input image [784];
        target digit: class;
        layer fc1 = Linear(128)
        layer fc2 = Linear(64;);
        layer fc3 = fc1 -> fc2;
        let a = fc1(image) +;
        let b = fc2(a b);
        let c = b.weight;
        let d = c[0];
        let e = ((a -> fc3) + 1) -> ReLU + 2;
        let type = a;
        let f = b c;
        @ garbage $;
        stage twice(x) { x }
        output logits = f;
        los cross_entropy(logits, digit)
    }
}

network! {
    enum Digits {}
}

network! {
    struct Generic<T> {
        input x: [2];
        loss x;
    }
}

network! {
    struct Tuple(usize);
}

network! {
    struct One { input x: [2]; loss x; }
    struct Two { input x: [2]; loss x; }
}

network! {}

fn main() {}
