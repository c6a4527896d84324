//! From a stamp in a name to a time: in a zone, in UTC, or by when the file was last written.

use anyhow::{Context, Result};
use jiff::civil::{DateTime, time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::pattern::Stamp;

/// What is known of the zone of the stamps.
#[derive(Clone, Debug)]
pub enum Zone {
    /// The stamps are times of this zone.
    Known(TimeZone),
    /// Nobody said: a stamp is believed only where the file's time contradicts it.
    Unknown,
}

const DAY: i64 = 86_400;

/// The zone that is furthest ahead of UTC, in seconds.
const AHEAD: i64 = 14 * 3600;

/// How far the time of a file may be from its stamp, read as UTC, if the zone is unknown: a day, and the furthest zone.
const FAR: i64 = DAY + AHEAD;

impl Zone {
    /// Finds a zone by its name, such as `Asia/Shanghai` or `UTC`, in the time-zone database of this build.
    ///
    /// # Errors
    /// Fails if there is none of that name.
    pub fn named(name: &str) -> Result<Self> {
        let zone = TimeZoneDatabase::bundled().get(name);
        Ok(Self::Known(zone.ok().context("is no time zone such as Europe/Zurich or UTC")?))
    }

    /// UTC.
    pub fn utc() -> Self {
        Self::Known(TimeZone::UTC)
    }

    /// Returns when a backup was made, and the time of its stamp if that is known, in unix seconds.
    pub fn time(&self, stamp: Stamp, mtime: i64) -> (i64, Option<i64>) {
        match (self, stamp) {
            (_, Stamp::None) => (mtime, None),
            (_, Stamp::Instant(seconds)) => (seconds, Some(seconds)),
            (Self::Known(zone), Stamp::Local(local)) => {
                let time = in_zone(zone, local, mtime);
                (time, Some(time))
            }
            // The day alone: when the file was written, if that was on this day.
            (Self::Known(zone), Stamp::Day(day)) => {
                let begin = in_zone(zone, day.to_datetime(time(0, 0, 0, 0)), i64::MIN);
                let next = day.tomorrow().map(|next| in_zone(zone, next.to_datetime(time(0, 0, 0, 0)), i64::MIN));
                let end = next.unwrap_or(begin + DAY);
                (mtime.clamp(begin, (end - 1).max(begin)), Some(begin))
            }
            (Self::Unknown, Stamp::Local(local)) => unless_far(mtime, as_utc(local)),
            (Self::Unknown, Stamp::Day(day)) => unless_far(mtime, as_utc(day.to_datetime(time(0, 0, 0, 0)))),
        }
    }

    /// Returns the earliest that a time of a stamp alone may be: read as UTC, it may be up to 14 hours late.
    pub fn earliest(&self, time: i64) -> i64 {
        if self.is_known() { time } else { time - AHEAD }
    }

    /// Whether stamps have a zone.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// Returns the time of the file, unless it is far from the stamp.
fn unless_far(mtime: i64, stamp: i64) -> (i64, Option<i64>) {
    (if mtime.abs_diff(stamp) <= FAR as u64 { mtime } else { stamp }, Some(stamp))
}

/// Returns a local time as if it were UTC, in unix seconds.
pub fn as_utc(local: DateTime) -> i64 {
    let days = local.date().duration_since(jiff::civil::date(1970, 1, 1)).as_secs();
    days + i64::from(local.hour()) * 3600 + i64::from(local.minute()) * 60 + i64::from(local.second())
}

/// Returns a local time of a zone in unix seconds. In an hour that a change of clocks repeats: the later one, unless the
/// file was written before it. A time that a change skips is as much later as the change.
fn in_zone(zone: &TimeZone, local: DateTime, mtime: i64) -> i64 {
    let utc = as_utc(local);
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => utc - i64::from(offset.seconds()),
        AmbiguousOffset::Gap { before, .. } => utc - i64::from(before.seconds()),
        AmbiguousOffset::Fold { before, after } => {
            let [earlier, later] = [before, after].map(|offset| utc - i64::from(offset.seconds()));
            if later <= mtime { later } else { earlier }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_stamp_is_read_in_its_zone_also_where_clocks_change() {
        let zurich = Zone::named("Europe/Zurich").unwrap();
        let read = |local: DateTime, mtime: &str| zurich.time(Stamp::Local(local), at(mtime)).0;
        let night = |day, hour, minute| date(2026, 3, day).at(hour, minute, 0, 0);
        assert_eq!(read(night(28, 2, 30), "2026-03-28T02:00:00Z"), at("2026-03-28T01:30:00Z"));
        assert_eq!(read(night(29, 3, 0), "2026-03-29T02:00:00Z"), at("2026-03-29T01:00:00Z"));
        // 02:30 did not exist.
        assert_eq!(read(night(29, 2, 30), "2026-03-29T02:00:00Z"), at("2026-03-29T01:30:00Z"));
        // 02:30 on 25 October was twice.
        let twice = date(2026, 10, 25).at(2, 30, 0, 0);
        assert_eq!(read(twice, "2026-10-25T02:10:00Z"), at("2026-10-25T01:30:00Z"));
        assert_eq!(read(twice, "2026-10-25T01:10:00Z"), at("2026-10-25T00:30:00Z"));
        assert_eq!(read(twice, "2026-10-26T00:00:00Z"), at("2026-10-25T01:30:00Z"));
        assert!(Zone::named("Mars/Olympus").is_err());
    }

    #[test]
    fn a_day_is_the_time_of_the_file_within_it() {
        let shanghai = Zone::named("Asia/Shanghai").unwrap();
        let read = |mtime: &str| shanghai.time(Stamp::Day(date(2026, 3, 28)), at(mtime)).0;
        assert_eq!(read("2026-03-27T20:00:00Z"), at("2026-03-27T20:00:00Z"));
        assert_eq!(read("2026-03-20T20:00:00Z"), at("2026-03-27T16:00:00Z"), "written before its day");
        assert_eq!(read("2026-04-20T20:00:00Z"), at("2026-03-28T15:59:59Z"), "copied long after it");
    }

    #[test]
    fn without_a_zone_the_file_tells_unless_it_is_far_off() {
        let read = |mtime: &str| Zone::Unknown.time(Stamp::Local(date(2026, 3, 28).at(10, 47, 2, 0)), at(mtime)).0;
        assert_eq!(read("2026-03-28T03:27:00Z"), at("2026-03-28T03:27:00Z"));
        assert_eq!(read("2026-04-03T03:27:00Z"), at("2026-03-28T10:47:02Z"), "copied anew");
        assert_eq!(Zone::Unknown.time(Stamp::None, 5), (5, None));
        assert_eq!(Zone::Unknown.time(Stamp::Instant(7), 5), (7, Some(7)));
        // Of the zone that is furthest ahead.
        let stamp = at("2026-03-28T10:47:02Z");
        let (kiritimati, _) =
            Zone::named("Pacific/Kiritimati").unwrap().time(Stamp::Local(date(2026, 3, 28).at(10, 47, 2, 0)), 0);
        assert_eq!((Zone::Unknown.earliest(stamp), Zone::utc().earliest(stamp)), (kiritimati, stamp));
    }
}
