//! The pictures of the README and of docs/, taken anew by `make picture`: the demo plays a day, and the page of each system is
//! taken as it stands then. Below the folder that `GRIDMON_LOOK` names stand those of the same pages dark and on a phone.

use std::path::Path;
use std::process::{Command, Stdio};

use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::{TempDir, program, skip};

use super::driver::Browser;

/// The pictures: the name of the file, the address, what the page must have before it is taken, and what is unfolded then, if
/// anything is.
const PICTURES: [(&str, &str, &str, &str); 9] = [
    (
        "cloud-monitor",
        "?plot=grids.demo.clouds.cc-east.vms.mcore-worker.running&plot=grids.demo.clouds.cc-west.vms.mcore-worker.running\
         &plot=grids.demo.clouds.cc-east.jobs.all.running&plot=grids.demo.schedds.ce02_grid_example_org.heartbeat&from=-1d",
        "#legend tbody tr:nth-child(4)",
        "",
    ),
    ("grids", "", ".clouds svg.line", ".clouds tbody:not(.sum) th button"),
    ("happened", "events/?from=-1d", ".lanes rect", ""),
    ("panda", "pages/panda/", ".overview img", ""),
    ("suspicious", "pages/suspicious/", "main table", ""),
    ("daod", "pages/daod/", "main table", ""),
    ("nodes", "pages/nodes/", ".nodes svg.two", "tr[data-key=gpu03] th button"),
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
    // Every minute, also on a slow machine.
    demo.args(["--seconds", "900"]);
    let played = demo.output().unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    // The rest of the demo took some minutes, which the grid did not see.
    let path = format!("{}:/usr/bin:/bin", stage.join("bin").display());
    let mut collect = Command::new(program("collect-grid"));
    let collect = collect.env_clear().env("PATH", path).arg("-c").arg(stage.join("config.cfg")).output().unwrap();
    assert!(collect.status.success(), "{}", String::from_utf8_lossy(&collect.stderr));
    let monitor = Monitor::start_in(&stage, "127.0.0.1:0");
    browser.prefers("light");
    for (name, address, has, clicked) in PICTURES {
        browser.go(&format!("{}{address}", monitor.url));
        browser.wait(&format!("document.querySelector('{has}') !== null"));
        if !clicked.is_empty() {
            browser.click(clicked);
            browser.wait("document.querySelector('main [aria-expanded=true]') !== null");
            browser.js("document.querySelector('main [aria-expanded=true]').scrollIntoView({ block: 'center' })");
        }
        let complete = "[...document.images].every((image) => image.complete || !image.checkVisibility() || image.getBoundingClientRect().top > innerHeight)";
        // Pictures of small plots come by themselves.
        browser.wait(complete);
        let picture = browser.picture();
        assert!(picture.len() < 300_000, "{name} has {} bytes", picture.len());
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{name}.png")), &picture).unwrap();
        for (scheme, width) in [("dark", 1440), ("light", 390)] {
            browser.prefers(scheme);
            browser.size(width, 900);
            browser.wait(complete);
            browser.look(&format!("{name}-{scheme}-{width}"));
        }
        browser.prefers("light");
        browser.size(1440, 900);
    }
}
