//! MariaDB 10.11, as packaged by Debian 12.

use super::{Ports, Server, TempDir, signal, tail};
use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
};

/// A MariaDB with a user `monit` (password [`Mariadb::PASSWORD`]) who may do everything, killed on drop.
#[derive(Debug)]
pub struct Mariadb {
    /// Its port.
    pub port: u16,
    server: Server,
    options: Vec<String>,
    _ports: Ports,
    dir: TempDir,
}

impl Mariadb {
    /// The password of `monit`.
    pub const PASSWORD: &'static str = "s3cret; 'of' #monit";

    /// Starts one, or answers `None` where MariaDB is not installed.
    pub fn start() -> Option<Mariadb> {
        Mariadb::start_with(&[])
    }

    /// Starts one with more options of mariadbd.
    pub fn start_with(options: &[&str]) -> Option<Mariadb> {
        if !Path::new("/usr/sbin/mariadbd").exists() {
            return None;
        }
        let options: Vec<_> = options.iter().map(|option| option.to_string()).collect();
        let (dir, ports) = (TempDir::new(), Ports::free());
        let port = ports.first();
        let server = Mariadb::run(&dir, port, &options);
        let mariadb = Mariadb { port, server, options, _ports: ports, dir };
        let password = Mariadb::PASSWORD.replace('\'', "''");
        mariadb.query(&format!(
            "CREATE USER monit@'127.0.0.1' IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO monit@'127.0.0.1' WITH GRANT OPTION"
        ));
        Some(mariadb)
    }

    fn run(dir: &TempDir, port: u16, options: &[String]) -> Server {
        let number = port.to_string();
        let mut args = vec![dir.path().to_str().expect("an ASCII path"), &number];
        args.extend(options.iter().map(String::as_str));
        let mut server = Server::start("mariadb.sh", &args);
        let ready = server.wait_ready("mariadbd to answer", || client(dir, &["-e", "SELECT 1"]).status.success());
        assert!(ready, "mariadbd did not start: {}", tail(&dir.path().join("log")));
        server
    }

    /// Sends it a signal by name: `STOP` and `CONT` for one that hangs.
    pub fn signal(&self, name: &str) {
        signal(self.server.child.id(), name);
    }

    /// Ends the process at once; its ports stay reserved and refuse connections.
    pub fn kill(&mut self) {
        self.server.end();
    }

    /// Starts a killed one again, with the same port, options and data.
    pub fn restart(&mut self) {
        self.server.end();
        self.server = Mariadb::run(&self.dir, self.port, &self.options);
    }

    /// The answer to statements of the administrator, which must not fail: a line for each row, its values between tabs.
    pub fn query(&self, statements: &str) -> String {
        let output = client(&self.dir, &["-N", "-B", "-e", statements]);
        assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Lets it log every statement from now on, for [`Mariadb::general_log`].
    pub fn log_statements(&self) {
        self.query("SET GLOBAL general_log_file = 'general.log'; SET GLOBAL general_log = ON");
    }

    /// Every connection and statement that it was told to log.
    pub fn general_log(&self) -> String {
        let log = std::fs::read(self.dir.path().join("data/general.log")).expect("its general log");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Runs the statements of a file as the administrator, as `mariadb DATABASE < FILE` does.
    pub fn run_file(&self, database: &str, file: &Path) {
        let statements = std::fs::File::open(file).expect("the file of statements");
        let mut command = administrator(&self.dir);
        let output = command.arg(database).stdin(statements).output().expect("its client, which the server brings");
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }

    /// Starts a client of the administrator that runs these statements, for one that holds locks for a while.
    pub fn client(&self, statements: &str) -> Child {
        let mut command = administrator(&self.dir);
        command.args(["-e", statements]).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("its client")
    }
}

/// The client of the server in a folder, as its administrator.
fn administrator(dir: &TempDir) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--default-character-set=utf8mb4", "-uroot"]);
    command.arg(format!("--socket={}", dir.path().join("socket").display()));
    command
}

fn client(dir: &TempDir, args: &[&str]) -> Output {
    administrator(dir).args(args).output().expect("its client, which the server brings")
}
