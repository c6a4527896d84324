//! How long the machine has been running: a clock that nobody sets.

use std::fs;
use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment since the machine was started. Moments of two starts cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uptime {
    /// Names this start of the machine.
    pub boot: String,
    /// Seconds since then, sleep included.
    pub seconds: i64,
}

impl Uptime {
    /// Returns the present moment.
    pub fn now() -> Self {
        static BOOT: OnceLock<String> = OnceLock::new();
        // Without /proc all starts look alike; the seconds then still tell most of them apart.
        let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string();
        Self { boot: BOOT.get_or_init(read).clone(), seconds: clock_gettime(ClockId::Boottime).tv_sec }
    }

    /// Returns the present moment to the nanosecond, in ns since the machine was started.
    pub fn nanoseconds() -> i64 {
        let now = clock_gettime(ClockId::Boottime);
        now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
    }

    /// Returns the seconds since an earlier moment of the same start; `None` if it was of another one.
    pub fn since(&self, earlier: &Self) -> Option<i64> {
        let passed = self.seconds - earlier.seconds;
        (self.boot == earlier.boot && passed >= 0).then_some(passed)
    }
}
