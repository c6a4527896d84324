//! The pages of PanDA, made of the table of queues: what is wrong comes first, with the reason in words.

use std::time::{Duration, Instant};

use gridmon::model::{Cell, Rest, Row};
use gridmon::monitors::panda::TABLE;
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::EmbeddedTables;
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
        name if name.ends_with("_jobs") => Cell::Int(3),
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
    // (0.8·400 − 20)/√320 = 16.77, and of LOW (320 − 290)/√320 = 1.68.
    let reason = "20 running, 400 in 1 h";
    for text in ["DRAINED user MCORE", "SITE-B", "16.77", reason, "LOW managed MCORE", "1.68"] {
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
    for text in ["US", "SITE-A", "GOOD", "?plot=panda.GOOD.managed.MCORE.running.jobs\">390<", "activated"] {
        assert!(jobs.contains(text), "{text}: {jobs}");
    }
    let daod = site.json("/pages/daod/json");
    let disk = &daod["daod"][0]["daod"]["B_DATADISK"];
    assert_eq!((&disk["analysis_jobs"]["value"], &disk["files"]["value"]), (&json!(400.0), &json!(7)), "{daod}");
    assert_eq!(daod["daod"][0]["daod"]["A_DATADISK"]["analysis_jobs"]["value"], json!(0.0), "{daod}");
    assert!(daod["daod"][0]["daod"].get("NONE").is_none());
}

#[test]
fn without_a_table_the_pages_are_empty_and_the_others_work() {
    let sandbox = Sandbox::new("small");
    let site = Site::start(&sandbox);
    for path in ["/", "/pages/panda/", "/pages/suspicious/", "/pages/daod/"] {
        assert_eq!(site.get(path).status, 200, "{path}");
    }
}
