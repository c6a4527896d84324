//! API, export and picture of the real program against a plain fold of random histories.

use std::fmt::Write as _;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::Outcome;
use gridmon_testkit::sandbox::proof::{Random, seed};

use super::*;

const DAY: i64 = 86_400;

/// What was stored of a series: a value a minute, but for some darkness.
type Stored = BTreeMap<i64, f64>;

/// The series of a store that ends at `end`, by path.
fn random_history(sandbox: &Sandbox, random: &mut Random, end: i64) -> Vec<(String, Stored)> {
    let (mut all, mut lines) = (Vec::new(), String::new());
    for schedd in 0..3 {
        let mut stored = Stored::new();
        let mut time = end - 10 * DAY;
        while time <= end {
            // Some minutes to a day and a half, then dark for a while.
            let until = time + 60 * (5 + random.below(2000) as i64);
            while time <= end.min(until) {
                stored.insert(time, random.below(1000) as f64 / 1000.0);
                time += 60;
            }
            time += 60 * random.below(300) as i64;
        }
        for (time, value) in &stored {
            let _ =
                writeln!(lines, "grid_schedd,grid=heprc,schedd=ce{schedd} duty_cycle_ratio={value} {}", time * SECOND);
        }
        all.push((format!("grids.heprc.schedds.ce{schedd}.duty_cycle_ratio"), stored));
    }
    sandbox.write("in.influx", lines);
    let mut import = Command::new(program("gridmon-status"));
    let imported = Outcome::of(import.args(["store", "import", "in.influx"]).current_dir(sandbox.path("")));
    assert_eq!(imported.code, Some(0), "{imported:?}");
    all
}

/// Least, mean, most and count of what was stored in a time; `None` if nothing was.
fn plain(stored: &Stored, from: i64, to: i64) -> Option<[f64; 4]> {
    let values: Vec<_> = stored.range(from..to).map(|(_, value)| *value).collect();
    let (mut least, mut most, mut sum) = (f64::MAX, f64::MIN, 0.0);
    for value in &values {
        (least, most) = (if *value < least { *value } else { least }, if *value > most { *value } else { most });
        sum += value;
    }
    (!values.is_empty()).then(|| [least, sum / values.len() as f64, most, values.len() as f64])
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

/// Compares a JSON history with what was stored; returns the length of its buckets.
fn check_json(history: &Json, all: &[(String, Stored)], (from, to): (i64, i64), about: &str) -> i64 {
    let step = history["step_seconds"].as_i64().unwrap();
    let times: Vec<_> = history["times"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap()).collect();
    for ((path, stored), series) in all.iter().zip(history["series"].as_array().unwrap()) {
        assert_eq!(series["path"].as_str(), Some(path.as_str()), "{about}");
        let cell = |name: &str, at: usize| series[name].get(at).and_then(Json::as_f64);
        for (at, time) in times.iter().enumerate() {
            let expected = plain(stored, *time, time + step);
            let Some([least, mean, most, count]) = expected else {
                assert_eq!(cell("values", at), None, "{about}, {path} at {time}");
                continue;
            };
            assert!(cell("values", at).is_some_and(|value| is_near(value, mean)), "{about}, {path} at {time}");
            if step > 60 {
                assert!(from <= *time && time + step <= to, "{about}: the bucket at {time} is not whole");
                let shown = ["least", "most", "count"].map(|name| cell(name, at).unwrap());
                assert_eq!(shown, [least, most, count], "{about}, {path} at {time}");
                let coverage = cell("coverage", at).unwrap();
                assert!((coverage - count * 60.0 / step as f64).abs() < 1e-3, "{about}, {path} at {time}: {coverage}");
            }
        }
        let whole = &series["whole"];
        match plain(stored, from, to) {
            None => assert!(whole.is_null(), "{about}, {path}"),
            Some([least, mean, most, count]) => {
                let shown = ["least", "most", "count"].map(|name| whole[name].as_f64().unwrap());
                assert_eq!(shown, [least, most, count], "{about}, {path}");
                assert!(is_near(whole["mean"].as_f64().unwrap(), mean), "{about}, {path}");
                let (time, value) = stored.range(from..to).next_back().unwrap();
                assert_eq!(
                    (whole["last"].as_f64(), whole["last_time"].as_i64()),
                    (Some(*value), Some(*time)),
                    "{about}"
                );
            }
        }
    }
    step
}

/// The rows of an export, by time.
fn rows(text: &str) -> BTreeMap<i64, Vec<Option<f64>>> {
    let row = |line: &str| {
        let mut cells = line.split('\t');
        let time: jiff::civil::DateTime = cells.next().unwrap().parse().unwrap();
        let time = time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
        (time, cells.map(|cell| cell.parse().ok()).collect())
    };
    text.lines().skip(1).map(row).collect()
}

fn check_export(text: &str, all: &[(String, Stored)], (from, to): (i64, i64), step: Option<i64>, about: &str) {
    let rows = rows(text);
    let Some(step) = step else {
        for (at, (_, stored)) in all.iter().enumerate() {
            let shown: Stored = rows.iter().filter_map(|(time, cells)| Some((*time, cells[at]?))).collect();
            assert_eq!(shown, stored.range(from..to).map(|(time, value)| (*time, *value)).collect(), "{about}");
        }
        return;
    };
    for (at, (path, stored)) in all.iter().enumerate() {
        let mut begin = (from + step - 1).div_euclid(step) * step;
        while begin + step <= to {
            let shown = rows.get(&begin).map(|cells| &cells[4 * at..4 * at + 4]);
            match plain(stored, begin, begin + step) {
                Some(expected) => {
                    let shown = shown.unwrap_or_else(|| panic!("{about}: no row at {begin}"));
                    let near = |(one, other): (&Option<f64>, f64)| one.is_some_and(|one| is_near(one, other));
                    assert!(
                        shown.iter().zip(expected).all(near),
                        "{about}, {path} at {begin}: {shown:?}, {expected:?}"
                    );
                }
                None => assert!(shown.is_none_or(|cells| cells[..3].iter().all(Option::is_none)), "{about} at {begin}"),
            }
            begin += step;
        }
        assert!(rows.keys().all(|time| from <= *time && time + step <= to && time % step == 0), "{about}");
    }
}

/// Where the picture draws a value: the axis has a line and a number for two values at least.
fn scale(svg: &str) -> impl Fn(f64) -> f64 {
    let line = |line: &str| -> Option<(f64, f64)> {
        let (height, rest) = line.strip_prefix("<path d=\"M62 ")?.split_once('H')?;
        let number = rest.split_once("text-anchor=\"end\">")?.1.split('<').next()?;
        Some((number.parse().ok()?, height.parse().ok()?))
    };
    let lines: Vec<_> = svg.lines().filter_map(line).collect();
    let (low, high) = (lines[0], lines[lines.len() - 1]);
    move |value| low.1 + (value - low.0) / (high.0 - low.0) * (high.1 - low.1)
}

/// The corners of the paths of one class, each path split where it is broken.
fn corners(svg: &str, class: &str) -> Vec<Vec<(f64, f64)>> {
    let begin = format!("<path class=\"{class}\" d=\"");
    let path = |line: &str| Some(line.strip_prefix(&begin)?.split('"').next()?.to_string());
    let corner = |text: &str| {
        let (x, y) = text.split_once(' ')?;
        // A cross stands where a value has no neighbours.
        Some((x.parse().ok()?, y.split('m').next()?.trim_end_matches('Z').parse().ok()?))
    };
    let corners = |path: String| path.split(['M', 'L']).filter_map(corner).collect();
    svg.lines().filter_map(path).map(corners).collect()
}

/// Compares the lines and bands of a picture with what was stored, given the times and the buckets that it shows.
fn check_svg(svg: &str, all: &[(String, Stored)], (from, to): (i64, i64), history: &Json, about: &str) {
    let step = history["step_seconds"].as_i64().unwrap();
    let times: Vec<_> = history["times"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap()).collect();
    let y = scale(svg);
    let x = |time: i64| 62.0 + (900.0 - 16.0 - 62.0) * (time - from) as f64 / (to - from) as f64;
    let is_drawn = |shown: &[(f64, f64)], expected: (f64, f64)| {
        shown.iter().any(|(x, y)| (x - expected.0).abs() < 0.06 && (y - expected.1).abs() < 0.3)
    };
    let means = corners(svg, "mean");
    for ((path, stored), mean) in all.iter().zip(&means) {
        let known: Vec<_> = times.iter().filter_map(|time| Some((*time, plain(stored, *time, time + step)?))).collect();
        assert_eq!(mean.len(), known.len(), "{about}, {path}");
        for (time, fold) in &known {
            assert!(is_drawn(mean, (x(*time), y(fold[1]))), "{about}, {path} at {time}: {}", fold[1]);
        }
    }
    // A series without any bucket that is full enough has no band.
    let has_band = |(_, stored): &&(String, Stored)| {
        let is_full =
            |time: &i64| plain(stored, *time, time + step).is_some_and(|fold| fold[3] * 60.0 >= 0.9 * step as f64);
        step > 60 && times.iter().any(is_full)
    };
    let bands = corners(svg, "band");
    assert_eq!(bands.len(), all.iter().filter(has_band).count(), "{about}");
    for ((path, stored), band) in all.iter().filter(has_band).zip(bands) {
        for time in &times {
            let Some([least, _, most, count]) = plain(stored, *time, time + step) else { continue };
            if count * 60.0 / step as f64 >= 0.9 {
                let corners = [least, most].map(|edge| is_drawn(&band, (x(*time), y(edge))));
                assert_eq!(corners, [true, true], "{about}, {path} at {time}");
            }
        }
    }
}

#[test]
fn api_export_and_picture_show_what_a_plain_fold_gives() {
    let sandbox = Sandbox::new("small");
    let end = collect(&sandbox, 1, 0)[0];
    let seed = seed();
    let mut random = Random(seed);
    let all = random_history(&sandbox, &mut random, end - 60);
    let site = Site::start(&sandbox);
    let paths = all.iter().map(|(path, _)| format!("path={path}")).collect::<Vec<_>>().join("&");
    let mut folded = 0;
    for question in 0..40 {
        // Anywhere, also before the first value, and short of the last one, whose bucket may still be filled.
        let from = end - 11 * DAY + 60 * random.below(15_000) as i64;
        let to = (from + 60 * (2 + random.below([90, 5000, 14_000][question % 3]) as i64)).min(end - 60);
        let points = 2 + random.below(1500);
        let about = format!("seed {seed}: {from} to {to} on {points} points");
        let range = format!("{paths}&from={from}&to={to}");
        let history = site.json(&format!("/api/v1/history?{range}&points={points}"));
        folded += usize::from(check_json(&history, &all, (from, to), &about) > 60);
        let svg = site.get(&format!("/plot.svg?{range}&points={points}"));
        check_svg(&svg.text(), &all, (from, to), &history, &about);
        let (step, name) = gridmon::query::WIDTHS[random.below(14) as usize];
        let text = site.get(&format!("/export?{range}&step={name}")).text();
        check_export(&text, &all, (from, to), Some(step), &format!("{about}, step {name}"));
        check_export(&site.get(&format!("/export?{range}")).text(), &all, (from, to), None, &about);
    }
    assert!((5..40).contains(&folded), "{folded} of the questions were folded");
}
