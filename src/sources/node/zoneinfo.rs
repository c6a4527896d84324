//! /proc/zoneinfo: the watermarks of the kernel's memory zones, in pages.
//!
//! ```text
//! Node 0, zone      DMA
//!   pages free     3840
//!         min      11
//!         low      14
//! ```

/// The size of a page, in bytes, as on every machine whose kernel does not tell what is available.
const PAGE: i64 = 4096;

/// Returns the sum of the low watermarks, in bytes.
pub fn low_watermark(text: &str) -> i64 {
    let lows = text.lines().filter_map(|line| line.trim_start().strip_prefix("low ")?.trim().parse::<i64>().ok());
    lows.fold(0_i64, i64::saturating_add).saturating_mul(PAGE).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_watermarks_of_all_zones_add_up() {
        let text = "Node 0, zone DMA\n  pages free 3840\n        min      11\n        low      14\n  high 2\n low x\n  low 6\n";
        assert_eq!(low_watermark(text), 20 * 4096);
        assert_eq!(low_watermark(""), 0);
    }
}
