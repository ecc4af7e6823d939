//! Selections by integers, and positions of extremes.

use bilro::prelude::*;
use bilro::{Backend, tensor};
use ndarray::{Array, Array2, Array3, array};

network! {
    /// Elements and rows by integers, of inputs, computed values and parameters.
    struct Selections {
        input x: [5, 4] grad;
        input column: index(5)[3, 4];
        input row: index(4)[5, 2];
        input rows: index(5)[7];
        input columns: index(4)[3];
        param w: [5, 6] = normal(0.0, 1.0);
        output down = gather(x, column, axis = 0);
        output along = (2 * x).gather(row, axis = -1);
        output whole = index_select(x, rows);
        output parts = x.index_select(columns, axis = 1);
        output shared = index_select(w, rows);
        output across = w.transpose().index_select(rows, axis = 1);
        output hot = one_hot(columns, num_classes = 6);
        loss sum: (down * down).sum() + along.sum() + whole.square().sum() + parts.sum() + (shared * shared).sum();
    }
}

/// The integers of a shape, below a bound.
fn integers<D: ndarray::Dimension>(
    shape: impl ndarray::ShapeBuilder<Dim = D>,
    below: u32,
) -> Array<u32, D> {
    let mut state = 7u32;
    Array::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    })
}

#[test]
fn elements_are_selected_and_their_gradients_added() {
    for batch in [1, 3] {
        let x = Array3::from_shape_fn((batch, 5, 4), |(n, i, j)| (n * 20 + i * 4 + j) as f32 * 0.1);
        let (column, row) = (integers((batch, 3, 4), 5), integers((batch, 5, 2), 4));
        let (rows, columns) = (integers((batch, 7), 5), integers((batch, 3), 4));
        let model = Selections::model().seed(3).build().unwrap();
        let arrays = || selections::Batch {
            x: x.view(),
            column: column.view(),
            row: row.view(),
            rows: rows.view(),
            columns: columns.view(),
        };
        let selections::Batch { x: input, column: c, row: r, rows: rs, columns: cs } = arrays();
        let y = model
            .predict(selections::Input { x: input, column: c, row: r, rows: rs, columns: cs })
            .unwrap();
        let found = model.gradients(arrays()).unwrap();
        let w = model.params().w.to_owned();
        let (mut dx, mut dw) = (Array3::<f32>::zeros(x.dim()), Array2::<f32>::zeros(w.dim()));
        for ((n, k, j), i) in column.indexed_iter() {
            let i = *i as usize;
            assert_eq!(y.down[[n, k, j]], x[[n, i, j]]);
            dx[[n, i, j]] += 2.0 * x[[n, i, j]];
        }
        for ((n, i, k), j) in row.indexed_iter() {
            let j = *j as usize;
            assert_eq!(y.along[[n, i, k]], 2.0 * x[[n, i, j]]);
            dx[[n, i, j]] += 2.0;
        }
        for ((n, k), i) in rows.indexed_iter() {
            let i = *i as usize;
            for j in 0..4 {
                assert_eq!(y.whole[[n, k, j]], x[[n, i, j]]);
                dx[[n, i, j]] += 2.0 * x[[n, i, j]];
            }
            for j in 0..6 {
                assert_eq!(y.shared[[n, k, j]], w[[i, j]]);
                assert_eq!(y.across[[n, j, k]], w[[i, j]]);
                dw[[i, j]] += 2.0 * w[[i, j]];
            }
        }
        for ((n, k), j) in columns.indexed_iter() {
            let j = *j as usize;
            for i in 0..5 {
                assert_eq!(y.parts[[n, i, k]], x[[n, i, j]]);
                dx[[n, i, j]] += 1.0;
            }
            for class in 0..6 {
                assert_eq!(y.hot[[n, k, class]], f32::from(u8::from(class == j)));
            }
        }
        for (found, expected) in found.x.iter().zip(&dx).chain(found.w.iter().zip(&dw)) {
            assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found}, not {expected}");
        }
    }
}

network! {
    /// Positions of extremes.
    struct Positions {
        input x: [4, 3];
        output all = argmax(x);
        output rows = argmax(x, axis = 0);
        output columns = x.argmax(axis = -1);
        output least = argmin(x);
        output least_columns = argmin(x, axis = 1);
    }
}

/// As those of `tensor::argmax`: the first of equal elements, and the first NaN.
#[test]
fn positions_of_extremes_are_those_of_arrays() {
    const NAN: f32 = f32::NAN;
    const INF: f32 = f32::INFINITY;
    let x = array![
        [[1.0, 5.0, 2.0], [5.0, 0.0, 5.0], [-1.0, -1.0, -1.0], [0.0, -0.0, 3.0]],
        [[-INF, -INF, -INF], [-INF, INF, INF], [0.0, NAN, NAN], [NAN, INF, 2.0]],
        [[-3.0, -2.0, -1.0], [-4.0, -5.0, -6.0], [-7.0, -9.0, -8.0], [-9.0, -1.0, -1.0]],
    ];
    let flat = x.to_shape((3, 12)).unwrap();
    for backend in [Backend::Jit, Backend::Interpreter, Backend::InterpreterF32] {
        let model = Positions::model().backend(backend).build().unwrap();
        let y = model.predict(positions::Input { x: x.view() }).unwrap();
        let largest = |axis| tensor::argmax(&x, axis).unwrap().mapv(|i| i as f32);
        let least = |axis| tensor::argmin(&x, axis).unwrap().mapv(|i| i as f32);
        let all = |of: ndarray::Array1<u32>| of.mapv(|i| i as f32);
        assert_eq!(y.rows, largest(1));
        assert_eq!(y.columns, largest(2));
        assert_eq!(y.all, all(tensor::argmax(&flat, 1).unwrap()));
        assert_eq!(y.least, all(tensor::argmin(&flat, 1).unwrap()));
        assert_eq!(y.least_columns, least(2));
    }
}
