//! What each of the last nights was, as the number of its worst run says: quiet is low, trouble is tall. Pure.

use std::fmt::Write as _;

use super::bar::{CELLS, SmallLine, range_of};
use super::page::{Is, Judged, Past};
use crate::model::last_weekday;
use crate::text::count;

const DAY: i64 = 86_400;

/// The distance of two nights, and the space between two weeks besides, in pixels.
const PITCH: i64 = 3;
const GAP: i64 = 2;

/// What a night may be: its class, and how high the middle of its mark stands; the style says how thick it is.
const MARKS: [(Option<Is>, &str, &str); 5] = [
    (Some(Is::Well), "u", "13.5"),
    (Some(Is::Worse), "w", "11.5"),
    (Some(Is::Bad), "d", "7.5"),
    (Some(Is::Off), "o", "13.5"),
    (None, "n", "7.5"),
];

/// Returns what each night up to `now`, in unix seconds, was, from the first that is known on; tonight counts once it is known.
fn nights(line: &SmallLine, judged: &Judged) -> Vec<(usize, Option<Is>)> {
    let is = |at: usize| line.0[at].map(|value| judged.of(value));
    let first = (0..CELLS).find(|at| is(*at).is_some()).unwrap_or(CELLS);
    let end = if line.0[CELLS - 1].is_some() { CELLS } else { CELLS - 1 };
    (first..end).map(|at| (at, is(at))).collect()
}

/// Returns the nights as SVG, which only the eye has, and the same in words for everybody else; empty if nothing is known.
pub fn html(line: &SmallLine, judged: &Judged, now: i64) -> String {
    let nights = nights(line, judged);
    if nights.is_empty() {
        return String::new();
    }
    let first = range_of(Past::Nights, now).0 / DAY;
    let week = |at: usize| (last_weekday(first + at as i64, 0) - last_weekday(first, 0)) / 7;
    let x = |at: usize| at as i64 * PITCH + week(at) * GAP;
    let mut svg = format!(
        "<svg class=\"nights\" width=\"{0}\" viewBox=\"0 0 {0} 15\" aria-hidden=\"true\">",
        x(CELLS - 1) + PITCH - 1
    );
    for (kind, class, y) in MARKS {
        let mut path = String::new();
        // A run of equal nights of a week is one line, which its style cuts into nights.
        let mut rest = nights.iter().filter(|(_, is)| *is == kind).map(|(at, _)| *at).peekable();
        while let Some(begin) = rest.next() {
            let mut end = begin;
            while rest.next_if(|next| *next == end + 1 && week(*next) == week(begin)).is_some() {
                end += 1;
            }
            let _ = write!(path, "M{} {y}h{}", x(begin), (end - begin) as i64 * PITCH + PITCH - 1);
        }
        if !path.is_empty() {
            let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }
    format!("{svg}</svg><span class=\"unseen\">, {}</span>", words(&nights))
}

/// Returns the nights in words: `45 of 48 nights well, 2 bad, 1 not collected`.
fn words(nights: &[(usize, Option<Is>)]) -> String {
    let of = |kind: Option<Is>| nights.iter().filter(|(_, is)| *is == kind).count();
    let mut words = format!("{} of {} well", of(Some(Is::Well)), count(nights.len(), "night"));
    let others = [(Some(Is::Worse), "worse"), (Some(Is::Bad), "bad"), (Some(Is::Off), "off"), (None, "not collected")];
    for (kind, name) in others {
        if of(kind) > 0 {
            let _ = write!(words, ", {} {name}", of(kind));
        }
    }
    words
}

/// Returns what the marks mean, and of which nights they are.
pub fn legend(now: i64) -> String {
    let (from, to) = range_of(Past::Nights, now);
    let day = |time: i64| jiff::Timestamp::from_second(time).unwrap_or_default().strftime("%-d %b").to_string();
    let mut html = format!("<p class=\"legend\" aria-hidden=\"true\">each night, {} to {}:", day(from), day(to - 1));
    for (is, word) in [(0, "well"), (1, "worse"), (2, "none or bad"), (4, "not collected")] {
        let (_, class, y) = MARKS[is];
        let _ = write!(
            html,
            " <span><svg class=\"nights\" width=\"5\" viewBox=\"0 0 5 15\"><path class=\"{class}\" d=\"M0 {y}h5\"/></svg> {word}</span>"
        );
    }
    html + "</p>"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-06-02 12:00 UTC, a Sunday.
    const NOW: i64 = 1_717_329_600;

    const VERDICTS: Judged = Judged { worse: 1, bad: 10, off: &[99] };

    fn line(cells: &[(usize, f64)]) -> SmallLine {
        let mut line = [None; CELLS];
        cells.iter().for_each(|(at, value)| line[*at] = Some(*value));
        SmallLine(line)
    }

    #[test]
    fn quiet_nights_are_one_line_a_week_and_trouble_stands_out() {
        let mut cells: Vec<_> = (30..CELLS).filter(|at| *at != 40).map(|at| (at, 0.0)).collect();
        (cells[3].1, cells[5].1) = (3.0, 15.0);
        let html = html(&line(&cells), &VERDICTS, NOW);
        assert!(html.contains("15 of 18 nights well, 1 worse, 1 bad, 1 not collected"), "{html}");
        // The last week is Monday to Sunday, whole: seven nights are one line.
        let last = (CELLS as i64 - 7) * PITCH + 6 * GAP;
        assert!(html.contains(&format!("M{last} 13.5h20")), "{html}");
        assert_eq!([html.matches("class=\"w\"").count(), html.matches("class=\"d\"").count()], [1, 1]);
        assert!(html.len() < 500, "{}", html.len());
    }

    #[test]
    fn tonight_is_unknown_until_it_was_asked_and_nothing_is_said_of_what_never_was() {
        let known = line(&[(CELLS - 3, 0.0), (CELLS - 2, 99.0)]);
        assert_eq!(nights(&known, &VERDICTS), [(CELLS - 3, Some(Is::Well)), (CELLS - 2, Some(Is::Off))]);
        assert_eq!(html(&line(&[]), &VERDICTS, NOW), "");
    }
}
