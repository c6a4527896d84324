//! What is in the packages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use gridmon_testkit::{TempDir, programs, root, skip};

use super::{build, built, file, file_of, given, release, run, text};

/// The highest version of glibc whose symbols a program needs.
fn needs(program: &Path) -> Vec<u32> {
    let symbols = text(Command::new("objdump").arg("-T").arg(program));
    let versions = symbols.split("GLIBC_").skip(1).map(|rest| {
        let version = rest.split(|c: char| c != '.' && !c.is_ascii_digit()).next().unwrap();
        version.split('.').map(|part| part.parse().unwrap()).collect::<Vec<u32>>()
    });
    versions.max().expect("it needs glibc")
}

#[test]
#[ignore = "builds everything: make test-all"]
fn the_same_sources_give_the_same_bytes_and_run_on_an_old_glibc() {
    let test = "the_same_sources_give_the_same_bytes_and_run_on_an_old_glibc";
    if Command::new("rpmbuild").arg("--version").output().is_err() || given().is_some() {
        return skip(test, "rpmbuild, and programs for an old glibc");
    }
    let built = built();
    let sums = fs::read_to_string(built.new.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 8, "{sums}");
    let release = release();
    let newest: Vec<_> = programs().iter().map(|name| needs(&release.join(name))).collect();
    assert!(newest.iter().all(|version| *version <= vec![2, 17]), "{newest:?}");
    // The test can fail: a program that is built for this machine needs more.
    assert!(needs(&gridmon_testkit::program("collect-grid")) > vec![2, 17]);

    // The small agent needs none at all.
    let small = Command::new("objdump").arg("-p").arg(release.join("gridmon-agent")).output().unwrap();
    assert!(!String::from_utf8_lossy(&small.stdout).contains("NEEDED"));

    // Once more, of gridmon's own sources; what it is built of is left as it is.
    for (profile, target) in [("release", "x86_64-unknown-linux-gnu"), ("agent", "x86_64-unknown-linux-musl")] {
        run(Command::new("cargo")
            .args([
                "clean",
                "--quiet",
                "--package",
                "gridmon",
                "--profile",
                profile,
                "--target",
                target,
                "--target-dir",
            ])
            .arg(root().join("target/dist-build"))
            .current_dir(root()));
    }
    let folder = TempDir::new();
    let again = build(None, None, folder.path());
    assert_eq!(fs::read_to_string(again.join("SHA256SUMS")).unwrap(), sums);
}

#[test]
#[ignore = "builds everything: make test-all"]
fn each_package_has_what_an_operator_needs_and_names_its_parts() {
    let test = "each_package_has_what_an_operator_needs_and_names_its_parts";
    if Command::new("rpmbuild").arg("--version").output().is_err() {
        return skip(test, "rpmbuild");
    }
    let built = built();
    let deb = text(Command::new("dpkg-deb").args(["--contents"]).arg(file(&built.new, ".deb")));
    let rpm = text(Command::new("rpm").args(["-qlp"]).arg(file(&built.new, ".rpm")));
    let tar = text(Command::new("tar").arg("-tf").arg(file(&built.new, ".tar.gz")));
    for part in [
        "bin/collect-grid",
        "bin/qmaster",
        "bin/gridmon-system",
        "share/man/man1/collect-grid.1.gz",
        "share/man/man1/gridmon-status-store-export.1.gz",
        "bash-completion/completions/qagent",
        "fish/vendor_completions.d/qagent.fish",
        "systemd/system/collect-grid.timer",
        "systemd/system/cloud-monitor.service",
        "gridmon/openrc/qagent",
        "doc/gridmon/config.cfg.example",
        "doc/gridmon/crontab.example",
        "doc/gridmon/docs/collect-grid.md",
        "doc/gridmon/LICENCES",
        "doc/gridmon/sbom.cdx.json",
        "doc/gridmon/copyright",
        "logrotate.d/gridmon",
    ] {
        for (kind, list) in [("deb", &deb), ("rpm", &rpm), ("tar.gz", &tar)] {
            assert!(list.lines().any(|line| line.ends_with(part)), "{kind} lacks {part}");
        }
    }
    assert!(deb.contains("zsh/vendor-completions/_qagent") && rpm.contains("zsh/site-functions/_qagent"));
    // Everything belongs to root, and the units start what is installed.
    assert!(deb.lines().all(|line| line.contains(" root/root ")), "{deb}");
    let unpacked = TempDir::new();
    run(Command::new("dpkg-deb").arg("-x").arg(file(&built.new, ".deb")).arg(unpacked.path()));
    for unit in fs::read_dir(unpacked.path().join("usr/lib/systemd/system")).unwrap() {
        let unit = fs::read_to_string(unit.unwrap().path()).unwrap();
        for line in unit.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
            let program = line.split(' ').next().unwrap();
            assert!(unpacked.path().join(&program[1..]).exists(), "{program}");
        }
    }
    let parts: serde_json::Value = serde_json::from_slice(&fs::read(file(&built.new, ".cdx.json")).unwrap()).unwrap();
    assert_eq!(parts["bomFormat"], "CycloneDX");
    let components = parts["components"].as_array().unwrap();
    let of_lock: BTreeMap<&str, &str> = components
        .iter()
        .map(|part| (part["name"].as_str().unwrap(), part["hashes"][0]["content"].as_str().unwrap_or_default()))
        .collect();
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(of_lock.contains_key("rusqlite") && of_lock.contains_key("clap") && of_lock.len() > 100);
    // What is linked in and is in no lock file is named too, with the licence of all.
    let bare: Vec<_> = of_lock.iter().filter(|(_, digest)| digest.is_empty()).map(|(name, _)| *name).collect();
    assert_eq!(bare, ["rust-std", "sqlite", "zstd"]);
    assert!(of_lock.values().all(|digest| lock.contains(digest)));
    assert!(components.iter().all(|part| part["licenses"][0].is_object()), "{components:#?}");
    let licences = fs::read_to_string(unpacked.path().join("usr/share/doc/gridmon/LICENCES")).unwrap();
    assert!(components.iter().all(|part| licences.contains(&format!("\n{} ", part["name"].as_str().unwrap()))));
    assert!(!licences.contains(": None\n"), "a crate whose licence is not told");
    // What the tests alone need is in no program.
    assert!(!of_lock.contains_key("proptest") && !of_lock.contains_key("fuser"));
}

#[test]
#[ignore = "builds everything: make test-all"]
fn the_small_agents_package_has_the_agent_and_nothing_of_the_others() {
    let test = "the_small_agents_package_has_the_agent_and_nothing_of_the_others";
    if Command::new("rpmbuild").arg("--version").output().is_err() {
        return skip(test, "rpmbuild");
    }
    let built = built();
    let agents = |end: &str| file_of("gridmon-agent", &built.new, end);
    let deb = text(Command::new("dpkg-deb").args(["--contents"]).arg(agents(".deb")));
    let rpm = text(Command::new("rpm").args(["-qlp"]).arg(agents(".rpm")));
    let tar = text(Command::new("tar").arg("-tf").arg(agents(".tar.gz")));
    for (kind, list) in [("deb", &deb), ("rpm", &rpm), ("tar.gz", &tar)] {
        for part in [
            "bin/qagent",
            "share/man/man1/qagent-once.1.gz",
            "bash-completion/completions/qagent",
            "systemd/system/qagent.service",
            "gridmon/openrc/qagent",
            "gridmon/system-user",
            "doc/gridmon-agent/config.cfg.example",
            "doc/gridmon-agent/LICENCES",
        ] {
            assert!(list.lines().any(|line| line.ends_with(part)), "{kind} lacks {part}");
        }
        let programs = list.lines().filter(|line| line.contains("/bin/") && !line.ends_with('/'));
        assert_eq!(programs.count(), 1, "{kind}: {list}");
        assert!(!list.contains("collect-grid.timer") && !list.contains("logrotate.d/gridmon"), "{kind}: {list}");
    }
    let parts = fs::read_to_string(agents(".cdx.json")).unwrap();
    assert!(
        parts.contains("\"musl\"") && parts.contains("pkg:cargo/reqwest@") && !parts.contains("pkg:cargo/axum@"),
        "what it is built of"
    );
    let size = |end: &str| fs::metadata(agents(end)).unwrap().len();
    let is_small = size(".deb") * 3 < fs::metadata(file(&built.new, ".deb")).unwrap().len();
    assert!(is_small || given().is_some(), "it is small");
}
