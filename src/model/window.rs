//! A half-open time range in UTC.

/// A half-open time range, in nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The first time in the range.
    pub from: i64,
    /// The first time after the range.
    pub to: i64,
}

impl Window {
    /// All times.
    pub const ALL: Self = Self { from: i64::MIN, to: i64::MAX };

    /// Returns the window of this length, in nanoseconds, that holds `time`. Windows of one length do not overlap.
    ///
    /// # Panics
    /// Panics if the length is not positive.
    pub fn holding(time: i64, length: i64) -> Self {
        assert!(length > 0, "a window has a length");
        let from = time.div_euclid(length).saturating_mul(length);
        Self { from, to: from.saturating_add(length) }
    }

    /// Whether a time is in the range.
    pub fn contains(self, time: i64) -> bool {
        (self.from..self.to).contains(&time)
    }
}
