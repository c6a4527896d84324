//! The house: every room of src/ stands on a floor, and imports point down. A function fits on a screen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the ground up. A room imports rooms of lower floors only; two rooms of one floor never meet.
const FLOORS: [&[&str]; 10] = [
    &["text"],
    &["model"],
    &["config", "query", "problem", "os"],
    &["sources", "view", "rollup", "spool", "events"],
    &["sinks", "monitors"],
    &["delivery", "dashboard", "listener"],
    &["frame"],
    &["setup"],
    &["operator"],
    &["bin"],
];

/// The most lines that a function has, from its signature to its closing brace.
const LONGEST: usize = 70;

/// Functions that are longer, with their lengths; the list may only shrink.
const LONG: [(&str, &str, usize); 0] = [];

/// The most lines of a program's file in src/bin.
const PROGRAM: usize = 80;

/// The most lines of a module of the tests and of testkit.
const MODULE: usize = 300;

/// Modules that are longer, and how long they may be: rounded up, so that a line more is no matter. The list may only shrink.
const LONG_MODULES: &[(&str, usize)] = &[
    ("tests/browser/proofs.rs", 400),
    ("tests/programs/collect_backups/original.rs", 450),
    ("tests/programs/collect_backups/runs.rs", 450),
    ("tests/programs/demo.rs", 350),
    ("tests/programs/downsample.rs", 350),
    ("tests/programs/pages.rs", 500),
    ("tests/programs/qagent.rs", 350),
    ("tests/programs/qagent/system.rs", 400),
    ("tests/programs/qmaster.rs", 450),
    ("tests/programs/qmaster/balanced.rs", 450),
    ("tests/programs/write_datadisk.rs", 400),
    ("tests/servers/queue_table/faults.rs", 500),
    ("tests/servers/queue_table/grafana.rs", 350),
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file of src/ with its path below it and its text, up to its tests.
fn files() -> Vec<(String, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![src()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(src()).unwrap().to_str().unwrap().to_string();
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap().to_string();
                files.push((name, text));
            }
        }
    }
    files.retain(|(name, _)| name != "lib.rs" && !name.ends_with("/tests.rs"));
    files.sort();
    files
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

fn floor(room: &str) -> usize {
    FLOORS.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("{room} stands on no floor"))
}

/// The rooms that a text names behind `crate::` or `gridmon::`, outside of comments.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |all, line| all + line + "\n");
    let mut rooms = BTreeSet::new();
    for root in ["crate::", "gridmon::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                // `use crate::{a, b::c};`: the first name of each member.
                Some(group) => {
                    let mut depth = 0;
                    let mut name = String::new();
                    for c in group.chars() {
                        match c {
                            '{' => depth += 1,
                            '}' if depth == 0 => break,
                            '}' => depth -= 1,
                            ',' if depth == 0 => rooms.extend([std::mem::take(&mut name)]),
                            c if depth == 0 => name.push(c),
                            _ => {}
                        }
                    }
                    rooms.insert(name);
                }
                None => drop(rooms.insert(rest.into())),
            }
        }
    }
    let first = |name: String| {
        let name = name.trim_start();
        name[..name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len())].to_string()
    };
    rooms.into_iter().map(first).filter(|room| !room.is_empty()).collect()
}

#[test]
fn every_import_points_down() {
    let mut wrong = Vec::new();
    for (file, text) in files() {
        let own = room(&file);
        for other in rooms_named(&text) {
            if other != own && floor(&other) >= floor(own) {
                wrong.push(format!("{file} imports {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_function_fits_on_a_screen() {
    let mut long = Vec::new();
    for (file, text) in files() {
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words: Vec<_> = line.split_whitespace().collect();
            let Some(name) = words.iter().position(|word| *word == "fn").and_then(|at| words.get(at + 1)) else {
                continue;
            };
            if line.trim_start().starts_with("//") || line.trim_end().ends_with(';') || line.contains(" {}") {
                continue;
            }
            let end = lines[at..].iter().position(|line| *line == format!("{}}}", " ".repeat(indent)));
            let length = end.map_or(1, |end| end + 1);
            if length > LONGEST {
                let name = name.split(['(', '<']).next().unwrap();
                long.push((file.clone(), name.to_string(), length));
            }
        }
    }
    long.sort();
    let known: Vec<_> = LONG.iter().map(|(file, name, length)| (file.to_string(), name.to_string(), *length)).collect();
    assert_eq!(long, known, "cut them, and shorten the list");
}

/// The files with this ending below a folder of the repository, with their numbers of lines.
fn lengths(folder: &str) -> Vec<(String, usize)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut lengths, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("fixtures") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
                lengths.push((name, fs::read_to_string(&path).unwrap().lines().count()));
            }
        }
    }
    lengths.sort();
    lengths
}

#[test]
fn a_program_is_thin_and_a_module_of_the_tests_is_short() {
    let long: Vec<_> = lengths("src/bin").into_iter().filter(|(_, lines)| *lines > PROGRAM).collect();
    assert!(long.is_empty(), "move logic into the library: {long:?}");

    let all: Vec<_> = ["tests", "testkit"].into_iter().flat_map(lengths).collect();
    let most = |name: &str| LONG_MODULES.iter().find(|(known, _)| *known == name).map_or(MODULE, |(_, lines)| *lines);
    let long: Vec<_> = all.iter().filter(|(name, lines)| *lines > most(name)).collect();
    assert!(long.is_empty(), "divide these: {long:?}");
    let lines = |name: &str| all.iter().find(|(known, _)| known == name).map_or(0, |(_, lines)| *lines);
    let short: Vec<_> = LONG_MODULES.iter().filter(|(name, _)| lines(name) <= MODULE).collect();
    assert!(short.is_empty(), "take these off the list: {short:?}");
}

#[test]
fn rooms_are_found_in_every_spelling_of_an_import() {
    let text = "use crate::a::X;\nuse crate::{b, c::{self, D}, e::F};\nlet x = crate::g::h();\n// crate::no\npub use gridmon::i;";
    let rooms: Vec<_> = rooms_named(text).into_iter().collect();
    assert_eq!(rooms, ["a", "b", "c", "e", "g", "i"]);
}
