//! The 24-hour bars beside heartbeats, in a real browser.

use std::time::{Duration, Instant};

use gridmon::model::{Point, Tier};
use gridmon::setup::CATALOG;
use gridmon::sinks::embedded::Store;
use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::proofs::{axe, violations};

/// The boxes of a kind of cells in the bar of a schedd, in pixels of the bar: left, top, width, height.
fn cells(browser: &Browser, schedd: &str, class: &str) -> serde_json::Value {
    browser.js(&format!(
        "const path = document.querySelector('.schedds [data-key=\"{schedd}\"] svg.day .{class}'); if (!path) return null; \
         const {{ x, y, width, height }} = path.getBBox(); return [x, y, width, height].map(Math.round)"
    ))
}

#[test]
fn a_heartbeat_has_a_bar_of_its_day_with_its_worst_minutes() {
    let test = "a_heartbeat_has_a_bar_of_its_day_with_its_worst_minutes";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    let first = (now / 1800 - 47) * 1800;
    let (mut points, mut collected, mut up) = (Vec::new(), 0, 0);
    // Cells 10 and 11: nothing collected. Cell 20: down for ten minutes. Cells 30 and 31: down.
    for time in (first..=now).step_by(60) {
        let (cell, minute) = ((time - first) / 1800, (time - first) % 1800 / 60);
        if (10..12).contains(&cell) {
            continue;
        }
        let alive = !((30..32).contains(&cell) || cell == 20 && minute < 10);
        collected += 1;
        up += i64::from(alive);
        for (schedd, alive) in [("ce01", true), ("ce05", alive)] {
            let line =
                format!("grid_schedd,grid=heprc,schedd={schedd} heartbeat={}i {time}000000000", i64::from(alive));
            points.push(Point::from_line(&line).unwrap());
        }
    }
    points.iter_mut().for_each(|point| CATALOG.declare(point));
    let until = Instant::now() + Duration::from_secs(60);
    Store::open(&sandbox.path("state/gridmon.db"), until).unwrap().write(Tier::Raw, &points, until).unwrap();
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);

    // Quiet is low, trouble is tall, and where nothing was collected there is a hatch.
    assert_eq!(cells(&browser, "ce05", "u"), json!([0, 12, 96, 3]));
    assert_eq!(cells(&browser, "ce05", "n"), json!([20, 8, 4, 0]));
    assert_eq!(cells(&browser, "ce05", "p"), json!([40, 4, 2, 11]));
    assert_eq!(cells(&browser, "ce05", "d"), json!([60, 0, 4, 15]));
    assert_eq!(cells(&browser, "ce01", "d"), json!(null));
    let share = |schedd: &str| {
        browser.text(&format!("document.querySelector('.schedds [data-key=\"{schedd}\"] .share').textContent"))
    };
    assert_eq!(share("ce01"), "100 %");
    assert_eq!(share("ce05"), format!("{:.2} %", 100.0 * up as f64 / f64::from(collected)));
    let words = browser.text("document.querySelector('.schedds [data-key=ce05] .beat').textContent");
    let clock = |cell: i64| jiff::Timestamp::from_second(first + 1800 * cell).unwrap().strftime("%H:%M").to_string();
    assert!(words.contains(&format!("down within {} to {}", clock(30), clock(32))), "{words}");
    assert!(words.contains(&format!("not collected {} to {}", clock(10), clock(12))), "{words}");

    // It fits, has no barrier, and is there without colours too.
    for width in [1280, 390] {
        browser.size(width, 900);
        assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth"), json!(true), "{width}");
        assert_eq!(violations(&browser, &axe), json!([]), "{width}");
    }
    // It grows with the data.
    let point = format!("grid_schedd,grid=heprc,schedd=ce01 heartbeat=0i {now}000000001");
    let mut point = Point::from_line(&point).unwrap();
    CATALOG.declare(&mut point);
    let until = Instant::now() + Duration::from_secs(60);
    Store::open(&sandbox.path("state/gridmon.db"), until).unwrap().write(Tier::Raw, &[point], until).unwrap();
    browser.size(1280, 900);
    browser.click("#refresh");
    browser.wait("document.querySelector('.schedds [data-key=ce01] svg.day .p')");
    browser.is_quiet(&monitor.url);
}

#[test]
fn running_jobs_have_a_small_line_of_their_day_with_its_gap() {
    let test = "running_jobs_have_a_small_line_of_their_day_with_its_gap";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    let first = (now / 1800 - 47) * 1800;
    // Four jobs, then nothing collected in cells 10 and 11, then eight.
    let times = (first..=now).step_by(600).map(|time| (time, (time - first) / 1800));
    let line = |(time, cell): (i64, i64)| {
        let jobs = if cell < 10 { 4 } else { 8 };
        format!("grid_schedd_jobs,grid=heprc,schedd=ce01,status=running jobs={jobs}i {time}000000000")
    };
    let lines = times.filter(|(_, cell)| !(10..12).contains(cell)).map(line);
    let mut points: Vec<_> = lines.map(|line| Point::from_line(&line).unwrap()).collect();
    points.iter_mut().for_each(|point| CATALOG.declare(point));
    let until = Instant::now() + Duration::from_secs(60);
    Store::open(&sandbox.path("state/gridmon.db"), until).unwrap().write(Tier::Raw, &points, until).unwrap();
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);
    let path = browser.text("document.querySelector('.schedds [data-key=ce01] svg.line path').getAttribute('d')");
    assert!(path.starts_with("M0 8h0") && path.contains("M12 1h0"), "{path}");
    // Its number stands right of it, and readers hear the number alone.
    let cell = "document.querySelector('.schedds [data-key=ce01] svg.line').parentNode.textContent";
    assert_eq!(browser.text(cell), "8");
    browser.is_quiet(&monitor.url);
}
