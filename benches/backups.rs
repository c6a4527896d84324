//! What collect-backups computes and asks: `cargo bench --bench backups`.
//!
//! Patterns and verdicts over 1,000,000 entries, in memory. 100,000 files on one host over a real sshd, beside the bare
//! `find -printf` over the same ssh, and beside `find -exec du` for each file, as scm-backup-monitor asked. 1,000,000 files over 200
//! hosts that a stand-in for ssh plays.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use gridmon::monitors::backups::gather::Gatherer;
use gridmon::monitors::backups::hub::Hub;
use gridmon::monitors::backups::memory::NodeMemory;
use gridmon::monitors::backups::node::{NodeState, Told};
use gridmon::monitors::backups::pattern::Pattern;
use gridmon::monitors::backups::verdict::{Check, Rules};
use gridmon::monitors::backups::zone::Zone;
use gridmon::sources::ssh::{Entry, Seen};
use gridmon_testkit::{SshHosts, TempDir, program};

mod frame;

use frame::*;

/// 2026-03-30 06:00:00 UTC.
const NOW: i64 = 1_774_850_400;
const DAY: i64 = 86_400;
const JUDGED_S: f64 = 2.0;
const BESIDE_FIND: f64 = 1.2;
const HOSTS: usize = 200;
const HOSTS_S: f64 = 60.0;
const HOSTS_MB: f64 = 64.0;
const PATH: &str = "/usr/bin:/bin";
const PATTERN: &str = "{set}/%Y/%m/%d/%H%M%S/*.tar.gz";

fn main() -> ExitCode {
    let mut table = Table::default();
    judge(&mut table);
    one_host(&mut table);
    many_hosts(&mut table);
    table.end()
}

/// The path of a backup of a set, `night` nights ago, and its time.
fn backup(set: usize, night: i64) -> (String, i64) {
    let time = NOW - 12_600 - night * DAY;
    let stamp = jiff::Timestamp::from_second(time).expect("a time").strftime("%Y/%m/%d/%H%M%S");
    (format!("svn/set{set}/{stamp}/set{set}-{night}.tar.gz"), time)
}

fn hub() -> Hub {
    Hub {
        name: "L".into(),
        nodes: vec!["h".into()],
        root: "/b".into(),
        pattern: Pattern::new(PATTERN).expect("a pattern"),
        zone: Zone::named("Europe/Zurich").expect("a zone"),
        sets: Vec::new(),
        email: Vec::new(),
        report_url: None,
        json_path: None,
        defaults: Rules { fresh_seconds: 93_600, shrink_percent: 50, least_bytes: 200, keep: None, check: Check::Size },
        exceptions: Vec::new(),
    }
}

fn judge(table: &mut Table) {
    table.title("1,000,000 entries of 1,000 sets, from listing to verdicts");
    let entries: Vec<_> = (0..1000).flat_map(|set| (0..1000).map(move |night| backup(set, night))).collect();
    let hub = hub();
    let measure = || {
        least((0..3).map(|_| {
            worked(|| {
                let mut gatherer = Gatherer::new(&hub.pattern, &hub.zone, "backup");
                for (path, mtime) in &entries {
                    let entry = Entry { is_folder: false, bytes: 700_000, mtime: *mtime, path: path.as_bytes() };
                    gatherer.take(Seen::Entry(entry));
                }
                let gathered = gatherer.finish();
                let told = Told { gathered: &gathered, said: "", skew_seconds: Some(0), contents: &|_| None };
                NodeState::judge(&hub, "h", &told, &NodeMemory::default(), NOW)
            })
        }))
    };
    let took = table.twice(measure, |took| *took <= JUDGED_S);
    table.target("gather and judge, processor time", &seconds(took), "", "at most 2 s", took <= JUDGED_S);
}

/// Writes a config for nodes of this ssh client.
fn config(folder: &Path, ssh: &str, nodes: &[String], root: &Path) {
    let text = format!(
        "[grid]\nname = lab\n[embedded]\npath = {0}/gridmon.db\n[state]\ndirectory = {0}/state\n[backups]\nssh = {ssh}\n\
         [hub L]\nnodes = {1}\nroot = {2}\ntimezone = UTC\npattern = {PATTERN}\n",
        folder.display(),
        nodes.join(", "),
        root.display()
    );
    let path = folder.join("config.cfg");
    fs::create_dir_all(folder.join("state")).expect("a folder of our own");
    fs::write(&path, text).expect("a folder of our own");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("our own file");
}

fn collect(folder: &Path) -> Command {
    let mut command = clean(program("collect-backups"), PATH);
    command.args(["--now", &NOW.to_string()]).current_dir(folder).env("HOME", folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn one_host(table: &mut Table) {
    table.title("100,000 files in 200,000 folders of one host, over sshd");
    let Some(hosts) = SshHosts::start(1) else {
        println!("  openssh-server is not installed: left out");
        return;
    };
    let root = hosts.folder("h001").join("backup/lab");
    for set in 0..100 {
        for night in 0..1000 {
            let (path, _) = backup(set, night);
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of our own");
            File::create(path).expect("a folder of our own");
        }
    }
    let folder = TempDir::new();
    config(folder.path(), &format!("ssh -F {}", hosts.config().display()), &["h001".into()], &root);
    let ssh = |asked: &str| {
        let mut command = clean("/usr/bin/ssh", PATH);
        command.args(["-F", hosts.config().to_str().expect("ASCII"), "h001", asked]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        cost(&mut command).wall
    };
    let find = format!("find {} -printf '%y\\t%s\\t%T@\\t%P\\0'", root.display());
    let measure = || {
        let [ours, bare] = turns(3, [&mut || cost(collect(folder.path()).arg("--dry-run")).wall, &mut || ssh(&find)]);
        (median(ours), median(bare))
    };
    let (ours, bare) = table.twice(measure, |(ours, bare)| *ours <= BESIDE_FIND * bare);
    // Of ten of the hundred sets, times ten: it takes minutes.
    let du = 10.0 * ssh(&format!("find {}/svn/set? -name '*.gz' -exec du --block-size=1M {{}} \\;", root.display()));
    table.line("ssh, find -printf", &seconds(bare), "");
    table.line("ssh, find -exec du for each file, as the original (x 10)", &seconds(du), &times(du / ours));
    table.target(
        "collect-backups",
        &seconds(ours),
        &times(ours / bare),
        "at most 1.2 x find",
        ours <= BESIDE_FIND * bare,
    );
}

fn many_hosts(table: &mut Table) {
    table.title("1,000,000 files over 200 hosts of a stand-in");
    let folder = TempDir::new();
    let mut records = b"R\t0\0d\t4096\t1.0\t\0".to_vec();
    for set in 0..50 {
        for night in 0..100 {
            let (path, time) = backup(set, night);
            records.extend(format!("f\t700000\t{time}.0\t{path}\0").into_bytes());
        }
    }
    fs::write(folder.path().join("records"), records).expect("a folder of our own");
    let ssh = folder.path().join("ssh");
    let script = format!(
        "#!/bin/sh\nnonce=$(sed -n 's/^nonce=//p')\nprintf '\\nBEGIN %s gnu {NOW}\\n' \"$nonce\"\ncat {}\nprintf 'END\\t%s 0\\0' \"$nonce\"\n",
        folder.path().join("records").display()
    );
    fs::write(&ssh, script).expect("a folder of our own");
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("our own file");
    let nodes: Vec<_> = (0..HOSTS).map(|host| format!("h{host}")).collect();
    config(folder.path(), &ssh.display().to_string(), &nodes, Path::new("/b"));
    // The first run writes a history of a million rows; a later one knows what the first one knew.
    let mut run = |what: &str, measure: &dyn Fn(&mut Command) -> f64, unit: &dyn Fn(f64) -> String, most: f64| {
        let value = measure(&mut collect(folder.path()));
        table.target(what, &unit(value), "", &format!("at most {}", unit(most)), value <= most);
    };
    let wall = |run: &mut Command| cost(run).wall;
    run("a first run: time", &wall, &seconds, HOSTS_S);
    run("a later run: time", &wall, &seconds, HOSTS_S);
    run("a later run: memory", &memory_mb, &megabytes, HOSTS_MB);
    for kept in ["state", "gridmon.db", "gridmon.db-wal", "gridmon.db-shm"].map(|name| folder.path().join(name)) {
        let _ = if kept.is_dir() { fs::remove_dir_all(&kept) } else { fs::remove_file(&kept) };
    }
    fs::create_dir(folder.path().join("state")).expect("a folder of our own");
    run("a first run: memory", &memory_mb, &megabytes, HOSTS_MB);
}
