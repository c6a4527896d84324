//! Prints text and messages.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::log::{self, Level};
use super::watchdog::Watchdog;
use crate::text::one_line;

/// Prints the result of a program on standard output, in any time: a reader who reads slowly (`| less`) is no failure,
/// nor is one that closes the pipe early (`| head`).
pub fn print(text: &str) -> ExitCode {
    if let Some(watchdog) = Watchdog::running() {
        watchdog.expect_end(None);
    }
    print_in_time(text)
}

/// Like [`print()`], but within the deadline: for a monitor, which waits for the end of the process.
pub fn print_in_time(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Prints messages on standard error, each on a line that begins with the program's name, and logs them as warnings. All
/// in one write, so that the output of 50 concurrent programs stays readable.
pub fn complain(program: &str, messages: &[String]) {
    say(Level::Warning, program, messages);
}

/// Prints messages as [`complain`] does, and logs them as `level`.
pub(super) fn say(level: Level, program: &str, messages: &[String]) {
    messages.iter().for_each(|message| log::write(level, program, message));
    let text = messages.iter().fold(String::new(), |text, line| format!("{text}{program}: {}\n", one_line(line)));
    // If standard error is closed, there is no other place to report that.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints a line on standard error if that can be done without waiting.
pub(super) fn say_at_once(line: &str) {
    /// A pipe that has room has at least so much, in bytes.
    const ROOM: usize = 4096;
    let stderr = io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::OUT) {
        let _ = rustix::io::write(stderr.as_fd(), &line.as_bytes()[..line.len().min(ROOM)]);
    }
}
