//! A process always ends in time and says why, and nothing that it started outlives it: pipes that nobody reads, files
//! that cannot be opened, kills, limits of the machine, and panics.

mod killed;
mod limits;

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use gridmon::frame::{self, Common, Program, Run, Setup};
use gridmon::model::{Catalog, Collected, Declaration, Field, Fold, Measurement, Tag};
use gridmon::sinks::{Sent, Sink};
use gridmon::spool::Batch;
use gridmon_testkit::sandbox::{NOW, Outcome, Sandbox};
use gridmon_testkit::{program, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// A pipe that is full: the next write to it waits until somebody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter, usize) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut filled = 0;
    for size in [4096, 1] {
        while let Ok(count) = writer.write(&vec![b'x'; size]) {
            filled += count;
        }
    }
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer, filled)
}

fn wait_for_end(child: &mut Child) -> std::process::ExitStatus {
    wait_until("the end of the process", LONG, || child.try_wait().unwrap())
}

/// A folder whose runs cannot reach Carbon, so that each has something to say.
fn without_carbon(more: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {port}\n{more}"));
    sandbox
}

#[test]
fn a_run_whose_errors_nobody_reads_reports_frees_the_lock_and_ends() {
    let sandbox = without_carbon("[grid]\ndeadline_seconds = 4");
    let (_unread, writer, _) = full_pipe();
    let mut run = sandbox.command(&[]).stderr(writer).spawn().unwrap();
    wait_until("its report", LONG, || sandbox.path("state/collect-grid.heprc.reports").exists().then_some(()));
    wait_until("the lock", LONG, || {
        fs::read(sandbox.path("state/collect-grid.heprc.lock")).unwrap().is_empty().then_some(())
    });
    // The next run has the lock while the first one still waits for a reader.
    let next = sandbox.run(&["--verbose"]);
    assert!(next.stderr.contains("collected") && !next.stderr.contains("last run"), "{}", next.stderr);
    assert_eq!(wait_for_end(&mut run).code(), Some(1));
}

#[test]
fn a_reader_of_a_dry_run_may_be_slower_than_its_deadline() {
    let sandbox = Sandbox::new("small");
    sandbox.config("[carbon]\nhost = 127.0.0.1\n[grid]\ndeadline_seconds = 2");
    let (mut reader, writer, filled) = full_pipe();
    let began = Instant::now();
    let mut run = sandbox.command(&["-n", "--now", &NOW.to_string()]).stdout(writer).spawn().unwrap();
    wait_until("the deadline to pass", LONG, || (began.elapsed() > Duration::from_secs(3)).then_some(()));
    assert!(run.try_wait().unwrap().is_none(), "it ended before its text was read");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(wait_for_end(&mut run).code(), Some(0));
    assert_eq!(text[filled..], sandbox.dry_run().stdout);
}

#[test]
fn the_reports_and_the_spool_may_be_pipes_and_a_run_ends_all_the_same() {
    for name in ["collect-grid.heprc.reports", "collect-grid.heprc.lock", "collect-grid.heprc.series"] {
        let sandbox = without_carbon("[grid]\ndeadline_seconds = 2");
        let path = sandbox.path("state").join(name);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        let outcome = sandbox.run(&[]);
        assert!(outcome.took < LONG && outcome.code == Some(1) && !outcome.stderr.is_empty(), "{name}: {outcome:?}");
    }
}

#[test]
fn a_monitor_has_its_exit_code_in_time_whatever_hangs() {
    let sandbox = without_carbon("");
    sandbox.run(&[]);
    let (_unread, writer, _) = full_pipe();
    let began = Instant::now();
    let mut check = Command::new(program("gridmon-status"))
        .args(["--nagios", "-c"])
        .arg(sandbox.path("config.cfg"))
        .stdout(writer)
        .spawn()
        .unwrap();
    assert_eq!(wait_for_end(&mut check).code(), Some(3));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn no_argument_of_a_command_is_in_a_message() {
    for script in ["echo \"bad option $1=$2\" >&2; exit 1", "sleep 1000", "echo '<html>'", "kill -9 $$"] {
        let sandbox =
            without_carbon("[cloud_scheduler]\ncommand = cloud_status --password hunter2\ntimeout_seconds = 1");
        sandbox.program("cloud_status", script);
        for arguments in [&[][..], &["-n"], &["--check"], &["--verbose"]] {
            let outcome = sandbox.run(arguments);
            assert!(
                outcome.stderr.contains("cloud_scheduler: ") || outcome.stdout.contains("cloud_scheduler"),
                "{outcome:?}"
            );
            assert!(!format!("{outcome:?}").contains("hunter2"), "{script} {arguments:?}: {outcome:?}");
        }
        let reports = fs::read_to_string(sandbox.path("state/collect-grid.heprc.reports")).unwrap();
        assert!(!reports.contains("hunter2"), "{reports}");
    }
    let sandbox = without_carbon("[cloud_scheduler]\ncommand = no_such --password hunter2 # mine");
    assert!(!sandbox.run(&[]).stderr.contains("hunter2"));
}

const VALUE: Field<i64> = Field::gauge("value", "things", Fold::Last, "a value");

static THINGS: Measurement = Measurement::new(Declaration {
    name: "things",
    meaning: "made-up things",
    tags: &[Tag::key("source")],
    fields: &[VALUE.info()],
    carbon: "things.{source}",
    every: 60,
});

static PROGRAM: Program = Program {
    name: "tiny",
    interval_seconds: 60,
    deadline_seconds: 2,
    sources: &["good", "bad"],
    measurements: &[&THINGS],
};

/// A sink that prints its points, or panics.
struct PrintingSink(&'static str, bool);

impl Sink for PrintingSink {
    fn name(&self) -> &str {
        self.0
    }

    fn send(&self, batch: &Batch, _: Instant) -> Sent {
        assert!(!self.1, "the sink's secret is {:?}", "hunter2");
        batch.points.iter().for_each(|point| println!("{} got {}", self.0, point.line()));
        Sent { dropped: vec![], refused: vec![], result: Ok(()) }
    }

    fn check(&self, _: Instant) -> anyhow::Result<String> {
        panic!("the check")
    }
}

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
}

/// Not a test: the program that the tests start; its environment says where it hangs or panics.
#[test]
fn the_program_itself() {
    let Ok(asked) = std::env::var("GRIDMON_TEST_BOUNDS") else { return };
    let (fault, state) = asked.split_once(' ').unwrap();
    frame::begin("tiny", frame::FirstSignal::Ends, Duration::from_secs(2));
    let setup = Setup {
        config_path: None,
        scope: "g".into(),
        deadline_seconds: None,
        interval_seconds: None,
        state_directory: Some(state.into()),
        spool: crate::SPOOL,
        catalog: Catalog::new(PROGRAM.measurements),
        database: String::new(),
        roles: String::new(),
        mail: None,
        tables: None,
        sinks: Box::new({
            let is_bad = fault == "sink";
            move |_| vec![Box::new(PrintingSink("one", is_bad)), Box::new(PrintingSink("two", false))]
        }),
    };
    let load = |_: Option<&std::path::Path>, _: &Program| {
        if fault == "load" {
            std::thread::sleep(Duration::from_secs(3600));
        }
        Ok((fault.to_string(), setup))
    };
    let collect = |run: &Run<String>| {
        let ask = |source: &'static str| {
            run.ask(source, || {
                assert!(!(run.config == "source" && source == "bad"), "a source");
                (Some(THINGS.point(run.time, [source], &[VALUE.of(1)])), vec![])
            })
        };
        let points = [ask("good"), ask("bad")].into_iter().filter_map(gridmon::problem::Asked::answer).collect();
        assert!(run.config != "arithmetic", "index out of bounds");
        Collected { points, ..Collected::default() }
    };
    let arguments: &[&str] = if fault == "check" { &["tiny", "--check"] } else { &["tiny"] };
    let common = Args::parse_from(arguments).common;
    let check = |_: &String, _: Instant| vec![];
    let code = frame::cron(&PROGRAM, &common, load, collect, check);
    std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 });
}

/// Runs the program with a fault; its exit code, points and errors.
fn tiny(fault: &str) -> (Option<i32>, String, String) {
    let sandbox = Sandbox::new("small");
    let outcome = Outcome::of(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "bounds::the_program_itself", "--nocapture"])
            .env("GRIDMON_TEST_BOUNDS", format!("{fault} {}", sandbox.path("state").display())),
    );
    assert!(!outcome.stderr.contains("RUST_BACKTRACE") && !outcome.stderr.contains("tests/"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    (outcome.code, outcome.stdout, outcome.stderr)
}

#[test]
fn a_config_that_hangs_is_named_at_the_deadline() {
    let (code, _, stderr) = tiny("load");
    assert_eq!((code, stderr.as_str()), (Some(1), "tiny: not done after 2 s; it was still reading the config\n"));
}

#[test]
fn a_panic_is_one_line_and_costs_the_others_nothing() {
    for (fault, subject, points) in [
        (
            "source",
            "bad: met a bug of this program: a source (bounds.rs:",
            &["one got things,source=good", "two got things,source=good"][..],
        ),
        (
            "sink",
            "one: met a bug of this program: the sink's secret is (bounds.rs:",
            &["two got things,source=good", "two got things,source=bad"],
        ),
        ("arithmetic", "run: met a bug of this program: index out of bounds (bounds.rs:", &[]),
    ] {
        let (code, stdout, stderr) = tiny(fault);
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{fault}: {stderr}");
        assert!(stderr.starts_with(&format!("tiny: {subject}")), "{fault}: {stderr}");
        assert!(points.iter().all(|point| stdout.contains(point)), "{fault}: {stdout}");
    }
    let (code, stdout, stderr) = tiny("check");
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    assert_eq!(stdout.matches("met a bug of this program: the check (bounds.rs:").count(), 2, "{stdout}");
}
