//! Ends a process that passes its deadline, or receives a signal, whether or not its last line can be printed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use super::log;
use super::output::say_at_once;
use crate::os::command;

/// Kills all child processes and exits with 1 at the deadline or on a signal. Every blocking call has its own, shorter
/// timeout; this catches the one we forgot, and those that have none: opening a file on a hung mount, writing to a pipe
/// that nobody reads.
#[derive(Debug)]
pub struct Watchdog {
    program: &'static str,
    /// When the process began.
    began: Instant,
    state: Mutex<State>,
    told_to_end: Condvar,
    /// Set by SIGHUP.
    hang_up: Arc<AtomicBool>,
    /// Set by SIGTERM and SIGINT.
    end: Arc<AtomicBool>,
    /// Wakes the thread when the deadline changes.
    wake: UnixStream,
}

/// The effect of the first signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstSignal {
    /// It ends the process at once.
    #[default]
    Ends,
    /// It asks the process to end; a second one ends it at once.
    Asks,
    /// The system's: the watchdog does not receive it.
    Default,
}

/// What a service has been told by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// To read its config again.
    Reload,
    /// To end.
    End,
}

/// Makes the line of a plugin, with the exit code that goes with it.
type Plugin = (fn(&str) -> String, u8);

#[derive(Debug, Default)]
struct State {
    first_signal: FirstSignal,
    /// When the current work must have ended, and how long it may take; `None` if it may take any time.
    deadline: Option<(Instant, Duration)>,
    /// The work at hand, for the last line; empty for a run's own work.
    work: String,
    is_told_to_end: bool,
    /// Whether SIGHUP asks for the config to be read again, instead of being a signal like the others.
    reloads: bool,
    is_told_to_reload: bool,
    /// How the last line is printed on standard output, and the exit code with it; `None` for standard error and 1.
    plugin: Option<Plugin>,
    /// The lock file's note, which tells the next run that this one ended without a word.
    note: Option<File>,
}

/// The byte that wakes the thread; a signal writes another one.
const WAKE: u8 = 0;

/// How long the last line may take to be printed.
const LAST_LINE: Duration = Duration::from_secs(1);

/// The watchdog of this process.
static WATCHDOG: OnceLock<Watchdog> = OnceLock::new();

impl Watchdog {
    /// Starts the watchdog of this process, which must end within `allowed`; returns the running one if it has been
    /// started already. Exits with 1 if that is impossible: nothing may be done without it.
    pub fn start(program: &'static str, first_signal: FirstSignal, allowed: Duration) -> &'static Self {
        let began = Instant::now();
        let state = State { first_signal, deadline: Some((began + allowed, allowed)), ..State::default() };
        let mut events = None;
        let watchdog = WATCHDOG.get_or_init(|| {
            let (reader, wake) = started(program, UnixStream::pair().context("socket pair"));
            events = Some(reader);
            let (state, told_to_end) = (Mutex::new(state), Condvar::new());
            let (hang_up, end) = (Arc::default(), Arc::default());
            Self { program, began, state, told_to_end, hang_up, end, wake }
        });
        if let Some(events) = events {
            started(program, watchdog.listen(first_signal, events));
        }
        watchdog
    }

    /// Returns the watchdog of this process, if it has been started.
    pub fn running() -> Option<&'static Self> {
        WATCHDOG.get()
    }

    /// Receives the signals, and starts the two threads.
    fn listen(&'static self, first_signal: FirstSignal, mut events: UnixStream) -> Result<()> {
        let signals: &[i32] = if first_signal == FirstSignal::Default { &[] } else { &[SIGTERM, SIGINT, SIGHUP] };
        for number in signals {
            // Before the pipe, so that the thread that is woken knows which signal it was.
            let told = if *number == SIGHUP { &self.hang_up } else { &self.end };
            signal_hook::flag::register(*number, Arc::clone(told)).context("signal handler")?;
            signal_hook::low_level::pipe::register(*number, self.wake.try_clone().context("socket pair")?)
                .context("signal handler")?;
        }
        // It exits for the other one if that cannot print the last line.
        let (exit_soon, told) = mpsc::channel::<u8>();
        let thread = |name: &str| thread::Builder::new().name(name.into());
        thread("exit").spawn(move || {
            if let Ok(code) = told.recv() {
                thread::sleep(LAST_LINE);
                signal_hook::low_level::exit(code.into());
            }
        })?;
        thread("watchdog").spawn(move || {
            let message = self.watch(&mut events);
            let plugin = self.state().plugin;
            let code = plugin.map_or(1, |(_, code)| code);
            let _ = exit_soon.send(code);
            command::end_all();
            log::write_last(self.program, &message);
            let (stdout, stderr) = (io::stdout(), io::stderr());
            let (line, fd) = match plugin {
                Some((line, _)) => (line(&message), stdout.as_fd()),
                None => (format!("{}: {message}\n", self.program), stderr.as_fd()),
            };
            self.print_last(&line, fd);
            // Not exit(): that waits for locks, and writes what is left in a buffer.
            signal_hook::low_level::exit(code.into());
        })?;
        Ok(())
    }

    /// Prints the last line, and clears the note, since the next run need not tell of the end again.
    fn print_last(&self, line: &str, fd: BorrowedFd<'_>) {
        // Not through io::stderr(), which another thread may have locked for ever.
        if rustix::io::write(fd, line.as_bytes()).is_ok()
            && let Some(note) = &self.state().note
        {
            let _ = note.set_len(0);
        }
    }

    /// Returns when the process began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Sets the deadline of the work that begins now; `None` if it may take any time.
    pub fn expect_end(&self, deadline: Option<(Instant, Duration)>) {
        self.state().deadline = deadline;
        // It fails only if the pipe is full, and then the thread wakes anyway.
        let _ = (&self.wake).write(&[WAKE]);
    }

    /// Names the work at hand for the last line, such as "reading the config"; `None` for a run's own work.
    pub fn names(&self, work: Option<&str>) {
        let mut state = self.state();
        // A service names each of its sensors at each tick.
        state.work.clear();
        state.work.push_str(work.unwrap_or_default());
    }

    /// Sets the effect of the first signal.
    pub fn on_first_signal(&self, first_signal: FirstSignal) {
        self.state().first_signal = first_signal;
        if first_signal == FirstSignal::Asks {
            // Such as logrotate's: none of them may end a service, and what it holds with it. A handler, unlike a signal that
            // is ignored, is not handed on to commands that it runs.
            for number in [SIGUSR1, SIGUSR2, SIGALRM] {
                let _ = signal_hook::flag::register(number, Arc::default());
            }
        }
    }

    /// Lets SIGHUP ask for the config to be read again.
    pub fn reloads_on_hang_up(&self) {
        self.state().reloads = true;
    }

    /// Makes the last line that of a monitor's plugin: `line` renders it for standard output, `code` is the exit code.
    pub fn speaks_as_plugin(&self, line: fn(&str) -> String, code: u8) {
        self.state().plugin = Some((line, code));
    }

    /// Lets the last line clear the note of the lock file.
    pub fn clears(&self, note: Option<File>) {
        self.state().note = note;
    }

    /// Asks for the config to be read again, as SIGHUP does.
    pub(super) fn ask_to_reload(&self) {
        self.state().is_told_to_reload = true;
        self.told_to_end.notify_all();
    }

    /// Waits at most `limit` for a signal. Returns whether one has arrived, now or earlier.
    pub fn is_told_to_end(&self, limit: Duration) -> bool {
        let told = |state: &mut State| !state.is_told_to_end;
        let waited = self.told_to_end.wait_timeout_while(self.state(), limit, told);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_told_to_end
    }

    /// Waits at most `limit` for a signal. Returns what it asks for, now or earlier; it asks once for the config to be read
    /// again.
    pub fn told_within(&self, limit: Duration) -> Told {
        let is_quiet = |state: &mut State| !state.is_told_to_end && !state.is_told_to_reload;
        let waited = self.told_to_end.wait_timeout_while(self.state(), limit, is_quiet);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match std::mem::take(&mut state.is_told_to_reload) {
            _ if state.is_told_to_end => Told::End,
            true => Told::Reload,
            false => Told::Nothing,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the process must end, and returns its last message.
    fn watch(&self, events: &mut UnixStream) -> String {
        loop {
            let deadline = self.state().deadline;
            let left = deadline.map(|(end, _)| end.saturating_duration_since(Instant::now()));
            if let Some((_, allowed)) = deadline.filter(|_| left == Some(Duration::ZERO)) {
                let still = match self.state().work.as_str() {
                    "" => "what is missing is not known".into(),
                    work => format!("it was still {work}"),
                };
                return format!("not done after {} s; {still}", allowed.as_secs());
            }
            let _ = events.set_read_timeout(left);
            let mut byte = [WAKE];
            if !matches!(events.read(&mut byte), Ok(1)) || byte == [WAKE] {
                continue;
            }
            // A byte may be that of a signal whose predecessor was taken for both.
            let (hangs_up, ends) = (self.hang_up.swap(false, Ordering::SeqCst), self.end.swap(false, Ordering::SeqCst));
            let mut state = self.state();
            if hangs_up && state.reloads {
                state.is_told_to_reload = true;
                self.told_to_end.notify_all();
            }
            if !ends && (!hangs_up || state.reloads) {
                continue;
            }
            if state.first_signal != FirstSignal::Asks || state.is_told_to_end {
                return "interrupted; nothing more is sent".into();
            }
            state.is_told_to_end = true;
            self.told_to_end.notify_all();
        }
    }
}

/// Returns what the watchdog needs, or exits with 1.
fn started<T>(program: &str, part: Result<T>) -> T {
    part.unwrap_or_else(|error| {
        say_at_once(&format!("{program}: the watchdog cannot be started: {error:#}; nothing was done\n"));
        signal_hook::low_level::exit(1)
    })
}
