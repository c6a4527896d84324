//! Runs on this machine: what is said, when, and with which exit code.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use super::Site;

/// 2026-03-30 06:00:00 UTC.
pub const NOW: u64 = 1_774_850_400;

pub const DAY: u64 = 86_400;

/// A tarball of this size, written at this time.
pub fn tarball(site: &Site, path: &str, bytes: u64, mtime: u64) {
    let path = site.sandbox.path("backup").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(bytes).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(mtime)).unwrap();
}

/// Two sets on this machine: one old, one shrunk.
pub fn lab() -> Site {
    let site = Site::new("");
    for day in 27..=30 {
        let mtime = NOW - (30 - day) * DAY - 3 * 3600;
        tarball(
            &site,
            &format!("tracs/lab/2026/03/{day}/023000/lab.tar.gz"),
            if day < 30 { 900_000 } else { 120_000 },
            mtime,
        );
        if day < 29 {
            tarball(&site, &format!("svn/docs/2026/03/{day}/023000/docs.tar.gz"), 700_000, mtime);
        }
    }
    site.hub("");
    site
}

impl Site {
    /// A hub LAB on this machine, with more keys.
    pub fn hub(&self, more: &str) {
        let root = self.sandbox.path("backup");
        self.config(&format!(
            "[hub LAB]\nnodes = local\nroot = {}\ntimezone = UTC\nsets = svn/docs, tracs/lab\n{more}",
            root.display()
        ));
    }

    pub fn hour(&self, hour: u64, more: &[&str]) -> gridmon_testkit::sandbox::Outcome {
        self.at(&(NOW + hour * 3600).to_string(), more)
    }
}

pub fn block(name: &str) -> Vec<String> {
    let page = fs::read_to_string(gridmon_testkit::root().join("docs/collect-backups.md")).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- {name} -->\n```\n")).unwrap();
    rest.split("\n```").next().unwrap().lines().skip(1).map(String::from).collect()
}

#[test]
fn the_document_shows_what_a_run_says_and_prints() {
    let site = lab();
    let dry = site.hour(0, &["--dry-run"]);
    let said = block("collect-backups");
    assert_eq!(dry.stderr.lines().collect::<Vec<_>>(), said);
    let points = block("collect-backups --dry-run");
    assert_eq!(points.len(), 6);
    for line in points {
        assert!(dry.stdout.lines().any(|printed| printed == line), "{line} is not in {}", dry.stdout);
    }
    let live = site.hour(0, &[]);
    assert_eq!(
        (live.code, live.stderr.lines().collect::<Vec<_>>()),
        (Some(0), said.iter().map(String::as_str).collect())
    );
}

#[test]
fn an_alarm_is_said_at_its_onset_after_a_week_and_when_it_is_over() {
    let site = lab();
    assert_eq!(site.hour(0, &[]).stderr.lines().count(), 2);
    for (hour, code, arguments) in [(1, 0, &[][..]), (2, 1, &["--fail-on-alarm"])] {
        let run = site.hour(hour, arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(code), ""), "{hour}");
    }
    // The others are old too by then.
    let week = site.hour(7 * 24, &[]);
    assert_eq!(
        week.stderr.lines().collect::<Vec<_>>(),
        [
            "collect-backups: LAB local svn/docs: old: the newest is 9 d 3 h old, of 2026-03-28 02:30 UTC; fresh is up to 26 h 0 min; for 7 d 0 h",
            "collect-backups: LAB local tracs/lab: old: the newest is 7 d 3 h old, of 2026-03-30 02:30 UTC; fresh is up to 26 h 0 min; shrunk before, 7 d 0 h in all",
        ]
    );
    for set in ["svn/docs", "tracs/lab"] {
        tarball(&site, &format!("{set}/2026/04/06/050000/x.tar.gz"), 800_000, NOW + 7 * DAY);
    }
    let over = site.hour(7 * 24 + 1, &["--fail-on-alarm"]);
    assert_eq!(over.code, Some(0));
    assert_eq!(
        over.stderr.lines().collect::<Vec<_>>(),
        [
            "collect-backups: LAB local svn/docs: well again, after 7 d 1 h (old)",
            "collect-backups: LAB local tracs/lab: well again, after 7 d 1 h (old)",
            // It was not so last Tuesday.
            "collect-backups: all is well: 2 sets on 1 node of 1 hub",
        ]
    );
    // The next day is a Tuesday again.
    for set in ["svn/docs", "tracs/lab"] {
        tarball(&site, &format!("{set}/2026/04/07/050000/x.tar.gz"), 800_000, NOW + 8 * DAY);
    }
    let well = site.hour(8 * 24, &[]);
    assert_eq!(well.stderr, "collect-backups: all is well: 2 sets on 1 node of 1 hub\n");
    assert_eq!(site.hour(8 * 24 + 1, &[]).stderr, "");
}

#[test]
fn a_node_that_is_not_read_is_said_once_and_its_sets_stay_as_they_were() {
    let site = lab();
    site.hour(0, &[]);
    site.sandbox.program("ssh", "echo 'ssh: connect to host h port 22: Connection refused' >&2; exit 255");
    let ssh = |more: &str| {
        let root = site.sandbox.path("backup");
        site.config(&format!(
            "[hub LAB]\nnodes = h\nroot = {}\ntimezone = UTC\nsets = svn/docs, tracs/lab\n{more}",
            root.display()
        ));
    };
    ssh("");
    let first = site.hour(1, &[]);
    let said = "collect-backups: LAB h: unreachable: \"ssh: connect to host h port 22: Connection refused\"; no ssh server listens there\n";
    assert_eq!((first.code, first.stderr.as_str()), (Some(1), said));
    // Neither an hour nor a day later, though it still fails.
    for hour in [2, 3, 30] {
        let later = site.hour(hour, &[]);
        assert_eq!((later.code, later.stderr.as_str()), (Some(1), ""), "{hour}");
    }
    let dry = site.hour(31, &["--dry-run"]);
    assert!(
        dry.stdout.contains("backups_node.LAB.h.reachable 0 ") && !dry.stdout.contains("backups.LAB"),
        "{}",
        dry.stdout
    );
    let check = site.hour(31, &["--check"]);
    assert_eq!(check.code, Some(1));
    assert!(check.stdout.contains("failed  node h of hub LAB  \"ssh: connect"), "{}", check.stdout);
    // It comes back: what ssh does is done here.
    site.sandbox.program("ssh", "exec sh -s");
    let back = site.hour(32, &[]);
    assert!(
        back.stderr.starts_with("collect-backups: LAB h: well again, after 31 h 0 min (unreachable)\n"),
        "{}",
        back.stderr
    );
    assert_eq!(back.code, Some(0));
}

#[test]
fn sets_that_the_config_does_not_name_are_watched_from_when_they_were_seen() {
    let site = lab();
    let root = site.sandbox.path("backup");
    site.config(&format!("[hub LAB]\nnodes = local\nroot = {}\ntimezone = UTC\nfresh_hours = 100\n", root.display()));
    assert_eq!(site.hour(0, &[]).stderr.lines().count(), 1, "the one that shrank");
    fs::remove_dir_all(root.join("svn")).unwrap();
    let gone = site.hour(1, &[]);
    assert_eq!(
        gone.stderr,
        "collect-backups: LAB local svn/docs: vanished: no backup is left; the last one was of 2026-03-28 02:30 UTC\n"
    );
    fs::remove_dir_all(&root).unwrap();
    let gone = site.hour(2, &[]);
    assert!(gone.stderr.contains("tracs/lab: vanished: no backup is left"), "{}", gone.stderr);
    assert!(gone.stderr.contains(&format!("; {} is not there", root.display())), "{}", gone.stderr);
}

#[test]
fn a_mistyped_root_or_pattern_is_an_alarm_also_where_nobody_named_the_sets() {
    let site = lab();
    let mistyped = |root: &str, pattern: &str| {
        let root = site.sandbox.path(root);
        site.config(&format!("[hub LAB]\nnodes = local\nroot = {}\ntimezone = UTC\n{pattern}", root.display()));
    };
    let none = "no backup is known on this node, and [hub LAB] names no sets";
    mistyped("bakcup", "");
    let words = format!(
        "{} is not there; {none}; correct root, or mount what it should hold",
        site.sandbox.path("bakcup").display()
    );
    let first = site.hour(0, &["--fail-on-alarm"]);
    assert_eq!((first.code, first.stderr), (Some(1), format!("collect-backups: LAB local: never: {words}\n")));
    assert_eq!(site.hour(1, &[]).stderr, "", "it is said once");
    let check = site.hour(1, &["--check"]);
    assert_eq!(check.code, Some(1));
    assert!(check.stdout.contains(&format!("failed  node local of hub LAB  {words}")), "{}", check.stdout);
    // A Tuesday begins, and nothing is well.
    mistyped("backup", "pattern = {set}/%Y-%m-%d.tgz\n");
    assert_eq!(site.hour(30, &[]).stderr, "");
    let dry = site.hour(31, &["--dry-run"]);
    assert!(dry.stdout.contains("backups_node.LAB.local.verdict 19 "), "{}", dry.stdout);
    mistyped("backup", "fresh_hours = 100\nshrink_percent = 100\n");
    let over = site.hour(32, &[]);
    assert!(
        over.stderr.starts_with("collect-backups: LAB local: well again, after 32 h 0 min (never)\n"),
        "{}",
        over.stderr
    );
}

#[test]
fn a_wrong_config_says_what_is_wrong_before_anything_is_asked() {
    let site = Site::new("");
    for (config, said) in [
        ("", "no hub is configured: add a [hub NAME] with its nodes and root, or [backups] scm_monitor and libfab"),
        ("[hub A]\nnodes = a\n", "config.cfg: [hub A] root: is missing; this section needs it"),
        (
            "[hub A]\nnodes = -x\nroot = /a\n",
            "config.cfg line 8: [hub A] nodes: \"-x\" is not local, nor [USER@]HOST[:PORT]",
        ),
        (
            "[hub A]\nnodes = a\nroot = a\n",
            "config.cfg line 9: [hub A] root: \"a\" is not a path that begins with /, ~/ or a variable",
        ),
        (
            "[hub A]\nnodes = a\nroot = /a\npattern = {set}-%Y\n",
            "config.cfg line 10: [hub A] pattern: has a part of a date, and no whole one: year, month and day",
        ),
        (
            "[hub A]\nnodes = a\nroot = /a\ntimezone = Mars\n",
            "config.cfg line 10: [hub A] timezone: \"Mars\": is no time zone such as Europe/Zurich or UTC",
        ),
        (
            "[hub A]\nnodes = a\nroot = /a\nsets = ../x\n",
            "config.cfg line 10: [hub A] sets: \"../x\" is not names of sets below the root",
        ),
        ("[hub A]\nnodes = a\nroot = /a\n[backup_set B x]\nkeep = 4\n", "[backup_set B x]: there is no [hub B]"),
        (
            "[hub A]\nnodes = a\nroot = /a\n[backup_set A]\nkeep = 4\n",
            "[backup_set A] names no set; call it [backup_set HUB SET]",
        ),
        ("[hub A]\nnodes = a\nroot = /a\n[node b]\nuser = x\n", "[node b]: no hub has a node of that name"),
        ("[backups]\nscm_monitor = /a\n", "config.cfg line 8: [backups] scm_monitor: needs libfab beside it"),
        ("[backups]\nscm_monitor = /nosuch\nlibfab = /nosuch\n", "/nosuch: No such file or directory (os error 2)"),
    ] {
        site.config(config);
        let run = site.run(&[]);
        assert_eq!((run.code, run.stderr), (Some(2), format!("collect-backups: {said}\n")), "{config}");
    }
}

/// The original's own two files.
#[test]
fn the_originals_files_are_read_as_they_are() {
    let site = Site::new("");
    for name in ["scm_monitor.cnf", "libfab.cnf"] {
        let text = fs::read(gridmon_testkit::sandbox::fixture("backups").join(name)).unwrap();
        site.sandbox.write(name, text);
    }
    site.config(&format!(
        "[backups]\nscm_monitor = {0}/scm_monitor.cnf\nlibfab = {0}/libfab.cnf\n[backup_set ZZ svn/*]\nfresh_hours = 30\n",
        site.sandbox.path("").display()
    ));
    fs::create_dir_all(site.sandbox.path("htdocs/data")).unwrap();
    // What ssh is asked, node by node.
    site.sandbox.program("ssh", &format!("echo \"$@\" >> {}/asked; exit 255", site.sandbox.path("").display()));
    let run = site.hour(0, &[]);
    assert_eq!(run.code, Some(1));
    let nodes: Vec<_> = run.stderr.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(nodes, ["ZZ SDU", "C2 C", "C2 H1", "X SDU", "G Z9:229"], "by the people who are told");
    let asked = fs::read_to_string(site.sandbox.path("asked")).unwrap();
    assert_eq!(asked.lines().count(), 4, "one login a node: {asked}");
    assert!(asked.lines().all(|line| line.ends_with(" /bin/bash -l -s")), "{asked}");
    assert!(asked.lines().any(|line| line.ends_with(" -p 229 -- Z9 /bin/bash -l -s")), "{asked}");
    assert!(site.sandbox.path("htdocs/data/scm_backup_monitor_Z9:229.json").exists());
    let check = site.hour(0, &["--check"]);
    assert!(check.stdout.contains("libfab.cnf [ENV] timeout: means nothing here"), "{}", check.stdout);
}

/// A site with these two files of the original, and an ssh that writes down what it is asked.
pub fn original(scm_monitor: &str, libfab: &str, more: &str) -> Site {
    let site = Site::new("");
    for (name, text) in [("scm", scm_monitor), ("fab", libfab)] {
        fs::set_permissions(site.sandbox.write(name, text), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let at = |name| site.sandbox.path(name).display().to_string();
    site.config(&format!("[backups]\nscm_monitor = {}\nlibfab = {}\n{more}", at("scm"), at("fab")));
    site.sandbox.program("ssh", &format!("echo \"$@\" >> {}; exit 255", at("asked")));
    site
}

#[test]
fn of_a_node_the_config_says_it_best_then_its_section_of_fabric_then_that_of_all() {
    let libfab = "[HUB]\nA = n1 n2 n3 me@n4:229\n[ENV]\nkey_filename = /env\nuser = env\nport = 1\nshell = /env -c\n\
                  [n1]\nkey_filename = /n1\nuser = n1\n[n2]\nkey_filename = /n2\nuser = n2\nshell = /n2 -c\n";
    let ours = "[node n2]\nuser = ours\n[node n3]\nkey = /ours\nshell = /ours -s\n";
    let site = original("[A]\nsrvnode = a\n", libfab, ours);
    site.hour(0, &[]);
    let asked = fs::read_to_string(site.sandbox.path("asked")).unwrap();
    let mut asked: Vec<_> = asked.lines().map(|line| line.split_once("PermitLocalCommand=no ").unwrap().1).collect();
    asked.sort_by_key(|line| line.split_once(" -- ").unwrap().1);
    assert_eq!(
        asked,
        [
            "-l n1 -i /n1 -p 1 -- n1 /env -s",
            "-l ours -i /n2 -p 1 -- n2 /n2 -s",
            "-l env -i /ours -p 1 -- n3 /ours -s",
            "-l me -i /env -p 229 -- n4 /env -s",
        ]
    );
}

#[test]
fn a_hub_of_the_original_that_nobody_watches_is_named_in_each_run() {
    let scm = "[DEFAULT]\nselect = svn/x\nsrvnode = a\n[A]\n[B]\nsrvnode = b\n";
    let site = original(scm, "[HUB]\nA = n1\n[DEFAULT]\nport = 229\n[ENV]\n", "");
    let (scm, fab) = (site.sandbox.path("scm"), site.sandbox.path("fab"));
    let why = format!(
        "hub B: {} has it, and [HUB] of {} names no nodes of it, so it is not watched; add B = NODES there, or remove [B]",
        scm.display(),
        fab.display()
    );
    let first = site.hour(0, &[]);
    assert_eq!(first.code, Some(1));
    let said = format!("collect-backups: {why}");
    assert!(first.stderr.lines().any(|line| line.starts_with(&said)), "{}", first.stderr);
    let check = site.hour(0, &["--check"]);
    let (hub, why) = why.split_once(": ").unwrap();
    let line = check.stdout.lines().find(|line| line.contains(hub)).unwrap_or_default();
    assert!(line.starts_with("failed  ") && line.ends_with(why), "{}", check.stdout);
    // What [DEFAULT] says is said of each section.
    let asked = fs::read_to_string(site.sandbox.path("asked")).unwrap();
    assert!(asked.lines().all(|line| line.contains(" -p 229 -- n1 ")), "{asked}");
    let later = site.hour(3, &[]);
    assert!(later.code == Some(1) && later.stderr.contains(why), "{}", later.stderr);
    fs::write(&fab, "[HUB]\n").unwrap();
    let none = site.hour(4, &[]);
    assert!(
        none.code == Some(2) && none.stderr.contains("no hub is configured: ") && none.stderr.contains("; hub A: ")
    );
}

#[test]
fn what_the_config_names_no_more_is_no_alarm_and_is_said_anew_when_it_comes_back() {
    let site = lab();
    let first = site.hour(0, &[]);
    assert_eq!(first.stderr.lines().count(), 2);
    let root = site.sandbox.path("backup");
    site.config(&format!(
        "[hub NEW]\nnodes = local\nroot = {}/tracs\ntimezone = UTC\nsets = lab\nshrink_percent = 90\n",
        root.display()
    ));
    let nagios = |now| status(&site, &["backups", "--nagios"], now);
    // Nothing is known of it yet.
    assert_eq!(nagios(NOW + 600).code, Some(3));
    assert_eq!(site.hour(1, &[]).stderr, "");
    let line = nagios(NOW + 3600);
    assert!(line.code == Some(0) && line.stdout.starts_with("GRIDMON OK - 1 set well |"), "{}", line.stdout);
    let shown = status(&site, &["backups"], NOW + 3600).stdout;
    assert!(shown.contains("hub NEW") && !shown.contains("LAB"), "{shown}");
    // It comes back: its alarms are new ones.
    site.hub("");
    let back = site.hour(2, &[]).stderr;
    assert!(back.contains(" svn/docs: old: ") && back.contains(" tracs/lab: shrunk: "), "{back}");
    let line = nagios(NOW + 2 * 3600);
    let said = "GRIDMON CRITICAL - LAB local svn/docs old, LAB local tracs/lab shrunk |";
    assert!(line.stdout.starts_with(said), "{}", line.stdout);
}

/// What gridmon-status prints at a time.
pub fn status(site: &Site, arguments: &[&str], now: u64) -> gridmon_testkit::sandbox::Outcome {
    let mut command = std::process::Command::new(gridmon_testkit::program("gridmon-status"));
    let now = now.to_string();
    command.args(arguments).args(["--now", &now]).current_dir(site.sandbox.path("")).env_clear();
    gridmon_testkit::sandbox::Outcome::of(&mut command)
}

#[test]
fn the_status_tells_what_the_last_run_said_and_whether_there_was_one() {
    let site = lab();
    let status_at = |arguments: &[&str], now: u64| status(&site, arguments, now);
    let status = |arguments: &[&str]| status_at(arguments, NOW + 600);
    let none = status(&["backups"]);
    assert_eq!((none.code, none.stderr.as_str()), (Some(1), "gridmon-status: no hub is known; run collect-backups\n"));
    let none = status(&["backups", "--nagios"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(3), "GRIDMON UNKNOWN - collect-backups has not run yet\n"));
    site.hour(0, &[]);
    let text = status(&["backups"]);
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    // The disk is this machine's.
    let is_steady = |line: &&str| !line.starts_with("local ") && !line.starts_with("node ");
    let shown: Vec<_> = text.stdout.lines().filter(is_steady).collect();
    let block = block("gridmon-status backups");
    let block: Vec<_> = block.iter().map(String::as_str).filter(is_steady).collect();
    assert_eq!(shown, block);
    assert!(text.stdout.contains("local  ok  10 min ago     2       2   +0 s  "), "{}", text.stdout);
    assert_eq!(status(&["backups", "LAB"]).stdout, text.stdout);
    assert_eq!(status(&["backups", "X"]).stderr, "gridmon-status: no hub called \"X\" is known; run collect-backups\n");
    let line = status(&["backups", "--nagios"]);
    let said = "GRIDMON CRITICAL - LAB local svn/docs old, LAB local tracs/lab shrunk | sets=2 alarms=2;;0 warnings=0;0 age=600s\n";
    assert_eq!((line.code, line.stdout.as_str()), (Some(2), said));
    for set in ["svn/docs", "tracs/lab"] {
        tarball(&site, &format!("{set}/2026/03/30/050000/x.tar.gz"), 800_000, NOW - 3600);
    }
    site.at(&(NOW + 300).to_string(), &[]);
    let line = status(&["backups", "--nagios"]);
    assert_eq!(
        (line.code, line.stdout.as_str()),
        (Some(0), "GRIDMON OK - 2 sets well | sets=2 alarms=0;;0 warnings=0;0 age=300s\n")
    );
    // Silence is no health.
    for (hours, code, word) in [(3, 1, "WARNING"), (6, 2, "CRITICAL")] {
        let line = status_at(&["backups", "--nagios"], NOW + 300 + hours * 3600);
        let begin = format!("GRIDMON {word} - collect-backups ran ");
        assert!(line.code == Some(code) && line.stdout.starts_with(&begin), "{}", line.stdout);
    }
}
