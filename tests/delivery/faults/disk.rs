//! A spool that cannot be had, and disks that are full or read-only.

use super::*;

#[test]
fn a_spool_that_cannot_be_had_costs_no_live_points() {
    let at = Waiting::new(3, 0);
    fs::write(at.spool(), "a file").unwrap_or_else(|_| {
        fs::remove_dir_all(at.spool()).unwrap();
        fs::write(at.spool(), "a file").unwrap();
    });
    let outcome = at.run(0);
    assert_eq!(outcome.code, Some(1));
    let words = format!(
        "collect-grid: spool: {}: Not a directory (os error 20); what a sink does not acknowledge at once is lost",
        at.spool().display()
    );
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    let [collected, delivered, ..] = account(&outcome.stderr);
    assert_eq!((collected, delivered), (at.clouds.points(), at.clouds.points()));
    at.has([0]);
    // With Carbon down as well the points are lost, and that is said.
    at.carbon(false, "");
    let outcome = at.run(1);
    assert_eq!(outcome.code, Some(1));
    let [collected, delivered, spooled, dropped, _, waiting] = account(&outcome.stderr);
    assert_eq!((delivered, spooled, dropped, waiting), (0, 0, collected, 0));
    let words = format!("all {collected} points of this run (neither spooled nor acknowledged by carbon)");
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
}

/// A run of [`Waiting`] in which everybody sees the disk.
fn run_on(disk: &SmallDisk, at: &Waiting, minute: i64) -> Outcome {
    let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    arguments.push("-v");
    disk.run(&at.sandbox.command(&arguments))
}

#[test]
fn a_disk_that_has_gone_read_only_costs_no_live_points_and_what_is_on_it_waits() {
    let test = "a_disk_that_has_gone_read_only_costs_no_live_points_and_what_is_on_it_waits";
    // That of the spool alone, and that of all the state.
    for folder in ["state/spool", "state"] {
        let at = Waiting::new(3, 0);
        let Some(disk) = SmallDisk::mount(test, at.sandbox.path(folder), "4m") else { return };
        at.carbon(false, "");
        assert_eq!(run_on(&disk, &at, 0).code, Some(1));
        disk.remount("ro");
        at.carbon(true, "");
        for minute in [1, 2] {
            let outcome = run_on(&disk, &at, minute);
            assert_eq!(outcome.code, Some(1), "{folder}");
            let words = "collect-grid: spool: Read-only file system (os error 30); what a sink does not acknowledge at once is lost";
            assert!(outcome.stderr.contains(words), "{folder}: {}", outcome.stderr);
            let [collected, delivered, spooled, dropped, replayed, waiting] = account(&outcome.stderr);
            assert_eq!((delivered, spooled, dropped, replayed), (collected, 0, 0, 0), "{folder}");
            assert_eq!(waiting, at.clouds.points(), "{folder}");
        }
        at.has([1, 2]);
        disk.remount("rw");
        let outcome = run_on(&disk, &at, 3);
        assert_eq!((outcome.code, account(&outcome.stderr)[5]), (Some(0), 0), "{folder}: {}", outcome.stderr);
        at.has(0..=3);
    }
}

#[test]
fn a_full_disk_costs_no_live_points() {
    let test = "a_full_disk_costs_no_live_points";
    // Of the spool alone, and of all the state.
    for folder in ["state/spool", "state"] {
        let at = Waiting::new(3, 0);
        let Some(disk) = SmallDisk::mount(test, at.sandbox.path(folder), "2m") else { return };
        // Where nobody minds a foreign file.
        let filling = if folder == "state" { "spool/bad/filling" } else { "bad/filling" };
        at.carbon(false, "[spool]\nmax_disk_percent = 100");
        assert_eq!(run_on(&disk, &at, 0).code, Some(1), "{folder}");
        disk.fill(filling);
        // Before the limit, and where there is none.
        for (minute, percent, words) in [
            (1, 100, "spool: No space left on device (os error 28); what a sink does not acknowledge at once is lost"),
            (
                2,
                95,
                "spool: its disk is 100 % full, and [spool] max_disk_percent is 95; what a sink does not acknowledge at once is lost",
            ),
        ] {
            at.carbon(true, &format!("[spool]\nmax_disk_percent = {percent}"));
            let outcome = run_on(&disk, &at, minute);
            assert_eq!(outcome.code, Some(1), "{folder}");
            assert!(outcome.stderr.contains(words), "{folder}: {}", outcome.stderr);
            let [collected, delivered, spooled, dropped, _, waiting] = account(&outcome.stderr);
            assert_eq!((delivered, spooled, dropped, waiting), (collected, 0, 0, 0), "{folder}: {}", outcome.stderr);
            // What waits could be sent all the same: reading it needs no room.
            at.has(0..=minute);
        }
        at.carbon(false, "[spool]\nmax_disk_percent = 100");
        // Also where the batch was that has left.
        disk.fill(filling);
        let outcome = run_on(&disk, &at, 3);
        let [collected, delivered, spooled, dropped, ..] = account(&outcome.stderr);
        assert_eq!((delivered, spooled, dropped), (0, 0, collected), "{folder}: {}", outcome.stderr);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains("points of this run (neither spooled nor acknowledged by carbon)"));
        // No leaving of what did not fit, and all is well with room.
        fs::remove_file(disk.path(filling)).unwrap();
        let spool = disk.path(filling).ancestors().nth(2).unwrap().to_path_buf();
        assert_eq!(names(&spool), ["bad", "lock.carbon"]);
        at.carbon(true, "");
        let outcome = run_on(&disk, &at, 4);
        assert_eq!(outcome.code, Some(0), "{folder}: {}", outcome.stderr);
        at.has([0, 1, 2, 4]);
    }
}
