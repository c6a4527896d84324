//! What is wrong now: found once per change of the data, however many requests want it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::Mutex;

use super::Dashboard;
use crate::events::{Event, Known, Now, Rule, Rules, Severity, now};
use crate::os::work::catch;
use crate::view::page::Page;
use crate::view::selection::{Subject, Trouble, Troubles};

/// How long a failed read is not repeated.
const RETRY: Duration = Duration::from_secs(5);

/// How long an answer is used while the data stay the same: silence grows without them.
const LONGEST_USE: Duration = Duration::from_secs(20);

/// What was wrong at the last look.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// What is wrong; of the last look that succeeded.
    pub now: Now,
    /// Why the last look failed.
    pub problem: Option<String>,
    version: u64,
    /// When it ended; `None` before the first one.
    pub read_at: Option<Instant>,
}

/// The rules, and what they found last.
#[derive(Default)]
pub(super) struct Watch {
    pub rules: Rules,
    last: RwLock<Arc<Watched>>,
    /// Held by the request that looks.
    looking: Mutex<()>,
    known: std::sync::Mutex<Known>,
}

impl Watch {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Returns what the rules call a trouble in the systems of a page; `None` if no rule is about the page.
    pub(super) fn troubles(&self, watched: &Watched, page: &Page, systems: &[&str]) -> Option<Troubles> {
        let shown = page.measurements();
        let is_shown = |rule: &Rule| shown.iter().any(|measurement| measurement.name == rule.measurement.name);
        let subject = |event: &Event| Subject {
            series: event.series.clone(),
            names: event.names,
            path: event.path.clone(),
            trouble: if event.severity == Severity::Bad { Trouble::Bad } else { Trouble::Worse },
        };
        let here =
            || watched.now.troubles.iter().filter(|event| systems.contains(&event.system)).map(subject).collect();
        self.rules.all().any(|(_, rule)| is_shown(rule)).then(|| Troubles::new(here()))
    }

    fn last(&self) -> Arc<Watched> {
        self.last.read().expect("nothing panics while it is held").clone()
    }
}

impl Dashboard {
    /// Returns what is wrong now; `None` if there are no rules. While one request looks, the others get the last answer.
    pub(super) async fn watched(self: &Arc<Self>) -> Option<Arc<Watched>> {
        let watch = &self.watch;
        if watch.rules.systems.is_empty() {
            return None;
        }
        let last = watch.last();
        if self.is_watched(&last) {
            return Some(last);
        }
        let _looking = match watch.looking.try_lock() {
            Ok(looking) => looking,
            Err(_) if last.read_at.is_some() => return Some(last),
            Err(_) => watch.looking.lock().await,
        };
        let last = watch.last();
        if self.is_watched(&last) {
            return Some(last);
        }
        let this = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let version = this.backend.version();
            // What a look that panicked has left is no harm: it is made anew.
            let mut known = this.watch.known.lock().unwrap_or_else(|poisoned| {
                let mut known = poisoned.into_inner();
                *known = Known::default();
                known
            });
            (version, catch(|| now(&*this.backend, &this.watch.rules, &mut known, (this.now)())).flatten())
        });
        self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
        let (version, found) = answer.await.unwrap_or_else(|error| (0, Err(anyhow!("{error}"))));
        let read_at = Some(Instant::now());
        let watched = Arc::new(match found {
            Ok(now) => Watched { now, problem: None, version, read_at },
            Err(error) => {
                self.counts.store_failures.fetch_add(1, Ordering::Relaxed);
                Watched { now: last.now.clone(), problem: Some(format!("{error:#}")), version, read_at }
            }
        });
        *watch.last.write().expect("nothing panics while it is held") = watched.clone();
        Some(watched)
    }

    fn is_watched(&self, watched: &Watched) -> bool {
        match watched.read_at {
            None => false,
            Some(read_at) if watched.problem.is_some() => read_at.elapsed() < RETRY,
            Some(read_at) => watched.version == self.backend.version() && read_at.elapsed() < LONGEST_USE,
        }
    }
}
