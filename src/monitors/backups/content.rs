//! What is in backups: which files are checked, and what that says. Each file is checked once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gather::{Backup, Gathered};
use super::hub::Hub;
use super::memory::{NodeMemory, SetMemory};
use super::name::shown;
use super::verdict::{AHEAD, Check, Verdict};
use crate::sources::ssh::content::{Found, Tool};

/// A file that was checked, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Its path below the root, as text.
    pub path: String,
    /// Its size, in bytes: another one is another file.
    pub bytes: u64,
    /// When it was last written, in unix seconds, likewise.
    pub mtime: i64,
    /// What was found.
    pub content: Content,
    /// The MD5 sum that it has, as hexadecimal digits, if that was asked: the sidecar that it is compared with may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// It is what it should be.
    Good,
    /// Its digest is not that of its sidecar.
    Digest,
    /// It cannot be unpacked to its end.
    Truncated,
}

impl Content {
    /// Its word in the history.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "checked",
            Self::Digest => "digest",
            Self::Truncated => "truncated",
        }
    }
}

/// A file that is to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its set.
    pub set: String,
    /// The backup.
    pub backup: Backup,
    /// What reads it.
    pub tool: Tool,
}

/// How long ago a file without a sidecar must have been written last, in seconds: before, it may still be written to.
const SETTLED: i64 = 10 * 60;

/// Returns the files that are to be checked, the newest of each set first: the newest one, and those that came since the last
/// run. `now` is in unix seconds.
pub fn wanted(hub: &Hub, gathered: &Gathered, memory: &NodeMemory, now: i64) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let watched = gathered.sets.iter().filter(|(set, _)| hub.sets.is_empty() || hub.sets.contains(set));
    for (set, backups) in watched.filter(|_| !hub.pattern.is_folder) {
        let known = memory.sets.get(set).cloned().unwrap_or_default();
        let check = hub.rules(set).check;
        let counted = backups.iter().rev().filter(|backup| !backup.is_after(now + AHEAD, &hub.zone));
        let mut rank = 0;
        for backup in counted {
            let is_wanted = rank == 0 || known.is_known() && known.is_new(backup);
            if !is_wanted {
                break;
            }
            let Some(tool) = tool(check, backup, now) else { continue };
            rank += 1;
            if known.checked(backup, check).is_none() {
                wanted.push((rank, Wanted { set: set.clone(), backup: backup.clone(), tool }));
            }
        }
    }
    wanted.sort_by_key(|(rank, _)| *rank);
    wanted.into_iter().map(|(_, one)| one).collect()
}

/// Returns what reads a file; `None` if there is nothing to compare it with, or if it may still be arriving.
fn tool(check: Check, backup: &Backup, now: i64) -> Option<Tool> {
    match check {
        Check::None | Check::Size => None,
        Check::Digest => backup.seal.as_ref()?.digest.map(|_| Tool::Md5),
        // gzip reads no xz, and would call one broken.
        Check::Gzip if ![&b".gz"[..], b".tgz"].iter().any(|end| backup.path.ends_with(end)) => None,
        Check::Gzip => (backup.seal.is_some() || now - backup.mtime > SETTLED).then_some(Tool::Gzip),
    }
}

/// Returns what was found of a file; `None` if that is not known.
pub fn content(wanted: &Wanted, found: &Found) -> Option<Content> {
    match found {
        Found::Sum(sum) => Some(of_sum(sum, &wanted.backup)),
        Found::Whole => Some(Content::Good),
        Found::Broken => Some(Content::Truncated),
        Found::Unreadable | Found::Late | Found::NoTool | Found::Gone => None,
    }
}

/// Returns what an MD5 sum says of a file, beside that of its sidecar.
fn of_sum(sum: &str, backup: &Backup) -> Content {
    let is_same = super::seal::digest(sum) == backup.seal.as_ref().and_then(|seal| seal.digest);
    if is_same { Content::Good } else { Content::Digest }
}

/// Returns why files could not be checked, in words; `None` if all were, or are gone. `why` is what the node or ssh said.
pub fn unchecked(wanted: &[Wanted], found: &[Option<Found>], why: Option<&str>) -> Option<String> {
    let mut reasons = BTreeMap::<String, Vec<&Wanted>>::new();
    for (one, found) in wanted.iter().zip(found) {
        let reason = match found {
            Some(Found::Late) => "took too long: raise [backups] check_seconds".into(),
            Some(Found::NoTool) => format!("there is no {} there", one.tool.name()),
            None => why.unwrap_or("the answer broke off").to_string(),
            _ => continue,
        };
        reasons.entry(reason).or_default().push(one);
    }
    let said = reasons.iter().map(|(reason, of)| {
        let first = shown(&of[0].backup.path);
        let more = if of.len() > 1 { format!(" and {} more", of.len() - 1) } else { String::new() };
        format!("{first}{more} not checked: {reason}")
    });
    let said: Vec<_> = said.collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// What is known of contents, for [`super::verdict::judge`].
#[derive(Debug, Default)]
pub struct Contents(BTreeMap<Box<[u8]>, Verdict>);

impl Contents {
    /// Returns what earlier runs found of what lies there now, and this one.
    pub fn new(
        hub: &Hub,
        gathered: &Gathered,
        memory: &NodeMemory,
        wanted: &[Wanted],
        found: &[Option<Found>],
    ) -> Self {
        let mut bad = BTreeMap::new();
        for (set, backups) in &gathered.sets {
            let check = hub.rules(set).check;
            let Some(known) = memory.sets.get(set).filter(|_| matches!(check, Check::Digest | Check::Gzip)) else {
                continue;
            };
            for (backup, content) in backups.iter().filter_map(|backup| Some((backup, known.checked(backup, check)?))) {
                bad.extend(verdict(content).map(|verdict| (backup.path.clone(), verdict)));
            }
        }
        for (one, found) in wanted.iter().zip(found).filter_map(|(one, found)| Some((one, found.as_ref()?))) {
            let unreadable = (*found == Found::Unreadable).then_some(Verdict::Unreadable);
            let verdict = content(one, found).and_then(verdict).or(unreadable);
            bad.extend(verdict.map(|verdict| (one.backup.path.clone(), verdict)));
        }
        Self(bad)
    }

    /// Returns what is wrong with the content of a backup.
    pub fn of(&self, backup: &Backup) -> Option<Verdict> {
        self.0.get(&backup.path).copied()
    }
}

fn verdict(content: Content) -> Option<Verdict> {
    match content {
        Content::Good => None,
        Content::Digest => Some(Verdict::Digest),
        Content::Truncated => Some(Verdict::Truncated),
    }
}

impl SetMemory {
    /// Returns what was found of a backup, if it was checked as it is: a digest by what its sidecar says now.
    pub fn checked(&self, backup: &Backup, check: Check) -> Option<Content> {
        if self.checked.is_empty() {
            return None;
        }
        let path = shown(&backup.path);
        // The last one counts: another check may have been asked for before.
        let is_same = |one: &&Checked| {
            let is_asked = (check == Check::Digest) == one.sum.is_some();
            is_asked && one.path == path && (one.bytes, one.mtime) == (backup.bytes, backup.mtime)
        };
        let one = self.checked.iter().rev().find(is_same)?;
        match &one.sum {
            Some(sum) => backup.seal.as_ref()?.digest.map(|_| of_sum(sum, backup)),
            None => Some(one.content),
        }
    }

    /// Remembers what was found; forgets what is gone.
    pub fn learn_contents(&mut self, backups: &[Backup], news: impl Iterator<Item = Checked>) {
        self.checked.extend(news);
        if !self.checked.is_empty() {
            let there: std::collections::BTreeSet<_> = backups.iter().map(|backup| shown(&backup.path)).collect();
            self.checked.retain(|one| there.contains(&one.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gather::Beside;
    use super::super::seal::{Seal, digest};
    use super::*;

    fn backup(path: &str, sum: &str) -> Backup {
        let seal = Some(Box::new(Seal { bytes: None, digest: digest(sum) }));
        let (path, beside) = (path.as_bytes().into(), Beside::Nothing);
        Backup { time: 7, stamp: None, mtime: 7, bytes: 5, path, seal, beside }
    }

    const SUM: &str = "0829f71740aab1ab98b33eae21dee122";
    const OTHER: &str = "1829f71740aab1ab98b33eae21dee122";

    #[test]
    fn a_digest_is_compared_with_what_its_sidecar_says_now() {
        let checked = |content, sum: Option<&str>| Checked {
            path: "a.gz".into(),
            bytes: 5,
            mtime: 7,
            content,
            sum: sum.map(String::from),
        };
        let known = |one| SetMemory { checked: vec![one], ..SetMemory::default() };
        let wrong = known(checked(Content::Digest, Some(SUM)));
        assert_eq!(wrong.checked(&backup("a.gz", OTHER), Check::Digest), Some(Content::Digest));
        assert_eq!(wrong.checked(&backup("a.gz", SUM), Check::Digest), Some(Content::Good), "the sidecar was mended");
        let right = known(checked(Content::Good, Some(SUM)));
        assert_eq!(right.checked(&backup("a.gz", OTHER), Check::Digest), Some(Content::Digest));
        assert_eq!(right.checked(&backup("b.gz", SUM), Check::Digest), None);
        assert_eq!(right.checked(&backup("a.gz", SUM), Check::Gzip), None, "it was not unpacked");
        // What the version before found is found again: it did not keep the sum.
        let before: Checked =
            serde_json::from_str(r#"{"path": "a.gz", "bytes": 5, "mtime": 7, "content": "digest"}"#).unwrap();
        assert_eq!(known(before).checked(&backup("a.gz", SUM), Check::Digest), None);
    }

    #[test]
    fn gzip_reads_what_it_can_unpack_alone() {
        for (path, reads) in [("a.tar.gz", true), ("a.tgz", true), ("a.tar.xz", false), ("a.zst", false)] {
            assert_eq!(tool(Check::Gzip, &backup(path, SUM), 7).is_some(), reads, "{path}");
        }
    }
}
