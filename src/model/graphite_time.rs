//! Parses times as Graphite's users write them, in UTC: `now`, `-6h`, `now-2d`, `today-7d`, `monday`, `2024-06-01`,
//! `12:30_20240601`, unix seconds. Graphite does not know these: `thisweek` (which began on Monday), `thismonth`,
//! `thisyear`.

use anyhow::{Context, Result, bail, ensure};
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::model::{SECOND, parse_time};
use crate::text::quote;

/// Parses a time, relative to `now`; both are in unix seconds.
///
/// # Errors
/// Fails if the text is not a time, or the time is before 1970 or after 2262.
pub fn parse(text: &str, now: i64) -> Result<i64> {
    let text = text.trim();
    let time = interpret(text, now).with_context(|| {
        format!(
            "{} is no time: give now, -6h, now-2d, today-7d, monday, 2024-06-01, 12:30_20240601 or unix seconds",
            quote(text)
        )
    })?;
    ensure!((0..i64::MAX / SECOND).contains(&time), "{} is not within 1970 to 2262", quote(text));
    Ok(time)
}

fn interpret(text: &str, now: i64) -> Result<i64> {
    let now = Timestamp::from_second(now)?.to_zoned(TimeZone::UTC).datetime();
    // Eight digits are a day, 20240601, as in Graphite.
    let is_day = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Ok(time) = parse_time(text)
        && !is_day
    {
        return Ok(time);
    }
    if let Ok(day) = text.parse::<Date>() {
        return seconds(day.to_datetime(Time::midnight()));
    }
    let text = text.to_ascii_lowercase();
    let sign = text.find(['+', '-', ' ']).unwrap_or(text.len());
    let mut time = reference(&text[..sign], now)?;
    let mut rest = text[sign..].trim_start();
    while !rest.is_empty() {
        // A blank is a +, as URLs encode it.
        let (back, offset) = match rest.strip_prefix('-') {
            Some(offset) => (true, offset),
            None => (false, rest.strip_prefix('+').unwrap_or(rest)),
        };
        let end = offset.find(['+', '-', ' ']).unwrap_or(offset.len());
        time = shift(time, back, &offset[..end])?;
        rest = offset[end..].trim_start();
    }
    seconds(time)
}

fn seconds(time: DateTime) -> Result<i64> {
    Ok(time.to_zoned(TimeZone::UTC)?.timestamp().as_second())
}

/// Moves `time` by `6h`, `30min`, `1mon` or several of them in a row, as in `1d6h`.
fn shift(mut time: DateTime, back: bool, offset: &str) -> Result<DateTime> {
    ensure!(!offset.is_empty(), "an offset is missing");
    let mut rest = offset;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let number: i64 = number.parse().context("a number is missing or too large")?;
        let span = Span::new();
        let span = match unit {
            "s" | "sec" | "secs" | "second" | "seconds" => span.try_seconds(number),
            "min" | "mins" | "minute" | "minutes" => span.try_minutes(number),
            "h" | "hour" | "hours" => span.try_hours(number),
            "d" | "day" | "days" => span.try_days(number),
            "w" | "week" | "weeks" => span.try_weeks(number),
            "mon" | "month" | "months" => span.try_months(number),
            "y" | "year" | "years" => span.try_years(number),
            _ => bail!("{} is no unit: s, min, h, d, w, mon or y", quote(unit)),
        }?;
        time = if back { time.checked_sub(span) } else { time.checked_add(span) }?;
        rest = after;
    }
    Ok(time)
}

/// Returns the time from which an offset counts.
fn reference(word: &str, now: DateTime) -> Result<DateTime> {
    let at = |day: Date, hour: i8| day.at(hour, 0, 0, 0);
    let today = now.date();
    let day = match word {
        "" | "now" => return Ok(now),
        "noon" => return Ok(at(today, 12)),
        "teatime" => return Ok(at(today, 16)),
        "today" | "midnight" => today,
        "yesterday" => today.yesterday()?,
        "tomorrow" => today.tomorrow()?,
        "thisweek" => days_back(today, Weekday::Monday)?,
        "thismonth" => today.first_of_month(),
        "thisyear" => today.first_of_year(),
        "monday" => days_back(today, Weekday::Monday)?,
        "tuesday" => days_back(today, Weekday::Tuesday)?,
        "wednesday" => days_back(today, Weekday::Wednesday)?,
        "thursday" => days_back(today, Weekday::Thursday)?,
        "friday" => days_back(today, Weekday::Friday)?,
        "saturday" => days_back(today, Weekday::Saturday)?,
        "sunday" => days_back(today, Weekday::Sunday)?,
        _ => {
            for format in ["%H:%M_%Y%m%d", "%H:%M_%y%m%d"] {
                if let Ok(time) = DateTime::strptime(format, word) {
                    return Ok(time);
                }
            }
            for format in ["%Y%m%d", "%m/%d/%y", "%m/%d/%Y"] {
                if let Ok(day) = Date::strptime(format, word) {
                    return Ok(at(day, 0));
                }
            }
            // The library's own message is about formats that the user never sees.
            let Ok(time) = Time::strptime("%H:%M", word) else { bail!("{} is not known", quote(word)) };
            return Ok(today.to_datetime(time));
        }
    };
    Ok(at(day, 0))
}

/// Returns the last such day of the week, today included.
fn days_back(today: Date, weekday: Weekday) -> Result<Date> {
    let days = today.weekday().since(weekday);
    Ok(today.checked_sub(Span::new().try_days(days)?)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Saturday, 2024-06-01 12:30:00 UTC.
    const NOW: i64 = 1_717_245_000;

    #[test]
    fn graphites_words_are_understood() {
        for (text, time) in [
            ("now", "2024-06-01T12:30:00Z"),
            ("", "2024-06-01T12:30:00Z"),
            ("-6h", "2024-06-01T06:30:00Z"),
            ("-6hours", "2024-06-01T06:30:00Z"),
            ("now-2d", "2024-05-30T12:30:00Z"),
            ("NOW-2D", "2024-05-30T12:30:00Z"),
            ("now-1d6h", "2024-05-31T06:30:00Z"),
            ("now-1d+6h", "2024-05-31T18:30:00Z"),
            ("now-1d 6h", "2024-05-31T18:30:00Z"),
            ("-5min", "2024-06-01T12:25:00Z"),
            ("-90s", "2024-06-01T12:28:30Z"),
            ("-1w", "2024-05-25T12:30:00Z"),
            ("-1mon", "2024-05-01T12:30:00Z"),
            ("-3months", "2024-03-01T12:30:00Z"),
            ("-5y", "2019-06-01T12:30:00Z"),
            ("today", "2024-06-01T00:00:00Z"),
            ("midnight", "2024-06-01T00:00:00Z"),
            ("today-7d", "2024-05-25T00:00:00Z"),
            ("noon", "2024-06-01T12:00:00Z"),
            ("yesterday", "2024-05-31T00:00:00Z"),
            ("monday", "2024-05-27T00:00:00Z"),
            ("saturday", "2024-06-01T00:00:00Z"),
            ("thisweek-1w", "2024-05-20T00:00:00Z"),
            ("thismonth-1mon", "2024-05-01T00:00:00Z"),
            ("thisyear-1y", "2023-01-01T00:00:00Z"),
            ("09:15", "2024-06-01T09:15:00Z"),
            ("12:30_20240501", "2024-05-01T12:30:00Z"),
            ("20240501", "2024-05-01T00:00:00Z"),
            ("05/01/24", "2024-05-01T00:00:00Z"),
            ("2024-05-01", "2024-05-01T00:00:00Z"),
            ("2024-05-01 07:08:09", "2024-05-01T07:08:09Z"),
            ("2024-05-01T07:08:09Z", "2024-05-01T07:08:09Z"),
            ("1714547289", "2024-05-01T07:08:09Z"),
        ] {
            let parsed = parse(text, NOW).unwrap_or_else(|error| panic!("{text}: {error:#}"));
            assert_eq!(Timestamp::from_second(parsed).unwrap().to_string(), time, "{text}");
        }
        for text in [
            "soon",
            "-6",
            "now-",
            "-6parsecs",
            "-99999999999999y",
            "now-5000y",
            "2024-13-01",
            "25:00",
            "9999-01-01",
            "\0",
        ] {
            parse(text, NOW).unwrap_err();
        }
        assert!(format!("{:#}", parse("soon", NOW).unwrap_err()).ends_with("unix seconds: \"soon\" is not known"));
        assert_eq!(
            format!("{:#}", parse("-6parsecs", NOW).unwrap_err()),
            "\"-6parsecs\" is no time: give now, -6h, now-2d, today-7d, monday, 2024-06-01, 12:30_20240601 or unix \
             seconds: \"parsecs\" is no unit: s, min, h, d, w, mon or y"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_refused(text in r"[a-z0-9:_/+\- é]{0,24}", now in 0..9_000_000_000_i64) {
            if let Ok(time) = parse(&text, now) {
                prop_assert!((0..i64::MAX / SECOND).contains(&time));
            }
        }
    }
}
