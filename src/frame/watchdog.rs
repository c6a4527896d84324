//! The end of a run that does not end by itself.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::os::command;

/// Kills all child processes and exits with 1 at the deadline or on SIGTERM, SIGINT and SIGHUP. Every blocking call has its
/// own, shorter timeout; this catches the one that we forgot.
///
/// # Errors
/// When the signal handlers or the thread cannot be set up.
pub fn start(program: &'static str, deadline: Instant, allowed: Duration) -> Result<()> {
    let (mut signalled, signal) = UnixStream::pair().context("socket pair")?;
    for number in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(number, signal.try_clone().context("socket pair")?)
            .context("signal handler")?;
    }
    thread::Builder::new()
        .name("watch".into())
        .spawn(move || {
            // The end that the handlers hold must outlive the wait, or it would read as closed.
            let _open = signal;
            let mut byte = [0];
            let message = loop {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break format!("not done after {} s; what is missing is not known", allowed.as_secs());
                }
                let _ = signalled.set_read_timeout(Some(left));
                if matches!(signalled.read(&mut byte), Ok(1)) {
                    break "interrupted; nothing more is sent".to_string();
                }
            };
            command::end_all();
            let _ = writeln!(io::stderr(), "{program}: {message}");
            std::process::exit(1);
        })
        .context("watch thread")?;
    Ok(())
}
