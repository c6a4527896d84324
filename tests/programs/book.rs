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

/// The flags of every command exist, also of those that cannot be run here.
#[test]
fn every_command_of_the_documents_has_flags_that_exist() {
    let programs = programs();
    let sandbox = home();
    let mut tried = 0;
    for document in documents() {
        for (_, commands) in blocks(&document) {
            for line in commands.lines() {
                let command =
                    line.split(" #").next().unwrap().split(" | ").next().unwrap().split(" || ").next().unwrap();
                let command = ["sudo -u gridmon ", "runuser -u gridmon -- "]
                    .iter()
                    .find_map(|other| command.strip_prefix(other))
                    .unwrap_or(command);
                let first = command.split_whitespace().next().unwrap_or_default();
                if !programs.iter().any(|program| program == first) {
                    continue;
                }
                let outcome = shell(&sandbox, &format!("{command} --help"));
                let told = format!("{}: {line}\n{}", document.display(), outcome.stderr);
                assert_eq!(outcome.code, Some(0), "{told}");
                assert!(outcome.stdout.contains("Usage: "), "{told}");
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried}");
    assert_eq!(shell(&sandbox, "collect-grid --dry-rum --help").code, Some(2), "the test can fail");
}
