//! A process that is named by its number and its start, since another process may get the number later.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal};

use super::uptime::Uptime;

/// Names a process for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its number.
    pub pid: i32,
    /// When it was started, in clock ticks since the start of the machine: field 22 of `/proc/PID/stat`.
    started: u64,
    /// Names the start of the machine.
    boot: String,
}

impl Identity {
    /// Returns the name of this process.
    ///
    /// # Errors
    /// Fails without `/proc`.
    pub fn own() -> io::Result<Self> {
        Self::of(getpid().as_raw_pid())
    }

    /// Returns the name of a process.
    ///
    /// # Errors
    /// Fails if it does not run, or without `/proc`.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, started: started(pid)?, boot: Uptime::now().boot })
    }

    /// Reads what [`Identity::text`] returns.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (pid, started) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { pid, started, boot: words.next()?.into() }).filter(|identity| identity.pid > 0)
    }

    /// Returns it as the text of a pid file: the number in a line of its own, as every reader of such files expects it.
    pub fn text(&self) -> String {
        format!("{}\n{} {}\n", self.pid, self.started, self.boot)
    }

    /// Whether it has ended, by /proc. One that nobody has waited for yet has.
    fn has_ended(&self) -> io::Result<bool> {
        match stat(self.pid) {
            Ok((started, state)) => Ok(started != self.started || matches!(state.as_str(), "Z" | "X")),
            Err(error) if is_gone(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Returns the process; `None` if it has ended.
    ///
    /// # Errors
    /// Fails if the kernel cannot tell.
    pub fn find(&self) -> io::Result<Option<Process>> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.boot == Uptime::now().boot) else { return Ok(None) };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(None),
            Ok(handle) => Process(Handle::Open(handle)),
            Err(_) => Process(Handle::Named(self.clone())),
        };
        // Another process may have got the number before it was opened, but none can afterwards.
        match started(self.pid) {
            Ok(started) if started == self.started => {}
            Err(error) if !process.ends_within(Duration::ZERO)? => return Err(hidden(self.pid, &error)),
            _ => return Ok(None),
        }
        // One that has ended keeps its number until its parent has taken note.
        Ok((!process.ends_within(Duration::ZERO)?).then_some(process))
    }
}

/// A process, whatever becomes of its number.
#[derive(Debug)]
pub struct Process(Handle);

#[derive(Debug)]
enum Handle {
    Open(OwnedFd),
    /// Before Linux 5.3, and in containers that forbid what is newer, a process cannot be opened: it is looked at again before each
    /// signal, and only in the moment between the two could another process get its number.
    Named(Identity),
}

/// How often a process is looked at that cannot be opened.
const LOOK: Duration = Duration::from_millis(20);

impl Process {
    /// Asks it to end.
    ///
    /// # Errors
    /// Fails if this user may not; not if it has ended already.
    pub fn ask_to_end(&self) -> io::Result<()> {
        self.send(Signal::TERM)
    }

    /// Asks it to read its config again.
    ///
    /// # Errors
    /// Fails if this user may not; not if it has ended already.
    pub fn ask_to_reload(&self) -> io::Result<()> {
        self.send(Signal::HUP)
    }

    fn send(&self, signal: Signal) -> io::Result<()> {
        let sent = match &self.0 {
            Handle::Open(handle) => pidfd_send_signal(handle, signal),
            Handle::Named(identity) if identity.has_ended()? => Ok(()),
            Handle::Named(identity) => kill_process(Pid::from_raw(identity.pid).ok_or(Errno::SRCH)?, signal),
        };
        match sent {
            Err(Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Waits at most `limit` for its end. Returns whether it has ended.
    ///
    /// # Errors
    /// Fails if the kernel cannot tell.
    pub fn ends_within(&self, limit: Duration) -> io::Result<bool> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let handle = match &self.0 {
                Handle::Open(handle) => handle,
                Handle::Named(identity) => match identity.has_ended()? {
                    false if !left.is_zero() => {
                        thread::sleep(LOOK.min(left));
                        continue;
                    }
                    has_ended => return Ok(has_ended),
                },
            };
            let mut fds = [PollFd::new(handle, PollFlags::IN)];
            match poll(&mut fds, Some(&Timespec::try_from(left).unwrap_or_default())) {
                Err(Errno::INTR) => {}
                polled => return Ok(polled? > 0),
            }
        }
    }
}

/// Returns when a process was started.
fn started(pid: i32) -> io::Result<u64> {
    Ok(stat(pid)?.0)
}

/// Returns when a process was started, and its state in a letter.
fn stat(pid: i32) -> io::Result<(u64, String)> {
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    // The name of the program stands in brackets, and may hold blanks, brackets, and bytes that are no text.
    let text = String::from_utf8_lossy(&bytes);
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = rest.split(' ');
    let state = fields.next().unwrap_or_default().to_string();
    // The third field was the first one of the rest.
    let started = fields.nth(22 - 4).and_then(|field| field.parse().ok());
    Ok((started.ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has no start time")))?, state))
}

/// Whether an error of `/proc/PID` says that the process has ended.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// The error of a process that runs and of which this user sees nothing, as where /proc is mounted with hidepid.
fn hidden(pid: i32, error: &io::Error) -> io::Error {
    io::Error::other(format!(
        "/proc does not show process {pid}, which runs: {error}; ask as root or as the user who runs it"
    ))
}

/// Returns the command line of a process, its arguments separated by blanks; empty if it has ended.
pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_string()
}

/// Closes the files that the parent of this process has left open in it, beside standard input, output and error: a lock that
/// a shell holds by one of them would be held by a daemon for ever. What this process opens itself is closed when another
/// program is run.
pub fn close_inherited() {
    let open = fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten();
    let numbers: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        if flags.is_some_and(|flags| flags & OFlags::CLOEXEC.bits() == 0) {
            let _ = nix::unistd::close(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_found_by_number_and_start_and_waited_for() {
        let own = Identity::own().unwrap();
        assert_eq!(Identity::parse(&own.text()), Some(own.clone()));
        assert!(own.find().unwrap().is_some());
        for other in [Identity { started: own.started + 1, ..own.clone() }, Identity { boot: "x".into(), ..own }] {
            assert!(other.find().unwrap().is_none(), "{other:?}");
        }
        for text in ["", "12", "12\n", "12\nx boot", "-1\n5 boot", "0\n5 boot", "x\n5 boot"] {
            assert_eq!(Identity::parse(text), None, "{text:?}");
        }

        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id() as i32;
        let identity = Identity { pid, started: started(pid).unwrap(), boot: Uptime::now().boot };
        // For a moment it has none, while it becomes another program.
        while command_line(pid).is_empty() {}
        assert_eq!(command_line(pid), "cat");
        let process = identity.find().unwrap().unwrap();
        assert!(!process.ends_within(Duration::from_millis(1)).unwrap());
        process.ask_to_end().unwrap();
        assert!(process.ends_within(Duration::from_secs(60)).unwrap());
        // Nobody has waited for it yet: its number is still taken.
        assert!(identity.find().unwrap().is_none());
        child.wait().unwrap();
        assert!(identity.find().unwrap().is_none());
        process.ask_to_end().unwrap();
    }
}
