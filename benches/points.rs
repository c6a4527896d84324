//! What 100,000 points cost on their way from a program's numbers to Carbon's frames, stage by stage:
//! `cargo bench --bench points`. Each figure is the best of some turns.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

use gridmon::frame::zero_fill::zero_fill;
use gridmon::model::{Field, Fold, Measurement, Point, SECOND, Zeros, sort, validate};
use gridmon::setup::CATALOG;
use gridmon::sinks::graphite::carbon::{self, Frames};

const POINTS: usize = 100_000;
const TURNS: usize = 15;

const KFLOPS: Field<i64> = Field::gauge("kflops", "kflops", Fold::Mean, "as collect-grid has it");
const DUTY_CYCLE: Field<f64> = Field::gauge("duty_cycle_ratio", "ratio", Fold::Mean, "as collect-grid has it");
const SLOTS: Field<i64> = Field::count("slots", "slots", "as collect-grid has it");

/// The names that a program has read.
enum Names {
    Cloud(String),
    Schedd(String),
    Slot(String, String),
}

fn names() -> Vec<Names> {
    let name = |at: usize| match at % 4 {
        0 => Names::Cloud(format!("cc-east-{at}")),
        1 => Names::Schedd(format!("ce{at}.heprc.example.org")),
        _ => Names::Slot(format!("cc-east-{}", at / 256), format!("slot1_{}", at % 256)),
    };
    (0..POINTS).map(name).collect()
}

fn points(names: &[Names], time: i64) -> Vec<Point> {
    let measurement = |name: &str| CATALOG.measurement(name).expect("collect-grid sends it");
    let (slots, cloud, schedd) = (measurement("grid_slots"), measurement("grid_cloud"), measurement("grid_schedd"));
    let point = |(at, names): (usize, &Names)| {
        let number = at as i64;
        match names {
            Names::Cloud(name) => cloud.point(time, ["heprc", name], &[KFLOPS.of(1_500_000_000 + 5_000 * number)]),
            Names::Schedd(name) => schedd.point(time, ["heprc", name], &[DUTY_CYCLE.of(at as f64 / POINTS as f64)]),
            Names::Slot(cloud, slot) => {
                slots.point(time, ["heprc", cloud, "atlas-worker", slot], &[SLOTS.of(number % 64)])
            }
        }
    };
    names.iter().enumerate().map(point).collect()
}

/// Notes the least time of a stage, in milliseconds.
fn timed<T>(least: &mut f64, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let made = black_box(work());
    *least = least.min(began.elapsed().as_secs_f64() * 1000.0);
    made
}

fn main() {
    let (names, complete): (_, Vec<&'static Measurement>) = (names(), CATALOG.measurements().collect());
    let mut least = [f64::INFINITY; 6];
    let mut before = BTreeSet::new();
    for turn in 0..TURNS {
        let time = (1_717_245_000 + turn as i64 * 60) * SECOND;
        let [make, fill, valid, line, datapoint, frame] = &mut least;
        let mut points = timed(make, || points(&names, time));
        let (zeros, series) = timed(fill, || {
            sort(&mut points);
            zero_fill(&before, &points, (&complete, &Zeros::default()), time, CATALOG)
        });
        assert!(zeros.is_empty());
        before = series.unwrap_or(before);
        let (points, _) = timed(valid, || validate(points));
        timed(line, || {
            points.iter().fold(String::new(), |mut body, point| {
                point.write_line(&mut body);
                body.push('\n');
                body
            })
        });
        let (datapoints, dropped) = timed(datapoint, || carbon::datapoints(&points, CATALOG));
        assert!(dropped.is_empty() && datapoints.len() == POINTS);
        timed(frame, || {
            let mut frames = Frames::of(&datapoints);
            let mut bytes = 0;
            while let Some(frame) = frames.advance() {
                bytes += frame.len();
            }
            bytes
        });
    }
    println!("\n{POINTS} points from a program to Carbon's frames, in ms");
    for (stage, least) in ["make", "zero-fill", "validate", "line", "datapoints", "frames"].iter().zip(least) {
        println!("  {stage:<12} {least:>7.1}");
    }
    println!("  {:<12} {:>7.1}", "sum", least.iter().sum::<f64>());
}
