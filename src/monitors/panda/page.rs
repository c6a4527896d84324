//! The pages of PanDA, made of the table of queues: jobs by cloud, site and queue; suspicious queues and sites; datadisks.
//!
//! Their measurements are never sent: the dashboard makes their values of the table's rows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use super::measurements::PLEDGE;
use super::score::{Load, Loads, score};
use super::table::{AVERAGED, COUNTED, KEYS, TABLE, loads};
use crate::model::{Cell, Declaration, Field, FieldInfo, Fold, Measurement, Point, Row, SECOND, Tag, Value};
use crate::query::Latest;
use crate::text::{Shows, count};
use crate::view::page::{
    Column, Drawn, FIELD, JsonPlace, Overview, Page, Placement, PlotPlace, Scatter, Table, field, health, key, pivot,
    place, plotted,
};

const fn gauge(name: &'static str, unit: &'static str, meaning: &'static str) -> Field<f64> {
    Field::gauge(name, unit, Fold::Last, meaning)
}

const USUAL: Field<i64> =
    Field::gauge("usual", "ratio", Fold::Last, "1 if the score is below [panda] suspicious_score");
const SCORE: Field<f64> = gauge("score", "deviations", "how far the jobs are beyond what is usual");
const ALARM: Field<f64> =
    gauge("alarm", "deviations", "the score from which on it is suspicious: [panda] suspicious_score");

/// The numbers beside a score: now, and the averages of 6 and of 24 hours.
const NUMBERS: [[Field<f64>; 3]; 3] = [
    [
        gauge("running", "jobs", "now"),
        gauge("running_6h", "jobs", "mean of six hours"),
        gauge("running_24h", "jobs", "mean of a day"),
    ],
    [
        gauge("failed", "jobs", "in ten minutes"),
        gauge("failed_6h", "jobs", "mean of six hours"),
        gauge("failed_24h", "jobs", "mean of a day"),
    ],
    [
        gauge("activated", "jobs", "now"),
        gauge("activated_6h", "jobs", "mean of six hours"),
        gauge("activated_24h", "jobs", "mean of a day"),
    ],
];

const SCORED: [FieldInfo; 12] = [
    USUAL.info(),
    SCORE.info(),
    ALARM.info(),
    NUMBERS[0][0].info(),
    NUMBERS[0][1].info(),
    NUMBERS[0][2].info(),
    NUMBERS[1][0].info(),
    NUMBERS[1][1].info(),
    NUMBERS[1][2].info(),
    NUMBERS[2][0].info(),
    NUMBERS[2][1].info(),
    NUMBERS[2][2].info(),
];

static SUSPICIOUS_QUEUES: Measurement = Measurement::new(Declaration {
    name: "suspicious_queues",
    meaning: "the queues with the highest scores",
    tags: &[
        Tag::key("rank"),
        Tag::key("queue"),
        Tag::key("reason"),
        Tag::label("panda_queue"),
        Tag::label("prod_source"),
        Tag::label("resource"),
    ],
    fields: &SCORED,
    carbon: "suspicious_queues.{rank}.{queue}.{reason}.{field}",
    every: 600,
});

static SUSPICIOUS_SITES: Measurement = Measurement::new(Declaration {
    name: "suspicious_sites",
    meaning: "the sites with the highest scores",
    tags: &[Tag::key("rank"), Tag::key("site"), Tag::key("reason")],
    fields: &SCORED,
    carbon: "suspicious_sites.{rank}.{site}.{reason}.{field}",
    every: 600,
});

const COUNT: Field<i64> = Field::gauge("jobs", "jobs", Fold::Last, "in this slot");

/// A field for each status that has a column in the table.
const OF_STATUSES: [FieldInfo; COUNTED.len()] = {
    let mut fields = [COUNT.info(); COUNTED.len()];
    let mut at = 0;
    while at < fields.len() {
        fields[at] = Field::<i64>::gauge(COUNTED[at], "jobs", Fold::Last, "in this slot").info();
        at += 1;
    }
    fields
};

/// One series for each row of the table: a grid has thousands of them.
static QUEUE_JOBS: Measurement = Measurement::new(Declaration {
    name: "queue_jobs",
    meaning: "jobs by cloud, site, queue, production source, resource type and status",
    tags: &[Tag::label("cloud"), Tag::label("site"), Tag::key("queue"), Tag::key("source"), Tag::key("resource")],
    fields: &OF_STATUSES,
    // The path of the points, so that each number leads to its plot.
    carbon: "panda.{queue}.{source}.{resource}.{field}.jobs",
    every: 600,
});

pub(super) static CLOUD_JOBS: Measurement = Measurement::new(Declaration {
    name: "cloud_jobs",
    meaning: "jobs by cloud and status",
    tags: &[Tag::key("cloud"), Tag::key("status")],
    fields: &[COUNT.info()],
    carbon: "cloud_jobs.{cloud}.{status}",
    every: 600,
});

pub(super) static SITE_JOBS: Measurement = Measurement::new(Declaration {
    name: "site_jobs",
    meaning: "jobs by site and status",
    tags: &[Tag::key("site"), Tag::key("status")],
    fields: &[COUNT.info()],
    carbon: "site_jobs.{site}.{status}",
    every: 600,
});

const LEFT_OUT: Field<i64> =
    Field::gauge("left_out", "counts", Fold::Last, "that PanDA gave as no number: they are missing in the sum");

/// The counts that a sum of [`CLOUD_JOBS`] lacks, where it lacks any.
static CLOUD_LEFT_OUT: Measurement = Measurement::new(Declaration {
    name: "cloud_left_out",
    meaning: "counts that are missing in the jobs of a cloud",
    tags: &[Tag::key("cloud"), Tag::key("status")],
    fields: &[LEFT_OUT.info()],
    carbon: "cloud_left_out.{cloud}.{status}",
    every: 600,
});

/// The counts that a sum of [`SITE_JOBS`] lacks, where it lacks any.
static SITE_LEFT_OUT: Measurement = Measurement::new(Declaration {
    name: "site_left_out",
    meaning: "counts that are missing in the jobs of a site",
    tags: &[Tag::key("site"), Tag::key("status")],
    fields: &[LEFT_OUT.info()],
    carbon: "site_left_out.{site}.{status}",
    every: 600,
});

const FILES: Field<i64> = Field::gauge("files", "files", Fold::Last, "on the datadisk");
const OCCUPIED: Field<f64> = gauge("occupied_gb", "gigabytes", "on the datadisk");
const ANALYSIS: Field<f64> =
    gauge("analysis_jobs", "jobs", "running analysis jobs of the queues that read it, mean of six hours");

const FILES_A_JOB: Field<f64> = gauge("files_a_job", "files", "files for each of these jobs");
const AWAY: Field<f64> = gauge(
    "times_usual",
    "ratio",
    "its files a job, of the median of all datadisks: with fewer files for each job it is crowded",
);
const CROWDED: Field<i64> = Field::gauge(
    "crowded",
    "a number",
    Fold::Last,
    "1 crowded: less than a third of the median of files a job; -1 idle: more than three times as many; 0 as usual",
);

/// Returns the word of a number of [`CROWDED`].
fn crowded(number: i64) -> &'static str {
    match number {
        1 => "crowded",
        -1 => "idle",
        _ => "as usual",
    }
}

pub(super) static DAOD: Measurement = Measurement::new(Declaration {
    name: "daod",
    meaning: "running analysis jobs against files and bytes on each datadisk",
    tags: &[Tag::key("datadisk"), Tag::label("stored")],
    fields: &[ANALYSIS.info(), FILES.info(), OCCUPIED.info(), FILES_A_JOB.info(), AWAY.info(), CROWDED.info()],
    carbon: "daod.{datadisk}.{field}",
    every: 600,
});

const PARTS: Field<i64> =
    Field::gauge("parts", "rows", Fold::Last, "its production sources and resource types with jobs");

/// What CRIC says of the queues.
static QUEUE_FACTS: Measurement = Measurement::new(Declaration {
    name: "queue_facts",
    meaning: "in the table of queues",
    tags: &[
        Tag::key("queue"),
        Tag::label("site"),
        Tag::label("cloud"),
        Tag::label("country"),
        Tag::label("federation"),
        Tag::label("tier"),
        Tag::label("state"),
        Tag::label("type"),
        Tag::label("resource_type"),
        Tag::label("datadisk"),
    ],
    fields: &[PARTS.info()],
    carbon: "queue_facts.{queue}",
    every: 600,
});

/// The columns of the table that are the labels of [`QUEUE_FACTS`].
const FACTS: [&str; 9] =
    ["atlas_site", "cloud", "country", "federation", "tier", "site_state", "type", "resource_type", "datadisk_name"];

/// The scores of all queues. The table has the newest ones; those before are made of the stored counts.
pub(super) static QUEUE_SCORE: Measurement = Measurement::new(Declaration {
    name: "queue_score",
    meaning: "how far the jobs of a queue are beyond what is usual",
    tags: &[Tag::key("queue"), Tag::key("source"), Tag::key("resource"), Tag::label("reason")],
    fields: &[SCORE.info()],
    carbon: "queue_score.{queue}.{source}.{resource}",
    every: 600,
});

/// A count and its averages, each with the column of the table: with its status behind.
const AVERAGES: [(Field<f64>, &str); 7] = [
    (gauge("now", "jobs", "in this slot"), ""),
    (gauge("1h", "jobs", "mean of an hour"), "avg1h_"),
    (gauge("6h", "jobs", "mean of six hours"), "avg6h_"),
    (gauge("12h", "jobs", "mean of twelve hours"), "avg12h_"),
    (gauge("24h", "jobs", "mean of a day"), "avg24h_"),
    (gauge("7d", "jobs", "mean of a week"), "avg7d_"),
    (gauge("30d", "jobs", "mean of thirty days"), "avg30d_"),
];

/// The counts that have averages, beside them.
pub static QUEUE_AVERAGES: Measurement = Measurement::new(Declaration {
    name: "queue_averages",
    meaning: "its jobs now, and their averages of ten minutes",
    tags: &[Tag::key("queue"), Tag::key("source"), Tag::key("resource"), Tag::key("status")],
    fields: &[
        AVERAGES[0].0.info(),
        AVERAGES[1].0.info(),
        AVERAGES[2].0.info(),
        AVERAGES[3].0.info(),
        AVERAGES[4].0.info(),
        AVERAGES[5].0.info(),
        AVERAGES[6].0.info(),
    ],
    carbon: "queue_averages.{queue}.{source}.{resource}.{status}.{field}",
    every: 600,
});

/// The path of the count, whose plot an average leads to.
const OF_COUNT: &str = "panda.{queue}.{source}.{resource}.{status}.jobs";

/// The newest pledge that came with the jobs of each queue.
pub static QUEUE_PLEDGE: Measurement = Measurement::new(Declaration {
    name: "queue_pledge",
    meaning: "pledge of its federation",
    tags: &[Tag::key("queue"), Tag::label("pledge_type")],
    fields: &[PLEDGE.info()],
    carbon: "queue_pledge.{queue}",
    every: 600,
});

/// The measurements that the table of queues gives.
pub static OF_TABLE: [&Measurement; 12] = [
    &SUSPICIOUS_QUEUES,
    &SUSPICIOUS_SITES,
    &CLOUD_JOBS,
    &CLOUD_LEFT_OUT,
    &SITE_JOBS,
    &SITE_LEFT_OUT,
    &QUEUE_JOBS,
    &QUEUE_SCORE,
    &QUEUE_FACTS,
    &DAOD,
    &QUEUE_AVERAGES,
    &QUEUE_PLEDGE,
];

/// The production sources of analysis jobs.
pub(super) const ANALYSIS_SOURCES: [&str; 2] = ["user", "panda"];

/// How many queues and sites the ranking has.
const RANKED: usize = 30;

/// Declares the columns of a ranking.
const fn scored(of: &'static Measurement, name: &'static str) -> [Column; 15] {
    [
        key("rank").unlinked(),
        key(name).leads("panda", "PanDA", name),
        key("reason").unlinked(),
        // A row is marked by it; the bar of the score shows it.
        health(of, "usual").inside(),
        field(of, "score").drawn(Drawn::Against).with(&["alarm from"]),
        field(of, "alarm").head("alarm from").inside(),
        field(of, "running").group("running").lines(&["running"]),
        field(of, "running_6h").head("6 h").group("running"),
        field(of, "running_24h").head("24 h").group("running"),
        field(of, "failed").group("failed").lines(&["failed"]),
        field(of, "failed_6h").head("6 h").group("failed"),
        field(of, "failed_24h").head("24 h").group("failed"),
        field(of, "activated").group("activated"),
        field(of, "activated_6h").head("6 h").group("activated"),
        field(of, "activated_24h").head("24 h").group("activated"),
    ]
}

static SITES: [Column; 15] = scored(&SUSPICIOUS_SITES, "site");
static QUEUES: [Column; 15] = scored(&SUSPICIOUS_QUEUES, "queue");

static JOBS: &[Column] = &[
    key("cloud"),
    key("site").leads("panda", "PanDA", "site"),
    key("queue").leads("panda", "PanDA", "queue"),
    key("source").unlinked(),
    key("resource").unlinked(),
    pivot(&QUEUE_JOBS, FIELD, STATUSES, None),
];

/// The statuses that PanDA always counts.
const STATUSES: &[&str] = &["assigned", "activated", "running", "finished", "failed"];

static CLOUDS: &[Column] = &[key("cloud"), pivot(&CLOUD_JOBS, "status", STATUSES, None), left_out(&CLOUD_LEFT_OUT)];
static SITES_OF_JOBS: &[Column] = &[key("site"), pivot(&SITE_JOBS, "status", STATUSES, None), left_out(&SITE_LEFT_OUT)];

/// Declares a column for each status of which a sum lacks a count; as a rule there is none.
const fn left_out(of: &'static Measurement) -> Column {
    pivot(of, "status", &[], None).group("left out of the sum").alarm(&COUNTED)
}

/// How far from the median a datadisk is still as usual, as a factor.
const USUAL_FACTOR: f64 = 3.0;

static DISKS: &[Column] = &[
    key("datadisk"),
    field(&DAOD, "files"),
    field(&DAOD, "occupied_gb").head("size"),
    field(&DAOD, "analysis_jobs").head("jobs"),
    field(&DAOD, "files_a_job").head("files a job").shows(Shows::Large),
    field(&DAOD, "times_usual").head("crowded … idle").shows(Shows::Number).drawn(Drawn::Away(100.0, USUAL_FACTOR)),
    field(&DAOD, "crowded").head("is").shows(Shows::Named(crowded)),
];

const fn page(
    (name, title, part_of): (&'static str, &'static str, &'static str),
    tables: &'static [Table],
    plots: &'static [PlotPlace],
) -> Page {
    Page {
        name,
        title,
        part_of,
        overview: None,
        own: &[],
        own_tables: &[],
        near: None,
        section: None,
        program: "collect-panda",
        every: 600,
        tables,
        text: &[],
        json: &[],
        plots,
    }
}

/// The plots of a ranking: a count and its averages are of one number. A score is not stored.
const fn plots_of(of: &'static Measurement, paths: [&'static str; 3]) -> [PlotPlace; 12] {
    let [running, failed, activated] = paths;
    [
        plotted(of, "usual", ""),
        plotted(of, "score", ""),
        plotted(of, "alarm", ""),
        plotted(of, "running", running),
        plotted(of, "running_6h", running),
        plotted(of, "running_24h", running),
        plotted(of, "failed", failed),
        plotted(of, "failed_6h", failed),
        plotted(of, "failed_24h", failed),
        plotted(of, "activated", activated),
        plotted(of, "activated_6h", activated),
        plotted(of, "activated_24h", activated),
    ]
}

static RANKING_PLOTS: [PlotPlace; 24] = {
    let queues = plots_of(
        &SUSPICIOUS_QUEUES,
        [
            "panda.{panda_queue}.{prod_source}.{resource}.running.jobs",
            "panda.{panda_queue}.{prod_source}.{resource}.failed.jobs",
            "panda.{panda_queue}.{prod_source}.{resource}.activated.jobs",
        ],
    );
    let sites = plots_of(
        &SUSPICIOUS_SITES,
        ["site_jobs.{site}.running", "site_jobs.{site}.failed", "site_jobs.{site}.activated"],
    );
    let mut all = [queues[0]; 24];
    let mut at = 0;
    while at < queues.len() {
        (all[at], all[queues.len() + at]) = (queues[at], sites[at]);
        at += 1;
    }
    all
};

/// How a score is made, in words.
const SCORE_NOTE: (&str, &str) = (
    "how the score is made",
    "The score is the sum of three parts, each 0 for a queue that does as it always does; x is the number now, A an average for ten \
     minutes. A part is √(2·(m − x + x·ln(x / m))), which is √(2·m) for x = 0: how many standard deviations of chance x lies beyond \
     m, what is still usual. Running falls below m, the largest of three: 0.8·(6·A − x) / 5 with A of 1 h, which is the mean of the \
     hour before, 0.65·A of 6 h, 0.55·A of 24 h. Failed rises above m, the larger of two: 2·A + 3 with A of 6 h and of 24 h. \
     Activated rises: the same, at most 1, since waiting jobs alone are no fault. So a queue with few jobs never scores. From [panda] \
     suspicious_score on, 5 unless it is set, a queue is suspicious.",
);

/// Suspicious sites and queues, ranked.
pub static SUSPICIOUS: Page = page(
    ("suspicious", "Suspicious queues", "panda"),
    &[
        Table::new("sites", "Sites, the most suspicious first", &SITES).noun("site").note(SCORE_NOTE.0, SCORE_NOTE.1),
        Table::new("queues", "Queues, the most suspicious first", &QUEUES)
            .noun("queue")
            .note(SCORE_NOTE.0, SCORE_NOTE.1),
    ],
    &RANKING_PLOTS,
);

/// The jobs of all queues over time.
static OVERVIEW: Overview = Overview {
    measurement: &QUEUE_JOBS,
    noun: "jobs",
    of: "status",
    choices: &["running", "activated", "assigned", "failed", "finished"],
    by: &[
        ("cloud", "cloud_jobs.{value}.{of}"),
        ("site", "site_jobs.{value}.{of}"),
        ("queue", "panda.{value}.*.*.{of}.jobs"),
        ("resource", "panda.*.*.{value}.{of}.jobs"),
        ("status", "panda.*.*.*.{value}.jobs"),
    ],
};

/// Jobs by cloud, site, queue, production source, resource type and status.
pub static PANDA: Page = Page {
    overview: Some(&OVERVIEW),
    own: &[&QUEUE_SCORE, &QUEUE_AVERAGES, &QUEUE_FACTS, &QUEUE_PLEDGE],
    own_tables: &[],
    near: Some(("queue", "site")),
    json: &QUEUES_IN_JSON,
    ..page(("panda", "PanDA", ""), &PANDA_TABLES, &PANDA_PLOTS)
};

static QUEUES_IN_JSON: [JsonPlace; 1] = [place(&QUEUE_JOBS, "queue_jobs.{queue}.{source}.{resource}.{field}.jobs")];

static PANDA_PLOTS: [PlotPlace; 11] = [
    plotted(&CLOUD_LEFT_OUT, LEFT_OUT.info().name, ""),
    plotted(&SITE_LEFT_OUT, LEFT_OUT.info().name, ""),
    plotted(&QUEUE_FACTS, "parts", ""),
    plotted(&QUEUE_PLEDGE, PLEDGE.info().name, ""),
    plotted(&QUEUE_AVERAGES, AVERAGES[0].0.info().name, OF_COUNT),
    plotted(&QUEUE_AVERAGES, AVERAGES[1].0.info().name, OF_COUNT),
    plotted(&QUEUE_AVERAGES, AVERAGES[2].0.info().name, OF_COUNT),
    plotted(&QUEUE_AVERAGES, AVERAGES[3].0.info().name, OF_COUNT),
    plotted(&QUEUE_AVERAGES, AVERAGES[4].0.info().name, OF_COUNT),
    plotted(&QUEUE_AVERAGES, AVERAGES[5].0.info().name, OF_COUNT),
    plotted(&QUEUE_AVERAGES, AVERAGES[6].0.info().name, OF_COUNT),
];

static PANDA_TABLES: [Table; 3] = [
    Table::new("clouds", "Jobs by cloud", CLOUDS).placement(Placement::Beside).noun("cloud").sums(),
    Table::new("sites", "Jobs by site", SITES_OF_JOBS).placement(Placement::Beside).noun("site"),
    Table::new("queues", "Jobs by cloud, site and queue", JOBS).noun("cloud"),
];

/// The distribution of analysis jobs over datadisks.
pub static DATADISK_PAGE: Page = page(
    ("daod", "DAOD distribution", "panda"),
    &[Table::new("datadisks", "Datadisks and the jobs that read them", DISKS)
        .noun("datadisk")
        .sorted("-datadisks:files a job")
        .scatter(&Scatter {
            x: ("files", "files on the datadisk"),
            y: ("analysis_jobs", "running analysis jobs"),
            noun: "datadisk",
        })],
    &[
        plotted(&DAOD, "files", "daod.{stored}.files"),
        plotted(&DAOD, "occupied_gb", "daod.{stored}.occupied_gb"),
        plotted(&DAOD, "files_a_job", ""),
        plotted(&DAOD, "times_usual", ""),
        plotted(&DAOD, "crowded", ""),
    ],
);

/// Returns the numbers of these measurements, which are of [`OF_TABLE`], all at `time` in unix seconds. From `suspicious` on a
/// score is not usual. The sizes of datadisks have plots if `has_sizes`.
pub fn latest(
    wanted: &[&'static Measurement],
    rows: &[Row],
    suspicious: f64,
    time: i64,
    has_sizes: bool,
) -> Vec<Latest> {
    let mut latest = Latests { time: time.saturating_mul(SECOND), all: Vec::new() };
    // A grid has thousands of rows: what nobody asks for is not made.
    let is_any = |of: &[&'static Measurement]| of.iter().any(|one| wanted.iter().any(|asked| asked.name == one.name));
    if is_any(&[&QUEUE_JOBS, &CLOUD_JOBS, &CLOUD_LEFT_OUT, &SITE_JOBS, &SITE_LEFT_OUT]) {
        latest.jobs(rows, is_any(&[&QUEUE_JOBS]));
    }
    if is_any(&[&DAOD]) {
        latest.datadisks(rows, has_sizes);
    }
    if is_any(&[&QUEUE_FACTS]) {
        latest.facts(rows);
    }
    if is_any(&[&QUEUE_SCORE]) {
        latest.scores(rows);
    }
    if is_any(&[&SUSPICIOUS_QUEUES, &SUSPICIOUS_SITES]) {
        latest.rankings(rows, suspicious);
    }
    let is_wanted = |one: &Latest| wanted.iter().any(|asked| asked.name == one.series.measurement());
    latest.all.retain(is_wanted);
    latest.all
}

/// Returns the text of a row in a column.
fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    TABLE.cell(row, column).as_text().unwrap_or("None")
}

/// The columns of counts, each with its index and its status, sorted by status.
static COUNTS: LazyLock<Vec<(usize, &'static str)>> = LazyLock::new(|| {
    let columns = TABLE.columns.iter().enumerate().filter(|(_, column)| !column.name.starts_with("avg"));
    let mut counts: Vec<_> =
        columns.filter_map(|(at, column)| Some((at, column.name.strip_suffix("_jobs")?))).collect();
    counts.sort_unstable_by_key(|(_, status)| *status);
    counts
});

/// The fields of [`QUEUE_JOBS`] in the order of [`COUNTS`].
static OF_COUNTS: LazyLock<Vec<&'static FieldInfo>> =
    LazyLock::new(|| COUNTS.iter().filter_map(|(_, status)| QUEUE_JOBS.field(status)).collect());

/// Returns the counts of the table's rows with their averages, at `time` in unix seconds.
pub fn averages(rows: &[Row], time: i64) -> Vec<Latest> {
    let mut latest = Latests { time: time.saturating_mul(SECOND), all: Vec::new() };
    for row in rows {
        let [queue, source, resource] = KEYS.map(|column| TABLE.cell(row, column).as_text().unwrap_or("None"));
        for status in AVERAGED {
            for (field, window) in &AVERAGES {
                let number = TABLE.cell(row, &format!("{window}{status}_jobs")).as_f64();
                number.iter().for_each(|number| {
                    latest.push(
                        &QUEUE_AVERAGES,
                        &[queue, source, resource, status],
                        &field.info(),
                        Value::Float(*number),
                    );
                });
            }
        }
    }
    latest.all
}

/// Returns the newest pledge of each queue, given the newest values of the points of jobs. 0 stands for none.
pub fn pledges(jobs: Vec<Latest>) -> Vec<Latest> {
    let mut newest = BTreeMap::<String, Latest>::new();
    for one in jobs.into_iter().filter(|one| one.field.name == PLEDGE.info().name && !one.value.is_zero()) {
        let Some(queue) = one.series.tag("panda_queue") else { continue };
        if newest.get(queue).is_none_or(|known| known.time < one.time) {
            newest.insert(queue.into(), one);
        }
    }
    let each = |(queue, one): (String, Latest)| {
        let mut latest = Latests { time: one.time, all: Vec::new() };
        let tags = [queue.as_str(), one.series.tag("pledge_type").unwrap_or_default()];
        latest.push(&QUEUE_PLEDGE, &tags, one.field, one.value);
        latest.all
    };
    newest.into_iter().flat_map(each).collect()
}

/// The jobs of a cloud or site in one status.
#[derive(Clone, Copy, Default)]
struct Total {
    /// The sum of what is known.
    jobs: Option<i64>,
    /// How many counts are not.
    left_out: i64,
}

impl Total {
    fn add(&mut self, jobs: Option<i64>) {
        match jobs {
            Some(jobs) => self.jobs = Some(jobs.saturating_add(self.jobs.unwrap_or_default())),
            None => self.left_out += 1,
        }
    }
}

/// What has a score.
struct Ranked {
    name: String,
    labels: Vec<String>,
    loads: Loads,
    /// How many of its counts are no numbers.
    left_out: usize,
}

struct Latests {
    time: i64,
    all: Vec<Latest>,
}

impl Latests {
    fn push(&mut self, measurement: &'static Measurement, tags: &[&str], field: &FieldInfo, value: Value) {
        let names = measurement.tags.iter().zip(tags).map(|(tag, value)| (Cow::Borrowed(tag.name), *value));
        if let Some(field) = measurement.field(field.name) {
            let series = Arc::new(Point::new(Cow::Borrowed(measurement.name), names, [], 0));
            self.all.push(Latest { series, field, time: self.time, value, every: measurement.every });
        }
    }

    /// Adds the counts of clouds and sites, and those of queues if `has_queues`.
    fn jobs(&mut self, rows: &[Row], has_queues: bool) {
        let (mut of_clouds, mut of_sites) = (BTreeMap::new(), BTreeMap::new());
        if has_queues {
            self.all.reserve(rows.len() * COUNTS.len());
        }
        for row in rows {
            let [site, cloud] = ["atlas_site", "cloud"].map(|column| text(row, column));
            let [queue, source, resource] = KEYS.map(|column| text(row, column));
            let labels = QUEUE_JOBS.labels([cloud, site]);
            let counts = COUNTS.iter().map(|(at, status)| match row.get(*at) {
                Some(Cell::Int(jobs)) => (*status, Some(*jobs)),
                _ => (*status, None),
            });
            for (name, sums) in [(cloud, &mut of_clouds), (site, &mut of_sites)] {
                let sums: &mut Vec<Total> = sums.entry(name).or_insert_with(|| vec![Total::default(); COUNTS.len()]);
                for (sum, (_, jobs)) in sums.iter_mut().zip(counts.clone()) {
                    sum.add(jobs);
                }
            }
            if !has_queues {
                continue;
            }
            let series = Arc::new(QUEUE_JOBS.point_with(0, [queue, source, resource], &labels, &[]));
            let time = self.time;
            self.all.extend(OF_COUNTS.iter().zip(counts).filter_map(|(field, (_, jobs))| {
                let (series, value) = (Arc::clone(&series), Value::Int(jobs?));
                Some(Latest { series, field, time, value, every: QUEUE_JOBS.every })
            }));
        }
        // A column that a table lacks is no odd count of each row.
        let is_known: Vec<bool> =
            (0..COUNTS.len()).map(|at| of_clouds.values().any(|sums| sums[at].jobs.is_some())).collect();
        for (of, left_out, all) in [(&CLOUD_JOBS, &CLOUD_LEFT_OUT, of_clouds), (&SITE_JOBS, &SITE_LEFT_OUT, of_sites)] {
            for (name, sums) in all {
                for (((_, status), sum), is_known) in COUNTS.iter().zip(sums).zip(&is_known) {
                    sum.jobs.iter().for_each(|jobs| self.push(of, &[name, status], &COUNT.info(), Value::Int(*jobs)));
                    if *is_known && sum.left_out > 0 {
                        self.push(left_out, &[name, status], &LEFT_OUT.info(), Value::Int(sum.left_out));
                    }
                }
            }
        }
    }

    /// Adds the analysis jobs of each datadisk, and its sizes, which have plots if `has_sizes`.
    fn datadisks(&mut self, rows: &[Row], has_sizes: bool) {
        let mut disks = BTreeMap::new();
        for row in rows {
            let is_analysis = ANALYSIS_SOURCES.contains(&text(row, "prod_source"));
            let running = TABLE.cell(row, "avg6h_running_jobs").as_f64().filter(|_| is_analysis);
            let disk: &mut (f64, Option<f64>, Option<f64>) = disks.entry(text(row, "datadisk_name")).or_default();
            disk.0 += running.unwrap_or(0.0);
            disk.1 = TABLE.cell(row, "datadisk_files").as_f64().or(disk.1);
            disk.2 = TABLE.cell(row, "datadisk_occupied_gb").as_f64().or(disk.2);
        }
        disks.retain(|name, _| !["None", "NONE"].contains(name));
        let files_a_job = |running: f64, files: Option<f64>| {
            files.filter(|files| *files > 0.0 && running > 0.0).map(|files| files / running)
        };
        let mut all: Vec<_> = disks.values().filter_map(|disk| files_a_job(disk.0, disk.1)).collect();
        all.sort_by(f64::total_cmp);
        let median = all.get(all.len() / 2).copied().filter(|_| all.len() >= 3);
        for (name, (running, files, occupied)) in disks {
            let name: &[&str] = if has_sizes { &[name, name] } else { &[name] };
            self.push(&DAOD, name, &ANALYSIS.info(), Value::Float((running * 100.0).round() / 100.0));
            if let Some((of_job, median)) = files_a_job(running, files).zip(median) {
                let times = of_job / median;
                let is = i64::from(times < 1.0 / USUAL_FACTOR) - i64::from(times > USUAL_FACTOR);
                self.push(&DAOD, name, &FILES_A_JOB.info(), Value::Float(of_job.round()));
                self.push(&DAOD, name, &AWAY.info(), Value::Float((times * 1000.0).round() / 1000.0));
                self.push(&DAOD, name, &CROWDED.info(), Value::Int(is));
            }
            files.iter().for_each(|files| self.push(&DAOD, name, &FILES.info(), Value::Int(*files as i64)));
            occupied.iter().for_each(|gb| self.push(&DAOD, name, &OCCUPIED.info(), Value::Float(*gb)));
        }
    }

    /// Adds what CRIC says of each queue.
    fn facts(&mut self, rows: &[Row]) {
        let mut queues = BTreeMap::<&str, (&Row, i64)>::new();
        for row in rows {
            queues.entry(text(row, KEYS[0])).or_insert((row, 0)).1 += 1;
        }
        for (queue, (row, count)) in queues {
            let labels = FACTS.iter().map(|column| TABLE.cell(row, column).as_text().unwrap_or_default());
            let tags: Vec<_> = std::iter::once(queue).chain(labels).collect();
            self.push(&QUEUE_FACTS, &tags, &PARTS.info(), Value::Int(count));
        }
    }

    /// Adds the score of each row that has one.
    fn scores(&mut self, rows: &[Row]) {
        for row in rows {
            let Some(score) = score(&loads(row)) else { continue };
            let [queue, source, resource] = KEYS.map(|column| text(row, column));
            let tags = [queue, source, resource, &score.reason()];
            self.push(&QUEUE_SCORE, &tags, &SCORE.info(), Value::Float(score.value()));
        }
    }

    /// Adds the queues and sites with the highest scores.
    fn rankings(&mut self, rows: &[Row], suspicious: f64) {
        let (mut sites, mut queues) = (BTreeMap::<&str, (Loads, usize)>::new(), Vec::with_capacity(rows.len()));
        for row in rows {
            let keys = KEYS.map(|column| text(row, column));
            let loads = loads(row);
            queues.push(Ranked { name: keys.join(" "), labels: keys.map(str::to_string).to_vec(), loads, left_out: 0 });
            let (of_site, left_out) = sites.entry(text(row, "atlas_site")).or_default();
            *of_site = of_site.plus(loads);
            *left_out +=
                [loads.running, loads.failed, loads.activated].iter().filter(|load| load.now.is_none()).count();
        }
        self.rank(&SUSPICIOUS_QUEUES, queues, suspicious);
        sites.remove("None");
        let ranked = |(site, (loads, left_out)): (&str, _)| Ranked {
            name: site.to_string(),
            labels: Vec::new(),
            loads,
            left_out,
        };
        self.rank(&SUSPICIOUS_SITES, sites.into_iter().map(ranked).collect(), suspicious);
    }

    /// Adds those with the highest scores.
    fn rank(&mut self, measurement: &'static Measurement, all: Vec<Ranked>, suspicious: f64) {
        let scored = all.into_iter().filter_map(|ranked| Some((score(&ranked.loads)?, ranked)));
        let mut scored: Vec<_> = scored.collect();
        // If all do as they always do they are shown: a page without rows would look as if nobody had looked.
        if scored.iter().any(|(score, ..)| score.value() > 0.0) {
            scored.retain(|(score, ..)| score.value() > 0.0);
        }
        scored.sort_by(|a, b| b.0.value().total_cmp(&a.0.value()).then_with(|| a.1.name.cmp(&b.1.name)));
        for (at, (score, Ranked { name, labels, loads, left_out })) in scored.into_iter().take(RANKED).enumerate() {
            let (rank, reason) = (format!("{:02}", at + 1), score.reason());
            let mut reason = if reason.is_empty() { "as usual".into() } else { reason };
            if left_out > 0 {
                let _ = write!(reason, "; {} left out", count(left_out, "count"));
            }
            let labels = labels.iter().map(String::as_str);
            let tags: Vec<&str> = [rank.as_str(), &name, &reason].into_iter().chain(labels).collect();
            let usual = i64::from(score.value() < suspicious);
            self.push(measurement, &tags, &USUAL.info(), Value::Int(usual));
            self.push(measurement, &tags, &SCORE.info(), Value::Float(score.value()));
            self.push(measurement, &tags, &ALARM.info(), Value::Float(suspicious));
            for (fields, load) in NUMBERS.iter().zip([loads.running, loads.failed, loads.activated]) {
                let Load { now, avg6h, avg24h, .. } = load;
                for (field, value) in fields.iter().zip([now, avg6h, avg24h]) {
                    value.iter().for_each(|value| self.push(measurement, &tags, &field.info(), Value::Float(*value)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::table::sections;

    #[test]
    fn the_counts_of_a_row_are_one_series_and_each_has_its_column_and_its_plot() {
        let mut row: Row = vec![Cell::Null; TABLE.columns.len()];
        let texts = [("panda_queue", "Q 1"), ("prod_source", "managed"), ("resource", "MCORE"), ("atlas_site", "S")];
        for (name, text) in texts.into_iter().chain([("cloud", "US")]) {
            row[TABLE.at(name).unwrap()] = Cell::Text(text.into());
        }
        for (name, jobs) in [("running_jobs", 7), ("failed_jobs", 0), ("holding_jobs", 3), ("closed_jobs", 0)] {
            row[TABLE.at(name).unwrap()] = Cell::Int(jobs);
        }
        let numbers = latest(&PANDA.measurements(), &[row], 5.0, 600, false);
        let of_queue: Vec<_> = numbers.iter().filter(|one| one.series.measurement() == QUEUE_JOBS.name).collect();
        assert!(of_queue.len() == 4 && of_queue.iter().all(|one| Arc::ptr_eq(&one.series, &of_queue[0].series)));
        // What CRIC says is made for the page of a queue alone.
        assert!(!numbers.iter().any(|one| one.series.measurement() == QUEUE_FACTS.name));
        let sections = sections(&PANDA, numbers);
        let tables = sections[0].tables(&PANDA, true);
        let table = tables.iter().find(|table| table.declared.name == "queues").unwrap();
        let part = &table.rows[0].sub_rows[0];
        assert_eq!((table.rows[0].name, &part.names[..]), ("US", &["S", "Q 1", "managed", "MCORE"][..]));
        let shown = table.columns.iter().zip(&part.cells).filter_map(|(column, cell)| {
            let cell = cell.as_ref()?;
            Some((column.head, column.shown, cell.value.as_f64(), cell.path()))
        });
        let path = |status: &str| format!("panda.Q_1.managed.MCORE.{status}.jobs");
        let [running, failed, closed, holding] = ["running", "failed", "closed", "holding"].map(path);
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                ("running", true, 7.0, running.as_str()),
                ("failed", true, 0.0, &failed),
                ("closed", false, 0.0, &closed),
                ("holding", true, 3.0, &holding),
            ]
        );
    }
}
