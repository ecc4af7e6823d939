//! Blocks: reusable pieces of network.
use bilro::network;

// In the body: reported once, with the arguments of the first such use.
network! {
    struct Bodies {
        input x: [8];
        target y: [8];
        block unknown(x) {
            layer fc = Linaer(8);
            layer unused = Linear(8);
            rleu(fc(x)) + (x -> Linear(8))
        }
        block typo(x) {
            layer fc = Linear(8);
            rleu(fc(x)) + image
        }
        block narrow(x) { x -> Linear(8, 4) }
        block outside(a, a) {
            let b = a + x + y + fc(a) + later;
            a -> outside -> declared
        }
        block unseen(x) { declared(x) }
        block declared(x) { x }
        layer fc = Linear(8);
        let four = typo(typo(x)) -> fc -> typo;
        let wide = narrow(narrow(x));
        let same = x -> outside(x) -> outside(x);
        loss same + unseen(x) + unknown(x);
    }
}

// Each use determines its shapes.
network! {
    struct Shapes {
        input x: [8];
        block narrow(x) { x -> Linear(8, 4) }
        block wrong(x) { x -> Linear(7, 8) }
        loss narrow(narrow(x)) + wrong(wrong(x));
    }
}

network! {
    struct Uses {
        input x: [8];
        block both(x, y) { x + y }
        block once(x) { relu(x) }
        block never(x) { helped(x) }
        block helped(x) { x }
        block once(x) { x }
        layer named = both(3);
        layer fc = once;
        layer forgotten = once;
        layer close = onec;
        let a = both(x);
        let b = x -> both;
        let c = both(x, y = x);
        let d = once + fc;
        let e = x -> fc(x) -> oncee;
        let f = once(x, x);
        loss named(x) + close(x);
    }
}

network! {
    struct Forms {
        input x: [8];
        block nothing(x) { let y = x; }
        block ended(x) { relu(x); }
        block typed(x: [8]) { x }
        block bare { x }
        block inputs(x) { input z: [3]; x }
        block nested(x) { block inner(x) { x } inner(x) }
        blokc misspelt(x) { relu(x) }
        loss nothing(x) + ended(x) + typed(x) + bare(x) + inputs(x) + nested(x) + misspelt(x);
    }
}

fn main() {}
