//! Every page at 200 % and 400 %: nothing scrolls sideways, the plot covers no table, and what has the focus is seen.

use std::time::{Duration, Instant};

use gridmon::model::{Rest, Tier};
use gridmon::monitors::panda::TABLE;
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::{EmbeddedTables, Store};
use gridmon::sources::cric;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::sandbox::{Sandbox, fixture};
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::machines::{cluster, slurm};
use crate::page::{collect, minute};
use crate::proofs::settled;
use crate::queues::{points, row};
use crate::systems::{hub, instances};
use crate::whole::write;

pub const PAGES: [&str; 10] = [
    "",
    "pages/panda/",
    "pages/suspicious/",
    "pages/daod/",
    "pages/nodes/",
    "pages/slurm/",
    "pages/backups/",
    "pages/instances/",
    "events/",
    "help/",
];

/// All five systems with some numbers each.
pub fn everything(sandbox: &Sandbox) {
    collect(sandbox, minute() - 60);
    collect(sandbox, minute());
    let queues = cric::queues(&std::fs::read(fixture("panda/pandaqueue_501.json")).unwrap()).unwrap();
    let (queues, path) = (&queues[..60], sandbox.path("state/gridmon.db"));
    let until = Instant::now() + Duration::from_secs(60);
    let rows: Vec<_> = queues.iter().enumerate().map(row).collect();
    EmbeddedTables { place: path.clone().into() }.write(&TABLE, &rows, Rest::Removed, until).unwrap();
    Store::open(&path, until).unwrap().write(Tier::Raw, &points(queues), until).unwrap();
    cluster(sandbox);
    slurm(sandbox);
    write(sandbox, &hub());
    write(sandbox, &instances());
    // The last of the systems has a trouble too, whose count stands beyond the edge of a small window.
    let crashed = "instance,grid=heprc,host=host03,instance=5c2f1b88-51c4-4f0e-9d6e-0f2b8a61c7d3 state=6i,vcpus=8i";
    write(sandbox, &[format!("{crashed} {}000000000", minute() / 300 * 300)]);
}

/// What is wider than the page, and each table that is wider than its place.
pub fn wider(browser: &Browser) -> serde_json::Value {
    browser.js(
        "const page = document.documentElement; const boxes = [...document.querySelectorAll('.box, nav, form, .now, #plot')]; \
         const wide = boxes.filter((box) => box.getBoundingClientRect().right > innerWidth + 1 || \
         (box.matches('.box') && box.scrollWidth > box.clientWidth)); \
         return (page.scrollWidth > innerWidth ? [`the page: ${page.scrollWidth}`] : []).concat(wide.map((box) => `${box.tagName} ${box.id} ${box.className}: \
         ${box.scrollWidth}`))",
    )
}

/// What is not seen when it has the focus, of each third thing that can have it.
fn covered(browser: &Browser) -> serde_json::Value {
    browser.js(
        "const all = [...document.querySelectorAll('a[href], button, input, select, summary')].filter((one) => one.checkVisibility() && \
         !one.disabled && one.getClientRects().length && !one.matches('.skip')); \
         return all.filter((_, at) => at % 3 === 0).filter((one) => { one.focus(); const { left, top, width, height } = one.getClientRects()[0]; \
         const seen = document.elementFromPoint(left + Math.min(width / 2, 8), top + height / 2); \
         return !(seen && (one.contains(seen) || seen.contains(one))); }).slice(0, 5).map((one) => `${one.outerHTML.slice(0, 150)} at \
         ${JSON.stringify(one.getClientRects()[0])} of ${innerWidth} × ${innerHeight}`)",
    )
}

#[test]
fn at_200_and_400_percent_nothing_is_covered_and_nothing_scrolls_sideways() {
    let test = "at_200_and_400_percent_nothing_is_covered_and_nothing_scrolls_sideways";
    let Some(browser) = Browser::open(1280, 1024) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("hard");
    everything(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    for percent in [200, 400] {
        // A window of 1280 × 1024 has so many pixels of CSS.
        let size = json!({ "width": 128_000 / percent, "height": 102_400 / percent, "deviceScaleFactor": percent / 100, "mobile": false });
        browser.tell("Emulation.setDeviceMetricsOverride", &size);
        for page in PAGES {
            browser.go(&format!("{}{page}", monitor.url));
            browser.look(&format!("zoom-{percent}-{}", page.replace('/', "-")));
            assert_eq!(wider(&browser), json!([]), "{page} at {percent} %");
            assert_eq!(covered(&browser), json!([]), "{page} at {percent} %");
            // A phone has no room for some of them.
            let pick = "const one = [...document.querySelectorAll('main td a[href^=\"?plot=\"]:not([data-look])')].find((one) => one.checkVisibility()); \
                        if (one) one.dataset.picked = 1; return !!one";
            if browser.js(pick) == json!(false) {
                continue;
            }
            browser.click("[data-picked]");
            settled(&browser, 1);
            let position = browser.text("getComputedStyle(document.querySelector('#plot')).position");
            assert!(["static", "absolute"].contains(&position.as_str()), "{page} at {percent} %: {position}");
            let apart = "const row = document.querySelector('main td a[aria-current=true]').closest('tr').getBoundingClientRect(); \
                         const plot = document.querySelector('#plot').getBoundingClientRect(); \
                         return [row.bottom <= plot.top + 1 || plot.bottom <= row.top + 1, row.bottom, plot.top]";
            assert_eq!(browser.js(apart)[0], json!(true), "{page} at {percent} %: {}", browser.js(apart));
            browser.look(&format!("zoom-plot-{percent}-{}", page.replace('/', "-")));
            assert_eq!(wider(&browser), json!([]), "{page} with a plot at {percent} %");
            assert_eq!(covered(&browser), json!([]), "{page} with a plot at {percent} %");
        }
    }
    browser.is_quiet(&monitor.url);
}

#[test]
fn on_a_phone_every_page_fits_with_every_row_unfolded() {
    let test = "on_a_phone_every_page_fits_with_every_row_unfolded";
    let Some(browser) = Browser::open(390, 844) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("hard");
    everything(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    for page in PAGES {
        browser.go(&format!("{}{page}", monitor.url));
        browser.look(&format!("phone-{}", page.replace('/', "-")));
        assert_eq!(wider(&browser), json!([]), "{page}");
        // A finger finds what it looks for: no text is cut off without a sign, none is smaller than 11 px.
        let small = "return [...document.querySelectorAll('main *, header *')].filter((one) => one.checkVisibility() && [...one.childNodes].some((node) => \
                     node.nodeType === 3 && node.data.trim()) && parseFloat(getComputedStyle(one).fontSize) < 11).map((one) => one.outerHTML.slice(0, 120)).slice(0, 3)";
        assert_eq!(browser.js(small), json!([]), "{page}");
        for at in 0..3 {
            let button = "main tbody th button";
            if browser.js(&format!("return !document.querySelectorAll('{button}')[{at}]")) == json!(false) {
                browser.js(&format!("document.querySelectorAll('{button}')[{at}].click()"));
                browser.wait(&format!("document.querySelectorAll('main [aria-expanded=true]').length > {at}"));
            }
        }
        browser
            .wait("[...document.images].every((one) => one.complete || !one.checkVisibility() || one.getBoundingClientRect().top > innerHeight)");
        browser.js("document.querySelector('main [aria-expanded=true]')?.scrollIntoView({ block: 'start' })");
        browser.look(&format!("phone-open-{}", page.replace('/', "-")));
        assert_eq!(wider(&browser), json!([]), "{page} unfolded");
    }
    browser.is_quiet(&monitor.url);
}

#[test]
fn with_forced_colours_heights_shapes_and_what_is_chosen_stay() {
    let test = "with_forced_colours_heights_shapes_and_what_is_chosen_stay";
    let Some(browser) = Browser::open(1440, 900) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("hard");
    everything(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}pages/nodes/", monitor.url));
    let heights = "return [...document.querySelectorAll('main svg path')].filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect().height)";
    let before = browser.js(heights);
    assert!(before.as_array().unwrap().len() > 50, "{before}");
    let forced = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
    browser.tell("Emulation.setEmulatedMedia", &forced);
    browser.look("forced-nodes");
    assert_eq!(browser.js(heights), before);
    let style = |selector: &str, name: &str| {
        browser.text(&format!("getComputedStyle(document.querySelector(`{selector}`)).{name}"))
    };
    // The parts of a bar are told apart in its legend, a bar has its end, the number that tells a trouble is framed.
    assert_ne!(style(".swatch.q0", "backgroundColor"), style(".swatch.q1", "backgroundColor"));
    assert_ne!(style(".meter .q0", "fill"), style(".meter .q1", "fill"));
    assert_eq!(style("svg.meter", "outlineStyle"), "solid");
    assert_eq!(style("tr[data-key='gpu03'] .pill", "outlineStyle"), "solid");
    assert_eq!(style("tr[data-key='gpu03'] > th", "borderLeftWidth"), "3px");
    assert_eq!(style("tr[data-key='gpu01'] > th", "borderLeftWidth"), "0px");
    assert_eq!(browser.text("document.querySelector(`tr[data-key='gpu03'] > th .shape`).textContent"), "▼");
    // What is chosen differs from what is not: a button, a page, a plotted number.
    let [on, off] = ["true", "false"].map(|is| style(&format!(".tools button[aria-pressed={is}]"), "backgroundColor"));
    assert_ne!(on, off);
    assert_ne!(
        style(".systems [aria-current]", "backgroundColor"),
        style(".systems a:not([aria-current])", "backgroundColor")
    );
    browser.click("tr[data-key='gpu01'] td a[href^=\"?plot=\"]");
    settled(&browser, 1);
    assert_ne!(
        style("main a[aria-current=true]", "backgroundColor"),
        style("tr[data-key='gpu02'] td a", "backgroundColor")
    );
    browser.look("forced-nodes-plot");
    browser.is_quiet(&monitor.url);
}
