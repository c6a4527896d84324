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

/// A plot is drawn, and its legend has numbers.
const PLOTTED: &str = "/\\d/.test(document.querySelector('#legend tbody tr')?.textContent) && !document.querySelector('#chart[aria-busy]')";

/// The plot is that of the sum which is marked: its legend has the same number.
const SUMMED: &str = "(() => { const sum = document.querySelector('.clouds .sum a[aria-current]')?.textContent; \
                      return /^[1-9]/.test(sum) && document.querySelector('#plot-title').textContent.includes('running') && \
                      [...document.querySelectorAll('#legend tbody td')].some((cell) => cell.textContent.trim() === sum); })()";

/// The rows of the clouds stand in the order of the sorted column, the greatest first.
const FALLING: &str = "(() => { const head = document.querySelector('.clouds [aria-sort=descending]'); if (!head) return false; \
                       const at = [...head.parentElement.children].indexOf(head); \
                       const rows = [...document.querySelectorAll('.clouds tbody:not(.sum) > tr:first-child')]; \
                       const held = rows.map((row) => Number(row.children[at].querySelector('a')?.textContent ?? -1)); \
                       return held.length > 1 && held[0] > -1 && held.every((value, row) => !row || value <= held[row - 1]); })()";

/// Each cloud that is left is marked, or it is said that none is wrong.
const WRONG: &str = "location.search.includes('only=wrong') && (document.querySelector('main').textContent.includes('Nothing is wrong') || \
                     [...document.querySelectorAll('.clouds tbody:not(.sum)')].every((row) => /is-(bad|worse)/.test(row.className)))";

const QUESTIONS: [Question; 21] = [
    (
        "Grids",
        "is anything wrong?",
        &[],
        "[...document.querySelectorAll('.now li b')].some((who) => who.textContent === 'b · docs')",
    ),
    (
        "Grids",
        "how many jobs of a cloud run?",
        &[],
        "/^\\d+$/.test(document.querySelector('.clouds tbody:not(.sum) a[href*=\"jobs.all.running\"]')?.textContent)",
    ),
    ("Grids", "how did that go today?", &[], "document.querySelector('.clouds tbody:not(.sum) svg.line path[d^=M]')"),
    ("Grids", "the plot of a number", &[".clouds tbody:not(.sum) td a"], PLOTTED),
    (
        "Grids",
        "one cloud whole",
        &[".clouds tbody:not(.sum) a.name"],
        "/^cc-/.test(document.querySelector('.named h2')?.textContent) && document.querySelectorAll('.named figcaption a').length > 5",
    ),
    (
        "Grids",
        "the types and slots of a cloud",
        &[".clouds tbody:not(.sum) th button"],
        "/worker/.test(document.querySelector('.clouds tr.part th')?.textContent) && document.querySelector('.clouds tr.part td a')",
    ),
    ("Grids", "all clouds together over time", &[".clouds .sum a[href*=\".running\"]"], SUMMED),
    ("Grids", "which cloud holds the most?", &[".clouds thead button[value$=\"jobs/held\"]"], FALLING),
    ("Grids", "only what is wrong", &[".clouds .tools button[value=wrong]"], WRONG),
    (
        "Grids",
        "what happened last night?",
        &[".systems a[href*=\"events/\"]"],
        "[...document.querySelectorAll('.happened th a')].some((who) => who.textContent.includes('b · docs'))",
    ),
    (
        "PanDA",
        "jobs by cloud over time",
        &[".systems a[href*=\"panda/\"]"],
        "document.querySelector('.overview img')?.naturalWidth > 0 && /\\d %/.test(document.querySelector('.overview tbody').textContent)",
    ),
    (
        "PanDA",
        "the same by site",
        &[".systems a[href*=\"panda/\"]", ".choices a[href*=\"by=site\"]"],
        "document.querySelector('.overview thead th').textContent === 'site' && document.querySelector('.overview img')?.naturalWidth > 0",
    ),
    (
        "PanDA",
        "which queues are suspicious, and why?",
        &[".systems a[href*=\"panda/\"]", ".systems a[href*=\"suspicious/\"]"],
        "document.querySelector('.note summary') && /\\d/.test(document.querySelector('.queues tbody')?.textContent)",
    ),
    (
        "PanDA",
        "one queue whole",
        &[".systems a[href*=\"panda/\"]", ".queues a.name[href*=\"queue\"]"],
        "document.querySelector('.named .facts dd') && document.querySelector('.named figcaption a')",
    ),
    (
        "PanDA",
        "which datadisks are crowded?",
        &[".systems a[href*=\"panda/\"]", ".systems a[href*=\"daod/\"]"],
        "document.querySelector('.datadisks tbody th')?.textContent.length > 3 && [...document.querySelectorAll('.datadisks tbody td')].some((cell) => /\\d/.test(cell.textContent))",
    ),
    (
        "Nodes",
        "how loaded are the nodes?",
        &[".systems a[href*=\"nodes/\"]"],
        "[...document.querySelectorAll('.nodes a')].some((load) => load.getAttribute('aria-label') === 'load, n1.example.org: 0.50')",
    ),
    (
        "Nodes",
        "one node whole",
        &[".systems a[href*=\"nodes/\"]", ".nodes a.name"],
        "document.querySelector('.named h2')?.textContent === 'n1.example.org' && document.querySelector('.named img')",
    ),
    (
        "Backups",
        "which backups are bad?",
        &[".systems a[href*=\"backups/\"]"],
        "[...document.querySelectorAll('.sets .is-bad')].some((row) => /docs/.test(row.textContent) && /old/.test(row.textContent))",
    ),
    (
        "Backups",
        "how old was a backup over time?",
        &[".systems a[href*=\"backups/\"]", ".sets tbody td:nth-of-type(2) a"],
        "document.querySelector('#plot-title').textContent.includes('age') && /\\d/.test(document.querySelector('#legend tbody tr')?.textContent)",
    ),
    (
        "Instances",
        "who uses the most?",
        &[".systems a[href*=\"instances/\"]"],
        "document.querySelector('.talkers a b')?.textContent === 'busy'",
    ),
    (
        "Instances",
        "one instance whole",
        &[".systems a[href*=\"instances/\"]", ".instances a.name"],
        "document.querySelector('.named h2')?.textContent === 'busy' && document.querySelector('.named img')",
    ),
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
    let time = minute();
    let now = time / 600 * 600;
    collect(&sandbox, time);
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
    let clouds = ["cc-east", "cern-wigner", "nectar_melb"];
    let jobs = |(at, cloud): (usize, &&str)| {
        let of = |status: &str, jobs: usize, back: i64| {
            format!("grid_cloud_jobs,grid=heprc,cloud={cloud},status={status} jobs={jobs}i {}000000000", time - back)
        };
        // Two cells of the small line have a value.
        [of("running", 30 + at, 3600), of("running", 40 + at, 0), of("held", [3, 17, 5][at], 0)]
    };
    write(&sandbox, &clouds.iter().enumerate().flat_map(jobs).collect::<Vec<_>>());
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
