//! What is said, and when: an alarm at its onset, when it becomes another one, again after seven days, and when it is over.

use serde::{Deserialize, Serialize};

use super::verdict::Verdict;
use crate::text::ago;

/// An alarm or warning that lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// When it began, in unix seconds.
    pub since: i64,
    /// When it was last said, in unix seconds.
    pub said: i64,
    /// The words of the verdicts that were said since, in order.
    pub verdicts: Vec<String>,
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

/// How long after it was said an alarm that lasts is said again, in seconds.
const AGAIN: i64 = 7 * 86_400;

/// Returns what lasts now, and what to say of it, given what lasted before. `now` is in unix seconds.
pub fn follow(before: Option<&Episode>, verdict: Verdict, words: &str, now: i64) -> (Option<Episode>, Option<String>) {
    let word = verdict.word();
    if verdict == Verdict::Ok {
        let text = before.map(|episode| {
            let last = episode.verdicts.last().map_or("it", String::as_str);
            format!("well again, after {} ({last})", ago((now - episode.since).max(0)))
        });
        return (None, text);
    }
    let Some(episode) = before else {
        let episode = Episode { since: now, said: now, verdicts: vec![word.into()] };
        return (Some(episode), Some(format!("{word}: {words}")));
    };
    let mut episode = episode.clone();
    // A clock that was ahead.
    episode.since = episode.since.min(now);
    let lasted = ago(now - episode.since);
    if !episode.verdicts.iter().any(|said| said == word) {
        let last = episode.verdicts.last().cloned().unwrap_or_default();
        episode.verdicts.push(word.into());
        episode.said = now;
        return (Some(episode), Some(format!("{word}: {words}; {last} before, {lasted} in all")));
    }
    // A clock that was set back must not silence it until the clock has caught up.
    if (0..AGAIN).contains(&(now - episode.said)) {
        return (Some(episode), None);
    }
    episode.said = now;
    (Some(episode), Some(format!("{word}: {words}; for {lasted}")))
}

/// Whether it is time to say that all is well: `weekday`, Monday being 0, has begun since `last`; both times in unix
/// seconds.
pub fn is_due(last: i64, weekday: i64, now: i64) -> bool {
    const DAY: i64 = 86_400;
    // 1970 began with a Thursday.
    let today = now.div_euclid(DAY);
    let begun = (today - (today + 3 - weekday).rem_euclid(7)) * DAY;
    last < begun
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

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
    fn the_week_begins_with_its_day() {
        // 2024-06-04 is a Tuesday.
        let tuesday = 1_717_459_200;
        assert!(!is_due(tuesday - 3 * DAY, 1, tuesday - 1));
        assert!(is_due(tuesday - 3 * DAY, 1, tuesday));
        assert!(!is_due(tuesday, 1, tuesday + 6 * DAY));
        assert!(is_due(tuesday, 1, tuesday + 9 * DAY), "the day was missed");
    }
}
