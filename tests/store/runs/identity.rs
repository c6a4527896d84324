//! Which store lies at the path: one that is gone or another one is said, and the points wait.

use super::*;

/// Makes another store at a path.
fn another(path: &Path) {
    let until = Instant::now() + Duration::from_secs(30);
    let point = Point::new("other".into(), [], [("f".into(), Value::Int(1))], START * SECOND);
    Store::open(path, until).unwrap().write(Tier::Raw, &[point], until).unwrap();
}

#[test]
fn a_store_that_is_gone_is_not_begun_anew_in_silence() {
    let at = Place::new(2);
    at.recovers(0, [0]);
    let away = at.sandbox.path("away.db");
    fs::rename(at.store(), &away).unwrap();
    at.fails(1, &at.gone());
    assert!(!at.store().exists());
    let checked = at.sandbox.run(&["-c", "heprc.cfg", "--check"]);
    assert!(checked.code == Some(1) && checked.stdout.contains(&at.gone()), "{checked:?}");
    for arguments in [&["store"][..], &["grid"], &["store", "export"], &["store", "vacuum"]] {
        let told = at.status(1, arguments);
        assert!(told.code == Some(1) && told.stderr.contains(&at.gone()), "{arguments:?}: {told:?}");
    }
    at.sandbox.write("in.influx", "m x=1 5\n");
    let imported = at.status(1, &["store", "import", "in.influx"]);
    assert!(imported.code == Some(1) && imported.stderr.contains(&at.gone()), "{imported:?}");
    // The whole folder, as where a disk is not mounted.
    fs::rename(at.sandbox.path("data"), at.sandbox.path("unmounted")).unwrap();
    at.fails(2, &at.gone());
    fs::rename(at.sandbox.path("unmounted"), at.sandbox.path("data")).unwrap();
    // It is back.
    fs::rename(&away, at.store()).unwrap();
    at.recovers(3, 0..=3);
    // On purpose.
    fs::remove_file(at.store()).unwrap();
    at.fails(4, &at.gone());
    let accepted = at.status(4, &["store", "accept"]);
    let words = format!("the next run makes a new store {}\n", at.store().display());
    assert_eq!((accepted.code, accepted.stdout), (Some(0), words));
    at.recovers(5, [4, 5]);
    let accepted = at.status(5, &["store", "accept"]);
    assert!(accepted.stdout.contains("of earlier runs: there is nothing to accept"), "{accepted:?}");
    // Or by hand, as for one who has lost the program.
    fs::remove_file(at.store()).unwrap();
    fs::remove_file(at.sandbox.path("state/embedded.stores")).unwrap();
    at.recovers(6, [6]);
}

#[test]
fn another_store_is_said_and_a_copy_is_the_same_one() {
    let at = Place::new(2);
    at.recovers(0, [0]);
    let copy = at.sandbox.path("copy.db");
    fs::copy(at.store(), &copy).unwrap();
    at.recovers(1, [0, 1]);
    let (first, id) = (at.sandbox.path("first.db"), at.id());
    fs::rename(at.store(), &first).unwrap();
    another(&at.store());
    let other = Store::open_to_read(&at.store()).unwrap().unwrap().id().unwrap().unwrap();
    let words = format!(
        "{} is another store ({other}) than earlier runs wrote to ({id}): is its disk mounted? Put that one or a copy back, or go on with this one with: gridmon-status store accept",
        at.store().display()
    );
    at.fails(2, &words);
    let told = at.status(2, &["store"]);
    assert!(told.code == Some(1) && told.stderr.contains(&words), "{told:?}");
    // A backup that is restored has the id, whatever else it lacks.
    fs::rename(&copy, at.store()).unwrap();
    at.recovers(3, [0, 2, 3]);
    fs::remove_file(at.store()).unwrap();
    another(&at.store());
    let words = format!("the next run goes on with the store that is {} now\n", at.store().display());
    let accepted = at.status(3, &["store", "accept"]);
    assert_eq!((accepted.code, accepted.stdout), (Some(0), words));
    assert_eq!(at.run(4).code, Some(0));
    // One that is older than ids.
    fs::remove_file(at.store()).unwrap();
    fs::copy(gridmon_testkit::sandbox::fixture("store/schema1.db"), at.store()).unwrap();
    let before = fs::read(at.store()).unwrap();
    let outcome = at.run(5);
    assert!(outcome.stderr.contains(" is from before stores had an id, so it may be another one"), "{outcome:?}");
    assert_eq!(fs::read(at.store()).unwrap(), before, "it is not migrated");
    assert_eq!(at.status(5, &["store", "accept"]).code, Some(0));
    assert_eq!(at.run(6).code, Some(0));
    assert_eq!(at.id().len(), 16);
}

#[test]
fn a_store_is_adopted_by_every_state_directory_that_does_not_know_it() {
    let at = Place::new(2);
    at.recovers(0, [0]);
    let id = at.id();
    fs::remove_dir_all(at.sandbox.path("state")).unwrap();
    at.recovers(1, [0, 1]);
    assert_eq!(at.id(), id);
    let from = StorePlace::new(at.store(), &at.sandbox.path("elsewhere"));
    let until = Instant::now() + Duration::from_secs(30);
    assert_eq!(
        from.open(until).unwrap().id().unwrap(),
        Some(id),
        "one that cannot be remembered is written all the same"
    );
    assert!(!at.sandbox.path("elsewhere").exists());
}

#[test]
fn two_first_runs_at_once_make_one_store() {
    let at = Place::new(2);
    let other = Clouds { grid: "other".into(), ..Clouds::new(2) };
    config(&at.sandbox, &other, &format!("[embedded]\npath = {}\n", at.store().display()));
    for round in 0..if soak() { 500 } else { 12 } {
        fs::remove_dir_all(at.sandbox.path("data")).unwrap();
        let _ = fs::remove_dir_all(at.sandbox.path("state"));
        fs::create_dir(at.sandbox.path("data")).unwrap();
        thread::scope(|scope| {
            let beside = scope.spawn(|| other.run(&at.sandbox, START));
            let outcomes = [at.clouds.run(&at.sandbox, START), beside.join().unwrap()];
            assert!(outcomes.iter().all(|outcome| outcome.code == Some(0)), "{round}: {outcomes:?}");
        });
        assert_eq!(names(&at.sandbox.path("data")), ["store.db"], "{round}");
    }
    let mut expected = datapoints(&at.clouds, START);
    expected.extend(datapoints(&other, START));
    assert_same(&stored(&at.store()), &expected);
    assert_eq!(at.id().len(), 16);
}

#[test]
fn a_store_is_made_once_however_many_begin_together() {
    let folder = gridmon_testkit::TempDir::new();
    let until = Instant::now() + Duration::from_secs(60);
    for round in 0..40 {
        let path = folder.path().join(format!("{round}.db"));
        let ids: BTreeSet<_> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| Store::open(&path, until).unwrap().id().unwrap().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1, "{round}: {ids:?}");
    }
    assert!(names(folder.path()).iter().all(|name| !name.contains("new")), "{:?}", names(folder.path()));
}

#[test]
fn a_store_and_what_lies_beside_it_can_be_read_by_owner_and_group_alone() {
    let at = Place::new(2);
    at.recovers(0, [0]);
    let reader = Store::open_to_read(&at.store()).unwrap().unwrap();
    reader.count_series().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{suffix}", at.store().display()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640, "{}", path.display());
    }
    drop(reader);
    // A mode that somebody chose stays.
    fs::set_permissions(at.store(), Permissions::from_mode(0o660)).unwrap();
    at.recovers(1, [0, 1]);
    assert_eq!(fs::metadata(at.store()).unwrap().permissions().mode() & 0o777, 0o660);
}

#[test]
fn flush_takes_what_waits_to_the_store() {
    let at = Place::new(2);
    at.recovers(0, [0]);
    let away = at.sandbox.path("away.db");
    fs::rename(at.store(), &away).unwrap();
    at.fails(1, &at.gone());
    let flushed = at.status(1, &["flush"]);
    assert!(flushed.code == Some(1) && flushed.stdout.contains("is gone, and earlier runs"), "{flushed:?}");
    fs::rename(away, at.store()).unwrap();
    let flushed = at.status(1, &["flush"]);
    assert!(flushed.code == Some(0) && flushed.stdout.starts_with("embedded: sent "), "{flushed:?}");
    at.has([0, 1]);
}
