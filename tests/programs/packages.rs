//! What `make dist` makes: built twice, looked into, and installed, upgraded, removed and purged in a bare Debian. All in `make
//! test-all`, since a build of all programs for an old glibc takes minutes.

mod scripts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use gridmon_testkit::{TempDir, root, servers, skip};

use crate::book::blocks;

/// The packages of this version, and those of one before it, of the same programs.
struct Built {
    old: PathBuf,
    new: PathBuf,
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}{told}", String::from_utf8_lossy(&output.stdout));
    output
}

fn text(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

/// Runs `dist/build.sh`; returns the folder of what it made, which the next build would remove.
fn build(version: Option<&str>, binaries: Option<&Path>, into: &Path) -> PathBuf {
    let mut command = Command::new(root().join("dist/build.sh"));
    // What cargo tells a test of itself would make it build everything anew.
    let kept = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "DIST_BINARIES"];
    command.env_clear().envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    // Links in seconds what takes minutes otherwise; nothing that is tested here depends on it.
    command.envs([("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_AGENT_LTO", "off")]);
    command.env("SOURCE_DATE_EPOCH", "1717245000");
    command.envs(version.map(|version| ("DIST_VERSION", version)));
    command.envs(binaries.map(|folder| ("DIST_BINARIES", folder)));
    run(&mut command);
    let kept = into.join(version.unwrap_or("new"));
    run(Command::new("cp").arg("-a").arg(root().join("target/dist")).arg(&kept));
    kept
}

/// Builds once for all tests.
fn built() -> &'static Built {
    static BUILT: OnceLock<(TempDir, Built)> = OnceLock::new();
    let (_, built) = BUILT.get_or_init(|| {
        let folder = TempDir::new();
        let new = build(None, None, folder.path());
        let binaries = root().join("target/dist-build/x86_64-unknown-linux-gnu/release");
        let old = build(Some("0.0.9"), Some(&binaries), folder.path());
        (folder, Built { old, new })
    });
    built
}

/// The file of the package of all programs.
fn file(folder: &Path, end: &str) -> PathBuf {
    file_of("gridmon", folder, end)
}

fn file_of(package: &str, folder: &Path, end: &str) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_its = |name: &str| name.strip_prefix(package).is_some_and(|rest| rest[1..].starts_with(char::is_numeric));
    let mut files = files.filter(|path| is_its(path.file_name().unwrap().to_str().unwrap()));
    let mut files = files.by_ref().filter(|path| path.to_str().unwrap().ends_with(end));
    files.next().unwrap_or_else(|| panic!("no {end} in {}", folder.display()))
}

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
    if Command::new("rpmbuild").arg("--version").output().is_err() {
        return skip(test, "rpmbuild");
    }
    let built = built();
    let sums = fs::read_to_string(built.new.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 8, "{sums}");
    let release = root().join("target/dist-build/x86_64-unknown-linux-gnu/release");
    let newest =
        ["collect-grid", "cloud-monitor", "qmaster", "collect-instances"].map(|name| needs(&release.join(name)));
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
    let of_lock: BTreeMap<&str, &str> = parts["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["name"].as_str().unwrap(), part["hashes"][0]["content"].as_str().unwrap_or_default()))
        .collect();
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(of_lock.contains_key("rusqlite") && of_lock.contains_key("clap") && of_lock.len() > 100);
    // Rust's own library is linked in too, and in no lock file.
    assert!(of_lock.contains_key("rust-std"));
    assert!(of_lock.iter().all(|(name, digest)| *name == "rust-std" || lock.contains(digest)));
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
    assert!(size(".deb") * 3 < fs::metadata(file(&built.new, ".deb")).unwrap().len(), "it is small");
}

/// One package takes the place of the other, both ways, and what was collected stays.
#[test]
#[ignore = "builds everything: make test-all"]
fn the_small_agents_package_takes_the_place_of_the_whole_one_and_back() {
    let test = "the_small_agents_package_takes_the_place_of_the_whole_one_and_back";
    let Some(debian) = Debian::new("bookworm") else { return skip(test, "debootstrap") };
    let built = built();
    fs::copy(file(&built.new, ".deb"), debian.path("whole.deb")).unwrap();
    fs::copy(file_of("gridmon-agent", &built.new, ".deb"), debian.path("small.deb")).unwrap();
    debian.sh("dpkg -i /whole.deb");
    set_up(&debian);
    debian.sh("dpkg -i --auto-deconfigure /small.deb");
    assert!(debian.asked().contains("disable --now qagent.service\n"), "{}", debian.asked());
    assert!(debian.path("usr/bin/qagent").exists() && !debian.path("usr/bin/collect-grid").exists());
    assert!(debian.sh("qagent once LoadAverage").contains(".LoadAverage."));
    // It reads what the other one left, and that stays, also when the other one is purged.
    let started = set_up(&debian);
    assert_eq!(debian.sh(&format!("cat /proc/{started}/comm")), "qagent\n");
    debian.sh("dpkg -P gridmon");
    assert!(debian.path("var/lib/gridmon/gridmon.db").exists() && debian.path("etc/gridmon/config.cfg").exists());
    debian.sh("dpkg -i --auto-deconfigure /whole.deb");
    assert!(debian.path("usr/bin/collect-grid").exists() && debian.path("var/lib/gridmon/gridmon.db").exists());
    assert!(!debian.sh("dpkg-query -W -f '${db:Status-Abbrev}' gridmon-agent").starts_with("ii"));
}

/// A bare Debian, in which commands run as root, with a stand-in for systemctl that starts and stops qagent by its own commands.
struct Debian {
    folder: TempDir,
}

impl Debian {
    fn new(suite: &str) -> Option<Self> {
        let packed = servers::debian_root(suite)?;
        let debian = Self { folder: TempDir::new() };
        run(Command::new("tar")
            .args(["--extract", "--numeric-owner", "--file"])
            .arg(packed)
            .arg("-C")
            .arg(debian.path("")));
        debian.write(
            "usr/bin/systemctl",
            "#!/bin/sh\necho \"$*\" >> /asked\ncase $* in\n'try-restart qagent.service')\n\
             su -s /bin/sh gridmon -c 'qagent --pidfile /var/lib/gridmon/pid restart' ;;\n\
             'disable --now qagent.service') su -s /bin/sh gridmon -c 'qagent --pidfile /var/lib/gridmon/pid stop' ;;\nesac\n",
        );
        fs::create_dir_all(debian.path("run/systemd/system")).unwrap();
        Some(debian)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, script: &str) -> Command {
        // Its own process numbers, so that nothing that is started there outlives the test.
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--fork",
            "sh",
            "-c",
            "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" sh -c \"$1\"",
        ]);
        command.arg(self.path("")).arg(script).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn sh(&self, script: &str) -> String {
        text(&mut self.command(script))
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.path("asked")).unwrap_or_default()
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = self.command("su -s /bin/sh gridmon -c 'qagent --pidfile /var/lib/gridmon/pid stop'").output();
    }
}

/// What an operator makes before the upgrade: a config, a store with points, and a service that runs.
fn set_up(debian: &Debian) -> String {
    debian.sh("printf '[grid]\\nname = lab\\n[sensor:LoadAverage]\\n' > /etc/gridmon/config.cfg && chmod 640 /etc/gridmon/config.cfg \
               && chgrp gridmon /etc/gridmon/config.cfg");
    debian.sh("su -s /bin/sh gridmon -c 'qagent --pidfile /var/lib/gridmon/pid start'");
    pid(debian)
}

/// The number of the agent's process; its start stands below it.
fn pid(debian: &Debian) -> String {
    debian.sh("head -n 1 /var/lib/gridmon/pid").trim().to_string()
}

#[test]
#[ignore = "builds everything: make test-all"]
fn the_debian_package_is_installed_upgraded_removed_and_purged() {
    let test = "the_debian_package_is_installed_upgraded_removed_and_purged";
    for suite in ["bookworm", "trixie"] {
        let Some(debian) = Debian::new(suite) else { return skip(test, "debootstrap") };
        let built = built();
        for (name, folder) in [("old.deb", &built.old), ("new.deb", &built.new)] {
            fs::copy(file(folder, ".deb"), debian.path(name)).unwrap();
        }
        let status = || debian.sh("dpkg-query -W -f '${db:Status-Abbrev}${Version}' gridmon");
        debian.sh("dpkg -i /old.deb");
        assert_eq!(status(), "ii 0.0.9");
        // Nothing starts by itself, and the user and its folders are there.
        assert!(!debian.asked().contains("restart") && !debian.asked().contains("enable"), "{}", debian.asked());
        let mode = |path: &str| debian.sh(&format!("stat -c '%U %G %a' {path}"));
        assert_eq!(mode("/var/lib/gridmon"), "gridmon gridmon 750\n");
        assert_eq!(mode("/etc/gridmon"), "root gridmon 755\n");
        assert!(debian.sh("collect-grid --version").starts_with("collect-grid "));

        let before = set_up(&debian);
        debian.sh("dpkg -i /new.deb");
        assert_ne!(status(), "ii 0.0.9");
        let after = pid(&debian);
        assert!(before != after && debian.sh(&format!("cat /proc/{after}/comm")) == "qagent\n");
        assert!(debian.asked().contains("daemon-reload\ntry-restart qagent.service\n"), "{}", debian.asked());
        assert!(debian.sh("cat /etc/gridmon/config.cfg").contains("name = lab"));
        assert!(debian.path("var/lib/gridmon/gridmon.db").exists(), "the points of the version before");

        debian.sh("dpkg -r gridmon");
        assert!(debian.asked().contains("disable --now qagent.service\n"), "{}", debian.asked());
        assert!(!debian.path("usr/bin/qagent").exists() && debian.path("etc/gridmon/config.cfg").exists());
        assert!(debian.path("var/lib/gridmon/gridmon.db").exists(), "removal keeps what was collected");
        debian.sh("dpkg -P gridmon");
        for gone in
            ["var/lib/gridmon", "var/log/gridmon", "etc/gridmon", "etc/logrotate.d/gridmon", "usr/share/gridmon"]
        {
            assert!(!debian.path(gone).exists(), "{gone}");
        }
        // Its number must not become somebody else's.
        assert!(debian.sh("getent passwd gridmon").contains("/nologin"));
    }
}

/// As a new user would: the package by apt, then the first hour word for word, on a machine that has nothing else.
#[test]
#[ignore = "builds everything: make test-all"]
fn the_first_hour_goes_by_the_book_on_a_bare_debian() {
    let test = "the_first_hour_goes_by_the_book_on_a_bare_debian";
    let page = root().join("docs/first-hour.md");
    for suite in ["bookworm", "trixie"] {
        let Some(debian) = Debian::new(suite) else { return skip(test, "debootstrap") };
        let package = file(&built().new, ".deb");
        let name = package.file_name().unwrap().to_str().unwrap();
        fs::copy(&package, debian.path("root").join(name)).unwrap();
        debian.sh(&format!("cd /root && apt install ./{name}"));
        debian.sh("useradd --create-home --shell /bin/sh reader");
        let mut said = String::new();
        for (_, commands) in blocks(&page).into_iter().filter(|(is_run, _)| *is_run) {
            debian.write("step", &commands);
            said += &debian.sh("su --login reader --command 'sh -e /step'");
        }
        assert!(said.contains(".LoadAverage.") && said.contains("runs as process"), "{suite}: {said}");
        assert!(said.contains("the load averages of a node"), "{suite}: {said}");
        assert!(!debian.path("home/reader/gridmon").exists(), "{suite}: it leaves nothing behind");
        debian.sh("apt remove --yes gridmon");
        assert!(!debian.path("usr/bin/qagent").exists(), "{suite}");
    }
}

/// No EL is at hand: the package is unpacked into a Debian root by rpm itself, whose scripts run there.
#[test]
#[ignore = "builds everything: make test-all"]
fn the_rpm_package_is_installed_upgraded_and_erased() {
    let test = "the_rpm_package_is_installed_upgraded_and_erased";
    let Some(debian) = Debian::new("bookworm") else { return skip(test, "debootstrap") };
    let built = built();
    let rpm = |arguments: &[&str], package: Option<PathBuf>| {
        // Its scripts find /proc in the root, as they do on a machine.
        let script = "mount -t proc proc \"$0/proc\" && exec rpm --root \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--fork", "sh", "-c", script]).arg(debian.path("")).args(arguments).args(package);
        text(&mut command)
    };
    rpm(&["-i", "--nodeps"], Some(file(&built.old, ".rpm")));
    assert_eq!(rpm(&["-q", "gridmon"], None), "gridmon-0.0.9-1.x86_64\n");
    let before = set_up(&debian);
    rpm(&["-U", "--nodeps"], Some(file(&built.new, ".rpm")));
    assert_ne!(before, pid(&debian));
    assert!(debian.path("usr/bin/qagent").exists() && debian.sh("cat /etc/gridmon/config.cfg").contains("name = lab"));
    rpm(&["-e", "gridmon"], None);
    assert!(!debian.path("usr/bin/qagent").exists() && debian.path("etc/gridmon/config.cfg").exists());
    assert!(debian.path("var/lib/gridmon/gridmon.db").exists(), "{}", debian.asked());
    let left = debian.sh("find /usr -path '*gridmon*'");
    assert_eq!(left, "", "no folder of its own stays");
}

/// What an operator may have made before: the group, or the user with another group; a disk or a link in the place of the state; a
/// service that nobody but its user can restart.
#[test]
#[ignore = "builds everything: make test-all"]
fn the_debian_package_takes_what_is_there_and_says_what_it_leaves() {
    let test = "the_debian_package_takes_what_is_there_and_says_what_it_leaves";
    for before in ["groupadd --system gridmon", "useradd --system --no-user-group --gid nogroup gridmon"] {
        let Some(debian) = Debian::new("bookworm") else { return skip(test, "debootstrap") };
        fs::copy(file(&built().old, ".deb"), debian.path("old.deb")).unwrap();
        fs::copy(file(&built().new, ".deb"), debian.path("new.deb")).unwrap();
        debian.sh(before);
        debian.sh("dpkg -i /old.deb");
        assert!(debian.sh("id -Gn gridmon").split_whitespace().any(|group| group == "gridmon"), "{before}");
        set_up(&debian);
        debian.sh("su -s /bin/sh gridmon -c 'cd /var/lib/gridmon && collect-grid --list' >/dev/null");
        // This one is none of systemd's.
        debian.sh("su -s /bin/sh gridmon -c 'qagent --pidfile /var/lib/gridmon/pid stop'");
        let told = debian
            .sh("su -s /bin/sh gridmon -c 'qagent --pidfile /var/lib/gridmon/hand start' && dpkg -i /new.deb; \
             dpkg -r gridmon; kill $(head -n 1 /var/lib/gridmon/hand)");
        assert!(told.contains("was started by hand: it is still of the version before; restart it"), "{told}");
        assert!(told.contains("was started by hand: end it"), "{told}");
        debian.sh("mkdir /disk && mv /var/log/gridmon /disk/logs && ln -s /disk/logs /var/log/gridmon && touch /disk/logs/kept");
        let purged = debian.sh("mount -t tmpfs none /var/lib/gridmon && touch /var/lib/gridmon/x && dpkg -P gridmon; ls -A /var/lib/gridmon");
        assert!(purged.contains("/var/lib/gridmon stays") && !purged.ends_with("x\n"), "{purged}");
        assert!(purged.contains("/var/log/gridmon is a link") && debian.path("disk/logs/kept").exists(), "{purged}");
        assert_eq!(debian.sh("dpkg-query -W gridmon 2>/dev/null || echo gone"), "gone\n");
    }
}

/// The tarball's programs run where only an old glibc is: Debian 11 has 2.31.
#[test]
#[ignore = "builds everything: make test-all"]
fn the_tarballs_programs_run_on_debian_11() {
    let test = "the_tarballs_programs_run_on_debian_11";
    let Some(debian) = Debian::new("bullseye") else { return skip(test, "debootstrap") };
    fs::copy(file(&built().new, ".tar.gz"), debian.path("gridmon.tar.gz")).unwrap();
    debian.sh("cd /opt && tar xf /gridmon.tar.gz && mv gridmon-* gridmon");
    assert!(debian.sh("ldd --version").contains("2.31"));
    for program in ["collect-grid", "collect-panda", "cloud-monitor", "qmaster", "gridmon-status"] {
        assert!(debian.sh(&format!("/opt/gridmon/bin/{program} --version")).starts_with(program));
    }
    let points = debian.sh("/opt/gridmon/bin/qagent once LoadAverage");
    assert!(points.contains(".LoadAverage."), "{points}");
}
