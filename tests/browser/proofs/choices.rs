//! What is chosen, by mouse and by keyboard, on any screen and by anybody.

use super::*;

/// What is chosen is in the address, and in the browser for an address that says nothing.
pub fn options(browser: &Browser, site: &Site) {
    let grids = "document.querySelectorAll('main section.grid').length";
    browser.go(&site.url);
    let count = browser.js(&format!("return {grids}")).as_u64().unwrap();
    browser.click("#options summary");
    let choose = |name: &str, value: &str| {
        browser.js(&format!(
            "const field = document.querySelector('#options [name={name}]'); field.value = '{value}'; \
             field.dispatchEvent(new Event('change', {{ bubbles: true }}))"
        ));
    };
    choose("theme", "dark");
    choose("density", "compact");
    // The tables come late: what is chosen meanwhile adds to what was chosen before.
    browser.js("const real = window.fetch; window.fetch = (...asked) => \
         new Promise((done) => { window.answer = () => { window.fetch = real; done(real(...asked)); }; })");
    browser.click("#options [name=all]");
    browser.wait("location.search === '?all=1&density=compact&theme=dark'");
    assert_eq!(ground(browser), "rgb(18, 22, 26)");
    browser.keys("\u{e00c}");
    assert_eq!(browser.text("document.querySelector('#options').open"), "false");
    browser.click(".grid .hide");
    browser.wait("/^\\?all=1&hide=/.test(location.search)");
    browser.js("window.answer()");
    browser.wait(&format!("{grids} === {}", count - 1));
    // A bare address in the same browser.
    browser.go(&site.url);
    browser.wait(&format!("{grids} === {} && location.search.includes('hide=')", count - 1));
    assert_eq!(ground(browser), "rgb(18, 22, 26)");
    browser.wait("document.querySelector('#options [name=all]').checked");
    browser.click("nav [data-look]");
    browser.wait(&format!("{grids} === {count}"));
    choose("theme", "");
    choose("density", "");
    assert_ne!(ground(browser), "rgb(18, 22, 26)");
    browser.is_quiet(&site.url);
}

/// The colour behind everything.
pub fn ground(browser: &Browser) -> String {
    browser.text("getComputedStyle(document.documentElement).backgroundColor")
}

/// An address shows in a browser that knows nothing what it showed where it was copied.
pub fn mailed(browser: &Browser, site: &Site) {
    let paths = site.some(2);
    let query = format!("?plot={}&plot={}&from=-1h&density=compact&theme=dark", paths[0], paths[1]);
    browser.go(&site.page(&query));
    settled(browser, 2);
    assert_eq!(browser.text("location.search"), query);
    assert_eq!(ground(browser), "rgb(18, 22, 26)");
    assert_eq!(browser.text("document.querySelector('#plot [aria-current]').dataset.from"), "-1h");
    assert_eq!(browser.text("document.querySelectorAll('main a[aria-current=true]').length"), "2");
    // Without the script it is all there too.
    browser.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.go(&site.page(&query));
    browser.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": false }));
    assert_eq!(browser.text("document.querySelectorAll('main a[aria-current=true]').length"), "2");
    assert_eq!(browser.text("document.querySelector('#plot').hidden"), "false");
    browser.is_quiet(&site.url);
}

/// The key to the plot and back.
const F6: &str = "\u{e036}";

/// Everything without a mouse: a number is plotted, the way to the plot and back is one key, ranges and zoom are buttons.
pub fn keyboard(browser: &Browser, site: &Site) {
    browser.go(&site.url);
    let focused = |what: &str| browser.text(&format!("document.activeElement.{what}"));
    let is_number = "document.activeElement.matches('main a[href^=\"?plot=\"]:not([data-look])')";
    for _ in 0..30 {
        browser.keys("\u{e004}");
        if browser.js(&format!("return {is_number}")) == json!(true) {
            break;
        }
    }
    browser.wait(is_number);
    assert_ne!(browser.text("getComputedStyle(document.activeElement).outlineStyle"), "none");
    browser.keys("\u{e007}");
    settled(browser, 1);
    browser.keys("\u{e004}\u{e007}");
    settled(browser, 2);
    let number = focused("getAttribute('href')");
    browser.keys(F6);
    assert_eq!(focused("id"), "plot-title");
    browser.keys("\u{e004}");
    assert_eq!(focused("dataset.from"), "-5min");
    browser.keys("\u{e004}\u{e004}\u{e007}");
    browser.wait("location.search.endsWith('from=-1h')");
    settled(browser, 2);
    browser.js("document.querySelector('#in').focus()");
    browser.keys("\u{e007}");
    browser.wait("/from=\\d\\d%3A/.test(location.search)");
    settled(browser, 2);
    browser.js("document.querySelector('#out').focus()");
    browser.keys("\u{e007}");
    browser.wait("location.search.endsWith('from=-1h')");
    settled(browser, 2);
    browser.js("document.querySelector('#chart').focus()");
    browser.keys("\u{e012}");
    assert_ne!(browser.text("document.querySelector('#legend .at').textContent"), "last");
    browser.keys(F6);
    assert_eq!(focused("getAttribute('href')"), number);
    browser.keys(F6);
    // Escape closes it, from the plot and from the tables, and leaves the focus at a number.
    browser.keys("\u{e00c}");
    browser.wait("document.querySelector('#plot').hidden && !location.search.includes('plot=')");
    assert!(focused("getAttribute('href')").starts_with(&number));
    browser.keys("\u{e007}");
    settled(browser, 1);
    browser.keys("\u{e00c}");
    browser.wait(&format!("document.querySelector('#plot').hidden && {is_number}"));
    browser.is_quiet(&site.url);
}

/// On a phone nothing scrolls sideways, neither the page nor a table.
pub fn narrow(browser: &Browser, site: &Site) {
    browser.size(360, 740);
    let path = &site.some(1)[0];
    for query in ["", &format!("?plot={path}"), "?density=compact"] {
        browser.go(&site.page(query));
        if query.contains("plot") {
            settled(browser, 1);
        }
        let widths = browser.js(
            "return [document.documentElement.scrollWidth, ...[...document.querySelectorAll('.box')].map((box) => \
             box.getBoundingClientRect().right)].map(Math.ceil)",
        );
        for width in widths.as_array().unwrap() {
            assert!(width.as_u64().unwrap() <= 360, "{query}: {widths}");
        }
        let wider = "[...document.querySelectorAll('.box')].filter((box) => box.scrollWidth > box.clientWidth).map(({ className }) => className).join()";
        browser.wait(&format!("{wider} === ''"));
    }
    browser.is_quiet(&site.url);
}

/// axe-core, which npm brings into `target`; `None` where it cannot be had.
pub fn axe() -> Option<String> {
    const VERSION: &str = "4.14.1";
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("target/axe-{VERSION}"));
    let script = folder.join("package/axe.min.js");
    if !script.exists() {
        fs::create_dir_all(&folder).unwrap();
        let quietly = |command: &mut Command| {
            let command = command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        quietly(Command::new("npm").args(["pack", "--silent", &format!("axe-core@{VERSION}")]));
        quietly(Command::new("tar").args(["xzf", &format!("axe-core-{VERSION}.tgz")]));
    }
    fs::read_to_string(script).ok()
}

/// axe finds nothing, in light and dark, with and without a plot, and on a phone.
pub fn accessible(browser: &Browser, site: &Site, axe: &str) {
    let paths = site.some(2);
    let plot = format!("?plot={}&plot={}", paths[0], paths[1]);
    for (query, lines, width) in [
        ("?theme=light", 0, 1280),
        ("?theme=dark", 0, 1280),
        (&format!("{plot}&theme=light"), 2, 1280),
        (&format!("{plot}&theme=dark"), 2, 1280),
        (&plot, 2, 360),
    ] {
        browser.size(width, 900);
        browser.go(&site.page(query));
        if lines > 0 {
            settled(browser, lines);
        } else {
            browser.click("#options summary");
        }
        assert_eq!(violations(browser, axe), json!([]), "{query} {width}");
    }
    browser.is_quiet(&site.url);
}

/// What axe finds on the page as it is.
pub fn violations(browser: &Browser, axe: &str) -> serde_json::Value {
    browser.js(axe);
    browser.promise(
        // What lies half below the docked plot comes out of it by scrolling.
        // Every rule, those of best practice and of the highest level too.
        "const rules = Object.fromEntries(axe.getRules().map(({ ruleId }) => [ruleId, { enabled: true }])); const found = await axe.run(document, { resultTypes: ['violations'], rules }); const seen = found.violations.map((one) => ({ ...one, nodes: one.nodes.filter((node) => \
         !node.failureSummary.includes('partially obscured')) })).filter((one) => one.nodes.length); return seen.map((one) => \
         one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200) + ' ' + node.failureSummary.slice(0, 200)).join(' | '))",
    )
}
