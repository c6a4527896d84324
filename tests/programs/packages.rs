//! What `make dist` makes: built twice, looked into, and installed, upgraded, removed and purged in a bare Debian. All in `make
//! test-all`, since a build of all programs for an old glibc takes minutes. With `DIST_BINARIES`, a folder of programs that are built
//! already (with the agent as `gridmon-agent`), and `DIST_MANUALS`, what `make manuals` wrote, nothing is compiled, and what is
//! tested of an old glibc is left out.

mod contents;
mod debian;
mod scripts;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use gridmon_testkit::{TempDir, programs, root, servers, skip};

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
    let kept = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "DIST_MANUALS"];
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

/// The folder of programs that are built already, if the caller names one.
fn given() -> Option<PathBuf> {
    std::env::var_os("DIST_BINARIES").map(PathBuf::from)
}

/// Where `dist/programs.sh` puts the programs.
fn release() -> PathBuf {
    root().join("target/dist-build/x86_64-unknown-linux-gnu/release")
}

/// Builds once for all tests.
fn built() -> &'static Built {
    static BUILT: OnceLock<(TempDir, Built)> = OnceLock::new();
    let (_, built) = BUILT.get_or_init(|| {
        let folder = TempDir::new();
        let new = build(None, given().as_deref(), folder.path());
        let old = build(Some("0.0.9"), Some(&given().unwrap_or_else(release)), folder.path());
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
        // Its own mounts, so that what is mounted there goes with the command.
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

/// The tarball's programs run where only an old glibc is: Debian 11 has 2.31.
#[test]
#[ignore = "builds everything: make test-all"]
fn the_tarballs_programs_run_on_debian_11() {
    let test = "the_tarballs_programs_run_on_debian_11";
    let Some(debian) = Debian::new("bullseye").filter(|_| given().is_none()) else {
        return skip(test, "debootstrap, and programs for an old glibc");
    };
    fs::copy(file(&built().new, ".tar.gz"), debian.path("gridmon.tar.gz")).unwrap();
    debian.sh("cd /opt && tar xf /gridmon.tar.gz && mv gridmon-* gridmon");
    assert!(debian.sh("ldd --version").contains("2.31"));
    for program in programs() {
        assert!(debian.sh(&format!("/opt/gridmon/bin/{program} --version")).starts_with(&program));
    }
    let points = debian.sh("/opt/gridmon/bin/qagent once LoadAverage");
    assert!(points.contains(".LoadAverage."), "{points}");
}
