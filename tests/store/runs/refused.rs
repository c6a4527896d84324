//! A store that is none, is missing, or is locked.

use super::*;

#[test]
fn what_is_no_store_is_refused_and_the_points_wait() {
    let at = Place::new(2);
    let shown = at.store().display().to_string();
    let other = || {
        Connection::open(at.store()).unwrap().execute_batch("CREATE TABLE pictures (name TEXT)").unwrap();
    };
    let way_out = format!(
        "put a copy of it in its place, or move it away and begin a new one: mv {shown} {shown}.damaged; rm -f {shown}-wal {shown}-shm; gridmon-status store accept"
    );
    at.recovers(0, [0]);
    let good = fs::read(at.store()).unwrap();
    let newer = || {
        fs::write(at.store(), &good).unwrap();
        Connection::open(at.store()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    };
    let cases: [(&dyn Fn(), String); 8] = [
        (&|| fs::write(at.store(), "").unwrap(), format!("{shown} is empty, but a store never is; {way_out}")),
        (
            &|| fs::write(at.store(), &good[..3 * 4096]).unwrap(),
            format!("{shown} is damaged (database disk image is malformed); {way_out}"),
        ),
        (
            &|| fs::write(at.store(), &good[..good.len() - 100]).unwrap(),
            format!("{shown} is damaged (it ends within a page); {way_out}"),
        ),
        (
            &|| fs::write(at.store(), "what is this?\n").unwrap(),
            format!("{shown} is not a SQLite database, or is damaged; {way_out}"),
        ),
        (&other, format!("{shown} is another program's SQLite database; name a different file with [embedded] path")),
        (
            &newer,
            format!(
                "{shown} has schema 99, which a newer gridmon made; this one knows schemas up to 6: run the newer one again"
            ),
        ),
        (&|| fs::create_dir(at.store()).unwrap(), format!("{shown} is not a file")),
        (
            &|| symlink("/nowhere/store.db", at.store()).unwrap(),
            format!("{shown} is a link to /nowhere/store.db, which is not there"),
        ),
    ];
    let clear = || {
        for name in names(&at.sandbox.path("data")) {
            let path = at.sandbox.path("data").join(name);
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
        }
    };
    let count = cases.len() as i64;
    for (minute, (put, words)) in (1..).zip(cases) {
        clear();
        put();
        let before = fs::read(at.store()).ok();
        at.fails(minute, &words);
        assert_eq!(fs::read(at.store()).ok(), before, "{words}: it was changed");
        let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--check"]);
        assert_eq!(outcome.code, Some(1), "{words}");
        assert!(outcome.stdout.contains(&format!("failed  embedded         {words}\n")), "{}", outcome.stdout);
    }
    clear();
    fs::write(at.store(), good).unwrap();
    at.recovers(count + 1, 0..=count + 1);
}

#[test]
fn a_folder_that_is_missing_is_not_made_and_the_points_wait() {
    let at = Place::new(2);
    fs::remove_dir(at.sandbox.path("data")).unwrap();
    let shown = at.store().display().to_string();
    let words = format!(
        "{shown} cannot be made: {}: No such file or directory (os error 2)",
        at.sandbox.path("data").display()
    );
    at.fails(0, &words);
    let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--check"]);
    assert_eq!(outcome.code, Some(1));
    let words = format!("failed  embedded         {words}\n");
    assert!(outcome.stdout.contains(&words), "{}{words}", outcome.stdout);
    assert!(!at.sandbox.path("data").exists());
    fs::create_dir(at.sandbox.path("data")).unwrap();
    at.recovers(1, [0, 1]);
}

#[test]
fn a_store_locked_for_longer_than_the_deadline_costs_nothing() {
    let mut at = Place::new(2);
    at.recovers(0, [0]);
    at.clouds.deadline_seconds = 6;
    at.config(&format!("[embedded]\npath = {}\n", at.store().display()));
    let other = Connection::open(at.store()).unwrap();
    let shown = at.store().display().to_string();
    for (minute, lock) in [(1, "BEGIN IMMEDIATE"), (2, "BEGIN EXCLUSIVE")] {
        other.execute_batch(lock).unwrap();
        let outcome = at.run(minute);
        at.failed(&outcome, &format!("{shown} is locked by another process, for 5 s now"));
        assert!(outcome.took < Duration::from_secs(6), "{:?}", outcome.took);
        assert!(outcome.took > Duration::from_secs(4), "it did not wait: {:?}", outcome.took);
        other.execute_batch("COMMIT").unwrap();
    }
    // One that shares with nobody.
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE").unwrap();
    drop(other);
    let other = Connection::open(at.store()).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; PRAGMA user_version = 1").unwrap();
    let outcome = at.run(3);
    at.failed(&outcome, &format!("{shown} is locked by another process"));
    assert!(outcome.took < Duration::from_secs(6), "{:?}", outcome.took);
    drop(other);
    // A moment is waited for.
    let other = Connection::open(at.store()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let run = scope.spawn(|| at.run(4));
        wait_until("the run to come to the store", Duration::from_secs(20), || {
            batches(&at.sandbox).iter().any(|name| slot(name) == START + 4 * MINUTE).then_some(())
        });
        other.execute_batch("COMMIT").unwrap();
        let outcome = run.join().unwrap();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    });
    at.has(0..=4);
}
