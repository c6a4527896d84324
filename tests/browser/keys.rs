//! What helps everybody, in a real browser: arrow keys in tables, links that say whose number they are, meanings, the help.

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::page::{collect, minute};
use crate::proofs::{axe, violations};

#[test]
fn arrow_keys_move_in_tables_links_say_whose_number_they_are_and_heads_what_they_mean() {
    let test = "arrow_keys_move_in_tables_links_say_whose_number_they_are_and_heads_what_they_mean";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("hard");
    collect(&sandbox, minute());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);

    let nameless = "[...document.querySelectorAll('.clouds tbody:not(.sum) td a[href^=\"?plot=\"]')].filter((link) => \
                    !link.closest('td').querySelector('.quota') && !link.href.includes('%2A') && \
                    !link.getAttribute('aria-label')?.includes(link.closest('tbody').dataset.key)).length";
    assert_eq!(browser.text(nameless), "0");
    let label = browser.text("document.querySelector('.jobs tbody tr td a').getAttribute('aria-label')");
    let (name, number) = (
        browser.text("document.querySelector('.jobs tbody tr').dataset.key"),
        browser.text("document.querySelector('.jobs tbody tr td a').textContent"),
    );
    assert_eq!(label, format!("idle, {name}: {number}"));

    // Down and up keep the column, left and right the row, Home and End go to its ends.
    browser.js("document.querySelector('.jobs tbody tr td a').focus()");
    let place = "(() => { const cell = document.activeElement.closest('td, th'); const row = cell.parentElement; return \
                 [row.rowIndex, cell.cellIndex].join() })()";
    let begin = browser.text(place);
    let (row, column) = begin.split_once(',').unwrap();
    let (row, column): (usize, usize) = (row.parse().unwrap(), column.parse().unwrap());
    for (key, expected) in [
        ("\u{e015}", (row + 1, column)),
        ("\u{e014}", (row + 1, column + 1)),
        ("\u{e013}", (row, column + 1)),
        ("\u{e012}", (row, column)),
        ("\u{e011}", (row, 0)),
    ] {
        browser.keys(key);
        assert_eq!(browser.text(place), format!("{},{}", expected.0, expected.1), "{key:?}");
    }

    // A head says what it means, to the mouse, to the keyboard and in the help; Escape closes the tooltip alone.
    let meaning = "document.querySelector('.schedds thead th:nth-child(3)')";
    let said = browser.text(&format!("{meaning}.title || {meaning}.dataset.title"));
    assert!(said.len() > 10, "{said}");
    browser.js(&format!("{meaning}.querySelector('button').focus()"));
    browser.wait(&format!(
        "!document.querySelector('#tip').hidden && document.querySelector('#tip').textContent === {said:?}"
    ));
    browser.keys("\u{e00c}");
    browser.wait("document.querySelector('#tip').hidden");
    assert_eq!(browser.js(&format!("return {meaning}.contains(document.activeElement)")), json!(true));
    browser.click(".systems a[href*=\"help/\"]");
    browser.wait("document.querySelector('section.help') && document.readyState === 'complete'");
    assert!(browser.text("document.querySelector('section.help').textContent").contains(&said));
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.size(390, 900);
    browser.wait("document.documentElement.scrollWidth <= innerWidth");
    browser.is_quiet(&monitor.url);
}
