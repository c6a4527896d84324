//! What to say of each set: one verdict, the first rule that fits, and the warnings.

use serde::{Deserialize, Serialize};

use super::gather::{Backup, Beside, Gathered};
use super::memory::SetMemory;
use super::name::shown;
use super::seal::Seal;
use super::zone::Zone;
use crate::model::utc;
use crate::text::{ago, count, size};

/// What is said of a set or a node. Its number goes into the stores and never changes; the larger, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All is well.
    Ok = 0,
    /// A warning: the newest is more than three times as large as those before it.
    Grown = 1,
    /// A warning: the newest was last written long before its stamp.
    Stale = 2,
    /// A warning: many more are kept than should be.
    Hoards = 3,
    /// A warning of a node: LOCKED has been there for long.
    Stuck = 4,
    /// A warning of a node: sets lie there that nobody asked to watch, or may lie where the login may not read.
    Unlisted = 5,
    /// A warning of a node: the disk will be full in two weeks.
    Filling = 6,
    /// The newest is much smaller than those before it.
    Shrunk = 10,
    /// The newest has no sidecar, and others have one.
    Unsealed = 11,
    /// The content of the newest is not what its sidecar says.
    Digest = 12,
    /// The newest is not whole.
    Truncated = 13,
    /// The newest has next to no bytes.
    Small = 14,
    /// The newest is too old.
    Old = 15,
    /// The newest is too old, and a newer one is gone.
    Lost = 16,
    /// A stamp or a time of a file is in the future.
    Future = 17,
    /// None is there any more.
    Vanished = 18,
    /// None was ever there; of a node: nobody named its sets, and it never had one.
    Never = 19,
    /// The login may not read where they lie; of a node: where all do, if nobody named its sets and none was ever seen.
    Unreadable = 20,
    /// The node was not read.
    Unreachable = 21,
}

impl Verdict {
    /// Whether it is an alarm; else it is well, or a warning.
    pub fn is_alarm(self) -> bool {
        self as i64 >= Self::Shrunk as i64
    }

    /// Its word, as the config, the mails and the tables have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Grown => "grown",
            Self::Stale => "stale",
            Self::Hoards => "hoards",
            Self::Stuck => "stuck",
            Self::Unlisted => "unlisted",
            Self::Filling => "filling",
            Self::Shrunk => "shrunk",
            Self::Unsealed => "unsealed",
            Self::Digest => "digest",
            Self::Truncated => "truncated",
            Self::Small => "small",
            Self::Old => "old",
            Self::Lost => "lost",
            Self::Future => "future",
            Self::Vanished => "vanished",
            Self::Never => "never",
            Self::Unreadable => "unreadable",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What is right for a set.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The age beyond which the newest backup is old, in seconds.
    pub fresh_seconds: i64,
    /// How much smaller than the median of the seven before it the newest may be, in percent.
    pub shrink_percent: u64,
    /// The least bytes of a backup that holds something.
    pub least_bytes: u64,
    /// How many are kept; `None` if nobody said.
    pub keep: Option<u64>,
    /// What of a backup is checked.
    pub check: Check,
}

#[cfg(test)]
impl Rules {
    /// The rules of a hub whose config says only that four are kept.
    pub const USUAL: Self =
        Self { fresh_seconds: 26 * 3600, shrink_percent: 50, least_bytes: 200, keep: Some(4), check: Check::Size };
}

/// What of a backup is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    None,
    /// The size that its sidecar says.
    Size,
    /// Also the digest that its sidecar says, by reading the whole file on its node.
    Digest,
    /// The size, and the whole of the compressed file, by reading it on its node.
    Gzip,
}

/// The state of one set on one node.
#[derive(Clone, Debug, PartialEq)]
pub struct SetState {
    /// Its name.
    pub set: String,
    /// The first rule that fits: an alarm, else a warning, else well.
    pub verdict: Verdict,
    /// The verdict as text, for an alarm or a warning.
    pub text: String,
    /// The newest backup that counts, arriving ones too.
    pub newest: Option<Backup>,
    /// How many are there.
    pub backups: usize,
}

/// How far ahead of the run's clock a time may be, in seconds.
pub const AHEAD: i64 = 15 * 60;

/// How long a newest backup without a sidecar may be arriving, in seconds since it was last written.
const ARRIVING: i64 = 2 * 3600;

/// How long before its stamp a file may have been written, in seconds.
const STALE: i64 = 26 * 3600;

/// How many times as large as those before it the newest may be.
const GROWTH: u64 = 3;

/// The least difference of two sizes that matters, in bytes.
const DIFFERENCE: u64 = 100_000;

/// The number of backups before the newest whose median counts.
const BEFORE: usize = 7;

/// What was found out of contents, by path below the root; see [`Check`].
pub type Contents<'a> = &'a dyn Fn(&Backup) -> Option<Verdict>;

/// One set, as it lies on one node.
pub struct Question<'a> {
    /// Its name.
    pub set: &'a str,
    /// Its backups, oldest first; empty if there are none.
    pub backups: &'a [Backup],
    /// What is right for it.
    pub rules: &'a Rules,
    /// The zone of its stamps.
    pub zone: &'a Zone,
    /// What earlier runs knew of it.
    pub memory: &'a SetMemory,
    /// The run's clock, in unix seconds.
    pub now: i64,
    /// What the contents of its backups say.
    pub contents: Contents<'a>,
}

/// Returns what to say of a set whose root was read. `closed` is the folder of the set, or of all sets, or one above it, that may
/// not be read.
pub fn judge(question: &Question, closed: Option<&[u8]>) -> SetState {
    let Question { set, backups, memory, now, zone, rules, .. } = question;
    let is_future = |backup: &Backup| backup.is_after(now + AHEAD, zone);
    let counted: Vec<&Backup> = backups.iter().filter(|backup| !is_future(backup)).collect();
    let newest = counted.last().copied();
    let state = |verdict, words: String| SetState {
        set: (*set).into(),
        verdict,
        text: words,
        newest: newest.cloned(),
        backups: backups.len(),
    };
    if let Some(folder) = closed {
        return state(Verdict::Unreadable, format!("this login may not read {}", place(folder)));
    }
    if backups.is_empty() {
        return match memory.newest {
            Some(last) => state(Verdict::Vanished, format!("no backup is left; the last one was of {}", utc(last))),
            None if memory.is_known() => state(Verdict::Vanished, "no backup is left".into()),
            None => state(Verdict::Never, "there is no backup, and there never was one".into()),
        };
    }
    if let Some(backup) = backups.iter().rev().find(|backup| is_future(backup)) {
        let is_stamp = backup.sure_time(zone) > now + AHEAD;
        let (what, time) = if is_stamp { ("stamped", backup.time) } else { ("written", backup.mtime) };
        let counts =
            newest.map_or("none counts".into(), |newest| format!("the newest that counts is of {}", utc(newest.time)));
        let path = shown(&backup.path);
        return state(Verdict::Future, format!("{path} is {what} {}, which is still to come; {counts}", utc(time)));
    }
    // One without a sidecar among those with one is still arriving, and the one before it is judged.
    let sealed = counted.iter().filter(|backup| backup.seal.is_some()).count();
    // Those with one may be gone by now, and none is missed the less for it.
    let had_seals = memory.had_seals && rules.check != Check::None;
    let is_sealed = |at: usize| had_seals || sealed > usize::from(counted[at].seal.is_some());
    let is_arriving = |at: usize| counted[at].seal.is_none() && is_sealed(at) && now - counted[at].mtime <= ARRIVING;
    let Some(at) = (0..counted.len()).rev().find(|at| !is_arriving(*at)) else {
        return state(Verdict::Ok, String::new());
    };
    let alarm = alarm(question, counted[at], is_sealed(at));
    let (verdict, words) = alarm.or_else(|| warning(question, counted[at])).unwrap_or((Verdict::Ok, String::new()));
    state(verdict, words)
}

fn place(folder: &[u8]) -> String {
    if folder.is_empty() { "the folder of the hub".into() } else { shown(folder) }
}

/// Returns the first alarm that fits the newest backup.
fn alarm(question: &Question, newest: &Backup, others_are_sealed: bool) -> Option<(Verdict, String)> {
    let Question { rules, memory, now, .. } = question;
    let age = now - newest.time;
    if age > rules.fresh_seconds {
        let words = format!(
            "the newest is {} old, of {}; fresh is up to {}",
            ago(age),
            utc(newest.time),
            ago(rules.fresh_seconds)
        );
        return Some(match memory.newest_beside(question.backups).filter(|known| *known > newest.time) {
            Some(known) => (Verdict::Lost, format!("{words}; a newer one, of {}, is gone", utc(known))),
            None => (Verdict::Old, words),
        });
    }
    let of = format!("the newest, of {},", utc(newest.time));
    if newest.bytes < rules.least_bytes {
        let words =
            format!("{of} has {}; something has at least {}", bytes_of(newest.bytes), bytes_of(rules.least_bytes));
        return Some((Verdict::Small, words));
    }
    if newest.beside == Beside::Empty && rules.least_bytes > 0 {
        return Some((Verdict::Small, format!("{of} has another file beside it, and that has no byte")));
    }
    if newest.seal.as_deref() == Some(&Seal::CLOSED) {
        let words = format!("{of} has a sidecar that cannot be read: this login may not, or its disk does not give it");
        return Some((Verdict::Unreadable, words));
    }
    let sealed = newest.seal.as_ref().and_then(|seal| seal.bytes).filter(|_| rules.check != Check::None);
    if let Some(says) = sealed.filter(|says| *says != newest.bytes) {
        let words = format!("{of} has {}, and its sidecar says {}", bytes_of(newest.bytes), bytes_of(says));
        return Some((Verdict::Truncated, words));
    }
    if newest.beside == Beside::Truncated && rules.check != Check::None {
        let words = format!("{of} has another file beside it, and that does not have the size that its sidecar says");
        return Some((Verdict::Truncated, words));
    }
    match (question.contents)(newest) {
        Some(Verdict::Truncated) => return Some((Verdict::Truncated, format!("{of} cannot be unpacked to its end"))),
        Some(Verdict::Digest) => {
            return Some((Verdict::Digest, format!("{of} has another digest than its sidecar says")));
        }
        Some(Verdict::Unreadable) => {
            let path = shown(&newest.path);
            let words = format!("{path} cannot be read: this login may not, or its disk does not give it");
            return Some((Verdict::Unreadable, words));
        }
        _ => {}
    }
    if newest.seal.is_none() && others_are_sealed {
        let words = format!(
            "{of} has no sidecar, {} after it was last written; others have or had one",
            ago(now - newest.mtime)
        );
        return Some((Verdict::Unsealed, words));
    }
    let (median, of_how_many) = median_before(question, newest.time)?;
    let least = median as f64 * (100 - rules.shrink_percent.min(100)) as f64 / 100.0;
    let is_shrunk = (newest.bytes as f64) < least && median - newest.bytes > DIFFERENCE;
    is_shrunk
        .then(|| (Verdict::Shrunk, format!("{of} has {}; {}", bytes_of(newest.bytes), before(median, of_how_many))))
}

/// Returns the first warning that fits the newest backup.
fn warning(question: &Question, newest: &Backup) -> Option<(Verdict, String)> {
    let Question { rules, zone, backups, .. } = question;
    let of = format!("the newest, of {},", utc(newest.time));
    if let Some((median, of_how_many)) = median_before(question, newest.time)
        && newest.bytes > median.saturating_mul(GROWTH)
        && newest.bytes - median > DIFFERENCE
    {
        return Some((Verdict::Grown, format!("{of} has {}; {}", bytes_of(newest.bytes), before(median, of_how_many))));
    }
    // Where the zone is not known, the stamp is up to 14 hours off.
    let limit = if zone.is_known() { STALE } else { STALE + 14 * 3600 };
    if let Some(stamp) = newest.stamp.filter(|stamp| newest.mtime < stamp - limit) {
        return Some((Verdict::Stale, format!("{of} was last written {} before its stamp", ago(stamp - newest.mtime))));
    }
    let most = rules.keep.map(|keep| keep.saturating_mul(2));
    most.filter(|most| backups.len() as u64 > *most).map(|_| {
        let words =
            format!("{} are there, and {} should be kept: the purge may fail", backups.len(), rules.keep.unwrap_or(0));
        (Verdict::Hoards, words)
    })
}

/// Returns the median size of the seven backups before a time, those that are gone too, and of how many it is.
fn median_before(question: &Question, time: i64) -> Option<(u64, usize)> {
    let Question { backups, memory, .. } = question;
    let mut sizes: Vec<(i64, u64)> = Vec::with_capacity(2 * BEFORE);
    for backup in backups[..backups.partition_point(|backup| backup.time < time)].iter().rev() {
        if sizes.last().is_none_or(|(at, _)| *at != backup.time) {
            sizes.push((backup.time, backup.bytes));
        }
        if sizes.len() == BEFORE {
            break;
        }
    }
    sizes.extend(
        memory.sizes_beside(backups).iter().filter(|size| size.time < time).map(|size| (size.time, size.bytes)),
    );
    // Of one time what lies there comes first, and counts.
    sizes.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    sizes.dedup_by_key(|(at, _)| *at);
    let mut sizes: Vec<u64> = sizes.into_iter().take(BEFORE).map(|(_, bytes)| bytes).collect();
    sizes.sort_unstable();
    let half = sizes.len() / 2;
    let median = match sizes.len() {
        0 => return None,
        odd if odd % 2 == 1 => sizes[half],
        _ => sizes[half - 1].midpoint(sizes[half]),
    };
    Some((median, sizes.len()))
}

fn before(median: u64, of_how_many: usize) -> String {
    match of_how_many {
        1 => format!("the one before it has {}", bytes_of(median)),
        _ => format!("the median of the {of_how_many} before it is {}", bytes_of(median)),
    }
}

fn bytes_of(bytes: u64) -> String {
    if bytes < 1000 { count(bytes as usize, "byte") } else { size(bytes) }
}

/// Returns a folder that may not be read: this one or one above it, else, with `inside`, one below it.
pub fn closed_folder<'a>(gathered: &'a Gathered, folder: &[u8], inside: bool) -> Option<&'a [u8]> {
    let fits = |closed: &&[u8]| if inside { lies_in(closed, folder) } else { lies_in(folder, closed) };
    gathered.closed_folders().find(fits)
}

/// Whether a folder is another one, or lies in it.
pub fn lies_in(inner: &[u8], outer: &[u8]) -> bool {
    outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
