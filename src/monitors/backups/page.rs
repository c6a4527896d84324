//! The page of the backups: a section for each hub, with its nodes and its sets.

use super::measurements::{BACKUP_NODE, BACKUP_SET};
use super::rules::word;
use crate::text::Shows;
use crate::view::page::{Column, Page, Table, field, health, key};

static NODES: &[Column] = &[
    key("node"),
    health(&BACKUP_NODE, "reachable"),
    field(&BACKUP_NODE, "verdict").shows(Shows::Named(word)),
    field(&BACKUP_NODE, "sets"),
    field(&BACKUP_NODE, "alarms").alarm(&["alarms"]),
    field(&BACKUP_NODE, "unlisted").unless_zero(),
    field(&BACKUP_NODE, "clock_skew_seconds").head("clock ahead").shows(Shows::Seconds),
    field(&BACKUP_NODE, "disk_free_bytes").head("free").group("disk").shows(Shows::Bytes),
    field(&BACKUP_NODE, "disk_bytes").head("of").group("disk").shows(Shows::Bytes),
];

static SETS: &[Column] = &[
    key("node"),
    key("set"),
    health(&BACKUP_SET, "well"),
    field(&BACKUP_SET, "verdict").shows(Shows::Named(word)),
    field(&BACKUP_SET, "age_seconds").head("age").shows(Shows::Seconds),
    field(&BACKUP_SET, "bytes").head("size").shows(Shows::Bytes),
    field(&BACKUP_SET, "backups"),
];

/// The page of the backups. The plots of a set are its history.
pub static BACKUPS: Page = Page {
    name: "backups",
    title: "Backups",
    part_of: "",
    overview: None,
    about: &[],
    own: &[],
    near: None,
    section: Some("hub"),
    program: "collect-backups",
    every: 3600,
    tables: &[
        Table::new("nodes", "Nodes", NODES).noun("node"),
        Table::new("sets", "Sets of backups", SETS).noun("set"),
    ],
    text: &[],
    json: &[],
    plots: &[],
};
