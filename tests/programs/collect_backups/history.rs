//! The history of backups: it outlives what is purged, takes in the original's database, and gives the plots of old pages.

use std::collections::BTreeMap;
use std::fs;

use gridmon_testkit::sandbox::fixture;
use serde_json::Value;

use super::Site;
use super::runs::{DAY, NOW, lab};

/// The points of each series of a JSON.
fn series(json: &Value) -> BTreeMap<String, Vec<(i64, f64)>> {
    let point = |point: &Value| (point[0].as_i64().unwrap(), point[1].as_f64().unwrap());
    let points = |series: &Value| series["data"].as_array().unwrap().iter().map(point).collect();
    let name = |series: &Value| series["name"].as_str().unwrap().to_string();
    json["series"].as_array().unwrap().iter().map(|series| (name(series), points(series))).collect()
}

/// A JSON without what the series hold and what names the run.
fn shape(mut json: Value) -> Value {
    for series in json["series"].as_array_mut().unwrap() {
        series["data"] = Value::Null;
    }
    json["series"].as_array_mut().unwrap().sort_by_key(|series| series["name"].as_str().unwrap().to_string());
    json["title"]["text"] = Value::Null;
    json
}

fn read(site: &Site, name: &str) -> Value {
    serde_json::from_slice(&fs::read(site.sandbox.path(name)).unwrap()).unwrap()
}

#[test]
fn what_is_purged_stays_in_the_plots() {
    let site = lab();
    let path = site.sandbox.path("plots_%(node)s.json");
    site.hub(&format!("json_path = {}\n", path.display()));
    assert_eq!(site.hour(0, &[]).code, Some(0));
    let before = series(&read(&site, "plots_local.json"));
    assert_eq!(before["tracs/lab"].len(), 4);
    assert_eq!(before["OK"].iter().map(|(_, count)| count).sum::<f64>(), 6.0);
    let root = site.sandbox.path("backup");
    for day in ["27", "28"] {
        fs::remove_dir_all(root.join("tracs/lab/2026/03").join(day)).unwrap();
    }
    assert_eq!(site.hour(1, &[]).code, Some(0));
    let after = series(&read(&site, "plots_local.json"));
    assert_eq!(after, before);
    // 120,000 bytes at 02:30 UTC.
    assert_eq!(after["tracs/lab"].last(), Some(&(((NOW - 12_600) * 1000) as i64, 120_000.0 / 1_048_576.0)));
}

#[test]
fn a_history_that_cannot_be_written_is_written_by_the_next_run() {
    let site = lab();
    let path = site.sandbox.path("plots_%(node)s.json");
    site.hub(&format!("json_path = {}\n[carbon]\nhost = 127.0.0.1\nport = 9\n", path.display()));
    // Another program's database lies in its place.
    let store = site.sandbox.path("state/gridmon.db");
    fs::write(&store, "no store").unwrap();
    let broken = site.hour(0, &[]);
    assert_eq!(broken.code, Some(1));
    assert!(
        broken.stderr.contains("history: ") && broken.stderr.contains("; the next run writes 6 backups"),
        "{}",
        broken.stderr
    );
    fs::remove_file(&store).unwrap();
    site.hour(1, &[]);
    assert_eq!(series(&read(&site, "plots_local.json"))["tracs/lab"].len(), 4);
}

/// The original's database of three nights, and the plots that the original made of it.
#[test]
fn the_originals_database_gives_the_plots_of_the_original_where_it_was_right() {
    let site = Site::new("");
    let root = "/home/scm/backup/dayabay";
    site.sandbox.program("ssh", "exit 255");
    let path = site.sandbox.path("data_%(node)s.json");
    site.config(&format!(
        "[hub ZZ]\nnodes = SDU\nroot = $SCM_FOLD/backup/dayabay\ntimezone = Asia/Shanghai\njson_path = {}\n\
         sets = svn/dybsvn tracs/dybsvn svn/dybaux tracs/dybaux\n",
        path.display()
    ));
    let database = site.sandbox.path("scm_backup_monitor.db");
    let dump = fs::read_to_string(fixture("backups/zz3.SDU.dump.sql")).unwrap();
    rusqlite::Connection::open(&database).unwrap().execute_batch(&dump).unwrap();
    let now = "2012-11-13T08:09:36Z";
    for _ in 0..2 {
        let run = site.at(now, &["--import", database.to_str().unwrap()]);
        let said = format!("{}: 29 backups of 5 sets; 1 row of no hub, or no backup\n", database.display());
        assert_eq!((run.code, run.stdout, run.stderr.as_str()), (Some(0), said, ""));
    }
    let run = site.at(now, &[]);
    assert!(run.stderr.starts_with("collect-backups: ZZ SDU: unreachable: "), "{}", run.stderr);
    let ours = read(&site, "data_SDU.json");
    let theirs: Value = serde_json::from_slice(&fs::read(fixture("backups/zz3.SDU.json")).unwrap()).unwrap();
    assert_eq!(shape(ours.clone()), shape(theirs.clone()));
    assert_eq!(ours["title"]["text"], "SDU $SCM_FOLD/backup/dayabay/ 2012-11-13 08:09 UTC");
    assert!(theirs["title"]["text"].as_str().unwrap().starts_with(&format!("SDU {root}/ ")));
    let (ours, theirs) = (series(&ours), series(&theirs));
    for (name, points) in theirs.iter().filter(|(name, _)| *name != "OK") {
        // The maker's local time is eight hours ahead of UTC; sizes below 11 were multiplied by ten.
        let right = |(time, size): &(i64, f64)| {
            (time - 8 * 3_600_000, if *size >= 10.0 && size % 10.0 == 0.0 { size / 10.0 } else { *size })
        };
        let mut right: Vec<_> = points.iter().map(right).collect();
        right.sort_by(|a, b| a.partial_cmp(b).unwrap());
        if name == "svn/dybaux" {
            // Two tarballs and notes.gz have one stamp: the largest tarball counts.
            right.truncate(right.len() - 3);
            right.push((1_352_774_822_000, 10.0));
        }
        assert_eq!(ours[name], right, "{name}");
    }
    // Backups, where the original counted every .gz.
    let counts: Vec<_> =
        ours["OK"].iter().zip(&theirs["OK"]).map(|(ours, theirs)| (ours.0 - theirs.0, ours.1, theirs.1)).collect();
    assert_eq!(counts, [(0, 5.0, 5.0), (0, 5.0, 5.0), (0, 5.0, 5.0), (0, 5.0, 5.0), (0, 4.0, 4.0), (0, 4.0, 6.0)]);
}

#[test]
fn what_is_no_database_of_the_original_is_refused() {
    let site = lab();
    let file = site.sandbox.write("x.db", "no database, but a text that is long enough to be one");
    let run = site.at(&NOW.to_string(), &["--import", file.to_str().unwrap()]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("is no database of scm-backup-monitor with a table tgzs"), "{}", run.stderr);
    let run = site.at(&(NOW + DAY).to_string(), &["--import", "/nosuch"]);
    assert_eq!(run.code, Some(1));
}
