//! The data model: a [`Point`], and the [`Measurement`] that declares it. Pure: no IO, no clock.
//!
//! | file | holds |
//! |---|---|
//! | measurement.rs | `Measurement`, `Tag`, `Field`: declarations |
//! | declaration.rs | their checks at compile time |
//! | undeclared.rs | how that folds which nobody declares |
//! | point.rs | `Point`: one observation; `validate`: which points every sink can take |
//! | labels.rs | `Labels`: written once for all points that have them in common |
//! | name.rs | makes names from outside safe, the only place |
//! | order.rs | sorts by long names with common prefixes |
//! | value.rs | `Value`: an integer or a floating-point number |
//! | line.rs | writes and parses InfluxDB's line protocol |
//! | carbon_path.rs | Carbon paths, from points and back to numbers |
//! | catalog.rs | `Catalog`: all measurements of a build |
//! | collected.rs | `Collected`: the points of a run, and the measurements that are complete |
//! | service.rs | what every service says about itself |
//! | table.rs | `TableInfo`: a table of now, its columns and rows |
//! | rrd.rs | `RrdFile`: the fields that files in rrdtool's format hold, and their graphs |
//! | tier.rs | raw, hourly and daily points |
//! | window.rs | a half-open time range |
//! | time.rs, graphite_time.rs | parse and format times |

pub mod carbon_path;
pub mod catalog;
pub mod collected;
mod declaration;
pub mod difference;
pub mod graphite_time;
pub mod labels;
pub mod line;
pub mod measurement;
pub mod name;
mod order;
pub mod point;
pub mod rrd;
pub mod service;
pub mod table;
pub mod tier;
pub mod time;
mod undeclared;
pub mod value;
pub mod window;

pub use self::carbon_path::{Datapoint, Number, RELAYED, RELAYED_PATH, RELAYED_VALUE, is_relayable, undeclared_path};
pub use self::catalog::Catalog;
pub use self::collected::{COVERAGE, Collected, SCOPE_COVERAGE, Zeros};
pub use self::difference::{Cause, Compared, Difference, compare};
pub use self::labels::Labels;
pub use self::line::Foreign;
pub use self::measurement::{
    Declaration, Exact, Field, FieldInfo, FieldType, FieldValue, Fold, Kind, Measurement, Tag,
};
pub use self::name::{LONGEST_NAME, Name, carbon_component, safe_text};
pub use self::order::sort_by_name;
pub use self::point::{Dropped, Point, merge, sort, validate};
pub use self::rrd::{RRD_FOLDS, RRD_HEARTBEAT, RRD_ROWS, RRD_SPANS, RRD_STEP, RrdFile, RrdScale, RrdSource, RrdSpan};
pub use self::table::{Cell, Column, ColumnKind, Rest, Row, TableInfo};
pub use self::tier::Tier;
pub use self::time::{AHEAD, SECOND, is_ahead, last_weekday, parse_time, utc};
pub use self::value::{Value, WideSum};
pub use self::window::Window;

#[cfg(test)]
mod tests;
