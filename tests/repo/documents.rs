//! The documents: the pages of the programs, the messages that they quote, and their links.

use std::fs;
use std::path::Path;
use std::process::Command;

use gridmon_testkit::programs;

use super::{prose, root, text};

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

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(document: &str) -> Vec<String> {
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor = |heading: String| heading.chars().filter(kept).collect::<String>().replace(' ', "-");
    prose(document).lines().filter_map(heading).map(anchor).collect()
}

/// The documents for readers.
pub(crate) fn documents() -> impl Iterator<Item = String> {
    let of = |folder: &'static str| {
        let files = fs::read_dir(root(folder)).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        files.filter(|name| name.ends_with(".md")).map(move |name| format!("{folder}{name}"))
    };
    of("").chain(of("docs/"))
}

#[test]
fn every_relative_link_of_the_documents_resolves() {
    let others = ["tests/fixtures/README.md", "fuzz/seeds/README.md"].map(String::from);
    for document in documents().chain(others) {
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

/// Returns whether a sentence says what something costs: `takes 2 MB`, `takes about 3 s`. A limit says "at most".
fn says_a_cost(sentence: &str) -> bool {
    let words: Vec<_> = sentence.split_whitespace().collect();
    let is_verb = |word: &str| ["takes", "took", "cost", "costs"].contains(&word);
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let is_unit = |word: &str| {
        let unit = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        ["µs", "ms", "s", "minute", "minutes", "kB", "MB", "GB"].contains(&unit)
    };
    let says = |at: usize| {
        let behind = &words[at + 1..words.len().min(at + 9)];
        let figure = behind.windows(2).position(|pair| is_number(pair[0]) && is_unit(pair[1]));
        // Between the verb and its figure stands an object at most, and "1 to 2".
        figure.is_some_and(|place| place < 5)
    };
    !sentence.contains("at most") && (0..words.len()).any(|at| is_verb(words[at]) && says(at))
}

/// A page that says what something costs leads to the figure, and there stands what measures it.
#[test]
fn every_figure_leads_to_the_command_that_measures_it() {
    let commands = ["cargo ", "dist/", "make ", "ls ", "ps ", "grep "];
    let figures = text("docs/performance.md");
    for section in figures.split("\n## ").skip(1) {
        let is_command =
            |span: &str| commands.iter().any(|begin| span.starts_with(begin)) || span.contains(" cargo bench ");
        let heading = section.lines().next().unwrap();
        assert!(section.split('`').skip(1).step_by(2).any(is_command), "{heading}: no command measures it");
    }
    let mut found = 0;
    for name in documents().filter(|name| name != "docs/performance.md") {
        for paragraph in prose(&text(&name)).split("\n\n") {
            // What stands in backticks is of a program, not of us.
            let plain: String = paragraph.split('`').step_by(2).collect();
            let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
            for sentence in plain.split(". ").flat_map(|part| part.split("; ")).filter(|part| says_a_cost(part)) {
                found += 1;
                assert!(paragraph.contains("performance.md#"), "{name}: {:?} names no command", sentence);
            }
        }
    }
    assert!(found >= 5, "{found}");
}

/// The examples of the library that run as tests, of each file of the sources.
fn examples(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(examples(&path));
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let told: String = source
            .lines()
            .map(|line| line.trim_start())
            .map(|line| line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).unwrap_or_default().trim_start())
            .map(|line| format!("{line}\n"))
            .collect();
        let fenced = told.split("```").skip(1).step_by(2);
        // A language, or `text`, stands behind the fence of what is not run.
        all.extend(fenced.filter_map(|block| block.strip_prefix('\n')).map(String::from));
    }
    all
}

#[test]
fn an_example_stands_at_each_door_that_contributing_names() {
    let examples = examples(&root("src"));
    let contributing = text("CONTRIBUTING.md");
    let (_, doors) = contributing.split_once("has an example at each door:").unwrap();
    let doors = doors.split("\n\n").next().unwrap().split('`').skip(1).step_by(2);
    let doors: Vec<_> = doors.map(|door| door.rsplit("::").next().unwrap()).collect();
    assert_eq!(doors, ["cron", "Sections", "Measurement", "Point", "whole", "Sink", "Page"]);
    let is_word =
        |example: &String, door| example.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == door);
    let bare: Vec<_> = doors.iter().filter(|door| !examples.iter().any(|example| is_word(example, **door))).collect();
    assert!(bare.is_empty(), "no example of {bare:?} runs");
}
