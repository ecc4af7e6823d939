//! Ranges, joins and padding: values, gradients, and what they cost.

use bilro::prelude::*;
use ndarray::{Array, Array2, Axis, concatenate, s, stack};

network! {
    /// Pieces of inputs, in every form.
    struct Pieces {
        input x: [7];
        input m: [4, 6];
        output range = x[2..5];
        output open = x[3..];
        output ends = x[..-2];
        output stepped = x[1.. step 3];
        output last = x[-1];
        output columns = m[.., 1..3];
        output row = m[2];
        output element = m[-1, 0];
        output block = m[1..3, .. step 2];
        output joined = concat([x, m[0], x[..1]]);
        output beside = concat([m, m[.., 4..]], axis = -1);
        output stacked = stack([x[..6], m[1], m[3]], axis = 1);
        output padded = pad(m, axis = 0, before = 1, after = 2, value = -1.0);
        output deep = m[1..][..2][-1][2..4];
        output backwards = m[.., .. step -1];
        output back_by_two = x[1.. step -2];
        output flipped = m.flip(0);
        output rolled = roll(x, -2);
        let (left, middle, right) = m.split([1, 2, 3], axis = 1);
        output parts = concat([right, left, middle], axis = 1);
        let (first, then, last_one) = x.chunk(3);
        output chunks = concat([last_one, first.flip(0), then]);
        output mirrored = pad(x, axis = 0, before = 2, after = 3, mode = reflect);
        output edges = pad(m, axis = -1, before = 1, after = 1, mode = replicate);
        output wrapped = pad(x, axis = 0, before = 1, after = 2, mode = circular);
        output tiled = m.repeat(2);
        output each_twice = m.repeat_interleave(2, axis = 1);
        output flat = m[1..3].flatten();
        output thin = x[4..5].unsqueeze(0).squeeze([1]);
    }
}

fn arrays(batch: usize) -> (Array2<f32>, ndarray::Array3<f32>) {
    let x = Array::from_shape_fn((batch, 7), |(n, i)| (100 * n + i) as f32);
    let m = Array::from_shape_fn((batch, 4, 6), |(n, i, j)| (1000 * n + 10 * i + j) as f32 + 0.5);
    (x, m)
}

#[test]
fn pieces_are_those_of_ndarray() {
    for batch in [1, 2, 37] {
        let (x, m) = arrays(batch);
        let model = Pieces::model().build().unwrap();
        let y = model.predict(pieces::Input { x: x.view(), m: m.view() }).unwrap();
        assert_eq!(y.range, x.slice(s![.., 2..5]));
        assert_eq!(y.open, x.slice(s![.., 3..]));
        assert_eq!(y.ends, x.slice(s![.., ..-2]));
        assert_eq!(y.stepped, x.slice(s![.., 1..;3]));
        assert_eq!(y.last, x.slice(s![.., -1]));
        assert_eq!(y.columns, m.slice(s![.., .., 1..3]));
        assert_eq!(y.row, m.slice(s![.., 2, ..]));
        assert_eq!(y.element, m.slice(s![.., -1, 0]));
        assert_eq!(y.block, m.slice(s![.., 1..3, ..;2]));
        let row = m.index_axis(Axis(1), 0);
        let all = concatenate![Axis(1), x, row, x.slice(s![.., ..1])];
        assert_eq!(y.joined, all);
        assert_eq!(y.beside, concatenate![Axis(2), m, m.slice(s![.., .., 4..])]);
        let rows = [x.slice(s![.., ..6]), m.slice(s![.., 1, ..]), m.slice(s![.., 3, ..])];
        assert_eq!(y.stacked, stack(Axis(2), &rows).unwrap());
        let mut padded = ndarray::Array3::from_elem((batch, 7, 6), -1.0);
        padded.slice_mut(s![.., 1..5, ..]).assign(&m);
        assert_eq!(y.padded, padded);
        assert_eq!(y.deep, m.slice(s![.., 2, 2..4]));
        assert_eq!(y.thin, x.slice(s![.., 4..5]));
        assert_eq!(y.backwards, m.slice(s![.., .., ..;-1]));
        assert_eq!(y.back_by_two, x.slice(s![.., 1..;-2]));
        assert_eq!(y.flipped, m.slice(s![.., ..;-1, ..]));
        let at = |x: &Array2<f32>, positions: &[usize]| x.select(Axis(1), positions);
        assert_eq!(y.rolled, at(&x, &[2, 3, 4, 5, 6, 0, 1]));
        assert_eq!(y.parts, m.select(Axis(2), &[3, 4, 5, 0, 1, 2]));
        assert_eq!(y.chunks, at(&x, &[6, 2, 1, 0, 3, 4, 5]));
        assert_eq!(y.mirrored, at(&x, &[2, 1, 0, 1, 2, 3, 4, 5, 6, 5, 4, 3]));
        assert_eq!(y.edges, m.select(Axis(2), &[0, 0, 1, 2, 3, 4, 5, 5]));
        assert_eq!(y.wrapped, at(&x, &[6, 0, 1, 2, 3, 4, 5, 6, 0, 1]));
        assert_eq!(y.tiled, concatenate![Axis(1), m, m]);
        assert_eq!(y.each_twice, m.select(Axis(2), &[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]));
        let block = m.slice(s![.., 1..3, ..]);
        assert_eq!(y.flat, block.to_shape((batch, 12)).unwrap());
    }
}

network! {
    /// Pieces of computed values and parameters, with gradients.
    struct Gates {
        input x: [5] grad;
        target t: [12];
        param h: [3] = uniform(-0.5, 0.5);
        let all = x -> Linear(16);
        let i = sigmoid(all[..4]);
        let f = sigmoid(all[4..8]);
        let g = tanh(all[8..12]);
        let (gate, slope) = all.flip(0).chunk(2);
        let c = i * g + f[.. step 2].sum() * all[12..] + roll(gate * slope, 1)[.. step -2];
        let around = pad(c, axis = 0, before = 2, after = 1, mode = reflect)
            + pad(c, axis = 0, before = 3, mode = circular).repeat(2)[3..10];
        let wide = concat([c, h, x, all[3..8 step 4].square(), around]);
        let y = (wide -> Linear(6)) + stack([c[..3], c[1..]]).reshape([6]);
        output z = concat([y, y[1..] - y[..-1], pad(y, axis = 0, before = 1)[..1]]);
        loss mse_loss(z, t);
    }
}

fn batch(examples: usize) -> (Array2<f32>, Array2<f32>) {
    let value = |i: usize| ((i * 7919) % 101) as f32 / 50.0 - 1.0;
    let x = Array::from_shape_fn((examples, 5), |(n, i)| value(5 * n + i));
    let t = Array::from_shape_fn((examples, 12), |(n, i)| value(12 * n + i + 3));
    (x, t)
}

#[test]
fn gradients_of_pieces_are_verified() {
    for (examples, threads) in [(1, 1), (4, 2), (33, 1)] {
        let (x, t) = batch(examples);
        let model = Gates::model().seed(3).threads(threads).build().unwrap();
        let report = model.verify(gates::Batch { x: x.view(), t: t.view() }).unwrap();
        assert!(report.is_ok(), "{report}");
    }
}

/// With checks of every access; the same bits on two threads.
#[test]
fn pieces_train_with_checked_accesses() {
    let (x, t) = batch(9);
    let train = |threads: usize, sanitize: bool| {
        let trainer = Gates::trainer(Sgd::new(0.05).momentum(0.9)).seed(5);
        let mut trainer = trainer.threads(threads).sanitize(sanitize).build().unwrap();
        let mut losses = Vec::new();
        for _ in 0..4 {
            let step = trainer.step(gates::Batch { x: x.view(), t: t.view() }).unwrap();
            losses.push(step.to_bits());
        }
        assert!(f32::from_bits(losses[3]) < f32::from_bits(losses[0]));
        losses
    };
    let expected = train(1, false);
    assert_eq!(train(2, false), expected);
    assert_eq!(train(2, true), expected);
}
