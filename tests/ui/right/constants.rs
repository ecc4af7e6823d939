//! Matching sizes by constants and generics.
#![deny(warnings, missing_docs, unsafe_code)]
use bilro::{Network, network};

const HIDDEN: usize = 64;

network! {
    /// Handwritten digits.
    pub struct Digits<const CLASSES: usize> {
        input image: [2, HIDDEN];
        target digit: class(CLASSES);
        layer fc = Linear(128, CLASSES);
        output logits = image.reshape([2 * HIDDEN]) -> fc;
        loss cross_entropy(logits, digit);
    }
}

fn main() {
    assert!(Digits::<3>::declaration().is_ok());
}
