//! cloud-monitor's page in a real browser: what it shows, what a click and a key do, what it does when numbers grow old,
//! when there are none, when the server or the store goes and comes again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use gridmon::model::Value;
use gridmon::monitors::grid::MEASUREMENTS;
use gridmon::sinks::embedded::Store;
use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::{Proxy, shared_graphite, skip};
use serde_json::json;

use crate::driver::Browser;
use crate::proofs::{self, Site, link, shown};

/// A browser, or the test is skipped.
macro_rules! browser {
    ($test:literal, $width:literal, $height:literal) => {
        match Browser::open($width, $height) {
            Some(browser) => browser,
            None => return skip($test, "Chromium"),
        }
    };
}

mod names;
mod trouble;

/// The minute before this one.
pub fn minute() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() / 60 * 60 - 60
}

pub fn collect(sandbox: &Sandbox, time: i64) {
    let run = sandbox.run(&["--now", &time.to_string()]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

/// The newest value of each number of a store, by path: what the page must show.
fn stored(path: &Path) -> BTreeMap<String, Value> {
    let store = Store::open_to_read(path).unwrap().unwrap();
    let newest = store.newest(&MEASUREMENTS, &[], i64::MAX).unwrap().values;
    let mut numbers = BTreeMap::new();
    for latest in newest {
        let measurement = gridmon::setup::CATALOG.measurement(latest.series.measurement()).unwrap();
        numbers.insert(measurement.carbon_path(&latest.series, latest.field.name).unwrap(), latest.value);
    }
    numbers
}

pub fn site(sandbox: &Sandbox, monitor: &Monitor) -> Site {
    Site { url: monitor.url.clone(), numbers: stored(&sandbox.path("state/gridmon.db")) }
}

/// Calls the grid of the sandbox by another name.
fn rename(sandbox: &Sandbox, grid: &str) {
    let config = std::fs::read_to_string(sandbox.path("config.cfg")).unwrap();
    let (before, after) = config.split_once("name = ").unwrap();
    let after = after.split_once('\n').unwrap().1;
    sandbox.write("config.cfg", format!("{before}name = {grid}\n{after}"));
}

/// Two grids in one store, each with three minutes of numbers.
fn two_grids() -> Sandbox {
    let sandbox = one_grid("hard");
    fill(&sandbox);
    sandbox
}

/// Three minutes of two grids; gives the last of them.
fn fill(sandbox: &Sandbox) -> i64 {
    // Another minute may begin meanwhile.
    let last = minute();
    for grid in ["heprc", "belle"] {
        rename(sandbox, grid);
        for ago in [2, 1, 0] {
            collect(sandbox, last - 60 * ago);
        }
    }
    last
}

/// A sandbox whose config names it once.
fn one_grid(case: &str) -> Sandbox {
    let sandbox = Sandbox::new(case);
    sandbox.config("[dashboard]\nrefresh_seconds = 5");
    sandbox
}

#[test]
fn every_number_of_the_page_is_the_stores() {
    for case in ["small", "hard"] {
        let browser = browser!("every_number_of_the_page_is_the_stores", 1280, 900);
        let sandbox = one_grid(case);
        collect(&sandbox, minute());
        let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
        proofs::numbers(&browser, &site(&sandbox, &monitor));
    }
}

#[test]
fn a_click_plots_and_plots_are_mailed_zoomed_and_exported() {
    let browser = browser!("a_click_plots_and_plots_are_mailed_zoomed_and_exported", 1280, 900);
    let sandbox = two_grids();
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let site = site(&sandbox, &monitor);
    proofs::plots(&browser, &site);
    proofs::ranges(&browser, &site);
    proofs::export(&browser, &site);
    proofs::legend(&browser, &site);
    // This browser has a past; this one has none.
    drop(browser);
    proofs::mailed(&Browser::open(1280, 900).unwrap(), &site);
}

#[test]
fn a_refresh_disturbs_nobody() {
    let browser = browser!("a_refresh_disturbs_nobody", 1280, 900);
    let sandbox = one_grid("hard");
    let last = minute() - 60;
    (0..200).rev().step_by(20).for_each(|ago| collect(&sandbox, last - 60 * ago));
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    proofs::undisturbed(&browser, &site(&sandbox, &monitor), || collect(&sandbox, last + 60));
}

#[test]
fn over_real_graphite_the_page_is_the_same() {
    let test = "over_real_graphite_the_page_is_the_same";
    let browser = browser!("over_real_graphite_the_page_is_the_same", 1280, 900);
    let Some((carbon, graphite)) = shared_graphite() else { return skip(test, "Carbon with graphite-web") };
    let sandbox = Sandbox::new("hard");
    // The store beside it says what must be shown.
    sandbox.config(&format!(
        "[carbon]\nhost = 127.0.0.1\nport = {}\nacknowledge = readback\n[graphite]\nurl = http://127.0.0.1:{}/\n\
         [embedded]\npath = {}\n[dashboard]\nread = graphite\nrefresh_seconds = 5",
        carbon.pickle,
        graphite.port,
        sandbox.path("state/gridmon.db").display()
    ));
    let last = fill(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let site = site(&sandbox, &monitor);
    carbon.wait_until_on_disk(site.numbers.keys().map(|path| (path, last)));
    proofs::numbers(&browser, &site);
    proofs::plots(&browser, &site);
    proofs::ranges(&browser, &site);
    proofs::export(&browser, &site);
    proofs::keyboard(&browser, &site);
    proofs::options(&browser, &site);
    proofs::narrow(&browser, &site);
    proofs::mailed(&Browser::open(1280, 900).unwrap(), &site);
}

#[test]
fn behind_apache_and_nginx_the_page_is_the_same() {
    let test = "behind_apache_and_nginx_the_page_is_the_same";
    let sandbox = two_grids();
    let mut monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let (address, port) = (monitor.address().to_string(), monitor.port());
    for kind in ["apache", "nginx"] {
        let Some(proxy) = Proxy::start(kind, port) else { return skip(test, kind) };
        let url = format!("http://127.0.0.1:{}/cloud-monitor/", proxy.port);
        // Who forgets the slash is shown the way.
        let browser = browser!("behind_apache_and_nginx_the_page_is_the_same", 1280, 900);
        browser.go(url.trim_end_matches('/'));
        assert_eq!(browser.text("location.href"), url);
        let browser = Browser::open(1280, 900).unwrap();
        let site = Site { url, ..site(&sandbox, &monitor) };
        proofs::numbers(&browser, &site);
        proofs::plots(&browser, &site);
        proofs::export(&browser, &site);
        proofs::options(&browser, &site);
        // What the proxy answers instead of a server that is gone is no answer.
        drop(monitor);
        browser.wait("/^The server has not answered since/.test(document.querySelector('#said').textContent)");
        monitor = Monitor::start(&sandbox, &address);
        browser.wait("/^The server answers again/.test(document.querySelector('#said').textContent)");
    }
}

#[test]
fn everything_is_chosen_by_mouse_or_by_keyboard_on_any_screen() {
    let browser = browser!("everything_is_chosen_by_mouse_or_by_keyboard_on_any_screen", 1280, 900);
    let sandbox = two_grids();
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let site = site(&sandbox, &monitor);
    proofs::keyboard(&browser, &site);
    proofs::options(&browser, &site);
    browser.prefers("dark");
    browser.go(&format!("{}?theme=", site.url));
    assert_eq!(proofs::ground(&browser), "rgb(18, 22, 26)");
    browser.go(&format!("{}?theme=light", site.url));
    assert_eq!(proofs::ground(&browser), "rgb(255, 255, 255)");
    proofs::narrow(&browser, &site);
}

#[test]
fn axe_finds_nothing() {
    let browser = browser!("axe_finds_nothing", 1280, 900);
    let Some(axe) = proofs::axe() else { return skip("axe_finds_nothing", "npm, or axe-core from it,") };
    let sandbox = two_grids();
    // There is bad news too.
    sandbox.program("cloud_status", "echo down; exit 1");
    assert_eq!(sandbox.run(&["--now", &(minute() + 60).to_string()]).code, Some(1));
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    proofs::accessible(&browser, &site(&sandbox, &monitor), &axe);
}
