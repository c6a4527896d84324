//! The JSON of a node's plots, in the shape that scm-backup-monitor's pages read: options of Highcharts.StockChart.
//!
//! Where the original was wrong, this is right: times are true UTC (it took the maker's local time for UTC), sizes are exact
//! MiB (it rounded up what the disk holds, and multiplied sizes below 11 by ten), names are whole, and what fits no pattern is
//! no backup.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::utc;

/// The milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// The days that the page shows first.
const DAYS: i64 = 30;

/// Returns the JSON of a node: how many backups each day had, then the sizes of each set of `select`. `history` has the times,
/// in unix seconds, and sizes of every backup of each set, oldest first; `now` is in unix seconds.
pub fn json(node: &str, root: &str, select: &[String], history: &BTreeMap<String, Vec<(i64, u64)>>, now: i64) -> Value {
    let mut days = BTreeMap::<i64, u64>::new();
    for (time, _) in history.values().flatten() {
        *days.entry((time * 1000).div_euclid(DAY_MS) * DAY_MS).or_default() += 1;
    }
    let marker = json!({"enabled": true, "radius": 3});
    let tooltip = json!({"valueDecimals": 2});
    let days: Vec<_> = days.into_iter().map(|(day, count)| json!([day, count])).collect();
    let mut series = vec![json!({"name": "OK", "yAxis": 1, "marker": marker, "tooltip": tooltip, "data": days})];
    for set in select {
        let sizes = history.get(set).map(Vec::as_slice).unwrap_or_default();
        let data: Vec<_> = sizes.iter().map(|(time, bytes)| json!([time * 1000, mebibytes(*bytes)])).collect();
        series.push(json!({"name": set, "marker": marker, "tooltip": tooltip, "data": data}));
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
        "title": {"text": format!("{node} {root}/ {}", utc(now))},
        "series": series,
    })
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
