//! config.cfg.example and docs/configuration.md are what the sections declare, and every declaration holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gridmon::config::{self, Key, Kind, Section, Sections, Unset};
use gridmon::setup::{Config, READERS, SECTIONS};
use gridmon_testkit::programs;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Holds a file to what is generated; with `UPDATE_EXPECT=1` writes it.
fn expect(name: &str, generated: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(root(name), generated).unwrap();
    }
    let there = fs::read_to_string(root(name)).unwrap_or_default();
    assert_eq!(there, generated, "{name} is not what is declared; UPDATE_EXPECT=1 rewrites it");
}

/// Every declared key with its section.
fn keys() -> impl Iterator<Item = (&'static Section, &'static Key)> {
    SECTIONS.iter().flat_map(|section| section.keys.iter().map(move |key| (*section, key)))
}

fn error(text: &str) -> Option<String> {
    Config::parse(text, "c.cfg").err().map(|error| format!("{error:#}"))
}

#[test]
fn the_example_config_is_generated() {
    expect("config.cfg.example", &config::example(SECTIONS));
}

#[test]
fn the_documentation_is_generated() {
    expect("docs/configuration.md", &config::documentation(SECTIONS, READERS));
}

#[test]
fn the_example_config_with_every_default_spelt_out_means_the_same() {
    let (example, _) = Config::parse(&config::example(SECTIONS), "config.cfg.example").unwrap();
    assert_eq!(example.grid.name, "heprc");
    assert_eq!(example.carbon.as_ref().map(|carbon| carbon.host.as_str()), Some("graphite.example.org"));
    let mut spelt_out = String::new();
    // Families stand in no example but as comments, as sections do that select something.
    for section in SECTIONS.iter().filter(|section| !section.name.ends_with('*') && !section.is_chosen_by_name) {
        spelt_out += &format!("[{}]\n", section.name);
        for key in section.keys {
            if !matches!(key.unset, Unset::Absent(_)) {
                spelt_out += &format!("{} = {}\n", key.name, key.unset.shown());
            }
        }
        for (name, value) in section.free_keys.as_ref().map(|free| free.examples).unwrap_or_default() {
            spelt_out += &format!("{name} = {value}\n");
        }
    }
    let (same, _) = Config::parse(&spelt_out, "config.cfg.example").unwrap();
    assert_eq!(format!("{same:?}"), format!("{example:?}"));
}

#[test]
fn every_value_of_the_example_is_of_its_kind() {
    // The example of a secret is a file, which is not there.
    for (section, key) in keys().filter(|(_, key)| key.kind != Kind::Secret) {
        let text = format!("[{}]\n{} = {}\n", section.name, key.name, key.unset.shown());
        // Read alone: a value may need a key of another section.
        let sections = Sections::read(&text, "c.cfg", SECTIONS).unwrap();
        assert!(sections.values(section).text(key.name).unwrap().is_some(), "{text}");
    }
}

#[test]
fn a_declaration_says_all_that_an_operator_needs() {
    let mut names = BTreeSet::new();
    for section in SECTIONS {
        assert!(names.insert(section.name), "[{}] twice", section.name);
        assert!(section.help.ends_with('.') && section.keys.len() + section.free_keys.iter().len() > 0);
        let mut names = BTreeSet::new();
        for key in section.keys {
            let spellings = key.aliases.iter().copied().chain([key.name]);
            spellings.for_each(|name| assert!(names.insert(name.to_lowercase()), "[{}] {name} twice", section.name));
            assert!(!key.help.is_empty(), "[{}] {}", section.name, key.name);
            if let Kind::Seconds(..) = key.kind {
                assert!(key.name.ends_with("_seconds"), "[{}] {}", section.name, key.name);
            }
        }
    }
}

#[test]
fn every_program_has_its_sections_and_one_owner_at_most() {
    let programs: BTreeSet<_> = programs().into_iter().collect();
    assert_eq!(READERS.iter().map(|(program, _)| program.to_string()).collect::<BTreeSet<_>>(), programs);
    for program in &programs {
        let owners = SECTIONS.iter().filter(|section| section.programs.contains(&program.as_str()));
        assert!(owners.count() <= 1, "{program}");
    }
    for section in SECTIONS {
        assert!(section.programs.iter().all(|program| programs.contains(*program)), "[{}]", section.name);
        let is_used =
            READERS.iter().any(|(_, read)| read.iter().copied().flatten().any(|read| read.name == section.name));
        assert!(is_used || section.keys.is_empty(), "nobody uses [{}]", section.name);
    }
}

/// A section with one key in its second line, and below it what the section needs besides.
fn alone(section: &Section, key: &str, value: &str) -> String {
    let is_needed = |one: &&Key| one.name != key && matches!(one.unset, Unset::Required(_));
    let needed = section.keys.iter().filter(is_needed).map(|key| format!("{} = {}\n", key.name, key.unset.shown()));
    format!("[{}]\n{key} = {value}\n{}", section.name, needed.collect::<String>())
}

/// What a page tells to write into a config is accepted, as the switch from an older system.
#[test]
fn every_config_that_the_documents_show_is_accepted() {
    let mut shown = 0;
    for page in crate::documents::documents() {
        for block in crate::text(&page).split("```ini\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let lines = block.lines().map(|line| line.trim().split("file:/").next().unwrap());
            let config: String =
                lines.map(|line| format!("{}\n", line.replace("password = ", "password = x"))).collect();
            // Keys without a section are of the example, which another test reads; sections for some hosts are of `agents_config`.
            if config.starts_with('[') && !config.contains("[sensor:CPUPercent gpu") {
                assert_eq!(error(&config), None, "{page}: {block}");
                shown += 1;
            }
        }
    }
    assert!(shown > 15, "{shown}");
}

#[test]
fn every_declared_key_is_read() {
    for (section, key) in keys() {
        let text = alone(section, key.name, "${GRIDMON_NO_SUCH}");
        let error = error(&text).unwrap_or_else(|| panic!("[{}] {} is never read", section.name, key.name));
        let begin = format!("c.cfg line 2: [{}] {}: the environment has no GRIDMON_NO_SUCH", section.name, key.name);
        assert!(error.starts_with(&begin), "{error}");
    }
}

/// Values that no kind but a text takes.
const NONSENSE: [&str; 4] = ["hunter2 | /@,", "-hunter2", "all, hunter2", "hunter2\u{1b}[2J"];

/// Every key, declared or free, with a value that is taken from elsewhere: no error shows it.
fn no_error_shows(reference: &str) {
    let mut refused = 0;
    for section in SECTIONS {
        let free = ["password", "Any"].iter().filter(|_| section.free_keys.is_some()).copied();
        for key in section.keys.iter().map(|key| key.name).chain(free) {
            if let Some(error) = error(&alone(section, key, reference)) {
                assert!(!error.contains("hunter2"), "{error}");
                assert!(error.starts_with(&format!("c.cfg line 2: [{}] {key}: ", section.name)), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 10, "{refused} were refused");
}

#[test]
fn no_error_shows_a_value_that_was_taken_from_the_environment() {
    const VARIABLE: &str = "GRIDMON_TEST_NONSENSE";
    // The environment of this process cannot be set safely: this test runs itself with each value.
    if std::env::var_os(VARIABLE).is_some() {
        return no_error_shows(&format!("${{{VARIABLE}}}"));
    }
    for value in NONSENSE {
        let mut itself = Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", "no_error_shows_a_value_that_was_taken_from_the_environment"]);
        let output = itself.env(VARIABLE, value).output().unwrap();
        assert!(output.status.success(), "{value:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn no_error_shows_a_value_that_was_taken_from_a_file() {
    let file = root("target").join(format!("nonsense-{}", std::process::id()));
    for value in NONSENSE {
        fs::write(&file, value).unwrap();
        no_error_shows(&format!("file:{}", file.display()));
    }
    fs::remove_file(&file).unwrap();
}

#[test]
fn the_configured_interval_rounds_the_times_of_points() {
    let folder = root("target").join(format!("interval-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("clouds.json"),
        r#"{"resources": [{"name": "a", "enabled": true, "max_slots": 5, "vms": []}]}"#,
    )
    .unwrap();
    for (interval, slot) in [("", "1717245000"), ("interval_seconds = 10\n", "1717245030")] {
        let (clouds, state) = (folder.join("clouds.json"), folder.join("state"));
        let text = format!(
            "[grid]\nname = g\n{interval}[cloud_scheduler]\ncommand = cat {}\n[state]\ndirectory = {}\n",
            clouds.display(),
            state.display()
        );
        fs::write(folder.join("config.cfg"), text).unwrap();
        fs::set_permissions(folder.join("config.cfg"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_collect-grid"));
        let output = program.args(["--dry-run", "--now", "1717245037"]).current_dir(&folder).output().unwrap();
        let (points, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
        assert!(!points.is_empty() && points.lines().all(|line| line.ends_with(slot)), "{points}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
