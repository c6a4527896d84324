//! What a grid is like now, made of the newest value of each of its series: for a terminal and for the dashboard. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::model::{Catalog, Measurement, SECOND, Value, utc};
use crate::query::Latest;
use crate::text::{Table, ago, count, one_line};

/// The newest value of one series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Number {
    /// What it is.
    pub value: Value,
    /// When it was so, in unix seconds.
    pub time: i64,
    /// The Carbon path that it has or would have: what a plot of it is asked for by.
    pub path: String,
}

/// Numbers by what they count: a status, a field, the name of a slot.
pub type Numbers = BTreeMap<String, Number>;

/// One grid.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Grid {
    /// Its name.
    pub name: String,
    /// The newest time of all its numbers, in unix seconds.
    pub time: i64,
    /// 1 or 0 by service: `cloud_monitor`, `cloud_scheduler`, `condor`.
    pub heartbeats: Numbers,
    /// Pools, each by field: `heartbeat`, `slots`, ….
    pub pools: BTreeMap<String, Numbers>,
    /// Negotiators, each by field.
    pub negotiators: BTreeMap<String, Numbers>,
    /// Schedds.
    pub schedds: BTreeMap<String, Schedd>,
    /// Clouds.
    pub clouds: BTreeMap<String, Cloud>,
    /// Jobs by type, `all` among them, and status, `total` among them.
    pub jobs: BTreeMap<String, Numbers>,
}

/// One schedd.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Schedd {
    /// Its health by field: `heartbeat`, `duty_cycle_ratio`, ….
    pub health: Numbers,
    /// Its jobs by status, `total` among them.
    pub jobs: Numbers,
}

/// One cloud.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cloud {
    /// `enabled`, `quota`, `mips`, `kflops`.
    pub facts: Numbers,
    /// Running machines without a slot, of all types.
    pub idle: Option<Number>,
    /// Jobs that name it, by status.
    pub jobs: Numbers,
    /// Its machines by type.
    pub types: BTreeMap<String, VmType>,
}

/// The machines of one type on one cloud.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VmType {
    /// Machines by state, `total` among them.
    pub states: Numbers,
    /// Slots by name.
    pub slots: Numbers,
    /// Running machines without a slot.
    pub idle: Option<Number>,
}

/// How long something may be silent until a summary leaves it out, in seconds. It is gone, or nobody can ask it.
pub const GONE: i64 = 3600;

/// What a summary is made of. Live hosts are as many as machines ever ran, and no part of it.
pub fn measurements(catalog: Catalog) -> Vec<&'static Measurement> {
    catalog.measurements().filter(|one| one.name.starts_with("grid_") && one.name != "grid_live_hosts").collect()
}

/// The grids that these values tell of, sorted by name.
pub fn grids(latest: &[Latest], catalog: Catalog) -> Vec<Grid> {
    let mut grids = BTreeMap::<String, Grid>::new();
    for Latest { series, field, time, value } in latest {
        let Some(measurement) = catalog.measurement(series.measurement()) else { continue };
        let (Some(name), Some(path)) = (series.tag("grid"), measurement.carbon_path(series, field.name)) else {
            continue;
        };
        let number = Number { value: *value, time: time / SECOND, path };
        let grid = grids.entry(name.into()).or_default();
        if grid.name.is_empty() {
            grid.name = name.into();
        }
        let time = number.time;
        if put(grid, measurement.name, |tag| series.tag(tag).unwrap_or_default().to_string(), field.name, number) {
            grid.time = grid.time.max(time);
        }
    }
    grids.into_values().collect()
}

/// Puts a number in its place; whether it has one.
fn put(grid: &mut Grid, measurement: &str, tag: impl Fn(&str) -> String, field: &str, number: Number) -> bool {
    let numbers = match measurement {
        "grid_heartbeat" => grid.heartbeats.insert(tag("service"), number),
        "grid_pool" => grid.pools.entry(tag("pool")).or_default().insert(field.into(), number),
        "grid_negotiator" => grid.negotiators.entry(tag("negotiator")).or_default().insert(field.into(), number),
        "grid_schedd" => grid.schedds.entry(tag("schedd")).or_default().health.insert(field.into(), number),
        "grid_schedd_jobs" => grid.schedds.entry(tag("schedd")).or_default().jobs.insert(tag("status"), number),
        "grid_jobs" => grid.jobs.entry(tag("type")).or_default().insert(tag("status"), number),
        _ => {
            if !["grid_cloud", "grid_cloud_jobs", "grid_vms", "grid_idle_vms", "grid_slots"].contains(&measurement) {
                return false;
            }
            let cloud = grid.clouds.entry(tag("cloud")).or_default();
            let vmtype = tag("vmtype");
            match measurement {
                "grid_cloud" => cloud.facts.insert(field.into(), number),
                "grid_cloud_jobs" => cloud.jobs.insert(tag("status"), number),
                "grid_idle_vms" if vmtype == "total" => cloud.idle.replace(number),
                "grid_idle_vms" => cloud.types.entry(vmtype).or_default().idle.replace(number),
                "grid_vms" => cloud.types.entry(vmtype).or_default().states.insert(tag("status"), number),
                _ => cloud.types.entry(vmtype).or_default().slots.insert(tag("slot"), number),
            }
        }
    };
    drop(numbers);
    true
}

/// A cloud by its name, with those types of its machines that are to be shown.
pub(crate) type Typed<'a> = (&'a str, &'a Cloud, Vec<(&'a str, &'a VmType)>);

/// What of a grid is to be shown, each with its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Present<'a> {
    pub pools: Vec<(&'a str, &'a Numbers)>,
    pub negotiators: Vec<(&'a str, &'a Numbers)>,
    pub schedds: Vec<(&'a str, &'a Schedd)>,
    pub clouds: Vec<Typed<'a>>,
    /// Jobs by type, `all` last: a sum stands below what it is the sum of.
    pub jobs: Vec<(&'a str, &'a Numbers)>,
    /// How many names are left out; the types of machines of a cloud that is shown are not counted.
    pub left_out: usize,
}

/// The newest time of these numbers, in unix seconds.
fn newest<'a>(numbers: impl Iterator<Item = &'a Number>) -> i64 {
    numbers.map(|number| number.time).max().unwrap_or_default()
}

/// Those of the named whose newest time is after `since`.
fn heard<T>(named: &BTreeMap<String, T>, since: i64, newest: impl Fn(&T) -> i64) -> Vec<(&str, &T)> {
    named.iter().filter(|(_, one)| newest(one) > since).map(|(name, one)| (name.as_str(), one)).collect()
}

impl VmType {
    fn numbers(&self) -> impl Iterator<Item = &Number> {
        self.states.values().chain(self.slots.values()).chain(&self.idle)
    }
}

impl Cloud {
    fn numbers(&self) -> impl Iterator<Item = &Number> {
        let own = self.facts.values().chain(&self.idle).chain(self.jobs.values());
        own.chain(self.types.values().flat_map(VmType::numbers))
    }
}

/// Columns of states: these always, in this order, then those that occur and are not zero, then `total`.
pub(crate) fn columns<'a>(always: &[&str], seen: impl Iterator<Item = &'a Numbers>) -> Vec<String> {
    let mut more = BTreeSet::new();
    for (name, number) in seen.flatten() {
        let zero = matches!(number.value, Value::Int(0));
        if !zero && name != "total" && !always.contains(&name.as_str()) {
            more.insert(name.clone());
        }
    }
    always.iter().map(|name| name.to_string()).chain(more).chain(["total".into()]).collect()
}

impl Grid {
    /// What of it is to be shown: everything when `all` is wanted, else what was not silent for the last [`GONE`] seconds.
    pub(crate) fn present<'a>(&'a self, all: bool) -> Present<'a> {
        let since = if all { i64::MIN } else { self.time - GONE };
        let mut jobs = heard(&self.jobs, since, |numbers| newest(numbers.values()));
        jobs.sort_by_key(|(name, _)| *name == "all");
        let clouds = heard(&self.clouds, since, |cloud| newest(cloud.numbers())).into_iter();
        let with_types =
            |(name, cloud): (_, &'a Cloud)| (name, cloud, heard(&cloud.types, since, |vms| newest(vms.numbers())));
        let present = Present {
            pools: heard(&self.pools, since, |pool| newest(pool.values())),
            negotiators: heard(&self.negotiators, since, |negotiator| newest(negotiator.values())),
            schedds: heard(&self.schedds, since, |schedd| newest(schedd.health.values().chain(schedd.jobs.values()))),
            clouds: clouds.map(with_types).collect(),
            jobs,
            left_out: 0,
        };
        let Present { pools, negotiators, schedds, clouds, jobs, .. } = &present;
        let shown = pools.len() + negotiators.len() + schedds.len() + clouds.len() + jobs.len();
        let known =
            self.pools.len() + self.negotiators.len() + self.schedds.len() + self.clouds.len() + self.jobs.len();
        Present { left_out: known - shown, ..present }
    }

    /// The grid as tables for a terminal, as of `now` in unix seconds. What has been silent for an hour is left out, unless
    /// `all` is wanted.
    pub fn text(&self, now: i64, all: bool) -> String {
        let present = self.present(all);
        let age = now.saturating_sub(self.time);
        let mut text = format!("{} at {}, {} ago\n\n", one_line(&self.name), utc(self.time), ago(age));
        text.push_str(&self.heartbeats_text(&present));
        if !present.clouds.is_empty() {
            text.push('\n');
            text.push_str(&self.clouds_text(&present));
        }
        if !present.jobs.is_empty() || !present.schedds.is_empty() {
            text.push('\n');
            text.push_str(&self.jobs_text(&present));
        }
        if text.contains('*') {
            text.push_str("\n* an older number: nobody could tell a newer one\n");
        }
        if present.left_out > 0 {
            let left_out = count(present.left_out, "name");
            let _ = writeln!(text, "\n{left_out} silent for over an hour left out; --all shows them");
        }
        text
    }

    /// A number in words, with a mark when it is older than the grid.
    fn shown(&self, number: Option<&Number>) -> String {
        match number {
            None => "-".into(),
            Some(Number { value, time, .. }) => {
                // A count that vanished was sent as zero once, and is zero still.
                let mark = if *time < self.time && *value != Value::Int(0) { "*" } else { "" };
                match value {
                    Value::Int(value) => format!("{value}{mark}"),
                    Value::Float(value) => format!("{value:.2}{mark}"),
                }
            }
        }
    }

    fn heartbeats_text(&self, present: &Present) -> String {
        let mut table = Table::new(&["part", "is", ""]);
        let is = |number: Option<&Number>| match number {
            None => "unknown".to_string(),
            Some(Number { time, .. }) if *time < self.time => format!("silent for {}", ago(self.time - time)),
            Some(Number { value: Value::Int(0), .. }) => "DOWN".into(),
            Some(_) => "up".into(),
        };
        let facts = |numbers: &Numbers, facts: &[(&str, &str)]| {
            let facts = facts.iter().filter_map(|(field, words)| {
                let number = numbers.get(*field)?;
                Some(format!("{words} {}", self.shown(Some(number))))
            });
            facts.collect::<Vec<_>>().join(", ")
        };
        for (service, number) in &self.heartbeats {
            table.row(&[one_line(service), is(Some(number)), String::new()]);
        }
        for (name, pool) in &present.pools {
            let words = facts(pool, &[("slots", "slots"), ("updates_lost_ratio", "updates lost")]);
            table.row(&[format!("pool {}", one_line(name)), is(pool.get("heartbeat")), words]);
        }
        for (name, negotiator) in &present.negotiators {
            let words = facts(negotiator, &[("cycle_seconds", "seconds per cycle")]);
            table.row(&[format!("negotiator {}", one_line(name)), String::new(), words]);
        }
        for (name, schedd) in &present.schedds {
            let words =
                facts(&schedd.health, &[("duty_cycle_ratio", "duty cycle"), ("running_jobs_limit", "runs at most")]);
            table.row(&[format!("schedd {}", one_line(name)), is(schedd.health.get("heartbeat")), words]);
        }
        table.text()
    }

    fn clouds_text(&self, present: &Present) -> String {
        let always = ["starting", "running", "retiring", "error", "shutdown"];
        let types = present.clouds.iter().flat_map(|(_, _, types)| types);
        let states = columns(&always, types.map(|(_, vms)| &vms.states));
        let right: Vec<_> = states.iter().map(|state| format!("<{}", one_line(state))).collect();
        let mut heads = vec!["cloud", "enabled", "<quota", "machines"];
        heads.extend(right.iter().map(String::as_str));
        heads.extend(["<idle", "<slots", "<jobs idle", "<held"]);
        let mut table = Table::new(&heads);
        for (name, cloud, types) in &present.clouds {
            let enabled = match cloud.facts.get("enabled") {
                Some(Number { value: Value::Int(0), .. }) => "no",
                Some(_) => "yes",
                None => "-",
            };
            let mut first = vec![one_line(name), enabled.into(), self.shown(cloud.facts.get("quota"))];
            let mut jobs = ["idle", "held"].map(|status| self.shown(cloud.jobs.get(status)));
            let none = VmType::default();
            let no_type = [("-", &none)];
            for (vmtype, vms) in if types.is_empty() { &no_type[..] } else { types } {
                let mut row = std::mem::replace(&mut first, vec![String::new(); 3]);
                row.push(one_line(vmtype));
                row.extend(states.iter().map(|state| self.shown(vms.states.get(state))));
                row.push(self.shown(vms.idle.as_ref()));
                row.push(self.sum(&vms.slots));
                row.extend(std::mem::take(&mut jobs));
                table.row(&row);
            }
        }
        table.text()
    }

    /// The slots of all names that there are now.
    fn sum(&self, slots: &Numbers) -> String {
        let Some(time) = slots.values().map(|number| number.time).max() else { return "-".into() };
        let now = slots.values().filter(|number| number.time == time);
        let sum = now.map(|number| if let Value::Int(slots) = number.value { slots } else { 0 }).sum();
        self.shown(Some(&Number { value: Value::Int(sum), time, path: String::new() }))
    }

    fn jobs_text(&self, present: &Present) -> String {
        let of_types = present.jobs.iter().map(|(name, numbers)| (one_line(name), *numbers));
        let of_schedds =
            present.schedds.iter().map(|(name, schedd)| (format!("schedd {}", one_line(name)), &schedd.jobs));
        let rows: Vec<_> = of_types.chain(of_schedds).collect();
        let statuses = columns(&["idle", "running", "held"], rows.iter().map(|(_, numbers)| *numbers));
        let right: Vec<_> = statuses.iter().map(|status| format!("<{}", one_line(status))).collect();
        let mut heads = vec!["jobs"];
        heads.extend(right.iter().map(String::as_str));
        let mut table = Table::new(&heads);
        for (name, numbers) in rows {
            let mut row = vec![name];
            row.extend(statuses.iter().map(|status| self.shown(numbers.get(status))));
            table.row(&row);
        }
        table.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Point;

    /// The newest value of each series of the lines, as a store would give it.
    fn latest(lines: &str) -> Vec<Latest> {
        let mut newest = BTreeMap::new();
        for point in lines.lines().map(|line| Point::from_line(line).unwrap()) {
            let fields = crate::setup::CATALOG
                .measurement(point.measurement())
                .map_or(&[][..], |measurement| measurement.fields);
            for (name, value) in point.fields() {
                let Some(field) = fields.iter().find(|field| field.name == name) else { continue };
                let series = Point::of_series(&point.series()).unwrap();
                let key = (point.series(), name.to_string());
                let latest = Latest { series, field, time: point.time(), value };
                match newest.get(&key) {
                    Some(Latest { time, .. }) if *time > latest.time => {}
                    _ => drop(newest.insert(key, latest)),
                }
            }
        }
        newest.into_values().collect()
    }

    fn check(case: &str, lines: &str, now: i64, all: bool) {
        let text: Vec<_> =
            grids(&latest(lines), crate::setup::CATALOG).iter().map(|grid| grid.text(now, all)).collect();
        let expected = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/status/{case}"));
        if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
            std::fs::write(&expected, text.join("\n\n")).unwrap();
        }
        assert_eq!(text.join("\n\n"), std::fs::read_to_string(&expected).unwrap(), "{case}");
    }

    #[test]
    fn a_grid_is_told_as_tables_and_old_numbers_look_old() {
        let small = include_str!("../../tests/fixtures/cloud_monitor/small/expected.influx");
        let time = 1_717_245_000;
        check("grid.txt", small, time + 25, false);
        // A quarter of an hour later a schedd is down, so its jobs and the totals are old, a cloud and a state are gone,
        // and what nobody wrote for an hour is left out.
        let later = (time + 900) * SECOND;
        let lines = format!(
            "grid_heartbeat,grid=heprc,service=cloud_monitor alive=1i {later}
grid_heartbeat,grid=heprc,service=condor alive=1i {later}
grid_schedd,grid=heprc,schedd=ce01.example.org heartbeat=0i {later}
grid_vms,cloud=cc-east,grid=heprc,status=running,vmtype=atlas-worker vms=3i {later}
grid_vms,cloud=cc-east,grid=heprc,status=dreaming,vmtype=atlas-worker vms=1i {later}
grid_jobs,grid=heprc,status=idle,type=old jobs=7i {}
grid_jobs,grid=a\\ b,status=idle,type=all jobs=1i {later}
nonsense,grid=heprc x=1i {later}
",
            later - 4000 * SECOND
        );
        check("grid_later.txt", &format!("{small}{lines}"), time + 960, false);
        check("grid_later_all.txt", &format!("{small}{lines}"), time + 960, true);
        assert!(grids(&[], crate::setup::CATALOG).is_empty());
    }
}
