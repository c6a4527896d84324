//! downsample-1h and downsample-1d on a real InfluxDB: the values, labels, tags and refolds of `jobs`, and random histories
//! that the plain reference of the embedded store's tests recomputes.

#[path = "../../store/rollup/oracle.rs"]
mod oracle;
#[path = "../../store/rollup/points.rs"]
mod points;

mod by_hand;
mod histories;

use gridmon::model::{Point, SECOND};
use gridmon_testkit::Influxdb;
use gridmon_testkit::sandbox::{Outcome, Sandbox};
use std::collections::BTreeMap;
use std::process::Command;

use super::{close, sandbox, server};

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// 2024-06-01 00:00:00 UTC.
const D: i64 = 1_717_200_000;

fn run(sandbox: &Sandbox, name: &str, arguments: &[&str], now: i64) -> Outcome {
    let mut command = Command::new(gridmon_testkit::program(name));
    command.args(arguments).args(["--now", &now.to_string()]).current_dir(sandbox.path(""));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("TZ", "Europe/Zurich");
    Outcome::of(&mut command)
}

fn fold(sandbox: &Sandbox, name: &str, now: i64) {
    let outcome = run(sandbox, name, &[], now);
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "", ""), "{name} {now}");
}

/// A raw point of `jobs`, as a line.
fn jobs(time: i64, status: &str, state: &str, jobs: i64, sequence: Option<i64>) -> String {
    let sequence = sequence.map(|sequence| format!(",sequence={sequence}i")).unwrap_or_default();
    let offset = gridmon::monitors::panda::offset("Q", "managed", "SCORE", status);
    format!(
        "jobs,job_status={status},panda_queue=Q,prod_source=managed,resource=SCORE,site_state={state} corepower=10.0,jobs={jobs}i{sequence} {}\n",
        time * SECOND + offset
    )
}

fn coverage(time: i64) -> String {
    format!("coverage,grid=heprc,measurement=jobs slots=1i,step_seconds=600i {}\n", time * SECOND)
}

/// The fields of `jobs` in a policy, by status, state and label; those of no slot too.
fn stored(influxdb: &Influxdb, policy: &str) -> BTreeMap<(String, String, i64), String> {
    let query = format!(
        "SELECT job_status::tag, site_state::tag, jobs::field, jobs_sum::field, slots::field FROM monit_jobs.\"{policy}\".jobs"
    );
    let text = |cell: &serde_json::Value| cell.as_str().unwrap_or_default().to_string();
    let rows = influxdb.rows(&query);
    let row = |row: serde_json::Value| {
        let time = row[0].as_i64().unwrap();
        let offset = gridmon::monitors::panda::offset("Q", "managed", "SCORE", row[1].as_str().unwrap());
        assert_eq!((time - offset) % (HOUR * SECOND), 0, "the label has the offset of its series");
        ((text(&row[1]), text(&row[2]), time / SECOND), format!("{} {} {}", row[3], row[4], row[5]))
    };
    rows.into_iter().map(row).collect()
}

fn key(status: &str, state: &str, label: i64) -> (String, String, i64) {
    (status.into(), state.into(), D + label)
}

#[test]
fn hours_and_days_of_a_real_influxdb_are_folded_and_folded_again() {
    let Some(influxdb) = server("hours_and_days_of_a_real_influxdb_are_folded_and_folded_again", &[]) else { return };
    let sandbox = sandbox(influxdb.port, "");
    close(&sandbox);
    assert_eq!(sandbox.run(&["--setup"]).code, Some(0));
    // QMonit's hour before, which stays as it is, and one that begins with its points.
    influxdb.write("monit_jobs", "1h", &jobs(D, "running", "online", 77, None).replace("77i", "77.0"));
    influxdb.write("monit_jobs", "10m", &jobs(D - 1200, "running", "online", 77, None));
    influxdb.write("monit_jobs", "10m", &jobs(D, "running", "online", 40, None));
    let mut lines = String::new();
    for slot in 1..6 {
        lines += &(coverage(D + 600 * slot) + &jobs(D + 600 * slot, "running", "online", 50, Some(3)));
    }
    // Another run in the slot, with other tags, and events in two slots alone.
    lines += &jobs(D + 3000, "running", "offline", 80, Some(500));
    lines += &(jobs(D + 600, "finished", "online", 30, Some(3)) + &jobs(D + 1200, "finished", "online", 30, Some(3)));
    influxdb.write("monit_jobs", "10m", &lines);
    fold(&sandbox, "downsample-1h", D + HOUR + 300);
    let hour = stored(&influxdb, "1h");
    assert_eq!(
        hour[&key("running", "offline", HOUR)],
        "53.33 320 6",
        "40 + 4 * 50 + 80 in six slots, tags of the newest"
    );
    assert_eq!(hour[&key("finished", "online", HOUR)], "60 60 6");
    assert_eq!(hour[&key("running", "online", 0)], "77 null null", "QMonit's");
    assert_eq!(hour.len(), 3, "{hour:?}");
    let covered = influxdb.rows("SELECT slots FROM monit_jobs.\"1h\".coverage WHERE \"measurement\" = 'jobs'");
    assert_eq!(covered, [serde_json::json!([(D + HOUR) * SECOND, 6])]);

    // A late run changes the tags of the newest point: the old point becomes one of no slot.
    let late = |time: i64, points: &str| {
        influxdb.write("monit_jobs", "10m", points);
        let windows = sandbox.path("state/windows");
        std::fs::write(windows.join(format!("1h.influxdb.{}.dirty", (time / HOUR + 1) * HOUR)), "").unwrap();
    };
    late(D + 3000, &jobs(D + 3000, "running", "test", 20, Some(599)));
    fold(&sandbox, "downsample-1h", D + HOUR + 400);
    let hour = stored(&influxdb, "1h");
    assert_eq!(hour[&key("running", "test", HOUR)], "43.33 260 6");
    assert_eq!(hour[&key("running", "offline", HOUR)], "0 0 0");

    // The day, of which the last hours are dark, and one that is covered without the series.
    influxdb.write("monit_jobs", "10m", &(coverage(D + 2 * HOUR) + &coverage(D + 2 * HOUR + 600)));
    fold(&sandbox, "downsample-1d", D + DAY + 360);
    let day = stored(&influxdb, "1d");
    assert_eq!(day[&key("running", "test", DAY)], "32.5 260 8");
    assert_eq!(day[&key("finished", "online", DAY)], "60 60 8");
    assert_eq!(day.len(), 2, "{day:?}");

    // By hand: what is shown is what is stored, and --from folds QMonit's hours too.
    let explained =
        run(&sandbox, "downsample-1h", &["--explain", "jobs,job_status=running", &(D + HOUR).to_string()], D + DAY);
    assert!(explained.stdout.contains("jobs = S/N = 260/6 = 43.33"), "{}{}", explained.stdout, explained.stderr);
    let from = (D - HOUR).to_string();
    let backfill = run(&sandbox, "downsample-1h", &["--from", &from, "--to", &D.to_string()], D + DAY + 400);
    assert_eq!((backfill.code, backfill.stderr.as_str()), (Some(0), ""));
    assert_eq!(stored(&influxdb, "1h")[&key("running", "online", 0)], "77 77 1");
    let label = (D + HOUR).to_string();
    let deleted = run(&sandbox, "downsample-1h", &["--delete-window", &label, "--yes"], D + DAY + 400);
    assert_eq!(deleted.code, Some(0), "{}", deleted.stderr);
    assert!(stored(&influxdb, "1h").iter().filter(|(key, _)| key.2 == D + HOUR).all(|(_, fields)| fields == "0 0 0"));
}

#[test]
fn a_real_influxdb_that_is_away_in_the_middle_is_made_up_for() {
    let Some(mut influxdb) = server("a_real_influxdb_that_is_away_in_the_middle_is_made_up_for", &[]) else { return };
    let sandbox = sandbox(influxdb.port, "timeout_seconds = 5\n");
    close(&sandbox);
    let missing = run(&sandbox, "downsample-1h", &[], D + HOUR + 300);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("influxdb: "), "{}", missing.stderr);
    assert_eq!(sandbox.run(&["--setup"]).code, Some(0));
    for hour in 0..3 {
        let time = D + hour * HOUR;
        influxdb.write("monit_jobs", "10m", &(coverage(time) + &jobs(time, "running", "online", 10 + hour, Some(1))));
    }
    influxdb.kill();
    let away = run(&sandbox, "downsample-1d", &[], D + DAY + 360);
    assert_eq!(away.code, Some(1));
    influxdb.restart();
    let back = run(&sandbox, "downsample-1d", &[], D + DAY + 720);
    assert_eq!((back.code, back.stderr.as_str()), (Some(0), "downsample-1d: influxdb: works again after 6 min\n"));
    assert_eq!(stored(&influxdb, "1d")[&key("running", "online", DAY)], "11 33 3");
    // An hour without its policy: the run names it, the next goes on.
    influxdb.query("DROP RETENTION POLICY \"1d\" ON monit_jobs");
    let none = run(&sandbox, "downsample-1d", &["--from", &D.to_string()], D + DAY + 800);
    assert!(none.code == Some(1) && none.stderr.contains("1d"), "{}", none.stderr);
    assert_eq!(sandbox.run(&["--setup"]).code, Some(0));
    let again = run(&sandbox, "downsample-1d", &["--from", &D.to_string()], D + DAY + 900);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""));
    assert_eq!(stored(&influxdb, "1d")[&key("running", "online", DAY)], "11 33 3");
}

#[test]
fn late_coverage_takes_back_what_a_slot_was_taken_for() {
    let Some(influxdb) = server("late_coverage_takes_back_what_a_slot_was_taken_for", &[]) else { return };
    let sandbox = sandbox(influxdb.port, "fold = grid_jobs\n");
    close(&sandbox);
    assert_eq!(sandbox.run(&["--setup"]).code, Some(0));
    let jobs = |hour: i64, status: &str| {
        format!("grid_jobs,grid=heprc,status={status},type=all jobs=30i {}\n", (D + hour * HOUR) * SECOND)
    };
    let covered = |hour: i64| coverage(D + hour * HOUR).replace("measurement=jobs", "measurement=grid_jobs");
    // Nothing was covered yet at 2:00, so that its point covers its slot.
    influxdb.write("monit_jobs", "10m", &(jobs(2, "idle") + &jobs(3, "held") + &covered(3)));
    fold(&sandbox, "downsample-1h", D + 5 * HOUR);
    let slots = |at: i64| {
        let query = "SELECT slots FROM monit_jobs.\"1h\".coverage WHERE \"measurement\" = 'grid_jobs'";
        let rows = influxdb.rows(query);
        rows.iter().find(|row| row[0] == (D + at * HOUR) * SECOND).map(|row| row[1].as_i64().unwrap())
    };
    assert_eq!((slots(2), slots(3), slots(4)), (None, Some(1), Some(1)));
    // The coverage of 1:00 comes late: at 2:00 the collector was dark.
    influxdb.write("monit_jobs", "10m", &covered(1));
    std::fs::write(sandbox.path(&format!("state/windows/1h.influxdb.{}.dirty", D + 2 * HOUR)), "").unwrap();
    fold(&sandbox, "downsample-1d", D + DAY + 360);
    assert_eq!((slots(2), slots(3), slots(4)), (Some(1), Some(0), Some(1)));
    let day = influxdb.rows("SELECT jobs_sum, jobs_slots, status FROM monit_jobs.\"1d\".grid_jobs");
    let day: Vec<_> = day.iter().map(|row| format!("{} {} {}", row[3], row[1], row[2])).collect();
    assert_eq!(day, ["\"held\" 30 2", "\"idle\" 30 3"]);
}

/// The lines of points.
fn lines<'a>(points: impl IntoIterator<Item = &'a Point>) -> String {
    points.into_iter().map(|point| point.line() + "\n").collect()
}
