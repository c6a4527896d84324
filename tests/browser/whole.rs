//! The page of a name, sums and columns as plots, verdicts in words, in a real browser.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gridmon::model::{Point, Tier};
use gridmon::monitors::backups::verdict::Verdict;
use gridmon::setup::CATALOG;
use gridmon::sinks::embedded::Store;
use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::page::{collect, minute, site};
use crate::proofs::{axe, settled, violations};

/// The paths and texts of all links to plots within `selector`.
fn plotted(browser: &Browser, selector: &str) -> Vec<(String, String)> {
    let links = browser.js(&format!(
        "return [...document.querySelectorAll('{selector} a[href^=\"?plot=\"]:not([data-look])')].map((link) => \
         [new URLSearchParams(link.getAttribute('href')).get('plot'), link.textContent.trim()])"
    ));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    links.as_array().unwrap().iter().map(|link| (text(&link[0]), text(&link[1]))).collect()
}

/// Writes points into the store of a sandbox.
pub fn write(sandbox: &Sandbox, lines: &[String]) {
    let mut points: Vec<_> = lines.iter().map(|line| Point::from_line(line).unwrap()).collect();
    points.iter_mut().for_each(|point| CATALOG.declare(point));
    let until = Instant::now() + Duration::from_secs(60);
    Store::open(&sandbox.path("state/gridmon.db"), until).unwrap().write(Tier::Raw, &points, until).unwrap();
}

#[test]
fn a_name_has_a_page_with_every_number_that_is_stored_of_it() {
    let test = "a_name_has_a_page_with_every_number_that_is_stored_of_it";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    collect(&sandbox, minute());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let site = site(&sandbox, &monitor);
    browser.go(&monitor.url);
    let cloud = browser.text("document.querySelector('.clouds tbody:not(.sum) a.name').textContent");
    browser.click(".clouds tbody:not(.sum) a.name");
    browser.wait("document.querySelector('.named') && document.readyState === 'complete'");
    assert!(browser.text("document.title").starts_with(&cloud), "{}", browser.text("document.title"));
    let shown: BTreeSet<_> = plotted(&browser, ".named").into_iter().map(|(path, _)| path).collect();
    let part = format!(".clouds.{}.", cloud.replace('.', "_"));
    let stored: BTreeSet<_> = site.numbers.keys().filter(|path| path.contains(&part)).cloned().collect();
    assert!(stored.len() > 5 && shown.is_superset(&stored), "{:?}", stored.difference(&shown).collect::<Vec<_>>());
    browser.wait("document.querySelector('.named img').naturalWidth > 0");
    browser.look("name-1280");
    assert_eq!(violations(&browser, &axe), json!([]));
    // Its numbers lead to the large plot, and the way back to the tables.
    browser.click(".named .each");
    settled(&browser, 1);
    browser.click(".named .hide");
    browser.wait("document.querySelector('.clouds') && !document.querySelector('.named')");
    browser.size(390, 900);
    browser.back();
    browser.wait("document.querySelector('.named') && document.documentElement.scrollWidth <= innerWidth");
    browser.is_quiet(&monitor.url);
}

#[test]
fn sums_and_columns_are_plotted_stacked_or_not() {
    let test = "sums_and_columns_are_plotted_stacked_or_not";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("hard");
    collect(&sandbox, minute() - 60);
    collect(&sandbox, minute());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let site = site(&sandbox, &monitor);
    browser.go(&monitor.url);
    // The sum over all clouds is that of the store's numbers.
    let sums = plotted(&browser, ".clouds .sum");
    let (path, text) = sums.iter().find(|(path, _)| path.ends_with(".running")).unwrap_or_else(|| panic!("{sums:?}"));
    let sum = site.sum(path);
    assert_eq!(text, &sum.to_string());
    let encoded = path.replace('*', "%2A");
    browser.click(&format!(".clouds .sum a[href^=\"?plot={encoded}\"]"));
    settled(&browser, 1);
    browser.wait(&format!("document.querySelector('#legend tbody td').textContent === '{sum}'"));

    // The column, each cloud a line; then one on another, in the address, and as a picture.
    browser.js("document.querySelector('.clouds .plot[value$=\"machines/running\"]').focus()");
    browser.keys("\u{e007}");
    browser.wait("location.search.includes('plot=') && document.querySelectorAll('#legend tbody tr').length > 1");
    browser.click("#stack");
    browser.wait("location.search.includes('stack=1') && document.querySelector('#stack').textContent === 'Lines'");
    browser.look("stacked-1280");
    let svg = browser.promise(
        "const address = document.querySelector('[data-export=svg]').href; return (await fetch(address)).text()",
    );
    assert!(svg.as_str().unwrap().contains("opacity=\"0.6\""), "{svg}");
    browser.is_quiet(&monitor.url);
}

#[test]
fn verdicts_are_words_and_instances_name_their_top_talkers() {
    let test = "verdicts_are_words_and_instances_name_their_top_talkers";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let now = jiff::Timestamp::now().as_second() / 300 * 300;
    let set = |set: &str, verdict: i64, well: i64| {
        format!(
            "backup_set,grid=heprc,hub=hub-b,node=b1.example.org,set={set} verdict={verdict}i,well={well}i,age_seconds=138180i,bytes=97000000i,backups=4i {now}000000000"
        )
    };
    let instance = |name: &str, cores: f64| {
        format!(
            "instance,grid=heprc,host=host03,instance={name} state=1i,cpu_cores={cores},cpu_ratio=0.5,vcpus=16i,net_rx_bytes_per_second=1000,net_tx_bytes_per_second=2000 {now}000000000"
        )
    };
    write(
        &sandbox,
        &[
            set("tracs/docs", Verdict::Old as i64, 0),
            set("svn/main", 0, 1),
            instance("busy", 10.2),
            instance("calm", 0.5),
        ],
    );
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}pages/backups/", monitor.url));
    let row = |name: &str| browser.text(&format!("document.querySelector('[data-key=\"{name}\"], .sets').textContent"));
    let told = row("b1.example.org");
    assert!(
        told.contains("old") && told.contains("ok") && told.contains("38 h 23 min") && told.contains("97 MB"),
        "{told}"
    );
    browser.look("backups-1280");
    assert_eq!(violations(&browser, &axe), json!([]));
    // The systems are one click apart.
    browser.click(".systems a[href$=\"pages/instances/\"]");
    browser.wait("document.querySelector('.talkers') && document.readyState === 'complete'");
    let talkers = browser.text("document.querySelector('.talkers').textContent");
    assert!(talkers.contains("CPU busy 10.2"), "{talkers}");
    browser.click(".talkers a");
    settled(&browser, 1);
    browser.look("instances-1280");
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.is_quiet(&monitor.url);
}
