//! exim4, as packaged by Debian 12: an SMTP server with STARTTLS and a login.

use super::{Ports, Server, TempDir, tail};
use crate::wait_until;
use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// An SMTP server on localhost, killed on drop. It takes mail for anybody but `reject` after a login as `u` with the password
/// `p` or [`Exim4::PASSWORD`].
#[derive(Debug)]
pub struct Exim4 {
    /// Its port.
    pub port: u16,
    server: Server,
    _ports: Ports,
    dir: TempDir,
}

impl Exim4 {
    /// A password of `u` that can be looked for.
    pub const PASSWORD: &'static str = "m4il-s3cret";

    /// Starts one, or answers `None` where exim4 is not installed.
    pub fn start() -> Option<Exim4> {
        if !Path::new("/usr/sbin/exim4").exists() {
            return None;
        }
        let (dir, ports) = (TempDir::new(), Ports::free());
        let port = ports.first();
        let server = Exim4::run(&dir, port);
        Some(Exim4 { port, server, _ports: ports, dir })
    }

    fn run(dir: &TempDir, port: u16) -> Server {
        let mut server = Server::start("exim4.sh", &[dir.path().to_str().expect("an ASCII path"), &port.to_string()]);
        let ready = server.wait_ready("exim4 to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(ready, "exim4 did not start: {}", tail(&dir.path().join("output")));
        server
    }

    /// Where the CA of its certificate lies.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Ends it; its port stays reserved and refuses connections. What it has taken is gone.
    pub fn kill(&mut self) {
        self.server.end();
    }

    /// Waits until the `count` mails that it took are delivered, and gives one copy of each in the order in which they came. It must have
    /// taken no more.
    pub fn mails(&self, count: usize) -> Vec<String> {
        let log = wait_until("mails to be delivered", Duration::from_secs(30), || {
            let log = self.log();
            (log.matches(" Completed\n").count() >= count).then_some(log)
        });
        let taken: Vec<_> =
            log.lines().filter_map(|line| line.split_once(" <= ")?.0.rsplit(' ').next().map(String::from)).collect();
        assert_eq!(taken.len(), count, "{log}");
        let delivered = fs::read_dir(self.dir.path().join("mail/new")).into_iter().flatten().flatten();
        let mut mails: Vec<_> = delivered.map(|file| fs::read_to_string(file.path()).expect("a mail")).collect();
        // Each bears the name under which the log has it; every recipient has a copy.
        let place = |mail: &String| taken.iter().position(|id| mail.contains(id.as_str()));
        mails.sort_by_key(|mail| (place(mail), mail.clone()));
        mails.dedup_by_key(|mail| place(mail));
        mails
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log/mainlog")).unwrap_or_default()
    }

    /// All that it has logged: what it took, what it refused, and its own troubles.
    pub fn logs(&self) -> String {
        let files = ["log/mainlog", "log/rejectlog", "log/paniclog", "output"].map(|name| self.dir.path().join(name));
        files
            .map(|file| fs::read(file).unwrap_or_default())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .concat()
    }
}
