//! The log of the store: it does not grow for its own readers, and who makes it grow is said.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use gridmon::sinks::Sink;
use gridmon::sinks::embedded::{Embedded, LARGE};

const READ: &str = "GRIDMON_TEST_READ";

#[test]
fn a_process_that_reads() {
    let Ok(path) = std::env::var(READ) else { return };
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("BEGIN; SELECT count(*) FROM tier_raw").unwrap();
    println!("\nit reads");
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// A process that keeps a state of the store, until its input ends.
fn reader_of(path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "embedded::log::a_process_that_reads"])
        .env(READ, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.map(Result::unwrap).any(|line| line == "it reads"));
    child
}

/// Rows that take some megabytes of log.
fn some_megabytes(round: i64) -> Vec<Point> {
    minutes(400, 3, NOON + round * 3 * HOUR)
}

fn keeping_all() -> Config {
    Config { path: None, keep_raw_days: None, keep_1h_days: None, keep_1d_days: None }
}

#[test]
fn a_reader_that_lets_the_log_grow_is_named_and_the_log_is_cut_after_it() {
    let (_folder, path, mut store) = fresh();
    store.write(Tier::Raw, &some_megabytes(0), later()).unwrap();
    let mut reader = reader_of(&path);
    let writer = Connection::open(&path).unwrap();
    for round in 1.. {
        writer.execute_batch("PRAGMA synchronous = OFF; UPDATE tier_raw SET value = value + 1").unwrap();
        if store.log_bytes() > LARGE {
            break;
        }
        assert!(round < 40, "{}", store.log_bytes());
    }
    let sink = Embedded { config: keeping_all(), place: Place::from(path.clone()) };
    let named = format!("process {} (", reader.id());
    let begin = format!("{}-wal has grown to ", path.display());
    let error = format!("{:#}", sink.prune(0, later()).unwrap_err());
    assert!(error.starts_with(&begin) && error.contains(&named) && error.contains("grows on while"), "{error}");
    let told = store.large_log().unwrap();
    assert!(told.starts_with(&begin) && told.contains(&named), "{told}");
    let error = format!("{:#}", store.vacuum(later()).unwrap_err());
    assert!(error.contains("is rewritten, but cannot get shorter while") && error.contains(&named), "{error}");
    drop(reader.stdin.take());
    reader.wait().unwrap();
    assert!(store.large_log().unwrap().ends_with("; the next run cuts it"));
    sink.prune(0, later()).unwrap();
    assert_eq!(store.log_bytes(), 0);
    assert_eq!(store.large_log(), None);
    store.vacuum(later()).unwrap();
}

#[test]
fn an_export_holds_no_transaction_while_its_points_are_taken() {
    let (_folder, path, mut store) = fresh();
    store.write(Tier::Raw, &some_megabytes(0), later()).unwrap();
    let writer = Connection::open(&path).unwrap();
    let mut count = 0;
    let mut each = |_: Point| {
        count += 1;
        if count % 20_000 == 1 {
            let busy: i64 = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            assert_eq!(busy, 0, "after {count} points");
        }
        Ok(())
    };
    let reader = Store::open_to_read(&path).unwrap().unwrap();
    reader.points(Tier::Raw, &Selector::default(), gridmon::model::Window::ALL, &mut each, &|_| {}).unwrap();
    assert_eq!(count, 400 * 180);
}

#[test]
fn many_field_names_take_no_more_time_each() {
    let names = |count: i64| -> Vec<Point> {
        let field = |at: i64| (Cow::Owned(format!("f{at}")), Value::Int(at));
        (0..count).map(|at| Point::new("m".into(), [], [field(at)], NOON)).collect()
    };
    let took = |count: i64| {
        let points = names(count);
        let once = || {
            let (_folder, _, mut store) = fresh();
            let began = Instant::now();
            store.write(Tier::Raw, &points, later()).unwrap();
            began.elapsed()
        };
        once().min(once())
    };
    let (few, many) = (took(4_000), took(40_000));
    assert!(many < few * 40, "{few:?} for 4,000 names, {many:?} for 40,000");
}
