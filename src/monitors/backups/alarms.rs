//! What is said, and when: an alarm at its onset, when it becomes another one, again after seven days, and when it is over.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::verdict::Verdict;
use crate::text::ago;

/// An alarm that lasts, or a warning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// When it began, in unix seconds.
    pub since: i64,
    /// When it was last said, in unix seconds.
    pub said: i64,
    /// The verdicts that were said since, in order: alarms alone, or warnings alone.
    pub verdicts: Vec<Verdict>,
    /// Digests of the names that it is about, if there are several: a new one among them is said.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub names: BTreeSet<u64>,
}

/// Something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The hub.
    pub hub: String,
    /// The node.
    pub node: String,
    /// The set; `None` if it is about the node.
    pub set: Option<String>,
    /// What is so now; [`Verdict::Ok`] if it is over.
    pub verdict: Verdict,
    /// The whole sentence, without hub, node and set.
    pub text: String,
}

impl Episode {
    /// Makes it be said again if one of these names is not yet among those that it is about.
    pub fn name(&mut self, names: &BTreeSet<u64>) {
        if !names.is_subset(&self.names) {
            self.said = self.said.min(i64::MIN / 4);
        }
    }
}

/// How long after it was said an alarm that lasts is said again, in seconds.
const AGAIN: i64 = 7 * 86_400;

/// Returns what lasts now, and what to say of it, given what lasted before. `now` is in unix seconds.
///
/// An alarm that becomes a warning is over, and that is said: a warning that stays hides neither this nor the next alarm.
pub fn follow(before: Option<&Episode>, verdict: Verdict, text: &str, now: i64) -> (Option<Episode>, Option<String>) {
    let word = verdict.word();
    let begun = || Some(Episode { since: now, said: now, verdicts: vec![verdict], ..Episode::default() });
    let last = before.and_then(|episode| Some((episode, *episode.verdicts.last()?)));
    let Some((episode, last)) = last else {
        return if verdict == Verdict::Ok { (None, None) } else { (begun(), Some(format!("{word}: {text}"))) };
    };
    let lasted = ago((now - episode.since).max(0));
    match (last.is_alarm(), verdict) {
        (_, Verdict::Ok) => return (None, Some(format!("well again, after {lasted} ({})", last.word()))),
        (true, warning) if !warning.is_alarm() => {
            let text = format!("{word}: {text}; no alarm any more, after {lasted} ({})", last.word());
            return (begun(), Some(text));
        }
        (false, alarm) if alarm.is_alarm() => return (begun(), Some(format!("{word}: {text}"))),
        _ => {}
    }
    let mut episode = episode.clone();
    // A clock that was ahead.
    episode.since = episode.since.min(now);
    if !episode.verdicts.contains(&verdict) {
        episode.verdicts.push(verdict);
        episode.said = now;
        return (Some(episode), Some(format!("{word}: {text}; {} before, {lasted} in all", last.word())));
    }
    // A clock that was set back must not silence it until the clock has caught up.
    if (0..AGAIN).contains(&(now - episode.said)) {
        return (Some(episode), None);
    }
    episode.said = now;
    (Some(episode), Some(format!("{word}: {text}; for {lasted}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_said_once_again_after_a_week_and_when_it_is_over() {
        let mut episode = None;
        let mut run = |verdict, hour: i64| {
            let (after, text) = follow(episode.as_ref(), verdict, "so it is", hour * 3600);
            episode = after;
            text.unwrap_or_default()
        };
        assert_eq!(run(Verdict::Ok, 0), "");
        assert_eq!(run(Verdict::Shrunk, 1), "shrunk: so it is");
        assert_eq!(run(Verdict::Shrunk, 2), "");
        assert_eq!(run(Verdict::Old, 27), "old: so it is; shrunk before, 26 h 0 min in all");
        assert_eq!(run(Verdict::Shrunk, 28), "", "it was said");
        assert_eq!(run(Verdict::Old, 27 + 167), "");
        assert_eq!(run(Verdict::Old, 27 + 168), "old: so it is; for 8 d 2 h");
        assert_eq!(run(Verdict::Old, 27 + 169), "");
        assert_eq!(run(Verdict::Ok, 200), "well again, after 8 d 7 h (old)");
        assert_eq!(run(Verdict::Ok, 201), "");
        assert_eq!(run(Verdict::Grown, 202), "grown: so it is");
        assert_eq!(run(Verdict::Grown, 100), "grown: so it is; for 0 s", "the clock was set back");
        assert_eq!(run(Verdict::Grown, 101), "");
    }

    #[test]
    fn a_warning_that_stays_hides_neither_the_end_of_an_alarm_nor_the_next_one() {
        let mut episode = None;
        let mut run = |verdict, hour: i64| {
            let (after, text) = follow(episode.as_ref(), verdict, "so it is", hour * 3600);
            episode = after;
            text.unwrap_or_default()
        };
        assert_eq!(run(Verdict::Old, 0), "old: so it is");
        assert_eq!(run(Verdict::Hoards, 5), "hoards: so it is; no alarm any more, after 5 h 0 min (old)");
        assert_eq!(run(Verdict::Hoards, 6), "");
        assert_eq!(run(Verdict::Old, 7), "old: so it is", "a new onset");
        assert_eq!(run(Verdict::Old, 8), "");
        assert_eq!(run(Verdict::Shrunk, 9), "shrunk: so it is; old before, 2 h 0 min in all");
        assert_eq!(run(Verdict::Grown, 10), "grown: so it is; no alarm any more, after 3 h 0 min (shrunk)");
        assert_eq!(run(Verdict::Hoards, 11), "hoards: so it is; grown before, 60 min in all");
        assert_eq!(run(Verdict::Shrunk, 12), "shrunk: so it is");
        assert_eq!(run(Verdict::Ok, 13), "well again, after 60 min (shrunk)");
    }

    /// What versions before this one left: words of alarms and warnings in one list.
    #[test]
    fn an_episode_of_the_version_before_goes_on() {
        let kept = r#"{"since": 3600, "said": 7200, "verdicts": ["old", "hoards"]}"#;
        let episode: Episode = serde_json::from_str(kept).unwrap();
        assert_eq!(follow(Some(&episode), Verdict::Hoards, "w", 3 * 3600).1, None);
        assert_eq!(follow(Some(&episode), Verdict::Old, "w", 3 * 3600).1.unwrap(), "old: w");
    }
}
