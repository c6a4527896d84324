//! The history of backups: it outlives what is purged, takes in the original's database, and gives the plots of old pages.

use std::collections::BTreeMap;
use std::fs;

use gridmon_testkit::sandbox::fixture;
use serde_json::Value;

use super::Site;
use super::runs::{DAY, NOW, lab, tarball};

/// The points of each series of a JSON.
pub fn series(json: &Value) -> BTreeMap<String, Vec<(i64, f64)>> {
    let point = |point: &Value| (point[0].as_i64().unwrap(), point[1].as_f64().unwrap());
    let points = |series: &Value| series["data"].as_array().unwrap().iter().map(point).collect();
    let name = |series: &Value| series["name"].as_str().unwrap().to_string();
    json["series"].as_array().unwrap().iter().map(|series| (name(series), points(series))).collect()
}

/// A JSON without what the series hold and what names the run.
pub fn shape(mut json: Value) -> Value {
    for series in json["series"].as_array_mut().unwrap() {
        series["data"] = Value::Null;
    }
    json["series"].as_array_mut().unwrap().sort_by_key(|series| series["name"].as_str().unwrap().to_string());
    json["title"]["text"] = Value::Null;
    json
}

pub fn read(site: &Site, name: &str) -> Value {
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

/// Without a zone the original's stamp, read as UTC, is another time than the file's.
#[test]
fn a_tarball_that_the_original_knew_and_that_lies_there_is_one() {
    let path = |day: u64| format!("svn/a/2026/03/{day}/103000/a.tar.gz");
    for import_first in [true, false] {
        let site = Site::new("");
        // Made in Shanghai.
        tarball(&site, &path(29), 2 << 20, NOW - DAY - 3 * 3600);
        let root = site.sandbox.path("backup");
        let plots = site.sandbox.path("plots_%(node)s.json");
        let hub = format!("[hub A]\nnodes = local\nroot = {}\nfresh_hours = 30\n", root.display());
        site.config(&format!("{hub}json_path = {}\n", plots.display()));
        let database = site.sandbox.path("scm.db");
        let sqlite = rusqlite::Connection::open(&database).unwrap();
        sqlite
            .execute_batch("CREATE TABLE tgzs (date text,node text,size real,dir text,nodepath text primary key)")
            .unwrap();
        for day in [28, 29] {
            let nodepath = format!("local:{}/{}", root.display(), path(day));
            sqlite.execute("INSERT INTO tgzs VALUES ('', 'local', 2.0, '', ?)", [nodepath]).unwrap();
        }
        let import = || assert_eq!(site.hour(0, &["--import", database.to_str().unwrap()]).code, Some(0));
        if import_first {
            import();
        }
        assert_eq!(site.hour(0, &[]).stderr, "");
        import();
        assert_eq!(site.hour(1, &[]).stderr, "");
        let plot = series(&read(&site, "plots_local.json"));
        let milliseconds = |time: u64| (time * 1000) as i64;
        let expected = [(milliseconds(NOW - 2 * DAY + 16_200), 2.0), (milliseconds(NOW - DAY - 3 * 3600), 2.0)];
        assert_eq!(plot["svn/a"], expected, "import first: {import_first}");
        // No newer one is gone.
        let old = site.hour(24, &[]);
        assert!(old.stderr.contains(" svn/a: old: the newest is 2 d 3 h old"), "{}", old.stderr);
        // What is gone is not forgotten.
        fs::remove_dir_all(root.join("svn")).unwrap();
        let gone = site.hour(25, &[]);
        assert!(gone.stderr.contains(" svn/a: vanished: no backup is left; the last one was of 2026-03-29 03:00 UTC"));
    }
}

/// A database of the original with these paths, all on the node `local`.
fn database(site: &Site, paths: &[String]) -> String {
    let database = site.sandbox.path("scm.db");
    let _ = fs::remove_file(&database);
    let sqlite = rusqlite::Connection::open(&database).unwrap();
    let table = "CREATE TABLE tgzs (date text,node text,size real,dir text,nodepath text primary key)";
    sqlite.execute_batch(table).unwrap();
    for path in paths {
        sqlite.execute("INSERT INTO tgzs VALUES ('', 'local', 2.0, '', ?)", [format!("local:{path}")]).unwrap();
    }
    database.display().to_string()
}

#[test]
fn a_root_of_any_spelling_is_found_in_the_paths_of_the_original() {
    for (root, is_found) in [
        ("$SCM_FOLD/backup/lab", true),
        ("~/bk/lab", false),
        ("~/backup/lab", true),
        ("$BK", true),
        ("~", true),
        ("/data/./backup//lab", true),
        ("/backup/lab", false),
    ] {
        let site = Site::new("");
        site.config(&format!("[hub A]\nnodes = local\nroot = {root}\ntimezone = UTC\nsets = svn/a\n"));
        let file = database(&site, &["/data/backup/lab/svn/a/2026/03/29/103000/a.tar.gz".into()]);
        let run = site.hour(0, &["--import", &file]);
        let said =
            if is_found { ": 1 backup of 1 set; 0 rows of no hub" } else { ": 0 backups of 0 sets; 1 row of no hub" };
        assert!(run.code == Some(0) && run.stdout.contains(said), "{root}: {} {}", run.stdout, run.stderr);
    }
}

#[test]
fn an_import_learns_nothing_of_the_future() {
    let site = lab();
    let root = site.sandbox.path("backup");
    let path = |year: u64| format!("{}/svn/docs/{year}/01/02/103000/a.tar.gz", root.display());
    let file = database(&site, &[path(2025), path(2043)]);
    assert_eq!(site.hour(0, &["--import", &file]).code, Some(0));
    let run = site.hour(0, &[]);
    assert!(run.stderr.contains(" svn/docs: old: "), "{}", run.stderr);
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
