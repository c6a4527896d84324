//! Wide, long and printed: 64 slots, hundreds of clouds, the longest names, a phone, paper; and how large pages are.

use std::time::{Duration, Instant};

use gridmon::model::Rest;
use gridmon::monitors::panda::TABLE;
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::EmbeddedTables;
use gridmon::sources::cric;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::sandbox::{Sandbox, fixture};
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::page::minute;
use crate::queues;
use crate::whole::write;

/// The points of some clouds with machines of 64 slots; the first one has as long a name as any may have. Another `turn` has
/// other numbers.
fn clouds(count: usize, turn: usize) -> Vec<String> {
    let time = minute();
    let mut lines = Vec::new();
    for cloud in 0..count {
        let name = if cloud == 0 { "long-".repeat(2000) } else { format!("site-{cloud:03}") };
        lines.push(format!("grid_cloud,grid=heprc,cloud={name} enabled=1i,quota=20i {time}000000000"));
        let vms = 3 + (cloud + turn) % 2;
        for status in ["total", "starting", "running", "retiring", "error", "shutdown"] {
            lines.push(format!("grid_vms,grid=heprc,cloud={name},vmtype=w,status={status} vms={vms}i {time}000000000"));
        }
        for slot in 1..=64 {
            lines.push(format!(
                "grid_slots,grid=heprc,cloud={name},vmtype=w,slot=slot1_{slot} slots=3i {time}000000000"
            ));
        }
    }
    lines
}

/// The points of some nodes. Another `turn` has other numbers.
pub fn nodes(count: usize, turn: usize) -> Vec<String> {
    let time = minute();
    let of_node = |node: usize| {
        let host = format!("host=node{node:04}.example.org");
        let node = node + turn;
        [
            format!("node_load,{host} load1={}.5,load5=1,load15=1 {time}000000000", node % 40),
            format!("node_cpu,{host},cpu=total percent={}.5 {time}000000000", node % 100),
            format!("node_memory,{host} percent={}.5,available={}i {time}000000000", node % 90, 1_000_000_000 + node),
        ]
    };
    (0..count).flat_map(of_node).collect()
}

/// Watches what changes in the tables, and says in which rows or boxes it did.
const WATCH: &str = "window.touched = []; new MutationObserver((all) => touched.push(...all.map(({ target }) => (target.closest ? \
                     target : target.parentElement)?.closest('tbody[data-key], tr[data-key], .box')))).observe(document.querySelector('main'), \
                     { attributes: true, characterData: true, childList: true, subtree: true })";
const TOUCHED: &str = "[...new Set(touched.filter((one) => one).map(({ dataset, className }) => dataset.key ?? className))].sort().join()";

#[test]
fn two_hundred_clouds_of_64_slots_fit_a_phone_and_paper() {
    let test = "two_hundred_clouds_of_64_slots_fit_a_phone_and_paper";
    let Some(browser) = Browser::open(390, 800) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    // Services have been silent for twenty minutes, which takes more words than `up`.
    let old = minute() - 1200;
    let heartbeat = |service: &str| format!("grid_heartbeat,grid=heprc,service={service} alive=1i {old}000000000");
    write(&sandbox, &[clouds(200, 0), ["cloud_monitor", "condor", "cloud_scheduler"].map(heartbeat).to_vec()].concat());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}?open=heprc%2Fsite-007", monitor.url));
    assert_eq!(browser.text("document.querySelectorAll('.clouds tbody:not(.sum)').length"), "200");
    assert_eq!(browser.text("document.querySelectorAll('.clouds .each').length"), "64");
    browser.wait("document.documentElement.scrollWidth <= innerWidth");
    browser.wait("document.querySelector('.beats svg.day')");
    browser.wait("document.documentElement.scrollWidth <= innerWidth");
    // The table has the declared columns alone and does not scroll either; what is left out stands as pairs below the row that is
    // unfolded.
    let wider = "[...document.querySelectorAll('.box')].filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.className + ': ' + \
                 [...box.querySelectorAll('tbody tr')].slice(0, 3).map((row) => [...row.cells].map((cell) => cell.offsetWidth).join(' ')).join('; ')).join()";
    assert_eq!(browser.text(wider), "");
    let heads = "[...document.querySelectorAll('.clouds thead tr:last-child th')].filter((head) => head.getClientRects().length).map((head) => \
                 head.innerText.replace(/[▴▾∿\\s]+/g, ' ').trim()).join()";
    assert_eq!(browser.text(heads), "cloud,machines of the quota,machines error,jobs running,jobs held");
    let pairs = "[...document.querySelectorAll('.clouds .pairs div')].filter((pair) => pair.getClientRects().length).map((pair) => \
                 [...pair.children].map(({ innerText }) => innerText.trim()).join(': ')).join()";
    let told = browser.text(pairs);
    assert!(told.contains("machines running: 3") || told.contains("machines running: 4"), "{told}");
    assert!(told.contains("slots all: 192") && told.contains("enabled: yes"), "{told}");
    let folded = "document.querySelector('.clouds [data-key=\"site-008\"] .pairs')";
    assert_eq!(browser.text(folded), "null");
    browser.look("wide-390");
    // What is touched is high enough for a finger, and the plot stands below its row: both are in sight.
    let row = "document.querySelector('.clouds [data-key=\"site-100\"] tr')";
    assert_eq!(browser.text(&format!("{row}.getBoundingClientRect().height >= 36")), "true");
    browser.click(".clouds [data-key=\"site-100\"] td:not(.x) a");
    browser.wait("document.querySelector('#legend tbody tr') && !document.querySelector('#chart[aria-busy]')");
    let places = format!(
        "const row = {row}.getBoundingClientRect(), plot = document.querySelector('#plot').getBoundingClientRect(), \
         next = document.querySelector('.clouds [data-key=\"site-101\"] tr').getBoundingClientRect(); \
         return [row.top >= 0, Math.abs(plot.top - row.bottom) < 3, plot.top < innerHeight - 200, next.top >= plot.bottom - 3]"
    );
    // What happened comes last and makes the plot higher: its row is given room before the next picture.
    browser.promise("await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
    assert_eq!(browser.js(&places), json!([true, true, true, true]));
    browser.look("wide-390-plot");
    // A refresh leaves them there. The driver would scroll to a button that it clicks.
    browser.js("document.querySelector('#refresh').click()");
    browser.wait("!document.querySelector('main[aria-busy]') && document.querySelector('.room')");
    assert_eq!(browser.js(&places), json!([true, true, true, true]));

    // On paper: light whatever the screen is, nothing to click, the heads on each sheet.
    browser.size(1280, 900);
    browser.go(&format!("{}?theme=dark&open=heprc%2Fsite-007", monitor.url));
    browser.tell("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    let seen = "[...document.querySelectorAll('header, nav, form, .tools, thead .plot')].filter((one) => one.getClientRects().length).length";
    browser.wait(&format!("{seen} === 0"));
    let style = |selector: &str, name: &str| {
        browser.text(&format!("getComputedStyle(document.querySelector('{selector}')).{name}"))
    };
    assert_eq!(style("html", "backgroundColor"), "rgb(255, 255, 255)");
    assert_eq!(
        (style(".clouds thead", "display"), style(".clouds", "overflow")),
        ("table-header-group".into(), "visible".into())
    );
    assert_eq!(browser.text("document.querySelectorAll('.clouds .each').length"), "64");
    browser.look("print-1280");
    browser.is_quiet(&monitor.url);
}

/// How long pages block is measured by `cargo bench --bench dashboard`.
#[test]
fn pages_of_200_clouds_of_500_queues_and_of_1000_nodes_are_light() {
    let test = "pages_of_200_clouds_of_500_queues_and_of_1000_nodes_are_light";
    // So wide that the table is a little wider than the page, and narrower in a box of its own: it must not change between both.
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    let belle = clouds(101, 0).into_iter().filter(|line| !line.contains("long-"));
    let belle = belle.map(|line| line.replace("grid=heprc", "grid=belle"));
    let heprc = clouds(101, 0).into_iter().filter(|line| !line.contains("long-"));
    write(&sandbox, &heprc.chain(belle).chain(nodes(1000, 0)).collect::<Vec<_>>());
    write_queues(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    // Each of them as a browser gets it that has nothing yet.
    browser.tell("Network.enable", &json!({}));
    browser.tell("Network.setCacheDisabled", &json!({ "cacheDisabled": true }));
    for page in ["", "pages/panda/", "pages/nodes/"] {
        browser.go(&format!("{}{page}", monitor.url));
        let bytes = browser.js(
            "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]; return \
             all.reduce((sum, one) => sum + one.transferSize, 0)",
        );
        println!("/{page}: {bytes} bytes with everything");
        assert!((20_000..150_000).contains(&bytes.as_u64().unwrap()), "/{page}: {bytes} bytes");
    }

    // The first picture has some of the rows; soon the first 200 of them are seen, and then the page rests.
    let seen = "[...document.querySelectorAll('.nodes tbody:not(.remaining) tr')].filter((row) => row.getClientRects().length).length";
    browser.wait(&format!("document.documentElement.dataset.part === undefined && {seen} === 200"));
    browser.js(WATCH);
    browser.promise("await new Promise((done) => setTimeout(done, 2500))");
    assert_eq!(browser.text(TOUCHED), "");
    browser.is_quiet(&monitor.url);
}

#[test]
fn a_refresh_touches_the_rows_that_changed_alone() {
    let test = "a_refresh_touches_the_rows_that_changed_alone";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    let written = minute() + 60;
    write(
        &sandbox,
        &clouds(200, 0)
            .iter()
            .map(|line| line.replace(&minute().to_string(), &written.to_string()))
            .collect::<Vec<_>>(),
    );
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);
    browser.wait("document.documentElement.dataset.part === undefined");
    let refresh = || {
        browser.js("document.querySelector('#refresh').click()");
        browser.wait("!document.querySelector('main').ariaBusy");
    };
    // The first time it learns what the page has.
    refresh();
    browser.js(WATCH);
    // So little later that the others are not late, and no larger, since the bars of all have one scale.
    write(&sandbox, &[format!("grid_cloud,grid=heprc,cloud=site-007 enabled=1i,quota=19i {}000000000", written + 1)]);
    refresh();
    let row = browser.text("document.querySelector('[data-key=\"site-007\"]').textContent");
    assert!(row.contains("19"), "{row}");
    // The sum of all stands above the others.
    assert_eq!(browser.text(TOUCHED), " sum,site-007");
    browser.is_quiet(&monitor.url);
}

/// Writes the table of the 501 real queues.
fn write_queues(sandbox: &Sandbox) {
    let queues = cric::queues(&std::fs::read(fixture("panda/pandaqueue_501.json")).unwrap()).unwrap();
    let rows: Vec<_> = queues.iter().enumerate().map(queues::row).collect();
    let until = Instant::now() + Duration::from_secs(60);
    let tables = EmbeddedTables { place: sandbox.path("state/gridmon.db").into() };
    tables.write(&TABLE, &rows, Rest::Removed, until).unwrap();
}
