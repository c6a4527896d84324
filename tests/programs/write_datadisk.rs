//! write-datadisk from end to end, with the table in the embedded store: QMonit's golden points, and what is missing when
//! something does not answer.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use gridmon::model::{Cell, ColumnKind, Point, Rest, Row, Tier, Window};
use gridmon::monitors::panda::TABLE;
use gridmon::query::{Scan, Selector};
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::{EmbeddedReader, EmbeddedTables};
use gridmon::sources::elastic;
use gridmon_testkit::program;
use gridmon_testkit::sandbox::{Outcome, Sandbox, StandIn, fixture, page};
use serde_json::{Value, json};

/// The clock of the golden points: 2024-06-01 13:05:42 UTC.
const NOW: i64 = 1_717_247_142;

fn recorded(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(&format!("panda/{name}"))).unwrap()).unwrap()
}

struct Site {
    sandbox: Sandbox,
    server: StandIn,
}

impl Site {
    fn golden() -> Self {
        let site = Self { sandbox: Sandbox::new("small"), server: StandIn::start() };
        let (url, state) = (&site.server.url, site.sandbox.path("state"));
        let config = format!(
            "[grid]\nname = atlas\n[cric]\npandaqueue_url = {url}/queues\n[credentials_monit_grafana]\nurl = {url}/msearch\n\
             token = s3cret\n[state]\ndirectory = {}\n",
            state.display()
        );
        let path = site.sandbox.write("config.cfg", config);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        site.server.gives("/queues", &recorded("scraped_cric_pandaqueue.json"));
        let kept = recorded("scraped_grafana_datadisk.json");
        let bucket = |(name, disk): (&String, &Value)| json!({"key": name, "3": {"value": disk["bytes"]}, "1": {"value": disk["files"]}});
        let buckets: Vec<_> = kept.as_object().unwrap().iter().map(bucket).collect();
        site.server.gives("/msearch", &json!({"responses": [{"aggregations": {"4": {"buckets": buckets}}}]}));
        site
    }

    /// Writes the table: the averages of running jobs that QMonit had.
    fn fill_table(&self) {
        self.fill_table_of(NOW.div_euclid(600) * 600);
    }

    /// Writes the table of a slot.
    fn fill_table_of(&self, slot: i64) {
        let mut rows = Vec::<Row>::new();
        for row in recorded("sel_dd.json").as_array().unwrap() {
            let averages = ["avg1h", "avg6h", "avg12h", "avg24h", "avg7d", "avg30d"]
                .map(|window| format!("{window}_running_jobs"));
            let text = |at: usize| Cell::Text(row[at].as_str().unwrap().into());
            let cell = |name: &str| match name {
                "panda_queue" => text(0),
                "resource" => text(1),
                "prod_source" => text(2),
                "slot" => Cell::Int(slot),
                name => averages
                    .iter()
                    .position(|average| average == name)
                    .map_or(Cell::Null, |at| row[3 + at].as_f64().into()),
            };
            rows.push(TABLE.columns.iter().map(|column| cell(column.name)).collect());
        }
        self.tables().write(&TABLE, &rows, Rest::Removed, Instant::now() + Duration::from_secs(30)).unwrap();
    }

    fn tables(&self) -> EmbeddedTables {
        EmbeddedTables { place: self.sandbox.path("state/gridmon.db").into() }
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program("write-datadisk"));
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
        Outcome::of(&mut command)
    }
}

fn lines(text: &str) -> BTreeMap<String, Point> {
    text.lines().map(|line| Point::from_line(line).unwrap()).map(|point| (point.series().to_string(), point)).collect()
}

/// QMonit wrote 0.0 for an average that is not known, and lost the datadisk of a queue without a size.
#[test]
fn the_points_are_qmonits_but_for_what_is_not_known() {
    let site = Site::golden();
    site.fill_table();
    let shown = site.run(&["--now", &NOW.to_string(), "--dry-run", "--format", "influx"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    let (ours, golden) = (lines(&shown.stdout), lines(&fs::read_to_string(fixture("panda/datadisk.lp")).unwrap()));
    assert_eq!(ours.keys().collect::<Vec<_>>(), golden.keys().collect::<Vec<_>>());
    for (series, golden) in &golden {
        let own = &ours[series];
        assert_eq!(own.time(), golden.time(), "{series}");
        let is_known = |name: &str| !series.contains("prod_source=user") || !name.starts_with("avg");
        let known: Vec<_> =
            golden.fields().filter(|(name, _)| is_known(name)).map(|(name, value)| (name.to_string(), value)).collect();
        let mut fields: Vec<_> = own.fields().map(|(name, value)| (name.to_string(), value)).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(fields, known, "{series}");
    }

    let sent = site.run(&["--now", &NOW.to_string()]);
    assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""));
    let reader = EmbeddedReader::new(site.sandbox.path("state/gridmon.db"));
    let mut stored = [0, 0];
    for (tier, stored) in [Tier::Raw, Tier::Hour].into_iter().zip(&mut stored) {
        let mut each = |_: Point| {
            *stored += 1;
            Ok(())
        };
        reader.each(&Selector::measurement("datadisks"), Window::ALL, tier, &mut each).unwrap();
    }
    assert_eq!(stored, [0, golden.len()], "they stand with the hourly points");
    // The report of the run before is as raw as ever, and each point is accounted for.
    site.fill_table_of(NOW + 3600);
    let again = site.run(&["-v", "--now", &(NOW + 3600).to_string()]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let count = golden.len() + 1;
    let account = format!("embedded: {count} collected = {count} delivered + 0 spooled + 0 dropped");
    assert!(again.stderr.contains(&account), "{}", again.stderr);
    let mut hosts = Vec::new();
    let mut each = |point: Point| {
        hosts.push(point.tag("program").unwrap_or_default().to_string());
        Ok(())
    };
    reader.each(&Selector::measurement("run"), Window::ALL, Tier::Raw, &mut each).unwrap();
    assert_eq!(hosts, ["write-datadisk"]);

    let carbon = site.run(&["--now", &NOW.to_string(), "--dry-run"]);
    let files = "datadisks.AGLT2.managed.MCORE.datadisk_files 1559635 1717246800";
    assert!(carbon.stdout.lines().any(|line| line == files), "{}", carbon.stdout);
}

#[test]
fn against_qmonits_own_points_only_what_is_not_known_differs() {
    let site = Site::golden();
    site.fill_table();
    let source = fixture("panda/datadisk.lp");
    let outcome = site.run(&["--now", &NOW.to_string(), "--compare", source.to_str().unwrap()]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("0 missing here, 0 extra here\n"), "{}", outcome.stdout);
    let unknown = "known   6 × what is not known is left out; QMonit wrote 0\n";
    assert!(outcome.stdout.contains(unknown) && outcome.stdout.ends_with("unknown 0\n"), "{}", outcome.stdout);
}

/// QMonit's average of an hour is of its newest six values: what they give is known, and nothing else is.
#[test]
fn an_average_that_qmonits_own_counts_do_not_give_has_no_known_cause() {
    let site = Site::golden();
    site.fill_table();
    let hour = NOW.div_euclid(3600) * 3600;
    let golden = fs::read_to_string(fixture("panda/datadisk.lp")).unwrap();
    let compare = |from: &str, to: &str| {
        assert!(golden.contains(from), "{from}");
        let source = site.sandbox.write("old.lp", golden.replace(from, to));
        site.run(&["--now", &NOW.to_string(), "--compare", source.to_str().unwrap()])
    };
    let changed = ("avg1h_running_jobs=10.5,", "avg1h_running_jobs=12.5,");
    let unknown = |outcome: &Outcome| {
        let lines = outcome.lines_with("no known cause").len();
        assert_eq!(outcome.code, Some(i32::from(lines > 0)), "{}{}", outcome.stdout, outcome.stderr);
        lines
    };
    // Without the counts nobody knows.
    assert_eq!(unknown(&compare(changed.0, changed.1)), 1);
    // Six values in 70 minutes, since one run was left out.
    let jobs = |at: i64, jobs: f64| {
        let keys = "jobs,job_status=running,panda_queue=AGLT2,prod_source=managed,resource=MCORE";
        let mut point = Point::from_line(&format!("{keys} jobs={jobs} {at}000000001")).unwrap();
        gridmon::setup::CATALOG.declare(&mut point);
        point
    };
    let raw: Vec<_> = [(0, 10.0), (1, 10.0), (2, 10.0), (3, 10.0), (5, 10.0), (6, 25.0), (7, 99.0)]
        .map(|(back, count)| jobs(hour - back * 600, count))
        .into();
    let until = Instant::now() + Duration::from_secs(30);
    let mut store = gridmon::sinks::embedded::Store::open(&site.sandbox.path("state/gridmon.db"), until).unwrap();
    store.write(Tier::Raw, &raw, until).unwrap();
    assert_eq!(unknown(&compare(changed.0, changed.1)), 1, "a queue without days has no row");
    store.write(Tier::Day, &[jobs(hour - 13 * 3600, 7.0)], until).unwrap();
    let known = compare(changed.0, changed.1);
    assert_eq!(unknown(&known), 0);
    let line = known.lines_with("avg1h_running_jobs: 10.5 here, 12.5 there")[0];
    assert!(line.contains("newest 6, 36, 72 or 144 values"), "{line}");
    // Neither another number, nor another field of the same point.
    assert_eq!(unknown(&compare(changed.0, "avg1h_running_jobs=12.4,")), 1);
    assert_eq!(unknown(&compare("avg30d_running_jobs=5.0,", "avg30d_running_jobs=12.5,")), 1);
}

#[test]
fn without_the_table_nothing_is_sent_and_without_sizes_the_rest_is() {
    let site = Site::golden();
    site.server.answers("/msearch", page("500 Internal Server Error", "away"));
    site.server.answers("/queues", page("500 Internal Server Error", "away"));
    let none = site.run(&["--now", &NOW.to_string()]);
    assert_eq!(none.code, Some(1));
    let words = "write-datadisk: table jobs: ";
    assert!(none.stderr.starts_with(words) && none.stderr.contains("nothing is sent"), "{}", none.stderr);
    site.fill_table();
    // CRIC never answered yet.
    let none = site.run(&["--now", &NOW.to_string(), "--dry-run", "--format", "influx"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), ""), "{}", none.stderr);
    site.server.gives("/queues", &recorded("scraped_cric_pandaqueue.json"));
    let shown = site.run(&["--now", &NOW.to_string(), "--dry-run", "--format", "influx"]);
    assert_eq!(shown.code, Some(1));
    let words = "sizes of datadisks are missing";
    assert!(shown.stderr.contains(words) && !shown.stderr.contains("s3cret"), "{}", shown.stderr);
    let points = lines(&shown.stdout);
    assert_eq!(points.len(), 3);
    for point in points.values() {
        assert!(point.fields().all(|(name, _)| !name.starts_with("datadisk")), "{}", point.line());
        assert_ne!(point.tag("datadisk_name"), Some("NONE"), "the name is known: {}", point.line());
    }
}

/// collect-panda ended, or may write the table no more: its averages are not those of this hour.
#[test]
fn the_averages_of_an_old_table_are_left_out_and_named() {
    let site = Site::golden();
    let slot = NOW.div_euclid(600) * 600;
    let shown = |slot: i64| {
        site.fill_table_of(slot);
        site.run(&["--now", &NOW.to_string(), "--dry-run", "--format", "influx"])
    };
    let averages = |text: &str| text.matches("avg1h_running_jobs=").count();
    for (slot, is_old) in [(slot + 600, false), (slot - 1800, false), (slot - 2400, true), (slot - 30 * 86_400, true)] {
        let outcome = shown(slot);
        assert_eq!(outcome.code, Some(i32::from(is_old)), "{slot}: {}", outcome.stderr);
        assert_eq!(averages(&outcome.stdout) == 0, is_old, "{slot}: {}", outcome.stdout);
        assert!(outcome.stdout.contains("datadisk_files="), "{slot}: {}", outcome.stdout);
        let words = "write-datadisk: table jobs: is of 2024-0";
        assert_eq!(outcome.stderr.starts_with(words), is_old, "{slot}: {}", outcome.stderr);
    }
}

/// The columns are those that QMonit's SQL implies, the score and the slot; in MySQL and in the embedded store alike.
#[test]
fn the_table_has_qmonits_columns_the_score_and_the_slot() {
    let sql = fs::read_to_string(fixture("panda/mysql_jobs.sql")).unwrap();
    let body = sql
        .split_once("CREATE TABLE")
        .unwrap()
        .1
        .split_once('(')
        .unwrap()
        .1
        .split("PRIMARY KEY")
        .next()
        .unwrap()
        .to_string();
    let body: String = body.lines().map(|line| line.split("--").next().unwrap()).collect::<Vec<_>>().join(" ");
    let expected =
        body.split(", ").flat_map(|part| part.split(",\u{20}")).map(str::trim).filter(|part| !part.is_empty());
    let mut expected: Vec<_> = expected
        .map(|part| part.trim_end_matches(',').split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .collect();
    expected.extend(["score DOUBLE", "slot BIGINT"].map(String::from));
    let kind = |kind: ColumnKind| match kind {
        ColumnKind::Text(longest) => format!("VARCHAR({longest})"),
        ColumnKind::Real => "DOUBLE".into(),
        ColumnKind::Integer => "BIGINT".into(),
    };
    let declared: Vec<_> =
        TABLE.columns.iter().map(|column| format!("{} {}", column.name, kind(column.kind))).collect();
    assert_eq!(declared, expected);
    let site = Site::golden();
    site.fill_table();
    let output = Command::new("sqlite3")
        .arg(site.sandbox.path("state/gridmon.db"))
        .arg("SELECT name || ' ' || type FROM pragma_table_info('jobs')")
        .output();
    let Ok(output) = output else {
        return gridmon_testkit::skip("the_table_has_qmonits_columns_the_score_and_the_slot", "sqlite3");
    };
    let kind = |kind: ColumnKind| match kind {
        ColumnKind::Text(_) => "TEXT",
        ColumnKind::Real => "REAL",
        ColumnKind::Integer => "INTEGER",
    };
    let declared: String =
        TABLE.columns.iter().map(|column| format!("{} {}\n", column.name, kind(column.kind))).collect();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), declared);
}

/// QMonit's own description of the queues, whose numbers are rounded.
#[test]
fn the_table_describes_queues_as_qmonit_did() {
    use gridmon::monitors::panda::table::{TableInput, rows};
    use gridmon::sources::{cric, elastic::Datadisk};
    let queues = cric::queues(&fs::read(fixture("panda/scraped_cric_pandaqueue.json")).unwrap()).unwrap();
    let kept = recorded("scraped_grafana_datadisk.json");
    let disk = |(name, disk): (&String, &Value)| Datadisk {
        rse: name.clone(),
        bytes: disk["bytes"].as_i64().unwrap(),
        files: disk["files"].as_i64().unwrap(),
    };
    let datadisks: Vec<_> = kept.as_object().unwrap().iter().map(disk).collect();
    let sql = fs::read_to_string(fixture("panda/queueinfo.sql")).unwrap();
    let mut compared = 0;
    for line in sql.lines().filter(|line| line.starts_with("INSERT")) {
        let (key, values) = line.split_once(" ON DUPLICATE KEY UPDATE ").unwrap();
        let key: Vec<String> = key.split('"').skip(1).step_by(2).map(String::from).collect();
        let input = TableInput {
            slot: NOW,
            rows: std::slice::from_ref(&key),
            current: &BTreeMap::new(),
            odd: &[],
            averages: &Default::default(),
            queues: &queues,
            datadisks: &datadisks,
        };
        let row = &rows(&input)[0];
        for pair in values.split("\",").map(str::trim) {
            let (column, value) = pair.split_once("=\"").unwrap();
            let value = value.trim_end_matches('"');
            // A datadisk without a known size: QMonit lost its name too.
            if column.starts_with("datadisk") && TABLE.cell(row, "datadisk_files") == &Cell::Null {
                assert!(
                    ["ARC-TEST", "ALCF_Cooley"].contains(&key[0].as_str()) && ["NONE", "0.0", "0"].contains(&value)
                );
                continue;
            }
            let same = match TABLE.cell(row, column) {
                Cell::Text(text) => text == value,
                own => (own.as_f64().unwrap() - value.parse::<f64>().unwrap()).abs() < 1e-4,
            };
            assert!(same, "{key:?} {column}: {:?}, QMonit wrote {value}", TABLE.cell(row, column));
            compared += 1;
        }
    }
    assert_eq!(compared, 5 * 12 - 2 * 3);
}

/// Rule 22: the sizes are those of the newest UTC day that has any, whatever the order of the days, summed for each endpoint;
/// one without numbers is passed over.
#[test]
fn the_sizes_are_those_of_the_newest_day() {
    let bucket =
        |key: &str, bytes: Value, files: Value| json!({"key": key, "3": {"value": bytes}, "1": {"value": files}});
    let day =
        |time: i64, buckets: Vec<Value>| json!({"key": time, "4": {"sum_other_doc_count": 0, "buckets": buckets}});
    let of = |days: Vec<Value>| {
        let answer = json!({"responses": [{"aggregations": {"days": {"buckets": days}}}]});
        elastic::datadisks(answer.to_string().as_bytes())
    };
    let old = day(
        1_717_113_600_000,
        vec![bucket("A_DATADISK", json!(1e9), json!(1)), bucket("B_DATADISK", json!(2e9), json!(2))],
    );
    let new = day(
        1_717_200_000_000,
        vec![bucket("A_DATADISK", json!(7.5e9), json!(4)), bucket("C_DATADISK", Value::Null, json!(9))],
    );
    let empty = day(1_717_286_400_000, Vec::new());
    for days in [vec![old.clone(), new.clone()], vec![new.clone(), empty.clone(), old.clone()]] {
        let disks = of(days).unwrap();
        let disks: Vec<_> = disks.iter().map(|disk| (disk.rse.as_str(), disk.bytes, disk.files)).collect();
        assert_eq!(disks, [("A_DATADISK", 7_500_000_000, 4)]);
    }
    for days in [Vec::new(), vec![empty], vec![day(1, vec![bucket("A_DATADISK", Value::Null, Value::Null)])]] {
        let error = of(days).unwrap_err().to_string();
        assert_eq!(error, "the answer holds no endpoint with a size");
    }
}
