//! The limits of a spool, and twenty grids that share one.

use super::*;

#[test]
fn beyond_max_bytes_the_oldest_go_and_are_named() {
    let at = Waiting::new(3, 6);
    let bytes: Vec<u64> =
        batches(&at.sandbox).iter().map(|name| fs::metadata(at.spool().join(name)).unwrap().len()).collect();
    let keep: u64 = bytes[3..].iter().sum();
    let more = format!("[spool]\nmax_bytes = {keep}");
    at.carbon(false, &more);
    let outcome = at.run(6);
    assert_eq!(outcome.code, Some(1));
    let lost = 3 * at.clouds.points() + 2;
    let words = format!(
        "collect-grid: spool limit: dropped 3 batches with {lost} points from 2024-06-01 00:00 UTC on, that waited longer than [spool] max_age_days or beyond max_bytes"
    );
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    let [collected, delivered, spooled, dropped, _, waiting] = account(&outcome.stderr);
    assert_eq!((delivered, spooled, dropped), (0, collected, 0));
    assert_eq!(waiting, 4 * (at.clouds.points() + 1));
    at.carbon(true, "");
    assert_eq!(at.run(7).code, Some(0));
    at.has(3..=7);
}

#[test]
fn on_a_disk_beyond_max_disk_percent_nothing_is_spooled_and_live_points_arrive() {
    let at = Waiting::new(3, 2);
    at.carbon(true, "[spool]\nmax_disk_percent = 1");
    let outcome = at.run(2);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains(" % full, and [spool] max_disk_percent is 1; what a sink does not"),
        "{}",
        outcome.stderr
    );
    let [collected, delivered, ..] = account(&outcome.stderr);
    assert_eq!(collected, delivered);
    at.has(0..=2);
}

#[test]
fn of_twenty_grids_on_one_spool_a_stuck_one_holds_up_nobody_and_loses_nothing() {
    const GRIDS: usize = 20;
    let (sandbox, keeper, stopped) = (Sandbox::new("small"), Keeper::start(), Keeper::start());
    stopped.mood(Mood::Stopped);
    let (closed, _ports) = free_port();
    let grids: Vec<_> = (0..GRIDS).map(|at| Clouds { grid: format!("g{at:02}"), ..Clouds::new(2 + at % 3) }).collect();
    // Some of all wait.
    for (at, grid) in grids.iter().enumerate() {
        grid.config(&sandbox, closed, "");
        assert_eq!(grid.run(&sandbox, START + MINUTE * (at as i64 % 4)).code, Some(1));
        grid.config(&sandbox, keeper.port, "timeout_seconds = 30");
    }
    let now = START + 10 * MINUTE;
    let spawn = |grid: &Clouds, time: i64| {
        let arguments = grid.at(&sandbox, time);
        let mut command = sandbox.command(&arguments.each_ref().map(String::as_str));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let own = |grid: &str| {
        let batches = batches(&sandbox).into_iter().filter(|name| slot(name) == now && name.contains(grid));
        batches.collect::<Vec<_>>()
    };
    // One publishes, and stops on its way to Carbon.
    grids[0].config(&sandbox, stopped.port, "timeout_seconds = 30");
    let mut stuck = spawn(&grids[0], now);
    let held = wait_until("the batch of the one that gets stuck", Duration::from_secs(30), || own("g00").pop());
    gridmon_testkit::signal(stuck.id(), "STOP");

    for (minute, expected) in [(0, "works again"), (1, "")] {
        let runs: Vec<_> = grids[1..].iter().map(|grid| (grid, spawn(grid, now + MINUTE * minute))).collect();
        for (grid, run) in runs {
            let output = run.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{}: {stderr}", grid.grid);
            assert!(stderr.lines().all(|line| !expected.is_empty() && line.contains(expected)), "{stderr}");
        }
    }
    // Whoever had the lock may have begun before others had published; the second round has taken all.
    assert_eq!(batches(&sandbox), [held.as_str()]);
    let of_stuck = |(path, time): &Key| path.starts_with("grids.g00.") && *time == now;
    assert!(!keeper.values().keys().any(of_stuck), "its maker lives and holds it");

    gridmon_testkit::signal(stuck.id(), "KILL");
    stuck.wait().unwrap();
    assert_eq!(grids[1].run(&sandbox, now + 2 * MINUTE).code, Some(0));
    assert_eq!(batches(&sandbox), Vec::<String>::new());
    let mut expected = BTreeMap::new();
    for (at, grid) in grids.iter().enumerate() {
        expected.extend(grid.datapoints(START + MINUTE * (at as i64 % 4)));
        expected.extend(grid.datapoints(now));
        expected.extend(if at > 0 { grid.datapoints(now + MINUTE) } else { BTreeMap::new() });
        expected.extend(if at == 1 { grid.datapoints(now + 2 * MINUTE) } else { BTreeMap::new() });
    }
    assert_same(&keeper.values(), &expected);
    assert_eq!(keeper.changed(), []);
}
