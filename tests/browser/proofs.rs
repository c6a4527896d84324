//! What holds for the page whatever store it reads: each proof takes a site, that is an address and the numbers that its
//! store has, and a browser.

mod choices;

pub use choices::*;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use gridmon::model::Value;
use serde_json::json;

use crate::driver::Browser;

/// A running dashboard, and what it must show.
pub struct Site {
    /// Its address, with the slash at its end.
    pub url: String,
    /// The newest value of each number of the store, by path.
    pub numbers: BTreeMap<String, Value>,
}

/// The links of the page that are numbers, as `[path, text, title]`.
/// A phone has some of them in pairs, where wider screens have them in columns.
const NUMBERS: &str = "return [...document.querySelectorAll('main a[href^=\"?plot=\"]:not([data-look])')].filter((link) => !link.closest('.pairs')).map((link) => \
    [new URLSearchParams(link.getAttribute('href')).get('plot'), link.textContent.trim(), link.title || link.dataset.title || ''])";

/// The numbers as the page shows them: path to text and title.
pub fn shown(browser: &Browser) -> BTreeMap<String, (String, String)> {
    let links = browser.js(NUMBERS);
    let mut shown = BTreeMap::new();
    for link in links.as_array().unwrap() {
        let text = |at: usize| link[at].as_str().unwrap().to_string();
        let before = shown.insert(text(0), (text(1), text(2)));
        // The sum of a row with one part is that of the part too.
        assert!(before.is_none() || text(0).contains('*'), "{} stands twice", text(0));
    }
    shown
}

/// Numbers that the page leaves out: what is a sum of others that it shows, jobs of a cloud in other states, slots and
/// states that are zero everywhere.
fn may_miss(path: &str, value: Value) -> bool {
    path.contains(".idle.total")
        || path.ends_with(".scheduler_jobs.total")
        || path.contains(".jobs.all.")
            && path.contains(".clouds.")
            && !path.ends_with(".idle")
            && !path.ends_with(".held")
        || value == Value::Int(0)
        || path.starts_with("util.")
}

impl Site {
    fn page(&self, query: &str) -> String {
        format!("{}{query}", self.url)
    }

    /// The sum of all numbers that a path with `*` for names of clouds, types and slots means.
    pub fn sum(&self, path: &str) -> i64 {
        let fits = |known: &str| {
            let (mut one, mut other) = (path.split('.'), known.split('.'));
            one.by_ref().all(|component| other.next().is_some_and(|other| component == "*" || component == other))
                && other.next().is_none()
        };
        let numbers = self.numbers.iter().filter(|(known, _)| fits(known));
        numbers.map(|(_, value)| if let Value::Int(value) = value { *value } else { 0 }).sum()
    }

    /// Paths of some numbers that are not zero, of the same unit.
    pub fn some(&self, count: usize) -> Vec<String> {
        // Those of clouds may be folded.
        let is_shown =
            |path: &str| path.contains(".jobs.") && ![".clouds.", ".schedds."].iter().any(|part| path.contains(part));
        let running = self.numbers.iter().filter(|(path, value)| is_shown(path) && **value != Value::Int(0));
        let paths: Vec<_> = running.map(|(path, _)| path.clone()).take(count).collect();
        assert_eq!(paths.len(), count);
        paths
    }
}

/// The selector of a number's link.
pub fn link(path: &str) -> String {
    format!("main a[href^=\"?plot={path}\"]:not([data-look])")
}

/// Waits until the plot of so many lines is drawn.
pub fn settled(browser: &Browser, lines: usize) {
    browser.wait(&format!(
        "document.querySelectorAll('#legend tbody tr').length === {lines} && !document.querySelector('#chart[aria-busy]') \
         && document.querySelector('#chart canvas')"
    ));
}

/// Every number of the page is the store's, and none is missing.
pub fn numbers(browser: &Browser, site: &Site) {
    browser.go(&site.page("?open=*&rows=clouds%3Aall"));
    let shown = shown(browser);
    assert!(shown.len() > 50, "{shown:?}");
    for (path, (text, title)) in &shown {
        // One with a prefix has the exact one as its tooltip.
        let exact = &if title.is_empty() { text } else { title }.replace('\u{202f}', "");
        if path.contains('*') {
            assert_eq!(exact, &site.sum(path).to_string(), "{path}");
            continue;
        }
        let value = site.numbers.get(path).unwrap_or_else(|| panic!("{path} is not in the store"));
        let is_beat = path.ends_with(".heartbeat") || path.contains(".heartbeat.");
        let expected = match value {
            Value::Int(0) if is_beat => "DOWN".into(),
            Value::Int(_) if is_beat => "up".into(),
            Value::Int(0) if path.ends_with(".enabled") => "no".into(),
            Value::Int(_) if path.ends_with(".enabled") => "yes".into(),
            Value::Int(value) => value.to_string(),
            // A whole number of seconds or bytes has no decimals.
            Value::Float(value) if value.fract() == 0.0 && !exact.contains('.') => value.round().to_string(),
            Value::Float(value) => format!("{value:.2}"),
        };
        if is_beat {
            assert!(text.ends_with(&expected), "{path}: {text}");
        } else {
            assert_eq!(exact, &expected, "{path}");
        }
    }
    let paths: BTreeSet<_> = shown.keys().collect();
    let missing: Vec<_> =
        site.numbers.iter().filter(|(path, value)| !paths.contains(path) && !may_miss(path, **value)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    browser.is_quiet(&site.url);
}

/// Where the right half of the plot begins and ends, where the store has values.
fn right_half(browser: &Browser) -> [(i64, i64); 2] {
    let over = browser.js(
        "const box = document.querySelector('#chart .u-over').getBoundingClientRect(); return [box.left, box.top, box.width, \
         box.height].map(Math.round)",
    );
    let [left, top, width, height] = [0, 1, 2, 3].map(|at| over[at].as_i64().unwrap());
    [left + width / 2, left + width - 5].map(|x| (x, top + height / 2))
}

/// Newer numbers come while somebody drags: the plot stays the one that is dragged over, the buttons those that are about
/// to be clicked. `collect` makes the newer numbers.
pub fn undisturbed(browser: &Browser, site: &Site, collect: impl FnOnce()) {
    let path = &site.some(1)[0];
    browser.go(&format!("{}?plot={path}", site.url));
    settled(browser, 1);
    browser.js("window.seen = [...document.querySelectorAll('#legend button, #legend canvas, #chart canvas')]");
    let newest = "Math.max(...[...document.querySelectorAll('.age')].map((age) => Number(age.dataset.time)))";
    let before = browser.text(newest);
    let asked = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('api/v1/history')).length";
    let [begin, end] = right_half(browser);
    browser.press(begin, ((begin.0 + end.0) / 2, begin.1));
    collect();
    browser.wait(&format!("{newest} > {before}"));
    let count = browser.text(asked);
    browser.wait(&format!("{asked} > {count} && !document.querySelector('#chart[aria-busy]')"));
    assert_eq!(browser.text("window.seen.every((node) => node.isConnected)"), "true");
    browser.release(end);
    browser.wait("/from=\\d\\d%3A\\d\\d_\\d{8}&to=/.test(location.search)");
    settled(browser, 1);
    browser.is_quiet(&site.url);
}

/// A click opens a number's plot below the tables, others come into the same plot, a second click takes one out; dragging
/// zooms, a double click goes back, and so does the browser's button.
pub fn plots(browser: &Browser, site: &Site) {
    browser.go(&site.url);
    let paths = site.some(3);
    assert_eq!(browser.text("document.querySelector('#plot').hidden"), "true");
    browser.click(&link(&paths[0]));
    settled(browser, 1);
    // The number that was clicked is still seen: the plot takes a place of its own.
    let covered = "(() => { const link = document.activeElement.getBoundingClientRect(); const panel = \
        document.querySelector('#plot').getBoundingClientRect(); return link.bottom <= panel.top })()";
    browser.click(&link(&paths[1]));
    settled(browser, 2);
    browser.click(&link(&paths[2]));
    settled(browser, 3);
    assert_eq!(browser.text(covered), "true");
    let marked = |browser: &Browser| {
        let found = browser.js("return [...document.querySelectorAll('main a[aria-current=true]')].map((link) => new \
             URLSearchParams(link.getAttribute('href')).get('plot'))");
        let found = found.as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_string());
        found.collect::<BTreeSet<_>>()
    };
    assert_eq!(marked(browser), paths.iter().cloned().collect());
    browser.click(&link(&paths[1]));
    settled(browser, 2);
    assert_eq!(marked(browser), [&paths[0], &paths[2]].into_iter().cloned().collect());
    let address = browser.text("location.search");
    assert_eq!(address, format!("?plot={}&plot={}", paths[0], paths[2]));

    // The last value of the plot is the number of the table.
    let last = browser.text("document.querySelector('#legend tbody td').textContent");
    let Value::Int(number) = site.numbers[&paths[0]] else { panic!() };
    assert_eq!(last, number.to_string());

    let [begin, end] = right_half(browser);
    browser.drag(begin, end);
    browser.wait("/from=\\d\\d%3A\\d\\d_\\d{8}&to=/.test(location.search)");
    settled(browser, 2);
    browser.double_click(begin);
    browser.wait(&format!("location.search === {address:?}"));
    settled(browser, 2);
    browser.back();
    browser.wait("/from=/.test(location.search)");
    browser.back();
    browser.wait(&format!("location.search === {address:?}"));
    browser.back();
    settled(browser, 3);
    browser.wait(&format!("document.querySelectorAll('main a[aria-current=true]').length === {}", 3));

    // A line's own button takes it out, Close takes all.
    browser.click("#legend button");
    settled(browser, 2);
    browser.click("#close");
    browser.wait("document.querySelector('#plot').hidden && location.search === ''");
    assert_eq!(marked(browser), BTreeSet::new());
    browser.is_quiet(&site.url);
}

/// Every range is understood, also what a person writes; what is no time is said, and the plot stays.
pub fn ranges(browser: &Browser, site: &Site) {
    let path = &site.some(1)[0];
    browser.go(&site.page(&format!("?plot={path}")));
    settled(browser, 1);
    let count = browser.js("return document.querySelectorAll('#plot nav [data-from]').length").as_u64().unwrap();
    assert_eq!(count, 21);
    for at in 0..count {
        let address = browser.text(&format!(
            "(() => {{ const link = document.querySelectorAll('#plot nav [data-from]')[{at}]; link.click(); return \
             link.dataset.from + ' ' + link.dataset.to }})()"
        ));
        let current =
            format!("document.querySelectorAll('#plot nav [data-from]')[{at}].getAttribute('aria-current') === 'true'");
        browser.wait(&current);
        settled(browser, 1);
        assert_eq!(browser.text("document.querySelector('#wrong').textContent"), "", "{address}");
    }
    let write = |from: &str, to: &str| {
        for (name, text) in [("from", from), ("to", to)] {
            browser.js(&format!(
                "const field = document.querySelector('#range [name={name}]'); field.focus(); field.value = ''"
            ));
            browser.keys(text);
        }
        browser.keys("\u{e007}");
    };
    write("-6parsecs", "");
    browser.wait("document.querySelector('#wrong').textContent.includes('is no unit')");
    assert_eq!(browser.text("document.querySelector('#range [name=from]').getAttribute('aria-invalid')"), "true");
    assert_eq!(browser.text("!!document.querySelector('#chart canvas')"), "true");
    write("now-2d", "now-1h");
    browser.wait("document.querySelector('#wrong').textContent === ''");
    browser.wait("location.search.endsWith('&from=now-2d&to=now-1h')");
    assert_eq!(browser.text("document.querySelector('#range [name=from]').getAttribute('aria-invalid')"), "null");
    // The future is called so.
    write("now+1d", "now+2d");
    browser.wait("/ is in the future\\.$/.test(document.querySelector('#chart .nothing')?.textContent)");
    write("noon yesterday", "now/h");
    browser.wait("location.search.includes('from=noon%20yesterday&to=now%2Fh')");
    browser.wait("document.querySelector('#wrong').textContent === ''");
    // A wrong time in an address is said too; the server refuses the question, which the console reports.
    browser.is_quiet_but(&site.url, "status of 400");
}

/// What is plotted comes as TSV, CSV, JSON, SVG and PNG, with the store's values.
pub fn export(browser: &Browser, site: &Site) {
    let paths = site.some(2);
    browser.go(&site.page(&format!("?plot={}", paths[0])));
    settled(browser, 1);
    browser.click(&link(&paths[1]));
    settled(browser, 2);
    let answers = browser.promise(
        "return Promise.all([...document.querySelectorAll('[data-export]')].map(async (link) => { const answer = await \
         fetch(link.href); return [link.textContent, answer.status, answer.headers.get('content-type'), await \
         answer.text()] }))",
    );
    let answers = answers.as_array().unwrap_or_else(|| panic!("{answers}"));
    assert_eq!(answers.len(), if cfg!(feature = "png") { 5 } else { 4 });
    let values = paths.iter().map(|path| match site.numbers[path] {
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
    });
    let values: Vec<_> = values.collect();
    for (answer, (words, kind)) in answers.iter().zip([
        ("TSV", "text/tab-separated-values; charset=utf-8"),
        ("CSV", "text/csv; charset=utf-8"),
        ("JSON", "application/json"),
        ("SVG", "image/svg+xml"),
        ("PNG", "image/png"),
    ]) {
        assert_eq!((&answer[0], &answer[1], &answer[2]), (&json!(words), &json!(200), &json!(kind)));
        let text = answer[3].as_str().unwrap();
        let separator = match words {
            "TSV" => "\t",
            "CSV" => ",",
            _ => continue,
        };
        let heads = paths.iter().map(|path| format!("{path} (jobs; mean)"));
        let heads: Vec<_> = std::iter::once("UTC".to_string()).chain(heads).collect();
        assert_eq!(text.lines().next(), Some(heads.join(separator).as_str()));
        let last: Vec<_> = text.lines().last().unwrap().split(separator).skip(1).collect();
        assert_eq!(last, values);
    }
    browser.is_quiet(&site.url);
}

/// The legend shows each number so that it reads back within its digits, and each unit has a strip and an axis of its own.
pub fn legend(browser: &Browser, site: &Site) {
    let path = &site.some(1)[0];
    browser.go(&site.page(&format!("?plot={path}")));
    settled(browser, 1);
    // The numbers come from a store that is made up; those of a table once lost their zeros.
    let mut numbers = vec![99.97, 119.6, 210.4, 0.0, 100.0, 1000.0, 20.04, 1e6, -120.5, 0.1, 100_000.4, 0.000_123];
    let mut seed = 7_u64;
    while numbers.len() < 200 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let scale = 10_f64.powi((seed >> 40) as i32 % 12 - 4);
        let number = (seed >> 11) as f64 / (1_u64 << 53) as f64 * scale;
        numbers.push(if seed & 4 == 0 { number.round() } else { number });
    }
    let units = ["jobs", "vms", "0 or 1"];
    let series = numbers.chunks(4).enumerate().map(|(at, four)| {
        json!({ "path": format!("a.{at}"), "unit": units[at % 3], "values": [1, null, 2, 3], "whole":
            { "last": four[0], "least": four[1], "mean": four[2], "most": four[3] } })
    });
    let made = json!({ "from": 0, "to": 240, "step_seconds": 60, "times": [0, 60, 120, 180], "series": series.collect::<Vec<_>>() });
    browser.js(&format!(
        "const real = window.fetch; window.fetch = (address, ...more) => String(address).includes('history') ? \
         Promise.resolve(new Response(JSON.stringify({made}))) : real(address, ...more); document.querySelector('#refresh').click()"
    ));
    settled(browser, 50);
    let shown = browser
        .js("return [...document.querySelectorAll('#legend tbody tr')].flatMap((row) => [1, 2, 3, 4].map((at) => \
         row.children[at].textContent))");
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), numbers.len());
    for (number, text) in numbers.iter().zip(shown) {
        let text = text.as_str().unwrap();
        let back: f64 = text.parse().unwrap_or_else(|_| panic!("{text}"));
        assert!((back - number).abs() <= number.abs() * 5.01e-4, "{number} is shown as {text}");
        assert!(number.fract() != 0.0 || back == *number, "{number} is shown as {text}");
    }
    let strips = browser.js("return [...document.querySelectorAll('#chart .uplot')].length");
    assert_eq!(strips, json!(3));
    browser.is_quiet(&site.url);
}
