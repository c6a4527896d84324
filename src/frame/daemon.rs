//! The commands of a service: `start`, `stop`, `restart`, `reload`, `status`, `run`.
//!
//! `start` runs the program once more, with `run --detached`, as a process of its own session. That process writes its pid
//! file, tells `start` when the service is ready, and from then on speaks to its logs alone. Until then its standard error
//! is that of `start`, so that whatever keeps it from starting is said there. No process is forked: one with threads could
//! not be.
//!
//! Exit codes are those that init scripts expect: `start` of a service that runs and `stop` of one that does not are 0;
//! `status` is 0 if it runs, 1 if it ended and left its pid file, 3 if it does not run, 4 if that cannot be told. A wrong config is
//! 2, as in every program.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf, absolute};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use rustix::fs::Mode;
use rustix::process::{chdir, setsid, umask};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::log::{self, Level};
use super::output::{complain, print, say};
use super::watchdog::Watchdog;
use crate::os::pid_file::{self, PidFile, Told};
use crate::os::process::{close_inherited, command_line};

/// The files of a service. Their defaults are QULo's.
#[derive(Args, Clone, Debug, Default)]
pub struct Files {
    /// The pid file of start, stop, restart and status [default: /run/NAME.pid]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub pidfile: Option<PathBuf>,
    /// Read this config instead of /etc/qulo/NAME.conf or /etc/gridmon/config.cfg
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// What a service is told to do.
#[derive(Subcommand, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Run in the background; return when the service is ready, or say why it is not
    Start,
    /// End the service, and wait until it has published what it holds and has ended
    Stop,
    /// Check the config, then stop and start
    Restart,
    /// Check the config, then let the service read it again
    Reload,
    /// Say whether the service runs: exit code 0 if so, 1 if it died and left its pid file, 3 if not, 4 if that cannot be told
    Status,
    /// Run in the foreground, as systemd and containers want it
    Run {
        /// Be the process that `start` has started
        #[arg(long, hide = true)]
        detached: bool,
    },
}

/// A service that can run as a daemon.
#[derive(Debug)]
pub struct Daemon {
    /// Its program.
    pub program: &'static str,
    /// The pid file without `--pidfile`.
    pub pidfile: &'static str,
    /// Whether it reads its config again when it is told to.
    pub reloads: bool,
}

/// How long a service may take to be ready.
const START: Duration = Duration::from_secs(90);

/// How long a service may take to end.
const STOP: Duration = Duration::from_secs(90);

/// The exit code of a wrong config.
const WRONG: u8 = 2;

/// The exit code of `status` where nobody can tell.
const UNTOLD: u8 = 4;

/// The line that says that a service is ready.
const READY: &str = "ready";

impl Daemon {
    /// Does what `order` says: `check` reads the config and does nothing else; `run` runs the service, and calls
    /// [`Ready::tell`] once it serves.
    pub fn obey(
        &self,
        order: Order,
        files: &Files,
        check: impl FnOnce() -> Result<()>,
        run: impl FnOnce(Ready) -> ExitCode,
    ) -> ExitCode {
        let path = files.pidfile.clone().unwrap_or_else(|| self.pidfile.into());
        // From a shell's folder to that of the daemon the meaning must not change.
        let (path, config) = (absolute(&path).unwrap_or(path), files.config.as_deref());
        // Each step has a limit of its own.
        if let Some(watchdog) = Watchdog::running().filter(|_| !matches!(order, Order::Run { .. })) {
            watchdog.expect_end(None);
        }
        let fail = |error: anyhow::Error, code: u8| {
            say(Level::Error, self.program, &[format!("{error:#}")]);
            ExitCode::from(code)
        };
        // A service that runs is not ended for a config with which it could not start.
        let is_checked = order == Order::Restart || (order == Order::Reload && self.reloads);
        if is_checked && let Err(error) = check() {
            return fail(error, WRONG);
        }
        let done = match order {
            Order::Run { detached: false } => return run(Ready(None)),
            Order::Run { detached: true } => self.detached(&path, run),
            Order::Start => self.start(&path, config),
            Order::Stop => self.stop(&path).map(|()| ExitCode::SUCCESS),
            Order::Status => self.status(&path),
            Order::Reload if !self.reloads => {
                Err(anyhow!("reads its config at its start alone: {} restart", self.program))
            }
            Order::Reload => self.reload(&path),
            Order::Restart => self.stop(&path).and_then(|()| self.start(&path, config)),
        };
        done.unwrap_or_else(|error| fail(error, if order == Order::Status { UNTOLD } else { 1 }))
    }

    fn tell(&self, text: &str) -> ExitCode {
        print(&format!("{}: {text}\n", self.program))
    }

    fn start(&self, path: &Path, config: Option<&Path>) -> Result<ExitCode> {
        match pid_file::look(path, self.program)? {
            Told::Runs(pid, _) => return Ok(self.tell(&format!("runs already as process {pid}"))),
            Told::Unproved(pid) => bail!("{}", self.unproved(pid, path)),
            Told::Nothing | Told::Ended(_) => {}
        }
        close_inherited();
        let mut command = Command::new(std::env::current_exe().context("the path of this program")?);
        command.arg("--pidfile").arg(path);
        if let Some(config) = config {
            command.arg("--config").arg(absolute(config)?);
        }
        command.args(["run", "--detached"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("the background process cannot be started")?;
        let pid = child.id();
        match is_ready(&mut child)? {
            Some(true) => Ok(self.tell(&format!("runs as process {pid}"))),
            Some(false) => {
                let ended = child.wait().context("the background process")?;
                let text =
                    format!("process {pid} has ended before it was ready ({ended}); the lines before this one say why");
                say(Level::Error, self.program, &[text]);
                Ok(ExitCode::from(if ended.code() == Some(WRONG.into()) { WRONG } else { 1 }))
            }
            None => {
                child.kill().context("the background process")?;
                child.wait().context("the background process")?;
                bail!("process {pid} was not ready after {} s; it is ended", START.as_secs());
            }
        }
    }

    fn stop(&self, path: &Path) -> Result<()> {
        let (pid, process) = match pid_file::look(path, self.program)? {
            Told::Runs(pid, process) => (pid, process),
            Told::Unproved(pid) => bail!("{}", self.unproved(pid, path)),
            Told::Nothing | Told::Ended(_) => {
                self.tell("does not run");
                return Ok(());
            }
        };
        process.ask_to_end().with_context(|| format!("process {pid} cannot be told to end"))?;
        let has_ended = process.ends_within(STOP).with_context(|| format!("process {pid}"))?;
        ensure!(has_ended, "process {pid} has not ended after {} s; end it at once: kill -9 {pid}", STOP.as_secs());
        self.tell(&format!("process {pid} has ended"));
        Ok(())
    }

    fn reload(&self, path: &Path) -> Result<ExitCode> {
        match pid_file::look(path, self.program)? {
            Told::Runs(pid, process) => {
                process.ask_to_reload().with_context(|| format!("process {pid} cannot be told to read its config"))?;
                Ok(self.tell(&format!("process {pid} reads its config again")))
            }
            Told::Unproved(pid) => bail!("{}", self.unproved(pid, path)),
            Told::Nothing | Told::Ended(_) => bail!("does not run"),
        }
    }

    fn status(&self, path: &Path) -> Result<ExitCode> {
        let (text, code) = match pid_file::look(path, self.program)? {
            Told::Runs(pid, _) => (format!("runs as process {pid}"), 0),
            Told::Unproved(pid) => (self.unproved(pid, path), 0),
            Told::Ended(Some(pid)) => (format!("process {pid} has died and left {}", path.display()), 1),
            Told::Ended(None) => (format!("does not run; {} names no process", path.display()), 1),
            Told::Nothing => ("does not run".into(), 3),
        };
        self.tell(&text);
        Ok(ExitCode::from(code))
    }

    /// Describes a process that nobody may take for this service.
    fn unproved(&self, pid: i32, path: &Path) -> String {
        format!(
            "process {pid} runs ({}), and {} does not say that `{} start` started it; end it as it was started, or: kill {pid}",
            command_line(pid),
            path.display(),
            self.program
        )
    }

    /// Runs the service as the process that `start` has started.
    fn detached(&self, path: &Path, run: impl FnOnce(Ready) -> ExitCode) -> Result<ExitCode> {
        // It fails only for the leader of a group, which `start` does not make it.
        let _ = setsid();
        umask(Mode::from_raw_mode(0o022));
        chdir("/").context("/")?;
        let pid_file = PidFile::take(path, self.program)?;
        log::open_syslog();
        let code = run(Ready(Some(self.program)));
        drop(pid_file);
        Ok(code)
    }
}

/// Waits until the background process says that it is ready: whether it does, or ends instead; `None` if it does neither.
fn is_ready(child: &mut Child) -> Result<Option<bool>> {
    let output = child.stdout.take().context("the output of the background process")?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        let _ = sender.send(read.is_ok() && line.trim_end() == READY);
    })?;
    Ok(receiver.recv_timeout(START).ok())
}

/// Tells `start` that the service is ready.
#[derive(Debug)]
pub struct Ready(Option<&'static str>);

impl Ready {
    /// Tells it, and leaves the terminal; does nothing in the foreground.
    pub fn tell(self) {
        let Some(program) = self.0 else { return };
        let told = File::options().read(true).write(true).open("/dev/null").map_err(anyhow::Error::from);
        let told = told.and_then(|null| {
            dup2_stdin(&null)?;
            let mut out = std::io::stdout();
            // Who started it may be gone by now.
            let _ = writeln!(out, "{READY}").and_then(|()| out.flush());
            dup2_stdout(&null)?;
            Ok(dup2_stderr(&null)?)
        });
        if let Err(error) = told {
            complain(program, &[format!("the terminal cannot be left: {error:#}")]);
        }
    }
}
