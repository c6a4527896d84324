//! The history of backups in a real MariaDB: what the embedded store would have, over purges, an outage, and a change of places.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use gridmon::sinks::embedded::Place;
use gridmon::sinks::history::{History, Kept, OfSet};
use gridmon::sinks::mysql::{Config, Mysql};
use gridmon_testkit::sandbox::{Outcome, Sandbox, fixture};
use gridmon_testkit::{Mariadb, TempDir, program, skip};
use serde_json::Value;

/// 2026-03-30 06:00:00 UTC.
const NOW: u64 = 1_774_850_400;
const DAY: u64 = 86_400;

/// Backups on this machine, whose history lies in MariaDB or in the embedded store.
struct Site {
    sandbox: Sandbox,
}

impl Site {
    fn new() -> Self {
        let site = Self { sandbox: Sandbox::new("small") };
        for day in 27..=30 {
            site.backup(&format!("svn/docs/2026/03/{day}/023000/docs.tar.gz"), 700_000 + day, 30 - day);
        }
        site
    }

    fn backup(&self, path: &str, bytes: u64, nights: u64) {
        let path = self.sandbox.path(&format!("backup/{path}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs::File::create(path).unwrap();
        file.set_len(bytes).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - 12_600 - nights * DAY)).unwrap();
    }

    fn config(&self, mariadb: Option<&Mariadb>, hub: &str) {
        let (state, at) = (self.sandbox.path("state"), self.sandbox.path("."));
        let mysql = mariadb.map(|mariadb| {
            let (port, password) = (mariadb.port, Mariadb::PASSWORD);
            format!(
                "[mysql]\nhost = 127.0.0.1\nport = {port}\ndatabase = lab\nusername = monit\npassword = {password}\ntls = off\n\
                 timeout_seconds = 3\n"
            )
        });
        let text = format!(
            "[grid]\nname = lab\n[state]\ndirectory = {}\n{}{hub}timezone = UTC\njson_path = {}/plots_%(node)s.json\n",
            state.display(),
            mysql.unwrap_or_default(),
            at.display()
        );
        let path = self.sandbox.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn lab(&self, mariadb: Option<&Mariadb>) {
        let root = self.sandbox.path("backup");
        self.config(mariadb, &format!("[hub LAB]\nnodes = local\nroot = {}\nsets = svn/docs\n", root.display()));
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program("collect-backups"));
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
        Outcome::of(&mut command)
    }

    fn hour(&self, hour: u64) -> Outcome {
        self.run(&["--now", &(NOW + hour * 3600).to_string()])
    }

    /// The sizes in MiB that the plot of a set shows.
    fn plot(&self, node: &str, set: &str) -> Vec<(i64, f64)> {
        let json: Value =
            serde_json::from_slice(&fs::read(self.sandbox.path(&format!("plots_{node}.json"))).unwrap()).unwrap();
        let series = json["series"].as_array().unwrap();
        let one = series.iter().find(|series| series["name"] == set).unwrap_or_else(|| panic!("{json}"));
        let point = |point: &Value| (point[0].as_i64().unwrap(), point[1].as_f64().unwrap());
        one["data"].as_array().unwrap().iter().map(point).collect()
    }
}

fn mysql(mariadb: &Mariadb) -> Mysql {
    Mysql::new(Config {
        host: "127.0.0.1".into(),
        port: mariadb.port,
        database: "lab".into(),
        username: "monit".into(),
        password: Mariadb::PASSWORD.into(),
        is_verified: false,
        ca: None,
        timeout_seconds: 10,
    })
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[test]
fn mariadb_has_the_history_over_purges_and_an_outage() {
    let Some(mut mariadb) = Mariadb::start() else {
        return skip("mariadb_has_the_history_over_purges_and_an_outage", "MariaDB");
    };
    let site = Site::new();
    site.lab(Some(&mariadb));
    let check = site.run(&["--check"]);
    assert_eq!(check.code, Some(1));
    assert!(check.stdout.contains("mysql, table backup") && check.stdout.contains("--setup"), "{}", check.stdout);
    // What comes before the table is there waits for it.
    let early = site.hour(0);
    assert_eq!(early.code, Some(1));
    let waits = "history: MySQL at 127.0.0.1:";
    assert!(early.stderr.contains(waits) && early.stderr.contains("the next run writes 4 backups"), "{}", early.stderr);
    let setup = site.run(&["--setup"]);
    assert_eq!(setup.code, Some(0), "{}{}", setup.stdout, setup.stderr);
    assert!(setup.stdout.contains("created database lab, table backup"), "{}", setup.stdout);
    let run = site.hour(1);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let rows = "SELECT hub, node, name, time, path, bytes, seal FROM lab.backup ORDER BY time";
    let expected = |nights: std::ops::RangeInclusive<u64>| {
        let line = |day: u64| {
            let time = NOW - 12_600 - 30 * DAY + day * DAY;
            format!(
                "LAB\tlocal\tsvn/docs\t{time}\tsvn/docs/2026/03/{day}/023000/docs.tar.gz\t{}\tunsealed\n",
                700_000 + day
            )
        };
        nights.map(line).collect::<String>()
    };
    assert_eq!(mariadb.query(rows), expected(27..=30));
    // Once more: nothing changes. The embedded store has no history beside it.
    assert_eq!(site.hour(2).code, Some(0));
    assert_eq!(mariadb.query(rows), expected(27..=30));
    let store = Place::new(site.sandbox.path("state/gridmon.db"), &site.sandbox.path("state"));
    assert_eq!(store.every_backup().unwrap(), Some(Vec::new()));

    let before = site.plot("local", "svn/docs");
    assert_eq!(before.len(), 4);
    fs::remove_dir_all(site.sandbox.path("backup/svn/docs/2026/03/27")).unwrap();
    assert_eq!(site.hour(3).code, Some(0));
    assert_eq!(site.plot("local", "svn/docs"), before, "what is purged stays in the plots");

    mariadb.kill();
    site.backup("svn/docs/2026/03/30/053000/docs.tar.gz", 700_031, 0);
    let away = site.hour(4);
    assert_eq!(away.code, Some(1));
    // The week that has changed: three that were there, and the new one.
    assert!(away.stderr.contains(waits) && away.stderr.contains("the next run writes 4 backups"), "{}", away.stderr);
    assert_eq!(site.plot("local", "svn/docs"), before, "the plots stay as they were");
    mariadb.restart();
    assert_eq!(site.hour(5).code, Some(0));
    assert_eq!(mariadb.query("SELECT COUNT(*) FROM lab.backup"), "5\n");
    assert_eq!(site.plot("local", "svn/docs").len(), 5);
    let check = site.run(&["--check"]);
    assert!(check.stdout.contains("has the table backup in the database lab, 5 rows"), "{}", check.stdout);
}

#[test]
fn the_history_of_the_embedded_store_and_of_the_original_can_move_into_mariadb() {
    let Some(mariadb) = Mariadb::start() else {
        return skip("the_history_of_the_embedded_store_and_of_the_original_can_move_into_mariadb", "MariaDB");
    };
    let site = Site::new();
    site.lab(None);
    assert_eq!(site.hour(0).code, Some(0));
    let before = site.plot("local", "svn/docs");
    let store = site.sandbox.path("state/gridmon.db");
    site.lab(Some(&mariadb));
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    for _ in 0..2 {
        let import = site.run(&["--now", &(NOW + 3600).to_string(), "--import", store.to_str().unwrap()]);
        let said = format!("{}: 4 backups of 1 set\n", store.display());
        assert_eq!((import.code, import.stdout, import.stderr.as_str()), (Some(0), said, ""));
    }
    assert_eq!(site.hour(2).code, Some(0));
    assert_eq!(site.plot("local", "svn/docs"), before);

    let root = "[hub ZZ]\nnodes = SDU\nroot = $SCM_FOLD/backup/dayabay\nsets = svn/dybsvn\n";
    site.config(Some(&mariadb), root);
    let database = site.sandbox.path("scm_backup_monitor.db");
    let dump = fs::read_to_string(fixture("backups/zz3.SDU.dump.sql")).unwrap();
    rusqlite::Connection::open(&database).unwrap().execute_batch(&dump).unwrap();
    let import = site.run(&["--now", &(NOW + 3 * 3600).to_string(), "--import", database.to_str().unwrap()]);
    assert_eq!(import.code, Some(0), "{}", import.stderr);
    assert!(import.stdout.ends_with("29 backups of 5 sets; 1 row of no hub, or no backup\n"), "{}", import.stdout);
    assert_eq!(mariadb.query("SELECT COUNT(*) FROM lab.backup WHERE seal = 'imported'"), "29\n");
}

/// Names that a person made, and rows that are written twice: both places give back the same.
#[test]
fn both_places_keep_the_same() {
    let Some(mariadb) = Mariadb::start() else { return skip("both_places_keep_the_same", "MariaDB") };
    mariadb.query("CREATE DATABASE lab CHARACTER SET latin1");
    let site = Site::new();
    site.lab(Some(&mariadb));
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    let folder = TempDir::new();
    let (mysql, store) = (mysql(&mariadb), Place::new(folder.path().join("gridmon.db"), folder.path()));
    let kept = |set: &str, time: i64, path: &str, bytes: u64, seal: &str| Kept {
        hub: "Zürich".into(),
        node: "h1".into(),
        set: set.into(),
        time,
        path: path.into(),
        bytes,
        seal: seal.into(),
    };
    let long = format!("x/{}", "é".repeat(3000));
    let all = [
        kept("svn/docs", 100, "a", 5, "sealed"),
        kept("svn/docs", 100, "b", 7, "unsealed"),
        kept("svn/docs", -3, "c", u64::MAX >> 1, "sealed"),
        kept("SVN/Docs", 100, "a", 1, "sealed"),
        kept("svn/o'`\"brien; -- 犬", 100, "a", 2, "sealed"),
        kept(&long, 100, &long, 3, "sealed"),
        // Seen once more, larger; and known to the original, smaller.
        kept("svn/docs", 100, "b", 9, "checked"),
        kept("svn/docs", 100, "b", 1, "imported"),
        kept("svn/old", 50, "a", 4, "imported"),
        // Known to the original by another time, before it was seen and after.
        kept("svn/twice", 28_900, "t", 1 << 20, "imported"),
        kept("svn/twice", 100, "t", 5, "unsealed"),
        kept("svn/twice", 200, "u", 6, "sealed"),
        kept("svn/twice", 29_000, "u", 1 << 20, "imported"),
    ];
    for places in [[&mysql as &dyn History, &store], [&store, &mysql]] {
        for place in places {
            assert_eq!(place.keep(&all, soon()).unwrap(), [""; 0]);
        }
    }
    let sizes = store.sizes("Zürich", "h1", soon()).unwrap();
    assert_eq!(mysql.sizes("Zürich", "h1", soon()).unwrap(), sizes);
    assert_eq!(sizes["svn/docs"], [(-3, u64::MAX >> 1), (100, 9)]);
    assert_eq!(sizes["svn/twice"], [(100, 5), (200, 6)]);
    assert_eq!((sizes.len(), sizes[long.as_str()].len()), (6, 1));
    assert!(mysql.sizes("zürich", "h1", soon()).unwrap().is_empty());
    let newest = |place: &dyn History, set: &str, most: usize| {
        let of = OfSet { hub: "Zürich".into(), node: "h1".into(), set: set.into() };
        place.newest(&of, most, soon()).unwrap()
    };
    for (set, most, expected) in [
        ("svn/docs", 10, vec![(100, "b", 9, "checked"), (100, "a", 5, "sealed"), (-3, "c", u64::MAX >> 1, "sealed")]),
        ("svn/docs", 1, vec![(100, "b", 9, "checked")]),
        ("svn/twice", usize::MAX, vec![(200, "u", 6, "sealed"), (100, "t", 5, "unsealed")]),
        ("svn/old", 10, vec![(50, "a", 4, "imported")]),
        (long.as_str(), 10, vec![(100, long.as_str(), 3, "sealed")]),
        ("svn/none", 10, vec![]),
    ] {
        let of = |(time, path, bytes, seal): (i64, &str, u64, &str)| kept(set, time, path, bytes, seal);
        let expected: Vec<_> = expected.into_iter().map(of).collect();
        assert_eq!(
            (newest(&mysql, set, most), newest(&store, set, most)),
            (expected.clone(), expected),
            "{set} {most}"
        );
    }
    // One row for each path, also of those that versions before this one wrote with several times.
    let rows = "SELECT COUNT(*) FROM lab.backup";
    assert_eq!(mariadb.query(rows), "9\n");
    for time in [90, 95, 100] {
        let id = format!("{:x}", md5::compute(format!("svn/docs\0{time}\0z")));
        mariadb.query(&format!(
            "INSERT INTO lab.backup (hub, node, id, name, time, path, bytes, seal) \
             VALUES ('Zürich', 'h1', '{id}', 'svn/docs', {time}, 'z', {time}, 'sealed')"
        ));
    }
    assert_eq!(newest(&mysql, "svn/docs", 9).len(), 6, "they are read as they are");
    mysql.keep(&all[..1], soon()).unwrap();
    assert_eq!(newest(&mysql, "svn/docs", 1), [kept("svn/docs", 100, "z", 100, "sealed")]);
    assert_eq!(mariadb.query(rows), "10\n");
    let seals = "SELECT GROUP_CONCAT(DISTINCT seal ORDER BY seal) FROM lab.backup WHERE path = 'b'";
    assert_eq!(mariadb.query(seals), "checked\n");
}
