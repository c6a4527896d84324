//! The line above everything and the page of what happened, in a real browser: they follow the data, lead to plots, fit a
//! phone, and have no barrier.

use std::time::{Duration, Instant};

use gridmon::model::{Point, Tier};
use gridmon::setup::CATALOG;
use gridmon::sinks::embedded::Store;
use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::proofs::{axe, settled, violations};

/// Writes what a run at `time` sees of two schedds.
pub fn run(sandbox: &Sandbox, time: i64, alive: bool) {
    let lines = [
        "grid_heartbeat,grid=heprc,service=cloud_monitor alive=1i".to_string(),
        "coverage,grid=heprc,measurement=grid_heartbeat slots=1i,step_seconds=60i".into(),
        "grid_schedd,grid=heprc,schedd=ce01.example.org heartbeat=1i".into(),
        format!("grid_schedd,grid=heprc,schedd=ce05.example.org heartbeat={}i", i64::from(alive)),
    ];
    let mut points: Vec<_> =
        lines.iter().map(|line| Point::from_line(&format!("{line} {time}000000000")).unwrap()).collect();
    points.iter_mut().for_each(|point| CATALOG.declare(point));
    let until = Instant::now() + Duration::from_secs(60);
    Store::open(&sandbox.path("state/gridmon.db"), until).unwrap().write(Tier::Raw, &points, until).unwrap();
}

const ICON: &str = "decodeURIComponent(document.querySelector('link[rel=icon]').href)";

#[test]
fn the_line_the_tab_and_the_icon_follow_the_data_and_lead_to_the_plot() {
    let test = "the_line_the_tab_and_the_icon_follow_the_data_and_lead_to_the_plot";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    (1..=90).rev().for_each(|minute| run(&sandbox, now - 60 * minute, !(50..70).contains(&minute)));
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);
    let line = "document.querySelector('.now').textContent";
    assert!(browser.text(line).contains("all well"), "{}", browser.text(line));
    assert_eq!(browser.text("document.title"), "Cloud Monitor");
    assert!(!browser.text(ICON).contains("#c4261f"));
    assert_eq!(violations(&browser, &axe), json!([]));

    // A schedd goes down: the refresh says so, and what is unfolded stays so.
    run(&sandbox, now, false);
    browser.click("#refresh");
    browser.wait("document.title === '(1) Cloud Monitor'");
    assert!(browser.text(ICON).contains("#c4261f"));
    assert!(browser.text(line).contains("1 needs you") && browser.text(line).contains("ce05.example.org down"));
    assert_eq!(violations(&browser, &axe), json!([]));
    for width in [1280, 390] {
        browser.size(width, 900);
        assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth"), json!(true), "{width}");
        assert_eq!(violations(&browser, &axe), json!([]), "{width}");
    }
    browser.size(1280, 900);

    // Its link leads to its plot.
    browser.click(".now li a");
    settled(&browser, 1);
    let plotted = browser.text("new URLSearchParams(location.search).get('plot')");
    assert_eq!(plotted, "grids.heprc.schedds.ce05_example_org.heartbeat");

    // What happened: it, and the twenty minutes before, whose link sets the range.
    browser.click(".systems a[href*=\"events/\"]");
    browser.wait("document.querySelector('#happened') !== null");
    let rows = "[...document.querySelectorAll('.happened .day tbody tr')].map((row) => row.textContent).join('|')";
    let told = browser.text(rows);
    assert!(told.matches("ce05.example.org").count() == 2 && told.contains("20 min"), "{told}");
    // Its lane: what is not over reaches the end, and what was over is left of it.
    let lane = "const [lane, ...more] = document.querySelectorAll('.lanes tbody tr');
        const end = (mark) => Math.round(mark.getBoundingClientRect().right);
        const ends = [...lane.querySelectorAll('rect')].map(end);
        const full = end(lane.querySelector('svg'));
        return [more.length, ends.filter((at) => at === full).length, ends.filter((at) => at < full).length];";
    assert_eq!(browser.js(lane), json!([0, 1, 1]));
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.click(".happened .day summary");
    assert_eq!(browser.js("return document.querySelector('.happened .day').open"), json!(false));
    run(&sandbox, now + 1, true);
    browser.click("#refresh");
    browser.wait("document.title === 'Cloud Monitor'");
    assert!(browser.text(line).contains("all well"));
    browser.wait("document.querySelectorAll('.happened .day tbody tr').length === 2 && !document.querySelector('.happened').textContent.includes('still going')");
    browser.size(390, 900);
    assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth"), json!(true));
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.size(1280, 900);
    browser.click(".happened .day tbody tr:last-child th a");
    settled(&browser, 1);
    assert!(
        browser.text("new URLSearchParams(location.search).get('to')").parse::<i64>().is_ok_and(|to| to <= now + 60)
    );
    browser.is_quiet(&monitor.url);
}

#[test]
fn what_is_wrong_is_three_lines_of_three_on_the_first_page_one_line_on_others_and_four_on_a_phone() {
    let test = "what_is_wrong_is_three_lines_of_three_on_the_first_page_one_line_on_others_and_four_on_a_phone";
    let Some(browser) = Browser::open(1440, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    run(&sandbox, now, true);
    let down = |at: i64| {
        format!("grid_schedd,grid=heprc,schedd=down-{at:02}.with-a-long-name.example.org heartbeat=0i {now}000000000")
    };
    crate::whole::write(&sandbox, &(1..=14).map(down).collect::<Vec<_>>());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    // How many entries are seen, in how many lines, and what the last one says.
    let seen =
        "const seen = [...document.querySelectorAll('.now > ul > li')].filter((item) => item.getClientRects().length);
        const tops = new Set(seen.map((item) => Math.round(item.getBoundingClientRect().top / 6)));
        return [seen.length, tops.size, seen.at(-1).querySelector('summary').innerText.split(' ')[0]];";
    browser.go(&monitor.url);
    assert_eq!(browser.js(seen), json!([9, 3, "6"]));
    browser.look("now-1440");
    browser.click(".now summary");
    let all = "new Set([...document.querySelectorAll('.now li > a')].filter((link) => link.getClientRects().length).map(({ textContent }) => textContent)).size";
    assert_eq!(browser.text(all), "14");
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.go(&format!("{}pages/nodes/", monitor.url));
    assert_eq!(browser.js(seen), json!([4, 1, "11"]));
    assert!(browser.js("return document.querySelector('.now').offsetHeight").as_i64().unwrap() < 45);
    browser.size(390, 900);
    browser.go(&monitor.url);
    assert_eq!(browser.js(seen), json!([5, 5, "10"]));
    browser.click(".now summary");
    assert_eq!(browser.text(all), "14");
    assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth"), json!(true));
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.is_quiet(&monitor.url);
}
