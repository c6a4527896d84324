//! Real servers: Carbon, graphite-web, InfluxDB, MariaDB, exim4, what stands in front of them, HTCondor pools, Apache and
//! nginx, ssh, libvirt, Slurm, an object store.
//!
//! `testkit/servers/install.sh` brings them onto a machine. A `start` answers `None` where its server is not installed,
//! and the test then says so through [`skip`](crate::skip); a server that is installed and does not come up fails the
//! test. Every server ends with the value that stands for it, or with the test process, however that ended: it holds the
//! other end of the server's standard input.

mod exim4;
mod front;
mod graphite;
mod influxdb;
mod libvirt;
mod mariadb;
mod pool;
mod proxy;
mod s3;
mod slurm;
mod ssh;

pub use exim4::Exim4;
pub use front::Front;
use graphite::encode;
pub use graphite::{Carbon, GraphiteWeb, shared_graphite};
pub use influxdb::Influxdb;
pub use libvirt::Libvirt;
pub use mariadb::Mariadb;
pub use pool::{OddJobs, Pool, SCHEDDS, Suite};
pub use proxy::Proxy;
pub use s3::S3;
pub use slurm::Slurm;
pub use ssh::SshHosts;

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::{Ports, TempDir, root, signal, wait_until};

/// Where `testkit/servers/install.sh` unpacks what it does not install as a package.
fn servers() -> PathBuf {
    root().join(env::var_os("GRIDMON_SERVERS").unwrap_or_else(|| "target/servers".into()))
}

/// A packed bare Debian of a suite; `None` where `make test-all` has made none.
pub fn debian_root(suite: &str) -> Option<PathBuf> {
    Some(servers().join(format!("debian-{suite}.tar"))).filter(|packed| packed.exists())
}

/// A script of `testkit/servers`.
pub fn script(name: &str) -> PathBuf {
    root().join("testkit/servers").join(name)
}

/// A running script of `testkit/servers`, ended on drop.
#[derive(Debug)]
struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Server {
    /// Starts a script; the servers' own output goes to the file `log` in the folder they are given.
    fn start(script: &str, args: &[&str]) -> Server {
        let mut child = Command::new("/bin/bash")
            .arg(self::script(script))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash, which Debian always has");
        let stdin = child.stdin.take();
        Server { child, stdin }
    }

    /// Waits until `ready` answers, and gives `false` where the server has ended instead. Two dozen QEMUs take minutes.
    fn wait_ready(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> bool {
        wait_until(what, Duration::from_secs(240), || {
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
