//! How full file systems are (statvfs), asked so that one whose server is gone holds up no other: a thread asks them one after
//! the other, and if one does not answer at once the others get threads of their own. All have one time limit together. A
//! thread whose mount hangs is left to it, and that mount is not asked again before the question ends.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::fs::statvfs;

use super::mounts::Mount;

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

/// How long a mount may take before the others no longer wait for it.
const AT_ONCE: Duration = Duration::from_millis(50);

/// The most threads at once, those included that wait for mounts which hang.
const MOST: usize = 64;

/// Which mount it is: its number, its file system and its path. What is mounted in place of another is not the same one.
type Key = (u64, String, PathBuf);

fn key(mount: &Mount) -> Key {
    (mount.id, mount.system.clone(), mount.path.clone())
}

/// Asks mounts how full they are.
#[derive(Debug)]
pub struct UsageReader {
    limit: Duration,
    /// Asks one mount; a test's does not answer when the test says so.
    usage: fn(&Path) -> Result<Usage>,
    /// Hands the thread that asks a round of questions.
    helper: Option<Sender<Arc<Round>>>,
    /// The mounts that have not answered in time, with whether they have since.
    hanging: HashMap<Key, Arc<AtomicBool>>,
}

/// The questions of one moment.
#[derive(Debug)]
struct Round {
    usage: fn(&Path) -> Result<Usage>,
    /// Those that no thread has taken.
    left: Mutex<VecDeque<Question>>,
    answers: Sender<(usize, Result<Usage>)>,
}

#[derive(Debug)]
struct Question {
    /// Its place among the questions.
    at: usize,
    path: PathBuf,
    has_answered: Arc<AtomicBool>,
}

impl UsageReader {
    /// Returns a reader that waits so long for the mounts of one moment.
    pub fn new(limit: Duration) -> Self {
        Self { limit, usage, helper: None, hanging: HashMap::new() }
    }

    /// Takes over what another reader knows of mounts that hang.
    pub fn adopt(&mut self, old: Self) {
        (self.helper, self.hanging) = (old.helper, old.hanging);
    }

    /// Returns how full these mounts are, each by the path at which it is asked. Where too many hang the last ones are not asked.
    pub fn ask(&mut self, mounts: &[(&Mount, PathBuf)]) -> Vec<Result<Usage>> {
        self.hanging.retain(|_, has_answered| !has_answered.load(Ordering::Acquire));
        let is_new = |mount: &Mount| !self.hanging.contains_key(&key(mount));
        let flags: Vec<_> = mounts.iter().map(|(mount, _)| is_new(mount).then(Arc::<AtomicBool>::default)).collect();
        let question = |(at, (path, flag)): (usize, (&PathBuf, &Option<Arc<AtomicBool>>))| {
            Some(Question { at, path: path.clone(), has_answered: Arc::clone(flag.as_ref()?) })
        };
        let left = mounts.iter().map(|(_, path)| path).zip(&flags).enumerate().filter_map(question).collect();
        let (answers, told) = mpsc::channel();
        let round = Arc::new(Round { usage: self.usage, left: Mutex::new(left), answers });
        let (mut answers, begun) = self.gather(&round, &told);
        let unasked: HashSet<_> = round.left().drain(..).map(|question| question.at).collect();
        let mut answer = |(at, flag): (usize, Option<Arc<AtomicBool>>)| match (answers.remove(&at), flag) {
            (Some(answer), _) => answer,
            (None, None) => Err(anyhow!("still does not answer; it is asked again once it has")),
            (None, Some(_)) if unasked.contains(&at) => Err(match &begun {
                Ok(()) => anyhow!("is not asked while {} others do not answer", self.hanging.len()),
                Err(error) => anyhow!("{error:#}"),
            }),
            (None, Some(has_answered)) => {
                self.hanging.insert(key(mounts[at].0), has_answered);
                Err(anyhow!("gave no answer in {:?}", self.limit))
            }
        };
        flags.into_iter().enumerate().map(&mut answer).collect()
    }

    /// Asks, and returns the answers that came in time by their places.
    fn gather(
        &mut self,
        round: &Arc<Round>,
        told: &Receiver<(usize, Result<Usage>)>,
    ) -> (BTreeMap<usize, Result<Usage>>, Result<()>) {
        let until = Instant::now() + self.limit;
        let (wanted, mut answers) = (round.left().len(), BTreeMap::new());
        let helper = self.helper.take().filter(|helper| helper.send(Arc::clone(round)).is_ok());
        let helper = match helper.map_or_else(|| Round::helper(round), Ok) {
            Ok(helper) => helper,
            Err(error) => return (answers, Err(error)),
        };
        let mut is_alone = true;
        while answers.len() < wanted {
            let left = until.saturating_duration_since(Instant::now());
            match told.recv_timeout(if is_alone { left.min(AT_ONCE) } else { left }) {
                Ok((at, answer)) => {
                    answers.insert(at, answer);
                }
                Err(_) if !is_alone || left.is_zero() => break,
                Err(_) => {
                    is_alone = false;
                    let most = MOST.saturating_sub(self.hanging.len() + 1);
                    for _ in 0..round.left().len().min(most) {
                        let round = Arc::clone(round);
                        // Without it the others take its part.
                        let _ = thread::Builder::new().name("mount".into()).spawn(move || round.work());
                    }
                }
            }
        }
        // One that hangs, or waits for its turn no more, ends by itself.
        self.helper = Some(helper).filter(|_| answers.len() == wanted);
        (answers, Ok(()))
    }
}

impl Round {
    /// Starts a thread that asks this round and those that it is handed later.
    fn helper(round: &Arc<Self>) -> Result<Sender<Arc<Self>>> {
        let (helper, rounds) = mpsc::channel::<Arc<Self>>();
        let first = Arc::clone(round);
        let work = move || {
            first.work();
            drop(first);
            while let Ok(round) = rounds.recv() {
                round.work();
            }
        };
        thread::Builder::new().name("mount".into()).spawn(work).context("no thread to ask a mount")?;
        Ok(helper)
    }

    fn left(&self) -> MutexGuard<'_, VecDeque<Question>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks what is left, one after the other.
    fn work(&self) {
        loop {
            // A statement of its own: the lock is not held while a mount hangs.
            let question = self.left().pop_front();
            let Some(Question { at, path, has_answered }) = question else { return };
            let told = (self.usage)(&path);
            has_answered.store(true, Ordering::Release);
            if self.answers.send((at, told)).is_err() {
                return;
            }
        }
    }
}

/// Asks one file system; waits as long as it takes.
fn usage(path: &Path) -> Result<Usage> {
    let told = statvfs(path)?;
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(told.f_frsize)).unwrap_or(i64::MAX);
    let used = told.f_blocks.saturating_sub(told.f_bfree);
    Ok(Usage { total: bytes(told.f_blocks), used: bytes(used), free: bytes(told.f_bavail) })
}

#[cfg(test)]
mod tests {
    use gridmon_testkit::TempDir;

    use super::*;
    use crate::sources::node::mounts::parse_mountinfo;

    /// Mounts whose names begin with `dead` answer once a file `answer` lies in them; each notes that it is asked.
    fn stand_in(path: &Path) -> Result<Usage> {
        let asked = path.join("asked");
        let before = std::fs::read_to_string(&asked).unwrap_or_default();
        std::fs::write(&asked, before + "x").unwrap();
        let is_dead = path.file_name().unwrap().to_string_lossy().starts_with("dead");
        while is_dead && !path.join("answer").exists() {
            thread::sleep(Duration::from_millis(2));
        }
        Ok(Usage { total: 3, used: 2, free: 1 })
    }

    struct Bench {
        folder: TempDir,
        reader: UsageReader,
        mounts: Vec<Mount>,
    }

    impl Bench {
        fn new(names: &[String], limit: Duration) -> Self {
            let (folder, mut text) = (TempDir::new(), String::new());
            for (at, name) in names.iter().enumerate() {
                std::fs::create_dir(folder.path().join(name)).unwrap();
                text += &format!("{} 1 0:{at} / /{name} rw - ext4 d{at} rw\n", at + 2);
            }
            let reader = UsageReader { usage: stand_in, ..UsageReader::new(limit) };
            Self { folder, reader, mounts: parse_mountinfo(&text) }
        }

        fn ask(&mut self) -> Vec<String> {
            let path = |mount: &Mount| self.folder.path().join(mount.shown().trim_start_matches('/'));
            let asked: Vec<_> = self.mounts.iter().map(|mount| (mount, path(mount))).collect();
            let answers = self.reader.ask(&asked);
            answers.into_iter().map(|one| one.map_or_else(|why| why.to_string(), |_| "good".into())).collect()
        }

        fn asked(&self, name: &str) -> usize {
            std::fs::read_to_string(self.folder.path().join(name).join("asked")).unwrap_or_default().len()
        }

        fn answer(&self, name: &str) {
            std::fs::write(self.folder.path().join(name).join("answer"), "").unwrap();
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            for mount in &self.mounts {
                let _ =
                    std::fs::write(self.folder.path().join(mount.shown().trim_start_matches('/')).join("answer"), "");
            }
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn many_mounts_that_hang_cost_one_time_limit_together_and_the_others_nothing() {
        let dead = (0..20).map(|at| format!("dead{at}"));
        let mut bench = Bench::new(&dead.chain(names(&["home", "data"])).collect::<Vec<_>>(), Duration::from_secs(2));
        let began = Instant::now();
        let answers = bench.ask();
        assert!(began.elapsed() < Duration::from_secs(8), "one after the other they take 40 s: {:?}", began.elapsed());
        assert!(answers[..20].iter().all(|one| one == "gave no answer in 2s"), "{answers:?}");
        assert_eq!(answers[20..], ["good", "good"]);
        let answers = bench.ask();
        assert!(answers[..20].iter().all(|one| one.starts_with("still does not answer")), "{answers:?}");
        assert_eq!((bench.asked("dead3"), bench.asked("home")), (1, 2));
        bench.answer("dead3");
        let limit = Instant::now() + Duration::from_secs(60);
        while bench.ask()[3] != "good" {
            assert!(Instant::now() < limit);
        }
        assert_eq!(bench.asked("dead3"), 2);
    }

    #[test]
    fn threads_are_bounded_and_the_first_mounts_are_asked_before_the_last() {
        let dead: Vec<_> = (0..MOST + 10).map(|at| format!("dead{at}")).collect();
        let mut all = names(&["home"]);
        all.extend(dead);
        let mut bench = Bench::new(&all, Duration::from_secs(3));
        let answers = bench.ask();
        let count = |text: &str| answers.iter().filter(|one| one.starts_with(text)).count();
        assert_eq!((answers[0].as_str(), count("gave no answer"), count("is not asked while")), ("good", MOST, 10));
        assert_eq!(bench.ask()[0], "good");
        assert!(bench.reader.hanging.len() <= MOST + 1, "{}", bench.reader.hanging.len());
    }

    #[test]
    fn what_is_mounted_in_place_of_one_that_hangs_is_asked_and_a_new_asker_asks_no_second_time() {
        let mut bench = Bench::new(&names(&["dead"]), Duration::from_millis(300));
        assert_eq!(bench.ask(), ["gave no answer in 300ms"]);
        let old = std::mem::replace(
            &mut bench.reader,
            UsageReader { usage: stand_in, ..UsageReader::new(Duration::from_millis(300)) },
        );
        bench.reader.adopt(old);
        assert!(bench.ask()[0].starts_with("still does not answer"));
        assert_eq!(bench.asked("dead"), 1);
        bench.mounts = parse_mountinfo("99 1 0:9 / /dead rw - nfs4 other:/ rw\n");
        assert_eq!(bench.ask(), ["gave no answer in 300ms"]);
        assert_eq!(bench.asked("dead"), 2, "it is another mount");
    }
}
