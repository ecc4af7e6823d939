//! Checkpoints that are not what was written.

use bilro::rng::Generator;

use super::*;

/// A small checkpoint of `fit`, and the trainer that reads it.
fn small(folder: &Path) -> (PathBuf, impl Fn() -> Trainer<Net>) {
    let make = || Net::trainer(Sgd::new(0.1).momentum(0.9)).seed(1).threads(1).build().unwrap();
    let fit =
        Fit::epochs(2).checkpoints(folder).checkpoint_every(Every::Steps(3)).keep_checkpoints(9);
    make().fit(&noisy(64, 1), fit).unwrap();
    (files(folder)[0].clone(), make)
}

/// Writes a file anew: some file systems bring one that is overwritten to the disk at once, which takes
/// long.
fn replace(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_changed_bit_and_every_missing_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (path, make) = small(folder.path());
    let bytes = fs::read(&path).unwrap();
    let broken = folder.path().join("broken");
    let mut trainer = make();
    let before = bits(trainer.model());
    let mut refused = |bytes: &[u8], what: &dyn Fn() -> String| {
        replace(&broken, bytes);
        match trainer.resume(&broken) {
            Err(Error::Damaged { offset, .. }) => {
                assert!(offset <= bytes.len() as u64, "{}", what())
            }
            other => panic!("{}: {other:?}", what()),
        }
    };
    for offset in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[offset] ^= 1 << (offset % 8);
        refused(&changed, &|| format!("byte {offset} changed"));
    }
    for length in (0..bytes.len()).step_by(7).chain(bytes.len() - 40..bytes.len()) {
        refused(&bytes[..length], &|| format!("{length} bytes"));
    }
    refused(&[&bytes[..], &[0]].concat(), &|| "a byte more".into());
    assert_eq!((bits(trainer.model()), trainer.steps()), (before, 0));
    // The error has the offset.
    let mut changed = bytes.clone();
    let weight = bytes.len() - 200;
    changed[weight] ^= 1;
    fs::write(&broken, &changed).unwrap();
    let error = trainer.resume(&broken).unwrap_err();
    let Error::Damaged { offset, .. } = error else { panic!("{error}") };
    assert!(offset <= weight as u64 && offset > 1000, "{error}");
}

/// A checkpoint with its checksums made right again.
fn signed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let header: usize = u64::from_le_bytes(*bytes.first_chunk()?).try_into().ok()?;
    let start = header.checked_add(8).filter(|start| *start <= bytes.len())?;
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..start]).ok()?;
    let mut parts: Vec<(usize, usize)> = json
        .as_object()?
        .iter()
        .filter(|(name, _)| *name != "__metadata__" && *name != "checksums")
        .map(|(_, tensor)| {
            let offset = |i: usize| Some(start + tensor["data_offsets"][i].as_u64()? as usize);
            Some((offset(0)?, offset(1)?))
        })
        .collect::<Option<_>>()?;
    parts.sort_unstable();
    parts.insert(0, (0, start));
    let sum = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let mut sums = Vec::new();
    for (from, to) in parts {
        sums.extend(sum(bytes.get(from..to)?));
    }
    sums.extend(sum(&sums));
    let table = bytes.len().checked_sub(sums.len())?;
    bytes[table..].copy_from_slice(&sums);
    Some(bytes)
}

/// Files forged with valid checksums are read or rejected, without a panic.
#[test]
fn files_with_right_checksums_and_wrong_contents_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let (path, make) = small(folder.path());
    let bytes = fs::read(&path).unwrap();
    assert_eq!(signed(&bytes).unwrap(), bytes);
    let broken = folder.path().join("broken");
    let mut trainer = make();
    let train = noisy(64, 1);
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;

    // Numbers of the header, each by each.
    let text = std::str::from_utf8(&bytes[8..header]).unwrap();
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let metadata = json["__metadata__"].as_object().unwrap();
    let (mut read, mut refused) = (0, 0);
    let mut try_it = |bytes: &[u8]| {
        replace(&broken, bytes);
        let fit = Fit::epochs(2).resume_from(&broken);
        match trainer.fit(&train, fit) {
            Ok(_) => read += 1,
            Err(
                Error::Damaged { .. }
                | Error::Checkpoint { .. }
                | Error::File { .. }
                | Error::InvalidArgument { .. },
            ) => {
                refused += 1;
            }
            // Parameters that are not finite.
            Err(Error::NonFiniteLoss { .. } | Error::NonFiniteGradient { .. }) => read += 1,
            Err(error) => panic!("{error}"),
        }
        let _ = trainer.resume(&broken);
        for batch in train.batches(32).unwrap() {
            let _ = trainer.step(net::Batch { x: batch.x(), class: batch.y() });
        }
    };
    for key in metadata.keys() {
        for value in [
            "",
            "0",
            "1",
            "7",
            "-1",
            "18446744073709551615",
            "9007199254740991",
            "1e9",
            "true",
            "NaN",
        ] {
            let mut json = json.clone();
            json["__metadata__"][key] = value.into();
            let mut header = json.to_string().into_bytes();
            header.resize(header.len().next_multiple_of(8), b' ');
            let length = (header.len() as u64).to_le_bytes();
            try_it(&signed(&[&length[..], &header, &bytes[8 + text.len()..]].concat()).unwrap());
        }
    }
    // Anything anywhere.
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut random = Generator::new(seed);
    for _ in 0..2000 {
        let mut changed = bytes.clone();
        for _ in 0..1 + random.random_u32() % 3 {
            let offset = random.random_u32() as usize;
            // The header is smaller, and more can be wrong with it.
            let offset =
                offset % if random.random_u32().is_multiple_of(2) { header } else { changed.len() };
            let byte = [random.random_u32() as u8, 0, 0xff, 0x7f, b'9', b'0'];
            changed[offset] = byte[random.random_u32() as usize % 6];
        }
        if let Some(changed) = signed(&changed) {
            try_it(&changed);
        }
    }
    assert!(read > 50 && refused > 50, "{read} were read, {refused} refused");
}

#[test]
fn a_damaged_newest_checkpoint_is_left_out_and_said() {
    let (train, folder) = (noisy(64, 1), tempfile::tempdir().unwrap());
    let make = || Net::trainer(Sgd::new(0.1).momentum(0.9)).seed(1).threads(1).build().unwrap();
    let fit = |folder: &Path| {
        Fit::epochs(3)
            .batch_size(16)
            .checkpoints(folder)
            .checkpoint_every(Every::Steps(1))
            .keep_checkpoints(4)
    };
    let mut trainer = make();
    let whole = trainer.fit(&train, fit(folder.path())).unwrap();
    let expected = bits(trainer.model());
    let all = files(folder.path());
    assert_eq!(all.len(), 4);
    let bytes: Vec<Vec<u8>> = all.iter().map(|path| fs::read(path).unwrap()).collect();
    fs::write(&all[3], &bytes[3][..bytes[3].len() / 2]).unwrap();
    fs::write(&all[2], b"").unwrap();

    let mut resumed = make();
    let history = resumed.fit(&train, fit(folder.path()).resume(true)).unwrap();
    let from = history.resumed.unwrap();
    assert_eq!((from.path.as_path(), from.steps), (all[1].as_path(), 10));
    assert_eq!(from.skipped.len(), 2);
    assert!(
        from.skipped[0]
            .starts_with(&format!("{} is not a checkpoint, or damaged", all[3].display()))
    );
    assert_eq!(history.losses, whole.losses);
    assert_eq!(bits(resumed.model()), expected);
    // They have been written again.
    assert_eq!(files(folder.path()), all);
    assert_eq!(fs::read(&all[3]).unwrap().len(), bytes[3].len());

    // Where none is whole, training does not begin anew.
    all.iter().for_each(|path| fs::write(path, b"nothing").unwrap());
    let error = make().fit(&train, fit(folder.path()).resume(true)).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("all 4 checkpoints in its folder are damaged"), "{error}");
    all.iter().for_each(|path| fs::remove_file(path).unwrap());
    let history = make().fit(&train, fit(folder.path()).resume(true)).unwrap();
    assert_eq!((history.resumed, history.losses), (None, whole.losses));
}

#[test]
fn a_newer_version_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, make) = small(folder.path());
    let bytes = fs::read(&path).unwrap();
    let text = b"\"bilro.checkpoint\":\"1\"";
    let offset = bytes.windows(text.len()).position(|w| w == text).unwrap() + text.len() - 2;
    let mut newer = bytes.clone();
    newer[offset] = b'2';
    fs::write(&path, signed(&newer).unwrap()).unwrap();
    let error = make().resume(&path).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    let expected =
        "is a checkpoint of version 2, and this program reads version 1: it was written by bilro ";
    assert!(error.to_string().contains(expected), "{error}");
    // One bit of a file of this version is no newer version.
    fs::write(&path, &newer).unwrap();
    assert!(matches!(make().resume(&path).unwrap_err(), Error::Damaged { .. }));
}
