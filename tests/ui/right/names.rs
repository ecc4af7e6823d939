//! Names that shadow the macro's own names, and the library under another name.
#![deny(warnings)]
#![allow(
    dead_code,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unused_macros,
    reason = "that is the subject of the test"
)]

extern crate bilro as nn;
// The library neither.
extern crate std as bilro;

mod types {
    //! Types, traits, methods, macros and constants with common names.
    use nn::network;

    mod alloc {}
    mod bilro {}
    mod core {}
    mod ndarray {}
    mod private {}
    mod std {}
    mod f32 {}

    struct u32;
    struct usize;
    struct bool;
    struct str;
    struct String;
    struct Box;
    struct Vec;
    struct Option;
    struct None;
    struct Some;
    struct Ok;
    struct Err;
    struct Clone;
    struct Copy;
    struct Debug;
    struct Default;
    struct PartialEq;
    struct Hash;
    struct Iterator;
    struct IntoIterator;
    struct AsRef;
    struct From;
    struct Declaring;
    struct Feed;
    struct Init;
    struct Network;
    struct Trainable;
    type Result = ();

    static batch: u8 = 1;
    static value0: u8 = 1;
    const builder: u8 = 2;
    const network_: u8 = 2;
    struct views;
    struct arrays;

    trait Methods: Sized {
        fn apply(self) {}
        fn bind(self) {}
        fn call(self) {}
        fn choice(self) {}
        fn clone(self) {}
        fn default(self) {}
        fn eq(self) {}
        fn evaluate(self) {}
        fn finish(self) {}
        fn fit(self) {}
        fn fmt(self) {}
        fn hash(self) {}
        fn index(self) {}
        fn into_dyn(self) {}
        fn into_iter(self) {}
        fn layer(self) {}
        fn loss(self) {}
        fn model(self) {}
        fn next(self) {}
        fn output(self) {}
        fn predict(self) {}
        fn real(self) {}
        fn view(self) {}
    }
    impl<T> Methods for T {}

    macro_rules! assert { ($($t:tt)*) => { hidden }; }
    macro_rules! compile_error { ($($t:tt)*) => {}; }
    macro_rules! panic { ($($t:tt)*) => { hidden }; }
    macro_rules! unreachable { ($($t:tt)*) => { hidden }; }
    macro_rules! vec { ($($t:tt)*) => { hidden }; }

    network! {
        /// Every kind of statement.
        pub struct Digits {
            input image: [64] grad;
            input word: index(10)[2];
            target digit: class(10);
            param scale: [1] = normal(0.0, 0.1);
            choice act = relu | tanh;
            block gelu2(x) { x -> GELU(approximate = tanh) }
            block residual(x) { x + (x -> Linear(32) -> gelu2) }
            let words = (word -> Embedding(32)).mean(axis = 0);
            let hidden = (image * scale) -> Linear(32);
            output logits = (hidden + words) -> act -> residual -> BatchNorm1d -> Linear(10);
            loss cross_entropy(logits, digit, weight = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        }
    }
}

mod own {
    //! The macro's own names, in every position.
    use nn::network;

    const SIZE: usize = 2;

    network! {
        /// Generic over the other meanings of these names.
        pub struct Generic<
            const value0: usize,
            const Batch: usize,
            const generic: usize,
            const Generic: usize,
            const f32: usize,
        > {
            input batch: [value0, Batch];
            input views: [generic];
            input builder: [{ Generic * f32 }, SIZE];
            output y = sum(batch) + sum(views) + sum(builder);
            loss y;
        }
    }

    network! {
        /// Fields, layers and types.
        pub struct Names {
            input Input: [2];
            input input: [2];
            input Self_: [2];
            input r#type: [2] grad;
            input r#gen: [2];
            input nothing: [2];
            target Batch: [2];
            layer Gradients = Linear(2);
            layer gradients_ = Linear(2);
            layer unknown = Linear(2);
            layer r#fn = Linear(2);
            layer größe = Linear(2);
            layer 输入 = Linear(2);
            layer _2 = Linear(2);
            layer self_ = Linear(2);
            layer f32 = Linear(2);
            layer std = Linear(2);
            layer bilro = Linear(2);
            layer option = Linear(2);
            param weight: [2] = ones;
            block block(x) {
                layer weight = Linear(2);
                layer clone = Linear(2);
                layer copy = Linear(2);
                param debug: [2] = ones;
                weight(x * debug) -> clone -> copy
            }
            choice tanh = tanh | relu;
            choice r#match = r#fn | Identity | sigmoid;
            let Output = Input + input + Self_ + r#type + r#gen + nothing * weight;
            let a = Output -> Gradients -> gradients_ -> unknown -> r#fn -> größe -> 输入 -> _2;
            output self_y = a -> self_ -> f32 -> std -> bilro -> option -> block -> tanh -> r#match;
            loss mse_loss(self_y, Batch);
        }
    }

    network! {
        /// Names that differ by case and underscores.
        pub struct Cases {
            input ab: [2];
            input AB: [2];
            input aB: [2];
            input a_b: [2];
            layer lin = Linear(2);
            layer Lin = Linear(2);
            layer l_in = Linear(2);
            layer lIn = Linear(2);
            output y = (ab + AB + aB + a_b) -> lin -> Lin -> l_in -> lIn;
            loss y;
        }
    }

    // The modules of these would be Rust keywords, types or crates.
    network! { struct Gen { input x: [2]; loss x; } }
    network! { struct F32 { input x: [2]; loss x; } }
    network! { struct Std { input x: [2]; loss x; } }
    network! { struct Match { input x: [2]; loss x; } }

    /// Their names.
    pub fn modules(x: nn::ndarray::ArrayView2<'_, f32>) {
        let _ = (gen_::Batch { x }, f32_::Batch { x }, std_::Batch { x }, match_::Batch { x });
    }
}

/// A re-export by another library.
mod handed_on {
    pub use nn::network as declare;
}

handed_on::declare! {
    struct Handed {
        input x: [2];
        loss x;
    }
}

fn main() {
    use nn::Network;

    assert_eq!(types::Digits::declaration().unwrap().choices.len(), 1);
    assert_eq!(own::Generic::<1, 2, 3, 4, 5>::declaration().unwrap().inputs.len(), 3);
    let names = own::Names::declaration().unwrap();
    assert_eq!(names.choices[0].alternatives, ["tanh", "relu"]);
    assert_eq!(own::Cases::declaration().unwrap().parameters.len(), 8);
    let x = nn::ndarray::Array2::zeros((1, 2));
    own::modules(x.view());
    assert_eq!(Handed::model().build().unwrap().predict(handed::Input { x: x.view() }).is_ok(), true);
}
