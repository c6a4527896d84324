//! Parses and formats times; all are UTC.

use anyhow::{Result, anyhow, ensure};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Nanoseconds in a second; points have their time in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

/// How far another clock may be ahead of the reader's own before it counts as wrong, in seconds.
pub const AHEAD: i64 = 120;

/// Whether a time claims to be later than `now`, by a clock that is wrong; both in unix seconds.
pub fn is_ahead(time: i64, now: i64) -> bool {
    time.saturating_sub(now) > AHEAD
}

/// Returns the last day up to `day` that is this day of the week, Monday being 0; days are those since 1970.
pub fn last_weekday(day: i64, weekday: i64) -> i64 {
    // 1970 began with a Thursday.
    day - (day + 3 - weekday).rem_euclid(7)
}

/// Formats a time to the minute: `2024-06-01 12:30 UTC`.
pub fn utc(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns the time one month of the calendar before another, in UTC; both in unix seconds.
pub fn month_before(seconds: i64) -> i64 {
    let before = Timestamp::from_second(seconds).map(|time| time.to_zoned(TimeZone::UTC).saturating_sub(1.month()));
    before.map_or(seconds, |before| before.timestamp().as_second())
}

/// Parses unix seconds, RFC 3339, or `YYYY-mm-dd` with `HH:MM:SS` or without in UTC; returns unix seconds.
///
/// # Errors
/// Fails if the text is not a time from 1970 to 2262.
pub fn parse_time(text: &str) -> Result<i64> {
    let seconds = if let Ok(seconds) = text.parse::<i64>() {
        seconds
    } else if let Ok(time) = text.parse::<Timestamp>() {
        time.as_second()
    } else {
        let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", text);
        // Of a time as well, jiff takes the day alone.
        let day = || text.parse::<Date>().ok().filter(|day| day.to_string() == text).map(DateTime::from);
        let civil = civil.ok().or_else(day);
        let civil = civil.and_then(|civil| civil.to_zoned(TimeZone::UTC).ok());
        civil
            .ok_or_else(|| anyhow!("give unix seconds, RFC 3339, or YYYY-mm-dd, with HH:MM:SS or without, in UTC"))?
            .timestamp()
            .as_second()
    };
    // Points have their time in nanoseconds, in 64 bits.
    ensure!((0..i64::MAX / SECOND).contains(&seconds), "give a time from 1970 to 2262");
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_read_as_people_write_it() {
        for (text, seconds) in [
            ("1717245000", 1_717_245_000),
            ("2024-06-01T12:30:00Z", 1_717_245_000),
            ("2024-06-01T14:30:00+02:00", 1_717_245_000),
            ("2024-06-01 12:30:00", 1_717_245_000),
            ("2024-06-01", 1_717_200_000),
            ("0", 0),
        ] {
            assert_eq!(parse_time(text).unwrap(), seconds, "{text}");
        }
        for text in ["", "yesterday", "2024-13-01 00:00:00", "-5", "9999-01-01T00:00:00Z", "99999999999999"] {
            parse_time(text).unwrap_err();
        }
    }
}
