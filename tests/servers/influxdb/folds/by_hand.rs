//! What a person asks of the down-samplers, with a real InfluxDB.

use super::*;

/// Three hours of `jobs` and their coverage; the cores' power differs from hour to hour. In the second one the series is there
/// in one of three slots, so that the hour's mean is of one value, and its `slots` are three.
fn three_hours(influxdb: &Influxdb) {
    let mut lines = String::new();
    for (hour, slots, power) in [(0, 6, "10.0"), (1, 1, "40.0"), (2, 3, "10.33")] {
        for slot in 0..slots {
            let time = D + hour * HOUR + 600 * slot;
            let point = jobs(time, "running", "online", 10 + hour, Some(1));
            lines += &(coverage(time) + &point.replace("corepower=10.0", &format!("corepower={power}")));
        }
        if hour == 1 {
            lines += &(coverage(D + HOUR + 600) + &coverage(D + HOUR + 1200));
        }
    }
    influxdb.write("monit_jobs", "10m", &lines);
}

/// The lines of a tier of `jobs` that stand for some slot, sorted.
fn shown(sandbox: &Sandbox, more: &[&str], now: i64) -> Vec<String> {
    let outcome = run(sandbox, "downsample-1d", &[&["--dry-run", "--format", "influx"], more].concat(), now);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let mut lines: Vec<_> = outcome.stdout.lines().map(String::from).collect();
    lines.sort();
    lines
}

fn power(influxdb: &Influxdb, policy: &str) -> Vec<f64> {
    let rows = influxdb.rows(&format!("SELECT corepower::field FROM monit_jobs.\"{policy}\".jobs WHERE slots > 0"));
    rows.iter().filter_map(|row| row[1].as_f64()).collect()
}

#[test]
fn a_day_in_a_real_influxdb_is_shown_explained_and_folded_again_from_raw_means() {
    let name = "a_day_in_a_real_influxdb_is_shown_explained_and_folded_again_from_raw_means";
    let Some(influxdb) = server(name, &[]) else { return };
    let sandbox = sandbox(influxdb.port, "");
    assert_eq!(sandbox.run(&["--setup"]).code, Some(0));
    three_hours(&influxdb);
    let now = D + DAY + 360;
    // A dry run of days folds the hours that nobody has folded yet, in memory.
    let days = shown(&sandbox, &[], now);
    assert_eq!(influxdb.rows("SELECT * FROM monit_jobs.\"1h\".jobs"), Vec::<serde_json::Value>::new());
    assert_eq!(days.len(), 2, "{days:?}");
    assert!(days[0].starts_with("coverage,grid=heprc,measurement=jobs slots=12i"), "{days:?}");
    // 6 * 10 + 40 + 3 * 10.33 in ten values; of the hours' means and slots it would be 17.58.
    let values = "corepower=13.1,jobs=8.92,jobs_sum=107i,slots=12i";
    assert!(days[1].contains(values), "{days:?}");
    fold(&sandbox, "downsample-1d", now);
    assert_eq!(power(&influxdb, "1d"), [13.1]);

    let label = (D + DAY).to_string();
    let told = run(&sandbox, "downsample-1d", &["--explain", "jobs,job_status=running", &label], now);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    for text in ["corepower = S/N = 130.99/10 = 13.1", "those of the day are of its raw points", "The same is stored"] {
        assert!(told.stdout.contains(text), "{text}: {}", told.stdout);
    }

    // A deleted hour is there no more: --from folds it again, and so the day has it.
    let hour = (D + HOUR).to_string();
    assert_eq!(run(&sandbox, "downsample-1h", &["--delete-window", &hour, "--yes"], now).code, Some(0));
    fold(&sandbox, "downsample-1d", now);
    let day = |influxdb: &Influxdb| stored(influxdb, "1d")[&key("running", "online", DAY)].clone();
    assert_eq!(day(&influxdb), "7.83 47 6");
    let none = run(&sandbox, "downsample-1h", &["--delete-window", &hour, "--yes"], now);
    assert!(none.code == Some(0) && none.stdout.contains("has no 1h point"), "{}", none.stdout);
    let from = ["--from", &D.to_string()];
    assert_eq!(shown(&sandbox, &from, now), days);
    let again = run(&sandbox, "downsample-1d", &from, now);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""));
    assert_eq!(day(&influxdb), "8.92 107 12");
}

#[test]
fn of_two_stores_one_that_fails_does_not_keep_the_other_from_being_folded() {
    let name = "of_two_stores_one_that_fails_does_not_keep_the_other_from_being_folded";
    let Some(influxdb) = server(name, &[]) else { return };
    let sandbox = sandbox(influxdb.port, "");
    let path = sandbox.path("store.db");
    sandbox.config(&format!(
        "[influxdb]\nurl = http://127.0.0.1:{}\ndatabase = monit_jobs\nusername = root\npassword = {}\n[embedded]\npath = {}",
        influxdb.port,
        Influxdb::PASSWORD,
        path.display()
    ));
    close(&sandbox);
    let setup = sandbox.run(&["--setup"]);
    assert_eq!(setup.code, Some(0), "{}", setup.stderr);
    three_hours(&influxdb);
    std::fs::write(path, "no store").unwrap();
    let now = D + DAY + 360;
    let outcome = run(&sandbox, "downsample-1h", &["--from", &D.to_string()], now);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.starts_with("downsample-1h: embedded: "), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert_eq!(stored(&influxdb, "1h").len(), 3);
    // Wrong flags are said once.
    let wrong = run(&sandbox, "downsample-1h", &["--from", &(now + DAY).to_string()], now);
    assert_eq!((wrong.code, wrong.stderr.lines().count()), (Some(2), 1), "{}", wrong.stderr);
}

/// A machine whose clock stands in 1970 has sent coverage: the hours between are neither marked nor asked for one by one.
#[test]
fn coverage_of_1970_in_a_real_influxdb_costs_no_hour_between() {
    let Some(influxdb) = server("coverage_of_1970_in_a_real_influxdb_costs_no_hour_between", &[]) else { return };
    let sandbox = sandbox(influxdb.port, "");
    assert_eq!(sandbox.run(&["--setup"]).code, Some(0));
    influxdb.query("ALTER RETENTION POLICY \"10m\" ON monit_jobs DURATION INF");
    three_hours(&influxdb);
    influxdb.write("monit_jobs", "10m", &coverage(0));
    let now = D + DAY + 360;
    // The first run, which has half a million hours before it, and one after it.
    fold(&sandbox, "downsample-1d", now);
    let folded = stored(&influxdb, "1h");
    assert_eq!(folded[&key("running", "online", HOUR)], "10 60 6");
    assert_eq!(stored(&influxdb, "1d")[&key("running", "online", DAY)], "8.92 107 12");
    influxdb.write("monit_jobs", "10m", &coverage(-7200));
    std::fs::write(sandbox.path("state/windows/1h.influxdb.-3600.dirty"), "").unwrap();
    fold(&sandbox, "downsample-1d", now);
    assert_eq!(stored(&influxdb, "1h"), folded);
}
