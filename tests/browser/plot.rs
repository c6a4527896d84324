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
    assert!(spoken.starts_with(&date) && spoken.contains("ce05.example.org: 1"), "{spoken}");
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
