//! The commands of the documents: those that need no server are run, page by page as a reader would, and the flags of all of them are
//! tried. A block of commands is ```` ```sh ````, or ```` ```sh not-run ```` if it needs a server, root or an older system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gridmon_testkit::sandbox::{NOW, Outcome, Sandbox};
use gridmon_testkit::{program, programs, skip};

/// The documents that a reader follows.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of_docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = of_docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    all.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    all.sort();
    all
}

/// The blocks of commands of a document, each with whether it is run.
pub(crate) fn blocks(document: &Path) -> Vec<(bool, String)> {
    let text = fs::read_to_string(document).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String, usize)> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (Some(_), Some("")) => {
                let (is_run, commands, _) = open.take().unwrap();
                blocks.push((is_run, commands));
            }
            (Some((_, commands, indent)), _) => {
                commands.push_str(line.get(*indent..).unwrap_or_default());
                commands.push('\n');
            }
            (None, Some("sh")) => open = Some((true, String::new(), indent)),
            (None, Some("sh not-run")) => open = Some((false, String::new(), indent)),
            // A block of something else: its lines are no commands.
            (None, Some(info)) if !info.is_empty() => open = Some((false, "#".into(), indent)),
            _ => {}
        }
    }
    blocks.into_iter().filter(|(_, commands)| !commands.starts_with('#')).collect()
}

/// A home in which the programs are on PATH, with a stand-in for HTCondor and a config that names it.
fn home() -> Sandbox {
    let sandbox = Sandbox::new("small");
    for name in programs() {
        std::os::unix::fs::symlink(program(&name), sandbox.path("bin").join(&name)).unwrap();
    }
    sandbox
}

fn shell(sandbox: &Sandbox, script: &str) -> Outcome {
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", sandbox.path("bin").display());
    let mut command = Command::new("/bin/sh");
    command.args(["-e", "-c", script]).current_dir(sandbox.path("")).env_clear();
    command.env("PATH", path).env("HOME", sandbox.path("")).stdin(Stdio::null());
    Outcome::of(&mut command)
}

/// Runs the blocks of a page in order, in one home.
fn follow(page: &str, sandbox: &Sandbox) -> Vec<Outcome> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let mut outcomes = Vec::new();
    for (_, commands) in blocks(&page).into_iter().filter(|(is_run, _)| *is_run) {
        let outcome = shell(sandbox, &commands);
        assert_eq!(outcome.code, Some(0), "{}:\n{commands}\n{}{}", page.display(), outcome.stdout, outcome.stderr);
        outcomes.push(outcome);
    }
    outcomes
}

#[test]
fn the_first_hour_goes_word_for_word() {
    let sandbox = home();
    let said = follow("docs/first-hour.md", &sandbox);
    assert!(
        said[0].stdout.contains(".LoadAverage.") && said[0].stdout.contains("[sensor:LoadAverage]"),
        "{}",
        said[0].stdout
    );
    let kept = said.iter().find(|outcome| outcome.stdout.contains("runs as process")).expect("the agent ran");
    assert!(kept.stdout.contains("series"), "{}", kept.stdout);
    let explained = said.iter().any(|outcome| outcome.stdout.contains("the load averages of a node"));
    assert!(explained, "{said:?}");
    assert!(!sandbox.path("gridmon").exists(), "it leaves nothing behind");
}

/// Pages whose commands work on what is there already: a store with a run of a grid.
#[test]
fn the_commands_of_the_other_pages_do_what_they_say() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        return skip("the_commands_of_the_other_pages_do_what_they_say", "sqlite3");
    }
    let mut blocks_run = 0;
    for document in documents() {
        let name = document.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap().to_string();
        if name == "docs/first-hour.md" || !blocks(&document).iter().any(|(is_run, _)| *is_run) {
            continue;
        }
        let sandbox = home();
        assert_eq!(sandbox.run(&["--now", &NOW.to_string()]).code, Some(0));
        // As the pages write it.
        std::os::unix::fs::symlink("state/gridmon.db", sandbox.path("gridmon.db")).unwrap();
        blocks_run += follow(&name, &sandbox).len();
    }
    assert!(blocks_run >= 2, "{blocks_run}");
}

/// What a page shows of a command's output is held to it by a test, which finds it by the comment above, or says `not-run`.
#[test]
fn each_output_that_is_shown_is_held_by_a_test_or_says_that_it_is_not() {
    let (mut shown, mut bare) = (0, Vec::new());
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| **line == "```text") {
            let Some(command) = lines.get(at + 1).filter(|next| next.starts_with("$ ")) else { continue };
            let above = lines[..at].iter().rfind(|line| !line.is_empty()).unwrap();
            let name = above.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            shown += 1;
            if name.is_none() {
                bare.push(format!("{}: {command}", document.display()));
            }
        }
    }
    assert!(shown > 8 && bare.is_empty(), "{shown}: {bare:#?}");
}

/// A bare Debian has no sudo; runuser is there everywhere. What a message says to do is quoted as it is.
#[test]
fn no_command_of_the_documents_wants_sudo() {
    let mut runuser = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        runuser += text.matches("runuser -u gridmon -- ").count();
        for line in text.lines().filter(|line| line.contains("sudo -u ")) {
            let is_of_a_message =
                ["sudo -u U …", "sudo -u USER", "or `sudo -u gridmon …`"].iter().any(|told| line.contains(told));
            assert!(is_of_a_message, "{}: {line}", document.display());
        }
    }
    assert!(runuser > 10, "{runuser}");
}

/// The commands that a document names: the lines of its blocks, and what stands in backticks within a sentence.
fn named(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap();
    let mut prose = String::new();
    for (at, part) in text.split("```").enumerate() {
        prose.push_str(if at % 2 == 0 { part } else { "\n\n" });
    }
    let spans = prose.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2).map(String::from));
    // A span may go on in the next line of its paragraph.
    let spans = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines = blocks(document).into_iter().flat_map(|(_, block)| block.lines().map(String::from).collect::<Vec<_>>());
    spans.chain(lines).collect()
}

/// What a command runs, without the user that it runs as, settings before it, its comment, and what takes its output.
fn words(command: &str) -> Vec<String> {
    let ends = [" #", " | ", " || ", " > ", " && "];
    let command = ends.iter().fold(command, |rest, end| rest.split(end).next().unwrap());
    let others = ["sudo -u gridmon ", "sudo -u USER ", "runuser -u gridmon -- "];
    let command = others.iter().find_map(|other| command.strip_prefix(other)).unwrap_or(command);
    // A quoted text is one word.
    let quoted = command.split(['\'', '"']).enumerate();
    let command: String =
        quoted.map(|(at, part)| if at % 2 == 0 { part.into() } else { part.replace(' ', "\0") }).collect();
    let is_setting = |word: &&str| word.contains('=') && word.starts_with(|c: char| c.is_ascii_uppercase());
    let words = command.split_whitespace().skip_while(is_setting).filter(|word| *word != "…");
    words.map(|word| word.replace('\0', " ")).collect()
}

/// What of a command of this repository is not there: flags and subcommands of a program, targets of make, tests, benchmarks, scripts, units.
fn lacks(words: &[String], programs: &[String]) -> Result<bool, String> {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_there = |path: String| if root.join(&path).exists() { Ok(()) } else { Err(format!("no {path}")) };
    let Some((first, rest)) = words.split_first() else { return Ok(false) };
    match *first {
        name if programs.iter().any(|program| program == name) => {
            // Of several words in the place of one, the first.
            let rest = rest.iter().map(|word| word.split('|').next().unwrap());
            let outcome = Outcome::of(Command::new(program(name)).args(rest).arg("--help").env_clear());
            let is_placeholder = outcome.stderr.split_once("invalid value '").is_some_and(|(_, value)| {
                value.split('\'').next().unwrap().chars().all(|c| c.is_ascii_uppercase() || c == '…')
            });
            let is_flag_alone = outcome.stderr.contains("a value is required for ");
            let is_known = outcome.code == Some(0) && outcome.stdout.contains("Usage: ");
            let is_known = is_known || is_placeholder || is_flag_alone;
            if is_known { Ok(true) } else { Err(outcome.stderr) }
        }
        "make" => {
            let makefile = fs::read_to_string(root.join("Makefile")).unwrap();
            let targets: Vec<_> = rest.iter().filter(|word| !word.contains('=')).collect();
            let is_target = |target: &str| makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
            let unknown = targets.iter().find(|target| !is_target(target));
            unknown.map_or(Ok(true), |target| Err(format!("no target {target}")))
        }
        "cargo" => {
            for pair in rest.windows(2).filter(|pair| pair[1] != "NAME") {
                match pair[0] {
                    "--test" => is_there(format!("tests/{}/main.rs", pair[1]))?,
                    "--bench" => is_there(format!("benches/{}.rs", pair[1]))
                        .or_else(|_| is_there(format!("benches/{}", pair[1])))?,
                    "--example" => is_there(format!("examples/{}.rs", pair[1]))?,
                    _ => {}
                }
            }
            let binary = rest.windows(2).rfind(|pair| pair[0] == "--test").map(|pair| pair[1]);
            for filter in rest.iter().filter(|word| word.contains("::")).filter(|_| binary.is_some()) {
                let module = filter.trim_end_matches("::").replace("::", "/");
                is_there(format!("tests/{}/{module}.rs", binary.unwrap()))?;
            }
            Ok(true)
        }
        "systemctl" => {
            for unit in rest.iter().filter(|word| word.ends_with(".timer") || word.ends_with(".service")) {
                is_there(format!("contrib/{unit}"))?;
            }
            Ok(true)
        }
        script if script.ends_with(".sh") && script.contains('/') && !script.starts_with('/') => {
            is_there(script.to_string()).map(|()| true)
        }
        _ => Ok(false),
    }
}

/// What every command names exists, also of those that cannot be run here or stand within a sentence.
#[test]
fn every_command_of_the_documents_names_what_exists() {
    let programs = programs();
    let (mut tried, mut wrong) = (0, Vec::new());
    for document in documents() {
        // What a program says is no command, though it may begin with its name.
        for command in named(&document).iter().filter(|command| !command.contains(": …")) {
            match lacks(&words(command), &programs) {
                Ok(is_ours) => tried += usize::from(is_ours),
                Err(why) => wrong.push(format!("{}: {command}: {why}", document.display())),
            }
        }
    }
    assert!(tried > 250 && wrong.is_empty(), "{tried}: {wrong:#?}");
    for wrong in ["collect-grid --dry-rum", "make tests", "cargo test --test packages", "systemctl stop grid.timer"] {
        assert!(lacks(&words(wrong), &programs).is_err(), "the test can fail: {wrong}");
    }
}
