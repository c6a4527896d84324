//! The pages of nodes and of Slurm in a real browser: the cluster of the demo, with one of each fault.

#[path = "../../demo/nodes.rs"]
mod demo;

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use self::demo::Day;
use crate::driver::Browser;
use crate::proofs::{axe, settled, violations};
use crate::whole::write;

/// The newest time: a little later than now, so that a slow test looks at fresh numbers too.
fn base() -> i64 {
    static BASE: OnceLock<i64> = OnceLock::new();
    *BASE.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        (now + 60) / 10 * 10
    })
}

/// A day of it every half hour; node18 has been silent for half an hour.
fn day() -> Day {
    Day { last: base(), step: 1800, silent: 1000 }
}

pub fn cluster(sandbox: &Sandbox) {
    write(sandbox, &demo::lines(day()));
}

pub fn slurm(sandbox: &Sandbox) {
    write(sandbox, &demo::partitions(day()));
}

const BELOW: &str = "document.querySelector('.unfolded')";

#[test]
fn a_node_unfolds_into_its_disks_and_gpus_and_its_row_shows_the_worst_of_them() {
    let test = "a_node_unfolds_into_its_disks_and_gpus_and_its_row_shows_the_worst_of_them";
    let Some(browser) = Browser::open(1440, 1000) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    cluster(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let url = format!("{}pages/nodes/", monitor.url);
    browser.go(&format!("{url}?theme=light"));
    browser.wait("document.querySelectorAll('.nodes svg.two').length === 22");
    let silent = browser.text("document.querySelector(\"tr[data-key='node18'] .beat\").textContent");
    assert!(silent.contains("stale for 2"), "{silent}");
    // Bars and columns are drawn at all, and nothing is wider than the page.
    let wide = |selector: &str| {
        browser
            .js(&format!("return document.querySelector(\"{selector}\").getBoundingClientRect().width"))
            .as_f64()
            .unwrap()
    };
    let of = |class: &str| wide(&format!("tr[data-key='gpu03'] {class}"));
    assert!((50.0..60.0).contains(&of("svg.meter")) && (60.0..70.0).contains(&of("svg.parts")), "{}", of("svg.parts"));
    assert!(of(".meter.worse path") > 50.0, "97 % of it: {}", of(".meter.worse path"));
    assert_eq!(browser.text("document.documentElement.scrollWidth <= innerWidth"), "true");
    browser.look("nodes-1440");
    assert_eq!(violations(&browser, &axe), json!([]));

    // A click unfolds the row, and the address keeps it; the plots below it are pictures of a day.
    browser.click("tr[data-key='gpu03'] button[name=open]");
    browser.wait(&format!("{BELOW} && [...{BELOW}.querySelectorAll('img')].every((one) => one.naturalWidth)"));
    assert!(browser.text("location.search").contains("open=Nodes%2Fgpu03"), "{}", browser.text("location.search"));
    assert_eq!(browser.text(&format!("{BELOW}.querySelectorAll('tbody > tr').length")), "14");
    assert!(browser.text(&format!("{BELOW}.innerText")).contains("booted 41 d 0 h ago"));
    browser.look("nodes-open-1440");
    assert_eq!(violations(&browser, &axe), json!([]));
    // A number below it is plotted, and the keyboard gets from row to row past it.
    browser.click(".unfolded .meter ~ a");
    settled(&browser, 1);
    browser.go(&format!("{url}?theme=light&open=Nodes/gpu03"));
    browser.js("document.querySelector(\"tr[data-key='gpu03'] a.name\").focus()");
    browser.keys("\u{e015}");
    browser.wait("document.activeElement.closest('.unfolded')");
    browser.click("tr[data-key='gpu03'] button[name=open]");
    browser.wait(&format!("!{BELOW}"));

    // The mean of the GPUs plots each of them that answers.
    browser.click("tr[data-key='gpu01'] svg.parts ~ a");
    settled(&browser, 8);
    browser.go(&format!("{url}?theme=dark&open=Nodes/gpu03"));
    browser.wait(&format!("[...{BELOW}.querySelectorAll('img')].every((one) => one.naturalWidth)"));
    browser.look("nodes-open-dark-1440");
    browser.is_quiet(&monitor.url);
}

#[test]
fn partitions_show_their_nodes_by_state_and_how_much_of_them_is_allocated() {
    let test = "partitions_show_their_nodes_by_state_and_how_much_of_them_is_allocated";
    let Some(browser) = Browser::open(1440, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    slurm(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}pages/slurm/?theme=light", monitor.url));
    browser.wait("document.querySelectorAll('.partitions svg.line').length === 6");
    let row =
        browser.text("document.querySelector(\".partitions tr[data-key='batch']\").innerText.replace(/\\s+/g, ' ')");
    assert!(row.contains("117: 84 allocated, 21 mixed, 9 idle, 3 out of order"), "{row}");
    assert!(row.contains("6420 / 7488"), "{row}");
    let part = |at: usize| {
        browser.js(&format!("return document.querySelectorAll(\".partitions tr[data-key='batch'] .meter path\")[{at}].getBoundingClientRect().width"))
    };
    assert!((part(0).as_f64().unwrap() - 200.0 * 84.0 / 117.0).abs() < 1.0, "{}", part(0));
    let gpus = "document.querySelector(\".partitions tr[data-key='long']\").innerText.includes('0 / 0')";
    assert_eq!(browser.text(gpus), "false", "a partition without a GPU has none of 0");
    browser.look("slurm-1440");
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.size(390, 900);
    browser.wait("document.documentElement.scrollWidth <= innerWidth");
    browser.is_quiet(&monitor.url);
}
