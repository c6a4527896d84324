//! The repository itself: what the documents show is what the programs do.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use gridmon::config::Config;
use gridmon::delivery::Account;
use gridmon::point::{Point, SECOND, Value};
use gridmon::spool::{Backlog, Batch, Directory, Header, Spool};
use gridmon::state::{Failing, Report, State};
use gridmon_testkit::sandbox::{NOW, Sandbox, expect};

fn root(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(root(name)).unwrap()
}

/// Where the text of the README's fenced block is that follows the line `<!-- name -->`.
fn readme_block(name: &str) -> (String, std::ops::Range<usize>) {
    let readme = text("README.md");
    let marker = format!("<!-- {name} -->\n");
    let fence = readme.find(&marker).unwrap_or_else(|| panic!("README has no block {name}")) + marker.len();
    let begin = fence + readme[fence..].find('\n').unwrap() + 1;
    // The fence may follow at once: an empty block.
    let end = begin + readme[begin - 1..].find("\n```").unwrap();
    (readme, begin..end)
}

/// Holds the block of the README to `actual`; with `UPDATE_EXPECT=1` writes it.
fn expect_block(name: &str, actual: &str) {
    let (mut readme, block) = readme_block(name);
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        readme.replace_range(block, actual);
        fs::write(root("README.md"), &readme).unwrap();
    }
    let (readme, block) = readme_block(name);
    assert_eq!(&readme[block], actual, "block {name} of README.md");
}

#[test]
fn the_example_config_loads_and_shows_the_defaults_of_exactly_the_keys_that_are_read() {
    let example = text("config.cfg.example");
    let (config, _) = Config::parse(&example, "config.cfg.example").unwrap();
    assert_eq!(config.grid.name, "heprc");
    assert_eq!(config.carbon.as_ref().map(|carbon| carbon.host.as_str()), Some("graphite.example.org"));

    // With every default spelt out it means the same, so these are the defaults.
    let is_setting = |line: &str| {
        line.starts_with('#') && !line.starts_with("##") && line.contains(" = ") && !line.starts_with("# ")
    };
    let hypothetical = ["#pool = ", "#url = ", "#directory = ", "#path = "];
    let spelt_out: String = example
        .lines()
        .filter(|line| !hypothetical.iter().any(|prefix| line.starts_with(prefix)))
        .map(|line| format!("{}\n", if is_setting(line) { &line[1..] } else { line }))
        .collect();
    let (same, _) = Config::parse(&spelt_out, "config.cfg.example").unwrap();
    assert_eq!(format!("{same:?}"), format!("{config:?}"));

    let mut keys = BTreeMap::<String, BTreeSet<&str>>::new();
    let mut section = "";
    for line in example.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            keys.entry(section.into()).or_default();
        } else if (is_setting(line) || !line.starts_with('#')) && line.contains(" = ") {
            let key = line.trim_start_matches('#').split_once(" = ").unwrap().0;
            keys.entry(section.into()).or_default().insert(key);
        }
    }
    keys.remove("job_types");
    let read: BTreeMap<String, BTreeSet<&str>> = Config::keys()
        .into_iter()
        .filter(|(name, _)| name != "job_types")
        .map(|(name, keys)| (name, keys.into_iter().collect()))
        .collect();
    assert_eq!(keys, read);
}

#[test]
fn the_readme_shows_the_example_config_the_crontab_and_the_measurements() {
    expect_block("config.cfg.example", &text("config.cfg.example"));
    expect_block("crontab.example", &text("crontab.example"));
    let list = Sandbox::new("small").run(&["--list"]);
    assert_eq!((list.code, list.stderr.as_str()), (Some(0), ""));
    expect_block("collect-grid --list", &list.stdout);
}

#[test]
fn the_readme_shows_what_a_dry_run_prints() {
    let sandbox = Sandbox::new("small");
    let outcome = sandbox.dry_run();
    let (readme, block) = readme_block("collect-grid --dry-run");
    for line in readme[block].lines().filter(|line| !line.starts_with("$ ") && *line != "…") {
        assert!(outcome.stdout.lines().any(|printed| printed == line), "{line}");
    }
}

/// A state directory after three runs: a schedd is dark for an hour, and Carbon is down for two minutes.
fn troubled_state(sandbox: &Sandbox) {
    sandbox.config("[carbon]\nhost = graphite.example.org");
    let mut state = State::open(Some(&sandbox.path("state")), "collect-grid", "heprc", true).unwrap();
    let spool = Spool::new(Directory::open(&sandbox.path("state/spool")).unwrap());
    let failing = |since: i64, words: &str| Failing { since, said: since, words: words.into() };
    for (minute, is_down) in [(0, false), (1, false), (2, true), (3, true)] {
        let time = NOW + minute * 60;
        let (delivered, spooled) = if is_down { (0, 106) } else { (106, 0) };
        let slow = failing(NOW - 3600, "condor_q gave no answer in 20 s; its jobs and all totals are missing");
        let down = "graphite.example.org:2004: no connection: Connection refused; 106 points wait in the spool";
        let mut all = BTreeMap::from([("schedd ce02.example.org".to_string(), slow)]);
        if is_down {
            all.insert("carbon".into(), failing(NOW + 120, down));
            let count = |n| Point::new("grid_jobs".into(), [], [("jobs".into(), Value::Int(n))], time * SECOND);
            let header = Header {
                program: "collect-grid".into(),
                grid: "heprc".into(),
                time,
                tier: "raw".into(),
                database: String::new(),
                sinks: ["carbon".into()].into(),
            };
            spool.publish(&Batch { header, points: (0..106).map(count).collect() }).unwrap();
        }
        let backlog = Backlog::default();
        let report = Report {
            time,
            duration_seconds: if is_down { 20.35 } else { 20.41 },
            collected: 106,
            sinks: [("carbon".into(), Account { delivered, spooled, dropped: 0, replayed: 0, backlog })].into(),
            failing: all,
            ..Report::default()
        };
        state.add(report).unwrap();
    }
}

fn gridmon_status(sandbox: &Sandbox, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridmon-status"));
    let output = command.args(arguments).current_dir(sandbox.path("")).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let stdout = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), stdout.replace(sandbox.path("state").to_str().unwrap(), "/var/lib/gridmon"))
}

#[test]
fn the_readme_shows_what_gridmon_status_prints() {
    let sandbox = Sandbox::new("small");
    troubled_state(&sandbox);
    let now = (NOW + 240).to_string();
    let (code, text) = gridmon_status(&sandbox, &["--now", &now]);
    assert_eq!(code, Some(0));
    expect_block("gridmon-status", &format!("$ gridmon-status\n{text}"));
    let (code, line) = gridmon_status(&sandbox, &["--nagios", "--now", &now]);
    assert_eq!(code, Some(1));
    expect_block("gridmon-status --nagios", &format!("$ gridmon-status --nagios; echo $?\n{line}1\n"));
}

#[test]
fn the_readme_shows_what_the_store_tells() {
    let sandbox = Sandbox::new("small");
    for minute in 0..3 {
        assert_eq!(sandbox.run(&["--now", &(NOW + 60 * minute).to_string()]).code, Some(0));
    }
    let now = (NOW + 140).to_string();
    for command in ["grid", "store"] {
        let (code, text) = gridmon_status(&sandbox, &[command, "--now", &now]);
        assert_eq!(code, Some(0));
        expect_block(&format!("gridmon-status {command}"), &format!("$ gridmon-status {command}\n{text}"));
    }
}

#[test]
fn help_is_a_golden_file() {
    let help = Sandbox::new("small").run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    expect(&root("tests/fixtures/collect-grid.help"), &help.stdout);
    let help = Command::new(env!("CARGO_BIN_EXE_cloud-monitor")).arg("--help").output().unwrap();
    expect(&root("tests/fixtures/cloud-monitor.help"), &String::from_utf8(help.stdout).unwrap());
    let sandbox = Sandbox::new("small");
    let helps = [
        "--help",
        "show --help",
        "discard --help",
        "flush --help",
        "grid --help",
        "store --help",
        "store export --help",
        "store import --help",
    ]
    .map(|arguments| {
        let (code, text) = gridmon_status(&sandbox, &arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(code, Some(0));
        format!("$ gridmon-status {arguments}\n{text}")
    });
    expect(&root("tests/fixtures/gridmon-status.help"), &helps.join("\n"));
}

/// The programs that neither cron nor systemd starts.
const BY_HAND: [&str; 1] = ["gridmon-status"];

/// The programs that run all the time.
const SERVICES: [&str; 1] = ["cloud-monitor"];

#[test]
fn every_line_of_the_crontab_and_every_unit_names_a_program_that_exists() {
    let programs: Vec<_> = fs::read_dir(root("src/bin"))
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_string())
        .collect();
    let crontab = text("crontab.example");
    let commands: Vec<_> = crontab
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit() || first == '*'))
        .map(|line| line.split_whitespace().nth(5).unwrap())
        .collect();
    let by_cron = |program: &&String| !BY_HAND.contains(&program.as_str()) && !SERVICES.contains(&program.as_str());
    let by_cron: Vec<_> = programs.iter().filter(by_cron).collect();
    assert_eq!(commands, by_cron, "each program once");
    for program in &by_cron {
        assert!(text(&format!("contrib/{program}.service")).contains(&format!("/{program} ")));
        assert!(text(&format!("contrib/{program}.timer")).contains("OnCalendar="));
    }
    for service in SERVICES {
        let unit = text(&format!("contrib/{service}.service"));
        assert!(unit.contains(&format!("/{service} ")) && unit.contains("WantedBy=multi-user.target"), "{unit}");
    }
    for program in &programs {
        assert!(text("README.md").contains(&format!("## {program}")));
        assert!(text("ARCHITECTURE.md").contains(&format!("`{program}`")));
    }
}

#[test]
fn the_map_of_the_architecture_names_every_file() {
    let map = text("ARCHITECTURE.md");
    let files = Command::new("find").args(["src", "-name", "*.rs"]).current_dir(root("")).output().unwrap();
    for file in String::from_utf8(files.stdout).unwrap().lines() {
        assert!(map.contains(file), "ARCHITECTURE.md does not say what {file} is");
    }
}

#[test]
fn a_measurement_is_declared_soundly() {
    let mut names = BTreeSet::new();
    let mut paths = BTreeSet::new();
    for measurement in gridmon::measurements() {
        assert!(names.insert(measurement.name), "{} twice", measurement.name);
        assert!(paths.insert(measurement.carbon), "{} twice", measurement.carbon);
        for tag in measurement.tags {
            let placeholder = format!("{{{}}}", tag.name);
            assert_eq!(
                measurement.carbon.matches(&placeholder).count(),
                usize::from(tag.identifies),
                "{}: {placeholder}",
                measurement.name
            );
        }
        assert_eq!(measurement.carbon.contains("{field}"), measurement.fields.len() > 1, "{}", measurement.name);
        assert!(
            !measurement.meaning.is_empty()
                && measurement.fields.iter().all(|field| !field.meaning.is_empty() && !field.unit.is_empty())
        );
    }
}
