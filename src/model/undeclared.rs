//! Measurements that nobody declares: what others send to qmaster. They fold by the type of their fields.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::declaration::{MAX_TAGS, Template};
use super::measurement::{FieldInfo, Fold, Kind, Measurement};

/// The most of them that a process makes, and the most bytes: each lives as long as the process.
const MOST: usize = 100_000;
const MOST_BYTES: usize = 128 << 20;

/// A field: its name, and whether its values are integers.
type Field = (String, bool);

/// Those that were made.
#[derive(Default)]
struct Made {
    /// By name and fields.
    all: HashMap<(String, Vec<Field>), &'static Measurement>,
    /// How many bytes they take, roughly.
    bytes: usize,
}

static MADE: Mutex<Option<Made>> = Mutex::new(None);

impl Measurement {
    /// Returns the declaration by which an undeclared measurement with these fields is folded: a float to its mean, an integer
    /// to its last value. It has no tags and no Carbon path. Equal ones are made once. Returns `None` beyond 100,000 of them, or
    /// beyond the room for them.
    pub fn undeclared(name: &str, fields: &[(&str, Kind)]) -> Option<&'static Self> {
        let key =
            (name.to_string(), fields.iter().map(|(name, kind)| (name.to_string(), *kind == Kind::Int)).collect());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.get_or_insert_default();
        if let Some(measurement) = made.all.get(&key) {
            return Some(measurement);
        }
        // Each name stands in the key too.
        let bytes = size_of::<Self>() + 2 * name.len();
        let bytes =
            fields.iter().fold(bytes, |bytes, (name, _)| bytes + size_of::<(Field, FieldInfo)>() + 2 * name.len());
        if made.all.len() >= MOST || made.bytes + bytes > MOST_BYTES {
            return None;
        }
        made.bytes += bytes;
        let text = |text: &str| -> &'static str { Box::leak(text.to_string().into_boxed_str()) };
        let info = |(name, kind): &(&str, Kind)| FieldInfo {
            name: text(name),
            kind: *kind,
            unit: "",
            meaning: "",
            fold: if *kind == Kind::Int { Fold::Last } else { Fold::Mean },
            count: false,
            carbon: false,
        };
        let measurement = Self {
            name: text(name),
            meaning: "",
            tags: &[],
            fields: Vec::leak(fields.iter().map(info).collect()),
            carbon: "",
            every: 60,
            exact: None,
            rrd: &[],
            template: Template::new("", &[], &[0; MAX_TAGS]),
            sorted: [0; MAX_TAGS],
            keys: ([0; MAX_TAGS], 0),
            ranks: [0; MAX_TAGS],
        };
        let measurement: &'static Self = Box::leak(Box::new(measurement));
        made.all.insert(key, measurement);
        Some(measurement)
    }
}
