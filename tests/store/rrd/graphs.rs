//! The graphs of a month of one instance (tests/fixtures/rrd/month.tsv.gz), drawn from the files that its points made.

use std::fs::{self, read};
use std::io::Read;
use std::path::{Path, PathBuf};

use gridmon::model::{Catalog, Measurement, Point, RRD_SPANS, SECOND, Value};
use gridmon::monitors::instances::{FILES, INSTANCE};
use gridmon::sinks::rrd::{Config, RrdFiles};
use gridmon_testkit::TempDir;

use super::{START, UUID, has_rrdtool, rrdtool, shown, take};

const ALL: [&Measurement; 1] = [&INSTANCE];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rrd")
}

fn sink(directory: &Path) -> RrdFiles {
    let config = Config { directory: directory.to_path_buf(), keep_days: None };
    RrdFiles { config, catalog: Catalog::new(&ALL), now: START, is_made: true }
}

/// The point of an instance: processors in percent, and bytes a second received, sent, read and written.
fn point(time: i64, values: &[f64]) -> Point {
    let sources = FILES.iter().flat_map(|file| file.sources);
    let fields = sources.zip(values).map(|(source, value)| (source.field.into(), Value::Float(value / source.factor)));
    let tags = [("grid", "g"), ("host", "h"), ("instance", UUID)].map(|(tag, value)| (tag.into(), value));
    Point::new(INSTANCE.name.into(), tags, fields, time * SECOND)
}

/// Writes the month, except what the collector missed.
fn month(sink: &RrdFiles) {
    let mut text = String::new();
    let packed = read(fixtures().join("month.tsv.gz")).unwrap();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    let mut points = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<f64> = line.split('\t').map(|cell| cell.parse().unwrap()).collect();
        if cells[6] == 1.0 {
            points.push(point(cells[0] as i64, &cells[1..6]));
        }
    }
    points.iter_mut().for_each(|point| Catalog::new(&ALL).declare(point));
    take(sink, points);
}

#[test]
fn nine_graphs_of_a_month_are_golden_files() {
    let folder = TempDir::new();
    let sink = sink(folder.path());
    month(&sink);
    let golden = fixtures().join("graphs");
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    for (file, span) in FILES.iter().flat_map(|file| RRD_SPANS.iter().map(move |span| (file, span))) {
        let graph = sink.graph(UUID, file, span).unwrap().unwrap();
        assert_eq!((graph.end - START) % span.row_seconds(), 0);
        let name = format!("{}-{}", file.name, span.name);
        let path = golden.join(format!("{name}.svg"));
        let (svg, is_png) = (graph.svg(), cfg!(feature = "png"));
        let drawn = is_png.then(|| graph.png().unwrap());
        if is_update {
            fs::create_dir_all(&golden).unwrap();
            fs::write(&path, &svg).unwrap();
            fs::write(path.with_extension("png"), drawn.as_deref().unwrap()).unwrap();
        }
        assert_eq!(svg, fs::read_to_string(&path).unwrap(), "{name}");
        if let Some(drawn) = drawn {
            assert!(drawn == read(path.with_extension("png")).unwrap(), "{name} is drawn in another way");
            assert!(drawn.len() < 8000, "{name} has {} bytes", drawn.len());
        }
    }
}

/// What is drawn is what rrdtool fetches: each row that it knows, and no other.
#[test]
fn a_graph_shows_the_rows_that_rrdtool_fetches() {
    if !has_rrdtool("a_graph_shows_the_rows_that_rrdtool_fetches") {
        return;
    }
    let folder = TempDir::new();
    let sink = sink(folder.path());
    month(&sink);
    for (file, span) in FILES.iter().flat_map(|file| RRD_SPANS.iter().map(move |span| (file, span))) {
        let graph = sink.graph(UUID, file, span).unwrap().unwrap();
        let path = folder.path().join(UUID).join(format!("{}.rrd", file.name));
        let (from, to) = (span.begin(graph.end).to_string(), (graph.end - 1).to_string());
        let seconds = span.row_seconds().to_string();
        let text =
            rrdtool(&["fetch", shown(&path), "AVERAGE", "-r", &seconds, "-s", &from, "-e", &to]).unwrap().unwrap();
        let theirs: Vec<Vec<f64>> = text.lines().skip(2).map(numbers).collect();
        assert_eq!(theirs.len(), graph.rows().len(), "{} {}", file.name, span.name);
        for (row, (theirs, ours)) in theirs.iter().zip(graph.rows()).enumerate() {
            let is_same = |(a, b): (&f64, &f64)| a.is_nan() && b.is_nan() || (a - b).abs() <= b.abs() * 1e-9;
            assert!(
                theirs.iter().zip(ours).all(is_same),
                "{} {}, row {row}: {theirs:?} {ours:?}",
                file.name,
                span.name
            );
        }
    }
}

/// The values of a line of `rrdtool fetch`.
fn numbers(line: &str) -> Vec<f64> {
    let values = line.split(": ").nth(1).unwrap_or_default().split(' ');
    values.map(|value| if value.contains("nan") { f64::NAN } else { value.parse().unwrap() }).collect()
}

#[test]
fn a_graph_of_what_is_not_there_says_so() {
    let folder = TempDir::new();
    let sink = sink(folder.path());
    assert!(sink.graph(UUID, &FILES[0], &RRD_SPANS[0]).unwrap().is_none());
    assert!(sink.series().unwrap().is_empty());
    let mut lonely = point(START, &[50.0, 0.0, 0.0, 0.0, 0.0]);
    Catalog::new(&ALL).declare(&mut lonely);
    take(&sink, vec![lonely]);
    assert_eq!(sink.series().unwrap(), [UUID]);
    let svg = sink.graph(UUID, &FILES[0], &RRD_SPANS[2]).unwrap().unwrap().svg();
    assert!(svg.contains("nothing was stored in this time"), "no row of two hours is full: {svg}");
    // Zero lies on the axis, which is no gap.
    let svg = sink.graph(UUID, &FILES[1], &RRD_SPANS[0]).unwrap().unwrap().svg();
    assert!(svg.contains("V134H462V134Z"), "{svg}");
    let path = folder.path().join(UUID).join("cpu.rrd");
    fs::write(&path, "no file of this kind").unwrap();
    let error = format!("{:#}", sink.graph(UUID, &FILES[0], &RRD_SPANS[0]).unwrap_err());
    assert!(error.starts_with(shown(&path)), "{error}");
}
