//! Brings the graphs of the files in rrdtool's format into an object store: those whose rows have changed, the longest due
//! first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::{CATALOG, Config, instances};
use crate::frame::{CheckLine, Published};
use crate::model::{RRD_SPANS, RrdFile, RrdSpan, utc};
use crate::os::http;
use crate::os::work::{catch, side_by_side};
use crate::problem::{Problem, Subject};
use crate::sinks::rrd::RrdFiles;
use crate::sinks::s3::{self, Failure, Store};
use crate::sources::libvirt;
use crate::text::count;
use crate::view::png;

/// The name under which is remembered what the store has.
const MEMORY: &str = "graphs";

/// The time at the end of a run in which no graph is sent, to remember what was.
const TO_REMEMBER: Duration = Duration::from_secs(1);

/// What the store has.
#[derive(Default, Serialize, Deserialize)]
struct Memory {
    /// Which store and bucket it is about.
    target: String,
    /// For each series, its graphs by name.
    series: BTreeMap<String, BTreeMap<String, Kept>>,
    /// The series whose buckets refused a graph in the last run. They come last, so that they hold up no others.
    #[serde(default)]
    refused: BTreeSet<String>,
}

/// A graph that was sent, or is due.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// The end of its newest row, in unix seconds.
    row: i64,
    /// Its MD5; empty if it was never sent.
    md5: String,
}

/// A graph that the store does not have.
struct Due {
    series: String,
    file: &'static RrdFile,
    span: &'static RrdSpan,
    /// The end of the first row that the store's graph lacks, in unix seconds.
    since: i64,
    /// The MD5 of the store's graph.
    md5: String,
}

impl Due {
    fn name(&self) -> String {
        name(self.file, self.span)
    }
}

fn name(file: &RrdFile, span: &RrdSpan) -> String {
    format!("{}-{}", file.name, span.name)
}

/// Returns the line of `--check`, if `[s3]` names a store. `now` is the real time, in unix seconds.
pub fn check(config: &Config, now: i64, until: Instant) -> Vec<CheckLine> {
    let Some(s3) = &config.s3 else { return Vec::new() };
    let asked = catch(|| possible().and_then(|()| Store::new(s3.clone(), now)?.check(until))).flatten();
    vec![("s3".into(), asked.map_err(|error| format!("{error:#}")))]
}

/// Sends the graphs whose rows have changed since they were sent. `now` is the real time, in unix seconds. Returns what is
/// missing.
pub fn publish(published: &Published<Config>, now: i64) -> Vec<Problem> {
    let (Some(s3), Some(rrd)) = (&published.config.s3, &published.config.rrd) else { return Vec::new() };
    let problem = |message: String| Problem::new(Subject::Sink("s3".into()), message);
    let store = match possible().and_then(|()| Store::new(s3.clone(), now)) {
        Ok(store) => store,
        Err(error) => return vec![problem(format!("{error:#}; no graph was sent"))],
    };
    let files = RrdFiles { config: rrd.clone(), catalog: CATALOG, now, is_made: false };
    let mut problems = Vec::new();
    let recalled = published.recall::<Memory>(MEMORY);
    let mut memory = recalled.unwrap_or_else(|error| {
        problems.push(problem(format!("{error:#}; all graphs are sent anew")));
        Memory::default()
    });
    let target = format!("{} {}", s3.url, s3.bucket);
    if memory.target != target {
        memory = Memory { target, ..Memory::default() };
    }
    let here = match here(published) {
        Ok(here) => here,
        Err(error) => return vec![problem(format!("{error:#}; no graph was sent"))],
    };
    let due = match due(s3, &files, &here, &mut memory) {
        Ok((due, unread)) => {
            problems.extend(unread.map(problem));
            due
        }
        Err(error) => return vec![problem(format!("{error:#}; no graph was sent"))],
    };
    let sending = Sending {
        config: s3,
        store,
        files,
        until: published.until - TO_REMEMBER,
        ended: Mutex::default(),
        refused: Mutex::default(),
        failed: AtomicUsize::new(0),
        has_taken: AtomicBool::new(false),
    };
    let sent = side_by_side(due.len(), s3.parallel, |at| sending.send(&due[at]));
    problems.extend(sending.missing(&due, &sent).map(problem));
    for (due, kept) in due.iter().zip(sent) {
        if let (Ok(kept), Some(graphs)) = (kept, memory.series.get_mut(&due.series)) {
            graphs.insert(due.name(), kept);
        }
    }
    memory.refused = sending.refused.into_inner().unwrap_or_else(PoisonError::into_inner).into_keys().collect();
    if let Err(error) = published.remember(MEMORY, &memory) {
        problems.push(problem(format!("{error:#}; the next run sends all graphs anew")));
    }
    problems
}

/// Checks that this build draws and sends graphs.
fn possible() -> Result<()> {
    ensure!(
        http::AVAILABLE && png::AVAILABLE,
        "this build has no HTTP or no PNG: build with the features http and png"
    );
    Ok(())
}

/// Returns the instances of this host, by the last list of libvirt.
fn here(published: &Published<Config>) -> Result<BTreeSet<String>> {
    let known = published.recall::<libvirt::Memory>(instances::MEMORY)?.domains;
    Ok(known.iter().map(|known| known.of.uuid.to_string()).collect())
}

/// Returns the graphs that are due, those that have been longest first, and says of which series or files there can be none. Forgets
/// series that are gone. An instance that is not `here` any more may be on another host, which sends its graphs now.
fn due(
    s3: &s3::Config,
    files: &RrdFiles,
    here: &BTreeSet<String>,
    memory: &mut Memory,
) -> Result<(Vec<Due>, Option<String>)> {
    let (mut due, mut unread) = (Vec::new(), Vec::<String>::new());
    let mut before = std::mem::take(&mut memory.series);
    for series in files.series()?.into_iter().filter(|series| here.contains(series)) {
        if let Err(why) = s3.bucket_of(&series) {
            unread.push(format!("the bucket of instance {series} {why}"));
            continue;
        }
        let graphs = memory.series.entry(series.clone()).or_insert(before.remove(&series).unwrap_or_default());
        for file in files.declared() {
            let newest = match files.newest(&series, file) {
                Ok(newest) => newest.unwrap_or_default(),
                Err(error) => {
                    unread.push(format!("{error:#}"));
                    continue;
                }
            };
            for (span, row) in RRD_SPANS.iter().zip(newest) {
                // One that was never sent is due from now on, and comes earlier the longer it waits.
                let first = || Kept { row: row.saturating_sub(span.row_seconds()), md5: String::new() };
                let Kept { row: sent, md5 } = graphs.entry(name(file, span)).or_insert_with(first).clone();
                if sent != row {
                    let since = sent.saturating_add(span.row_seconds());
                    due.push(Due { series: series.clone(), file, span, since, md5 });
                }
            }
        }
    }
    due.sort_by_key(|due| (memory.refused.contains(&due.series), due.since));
    let more = unread.len().saturating_sub(1);
    let unread = unread.first().map(|first| {
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        format!("{first}{more}; of these no graph is drawn")
    });
    Ok((due, unread))
}

/// What the threads of a run share.
struct Sending<'a> {
    config: &'a s3::Config,
    store: Store,
    files: RrdFiles,
    until: Instant,
    /// Why nothing more is sent in this run.
    ended: Mutex<Option<String>>,
    /// The series whose buckets take nothing in this run, each with the reason.
    refused: Mutex<BTreeMap<String, String>>,
    /// How many graphs were not taken since the last one that was.
    failed: AtomicUsize,
    /// Whether the store has taken one in this run.
    has_taken: AtomicBool,
}

impl Sending<'_> {
    /// Draws a graph, and sends it if it has changed. Fails with the reason; `None` if the run had no time for it.
    fn send(&self, due: &Due) -> Result<Kept, Option<String>> {
        if Instant::now() >= self.until || self.ended().is_some() {
            return Err(None);
        }
        if let Some(why) = self.refused().get(&due.series) {
            return Err(Some(why.clone()));
        }
        let sent = catch(|| self.draw_and_put(due)).unwrap_or_else(|bug| Err(Failure::One(bug.to_string())));
        if sent.is_ok() {
            self.failed.store(0, Ordering::Relaxed);
        }
        sent.map_err(|failure| {
            // What was cut off by the end of the run is no fault of a store that takes others.
            if Instant::now() >= self.until && self.has_taken.load(Ordering::Relaxed) {
                return None;
            }
            if let Failure::Bucket(why) = &failure
                && self.config.has_many_buckets()
            {
                self.refused().insert(due.series.clone(), why.clone());
                return Some(why.clone());
            }
            // A store that hangs, or fails with everything, shall not cost the whole run.
            let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
            if matches!(failure, Failure::All(_) | Failure::Bucket(_)) || failed >= 2 * self.config.parallel {
                self.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure.text().into());
            }
            Some(failure.text().into())
        })
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> Option<String> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn draw_and_put(&self, due: &Due) -> Result<Kept, Failure> {
        let not_drawn = |error: anyhow::Error| Failure::One(format!("{error:#}"));
        let drawn = self.files.graph(&due.series, due.file, due.span).map_err(not_drawn)?;
        // Removed since it was listed.
        let Some(graph) = drawn else { return Ok(Kept::default()) };
        let picture = graph.png().map_err(not_drawn)?;
        let kept = Kept { row: graph.end, md5: format!("{:x}", md5::compute(&picture)) };
        if kept.md5 != due.md5 {
            self.store.put(&due.series, &format!("{}.png", due.name()), &picture, self.until)?;
            self.has_taken.store(true, Ordering::Relaxed);
        }
        Ok(kept)
    }

    /// Says which graphs wait for the next run, and why; `None` if none does.
    fn missing(&self, due: &[Due], sent: &[Result<Kept, Option<String>>]) -> Option<String> {
        let waiting: Vec<_> =
            due.iter().zip(sent).filter_map(|(due, sent)| Some((due, sent.as_ref().err()?))).collect();
        let (first, _) = waiting.first()?;
        let said = self.ended().or_else(|| waiting.iter().find_map(|(_, why)| (*why).clone()));
        let why = said.unwrap_or_else(|| "the run's time is over".into());
        let since = utc(first.since);
        Some(format!(
            "{why}; {} of {} wait for the next run, the first since {since}",
            waiting.len(),
            count(due.len(), "graph")
        ))
    }
}
