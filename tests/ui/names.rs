//! Names: duplicates, keywords and collisions.
use bilro::network;

network! {
    struct Twice {
        input x: [3];
        target x: [3];
        layer fc = Linear(3);
        param fc: [3] = zeros;
        let y = fc(x);
        output y = relu(y);
        metric error = y;
        metric error = y;
        loss y;
    }
}

network! {
    struct Unused {
        input x: [3];
        layer fc1 = Linear(3);
        layer fc2 = Linear(3);
        param scale: [1] = ones;
        loss fc1(x);
    }
}

network! {
    struct Order {
        input x: [3];
        let a = b + fc(x);
        let b = x;
        layer fc = Linear(3);
        loss a;
    }
}

network! {
    struct Kinds {
        input x: [3];
        layer fc = Linear(3);
        let a = fc + 1.0;
        let b = x(3.0);
        let c = relu;
        let d = fc(x) + crate::SIZE;
        loss 1e999 * x;
    }
}

network! {
    struct Keywords {
        input gen: [3];
        target async: [3];
        layer try = Linear(3);
        param dyn: [3] = ones;
        block f(abstract) { abstract }
        choice yield = relu | tanh;
        output self = x;
        let x = gen;
        loss x;
    }
}

network! {
    struct gen { input x: [2]; loss x; }
}

network! {
    struct Sized<const gen: usize> { input x: [2]; loss x; }
}

network! {
    struct Network { input x: [2]; loss x; }
}

network! {
    struct Own { input __bilro: [2]; input x: [{ __BILRO_SIZE_0 }]; loss x + __bilro; }
}

// The module of both would be `ab_c`.
network! {
    struct AbC { input x: [2]; loss x; }
}

network! {
    struct Ab_C { input x: [2]; loss x; }
}

fn main() {}
