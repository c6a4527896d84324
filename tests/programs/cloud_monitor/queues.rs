//! The pages of PanDA, made of the table of queues: what is wrong comes first, with the reason in words.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gridmon::model::{Cell, Point, Rest, Row, Tier};
use gridmon::monitors::panda::{TABLE, offset};
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::{EmbeddedTables, Store};
use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::site::Site;
use serde_json::json;

/// A row of a queue that runs so many jobs, with 400 on average.
fn row(queue: &str, source: &str, site: &str, running: i64, disk: &str) -> Row {
    let cell = |name: &str| match name {
        "panda_queue" => Cell::Text(queue.into()),
        "prod_source" => Cell::Text(source.into()),
        "resource" => Cell::Text("MCORE".into()),
        "atlas_site" => Cell::Text(site.into()),
        "cloud" => Cell::Text("US".into()),
        "datadisk_name" => Cell::Text(disk.into()),
        "datadisk_files" => Cell::Int(7),
        "datadisk_occupied_gb" => Cell::Real(2.5),
        "running_jobs" => Cell::Int(running),
        name if name.starts_with("avg") && name.ends_with("running_jobs") => Cell::Real(400.0),
        name if name.starts_with("avg") => Cell::Real(3.0),
        "assigned_jobs" | "activated_jobs" | "finished_jobs" | "failed_jobs" => Cell::Int(3),
        name if name.ends_with("_jobs") => Cell::Int(0),
        _ => Cell::Null,
    };
    TABLE.columns.iter().map(|column| cell(column.name)).collect()
}

#[test]
fn suspicious_queues_and_sites_come_first_with_the_reason_in_words() {
    let sandbox = Sandbox::new("small");
    let rows = [
        row("GOOD", "managed", "SITE-A", 390, "A_DATADISK"),
        row("DRAINED", "user", "SITE-B", 20, "B_DATADISK"),
        row("LOW", "managed", "SITE-C", 290, "NONE"),
    ];
    let tables = EmbeddedTables { place: sandbox.path("state/gridmon.db").into() };
    tables.write(&TABLE, &rows, Rest::Removed, Instant::now() + Duration::from_secs(30)).unwrap();
    let site = Site::start(&sandbox);
    let page = site.get("/pages/suspicious/").text();
    // The mean of the hour before is (6·400 − 20)/5 = 476, m = 380.8, √(2·(380.8 − 20 + 20·ln(20/380.8))) = 24.57; LOW has m = 337.6.
    let reason = "20 running, 400 in 1 h";
    for text in ["DRAINED user MCORE", "SITE-B", "24.57", reason, "LOW managed MCORE", "2.66"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("GOOD") && !page.contains("SITE-A"), "{page}");
    assert!(page.find("DRAINED").unwrap() < page.find("LOW managed").unwrap());
    let ranked = site.json("/pages/suspicious/json");
    let of = |rank: &str, name: &str, reason: &str, field: &str| {
        ranked["suspicious"][0]["suspicious_queues"][rank][name][reason][field]["value"].clone()
    };
    assert_eq!(of("01", "DRAINED user MCORE", reason, "usual"), json!(0), "{ranked}");
    assert_eq!(of("02", "LOW managed MCORE", "290 running, 400 in 1 h", "usual"), json!(1), "{ranked}");

    let jobs = site.get("/pages/panda/").text();
    // All of the cloud, of the site, and of the queue.
    assert!(jobs.contains(">700<") && jobs.matches(">390<").count() == 2, "{jobs}");
    let running = "?plot=panda.GOOD.managed.MCORE.running.jobs\" aria-label=\"running, SITE-A, GOOD, managed, MCORE, US: 390\">390<";
    for text in ["US", "SITE-A", "GOOD", running, "activated"] {
        assert!(jobs.contains(text), "{text}: {jobs}");
    }
    let daod = site.json("/pages/daod/json");
    let disk = &daod["daod"][0]["daod"]["B_DATADISK"];
    assert_eq!((&disk["analysis_jobs"]["value"], &disk["files"]["value"]), (&json!(400.0), &json!(7)), "{daod}");
    assert_eq!(daod["daod"][0]["daod"]["A_DATADISK"]["analysis_jobs"]["value"], json!(0.0), "{daod}");
    assert!(daod["daod"][0]["daod"].get("NONE").is_none());
}

/// Ten queues that ran 10 and run none are each within chance, and their site is not: the hour before had (6·80 − 0)/5 = 96, m is 76.8,
/// and √(2·76.8) = 12.39.
#[test]
fn a_site_is_ranked_by_the_score_of_its_own_sums() {
    let sandbox = Sandbox::new("small");
    let averages = [("avg1h_running_jobs", 8.0), ("avg6h_running_jobs", 10.0), ("avg24h_running_jobs", 10.0)];
    let small = |name: String| {
        let mut row = row(&name, "managed", "SITE-S", 0, "NONE");
        averages.iter().for_each(|(column, average)| row[TABLE.at(column).unwrap()] = Cell::Real(*average));
        row
    };
    let mut rows: Vec<_> = (0..10).map(|at| small(format!("SMALL{at}"))).collect();
    rows.push(row("GOOD", "managed", "SITE-A", 390, "NONE"));
    let tables = EmbeddedTables { place: sandbox.path("state/gridmon.db").into() };
    tables.write(&TABLE, &rows, Rest::Removed, Instant::now() + Duration::from_secs(30)).unwrap();
    let ranked = Site::start(&sandbox).json("/pages/suspicious/json");
    let suspicious = &ranked["suspicious"][0];
    let site = &suspicious["suspicious_sites"]["01"]["SITE-S"]["0 running, 80 in 1 h"];
    let of = |field: &str| site[field]["value"].clone();
    let found = ["score", "usual", "running", "running_6h", "failed_24h"].map(of);
    assert_eq!(json!(found), json!([12.39, 0, 0.0, 100.0, 30.0]), "{suspicious}");
    // √(2·0.8·9.6) = 3.92.
    let queue = &suspicious["suspicious_queues"]["01"]["SMALL0 managed MCORE"]["0 running, 8 in 1 h"];
    assert_eq!((&queue["score"]["value"], &queue["usual"]["value"]), (&json!(3.92), &json!(1)), "{suspicious}");
    assert_eq!(suspicious["suspicious_sites"].as_object().unwrap().len(), 1, "{suspicious}");
}

/// PanDA gave no number for the running jobs of BAD: the sums of its cloud and site are of the others, and say so.
#[test]
fn a_sum_that_lacks_a_count_is_marked() {
    let sandbox = Sandbox::new("small");
    let tables = EmbeddedTables { place: sandbox.path("state/gridmon.db").into() };
    let running = TABLE.at("running_jobs").unwrap();
    // An older table lacks a column, which is no odd count of each row.
    let lacks = TABLE.at("merging_jobs").unwrap();
    let mut rows = [("GOOD", "SITE-A"), ("BAD", "SITE-A"), ("FINE", "SITE-B")]
        .map(|(queue, at)| row(queue, "managed", at, 400, "NONE"));
    rows.iter_mut().for_each(|row| row[lacks] = Cell::Null);
    let write =
        |rows: &[Row]| tables.write(&TABLE, rows, Rest::Removed, Instant::now() + Duration::from_secs(30)).unwrap();
    write(&rows);
    let site = Site::start(&sandbox);
    let shown = |site: &Site| (site.get("/pages/panda/").text(), site.json("/pages/panda/json"));
    let (html, json) = shown(&site);
    let none = [&json["panda"][0]["cloud_left_out"], &json["panda"][0]["site_left_out"]];
    assert!(!html.contains("left out") && none == [&json!({}); 2], "{json}");
    rows[1][running] = Cell::Null;
    write(&rows);
    let (html, json) = shown(&Site::start(&sandbox));
    let of = |json: &serde_json::Value, path: &[&str]| {
        path.iter().fold(json["panda"][0].clone(), |of, name| of[*name].clone())
    };
    assert_eq!(of(&json, &["cloud_jobs", "US", "running", "jobs", "value"]), json!(800), "{json}");
    assert_eq!(of(&json, &["cloud_left_out", "US", "running", "left_out", "value"]), json!(1), "{json}");
    assert_eq!(of(&json, &["site_left_out", "SITE-A", "running", "left_out", "value"]), json!(1), "{json}");
    assert_eq!(of(&json, &["site_left_out", "SITE-B"]), json!(null), "{json}");
    assert!(html.matches(">left out of the sum</th>").count() == 2 && !html.contains("?plot=cloud_left_out"), "{html}");
    // Of both the cell is red, and there is no other one.
    assert_eq!(html.matches("<td class=\"x\"><span class=\"bad\">1</span></td>").count(), 2, "{html}");
    let ranked = Site::start(&sandbox).json("/pages/suspicious/json").to_string();
    assert!(ranked.contains("as usual; 1 count left out"), "{ranked}");
}

#[test]
fn queues_that_do_as_always_are_shown_when_no_other_is_there() {
    let sandbox = Sandbox::new("small");
    let tables = EmbeddedTables { place: sandbox.path("state/gridmon.db").into() };
    let rows = [row("GOOD", "managed", "SITE-A", 390, "A_DATADISK")];
    tables.write(&TABLE, &rows, Rest::Removed, Instant::now() + Duration::from_secs(30)).unwrap();
    let page = Site::start(&sandbox).get("/pages/suspicious/").text();
    for text in ["GOOD managed MCORE", "SITE-A", "as usual"] {
        assert!(page.contains(text), "{text}: {page}");
    }
}

#[test]
fn without_a_table_the_pages_are_empty_and_the_others_work() {
    let sandbox = Sandbox::new("small");
    let site = Site::start(&sandbox);
    for path in ["/", "/pages/panda/", "/pages/suspicious/", "/pages/daod/"] {
        assert_eq!(site.get(path).status, 200, "{path}");
    }
}

/// The slots of these numbers of running jobs that a queue had, up to now.
fn slots() -> [i64; 6] {
    let now = jiff::Timestamp::now().as_second() / 600;
    [5, 4, 3, 2, 1, 0].map(|ago| (now - ago) * 600)
}

fn line(queue: &str, source: &str, status: &str, jobs: usize, slot: i64) -> String {
    let time = slot * 1_000_000_000 + offset(queue, source, "MCORE", status);
    let queue = queue.replace(' ', "\\ ");
    format!(
        "jobs,cloud=US,job_status={status},panda_queue={queue},prod_source={source},resource=MCORE jobs={jobs}i,sequence=1i {time}"
    )
}

fn write(sandbox: &Sandbox, tier: Tier, lines: &[String]) {
    let until = Instant::now() + Duration::from_secs(30);
    let declared = |line: &String| {
        let mut point = Point::from_line(line).unwrap();
        gridmon::setup::CATALOG.declare(&mut point);
        point
    };
    let points: Vec<_> = lines.iter().map(declared).collect();
    Store::open(&sandbox.path("state/gridmon.db"), until).unwrap().write(tier, &points, until).unwrap();
}

/// The plots that the links of a page ask for.
fn links(page: &str) -> BTreeSet<String> {
    let parts = page.split("<a href=\"?plot=").skip(1);
    parts.filter_map(|part| Some(part.split_once(['"', '&'])?.0.to_string())).collect()
}

#[test]
fn every_number_of_the_queues_leads_to_a_plot_or_to_nothing() {
    let sandbox = Sandbox::new("small");
    let rows = [
        row("GOOD", "managed", "SITE-A", 390, "A_DATADISK"),
        row("DRAINED", "user", "SITE B", 20, "B_DATADISK"),
        row("LOW é", "managed", "SITE-C", 290, "NONE"),
    ];
    let tables = EmbeddedTables { place: sandbox.path("state/gridmon.db").into() };
    tables.write(&TABLE, &rows, Rest::Removed, Instant::now() + Duration::from_secs(30)).unwrap();
    let slots = slots();
    let mut lines = Vec::new();
    for (at, slot) in slots.into_iter().enumerate() {
        lines.push(format!("coverage,grid=heprc,measurement=jobs slots=1i,step_seconds=600i {slot}000000000"));
        for (queue, source) in [("GOOD", "managed"), ("DRAINED", "user"), ("LOW é", "managed")] {
            for status in ["assigned", "activated", "running", "finished", "failed"] {
                // One of them is absent in every second slot, which was collected all the same.
                if queue != "GOOD" || at % 2 == 0 {
                    lines.push(line(queue, source, status, at + 1, slot));
                }
            }
        }
    }
    write(&sandbox, Tier::Raw, &lines);
    let site = Site::start(&sandbox);
    let daod = site.get("/pages/daod/").text();
    assert!(daod.contains(">2.5 GB</span>") && daod.contains("<span>7</span>"), "no size is stored: {daod}");
    let hour = slots[0] / 3600 * 3600;
    let size = |queue: &str, source: &str, disk: &str| {
        format!(
            "datadisks,datadisk_name={disk},panda_queue={queue},prod_source={source},resource=MCORE \
             datadisk_files=7i,datadisk_occupied_gb=2.5 {hour}100000000"
        )
    };
    write(&sandbox, Tier::Hour, &[size("GOOD", "managed", "A_DATADISK"), size("DRAINED", "user", "B_DATADISK")]);

    let mut found = BTreeSet::new();
    for page in ["panda", "suspicious", "daod"] {
        let html = site.get(&format!("/pages/{page}/")).text();
        for path in links(&html) {
            let history = site.json(&format!("/pages/{page}/api/v1/history?path={path}&from=-1d"));
            let values = history["series"][0]["values"].as_array().unwrap();
            assert!(values.iter().any(serde_json::Value::is_number), "{page}: {path}: {history}");
            assert_eq!(site.get(&format!("/pages/{page}/plot.svg?path={path}")).status, 200, "{path}");
            found.insert(path);
        }
    }
    for path in [
        "cloud_jobs.US.running",
        "site_jobs.SITE_B.failed",
        "panda.DRAINED.user.MCORE.running.jobs",
        "daod.B_DATADISK.analysis_jobs",
        "daod.A_DATADISK.files",
    ] {
        assert!(found.contains(path), "{path}: {found:?}");
    }
    assert!(!found.iter().any(|path| path.starts_with("suspicious")), "{found:?}");

    let values = |path: &str, more: &str| {
        let history = site.json(&format!("/api/v1/history?path={path}{more}"));
        history["series"][0]["values"].clone()
    };
    // In each second slot the sum lacks one of three.
    assert_eq!(values("cloud_jobs.US.running", "&from=-2h"), json!([3.0, 4.0, 9.0, 8.0, 15.0, 12.0]));
    assert_eq!(values("site_jobs.SITE-A.running", "&from=-2h"), json!([1.0, 0.0, 3.0, 0.0, 5.0, 0.0]));
    // A status that nobody ever had is zero wherever the jobs were collected.
    assert_eq!(values("cloud_jobs.US.merging", "&from=-2h"), json!([0.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
    assert_eq!(values("daod.A_DATADISK.files", "&from=-1d"), json!([7.0]));
    let day =
        site.json("/api/v1/history?path=cloud_jobs.US.running&path=panda.GOOD.managed.MCORE.running.jobs&from=-1mon");
    let whole = day["series"][0]["whole"].clone();
    assert_eq!((&whole["count"], &whole["mean"], &whole["last"]), (&json!(6), &json!(8.5), &json!(12.0)), "{day}");
    let export = site.get("/export?path=cloud_jobs.US.running&from=-2h&format=csv").text();
    assert!(export.starts_with("UTC,cloud_jobs.US.running (jobs; ") && export.ends_with(",12\n"), "{export}");
    let unknown = site.get("/api/v1/history?path=cloud_jobs.US.running.jobs");
    assert_eq!(unknown.status, 400);
}

#[test]
fn a_sum_of_too_many_numbers_is_refused_with_the_reason() {
    let sandbox = Sandbox::new("small");
    let rows: Vec<_> = (0..5001).map(|at| row(&format!("Q{at}"), "managed", "S", 1, "NONE")).collect();
    let tables = EmbeddedTables { place: sandbox.path("state/gridmon.db").into() };
    tables.write(&TABLE, &rows, Rest::Removed, Instant::now() + Duration::from_secs(30)).unwrap();
    let site = Site::start(&sandbox);
    let answer = site.get("/api/v1/history?path=cloud_jobs.US.running");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("cloud_jobs.US.running is the sum of 5001 numbers, of more than 5000"));
    let few: Vec<_> = rows.into_iter().take(1000).collect();
    tables.write(&TABLE, &few, Rest::Removed, Instant::now() + Duration::from_secs(30)).unwrap();
    let answer = site.get("/api/v1/history?path=cloud_jobs.US.running&points=20000&from=-1y");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("ask for fewer points or a longer step"), "{}", answer.text());
    assert_eq!(site.get("/api/v1/history?path=cloud_jobs.US.running&from=-1y").status, 200);
}
