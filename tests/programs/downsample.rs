//! downsample-1h and downsample-1d as cron and people start them, on the embedded store.

mod by_hand;
mod compare;
mod kills;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND, Tier};
use gridmon::setup::CATALOG;
use gridmon::sinks::embedded::Store;
use gridmon_testkit::program;
use gridmon_testkit::sandbox::{NOW, Outcome, Sandbox};

/// 2024-06-01 00:00:00 UTC.
const D: i64 = 1_717_200_000;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// A sandbox with some hours of `jobs` in its store, every ten minutes, and half an hour of which nothing is known.
struct Queues(Sandbox);

impl Queues {
    fn new() -> Self {
        let sandbox = Sandbox::new("small");
        sandbox.config("[embedded]\nkeep_raw_days = forever");
        let this = Self(sandbox);
        let mut lines = Vec::new();
        for slot in (0..3 * HOUR).step_by(600).filter(|slot| !(HOUR + 1800..2 * HOUR).contains(slot)) {
            lines.extend(Self::slot(slot, 10));
        }
        this.store(&lines);
        this
    }

    /// What a run at a slot sends.
    fn slot(slot: i64, jobs: i64) -> Vec<String> {
        let time = (D + slot) * SECOND;
        let of = |status: &str, jobs: i64, offset: i64| {
            format!(
                "jobs,job_status={status},panda_queue=Q,prod_source=managed,resource=SCORE,site_state=online corepower=10.0,jobs={jobs}i,sequence=5i {}",
                time + offset
            )
        };
        vec![
            format!("coverage,grid=heprc,measurement=jobs slots=1i,step_seconds=600i {time}"),
            of("running", jobs + slot / 600, 1),
            of("finished", 30, 2),
        ]
    }

    fn store(&self, lines: &[String]) {
        let points = lines.iter().map(|line| {
            let mut point = Point::from_line(line).unwrap();
            CATALOG.declare(&mut point);
            point
        });
        self.store_in(Tier::Raw, &points.collect::<Vec<_>>());
    }

    fn store_in(&self, tier: Tier, points: &[Point]) {
        let later = Instant::now() + Duration::from_secs(30);
        let mut store = Store::open(&self.path(), later).unwrap();
        store.write(tier, points, later).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.path("state/gridmon.db")
    }

    fn command(&self, name: &str, arguments: &[&str], now: i64) -> Command {
        let mut command = Command::new(program(name));
        command.args(arguments).args(["--now", &now.to_string()]).current_dir(self.0.path(""));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TZ", "Europe/Zurich").stdin(Stdio::null());
        command
    }

    fn run(&self, name: &str, arguments: &[&str], now: i64) -> Outcome {
        Outcome::of(&mut self.command(name, arguments, now))
    }

    /// A run that must go well and say nothing.
    fn fold(&self, name: &str, now: i64) {
        let outcome = self.run(name, &[], now);
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "", ""), "{name} {now}");
    }

    /// The points of a tier but those of the runs, each as a line.
    fn tier(&self, tier: &str) -> Vec<String> {
        let outcome = self.run("gridmon-status", &["store", "export", "--tier", tier], D);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let is_point = |line: &&str| !line.is_empty() && !line.starts_with(['#', 'C']) && !line.starts_with("run,");
        let mut lines: Vec<_> = outcome.stdout.lines().filter(is_point).map(String::from).collect();
        lines.sort();
        lines
    }

    /// A field of `jobs` of a status at a label, `None` where nothing stands.
    fn value(&self, tier: &str, status: &str, field: &str, label: i64) -> Option<f64> {
        let lines = self.tier(tier);
        let points = lines.iter().map(|line| Point::from_line(line).unwrap());
        let mut found = points.filter(|point| {
            point.measurement() == "jobs" && point.tag("job_status") == Some(status) && point.time() / SECOND == label
        });
        found.next()?.fields().find(|(name, _)| *name == field).map(|(_, value)| value.as_f64())
    }
}

#[test]
fn hours_and_days_are_folded_once_they_have_ended() {
    let queues = Queues::new();
    // 01:00 to 02:00 was covered for half an hour: a sum of 90, a mean of three slots.
    queues.fold("downsample-1h", D + 3 * HOUR + 299);
    let value = |status: &str, field: &str, label: i64| queues.value("1h", status, field, D + label);
    assert_eq!((value("finished", "jobs", HOUR), value("finished", "jobs", 2 * HOUR)), (Some(180.0), Some(90.0)));
    assert_eq!((value("running", "jobs", HOUR), value("running", "jobs", 2 * HOUR)), (Some(12.5), Some(17.0)));
    assert_eq!((value("running", "jobs_sum", 2 * HOUR), value("running", "slots", 2 * HOUR)), (Some(51.0), Some(3.0)));
    assert_eq!(value("running", "jobs", 3 * HOUR), None, "not settled");
    queues.fold("downsample-1h", D + 3 * HOUR + 300);
    assert_eq!(value("running", "jobs", 3 * HOUR), Some(24.5));
    assert!(queues.tier("1h").contains(&format!(
        "coverage,grid=heprc,measurement=jobs slots=3i,step_seconds=600i {}",
        (D + 2 * HOUR) * SECOND
    )));

    // The day, at QMonit's 00:06.
    queues.fold("downsample-1d", D + DAY + 360);
    assert_eq!(queues.value("1d", "finished", "jobs", D + DAY), Some(450.0));
    assert_eq!(queues.value("1d", "running", "jobs", D + DAY), Some(18.2));
    // Once more changes nothing.
    let tiers = ["1h", "1d"].map(|tier| queues.tier(tier));
    queues.fold("downsample-1d", D + DAY + 360);
    assert_eq!(["1h", "1d"].map(|tier| queues.tier(tier)), tiers);
}

/// What qmaster receives from others: floats to their mean, integers to the last one, by series, whichever fields each has.
#[test]
fn what_nobody_declares_folds_by_its_type() {
    let queues = Queues::new();
    let mut lines = Vec::new();
    for slot in (0..HOUR).step_by(600) {
        let time = (D + slot) * SECOND;
        lines.push(format!("weather,site=a temperature={}.5,visits={}i {time}", slot / 600, slot / 60));
        lines.push(format!("weather,site=b visits={}i {time}", 1_000 - slot));
    }
    lines.push(format!("carbon,path=x.y value=4 {}", D * SECOND));
    lines.push(format!("carbon,path=x.y value=6 {}", (D + 60) * SECOND));
    queues.store(&lines);
    queues.fold("downsample-1h", D + 3 * HOUR + 300);
    queues.fold("downsample-1d", D + DAY + 360);
    let of_others = |tier: &str| -> Vec<_> {
        let others = queues.tier(tier).into_iter();
        others.filter(|line| line.starts_with("weather") || line.starts_with("carbon")).collect()
    };
    let expected = |label: i64| {
        let label = (D + label) * SECOND;
        vec![
            format!("carbon,path=x.y value=5.0 {label}"),
            format!("weather,site=a temperature=3.0,visits=50i {label}"),
            format!("weather,site=b visits=-2000i {label}"),
        ]
    };
    assert_eq!(of_others("1h"), expected(HOUR));
    assert_eq!(of_others("1d"), expected(DAY));
}

#[test]
fn a_day_folds_its_own_hours_first_and_the_last_one_too() {
    let queues = Queues::new();
    queues.store(&Queues::slot(DAY - 600, 1000));
    queues.fold("downsample-1d", D + DAY + 360);
    assert_eq!(queues.value("1h", "finished", "jobs", D + DAY), Some(30.0));
    assert_eq!(queues.value("1d", "finished", "jobs", D + DAY), Some(480.0));
}

#[test]
fn a_batch_that_comes_late_has_its_hour_and_day_folded_again() {
    let sandbox = Sandbox::new("small");
    let queues = Queues(sandbox);
    let minute = |minute: i64| {
        let run = queues.0.run(&["--now", &(NOW + 60 * minute).to_string()]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    };
    let covered = |tier: &str| {
        let lines = queues.tier(tier);
        let found = lines.iter().find(|line| line.contains("coverage,") && line.contains("measurement=grid_jobs"));
        found.unwrap().split("slots=").nth(1).unwrap().split('i').next().unwrap().parse::<i64>().unwrap()
    };
    minute(0);
    minute(2);
    queues.fold("downsample-1d", NOW + 2 * DAY);
    assert_eq!((covered("1h"), covered("1d")), (2, 2));
    let marks = || {
        let files = fs::read_dir(queues.0.path("state/windows")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".dirty")).collect::<Vec<_>>()
    };
    assert_eq!(marks(), Vec::<String>::new());
    // A run of the past, into a folded hour.
    minute(1);
    let label = (NOW / HOUR + 1) * HOUR;
    assert_eq!(marks(), [format!("1h.embedded.{label}.dirty")]);
    queues.fold("downsample-1h", NOW + 2 * DAY);
    assert_eq!((covered("1h"), covered("1d")), (3, 2));
    assert_eq!(marks(), [format!("1d.embedded.{}.dirty", (NOW / DAY + 1) * DAY)]);
    queues.fold("downsample-1d", NOW + 2 * DAY);
    assert_eq!((covered("1h"), covered("1d"), marks().len()), (3, 3, 0));
    for (tier, expected) in [("1h", true), ("1d", true), ("raw", false)] {
        let more = ["store", "export", "-m", "grid_jobs", "--tier", tier, "--parts"];
        let exported = queues.run("gridmon-status", &more, NOW).stdout;
        let lines: Vec<_> = exported.lines().filter(|line| line.starts_with("grid_jobs,")).collect();
        let parts = "type=DPHEP jobs=1.0,jobs_least=1i,jobs_most=1i,jobs_slots=3i,jobs_sum=3i";
        assert_eq!(lines.iter().any(|line| line.contains(parts)), expected, "{exported}");
    }
}

#[test]
fn what_a_person_asks_for_is_shown_deleted_and_folded_again() {
    let queues = Queues::new();
    let now = D + 3 * HOUR + 300;
    let shown = queues.run("downsample-1h", &["--dry-run", "--format", "influx"], now);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    assert!(!queues.path().with_file_name("windows").exists(), "a dry run writes nothing");
    queues.fold("downsample-1h", now);
    let mut lines: Vec<_> = shown.stdout.lines().map(String::from).collect();
    lines.sort();
    assert_eq!(lines, queues.tier("1h"), "a dry run shows what a run writes");
    let nothing = queues.run("downsample-1h", &["--dry-run"], now);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(0), ""));
    let carbon =
        queues.run("downsample-1h", &["--dry-run", "--from", &D.to_string(), "--to", &(D + HOUR).to_string()], now);
    let line = format!("panda.Q.managed.SCORE.running.jobs 12.5 {}", D + HOUR);
    assert!(carbon.stdout.lines().any(|shown| shown == line), "{}", carbon.stdout);

    let label = "2024-06-01 02:00:00";
    for series in
        ["panda.Q.managed.SCORE.running.jobs", "jobs,job_status=running", "jobs,panda_queue=Q,job_status=running"]
    {
        let explained = queues.run("downsample-1h", &["--explain", series, label], now);
        assert_eq!((explained.code, explained.stderr.as_str()), (Some(0), ""), "{series}");
        for text in [
            "covered: 3 slots 01:00:00 01:10:00 01:20:00",
            "jobs = S/N = 51/3 = 17.0",
            "The same is stored at its label.",
        ] {
            assert!(explained.stdout.contains(text), "{series}: {}", explained.stdout);
        }
    }
    let failed = |arguments: &[&str], code: i32, message: &str| {
        let outcome = queues.run("downsample-1h", arguments, now);
        assert_eq!(outcome.code, Some(code), "{arguments:?}: {} {}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains(message), "{arguments:?}: {}", outcome.stderr);
    };
    failed(&["--explain", "jobs,panda_queue=Q", label], 1, "is 2 series; give more tags");
    failed(&["--explain", "nosuch", label], 1, "is neither a measurement nor a Carbon path");
    failed(&["--explain", "jobs,panda_queue=nobody", label], 1, "no raw point of");
    failed(&["--explain", "jobs", "2024-06-01 02:10:00"], 2, "the one that holds it ends 2024-06-01 03:00 UTC");
    failed(&["--from", "2024-06-01 00:00:00", "--to", "2031-01-01 00:00:00"], 2, "is in the future");
    failed(&["--from", "2024-06-01 02:00:00", "--to", "2024-06-01 01:00:00"], 2, "is not before --to");
    failed(&["--from", "2024-06-01 03:00:00"], 2, "no closed window begins in that time");
    failed(&["--delete-window", label], 1, "Nobody is at a terminal to ask; say --yes");

    let deleted = queues.run("downsample-1h", &["--delete-window", label, "--yes"], now);
    assert_eq!((deleted.code, deleted.stdout.as_str()), (Some(0), "deleted 3 points; --from folds the window again\n"));
    assert_eq!(queues.value("1h", "running", "jobs", D + 2 * HOUR), None);
    let again = queues.run("downsample-1h", &["--delete-window", label, "--yes"], now);
    assert!(again.code == Some(0) && again.stdout.contains("has no 1h point"), "{}", again.stdout);
    queues.fold("downsample-1h", now);
    assert_eq!(queues.value("1h", "running", "jobs", D + 2 * HOUR), None, "it stays deleted");
    let backfill = queues.run("downsample-1h", &["--from", "2024-06-01 01:00:00", "--to", label, "-v"], now);
    assert_eq!((backfill.code, backfill.stderr.as_str()), (Some(0), ""));
    assert_eq!(backfill.stdout, "embedded: folded 1 window into 2 points\n");
    assert_eq!(queues.value("1h", "running", "jobs", D + 2 * HOUR), Some(17.0));
}

#[test]
fn a_clock_that_is_ahead_folds_no_window_of_the_future() {
    let queues = Queues::new();
    let next_year = jiff::Timestamp::now().as_second() + 365 * DAY;
    let outcome = queues.run("downsample-1h", &[], next_year);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("no window of the future is folded"), "{}", outcome.stderr);
    let record = fs::read_to_string(queues.0.path("state/windows/1h.embedded")).unwrap();
    let begun: i64 = record.split("\"begun\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(begun <= jiff::Timestamp::now().as_second(), "{record}");
    assert_eq!(queues.value("1h", "finished", "jobs", D + HOUR), Some(180.0));
}

#[test]
fn several_at_once_fold_everything_once() {
    let queues = Queues::new();
    let now = D + DAY + 360;
    let names = ["downsample-1h", "downsample-1d", "downsample-1h", "downsample-1d", "downsample-1d"];
    let spawn = |name: &&str| {
        let mut command = queues.command(name, &[], now);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs: Vec<_> = names.iter().map(spawn).collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(queues.value("1d", "finished", "jobs", D + DAY), Some(450.0));
    let alone = Queues::new();
    alone.fold("downsample-1d", now);
    assert_eq!(["1h", "1d"].map(|tier| queues.tier(tier)), ["1h", "1d"].map(|tier| alone.tier(tier)));
}

#[test]
fn a_store_that_fails_is_named_and_the_next_run_goes_on() {
    let queues = Queues::new();
    let now = D + DAY + 360;
    let path = queues.path();
    // Its disk is not mounted: the state remembers the store.
    queues.fold("downsample-1h", D + HOUR + 300);
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    let outcome = queues.run("downsample-1d", &[], now);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("embedded: the hours: ") && outcome.stderr.contains(" is gone"),
        "{}",
        outcome.stderr
    );
    fs::write(&path, "no store").unwrap();
    let outcome = queues.run("downsample-1d", &[], now);
    assert!(outcome.code == Some(1) && !outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    fs::rename(&aside, &path).unwrap();
    let again = queues.run("downsample-1d", &[], now);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(queues.value("1d", "finished", "jobs", D + DAY), Some(450.0));
}
