//! Wide, long and printed: 64 slots, hundreds of clouds, the longest names, a phone, paper; and how large pages are.

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::page::minute;
use crate::whole::write;

/// The points of some clouds with machines of 64 slots; the first one has as long a name as any may have.
fn clouds(count: usize) -> Vec<String> {
    let time = minute();
    let mut lines = Vec::new();
    for cloud in 0..count {
        let name = if cloud == 0 { "long-".repeat(2000) } else { format!("site-{cloud:03}") };
        lines.push(format!("grid_cloud,grid=heprc,cloud={name} enabled=1i,quota=20i {time}000000000"));
        for status in ["total", "starting", "running", "retiring", "error", "shutdown"] {
            lines.push(format!("grid_vms,grid=heprc,cloud={name},vmtype=w,status={status} vms=3i {time}000000000"));
        }
        for slot in 1..=64 {
            lines.push(format!(
                "grid_slots,grid=heprc,cloud={name},vmtype=w,slot=slot1_{slot} slots=3i {time}000000000"
            ));
        }
    }
    lines
}

/// The points of some nodes.
fn nodes(count: usize) -> Vec<String> {
    let time = minute();
    let of_node = |node: usize| {
        let host = format!("host=node{node:04}.example.org");
        [
            format!("node_load,{host} load1={}.5,load5=1,load15=1 {time}000000000", node % 40),
            format!("node_cpu,{host},cpu=total percent={}.5 {time}000000000", node % 100),
            format!("node_memory,{host} percent={}.5,available={}i {time}000000000", node % 90, 1_000_000_000 + node),
        ]
    };
    (0..count).flat_map(of_node).collect()
}

#[test]
fn two_hundred_clouds_of_64_slots_fit_a_phone_and_paper() {
    let test = "two_hundred_clouds_of_64_slots_fit_a_phone_and_paper";
    let Some(browser) = Browser::open(390, 800) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    write(&sandbox, &clouds(200));
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}?open=heprc%2Fsite-007", monitor.url));
    assert_eq!(browser.text("document.querySelectorAll('.clouds tbody:not(.sum)').length"), "200");
    assert_eq!(browser.text("document.querySelectorAll('.clouds .each').length"), "64");
    browser.wait("document.documentElement.scrollWidth <= innerWidth");
    browser.look("wide-390");

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

#[test]
fn a_page_of_a_thousand_nodes_is_light() {
    let test = "a_page_of_a_thousand_nodes_is_light";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    write(&sandbox, &nodes(1000));
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}pages/nodes/", monitor.url));
    assert_eq!(browser.text("document.querySelectorAll('.nodes tbody tr').length"), "1000");
    let bytes = browser.js(
        "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]; return \
         all.reduce((sum, one) => sum + one.transferSize, 0)",
    );
    println!("{bytes} bytes with everything");
    assert!((20_000..150_000).contains(&bytes.as_u64().unwrap()), "{bytes} bytes");
    browser.is_quiet(&monitor.url);
}

/// How long pages of 200 clouds and of a thousand nodes block at a fourth of the processor's speed: figures of this machine,
/// so no part of `make test`.
#[test]
#[ignore = "measures this machine: GRIDMON_BLOCKING=1 cargo test --release --test browser -- --ignored blocking"]
fn blocking() {
    if std::env::var_os("GRIDMON_BLOCKING").is_none() {
        return;
    }
    let Some(browser) = Browser::open(1280, 900) else { return skip("blocking", "Chromium") };
    let sandbox = Sandbox::new("small");
    write(&sandbox, &clouds(200));
    write(&sandbox, &nodes(1000));
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.tell("Emulation.setCPUThrottlingRate", &json!({ "rate": 4 }));
    for page in ["", "pages/nodes/"] {
        browser.go(&format!("{}{page}", monitor.url));
        browser.js(
            "window.longest = 0; new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) window.longest = \
             Math.max(window.longest, duration); }).observe({ type: 'longtask', buffered: true })",
        );
        let refreshed = browser
            .text("performance.getEntriesByType('resource').filter(({ name }) => name.includes('tables')).length");
        browser.click("#refresh");
        browser.wait(&format!(
            "performance.getEntriesByType('resource').filter(({{ name }}) => name.includes('tables')).length > {refreshed}"
        ));
        browser.promise("await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))");
        println!("/{page}: the longest task took {} ms", browser.text("window.longest"));
    }
}
