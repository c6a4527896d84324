//! What write-datadisk measures: how many jobs a queue runs on average, beside the datadisk that it reads.

use std::collections::HashMap;

use super::arithmetic::{factor, offset, stored, tag};
use super::table::{TABLE, by_name, datadisk, newest_slot, sizes};
use crate::model::{Cell, Declaration, Field, FieldValue, Fold, Measurement, Point, Row, Tag, utc};
use crate::sources::cric::Queue;
use crate::sources::elastic::Datadisk;

/// What write-datadisk sends.
pub static DATADISK_MEASUREMENTS: [&Measurement; 1] = [&DATADISKS];

const FILES: Field<i64> = Field::gauge("datadisk_files", "files", Fold::Last, "on the datadisk");
const OCCUPIED: Field<f64> =
    Field::gauge("datadisk_occupied_gb", "gigabytes", Fold::Last, "on the datadisk; 1 GB is 1e9 bytes");
const RESOURCE_FACTOR: Field<f64> =
    Field::gauge("resource_factor", "cores", Fold::Last, "cores of a job, as in the points of jobs");

const fn average(name: &'static str) -> Field<f64> {
    Field::gauge(name, "jobs", Fold::Last, "mean number of running jobs up to the hour, of the table of queues")
}

/// The averages, by the columns of the table.
pub(super) const AVERAGES: [Field<f64>; 6] = [
    average("avg1h_running_jobs"),
    average("avg6h_running_jobs"),
    average("avg12h_running_jobs"),
    average("avg24h_running_jobs"),
    average("avg7d_running_jobs"),
    average("avg30d_running_jobs"),
];

/// The running jobs of a queue and the datadisk that it reads, every hour.
pub static DATADISKS: Measurement = Measurement::new(Declaration {
    name: "datadisks",
    meaning: "running jobs of one PanDA queue, production source and resource type, and the datadisk that the queue reads; kept with the hourly points, at the offset of its running jobs",
    tags: &[
        Tag::label("atlas_site"),
        Tag::key("panda_queue"),
        Tag::key("resource"),
        Tag::label("datadisk_name"),
        Tag::label("type"),
        Tag::key("prod_source"),
        Tag::label("cloud"),
        Tag::label("site_state"),
        Tag::label("job_status"),
        Tag::label("tier"),
    ],
    fields: &[
        FILES.info(),
        OCCUPIED.info(),
        AVERAGES[0].info(),
        AVERAGES[1].info(),
        AVERAGES[2].info(),
        AVERAGES[3].info(),
        AVERAGES[4].info(),
        AVERAGES[5].info(),
        RESOURCE_FACTOR.info(),
    ],
    carbon: "datadisks.{panda_queue}.{prod_source}.{resource}.{field}",
    every: 3600,
});

/// How old the slot of the table may be, in seconds: as with every number, three intervals may be missing. The slot itself has
/// lasted for one.
const OLDEST: i64 = 4 * 600;

/// Returns the rows of the table as they may be used at `now`, in unix seconds: without their averages, and with a line that says
/// so, if they are old. collect-panda may have ended long ago, or may be refused by the table.
pub fn of_hour(mut rows: Vec<Row>, now: i64) -> (Vec<Row>, Option<String>) {
    let Some(slot) = newest_slot(&rows).filter(|slot| now.saturating_sub(*slot) > OLDEST) else {
        return (rows, None);
    };
    let averages: Vec<_> = AVERAGES.iter().filter_map(|average| TABLE.at(average.info().name)).collect();
    for row in &mut rows {
        for at in &averages {
            row[*at] = Cell::Null;
        }
    }
    let line =
        format!("is of {}: does collect-panda run, and may it write the table? The averages are left out", utc(slot));
    (rows, Some(line))
}

/// The status that the points are of.
const RUNNING: &str = "running";

/// Returns a point for each row of the table whose queue CRIC knows, at `time`, the hour in nanoseconds. What is not known
/// is left out of it.
pub fn datadisks(rows: &[Row], queues: &[Queue], sizes_of: &[Datadisk], time: i64) -> Vec<Point> {
    let (queues, disks) = (by_name(queues), sizes(sizes_of));
    rows.iter().filter_map(|row| point(row, &queues, &disks, time)).collect()
}

fn point(
    row: &Row,
    queues: &HashMap<std::borrow::Cow<str>, &Queue>,
    disks: &HashMap<&str, &Datadisk>,
    time: i64,
) -> Option<Point> {
    let text = |column| TABLE.cell(row, column).as_text().map(stored);
    let (panda_queue, prod_source, resource) = (text("panda_queue")?, text("prod_source")?, text("resource")?);
    let queue = *queues.get(&panda_queue)?;
    let disk = datadisk(queue, disks);
    let mut fields: Vec<FieldValue> = Vec::new();
    fields.extend(disk.files.map(|files| FILES.of(files)));
    fields.extend(disk.occupied_gb.map(|occupied| OCCUPIED.of(occupied)));
    for average in &AVERAGES {
        fields.extend(TABLE.cell(row, average.info().name).as_f64().map(|value| average.of(value)));
    }
    fields.push(RESOURCE_FACTOR.of(factor(&resource, queue)));
    let tags = [
        tag(&queue.atlas_site),
        &panda_queue,
        &resource,
        disk.name,
        tag(&queue.kind),
        &prod_source,
        tag(&queue.cloud),
        tag(&queue.status),
        RUNNING,
        tag(&queue.tier),
    ];
    Some(DATADISKS.point(time + offset(&panda_queue, &prod_source, &resource, RUNNING), tags, &fields))
}
