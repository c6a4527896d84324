//! Settings of sensors that a master keeps for many nodes: a text of sections `[sensor:NAME]` for all nodes and
//! `[sensor:NAME PATTERN]` for those whose host fits the pattern, in which `*` stands for any characters and `?` for one.
//!
//! ```text
//! [sensor:CPUPercent]
//! time_interval = 30
//!
//! [sensor:CPUPercent gpu*.example.org]
//! time_interval = 5
//! ```
//!
//! Of two values for one key the later section's counts. Intervals and filters alone can be set: somebody who controls a master
//! must not make its nodes run a command, read a file or send elsewhere. A sensor can be switched off, and none on that a node's
//! own config leaves out. So the agent checks what it gets as the master does.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};

use super::options::fits;
use super::{Chosen, SECTIONS, sensor};
use crate::config::Sections;
use crate::text::quote;

/// The keys that can be set: intervals, whether a sensor runs, and which of the things that it finds it measures.
pub const KEYS: &[&str] = &[
    "time_interval",
    "enabled",
    "per_cpu",
    "devices",
    "interfaces",
    "exclude",
    "total",
    "types",
    "exclude_types",
    "kind",
    "chips",
    "jobs_interval",
];

/// The largest text, in bytes.
pub const LONGEST: usize = 256 << 10;

/// Returns the settings for a host as sections without patterns; empty if there are none. `file` names the text in errors.
///
/// # Errors
/// Fails, whichever the host is, if a section or key is none that can be set, or a value is not of its key's kind.
pub fn for_host(text: &str, file: &str, host: &str) -> Result<String> {
    ensure!(text.len() <= LONGEST, "{file} is larger than {LONGEST} bytes");
    let mut settings = BTreeMap::<String, BTreeMap<String, String>>::new();
    for block in blocks(text, file)? {
        let Block { sensor, pattern, lines } = block;
        check(&format!("{lines}\n"), file)?;
        // The host's name may end with a dot, which says that its dots begin folders in Carbon paths.
        if pattern.as_deref().is_some_and(|pattern| !fits(pattern, host.trim_end_matches('.'))) {
            continue;
        }
        let values = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';', '[']));
        let values = values.filter_map(|line| line.split_once(['=', ':']));
        let values = values.map(|(key, value)| (key.trim().to_string(), value.trim().to_string()));
        settings.entry(sensor).or_default().extend(values);
    }
    let mut all = String::new();
    for (sensor, values) in settings.iter().filter(|(_, values)| !values.is_empty()) {
        let _ = writeln!(all, "[sensor:{sensor}]");
        for (key, value) in values {
            let _ = writeln!(all, "{key} = {value}");
        }
    }
    Ok(all)
}

/// Reads settings without patterns, as a master sends them.
///
/// # Errors
/// As [`for_host`].
pub fn check(text: &str, file: &str) -> Result<Sections> {
    ensure!(text.len() <= LONGEST, "{file} is larger than {LONGEST} bytes");
    let sections = Sections::read(text, file, SECTIONS)?;
    for section in SECTIONS.iter().filter(|section| sections.contains(section)) {
        let values = sections.values(section);
        for key in section.keys.iter().filter(|key| values.gives(key.name)) {
            if !KEYS.contains(&key.name) {
                let error = anyhow::anyhow!("cannot be set for other hosts: only intervals and filters can");
                return Err(values.error(key.name, error));
            }
            if values.spelling(key.name).is_some() {
                return Err(
                    values.error(key.name, anyhow::anyhow!("a value for other hosts stands in the text itself"))
                );
            }
        }
        let name = section.name.trim_start_matches("sensor:");
        Chosen::read(sensor(name).with_context(|| format!("there is no sensor {name}"))?, &values)?;
    }
    Ok(sections)
}

/// A section of the text.
struct Block {
    sensor: String,
    pattern: Option<String>,
    /// As many empty lines as stand before it, its head without the pattern, and its lines.
    lines: String,
}

fn blocks(text: &str, file: &str) -> Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let trimmed = line.trim();
        let head = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match (head, blocks.last_mut()) {
            (Some(head), _) => {
                let Some(head) = head.strip_prefix("sensor:") else {
                    bail!(
                        "{file} line {}: unknown section {}; there are [sensor:NAME] and [sensor:NAME PATTERN]",
                        at + 1,
                        quote(trimmed)
                    )
                };
                let (sensor, pattern) = match head.split_once(char::is_whitespace) {
                    Some((sensor, pattern)) => (sensor, Some(pattern.trim().to_string())),
                    None => (head, None),
                };
                let lines = format!("{}[sensor:{sensor}]", "\n".repeat(at));
                blocks.push(Block { sensor: sensor.into(), pattern, lines });
            }
            (None, Some(block)) => {
                block.lines.push('\n');
                block.lines.push_str(line);
            }
            (None, None) if trimmed.is_empty() || trimmed.starts_with(['#', ';']) => {}
            (None, None) => bail!("{file} line {}: {} stands before any section", at + 1, quote(trimmed)),
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# all\n[sensor:CPUPercent]\ntime_interval = 30\n\n[sensor:DiskIOCounters]\nexclude = loop* ram*\n\
                        [sensor:CPUPercent gpu?.example.org]\ntime_interval = 5\nper_cpu = yes\n";

    #[test]
    fn the_later_section_that_fits_the_host_counts() {
        let all = "[sensor:CPUPercent]\ntime_interval = 30\n[sensor:DiskIOCounters]\nexclude = loop* ram*\n";
        assert_eq!(for_host(TEXT, "f", "wn1.example.org").unwrap(), all);
        let gpus =
            "[sensor:CPUPercent]\nper_cpu = yes\ntime_interval = 5\n[sensor:DiskIOCounters]\nexclude = loop* ram*\n";
        assert_eq!(for_host(TEXT, "f", "gpu1.example.org.").unwrap(), gpus);
        assert!(check(gpus, "f").is_ok());
        assert_eq!(for_host("", "f", "h").unwrap(), "");
    }

    #[test]
    fn what_is_no_interval_and_no_filter_is_refused_and_named() {
        for (text, named) in [
            ("[sensor:GPU]\ncommand = /tmp/x", "line 2: [sensor:GPU] command: cannot be set"),
            ("[sensor:GPU wn*]\n\nkeep_running = yes", "line 3: [sensor:GPU] keep_running: cannot be set"),
            ("[sensor:DiskUsage]\npath = /etc", "path: cannot be set"),
            ("[sensor:CPUPercent]\nprefix = original", "prefix: cannot be set"),
            ("[sensor:Slurm]\ncluster = x", "cluster: cannot be set"),
            ("[sensor:DiskIOCounters]\ndevices = file:/etc/shadow", "stands in the text itself"),
            ("[sensor:DiskIOCounters]\ndevices = ${HOME}", "stands in the text itself"),
            ("[sensor:CPUPercent]\ntime_interval = 0", "time_interval"),
            ("[sensor:CPUPercent other.host]\ntime_interval = oops", "time_interval"),
            ("[sensor:NoSuch]\ntime_interval = 5", "NoSuch"),
            ("[carbon]\nhost = evil", "unknown section"),
            ("[qmaster]\nhost = evil", "unknown section"),
            ("time_interval = 5", "before any section"),
        ] {
            let error = format!("{:#}", for_host(text, "f", "h").unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
        // The agent trusts the master no more than that.
        for text in [
            "[sensor:GPU]\ncommand = /tmp/x\n",
            "[carbon]\nhost = evil\n",
            "[sensor:CPUPercent *]\ntime_interval = 5\n",
        ] {
            assert!(check(text, "f").is_err(), "{text}");
        }
    }
}
