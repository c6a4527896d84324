//! Parses times as Graphite's users write them, in UTC: `now`, `-6h`, `now-2d`, `today-7d`, `monday`, `20240601`,
//! `12:30_20240601`, `noon yesterday`, `6pm+today`, `january 8`, unix seconds. Graphite does not know these: `2024-06-01`,
//! `2024-06-01 12:30`, a day before the time, `last monday` (before today), `thisweek` (which began on Monday), `thismonth`, `thisyear`,
//! and the units behind a slash, as Grafana writes them: `now/d` is the beginning of the day, `now-1w/w` that of the last week.
//!
//! What both know means the same (attime.py of graphite-web 1.1.8, which a test asks), but for four things: months and years are
//! those of the calendar, there 30 and 365 days; 12am is midnight and 12pm noon, there the other way round; `12:30_240601` is
//! documented there and refused; `20241301` is refused, there unix seconds.

use anyhow::{Context, Result, bail, ensure};
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::model::{SECOND, parse_time};
use crate::text::quote;

/// What stands between words. Graphite passes over blanks, `_` and `,`; a `+` is a blank, as addresses encode it.
const BETWEEN: [char; 4] = [' ', '_', ',', '+'];

/// Parses a time, relative to `now`; both are in unix seconds.
///
/// # Errors
/// Fails if the text is not a time, or the time is before 1970 or after 2262.
pub fn parse(text: &str, now: i64) -> Result<i64> {
    let text = text.trim();
    let time = interpret(text, now).with_context(|| {
        format!(
            "{} is no time: give now, -6h, now-2d, today-7d, monday, 2024-06-01, 2024-06-01 12:30 or unix seconds",
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
    // As a browser's field of date and time gives it.
    if let Ok(time) = DateTime::strptime("%Y-%m-%dT%H:%M", text) {
        return seconds(time);
    }
    let text = months(text).to_ascii_lowercase();
    let text = text.strip_suffix("utc").unwrap_or(&text).trim_matches([' ', '_', ',']);
    // A date in numbers has slashes too, but never before a letter.
    if let Some((before, unit)) = text.rsplit_once('/')
        && unit.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        return seconds(beginning(moved(before.trim_end(), now)?, unit)?);
    }
    seconds(moved(text, now)?)
}

/// Writes Grafana's `M`, a month, as `mon`: behind a digit or a slash, with nothing of a word behind it. All else has no case.
fn months(text: &str) -> String {
    let mut months = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let is_unit = text[..at].ends_with(|c: char| c.is_ascii_digit() || c == '/');
        let is_alone = !text[at + c.len_utf8()..].starts_with(|c: char| c.is_ascii_alphabetic());
        if c == 'M' && is_unit && is_alone { months.push_str("mon") } else { months.push(c) }
    }
    months
}

/// Returns the beginning of the unit that holds a time.
fn beginning(time: DateTime, unit: &str) -> Result<DateTime> {
    let (day, midnight) = (time.date(), Time::midnight());
    Ok(match unit {
        "s" => time.date().to_datetime(Time::new(time.hour(), time.minute(), time.second(), 0)?),
        "m" | "min" => day.to_datetime(Time::new(time.hour(), time.minute(), 0, 0)?),
        "h" => day.to_datetime(Time::new(time.hour(), 0, 0, 0)?),
        "d" => day.to_datetime(midnight),
        "w" => days_back(day, Weekday::Monday)?.to_datetime(midnight),
        "mon" => day.first_of_month().to_datetime(midnight),
        "y" => day.first_of_year().to_datetime(midnight),
        _ => bail!("{} is no unit to begin at: s, m, h, d, w, mon or y", quote(unit)),
    })
}

/// Returns a reference with its offsets.
fn moved(text: &str, now: DateTime) -> Result<DateTime> {
    // A date holds the sign of an offset, so the longest reference decides; a part that is not understood refuses the whole.
    let signs = text.rmatch_indices(['+', '-', ' ', '_', ',']).map(|(at, _)| at);
    for end in std::iter::once(text.len()).chain(signs) {
        if let Ok(time) = reference(&text[..end], now)
            && let Ok(time) = shifted(time, &text[end..])
        {
            return Ok(time);
        }
    }
    let sign = text.find(['+', '-', ' ']).unwrap_or(text.len());
    shifted(reference(&text[..sign], now)?, &text[sign..])
}

/// Moves `time` by `-1d`, `+ 6 hours`, or several of them in a row, as in `-1d6h`, which are 30 hours: a sign holds until the next one.
fn shifted(mut time: DateTime, offsets: &str) -> Result<DateTime> {
    let blanks = [' ', '_', ','];
    let mut is_back = false;
    let mut rest = offsets.trim_start_matches(blanks);
    while !rest.is_empty() {
        if let Some(signed) = rest.strip_prefix(['+', '-']) {
            is_back = rest.starts_with('-');
            rest = signed.trim_start_matches(blanks);
        }
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let after = after.trim_start_matches(blanks);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let span = span(number.parse().context("a number is missing or too large")?, unit)?;
        time = if is_back { time.checked_sub(span) } else { time.checked_add(span) }?;
        rest = after.trim_start_matches(blanks);
    }
    Ok(time)
}

fn seconds(time: DateTime) -> Result<i64> {
    Ok(time.to_zoned(TimeZone::UTC)?.timestamp().as_second())
}

/// Returns how long so many of a unit are. As in Graphite a unit is told by how it begins: `h`, `hr`, `hours`.
fn span(number: i64, unit: &str) -> Result<Span> {
    let span = Span::new();
    let begins = |with: &str| unit.starts_with(with);
    Ok(match unit {
        _ if begins("s") => span.try_seconds(number),
        _ if unit == "m" || begins("min") => span.try_minutes(number),
        _ if begins("h") => span.try_hours(number),
        _ if begins("d") => span.try_days(number),
        _ if begins("w") => span.try_weeks(number),
        _ if begins("mon") => span.try_months(number),
        _ if begins("y") => span.try_years(number),
        _ => bail!("{} is no unit: s, min, h, d, w, mon or y", quote(unit)),
    }?)
}

/// Returns the time from which an offset counts: `now`, a day, a time of day, or both in either order.
fn reference(text: &str, now: DateTime) -> Result<DateTime> {
    let today = now.date();
    if text.is_empty() || text == "now" {
        return Ok(now);
    }
    if let Some(day) = day(text, today)? {
        return Ok(day.to_datetime(Time::midnight()));
    }
    if let Some(time) = time_of_day(text) {
        return Ok(today.to_datetime(time));
    }
    for (at, separator) in text.match_indices([' ', '_', ',', '+', 't']) {
        let after = &text[at + separator.len()..];
        let (first, second) = (text[..at].trim_end_matches(BETWEEN), after.trim_start_matches(BETWEEN));
        if let (Some(day), Some(time)) = (day(first, today)?, time_of_day(second).or_else(|| digits(second))) {
            return Ok(day.to_datetime(time));
        }
        if let (Some(time), Some(day)) = (time_of_day(first), day(second, today)?.or_else(|| short_date(second))) {
            return Ok(day.to_datetime(time));
        }
    }
    // Nothing need stand between a time of day and a day behind it: `noonyesterday`.
    for (at, _) in text.char_indices().rev() {
        if let (Some(time), Some(day)) = (time_of_day(&text[..at]), day(&text[at..], today)?) {
            return Ok(day.to_datetime(time));
        }
    }
    bail!("{} is not known", quote(text))
}

/// Returns the day that a word or a date names.
fn day(text: &str, today: Date) -> Result<Option<Date>> {
    match text {
        "today" => return Ok(Some(today)),
        "yesterday" => return Ok(Some(today.yesterday()?)),
        "tomorrow" => return Ok(Some(today.tomorrow()?)),
        "thisweek" => return days_back(today, Weekday::Monday).map(Some),
        "thismonth" => return Ok(Some(today.first_of_month())),
        "thisyear" => return Ok(Some(today.first_of_year())),
        _ => {}
    }
    let (from, name) = match text.strip_prefix("last") {
        Some(name) => (today.yesterday()?, name.trim_start_matches(BETWEEN)),
        None => (today, text),
    };
    match weekday(name) {
        Some(weekday) => days_back(from, weekday).map(Some),
        None => Ok(date(text).or_else(|| month_day(text, today))),
    }
}

/// Parses `monday`, `mon`.
fn weekday(text: &str) -> Option<Weekday> {
    let names = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    names.into_iter().find(|(name, _)| text.len() >= 3 && name.starts_with(text)).map(|(_, weekday)| weekday)
}

/// Parses a date. The library's own parser passes over a time of day behind it, and its formats take a year of any length.
fn date(text: &str) -> Option<Date> {
    let is = |pattern: &str| {
        let fits = |(byte, kind): (u8, u8)| if kind == b'0' { byte.is_ascii_digit() } else { byte == kind };
        text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
    };
    let forms = [("0000-00-00", "%Y-%m-%d"), ("00000000", "%Y%m%d")];
    match forms.into_iter().find(|(pattern, _)| is(pattern)) {
        Some((_, format)) => Date::strptime(format, text).ok(),
        None => american(text),
    }
}

/// Parses `06/01/24` and `6/1/2024`: month, day, year.
fn american(text: &str) -> Option<Date> {
    let (month, rest) = text.split_once('/')?;
    let (day, year) = rest.split_once('/')?;
    let number = |text: &str, lengths: &[usize]| {
        let is_number = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<i16>().ok()).flatten()
    };
    let (month, day) = (number(month, &[1, 2])?, number(day, &[1, 2])?);
    let year = match number(year, &[2, 4])? {
        year @ 0..70 => 2000 + year,
        year @ 70..100 => 1900 + year,
        year => year,
    };
    Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()
}

/// Parses `january 8`, `jan 8` and `jan8`, of this year.
fn month_day(text: &str, today: Date) -> Option<Date> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let (name, day) = text.split_at(text.find(|c: char| !c.is_ascii_alphabetic())?);
    let is_month = |month: &&str| name.len() >= 3 && month.starts_with(name);
    let month = MONTHS.iter().position(is_month)? + 1;
    let day = day.trim_start_matches(BETWEEN);
    let is_day = (1..=2).contains(&day.len()) && day.bytes().all(|byte| byte.is_ascii_digit());
    is_day.then(|| Date::new(today.year(), i8::try_from(month).ok()?, day.parse().ok()?).ok()).flatten()
}

/// Parses the date of `12:30_240601`.
fn short_date(text: &str) -> Option<Date> {
    let is_short = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_short.then(|| Date::strptime("%y%m%d", text).ok()).flatten()
}

/// Parses `03:00`, `3:00`, `03:00:00`, `3pm`, `3:00pm`, `noon`, `midnight`, `teatime`.
fn time_of_day(text: &str) -> Option<Time> {
    let hour = |hour| Time::new(hour, 0, 0, 0).ok();
    match text {
        "midnight" => return hour(0),
        "noon" => return hour(12),
        "teatime" => return hour(16),
        _ => {}
    }
    let text = if text.starts_with(|c: char| c.is_ascii_digit()) { text } else { return None };
    let text = text.strip_suffix('z').unwrap_or(text);
    let (clock, noon) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(clock), _) => (clock.trim_end(), Some(0)),
        (_, Some(clock)) => (clock.trim_end(), Some(12)),
        _ => (text, None),
    };
    let mut parts = clock.split(':');
    let mut part = |most: usize| match parts.next() {
        None => Some(None),
        Some(part) if (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()) => {
            part.parse::<i8>().ok().map(Some)
        }
        Some(_) => None,
    };
    let (hours, minutes, seconds) = (part(2)??, part(2)?, part(2)?);
    if parts.next().is_some() || (minutes.is_none() && noon.is_none()) {
        return None;
    }
    let hours = match noon {
        Some(noon) if (1..=12).contains(&hours) => hours % 12 + noon,
        Some(_) => return None,
        None => hours,
    };
    Time::new(hours, minutes.unwrap_or(0), seconds.unwrap_or(0), 0).ok()
}

/// Parses `0300` and `030000`, which are a time of day only behind a day.
fn digits(text: &str) -> Option<Time> {
    let text = text.strip_suffix('z').unwrap_or(text);
    let is_time = matches!(text.len(), 4 | 6) && text.bytes().all(|byte| byte.is_ascii_digit());
    let part = |at: usize| text.get(at..at + 2).map_or(Some(0), |part| part.parse().ok());
    is_time.then(|| Time::new(part(0)?, part(2)?, part(4)?, 0).ok()).flatten()
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
            ("-90m", "2024-06-01T11:00:00Z"),
            ("noon yesterday", "2024-05-31T12:00:00Z"),
            ("6pm today", "2024-06-01T18:00:00Z"),
            ("teatime monday", "2024-05-27T16:00:00Z"),
            ("now/d", "2024-06-01T00:00:00Z"),
            ("now-1d/d", "2024-05-31T00:00:00Z"),
            ("now/w", "2024-05-27T00:00:00Z"),
            ("-1mon/mon", "2024-05-01T00:00:00Z"),
            ("now-1M/M", "2024-05-01T00:00:00Z"),
            ("-2M", "2024-04-01T12:30:00Z"),
            ("now-90m/m", "2024-06-01T11:00:00Z"),
            ("6PM JAN 8", "2024-01-08T18:00:00Z"),
            ("now/h", "2024-06-01T12:00:00Z"),
            ("now/y", "2024-01-01T00:00:00Z"),
            ("january 8", "2024-01-08T00:00:00Z"),
            ("jan8", "2024-01-08T00:00:00Z"),
            ("6pm jan 8", "2024-01-08T18:00:00Z"),
            ("06/01/24", "2024-06-01T00:00:00Z"),
            ("now-2d", "2024-05-30T12:30:00Z"),
            ("2024-05-30T12:31", "2024-05-30T12:31:00Z"),
            ("NOW-2D", "2024-05-30T12:30:00Z"),
            ("now-1d6h", "2024-05-31T06:30:00Z"),
            ("now-1d+6h", "2024-05-31T18:30:00Z"),
            ("now-1d 6h", "2024-05-31T06:30:00Z"),
            ("now - 1 d + 6 hrs", "2024-05-31T18:30:00Z"),
            ("4pm + 3 days", "2024-06-04T16:00:00Z"),
            ("last monday", "2024-05-27T00:00:00Z"),
            ("last saturday", "2024-05-25T00:00:00Z"),
            ("6pm last_fri", "2024-05-31T18:00:00Z"),
            ("noon+tomorrow", "2024-06-02T12:00:00Z"),
            ("6pm+today", "2024-06-01T18:00:00Z"),
            ("january+5", "2024-01-05T00:00:00Z"),
            ("noonyesterday", "2024-05-31T12:00:00Z"),
            ("6:111/1/24", "2024-01-01T06:11:00Z"),
            ("6/1/2024", "2024-06-01T00:00:00Z"),
            ("tue", "2024-05-28T00:00:00Z"),
            ("mon, 6am", "2024-05-27T06:00:00Z"),
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
            ("today 03:00", "2024-06-01T03:00:00Z"),
            ("yesterday 3pm", "2024-05-31T15:00:00Z"),
            ("noon_yesterday", "2024-05-31T12:00:00Z"),
            ("monday 12am", "2024-05-27T00:00:00Z"),
            ("2024-05-01 03:00-1d", "2024-04-30T03:00:00Z"),
            ("2024-05-01-1d", "2024-04-30T00:00:00Z"),
            ("12:30_240501", "2024-05-01T12:30:00Z"),
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
            "2024-05-01 03",
            "2024-05-01 03:0x",
            "2024-05-01 25:00",
            "2024-05-01T03:00:60",
            "2024-05-01 03:00:00:00",
            "2024-05-01T",
            "2024-05-01 soon",
            "20240501 030",
            "20240501 2460",
            "2024-05-01 13pm",
            "2024-05-1",
            "last",
            "last today",
            "lastmonth",
            "mo",
            "6/1/204",
            "13/1/24",
            "+6pm",
            "05/01/24 7",
            "yesterday 7",
            "03:00 soon",
        ] {
            parse(text, NOW).unwrap_err();
        }
        assert!(format!("{:#}", parse("soon", NOW).unwrap_err()).ends_with("unix seconds: \"soon\" is not known"));
        assert_eq!(
            format!("{:#}", parse("-6parsecs", NOW).unwrap_err()),
            "\"-6parsecs\" is no time: give now, -6h, now-2d, today-7d, monday, 2024-06-01, 2024-06-01 12:30 or unix \
             seconds: \"parsecs\" is no unit: s, min, h, d, w, mon or y"
        );
    }

    proptest! {
        #[test]
        fn a_time_of_day_is_never_dropped(day in 0..40_000_i64, hour in 0..24_i64, minute in 0..60_i64, second in 0..60_i64) {
            let to_minute = day * 86_400 + hour * 3600 + minute * 60;
            for (seconds, at) in [(to_minute, "%H:%M"), (to_minute, "%H%M"), (to_minute + second, "%H:%M:%S"), (to_minute + second, "%H%M%S")] {
                let time = Timestamp::from_second(seconds).unwrap();
                for date in ["%Y-%m-%d", "%Y%m%d", "%m/%d/%Y"] {
                    for separator in [" ", "T", "_"] {
                        for end in ["", "Z", " UTC"] {
                            let text = format!("{}{end}", time.strftime(&format!("{date}{separator}{at}")));
                            prop_assert_eq!(parse(&text, NOW).ok(), Some(seconds), "{}", text);
                        }
                    }
                }
                if at.contains(':') {
                    let text = time.strftime(&format!("{at}_%Y%m%d")).to_string();
                    prop_assert_eq!(parse(&text, NOW).ok(), Some(seconds), "{}", text);
                }
            }
        }

        #[test]
        fn any_text_is_a_time_or_refused(text in r"[a-z0-9:_/+\- é]{0,24}", now in 0..9_000_000_000_i64) {
            if let Ok(time) = parse(&text, now) {
                prop_assert!((0..i64::MAX / SECOND).contains(&time));
            }
        }
    }
}
