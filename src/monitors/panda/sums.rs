//! What the numbers of PanDA's pages are made of, if they are not stored themselves, so that each has a plot.

use std::borrow::Cow;

use super::page::{ANALYSIS_SOURCES, CLOUD_JOBS, DAOD, QUEUE_SCORE, SITE_JOBS};
use super::table::TABLE;
use super::{DATADISKS, JOBS};
use crate::model::{Measurement, Number, Point, Row, carbon_component};
use crate::query::{Join, Wanted};

/// The measurements of such numbers.
pub static MADE: [&Measurement; 4] = [&CLOUD_JOBS, &SITE_JOBS, &DAOD, &QUEUE_SCORE];

/// The stored numbers that make one.
pub struct MadeOf {
    /// What they make together.
    pub join: Join,
    /// The numbers.
    pub members: Vec<Wanted>,
}

/// Returns the stored numbers behind a number of [`MADE`], going by the table's rows as they are now; `None` for another
/// number.
pub fn made_of(rows: &[Row], number: &Number) -> Option<MadeOf> {
    let tag = |name: &str| number.tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| value.as_str());
    let is = |row: &Row, column: &str, name: &str| {
        carbon_component(TABLE.cell(row, column).as_text().unwrap_or("None")) == name
    };
    let all = |rows: Vec<&Row>, of: &'static Measurement, status: &str, field: &str| {
        rows.into_iter().filter_map(|row| stored(row, of, status, field)).collect()
    };
    let (column, name) = match number.measurement.name {
        name if name == CLOUD_JOBS.name => ("cloud", tag("cloud")?),
        name if name == SITE_JOBS.name => ("atlas_site", tag("site")?),
        name if name == DAOD.name => ("datadisk_name", tag("datadisk")?),
        _ => return None,
    };
    let rows = rows.iter().filter(|row| is(row, column, name));
    if column != "datadisk_name" {
        let status = tag("status")?;
        return Some(MadeOf { join: Join::Sum, members: all(rows.collect(), &JOBS, status, "jobs") });
    }
    let of_field = match number.field.name {
        "files" => "datadisk_files",
        "occupied_gb" => "datadisk_occupied_gb",
        _ => {
            let is_analysis = |row: &&Row| {
                TABLE.cell(row, "prod_source").as_text().is_some_and(|source| ANALYSIS_SOURCES.contains(&source))
            };
            let members = all(rows.filter(is_analysis).collect(), &JOBS, "running", "jobs");
            return Some(MadeOf { join: Join::Sum, members });
        }
    };
    // Each queue of a datadisk has the same size of it.
    Some(MadeOf { join: Join::Mean, members: all(rows.collect(), &DATADISKS, "", of_field) })
}

/// Returns the stored number of a row.
fn stored(row: &Row, of: &'static Measurement, status: &str, field: &str) -> Option<Wanted> {
    let tags = of.tags.iter().filter(|tag| tag.identifies).map(|tag| {
        let value = TABLE.cell(row, tag.name).as_text().unwrap_or(status);
        (Cow::Borrowed(tag.name), value)
    });
    let path = of.carbon_path(&Point::new(Cow::Borrowed(of.name), tags, [], 0), field)?;
    let number = of.read_path(&path)?;
    Some(Wanted { path, number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Field};

    fn row(queue: &str, source: &str, cloud: &str, disk: &str) -> Row {
        let cell = |name: &str| match name {
            "panda_queue" => Cell::Text(queue.into()),
            "prod_source" => Cell::Text(source.into()),
            "resource" => Cell::Text("MCORE".into()),
            "atlas_site" => Cell::Text("A site".into()),
            "cloud" if !cloud.is_empty() => Cell::Text(cloud.into()),
            "datadisk_name" => Cell::Text(disk.into()),
            _ => Cell::Null,
        };
        TABLE.columns.iter().map(|column| cell(column.name)).collect()
    }

    #[test]
    fn a_number_is_made_of_the_rows_that_it_shows() {
        let rows = [row("A", "managed", "US", "D"), row("B", "user", "", "D"), row("C é", "user", "US", "E")];
        let paths = |path: &str| {
            let number = MADE.iter().find_map(|measurement| measurement.read_path(path)).unwrap();
            let made = made_of(&rows, &number).unwrap();
            (made.join, made.members.into_iter().map(|member| member.path).collect::<Vec<_>>())
        };
        let jobs = |queue: &str, source: &str, status: &str| format!("panda.{queue}.{source}.MCORE.{status}.jobs");
        let of_us = vec![jobs("A", "managed", "failed"), jobs("C__", "user", "failed")];
        assert_eq!(paths("cloud_jobs.US.failed"), (Join::Sum, of_us));
        assert_eq!(paths("cloud_jobs.None.failed"), (Join::Sum, vec![jobs("B", "user", "failed")]));
        assert_eq!(paths("site_jobs.A_site.running").1.len(), 3);
        assert_eq!(paths("daod.D.analysis_jobs"), (Join::Sum, vec![jobs("B", "user", "running")]));
        let files = ["A.managed", "B.user"].map(|queue| format!("datadisks.{queue}.MCORE.datadisk_files"));
        assert_eq!(paths("daod.D.files"), (Join::Mean, files.to_vec()));
        assert_eq!(paths("daod.NOWHERE.files").1, Vec::<String>::new());
        let other = Number { measurement: &JOBS, tags: Vec::new(), field: &OTHER };
        assert!(made_of(&rows, &other).is_none());
    }

    static OTHER: crate::model::FieldInfo = Field::<i64>::count("jobs", "jobs", "").info();
}
