//! The other outputs of scm-backup-monitor, tgzmon and digestpath, each beside what we say of the same backups.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gridmon_testkit::sandbox::fixture;
use serde_json::Value;

use super::Site;
use super::history::{read, series, shape};
use super::report::{night, rows};
use super::runs::status;

fn golden(name: &str) -> String {
    fs::read_to_string(fixture("backups/golden").join(name)).unwrap()
}

/// A tarball of whole MiB below `fold`, written at this time.
fn tarball(site: &Site, path: &str, mib: u64, time: &str) {
    let path = site.sandbox.path("fold").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(mib << 20).unwrap();
    let seconds = time.parse::<jiff::Timestamp>().unwrap().as_second();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds as u64)).unwrap();
}

/// A site with a report, whose nodes have their backups below `fold`.
fn site(hub: &str) -> Site {
    let site = Site::new("");
    fs::create_dir_all(site.sandbox.path("report")).unwrap();
    let plots = site.sandbox.path("plots_%(node)s.json");
    site.config(&format!(
        "[backups]\nnode_seconds = 2\nreport_directory = {}\n{hub}json_path = {}\n",
        site.sandbox.path("report").display(),
        plots.display()
    ));
    answers(&site, "");
    site
}

/// Lets ssh do this first, with `$host` as the node's name; then the node has its backups below `fold`.
fn answers(site: &Site, first: &str) {
    let fold = site.sandbox.path("fold");
    let host = "while [ \"$1\" != -- ]; do shift; done; host=$2";
    site.sandbox.program("ssh", &format!("{host}\n{first}\nSCM_FOLD={} exec sh -s", fold.display()));
}

/// The rows of the page of a hub: node, or set, and the cells behind.
fn page(site: &Site, hub: &str) -> Vec<Vec<String>> {
    rows(&fs::read_to_string(site.sandbox.path("report").join(hub).join("index.rst")).unwrap())
}

/// The maker's local time was taken for UTC, and sizes below 11 MiB were multiplied by ten.
fn right(theirs: &[(i64, f64)], tens: bool) -> Vec<(i64, f64)> {
    theirs.iter().map(|(time, size)| (time - 8 * 3_600_000, if tens { size / 10.0 } else { *size })).collect()
}

#[test]
fn one_node_well_and_one_dead_on_the_same_evening() {
    let site = site(
        "[hub C2]\nnodes = C, H1\nroot = $SCM_FOLD/backup/cms02\ntimezone = Asia/Shanghai\n\
         sets = repos/env tracs/env repos/aberdeen tracs/aberdeen\n",
    );
    for (day, number) in [(12, 3606), (13, 3607)] {
        for name in ["aberdeen", "env"] {
            let written = format!("2012-11-{day}T04:30:22Z");
            let folder = |kind: &str| format!("backup/cms02/{kind}/{name}/2012/11/{day}/123022");
            tarball(&site, &format!("{}/{name}.tar.gz", folder("tracs")), 5, &written);
            tarball(&site, &format!("{}/{name}-{number}.tar.gz", folder("repos")), 15, &written);
        }
    }
    answers(
        &site,
        "[ $host != H1 ] || { echo \"ssh: connect to host $host port 22: Connection refused\" >&2; exit 255; }",
    );
    let database = site.sandbox.path("scm.db");
    rusqlite::Connection::open(&database).unwrap().execute_batch(&golden("c2_2.dump.sql")).unwrap();
    let now = "2012-11-13T10:20:00Z";
    let import = site.at(now, &["--import", database.to_str().unwrap()]);
    assert!(import.stdout.contains(": 12 backups of 8 sets; 0 rows of no hub"), "{}{}", import.stdout, import.stderr);
    let run = site.at(now, &[]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.starts_with("collect-backups: C2 H1: unreachable: "), "{}", run.stderr);
    // To the original H1 was four old sets; its sets stay as they were, and the node is the one alarm.
    let (ours, theirs) = (page(&site, "C2"), rows(&golden("c2_2.rst")));
    assert_eq!(ours[1], theirs[1], "C is well");
    assert_eq!((ours[2][0].as_str(), ours[2][4].as_str()), (theirs[2][0].as_str(), theirs[2][4].as_str()));
    for node in ["C", "H1"] {
        let theirs: Value = serde_json::from_str(&golden(&format!("c2_2.{node}.json"))).unwrap();
        let ours = read(&site, &format!("plots_{node}.json"));
        assert_eq!(shape(ours.clone()), shape(theirs.clone()), "{node}");
        let (ours, theirs) = (series(&ours), series(&theirs));
        assert_eq!(ours["OK"], theirs["OK"], "{node}");
        for (set, points) in theirs.iter().filter(|(set, _)| *set != "OK") {
            assert_eq!(ours[set], right(points, set.starts_with("tracs")), "{node} {set}");
        }
    }
}

#[test]
fn a_node_with_a_port_has_it_in_its_name_and_files() {
    let site = site(
        "[hub G]\nnodes = Z9:229\nroot = $SCM_FOLD/backup/g4pb\ntimezone = Asia/Shanghai\nsets = repos/data tracs/data\n",
    );
    for day in [11, 12] {
        for (kind, mib) in [("tracs", 30), ("repos", 12)] {
            let path = format!("backup/g4pb/{kind}/data/2012/11/{day}/090000/data.tar.gz");
            tarball(&site, &path, mib, &format!("2012-11-{day}T01:00:00Z"));
        }
    }
    let run = site.at("2012-11-12T01:30:00Z", &[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(page(&site, "G")[..2], rows(&golden("g_ok.rst"))[..2]);
    let theirs: Value = serde_json::from_str(&golden("g_ok.Z9_229.json")).unwrap();
    let ours = read(&site, "plots_Z9:229.json");
    assert_eq!(shape(ours.clone()), shape(theirs.clone()));
    let (ours, theirs) = (series(&ours), series(&theirs));
    assert_eq!(ours["OK"], theirs["OK"]);
    for set in ["tracs/data", "repos/data"] {
        assert_eq!(ours[set], right(&theirs[set], false), "{set}");
    }
}

/// The original cut the sets' common beginning off, found neither of them, and had no plot of either.
#[test]
fn two_sets_with_one_beginning_have_their_plots() {
    let site = site(
        "[hub X]\nnodes = SDU\nroot = $SCM_FOLD/backup/onlysvn\ntimezone = Asia/Shanghai\nsets = svn/dybsvn svn/dybaux\n",
    );
    for day in 10..=13 {
        let written = format!("2012-11-{day}T02:47:02Z");
        for (set, mib) in [("dybsvn", 25), ("dybaux", 38)] {
            tarball(&site, &format!("backup/onlysvn/svn/{set}/2012/11/{day}/104702/{set}.tar.gz"), mib, &written);
        }
    }
    let folder = "backup/onlysvn/svn/dybaux/2012/11/13/104702";
    for name in ["dybaux-1.tar.gz", "notes.gz"] {
        tarball(&site, &format!("{folder}/{name}"), 2, "2012-11-13T02:47:02Z");
    }
    let run = site.at("2013-11-13T08:09:36Z", &[]);
    assert_eq!(
        run.stderr.lines().filter(|line| line.contains(": old: the newest is 365 d ")).count(),
        2,
        "{}",
        run.stderr
    );
    let theirs: Value = serde_json::from_str(&golden("x_prefix.json")).unwrap();
    let mut ours = read(&site, "plots_SDU.json");
    let points = series(&ours);
    assert_eq!((points["svn/dybsvn"].len(), points["svn/dybaux"].len()), (4, 4));
    // Backups, where the original counted every .gz.
    let counts: Vec<_> =
        points["OK"].iter().zip(&series(&theirs)["OK"]).map(|(ours, theirs)| (ours.1, theirs.1)).collect();
    assert_eq!(counts, [(2.0, 2.0), (2.0, 2.0), (2.0, 2.0), (2.0, 4.0)]);
    ours["series"].as_array_mut().unwrap().retain(|series| series["name"] == "OK");
    assert_eq!(shape(ours), shape(theirs));
}

/// Three nights of hub ZZ.
fn zz() -> Site {
    let site = site(
        "[hub ZZ]\nnodes = SDU\nroot = $SCM_FOLD/backup/dayabay\ntimezone = Asia/Shanghai\nfresh_hours = 24\n\
         sets = svn/dybsvn tracs/dybsvn svn/dybaux tracs/dybaux\n",
    );
    for number in 1..=3 {
        night(&site, number);
        assert_eq!(site.at(&format!("2012-11-{}T08:09:36Z", 10 + number), &[]).code, Some(0));
        let theirs = series(&serde_json::from_slice(&fs::read(json_of(number)).unwrap()).unwrap());
        let ours = series(&read(&site, "plots_SDU.json"));
        for (set, points) in theirs.iter().filter(|(set, _)| *set != "OK") {
            let mut right: Vec<_> = points
                .iter()
                .map(|(time, size)| {
                    (time - 8 * 3_600_000, if *size >= 10.0 && size % 10.0 == 0.0 { size / 10.0 } else { *size })
                })
                .collect();
            right.sort_by(|a, b| a.partial_cmp(b).unwrap());
            if number == 3 && set == "svn/dybaux" {
                // Two tarballs and notes.gz have one stamp: the largest tarball counts.
                right.truncate(right.len() - 3);
                right.push((1_352_774_822_000, 10.0));
            }
            assert_eq!(ours[set], right, "night {number}, {set}");
        }
    }
    site
}

fn json_of(night: usize) -> PathBuf {
    match night {
        3 => fixture("backups/zz3.SDU.json"),
        _ => fixture(&format!("backups/golden/zz{night}.SDU.json")),
    }
}

/// The plots of each night, from the listings; then tgzmon's two mails about the third.
#[test]
fn tgzmon_fails_what_is_old_and_each_morning_a_count_that_is_none_of_a_set() {
    let site = zz();
    for (golden_name, now) in
        [("tgzmon_tuesday", "2012-11-13T08:30:00Z"), ("tgzmon_next_morning", "2012-11-14T01:00:00Z")]
    {
        let dry = site.at(now, &["--dry-run", "--format", "json"]);
        let points: Vec<Value> = dry.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mail = golden(&format!("{golden_name}.mail.txt"));
        let mut judged = 0;
        for line in mail.lines().filter(|line| line.contains(" monitor_age ")) {
            let (_, rest) = line.split_once(" monitor_age ").unwrap();
            let (set, rest) = rest.split_once(' ').unwrap();
            // "The count of a day is as old as its midnight", which is no news.
            if set == "OK" {
                continue;
            }
            let age = rest.trim_start().strip_prefix("age ").unwrap();
            let age = age.split("  ").next().unwrap();
            let (days, clock) = age
                .split_once(", ")
                .map_or((0, age), |(days, clock)| (days.split(' ').next().unwrap().parse::<i64>().unwrap(), clock));
            let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap()) + days * 86_400;
            let point = points.iter().find(|point| point["tags"]["set"] == set).unwrap_or_else(|| panic!("{set}"));
            assert_eq!(point["fields"]["age_seconds"], seconds, "{golden_name} {set}");
            let verdict = point["fields"]["verdict"].as_i64().unwrap();
            assert_eq!([15, 16].contains(&verdict), line.starts_with("FAIL"), "{golden_name} {set}: {verdict}");
            judged += 1;
        }
        assert_eq!(judged, 4, "{golden_name}");
    }
    assert!(
        golden("tgzmon_next_morning.mail.txt").contains("monitor_age OK   ")
            && golden("tgzmon_next_morning.mail.txt").contains("violations:2")
    );
}

/// The mail of the second night has the whole page; ours is the one line that is new.
#[test]
fn a_mail_says_what_is_new() {
    let site = site(
        "[hub ZZ]\nnodes = SDU\nroot = $SCM_FOLD/backup/dayabay\ntimezone = Asia/Shanghai\n\
         sets = svn/dybsvn tracs/dybsvn svn/dybaux tracs/dybaux\n",
    );
    let mail = golden("zz2.mail.txt");
    let alarmed: Vec<_> = ["svn/dybsvn", "tracs/dybsvn", "svn/dybaux", "tracs/dybaux"]
        .into_iter()
        .filter(|set| mail.contains(set))
        .collect();
    assert_eq!(alarmed, ["tracs/dybaux"]);
    night(&site, 1);
    site.at("2012-11-11T08:09:36Z", &[]);
    night(&site, 2);
    let run = site.at("2012-11-12T08:09:36Z", &[]);
    assert_eq!(run.stderr.lines().count(), 1);
    assert!(run.stderr.starts_with("collect-backups: ZZ SDU tracs/dybaux: old: "), "{}", run.stderr);
    // The database of the first night has the backups that we saw.
    let database = site.sandbox.path("scm.db");
    rusqlite::Connection::open(&database).unwrap().execute_batch(&golden("zz1.SDU.dump.sql")).unwrap();
    let before = series(&read(&site, "plots_SDU.json"));
    let import = site.at("2012-11-12T08:09:36Z", &["--import", database.to_str().unwrap()]);
    assert!(import.stdout.contains(": 20 backups of 5 sets; 0 rows"), "{}", import.stdout);
    site.at("2012-11-12T09:09:36Z", &[]);
    assert_eq!(series(&read(&site, "plots_SDU.json")), before);
}

/// tgzmon mails that it could not load the JSON; our own silence is a monitor's to see.
#[test]
fn what_cannot_be_loaded_is_unknown() {
    assert!(golden("tgzmon_no_json.mail.txt").contains("FAIL : http://127.0.0.1:8000/nothing.json _load"));
    let site = site("[hub ZZ]\nnodes = SDU\nroot = /b\n");
    let line = status(&site, &["backups", "--nagios"], 1_352_854_800);
    assert_eq!((line.code, line.stdout.as_str()), (Some(3), "GRIDMON UNKNOWN - collect-backups has not run yet\n"));
}

/// digestpath's three: one that is as its sidecar says, one that is not, one without a sidecar.
#[test]
fn digests_match_differ_and_are_missing() {
    let golden = golden("digestpath.txt");
    let counts = |name: &str| {
        let of = |line: &str| line.split_once(&format!("'{name}': ")).unwrap().1.chars().next().unwrap();
        golden.lines().map(of).collect::<String>()
    };
    assert_eq!(["tarball_count", "dna_match", "dna_mismatch", "dna_missing"].map(counts), ["111", "100", "010", "001"]);
    let site = site(
        "[hub D]\nnodes = N\nroot = $SCM_FOLD/backup\ntimezone = UTC\ncheck = digest\nsets = a b c\nleast_bytes = 1\n",
    );
    let now = "2012-11-13T10:20:00Z";
    for (set, text, seal) in [
        ("a", "hello", Some("5d41402abc4b2a76b9719d911017c592")),
        ("b", "hellO", Some("5d41402abc4b2a76b9719d911017c592")),
        ("c", "hello", None),
    ] {
        let path = format!("backup/{set}/2012/11/13/020000/x.tar.gz");
        tarball(&site, &path, 0, "2012-11-13T02:00:00Z");
        let path = site.sandbox.path("fold").join(path);
        fs::write(&path, text).unwrap();
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_352_772_000);
        File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
        if let Some(seal) = seal {
            fs::write(format!("{}.dna", path.display()), format!("{{'dig': '{seal}', 'size': 5}}")).unwrap();
        }
    }
    let run = site.at(now, &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains(" b: digest: "), "{}", run.stderr);
    for (set, word) in [("a", "checked: good"), ("b", "another digest"), ("c", "no sidecar")] {
        let shown = status(&site, &["backups", "--history", &format!("N/{set}")], 1_352_802_000);
        assert!(
            shown.stdout.contains(&format!("5 B  {word}  {set}/2012/11/13/020000/x.tar.gz")),
            "{}{}",
            shown.stdout,
            shown.stderr
        );
    }
}

/// What the node or ssh does in each of the original's 16 situations; our exit code; and what is said, if anything.
const SITUATIONS: [(&str, &str, i32, &str); 16] = [
    ("zz1", "", 0, ""),
    ("zz3", "night 3", 0, ": small: "),
    ("zz3again", "night 3 again", 0, ""),
    ("x_prefix", "x", 0, ": never: "),
    ("c2_never_answered", "exit 255", 1, ": unreachable: "),
    ("c2_down_same_evening", "exit 255", 1, ": unreachable: "),
    ("g_noemail", "night 3", 0, ": small: "),
    ("b_noise", "echo 'Welcome to SDU, quota 93% used'", 0, ""),
    ("b_stray", "stray", 0, ""),
    ("b_perm", "perm", 0, ": unreadable: this login may not read svn/dybsvn"),
    (
        "b_nokey",
        "echo 'me@SDU: Permission denied (publickey).' >&2; exit 255",
        1,
        "add the user's public key to its authorized_keys",
    ),
    (
        "b_hostkey",
        "echo '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @' >&2; exit 255",
        1,
        "its host key is not the known one",
    ),
    (
        "b_refused",
        "echo 'ssh: connect to host SDU port 22: Connection refused' >&2; exit 255",
        1,
        "no ssh server listens there",
    ),
    ("b_blackhole", "exec sleep 60", 1, "gave no answer in 2 s"),
    ("b_hang", "echo hello; exec sleep 60", 1, "gave no answer in 2 s"),
    ("b_verbosefalse", "verbose", 0, ""),
];

#[test]
fn in_each_situation_the_exit_code_and_the_words_are_right() {
    let table = golden("runs.tsv");
    let cases: Vec<_> = table.lines().skip(1).map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(cases, SITUATIONS.map(|(name, ..)| name));
    for (name, does, code, says) in SITUATIONS {
        let sets =
            if does == "x" { "nosuch" } else { "svn/dybsvn tracs/dybsvn svn/dybaux tracs/dybaux folders/svnsetup" };
        let hub = "root = $SCM_FOLD/backup/dayabay\ntimezone = Asia/Shanghai\n";
        let site = site(&format!("[hub ZZ]\nnodes = SDU\n{hub}sets = {sets}\n"));
        night(&site, 1);
        let mut now = "2012-11-11T08:09:36Z";
        let root = site.sandbox.path("fold/backup/dayabay");
        match does {
            "night 3" | "night 3 again" => {
                now = "2012-11-13T08:09:36Z";
                night(&site, 3);
                if does == "night 3 again" {
                    site.at(now, &[]);
                }
            }
            "stray" => fs::write(root.join("stray.tar.gz"), "x").unwrap(),
            // Root may read everything.
            "perm" => {
                fs::set_permissions(root.join("svn/dybsvn"), fs::Permissions::from_mode(0o700)).unwrap();
                let fold = site.sandbox.path("fold");
                let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
                answers(&site, &format!("[ $(id -u) != 0 ] || SCM_FOLD={} exec {user} sh -s", fold.display()));
            }
            // A key of the original's files that means nothing here.
            "verbose" => {
                for (name, text) in
                    [("scm", "[ZZ]\nsrvnode = dayabay\n"), ("fab", "[HUB]\nZZ = SDU\n[ENV]\nverbose = False\n")]
                {
                    fs::set_permissions(site.sandbox.write(name, text), fs::Permissions::from_mode(0o600)).unwrap();
                }
                let at = |name| site.sandbox.path(name).display().to_string();
                site.config(&format!("[backups]\nscm_monitor = {}\nlibfab = {}\n", at("scm"), at("fab")));
            }
            "x" | "" => {}
            first => answers(&site, first),
        }
        let run = site.at(now, &[]);
        assert_eq!(run.code, Some(code), "{name}: {}", run.stderr);
        assert!(run.stderr.contains(says) && run.stderr.is_empty() == says.is_empty(), "{name}: {}", run.stderr);
    }
}
