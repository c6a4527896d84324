//! A calendar of what is up or down, or well, worse and bad: a cell a day, a column a week, each day by its worst value. Quiet is small, trouble is large:
//! the size says it before the colour does. Pure.

use std::fmt::Write as _;

use super::history::{History, Series};
use super::page::{self, Judged};
use super::plot::{FILLS, Ground, clock};
use super::scene::{Anchor, Scene, Shape, Text};
use crate::model::last_weekday;
use crate::text::count;

const DAY: i64 = 86_400;

/// The distance of two days, in pixels.
const PITCH: i64 = 11;

/// Where the first week begins, and the first day below the months, in pixels.
const LEFT: i64 = 34;
const TOP: i64 = 18;

/// The space on the right, in pixels.
const RIGHT: i64 = 8;

/// The height of one calendar with its words, in pixels.
const HIGH: i64 = TOP + 7 * PITCH + 26;

/// The weeks of a year.
const WEEKS: i64 = 53;

/// The width and height of the calendar of one number over [`year`].
pub(super) const SIZE: (u32, u32) = ((LEFT + WEEKS * PITCH + RIGHT) as u32, HIGH as u32);

/// Returns the year up to the end of the day of `now`, from a Monday on, in unix seconds.
pub(super) fn year(now: i64) -> (i64, i64) {
    let today = now.div_euclid(DAY);
    ((monday(today) - 7 * (WEEKS - 1)) * DAY, (today + 1) * DAY)
}

/// What a day was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Is {
    /// Nothing was collected.
    Nothing,
    /// Up in all of it that was collected, or well.
    Up,
    /// Down in part, or worse than usual.
    Part,
    /// Down in all of it, or bad.
    Down,
}

/// Returns the days of each series under one another; `judged` says which numbers are worse and bad, else 0 is down.
pub(super) fn scene(history: &History, judged: Option<&Judged>, is_dark: bool, ground: &Ground) -> Scene {
    let first = monday(history.from.div_euclid(DAY));
    // A day that has begun counts if something of it is known.
    let is_known = |series: &Series, at: usize| series.values.get(at).is_some_and(Option::is_some);
    let newest = (0..history.times.len()).rev().find(|at| history.series.iter().any(|series| is_known(series, *at)));
    let newest = newest.map_or(first, |at| history.times[at].div_euclid(DAY));
    let last = newest.max(history.to.div_euclid(DAY) - 1).max(first);
    let weeks = (last - first) / 7 + 1;
    let paths: Vec<_> = history.series.iter().map(|series| series.path.as_str()).collect();
    let mut scene = Scene {
        width: (LEFT + weeks * PITCH + RIGHT) as f64,
        height: (HIGH * history.series.len().max(1) as i64) as f64,
        title: paths.join(", "),
        description: format!("the days from {} to {}", clock(first * DAY, "%Y-%m-%d"), clock(last * DAY, "%Y-%m-%d")),
        ground: ground.ground,
        ink: ground.ink,
        quiet: ground.quiet,
        lines: Vec::new(),
    };
    for (at, series) in history.series.iter().enumerate() {
        let days = days(history, series, judged, (first, last));
        let top = at as i64 * HIGH;
        scene.lines.push(heads(first, weeks, top));
        scene.lines.push(cells(&days, top, FILLS[usize::from(is_dark)]));
        let name = if history.series.len() > 1 { format!("{}: ", series.path) } else { String::new() };
        let label = format!("{name}{}", summary(&days, judged.is_some()));
        scene.lines.push(vec![text(LEFT, top + TOP + 7 * PITCH + 14, label)]);
    }
    scene
}

/// Returns the Monday of the week of a day, both as days since 1970.
fn monday(day: i64) -> i64 {
    last_weekday(day, 0)
}

/// Returns what each day was.
fn days(history: &History, series: &Series, judged: Option<&Judged>, (first, last): (i64, i64)) -> Vec<Is> {
    let mut days = vec![Is::Nothing; (last - first + 1) as usize];
    for (at, (time, value)) in history.times.iter().zip(&series.values).enumerate() {
        let Some(value) = value else { continue };
        let of = |list: &[Option<f64>]| list.get(at).copied().flatten().unwrap_or(*value);
        let is = match (judged, of(&series.least) <= 0.0, of(&series.most) <= 0.0) {
            (Some(judged), ..) => match judged.of(of(&series.most)) {
                page::Is::Off | page::Is::Well => Is::Up,
                page::Is::Worse => Is::Part,
                page::Is::Bad => Is::Down,
            },
            (None, false, _) => Is::Up,
            (None, true, false) => Is::Part,
            (None, true, true) => Is::Down,
        };
        let day = usize::try_from(time.div_euclid(DAY) - first).ok().and_then(|day| days.get_mut(day));
        if let Some(day) = day {
            *day = match *day {
                Is::Nothing => is,
                was if judged.is_some() => was.max(is),
                was if was == is => was,
                _ => Is::Part,
            };
        }
    }
    days
}

/// Returns how many days were what, from the first that is known on.
fn summary(days: &[Is], is_judged: bool) -> String {
    let [up, part, down] = if is_judged { ["well", "worse", "bad"] } else { ["up", "down in part", "down"] };
    let known = &days[days.iter().position(|is| *is != Is::Nothing).unwrap_or(days.len())..];
    let of = |is: Is| known.iter().filter(|day| **day == is).count();
    let mut text = format!("{} of {} {up}", of(Is::Up), count(known.len(), "day"));
    for (is, name) in [(Is::Part, part), (Is::Down, down), (Is::Nothing, "not collected")] {
        if of(is) > 0 {
            let _ = write!(text, ", {} {name}", of(is));
        }
    }
    text
}

fn text(x: i64, y: i64, text: String) -> Shape {
    Shape::Text(Text::new(x.to_string(), y.to_string(), text))
}

/// Returns the names of the months above their first week, and of some days beside their line.
fn heads(first: i64, weeks: i64, top: i64) -> Vec<Shape> {
    let mut shapes = Vec::new();
    let month = |week: i64| clock((first + 7 * week) * DAY, "%b");
    let mut before = -3;
    for week in 0..weeks {
        // A name needs the room of three weeks.
        if (week == 0 || month(week) != month(week - 1)) && week >= before + 3 {
            shapes.push(text(LEFT + week * PITCH, top + 11, month(week)));
            before = week;
        }
    }
    for (line, name) in [(0, "Mon"), (3, "Thu"), (6, "Sun")] {
        let name = Text::new((LEFT - 6).to_string(), (top + TOP + line * PITCH + 8).to_string(), name.into());
        shapes.push(Shape::Text(Text { anchor: Anchor::End, ..name }));
    }
    shapes
}

/// Returns the days as shapes: a dot is up, a triangle in part, a square down, hatch not collected.
fn cells(days: &[Is], top: i64, [up, part, down]: [&'static str; 3]) -> Vec<Shape> {
    let (mut dots, mut triangles, mut squares, mut shapes) = (String::new(), String::new(), String::new(), Vec::new());
    let begin = days.iter().position(|is| *is != Is::Nothing).unwrap_or(days.len());
    for (at, is) in days.iter().enumerate().skip(begin) {
        let (x, y) = (LEFT + at as i64 / 7 * PITCH, top + TOP + at as i64 % 7 * PITCH);
        let _ = match is {
            Is::Up => write!(dots, "M{} {}h4v4h-4Z", x + 3, y + 3),
            Is::Part => write!(triangles, "M{} {}h9L{} {}Z", x, y + 9, x as f64 + 4.5, y + 1),
            Is::Down => write!(squares, "M{x} {y}h9v9h-9Z"),
            Is::Nothing => {
                let (x, y) = (x.to_string(), y.to_string());
                shapes.push(Shape::Gap { x, y, width: "9".into(), height: "9".into() });
                Ok(())
            }
        };
    }
    for (path, colour) in [(dots, up), (triangles, part), (squares, down)] {
        if !path.is_empty() {
            shapes.push(Shape::Area { class: "days", path, colour, opacity: "1" });
        }
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten days, six hours apart, from a Thursday on: down all day on the third, in part on the fifth, not collected on the
    /// seventh.
    fn ten_days() -> History {
        let from = 1_717_027_200;
        let times: Vec<_> = (0..40).map(|at| from + at * DAY / 4).collect();
        let value = |at: usize| match (at / 4, at % 4) {
            (6, _) => None,
            (2, _) | (4, 1) => Some(0.0),
            _ => Some(1.0),
        };
        let series = Series { path: "a.b".into(), values: (0..40).map(value).collect(), ..Series::default() };
        History { from, to: from + 10 * DAY, step_seconds: DAY / 4, times, series: vec![series] }
    }

    #[test]
    fn each_day_is_its_worst_value() {
        let history = ten_days();
        let first = monday(history.from.div_euclid(DAY));
        let days = days(&history, &history.series[0], None, (first, first + 12));
        use Is::{Down, Nothing, Part, Up};
        assert_eq!(days[..3], [Nothing; 3], "the range begins on a Thursday");
        assert_eq!(days[3..], [Up, Up, Down, Up, Part, Up, Nothing, Up, Up, Up]);
        assert_eq!(summary(&days, false), "7 of 10 days up, 1 down in part, 1 down, 1 not collected");
        assert_eq!(summary(&[Nothing; 4], false), "0 of 0 days up");
    }

    #[test]
    fn folded_days_are_as_bad_as_their_parts() {
        let mut history = ten_days();
        history.times = vec![history.from, history.from + DAY, history.from + 2 * DAY];
        history.step_seconds = DAY;
        let series = &mut history.series[0];
        series.values = vec![Some(0.5), Some(1.0), Some(0.0)];
        series.least = vec![Some(0.0), Some(1.0), Some(0.0)];
        series.most = vec![Some(1.0), Some(1.0), Some(0.0)];
        let first = monday(history.from.div_euclid(DAY));
        let days = days(&history, &history.series[0], None, (first, first + 5));
        assert_eq!(days[3..], [Is::Part, Is::Up, Is::Down]);
    }

    #[test]
    fn a_day_that_is_judged_is_its_greatest_number() {
        let mut history = ten_days();
        let verdict = |at: usize| match (at / 4, at % 4) {
            (6, _) => None,
            (2, 1) => Some(15.0),
            (2, 3) | (4, 1) => Some(3.0),
            _ => Some(0.0),
        };
        history.series[0].values = (0..40).map(verdict).collect();
        let first = monday(history.from.div_euclid(DAY));
        let judged = Judged { worse: 1, bad: 10, off: &[] };
        let days = days(&history, &history.series[0], Some(&judged), (first, first + 12));
        use Is::{Down, Nothing, Part, Up};
        assert_eq!(days[3..], [Up, Up, Down, Up, Part, Up, Nothing, Up, Up, Up]);
        assert_eq!(summary(&days, true), "7 of 10 days well, 1 worse, 1 bad, 1 not collected");
    }

    #[test]
    fn weeks_begin_on_monday() {
        for (day, is) in [("1970-01-01", "1969-12-29"), ("2024-06-03", "2024-06-03"), ("2024-06-09", "2024-06-03")] {
            let days = |text: &str| {
                text.parse::<jiff::civil::Date>()
                    .unwrap()
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .unwrap()
                    .timestamp()
                    .as_second()
                    / DAY
            };
            assert_eq!(monday(days(day)), days(is), "{day}");
        }
    }
}
