//! A plot as SVG or PNG: for mail, wikis and browsers without JavaScript. Pure: the same history gives the same bytes.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::history::{History, Series};
use super::marks::Mark;
use super::page::Judged;
use super::scene::{Anchor, Scene, Shape, Stroke, Text};
use super::{calendar, marks};
use crate::text::ago;

/// Size and colours of a plot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotStyle {
    /// Width in pixels; 200 to 4000, 900 by default.
    pub width: u32,
    /// Height in pixels, without the legend below it; 100 to 4000, 300 by default.
    pub height: u32,
    /// Whether the colours are light on dark.
    pub dark: bool,
    /// Whether the lines of a unit stand on one another, unless one falls below zero.
    pub stacked: bool,
    /// Whether the names of the lines stand below.
    pub legend: bool,
    /// Whether it is a calendar with a cell for each day, for numbers that are 0 or 1, or judged; it has a size of its own.
    pub days: bool,
    /// From which numbers on a day is worse, and bad; else 0 is down.
    pub judged: Option<Judged>,
    /// What happened to it, which is drawn below the lines.
    pub marks: Vec<Mark>,
    /// Whether its range is in the future.
    pub ahead: bool,
}

impl Default for PlotStyle {
    fn default() -> Self {
        Self {
            width: 900,
            height: 300,
            dark: false,
            stacked: false,
            legend: true,
            days: false,
            judged: None,
            marks: Vec::new(),
            ahead: false,
        }
    }
}

impl PlotStyle {
    /// Reads `width`, `height`, `theme`, `stack`, `legend`, `days`, `worse` and `bad` of a query.
    ///
    /// # Errors
    /// If a size is out of range.
    pub fn new(pairs: &[(String, String)]) -> Result<Self> {
        let size = |name: &str, least: u32, default: u32| {
            let Some((_, text)) = pairs.iter().find(|(other, _)| other == name) else { return Ok(default) };
            let size = text.parse().ok().filter(|size| (least..=4000).contains(size));
            size.with_context(|| format!("{name} is not {least} to 4000"))
        };
        let is = |name: &str, value: &str| pairs.iter().any(|(other, given)| other == name && given == value);
        let (dark, stacked, legend, days) =
            (is("theme", "dark"), is("stack", "1"), !is("legend", "0"), is("days", "1"));
        let (width, height) = (size("width", 200, 900)?, size("height", 100, 300)?);
        let number = |name: &str| pairs.iter().find(|(other, _)| other == name).and_then(|(_, text)| text.parse().ok());
        let judged = number("worse").zip(number("bad")).map(|(worse, bad)| Judged { worse, bad, off: &[] });
        Ok(Self { width, height, dark, stacked, legend, days, judged, marks: Vec::new(), ahead: false })
    }
}

/// The colours of lines, on light and on dark ground, that people with any kind of colour vision can tell apart; style.css
/// has the same.
pub const COLOURS: [[&str; 2]; 8] = [
    ["#0551a4", "#4b8dff"],
    ["#a74700", "#efa55f"],
    ["#52866c", "#69fccf"],
    ["#bb68a1", "#d95d88"],
    ["#918b09", "#f7ea64"],
    ["#464b53", "#dbe3ef"],
    ["#0291dc", "#74c3eb"],
    ["#5b1d5f", "#9e85b7"],
];

/// The colours of what is up, worse and down, on light and on dark ground; style.css has the same.
pub(super) const FILLS: [[&str; 3]; 2] = [["#43957f", "#b97a00", "#c4261f"], ["#2f8a80", "#f3cd66", "#ff6b62"]];

/// The colour of bars, on light and on dark ground; style.css has the same.
const BARS: [&str; 2] = ["#67839f", "#7891aa"];

/// The dashes of lines; each set of colours has the next one.
const DASHES: [&str; 3] = ["", "6 3", "2 3"];

/// Margins around the plot area, in pixels.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// The height of a line of the legend, in pixels.
const LINE: f64 = 17.0;

/// The space between two strips, in pixels.
const BETWEEN: f64 = 16.0;

/// The least height of a strip, and the least and most of a lane, in pixels.
const LEAST_STRIP: f64 = 48.0;
const LANE: (f64, f64) = (30.0, 96.0);

/// The unit of what is up or down, drawn as a lane.
pub(crate) const SWITCH: &str = "0 or 1";

/// The colours of everything but lines.
pub(super) struct Ground {
    pub ground: &'static str,
    pub ink: &'static str,
    pub faint: &'static str,
    pub quiet: &'static str,
}

/// Those of light plots.
pub(super) const LIGHT: Ground = Ground { ground: "#ffffff", ink: "#171b20", faint: "#d8dee4", quiet: "#57616c" };

/// Those of dark plots.
const DARK: Ground = Ground { ground: "#12161a", ink: "#e3e7eb", faint: "#353d46", quiet: "#9aa5b1" };

/// The part of a plot that holds the series of one unit, or all lanes.
struct Strip<'a> {
    history: &'a History,
    unit: &'static str,
    /// Whether each series is a lane.
    lanes: bool,
    /// The series with their numbers among all.
    series: Vec<(usize, &'a Series)>,
    /// Whether they stand on one another.
    stacked: bool,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    low: f64,
    high: f64,
    /// The distance of the lines of the axis.
    step: f64,
}

/// Returns the plot as SVG: a strip per unit under one another, then a legend line per series.
pub fn svg(history: &History, style: &PlotStyle) -> String {
    scene(history, style).svg()
}

/// Returns the plot as PNG.
///
/// # Errors
/// Fails if this build has no PNG.
pub fn png(history: &History, style: &PlotStyle) -> Result<Vec<u8>> {
    super::png::draw(&scene(history, style))
}

/// Returns the plot as shapes.
fn scene(history: &History, style: &PlotStyle) -> Scene {
    let ground = if style.dark { DARK } else { LIGHT };
    if style.days {
        return calendar::scene(history, style.judged.as_ref(), style.dark, &ground);
    }
    let on_one_another = style.stacked.then(|| stacked(history));
    let history = on_one_another.as_ref().unwrap_or(history);
    let (width, strips) = (f64::from(style.width), strips(history, style));
    let bottom = strips.last().map_or(TOP, |strip| strip.bottom);
    let field_height = bottom + BOTTOM + if style.marks.is_empty() { 0.0 } else { marks::HIGH };
    let names_below = if style.legend { LINE * history.series.len() as f64 } else { 0.0 };
    let height = field_height + names_below + 8.0;
    let names: Vec<_> = history.series.iter().map(|series| series.path.as_str()).collect();
    let range = format!("{} to {} UTC", clock(history.from, "%Y-%m-%d %H:%M"), clock(history.to, "%Y-%m-%d %H:%M"));
    let Ground { ground: behind, ink, faint, quiet } = ground;
    let mut scene = Scene {
        width,
        height,
        title: names.join(", "),
        description: range.clone(),
        ground: behind,
        ink,
        quiet,
        lines: Vec::new(),
    };
    let right = width - RIGHT;
    for (time, label) in ticks(history.from, history.to, ((right - LEFT) / 90.0) as i64) {
        let at = LEFT + (right - LEFT) * share(history, time);
        // A label at the edge would leave the picture.
        let anchor = if at + wide(&label) / 2.0 > width { Anchor::End } else { Anchor::Middle };
        let label = Text { anchor, ..Text::new(tenth(at), tenth(bottom + 15.0), label) };
        scene.lines.push(vec![Shape::thin(format!("M{at:.1} {TOP}V{bottom:.1}"), faint), Shape::Text(label)]);
    }
    let foot = tenth(field_height - 2.0);
    let mut room = right - LEFT - wide(&range);
    let below = Text { anchor: Anchor::End, ..Text::new(right.to_string(), foot.clone(), range) };
    scene.lines.extend((room >= 0.0).then_some(vec![Shape::Text(below)]));
    let text = format!("one value is {}: line mean, band least to most", ago(history.step_seconds));
    room -= wide(&text) + 12.0;
    if history.is_folded() && room >= 0.0 {
        let text = Text { colour: Some(quiet), ..Text::new(LEFT.to_string(), foot, text) };
        scene.lines.push(vec![Shape::Text(text)]);
    }
    for strip in &strips {
        strip.draw(&mut scene, faint, style.dark);
    }
    mark(&mut scene, history, style, (right, bottom));
    if history.series.iter().all(|series| series.values.iter().all(Option::is_none)) {
        let (x, y) = (tenth((LEFT + right) / 2.0), tenth((TOP + bottom) / 2.0));
        let words = if style.ahead { "this time is in the future" } else { "nothing was stored in this time" };
        let text = Text { anchor: Anchor::Middle, ..Text::new(x, y, words.into()) };
        scene.lines.push(vec![Shape::Text(text)]);
    }
    for (at, series) in history.series.iter().enumerate().filter(|_| style.legend) {
        let mut stroke = Stroke { width: Some("2"), ..stroke(at, style.dark) };
        if is_lane(series) {
            let theme = usize::from(style.dark);
            stroke = Stroke { colour: if series.health { FILLS[theme][0] } else { BARS[theme] }, dashes: "", ..stroke };
        }
        scene.lines.push(legend(series, stroke, field_height + LINE * at as f64 + 12.0));
    }
    scene
}

/// Draws what happened, numbered as in the list beside the plot of the page.
fn mark(scene: &mut Scene, history: &History, style: &PlotStyle, (right, bottom): (f64, f64)) {
    let mut free = f64::MIN;
    for (number, mark) in style.marks.iter().enumerate().filter(|(_, mark)| mark.since < history.to) {
        let x = LEFT + (right - LEFT) * share(history, mark.since.max(history.from));
        let [_, worse, bad] = FILLS[usize::from(style.dark)];
        marks::draw(scene, mark.kind, x, (TOP, bottom, bottom + 23.0), (bad, worse));
        // Where many stand close together only their shapes fit.
        if x >= free {
            let text = Text::new(tenth(x + 6.0), tenth(bottom + 27.0), (number + 1).to_string());
            scene.lines.push(vec![Shape::Text(text)]);
            free = x + 26.0;
        }
    }
}

/// Returns a history in which the values of each unit stand on one another; its bands are what each adds.
fn stacked(history: &History) -> History {
    let mut stacked = history.clone();
    let mut units = std::collections::BTreeMap::<&str, Vec<usize>>::new();
    for (at, series) in history.series.iter().enumerate() {
        units.entry(series.unit).or_default().push(at);
    }
    for (unit, members) in units {
        let falls = |at: &usize| history.series[*at].values.iter().flatten().any(|value| *value < 0.0);
        if unit == SWITCH || members.len() < 2 || members.iter().any(falls) {
            continue;
        }
        let mut sums = vec![0.0; history.times.len()];
        for at in members {
            let series = &mut stacked.series[at];
            series.least = sums.iter().map(|sum| Some(*sum)).collect();
            for (value, sum) in series.values.iter_mut().zip(&mut sums) {
                *sum += value.unwrap_or_default();
                *value = value.map(|_| *sum);
            }
            series.most.clone_from(&series.values);
        }
    }
    stacked
}

/// Returns about how wide a text of 11 pixels is; none is wider by much.
pub(crate) fn wide(text: &str) -> f64 {
    5.8 * text.chars().count() as f64
}

/// Returns a length as the scene has it.
fn tenth(length: f64) -> String {
    format!("{length:.1}")
}

/// Returns where a time stands in the range, 0 to 1.
fn share(history: &History, time: i64) -> f64 {
    (time.saturating_sub(history.from)) as f64 / (history.to.saturating_sub(history.from)).max(1) as f64
}

/// Whether a series is 0 or 1, and no sum of such ones.
fn is_lane(series: &Series) -> bool {
    let most = if series.most.is_empty() { &series.values } else { &series.most };
    series.unit == SWITCH && most.iter().flatten().all(|value| (0.0..=1.0).contains(value))
}

/// Returns a strip per unit and one for the lanes, in the order of the series; one if there are none.
fn strips<'a>(history: &'a History, style: &PlotStyle) -> Vec<Strip<'a>> {
    let mut units = Vec::<(&'static str, bool)>::new();
    for series in &history.series {
        let of = (series.unit, is_lane(series));
        if !units.contains(&of) {
            units.push(of);
        }
    }
    if units.is_empty() {
        units.push(("", false));
    }
    let lanes = history.series.iter().filter(|series| is_lane(series)).count() as f64;
    let others = units.iter().filter(|(_, is_lane)| !is_lane).count() as f64;
    let room = f64::from(style.height) - TOP - BOTTOM - BETWEEN * (units.len() as f64 - 1.0);
    let lane = if others > 0.0 { LANE.0 } else { (room / lanes.max(1.0)).clamp(LANE.0, LANE.1) };
    let each = (room - LANE.0 * lanes) / others.max(1.0);
    let each = if units.len() > 1 { each.max(LEAST_STRIP) } else { each };
    let mut top = TOP;
    let strip = |(unit, lanes): (&'static str, bool)| {
        let is_of = |series: &Series| series.unit == unit && is_lane(series) == lanes;
        let series: Vec<_> = history.series.iter().enumerate().filter(|(_, series)| is_of(series)).collect();
        let height = if lanes { lane * series.len() as f64 } else { each };
        let numbers =
            || series.iter().flat_map(|(_, series)| [&series.values, &series.least, &series.most]).flatten().flatten();
        let (least, most) = (numbers().copied().reduce(f64::min), numbers().copied().reduce(f64::max));
        let (low, high, step) = scale(least, most, height / 45.0);
        let (left, right) = (LEFT, f64::from(style.width) - RIGHT);
        let stacked = style.stacked && series.len() > 1 && !lanes;
        let bottom = top + height;
        let strip = Strip { history, unit, lanes, series, stacked, left, right, top, bottom, low, high, step };
        top += height + BETWEEN;
        strip
    };
    units.iter().copied().map(strip).collect()
}

/// Returns what a path has that the first one of its length has not, or all of it.
fn own_words(history: &History, path: &str) -> String {
    let words: Vec<_> = path.split('.').collect();
    let alike =
        history.series.iter().filter(|other| other.path != path && other.path.split('.').count() == words.len());
    let others: Vec<Vec<_>> = alike.map(|other| other.path.split('.').collect()).collect();
    let is_own = |at: &usize| others.is_empty() || others.iter().any(|other| other[*at] != words[*at]);
    (0..words.len()).filter(is_own).map(|at| words[at]).collect::<Vec<_>>().join(" · ")
}

impl Strip<'_> {
    fn x(&self, time: i64) -> f64 {
        self.left + (self.right - self.left) * share(self.history, time).clamp(-1.0, 2.0)
    }

    /// The values are halved first, because the difference of very large numbers overflows.
    fn y(&self, value: f64) -> f64 {
        let share = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        self.bottom - (self.bottom - self.top) * share.clamp(-1.0, 2.0)
    }

    fn draw(&self, scene: &mut Scene, faint: &'static str, dark: bool) {
        let Self { left, right, top, low, high, step, .. } = *self;
        if self.lanes {
            let height = (self.bottom - top) / self.series.len() as f64;
            for (number, (_, series)) in self.series.iter().enumerate() {
                self.lane(scene, series, (top + height * number as f64, height), dark);
            }
            scene.lines.push(vec![Shape::thin(format!("M{left} {:.1}H{right}", self.bottom), faint)]);
            return;
        }
        let digits = if step.fract() == 0.0 { 0 } else { (-step.log10().floor()).clamp(0.0, 12.0) as usize };
        for line in 0..=((high / step - low / step).round().clamp(0.0, 100.0) as u32) {
            // Counted in steps, because a sum of very large numbers overflows.
            let value = (low / step + f64::from(line)) * step;
            let at = self.y(value);
            let label = Text::new((left - 6.0).to_string(), tenth(at + 4.0), short(value, digits));
            let label = Text { anchor: Anchor::End, ..label };
            scene.lines.push(vec![Shape::thin(format!("M{left} {at:.1}H{right}"), faint), Shape::Text(label)]);
        }
        let unit = Text::new("10".into(), tenth((top + self.bottom) / 2.0), self.unit.into());
        let unit = Text { class: Some("unit"), anchor: Anchor::Middle, is_turned: true, ..unit };
        // A small strip has no room for a long one.
        scene.lines.extend((wide(self.unit) <= self.bottom - top + TOP).then_some(vec![Shape::Text(unit)]));
        self.gaps(scene, &self.series, (self.top, self.bottom));
        for (at, series) in &self.series {
            let colour = COLOURS[at % COLOURS.len()][usize::from(dark)];
            let path = self.band(series);
            if !path.is_empty() {
                scene.lines.push(vec![Shape::Area {
                    class: "band",
                    path,
                    colour,
                    opacity: if self.stacked { "0.6" } else { "0.2" },
                }]);
            }
            let stroke = Stroke { width: Some("1.6"), is_round: true, ..stroke(*at, dark) };
            scene.lines.push(vec![Shape::Line { class: Some("mean"), path: self.line(series), stroke }]);
        }
    }

    /// Returns the end of what stands at a time.
    fn end(&self, at: usize) -> i64 {
        let next = self.history.times.get(at + 1).copied().unwrap_or(i64::MAX);
        next.min(self.history.times[at].saturating_add(self.history.step_seconds))
    }

    /// Draws a series of zeros and ones as a lane. A heartbeat is low while up and tall while down, anything else low at 0 and tall
    /// at 1.
    fn lane(&self, scene: &mut Scene, series: &Series, (top, height): (f64, f64), dark: bool) {
        self.gaps(scene, &[(0, series)], (top, top + height));
        let is_named = self.history.series.len() > 1;
        let (room, foot) = (height - if is_named { 15.0 } else { 4.0 }, top + height - 1.0);
        let [up, _, down] = FILLS[usize::from(dark)];
        let fill = BARS[usize::from(dark)];
        let mut runs = Vec::<(i64, i64, u8)>::new();
        for (at, value) in series.values.iter().enumerate() {
            let Some(value) = *value else { continue };
            let of = |bounds: &[Option<f64>]| bounds.get(at).copied().flatten().unwrap_or(value);
            let is = u8::from(of(&series.least) > 0.0) + u8::from(of(&series.most) > 0.0);
            let (begin, end) = (self.history.times[at], self.end(at));
            match runs.last_mut() {
                Some((_, until, last)) if *until == begin && *last == is => *until = end,
                _ => runs.push((begin, end, is)),
            }
        }
        for (begin, end, is) in runs {
            let is_low = is == if series.health { 2 } else { 0 };
            let high = room
                * if is_low {
                    0.2
                } else if is == 1 {
                    0.73
                } else {
                    1.0
                };
            let (x, right) = (self.x(begin).max(self.left), self.x(end).min(self.right));
            let width = (right - x).max(1.0);
            let path = format!("M{x:.1} {:.1}h{width:.1}v{high:.1}h-{width:.1}Z", foot - high);
            let colour = if !series.health {
                fill
            } else if is_low {
                up
            } else {
                down
            };
            scene.lines.push(vec![Shape::Area { class: "lane", path, colour, opacity: "1" }]);
        }
        if is_named {
            let words = own_words(self.history, &series.path);
            let text = Text::new(tenth(self.left + 3.0), tenth(top + 10.0), words);
            scene.lines.push(vec![Shape::Text(text)]);
        }
    }

    /// Hatches the times in which too little of these series was collected, and marks those in which not all was.
    fn gaps(&self, scene: &mut Scene, series: &[(usize, &Series)], (top, bottom): (f64, f64)) {
        let times = &self.history.times;
        for at in 0..times.len() {
            let known: Vec<_> = series.iter().map(|(_, series)| *series).collect();
            let is_gap = known.iter().all(|series| series.in_line(at).is_none());
            let is_part = known.iter().any(|series| series.coverage.get(at).is_some_and(|part| *part < 1.0));
            let end = if is_gap { times.get(at + 1).copied().unwrap_or(self.end(at)) } else { self.end(at) };
            let (from, to) = (self.x(times[at]).max(self.left), self.x(end).min(self.right));
            let height = if is_gap { bottom - top } else { 4.0 };
            if (is_gap || is_part) && to > from {
                let [x, y, width] = [from, bottom - height, (to - from).max(1.0)].map(tenth);
                scene.lines.push(vec![Shape::Gap { x, y, width, height: tenth(height) }]);
            }
        }
    }

    /// Returns the path of a series: broken where too little was collected; a cross for a value without neighbours.
    fn line(&self, series: &Series) -> String {
        let mut path = String::new();
        let mut drawing = false;
        for (at, value) in series.values.iter().enumerate() {
            let Some(value) = value else {
                drawing = false;
                continue;
            };
            let (x, y) = (self.x(self.history.times[at]), self.y(*value));
            let in_line = series.in_line(at).is_some();
            let is_next = at + 1 < series.values.len() && series.in_line(at + 1).is_some();
            if !in_line || (!drawing && !is_next) {
                // A line without length is hardly visible.
                let _ = write!(path, "M{x:.1} {y:.1}m-2 0h4m-2 -2v4");
                drawing = false;
                continue;
            }
            let _ = write!(path, "{}{x:.1} {y:.1}", if drawing { 'L' } else { 'M' });
            drawing = true;
        }
        path
    }

    /// Returns the area from the least to the most of each bucket; empty if the series is not folded.
    fn band(&self, series: &Series) -> String {
        let mut path = String::new();
        let mut at = 0;
        while at < series.least.len() {
            let run = (at..series.least.len()).take_while(|at| series.in_line(*at).is_some()).count();
            let run = at..at + run.max(1);
            at = run.end;
            if series.in_line(run.start).is_none() {
                continue;
            }
            let steps = run.len() == 1;
            let edge = |values: &[Option<f64>]| {
                let mut points = Vec::new();
                for at in run.clone() {
                    let y = self.y(values[at].unwrap_or_default());
                    points.push((self.x(self.history.times[at]), y));
                    if steps {
                        points.push((self.x(self.end(at)), y));
                    }
                }
                points
            };
            let (most, least) = (edge(&series.most), edge(&series.least));
            for (number, (x, y)) in most.into_iter().chain(least.into_iter().rev()).enumerate() {
                let _ = write!(path, "{}{x:.1} {y:.1}", if number == 0 { "M" } else { "L" });
            }
            path.push('Z');
        }
        path
    }
}

/// Returns the legend line of a series at the height `below`: its newest value, and what the range holds.
fn legend(series: &Series, stroke: Stroke, below: f64) -> Vec<Shape> {
    let numbers = series.whole.map_or("no value".into(), |whole| {
        let [last, least, mean, most] = [whole.last, whole.least, whole.mean, whole.most].map(number);
        let unit = if series.unit == SWITCH { String::new() } else { format!(" {}", series.unit) };
        format!("{last}{unit} (least {least}, mean {mean}, most {most})")
    });
    let text = Text::new("42".into(), tenth(below), format!("{}: {numbers}", series.path));
    let path = format!("M8 {:.1}h26", below - 4.0);
    vec![Shape::Line { class: None, path, stroke }, Shape::Text(text)]
}

/// Returns a number with four digits or more, as the legend of the page shows it: whole numbers whole.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e21 || (size > 0.0 && size < 1e-6) {
        return format!("{value:.3e}");
    }
    if value.fract() == 0.0 || size >= 1000.0 {
        return format!("{:.0}", if value == 0.0 { 0.0 } else { value });
    }
    let digits = (3.0 - size.log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

fn stroke(at: usize, dark: bool) -> Stroke {
    let colour = COLOURS[at % COLOURS.len()][usize::from(dark)];
    Stroke { colour, dashes: DASHES[at / COLOURS.len() % DASHES.len()], width: None, is_round: false }
}

/// Returns the least and largest value of the axis and the distance of its lines, of which there are about `lines`. The axis
/// includes zero unless the values are far from it.
fn scale(low: Option<f64>, high: Option<f64>, lines: f64) -> (f64, f64, f64) {
    let (mut low, mut high) = (low.unwrap_or(0.0), high.unwrap_or(1.0));
    if low >= 0.0 && low < high * 0.7 || low == high && low > 0.0 {
        low = 0.0;
    }
    if high <= 0.0 && high > low * 0.7 {
        high = 0.0;
    }
    if high - low < f64::MIN_POSITIVE {
        high = low + low.abs().max(1.0);
    }
    let rough = (high / lines.max(2.0) - low / lines.max(2.0)).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|one| one * power).find(|step| *step >= rough).unwrap_or(rough);
    let (first, last) = ((low / step).floor() * step, (high / step).ceil() * step);
    // Beyond 1e12 steps a float cannot tell neighbouring lines apart.
    let is_exact = first.is_finite() && last.is_finite() && low.abs().max(high.abs()) / step < 1e12;
    if is_exact { (first, last, step) } else { (low, high, high / 2.0 - low / 2.0) }
}

/// Returns a number short enough for an axis: `1.5k`, `20M`, `0.25`.
fn short(value: f64, digits: usize) -> String {
    let size = value.abs();
    if size >= 1e18 {
        return format!("{value:.1e}");
    }
    for (unit, letter) in [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")] {
        if size >= unit {
            let unit = if letter == "k" { 1e3 } else { unit };
            let text = format!("{:.2}", value / unit);
            return format!("{}{letter}", text.trim_end_matches('0').trim_end_matches('.'));
        }
    }
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.into() }
}

/// Returns the times that the axis labels, about `most` of them, with their labels: a day has its date at its beginning.
pub(crate) fn ticks(from: i64, to: i64, most: i64) -> Vec<(i64, String)> {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let steps = [
        MINUTE,
        2 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        2 * DAY,
        7 * DAY,
        14 * DAY,
        30 * DAY,
        91 * DAY,
        182 * DAY,
        365 * DAY,
        730 * DAY,
    ];
    let span = to.saturating_sub(from).max(1);
    let step = steps.into_iter().find(|step| span / step <= most.max(2)).unwrap_or(3650 * DAY);
    let label = |time: i64| match step {
        ..DAY if time.rem_euclid(DAY) != 0 => clock(time, "%H:%M"),
        ..DAY => clock(time, "%a %d %b"),
        step if step < 60 * DAY => clock(time, "%d %b"),
        _ => clock(time, "%b %Y"),
    };
    let first = from.div_euclid(step) * step;
    let times = (0..).map(|at| first + at * step).skip_while(|time| *time < from).take_while(|time| *time <= to);
    times.map(|time| (time, label(time))).collect()
}

pub(crate) fn clock(time: i64, format: &str) -> String {
    Timestamp::from_second(time).unwrap_or_default().strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn history() -> History {
        let from = 1_717_200_000;
        let times: Vec<_> = (0..61).map(|at| from + at * 60).collect();
        let wave = |phase: f64| {
            times
                .iter()
                .enumerate()
                .map(|(at, _)| Some((20.0 + 15.0 * (at as f64 / 9.0 + phase).sin()).round()))
                .collect::<Vec<_>>()
        };
        let mut broken = wave(2.0);
        broken[20..30].fill(None);
        broken[31] = None;
        let series = |path: &str, unit, values| Series { path: path.into(), unit, values, ..Series::default() };
        History {
            from,
            to: from + 3660,
            step_seconds: 60,
            series: vec![
                series("grids.heprc.jobs.all.idle", "jobs", wave(0.0)),
                series("grids.heprc.jobs.<b>\"&'.running", "jobs", broken),
            ],
            times,
        }
    }

    #[test]
    fn a_plot_is_a_golden_file_light_and_dark_and_empty() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dashboard");
        let light = PlotStyle::default();
        let empty = History { from: 0, to: 86_400, step_seconds: 60, ..History::default() };
        for (name, history, style) in [
            ("light.svg", &history(), &light),
            ("dark.svg", &history(), &PlotStyle { width: 400, height: 150, dark: true, ..PlotStyle::default() }),
            ("empty.svg", &empty, &light),
        ] {
            let drawn = svg(history, style);
            if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join(name), &drawn).unwrap();
            }
            assert_eq!(drawn, std::fs::read_to_string(folder.join(name)).unwrap(), "{name}");
        }
        assert!(!svg(&history(), &light).contains("<b>"));
    }

    #[cfg(feature = "png")]
    #[test]
    fn a_plot_as_png_is_a_golden_file() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dashboard");
        let light = PlotStyle::default();
        let dark = PlotStyle { width: 400, height: 150, dark: true, ..PlotStyle::default() };
        for (name, style) in [("light.png", &light), ("dark.png", &dark)] {
            let drawn = png(&history(), style).unwrap();
            if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
                std::fs::write(folder.join(name), &drawn).unwrap();
            }
            assert!(drawn == std::fs::read(folder.join(name)).unwrap(), "{name} is drawn in another way");
            assert!(drawn.len() < 16_000, "{name} has {} bytes", drawn.len());
        }
    }

    #[test]
    fn a_small_plot_names_days_where_they_begin_and_no_words_that_do_not_fit() {
        // From 22:00 of one day to 22:10 of the next.
        let (from, to) = (1_717_192_800, 1_717_192_800 + 86_400 + 600);
        let small = |unit| {
            let values = vec![Some(1.0), Some(2.0)];
            let series = vec![Series { path: "a.b".into(), unit, values, ..Series::default() }];
            let history = History { from, to, step_seconds: 60, times: vec![from, from + 60], series };
            svg(&history, &PlotStyle { width: 300, height: 110, legend: false, ..PlotStyle::default() })
        };
        let drawn = small("bytes per second");
        assert!(drawn.contains(">Sat 01 Jun</text>") && drawn.contains(">12:00</text>"), "{drawn}");
        assert!(!drawn.contains("class=\"unit\"") && small("jobs").contains(">jobs</text>"), "{drawn}");
        // A label at the edge ends there.
        let (from, to) = (1_717_286_400 - 86_400, 1_717_286_400);
        let history = History { from, to, step_seconds: 60, ..History::default() };
        let drawn = svg(&history, &PlotStyle { width: 300, height: 110, ..PlotStyle::default() });
        assert!(drawn.contains("text-anchor=\"end\">Sun 02 Jun</text>"), "{drawn}");
    }

    #[test]
    fn what_stands_at_the_foot_has_room_there() {
        let mut history = history();
        let whole = history.series[0].values.clone();
        history.series.truncate(1);
        history.series[0] =
            Series { count: vec![60; whole.len()], least: whole.clone(), most: whole, ..history.series[0].clone() };
        let foot = |width: u32| {
            let drawn = svg(&history, &PlotStyle { width, legend: false, ..PlotStyle::default() });
            (drawn.matches(" to 2024").count() > 1, drawn.contains("line mean, band"))
        };
        assert_eq!([foot(1000), foot(420), foot(250)], [(true, true), (true, false), (false, false)]);
    }

    #[test]
    fn each_unit_has_a_strip_of_its_own() {
        let mut history = history();
        history.series[1].unit = "mips";
        let values = history.times.iter().map(|time| Some((time / 600 % 2) as f64)).collect();
        history.series.push(Series { path: "up".into(), unit: SWITCH, values, ..Series::default() });
        let style = PlotStyle::default();
        let strips = strips(&history, &style);
        assert_eq!(
            strips.iter().map(|strip| (strip.unit, strip.lanes)).collect::<Vec<_>>(),
            [("jobs", false), ("mips", false), (SWITCH, true)]
        );
        assert!(strips.windows(2).all(|pair| pair[0].bottom < pair[1].top), "no strip lies over another");
        let drawn = svg(&history, &style);
        assert_eq!(drawn.matches("class=\"unit\"").count(), 2);
        assert_eq!(drawn.matches("class=\"mean\"").count(), 2);
    }

    #[test]
    fn zeros_and_ones_are_lanes_low_while_quiet_and_tall_while_in_trouble() {
        let of = |path: &str, health: bool| Series {
            path: path.into(),
            unit: SWITCH,
            health,
            values: vec![Some(1.0), Some(1.0), Some(0.5), Some(0.0), None, Some(1.0)],
            least: vec![Some(1.0), Some(1.0), Some(0.0), Some(0.0), None, Some(1.0)],
            most: vec![Some(1.0), Some(1.0), Some(1.0), Some(0.0), None, Some(1.0)],
            ..Series::default()
        };
        let history = History {
            from: 0,
            to: 360,
            step_seconds: 60,
            times: (0..6).map(|at| at * 60).collect(),
            series: vec![of("a.up.heartbeat", true), of("a.lost.is", false)],
        };
        let drawn = svg(&history, &PlotStyle::default());
        let lanes: Vec<_> = drawn.lines().filter(|line| line.contains("class=\"lane\"")).collect();
        let heights: Vec<f64> = lanes
            .iter()
            .map(|lane| lane.split('v').nth(1).and_then(|rest| rest.split('h').next()).unwrap().parse().unwrap())
            .collect();
        // A run of what is alike is one block: up, in part, down, up; then the same the other way round.
        let (tall, part, low) = (heights[2], heights[1], heights[0]);
        assert!(low < part && part < tall, "{heights:?}");
        assert_eq!(heights, [low, part, tall, low, tall, part, low, tall]);
        let [up, _, down] = FILLS[0];
        let is = |at: usize, colour: &str| lanes[at].contains(&format!("fill=\"{colour}\""));
        assert!(is(0, up) && is(1, down) && is(2, down) && (4..8).all(|at| is(at, BARS[0])), "{lanes:?}");
        // Nothing stands in what was not collected, each lane has its name, and a sum of such numbers is a line.
        assert_eq!(drawn.matches("class=\"gap\"").count(), 2);
        assert!(drawn.contains(">up · heartbeat</text>") && drawn.contains(">lost · is</text>"), "{drawn}");
        let mut sum = history.clone();
        sum.series[0].most[0] = Some(2.0);
        assert_eq!(svg(&sum, &PlotStyle::default()).matches("class=\"mean\"").count(), 1);
    }

    #[test]
    fn the_band_is_what_the_buckets_say_and_darkness_breaks_the_line() {
        let mut history = History { from: 0, to: 18_000, step_seconds: 3600, ..History::default() };
        history.times = (0..5).map(|at| at * 3600).collect();
        let of = |values: [f64; 5]| values.map(Some).to_vec();
        history.series = vec![Series {
            path: "a".into(),
            unit: "jobs",
            values: of([5.0, 6.0, 5.0, 6.0, 5.0]),
            least: of([0.0, 1.0, 2.0, 3.0, 4.0]),
            most: of([10.0, 9.0, 10.0, 9.0, 10.0]),
            count: vec![60, 60, 40, 60, 60],
            coverage: vec![1.0, 1.0, 0.6667, 1.0, 1.0],
            ..Series::default()
        }];
        let strips = strips(&history, &PlotStyle::default());
        let (strip, series) = (&strips[0], &history.series[0]);
        let [line, band] = [strip.line(series), strip.band(series)];
        // Two pieces of line, and a cross for what is known of the dark hour.
        assert_eq!((line.matches('L').count(), line.matches("v4").count()), (2, 1), "{line}");
        assert_eq!(band.matches('Z').count(), 2, "{band}");
        let corner = |at: usize, value: f64| format!("{:.1} {:.1}", strip.x(history.times[at]), strip.y(value));
        let (x, y) = (|at| corner(at, series.most[at].unwrap()), |at| corner(at, series.least[at].unwrap()));
        assert!(band.starts_with(&format!("M{}L{}L{}L{}Z", x(0), x(1), y(1), y(0))), "{band}");
        assert_eq!(svg(&history, &PlotStyle::default()).matches("class=\"gap\"").count(), 1);
    }

    #[test]
    fn page_and_picture_have_one_palette() {
        let css = include_str!("../dashboard/assets/style.css");
        let script = include_str!("../dashboard/assets/app.js");
        for (at, [light, dark]) in COLOURS.iter().enumerate() {
            assert_eq!(css.matches(&format!("--s{at}: {light};")).count(), 1, "{light}");
            assert_eq!(css.matches(&format!("--s{at}: {dark};")).count(), 2, "{dark}");
            assert!(css.contains(&format!("[data-on=\"{at}\"]")));
        }
        assert!(script.contains(&format!("const COLOURS = {};", COLOURS.len())));
        for [light, dark] in [BARS, FILLS.map(|[up, ..]| up), FILLS.map(|[.., down]| down)] {
            assert!(
                css.contains(&format!(": {light};")) && css.matches(&format!(": {dark};")).count() == 2,
                "{light} {dark}"
            );
        }
        // The ground and the ink are the same too, light and dark; what is quiet stands on other grounds in the page, and is
        // darker there.
        for (light, dark, name) in [("#fff", DARK.ground, "ground"), (LIGHT.ink, DARK.ink, "ink")] {
            assert_eq!(css.matches(&format!("--{name}: {light};")).count(), 1, "{name}");
            assert_eq!(css.matches(&format!("--{name}: {dark};")).count(), 2, "{name}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, digits, text) in [
            (0.0, 0, "0"),
            (-0.0, 0, "0"),
            (17.0, 0, "17"),
            (0.25, 2, "0.25"),
            (9_999.0, 0, "9999"),
            (12_000.0, 0, "12k"),
            (-1.5e6, 0, "-1.5M"),
            (2e15, 0, "2P"),
            (-1.5e300, 0, "-1.5e300"),
        ] {
            assert_eq!(short(value, digits), text);
        }
    }

    proptest! {
        #[test]
        fn a_number_reads_back_within_its_digits(
            value in prop_oneof![-1e6..1e6, any::<f64>().prop_filter("finite", |v| v.is_finite()), (-1_000_000..1_000_000_i64).prop_map(|v| v as f64), (0..100_000_i64).prop_map(|v| v as f64 / 10.0)],
        ) {
            let text = number(value);
            let back: f64 = text.parse().unwrap();
            prop_assert!((back - value).abs() <= value.abs() * 5.01e-4, "{value} is {text}");
            prop_assert!(value.fract() != 0.0 || value.abs() >= 1e21 || back == value, "{value} is {text}");
        }

        #[test]
        fn any_history_is_drawn(
            values in prop::collection::vec(prop::option::of(prop_oneof![any::<f64>().prop_filter("finite", |v| v.is_finite()), -100.0..1e6, Just(0.0)]), 0..40),
            from in 0..5_000_000_000_i64,
            step in 1..10_000_000_i64,
            width in 200..2000_u32,
            height in 100..900_u32,
            folded in any::<bool>(),
        ) {
            let times: Vec<_> = (0..values.len() as i64).map(|at| from + at * step).collect();
            let to = from + step * (values.len() as i64 + 1);
            let least = if folded { values.clone() } else { Vec::new() };
            let most: Vec<_> = least.iter().map(|value: &Option<f64>| value.map(|value| (value + 1.0).min(f64::MAX))).collect();
            let coverage = least.iter().enumerate().map(|(at, _)| [1.0, 0.95, 0.5][at % 3]).collect();
            let series = vec![Series { path: "a.b".into(), unit: "jobs", values, least, most, coverage, ..Series::default() }];
            let drawn = svg(&History { from, to, step_seconds: step, times, series }, &PlotStyle { width, height, ..PlotStyle::default() });
            prop_assert!(drawn.len() < 60_000, "{}", drawn.len());
            prop_assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{}", drawn);
        }
    }
}
