//! Disks that have little room, and limits on the size of files: a run says so and loses nothing that it has accepted, and
//! the store is whole.

use super::*;

/// Runs collect-grid with this much room on an ext4 of small blocks, in kB, until it has met every size; `clear` says
/// whether each begins without a store.
fn with_little_room(test: &str, sizes: impl Iterator<Item = usize>, clear: bool) {
    let at = Place::new(4);
    let Some(disk) = SmallDisk::ext4(test, at.sandbox.path("data"), 4096) else { return };
    let run = |minute: i64| {
        let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
        disk.run(&at.sandbox.command(&arguments.each_ref().map(String::as_str)))
    };
    if !clear {
        assert_eq!(run(0).code, Some(0));
    }
    for (minute, room) in (1..).zip(sizes) {
        if clear {
            let _ = fs::remove_dir_all(at.sandbox.path("state"));
            let _ = fs::remove_file(disk.path("store.db"));
        }
        disk.leave("filling", room);
        let outcome = run(minute);
        let shown = at.store().display().to_string();
        let full = [format!("{shown}: the disk is full"), format!("{shown}-shm cannot be written: the disk is full")];
        // A failure that lasts is said once, so a run that meets it again may be silent.
        let said = !clear || full.iter().any(|full| outcome.stderr.contains(full));
        assert!(outcome.code == Some(0) || outcome.code == Some(1) && said, "{room} kB: {outcome:?}");
        let left: Vec<_> = names(&disk.path("")).into_iter().filter(|name| name.contains("new")).collect();
        assert_eq!(left, Vec::<String>::new(), "{room} kB");
        fs::remove_file(disk.path("filling")).unwrap();
        if clear {
            let outcome = run(minute + 1);
            assert_eq!(outcome.code, Some(0), "{room} kB: {}", outcome.stderr);
            let checked = disk.run(&at.status_command(0, &["store", "check"]));
            assert_eq!(checked.code, Some(0), "{room} kB: {checked:?}");
        }
    }
    assert_eq!(run(100_000).code, Some(0));
    let checked = disk.run(&at.status_command(0, &["store", "check"]));
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));
    assert_eq!(batches(&at.sandbox), Vec::<String>::new());
}

#[test]
fn a_first_run_with_little_room_leaves_a_whole_store_or_none() {
    let sizes = (0..240).step_by(if soak() { 1 } else { 8 });
    with_little_room("a_first_run_with_little_room_leaves_a_whole_store_or_none", sizes, true);
}

#[test]
fn a_run_with_little_room_for_what_lies_beside_the_store_ends_in_words() {
    let sizes = (0..160).step_by(if soak() { 1 } else { 8 });
    with_little_room("a_run_with_little_room_for_what_lies_beside_the_store_ends_in_words", sizes, false);
}

#[test]
fn a_limit_on_the_size_of_files_is_said() {
    let mut at = Place::new(2);
    at.clouds.count = 30;
    at.recovers(0, [0]);
    let kept = fs::read(at.store()).unwrap();
    for (minute, blocks) in (1..).zip([0, 1, 16, 40, 64, 100]) {
        let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
        let plain = at.sandbox.command(&arguments.each_ref().map(String::as_str));
        let limit = format!("--fsize={}", blocks * 1024);
        let outcome = Outcome::of(&mut under("prlimit", &[&limit], &plain));
        assert!(matches!(outcome.code, Some(0 | 1)), "{blocks}: {outcome:?}");
    }
    fs::write(at.store(), kept).unwrap();
    fs::remove_dir_all(at.sandbox.path("state")).unwrap();
    let arguments = at.clouds.at(&at.sandbox, START + MINUTE * 9);
    let plain = at.sandbox.command(&arguments.each_ref().map(String::as_str));
    let outcome = Outcome::of(&mut under("prlimit", &["--fsize=20000"], &plain));
    let words =
        format!("embedded: {}: this process may write files up to 20 kB only (ulimit -f)", at.store().display());
    assert!(outcome.code == Some(1) && outcome.stderr.contains(&words), "{outcome:?}");
    at.recovers(10, [0, 9, 10]);
}

#[test]
fn a_monitor_hears_at_once_that_a_full_disk_takes_every_point() {
    let test = "a_monitor_hears_at_once_that_a_full_disk_takes_every_point";
    let at = Place::new(2);
    let Some(disk) = SmallDisk::mount(test, at.sandbox.path("state"), "600k") else { return };
    at.config("");
    let run = |minute: i64| {
        let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
        disk.run(&at.sandbox.command(&arguments.each_ref().map(String::as_str)))
    };
    let told = |minute: i64, arguments: &[&str]| disk.run(&at.status_command(minute, arguments));
    for minute in 0..5 {
        assert_eq!(run(minute).code, Some(0));
    }
    assert_eq!(told(5, &["--nagios"]).code, Some(0));
    disk.fill("filling");
    assert_eq!(run(5).code, Some(1));
    let heard = told(5, &["--nagios"]);
    let words = format!("GRIDMON CRITICAL - the disk of {} is full", at.sandbox.path("state").display());
    assert!(heard.code == Some(2) && heard.stdout.starts_with(&words), "{heard:?}");
    assert_eq!(run(6).code, Some(1));
    assert!(!told(15, &[]).stdout.contains("rm "));
    // There is room again, and nothing has run since.
    fs::remove_file(disk.path("filling")).unwrap();
    let heard = told(15, &["--nagios"]);
    let words = "no run has left a report since that of 2024-06-01 00:05 UTC: it was killed, or could not write it";
    assert!(heard.code == Some(2) && heard.stdout.contains(words), "{heard:?}");
    assert_eq!(run(16).code, Some(0));
    assert!(!told(16, &["--nagios"]).stdout.contains("no run has left"));
}
