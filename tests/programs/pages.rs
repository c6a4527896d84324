//! What the dashboard and `gridmon-status grid` make of known numbers at a known time, to the byte: HTML, JSON and text.
//! `UPDATE_EXPECT=1` rewrites the golden files in tests/fixtures/pages.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::{fs, thread};

use anyhow::{Result, bail};
use gridmon::dashboard::config::Source as From;
use gridmon::dashboard::{Config, Dashboard, serve};
use gridmon::events::Rules;
use gridmon::model::{Declaration, Field, FieldInfo, Fold, Measurement, Point, SECOND, Tag};
use gridmon::monitors::grid::page::GRIDS;
use gridmon::monitors::instances::page::INSTANCES_PAGE;
use gridmon::query::{self, Ahead, Detail, Latest, Newest, Values, Wanted};
use gridmon::view::page::{self, Page, Table};
use gridmon::view::{table, text};

mod federate;
mod finding;
mod folding;
mod nodes;
mod systems;
mod troubles;

/// The slot of the recorded inputs: 2024-06-01 12:30:00 UTC.
const NOW: i64 = 1_717_245_000;

/// A measurement that no page declares.
static QUEUE: Measurement = Measurement::new(Declaration {
    name: "made_up_queue",
    meaning: "a queue of a made-up batch system",
    tags: &[Tag::key("cluster"), Tag::key("queue"), Tag::key("kind"), Tag::label("state")],
    fields: &[
        int("jobs", "jobs", "how many wait <now>"),
        float("wait_seconds", "seconds", "how long the oldest has waited"),
        int("used", "cpus", "cores at work"),
    ],
    carbon: "made_up.{cluster}.{queue}.{kind}.{field}",
    every: 60,
});

/// A farm of made-up hosts, looked at every five minutes.
static HOST: Measurement = Measurement::new(Declaration {
    name: "made_up_host",
    meaning: "a made-up host",
    tags: &[Tag::key("host")],
    fields: &[
        int("alive", "0 or 1", "whether it answered"),
        int("open", "0 or 1", "whether it takes jobs"),
        float("load", "threads", "its load"),
    ],
    carbon: "farm.{host}.{field}",
    every: 60,
});

static HOST_JOBS: Measurement = Measurement::new(Declaration {
    name: "made_up_host_jobs",
    meaning: "its jobs",
    tags: &[Tag::key("host"), Tag::key("state")],
    fields: &[int("jobs", "jobs", "by state")],
    carbon: "farm.{host}.jobs.{state}",
    every: 60,
});

static FARM: Page = Page {
    name: "farm",
    title: "The farm",
    part_of: "",
    overview: None,
    own: &[],
    own_tables: &[],
    near: None,
    section: None,
    program: "collect-made-up",
    every: 300,
    tables: &[Table::new(
        "hosts",
        "Hosts",
        &[
            page::key("host"),
            page::health(&HOST, "alive"),
            page::switch(&HOST, "open"),
            page::field(&HOST, "load"),
            page::pivot(&HOST_JOBS, "state", &["running"], Some("total")).group("jobs").alarm(&["held"]),
        ],
    )
    .noun("host")
    .sums()],
    text: &[],
    json: &[page::place(&HOST, "hosts.{host}.facts.{field}")],
    plots: &[],
};

const fn int(name: &'static str, unit: &'static str, meaning: &'static str) -> FieldInfo {
    Field::<i64>::gauge(name, unit, Fold::Mean, meaning).info()
}

const fn float(name: &'static str, unit: &'static str, meaning: &'static str) -> FieldInfo {
    Field::<f64>::gauge(name, unit, Fold::Mean, meaning).info()
}

/// What the store holds, and the clock.
#[derive(Default)]
struct World {
    lines: Mutex<String>,
    problem: Mutex<Option<&'static str>>,
    /// Whether it gives values of the past: the newest of each series, an hour before too.
    has_past: AtomicBool,
    version: AtomicU64,
    now: AtomicI64,
}

struct Made(Arc<World>);

/// The newest value of each series of the lines, as a store would give it.
fn latest(lines: &str) -> Vec<Latest> {
    let mut newest = BTreeMap::new();
    for point in lines.lines().map(|line| Point::from_line(line).unwrap()) {
        let fields = [&QUEUE, &HOST, &HOST_JOBS]
            .into_iter()
            .chain(gridmon::setup::CATALOG.measurements())
            .find(|one| one.name == point.measurement());
        let fields = fields.map_or(&[][..], |measurement| measurement.fields);
        for (name, value) in point.fields() {
            let Some(field) = fields.iter().find(|field| field.name == name) else { continue };
            let every = if point.measurement().starts_with("made_up_host") { 300 } else { 60 };
            let series = Point::of_series_with(point.series(), &point.labels_text()).unwrap();
            let key = (point.series().to_string(), name.to_string());
            match newest.get(&key) {
                Some(Latest { time, .. }) if *time > point.time() => {}
                _ => {
                    let (series, time) = (series.into(), point.time());
                    newest.insert(key, Latest { series, field, time, value, every });
                }
            }
        }
    }
    newest.into_values().collect()
}

impl query::Read for Made {
    fn describe(&self) -> String {
        "the store <made up>".into()
    }

    fn version(&self) -> u64 {
        self.0.version.load(Ordering::Relaxed)
    }

    fn latest(&self, measurements: &[&'static Measurement], _now: i64) -> Result<Newest> {
        if let Some(problem) = *self.0.problem.lock().unwrap() {
            bail!("{problem}");
        }
        let mut latest = latest(&self.0.lines.lock().unwrap());
        latest.retain(|one| measurements.iter().any(|measurement| measurement.name == one.series.measurement()));
        Ok(Newest { values: latest, ahead: Ahead::default() })
    }

    fn range(&self, wanted: &[Wanted], _: i64, _: i64, _: Detail) -> Result<Vec<Values>> {
        assert!(self.0.has_past.load(Ordering::Relaxed), "an index of \"a secret\" is out of range");
        let newest = latest(&self.0.lines.lock().unwrap());
        let of = |one: &Wanted| {
            let is_it = |known: &&Latest| {
                let measurement = one.number.measurement;
                known.series.measurement() == measurement.name
                    && measurement.carbon_path(&known.series, known.field.name).as_deref() == Some(&*one.path)
            };
            let known = newest.iter().find(is_it).map(|known| (known.time / SECOND, known.value.as_f64()));
            let values = known.map_or(Vec::new(), |(time, value)| vec![(time - 3600, value), (time, value)]);
            let (path, field) = (one.path.clone(), one.number.field);
            Values { path, field, step: 60, values, parts: Vec::new(), newest: None }
        };
        Ok(wanted.iter().map(of).collect())
    }
}

/// A dashboard over a made-up store.
struct Site {
    world: Arc<World>,
    port: u16,
}

impl Site {
    fn start() -> Self {
        Self::with(&[&GRIDS, &FARM])
    }

    fn with(pages: &[&'static Page]) -> Self {
        Self::with_rules(pages, Rules::default())
    }

    fn with_rules(pages: &[&'static Page], rules: Rules) -> Self {
        let world = Arc::new(World::default());
        let clock = world.clone();
        let config = Config {
            listen: String::new(),
            hosts: vec![],
            title: "Cloud <Monitor>".into(),
            refresh_seconds: 60,
            read: From::Embedded,
        };
        let now = Box::new(move || clock.now.load(Ordering::Relaxed));
        let pages = Page::all(pages, gridmon::setup::CATALOG.measurements().chain([&QUEUE]));
        let dashboard =
            Dashboard::with_rules(config, pages, rules, Box::new(Made(world.clone())), gridmon::setup::CATALOG, now);
        let (sender, port) = mpsc::channel();
        // It serves until the test ends.
        thread::spawn(move || {
            serve(&dashboard, "127.0.0.1:0", |address| sender.send(address.port()).unwrap()).unwrap();
        });
        Self { world, port: port.recv().unwrap() }
    }

    fn holds(&self, lines: &str, now: i64) {
        *self.world.lines.lock().unwrap() = lines.into();
        self.world.now.store(now, Ordering::Relaxed);
        self.world.version.fetch_add(1, Ordering::Relaxed);
    }

    /// The body of a path; the versions of the page's files, which are no matter of these tests, are left out.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {answer}");
        let mut parts = body.split("?v=");
        let mut text = parts.next().unwrap().to_string();
        for part in parts {
            let _ = write!(text, "?v={}", &part[8..]);
        }
        text
    }

    /// The first page at a query; its tables alone are the same.
    fn page(&self, query: &str) -> String {
        let page = self.get(&format!("/{query}"));
        let tables = self.get(&format!("/tables{query}"));
        // The links to the systems stand in the bar.
        let (systems, body) = tables.split_at(tables.find("</nav>\n").unwrap() + "</nav>\n".len());
        assert!(
            page.contains(&format!("</h1>\n{systems}")) && page.contains(&format!("<main>\n{body}</main>")),
            "{query}"
        );
        assert_eq!(self.get(&format!("/pages/grids/tables{query}")).replace("../../", ""), tables);
        page
    }
}

fn text(page: &Page, lines: &str, now: i64, all: bool) -> String {
    let sections = table::sections(page, latest(lines));
    let texts: Vec<_> = sections.iter().map(|one| text::section(page, one, now, all)).collect();
    texts.join("\n\n")
}

fn check(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(&path, got).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differs = got.lines().zip(expected.lines()).position(|(got, expected)| got != expected);
    if let Some(at) = differs {
        panic!("{name}:{}: {}\nand not {}", at + 1, got.lines().nth(at).unwrap(), expected.lines().nth(at).unwrap());
    }
    assert!(got == expected, "{name}: {} bytes and not {}", got.len(), expected.len());
}

fn small() -> &'static str {
    include_str!("../fixtures/cloud_monitor/small/expected.influx")
}

/// A quarter of an hour after the recorded run: a schedd is down, so its jobs and the totals are old, a cloud and a state
/// are gone, one type of jobs has been silent for over an hour, and another grid has begun.
fn half_silent() -> String {
    let later = (NOW + 900) * SECOND;
    format!(
        "{}grid_heartbeat,grid=heprc,service=cloud_monitor alive=1i {later}
grid_heartbeat,grid=heprc,service=condor alive=1i {later}
grid_schedd,grid=heprc,schedd=ce01.example.org heartbeat=0i {later}
grid_vms,cloud=cc-east,grid=heprc,status=running,vmtype=atlas-worker vms=3i {later}
grid_vms,cloud=cc-east,grid=heprc,status=dreaming,vmtype=atlas-worker vms=1i {later}
grid_jobs,grid=heprc,status=idle,type=old jobs=7i {}
grid_jobs,grid=a\\ b,status=idle,type=all jobs=1i {later}
grid_heartbeat,grid=a\\ b,service=<&\"'> alive=0i {later}
nonsense,grid=heprc x=1i {later}
",
        small(),
        later - 4000 * SECOND
    )
}

#[test]
fn pages_json_and_text_are_the_golden_ones() {
    let site = Site::start();
    let half_silent = half_silent();
    let hard = include_str!("../fixtures/cloud_monitor/hard/expected.influx");
    for (name, lines, now) in
        [("small", small(), NOW + 25), ("hard", hard, NOW + 40), ("half", &half_silent, NOW + 960)]
    {
        site.holds(lines, now);
        check(&format!("pages/{name}.html"), &site.page(""));
        check(&format!("pages/{name}.json"), &site.get("/api/v1/summary"));
        check(&format!("pages/{name}.txt"), &text(&GRIDS, lines, now, false));
    }
    check("pages/half_all.txt", &text(&GRIDS, &half_silent, NOW + 960, true));
    check("pages/half_all.html", &site.page("?all=1"));
    check("pages/half_hidden.html", &site.page("?hide=heprc&from=-1h"));
    check(
        "pages/half_plot.html",
        &site.page("?plot=grids.heprc.jobs.all.idle&plot=grids.heprc.clouds.cc-east.vms.atlas-worker.running&to=now"),
    );
    check("pages/half_dark.html", &site.page("?density=compact&theme=dark"));
    check("pages/metrics.txt", &ages(&site.get("/metrics")));
    *site.world.problem.lock().unwrap() = Some("it <burns>");
    site.holds(&half_silent, NOW + 2000);
    check("pages/half_problem.html", &site.page(""));
    *site.world.problem.lock().unwrap() = None;
}

#[test]
fn gridmon_status_tells_the_grids_as_ever() {
    check("status/grid.txt", &text(&GRIDS, small(), NOW + 25, false));
    let later =
        half_silent().lines().filter(|line| !line.contains("<&")).fold(String::new(), |all, line| all + line + "\n");
    check("status/grid_later.txt", &text(&GRIDS, &later, NOW + 960, false));
    check("status/grid_later_all.txt", &text(&GRIDS, &later, NOW + 960, true));
    assert!(table::sections(&GRIDS, Vec::new()).is_empty());
}

#[test]
fn a_measurement_without_a_page_gets_one() {
    let site = Site::start();
    let time = NOW * SECOND;
    let lines = format!(
        "made_up_queue,cluster=north,queue=long,kind=gpu,state=online jobs=5i,wait_seconds=61.5,used=0i {time}
made_up_queue,cluster=north,queue=long,kind=cpu,state=online jobs=2i,used=64i {}
made_up_queue,cluster=north,queue=short,kind=cpu jobs=0i {time}
made_up_queue,cluster=north,queue=old,kind=cpu jobs=1i {}
made_up_queue,cluster=<south>,queue=a\\ b,kind=cpu jobs=1i {time}
",
        time - 120 * SECOND,
        time - 4000 * SECOND,
    );
    site.holds(&lines, NOW + 30);
    let html = site.get("/pages/made_up_queue/tables?density=compact");
    check("pages/default.html", &html);
    assert!(site.get("/pages/made_up_queue/").contains("<table><caption>a queue of a made-up batch system<"));
    // Every number is a link to its plot, under the path that Carbon would have it by.
    for link in ["long.gpu.jobs", "long.gpu.wait_seconds", "long.cpu.used", "short.cpu.jobs"] {
        let link = format!("<a href=\"?plot=made_up.north.{link}&amp;density=compact\"");
        assert_eq!(html.matches(&link).count(), 1, "{link}");
    }
    check("pages/default.json", &site.get("/pages/made_up_queue/api/v1/summary"));
    check("pages/default.txt", &text(&Page::of(&QUEUE), &lines, NOW + 30, false));
    // No page shows what another one is about.
    check("pages/empty.json", &site.get("/api/v1/summary").replace(&(NOW + 30).to_string(), &NOW.to_string()));
    assert!(site.get("/pages/coverage/").contains("There is nothing of coverage in the store &lt;made up&gt;."));
}

/// The labels of instances stand in their table; its talkers and sums are as without them.
#[test]
fn the_labels_of_instances_are_shown_found_and_sorted_by() {
    let time = NOW * SECOND;
    let instance = |name: &str, flavor: &str, cores: f64| {
        format!(
            "instance,grid=g,host=h1,instance={name},name=i-{name},project=p<{name}>,flavor={flavor} state=1i,cpu_cores={cores} {time}\n"
        )
    };
    let host = format!("instance_host,grid=g,host=h1 heartbeat=1i,instances=2i,running=2i,unanswered=0i {time}\n");
    let lines = [host, instance("a", "m1.tiny", 0.5), instance("b", "c8.large", 7.5)].concat();
    let shown = text(&INSTANCES_PAGE, &lines, NOW + 30, false);
    let row = |name: &str| {
        let line = shown.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{shown}"));
        line.split_whitespace().take(4).map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(
        (row("a "), row("b ")),
        (
            ["a", "i-a", "p<a>", "m1.tiny"].map(String::from).to_vec(),
            ["b", "i-b", "p<b>", "c8.large"].map(String::from).to_vec(),
        )
    );
    let site = Site::with(&[&INSTANCES_PAGE]);
    site.holds(&lines, NOW + 30);
    let tables = |query: &str| site.get(&format!("/pages/instances/tables{query}"));
    let html = tables("");
    for cell in ["<td class=\"name x\">p&lt;a&gt;</td>", "<td class=\"name x\">c8.large</td>", "CPU <b>b</b>"] {
        assert!(html.contains(cell), "{cell}: {html}");
    }
    let order = |html: &str| html.find("data-key=\"a\"").unwrap() < html.find("data-key=\"b\"").unwrap();
    assert!(order(&html) && !order(&tables("?sort=instances:flavor")) && order(&tables("?sort=-instances:flavor")));
    let found = tables("?find=c8");
    assert!(found.contains("data-key=\"b\"") && !found.contains("data-key=\"a\""), "{found}");
}

#[test]
fn what_is_late_stale_and_gone_goes_by_the_interval_of_the_page() {
    let site = Site::start();
    let hosts = [("a", 0, 1, 1), ("b", 299, 0, 1), ("c", 300, 1, 0), ("d", 3600, 1, 1)];
    let lines = hosts.into_iter().fold(String::new(), |lines, (host, back, alive, open)| {
        let time = (NOW - back) * SECOND;
        format!(
            "{lines}made_up_host,host={host} alive={alive}i,open={open}i,load=0.5 {time}
made_up_host_jobs,host={host},state=total jobs=5i {time}
made_up_host_jobs,host={host},state=held jobs={}i {time}
made_up_host_jobs,host={host},state=gone jobs=0i {time}
",
            back / 100
        )
    });
    site.holds(&lines, NOW + 900);
    let fresh = site.get("/pages/farm/tables");
    check("pages/farm.html", &fresh);
    check("pages/farm.json", &site.get("/pages/farm/json"));
    check("pages/farm.txt", &text(&FARM, &lines, NOW + 900, false));
    assert!(!fresh.contains("all numbers are old"));
    site.holds(&lines, NOW + 901);
    assert!(site.get("/pages/farm/tables").contains("all numbers are old"));
    site.holds("", NOW);
    let empty = site.get("/pages/farm/");
    assert!(empty.contains("<pre>collect-made-up --verbose</pre><p>Then let cron run it every 5 min;"), "{empty}");
}

#[test]
#[should_panic(expected = "a field that its measurement does not declare")]
fn a_column_of_no_field_fails_the_build_where_it_is_declared() {
    page::field(&HOST, "aliv");
}

/// The lines about the grids.
fn ages(metrics: &str) -> String {
    metrics.lines().filter(|line| line.contains("_age_")).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_empty_store_is_told() {
    let site = Site::start();
    site.holds("", NOW);
    check("pages/empty.html", &site.page(""));
    check("pages/empty.json", &site.get("/api/v1/summary"));
}

#[test]
fn a_bug_costs_the_request_that_meets_it_and_no_other() {
    let site = Site::start();
    site.holds("", NOW);
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    // More often than there are turns.
    for points in 100..110 {
        let answer = ask(&format!("/json?path=grids.heprc.jobs.all.idle&points={points}"));
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains("met a bug of this program: an index of") && !answer.contains("secret"), "{answer}");
    }
    assert!(ask("/").starts_with("HTTP/1.1 200 "));
}
