//! Runs child processes with a timeout, reads their output as it arrives, and leaves none behind.
//!
//! Each child leads its own process group, and the whole group is killed with it. So nothing that it started outlives
//! the run: neither a process that ignores SIGTERM nor a grandchild that holds the pipe open.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::guard;
use crate::text::quote_ends;

/// Why a child process failed.
#[derive(Debug)]
pub enum Failure {
    /// It could not be started: the program is missing or not executable.
    Start(io::Error),
    /// It ran for this long and was killed; until then it had printed this text on standard error.
    TimedOut(Duration, String),
    /// It exited with this status, not 0, and printed this text. Its output is discarded: a truncated stream can be
    /// well-formed.
    Exit(ExitStatus, String),
    /// The reader refused its output.
    Output(anyhow::Error),
    /// The run itself was told to end.
    Interrupted,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) if error.kind() == io::ErrorKind::NotFound => write!(out, "was not found on PATH"),
            Self::Start(error) => write!(out, "cannot be started: {error}"),
            Self::TimedOut(limit, _) if limit.as_millis() < 50 => write!(out, "had no time left in this run"),
            Self::TimedOut(limit, _) => {
                write!(out, "gave no answer in {} s", (limit.as_secs_f64() * 10.0).round() / 10.0)
            }
            Self::Exit(status, printed) if printed.is_empty() => write!(out, "ended with {status} and printed nothing"),
            Self::Exit(status, printed) => write!(out, "ended with {status}: {}", quote_ends(&without_routes(printed))),
            Self::Output(error) => write!(out, "{error:#}"),
            Self::Interrupted => write!(out, "interrupted"),
        }
    }
}

impl std::error::Error for Failure {}

/// Maximum output of each stream kept for the error message, in bytes: half of it from the beginning and half from the
/// end, since many tools say the cause last.
const KEPT: usize = 4096;

/// How long to read a pipe after the child has ended and its group was killed: long enough to drain it, short enough if
/// a grandchild has left the group and still holds the pipe.
const GRACE: Duration = Duration::from_millis(300);

/// How often to check whether a silent child has ended.
const TICK: Duration = Duration::from_millis(50);

/// The process IDs of the running children, each the leader of its group.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
/// Whether the run was told to end.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Kills every child process and lets no new one start. Called if the run must end early: at the deadline or on a
/// signal.
pub fn end_all() {
    ENDING.store(true, Ordering::SeqCst);
    for pid in GROUPS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).iter() {
        if let Some(pid) = Pid::from_raw(*pid) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Runs `command` until it ends, at most until `deadline`, and passes its standard output to `read` piece by piece as
/// it arrives. Standard input is empty; standard error goes into the [`Failure`].
///
/// # Errors
/// Returns a [`Failure`] unless the child exits with 0 and `read` accepts all of its output.
pub fn run(
    command: &mut Command,
    deadline: Instant,
    mut read: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let mut refused = None;
    let take = |piece: &[u8]| {
        if refused.is_none() {
            refused = read(piece).err();
        }
        Ok(())
    };
    let ended = follow(command, Stdio::null(), deadline, take, |_| ())?;
    if !ended.status.success() {
        // cloud_status prints its errors on standard output.
        return Err(Failure::Exit(ended.status, ended.printed()));
    }
    refused.map_or(Ok(()), |error| Err(Failure::Output(error)))
}

/// Runs `command` as [`run`] does, and returns its standard output.
///
/// # Errors
/// As [`run`]; also if it prints more than `most` bytes.
pub fn output(command: &mut Command, deadline: Instant, most: usize) -> Result<Vec<u8>, Failure> {
    let mut printed = Vec::new();
    run(command, deadline, |piece| {
        anyhow::ensure!(printed.len() + piece.len() <= most, "printed more than {most} bytes");
        printed.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(printed)
}

/// Like [`run`], with a standard input, and with any exit status: the caller judges the output. A child whose output
/// `read` refuses is killed at once.
///
/// # Errors
/// Returns a [`Failure`] if the child cannot be started, takes too long, or prints what `read` refuses.
pub fn exchange(
    command: &mut Command,
    input: &[u8],
    deadline: Instant,
    read: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> Result<Ended, Failure> {
    exchange_and_hear(command, input, deadline, read, |_| ())
}

/// Like [`exchange`]; also passes all of its standard error to `hear`, piece by piece.
///
/// # Errors
/// As [`exchange`].
pub fn exchange_and_hear(
    command: &mut Command,
    input: &[u8],
    deadline: Instant,
    read: impl FnMut(&[u8]) -> anyhow::Result<()>,
    hear: impl FnMut(&[u8]),
) -> Result<Ended, Failure> {
    if input.is_empty() {
        return follow(command, Stdio::null(), deadline, read, hear);
    }
    // A file, and no pipe: nobody has to write while the output is read.
    let file = memfd_create("input", MemfdFlags::CLOEXEC).map_err(io::Error::from).map(File::from);
    let file = file.and_then(|mut file| {
        file.write_all(input)?;
        file.rewind()?;
        Ok(file)
    });
    follow(command, file.map_err(Failure::Start)?.into(), deadline, read, hear)
}

/// The end of a child whose output was read to its end.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// The beginning and the end of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning and the end of its standard error.
    pub stderr: Vec<u8>,
}

impl Ended {
    /// Returns what it printed on standard error or, if that is nothing, on standard output.
    pub fn printed(&self) -> String {
        let printed = [&self.stderr, &self.stdout].into_iter().find(|printed| !printed.trim_ascii().is_empty());
        printed.map_or(String::new(), |printed| text_of(printed))
    }
}

/// Returns what a child printed as text, without white space around it. Invalid UTF-8 becomes U+FFFD.
fn text_of(printed: &[u8]) -> String {
    String::from_utf8_lossy(printed.trim_ascii()).into_owned()
}

/// Runs a child to its end, or until `read` refuses its output.
fn follow(
    command: &mut Command,
    input: Stdio,
    deadline: Instant,
    mut read: impl FnMut(&[u8]) -> anyhow::Result<()>,
    mut hear: impl FnMut(&[u8]),
) -> Result<Ended, Failure> {
    let started = Instant::now();
    if ENDING.load(Ordering::SeqCst) {
        return Err(Failure::Interrupted);
    }
    let mut child = start(command, input)?;
    let mut out = child.child.stdout.take().expect("stdout was asked to be a pipe");
    let mut err = child.child.stderr.take().expect("stderr was asked to be a pipe");

    let (mut out_open, mut err_open) = (true, true);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    let mut ended_at = None;
    while out_open || err_open {
        let now = Instant::now();
        if ENDING.load(Ordering::SeqCst) {
            return Err(Failure::Interrupted);
        }
        if ended_at.is_none() && now >= deadline {
            return Err(Failure::TimedOut(now - started, text_of(&stderr)));
        }
        if ended_at.is_some_and(|at| now >= at + GRACE) {
            break;
        }
        let (out_ready, err_ready) = wait_readable(
            out_open.then_some(&out),
            err_open.then_some(&err),
            TICK.min(deadline.saturating_duration_since(now)).max(Duration::from_millis(1)),
        );
        if out_ready {
            let count = read_some(&mut out, &mut buffer);
            out_open = count > 0;
            append_both_ends(&mut stdout, &buffer[..count]);
            read(&buffer[..count]).map_err(Failure::Output)?;
        }
        if err_ready {
            let count = read_some(&mut err, &mut buffer);
            err_open = count > 0;
            append_both_ends(&mut stderr, &buffer[..count]);
            hear(&buffer[..count]);
        }
        if !out_ready && !err_ready && ended_at.is_none() && child.has_ended() {
            ended_at = Some(Instant::now());
            child.kill();
        }
    }
    wait_for_end(&child, started, deadline, &stderr)?;
    let status = child.reap().map_err(Failure::Start)?;
    Ok(Ended { status, stdout, stderr })
}

/// A child that runs until it is dropped, which kills its group.
pub struct Running {
    group: Group,
    out: ChildStdout,
    err: ChildStderr,
    stderr: Vec<u8>,
    is_open: [bool; 2],
}

impl Running {
    /// Starts a child without standard input.
    ///
    /// # Errors
    /// Fails if it cannot be started, or if the run was told to end.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        if ENDING.load(Ordering::SeqCst) {
            return Err(Failure::Interrupted);
        }
        let mut group = start(command, Stdio::null())?;
        let out = group.child.stdout.take().expect("stdout was asked to be a pipe");
        let err = group.child.stderr.take().expect("stderr was asked to be a pipe");
        Ok(Self { group, out, err, stderr: Vec::new(), is_open: [true, true] })
    }

    /// Waits at most `limit` for output, and appends what there is to `printed`. Returns whether more may come: `false` once it has
    /// closed its standard output.
    pub fn read(&mut self, limit: Duration, printed: &mut Vec<u8>) -> bool {
        let until = Instant::now() + limit;
        let mut buffer = vec![0; 64 * 1024];
        while self.is_open[0] && !ENDING.load(Ordering::SeqCst) {
            let left = until.saturating_duration_since(Instant::now());
            let [out, err] = self.is_open;
            let ready = wait_readable(out.then_some(&self.out), err.then_some(&self.err), left.min(TICK));
            if ready.1 {
                let count = read_some(&mut self.err, &mut buffer);
                self.is_open[1] = count > 0;
                append_both_ends(&mut self.stderr, &buffer[..count]);
            }
            if ready.0 {
                let count = read_some(&mut self.out, &mut buffer);
                self.is_open[0] = count > 0;
                printed.extend_from_slice(&buffer[..count]);
                break;
            }
            // A grandchild may hold the pipe open.
            if left.is_zero() || self.group.has_ended() && !ready.1 {
                break;
            }
        }
        self.is_open[0] && !self.group.has_ended()
    }

    /// Returns what it printed on standard error.
    pub fn complaint(&self) -> String {
        text_of(&self.stderr)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "process {}", self.group.pid.as_raw_nonzero())
    }
}

/// Starts a child that leads its own process group, with pipes for its output.
fn start(command: &mut Command, input: Stdio) -> Result<Group, Failure> {
    if let Some(mark) = guard::mark() {
        command.env(guard::MARK, mark);
    }
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.spawn().map(Group::new).map_err(Failure::Start)
}

/// Waits for the end of a child whose pipes are closed. Usually it has ended; one that closed them and runs on is given
/// until the deadline.
fn wait_for_end(child: &Group, started: Instant, deadline: Instant, stderr: &[u8]) -> Result<(), Failure> {
    let mut pause = Duration::from_micros(50);
    while !child.has_ended() {
        if ENDING.load(Ordering::SeqCst) {
            return Err(Failure::Interrupted);
        }
        if Instant::now() >= deadline {
            return Err(Failure::TimedOut(started.elapsed(), text_of(stderr)));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(TICK);
    }
    Ok(())
}

/// Waits at most `limit`, which is under 1 s, and returns which of the two pipes can be read without blocking.
fn wait_readable(out: Option<&impl AsFd>, err: Option<&impl AsFd>, limit: Duration) -> (bool, bool) {
    let limit = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
    let mut fds = Vec::with_capacity(2);
    fds.extend(out.map(|out| PollFd::new(out, PollFlags::IN)));
    fds.extend(err.map(|err| PollFd::new(err, PollFlags::IN)));
    // If a signal interrupts it, neither pipe is ready and the caller's loop tries again.
    let _ = poll(&mut fds, Some(&limit));
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    (out.is_some() && ready.next() == Some(true), err.is_some() && ready.next() == Some(true))
}

/// Reads the available bytes and returns their number; 0 if the pipe is closed or broken.
fn read_some(pipe: &mut impl Read, buffer: &mut [u8]) -> usize {
    loop {
        match pipe.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            count => return count.unwrap_or(0),
        }
    }
}

fn append_both_ends(printed: &mut Vec<u8>, more: &[u8]) {
    printed.extend_from_slice(more);
    if printed.len() > KEPT {
        printed.drain(KEPT / 2..printed.len() - KEPT / 2);
    }
}

/// Returns `text` with HTCondor's addresses cut to host and port: `<192.0.2.1:9618?addrs=…&sock=schedd_1_2>` says the same
/// place several times.
fn without_routes(text: &str) -> String {
    let mut parts = text.split('<');
    let mut shown = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let routes = part.find('>').and_then(|end| part[..end].find('?').map(|begin| begin..end));
        let (place, rest) = routes.map_or((part, ""), |routes| (&part[..routes.start], &part[routes.end..]));
        shown.extend(["<", place, rest]);
    }
    shown
}

/// A child that leads its own process group. On drop, the group is killed and the child reaped, unless it hangs in the
/// kernel.
struct Group {
    child: Child,
    pid: Pid,
    reaped: bool,
}

impl Group {
    fn new(child: Child) -> Self {
        let pid = Pid::from_child(&child);
        GROUPS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(pid.as_raw_nonzero().get());
        Self { child, pid, reaped: false }
    }

    /// Returns whether the child has ended. Does not reap it, so that its process ID still names its group.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    fn kill(&self) {
        // It fails only if no process of the group is left.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    /// Kills the rest of the group and returns the child's exit status.
    ///
    /// # Errors
    /// Fails if the child does not end: it hangs in the kernel, or runs as another user.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        self.kill();
        let killed = Instant::now();
        while !self.has_ended() {
            if killed.elapsed() > GRACE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        GROUPS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&self.pid.as_raw_nonzero().get());
        self.child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.reap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> (Result<(), String>, Vec<u8>, Duration) {
        let mut printed = Vec::new();
        let started = Instant::now();
        let result = run(Command::new("sh").args(["-c", script]), started + limit, |piece| {
            printed.extend_from_slice(piece);
            Ok(())
        });
        (result.map_err(|failure| failure.to_string()), printed, started.elapsed())
    }

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(300);

    #[test]
    fn output_larger_than_the_pipe_arrives_whole_while_stderr_is_full_too() {
        let (result, printed, _) = sh("head -c 300000 /dev/zero >&2; head -c 1000000 /dev/zero", LONG);
        assert_eq!(result, Ok(()));
        assert_eq!(printed.len(), 1_000_000);
    }

    #[test]
    fn an_exit_code_comes_with_the_words_of_stderr_or_else_of_stdout() {
        for (script, error) in [
            ("echo out; echo err >&2; exit 3", "ended with exit status: 3: \"err\""),
            ("echo out; exit 1", "ended with exit status: 1: \"out\""),
            ("exit 1", "ended with exit status: 1 and printed nothing"),
            ("kill -9 $$", "ended with signal: 9 (SIGKILL) and printed nothing"),
        ] {
            assert_eq!(sh(script, LONG).0, Err(error.into()), "{script}");
        }
        let missing = run(&mut Command::new("no-such-program"), Instant::now() + LONG, |_| Ok(()));
        assert_eq!(missing.unwrap_err().to_string(), "was not found on PATH");
    }

    #[test]
    fn the_cause_that_stands_last_is_in_the_message() {
        let address = "<192.0.2.17:9618?addrs=192.0.2.17-9618&alias=ce01.x.org&noUDP&sock=schedd_1_2>";
        let refused = format!(
            "echo '-- Failed to fetch ads from: {address} : ce01.x.org' >&2; echo 'Received \"DENIED\"' >&2; exit 1"
        );
        assert_eq!(
            sh(&refused, LONG).0,
            Err("ended with exit status: 1: \"-- Failed to fetch ads from: <192.0.2.17:9618> : ce01.x.org Received \"DENIED\"\"".into())
        );
        let long = "echo begin >&2; head -c 100000 /dev/zero | tr '\\0' x >&2; echo DENIED >&2; exit 1";
        let error = sh(long, LONG).0.unwrap_err();
        assert!(
            error.starts_with("ended with exit status: 1: \"begin xxx") && error.ends_with("xxxDENIED\""),
            "{error}"
        );
        assert!(error.len() < 300, "{error}");
        assert_eq!(without_routes("a < b? <c:1?d> e?> <f>"), "a < b? <c:1> e?> <f>");
    }

    #[test]
    fn a_refused_output_is_the_failure_only_when_the_child_ended_well() {
        let refuse = |script: &str| {
            run(Command::new("sh").args(["-c", script]), Instant::now() + LONG, |piece| {
                anyhow::ensure!(piece.is_empty(), "not JSON");
                Ok(())
            })
            .unwrap_err()
            .to_string()
        };
        assert_eq!(refuse("echo '<html>'"), "not JSON");
        assert_eq!(refuse("echo refused; exit 1"), "ended with exit status: 1: \"refused\"");
    }

    #[test]
    fn a_child_that_hangs_or_ignores_term_is_killed_at_its_time() {
        for script in ["sleep 1000", "trap '' TERM INT HUP; while :; do sleep 1; done", "exec >&- 2>&-; sleep 1000"] {
            let (result, _, took) = sh(script, SHORT);
            assert_eq!(result, Err("gave no answer in 0.3 s".into()), "{script}");
            assert!(took < LONG / 2, "{script}");
        }
    }

    #[test]
    fn an_input_larger_than_the_pipe_arrives_whole_and_a_flood_is_ended_when_it_is_refused() {
        let input = "x".repeat(1 << 20);
        let (mut count, started) = (0, Instant::now());
        let ended = exchange(&mut Command::new("cat"), input.as_bytes(), started + LONG, |piece| {
            count += piece.len();
            Ok(())
        });
        assert!(ended.unwrap().status.success());
        assert_eq!(count, 1 << 20);
        let ended = exchange(Command::new("sh").args(["-c", "echo no >&2; exit 255"]), b"", started + LONG, |_| Ok(()));
        let ended = ended.unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(255), &b"no\n"[..]));
        let flood = exchange(Command::new("cat").arg("/dev/zero"), b"", started + LONG, |_| anyhow::bail!("zeros"));
        assert_eq!(flood.unwrap_err().to_string(), "zeros");
        assert!(started.elapsed() < LONG / 2);
    }

    #[test]
    fn a_grandchild_is_killed_with_the_group_and_one_that_left_it_is_not_waited_for() {
        let (result, printed, took) = sh("sleep 1000 & echo $!", LONG);
        assert_eq!(result, Ok(()));
        assert!(took < LONG / 2);
        let pid: i32 = String::from_utf8(printed).unwrap().trim().parse().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let gone = || state().is_empty() || state().contains(") Z ");
        let limit = Instant::now() + LONG;
        while !gone() {
            assert!(Instant::now() < limit, "process {pid} outlived its group");
            std::thread::yield_now();
        }

        let (result, printed, took) = sh("echo whole; setsid sleep 3 & exit 0", LONG);
        assert_eq!((result, printed.as_slice()), (Ok(()), &b"whole\n"[..]));
        assert!(took < Duration::from_secs(3), "it waited for a process of another session");
    }
}
