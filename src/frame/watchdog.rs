//! The end of a run that does not end by itself, and of a service that is told to.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::os::command;

/// Watches over a process: kills all child processes and exits with 1 when the deadline has passed. Every blocking call has
/// its own, shorter timeout; this catches the one that we forgot.
#[derive(Debug)]
pub struct Watchdog {
    first_signal: FirstSignal,
    state: Mutex<State>,
    told_to_end: Condvar,
    /// Wakes the thread when the deadline changes.
    wake: UnixStream,
}

/// What the first signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstSignal {
    /// It ends the process at once.
    Ends,
    /// It asks the process to end; a second one ends it at once.
    Asks,
}

#[derive(Debug, Default)]
struct State {
    /// When the work at hand must have ended, and how long it may take; `None` while there is none.
    deadline: Option<(Instant, Duration)>,
    is_told_to_end: bool,
}

/// The byte that wakes the thread; a signal writes another one.
const WAKE: u8 = 0;

impl Watchdog {
    /// Starts to watch for SIGTERM, SIGINT and SIGHUP, and for deadlines. It watches until the process ends.
    ///
    /// # Errors
    /// When the signal handlers or the thread cannot be set up.
    pub fn start(program: &'static str, first_signal: FirstSignal) -> Result<&'static Self> {
        let (mut events, wake) = UnixStream::pair().context("socket pair")?;
        for number in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(number, wake.try_clone().context("socket pair")?)
                .context("signal handler")?;
        }
        let (state, told_to_end) = (Mutex::default(), Condvar::new());
        // It lives as long as the process, as its thread does.
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

    /// Sets the deadline of the work that begins, or ends the watch over it.
    pub fn expect_end(&self, deadline: Option<(Instant, Duration)>) {
        self.state().deadline = deadline;
        // It fails only when the pipe is full, and then the thread wakes anyway.
        let _ = (&self.wake).write(&[WAKE]);
    }

    /// Waits at most `limit` for a signal; whether one has come, now or before.
    pub fn is_told_to_end(&self, limit: Duration) -> bool {
        let told = |state: &mut State| !state.is_told_to_end;
        let waited = self.told_to_end.wait_timeout_while(self.state(), limit, told);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_told_to_end
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the last message of the process, when it must end.
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
