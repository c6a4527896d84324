//! Disks that fail or are full, what may not be written, and what is removed meanwhile.

use super::*;

/// A run with an error injected into calls on the store and what lies beside it.
fn injected(at: &Place, minute: i64, inject: &str) -> Outcome {
    let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    arguments.push("-v");
    let store = at.store().display().to_string();
    let (wal, shm) = (format!("{store}-wal"), format!("{store}-shm"));
    let log = at.sandbox.path("log").display().to_string();
    let inject = format!("inject={inject}");
    let calls = inject.split([':', '=']).nth(1).unwrap();
    let trace = format!("trace={calls}");
    let own = ["-f", "-b", "execve", "-o", &log, "-P", &store, "-P", &wal, "-P", &shm, "-e", &trace, "-e", &inject];
    Outcome::of(&mut under("strace", &own, &at.sandbox.command(&arguments)))
}

#[test]
fn a_disk_that_fails_is_said_and_the_points_wait() {
    let test = "a_disk_that_fails_is_said_and_the_points_wait";
    if !may_trace(test) {
        return;
    }
    let at = Place::new(2);
    at.recovers(0, [0]);
    let shown = at.store().display().to_string();
    let full = format!("{shown}: the disk is full");
    let fails = format!("{shown}: disk I/O error");
    let beside = format!("{shown}-shm cannot be written: the disk is full, or fails");
    let cannot = format!(
        "{shown}: unable to open database file; reading too takes room on its disk and the right to write into its folder: run it as the user who runs the programs"
    );
    // What could not be read is not there.
    let damaged = format!(
        "{shown} is damaged (database disk image is malformed); put a copy of it in its place, or move it away and begin a new one: mv {shown} {shown}.damaged; rm -f {shown}-wal {shown}-shm; gridmon-status store accept"
    );
    let folder = format!("{shown} takes files beside it, and its folder cannot be written");
    // The first eight are those of the shared memory, which lies beside it.
    let cases = [
        ("pwrite64:error=ENOSPC:when=1+", &beside),
        ("pwrite64:error=ENOSPC:when=9+", &full),
        ("pwrite64:error=ENOSPC:when=12+", &full),
        ("pwrite64:error=EIO:when=1+", &beside),
        ("pwrite64:error=EIO:when=9+", &fails),
        ("fsync,fdatasync:error=EIO:when=1+", &fails),
        ("pread64:error=EIO:when=1+", &fails),
        ("pread64:error=EIO:when=4+", &damaged),
        ("openat:error=EIO:when=1+", &cannot),
        ("openat:error=EACCES:when=2+", &folder),
        ("ftruncate,fallocate:error=ENOSPC:when=1+", &fails),
    ];
    let count = cases.len() as i64;
    for (minute, (inject, words)) in (1..).zip(cases) {
        let outcome = injected(&at, minute, inject);
        at.failed(&outcome, words);
    }
    at.recovers(count + 1, 0..=count + 1);
}

#[test]
fn a_full_disk_is_said_and_the_points_wait() {
    let at = Place::new(40);
    let test = "a_full_disk_is_said_and_the_points_wait";
    let Some(disk) = SmallDisk::mount(test, at.sandbox.path("data"), "700k") else { return };
    // SQLite takes the way to another's disk for one on its own.
    let store = at.sandbox.path("copy/store.db");
    let look = || {
        let _ = fs::remove_dir_all(at.sandbox.path("copy"));
        copy(&disk.path(""), &at.sandbox.path("copy"));
        sound(&store);
        stored(&store)
    };
    let run = |minute: i64| {
        let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        arguments.push("-v");
        disk.run(&at.sandbox.command(&arguments))
    };
    let shown = at.store().display().to_string();
    // Before there is a store.
    disk.fill("filling");
    at.failed(&run(0), &format!("{shown}: the disk is full"));
    assert_eq!(names(&disk.path("")), ["filling"], "no half of a store");
    fs::remove_file(disk.path("filling")).unwrap();
    let outcome = run(1);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let full = |outcome: &Outcome| {
        // Wherever it was that no more would fit.
        let shm = format!("{shown}-shm cannot be written: the disk is full, or fails");
        let words = if outcome.stderr.contains("-shm cannot") { shm } else { format!("{shown}: the disk is full") };
        at.failed(outcome, &words);
    };
    disk.fill("filling");
    full(&run(2));
    fs::remove_file(disk.path("filling")).unwrap();
    let mut minutes = 3;
    // It fills by itself.
    let outcome = loop {
        let outcome = run(minutes);
        if outcome.code != Some(0) {
            break outcome;
        }
        minutes += 1;
        assert!(minutes < 100, "it never was full");
    };
    full(&outcome);
    // Even reading takes room beside it.
    disk.remount("size=4m");
    let there: BTreeSet<_> = look().into_keys().map(|(_, time)| (time - START) / MINUTE).collect();
    assert_eq!(there, (0..minutes).collect(), "all of a transaction or nothing");
    assert_eq!(run(minutes + 1).code, Some(0));
    let mut expected = BTreeMap::new();
    (0..=minutes + 1).for_each(|minute| expected.extend(datapoints(&at.clouds, START + MINUTE * minute)));
    assert_same(&look(), &expected);

    disk.remount("ro");
    let words = format!("{shown}: its disk is read-only; did it fail (dmesg), or is it mounted so (mount)?");
    at.failed(&run(minutes + 2), &words);
    // Nobody writes it, so it can be read without what SQLite would put beside it.
    let told = disk.run(&at.status_command(0, &["store", "check"]));
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    disk.remount("rw");
    assert_eq!(run(minutes + 3).code, Some(0));
    (minutes + 2..minutes + 4).for_each(|minute| expected.extend(datapoints(&at.clouds, START + MINUTE * minute)));
    assert_same(&look(), &expected);
}

/// A run that may do no more to files than their modes say, also as root.
fn run_by_modes(at: &Place, minute: i64) -> Outcome {
    let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    arguments.push("-v");
    by_modes(&at.sandbox.command(&arguments))
}

fn by_modes(plain: &Command) -> Outcome {
    Outcome::of(&mut if rustix::process::geteuid().is_root() {
        under("setpriv", &["--bounding-set=-dac_override,-dac_read_search"], plain)
    } else {
        under("env", &[], plain)
    })
}

#[test]
fn a_store_or_a_folder_that_may_not_be_written_is_said_and_the_points_wait() {
    let test = "a_store_or_a_folder_that_may_not_be_written_is_said_and_the_points_wait";
    if rustix::process::geteuid().is_root() {
        let try_it = Command::new("setpriv").args(["--bounding-set=-dac_override", "true"]).status();
        if !try_it.is_ok_and(|status| status.success()) {
            return skip(test, "setpriv");
        }
    }
    let at = Place::new(2);
    let (shown, data) = (at.store().display().to_string(), at.sandbox.path("data"));
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let check = |words: &str| {
        let outcome = by_modes(&at.sandbox.command(&["-c", "heprc.cfg", "--check"]));
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stdout.contains(&format!("failed  embedded         {words}")), "{}{words}", outcome.stdout);
    };
    // Before there is one.
    mode(&data, 0o555);
    let cannot = format!(
        "{shown}: unable to open database file; reading too takes room on its disk and the right to write into its folder: run it as the user who runs the programs"
    );
    let made = format!("{shown} cannot be made: {}: Permission denied (os error 13)", data.display());
    at.failed(&run_by_modes(&at, 0), &made);
    check(&format!("{shown} is not there and cannot be made: {}: Permission denied (os error 13)\n", data.display()));
    mode(&data, 0o755);
    at.recovers(1, [0, 1]);
    mode(&data, 0o555);
    let folder = format!("{shown} takes files beside it, and its folder cannot be written");
    at.failed(&run_by_modes(&at, 2), &folder);
    check(&folder);
    mode(&data, 0o755);
    mode(&at.store(), 0o444);
    at.failed(&run_by_modes(&at, 3), &format!("{shown} cannot be written (attempt to write a readonly database)"));
    check(&format!("{shown}: Permission denied (os error 13)\n"));
    mode(&at.store(), 0o000);
    at.failed(&run_by_modes(&at, 4), &cannot);
    check(&cannot);
    mode(&at.store(), 0o644);
    at.recovers(5, 0..=5);
}

#[test]
fn a_store_that_is_removed_or_replaced_while_it_is_written_acknowledges_nothing() {
    let test = "a_store_that_is_removed_or_replaced_while_it_is_written_acknowledges_nothing";
    if !may_trace(test) {
        return;
    }
    // Between open and commit, also with another run that begins meanwhile; and in the commit itself, where the log beside
    // the path is the old store's and a writer that came just then would take it for the new one's.
    let cases = [("pread64", 3, false), ("pread64", 3, true), ("pwrite64", 1, false)];
    for ((call, count, meanwhile), replaced) in cases.into_iter().flat_map(|case| [(case, true), (case, false)]) {
        let what = format!("stopped at {call}, replaced {replaced}, meanwhile {meanwhile}");
        let at = Place::new(2);
        let other = Clouds { grid: "other".into(), ..Clouds::new(3) };
        config(&at.sandbox, &other, &format!("[embedded]\npath = {}\n", at.store().display()));
        at.recovers(0, [0]);
        let older = at.sandbox.path("older.db");
        fs::copy(at.store(), &older).unwrap();
        at.recovers(1, [0, 1]);

        let arguments = at.clouds.at(&at.sandbox, START + MINUTE * 2);
        let log = at.sandbox.path("log");
        let file = format!("{}{}", at.store().display(), if call == "pwrite64" { "-wal" } else { "" });
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=STOP:when={count}"));
        let own = ["-f", "-b", "execve", "-o", log.to_str().unwrap(), "-P", &file, "-e", &trace, "-e", &inject];
        let mut plain = at.sandbox.command(&arguments.each_ref().map(String::as_str));
        plain.arg("-v");
        let mut command = under("strace", &own, &plain);
        thread::scope(|scope| {
            let run = scope.spawn(|| Outcome::of(&mut command));
            let pid = wait_until("the run to stop in its transaction", Duration::from_secs(30), || {
                let log = fs::read_to_string(&log).ok()?;
                log.lines().find(|line| line.contains("stopped by SIGSTOP"))?.split(' ').next()?.parse::<u32>().ok()
            });
            if replaced {
                fs::rename(&older, at.store()).unwrap();
            } else {
                fs::remove_file(at.store()).unwrap();
            }
            let beside = meanwhile.then(|| {
                let beside = scope.spawn(|| other.run(&at.sandbox, START + MINUTE * 2));
                wait_until("the other run to publish, or to end", Duration::from_secs(30), || {
                    let published = batches(&at.sandbox).iter().any(|name| name.contains(":other-"));
                    (published || at.sandbox.path("state/collect-grid.other.reports").exists()).then_some(())
                });
                beside
            });
            signal(pid, "CONT");
            let outcome = run.join().unwrap();
            at.failed(&outcome, &format!("{} was replaced or removed while it was written", at.store().display()));
            if let Some(beside) = beside {
                let beside = beside.join().unwrap();
                assert!(matches!(beside.code, Some(0 | 1)), "{what}: {beside:?}");
            }
        });
        if !replaced {
            at.fails(3, &at.gone());
            assert_eq!(at.status(3, &["store", "accept"]).code, Some(0));
        }
        let outcome = at.run(3);
        assert_eq!(outcome.code, Some(0), "{what}: {}", outcome.stderr);
        assert_eq!(batches(&at.sandbox), Vec::<String>::new(), "{what}");
        sound(&at.store());
        let mut expected = BTreeMap::new();
        let minutes = if replaced { vec![0, 2, 3] } else { vec![2, 3] };
        minutes.into_iter().for_each(|minute| expected.extend(datapoints(&at.clouds, START + MINUTE * minute)));
        if meanwhile {
            expected.extend(datapoints(&other, START + MINUTE * 2));
        }
        let there = stored(&at.store());
        assert!(there == expected, "{what}: {} values, expected {}", there.len(), expected.len());
    }
}
