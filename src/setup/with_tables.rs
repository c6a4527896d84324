//! A store of points with the tables beside it, as one store: the numbers of pages that are made of the table of queues, and
//! the plots of what is a sum of stored numbers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};

use super::shared_table::SharedTable;
use crate::model::{COVERAGE, Measurement, Point, Row, SECOND, carbon_component};
use crate::monitors::backups::BACKUP_SET;
use crate::monitors::backups::hub::Hub;
use crate::monitors::backups::page::{BACKUP_HISTORY, SHOWN, history};
use crate::monitors::panda::page::{OF_TABLE, QUEUE_AVERAGES, QUEUE_PLEDGE, averages, latest, pledges};
use crate::monitors::panda::rules::{BEFORE, DETAIL, counts_of, scores};
use crate::monitors::panda::sums::{MADE, MadeOf, made_of};
use crate::monitors::panda::table::newest_slot;
use crate::monitors::panda::{DATADISKS, JOBS, TABLE};
use crate::query::{Detail, Join, Latest, Newest, Read, TooMuch, Values, Wanted};
use crate::sinks::history::{History, OfSet};

/// How long the table may take to be read.
const TABLE_SECONDS: Duration = Duration::from_secs(20);

/// The most numbers that one sum has.
const MOST_MEMBERS: usize = 5000;

/// The most values that are held for one sum.
const MOST_VALUES: usize = 6_000_000;

/// How far back the size of a datadisk is looked for, in seconds.
const SIZES_SECONDS: i64 = 3 * 86_400;

/// A store of points, and the table of queues beside it.
pub(super) struct WithTables {
    pub points: Box<dyn Read>,
    pub table: SharedTable,
    /// From which score on a queue is not usual.
    pub suspicious: f64,
    /// The grid whose runs cover the points.
    pub grid: String,
    /// The history of backups.
    pub history: Box<dyn History>,
    /// The hubs of the config.
    pub hubs: Vec<Hub>,
}

impl WithTables {
    fn rows(&self) -> Result<Arc<Vec<Row>>> {
        self.table.rows(|| self.points.version(), Instant::now() + TABLE_SECONDS)
    }

    /// Whether sizes of datadisks are stored, of the last days before `now`: that of one tells, since they come together.
    fn has_sizes(&self, rows: &[Row], now: i64) -> Result<bool> {
        let Some(disk) =
            rows.iter().find(|row| TABLE.cell(row, "datadisk_files").as_f64().is_some_and(|files| files > 0.0))
        else {
            return Ok(false);
        };
        let tag = |name: &str| TABLE.cell(disk, name).as_text().unwrap_or_default();
        let keys = ["panda_queue", "prod_source", "resource"].map(|name| (name.into(), tag(name)));
        let path = DATADISKS.carbon_path(&Point::new(DATADISKS.name.into(), keys, [], 0), "datadisk_files");
        let Some((path, number)) = path.and_then(|path| Some((path.clone(), DATADISKS.read_path(&path)?))) else {
            return Ok(false);
        };
        let values = self.points.range(&[Wanted { path, number }], now - SIZES_SECONDS, now, Detail::Stored)?;
        Ok(values.iter().any(|one| !one.values.is_empty()))
    }

    /// Returns the newest slot of jobs that was seen whole, for a table of an older version, which says no slot itself.
    fn covered(&self, now: i64) -> Result<i64> {
        let covered = self.points.latest(&[&COVERAGE], now)?.values.into_iter();
        let covered = covered.filter(|one| one.series.tag("measurement") == Some(JOBS.name));
        Ok(covered.map(|one| one.time / SECOND).max().unwrap_or(now))
    }

    /// Returns the newest values of measurements; of a queue, only its own ones are looked at.
    fn newest(&self, measurements: &[&'static Measurement], of: Option<(&str, &str)>, now: i64) -> Result<Newest> {
        let is_of_table = |one: &&&'static Measurement| OF_TABLE.iter().any(|of_table| of_table.name == one.name);
        let (of_table, of_points): (Vec<_>, Vec<_>) = measurements.iter().partition(|one| is_of_table(one));
        let points = |measurements: &[&'static Measurement]| match (measurements, of) {
            ([], _) => Ok(Newest::default()),
            (_, None) => self.points.latest(measurements, now),
            (_, Some(of)) => self.points.latest_of(measurements, of, now),
        };
        let mut newest = points(&of_points)?;
        if of_table.is_empty() {
            return Ok(newest);
        }
        let queue = of.filter(|(tag, _)| *tag == "queue").map(|(_, name)| name);
        let mut rows = self.rows()?;
        if let Some(queue) = queue {
            let is_it = |row: &&Row| TABLE.cell(row, "panda_queue").as_text() == Some(queue);
            rows = Arc::new(rows.iter().filter(is_it).cloned().collect());
        }
        let time = match newest_slot(&rows) {
            Some(slot) => slot.min(now),
            None => self.covered(now)?,
        };
        let is_asked = |name: &str| of_table.iter().any(|one| one.name == name);
        let has_sizes = is_asked("daod") && self.has_sizes(&rows, now)?;
        let mut made = latest(&of_table, &rows, self.suspicious, time, has_sizes);
        // There are tens of thousands of them, and few others as a rule.
        made.append(&mut newest.values);
        newest.values = made;
        if is_asked(QUEUE_AVERAGES.name) {
            newest.values.extend(averages(&rows, time));
        }
        if is_asked(QUEUE_PLEDGE.name) {
            let jobs = match queue {
                Some(queue) => self.points.latest_of(&[&JOBS], ("panda_queue", queue), now)?,
                None => self.points.latest(&[&JOBS], now)?,
            };
            newest.values.extend(pledges(jobs.values));
        }
        Ok(newest)
    }

    /// Returns the newest backups of a set on each of its nodes, those that are gone too.
    fn backups(&self, set: &str, now: i64) -> Result<Vec<Latest>> {
        let until = Instant::now() + TABLE_SECONDS;
        let mut nodes = BTreeSet::new();
        for one in self.points.latest_of(&[&BACKUP_SET], ("set", set), now)?.values {
            let tag = |name: &str| one.series.tag(name).unwrap_or_default();
            nodes.insert((tag("hub").to_string(), tag("node").to_string()));
        }
        let mut found = Vec::new();
        for (hub, node) in nodes {
            // A Carbon path does not spell names as the history does.
            for kept in self.history.newest(&spelled(&self.hubs, &hub, &node, set), SHOWN, until)? {
                found.extend(history([&hub, &node, set], (kept.time, &kept.path), kept.bytes, &kept.seal, now));
            }
        }
        Ok(found)
    }

    /// Returns the coverage of PanDA's jobs as a number.
    fn coverage(&self) -> Option<Wanted> {
        let series = COVERAGE.point(0, [self.grid.as_str(), JOBS.name], &[]);
        let path = COVERAGE.carbon_path(&series, "slots")?;
        let number = COVERAGE.read_path(&path)?;
        Some(Wanted { path, number })
    }

    /// Returns the scores among the numbers, in their order.
    fn scores(&self, wanted: &[Wanted], (from, to): (i64, i64), detail: Detail) -> Result<Vec<Values>> {
        let of: Vec<_> =
            wanted.iter().map(|one| (one, counts_of(&one.number))).filter(|(_, counts)| !counts.is_empty()).collect();
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let mut members: Vec<_> = of.iter().flat_map(|(_, counts)| counts.iter().cloned()).collect();
        let slots = usize::try_from((to - from + BEFORE) / JOBS.every.max(1)).unwrap_or(usize::MAX);
        if slots.saturating_mul(members.len()) > MOST_VALUES {
            let message =
                format!("scores of {} queues over that time are too many: ask for fewer or a shorter range", of.len());
            return Err(Error::new(TooMuch(message)));
        }
        members.extend(self.coverage());
        let mut values = self.points.range(&members, from - BEFORE, to, DETAIL)?.into_iter();
        let counts: Vec<Vec<Values>> =
            of.iter().map(|(_, counts)| values.by_ref().take(counts.len()).collect()).collect();
        let covering = values.next();
        let bucket = detail.bucket(to.saturating_sub(from), JOBS.every);
        let each = |((one, _), counts): (&(&Wanted, Vec<Wanted>), Vec<Values>)| {
            scores(one, &counts, covering.as_ref(), from, bucket)
        };
        Ok(of.iter().zip(counts).map(each).collect())
    }

    /// Returns the values of a number that is made of stored ones.
    fn made(&self, wanted: &Wanted, made: MadeOf, (from, to): (i64, i64), detail: Detail) -> Result<Values> {
        let MadeOf { join, mut members } = made;
        let count = members.len();
        let too_much = |message: String| Error::new(TooMuch(message));
        if count > MOST_MEMBERS {
            return Err(too_much(format!(
                "{} is the sum of {count} numbers, of more than {MOST_MEMBERS}",
                wanted.path
            )));
        }
        let every = members.first().map_or(JOBS.every, |member| member.number.measurement.every).max(1);
        let span = to.saturating_sub(from);
        let values = detail.points(span).min(usize::try_from(span / every).unwrap_or(usize::MAX)).saturating_add(1);
        if detail != Detail::Stored && values.saturating_mul(count) > MOST_VALUES {
            return Err(too_much(format!(
                "{} is the sum of {count} numbers: ask for fewer points or a longer step",
                wanted.path
            )));
        }
        members.extend(if join == Join::Sum { self.coverage() } else { None });
        // As they are stored, they are read piece by piece, so that no more of them are held either.
        let piece = match detail {
            Detail::Stored => every.saturating_mul((MOST_VALUES / 4 / members.len().max(1)).max(1) as i64),
            _ => span.max(1),
        };
        let mut all: Option<Values> = None;
        let mut begin = from;
        while begin < to || all.is_none() {
            let end = begin.saturating_add(piece).min(to);
            let mut values = self.points.range(&members, begin, end, detail)?;
            let covering = values.split_off(count.min(values.len()));
            let part = join.of(&wanted.path, wanted.number.field, every, &values, covering.first());
            match &mut all {
                Some(all) => {
                    all.values.extend(part.values);
                    all.newest = part.newest.or(all.newest);
                }
                None => all = Some(part),
            }
            begin = end;
        }
        all.context("nothing was asked for")
    }
}

/// Returns a set as the config spells it; as it is, if that has no such set.
fn spelled(hubs: &[Hub], hub: &str, node: &str, set: &str) -> OfSet {
    let is_one = |name: &str, shown: &str| name == shown || carbon_component(name) == shown;
    let known = hubs.iter().find(|known| is_one(&known.name, hub));
    let name = |names: Option<&Vec<String>>, shown: &str| {
        names.and_then(|names| names.iter().find(|name| is_one(name, shown))).cloned().unwrap_or_else(|| shown.into())
    };
    OfSet {
        hub: known.map_or_else(|| hub.into(), |known| known.name.clone()),
        node: name(known.map(|known| &known.nodes), node),
        set: name(known.map(|known| &known.sets), set),
    }
}

impl Read for WithTables {
    fn describe(&self) -> String {
        self.points.describe()
    }

    fn version(&self) -> u64 {
        self.points.version()
    }

    fn latest(&self, measurements: &[&'static Measurement], now: i64) -> Result<Newest> {
        self.newest(measurements, None, now)
    }

    fn latest_of(&self, measurements: &[&'static Measurement], of: (&str, &str), now: i64) -> Result<Newest> {
        let is_history = |one: &&&'static Measurement| one.name == BACKUP_HISTORY.name;
        let (history, others): (Vec<_>, Vec<_>) = measurements.iter().partition(is_history);
        let mut newest = self.newest(&others, Some(of), now)?;
        if !history.is_empty() && of.0 == "set" {
            newest.values.extend(self.backups(of.1, now)?);
        }
        newest.values.retain(|one| one.series.tag(of.0) == Some(of.1));
        Ok(newest)
    }

    fn range(&self, wanted: &[Wanted], from: i64, to: i64, detail: Detail) -> Result<Vec<Values>> {
        let is_made = |one: &Wanted| MADE.iter().any(|made| made.name == one.number.measurement.name);
        let stored: Vec<_> = wanted.iter().filter(|one| !is_made(one)).cloned().collect();
        if stored.len() == wanted.len() {
            return self.points.range(wanted, from, to, detail);
        }
        let is_score = |one: &Wanted| !counts_of(&one.number).is_empty();
        let rows = if wanted.iter().all(is_score) { Arc::default() } else { self.rows()? };
        let stored = if stored.is_empty() { Vec::new() } else { self.points.range(&stored, from, to, detail)? };
        let mut stored = stored.into_iter();
        let mut each = |one: &Wanted| match made_of(&rows, &one.number) {
            Some(made) => self.made(one, made, (from, to), detail),
            None => stored.next().with_context(|| format!("{}: the store gave no answer", one.path)),
        };
        let mut scores = self.scores(wanted, (from, to), detail)?.into_iter();
        wanted
            .iter()
            .map(|one| if counts_of(&one.number).is_empty() { each(one) } else { scores.next().context("no score") })
            .collect()
    }
}
