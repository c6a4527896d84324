//! The questions of docs/cloud-monitor.md, each answered with the clicks that its table says.

use std::time::{Duration, Instant};

use gridmon::model::{Rest, Tier};
use gridmon::monitors::panda::TABLE;
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::{EmbeddedTables, Store};
use gridmon::sources::cric;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::sandbox::{Sandbox, fixture};
use gridmon_testkit::skip;

use crate::driver::Browser;
use crate::page::{collect, minute};
use crate::queues::{points, row};
use crate::whole::write;

/// One question: its system, its words, the elements that are clicked from the first page on, and what is true then.
type Question = (&'static str, &'static str, &'static [&'static str], &'static str);

const PLOTTED: &str = "document.querySelector('#legend tbody tr') && !document.querySelector('#chart[aria-busy]')";

const NAMED: &str = "document.querySelector('.named img')";

const QUESTIONS: [Question; 21] = [
    ("Grids", "is anything wrong?", &[], "document.querySelector('.now .count').textContent.length > 0"),
    ("Grids", "how many jobs of a cloud run?", &[], "document.querySelector('.clouds tbody td a')"),
    ("Grids", "how did that go today?", &[], "document.querySelector('.clouds svg.line, .clouds td')"),
    ("Grids", "the plot of a number", &[".clouds tbody:not(.sum) td a"], PLOTTED),
    ("Grids", "one cloud whole", &[".clouds tbody:not(.sum) a.name"], NAMED),
    (
        "Grids",
        "the types and slots of a cloud",
        &[".clouds tbody:not(.sum) th button"],
        "document.querySelector('.clouds tr.part')",
    ),
    ("Grids", "all clouds together over time", &[".clouds .sum td a"], PLOTTED),
    (
        "Grids",
        "which cloud holds the most?",
        &[".clouds thead button[value$=\"jobs/held\"]"],
        "document.querySelector('.clouds [aria-sort]')",
    ),
    ("Grids", "only what is wrong", &[".clouds .tools button[value=wrong]"], "location.search.includes('only=wrong')"),
    ("Grids", "what happened last night?", &[".systems a[href*=\"events/\"]"], "document.querySelector('#happened')"),
    ("PanDA", "jobs by cloud over time", &[".systems a[href*=\"panda/\"]"], "document.querySelector('.overview img')"),
    (
        "PanDA",
        "the same by site",
        &[".systems a[href*=\"panda/\"]", ".choices a[href*=\"by=site\"]"],
        "location.search.includes('by=site')",
    ),
    (
        "PanDA",
        "which queues are suspicious, and why?",
        &[".systems a[href*=\"panda/\"]", ".systems a[href*=\"suspicious/\"]"],
        "document.querySelector('.queues td')",
    ),
    ("PanDA", "one queue whole", &[".systems a[href*=\"panda/\"]", ".queues a.name[href*=\"queue\"]"], NAMED),
    (
        "PanDA",
        "which datadisks are crowded?",
        &[".systems a[href*=\"panda/\"]", ".systems a[href*=\"daod/\"]"],
        "document.querySelector('.datadisks td')",
    ),
    ("Nodes", "how loaded are the nodes?", &[".systems a[href*=\"nodes/\"]"], "document.querySelector('.nodes td')"),
    ("Nodes", "one node whole", &[".systems a[href*=\"nodes/\"]", ".nodes a.name"], NAMED),
    (
        "Backups",
        "which backups are bad?",
        &[".systems a[href*=\"backups/\"]"],
        "document.querySelector('.sets').textContent.includes('old')",
    ),
    (
        "Backups",
        "how old was a backup over time?",
        &[".systems a[href*=\"backups/\"]", ".sets tbody td:nth-of-type(4) a"],
        PLOTTED,
    ),
    ("Instances", "who uses the most?", &[".systems a[href*=\"instances/\"]"], "document.querySelector('.talkers a')"),
    ("Instances", "one instance whole", &[".systems a[href*=\"instances/\"]", ".instances a.name"], NAMED),
];

/// The rows of the table in the documentation.
fn table() -> String {
    let row = |(system, question, clicks, _): &Question| format!("| {system} | {question} | {} |\n", clicks.len());
    QUESTIONS.iter().map(row).collect()
}

#[test]
fn every_question_takes_at_most_two_clicks() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cloud-monitor.md")).unwrap();
    assert!(docs.contains(&table()), "docs/cloud-monitor.md has another table than\n{}", table());
    let Some(browser) = Browser::open(1280, 900) else {
        return skip("every_question_takes_at_most_two_clicks", "Chromium");
    };
    let sandbox = Sandbox::new("small");
    let now = minute() / 600 * 600;
    collect(&sandbox, minute());
    let queues = cric::queues(&std::fs::read(fixture("panda/pandaqueue_501.json")).unwrap()).unwrap();
    let queues = &queues[..60];
    let path = sandbox.path("state/gridmon.db");
    let until = Instant::now() + Duration::from_secs(60);
    let rows: Vec<_> = queues.iter().enumerate().map(row).collect();
    EmbeddedTables { place: path.clone().into() }.write(&TABLE, &rows, Rest::Removed, until).unwrap();
    Store::open(&path, until).unwrap().write(Tier::Raw, &points(queues), until).unwrap();
    write(
        &sandbox,
        &[
            format!("node_load,host=n1.example.org load1=0.5,load5=0.5,load15=0.5 {now}000000000"),
            format!(
                "backup_set,grid=heprc,hub=b,node=b1,set=docs verdict=15i,well=0i,age_seconds=9000i,bytes=97000000i,backups=4i {now}000000000"
            ),
            format!(
                "instance,grid=heprc,host=h1,instance=busy state=1i,cpu_cores=3.5,cpu_ratio=0.5,vcpus=16i {now}000000000"
            ),
        ],
    );
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    for (system, question, clicks, answer) in QUESTIONS {
        assert!(clicks.len() <= 2, "{system}: {question}");
        browser.go(&monitor.url);
        for selector in clicks {
            browser.wait(&format!("document.readyState === 'complete' && document.querySelector('{selector}')"));
            browser.click(selector);
        }
        println!("{system}: {question} {}", clicks.len());
        browser.wait(answer);
    }
    browser.is_quiet(&monitor.url);
}
