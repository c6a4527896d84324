//! The dashboard's answers at a fixed clock.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use gridmon::dashboard::Dashboard;
use gridmon::events::Rules;
use gridmon::setup::{self, CATALOG, Config};
use tokio::runtime::{Builder, Runtime};

use super::cells::cells;
use super::{golden, status, told};
use gridmon_testkit::sandbox::{NOW, Sandbox, fixture};

/// The recorded points of `small` or `hard`, one line each.
fn recorded(case: &str) -> String {
    fs::read_to_string(fixture(&format!("cloud_monitor/{case}/expected.influx"))).unwrap()
}

/// A quarter of an hour after the recorded points, in seconds: a schedd is down, so its jobs and the totals are old, a state
/// has gone and one has come, what nobody wrote for an hour is silent, and there is another grid with odd names.
const LATER: i64 = 900;

/// The recorded points of `small`, and those of [`LATER`].
fn two_grids() -> String {
    let later = (NOW + LATER) * 1_000_000_000;
    let mut lines = recorded("small");
    for point in [
        "grid_heartbeat,grid=heprc,service=cloud_monitor alive=1i",
        "grid_heartbeat,grid=heprc,service=condor alive=1i",
        "grid_heartbeat,grid=heprc,service=cloud_scheduler alive=0i",
        "grid_schedd,grid=heprc,schedd=ce01.example.org heartbeat=0i",
        "grid_vms,cloud=cc-east,grid=heprc,status=running,vmtype=atlas-worker vms=3i",
        "grid_vms,cloud=cc-east,grid=heprc,status=dreaming,vmtype=atlas-worker vms=1i",
        "grid_vms,cloud=cc-east,grid=heprc,status=error,vmtype=atlas-worker vms=2i",
        "grid_jobs,grid=a\\ b,status=idle,type=all jobs=1i",
        "grid_jobs,grid=a\\ b,status=held,type=all jobs=4i",
        "grid_pool,grid=a\\ b,pool=<i>&\"'|c heartbeat=1i,slots=12i,updates_lost_ratio=0.125",
        "nonsense,grid=heprc x=1i",
    ] {
        lines.push_str(&format!("{point} {later}\n"));
    }
    lines.push_str(&format!("grid_jobs,grid=heprc,status=idle,type=old jobs=7i {}\n", later - 4000 * 1_000_000_000));
    lines
}

/// A sandbox with a store of its own that holds these lines.
pub(super) fn with_store(lines: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    sandbox.write("in.influx", lines);
    let imported = status(&sandbox, &["store", "import", "--tier", "raw", "in.influx"]);
    assert_eq!((imported.code, imported.stderr.as_str()), (Some(0), ""));
    sandbox
}

/// The dashboard over a sandbox's store, with its own clock.
pub(super) struct Site<'a> {
    sandbox: &'a Sandbox,
    port: u16,
    runtime: Option<Runtime>,
}

impl<'a> Site<'a> {
    /// A page as it is without rules.
    fn at(sandbox: &'a Sandbox, now: i64) -> Self {
        Self::with_rules(sandbox, now, Rules::default())
    }

    pub(super) fn with_rules(sandbox: &'a Sandbox, now: i64, rules: Rules) -> Self {
        let config = Config::load(Some(&sandbox.path("config.cfg"))).unwrap();
        let (pages, reader) = (setup::pages(), setup::reader(&config).unwrap());
        let dashboard = config.dashboard.clone();
        let routes = Dashboard::with_rules(dashboard, pages, rules, reader, CATALOG, Box::new(move || now)).routes();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, routes).await
        });
        Self { sandbox, port, runtime: Some(runtime) }
    }

    /// Status line and headers, sorted, and the body, with the sandbox's folder masked.
    pub(super) fn ask(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let (first, headers) = head.split_once("\r\n").unwrap();
        let passing =
            |header: &&str| !["date: ", "content-length: ", "etag: "].iter().any(|name| header.starts_with(name));
        let mut headers: Vec<_> = headers.lines().filter(passing).collect();
        headers.sort_unstable();
        let folder = self.sandbox.path("");
        let body = body.replace(folder.to_str().unwrap().trim_end_matches('/'), "/SANDBOX");
        (format!("{first}\n{}\n", headers.join("\n")), body)
    }

    pub(super) fn body(&self, path: &str) -> String {
        let (head, body) = self.ask(path);
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}{body}");
        body
    }

    /// Holds page, tables and their cells with these options to the golden files of this name.
    fn shows(&self, name: &str, options: &str) {
        let (page, tables) = (self.body(&format!("/{options}")), self.body(&format!("/tables{options}")));
        golden(&format!("page/{name}.tables.html"), &tables);
        golden(&format!("page/{name}.cells"), cells(&tables));
        let page = unversioned(&page);
        // The links to the systems stand in the bar.
        let (systems, body) = tables.split_at(tables.find("</nav>\n").unwrap() + "</nav>\n".len());
        assert_eq!(page.matches(&format!("</h1>\n{systems}")).count(), 1, "the bar holds the systems");
        assert_eq!(page.matches(&format!("<main>\n{body}</main>")).count(), 1, "the page holds the tables");
        golden(&format!("page/{name}.html"), page.replace(body, "(the tables)\n").replace(systems, "(the systems)\n"));
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// A page without the versions of scripts and styles, which may change.
pub(super) fn unversioned(page: &str) -> String {
    let mut parts = page.split("?v=");
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        text.push_str("?v=VERSION");
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    text
}

/// A number of the recorded grid.
const PLOT: &str = "plot=grids.heprc.jobs.all.idle&plot=grids.heprc.clouds.cc-east.vms.atlas-worker.running";

#[test]
fn the_page_with_every_option() {
    let sandbox = with_store(&two_grids());
    let now = NOW + LATER + 60;
    let site = Site::at(&sandbox, now);
    site.shows("default", "");
    site.shows("all", "?all=1");
    site.shows("hidden", "?hide=heprc");
    site.shows("plot", &format!("?{PLOT}&from=-1h&to=now"));
    site.shows("wrong_range", &format!("?{PLOT}&from=-6parsecs&theme=light"));
    site.shows("compact", "?density=compact");
    site.shows("dark", "?theme=dark");
    site.shows("everything", &format!("?{PLOT}&from=yesterday&to=today&all=1&hide=a+b&density=compact&theme=dark"));
    Site::at(&sandbox, now + 2 * 3600).shows("stale", "");
    for (name, arguments) in [("default", &["grid"][..]), ("all", &["grid", "--all"])] {
        let now = now.to_string();
        let told = told(&sandbox, &status(&sandbox, &[arguments, &["--now", &now]].concat()));
        golden(&format!("grid/{name}.txt"), told);
    }
}

#[test]
fn the_page_of_recorded_grids_of_an_empty_and_of_a_broken_store() {
    for case in ["small", "hard"] {
        let sandbox = with_store(&recorded(case));
        Site::at(&sandbox, NOW + 25).shows(case, "");
        golden(
            &format!("grid/{case}.txt"),
            told(&sandbox, &status(&sandbox, &["grid", "--now", &(NOW + 25).to_string()])),
        );
    }
    let sandbox = Sandbox::new("small");
    Site::at(&sandbox, NOW).shows("empty", "");
    fs::write(sandbox.path("state/gridmon.db"), "this is no SQLite file, whatever its name says\n".repeat(100))
        .unwrap();
    Site::at(&sandbox, NOW).shows("broken", "");
}

#[test]
fn the_data() {
    // Three values of each number; the last ones are of two grids.
    let minute = |lines: &str, minutes: i64| {
        lines.replace(&format!(" {NOW}000000000\n"), &format!(" {}000000000\n", NOW + 60 * minutes))
    };
    let sandbox = with_store(&(minute(&recorded("small"), -2) + &minute(&recorded("small"), -1) + &two_grids()));
    let site = Site::at(&sandbox, NOW + LATER + 60);
    golden("data/summary.json", site.body("/json"));
    golden("data/summary.json", site.body("/api/v1/summary"));
    let history = format!("{}&from=-1h", PLOT.replace("plot=", "path="));
    golden("data/history.json", site.body(&format!("/api/v1/history?{history}")));
    golden("data/history.json", site.body(&format!("/json?{}", history.replace("path=", "paths[]="))));
    for format in ["tsv", "csv", "json", "svg"] {
        golden(&format!("data/export.{format}"), site.body(&format!("/export?{history}&format={format}")));
    }
    golden("data/plot.svg", site.body(&format!("/plot.svg?{history}&width=640&height=240&theme=dark")));
    // The times of day that the options of a range mean.
    let mut ranges = String::new();
    for range in [
        "from=-5min",
        "from=yesterday&to=today",
        "from=thisweek-1w&to=thisweek",
        "from=12:00_20240601&to=20240602",
        "from=1717200000&until=1717300000&points=20",
    ] {
        let json = site.body(&format!("/api/v1/history?path=grids.heprc.jobs.all.idle&{range}"));
        ranges.push_str(&format!("{range}\n{json}\n"));
    }
    golden("data/ranges.txt", ranges);
}

#[test]
fn the_heads_of_all_answers_and_the_names_of_all_metrics() {
    let sandbox = with_store(&two_grids());
    let site = Site::at(&sandbox, NOW + LATER + 60);
    let mut heads = String::new();
    for (path, with_body) in [
        ("/", false),
        ("/tables", false),
        ("/json", false),
        ("/api/v1/summary", false),
        ("/api/v1/history?path=grids.heprc.jobs.all.idle", false),
        ("/api/v1/history", true),
        ("/api/v1/history?path=grids.*.jobs.all.idle", true),
        ("/export?path=grids.heprc.jobs.all.idle", false),
        ("/export?path=grids.heprc.jobs.all.idle&format=csv", false),
        ("/export?path=grids.heprc.jobs.all.idle&format=json", false),
        ("/export?path=grids.heprc.jobs.all.idle&format=svg", false),
        ("/export?path=grids.heprc.jobs.all.idle&format=exe", true),
        ("/plot.svg?path=grids.heprc.jobs.all.idle", false),
        ("/healthz", true),
        ("/static/app.js", false),
        ("/static/style.css", false),
        ("/static/LICENSE.txt", false),
        ("/static/nothing", true),
        ("/nothing", true),
    ] {
        let (head, body) = site.ask(path);
        heads.push_str(&format!("# {path}\n{head}{}\n", if with_body { format!("\n{body}\n") } else { String::new() }));
    }
    golden("data/heads.txt", heads);
    let (head, metrics) = site.ask("/metrics");
    let mut names = head;
    for line in metrics.lines() {
        let seconds = line.starts_with("cloud_monitor_request_seconds_total");
        names.push_str(if seconds { line.rsplit_once(' ').unwrap().0 } else { line });
        names.push('\n');
    }
    golden("data/metrics.txt", names);
}
