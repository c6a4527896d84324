//! `[sensor:CPUPercent]`, `[sensor:CPUTimes]`, `[sensor:CPUTimesPercent]`: what the processors do.
//!
//! The kernel's idle and iowait go backwards now and then: a column that fell gained nothing.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;

use super::options::{PER_CPU, is_yes};
use super::percent;
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::{Key, Kind, Section, Unset};
use crate::model::{Declaration, Field, FieldInfo, FieldValue, Fold, Measurement, Point, Tag};
use crate::sources::node::stat::{COLUMNS, Stat, TICKS, Ticks};

/// The tag of what is of all CPUs.
const ALL: &str = "total";

/// How busy each CPU is.
pub static PERCENT: Sensor = Sensor {
    name: "CPUPercent",
    section: Section::new(
        "sensor:CPUPercent",
        "How busy the processors are.",
        &[
            TIME_INTERVAL,
            ENABLED,
            PREFIX,
            Key::new(
                "per_cpu",
                Kind::Word(&["auto", "yes", "no"]),
                Unset::Default("auto"),
                "Whether each CPU has a number of its own, beside that of all; auto: on machines of up to 64.",
            ),
        ],
    ),
    measurements: &[&NODE_CPU],
    source: "/proc/stat",
    is_default: true,
    is_slow: false,
    options: |values| {
        let most = match values.word("per_cpu")? {
            "yes" => usize::MAX,
            "no" => 0,
            _ => 64,
        };
        Ok(Arc::new(move |node| Box::new(CpuPercent { node: node.clone(), most, before: Gains::default() })))
    },
};

const BUSY: Field<f64> = Field::gauge("percent", "%", Fold::Mean, "time that was neither idle nor iowait, of all time");

/// How busy a CPU is.
pub static NODE_CPU: Measurement = Measurement::new(Declaration {
    name: "node_cpu",
    meaning: "how busy a CPU of a node is, by its number, and all of them together (total)",
    tags: &[Tag::key("host"), Tag::key("cpu")],
    fields: &[BUSY.info()],
    carbon: "{host/}.CPUPercent.{cpu}",
    every: 10,
});

struct CpuPercent {
    node: Node,
    /// The most CPUs that have numbers of their own.
    most: usize,
    before: Gains,
}

impl Reading for CpuPercent {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let (_, stat) = self.node.root.stat(at.running)?;
        let host = self.node.host.as_str();
        let mut points = Vec::new();
        let mut number = String::new();
        let is_each = stat.cpus.len() <= self.most;
        self.before.take(&stat, is_each, |cpu, gained| {
            let name = cpu.map_or(ALL, |cpu| text_of(&mut number, cpu));
            points.push(NODE_CPU.point(at.time, [host, name], &[BUSY.of(busy(gained))]));
        });
        Ok(points.into())
    }
}

/// Writes a number into a text that is used again.
fn text_of(text: &mut String, number: u32) -> &str {
    use std::fmt::Write as _;
    text.clear();
    let _ = write!(text, "{number}");
    text
}

/// The time of the CPUs in all, of which guests' are a part already.
fn total(ticks: &Ticks) -> u64 {
    let [.., guest, guest_nice] = *ticks;
    let sum = ticks.iter().fold(0_u64, |sum, column| sum.saturating_add(*column));
    sum.saturating_sub(guest).saturating_sub(guest_nice)
}

fn busy(gained: &Ticks) -> f64 {
    let [_, _, _, idle, iowait, ..] = *gained;
    let total = total(gained);
    percent(total.saturating_sub(idle).saturating_sub(iowait) as f64, total as f64)
}

/// The CPUs of the tick before.
#[derive(Debug, Default)]
struct Gains {
    all: Option<Ticks>,
    cpus: HashMap<u32, Ticks>,
}

impl Gains {
    /// Tells `each` what all CPUs gained since the tick before, and each CPU that was there.
    fn take(&mut self, stat: &Stat, is_each: bool, mut each: impl FnMut(Option<u32>, &Ticks)) {
        let gained =
            |before: &Ticks, now: &Ticks| std::array::from_fn(|column| now[column].saturating_sub(before[column]));
        if let Some(before) = self.all.replace(stat.all) {
            each(None, &gained(&before, &stat.all));
        }
        let mut cpus = HashMap::new();
        if is_each {
            for (number, now) in &stat.cpus {
                if let Some(before) = self.cpus.get(number) {
                    each(Some(*number), &gained(before, now));
                }
                cpus.insert(*number, *now);
            }
        }
        self.cpus = cpus;
    }
}

/// The seconds of the processors.
pub static TIMES: Sensor = Sensor {
    name: "CPUTimes",
    section: Section::new(
        "sensor:CPUTimes",
        "The seconds that the processors spent in each state since the start of the machine.",
        &[TIME_INTERVAL, ENABLED, PREFIX, PER_CPU],
    ),
    measurements: &[&NODE_CPU_TIME, &NODE_CPU_TIME_EACH],
    source: "/proc/stat",
    is_default: true,
    is_slow: false,
    options: |values| {
        let is_each = is_yes(values, PER_CPU.name)?;
        Ok(Arc::new(move |node| Box::new(CpuTimes { node: node.clone(), is_each })))
    },
};

const fn second(column: usize) -> Field<f64> {
    let meaning = match column {
        8 => "guests (a part of user)",
        9 => "guests with a nice value (a part of nice)",
        3 => "idle; may go back a little",
        4 => "idle while a task waited for a disk; may go back a little",
        7 => "the host ran others",
        _ => "as the kernel counts it",
    };
    Field::gauge(COLUMNS[column], "CPU seconds", Fold::Last, meaning)
}

const fn share(column: usize) -> Field<f64> {
    Field::gauge(COLUMNS[column], "%", Fold::Mean, "of all time since the reading before")
}

const SECONDS: [Field<f64>; 10] =
    [second(0), second(1), second(2), second(3), second(4), second(5), second(6), second(7), second(8), second(9)];
const SHARES: [Field<f64>; 10] =
    [share(0), share(1), share(2), share(3), share(4), share(5), share(6), share(7), share(8), share(9)];

const fn infos(fields: &[Field<f64>; 10]) -> [FieldInfo; 10] {
    let mut all = [fields[0].info(); 10];
    let mut at = 0;
    while at < all.len() {
        all[at] = fields[at].info();
        at += 1;
    }
    all
}

const SECOND_INFOS: [FieldInfo; 10] = infos(&SECONDS);
const SHARE_INFOS: [FieldInfo; 10] = infos(&SHARES);

/// The seconds of all CPUs.
pub static NODE_CPU_TIME: Measurement = Measurement::new(Declaration {
    name: "node_cpu_time",
    meaning: "the seconds that the CPUs of a node spent in each state",
    tags: &[Tag::key("host")],
    fields: &SECOND_INFOS,
    carbon: "{host/}.CPUTimes.{field}",
    every: 10,
});

/// The seconds of each CPU.
pub static NODE_CPU_TIME_EACH: Measurement = Measurement::new(Declaration {
    name: "node_cpu_time_each",
    meaning: "the seconds that one CPU of a node spent in each state",
    tags: &[Tag::key("host"), Tag::key("cpu")],
    fields: &SECOND_INFOS,
    carbon: "{host/}.CPUTimes.{cpu}.{field}",
    every: 10,
});

struct CpuTimes {
    node: Node,
    is_each: bool,
}

impl Reading for CpuTimes {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let (_, stat) = self.node.root.stat(at.running)?;
        let host = self.node.host.as_str();
        let values = |ticks: &Ticks| -> [FieldValue; 10] {
            std::array::from_fn(|column| SECONDS[column].of(ticks[column] as f64 / TICKS))
        };
        let mut points = vec![NODE_CPU_TIME.point(at.time, [host], &values(&stat.all))];
        if self.is_each {
            let each = |(cpu, ticks): &(u32, Ticks)| {
                NODE_CPU_TIME_EACH.point(at.time, [host, &cpu.to_string()], &values(ticks))
            };
            points.extend(stat.cpus.iter().map(each));
        }
        Ok(points.into())
    }
}

/// The shares of the processors' time.
pub static TIMES_PERCENT: Sensor = Sensor {
    name: "CPUTimesPercent",
    section: Section::new(
        "sensor:CPUTimesPercent",
        "The share of the processors' time in each state.",
        &[TIME_INTERVAL, ENABLED, PREFIX, PER_CPU],
    ),
    measurements: &[&NODE_CPU_SHARE, &NODE_CPU_SHARE_EACH],
    source: "/proc/stat",
    is_default: true,
    is_slow: false,
    options: |values| {
        let is_each = is_yes(values, PER_CPU.name)?;
        Ok(Arc::new(move |node| Box::new(CpuShares { node: node.clone(), is_each, before: Gains::default() })))
    },
};

/// The shares of all CPUs' time.
pub static NODE_CPU_SHARE: Measurement = Measurement::new(Declaration {
    name: "node_cpu_share",
    meaning: "the share of the time of all CPUs of a node in each state",
    tags: &[Tag::key("host")],
    fields: &SHARE_INFOS,
    carbon: "{host/}.CPUTimesPercent.{field}",
    every: 10,
});

/// The shares of each CPU's time.
pub static NODE_CPU_SHARE_EACH: Measurement = Measurement::new(Declaration {
    name: "node_cpu_share_each",
    meaning: "the share of the time of one CPU of a node in each state",
    tags: &[Tag::key("host"), Tag::key("cpu")],
    fields: &SHARE_INFOS,
    carbon: "{host/}.CPUTimesPercent.{cpu}.{field}",
    every: 10,
});

struct CpuShares {
    node: Node,
    is_each: bool,
    before: Gains,
}

impl Reading for CpuShares {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let (_, stat) = self.node.root.stat(at.running)?;
        let host = self.node.host.as_str();
        let mut points: Vec<Point> = Vec::new();
        self.before.take(&stat, self.is_each, |cpu, gained| {
            let total = total(gained) as f64;
            let values: [FieldValue; 10] =
                std::array::from_fn(|column| SHARES[column].of(percent(gained[column] as f64, total).min(100.0)));
            points.push(match cpu {
                None => NODE_CPU_SHARE.point(at.time, [host], &values),
                Some(cpu) => NODE_CPU_SHARE_EACH.point(at.time, [host, &cpu.to_string()], &values),
            });
        });
        Ok(points.into())
    }
}
