//! cloud-monitor from end to end, without a browser: its routes over the embedded store and over real Graphite, hostile
//! questions, stores and servers in every state, many clients at once.

mod crowd;
mod folds;
mod queues;
mod trouble;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use gridmon::model::{Point, SECOND, Tier, Value};
use gridmon::query::Selector;
use gridmon::sinks::embedded::Store;
use gridmon_testkit::sandbox::site::{Site, collect, minute, numbers};
use gridmon_testkit::sandbox::{Sandbox, http};
use gridmon_testkit::wait_until;
use serde_json::Value as Json;

const LONG: Duration = Duration::from_secs(30);

/// What the store holds by Carbon path, as of the newest time: independent of the dashboard's own way to it.
fn stored(sandbox: &Sandbox) -> BTreeMap<String, (f64, i64)> {
    let store = Store::open_to_read(&sandbox.path("state/gridmon.db")).unwrap().unwrap();
    let mut newest = BTreeMap::new();
    let mut each = |point: Point| {
        let Some(measurement) = gridmon::setup::CATALOG.measurement(point.measurement()) else { return Ok(()) };
        for (field, value) in point.fields() {
            let Some(path) = measurement.carbon_path(&point, field) else { continue };
            if path.starts_with("grids.") {
                newest.insert(path, (value.as_f64(), point.time() / SECOND));
            }
        }
        Ok(())
    };
    store.points(Tier::Raw, &Selector::default(), gridmon::model::Window::ALL, &mut each, &|_| {}).unwrap();
    newest
}

#[test]
fn every_route_gives_what_the_store_holds() {
    let sandbox = Sandbox::new("small");
    let times = collect(&sandbox, 5, 1);
    let site = Site::start(&sandbox);
    for path in ["/api/v1/summary", "/json", "/json?"] {
        assert_eq!(numbers(&site.json(path)), stored(&sandbox), "{path}");
    }
    let idle = "grids.heprc.jobs.all.idle";
    let quota = "grids.heprc.clouds.cc-east.quota";
    let values = stored(&sandbox);
    let history = site.json(&format!("/api/v1/history?path={idle}&path={quota}&from=-1h"));
    assert_eq!(history["step_seconds"], 60);
    assert_eq!(history["times"], serde_json::json!(times));
    for (at, (path, unit)) in [(idle, "jobs"), (quota, "vms")].into_iter().enumerate() {
        let series = &history["series"][at];
        assert_eq!((series["path"].as_str(), series["unit"].as_str()), (Some(path), Some(unit)));
        assert_eq!(series["values"], serde_json::json!(vec![values[path].0; 5]));
    }
    // The original's names, asked as its page did.
    let original = site.json(&format!("/json?paths%5B%5D={idle}&paths[]={quota}&from=-1h&end=now"));
    assert_eq!(original, history);
    let form = format!("paths[]={idle}&paths[]={quota}&from=-1h&end=now");
    let length = form.len();
    let posted = site.ask(&format!(
        "POST /json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    ));
    assert_eq!(posted.json(), history);

    let tsv = site.get(&format!("/export?path={idle}&path={quota}&from=-1h"));
    let first = jiff::Timestamp::from_second(times[0]).unwrap().strftime("%Y-%m-%d %H:%M:%S");
    let row = format!("{first}\t{}\t{}", values[idle].0, values[quota].0);
    let head = format!("UTC\t{idle} (jobs; mean)\t{quota} (vms; last)");
    assert_eq!(tsv.text().lines().take(2).collect::<Vec<_>>(), [&head, &row]);
    let name = format!("content-disposition: attachment; filename=\"{idle}_and_1_more_2");
    assert!(tsv.head.contains(&name) && tsv.head.contains("Z.tsv\""), "{}", tsv.head);
    let csv = site.get(&format!("/export?path={idle}&path={quota}&from=-1h&format=csv"));
    assert_eq!(csv.text(), tsv.text().replace('\t', ","));
    assert_eq!(site.get(&format!("/export?path={idle}&path={quota}&from=-1h&format=json")).json(), history);
    // Folded: least, mean, most and count of whole buckets.
    let folded =
        site.get(&format!("/export?path={quota}&from={}&to={}&step=5min", times[0] - 86_400, times[0] + 86_400));
    assert!(folded.head.contains("_5min.tsv\""), "{}", folded.head);
    let mut lines = folded.text().lines().map(String::from).collect::<Vec<_>>();
    let heads = ["least", "mean", "most"].map(|fold| format!("{quota} (vms; {fold})")).join("\t");
    assert_eq!(lines.remove(0), format!("UTC\t{heads}\t{quota} (values; count)"));
    let of_step = |line: &String| line.rsplit_once('\t').and_then(|(_, count)| count.parse::<usize>().ok());
    assert_eq!(lines.iter().filter_map(of_step).sum::<usize>(), 5, "{lines:?}");
    let (same, step) = (format!("\t{0}\t{0}\t{0}\t", values[quota].0), times[0] / 300 * 300);
    assert!(lines[0].contains(&same), "{lines:?}");
    let begin = jiff::Timestamp::from_second(step).unwrap().strftime("%Y-%m-%d %H:%M:%S").to_string();
    assert!(lines[0].starts_with(&begin), "{lines:?}");
    let refused = site.get(&format!("/export?path={quota}&step=7min"));
    assert!(
        refused.status == 400 && refused.text().contains("step \\\"7min\\\" is none of 1min, 2min, 5min"),
        "{}",
        refused.text()
    );
    let svg = site.get(&format!("/plot.svg?path={idle}&from=-1h"));
    assert!(
        svg.head.contains("content-type: image/svg+xml")
            && svg.text().contains("<title>grids.heprc.jobs.all.idle</title>")
    );
    let png = site.get(&format!("/plot.png?path={idle}&from=-1h&width=640&height=200"));
    assert!(png.head.contains("content-type: image/png"), "{}", png.head);
    // Its width stands in the header of the file.
    assert!(png.body.starts_with(b"\x89PNG\r\n\x1a\n") && png.body[16..20] == 640_u32.to_be_bytes());
    assert_eq!(site.get(&format!("/plot.png?path={idle}&width=9")).status, 400);

    assert_eq!((site.get("/healthz").status, site.get("/healthz").text()), (200, "ok\n".into()));
    let metrics = site.get("/metrics").text();
    assert!(metrics.contains("cloud_monitor_requests_total{route=\"/json\",status=\"200\"} 4\n"), "{metrics}");
    assert!(
        metrics.contains("\ncloud_monitor_store_up 1\n")
            && metrics.contains("cloud_monitor_grid_age_seconds{grid=\"heprc\"} ")
    );
    // A new run is seen at once.
    collect(&sandbox, 1, 0);
    assert_eq!(numbers(&site.json("/json")), stored(&sandbox));
}

#[test]
fn nothing_is_written_to_the_store() {
    let sandbox = Sandbox::new("small");
    collect(&sandbox, 2, 1);
    let before = fs::read(sandbox.path("state/gridmon.db")).unwrap();
    let site = Site::start(&sandbox);
    for path in
        ["/", "/json", "/export?path=grids.heprc.jobs.all.idle", "/plot.svg?path=grids.heprc.jobs.all.idle", "/metrics"]
    {
        assert_eq!(site.get(path).status, 200);
    }
    drop(site);
    assert_eq!(fs::read(sandbox.path("state/gridmon.db")).unwrap(), before);
}

#[test]
fn many_clients_with_slow_readers_among_them_are_served_in_flat_memory() {
    let sandbox = Sandbox::new("small");
    collect(&sandbox, 10, 1);
    let site = Site::start(&sandbox);
    let soak = std::env::var("GRIDMON_SOAK").is_ok_and(|value| value == "1");
    let ends = Instant::now() + Duration::from_secs(if soak { 60 } else { 5 });
    let (served, slow) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..200 {
            let (site, served, slow) = (&site, &served, &slow);
            scope.spawn(move || {
                let paths = [
                    "/",
                    "/tables",
                    "/json",
                    "/plot.svg?path=grids.heprc.jobs.all.idle",
                    "/api/v1/history?path=grids.heprc.jobs.all.held",
                ];
                let mut at = client;
                while Instant::now() < ends {
                    let path = paths[at % paths.len()];
                    at += 1;
                    if client % 10 == 0 {
                        // Reads a few bytes at a time, and goes away in the middle.
                        let mut stream = TcpStream::connect(("127.0.0.1", site.0.port())).unwrap();
                        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
                        for _ in 0..10 {
                            assert!(stream.read(&mut [0; 20]).unwrap() > 0);
                            thread::sleep(Duration::from_millis(20));
                        }
                        slow.fetch_add(1, Ordering::Relaxed);
                    } else {
                        let answer = site.get(path);
                        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (served, slow, peak) = (served.into_inner(), slow.into_inner(), site.peak_mb());
    println!("200 clients: {served} answers, {slow} slow readers, {peak:.1} MB at the peak");
    assert!(served > 200 && slow > 20);
    assert!(peak < 48.0, "{peak} MB");
}

#[test]
fn wrong_flags_and_places_are_told() {
    let sandbox = Sandbox::new("small");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cloud-monitor"))
            .args(arguments)
            .current_dir(sandbox.path(""))
            .env_clear()
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["--listen", "everywhere"]).0, Some(2));
    assert_eq!(run(&["--config", "nowhere.cfg"]).0, Some(2));
    sandbox.config("[dashboard]\nread = graphite");
    assert_eq!(
        run(&[]),
        (Some(2), "cloud-monitor: [dashboard] read = graphite, but [graphite] url is not set\n".into())
    );
    sandbox.config("[dashboard]\nlisten = localhost");
    let (code, words) = run(&[]);
    assert!(code == Some(2) && words.contains("[dashboard] listen: \"localhost\" is not an ADDRESS:PORT"), "{words}");
    sandbox.config("");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, words) = run(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(
        code == Some(1) && words.contains("cannot listen on 127.0.0.1:") && words.contains("Address already in use"),
        "{words}"
    );
}

#[test]
fn what_no_page_declares_has_a_page_of_its_own() {
    let sandbox = Sandbox::new("small");
    let times = collect(&sandbox, 5, 1);
    let site = Site::start(&sandbox);
    // Each run but the last is told of by the next one.
    let runs = site.json("/pages/run/api/v1/summary");
    assert_eq!((runs["run"][0]["name"].as_str(), runs["run"][0]["time"].as_i64()), (Some("heprc"), Some(times[3])));
    let (path, (success, _)) = numbers(&runs).into_iter().find(|(path, _)| path.ends_with(".success")).unwrap();
    assert!(path.starts_with("run.heprc.") && success == 1.0, "{path} {success}");
    let page = site.get("/pages/run/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&format!("<a href=\"?plot={path}\" aria-label=\"success, ")), "{}", page.text());
    let tables = site.get("/pages/run/tables").text();
    assert!(page.text().contains(tables.split_once("</nav>\n").unwrap().1));
    // What the page asks for is found from where it is.
    assert!(page.text().contains("src=\"static/app.js?v="));
    assert_eq!(site.get("/pages/run/static/app.js").body, site.get("/static/app.js").body);
    let history = site.json(&format!("/pages/run/api/v1/history?path={path}&from=-1h"));
    assert_eq!(history["times"], serde_json::json!(times[..4]));
    assert_eq!(site.json("/pages/coverage/json")["coverage"][0]["coverage"]["grid_vms"]["slots"]["value"], 1);
    assert_eq!(numbers(&site.json("/pages/grids/json")), stored(&sandbox));
    assert!(site.get("/").text().contains("<a href=\"pages/backups/\">"), "the systems are linked");

    let moved = site.get("/pages/run");
    assert!(moved.status == 308 && moved.head.contains("\r\nlocation: run/\r\n"), "{moved:?}");
    for path in ["/pages/nonsense", "/pages/nonsense/", "/pages/%0d%0ax/tables", "/pages/nonsense/json"] {
        let answer = site.get(path);
        assert_eq!(answer.status, 404, "{path}");
        let text = answer.text();
        assert!(
            text.contains("; there are grids, panda, suspicious, daod, nodes, node, slurm, backups, instances, "),
            "{text}"
        );
        assert!(text.contains(", coverage, scope_coverage, run, "), "{text}");
    }
    let metrics = site.get("/metrics").text();
    assert!(metrics.contains("requests_total{route=\"/static\",status=\"200\"} 2\n"), "{metrics}");
}
