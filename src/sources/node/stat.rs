//! /proc/stat: the times of the CPUs in hundredths of a second, and counters of the kernel.
//!
//! ```text
//! cpu  75829 5215 23803 34603 659 0 592 109 0 0
//! cpu0 38070 2610 11806 17182 333 0 311 55 0 0
//! intr 1381496 0 9 0 …
//! ctxt 4847906
//! btime 1795655894
//! softirq 1268362 0 …
//! ```

use anyhow::{Result, ensure};

/// The clock ticks in a second (USER_HZ), on every architecture that Linux and Rust share.
pub const TICKS: f64 = 100.0;

/// The columns of a CPU, in their order.
pub const COLUMNS: [&str; 10] =
    ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];

/// The time of one CPU, or of all, in ticks. Older kernels lack the last columns, which then are 0.
pub type Ticks = [u64; COLUMNS.len()];

/// /proc/stat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The sum of all CPUs.
    pub all: Ticks,
    /// Each CPU that is online, with its number.
    pub cpus: Vec<(u32, Ticks)>,
    /// Switches from task to task.
    pub ctxt: Option<u64>,
    /// Interrupts.
    pub intr: Option<u64>,
    /// Soft interrupts.
    pub softirq: Option<u64>,
    /// When the machine was started, in unix seconds.
    pub btime: Option<u64>,
}

/// Parses the file.
///
/// # Errors
/// Fails if the line of all CPUs is missing or no line of numbers.
pub fn parse(text: &str) -> Result<Stat> {
    let mut stat = Stat::default();
    let mut has_all = false;
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(' ') else { continue };
        let first = || rest.split_ascii_whitespace().next()?.parse().ok();
        match name {
            "cpu" => {
                let Some(ticks) = ticks(rest) else { continue };
                (stat.all, has_all) = (ticks, true);
            }
            "ctxt" => stat.ctxt = first(),
            "intr" => stat.intr = first(),
            "softirq" => stat.softirq = first(),
            "btime" => stat.btime = first(),
            _ => {
                let number = name.strip_prefix("cpu").and_then(|number| number.parse().ok());
                if let (Some(number), Some(ticks)) = (number, ticks(rest)) {
                    stat.cpus.push((number, ticks));
                }
            }
        }
    }
    ensure!(has_all, "the line of all CPUs is missing");
    Ok(stat)
}

/// Returns the columns of a line; `None` if one is no number, or if it has not the four that every kernel has.
fn ticks(text: &str) -> Option<Ticks> {
    let mut ticks = Ticks::default();
    let mut count = 0;
    for (place, word) in ticks.iter_mut().zip(text.split_ascii_whitespace()) {
        *place = word.parse().ok()?;
        count += 1;
    }
    (count >= 4).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_told_by_their_numbers_and_old_kernels_have_fewer_columns() {
        let text = "cpu  9 8 7 6\ncpu0 1 2 3 4 5\ncpu2 1 2 3 4 5 6 7 8 9 10 11\ncpu3 1 2\ncpux 1 2 3 4\nintr 5 1 1\nctxt 6\nbtime 7\nsoftirq 8 1\n";
        let stat = parse(text).unwrap();
        assert_eq!(stat.all, [9, 8, 7, 6, 0, 0, 0, 0, 0, 0]);
        let cpus = vec![(0, [1, 2, 3, 4, 5, 0, 0, 0, 0, 0]), (2, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])];
        assert_eq!(stat.cpus, cpus);
        assert_eq!((stat.intr, stat.ctxt, stat.btime, stat.softirq), (Some(5), Some(6), Some(7), Some(8)));
        parse("").unwrap_err();
        parse("cpu  1 2 3 x\n").unwrap_err();
    }
}
