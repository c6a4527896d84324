//! The plot in a real browser: its height, its room, what the pointer says, what happened below it, links with fixed times.

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::proofs::{axe, link, settled, violations};
use crate::troubles::run;

const CE05: &str = "grids.heprc.schedds.ce05_example_org.heartbeat";

const CE01: &str = "grids.heprc.schedds.ce01_example_org.heartbeat";

/// Ninety minutes of two schedds, one of which was down for twenty; gives the newest minute.
fn some_trouble(sandbox: &Sandbox) -> i64 {
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    (1..=90).rev().for_each(|minute| run(sandbox, now - 60 * minute, !(50..70).contains(&minute)));
    now
}

#[test]
fn the_plot_covers_no_row_that_is_clicked_its_height_is_dragged_and_it_fills_the_window() {
    let test = "the_plot_covers_no_row_that_is_clicked_its_height_is_dragged_and_it_fills_the_window";
    let Some(browser) = Browser::open(1280, 640) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    some_trouble(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);
    // The row stands at the foot of the window, where the plot comes.
    browser.js("document.querySelector('main').style.paddingTop = '400px'");
    browser.click(&link(CE05));
    settled(&browser, 1);
    let covered = |selector: &str| {
        browser.js(&format!(
            "return document.querySelector('{selector}').closest('tr').getBoundingClientRect().bottom > \
             document.querySelector('#plot').getBoundingClientRect().top"
        ))
    };
    assert_eq!(covered("main a[aria-current=true]"), json!(false));
    // It says the name as it is, which a path cannot hold.
    assert_eq!(browser.text("document.title"), "heprc · schedds · ce05.example.org · heartbeat – Cloud Monitor");

    // The mouse and the keyboard change the height, which this browser keeps.
    let height = || browser.js("return document.querySelector('#chart').offsetHeight").as_i64().unwrap();
    let before = height();
    let grip = browser.js("const box = document.querySelector('#grip').getBoundingClientRect(); return [box.left + 60, box.top + 12].map(Math.round)");
    let [x, y] = [0, 1].map(|at| grip[at].as_i64().unwrap());
    browser.drag((x, y), (x, y - 60));
    browser.wait(&format!("document.querySelector('#chart').offsetHeight === {}", before + 60));
    browser.js("document.querySelector('#grip').focus()");
    browser.keys("\u{e015}");
    browser.wait(&format!("document.querySelector('#chart').offsetHeight === {}", before + 36));
    browser.go(&format!("{}?plot={CE05}", monitor.url));
    settled(&browser, 1);
    assert_eq!(height(), before + 36);

    // The whole window, in the address, until Escape.
    browser.click("#full");
    browser.wait("location.search.endsWith('&full=1') && document.querySelector('#chart').offsetHeight > 350");
    assert_eq!(browser.js("return getComputedStyle(document.querySelector('main')).display"), json!("none"));
    browser.keys("\u{e00c}");
    browser.wait("!location.search.includes('full') && document.querySelector('main').offsetHeight > 0");

    // Little room, as with large type: the plot stands below the row that was clicked.
    browser.size(640, 450);
    browser.wait(
        "(() => { const plot = document.querySelector('#plot'); \
         const row = document.querySelector('main a[aria-current=true]').closest('tr').getBoundingClientRect(); \
         return getComputedStyle(plot).position === 'absolute' && Math.abs(plot.getBoundingClientRect().top - row.bottom) < 3; })()",
    );
    browser.is_quiet(&monitor.url);

    // Without the script it stands first, and can fill the window too.
    browser.size(1280, 900);
    browser.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.go(&format!("{}?plot={CE05}&full=1", monitor.url));
    assert!(browser.text("document.querySelector('#chart img').src").contains("height=700"));
    assert_eq!(browser.text("document.title"), "heprc · schedds · ce05_example_org · heartbeat – Cloud Monitor");
    browser.click("#full");
    browser.wait("!location.search.includes('full')");
    let top = "document.querySelector('#plot').getBoundingClientRect().top < document.querySelector('main').getBoundingClientRect().top";
    assert_eq!(browser.text(top), "true");
}

#[test]
fn the_pointer_says_values_and_date_and_what_happened_stands_below() {
    let test = "the_pointer_says_values_and_date_and_what_happened_stands_below";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let now = some_trouble(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}?plot={CE05}&from=-2h", monitor.url));
    settled(&browser, 1);

    // Of the two schedds only the plotted one has an event; its tick stands at its time, and its link sets the range.
    browser.wait("document.querySelectorAll('#ticks li').length === 1 && document.querySelector('#chart .lane .bad')");
    let told = browser.text("document.querySelector('#ticks li').textContent");
    assert!(told.contains("▼") && told.contains("ce05.example.org down 20 min"), "{told}");
    browser.look("plot-1280");
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.click(&link(CE01));
    settled(&browser, 2);
    browser.click(&link(CE05));
    settled(&browser, 1);
    browser.wait("document.querySelectorAll('#ticks li').length === 0 && !document.querySelector('#ticks[aria-busy]')");
    browser.click(&link(CE05));
    settled(&browser, 2);
    browser.wait("document.querySelectorAll('#ticks li').length === 1");

    // The cursor says value and full date, to the eye and to a reader.
    browser.js("document.querySelector('#chart').focus()");
    browser.keys("\u{e012}");
    browser.wait("document.querySelector('#chart .moment') && document.querySelectorAll('#chart .val').length === 2");
    let date = jiff::Timestamp::from_second(now - 60).unwrap().strftime("%a %Y-%m-%d %H:%M UTC").to_string();
    assert_eq!(browser.text("document.querySelector('#chart .moment').textContent"), date);
    let spoken = browser.text("document.querySelector('#spoken').textContent");
    assert!(spoken.starts_with(&date) && spoken.contains("ce05.example.org: up"), "{spoken}");
    browser.look("plot-pointer-1280");

    // A range by the browser's fields, in local time too.
    browser.tell("Emulation.setTimezoneOverride", &json!({ "timezoneId": "Asia/Tokyo" }));
    browser.click("[data-zone=local]");
    let field = |name: &str| browser.text(&format!("document.querySelector('#moments [name={name}]').value"));
    let tokyo =
        |time: i64| jiff::Timestamp::from_second(time + 9 * 3600).unwrap().strftime("%Y-%m-%dT%H:%M").to_string();
    browser.js(&format!(
        "document.querySelector('#moments [name=from]').value = '{}'; document.querySelector('#moments [name=to]').value = '{}'",
        tokyo(now - 4200),
        tokyo(now - 2400)
    ));
    browser.click("#moments button");
    let utc = |time: i64| jiff::Timestamp::from_second(time).unwrap().strftime("%H%%3A%M_%Y%m%d").to_string();
    let fixed = format!("&from={}&to={}", utc(now - 4200), utc(now - 2400));
    browser.wait(&format!("location.search.endsWith('{fixed}')"));
    settled(&browser, 2);
    assert_eq!((field("from"), field("to")), (tokyo(now - 4200), tokyo(now - 2400)));

    // The copied link has fixed times, whatever the address says.
    browser.go(&format!("{}?plot={CE05}&from=-1h", monitor.url));
    settled(&browser, 1);
    browser.js("navigator.clipboard.writeText = async (text) => { window.copied = text }");
    browser.click("#copy");
    browser.wait("/^Copied/.test(document.querySelector('#said').textContent)");
    let copied = browser.text("window.copied");
    let (address, range) = copied.split_once("&from=").unwrap();
    assert_eq!(address, format!("{}?plot={CE05}", monitor.url));
    assert!(range.contains("%3A") && range.contains("&to="), "{copied}");
    browser.is_quiet(&monitor.url);
}

/// The colours of a column of the canvas, from the top of the lanes to their foot.
const COLUMN: &str = "(part) => { const canvas = document.querySelector('#chart canvas'); const over = document.querySelector('#chart .u-over').getBoundingClientRect(); \
                      const box = canvas.getBoundingClientRect(); const x = Math.round((over.left - box.left + over.width * part) * devicePixelRatio); \
                      const [top, height] = [over.top - box.top, over.height].map((length) => Math.round(length * devicePixelRatio)); \
                      const { data } = canvas.getContext('2d').getImageData(x, top, 1, height); \
                      return [...Array(height).keys()].map((y) => '#' + [0, 1, 2].map((at) => data[4 * y + at].toString(16).padStart(2, '0')).join('')) }";

#[test]
fn a_heartbeat_is_a_lane_and_the_title_says_what_is_plotted() {
    let test = "a_heartbeat_is_a_lane_and_the_title_says_what_is_plotted";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    let now = some_trouble(&sandbox);
    let lines: Vec<_> = ["idle", "running", "held"]
        .into_iter()
        .flat_map(|status| {
            (1..=90).map(move |ago| {
                format!("grid_jobs,grid=heprc,type=all,status={status} jobs=7i {}000000000", now - 60 * ago)
            })
        })
        .collect();
    crate::whole::write(&sandbox, &lines);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.prefers("light");
    // Both schedds: two lanes in one strip, low and green while up, tall and red while down.
    browser.go(&format!("{}?plot={CE05}&plot={CE01}&from=-90min", monitor.url));
    settled(&browser, 2);
    assert_eq!(browser.text("document.querySelectorAll('#chart .uplot').length"), "1");
    let count = |part: f64, colour: &str| {
        browser.js(&format!("return ({COLUMN})({part}).filter((one) => one === '{colour}').length")).as_i64().unwrap()
    };
    let (up, down) = ("#43957f", "#c4261f");
    // Down from 69 to 50 minutes ago, that is about a third of the way.
    let (quiet, trouble) = (count(0.8, up), count(0.33, down));
    assert!(quiet > 4 && count(0.8, down) == 0, "{quiet}");
    assert!(trouble > 2 * quiet && (2 * count(0.33, up) - quiet).abs() < 3, "{trouble} of {quiet}");
    assert_eq!(
        browser.text("[...document.querySelectorAll('#legend tbody tr')].map((row) => [...row.querySelectorAll('td')].slice(0, 2).map((cell) => cell.textContent).join(' ')).join()"),
        "up down,up up"
    );
    browser.look("lanes-1280");

    // Several numbers: what they have in common, and the name of each; the same as without the script.
    let jobs = |status: &str| format!("grids.heprc.jobs.all.{status}");
    let query = ["idle", "running", "held"].map(|status| format!("plot={}", jobs(status))).join("&");
    let query = format!("{query}&plot=grids.heprc.heartbeat.cloud_monitor");
    let expected = "heprc · jobs · all: idle, running, held + heartbeat · cloud_monitor";
    browser.go(&format!("{}?{query}", monitor.url));
    settled(&browser, 4);
    assert_eq!(browser.text("document.title.replace(/^\\(\\d+\\) /, '')"), format!("{expected} – Cloud Monitor"));
    assert_eq!(browser.text("document.querySelector('#plot-title').textContent"), expected);
    assert_eq!(browser.text("document.querySelectorAll('#chart .uplot').length"), "2");
    let html = browser.promise("return (await fetch(location.href)).text()");
    assert!(html.as_str().unwrap().contains(&format!("{expected} – Cloud Monitor</title>")));
    browser.look("lanes-and-lines-1280");
    browser.is_quiet_but(&monitor.url, "willReadFrequently");
}

#[test]
fn on_paper_the_plot_is_a_drawing_and_each_sheet_says_its_address() {
    let test = "on_paper_the_plot_is_a_drawing_and_each_sheet_says_its_address";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    some_trouble(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let address = format!("{}?plot={CE05}&from=-2h&theme=dark", monitor.url);
    browser.go(&address);
    settled(&browser, 1);
    let has_asked = |browser: &Browser| browser.asked().iter().any(|url| url.contains("/plot.svg?"));
    assert!(!has_asked(&browser), "a screen does not load the drawing");
    let pdf = browser.print();
    browser.keep("paper.pdf", &pdf);
    assert!(has_asked(&browser), "paper does");
    let text = String::from_utf8_lossy(&pdf);
    assert!(text.starts_with("%PDF") && !text.contains("/Subtype /Image"), "no picture made of dots");
    let foot = browser.text("document.querySelector('#foot').textContent");
    assert!(foot.contains(&address) && foot.contains(" UTC"), "{foot}");
    browser.tell("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    browser.wait("document.querySelector('#paper path.event') && document.querySelector('#paper').offsetHeight > 100");
    let seen = "[...document.querySelectorAll('canvas, input, select, #plot button, #plot nav, header')].filter((one) => one.getClientRects().length).length";
    browser.wait(&format!("{seen} === 0"));
    // The foot of each sheet has it; where a browser has no such thing, it stands behind the last one.
    assert_eq!(browser.text("document.querySelector('#foot').hidden"), "true");
    let page = browser.text("document.adoptedStyleSheets[0].cssRules[0].cssText.replaceAll('\\u200b', '')");
    assert!(page.contains(&format!("{address} · ")) && page.contains("counter(page)"), "{page}");
    browser.look("paper-1280");
    // It asks for the drawing while the browser waits, which a console remarks.
    browser.is_quiet_but(&monitor.url, "Synchronous XMLHttpRequest");
}
