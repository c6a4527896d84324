//! What collect-backups measures.

use crate::model::{Declaration, Field, Fold, Measurement, Tag};

/// What collect-backups sends.
pub static MEASUREMENTS: [&Measurement; 2] = [&BACKUP_SET, &BACKUP_NODE];

pub(super) const BYTES: Field<i64> =
    Field::gauge("bytes", "bytes", Fold::Last, "the size of the newest backup; absent if there is none");
pub(super) const AGE: Field<i64> =
    Field::gauge("age_seconds", "seconds", Fold::Max, "the age of the newest backup; absent if there is none");
pub(super) const BACKUPS: Field<i64> = Field::gauge("backups", "backups", Fold::Last, "how many lie there");
pub(super) const WELL: Field<i64> = Field::gauge("well", "0 or 1", Fold::Mean, "0 while it is in alarm");
pub(super) const VERDICT: Field<i64> = Field::gauge(
    "verdict",
    "a number",
    Fold::Max,
    "0 ok; warnings: 1 grown, 2 stale, 3 hoards; alarms: 10 shrunk, 11 unsealed, 12 digest, 13 truncated, 14 small, 15 old, 16 lost, 17 future, 18 vanished, 19 never, 20 unreadable",
);

/// One set of backups on one node.
pub static BACKUP_SET: Measurement = Measurement::new(Declaration {
    name: "backup_set",
    meaning: "one set of backups on one node; no point if the node was not read",
    tags: &[Tag::key("hub"), Tag::key("node"), Tag::key("set")],
    fields: &[BYTES.info(), AGE.info(), BACKUPS.info(), WELL.info(), VERDICT.info()],
    carbon: "backups.{hub}.{node}.{set}.{field}",
    every: 3600,
});

pub(super) const REACHABLE: Field<i64> =
    Field::gauge("reachable", "0 or 1", Fold::Min, "whether its listing came whole");
pub(super) const SKEW: Field<i64> =
    Field::gauge("clock_skew_seconds", "seconds", Fold::Last, "how far its clock is ahead of ours");
pub(super) const DISK: Field<i64> =
    Field::gauge("disk_bytes", "bytes", Fold::Last, "its disk, without what is for root (df)");
pub(super) const FREE: Field<i64> = Field::gauge("disk_free_bytes", "bytes", Fold::Min, "what is free on it (df)");
pub(super) const FULL: Field<i64> = Field::gauge(
    "disk_full_seconds",
    "seconds",
    Fold::Min,
    "in how long its disk is full, at the pace of two weeks; absent if it does not fill",
);
pub(super) const SETS: Field<i64> = Field::gauge("sets", "sets", Fold::Last, "how many are watched");
pub(super) const ALARMS: Field<i64> = Field::gauge("alarms", "sets", Fold::Max, "how many of them are in alarm");
pub(super) const UNLISTED: Field<i64> =
    Field::gauge("unlisted", "sets", Fold::Last, "how many lie there and are not watched");
pub(super) const WARNING: Field<i64> = Field::gauge(
    "verdict",
    "a number",
    Fold::Max,
    "0 ok; warnings: 4 stuck, 5 unlisted, 6 filling; alarms: 19 never, 20 unreadable, 21 unreachable",
);

/// One node that holds backups.
pub static BACKUP_NODE: Measurement = Measurement::new(Declaration {
    name: "backup_node",
    meaning: "one node of one hub",
    tags: &[Tag::key("hub"), Tag::key("node")],
    fields: &[
        REACHABLE.info(),
        SKEW.info(),
        DISK.info(),
        FREE.info(),
        FULL.info(),
        SETS.info(),
        ALARMS.info(),
        UNLISTED.info(),
        WARNING.info(),
    ],
    carbon: "backups_node.{hub}.{node}.{field}",
    every: 3600,
});
