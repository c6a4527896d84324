//! The repository itself: what the documents show is what the programs do.

#![allow(clippy::unwrap_used)]

mod colours;
mod configuration;
mod floors;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use gridmon::delivery::Account;
use gridmon::frame::report::Report;
use gridmon::frame::state::State;
use gridmon::model::{Point, SECOND, Value};
use gridmon::problem::Failing;
use gridmon::spool::{Backlog, Batch, Directory, Header, Spool};
use gridmon_testkit::programs;
use gridmon_testkit::sandbox::{NOW, Sandbox, expect, fixture};

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

/// The headings of a program's page, in order.
const HEADINGS: [&str; 6] =
    ["Prerequisites", "Configuration", "Series", "Example output", "Schedule", "Troubleshooting"];

#[test]
fn each_program_has_a_page_with_every_heading_and_the_readme_links_to_it() {
    for program in programs() {
        let page = text(&format!("docs/{program}.md"));
        assert!(page.starts_with(&format!("# {program}\n\n")), "{program}");
        let page = prose(&page);
        let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{program}");
        assert!(text("README.md").contains(&format!("[`{program}`](docs/{program}.md)")));
        assert!(text("ARCHITECTURE.md").contains(&format!("`{program}`")));
    }
}

/// The parts of a message of four words and more that are the program's own, between its names and numbers.
fn own_parts(message: &str) -> Vec<Vec<&str>> {
    let is_name = |word: &&str| {
        let is_upper = word.contains(char::is_alphabetic) && !word.contains(char::is_lowercase);
        is_upper || word.contains('…') || word.contains(|c: char| c.is_ascii_digit())
    };
    let words: Vec<_> = message.split(' ').collect();
    words.split(is_name).filter(|part| part.len() > 3).map(<[_]>::to_vec).collect()
}

#[test]
fn the_troubleshooting_quotes_messages_that_the_programs_have() {
    let found = Command::new("find").args(["src", "-name", "*.rs"]).current_dir(root("")).output().unwrap();
    let source: String = String::from_utf8(found.stdout).unwrap().lines().map(text).collect();
    let mut quoted = 0;
    for page in [
        "collect-grid",
        "collect-backups",
        "cloud-monitor",
        "gridmon-status",
        "delivery",
        "influxdb",
        "mail",
        "downsample-1h",
    ] {
        let page = &format!("docs/{page}.md");
        let document = text(page);
        let (_, troubleshooting) = document.split_once("\n## Troubleshooting\n").unwrap();
        for line in troubleshooting.lines().filter(|line| line.starts_with("- `")) {
            // The system's own words.
            let parts = line.split('`').skip(1).step_by(2).flat_map(own_parts);
            for part in parts.filter(|part| part[..] != ["Address", "already", "in", "use"]) {
                quoted += 1;
                let is_there = part.windows(3).any(|words| source.contains(&words.join(" ")));
                assert!(is_there, "{page}: no message has {:?}", part.join(" "));
            }
        }
    }
    assert!(quoted > 20, "{quoted}");
}

#[test]
fn the_document_of_the_measurements_is_what_they_declare() {
    let document = gridmon::frame::document(gridmon::setup::CATALOG);
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(root("docs/measurements.md"), &document).unwrap();
    }
    assert_eq!(document, text("docs/measurements.md"));
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(document: &str) -> Vec<String> {
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor = |heading: String| heading.chars().filter(kept).collect::<String>().replace(' ', "-");
    prose(document).lines().filter_map(heading).map(anchor).collect()
}

#[test]
fn every_relative_link_of_the_documents_resolves() {
    let mut documents = vec!["tests/fixtures/README.md".to_string(), "fuzz/seeds/README.md".into()];
    for folder in ["", "docs/"] {
        let files = fs::read_dir(root(folder)).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        documents.extend(files.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}{name}")));
    }
    for document in documents {
        let folder = root(&document).parent().unwrap().to_path_buf();
        for rest in prose(&text(&document)).split("](").skip(1) {
            let link = rest.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { root(&document) } else { folder.join(file) };
            assert!(target.exists(), "{document} links to {link}");
            let anchored = anchor.is_empty() || anchors(&fs::read_to_string(target).unwrap()).contains(&anchor.into());
            assert!(anchored, "{document} links to {link}, which has no such heading");
        }
    }
}

/// A state directory after three runs: a schedd is dark for an hour, and Carbon is down for two minutes.
fn troubled_state(sandbox: &Sandbox) {
    sandbox.config("[carbon]\nhost = graphite.example.org");
    let mut state = State::open(Some(&sandbox.path("state")), "collect-grid", "heprc", true).unwrap();
    let spool = Spool::new(Directory::open(&sandbox.path("state/spool")).unwrap());
    let failing =
        |since: i64, message: &str| Failing { since, said: since, message: message.into(), ..Failing::default() };
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
            spool.publish(&Batch { header, points: (0..106).map(count).collect() }, 0).unwrap();
        }
        let backlog = Backlog::default();
        let report = Report {
            time,
            duration_seconds: if is_down { 20.35 } else { 20.41 },
            collected: 106,
            sinks: [("carbon".into(), Account { delivered, spooled, dropped: 0, replayed: 0, superseded: 0, backlog })]
                .into(),
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
fn the_documents_show_what_gridmon_status_prints() {
    let sandbox = Sandbox::new("small");
    troubled_state(&sandbox);
    let now = (NOW + 240).to_string();
    let (code, text) = gridmon_status(&sandbox, &["--now", &now]);
    assert_eq!(code, Some(0));
    expect_block("docs/gridmon-status.md", "gridmon-status", &format!("$ gridmon-status\n{text}"));
    let (code, line) = gridmon_status(&sandbox, &["--nagios", "--now", &now]);
    assert_eq!(code, Some(1));
    expect_block(
        "docs/gridmon-status.md",
        "gridmon-status --nagios",
        &format!("$ gridmon-status --nagios; echo $?\n{line}1\n"),
    );
}

#[test]
fn the_documents_show_what_downsample_explains() {
    let sandbox = Sandbox::new("small");
    let (hour, label) = (NOW / 3600 * 3600, NOW / 3600 * 3600 + 3600);
    let mut lines = String::new();
    for (slot, jobs) in [(0, 17), (1, 18), (3, 0)] {
        let time = (hour + 600 * slot) * SECOND;
        lines += &format!("coverage,grid=heprc,measurement=jobs slots=1i,step_seconds=600i {time}\n");
        if jobs > 0 {
            let tags = "job_status=running,panda_queue=AGLT2,prod_source=managed,resource=MCORE";
            lines += &format!("jobs,{tags} corepower=14.54,jobs={jobs}i,sequence=42i {}\n", time + 311_356_388);
        }
    }
    sandbox.write("raw.txt", lines);
    let ended = gridmon_status(&sandbox, &["store", "import", "raw.txt", "--tier", "raw"]);
    assert_eq!(ended.0, Some(0));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(gridmon_testkit::program("downsample-1h"));
        let output = command.args(arguments).current_dir(sandbox.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().replace(sandbox.path("state").to_str().unwrap(), "/var/lib/gridmon")
    };
    run(&["--now", &(label + 300).to_string()]);
    let series = "panda.AGLT2.managed.MCORE.running.jobs";
    let text = run(&["--explain", series, &label.to_string()]);
    let shown = format!("$ downsample-1h --explain {series} {label}\n{text}");
    expect_block("docs/downsample-1h.md", "downsample-1h --explain", &shown);
}

#[test]
fn the_documents_show_what_the_store_tells() {
    let sandbox = Sandbox::new("small");
    for minute in 0..3 {
        assert_eq!(sandbox.run(&["--now", &(NOW + 60 * minute).to_string()]).code, Some(0));
    }
    let now = (NOW + 140).to_string();
    for command in ["grid", "store", "explain grids.heprc.clouds.cc-east.quota"] {
        let arguments: Vec<_> = command.split(' ').chain(["--now", &now]).collect();
        let (code, text) = gridmon_status(&sandbox, &arguments);
        assert_eq!(code, Some(0));
        let block = format!("gridmon-status {command}");
        expect_block("docs/gridmon-status.md", &block, &format!("$ {block}\n{text}"));
    }
}

#[test]
fn help_is_a_golden_file() {
    let help = Sandbox::new("small").run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    expect(&root("tests/fixtures/collect-grid.help"), &help.stdout);
    for program in [
        "collect-backups",
        "collect-instances",
        "collect-slurm",
        "collect-panda",
        "downsample-1h",
        "downsample-1d",
        "qagent",
        "qmaster",
    ] {
        let help = Command::new(gridmon_testkit::program(program)).arg("--help").output().unwrap();
        expect(&root(&format!("tests/fixtures/{program}.help")), &String::from_utf8(help.stdout).unwrap());
    }
    let help = Command::new(env!("CARGO_BIN_EXE_cloud-monitor")).arg("--help").output().unwrap();
    expect(&root("tests/fixtures/cloud-monitor.help"), &String::from_utf8(help.stdout).unwrap());
    let sandbox = Sandbox::new("small");
    let helps = [
        "--help",
        "show --help",
        "discard --help",
        "flush --help",
        "grid --help",
        "backups --help",
        "problems --help",
        "graph --help",
        "explain --help",
        "doctor --help",
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
