//! Ends a run that passes its deadline, and a run or service that receives a signal.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::os::command;

/// Kills all child processes and exits with 1 at the deadline or on a signal. Every blocking call has its own, shorter
/// timeout; this catches the one we forgot.
#[derive(Debug)]
pub struct Watchdog {
    first_signal: FirstSignal,
    state: Mutex<State>,
    told_to_end: Condvar,
    /// Wakes the thread when the deadline changes.
    wake: UnixStream,
}

/// The effect of the first signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstSignal {
    /// It ends the process at once.
    Ends,
    /// It asks the process to end; a second one ends it at once.
    Asks,
}

#[derive(Debug, Default)]
struct State {
    /// When the current work must have ended, and how long it may take; `None` if there is no work.
    deadline: Option<(Instant, Duration)>,
    is_told_to_end: bool,
}

/// The byte that wakes the thread; a signal writes another one.
const WAKE: u8 = 0;

impl Watchdog {
    /// Starts the watch for SIGTERM, SIGINT and SIGHUP, and for deadlines. It lasts until the process ends.
    ///
    /// # Errors
    /// Fails if the signal handlers or the thread cannot be set up.
    pub fn start(program: &'static str, first_signal: FirstSignal) -> Result<&'static Self> {
        let (mut events, wake) = UnixStream::pair().context("socket pair")?;
        for number in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(number, wake.try_clone().context("socket pair")?)
                .context("signal handler")?;
        }
        let (state, told_to_end) = (Mutex::default(), Condvar::new());
        // Its thread uses it as long as the process lives.
        let watchdog: &'static Self = Box::leak(Box::new(Self { first_signal, state, told_to_end, wake }));
        thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || {
                let message = watchdog.watch(&mut events);
                command::end_all();
                let _ = writeln!(io::stderr(), "{program}: {message}");
                std::process::exit(1);
            })
            .context("watchdog thread")?;
        Ok(watchdog)
    }

    /// Sets the deadline of the work that begins now; `None` if it has ended.
    pub fn expect_end(&self, deadline: Option<(Instant, Duration)>) {
        self.state().deadline = deadline;
        // It fails only if the pipe is full, and then the thread wakes anyway.
        let _ = (&self.wake).write(&[WAKE]);
    }

    /// Waits at most `limit` for a signal. Returns whether one has arrived, now or earlier.
    pub fn is_told_to_end(&self, limit: Duration) -> bool {
        let told = |state: &mut State| !state.is_told_to_end;
        let waited = self.told_to_end.wait_timeout_while(self.state(), limit, told);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_told_to_end
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
                return format!("not done after {} s; what is missing is not known", allowed.as_secs());
            }
            let _ = events.set_read_timeout(left);
            let mut byte = [WAKE];
            if !matches!(events.read(&mut byte), Ok(1)) || byte == [WAKE] {
                continue;
            }
            let mut state = self.state();
            if self.first_signal == FirstSignal::Ends || state.is_told_to_end {
                return "interrupted; nothing more is sent".into();
            }
            state.is_told_to_end = true;
            self.told_to_end.notify_all();
        }
    }
}
