//! How long InfluxDB wants to be left alone: a `Retry-After` holds for later runs too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use jiff::fmt::rfc2822;

use super::config::Peer;
use crate::model::utc;
use crate::os::files;

/// No run waits longer, whatever the server says or the clock did.
const LONGEST: i64 = 3600;

/// The file that remembers until when nothing is sent.
#[derive(Debug)]
pub(super) struct Pause {
    path: PathBuf,
    peer: &'static Peer,
}

impl Pause {
    pub fn new(peer: &'static Peer, state: &Path) -> Self {
        Self { path: state.join(format!("{}.pause", peer.sink)), peer }
    }

    /// Fails while the server wants to be left alone, by the clock `now` in unix seconds. What cannot be read is no pause.
    ///
    /// # Errors
    /// Fails with the end of the pause.
    pub fn ensure_over(&self, name: &str, now: i64) -> Result<()> {
        let text = files::read(&self.path, 4096).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((until, of)) = text.as_deref().and_then(|text| text.trim_end().split_once(' ')) else { return Ok(()) };
        let until: i64 = until.parse().unwrap_or_default();
        // Another server asked for nothing, and a clock that was set back must not make a pause longer.
        if of == name && (1..=LONGEST).contains(&until.saturating_sub(now)) {
            bail!("{} at {name} asked to be left alone until {}", self.peer.title, utc(until));
        }
        Ok(())
    }

    /// Remembers a `Retry-After` from the clock `now` on: seconds, or a date by the server's own clock, which is no run's. What
    /// cannot be written is asked for again.
    pub fn remember(&self, name: &str, retry_after: &str, now: i64) {
        let text = retry_after.trim();
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = if is_number {
            // One that no integer holds is long too.
            text.parse().unwrap_or(LONGEST)
        } else {
            rfc2822::parse(text).map_or(0, |date| date.timestamp().as_second() - wall())
        };
        if seconds > 0 {
            let until = now.saturating_add(seconds.min(LONGEST));
            let _ = files::write(&self.path, format!("{until} {name}\n").as_bytes());
        }
    }

    /// Forgets the pause: the server takes points again.
    pub fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns the time by the machine's clock, in unix seconds.
pub(super) fn wall() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.as_ref().map_or(0, Duration::as_secs).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::influxdb::config::INFLUXDB;

    /// The clock of a run of 2024.
    const NOW: i64 = 1_717_245_000;

    #[test]
    fn a_pause_holds_for_its_server_and_its_time_alone() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("pause-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let pause = Pause::new(&INFLUXDB, &folder);
        assert!(pause.ensure_over("http://a/", NOW).is_ok());
        pause.remember("http://a/", "30", NOW);
        let error = pause.ensure_over("http://a/", NOW).unwrap_err().to_string();
        assert!(error.starts_with("InfluxDB at http://a/ asked to be left alone until 2"), "{error}");
        assert!(pause.ensure_over("http://b/", NOW).is_ok());
        for long in ["999999999", "99999999999999999999"] {
            pause.remember("http://a/", long, NOW);
            assert!(pause.ensure_over("http://a/", NOW + LONGEST - 1).is_err(), "{long}");
            pause.forget();
        }
        // The run's clock ends it, whatever the machine's says.
        pause.remember("http://a/", "30", NOW);
        assert!(pause.ensure_over("http://a/", NOW + 29).is_err() && pause.ensure_over("http://a/", NOW + 30).is_ok());
        pause.forget();
        for ended in ["0", "-5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            pause.remember("http://a/", ended, NOW);
            assert!(pause.ensure_over("http://a/", NOW).is_ok(), "{ended}");
        }
        pause.remember("http://a/", "Mon, 21 Oct 2250 07:28:00 GMT", NOW);
        assert!(pause.ensure_over("http://a/", NOW).is_err());
        fs::write(folder.join("influxdb.pause"), format!("{} http://a/\n", NOW + 2 * LONGEST)).unwrap();
        assert!(pause.ensure_over("http://a/", NOW).is_ok(), "the clock was set back");
        fs::remove_dir_all(folder).unwrap();
    }
}
