//! /proc/meminfo: the machine's memory, in kB that mean KiB.
//!
//! ```text
//! MemTotal:       24684092 kB
//! MemFree:        19887120 kB
//! HugePages_Total:       0
//! ```

use anyhow::{Context, Result};

/// What is used of /proc/meminfo, in bytes; a line that an old kernel lacks is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Meminfo {
    pub total: i64,
    pub free: i64,
    pub available: Option<i64>,
    pub buffers: Option<i64>,
    pub cached: Option<i64>,
    pub reclaimable: Option<i64>,
    pub shared: Option<i64>,
    pub slab: Option<i64>,
    pub active: Option<i64>,
    pub inactive: Option<i64>,
    pub active_file: Option<i64>,
    pub inactive_file: Option<i64>,
    pub swap_total: Option<i64>,
    pub swap_free: Option<i64>,
}

/// Parses the file.
///
/// # Errors
/// Fails if MemTotal or MemFree is missing or no number.
pub fn parse(text: &str) -> Result<Meminfo> {
    let (mut found, mut total, mut free) = (Meminfo::default(), None, None);
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let place = match name {
            "MemTotal" => &mut total,
            "MemFree" => &mut free,
            "MemAvailable" => &mut found.available,
            "Buffers" => &mut found.buffers,
            "Cached" => &mut found.cached,
            "SReclaimable" => &mut found.reclaimable,
            "Shmem" => &mut found.shared,
            "Slab" => &mut found.slab,
            "Active" => &mut found.active,
            "Inactive" => &mut found.inactive,
            "Active(file)" => &mut found.active_file,
            "Inactive(file)" => &mut found.inactive_file,
            "SwapTotal" => &mut found.swap_total,
            "SwapFree" => &mut found.swap_free,
            _ => continue,
        };
        *place = bytes(rest);
    }
    found.total = total.filter(|total| *total > 0).context("MemTotal is missing")?;
    found.free = free.context("MemFree is missing")?;
    Ok(found)
}

/// Returns ` 123 kB` in bytes.
fn bytes(text: &str) -> Option<i64> {
    let kib: i64 = text.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024).filter(|bytes| *bytes >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_name_and_what_is_no_number_of_kib_is_absent() {
        let text =
            "MemTotal: 8 kB\nMemFree:  2 kB\nBuffers: x kB\nCached: 9\nSlab: -1 kB\nActive(anon): 7 kB\nShmem: 1 kB\n";
        let found = Meminfo { total: 8192, free: 2048, shared: Some(1024), ..Meminfo::default() };
        assert_eq!(parse(text).unwrap(), found);
        for text in ["", "MemTotal: 8 kB\n", "MemFree: 8 kB\n", "MemTotal: 0 kB\nMemFree: 0 kB"] {
            parse(text).unwrap_err();
        }
    }
}
