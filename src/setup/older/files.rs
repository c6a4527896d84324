//! Files in rrdtool's format, as nova's instance monitor kept them: a folder for each instance. The row that ends at our slot counts.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::values::named;
use crate::frame::{Older, Wanted};
use crate::model::{Point, RrdFile, SECOND};
use crate::sinks::rrd::Rrd;

/// Reads the files of a folder that the program's measurements declare.
pub fn of_folder(folder: &Path, wanted: Wanted) -> Result<Older> {
    let declared: Vec<_> = wanted.program.measurements.iter().flat_map(|one| one.rrd).collect();
    ensure!(!declared.is_empty(), "is a folder, and {} has nothing that such files hold", wanted.program.name);
    let slot = wanted.window.from / SECOND;
    let ours = wanted.ours.iter().flat_map(|point| values(point, slot)).collect();
    let mut older = Older { ours: Some(ours), ..Older::default() };
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(series) = entry.file_name().to_str().map(String::from) else { continue };
        for file in &declared {
            let path = entry.path().join(format!("{}.rrd", file.name));
            if !path.is_file() {
                continue;
            }
            let read =
                Rrd::open_to_read(&path).and_then(|rrd| rrd.map(|rrd| row(&rrd, &series, file, slot)).transpose());
            match read.with_context(|| path.display().to_string()) {
                Ok(Some(Some(points))) => older.points.extend(points),
                Ok(_) => older.others += 1,
                Err(error) => older.notes.push(format!("{error:#}")),
            }
        }
    }
    older.points.sort_by(|a, b| a.series().cmp(b.series()));
    older.notes.sort();
    Ok(older)
}

/// Returns the known values of the row that ends at `slot`; `None` if there is no such row.
fn row(rrd: &Rrd, series: &str, file: &RrdFile, slot: i64) -> Result<Option<Vec<Point>>> {
    let Some(means) = rrd.means(slot)? else { return Ok(None) };
    let known = means.into_iter().filter(|(_, value)| value.is_finite());
    Ok(Some(known.filter_map(|(source, value)| named(&[series, file.name, source], value, slot)).collect()))
}

/// Returns what the files of a point's series get.
fn values(point: &Point, slot: i64) -> Vec<Point> {
    let files = point.declaration().map_or(&[][..], |measurement| measurement.rrd);
    let mut values = Vec::new();
    for file in files {
        let Some(series) = point.tag(file.folder) else { continue };
        for source in file.sources {
            let value = point.fields().find(|(name, _)| *name == source.field).map(|(_, value)| value.as_f64());
            let value =
                value.map(|value| value * source.factor).filter(|value| *value <= source.most.unwrap_or(f64::MAX));
            values.extend(value.and_then(|value| named(&[series, file.name, source.name], value, slot)));
        }
    }
    values
}
