//! `--compare`: the golden points of QMonit against ours, and differences that nobody knows.

use super::*;

/// A run that compares with a file of these lines.
fn against(site: &Site, lines: &[String]) -> Outcome {
    let path = site.sandbox.write("old.lp", lines.join("\n"));
    site.at(NOW, &["--compare", path.to_str().unwrap()])
}

fn golden() -> Vec<String> {
    fs::read_to_string(fixture("panda/writeJobStats.lp")).unwrap().lines().map(String::from).collect()
}

#[test]
fn against_qmonits_own_points_each_difference_has_its_cause() {
    let site = Site::golden();
    let lines = golden();
    let outcome = against(&site, &lines);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
    let out = &outcome.stdout;
    assert!(out.starts_with("collect-panda at 2024-06-01 12:30 UTC, against "), "{out}");
    assert!(
        out.contains("168 points here, 154 there: 0 equal, 84 alike, 70 differ, 0 missing here, 14 extra here\n"),
        "{out}"
    );
    assert_eq!(outcome.lines_with("QMonit dropped queues that CRIC does not know").len(), 15, "{out}");
    assert!(out.contains("known   154 × QMonit's points have no sequence") && out.ends_with("unknown 0\n"), "{out}");
    assert!(!out.contains("no known cause"), "{out}");
    // Nothing was kept or sent.
    assert!(!site.sandbox.path("state/gridmon.db").exists() && !site.sandbox.path("state/spool").exists());
}

#[test]
fn a_difference_without_a_known_cause_is_named_and_fails() {
    let site = Site::golden();
    let mut lines = golden();
    let at = |of: &str| golden().iter().position(|line| line.contains(of)).unwrap_or_else(|| panic!("{of}"));
    let (changed, gone) = (at("job_status=running"), at("job_status=failed"));
    let value = lines[changed].split("jobs=").nth(1).unwrap().split('i').next().unwrap().to_string();
    lines[changed] = lines[changed].replace(&format!("jobs={value}i"), "jobs=987654i");
    lines.remove(gone);
    lines.push(lines[0].replace("panda_queue=", "panda_queue=OLD_"));
    // Of another time, and of another measurement.
    lines.push(lines[0].rsplit_once(' ').unwrap().0.to_string() + " 1717244400100000000");
    lines.push("other,x=y text=\"a b\" 5".into());
    let outcome = against(&site, &lines);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""), "{}", outcome.stdout);
    let unknown = outcome.lines_with("no known cause");
    assert_eq!(unknown.len(), 3, "{}", outcome.stdout);
    let has = |kind: &str, words: &str| unknown.iter().any(|line| line.starts_with(kind) && line.contains(words));
    assert!(has("differs ", &format!(" jobs: {value}i here, 987654i there: no known cause")), "{unknown:?}");
    assert!(has("missing ", "panda_queue=OLD_") && has("extra ", "job_status=failed"), "{unknown:?}");
    assert!(outcome.stdout.ends_with("unknown 3\n"), "{}", outcome.stdout);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let site = Site::golden();
    let run = |source: &str| site.at(NOW, &["--compare", source]);
    let fails = |outcome: Outcome, words: &str| {
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
    };
    // A slip of the pen costs no question to the sources.
    fails(run("nowhere.lp"), "collect-panda: nowhere.lp: cannot be read; give a file (line protocol, ");
    assert_eq!(site.server.asked(PANDA), Vec::<String>::new());
    fails(run("http://127.0.0.1:1/"), "an InfluxDB needs ?db=NAME behind its address");
    fails(run("http://u:secret@127.0.0.1:1/?db=x"), "the login belongs into [influxdb]");
    fails(run("http://127.0.0.1:1/?db=x&q=y"), "\"q=y\" is not db=NAME or rp=POLICY");
    fails(run("http://127.0.0.1:1/?db=x"), "127.0.0.1:1");
    fails(against(&site, &["jobs,panda_queue=A jobs=x 5".into()]), "line 1: ");
    let other = against(&site, &[golden()[0].rsplit_once(' ').unwrap().0.to_string() + " 5"]);
    assert_eq!(other.code, Some(1));
    assert!(other.stdout.contains("nothing of this time is there, 1 point of other times: give the time with --now"));
    let both = site.at(NOW, &["--compare", "x", "--dry-run"]);
    assert_eq!(both.code, Some(2), "{}", both.stderr);
    // PanDA does not answer: everything is missing here, and the reason is said.
    site.server.gives(PANDA, &json!({"success": false, "message": "no database", "data": {}}));
    let dark = against(&site, &golden());
    assert_eq!(dark.code, Some(1));
    assert!(dark.stderr.contains("no database") && dark.stdout.contains("154 missing here"), "{}", dark.stdout);
}
