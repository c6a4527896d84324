//! The repository itself: what the documents show is what the programs do.

#![allow(clippy::unwrap_used)]

mod colours;
mod configuration;
mod documents;
mod floors;
mod outputs;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use gridmon_testkit::programs;
use gridmon_testkit::sandbox::{NOW, Sandbox, fixture};

fn root(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(root(name)).unwrap()
}

/// A document, and the range of its fenced block that follows the line `<!-- name -->`.
fn block(file: &str, name: &str) -> (String, std::ops::Range<usize>) {
    let document = text(file);
    let marker = format!("<!-- {name} -->\n");
    let fence = document.find(&marker).unwrap_or_else(|| panic!("{file} has no block {name}")) + marker.len();
    let begin = fence + document[fence..].find('\n').unwrap() + 1;
    // The fence may follow at once: an empty block.
    let end = begin + document[begin - 1..].find("\n```").unwrap();
    (document, begin..end)
}

/// Holds the block of a document to `actual`; with `UPDATE_EXPECT=1` writes it.
fn expect_block(file: &str, name: &str, actual: &str) {
    // Several tests hold blocks of one document.
    static WRITING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = WRITING.lock();
    let (mut document, range) = block(file, name);
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        document.replace_range(range, actual);
        fs::write(root(file), &document).unwrap();
    }
    let (document, range) = block(file, name);
    assert_eq!(&document[range], actual, "block {name} of {file}");
}

/// The sections of config.cfg.example, each as `[name]` and its text.
fn example_sections() -> Vec<(String, String)> {
    let example = text("config.cfg.example");
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in example.lines() {
        if line.starts_with('[') {
            sections.push((line.into(), String::new()));
        }
        if let Some((_, text)) = sections.last_mut() {
            *text += &format!("{line}\n");
        }
    }
    sections
}

#[test]
fn the_documents_show_each_section_of_the_example_config() {
    let sections = example_sections();
    let mut shown = BTreeSet::new();
    for (file, names) in [
        ("docs/collect-grid.md", "[grid] [htcondor] [cloud_scheduler] [job_types]"),
        ("docs/cloud-monitor.md", "[graphite] [dashboard] [alarms]"),
        ("docs/delivery.md", "[carbon] [graphite] [embedded] [spool] [state]"),
        ("docs/influxdb.md", "[influxdb] [credentials]"),
        ("docs/collect-backups.md", "[backups]"),
        ("docs/collect-instances.md", "[libvirt]"),
        ("docs/collect-slurm.md", "[slurm]"),
        ("docs/qagent.md", "[sensor:VirtualMemory] [sensor:LoadAverage] [sensor:GPU]"),
        ("docs/qagent.md", "[logging]"),
        ("docs/qagent.md", "[qmaster]"),
        ("docs/qmaster.md", "[qmaster]"),
        ("docs/mysql.md", "[mysql]"),
        ("docs/rrd.md", "[rrd]"),
        ("docs/s3.md", "[s3]"),
        ("docs/mail.md", "[mail] [credentials_adcmon]"),
        ("docs/downsample-1h.md", "[downsample]"),
        ("docs/collect-panda.md", "[panda] [cric] [credentials_monit_grafana] [credentials_elasticsearch]"),
    ] {
        let names: Vec<_> = names.split(' ').collect();
        let of_them = sections.iter().filter(|(name, _)| names.contains(&name.as_str()));
        let actual: String = of_them.map(|(_, text)| text.as_str()).collect();
        expect_block(file, &format!("config.cfg.example {}", names.join(" ")), &format!("{}\n", actual.trim_end()));
        shown.extend(names.into_iter().map(String::from));
    }
    // The sensors' sections have most keys in common: docs/qagent.md shows some.
    let is_sensor = |name: &String| name.starts_with("[sensor:");
    shown.retain(|name| !is_sensor(name));
    assert_eq!(shown, sections.into_iter().map(|(name, _)| name).filter(|name| !is_sensor(name)).collect());
}

#[test]
fn the_documents_list_every_rule() {
    let (file, begin, end) = ("docs/cloud-monitor.md", "<!-- rules -->\n", "<!-- end of rules -->");
    let document = text(file);
    let from = document.find(begin).unwrap() + begin.len();
    let range = from..document.find(end).unwrap();
    let rules = gridmon::events::documentation(&gridmon::setup::SYSTEMS);
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(root(file), format!("{}{rules}{}", &document[..range.start], &document[range.end..])).unwrap();
    } else {
        assert_eq!(&document[range], rules);
    }
}

#[test]
fn the_documents_show_the_crontab_and_the_measurements() {
    expect_block("docs/collect-grid.md", "crontab.example", &text("crontab.example"));
    let list = Sandbox::new("small").run(&["--list"]);
    assert_eq!((list.code, list.stderr.as_str()), (Some(0), ""));
    expect_block("docs/collect-grid.md", "collect-grid --list", &list.stdout);
}

#[test]
fn the_documents_show_what_a_dry_run_prints() {
    let sandbox = Sandbox::new("small");
    let outcome = sandbox.dry_run();
    let (document, range) = block("docs/collect-grid.md", "collect-grid --dry-run");
    for line in document[range].lines().filter(|line| !line.starts_with("$ ") && *line != "…") {
        assert!(outcome.stdout.lines().any(|printed| printed == line), "{line}");
    }
}

#[test]
fn the_documents_show_what_a_comparison_prints() {
    let sandbox = Sandbox::new("small");
    sandbox.config("[grid]\nlive_hosts = send");
    sandbox.write("old.pickle", fs::read(fixture("cloud_monitor/small/original.frames")).unwrap());
    let outcome = sandbox.run(&["--now", &NOW.to_string(), "--compare", "old.pickle"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    expect_block("docs/comparing.md", "collect-grid --compare", &outcome.stdout);
}

/// A document without its fenced blocks.
fn prose(document: &str) -> String {
    document.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_document_of_the_measurements_is_what_they_declare() {
    let document = gridmon::frame::document(gridmon::setup::CATALOG);
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(root("docs/measurements.md"), &document).unwrap();
    }
    assert_eq!(document, text("docs/measurements.md"));
}

/// The programs that neither cron nor systemd starts.
const BY_HAND: [&str; 1] = ["gridmon-status"];

/// The programs that run all the time.
const SERVICES: [&str; 3] = ["cloud-monitor", "qagent", "qmaster"];

#[test]
fn every_line_of_the_crontab_and_every_unit_names_a_program_that_exists() {
    let programs = programs();
    let crontab = text("crontab.example");
    let mut commands: Vec<_> = crontab
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit() || first == '*'))
        .map(|line| line.split_whitespace().nth(5).unwrap())
        .collect();
    commands.sort_unstable();
    let by_cron = |program: &&String| !BY_HAND.contains(&program.as_str()) && !SERVICES.contains(&program.as_str());
    let by_cron: Vec<_> = programs.iter().filter(by_cron).collect();
    assert_eq!(commands, by_cron, "each program once");
    for program in &by_cron {
        let unit = text(&format!("contrib/{program}.service"));
        assert!(unit.contains(&format!("/{program} ")));
        // The longest deadline that a config may set is an hour.
        let limit = unit.lines().find_map(|line| line.strip_prefix("TimeoutStartSec="));
        assert!(limit.unwrap().parse::<u32>().unwrap() > 3600, "systemd would end a run before its deadline");
        assert!(text(&format!("contrib/{program}.timer")).contains("OnCalendar="));
    }
    for service in SERVICES {
        let unit = text(&format!("contrib/{service}.service"));
        assert!(unit.contains(&format!("/{service} ")) && unit.contains("WantedBy=multi-user.target"), "{unit}");
    }
}

#[test]
fn the_map_of_the_architecture_names_every_file() {
    let map = text("ARCHITECTURE.md");
    let files = Command::new("find").args(["src", "-name", "*.rs"]).current_dir(root("")).output().unwrap();
    for file in String::from_utf8(files.stdout).unwrap().lines().filter(|file| *file != "src/lib.rs") {
        let path = file.strip_prefix("src/").unwrap().trim_end_matches(".rs");
        let (room, rest) = path.split_once('/').unwrap_or((path, path));
        let row = map.lines().find(|line| line.split(" | ").nth(1) == Some(room));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no room {room}"));
        let files = row.split(" | ").nth(2).unwrap();
        let names: Vec<_> = files.split(|c: char| !c.is_alphanumeric() && !"_-".contains(c)).collect();
        let is_named = |part: &str| part == "mod" || names.contains(&part);
        assert!(rest.split('/').all(is_named), "ARCHITECTURE.md does not name {file}");
    }
}

#[test]
fn a_measurement_is_declared_soundly() {
    let mut names = BTreeSet::new();
    let mut paths = BTreeSet::new();
    for measurement in gridmon::setup::CATALOG.measurements() {
        assert!(names.insert(measurement.name), "{} twice", measurement.name);
        assert!(paths.insert(measurement.carbon), "{} twice", measurement.carbon);
        assert!(
            !measurement.meaning.is_empty()
                && measurement.fields.iter().all(|field| !field.meaning.is_empty() && !field.unit.is_empty())
        );
    }
}

#[test]
fn page_and_picture_break_a_line_at_the_same_coverage() {
    let gap = format!("GAP = {};", gridmon::view::history::GAP_COVERAGE);
    assert!(text("src/dashboard/assets/app.js").contains(&gap), "{gap}");
}

#[test]
fn a_few_failures_of_programs_run_again_and_others_stay() {
    let folder = gridmon_testkit::TempDir::new();
    let unsteady = folder.path().join("unsteady");
    let suite = |name: &str, lines: &str, result: &str| {
        format!("     Running tests/{name}/main.rs (target/debug/deps/{name}-0123456789abcdef)\n{lines}{result}")
    };
    let failed = |count: usize| (0..count).map(|at| format!("test a::b{at} ... FAILED <1.0s>\n")).collect::<String>();
    let ended = "test result: FAILED. 9 passed; 1 failed; 0 ignored\n";
    let again = |log: String, test: &str| {
        let log = folder.write("log", log);
        let done = Command::new(root("testkit/again.sh")).arg(log).arg(&unsteady).arg(test).output().unwrap();
        done.status.success()
    };
    let one = suite("programs", &failed(1), ended);
    assert!(!again(one.clone(), "false") && !unsteady.exists());
    assert!(again(one.clone(), "true"));
    assert_eq!(fs::read_to_string(&unsteady).unwrap(), "programs a::b0\n");
    let others = [
        suite("programs", &failed(4), ended),
        one.clone() + &suite("delivery", &failed(1), ended),
        // It broke off.
        suite("delivery", "test a::c ... ok <1.0s>\n", "") + &one,
        one.clone() + &suite("delivery", "", ""),
        // The build failed.
        "error: could not compile".to_string(),
    ];
    others.into_iter().for_each(|log| assert!(!again(log.clone(), "true"), "{log}"));
}
