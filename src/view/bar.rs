//! The 24-hour bar beside a heartbeat: 48 cells of half an hour, each by its worst minute, and the share of the collected time
//! that it was up. Quiet is low, trouble is tall: the height says it before the colour does. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::page::Past;
use crate::query::{Part, Values};

/// How many cells a bar has.
pub const CELLS: usize = 48;

/// The length of a cell, in seconds.
pub const CELL_SECONDS: i64 = Past::Day.cell_seconds();

/// The bars of a page, by the Carbon path of their heartbeat.
pub type Bars = BTreeMap<String, Bar>;

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing was collected.
    Nothing,
    /// It was up all the time.
    Up,
    /// It was down for a part of it.
    Part,
    /// It was down all the time.
    Down,
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The cells, the oldest first.
    pub cells: [Cell; CELLS],
    /// Which part of the collected time it was up, 0 to 1; `None` if nothing was collected.
    pub up: Option<f64>,
    /// When the first cell begins, in unix seconds.
    pub from: i64,
}

/// The past of the numbers of a page that have a small line, or nights, by their Carbon path.
pub type Lines = BTreeMap<String, SmallLine>;

/// How high a small line is, in pixels.
const HIGH: f64 = 13.0;

/// The mean of a number in each cell of its past, of nights the most; `None` where nothing was collected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmallLine(pub [Option<f64>; CELLS]);

impl SmallLine {
    /// Returns the line of the values of a day from `from` on.
    pub fn new(values: &Values, from: i64) -> Self {
        Self::of(values, Past::Day, from)
    }

    /// Returns the line of values of a past that begins at `from`.
    pub fn of(values: &Values, past: Past, from: i64) -> Self {
        let mut cells = [None::<(f64, f64)>; CELLS];
        for (at, (time, value)) in values.values.iter().enumerate() {
            let part = values.parts.get(at).copied().unwrap_or(Part::of(*value));
            let count = part.count.max(1) as f64;
            let place = usize::try_from((time - from).div_euclid(past.cell_seconds()));
            let Some(cell) = place.ok().and_then(|cell| cells.get_mut(cell)) else { continue };
            *cell = Some(match (*cell, past) {
                // The worst of a night counts.
                (was, Past::Nights) => (was.map_or(part.most, |(most, _)| most.max(part.most)), 1.0),
                (was, _) => was.map_or((value * count, count), |(sum, known)| (sum + value * count, known + count)),
            });
        }
        Self(cells.map(|cell| cell.map(|(sum, count)| sum / count)))
    }

    /// Returns the sum of several lines as SVG, from zero to its own most, which only the eye has; empty if there are less than
    /// two values.
    pub fn html(several: &[&Self]) -> String {
        let at = |cell: usize| several.iter().filter_map(|line| line.0[cell]).reduce(|sum, value| sum + value);
        let values: Vec<_> = (0..CELLS).map(at).collect();
        let known = values.iter().flatten().count();
        let most = values.iter().flatten().copied().fold(0.0, f64::max);
        if known < 2 || !most.is_finite() {
            return String::new();
        }
        let y = |value: f64| if most > 0.0 { (HIGH - HIGH * value.max(0.0) / most).round() as i64 + 1 } else { 14 };
        let (mut path, mut before) = (String::new(), None::<(usize, i64)>);
        for (x, value) in values.iter().enumerate() {
            let Some(value) = value else {
                before = None;
                continue;
            };
            let high = y(*value);
            let _ = match before {
                Some((_, last)) => write!(path, "l1 {}", high - last),
                None => write!(path, "M{x} {high}h0"),
            };
            before = Some((x, high));
        }
        format!(
            "<svg class=\"line\" viewBox=\"0 0 47 15\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><path d=\"{path}\"/></svg>"
        )
    }
}

/// Returns when the bars of `now` begin and end, in unix seconds; the last cell is not over.
pub fn range(now: i64) -> (i64, i64) {
    range_of(Past::Day, now)
}

/// Returns when the past of `now` begins and ends, in unix seconds; the last cell is not over.
pub fn range_of(past: Past, now: i64) -> (i64, i64) {
    let cell = past.cell_seconds();
    let end = (now.div_euclid(cell) + 1) * cell;
    (end - CELLS as i64 * cell, end)
}

impl Bar {
    /// Returns the bar of a heartbeat's values from `from` on, which are `every` seconds apart, folded or not.
    pub fn new(values: &Values, from: i64, every: i64) -> Self {
        let mut cells = [Cell::Nothing; CELLS];
        let (mut up, mut count) = (0.0, 0.0);
        for (at, (time, value)) in values.values.iter().enumerate() {
            let Part { least, most, count: of, .. } = values.parts.get(at).copied().unwrap_or(Part::of(*value));
            let is = match (least <= 0.0, most <= 0.0) {
                (false, _) => Cell::Up,
                (true, false) => Cell::Part,
                (true, true) => Cell::Down,
            };
            // A value holds until the next one is due, or within its cell.
            let end = time.saturating_add(if values.parts.is_empty() { every.max(1) } else { values.step.max(1) });
            let first = (time - from).div_euclid(CELL_SECONDS);
            let last = (end - 1 - from).div_euclid(CELL_SECONDS);
            let last = if every <= CELL_SECONDS { first } else { last };
            for cell in first.max(0)..=last.min(CELLS as i64 - 1) {
                let cell = &mut cells[cell as usize];
                *cell = match (*cell, is) {
                    (Cell::Nothing, is) => is,
                    (was, is) if was == is => was,
                    _ => Cell::Part,
                };
            }
            up += value * of as f64;
            count += of as f64;
        }
        Self { cells, up: (count > 0.0).then(|| (up / count).clamp(0.0, 1.0)), from }
    }

    /// Returns the same of what has a number whenever it is there: where it has none after its first one, it was down.
    #[must_use]
    pub fn of_presence(self) -> Self {
        let Some(first) = self.cells.iter().position(|cell| *cell != Cell::Nothing) else { return self };
        let mut cells = self.cells;
        // The last cell has only just begun, if the one before it has a number.
        let end = if cells[CELLS - 2] == Cell::Nothing { CELLS } else { CELLS - 1 };
        cells[first..end].iter_mut().filter(|cell| **cell == Cell::Nothing).for_each(|cell| *cell = Cell::Down);
        let known = cells.iter().filter(|cell| **cell != Cell::Nothing).count();
        let up = cells.iter().filter(|cell| **cell == Cell::Up).count();
        Self { cells, up: Some(up as f64 / known as f64), ..self }
    }

    /// Returns runs of equal cells: what they are, their first cell and how many they are.
    fn runs(&self) -> Vec<(Cell, usize, usize)> {
        let mut runs = Vec::<(Cell, usize, usize)>::new();
        for (at, cell) in self.cells.iter().enumerate() {
            match runs.last_mut() {
                Some((is, _, count)) if is == cell => *count += 1,
                _ => runs.push((*cell, at, 1)),
            }
        }
        runs
    }

    /// Returns the share as text: never 100 % if it was down for a moment, never 0 if it was up for one.
    pub fn share(&self) -> String {
        match self.up {
            None => "–".into(),
            Some(up) if up >= 1.0 => "100 %".into(),
            Some(up) if up <= 0.0 => "0 %".into(),
            Some(up) => format!("{:.2} %", (up * 100.0).clamp(0.01, 99.99)),
        }
    }

    /// Returns the bar as SVG, 96 by 15 pixels, which only the eye has, and the same in words for everybody else.
    pub fn html(&self) -> String {
        let mut paths = [(Cell::Up, "u", String::new()), (Cell::Part, "p", String::new())]
            .into_iter()
            .chain([(Cell::Down, "d", String::new()), (Cell::Nothing, "n", String::new())])
            .collect::<Vec<_>>();
        for (is, at, count) in self.runs() {
            let Some((_, _, path)) = paths.iter_mut().find(|(of, ..)| *of == is) else { continue };
            let (x, width) = (2 * at, 2 * count);
            let _ = match is {
                Cell::Up => write!(path, "M{x} 12h{width}v3h-{width}z"),
                Cell::Part => write!(path, "M{x} 4h{width}v11h-{width}z"),
                Cell::Down => write!(path, "M{x} 0h{width}v15h-{width}z"),
                // A thick line, which its style dashes.
                Cell::Nothing => write!(path, "M{x} 7.5h{width}"),
            };
        }
        let mut html = String::from("<svg class=\"day\" viewBox=\"0 0 96 15\" aria-hidden=\"true\">");
        for (_, class, path) in paths.iter().filter(|(.., path)| !path.is_empty()) {
            let _ = write!(html, "<path class=\"{class}\" d=\"{path}\"/>");
        }
        let _ = write!(
            html,
            "</svg><span class=\"unseen\">, {}</span><span class=\"share\" aria-hidden=\"true\">{}</span>",
            self.text(),
            self.share()
        );
        html
    }

    /// Returns the bar as text: `up 98.58 % of 24 h, down within 03:30 to 04:00`.
    pub fn text(&self) -> String {
        let clock = |at: usize| {
            let time = self.from + at as i64 * CELL_SECONDS;
            jiff::Timestamp::from_second(time).unwrap_or_default().strftime("%H:%M").to_string()
        };
        let mut text = match self.up {
            None => return "nothing collected in 24 h".into(),
            Some(_) => format!("up {} of 24 h", self.share()),
        };
        for (kind, name) in [(true, "down within"), (false, "not collected")] {
            let is = |cell: Cell| if kind { matches!(cell, Cell::Part | Cell::Down) } else { cell == Cell::Nothing };
            let mut periods = Vec::<(usize, usize)>::new();
            for at in (0..CELLS).filter(|at| is(self.cells[*at])) {
                match periods.last_mut() {
                    Some((_, end)) if *end == at => *end = at + 1,
                    _ => periods.push((at, at + 1)),
                }
            }
            let left_out = periods.len().saturating_sub(3);
            for (begin, end) in periods.iter().skip(left_out) {
                let _ = write!(text, ", {name} {} to {}", clock(*begin), clock(*end));
            }
            if left_out > 0 {
                let _ = write!(text, " and {left_out} times before");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, FieldInfo, Fold};

    static ALIVE: FieldInfo = Field::<i64>::gauge("alive", "0 or 1", Fold::Mean, "").info();

    /// 2024-06-01 00:00 UTC.
    const DAY: i64 = 1_717_200_000;

    fn values(values: Vec<(i64, f64)>) -> Values {
        Values { path: "a".into(), field: &ALIVE, step: 60, values, parts: Vec::new(), newest: None }
    }

    #[test]
    fn a_cell_tells_its_worst_minute_and_the_share_is_of_collected_time() {
        assert_eq!(range(DAY + 86_399), (DAY, DAY + 86_400));
        assert_eq!(range(DAY + 86_400).1, DAY + 86_400 + 1800);
        // Minutes of a day: down for 10 of them in one cell and for all of another; nothing collected in a third.
        let minutes = (0..1440).filter(|minute| !(600..630).contains(minute));
        let is_up = |minute: i64| f64::from(u8::from(!(220..230).contains(&minute) && !(300..330).contains(&minute)));
        let bar = Bar::new(&values(minutes.map(|minute| (DAY + 60 * minute, is_up(minute))).collect()), DAY, 60);
        for (at, cell) in bar.cells.iter().enumerate() {
            let expected = match at {
                7 => Cell::Part,
                10 => Cell::Down,
                20 => Cell::Nothing,
                _ => Cell::Up,
            };
            assert_eq!(*cell, expected, "{at}");
        }
        assert_eq!(bar.share(), "97.16 %");
        assert_eq!(
            bar.text(),
            "up 97.16 % of 24 h, down within 03:30 to 04:00, down within 05:00 to 05:30, not collected 10:00 to 10:30"
        );
        let html = bar.html();
        assert!(html.contains("<path class=\"p\" d=\"M14 4h2v11h-2z\"/>"), "{html}");
        assert!(html.contains("<path class=\"d\" d=\"M20 0h2v15h-2z\"/><path class=\"n\" d=\"M40 7.5h2\"/>"), "{html}");
        assert!(html.len() < 500, "{}", html.len());
    }

    #[test]
    fn what_is_silent_was_down_since_it_was_first_heard() {
        let of = |halves: &[i64]| {
            let values = values(halves.iter().map(|half| (DAY + half * 1800 + 60, 64.0)).collect());
            Bar::new(&values, DAY, 60).of_presence()
        };
        let bar = of(&(10..40).collect::<Vec<_>>());
        assert_eq!([bar.cells[9], bar.cells[10], bar.cells[39]], [Cell::Nothing, Cell::Up, Cell::Up]);
        assert_eq!((bar.cells[40], bar.cells[47], &*bar.share()), (Cell::Down, Cell::Down, "78.95 %"));
        let begun = of(&(0..47).collect::<Vec<_>>());
        assert_eq!((begun.cells[47], &*begun.share()), (Cell::Nothing, "100 %"), "half an hour that has only begun");
        assert_eq!(of(&[]).up, None);
    }

    #[test]
    fn folded_values_and_rare_ones_make_the_same_cells() {
        let part = |least: f64, most: f64| Part { least, most, count: 30, coverage: 1.0 };
        let mut folded = values(vec![(DAY, 1.0), (DAY + 1800, 0.9), (DAY + 3600, 0.0)]);
        folded.parts = vec![part(1.0, 1.0), part(0.0, 1.0), part(0.0, 0.0)];
        folded.step = 1800;
        let bar = Bar::new(&folded, DAY, 60);
        assert_eq!(bar.cells[..4], [Cell::Up, Cell::Part, Cell::Down, Cell::Nothing]);
        assert_eq!(bar.share(), "63.33 %");
        let hourly = Bar::new(&values(vec![(DAY - 1800, 1.0), (DAY + 1800, 0.0)]), DAY, 3600);
        assert_eq!(hourly.cells[..4], [Cell::Up, Cell::Down, Cell::Down, Cell::Nothing]);
        let none = Bar::new(&values(Vec::new()), DAY, 60);
        assert_eq!((none.share().as_str(), none.text().as_str()), ("–", "nothing collected in 24 h"));
        assert!(none.html().contains("<path class=\"n\" d=\"M0 7.5h96\"/>"));
    }

    #[test]
    fn a_small_line_has_gaps_and_is_the_sum_of_its_parts() {
        let one =
            SmallLine::new(&values(vec![(DAY, 4.0), (DAY + 60, 6.0), (DAY + 1800, 10.0), (DAY + 5400, 1.0)]), DAY);
        assert_eq!(one.0[..4], [Some(5.0), Some(10.0), None, Some(1.0)]);
        assert!(SmallLine::html(&[&one]).contains("d=\"M0 8h0l1 -7M3 13h0\""), "{}", SmallLine::html(&[&one]));
        let other = SmallLine::new(&values(vec![(DAY + 3600, 10.0)]), DAY);
        assert!(SmallLine::html(&[&one, &other]).contains("d=\"M0 8h0l1 -7l1 0l1 12\""));
        assert_eq!((SmallLine::html(&[&other]), SmallLine::html(&[])), (String::new(), String::new()));
    }

    #[test]
    fn a_moment_is_never_rounded_away() {
        let bar = |up: f64| Bar { cells: [Cell::Up; CELLS], up: Some(up), from: DAY }.share();
        assert_eq!([1.0, 0.999_999, 0.5, 1e-9, 0.0].map(bar), ["100 %", "99.99 %", "50.00 %", "0.01 %", "0 %"]);
    }
}
