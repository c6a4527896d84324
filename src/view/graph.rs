//! The graph of a file in rrdtool's format, as nova's instance monitor had it drawn: areas and lines in steps, linear or
//! logarithmic, in a picture of rrdtool's size. Pure: the same rows give the same bytes.

use std::fmt::Write as _;

use anyhow::Result;

use super::plot::{Ground, LIGHT, clock, ticks};
use super::scene::{Anchor, Scene, Shape, Stroke, Text};
use crate::model::{RrdFile, RrdScale, RrdSource, RrdSpan, utc};

/// The size of the picture, and of the field of values in it, in pixels.
const SIZE: (f64, f64) = (482.0, 175.0);
const LEFT: f64 = 62.0;
const RIGHT: f64 = 462.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 134.0;

/// The most labels of times, and of powers of ten.
const MOST_TIMES: i64 = 8;
const MOST_POWERS: i32 = 5;

/// The letters of powers of a thousand.
const LETTERS: [&str; 6] = ["", "k", "M", "G", "T", "P"];

/// What a graph shows.
#[derive(Debug)]
pub struct Graph {
    /// The name of the series.
    pub series: String,
    /// The file.
    pub file: &'static RrdFile,
    /// The time that it shows.
    pub span: &'static RrdSpan,
    /// The end of the newest row, in unix seconds.
    pub end: i64,
    /// The values of each row, one for each data source; NaN if unknown. The oldest comes first.
    pub rows: Vec<Vec<f64>>,
}

impl Graph {
    /// Returns the graph as PNG.
    ///
    /// # Errors
    /// Fails if this build has no PNG.
    pub fn png(&self) -> Result<Vec<u8>> {
        super::png::draw(&self.scene())
    }

    /// Returns the graph as SVG.
    pub fn svg(&self) -> String {
        self.scene().svg()
    }

    fn scene(&self) -> Scene {
        let Ground { ground, ink, faint, quiet } = LIGHT;
        let begin = self.span.begin(self.end);
        let mut scene = Scene {
            width: SIZE.0,
            height: SIZE.1,
            title: format!("{} of {}, {}", self.file.name, self.series, self.span.name),
            description: format!("{} to {}", utc(begin), utc(self.end)),
            ground,
            ink,
            quiet,
            lines: Vec::new(),
        };
        let high = self.high();
        self.gaps(&mut scene);
        let sources = || self.file.sources.iter().enumerate();
        for (at, source) in sources().filter(|(_, source)| source.is_area) {
            let path = self.path(at, high, true);
            scene.lines.push(vec![Shape::Area { class: source.name, path, colour: source.colour, opacity: "1" }]);
        }
        // The grid lies over the areas, which are not transparent.
        self.axes(&mut scene, high, faint);
        for (at, source) in sources().filter(|(_, source)| !source.is_area) {
            let path = self.path(at, high, false);
            scene.lines.push(vec![Shape::thin(path, source.colour)]);
        }
        scene.lines.push(vec![Shape::thin(format!("M{LEFT} {BOTTOM}H{RIGHT}"), ink)]);
        if self.rows.iter().flatten().all(|value| value.is_nan()) {
            let middle = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
            let text = Text::new(middle.0.to_string(), middle.1.to_string(), "nothing was stored in this time".into());
            scene.lines.push(vec![Shape::Text(Text { anchor: Anchor::Middle, ..text })]);
        }
        self.legend(&mut scene, quiet);
        scene
    }

    /// Returns the upper end of the axis.
    fn high(&self) -> f64 {
        match self.file.scale {
            RrdScale::To(high) => high,
            RrdScale::LogarithmicFrom(low) => {
                let most = self.rows.iter().flatten().copied().filter(|value| value.is_finite()).fold(low, f64::max);
                // A tenth of a power of ten above the largest value, and a power of ten at least.
                (most.log10() + 0.1).max(low.log10() + 1.0)
            }
        }
    }

    /// Returns the height of a value above the axis in whole pixels, so that edges are sharp.
    fn y(&self, value: f64, high: f64) -> i64 {
        let share = match self.file.scale {
            RrdScale::To(_) => value / high,
            RrdScale::LogarithmicFrom(low) if value <= low => 0.0,
            RrdScale::LogarithmicFrom(low) => (value.log10() - low.log10()) / (high - low.log10()),
        };
        (BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0)).round() as i64
    }

    /// Returns where a time lies, in whole pixels.
    fn x(&self, time: i64) -> i64 {
        let begin = self.span.begin(self.end);
        let share = time.saturating_sub(begin) as f64 / self.end.saturating_sub(begin).max(1) as f64;
        (LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0)).round() as i64
    }

    /// Returns the rows as stretches of pixels, with the values of each.
    fn stretches(&self) -> impl Iterator<Item = (i64, i64, &[f64])> {
        let (seconds, count) = (self.span.row_seconds(), self.rows.len() as i64);
        (0..).zip(&self.rows).filter_map(move |(at, values)| {
            let end = self.end - seconds * (count - 1 - at);
            let (from, to) = (self.x(end - seconds), self.x(end));
            (to > from).then_some((from, to, values.as_slice()))
        })
    }

    /// Hatches the times in which no value is known.
    fn gaps(&self, scene: &mut Scene) {
        let mut gaps = Vec::<(i64, i64)>::new();
        for (from, to, values) in self.stretches() {
            match gaps.last_mut() {
                _ if values.iter().any(|value| !value.is_nan()) => {}
                Some(last) if last.1 == from => last.1 = to,
                _ => gaps.push((from, to)),
            }
        }
        for (from, to) in gaps {
            let [x, y, width, height] =
                [from as f64, TOP, (to - from) as f64, BOTTOM - TOP].map(|length| length.to_string());
            scene.lines.push(vec![Shape::Gap { x, y, width, height }]);
        }
    }

    /// Returns the path of a data source: a step for each row, broken where it is unknown.
    fn path(&self, source: usize, high: f64, is_area: bool) -> String {
        let (mut path, mut reached) = (String::new(), None);
        let close = |path: &mut String| path.push_str(if is_area { "V134Z" } else { "" });
        for (from, to, values) in self.stretches() {
            let Some(value) = values.get(source).filter(|value| !value.is_nan()) else {
                if reached.take().is_some() {
                    close(&mut path);
                }
                continue;
            };
            let y = self.y(*value, high);
            let _ = match reached.replace(to) {
                Some(end) if end == from => write!(path, "V{y}H{to}"),
                _ if is_area => write!(path, "M{from} {BOTTOM}V{y}H{to}"),
                _ => write!(path, "M{from} {y}H{to}"),
            };
        }
        if reached.is_some() {
            close(&mut path);
        }
        path
    }

    /// Draws the lines of both axes, with their labels.
    fn axes(&self, scene: &mut Scene, high: f64, faint: &'static str) {
        let (times, format) = ticks(self.span.begin(self.end), self.end, MOST_TIMES);
        for time in times {
            let x = self.x(time).to_string();
            let line = Shape::thin(format!("M{x} {TOP}V{BOTTOM}"), faint);
            let label = Text::new(x, (BOTTOM + 13.0).to_string(), clock(time, format));
            scene.lines.push(vec![line, Shape::Text(Text { anchor: Anchor::Middle, ..label })]);
        }
        for (value, label) in self.heights(high) {
            let y = self.y(value, high);
            let line = Shape::thin(format!("M{LEFT} {y}H{RIGHT}"), faint);
            let label = Text::new((LEFT - 6.0).to_string(), (y + 4).to_string(), label);
            scene.lines.push(vec![line, Shape::Text(Text { anchor: Anchor::End, ..label })]);
        }
        let middle = ((TOP + BOTTOM) / 2.0).to_string();
        let axis = Text::new("14".into(), middle, self.file.axis.into());
        scene.lines.push(vec![Shape::Text(Text { anchor: Anchor::Middle, is_turned: true, ..axis })]);
    }

    /// Returns the values that have a line, with their labels.
    fn heights(&self, high: f64) -> Vec<(f64, String)> {
        match self.file.scale {
            RrdScale::To(high) => {
                (0..=5).map(|fifth| high / 5.0 * f64::from(fifth)).map(|at| (at, at.to_string())).collect()
            }
            RrdScale::LogarithmicFrom(low) => {
                let (first, last) = (low.log10().ceil() as i32, high.floor() as i32);
                // Beyond some powers only those that have a letter of their own.
                let each = if last - first < MOST_POWERS { 1 } else { 3 };
                (first..=last)
                    .filter(|power| power % each == 0)
                    .map(|power| (10_f64.powi(power), letter(power)))
                    .collect()
            }
        }
    }

    /// Draws what each colour means, and up to when the rows reach.
    fn legend(&self, scene: &mut Scene, quiet: &'static str) {
        let mut left = 14_i64;
        for RrdSource { label, colour, is_area, .. } in self.file.sources {
            let width = if *is_area { "8" } else { "2" };
            let stroke = Stroke { colour, width: Some(width), is_round: false, dashes: "" };
            let key = Shape::Line { class: None, path: format!("M{left} 162h12"), stroke };
            scene.lines.push(vec![key, Shape::Text(Text::new((left + 18).to_string(), "166".into(), (*label).into()))]);
            left += 18 + 6 * label.chars().count() as i64 + 18;
        }
        let until = Text::new(RIGHT.to_string(), "166".into(), format!("until {}", utc(self.end)));
        scene.lines.push(vec![Shape::Text(Text { anchor: Anchor::End, colour: Some(quiet), ..until })]);
    }
}

/// Returns a power of ten for an axis: `10k`, `1G`.
fn letter(power: i32) -> String {
    let power = usize::try_from(power).unwrap_or_default();
    match LETTERS.get(power / 3) {
        Some(letter) => format!("1{}{letter}", "0".repeat(power % 3)),
        None => format!("1e{power}"),
    }
}
