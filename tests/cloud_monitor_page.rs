//! cloud-monitor's page in a real browser: what it shows, what a click and a key do, what it does when numbers grow old,
//! when there are none, when the server or the store goes and comes again.

#![cfg(feature = "dashboard")]
#![allow(clippy::unwrap_used)]

mod browser;
mod sandbox;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use browser::Browser;
use browser::proofs::{self, Site, link, shown};
use gridmon::model::Value;
use gridmon::monitors::grid::MEASUREMENTS;
use gridmon::sinks::embedded::Store;
use sandbox::Sandbox;
use sandbox::monitor::Monitor;
use serde_json::json;
use support::{Proxy, shared_graphite, skip};

/// A browser, or the test is skipped.
macro_rules! browser {
    ($test:literal, $width:literal, $height:literal) => {
        match Browser::open($width, $height) {
            Some(browser) => browser,
            None => return skip($test, "Chromium"),
        }
    };
}

/// The minute before this one.
fn minute() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() / 60 * 60 - 60
}

fn collect(sandbox: &Sandbox, time: i64) {
    let run = sandbox.run(&["--now", &time.to_string()]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

/// The newest value of each number of a store, by path: what the page must show.
fn stored(path: &Path) -> BTreeMap<String, Value> {
    let store = Store::open_to_read(path).unwrap().unwrap();
    let newest = store.newest(&MEASUREMENTS, &[]).unwrap();
    let mut numbers = BTreeMap::new();
    for latest in newest {
        let measurement = gridmon::setup::CATALOG.measurement(latest.series.measurement()).unwrap();
        numbers.insert(measurement.carbon_path(&latest.series, latest.field.name).unwrap(), latest.value);
    }
    numbers
}

fn site(sandbox: &Sandbox, monitor: &Monitor) -> Site {
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
    assert_eq!(proofs::ground(&browser), "rgb(20, 23, 26)");
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

#[test]
fn the_server_goes_and_comes_again_and_nothing_is_lost() {
    let browser = browser!("the_server_goes_and_comes_again_and_nothing_is_lost", 1280, 400);
    let sandbox = one_grid("hard");
    collect(&sandbox, minute() - 60);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let (url, address) = (monitor.url.clone(), monitor.address().to_string());
    browser.go(&url);
    let path = &site(&sandbox, &monitor).some(8)[7];
    browser.click(&link(path));
    browser.wait("document.querySelector('#legend tbody tr')");
    let place = "[scrollY > 0, document.activeElement.getAttribute('href'), getSelection().toString()].join()";
    browser.js(
        "const text = document.querySelector('main h2').firstChild; getSelection().selectAllChildren(text.parentNode)",
    );
    let before = browser.text(place);
    // What is looked at stays where it is, also when something is said above it.
    let height =
        |browser: &Browser| browser.js("return document.activeElement.getBoundingClientRect().top").as_f64().unwrap();
    let was_at = height(&browser);
    let numbers = shown(&browser);
    assert!(before.contains(path) && before.ends_with("heprc"), "{before}");
    browser.wait("/refreshes in [1-5] s/.test(document.querySelector('#countdown').textContent)");

    drop(monitor);
    browser.wait("/^The server has not answered since \\d\\d:\\d\\d:\\d\\d UTC/.test(document.querySelector('#said').textContent)");
    browser.wait("/no answer since .*; tries again in \\d+ s/.test(document.querySelector('#countdown').textContent)");
    assert_eq!(browser.text(place), before);
    assert!((height(&browser) - was_at).abs() < 3.0);
    assert_eq!(shown(&browser), numbers);

    // Meanwhile the grid went on: another cloud, and one job fewer.
    let jobs = std::fs::read_to_string(sandbox::fixture("cloud_monitor/hard/condor_jobs.json")).unwrap();
    let end = jobs.rfind(", {").unwrap();
    sandbox.write("jobs.json", format!("{}]", &jobs[..end]));
    sandbox.program("condor_q", &format!("cat {}", sandbox.path("jobs.json").display()));
    collect(&sandbox, minute());
    let monitor = Monitor::start(&sandbox, &address);
    browser.wait("/^The server answers again/.test(document.querySelector('#said').textContent)");
    browser.wait("!document.querySelector('main.gone')");
    assert_eq!(browser.text(place), before);
    assert!((height(&browser) - was_at).abs() < 3.0);
    assert_eq!(browser.text("document.querySelectorAll('#legend tbody tr').length"), "1");
    assert_ne!(shown(&browser), numbers);
    let total = "grids.heprc.jobs.all.total".to_string();
    let Value::Int(value) = stored(&sandbox.path("state/gridmon.db"))[&total] else { panic!() };
    assert_eq!(shown(&browser)[&total].0, value.to_string());
    browser.is_quiet_but(&url, "ERR_CONNECTION_REFUSED");
    drop(monitor);
}

#[test]
fn old_numbers_look_old_and_silent_ones_are_left_out() {
    let browser = browser!("old_numbers_look_old_and_silent_ones_are_left_out", 1280, 900);
    let sandbox = one_grid("small");
    let now = minute();
    // Two hours ago there was another schedd.
    let slots = sandbox::fixture("cloud_monitor/small/condor_slots.json").display().to_string();
    let config = "[dashboard]\nrefresh_seconds = 5\n[htcondor]\nschedds = ";
    sandbox.schedds(&["ce00.example.org", "ce01.example.org"], &slots);
    collect(&sandbox, now - 7200);
    sandbox.schedds(&["ce01.example.org"], &slots);
    sandbox.config(&format!("{config}ce01.example.org"));
    collect(&sandbox, now - 7100);
    // Cloud Scheduler answers no more since ten minutes ago.
    collect(&sandbox, now - 600);
    sandbox.program("cloud_status", "echo down; exit 1");
    assert_eq!(sandbox.run(&["--now", &now.to_string()]).code, Some(1));

    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);
    let numbers = shown(&browser);
    let is_old = |path: &str| numbers[path].1.contains(" old: of 20");
    assert!(numbers["grids.heprc.heartbeat.cloud_scheduler"].0.ends_with("DOWN"));
    assert!(!is_old("grids.heprc.jobs.all.total"));
    let values = stored(&sandbox.path("state/gridmon.db"));
    let vms = numbers.iter().filter(|(path, _)| path.contains(".vms."));
    for (path, (_, title)) in vms {
        assert_eq!(!title.is_empty(), values[path] != Value::Int(0), "{path}: {title}");
    }
    assert!(numbers.keys().all(|path| !path.contains("ce00")));
    // Said to the mouse and to the keyboard.
    browser.js("document.querySelector('td a.old').focus()");
    browser.wait("/^1\\d min old: of 20/.test(document.querySelector('#tip').textContent) && !document.querySelector('#tip').hidden");
    let left_out = "document.querySelector('main p.quiet').textContent";
    assert!(browser.text(left_out).contains("silent for over an hour left out"), "{}", browser.text(left_out));
    browser.click("main p.quiet a");
    browser.wait("location.search === '?all=1' && !document.querySelector('main p.quiet')");
    assert!(shown(&browser).keys().any(|path| path.contains("ce00")));
    browser.is_quiet(&monitor.url);

    // A grid that nobody has heard of for ten minutes is old as a whole.
    let sandbox = one_grid("small");
    collect(&sandbox, now - 600);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let browser = Browser::open(1280, 900).unwrap();
    browser.go(&monitor.url);
    browser.wait("document.querySelector('.grid.stale .when').textContent.includes('all numbers are old')");
    assert!(shown(&browser).values().all(|(_, title)| title.contains(" min old: of ")));
    browser.is_quiet(&monitor.url);
}

#[test]
fn a_store_that_is_not_there_yet_or_is_damaged_is_said() {
    let browser = browser!("a_store_that_is_not_there_yet_or_is_damaged_is_said", 1280, 900);
    let sandbox = one_grid("small");
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);
    assert_eq!(browser.text("document.querySelector('.empty pre').textContent"), "collect-grid --verbose");
    collect(&sandbox, minute());
    browser.wait("document.querySelectorAll('main section.grid').length === 1");
    assert_eq!(browser.text("document.querySelectorAll('.empty').length"), "0");
    let numbers = shown(&browser);

    let store = sandbox.path("state/gridmon.db");
    let whole = std::fs::read(&store).unwrap();
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(sandbox.path(&format!("state/gridmon.db{ending}")));
    }
    sandbox.write("state/gridmon.db", "this is no store, and <b>never</b> was one");
    browser.click("#refresh");
    browser.wait("document.querySelector('.banner')");
    let words = browser.text("document.querySelector('.banner').textContent");
    assert!(words.contains("No answer from the embedded store") && words.contains("last numbers"), "{words}");
    assert_eq!(shown(&browser), numbers);
    std::fs::remove_file(&store).unwrap();
    std::fs::write(&store, whole).unwrap();
    browser.wait("!document.querySelector('.banner')");
    browser.is_quiet(&monitor.url);
}

/// The answers of a grid with this many clouds.
fn many_clouds(sandbox: &Sandbox, count: usize) {
    let mut clouds = String::new();
    for cloud in 0..count {
        let mut vms = Vec::new();
        for (at, vmtype) in ["atlas-worker", "belle-8core"].iter().take(1 + cloud % 2).enumerate() {
            for vm in 0..3 + (cloud * 7 + at) % 5 {
                let status = ["Running", "Running", "Starting", "Error"][vm % 4];
                let host = format!("site{cloud:03}-{at}-{vm}");
                vms.push(json!({ "hostname": host, "vmtype": vmtype, "status": status }));
            }
        }
        let cloud =
            json!({ "name": format!("site-{cloud:03}"), "enabled": cloud % 9 != 4, "max_slots": 20, "vms": vms });
        let _ = write!(clouds, "{}{cloud}", if clouds.is_empty() { "" } else { "," });
    }
    sandbox.write("clouds.json", format!("{{\"resources\": [{clouds}]}}"));
    sandbox.program("cloud_status", &format!("cat {}", sandbox.path("clouds.json").display()));
}

#[test]
fn two_grids_of_a_hundred_clouds_are_quick_and_light() {
    let browser = browser!("two_grids_of_a_hundred_clouds_are_quick_and_light", 1280, 900);
    let sandbox = Sandbox::new("small");
    many_clouds(&sandbox, 100);
    for grid in ["heprc", "belle"] {
        rename(&sandbox, grid);
        collect(&sandbox, minute());
    }
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    proofs::numbers(&browser, &site(&sandbox, &monitor));
    browser.click(&link("grids.heprc.jobs.all.total"));
    browser.wait("document.querySelector('#legend tbody tr')");
    let figures = browser.js(
        "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]; return \
         [all.reduce((sum, one) => sum + one.transferSize, 0), performance.getEntriesByType('paint')[0].startTime]",
    );
    let (bytes, paint) = (figures[0].as_u64().unwrap(), figures[1].as_f64().unwrap());
    println!("{bytes} bytes with everything, first paint after {paint:.0} ms");
    assert!(bytes > 20_000 && bytes < 150_000, "{bytes} bytes");
    // A figure of the machine's, and of an unoptimised build; `make bench` has the one that counts.
    assert!(paint < 3000.0, "{paint} ms");
    // The heads stay in sight.
    browser.js("document.querySelectorAll('.clouds')[0].scrollIntoView(); scrollBy(0, 900)");
    let heads = "[...document.querySelectorAll('.clouds')[0].querySelectorAll('thead th')].every((head) => \
                 Math.abs(head.getBoundingClientRect().top) < 80)";
    browser.wait(heads);
    let bar = "document.querySelector('header').getBoundingClientRect().bottom <= \
               document.querySelector('.clouds thead').firstElementChild.lastElementChild.getBoundingClientRect().top + 1";
    browser.wait(bar);
    browser.is_quiet(&monitor.url);
}

#[test]
fn names_from_outside_never_become_html() {
    let browser = browser!("names_from_outside_never_become_html", 1280, 900);
    let sandbox = one_grid("small");
    let long = "n".repeat(200);
    let names = [
        "<script>document.title='broken'</script>",
        "\"><img src=x onerror=\"document.title='broken'\">",
        "'quoted' & \"quoted\" &amp; &lt;",
        "../../etc/passwd",
        "\u{202e}gnorw\u{202d}",
        "שלום عالم",
        "javascript:alert(1)",
        "a?plot=b&theme=dark#c",
        "${document.title='broken'} {{7*7}} %3Cscript%3E",
        &long,
    ];
    let clouds = names.map(|name| {
        json!({ "name": name, "enabled": true, "max_slots": 3, "vms": [{ "hostname": "h", "vmtype": name, "status": name }] })
    });
    sandbox.write("clouds.json", json!({ "resources": clouds }).to_string());
    sandbox.program("cloud_status", &format!("cat {}", sandbox.path("clouds.json").display()));
    collect(&sandbox, minute());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let site = site(&sandbox, &monitor);
    browser.go(&monitor.url);
    let heads = browser
        .js("return [...document.querySelectorAll('.clouds tbody:not(.sum) th')].map((head) => head.textContent)");
    let heads: Vec<_> = heads.as_array().unwrap().iter().map(|head| head.as_str().unwrap()).collect();
    assert_eq!(heads.len(), names.len(), "{heads:?}");
    for path in shown(&browser).keys() {
        assert!(site.numbers.contains_key(path), "{path}");
    }
    let is_harmless = |browser: &Browser| {
        assert_eq!(browser.text("document.title"), "Cloud Monitor");
        let made = "document.querySelectorAll('main script, main img, main iframe, [onerror], a[href^=\"javascript\"]').length";
        assert_eq!(browser.text(made), "0");
        assert_eq!(browser.text("document.documentElement.scrollWidth <= innerWidth"), "true");
    };
    is_harmless(&browser);
    // All of them plotted, and then refreshed.
    let totals: Vec<_> = site
        .numbers
        .keys()
        .filter(|path| path.contains(".clouds.") && path.ends_with(".total") && path.contains(".vms."))
        .collect();
    assert_eq!(totals.len(), names.len());
    let query: Vec<_> = totals.iter().map(|path| format!("plot={}", escape(path))).collect();
    browser.go(&format!("{}?{}", monitor.url, query.join("&")));
    browser.wait(&format!("document.querySelectorAll('#legend tbody tr').length === {}", names.len()));
    browser.wait(&format!("document.querySelectorAll('main a[aria-current]').length === {}", names.len()));
    is_harmless(&browser);
    browser.click("#refresh");
    let since = browser.text("document.querySelector('#countdown').textContent");
    browser.wait(&format!("document.querySelector('#countdown').textContent !== {since:?}"));
    is_harmless(&browser);

    // And in addresses.
    let everywhere: Vec<_> =
        names.iter().flat_map(|name| ["plot", "hide"].map(|key| format!("{key}={}", escape(name)))).collect();
    for text in &names[..3] {
        let others = ["from", "to", "theme", "density", "all"].map(|key| format!("{key}={}", escape(text)));
        browser.go(&format!("{}?{}&{}", monitor.url, everywhere.join("&"), others.join("&")));
        browser.wait("document.querySelector('#wrong').textContent !== ''");
        is_harmless(&browser);
    }
    browser.is_quiet_but(&monitor.url, "status of 400");
}

/// As in a query.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        let _ = write!(escaped, "%{byte:02X}");
        escaped
    })
}

/// The answers of a grid at a time of a busy day.
fn busy(sandbox: &Sandbox, grid: &str, time: i64) {
    let wave =
        |hours: f64, at: usize| 0.5 + 0.5 * (time as f64 / 3600.0 * std::f64::consts::TAU / hours + at as f64).sin();
    let part = |whole: i64, share: f64| (whole as f64 * share) as i64;
    let names =
        ["arbutus", "aws-oregon", "cc-east", "cc-west", "cern-prod", "desy-hh", "gridka", "nectar-mel", "otter"];
    let skipped = usize::from(grid == "belle") * 4;
    let (mut clouds, mut slots, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
    for (at, name) in names.iter().enumerate().skip(skipped) {
        let quota = [80, 20, 120, 43, 60, 30, 90, 24, 40][at];
        let mut vms = Vec::new();
        let types = if at % 3 == 2 { &["worker-8core", "himem-16g"][..] } else { &["worker-8core"] };
        for (nth, vmtype) in types.iter().enumerate() {
            let quota = if nth == 0 { quota * 3 / 4 } else { quota / 5 };
            let running = part(quota, 0.45 + 0.45 * wave(5.0 + at as f64, at + nth));
            let others = [
                ("Starting", part(5, wave(1.3, at))),
                ("Retiring", part(3, wave(2.1, at + 2))),
                ("Error", i64::from(at == 6) * 2),
            ];
            for (status, count) in [("Running", running)].into_iter().chain(others) {
                for vm in 0..count {
                    let host = format!("{name}-{nth}-{status}-{vm}");
                    if status == "Running" && vm % 9 != 4 {
                        for slot in 1..=1 + vm % 3 {
                            slots.push(
                                json!({ "Name": format!("slot1_{slot}@{host}"), "Mips": 24000, "KFlops": 1_500_000 }),
                            );
                        }
                    }
                    vms.push(json!({ "hostname": host, "vmtype": vmtype, "status": status }));
                }
            }
        }
        clouds.push(json!({ "name": name, "enabled": *name != "nectar-mel", "max_slots": quota, "vms": vms }));
        jobs.push(json!({ "JobStatus": 1, "TargetClouds": name, "JobCount": part(9, wave(4.0, at)) + 1 }));
    }
    for (at, (target, count)) in [("IAAS", 900), ("IAAS_MCORE", 340), ("Alberta", 60)].into_iter().enumerate() {
        for (status, share) in [(1, wave(7.0, at)), (2, 0.6 + 0.4 * wave(6.0, at + 3)), (5, 0.01 * wave(3.0, at))] {
            jobs.push(json!({ "JobStatus": status, "TargetClouds": target, "JobCount": part(count, share) + 1 }));
        }
    }
    for (name, answer) in [("clouds", json!({ "resources": clouds })), ("slots", json!(slots)), ("jobs", json!(jobs))] {
        sandbox.write(&format!("{name}.json"), answer.to_string());
    }
    let file = |name: &str| sandbox.path(name).display().to_string();
    sandbox.schedds(&["ce01.example.org", "ce02.example.org"], &file("slots.json"));
    sandbox.program("cloud_status", &format!("cat {}", file("clouds.json")));
    // The last minutes of one schedd are silent.
    let is_down = grid == "belle" && time > minute() - 900;
    let dead = if is_down { "case \"$*\" in *ce02*) echo 'ERROR: no route to host' >&2; exit 1;; esac; " } else { "" };
    sandbox.program("condor_q", &format!("{dead}cat {}", file("jobs.json")));
}

/// Writes docs/cloud-monitor.png, the picture of the README: some hours of two grids, with a plot.
#[test]
#[ignore = "writes the README's picture: make picture"]
fn screenshot() {
    // make test-all runs what is ignored, too.
    if std::env::var_os("GRIDMON_PICTURE").is_none() {
        return;
    }
    let browser = browser!("screenshot", 1280, 900);
    let sandbox = one_grid("small");
    for step in (0..=90).rev() {
        // For half an hour nothing was collected: a gap in the lines.
        if (35..43).contains(&step) {
            continue;
        }
        for grid in ["belle", "heprc"] {
            rename(&sandbox, grid);
            let time = minute() - step * 240;
            busy(&sandbox, grid, time);
            sandbox.run(&["--now", &time.to_string()]);
        }
    }
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.prefers("light");
    let plots = ["cc-east", "gridka", "arbutus", "cern-prod"];
    let plots = plots.map(|cloud| format!("plot=grids.heprc.clouds.{cloud}.vms.worker-8core.running"));
    browser.go(&format!("{}?{}&hide=belle", monitor.url, plots.join("&")));
    browser.wait("document.querySelectorAll('#legend tbody tr').length === 4");
    let picture = browser.picture();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cloud-monitor.png");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, &picture).unwrap();
    assert!(picture.len() < 200_000, "{} bytes", picture.len());
}
