//! cloud-monitor over real Graphite.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::site::{Site, collect, numbers};
use gridmon_testkit::{shared_graphite, skip};
use serde_json::Value as Json;

#[test]
fn graphite_and_the_store_give_the_same_numbers() {
    let test = "graphite_and_the_store_give_the_same_numbers";
    let Some((carbon, graphite)) = shared_graphite() else { return skip(test, "Carbon with graphite-web") };
    let sandbox = Sandbox::new("small");
    let config = |read: &str| {
        let store = sandbox.path("state/gridmon.db");
        sandbox.config(&format!(
            "[carbon]\nhost = 127.0.0.1\nport = {}\nacknowledge = readback\n[graphite]\nurl = http://127.0.0.1:{}/\n[embedded]\npath = {}\n[dashboard]\nread = {read}",
            carbon.pickle, graphite.port, store.display()
        ));
        // The shared Graphite holds other tests' grids too.
        let path = sandbox.path("config.cfg");
        fs::write(&path, fs::read_to_string(&path).unwrap().replace("name = heprc", "name = two-backends")).unwrap();
    };
    config("graphite");
    collect(&sandbox, 12, 1);
    let from_graphite = Site::start(&sandbox);
    config("embedded");
    let from_store = Site::start(&sandbox);
    let of_this_grid = |site: &Site| {
        let mut numbers = numbers(&site.json("/json"));
        numbers.retain(|path, _| path.starts_with("grids.two-backends."));
        numbers
    };
    let expected = of_this_grid(&from_store);
    assert!(expected.len() > 90, "{}", expected.len());
    carbon.wait_until_on_disk(expected.iter().map(|(path, (_, time))| (path, *time)));
    assert_eq!(of_this_grid(&from_graphite), expected);

    let question = "path=grids.two-backends.jobs.all.idle&path=grids.two-backends.clouds.cc-east.quota&from=-20min";
    let [ours, theirs] = [&from_store, &from_graphite].map(|site| site.json(&format!("/api/v1/history?{question}")));
    let known = |history: &Json, at: usize| -> Vec<(i64, f64)> {
        let times = history["times"].as_array().unwrap();
        let values = history["series"][at]["values"].as_array().unwrap();
        times.iter().zip(values).filter_map(|(time, value)| Some((time.as_i64().unwrap(), value.as_f64()?))).collect()
    };
    for at in 0..2 {
        assert_eq!(known(&ours, at).len(), 12);
        assert_eq!(known(&theirs, at), known(&ours, at));
    }

    // Folded by graphite-web, and here: least, mean, most, count and coverage of each bucket.
    for question in [format!("{question}&from=-6h&points=90"), format!("{question}&step=5min")] {
        let question = question.replacen("&from=-20min", if question.contains("points") { "" } else { "&from=-1h" }, 1);
        let [ours, theirs] =
            [&from_store, &from_graphite].map(|site| site.json(&format!("/api/v1/history?{question}")));
        assert_eq!((&ours["step_seconds"], &theirs["step_seconds"]), (&Json::from(300), &Json::from(300)));
        for at in 0..2 {
            for key in ["values", "least", "most", "count", "coverage"] {
                let of = |history: &Json| {
                    let values = history["series"][at][key].as_array().unwrap().clone();
                    let times = history["times"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap());
                    times
                        .zip(values)
                        .filter(|(_, value)| value.as_f64().is_some_and(|value| value != 0.0))
                        .collect::<Vec<_>>()
                };
                assert_eq!(of(&theirs), of(&ours), "{key} of {question}");
                assert!(of(&ours).len() >= 2, "{key} of {question}");
            }
        }
    }
}

/// An hour that is dark half the time is half covered, though no hour is fuller; and a program that runs more rarely than the
/// archive's steps is not dark between its runs.
#[test]
fn coverage_over_graphite_goes_by_the_steps_of_the_archive() {
    let test = "coverage_over_graphite_goes_by_the_steps_of_the_archive";
    let Some((carbon, graphite)) = shared_graphite() else { return skip(test, "Carbon with graphite-web") };
    let hour = jiff::Timestamp::now().as_second() / 3600 * 3600;
    let path = |grid: &str| format!("grids.{grid}.jobs.all.idle");
    let mut lines = String::new();
    for minute in 0..240 {
        let time = hour - 4 * 3600 + minute * 60;
        let mut line = |grid: &str| lines += &format!("{} {minute} {time}\n", path(grid));
        if minute % 60 < 30 {
            line("half-dark");
        }
        if minute % 5 == 0 {
            line("rare");
        }
        // One hour of it is whole.
        if minute < 60 || minute % 60 < 15 {
            line("mostly-dark");
        }
    }
    TcpStream::connect(("127.0.0.1", carbon.line)).unwrap().write_all(lines.as_bytes()).unwrap();
    for (grid, minute) in [("half-dark", 209), ("rare", 235), ("mostly-dark", 194)] {
        carbon.wait_until_on_disk([(&path(grid), hour - 4 * 3600 + minute * 60)]);
    }
    let sandbox = Sandbox::new("small");
    sandbox.config(&format!("[graphite]\nurl = http://127.0.0.1:{}/\n[dashboard]\nread = graphite", graphite.port));
    let site = Site::start(&sandbox);
    for (grid, expected) in [("half-dark", [0.5; 4]), ("rare", [1.0; 4]), ("mostly-dark", [1.0, 0.25, 0.25, 0.25])] {
        let (from, until) = (hour - 4 * 3600, hour);
        let question = format!("path={}&from={from}&until={until}&step=1h", path(grid));
        let history = site.json(&format!("/api/v1/history?{question}"));
        let coverage: Vec<_> =
            history["series"][0]["coverage"].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect();
        assert_eq!(coverage, expected, "{grid}: {history}");
    }
}
