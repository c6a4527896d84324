//! The tables as JSON. Times are in unix seconds; what is not known is null.

use serde_json::{Value, json};

use super::{HubFacts, NodeFacts, file_name, plot_name};

/// Returns the table of all hubs.
pub fn hubs(hubs: &[HubFacts]) -> String {
    let row = |hub: &HubFacts| {
        let [ok, warnings, alarms] = hub.counts();
        json!({
            "hub": hub.hub,
            "status": hub.status().word(),
            "nodes": hub.nodes.len(),
            "ok": ok,
            "warnings": warnings,
            "alarms": alarms,
            "asked": hub.asked(),
            "folder": format!("{}/", file_name(hub.hub)),
            "url": hub.url,
        })
    };
    lines(hubs.iter().map(row))
}

/// Returns the table of a hub's nodes.
pub fn nodes(hub: &HubFacts) -> String {
    let row = |node: &NodeFacts| {
        let [ok, warnings, alarms] = node.counts();
        let seen = node.memory.seen.as_ref();
        json!({
            "node": node.node,
            "status": node.status().word(),
            "verdict": node.verdict.map(super::Verdict::word),
            "ok": ok,
            "warnings": warnings,
            "alarms": alarms,
            "asked": seen.map(|seen| seen.asked),
            "clock_skew_seconds": seen.and_then(|seen| seen.skew_seconds),
            "disk_bytes": seen.and_then(|seen| seen.disk).map(|(all, _)| all),
            "disk_free_bytes": seen.and_then(|seen| seen.disk).map(|(_, free)| free),
            "words": node.texts(),
        })
    };
    lines(hub.nodes.iter().map(row))
}

/// Returns the table of a hub's sets, node by node.
pub fn sets(hub: &HubFacts, now: i64) -> String {
    let rows = hub.nodes.iter().flat_map(|node| node.sets.iter());
    let row = |row: &super::SetRow| {
        json!({
            "node": row.node,
            "set": row.set,
            "status": super::Status::of(row.seen.verdict).word(),
            "verdict": row.seen.verdict.word(),
            "words": row.seen.text,
            "read": row.seen.read,
            "newest": row.seen.newest,
            "age_seconds": row.seen.newest.map(|newest| now - newest),
            "bytes": row.seen.bytes,
            "backups": row.seen.backups,
            "plot": plot_name(row.node, row.set),
        })
    };
    lines(rows.map(row))
}

/// Returns an array with a line for each row.
fn lines(rows: impl Iterator<Item = Value>) -> String {
    let rows: Vec<_> = rows.map(|row| row.to_string()).collect();
    format!("[{}]\n", rows.join(",\n "))
}
