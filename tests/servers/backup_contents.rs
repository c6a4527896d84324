//! What is in backups, over real sshd: truncated and changed files, missing sidecars, tools that hang or are not there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{SshHosts, program, skip};

/// 2026-03-30 06:00:00 UTC.
const NOW: u64 = 1_774_850_400;

/// The whole of a compressed file, of bytes that do not compress.
fn compressed(sandbox: &Sandbox) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let plain = sandbox.write("plain", (0..20_000).map(|_| next()).collect::<Vec<_>>());
    Command::new("gzip").arg("-c").arg(plain).output().unwrap().stdout
}

fn md5(path: &Path) -> String {
    let output = Command::new("md5sum").arg(path).output().unwrap().stdout;
    String::from_utf8(output).unwrap().split(' ').next().unwrap().into()
}

/// A host with one backup a set, and tools of its own.
struct Site {
    hosts: SshHosts,
    sandbox: Sandbox,
}

impl Site {
    fn start(test: &str) -> Option<Self> {
        let hosts = SshHosts::start(1);
        if hosts.is_none() {
            skip(test, "openssh-server");
        }
        Some(Self { hosts: hosts?, sandbox: Sandbox::new("small") })
    }

    fn root(&self) -> PathBuf {
        self.hosts.folder("h001").join("backup/lab")
    }

    /// Writes the backup of a set, `ago` seconds before; returns its path.
    fn backup(&self, set: &str, bytes: &[u8], ago: u64) -> PathBuf {
        let path = self.root().join(set).join("2026/03/30/023000/x.tar.gz");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let file = fs::File::open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - ago)).unwrap();
        path
    }

    /// Puts a tool into the only folder of the host's PATH.
    fn tool(&self, name: &str, script: &str) {
        let path = self.tools().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn tools(&self) -> PathBuf {
        let folder = self.hosts.folder("h001").join("tools");
        fs::create_dir_all(&folder).unwrap();
        for name in ["sh", "find", "date", "df", "tail", "timeout", "true", "sleep", "stat"] {
            let place =
                ["/usr/bin", "/bin"].map(|bin| Path::new(bin).join(name)).into_iter().find(|path| path.exists());
            let _ = symlink(place.unwrap(), folder.join(name));
        }
        folder
    }

    fn run(&self, hour: u64, check_seconds: u64, more: &str) -> Outcome {
        let text = format!(
            "[grid]\nname = lab\n[embedded]\npath = {0}/gridmon.db\n[state]\ndirectory = {0}\n\
             [backups]\nssh = ssh -F {1}\ncheck_seconds = {check_seconds}\n[node h001]\nshell = /usr/bin/env PATH={2} sh -s\n\
             [hub L]\nnodes = h001\nroot = {3}\ntimezone = UTC\n{more}",
            self.sandbox.path("state").display(),
            self.hosts.config().display(),
            self.tools().display(),
            self.root().display()
        );
        let path = self.sandbox.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new(program("collect-backups"));
        command.args(["--now", &(NOW + hour * 3600).to_string()]).current_dir(self.sandbox.path(""));
        Outcome::of(command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.sandbox.path("")))
    }

    /// What the history says of each set.
    fn seals(&self) -> Vec<(String, String)> {
        let store = rusqlite::Connection::open(self.sandbox.path("state/gridmon.db")).unwrap();
        let mut query = store.prepare("SELECT name, seal FROM backup ORDER BY name").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

/// The sets that standard error names, each with its word.
fn said(outcome: &Outcome) -> Vec<(&str, &str)> {
    let lines = outcome.stderr.lines().filter_map(|line| line.split_once(" L h001 "));
    lines
        .map(|(_, rest)| rest.split_once(": ").unwrap())
        .map(|(set, rest)| (set, rest.split(':').next().unwrap()))
        .collect()
}

#[test]
fn a_file_is_read_once_and_what_is_wrong_with_it_stays_said() {
    let Some(site) = Site::start("a_file_is_read_once_and_what_is_wrong_with_it_stays_said") else { return };
    let whole = compressed(&site.sandbox);
    for set in ["cut", "good", "changed", "sealed", "unsealed"] {
        let path = site.backup(set, if set == "cut" { &whole[..whole.len() - 500] } else { &whole }, 10_000);
        if ["changed", "sealed"].contains(&set) {
            let seal = format!("{{'dig': '{}', 'size': {}}}\n", md5(&path), whole.len());
            fs::write(path.with_extension("gz.dna"), seal).unwrap();
        }
    }
    // One byte of it is another one, and the size is the same.
    let mut changed = whole.clone();
    changed[5000] ^= 1;
    site.backup("changed", &changed, 10_000);
    let log = site.hosts.folder("h001").join("read");
    for tool in ["gzip", "md5sum"] {
        site.tool(tool, &format!("echo {tool} >> {}; exec /usr/bin/{tool} \"$@\"", log.display()));
    }
    let config = "check = gzip\n[backup_set L *sealed]\ncheck = digest\n[backup_set L changed]\ncheck = digest\n";
    let first = site.run(0, 60, config);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_eq!(said(&first), [("changed", "digest"), ("cut", "truncated")], "{}", first.stderr);
    let read = || fs::read_to_string(&log).unwrap().lines().map(String::from).collect::<Vec<_>>();
    let mut before = read();
    before.sort();
    assert_eq!(
        before,
        ["gzip", "gzip", "md5sum", "md5sum"],
        "there is nothing to compare the one without a sidecar with"
    );
    let seals = ["digest", "truncated", "checked", "checked", "unsealed"];
    let sets = ["changed", "cut", "good", "sealed", "unsealed"];
    let expected: Vec<_> = sets.iter().zip(seals).map(|(set, seal)| (set.to_string(), seal.to_string())).collect();
    assert_eq!(site.seals(), expected);

    let second = site.run(1, 60, config);
    assert_eq!((second.code, second.stderr.as_str()), (Some(0), ""));
    assert_eq!(read().len(), 4, "each is read once");

    // It came again, whole.
    site.backup("cut", &whole, 9000);
    let third = site.run(2, 60, config);
    assert_eq!(said(&third), [("cut", "well again, after 2 h 0 min (truncated)")], "{}", third.stderr);
    assert_eq!(read().len(), 5);
}

#[test]
fn a_tool_that_hangs_or_is_not_there_says_so_and_is_no_verdict() {
    let Some(site) = Site::start("a_tool_that_hangs_or_is_not_there_says_so_and_is_no_verdict") else { return };
    let whole = compressed(&site.sandbox);
    site.backup("a", &whole, 10_000);
    // Still written to.
    site.backup("b", &whole[..300], 60);
    let none = site.run(0, 60, "check = gzip\n");
    let words = "a/2026/03/30/023000/x.tar.gz not checked: there is no gzip there";
    assert_eq!((none.code, said(&none).len()), (Some(1), 0), "{}", none.stderr);
    assert!(none.stderr.contains(words) && !none.stderr.contains("b/2026"), "{}", none.stderr);

    site.tool("gzip", "exec sleep 600");
    let hung = site.run(1, 2, "check = gzip\n");
    assert!(hung.took < Duration::from_secs(40), "{:?}", hung.took);
    assert_eq!((hung.code, said(&hung).len()), (Some(1), 0), "{}", hung.stderr);
    assert!(hung.stderr.contains("not checked: took too long: raise [backups] check_seconds"), "{}", hung.stderr);

    // Whether it can be checked now, nobody knows while the node is not read.
    let shell = site.tools().join("sh");
    fs::remove_file(&shell).unwrap();
    fs::write(&shell, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    let unread = site.run(2, 60, "check = gzip\n");
    assert!(unread.code == Some(1) && !unread.stderr.contains("works again"), "{}", unread.stderr);
    fs::remove_file(&shell).unwrap();

    // What was not checked is checked by the next run.
    site.tool("gzip", "exec /usr/bin/gzip \"$@\"");
    let late = site.run(3, 60, "check = gzip\n");
    assert_eq!((late.code, said(&late)), (Some(0), vec![("b", "truncated")]), "{}", late.stderr);
    assert!(late.stderr.contains("contents of L on h001: works again"), "{}", late.stderr);
    assert_eq!(site.seals().into_iter().map(|(_, seal)| seal).collect::<Vec<_>>(), ["checked", "truncated"]);
}

#[test]
fn a_disk_that_gives_nothing_for_once_is_no_truncated_file() {
    let Some(site) = Site::start("a_disk_that_gives_nothing_for_once_is_no_truncated_file") else { return };
    site.backup("a", &compressed(&site.sandbox), 10_000);
    site.tool("gzip", "echo 'gzip: stdin: Input/output error' >&2; exit 1");
    let failed = site.run(0, 60, "check = gzip\n");
    assert_eq!((failed.code, said(&failed)), (Some(0), vec![("a", "unreadable")]), "{}", failed.stderr);
    let words = "a/2026/03/30/023000/x.tar.gz cannot be read: this login may not, or its disk does not give it";
    assert!(failed.stderr.contains(words), "{}", failed.stderr);
    // The next run asks again.
    site.tool("gzip", "exec /usr/bin/gzip \"$@\"");
    let later = site.run(1, 60, "check = gzip\n");
    let well = "well again, after 60 min (unreadable)";
    assert_eq!((later.code, said(&later)), (Some(0), vec![("a", well)]), "{}", later.stderr);
    assert_eq!(site.seals(), [("a".into(), "checked".into())]);
}
