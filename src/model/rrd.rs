//! Files in rrdtool's format: which fields of a measurement they hold, and how their graph looks. Declared beside the
//! measurement.

use super::declaration::is_equal;
use super::time::month_before;
use super::{FieldInfo, Tag};

/// A file for each series of a measurement, in rrdtool's format, and its graph.
#[derive(Debug)]
pub struct RrdFile {
    /// Its name without `.rrd`, the same in every series' folder.
    pub name: &'static str,
    /// The key tag that names the folder of a series.
    pub folder: &'static str,
    /// The fields that it holds, in the order of the file.
    pub sources: &'static [RrdSource],
    /// The title of the graph's axis.
    pub axis: &'static str,
    /// How values become heights in the graph.
    pub scale: RrdScale,
}

/// A data source of an [`RrdFile`]: a gauge.
#[derive(Debug)]
pub struct RrdSource {
    /// Its name in the file, at most 19 characters.
    pub name: &'static str,
    /// The field that it holds.
    pub field: &'static str,
    /// What a value of the field is multiplied by.
    pub factor: f64,
    /// The largest value that the file takes; `None` for no limit. The smallest is 0.
    pub most: Option<f64>,
    /// Its name in the graph.
    pub label: &'static str,
    /// Its colour in the graph, `#rrggbb`.
    pub colour: &'static str,
    /// Whether the graph fills what lies below it; else it is a line.
    pub is_area: bool,
}

/// How values become heights in a graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RrdScale {
    /// Linear, from 0 to this value.
    To(f64),
    /// Logarithmic, from this value on.
    LogarithmicFrom(f64),
}

/// The seconds between two values of a file.
pub const RRD_STEP: i64 = 300;

/// The most seconds between two values without an unknown time between them.
pub const RRD_HEARTBEAT: u64 = 600;

/// The rows of each archive of a file.
pub const RRD_ROWS: u64 = 800;

/// The steps that are folded into one row of an archive: one for the mean and one for the largest value with each.
pub const RRD_FOLDS: [u64; 4] = [1, 6, 24, 288];

/// A stretch of time that a graph shows.
#[derive(Debug, PartialEq, Eq)]
pub struct RrdSpan {
    /// Its name.
    pub name: &'static str,
    /// The steps of a row of the archive that it is drawn from.
    pub fold: u64,
    /// Its days; `None` for a month of the calendar, as with rrdtool.
    pub days: Option<i64>,
}

/// The graphs of each file.
pub static RRD_SPANS: [RrdSpan; 3] = [
    RrdSpan { name: "1d", fold: RRD_FOLDS[0], days: Some(1) },
    RrdSpan { name: "1w", fold: RRD_FOLDS[1], days: Some(7) },
    RrdSpan { name: "1m", fold: RRD_FOLDS[2], days: None },
];

impl RrdSpan {
    /// Returns the seconds between two rows.
    pub fn row_seconds(&self) -> i64 {
        RRD_STEP * self.fold.cast_signed()
    }

    /// Returns the beginning of the span that ends at a time, both in unix seconds.
    pub fn begin(&self, end: i64) -> i64 {
        self.days.map_or_else(|| month_before(end), |days| end.saturating_sub(days * 86_400))
    }
}

impl RrdFile {
    /// Whether the declaration fits a measurement: its folder is a key tag, its fields exist, its names fit into a file.
    pub(super) const fn fits(&self, tags: &[Tag], fields: &[FieldInfo]) -> bool {
        let (mut tag, mut fits) = (0, false);
        while tag < tags.len() {
            fits |= tags[tag].identifies && is_equal(tags[tag].name, self.folder);
            tag += 1;
        }
        let mut source = 0;
        while source < self.sources.len() {
            let RrdSource { name, field, .. } = self.sources[source];
            let (mut at, mut known) = (0, false);
            while at < fields.len() {
                known |= is_equal(fields[at].name, field);
                at += 1;
            }
            fits &= known && !name.is_empty() && name.len() < 20;
            source += 1;
        }
        fits && source > 0
    }
}
