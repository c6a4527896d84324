//! Which whole pixels a shape covers. Most shapes of a graph have no edge to smooth: drawn as rows of pixels they take a small
//! part of the time.

use std::ops::Range;

use super::path::{Step, number, steps};
use crate::view::font;
use crate::view::scene::{Anchor, Shape, Stroke, Text};

/// Pixels beside each other in a row, perhaps beyond the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The row, from above.
    pub row: i32,
    /// The first pixel.
    pub from: i32,
    /// The pixel after the last one.
    pub to: i32,
}

impl Run {
    /// Returns its places among the pixels of a picture, row by row; empty if it lies beyond.
    pub fn within(&self, columns: usize, rows: usize) -> Range<usize> {
        let column = |at: i32| usize::try_from(at).unwrap_or_default().min(columns);
        let (from, to) = (column(self.from), column(self.to));
        match usize::try_from(self.row) {
            Ok(row) if row < rows && from < to => row * columns + from..row * columns + to,
            _ => 0..0,
        }
    }
}

/// Returns the pixels that a shape covers; `None` if it has an edge to smooth.
pub fn whole(shape: &Shape) -> Option<Vec<Run>> {
    match shape {
        Shape::Line { path, stroke, .. } if !stroke.dashes.is_empty() || stroke.is_round || path.is_empty() => {
            path.is_empty().then(Vec::new)
        }
        Shape::Line { path, stroke: Stroke { width: None, .. }, .. } => thin(path),
        Shape::Line { path, stroke: Stroke { width: Some(width), .. }, .. } => bar(path, number(width)),
        Shape::Area { path, opacity, .. } => {
            if number(opacity) == 1.0 {
                area(path)
            } else {
                None
            }
        }
        Shape::Gap { x, y, width, height } => Some(hatch([x, y, width, height].map(|text| number(text)))),
        Shape::Text(text) => Some(letters(text)),
    }
}

/// Returns a length of whole pixels.
fn length(of: f32) -> Option<i32> {
    (of.fract() == 0.0).then_some(of as i32)
}

/// Returns the pixels of a line of the grid. It lies on whole pixels wherever it is: smooth, it would be two of them wide and
/// pale.
fn thin(path: &str) -> Option<Vec<Run>> {
    let mut runs = Vec::new();
    let (mut start, mut at) = ((0, 0), (0, 0));
    for step in steps(path) {
        let to = match step {
            Step::Move(x, y) => {
                (start, at) = ((x.floor() as i32, y.floor() as i32), (x.floor() as i32, y.floor() as i32));
                continue;
            }
            Step::Line(x, y) => (x.floor() as i32, y.floor() as i32),
            Step::Close => start,
        };
        let (left, right) = (at.0.min(to.0), at.0.max(to.0).checked_add(1)?);
        let (top, bottom) = (at.1.min(to.1), at.1.max(to.1));
        if top != bottom && right - left != 1 {
            return None;
        }
        runs.extend((top..=bottom).map(|row| Run { row, from: left, to: right }));
        at = to;
    }
    Some(runs)
}

/// Returns the pixels of one wide line that lies level and begins and ends between pixels.
fn bar(path: &str, width: f32) -> Option<Vec<Run>> {
    let mut steps = steps(path);
    let (Some(Step::Move(x, y)), Some(Step::Line(end, level)), None) = (steps.next(), steps.next(), steps.next())
    else {
        return None;
    };
    if y != level {
        return None;
    }
    let (top, bottom) = (length(y - width / 2.0)?, length(y + width / 2.0)?);
    let (from, to) = (length(x.min(end))?, length(x.max(end))?);
    Some((top..bottom).map(|row| Run { row, from, to }).collect())
}

/// Returns the pixels within a path of level and upright lines between pixels.
fn area(path: &str) -> Option<Vec<Run>> {
    let mut edges = level_edges(path)?;
    edges.sort_by_key(|edge| edge.row);
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else { return Some(Vec::new()) };
    let left = edges.iter().map(|edge| edge.from.min(edge.to)).min().unwrap_or_default();
    let right = edges.iter().map(|edge| edge.from.max(edge.to)).max().unwrap_or_default();
    // How often the path goes around each column of the row under way.
    let mut turns = vec![0_i32; usize::try_from(right.checked_sub(left)?).ok()?];
    let (mut runs, mut inside, mut next) = (Vec::new(), Vec::new(), edges.iter().peekable());
    for row in first.row..last.row {
        let mut has_changed = false;
        while let Some(edge) = next.next_if(|edge| edge.row == row) {
            let turn = if edge.to > edge.from { 1 } else { -1 };
            let column = |at: i32| (at - left) as usize;
            turns[column(edge.from.min(edge.to))..column(edge.from.max(edge.to))].iter_mut().for_each(|at| *at += turn);
            has_changed = true;
        }
        if has_changed {
            inside.clear();
            let mut at = left;
            for columns in turns.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
                let to = at + columns.len() as i32;
                inside.extend((columns[0] != 0).then_some((at, to)));
                at = to;
            }
        }
        runs.extend(inside.iter().map(|(from, to)| Run { row, from: *from, to: *to }));
    }
    Some(runs)
}

/// Returns the level lines of a path, each as a row that lies below it; `None` if one is aslant or between pixels.
fn level_edges(path: &str) -> Option<Vec<Run>> {
    let mut edges = Vec::new();
    let (mut start, mut at) = ((0, 0), (0, 0));
    let mut line = |at: (i32, i32), to: (i32, i32)| {
        if at.1 == to.1 && at.0 != to.0 {
            edges.push(Run { row: at.1, from: at.0, to: to.0 });
        }
        (at.0 == to.0 || at.1 == to.1).then_some(to)
    };
    for step in steps(path) {
        match step {
            Step::Move(x, y) => {
                line(at, start)?;
                start = (length(x)?, length(y)?);
                at = start;
            }
            Step::Line(x, y) => at = line(at, (length(x)?, length(y)?))?,
            Step::Close => at = line(at, start)?,
        }
    }
    line(at, start)?;
    Some(edges)
}

fn hatch([x, y, width, height]: [f32; 4]) -> Vec<Run> {
    let ends = |from: f32, length: f32| from.round() as i32..(from + length).round() as i32;
    let mut runs = Vec::new();
    let columns = ends(x, width);
    for row in ends(y, height) {
        let first = columns.start + (5 - columns.start - row).rem_euclid(6);
        runs.extend((first..columns.end).step_by(6).map(|from| Run { row, from, to: from + 1 }));
    }
    runs
}

fn letters(text: &Text) -> Vec<Run> {
    let back = match text.anchor {
        Anchor::Start => 0,
        Anchor::Middle => font::width(&text.text) / 2,
        Anchor::End => font::width(&text.text),
    };
    let (x, y) = (number(&text.x).round() as i32, number(&text.y).round() as i32);
    let mut runs = Vec::new();
    font::pixels(&text.text, |right, down| {
        let (from, row) = match text.is_turned {
            false => (x - back + right, y - font::HEIGHT + down),
            true => (x - font::HEIGHT + down, y + back - right),
        };
        runs.push(Run { row, from, to: from + 1 });
    });
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(runs: &[Run]) -> Vec<String> {
        let mut pixels = [b'.'; 8 * 6];
        for run in runs {
            pixels[run.within(8, 6)].fill(b'#');
        }
        pixels.chunks(8).map(|row| String::from_utf8_lossy(row).into_owned()).collect()
    }

    #[test]
    fn an_area_of_steps_is_filled_to_its_edges() {
        let runs = area("M1 5V3H3V1H5V4H6V5ZM7 5V2H9V5Z").unwrap();
        assert_eq!(drawn(&runs), ["........", "...##...", "...##..#", ".####..#", ".#####.#", "........"]);
        // A hole goes around the other way; an overlap is filled; what is not closed is.
        let runs = area("M0 0H8V6H0ZM2 2V4H4V2ZM5 1H7V3H5").unwrap();
        let expected = ["########", "########", "##..####", "##..####", "########", "########"];
        assert_eq!(drawn(&runs), expected);
        assert_eq!(area("").unwrap(), []);
        for smooth in ["M0 0L3 3H0Z", "M0.5 0H3V3Z", "M0 0H3V3.2H0Z", "M0 0H3V3"] {
            assert_eq!(area(smooth), None, "{smooth}");
        }
    }

    #[test]
    fn lines_cover_whole_pixels() {
        let runs = thin("M1.7 4.2H3V1.9H6M7 0V9").unwrap();
        assert_eq!(drawn(&runs), [".......#", "...#####", "...#...#", "...#...#", ".###...#", ".......#"][..].to_vec());
        assert_eq!(thin("M0 0L3 3"), None);
        assert_eq!(drawn(&bar("M1 3h5", 2.0).unwrap())[1..4], ["........", ".#####..", ".#####.."]);
        for smooth in ["M1 3h5", "M1.5 3h5"] {
            assert_eq!(bar(smooth, 1.0), None);
        }
        assert_eq!(bar("M1 3h5v2", 2.0), None);
    }

    #[test]
    fn what_lies_beyond_the_picture_is_cut() {
        let run = |row, from, to| Run { row, from, to }.within(8, 6);
        assert_eq!((run(1, -5, 3), run(5, 6, 100)), (8..11, 46..48));
        for (row, from, to) in [(-1, 0, 8), (6, 0, 8), (0, 8, 20), (0, -9, -1), (0, 5, 5), (0, 5, 2)] {
            assert!(run(row, from, to).is_empty());
        }
    }
}
