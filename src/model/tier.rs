//! The tiers of points: raw, hourly, daily.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};

use super::SECOND;

/// A tier of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// As collected.
    Raw,
    /// Folded over hours.
    Hour,
    /// Folded over days.
    Day,
}

impl Tier {
    /// All tiers, the finest first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Hour, Self::Day];

    /// Returns its name in batches, exports and InfluxDB: `raw`, `1h`, `1d`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// Returns how long before a point the window begins that it is folded from, in nanoseconds; 0 for raw points.
    pub fn window(self) -> i64 {
        if self == Self::Raw { 0 } else { self.step_seconds() * SECOND }
    }

    /// Returns the time between two of its points, in seconds; for raw points the shortest interval of any program.
    pub fn step_seconds(self) -> i64 {
        match self {
            Self::Raw => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Tier {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.name() == name)
            .with_context(|| format!("{name:?} is not a tier: raw, 1h or 1d"))
    }
}
