//! What is wrong and what happened, at a fixed clock: JSON, CSV, the line above the tables, the page of events, and the words
//! for a monitor.

use std::fmt::Write as _;

use gridmon::setup::Config;
use gridmon_testkit::sandbox::NOW;

use super::page::{Site, unversioned, with_store};
use super::{golden, status};

/// Two hours of a grid, a run each minute up to a minute ago: a schedd with an odd name is down, another one was, jobs are held,
/// a quota was changed, one cloud is disabled, and a clock is wrong.
fn lines() -> String {
    let mut lines = String::new();
    for minute in 1..=120_i64 {
        let time = (NOW - 60 * minute) * 1_000_000_000;
        let (odd, other) = (i64::from(minute > 40), i64::from(!(60..80).contains(&minute)));
        let (held, quota) = (if minute <= 30 { 41 } else { 2 }, if minute <= 90 { 120 } else { 100 });
        for line in [
            "grid_heartbeat,grid=heprc,service=cloud_monitor alive=1i",
            "coverage,grid=heprc,measurement=grid_heartbeat slots=1i,step_seconds=60i",
            &format!("grid_schedd,grid=heprc,schedd=<i>ce05&\"' heartbeat={odd}i"),
            &format!("grid_schedd,grid=heprc,schedd=ce02 heartbeat={other}i"),
            &format!("grid_cloud_jobs,grid=heprc,cloud=cc-west,status=held jobs={held}i"),
            &format!("grid_cloud,grid=heprc,cloud=cc-east enabled=1i,quota={quota}i"),
            "grid_cloud,grid=heprc,cloud=island enabled=0i,quota=30i",
        ] {
            let _ = writeln!(lines, "{line} {time}");
        }
    }
    let _ = writeln!(lines, "grid_schedd,grid=heprc,schedd=ce02 heartbeat=0i {}", (NOW + 3600) * 1_000_000_000);
    lines
}

/// The part of a page from its line on: what comes before it is held by the pages' own files.
fn from_line(page: &str) -> String {
    page[page.find("<section class=\"now").unwrap()..].into()
}

#[test]
fn troubles_and_events_are_golden_files() {
    let sandbox = with_store(&lines());
    let rules = Config::load(Some(&sandbox.path("config.cfg"))).unwrap().alarms;
    let site = Site::with_rules(&sandbox, NOW, rules);
    golden("troubles/problems.json", site.body("/api/v1/problems"));
    golden("troubles/events.json", site.body("/api/v1/events?from=-3h"));
    golden("troubles/events.csv", site.body("/api/v1/events?from=-3h&format=csv"));
    let tables = site.body("/tables");
    let line = &from_line(&tables)[..tables.find("</section>").unwrap()];
    golden("troubles/line.html", line);
    let page = unversioned(&site.body("/events/?from=-3h"));
    assert!(page.contains("<title>(2) Cloud Monitor</title>") && page.contains("%23c4261f"), "{page}");
    let begin = page.find("<main>").unwrap();
    golden("troubles/events.html", &page[begin..page.find("</main>").unwrap()]);
    let fresh = site.body("/events/tables?from=-3h");
    let (systems, body) = fresh.split_at(fresh.find("</nav>\n").unwrap() + "</nav>\n".len());
    assert!(page.contains(systems) && page.contains(body), "the page holds what its refresh brings");
    // A picture marks what happened to its numbers alone: a line and a shape.
    let picture = |path: &str| site.body(&format!("/plot.svg?events=1&from=-3h&path=grids.heprc.{path}"));
    for (path, shapes) in [("schedds.ce02.heartbeat", 2), ("clouds.cc-east.quota", 2), ("heartbeat.cloud_monitor", 0)] {
        assert_eq!(picture(path).matches("class=\"event\"").count(), shapes, "{path}");
    }
    // Each page has the line, with links that lead from there.
    for (path, link) in [
        ("/", "href=\"pages/grids/"),
        ("/pages/panda/", "href=\"../../pages/grids/"),
        ("/events/", "href=\"../pages/grids/"),
    ] {
        let page = site.body(path);
        assert!(page.contains("<title>(2) Cloud Monitor</title>") && page.contains(link), "{path}");
    }
    for (path, words) in [
        ("/api/v1/events?from=now&until=-1h", "from is not before until"),
        ("/api/v1/events?from=%2B1h&until=%2B2h", "from is in the future"),
        ("/api/v1/events?format=xml", "format \\\"xml\\\" is not json or csv"),
        ("/api/v1/events?from=nonsense", "from"),
    ] {
        let (head, body) = site.ask(path);
        assert!(head.starts_with("HTTP/1.1 400 ") && body.contains(words), "{path}: {head}{body}");
    }
}

#[test]
fn a_monitor_is_told_the_same_with_its_exit_code() {
    let sandbox = with_store(&lines());
    let told = |arguments: &[&str]| {
        let now = NOW.to_string();
        let outcome = status(&sandbox, &[&["--now", &now], arguments].concat());
        assert_eq!(outcome.stderr, "", "{arguments:?}");
        (outcome.code, outcome.stdout)
    };
    let (code, text) = told(&["grid", "--nagios"]);
    assert_eq!(code, Some(2));
    golden("troubles/nagios.txt", text);
    let (code, text) = told(&["problems"]);
    assert_eq!(code, Some(0));
    golden("troubles/problems.txt", text);
    let (code, text) = told(&["grid", "nowhere", "--nagios"]);
    assert!(code == Some(3) && text.starts_with("GRIDMON UNKNOWN - nothing is stored"), "{text}");
    let (code, text) = told(&["problems", "clouds", "--nagios"]);
    assert!(code == Some(3) && text.contains("there is no system \"clouds\"; there are grids, suspicious"), "{text}");
    // With other limits only the schedd is left, then nothing.
    let config = std::fs::read_to_string(sandbox.path("config.cfg")).unwrap();
    sandbox.write("config.cfg", format!("{config}\n[alarms]\nheld_jobs = 100\n"));
    let (_, text) = told(&["problems", "--nagios"]);
    assert!(text.contains("bad=1;;0;0 worse=0;0;;0 off=1"), "{text}");
    let well = with_store(
        &lines()
            .lines()
            .filter(|line| !line.contains("ce05") && !line.contains("held"))
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    );
    let outcome = status(&well, &["--now", &NOW.to_string(), "grid", "--nagios"]);
    assert!(outcome.code == Some(0) && outcome.stdout.starts_with("GRIDMON OK - all well, "), "{}", outcome.stdout);
}
