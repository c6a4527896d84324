//! The pages of backups and instances, and PanDA's rankings, as they are drawn, in a real browser.

use std::time::{Duration, Instant};

use gridmon::model::{Cell, Rest, Row};
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
use crate::proofs::{axe, settled, violations};
use crate::queues::row;
use crate::whole::write;

const DAY: i64 = 86_400;

/// Two months of nights of a hub: svn was bad twice, web has grown in the last nights, and nothing was asked ten days ago.
pub fn hub() -> Vec<String> {
    let mut lines = Vec::new();
    for ago in (0..60).rev().filter(|ago| *ago != 10) {
        let time = (minute() - ago * DAY) * 1_000_000_000;
        for node in ["a1.example.org", "a2.example.org"] {
            lines.push(format!(
                "backup_node,grid=heprc,hub=hub-a,node={node} reachable=1i,verdict=0i,sets=3i,alarms=0i,disk_bytes=4000000000000i,disk_free_bytes=1000000000000i,disk_full_seconds=8294400i {time}"
            ));
            for (set, megabytes) in [("svn", 1900), ("web", 372), ("db", 5200)] {
                let (verdict, times) = match (set, ago) {
                    ("svn", 3 | 20) if node.starts_with("a2") => (15, 1),
                    ("web", 0..2) => (1, 4),
                    _ => (0, 1),
                };
                let bytes = megabytes * times * (1_000_000 - 2000 * ago);
                let well = i64::from(verdict < 10);
                lines.push(format!(
                    "backup_set,grid=heprc,hub=hub-a,node={node},set={set} verdict={verdict}i,well={well}i,age_seconds=65000i,bytes={bytes}i,backups=4i {time}"
                ));
            }
        }
    }
    lines
}

/// The marks of a kind in the nights of a set on its second node: how many there are, and how high, in pixels.
fn marks(browser: &Browser, set: &str, class: &str) -> serde_json::Value {
    browser.js(&format!(
        "const path = document.querySelectorAll('.sets [data-key=\"{set}\"] svg.nights')[1].querySelector('.{class}'); if (!path) return null; \
         return [path.getAttribute('d').split('M').length - 1, getComputedStyle(path).strokeWidth]"
    ))
}

#[test]
fn sets_have_the_nights_of_each_node_and_unfold_into_a_year() {
    let test = "sets_have_the_nights_of_each_node_and_unfold_into_a_year";
    let Some(browser) = Browser::open(1440, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    write(&sandbox, &hub());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}pages/backups/", monitor.url));
    // Quiet is low, trouble is tall: bad twice in 48 nights, grown in the last two.
    assert_eq!(marks(&browser, "svn", "d"), json!([2, "15px"]));
    assert_eq!(marks(&browser, "web", "w")[1], json!("7px"));
    assert_eq!(marks(&browser, "svn", "u")[1], json!("3px"));
    assert_eq!(marks(&browser, "web", "d"), json!(null));
    let words = browser.text("document.querySelectorAll('.sets [data-key=svn] td.judged')[1].textContent");
    assert!(words.contains("45 of 48 nights well, 2 bad, 1 not collected"), "{words}");
    let head = browser.text("document.querySelector('.sets thead').textContent");
    assert!(head.contains("a1.example.org") && head.contains("a2.example.org"), "{head}");
    let shape = "document.querySelector('.sets [data-key=web] .shape.worse').textContent";
    assert_eq!(browser.text(shape), "▲");
    let disk = browser.text("document.querySelector('.nodes [data-key=\"a1.example.org\"]').textContent");
    assert!(disk.contains("1.0 TB / 4.0 TB") && disk.contains("96 d 0 h"), "{disk}");
    // A click unfolds a set: its sizes of a year, and each node's nights of a year, drawn by its verdicts.
    browser.click(".sets [data-key=svn] th button");
    browser.wait("document.querySelector('.unfolded')");
    browser.js("document.querySelector('.unfolded').scrollIntoView()");
    let drawn = "[...document.querySelectorAll('.unfolded img')].length === 3 && [...document.querySelectorAll('.unfolded img')].every((image) => \
                 image.naturalWidth > 0)";
    browser.wait(drawn);
    assert!(browser.text("location.search").contains("open=hub-a%2Fsvn"));
    let svg =
        browser.promise("return (await fetch(document.querySelectorAll('.unfolded .calendar img')[1].src)).text()");
    assert!(svg.as_str().unwrap().contains("2 bad, 1 not collected"), "{svg}");
    for (theme, width) in [("light", 1440), ("dark", 1440), ("light", 390)] {
        browser.prefers(theme);
        browser.size(width, 900);
        browser.look(&format!("backups-{theme}-{width}"));
        assert_eq!(violations(&browser, &axe), json!([]), "{theme} {width}");
        assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth"), json!(true), "{width}");
    }
    browser.is_quiet(&monitor.url);
}

/// A day of some instances of a host.
pub fn instances() -> Vec<String> {
    let mut lines = Vec::new();
    for half in (0..48_i64).rev() {
        let time = (minute() / 300 * 300 - 1800 * half) * 1_000_000_000;
        lines.push(format!(
            "instance_host,grid=heprc,host=host03 heartbeat=1i,instances=4i,running=3i,unanswered=0i {time}"
        ));
        for (at, (name, state)) in [
            ("7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3", 1),
            ("b2d0417c-51c4-4f0e-9d6e-0f2b8a61c7d3", 1),
            ("9a77e3d0-51c4-4f0e-9d6e-0f2b8a61c7d3", 3),
            ("c41d20b9-51c4-4f0e-9d6e-0f2b8a61c7d3", 1),
        ]
        .iter()
        .enumerate()
        {
            let wave = |most: f64| most * (0.6 + 0.3 * ((half * 3 + at as i64 * 11) as f64 / 9.0).sin());
            let series = format!("grid=heprc,host=host03,instance={name}");
            let mut line = format!(
                "instance,{series},name=instance-{at},project=analysis,flavor=c8.large state={state}i,vcpus=8i,memory_bytes=16000000000i"
            );
            if *state == 1 {
                line += &format!(
                    ",cpu_ratio={:.2},cpu_cores={:.2},cpu_user_cores={:.2},cpu_system_cores=0.4,cpu_steal_cores=0.1,cpu_wait_cores=0.02,memory_rss_bytes=13100000000i,\
                     net_rx_bytes_per_second={:.0},net_tx_bytes_per_second={:.0},disk_rd_bytes_per_second={:.0},disk_wr_bytes_per_second={:.0}",
                    wave(0.9),
                    wave(7.2),
                    wave(6.0),
                    wave(4.1e7),
                    wave(9e6),
                    wave(2e6),
                    wave(5.5e7)
                );
                for device in ["vda", "vdb"] {
                    lines.push(format!(
                        "instance_block,{series},device={device} rd_bytes_per_second={:.0},wr_bytes_per_second={:.0},rd_requests_per_second=90.0,wr_requests_per_second=80.0,\
                         rd_busy_ratio=0.01,wr_busy_ratio=0.61,capacity_bytes=20000000000i,allocation_bytes=8000000000i,physical_bytes=8000000000i {time}",
                        wave(1e6), wave(2.7e7)
                    ));
                }
                lines.push(format!(
                    "instance_net,{series},device=tap3f0c rx_bytes_per_second={:.0},tx_bytes_per_second={:.0},rx_packets_per_second=840.0,tx_packets_per_second=860.0 {time}",
                    wave(4.1e7), wave(9e6)
                ));
            }
            lines.push(format!("{line} {time}"));
        }
    }
    lines
}

#[test]
fn instances_have_bars_and_mirrored_lines_and_unfold_into_their_devices() {
    let test = "instances_have_bars_and_mirrored_lines_and_unfold_into_their_devices";
    let Some(browser) = Browser::open(1440, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    write(&sandbox, &instances());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}pages/instances/", monitor.url));
    browser.wait("document.querySelectorAll('.instances svg.two').length === 6");
    assert_eq!(browser.text("document.querySelectorAll('.instances tbody:not(.sum) svg.meter').length"), "6");
    // The whole name is heard, its first letters are seen.
    let name = "const link = document.querySelector('.instances [data-key=\"7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3\"] a.name'); return [link.textContent, link.ariaLabel]";
    assert_eq!(browser.js(name), json!(["7f3c9a1e", "7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3"]));
    let off = "document.querySelector('.instances [data-key=\"9a77e3d0-51c4-4f0e-9d6e-0f2b8a61c7d3\"]').className";
    assert_eq!(browser.text(off), "disabled");
    browser.click(".instances [data-key=\"7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3\"] th button");
    browser.wait("document.querySelector('.unfolded')");
    browser.js("document.querySelector('.unfolded').scrollIntoView()");
    browser.wait(
        "[...document.querySelectorAll('.unfolded img')].length > 6 && [...document.querySelectorAll('.unfolded img')].every((image) => image.naturalWidth > 0)",
    );
    let below = browser.text("document.querySelector('.unfolded').textContent");
    for words in ["vda", "vdb", "tap3f0c", "all numbers"] {
        assert!(below.contains(words), "{words}: {below}");
    }
    for (theme, width) in [("light", 1440), ("dark", 1440), ("light", 390)] {
        browser.prefers(theme);
        browser.size(width, 900);
        browser.look(&format!("instances-{theme}-{width}"));
        assert_eq!(violations(&browser, &axe), json!([]), "{theme} {width}");
        assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth"), json!(true), "{width}");
    }
    // A number still leads to its plot.
    browser.size(1440, 900);
    browser.click(".instances [data-key=\"7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3\"] td a[href*=\"cpu_ratio\"]");
    settled(&browser, 1);
    browser.is_quiet(&monitor.url);
}

/// The rows of forty datadisks, each with a job for about 2500 files; one is crowded, one idle.
fn datadisks() -> Vec<Row> {
    let queues = cric::queues(&std::fs::read(fixture("panda/pandaqueue_501.json")).unwrap()).unwrap();
    let disk = |(at, queue): (usize, &cric::Queue)| {
        let jobs = 20.0 * (1 + at % 20) as f64;
        let files = jobs * 2500.0 * (0.6 + 0.05 * (at % 13) as f64);
        let (jobs, name) = match at {
            0 => (jobs * 40.0, "CROWDED_DATADISK"),
            1 => (jobs / 20.0, "IDLE_DATADISK"),
            _ => (jobs, ""),
        };
        let name = if name.is_empty() { format!("{}_DATADISK", queue.panda_resource) } else { name.into() };
        let mut cells = row((at, queue));
        let mut put = |column: &str, cell: Cell| {
            cells[TABLE.columns.iter().position(|one| one.name == column).unwrap()] = cell;
        };
        put("prod_source", Cell::Text("user".into()));
        put("avg6h_running_jobs", Cell::Real(jobs));
        put("datadisk_name", Cell::Text(name));
        put("datadisk_files", Cell::Int(files as i64));
        put("datadisk_occupied_gb", Cell::Real(files / 100.0));
        cells
    };
    queues.iter().take(40).enumerate().map(disk).collect()
}

#[test]
fn a_score_is_a_bar_to_its_alarm_and_a_datadisk_says_that_it_is_crowded() {
    let test = "a_score_is_a_bar_to_its_alarm_and_a_datadisk_says_that_it_is_crowded";
    let Some(browser) = Browser::open(1440, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let until = Instant::now() + Duration::from_secs(60);
    let path = sandbox.path("state/gridmon.db");
    EmbeddedTables { place: path.into() }.write(&TABLE, &datadisks(), Rest::Removed, until).unwrap();
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}pages/suspicious/", monitor.url));
    // The tick of the alarm stands in the middle of each bar, and a score beyond it is amber.
    let bars = browser.js(
        "return [...document.querySelectorAll('.queues tbody tr')].map((row) => { const bar = row.querySelector('svg.meter'); return \
         [bar.classList.contains('worse'), bar.querySelector('.tick').getBBox().x, bar.querySelector('.q0')?.getBBox().width ?? 0] })",
    );
    let bars: Vec<(bool, f64, f64)> = serde_json::from_value(bars).unwrap();
    assert!(
        !bars.is_empty() && bars.iter().all(|(is_worse, tick, wide)| *tick == 32.0 && *is_worse == (*wide >= 32.0)),
        "{bars:?}"
    );
    assert!(bars[0].0, "the drained queue is suspicious: {bars:?}");
    browser.look("suspicious-light-1440");
    assert_eq!(violations(&browser, &axe), json!([]));

    browser.go(&format!("{}pages/daod/", monitor.url));
    let names = "return [...document.querySelectorAll('.datadisks tbody th a')].map((name) => name.textContent)";
    let sorted = browser.js(names);
    assert_eq!(
        (&sorted[0], &sorted[39]),
        (&json!("CROWDED_DATADISK"), &json!("IDLE_DATADISK")),
        "fewest files a job first"
    );
    assert_eq!(
        browser.text("document.querySelector('.datadisks [aria-sort]').textContent.startsWith('files a job')"),
        "true"
    );
    let word = |name: &str| {
        browser
            .text(&format!("document.querySelector('.datadisks [data-key=\"{name}\"]').lastElementChild.textContent"))
    };
    assert_eq!([word("CROWDED_DATADISK"), word("IDLE_DATADISK")], ["crowded", "idle"]);
    let usual = browser.text("[...document.querySelectorAll('.datadisks tbody tr')].filter((row) => row.lastElementChild.textContent === 'as usual').length");
    assert_eq!(usual, "38");
    // Both are ringed and named; the others are dots on the grey band.
    let drawn = browser.js(
        "return [document.querySelectorAll('svg.scatter .far').length, [...document.querySelectorAll('svg.scatter .who')].map((text) => text.textContent).sort(), \
         document.querySelectorAll('svg.scatter .dot').length, document.querySelectorAll('svg.scatter .usual').length]",
    );
    assert_eq!(drawn, json!([2, ["CROWDED_DATADISK", "IDLE_DATADISK"], 38, 1]));
    // The picture stands beside the table where there is room.
    let beside = "const [picture, table] = ['figure.scatter', '.datadisks table'].map((one) => document.querySelector(one).getBoundingClientRect()); return picture.right <= \
                  table.left && Math.abs(picture.top - table.top) < 80";
    assert_eq!(browser.js(beside), json!(true));
    for (theme, width) in [("light", 1440), ("dark", 1440), ("light", 390)] {
        browser.prefers(theme);
        browser.size(width, 900);
        browser.look(&format!("daod-{theme}-{width}"));
        assert_eq!(violations(&browser, &axe), json!([]), "{theme} {width}");
    }
    // A click on a head sorts anew.
    browser.size(1440, 900);
    browser.js("document.querySelector('.datadisks thead button[value=\"datadisks:jobs\"]').click()");
    browser.wait("location.search.includes('sort=')");
    browser.wait("document.querySelector('.datadisks tbody th a').textContent === 'CROWDED_DATADISK'");
    browser.is_quiet(&monitor.url);
}
