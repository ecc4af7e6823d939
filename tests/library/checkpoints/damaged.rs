//! Damaged and forged checkpoints.

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

/// Removes and writes a file: some file systems sync a file that is overwritten at once, which is slow.
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
    let mut assert_damaged = |bytes: &[u8], change: &dyn Fn() -> String| {
        replace(&broken, bytes);
        match trainer.resume(&broken) {
            Err(Error::Damaged { offset, .. }) => {
                assert!(offset <= bytes.len() as u64, "{}", change())
            }
            other => panic!("{}: {other:?}", change()),
        }
    };
    for offset in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[offset] ^= 1 << (offset % 8);
        assert_damaged(&changed, &|| format!("byte {offset} changed"));
    }
    for length in (0..bytes.len()).step_by(7).chain(bytes.len() - 40..bytes.len()) {
        assert_damaged(&bytes[..length], &|| format!("{length} bytes"));
    }
    assert_damaged(&[&bytes[..], &[0]].concat(), &|| "an extra byte".into());
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

/// A checkpoint with recomputed checksums.
fn signed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let header: usize = u64::from_le_bytes(*bytes.first_chunk()?).try_into().ok()?;
    let start = header.checked_add(8).filter(|start| *start <= bytes.len())?;
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..start]).ok()?;
    let mut sections: Vec<(usize, usize)> = json
        .as_object()?
        .iter()
        .filter(|(name, _)| *name != "__metadata__" && *name != "checksums")
        .map(|(_, tensor)| {
            let offset = |i: usize| Some(start + tensor["data_offsets"][i].as_u64()? as usize);
            Some((offset(0)?, offset(1)?))
        })
        .collect::<Option<_>>()?;
    sections.sort_unstable();
    sections.insert(0, (0, start));
    let sum = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let mut sums = Vec::new();
    for (from, to) in sections {
        sums.extend(sum(bytes.get(from..to)?));
    }
    sums.extend(sum(&sums));
    let table = bytes.len().checked_sub(sums.len())?;
    bytes[table..].copy_from_slice(&sums);
    Some(bytes)
}

/// Files forged with valid checksums are read or rejected, without a panic.
#[test]
fn forged_files_with_valid_checksums_do_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    let (path, make) = small(folder.path());
    let bytes = fs::read(&path).unwrap();
    assert_eq!(signed(&bytes).unwrap(), bytes);
    let broken = folder.path().join("broken");
    let mut trainer = make();
    let train = noisy(64, 1);
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;

    // Each text of the header is replaced by each of some values.
    let text = std::str::from_utf8(&bytes[8..header]).unwrap();
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let metadata = json["__metadata__"].as_object().unwrap();
    let (mut read, mut rejected) = (0, 0);
    let mut try_read = |bytes: &[u8]| {
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
                rejected += 1;
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
            try_read(&signed(&[&length[..], &header, &bytes[8 + text.len()..]].concat()).unwrap());
        }
    }
    // Random bytes at random offsets.
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut random = Generator::new(seed);
    for _ in 0..2000 {
        let mut changed = bytes.clone();
        for _ in 0..1 + random.random_u32() % 3 {
            let offset = random.random_u32() as usize;
            // Half of them in the header, which is smaller and has more structure.
            let offset =
                offset % if random.random_u32().is_multiple_of(2) { header } else { changed.len() };
            let byte = [random.random_u32() as u8, 0, 0xff, 0x7f, b'9', b'0'];
            changed[offset] = byte[random.random_u32() as usize % 6];
        }
        if let Some(changed) = signed(&changed) {
            try_read(&changed);
        }
    }
    assert!(read > 50 && rejected > 50, "{read} were read, {rejected} rejected");
}

#[test]
fn a_damaged_newest_checkpoint_is_skipped_and_reported() {
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
    let uninterrupted = trainer.fit(&train, fit(folder.path())).unwrap();
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
    assert_eq!(history.losses, uninterrupted.losses);
    assert_eq!(bits(resumed.model()), expected);
    // The damaged files have been replaced.
    assert_eq!(files(folder.path()), all);
    assert_eq!(fs::read(&all[3]).unwrap().len(), bytes[3].len());

    // If all are damaged, training does not start again.
    all.iter().for_each(|path| fs::write(path, b"nothing").unwrap());
    let error = make().fit(&train, fit(folder.path()).resume(true)).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("all 4 checkpoints in its folder are damaged"), "{error}");
    all.iter().for_each(|path| fs::remove_file(path).unwrap());
    let history = make().fit(&train, fit(folder.path()).resume(true)).unwrap();
    assert_eq!((history.resumed, history.losses), (None, uninterrupted.losses));
}

#[test]
fn the_error_for_a_newer_version_names_it() {
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
    // A damaged version number is damage, not a newer version.
    fs::write(&path, &newer).unwrap();
    assert!(matches!(make().resume(&path).unwrap_err(), Error::Damaged { .. }));
}
