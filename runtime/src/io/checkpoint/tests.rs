use ndarray::{Array1, ArrayD, Ix2, IxDyn};
use std::fs;

use super::*;

/// The checkpoint written from a draft, and the bytes of its file.
fn written<'a>(fill: impl FnOnce(&mut Draft<'a>)) -> (Checkpoint, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut draft = Draft::default();
    fill(&mut draft);
    draft.write(&path).unwrap();
    (Checkpoint::open(&path).unwrap(), fs::read(&path).unwrap())
}

#[test]
fn texts_and_arrays_round_trip() {
    let special = "größe \"quoted\"\n\\ {}";
    let bits = [f32::NAN.to_bits() | 5, (-0.0f32).to_bits(), 1, f32::INFINITY.to_bits()];
    let floats: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
    let scalar = ArrayD::from_elem(IxDyn(&[]), 1.5f32);
    let empty = ArrayD::<f32>::zeros(IxDyn(&[0, 3]));
    let (file, bytes) = written(|draft| {
        draft.text(special, special);
        draft.text("count", 7);
        draft.text("flag", true);
        draft.tensor("words", Values::U32(vec![1, u32::MAX]));
        draft.tensor(special, Values::F32(scalar.view()));
        draft.tensor("empty", Values::F32(empty.view()));
        draft.tensor("none", Values::F32Vec(Vec::new()));
        draft.tensor("floats", Values::F32Vec(floats));
        draft.tensor("rows", Values::F64([2, 2], vec![0.1, -0.2, f64::MIN, 4.0]));
    });
    assert_eq!(file.text(special).unwrap(), special);
    assert_eq!(file.count::<usize>("count").unwrap(), 7);
    assert!(file.flag("flag").unwrap());
    assert_eq!(file.words("words", 2).unwrap(), [1, u32::MAX]);
    assert_eq!(file.array(special, &[]).unwrap(), scalar);
    assert_eq!(file.array("empty", &[0, 3]).unwrap(), empty);
    assert!(file.floats("none").unwrap().is_empty());
    let found: Vec<u32> = file.floats("floats").unwrap().iter().map(|x| x.to_bits()).collect();
    assert_eq!(found, bits);
    assert_eq!(file.rows("rows", 2).unwrap(), [0.1, -0.2, f64::MIN, 4.0]);
    // Numbers are aligned, so that the file can be mapped.
    let start = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    assert!(start.is_multiple_of(8));
    let rows = file.header.info("rows").unwrap();
    assert_eq!((rows.range.start, bytes.len() % 4), (start, 0));

    for error in [
        file.text("missing").map(drop),
        file.count::<u64>("flag").map(drop),
        file.flag("count").map(drop),
        file.words("words", 3).map(drop),
        file.words("rows", 2).map(drop),
        file.array("floats", &[2, 2]).map(drop),
        file.rows("rows", 4).map(drop),
        file.floats("empty").map(drop),
    ] {
        assert!(matches!(error, Err(Error::Damaged { .. })));
    }
}

/// Weights of linear layers are stored transposed and padded in memory.
#[test]
fn arrays_of_any_strides_are_written_row_by_row() {
    for (rows, columns) in [(1, 1), (3, 100_000), (100_000, 3), (300, 500), (70_000, 1)] {
        let values = Array1::from_iter((0..rows * (columns + 3)).map(|i| i as f32));
        let padded = values.into_shape_with_order((rows, columns + 3)).unwrap();
        let view = padded.slice(ndarray::s![.., ..columns]);
        let (file, _) = written(|draft| {
            draft.tensor("plain", Values::F32(view.view().into_dyn()));
            draft.tensor("transposed", Values::F32(view.t().into_dyn()));
        });
        let plain = file.array("plain", &[rows, columns]).unwrap();
        let transposed = file.array("transposed", &[columns, rows]).unwrap();
        assert_eq!(plain.into_dimensionality::<Ix2>().unwrap(), view);
        assert_eq!(transposed.into_dimensionality::<Ix2>().unwrap(), view.t());
    }
    let cube = ArrayD::from_shape_fn(IxDyn(&[4, 5, 6]), |i| (i[0] * 100 + i[1] * 10 + i[2]) as f32);
    let view = cube.view().permuted_axes(&[2, 0, 1][..]);
    let (file, _) = written(|draft| draft.tensor("cube", Values::F32(view.view())));
    assert_eq!(file.array("cube", &[6, 4, 5]).unwrap(), view);
}

#[test]
fn every_bit_has_a_checksum() {
    let (_, bytes) = written(|draft| {
        draft.text("key", "value");
        draft.tensor("floats", Values::F32Vec(vec![1.0, 2.0]));
        draft.tensor("none", Values::F32Vec(Vec::new()));
    });
    let path = Path::new("checkpoint");
    assert!(Checkpoint::from_bytes(path, bytes.clone()).is_ok());
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let found = Checkpoint::from_bytes(path, changed).map(drop);
        assert!(matches!(found, Err(Error::Damaged { .. })), "bit {bit}: {found:?}");
    }
    for length in 0..bytes.len() {
        let found = Checkpoint::from_bytes(path, bytes[..length].to_vec()).map(drop);
        assert!(matches!(found, Err(Error::Damaged { .. })), "{length} bytes: {found:?}");
    }
}
