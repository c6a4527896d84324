//! Configs that are odd: bad words in the files of the original, what adds to them, and what has no effect.

use std::fs;

use super::runs::{NOW, lab, original, status, tarball};

#[test]
fn one_bad_word_of_the_original_ends_neither_the_other_hubs_nor_the_run() {
    let scm =
        "[A]\nsrvnode = a\nemail = blyth\n[B]\nsrvnode = b/c\n[C]\nsrvnode = c\nemail = x@example.org, y@example.org\n";
    let site = original(scm, "[HUB]\nA = n1 a:b\nB = n2\nC = n3\n", "");
    fs::write(site.sandbox.path("scm"), [scm.as_bytes(), b"# caf\xe9\n"].concat()).unwrap();
    let run = site.hour(0, &[]);
    let (scm, fab) = (site.sandbox.path("scm"), site.sandbox.path("fab"));
    assert_eq!(run.code, Some(1));
    for said in [
        format!(
            "hub B: {} [B] srvnode \"b/c\" is no name of a folder, so it is not watched; correct it",
            scm.display()
        ),
        format!("hub A: {} [HUB] A: \"a:b\" is not local, nor [USER@]HOST[:PORT], so it is not asked", fab.display()),
        "A n1: unreachable: ".into(),
        "C n3: unreachable: ".into(),
    ] {
        assert!(run.stderr.contains(&said), "{said} is not in {}", run.stderr);
    }
    let check = site.hour(0, &["--check"]);
    assert!(check.stdout.contains("scm [A] email: \"blyth\" is no address"), "{}", check.stdout);
    assert!(!check.stdout.contains("[C] email"), "{}", check.stdout);
}

#[test]
fn a_hub_of_the_original_gets_what_our_config_adds() {
    let ours = "[hub A]\ntimezone = Asia/Shanghai\nemail = ours@example.org\n";
    let site = original("[A]\nsrvnode = a\nselect = svn/a\n", "[HUB]\nA = local\n", ours);
    let root = site.sandbox.path("backup");
    tarball(&site, "backup/a/svn/a/2026/03/30/103000/a.tar.gz", 5000, NOW - 9000);
    let add = format!("{ours}[node local]\nshell = env SCM_FOLD={} sh -s\n", root.display());
    let at = |name| site.sandbox.path(name).display().to_string();
    site.config(&format!("[backups]\nscm_monitor = {}\nlibfab = {}\n{add}", at("scm"), at("fab")));
    let run = site.hour(0, &[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let shown = status(&site, &["backups", "--history", "local/svn/a"], NOW);
    assert!(shown.stdout.contains("2026-03-30 02:30 UTC  "), "{} {}", shown.stdout, shown.stderr);
    site.config(&format!("[backups]\nscm_monitor = {}\nlibfab = {}\n[hub B]\ntimezone = UTC\n", at("scm"), at("fab")));
    let wrong = site.hour(1, &[]);
    let why = "[hub B]: has no nodes and no root, and no section of scm_monitor is called B";
    assert!(wrong.code == Some(2) && wrong.stderr.contains(why), "{}", wrong.stderr);
}

#[test]
fn a_check_names_what_has_no_effect() {
    let site = lab();
    let root = site.sandbox.path("backup");
    let root = root.display();
    site.config(&format!(
        "[hub N 1]\nnodes = local\nroot = {root}\ntimezone = UTC\n[backup_set N 1 svn/*]\nfresh_hours = 900\n\
         [backup_set N 1 svn/typo]\nkeep = 3\n[hub N]\nnodes = local\nroot = {root}\npattern = tracs/{{set}}/\n\
         check = gzip\n"
    ));
    let check = site.hour(0, &["--check"]);
    for said in [
        "[backup_set N 1 svn/typo]: no set of the hub has such a name",
        "[hub N] check: a backup that is a folder is not read, and only its size counts",
    ] {
        assert!(check.stdout.contains(said), "{said} is not in {}", check.stdout);
    }
    assert!(!check.stdout.contains("N 1 svn/*"), "{}", check.stdout);
}

#[test]
fn a_run_of_the_future_is_no_health_and_an_unread_node_is_one_alarm() {
    let site = lab();
    site.hour(0, &[]);
    let early = status(&site, &["backups", "--nagios"], NOW - 30 * 86_400);
    let said = "collect-backups ran 30 d 0 h in the future: a clock is wrong";
    assert!(early.code == Some(2) && early.stdout.contains(said), "{}", early.stdout);
    let root = site.sandbox.path("backup");
    site.config(&format!(
        "[hub LAB]\nnodes = local\nroot = $NOSUCH{}\ntimezone = UTC\nsets = svn/docs, tracs/lab\n",
        root.display()
    ));
    site.hour(1, &[]);
    let line = status(&site, &["backups", "--nagios"], NOW + 3600);
    let said = "GRIDMON CRITICAL - LAB local unreachable | sets=2 alarms=1;;0 ";
    assert!(line.code == Some(2) && line.stdout.starts_with(said), "{}", line.stdout);
    let slip = status(&site, &["backups", "LAP", "--nagios"], NOW + 3600);
    let said = "GRIDMON UNKNOWN - no hub called \"LAP\" is known";
    assert!(slip.code == Some(3) && slip.stdout.starts_with(said), "{}", slip.stdout);
}

/// Bash takes no path for no folder, so the root of all must keep its slash.
#[test]
fn the_root_may_be_that_of_all() {
    let site = lab();
    let record = format!("f\\t5000\\t{}.0\\tx/2026/03/30/023000/a.tar.gz\\0", NOW - 12_600);
    let listed = format!("d\\t1\\t1.0\\t\\0{record}");
    site.sandbox.program("find", &format!("[ \"$PWD\" = / ] || exit 1; case \"$*\" in *-H*) printf '{listed}';; esac"));
    site.config("[hub LAB]\nnodes = local\nroot = /\ntimezone = UTC\n[node local]\nshell = bash -s\n");
    let run = site.hour(0, &["--check"]);
    assert!(run.code == Some(0) && run.stdout.contains("1 set, 1 backup"), "{} {}", run.stdout, run.stderr);
    site.sandbox.program("find", "exit 0");
    let none = site.hour(0, &["--check"]);
    assert!(none.stdout.contains("nothing in / fits the pattern"), "{}", none.stdout);
}

#[test]
fn a_clock_is_ahead_or_behind() {
    let site = lab();
    for (seconds, words) in
        [(9030, "its clock is 2 h 30 min ahead of ours"), (-10_830, "its clock is 3 h 0 min behind ours")]
    {
        site.sandbox.program("date", &format!("echo $(($(/bin/date +%s) + {seconds}))"));
        let check = site.hour(0, &["--check"]);
        assert!(check.stdout.contains(words), "{}", check.stdout);
    }
}
