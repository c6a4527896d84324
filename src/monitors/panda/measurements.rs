//! What collect-panda measures.

use super::arithmetic::offset_of;
use crate::model::{Declaration, Exact, Field, Fold, Measurement, Tag};

/// What collect-panda sends.
pub static MEASUREMENTS: [&Measurement; 1] = [&JOBS];

pub(super) const JOB_COUNT: Field<i64> = Field::count(
    "jobs",
    "jobs",
    "in this status now; finished, failed, cancelled and closed: in the ten minutes before the run",
);
pub(super) const RESOURCE_FACTOR: Field<f64> = Field::gauge(
    "resource_factor",
    "cores",
    Fold::Mean,
    "cores of a job: corecount, or 8, where the resource has MCORE in it; else 1",
);
pub(super) const COREPOWER: Field<f64> =
    Field::gauge("corepower", "HS06", Fold::Mean, "power of a core (corepower); 1 where CRIC has none");
pub(super) const BENCHMARK: Field<f64> =
    Field::gauge("HS06_benchmark", "HS06", Fold::Mean, "mean of the queue's last benchmarks; 0 where there are none");
pub(super) const PLEDGE: Field<i64> = Field::gauge(
    "federation_HS06_pledge",
    "HS06",
    Fold::Mean,
    "CPU that the whole federation pledges to ATLAS in this quarter; never sum it over queues; 0 where there is none",
);
pub(super) const SEQUENCE: Field<i64> = Field::gauge(
    "sequence",
    "seconds",
    Fold::Last,
    "from the slot to the run: of two runs in a slot the later one counts",
);

/// The jobs of PanDA.
pub static JOBS: Measurement = Measurement::new(Declaration {
    name: "jobs",
    meaning: "jobs of one PanDA queue by production source, resource type and status; each series stands at an offset of its own, 0.1 to 1 s after the slot",
    tags: &[
        Tag::label("atlas_site"),
        Tag::key("panda_queue"),
        Tag::key("prod_source"),
        Tag::key("resource"),
        Tag::label("resource_type"),
        Tag::label("type"),
        Tag::label("cloud"),
        Tag::label("country"),
        Tag::label("site_state"),
        Tag::key("job_status"),
        Tag::label("tier"),
        Tag::label("pilot_manager"),
        Tag::label("pilot_version"),
        Tag::label("frontier"),
        Tag::label("harvester"),
        Tag::label("workflow"),
        Tag::label("fts_server"),
        Tag::label("nucleus"),
        Tag::label("container_type"),
        Tag::label("federation"),
        Tag::label("pledge_type"),
    ],
    fields: &[
        JOB_COUNT.info(),
        RESOURCE_FACTOR.info(),
        COREPOWER.info(),
        BENCHMARK.info(),
        PLEDGE.info(),
        SEQUENCE.info(),
    ],
    carbon: "panda.{panda_queue}.{prod_source}.{resource}.{job_status}.{field}",
    every: 600,
})
.exactly(Exact {
    field: JOB_COUNT.info().name,
    sum: "jobs_sum",
    slots: "slots",
    events: ("job_status", &["finished", "failed", "cancelled", "closed"]),
    order: SEQUENCE.info().name,
    offset: offset_of,
});
