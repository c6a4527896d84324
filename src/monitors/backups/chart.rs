//! The JSON of a node's plots, in the shape that scm-backup-monitor's pages read: options of Highcharts.StockChart.
//!
//! Where the original was wrong, this is right: times are true UTC (it took the maker's local time for UTC), sizes are exact
//! MiB (it rounded up what the disk holds, and multiplied sizes below 11 by ten), names are whole, and what fits no pattern is
//! no backup.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::hub::Hub;
use crate::model::utc;

/// The milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// The days that the page shows first.
const DAYS: i64 = 30;

/// What a hub has on a node.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The hub.
    pub hub: &'a Hub,
    /// The times, in unix seconds, and sizes of every backup of each set, oldest first.
    pub history: &'a BTreeMap<String, Vec<(i64, u64)>>,
}

impl<'a> Part<'a> {
    /// Returns the sets that have a plot: those of the config, else all; each with its backups.
    fn sets(self) -> Vec<(&'a str, &'a [(i64, u64)])> {
        let sets: Vec<_> =
            if self.hub.sets.is_empty() { self.history.keys().collect() } else { self.hub.sets.iter().collect() };
        sets.into_iter().map(|set| (set.as_str(), self.backups(set))).collect()
    }

    fn backups(self, set: &str) -> &'a [(i64, u64)] {
        self.history.get(set).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether it is of the same folder as another one.
    fn is_beside(self, other: &Part) -> bool {
        self.hub.root == other.hub.root
    }
}

/// Returns the JSON of a node: how many backups each day had, then the sizes of each set, of all hubs that share its page. What
/// two hubs of one folder have is there once; of sets with one name each has its hub before it. `now` is in unix seconds.
pub fn json(node: &str, parts: &[Part], now: i64) -> Value {
    let mut days = BTreeMap::<i64, u64>::new();
    let mut plots = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let beside: Vec<_> = parts[..at].iter().filter(|other| part.is_beside(other)).collect();
        for (set, backups) in part.history {
            let is_new =
                |backup: &&(i64, u64)| !beside.iter().any(|one| one.backups(set).binary_search(backup).is_ok());
            for (time, _) in backups.iter().filter(is_new) {
                *days.entry((time * 1000).div_euclid(DAY_MS) * DAY_MS).or_default() += 1;
            }
        }
        let there: BTreeSet<_> = beside.iter().flat_map(|one| one.sets()).collect();
        let new = part.sets().into_iter().filter(|plot| !there.contains(plot));
        plots.extend(new.map(|(set, backups)| (*part, set, backups)));
    }
    let mut named = BTreeMap::<&str, usize>::new();
    plots.iter().for_each(|(_, set, _)| *named.entry(set).or_default() += 1);
    let marker = json!({"enabled": true, "radius": 3});
    let tooltip = json!({"valueDecimals": 2});
    let days: Vec<_> = days.into_iter().map(|(day, count)| json!([day, count])).collect();
    let mut series = vec![json!({"name": "OK", "yAxis": 1, "marker": marker, "tooltip": tooltip, "data": days})];
    for (part, set, backups) in &plots {
        let name = if named[set] == 1 { (*set).to_string() } else { format!("{} {set}", part.hub.name) };
        let data: Vec<_> = backups.iter().map(|(time, bytes)| json!([time * 1000, mebibytes(*bytes)])).collect();
        series.push(json!({"name": name, "marker": marker, "tooltip": tooltip, "data": data}));
    }
    let mut title = node.to_string();
    for (at, part) in parts.iter().enumerate() {
        if !parts[..at].iter().any(|other| part.is_beside(other)) {
            title += &format!(" {}", part.hub.path_of(""));
        }
    }
    let axis = json!({
        "min": (now * 1000 - DAYS * DAY_MS).to_string(),
        "max": (now * 1000).to_string(),
        "ordinal": false,
        "startOnTick": false,
        "endOnTick": false,
    });
    json!({
        "chart": {"renderTo": format!("container_{node}")},
        "rangeSelector": {"selected": 1},
        "xAxis": axis,
        "yAxis": [
            {"title": {"text": "TGZ MB"}, "height": 200, "lineWidth": 2},
            {"title": {"text": "OK"}, "top": 300, "height": 100, "offset": 0, "lineWidth": 2},
        ],
        "title": {"text": format!("{title} {}", utc(now))},
        "series": series,
    })
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
