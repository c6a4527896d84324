//! The graph of a file in rrdtool's format, as nova's instance monitor had it drawn: areas and lines in steps, linear or
//! logarithmic, in a picture of rrdtool's size. Pure: the same rows give the same bytes.

use std::fmt::Write as _;
use std::slice::ChunksExact;

use anyhow::Result;

use super::plot::{Ground, LIGHT, ticks, wide};
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
    /// The values of the rows, one for each data source; NaN if unknown. The oldest row comes first.
    pub values: Vec<f64>,
}

/// Where values and times stand in the picture.
struct Axes {
    /// The first time.
    begin: i64,
    /// The upper end: a value, or its logarithm.
    high: f64,
    /// The logarithm of the lower end; 0 on a linear axis.
    low: f64,
}

/// A row in the picture: the pixels from its left to its right end, and its values.
struct Stretch<'a> {
    from: i64,
    to: i64,
    values: &'a [f64],
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

    /// Returns the values row by row, the oldest first.
    pub fn rows(&self) -> ChunksExact<'_, f64> {
        self.values.chunks_exact(self.file.sources.len().max(1))
    }

    fn scene(&self) -> Scene {
        let Ground { ground, ink, faint, quiet } = LIGHT;
        let axes = Axes::of(self);
        let mut scene = Scene {
            width: SIZE.0,
            height: SIZE.1,
            title: format!("{} of {}, {}", self.file.name, self.series, self.span.name),
            description: format!("{} to {}", utc(axes.begin), utc(self.end)),
            ground,
            ink,
            quiet,
            lines: Vec::new(),
        };
        let stretches = self.stretches(&axes);
        gaps(&mut scene, &stretches);
        let sources = || self.file.sources.iter().enumerate();
        for (at, source) in sources().filter(|(_, source)| source.is_area) {
            let path = self.path(&axes, &stretches, at, true);
            scene.lines.push(vec![Shape::Area { class: source.name, path, colour: source.colour, opacity: "1" }]);
        }
        // The grid lies over the areas, which are not transparent.
        self.draw_axes(&mut scene, &axes, faint);
        for (at, source) in sources().filter(|(_, source)| !source.is_area) {
            let path = self.path(&axes, &stretches, at, false);
            scene.lines.push(vec![Shape::thin(path, source.colour)]);
        }
        scene.lines.push(vec![Shape::thin(format!("M{LEFT} {BOTTOM}H{RIGHT}"), ink)]);
        if self.values.iter().all(|value| value.is_nan()) {
            let middle = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
            let text = Text::new(middle.0.to_string(), middle.1.to_string(), "nothing was stored in this time".into());
            scene.lines.push(vec![Shape::Text(Text { anchor: Anchor::Middle, ..text })]);
        }
        self.legend(&mut scene, quiet);
        scene
    }

    /// Returns the height of a value above the axis in whole pixels, so that edges are sharp.
    fn y(&self, axes: &Axes, value: f64) -> i64 {
        let share = match self.file.scale {
            RrdScale::To(_) => value / axes.high,
            RrdScale::LogarithmicFrom(low) if value <= low => 0.0,
            RrdScale::LogarithmicFrom(_) => (value.log10() - axes.low) / (axes.high - axes.low),
        };
        (BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0)).round() as i64
    }

    /// Returns where a time lies, in whole pixels.
    fn x(&self, axes: &Axes, time: i64) -> i64 {
        let share = time.saturating_sub(axes.begin) as f64 / self.end.saturating_sub(axes.begin).max(1) as f64;
        (LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0)).round() as i64
    }

    /// Returns the rows that have a pixel.
    fn stretches(&self, axes: &Axes) -> Vec<Stretch<'_>> {
        let (seconds, count) = (self.span.row_seconds(), self.rows().len() as i64);
        let mut from = self.x(axes, self.end - seconds * count);
        let stretch = |(at, values)| {
            let to = self.x(axes, self.end - seconds * (count - 1 - at));
            let stretch = Stretch { from, to, values };
            from = to;
            (to > stretch.from).then_some(stretch)
        };
        (0..).zip(self.rows()).filter_map(stretch).collect()
    }

    /// Returns the path of a data source: a step for each row, broken where it is unknown.
    fn path(&self, axes: &Axes, stretches: &[Stretch], source: usize, is_area: bool) -> String {
        let (mut path, mut reached) = (String::new(), None);
        let close = |path: &mut String| path.push_str(if is_area { "V134Z" } else { "" });
        for Stretch { from, to, values } in stretches {
            let Some(value) = values.get(source).filter(|value| !value.is_nan()) else {
                if reached.take().is_some() {
                    close(&mut path);
                }
                continue;
            };
            let y = self.y(axes, *value);
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
    fn draw_axes(&self, scene: &mut Scene, axes: &Axes, faint: &'static str) {
        for (time, label) in ticks(axes.begin, self.end, MOST_TIMES) {
            let x = self.x(axes, time);
            let mut line = vec![Shape::thin(format!("M{x} {TOP}V{BOTTOM}"), faint)];
            // One that would leave the picture is left out: the end has its time below.
            if x as f64 + wide(&label) / 2.0 <= SIZE.0 {
                let label = Text::new(x.to_string(), (BOTTOM + 13.0).to_string(), label);
                line.push(Shape::Text(Text { anchor: Anchor::Middle, ..label }));
            }
            scene.lines.push(line);
        }
        for (value, label) in self.heights(axes.high) {
            let y = self.y(axes, value);
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

impl Axes {
    fn of(graph: &Graph) -> Self {
        let (high, low) = match graph.file.scale {
            RrdScale::To(high) => (high, 0.0),
            RrdScale::LogarithmicFrom(low) => {
                let known = graph.values.iter().copied().filter(|value| value.is_finite());
                let (most, low_power) = (known.fold(low, f64::max), low.log10());
                // A tenth of a power of ten above the largest value, and a power of ten at least.
                ((most.log10() + 0.1).max(low_power + 1.0), low_power)
            }
        };
        Self { begin: graph.span.begin(graph.end), high, low }
    }
}

/// Hatches the times in which no value is known.
fn gaps(scene: &mut Scene, stretches: &[Stretch]) {
    let mut gaps = Vec::<(i64, i64)>::new();
    for Stretch { from, to, values } in stretches {
        match gaps.last_mut() {
            _ if values.iter().any(|value| !value.is_nan()) => {}
            Some(last) if last.1 == *from => last.1 = *to,
            _ => gaps.push((*from, *to)),
        }
    }
    for (from, to) in gaps {
        let [x, y, width, height] =
            [from as f64, TOP, (to - from) as f64, BOTTOM - TOP].map(|length| length.to_string());
        scene.lines.push(vec![Shape::Gap { x, y, width, height }]);
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
