//! Batches that are sent, shown and discarded by hand.

use super::*;

#[test]
fn flush_sends_what_waits_and_says_what_is_left_and_why() {
    let sandbox = with_backlog();
    let down = status(&sandbox, &["flush"]);
    assert_eq!(down.code, Some(1));
    assert!(down.stdout.starts_with("carbon: sent 0 points; 3 batches with "), "{down:?}");
    assert!(down.stdout.contains("127.0.0.1:1: no connection: Connection refused"), "{down:?}");
    assert!(down.stderr.starts_with("gridmon-status: carbon: 3 batches"), "{down:?}");
    assert_eq!(batches(&sandbox).len(), 3);

    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&up(&carbon));
    let flushed = status(&sandbox, &["flush"]);
    assert_eq!(flushed.code, Some(0), "{flushed:?}");
    assert!(
        flushed.stdout.starts_with("carbon: sent ") && flushed.stdout.ends_with("; nothing waits\n"),
        "{flushed:?}"
    );
    assert_eq!(batches(&sandbox), [""; 0]);
    let lines = carbon.lines();
    for minute in 0..3 {
        let line = format!("grids.heprc.heartbeat.cloud_monitor 1 {}", NOW + minute * 60);
        assert_eq!(lines.iter().filter(|sent| **sent == line).count(), 1, "{line}");
    }
    let again = status(&sandbox, &["flush"]);
    assert_eq!((again.code, again.stdout.as_str(), again.stderr.as_str()), (Some(0), "carbon: nothing waits\n", ""));
    assert!(status(&sandbox, &[]).stdout.contains("nothing waits"));

    // The next run has its acknowledgement, and the error is remembered.
    collect(&sandbox, 3..4);
    let told = status(&sandbox, &[]).stdout;
    assert!(told.lines().nth(3).unwrap().ends_with("2024-06-01 12:33 UTC, 0 s ago"), "{told}");
    assert!(told.contains("last error 2024-06-01 12:32 UTC"), "{told}");
}

#[test]
fn flush_waits_for_a_program_that_is_sending() {
    let sandbox = with_backlog();
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&up(&carbon));
    let lock = Directory::at(&sandbox.path("state/spool")).lock("lock.carbon").unwrap().unwrap();
    let flush = command(&sandbox, &["flush"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(batches(&sandbox).len(), 3);
    drop(lock);
    let output = flush.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("carbon: another program is sending what waits; waiting for it"), "{stderr}");
    assert_eq!(batches(&sandbox), [""; 0]);
}

#[test]
fn torn_and_foreign_files_stop_nothing_and_are_shown_as_they_are() {
    let sandbox = with_backlog();
    let torn = batches(&sandbox)[0].clone();
    let path = sandbox.path(&format!("state/spool/{torn}"));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    sandbox.write("state/spool/core", b"\x7fELF\xff");
    sandbox.write("state/spool/nonsense.batch", "x");
    assert_eq!(status(&sandbox, &[]).code, Some(0));

    let shown = status(&sandbox, &["show", &torn]);
    assert_eq!(shown.code, Some(1));
    assert!(shown.stdout.contains("# unreadable  its checksum is wrong"), "{shown:?}");
    assert!(shown.stdout.contains("grid_heartbeat,grid=heprc"), "{shown:?}");

    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&up(&carbon));
    let flushed = status(&sandbox, &["flush"]);
    assert_eq!(flushed.code, Some(1), "what went aside is said: {flushed:?}");
    assert!(
        flushed.stdout.contains("its checksum is wrong") && flushed.stdout.contains("put into bad/"),
        "{flushed:?}"
    );
    assert_eq!(bad(&sandbox), [torn.clone(), format!("{torn}.why")]);
    assert_eq!(status(&sandbox, &["flush"]).code, Some(0));

    // The next run puts the foreign ones aside.
    collect(&sandbox, 3..4);
    let told = status(&sandbox, &[]).stdout;
    assert!(told.contains("bad/ holds 3 files"), "{told}");
    let shown = status(&sandbox, &["show", "bad/core"]);
    assert_eq!(shown.code, Some(1));
    assert!(shown.stdout.contains("# aside       nothing that gridmon wrote"), "{shown:?}");
    assert!(shown.stdout.ends_with("\\u{7f}ELF\u{fffd}\n"), "{shown:?}");
}

#[test]
fn show_lists_and_prints_batches_by_any_part_of_a_name() {
    let sandbox = with_backlog();
    let names = batches(&sandbox);
    let list = status(&sandbox, &["show"]);
    assert_eq!((list.code, list.stderr.as_str()), (Some(0), ""));
    let firsts: Vec<_> = list.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(firsts, names);
    assert!(list.stdout.lines().all(|line| line.ends_with("waits for carbon")), "{list:?}");

    let by_time = (NOW + 60).to_string();
    let shown = status(&sandbox, &["show", &by_time]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    assert!(
        shown.stdout.contains("# program     collect-grid on heprc\n# slot        2024-06-01 12:31 UTC\n"),
        "{shown:?}"
    );
    let points: Vec<_> = shown.stdout.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(shown.stdout.contains(&format!("# points      {} in ", points.len())), "{shown:?}");
    assert!(points.contains(&"grid_heartbeat,grid=heprc,service=condor alive=1i 1717245060000000000"), "{shown:?}");

    for (part, words) in [("heprc", "is a part of 3 names"), ("nowhere", "no batch is called \"nowhere\"")] {
        let missed = status(&sandbox, &["show", part]);
        assert_eq!((missed.code, missed.stdout.as_str()), (Some(1), ""));
        assert!(missed.stderr.contains(words), "{missed:?}");
    }
    for reader in ["head -1", "true"] {
        let script = format!("{PROGRAM} show {by_time} | {reader}; echo code ${{PIPESTATUS[0]}}");
        let output = Outcome::of(Command::new("bash").args(["-c", &script]).current_dir(sandbox.path("")));
        assert!(output.stdout.ends_with("code 0\n") && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn discard_puts_aside_with_a_reason_and_deletes_only_what_is_aside() {
    let sandbox = with_backlog();
    let names = batches(&sandbox);
    let bytes = fs::read(sandbox.path(&format!("state/spool/{}", names[1]))).unwrap();
    let by_time = (NOW + 60).to_string();

    let refused = status(&sandbox, &["discard", &by_time]);
    assert_eq!(refused.code, Some(1), "nobody is there to ask");
    assert!(refused.stderr.contains("say --yes"), "{refused:?}");
    assert_eq!(batches(&sandbox), names);

    let done = status(&sandbox, &["discard", &by_time, "--yes"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert!(done.stdout.starts_with("put 1 batch with "), "{done:?}");
    assert_eq!(bad(&sandbox), [names[1].clone(), format!("{}.why", names[1])]);
    let aside = sandbox.path("state/spool/bad").join(&names[1]);
    assert_eq!(fs::read(&aside).unwrap(), bytes, "not a byte is lost");
    let why = fs::read_to_string(aside.with_file_name(format!("{}.why", names[1]))).unwrap();
    assert!(why.starts_with("discarded by hand at ") && why.ends_with(", still owed to carbon\n"), "{why}");
    let shown = status(&sandbox, &["show", &by_time]);
    assert_eq!(shown.code, Some(0));
    assert!(shown.stdout.contains("# aside       discarded by hand at "), "{shown:?}");
    let again = status(&sandbox, &["discard", &by_time, "--yes"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is aside already"), "{again:?}");

    // By age: the rest is three minutes old, or a day later more than a day.
    let young = status(&sandbox, &["discard", "--older-than", "1", "--yes"]);
    assert_eq!((young.code, young.stdout.as_str()), (Some(0), "nothing to discard\n"));
    let tomorrow = (NOW + 86_400 + 60).to_string();
    let old = Outcome::of(&mut command(&sandbox, &["discard", "--older-than", "1", "-y", "--now", &tomorrow]));
    assert!(old.stdout.starts_with("put 1 batch "), "{old:?}");
    assert_eq!(batches(&sandbox), [names[2].clone()], "half-open: what is a day old to the second stays");

    let all = status(&sandbox, &["discard", "--sink", "carbon", "--yes"]);
    assert!(all.stdout.starts_with("put 1 batch "), "{all:?}");
    assert_eq!((batches(&sandbox).len(), bad(&sandbox).len()), (0, 6));
    assert_eq!(status(&sandbox, &["discard", "--sink", "carbon", "-y"]).stdout, "nothing to discard\n");

    assert_eq!(status(&sandbox, &["discard", "--bad"]).code, Some(1));
    assert_eq!(bad(&sandbox).len(), 6);
    assert_eq!(status(&sandbox, &["discard", "--bad", "--older-than", "1", "-y"]).stdout, "nothing to discard\n");
    let gone = status(&sandbox, &["discard", "--bad", "--yes"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(0), "deleted 3 files\n"));
    assert_eq!(bad(&sandbox), [""; 0]);
    let again = status(&sandbox, &["discard", "--bad", "--yes"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "nothing to discard\n"));
}

#[test]
fn what_is_discarded_for_one_sink_still_reaches_the_others() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&up(&carbon));
    let name = publish_for_two(&sandbox, NOW);
    let told = status(&sandbox, &[]).stdout;
    assert!(told.contains("gridmon-status discard --sink influxdb"), "{told}");

    let flushed = status(&sandbox, &["flush"]);
    assert_eq!(flushed.code, Some(1), "{flushed:?}");
    assert!(
        flushed.stdout.contains("carbon: sent 1 point; nothing waits\ninfluxdb: 1 batch with 1 point waits"),
        "{flushed:?}"
    );
    assert!(status(&sandbox, &["show"]).stdout.ends_with("waits for influxdb\n"));
    // Nobody else owes it: it goes aside as it is, with its notes.
    assert!(status(&sandbox, &["discard", "--sink", "influxdb", "-y"]).stdout.starts_with("put 1 batch with 1 point"));
    assert_eq!(bad(&sandbox), [name.clone(), format!("{name}.why")]);
    assert_eq!(names(&sandbox.path("state/spool")), ["bad", "lock.carbon"]);

    let name = publish_for_two(&sandbox, NOW + 60);
    assert_eq!(status(&sandbox, &["discard", "--sink", "influxdb", "-y"]).code, Some(0));
    assert!(bad(&sandbox).contains(&format!("{name}.influxdb")), "a copy for the sink that never gets it");
    assert_eq!(status(&sandbox, &["flush"]).stdout, "carbon: sent 1 point; nothing waits\n");
    assert_eq!(names(&sandbox.path("state/spool")), ["bad", "lock.carbon"]);
}

#[test]
fn another_users_spool_is_read_and_never_changed() {
    if !rustix::process::geteuid().is_root() {
        return skip("another_users_spool_is_read_and_never_changed", "the right of root to give a folder away");
    }
    let sandbox = with_backlog();
    std::os::unix::fs::chown(sandbox.path("state"), Some(54_321), None).unwrap();
    assert_eq!(status(&sandbox, &[]).code, Some(0));
    let before = snapshot(&sandbox.path("state"));
    for arguments in [&["flush"][..], &["discard", "--sink", "carbon", "--yes"]] {
        let refused = status(&sandbox, arguments);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("belongs to user 54321; try: sudo -u '#54321' gridmon-status"), "{refused:?}");
    }
    assert_eq!(snapshot(&sandbox.path("state")), before);
}

/// Runs it on a terminal, with `typed` on its keyboard; what the terminal showed. `None` without util-linux's script.
fn on_a_terminal(sandbox: &Sandbox, arguments: &str, typed: &str) -> Option<(String, Option<i32>)> {
    let mut script = Command::new("script")
        .args(["-qec", &format!("{PROGRAM} {arguments}"), "/dev/null"])
        .current_dir(sandbox.path(""))
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut keyboard = script.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    drop(keyboard);
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()))
}

#[test]
fn on_a_terminal_it_asks_and_shows_its_progress() {
    let sandbox = with_backlog();
    let Some((shown, code)) = on_a_terminal(&sandbox, "discard --sink carbon", "no\n") else {
        return skip("on_a_terminal_it_asks_and_shows_its_progress", "script of util-linux");
    };
    assert!(
        shown.contains("Put 3 batches with ") && shown.contains("so that they never reach carbon? [y/N]"),
        "{shown}"
    );
    assert_eq!((code, batches(&sandbox).len()), (Some(1), 3), "{shown}");
    let (shown, code) = on_a_terminal(&sandbox, &format!("discard {NOW}"), "yes\n").unwrap();
    assert_eq!((code, batches(&sandbox).len(), bad(&sandbox).len()), (Some(0), 2, 2), "{shown}");
    let (shown, code) = on_a_terminal(&sandbox, "discard --bad", "y\n").unwrap();
    assert_eq!((code, bad(&sandbox).len()), (Some(0), 0), "{shown}");

    let carbon = FakeCarbon::start(Mood::Good);
    // Slow enough to see it.
    sandbox.config(&format!("{}\n[spool]\nreplay_points_per_second = 200", up(&carbon)));
    let (shown, code) = on_a_terminal(&sandbox, "flush", "").unwrap();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains(" points, ") && shown.contains("left"), "a bar: {shown:?}");
    assert!(shown.contains("nothing waits"), "{shown}");
}
