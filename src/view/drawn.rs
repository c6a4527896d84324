//! What stands in a cell for the eye alone: bars, lines upside down, dots on the range of a day, small columns. Each is an SVG of a
//! few hundred bytes, which a stylesheet colours. Pure.

use std::fmt::Write as _;

use super::bar::{CELLS, SmallLine};

/// How wide bars and dots are, in pixels.
const WIDE: f64 = 64.0;

/// How high the upper and the lower half of two lines are, in pixels.
const HALF: f64 = 7.0;

/// How wide the small column of a part is with the space behind it, in pixels.
const COLUMN: usize = 8;

/// The most small columns.
const MOST_COLUMNS: usize = 32;

/// A small column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// It has this number.
    Is(f64),
    /// It has no number now: it sleeps, for instance.
    Nothing,
    /// It is lost.
    Lost,
}

/// Returns where a number stands between two others, in pixels.
fn place(value: f64, (low, high): (f64, f64), wide: f64) -> f64 {
    let part = (value - low) / (high - low);
    if part.is_finite() { part.clamp(0.0, 1.0) * wide } else { 0.0 }
}

/// Returns a bar that is full at `full`, made of these numbers one behind the other, with a tick at `limit`. A class says how it is.
pub fn bar(numbers: &[f64], full: f64, limit: Option<f64>, class: &str) -> String {
    let mut svg =
        format!("<svg class=\"meter{class}\" viewBox=\"0 0 64 12\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    let mut x = 0.0;
    for (at, number) in numbers.iter().enumerate() {
        let wide = place(number.max(0.0), (0.0, full), WIDE).min(WIDE - x);
        if wide >= 0.05 {
            let _ = write!(svg, "<path class=\"q{at}\" d=\"M{x:.1} 0h{wide:.1}v12h-{wide:.1}z\"/>");
            x += wide;
        }
    }
    if let Some(limit) = limit {
        let _ = write!(svg, "<path class=\"tick\" d=\"M{:.1} -1v14\"/>", place(limit, (0.0, full), WIDE));
    }
    svg + "</svg>"
}

/// Returns two lines, the second upside down below the first, on one scale; empty if there are less than two values.
pub fn mirrored(above: Option<&SmallLine>, below: Option<&SmallLine>) -> String {
    let both = [above, below];
    let values = || both.iter().flatten().flat_map(|line| line.0).flatten();
    let most = values().fold(0.0, f64::max);
    if values().count() < 2 || !most.is_finite() {
        return String::new();
    }
    let mut svg =
        String::from("<svg class=\"two\" viewBox=\"0 0 48 15\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    for (at, line) in both.iter().enumerate() {
        let Some(line) = line else { continue };
        let (mut path, mut high) = (String::from("M0 7.5"), 0);
        for cell in 0..CELLS {
            let part = line.0[cell].map_or(0.0, |value| place(value, (0.0, most), HALF));
            // What is there at all is seen.
            let is = part.round() as i64 + i64::from(part > 0.0 && part < 0.5);
            if is != high {
                let _ = write!(path, "v{}", if at == 0 { high - is } else { is - high });
                high = is;
            }
            path.push_str("h1");
        }
        let _ = write!(svg, "<path class=\"q{at}\" d=\"{path}V7.5z\"/>");
    }
    svg + "</svg>"
}

/// Returns a dot between two numbers, on the range of its last 24 hours, with a tick at `limit`.
pub fn dot(value: f64, ends: (f64, f64), day: Option<&SmallLine>, limit: Option<f64>, class: &str) -> String {
    let at = |value: f64| place(value, ends, WIDE);
    let mut svg = format!(
        "<svg class=\"dot{class}\" viewBox=\"0 0 64 12\" aria-hidden=\"true\"><path class=\"axis\" d=\"M0 6h64\"/>"
    );
    let known = || day.iter().flat_map(|day| day.0).flatten().chain([value]);
    let (least, most) = (known().fold(f64::MAX, f64::min), known().fold(f64::MIN, f64::max));
    let _ = write!(svg, "<path class=\"q1\" d=\"M{:.1} 4h{:.1}v4H{0:.1}z\"/>", at(least), at(most) - at(least));
    if let Some(limit) = limit {
        let _ = write!(svg, "<path class=\"tick\" d=\"M{:.1} 0v12\"/>", at(limit));
    }
    let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"6\" r=\"3\"/></svg>", at(value).clamp(3.0, WIDE - 3.0));
    svg
}

/// Returns a dot between `1 / far` and `far` times what is usual, by powers, on what still is: `usual` times more or less.
pub fn away(times: f64, far: f64, usual: f64) -> String {
    let at = |times: f64| place(times.ln(), (-far.ln(), far.ln()), WIDE);
    format!(
        "<svg class=\"dot away\" viewBox=\"0 0 64 12\" aria-hidden=\"true\"><path class=\"q1\" d=\"M{:.1} 2h{:.1}v8H{0:.1}z\"/><path class=\"tick\" \
         d=\"M32 0v12\"/><circle cx=\"{:.1}\" cy=\"6\" r=\"3\"/></svg>",
        at(1.0 / usual),
        at(usual) - at(1.0 / usual),
        at(times).clamp(3.0, WIDE - 3.0)
    )
}

/// Returns a small column for each part, which `full` fills.
pub fn columns(parts: &[Part], full: f64) -> String {
    let parts = &parts[..parts.len().min(MOST_COLUMNS)];
    let wide = COLUMN * parts.len().max(1);
    let mut paths = [("tr", String::new()), ("q0", String::new()), ("no", String::new()), ("lost", String::new())];
    for (at, part) in parts.iter().enumerate() {
        let x = COLUMN * at;
        let _ = match part {
            Part::Is(value) => {
                let high = place(value.max(0.0), (0.0, full), 14.0);
                let _ = write!(paths[0].1, "M{x} 1h6v14h-6z");
                write!(paths[1].1, "M{x} 15h6v-{high:.1}h-6z")
            }
            Part::Nothing => write!(paths[2].1, "M{x}.5 1.5h5v13h-5z"),
            Part::Lost => write!(paths[3].1, "M{x} 2l6 12m0 -12l-6 12"),
        };
    }
    let mut svg =
        format!("<svg class=\"parts\" width=\"{wide}\" height=\"16\" viewBox=\"0 0 {wide} 16\" aria-hidden=\"true\">");
    for (class, path) in paths.iter().filter(|(_, path)| !path.is_empty()) {
        let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64]) -> SmallLine {
        let mut cells = [None; CELLS];
        values.iter().zip(&mut cells).for_each(|(value, cell)| *cell = Some(*value));
        SmallLine(cells)
    }

    #[test]
    fn a_bar_is_never_longer_than_it_is_full() {
        let svg = bar(&[50.0, 25.0], 100.0, Some(90.0), "");
        assert!(svg.contains("q0\" d=\"M0.0 0h32.0v12") && svg.contains("q1\" d=\"M32.0 0h16.0v12"), "{svg}");
        assert!(svg.contains("class=\"tick\" d=\"M57.6 -1v14\""), "{svg}");
        for numbers in [&[80.0, 80.0][..], &[f64::INFINITY], &[1e300, f64::NAN]] {
            let svg = bar(numbers, 100.0, None, "");
            let wide = svg.split("0h").skip(1).filter_map(|path| path.split('v').next()?.parse::<f64>().ok());
            assert!(wide.sum::<f64>() <= WIDE && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert!(!bar(&[-5.0], 100.0, None, "").contains("q0") && !bar(&[5.0], 0.0, None, "").contains("NaN"));
    }

    #[test]
    fn two_lines_share_a_scale_and_what_is_little_is_seen() {
        let svg = mirrored(Some(&line(&[14.0, 7.0, 0.001])), Some(&line(&[7.0])));
        assert!(svg.contains("q0\" d=\"M0 7.5v-7h1v3h1v3h1v1h1h1"), "{svg}");
        assert!(svg.contains("q1\" d=\"M0 7.5v4h1v-4h1"), "{svg}");
        assert!(svg.len() < 600, "{}", svg.len());
        assert_eq!(mirrored(None, Some(&line(&[1.0]))), "");
        assert!(mirrored(None, Some(&line(&[0.0, 0.0]))).contains("q1"), "nothing went, and that is known");
    }

    #[test]
    fn a_dot_stands_on_its_day() {
        let svg = dot(68.0, (20.0, 100.0), Some(&line(&[60.0, 80.0])), Some(85.0), " bad");
        assert!(svg.contains("d=\"M32.0 4h16.0v4H32.0z\"") && svg.contains("cx=\"38.4\""), "{svg}");
        assert!(svg.starts_with("<svg class=\"dot bad\"") && svg.contains("tick\" d=\"M52.0 0v12"), "{svg}");
        assert!(dot(500.0, (20.0, 100.0), None, None, "").contains("cx=\"61.0\""), "it stays on its axis");
    }

    #[test]
    fn a_dot_is_away_from_what_is_usual() {
        let svg = away(0.1, 100.0, 10.0);
        assert!(svg.contains("d=\"M16.0 2h32.0v8H16.0z\"") && svg.contains("cx=\"16.0\""), "{svg}");
        assert!(away(1e9, 100.0, 10.0).contains("cx=\"61.0\"") && !away(f64::NAN, 100.0, 10.0).contains("NaN"));
    }

    #[test]
    fn each_part_has_a_column() {
        let svg = columns(&[Part::Is(0.5), Part::Lost, Part::Nothing, Part::Is(9.0)], 1.0);
        assert!(
            svg.contains("width=\"32\"") && svg.contains("M0 15h6v-7.0h-6z") && svg.contains("M24 15h6v-14.0h-6z"),
            "{svg}"
        );
        assert!(
            svg.contains("lost\" d=\"M8 2l6 12m0 -12l-6 12\"") && svg.contains("no\" d=\"M16.5 1.5h5v13h-5z\""),
            "{svg}"
        );
        assert!(columns(&[Part::Nothing; 99], 1.0).contains("width=\"256\""));
    }
}
