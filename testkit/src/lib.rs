//! What the tests and benchmarks of gridmon stand on: folders, ports and waiting here; programs as cron starts them and
//! stand-ins for what they call in [`sandbox`]; real servers, each on loopback ports and in a folder of its own, in
//! [`servers`]; a disk that loses power in [`power`]; a mount whose server is gone in [`hanging`];
//! a network whose line is cut in [`network`].
//!
//! It knows the programs by their files alone, and nothing of the library: whatever moves in there, this stays.

#![allow(clippy::unwrap_used)]

pub mod hanging;
pub mod network;
pub mod power;
pub mod sandbox;
pub mod servers;

pub use servers::{
    Carbon, Exim4, Front, GraphiteWeb, Influxdb, Libvirt, Mariadb, OddJobs, Pool, Proxy, S3, SCHEDDS, Slurm, SshHosts,
    Suite, shared_graphite,
};

use std::{
    env,
    fs::{self, File},
    io::Write,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the testkit lies in the repository")
}

/// Where Cargo puts what it builds with the profile of this test or benchmark, which runs in its folder `deps`.
fn built() -> PathBuf {
    let own = env::current_exe().expect("Linux knows it");
    own.ancestors().nth(2).expect("Cargo builds tests in PROFILE/deps").into()
}

/// A program of the toolkit, as it was built together with this test.
pub fn program(name: &str) -> PathBuf {
    let path = built().join(name);
    assert!(path.exists(), "{} is not built: run the test through Cargo", path.display());
    path
}

/// The names of the toolkit's programs, sorted.
pub fn programs() -> Vec<String> {
    let files = fs::read_dir(root().join("src/bin")).expect("the sources that this is built from");
    let name = |file: fs::DirEntry| file.path().file_stem().and_then(|stem| stem.to_str()).expect("ASCII").to_string();
    let mut names: Vec<_> = files.map(|file| name(file.expect("a file"))).collect();
    names.sort();
    names
}

/// Says that `test` did not run because `missing` is not installed, on standard error and as a line of the file that
/// `GRIDMON_SKIPPED` names; where `CI` is `true` a test must not be skipped, and this panics.
pub fn skip(test: &str, missing: &str) {
    let line = format!("SKIPPED {test}: {missing} is not here; testkit/servers/install.sh installs it");
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

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl TempDir {
    /// Makes the folder, below Cargo's folder for temporary files of tests.
    pub fn new() -> TempDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        let parent = built().parent().expect("the folder target").join("tmp");
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

/// The ports from 300 to 1023 that Chromium opens for nobody, because other protocols than HTTP own them.
const NOT_FOR_BROWSERS: [u16; 23] =
    [389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995];

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
                if (first..first + 4).any(|port| NOT_FOR_BROWSERS.contains(&port)) {
                    return None;
                }
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
