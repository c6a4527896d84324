//! The pages of PanDA in a real browser, with the 501 queues of the real topology of 2019 and made-up counts.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gridmon::model::{Cell, Point, Rest, Row, Tier};
use gridmon::monitors::panda::{TABLE, offset};
use gridmon::setup::CATALOG;
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::{EmbeddedTables, Store};
use gridmon::sources::cric::{self, Queue};
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::sandbox::{Sandbox, fixture};
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::proofs::{axe, settled, violations};

/// Of so many queues one is drained.
const DRAINED: usize = 50;

/// The rows of the queues, with 400 running jobs on average.
pub fn row((at, queue): (usize, &Queue)) -> Row {
    let text = |value: &Option<String>| value.clone().map_or(Cell::Null, Cell::Text);
    let cell = |name: &str| match name {
        "panda_queue" => Cell::Text(queue.panda_resource.clone()),
        "prod_source" => Cell::Text("managed".into()),
        "resource" => Cell::Text("MCORE".into()),
        "atlas_site" => text(&queue.atlas_site),
        "cloud" => text(&queue.cloud),
        "datadisk_name" => Cell::Text(format!("{}_DATADISK", queue.panda_resource)),
        "running_jobs" => Cell::Int(if at % DRAINED == 0 { 20 } else { 400 }),
        name if name.starts_with("avg") && name.ends_with("running_jobs") => Cell::Real(400.0),
        name if name.starts_with("avg") => Cell::Real(3.0),
        "assigned_jobs" | "activated_jobs" | "finished_jobs" | "failed_jobs" => Cell::Int(3),
        name if name.ends_with("_jobs") => Cell::Int(0),
        _ => Cell::Null,
    };
    TABLE.columns.iter().map(|column| cell(column.name)).collect()
}

/// Two slots of running jobs of each queue, the last one now.
pub fn points(queues: &[Queue]) -> Vec<Point> {
    let now = jiff::Timestamp::now().as_second() / 600 * 600;
    let mut points = Vec::new();
    for slot in [now - 600, now] {
        let text = format!("coverage,grid=heprc,measurement=jobs slots=1i,step_seconds=600i {slot}000000000");
        points.push(Point::from_line(&text).unwrap());
        for (at, queue) in queues.iter().enumerate() {
            let name = &queue.panda_resource;
            let time = slot * 1_000_000_000 + offset(name, "managed", "MCORE", "running");
            let jobs = if at % DRAINED == 0 { 20 } else { 400 };
            let tags = [
                ("job_status", "running"),
                ("panda_queue", name.as_str()),
                ("prod_source", "managed"),
                ("resource", "MCORE"),
            ];
            let tags = tags.map(|(tag, value)| (tag.into(), value));
            let fields = [
                ("jobs".into(), i64::from(jobs).into()),
                ("federation_HS06_pledge".into(), 7400.into()),
                ("sequence".into(), 1.into()),
            ];
            points.push(Point::new("jobs".into(), tags, fields, time));
        }
    }
    points.iter_mut().for_each(|point| CATALOG.declare(point));
    points
}

/// Leaves some rows of each table: axe compares each target with each other one, and all rows are made alike.
fn few(browser: &Browser) {
    browser.js(
        "for (const table of document.querySelectorAll('main table')) [...table.tBodies].forEach((body, at) => { [...body.rows].slice(20).forEach((row) => \
         row.remove()); if (at >= 10) body.remove(); })",
    );
}

#[test]
fn the_pages_of_501_queues_rank_link_and_plot_and_have_no_barrier() {
    let test = "the_pages_of_501_queues_rank_link_and_plot_and_have_no_barrier";
    let Some(browser) = Browser::open(1280, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    let queues = cric::queues(&std::fs::read(fixture("panda/pandaqueue_501.json")).unwrap()).unwrap();
    assert_eq!(queues.len(), 501);
    let path = sandbox.path("state/gridmon.db");
    let until = Instant::now() + Duration::from_secs(60);
    let rows: Vec<_> = queues.iter().enumerate().map(row).collect();
    EmbeddedTables { place: path.clone().into() }.write(&TABLE, &rows, Rest::Removed, until).unwrap();
    Store::open(&path, until).unwrap().write(Tier::Raw, &points(&queues), until).unwrap();
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let open = |page: &str| browser.go(&format!("{}pages/{page}/", monitor.url));

    // Every queue has a link to its own plot, with its number. A page has the first ones, and all of them if it is asked.
    browser.go(&format!("{}pages/panda/?rows=queues%3Aall", monitor.url));
    let links = "return [...document.querySelectorAll('main a[href^=\"?plot=panda.\"]')].map((link) => \
        [new URLSearchParams(link.getAttribute('href')).get('plot'), link.textContent.trim()])";
    let links = browser.js(links);
    let running: BTreeSet<_> = links
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|link| Some((link[0].as_str()?.strip_suffix(".managed.MCORE.running.jobs")?, link[1].as_str()?)))
        .collect();
    let drained = running.iter().filter(|(_, text)| *text == "20").count();
    assert_eq!((running.len(), drained), (501, 501_usize.div_ceil(DRAINED)), "{running:?}");

    // Above all of them stand their jobs over time, stacked by what is chosen.
    open("panda");
    let drawn = "document.querySelector('.overview img')?.naturalWidth > 0";
    browser.wait(drawn);
    assert_eq!(browser.text("document.querySelectorAll('.overview tbody tr').length"), "8");
    browser.look("panda-1280");
    few(&browser);
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.click(".choices a[href*=\"by=resource\"]");
    browser.wait(&format!("location.search.includes('by=resource') && document.readyState === 'complete' && {drawn}"));
    assert_eq!(browser.text("document.querySelector('.overview tbody th').textContent"), "MCORE");
    // One queue has what CRIC says of it, its neighbours and its plots.
    browser.click(".queues a.name[href*=\"queue%2F\"]");
    browser.wait("document.querySelector('.named img')?.naturalWidth > 0");
    let queue = browser.text("document.querySelector('.named').textContent");
    assert!(queue.contains("Neighbours at site") && queue.contains("cloud"), "{queue}");
    // Its pledge, its averages beside its numbers now, and how its score went.
    assert!(queue.contains("pledge of its federation7400 HS06"), "{queue}");
    let cells = |row: &str| {
        browser.text(&format!(
            "[...[...document.querySelectorAll('[data-key=\"queue_averages\"] tbody tr')].find((row) => \
             row.textContent.includes('{row}')).cells].slice(1).map((cell) => cell.textContent).join()"
        ))
    };
    assert_eq!(cells("failed"), "3,3,3,3,3,3,3");
    assert!(cells("running").ends_with(",400,400,400,400,400,400"), "{}", cells("running"));
    let score =
        "[...document.querySelectorAll('.named img')].filter(({ src }) => /path=queue_score\\./.test(src)).length";
    assert_eq!(browser.text(score), "1");
    browser.look("queue-1280");
    assert_eq!(violations(&browser, &axe), json!([]));

    // The drained ones come first, and lead to their plots.
    open("suspicious");
    let first = "main a[href^=\"?plot=panda.\"]";
    let path = browser
        .text(&format!("new URLSearchParams(document.querySelector('{first}').getAttribute('href')).get('plot')"));
    assert!(running.contains(&(path.strip_suffix(".managed.MCORE.running.jobs").unwrap(), "20")), "{path}");
    browser.click(first);
    settled(&browser, 1);
    let legend = browser.text("document.querySelector('#legend tbody tr').textContent");
    assert!(legend.contains("20"), "{legend}");
    assert_eq!(browser.text("new URLSearchParams(location.search).get('plot')"), path);
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.is_quiet(&monitor.url);
    for width in [1280, 390] {
        browser.size(width, 900);
        open("daod");
        few(&browser);
        assert_eq!(violations(&browser, &axe), json!([]), "{width}");
        browser.is_quiet(&monitor.url);
    }
}
