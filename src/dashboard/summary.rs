//! The newest numbers of a page: read once per change of the data, however many requests want them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::Mutex;

use super::Dashboard;
use super::aside::Aside;
use super::bars::Drawn;
use crate::events::Event;
use crate::os::work::catch;
use crate::query::Ahead;
use crate::view::page::Page;
use crate::view::table::{Section, sections};

/// How long a failed read is not repeated: the store may answer again soon.
const RETRY: Duration = Duration::from_secs(5);

/// How long a summary is used while the version of the data stays the same.
const LONGEST_USE: Duration = Duration::from_secs(3600);

/// The sections of a page as they were last read.
#[derive(Debug, Default)]
pub struct Summary {
    /// The sections, sorted by name.
    pub sections: Vec<Section>,
    /// Why the last read failed; the sections are those of the last read that succeeded.
    pub problem: Option<String>,
    /// The numbers from the future.
    pub ahead: Ahead,
    version: u64,
    /// When they were read; `None` before the first read.
    pub(super) read_at: Option<Instant>,
}

/// A page with its last summary.
pub(super) struct PageState {
    pub(super) page: Page,
    pub(super) bars: Arc<Aside<Drawn>>,
    pub(super) day: Arc<Aside<Vec<Event>>>,
    summary: RwLock<Arc<Summary>>,
    /// Held by the request that reads the newest numbers.
    reading: Mutex<()>,
}

impl PageState {
    pub(super) fn new(page: Page) -> Self {
        Self { page, bars: Arc::default(), day: Arc::default(), summary: RwLock::default(), reading: Mutex::default() }
    }

    fn last(&self) -> Arc<Summary> {
        self.summary.read().expect("nothing panics while it is held").clone()
    }
}

impl Dashboard {
    /// Returns the newest numbers of a page. While one request reads them, the others get the last summary.
    pub(super) async fn summary(self: &Arc<Self>, state: &PageState) -> Arc<Summary> {
        let last = state.last();
        if self.is_current(&last) {
            self.counts.reused.fetch_add(1, Ordering::Relaxed);
            return last;
        }
        let _reading = match state.reading.try_lock() {
            Ok(reading) => reading,
            Err(_) if last.read_at.is_some() => return last,
            Err(_) => state.reading.lock().await,
        };
        // Another request may have read them while this one waited.
        let last = state.last();
        if self.is_current(&last) {
            return last;
        }
        let (this, page) = (self.clone(), state.page);
        let answer = tokio::task::spawn_blocking(move || {
            // The version is read before the data, so that a change during the read is read again.
            let version = this.backend.version();
            let latest = || this.backend.latest(&page.measurements(), (this.now)());
            let read = || latest().map(|newest| (sections(&page, newest.values), newest.ahead));
            (version, catch(read).flatten())
        });
        self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
        let (version, sections) = answer.await.unwrap_or_else(|error| (0, Err(anyhow!("{error}"))));
        let read_at = Some(Instant::now());
        let summary = Arc::new(match sections {
            Ok((sections, ahead)) => Summary { sections, problem: None, ahead, version, read_at },
            Err(error) => {
                self.counts.store_failures.fetch_add(1, Ordering::Relaxed);
                let (sections, ahead) = (last.sections.clone(), last.ahead);
                Summary { sections, problem: Some(format!("{error:#}")), ahead, version, read_at }
            }
        });
        let before =
            std::mem::replace(&mut *state.summary.write().expect("nothing panics while it is held"), summary.clone());
        // Tens of thousands of numbers take a while to be freed: nobody waits for that.
        drop(tokio::task::spawn_blocking(move || drop((before, last))));
        // Responses that were rendered from other data are never asked for again.
        self.cache.clear();
        summary
    }

    fn is_current(&self, summary: &Summary) -> bool {
        match summary.read_at {
            None => false,
            Some(read_at) if summary.problem.is_some() => read_at.elapsed() < RETRY,
            Some(read_at) => summary.version == self.backend.version() && read_at.elapsed() < LONGEST_USE,
        }
    }
}
