//! Finding, sorting and only what is wrong, in a real browser: by keyboard, in the address, and without a script.

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::proofs::{axe, violations};
use crate::troubles::run;
use crate::whole::write;

/// The names of the schedds that are shown, in their order.
const SCHEDDS: &str = "[...document.querySelectorAll('.schedds tbody tr')].map((row) => row.dataset.key).join(' ')";

const BOTH: &str = "ce01.example.org ce05.example.org";

#[test]
fn a_name_is_found_a_column_sorted_and_what_is_wrong_left_with_and_without_a_script() {
    let test = "a_name_is_found_a_column_sorted_and_what_is_wrong_left_with_and_without_a_script";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    (0..5).rev().for_each(|minute| run(&sandbox, now - 60 * minute, minute > 0));
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);
    assert_eq!(browser.text(SCHEDDS), BOTH);

    // The keyboard: a slash, a name, Escape.
    browser.keys("/ce05");
    browser.wait(&format!("{SCHEDDS} === 'ce05.example.org' && location.search === '?find=ce05'"));
    assert_eq!(browser.text("document.activeElement.id"), "find");
    browser.keys("x");
    browser.wait("document.querySelector('main').textContent.includes('No name here has “ce05x”')");
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.click(".empty button[value='']");
    browser.wait(&format!("{SCHEDDS} === '{BOTH}' && location.search === ''"));
    browser.keys("/ce01");
    browser.wait(&format!("{SCHEDDS} === 'ce01.example.org'"));
    browser.keys("\u{e00c}");
    browser.wait(&format!("{SCHEDDS} === '{BOTH}'"));

    // A head sorts, and again, and no more; what is plotted stays.
    browser.click(".schedds td a");
    let sorted = |address: &str, order: &str| {
        browser.click(".schedds thead button[value*='schedds:is'], .schedds thead button[value='schedds:']");
        browser.wait(&format!("{SCHEDDS} === '{order}' && location.search.endsWith('{address}')"));
        assert!(browser.text("location.search").starts_with("?plot="));
    };
    sorted("&sort=schedds%3Ais", "ce05.example.org ce01.example.org");
    assert_eq!(violations(&browser, &axe), json!([]));
    sorted("&sort=-schedds%3Ais", BOTH);
    browser.back();
    browser.wait(&format!("{SCHEDDS} === 'ce05.example.org ce01.example.org'"));

    // Only what is wrong: its row has an edge and a word for those who do not see it.
    browser.go(&monitor.url);
    browser.click(".schedds .tools button[value=wrong]");
    browser.wait(&format!("{SCHEDDS} === 'ce05.example.org' && location.search === '?only=wrong'"));
    assert!(browser.text("document.querySelector('.schedds tbody th').textContent").contains("bad: "));
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.size(390, 900);
    assert_eq!(browser.js("return document.documentElement.scrollWidth <= innerWidth"), json!(true));
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.size(1280, 900);

    // The same without a script: a plain form.
    browser.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.go(&format!("{}?theme=dark", monitor.url));
    browser.click("#find");
    browser.keys("ce05\u{e007}");
    browser.wait(&format!("{SCHEDDS} === 'ce05.example.org'"));
    assert!(browser.text("location.search").contains("theme=dark"), "other choices stay");
    browser.go(&monitor.url);
    browser.click(".schedds thead button[value='schedds:is']");
    browser.wait(&format!("{SCHEDDS} === 'ce05.example.org ce01.example.org'"));
    browser.click(".schedds .tools button[value=wrong]");
    browser.wait(&format!("{SCHEDDS} === 'ce05.example.org'"));
    assert!(browser.text("location.search").contains("sort=schedds"), "other choices stay");
    browser.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": false }));
    browser.is_quiet(&monitor.url);
}

#[test]
fn a_name_is_found_from_every_page_with_and_without_a_script() {
    let test = "a_name_is_found_from_every_page_with_and_without_a_script";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    run(&sandbox, now, true);
    let node =
        |at: usize| format!("node_load,host=worker{at:02}.example.org load1=0.5,load5=1,load15=1 {now}000000000");
    write(&sandbox, &(1..=12).map(node).collect::<Vec<_>>());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let elsewhere = "(document.querySelector('.elsewhere')?.textContent ?? '')";
    // A schedd from the page of the nodes, and a node from that of the grids, from what happened and from the help.
    browser.go(&format!("{}pages/nodes/", monitor.url));
    browser.keys("/ce05");
    browser.wait(&format!("/on other pages.*Grids.*ce05\\.example\\.org/s.test({elsewhere})"));
    browser.look("elsewhere-1280");
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.click(".elsewhere a");
    browser.wait(&format!("document.readyState === 'complete' && {SCHEDDS} === 'ce05.example.org'"));
    browser.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    for page in ["", "events/", "help/", "pages/backups/"] {
        browser.go(&format!("{}{page}?find=worker03&theme=dark", monitor.url));
        browser.click(".elsewhere a");
        browser.wait("document.querySelector('.nodes tr[data-key=\"worker03.example.org\"]')");
        assert_eq!(browser.text("document.querySelectorAll('.nodes tr[data-key]').length"), "1", "{page}");
        assert!(browser.text("location.search").contains("theme=dark"), "other choices stay");
    }
    browser.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": false }));
    // Many are counted; a slip of the pen finds what is near, elsewhere too; what nobody has is nowhere.
    browser.go(&format!("{}?find=worker", monitor.url));
    browser.wait(&format!(
        "document.querySelectorAll('.elsewhere div:first-child a').length === 9 && {elsewhere}.includes('4 more')"
    ));
    browser.go(&format!("{}?find=workre03.example.org", monitor.url));
    browser.wait(&format!("/^\\s*Near to/.test({elsewhere}) && {elsewhere}.includes('worker03.example.org')"));
    browser.go(&format!("{}?find=nobody-is-called-so", monitor.url));
    browser.wait("document.querySelector('main').textContent.includes('No name here has')");
    assert_eq!(browser.text("document.querySelector('.elsewhere')"), "null");
    browser.is_quiet(&monitor.url);
}
