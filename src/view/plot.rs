//! A plot as SVG: for mail, wikis and browsers without JavaScript. Pure: the same history gives the same bytes.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::history::{History, Series};
use super::html::escaped;

/// Size and colours of a plot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotStyle {
    /// Width in pixels; 200 to 4000, 900 by default.
    pub width: u32,
    /// Height in pixels, without the legend below it; 100 to 4000, 300 by default.
    pub height: u32,
    /// Whether the colours are light on dark.
    pub dark: bool,
}

impl PlotStyle {
    /// Reads `width`, `height` and `theme` of a query.
    ///
    /// # Errors
    /// If a size is out of range.
    pub fn new(pairs: &[(String, String)]) -> Result<Self> {
        let size = |name: &str, least: u32, default: u32| {
            let Some((_, text)) = pairs.iter().find(|(other, _)| other == name) else { return Ok(default) };
            let size = text.parse().ok().filter(|size| (least..=4000).contains(size));
            size.with_context(|| format!("{name} is not {least} to 4000"))
        };
        let dark = pairs.iter().any(|(name, value)| name == "theme" && value == "dark");
        Ok(Self { width: size("width", 200, 900)?, height: size("height", 100, 300)?, dark })
    }
}

/// Colours that people with any kind of colour vision can tell apart, on light and on dark ground: those of Okabe and Ito
/// without yellow and black.
const COLOURS: [[&str; 2]; 6] = [
    ["#0072b2", "#56a0dc"],
    ["#d55e00", "#f08a3c"],
    ["#009e73", "#30c89c"],
    ["#aa4499", "#d88ac8"],
    ["#e69f00", "#f2c14e"],
    ["#4b5563", "#b6bec9"],
];

/// The dashes of lines; each set of colours has the next one.
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// Margins around the plot area, in pixels.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// The height of a line of the legend, in pixels.
const LINE: f64 = 17.0;

/// Returns the plot, with a legend line per series below it.
pub fn svg(history: &History, style: &PlotStyle) -> String {
    let (width, field_height) = (f64::from(style.width), f64::from(style.height));
    let height = field_height + LINE * history.series.len() as f64 + 8.0;
    let (ground, ink, faint) =
        if style.dark { ("#14181d", "#d5dae1", "#333b45") } else { ("#ffffff", "#24292f", "#dfe3e8") };
    let (right, bottom) = (width - RIGHT, field_height - BOTTOM);

    let values = || history.series.iter().flat_map(|series| series.values.iter().flatten().copied());
    let (low, high, step) = scale(values().reduce(f64::min), values().reduce(f64::max), (bottom - TOP) / 45.0);
    let x =
        |time: i64| LEFT + (right - LEFT) * (time - history.from) as f64 / (history.to - history.from).max(1) as f64;
    // The values are halved first, because the difference of very large numbers overflows.
    let y = |value: f64| bottom - (bottom - TOP) * ((value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0));

    let units: Vec<_> = history.series.iter().map(|series| series.unit).collect();
    let unit = units.first().filter(|unit| units.iter().all(|other| other == *unit)).copied().unwrap_or_default();
    let names: Vec<_> = history.series.iter().map(|series| series.path.as_str()).collect();
    let range = format!("{} to {} UTC", clock(history.from, "%Y-%m-%d %H:%M"), clock(history.to, "%Y-%m-%d %H:%M"));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"{ink}\">\n<title>{}</title>\n<desc>{range}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"{ground}\"/>\n",
        escaped(&names.join(", "))
    );
    let digits = if step.fract() == 0.0 { 0 } else { (-step.log10().floor()).clamp(0.0, 12.0) as usize };
    for line in 0..=((high / step - low / step).round().clamp(0.0, 100.0) as u32) {
        // Counted in steps, because a sum of very large numbers overflows.
        let value = (low / step + f64::from(line)) * step;
        let at = y(value);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"{faint}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            short(value, digits)
        );
    }
    let (times, format) = ticks(history.from, history.to, ((right - LEFT) / 90.0) as i64);
    for time in times {
        let at = x(time);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"{faint}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 15.0,
            clock(time, format)
        );
    }
    let _ = writeln!(svg, "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{range}</text>", field_height - 2.0);
    let _ = writeln!(svg, "<text x=\"4\" y=\"{:.1}\">{}</text>", field_height - 2.0, escaped(unit));
    if values().next().is_none() {
        let (middle_x, middle_y) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{middle_x:.1}\" y=\"{middle_y:.1}\" text-anchor=\"middle\">nothing was stored in this time</text>"
        );
    }
    for (at, series) in history.series.iter().enumerate() {
        let path = line(history, series, &x, &y);
        let below = field_height + LINE * at as f64 + 12.0;
        draw_series(&mut svg, series, &path, &stroke(at, style.dark), below);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Draws the line of a series, and its legend line at the height `below`.
fn draw_series(svg: &mut String, series: &Series, path: &str, stroke: &str, below: f64) {
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke-width=\"1.5\" stroke-linejoin=\"round\" stroke-linecap=\"round\" {stroke}/>"
    );
    let last = series.values.iter().rev().find_map(|value| *value);
    let last = last.map_or("no value".into(), |value| short(value, 2));
    let _ = writeln!(
        svg,
        "<path d=\"M8 {:.1}h26\" stroke-width=\"2\" {stroke}/><text x=\"42\" y=\"{below:.1}\">{}: {last} {}</text>",
        below - 4.0,
        escaped(&series.path),
        escaped(series.unit)
    );
}

fn stroke(at: usize, dark: bool) -> String {
    let colour = COLOURS[at % COLOURS.len()][usize::from(dark)];
    match DASHES[at / COLOURS.len() % DASHES.len()] {
        "" => format!("stroke=\"{colour}\""),
        dashes => format!("stroke=\"{colour}\" stroke-dasharray=\"{dashes}\""),
    }
}

/// Returns the path of a series: broken where a value is missing, a cross for a value without neighbours.
fn line(history: &History, series: &Series, x: &dyn Fn(i64) -> f64, y: &dyn Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for (at, value) in series.values.iter().enumerate() {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let (x, y) = (x(history.times[at]), y(*value));
        // A line without length is hardly visible.
        let alone = !drawing && series.values.get(at + 1).is_none_or(Option::is_none);
        let cross = if alone { "m-2 0h4m-2 -2v4" } else { "" };
        let _ = write!(path, "{}{x:.1} {y:.1}{cross}", if drawing { "L" } else { "M" });
        drawing = true;
    }
    path
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

/// Returns the times that the axis labels, about `most` of them, and the format of the labels.
fn ticks(from: i64, to: i64, most: i64) -> (Vec<i64>, &'static str) {
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
    let format = match step {
        ..HOUR if span <= DAY => "%H:%M",
        HOUR.. if step < DAY && span <= DAY => "%H:%M",
        ..DAY => "%d %b %H:%M",
        step if step < 60 * DAY => "%d %b",
        _ => "%b %Y",
    };
    let first = from.div_euclid(step) * step;
    ((0..).map(|at| first + at * step).skip_while(|time| *time < from).take_while(|time| *time <= to).collect(), format)
}

fn clock(time: i64, format: &str) -> String {
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
        let series = |path: &str, unit, values| Series { path: path.into(), unit, values };
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
        let light = PlotStyle { width: 900, height: 300, dark: false };
        let empty = History { from: 0, to: 86_400, step_seconds: 60, ..History::default() };
        for (name, history, style) in [
            ("light.svg", &history(), &light),
            ("dark.svg", &history(), &PlotStyle { width: 400, height: 150, dark: true }),
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
        fn any_history_is_drawn(
            values in prop::collection::vec(prop::option::of(prop_oneof![any::<f64>().prop_filter("finite", |v| v.is_finite()), -100.0..1e6, Just(0.0)]), 0..40),
            from in 0..5_000_000_000_i64,
            step in 1..10_000_000_i64,
            width in 200..2000_u32,
            height in 100..900_u32,
        ) {
            let times: Vec<_> = (0..values.len() as i64).map(|at| from + at * step).collect();
            let to = from + step * (values.len() as i64 + 1);
            let series = vec![Series { path: "a.b".into(), unit: "jobs", values }];
            let drawn = svg(&History { from, to, step_seconds: step, times, series }, &PlotStyle { width, height, dark: false });
            prop_assert!(drawn.len() < 60_000, "{}", drawn.len());
            prop_assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{}", drawn);
        }
    }
}
