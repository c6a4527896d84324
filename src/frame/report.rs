//! The report of a run: kept in the state directory, and sent as points by the next run.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::delivery::Account;
use crate::model::{Declaration, Dropped, Field, Fold, Measurement, Point, SECOND, Tag};
use crate::os::files;
use crate::problem::Failing;
use crate::text::cut;

/// The report of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The first label of the name of the host that it ran on; empty in a report of an older version, which counts as
    /// this host's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The run's clock, in unix seconds.
    pub time: i64,
    /// The interval that the program is meant for, in seconds; `None` in a report of an earlier version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<i64>,
    /// For how long the machine had been running, in seconds; `None` in a report of an earlier version.
    pub running: Option<i64>,
    /// Its duration, in seconds.
    pub duration_seconds: f64,
    /// Whether all sources answered and all points were delivered.
    pub success: bool,
    /// Number of points that it collected.
    pub collected: usize,
    /// The account of each sink, by name.
    pub sinks: BTreeMap<String, Account>,
    /// The duration of each source, in seconds.
    pub sources: BTreeMap<String, f64>,
    /// The first dropped points by name, each with the reason.
    pub dropped: Vec<String>,
    /// The failures, by the part that failed, each with its beginning.
    pub failing: BTreeMap<String, Failing>,
}

const SUCCESS: Field<i64> =
    Field::gauge("success", "0 or 1", Fold::Mean, "whether everything answered and was delivered");
const DURATION: Field<f64> = Field::gauge("duration_seconds", "seconds", Fold::Mean, "how long it took");
const COLLECTED: Field<i64> = Field::gauge("collected", "points", Fold::Mean, "how many it collected");
const DELIVERED: Field<i64> = Field::gauge("delivered", "points", Fold::Mean, "how many every sink acknowledged");
const SPOOLED: Field<i64> = Field::gauge("spooled", "points", Fold::Mean, "how many waited for some sink at its end");
const DROPPED: Field<i64> =
    Field::gauge("dropped", "points", Fold::Mean, "how many were dropped by name for some sink");

/// The measurement that every cron program sends about its previous run.
pub static RUN: Measurement = Measurement::new(Declaration {
    name: "run",
    meaning: "what a run of a program did, sent by the next one with the time of the run it describes",
    tags: &[Tag::key("grid"), Tag::key("host"), Tag::key("program")],
    fields: &[SUCCESS.info(), DURATION.info(), COLLECTED.info(), DELIVERED.info(), SPOOLED.info(), DROPPED.info()],
    carbon: "run.{grid}.{host}.{program}.{field}",
    every: 60,
});

impl Report {
    /// Returns the first 20 dropped points by name, each with the reason, for a report.
    pub fn names(dropped: &[Dropped]) -> Vec<String> {
        dropped.iter().take(20).map(|dropped| format!("{}: {}", cut(&dropped.name), dropped.why)).collect()
    }

    /// Whether the run was on `host`.
    pub fn is_of(&self, host: &str) -> bool {
        self.host.is_empty() || self.host == host
    }

    /// Returns the report as a point of the host that ran, or of `here` if it names none, with its time rounded down to
    /// the program's step.
    pub fn point(&self, grid: &str, here: &str, program: &str, step_seconds: i64) -> Point {
        let host = if self.host.is_empty() { here } else { &self.host };
        let most = |count: fn(&Account) -> usize| self.sinks.values().map(count).max().unwrap_or_default();
        let (spooled, dropped) = (most(|account| account.spooled), most(|account| account.dropped));
        let fields = [
            SUCCESS.of(self.success.into()),
            DURATION.of(self.duration_seconds),
            COLLECTED.of(self.collected as i64),
            DELIVERED.of(self.collected.saturating_sub(spooled + dropped) as i64),
            SPOOLED.of(spooled as i64),
            DROPPED.of(dropped as i64),
        ];
        RUN.point(self.time.div_euclid(step_seconds) * step_seconds * SECOND, [grid, host, program], &fields)
    }
}

/// The last runs of one program on one grid, as read from a state directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The program.
    pub program: String,
    /// The grid, as spelt in the names of its files.
    pub grid: String,
    /// Its reports, oldest first; empty if none can be read.
    pub reports: Vec<Report>,
    /// Why some reports cannot be read; empty if all can be read.
    pub problem: String,
    /// The first run that began after the last report and left none, in unix seconds; it may still be at work.
    pub unreported: Option<i64>,
}

/// Returns the last runs of every program on every grid whose state is in `directory`, sorted by program and grid. Only
/// reads.
///
/// # Errors
/// Fails if the directory cannot be read. A file in it that cannot be read is reported in its [`History::problem`].
pub fn histories(directory: &Path) -> Result<Vec<History>> {
    let context = || format!("state directory {}", directory.display());
    let mut histories = Vec::new();
    for file in fs::read_dir(directory).with_context(context)? {
        let name = file.with_context(context)?.file_name();
        // The grid is a component of a Carbon path, so it has no dot.
        let Some((program, grid)) =
            name.to_str().and_then(|name| name.strip_suffix(".reports")).and_then(|stem| stem.rsplit_once('.'))
        else {
            continue;
        };
        let mut history = History { program: program.into(), grid: grid.into(), ..History::default() };
        match read_reports(&directory.join(&name)) {
            Ok((reports, unread)) => {
                history.reports = reports;
                if unread > 0 {
                    history.problem = format!("{unread} lines are no reports: damaged, or of another version");
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => history.problem = error.to_string(),
        }
        let mark =
            marked(&directory.join(format!("{program}.{grid}.mark", program = history.program, grid = history.grid)));
        history.unreported = mark.filter(|mark| history.reports.last().is_none_or(|last| last.time < *mark));
        histories.push(history);
    }
    histories.sort_by(|a, b| (&a.program, &a.grid).cmp(&(&b.program, &b.grid)));
    Ok(histories)
}

/// Maximum size of a file of reports, in bytes.
pub(super) const MOST: u64 = 64 << 20;

/// Returns the time of a mark, in unix seconds; `None` if there is none.
pub(super) fn marked(path: &Path) -> Option<i64> {
    let time = path.symlink_metadata().and_then(|mark| mark.modified()).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|time| time.as_secs() as i64)
}

/// Returns the reports of a file and the number of its unreadable lines. Such a line, from another version or a damaged
/// disk, costs only history.
pub(super) fn read_reports(path: &Path) -> std::io::Result<(Vec<Report>, usize)> {
    let bytes = files::read(path, MOST)?;
    let text = String::from_utf8_lossy(&bytes);
    let reports: Vec<_> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let unread = text.lines().count() - reports.len();
    Ok((reports, unread))
}
