//! Embeddings with wrong sizes.
use bilro::network;

const WORDS: usize = 50;

network! {
    struct Bounds {
        input word: index(100)[16];
        input other: index(40);
        input x: [8];
        param table: [40, 8] = normal(0.0, 1.0);
        param row: [40] = zeros;
        layer inferred = Embedding(8);
        layer fewer = Embedding(99, 8);
        let a = fewer(word);
        let b = inferred(other);
        let c = inferred(word);
        let d = x -> Embedding(8, 3);
        let e = embedding(word, table);
        let f = embedding(other, row);
        let g = embedding(x, table);
        let h = embedding(other, other);
        let i = word -> Embedding(100, 8, 3);
        let j = word -> Embedding(num_embeddings = 100);
        let k = embedding(other, x.reshape([4, 2]));
        output y = x;
        loss y;
    }
}

network! {
    struct Constants {
        input word: index(WORDS);
        input other: index(WORDS + 1);
        layer words = Embedding(WORDS, 8);
        layer fifty = Embedding(50, 8);
        layer fewer = Embedding(49, 8);
        loss words(word) + fifty(word) + fewer(word) + words(other);
    }
}

fn main() {}
