//! How full file systems are (statvfs), asked so that one whose server is gone holds up no other: a helper thread asks,
//! and is left to the mount that does not answer. That mount is not asked again before the first question ends.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::statvfs;

/// How full a file system is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its size.
    pub total: i64,
    /// What is written, the part that is kept for root included.
    pub used: i64,
    /// What users may still write.
    pub free: i64,
}

/// The answer about one mount, and whether it has come.
type Question = (PathBuf, Arc<AtomicBool>);

/// Asks mounts how full they are.
#[derive(Debug)]
pub struct Asker {
    limit: Duration,
    helper: Option<Helper>,
    /// The mounts that have not answered in time, with whether they have since.
    hanging: HashMap<PathBuf, Arc<AtomicBool>>,
}

#[derive(Debug)]
struct Helper {
    questions: Sender<Question>,
    answers: Receiver<Result<Usage>>,
}

impl Asker {
    /// Returns an asker that waits so long for each mount.
    pub fn new(limit: Duration) -> Self {
        Self { limit, helper: None, hanging: HashMap::new() }
    }

    /// Returns how full the file system at `path` is.
    ///
    /// # Errors
    /// Fails if the mount does not answer, now or since an earlier question, or refuses.
    pub fn ask(&mut self, path: &Path) -> Result<Usage> {
        if let Some(has_answered) = self.hanging.get(path) {
            if !has_answered.load(Ordering::Acquire) {
                bail!("still does not answer; it is asked again once it has");
            }
            self.hanging.remove(path);
        }
        let helper = match self.helper.take() {
            Some(helper) => helper,
            None => Helper::start()?,
        };
        let has_answered = Arc::new(AtomicBool::new(false));
        let question = (path.to_path_buf(), Arc::clone(&has_answered));
        helper.questions.send(question).map_err(|_| anyhow!("the thread that asks is gone"))?;
        match helper.answers.recv_timeout(self.limit) {
            Ok(answer) => {
                self.helper = Some(helper);
                answer
            }
            Err(_) => {
                // The helper stays with this mount, and ends when it has its answer.
                self.hanging.insert(path.to_path_buf(), has_answered);
                bail!("gave no answer in {:?}", self.limit)
            }
        }
    }

    /// Forgets mounts that are gone and answered.
    pub fn keep(&mut self, is_there: impl Fn(&Path) -> bool) {
        self.hanging.retain(|path, has_answered| is_there(path) || !has_answered.load(Ordering::Acquire));
    }

    /// Returns how many threads wait for a mount.
    pub fn waiting(&self) -> usize {
        self.hanging.values().filter(|has_answered| !has_answered.load(Ordering::Acquire)).count()
    }
}

impl Helper {
    fn start() -> Result<Self> {
        let (questions, asked) = mpsc::channel::<Question>();
        let (answer, answers) = mpsc::channel();
        let work = move || {
            while let Ok((path, has_answered)) = asked.recv() {
                let told = usage(&path);
                has_answered.store(true, Ordering::Release);
                if answer.send(told).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("mount".into()).spawn(work).context("no thread to ask a mount")?;
        Ok(Self { questions, answers })
    }
}

/// Asks one file system; waits as long as it takes.
fn usage(path: &Path) -> Result<Usage> {
    let told = statvfs(path)?;
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(told.f_frsize)).unwrap_or(i64::MAX);
    let used = told.f_blocks.saturating_sub(told.f_bfree);
    Ok(Usage { total: bytes(told.f_blocks), used: bytes(used), free: bytes(told.f_bavail) })
}
