//! The points of a run as text, for `--dry-run`.

use super::args::Format;
use crate::model::{Catalog, Datapoint, Dropped, Point};
use crate::sinks::graphite::carbon;

/// Returns the points as text, one per line, sorted; and the points that the format cannot show.
pub fn show(points: &[Point], format: Format, catalog: Catalog) -> (String, Vec<Dropped>) {
    let mut dropped = Vec::new();
    let mut lines: Vec<String> = match format {
        Format::Carbon => {
            let datapoints;
            (datapoints, dropped) = carbon::datapoints(points, catalog);
            datapoints.iter().map(Datapoint::line).collect()
        }
        Format::Influx => points.iter().map(Point::line).collect(),
        Format::Json => points.iter().map(|point| point.json().to_string()).collect(),
    };
    lines.sort();
    (lines.iter().fold(String::new(), |text, line| text + line + "\n"), dropped)
}
