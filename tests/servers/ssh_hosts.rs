//! collect-backups over real sshd: healthy hosts, and one for each way of failing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{SshHosts, program, skip};
use serde_json::Value;

/// 2026-03-30 06:00:00 UTC.
const NOW: u64 = 1_774_850_400;

/// Makes a tarball of this size below a host's folder.
fn tarball(hosts: &SshHosts, host: &str, path: impl AsRef<std::ffi::OsStr>, bytes: u64, mtime: u64) {
    let path = hosts.folder(host).join("backup/lab").join(Path::new(path.as_ref()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(&path).unwrap();
    file.set_len(bytes).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(mtime)).unwrap();
}

fn run(sandbox: &Sandbox, hosts: &SshHosts, config: &str, arguments: &[&str]) -> Outcome {
    let state = sandbox.path("state");
    let ssh = hosts.config();
    let text = format!(
        "[grid]\nname = lab\n[embedded]\npath = {0}/gridmon.db\n[state]\ndirectory = {0}\n[backups]\nssh = ssh -F {1}\n{config}\n",
        state.display(),
        ssh.display()
    );
    let path = sandbox.write("config.cfg", text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(program("collect-backups"));
    command.args(["--now", &NOW.to_string()]).args(arguments).current_dir(sandbox.path(""));
    Outcome::of(command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", sandbox.path("")))
}

/// What a line of each odd host says; nothing for one that is read whole.
const ODD: [(&str, &str); 24] = [
    ("dead", "Connection refused\"; no ssh server listens there"),
    ("blackhole", "Connection timed out\"; nothing answers there"),
    ("mute", "something takes the connection and does not greet as an ssh server"),
    ("half", "it greets as an ssh server, and is silent then"),
    ("closes", "kex_exchange_identification"),
    ("not_ssh", "something takes the connection and does not greet as an ssh server"),
    ("hang", "gave no answer in 25"),
    ("wrong_key", "its host key is not the known one: find out why"),
    ("unknown_key", "its host key is not known: log in once by hand"),
    ("refused_key", "it lets this user in with no key"),
    ("noisy", ""),
    ("restricted", "the account's shell cannot run sh"),
    ("nologin", "the account has no shell"),
    ("busybox", ""),
    ("no_sha256sum", ""),
    ("exit255", ""),
    ("killed", "begun"),
    ("flood", "it printed 1024 kB that are no listing"),
    ("csh", ""),
    ("sftp_only", "the account may run no command"),
    ("slow", ""),
    ("slow_10k", ""),
    ("stall", "not responding"),
    ("cut", "closed by remote host"),
];

#[test]
fn each_odd_host_is_told_apart_in_words_and_in_time_beside_healthy_ones() {
    let Some(hosts) = SshHosts::start(20) else {
        return skip("each_odd_host_is_told_apart_in_words_and_in_time_beside_healthy_ones", "openssh-server");
    };
    let sandbox = Sandbox::new("small");
    let names = hosts.names();
    assert_eq!(names.len(), 44);
    for name in &names {
        tarball(&hosts, name, "2026/03/30/023000/db.tar.gz", 5000, NOW - 10_000);
        tarball(&hosts, name, "2026/03/29/023000/db.tar.gz", 5000, NOW - 96_000);
        // More than the 20 kB that come through before these two fail.
        for file in 0..if ["stall", "cut"].contains(&name.as_str()) { 600 } else { 0 } {
            tarball(&hosts, name, format!("a-name-that-takes-some-room-in-a-listing-{file}"), 1, NOW);
        }
    }
    let config = format!(
        "connect_seconds = 6\nnode_seconds = 25\nparallel = 50\n[hub L]\nnodes = {}\nroot = $SCM_FOLD/backup/lab\n\
         pattern = %Y/%m/%d/%H%M%S/*.tar.gz\ntimezone = UTC\nsets = db\n",
        names.join(", ")
    );
    let outcome = run(&sandbox, &hosts, &config, &["--dry-run", "--format", "json"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.took < Duration::from_secs(60), "{:?}", outcome.took);
    let points: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |measurement: &str| -> BTreeMap<String, Value> {
        let points = points.iter().filter(|point| point["measurement"] == measurement);
        points.map(|point| (point["tags"]["node"].as_str().unwrap().into(), point["fields"].clone())).collect()
    };
    let (nodes, sets) = (of("backup_node"), of("backup_set"));
    let odd: BTreeMap<_, _> = ODD.into_iter().collect();
    for name in &names {
        let words = odd.get(name.as_str()).copied().unwrap_or_default();
        let line = outcome.stderr.lines().find(|line| line.contains(&format!(" L {name}: unreachable: ")));
        if words.is_empty() {
            assert_eq!(line, None, "{name}");
            assert_eq!(nodes[name]["reachable"], 1, "{name}");
            assert_eq!(sets[name]["bytes"], 5000, "{name}");
            assert_eq!((&sets[name]["verdict"], &sets[name]["backups"]), (&Value::from(0), &Value::from(2)), "{name}");
        } else {
            let line = line.unwrap_or_else(|| panic!("{name} is not named: {}", outcome.stderr));
            assert!(line.contains(words), "{name}: {line}");
            assert_eq!(nodes[name]["reachable"], 0, "{name}");
            assert!(!sets.contains_key(name), "{name} has points of sets");
        }
    }
}

#[test]
#[ignore = "200 sshd; make test-all runs it"]
fn two_hundred_hosts_are_read_side_by_side() {
    let Some(hosts) = SshHosts::start(200) else {
        return skip("two_hundred_hosts_are_read_side_by_side", "openssh-server");
    };
    let sandbox = Sandbox::new("small");
    let names: Vec<_> = hosts.names().into_iter().filter(|name| !ODD.iter().any(|(odd, _)| odd == name)).collect();
    assert_eq!(names.len(), 200);
    for name in &names {
        tarball(&hosts, name, "2026/03/30/023000/db.tar.gz", 5000, NOW - 10_000);
    }
    let config = format!(
        "connect_seconds = 60\nnode_seconds = 240\nparallel = 16\n[hub L]\nnodes = {}\nroot = $SCM_FOLD/backup/lab\n\
         pattern = %Y/%m/%d/%H%M%S/*.tar.gz\ntimezone = UTC\nsets = db\n",
        names.join(", ")
    );
    let outcome = run(&sandbox, &hosts, &config, &["--dry-run", "--format", "json"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let points: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_sets = points.iter().filter(|point| point["measurement"] == "backup_set");
    let read: std::collections::BTreeSet<_> = of_sets.map(|point| point["tags"]["node"].as_str().unwrap()).collect();
    assert_eq!(read.len(), 200);
}

/// Names with all that shells, terminals and parsers trip over; what they would do if a shell ran them.
const NAMES: [&[u8]; 14] = [
    b"new\nline",
    b"BEGIN x gnu 1\nEND x 0",
    b"\nEND\tx 0",
    b"quote'\"",
    b"$(touch $SCM_FOLD/run)",
    b"`touch $SCM_FOLD/run`",
    b"';touch $SCM_FOLD/run;'",
    b"\\",
    b"-rf",
    b"a b\tc",
    "ümläut-日本".as_bytes(),
    b"latin1-\xe9",
    b"\x1b[31mred",
    b"%s%n*?[a]~!#;&|<>",
];

#[test]
fn every_name_is_read_as_it_is_and_none_reaches_a_shell_as_code() {
    let Some(hosts) = SshHosts::start(1) else {
        return skip("every_name_is_read_as_it_is_and_none_reaches_a_shell_as_code", "openssh-server");
    };
    let sandbox = Sandbox::new("small");
    let shown = gridmon::monitors::backups::name::shown;
    for host in ["h001", "busybox", "csh"] {
        for name in NAMES {
            let mut path = name.to_vec();
            path.extend_from_slice(b"/2026/03/30/023000/x.tar.gz");
            tarball(&hosts, host, std::ffi::OsStr::from_bytes(&path), 5000, NOW - 10_000);
            path.extend_from_slice(b".dna");
            let sidecar = hosts.folder(host).join("backup/lab").join(std::ffi::OsStr::from_bytes(&path));
            fs::write(sidecar, "{'dig': '0829f71740aab1ab98b33eae21dee122', 'size': 4000}\n").unwrap();
        }
    }
    let sets: Vec<_> = NAMES.iter().map(|name| shown(name)).collect();
    let config = format!(
        "[hub L]\nnodes = h001, busybox, csh\nroot = $SCM_FOLD/backup/lab\ntimezone = UTC\nsets = {}\n",
        sets.join(", ")
    );
    let outcome = run(&sandbox, &hosts, &config, &["--dry-run", "--format", "json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for host in ["h001", "busybox", "csh"] {
        for set in &sets {
            let line = format!(" L {host} {set}: truncated: ");
            assert!(outcome.stderr.contains(&line), "{line} is not in {}", outcome.stderr);
        }
        assert!(!hosts.folder(host).join("run").exists(), "a name was run on {host}");
    }
    assert_eq!(outcome.stderr.lines().count(), 3 * NAMES.len(), "{}", outcome.stderr);
}
