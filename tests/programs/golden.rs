//! What must stay as it is when the program behind it is rebuilt: pages, answers, files and what is printed, each as a
//! golden file below `tests/fixtures/golden`. `UPDATE_EXPECT=1` rewrites them, and the difference is reviewed.

#[cfg(feature = "dashboard")]
mod cells;
#[cfg(feature = "dashboard")]
mod page;
mod programs;
mod schema1;
#[cfg(feature = "dashboard")]
mod troubles;

use std::fs;
use std::process::{Command, Stdio};

use gridmon_testkit::sandbox::{Outcome, Sandbox, fixture};

/// Compares `actual` with the golden file of this name, byte for byte; with `UPDATE_EXPECT=1` writes it instead.
fn golden(name: &str, actual: impl AsRef<[u8]>) {
    let (file, actual) = (fixture(&format!("golden/{name}")), actual.as_ref());
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, actual).unwrap();
    }
    let expected = fs::read(&file).unwrap_or_default();
    if expected != actual {
        let (expected, actual) = (String::from_utf8_lossy(&expected), String::from_utf8_lossy(actual));
        for (at, (expected, actual)) in expected.lines().zip(actual.lines()).enumerate() {
            assert_eq!(actual, expected, "golden/{name} line {}", at + 1);
        }
        panic!("golden/{name} has {} bytes, and now there are {}", expected.len(), actual.len());
    }
}

/// What is printed and how it ended, with the sandbox's own folder masked.
fn told(sandbox: &Sandbox, outcome: &Outcome) -> String {
    let text = format!("--- exit code {:?}\n{}--- stderr\n{}", outcome.code, outcome.stdout, outcome.stderr);
    text.replace(sandbox.path("").to_str().unwrap().trim_end_matches('/'), "/SANDBOX")
}

/// `gridmon-status` in the sandbox.
fn status(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(
        Command::new(env!("CARGO_BIN_EXE_gridmon-status"))
            .args(arguments)
            .current_dir(sandbox.path(""))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null()),
    )
}
