//! Tests of NumPy's files, and of malformed ones.

use super::*;
use crate::io::folder::Folder;
use ndarray::{Array1, Array2, Array3, ArrayD, array};

/// `numpy.save(path, numpy.asfortranarray([[1, 2, 3], [4, 5, 6]], dtype="f4"))`, numpy 2.4.
fn by_numpy() -> Vec<u8> {
    let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }";
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    file.extend(format!("{header:<117}\n").bytes());
    [1f32, 4., 2., 5., 3., 6.].iter().for_each(|x| file.extend(x.to_le_bytes()));
    file
}

#[test]
fn numpys_files_are_read_row_major() {
    let folder = Folder::new("npy-numpy");
    let array: Array2<f32> = read_npy(folder.write("file", by_numpy())).unwrap();
    assert_eq!(array, array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    assert!(array.is_standard_layout());
}

#[test]
fn names_too_long_for_an_archive_are_refused() {
    let folder = Folder::new("npz-names");
    let path = folder.path().join("file.npz");
    let array = array![1.5f32].into_dyn();
    let name = "n".repeat(MAX_NAME);
    write_npz(&path, &[(&name, &array)]).unwrap();
    assert_eq!(read_npz::<f32, _>(&path, &name).unwrap(), array);
    let error = write_npz(&path, &[(&format!("{name}n"), &array)]).unwrap_err().to_string();
    assert!(error.contains("65532 bytes, but an archive's have at most 65531"), "{error}");
}

#[test]
fn written_files_are_read_back() {
    let folder = Folder::new("npy");
    let path = folder.path().join("file.npy");
    let reals = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i * 100 + j * 10 + k) as f64);
    write_npy(&path, &reals).unwrap();
    assert_eq!(read_npy::<f64, _>(&path).unwrap(), reals);
    assert_eq!(read_npy::<f64, _>(&path).unwrap(), reals.clone().into_dyn());
    write_npy(&path, &reals.t()).unwrap();
    assert_eq!(read_npy::<f64, _>(&path).unwrap(), reals.t());
    write_npy(&path, &array![-1i64, 7]).unwrap();
    assert_eq!(read_npy::<i64, _>(&path).unwrap(), array![-1, 7]);

    let path = folder.path().join("file.npz");
    let (a, b) = (array![1.5f32].into_dyn(), ArrayD::<f32>::zeros(vec![2, 0]));
    let square = array![[1u8, 2], [3, 4]];
    write_npz(&path, &[("fc1.weight", &a), ("b", &b.view()), ("t", &square.t())]).unwrap();
    assert_eq!(npz_names(&path).unwrap(), ["fc1.weight", "b", "t"]);
    assert_eq!(read_npz::<u8, _>(&path, "t").unwrap(), square.t());
    assert_eq!(read_npz::<f32, _>(&path, "fc1.weight").unwrap(), a);
    assert_eq!(read_npz::<f32, _>(&path, "b").unwrap(), b);
}

/// A file of version 1 with this header and these bytes.
fn file(header: &str, elements: &[u8]) -> Vec<u8> {
    let length = (header.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), elements].concat()
}

fn of(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    file(&header, elements)
}

fn message<A: NpyElement>(folder: &Folder, bytes: Vec<u8>) -> String {
    let path = folder.write("file", bytes);
    let error = read_npy::<A, ndarray::IxDyn>(&path).map(|_| ()).unwrap_err().to_string();
    error.strip_prefix(&format!("{}: ", path.display())).unwrap().to_string()
}

#[test]
fn numbers_are_converted_to_the_requested_type() {
    let folder = Folder::new("npy-types");
    let read = |bytes: Vec<u8>| read_npy::<f32, ndarray::Ix1>(folder.write("file", bytes)).unwrap();
    let f64s: Vec<u8> = [1.0 / 3.0, 1e300, -0.5f64].iter().flat_map(|x| x.to_le_bytes()).collect();
    let rounded = array![1.0f32 / 3.0, f32::INFINITY, -0.5];
    assert_eq!(read(of("<f8", "(3,)", &f64s)), rounded);
    let big_endian: Vec<u8> = f64s.chunks(8).flat_map(|x| x.iter().rev().copied()).collect();
    assert_eq!(read(of(">f8", "(3,)", &big_endian)), rounded);
    assert_eq!(read(of("<f2", "(2,)", &[0, 0x3e, 0xff, 0x7b])), array![1.5, 65504.0]);
    assert_eq!(read(of("|u1", "(2,)", &[0, 255])), array![0.0, 255.0]);
    assert_eq!(read(of("|b1", "(2,)", &[0, 1])), array![0.0, 1.0]);
    // The bits of a NaN are preserved.
    let nan = f32::from_bits(0x7fc0_1234);
    assert_eq!(read(of("<f4", "(1,)", &nan.to_le_bytes()))[0].to_bits(), nan.to_bits());

    let labels: Vec<u8> = [3i64, 0, 4_294_967_295].iter().flat_map(|x| x.to_le_bytes()).collect();
    let path = folder.write("file", of("<i8", "(3,)", &labels));
    assert_eq!(read_npy::<u32, _>(&path).unwrap(), array![3, 0, u32::MAX]);
    assert_eq!(read_npy::<i64, _>(&path).unwrap(), array![3, 0, 4_294_967_295]);
    assert_eq!(read_npy::<f64, _>(&path).unwrap(), array![3.0, 0.0, 4_294_967_295.0]);
    let path = folder.write("file", of("|b1", "(2,)", &[0, 1]));
    assert_eq!(read_npy::<bool, _>(&path).unwrap(), array![false, true]);
    assert_eq!(read_npy::<u32, _>(&path).unwrap(), array![0, 1]);
}

#[test]
fn numbers_that_do_not_fit_are_reported_with_their_position() {
    let folder = Folder::new("npy-numbers");
    let i64s = |numbers: &[i64]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let found = message::<u32>(&folder, of("<i8", "(2, 2)", &i64s(&[0, 1, -1, 7])));
    assert_eq!(found, "element [1, 0] is -1, which u32 cannot represent");
    let header = "{'descr': '<i8', 'fortran_order': True, 'shape': (2, 2)}";
    let found = message::<u32>(&folder, file(header, &i64s(&[0, 1, -1, 7])));
    assert_eq!(found, "element [0, 1] is -1, which u32 cannot represent");
    let found = message::<f32>(&folder, of("<i8", "(1,)", &i64s(&[(1 << 24) + 1])));
    assert_eq!(found, "element [0] is 16777217, which f32 cannot represent");
    let found = message::<u8>(&folder, of("|b1", "(2,)", &[1, 2]));
    assert_eq!(found, "element [1] is 2, neither True nor False");
}

#[test]
fn other_types_say_how_to_convert_them() {
    let folder = Folder::new("npy-others");
    let found = message::<u32>(&folder, of("<f8", "(1,)", &[0; 8]));
    let expected = "expected elements of type u32, but found '<f8'; \
                    `numpy.save(path, x.astype(\"uint32\"))` converts them there, or read f32 and \
                    convert them by `mapv` here";
    assert_eq!(found, expected);
    for descr in ["<c8", "<U5", "|O", "|S3", "<M8[D]", "<f16", "<f3", "f4", "", "é", "<i-8"] {
        let found = message::<f32>(&folder, of(descr, "(1,)", &[0; 8]));
        assert!(
            found.contains(&format!("NumPy's type '{descr}', which is not supported")),
            "{found}"
        );
    }
    let header = "{'descr': [('a', '<f4'), ('b', '<i4')], 'fortran_order': False, 'shape': (1,), }";
    let found = message::<f32>(&folder, file(header, &[0; 8]));
    assert!(
        found.ends_with("one field of them at a time: `numpy.save(path, x[\"field\"])`"),
        "{found}"
    );
}

#[test]
fn headers_of_every_version_and_style_are_read() {
    let folder = Folder::new("npy-headers");
    let elements = 1.5f32.to_le_bytes();
    for header in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n",
        "{\"shape\": (1,), \"fortran_order\": True, \"descr\": \"<f4\"}",
        "{'descr':'<f4','fortran_order':False,'shape':(1L,)}\0\0\n",
        &format!("{}{{'descr': '<f4', 'fortran_order': False, 'shape': (1)}}", " ".repeat(8192)),
    ] {
        let path = folder.write("file", file(header, &elements));
        assert_eq!(read_npy::<f32, _>(path).unwrap(), array![1.5]);
    }
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (), }";
    for version in [2, 3] {
        let length = (header.len() as u32).to_le_bytes();
        let start = [&b"\x93NUMPY"[..], &[version, 0], &length].concat();
        let bytes = [&start, header.as_bytes(), &elements].concat();
        let number: ndarray::Array0<f32> = read_npy(folder.write("file", bytes)).unwrap();
        assert_eq!(number.into_scalar(), 1.5);
    }
}

#[test]
fn malformed_headers_are_refused_quickly() {
    let folder = Folder::new("npy-strange");
    // The parser of ndarray-npy takes 8 seconds for the first, and four times as long for two more.
    let deep = |n| format!("{{'descr': {}{}, }}", "[".repeat(n), "]".repeat(n));
    let start = std::time::Instant::now();
    for (header, expected) in [
        (deep(20), "structures"),
        (deep(30_000), "structures"),
        ("{'shape': ((((((1,),),),),),), }".into(), "other items than integers"),
        (format!("{{'a': {}", "{'a': ".repeat(1000)), "it has a key `a`"),
        ("{'descr': '<f4', 'descr': '<f4'}".into(), "`descr` is duplicated"),
        ("{'descr': '<f4', 'fortran_order': 0}".into(), "neither `True` nor `False`"),
        ("{'descr': '<f4', 'fortran_order': True}".into(), "it has no `shape`"),
        ("{'shape': (-1,)}".into(), "other items than integers"),
        ("{'shape': (99999999999999999999,)}".into(), "too large for an array"),
        (format!("{{'shape': ({})}}", "1,".repeat(65)), "more than 64 axes"),
        ("{'shape': (1,), } x".into(), "text follows"),
        ("{'shape".into(), "a `'` is not closed"),
        ("".into(), "expected `{`, but found the end"),
        ("é".into(), "expected `{`, but found `é`"),
    ] {
        let found = message::<f32>(&folder, file(&header, &[]));
        assert!(found.contains(expected), "{expected}: {found}");
    }
    let long = [&b"\x93NUMPY\x02\x00"[..], &u32::MAX.to_le_bytes()].concat();
    let found = message::<f32>(&folder, long);
    assert_eq!(found, "offset 8: the header has 4294967295 bytes, but at most 65536 are read");
    let found = message::<f32>(&folder, b"\x93NUMPY\x04\x00".to_vec());
    assert_eq!(found, "offset 6: is of version 4 of the format, not 1, 2 or 3");
    let found = message::<f32>(&folder, file("{'descr': '<f4', x", &[]));
    assert!(found.starts_with("offset 27: the header does not have the form"), "{found}");
    let archive = message::<f32>(&folder, b"PK\x03\x04....".to_vec());
    assert!(archive.contains("io::read_npz"), "{archive}");
    // Usually a millisecond or two.
    assert!(start.elapsed().as_secs() < 5);
}

fn npz(entry: &[u8]) -> Vec<u8> {
    super::archive::tests::archive("x.npy", entry, true, false)
}

#[test]
fn entries_of_archives_are_checked_as_files_are() {
    let folder = Folder::new("npz-parts");
    let read = |bytes: &[u8], limit: u64| {
        let path = crate::io::with_limit(folder.write("file", bytes), limit);
        let array = read_npz::<f32, ndarray::IxDyn>(path, "x");
        array.map_err(|error| error.to_string().split_once(": ").unwrap().1.to_string())
    };
    let good = of("<f4", "(2,)", &[0; 8]);
    assert_eq!(read(&npz(&good), 8).unwrap().shape(), [2]);
    let limit = "`x`: offset 68: its contents have more than 7 bytes, the limit that was given";
    assert_eq!(read(&npz(&good), 7).unwrap_err(), limit);
    for (entry, expected) in [
        (of("<f4", "(1099511627776,)", &[0; 8]), "takes 4398046511104 bytes, but the file has 8"),
        (of("<f4", "(200,)", &[0; 8]), "takes 800 bytes, but the file has 8 after its header"),
        (of("<f4", "(4294967296, 4294967296)", &[0; 8]), "too large for an array"),
        ([&good[..], &[0]].concat(), "there are 1 extra bytes after the array"),
        (of("<f4", "(0, 18446744073709551615)", &[]), "too large for an array"),
        (good[..20].to_vec(), "offset 20: the file ends within the header"),
    ] {
        let found = read(&npz(&entry), 1 << 30).unwrap_err();
        assert!(found.starts_with("`x`: ") && found.contains(expected), "{found}");
    }
    // Zeros, which compress by a factor of a thousand, up to the default limit.
    let zeros = npz(&of("<f4", "(75000000,)", &vec![0; 300_000_000]));
    assert!(zeros.len() < 8 << 20);
    let path = folder.write("file", zeros);
    let found = read_npz::<f32, ndarray::Ix1>(&path, "x").unwrap_err().to_string();
    assert!(found.contains(": its contents have more than 256 MiB"), "{found}");
    assert!(found.contains("`io::with_limit(path, bytes)` instead of its path"), "{found}");
}

#[test]
fn mismatches_are_errors_of_the_file() {
    let folder = Folder::new("npy-errors");
    let good = by_numpy();
    let path = folder.write("file", &good);
    let named = |error: Error, message: &str| {
        let error = error.to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert!(error.contains(message), "{error}");
    };
    let axes = "expected an array with 1 axes, but found one with 2";
    named(read_npy::<f32, ndarray::Ix1>(&path).unwrap_err(), axes);
    let kind = "expected elements of type u32, but found '<f4'";
    named(read_npy::<u32, ndarray::Ix2>(&path).unwrap_err(), kind);
    folder.write("file", &good[..good.len() - 1]);
    let short = "takes 24 bytes, but the file has 23 after its header: it is incomplete";
    named(read_npy::<f32, ndarray::Ix2>(&path).unwrap_err(), short);
    folder.write("file", [&good[..], &[0]].concat());
    named(read_npy::<f32, ndarray::Ix2>(&path).unwrap_err(), "1 extra bytes");
    // Memory is reserved for no more than the file can hold.
    for sizes in ["1099511627776,", "4294967296, 4294967296, 4294967296", "200,"] {
        let mut header =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
        header += &format!("{:>1$}", '\n', 118 - header.len());
        let file = [&b"\x93NUMPY\x01\x00\x76\x00"[..], header.as_bytes(), &[0; 8]].concat();
        folder.write("file", file);
        let error = read_npy::<f32, ndarray::IxDyn>(&path).unwrap_err();
        let shape = format!("[{}]", sizes.trim_end_matches(','));
        named(error, &shape);
    }
    folder.write("file", "nothing of the kind");
    named(read_npy::<f32, ndarray::Ix2>(&path).unwrap_err(), "");
    named(npz_names(&path).unwrap_err(), "");
    let a = Array1::<f32>::zeros(1);
    named(write_npz(&path, &[("a", &a), ("a", &a)]).unwrap_err(), "`a`");
    write_npz(&path, &[("a", &a), ("b", &a)]).unwrap();
    let missing = "there is no array `c`; there are a, b";
    named(read_npz::<f32, ndarray::Ix1>(&path, "c").unwrap_err(), missing);
    let axes = "`a`: expected an array with 2 axes, but found one with 1";
    named(read_npz::<f32, ndarray::Ix2>(&path, "a").unwrap_err(), axes);
    let nowhere = read_npy::<f32, ndarray::Ix1>("no/such/file").unwrap_err().to_string();
    assert!(nowhere.starts_with("no/such/file: "), "{nowhere}");
}
