//! Stores that are truncated, flipped, or no stores at all.

use super::*;

/// A store of some pages with a known content, in one file.
fn whole() -> (TempDir, PathBuf, Model) {
    let (folder, path, mut store) = fresh();
    let mut model = Model::default();
    for (tier, points) in
        [(Tier::Raw, minutes(40, 2, NOON)), (Tier::Hour, minutes(40, 1, NOON)), (Tier::Day, minutes(9, 1, 0))]
    {
        store.write(tier, &points, later()).unwrap();
        model.write(tier, &points);
    }
    drop(store);
    assert!(!folder.path().join("gridmon.db-wal").exists(), "the last one that closes it tidies up");
    (folder, path, model)
}

/// The same with what was written last still beside it, as after a kill.
fn with_log() -> (TempDir, PathBuf, Model) {
    let (folder, path, mut model) = whole();
    let mut store = Store::open(&path, later()).unwrap();
    let points = minutes(60, 1, NOON + 7 * HOUR);
    store.write(Tier::Raw, &points, later()).unwrap();
    model.write(Tier::Raw, &points);
    let aside = TempDir::new();
    for name in ["gridmon.db", "gridmon.db-wal"] {
        fs::copy(folder.path().join(name), aside.path().join(name)).unwrap();
    }
    assert!(fs::metadata(aside.path().join("gridmon.db-wal")).unwrap().len() > 0);
    let path = aside.path().join("gridmon.db");
    (aside, path, model)
}

/// How a damaged store was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    RefusedToWrite,
    RefusedToRead,
    /// A value is another one; SQLite keeps no checksum that could tell.
    Changed,
    Whole,
}

/// Writes to a store that may be damaged and reads it: whatever is acknowledged must be there, or it is said that it cannot
/// be read, or at least [`Store::verify`] sees the damage. `damaged` says what was done to it; `model` is what was acknowledged before.
fn meet(path: &Path, model: &Model, damaged: &str) -> Met {
    let said = |error: anyhow::Error| {
        let words = format!("{error:#}");
        let shown = path.display().to_string();
        let known = [
            format!("{shown} is damaged ("),
            format!("{shown} is not a SQLite database, or is damaged; put a copy of it in its place, or move it away"),
            format!("{shown} is empty, but a store never is; put a copy"),
            format!("{shown} is another program's SQLite database; name a different file with [embedded] path"),
            format!("{shown} has schema "),
            format!("{shown} has the "),
        ];
        assert!(known.iter().any(|known| words.starts_with(known)), "{damaged}: {words}");
    };
    let began = Instant::now();
    let new = minutes(60, 1, NOON + 3 * HOUR);
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(path);
    let wrote = Store::open(path, later()).and_then(|mut store| store.write(Tier::Raw, &new, later()));
    assert_eq!(inode(path), before, "{damaged}: a new store took its place");
    let acknowledged = wrote.is_ok();
    if let Err(error) = wrote {
        said(error);
    }
    let read = Store::open_to_read(path).and_then(|store| {
        let store = store.expect("it is there");
        let wanted = store.find(&Selector::default())?;
        let wanted: Vec<_> = wanted.iter().map(|series| (series, "value")).collect();
        store.latest(&wanted, i64::MAX)?;
        store.range(&wanted, NOON, NOON + 9 * HOUR, 100)?;
        store.status()?;
        everything(&store)
    });
    assert!(began.elapsed() < Duration::from_secs(15), "{damaged}: {:?}", began.elapsed());
    let mut expected = model.clone();
    if acknowledged {
        expected.write(Tier::Raw, &new);
    }
    match read {
        Err(error) => {
            said(error);
            if acknowledged { Met::RefusedToRead } else { Met::RefusedToWrite }
        }
        Ok(there) if there == expected => {
            if acknowledged {
                Met::Whole
            } else {
                Met::RefusedToWrite
            }
        }
        Ok(there) => {
            let mut own = Model::default();
            own.write(Tier::Raw, &new);
            let lost = own.rows.iter().filter(|(key, value)| there.rows.get(key) != Some(value)).count();
            // A row in the wrong place hides others from a search; a check of every page sees it.
            let hidden = acknowledged && lost > 0;
            let check = Store::open_to_read(path).and_then(|store| store.expect("it is there").verify());
            assert!(!hidden || check.is_err(), "{damaged}: {lost} acknowledged values lost");
            Met::Changed
        }
    }
}

/// Removes what SQLite keeps beside the store, so that the next case begins with the file alone.
fn remove_beside(folder: &TempDir) {
    for beside in ["gridmon.db-wal", "gridmon.db-shm"] {
        let _ = fs::remove_file(folder.path().join(beside));
    }
}

fn tally(what: &str, met: &[Met]) -> BTreeMap<Met, usize> {
    let mut tally = BTreeMap::new();
    met.iter().for_each(|met| *tally.entry(*met).or_insert(0) += 1);
    println!("{what}: {tally:?}");
    tally
}

#[test]
fn a_store_truncated_at_any_page_is_refused() {
    let (folder, path, model) = whole();
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() / 4096 > 20 && bytes.len() % 4096 == 0, "{} bytes", bytes.len());
    let mut met = Vec::new();
    for cut in (0..bytes.len()).step_by(4096).chain([1, 99, 100, 511, 4095, bytes.len() - 1]) {
        folder.write("gridmon.db", &bytes[..cut]);
        met.push(meet(&path, &model, &format!("cut at {cut} of {}", bytes.len())));
        assert_eq!(fs::metadata(&path).unwrap().len(), cut as u64, "what was refused is left as it is");
        remove_beside(&folder);
    }
    assert_eq!(tally("truncated", &met), BTreeMap::from([(Met::RefusedToWrite, met.len())]));
    folder.write("gridmon.db", &bytes);
    assert_eq!(meet(&path, &model, "nothing"), Met::Whole);
}

#[test]
fn a_store_truncated_beside_its_log_is_refused_or_read_whole() {
    let (folder, path, model) = with_log();
    let (bytes, log) = (fs::read(&path).unwrap(), fs::read(folder.path().join("gridmon.db-wal")).unwrap());
    let mut met = Vec::new();
    let put = |store: &[u8], log: &[u8], what: &str| {
        folder.write("gridmon.db", store);
        folder.write("gridmon.db-wal", log);
        let _ = fs::remove_file(folder.path().join("gridmon.db-shm"));
        meet(&path, &model, what)
    };
    for cut in (0..bytes.len()).step_by(4096) {
        met.push(put(&bytes[..cut], &log, &format!("cut at {cut} of {} with its log", bytes.len())));
    }
    // A transaction that lies beside it cannot be told from one that has not been committed: never half of one is read.
    assert!(!tally("truncated beside a log", &met).contains_key(&Met::Changed));
    for cut in (0..log.len()).step_by(4096 + 24) {
        let what = format!("log cut at {cut} of {}", log.len());
        let met = put(&bytes, &log[..cut], &what);
        assert!(matches!(met, Met::Changed | Met::Whole), "{what}: {met:?}");
    }
    assert_eq!(put(&bytes, &log, "nothing"), Met::Whole);
}

#[test]
fn of_a_store_with_flipped_bytes_all_is_there_or_the_damage_can_be_seen() {
    let (folder, path, model) = whole();
    let bytes = fs::read(&path).unwrap();
    let seed = seed();
    println!("flipped bytes: GRIDMON_SEED={seed}");
    let mut random = Random(seed);
    let mut met = Vec::new();
    for _ in 0..if soak() { 10_000 } else { 120 } {
        let mut bytes = bytes.clone();
        let mut what = format!("GRIDMON_SEED={seed}: flipped");
        // As often as not in the first page or in the head of one, where it hurts.
        for _ in 0..1 + random.below(3) {
            let at = match random.below(4) {
                0 => random.below(4096),
                1 => random.below(bytes.len() / 4096) * 4096 + random.below(16),
                _ => random.below(bytes.len()),
            };
            bytes[at] ^= 1 << random.below(8);
            what += &format!(" {at}");
        }
        folder.write("gridmon.db", &bytes);
        remove_beside(&folder);
        met.push(meet(&path, &model, &what));
    }
    tally("flipped", &met);
}

#[test]
fn a_store_with_a_flipped_bit_in_its_header_is_whole_or_refused_in_words() {
    let (folder, path, model) = whole();
    let bytes = fs::read(&path).unwrap();
    let mut met = Vec::new();
    // Bytes 18 and 19 name the format that it is written and read in.
    for (at, bit) in (0..100).map(|at| (at, at % 8)).chain([(18, 7), (19, 7)]) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << bit;
        folder.write("gridmon.db", &bytes);
        remove_beside(&folder);
        met.push(meet(&path, &model, &format!("bit {bit} of byte {at}")));
    }
    assert!(tally("flipped in the header", &met).contains_key(&Met::RefusedToWrite));
}

#[test]
fn what_is_no_store_is_refused_in_words_and_left_as_it_is() {
    let folder = TempDir::new();
    let path = folder.path().join("gridmon.db");
    let shown = path.display().to_string();
    let other = || {
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE pictures (name TEXT); INSERT INTO pictures VALUES ('sunset')").unwrap();
    };
    let newer = || {
        drop(Store::open(&path, later()).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    };
    let way_out = format!(
        "put a copy of it in its place, or move it away and begin a new one: mv {shown} {shown}.damaged; rm -f {shown}-wal {shown}-shm; gridmon-status store accept"
    );
    let cases: [(&str, &dyn Fn(), String); 7] = [
        ("empty", &|| fs::write(&path, "").unwrap(), format!("{shown} is empty, but a store never is; {way_out}")),
        (
            "text",
            &|| fs::write(&path, "what is this?\n").unwrap(),
            format!("{shown} is not a SQLite database, or is damaged; {way_out}"),
        ),
        (
            "long text",
            &|| fs::write(&path, "what is this?\n".repeat(900)).unwrap(),
            format!("{shown} is not a SQLite database, or is damaged; {way_out}"),
        ),
        (
            "another program's",
            &other,
            format!("{shown} is another program's SQLite database; name a different file with [embedded] path"),
        ),
        (
            "newer",
            &newer,
            format!(
                "{shown} has schema 99, which a newer gridmon made; this one knows schemas up to 6: run the newer one again"
            ),
        ),
        ("folder", &|| fs::create_dir(&path).unwrap(), format!("{shown} is not a file")),
        (
            "dangling",
            &|| symlink("/nowhere/store.db", &path).unwrap(),
            format!("{shown} is a link to /nowhere/store.db, which is not there"),
        ),
    ];
    for (what, put, words) in cases {
        put();
        let before = fs::read(&path).ok();
        for error in [
            Store::open(&path, later()).map(drop).unwrap_err(),
            Store::open_to_read(&path).map(drop).unwrap_err(),
            Place::from(path.clone()).check().map(drop).unwrap_err(),
        ] {
            assert_eq!(format!("{error:#}"), words, "{what}");
        }
        assert_eq!(fs::read(&path).ok(), before, "{what}");
        for name in names(folder.path()).iter().filter(|name| *name != "gridmon.db") {
            let empty = fs::metadata(folder.path().join(name)).unwrap().len() == 0;
            // What SQLite needs to read, and a reader may not remove.
            assert!(name == "gridmon.db-shm" || name == "gridmon.db-wal" && empty, "{what}: {name} was left beside it");
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    }
    assert!(Store::open_to_read(&path).unwrap().is_none());
    assert!(!path.exists(), "reading makes nothing");
}
