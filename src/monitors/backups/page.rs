//! The page of the backups: a section for each hub, with its nodes and its sets. The page of a set has its history.

use std::sync::Arc;

use super::measurements::{BACKUP_NODE, BACKUP_SET};
use super::rules::{FIRST_ALARM, word};
use crate::model::{Declaration, Field, FieldInfo, Fold, Measurement, Point, SECOND, Tag, Value, utc};
use crate::query::Latest;
use crate::text::Shows;
use crate::view::page::{Column, Drawn, Page, Past, Table, Unfolds, field, key, most, pivot_of, plotted};

static NODES: &[Column] = &[
    key("node"),
    field(&BACKUP_NODE, "verdict").shows(Shows::Named(word)).judged(WARNED, FIRST_ALARM).past(Past::Nights),
    field(&BACKUP_NODE, "sets"),
    field(&BACKUP_NODE, "alarms").alarm(&["alarms"]),
    field(&BACKUP_NODE, "unlisted").unless_zero(),
    field(&BACKUP_NODE, "clock_skew_seconds").head("clock ahead").shows(Shows::Seconds),
    field(&BACKUP_NODE, "disk_free_bytes")
        .head("free")
        .group("disk")
        .shows(Shows::Bytes)
        .drawn(Drawn::Of)
        .with(&["of"]),
    field(&BACKUP_NODE, "disk_bytes").head("of").group("disk").shows(Shows::Bytes).inside(),
    field(&BACKUP_NODE, "disk_full_seconds").head("full in").group("disk").shows(Shows::Seconds).not_summed(),
];

/// The verdicts from this one on are warnings.
const WARNED: i64 = 1;

static SETS: &[Column] = &[
    key("set"),
    pivot_of(&BACKUP_SET, "verdict", "node")
        .group("verdict on each node, and its nights")
        .shows(Shows::Named(word))
        .judged(WARNED, FIRST_ALARM)
        .past(Past::Nights),
    most(&BACKUP_SET, "age_seconds", "").head("age").group("newest").shows(Shows::Seconds),
    most(&BACKUP_SET, "bytes", "").head("size").group("newest").shows(Shows::Bytes).lines(&["size"]).past(Past::Year),
    most(&BACKUP_SET, "backups", "").head("kept"),
];

static SET_BELOW: &[Column] = &[
    key("node").unlinked(),
    field(&BACKUP_SET, "verdict").shows(Shows::Named(word)).judged(WARNED, FIRST_ALARM),
    field(&BACKUP_SET, "age_seconds").head("age").shows(Shows::Seconds),
    field(&BACKUP_SET, "bytes").head("size").shows(Shows::Bytes),
    field(&BACKUP_SET, "backups").head("kept"),
];

/// What unfolds below a set.
static BELOW: Unfolds =
    Unfolds { tables: &[Table::new("nodes_below", "Nodes of the set", SET_BELOW)], plots: &["size"] };

/// What is known of the content of a backup, by the word of the history, each with its number.
const DIGESTS: [(&str, &str); 7] = [
    ("sealed", "has a sidecar"),
    ("unsealed", "no sidecar"),
    ("truncated", "truncated"),
    ("checked", "checked: good"),
    ("digest", "another digest"),
    ("unreadable", "sidecar not readable"),
    ("imported", "from another database"),
];

/// Returns what a word of the history says.
pub fn digest(word: &str) -> &str {
    DIGESTS.iter().find(|(known, _)| *known == word).map_or(word, |(_, says)| says)
}

fn digest_of(number: i64) -> &'static str {
    usize::try_from(number).ok().and_then(|at| DIGESTS.get(at)).map_or("of an unknown kind", |(_, says)| says)
}

const BYTES: Field<i64> = Field::gauge("bytes", "bytes", Fold::Last, "its size");
const DIGEST: Field<i64> =
    Field::gauge("digest", "a number", Fold::Last, "what its sidecar, or a check of its content, said");

/// A backup of the history, on the page of its set; not stored.
pub static BACKUP_HISTORY: Measurement = Measurement::new(Declaration {
    name: "backup_history",
    meaning: "every backup that was seen, also those that are gone",
    tags: &[Tag::key("hub"), Tag::key("node"), Tag::key("set"), Tag::key("time"), Tag::key("path")],
    fields: &[BYTES.info(), DIGEST.info()],
    carbon: "backup_history.{hub}.{node}.{set}.{time}.{path}.{field}",
    every: 3600,
});

/// The most backups of a set on one node that its page shows.
pub const SHOWN: usize = 200;

static HISTORY: &[Column] = &[
    key("time"),
    key("node"),
    field(&BACKUP_HISTORY, "bytes").head("size").shows(Shows::Bytes),
    field(&BACKUP_HISTORY, "digest").shows(Shows::Named(digest_of)),
    key("path"),
];

/// Returns a backup of the history as numbers of [`BACKUP_HISTORY`], given hub, node and set, its time in unix seconds and its path,
/// its bytes and the word of its content, at `now` in unix seconds.
pub fn history(of: [&str; 3], (time, path): (i64, &str), bytes: u64, word: &str, now: i64) -> [Latest; 2] {
    let time = utc(time);
    let [hub, node, set] = of;
    let tags = [("hub", hub), ("node", node), ("set", set), ("time", time.as_str()), ("path", path)];
    let series =
        Arc::new(Point::new(BACKUP_HISTORY.name.into(), tags.map(|(name, value)| (name.into(), value)), [], 0));
    let digest = DIGESTS.iter().position(|(known, _)| *known == word).unwrap_or(DIGESTS.len());
    let number = |field: &'static FieldInfo, value: i64| Latest {
        series: Arc::clone(&series),
        field,
        time: now.saturating_mul(SECOND),
        value: Value::Int(value),
        every: BACKUP_HISTORY.every,
    };
    let [of_bytes, of_digest] = [&BACKUP_HISTORY.fields[0], &BACKUP_HISTORY.fields[1]];
    [number(of_bytes, i64::try_from(bytes).unwrap_or(i64::MAX)), number(of_digest, digest as i64)]
}

/// The page of the backups. The plots of a set are its history.
pub static BACKUPS: Page = Page {
    name: "backups",
    title: "Backups",
    part_of: "",
    overview: None,
    own: &[&BACKUP_HISTORY],
    own_tables: &[Table::new("history", "Every backup that was seen", HISTORY)],
    near: None,
    section: Some("hub"),
    program: "collect-backups",
    every: 3600,
    tables: &[
        Table::new("nodes", "Nodes", NODES).noun("node"),
        Table::new("sets", "Sets of backups", SETS).noun("set").unfolds(&BELOW),
    ],
    text: &[],
    json: &[],
    plots: &[plotted(&BACKUP_HISTORY, "bytes", ""), plotted(&BACKUP_HISTORY, "digest", "")],
};
