//! Tables of thousands of rows in a real browser: the page has the first ones; the others come by scrolling, by keyboard, by a
//! button, and without a script; sorting, finding, what is wrong and refreshes look at all of them.

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::page::minute;
use crate::proofs::{axe, violations};
use crate::whole::write;
use crate::wide::nodes;

const COUNT: &str = "document.querySelectorAll('.nodes tr[data-key]').length";
const FIRST: &str = "document.querySelector('.nodes tr[data-key]').dataset.key";
const WHOLE: &str = "document.documentElement.dataset.part === undefined";

/// Starts the page of a thousand nodes, of which one, far down, has a load like no other.
fn start(sandbox: &Sandbox) -> Monitor {
    write(sandbox, &nodes(1000, 0));
    let busy = format!("node_load,host=node0777.example.org load1=99.5,load5=1,load15=1 {}000000000", minute());
    write(sandbox, &[busy]);
    Monitor::start(sandbox, "127.0.0.1:0")
}

#[test]
fn a_long_table_grows_as_it_is_read_and_what_is_chosen_is_chosen_of_all_its_rows() {
    let test = "a_long_table_grows_as_it_is_read_and_what_is_chosen_is_chosen_of_all_its_rows";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let monitor = start(&sandbox);
    let url = format!("{}pages/nodes/", monitor.url);
    browser.go(&url);
    browser.wait(WHOLE);
    assert_eq!(browser.text(COUNT), "200");
    let end = "document.querySelector('.nodes .remaining').textContent";
    assert!(browser.text(end).starts_with("200 of 1000 rows"), "{}", browser.text(end));
    assert_eq!(violations(&browser, &axe), json!([]));

    // A column is sorted and a name found though its row is not on the page.
    browser.click(".nodes thead button[value$='CPU/load'][name=sort]");
    browser.wait(&format!("{FIRST} === 'node0777.example.org' && {COUNT} === 200"));
    browser.keys("/node0999");
    browser.wait(&format!("{FIRST} === 'node0999.example.org' && {COUNT} === 1"));
    assert_eq!(browser.text("document.querySelector('.nodes .remaining')"), "null");

    // Scrolling brings the others, and the address has how many, so that going back and a refresh keep them.
    browser.go(&url);
    browser.wait(WHOLE);
    let down = "document.querySelector('.nodes .remaining')?.scrollIntoView()";
    for count in ["400", "1000"] {
        browser.js(down);
        browser.wait(&format!("{COUNT} === {count} && !document.querySelector('main').ariaBusy"));
    }
    assert_eq!(browser.text("document.querySelector('.nodes .remaining')"), "null");
    assert_eq!(
        browser.text(
            "new Set([...document.querySelectorAll('.nodes tr[data-key]')].map(({ dataset }) => dataset.key)).size"
        ),
        "1000"
    );
    assert!(browser.text("location.search").contains("rows=nodes%3A"), "{}", browser.text("location.search"));
    browser.js("document.querySelector('#refresh').click()");
    browser.wait("!document.querySelector('main').ariaBusy");
    assert_eq!(browser.text(COUNT), "1000");

    // The keyboard goes on from the last row to the first new one.
    browser.go(&url);
    browser.wait(WHOLE);
    browser.js("[...document.querySelectorAll('.nodes tr[data-key]')].at(-1).querySelector('a').focus()");
    browser.keys("\u{e015}");
    browser.wait(&format!(
        "{COUNT} >= 400 && document.activeElement.closest('tr')?.dataset.key === 'node0200.example.org'"
    ));
    browser.is_quiet(&monitor.url);
}

#[test]
fn a_long_table_is_had_whole_without_a_script_and_says_on_paper_what_it_lacks() {
    let test = "a_long_table_is_had_whole_without_a_script_and_says_on_paper_what_it_lacks";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let sandbox = Sandbox::new("small");
    let monitor = start(&sandbox);
    let url = format!("{}pages/nodes/", monitor.url);
    browser.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.go(&format!("{url}?theme=dark&sort=nodes%3ACPU%2Fload"));
    assert_eq!(browser.text(COUNT), "200");
    browser.click(".nodes .remaining button[value='nodes:400']");
    browser.wait(&format!("document.readyState === 'complete' && {COUNT} === 400"));
    assert!(browser.text("location.search").contains("theme=dark"), "other choices stay");
    browser.click(".nodes .remaining button[value='nodes:all']");
    browser.wait(&format!("document.readyState === 'complete' && {COUNT} === 1000"));
    assert_eq!(browser.text("document.querySelector('.nodes .remaining')"), "null");

    // On paper the buttons are no use: the words tell how all is printed.
    browser.go(&url);
    browser.tell("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    let more = "document.querySelector('.nodes .remaining').innerText";
    let expected = "200 of 1000 rows The others are not on this paper: choose “all 1000” before you print.";
    browser.wait(&format!("{more}.replace(/\\s+/g, ' ').trim() === '{expected}'"));
    browser.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": false }));
    browser.is_quiet(&monitor.url);
}
