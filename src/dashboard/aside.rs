//! What a page shows but does not wait for: read beside it when the data have changed, but never for more than a twentieth of the
//! time.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use super::Dashboard;

/// How long it is used while the data stay the same.
const LONGEST_USE: Duration = Duration::from_secs(300);

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Last<T> {
    /// What was found.
    pub found: T,
    version: u64,
    /// When it was read, and how long that took; `None` before the first time.
    pub read: Option<(Instant, Duration)>,
}

/// What is read aside for one page.
#[derive(Default)]
pub(super) struct Aside<T> {
    last: RwLock<Arc<Last<T>>>,
    /// Held by the thread that reads it.
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl<T> Aside<T> {
    /// Returns what was read last.
    pub fn last(&self) -> Arc<Last<T>> {
        self.last.read().expect("nothing panics while it is held").clone()
    }
}

impl Dashboard {
    /// Returns what was read last, if it need not be read again.
    pub(super) fn fresh<T>(&self, aside: &Aside<T>) -> Option<Arc<Last<T>>> {
        let last = aside.last();
        let (read_at, took) = last.read?;
        let age = read_at.elapsed();
        (age < LONGEST_USE && (age < 20 * took || last.version == self.backend.version())).then_some(last)
    }

    /// Reads by `read`, which gets what was found last, and returns that; what was read last while others read it, or if it takes
    /// longer than `limit`: then the next request gets it.
    pub(super) async fn read_aside<T: Send + Sync + 'static>(
        self: &Arc<Self>,
        aside: &Arc<Aside<T>>,
        limit: Duration,
        read: impl FnOnce(&Self, &T) -> T + Send + 'static,
    ) -> Arc<Last<T>> {
        let Ok(reading) = aside.reading.clone().try_lock_owned() else { return aside.last() };
        let (this, own) = (self.clone(), aside.clone());
        let work = tokio::task::spawn_blocking(move || {
            let _reading = reading;
            let (began, version) = (Instant::now(), this.backend.version());
            let found = read(&this, &own.last().found);
            let read = Some((Instant::now(), began.elapsed()));
            *own.last.write().expect("nothing panics while it is held") = Arc::new(Last { found, version, read });
        });
        let _ = tokio::time::timeout(limit, work).await;
        aside.last()
    }
}
