//! The messages of a service beyond standard error: a log file that is rotated, and syslog.
//!
//! `[logging]` is QULo's section. A line of the file reads `LEVEL [time][program] ---> text`, as QULo wrote it, with the
//! time in UTC. A service logs changes of state, no measurements, so a file stays small.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::os::files;
use crate::text::one_line;

/// `[logging]`.
pub const SECTION: Section = Section::new(
    "logging",
    "Says where qagent and qmaster log, besides syslog, which gets warnings and errors when they run as daemons.",
    &[
        Key::new(
            "filename",
            Kind::Path,
            Unset::Absent("/var/log/qulo.log"),
            "The log file. Without it there is none.",
        ),
        Key::new(
            "max_bytes",
            Kind::Number { least: 0, most: u64::MAX, unit: "bytes" },
            Unset::Default("10000000"),
            ROTATION,
        )
        .or(&["maxBytes"]),
        Key::new(
            "backup_count",
            Kind::Number { least: 0, most: 1000, unit: "files" },
            Unset::Default("3"),
            ROTATION,
        )
        .or(&["backupCount"]),
        Key::new(
            "level",
            Kind::Word(&["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
            Unset::Default("DEBUG"),
            "The least important messages that the log file gets. DEBUG and INFO: starts and ends, and each new config; \
             WARNING: what fails and works again; ERROR and CRITICAL: what ends the service or keeps it from doing what it \
             was told.",
        ),
    ],
)
.in_any_case();

const ROTATION: &str = "A log file of max_bytes is renamed to FILE.1, an older FILE.1 to FILE.2, up to backup_count of them. \
                        If one of the two is 0, the file grows without end.";

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The service began, ended, or read its config again.
    Info,
    /// Something fails or works again; nothing that was collected is lost.
    Warning,
    /// The service ends, or cannot do what it was told.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }

    /// Returns the priority of syslog: facility daemon, and the severity.
    fn priority(self) -> u8 {
        3 * 8
            + match self {
                Self::Info => 6,
                Self::Warning => 4,
                Self::Error => 3,
            }
    }
}

/// `[logging]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The log file; without it there is none.
    pub filename: Option<PathBuf>,
    /// The size at which the file is rotated, in bytes; 0 for never.
    pub max_bytes: u64,
    /// How many older files are kept; 0 for no rotation.
    pub backup_count: u64,
    /// The least important messages that the file gets; `None` for none that this program writes.
    pub level: Option<Level>,
}

impl Config {
    /// Reads `[logging]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Self> {
        let level = match values.word("level")? {
            "DEBUG" | "INFO" => Some(Level::Info),
            "WARNING" => Some(Level::Warning),
            "ERROR" => Some(Level::Error),
            _ => None,
        };
        Ok(Self {
            filename: values.path("filename")?,
            max_bytes: values.number("max_bytes")?,
            backup_count: values.number("backup_count")?,
            level,
        })
    }
}

/// Where messages go besides standard error.
struct Log {
    file: Option<LogFile>,
    syslog: Option<Syslog>,
}

static LOG: Mutex<Log> = Mutex::new(Log { file: None, syslog: None });

fn log() -> MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the log file of `config` have all messages from now on.
///
/// # Errors
/// Fails if it cannot be opened; messages then go where they went before.
pub fn open(config: &Config) -> Result<()> {
    let file = config.filename.as_ref().map(|path| LogFile::open(path, config)).transpose()?;
    log().file = file;
    Ok(())
}

/// Lets syslog have warnings and errors from now on.
pub(super) fn open_syslog() {
    log().syslog = Some(Syslog { path: "/dev/log".into(), socket: None });
}

/// Writes a message to the log file and to syslog.
pub(super) fn write(level: Level, program: &str, text: &str) {
    log().write(level, program, text);
}

/// Writes the last message of the process, unless another thread is writing one.
pub(super) fn write_last(program: &str, text: &str) {
    if let Ok(mut log) = LOG.try_lock() {
        log.write(Level::Error, program, text);
    }
}

impl Log {
    fn write(&mut self, level: Level, program: &str, text: &str) {
        let text = one_line(text);
        // A log that cannot be written must not harm what is logged, and there is no other place to report that.
        if let Some(file) = &mut self.file {
            let _ = file.write(level, program, &text);
        }
        if let Some(syslog) = self.syslog.as_mut().filter(|_| level >= Level::Warning) {
            syslog.write(level, program, &text);
        }
    }
}

/// A log file.
struct LogFile {
    config: Config,
    path: PathBuf,
    file: File,
}

impl LogFile {
    fn open(path: &Path, config: &Config) -> Result<Self> {
        let file = open_file(path).with_context(|| format!("log file {}", path.display()))?;
        Ok(Self { config: config.clone(), path: path.into(), file })
    }

    fn write(&mut self, level: Level, program: &str, text: &str) -> Result<()> {
        if self.config.level.is_none_or(|least| level < least) {
            return Ok(());
        }
        let time = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC");
        let line = format!("{} [{time}][{program}] ---> {text}\n", level.name());
        // Another process, such as logrotate, may have renamed it.
        let is_own = self.path.symlink_metadata().is_ok_and(|there| {
            self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
        });
        if !is_own {
            self.file = open_file(&self.path)?;
        }
        let Config { max_bytes, backup_count, .. } = self.config;
        if max_bytes > 0 && backup_count > 0 && self.file.metadata()?.len() + line.len() as u64 > max_bytes {
            // In a folder where this user may rename nothing the file grows, which is better than no word.
            let _ = self.rotate();
        }
        Ok(self.file.write_all(line.as_bytes())?)
    }

    /// Renames the file and its predecessors, and begins a new one. Two programs may log into one file: one of them rotates.
    fn rotate(&mut self) -> Result<()> {
        if self.file.try_lock().is_err() {
            return Ok(());
        }
        let older = |number: u64| {
            let mut name = self.path.as_os_str().to_owned();
            if number > 0 {
                name.push(format!(".{number}"));
            }
            PathBuf::from(name)
        };
        for number in (0..self.config.backup_count).rev() {
            match fs::rename(older(number), older(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        self.file = open_file(&self.path)?;
        Ok(())
    }
}

fn open_file(path: &Path) -> std::io::Result<File> {
    files::open(path, OpenOptions::new().append(true).create(true).mode(0o640))
}

/// The syslog of the machine.
struct Syslog {
    path: PathBuf,
    /// `None` until a message was sent, and after it failed: syslog may be restarted.
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn write(&mut self, level: Level, program: &str, text: &str) {
        let message = format!("<{}>{program}[{}]: {text}", level.priority(), std::process::id());
        for _ in 0..2 {
            if self.socket.is_none() {
                self.socket = connect(&self.path).ok();
            }
            match &self.socket {
                Some(socket) if socket.send(message.as_bytes()).is_ok() => return,
                _ => self.socket = None,
            }
        }
    }
}

fn connect(path: &Path) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A syslog that hangs must not hold the service up.
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use gridmon_testkit::TempDir;

    use super::*;

    fn config(folder: &TempDir, max_bytes: u64, backup_count: u64) -> Config {
        Config { filename: Some(folder.path().join("x.log")), max_bytes, backup_count, level: Some(Level::Info) }
    }

    #[test]
    fn a_log_file_is_rotated_and_its_lines_are_qulos() {
        let folder = TempDir::new();
        let config = config(&folder, 200, 2);
        let path = config.filename.clone().unwrap();
        let mut log = LogFile::open(&path, &config).unwrap();
        for number in 0..20 {
            log.write(Level::Warning, "qagent", &format!("message {number}")).unwrap();
        }
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let last = text("x.log");
        let line = last.lines().last().unwrap();
        assert!(line.starts_with("WARNING [2") && line.ends_with(" UTC][qagent] ---> message 19"), "{line}");
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["x.log", "x.log.1", "x.log.2"]);
        for name in ["x.log", "x.log.1", "x.log.2"] {
            assert!(text(name).len() <= 200, "{name}");
            assert_eq!(folder.path().join(name).metadata().unwrap().mode() & 0o7777, 0o640);
        }
        let all = text("x.log.2") + &text("x.log.1") + &last;
        let numbers: Vec<u32> = all.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert!(numbers.windows(2).all(|two| two[0] + 1 == two[1]), "{numbers:?}");
    }

    #[test]
    fn a_log_file_that_cannot_be_rotated_grows_and_loses_no_message() {
        let folder = TempDir::new();
        let config = config(&folder, 200, 1);
        fs::create_dir_all(folder.path().join("x.log.1/in the way")).unwrap();
        let path = config.filename.clone().unwrap();
        let mut log = LogFile::open(&path, &config).unwrap();
        for number in 0..20 {
            log.write(Level::Warning, "qagent", &format!("message {number}")).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 20);
    }

    #[test]
    fn a_log_file_that_was_renamed_is_opened_again_and_unwanted_levels_are_left_out() {
        let folder = TempDir::new();
        let config = Config { level: Some(Level::Warning), ..config(&folder, 0, 3) };
        let path = config.filename.clone().unwrap();
        let mut log = LogFile::open(&path, &config).unwrap();
        log.write(Level::Info, "x", "unwanted").unwrap();
        log.write(Level::Error, "x", "first").unwrap();
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        log.write(Level::Error, "x", "second").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("ERROR [") && text.ends_with("---> second\n") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn syslog_gets_warnings_and_is_found_again_after_a_restart() {
        let folder = TempDir::new();
        let path = folder.path().join("log");
        let mut log = Log { file: None, syslog: Some(Syslog { path: path.clone(), socket: None }) };
        log.write(Level::Warning, "qagent", "nobody listens");
        for _ in 0..2 {
            let server = UnixDatagram::bind(&path).unwrap();
            log.write(Level::Info, "qagent", "unwanted");
            log.write(Level::Warning, "qagent", "a\nb");
            let mut bytes = [0; 100];
            let length = server.recv(&mut bytes).unwrap();
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            assert_eq!(message, format!("<28>qagent[{}]: a b", std::process::id()));
            fs::remove_file(&path).unwrap();
        }
    }
}
