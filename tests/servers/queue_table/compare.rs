//! `--compare` with what an older system left in a real InfluxDB.

use super::*;

#[test]
fn points_are_compared_with_those_of_another_database() {
    let Some(influxdb) = Influxdb::start() else {
        return skip("points_are_compared_with_another_database", "InfluxDB");
    };
    // No MariaDB is needed: a comparison leaves the table alone.
    let site = Site::new(At::Servers(influxdb.port, 1));
    influxdb.query("CREATE DATABASE old WITH DURATION INF NAME \"10m\"");
    site.answer_for(0);
    site.cric_at(0, 0);
    let now = START.to_string();
    let shown = site.run(&["--dry-run", "--format", "influx", "--now", &now]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    // As QMonit wrote them: without the sequence.
    let jobs = shown.stdout.lines().filter(|line| line.starts_with("jobs,"));
    let mut lines: Vec<_> = jobs.map(|line| line.replace(",sequence=0i", "")).collect();
    // One of a queue that CRIC knows comes first.
    lines.sort_by_key(|line| !line.contains("panda_queue=Q0,"));
    assert!(lines.len() > 50 && !lines[0].contains("sequence"), "{lines:?}");
    influxdb.write("old", "10m", &lines[1..].join("\n"));
    let source = format!("http://127.0.0.1:{}?db=old", influxdb.port);
    let compare = |source: &str| site.run(&["--now", &now, "--compare", source]);
    let one = compare(&source);
    assert_eq!(one.code, Some(1), "{}{}", one.stdout, one.stderr);
    let unknown = one.lines_with("no known cause");
    assert!(unknown.len() == 1 && unknown[0].starts_with("extra "), "{unknown:?}");
    influxdb.write("old", "10m", &lines[0]);
    let whole = compare(&source);
    assert_eq!((whole.code, whole.stderr.as_str()), (Some(0), ""), "{}", whole.stdout);
    assert!(
        whole.stdout.contains(&format!(": 0 equal, {} alike, 0 differ, 0 missing here, 0 extra here", lines.len()))
    );
    let named = compare(&format!("{source}&rp=10m"));
    assert_eq!(named.stdout.lines().skip(1).collect::<Vec<_>>(), whole.stdout.lines().skip(1).collect::<Vec<_>>());
    assert!(!whole.stdout.contains(Influxdb::PASSWORD));
    // Nothing was written, neither there nor where the config sends points.
    let databases = influxdb.query("SHOW DATABASES").to_string();
    assert!(databases.contains("old") && !databases.contains("monit_jobs"), "{databases}");
    assert_eq!(influxdb.rows("SELECT count(jobs) FROM old.\"10m\".jobs")[0][1], lines.len());
    let nowhere = compare(&source.replace("old", "nowhere"));
    assert_eq!(nowhere.code, Some(1), "{}", nowhere.stdout);
}
