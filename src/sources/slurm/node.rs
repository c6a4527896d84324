//! The nodes: `scontrol -a -o -d show node`, a line each.

use anyhow::{Context, Result, ensure};

use crate::text::quote;

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its name in Slurm (`NodeName`).
    pub name: String,
    /// The first word of its state, in lower case: `idle`, `mixed`, `allocated`, `down` …
    pub base: String,
    /// The other words of its state, in lower case: `drain`, `not_responding` …
    pub flags: Vec<String>,
    /// Its processors that are allocated (`CPUAlloc`).
    pub cpus_alloc: i64,
    /// Its processors (`CPUTot`).
    pub cpus: i64,
    /// Its memory, in bytes (`RealMemory`).
    pub memory_bytes: Option<i64>,
    /// Its memory that is allocated, in bytes (`AllocMem`).
    pub memory_alloc_bytes: Option<i64>,
    /// Its memory that is free by its kernel, in bytes (`FreeMem`); `None` of a node that never answered.
    pub memory_free_bytes: Option<i64>,
    /// Its GPUs (`Gres`).
    pub gpus: i64,
    /// Its GPUs that are allocated (`GresUsed`); `None` if a node with GPUs does not tell.
    pub gpus_alloc: Option<i64>,
    /// Its partitions.
    pub partitions: Vec<String>,
}

impl Node {
    /// Whether its state has this word.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

/// Slurm's megabytes.
const MIB: i64 = 1 << 20;

/// Parses a line. Returns `None` for one that goes on with the text that a person gave a node, and for an empty one.
///
/// # Errors
/// Fails if the line of a node lacks its state or processors, or if a number is none.
pub fn parse(line: &str) -> Result<Option<Node>> {
    let fields = Fields::of(line);
    let Some(name) = fields.get("NodeName") else { return Ok(None) };
    let needed = |key: &str| fields.get(key).with_context(|| format!("tells no {key} of node {}", quote(name)));
    let number = |key: &str, text: &str| {
        let number = text.parse::<i64>().ok().filter(|number| (0..=1 << 40).contains(number));
        number.with_context(|| format!("tells of node {} {key}={}", quote(name), quote(text)))
    };
    let memory = |key: &str| match fields.get(key) {
        None | Some("N/A") => Ok(None),
        Some(text) => number(key, text).map(|number| Some(number.saturating_mul(MIB))),
    };
    let (base, flags) = read_state(needed("State")?);
    ensure!(!base.is_empty(), "tells no State of node {}", quote(name));
    let gpus = gpus(fields.get("Gres").unwrap_or("(null)"));
    // 24.11 and later do not list the use of what a node does not have.
    let gpus_alloc = fields.get("GresUsed").map(self::gpus).or((gpus == 0).then_some(0));
    Ok(Some(Node {
        name: name.into(),
        base,
        flags,
        cpus_alloc: number("CPUAlloc", needed("CPUAlloc")?)?,
        cpus: number("CPUTot", needed("CPUTot")?)?,
        memory_bytes: memory("RealMemory")?,
        memory_alloc_bytes: memory("AllocMem")?,
        memory_free_bytes: memory("FreeMem")?,
        gpus,
        gpus_alloc,
        partitions: names(fields.get("Partitions").unwrap_or_default()),
    }))
}

/// Splits a state, `MIXED+DRAIN`, into its base and its flags. 20.11 marks a node that does not answer as sinfo does: `IDLE*`.
pub fn read_state(state: &str) -> (String, Vec<String>) {
    let mut flags = Vec::new();
    let mut words = state.split('+').map(|marked| {
        let word = marked.trim_end_matches(|mark| flag_of(mark).is_some());
        (word.to_ascii_lowercase(), marked[word.len()..].chars().filter_map(flag_of))
    });
    let (base, marks) = words.next().expect("split returns one part at least");
    flags.extend(marks.map(String::from));
    for (word, marks) in words {
        flags.extend(Some(word).filter(|word| !word.is_empty()));
        flags.extend(marks.map(String::from));
    }
    flags.sort();
    flags.dedup();
    (base, flags)
}

/// Returns the flag that a mark at the end of a state stands for.
fn flag_of(mark: char) -> Option<&'static str> {
    Some(match mark {
        '*' => "not_responding",
        '~' => "powered_down",
        '#' => "powering_up",
        '!' => "power_down",
        '%' => "powering_down",
        '$' => "maintenance",
        '@' => "reboot_requested",
        '^' => "reboot_issued",
        '-' => "planned",
        _ => return None,
    })
}

/// Returns the GPUs in a list of generic resources: `gpu:h100:4(S:0-1),shard:8,tmp:844G`. Shards and shares of GPUs are none.
pub fn gpus(list: &str) -> i64 {
    // 21.08 was seen with two lists; the last one is that of the key.
    let list = list.split_whitespace().next_back().unwrap_or_default();
    let mut count = 0_i64;
    for entry in entries(list) {
        // `(S:0-1)` and `(IDX:0,2)` follow the count; the type may be `(null)`.
        let entry =
            ["(S:", "(IDX:", "(CNT:"].iter().find_map(|mark| entry.split_once(mark)).map_or(entry, |(entry, _)| entry);
        let mut parts = entry.split(':');
        if parts.next() != Some("gpu") {
            continue;
        }
        // Without a number the last part is the type, of which there is one.
        let number = parts.next_back().and_then(counted).unwrap_or(1);
        count = count.saturating_add(number.clamp(0, 1 << 20));
    }
    count
}

/// Returns the count of a generic resource: `4`, or `2K`, by which Slurm shortens whole multiples of 1,024.
fn counted(text: &str) -> Option<i64> {
    let (number, unit) = match text.char_indices().next_back()? {
        (at, 'K') => (&text[..at], 1 << 10),
        (at, 'M') => (&text[..at], 1 << 20),
        _ => (text, 1),
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

/// Splits a list at its commas, except those in parentheses.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    list.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// Returns the names of a list: `batch,gpu`. sinfo marks the default partition with a star.
pub(super) fn names(list: &str) -> Vec<String> {
    let names =
        list.split(',').map(|name| name.trim_end_matches('*')).filter(|name| !name.is_empty() && *name != "(null)");
    names.map(String::from).collect()
}

/// The fields of a line, `KEY=VALUE` between blanks, up to the first text that a person wrote.
pub(super) struct Fields<'a>(Vec<(&'a str, &'a str)>);

/// The keys whose values people write: whatever stands after them may look like anything.
const WRITTEN: [&str; 3] = ["Reason", "Comment", "Extra"];

impl<'a> Fields<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        let line = line.trim_end_matches('\r');
        let mut fields = Vec::<(&str, &str)>::new();
        let mut words = line.split(' ').scan(0, |at, word| {
            let from = *at;
            *at += word.len() + 1;
            Some((from, word))
        });
        // The begin of the last value.
        let mut begin = 0;
        for (from, word) in &mut words {
            match word.split_once('=') {
                Some((key, _)) if WRITTEN.contains(&key) => break,
                Some((key, value))
                    if !key.is_empty()
                        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:/".contains(&byte)) =>
                {
                    begin = from + key.len() + 1;
                    fields.push((key, value));
                }
                // The value goes on after a blank.
                _ => {
                    if let Some((_, value)) = fields.last_mut().filter(|_| !word.is_empty()) {
                        *value = &line[begin..from + word.len()];
                    }
                }
            }
        }
        Self(fields)
    }

    /// Returns the first value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }
}
