//! `/federate`, read by Debian's promtool.

use std::process::{Command, Stdio};

use gridmon::model::Kind;
use gridmon_testkit::{TempDir, skip};

use super::*;

/// A point of every measurement of this build with all its fields, whose tags have names that need escaping.
fn everything() -> String {
    let mut lines = String::new();
    for measurement in gridmon::setup::CATALOG.measurements() {
        lines.push_str(measurement.name);
        for tag in measurement.tags {
            let _ = write!(lines, ",{}=a\"b\\c{{d}}é", tag.name);
        }
        let value = |kind: Kind| if matches!(kind, Kind::Int) { "7i" } else { "0.5" };
        let fields = measurement.fields.iter().map(|field| format!("{}={}", field.name, value(field.kind)));
        let _ = writeln!(lines, " {} {}", fields.collect::<Vec<_>>().join(","), NOW * SECOND);
    }
    lines
}

/// The samples of a text: everything but its comments.
fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn promtool_reads_every_declared_metric() {
    if Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return skip("promtool_reads_every_declared_metric", "promtool of Debian's prometheus");
    }
    let site = Site::start();
    site.holds(&everything(), NOW + 30);
    let text = site.get("/federate");
    let fields = gridmon::setup::CATALOG.measurements().map(|measurement| measurement.fields.len()).sum::<usize>();
    assert_eq!(samples(&text).len(), fields);
    assert!(text.contains("{grid=\"a\\\"b\\\\c{d}é\""), "{text:.2000}");
    assert!(
        text.contains("\ninstance_net_rx_bytes_per_second{") && text.contains("\ninstance_net__rx_bytes_per_second{")
    );
    let folder = TempDir::new();
    let check = |text: &str| {
        let file = fs::File::open(folder.write("metrics", text)).unwrap();
        let out = Command::new("promtool").args(["check", "metrics"]).stdin(file).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.code(), said)
    };
    // 1 is a text that it cannot read; 3 is one whose names it would choose otherwise.
    let (code, said) = check(&text);
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {said}");
    // The declared names stay as they are in every store, so it may only say that they have other units than its own.
    for line in said.lines() {
        let is_unit = ["use base unit", "abbreviated unit", "should not contain"];
        assert!(
            is_unit.iter().any(|words| line.contains(words)) && !line.contains("_total") && !line.contains("_gb"),
            "{line}"
        );
    }
    let (code, _) = check(&text.replace("\\\"", "\""));
    assert_eq!(code, Some(1), "it refuses names that are not escaped");
}

#[test]
fn stale_series_are_left_out_and_some_can_be_named() {
    let site = Site::start();
    let line = |schedd: &str, back: i64| {
        format!("grid_schedd,grid=g,schedd={schedd} heartbeat=1i,duty_cycle_ratio=0.25 {}\n", (NOW - back) * SECOND)
    };
    site.holds(&(line("new", 0) + &line("late", 180) + &line("gone", 181)), NOW);
    let all = site.get("/federate");
    assert_eq!(
        samples(&all),
        [
            format!("grid_schedd_heartbeat{{grid=\"g\",schedd=\"late\"}} 1 {}000", NOW - 180),
            format!("grid_schedd_heartbeat{{grid=\"g\",schedd=\"new\"}} 1 {NOW}000"),
            format!("grid_schedd_duty_cycle_ratio{{grid=\"g\",schedd=\"late\"}} 0.25 {}000", NOW - 180),
            format!("grid_schedd_duty_cycle_ratio{{grid=\"g\",schedd=\"new\"}} 0.25 {NOW}000"),
        ]
    );
    assert!(all.contains("# TYPE grid_schedd_duty_cycle_ratio gauge\n"), "{all}");
    assert!(all.contains(" falls behind (RecentDaemonCoreDutyCycle) (ratio)\n"), "{all}");
    assert_eq!(samples(&site.get("/federate?match[]=grid_schedd_heartbeat")).len(), 2);
    assert_eq!(samples(&site.get("/federate?match%5B%5D=grid_schedd_d*")).len(), 2);
    assert_eq!(site.get("/federate?match[]=grid_pool"), "");
}
