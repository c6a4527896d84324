//! The pictures of the README and of docs/, taken anew by `make picture`: the demo plays a day, and the page of each system is
//! taken as it stands then.

use std::path::Path;
use std::process::{Command, Stdio};

use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::{TempDir, program, skip};

use super::driver::Browser;

/// The pictures: the name of the file, the address, what the page must have before it is taken, and what is clicked then, if
/// anything is.
const PICTURES: [(&str, &str, &str, &str); 6] = [
    ("happened", "events/?from=-1d", ".lanes rect", ""),
    ("panda", "pages/panda/", ".overview img, main table", ""),
    ("suspicious", "pages/suspicious/", "main table", ""),
    ("daod", "pages/daod/", "main table", ""),
    ("backups", "pages/backups/", "svg.nights .d", ".sets .is-bad th button"),
    ("instances", "pages/instances/", "svg.two", ".instances tbody:not(.sum) th button"),
];

#[test]
#[ignore = "writes the pictures of docs: make picture"]
fn a_picture_of_each_system() {
    // make test-all runs what is ignored, too.
    if std::env::var_os("GRIDMON_PICTURE").is_none() {
        return;
    }
    let Some(browser) = Browser::open(1440, 900) else { return skip("a_picture_of_each_system", "Chromium") };
    let folder = TempDir::new();
    let stage = folder.path().join("demo");
    let mut demo = Command::new(program("gridmon-demo"));
    let demo = demo.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).arg("--folder").arg(&stage);
    let played = demo.output().unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    let monitor = Monitor::start_in(&stage, "127.0.0.1:0");
    browser.prefers("light");
    for (name, address, has, clicked) in PICTURES {
        browser.go(&format!("{}{address}", monitor.url));
        browser.wait(&format!("document.querySelector('{has}') !== null"));
        if !clicked.is_empty() {
            browser.click(clicked);
            browser.wait("document.querySelector('.unfolded img') !== null");
            browser.js("document.querySelector('.unfolded').scrollIntoView({ block: 'center' })");
        }
        // Pictures of small plots come by themselves.
        browser.wait(
            "[...document.images].every((image) => image.complete || image.getBoundingClientRect().top > innerHeight)",
        );
        let picture = browser.picture();
        assert!(picture.len() < 300_000, "{name} has {} bytes", picture.len());
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{name}.png")), &picture).unwrap();
    }
}
