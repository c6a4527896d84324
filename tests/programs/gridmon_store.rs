//! `gridmon-status grid` and `gridmon-status store` from end to end: what collect-grid wrote is told, exported, imported.

mod explain;
mod transfer;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND, Tier};
use gridmon::query::Selector;
use gridmon::sinks::embedded::Store;
use gridmon_testkit::sandbox::{NOW, Outcome, Sandbox, fixture};
use gridmon_testkit::skip;

fn status(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(
        Command::new(env!("CARGO_BIN_EXE_gridmon-status"))
            .args(arguments)
            .args(["--now", &(NOW + 180).to_string()])
            .current_dir(sandbox.path(""))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null()),
    )
}

/// A folder where three runs have written to the store.
fn with_store() -> Sandbox {
    let sandbox = Sandbox::new("small");
    for minute in 0..3 {
        let run = sandbox.run(&["--now", &(NOW + 60 * minute).to_string()]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    }
    sandbox
}

fn store(path: &Path) -> Store {
    Store::open(path, Instant::now() + Duration::from_secs(10)).unwrap()
}

/// Every point of a store with its tier, in line protocol, sorted.
fn everything(path: &Path) -> Vec<String> {
    let store = Store::open_to_read(path).unwrap().unwrap();
    let mut lines = Vec::new();
    for tier in Tier::ALL {
        let mut each = |point: Point| {
            lines.push(format!("{tier} {}", point.line()));
            Ok(())
        };
        store.points(tier, &Selector::default(), gridmon::model::Window::ALL, &mut each, &|_| {}).unwrap();
    }
    lines.sort();
    lines
}

/// Points whose names line protocol, CSV and SQL have trouble with.
fn odd_points() -> Vec<Point> {
    [
        r"odd\,measurement,a\ tag=with\ blank\,comma\=equals f=-0.0,g=9223372036854775807i -5",
        "odd,tag=\"quoted\"\"twice f=1.5e300 1717245000000000001",
        "odd,tag='); f=2 1717245000000000000",
        "odd f=3i 1717245000000000000",
        "grid_vms,cloud=é😀,grid=heprc,status=running,vmtype=w vms=7i 1717245000000000000",
    ]
    .map(|line| Point::from_line(line).unwrap())
    .to_vec()
}

#[test]
fn the_grid_is_told_from_the_store_that_the_runs_wrote() {
    let sandbox = with_store();
    let all = status(&sandbox, &["grid"]);
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), ""));
    // The golden file was made of one run's points, by the same clock but for three minutes.
    let golden = &fs::read_to_string(fixture("status/grid.txt")).unwrap();
    let body = |text: &str| text.split_once('\n').unwrap().1.to_string();
    assert_eq!(body(&all.stdout), body(golden));
    assert!(all.stdout.starts_with("heprc at 2024-06-01 12:32 UTC, 60 s ago\n"), "{}", all.stdout);
    assert_eq!(status(&sandbox, &["grid", "heprc"]).stdout, all.stdout);
    let other = status(&sandbox, &["grid", "other"]);
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("has no grid called \"other\"; run collect-grid"), "{other:?}");
}

#[test]
fn what_each_tier_holds_is_told() {
    let sandbox = with_store();
    let path = sandbox.path("state/gridmon.db");
    let time = (NOW - 86_400) * SECOND;
    let folded = [Point::from_line(&format!("m,a=b x=1,y=2 {time}")).unwrap()];
    store(&path).write(Tier::Hour, &folded, Instant::now() + Duration::from_secs(5)).unwrap();
    let told = status(&sandbox, &["store"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    let lines: Vec<Vec<&str>> = told.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[2][..4], ["tier", "series", "rows", "size"]);
    let rows = |tier: &str| {
        let lines = everything(&path);
        let of_tier = lines.iter().filter(|line| line.starts_with(tier));
        let fields: usize =
            of_tier.map(|line| Point::from_line(&line[tier.len() + 1..]).unwrap().fields().count()).sum();
        fields.to_string()
    };
    assert_eq!((lines[3][0], lines[3][2]), ("raw", rows("raw").as_str()), "{}", told.stdout);
    assert_eq!((lines[4][0], lines[4][1], lines[4][2]), ("1h", "1", "2"));
    assert!(told.stdout.contains("2024-05-31 12:30 UTC  2024-05-31 12:30 UTC  1826 days\n"), "{}", told.stdout);
    assert!(told.stdout.contains("2024-06-01 12:30 UTC  2024-06-01 12:32 UTC  30 days\n"), "{}", told.stdout);
    assert_eq!(lines[5], ["1d", "0", "0", lines[5][3], "kB", "-", "-", "for", "ever"]);
}

#[test]
fn vacuum_gives_the_room_back() {
    let sandbox = with_store();
    let path = sandbox.path("state/gridmon.db");
    let points: Vec<_> =
        (0..50_000).map(|at| Point::from_line(&format!("m,a=b x={at}i {at}000000000")).unwrap()).collect();
    store(&path).write(Tier::Raw, &points, Instant::now() + Duration::from_secs(60)).unwrap();
    let before = fs::metadata(&path).unwrap().len();
    // A run by the wall clock prunes what is older than thirty days, so all of it.
    let run = sandbox.run(&[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(everything(&path).iter().all(|line| !line.starts_with("raw m,")));
    let told = status(&sandbox, &["store"]);
    assert!(told.stdout.contains(" of it free, which `gridmon-status store vacuum` gives back"), "{}", told.stdout);
    let kept = everything(&path);
    let vacuumed = status(&sandbox, &["store", "vacuum"]);
    assert_eq!((vacuumed.code, vacuumed.stderr.as_str()), (Some(0), ""));
    assert!(fs::metadata(&path).unwrap().len() < before / 2, "{}", vacuumed.stdout);
    assert_eq!(everything(&path), kept);
}

#[test]
fn check_sees_damage_that_nobody_has_come_upon() {
    let sandbox = with_store();
    let path = sandbox.path("state/gridmon.db");
    let whole = status(&sandbox, &["store", "check"]);
    assert_eq!((whole.code, whole.stderr.as_str()), (Some(0), ""));
    assert_eq!(whole.stdout, format!("{}: no damage in 423 rows of 113 series\n", path.display()));
    let damage = |sql: &str, words: &str| {
        let copy = Sandbox::new("small");
        fs::create_dir_all(copy.path("state")).unwrap();
        let path = copy.path("state/gridmon.db");
        fs::copy(sandbox.path("state/gridmon.db"), &path).unwrap();
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let checked = status(&copy, &["store", "check"]);
        assert_eq!((checked.code, checked.stdout.as_str()), (Some(1), ""), "{sql}");
        let begin = format!("gridmon-status: {} is damaged ({words}", path.display());
        assert!(checked.stderr.starts_with(&begin), "{}", checked.stderr);
        assert!(checked.stderr.contains("; put a copy of it in its place, or move it away"), "{}", checked.stderr);
    };
    damage("DELETE FROM series WHERE id = 3", "tier raw: 6 rows of no series or no field); ");
    damage(
        "UPDATE series SET newest_raw = newest_raw - 1 WHERE id = 2",
        "tier raw: the newest values of 1 series are not found); ",
    );
    damage("PRAGMA writable_schema = 1; DELETE FROM sqlite_schema WHERE name = 'field'", "");
    damage("DROP TABLE tier_1d", "no such table: tier_1d); ");
}

#[test]
fn where_there_is_no_store_the_way_to_one_is_told() {
    let sandbox = Sandbox::new("small");
    let words = "no program has written one yet: run one, for instance `collect-grid --verbose`";
    for arguments in [&["grid"][..], &["store"], &["store", "check"], &["store", "export"], &["store", "vacuum"]] {
        let outcome = status(&sandbox, arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    sandbox.config("[carbon]\nhost = 127.0.0.1\nport = 1");
    let outcome = status(&sandbox, &["store"]);
    assert!(
        outcome.stderr.contains("points go to carbon, and to a store only when [embedded] path is set too"),
        "{outcome:?}"
    );
    for arguments in [
        &["store", "export", "--tier", "2h"][..],
        &["store", "export", "--tag", "x"],
        &["store", "export", "--from", "noon"],
        &["store", "import"],
        &["store", "nothing"],
        &["grid", "--runs", "3"],
    ] {
        assert_eq!(status(&sandbox, arguments).code, Some(2), "{arguments:?}");
    }
    let missing = status(&sandbox, &["store", "import", "nowhere"]);
    assert_eq!(
        (missing.code, missing.stderr.as_str()),
        (Some(1), "gridmon-status: nowhere: No such file or directory (os error 2)\n")
    );
}

#[test]
fn another_users_store_is_read_and_never_changed() {
    if !rustix::process::geteuid().is_root() {
        return skip("another_users_store_is_read_and_never_changed", "the right of root to give a folder away");
    }
    let sandbox = with_store();
    sandbox.write("in.influx", "m x=1 5\n");
    std::os::unix::fs::chown(sandbox.path("state"), Some(54_321), None).unwrap();
    let before = everything(&sandbox.path("state/gridmon.db"));
    assert_eq!(status(&sandbox, &["grid"]).code, Some(0));
    for arguments in [&["store", "import", "in.influx"][..], &["store", "vacuum"]] {
        let refused = status(&sandbox, arguments);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("belongs to user 54321; try: sudo -u '#54321' gridmon-status"), "{refused:?}");
    }
    assert_eq!(everything(&sandbox.path("state/gridmon.db")), before);
}
