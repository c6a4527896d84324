//! Three days of PanDA: queues of the real topology of 2019 with made-up counts, through collect-panda's own arithmetic into the
//! embedded store, with the table of queues, the datadisks and the roll-ups.
//!
//! The counts are a function of the time, as the grid is. Two incidents are always under way at the end: a queue that is drained, and
//! a site whose jobs fail.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gridmon::model::{Catalog, Point, Rest, SECOND, Tier};
use gridmon::monitors::panda::{self, JOBS, PandaInput, TABLE};
use gridmon::setup::{CATALOG, queue_table};
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::{EmbeddedReader, EmbeddedTables, Store};
use gridmon::sources::cric::{self, Queue};
use gridmon::sources::elastic::Datadisk;
use gridmon::sources::panda::{Group, Statistics};

/// CRIC's answers of 2019, from QMonit's history (MIT): tests/fixtures/README.md.
const QUEUES: &[u8] = include_bytes!("../tests/fixtures/panda/pandaqueue_501.json");
const SITES: &[u8] = include_bytes!("../tests/fixtures/panda/site_243.json");
const ENDPOINTS: &[u8] = include_bytes!("../tests/fixtures/panda/ddmendpoint_163.json");
const FEDERATIONS: &[u8] = include_bytes!("../tests/fixtures/panda/federation_2019.json");

/// One queue of so many is played, so that the demo stays short.
const EVERY: usize = 5;

const SLOT: i64 = 600;

/// The slots of the incidents, up to the last one.
const DRAINED: i64 = 3;
const FAILING: i64 = 6;

/// How long the store may take for a write.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was played.
pub struct Played {
    /// The number of queues.
    pub queues: usize,
    /// The number of slots.
    pub slots: i64,
    /// The number of points.
    pub points: usize,
    /// The queue that is drained and the site that fails.
    pub incidents: [String; 2],
}

/// Plays so many hours up to `end`, in unix seconds, into the store of a demo's folder; `programs` has the down-samplers.
///
/// # Errors
/// Fails if the store cannot be written or a down-sampler fails.
pub fn play(folder: &Path, programs: &Path, end: i64, hours: i64) -> Result<Played> {
    let (sites, endpoints) = (cric::sites(SITES)?, cric::endpoints(ENDPOINTS)?);
    let (queues, federations) = (online()?, cric::federations(FEDERATIONS)?);
    let last = end.div_euclid(SLOT);
    let slots = (6 * hours).max(1);
    let disks = datadisks(&queues);
    let path = folder.join("state/gridmon.db");
    let mut store = Store::open(&path, Instant::now() + PATIENCE)?;
    let (mut points, largest) = (0, largest(&queues)?);
    for slot in last - slots + 1..=last {
        let time = slot * SLOT * SECOND;
        let answer = answer(&queues, largest, slot, last);
        let input = PandaInput {
            now: slot * SLOT,
            time,
            panda: Some(&answer),
            queues: Some(&queues),
            sites: &sites,
            endpoints: &endpoints,
            federations: &federations,
            benchmarks: &[],
        };
        let collected = panda::points(&input);
        let coverage = collected.coverage(&JOBS, "demo", time, SLOT);
        let batch: Vec<Point> = collected.points.into_iter().chain([coverage]).collect();
        points += batch.len();
        store.write(Tier::Raw, &declared(batch, CATALOG), Instant::now() + PATIENCE)?;
    }
    drop(store);
    for program in ["downsample-1h", "downsample-1d"] {
        fold(programs, program, folder, end)?;
    }
    let answer = answer(&queues, largest, last, last);
    let known = queue_table::Known { panda: &answer, queues: &queues, datadisks: &disks };
    let rows = queue_table::rows_at(&EmbeddedReader::new(path.clone()), last * SLOT, &known)?;
    let tables = EmbeddedTables { place: path.clone().into() };
    tables.write(&TABLE, &rows, Rest::Removed, Instant::now() + PATIENCE)?;
    let hour = end.div_euclid(3600) * 3600 * SECOND;
    let sizes = panda::datadisks(&rows, &queues, &disks, hour);
    Store::open(&path, Instant::now() + PATIENCE)?.write(
        Tier::Hour,
        &declared(sizes, CATALOG),
        Instant::now() + PATIENCE,
    )?;
    let [drained, failing] = largest.map(|at| &queues[at]);
    let incidents = [drained.panda_resource.clone(), failing.atlas_site.clone().unwrap_or_default()];
    Ok(Played { queues: queues.len(), slots, points, incidents })
}

/// Returns points as they are declared.
pub(crate) fn declared(mut points: Vec<Point>, catalog: Catalog) -> Vec<Point> {
    points.iter_mut().for_each(|point| catalog.declare(point));
    points
}

/// Runs a down-sampler as cron would.
fn fold(programs: &Path, name: &str, folder: &Path, now: i64) -> Result<()> {
    let program = programs.join(name);
    let mut command = Command::new(&program);
    command.arg("--config").arg(folder.join("config.cfg")).args(["--now", &now.to_string()]);
    let output = command.env_clear().stdin(Stdio::null()).output().with_context(|| program.display().to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{name} --now {now} ended with {}: {}", output.status, said.trim_end());
    Ok(())
}

/// A number from 0 to 1 that looks random and depends on its arguments alone.
fn chance(name: &str, more: i64) -> f64 {
    let seed = name.bytes().fold(more as u64 ^ 0x51_7C_C1_B7_27_22_0A_95, |seed, byte| {
        (seed ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23)
    });
    (seed.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The jobs that a queue runs on average.
fn mean(queue: &Queue) -> f64 {
    10.0_f64.powf(1.0 + 2.3 * chance(&queue.panda_resource, 0))
}

/// The two largest queues, of different sites.
pub(crate) fn largest(queues: &[Queue]) -> Result<[usize; 2]> {
    let mut places: Vec<_> = (0..queues.len()).collect();
    places.sort_by(|a, b| mean(&queues[*b]).total_cmp(&mean(&queues[*a])));
    let first = *places.first().context("no queue")?;
    let other = places.iter().find(|at| queues[**at].atlas_site != queues[first].atlas_site);
    Ok([first, *other.context("one site")?])
}

/// Some of the queues that are online.
pub(crate) fn online() -> Result<Vec<Queue>> {
    let all = cric::queues(QUEUES)?;
    let is_online = |queue: &&Queue| queue.status.as_deref() == Some("online") && queue.atlas_site.is_some();
    Ok(all.iter().filter(is_online).step_by(EVERY).cloned().collect())
}

/// What PanDA answers at a slot; the incidents are under way up to the slot `last`.
pub(crate) fn answer(queues: &[Queue], [drained, failing]: [usize; 2], slot: i64, last: i64) -> Statistics {
    let group = |(at, queue): (usize, &Queue)| {
        let name = &queue.panda_resource;
        let is_analysis = queue.kind.as_deref() == Some("analysis");
        // Highest in the afternoon of a time zone that the queue has.
        let phase = (slot % 144) as f64 / 144.0 + chance(name, 1);
        let wave = 1.0 + 0.3 * (phase * std::f64::consts::TAU).sin();
        let noise = |more: i64| 1.0 + 0.12 * (chance(name, 16 * slot + more) - 0.5);
        let usual = mean(queue) * wave;
        let is_drained = at == drained && slot > last - DRAINED;
        let fails = queue.atlas_site == queues[failing].atlas_site && slot > last - FAILING;
        let running = if is_drained { 0.0 } else { usual * noise(2) };
        let finished = usual / 18.0 * noise(3) * if fails || is_drained { 0.05 } else { 1.0 };
        let failed = usual / 200.0 * noise(4) * if fails { 60.0 } else { 1.0 };
        let counts = [
            ("assigned", usual / 30.0 * noise(5)),
            ("activated", usual * 0.6 * noise(6)),
            ("running", running),
            ("finished", finished),
            ("failed", failed),
        ];
        Group {
            queue: name.clone(),
            prod_source: if is_analysis { "user" } else { "managed" }.into(),
            resource: if queue.corecount.unwrap_or(1) > 1 { "MCORE" } else { "SCORE" }.into(),
            counts: counts.map(|(status, jobs)| (status.into(), jobs as i64)).into(),
        }
    };
    Statistics { groups: queues.iter().enumerate().map(group).collect(), odd: Vec::new() }
}

/// The sizes of the datadisks that the queues read.
fn datadisks(queues: &[Queue]) -> Vec<Datadisk> {
    let mut names: Vec<_> =
        queues.iter().flat_map(|queue| &queue.read_lan).filter(|name| name.contains("DATADISK")).collect();
    names.sort();
    names.dedup();
    let size = |name: &String| {
        let bytes = 10.0_f64.powf(13.5 + 2.5 * chance(name, 7));
        Datadisk { rse: name.clone(), bytes: bytes as i64, files: (bytes / 1.1e9) as i64 }
    };
    names.into_iter().map(size).collect()
}
