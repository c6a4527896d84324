//! Files that are locked, that always fail, or whose folder cannot be written.

use std::fs;
use std::process::{Command, Stdio};

use gridmon::delivery::{self, Delivery};
use gridmon::problem::failures;
use gridmon::sinks::Sink;
use gridmon::spool::{self, Batch};
use gridmon_testkit::{TempDir, skip};

use super::{CATALOG, RATIO, START, UUID, header, newest, point, send, sink, soon, take};

#[test]
fn a_file_that_another_program_has_locked_waits_for_the_next_run() {
    let folder = TempDir::new();
    let sink = sink(folder.path());
    take(&sink, vec![point("a", START, &[RATIO.of(0.5)])]);
    let path = folder.path().join("a/cpu.rrd");
    // rrdtool's lock, from another process: a lock of our own would not hold us up.
    let script = "import fcntl,sys\nf=open(sys.argv[1],'r+b')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint(flush=True)\nsys.stdin.read()";
    let holder =
        Command::new("python3").arg("-c").arg(script).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut holder) = holder else {
        return skip("a_file_that_another_program_has_locked_waits_for_the_next_run", "python3");
    };
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut line).unwrap();
    let next = || vec![point("a", START + 300, &[RATIO.of(0.75)]), point("b", START + 300, &[RATIO.of(0.75)])];
    let error = format!("{:#}", send(&sink, next()).result.unwrap_err());
    assert!(error.ends_with("a/cpu.rrd: another program holds its lock"), "{error}");
    assert_eq!(newest(&folder.path().join("b/cpu.rrd"), 1), [[75.0]], "the others take theirs");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    take(&sink, next());
    assert_eq!(newest(&path, 2), [[50.0], [75.0]]);
}

/// Bounds that nothing here meets.
const LIMITS: spool::Config = spool::Config {
    max_bytes: 1 << 30,
    max_age_days: 36_500,
    max_disk_percent: 100,
    replay_points_per_second: 1_000_000,
};

/// A file that fails with every batch, while others take theirs: the spool does not grow, and what waited for another reason is
/// written in its order.
#[test]
fn a_file_that_always_fails_holds_up_no_others() {
    let folder = TempDir::new();
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(sink(&folder.path().join("rrd")))];
    let spool = delivery::open(&folder.path().join("spool"), CATALOG).unwrap();
    let run = |slot: i64| {
        let time = START + 300 * slot;
        let points = ["bad", "good", "new"].map(|name| point(name, time, &[RATIO.of(slot as f64 / 64.0)])).into_iter();
        let points = points.filter(|point| slot > 0 || point.tag("machine") != Some("new")).collect();
        let batch = Batch { header: header(time), points };
        let delivery = Delivery { spool: Ok(&spool), config: &LIMITS, running: 300 * slot, progress: &|_| {} };
        let said = delivery.publish(batch, Vec::new(), &sinks, soon(), || {}).problems;
        said.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("\n")
    };
    let waiting = || spool.oldest("rrd", "", 100).unwrap().len();
    assert_eq!(run(0), "");
    // A file in the place of its folder: nobody can open what lies below, root neither.
    let (place, aside) = (folder.path().join("rrd/bad"), folder.path().join("aside"));
    fs::rename(&place, &aside).unwrap();
    fs::write(&place, "").unwrap();
    for slot in 1..12 {
        run(slot);
        assert!(waiting() <= 4, "run {slot}: {} wait", waiting());
        assert_eq!(newest(&folder.path().join("rrd/good/cpu.rrd"), 1), [[slot as f64 * 100.0 / 64.0]]);
    }
    // The way out; what is not yet aside is written.
    fs::remove_file(&place).unwrap();
    fs::rename(&aside, &place).unwrap();
    let said = run(12);
    assert_eq!((said.as_str(), waiting()), ("", 0));
    assert_eq!(newest(&place.join("cpu.rrd"), 1), [[18.75]]);
}

#[test]
fn what_waited_while_the_folder_could_not_be_written_stands_in_the_files_afterwards() {
    let folder = TempDir::new();
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(sink(&folder.path().join("rrd")))];
    let spool = delivery::open(&folder.path().join("spool"), CATALOG).unwrap();
    let run = |slot: i64| {
        let time = START + 300 * slot;
        let header = header(time);
        let points = vec![point(UUID, time, &[RATIO.of(slot as f64 / 100.0)])];
        let delivery = Delivery { spool: Ok(&spool), config: &LIMITS, running: 300 * slot, progress: &|_| {} };
        let outcome = delivery.publish(Batch { header, points }, Vec::new(), &sinks, soon(), || {});
        (outcome.accounts["rrd"], failures(&outcome.problems).count())
    };
    assert_eq!(run(1).0.delivered, 1);
    // The folder is not there for a while, and something else lies at its place.
    fs::rename(folder.path().join("rrd"), folder.path().join("away")).unwrap();
    fs::write(folder.path().join("rrd"), "").unwrap();
    for slot in [2, 3, 4] {
        let (account, problems) = run(slot);
        assert_eq!((account.delivered, account.spooled, problems), (0, 1, 1), "{slot}");
    }
    fs::remove_file(folder.path().join("rrd")).unwrap();
    fs::rename(folder.path().join("away"), folder.path().join("rrd")).unwrap();
    let (account, problems) = run(5);
    assert_eq!((account.delivered, account.replayed, account.backlog.batches, problems), (1, 3, 0, 0));
    let path = folder.path().join("rrd").join(UUID).join("cpu.rrd");
    assert_eq!(newest(&path, 5), [[1.0], [2.0], [3.0], [4.0], [5.0]]);
}
