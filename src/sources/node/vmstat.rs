//! /proc/vmstat: counters of the kernel's memory, in pages.
//!
//! ```text
//! pswpin 0
//! pswpout 0
//! ```

/// Returns how many pages were read from swap, and written to it; `None` in a kernel without swap.
pub fn swapped(text: &str) -> Option<[u64; 2]> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line?.trim().parse().ok()
    };
    Some([value("pswpin")?, value("pswpout")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counters_are_needed() {
        assert_eq!(swapped("pswpin 5\npswpout 6\npswpinx 7\n"), Some([5, 6]));
        assert_eq!(swapped("pswpin 5\n"), None);
        assert_eq!(swapped("pswpin 5\npswpout -6"), None);
    }
}
