//! Real servers for the tests: Carbon, graphite-web, HTCondor pools, Apache and nginx, each on loopback ports and in a folder of its
//! own.
//!
//! `tests/servers/install.sh` brings them onto a machine. A `start` answers `None` where its server is not installed,
//! and the test then says so through [`skip`]; a server that is installed and does not come up fails the test. Every
//! server ends with the value that stands for it, or with the test process, however that ended: it holds the other end
//! of the server's standard input.
#![allow(dead_code)]

mod graphite;
mod pool;
mod proxy;

#[allow(unused_imports)] // Each test file takes what it needs.
pub use {
    graphite::{Carbon, GraphiteWeb, shared_graphite},
    pool::{OddJobs, Pool, SCHEDDS, Suite},
    proxy::Proxy,
};

use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, Command, Stdio},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Says that `test` did not run because `missing` is not installed, on standard error and as a line of the file that
/// `GRIDMON_SKIPPED` names; where `CI` is `true` a test must not be skipped, and this panics.
pub fn skip(test: &str, missing: &str) {
    let line = format!("SKIPPED {test}: {missing} is not here; tests/servers/install.sh installs it");
    eprintln!("{line}");
    if let Some(path) = env::var_os("GRIDMON_SKIPPED") {
        let mut file =
            File::options().create(true).append(true).open(path).expect("the file that GRIDMON_SKIPPED names");
        writeln!(file, "{line}").expect("the file that GRIDMON_SKIPPED names");
    }
    assert!(env::var("CI").as_deref() != Ok("true"), "{line}");
}

/// Asks `check` again and again until it answers, and panics with `what` when `limit` has passed.
pub fn wait_until<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = check() {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal by name (`STOP`, `CONT`, `TERM`, `KILL`…) to a process that the test started.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).status().expect("sh");
    assert!(status.success(), "kill -s {name} {pid}");
}

/// A fresh empty folder that the current user owns, removed on drop.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes the folder, below Cargo's folder for temporary files of tests where there is one.
    pub fn new() -> TempDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        let parent = option_env!("CARGO_TARGET_TMPDIR").map_or_else(env::temp_dir, PathBuf::from);
        fs::create_dir_all(&parent).expect("a folder for temporary files");
        // What a killed test or a shared server has left behind.
        SWEEP.call_once(|| {
            for entry in fs::read_dir(&parent).expect("the folder was just made").flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let pid = name.strip_prefix("gridmon-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
                if pid.is_some_and(|pid| pid == process::id() || !Path::new(&format!("/proc/{pid}")).exists()) {
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        });
        let path = parent.join(format!("gridmon-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path).expect("the name holds this process and a count");
        TempDir(path)
    }

    /// Where the folder is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file of this name into the folder and gives its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("the folder is ours");
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Four consecutive loopback ports that no other test is given while this lives.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    _lock: File,
}

impl Ports {
    /// Finds four ports that are free, and locks them against tests in this and in other processes.
    pub fn free() -> Ports {
        // Asking the kernel for port 0 gives no neighbours, and gives the port away again before the server has bound
        // it.
        let user = fs::metadata("/proc/self").expect("Linux has /proc").uid();
        let folder = env::temp_dir().join(format!("gridmon-ports-{user}"));
        fs::create_dir_all(&folder).expect("a folder for the locks of ports");
        // Root takes privileged ports: the kernel gives them to no client, whose closed connection would keep a server from
        // binding its port for a minute. Where clients get ports from 1024 on, that happens on a busy machine.
        let start = process::id() % 180;
        let privileged = (start..180).chain(0..start).map(|block| 300 + 4 * block);
        let start = process::id() % 3000;
        let others = (start..3000).chain(0..start).map(|block| 20000 + 4 * block);
        privileged
            .chain(others)
            .find_map(|first| {
                let first = u16::try_from(first).expect("at most 32000");
                let lock = File::create(folder.join(first.to_string())).ok()?;
                lock.try_lock().ok()?;
                let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
                (first..first + 4).all(free).then_some(Ports { first, _lock: lock })
            })
            .expect("four free ports in a row")
    }

    /// The lowest of the four.
    pub fn first(&self) -> u16 {
        self.first
    }
}

/// A free loopback port and the lock that keeps it from other tests.
pub fn free_port() -> (u16, Ports) {
    let ports = Ports::free();
    (ports.first(), ports)
}

/// Where `tests/servers/install.sh` unpacks what it does not install as a package.
fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(env::var_os("GRIDMON_SERVERS").unwrap_or_else(|| "target/servers".into()))
}

/// A running script of `tests/servers`, ended on drop.
#[derive(Debug)]
struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Server {
    /// Starts a script; the servers' own output goes to the file `log` in the folder they are given.
    fn start(script: &str, args: &[&str]) -> Server {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(script);
        let mut child = Command::new("/bin/bash")
            .arg(path)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash, which Debian always has");
        let stdin = child.stdin.take();
        Server { child, stdin }
    }

    /// Waits until `ready` answers, and gives `false` where the server has ended instead.
    fn wait_ready(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> bool {
        wait_until(what, Duration::from_secs(60), || {
            if self.child.try_wait().expect("our own child").is_some() {
                return Some(false);
            }
            ready().then_some(true)
        })
    }

    /// Ends the server and waits until it is gone.
    fn end(&mut self) {
        // Closing its input ends it. The end of its output says that the watcher in the script is through with its kill
        // as well: only now may `wait` give the pid back to the kernel.
        self.stdin = None;
        if let Some(mut stdout) = self.child.stdout.take() {
            let _ = stdout.read_to_end(&mut Vec::new());
        }
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// The last lines of a server's log, for the text of a panic.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
