//! A half-open time in UTC.

/// A time from its beginning to before its end, in nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The first time in it.
    pub from: i64,
    /// The first time after it.
    pub to: i64,
}

impl Window {
    /// All times.
    pub const ALL: Self = Self { from: i64::MIN, to: i64::MAX };

    /// The window of this length, in nanoseconds, that holds `time`; windows of one length never overlap.
    ///
    /// # Panics
    /// When the length is not positive.
    pub fn holding(time: i64, length: i64) -> Self {
        assert!(length > 0, "a window has a length");
        let from = time.div_euclid(length).saturating_mul(length);
        Self { from, to: from.saturating_add(length) }
    }

    /// Whether a time is in it.
    pub fn contains(self, time: i64) -> bool {
        (self.from..self.to).contains(&time)
    }
}
