//! What the history keeps: each backup once, however late it came; and how it is shown, in a terminal and on the page of a set.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use gridmon_testkit::sandbox::site::Site as Dashboard;

use super::Site;
use super::runs::{DAY, NOW, block, lab, status, tarball};

/// What `gridmon-status backups --history` prints of a set, without its heads: time, path.
fn kept(site: &Site, set: &str) -> Vec<String> {
    let shown = status(site, &["backups", "--history", &format!("local/{set}")], NOW);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    shown.stdout.lines().skip(3).map(String::from).collect()
}

/// Marks all rows of the history: a row that is written again loses its mark.
fn mark(site: &Site) {
    let store = rusqlite::Connection::open(site.sandbox.path("state/gridmon.db")).unwrap();
    store.execute("UPDATE backup SET seal = 'marked'", []).unwrap();
}

/// How many rows were written since they were marked.
fn written(site: &Site) -> i64 {
    let store = rusqlite::Connection::open(site.sandbox.path("state/gridmon.db")).unwrap();
    store.query_row("SELECT COUNT(*) FROM backup WHERE seal <> 'marked'", [], |row| row.get(0)).unwrap()
}

#[test]
fn the_history_of_a_set_is_printed_the_newest_first_with_what_is_gone() {
    let site = lab();
    site.hour(0, &[]);
    fs::remove_dir_all(site.sandbox.path("backup/tracs/lab/2026/03/27")).unwrap();
    site.hour(1, &[]);
    let shown = status(&site, &["backups", "--history", "local/tracs/lab"], NOW);
    let text = block("gridmon-status backups --history").join("\n") + "\n";
    assert_eq!((shown.code, shown.stdout.as_str(), shown.stderr.as_str()), (Some(0), text.as_str(), ""));
    assert_eq!(status(&site, &["backups", "LAB", "--history", "local/tracs/lab"], NOW).stdout, text);
    for (arguments, says) in [
        (&["backups", "--history", "local"][..], "\"local\" is not NODE/SET"),
        (&["backups", "--history", "x/tracs/lab"], "no node called \"x\" is known; known: local"),
        (&["backups", "X", "--history", "local/a"], "no node called \"local\" is known in hub \"X\"; known: local"),
        (&["backups", "--history", "local/a"], "no backup of \"a\" on local was ever seen; of svn/docs, tracs/lab"),
    ] {
        let wrong = status(&site, arguments, NOW);
        assert_eq!((wrong.code, wrong.stderr), (Some(1), format!("gridmon-status: {says}\n")));
    }
    let both = status(&site, &["backups", "--nagios", "--history", "local/a"], NOW);
    assert_eq!(both.code, Some(3), "{}", both.stdout);
}

#[test]
fn a_backlog_and_what_nobody_watches_come_into_the_history_once() {
    let site = lab();
    let path = |set: &str, day: u64| format!("{set}/2026/03/{day:02}/023000/x.tar.gz");
    let at = |day: u64| NOW - (30 - day) * DAY - 3 * 3600;
    for day in 1..=20 {
        tarball(&site, &path("unlisted/a", day), 5000, at(day));
    }
    for day in 11..=26 {
        tarball(&site, &path("tracs/lab", day), 900_000, at(day));
    }
    site.hour(0, &[]);
    assert_eq!((kept(&site, "unlisted/a").len(), kept(&site, "tracs/lab").len()), (20, 20));
    mark(&site);
    site.hour(1, &[]);
    assert_eq!(written(&site), 0, "nothing has changed");
    // They are older than the ten whose sizes are remembered.
    for day in 1..=10 {
        tarball(&site, &path("tracs/lab", day), 900_000, at(day));
    }
    site.hour(2, &[]);
    let shown = kept(&site, "tracs/lab");
    assert!(shown.len() == 30 && shown[29].starts_with("2026-03-01 02:30 UTC"), "{shown:?}");
    let after = written(&site);
    assert!((10..=18).contains(&after), "{after}: no more than the weeks that have changed");
    mark(&site);
    site.hour(3, &[]);
    assert_eq!(written(&site), 0);
    // A sidecar that comes after its file.
    let sidecar = site.sandbox.path("backup").join(path("tracs/lab", 2) + ".dna");
    fs::write(sidecar, "{'dig': '0829f71740aab1ab98b33eae21dee122', 'size': 900000L}").unwrap();
    site.hour(4, &[]);
    assert!(kept(&site, "tracs/lab")[28].contains("has a sidecar"));
}

#[test]
fn a_file_that_grows_while_it_is_looked_at_is_one_row() {
    let site = Site::new("");
    let root = site.sandbox.path("backup");
    site.config(&format!("[hub LAB]\nnodes = local\nroot = {}\npattern = {{set}}-%Y%m%d.gz\n", root.display()));
    for quarter in 0..4 {
        tarball(&site, "a-20260330.gz", 500_000 * (quarter + 1), NOW + quarter * DAY / 4);
        site.at(&(NOW + quarter * DAY / 4).to_string(), &[]);
    }
    let shown = status(&site, &["backups", "--history", "local/a"], NOW + 2 * DAY);
    let rows: Vec<_> = shown.stdout.lines().skip(3).collect();
    assert!(rows.len() == 1 && rows[0].starts_with("2026-03-31 00:00 UTC  2.0 MB  "), "{rows:?}");
    // Copied anew, with the time of its source.
    tarball(&site, "a-20260330.gz", 2_000_000, NOW);
    site.at(&(NOW + 2 * DAY).to_string(), &[]);
    let shown = status(&site, &["backups", "--history", "local/a"], NOW + 2 * DAY);
    let rows: Vec<_> = shown.stdout.lines().skip(3).collect();
    assert!(rows.len() == 1 && rows[0].starts_with("2026-03-30 06:00 UTC  2.0 MB  "), "{rows:?}");
}

#[test]
fn the_page_of_a_set_has_its_history() {
    let site = lab();
    let now = jiff::Timestamp::now().as_second() as u64;
    for night in 0..3 {
        let time = now - 3600 - night * DAY;
        let stamp = jiff::Timestamp::from_second(time as i64).unwrap().strftime("%Y/%m/%d/%H%M%S").to_string();
        tarball(&site, &format!("wiki/<b>/{stamp}/x.tar.gz"), 700_000 + night * 100_000, time);
    }
    let root = site.sandbox.path("backup/wiki");
    site.config(&format!("[hub LAB]\nnodes = local\nroot = {}\ntimezone = UTC\n", root.display()));
    let run = site.run(&[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let gone = jiff::Timestamp::from_second((now - 3600 - 2 * DAY) as i64).unwrap();
    fs::remove_dir_all(root.join(gone.strftime("<b>/%Y/%m/%d").to_string())).unwrap();
    site.run(&[]);
    let dashboard = Dashboard::start(&site.sandbox);
    let page = dashboard.get("/pages/backups/?of=LAB/set/%3Cb%3E").text();
    let (_, table) = page.split_once("<h3>Every backup that was seen</h3>").unwrap_or_else(|| panic!("{page}"));
    let table = table.split("</table>").next().unwrap();
    let heads: Vec<_> =
        table.split("<th scope=\"col\"").skip(1).map(|head| head.split(['>', '<']).nth(1).unwrap()).collect();
    assert_eq!(heads, ["time", "node", "size", "digest", "path"]);
    let rows: Vec<_> = table.split("<tr data-key=").skip(1).collect();
    assert_eq!(rows.len(), 3, "{table}");
    for (row, size) in rows.iter().zip(["700 kB", "800 kB", "900 kB"]) {
        assert!(row.contains(&format!("<span>{size}</span>")) && row.contains("<td>local</td>"), "{row}");
        assert!(row.contains("<span>no sidecar</span>") && row.contains("<td>&lt;b&gt;/2"), "{row}");
    }
    // The page of a node has the plots of its sets alone.
    assert!(!dashboard.get("/pages/backups/?of=LAB/node/local").text().contains("Every backup"));
}

#[test]
fn a_check_knows_what_was_there() {
    let site = lab();
    let root = site.sandbox.path("backup");
    site.config(&format!("[hub LAB]\nnodes = local\nroot = {}\ntimezone = UTC\n", root.display()));
    site.hour(0, &[]);
    fs::remove_dir_all(root.join("svn")).unwrap();
    let check = site.hour(1, &["--check"]);
    assert!(check.stdout.contains("2 sets, 4 backups; none of svn/docs"), "{}", check.stdout);
}

#[test]
fn a_name_that_was_in_sets_and_never_came_is_no_alarm_without_it() {
    let site = lab();
    let root = site.sandbox.path("backup");
    let hub = |sets: &str| {
        site.config(&format!("[hub LAB]\nnodes = local\nroot = {}\ntimezone = UTC\n{sets}", root.display()));
    };
    hub("sets = svn/docs, tracs/lab, tracs/typo\n");
    assert!(site.hour(0, &[]).stderr.contains(" tracs/typo: never: "));
    hub("");
    let later = site.hour(1, &["--dry-run"]);
    assert!(!later.stdout.contains("typo") && later.stdout.contains("tracs_lab"), "{}", later.stdout);
    site.hour(1, &[]);
    let line = status(&site, &["backups", "--nagios"], NOW + 3600).stdout;
    assert!(line.contains("sets=2 ") && !line.contains("typo"), "{line}");
}

#[test]
fn an_error_among_thousands_of_closed_folders_is_not_lost() {
    let site = lab();
    // A find that names one disk error in the middle of 400 kB of closed folders.
    site.sandbox.program(
        "find",
        "/usr/bin/find \"$@\"\ncase \"$*\" in\n*'-type d -exec'*) printf 'X\\t./tracs/closed\\0';;\n\
         *'%P'*) awk 'BEGIN { for (i = 0; i < 10000; i++) {\n\
         print \"find: ./tracs/closed/\" i \": Permission denied\"\n\
         if (i == 5000) print \"find: ./svn/docs/2026/03/30: Input/output error\" } }' >&2; exit 1;;\nesac",
    );
    let run = site.hour(0, &[]);
    let said = " svn/docs: unreadable: find could not read all: find: ./svn/docs/2026/03/30: Input/output error";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn a_find_that_is_killed_leaves_nothing_known() {
    for (half, name, signal) in
        [("", "SEGV", 11), ("f\\t900000\\t17748", "SEGV", 11), ("d\\t1\\t1.0\\ttracs/l", "TERM", 15)]
    {
        let site = lab();
        site.sandbox.program(
            "find",
            &format!("case \"$*\" in\n*'%P'*) printf '{half}'; kill -{name} $$;;\n*) /usr/bin/find \"$@\";;\nesac"),
        );
        let run = site.hour(0, &[]);
        let said = format!("collect-backups: LAB local: unreachable: find was killed by signal {signal}\n");
        assert_eq!((run.code, run.stderr), (Some(1), said), "{half}");
    }
}

#[test]
fn a_profile_that_splits_words_elsewhere_changes_nothing() {
    let site = lab();
    let home = site.sandbox.path("home");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join(".profile"), "IFS=:\n").unwrap();
    site.hub(&format!("[node local]\nshell = env HOME={} sh -l -s\n", home.display()));
    let run = site.hour(0, &[]);
    assert!(run.code == Some(0) && run.stderr.contains(" tracs/lab: shrunk: "), "{}", run.stderr);
}

#[test]
fn a_node_that_lists_without_end_is_not_read() {
    let site = lab();
    let root = site.sandbox.path("backup");
    site.config(&format!(
        "[backups]\nnode_entries = 1000\n[hub LAB]\nnodes = local\nroot = {}\ntimezone = UTC\nsets = svn/docs, tracs/lab\n",
        root.display()
    ));
    site.sandbox.program(
        "find",
        "case \"$*\" in\n*'%P'*) yes 'f1' | awk '{ printf \"f\\t900000\\t1774800000.0\\tsvn/docs/2026/03/30/%d/x.tar.gz%c\", NR, 0 }';;\n\
         *) /usr/bin/find \"$@\";;\nesac",
    );
    let run = site.hour(0, &[]);
    let said = "LAB local: unreachable: it lists more than 1000 files and folders: narrow the root, or raise [backups] node_entries, \
                which is 1000";
    assert!(run.code == Some(1) && run.stderr.contains(said), "{}", run.stderr);
}

/// A user who may read the tarballs, and not the sidecar of the newest.
#[test]
fn a_sidecar_that_cannot_be_read_is_unreadable_and_not_missing() {
    let site = lab();
    let root = site.sandbox.path("backup");
    for day in 27..=30 {
        let file = root.join(format!("tracs/lab/2026/03/{day}/023000/lab.tar.gz"));
        let sidecar = format!("{}.dna", file.display());
        fs::write(&sidecar, format!("{{'dig': '', 'size': {}}}", fs::metadata(&file).unwrap().len())).unwrap();
        if day == 30 {
            fs::set_permissions(&sidecar, fs::Permissions::from_mode(0o000)).unwrap();
        }
    }
    site.config(&format!(
        "[hub LAB]\nnodes = N\nroot = {}\ntimezone = UTC\nsets = tracs/lab\nshrink_percent = 99\n",
        root.display()
    ));
    let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    site.sandbox.program("ssh", &format!("[ $(id -u) != 0 ] || exec {user} sh -s\nexec sh -s"));
    let run = site.hour(0, &[]);
    let said = "tracs/lab: unreadable: the newest, of 2026-03-30 02:30 UTC, has a sidecar that cannot be read: ";
    assert!(run.code == Some(0) && run.stderr.contains(said), "{}", run.stderr);
    let shown = status(&site, &["backups", "--history", "N/tracs/lab"], NOW).stdout;
    assert!(shown.contains("2026-03-30 02:30 UTC  120 kB  sidecar not readable  "), "{shown}");
    fs::set_permissions(root.join("tracs/lab/2026/03/30/023000/lab.tar.gz.dna"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let run = site.hour(1, &[]);
    assert!(run.stderr.contains("tracs/lab: well again, after 60 min (unreadable)"), "{}", run.stderr);
    let shown = status(&site, &["backups", "--history", "N/tracs/lab"], NOW).stdout;
    assert!(shown.contains("2026-03-30 02:30 UTC  120 kB  has a sidecar  "), "{shown}");
}
