//! The manual pages and completions that the packages have, made by each program of the flags that it parses.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::{programs, skip};

fn write(program: &str, sandbox: &Sandbox) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{program}.md"));
    let output = Command::new(gridmon_testkit::program(program))
        .args(["--manual", "manuals", page.to_str().unwrap()])
        .current_dir(sandbox.path(""))
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{program}: {output:?}");
}

#[test]
fn every_program_has_a_manual_page_and_completions() {
    let sandbox = Sandbox::new("small");
    for program in programs() {
        write(&program, &sandbox);
        let page = fs::read_to_string(sandbox.path(&format!("manuals/man1/{program}.1"))).unwrap();
        assert!(page.contains(&format!("\n.SH NAME\n{} \\- ", program.replace('-', "\\-"))), "{page}");
        for section in ["SYNOPSIS", "OPTIONS", "PREREQUISITES", "CONFIGURATION", "TROUBLESHOOTING"] {
            // gridmon-status tells others' troubles.
            if section != "TROUBLESHOOTING" || program != "gridmon-status" {
                assert!(page.contains(&format!("\n.SH {section}\n")), "{program} lacks {section}");
            }
        }
        // Where a page leads to another, the name of that page stands there.
        assert!(page.contains(" (docs/"), "{program} names no other page");
        for (shell, name) in
            [("bash", format!("{program}.bash")), ("zsh", format!("_{program}")), ("fish", format!("{program}.fish"))]
        {
            let text = fs::read_to_string(sandbox.path(&format!("manuals/{shell}/{name}"))).unwrap();
            assert!(text.contains(&program) && text.contains("config"), "{program}, {shell}");
        }
    }
    assert!(sandbox.path("manuals/man1/gridmon-status-store-export.1").exists());
}

#[test]
fn groff_sees_no_fault_in_the_pages() {
    let test = "groff_sees_no_fault_in_the_pages";
    let groff = |page: &Path| {
        Command::new("groff")
            .args(["-man", "-ww", "-Wbreak", "-Tutf8", "-Kutf8"])
            .arg(page)
            .stdin(Stdio::null())
            .output()
    };
    let sandbox = Sandbox::new("small");
    let probe = sandbox.write("probe.1", ".TH probe 1\n");
    if groff(&probe).is_err() {
        return skip(test, "groff");
    }
    for program in programs() {
        write(&program, &sandbox);
    }
    for page in fs::read_dir(sandbox.path("manuals/man1")).unwrap() {
        let page = page.unwrap().path();
        let shown = groff(&page).unwrap();
        assert!(
            shown.status.success() && shown.stderr.is_empty(),
            "{}: {}",
            page.display(),
            String::from_utf8_lossy(&shown.stderr)
        );
    }
    let shown = groff(&sandbox.path("manuals/man1/collect-slurm.1")).unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("scontrol") && text.contains("jobs_interval = 60"), "the page of docs/ is in it: {text}");
}

#[test]
fn bash_takes_the_completions() {
    let sandbox = Sandbox::new("small");
    write("gridmon-status", &sandbox);
    let script = "source manuals/bash/gridmon-status.bash; COMP_WORDS=(gridmon-status ex); COMP_CWORD=1; \
                  $(complete -p gridmon-status | sed 's/.*-F \\([^ ]*\\).*/\\1/') gridmon-status ex gridmon-status; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", script]).current_dir(sandbox.path("")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "explain\n", "{output:?}");
}

#[test]
fn a_wrong_folder_or_page_is_an_error_in_words() {
    let sandbox = Sandbox::new("small");
    sandbox.write("file", "");
    for (arguments, words) in [
        (&["--manual"][..], "--manual needs a folder"),
        (&["--manual", "file"], "--manual: "),
        (&["--manual", "manuals", "nosuch.md"], "nosuch.md: No such file"),
    ] {
        let output = Command::new(gridmon_testkit::program("collect-grid"))
            .args(arguments)
            .current_dir(sandbox.path(""))
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && stderr.contains(words), "{stderr}");
    }
}
