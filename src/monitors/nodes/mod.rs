//! Nodes: the sensors of qagent, a file each. A file declares the sensor's options and measurements; its `read` asks the
//! source, and all else in it is pure.

pub mod agent;
mod battery;
pub mod central;
mod cpu;
mod disk_io;
mod frequency;
mod gpu;
mod interfaces;
mod kernel;
mod load;
mod mounts;
mod options;
mod original;
pub mod page;
mod rates;
pub mod rules;
mod sensor;
mod slurm;
mod sockets;
mod swap;
mod temperatures;
mod traffic;
mod usage;
mod users;
mod virtual_memory;

use anyhow::Result;

pub use self::gpu::points as gpu_points;
pub use self::original::CAUSES;
pub use self::sensor::{Chosen, ENABLED, Moment, Node, Open, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::{Section, Sections};
use crate::model::{Field, FieldInfo, FieldValue, Measurement};
use crate::problem::Problem;
use crate::text::quote;

/// Every sensor, in the order in which they are listed and read.
pub static SENSORS: &[&Sensor] = &[
    &cpu::PERCENT,
    &virtual_memory::SENSOR,
    &cpu::TIMES,
    &cpu::TIMES_PERCENT,
    &kernel::COUNT,
    &kernel::STATS,
    &frequency::SENSOR,
    &swap::SENSOR,
    &mounts::SENSOR,
    &usage::SENSOR,
    &disk_io::SENSOR,
    &traffic::SENSOR,
    &sockets::SENSOR,
    &interfaces::ADDRESSES,
    &interfaces::LINKS,
    &temperatures::TEMPERATURES,
    &temperatures::FANS,
    &battery::SENSOR,
    &kernel::BOOT,
    &users::SENSOR,
    &load::SENSOR,
    &gpu::SENSOR,
    &slurm::SENSOR,
];

/// Their sections.
pub const SECTIONS: &[&Section] = &{
    let mut all = [&SENSORS[0].section; SENSORS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = &SENSORS[at].section;
        at += 1;
    }
    all
};

/// What they measure.
pub const MEASUREMENTS: &[&Measurement] = &{
    let mut all = [SENSORS[0].measurements[0]; count()];
    let (mut sensor, mut at) = (0, 0);
    while sensor < SENSORS.len() {
        let mut member = 0;
        while member < SENSORS[sensor].measurements.len() {
            all[at] = SENSORS[sensor].measurements[member];
            (member, at) = (member + 1, at + 1);
        }
        sensor += 1;
    }
    all
};

const fn count() -> usize {
    let (mut count, mut sensor) = (0, 0);
    while sensor < SENSORS.len() {
        count += SENSORS[sensor].measurements.len();
        sensor += 1;
    }
    count
}

/// Returns the sensor `name`.
pub fn sensor(name: &str) -> Option<&'static Sensor> {
    SENSORS.iter().copied().find(|sensor| sensor.name == name)
}

/// Reads the sections of the sensors. Returns those that run: all that need not be named, and those that are, without those
/// that are switched off.
///
/// # Errors
/// Fails if a value is not of its key's kind.
pub fn chosen(sections: &Sections) -> Result<Vec<Chosen>> {
    let read = |sensor: &&'static Sensor| Chosen::read(sensor, &sections.values(&sensor.section));
    let all: Vec<_> = SENSORS.iter().map(read).collect::<Result<_>>()?;
    let runs = |one: &Chosen| one.is_enabled && (one.sensor.is_default || sections.contains(&one.sensor.section));
    Ok(all.into_iter().filter(runs).collect())
}

/// Returns `part` of `whole` in percent, to a tenth, as psutil does; 0 of nothing.
fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole * 1000.0).round() / 10.0 } else { 0.0 }
}

/// Returns the problem of lines of a file that are not of numbers, by the names of their devices.
fn unreadable(file: &str, names: &[&str], missing: &str) -> Option<Problem> {
    let (first, others) = names.split_first()?;
    let others = if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
    Some(Problem::of_source(file, format!("the line of {}{others} is not of numbers; {missing}", quote(first))))
}

/// Returns a counter as an integer of a point, which ends at 2⁶³.
fn int(counter: u64) -> i64 {
    i64::try_from(counter).unwrap_or(i64::MAX)
}

/// Returns the values of counters, and their rates where they have one.
fn with_rates<const N: usize>(
    counters: &[Field<i64>; N],
    rates: &[Field<f64>; N],
    values: &[u64; N],
    gained: &[Option<f64>; N],
) -> Vec<FieldValue> {
    let mut fields = Vec::with_capacity(2 * N + 1);
    fields.extend((0..N).map(|at| counters[at].of(int(values[at]))));
    fields.extend((0..N).filter_map(|at| Some(rates[at].of(gained[at]?))));
    fields
}

/// Returns the declarations of counters and of their rates, `M` in all.
const fn declared<const N: usize, const M: usize>(
    counters: &[Field<i64>; N],
    rates: &[Field<f64>; N],
) -> [FieldInfo; M] {
    assert!(M == 2 * N, "each counter has a rate");
    let mut all = [counters[0].info(); M];
    let mut at = 0;
    while at < N {
        all[at] = counters[at].info();
        all[N + at] = rates[at].info();
        at += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_can_be_switched_off() {
        let names = |text: &str| -> Vec<&str> {
            let sections = Sections::read(text, "c.cfg", SECTIONS).unwrap();
            chosen(&sections).unwrap().iter().map(|one| one.sensor.name).collect()
        };
        let all = names("");
        assert!(all.contains(&"Users") && !all.contains(&"Slurm"));
        let fewer = names("[sensor:Users]\nenabled = no\n[sensor:Slurm]\nenabled = no\n");
        assert_eq!(fewer, all.iter().copied().filter(|name| *name != "Users").collect::<Vec<_>>());
        assert!(names("[sensor:Slurm]\nenabled = yes\n").contains(&"Slurm"));
        central::check("[sensor:Users]\nenabled = no\n", "f").unwrap();
    }
}
